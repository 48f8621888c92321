/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>
#include <zlib.h>

#include "mesh_agent_conf.h"
#include "mesh_agent_core.h"
#include "mesh_agent_js.h"
#include "mesh_agent_store.h"
#include "os/mesh_agent_host.h"


#define MESH_AGENT_CORE_WAIT     60000    /* ms, for the server's word */
#define MESH_AGENT_CORE_SETTLE   15000    /* ms, until a script has started */
#define MESH_AGENT_CORE_MAX      (8 * 1024 * 1024)    /* bytes, inflated */
#define MESH_AGENT_CORE_RETIRED  4        /* old scripts with open sessions */
#define MESH_AGENT_CORE_PREFIX   4        /* bytes before the script */
#define MESH_AGENT_CORE_KEY      "agent:core"
#define MESH_AGENT_CORE_SUM      "agent:core-hash"
#define MESH_AGENT_CORE_COUNT    "agent:core-starts"  /* hash, one byte */
#define MESH_AGENT_CORE_STARTS   3        /* without a minute's life */
#define MESH_AGENT_CORE_HANGS    255      /* in the place of the count */
#define MESH_AGENT_CORE_LIFE     60000    /* ms */


struct mesh_agent_core_s {
    mesh_agent_t     *a;
    mesh_agent_js_t  *js;                 /* NULL: none runs */
    mesh_agent_js_t  *retired[MESH_AGENT_CORE_RETIRED];
    uv_timer_t        timer;
    uint8_t           hash[MESH_AGENT_ID_LEN];
    uint8_t          *memory;             /* owns; the script, if there is no
                                             room for it in the store */
    size_t            memory_len;
    unsigned          stored:1;           /* or in memory */
    unsigned          connected:1;
    unsigned          counted:1;          /* this start of the agent was */
    unsigned          settled:1;
    unsigned          freed:1;
};


static int mesh_agent_core_check(mesh_agent_core_t *core);
static void mesh_agent_core_overdue(uv_timer_t *timer);
static void mesh_agent_core_again(uv_timer_t *timer);
static void mesh_agent_core_start(mesh_agent_core_t *core);
static unsigned mesh_agent_core_starts(mesh_agent_core_t *core);
static void mesh_agent_core_count(mesh_agent_core_t *core, unsigned starts);
static void mesh_agent_core_uncount(mesh_agent_core_t *core);
static void mesh_agent_core_refuse(mesh_agent_core_t *core, unsigned starts);
static void mesh_agent_core_settle(uv_timer_t *timer);
static void mesh_agent_core_stop(mesh_agent_core_t *core);
static void mesh_agent_core_push(mesh_agent_core_t *core,
    const mesh_agent_cmd_t *cmd);
static uint8_t *mesh_agent_core_inflate(const uint8_t *data, size_t len,
    size_t *size);
static void mesh_agent_core_save(mesh_agent_core_t *core, const uint8_t *hash,
    const uint8_t *data, size_t len);
static void mesh_agent_core_forget(mesh_agent_core_t *core);
static void mesh_agent_core_answer(mesh_agent_core_t *core, unsigned id);
static void mesh_agent_core_closed(uv_handle_t *handle);


mesh_agent_core_t *
mesh_agent_core_create(mesh_agent_t *a)
{
    char               *path;
    uv_fs_t             req;
    mesh_agent_core_t  *core;

    core = mesh_agent_alloc(sizeof(mesh_agent_core_t));
    core->a = a;
    core->stored = mesh_agent_core_check(core) == MESH_OK;

    path = mesh_agent_join(a->conf->data, MESH_AGENT_CORE_HUNG);

    if (uv_fs_unlink(NULL, &req, path, NULL) == 0 && core->stored) {
        mesh_agent_core_count(core, MESH_AGENT_CORE_HANGS);
    }

    uv_fs_req_cleanup(&req);
    free(path);

    (void) uv_timer_init(a->loop, &core->timer);
    core->timer.data = core;
    (void) uv_timer_start(&core->timer, mesh_agent_core_overdue,
                          MESH_AGENT_CORE_WAIT, 0);

    return core;
}


void
mesh_agent_core_free(mesh_agent_core_t *core)
{
    unsigned  i;

    core->freed = 1;

    /* an end that was asked for */
    mesh_agent_core_uncount(core);

    if (core->js) {
        mesh_agent_js_free(core->js);
        core->js = NULL;
    }

    for (i = 0; i < MESH_AGENT_CORE_RETIRED; i++) {
        if (core->retired[i]) {
            mesh_agent_js_free(core->retired[i]);
            core->retired[i] = NULL;
        }
    }

    uv_close((uv_handle_t *) &core->timer, mesh_agent_core_closed);
}


static void
mesh_agent_core_closed(uv_handle_t *handle)
{
    mesh_agent_core_t *core = handle->data;

    free(core->memory);
    free(core);
}


/* the stored script is the one whose hash was stored with it */
static int
mesh_agent_core_check(mesh_agent_core_t *core)
{
    size_t          len;
    uint8_t         hash[MESH_AGENT_ID_LEN];
    const uint8_t  *p;

    p = mesh_agent_store_get(core->a->store, MESH_AGENT_CORE_SUM, &len);

    if (p == NULL || len != MESH_AGENT_ID_LEN) {
        return MESH_DECLINED;
    }

    memcpy(core->hash, p, MESH_AGENT_ID_LEN);
    p = mesh_agent_store_get(core->a->store, MESH_AGENT_CORE_KEY, &len);

    if (p == NULL || len <= MESH_AGENT_CORE_PREFIX) {
        return MESH_DECLINED;
    }

    (void) SHA384(p, len, hash);

    return memcmp(hash, core->hash, MESH_AGENT_ID_LEN) == 0 ? MESH_OK
                                                            : MESH_ERROR;
}


int
mesh_agent_core_hash(const mesh_agent_core_t *core, uint8_t *hash)
{
    if (core->stored) {
        memcpy(hash, core->hash, MESH_AGENT_ID_LEN);
    }

    return core->stored;
}


void
mesh_agent_core_command(mesh_agent_core_t *core, const mesh_agent_cmd_t *cmd)
{
    switch (cmd->cmd) {

    case MESH_AGENT_CORE_HASH:
        mesh_agent_core_answer(core, cmd->id);
        break;

    case MESH_AGENT_CORE_OK:
        if (core->js == NULL) {
            mesh_agent_core_start(core);
        }

        break;

    default:
        if (cmd->u.core.hash == NULL) {
            mesh_agent_core_stop(core);
            mesh_agent_core_forget(core);

        } else if (!core->stored
                   || memcmp(cmd->u.core.hash, core->hash, MESH_AGENT_ID_LEN)
                      != 0)
        {
            mesh_agent_core_push(core, cmd);
        }

        mesh_agent_core_answer(core, cmd->id);
    }
}


void
mesh_agent_core_message(mesh_agent_core_t *core, const uint8_t *data,
    size_t len, int json)
{
    if (core->js) {
        mesh_agent_js_command(core->js, data, len, json);
    }
}


void
mesh_agent_core_connected(mesh_agent_core_t *core, int connected)
{
    core->connected = connected != 0;

    if (core->js) {
        mesh_agent_js_connected(core->js, connected);
    }
}


/* no word of a server: what the script does without one, it does now */
static void
mesh_agent_core_overdue(uv_timer_t *timer)
{
    mesh_agent_core_t *core = timer->data;

    if (core->js == NULL) {
        mesh_agent_core_start(core);
    }
}


void
mesh_agent_core_restart(mesh_agent_core_t *core)
{
    (void) uv_timer_start(&core->timer, mesh_agent_core_again, 0, 0);
}


static void
mesh_agent_core_again(uv_timer_t *timer)
{
    mesh_agent_core_t *core = timer->data;

    mesh_agent_core_stop(core);
    mesh_agent_core_start(core);
}


static void
mesh_agent_core_start(mesh_agent_core_t *core)
{
    long            seconds;
    size_t          len;
    uint8_t        *copy;
    unsigned        starts;
    const uint8_t  *p;

    (void) uv_timer_stop(&core->timer);

    if (core->stored && !core->counted) {
        starts = mesh_agent_core_starts(core);

        if (starts >= MESH_AGENT_CORE_STARTS) {
            mesh_agent_core_refuse(core, starts);
            return;
        }

        core->counted = 1;
        mesh_agent_core_count(core, starts + 1);
    }

    len = core->memory_len;
    p = core->memory;

    if (core->stored && p == NULL) {
        p = mesh_agent_store_get(core->a->store, MESH_AGENT_CORE_KEY, &len);
    }

    if (p == NULL) {
        return;
    }

    core->js = mesh_agent_js_create(core->a);

    if (core->js == NULL) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "no memory for a script");
        return;
    }

    seconds = mesh_agent_conf_number(core->a->conf, "scriptTimeout", 1, 600,
                                     MESH_AGENT_JS_SECONDS);
    mesh_agent_js_limit(core->js, MESH_AGENT_JS_MEMORY,
                        (unsigned) seconds * 1000);

    /* the script may use the store, which lends one value at a time */
    copy = mesh_agent_alloc(len);
    memcpy(copy, p, len);

    if (mesh_agent_js_run(core->js, "CoreModule.js",
                          copy + MESH_AGENT_CORE_PREFIX,
                          len - MESH_AGENT_CORE_PREFIX)
        != MESH_OK)
    {
        mesh_agent_log(MESH_AGENT_LOG_WARN, "the server's script ended while "
                       "it was loaded");
    }

    free(copy);
    core->settled = 0;
    (void) uv_timer_start(&core->timer, mesh_agent_core_settle,
                          MESH_AGENT_CORE_SETTLE, 0);
}


/* of the agent with this script, that did not live long */
static unsigned
mesh_agent_core_starts(mesh_agent_core_t *core)
{
    size_t          len;
    const uint8_t  *p;

    p = mesh_agent_store_get(core->a->store, MESH_AGENT_CORE_COUNT, &len);

    return p && len == MESH_AGENT_ID_LEN + 1
           && memcmp(p, core->hash, MESH_AGENT_ID_LEN) == 0
           ? p[MESH_AGENT_ID_LEN] : 0;
}


static void
mesh_agent_core_count(mesh_agent_core_t *core, unsigned starts)
{
    uint8_t  value[MESH_AGENT_ID_LEN + 1];

    memcpy(value, core->hash, MESH_AGENT_ID_LEN);
    value[MESH_AGENT_ID_LEN] = (uint8_t) starts;
    (void) mesh_agent_store_put(core->a->store, MESH_AGENT_CORE_COUNT, value,
                                sizeof(value));
}


static void
mesh_agent_core_uncount(mesh_agent_core_t *core)
{
    if (core->counted) {
        core->counted = 0;
        (void) mesh_agent_store_delete(core->a->store, MESH_AGENT_CORE_COUNT);
    }
}


/* the server's hash stays the answer to its question: it would push again */
static void
mesh_agent_core_refuse(mesh_agent_core_t *core, unsigned starts)
{
    char         msg[512];
    size_t       n;
    const char  *why;

    why = starts == MESH_AGENT_CORE_HANGS
          ? "it hung" : "the agent did not live a minute with it, three times";

    mesh_agent_log(MESH_AGENT_LOG_ERR, "the server's script is not started: "
                   "%s; it waits for another one", why);

    n = (size_t) snprintf(msg, sizeof(msg), "{\"action\":\"coreinfo\","
                          "\"value\":\"not started: %s\"}", why);
    (void) mesh_agent_channel_send(core->a->channel, (uint8_t *) msg, n, 1);

    n = (size_t) snprintf(msg, sizeof(msg), "{\"action\":\"log\",\"msg\":"
                          "\"The script of the server is not started: %s\"}",
                          why);
    (void) mesh_agent_channel_send(core->a->channel, (uint8_t *) msg, n, 1);
}


/* what only the start needed goes back to the system */
static void
mesh_agent_core_settle(uv_timer_t *timer)
{
    mesh_agent_core_t *core = timer->data;

    if (core->settled) {
        mesh_agent_core_uncount(core);
        core->counted = 1;
        return;
    }

    core->settled = 1;
    (void) uv_timer_start(timer, mesh_agent_core_settle,
                          MESH_AGENT_CORE_LIFE - MESH_AGENT_CORE_SETTLE, 0);

    if (core->js) {
        mesh_agent_js_collect(core->js);
    }

    mesh_agent_os_trim();
}


/* its sessions go on */
static void
mesh_agent_core_stop(mesh_agent_core_t *core)
{
    unsigned          i;
    mesh_agent_js_t  *js, *oldest;

    js = core->js;

    if (js == NULL) {
        return;
    }

    core->js = NULL;
    oldest = core->retired[0];

    for (i = 0; i < MESH_AGENT_CORE_RETIRED && core->retired[i]; i++) {
        /* void */
    }

    if (i == MESH_AGENT_CORE_RETIRED) {
        i--;
        memmove(core->retired, core->retired + 1,
                i * sizeof(mesh_agent_js_t *));
        mesh_agent_js_free(oldest);
    }

    core->retired[i] = js;
    mesh_agent_js_retire(js);
}


void
mesh_agent_core_gone(mesh_agent_core_t *core, mesh_agent_js_t *js)
{
    unsigned  i, n;

    for (i = 0, n = 0; i < MESH_AGENT_CORE_RETIRED; i++) {
        if (core->retired[i] && core->retired[i] != js) {
            core->retired[n++] = core->retired[i];
        }
    }

    while (n < MESH_AGENT_CORE_RETIRED) {
        core->retired[n++] = NULL;
    }
}


static void
mesh_agent_core_push(mesh_agent_core_t *core, const mesh_agent_cmd_t *cmd)
{
    size_t          len;
    uint8_t         hash[MESH_AGENT_ID_LEN], *inflated;
    const uint8_t  *data;

    data = cmd->u.core.data;
    len = cmd->u.core.len;
    inflated = NULL;

    if (cmd->cmd == MESH_AGENT_CORE_DEFLATED) {
        inflated = mesh_agent_core_inflate(data, len, &len);
        data = inflated;
    }

    mesh_agent_core_stop(core);

    if (data) {
        (void) SHA384(data, len, hash);
    }

    if (data == NULL || len <= MESH_AGENT_CORE_PREFIX
        || memcmp(hash, cmd->u.core.hash, MESH_AGENT_ID_LEN) != 0)
    {
        mesh_agent_log(MESH_AGENT_LOG_WARN, "the server's script came damaged "
                       "and is not run");
        mesh_agent_core_forget(core);

    } else {
        mesh_agent_core_save(core, hash, data, len);
        mesh_agent_log(MESH_AGENT_LOG_NOTICE, "new script of the server, %u "
                       "bytes", (unsigned) len);
        mesh_agent_core_start(core);
    }

    free(inflated);
}


/* NULL: no raw DEFLATE, or more than we take */
static uint8_t *
mesh_agent_core_inflate(const uint8_t *data, size_t len, size_t *size)
{
    int        rc;
    uint8_t   *out;
    z_stream   z;

    memset(&z, 0, sizeof(z));

    if (inflateInit2(&z, -MAX_WBITS) != Z_OK) {
        return NULL;
    }

    *size = 0;
    out = NULL;

    z.next_in = (uint8_t *) data;
    z.avail_in = (uInt) len;

    do {
        if (*size >= MESH_AGENT_CORE_MAX) {
            rc = Z_MEM_ERROR;
            break;
        }

        out = mesh_agent_realloc(out, *size + 65536);
        z.next_out = out + *size;
        z.avail_out = 65536;

        rc = inflate(&z, Z_NO_FLUSH);
        *size += 65536 - z.avail_out;

    } while (rc == Z_OK);

    (void) inflateEnd(&z);

    if (rc != Z_STREAM_END) {
        free(out);
        return NULL;
    }

    return out;
}


/*
 * The hash is written last: without it the script does not count.  What cannot
 * be written runs from memory: a full disk must not take the device away.
 */
static void
mesh_agent_core_save(mesh_agent_core_t *core, const uint8_t *hash,
    const uint8_t *data, size_t len)
{
    mesh_agent_core_forget(core);

    if (mesh_agent_store_put(core->a->store, MESH_AGENT_CORE_KEY, data, len)
        != MESH_OK
        || mesh_agent_store_put(core->a->store, MESH_AGENT_CORE_SUM, hash,
                                MESH_AGENT_ID_LEN)
           != MESH_OK)
    {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "the server's script cannot be "
                       "stored and runs until the agent ends");

        core->memory = mesh_agent_alloc(len);
        memcpy(core->memory, data, len);
        core->memory_len = len;
    }

    memcpy(core->hash, hash, MESH_AGENT_ID_LEN);
    core->stored = 1;
}


static void
mesh_agent_core_forget(mesh_agent_core_t *core)
{
    free(core->memory);
    core->memory = NULL;
    core->memory_len = 0;
    core->stored = 0;
    core->counted = 0;
    (void) mesh_agent_store_delete(core->a->store, MESH_AGENT_CORE_COUNT);
    (void) mesh_agent_store_delete(core->a->store, MESH_AGENT_CORE_SUM);
    (void) mesh_agent_store_delete(core->a->store, MESH_AGENT_CORE_KEY);
}


static void
mesh_agent_core_answer(mesh_agent_core_t *core, unsigned id)
{
    size_t   n;
    uint8_t  msg[MESH_AGENT_HASHED_LEN];

    if (core->stored) {
        n = mesh_agent_write_hashed(msg, MESH_AGENT_CORE_HASH, (uint16_t) id,
                                    core->hash);
    } else {
        n = mesh_agent_write_request(msg, MESH_AGENT_CORE_HASH, (uint16_t) id);
    }

    (void) mesh_agent_channel_send(core->a->channel, msg, n, 0);
}

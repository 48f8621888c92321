/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Runs scripts in the agent's runtime, without a server, and prints TAP.
 *
 *   agent_js_test FILE...      t/agent/[a-z]*.js
 *
 * A script has what a core has, and the module "test" (test_module below).
 * Each gets a heap of its own, and 30 seconds.
 */

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "mesh_agent_conf.h"
#include "mesh_agent_id.h"
#include "mesh_agent_js.h"
#include "mesh_agent_store.h"
#include "mesh_agent_update.h"


#define MESH_AGENT_TEST_MESSAGES  1024
#define MESH_AGENT_TEST_LOG       65536


/* the script under test, and what the agent's other half would be */
static struct {
    mesh_agent_t      agent;
    uv_loop_t         loop;
    mesh_agent_js_t  *js;
    mesh_agent_js_t  *subject;            /* of test.start() */
    uv_timer_t        limit;
    int               connected;
    int               done;
    int               gone;
    int               restarts;
    int               count;
    int               failed;
    char             *sent[MESH_AGENT_TEST_MESSAGES];
    size_t            len[MESH_AGENT_TEST_MESSAGES];
    int               nsent;
    char              log[MESH_AGENT_TEST_LOG];
    char             *key;
    uint8_t          *value;
    size_t            value_len;
} t;


int  mesh_agent_log_level = MESH_AGENT_LOG_INFO;


static void run(const char *path);
static char *load(const char *path, size_t *len);
static void report(int ok, const char *name);
static void expired(uv_timer_t *timer);
static void close_handler(uv_handle_t *handle, void *data);
static int hostile(int argc, char **argv);


int
main(int argc, char **argv)
{
    int  i;

    /* the agent starts itself to see the screen */
    if (argc > 1 && strcmp(argv[1], "desktop") == 0) {
        return hostile(argc, argv);
    }

    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);

    for (i = 1; i < argc; i++) {
        run(argv[i]);
    }

    printf("1..%d\n", t.count);

    return t.failed != 0;
}


static void
run(const char *path)
{
    int                 i;
    char               *source;
    size_t              len;
    mesh_agent_conf_t   conf;
    mesh_agent_pair_t   pair;

    memset(&conf, 0, sizeof(mesh_agent_conf_t));
    memset(&pair, 0, sizeof(mesh_agent_pair_t));
    pair.key = "MeshName";
    pair.value = "Tests";
    conf.msh = &pair;
    conf.mesh_id_len = MESH_AGENT_ID_LEN;

    uv_loop_init(&t.loop);
    t.agent.loop = &t.loop;
    t.agent.conf = &conf;
    t.agent.quitting = 0;
    t.connected = 1;
    t.done = 0;
    t.gone = 0;
    t.log[0] = '\0';

    uv_timer_init(&t.loop, &t.limit);
    uv_timer_start(&t.limit, expired, 300000, 0);

    t.js = mesh_agent_js_create(&t.agent);
    source = load(path, &len);

    if (t.js == NULL || source == NULL) {
        report(0, path);
        exit(1);
    }

    if (mesh_agent_js_run(t.js, path, (const uint8_t *) source, len)
        != MESH_OK)
    {
        report(0, "a script of the tests runs to its end");
        t.done = 1;
    }

    while (!t.done) {
        uv_run(&t.loop, UV_RUN_ONCE);
    }

    if (t.subject != NULL) {
        mesh_agent_js_free(t.subject);
        t.subject = NULL;
    }

    t.agent.quitting = 1;
    mesh_agent_js_free(t.js);
    uv_close((uv_handle_t *) &t.limit, NULL);
    uv_run(&t.loop, UV_RUN_DEFAULT);

    if (uv_loop_close(&t.loop) != 0) {
        report(0, "a script that has ended leaves nothing open");
        uv_walk(&t.loop, close_handler, NULL);
        uv_run(&t.loop, UV_RUN_DEFAULT);
        (void) uv_loop_close(&t.loop);
    }

    for (i = 0; i < t.nsent; i++) {
        free(t.sent[i]);
    }

    t.nsent = 0;
    free(t.key);
    free(t.value);
    t.key = NULL;
    t.value = NULL;
    free(source);
}


static char *
load(const char *path, size_t *len)
{
    FILE  *f;
    char  *data;

    f = fopen(path, "rb");
    if (f == NULL) {
        return NULL;
    }

    data = mesh_agent_alloc(4 * 1024 * 1024);
    *len = fread(data, 1, 4 * 1024 * 1024, f);
    fclose(f);

    return data;
}


static void
report(int ok, const char *name)
{
    char  *p;

    t.count++;

    if (!ok) {
        t.failed++;
    }

    printf("%sok %d - %s\n", ok ? "" : "not ", t.count, name);

    if (!ok && t.log[0] != '\0') {
        for (p = strtok(t.log, "\n"); p != NULL; p = strtok(NULL, "\n")) {
            printf("# %s\n", p);
        }
        t.log[0] = '\0';
    }
}


static void
expired(uv_timer_t *timer)
{
    report(0, "a script of the tests ends in time");
    t.done = 1;
}


static void
close_handler(uv_handle_t *handle, void *data)
{
    printf("# open: %s\n", uv_handle_type_name(handle->type));

    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}


/*
 * A program that captures as it should not: t/agent/desktop.js says by the
 * number of the user how.
 */
static int
hostile(int argc, char **argv)
{
    int                i, uid;
    size_t             n;
    uint8_t           *p;
    struct pollfd      fd = { STDIN_FILENO, 0, 0 };
    static uint8_t     buf[80000];
    static const struct {
        const char    *bytes;
        size_t         len;
    } said[] = {
        { "", 0 },
        { "\0\0\0\0", 4 },                                     /* 1 */
        { "\0\7\0\10\7", 5 },                                 /* 2 */
        { "\0\1\0\6\0\101", 6 },                             /* 3 */
        { "\0\33\0\10\377\377\377\377\0\3\0\0", 12 },  /* 4 */
        { "\0\7\0\10\7\200\4\70", 8 },                     /* 5 */
        { "\0\101\0\7why", 7 },                                /* 6 */
        { "", 0 },                                                 /* 7 */
    };

    uid = argc > 3 && strncmp(argv[3], "--uid=", 6) == 0 ? atoi(argv[3] + 6)
                                                         : 0;
    if (uid < 1 || uid > 7) {
        return 2;
    }

    for (n = 0; n < said[uid].len; n++) {
        (void) !write(STDOUT_FILENO, said[uid].bytes + n, 1);
        usleep(1000);
    }

    if (uid == 5) {
        p = buf;
        memcpy(p, "\0\33\0\10\0\1\21\170\0\3\0\0\0\100\0\40", 16);

        for (i = 16; i < 70016; i++) {
            p[i] = (uint8_t) i;
        }

        for (n = 0; n < 70016; n += 4999) {
            (void) !write(STDOUT_FILENO, p + n,
                          70016 - n < 4999 ? 70016 - n : 4999);
            usleep(1000);
        }
    }

    if (uid == 1 || uid == 3 || uid == 4 || uid == 5 || uid == 7) {
        /* until its input is closed, of which it reads nothing */
        (void) poll(&fd, 1, 10000);
    }

    return 1;
}


/* The module "test" */

/* ok(value, name) */
static duk_ret_t
test_ok(duk_context *duk)
{
    report(duk_to_boolean(duk, 0), duk_safe_to_string(duk, 1));

    return 0;
}


static duk_ret_t
test_done(duk_context *duk)
{
    t.done = 1;

    return 0;
}


/* sent() -> [text] and forgets them */
static duk_ret_t
test_sent(duk_context *duk)
{
    int  i;

    duk_push_array(duk);

    for (i = 0; i < t.nsent; i++) {
        mesh_agent_js_push_text(duk, t.sent[i], t.len[i]);
        duk_put_prop_index(duk, -2, (duk_uarridx_t) i);
    }

    for (i = 0; i < t.nsent; i++) {
        free(t.sent[i]);
    }

    t.nsent = 0;

    return 1;
}


/* log() -> text since the last call */
static duk_ret_t
test_log(duk_context *duk)
{
    mesh_agent_js_push_text(duk, t.log, strlen(t.log));
    t.log[0] = '\0';

    return 1;
}


/* start(source, bytes, ms) -> boolean; a second heap, the subject */
static duk_ret_t
test_start(duk_context *duk)
{
    int             rc;
    size_t          len;
    const uint8_t  *source;

    source = mesh_agent_js_bytes(duk, 0, &len);

    if (t.subject != NULL) {
        mesh_agent_js_free(t.subject);
    }

    t.subject = mesh_agent_js_create(&t.agent);
    mesh_agent_js_limit(t.subject,
                        duk_get_uint_default(duk, 1, MESH_AGENT_JS_MEMORY),
                        duk_get_uint_default(duk, 2, 10000));
    rc = mesh_agent_js_run(t.subject, "subject", source, len);

    duk_push_boolean(duk, rc == MESH_OK);

    return 1;
}


/* command(text or Buffer): to the subject */
static duk_ret_t
test_command(duk_context *duk)
{
    int             json;
    size_t          len;
    const uint8_t  *data;

    json = duk_is_string(duk, 0);
    data = mesh_agent_js_bytes(duk, 0, &len);
    mesh_agent_js_command(t.subject, data, len, json);

    return 0;
}


/* connect(boolean): of the subject's channel */
static duk_ret_t
test_connect(duk_context *duk)
{
    t.connected = duk_to_boolean(duk, 0);

    if (t.subject != NULL) {
        mesh_agent_js_connected(t.subject, t.connected);
    }

    return 0;
}


static duk_ret_t
test_retire(duk_context *duk)
{
    mesh_agent_js_retire(t.subject);

    return 0;
}


/* gone() -> how many retired scripts were freed */
static duk_ret_t
test_gone(duk_context *duk)
{
    duk_push_int(duk, t.gone);

    return 1;
}


static duk_ret_t
test_restarts(duk_context *duk)
{
    duk_push_int(duk, t.restarts);

    return 1;
}


static const duk_function_list_entry  test_module[] = {
    { "ok", test_ok, 2 },
    { "done", test_done, 0 },
    { "sent", test_sent, 0 },
    { "log", test_log, 0 },
    { "start", test_start, 3 },
    { "command", test_command, 1 },
    { "connect", test_connect, 1 },
    { "retire", test_retire, 0 },
    { "gone", test_gone, 0 },
    { "restarts", test_restarts, 0 },
    { NULL, NULL, 0 }
};


/* in the place of the network: the global "test" */
void
mesh_agent_js_init_net(duk_context *duk)
{
    duk_push_object(duk);
    duk_put_function_list(duk, -1, test_module);
    duk_put_global_string(duk, "test");
}


/* The agent's other half */

int
mesh_agent_channel_send(mesh_agent_channel_t *ch, const uint8_t *data,
    size_t len, int text)
{
    if (!t.connected || t.nsent == MESH_AGENT_TEST_MESSAGES) {
        return -4;
    }

    t.sent[t.nsent] = mesh_agent_alloc(len + 1);
    memcpy(t.sent[t.nsent], data, len);
    t.len[t.nsent++] = len;

    return text ? 1 : 2;
}


int
mesh_agent_channel_connected(const mesh_agent_channel_t *ch)
{
    return t.connected;
}


const char *
mesh_agent_channel_url(const mesh_agent_channel_t *ch)
{
    return "wss://mesh.example.org:443/agent.ashx";
}


const char *
mesh_agent_channel_ip(const mesh_agent_channel_t *ch)
{
    return "192.0.2.1";
}


const char *
mesh_agent_channel_proxy(const mesh_agent_channel_t *ch)
{
    return NULL;
}


void
mesh_agent_channel_cert(const mesh_agent_channel_t *ch, uint8_t *key_hash,
    uint8_t *full_hash)
{
    memset(key_hash, 0xab, MESH_AGENT_ID_LEN);
    memset(full_hash, 0x1c, MESH_AGENT_ID_LEN);
}


void
mesh_agent_channel_close(mesh_agent_channel_t *ch)
{
    t.connected = 0;
}


/* nothing is installed here */
void
mesh_agent_update_forget(const char *exe)
{
}


int
mesh_agent_rtc_check(char *why)
{
    return MESH_DECLINED;
}


int
mesh_agent_core_hash(const mesh_agent_core_t *core, uint8_t *hash)
{
    memset(hash, 0xc0, MESH_AGENT_ID_LEN);

    return 1;
}


void
mesh_agent_core_restart(mesh_agent_core_t *core)
{
    t.restarts++;
}


void
mesh_agent_core_gone(mesh_agent_core_t *core, mesh_agent_js_t *js)
{
    t.gone++;

    if (js == t.subject) {
        t.subject = NULL;
    }
}


const uint8_t *
mesh_agent_id_node(const mesh_agent_id_t *id)
{
    static uint8_t  node[MESH_AGENT_ID_LEN] = { 0xde, 0xad };

    return node;
}


/* one key is enough */

const uint8_t *
mesh_agent_store_get(mesh_agent_store_t *st, const char *key, size_t *len)
{
    *len = t.value_len;

    return t.key != NULL && strcmp(t.key, key) == 0 ? t.value : NULL;
}


int
mesh_agent_store_put(mesh_agent_store_t *st, const char *key,
    const void *value, size_t len)
{
    free(t.key);
    free(t.value);
    t.key = mesh_agent_strdup(key);
    t.value = mesh_agent_alloc(len + 1);
    memcpy(t.value, value, len);
    t.value_len = len;

    return MESH_OK;
}


int
mesh_agent_store_delete(mesh_agent_store_t *st, const char *key)
{
    if (t.key != NULL && strcmp(t.key, key) == 0) {
        free(t.key);
        t.key = NULL;
    }

    return MESH_OK;
}


size_t
mesh_agent_store_size(const mesh_agent_store_t *st, const char *prefix,
    const char *key)
{
    return 0;
}


void
mesh_agent_store_each(mesh_agent_store_t *st, const char *prefix,
    void (*fn)(const char *key, void *data), void *data)
{
    if (t.key != NULL && strncmp(t.key, prefix, strlen(prefix)) == 0) {
        fn(t.key, data);
    }
}


const char *
mesh_agent_conf_get(const mesh_agent_conf_t *conf, const char *key)
{
    const mesh_agent_pair_t  *pair;

    for (pair = conf->msh; pair != NULL; pair = pair->next) {
        if (strcmp(pair->key, key) == 0) {
            return pair->value;
        }
    }

    return NULL;
}


void
mesh_agent_log(int level, const char *fmt, ...)
{
    size_t   len;
    va_list  args;

    len = strlen(t.log);

    va_start(args, fmt);
    vsnprintf(t.log + len, sizeof(t.log) - len - 2, fmt, args);
    va_end(args);

    len = strlen(t.log);
    t.log[len] = '\n';
    t.log[len + 1] = '\0';
}


void *
mesh_agent_alloc(size_t size)
{
    void  *p;

    p = calloc(1, size);
    if (p == NULL) {
        abort();
    }

    return p;
}


void *
mesh_agent_realloc(void *p, size_t size)
{
    p = realloc(p, size);
    if (p == NULL) {
        abort();
    }

    return p;
}


char *
mesh_agent_strdup(const char *s)
{
    size_t  len;

    len = strlen(s) + 1;

    return memcpy(mesh_agent_alloc(len), s, len);
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Nothing of the server is believed before it has proved the key that the
 * policy names over the certificate that it shows, or shows the one that it
 * had when it did (command 4).  Until it has let us in (its command 4), what
 * else it says is dropped.
 */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "../proto/mesh_agent_cmd.h"
#include "mesh_agent_channel.h"
#include "mesh_agent_conf.h"
#include "mesh_agent_core.h"
#include "mesh_agent_id.h"
#include "mesh_agent_lan.h"
#include "mesh_agent_retry.h"
#include "mesh_agent_state.h"
#include "mesh_agent_store.h"
#include "mesh_agent_update.h"
#include "mesh_agent_version.h"
#include "mesh_agent_ws.h"
#include "os/mesh_agent_host.h"
#include "os/mesh_agent_os.h"


#define MESH_AGENT_CHANNEL_IDLE     120           /* seconds until a ping */
#define MESH_AGENT_CHANNEL_PONG     20000         /* ms */
#define MESH_AGENT_CHANNEL_GOOD     60000         /* ms in: all is forgotten */
#define MESH_AGENT_CHANNEL_HELD     120           /* s: try the next server */
#define MESH_AGENT_CHANNEL_LOCAL    20000         /* ms: the same, of many who may
                                                     have answered */
#define MESH_AGENT_CHANNEL_BEFORE   32            /* messages until it lets us in */
#define MESH_AGENT_CHANNEL_MESSAGE  (16 * 1024 * 1024)
#define MESH_AGENT_CHANNEL_FRAME    4096          /* as stock agents */


struct mesh_agent_channel_s {
    mesh_agent_t       *a;
    mesh_agent_ws_t    *ws;               /* NULL: waiting for the next try */
    mesh_agent_lan_t   *lan;
    char               *found;            /* the URL that lan has found */
    uv_timer_t          timer;            /* next try; or ping */
    size_t              index;            /* of the server in the policy */
    unsigned            failures;         /* since it was good */
    unsigned            before;           /* messages until it lets us in */
    uint64_t            since;            /* uv_now() of the last change */
    uint64_t            reads;            /* of the WebSocket, at the ping */

    mesh_agent_url_t    url;
    char               *text;             /* of the URL, the port always in it */
    const char         *proxy;            /* of conf; NULL: without one */
    uint8_t             server_id[MESH_AGENT_ID_LEN];
    size_t              server_id_len;
    char                ip[MESH_AGENT_STREAM_IP];
    char              (*bad)[MESH_AGENT_STREAM_IP];   /* where each server
                                                         failed last */
    mesh_agent_peer_t   peer;
    uint8_t             nonce[MESH_AGENT_ID_LEN];
    uint8_t             nonce_server[MESH_AGENT_ID_LEN];

    unsigned            trusted:1;        /* it has proved itself */
    unsigned            admitted:1;       /* it has sent 4 */
    unsigned            answered:1;       /* our 2 is out */
    unsigned            informed:1;       /* our 3 is out */
    unsigned            pinged:1;
    unsigned            direct:1;         /* the proxy failed: without it */
    unsigned            quitting:1;
    unsigned            freed:1;
};


typedef void (*mesh_agent_channel_pt)(mesh_agent_channel_t *ch,
    const mesh_agent_cmd_t *cmd);

typedef struct {
    uint16_t               cmd;
    unsigned               inside;        /* only when both sides are sure */
    mesh_agent_channel_pt  handler;
} mesh_agent_channel_row_t;


static void mesh_agent_channel_try(uv_timer_t *timer);
static char *mesh_agent_channel_bad(mesh_agent_channel_t *ch);
static int mesh_agent_channel_is_local(const mesh_agent_channel_t *ch);
static void mesh_agent_channel_found(void *data);
static void mesh_agent_channel_id(mesh_agent_channel_t *ch);
static int mesh_agent_channel_server(mesh_agent_channel_t *ch);
static int mesh_agent_channel_verify(void *data, const mesh_agent_peer_t *peer);
static void mesh_agent_channel_open(void *data);
static int mesh_agent_channel_known(mesh_agent_channel_t *ch);
static void mesh_agent_channel_message(void *data, unsigned opcode, uint8_t *p,
    size_t len);
static void mesh_agent_channel_request(mesh_agent_channel_t *ch,
    const mesh_agent_cmd_t *cmd);
static void mesh_agent_channel_proof(mesh_agent_channel_t *ch,
    const mesh_agent_cmd_t *cmd);
static void mesh_agent_channel_reject(mesh_agent_channel_t *ch);
static void mesh_agent_channel_trust(mesh_agent_channel_t *ch);
static void mesh_agent_channel_about(mesh_agent_channel_t *ch);
static void mesh_agent_channel_admit(mesh_agent_channel_t *ch,
    const mesh_agent_cmd_t *cmd);
static void mesh_agent_channel_inside(mesh_agent_channel_t *ch);
static void mesh_agent_channel_update(mesh_agent_channel_t *ch,
    const mesh_agent_cmd_t *cmd);
static void mesh_agent_channel_core(mesh_agent_channel_t *ch,
    const mesh_agent_cmd_t *cmd);
static void mesh_agent_channel_binary(mesh_agent_channel_t *ch, const void *p,
    size_t len);
static void mesh_agent_channel_idle(mesh_agent_channel_t *ch);
static void mesh_agent_channel_ping(uv_timer_t *timer);
static void mesh_agent_channel_closed(void *data,
    const mesh_agent_ws_end_t *end);
static void mesh_agent_channel_drop(mesh_agent_channel_t *ch,
    const char *why);
static void mesh_agent_channel_failed(mesh_agent_channel_t *ch);
static void mesh_agent_channel_lost(mesh_agent_channel_t *ch, const char *why,
    unsigned retry_after);
static uint64_t mesh_agent_channel_delay(mesh_agent_channel_t *ch,
    unsigned retry_after);
static void mesh_agent_channel_stopped(uv_handle_t *handle);


static const mesh_agent_ws_events_t  mesh_agent_channel_events = {
    mesh_agent_channel_verify,
    mesh_agent_channel_open,
    mesh_agent_channel_message,
    NULL,
    NULL,
    mesh_agent_channel_closed
};


static const mesh_agent_channel_row_t  mesh_agent_channel_rows[] = {
    { MESH_AGENT_AUTH_REQUEST,  0, mesh_agent_channel_request },
    { MESH_AGENT_AUTH_VERIFY,   0, mesh_agent_channel_proof },
    { MESH_AGENT_AUTH_CONFIRM,  0, mesh_agent_channel_admit },
    { MESH_AGENT_CORE,          1, mesh_agent_channel_core },
    { MESH_AGENT_CORE_HASH,     1, mesh_agent_channel_core },
    { MESH_AGENT_CORE_OK,       1, mesh_agent_channel_core },
    { MESH_AGENT_CORE_DEFLATED, 1, mesh_agent_channel_core },
    { MESH_AGENT_HASH,          1, mesh_agent_channel_update },
    { MESH_AGENT_UPDATE,        1, mesh_agent_channel_update },
    { MESH_AGENT_UPDATE_BLOCK,  1, mesh_agent_channel_update },
    { 0, 0, NULL }
};


mesh_agent_channel_t *
mesh_agent_channel_create(mesh_agent_t *a)
{
    uint8_t                any;
    mesh_agent_channel_t  *ch;

    ch = mesh_agent_alloc(sizeof(mesh_agent_channel_t));
    ch->a = a;
    ch->text = mesh_agent_strdup("");

    /* many agents of one policy share its servers */
    any = 0;
    (void) RAND_bytes(&any, 1);
    ch->index = any % a->conf->nservers;
    ch->bad = mesh_agent_alloc(2 * a->conf->nservers * sizeof(*ch->bad));

    ch->lan = mesh_agent_lan_create(a->loop, mesh_agent_channel_found, ch);

    (void) uv_timer_init(a->loop, &ch->timer);
    ch->timer.data = ch;
    (void) uv_timer_start(&ch->timer, mesh_agent_channel_try, 0, 0);

    return ch;
}


void
mesh_agent_channel_quit(mesh_agent_channel_t *ch)
{
    ch->quitting = 1;
    (void) uv_timer_stop(&ch->timer);
    mesh_agent_lan_stop(ch->lan);

    if (ch->ws) {
        mesh_agent_ws_end(ch->ws, MESH_WS_CODE_AWAY);
    }
}


void
mesh_agent_channel_free(mesh_agent_channel_t *ch)
{
    ch->freed = 1;

    if (ch->ws) {
        mesh_agent_ws_close(ch->ws);
        ch->ws = NULL;
    }

    mesh_agent_lan_free(ch->lan);
    uv_close((uv_handle_t *) &ch->timer, mesh_agent_channel_stopped);
}


static void
mesh_agent_channel_stopped(uv_handle_t *handle)
{
    mesh_agent_channel_t *ch = handle->data;

    mesh_agent_url_free(&ch->url);
    free(ch->found);
    free(ch->text);
    free(ch->bad);
    free(ch);
}


static void
mesh_agent_channel_try(uv_timer_t *timer)
{
    mesh_agent_channel_t *ch = timer->data;

    const char           *value;
    mesh_agent_ws_opts_t  opts;

    mesh_agent_channel_id(ch);

    if (mesh_agent_channel_is_local(ch) && ch->found == NULL) {
        mesh_agent_lan_ask(ch->lan, ch->server_id);
        return;
    }

    if (mesh_agent_channel_server(ch) != MESH_OK) {
        mesh_agent_channel_lost(ch, "it is no URL", 0);
        return;
    }

    ch->before = 0;
    ch->trusted = 0;
    ch->admitted = 0;
    ch->answered = 0;
    ch->informed = 0;
    ch->pinged = 0;
    ch->since = uv_now(ch->a->loop);

    memset(&opts, 0, sizeof(opts));
    opts.url = &ch->url;
    ch->proxy = ch->direct || ch->found
                ? NULL : mesh_agent_conf_get(ch->a->conf, "WebProxy");
    opts.proxy = ch->proxy;
    opts.from = mesh_agent_channel_bad(ch);
    opts.behind = 1;
    opts.header = "User-Agent: MeshAgent " MESH_AGENT_VERSION_TEXT "\r\n";
    opts.events = &mesh_agent_channel_events;
    opts.data = ch;
    opts.message_max = 2 * MESH_AGENT_MAX_AUTH;     /* until it lets us in */
    opts.frame_max = MESH_AGENT_CHANNEL_FRAME;

    value = mesh_agent_conf_get(ch->a->conf, "validateWebCert");
    opts.public_ca = value && (strcmp(value, "1") == 0
                               || strcmp(value, "true") == 0);

    ch->ws = mesh_agent_ws_open(ch->a->loop, &opts);

    if (ch->ws == NULL) {
        mesh_agent_channel_lost(ch, "it cannot be called", 0);
    }
}


/* a proxy's addresses are others */
static char *
mesh_agent_channel_bad(mesh_agent_channel_t *ch)
{
    return ch->bad[2 * ch->index + (ch->proxy != NULL)];
}


static int
mesh_agent_channel_is_local(const mesh_agent_channel_t *ch)
{
    return strcmp(ch->a->conf->servers[ch->index], MESH_AGENT_LOCAL) == 0;
}


static void
mesh_agent_channel_found(void *data)
{
    mesh_agent_channel_t *ch = data;

    ch->found = mesh_agent_lan_next(ch->lan);

    if (ch->found) {
        mesh_agent_channel_try(&ch->timer);
        return;
    }

    ch->trusted = 0;
    ch->admitted = 0;
    free(ch->text);
    ch->text = mesh_agent_strdup(MESH_AGENT_LOCAL);
    mesh_agent_channel_lost(ch, "nobody on this network answers", 0);
}


static void
mesh_agent_channel_id(mesh_agent_channel_t *ch)
{
    const char  *id;

    id = ch->a->conf->server_ids[ch->index];
    ch->server_id_len = (size_t) mesh_hex_decode(ch->server_id,
                                                 MESH_AGENT_ID_LEN, id,
                                                 strlen(id));
}


/* the URL of the server of index */
static int
mesh_agent_channel_server(mesh_agent_channel_t *ch)
{
    int          v6;
    size_t       len;
    const char  *url;

    url = ch->found ? ch->found : ch->a->conf->servers[ch->index];

    mesh_agent_url_free(&ch->url);
    free(ch->text);

    if (mesh_agent_url_parse(&ch->url, url) != MESH_OK || !ch->url.tls) {
        ch->text = mesh_agent_strdup(url);
        return MESH_ERROR;
    }

    v6 = strchr(ch->url.host, ':') != NULL;
    len = strlen(ch->url.host) + strlen(ch->url.path) + 32;
    ch->text = mesh_agent_alloc(len);
    (void) snprintf(ch->text, len, "wss://%s%s%s:%u%s", v6 ? "[" : "",
                    ch->url.host, v6 ? "]" : "", ch->url.port, ch->url.path);

    return MESH_OK;
}


/* any certificate: what it is worth, the handshake says */
static int
mesh_agent_channel_verify(void *data, const mesh_agent_peer_t *peer)
{
    mesh_agent_channel_t *ch = data;

    ch->peer = *peer;

    return MESH_OK;
}


static void
mesh_agent_channel_open(void *data)
{
    mesh_agent_channel_t *ch = data;

    char     os[256];
    size_t   n;
    uint8_t  msg[MESH_AGENT_AUTH_REQUEST_LEN + sizeof(os)];

    (void) snprintf(ch->ip, sizeof(ch->ip), "%s",
                    mesh_agent_stream_ip(mesh_agent_ws_stream(ch->ws)));

    /* with the NUL that stock agents send */
    n = mesh_agent_write_text(msg, MESH_AGENT_COMMIT_DATE,
                              MESH_AGENT_VERSION_DATE,
                              sizeof(MESH_AGENT_VERSION_DATE));
    mesh_agent_channel_binary(ch, msg, n);

    mesh_agent_os_name(os, sizeof(os));
    n = mesh_agent_write_text(msg, MESH_AGENT_HOST_INFO, os, strlen(os));
    mesh_agent_channel_binary(ch, msg, n);

    n = mesh_agent_write_server_id(msg, ch->server_id, ch->server_id_len);
    mesh_agent_channel_binary(ch, msg, n);

    if (mesh_agent_channel_known(ch)) {
        ch->trusted = 1;
        n = mesh_agent_write_auth_confirm(msg);
        mesh_agent_channel_binary(ch, msg, n);
    }

    if (RAND_bytes(ch->nonce, sizeof(ch->nonce)) != 1) {
        mesh_agent_ws_end(ch->ws, MESH_WS_CODE_AWAY);
        return;
    }

    n = mesh_agent_write_auth_request(msg, ch->peer.full, ch->nonce);
    mesh_agent_channel_binary(ch, msg, n);

    if (ch->trusted) {
        mesh_agent_channel_about(ch);
    }

    mesh_agent_channel_idle(ch);
}


/* did the server that has this id prove itself over this certificate? */
static int
mesh_agent_channel_known(mesh_agent_channel_t *ch)
{
    char            key[16 + MESH_AGENT_ID_HEX];
    size_t          len;
    const uint8_t  *p;

    (void) snprintf(key, sizeof(key), "agent:tls:%s",
                    ch->a->conf->server_ids[ch->index]);
    p = mesh_agent_store_get(ch->a->store, key, &len);

    return p && len == MESH_AGENT_ID_LEN
           && memcmp(p, ch->peer.full, MESH_AGENT_ID_LEN) == 0;
}


static void
mesh_agent_channel_message(void *data, unsigned opcode, uint8_t *p, size_t len)
{
    mesh_agent_channel_t *ch = data;

    int                              rc, inside;
    mesh_agent_cmd_t                 cmd;
    const mesh_agent_channel_row_t  *row;

    ch->pinged = 0;
    inside = ch->trusted && ch->admitted;

    /* each may cost a verification and a line in the log */
    if (!inside && ++ch->before > MESH_AGENT_CHANNEL_BEFORE) {
        mesh_agent_ws_end(ch->ws, MESH_WS_CODE_POLICY);
        return;
    }

    if (len && p[0] == '{') {
        if (inside) {
            mesh_agent_core_message(ch->a->core, p, len, 1);
        }

        return;
    }

    rc = mesh_agent_cmd_parse(&cmd, p, len);

    if (rc == MESH_DECLINED && inside && cmd.cmd >= 1000) {
        mesh_agent_core_message(ch->a->core, p, len, 0);
        return;
    }

    if (rc != MESH_OK) {
        mesh_agent_log(MESH_AGENT_LOG_INFO, "the server sent %u bytes that are "
                       "no message", (unsigned) len);
        return;
    }

    for (row = mesh_agent_channel_rows; row->handler; row++) {
        if (row->cmd == cmd.cmd) {

            if (!row->inside == !inside) {
                row->handler(ch, &cmd);
            }

            return;
        }
    }
}


/* 1: it has our certificate's hash and a nonce; we prove who we are */
static void
mesh_agent_channel_request(mesh_agent_channel_t *ch,
    const mesh_agent_cmd_t *cmd)
{
    size_t          n, cert_len;
    uint8_t         input[MESH_AGENT_SIGN_LEN];
    uint8_t         sig[MESH_AGENT_ID_SIGNATURE];
    uint8_t         msg[MESH_AGENT_MAX_AUTH];
    const uint8_t  *cert;

    if (ch->answered) {
        return;
    }

    if (memcmp(cmd->u.request.web_hash, ch->peer.full, MESH_AGENT_ID_LEN) != 0
        && memcmp(cmd->u.request.web_hash, ch->peer.key, MESH_AGENT_ID_LEN)
           != 0)
    {
        mesh_agent_log(MESH_AGENT_LOG_WARN, "\"%s\" shows a certificate that is "
                       "not its own: somebody may listen on the way", ch->text);
        mesh_agent_channel_reject(ch);
        return;
    }

    mesh_agent_sign_input(input, MESH_AGENT_SIGN_AGENT, ch->peer.full,
                          ch->nonce, cmd->u.request.nonce);
    n = mesh_agent_id_sign(ch->a->id, input, sizeof(input), sig);

    if (n == 0) {
        return;
    }

    /* the server's own signature is over the same three */
    memcpy(ch->nonce_server, cmd->u.request.nonce, MESH_AGENT_ID_LEN);
    ch->answered = 1;

    cert = mesh_agent_id_cert(ch->a->id, &cert_len);
    n = mesh_agent_write_auth_verify(msg, sizeof(msg), cert, cert_len, sig, n);
    mesh_agent_channel_binary(ch, msg, n);
}


/* 2: it proves who it is */
static void
mesh_agent_channel_proof(mesh_agent_channel_t *ch, const mesh_agent_cmd_t *cmd)
{
    int      rc;
    uint8_t  input[MESH_AGENT_SIGN_LEN];

    if (!ch->answered || ch->trusted) {
        return;
    }

    mesh_agent_sign_input(input, MESH_AGENT_SIGN_SERVER, ch->peer.full,
                          ch->nonce, ch->nonce_server);

    rc = mesh_agent_id_verify(cmd->u.verify.cert, cmd->u.verify.cert_len,
                              cmd->u.verify.sig, cmd->u.verify.sig_len,
                              ch->server_id, ch->server_id_len, input);

    if (rc != MESH_OK) {
        mesh_agent_log(MESH_AGENT_LOG_WARN, "\"%s\" %s and is not obeyed",
                       ch->text, rc == MESH_DECLINED
                                 ? "is not the server of the policy"
                                 : "signs what it should not");
        mesh_agent_channel_reject(ch);
        return;
    }

    mesh_agent_channel_trust(ch);
}


/* who was found has no claim to our time; another one may be the server */
static void
mesh_agent_channel_reject(mesh_agent_channel_t *ch)
{
    if (ch->found) {
        mesh_agent_ws_end(ch->ws, MESH_WS_CODE_POLICY);
    }
}


static void
mesh_agent_channel_trust(mesh_agent_channel_t *ch)
{
    char  key[16 + MESH_AGENT_ID_HEX];

    ch->trusted = 1;

    (void) snprintf(key, sizeof(key), "agent:tls:%s",
                    ch->a->conf->server_ids[ch->index]);
    (void) mesh_agent_store_put(ch->a->store, key, ch->peer.full,
                                MESH_AGENT_ID_LEN);

    mesh_agent_channel_about(ch);

    if (ch->admitted) {
        mesh_agent_channel_inside(ch);
    }
}


/* 3: what we are, and before it how we would like to be called */
static void
mesh_agent_channel_about(mesh_agent_channel_t *ch)
{
    char                name[UV_MAXHOSTNAMESIZE], text[1024];
    size_t              n, len;
    uint8_t             msg[72 + UV_MAXHOSTNAMESIZE];
    const char         *wish;
    mesh_agent_about_t  about;

    if (ch->informed) {
        return;
    }

    ch->informed = 1;
    wish = mesh_agent_conf_get(ch->a->conf, "agentName");

    if (wish && strlen(wish) < 256 && strpbrk(wish, "\"\\") == NULL) {
        n = (size_t) snprintf(text, sizeof(text),
                              "{\"action\":\"agentName\",\"value\":\"%s\"}",
                              wish);
        (void) mesh_agent_ws_send(ch->ws, MESH_WS_TEXT, text, n);
    }

    len = sizeof(name);

    if (uv_os_gethostname(name, &len) != 0) {
        len = 0;
    }

    memset(&about, 0, sizeof(about));
    about.agent_id = (uint32_t) mesh_agent_os_arch_id();
    about.version = MESH_AGENT_VERSION;
    about.platform = mesh_agent_os_kind();
    about.caps = MESH_AGENT_CAP_CONSOLE|MESH_AGENT_CAP_JAVASCRIPT
                 |MESH_AGENT_CAP_COMPRESSED;
    about.mesh = ch->a->conf->mesh_id;
    about.mesh_len = ch->a->conf->mesh_id_len;
    about.name = name;
    about.name_len = len;

    n = mesh_agent_write_info(msg, &about);
    mesh_agent_channel_binary(ch, msg, n);
}


/* 4: it lets us in */
static void
mesh_agent_channel_admit(mesh_agent_channel_t *ch, const mesh_agent_cmd_t *cmd)
{
    ch->admitted = 1;

    if (ch->trusted) {
        mesh_agent_channel_inside(ch);
    }
}


static void
mesh_agent_channel_inside(mesh_agent_channel_t *ch)
{
    size_t       n;
    uint8_t      msg[2 + MESH_AGENT_MAX_AUTH];
    const char  *tag;

    ch->since = uv_now(ch->a->loop);
    mesh_agent_lan_forget(ch->lan);
    mesh_agent_ws_message_max(ch->ws, MESH_AGENT_CHANNEL_MESSAGE);

    mesh_agent_log(MESH_AGENT_LOG_NOTICE, "connected to %s", ch->text);
    mesh_agent_state(ch->a, ch->text, 1);

    tag = mesh_agent_conf_get(ch->a->conf, "Tag");
    n = tag ? strnlen(tag, MESH_AGENT_MAX_AUTH) : 0;
    n = mesh_agent_write_text(msg, MESH_AGENT_TAG, tag ? tag : "", n);
    mesh_agent_channel_binary(ch, msg, n);

    mesh_agent_update_proved(ch->a->update);
    mesh_agent_core_connected(ch->a->core, 1);
}


static void
mesh_agent_channel_update(mesh_agent_channel_t *ch,
    const mesh_agent_cmd_t *cmd)
{
    mesh_agent_update_command(ch->a->update, cmd);
}


static void
mesh_agent_channel_core(mesh_agent_channel_t *ch, const mesh_agent_cmd_t *cmd)
{
    mesh_agent_core_command(ch->a->core, cmd);
}


static void
mesh_agent_channel_binary(mesh_agent_channel_t *ch, const void *p, size_t len)
{
    if (ch->ws) {
        (void) mesh_agent_ws_send(ch->ws, MESH_WS_BINARY, p, len);
    }
}


int
mesh_agent_channel_send(mesh_agent_channel_t *ch, const uint8_t *data,
    size_t len, int text)
{
    if (ch->ws == NULL || !ch->trusted || !ch->admitted || len == 0
        || mesh_agent_ws_send(ch->ws, text ? MESH_WS_TEXT : MESH_WS_BINARY,
                              data, len)
           == MESH_ERROR)
    {
        return -4;
    }

    return 1;
}


int
mesh_agent_channel_connected(const mesh_agent_channel_t *ch)
{
    return ch->ws != NULL && ch->trusted && ch->admitted;
}


const char *
mesh_agent_channel_url(const mesh_agent_channel_t *ch)
{
    return ch->text;
}


const char *
mesh_agent_channel_ip(const mesh_agent_channel_t *ch)
{
    return ch->ip;
}


const char *
mesh_agent_channel_proxy(const mesh_agent_channel_t *ch)
{
    return ch->proxy;
}


void
mesh_agent_channel_cert(const mesh_agent_channel_t *ch, uint8_t *key_hash,
    uint8_t *full_hash)
{
    memcpy(key_hash, ch->peer.key, MESH_AGENT_ID_LEN);
    memcpy(full_hash, ch->peer.full, MESH_AGENT_ID_LEN);
}


void
mesh_agent_channel_close(mesh_agent_channel_t *ch)
{
    if (ch->ws) {
        mesh_agent_ws_end(ch->ws, MESH_WS_CODE_AWAY);
    }
}


/* the timer, while there is a connection */
static void
mesh_agent_channel_idle(mesh_agent_channel_t *ch)
{
    long  idle;

    idle = mesh_agent_conf_number(ch->a->conf, "controlChannelIdleTimeout", 5,
                                  3600, MESH_AGENT_CHANNEL_IDLE);

    /* as long as it does not let us in, it may have nothing to do with us */
    if (ch->found && !(ch->trusted && ch->admitted)) {
        idle = MESH_AGENT_CHANNEL_LOCAL / 1000;
    }

    (void) uv_timer_start(&ch->timer, mesh_agent_channel_ping,
                          (uint64_t) idle * 1000, 0);
}


static void
mesh_agent_channel_ping(uv_timer_t *timer)
{
    mesh_agent_channel_t *ch = timer->data;

    int       inside;
    uint64_t  held;

    inside = ch->trusted && ch->admitted;

    if (ch->pinged && mesh_agent_ws_reads(ch->ws) == ch->reads) {
        mesh_agent_channel_drop(ch, "it does not answer");
        return;
    }

    /* held, and there is another one to ask */

    held = ch->found
           ? MESH_AGENT_CHANNEL_LOCAL
           : 1000 * (uint64_t) mesh_agent_conf_number(ch->a->conf,
                         "admitTimeout", 1, 3600, MESH_AGENT_CHANNEL_HELD);

    if (!inside && (ch->found || ch->a->conf->nservers > 1)
        && uv_now(ch->a->loop) - ch->since >= held)
    {
        mesh_agent_channel_drop(ch, "it does not let us in");
        return;
    }

    if (ch->pinged) {
        ch->pinged = 0;
        mesh_agent_channel_idle(ch);
        return;
    }

    ch->pinged = 1;
    ch->reads = mesh_agent_ws_reads(ch->ws);
    (void) mesh_agent_ws_send(ch->ws, MESH_WS_PING, "", 0);
    (void) uv_timer_start(&ch->timer, mesh_agent_channel_ping,
                          MESH_AGENT_CHANNEL_PONG, 0);
}


static void
mesh_agent_channel_drop(mesh_agent_channel_t *ch, const char *why)
{
    mesh_agent_channel_failed(ch);
    mesh_agent_ws_close(ch->ws);
    mesh_agent_channel_lost(ch, why, 0);
}


/* an address that takes connections and does not let us in hides no other */
static void
mesh_agent_channel_failed(mesh_agent_channel_t *ch)
{
    if (!(ch->trusted && ch->admitted)) {
        (void) snprintf(mesh_agent_channel_bad(ch), MESH_AGENT_STREAM_IP, "%s",
                        mesh_agent_stream_ip(mesh_agent_ws_stream(ch->ws)));
    }
}


static void
mesh_agent_channel_closed(void *data, const mesh_agent_ws_end_t *end)
{
    mesh_agent_channel_t *ch = data;

    char         text[64];
    const char  *why;

    mesh_agent_channel_failed(ch);
    why = end->why;

    if (why == NULL && end->code && end->code != MESH_WS_CODE_NONE) {
        (void) snprintf(text, sizeof(text), "it closes with code %u",
                        end->code);
        why = text;
    }

    mesh_agent_channel_lost(ch, why ? why : "it hangs up", end->retry_after);
}


/* ch->ws is no more */
static void
mesh_agent_channel_lost(mesh_agent_channel_t *ch, const char *why,
    unsigned retry_after)
{
    int       inside;
    uint64_t  delay;

    inside = ch->trusted && ch->admitted;
    ch->ws = NULL;
    free(ch->found);
    ch->found = inside ? NULL : mesh_agent_lan_next(ch->lan);

    if (ch->quitting) {
        uv_stop(ch->a->loop);
        return;
    }

    if (inside && uv_now(ch->a->loop) - ch->since >= MESH_AGENT_CHANNEL_GOOD) {
        ch->failures = 0;
    }

    if (!inside && ch->found == NULL) {

        /* once without the proxy, then the next server */

        if (mesh_agent_conf_get(ch->a->conf, "WebProxy")) {
            ch->direct = !ch->direct;
        }

        if (!ch->direct) {
            ch->index = (ch->index + 1) % ch->a->conf->nservers;
        }

        /* it does not speak for the next one */
        if (!ch->direct && ch->a->conf->nservers > 1) {
            retry_after = 0;
        }
    }

    /* who else has answered is asked at once */
    delay = ch->found ? 0 : mesh_agent_channel_delay(ch, retry_after);

    mesh_agent_log(MESH_AGENT_LOG_NOTICE, "%s %s: %s; next try in %u.%u s",
                   inside ? "lost" : "no connection to", ch->text, why,
                   (unsigned) (delay / 1000), (unsigned) (delay % 1000 / 100));
    mesh_agent_state(ch->a, ch->text, 0);

    ch->trusted = 0;
    ch->admitted = 0;
    (void) uv_timer_start(&ch->timer, mesh_agent_channel_try, delay, 0);

    if (inside) {
        mesh_agent_core_connected(ch->a->core, 0);
    }
}


/* a session that was short counts as a failure too */
static uint64_t
mesh_agent_channel_delay(mesh_agent_channel_t *ch, unsigned retry_after)
{
    uint32_t  any;
    uint64_t  delay;

    any = 0;
    (void) RAND_bytes((uint8_t *) &any, sizeof(any));
    delay = mesh_agent_retry(ch->failures, retry_after, any);

    if (ch->failures < UINT_MAX) {
        ch->failures++;
    }

    return delay;
}

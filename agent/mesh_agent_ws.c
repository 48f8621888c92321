/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "../proto/mesh_http.h"
#include "mesh_agent_ws.h"


#define MESH_AGENT_WS_HEAD    16384       /* bytes of the answer's header */
#define MESH_AGENT_WS_NONCE   16
#define MESH_AGENT_WS_KEY     24          /* of it, base64 */
#define MESH_AGENT_WS_ACCEPT  28
#define MESH_AGENT_WS_GUID    "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


struct mesh_agent_ws_s {
    uv_loop_t                     *loop;
    mesh_agent_stream_t           *stream;
    const mesh_agent_ws_events_t  *events;
    void                          *data;

    char                          *request;
    char                          *head;          /* of the answer */
    size_t                         head_len;
    char                           accept[MESH_AGENT_WS_ACCEPT + 1];

    mesh_ws_parse_t                parse;
    uint8_t                       *message;       /* one in pieces */
    size_t                         message_len;
    size_t                         message_size;
    size_t                         message_max;
    size_t                         frame_max;

    uint64_t                       reads;
    mesh_agent_ws_end_t            end;
    char                           why[192];
    unsigned                       open:1;
    unsigned                       ending:1;      /* our close frame is out */
    unsigned                       closed:1;
    unsigned                       reading:1;     /* read() frees it */
};


static int mesh_agent_ws_verify(void *data, const mesh_agent_peer_t *peer);
static void mesh_agent_ws_connected(void *data);
static void mesh_agent_ws_read(void *data, uint8_t *buf, size_t len);
static size_t mesh_agent_ws_answer(mesh_agent_ws_t *ws, const uint8_t *p,
    size_t len);
static int mesh_agent_ws_accepted(mesh_agent_ws_t *ws,
    const mesh_http_answer_t *answer);
static void mesh_agent_ws_frames(mesh_agent_ws_t *ws, uint8_t *p, size_t len);
static void mesh_agent_ws_piece(mesh_agent_ws_t *ws, mesh_ws_event_t *ev);
static void mesh_agent_ws_message(mesh_agent_ws_t *ws, unsigned opcode,
    uint8_t *p, size_t len);
static void mesh_agent_ws_drop(mesh_agent_ws_t *ws);
static void mesh_agent_ws_control(mesh_agent_ws_t *ws, mesh_ws_event_t *ev);
static int mesh_agent_ws_frame(mesh_agent_ws_t *ws, unsigned opcode, int fin,
    const uint8_t *data, size_t len);
static void mesh_agent_ws_drain(void *data);
static void mesh_agent_ws_closed(void *data, const char *why);
static void mesh_agent_ws_free(mesh_agent_ws_t *ws);


static const mesh_agent_stream_events_t  mesh_agent_ws_stream_events = {
    mesh_agent_ws_verify,
    mesh_agent_ws_connected,
    mesh_agent_ws_read,
    mesh_agent_ws_drain,
    mesh_agent_ws_closed
};


int
mesh_agent_url_parse(mesh_agent_url_t *url, const char *text)
{
    char             *p;
    mesh_http_url_t   parsed;

    memset(url, 0, sizeof(mesh_agent_url_t));

    if (mesh_http_url_parse(&parsed, text, strlen(text)) != MESH_OK) {
        return MESH_ERROR;
    }

    url->tls = parsed.tls;
    url->port = parsed.port;
    url->explicit_port = parsed.explicit_port;

    url->host = mesh_agent_alloc(parsed.host_len + 1);
    memcpy(url->host, parsed.host, parsed.host_len);

    url->path = mesh_agent_alloc(parsed.path_len + 2);
    p = url->path;

    if (parsed.path_len == 0 || parsed.path[0] != '/') {
        *p++ = '/';
    }

    memcpy(p, parsed.path, parsed.path_len);

    return MESH_OK;
}


void
mesh_agent_url_free(mesh_agent_url_t *url)
{
    free(url->host);
    free(url->path);
    url->host = NULL;
    url->path = NULL;
}


mesh_agent_ws_t *
mesh_agent_ws_open(uv_loop_t *loop, const mesh_agent_ws_opts_t *opts)
{
    int                         v6;
    char                        port[8], text[128];
    size_t                      size;
    uint8_t                     key[MESH_AGENT_WS_KEY + 1], hash[20];
    uint8_t                     nonce[MESH_AGENT_WS_NONCE];
    const char                 *header;
    mesh_agent_ws_t            *ws;
    mesh_agent_stream_opts_t    so;

    if (RAND_bytes(nonce, sizeof(nonce)) != 1) {
        return NULL;
    }

    ws = mesh_agent_alloc(sizeof(mesh_agent_ws_t));
    ws->loop = loop;
    ws->events = opts->events;
    ws->data = opts->data;
    ws->message_max = opts->message_max;
    ws->frame_max = opts->frame_max;

    (void) EVP_EncodeBlock(key, nonce, sizeof(nonce));
    (void) snprintf(text, sizeof(text), "%s" MESH_AGENT_WS_GUID, key);
    (void) SHA1((uint8_t *) text, strlen(text), hash);
    (void) EVP_EncodeBlock((uint8_t *) ws->accept, hash, sizeof(hash));

    header = opts->header ? opts->header : "";
    port[0] = '\0';

    if (opts->url->explicit_port) {
        (void) snprintf(port, sizeof(port), ":%u", opts->url->port);
    }

    v6 = strchr(opts->url->host, ':') != NULL;
    size = strlen(opts->url->path) + strlen(opts->url->host) + strlen(header)
           + 256;
    ws->request = mesh_agent_alloc(size);
    (void) snprintf(ws->request, size,
                    "GET %s HTTP/1.1\r\nHost: %s%s%s%s\r\n"
                    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
                    "%s\r\n",
                    opts->url->path, v6 ? "[" : "", opts->url->host,
                    v6 ? "]" : "", port, key, header);

    memset(&so, 0, sizeof(so));
    so.host = opts->url->host;
    so.port = opts->url->port;
    so.tls = opts->url->tls;
    so.proxy = opts->proxy;
    so.from = opts->from;
    so.behind = opts->behind;
    so.public_ca = opts->public_ca;
    so.events = &mesh_agent_ws_stream_events;
    so.data = ws;

    ws->stream = mesh_agent_stream_open(loop, &so);

    if (ws->stream == NULL) {
        mesh_agent_ws_free(ws);
        return NULL;
    }

    return ws;
}


static int
mesh_agent_ws_verify(void *data, const mesh_agent_peer_t *peer)
{
    mesh_agent_ws_t *ws = data;

    return ws->events->verify ? ws->events->verify(ws->data, peer) : MESH_OK;
}


static void
mesh_agent_ws_connected(void *data)
{
    mesh_agent_ws_t *ws = data;

    ws->head = mesh_agent_alloc(MESH_AGENT_WS_HEAD);

    (void) mesh_agent_stream_write(ws->stream, ws->request,
                                   strlen(ws->request));
    free(ws->request);
    ws->request = NULL;

    mesh_agent_stream_limit(ws->stream, MESH_AGENT_STREAM_WAIT);
}


static void
mesh_agent_ws_read(void *data, uint8_t *buf, size_t len)
{
    mesh_agent_ws_t *ws = data;

    size_t  n;

    ws->reads++;
    ws->reading = 1;

    if (!ws->open && !ws->ending) {
        n = mesh_agent_ws_answer(ws, buf, len);
        buf += n;
        len -= n;
    }

    if (ws->open && !ws->closed) {
        mesh_agent_ws_frames(ws, buf, len);
    }

    ws->reading = 0;

    if (ws->closed) {
        mesh_agent_ws_free(ws);
    }
}


/* how many of the bytes belong to the header */
static size_t
mesh_agent_ws_answer(mesh_agent_ws_t *ws, const uint8_t *p, size_t len)
{
    int                 rc;
    size_t              n, had;
    mesh_http_answer_t  answer;

    had = ws->head_len;
    n = MESH_AGENT_WS_HEAD - had;
    n = len < n ? len : n;
    memcpy(ws->head + had, p, n);
    ws->head_len += n;

    rc = mesh_http_answer_parse(&answer, ws->head, ws->head_len);

    if (rc == MESH_AGAIN) {
        if (ws->head_len == MESH_AGENT_WS_HEAD) {
            ws->end.why = "the answer's header is too long";
            mesh_agent_ws_end(ws, MESH_WS_CODE_NONE);
        }

        return n;
    }

    if (rc == MESH_ERROR) {
        ws->end.why = "the answer is no HTTP";
        mesh_agent_ws_end(ws, MESH_WS_CODE_NONE);
        return n;
    }

    n = answer.size - had;

    if (mesh_agent_ws_accepted(ws, &answer) != MESH_OK) {
        mesh_agent_ws_end(ws, MESH_WS_CODE_NONE);
        return n;
    }

    free(ws->head);
    ws->head = NULL;
    ws->open = 1;

    mesh_agent_stream_limit(ws->stream, 0);
    ws->events->open(ws->data);

    return n;
}


static int
mesh_agent_ws_accepted(mesh_agent_ws_t *ws, const mesh_http_answer_t *answer)
{
    long         seconds;
    size_t       len;
    const char  *value;

    if (answer->status != 101) {
        value = mesh_http_line(answer, "retry-after", &len);
        seconds = value ? mesh_http_number(value, len, INT_MAX) : 0;

        ws->end.status = answer->status;
        ws->end.retry_after = seconds > 0 ? (unsigned) seconds : 0;

        (void) snprintf(ws->why, sizeof(ws->why), "it answers %u",
                        ws->end.status);
        ws->end.why = ws->why;
        return MESH_ERROR;
    }

    value = mesh_http_line(answer, "sec-websocket-accept", &len);

    if (value == NULL || len != MESH_AGENT_WS_ACCEPT
        || memcmp(value, ws->accept, len) != 0)
    {
        ws->end.why = "it is no WebSocket server";
        return MESH_ERROR;
    }

    return MESH_OK;
}


static void
mesh_agent_ws_frames(mesh_agent_ws_t *ws, uint8_t *p, size_t len)
{
    int               rc;
    uint8_t          *last;
    mesh_ws_event_t   ev;
    mesh_ws_limits_t  limits;

    memset(&limits, 0, sizeof(limits));
    last = p + len;

    while (!ws->closed && !ws->ending) {
        limits.message_max = ws->message_max;
        rc = mesh_ws_parse(&ws->parse, &limits, &p, last, &ev);

        switch (rc) {

        case MESH_AGAIN:
            return;

        case MESH_WS_DATA:
            mesh_agent_ws_piece(ws, &ev);
            break;

        case MESH_WS_END:
            mesh_agent_ws_message(ws, ev.opcode, ws->message, ws->message_len);
            break;

        case MESH_WS_CONTROL:
            mesh_agent_ws_control(ws, &ev);
            break;

        case MESH_ERROR:
            ws->end.why = ev.code == MESH_WS_CODE_BIG
                          ? "a message of it is too long"
                          : "it breaks the rules of WebSocket";
            mesh_agent_ws_end(ws, ev.code);
            return;

        default:
            break;
        }
    }
}


/* collected; its room grows with what has come, not with what is announced */
static void
mesh_agent_ws_piece(mesh_agent_ws_t *ws, mesh_ws_event_t *ev)
{
    size_t  need;

    need = ws->message_len + ev->size;      /* the parser knows the maximum */

    if (need > ws->message_size) {
        ws->message_size = need + need / 2 + 512;
        ws->message = mesh_agent_realloc(ws->message, ws->message_size);
    }

    memcpy(ws->message + ws->message_len, ev->data, ev->size);
    ws->message_len = need;
}


static void
mesh_agent_ws_message(mesh_agent_ws_t *ws, unsigned opcode, uint8_t *p,
    size_t len)
{
    uint8_t  none[1] = { 0 };

    /* ours until the handler returns, even if it closes us */
    ws->message = NULL;
    ws->message_len = 0;
    ws->message_size = 0;

    ws->events->message(ws->data, opcode, p ? p : none, len);

    free(p);
}


static void
mesh_agent_ws_drop(mesh_agent_ws_t *ws)
{
    free(ws->message);
    ws->message = NULL;
    ws->message_len = 0;
    ws->message_size = 0;
}


static void
mesh_agent_ws_control(mesh_agent_ws_t *ws, mesh_ws_event_t *ev)
{
    switch (ev->opcode) {

    case MESH_WS_PING:
        (void) mesh_agent_ws_frame(ws, MESH_WS_PONG, 1, ev->data, ev->size);
        break;

    case MESH_WS_CLOSE:
        ws->end.code = ev->code;
        mesh_agent_ws_end(ws, ev->code == MESH_WS_CODE_NONE
                              ? MESH_WS_CODE_NORMAL : ev->code);
        return;

    default:
        break;
    }

    if (ws->events->control) {
        ws->events->control(ws->data, ev->opcode);
    }
}


int
mesh_agent_ws_send(mesh_agent_ws_t *ws, unsigned opcode, const void *data,
    size_t len)
{
    int             rc;
    size_t          n;
    const uint8_t  *p;

    if (!ws->open || ws->ending || ws->closed) {
        return MESH_ERROR;
    }

    p = data;

    while (ws->frame_max && len > ws->frame_max) {
        n = ws->frame_max;
        rc = mesh_agent_ws_frame(ws, opcode, 0, p, n);

        if (rc == MESH_ERROR) {
            return rc;
        }

        opcode = MESH_WS_CONT;
        p += n;
        len -= n;
    }

    return mesh_agent_ws_frame(ws, opcode, 1, p, len);
}


static int
mesh_agent_ws_frame(mesh_agent_ws_t *ws, unsigned opcode, int fin,
    const uint8_t *data, size_t len)
{
    int       rc;
    size_t    n;
    uint8_t  *p, mask[4];

    if (len > MESH_AGENT_STREAM_MAX || RAND_bytes(mask, sizeof(mask)) != 1) {
        return MESH_ERROR;
    }

    p = malloc(MESH_WS_MAX_HEAD_MASKED + len);

    if (p == NULL) {
        return MESH_ERROR;
    }

    n = mesh_ws_head_masked(p, (uint8_t) opcode, fin, len, mask);

    if (len) {
        (void) mesh_ws_unmask(p + n, data, len, mask, 0);
    }

    rc = mesh_agent_stream_write(ws->stream, p, n + len);
    free(p);

    return rc;
}


void
mesh_agent_ws_message_max(mesh_agent_ws_t *ws, size_t max)
{
    ws->message_max = max;
}


void
mesh_agent_ws_pause(mesh_agent_ws_t *ws)
{
    mesh_agent_stream_pause(ws->stream);
}


void
mesh_agent_ws_resume(mesh_agent_ws_t *ws)
{
    mesh_agent_stream_resume(ws->stream);
}


void
mesh_agent_ws_end(mesh_agent_ws_t *ws, unsigned code)
{
    uint8_t  body[2];

    if (ws->closed || ws->ending) {
        return;
    }

    if (ws->open) {
        mesh_put16(body, (uint16_t) code);
        (void) mesh_agent_ws_frame(ws, MESH_WS_CLOSE, 1, body, sizeof(body));
    }

    ws->ending = 1;
    mesh_agent_ws_drop(ws);
    mesh_agent_stream_end(ws->stream);
}


void
mesh_agent_ws_close(mesh_agent_ws_t *ws)
{
    if (ws->closed) {
        return;
    }

    mesh_agent_stream_close(ws->stream);
    ws->closed = 1;

    if (!ws->reading) {
        mesh_agent_ws_free(ws);
    }
}


static void
mesh_agent_ws_drain(void *data)
{
    mesh_agent_ws_t *ws = data;

    if (ws->open && !ws->ending && ws->events->drain) {
        ws->events->drain(ws->data);
    }
}


static void
mesh_agent_ws_closed(void *data, const char *why)
{
    mesh_agent_ws_t *ws = data;

    /* who has said goodbye may hang up as he likes */
    if (ws->end.why == NULL && why && ws->end.code == 0) {
        (void) snprintf(ws->why, sizeof(ws->why), "%s", why);
        ws->end.why = ws->why;
    }

    ws->closed = 1;
    ws->events->closed(ws->data, &ws->end);
    mesh_agent_ws_free(ws);
}


static void
mesh_agent_ws_free(mesh_agent_ws_t *ws)
{
    mesh_agent_ws_drop(ws);
    free(ws->request);
    free(ws->head);
    free(ws);
}


uint64_t
mesh_agent_ws_reads(const mesh_agent_ws_t *ws)
{
    return ws->reads;
}


mesh_agent_stream_t *
mesh_agent_ws_stream(mesh_agent_ws_t *ws)
{
    return ws->stream;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * native.webSocket({host, port, path, tls, header, proxy}).
 *
 * What it calls: onverify(certificate) -> true, with TLS; onopen();
 * ondata(string | Buffer), one message; onping(), onpong(); ondrain(); at the
 * end onclose(why, status, code): why is undefined when the other side wished
 * it, status that of HTTP when it refused, code that of a close frame.
 * Nothing after close().
 */

#include <stdlib.h>
#include <string.h>

#include "mesh_agent_js_net.h"
#include "mesh_agent_ws.h"


#define MESH_AGENT_JS_WS_MESSAGE  (16 * 1024 * 1024)   /* bytes */
#define MESH_AGENT_JS_WS_HEADER   16384                /* bytes of our lines */


typedef struct {
    mesh_agent_js_obj_t   obj;
    mesh_agent_ws_t      *ws;             /* NULL: it has ended */
    unsigned              ending:1;       /* closed() frees it */
} mesh_agent_js_ws_t;


static duk_ret_t mesh_agent_js_ws_create(duk_context *duk);
static void mesh_agent_js_ws_header(duk_context *duk, const char *header);
static duk_ret_t mesh_agent_js_ws_write(duk_context *duk);
static duk_ret_t mesh_agent_js_ws_ping(duk_context *duk);
static duk_ret_t mesh_agent_js_ws_pause(duk_context *duk);
static duk_ret_t mesh_agent_js_ws_resume(duk_context *duk);
static duk_ret_t mesh_agent_js_ws_end(duk_context *duk);
static duk_ret_t mesh_agent_js_ws_close_method(duk_context *duk);
static int mesh_agent_js_ws_verify(void *data, const mesh_agent_peer_t *peer);
static void mesh_agent_js_ws_open(void *data);
static void mesh_agent_js_ws_message(void *data, unsigned opcode, uint8_t *p,
    size_t len);
static void mesh_agent_js_ws_control(void *data, unsigned opcode);
static void mesh_agent_js_ws_drain(void *data);
static void mesh_agent_js_ws_closed(void *data,
    const mesh_agent_ws_end_t *end);
static mesh_agent_js_ws_t *mesh_agent_js_ws_this(duk_context *duk);
static void mesh_agent_js_ws_close(mesh_agent_js_obj_t *obj);


static const duk_function_list_entry  mesh_agent_js_ws_methods[] = {
    { "write", mesh_agent_js_ws_write, 1 },
    { "ping", mesh_agent_js_ws_ping, 0 },
    { "pause", mesh_agent_js_ws_pause, 0 },
    { "resume", mesh_agent_js_ws_resume, 0 },
    { "end", mesh_agent_js_ws_end, 0 },
    { "close", mesh_agent_js_ws_close_method, 0 },
    { NULL, NULL, 0 }
};

static const mesh_agent_ws_events_t  mesh_agent_js_ws_events = {
    mesh_agent_js_ws_verify,
    mesh_agent_js_ws_open,
    mesh_agent_js_ws_message,
    mesh_agent_js_ws_control,
    mesh_agent_js_ws_drain,
    mesh_agent_js_ws_closed
};


void
mesh_agent_js_init_ws(duk_context *duk)
{
    (void) duk_push_c_function(duk, mesh_agent_js_ws_create, 1);
    (void) duk_put_prop_string(duk, -2, "webSocket");
}


/* webSocket({host, port, path, tls, header, proxy}) -> handle */
static duk_ret_t
mesh_agent_js_ws_create(duk_context *duk)
{
    char                  host[256], proxy[512];
    char                  path[MESH_AGENT_JS_WS_HEADER];
    char                  header[MESH_AGENT_JS_WS_HEADER];
    const char           *p;
    mesh_agent_url_t      url;
    mesh_agent_t         *a;
    mesh_agent_js_ws_t   *w;
    mesh_agent_ws_opts_t  opts;

    memset(&opts, 0, sizeof(opts));
    memset(&url, 0, sizeof(url));

    url.host = (char *) mesh_agent_js_option_text(duk, 0, "host", host,
                                                  sizeof(host));
    url.path = (char *) mesh_agent_js_option_text(duk, 0, "path", path,
                                                  sizeof(path));
    url.port = mesh_agent_js_option_port(duk, 0, "port");
    url.tls = mesh_agent_js_option_flag(duk, 0, "tls") != 0;
    url.explicit_port = 1;

    opts.url = &url;
    opts.header = mesh_agent_js_option_text(duk, 0, "header", header,
                                            sizeof(header));
    opts.proxy = mesh_agent_js_option_text(duk, 0, "proxy", proxy,
                                           sizeof(proxy));
    opts.events = &mesh_agent_js_ws_events;
    opts.message_max = MESH_AGENT_JS_WS_MESSAGE;

    if (url.host == NULL || url.path == NULL || url.port == 0) {
        return duk_error(duk, DUK_ERR_TYPE_ERROR,
                         "host, port and path are needed");
    }

    /* a request's line must not become two */

    for (p = url.path; *p; p++) {
        if ((unsigned char) *p <= ' ' || *p == 0x7f) {
            return duk_error(duk, DUK_ERR_TYPE_ERROR, "path is not clean");
        }
    }

    if (opts.header) {
        mesh_agent_js_ws_header(duk, opts.header);
    }

    mesh_agent_js_push_object(duk, "webSocket", mesh_agent_js_ws_methods);

    w = mesh_agent_alloc(sizeof(mesh_agent_js_ws_t));
    mesh_agent_js_open(duk, -1, &w->obj, mesh_agent_js_ws_close);
    w->obj.session = 1;

    /* where the server was good for the channel */
    a = mesh_agent_js_agent(w->obj.js);
    opts.from = mesh_agent_channel_ip(a->channel);

    opts.data = w;
    w->ws = mesh_agent_ws_open(a->loop, &opts);

    if (w->ws == NULL) {
        mesh_agent_js_ws_close(&w->obj);
        return duk_error(duk, DUK_ERR_ERROR, "no connection can be made");
    }

    return 1;
}


/* whole lines, no empty one: that would end the header */
static void
mesh_agent_js_ws_header(duk_context *duk, const char *header)
{
    const char  *p;

    for (p = header; *p; ) {
        if (*p == '\r' || *p == '\n' || *p == ':') {
            break;
        }

        p += strcspn(p, "\r\n");

        if (p[0] != '\r' || p[1] != '\n') {
            break;
        }

        p += 2;
    }

    if (*p) {
        (void) duk_error(duk, DUK_ERR_TYPE_ERROR, "header is not clean");
    }
}


/* write(string | Buffer) -> false: wait for ondrain() */
static duk_ret_t
mesh_agent_js_ws_write(duk_context *duk)
{
    int                  rc;
    size_t               len;
    unsigned             opcode;
    const uint8_t       *data;
    mesh_agent_js_ws_t  *w;

    opcode = duk_is_string(duk, 0) ? MESH_WS_TEXT : MESH_WS_BINARY;
    data = mesh_agent_js_bytes(duk, 0, &len);
    w = mesh_agent_js_ws_this(duk);
    rc = w ? mesh_agent_ws_send(w->ws, opcode, data, len) : MESH_ERROR;

    duk_push_boolean(duk, rc == MESH_OK);

    return 1;
}


/* ping() */
static duk_ret_t
mesh_agent_js_ws_ping(duk_context *duk)
{
    mesh_agent_js_ws_t  *w;

    w = mesh_agent_js_ws_this(duk);

    if (w) {
        (void) mesh_agent_ws_send(w->ws, MESH_WS_PING, "", 0);
    }

    return 0;
}


/* pause(): ondata() may be called for what was read already */
static duk_ret_t
mesh_agent_js_ws_pause(duk_context *duk)
{
    mesh_agent_js_ws_t  *w;

    w = mesh_agent_js_ws_this(duk);

    if (w) {
        mesh_agent_ws_pause(w->ws);
    }

    return 0;
}


/* resume() */
static duk_ret_t
mesh_agent_js_ws_resume(duk_context *duk)
{
    mesh_agent_js_ws_t  *w;

    w = mesh_agent_js_ws_this(duk);

    if (w) {
        mesh_agent_ws_resume(w->ws);
    }

    return 0;
}


/* end(): sends what waits and a close frame; onclose() comes */
static duk_ret_t
mesh_agent_js_ws_end(duk_context *duk)
{
    mesh_agent_js_ws_t  *w;

    w = mesh_agent_js_ws_this(duk);

    if (w) {
        mesh_agent_ws_end(w->ws, MESH_WS_CODE_NORMAL);
    }

    return 0;
}


/* close(): at once */
static duk_ret_t
mesh_agent_js_ws_close_method(duk_context *duk)
{
    mesh_agent_js_ws_t  *w;

    w = mesh_agent_js_ws_this(duk);

    if (w) {
        mesh_agent_js_ws_close(&w->obj);
    }

    return 0;
}


static int
mesh_agent_js_ws_verify(void *data, const mesh_agent_peer_t *peer)
{
    mesh_agent_js_ws_t *w = data;

    return mesh_agent_js_verify(&w->obj, peer);
}


static void
mesh_agent_js_ws_open(void *data)
{
    mesh_agent_js_ws_t *w = data;

    mesh_agent_ws_pause(w->ws);     /* until the script wants to read */
    (void) mesh_agent_js_call(&w->obj, "onopen", 0);
}


static void
mesh_agent_js_ws_message(void *data, unsigned opcode, uint8_t *p, size_t len)
{
    mesh_agent_js_ws_t *w = data;

    if (opcode == MESH_WS_TEXT) {
        mesh_agent_js_push_text(mesh_agent_js_duk(w->obj.js), p, len);
    } else {
        mesh_agent_js_push_buffer(mesh_agent_js_duk(w->obj.js), p, len);
    }

    (void) mesh_agent_js_call(&w->obj, "ondata", 1);
}


static void
mesh_agent_js_ws_control(void *data, unsigned opcode)
{
    mesh_agent_js_ws_t *w = data;

    (void) mesh_agent_js_call(&w->obj,
                              opcode == MESH_WS_PING ? "onping" : "onpong", 0);
}


static void
mesh_agent_js_ws_drain(void *data)
{
    mesh_agent_js_ws_t *w = data;

    (void) mesh_agent_js_call(&w->obj, "ondrain", 0);
}


static void
mesh_agent_js_ws_closed(void *data, const mesh_agent_ws_end_t *end)
{
    mesh_agent_js_ws_t *w = data;

    duk_context  *duk;

    w->ws = NULL;
    w->ending = 1;
    duk = mesh_agent_js_duk(w->obj.js);

    if (end->why) {
        mesh_agent_js_push_text(duk, end->why, strlen(end->why));
    } else {
        duk_push_undefined(duk);
    }

    duk_push_uint(duk, end->status);
    duk_push_uint(duk, end->code);
    (void) mesh_agent_js_call(&w->obj, "onclose", 3);

    mesh_agent_js_gone(&w->obj);
    free(w);
}


static mesh_agent_js_ws_t *
mesh_agent_js_ws_this(duk_context *duk)
{
    mesh_agent_js_ws_t  *w;

    duk_push_this(duk);
    w = mesh_agent_js_obj(duk, -1, mesh_agent_js_ws_close);
    duk_pop(duk);

    return w == NULL || w->ws == NULL ? NULL : w;
}


static void
mesh_agent_js_ws_close(mesh_agent_js_obj_t *obj)
{
    mesh_agent_js_ws_t  *w = (mesh_agent_js_ws_t *) obj;

    if (w->ending) {
        return;
    }

    if (w->ws) {
        mesh_agent_ws_close(w->ws);
    }

    mesh_agent_js_gone(obj);
    free(w);
}

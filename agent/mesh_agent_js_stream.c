/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * native.stream({host, port, tls, proxy}): a connection that a script opens.
 *
 * What it calls: onverify(certificate) -> true, with TLS; onconnect();
 * ondata(Buffer); ondrain(); at the end, onerror(text) if it was none that the
 * other side wanted, onend() and onclose(); nothing after close().
 */

#include <stdlib.h>
#include <string.h>

#include "mesh_agent_js_net.h"


typedef struct {
    mesh_agent_js_obj_t   obj;
    mesh_agent_stream_t  *stream;         /* NULL: it has ended */
    unsigned              wanted:1;       /* resume() was called */
    unsigned              ending:1;       /* closed() frees it */
} mesh_agent_js_stream_t;


static duk_ret_t mesh_agent_js_stream_create(duk_context *duk);
static duk_ret_t mesh_agent_js_stream_write(duk_context *duk);
static duk_ret_t mesh_agent_js_stream_pause(duk_context *duk);
static duk_ret_t mesh_agent_js_stream_resume(duk_context *duk);
static duk_ret_t mesh_agent_js_stream_end(duk_context *duk);
static duk_ret_t mesh_agent_js_stream_close_method(duk_context *duk);
static duk_ret_t mesh_agent_js_stream_ip(duk_context *duk);
static int mesh_agent_js_stream_verify(void *data,
    const mesh_agent_peer_t *peer);
static void mesh_agent_js_stream_connected(void *data);
static void mesh_agent_js_stream_read(void *data, uint8_t *buf, size_t len);
static void mesh_agent_js_stream_drain(void *data);
static void mesh_agent_js_stream_closed(void *data, const char *why);
static mesh_agent_js_stream_t *mesh_agent_js_stream_this(duk_context *duk);
static void mesh_agent_js_stream_close(mesh_agent_js_obj_t *obj);


static const duk_function_list_entry  mesh_agent_js_stream_methods[] = {
    { "write", mesh_agent_js_stream_write, 1 },
    { "pause", mesh_agent_js_stream_pause, 0 },
    { "resume", mesh_agent_js_stream_resume, 0 },
    { "end", mesh_agent_js_stream_end, 0 },
    { "close", mesh_agent_js_stream_close_method, 0 },
    { "ip", mesh_agent_js_stream_ip, 0 },
    { NULL, NULL, 0 }
};

static const mesh_agent_stream_events_t  mesh_agent_js_stream_events = {
    mesh_agent_js_stream_verify,
    mesh_agent_js_stream_connected,
    mesh_agent_js_stream_read,
    mesh_agent_js_stream_drain,
    mesh_agent_js_stream_closed
};


void
mesh_agent_js_init_stream(duk_context *duk)
{
    (void) duk_push_c_function(duk, mesh_agent_js_stream_create, 1);
    (void) duk_put_prop_string(duk, -2, "stream");
}


/* stream({host, port, tls, proxy}) -> handle */
static duk_ret_t
mesh_agent_js_stream_create(duk_context *duk)
{
    char                      host[256], proxy[512];
    mesh_agent_js_stream_t   *s;
    mesh_agent_stream_opts_t  opts;

    memset(&opts, 0, sizeof(opts));
    opts.host = mesh_agent_js_option_text(duk, 0, "host", host, sizeof(host));
    opts.proxy = mesh_agent_js_option_text(duk, 0, "proxy", proxy,
                                           sizeof(proxy));
    opts.port = mesh_agent_js_option_port(duk, 0, "port");
    opts.tls = mesh_agent_js_option_flag(duk, 0, "tls") != 0;
    opts.events = &mesh_agent_js_stream_events;

    if (opts.host == NULL || opts.port == 0) {
        return duk_error(duk, DUK_ERR_TYPE_ERROR, "host and port are needed");
    }

    mesh_agent_js_push_object(duk, "stream", mesh_agent_js_stream_methods);

    s = mesh_agent_alloc(sizeof(mesh_agent_js_stream_t));
    mesh_agent_js_open(duk, -1, &s->obj, mesh_agent_js_stream_close);
    s->obj.session = 1;

    opts.data = s;
    s->stream = mesh_agent_stream_open(mesh_agent_js_agent(s->obj.js)->loop,
                                       &opts);

    if (s->stream == NULL) {
        mesh_agent_js_stream_close(&s->obj);
        return duk_error(duk, DUK_ERR_ERROR, "no connection can be made");
    }

    return 1;
}


/* write(string | Buffer) -> false: wait for ondrain() */
static duk_ret_t
mesh_agent_js_stream_write(duk_context *duk)
{
    int                      rc;
    size_t                   len;
    const uint8_t           *data;
    mesh_agent_js_stream_t  *s;

    data = mesh_agent_js_bytes(duk, 0, &len);
    s = mesh_agent_js_stream_this(duk);
    rc = s ? mesh_agent_stream_write(s->stream, data, len) : MESH_ERROR;

    duk_push_boolean(duk, rc == MESH_OK);

    return 1;
}


/* pause(): ondata() may be called for what was read already */
static duk_ret_t
mesh_agent_js_stream_pause(duk_context *duk)
{
    mesh_agent_js_stream_t  *s;

    s = mesh_agent_js_stream_this(duk);

    if (s) {
        s->wanted = 0;
        mesh_agent_stream_pause(s->stream);
    }

    return 0;
}


/* resume() */
static duk_ret_t
mesh_agent_js_stream_resume(duk_context *duk)
{
    mesh_agent_js_stream_t  *s;

    s = mesh_agent_js_stream_this(duk);

    if (s) {
        s->wanted = 1;
        mesh_agent_stream_resume(s->stream);
    }

    return 0;
}


/* end(): sends what waits; onend() comes when the other side ends too */
static duk_ret_t
mesh_agent_js_stream_end(duk_context *duk)
{
    mesh_agent_js_stream_t  *s;

    s = mesh_agent_js_stream_this(duk);

    if (s) {
        mesh_agent_stream_end(s->stream);
    }

    return 0;
}


/* close(): at once */
static duk_ret_t
mesh_agent_js_stream_close_method(duk_context *duk)
{
    mesh_agent_js_stream_t  *s;

    s = mesh_agent_js_stream_this(duk);

    if (s) {
        mesh_agent_js_stream_close(&s->obj);
    }

    return 0;
}


/* ip() -> address of the other side */
static duk_ret_t
mesh_agent_js_stream_ip(duk_context *duk)
{
    mesh_agent_js_stream_t  *s;

    s = mesh_agent_js_stream_this(duk);
    (void) duk_push_string(duk, s ? mesh_agent_stream_ip(s->stream) : "");

    return 1;
}


static int
mesh_agent_js_stream_verify(void *data, const mesh_agent_peer_t *peer)
{
    mesh_agent_js_stream_t *s = data;

    return mesh_agent_js_verify(&s->obj, peer);
}


static void
mesh_agent_js_stream_connected(void *data)
{
    mesh_agent_js_stream_t *s = data;

    /* until the script wants to read */
    if (!s->wanted) {
        mesh_agent_stream_pause(s->stream);
    }

    (void) mesh_agent_js_call(&s->obj, "onconnect", 0);
}


static void
mesh_agent_js_stream_read(void *data, uint8_t *buf, size_t len)
{
    mesh_agent_js_stream_t *s = data;

    mesh_agent_js_push_buffer(mesh_agent_js_duk(s->obj.js), buf, len);
    (void) mesh_agent_js_call(&s->obj, "ondata", 1);
}


static void
mesh_agent_js_stream_drain(void *data)
{
    mesh_agent_js_stream_t *s = data;

    (void) mesh_agent_js_call(&s->obj, "ondrain", 0);
}


/* why: NULL, or what the error says; the handle ends with this */
static void
mesh_agent_js_stream_closed(void *data, const char *why)
{
    mesh_agent_js_stream_t *s = data;

    s->stream = NULL;
    s->ending = 1;

    if (why) {
        mesh_agent_js_push_text(mesh_agent_js_duk(s->obj.js), why, strlen(why));
        (void) mesh_agent_js_call(&s->obj, "onerror", 1);
    }

    (void) mesh_agent_js_call(&s->obj, "onend", 0);
    (void) mesh_agent_js_call(&s->obj, "onclose", 0);

    mesh_agent_js_gone(&s->obj);
    free(s);
}


static mesh_agent_js_stream_t *
mesh_agent_js_stream_this(duk_context *duk)
{
    mesh_agent_js_stream_t  *s;

    duk_push_this(duk);
    s = mesh_agent_js_obj(duk, -1, mesh_agent_js_stream_close);
    duk_pop(duk);

    return s == NULL || s->stream == NULL ? NULL : s;
}


static void
mesh_agent_js_stream_close(mesh_agent_js_obj_t *obj)
{
    mesh_agent_js_stream_t  *s = (mesh_agent_js_stream_t *) obj;

    if (s->ending) {
        return;
    }

    if (s->stream) {
        mesh_agent_stream_close(s->stream);
    }

    mesh_agent_js_gone(obj);
    free(s);
}

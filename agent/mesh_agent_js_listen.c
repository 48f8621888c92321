/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * native.listen(): a port or a local socket that a script waits at.  It calls onconnection(handle, address, port); the script
 * closes what is too much.
 */

#include <stdlib.h>
#include <string.h>

#include "../proto/mesh.h"
#include "mesh_agent_js_pipe.h"


#define MESH_AGENT_JS_LISTEN_BACKLOG  16
#define MESH_AGENT_JS_LISTEN_PATH     108     /* of a local socket, with NUL */


typedef struct {
    mesh_agent_js_obj_t  obj;
    union {
        uv_pipe_t        pipe;
        uv_tcp_t         tcp;
    };
    unsigned             closing:1;
} mesh_agent_js_listen_t;


static duk_ret_t mesh_agent_js_listen_create(duk_context *duk);
static int mesh_agent_js_listen_path(mesh_agent_js_listen_t *l,
    const char *path, int all);
static int mesh_agent_js_listen_port(mesh_agent_js_listen_t *l,
    const char *host, int port);
static void mesh_agent_js_listen_handler(uv_stream_t *stream, int status);
static duk_ret_t mesh_agent_js_listen_number(duk_context *duk);
static duk_ret_t mesh_agent_js_listen_close_method(duk_context *duk);
static mesh_agent_js_listen_t *mesh_agent_js_listen_this(duk_context *duk);
static uint16_t mesh_agent_js_listen_name(const struct sockaddr_storage *ss,
    char *text, size_t size);
static void mesh_agent_js_listen_close(mesh_agent_js_obj_t *obj);
static void mesh_agent_js_listen_closed(uv_handle_t *handle);


static const duk_function_list_entry  mesh_agent_js_listen_methods[] = {
    { "port", mesh_agent_js_listen_number, 0 },
    { "close", mesh_agent_js_listen_close_method, 0 },
    { NULL, NULL, 0 }
};


void
mesh_agent_js_init_listen(duk_context *duk)
{
    (void) duk_push_c_function(duk, mesh_agent_js_listen_create, 4);
    (void) duk_put_prop_string(duk, -2, "listen");
}


/* listen(host, port) or listen(undefined, undefined, path, all) -> handle */
static duk_ret_t
mesh_agent_js_listen_create(duk_context *duk)
{
    int                      rc, port, all;
    const char              *host, *path;
    mesh_agent_js_listen_t  *l;

    host = duk_is_string(duk, 0) ? mesh_agent_js_text(duk, 0) : "0.0.0.0";
    port = (int) duk_to_uint16(duk, 1);
    path = duk_is_string(duk, 2) ? mesh_agent_js_text(duk, 2) : NULL;
    all = duk_to_boolean(duk, 3) != 0;

    mesh_agent_js_push_object(duk, "listen", mesh_agent_js_listen_methods);

    l = mesh_agent_alloc(sizeof(mesh_agent_js_listen_t));
    mesh_agent_js_open(duk, -1, &l->obj, mesh_agent_js_listen_close);
    l->obj.door = 1;
    l->pipe.data = l;

    rc = path ? mesh_agent_js_listen_path(l, path, all)
              : mesh_agent_js_listen_port(l, host, port);

    if (rc == 0) {
        rc = uv_listen((uv_stream_t *) &l->pipe, MESH_AGENT_JS_LISTEN_BACKLOG,
                       mesh_agent_js_listen_handler);
    }

    if (rc != 0) {
        mesh_agent_js_listen_close(&l->obj);
        return mesh_agent_js_throw(duk, rc, "listen", path ? path : host);
    }

    return 1;
}


static int
mesh_agent_js_listen_path(mesh_agent_js_listen_t *l, const char *path, int all)
{
    int  rc;

    (void) uv_pipe_init(mesh_agent_js_agent(l->obj.js)->loop, &l->pipe, 0);

    /* libuv would cut it */
    if (strlen(path) >= MESH_AGENT_JS_LISTEN_PATH) {
        return UV_ENAMETOOLONG;
    }

    rc = uv_pipe_bind(&l->pipe, path);

    return rc == 0 && all ? uv_pipe_chmod(&l->pipe, UV_READABLE|UV_WRITABLE)
                          : rc;
}


static int
mesh_agent_js_listen_port(mesh_agent_js_listen_t *l, const char *host, int port)
{
    int                      rc;
    struct sockaddr_storage  ss;

    (void) uv_tcp_init(mesh_agent_js_agent(l->obj.js)->loop, &l->tcp);

    rc = uv_ip4_addr(host, port, (struct sockaddr_in *) &ss);

    if (rc != 0) {
        rc = uv_ip6_addr(host, port, (struct sockaddr_in6 *) &ss);
    }

    return rc == 0 ? uv_tcp_bind(&l->tcp, (struct sockaddr *) &ss, 0) : rc;
}


static void
mesh_agent_js_listen_handler(uv_stream_t *stream, int status)
{
    char                     text[64];
    uint16_t                 port;
    duk_context             *duk;
    mesh_agent_js_listen_t  *l = stream->data;
    struct sockaddr_storage  ss;

    duk = mesh_agent_js_duk(l->obj.js);

    if (status != 0 || mesh_agent_js_push_accepted(duk, stream) != 0) {
        return;
    }

    port = 0;
    text[0] = '\0';

    if (mesh_agent_js_pipe_peer(duk, -1, &ss) == 0) {
        port = mesh_agent_js_listen_name(&ss, text, sizeof(text));
    }

    (void) duk_push_string(duk, text);
    duk_push_uint(duk, port);
    (void) mesh_agent_js_call(&l->obj, "onconnection", 3);
}


/* port() -> number, 0: of a local socket */
static duk_ret_t
mesh_agent_js_listen_number(duk_context *duk)
{
    int                      len;
    char                     text[64];
    uint16_t                 port;
    mesh_agent_js_listen_t  *l;
    struct sockaddr_storage  ss;

    l = mesh_agent_js_listen_this(duk);
    len = sizeof(ss);
    port = 0;

    if (l && l->tcp.type == UV_TCP
        && uv_tcp_getsockname(&l->tcp, (struct sockaddr *) &ss, &len) == 0)
    {
        port = mesh_agent_js_listen_name(&ss, text, sizeof(text));
    }

    duk_push_uint(duk, port);

    return 1;
}


/* close(): what was accepted stays */
static duk_ret_t
mesh_agent_js_listen_close_method(duk_context *duk)
{
    mesh_agent_js_listen_t  *l;

    l = mesh_agent_js_listen_this(duk);

    if (l) {
        mesh_agent_js_listen_close(&l->obj);
    }

    return 0;
}


static mesh_agent_js_listen_t *
mesh_agent_js_listen_this(duk_context *duk)
{
    mesh_agent_js_listen_t  *l;

    duk_push_this(duk);
    l = mesh_agent_js_obj(duk, -1, mesh_agent_js_listen_close);
    duk_pop(duk);

    return l == NULL || l->closing ? NULL : l;
}


/* writes the address; its port */
static uint16_t
mesh_agent_js_listen_name(const struct sockaddr_storage *ss, char *text,
    size_t size)
{
    uint16_t  port;

    if (ss->ss_family == AF_INET6) {
        (void) uv_ip6_name((const struct sockaddr_in6 *) ss, text, size);
        port = ((const struct sockaddr_in6 *) ss)->sin6_port;
    } else {
        (void) uv_ip4_name((const struct sockaddr_in *) ss, text, size);
        port = ((const struct sockaddr_in *) ss)->sin_port;
    }

    return mesh_get16((uint8_t *) &port);
}


static void
mesh_agent_js_listen_close(mesh_agent_js_obj_t *obj)
{
    mesh_agent_js_listen_t  *l = (mesh_agent_js_listen_t *) obj;

    if (!l->closing) {
        l->closing = 1;
        uv_close((uv_handle_t *) &l->pipe, mesh_agent_js_listen_closed);
    }
}


static void
mesh_agent_js_listen_closed(uv_handle_t *handle)
{
    mesh_agent_js_listen_t *l = handle->data;

    mesh_agent_js_gone(&l->obj);
    free(l);
}

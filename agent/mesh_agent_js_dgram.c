/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * native.dgram("udp4" | "udp6"): datagrams.  It calls onmessage(Buffer,
 * address, port) once it is bound.
 */

#include <stdlib.h>
#include <string.h>

#include "mesh_agent_js_net.h"


#define MESH_AGENT_JS_DGRAM_MAX     65507                 /* bytes of one */
#define MESH_AGENT_JS_DGRAM_QUEUED  (1024 * 1024)         /* bytes */


typedef struct {
    mesh_agent_js_obj_t  obj;
    uv_udp_t             udp;
    unsigned             v6:1;
    unsigned             closing:1;
} mesh_agent_js_dgram_t;

typedef struct {
    uv_udp_send_t        req;
    uint8_t              data[];
} mesh_agent_js_dgram_out_t;


static duk_ret_t mesh_agent_js_dgram_create(duk_context *duk);
static duk_ret_t mesh_agent_js_dgram_bind(duk_context *duk);
static duk_ret_t mesh_agent_js_dgram_send(duk_context *duk);
static void mesh_agent_js_dgram_sent(uv_udp_send_t *req, int status);
static duk_ret_t mesh_agent_js_dgram_broadcast(duk_context *duk);
static duk_ret_t mesh_agent_js_dgram_ttl(duk_context *duk);
static duk_ret_t mesh_agent_js_dgram_port(duk_context *duk);
static duk_ret_t mesh_agent_js_dgram_close_method(duk_context *duk);
static void mesh_agent_js_dgram_alloc(uv_handle_t *handle, size_t size,
    uv_buf_t *buf);
static void mesh_agent_js_dgram_read(uv_udp_t *udp, ssize_t n,
    const uv_buf_t *buf, const struct sockaddr *from, unsigned flags);
static mesh_agent_js_dgram_t *mesh_agent_js_dgram_this(duk_context *duk);
static void mesh_agent_js_dgram_address(duk_context *duk,
    mesh_agent_js_dgram_t *d, const char *text, uint16_t port,
    struct sockaddr_storage *ss);
static void mesh_agent_js_dgram_close(mesh_agent_js_obj_t *obj);
static void mesh_agent_js_dgram_closed(uv_handle_t *handle);


static const duk_function_list_entry  mesh_agent_js_dgram_methods[] = {
    { "bind", mesh_agent_js_dgram_bind, 3 },
    { "send", mesh_agent_js_dgram_send, 3 },
    { "setBroadcast", mesh_agent_js_dgram_broadcast, 1 },
    { "setTTL", mesh_agent_js_dgram_ttl, 1 },
    { "port", mesh_agent_js_dgram_port, 0 },
    { "close", mesh_agent_js_dgram_close_method, 0 },
    { NULL, NULL, 0 }
};


void
mesh_agent_js_init_dgram(duk_context *duk)
{
    (void) duk_push_c_function(duk, mesh_agent_js_dgram_create, 1);
    (void) duk_put_prop_string(duk, -2, "dgram");
}


/* dgram("udp4" | "udp6") -> handle */
static duk_ret_t
mesh_agent_js_dgram_create(duk_context *duk)
{
    int                     rc, v6;
    mesh_agent_js_dgram_t  *d;

    v6 = strcmp(mesh_agent_js_text(duk, 0), "udp6") == 0;

    mesh_agent_js_push_object(duk, "dgram", mesh_agent_js_dgram_methods);

    d = mesh_agent_alloc(sizeof(mesh_agent_js_dgram_t));
    mesh_agent_js_open(duk, -1, &d->obj, mesh_agent_js_dgram_close);

    d->v6 = v6 != 0;
    d->udp.data = d;
    rc = uv_udp_init_ex(mesh_agent_js_agent(d->obj.js)->loop, &d->udp,
                        v6 ? AF_INET6 : AF_INET);

    /* no handle, which nobody may close */
    if (rc != 0) {
        mesh_agent_js_gone(&d->obj);
        free(d);
        return mesh_agent_js_throw(duk, rc, "socket", v6 ? "udp6" : "udp4");
    }

    return 1;
}


/* bind(port, address, reuse): onmessage() is called from now on */
static duk_ret_t
mesh_agent_js_dgram_bind(duk_context *duk)
{
    int                      rc;
    uint16_t                 port;
    const char              *address;
    mesh_agent_js_dgram_t   *d;
    struct sockaddr_storage  ss;

    port = (uint16_t) duk_to_uint16(duk, 0);
    d = mesh_agent_js_dgram_this(duk);

    if (d == NULL) {
        return 0;
    }

    address = duk_is_string(duk, 1) ? mesh_agent_js_text(duk, 1)
                                    : d->v6 ? "::" : "0.0.0.0";

    mesh_agent_js_dgram_address(duk, d, address, port, &ss);

    rc = uv_udp_bind(&d->udp, (struct sockaddr *) &ss,
                     duk_to_boolean(duk, 2) ? UV_UDP_REUSEADDR : 0);

    if (rc == 0) {
        rc = uv_udp_recv_start(&d->udp, mesh_agent_js_dgram_alloc,
                               mesh_agent_js_dgram_read);
    }

    return rc == 0 ? 0 : mesh_agent_js_throw(duk, rc, "bind", address);
}


/* send(data, port, address) -> false: not sent */
static duk_ret_t
mesh_agent_js_dgram_send(duk_context *duk)
{
    int                         rc;
    size_t                      len;
    uint16_t                    port;
    uv_buf_t                    buf;
    const char                 *address;
    const uint8_t              *data;
    mesh_agent_js_dgram_t      *d;
    struct sockaddr_storage     ss;
    mesh_agent_js_dgram_out_t  *o;

    data = mesh_agent_js_bytes(duk, 0, &len);
    port = (uint16_t) duk_to_uint16(duk, 1);
    address = mesh_agent_js_text(duk, 2);
    d = mesh_agent_js_dgram_this(duk);

    if (d == NULL || len > MESH_AGENT_JS_DGRAM_MAX
        || uv_udp_get_send_queue_size(&d->udp) > MESH_AGENT_JS_DGRAM_QUEUED)
    {
        duk_push_false(duk);
        return 1;
    }

    mesh_agent_js_dgram_address(duk, d, address, port, &ss);

    o = mesh_agent_alloc(sizeof(mesh_agent_js_dgram_out_t) + len);
    memcpy(o->data, data, len);
    buf = uv_buf_init((char *) o->data, (unsigned) len);

    rc = uv_udp_send(&o->req, &d->udp, &buf, 1, (struct sockaddr *) &ss,
                     mesh_agent_js_dgram_sent);
    if (rc != 0) {
        free(o);
    }

    duk_push_boolean(duk, rc == 0);

    return 1;
}


static void
mesh_agent_js_dgram_sent(uv_udp_send_t *req, int status)
{
    (void) status;

    free(req);
}


/* setBroadcast(on) */
static duk_ret_t
mesh_agent_js_dgram_broadcast(duk_context *duk)
{
    mesh_agent_js_dgram_t  *d;

    d = mesh_agent_js_dgram_this(duk);

    if (d) {
        (void) uv_udp_set_broadcast(&d->udp, duk_to_boolean(duk, 0) != 0);
    }

    return 0;
}


/* setTTL(n) */
static duk_ret_t
mesh_agent_js_dgram_ttl(duk_context *duk)
{
    mesh_agent_js_dgram_t  *d;

    d = mesh_agent_js_dgram_this(duk);

    if (d) {
        (void) uv_udp_set_ttl(&d->udp, duk_to_int(duk, 0));
    }

    return 0;
}


/* port() -> number it is bound to, 0: none */
static duk_ret_t
mesh_agent_js_dgram_port(duk_context *duk)
{
    int                      len;
    uint16_t                 port;
    mesh_agent_js_dgram_t   *d;
    struct sockaddr_storage  ss;

    d = mesh_agent_js_dgram_this(duk);
    len = sizeof(ss);
    port = 0;

    if (d && uv_udp_getsockname(&d->udp, (struct sockaddr *) &ss, &len) == 0) {
        port = ss.ss_family == AF_INET6
               ? ((struct sockaddr_in6 *) &ss)->sin6_port
               : ((struct sockaddr_in *) &ss)->sin_port;
    }

    duk_push_uint(duk, mesh_get16((uint8_t *) &port));

    return 1;
}


/* close() */
static duk_ret_t
mesh_agent_js_dgram_close_method(duk_context *duk)
{
    mesh_agent_js_dgram_t  *d;

    d = mesh_agent_js_dgram_this(duk);

    if (d) {
        mesh_agent_js_dgram_close(&d->obj);
    }

    return 0;
}


static void
mesh_agent_js_dgram_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    static char  data[65536];

    (void) handle;
    (void) size;

    *buf = uv_buf_init(data, sizeof(data));
}


static void
mesh_agent_js_dgram_read(uv_udp_t *udp, ssize_t n, const uv_buf_t *buf,
    const struct sockaddr *from, unsigned flags)
{
    char                    text[64];
    uint16_t                port;
    duk_context            *duk;
    mesh_agent_js_dgram_t  *d;

    d = udp->data;

    if (n < 0 || from == NULL) {
        return;
    }

    if (from->sa_family == AF_INET6) {
        (void) uv_ip6_name((struct sockaddr_in6 *) from, text, sizeof(text));
        port = ((struct sockaddr_in6 *) from)->sin6_port;
    } else {
        (void) uv_ip4_name((struct sockaddr_in *) from, text, sizeof(text));
        port = ((struct sockaddr_in *) from)->sin_port;
    }

    duk = mesh_agent_js_duk(d->obj.js);
    mesh_agent_js_push_buffer(duk, buf->base, (size_t) n);
    (void) duk_push_string(duk, text);
    duk_push_uint(duk, mesh_get16((uint8_t *) &port));
    (void) mesh_agent_js_call(&d->obj, "onmessage", 3);
}


static mesh_agent_js_dgram_t *
mesh_agent_js_dgram_this(duk_context *duk)
{
    mesh_agent_js_dgram_t  *d;

    duk_push_this(duk);
    d = mesh_agent_js_obj(duk, -1, mesh_agent_js_dgram_close);
    duk_pop(duk);

    return d == NULL || d->closing ? NULL : d;
}


/* throws when it is no address */
static void
mesh_agent_js_dgram_address(duk_context *duk, mesh_agent_js_dgram_t *d,
    const char *text, uint16_t port, struct sockaddr_storage *ss)
{
    int  rc;

    rc = d->v6 ? uv_ip6_addr(text, port, (struct sockaddr_in6 *) ss)
               : uv_ip4_addr(text, port, (struct sockaddr_in *) ss);

    if (rc != 0) {
        (void) duk_error(duk, DUK_ERR_TYPE_ERROR, "\"%s\" is no address", text);
    }
}


static void
mesh_agent_js_dgram_close(mesh_agent_js_obj_t *obj)
{
    mesh_agent_js_dgram_t  *d = (mesh_agent_js_dgram_t *) obj;

    if (!d->closing) {
        d->closing = 1;
        uv_close((uv_handle_t *) &d->udp, mesh_agent_js_dgram_closed);
    }
}


static void
mesh_agent_js_dgram_closed(uv_handle_t *handle)
{
    mesh_agent_js_dgram_t *d = handle->data;

    mesh_agent_js_gone(&d->obj);
    free(d);
}

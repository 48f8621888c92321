/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Desktop packets for js/host/desktop.js: bytes in, whole packets out, in
 * both directions.  Neither a viewer nor the program that captures is trusted.
 */

#include <stdlib.h>
#include <string.h>

#include "../proto/mesh_kvm_packet.h"
#include "mesh_agent_js.h"
#include "os/mesh_agent_desktop.h"


typedef struct {
    mesh_agent_js_obj_t   obj;
    uint8_t              *buf;            /* owns; the start of a packet */
    size_t                len;
    size_t                size;           /* of buf */
    size_t                max;            /* of a packet */
    int                   output;         /* of the program, not of a viewer */
} mesh_agent_js_packets_t;


static duk_ret_t mesh_agent_js_has_desktop(duk_context *duk);
static duk_ret_t mesh_agent_js_self(duk_context *duk);
static duk_ret_t mesh_agent_js_packets(duk_context *duk);
static duk_ret_t mesh_agent_js_packets_feed(duk_context *duk);
static int mesh_agent_js_packets_next(mesh_agent_js_packets_t *r,
    mesh_kvm_packet_t *pkt, const uint8_t **data, size_t *len);
static void mesh_agent_js_packets_keep(mesh_agent_js_packets_t *r, size_t n,
    const uint8_t **data, size_t *len);
static int mesh_agent_js_packets_good(const mesh_agent_js_packets_t *r,
    const mesh_kvm_packet_t *pkt);
static duk_ret_t mesh_agent_js_packets_reset(duk_context *duk);
static duk_ret_t mesh_agent_js_packets_close_method(duk_context *duk);
static mesh_agent_js_packets_t *mesh_agent_js_packets_this(duk_context *duk);
static void mesh_agent_js_packets_close(mesh_agent_js_obj_t *obj);


static const duk_function_list_entry  mesh_agent_js_desktop_functions[] = {
    { "hasDesktop", mesh_agent_js_has_desktop, 0 },
    { "self", mesh_agent_js_self, 0 },
    { "packets", mesh_agent_js_packets, 1 },
    { NULL, NULL, 0 }
};

static const duk_function_list_entry  mesh_agent_js_packets_methods[] = {
    { "feed", mesh_agent_js_packets_feed, 1 },
    { "reset", mesh_agent_js_packets_reset, 0 },
    { "close", mesh_agent_js_packets_close_method, 0 },
    { NULL, NULL, 0 }
};


void
mesh_agent_js_init_desktop(duk_context *duk)
{
    duk_put_function_list(duk, -1, mesh_agent_js_desktop_functions);
}


/* hasDesktop() -> boolean */
static duk_ret_t
mesh_agent_js_has_desktop(duk_context *duk)
{
    duk_push_boolean(duk, mesh_agent_os_has_desktop());

    return 1;
}


/* self() -> path of the program that runs */
static duk_ret_t
mesh_agent_js_self(duk_context *duk)
{
    duk_push_string(duk, mesh_agent_os_self());

    return 1;
}


/*
 * packets(ofProgram) -> object; its onpacket(Buffer) is called by feed().
 * Packets of a viewer that mean nothing are left out.
 */
static duk_ret_t
mesh_agent_js_packets(duk_context *duk)
{
    int                       output;
    mesh_agent_js_packets_t  *r;

    output = duk_to_boolean(duk, 0);

    mesh_agent_js_push_object(duk, "packets", mesh_agent_js_packets_methods);

    r = mesh_agent_alloc(sizeof(mesh_agent_js_packets_t));
    r->output = output;
    r->max = output ? MESH_KVM_MAX_OUTPUT : MESH_KVM_MAX_INPUT;
    mesh_agent_js_open(duk, -1, &r->obj, mesh_agent_js_packets_close);

    return 1;
}


/*
 * feed(bytes) -> boolean; false: they are no packets.  What a viewer sends is
 * read anew from its next bytes on.
 */
static duk_ret_t
mesh_agent_js_packets_feed(duk_context *duk)
{
    int                       rc;
    size_t                    len;
    const uint8_t            *data;
    mesh_kvm_packet_t         pkt;
    mesh_agent_js_packets_t  *r;

    data = mesh_agent_js_bytes(duk, 0, &len);

    for ( ;; ) {

        /* the script may have closed it meanwhile */
        r = mesh_agent_js_packets_this(duk);

        if (r == NULL) {
            duk_push_false(duk);
            return 1;
        }

        rc = mesh_agent_js_packets_next(r, &pkt, &data, &len);

        if (rc != MESH_OK) {
            break;
        }

        /* function, this, packet */
        duk_push_this(duk);
        duk_get_prop_string(duk, -1, "onpacket");
        duk_insert(duk, -2);
        mesh_agent_js_push_buffer(duk, pkt.data, pkt.len);
        duk_call_method(duk, 1);
        duk_pop(duk);
    }

    if (rc == MESH_ERROR) {
        r->len = 0;
    }

    duk_push_boolean(duk, rc == MESH_AGAIN);

    return 1;
}


/*
 * The next good packet: pkt->data and len are all of it, good until the next
 * call.  What is taken from *data is gone from there.
 */
static int
mesh_agent_js_packets_next(mesh_agent_js_packets_t *r, mesh_kvm_packet_t *pkt,
    const uint8_t **data, size_t *len)
{
    int             rc;
    size_t          n;
    const uint8_t  *buf;

    for ( ;; ) {
        buf = r->len > 0 ? r->buf : *data;
        n = r->len > 0 ? r->len : *len;

        rc = mesh_kvm_parse(pkt, buf, n, r->max);

        if (rc == MESH_ERROR || (rc == MESH_AGAIN && *len == 0)) {
            return rc;
        }

        if (rc == MESH_AGAIN) {
            mesh_agent_js_packets_keep(r, mesh_kvm_need(buf, n) - r->len, data,
                                       len);
            continue;
        }

        rc = mesh_agent_js_packets_good(r, pkt);
        pkt->data = buf;
        pkt->len = pkt->size;

        if (r->len > 0) {
            r->len = 0;

        } else {
            *data += pkt->size;
            *len -= pkt->size;
        }

        if (rc != MESH_DECLINED) {
            return rc;
        }
    }
}


/* takes n bytes, or as many as there are; never more than the packet has */
static void
mesh_agent_js_packets_keep(mesh_agent_js_packets_t *r, size_t n,
    const uint8_t **data, size_t *len)
{
    if (n > *len) {
        n = *len;
    }

    if (n > r->size - r->len) {
        r->size = r->len + n > 2 * r->size ? r->len + n : 2 * r->size;
        r->buf = mesh_agent_realloc(r->buf, r->size);
    }

    memcpy(r->buf + r->len, *data, n);
    r->len += n;
    *data += n;
    *len -= n;
}


/* MESH_DECLINED: leave it out */
static int
mesh_agent_js_packets_good(const mesh_agent_js_packets_t *r,
    const mesh_kvm_packet_t *pkt)
{
    mesh_kvm_event_t  in;

    if (r->output) {
        return mesh_kvm_check_output(pkt);
    }

    /* what is between us and our program no viewer may say */
    return mesh_kvm_read_input(&in, pkt) == MESH_OK
           && pkt->cmd < MESH_KVM_HELLO ? MESH_OK : MESH_DECLINED;
}


/* reset(): the start of a packet is forgotten */
static duk_ret_t
mesh_agent_js_packets_reset(duk_context *duk)
{
    mesh_agent_js_packets_t  *r;

    r = mesh_agent_js_packets_this(duk);

    if (r != NULL) {
        r->len = 0;
    }

    return 0;
}


/* close() */
static duk_ret_t
mesh_agent_js_packets_close_method(duk_context *duk)
{
    mesh_agent_js_packets_t  *r;

    r = mesh_agent_js_packets_this(duk);

    if (r != NULL) {
        mesh_agent_js_packets_close(&r->obj);
    }

    return 0;
}


static mesh_agent_js_packets_t *
mesh_agent_js_packets_this(duk_context *duk)
{
    mesh_agent_js_packets_t  *r;

    duk_push_this(duk);
    r = mesh_agent_js_obj(duk, -1, mesh_agent_js_packets_close);
    duk_pop(duk);

    return r;
}


static void
mesh_agent_js_packets_close(mesh_agent_js_obj_t *obj)
{
    mesh_agent_js_packets_t  *r = (mesh_agent_js_packets_t *) obj;

    mesh_agent_js_gone(&r->obj);
    free(r->buf);
    free(r);
}

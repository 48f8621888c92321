/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Sessions by address: in this worker directly, in others by the bus. */

#include "../ngx_mesh.h"
#include "ngx_mesh_ws_private.h"


#define NGX_MESH_REPLY_MAX     (16 * 1024 * 1024)
#define NGX_MESH_REPLY_PIECE   (NGX_MESH_BUS_MAX - 1)
#define NGX_MESH_REPLIES       64     /* unfinished ones */
#define NGX_MESH_REPLY_TOTAL   (64 * 1024 * 1024)     /* that wait to leave */

#define NGX_MESH_REPLY_FIRST   1
#define NGX_MESH_REPLY_LAST    2


/* a reply that comes in pieces from one worker; owns data */
typedef struct {
    uint64_t    serial;               /* 0: free */
    uint16_t    slot;
    u_char     *data;
    size_t      len, size;
} ngx_mesh_ws_reply_t;

/* a reply that leaves in pieces, and what must not overtake it */
typedef struct {
    ngx_queue_t      queue;
    ngx_mesh_addr_t  to;
    size_t           pos, len;
    u_char           data[1];         /* a byte of flags, then len bytes */
} ngx_mesh_ws_parcel_t;

/* what one takes: small ones are many */
#define ngx_mesh_ws_parcel_size(len)                                          \
    (offsetof(ngx_mesh_ws_parcel_t, data) + 1 + (len))


static void ngx_mesh_ws_on_deliver(const ngx_mesh_addr_t *from,
    uint64_t serial, u_char *data, size_t len);
static void ngx_mesh_ws_on_bounce(const ngx_mesh_addr_t *from,
    uint64_t serial, u_char *data, size_t len);
static void ngx_mesh_ws_on_reply(const ngx_mesh_addr_t *from,
    uint64_t serial, u_char *data, size_t len);
static void ngx_mesh_ws_on_mute(const ngx_mesh_addr_t *from,
    uint64_t serial, u_char *data, size_t len);
static void ngx_mesh_ws_on_close(const ngx_mesh_addr_t *from,
    uint64_t serial, u_char *data, size_t len);
static ngx_uint_t ngx_mesh_ws_is_local(const ngx_mesh_addr_t *to);
static void ngx_mesh_ws_parcels_left(ngx_uint_t slot, ngx_uint_t lost);
static void ngx_mesh_ws_parcels_free(ngx_uint_t slot);
static ngx_mesh_ws_parcel_t *ngx_mesh_ws_parcel(ngx_uint_t slot,
    uint64_t serial);
static ngx_mesh_ws_reply_t *ngx_mesh_ws_reply_slot(uint64_t serial,
    ngx_uint_t slot, ngx_uint_t first);


static ngx_mesh_ws_reply_t  ngx_mesh_ws_replies[NGX_MESH_REPLIES];
static ngx_uint_t           ngx_mesh_ws_replies_next;
static ngx_queue_t          ngx_mesh_ws_parcels;
static size_t               ngx_mesh_ws_parcels_total;    /* bytes */
static ngx_mesh_deliver_pt  ngx_mesh_ws_others;


void
ngx_mesh_ws_bus_init(void)
{
    ngx_queue_init(&ngx_mesh_ws_parcels);
    ngx_mesh_bus_left(ngx_mesh_ws_parcels_left);

    ngx_mesh_bus_handler(NGX_MESH_BUS_DELIVER, ngx_mesh_ws_on_deliver);
    ngx_mesh_bus_handler(NGX_MESH_BUS_BOUNCE, ngx_mesh_ws_on_bounce);
    ngx_mesh_bus_handler(NGX_MESH_BUS_REPLY, ngx_mesh_ws_on_reply);
    ngx_mesh_bus_handler(NGX_MESH_BUS_MUTE, ngx_mesh_ws_on_mute);
    ngx_mesh_bus_handler(NGX_MESH_BUS_CLOSE, ngx_mesh_ws_on_close);
}


static ngx_uint_t
ngx_mesh_ws_is_local(const ngx_mesh_addr_t *to)
{
    return to->slot == ngx_mesh_slot_n && to->epoch == ngx_mesh_slot->epoch;
}


void
ngx_mesh_deliver_others(ngx_mesh_deliver_pt handler)
{
    ngx_mesh_ws_others = handler;
}


ngx_int_t
ngx_mesh_deliver(const ngx_mesh_addr_t *to, ngx_mesh_session_t *from,
    const u_char *data, size_t len)
{
    ngx_mesh_addr_t      addr, *a;
    ngx_mesh_session_t  *s;

    if (!ngx_mesh_ws_is_local(to)) {
        return ngx_mesh_bus_send(to, from ? from->serial : 0,
                                 NGX_MESH_BUS_DELIVER, data, len);
    }

    s = ngx_mesh_session_find(to->serial);

    if (s == NULL) {
        return ngx_mesh_ws_others
               ? ngx_mesh_ws_others(to->serial, (u_char *) data, len)
               : NGX_DECLINED;
    }

    if (s->class->deliver == NULL) {
        return NGX_DECLINED;
    }

    a = NULL;

    if (from) {
        ngx_mesh_session_addr(from, &addr);
        a = &addr;
    }

    s->class->deliver(s, a, (u_char *) data, len);

    return NGX_OK;
}


static void
ngx_mesh_ws_on_deliver(const ngx_mesh_addr_t *from, uint64_t serial,
    u_char *data, size_t len)
{
    ngx_mesh_addr_t      back;
    ngx_mesh_session_t  *s;

    s = ngx_mesh_session_find(serial);

    if (s && s->class->deliver) {
        s->class->deliver(s, from->serial ? from : NULL, data, len);
        return;
    }

    if ((s == NULL && ngx_mesh_ws_others
         && ngx_mesh_ws_others(serial, data, len) == NGX_OK)
        || from->serial == 0)
    {
        return;
    }

    /* it has moved, or is gone */
    ngx_mesh_count(NGX_MESH_C_BUS_BOUNCES);
    back = *from;
    (void) ngx_mesh_bus_send(&back, serial, NGX_MESH_BUS_BOUNCE, data, len);
}


static void
ngx_mesh_ws_on_bounce(const ngx_mesh_addr_t *from, uint64_t serial,
    u_char *data, size_t len)
{
    ngx_mesh_session_t  *s;

    s = ngx_mesh_session_find(serial);

    if (s && s->class->bounce) {
        s->class->bounce(s, from, data, len);
    }
}


ngx_int_t
ngx_mesh_reply(const ngx_mesh_addr_t *to, const u_char *data, size_t len)
{
    ngx_int_t              rc;
    ngx_mesh_session_t    *s;
    ngx_mesh_ws_parcel_t  *parcel;

    if (len > NGX_MESH_REPLY_MAX) {
        return NGX_ERROR;
    }

    if (ngx_mesh_ws_is_local(to)) {
        s = ngx_mesh_session_find(to->serial);

        return s ? ngx_mesh_ws_send(s, NGX_MESH_WS_TEXT, data, len)
                 : NGX_DECLINED;
    }

    if (to->slot >= NGX_MESH_SLOTS) {
        return NGX_DECLINED;
    }

    if (ngx_mesh_ws_parcels_total + ngx_mesh_ws_parcel_size(len)
        > NGX_MESH_REPLY_TOTAL)
    {
        ngx_mesh_count(NGX_MESH_C_DROPPED);
        return NGX_BUSY;
    }

    parcel = ngx_alloc(ngx_mesh_ws_parcel_size(len), ngx_cycle->log);
    if (parcel == NULL) {
        return NGX_ERROR;
    }

    parcel->to = *to;
    parcel->pos = 0;
    parcel->len = len;
    ngx_memcpy(parcel->data + 1, data, len);

    /* what fits into one message goes between the pieces for others */

    if (len <= NGX_MESH_REPLY_PIECE
        && ngx_mesh_ws_parcel(to->slot, to->serial) == NULL)
    {
        parcel->data[0] = NGX_MESH_REPLY_FIRST|NGX_MESH_REPLY_LAST;
        rc = ngx_mesh_bus_send(to, 0, NGX_MESH_BUS_REPLY, parcel->data,
                               len + 1);
        ngx_free(parcel);

        return rc;
    }

    ngx_queue_insert_tail(&ngx_mesh_ws_parcels, &parcel->queue);
    ngx_mesh_ws_parcels_total += ngx_mesh_ws_parcel_size(len);

    if (!ngx_mesh_bus_waits(to->slot)) {
        ngx_mesh_ws_parcels_left(to->slot, 0);
    }

    return NGX_OK;
}


/* the link to slot is empty: the next piece */
static void
ngx_mesh_ws_parcels_left(ngx_uint_t slot, ngx_uint_t lost)
{
    size_t                 n;
    u_char                *p;
    ngx_int_t              rc;
    ngx_mesh_ws_parcel_t  *parcel;

    if (lost) {
        ngx_mesh_ws_parcels_free(slot);
        return;
    }

    parcel = ngx_mesh_ws_parcel(slot, 0);

    if (parcel == NULL) {
        return;
    }

    n = ngx_min(parcel->len - parcel->pos, NGX_MESH_REPLY_PIECE);

    /* the flags take the place of a byte that has been sent */
    p = parcel->data + parcel->pos;
    p[0] = parcel->pos == 0 ? NGX_MESH_REPLY_FIRST : 0;

    parcel->pos += n;

    if (parcel->pos == parcel->len) {
        p[0] |= NGX_MESH_REPLY_LAST;
    }

    /* out of the queue: sending may close a link, which empties it */
    ngx_queue_remove(&parcel->queue);

    rc = ngx_mesh_bus_send(&parcel->to, 0, NGX_MESH_BUS_REPLY, p, n + 1);

    if (rc == NGX_OK && parcel->pos < parcel->len) {
        ngx_queue_insert_head(&ngx_mesh_ws_parcels, &parcel->queue);
        return;
    }

    ngx_mesh_ws_parcels_total -= ngx_mesh_ws_parcel_size(parcel->len);
    ngx_free(parcel);

    if (rc != NGX_OK) {
        /* no worker, or one that does not read */
        ngx_mesh_ws_parcels_free(slot);
    }
}


static void
ngx_mesh_ws_parcels_free(ngx_uint_t slot)
{
    ngx_mesh_ws_parcel_t  *parcel;

    while ((parcel = ngx_mesh_ws_parcel(slot, 0)) != NULL) {
        ngx_queue_remove(&parcel->queue);
        ngx_mesh_ws_parcels_total -= ngx_mesh_ws_parcel_size(parcel->len);
        ngx_mesh_count(NGX_MESH_C_DROPPED);
        ngx_free(parcel);
    }
}


/* the first for slot, and for serial unless that is 0; or NULL */
static ngx_mesh_ws_parcel_t *
ngx_mesh_ws_parcel(ngx_uint_t slot, uint64_t serial)
{
    ngx_queue_t           *q;
    ngx_mesh_ws_parcel_t  *parcel;

    for (q = ngx_queue_head(&ngx_mesh_ws_parcels);
         q != ngx_queue_sentinel(&ngx_mesh_ws_parcels);
         q = ngx_queue_next(q))
    {
        parcel = ngx_queue_data(q, ngx_mesh_ws_parcel_t, queue);

        if (parcel->to.slot == slot
            && (serial == 0 || parcel->to.serial == serial))
        {
            return parcel;
        }
    }

    return NULL;
}


static void
ngx_mesh_ws_on_reply(const ngx_mesh_addr_t *from, uint64_t serial,
    u_char *data, size_t len)
{
    size_t                size;
    u_char               *p;
    ngx_uint_t            flags;
    ngx_mesh_session_t   *s;
    ngx_mesh_ws_reply_t  *reply;

    if (len == 0) {
        return;
    }

    flags = data[0];
    data++;
    len--;

    s = ngx_mesh_session_find(serial);

    if (flags == (NGX_MESH_REPLY_FIRST|NGX_MESH_REPLY_LAST)) {

        if (s) {
            (void) ngx_mesh_ws_send(s, NGX_MESH_WS_TEXT, data, len);
        }

        return;
    }

    /* put together: other messages to the same client may come between */
    reply = ngx_mesh_ws_reply_slot(serial, from->slot,
                                   flags & NGX_MESH_REPLY_FIRST);
    if (reply == NULL) {
        return;
    }

    if (s == NULL || reply->len + len > NGX_MESH_REPLY_MAX) {
        goto done;
    }

    if (reply->len + len > reply->size) {
        size = ngx_max(reply->size * 2, reply->len + len);

        p = ngx_alloc(size, ngx_cycle->log);
        if (p == NULL) {
            goto done;
        }

        if (reply->data) {
            ngx_memcpy(p, reply->data, reply->len);
            ngx_free(reply->data);
        }

        reply->data = p;
        reply->size = size;
    }

    ngx_memcpy(reply->data + reply->len, data, len);
    reply->len += len;

    if (!(flags & NGX_MESH_REPLY_LAST)) {
        return;
    }

    (void) ngx_mesh_ws_send(s, NGX_MESH_WS_TEXT, reply->data, reply->len);

done:

    ngx_free(reply->data);
    ngx_memzero(reply, sizeof(ngx_mesh_ws_reply_t));
}


/* the oldest unfinished one makes room */
static ngx_mesh_ws_reply_t *
ngx_mesh_ws_reply_slot(uint64_t serial, ngx_uint_t slot, ngx_uint_t first)
{
    ngx_uint_t            i;
    ngx_mesh_ws_reply_t  *reply;

    for (i = 0; i < NGX_MESH_REPLIES; i++) {
        reply = &ngx_mesh_ws_replies[i];

        if (reply->serial == serial && reply->slot == slot) {

            if (first) {
                reply->len = 0;
            }

            return reply;
        }
    }

    if (!first) {
        return NULL;
    }

    reply = &ngx_mesh_ws_replies[ngx_mesh_ws_replies_next++
                                 % NGX_MESH_REPLIES];
    if (reply->data) {
        ngx_free(reply->data);
    }

    ngx_memzero(reply, sizeof(ngx_mesh_ws_reply_t));
    reply->serial = serial;
    reply->slot = slot;

    return reply;
}


ngx_int_t
ngx_mesh_mute(const ngx_mesh_addr_t *to)
{
    ngx_mesh_session_t  *s;

    if (!ngx_mesh_ws_is_local(to)) {
        return ngx_mesh_bus_send(to, 0, NGX_MESH_BUS_MUTE, NULL, 0);
    }

    s = ngx_mesh_session_find(to->serial);

    if (s == NULL || s->class->mute == NULL) {
        return NGX_DECLINED;
    }

    s->class->mute(s);

    return NGX_OK;
}


static void
ngx_mesh_ws_on_mute(const ngx_mesh_addr_t *from, uint64_t serial,
    u_char *data, size_t len)
{
    ngx_mesh_session_t  *s;

    s = ngx_mesh_session_find(serial);

    if (s && s->class->mute) {
        s->class->mute(s);
    }
}


ngx_int_t
ngx_mesh_close_session(const ngx_mesh_addr_t *to, ngx_uint_t code)
{
    u_char               body[2];
    ngx_mesh_session_t  *s;

    if (!ngx_mesh_ws_is_local(to)) {
        (void) mesh_put16(body, code);
        return ngx_mesh_bus_send(to, 0, NGX_MESH_BUS_CLOSE, body, 2);
    }

    s = ngx_mesh_session_find(to->serial);

    if (s == NULL) {
        return NGX_DECLINED;
    }

    ngx_mesh_ws_close(s, code);

    return NGX_OK;
}


static void
ngx_mesh_ws_on_close(const ngx_mesh_addr_t *from, uint64_t serial,
    u_char *data, size_t len)
{
    ngx_mesh_session_t  *s;

    s = ngx_mesh_session_find(serial);

    if (s && len == 2) {
        ngx_mesh_ws_close(s, mesh_get16(data));
    }
}

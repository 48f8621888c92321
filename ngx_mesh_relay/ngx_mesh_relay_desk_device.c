/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What the device says: the picture, and what stays beside it; and what it is
 * asked for, for all who watch.
 */

#include "ngx_mesh_relay_desk_in.h"


#define NGX_MESH_DESK_PACKET    64        /* cells that a packet counts as */
#define NGX_MESH_DESK_AGAIN     2         /* seconds between two whole pictures */


/* packets of the device that are no picture */
static const struct {
    uint16_t              cmd;
    ngx_mesh_desk_slot_e  slot;
    ngx_uint_t            kept;       /* who comes later gets it too */
} ngx_mesh_desk_kinds[] = {
    { MESH_KVM_DISPLAYS,   NGX_MESH_DESK_DISPLAYS,   1 },
    { MESH_KVM_GEOMETRY,   NGX_MESH_DESK_GEOMETRY,   1 },
    { MESH_KVM_LEDS,       NGX_MESH_DESK_LEDS,       1 },
    { MESH_KVM_CURSOR,     NGX_MESH_DESK_CURSOR,     1 },
    { MESH_KVM_DISPLAY,    NGX_MESH_DESK_DISPLAY,    1 },
    { MESH_KVM_INPUT_LOCK, NGX_MESH_DESK_LOCK,       0 },
    { MESH_KVM_TOUCH_INIT, NGX_MESH_DESK_TOUCH_INIT, 0 },
    { MESH_KVM_TOUCH,      NGX_MESH_DESK_TOUCH,      0 },
    { MESH_KVM_MESSAGE,    NGX_MESH_DESK_MESSAGE,    0 },
    { MESH_KVM_ALERT,      NGX_MESH_DESK_ALERT,      0 }
};


static ngx_int_t ngx_mesh_desk_room(ngx_mesh_desk_t *desk, uint64_t len);
static void ngx_mesh_desk_device_message(ngx_mesh_desk_t *desk);
static void ngx_mesh_desk_device_packet(ngx_mesh_desk_t *desk,
    mesh_kvm_packet_t *pkt, u_char *p);
static void ngx_mesh_desk_tile(ngx_mesh_desk_t *desk, u_char *p, size_t len);
static void ngx_mesh_desk_screen(ngx_mesh_desk_t *desk,
    mesh_kvm_packet_t *pkt);
static void ngx_mesh_desk_device_text(ngx_mesh_desk_t *desk);
static void ngx_mesh_desk_collect(ngx_mesh_desk_t *desk);


/* the best of what all want, session.md 9 */
void
ngx_mesh_desk_wishes(ngx_mesh_desk_t *desk)
{
    u_char                *last, p[10];
    ngx_queue_t           *q;
    ngx_mesh_desk_seat_t  *seat;
    ngx_mesh_desk_wish_t   all, *w;

    ngx_memzero(&all, sizeof(ngx_mesh_desk_wish_t));

    for (q = ngx_mesh_desk_first(desk);
         q != ngx_queue_sentinel(&desk->seats);
         q = ngx_queue_next(q))
    {
        seat = ngx_mesh_desk_seat(q);
        w = &seat->wish;

        if (seat->role != NGX_MESH_VIEWER || seat->dead || w->quality == 0) {
            continue;
        }

        if (all.quality == 0) {
            all = *w;
            continue;
        }

        all.type = all.type == w->type ? all.type : 1;
        all.quality = ngx_max(all.quality, w->quality);
        all.scaling = ngx_max(all.scaling, w->scaling);
        all.interval = ngx_min(all.interval, w->interval);
    }

    if (!desk->begun || desk->agent == NULL || all.quality == 0
        || (all.quality == desk->wish.quality
            && all.scaling == desk->wish.scaling
            && all.interval == desk->wish.interval))
    {
        return;
    }

    desk->wish = all;
    desk->rewished = 1;

    last = mesh_put16(mesh_put16(p, MESH_KVM_COMPRESSION), 10);
    *last++ = all.type;
    *last++ = all.quality;
    mesh_put16(mesh_put16(last, all.scaling), all.interval);

    ngx_mesh_desk_put(desk->agent, MESH_WS_BINARY, p, 10);
    ngx_mesh_desk_flush(desk->agent);
}


/* the device rests when nobody wants more */
void
ngx_mesh_desk_pauses(ngx_mesh_desk_t *desk)
{
    u_char                 p[5];
    ngx_uint_t             viewers, paused;
    ngx_queue_t           *q;
    ngx_mesh_desk_seat_t  *seat;

    viewers = 0;
    paused = 0;

    for (q = ngx_mesh_desk_first(desk);
         q != ngx_queue_sentinel(&desk->seats);
         q = ngx_queue_next(q))
    {
        seat = ngx_mesh_desk_seat(q);

        if (seat->role == NGX_MESH_VIEWER && !seat->dead) {
            viewers++;
            paused += seat->paused;
        }
    }

    if (!desk->begun || desk->agent == NULL || viewers == 0
        || desk->paused == (viewers == paused))
    {
        return;
    }

    desk->paused = (viewers == paused);

    mesh_put16(mesh_put16(p, MESH_KVM_PAUSE), 5);
    p[4] = desk->paused;

    ngx_mesh_desk_put(desk->agent, MESH_WS_BINARY, p, 5);
    ngx_mesh_desk_flush(desk->agent);
}


/* all of the picture, if it is wanted, and not too often */
void
ngx_mesh_desk_refresh(ngx_mesh_desk_t *desk)
{
    u_char  p[4];

    if (!desk->refresh || !desk->begun || desk->agent == NULL
        || ngx_time() - desk->refreshed < NGX_MESH_DESK_AGAIN)
    {
        return;
    }

    desk->refresh = 0;
    desk->rewished = 0;
    desk->cache.holes = 0;
    desk->cache.missed = 0;
    desk->refreshed = ngx_time();

    mesh_put16(mesh_put16(p, MESH_KVM_REFRESH), 4);
    ngx_mesh_desk_put(desk->agent, MESH_WS_BINARY, p, 4);
    ngx_mesh_desk_flush(desk->agent);
}


void
ngx_mesh_desk_device_event(ngx_mesh_desk_t *desk, mesh_ws_event_t *ev)
{
    if (ev->what == MESH_WS_HEAD && ev->first) {
        desk->recording = (desk->record != NULL);
    }

    if (desk->record && desk->recording) {
        ngx_mesh_record_event(desk->record, NGX_MESH_RECORD_DEVICE, ev,
                              ev->data, ev->size);
    }

    switch (ev->what) {

    case MESH_WS_HEAD:

        if (ev->first) {
            /* a packet may go over several messages, a text may not */
            if (ev->opcode == MESH_WS_TEXT || desk->skip) {
                ngx_mesh_desk_clear(&desk->packet);
            }

            desk->skip = 0;
        }

        if (!desk->skip
            && ((ev->opcode == MESH_WS_TEXT && ev->len > NGX_MESH_DESK_TEXT)
                || ngx_mesh_desk_room(desk, ev->len) != NGX_OK))
        {
            desk->skip = 1;
            ngx_mesh_desk_clear(&desk->packet);
        }

        break;

    case MESH_WS_DATA:

        if (!desk->skip) {
            ngx_memcpy(desk->packet.data + desk->packet.len, ev->data,
                       ev->size);
            desk->packet.len += ev->size;
        }

        break;

    case MESH_WS_END:

        if (desk->skip) {
            break;
        }

        if (ev->opcode == MESH_WS_TEXT) {
            ngx_mesh_desk_device_text(desk);
            ngx_mesh_desk_clear(&desk->packet);

        } else {
            ngx_mesh_desk_device_message(desk);
        }

        ngx_mesh_desk_show(desk);
        break;

    default:    /* MESH_WS_FRAME_END */
        break;
    }
}


/* for len more bytes of a message: older parts of the picture make it */
static ngx_int_t
ngx_mesh_desk_room(ngx_mesh_desk_t *desk, uint64_t len)
{
    size_t  used;

    used = desk->held + desk->packet.len;

    if (len > desk->max || used + (size_t) len > desk->max) {
        desk->cache.holes = 1;
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "mesh desktop: a message of %uL bytes is over "
                      "\"mesh_desktop_cache\"", len);
        return NGX_ERROR;
    }

    mesh_kvm_cache_shrink(&desk->cache, desk->max - used - (size_t) len);
    ngx_mesh_desk_collect(desk);

    /* those that a viewer has begun with are still here */
    if (desk->held + desk->packet.len + (size_t) len > desk->max) {
        desk->cache.holes = 1;
        desk->refresh = 1;
        return NGX_ERROR;
    }

    if (desk->cache.missed) {
        desk->refresh = 1;
    }

    return ngx_mesh_desk_reserve(&desk->packet, (size_t) len);
}


/* as a rule one packet; but it may be several, or a part of one */
static void
ngx_mesh_desk_device_message(ngx_mesh_desk_t *desk)
{
    u_char             *p;
    size_t              left, len;
    ngx_int_t           rc;
    mesh_kvm_packet_t   pkt;

    p = desk->packet.data;
    left = desk->packet.len;

    while (left) {
        rc = mesh_kvm_parse(&pkt, p, left, desk->max);

        if (rc != MESH_OK) {
            break;
        }

        /* one message may be all that the cache holds, of smallest tiles */
        desk->cache.work += NGX_MESH_DESK_PACKET;

        if (desk->cache.work > 4 * NGX_MESH_DESK_WORK) {
            ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                          "mesh desktop: a device sent too many tiles at once");
            ngx_mesh_desk_kill(desk->agent);
            break;
        }

        len = pkt.size;
        ngx_mesh_desk_device_packet(desk, &pkt, p);

        if (desk->packet.data == NULL) {
            return;     /* it was all of it, and is in the picture now */
        }

        p += len;
        left -= len;
    }

    if (left >= 4 && rc == MESH_AGAIN && !desk->agent->dead
        && mesh_kvm_need(p, left) <= desk->max)
    {
        ngx_memmove(desk->packet.data, p, left);
        desk->packet.len = left;
        return;
    }

    ngx_mesh_desk_clear(&desk->packet);
}


static void
ngx_mesh_desk_device_packet(ngx_mesh_desk_t *desk, mesh_kvm_packet_t *pkt,
    u_char *p)
{
    ngx_uint_t  i;

    if (pkt->cmd == MESH_KVM_TILE) {
        ngx_mesh_desk_tile(desk, p, pkt->size);
        return;
    }

    if (pkt->cmd == MESH_KVM_SIZE) {
        ngx_mesh_desk_screen(desk, pkt);
        return;
    }

    for (i = 0; i < sizeof(ngx_mesh_desk_kinds)
                    / sizeof(ngx_mesh_desk_kinds[0]); i++)
    {
        if (ngx_mesh_desk_kinds[i].cmd == pkt->cmd) {
            ngx_mesh_desk_say(desk, ngx_mesh_desk_kinds[i].slot,
                              MESH_WS_BINARY, ngx_mesh_desk_kinds[i].kept, p,
                              pkt->size);
            return;
        }
    }
}


/* takes the buffer where it is the tile and nothing else */
static void
ngx_mesh_desk_tile(ngx_mesh_desk_t *desk, u_char *p, size_t len)
{
    mesh_kvm_tile_t  *tile;

    tile = ngx_calloc(sizeof(mesh_kvm_tile_t), ngx_cycle->log);
    if (tile == NULL) {
        return;
    }

    tile->size = len;

    if (p == desk->packet.data && len == desk->packet.len
        && desk->packet.size - len < 256)
    {
        tile->packet = p;
        ngx_memzero(&desk->packet, sizeof(ngx_mesh_desk_buf_t));

    } else {
        tile->packet = ngx_alloc(len, ngx_cycle->log);
        if (tile->packet == NULL) {
            ngx_free(tile);
            return;
        }

        ngx_memcpy(tile->packet, p, len);
    }

    if (mesh_kvm_cache_add(&desk->cache, tile) != MESH_OK) {
        ngx_free(tile->packet);
        ngx_free(tile);
        return;
    }

    ngx_mesh_desk_collect(desk);

    mesh_kvm_cache_shrink(&desk->cache,
                          desk->max - ngx_min(desk->max, desk->held
                                              + desk->packet.size));
    ngx_mesh_desk_collect(desk);

    if (desk->cache.missed) {
        desk->refresh = 1;
    }

    ngx_mesh_desk_refresh(desk);
}


static void
ngx_mesh_desk_screen(ngx_mesh_desk_t *desk, mesh_kvm_packet_t *pkt)
{
    uint16_t           w, h;
    mesh_kvm_tile_t  **grid, **old;

    if (pkt->len < 4) {
        return;
    }

    w = mesh_get16(pkt->data);
    h = mesh_get16(pkt->data + 2);

    if (w == 0 || h == 0
        || (w == desk->cache.width && h == desk->cache.height))
    {
        return;
    }

    grid = ngx_calloc(mesh_kvm_cache_cells(w, h) * sizeof(mesh_kvm_tile_t *),
                      ngx_cycle->log);
    if (grid == NULL) {
        return;
    }

    old = desk->cache.grid;
    mesh_kvm_cache_screen(&desk->cache, w, h, grid);

    if (old) {
        ngx_free(old);
    }

    desk->cache.work += mesh_kvm_cache_cells(w, h);

    ngx_mesh_desk_collect(desk);
}


/* only what it says to the person passes */
static void
ngx_mesh_desk_device_text(ngx_mesh_desk_t *desk)
{
    ngx_str_t         type, msg;
    ngx_mesh_json_t  *j;

    if (desk->packet.len == 0 || desk->packet.data[0] != '{') {
        return;
    }

    j = ngx_mesh_json_parse(desk->packet.data, desk->packet.len);
    if (j == NULL) {
        return;
    }

    if (ngx_mesh_json_str(j, "type", &type) == NGX_OK && type.len == 7
        && ngx_memcmp(type.data, "console", 7) == 0)
    {
        ngx_mesh_desk_say(desk, NGX_MESH_DESK_CONSOLE, MESH_WS_TEXT,
                          ngx_mesh_json_str(j, "msg", &msg) == NGX_OK,
                          desk->packet.data, desk->packet.len);
    }

    ngx_mesh_json_free(j);
}


/* the last one of its kind, for all who are here */
void
ngx_mesh_desk_say(ngx_mesh_desk_t *desk, ngx_uint_t slot, ngx_uint_t opcode,
    ngx_uint_t kept, const u_char *p, size_t len)
{
    ngx_queue_t           *q;
    ngx_mesh_desk_said_t  *said;

    said = &desk->said[slot];

    if (len > NGX_MESH_DESK_TEXT && slot != NGX_MESH_DESK_METADATA) {
        return;
    }

    said->buf.len = 0;
    said->opcode = opcode;
    said->kept = kept;

    if (ngx_mesh_desk_append(&said->buf, p, len) != NGX_OK
        || slot == NGX_MESH_DESK_START)
    {
        return;
    }

    for (q = ngx_mesh_desk_first(desk);
         q != ngx_queue_sentinel(&desk->seats);
         q = ngx_queue_next(q))
    {
        if (ngx_mesh_desk_seat(q)->role == NGX_MESH_VIEWER) {
            ngx_mesh_desk_seat(q)->due |= 1u << slot;
        }
    }
}


/* tiles that are covered; one that is on its way is freed behind it */
static void
ngx_mesh_desk_collect(ngx_mesh_desk_t *desk)
{
    mesh_kvm_tile_t  *tile;

    while ((tile = desk->cache.dropped) != NULL) {
        desk->cache.dropped = tile->next;

        if (tile->refs) {
            desk->held += tile->size;
            continue;
        }

        ngx_free(tile->packet);
        ngx_free(tile);
    }
}

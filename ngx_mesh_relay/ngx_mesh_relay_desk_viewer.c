/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What viewers say, and what of it the device is told.
 */

#include "ngx_mesh_relay_desk_in.h"


static void ngx_mesh_desk_viewer_packet(ngx_mesh_desk_seat_t *seat,
    const u_char *p, size_t len);
static void ngx_mesh_desk_viewer_text(ngx_mesh_desk_seat_t *seat);
static void ngx_mesh_desk_hold(ngx_mesh_desk_seat_t *seat, const u_char *p);
static void ngx_mesh_desk_forward(ngx_mesh_desk_seat_t *seat,
    ngx_uint_t opcode, const u_char *p, size_t len);


/* also of whoever has not said yet who it is */
void
ngx_mesh_desk_viewer_event(ngx_mesh_desk_seat_t *seat, mesh_ws_event_t *ev)
{
    size_t          size;
    const uint8_t  *pos, *last, *packet;

    switch (ev->what) {

    case MESH_WS_HEAD:

        if (ev->first) {
            seat->text_len = 0;
            seat->over = 0;
        }

        break;

    case MESH_WS_DATA:

        if (ev->opcode == MESH_WS_BINARY && seat->role) {
            pos = ev->data;
            last = ev->data + ev->size;

            while (!seat->dead) {
                switch (mesh_kvm_input(&seat->input, MESH_KVM_FULL, &pos, last,
                                       &packet, &size))
                {
                case MESH_OK:
                    ngx_mesh_desk_viewer_packet(seat, packet, size);
                    break;

                case MESH_AGAIN:
                    return;

                default:
                    ngx_mesh_desk_kill(seat);
                    return;
                }
            }

            return;
        }

        if (seat->text == NULL) {
            seat->text = ngx_alloc(NGX_MESH_DESK_TEXT, seat->c->log);
        }

        if (seat->text == NULL || seat->over
            || ev->size > NGX_MESH_DESK_TEXT - seat->text_len)
        {
            seat->over = 1;
            break;
        }

        ngx_memcpy(seat->text + seat->text_len, ev->data, ev->size);
        seat->text_len += ev->size;
        break;

    case MESH_WS_END:

        if (seat->over || seat->text_len == 0) {
            break;
        }

        if (!seat->role) {
            ngx_mesh_desk_seated(seat, seat->text, seat->text_len);

        } else if (seat->role == NGX_MESH_VIEWER
                   && ev->opcode == MESH_WS_TEXT)
        {
            ngx_mesh_desk_viewer_text(seat);
        }

        break;

    default:    /* MESH_WS_FRAME_END */
        break;
    }
}


/* which it may send, its own worker has seen to */
static void
ngx_mesh_desk_viewer_packet(ngx_mesh_desk_seat_t *seat, const u_char *p,
    size_t len)
{
    ngx_mesh_desk_t    *desk;
    mesh_kvm_event_t    in;
    mesh_kvm_packet_t   pkt;

    desk = seat->desk;

    if (seat->role != NGX_MESH_VIEWER
        || mesh_kvm_parse(&pkt, p, len, MESH_KVM_MAX_INPUT) != MESH_OK)
    {
        return;
    }

    switch (pkt.cmd) {

    case MESH_KVM_COMPRESSION:

        if (mesh_kvm_read_input(&in, &pkt) != MESH_OK) {
            return;
        }

        seat->wish.type = pkt.data[0];

        if (seat->wish.quality == 0) {
            seat->wish.quality = 30;
            seat->wish.scaling = MESH_KVM_SCALE_FULL;
            seat->wish.interval = 100;
        }

        if (in.u.compression.quality) {
            seat->wish.quality = in.u.compression.quality;
        }

        if (in.u.compression.scaling) {
            seat->wish.scaling = in.u.compression.scaling;
        }

        if (in.u.compression.interval) {
            seat->wish.interval = in.u.compression.interval;
        }

        ngx_mesh_desk_wishes(desk);
        break;

    case MESH_KVM_INTERVAL:

        if (mesh_kvm_read_input(&in, &pkt) == MESH_OK && in.u.interval
            && seat->wish.quality)
        {
            seat->wish.interval = in.u.interval;
            ngx_mesh_desk_wishes(desk);
        }

        break;

    case MESH_KVM_PAUSE:

        seat->paused = (pkt.data[0] != 0);
        ngx_mesh_desk_pauses(desk);
        ngx_mesh_desk_flush(seat);
        ngx_mesh_desk_resume(desk);
        break;

    case MESH_KVM_REFRESH:

        if (desk->rewished || desk->cache.holes) {
            desk->refresh = 1;
            ngx_mesh_desk_refresh(desk);

        } else {
            mesh_kvm_view_rewind(&desk->cache, &seat->view);
            ngx_mesh_desk_flush(seat);
        }

        break;

    case MESH_KVM_DISPLAYS:

        if (desk->said[NGX_MESH_DESK_DISPLAYS].buf.len == 0) {
            ngx_mesh_desk_forward(seat, MESH_WS_BINARY, p, len);
            break;
        }

        seat->due |= 1u << NGX_MESH_DESK_DISPLAYS;

        if (desk->said[NGX_MESH_DESK_GEOMETRY].buf.len) {
            seat->due |= 1u << NGX_MESH_DESK_GEOMETRY;
        }

        ngx_mesh_desk_flush(seat);
        break;

    default:

        ngx_mesh_desk_hold(seat, p);
        ngx_mesh_desk_forward(seat, MESH_WS_BINARY, p, len);
        break;
    }
}


static void
ngx_mesh_desk_viewer_text(ngx_mesh_desk_seat_t *seat)
{
    ngx_str_t         type;
    ngx_mesh_desk_t  *desk;
    ngx_mesh_json_t  *j;

    desk = seat->desk;

    if (seat->text[0] != '{') {
        if (ngx_atoi(seat->text, seat->text_len) == 2) {
            seat->started = 1;
            ngx_mesh_desk_begin(desk);
        }

        return;
    }

    j = ngx_mesh_json_parse(seat->text, seat->text_len);
    if (j == NULL) {
        return;
    }

    if (ngx_mesh_json_str(j, "type", &type) != NGX_OK) {
        ngx_str_null(&type);
    }

#define ngx_mesh_desk_is(s)                                                   \
    (type.len == sizeof(s) - 1 && ngx_memcmp(type.data, s, sizeof(s) - 1) == 0)

    if (ngx_mesh_desk_is("rtt")) {

        /* its echo comes behind all that was to be seen when it came */
        if (seat->text_len <= NGX_MESH_DESK_ECHO) {
            ngx_memcpy(seat->echo, seat->text, seat->text_len);
            seat->echo_len = seat->text_len;
            seat->echo_after = desk->cache.number;
            ngx_mesh_desk_flush(seat);
        }

    } else if (ngx_mesh_desk_is("ping")) {
        seat->pong = 1;
        ngx_mesh_desk_flush(seat);

    } else if (ngx_mesh_desk_is("options")) {

        if (desk->options.len == 0) {
            (void) ngx_mesh_desk_append(&desk->options, seat->text,
                                        seat->text_len);
        }

    } else if (ngx_mesh_desk_is("lock") || ngx_mesh_desk_is("autolock")) {
        ngx_mesh_desk_forward(seat, MESH_WS_TEXT, seat->text, seat->text_len);
    }

#undef ngx_mesh_desk_is

    ngx_mesh_json_free(j);
}


/* what is down, so that it comes up when this viewer goes */
static void
ngx_mesh_desk_hold(ngx_mesh_desk_seat_t *seat, const u_char *p)
{
    u_char   bit;
    uint8_t  b;

    switch (mesh_get16(p)) {

    case MESH_KVM_KEY:

        bit = (u_char) (1 << (p[5] & 7));

        if (p[4] == MESH_KVM_KEY_DOWN || p[4] == MESH_KVM_KEY_EXT_DOWN) {
            seat->keys[p[5] >> 3] |= bit;
            seat->extended[p[5] >> 3] &= (u_char) ~bit;

            if (p[4] == MESH_KVM_KEY_EXT_DOWN) {
                seat->extended[p[5] >> 3] |= bit;
            }

        } else {
            seat->keys[p[5] >> 3] &= (u_char) ~bit;
        }

        break;

    case MESH_KVM_MOUSE:

        ngx_memcpy(seat->place, p + 6, 4);
        b = p[5];

        if (b == MESH_KVM_LEFT || b == MESH_KVM_RIGHT || b == MESH_KVM_MIDDLE)
        {
            seat->buttons |= b;

        } else if (b == 2 * MESH_KVM_LEFT || b == 2 * MESH_KVM_RIGHT
                   || b == 2 * MESH_KVM_MIDDLE)
        {
            seat->buttons &= (uint8_t) ~(b / 2);
        }

        break;
    }
}


void
ngx_mesh_desk_let_go(ngx_mesh_desk_seat_t *seat)
{
    u_char      p[10];
    ngx_uint_t  i;

    for (i = 0; i < 256; i++) {
        if (seat->keys[i >> 3] & 1 << (i & 7)) {
            mesh_put16(mesh_put16(p, MESH_KVM_KEY), 6);
            p[4] = seat->extended[i >> 3] & 1 << (i & 7)
                   ? MESH_KVM_KEY_EXT_UP : MESH_KVM_KEY_UP;
            p[5] = (u_char) i;
            ngx_mesh_desk_forward(seat, MESH_WS_BINARY, p, 6);
        }
    }

    for (i = MESH_KVM_LEFT; i <= MESH_KVM_MIDDLE; i *= 4) {
        if (seat->buttons & i) {
            mesh_put16(mesh_put16(p, MESH_KVM_MOUSE), 10);
            p[4] = 0;
            p[5] = (u_char) (2 * i);
            ngx_memcpy(p + 6, seat->place, 4);
            ngx_mesh_desk_forward(seat, MESH_WS_BINARY, p, 10);
        }
    }
}


/* a viewer that sends more than the device takes is not read */
static void
ngx_mesh_desk_forward(ngx_mesh_desk_seat_t *seat, ngx_uint_t opcode,
    const u_char *p, size_t len)
{
    ngx_mesh_desk_seat_t  *agent;

    agent = seat->desk->agent;

    if (agent == NULL || agent->dead || !seat->desk->begun) {
        return;
    }

    ngx_mesh_desk_put(agent, opcode, p, len);
    ngx_mesh_desk_flush(agent);

    if (agent->out.len - agent->out.pos > NGX_MESH_DESK_INPUT) {
        seat->stopped = 1;
    }
}

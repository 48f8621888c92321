/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What viewers and the device get, as fast as each takes it.
 */

#include "ngx_mesh_relay_desk_in.h"


#define NGX_MESH_DESK_WRITE     1048576   /* bytes before others have a turn */
#define NGX_MESH_DESK_CALL      1024      /* bytes that a call counts as */


static ngx_int_t ngx_mesh_desk_send(ngx_mesh_desk_seat_t *seat);
static ngx_uint_t ngx_mesh_desk_next(ngx_mesh_desk_seat_t *seat);


void
ngx_mesh_desk_release(ngx_mesh_desk_seat_t *seat)
{
    mesh_kvm_tile_t  *tile;

    tile = seat->tile;
    seat->tile = NULL;

    if (tile && --tile->refs == 0 && !tile->shown) {
        seat->desk->held -= tile->size;
        ngx_free(tile->packet);
        ngx_free(tile);
    }
}


void
ngx_mesh_desk_write(ngx_event_t *ev)
{
    ngx_connection_t      *c;
    ngx_mesh_desk_seat_t  *seat;

    c = ev->data;
    seat = c->data;

    ngx_mesh_desk_flush(seat);
    ngx_mesh_desk_eased(seat);
}


/* something left: who was stopped for it goes on */
void
ngx_mesh_desk_eased(ngx_mesh_desk_seat_t *seat)
{
    ngx_queue_t      *q;
    ngx_mesh_desk_t  *desk;

    desk = seat->desk;

    if (seat != desk->agent) {
        ngx_mesh_desk_resume(desk);
        return;
    }

    if (ngx_mesh_desk_behind(desk)) {
        return;
    }

    for (q = ngx_mesh_desk_first(desk);
         q != ngx_queue_sentinel(&desk->seats);
         /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
         q = ngx_queue_next(q))
    {
        seat = ngx_mesh_desk_seat(q);

        if (seat != desk->agent && seat->stopped && !seat->dead) {
            seat->stopped = 0;
            ngx_post_event(seat->c->read, &ngx_posted_events);
        }
    }
}


/* 1: the device does not take what viewers say */
ngx_uint_t
ngx_mesh_desk_behind(ngx_mesh_desk_t *desk)
{
    ngx_mesh_desk_seat_t  *agent;

    agent = desk->agent;

    return agent && !agent->dead
           && agent->out.len - agent->out.pos > NGX_MESH_DESK_INPUT;
}


void
ngx_mesh_desk_show(ngx_mesh_desk_t *desk)
{
    ngx_queue_t  *q;

    for (q = ngx_mesh_desk_first(desk);
         q != ngx_queue_sentinel(&desk->seats);
         q = ngx_queue_next(q))
    {
        if (!ngx_mesh_desk_seat(q)->blocked) {
            ngx_mesh_desk_flush(ngx_mesh_desk_seat(q));
        }
    }
}


void
ngx_mesh_desk_flush(ngx_mesh_desk_seat_t *seat)
{
    size_t     written;
    ngx_int_t  rc;

    written = 0;

    while (!seat->dead) {
        written += NGX_MESH_DESK_CALL + seat->out.len - seat->out.pos
                   + (seat->tile ? seat->tile->size - seat->tile_pos : 0);

        rc = ngx_mesh_desk_send(seat);

        if (rc == NGX_OK && !ngx_mesh_desk_next(seat)) {
            seat->blocked = 0;
            rc = ngx_mesh_pipe_blocked(seat->c, 0);

            if (rc == NGX_OK) {
                /* also where a read led here: there is no write event */
                ngx_mesh_desk_eased(seat);
                return;
            }
        }

        if (rc == NGX_AGAIN) {
            seat->blocked = 1;

            if (ngx_mesh_pipe_blocked(seat->c, 1) == NGX_OK) {
                return;
            }

            rc = NGX_ERROR;
        }

        if (rc == NGX_ERROR) {
            ngx_mesh_desk_kill(seat);
            return;
        }

        if (written > NGX_MESH_DESK_WRITE) {
            seat->blocked = 1;
            ngx_post_event(seat->c->write, &ngx_posted_next_events);
            return;
        }
    }
}


/* NGX_OK: all that was begun has left */
static ngx_int_t
ngx_mesh_desk_send(ngx_mesh_desk_seat_t *seat)
{
    u_char            *p;
    size_t             len;
    ssize_t            n;
    ngx_connection_t  *c;

    c = seat->c;

    for ( ;; ) {

        if (seat->out.pos < seat->out.len) {
            p = seat->out.data + seat->out.pos;
            len = seat->out.len - seat->out.pos;

        } else if (seat->tile) {
            p = seat->tile->packet + seat->tile_pos;
            len = seat->tile->size - seat->tile_pos;

        } else {
            return NGX_OK;
        }

        n = c->send(c, p, len);

        if (n == NGX_AGAIN || n == 0) {
            return NGX_AGAIN;
        }

        if (n < 0) {
            return NGX_ERROR;
        }

        if (seat->out.pos < seat->out.len) {
            seat->out.pos += n;

            if (seat->out.pos == seat->out.len) {
                ngx_mesh_desk_clear(&seat->out);
            }

            continue;
        }

        seat->tile_pos += n;

        if (seat->tile_pos == seat->tile->size) {
            ngx_mesh_desk_release(seat);
        }
    }
}


/* what a viewer gets next; 0: it has all that it is to have now */
static ngx_uint_t
ngx_mesh_desk_next(ngx_mesh_desk_seat_t *seat)
{
    u_char            p[8];
    size_t            n;
    ngx_uint_t        i;
    mesh_kvm_view_t  *view;
    ngx_mesh_desk_t  *desk;

    if (seat->role != NGX_MESH_VIEWER) {
        return 0;
    }

    desk = seat->desk;
    view = &seat->view;

    if (seat->due) {

        for (i = 0; i < NGX_MESH_DESK_SLOTS; i++) {
            if (seat->due & 1u << i) {
                ngx_mesh_desk_put(seat, desk->said[i].opcode,
                                  desk->said[i].buf.data,
                                  desk->said[i].buf.len);
            }
        }

        seat->due = 0;
        return 1;
    }

    if (seat->pong) {
        seat->pong = 0;
        ngx_mesh_desk_put(seat, MESH_WS_TEXT, (u_char *)
                          "{\"ctrlChannel\":\"102938\",\"type\":\"pong\"}",
                          sizeof("{\"ctrlChannel\":\"102938\","
                                 "\"type\":\"pong\"}") - 1);
        return 1;
    }

    if (seat->echo_len
        && (seat->paused
            || (!view->screen && (view->tile == NULL
                                  || view->tile->number > seat->echo_after))))
    {
        ngx_mesh_desk_put(seat, MESH_WS_TEXT, seat->echo, seat->echo_len);
        seat->echo_len = 0;
        return 1;
    }

    if (seat->paused) {
        return 0;
    }

    if (view->screen) {
        view->screen = 0;
        n = mesh_kvm_write_size(p, desk->cache.width, desk->cache.height);
        ngx_mesh_desk_put(seat, MESH_WS_BINARY, p, n);
        return 1;
    }

    seat->tile = mesh_kvm_view_next(view);

    if (seat->tile == NULL) {
        return 0;
    }

    seat->tile->refs++;
    seat->tile_pos = 0;

    if (ngx_mesh_desk_reserve(&seat->out, MESH_WS_MAX_HEAD) != NGX_OK) {
        ngx_mesh_desk_kill(seat);
        return 0;
    }

    seat->out.len += mesh_ws_head(seat->out.data + seat->out.len,
                                  MESH_WS_BINARY, 1, seat->tile->size);

    return 1;
}


void
ngx_mesh_desk_put(ngx_mesh_desk_seat_t *seat, ngx_uint_t opcode,
    const u_char *p, size_t len)
{
    if (ngx_mesh_desk_reserve(&seat->out, MESH_WS_MAX_HEAD + len) != NGX_OK) {
        ngx_mesh_desk_kill(seat);
        return;
    }

    seat->out.len += mesh_ws_head(seat->out.data + seat->out.len,
                                  (uint8_t) opcode, 1, len);
    (void) ngx_mesh_desk_append(&seat->out, p, len);
}


ngx_int_t
ngx_mesh_desk_append(ngx_mesh_desk_buf_t *b, const u_char *p, size_t len)
{
    if (ngx_mesh_desk_reserve(b, len) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(b->data + b->len, p, len);
    b->len += len;

    return NGX_OK;
}


/* room for len more bytes; an empty one gets no more than that */
ngx_int_t
ngx_mesh_desk_reserve(ngx_mesh_desk_buf_t *b, size_t len)
{
    u_char  *p;
    size_t   left, size;

    if (b->data && len <= b->size - b->len) {
        return NGX_OK;
    }

    /* never none: data says that there is a buffer */
    left = b->len - b->pos;
    size = left + len + 1;

    if (left) {
        size = ngx_max(size, 2 * left);
    }

    p = ngx_alloc(size, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (b->data) {
        ngx_memcpy(p, b->data + b->pos, left);
        ngx_free(b->data);
    }

    b->data = p;
    b->pos = 0;
    b->len = left;
    b->size = size;

    return NGX_OK;
}


void
ngx_mesh_desk_clear(ngx_mesh_desk_buf_t *b)
{
    if (b->data) {
        ngx_free(b->data);
    }

    ngx_memzero(b, sizeof(ngx_mesh_desk_buf_t));
}


/* 1: nobody takes more, so the device is not read */
ngx_uint_t
ngx_mesh_desk_full(ngx_mesh_desk_t *desk)
{
    ngx_queue_t           *q;
    ngx_mesh_desk_seat_t  *seat;

    if (desk->record
        && ngx_mesh_record_full(desk->record, NGX_MESH_RECORD_DEVICE))
    {
        return 1;
    }

    for (q = ngx_mesh_desk_first(desk);
         q != ngx_queue_sentinel(&desk->seats);
         q = ngx_queue_next(q))
    {
        seat = ngx_mesh_desk_seat(q);

        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): who left is not there */
        if (seat->role == NGX_MESH_VIEWER && !seat->dead && !seat->paused
            && !(seat->blocked && seat->view.tile))
        {
            return 0;
        }
    }

    return 1;
}


void
ngx_mesh_desk_resume(ngx_mesh_desk_t *desk)
{
    ngx_mesh_desk_seat_t  *agent;

    agent = desk->agent;

    if (agent && !agent->dead && agent->stopped && !ngx_mesh_desk_full(desk)) {
        agent->stopped = 0;
        ngx_post_event(agent->c->read, &ngx_posted_events);
    }
}

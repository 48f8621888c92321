/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * A session that is recorded does not leave the server: what would lead beside
 * it is dropped, of both sides, session.md 2.2.
 *
 * A text that may be such a message is kept until it is whole; all else is cut
 * through.  One that is too long to be kept goes on, and ends the session if it
 * turns out to be one.
 */

#include "ngx_mesh_relay_in.h"


static void ngx_mesh_relay_watch_event(ngx_mesh_relay_t *half,
    mesh_ws_event_t *ev);
static ngx_uint_t ngx_mesh_relay_watch_text(ngx_mesh_relay_t *half,
    mesh_ws_event_t *ev);
static void ngx_mesh_relay_watch_head(ngx_mesh_relay_t *half,
    ngx_uint_t opcode, ngx_uint_t fin, uint64_t len);
static void ngx_mesh_relay_watch_bytes(ngx_mesh_relay_t *half,
    mesh_ws_event_t *ev);
static void ngx_mesh_relay_watch_kept(ngx_mesh_relay_t *half, ngx_uint_t fin);


/* of one read, with what was kept of earlier ones and the heads of both */
static u_char  ngx_mesh_relay_watched[NGX_MESH_RELAY_READ
                                      + NGX_MESH_RELAY_KEPT + 256];


/*
 * Watches a half of a recorded session from now on; what it sent before is
 * seen by ngx_mesh_relay_watch_early().
 */
ngx_int_t
ngx_mesh_relay_watch(ngx_mesh_relay_t *half)
{
    /* a filter lets none of them through */
    if (half->filter) {
        return NGX_OK;
    }

    half->watch = ngx_calloc(sizeof(ngx_mesh_relay_watch_t),
                             half->s->c->log);

    return half->watch ? NGX_OK : NGX_ERROR;
}


/* passes on what came before the peer did */
ngx_int_t
ngx_mesh_relay_watch_early(ngx_mesh_relay_t *half)
{
    size_t             n, len;
    u_char            *pos, *end;
    ngx_int_t          rc;
    mesh_ws_event_t    ev;
    mesh_ws_parse_t    parse;
    mesh_ws_limits_t   limits;

    ngx_memzero(&parse, sizeof(mesh_ws_parse_t));
    ngx_memzero(&limits, sizeof(mesh_ws_limits_t));

    half->between = 1;
    pos = half->early.data;
    len = half->early.len;

    while (len) {
        n = ngx_min(len, NGX_MESH_RELAY_READ);
        end = pos + n;
        len -= n;

        while ((rc = mesh_ws_parse(&parse, &limits, &pos, end, &ev))
               != MESH_AGAIN)
        {
            if (rc == MESH_ERROR) {
                return NGX_ERROR;
            }

            ngx_mesh_relay_watch_event(half, &ev);

            if (half->end) {
                return NGX_ERROR;
            }
        }

        n = half->out ? half->out_last - half->out : 0;
        half->out = NULL;

        if (n && ngx_mesh_relay_forward(half, ngx_mesh_relay_watched, n)
                 == NGX_ERROR)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_relay_watch_frame(ngx_mesh_relay_t *half, mesh_ws_event_t *ev)
{
    if (ev->what == MESH_WS_DATA && ev->opcode == MESH_WS_TEXT) {
        (void) mesh_ws_unmask(ev->data, ev->data, ev->size, ev->mask,
                              ev->phase);
        ev->mask = NULL;

        /* a device's text need not be UTF-8; a browser would close for it */
        if (half->role == NGX_MESH_DEVICE) {
            mesh_utf8_repair(&half->utf8, ev->data, ev->size, ev->len);
        }
    }

    ngx_mesh_relay_watch_event(half, ev);

    return NGX_OK;
}


static void
ngx_mesh_relay_watch_event(ngx_mesh_relay_t *half, mesh_ws_event_t *ev)
{
    ngx_mesh_record_t       *record;
    ngx_mesh_relay_watch_t  *w;

    w = half->watch;

    switch (ev->what) {

    case MESH_WS_HEAD:

        w->fin = ev->fin;

        if (ev->first) {
            w->keeps = (ev->opcode == MESH_WS_TEXT);
            w->len = 0;
            ngx_memzero(&w->rtc, sizeof(mesh_rtc_t));
        }

        if (!w->keeps) {
            ngx_mesh_relay_watch_head(half, ev->first ? ev->opcode
                                                      : MESH_WS_CONT,
                                      ev->fin, ev->len);
        }

        break;

    case MESH_WS_DATA:

        if (ev->opcode == MESH_WS_BINARY
            || ngx_mesh_relay_watch_text(half, ev))
        {
            ngx_mesh_relay_watch_bytes(half, ev);
        }

        break;

    case MESH_WS_FRAME_END:

        if (!w->keeps) {
            half->between = 1;
        }

        break;

    default:    /* MESH_WS_END */

        if (w->keeps) {
            w->keeps = 0;

            if (w->rtc.found) {
                break;
            }

            ngx_mesh_relay_watch_kept(half, 1);
            half->between = 1;
        }

        record = ngx_mesh_relay_recorder(half);

        if (record) {
            ngx_mesh_record_event(record, ngx_mesh_relay_side(half), ev, NULL,
                                  0);
        }

        break;
    }
}


/* 1: what this piece is of goes on now */
static ngx_uint_t
ngx_mesh_relay_watch_text(ngx_mesh_relay_t *half, mesh_ws_event_t *ev)
{
    ngx_int_t                rc;
    ngx_mesh_relay_watch_t  *w;

    w = half->watch;
    rc = mesh_rtc_find(&w->rtc, ev->data, ev->size);

    if (!w->keeps) {

        if (rc != MESH_OK) {
            return 1;
        }

        ngx_log_error(NGX_LOG_INFO, half->s->c->log, 0,
                      "mesh relay: a recorded session was to leave the server");
        half->out = NULL;
        ngx_mesh_relay_end(half, &ngx_mesh_relay_end_record,
                           MESH_WS_CODE_POLICY);
        return 0;
    }

    if (rc == MESH_OK) {
        return 0;
    }

    if (rc == MESH_AGAIN && ev->size <= sizeof(w->text) - w->len) {
        ngx_memcpy(w->text + w->len, ev->data, ev->size);
        w->len += ev->size;
        return 0;
    }

    w->keeps = 0;

    if (w->len) {
        ngx_mesh_relay_watch_kept(half, 0);
    }

    /* the rest of the frame */
    ngx_mesh_relay_watch_head(half, w->len ? MESH_WS_CONT : MESH_WS_TEXT,
                              w->fin, ev->size + ev->len);
    return 1;
}


static void
ngx_mesh_relay_watch_head(ngx_mesh_relay_t *half, ngx_uint_t opcode,
    ngx_uint_t fin, uint64_t len)
{
    mesh_ws_event_t     ev;
    ngx_mesh_record_t  *record;

    if (half->out == NULL) {
        half->out = ngx_mesh_relay_watched;
        half->out_last = ngx_mesh_relay_watched;
    }

    half->out_last += mesh_ws_head(half->out_last, opcode, fin, len);
    half->between = 0;

    record = ngx_mesh_relay_recorder(half);

    if (record && opcode != MESH_WS_CONT) {
        ngx_memzero(&ev, sizeof(mesh_ws_event_t));
        ev.what = MESH_WS_HEAD;
        ev.opcode = opcode;
        ev.first = 1;
        ngx_mesh_record_event(record, ngx_mesh_relay_side(half), &ev, NULL, 0);
    }
}


static void
ngx_mesh_relay_watch_bytes(ngx_mesh_relay_t *half, mesh_ws_event_t *ev)
{
    ngx_mesh_record_t  *record;

    if (half->out == NULL) {
        half->out = ngx_mesh_relay_watched;
        half->out_last = ngx_mesh_relay_watched;
    }

    if (ev->mask) {
        (void) mesh_ws_unmask(half->out_last, ev->data, ev->size, ev->mask,
                              ev->phase);
    } else {
        ngx_memcpy(half->out_last, ev->data, ev->size);
    }

    record = ngx_mesh_relay_recorder(half);

    if (record) {
        ngx_mesh_record_event(record, ngx_mesh_relay_side(half), ev,
                              half->out_last, ev->size);
    }

    half->out_last += ev->size;
}


/* what was kept, as one frame */
static void
ngx_mesh_relay_watch_kept(ngx_mesh_relay_t *half, ngx_uint_t fin)
{
    mesh_ws_event_t          ev;
    ngx_mesh_relay_watch_t  *w;

    w = half->watch;
    ngx_mesh_relay_watch_head(half, MESH_WS_TEXT, fin, w->len);

    ngx_memzero(&ev, sizeof(mesh_ws_event_t));
    ev.what = MESH_WS_DATA;
    ev.opcode = MESH_WS_TEXT;
    ev.data = w->text;
    ev.size = w->len;
    ngx_mesh_relay_watch_bytes(half, &ev);
}

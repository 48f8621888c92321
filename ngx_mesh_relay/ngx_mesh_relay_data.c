/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What passes between the halves.
 */

#include "ngx_mesh_relay_in.h"


#define NGX_MESH_RELAY_TURNS    16        /* reads before others have a turn */
#define NGX_MESH_RELAY_DESKS    3         /* tries to come to one */

/*
 * On a slow line a picture must not be old: 2 s of 256 kbit/s are 64 KB, in
 * all buffers together.
 */
#define NGX_MESH_RELAY_PICTURE  16384     /* bytes that wait for a viewer */
#define NGX_MESH_RELAY_RCVBUF   262144    /* bytes of a device, unread; and */
#define NGX_MESH_RELAY_SLOW     16384     /* of one whose viewer was slow: */
#define NGX_MESH_RELAY_STOPPED  250       /* ms it stood still at once */


static void ngx_mesh_relay_resume(ngx_mesh_relay_t *half);
static void ngx_mesh_relay_option(ngx_connection_t *c, int level, int name,
    int value);
static ngx_int_t ngx_mesh_relay_keep(ngx_mesh_relay_buf_t *b, u_char *data,
    size_t len, ngx_log_t *log);
static ngx_int_t ngx_mesh_relay_rate(ngx_mesh_relay_t *half, size_t len);
static void ngx_mesh_relay_pipe_read(ngx_event_t *ev);
static void ngx_mesh_relay_pipe_write(ngx_event_t *ev);
static ngx_int_t ngx_mesh_relay_pipe_send(ngx_mesh_relay_pipe_t *pipe,
    u_char *data, size_t len);
static ngx_int_t ngx_mesh_relay_pipe_flush(ngx_mesh_relay_pipe_t *pipe);
static void ngx_mesh_relay_pipe_free(ngx_mesh_relay_pipe_t *pipe);


static u_char  ngx_mesh_relay_scratch[16 + NGX_MESH_RELAY_READ];


/* little waits on the way of a picture; what cannot be set is as it was */
void
ngx_mesh_relay_hurry(ngx_mesh_relay_t *half)
{
    ngx_connection_t  *c;

    c = half->s->c;

    if (half->role == NGX_MESH_DEVICE) {
        ngx_mesh_relay_option(c, SOL_SOCKET, SO_RCVBUF,
                              NGX_MESH_RELAY_RCVBUF);

        if (half->pipe) {
            ngx_mesh_relay_option(half->pipe->c, SOL_SOCKET, SO_SNDBUF,
                                  NGX_MESH_RELAY_PICTURE);
        }

        return;
    }

    half->s->relay_mark = NGX_MESH_RELAY_PICTURE;
    ngx_mesh_relay_option(c, IPPROTO_TCP, TCP_NOTSENT_LOWAT,
                          NGX_MESH_RELAY_PICTURE);
}


/* the other side has taken what it was given: read on, if all else may */
static void
ngx_mesh_relay_resume(ngx_mesh_relay_t *half)
{
    if (half->stopped_at
        && half->role == NGX_MESH_DEVICE && !half->narrow
        && half->p == NGX_MESH_RELAY_DESKTOP
        && ngx_current_msec - half->stopped_at >= NGX_MESH_RELAY_STOPPED)
    {
        half->narrow = 1;
        ngx_mesh_relay_option(half->s->c, SOL_SOCKET, SO_RCVBUF,
                              NGX_MESH_RELAY_SLOW);
    }

    half->stopped_at = 0;

    if (!half->slowed && !ngx_mesh_relay_record_full(half)) {
        ngx_mesh_ws_resume(half->s);
    }
}


static void
ngx_mesh_relay_option(ngx_connection_t *c, int level, int name, int value)
{
    if (setsockopt(c->fd, level, name, &value, sizeof(int)) == -1) {
        ngx_log_error(NGX_LOG_INFO, c->log, ngx_socket_errno,
                      "mesh relay: setsockopt(%d) failed", name);
    }
}


/* packs the other client's frames over what was read, see the comment above */
ngx_int_t
ngx_mesh_relay_frame(ngx_mesh_session_t *s, mesh_ws_event_t *ev)
{
    size_t              n;
    u_char              head[MESH_WS_MAX_HEAD];
    ngx_mesh_relay_t   *half;
    ngx_mesh_record_t  *record;

    half = s->data;

    if (half->filter) {
        return ngx_mesh_relay_filter_frame(half, ev);
    }

    if (half->watch) {
        return ngx_mesh_relay_watch_frame(half, ev);
    }

    record = ngx_mesh_relay_recorder(half);

    if (record && ev->what != MESH_WS_DATA) {
        ngx_mesh_record_event(record, ngx_mesh_relay_side(half), ev, NULL, 0);
    }

    switch (ev->what) {

    case MESH_WS_HEAD:

        if (ev->first) {
            half->text = (ev->opcode == MESH_WS_TEXT);
        }

        n = mesh_ws_head(head, ev->first ? ev->opcode : MESH_WS_CONT,
                         ev->fin, ev->len);

        if (half->out == NULL) {
            /* 16 bytes of room where the header began in an earlier read */
            half->out = ev->data - n;
            half->out_last = half->out;
        }

        half->out_last = ngx_cpymem(half->out_last, head, n);
        half->between = 0;
        break;

    case MESH_WS_DATA:

        if (half->out == NULL) {
            half->out = ev->data;
            half->out_last = ev->data;
        }

        (void) mesh_ws_unmask(half->out_last, ev->data, ev->size, ev->mask,
                              ev->phase);

        /* a device's text need not be UTF-8; a browser would close for it */
        if (half->text && half->role == NGX_MESH_DEVICE) {
            mesh_utf8_repair(&half->utf8, half->out_last, ev->size, ev->len);
        }

        if (record) {
            ngx_mesh_record_event(record, ngx_mesh_relay_side(half), ev,
                                  half->out_last, ev->size);
        }

        half->out_last += ev->size;
        break;

    case MESH_WS_FRAME_END:

        half->between = 1;
        break;

    default:    /* MESH_WS_END: the border was the frame's */
        break;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_relay_flush(ngx_mesh_session_t *s)
{
    size_t             n;
    u_char            *out;
    ngx_int_t          rc;
    ngx_mesh_relay_t  *half;

    half = s->data;
    out = half->out;

    if (out == NULL) {
        return NGX_OK;
    }

    n = half->out_last - out;
    half->out = NULL;

    if (half->role == NGX_MESH_DEVICE) {
        half->to_viewer += n;
    } else {
        half->to_device += n;
    }

    if (half->state == NGX_MESH_RELAY_WAITING
        || half->state == NGX_MESH_RELAY_OPENING)
    {
        /* what comes before the peer is delivered right behind its "c" */
        if (ngx_mesh_relay_keep(&half->early, out, n, s->c->log) != NGX_OK) {
            return NGX_ERROR;
        }

        return half->early.len >= s->conf->relay_buffer ? NGX_AGAIN : NGX_OK;
    }

    rc = ngx_mesh_relay_forward(half, out, n);

    if (rc == NGX_AGAIN) {
        half->stopped_at = ngx_current_msec;
    }

    if (rc == NGX_OK && s->conf->relay_rate) {
        rc = ngx_mesh_relay_rate(half, n);
    }

    if (rc == NGX_OK && ngx_mesh_relay_record_full(half)) {
        rc = NGX_AGAIN;
    }

    return rc;
}


/* NGX_AGAIN: taken, but read no more until the peer has room */
ngx_int_t
ngx_mesh_relay_forward(ngx_mesh_relay_t *half, u_char *data, size_t len)
{
    ngx_int_t            rc;
    ngx_mesh_session_t  *s;

    if (half->pipe) {
        return ngx_mesh_relay_pipe_send(half->pipe, data, len);
    }

    if (half->peer == NULL) {
        return NGX_OK;      /* it is closing: the bytes have no reader */
    }

    s = half->peer->s;

    ngx_mesh_ws_raw_boundary(s, half->between);

    rc = ngx_mesh_ws_send_raw(s, data, len);

    if (half->role == NGX_MESH_DEVICE) {
        half->peer->to_viewer += len;
    } else {
        half->peer->to_device += len;
    }

    if (rc == NGX_ERROR) {
        ngx_mesh_ws_abort(s);
    }

    return rc;
}


static ngx_int_t
ngx_mesh_relay_keep(ngx_mesh_relay_buf_t *b, u_char *data, size_t len,
    ngx_log_t *log)
{
    size_t   size;
    u_char  *p;

    if (len > b->size - b->len) {
        size = b->len + len;

        p = ngx_alloc(size, log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (b->data) {
            ngx_memcpy(p, b->data, b->len);
            ngx_free(b->data);
        }

        b->data = p;
        b->size = size;
    }

    ngx_memcpy(b->data + b->len, data, len);
    b->len += len;

    return NGX_OK;
}


/* over mesh_relay_rate in this second: read on in the next one */
static ngx_int_t
ngx_mesh_relay_rate(ngx_mesh_relay_t *half, size_t len)
{
    if (half->turn != ngx_time()) {
        half->turn = ngx_time();
        half->turn_bytes = 0;
    }

    half->turn_bytes += len;

    if (half->turn_bytes < half->s->conf->relay_rate) {
        return NGX_OK;
    }

    half->slowed = 1;
    ngx_mesh_ws_deadline(half->s, 1);

    return NGX_AGAIN;
}


ngx_mesh_relay_pipe_t *
ngx_mesh_relay_pipe_create(ngx_mesh_relay_t *half, ngx_connection_t *c)
{
    ngx_mesh_relay_pipe_t  *pipe;

    pipe = ngx_calloc(sizeof(ngx_mesh_relay_pipe_t), c->log);
    if (pipe == NULL) {
        return NULL;
    }

    pipe->c = c;
    pipe->half = half;

    c->data = pipe;
    c->read->handler = ngx_mesh_relay_pipe_read;
    c->write->handler = ngx_mesh_relay_pipe_write;

    return pipe;
}


static void
ngx_mesh_relay_pipe_read(ngx_event_t *ev)
{
    u_char                 *buf, *pos, *last;
    ssize_t                 n;
    ngx_int_t               rc, turns;
    mesh_ws_event_t         found;
    mesh_ws_limits_t        limits;
    ngx_connection_t       *c;
    ngx_mesh_relay_t       *half;
    ngx_mesh_session_t     *s;
    ngx_mesh_relay_pipe_t  *pipe;

    c = ev->data;
    pipe = c->data;
    half = pipe->half;
    buf = ngx_mesh_relay_scratch + 16;

    if (half == NULL) {
        /* only written to: what still comes has no reader */
        while ((n = c->recv(c, buf, NGX_MESH_RELAY_READ)) > 0) { /* void */ }

        if (n != NGX_AGAIN) {
            ngx_mesh_relay_pipe_free(pipe);
        }

        return;
    }

    s = half->s;
    ngx_memzero(&limits, sizeof(mesh_ws_limits_t));

    for (turns = 0; !pipe->stopped; turns++) {

        if (turns == NGX_MESH_RELAY_TURNS) {
            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        n = c->recv(c, buf, NGX_MESH_RELAY_READ);

        if (n == NGX_AGAIN) {
            return;
        }

        if (n <= 0) {
            /* the other half is gone; what it sent has been passed on */
            half->pipe = NULL;
            ngx_mesh_relay_pipe_free(pipe);

            /* the desk was about to end when it came */
            if (half->shared && !half->seated
                && half->role == NGX_MESH_VIEWER
                && half->tries++ < NGX_MESH_RELAY_DESKS
                && ngx_mesh_relay_desk(half) == NGX_OK)
            {
                return;
            }

            ngx_mesh_relay_end(half, &ngx_mesh_relay_end_device,
                               MESH_WS_CODE_NORMAL);
            return;
        }

        if (half->shared && !half->seated) {
            half->seated = 1;

            if (half->role == NGX_MESH_DEVICE) {
                ngx_mesh_relay_tell_agent(half, 1);
            }
        }

        /* our own control frames fit between two frames only */
        pos = buf;
        last = buf + n;

        do {
            rc = mesh_ws_parse(&pipe->parse, &limits, &pos, last, &found);

            if (half->record && rc != MESH_AGAIN && rc != MESH_ERROR) {
                ngx_mesh_record_event(half->record, NGX_MESH_RECORD_DEVICE,
                                      &found, found.data, found.size);
            }
        } while (rc != MESH_AGAIN && rc != MESH_ERROR);

        if (rc == MESH_ERROR) {
            ngx_log_error(NGX_LOG_ALERT, c->log, 0,
                          "mesh relay: broken frame from another worker");
            ngx_mesh_ws_abort(s);
            return;
        }

        ngx_mesh_ws_raw_boundary(s, !pipe->parse.payload
                                    && pipe->parse.nhead == 0);

        if (half->role == NGX_MESH_VIEWER) {
            half->to_viewer += n;
        }

        rc = ngx_mesh_ws_send_raw(s, buf, n);

        if (rc == NGX_ERROR) {
            ngx_mesh_ws_abort(s);
            return;
        }

        if (rc == NGX_AGAIN
            || (half->record
                && ngx_mesh_record_full(half->record, NGX_MESH_RECORD_DEVICE)))
        {
            pipe->stopped = 1;      /* until drained() */
        }
    }
}


static void
ngx_mesh_relay_pipe_write(ngx_event_t *ev)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_mesh_relay_pipe_t  *pipe;

    c = ev->data;
    pipe = c->data;

    rc = ngx_mesh_relay_pipe_flush(pipe);

    if (pipe->half == NULL) {
        if (rc != NGX_AGAIN) {
            ngx_mesh_relay_pipe_free(pipe);
        }

        return;
    }

    if (rc == NGX_ERROR) {
        ngx_mesh_relay_end(pipe->half, &ngx_mesh_relay_end_device,
                           MESH_WS_CODE_AWAY);
        return;
    }

    if (rc == NGX_OK) {
        ngx_mesh_relay_resume(pipe->half);
    }
}


static ngx_int_t
ngx_mesh_relay_pipe_send(ngx_mesh_relay_pipe_t *pipe, u_char *data, size_t len)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = pipe->c;

    if (pipe->pend.len == pipe->pend.pos) {

        while (len) {
            n = c->send(c, data, len);

            if (n == NGX_AGAIN || n == 0) {
                break;
            }

            if (n < 0) {
                return NGX_ERROR;
            }

            data += n;
            len -= n;
        }

        if (len == 0) {
            return NGX_OK;
        }

        pipe->pend.pos = 0;
        pipe->pend.len = 0;
    }

    if (ngx_mesh_relay_keep(&pipe->pend, data, len, c->log) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_mesh_pipe_blocked(c, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_mesh_relay_pipe_flush(ngx_mesh_relay_pipe_t *pipe)
{
    ssize_t                n;
    ngx_connection_t      *c;
    ngx_mesh_relay_buf_t  *b;

    c = pipe->c;
    b = &pipe->pend;

    while (b->pos < b->len) {
        n = c->send(c, b->data + b->pos, b->len - b->pos);

        if (n == NGX_AGAIN || n == 0) {
            return ngx_mesh_pipe_blocked(c, 1) == NGX_OK ? NGX_AGAIN
                                                         : NGX_ERROR;
        }

        if (n < 0) {
            return NGX_ERROR;
        }

        b->pos += n;
    }

    /* an idle relay keeps no buffer */
    if (b->data) {
        ngx_free(b->data);
        ngx_memzero(b, sizeof(ngx_mesh_relay_buf_t));
    }

    return ngx_mesh_pipe_blocked(c, 0);
}


/* the half is gone: what it sent last still has to arrive */
void
ngx_mesh_relay_pipe_end(ngx_mesh_relay_pipe_t *pipe)
{
    pipe->half = NULL;

    if (pipe->pend.pos == pipe->pend.len) {
        ngx_mesh_relay_pipe_free(pipe);
    }
}


static void
ngx_mesh_relay_pipe_free(ngx_mesh_relay_pipe_t *pipe)
{
    if (pipe->pend.data) {
        ngx_free(pipe->pend.data);
    }

    ngx_mesh_pipe_close(pipe->c);
    ngx_free(pipe);
}


/* the client has taken what was queued: feed it again */
void
ngx_mesh_relay_drained(ngx_mesh_session_t *s)
{
    ngx_mesh_relay_t  *half;

    half = s->data;

    if (half->pipe && half->pipe->stopped
        && !(half->record
             && ngx_mesh_record_full(half->record, NGX_MESH_RECORD_DEVICE)))
    {
        half->pipe->stopped = 0;
        ngx_post_event(half->pipe->c->read, &ngx_posted_events);
    }

    if (half->peer) {
        ngx_mesh_relay_resume(half->peer);
    }
}


/* something else than a full buffer stopped them: who has room goes on */
void
ngx_mesh_relay_go_on(ngx_mesh_relay_t *half)
{
    ngx_mesh_relay_pipe_t  *pipe;

    pipe = half->pipe;

    if (pipe ? pipe->pend.pos == pipe->pend.len
             : half->peer && !half->peer->s->over_high)
    {
        ngx_mesh_relay_resume(half);
    }

    if (!half->s->over_high) {
        ngx_mesh_relay_drained(half->s);
    }
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The life of a session after its upgrade: reading, queue, close, and the
 * wheel on which each session hangs at the second that is next of interest to
 * it.  A session is freed in ngx_mesh_ws_finalize() alone; while its own read
 * handler runs that is put off to its end.
 */

#include "../ngx_mesh.h"
#include "ngx_mesh_ws_private.h"


#define NGX_MESH_WS_ROOM        16        /* before the bytes read */
#define NGX_MESH_WS_TURNS       16        /* reads before others have a turn */
#define NGX_MESH_WS_RECORD      16384     /* bytes of one TLS record */
#define NGX_MESH_WS_SHORT       8192      /* less than OpenSSL asks for */
#define NGX_MESH_WS_WHEEL       512       /* seconds */
#define NGX_MESH_WS_CLOSE_WAIT  2         /* seconds for the peer's Close */
#define NGX_MESH_WS_STALL       30        /* seconds without a byte taken */
#define NGX_MESH_WS_STALL_AGENT 150       /* a stock agent is deaf that long */
#define NGX_MESH_WS_MSG_TOTAL   (256 * 1024 * 1024)
#define NGX_MESH_WS_TICKERS     16
#define NGX_MESH_WS_LOG         8192      /* bytes of lines that wait */

#define NGX_MESH_WS_EMPTY       1         /* ends of a read */
#define NGX_MESH_WS_GONE        2


struct ngx_mesh_out_s {
    ngx_mesh_out_t     *next;
    ngx_mesh_frame_t   *frame;
};


static size_t ngx_mesh_ws_relay_mark(ngx_mesh_session_t *s);
static void ngx_mesh_ws_read(ngx_mesh_session_t *s);
static ssize_t ngx_mesh_ws_fill(ngx_mesh_session_t *s, ngx_uint_t *end);
static ssize_t ngx_mesh_ws_record_read(ngx_connection_t *c, u_char *buf,
    size_t size);
static ngx_int_t ngx_mesh_ws_event(ngx_mesh_session_t *s,
    mesh_ws_event_t *ev, u_char *last);
static ngx_int_t ngx_mesh_ws_collect(ngx_mesh_session_t *s,
    mesh_ws_event_t *ev);
static ngx_int_t ngx_mesh_ws_budget(ngx_mesh_session_t *s, size_t size);
static void ngx_mesh_ws_msg_drop(ngx_mesh_session_t *s);
static ngx_int_t ngx_mesh_ws_message(ngx_mesh_session_t *s,
    mesh_ws_event_t *ev);
static void ngx_mesh_ws_msg_free(ngx_mesh_session_t *s);
static ngx_int_t ngx_mesh_ws_control(ngx_mesh_session_t *s,
    mesh_ws_event_t *ev);
static ngx_int_t ngx_mesh_ws_control_frame(ngx_mesh_session_t *s,
    ngx_uint_t opcode, const u_char *data, size_t len);
static void ngx_mesh_ws_write_handler(ngx_event_t *wev);
static ngx_int_t ngx_mesh_ws_queue(ngx_mesh_session_t *s,
    ngx_mesh_frame_t *f, size_t skip);
static ngx_int_t ngx_mesh_ws_flush(ngx_mesh_session_t *s);
static ssize_t ngx_mesh_ws_gather(ngx_mesh_session_t *s);
static void ngx_mesh_ws_taken(ngx_mesh_session_t *s, size_t n);
static void ngx_mesh_ws_close_send(ngx_mesh_session_t *s);
static void ngx_mesh_ws_finalize(ngx_mesh_session_t *s);
static void ngx_mesh_ws_log(ngx_mesh_session_t *s);
static void ngx_mesh_ws_log_flush(void);

static void ngx_mesh_ws_tick(ngx_event_t *ev);
static void ngx_mesh_ws_schedule(ngx_mesh_session_t *s);
static void ngx_mesh_ws_due(ngx_mesh_session_t *s);
static void ngx_mesh_ws_drain(void);


/*
 * What a session has read lies here while it is handled; 16 bytes before it
 * belong to the relay, one behind it to the NUL of a message.
 */
static u_char             ngx_mesh_ws_scratch[NGX_MESH_WS_ROOM
                                              + NGX_MESH_WS_READ + 1];
static u_char             ngx_mesh_ws_record[NGX_MESH_WS_RECORD];

/* lines of the session log, for a second at most */
static u_char             ngx_mesh_ws_lines[NGX_MESH_WS_LOG];
static size_t             ngx_mesh_ws_nlines;   /* bytes */
static ngx_open_file_t   *ngx_mesh_ws_log_file;

static ngx_rbtree_t       ngx_mesh_ws_tree;
static ngx_rbtree_node_t  ngx_mesh_ws_sentinel;
static ngx_queue_t        ngx_mesh_ws_wheel[NGX_MESH_WS_WHEEL];
static ngx_queue_t        ngx_mesh_ws_all[NGX_MESH_GAUGES + 1];
static ngx_queue_t       *ngx_mesh_ws_next;     /* of the loop in each() */
static ngx_uint_t         ngx_mesh_ws_count;
static size_t             ngx_mesh_ws_msg_total;
static time_t             ngx_mesh_ws_ticked;
static ngx_uint_t         ngx_mesh_ws_draining;

static ngx_event_t        ngx_mesh_ws_timer;
static ngx_connection_t   ngx_mesh_ws_dummy;    /* the timer's log wants one */
static void             (*ngx_mesh_ws_tickers[NGX_MESH_WS_TICKERS])(void);
static ngx_uint_t         ngx_mesh_ws_ntickers;


ngx_int_t
ngx_mesh_ws_init(ngx_cycle_t *cycle)
{
    ngx_uint_t  i;

    ngx_rbtree_init(&ngx_mesh_ws_tree, &ngx_mesh_ws_sentinel,
                    ngx_mesh_ws_insert_value);

    for (i = 0; i < NGX_MESH_WS_WHEEL; i++) {
        ngx_queue_init(&ngx_mesh_ws_wheel[i]);
    }

    for (i = 0; i <= NGX_MESH_GAUGES; i++) {
        ngx_queue_init(&ngx_mesh_ws_all[i]);
    }

    ngx_mesh_ws_ticked = ngx_time();
    ngx_mesh_ws_dummy.fd = (ngx_socket_t) -1;

    ngx_mesh_ws_timer.handler = ngx_mesh_ws_tick;
    ngx_mesh_ws_timer.data = &ngx_mesh_ws_dummy;
    ngx_mesh_ws_timer.log = cycle->log;
    ngx_mesh_ws_timer.cancelable = 1;

    ngx_add_timer(&ngx_mesh_ws_timer, 1000);

    ngx_mesh_ws_bus_init();

    return NGX_OK;
}


/* a quick stop: what sessions own is given back, peers see the end */
void
ngx_mesh_ws_exit(void)
{
    ngx_uint_t    i;
    ngx_queue_t  *all;

    for (i = 0; i <= NGX_MESH_GAUGES; i++) {
        all = &ngx_mesh_ws_all[i];

        while (all->next && !ngx_queue_empty(all)) {
            ngx_mesh_ws_finalize(ngx_queue_data(ngx_queue_head(all),
                                                ngx_mesh_session_t, all));
        }
    }

    ngx_mesh_ws_log_flush();
}


void
ngx_mesh_tick_add(void (*fn)(void))
{
    if (ngx_mesh_ws_ntickers == NGX_MESH_WS_TICKERS) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "mesh tick: no room for another function");
        return;
    }

    ngx_mesh_ws_tickers[ngx_mesh_ws_ntickers++] = fn;
}


void
ngx_mesh_ws_insert_value(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_insert_value(temp, node, sentinel);
}


/* the session begins: from here it is found, counted, and ends in finalize() */
void
ngx_mesh_ws_begin(ngx_mesh_session_t *s)
{
    s->listed = 1;
    s->node.key = (ngx_rbtree_key_t) s->serial;
    ngx_rbtree_insert(&ngx_mesh_ws_tree, &s->node);

    ngx_queue_insert_tail(&ngx_mesh_ws_all[s->class->gauge], &s->all);
    ngx_queue_init(&s->wheel);

    if (s->class->gauge < NGX_MESH_GAUGES) {
        ngx_mesh_gauge(s->class->gauge, 1);
    }

    /* an old worker lives as long as it has sessions */
    if (ngx_mesh_ws_count++ == 0) {
        ngx_mesh_ws_timer.cancelable = 0;
    }

    s->opened = ngx_time();
    s->seen = s->opened;
    s->taken = s->opened;

    ngx_mesh_ws_schedule(s);
}


ngx_mesh_session_t *
ngx_mesh_session_find(uint64_t serial)
{
    ngx_rbtree_node_t  *node;

    node = ngx_mesh_ws_tree.root;

    while (node != &ngx_mesh_ws_sentinel) {

        if (node->key == (ngx_rbtree_key_t) serial) {
            return (ngx_mesh_session_t *)
                       ((u_char *) node - offsetof(ngx_mesh_session_t, node));
        }

        node = (ngx_rbtree_key_t) serial < node->key ? node->left
                                                     : node->right;
    }

    return NULL;
}


/* fn may end any session: finalize() moves the loop's next along */
void
ngx_mesh_session_each(const ngx_mesh_class_t *class,
    void (*fn)(ngx_mesh_session_t *s, void *data), void *data)
{
    ngx_queue_t         *q, *all, *outer;
    ngx_mesh_session_t  *s;

    all = &ngx_mesh_ws_all[class->gauge];
    outer = ngx_mesh_ws_next;

    for (q = ngx_queue_head(all); q != all; q = ngx_mesh_ws_next) {
        ngx_mesh_ws_next = ngx_queue_next(q);
        s = ngx_queue_data(q, ngx_mesh_session_t, all);

        if (s->class == class) {
            fn(s, data);
        }
    }

    ngx_mesh_ws_next = outer;
}


void
ngx_mesh_session_addr(ngx_mesh_session_t *s, ngx_mesh_addr_t *a)
{
    a->serial = s->serial;
    a->epoch = ngx_mesh_slot->epoch;
    a->slot = ngx_mesh_slot_n;
}


void
ngx_mesh_ws_read_handler(ngx_event_t *rev)
{
    ngx_uint_t           corked;
    ngx_connection_t    *c;
    ngx_mesh_session_t  *s;

    c = rev->data;
    s = c->data;

    if (c->close) {
        /* worker_shutdown_timeout */
        ngx_mesh_ws_finalize(s);
        return;
    }

    corked = ngx_mesh_ws_cork(s);
    ngx_mesh_ws_read(s);

    if (ngx_mesh_ws_uncork(s, corked) != NGX_OK) {
        return;
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_mesh_ws_finalize(s);
    }
}


ngx_uint_t
ngx_mesh_ws_cork(ngx_mesh_session_t *s)
{
    if (s->in_read) {
        return 0;       /* the read handler does it */
    }

    s->in_read = 1;

    return 1;
}


ngx_int_t
ngx_mesh_ws_uncork(ngx_mesh_session_t *s, ngx_uint_t corked)
{
    if (!corked) {
        return NGX_OK;
    }

    if (!s->closed && ngx_mesh_ws_flush(s) == NGX_ERROR) {
        s->closed = 1;
    }

    s->in_read = 0;

    if (s->closed) {
        ngx_mesh_ws_finalize(s);
        return NGX_DONE;
    }

    return NGX_OK;
}


static size_t
ngx_mesh_ws_relay_mark(ngx_mesh_session_t *s)
{
    return s->relay_mark ? s->relay_mark : s->conf->relay_buffer;
}


static ngx_uint_t
ngx_mesh_ws_reads(ngx_mesh_session_t *s)
{
    return !s->closed && !s->paused
           && (!s->over_high || s->class->cut_through || s->closing);
}


static void
ngx_mesh_ws_read(ngx_mesh_session_t *s)
{
    ssize_t           n;
    ngx_uint_t        turns, end;

    for (turns = 0; s->c->read->ready && ngx_mesh_ws_reads(s); turns++) {

        if (turns == NGX_MESH_WS_TURNS) {
            ngx_post_event(s->c->read, &ngx_posted_next_events);
            return;
        }

        end = 0;
        n = ngx_mesh_ws_fill(s, &end);

        if (n > 0) {
            s->seen = ngx_time();
            s->ping_sent = 0;
            s->bytes_in += n;
            ngx_mesh_count_n(NGX_MESH_C_BYTES_IN, n);

            ngx_mesh_ws_parse(s, ngx_mesh_ws_scratch + NGX_MESH_WS_ROOM, n);
        }

        if (end == NGX_MESH_WS_GONE) {
            s->closed = 1;
        }

        if (end) {
            return;
        }
    }
}


/* end: there is no more, now or for ever */
static ssize_t
ngx_mesh_ws_fill(ngx_mesh_session_t *s, ngx_uint_t *end)
{
    u_char            *buf;
    size_t             size;
    ssize_t            n;
    ngx_connection_t  *c;

    c = s->c;
    buf = ngx_mesh_ws_scratch + NGX_MESH_WS_ROOM;
    size = c->ssl ? ngx_mesh_ws_record_read(c, buf, NGX_MESH_WS_READ) : 0;

    if (size && !c->read->ready) {
        *end = NGX_MESH_WS_EMPTY;
        return size;
    }

    /* TLS gives a record at a time: several make one packed output */

    while (size < NGX_MESH_WS_READ) {
        n = c->recv(c, buf + size, NGX_MESH_WS_READ - size);

        if (n == NGX_AGAIN) {
            *end = NGX_MESH_WS_EMPTY;
            break;
        }

        if (n <= 0) {
            *end = NGX_MESH_WS_GONE;
            break;
        }

        size += n;

        if (!c->read->ready) {
            *end = NGX_MESH_WS_EMPTY;
            break;
        }
    }

    return size;
}


/*
 * The first records of a turn.  ngx_ssl_recv() reads until the socket refuses,
 * and OpenSSL takes a buffer of 16 KB for that and gives it back.  A socket of
 * which less came than was asked for is empty: what comes next is an event.
 * Returns 0 wherever that is not sure; ngx_ssl_recv() knows the rest.
 */
static ssize_t
ngx_mesh_ws_record_read(ngx_connection_t *c, u_char *buf, size_t size)
{
    int        n, err;
    BIO       *bio;
    SSL       *ssl;
    size_t     len;
    uint64_t   before, got;

    ssl = c->ssl->connection;
    bio = SSL_get_rbio(ssl);

    /* the end of a stream behind its last bytes is no other event */
    if (!(ngx_event_flags & NGX_USE_EPOLL_EVENT) || !ngx_use_epoll_rdhup
        || c->read->pending_eof || c->read->eof || c->read->error
        || c->ssl->last == NGX_ERROR || c->ssl->last == NGX_DONE
        || c->ssl->in_early || c->ssl->saved_write_handler
        || !SSL_get_read_ahead(ssl) || SSL_has_pending(ssl)
        || SSL_rstate_string(ssl)[1] != 'H'   /* a body: asks for the rest of it */
        || bio == NULL || BIO_get_ktls_recv(bio))
    {
        return 0;
    }

    before = BIO_number_read(bio);
    len = 0;

    ERR_clear_error();

    do {
        n = SSL_read(ssl, buf + len, size - len);

        if (n <= 0) {
            err = SSL_get_error(ssl, n);

            if (err == SSL_ERROR_WANT_READ) {
                c->read->ready = len == 0;

            } else if (err == SSL_ERROR_SSL) {
                ngx_ssl_error(NGX_LOG_INFO, c->log, 0, "SSL_read() failed");
            }

            /* what is left there is an alert at the next call of nginx's */
            ERR_clear_error();

            return len;
        }

        len += n;

    } while (len < size && SSL_has_pending(ssl));

    got = BIO_number_read(bio) - before;

    if (got < NGX_MESH_WS_SHORT && !SSL_has_pending(ssl)) {
        c->read->ready = 0;
    }

    return len;
}


/* bytes of the client, from the socket or left over from the upgrade */
void
ngx_mesh_ws_parse(ngx_mesh_session_t *s, u_char *pos, size_t size)
{
    u_char            *last;
    ngx_int_t          rc, stop;
    mesh_ws_event_t    ev;
    mesh_ws_limits_t   limits;

    last = pos + size;
    stop = 0;

    ngx_memzero(&limits, sizeof(mesh_ws_limits_t));
    limits.need_mask = 1;

    if (s->class->cut_through) {
        limits.frame_max = s->conf->frame_max;
        limits.keep_mask = 1;

    } else {
        limits.message_max = s->message_max;
        limits.discard_over = s->class->agent_text;
    }

    while (!s->closed) {

        rc = mesh_ws_parse(&s->parse, &limits, &pos, last, &ev);

        if (rc == MESH_AGAIN) {
            break;
        }

        if (rc == MESH_ERROR) {

            if (s->closing) {
                s->closed = 1;
                return;
            }

            ngx_log_error(NGX_LOG_INFO, s->c->log, 0,
                          "mesh %s: client broke the framing, close %ui",
                          s->class->name, (ngx_uint_t) ev.code);
            ngx_mesh_ws_close(s, ev.code);
            break;
        }

        rc = ngx_mesh_ws_event(s, &ev, last);

        if (rc == NGX_ERROR && !s->closed) {
            s->closed = 1;
            return;
        }

        if (rc == NGX_AGAIN) {
            stop = 1;
        }

        if (s->closing) {
            if (s->got_close) {
                return;
            }

            if (s->class->cut_through) {
                /* what was packed so far has no reader any more */
                continue;
            }
        }

        /* the limit of a session grows when it has proved who it is */
        if (!s->class->cut_through) {
            limits.message_max = s->message_max;
        }
    }

    if (s->class->cut_through && !s->closed && !s->closing) {

        rc = s->class->flush(s);

        if (rc == NGX_ERROR) {
            s->closed = 1;

        } else if (rc == NGX_AGAIN || stop) {
            s->paused = 1;
        }

        return;
    }

    /* a message that began in the scratch buffer goes on outside of it */
    if (s->in_scratch) {
        s->in_scratch = 0;
        s->msg = NULL;
    }
}


static ngx_int_t
ngx_mesh_ws_event(ngx_mesh_session_t *s, mesh_ws_event_t *ev, u_char *last)
{
    if (ev->what == MESH_WS_CONTROL) {
        return ngx_mesh_ws_control(s, ev);
    }

    if (s->closing) {
        return NGX_OK;      /* read and thrown away */
    }

    if (s->class->cut_through) {

        if (ev->what == MESH_WS_END) {
            ngx_mesh_count(NGX_MESH_C_MSG_IN);
        }

        return s->class->frame(s, ev);
    }

    switch (ev->what) {

    case MESH_WS_DATA:
        return ngx_mesh_ws_collect(s, ev);

    case MESH_WS_END:
        ngx_mesh_count(NGX_MESH_C_MSG_IN);
        return ngx_mesh_ws_message(s, ev);

    case MESH_WS_OVER:
        ngx_mesh_ws_msg_free(s);
        ngx_mesh_count(NGX_MESH_C_DROPPED);

        if (s->class->over) {
            s->class->over(s);
        }

        return NGX_OK;

    default:    /* MESH_WS_HEAD, MESH_WS_FRAME_END, MESH_WS_DISCARD */
        return NGX_OK;
    }
}


static ngx_int_t
ngx_mesh_ws_collect(ngx_mesh_session_t *s, mesh_ws_event_t *ev)
{
    size_t   size;
    u_char  *p;

    /* the whole message lies in what was read: it is used there */

    if (s->msg == NULL && ev->first && ev->fin && ev->len == 0) {
        s->msg = ev->data;
        s->msg_len = ev->size;
        s->in_scratch = 1;
        return NGX_OK;
    }

    if (s->msg == NULL) {
        s->msg_len = 0;
        s->msg_size = 0;
    }

    /* one byte more for the NUL; the parser has seen the sum to be in bounds */

    if (s->msg_len + ev->size + 1 > s->msg_size) {
        size = ngx_max(s->msg_size * 2, s->msg_len + ev->size + 1);

        p = ngx_mesh_ws_budget(s, size) == NGX_OK
            ? ngx_alloc(size, s->c->log) : NULL;

        if (p == NULL) {
            ngx_mesh_ws_msg_drop(s);
            return NGX_OK;
        }

        if (s->msg) {
            ngx_memcpy(p, s->msg, s->msg_len);
            ngx_free(s->msg);
        }

        ngx_mesh_ws_msg_total += size - s->msg_size;
        s->msg = p;
        s->msg_size = size;
    }

    if (s->msg && ev->size) {
        ngx_memcpy(s->msg + s->msg_len, ev->data, ev->size);
        s->msg_len += ev->size;
    }

    return NGX_OK;
}


/* where size bytes for s are too many, the largest message goes first */
static ngx_int_t
ngx_mesh_ws_budget(ngx_mesh_session_t *s, size_t size)
{
    ngx_uint_t           i;
    ngx_queue_t         *q;
    ngx_mesh_session_t  *other, *largest;

    while (ngx_mesh_ws_msg_total + size > NGX_MESH_WS_MSG_TOTAL) {

        largest = NULL;

        for (i = 0; i <= NGX_MESH_GAUGES; i++) {
            for (q = ngx_queue_head(&ngx_mesh_ws_all[i]);
                 q != &ngx_mesh_ws_all[i];
                 q = ngx_queue_next(q))
            {
                other = ngx_queue_data(q, ngx_mesh_session_t, all);

                if (other->msg && !other->in_scratch
                    && (largest == NULL
                        || other->msg_size > largest->msg_size))
                {
                    largest = other;
                }
            }
        }

        if (largest == NULL || largest == s || largest->msg_size < size) {
            return NGX_DECLINED;
        }

        ngx_mesh_ws_msg_drop(largest);
    }

    return NGX_OK;
}


/* what is there of the open message, and what still comes, is thrown away */
static void
ngx_mesh_ws_msg_drop(ngx_mesh_session_t *s)
{
    ngx_mesh_ws_msg_free(s);
    ngx_mesh_count(NGX_MESH_C_DROPPED);

    if (!s->class->agent_text) {
        ngx_mesh_ws_close(s, MESH_WS_CODE_BIG);
        return;
    }

    mesh_ws_discard(&s->parse);

    if (s->class->over) {
        s->class->over(s);
    }
}


static ngx_int_t
ngx_mesh_ws_message(ngx_mesh_session_t *s, mesh_ws_event_t *ev)
{
    size_t        len, n;
    u_char       *data, *fixed, saved, none[1];
    ngx_int_t     rc;
    mesh_utf8_t   utf8;

    data = s->msg;
    len = s->msg_len;
    fixed = NULL;

    if (data == NULL) {
        none[0] = '\0';
        data = none;
        len = 0;
    }

    if (s->class->agent_text) {

        /* any frame of an agent may hold JSON; it need not be UTF-8 */
        if (len && data[0] == '{' && !mesh_json_clean(data, len)) {
            n = mesh_json_repair(NULL, 0, data, len);

            fixed = ngx_alloc(n + 1, s->c->log);
            if (fixed == NULL) {
                ngx_mesh_ws_msg_free(s);
                return NGX_OK;
            }

            len = mesh_json_repair(fixed, n, data, len);
            data = fixed;
        }

    } else if (ev->opcode == MESH_WS_TEXT) {
        ngx_memzero(&utf8, sizeof(mesh_utf8_t));

        if (mesh_utf8_check(&utf8, data, len, 1) != MESH_OK) {
            ngx_mesh_ws_msg_free(s);
            ngx_mesh_ws_close(s, MESH_WS_CODE_TEXT);
            return NGX_OK;
        }
    }

    /* in the scratch buffer the next frame may begin there */
    saved = data[len];
    data[len] = '\0';

    rc = s->class->message(s, ev->opcode, data, len);

    data[len] = saved;

    if (fixed) {
        ngx_free(fixed);
    }

    ngx_mesh_ws_msg_free(s);

    return rc;
}


static void
ngx_mesh_ws_msg_free(ngx_mesh_session_t *s)
{
    if (s->msg && !s->in_scratch) {
        ngx_free(s->msg);
        ngx_mesh_ws_msg_total -= s->msg_size;
    }

    s->msg = NULL;
    s->msg_len = 0;
    s->msg_size = 0;
    s->in_scratch = 0;
}


static ngx_int_t
ngx_mesh_ws_control(ngx_mesh_session_t *s, mesh_ws_event_t *ev)
{
    switch (ev->opcode) {

    case MESH_WS_PING:

        if (s->closing) {
            return NGX_OK;
        }

        if (s->raw_open) {
            s->pong_due = 1;    /* one at most: later pings replace it */
            return NGX_OK;
        }

        /* who does not read gets no second one */
        if (s->queued > s->conf->buffer_high) {
            return NGX_OK;
        }

        return ngx_mesh_ws_control_frame(s, MESH_WS_PONG, ev->data, ev->size);

    case MESH_WS_CLOSE:

        s->got_close = 1;

        if (!s->closing) {

            /* what came before it is still passed on */
            if (s->class->cut_through
                && s->class->flush(s) == NGX_ERROR)
            {
                return NGX_ERROR;
            }

            s->close_code = ev->code;
            s->closing = 1;
            s->close_at = ngx_time() + NGX_MESH_WS_CLOSE_WAIT;
            ngx_mesh_ws_close_send(s);
            ngx_mesh_ws_schedule(s);
        }

        /* the answer, and what is queued before it, still leaves */
        if (s->raw_open || ngx_mesh_ws_flush(s) != NGX_AGAIN) {
            s->closed = 1;
        }

        return NGX_OK;

    default:    /* MESH_WS_PONG: the bytes have shown that it lives */
        return NGX_OK;
    }
}


static ngx_int_t
ngx_mesh_ws_control_frame(ngx_mesh_session_t *s, ngx_uint_t opcode,
    const u_char *data, size_t len)
{
    ngx_int_t          rc;
    ngx_mesh_frame_t  *f;

    f = ngx_mesh_frame_create(opcode, len);
    if (f == NULL) {
        return NGX_ERROR;
    }

    if (len) {
        ngx_memcpy(f->data, data, len);
    }

    rc = ngx_mesh_ws_queue(s, f, 0);
    ngx_mesh_frame_release(f);

    if (rc == NGX_OK && !s->in_read) {
        rc = ngx_mesh_ws_flush(s);
    }

    return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


ngx_mesh_frame_t *
ngx_mesh_frame_create(ngx_uint_t opcode, size_t len)
{
    u_char             head[MESH_WS_MAX_HEAD];
    ngx_mesh_frame_t  *f;

    f = ngx_alloc(offsetof(ngx_mesh_frame_t, data) + len + 1,
                  ngx_cycle->log);
    if (f == NULL) {
        return NULL;
    }

    f->refs = 1;
    f->len = len;
    f->nhead = mesh_ws_head(head, opcode, 1, len);
    ngx_memcpy(f->data - f->nhead, head, f->nhead);

    return f;
}


void
ngx_mesh_frame_release(ngx_mesh_frame_t *f)
{
    if (--f->refs == 0) {
        ngx_free(f);
    }
}


ngx_int_t
ngx_mesh_ws_send(ngx_mesh_session_t *s, ngx_uint_t opcode, const u_char *data,
    size_t len)
{
    ngx_int_t          rc;
    ngx_mesh_frame_t  *f;

    f = ngx_mesh_frame_create(opcode, len);
    if (f == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(f->data, data, len);
    rc = ngx_mesh_ws_send_frame(s, f);
    ngx_mesh_frame_release(f);

    return rc;
}


ngx_int_t
ngx_mesh_ws_send_part(ngx_mesh_session_t *s, ngx_uint_t opcode,
    const u_char *data, size_t len, ngx_uint_t first, ngx_uint_t last)
{
    ngx_int_t          rc;
    ngx_mesh_frame_t  *f;

    if (s->closed || s->closing) {
        return NGX_ERROR;
    }

    f = ngx_mesh_frame_create(first ? opcode : MESH_WS_CONT, len);
    if (f == NULL) {
        return NGX_ERROR;
    }

    if (!last) {
        f->data[0 - (ngx_int_t) f->nhead] &= 0x7f;      /* FIN */
    }

    ngx_memcpy(f->data, data, len);

    /* the rest of an answer is queued whatever the mark: it was asked for */
    rc = ngx_mesh_ws_queue(s, f, 0);
    ngx_mesh_frame_release(f);

    if (rc == NGX_OK && last && !s->in_read) {
        rc = ngx_mesh_ws_flush(s);

        if (rc == NGX_ERROR) {
            ngx_mesh_ws_fail(s);
        }
    }

    if (last) {
        ngx_mesh_count(NGX_MESH_C_MSG_OUT);
    }

    return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_mesh_ws_send_frame(ngx_mesh_session_t *s, ngx_mesh_frame_t *f)
{
    ngx_int_t  rc;

    if (s->closed || s->closing) {
        return NGX_ERROR;
    }

    if (s->queued > s->conf->buffer_hard) {
        ngx_mesh_count(NGX_MESH_C_DROPPED);
        return NGX_ERROR;
    }

    ngx_mesh_count(NGX_MESH_C_MSG_OUT);

    rc = ngx_mesh_ws_queue(s, f, 0);

    /* the answers of one turn leave in one write */
    if (rc == NGX_OK && !s->in_read) {
        rc = ngx_mesh_ws_flush(s);

        if (rc == NGX_ERROR) {
            ngx_mesh_ws_fail(s);
        }
    }

    return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


void
ngx_mesh_ws_raw_boundary(ngx_mesh_session_t *s, ngx_uint_t at)
{
    s->raw_open = !at;
}


ngx_int_t
ngx_mesh_ws_send_raw(ngx_mesh_session_t *s, const u_char *data, size_t len)
{
    ssize_t            n;
    ngx_int_t          rc;
    ngx_mesh_frame_t  *f;

    if (s->closed || (s->closing && !s->close_due)) {
        return NGX_OK;      /* it ends: nobody reads that any more */
    }

    rc = NGX_OK;

    while (s->out == NULL && len) {
        n = s->c->send(s->c, (u_char *) data, len);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n <= 0) {
            break;
        }

        data += n;
        len -= n;
        ngx_mesh_ws_taken(s, n);
    }

    if (len) {
        f = ngx_alloc(offsetof(ngx_mesh_frame_t, data) + len, s->c->log);
        if (f == NULL) {
            return NGX_ERROR;
        }

        f->refs = 1;
        f->nhead = 0;
        f->len = len;
        ngx_memcpy(f->data, data, len);

        rc = ngx_mesh_ws_queue(s, f, 0);
        ngx_mesh_frame_release(f);

        if (rc == NGX_OK
            && ngx_handle_write_event(s->c->write, 0) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (!s->raw_open) {

        if (s->pong_due) {
            s->pong_due = 0;

            if (ngx_mesh_ws_control_frame(s, MESH_WS_PONG, NULL, 0)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }

        if (s->close_due) {
            s->close_due = 0;
            ngx_mesh_ws_close_send(s);
            return NGX_OK;
        }
    }

    if (s->queued > ngx_mesh_ws_relay_mark(s)) {
        s->over_high = 1;
        return NGX_AGAIN;
    }

    return rc;
}


/* skip: bytes of f that are sent already */
static ngx_int_t
ngx_mesh_ws_queue(ngx_mesh_session_t *s, ngx_mesh_frame_t *f, size_t skip)
{
    ngx_mesh_out_t  *out;

    out = ngx_alloc(sizeof(ngx_mesh_out_t), s->c->log);
    if (out == NULL) {
        return NGX_ERROR;
    }

    out->next = NULL;
    out->frame = f;
    f->refs++;

    if (s->out) {
        s->out_last->next = out;

    } else {
        s->out = out;
        s->sent = skip;
        s->taken = ngx_time();
    }

    s->out_last = out;
    s->queued += f->nhead + f->len - skip;

    if (s->queued > s->conf->buffer_high) {
        s->over_high = 1;
    }

    return NGX_OK;
}


/* NGX_OK: nothing is left; NGX_AGAIN; NGX_ERROR */
static ngx_int_t
ngx_mesh_ws_flush(ngx_mesh_session_t *s)
{
    size_t             size;
    u_char            *p;
    ssize_t            n;
    ngx_mesh_frame_t  *f;

    while (s->out) {
        f = s->out->frame;
        p = f->data - f->nhead + s->sent;
        size = f->nhead + f->len - s->sent;

        /*
         * TLS wants a refused write again from its first byte, and not
         * shorter: what is gathered is always as much as fits in a record.
         */
        if (size < NGX_MESH_WS_RECORD && s->out->next) {
            size = ngx_mesh_ws_gather(s);
            p = ngx_mesh_ws_record;
        }

        n = s->c->send(s->c, p, size);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n <= 0) {
            return ngx_handle_write_event(s->c->write, 0) == NGX_OK
                   ? NGX_AGAIN : NGX_ERROR;
        }

        ngx_mesh_ws_taken(s, n);

        size = n;

        while (s->out && size) {
            ngx_mesh_out_t  *out = s->out;
            size_t           left;

            left = out->frame->nhead + out->frame->len - s->sent;

            if (size < left) {
                s->sent += size;
                s->queued -= size;
                break;
            }

            size -= left;
            s->queued -= left;
            s->sent = 0;
            s->out = out->next;

            ngx_mesh_frame_release(out->frame);
            ngx_free(out);
        }
    }

    /* written in one go, there is no event to come that would go on with it */
    if (s->over_high) {
        ngx_post_event(s->c->write, &ngx_posted_events);
    }

    return NGX_OK;
}


static ssize_t
ngx_mesh_ws_gather(ngx_mesh_session_t *s)
{
    size_t           size, n, skip;
    ngx_mesh_out_t  *out;

    size = 0;
    skip = s->sent;

    for (out = s->out; out && size < NGX_MESH_WS_RECORD; out = out->next) {
        n = ngx_min(out->frame->nhead + out->frame->len - skip,
                    NGX_MESH_WS_RECORD - size);

        ngx_memcpy(ngx_mesh_ws_record + size,
                   out->frame->data - out->frame->nhead + skip, n);
        size += n;
        skip = 0;
    }

    return size;
}


static void
ngx_mesh_ws_taken(ngx_mesh_session_t *s, size_t n)
{
    s->taken = ngx_time();
    s->bytes_out += n;
    ngx_mesh_count_n(NGX_MESH_C_BYTES_OUT, n);
}


void
ngx_mesh_ws_write(ngx_event_t *wev)
{
    ngx_mesh_ws_write_handler(wev);
}


static void
ngx_mesh_ws_write_handler(ngx_event_t *wev)
{
    size_t               low;
    ngx_connection_t    *c;
    ngx_mesh_session_t  *s;

    c = wev->data;
    s = c->data;

    if (ngx_mesh_ws_flush(s) == NGX_ERROR) {
        ngx_mesh_ws_finalize(s);
        return;
    }

    if (s->out == NULL && s->closing && s->got_close && !s->close_due) {
        ngx_mesh_ws_finalize(s);
        return;
    }

    low = (s->class->cut_through ? ngx_mesh_ws_relay_mark(s)
                                 : s->conf->buffer_high) / 4;

    if (s->over_high && s->queued <= low) {
        s->over_high = 0;

        if (!s->class->cut_through && !s->paused) {
            ngx_post_event(c->read, &ngx_posted_events);
        }

        if (s->class->drained && !s->closing) {
            s->class->drained(s);
        }
    }
}


void
ngx_mesh_ws_pause(ngx_mesh_session_t *s)
{
    s->paused = 1;
}


void
ngx_mesh_ws_resume(ngx_mesh_session_t *s)
{
    if (!s->paused || s->closed) {
        return;
    }

    s->paused = 0;

    /* edge-triggered: there may be no other event */
    ngx_post_event(s->c->read, &ngx_posted_events);
}


void
ngx_mesh_ws_close(ngx_mesh_session_t *s, ngx_uint_t code)
{
    if (s->closed || s->closing) {
        return;
    }

    s->close_code = code;
    s->closing = 1;
    ngx_mesh_ws_msg_free(s);

    if (s->raw_open) {
        /* the frame that was begun will hardly be completed: see the tick */
        s->close_due = 1;

    } else {
        ngx_mesh_ws_close_send(s);
    }

    if (s->closed) {
        return;
    }

    s->close_at = ngx_time() + NGX_MESH_WS_CLOSE_WAIT;
    ngx_mesh_ws_schedule(s);

    /* a session that stood still reads on, for the peer's Close */
    if (s->paused || s->over_high) {
        s->paused = 0;
        ngx_post_event(s->c->read, &ngx_posted_events);
    }
}


static void
ngx_mesh_ws_close_send(ngx_mesh_session_t *s)
{
    u_char  code[2];
    size_t  n;

    n = 0;

    if (mesh_ws_code_valid(s->close_code)) {
        (void) mesh_put16(code, s->close_code);
        n = 2;
    }

    if (s->raw_open
        || ngx_mesh_ws_control_frame(s, MESH_WS_CLOSE, code, n) != NGX_OK)
    {
        ngx_mesh_ws_fail(s);
    }
}


void
ngx_mesh_ws_abort(ngx_mesh_session_t *s)
{
    ngx_mesh_ws_finalize(s);
}


/*
 * The socket failed while somebody else's function is at work with s: it ends
 * in the next turn of the event loop.
 */
void
ngx_mesh_ws_fail(ngx_mesh_session_t *s)
{
    if (s->closed) {
        return;
    }

    s->closed = 1;

    if (!s->in_read) {
        ngx_post_event(s->c->read, &ngx_posted_events);
    }
}


static void
ngx_mesh_ws_finalize(ngx_mesh_session_t *s)
{
    ngx_mesh_out_t    *out;
    ngx_connection_t  *c;

    if (s->in_read) {
        s->closed = 1;
        return;
    }

    c = s->c;
    s->closed = 1;
    s->closing = 1;

    if (!s->listed) {
        return;     /* it ends already */
    }

    s->listed = 0;

    ngx_rbtree_delete(&ngx_mesh_ws_tree, &s->node);

    if (ngx_mesh_ws_next == &s->all) {
        ngx_mesh_ws_next = ngx_queue_next(&s->all);
    }

    ngx_queue_remove(&s->all);
    ngx_queue_remove(&s->wheel);

    if (s->class->gauge < NGX_MESH_GAUGES) {
        ngx_mesh_gauge(s->class->gauge, -1);
    }

    ngx_mesh_ws_log(s);
    ngx_mesh_ws_msg_free(s);

    s->class->close(s);

    while (s->out) {
        out = s->out;
        s->out = out->next;
        ngx_mesh_frame_release(out->frame);
        ngx_free(out);
    }

    if (--ngx_mesh_ws_count == 0) {
        ngx_mesh_ws_timer.cancelable = 1;
    }

    /* close_notify is sent, and not waited for */
    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;
    }

    ngx_http_close_connection(c);
}


/* time kind serial address seconds in out code */
static void
ngx_mesh_ws_log(ngx_mesh_session_t *s)
{
    u_char           *p, line[NGX_MAX_ERROR_STR];
    size_t            len;
    ngx_open_file_t  *file;

    file = s->srv->session_log;

    if (file == NULL || file->fd == NGX_INVALID_FILE) {
        return;
    }

    p = ngx_snprintf(line, sizeof(line) - 1,
                     "%V %s %uL %V %T %uL %uL %ui" CRLF,
                     &ngx_cached_http_log_iso8601, s->class->name, s->serial,
                     &s->address, ngx_time() - s->opened, s->bytes_in,
                     s->bytes_out, (ngx_uint_t) s->close_code);

    /* "\n" alone ends a line of a log */
    if (p - line >= 2) {
        p -= 1;
        p[-1] = '\n';
    }

    len = p - line;

    if (file != ngx_mesh_ws_log_file
        || len > NGX_MESH_WS_LOG - ngx_mesh_ws_nlines)
    {
        ngx_mesh_ws_log_flush();
    }

    ngx_mesh_ws_log_file = file;
    ngx_memcpy(ngx_mesh_ws_lines + ngx_mesh_ws_nlines, line, len);
    ngx_mesh_ws_nlines += len;
}


static void
ngx_mesh_ws_log_flush(void)
{
    if (ngx_mesh_ws_nlines == 0) {
        return;
    }

    (void) ngx_write_fd(ngx_mesh_ws_log_file->fd, ngx_mesh_ws_lines,
                        ngx_mesh_ws_nlines);
    ngx_mesh_ws_nlines = 0;
}


void
ngx_mesh_ws_deadline(ngx_mesh_session_t *s, time_t seconds)
{
    s->deadline_at = seconds ? ngx_time() + seconds : 0;
    ngx_mesh_ws_schedule(s);
}


/* hangs the session at the second that is next of interest to it */
static void
ngx_mesh_ws_schedule(ngx_mesh_session_t *s)
{
    time_t  at, alive;

    if (!s->listed) {
        return;
    }

    alive = ngx_max(s->seen, s->taken);
    at = alive + (s->ping_sent ? s->conf->ping + s->conf->ping_timeout
                               : s->conf->ping) / 1000;

    if (s->out) {
        at = ngx_min(at, ngx_time() + 10);
    }

    if (s->deadline_at) {
        at = ngx_min(at, s->deadline_at);
    }

    if (s->closing) {
        at = ngx_min(at, s->close_at);
    }

    at = ngx_max(at, ngx_mesh_ws_ticked + 1);
    at = ngx_min(at, ngx_mesh_ws_ticked + NGX_MESH_WS_WHEEL - 1);

    ngx_queue_remove(&s->wheel);
    ngx_queue_insert_tail(&ngx_mesh_ws_wheel[at % NGX_MESH_WS_WHEEL],
                          &s->wheel);
}


static void
ngx_mesh_ws_tick(ngx_event_t *ev)
{
    time_t               now;
    ngx_uint_t           i;
    ngx_queue_t          due, *q, *slot;

    now = ngx_time();

    if (now - ngx_mesh_ws_ticked > NGX_MESH_WS_WHEEL) {
        ngx_mesh_ws_ticked = now - NGX_MESH_WS_WHEEL;
    }

    while (ngx_mesh_ws_ticked < now) {
        ngx_mesh_ws_ticked++;
        slot = &ngx_mesh_ws_wheel[ngx_mesh_ws_ticked % NGX_MESH_WS_WHEEL];

        if (ngx_queue_empty(slot)) {
            continue;
        }

        ngx_queue_init(&due);
        ngx_queue_add(&due, slot);
        ngx_queue_init(slot);

        while (!ngx_queue_empty(&due)) {
            q = ngx_queue_head(&due);
            ngx_mesh_ws_due(ngx_queue_data(q, ngx_mesh_session_t, wheel));
        }
    }

    if (ngx_exiting) {
        ngx_mesh_ws_drain();
    }

    ngx_mesh_ws_log_flush();

    for (i = 0; i < ngx_mesh_ws_ntickers; i++) {
        ngx_mesh_ws_tickers[i]();
    }

    ngx_add_timer(ev, 1000);
}


static void
ngx_mesh_ws_due(ngx_mesh_session_t *s)
{
    time_t    now, alive, ping, dead, stall;
    uint64_t  serial;

    now = ngx_time();
    serial = s->serial;

    if (s->closing) {
        if (now >= s->close_at
            && (s->out == NULL || s->close_due
                || now - s->taken >= NGX_MESH_WS_STALL))
        {
            ngx_mesh_ws_finalize(s);
            return;
        }

        s->close_at = ngx_max(s->close_at, now + 1);
        ngx_mesh_ws_schedule(s);
        return;
    }

    if (s->deadline_at && now >= s->deadline_at) {
        s->deadline_at = 0;

        if (s->class->deadline) {
            s->class->deadline(s);

            if (ngx_mesh_session_find(serial) != s) {
                return;
            }
        }
    }

    stall = s->class->agent_text ? NGX_MESH_WS_STALL_AGENT
                                 : NGX_MESH_WS_STALL;

    if (s->out && s->queued > s->conf->buffer_hard && now - s->taken >= stall)
    {
        ngx_mesh_count(NGX_MESH_C_CLOSED_SLOW);
        ngx_log_error(NGX_LOG_INFO, s->c->log, 0,
                      "mesh %s: client took nothing for %T seconds",
                      s->class->name, now - s->taken);
        ngx_mesh_ws_finalize(s);
        return;
    }

    /* who may not send to us, or has half a frame to take, owes no sign */
    if ((s->paused || s->raw_open || s->over_high) && !s->no_idle) {
        if (s->out == NULL || now - s->taken < stall) {
            s->seen = now;
        }
    }

    alive = ngx_max(s->seen, s->taken);
    ping = s->conf->ping / 1000;
    dead = ping + s->conf->ping_timeout / 1000;

    if (now - alive >= dead) {
        s->close_code = MESH_WS_CODE_AWAY;
        ngx_mesh_ws_finalize(s);
        return;
    }

    if (now - s->seen >= ping && !s->ping_sent && !s->raw_open) {
        s->ping_sent = 1;

        if (ngx_mesh_ws_control_frame(s, MESH_WS_PING, NULL, 0) != NGX_OK) {
            ngx_mesh_ws_finalize(s);
            return;
        }

        /* our own ping is no sign of life */
        s->taken = ngx_min(s->taken, now - ping);
    }

    ngx_mesh_ws_schedule(s);
}


/* a worker of an old generation: agents leave spread out, browsers at last */
static void
ngx_mesh_ws_drain(void)
{
    time_t               now, drain;
    ngx_uint_t           i;
    ngx_queue_t         *q, *next;
    ngx_mesh_session_t  *s;

    now = ngx_time();
    drain = ngx_mesh_core_conf()->drain / 1000;

    if (!ngx_mesh_ws_draining) {
        ngx_mesh_ws_draining = 1;
        ngx_mesh_slot->flags |= NGX_MESH_SLOT_DRAINING;
    }

    for (i = 0; i <= NGX_MESH_GAUGES; i++) {

        for (q = ngx_queue_head(&ngx_mesh_ws_all[i]);
             q != &ngx_mesh_ws_all[i];
             q = next)
        {
            next = ngx_queue_next(q);
            s = ngx_queue_data(q, ngx_mesh_session_t, all);

            if (s->class->cut_through || s->closing) {
                continue;       /* relays run until they end */
            }

            if (s->drain_at == 0) {
                s->drain_at = now + (s->class->drain
                                     ? ngx_random() % (drain + 1) : drain);
            }

            if (now >= s->drain_at) {
                /* sends, and ends with the tick: nothing is freed here */
                s->in_read = 1;
                ngx_mesh_ws_close(s, MESH_WS_CODE_AWAY);
                (void) ngx_mesh_ws_flush(s);
                s->in_read = 0;
            }
        }
    }
}

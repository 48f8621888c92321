/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "../ngx_mesh.h"
#include "../../proto/mesh_signer_msg.h"


/*
 * One link to mesh-signer, many requests in flight, answered in any order.
 * Requests of one turn of the event loop leave in one write.  What is in
 * flight when the link breaks is sent again: signing twice does no harm.
 */

#define NGX_MESH_SIGNER_SLOTS    MESH_SIGNER_MAX_INFLIGHT
#define NGX_MESH_SIGNER_BUFFER   65536         /* bytes */
#define NGX_MESH_SIGNER_PING     5             /* seconds */
#define NGX_MESH_SIGNER_RETRY    100           /* ms */
#define NGX_MESH_SIGNER_RETRIES  5000

/* ids of requests that are no signatures; theirs are below */
#define NGX_MESH_SIGNER_ID_CERT  0xf0000000u
#define NGX_MESH_SIGNER_ID_PING  0xe0000000u
#define NGX_MESH_SIGNER_ID_MAX   0x80000000u


typedef struct {
    ngx_mesh_sign_t   *sign;          /* NULL: cancelled, or free */
    uint32_t           id;            /* 0: free */
    ngx_msec_t         sent;
} ngx_mesh_signer_slot_t;


typedef struct {
    ngx_str_t          der;
    u_char             keyhash[MESH_HASH_LEN];
} ngx_mesh_identity_t;


typedef struct {
    ngx_connection_t        *c;
    ngx_log_t               *log;
    ngx_queue_t              waiting;
    ngx_uint_t               nwaiting;
    ngx_uint_t               nflight;
    ngx_uint_t               max;     /* in flight */
    ngx_uint_t               turn;
    ngx_uint_t               reported;      /* gauge */
    uint32_t                 generation;
    ngx_msec_t               retry;
    ngx_msec_t               down_at;
    ngx_msec_t               asked_at;      /* ping or first cert, 0: none */
    ngx_msec_t               latency;       /* ms, smoothed, of a signature */
    ngx_msec_t               interval;      /* us, smoothed, between answers */
    ngx_msec_t               answered_at;
    time_t                   heard;
    ngx_event_t              connect;       /* cancelable timer */
    ngx_event_t              flush;         /* posted */
    size_t                   nout;
    size_t                   nin;
    ngx_uint_t               nidentities;
    ngx_mesh_identity_t      identity[MESH_SIGNER_MAX_KEYS];
    ngx_mesh_signer_slot_t   slot[NGX_MESH_SIGNER_SLOTS];
    u_char                   out[NGX_MESH_SIGNER_BUFFER];
    u_char                   in[NGX_MESH_SIGNER_BUFFER];
    unsigned                 up:1;
    unsigned                 exiting:1;
    unsigned                 told:1;
} ngx_mesh_signer_t;


static void ngx_mesh_signer_connect(ngx_event_t *ev);
static void ngx_mesh_signer_down(const char *why, ngx_err_t err);
static void ngx_mesh_signer_flush(ngx_event_t *ev);
static void ngx_mesh_signer_fill(void);
static ngx_int_t ngx_mesh_signer_write(void);
static void ngx_mesh_signer_write_handler(ngx_event_t *wev);
static void ngx_mesh_signer_read_handler(ngx_event_t *rev);
static ngx_int_t ngx_mesh_signer_reply(mesh_signer_msg_t *msg);
static ngx_int_t ngx_mesh_signer_reply_cert(mesh_signer_msg_t *msg);
static void ngx_mesh_signer_reply_sign(mesh_signer_msg_t *msg);
static void ngx_mesh_signer_ask(uint32_t id, u_char op, u_char key);
static void ngx_mesh_signer_gauge(void);
static void ngx_mesh_signer_tick(void);


static ngx_mesh_signer_t  *ngx_mesh_signer;


ngx_int_t
ngx_mesh_signer_init(ngx_cycle_t *cycle)
{
    ngx_mesh_signer_t     *s;
    ngx_mesh_core_conf_t  *mcf;

    mcf = ngx_mesh_core_conf();

    s = ngx_pcalloc(cycle->pool, sizeof(ngx_mesh_signer_t));
    if (s == NULL) {
        return NGX_ERROR;
    }

    ngx_mesh_signer = s;

    ngx_queue_init(&s->waiting);

    s->log = cycle->log;
    s->max = ngx_min(mcf->signer_queue, NGX_MESH_SIGNER_SLOTS);
    s->max = ngx_max(s->max, 1);
    s->retry = NGX_MESH_SIGNER_RETRY;
    s->down_at = ngx_current_msec;
    s->generation = 1;

    s->connect.handler = ngx_mesh_signer_connect;
    s->connect.data = s;
    s->connect.log = cycle->log;
    s->connect.cancelable = 1;

    s->flush.handler = ngx_mesh_signer_flush;
    s->flush.data = s;
    s->flush.log = cycle->log;

    ngx_mesh_gauge(NGX_MESH_G_SIGNER_DOWN, 1);

    if (mcf->signer.len == 0) {
        ngx_log_error(NGX_LOG_CRIT, cycle->log, 0,
                      "mesh signer: no \"mesh_signer\" in the configuration, "
                      "agents that do not know this server cannot connect");
        return NGX_OK;
    }

    ngx_mesh_tick_add(ngx_mesh_signer_tick);
    ngx_mesh_signer_connect(&s->connect);

    return NGX_OK;
}


void
ngx_mesh_signer_exit(ngx_cycle_t *cycle)
{
    ngx_uint_t          n;
    ngx_mesh_signer_t  *s;

    s = ngx_mesh_signer;

    if (s == NULL) {
        return;
    }

    s->exiting = 1;

    if (s->connect.timer_set) {
        ngx_del_timer(&s->connect);
    }

    if (s->flush.posted) {
        ngx_delete_posted_event(&s->flush);
    }

    if (s->c) {
        ngx_close_connection(s->c);
        s->c = NULL;
    }

    for (n = 0; n < s->nidentities; n++) {
        if (s->identity[n].der.data) {
            ngx_free(s->identity[n].der.data);
        }
    }

    s->nidentities = 0;
}


void
ngx_mesh_sign(ngx_mesh_sign_t *sign)
{
    ngx_mesh_signer_t  *s;

    s = ngx_mesh_signer;

    sign->busy = 1;
    sign->id = 0;
    sign->len = 0;
    sign->asked = ngx_current_msec;

    ngx_queue_insert_tail(&s->waiting, &sign->queue);
    s->nwaiting++;

    ngx_mesh_count(NGX_MESH_C_SIGN_REQS);

    if (s->up && !s->flush.posted) {
        ngx_post_event(&s->flush, &ngx_posted_events);
    }
}


void
ngx_mesh_sign_cancel(ngx_mesh_sign_t *sign)
{
    ngx_mesh_signer_slot_t  *slot;

    if (!sign->busy) {
        return;
    }

    sign->busy = 0;

    if (sign->id == 0) {
        ngx_queue_remove(&sign->queue);
        ngx_mesh_signer->nwaiting--;
        return;
    }

    /* the answer will come, and free the slot */

    slot = &ngx_mesh_signer->slot[sign->id % NGX_MESH_SIGNER_SLOTS];
    slot->sign = NULL;
}


ngx_int_t
ngx_mesh_signer_identity(ngx_uint_t n, ngx_str_t *der, u_char *keyhash)
{
    ngx_mesh_signer_t  *s;

    s = ngx_mesh_signer;

    if (n >= s->nidentities) {
        return NGX_DECLINED;
    }

    *der = s->identity[n].der;
    ngx_memcpy(keyhash, s->identity[n].keyhash, MESH_HASH_LEN);

    return NGX_OK;
}


ngx_uint_t
ngx_mesh_signer_up(void)
{
    return ngx_mesh_signer != NULL && ngx_mesh_signer->up;
}


ngx_msec_t
ngx_mesh_signer_wait(void)
{
    ngx_msec_t          wait;
    ngx_mesh_signer_t  *s;

    s = ngx_mesh_signer;

    wait = (ngx_msec_t) (s->nwaiting + s->nflight) * s->interval / 1000;

    if (!s->up) {
        wait += ngx_current_msec - s->down_at;
    }

    return wait;
}


static void
ngx_mesh_signer_connect(ngx_event_t *ev)
{
    int                    fd;
    ngx_str_t             *path;
    ngx_connection_t      *c;
    ngx_mesh_signer_t     *s;
    struct sockaddr_un     un;
    ngx_mesh_core_conf_t  *mcf;

    s = ev->data;
    mcf = ngx_mesh_core_conf();
    path = &mcf->signer;

    ngx_memzero(&un, sizeof(struct sockaddr_un));
    un.sun_family = AF_UNIX;

    if (path->len >= sizeof(un.sun_path)) {
        ngx_mesh_signer_down("path is too long", 0);
        return;
    }

    ngx_memcpy(un.sun_path, path->data, path->len);

    fd = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0);

    if (fd == -1) {
        ngx_mesh_signer_down("socket() failed", ngx_errno);
        return;
    }

    if (connect(fd, (struct sockaddr *) &un, sizeof(struct sockaddr_un))
        == -1)
    {
        ngx_mesh_signer_down("connect() failed", ngx_errno);
        (void) close(fd);
        return;
    }

    c = ngx_get_connection(fd, s->log);

    if (c == NULL) {
        (void) close(fd);
        ngx_mesh_signer_down("no connection left", 0);
        return;
    }

    c->data = s;
    c->log = s->log;
    c->read->log = s->log;
    c->write->log = s->log;
    c->recv = ngx_recv;
    c->send = ngx_send;
    c->read->handler = ngx_mesh_signer_read_handler;
    c->write->handler = ngx_mesh_signer_write_handler;

    /* exit and the shutdown timer leave such connections alone */
    c->read->channel = 1;
    c->write->channel = 1;

    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);

    if (ngx_add_conn) {
        if (ngx_add_conn(c) == NGX_ERROR) {
            ngx_close_connection(c);
            ngx_mesh_signer_down("cannot watch the connection", 0);
            return;
        }

    } else if (ngx_add_event(c->read, NGX_READ_EVENT, NGX_CLEAR_EVENT)
               != NGX_OK
               || ngx_add_event(c->write, NGX_WRITE_EVENT, NGX_CLEAR_EVENT)
                  != NGX_OK)
    {
        ngx_close_connection(c);
        ngx_mesh_signer_down("cannot watch the connection", 0);
        return;
    }

    c->write->ready = 1;

    s->c = c;
    s->nin = 0;
    s->nout = 0;

    /* it is up when the first certificate has come */

    s->asked_at = ngx_current_msec;
    ngx_mesh_signer_ask(NGX_MESH_SIGNER_ID_CERT, MESH_SIGNER_CERT, 0);

    (void) ngx_mesh_signer_write();
}


static void
ngx_mesh_signer_down(const char *why, ngx_err_t err)
{
    ngx_uint_t               i, level;
    ngx_mesh_sign_t         *sign, *first;
    ngx_mesh_signer_t       *s;
    ngx_mesh_signer_slot_t  *slot;

    s = ngx_mesh_signer;

    if (s->up) {
        s->up = 0;
        s->told = 0;
        s->down_at = ngx_current_msec;
        ngx_mesh_gauge(NGX_MESH_G_SIGNER_DOWN, 1);
    }

    /* once for each time it goes down */

    if (!s->told) {
        level = NGX_LOG_CRIT;
        s->told = 1;

    } else {
        level = NGX_LOG_INFO;
    }

    ngx_log_error(level, s->log, err, "mesh signer \"unix:%V\": %s",
                  &ngx_mesh_core_conf()->signer, why);

    if (s->c) {
        ngx_close_connection(s->c);
        s->c = NULL;
    }

    if (s->flush.posted) {
        ngx_delete_posted_event(&s->flush);
    }

    s->asked_at = 0;

    /* what was in flight goes to the front, oldest first */

    for ( ;; ) {
        first = NULL;

        for (i = 0; s->nflight && i < NGX_MESH_SIGNER_SLOTS; i++) {
            slot = &s->slot[i];

            if (slot->id == 0) {
                continue;
            }

            sign = slot->sign;
            slot->id = 0;
            slot->sign = NULL;
            s->nflight--;

            if (sign == NULL) {
                continue;
            }

            sign->id = 0;
            first = sign;
            ngx_queue_insert_head(&s->waiting, &sign->queue);
            s->nwaiting++;
        }

        if (first == NULL) {
            break;
        }
    }

    if (s->exiting) {
        return;
    }

    /* with jitter: all workers lose it at once */

    ngx_add_timer(&s->connect, s->retry / 2 + ngx_random() % s->retry + 1);

    s->retry = ngx_min(s->retry * 2, NGX_MESH_SIGNER_RETRIES);
}


static void
ngx_mesh_signer_ask(uint32_t id, u_char op, u_char key)
{
    ngx_mesh_signer_t  *s;

    s = ngx_mesh_signer;

    if (NGX_MESH_SIGNER_BUFFER - s->nout < MESH_SIGNER_HEAD) {
        return;
    }

    s->nout += mesh_signer_write_request(s->out + s->nout, id, op, key, 0);
}


static void
ngx_mesh_signer_flush(ngx_event_t *ev)
{
    if (ngx_mesh_signer->up) {
        ngx_mesh_signer_fill();
        (void) ngx_mesh_signer_write();
    }

    ngx_mesh_signer_gauge();
}


/* moves requests from the queue into the buffer */
static void
ngx_mesh_signer_fill(void)
{
    ngx_uint_t               n;
    ngx_queue_t             *q;
    ngx_mesh_sign_t         *sign;
    ngx_mesh_signer_t       *s;
    ngx_mesh_signer_slot_t  *slot;

    s = ngx_mesh_signer;

    while (!ngx_queue_empty(&s->waiting)
           && s->nflight < s->max
           && NGX_MESH_SIGNER_BUFFER - s->nout
              >= MESH_SIGNER_MAX_REQUEST_FRAME)
    {
        q = ngx_queue_head(&s->waiting);
        sign = ngx_queue_data(q, ngx_mesh_sign_t, queue);
        ngx_queue_remove(q);
        s->nwaiting--;

        /* nflight is below the number of slots: one is free */

        do {
            n = s->turn++ % NGX_MESH_SIGNER_SLOTS;
        } while (s->slot[n].id != 0);

        slot = &s->slot[n];

        s->generation++;

        slot->sign = sign;
        slot->sent = ngx_current_msec;
        slot->id = (s->generation * NGX_MESH_SIGNER_SLOTS + n)
                   % NGX_MESH_SIGNER_ID_MAX;

        if (slot->id == 0) {
            slot->id = NGX_MESH_SIGNER_SLOTS;
        }

        sign->id = slot->id;
        s->nflight++;

        s->nout += mesh_signer_write_sign(s->out + s->nout, slot->id,
                                          (uint8_t) sign->key, sign->input,
                                          sign->input + MESH_HASH_LEN,
                                          sign->input + 2 * MESH_HASH_LEN);
    }
}


static ngx_int_t
ngx_mesh_signer_write(void)
{
    ssize_t             n;
    ngx_connection_t   *c;
    ngx_mesh_signer_t  *s;

    s = ngx_mesh_signer;
    c = s->c;

    while (s->nout) {

        n = c->send(c, s->out, s->nout);

        if (n == NGX_AGAIN) {
            if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
                ngx_mesh_signer_down("cannot watch the connection", 0);
                return NGX_ERROR;
            }

            return NGX_AGAIN;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_mesh_signer_down("the link broke", 0);
            return NGX_ERROR;
        }

        s->nout -= n;

        if (s->nout) {
            ngx_memmove(s->out, s->out + n, s->nout);
        }
    }

    return NGX_OK;
}


static void
ngx_mesh_signer_write_handler(ngx_event_t *wev)
{
    if (ngx_mesh_signer->up) {
        ngx_mesh_signer_fill();
    }

    (void) ngx_mesh_signer_write();
}


static void
ngx_mesh_signer_read_handler(ngx_event_t *rev)
{
    u_char             *pos;
    size_t              left;
    ssize_t             n;
    ngx_int_t           rc;
    ngx_connection_t   *c;
    mesh_signer_msg_t   msg;
    ngx_mesh_signer_t  *s;

    c = rev->data;
    s = c->data;

    for ( ;; ) {

        n = c->recv(c, s->in + s->nin, NGX_MESH_SIGNER_BUFFER - s->nin);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_mesh_signer_down("the link was closed", 0);
            return;
        }

        s->nin += n;
        s->heard = ngx_time();
        s->asked_at = 0;

        pos = s->in;
        left = s->nin;

        for ( ;; ) {
            rc = mesh_signer_parse_reply(&msg, pos, left);

            if (rc != MESH_OK) {
                break;
            }

            pos += msg.size;
            left -= msg.size;

            if (ngx_mesh_signer_reply(&msg) != NGX_OK) {
                rc = MESH_ERROR;
                break;
            }
        }

        if (rc == MESH_ERROR) {
            ngx_mesh_signer_down("an answer is not of the protocol", 0);
            return;
        }

        s->nin = left;

        if (left) {
            ngx_memmove(s->in, pos, left);
        }
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_mesh_signer_down("cannot watch the connection", 0);
        return;
    }

    if (s->up) {
        ngx_mesh_signer_fill();

        if (ngx_mesh_signer_write() == NGX_ERROR) {
            return;
        }
    }

    ngx_mesh_signer_gauge();
}


static ngx_int_t
ngx_mesh_signer_reply(mesh_signer_msg_t *msg)
{
    if (msg->id < NGX_MESH_SIGNER_ID_MAX) {
        ngx_mesh_signer_reply_sign(msg);
        return NGX_OK;
    }

    if (msg->id == NGX_MESH_SIGNER_ID_PING) {
        return NGX_OK;
    }

    return ngx_mesh_signer_reply_cert(msg);
}


/* identities are asked for one by one until there is none of that number */
static ngx_int_t
ngx_mesh_signer_reply_cert(mesh_signer_msg_t *msg)
{
    size_t                len;
    u_char               *p;
    ngx_uint_t            n;
    const uint8_t        *der, *hash;
    ngx_mesh_signer_t    *s;
    ngx_mesh_identity_t  *id;

    s = ngx_mesh_signer;
    n = msg->id - NGX_MESH_SIGNER_ID_CERT;

    if (msg->id < NGX_MESH_SIGNER_ID_CERT || n >= MESH_SIGNER_MAX_KEYS) {
        return NGX_ERROR;
    }

    if (msg->code == MESH_SIGNER_OK) {

        if (mesh_signer_read_cert(msg, &der, &len, &hash) != MESH_OK) {
            return NGX_ERROR;
        }

        p = ngx_alloc(len, s->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        id = &s->identity[n];

        if (id->der.data) {
            ngx_free(id->der.data);
        }

        id->der.data = p;
        id->der.len = len;
        ngx_memcpy(p, der, len);
        ngx_memcpy(id->keyhash, hash, MESH_HASH_LEN);

        if (s->nidentities <= n) {
            s->nidentities = n + 1;
        }

        if (n + 1 < MESH_SIGNER_MAX_KEYS) {
            ngx_mesh_signer_ask(NGX_MESH_SIGNER_ID_CERT + n + 1,
                                MESH_SIGNER_CERT, (u_char) (n + 1));
        }

    } else if (n == 0) {
        ngx_mesh_signer_down("it has no agent server key", 0);
        return NGX_OK;

    } else {
        s->nidentities = ngx_min(s->nidentities, n);
    }

    if (!s->up) {
        s->up = 1;
        s->retry = NGX_MESH_SIGNER_RETRY;
        s->told = 0;
        s->answered_at = ngx_current_msec;

        ngx_mesh_gauge(NGX_MESH_G_SIGNER_DOWN, -1);

        ngx_log_error(NGX_LOG_NOTICE, s->log, 0,
                      "mesh signer \"unix:%V\" is up",
                      &ngx_mesh_core_conf()->signer);
    }

    return NGX_OK;
}


static void
ngx_mesh_signer_reply_sign(mesh_signer_msg_t *msg)
{
    ngx_int_t                rc;
    ngx_msec_t               took;
    ngx_mesh_sign_t         *sign;
    ngx_mesh_signer_t       *s;
    ngx_mesh_signer_slot_t  *slot;

    s = ngx_mesh_signer;
    slot = &s->slot[msg->id % NGX_MESH_SIGNER_SLOTS];

    if (slot->id != msg->id || slot->id == 0) {
        return;
    }

    sign = slot->sign;

    took = ngx_current_msec - slot->sent;

    slot->id = 0;
    slot->sign = NULL;
    s->nflight--;

    /* an eighth each, in us: what one more in the queue costs */

    s->interval += (ngx_msec_int_t)
                   ((ngx_current_msec - ngx_max(s->answered_at, slot->sent))
                    * 1000 - s->interval) / 8;
    s->answered_at = ngx_current_msec;
    s->latency = took;

    if (sign == NULL) {
        return;
    }

    sign->busy = 0;

    ngx_mesh_count_n(NGX_MESH_C_SIGN_LATENCY_US,
                     (ngx_current_msec - sign->asked) * 1000);

    rc = NGX_ERROR;

    if (msg->code == MESH_SIGNER_OK && msg->len >= 1
        && msg->len <= sizeof(sign->signature))
    {
        ngx_memcpy(sign->signature, msg->data, msg->len);
        sign->len = msg->len;
        rc = NGX_OK;

    } else {
        ngx_log_error(NGX_LOG_ERR, s->log, 0,
                      "mesh signer refused to sign, status %ui",
                      (ngx_uint_t) msg->code);
    }

    sign->done(sign->data, rc);
}


static void
ngx_mesh_signer_gauge(void)
{
    ngx_int_t           n;
    ngx_mesh_signer_t  *s;

    s = ngx_mesh_signer;
    n = (ngx_int_t) (s->nwaiting + s->nflight);

    if (n != (ngx_int_t) s->reported) {
        ngx_mesh_gauge(NGX_MESH_G_SIGN_QUEUE, n - (ngx_int_t) s->reported);
        s->reported = n;
    }
}


/* a signer that is stopped answers nothing, and its socket stays open */
static void
ngx_mesh_signer_tick(void)
{
    ngx_uint_t             i;
    ngx_msec_t             timeout;
    ngx_mesh_signer_t     *s;

    s = ngx_mesh_signer;

    ngx_mesh_signer_gauge();

    if (s->c == NULL) {
        return;
    }

    timeout = ngx_mesh_core_conf()->signer_timeout;

    if (s->asked_at && ngx_current_msec - s->asked_at >= timeout) {
        ngx_mesh_signer_down("it does not answer", 0);
        return;
    }

    if (!s->up || s->asked_at) {
        return;
    }

    if (s->nflight) {
        /* answered in any order: none at all within the time is the sign */

        if (ngx_current_msec - s->answered_at < timeout) {
            return;
        }

        for (i = 0; i < NGX_MESH_SIGNER_SLOTS; i++) {
            if (s->slot[i].id && ngx_current_msec - s->slot[i].sent >= timeout)
            {
                ngx_mesh_signer_down("it does not answer", 0);
                return;
            }
        }

        return;
    }

    if (ngx_time() - s->heard >= NGX_MESH_SIGNER_PING
        && s->nout == 0)
    {
        s->asked_at = ngx_current_msec;
        ngx_mesh_signer_ask(NGX_MESH_SIGNER_ID_PING, MESH_SIGNER_PING, 0);
        (void) ngx_mesh_signer_write();
    }
}

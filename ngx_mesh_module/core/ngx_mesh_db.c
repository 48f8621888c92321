/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Requests, the bounded queue, late writes, blocks of keys, and what happens
 * while the database is away.
 */

#include <ngx_config.h>
#include <time.h>

#include "ngx_mesh_db_backend.h"
#include "ngx_mesh_shm.h"
#include "../../proto/mesh_ws.h"


#define NGX_MESH_DB_POOL        4096
#define NGX_MESH_DB_SPARE       16    /* pools kept for the next requests */
#define NGX_MESH_DB_SPARE_SIZE  65536 /* bytes; larger results free theirs */
#define NGX_MESH_DB_LATE_MAX    100000    /* keys */
#define NGX_MESH_DB_UPS         8
#define NGX_MESH_DB_BLOCK       1000  /* keys, mesh_sql.h KEY_BLOCK */
#define NGX_MESH_DB_BLOCK_LOW   300
#define NGX_MESH_DB_DELAY       100   /* ms, the first; doubles */
#define NGX_MESH_DB_DELAY_MAX   5000
#define NGX_MESH_DB_QUIET       60000 /* ms between equal messages */

/* a late argument that is NULL */
#define NGX_MESH_DB_NULL        0xffffffffu


/* The life of the connection; ngx_mesh_db_move() is the only way. */

typedef enum {
    NGX_MESH_DB_IDLE = 0,             /* waits for the timer */
    NGX_MESH_DB_OPENING,              /* a thread is at it */
    NGX_MESH_DB_STARTING,             /* open, asks for keys */
    NGX_MESH_DB_UP
} ngx_mesh_db_state_e;


typedef struct {
    ngx_str_node_t        sn;         /* "kind:id" */
    ngx_uint_t            n;          /* statements */
    u_char                data[];     /* ngx_mesh_db_late_pack() */
} ngx_mesh_db_late_t;


typedef struct {
    uint32_t              stmt;
    uint32_t              nargs;
    uint32_t              ints;
} ngx_mesh_db_packed_t;


static void ngx_mesh_db_destroy(ngx_mesh_db_req_t *q);
static ngx_str_t *ngx_mesh_db_arg(ngx_mesh_db_req_t *q);
static void ngx_mesh_db_posted(ngx_event_t *ev);
static void ngx_mesh_db_fail(ngx_mesh_db_req_t *q);

static ngx_mesh_db_late_t *ngx_mesh_db_late_pack(ngx_mesh_db_req_t *q,
    const ngx_str_t *key);
static ngx_mesh_db_req_t *ngx_mesh_db_late_unpack(ngx_mesh_db_late_t *late);
static void ngx_mesh_db_late_insert(ngx_mesh_db_req_t *q);
static void ngx_mesh_db_late_arm(void);
static void ngx_mesh_db_late_timer(ngx_event_t *ev);
static void ngx_mesh_db_late_flush(ngx_queue_t *to, ngx_uint_t max);

static void ngx_mesh_db_move(ngx_mesh_db_state_e state);
static void ngx_mesh_db_retry(ngx_event_t *ev);
static void ngx_mesh_db_wait(void);
static void ngx_mesh_db_give_up(void);
static void ngx_mesh_db_block_ask(ngx_uint_t head);
static void ngx_mesh_db_block(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_db_down(const u_char *why);
static ngx_msec_t ngx_mesh_db_us(void);


#define NGX_MESH_SQL_TEXT(name, nargs, flags, sqlite, postgres)               \
    { #name, nargs, flags, sqlite, postgres },

const mesh_sql_t  ngx_mesh_sql[] = {
    MESH_SQL_TABLE(NGX_MESH_SQL_TEXT)
    { NULL, 0, 0, NULL, NULL }
};


static const ngx_mesh_db_backend_t  *ngx_mesh_db_backend;
static ngx_mesh_core_conf_t         *ngx_mesh_db_conf;
static ngx_mesh_db_state_e           ngx_mesh_db_state;

static ngx_pool_t                   *ngx_mesh_db_spare[NGX_MESH_DB_SPARE];
static ngx_uint_t                    ngx_mesh_db_nspare;

static ngx_uint_t                    ngx_mesh_db_count;   /* not finished */
static ngx_queue_t                   ngx_mesh_db_waiting; /* for the start */
static ngx_queue_t                   ngx_mesh_db_failed;  /* done() is due */
static ngx_event_t                   ngx_mesh_db_event;   /* posted */
static ngx_event_t                   ngx_mesh_db_timer;   /* opens again */
static ngx_msec_t                    ngx_mesh_db_delay;
static ngx_uint_t                    ngx_mesh_db_grace;   /* just lost */
static ngx_uint_t                    ngx_mesh_db_told;    /* it is down */

static ngx_rbtree_t                  ngx_mesh_db_late_tree;
static ngx_rbtree_node_t             ngx_mesh_db_late_sentinel;
static ngx_uint_t                    ngx_mesh_db_nlate;
static ngx_uint_t                    ngx_mesh_db_late_flight;
static ngx_uint_t                    ngx_mesh_db_late_full;
static ngx_event_t                   ngx_mesh_db_late_event;

static int64_t                       ngx_mesh_db_next[2];     /* two blocks */
static int64_t                       ngx_mesh_db_end[2];
static ngx_uint_t                    ngx_mesh_db_asked;

static void                        (*ngx_mesh_db_ups[NGX_MESH_DB_UPS])(void);
static ngx_uint_t                    ngx_mesh_db_nups;


/* --- requests */

ngx_mesh_db_req_t *
ngx_mesh_db_create(ngx_mesh_db_done_pt done, void *data)
{
    ngx_pool_t         *pool;
    ngx_mesh_db_req_t  *q;

    if (ngx_mesh_db_nspare) {
        pool = ngx_mesh_db_spare[--ngx_mesh_db_nspare];

    } else {
        pool = ngx_create_pool(NGX_MESH_DB_POOL, ngx_cycle->log);
        if (pool == NULL) {
            return NULL;
        }
    }

    q = ngx_palloc(pool, sizeof(ngx_mesh_db_req_t));
    if (q == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    /* not the 2.5 KB of statements: each is set when it is appended */

    ngx_memzero(q, offsetof(ngx_mesh_db_req_t, st));
    ngx_memzero(&q->key, sizeof(ngx_mesh_db_req_t)
                         - offsetof(ngx_mesh_db_req_t, key));

    q->pool = pool;
    q->done = done;
    q->data = data;

    return q;
}


static void
ngx_mesh_db_destroy(ngx_mesh_db_req_t *q)
{
    ngx_pool_t        *pool, *p;
    ngx_uint_t         n;
    ngx_pool_large_t  *large;

    pool = q->pool;

    /* cleanups are run by destroying only */

    if (ngx_mesh_db_nspare < NGX_MESH_DB_SPARE && pool->cleanup == NULL) {

        n = 0;

        for (p = pool; p; p = p->d.next) {
            n++;
        }

        for (large = pool->large; large; large = large->next) {
            n++;
        }

        if (n <= NGX_MESH_DB_SPARE_SIZE / NGX_MESH_DB_POOL) {
            ngx_reset_pool(pool);
            ngx_mesh_db_spare[ngx_mesh_db_nspare++] = pool;
            return;
        }
    }

    ngx_destroy_pool(pool);
}


void
ngx_mesh_db_stmt(ngx_mesh_db_req_t *q, ngx_uint_t stmt)
{
    ngx_mesh_db_stmt_t  *st;

    if (q->n == NGX_MESH_DB_STMTS || stmt >= MESH_SQL_STATEMENTS) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "mesh db: too many statements, or none: %ui", stmt);
        ngx_mesh_db_error(q, "not a request");
        return;
    }

    st = &q->st[q->n++];

    st->stmt = stmt;
    st->nargs = 0;
    st->ints = 0;
    st->ncols = 0;
    ngx_memzero(&st->rows, sizeof(ngx_array_t));

    q->write |= (ngx_mesh_sql[stmt].flags & MESH_SQL_WRITE) != 0;
    q->wait |= (ngx_mesh_sql[stmt].flags & MESH_SQL_WAIT) != 0;
}


static ngx_str_t *
ngx_mesh_db_arg(ngx_mesh_db_req_t *q)
{
    ngx_str_t           *arg;
    ngx_mesh_db_stmt_t  *st;

    st = q->n ? &q->st[q->n - 1] : NULL;

    if (st == NULL || st->nargs == NGX_MESH_DB_ARGS) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "mesh db: an argument too many");
        ngx_mesh_db_error(q, "not a request");
        return NULL;
    }

    arg = &st->arg[st->nargs++];
    ngx_str_null(arg);

    return arg;
}


void
ngx_mesh_db_int(ngx_mesh_db_req_t *q, int64_t v)
{
    ngx_str_t  *arg;

    arg = ngx_mesh_db_arg(q);
    if (arg == NULL) {
        return;
    }

    arg->data = ngx_pnalloc(q->pool, NGX_INT64_LEN + 1);
    if (arg->data == NULL) {
        ngx_mesh_db_error(q, "no memory");
        return;
    }

    arg->len = ngx_sprintf(arg->data, "%L", v) - arg->data;
    arg->data[arg->len] = '\0';

    q->st[q->n - 1].ints |= 1u << (q->st[q->n - 1].nargs - 1);
}


void
ngx_mesh_db_str(ngx_mesh_db_req_t *q, const ngx_str_t *s)
{
    ngx_str_t    *arg;
    mesh_utf8_t   u;

    arg = ngx_mesh_db_arg(q);
    if (arg == NULL) {
        return;
    }

    /* libpq wants a terminator; a NUL inside would cut the text silently */

    arg->data = ngx_pnalloc(q->pool, s->len + 1);
    if (arg->data == NULL) {
        ngx_mesh_db_error(q, "no memory");
        return;
    }

    *ngx_cpymem(arg->data, s->data, s->len) = '\0';
    arg->len = s->len;

    if (s->len && ngx_strlen(arg->data) != s->len) {
        ngx_mesh_db_error(q, "a NUL in an argument");
    }

    /* PostgreSQL refuses what is not UTF-8, and with it the whole act */

    ngx_memzero(&u, sizeof(mesh_utf8_t));

    if (mesh_utf8_check(&u, arg->data, arg->len, 1) != MESH_OK) {
        ngx_memzero(&u, sizeof(mesh_utf8_t));
        mesh_utf8_repair(&u, arg->data, arg->len, 0);
    }
}


void
ngx_mesh_db_text(ngx_mesh_db_req_t *q, const char *s)
{
    ngx_str_t  text;

    text.data = (u_char *) s;
    text.len = ngx_strlen(s);

    ngx_mesh_db_str(q, &text);
}


void
ngx_mesh_db_null(ngx_mesh_db_req_t *q)
{
    (void) ngx_mesh_db_arg(q);
}


ngx_int_t
ngx_mesh_db_send(ngx_mesh_db_req_t *q)
{
    ngx_uint_t  i;

    if (ngx_mesh_db_count >= ngx_mesh_db_conf->db_queue && !q->late
        && !q->head)
    {
        ngx_mesh_db_destroy(q);
        return NGX_BUSY;
    }

    ngx_mesh_db_count++;
    ngx_mesh_gauge(NGX_MESH_G_DB_QUEUE, 1);
    ngx_mesh_count(NGX_MESH_C_DB_REQS);

    q->sent = ngx_mesh_db_us();

    for (i = 0; i < q->n; i++) {
        if (q->st[i].nargs != ngx_mesh_sql[q->st[i].stmt].nargs) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "mesh db: %s has %ui arguments, not %ui",
                          ngx_mesh_sql[q->st[i].stmt].name,
                          (ngx_uint_t) ngx_mesh_sql[q->st[i].stmt].nargs,
                          q->st[i].nargs);
            ngx_mesh_db_error(q, "not a request");
        }
    }

    if (q->error.len || q->n == 0) {
        q->rc = NGX_ERROR;
        ngx_queue_insert_tail(&ngx_mesh_db_failed, &q->queue);

    } else if (ngx_mesh_db_state == NGX_MESH_DB_UP
               || (q->head && ngx_mesh_db_state == NGX_MESH_DB_STARTING))
    {
        ngx_mesh_db_backend->push(q);

    } else if (q->wait || ngx_mesh_db_grace) {
        ngx_queue_insert_tail(&ngx_mesh_db_waiting, &q->queue);
        return NGX_OK;

    } else {
        ngx_mesh_db_fail(q);
    }

    ngx_post_event(&ngx_mesh_db_event, &ngx_posted_events);

    return NGX_OK;
}


static void
ngx_mesh_db_fail(ngx_mesh_db_req_t *q)
{
    q->rc = NGX_ABORT;
    ngx_queue_insert_tail(&ngx_mesh_db_failed, &q->queue);
}


static void
ngx_mesh_db_posted(ngx_event_t *ev)
{
    ngx_queue_t        *head, failed;
    ngx_mesh_db_req_t  *q;

    if (!ngx_queue_empty(&ngx_mesh_db_failed)) {

        /* a caller that tries again at once is called in the next turn */

        ngx_queue_init(&failed);
        ngx_queue_add(&failed, &ngx_mesh_db_failed);
        ngx_queue_init(&ngx_mesh_db_failed);

        while (!ngx_queue_empty(&failed)) {
            head = ngx_queue_head(&failed);
            ngx_queue_remove(head);
            q = ngx_queue_data(head, ngx_mesh_db_req_t, queue);

            ngx_mesh_db_finish(q, q->rc);
        }
    }

    if (ngx_mesh_db_state >= NGX_MESH_DB_STARTING) {
        ngx_mesh_db_backend->kick();
    }
}


void
ngx_mesh_db_finish(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_uint_t                i, late;

    static ngx_msec_t         told;
    static ngx_atomic_uint_t  quiet;

    ngx_mesh_db_count--;
    ngx_mesh_gauge(NGX_MESH_G_DB_QUEUE, -1);
    ngx_mesh_count_n(NGX_MESH_C_DB_LATENCY_US, ngx_mesh_db_us() - q->sent);

    if (rc == NGX_ERROR || rc == NGX_MESH_DB_FULL) {
        ngx_mesh_count(NGX_MESH_C_DB_ERRORS);

        i = q->got < q->n ? q->got : 0;

        /* a full disk fails everything: the log is not filled with it */

        if (q->late && ngx_mesh_db_late_full) {
            quiet++;

        } else if (told == 0 || ngx_current_msec - told > 1000) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "mesh db: %s failed: %V (and %uA more)",
                          q->n ? ngx_mesh_sql[q->st[i].stmt].name : "nothing",
                          &q->error, quiet);
            told = ngx_current_msec ? ngx_current_msec : 1;
            quiet = 0;

        } else {
            quiet++;
        }
    }

    late = q->late;

    if (!q->dead && q->done) {
        q->done(q, rc);
    }

    if (late) {
        ngx_mesh_db_late_full = (rc == NGX_MESH_DB_FULL);

        if (ngx_mesh_db_late_full) {
            q->flight = 1;
            ngx_mesh_db_late_insert(q);
        }
    }

    ngx_mesh_db_destroy(q);

    if (late && --ngx_mesh_db_late_flight == 0) {
        ngx_mesh_db_late_arm();
    }
}


void
ngx_mesh_db_forget(ngx_mesh_db_req_t *q)
{
    q->dead = 1;
    q->done = NULL;
}


void
ngx_mesh_db_error(ngx_mesh_db_req_t *q, const char *text)
{
    size_t  len;

    len = ngx_strlen(text);

    while (len && ((u_char) text[len - 1] <= ' ')) {
        len--;
    }

    q->error.len = 0;
    q->error.data = ngx_pnalloc(q->pool, len + 1);

    if (q->error.data == NULL) {
        ngx_str_set(&q->error, "no memory");
        return;
    }

    for ( /* void */ ; q->error.len < len; q->error.len++) {
        q->error.data[q->error.len] = (u_char) text[q->error.len] < ' '
                                      ? ' ' : text[q->error.len];
    }
}


ngx_str_t *
ngx_mesh_db_row(ngx_mesh_db_req_t *q, ngx_uint_t i, ngx_uint_t r)
{
    if (r >= ngx_mesh_db_rows(q, i)) {
        return NULL;
    }

    return (ngx_str_t *) q->st[i].rows.elts + r * q->st[i].ncols;
}


ngx_uint_t
ngx_mesh_db_rows(ngx_mesh_db_req_t *q, ngx_uint_t i)
{
    return i < q->n ? q->st[i].rows.nelts : 0;
}


int64_t
ngx_mesh_db_num(const ngx_str_t *s)
{
    size_t      i;
    uint64_t    n;
    ngx_uint_t  minus;

    n = 0;
    minus = (s->len && s->data[0] == '-');

    for (i = minus; i < s->len && i < 20; i++) {
        if (s->data[i] < '0' || s->data[i] > '9') {
            break;
        }

        n = n * 10 + (s->data[i] - '0');
    }

    return (int64_t) (minus ? 0 - n : n);
}


int64_t
ngx_mesh_now_ms(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + tp->msec;
}


ngx_uint_t
ngx_mesh_db_up(void)
{
    return ngx_mesh_db_state == NGX_MESH_DB_UP;
}


ngx_uint_t
ngx_mesh_db_queued(void)
{
    return ngx_mesh_db_count;
}


static ngx_msec_t
ngx_mesh_db_us(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (ngx_msec_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


/* --- late writes */

void
ngx_mesh_db_late(ngx_mesh_db_req_t *q, const char *kind, int64_t id)
{
    q->key.data = ngx_pnalloc(q->pool, ngx_strlen(kind) + NGX_INT64_LEN + 2);

    if (q->key.data && q->error.len == 0) {
        q->key.len = ngx_sprintf(q->key.data, "%s:%L", kind, id) - q->key.data;
        q->late = 1;

        ngx_mesh_db_late_insert(q);
        ngx_mesh_db_late_arm();
    }

    ngx_mesh_db_destroy(q);
}


static void
ngx_mesh_db_late_insert(ngx_mesh_db_req_t *q)
{
    uint32_t             hash;
    ngx_mesh_db_late_t  *late, *old;

    static ngx_msec_t    told;

    hash = ngx_crc32_long(q->key.data, q->key.len);

    old = (ngx_mesh_db_late_t *) ngx_str_rbtree_lookup(&ngx_mesh_db_late_tree,
                                                       &q->key, hash);

    if (q->flight && old) {
        return;                       /* back from a flight, and overtaken */
    }

    if (old == NULL && ngx_mesh_db_nlate >= NGX_MESH_DB_LATE_MAX) {
        ngx_mesh_count(NGX_MESH_C_DROPPED);

        if (told == 0 || ngx_current_msec - told > NGX_MESH_DB_QUIET) {
            told = ngx_current_msec ? ngx_current_msec : 1;
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "mesh db: late writes are lost, %ui wait already",
                          ngx_mesh_db_nlate);
        }

        return;
    }

    late = ngx_mesh_db_late_pack(q, &q->key);
    if (late == NULL) {
        return;
    }

    if (old) {
        ngx_rbtree_delete(&ngx_mesh_db_late_tree, &old->sn.node);
        ngx_free(old);
        ngx_mesh_db_nlate--;
    }

    late->sn.node.key = hash;
    ngx_rbtree_insert(&ngx_mesh_db_late_tree, &late->sn.node);
    ngx_mesh_db_nlate++;
}


/* in one block of memory, as it may wait for long and there may be many */
static ngx_mesh_db_late_t *
ngx_mesh_db_late_pack(ngx_mesh_db_req_t *q, const ngx_str_t *key)
{
    u_char                *p;
    size_t                 size;
    uint32_t               len;
    ngx_uint_t             i, n;
    ngx_mesh_db_late_t    *late;
    ngx_mesh_db_stmt_t    *st;
    ngx_mesh_db_packed_t   packed;

    size = sizeof(ngx_mesh_db_late_t) + key->len;

    for (i = 0; i < q->n; i++) {
        st = &q->st[i];
        size += sizeof(ngx_mesh_db_packed_t);

        for (n = 0; n < st->nargs; n++) {
            size += sizeof(uint32_t) + st->arg[n].len;
        }
    }

    late = ngx_alloc(size, ngx_cycle->log);
    if (late == NULL) {
        return NULL;
    }

    late->n = q->n;
    late->sn.str.len = key->len;
    late->sn.str.data = late->data;

    p = ngx_cpymem(late->data, key->data, key->len);

    for (i = 0; i < q->n; i++) {
        st = &q->st[i];

        packed.stmt = (uint32_t) st->stmt;
        packed.nargs = (uint32_t) st->nargs;
        packed.ints = st->ints;

        p = ngx_cpymem(p, &packed, sizeof(ngx_mesh_db_packed_t));

        for (n = 0; n < st->nargs; n++) {
            len = st->arg[n].data ? (uint32_t) st->arg[n].len
                                  : NGX_MESH_DB_NULL;

            p = ngx_cpymem(p, &len, sizeof(uint32_t));

            if (st->arg[n].data) {
                p = ngx_cpymem(p, st->arg[n].data, st->arg[n].len);
            }
        }
    }

    return late;
}


static ngx_mesh_db_req_t *
ngx_mesh_db_late_unpack(ngx_mesh_db_late_t *late)
{
    u_char                *p;
    uint32_t               len;
    ngx_str_t              s;
    ngx_uint_t             i, n;
    ngx_mesh_db_req_t     *q;
    ngx_mesh_db_packed_t   packed;

    q = ngx_mesh_db_create(NULL, NULL);
    if (q == NULL) {
        return NULL;
    }

    q->late = 1;
    q->key.len = late->sn.str.len;
    q->key.data = ngx_pstrdup(q->pool, &late->sn.str);

    if (q->key.data == NULL) {
        ngx_mesh_db_destroy(q);
        return NULL;
    }

    p = late->data + late->sn.str.len;

    for (i = 0; i < late->n; i++) {
        ngx_memcpy(&packed, p, sizeof(ngx_mesh_db_packed_t));
        p += sizeof(ngx_mesh_db_packed_t);

        ngx_mesh_db_stmt(q, packed.stmt);

        for (n = 0; n < packed.nargs; n++) {
            ngx_memcpy(&len, p, sizeof(uint32_t));
            p += sizeof(uint32_t);

            if (len == NGX_MESH_DB_NULL) {
                ngx_mesh_db_null(q);
                continue;
            }

            s.data = p;
            s.len = len;
            p += len;

            ngx_mesh_db_str(q, &s);
        }

        q->st[i].ints = packed.ints;
    }

    return q;
}


/* when the next flush is due, if one is */
static void
ngx_mesh_db_late_arm(void)
{
    if (ngx_mesh_db_nlate == 0 || ngx_mesh_db_late_flight
        || ngx_mesh_db_state != NGX_MESH_DB_UP)
    {
        return;
    }

    if (ngx_mesh_db_nlate >= ngx_mesh_db_conf->db_rows
        && !ngx_mesh_db_late_full)
    {
        ngx_post_event(&ngx_mesh_db_late_event, &ngx_posted_events);
        return;
    }

    if (!ngx_mesh_db_late_event.timer_set) {
        ngx_add_timer(&ngx_mesh_db_late_event, ngx_mesh_db_conf->db_flush);
    }
}


static void
ngx_mesh_db_late_timer(ngx_event_t *ev)
{
    ngx_queue_t        *head, list;
    ngx_mesh_db_req_t  *q;

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (ngx_mesh_db_late_flight || ngx_mesh_db_state != NGX_MESH_DB_UP) {
        return;
    }

    ngx_queue_init(&list);
    ngx_mesh_db_late_flush(&list, ngx_mesh_db_conf->db_rows);

    while (!ngx_queue_empty(&list)) {
        head = ngx_queue_head(&list);
        ngx_queue_remove(head);
        q = ngx_queue_data(head, ngx_mesh_db_req_t, queue);

        ngx_mesh_db_late_flight++;
        (void) ngx_mesh_db_send(q);   /* late ones are never refused */
    }
}


/*
 * In the order of the tree, which is the same in all workers: so two that
 * write the same rows wait for each other, and do not lock each other out.
 */
static void
ngx_mesh_db_late_flush(ngx_queue_t *to, ngx_uint_t max)
{
    ngx_rbtree_node_t   *node;
    ngx_mesh_db_req_t   *q;
    ngx_mesh_db_late_t  *late;

    while (max-- && ngx_mesh_db_late_tree.root != &ngx_mesh_db_late_sentinel) {

        node = ngx_rbtree_min(ngx_mesh_db_late_tree.root,
                              &ngx_mesh_db_late_sentinel);

        late = (ngx_mesh_db_late_t *) ((u_char *) node
                                       - offsetof(ngx_str_node_t, node));

        q = ngx_mesh_db_late_unpack(late);
        if (q == NULL) {
            return;                   /* no memory: it stays */
        }

        ngx_queue_insert_tail(to, &q->queue);

        ngx_rbtree_delete(&ngx_mesh_db_late_tree, node);
        ngx_free(late);
        ngx_mesh_db_nlate--;
    }
}


/* --- keys */

int64_t
ngx_mesh_db_key(void)
{
    if (ngx_mesh_db_next[0] == ngx_mesh_db_end[0]) {
        ngx_mesh_db_next[0] = ngx_mesh_db_next[1];
        ngx_mesh_db_end[0] = ngx_mesh_db_end[1];
        ngx_mesh_db_next[1] = ngx_mesh_db_end[1] = 0;
    }

    if (ngx_mesh_db_end[0] - ngx_mesh_db_next[0] < NGX_MESH_DB_BLOCK_LOW
        && ngx_mesh_db_end[1] == 0 && ngx_mesh_db_state == NGX_MESH_DB_UP)
    {
        ngx_mesh_db_block_ask(0);
    }

    if (ngx_mesh_db_next[0] == ngx_mesh_db_end[0]) {
        return 0;
    }

    return ngx_mesh_db_next[0]++;
}


static void
ngx_mesh_db_block_ask(ngx_uint_t head)
{
    ngx_mesh_db_req_t  *q;

    if (ngx_mesh_db_asked) {
        return;
    }

    q = ngx_mesh_db_create(ngx_mesh_db_block, NULL);
    if (q == NULL) {
        return;
    }

    q->head = 1;
    ngx_mesh_db_asked = 1;

    ngx_mesh_db_stmt(q, MESH_SQL_KEY_BLOCK);
    (void) ngx_mesh_db_send(q);       /* it goes before the bound too */
}


static void
ngx_mesh_db_block(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    int64_t      first;
    ngx_str_t   *row;
    ngx_uint_t   i;

    ngx_mesh_db_asked = 0;

    row = rc == NGX_OK ? ngx_mesh_db_row(q, 0, 0) : NULL;
    first = row ? ngx_mesh_db_num(&row[0]) : 0;

    if (first > 0 && ngx_mesh_db_state >= NGX_MESH_DB_STARTING) {
        i = (ngx_mesh_db_next[0] == ngx_mesh_db_end[0]) ? 0 : 1;

        ngx_mesh_db_next[i] = first;
        ngx_mesh_db_end[i] = first + NGX_MESH_DB_BLOCK;
    }

    /* no block: a full disk, say.  What only reads works all the same */

    if (ngx_mesh_db_state == NGX_MESH_DB_STARTING && rc != NGX_ABORT) {
        ngx_mesh_db_move(NGX_MESH_DB_UP);
    }
}


/* --- the connection */

void
ngx_mesh_db_on_up(void (*fn)(void))
{
    if (ngx_mesh_db_nups == NGX_MESH_DB_UPS) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "mesh db: too many wait for its start");
        return;
    }

    ngx_mesh_db_ups[ngx_mesh_db_nups++] = fn;

    if (ngx_mesh_db_state == NGX_MESH_DB_UP) {
        fn();
    }
}


static void
ngx_mesh_db_move(ngx_mesh_db_state_e state)
{
    ngx_uint_t          i;
    ngx_queue_t        *head;
    ngx_mesh_db_req_t  *q;

    /* where to from where */
    static const uint8_t  moves[] = {
        /* IDLE */      1 << NGX_MESH_DB_OPENING,
        /* OPENING */   1 << NGX_MESH_DB_IDLE | 1 << NGX_MESH_DB_STARTING,
        /* STARTING */  1 << NGX_MESH_DB_IDLE | 1 << NGX_MESH_DB_UP,
        /* UP */        1 << NGX_MESH_DB_IDLE
    };

    if (!(moves[ngx_mesh_db_state] & (1 << state))) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "mesh db: illegal move from %d to %d",
                      ngx_mesh_db_state, state);
        return;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mesh db: %d -> %d", ngx_mesh_db_state, state);

    ngx_mesh_db_state = state;

    switch (state) {

    case NGX_MESH_DB_IDLE:
        ngx_mesh_db_wait();
        break;

    case NGX_MESH_DB_OPENING:
        ngx_mesh_db_backend->open(ngx_mesh_db_conf);
        break;

    case NGX_MESH_DB_STARTING:
        ngx_mesh_db_block_ask(1);
        break;

    case NGX_MESH_DB_UP:
        if (ngx_mesh_db_told) {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "mesh db: the database is back");
            ngx_mesh_gauge(NGX_MESH_G_DB_DOWN, -1);
            ngx_mesh_db_told = 0;
        }

        ngx_mesh_db_delay = NGX_MESH_DB_DELAY;
        ngx_mesh_db_grace = 0;

        /* caches before those who waited, so that these find them loaded */

        for (i = 0; i < ngx_mesh_db_nups; i++) {
            ngx_mesh_db_ups[i]();
        }

        while (!ngx_queue_empty(&ngx_mesh_db_waiting)) {
            head = ngx_queue_head(&ngx_mesh_db_waiting);
            ngx_queue_remove(head);
            q = ngx_queue_data(head, ngx_mesh_db_req_t, queue);

            ngx_mesh_db_backend->push(q);
        }

        ngx_post_event(&ngx_mesh_db_event, &ngx_posted_events);
        ngx_mesh_db_late_arm();
        break;
    }
}


void
ngx_mesh_db_opened(const ngx_mesh_db_state_t *state)
{
    if (state->rc == NGX_OK) {
        ngx_mesh_db_move(NGX_MESH_DB_STARTING);
        return;
    }

    ngx_mesh_db_down(state->text);

    if (state->rc == NGX_DECLINED) {
        ngx_mesh_db_delay = NGX_MESH_DB_DELAY_MAX;
    }

    ngx_mesh_db_give_up();
    ngx_mesh_db_move(NGX_MESH_DB_IDLE);
}


void
ngx_mesh_db_lost(ngx_queue_t *requests, const char *why)
{
    ngx_uint_t          i, again;
    ngx_queue_t        *head;
    ngx_mesh_db_req_t  *q;

    ngx_mesh_db_down((const u_char *) why);

    ngx_memzero(ngx_mesh_db_next, sizeof(ngx_mesh_db_next));
    ngx_memzero(ngx_mesh_db_end, sizeof(ngx_mesh_db_end));

    if (ngx_mesh_db_state == NGX_MESH_DB_UP) {
        ngx_mesh_db_grace = 1;
        ngx_mesh_db_delay = NGX_MESH_DB_DELAY;
    }

    ngx_mesh_db_move(NGX_MESH_DB_IDLE);

    while (!ngx_queue_empty(requests)) {
        head = ngx_queue_head(requests);
        ngx_queue_remove(head);
        q = ngx_queue_data(head, ngx_mesh_db_req_t, queue);

        if (q->late) {
            q->flight = 1;
            ngx_mesh_db_late_insert(q);
            q->error.len = 0;
            ngx_mesh_db_finish(q, NGX_ABORT);
            continue;
        }

        again = ngx_mesh_db_grace && !q->head && (!q->flight || !q->again);

        for (i = 0; again && q->flight && i < q->n; i++) {
            again = (ngx_mesh_sql[q->st[i].stmt].flags
                     & (MESH_SQL_WRITE|MESH_SQL_IDEMPOTENT))
                    != MESH_SQL_WRITE;
        }

        if (!again) {
            ngx_mesh_db_fail(q);
            continue;
        }

        q->again |= q->flight;
        q->flight = 0;
        q->got = 0;

        for (i = 0; i < q->n; i++) {
            ngx_memzero(&q->st[i].rows, sizeof(ngx_array_t));
        }

        ngx_queue_insert_tail(&ngx_mesh_db_waiting, &q->queue);
    }

    ngx_post_event(&ngx_mesh_db_event, &ngx_posted_events);
}


/* said when it goes, and not each time that it is not there */
static void
ngx_mesh_db_down(const u_char *why)
{
    static ngx_msec_t  told;

    if (!ngx_mesh_db_told) {
        ngx_mesh_gauge(NGX_MESH_G_DB_DOWN, 1);
        ngx_mesh_db_told = 1;
        told = 0;
    }

    if (told == 0 || ngx_current_msec - told > NGX_MESH_DB_QUIET) {
        told = ngx_current_msec ? ngx_current_msec : 1;
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0,
                      "mesh db: the database is away: %s", why);
    }
}


/* it did not come back at once: whoever can be told is told */
static void
ngx_mesh_db_give_up(void)
{
    ngx_queue_t        *p, *next;
    ngx_mesh_db_req_t  *q;

    ngx_mesh_db_grace = 0;

    for (p = ngx_queue_head(&ngx_mesh_db_waiting);
         p != ngx_queue_sentinel(&ngx_mesh_db_waiting);
         p = next)
    {
        next = ngx_queue_next(p);
        q = ngx_queue_data(p, ngx_mesh_db_req_t, queue);

        if (!q->wait || q->dead) {
            ngx_queue_remove(p);
            ngx_mesh_db_fail(q);
        }
    }

    ngx_post_event(&ngx_mesh_db_event, &ngx_posted_events);
}


static void
ngx_mesh_db_wait(void)
{
    ngx_msec_t  delay;

    /* a quarter more or less, so that workers do not come in step */

    delay = ngx_mesh_db_delay * 3 / 4
            + (ngx_msec_t) ngx_random() % (ngx_mesh_db_delay / 2 + 1);

    ngx_mesh_db_delay = ngx_min(ngx_mesh_db_delay * 2, NGX_MESH_DB_DELAY_MAX);

    ngx_add_timer(&ngx_mesh_db_timer, delay);
}


static void
ngx_mesh_db_retry(ngx_event_t *ev)
{
    ngx_mesh_db_move(NGX_MESH_DB_OPENING);
}


void
ngx_mesh_db_schema(ngx_mesh_db_state_t *state, const char *value)
{
    ngx_int_t  have;

    have = value ? ngx_atoi((u_char *) value, ngx_strlen(value)) : 0;

    if (have == MESH_SQL_SCHEMA) {
        state->rc = NGX_OK;
        return;
    }

    state->rc = NGX_DECLINED;

    *ngx_snprintf(state->text, NGX_MESH_DB_ERROR - 1, have < MESH_SQL_SCHEMA
                  ? "its schema is %i, this program needs %d: "
                    "run mesh-admin migrate"
                  : "its schema is %i, this program is older and knows %d",
                  have, MESH_SQL_SCHEMA)
        = '\0';
}


/* --- life of the worker */

ngx_int_t
ngx_mesh_db_init(ngx_cycle_t *cycle)
{
    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    ngx_mesh_db_conf = ngx_mesh_core_conf();

    ngx_queue_init(&ngx_mesh_db_waiting);
    ngx_queue_init(&ngx_mesh_db_failed);
    ngx_rbtree_init(&ngx_mesh_db_late_tree, &ngx_mesh_db_late_sentinel,
                    ngx_str_rbtree_insert_value);

    ngx_mesh_db_event.handler = ngx_mesh_db_posted;
    ngx_mesh_db_event.log = cycle->log;

    ngx_mesh_db_late_event.handler = ngx_mesh_db_late_timer;
    ngx_mesh_db_late_event.log = cycle->log;
    ngx_mesh_db_late_event.cancelable = 1;

    ngx_mesh_db_timer.handler = ngx_mesh_db_retry;
    ngx_mesh_db_timer.log = cycle->log;
    ngx_mesh_db_timer.cancelable = 1;

    ngx_mesh_db_delay = NGX_MESH_DB_DELAY;

    /* those that ask before it is there wait for the first try */
    ngx_mesh_db_grace = 1;

    ngx_mesh_db_backend = ngx_mesh_db_conf->db_type == NGX_MESH_DB_POSTGRES
                          ? &ngx_mesh_db_postgres : &ngx_mesh_db_sqlite;

    ngx_mesh_db_move(NGX_MESH_DB_OPENING);

    return NGX_OK;
}


void
ngx_mesh_db_exit(ngx_cycle_t *cycle)
{
    ngx_queue_t         *head, late;
    ngx_mesh_db_req_t   *q;

    if (ngx_mesh_db_backend == NULL) {
        return;
    }

    ngx_queue_init(&late);

    if (ngx_mesh_db_state >= NGX_MESH_DB_STARTING) {
        ngx_mesh_db_late_flush(&late, ngx_mesh_db_nlate);
    }

    ngx_mesh_db_backend->exit(&late);

    while (!ngx_queue_empty(&late)) {
        head = ngx_queue_head(&late);
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
        ngx_queue_remove(head);
        q = ngx_queue_data(head, ngx_mesh_db_req_t, queue);
        ngx_destroy_pool(q->pool);
    }

    while (ngx_mesh_db_nspare) {
        ngx_destroy_pool(ngx_mesh_db_spare[--ngx_mesh_db_nspare]);
    }
}

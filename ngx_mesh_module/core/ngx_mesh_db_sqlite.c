/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * SQLite in nginx's thread pool: a reader and a writer, each with one batch in
 * flight.  What comes meanwhile is the next batch: that alone gives group
 * commit and order.
 *
 * While a request is in flight its pool and its rows belong to the thread;
 * the worker touches only the bits dead and done of it.
 */

#include <ngx_config.h>
#include <sqlite3.h>

#include "ngx_mesh_db_backend.h"


#define NGX_MESH_SQLITE_BATCH  500    /* requests */
#define NGX_MESH_SQLITE_BUSY   10000  /* ms */
#define NGX_MESH_SQLITE_LAST   2000   /* ms, when the worker exits */


typedef struct {
    sqlite3             *db;
    sqlite3_stmt        *st[MESH_SQL_STATEMENTS];
    ngx_thread_task_t   *task;
    ngx_queue_t          wait;        /* requests of the next batch */
    ngx_queue_t          batch;       /* in flight */
    ngx_mesh_db_state_t  state;       /* what the thread says */
    const char          *file;
    unsigned             writer:1;
    unsigned             busy:1;      /* a task is out */
    unsigned             full:1;      /* synchronous=FULL is set */
    volatile ngx_uint_t  running;     /* a thread is in it */
} ngx_mesh_sqlite_t;


static void ngx_mesh_sqlite_open(ngx_mesh_core_conf_t *mcf);
static void ngx_mesh_sqlite_open_thread(void *data, ngx_log_t *log);
static ngx_int_t ngx_mesh_sqlite_open_one(ngx_mesh_sqlite_t *h,
    ngx_mesh_db_state_t *state);
static void ngx_mesh_sqlite_opened(ngx_event_t *ev);
static void ngx_mesh_sqlite_push(ngx_mesh_db_req_t *q);
static void ngx_mesh_sqlite_kick(void);
static void ngx_mesh_sqlite_start(ngx_mesh_sqlite_t *h);
static void ngx_mesh_sqlite_thread(void *data, ngx_log_t *log);
static void ngx_mesh_sqlite_read(ngx_mesh_sqlite_t *h);
static void ngx_mesh_sqlite_write(ngx_mesh_sqlite_t *h);
static ngx_uint_t ngx_mesh_sqlite_durable(ngx_queue_t *batch);
static void ngx_mesh_sqlite_all(ngx_queue_t *batch, ngx_int_t rc,
    const char *text);
static void ngx_mesh_sqlite_request(ngx_mesh_sqlite_t *h,
    ngx_mesh_db_req_t *q, const char *begin, const char *end,
    const char *undo);
static ngx_int_t ngx_mesh_sqlite_statement(ngx_mesh_sqlite_t *h,
    ngx_mesh_db_req_t *q, ngx_mesh_db_stmt_t *st);
static ngx_int_t ngx_mesh_sqlite_row(ngx_mesh_db_req_t *q,
    ngx_mesh_db_stmt_t *st, sqlite3_stmt *s);
static ngx_int_t ngx_mesh_sqlite_rc(sqlite3 *db);
static void ngx_mesh_sqlite_done(ngx_event_t *ev);
static void ngx_mesh_sqlite_close(ngx_mesh_sqlite_t *h);
static void ngx_mesh_sqlite_drop(ngx_queue_t *requests);
static void ngx_mesh_sqlite_exit(ngx_queue_t *late);


const ngx_mesh_db_backend_t  ngx_mesh_db_sqlite = {
    ngx_mesh_sqlite_open,
    ngx_mesh_sqlite_push,
    ngx_mesh_sqlite_kick,
    ngx_mesh_sqlite_exit
};


static ngx_mesh_sqlite_t  ngx_mesh_sqlite_reader;
static ngx_mesh_sqlite_t  ngx_mesh_sqlite_writer;


static ngx_thread_task_t *
ngx_mesh_sqlite_task(ngx_mesh_sqlite_t *h)
{
    if (h->task == NULL) {
        h->task = ngx_thread_task_alloc(ngx_cycle->pool, 0);
        if (h->task == NULL) {
            return NULL;
        }

        h->task->ctx = h;
        h->task->event.data = h;
        h->task->event.log = ngx_cycle->log;
        ngx_queue_init(&h->wait);
        ngx_queue_init(&h->batch);
    }

    return h->task;
}


static ngx_int_t
ngx_mesh_sqlite_post(ngx_mesh_sqlite_t *h,
    void (*thread)(void *data, ngx_log_t *log), ngx_event_handler_pt done)
{
    ngx_str_t           name = ngx_string("default");
    ngx_thread_task_t  *task;
    ngx_thread_pool_t  *tp;

    task = ngx_mesh_sqlite_task(h);
    tp = ngx_thread_pool_get((ngx_cycle_t *) ngx_cycle, &name);

    if (task == NULL || tp == NULL) {
        return NGX_ERROR;
    }

    task->handler = thread;
    task->event.handler = done;

    h->running = 1;
    h->busy = 1;

    if (ngx_thread_task_post(tp, task) != NGX_OK) {
        h->running = 0;
        h->busy = 0;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_mesh_sqlite_open(ngx_mesh_core_conf_t *mcf)
{
    ngx_mesh_db_state_t  state;

    /* the configuration's strings end in NUL */
    ngx_mesh_sqlite_writer.file = (const char *) mcf->db.data;
    ngx_mesh_sqlite_reader.file = (const char *) mcf->db.data;
    ngx_mesh_sqlite_writer.writer = 1;

    (void) ngx_mesh_sqlite_task(&ngx_mesh_sqlite_reader);

    if (ngx_mesh_sqlite_post(&ngx_mesh_sqlite_writer,
                             ngx_mesh_sqlite_open_thread,
                             ngx_mesh_sqlite_opened)
        != NGX_OK)
    {
        state.rc = NGX_ERROR;
        ngx_cpystrn(state.text, (u_char *) "no thread pool \"default\"",
                    NGX_MESH_DB_ERROR);
        ngx_mesh_db_opened(&state);
    }
}


static void
ngx_mesh_sqlite_open_thread(void *data, ngx_log_t *log)
{
    ngx_mesh_sqlite_t *h = data;

    h->state.rc = ngx_mesh_sqlite_open_one(h, &h->state);

    if (h->state.rc == NGX_OK) {
        h->state.rc = ngx_mesh_sqlite_open_one(&ngx_mesh_sqlite_reader,
                                               &h->state);
    }

    if (h->state.rc != NGX_OK) {
        ngx_mesh_sqlite_close(&ngx_mesh_sqlite_reader);
        ngx_mesh_sqlite_close(h);
    }

    h->running = 0;
}


static ngx_int_t
ngx_mesh_sqlite_open_one(ngx_mesh_sqlite_t *h, ngx_mesh_db_state_t *state)
{
    int            rc;
    sqlite3_stmt  *s;

    s = NULL;

    rc = sqlite3_open_v2(h->file, &h->db,
                         SQLITE_OPEN_READWRITE|SQLITE_OPEN_NOMUTEX
                         |SQLITE_OPEN_PRIVATECACHE, NULL);

    if (rc == SQLITE_OK) {
        sqlite3_extended_result_codes(h->db, 1);
        rc = sqlite3_busy_timeout(h->db, NGX_MESH_SQLITE_BUSY);
    }

    /* 512 KB of pages: each worker has two of these, and the system the rest */

    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(h->db, "PRAGMA journal_mode = WAL;"
                                 "PRAGMA synchronous = NORMAL;"
                                 "PRAGMA foreign_keys = ON;"
                                 "PRAGMA journal_size_limit = 67108864;"
                                 "PRAGMA cache_size = -512;"
                                 "PRAGMA trusted_schema = OFF;",
                          NULL, NULL, NULL);
    }

    if (rc == SQLITE_OK && !h->writer) {
        rc = sqlite3_exec(h->db, "PRAGMA query_only = ON", NULL, NULL, NULL);
    }

    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(h->db, "SELECT value FROM meta"
                                       " WHERE key = 'schema'", -1, &s, NULL);

        if (rc == SQLITE_ERROR) {     /* no such table */
            ngx_mesh_db_schema(state, NULL);
            return state->rc;
        }
    }

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(s);

        if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
            ngx_mesh_db_schema(state, rc == SQLITE_ROW
                               ? (const char *) sqlite3_column_text(s, 0)
                               : NULL);
            (void) sqlite3_finalize(s);
            h->full = 0;
            return state->rc;
        }
    }

    *ngx_snprintf(state->text, NGX_MESH_DB_ERROR - 1, "\"%s\": %s", h->file,
                  h->db ? sqlite3_errmsg(h->db) : sqlite3_errstr(rc))
        = '\0';

    (void) sqlite3_finalize(s);

    return NGX_ERROR;
}


static void
ngx_mesh_sqlite_opened(ngx_event_t *ev)
{
    ngx_mesh_sqlite_t *h = ev->data;

    h->busy = 0;

    ngx_mesh_db_opened(&h->state);
}


static void
ngx_mesh_sqlite_push(ngx_mesh_db_req_t *q)
{
    ngx_mesh_sqlite_t  *h;

    h = q->write ? &ngx_mesh_sqlite_writer : &ngx_mesh_sqlite_reader;

    if (q->head) {
        ngx_queue_insert_head(&h->wait, &q->queue);

    } else {
        ngx_queue_insert_tail(&h->wait, &q->queue);
    }
}


static void
ngx_mesh_sqlite_kick(void)
{
    ngx_mesh_sqlite_start(&ngx_mesh_sqlite_reader);
    ngx_mesh_sqlite_start(&ngx_mesh_sqlite_writer);
}


static void
ngx_mesh_sqlite_start(ngx_mesh_sqlite_t *h)
{
    ngx_uint_t          n;
    ngx_queue_t        *head;
    ngx_mesh_db_req_t  *q;

    if (h->busy || h->db == NULL || ngx_queue_empty(&h->wait)) {
        return;
    }

    for (n = 0; n < NGX_MESH_SQLITE_BATCH && !ngx_queue_empty(&h->wait); n++) {
        head = ngx_queue_head(&h->wait);
        ngx_queue_remove(head);
        q = ngx_queue_data(head, ngx_mesh_db_req_t, queue);

        if (q->dead && !q->write) {
            ngx_mesh_db_finish(q, NGX_OK);
            continue;
        }

        q->flight = 1;
        q->rc = NGX_OK;
        ngx_queue_insert_tail(&h->batch, head);
    }

    if (ngx_queue_empty(&h->batch)) {
        return;
    }

    if (ngx_mesh_sqlite_post(h, ngx_mesh_sqlite_thread, ngx_mesh_sqlite_done)
        != NGX_OK)
    {
        /* the queue of the pool is full; with the next request, again */
        ngx_queue_add(&h->batch, &h->wait);
        ngx_queue_init(&h->wait);
        ngx_queue_add(&h->wait, &h->batch);
        ngx_queue_init(&h->batch);
    }
}


static void
ngx_mesh_sqlite_thread(void *data, ngx_log_t *log)
{
    ngx_mesh_sqlite_t *h = data;

    if (h->writer) {
        ngx_mesh_sqlite_write(h);

    } else {
        ngx_mesh_sqlite_read(h);
    }

    h->running = 0;
}


static void
ngx_mesh_sqlite_read(ngx_mesh_sqlite_t *h)
{
    ngx_queue_t        *p;
    ngx_mesh_db_req_t  *q;

    for (p = ngx_queue_head(&h->batch);
         p != ngx_queue_sentinel(&h->batch);
         p = ngx_queue_next(p))
    {
        q = ngx_queue_data(p, ngx_mesh_db_req_t, queue);

        /* several statements see one state of the database */
        ngx_mesh_sqlite_request(h, q, "BEGIN", "COMMIT", "ROLLBACK");
    }
}


static void
ngx_mesh_sqlite_write(ngx_mesh_sqlite_t *h)
{
    ngx_uint_t          full;
    ngx_queue_t        *p;
    ngx_mesh_db_req_t  *q;

    full = ngx_mesh_sqlite_durable(&h->batch);

    if (full != h->full) {
        (void) sqlite3_exec(h->db, full ? "PRAGMA synchronous = FULL"
                                        : "PRAGMA synchronous = NORMAL",
                            NULL, NULL, NULL);
        h->full = full;
    }

    if (sqlite3_exec(h->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
    {
        ngx_mesh_sqlite_all(&h->batch, ngx_mesh_sqlite_rc(h->db),
                            sqlite3_errmsg(h->db));
        return;
    }

    for (p = ngx_queue_head(&h->batch);
         p != ngx_queue_sentinel(&h->batch);
         p = ngx_queue_next(p))
    {
        q = ngx_queue_data(p, ngx_mesh_db_req_t, queue);

        ngx_mesh_sqlite_request(h, q, "SAVEPOINT q", "RELEASE q",
                                "ROLLBACK TO q; RELEASE q");

        if (sqlite3_get_autocommit(h->db)) {

            /* a full disk or the like has undone them all */

            ngx_mesh_sqlite_all(&h->batch, q->rc == NGX_OK ? NGX_ERROR : q->rc,
                                q->error.len ? (char *) q->error.data
                                             : "undone with another");
            return;
        }
    }

    if (sqlite3_exec(h->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        ngx_mesh_sqlite_all(&h->batch, ngx_mesh_sqlite_rc(h->db),
                            sqlite3_errmsg(h->db));

        (void) sqlite3_exec(h->db, "ROLLBACK", NULL, NULL, NULL);
    }
}


/* accounts, rights and sessions must survive a power cut, for one fsync */
static ngx_uint_t
ngx_mesh_sqlite_durable(ngx_queue_t *batch)
{
    ngx_uint_t          i;
    ngx_queue_t        *p;
    ngx_mesh_db_req_t  *q;

    for (p = ngx_queue_head(batch);
         p != ngx_queue_sentinel(batch);
         p = ngx_queue_next(p))
    {
        q = ngx_queue_data(p, ngx_mesh_db_req_t, queue);

        for (i = 0; i < q->n; i++) {
            if (q->st[i].stmt == MESH_SQL_CHANGE_ADD
                || q->st[i].stmt == MESH_SQL_KEY_BLOCK)
            {
                return 1;
            }
        }
    }

    return 0;
}


static void
ngx_mesh_sqlite_all(ngx_queue_t *batch, ngx_int_t rc, const char *text)
{
    ngx_queue_t        *p;
    ngx_mesh_db_req_t  *q;

    for (p = ngx_queue_head(batch);
         p != ngx_queue_sentinel(batch);
         p = ngx_queue_next(p))
    {
        q = ngx_queue_data(p, ngx_mesh_db_req_t, queue);

        q->rc = rc;

        if ((u_char *) text != q->error.data) {
            ngx_mesh_db_error(q, text);
        }
    }
}


/* begin, end and undo surround a request of several statements */
static void
ngx_mesh_sqlite_request(ngx_mesh_sqlite_t *h, ngx_mesh_db_req_t *q,
    const char *begin, const char *end, const char *undo)
{
    ngx_uint_t  i;

    if (q->n > 1 && sqlite3_exec(h->db, begin, NULL, NULL, NULL) != SQLITE_OK)
    {
        q->rc = ngx_mesh_sqlite_rc(h->db);
        ngx_mesh_db_error(q, sqlite3_errmsg(h->db));
        return;
    }

    for (i = 0; i < q->n; i++) {
        q->got = i;
        q->rc = ngx_mesh_sqlite_statement(h, q, &q->st[i]);

        if (q->rc != NGX_OK) {
            break;
        }
    }

    if (q->n > 1 && !sqlite3_get_autocommit(h->db)) {

        if (sqlite3_exec(h->db, q->rc == NGX_OK ? end : undo, NULL, NULL, NULL)
            != SQLITE_OK && q->rc == NGX_OK)
        {
            q->rc = ngx_mesh_sqlite_rc(h->db);
            ngx_mesh_db_error(q, sqlite3_errmsg(h->db));
        }
    }
}


static ngx_int_t
ngx_mesh_sqlite_statement(ngx_mesh_sqlite_t *h, ngx_mesh_db_req_t *q,
    ngx_mesh_db_stmt_t *st)
{
    int               rc;
    ngx_int_t         n;
    ngx_str_t        *arg;
    ngx_uint_t        i;
    sqlite3_stmt     *s;

    s = h->st[st->stmt];

    if (s == NULL) {
        if (sqlite3_prepare_v3(h->db, ngx_mesh_sql[st->stmt].sqlite, -1,
                               SQLITE_PREPARE_PERSISTENT, &s, NULL)
            != SQLITE_OK)
        {
            ngx_mesh_db_error(q, sqlite3_errmsg(h->db));
            return ngx_mesh_sqlite_rc(h->db);
        }

        h->st[st->stmt] = s;
    }

    for (i = 0; i < st->nargs; i++) {
        arg = &st->arg[i];

        if (arg->data == NULL) {
            rc = sqlite3_bind_null(s, (int) i + 1);

        } else if (st->ints & (1u << i)) {
            rc = sqlite3_bind_int64(s, (int) i + 1, ngx_mesh_db_num(arg));

        } else {
            rc = sqlite3_bind_text64(s, (int) i + 1, (char *) arg->data,
                                     arg->len, SQLITE_STATIC, SQLITE_UTF8);
        }

        if (rc != SQLITE_OK) {
            ngx_mesh_db_error(q, sqlite3_errmsg(h->db));
            return NGX_ERROR;
        }
    }

    n = NGX_OK;

    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        n = ngx_mesh_sqlite_row(q, st, s);

        if (n != NGX_OK) {
            break;
        }
    }

    if (rc == SQLITE_ROW) {
        ngx_mesh_db_error(q, "no memory");

    } else if (rc != SQLITE_DONE) {
        n = ngx_mesh_sqlite_rc(h->db);
        ngx_mesh_db_error(q, sqlite3_errmsg(h->db));

    } else if ((ngx_mesh_sql[st->stmt].flags & MESH_SQL_MUST)
               && sqlite3_changes(h->db) == 0)
    {
        n = NGX_DECLINED;
    }

    (void) sqlite3_reset(s);
    (void) sqlite3_clear_bindings(s);

    return n;
}


static ngx_int_t
ngx_mesh_sqlite_row(ngx_mesh_db_req_t *q, ngx_mesh_db_stmt_t *st,
    sqlite3_stmt *s)
{
    int                   i;
    u_char               *p;
    size_t                len;
    ngx_str_t            *row;
    const unsigned char  *text;

    if (st->ncols == 0) {
        st->ncols = sqlite3_column_count(s);

        if (ngx_array_init(&st->rows, q->pool, 4,
                           st->ncols * sizeof(ngx_str_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    row = ngx_array_push(&st->rows);
    if (row == NULL) {
        return NGX_ERROR;
    }

    len = 0;

    for (i = 0; i < (int) st->ncols; i++) {
        text = sqlite3_column_text(s, i);

        row[i].data = (u_char *) text;
        row[i].len = text ? (size_t) sqlite3_column_bytes(s, i) : 0;

        len += row[i].len;
    }

    /* all of a row in one piece; "" is not NULL */

    p = ngx_pnalloc(q->pool, len + 1);
    if (p == NULL) {
        st->rows.nelts--;
        return NGX_ERROR;
    }

    for (i = 0; i < (int) st->ncols; i++) {
        if (row[i].data) {
            ngx_memcpy(p, row[i].data, row[i].len);
            row[i].data = p;
            p += row[i].len;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_sqlite_rc(sqlite3 *db)
{
    int  rc;

    rc = sqlite3_extended_errcode(db);

    switch (rc) {

    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
        return NGX_BUSY;

    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return NGX_DECLINED;
    }

    switch (rc & 0xff) {

    case SQLITE_FULL:
        return NGX_MESH_DB_FULL;

    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
        return NGX_ABORT;             /* open it again */
    }

    return NGX_ERROR;
}


static void
ngx_mesh_sqlite_done(ngx_event_t *ev)
{
    ngx_mesh_sqlite_t *h = ev->data;

    u_char              why[NGX_MESH_DB_ERROR];
    ngx_uint_t          lost;
    ngx_queue_t        *head, batch, back;
    ngx_mesh_db_req_t  *q;

    h->busy = 0;
    lost = 0;

    ngx_queue_init(&batch);
    ngx_queue_add(&batch, &h->batch);
    ngx_queue_init(&h->batch);

    ngx_queue_init(&back);

    /* the next one first: it runs while these are told */
    ngx_mesh_sqlite_start(h);

    while (!ngx_queue_empty(&batch)) {
        head = ngx_queue_head(&batch);
        ngx_queue_remove(head);
        q = ngx_queue_data(head, ngx_mesh_db_req_t, queue);

        if (q->rc == NGX_ABORT) {
            if (!lost) {
                lost = 1;
                *ngx_snprintf(why, NGX_MESH_DB_ERROR - 1, "\"%s\": %V",
                              h->file, &q->error)
                    = '\0';
            }

            q->error.len = 0;
            ngx_queue_insert_tail(&back, &q->queue);
            continue;
        }

        q->flight = 0;
        ngx_mesh_db_finish(q, q->rc);
    }

    if (!lost) {
        return;
    }

    if (h->busy) {
        /* the batch behind it ends in the same way, and closes */
        while (!ngx_queue_empty(&back)) {
            head = ngx_queue_head(&back);
            ngx_queue_remove(head);
            q = ngx_queue_data(head, ngx_mesh_db_req_t, queue);
            ngx_mesh_db_finish(q, NGX_ABORT);
        }

        return;
    }

    if (ngx_mesh_sqlite_reader.busy || ngx_mesh_sqlite_writer.busy) {
        /* the other one may not be closed while a thread is in it */
        while (!ngx_queue_empty(&back)) {
            head = ngx_queue_head(&back);
            ngx_queue_remove(head);
            q = ngx_queue_data(head, ngx_mesh_db_req_t, queue);
            ngx_mesh_db_finish(q, NGX_ABORT);
        }

        return;
    }

    ngx_queue_add(&back, &ngx_mesh_sqlite_reader.wait);
    ngx_queue_init(&ngx_mesh_sqlite_reader.wait);
    ngx_queue_add(&back, &ngx_mesh_sqlite_writer.wait);
    ngx_queue_init(&ngx_mesh_sqlite_writer.wait);

    ngx_mesh_sqlite_close(&ngx_mesh_sqlite_reader);
    ngx_mesh_sqlite_close(&ngx_mesh_sqlite_writer);

    ngx_mesh_db_lost(&back, (char *) why);
}


static void
ngx_mesh_sqlite_close(ngx_mesh_sqlite_t *h)
{
    ngx_uint_t  i;

    for (i = 0; i < MESH_SQL_STATEMENTS; i++) {
        (void) sqlite3_finalize(h->st[i]);
        h->st[i] = NULL;
    }

    if (h->db) {
        (void) sqlite3_close_v2(h->db);
        h->db = NULL;
    }
}


static void
ngx_mesh_sqlite_drop(ngx_queue_t *requests)
{
    ngx_queue_t        *head;
    ngx_mesh_db_req_t  *q;

    while (!ngx_queue_empty(requests)) {
        head = ngx_queue_head(requests);
        ngx_queue_remove(head);
        q = ngx_queue_data(head, ngx_mesh_db_req_t, queue);
        ngx_destroy_pool(q->pool);
    }
}


static void
ngx_mesh_sqlite_exit(ngx_queue_t *late)
{
    ngx_mesh_sqlite_t  *h;

    h = &ngx_mesh_sqlite_writer;

    /* the threads have ended before; a build that orders it otherwise loses
       the last late writes, not the file */

    if (h->db == NULL || h->running || ngx_mesh_sqlite_reader.running) {
        return;
    }

    (void) sqlite3_busy_timeout(h->db, NGX_MESH_SQLITE_LAST);

    /* done already, but nobody was told */

    ngx_mesh_sqlite_drop(&h->batch);
    ngx_mesh_sqlite_drop(&ngx_mesh_sqlite_reader.batch);
    ngx_mesh_sqlite_drop(&ngx_mesh_sqlite_reader.wait);

    /* acts whose turn had not come, and what came late */

    ngx_queue_add(&h->batch, &h->wait);
    ngx_queue_init(&h->wait);

    if (!ngx_queue_empty(late)) {
        ngx_queue_add(&h->batch, late);
        ngx_queue_init(late);
    }

    if (!ngx_queue_empty(&h->batch)) {
        ngx_mesh_sqlite_write(h);
        ngx_mesh_sqlite_drop(&h->batch);
    }

    ngx_mesh_sqlite_close(&ngx_mesh_sqlite_reader);
    ngx_mesh_sqlite_close(h);
}

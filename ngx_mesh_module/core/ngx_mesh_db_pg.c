/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * PostgreSQL: one connection, opened in a thread and then spoken to from the
 * event loop in libpq's pipeline mode.  A request is what stands between two
 * Sync, and so a transaction; late ones go many to a Sync.
 */

#include <ngx_config.h>
#include <libpq-fe.h>
#include <poll.h>

#include "ngx_mesh_db_backend.h"


#define NGX_MESH_PG_PIPELINE  64      /* requests in flight */
#define NGX_MESH_PG_LATE      500     /* late ones to a Sync */
#define NGX_MESH_PG_RETRIES   3       /* after a deadlock */
#define NGX_MESH_PG_SILENT    20000   /* ms; a statement may take 15 s */
#define NGX_MESH_PG_LAST      2000    /* ms, when the worker exits */
#define NGX_MESH_PG_NAME      16      /* of a prepared statement */


typedef struct {
    PGconn              *conn;
    ngx_connection_t    *c;
    ngx_thread_task_t   *task;
    ngx_queue_t          wait;
    ngx_queue_t          flight;      /* sent, in order */
    ngx_uint_t           n;           /* in flight */
    ngx_uint_t           group;       /* late ones since the last Sync */
    ngx_uint_t           syncs;       /* not answered */
    ngx_mesh_db_req_t   *last;        /* that was sent */
    ngx_mesh_db_state_t  state;
    const char          *conninfo;
    unsigned             broken:1;
    unsigned             inside:1;    /* answers are being read */
    volatile ngx_uint_t  running;     /* a thread is in it */
} ngx_mesh_pg_t;


static void ngx_mesh_pg_open(ngx_mesh_core_conf_t *mcf);
static void ngx_mesh_pg_open_thread(void *data, ngx_log_t *log);
static ngx_int_t ngx_mesh_pg_exec(ngx_mesh_pg_t *pg, const char *sql,
    u_char *value, size_t size);
static ngx_int_t ngx_mesh_pg_prepare(ngx_mesh_pg_t *pg);
static void ngx_mesh_pg_text(u_char *dst, size_t size, const mesh_sql_t *sql);
static void ngx_mesh_pg_opened(ngx_event_t *ev);
static ngx_int_t ngx_mesh_pg_attach(ngx_mesh_pg_t *pg);
static void ngx_mesh_pg_push(ngx_mesh_db_req_t *q);
static void ngx_mesh_pg_kick(void);
static ngx_int_t ngx_mesh_pg_send(ngx_mesh_pg_t *pg, ngx_mesh_db_req_t *q);
static ngx_int_t ngx_mesh_pg_sync(ngx_mesh_pg_t *pg);
static ngx_int_t ngx_mesh_pg_flush(ngx_mesh_pg_t *pg);
static void ngx_mesh_pg_read(ngx_event_t *rev);
static void ngx_mesh_pg_write(ngx_event_t *wev);
static void ngx_mesh_pg_answers(ngx_mesh_pg_t *pg);
static void ngx_mesh_pg_answer(ngx_mesh_pg_t *pg, PGresult *res);
static void ngx_mesh_pg_statement(ngx_mesh_db_req_t *q, PGresult *res);
static void ngx_mesh_pg_rows(ngx_mesh_db_req_t *q, ngx_mesh_db_stmt_t *st,
    PGresult *res);
static void ngx_mesh_pg_clear(void *data);
static void ngx_mesh_pg_failed(ngx_mesh_db_req_t *q, PGresult *res);
static void ngx_mesh_pg_synced(ngx_mesh_pg_t *pg);
static ngx_uint_t ngx_mesh_pg_again(ngx_mesh_db_req_t *q, ngx_uint_t failed);
static void ngx_mesh_pg_lost(ngx_mesh_pg_t *pg, const char *why);
static void ngx_mesh_pg_close(ngx_mesh_pg_t *pg);
static void ngx_mesh_pg_exit(ngx_queue_t *late);


const ngx_mesh_db_backend_t  ngx_mesh_db_postgres = {
    ngx_mesh_pg_open,
    ngx_mesh_pg_push,
    ngx_mesh_pg_kick,
    ngx_mesh_pg_exit
};


static ngx_mesh_pg_t  ngx_mesh_pg;


static void
ngx_mesh_pg_open(ngx_mesh_core_conf_t *mcf)
{
    ngx_str_t           name = ngx_string("default");
    ngx_mesh_pg_t      *pg;
    ngx_thread_pool_t  *tp;

    pg = &ngx_mesh_pg;
    tp = ngx_thread_pool_get((ngx_cycle_t *) ngx_cycle, &name);

    if (pg->task == NULL) {
        ngx_queue_init(&pg->wait);
        ngx_queue_init(&pg->flight);

        pg->task = ngx_thread_task_alloc(ngx_cycle->pool, 0);
    }

    if (pg->task && tp) {
        pg->conninfo = (const char *) mcf->db.data;
        pg->broken = 0;

        pg->task->ctx = pg;
        pg->task->handler = ngx_mesh_pg_open_thread;
        pg->task->event.handler = ngx_mesh_pg_opened;
        pg->task->event.data = pg;
        pg->task->event.log = ngx_cycle->log;

        pg->running = 1;

        if (ngx_thread_task_post(tp, pg->task) == NGX_OK) {
            return;
        }

        pg->running = 0;
    }

    pg->state.rc = NGX_ERROR;
    (void) ngx_cpystrn(pg->state.text, (u_char *) "no thread pool \"default\"",
                       NGX_MESH_DB_ERROR);

    ngx_mesh_db_opened(&pg->state);
}


/* resolving, TLS, authentication and preparing block: not in the worker */
static void
ngx_mesh_pg_open_thread(void *data, ngx_log_t *log)
{
    ngx_mesh_pg_t *pg = data;

    u_char              schema[32];

    /* what stands before dbname may be overridden in the configuration */

    const char *const   keys[] = {
        "connect_timeout", "tcp_user_timeout", "fallback_application_name",
        "dbname", "client_encoding", NULL
    };
    const char *const   values[] = {
        "10", "30000", "ngx_mesh", pg->conninfo, "UTF8", NULL
    };

    pg->state.rc = NGX_ERROR;

    pg->conn = PQconnectdbParams(keys, values, 1);

    if (PQstatus(pg->conn) != CONNECTION_OK) {
        goto failed;
    }

    /* S-70: no table of another schema stands before ours */

    if (ngx_mesh_pg_exec(pg, "SET search_path = public, pg_temp;"
                             "SET statement_timeout = 15000;"
                             "SET lock_timeout = 5000;"
                             "SET idle_in_transaction_session_timeout = 10000;"
                             "SET client_min_messages = warning",
                         NULL, 0)
           != NGX_OK
        || ngx_mesh_pg_exec(pg, "SELECT to_regclass('meta')::text", schema,
                            sizeof(schema))
           != NGX_OK)
    {
        goto failed;
    }

    if (schema[0] == '\0') {
        ngx_mesh_db_schema(&pg->state, NULL);
        goto closed;
    }

    if (ngx_mesh_pg_exec(pg, "SELECT value FROM meta WHERE key = 'schema'",
                         schema, sizeof(schema))
        != NGX_OK)
    {
        goto failed;
    }

    ngx_mesh_db_schema(&pg->state, (char *) schema);

    if (pg->state.rc != NGX_OK) {
        goto closed;
    }

    /* before a bound or a key is taken: is this the cluster it was? */

    pg->state.rc = NGX_ERROR;

    if (ngx_mesh_pg_exec(pg, "SELECT mesh_cluster()", NULL, 0) != NGX_OK
        || ngx_mesh_pg_prepare(pg) != NGX_OK
        || PQsetnonblocking(pg->conn, 1) != 0
        || PQenterPipelineMode(pg->conn) != 1)
    {
        goto failed;
    }

    pg->state.rc = NGX_OK;
    pg->running = 0;
    return;

failed:

    (void) ngx_cpystrn(pg->state.text,
                       (u_char *) (pg->conn ? PQerrorMessage(pg->conn)
                                            : "no memory"),
                       NGX_MESH_DB_ERROR);

closed:

    PQfinish(pg->conn);
    pg->conn = NULL;
    pg->running = 0;
}


/* value, if asked for, is the first column of the first row, else "" */
static ngx_int_t
ngx_mesh_pg_exec(ngx_mesh_pg_t *pg, const char *sql, u_char *value,
    size_t size)
{
    PGresult        *res;
    ExecStatusType   status;

    res = PQexec(pg->conn, sql);
    status = PQresultStatus(res);

    if (value) {
        value[0] = '\0';

        if (status == PGRES_TUPLES_OK && PQntuples(res)) {
            (void) ngx_cpystrn(value, (u_char *) PQgetvalue(res, 0, 0), size);
        }
    }

    PQclear(res);

    return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_mesh_pg_prepare(ngx_mesh_pg_t *pg)
{
    u_char           sql[8192], name[NGX_MESH_PG_NAME];
    PGresult        *res;
    ngx_uint_t       i;
    ExecStatusType   status;

    for (i = 0; i < MESH_SQL_STATEMENTS; i++) {
        ngx_mesh_pg_text(sql, sizeof(sql), &ngx_mesh_sql[i]);
        ngx_sprintf(name, "m%ui%Z", i);

        res = PQprepare(pg->conn, (char *) name, (char *) sql, 0, NULL);
        status = PQresultStatus(res);
        PQclear(res);

        if (status != PGRES_COMMAND_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* ?1 as $1; a statement that must change a row fails when it changed none */
static void
ngx_mesh_pg_text(u_char *dst, size_t size, const mesh_sql_t *sql)
{
    u_char      *last;
    ngx_uint_t   must;
    const char  *p;

    last = dst + size - 1;
    must = (sql->flags & MESH_SQL_MUST) && sql->postgres == NULL;

    if (must) {
        dst = ngx_slprintf(dst, last, "WITH u AS (");
    }

    p = sql->postgres ? sql->postgres : sql->sqlite;

    for ( /* void */ ; *p && dst < last; p++) {
        *dst++ = (*p == '?' && p[1] >= '0' && p[1] <= '9') ? '$' : *p;
    }

    if (must) {
        dst = ngx_slprintf(dst, last,
                           " RETURNING 1) SELECT 1/count(*) FROM u");
    }

    *dst = '\0';
}


static void
ngx_mesh_pg_opened(ngx_event_t *ev)
{
    ngx_mesh_pg_t *pg = ev->data;

    if (pg->state.rc == NGX_OK && ngx_mesh_pg_attach(pg) != NGX_OK) {
        PQfinish(pg->conn);
        pg->conn = NULL;

        pg->state.rc = NGX_ERROR;
        (void) ngx_cpystrn(pg->state.text, (u_char *) "no free connection",
                           NGX_MESH_DB_ERROR);
    }

    ngx_mesh_db_opened(&pg->state);
}


static ngx_int_t
ngx_mesh_pg_attach(ngx_mesh_pg_t *pg)
{
    ngx_socket_t       s;
    ngx_connection_t  *c;

    /*
     * A number of our own for the socket: libpq closes its one as soon as it
     * sees that the server went, while epoll still has it.
     */

    s = fcntl(PQsocket(pg->conn), F_DUPFD_CLOEXEC, 0);
    if (s == (ngx_socket_t) -1) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                      "mesh db: no file descriptor for the connection");
        return NGX_ERROR;
    }

    c = ngx_get_connection(s, ngx_cycle->log);
    if (c == NULL) {
        (void) close(s);
        return NGX_ERROR;
    }

    c->data = pg;
    c->log_error = NGX_ERROR_ERR;
    c->read->cancelable = 1;
    c->read->handler = ngx_mesh_pg_read;
    c->read->log = ngx_cycle->log;
    c->write->handler = ngx_mesh_pg_write;
    c->write->log = ngx_cycle->log;

    /* level-triggered: libpq does not read until EAGAIN */

    if (ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK) {
        ngx_free_connection(c);
        (void) close(s);
        return NGX_ERROR;
    }

    pg->c = c;
    return NGX_OK;
}


static void
ngx_mesh_pg_push(ngx_mesh_db_req_t *q)
{
    if (q->head) {
        ngx_queue_insert_head(&ngx_mesh_pg.wait, &q->queue);

    } else {
        ngx_queue_insert_tail(&ngx_mesh_pg.wait, &q->queue);
    }
}


static void
ngx_mesh_pg_kick(void)
{
    ngx_queue_t        *head;
    ngx_mesh_pg_t      *pg;
    ngx_mesh_db_req_t  *q;

    pg = &ngx_mesh_pg;

    if (pg->c == NULL || pg->inside) {
        return;
    }

    while (!ngx_queue_empty(&pg->wait)
           && (pg->n < NGX_MESH_PG_PIPELINE || pg->group))
    {
        head = ngx_queue_head(&pg->wait);
        q = ngx_queue_data(head, ngx_mesh_db_req_t, queue);

        /* a group is late ones alone, and ends with them */

        if (pg->group && (!q->late || q->alone
                          || pg->group == NGX_MESH_PG_LATE))
        {
            if (ngx_mesh_pg_sync(pg) != NGX_OK) {
                return;
            }

            continue;
        }

        ngx_queue_remove(head);

        if (q->dead && !q->write) {
            ngx_mesh_db_finish(q, NGX_OK);
            continue;
        }

        if (ngx_mesh_pg_send(pg, q) != NGX_OK) {
            return;
        }
    }

    if (pg->group && ngx_mesh_pg_sync(pg) != NGX_OK) {
        return;
    }

    if (pg->n && !pg->c->read->timer_set) {
        ngx_add_timer(pg->c->read, NGX_MESH_PG_SILENT);
    }

    (void) ngx_mesh_pg_flush(pg);
}


static ngx_int_t
ngx_mesh_pg_send(ngx_mesh_pg_t *pg, ngx_mesh_db_req_t *q)
{
    char                 name[NGX_MESH_PG_NAME];
    ngx_uint_t           i, n;
    const char          *arg[NGX_MESH_DB_ARGS];
    ngx_mesh_db_stmt_t  *st;

    q->flight = 1;
    q->got = 0;
    q->rc = NGX_OK;

    ngx_queue_insert_tail(&pg->flight, &q->queue);
    pg->last = q;
    pg->n++;

    if (q->late && !q->alone && pg->group++ == 0) {

        /* until this Sync only: nobody waits for what comes late */

        if (PQsendQueryParams(pg->conn,
                              "SELECT set_config('synchronous_commit', 'off',"
                              " true)",
                              0, NULL, NULL, NULL, NULL, 0)
            != 1)
        {
            goto lost;
        }

        /* its answer comes before that of q */
        q->lead = 1;
    }

    for (i = 0; i < q->n; i++) {
        st = &q->st[i];

        for (n = 0; n < st->nargs; n++) {
            arg[n] = (const char *) st->arg[n].data;
        }

        (void) ngx_sprintf((u_char *) name, "m%ui%Z", st->stmt);

        if (PQsendQueryPrepared(pg->conn, name, (int) st->nargs, arg, NULL,
                                NULL, 0)
            != 1)
        {
            goto lost;
        }
    }

    return q->late && !q->alone ? NGX_OK : ngx_mesh_pg_sync(pg);

lost:

    ngx_mesh_pg_lost(pg, PQerrorMessage(pg->conn));

    return NGX_ERROR;
}


static ngx_int_t
ngx_mesh_pg_sync(ngx_mesh_pg_t *pg)
{
    pg->group = 0;
    pg->last->sync = 1;

    if (PQpipelineSync(pg->conn) != 1) {
        ngx_mesh_pg_lost(pg, PQerrorMessage(pg->conn));
        return NGX_ERROR;
    }

    pg->syncs++;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_pg_flush(ngx_mesh_pg_t *pg)
{
    int           n;
    ngx_event_t  *wev;

    wev = pg->c->write;
    n = PQflush(pg->conn);

    if (n < 0) {
        ngx_mesh_pg_lost(pg, PQerrorMessage(pg->conn));
        return NGX_ERROR;
    }

    if (n == 1 && !wev->active) {
        if (ngx_add_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT) != NGX_OK) {
            ngx_mesh_pg_lost(pg, "no event for writing");
            return NGX_ERROR;
        }

    } else if (n == 0 && wev->active) {
        (void) ngx_del_event(wev, NGX_WRITE_EVENT, 0);
    }

    return NGX_OK;
}


static void
ngx_mesh_pg_write(ngx_event_t *wev)
{
    ngx_connection_t *c = wev->data;

    ngx_mesh_pg_t  *pg;

    pg = c->data;

    (void) ngx_mesh_pg_flush(pg);
}


static void
ngx_mesh_pg_read(ngx_event_t *rev)
{
    ngx_connection_t *c = rev->data;

    ngx_mesh_pg_t  *pg;

    pg = c->data;

    if (rev->timedout) {
        ngx_mesh_pg_lost(pg, "no answer for 20 seconds");
        return;
    }

    if (rev->timer_set) {
        ngx_del_timer(rev);
    }

    if (PQconsumeInput(pg->conn) != 1) {
        ngx_mesh_pg_lost(pg, PQerrorMessage(pg->conn));
        return;
    }

    ngx_mesh_pg_answers(pg);
}


static void
ngx_mesh_pg_answers(ngx_mesh_pg_t *pg)
{
    PGnotify  *notify;
    PGresult  *res;

    pg->inside = 1;

    /* NULL ends a query, and not the answers that are here already */

    while (!pg->broken && !ngx_queue_empty(&pg->flight)
           && !PQisBusy(pg->conn))
    {
        res = PQgetResult(pg->conn);

        if (res) {
            ngx_mesh_pg_answer(pg, res);
        }
    }

    while ((notify = PQnotifies(pg->conn)) != NULL) {
        PQfreemem(notify);
    }

    pg->inside = 0;

    if (pg->broken || PQstatus(pg->conn) != CONNECTION_OK) {
        ngx_mesh_pg_lost(pg, pg->broken ? (char *) pg->state.text
                                        : PQerrorMessage(pg->conn));
        return;
    }

    ngx_mesh_pg_kick();
}


static void
ngx_mesh_pg_answer(ngx_mesh_pg_t *pg, PGresult *res)
{
    ngx_queue_t        *p;
    ngx_mesh_db_req_t  *q;

    if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
        PQclear(res);
        ngx_mesh_pg_synced(pg);
        return;
    }

    /* of the first that has not had all of its answers */

    for (p = ngx_queue_head(&pg->flight);
         p != ngx_queue_sentinel(&pg->flight);
         p = ngx_queue_next(p))
    {
        q = ngx_queue_data(p, ngx_mesh_db_req_t, queue);

        if (q->lead) {
            q->lead = 0;              /* set_config */
            break;
        }

        if (q->got < q->n) {
            ngx_mesh_pg_statement(q, res);
            return;
        }
    }

    if (PQresultStatus(res) == PGRES_FATAL_ERROR) {
        /* of no request: the server goes away, and says why */
        (void) ngx_cpystrn(pg->state.text, (u_char *) PQresultErrorMessage(res),
                           NGX_MESH_DB_ERROR);
        pg->broken = 1;
    }

    PQclear(res);
}


/* takes res */
static void
ngx_mesh_pg_statement(ngx_mesh_db_req_t *q, PGresult *res)
{
    ngx_mesh_db_stmt_t  *st;

    st = &q->st[q->got];

    switch (PQresultStatus(res)) {

    case PGRES_TUPLES_OK:
        q->got++;

        if (!(ngx_mesh_sql[st->stmt].flags & MESH_SQL_MUST)) {
            ngx_mesh_pg_rows(q, st, res);
            return;                   /* cleared with q's pool */
        }

        break;

    case PGRES_COMMAND_OK:
        q->got++;
        break;

    case PGRES_PIPELINE_ABORTED:
        q->got++;

        if (q->rc == NGX_OK) {        /* another one of its group failed */
            q->rc = NGX_AGAIN;
        }

        break;

    default:
        ngx_mesh_pg_failed(q, res);
        q->got++;
        break;
    }

    PQclear(res);
}


static void
ngx_mesh_pg_rows(ngx_mesh_db_req_t *q, ngx_mesh_db_stmt_t *st, PGresult *res)
{
    int                  i, n, rows, cols;
    ngx_str_t           *s;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(q->pool, 0);
    if (cln == NULL) {
        PQclear(res);
        q->rc = NGX_ERROR;
        ngx_mesh_db_error(q, "no memory");
        return;
    }

    cln->handler = ngx_mesh_pg_clear;
    cln->data = res;

    rows = PQntuples(res);
    cols = PQnfields(res);

    if (rows == 0 || cols == 0) {
        return;
    }

    st->ncols = cols;

    if (ngx_array_init(&st->rows, q->pool, rows, cols * sizeof(ngx_str_t))
        != NGX_OK)
    {
        q->rc = NGX_ERROR;
        ngx_mesh_db_error(q, "no memory");
        return;
    }

    st->rows.nelts = rows;
    s = st->rows.elts;

    for (i = 0; i < rows; i++) {
        for (n = 0; n < cols; n++, s++) {
            if (PQgetisnull(res, i, n)) {
                ngx_str_null(s);
                continue;
            }

            s->data = (u_char *) PQgetvalue(res, i, n);
            s->len = PQgetlength(res, i, n);
        }
    }
}


static void
ngx_mesh_pg_clear(void *data)
{
    PQclear(data);
}


static void
ngx_mesh_pg_failed(ngx_mesh_db_req_t *q, PGresult *res)
{
    const char  *state;

    state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    if (state == NULL) {
        state = "";                   /* libpq's own: the connection broke */
    }

    ngx_mesh_db_error(q, PQresultErrorMessage(res));

    if (ngx_strcmp(state, "23505") == 0) {
        q->rc = NGX_BUSY;

    } else if (ngx_strcmp(state, "23503") == 0) {
        q->rc = NGX_DECLINED;

    } else if (ngx_strcmp(state, "22012") == 0
               && (ngx_mesh_sql[q->st[q->got].stmt].flags & MESH_SQL_MUST))
    {
        q->rc = NGX_DECLINED;

    } else if (ngx_strcmp(state, "40P01") == 0
               || ngx_strcmp(state, "40001") == 0)
    {
        q->rc = NGX_AGAIN;

    } else if (ngx_strcmp(state, "53100") == 0) {
        q->rc = NGX_MESH_DB_FULL;

    } else if (ngx_strcmp(state, "42P05") == 0
               || ngx_strcmp(state, "26000") == 0)
    {
        q->rc = NGX_ABORT;
        ngx_mesh_db_error(q, "a pooler in transaction mode stands before the"
                             " server: connect directly, or in session mode");

    } else if (state[0] == '\0' || ngx_strncmp(state, "08", 2) == 0
               || ngx_strncmp(state, "57P", 3) == 0
               || ngx_strcmp(state, "25006") == 0)
    {
        /* going away, or a standby now */
        q->rc = NGX_ABORT;

    } else {
        q->rc = NGX_ERROR;
    }

    if (q->rc == NGX_ABORT) {
        ngx_mesh_pg.broken = 1;
        (void) ngx_cpystrn(ngx_mesh_pg.state.text,
                           (u_char *) PQresultErrorMessage(res),
                           NGX_MESH_DB_ERROR);

        if (q->error.len) {
            *ngx_snprintf(ngx_mesh_pg.state.text, NGX_MESH_DB_ERROR - 1, "%V",
                          &q->error)
                = '\0';
        }
    }
}


/* all that stood before this Sync is committed, or none of it */
static void
ngx_mesh_pg_synced(ngx_mesh_pg_t *pg)
{
    ngx_uint_t          failed, last;
    ngx_queue_t        *head, done, again;
    ngx_mesh_db_req_t  *q;

    ngx_queue_init(&done);
    ngx_queue_init(&again);

    pg->syncs--;
    failed = 0;
    last = 0;

    while (!last && !ngx_queue_empty(&pg->flight)) {
        head = ngx_queue_head(&pg->flight);
        ngx_queue_remove(head);
        ngx_queue_insert_tail(&done, head);
        pg->n--;

        q = ngx_queue_data(head, ngx_mesh_db_req_t, queue);

        failed |= (q->rc != NGX_OK);
        last = q->sync;
    }

    while (!ngx_queue_empty(&done)) {
        head = ngx_queue_head(&done);
        ngx_queue_remove(head);
        q = ngx_queue_data(head, ngx_mesh_db_req_t, queue);

        q->flight = 0;

        if (ngx_mesh_pg_again(q, failed)) {
            ngx_queue_insert_tail(&again, head);
            continue;
        }

        ngx_mesh_db_finish(q, q->rc);
    }

    /* before those that wait */

    ngx_queue_add(&again, &pg->wait);
    ngx_queue_init(&pg->wait);
    ngx_queue_add(&pg->wait, &again);
}


/* 1 if it was undone through no fault of its own, and is sent once more */
static ngx_uint_t
ngx_mesh_pg_again(ngx_mesh_db_req_t *q, ngx_uint_t failed)
{
    ngx_uint_t  i;

    if (q->late && !q->alone) {
        if (!failed || (q->rc != NGX_OK && q->rc != NGX_AGAIN)) {
            return 0;
        }

        q->alone = 1;

    } else if (q->rc == NGX_AGAIN) {
        if (q->tries == NGX_MESH_PG_RETRIES) {
            q->rc = NGX_ERROR;
            return 0;
        }

        q->tries++;

    } else {
        return 0;
    }

    q->error.len = 0;
    q->sync = 0;
    q->lead = 0;

    for (i = 0; i < q->n; i++) {
        ngx_memzero(&q->st[i].rows, sizeof(ngx_array_t));
    }

    return 1;
}


static void
ngx_mesh_pg_lost(ngx_mesh_pg_t *pg, const char *why)
{
    u_char              text[NGX_MESH_DB_ERROR];
    ngx_queue_t        *p, requests;
    ngx_mesh_db_req_t  *q;

    if (pg->conn == NULL) {
        return;
    }

    if (pg->inside) {
        /* when the answers have been read */
        (void) ngx_cpystrn(pg->state.text, (u_char *) why, NGX_MESH_DB_ERROR);
        pg->broken = 1;
        return;
    }

    /* why is the connection's own */
    (void) ngx_cpystrn(text, (u_char *) why, NGX_MESH_DB_ERROR);

    ngx_queue_init(&requests);
    ngx_queue_add(&requests, &pg->flight);
    ngx_queue_init(&pg->flight);
    ngx_queue_add(&requests, &pg->wait);
    ngx_queue_init(&pg->wait);

    for (p = ngx_queue_head(&requests);
         p != ngx_queue_sentinel(&requests);
         p = ngx_queue_next(p))
    {
        q = ngx_queue_data(p, ngx_mesh_db_req_t, queue);
        q->sync = 0;
        q->lead = 0;
        q->rc = NGX_OK;
    }

    ngx_mesh_pg_close(pg);

    ngx_mesh_db_lost(&requests, (char *) text);
}


static void
ngx_mesh_pg_close(ngx_mesh_pg_t *pg)
{
    ngx_socket_t       s;
    ngx_connection_t  *c;

    c = pg->c;

    if (c) {
        if (c->read->timer_set) {
            ngx_del_timer(c->read);
        }

        if (c->read->active || c->write->active) {
            (void) ngx_del_conn(c, 0);
        }

        if (c->read->posted) {
            ngx_delete_posted_event(c->read);
        }

        if (c->write->posted) {
            ngx_delete_posted_event(c->write);
        }

        c->read->closed = 1;
        c->write->closed = 1;

        s = c->fd;
        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
        (void) close(s);

        pg->c = NULL;
    }

    PQfinish(pg->conn);
    pg->conn = NULL;

    pg->n = 0;
    pg->group = 0;
    pg->syncs = 0;
    pg->last = NULL;
}


static void
ngx_mesh_pg_exit(ngx_queue_t *late)
{
    int             wait;
    PGresult       *res;
    ngx_msec_t      end;
    ngx_queue_t    *head;
    struct pollfd   pfd;
    ngx_mesh_pg_t  *pg;

    pg = &ngx_mesh_pg;

    if (pg->running || pg->conn == NULL) {
        return;
    }

    if (pg->c == NULL) {
        PQfinish(pg->conn);           /* opened, and nobody was told */
        pg->conn = NULL;
        return;
    }

    ngx_queue_add(&pg->wait, late);
    ngx_queue_init(late);

    pg->inside = 1;                   /* no way back into the event loop */

    while (!pg->broken && !ngx_queue_empty(&pg->wait)) {
        head = ngx_queue_head(&pg->wait);
        ngx_queue_remove(head);
        (void) ngx_mesh_pg_send(pg, ngx_queue_data(head, ngx_mesh_db_req_t,
                                                   queue));
    }

    if (!pg->broken && pg->group) {
        (void) ngx_mesh_pg_sync(pg);
    }

    ngx_time_update();
    end = ngx_current_msec + NGX_MESH_PG_LAST;

    pfd.fd = PQsocket(pg->conn);

    while (!pg->broken && pg->syncs) {

        wait = PQflush(pg->conn);

        if (wait < 0 || PQconsumeInput(pg->conn) != 1) {
            break;
        }

        while (pg->syncs && !PQisBusy(pg->conn)) {
            res = PQgetResult(pg->conn);

            if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
                pg->syncs--;
            }

            PQclear(res);
        }

        ngx_time_update();

        if (pg->syncs == 0 || (ngx_msec_int_t) (end - ngx_current_msec) <= 0) {
            break;
        }

        pfd.events = POLLIN|(wait ? POLLOUT : 0);
        (void) poll(&pfd, 1, (int) (end - ngx_current_msec));
    }

    ngx_mesh_pg_close(pg);
}

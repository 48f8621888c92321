/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The database.  Callers name statements of conf/sql/mesh_sql.h, never SQL.
 * A request carries up to eight statements that succeed or fail together.
 */

#ifndef _NGX_MESH_DB_H_INCLUDED_
#define _NGX_MESH_DB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "../../conf/sql/mesh_sql.h"      /* enum mesh_sql_e: MESH_SQL_... */


#define NGX_MESH_DB_STMTS  8
#define NGX_MESH_DB_ARGS   20

/* beside nginx's own codes */
#define NGX_MESH_DB_FULL   -100

/* what a person is told then */
#define NGX_MESH_DB_FULL_TEXT                                                 \
    "The disk of the server is full: nothing was changed. "                   \
    "Free space on it and try again"


typedef struct ngx_mesh_db_req_s  ngx_mesh_db_req_t;

/*
 * rc:  NGX_OK        done
 *      NGX_DECLINED  a statement that must change a row changed none, or what
 *                    a row refers to is gone
 *      NGX_BUSY      a unique constraint refused it: read again
 *      NGX_ABORT     the database is away
 *      NGX_MESH_DB_FULL  no room on its disk: nothing was changed (logged)
 *      NGX_ERROR     anything else (logged)
 * Always from the event loop, never inside send().  q and its pool are gone
 * after the call.
 */
typedef void (*ngx_mesh_db_done_pt)(ngx_mesh_db_req_t *q, ngx_int_t rc);


typedef struct {
    ngx_uint_t            stmt;       /* MESH_SQL_* */
    ngx_uint_t            nargs;
    uint32_t              ints;       /* bit n: arg[n] was an integer */
    ngx_str_t             arg[NGX_MESH_DB_ARGS];  /* data NULL: SQL NULL */
    ngx_uint_t            ncols;
    ngx_array_t           rows;       /* of ngx_str_t[ncols]; NULL: data NULL */
} ngx_mesh_db_stmt_t;


struct ngx_mesh_db_req_s {
    ngx_pool_t           *pool;       /* lives until after done() */
    ngx_mesh_db_done_pt   done;       /* may be NULL */
    void                 *data;
    ngx_uint_t            n;          /* statements */
    ngx_mesh_db_stmt_t    st[NGX_MESH_DB_STMTS];
    ngx_str_t             key;        /* late: newest write of a key wins */
    unsigned              write:1;
    unsigned              late:1;
    unsigned              dead:1;

    /* the backend's */
    unsigned              flight:1;   /* belongs to a thread or a server */
    unsigned              wait:1;     /* waits while the database is away */
    unsigned              again:1;    /* was sent again once */
    unsigned              alone:1;    /* late, but not with others */
    unsigned              head:1;     /* goes before all others */
    unsigned              lead:1;     /* first of a group of late ones */
    unsigned              sync:1;     /* last before a commit */
    unsigned              tries:2;    /* after deadlocks */
    ngx_int_t             rc;
    ngx_str_t             error;      /* to be logged */
    ngx_uint_t            got;        /* statements that were answered */
    ngx_queue_t           queue;
    ngx_msec_t            sent;       /* us, monotonic */
};


ngx_mesh_db_req_t *ngx_mesh_db_create(ngx_mesh_db_done_pt done, void *data);

/* appends a statement; its arguments follow in order */
void ngx_mesh_db_stmt(ngx_mesh_db_req_t *q, ngx_uint_t stmt);
void ngx_mesh_db_int(ngx_mesh_db_req_t *q, int64_t v);
void ngx_mesh_db_str(ngx_mesh_db_req_t *q, const ngx_str_t *s);   /* copies */
void ngx_mesh_db_text(ngx_mesh_db_req_t *q, const char *s);       /* copies */
void ngx_mesh_db_null(ngx_mesh_db_req_t *q);

/* NGX_OK; NGX_BUSY: queue full, done() will not be called and q is gone */
ngx_int_t ngx_mesh_db_send(ngx_mesh_db_req_t *q);

/*
 * A late write, kept in a map by key and flushed every mesh_db_flush; a newer
 * one of the same key replaces it.  No done().  Takes q.
 */
void ngx_mesh_db_late(ngx_mesh_db_req_t *q, const char *kind, int64_t id);

/*
 * The session that waits is gone: done() will not be called.  A write is done
 * all the same.
 */
void ngx_mesh_db_forget(ngx_mesh_db_req_t *q);

/* results: row r of statement i */
ngx_str_t *ngx_mesh_db_row(ngx_mesh_db_req_t *q, ngx_uint_t i, ngx_uint_t r);
ngx_uint_t ngx_mesh_db_rows(ngx_mesh_db_req_t *q, ngx_uint_t i);
int64_t ngx_mesh_db_num(const ngx_str_t *s);      /* 0 for NULL */

/* the next integer key, from a block of 1,000; 0: none yet, database away */
int64_t ngx_mesh_db_key(void);

/* 1: connected and migrated */
ngx_uint_t ngx_mesh_db_up(void);

/* ms UTC, as the database stores times */
int64_t ngx_mesh_now_ms(void);

/* called when the database comes (back); caches load themselves then */
void ngx_mesh_db_on_up(void (*fn)(void));

/* requests that wait or are in flight */
ngx_uint_t ngx_mesh_db_queued(void);

ngx_int_t ngx_mesh_db_init(ngx_cycle_t *cycle);
void ngx_mesh_db_exit(ngx_cycle_t *cycle);


#endif /* _NGX_MESH_DB_H_INCLUDED_ */

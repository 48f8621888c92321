/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Between ngx_mesh_db.c and the two databases that it may speak to. */

#ifndef _NGX_MESH_DB_BACKEND_H_INCLUDED_
#define _NGX_MESH_DB_BACKEND_H_INCLUDED_


#include "ngx_mesh_db.h"
#include "ngx_mesh_conf.h"


typedef struct {
    /*
     * Begins to open the database, in a thread; ends in ngx_mesh_db_opened(),
     * which comes from the event loop.
     */
    void       (*open)(ngx_mesh_core_conf_t *mcf);

    /* takes a request, while the database is open */
    void       (*push)(ngx_mesh_db_req_t *q);

    /* once a turn of the event loop: sends what was pushed */
    void       (*kick)(void);

    /*
     * The worker exits: writes the last late requests, blocking for at most
     * some seconds, and closes.  Nothing is called back any more.
     */
    void       (*exit)(ngx_queue_t *late);
} ngx_mesh_db_backend_t;


extern const ngx_mesh_db_backend_t  ngx_mesh_db_sqlite;
extern const ngx_mesh_db_backend_t  ngx_mesh_db_postgres;

/* by MESH_SQL_* */
extern const mesh_sql_t  ngx_mesh_sql[];


#define NGX_MESH_DB_ERROR  256

/* what a thread tells of opening */
typedef struct {
    ngx_int_t  rc;                    /* NGX_OK, NGX_DECLINED: not migrated */
    u_char     text[NGX_MESH_DB_ERROR];   /* why not */
} ngx_mesh_db_state_t;

/* the answer to open() */
void ngx_mesh_db_opened(const ngx_mesh_db_state_t *state);

/* q is answered */
void ngx_mesh_db_finish(ngx_mesh_db_req_t *q, ngx_int_t rc);

/*
 * The connection broke.  requests: all that were taken and are not finished,
 * oldest first; those with "flight" may or may not have been done.
 */
void ngx_mesh_db_lost(ngx_queue_t *requests, const char *why);

/* text for the schema that was found, into state */
void ngx_mesh_db_schema(ngx_mesh_db_state_t *state, const char *value);

/* copies a message into q's pool; one line */
void ngx_mesh_db_error(ngx_mesh_db_req_t *q, const char *text);


#endif /* _NGX_MESH_DB_BACKEND_H_INCLUDED_ */

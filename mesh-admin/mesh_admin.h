/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Between the files of mesh-admin. */

#ifndef MESH_ADMIN_H_INCLUDED
#define MESH_ADMIN_H_INCLUDED


#include <stddef.h>
#include <stdint.h>

#include "mesh_sql.h"


#define MESH_ADMIN_SQLITE    1
#define MESH_ADMIN_POSTGRES  2

#define MESH_ADMIN_ARGS      20


/* what of nginx.conf concerns us */
typedef struct {
    int     db_type;
    char    db[4096];               /* file or conninfo */
    char    signer[256];            /* socket, or "" */
} mesh_admin_conf_t;

/*
 * Reads file and what it includes.  0, or -1 after it said what is wrong, with
 * file and line: a file that cannot be read, what does not end, a directive of
 * ours that nginx would refuse too.
 */
int mesh_admin_conf_read(mesh_admin_conf_t *conf, const char *file);


/* one connection, one statement after the other; ends the process on errors */
typedef struct mesh_admin_db_s  mesh_admin_db_t;

/* create: a SQLite file that is not there is made */
mesh_admin_db_t *mesh_admin_db_open(const mesh_admin_conf_t *conf,
    int create);
void mesh_admin_db_close(mesh_admin_db_t *db);

/* schema that the database has; 0: none */
int mesh_admin_db_schema(mesh_admin_db_t *db);
/* several statements in one text */
void mesh_admin_db_script(mesh_admin_db_t *db, const char *text);

void mesh_admin_db_begin(mesh_admin_db_t *db);
void mesh_admin_db_commit(mesh_admin_db_t *db);

/* arguments are appended, then the statement runs */
void mesh_admin_db_int(mesh_admin_db_t *db, int64_t n);
void mesh_admin_db_text(mesh_admin_db_t *db, const char *s);
void mesh_admin_db_null(mesh_admin_db_t *db);

/*
 * Runs a statement of the table.  Returns rows of a select, else rows changed;
 * -1: a unique constraint refused it.  Values until the next call.
 */
int mesh_admin_db_run(mesh_admin_db_t *db, unsigned stmt);
const char *mesh_admin_db_value(mesh_admin_db_t *db, int row, int col);
int64_t mesh_admin_db_key(mesh_admin_db_t *db);
int mesh_admin_db_is_postgres(const mesh_admin_db_t *db);


/* words to standard error, exit status 1 */
void mesh_admin_fail(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));


#endif /* MESH_ADMIN_H_INCLUDED */

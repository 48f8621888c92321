/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Both databases, synchronously.  An operator waits for the answer, so a
 * failure is a sentence and the end.
 */

#include <libpq-fe.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh_admin.h"


#define MESH_ADMIN_BUSY_MS  20000
#define MESH_ADMIN_SQL      8192


struct mesh_admin_db_s {
    int        type;
    sqlite3   *lite;
    PGconn    *pg;
    PGresult  *result;

    char      *arg[MESH_ADMIN_ARGS];    /* owned; NULL: NULL */
    int        nargs;

    char     **value;                   /* SQLite: rows * cols, owned */
    int        rows, cols;

    int64_t    key, key_end;
};


static void mesh_admin_db_clear(mesh_admin_db_t *db);
static void mesh_admin_db_arg(mesh_admin_db_t *db, const char *s);
static int mesh_admin_lite_run(mesh_admin_db_t *db, const char *sql);
static int mesh_admin_pg_run(mesh_admin_db_t *db, const char *sql);
static void mesh_admin_pg_text(char *dst, size_t size, const char *sql);
static void mesh_admin_lite_owner(const char *file);


#define MESH_ADMIN_ROW(name, nargs, flags, sqlite, postgres)                  \
    { #name, nargs, flags, sqlite, postgres },

static const mesh_sql_t  mesh_admin_sql[] = {
    MESH_SQL_TABLE(MESH_ADMIN_ROW)
};

static const char  *mesh_admin_lite_file;


void
mesh_admin_fail(const char *fmt, ...)
{
    va_list  args;

    fputs("mesh-admin: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);

    exit(1);
}


mesh_admin_db_t *
mesh_admin_db_open(const mesh_admin_conf_t *conf, int create)
{
    int               flags;
    const char       *keys[] = { "fallback_application_name", NULL, NULL };
    const char       *values[] = { "mesh-admin", NULL, NULL };
    mesh_admin_db_t  *db;

    db = calloc(1, sizeof(mesh_admin_db_t));
    if (db == NULL) {
        mesh_admin_fail("out of memory");
    }

    db->type = conf->db_type;

    if (db->type == MESH_ADMIN_POSTGRES) {
        /* by this name no worker ends it, however long it takes */
        keys[1] = "dbname";
        values[1] = conf->db;
        db->pg = PQconnectdbParams(keys, values, 1);

        if (PQstatus(db->pg) != CONNECTION_OK) {
            mesh_admin_fail("cannot reach PostgreSQL: %s",
                            PQerrorMessage(db->pg));
        }

        /* S-70: as the workers do */
        mesh_admin_db_script(db, "SET search_path = public, pg_temp");

        return db;
    }

    flags = SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);

    if (sqlite3_open_v2(conf->db, &db->lite, flags, NULL) != SQLITE_OK) {
        mesh_admin_fail("cannot open %s: %s", conf->db,
                        sqlite3_errmsg(db->lite));
    }

    mesh_admin_lite_file = conf->db;
    sqlite3_busy_timeout(db->lite, MESH_ADMIN_BUSY_MS);
    mesh_admin_db_script(db, "PRAGMA foreign_keys = ON;"
                             "PRAGMA journal_mode = WAL;"
                             "PRAGMA synchronous = FULL;");

    return db;
}


void
mesh_admin_db_close(mesh_admin_db_t *db)
{
    mesh_admin_db_clear(db);

    if (db->lite) {
        mesh_admin_lite_owner("");
        mesh_admin_lite_owner("-wal");
        mesh_admin_lite_owner("-shm");
        sqlite3_close(db->lite);
    }

    if (db->pg) {
        PQfinish(db->pg);
    }

    free(db);
}


/* what root made must be the workers', who own the folder */
static void
mesh_admin_lite_owner(const char *suffix)
{
    char         path[4200], *slash;
    struct stat  st;

    if (geteuid() != 0) {
        return;
    }

    snprintf(path, sizeof(path), "%s", mesh_admin_lite_file);
    slash = strrchr(path, '/');

    if (slash == NULL) {
        return;
    }

    *slash = '\0';

    if (stat(path, &st) != 0) {
        return;
    }

    snprintf(path, sizeof(path), "%s%s", mesh_admin_lite_file, suffix);

    if (lchown(path, st.st_uid, st.st_gid) != 0) {
        return;     /* it is not there */
    }
}


int
mesh_admin_db_is_postgres(const mesh_admin_db_t *db)
{
    return db->type == MESH_ADMIN_POSTGRES;
}


int
mesh_admin_db_schema(mesh_admin_db_t *db)
{
    int          n;
    const char  *probe;

    probe = db->lite
        ? "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'"
        : "SELECT 1 FROM pg_class WHERE oid = to_regclass('meta')";

    n = db->lite ? mesh_admin_lite_run(db, probe)
                 : mesh_admin_pg_run(db, probe);

    if (n < 1) {
        return 0;
    }

    mesh_admin_db_text(db, "schema");

    return mesh_admin_db_run(db, MESH_SQL_META_GET) == 1
           ? atoi(mesh_admin_db_value(db, 0, 0)) : 0;
}


void
mesh_admin_db_script(mesh_admin_db_t *db, const char *text)
{
    char      *error;
    PGresult  *res;

    if (db->lite) {
        error = NULL;

        if (sqlite3_exec(db->lite, text, NULL, NULL, &error) != SQLITE_OK) {
            mesh_admin_fail("%s", error ? error : "SQLite failed");
        }

        return;
    }

    res = PQexec(db->pg, text);

    if (PQresultStatus(res) != PGRES_COMMAND_OK
        && PQresultStatus(res) != PGRES_TUPLES_OK)
    {
        mesh_admin_fail("%s", PQerrorMessage(db->pg));
    }

    PQclear(res);
}


void
mesh_admin_db_begin(mesh_admin_db_t *db)
{
    mesh_admin_db_script(db, db->lite ? "BEGIN IMMEDIATE" : "BEGIN");
}


void
mesh_admin_db_commit(mesh_admin_db_t *db)
{
    mesh_admin_db_script(db, "COMMIT");
}


static void
mesh_admin_db_clear(mesh_admin_db_t *db)
{
    int  i;

    for (i = 0; i < db->nargs; i++) {
        free(db->arg[i]);
    }

    db->nargs = 0;

    for (i = 0; i < db->rows * db->cols; i++) {
        if (db->value) {
            free(db->value[i]);
        }
    }

    free(db->value);
    db->value = NULL;
    db->rows = 0;
    db->cols = 0;

    PQclear(db->result);
    db->result = NULL;
}


static void
mesh_admin_db_arg(mesh_admin_db_t *db, const char *s)
{
    /* the values of the statement before are of no more use */
    if (db->value || db->result) {
        mesh_admin_db_clear(db);
    }

    if (db->nargs == MESH_ADMIN_ARGS) {
        mesh_admin_fail("too many arguments");
    }

    db->arg[db->nargs] = s ? strdup(s) : NULL;
    db->nargs++;
}


void
mesh_admin_db_int(mesh_admin_db_t *db, int64_t n)
{
    char  text[24];

    snprintf(text, sizeof(text), "%lld", (long long) n);
    mesh_admin_db_arg(db, text);
}


void
mesh_admin_db_text(mesh_admin_db_t *db, const char *s)
{
    mesh_admin_db_arg(db, s);
}


void
mesh_admin_db_null(mesh_admin_db_t *db)
{
    mesh_admin_db_arg(db, NULL);
}


int
mesh_admin_db_run(mesh_admin_db_t *db, unsigned stmt)
{
    const mesh_sql_t  *row;

    row = &mesh_admin_sql[stmt];

    if ((unsigned) db->nargs != row->nargs) {
        mesh_admin_fail("%s wants %u arguments", row->name, row->nargs);
    }

    return db->lite ? mesh_admin_lite_run(db, row->sqlite)
                    : mesh_admin_pg_run(db, row->postgres ? row->postgres
                                                          : row->sqlite);
}


static int
mesh_admin_lite_run(mesh_admin_db_t *db, const char *sql)
{
    int            i, n, rc, rows, cols;
    char         **value, **more;
    const char    *text, *p;
    sqlite3_stmt  *stmt;

    if (sqlite3_prepare_v2(db->lite, sql, -1, &stmt, NULL) != SQLITE_OK) {
        mesh_admin_fail("%s", sqlite3_errmsg(db->lite));
    }

    for (i = 0; i < db->nargs; i++) {

        if (db->arg[i] == NULL) {
            sqlite3_bind_null(stmt, i + 1);
            continue;
        }

        /* numbers are numbers where the column has no type to say so */
        p = db->arg[i] + (db->arg[i][0] == '-');

        if (*p && strlen(p) < 19 && p[strspn(p, "0123456789")] == '\0') {
            sqlite3_bind_int64(stmt, i + 1, atoll(db->arg[i]));
        } else {
            sqlite3_bind_text(stmt, i + 1, db->arg[i], -1, SQLITE_TRANSIENT);
        }
    }

    value = NULL;
    rows = 0;
    cols = sqlite3_column_count(stmt);

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        more = realloc(value, sizeof(char *) * (rows + 1) * cols);
        if (more == NULL) {
            mesh_admin_fail("out of memory");
        }

        value = more;

        for (i = 0; i < cols; i++) {
            text = (const char *) sqlite3_column_text(stmt, i);
            value[rows * cols + i] = text ? strdup(text) : NULL;
        }

        rows++;
    }

    n = cols ? rows : sqlite3_changes(db->lite);
    sqlite3_finalize(stmt);

    mesh_admin_db_clear(db);
    db->value = value;
    db->rows = rows;
    db->cols = cols;

    if (rc == SQLITE_CONSTRAINT) {
        return -1;
    }

    if (rc != SQLITE_DONE) {
        mesh_admin_fail("%s", sqlite3_errmsg(db->lite));
    }

    return n;
}


static int
mesh_admin_pg_run(mesh_admin_db_t *db, const char *sql)
{
    int          n;
    char         text[MESH_ADMIN_SQL];
    PGresult    *res;
    const char  *state;

    mesh_admin_pg_text(text, sizeof(text), sql);

    res = PQexecParams(db->pg, text, db->nargs, NULL,
                       (const char *const *) db->arg, NULL, NULL, 0);
    mesh_admin_db_clear(db);

    switch (PQresultStatus(res)) {

    case PGRES_TUPLES_OK:
        db->result = res;
        return PQntuples(res);

    case PGRES_COMMAND_OK:
        n = atoi(PQcmdTuples(res));
        PQclear(res);
        return n;

    default:
        state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

        if (state && strcmp(state, "23505") == 0) {
            PQclear(res);
            return -1;
        }

        mesh_admin_fail("%s", PQresultErrorMessage(res));
    }
}


/* ?1 is $1 there; none of our texts has a ? that means itself */
static void
mesh_admin_pg_text(char *dst, size_t size, const char *sql)
{
    size_t  i;

    for (i = 0; i < size - 1 && sql[i]; i++) {
        dst[i] = sql[i] == '?' ? '$' : sql[i];
    }

    dst[i] = '\0';
}


const char *
mesh_admin_db_value(mesh_admin_db_t *db, int row, int col)
{
    const char  *s;

    if (db->result) {
        return PQgetvalue(db->result, row, col);
    }

    if (db->value == NULL || row >= db->rows || col >= db->cols) {
        return "";
    }

    /* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): all are set */
    s = db->value[row * db->cols + col];

    return s ? s : "";
}


int64_t
mesh_admin_db_key(mesh_admin_db_t *db)
{
    if (db->key == db->key_end) {

        if (mesh_admin_db_run(db, MESH_SQL_KEY_BLOCK) != 1) {
            mesh_admin_fail("the database gives no keys");
        }

        db->key = atoll(mesh_admin_db_value(db, 0, 0));
        db->key_end = db->key + 1000;
    }

    return db->key++;
}

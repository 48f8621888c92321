/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The operator's command line:
 *
 *   mesh-admin -c nginx.conf COMMAND
 *
 * It reads from nginx.conf where database and signer are.  Status: 0 done, 1
 * not done (and why, on standard error), 2 the command line is wrong.
 */

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "mesh_admin.h"
#include "mesh_fold.h"
#include "../proto/mesh_agent_msg.h"
#include "../proto/mesh_signer_msg.h"


#define MESH_ADMIN_FULL       "4294967295"
#define MESH_ADMIN_ALL_GROUPS 512   /* account.flags, ngx_mesh_model.h */
#define MESH_ADMIN_DOMAIN     1     /* of the first migration: "" */
#define MESH_ADMIN_ROUNDS     200000
#define MESH_ADMIN_HASH       48
#define MESH_ADMIN_SALT       24
#define MESH_ADMIN_PASSWORD   1024
#define MESH_ADMIN_NAME       64
#define MESH_ADMIN_NONE       3     /* status of "exists" */

/* change.kind, ngx_mesh_model.h */
#define MESH_ADMIN_CHANGE_ACCOUNT  1
#define MESH_ADMIN_CHANGE_GROUP    3
#define MESH_ADMIN_CHANGE_ACCESS   4
#define MESH_ADMIN_CHANGE_KEY      7
#define MESH_ADMIN_CHANGE_SESSION  8
#define MESH_ADMIN_CHANGE_EVENT    10
#define MESH_ADMIN_CHANGE_GONE     11
#define MESH_ADMIN_CHANGE_UNLOCK   12


/* the migrations, as they lie in conf/sql */
#define MESH_ADMIN_EMBED(name, file)                                          \
    __asm__(".section .rodata\n" #name ":\n.incbin \"" file "\"\n"            \
            ".byte 0\n.previous\n");                                          \
    extern const char  name[] __asm__(#name)

MESH_ADMIN_EMBED(mesh_admin_schema, "conf/sql/0001_schema.sql");
MESH_ADMIN_EMBED(mesh_admin_schema_pg, "conf/sql/0001_schema.postgres.sql");


typedef struct {
    mesh_admin_conf_t   conf;
    mesh_admin_db_t    *db;
    int                 argc;
    char              **argv;       /* behind the command's words */
} mesh_admin_t;

typedef struct {
    const char         *word, *word2;
    int               (*run)(mesh_admin_t *a);
    int                 needs_db;
    const char         *help;
} mesh_admin_command_t;


static int mesh_admin_migrate(mesh_admin_t *a);
static int mesh_admin_exists(mesh_admin_t *a);
static int mesh_admin_setup_link(mesh_admin_t *a);
static int mesh_admin_user_add(mesh_admin_t *a);
static int mesh_admin_user_passwd(mesh_admin_t *a);
static int mesh_admin_user_list(mesh_admin_t *a);
static int mesh_admin_user_unlock(mesh_admin_t *a);
static int mesh_admin_group_add(mesh_admin_t *a);
static int mesh_admin_group_list(mesh_admin_t *a);
static int mesh_admin_device_list(mesh_admin_t *a);
static int mesh_admin_device_remove(mesh_admin_t *a);
static int mesh_admin_key_rotate(mesh_admin_t *a);
static int mesh_admin_status(mesh_admin_t *a);
static int mesh_admin_check(mesh_admin_t *a);

static void mesh_admin_usage(void);
static char *mesh_admin_fit(const char *text, int postgres);
static int64_t mesh_admin_now(void);
static void mesh_admin_change(mesh_admin_t *a, int kind, int64_t id);
static void mesh_admin_key_make(mesh_admin_t *a, const char *name);
static void mesh_admin_event(mesh_admin_t *a, const char *kind,
    const char *action, const char *text, int64_t subject);
static void mesh_admin_password_read(char *password, const char *name);
static void mesh_admin_password_make(char *dst, size_t size,
    const char *password);
static int64_t mesh_admin_account(mesh_admin_t *a, const char *name,
    char *rights, size_t size);
static void mesh_admin_time(char *dst, size_t size, const char *ms);
static void mesh_admin_hex(char *dst, const unsigned char *src, size_t n);
static int mesh_admin_signer_hash(const char *path, unsigned char *hash,
    char *error, size_t size);


static const mesh_admin_command_t  mesh_admin_commands[] = {
    { "migrate", NULL, mesh_admin_migrate, 0,
      "make the database, or bring it up to date" },
    { "exists", NULL, mesh_admin_exists, 0,
      "status 0 if there is a database of ours, 3 if there is none" },
    { "setup-link", NULL, mesh_admin_setup_link, 1,
      "print the token that makes the first account" },
    { "user", "add", mesh_admin_user_add, 1,
      "NAME [--site-admin]; password from standard input" },
    { "user", "passwd", mesh_admin_user_passwd, 1,
      "NAME; password from standard input" },
    { "user", "list", mesh_admin_user_list, 1, "" },
    { "user", "unlock", mesh_admin_user_unlock, 1, "NAME" },
    { "group", "add", mesh_admin_group_add, 1,
      "NAME [--owner USER]; prints the group's id" },
    { "group", "list", mesh_admin_group_list, 1, "" },
    { "device", "list", mesh_admin_device_list, 1, "" },
    { "device", "remove", mesh_admin_device_remove, 1,
      "NAME|ID; what is stored of it goes too" },
    { "key", "rotate", mesh_admin_key_rotate, 1,
      "a new key for tickets; the old one is read for a day" },
    { "status", NULL, mesh_admin_status, 1, "what is in the database" },
    { "check", NULL, mesh_admin_check, 1,
      "do the keys of mesh-signer fit the database?" },
    { NULL, NULL, NULL, 0, NULL }
};


int
main(int argc, char **argv)
{
    int                          rc, n;
    mesh_admin_t                 a;
    const mesh_admin_command_t  *c;

    memset(&a, 0, sizeof(mesh_admin_t));

    if (argc < 4 || strcmp(argv[1], "-c") != 0) {
        mesh_admin_usage();
        return 2;
    }

    for (c = mesh_admin_commands; c->word; c++) {
        if (strcmp(c->word, argv[3]) == 0
            && (c->word2 == NULL
                || (argc > 4 && strcmp(c->word2, argv[4]) == 0)))
        {
            break;
        }
    }

    if (c->word == NULL) {
        mesh_admin_usage();
        return 2;
    }

    if (mesh_admin_conf_read(&a.conf, argv[2]) != 0) {
        return 1;
    }

    n = c->word2 ? 5 : 4;
    a.argc = argc - n;
    a.argv = argv + n;

    if (c->needs_db) {
        a.db = mesh_admin_db_open(&a.conf, 0);
        n = mesh_admin_db_schema(a.db);

        if (n != MESH_SQL_SCHEMA) {
            mesh_admin_fail("the database has schema %d and this program "
                            "needs %d: run mesh-admin migrate", n,
                            MESH_SQL_SCHEMA);
        }
    }

    rc = c->run(&a);

    if (a.db) {
        mesh_admin_db_close(a.db);
    }

    return rc;
}


static void
mesh_admin_usage(void)
{
    const mesh_admin_command_t  *c;

    fputs("usage: mesh-admin -c nginx.conf COMMAND\n", stderr);

    for (c = mesh_admin_commands; c->word; c++) {
        fprintf(stderr, "  %s %s%s%s\n", c->word, c->word2 ? c->word2 : "",
                c->word2 ? " " : "", c->help);
    }
}


static int
mesh_admin_migrate(mesh_admin_t *a)
{
    int    n;
    char  *text;

    a->db = mesh_admin_db_open(&a->conf, 1);
    n = mesh_admin_db_schema(a->db);

    if (n > MESH_SQL_SCHEMA) {
        mesh_admin_fail("the database has schema %d, this program is older "
                        "and knows %d", n, MESH_SQL_SCHEMA);
    }

    if (n == MESH_SQL_SCHEMA) {
        return 0;
    }

    mesh_admin_db_begin(a->db);

    text = mesh_admin_fit(mesh_admin_schema,
                          mesh_admin_db_is_postgres(a->db));
    mesh_admin_db_script(a->db, text);
    free(text);

    if (mesh_admin_db_is_postgres(a->db)) {
        mesh_admin_db_script(a->db, mesh_admin_schema_pg);
    }

    mesh_admin_key_make(a, "ticket");
    mesh_admin_key_make(a, "csrf");

    if (mesh_admin_db_is_postgres(a->db)) {
        mesh_admin_db_int(a->db, mesh_admin_now());
        (void) mesh_admin_db_run(a->db, MESH_SQL_KEEP_PARTITIONS);
    }

    mesh_admin_db_text(a->db, "schema");
    mesh_admin_db_int(a->db, MESH_SQL_SCHEMA);
    (void) mesh_admin_db_run(a->db, MESH_SQL_META_SET);

    mesh_admin_db_commit(a->db);

    return 0;
}


/* lines for the other database go, and for SQLite the collation */
static char *
mesh_admin_fit(const char *text, int postgres)
{
    char        *out, *dst, *hit;
    size_t       len;
    const char  *line, *end, *other;

    out = malloc(strlen(text) + 1);
    if (out == NULL) {
        mesh_admin_fail("out of memory");
    }

    dst = out;
    other = postgres ? "-- sqlite" : "-- postgres";

    for (line = text; *line; line = end + (*end == '\n')) {
        end = line + strcspn(line, "\n");
        len = strlen(other);

        if ((size_t) (end - line) >= len
            && memcmp(end - len, other, len) == 0)
        {
            continue;
        }

        memcpy(dst, line, end - line);
        dst[end - line] = '\0';

        while (!postgres && (hit = strstr(dst, " COLLATE \"C\"")) != NULL) {
            memmove(hit, hit + 12, strlen(hit + 12) + 1);
        }

        dst += strlen(dst);
        *dst++ = '\n';
    }

    *dst = '\0';

    return out;
}


static int
mesh_admin_exists(mesh_admin_t *a)
{
    if (a->conf.db_type == MESH_ADMIN_SQLITE
        && access(a->conf.db, F_OK) != 0)
    {
        return MESH_ADMIN_NONE;
    }

    a->db = mesh_admin_db_open(&a->conf, 0);

    return mesh_admin_db_schema(a->db) > 0 ? 0 : MESH_ADMIN_NONE;
}


static int64_t
mesh_admin_now(void)
{
    struct timeval  tv;

    gettimeofday(&tv, NULL);

    return (int64_t) tv.tv_sec * 1000 + tv.tv_usec / 1000;
}


static void
mesh_admin_change(mesh_admin_t *a, int kind, int64_t id)
{
    mesh_admin_db_int(a->db, kind);
    mesh_admin_db_int(a->db, id);
    (void) mesh_admin_db_run(a->db, MESH_SQL_CHANGE_ADD);
}


static void
mesh_admin_key_make(mesh_admin_t *a, const char *name)
{
    char           hex[65];
    unsigned char  key[32];

    if (RAND_bytes(key, sizeof(key)) != 1) {
        mesh_admin_fail("no random bytes");
    }

    mesh_admin_hex(hex, key, sizeof(key));
    mesh_admin_db_text(a->db, name);
    mesh_admin_db_text(a->db, hex);
    mesh_admin_db_int(a->db, mesh_admin_now());
    (void) mesh_admin_db_run(a->db, MESH_SQL_ADMIN_KEY_ADD);

    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(hex, sizeof(hex));
}


static void
mesh_admin_event(mesh_admin_t *a, const char *kind, const char *action,
    const char *text, int64_t subject)
{
    mesh_admin_db_int(a->db, MESH_ADMIN_DOMAIN);
    mesh_admin_db_int(a->db, mesh_admin_now());
    mesh_admin_db_text(a->db, kind);
    mesh_admin_db_text(a->db, action);
    mesh_admin_db_null(a->db);
    mesh_admin_db_text(a->db, text);
    mesh_admin_db_null(a->db);
    mesh_admin_db_null(a->db);
    mesh_admin_db_text(a->db, "mesh-admin");

    if (subject) {
        mesh_admin_db_int(a->db, subject);
    } else {
        mesh_admin_db_null(a->db);
    }

    mesh_admin_db_null(a->db);
    mesh_admin_db_null(a->db);
    mesh_admin_db_null(a->db);
    mesh_admin_db_null(a->db);
    (void) mesh_admin_db_run(a->db, MESH_SQL_EVENT_ADD);
}


/* closed for ever as soon as somebody administers */
static int
mesh_admin_setup_link(mesh_admin_t *a)
{
    int            if_needed;
    char           token[64], hex[65], *p;
    unsigned char  raw[32], hash[32];

    if_needed = a->argc == 1 && strcmp(a->argv[0], "--if-needed") == 0;

    if (a->argc > 0 && !if_needed) {
        mesh_admin_usage();
        return 2;
    }

    mesh_admin_db_begin(a->db);
    mesh_admin_db_int(a->db, MESH_ADMIN_DOMAIN);

    if (mesh_admin_db_run(a->db, MESH_SQL_ADMIN_ADMINS) == 1
        && atoi(mesh_admin_db_value(a->db, 0, 0)) > 0)
    {
        if (if_needed) {
            return 0;
        }

        mesh_admin_fail("there is an administrator already, who can make "
                        "further accounts");
    }

    if (RAND_bytes(raw, sizeof(raw)) != 1) {
        mesh_admin_fail("no random bytes");
    }

    EVP_EncodeBlock((unsigned char *) token, raw, sizeof(raw));

    for (p = token; *p; p++) {
        if (*p == '+') {
            *p = '-';
        } else if (*p == '/') {
            *p = '_';
        } else if (*p == '=') {
            *p = '\0';
            break;
        }
    }

    SHA256((unsigned char *) token, strlen(token), hash);
    mesh_admin_hex(hex, hash, sizeof(hash));

    mesh_admin_db_text(a->db, "setup");
    mesh_admin_db_text(a->db, hex);
    (void) mesh_admin_db_run(a->db, MESH_SQL_META_SET);
    mesh_admin_db_commit(a->db);

    puts(token);

    return 0;
}


static int
mesh_admin_user_add(mesh_admin_t *a)
{
    int      admin;
    char     password[MESH_ADMIN_PASSWORD], secret[512], login[256];
    size_t   n;
    int64_t  id;

    admin = a->argc == 2 && strcmp(a->argv[1], "--site-admin") == 0;

    if (a->argc < 1 || (a->argc == 2 && !admin) || a->argc > 2) {
        mesh_admin_usage();
        return 2;
    }

    n = mesh_fold((uint8_t *) login, sizeof(login) - 1,
                  (const uint8_t *) a->argv[0], strlen(a->argv[0]));

    if (n == 0 || strlen(a->argv[0]) > MESH_ADMIN_NAME
        || strpbrk(a->argv[0], "/ \",~"))
    {
        mesh_admin_fail("a user name has 1 to 64 characters, and none of "
                        "/ space \" , ~");
    }

    login[n] = '\0';
    mesh_admin_password_read(password, a->argv[0]);
    mesh_admin_password_make(secret, sizeof(secret), password);
    OPENSSL_cleanse(password, sizeof(password));

    mesh_admin_db_begin(a->db);
    id = mesh_admin_db_key(a->db);

    mesh_admin_db_int(a->db, id);
    mesh_admin_db_int(a->db, MESH_ADMIN_DOMAIN);
    mesh_admin_db_text(a->db, login);
    mesh_admin_db_text(a->db, a->argv[0]);
    mesh_admin_db_text(a->db, "");
    mesh_admin_db_text(a->db, admin ? MESH_ADMIN_FULL : "0");
    mesh_admin_db_int(a->db, admin ? MESH_ADMIN_ALL_GROUPS : 0);
    mesh_admin_db_int(a->db, mesh_admin_now());

    if (mesh_admin_db_run(a->db, MESH_SQL_WEB_ACCOUNT_ADD) < 0) {
        mesh_admin_fail("there is a user \"%s\" already", a->argv[0]);
    }

    mesh_admin_db_int(a->db, mesh_admin_db_key(a->db));
    mesh_admin_db_int(a->db, id);
    mesh_admin_db_text(a->db, secret);
    mesh_admin_db_int(a->db, mesh_admin_now());
    (void) mesh_admin_db_run(a->db, MESH_SQL_WEB_PASSWORD_ADD);

    if (admin) {
        /* nobody else becomes administrator by a link */
        mesh_admin_db_text(a->db, "setup");
        mesh_admin_db_text(a->db, "");
        (void) mesh_admin_db_run(a->db, MESH_SQL_META_SET);
    }

    mesh_admin_event(a, "user", "accountcreate",
                     "The account was made with mesh-admin", id);
    mesh_admin_change(a, MESH_ADMIN_CHANGE_ACCOUNT, id);
    mesh_admin_db_commit(a->db);

    return 0;
}


static int
mesh_admin_user_passwd(mesh_admin_t *a)
{
    char     password[MESH_ADMIN_PASSWORD], secret[512];
    int64_t  id;

    if (a->argc != 1) {
        mesh_admin_usage();
        return 2;
    }

    id = mesh_admin_account(a, a->argv[0], NULL, 0);
    mesh_admin_password_read(password, a->argv[0]);
    mesh_admin_password_make(secret, sizeof(secret), password);
    OPENSSL_cleanse(password, sizeof(password));

    mesh_admin_db_begin(a->db);
    mesh_admin_db_int(a->db, id);
    (void) mesh_admin_db_run(a->db, MESH_SQL_ADMIN_PASSWORD_DELETE);

    mesh_admin_db_int(a->db, mesh_admin_db_key(a->db));
    mesh_admin_db_int(a->db, id);
    mesh_admin_db_text(a->db, secret);
    mesh_admin_db_int(a->db, mesh_admin_now());
    (void) mesh_admin_db_run(a->db, MESH_SQL_WEB_PASSWORD_ADD);

    /* who used the old one is out */
    mesh_admin_db_int(a->db, id);
    mesh_admin_db_text(a->db, "");
    (void) mesh_admin_db_run(a->db, MESH_SQL_CTL_WEB_SESSIONS_END);

    mesh_admin_event(a, "user", "accountchange",
                     "The password was changed with mesh-admin", id);
    mesh_admin_change(a, MESH_ADMIN_CHANGE_ACCOUNT, id);
    mesh_admin_change(a, MESH_ADMIN_CHANGE_SESSION, id);
    mesh_admin_db_commit(a->db);

    return 0;
}


static int
mesh_admin_user_list(mesh_admin_t *a)
{
    int          i, n;
    char         when[32];
    const char  *rights;

    mesh_admin_db_int(a->db, MESH_ADMIN_DOMAIN);
    n = mesh_admin_db_run(a->db, MESH_SQL_ADMIN_ACCOUNTS);

    for (i = 0; i < n; i++) {
        rights = mesh_admin_db_value(a->db, i, 1);
        mesh_admin_time(when, sizeof(when), mesh_admin_db_value(a->db, i, 3));

        printf("%-24s %-14s %-28s %s\n", mesh_admin_db_value(a->db, i, 0),
               strcmp(rights, MESH_ADMIN_FULL) == 0 ? "administrator"
               : atoll(rights) & 32 ? "locked" : "user",
               mesh_admin_db_value(a->db, i, 2), when);
    }

    return 0;
}


static int
mesh_admin_user_unlock(mesh_admin_t *a)
{
    char     rights[32];
    int64_t  id, bits;

    if (a->argc != 1) {
        mesh_admin_usage();
        return 2;
    }

    id = mesh_admin_account(a, a->argv[0], rights, sizeof(rights));
    bits = atoll(rights);

    mesh_admin_db_begin(a->db);

    if (strcmp(rights, MESH_ADMIN_FULL) != 0 && (bits & 32)) {
        mesh_admin_db_int(a->db, id);
        mesh_admin_db_int(a->db, bits & ~32);
        (void) mesh_admin_db_run(a->db, MESH_SQL_ADMIN_RIGHTS);
        mesh_admin_change(a, MESH_ADMIN_CHANGE_ACCOUNT, id);
    }

    /* and the wrong passwords, which only the workers have counted */
    mesh_admin_event(a, "user", "accountchange",
                     "The account was unlocked with mesh-admin", id);
    mesh_admin_change(a, MESH_ADMIN_CHANGE_UNLOCK, id);
    mesh_admin_db_commit(a->db);

    return 0;
}


static int
mesh_admin_group_add(mesh_admin_t *a)
{
    char           wire[80];
    size_t         len;
    int64_t        id, owner, access;
    unsigned char  raw[48];

    if ((a->argc != 1 && a->argc != 3)
        || (a->argc == 3 && strcmp(a->argv[1], "--owner") != 0))
    {
        mesh_admin_usage();
        return 2;
    }

    len = strlen(a->argv[0]);

    if (len == 0 || len > 128) {
        mesh_admin_fail("a group's name has 1 to 128 characters");
    }

    owner = a->argc == 3 ? mesh_admin_account(a, a->argv[2], NULL, 0) : 0;

    if (RAND_bytes(raw, sizeof(raw)) != 1) {
        mesh_admin_fail("no random bytes");
    }

    strcpy(wire, "mesh//");
    wire[6 + mesh_b64x_encode(wire + 6, raw, sizeof(raw))] = '\0';

    mesh_admin_db_begin(a->db);
    id = mesh_admin_db_key(a->db);

    mesh_admin_db_int(a->db, id);
    mesh_admin_db_int(a->db, MESH_ADMIN_DOMAIN);
    mesh_admin_db_text(a->db, wire);
    mesh_admin_db_int(a->db, 2);
    mesh_admin_db_text(a->db, a->argv[0]);
    mesh_admin_db_int(a->db, 0);
    mesh_admin_db_int(a->db, 0);
    mesh_admin_db_int(a->db, mesh_admin_now());

    if (owner) {
        mesh_admin_db_int(a->db, owner);
    } else {
        mesh_admin_db_null(a->db);
    }

    mesh_admin_db_text(a->db, "{}");
    (void) mesh_admin_db_run(a->db, MESH_SQL_GROUP_ADD);

    if (owner) {
        access = mesh_admin_db_key(a->db);
        mesh_admin_db_int(a->db, access);
        mesh_admin_db_int(a->db, MESH_ADMIN_DOMAIN);
        mesh_admin_db_int(a->db, owner);
        mesh_admin_db_int(a->db, id);
        mesh_admin_db_null(a->db);
        mesh_admin_db_text(a->db, MESH_ADMIN_FULL);
        mesh_admin_db_int(a->db, owner);
        mesh_admin_db_int(a->db, mesh_admin_now());
        (void) mesh_admin_db_run(a->db, MESH_SQL_ACCESS_ADD);
        mesh_admin_change(a, MESH_ADMIN_CHANGE_ACCESS, access);
    }

    mesh_admin_change(a, MESH_ADMIN_CHANGE_GROUP, id);

    /* browsers are told */

    mesh_admin_db_int(a->db, id);
    mesh_admin_db_int(a->db, mesh_admin_now());
    (void) mesh_admin_db_run(a->db, MESH_SQL_ADMIN_GROUP_EVENT);

    mesh_admin_db_int(a->db, MESH_ADMIN_CHANGE_EVENT);
    mesh_admin_db_int(a->db, id);
    (void) mesh_admin_db_run(a->db, MESH_SQL_ADMIN_GROUP_CHANGE);

    mesh_admin_db_commit(a->db);

    puts(wire);

    return 0;
}


static int
mesh_admin_group_list(mesh_admin_t *a)
{
    int  i, n;

    mesh_admin_db_int(a->db, MESH_ADMIN_DOMAIN);
    n = mesh_admin_db_run(a->db, MESH_SQL_ADMIN_GROUPS);

    for (i = 0; i < n; i++) {
        printf("%s  %6s  %s\n", mesh_admin_db_value(a->db, i, 0),
               mesh_admin_db_value(a->db, i, 2),
               mesh_admin_db_value(a->db, i, 1));
    }

    return 0;
}


static int
mesh_admin_device_list(mesh_admin_t *a)
{
    int   i, n;
    char  when[32];

    mesh_admin_db_int(a->db, MESH_ADMIN_DOMAIN);
    n = mesh_admin_db_run(a->db, MESH_SQL_ADMIN_DEVICES);

    for (i = 0; i < n; i++) {
        mesh_admin_time(when, sizeof(when), mesh_admin_db_value(a->db, i, 3));
        printf("%s  %-16s  %-24s %s\n", mesh_admin_db_value(a->db, i, 0), when,
               mesh_admin_db_value(a->db, i, 2),
               mesh_admin_db_value(a->db, i, 1));
    }

    return 0;
}


static int
mesh_admin_device_remove(mesh_admin_t *a)
{
    int          i, n;
    char         key[1024], wire[1024];
    size_t       len;
    int64_t      id;
    const char  *name;

    if (a->argc != 1) {
        mesh_admin_usage();
        return 2;
    }

    name = a->argv[0];
    len = strlen(name);

    if (len == 0 || len > 256) {
        mesh_admin_fail("a device has a name of 1 to 256 bytes, or an id as "
                        "\"device list\" shows it");
    }

    len = mesh_fold((uint8_t *) key, sizeof(key) - 1, (const uint8_t *) name,
                    len);
    key[len] = '\0';
    snprintf(wire, sizeof(wire), "%s%s", strchr(name, '/') ? "" : "node//",
             name);

    mesh_admin_db_begin(a->db);
    mesh_admin_db_int(a->db, MESH_ADMIN_DOMAIN);
    mesh_admin_db_text(a->db, len ? key : name);
    mesh_admin_db_text(a->db, wire);
    n = mesh_admin_db_run(a->db, MESH_SQL_ADMIN_DEVICE);

    if (n < 1) {
        mesh_admin_fail("there is no device \"%s\"", name);
    }

    if (n > 1) {
        for (i = 0; i < n; i++) {
            fprintf(stderr, "%s  %s\n", mesh_admin_db_value(a->db, i, 1),
                    mesh_admin_db_value(a->db, i, 2));
        }

        mesh_admin_fail("more than one device has the name \"%s\": give the "
                        "id of one", name);
    }

    id = atoll(mesh_admin_db_value(a->db, 0, 0));

    /* browsers are told while those who see the device alone still do */

    mesh_admin_db_int(a->db, id);
    mesh_admin_db_int(a->db, mesh_admin_now());
    (void) mesh_admin_db_run(a->db, MESH_SQL_ADMIN_DEVICE_EVENT);

    mesh_admin_db_int(a->db, MESH_ADMIN_CHANGE_EVENT);
    mesh_admin_db_int(a->db, id);
    (void) mesh_admin_db_run(a->db, MESH_SQL_ADMIN_EVENT_CHANGE);

    mesh_admin_db_int(a->db, id);

    if (mesh_admin_db_run(a->db, MESH_SQL_DEVICE_DELETE) != 1) {
        mesh_admin_fail("the device \"%s\" was removed meanwhile", name);
    }

    mesh_admin_change(a, MESH_ADMIN_CHANGE_GONE, id);
    mesh_admin_db_commit(a->db);

    return 0;
}


static int
mesh_admin_key_rotate(mesh_admin_t *a)
{
    if (a->argc != 0) {
        mesh_admin_usage();
        return 2;
    }

    mesh_admin_db_begin(a->db);

    mesh_admin_db_text(a->db, "ticket-old");
    (void) mesh_admin_db_run(a->db, MESH_SQL_ADMIN_KEY_DELETE);

    mesh_admin_db_text(a->db, "ticket");
    mesh_admin_db_text(a->db, "ticket-old");
    (void) mesh_admin_db_run(a->db, MESH_SQL_ADMIN_KEY_RENAME);

    mesh_admin_key_make(a, "ticket");

    mesh_admin_event(a, "server", "keyrotate",
                     "The key of tickets was changed with mesh-admin", 0);
    mesh_admin_change(a, MESH_ADMIN_CHANGE_KEY, 0);
    mesh_admin_db_commit(a->db);

    return 0;
}


static int
mesh_admin_status(mesh_admin_t *a)
{
    int            up;
    char           error[160];
    unsigned char  hash[48];

    if (mesh_admin_db_run(a->db, MESH_SQL_ADMIN_COUNTS) != 1) {
        return 1;
    }

    printf("database       %s, schema %d\n",
           mesh_admin_db_is_postgres(a->db) ? "PostgreSQL" : "SQLite",
           MESH_SQL_SCHEMA);
    printf("accounts       %s\n", mesh_admin_db_value(a->db, 0, 0));
    printf("device groups  %s\n", mesh_admin_db_value(a->db, 0, 1));
    printf("devices        %s\n", mesh_admin_db_value(a->db, 0, 2));

    up = mesh_admin_signer_hash(a->conf.signer, hash, error, sizeof(error));
    printf("mesh-signer    %s\n", up == 0 ? "answers" : error);

    return 0;
}


/*
 * Agents trust one key.  A database with agents and another key, or none,
 * means that none of them would ever come back.
 */
static int
mesh_admin_check(mesh_admin_t *a)
{
    int            agents, up;
    char           hex[97], error[160], known[128];
    unsigned char  hash[48];

    if (mesh_admin_db_run(a->db, MESH_SQL_ADMIN_COUNTS) != 1) {
        return 1;
    }

    agents = atoi(mesh_admin_db_value(a->db, 0, 3));

    known[0] = '\0';
    mesh_admin_db_text(a->db, "agent_server");

    if (mesh_admin_db_run(a->db, MESH_SQL_META_GET) == 1) {
        snprintf(known, sizeof(known), "%s",
                 mesh_admin_db_value(a->db, 0, 0));
    }

    up = mesh_admin_signer_hash(a->conf.signer, hash, error, sizeof(error));

    if (up != 0) {
        if (agents) {
            mesh_admin_fail("mesh-signer has no key to show (%s), and %d "
                            "devices in the database trust only the old one: "
                            "restore the folder \"keys\" from the backup that "
                            "belongs to this database", error, agents);
        }

        mesh_admin_fail("mesh-signer: %s", error);
    }

    mesh_admin_hex(hex, hash, sizeof(hash));

    if (known[0] == '\0') {
        mesh_admin_db_text(a->db, "agent_server");
        mesh_admin_db_text(a->db, hex);
        (void) mesh_admin_db_run(a->db, MESH_SQL_META_SET);
        return 0;
    }

    if (strcmp(known, hex) != 0) {

        if (agents) {
            mesh_admin_fail("mesh-signer has another agent server key than "
                            "the one that %d devices trust (server id %s): "
                            "restore the folder \"keys\" from the backup that "
                            "belongs to this database", agents, known);
        }

        mesh_admin_db_text(a->db, "agent_server");
        mesh_admin_db_text(a->db, hex);
        (void) mesh_admin_db_run(a->db, MESH_SQL_META_SET);
    }

    return 0;
}


static int64_t
mesh_admin_account(mesh_admin_t *a, const char *name, char *rights,
    size_t size)
{
    char    login[256];
    size_t  n;

    n = mesh_fold((uint8_t *) login, sizeof(login) - 1,
                  (const uint8_t *) name, strlen(name));
    login[n] = '\0';

    mesh_admin_db_int(a->db, MESH_ADMIN_DOMAIN);
    mesh_admin_db_text(a->db, login);

    if (n == 0 || mesh_admin_db_run(a->db, MESH_SQL_ADMIN_ACCOUNT) != 1) {
        mesh_admin_fail("there is no user \"%s\"", name);
    }

    if (rights) {
        snprintf(rights, size, "%s", mesh_admin_db_value(a->db, 0, 2));
    }

    return atoll(mesh_admin_db_value(a->db, 0, 0));
}


/* one line; as long as the page demands */
static void
mesh_admin_password_read(char *password, const char *name)
{
    size_t  len;

    if (isatty(STDIN_FILENO)) {
        fputs("password: ", stderr);
    }

    if (fgets(password, MESH_ADMIN_PASSWORD, stdin) == NULL) {
        mesh_admin_fail("no password on standard input");
    }

    len = strcspn(password, "\r\n");
    password[len] = '\0';

    if (len < 10) {
        mesh_admin_fail("a password has at least 10 characters");
    }

    if (strcasecmp(password, name) == 0) {
        mesh_admin_fail("the password must not be the user name");
    }
}


/* pbkdf2-sha384$rounds$salt$hash; the salt's text is the salt */
static void
mesh_admin_password_make(char *dst, size_t size, const char *password)
{
    char           salt[64], hash[128];
    unsigned char  raw[MESH_ADMIN_SALT], out[MESH_ADMIN_HASH];

    if (RAND_bytes(raw, sizeof(raw)) != 1) {
        mesh_admin_fail("no random bytes");
    }

    EVP_EncodeBlock((unsigned char *) salt, raw, sizeof(raw));

    if (PKCS5_PBKDF2_HMAC(password, strlen(password), (unsigned char *) salt,
                          strlen(salt), MESH_ADMIN_ROUNDS, EVP_sha384(),
                          sizeof(out), out)
        != 1)
    {
        mesh_admin_fail("cannot hash the password");
    }

    EVP_EncodeBlock((unsigned char *) hash, out, sizeof(out));
    snprintf(dst, size, "pbkdf2-sha384$%d$%s$%s", MESH_ADMIN_ROUNDS, salt,
             hash);
}


static void
mesh_admin_time(char *dst, size_t size, const char *ms)
{
    time_t  t;

    t = (time_t) (atoll(ms) / 1000);

    if (t == 0 || strftime(dst, size, "%Y-%m-%d %H:%M", localtime(&t)) == 0) {
        snprintf(dst, size, "never");
    }
}


static void
mesh_admin_hex(char *dst, const unsigned char *src, size_t n)
{
    mesh_hex_encode(dst, src, n, 0);
    dst[2 * n] = '\0';
}


/* 0, or -1 and why */
static int
mesh_admin_signer_hash(const char *path, unsigned char *hash, char *error,
    size_t size)
{
    int                    fd, rc;
    size_t                 n, got;
    ssize_t                r;
    uint8_t                buf[8192];
    struct timeval         tv;
    struct sockaddr_un     sun;
    size_t                 len;
    const uint8_t         *der, *key;
    mesh_signer_msg_t      reply;

    if (path[0] == '\0' || strlen(path) >= sizeof(sun.sun_path)) {
        snprintf(error, size, "no mesh_signer in the configuration");
        return -1;
    }

    memset(&sun, 0, sizeof(sun));
    sun.sun_family = AF_UNIX;
    memcpy(sun.sun_path, path, strlen(path) + 1);
    tv.tv_sec = 10;
    tv.tv_usec = 0;

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd == -1
        || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) != 0
        || connect(fd, (struct sockaddr *) &sun, sizeof(sun)) != 0)
    {
        snprintf(error, size, "cannot reach %s: %s", path, strerror(errno));
        if (fd != -1) {
            close(fd);
        }
        return -1;
    }

    n = mesh_signer_write_request(buf, 1, MESH_SIGNER_CERT, 0, 0);
    rc = -1;
    got = 0;
    snprintf(error, size, "no answer from %s", path);

    if (write(fd, buf, n) == (ssize_t) n) {

        while (got < sizeof(buf)
               && (r = read(fd, buf + got, sizeof(buf) - got)) > 0)
        {
            got += r;

            if (mesh_signer_parse_reply(&reply, buf, got) != MESH_OK) {
                continue;
            }

            if (reply.code == MESH_SIGNER_OK
                && mesh_signer_read_cert(&reply, &der, &len, &key) == MESH_OK) {
                memcpy(hash, key, 48);
                rc = 0;
            }

            break;
        }
    }

    close(fd);

    return rc;
}

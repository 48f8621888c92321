/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Finds our directives in an nginx.conf: words, quotes, comments, blocks and
 * include, as nginx reads them.  Everything else is skipped.
 */

#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh_admin.h"


#define MESH_ADMIN_WORDS    8
#define MESH_ADMIN_WORD     4096
#define MESH_ADMIN_DEPTH    16
#define MESH_ADMIN_FILE     (4 * 1024 * 1024)


typedef struct {
    mesh_admin_conf_t  *conf;
    const char         *prefix;     /* folder of the first file */
    const char         *file;       /* that is read; NULL: none yet */
    int                 line;       /* where its directive begins */
    int                 depth;
} mesh_admin_reader_t;


static int mesh_admin_conf_file(mesh_admin_reader_t *r, const char *file);
static int mesh_admin_conf_text(mesh_admin_reader_t *r, const char *p);
static const char *mesh_admin_conf_word(const char *p, char *word,
    int *line);
static int mesh_admin_conf_directive(mesh_admin_reader_t *r,
    char words[][MESH_ADMIN_WORD], int n);
static int mesh_admin_conf_include(mesh_admin_reader_t *r, const char *what);
static void mesh_admin_conf_path(mesh_admin_reader_t *r, char *dst,
    size_t size, const char *name);
static int mesh_admin_conf_error(const mesh_admin_reader_t *r,
    const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


int
mesh_admin_conf_read(mesh_admin_conf_t *conf, const char *file)
{
    int                  rc;
    char                *prefix;
    const char          *slash;
    mesh_admin_reader_t  r;

    memset(conf, 0, sizeof(mesh_admin_conf_t));

    slash = strrchr(file, '/');
    prefix = slash ? strndup(file, slash - file) : strdup(".");

    if (prefix == NULL) {
        return -1;
    }

    r.conf = conf;
    r.prefix = prefix;
    r.file = NULL;
    r.line = 0;
    r.depth = 0;

    rc = mesh_admin_conf_file(&r, file);

    if (rc == 0 && conf->db_type == 0) {
        conf->db_type = MESH_ADMIN_SQLITE;
        mesh_admin_conf_path(&r, conf->db, sizeof(conf->db), "mesh.db");
    }

    free(prefix);

    return rc;
}


static int
mesh_admin_conf_file(mesh_admin_reader_t *r, const char *file)
{
    int          rc, line;
    char        *text;
    FILE        *f;
    size_t       n;
    const char  *outer;

    if (r->depth == MESH_ADMIN_DEPTH) {
        return mesh_admin_conf_error(r, "\"%s\" is included too deep", file);
    }

    f = fopen(file, "re");

    if (f == NULL) {
        return mesh_admin_conf_error(r, "cannot read \"%s\": %s", file,
                                     strerror(errno));
    }

    text = malloc(MESH_ADMIN_FILE + 1);

    if (text == NULL) {
        fclose(f);
        return mesh_admin_conf_error(r, "out of memory");
    }

    n = fread(text, 1, MESH_ADMIN_FILE, f);
    rc = ferror(f) ? errno : 0;
    fclose(f);
    text[n] = '\0';

    if (rc) {
        free(text);
        return mesh_admin_conf_error(r, "cannot read \"%s\": %s", file,
                                     strerror(rc));
    }

    outer = r->file;
    line = r->line;
    r->file = file;
    r->depth++;

    rc = mesh_admin_conf_text(r, text);

    r->depth--;
    r->file = outer;
    r->line = line;

    free(text);

    return rc;
}


static int
mesh_admin_conf_text(mesh_admin_reader_t *r, const char *p)
{
    int          n, line, rc;
    static char  skipped[MESH_ADMIN_WORD];
    char       (*words)[MESH_ADMIN_WORD];

    words = calloc(MESH_ADMIN_WORDS, sizeof(*words));
    if (words == NULL) {
        return mesh_admin_conf_error(r, "out of memory");
    }

    n = 0;
    rc = 0;
    line = 1;

    while (*p && rc == 0) {

        if (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n') {
            line += *p++ == '\n';

        } else if (*p == '#') {
            p += strcspn(p, "\n");

        } else if (*p == ';') {
            p++;

            if (n) {
                rc = mesh_admin_conf_directive(r, words, n);
            }

            n = 0;

        } else if (*p == '{' || *p == '}') {
            p++;
            n = 0;

        } else {

            if (n == 0) {
                r->line = line;
            }

            p = mesh_admin_conf_word(p, n < MESH_ADMIN_WORDS ? words[n]
                                                             : skipped,
                                     &line);
            if (p == NULL) {
                rc = mesh_admin_conf_error(r, "a quote does not end");
                break;
            }

            if (n < MESH_ADMIN_WORDS) {
                n++;
            }
        }
    }

    if (rc == 0 && n) {
        rc = mesh_admin_conf_error(r, "directive \"%s\" does not end with "
                                   "\";\"", words[0]);
    }

    free(words);

    return rc;
}


static const char *
mesh_admin_conf_word(const char *p, char *word, int *line)
{
    char    quote;
    size_t  n;

    quote = '\0';
    n = 0;

    if (*p == '"' || *p == '\'') {
        quote = *p++;
    }

    for ( /* void */ ; *p; p++) {

        if (quote ? *p == quote : strchr(" \t\r\n;{}", *p) != NULL) {

            /* "${name}" is part of a word */
            if (!(quote == '\0' && *p == '{' && n && word[n - 1] == '$')) {
                break;
            }
        }

        if (*p == '\\' && p[1]
            && (p[1] == '"' || p[1] == '\'' || p[1] == '\\'))
        {
            p++;
        }

        *line += *p == '\n';

        if (n < MESH_ADMIN_WORD - 1) {
            word[n++] = *p;
        }
    }

    word[n] = '\0';

    if (quote) {
        return *p ? p + 1 : NULL;
    }

    return p;
}


static int
mesh_admin_conf_directive(mesh_admin_reader_t *r,
    char words[][MESH_ADMIN_WORD], int n)
{
    if (n == 2 && strcmp(words[0], "include") == 0) {
        return mesh_admin_conf_include(r, words[1]);
    }

    if (strcmp(words[0], "mesh_db") == 0) {

        if (n != 3) {
            return mesh_admin_conf_error(r, "invalid number of arguments in "
                                         "\"mesh_db\"");
        }

        if (strcmp(words[1], "postgres") == 0) {
            r->conf->db_type = MESH_ADMIN_POSTGRES;
            snprintf(r->conf->db, sizeof(r->conf->db), "%s", words[2]);

        } else if (strcmp(words[1], "sqlite") == 0) {
            r->conf->db_type = MESH_ADMIN_SQLITE;
            mesh_admin_conf_path(r, r->conf->db, sizeof(r->conf->db),
                                 words[2]);

        } else {
            return mesh_admin_conf_error(r, "unknown database \"%s\" in "
                                         "\"mesh_db\", it must be \"sqlite\" "
                                         "or \"postgres\"", words[1]);
        }
    }

    if (strcmp(words[0], "mesh_signer") == 0) {

        if (n < 2 || strncmp(words[1], "unix:", 5) != 0) {
            return mesh_admin_conf_error(r, "\"mesh_signer\" needs "
                                         "\"unix:\" and a path");
        }

        mesh_admin_conf_path(r, r->conf->signer, sizeof(r->conf->signer),
                             words[1] + 5);
    }

    return 0;
}


/* a pattern that matches nothing is nothing, as in nginx */
static int
mesh_admin_conf_include(mesh_admin_reader_t *r, const char *what)
{
    int     rc;
    char    path[MESH_ADMIN_WORD];
    glob_t  g;
    size_t  i;

    mesh_admin_conf_path(r, path, sizeof(path), what);

    if (strpbrk(path, "*?[") == NULL) {
        return mesh_admin_conf_file(r, path);
    }

    rc = 0;

    if (glob(path, 0, NULL, &g) == 0) {
        for (i = 0; i < g.gl_pathc && rc == 0; i++) {
            rc = mesh_admin_conf_file(r, g.gl_pathv[i]);
        }

        globfree(&g);
    }

    return rc;
}


static void
mesh_admin_conf_path(mesh_admin_reader_t *r, char *dst, size_t size,
    const char *name)
{
    if (name[0] == '/') {
        snprintf(dst, size, "%s", name);
    } else {
        snprintf(dst, size, "%s/%s", r->prefix, name);
    }
}


static int
mesh_admin_conf_error(const mesh_admin_reader_t *r, const char *fmt, ...)
{
    va_list  args;

    fputs("mesh-admin: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);

    if (r->file) {
        fprintf(stderr, " in %s:%d", r->file, r->line);
    }

    fputc('\n', stderr);

    return -1;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The file is a line that names its format, then records:
 *
 *     u32 bytes of key, u32 bytes of value (all ones: deleted),
 *     u32 crc32 of these eight bytes, key and value, key, value
 *
 * in network order; the last record of a key counts.  Long values stay on
 * disk and are read when they are asked for.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <zlib.h>

#include "mesh_agent_store.h"
#include "os/mesh_agent_host.h"


#define MESH_AGENT_STORE_MAGIC    "mesh-agent store 1\n"
#define MESH_AGENT_STORE_HEAD     12
#define MESH_AGENT_STORE_DELETED  0xffffffffu
#define MESH_AGENT_STORE_LONG     1024            /* bytes: stays on disk */
#define MESH_AGENT_STORE_SLACK    (256 * 1024)    /* of old records */


typedef struct mesh_agent_entry_s {
    struct mesh_agent_entry_s  *next;
    char                       *key;
    uint8_t                    *value;  /* NULL: it is at offset, in the file */
    size_t                      len;
    int64_t                     offset; /* of the value */
} mesh_agent_entry_t;


struct mesh_agent_store_s {
    uv_file              fd;
    char                *path;
    int64_t              size;          /* good bytes of the file */
    size_t               live;          /* bytes of records that count */
    mesh_agent_entry_t  *entries;
    uint8_t             *read;          /* a long value, lent */
    size_t               read_len;
};


static uv_file mesh_agent_store_file(const char *path, int flags);
static int64_t mesh_agent_store_read(uv_file fd, void *buf, size_t len,
    int64_t at);
static int64_t mesh_agent_store_write(uv_file fd, void *buf, size_t len,
    int64_t at);
static int mesh_agent_store_sync(uv_file fd);
static int mesh_agent_store_cut(uv_file fd, int64_t size);
static void mesh_agent_store_shut(uv_file fd);
static int mesh_agent_store_load(mesh_agent_store_t *st);
static int mesh_agent_store_record(mesh_agent_store_t *st, int64_t *at,
    int64_t end);
static int mesh_agent_store_append(mesh_agent_store_t *st, const char *key,
    const void *value, size_t len, int deleted);
static void mesh_agent_store_clean(const char *path);
static int mesh_agent_store_compact(mesh_agent_store_t *st);
static int mesh_agent_store_copy(mesh_agent_store_t *st,
    mesh_agent_store_t *to);
static mesh_agent_entry_t *mesh_agent_store_find(mesh_agent_store_t *st,
    const char *key);
static void mesh_agent_store_set(mesh_agent_store_t *st, const char *key,
    const void *value, size_t len, int64_t offset);
static void mesh_agent_store_unset(mesh_agent_store_t *st, const char *key);
static void mesh_agent_store_forget(mesh_agent_store_t *st);


mesh_agent_store_t *
mesh_agent_store_open(const char *path)
{
    mesh_agent_store_t  *st;

    st = mesh_agent_alloc(sizeof(mesh_agent_store_t));
    st->path = mesh_agent_strdup(path);
    st->fd = mesh_agent_store_file(path, UV_FS_O_CREAT);

    if (st->fd < 0) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "the data file \"%s\" cannot be "
                       "opened: %s", path, uv_strerror(st->fd));

    } else if (mesh_agent_os_lock(st->fd) != MESH_OK) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "another agent runs with \"%s\": "
                       "stop it, or give this one a folder of its own with "
                       "--data=DIR", path);

    } else if (mesh_agent_store_load(st) == MESH_OK) {
        mesh_agent_store_clean(path);
        return st;
    }

    mesh_agent_store_close(st);

    return NULL;
}


void
mesh_agent_store_close(mesh_agent_store_t *st)
{
    mesh_agent_store_forget(st);

    mesh_agent_store_shut(st->fd);

    if (st->read) {
        OPENSSL_cleanse(st->read, st->read_len);
    }

    free(st->read);
    free(st->path);
    free(st);
}


/* libuv's calls without a loop: they wait, and are the same everywhere */

static uv_file
mesh_agent_store_file(const char *path, int flags)
{
    int      rc;
    uv_fs_t  req;

    rc = uv_fs_open(NULL, &req, path, UV_FS_O_RDWR|UV_FS_O_NOFOLLOW|flags, 0600,
                    NULL);
    uv_fs_req_cleanup(&req);

    return rc;
}


static int64_t
mesh_agent_store_read(uv_file fd, void *buf, size_t len, int64_t at)
{
    int       rc;
    uv_fs_t   req;
    uv_buf_t  b;

    b = uv_buf_init(buf, (unsigned) len);
    rc = uv_fs_read(NULL, &req, fd, &b, 1, at, NULL);
    uv_fs_req_cleanup(&req);

    return rc;
}


static int64_t
mesh_agent_store_write(uv_file fd, void *buf, size_t len, int64_t at)
{
    int       rc;
    uv_fs_t   req;
    uv_buf_t  b;

    b = uv_buf_init(buf, (unsigned) len);
    rc = uv_fs_write(NULL, &req, fd, &b, 1, at, NULL);
    uv_fs_req_cleanup(&req);

    return rc;
}


static int
mesh_agent_store_sync(uv_file fd)
{
    int      rc;
    uv_fs_t  req;

    rc = uv_fs_fdatasync(NULL, &req, fd, NULL);
    uv_fs_req_cleanup(&req);

    return rc;
}


static int
mesh_agent_store_cut(uv_file fd, int64_t size)
{
    int      rc;
    uv_fs_t  req;

    rc = uv_fs_ftruncate(NULL, &req, fd, size, NULL);
    uv_fs_req_cleanup(&req);

    return rc;
}


static void
mesh_agent_store_shut(uv_file fd)
{
    uv_fs_t  req;

    if (fd >= 0) {
        (void) uv_fs_close(NULL, &req, fd, NULL);
        uv_fs_req_cleanup(&req);
    }
}


static int
mesh_agent_store_load(mesh_agent_store_t *st)
{
    char     magic[sizeof(MESH_AGENT_STORE_MAGIC) - 1];
    int64_t  at, end;

    end = mesh_agent_os_private(st->fd);

    if (end < 0) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "\"%s\" is not ours to keep keys in",
                       st->path);
        return MESH_ERROR;
    }

    if (end < (int64_t) sizeof(magic)) {
        memcpy(magic, MESH_AGENT_STORE_MAGIC, sizeof(magic));

        if (mesh_agent_store_cut(st->fd, 0) != 0
            || mesh_agent_store_write(st->fd, magic, sizeof(magic), 0)
               != (int64_t) sizeof(magic)
            || mesh_agent_store_sync(st->fd) != 0)
        {
            mesh_agent_log(MESH_AGENT_LOG_ERR, "\"%s\" cannot be written",
                           st->path);
            return MESH_ERROR;
        }

        mesh_agent_os_sync_folder(st->path);
        st->size = sizeof(magic);
        return MESH_OK;
    }

    if (mesh_agent_store_read(st->fd, magic, sizeof(magic), 0)
            != (int64_t) sizeof(magic)
        || memcmp(magic, MESH_AGENT_STORE_MAGIC, sizeof(magic)) != 0)
    {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "\"%s\" is not a data file of this "
                       "agent; move it away to start with a new identity",
                       st->path);
        return MESH_ERROR;
    }

    at = sizeof(magic);

    while (at < end && mesh_agent_store_record(st, &at, end) == MESH_OK)
    {
        /* void */
    }

    st->size = at;

    if (at < end) {
        mesh_agent_log(MESH_AGENT_LOG_WARN, "\"%s\": %ld bytes at its end were "
                       "cut short and are dropped", st->path,
                       (long) (end - at));

        if (mesh_agent_store_cut(st->fd, at) != 0) {
            return MESH_ERROR;
        }
    }

    return MESH_OK;
}


static int
mesh_agent_store_record(mesh_agent_store_t *st, int64_t *at, int64_t end)
{
    char      key[MESH_AGENT_STORE_KEY + 1];
    size_t    key_len, len;
    uint8_t   head[MESH_AGENT_STORE_HEAD], *body;
    uint32_t  n, crc;
    int       rc;

    if (end - *at < MESH_AGENT_STORE_HEAD
        || mesh_agent_store_read(st->fd, head, sizeof(head), *at)
           != (int64_t) sizeof(head))
    {
        return MESH_ERROR;
    }

    key_len = mesh_get32(head);
    n = mesh_get32(head + 4);
    len = n == MESH_AGENT_STORE_DELETED ? 0 : n;

    if (key_len == 0 || key_len > MESH_AGENT_STORE_KEY
        || len > MESH_AGENT_STORE_VALUE
        || (int64_t) (key_len + len) > end - *at - MESH_AGENT_STORE_HEAD)
    {
        return MESH_ERROR;
    }

    body = mesh_agent_alloc(key_len + len + 1);
    rc = MESH_ERROR;

    if (mesh_agent_store_read(st->fd, body, key_len + len,
                              *at + MESH_AGENT_STORE_HEAD)
        == (int64_t) (key_len + len))
    {
        crc = (uint32_t) crc32(0, head, 8);
        crc = (uint32_t) crc32(crc, body, (uInt) (key_len + len));

        if (crc == mesh_get32(head + 8)) {
            memcpy(key, body, key_len);
            key[key_len] = '\0';

            if (n == MESH_AGENT_STORE_DELETED) {
                mesh_agent_store_unset(st, key);
            } else {
                mesh_agent_store_set(st, key, body + key_len, len,
                                     *at + MESH_AGENT_STORE_HEAD
                                     + (int64_t) key_len);
            }

            *at += MESH_AGENT_STORE_HEAD + (int64_t) (key_len + len);
            rc = MESH_OK;
        }
    }

    OPENSSL_cleanse(body, key_len + len);
    free(body);

    return rc;
}


const uint8_t *
mesh_agent_store_get(mesh_agent_store_t *st, const char *key, size_t *len)
{
    mesh_agent_entry_t  *e;

    if (st->read) {
        OPENSSL_cleanse(st->read, st->read_len);
        free(st->read);
        st->read = NULL;
    }

    e = mesh_agent_store_find(st, key);

    if (e == NULL) {
        return NULL;
    }

    *len = e->len;

    if (e->value) {
        return e->value;
    }

    st->read = mesh_agent_alloc(e->len + 1);
    st->read_len = e->len;

    if (mesh_agent_store_read(st->fd, st->read, e->len, e->offset)
        != (int64_t) e->len)
    {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "\"%s\" cannot be read", st->path);
        return NULL;
    }

    return st->read;
}


int
mesh_agent_store_put(mesh_agent_store_t *st, const char *key,
    const void *value, size_t len)
{
    size_t               key_len, had;
    mesh_agent_entry_t  *e;

    key_len = strlen(key);
    e = mesh_agent_store_find(st, key);
    had = e ? e->len : 0;

    if (key_len == 0 || key_len > MESH_AGENT_STORE_KEY
        || len > MESH_AGENT_STORE_VALUE
        || st->live - had + len > MESH_AGENT_STORE_ALL)
    {
        return MESH_ERROR;
    }

    if (e && e->len == len && e->value && memcmp(e->value, value, len) == 0) {
        return MESH_OK;
    }

    return mesh_agent_store_append(st, key, value, len, 0);
}


int
mesh_agent_store_delete(mesh_agent_store_t *st, const char *key)
{
    if (mesh_agent_store_find(st, key) == NULL) {
        return MESH_OK;
    }

    return mesh_agent_store_append(st, key, NULL, 0, 1);
}


static int
mesh_agent_store_append(mesh_agent_store_t *st, const char *key,
    const void *value, size_t len, int deleted)
{
    int64_t   at;
    size_t    key_len, all;
    uint8_t  *p;
    int64_t   n;
    uint32_t  crc;

    key_len = strlen(key);
    all = MESH_AGENT_STORE_HEAD + key_len + len;
    p = mesh_agent_alloc(all);

    mesh_put32(p, (uint32_t) key_len);
    mesh_put32(p + 4, deleted ? MESH_AGENT_STORE_DELETED : (uint32_t) len);
    memcpy(p + MESH_AGENT_STORE_HEAD, key, key_len);

    if (len) {
        memcpy(p + MESH_AGENT_STORE_HEAD + key_len, value, len);
    }

    crc = (uint32_t) crc32(0, p, 8);
    crc = (uint32_t) crc32(crc, p + MESH_AGENT_STORE_HEAD,
                           (uInt) (key_len + len));
    mesh_put32(p + 8, crc);

    n = mesh_agent_store_write(st->fd, p, all, st->size);
    OPENSSL_cleanse(p, all);
    free(p);

    if (n != (int64_t) all || mesh_agent_store_sync(st->fd) != 0) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "\"%s\" cannot be written: %s",
                       st->path, n < 0 ? uv_strerror((int) n)
                                       : "no space is left");
        (void) mesh_agent_store_cut(st->fd, st->size);
        return MESH_ERROR;
    }

    at = st->size + (int64_t) (MESH_AGENT_STORE_HEAD + key_len);
    st->size += (int64_t) all;

    if (deleted) {
        mesh_agent_store_unset(st, key);
    } else {
        mesh_agent_store_set(st, key, value, len, at);
    }

    if ((size_t) st->size > 2 * st->live + MESH_AGENT_STORE_SLACK) {
        (void) mesh_agent_store_compact(st);    /* it can wait */
    }

    return MESH_OK;
}


/* what a compaction that was cut off has left */
static void
mesh_agent_store_clean(const char *path)
{
    char     *left;
    uv_fs_t   req;

    left = mesh_agent_join(path, ".new");
    (void) uv_fs_unlink(NULL, &req, left, NULL);
    uv_fs_req_cleanup(&req);
    free(left);
}


/* into a new file, which takes the old one's place when it is whole */
static int
mesh_agent_store_compact(mesh_agent_store_t *st)
{
    int                  rc;
    uv_fs_t              req;
    mesh_agent_store_t   to;

    memset(&to, 0, sizeof(mesh_agent_store_t));

    to.path = mesh_agent_join(st->path, ".new");
    (void) uv_fs_unlink(NULL, &req, to.path, NULL);
    uv_fs_req_cleanup(&req);

    to.fd = mesh_agent_store_file(to.path, UV_FS_O_CREAT|UV_FS_O_EXCL);
    rc = MESH_ERROR;

    if (to.fd >= 0 && mesh_agent_os_lock(to.fd) == MESH_OK
        && mesh_agent_store_load(&to) == MESH_OK)
    {
        rc = mesh_agent_store_copy(st, &to);
    }

    if (rc == MESH_OK) {
        rc = mesh_agent_os_replace(to.path, st->path);

        if (rc != 0) {
            /* on some systems a file that is open stands in the way */
            mesh_agent_store_shut(st->fd);
            rc = mesh_agent_os_replace(to.path, st->path);
            st->fd = rc == 0 ? -1 : mesh_agent_store_file(st->path, 0);

            if (st->fd >= 0) {
                (void) mesh_agent_os_lock(st->fd);
            }
        }
    }

    if (rc == MESH_OK) {
        mesh_agent_os_sync_folder(st->path);
        mesh_agent_store_forget(st);
        mesh_agent_store_shut(st->fd);

        st->fd = to.fd;
        st->size = to.size;
        st->live = to.live;
        st->entries = to.entries;

    } else {
        (void) uv_fs_unlink(NULL, &req, to.path, NULL);
        uv_fs_req_cleanup(&req);
        mesh_agent_store_forget(&to);
        mesh_agent_store_shut(to.fd);
    }

    free(to.path);

    return rc;
}


static int
mesh_agent_store_copy(mesh_agent_store_t *st, mesh_agent_store_t *to)
{
    size_t               len;
    const uint8_t       *value;
    mesh_agent_entry_t  *e;

    for (e = st->entries; e; e = e->next) {
        value = mesh_agent_store_get(st, e->key, &len);

        if (value == NULL
            || mesh_agent_store_append(to, e->key, value, len, 0) != MESH_OK)
        {
            return MESH_ERROR;
        }
    }

    return mesh_agent_store_sync(to->fd) == 0 ? MESH_OK : MESH_ERROR;
}


size_t
mesh_agent_store_size(const mesh_agent_store_t *st, const char *prefix,
    const char *key)
{
    size_t                     size;
    const mesh_agent_entry_t  *e;

    size = 0;

    for (e = st->entries; e; e = e->next) {
        if (strncmp(e->key, prefix, strlen(prefix)) == 0
            && strcmp(e->key, key) != 0)
        {
            size += MESH_AGENT_STORE_HEAD + strlen(e->key) + e->len;
        }
    }

    return size;
}


void
mesh_agent_store_each(mesh_agent_store_t *st, const char *prefix,
    void (*fn)(const char *key, void *data), void *data)
{
    mesh_agent_entry_t  *e;

    for (e = st->entries; e; e = e->next) {
        if (strncmp(e->key, prefix, strlen(prefix)) == 0) {
            fn(e->key, data);
        }
    }
}


static mesh_agent_entry_t *
mesh_agent_store_find(mesh_agent_store_t *st, const char *key)
{
    mesh_agent_entry_t  *e;

    for (e = st->entries; e; e = e->next) {
        if (strcmp(e->key, key) == 0) {
            return e;
        }
    }

    return NULL;
}


static void
mesh_agent_store_set(mesh_agent_store_t *st, const char *key,
    const void *value, size_t len, int64_t offset)
{
    mesh_agent_entry_t  *e;

    mesh_agent_store_unset(st, key);

    e = mesh_agent_alloc(sizeof(mesh_agent_entry_t));
    e->key = mesh_agent_strdup(key);
    e->len = len;
    e->offset = offset;

    if (len <= MESH_AGENT_STORE_LONG) {
        e->value = mesh_agent_alloc(len + 1);

        if (len) {
            memcpy(e->value, value, len);
        }
    }

    e->next = st->entries;
    st->entries = e;
    st->live += MESH_AGENT_STORE_HEAD + strlen(key) + len;
}


static void
mesh_agent_store_unset(mesh_agent_store_t *st, const char *key)
{
    mesh_agent_entry_t  *e, **p;

    for (p = &st->entries; *p; p = &(*p)->next) {
        e = *p;

        if (strcmp(e->key, key) == 0) {
            st->live -= MESH_AGENT_STORE_HEAD + strlen(key) + e->len;
            *p = e->next;
            if (e->value) {
                OPENSSL_cleanse(e->value, e->len);
            }

            free(e->key);
            free(e->value);
            free(e);
            return;
        }
    }
}


static void
mesh_agent_store_forget(mesh_agent_store_t *st)
{
    while (st->entries) {
        mesh_agent_store_unset(st, st->entries->key);
    }
}

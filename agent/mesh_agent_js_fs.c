/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Files.  Small work is done at once; what streams read and write goes through
 * libuv's pool.  A script can use and close only descriptors that it has
 * opened itself; what it leaves open is closed with it.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "mesh_agent_js.h"


#define MESH_AGENT_JS_FS_CHUNK  65536     /* bytes */
#define MESH_AGENT_JS_FS_NAMES  64        /* of a folder, read at once */


/* an open file; busy: libuv's pool works on it */
typedef struct {
    mesh_agent_js_obj_t   obj;
    uv_file               fd;
    unsigned              busy;
    unsigned              closed:1;
} mesh_agent_js_file_t;

/* a read or a write in the pool; it holds its file */
typedef struct {
    uv_fs_t                req;
    mesh_agent_js_file_t  *file;
    uv_buf_t               buf;
    unsigned               write:1;
} mesh_agent_js_fs_req_t;

typedef struct {
    mesh_agent_js_obj_t   obj;
    uv_fs_event_t         event;
} mesh_agent_js_watch_t;

/* one that is listed */
typedef struct {
    uv_dir_t              *dir;
    uv_fs_t                req;           /* owns the names in entries */
    uv_dirent_t            entries[MESH_AGENT_JS_FS_NAMES];
    duk_uint_t             max;
    int                    rc;
} mesh_agent_js_folder_t;


static duk_ret_t mesh_agent_js_fs_constants(duk_context *duk);
static duk_ret_t mesh_agent_js_fs_open(duk_context *duk);
static int mesh_agent_js_fs_flags(duk_context *duk, duk_idx_t idx);
static duk_ret_t mesh_agent_js_fs_file_close(duk_context *duk);
static duk_ret_t mesh_agent_js_fs_file_read(duk_context *duk);
static duk_ret_t mesh_agent_js_fs_file_write(duk_context *duk);
static duk_ret_t mesh_agent_js_fs_file_pull(duk_context *duk);
static duk_ret_t mesh_agent_js_fs_file_push(duk_context *duk);
static duk_ret_t mesh_agent_js_fs_queue(duk_context *duk,
    mesh_agent_js_file_t *file, const uint8_t *data, size_t len,
    int64_t position, int write);
static void mesh_agent_js_fs_handler(uv_fs_t *req);
static mesh_agent_js_file_t *mesh_agent_js_fs_this(duk_context *duk);
static void mesh_agent_js_fs_close(mesh_agent_js_obj_t *obj);
static void mesh_agent_js_fs_close_file(mesh_agent_js_file_t *file);
static duk_ret_t mesh_agent_js_fs_file_all(duk_context *duk);
static duk_ret_t mesh_agent_js_fs_stat(duk_context *duk);
static void mesh_agent_js_fs_put_time(duk_context *duk, const char *name,
    const uv_timespec_t *ts);
static duk_ret_t mesh_agent_js_fs_readdir(duk_context *duk);
static duk_ret_t mesh_agent_js_fs_readdir_call(duk_context *duk, void *data);
static duk_ret_t mesh_agent_js_fs_mkdir(duk_context *duk);
static duk_ret_t mesh_agent_js_fs_rmdir(duk_context *duk);
static duk_ret_t mesh_agent_js_fs_unlink(duk_context *duk);
static duk_ret_t mesh_agent_js_fs_rename(duk_context *duk);
static duk_ret_t mesh_agent_js_fs_copy(duk_context *duk);
static duk_ret_t mesh_agent_js_fs_chmod(duk_context *duk);
static duk_ret_t mesh_agent_js_fs_chown(duk_context *duk);
static duk_ret_t mesh_agent_js_fs_readlink(duk_context *duk);
static duk_ret_t mesh_agent_js_fs_done(duk_context *duk, uv_fs_t *req,
    const char *what, const char *path);
static duk_ret_t mesh_agent_js_fs_watch(duk_context *duk);
static duk_ret_t mesh_agent_js_fs_watch_stop(duk_context *duk);
static void mesh_agent_js_fs_watch_handler(uv_fs_event_t *event,
    const char *name, int events, int status);
static void mesh_agent_js_fs_watch_close(mesh_agent_js_obj_t *obj);
static void mesh_agent_js_fs_watch_free(uv_handle_t *handle);


static const duk_function_list_entry  mesh_agent_js_file_methods[] = {
    { "close", mesh_agent_js_fs_file_close, 0 },
    { "read", mesh_agent_js_fs_file_read, 4 },
    { "write", mesh_agent_js_fs_file_write, 4 },
    { "pull", mesh_agent_js_fs_file_pull, 2 },
    { "push", mesh_agent_js_fs_file_push, 2 },
    { "all", mesh_agent_js_fs_file_all, 0 },
    { NULL, NULL, 0 }
};

static const duk_function_list_entry  mesh_agent_js_watch_methods[] = {
    { "close", mesh_agent_js_fs_watch_stop, 0 },
    { NULL, NULL, 0 }
};

static const duk_number_list_entry  mesh_agent_js_fs_numbers[] = {
    { "O_RDONLY", UV_FS_O_RDONLY },
    { "O_WRONLY", UV_FS_O_WRONLY },
    { "O_RDWR", UV_FS_O_RDWR },
    { "O_CREAT", UV_FS_O_CREAT },
    { "O_EXCL", UV_FS_O_EXCL },
    { "O_TRUNC", UV_FS_O_TRUNC },
    { "O_APPEND", UV_FS_O_APPEND },
    { "O_NONBLOCK", UV_FS_O_NONBLOCK },
    { NULL, 0 }
};

static const duk_function_list_entry  mesh_agent_js_fs_functions[] = {
    { "openFlags", mesh_agent_js_fs_constants, 0 },
    { "open", mesh_agent_js_fs_open, 3 },
    { "stat", mesh_agent_js_fs_stat, 2 },
    { "readdir", mesh_agent_js_fs_readdir, 2 },
    { "mkdir", mesh_agent_js_fs_mkdir, 2 },
    { "rmdir", mesh_agent_js_fs_rmdir, 1 },
    { "unlink", mesh_agent_js_fs_unlink, 1 },
    { "rename", mesh_agent_js_fs_rename, 2 },
    { "copy", mesh_agent_js_fs_copy, 2 },
    { "chmod", mesh_agent_js_fs_chmod, 2 },
    { "chown", mesh_agent_js_fs_chown, 3 },
    { "readlink", mesh_agent_js_fs_readlink, 1 },
    { "watch", mesh_agent_js_fs_watch, 1 },
    { NULL, NULL, 0 }
};


void
mesh_agent_js_init_fs(duk_context *duk)
{
    duk_put_function_list(duk, -1, mesh_agent_js_fs_functions);
}


/* openFlags() -> {O_RDONLY: 0, ...}: other systems have other numbers */
static duk_ret_t
mesh_agent_js_fs_constants(duk_context *duk)
{
    duk_push_object(duk);
    duk_put_number_list(duk, -1, mesh_agent_js_fs_numbers);

    return 1;
}


/* open(path, flags, mode) -> file with fd; flags as of fopen(), or a number */
static duk_ret_t
mesh_agent_js_fs_open(duk_context *duk)
{
    int                    rc, flags, mode;
    uv_fs_t                req;
    const char            *path;
    mesh_agent_js_file_t  *file;

    path = mesh_agent_js_text(duk, 0);
    flags = mesh_agent_js_fs_flags(duk, 1);
    mode = duk_get_int_default(duk, 2, 0666);

    mesh_agent_js_push_object(duk, "file", mesh_agent_js_file_methods);
    duk_push_int(duk, -1);
    duk_put_prop_string(duk, -2, "fd");

    file = mesh_agent_alloc(sizeof(mesh_agent_js_file_t));
    mesh_agent_js_open(duk, -1, &file->obj, mesh_agent_js_fs_close);
    file->fd = -1;

    /* a FIFO without a writer, or a terminal, would stop the loop */
    rc = uv_fs_open(NULL, &req, path, flags | UV_FS_O_NONBLOCK, mode, NULL);
    uv_fs_req_cleanup(&req);

    if (rc < 0) {
        mesh_agent_js_fs_close(&file->obj);
        return mesh_agent_js_throw(duk, rc, "open", path);
    }

    file->fd = rc;
    duk_push_int(duk, rc);
    duk_put_prop_string(duk, -2, "fd");

    return 1;
}


static int
mesh_agent_js_fs_flags(duk_context *duk, duk_idx_t idx)
{
    int          flags, plus;
    const char  *s;

    if (duk_is_number(duk, idx)) {
        return duk_get_int(duk, idx);
    }

    s = duk_get_string_default(duk, idx, "r");
    plus = strchr(s, '+') != NULL;

    switch (s[0]) {

    case 'r':
        flags = plus ? UV_FS_O_RDWR : UV_FS_O_RDONLY;
        break;

    case 'w':
        flags = (plus ? UV_FS_O_RDWR : UV_FS_O_WRONLY) | UV_FS_O_CREAT
                | UV_FS_O_TRUNC;
        break;

    case 'a':
        flags = (plus ? UV_FS_O_RDWR : UV_FS_O_WRONLY) | UV_FS_O_CREAT
                | UV_FS_O_APPEND;
        break;

    default:
        (void) duk_error(duk, DUK_ERR_TYPE_ERROR, "unknown flags");
        return 0;
    }

    if (strchr(s, 'x') != NULL) {
        flags |= UV_FS_O_EXCL;
    }

    return flags;
}


/* file.close() */
static duk_ret_t
mesh_agent_js_fs_file_close(duk_context *duk)
{
    mesh_agent_js_fs_close(&mesh_agent_js_fs_this(duk)->obj);

    return 0;
}


/* file.read(buffer, offset, length, position | null) -> bytes */
static duk_ret_t
mesh_agent_js_fs_file_read(duk_context *duk)
{
    int                    rc;
    char                  *data;
    int64_t                position;
    uv_fs_t                req;
    uv_buf_t               buf;
    duk_size_t             size;
    duk_uint_t             offset, len;
    mesh_agent_js_file_t  *file;

    file = mesh_agent_js_fs_this(duk);
    data = duk_require_buffer_data(duk, 0, &size);
    offset = duk_get_uint_default(duk, 1, 0);

    if (offset > size) {
        return duk_error(duk, DUK_ERR_RANGE_ERROR, "offset past the end");
    }

    len = duk_get_uint_default(duk, 2, (duk_uint_t) (size - offset));
    if (len > size - offset) {
        len = (duk_uint_t) (size - offset);
    }

    if (len == 0) {
        duk_push_int(duk, 0);
        return 1;
    }

    position = duk_is_number(duk, 3) ? (int64_t) duk_get_number(duk, 3) : -1;

    buf = uv_buf_init(data + offset, len);
    rc = uv_fs_read(NULL, &req, file->fd, &buf, 1, position, NULL);
    uv_fs_req_cleanup(&req);

    if (rc < 0) {
        return mesh_agent_js_throw(duk, rc, "read", NULL);
    }

    duk_push_int(duk, rc);

    return 1;
}


/* file.write(bytes, offset, length, position | null) -> bytes */
static duk_ret_t
mesh_agent_js_fs_file_write(duk_context *duk)
{
    int                    rc;
    size_t                 size;
    int64_t                position;
    uv_fs_t                req;
    uv_buf_t               buf;
    duk_uint_t             offset, len;
    const uint8_t         *data;
    mesh_agent_js_file_t  *file;

    file = mesh_agent_js_fs_this(duk);
    data = mesh_agent_js_bytes(duk, 0, &size);
    offset = duk_get_uint_default(duk, 1, 0);

    if (offset > size) {
        return duk_error(duk, DUK_ERR_RANGE_ERROR, "offset past the end");
    }

    len = duk_get_uint_default(duk, 2, (duk_uint_t) (size - offset));
    if (len > size - offset) {
        len = (duk_uint_t) (size - offset);
    }

    position = duk_is_number(duk, 3) ? (int64_t) duk_get_number(duk, 3) : -1;

    buf = uv_buf_init((char *) data + offset, len);
    rc = uv_fs_write(NULL, &req, file->fd, &buf, 1, position, NULL);
    uv_fs_req_cleanup(&req);

    if (rc < 0) {
        return mesh_agent_js_throw(duk, rc, "write", NULL);
    }

    duk_push_int(duk, rc);

    return 1;
}


/* file.pull(length, position): ondata(error, Buffer) is called */
static duk_ret_t
mesh_agent_js_fs_file_pull(duk_context *duk)
{
    size_t    len;
    int64_t   position;

    len = duk_get_uint_default(duk, 0, MESH_AGENT_JS_FS_CHUNK);
    position = duk_is_number(duk, 1) ? (int64_t) duk_get_number(duk, 1) : -1;

    return mesh_agent_js_fs_queue(duk, mesh_agent_js_fs_this(duk), NULL,
                                  len < MESH_AGENT_JS_FS_CHUNK
                                  ? len : MESH_AGENT_JS_FS_CHUNK,
                                  position, 0);
}


/* file.push(bytes, position): onwritten(error, bytes) is called */
static duk_ret_t
mesh_agent_js_fs_file_push(duk_context *duk)
{
    size_t           len;
    int64_t          position;
    const uint8_t   *data;

    data = mesh_agent_js_bytes(duk, 0, &len);
    position = duk_is_number(duk, 1) ? (int64_t) duk_get_number(duk, 1) : -1;

    return mesh_agent_js_fs_queue(duk, mesh_agent_js_fs_this(duk), data, len,
                                  position, 1);
}


static duk_ret_t
mesh_agent_js_fs_queue(duk_context *duk, mesh_agent_js_file_t *file,
    const uint8_t *data, size_t len, int64_t position, int write)
{
    int                      rc;
    mesh_agent_t            *a;
    mesh_agent_js_fs_req_t  *r;

    /* the order of two would be that of the pool's threads */
    if (file->busy) {
        return duk_error(duk, DUK_ERR_ERROR, "the file is busy");
    }

    a = mesh_agent_js_agent(file->obj.js);

    r = mesh_agent_alloc(sizeof(mesh_agent_js_fs_req_t) + len);
    r->file = file;
    r->write = write ? 1 : 0;
    r->buf = uv_buf_init((char *) (r + 1), (unsigned) len);
    r->req.data = r;

    if (write) {
        memcpy(r + 1, data, len);
        rc = uv_fs_write(a->loop, &r->req, file->fd, &r->buf, 1, position,
                         mesh_agent_js_fs_handler);
    } else {
        rc = uv_fs_read(a->loop, &r->req, file->fd, &r->buf, 1, position,
                        mesh_agent_js_fs_handler);
    }

    if (rc != 0) {
        free(r);
        return mesh_agent_js_throw(duk, rc, write ? "write" : "read", NULL);
    }

    file->busy = 1;

    return 0;
}


static void
mesh_agent_js_fs_handler(uv_fs_t *req)
{
    duk_context             *duk;
    mesh_agent_js_fs_req_t  *r = req->data;
    mesh_agent_js_file_t    *file = r->file;

    file->busy = 0;

    if (file->closed) {
        mesh_agent_js_fs_close_file(file);
        goto done;
    }

    duk = mesh_agent_js_duk(file->obj.js);

    if (req->result < 0) {
        duk_push_string(duk, uv_strerror((int) req->result));
    } else {
        duk_push_null(duk);
    }

    if (r->write) {
        duk_push_number(duk, (double) req->result);
    } else {
        mesh_agent_js_push_buffer(duk, r->buf.base,
                                  req->result > 0 ? (size_t) req->result : 0);
    }

    (void) mesh_agent_js_call(&file->obj, r->write ? "onwritten" : "ondata",
                              2);

done:

    uv_fs_req_cleanup(req);
    free(r);
}


static mesh_agent_js_file_t *
mesh_agent_js_fs_this(duk_context *duk)
{
    mesh_agent_js_file_t  *file;

    duk_push_this(duk);
    file = mesh_agent_js_obj(duk, -1, mesh_agent_js_fs_close);
    duk_pop(duk);

    if (file == NULL || file->closed) {
        (void) mesh_agent_js_throw(duk, UV_EBADF, "file", NULL);
    }

    return file;
}


static void
mesh_agent_js_fs_close(mesh_agent_js_obj_t *obj)
{
    mesh_agent_js_file_t  *file = (mesh_agent_js_file_t *) obj;

    file->closed = 1;

    /* the number may be another file as soon as it is closed */
    if (!file->busy) {
        mesh_agent_js_fs_close_file(file);
    }
}


static void
mesh_agent_js_fs_close_file(mesh_agent_js_file_t *file)
{
    uv_fs_t  req;

    if (file->fd != -1) {
        (void) uv_fs_close(NULL, &req, file->fd, NULL);
        uv_fs_req_cleanup(&req);
    }

    mesh_agent_js_gone(&file->obj);
    free(file);
}


/* file.all() -> Buffer with what is left of it */
static duk_ret_t
mesh_agent_js_fs_file_all(duk_context *duk)
{
    int                    rc;
    char                  *data;
    size_t                 size, len;
    uv_fs_t                req;
    uv_buf_t               buf;
    mesh_agent_js_file_t  *file;

    file = mesh_agent_js_fs_this(duk);

    /* what /proc and /sys hold has no size beforehand */
    size = 4096;
    len = 0;
    data = duk_push_dynamic_buffer(duk, size);

    for ( ;; ) {
        buf = uv_buf_init(data + len, (unsigned) (size - len));
        rc = uv_fs_read(NULL, &req, file->fd, &buf, 1, -1, NULL);
        uv_fs_req_cleanup(&req);

        if (rc <= 0) {
            break;
        }

        len += (size_t) rc;

        if (len == size) {
            /* the heap's bound is lower: this ends what has no end */
            size *= 2;
            data = duk_resize_buffer(duk, -1, size);
        }
    }

    if (rc < 0) {
        return mesh_agent_js_throw(duk, rc, "read", NULL);
    }

    mesh_agent_js_push_buffer(duk, data, len);

    return 1;
}


/* stat(path, ofLink) -> numbers and strings, or undefined: there is none */
static duk_ret_t
mesh_agent_js_fs_stat(duk_context *duk)
{
    int          rc;
    uv_fs_t      req;
    uv_stat_t   *st;
    const char  *path;

    path = mesh_agent_js_text(duk, 0);

    rc = duk_to_boolean(duk, 1) ? uv_fs_lstat(NULL, &req, path, NULL)
                                : uv_fs_stat(NULL, &req, path, NULL);
    if (rc != 0) {
        return mesh_agent_js_fs_done(duk, &req, "stat", path);
    }

    /* the request owns nothing that a throw could lose */
    st = &req.statbuf;
    uv_fs_req_cleanup(&req);

    duk_push_object(duk);

    duk_push_number(duk, (double) st->st_size);
    duk_put_prop_string(duk, -2, "size");
    duk_push_number(duk, (double) st->st_mode);
    duk_put_prop_string(duk, -2, "mode");
    duk_push_number(duk, (double) st->st_uid);
    duk_put_prop_string(duk, -2, "uid");
    duk_push_number(duk, (double) st->st_gid);
    duk_put_prop_string(duk, -2, "gid");
    mesh_agent_js_fs_put_time(duk, "atime", &st->st_atim);
    mesh_agent_js_fs_put_time(duk, "mtime", &st->st_mtim);
    mesh_agent_js_fs_put_time(duk, "ctime", &st->st_ctim);

    return 1;
}


/* milliseconds since 1970 */
static void
mesh_agent_js_fs_put_time(duk_context *duk, const char *name,
    const uv_timespec_t *ts)
{
    duk_push_number(duk, (double) ts->tv_sec * 1000
                         + (double) ts->tv_nsec / 1000000);
    duk_put_prop_string(duk, -2, name);
}


/* readdir(path, max) -> names in any order, so many at most */
static duk_ret_t
mesh_agent_js_fs_readdir(duk_context *duk)
{
    uv_fs_t                  req;
    duk_int_t                rc;
    const char              *path;
    mesh_agent_js_folder_t   folder;

    path = mesh_agent_js_text(duk, 0);

    if (uv_fs_opendir(NULL, &req, path, NULL) < 0) {
        return mesh_agent_js_fs_done(duk, &req, "scandir", path);
    }

    memset(&folder, 0, sizeof(folder));
    folder.dir = req.ptr;
    folder.max = duk_get_uint_default(duk, 1, DUK_UINT_MAX);
    uv_fs_req_cleanup(&req);

    /* a throw must not lose the folder */
    rc = duk_safe_call(duk, mesh_agent_js_fs_readdir_call, &folder, 0, 1);

    uv_fs_req_cleanup(&folder.req);
    (void) uv_fs_closedir(NULL, &req, folder.dir, NULL);
    uv_fs_req_cleanup(&req);

    if (rc != DUK_EXEC_SUCCESS) {
        return duk_throw(duk);
    }

    return folder.rc < 0 ? mesh_agent_js_throw(duk, folder.rc, "scandir", path)
                         : 1;
}


/* a few at a time: of a large folder nothing is kept but the script's own */
static duk_ret_t
mesh_agent_js_fs_readdir_call(duk_context *duk, void *data)
{
    mesh_agent_js_folder_t *folder = data;

    int            i;
    const char    *name;
    duk_uarridx_t  n;

    duk_push_array(duk);
    n = 0;

    do {
        uv_fs_req_cleanup(&folder->req);
        folder->dir->dirents = folder->entries;
        folder->dir->nentries = MESH_AGENT_JS_FS_NAMES;
        folder->rc = uv_fs_readdir(NULL, &folder->req, folder->dir, NULL);

        for (i = 0; i < folder->rc && n < folder->max; i++) {
            name = folder->entries[i].name;
            mesh_agent_js_push_text(duk, name, strlen(name));
            duk_put_prop_index(duk, -2, n++);
        }

    } while (folder->rc > 0 && n < folder->max);

    return 1;
}


/* mkdir(path, mode) */
static duk_ret_t
mesh_agent_js_fs_mkdir(duk_context *duk)
{
    uv_fs_t      req;
    const char  *path;

    path = mesh_agent_js_text(duk, 0);
    (void) uv_fs_mkdir(NULL, &req, path, duk_get_int_default(duk, 1, 0777),
                       NULL);

    return mesh_agent_js_fs_done(duk, &req, "mkdir", path);
}


/* rmdir(path) */
static duk_ret_t
mesh_agent_js_fs_rmdir(duk_context *duk)
{
    uv_fs_t      req;
    const char  *path;

    path = mesh_agent_js_text(duk, 0);
    (void) uv_fs_rmdir(NULL, &req, path, NULL);

    return mesh_agent_js_fs_done(duk, &req, "rmdir", path);
}


/* unlink(path) */
static duk_ret_t
mesh_agent_js_fs_unlink(duk_context *duk)
{
    uv_fs_t      req;
    const char  *path;

    path = mesh_agent_js_text(duk, 0);
    (void) uv_fs_unlink(NULL, &req, path, NULL);

    return mesh_agent_js_fs_done(duk, &req, "unlink", path);
}


/* rename(from, to) */
static duk_ret_t
mesh_agent_js_fs_rename(duk_context *duk)
{
    uv_fs_t      req;
    const char  *path;

    path = mesh_agent_js_text(duk, 0);
    (void) uv_fs_rename(NULL, &req, path, mesh_agent_js_text(duk, 1), NULL);

    return mesh_agent_js_fs_done(duk, &req, "rename", path);
}


/* copy(from, to) */
static duk_ret_t
mesh_agent_js_fs_copy(duk_context *duk)
{
    uv_fs_t      req;
    const char  *path;

    path = mesh_agent_js_text(duk, 0);
    (void) uv_fs_copyfile(NULL, &req, path, mesh_agent_js_text(duk, 1), 0,
                          NULL);

    return mesh_agent_js_fs_done(duk, &req, "copy", path);
}


/* chmod(path, mode) */
static duk_ret_t
mesh_agent_js_fs_chmod(duk_context *duk)
{
    uv_fs_t      req;
    const char  *path;

    path = mesh_agent_js_text(duk, 0);
    (void) uv_fs_chmod(NULL, &req, path, duk_require_int(duk, 1), NULL);

    return mesh_agent_js_fs_done(duk, &req, "chmod", path);
}


/* chown(path, uid, gid) */
static duk_ret_t
mesh_agent_js_fs_chown(duk_context *duk)
{
    uv_fs_t      req;
    const char  *path;

    path = mesh_agent_js_text(duk, 0);
    (void) uv_fs_chown(NULL, &req, path, (uv_uid_t) duk_require_int(duk, 1),
                       (uv_gid_t) duk_require_int(duk, 2), NULL);

    return mesh_agent_js_fs_done(duk, &req, "chown", path);
}


/* readlink(path) -> path */
static duk_ret_t
mesh_agent_js_fs_readlink(duk_context *duk)
{
    char         target[4096];
    uv_fs_t      req;
    const char  *path;

    path = mesh_agent_js_text(duk, 0);

    if (uv_fs_readlink(NULL, &req, path, NULL) != 0) {
        return mesh_agent_js_fs_done(duk, &req, "readlink", path);
    }

    strncpy(target, req.ptr, sizeof(target) - 1);
    target[sizeof(target) - 1] = '\0';
    uv_fs_req_cleanup(&req);

    mesh_agent_js_push_text(duk, target, strlen(target));

    return 1;
}


/* ends the request; throws what it failed with */
static duk_ret_t
mesh_agent_js_fs_done(duk_context *duk, uv_fs_t *req, const char *what,
    const char *path)
{
    int  rc;

    rc = (int) req->result;
    uv_fs_req_cleanup(req);

    return rc < 0 ? mesh_agent_js_throw(duk, rc, what, path) : 0;
}


/* watch(path) -> object; onchange(event, name) is called */
static duk_ret_t
mesh_agent_js_fs_watch(duk_context *duk)
{
    int                     rc;
    const char             *path;
    mesh_agent_t           *a;
    mesh_agent_js_watch_t  *w;

    path = mesh_agent_js_text(duk, 0);
    a = mesh_agent_js_agent(mesh_agent_js_of(duk));

    mesh_agent_js_push_object(duk, "watch", mesh_agent_js_watch_methods);

    w = mesh_agent_alloc(sizeof(mesh_agent_js_watch_t));
    mesh_agent_js_open(duk, -1, &w->obj, mesh_agent_js_fs_watch_close);

    w->event.data = w;
    uv_fs_event_init(a->loop, &w->event);

    rc = uv_fs_event_start(&w->event, mesh_agent_js_fs_watch_handler, path, 0);
    if (rc != 0) {
        mesh_agent_js_fs_watch_close(&w->obj);
        return mesh_agent_js_throw(duk, rc, "watch", path);
    }

    return 1;
}


/* close() */
static duk_ret_t
mesh_agent_js_fs_watch_stop(duk_context *duk)
{
    mesh_agent_js_watch_t  *w;

    duk_push_this(duk);
    w = mesh_agent_js_obj(duk, -1, mesh_agent_js_fs_watch_close);

    if (w != NULL) {
        mesh_agent_js_fs_watch_close(&w->obj);
    }

    return 0;
}


static void
mesh_agent_js_fs_watch_handler(uv_fs_event_t *event, const char *name,
    int events, int status)
{
    duk_context            *duk;
    mesh_agent_js_watch_t  *w = event->data;

    if (status != 0) {
        return;
    }

    duk = mesh_agent_js_duk(w->obj.js);

    duk_push_string(duk, events & UV_RENAME ? "rename" : "change");

    if (name != NULL) {
        mesh_agent_js_push_text(duk, name, strlen(name));
    } else {
        duk_push_null(duk);
    }

    (void) mesh_agent_js_call(&w->obj, "onchange", 2);
}


static void
mesh_agent_js_fs_watch_close(mesh_agent_js_obj_t *obj)
{
    mesh_agent_js_watch_t  *w = (mesh_agent_js_watch_t *) obj;

    if (!uv_is_closing((uv_handle_t *) &w->event)) {
        uv_close((uv_handle_t *) &w->event, mesh_agent_js_fs_watch_free);
    }
}


static void
mesh_agent_js_fs_watch_free(uv_handle_t *handle)
{
    mesh_agent_js_watch_t  *w = handle->data;

    mesh_agent_js_gone(&w->obj);
    free(w);
}

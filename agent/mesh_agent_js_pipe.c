/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Pipes, terminals, and connections that were accepted.  A pipe that nobody
 * wants to read is not read: what the other side writes then waits in the
 * kernel, and so does its writer.
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "mesh_agent_js_pipe.h"
#include "os/mesh_agent_os.h"


#define MESH_AGENT_JS_PIPE_HIGH   65536                /* write() is false */
#define MESH_AGENT_JS_PIPE_MAX    (8 * 1024 * 1024)    /* write() throws */
#define MESH_AGENT_JS_PIPE_READ   32768
#define MESH_AGENT_JS_PIPE_DRAIN  (1024 * 1024)        /* of one drain() */


typedef struct {
    mesh_agent_js_obj_t  obj;
    union {
        uv_pipe_t        pipe;
        uv_tcp_t         tcp;
    };
    size_t               queued;          /* bytes that libuv has */
    unsigned             reading:1;
    unsigned             eof:1;
    unsigned             full:1;          /* the script waits for ondrain() */
    unsigned             ending:1;        /* closes when all is written */
    unsigned             socket:1;        /* may be written after its end */
} mesh_agent_js_pipe_t;

typedef struct {
    uv_write_t           req;
    uv_buf_t             buf;
} mesh_agent_js_pipe_write_t;


static mesh_agent_js_pipe_t *mesh_agent_js_pipe_push(duk_context *duk);
static duk_ret_t mesh_agent_js_pipe_write(duk_context *duk);
static int mesh_agent_js_pipe_send(mesh_agent_js_pipe_t *p,
    const uint8_t *data, size_t len);
static void mesh_agent_js_pipe_write_handler(uv_write_t *req, int status);
static duk_ret_t mesh_agent_js_pipe_resume(duk_context *duk);
static duk_ret_t mesh_agent_js_pipe_pause(duk_context *duk);
static duk_ret_t mesh_agent_js_pipe_drain(duk_context *duk);
static duk_ret_t mesh_agent_js_pipe_end(duk_context *duk);
static duk_ret_t mesh_agent_js_pipe_close_method(duk_context *duk);
static duk_ret_t mesh_agent_js_pipe_fd(duk_context *duk);
static void mesh_agent_js_pipe_alloc(uv_handle_t *handle, size_t size,
    uv_buf_t *buf);
static void mesh_agent_js_pipe_read_handler(uv_stream_t *stream, ssize_t n,
    const uv_buf_t *buf);
static void mesh_agent_js_pipe_eof(mesh_agent_js_pipe_t *p);
static mesh_agent_js_pipe_t *mesh_agent_js_pipe_this(duk_context *duk);
static void mesh_agent_js_pipe_close(mesh_agent_js_obj_t *obj);
static void mesh_agent_js_pipe_close_handler(uv_handle_t *handle);


static const duk_function_list_entry  mesh_agent_js_pipe_methods[] = {
    { "write", mesh_agent_js_pipe_write, 1 },
    { "resume", mesh_agent_js_pipe_resume, 0 },
    { "pause", mesh_agent_js_pipe_pause, 0 },
    { "drain", mesh_agent_js_pipe_drain, 0 },
    { "end", mesh_agent_js_pipe_end, 0 },
    { "close", mesh_agent_js_pipe_close_method, 0 },
    { "fd", mesh_agent_js_pipe_fd, 0 },
    { NULL, NULL, 0 }
};


void
mesh_agent_js_push_pipe(duk_context *duk)
{
    mesh_agent_js_pipe_t  *p;

    p = mesh_agent_js_pipe_push(duk);
    uv_pipe_init(mesh_agent_js_agent(p->obj.js)->loop, &p->pipe, 0);
}


int
mesh_agent_js_push_accepted(duk_context *duk, uv_stream_t *server)
{
    int                    rc;
    mesh_agent_js_pipe_t  *p;

    p = mesh_agent_js_pipe_push(duk);
    p->socket = 1;

    if (server->type == UV_TCP) {
        uv_tcp_init(server->loop, &p->tcp);
    } else {
        uv_pipe_init(server->loop, &p->pipe, 0);
    }

    rc = uv_accept(server, (uv_stream_t *) &p->pipe);

    if (rc != 0) {
        mesh_agent_js_pipe_close(&p->obj);
        duk_pop(duk);
    }

    return rc;
}


int
mesh_agent_js_pipe_peer(duk_context *duk, duk_idx_t idx,
    struct sockaddr_storage *ss)
{
    int                    len;
    mesh_agent_js_pipe_t  *p;

    p = mesh_agent_js_obj(duk, idx, mesh_agent_js_pipe_close);
    len = sizeof(struct sockaddr_storage);

    return p == NULL || p->tcp.type != UV_TCP
           ? UV_ENOTSOCK
           : uv_tcp_getpeername(&p->tcp, (struct sockaddr *) ss, &len);
}


static mesh_agent_js_pipe_t *
mesh_agent_js_pipe_push(duk_context *duk)
{
    mesh_agent_js_pipe_t  *p;

    mesh_agent_js_push_object(duk, "pipe", mesh_agent_js_pipe_methods);

    p = mesh_agent_alloc(sizeof(mesh_agent_js_pipe_t));
    mesh_agent_js_open(duk, -1, &p->obj, mesh_agent_js_pipe_close);
    p->pipe.data = p;

    return p;
}


int
mesh_agent_js_pipe_open(duk_context *duk, duk_idx_t idx, int fd)
{
    int                    rc;
    mesh_agent_js_pipe_t  *p;

    p = mesh_agent_js_obj(duk, idx, mesh_agent_js_pipe_close);

    rc = p == NULL || fd == -1 ? UV_EBADF : uv_pipe_open(&p->pipe, fd);

    if (rc != 0) {
        if (fd != -1) {
            (void) close(fd);
        }

        if (p != NULL) {
            mesh_agent_js_pipe_close(&p->obj);
        }
    }

    return rc;
}


/* write(string | Buffer) -> false: wait for ondrain() */
static duk_ret_t
mesh_agent_js_pipe_write(duk_context *duk)
{
    int                    rc;
    size_t                 len;
    const uint8_t         *data;
    mesh_agent_js_pipe_t  *p;

    data = mesh_agent_js_bytes(duk, 0, &len);
    p = mesh_agent_js_pipe_this(duk);

    if (p == NULL || p->ending) {
        duk_push_false(duk);
        return 1;
    }

    if (len > MESH_AGENT_JS_PIPE_MAX - p->queued) {
        return duk_error(duk, DUK_ERR_RANGE_ERROR, "too much is waiting");
    }

    rc = mesh_agent_js_pipe_send(p, data, len);
    if (rc != 0) {
        /* the reader has gone: onclose() tells it */
        mesh_agent_js_pipe_close(&p->obj);
        duk_push_false(duk);
        return 1;
    }

    if (p->queued >= MESH_AGENT_JS_PIPE_HIGH) {
        p->full = 1;
    }

    duk_push_boolean(duk, !p->full);

    return 1;
}


static int
mesh_agent_js_pipe_send(mesh_agent_js_pipe_t *p, const uint8_t *data,
    size_t len)
{
    int                          rc;
    uv_buf_t                     buf;
    mesh_agent_js_pipe_write_t  *w;

    if (p->queued == 0 && len > 0) {
        buf = uv_buf_init((char *) data, (unsigned) len);
        rc = uv_try_write((uv_stream_t *) &p->pipe, &buf, 1);

        if (rc < 0 && rc != UV_EAGAIN) {
            return rc;
        }

        if (rc > 0) {
            data += rc;
            len -= (size_t) rc;
        }
    }

    if (len == 0) {
        return 0;
    }

    w = mesh_agent_alloc(sizeof(mesh_agent_js_pipe_write_t) + len);
    memcpy(w + 1, data, len);
    w->buf = uv_buf_init((char *) (w + 1), (unsigned) len);

    rc = uv_write(&w->req, (uv_stream_t *) &p->pipe, &w->buf, 1,
                  mesh_agent_js_pipe_write_handler);
    if (rc != 0) {
        free(w);
        return rc;
    }

    p->queued += len;

    return 0;
}


static void
mesh_agent_js_pipe_write_handler(uv_write_t *req, int status)
{
    mesh_agent_js_pipe_t        *p = req->handle->data;
    mesh_agent_js_pipe_write_t  *w = (mesh_agent_js_pipe_write_t *) req;

    p->queued -= w->buf.len;
    free(w);

    if (uv_is_closing((uv_handle_t *) &p->pipe)) {
        return;
    }

    if (status != 0) {
        duk_push_string(mesh_agent_js_duk(p->obj.js), uv_strerror(status));
        (void) mesh_agent_js_call(&p->obj, "onerror", 1);
        mesh_agent_js_pipe_close(&p->obj);
        return;
    }

    if (p->queued == 0 && p->ending) {
        mesh_agent_js_pipe_close(&p->obj);
        return;
    }

    if (p->full && p->queued < MESH_AGENT_JS_PIPE_HIGH / 4) {
        p->full = 0;
        (void) mesh_agent_js_call(&p->obj, "ondrain", 0);
    }
}


/* resume(): ondata(Buffer) is called from now on, and onend() at the end */
static duk_ret_t
mesh_agent_js_pipe_resume(duk_context *duk)
{
    int                    rc;
    mesh_agent_js_pipe_t  *p;

    p = mesh_agent_js_pipe_this(duk);

    if (p == NULL || p->reading || p->eof) {
        return 0;
    }

    rc = uv_read_start((uv_stream_t *) &p->pipe, mesh_agent_js_pipe_alloc,
                       mesh_agent_js_pipe_read_handler);
    if (rc != 0) {
        return mesh_agent_js_throw(duk, rc, "read", NULL);
    }

    p->reading = 1;

    return 0;
}


/* pause() */
static duk_ret_t
mesh_agent_js_pipe_pause(duk_context *duk)
{
    mesh_agent_js_pipe_t  *p;

    p = mesh_agent_js_pipe_this(duk);

    if (p != NULL && p->reading) {
        p->reading = 0;
        uv_read_stop((uv_stream_t *) &p->pipe);
    }

    return 0;
}


/*
 * drain(): reads what is there already, as if the loop had.  For a program
 * that has ended: its last words come before the news of its end.
 */
static duk_ret_t
mesh_agent_js_pipe_drain(duk_context *duk)
{
    int                    fd;
    long                   n;
    size_t                 total;
    uv_buf_t               buf;
    uv_os_fd_t             os_fd;
    mesh_agent_js_pipe_t  *p;
    char                   data[MESH_AGENT_JS_PIPE_READ];

    p = mesh_agent_js_pipe_this(duk);

    if (p == NULL || uv_fileno((uv_handle_t *) &p->pipe, &os_fd) != 0) {
        return 0;
    }

    fd = (int) (intptr_t) os_fd;
    total = 0;

    while (p->reading && total < MESH_AGENT_JS_PIPE_DRAIN) {
        n = mesh_agent_os_read(fd, data, sizeof(data));

        if (n == UV_EAGAIN) {
            break;
        }

        buf = uv_buf_init(data, sizeof(data));
        mesh_agent_js_pipe_read_handler((uv_stream_t *) &p->pipe,
                                        n > 0 ? n : UV_EOF, &buf);
        if (n <= 0) {
            break;
        }

        total += (size_t) n;
    }

    return 0;
}


/* end(): closes when all is written */
static duk_ret_t
mesh_agent_js_pipe_end(duk_context *duk)
{
    mesh_agent_js_pipe_t  *p;

    p = mesh_agent_js_pipe_this(duk);

    if (p == NULL) {
        return 0;
    }

    p->ending = 1;

    if (p->queued == 0) {
        mesh_agent_js_pipe_close(&p->obj);
    }

    return 0;
}


/* close(): at once */
static duk_ret_t
mesh_agent_js_pipe_close_method(duk_context *duk)
{
    mesh_agent_js_pipe_t  *p;

    p = mesh_agent_js_pipe_this(duk);

    if (p != NULL) {
        mesh_agent_js_pipe_close(&p->obj);
    }

    return 0;
}


/* fd() -> number, or -1 */
static duk_ret_t
mesh_agent_js_pipe_fd(duk_context *duk)
{
    uv_os_fd_t             fd;
    mesh_agent_js_pipe_t  *p;

    p = mesh_agent_js_pipe_this(duk);

    if (p == NULL || uv_fileno((uv_handle_t *) &p->pipe, &fd) != 0) {
        duk_push_int(duk, -1);

    } else {
        duk_push_int(duk, (int) (intptr_t) fd);
    }

    return 1;
}


static void
mesh_agent_js_pipe_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    (void) size;
    (void) handle;

    /* of the one thread: libuv reads into it and calls the handler at once */
    static char  data[MESH_AGENT_JS_PIPE_READ];

    *buf = uv_buf_init(data, sizeof(data));
}


static void
mesh_agent_js_pipe_read_handler(uv_stream_t *stream, ssize_t n,
    const uv_buf_t *buf)
{
    mesh_agent_js_pipe_t  *p = stream->data;

    if (n > 0) {
        mesh_agent_js_push_buffer(mesh_agent_js_duk(p->obj.js), buf->base,
                                  (size_t) n);
        (void) mesh_agent_js_call(&p->obj, "ondata", 1);

    } else if (n < 0) {
        /* EIO is how a terminal ends; any other failure is an end as well */
        mesh_agent_js_pipe_eof(p);
    }
}


static void
mesh_agent_js_pipe_eof(mesh_agent_js_pipe_t *p)
{
    p->eof = 1;
    p->reading = 0;
    uv_read_stop((uv_stream_t *) &p->pipe);

    (void) mesh_agent_js_call(&p->obj, "onend", 0);

    /* nothing will be read by anyone on the other side of it either */
    if (!p->socket) {
        mesh_agent_js_pipe_close(&p->obj);
    }
}


static mesh_agent_js_pipe_t *
mesh_agent_js_pipe_this(duk_context *duk)
{
    mesh_agent_js_pipe_t  *p;

    duk_push_this(duk);
    p = mesh_agent_js_obj(duk, -1, mesh_agent_js_pipe_close);
    duk_pop(duk);

    return p == NULL || uv_is_closing((uv_handle_t *) &p->pipe) ? NULL : p;
}


static void
mesh_agent_js_pipe_close(mesh_agent_js_obj_t *obj)
{
    mesh_agent_js_pipe_t  *p = (mesh_agent_js_pipe_t *) obj;

    if (!uv_is_closing((uv_handle_t *) &p->pipe)) {
        p->reading = 0;
        uv_close((uv_handle_t *) &p->pipe, mesh_agent_js_pipe_close_handler);
    }
}


static void
mesh_agent_js_pipe_close_handler(uv_handle_t *handle)
{
    mesh_agent_js_pipe_t  *p = handle->data;

    (void) mesh_agent_js_call(&p->obj, "onclose", 0);
    mesh_agent_js_gone(&p->obj);
    free(p);
}

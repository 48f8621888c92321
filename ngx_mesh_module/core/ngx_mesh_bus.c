/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Each worker listens on <mesh_ipc_path>/w.<pid>.  Who connects says in its
 * first record whether the socket is a link (messages, one direction) or a
 * pipe, which then belongs to whoever registered its type.  Messages of one
 * turn of the event loop leave together.
 */

#include "../ngx_mesh.h"


#define NGX_MESH_BUS_QUEUE     (8 * 1024 * 1024)
#define NGX_MESH_BUS_BUFFER    (NGX_MESH_BUS_QUEUE + MESH_BUS_HEAD)
#define NGX_MESH_BUS_KEEP      65536          /* of an idle buffer */
#define NGX_MESH_BUS_BACKLOG   512
#define NGX_MESH_PIPE_BUFFER   131072


/* owns data */
typedef struct {
    u_char            *data;
    size_t             pos, len, size;
} ngx_mesh_bus_buf_t;

/* to another worker; the one to this worker has no connection */
typedef struct {
    ngx_connection_t  *c;
    uint32_t           epoch;
    ngx_uint_t         slot;
    ngx_mesh_bus_buf_t out;
    ngx_event_t        flush;         /* posted */
} ngx_mesh_link_t;

/* an accepted socket, until it is handed over, or a link */
typedef struct {
    ngx_connection_t  *c;
    u_char             start[MESH_BUS_HELLO];
    size_t             got;           /* bytes of it */
    ngx_mesh_hello_t   hello;
    ngx_mesh_bus_buf_t in;
} ngx_mesh_peer_t;


static ngx_int_t ngx_mesh_bus_listen(ngx_log_t *log);
static void ngx_mesh_bus_accept(ngx_event_t *ev);
static ngx_int_t ngx_mesh_bus_peer_check(ngx_socket_t fd, ngx_log_t *log);
static ngx_connection_t *ngx_mesh_bus_connection(ngx_socket_t fd);
static void ngx_mesh_bus_read(ngx_event_t *ev);
static ngx_int_t ngx_mesh_bus_hello(ngx_mesh_peer_t *peer);
static ngx_int_t ngx_mesh_bus_dispatch(ngx_mesh_bus_buf_t *b,
    ngx_mesh_addr_t *from);
static void ngx_mesh_bus_peer_close(ngx_mesh_peer_t *peer);
static void ngx_mesh_bus_ignore(ngx_event_t *ev);

static ngx_mesh_link_t *ngx_mesh_bus_link(ngx_uint_t slot, uint32_t epoch);
static ngx_connection_t *ngx_mesh_bus_connect(ngx_uint_t slot, uint32_t epoch,
    ngx_mesh_hello_t *hello);
static ngx_int_t ngx_mesh_bus_append(ngx_mesh_bus_buf_t *b, const void *data,
    size_t len);
static ngx_int_t ngx_mesh_bus_room(ngx_mesh_bus_buf_t *b, size_t len);
static void ngx_mesh_bus_flush(ngx_event_t *ev);
static void ngx_mesh_bus_writable(ngx_event_t *ev);
static void ngx_mesh_bus_broken(ngx_event_t *ev);
static void ngx_mesh_bus_link_close(ngx_mesh_link_t *link);


static ngx_connection_t          *ngx_mesh_listener;
static u_char                     ngx_mesh_bus_path[128];
static ngx_mesh_link_t           *ngx_mesh_links[NGX_MESH_SLOTS];
static ngx_mesh_bus_handler_pt    ngx_mesh_bus_handlers[NGX_MESH_BUS_TYPES];
static ngx_mesh_pipe_handler_pt   ngx_mesh_pipe_handlers[MESH_BUS_PIPES];
static ngx_mesh_bus_left_pt       ngx_mesh_bus_left_handler;


void
ngx_mesh_bus_handler(ngx_mesh_bus_type_e type, ngx_mesh_bus_handler_pt handler)
{
    ngx_mesh_bus_handlers[type] = handler;
}


void
ngx_mesh_pipe_handler(ngx_uint_t type, ngx_mesh_pipe_handler_pt handler)
{
    ngx_mesh_pipe_handlers[type] = handler;
}


void
ngx_mesh_bus_left(ngx_mesh_bus_left_pt handler)
{
    ngx_mesh_bus_left_handler = handler;
}


/* never fails: what is missing is tried again by the tick */
ngx_int_t
ngx_mesh_bus_init(ngx_cycle_t *cycle)
{
    ngx_memzero(ngx_mesh_links, sizeof(ngx_mesh_links));

    return ngx_mesh_bus_listen(cycle->log);
}


ngx_int_t
ngx_mesh_bus_ready(void)
{
    return ngx_mesh_listener != NULL;
}


void
ngx_mesh_bus_tick(void)
{
    if (ngx_mesh_listener == NULL) {
        (void) ngx_mesh_bus_listen(ngx_cycle->log);
    }
}


void
ngx_mesh_bus_exit(ngx_cycle_t *cycle)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_MESH_SLOTS; i++) {
        if (ngx_mesh_links[i]) {
            /* what was queued in this turn still leaves */
            if (ngx_mesh_links[i]->c) {
                ngx_mesh_bus_flush(&ngx_mesh_links[i]->flush);
            }
        }

        if (ngx_mesh_links[i]) {
            ngx_mesh_bus_link_close(ngx_mesh_links[i]);
        }
    }

    if (ngx_mesh_listener) {
        ngx_close_connection(ngx_mesh_listener);
        ngx_mesh_listener = NULL;
        (void) ngx_delete_file(ngx_mesh_bus_path);
    }
}


static ngx_int_t
ngx_mesh_bus_listen(ngx_log_t *log)
{
    ngx_socket_t         fd;
    ngx_connection_t    *c;
    struct sockaddr_un   sun;

    ngx_memzero(&sun, sizeof(struct sockaddr_un));
    sun.sun_family = AF_UNIX;
    *ngx_snprintf((u_char *) sun.sun_path, sizeof(sun.sun_path) - 1,
                  "%V/w.%P", &ngx_mesh_core_conf()->ipc_path->name, ngx_pid)
        = '\0';
    ngx_cpystrn(ngx_mesh_bus_path, (u_char *) sun.sun_path,
                sizeof(ngx_mesh_bus_path));

    fd = ngx_socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd == (ngx_socket_t) -1) {
        ngx_log_error(NGX_LOG_CRIT, log, ngx_socket_errno,
                      "mesh bus: " ngx_socket_n " failed");
        return NGX_ERROR;
    }

    /* the name of an earlier process with our pid */
    (void) ngx_delete_file(ngx_mesh_bus_path);

    if (ngx_nonblocking(fd) == -1
        || bind(fd, (struct sockaddr *) &sun, sizeof(struct sockaddr_un)) == -1
        || chmod(sun.sun_path, S_IRUSR|S_IWUSR) == -1
        || listen(fd, NGX_MESH_BUS_BACKLOG) == -1)
    {
        ngx_log_error(NGX_LOG_CRIT, log, ngx_socket_errno,
                      "mesh bus: cannot listen on \"%s\"", sun.sun_path);
        (void) ngx_close_socket(fd);
        return NGX_ERROR;
    }

    c = ngx_get_connection(fd, log);

    if (c == NULL) {
        (void) ngx_close_socket(fd);
        return NGX_ERROR;
    }

    c->log = ngx_cycle->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_mesh_bus_accept;
    c->write->handler = ngx_mesh_bus_ignore;

    /* it stays open while the worker drains, and is no session */
    c->read->channel = 1;
    c->write->channel = 1;

    if (ngx_add_event(c->read, NGX_READ_EVENT, 0) != NGX_OK) {
        ngx_close_connection(c);
        return NGX_ERROR;
    }

    ngx_mesh_listener = c;

    return NGX_OK;
}


static void
ngx_mesh_bus_accept(ngx_event_t *ev)
{
    ngx_socket_t       fd;
    ngx_connection_t  *c;
    ngx_mesh_peer_t   *peer;

    /* level-triggered: the next one brings us here again */
    fd = accept4(((ngx_connection_t *) ev->data)->fd, NULL, NULL,
                 SOCK_NONBLOCK|SOCK_CLOEXEC);

    if (fd == (ngx_socket_t) -1) {
        return;
    }

    if (ngx_mesh_bus_peer_check(fd, ev->log) != NGX_OK) {
        (void) ngx_close_socket(fd);
        return;
    }

    c = ngx_mesh_bus_connection(fd);

    if (c == NULL) {
        return;
    }

    peer = ngx_calloc(sizeof(ngx_mesh_peer_t), c->log);

    if (peer == NULL) {
        ngx_close_connection(c);
        return;
    }

    peer->c = c;
    c->data = peer;
    c->read->handler = ngx_mesh_bus_read;
    c->write->handler = ngx_mesh_bus_ignore;
}


static ngx_int_t
ngx_mesh_bus_peer_check(ngx_socket_t fd, ngx_log_t *log)
{
    socklen_t     len;
    struct ucred  cred;

    len = sizeof(struct ucred);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1) {
        ngx_log_error(NGX_LOG_CRIT, log, ngx_socket_errno,
                      "mesh bus: getsockopt(SO_PEERCRED) failed");
        return NGX_ERROR;
    }

    if (cred.uid != geteuid()) {
        ngx_log_error(NGX_LOG_CRIT, log, 0,
                      "mesh bus: process %P of user %d is not a worker",
                      cred.pid, (int) cred.uid);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* closes fd on failure */
static ngx_connection_t *
ngx_mesh_bus_connection(ngx_socket_t fd)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(fd, ngx_cycle->log);

    if (c == NULL) {
        (void) ngx_close_socket(fd);
        return NULL;
    }

    c->log = ngx_cycle->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->recv = ngx_recv;
    c->send = ngx_send;
    c->log_error = NGX_ERROR_INFO;

    c->read->channel = 1;
    c->write->channel = 1;
    c->write->ready = 1;

    if (ngx_add_event(c->read, NGX_READ_EVENT, NGX_CLEAR_EVENT) != NGX_OK) {
        ngx_close_connection(c);
        return NULL;
    }

    return c;
}


static void
ngx_mesh_bus_read(ngx_event_t *ev)
{
    size_t               need;
    u_char              *p;
    ssize_t              n;
    ngx_connection_t    *c;
    mesh_bus_msg_t       msg;
    ngx_mesh_addr_t      from;
    ngx_mesh_peer_t     *peer;
    ngx_mesh_bus_buf_t  *in;

    c = ev->data;
    peer = c->data;

    while (peer->got < MESH_BUS_HELLO) {

        n = c->recv(c, peer->start + peer->got, MESH_BUS_HELLO - peer->got);

        if (n == NGX_AGAIN) {
            return;
        }

        if (n <= 0) {
            ngx_mesh_bus_peer_close(peer);
            return;
        }

        peer->got += n;

        if (peer->got == MESH_BUS_HELLO
            && ngx_mesh_bus_hello(peer) != NGX_AGAIN)
        {
            return;     /* closed, or handed over */
        }
    }

    from.slot = peer->hello.slot;
    from.epoch = peer->hello.arg;

    for ( ;; ) {
        in = &peer->in;

        /* dispatch has left the start of one message */
        (void) mesh_bus_parse(&msg, NGX_MESH_BUS_TYPES, in->data, in->len);
        need = msg.size;

        if (in->size < need || in->size < NGX_MESH_BUS_KEEP) {
            need = ngx_max(need, NGX_MESH_BUS_KEEP);

            p = ngx_alloc(need, c->log);
            if (p == NULL) {
                ngx_mesh_bus_peer_close(peer);
                return;
            }

            if (in->data) {
                ngx_memcpy(p, in->data, in->len);
                ngx_free(in->data);
            }

            in->data = p;
            in->size = need;
        }

        n = c->recv(c, in->data + in->len, in->size - in->len);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n <= 0) {
            /* a worker ended, perhaps without cleaning up */
            ngx_mesh_shm_suspect();
            ngx_mesh_bus_peer_close(peer);
            return;
        }

        in->len += n;

        if (ngx_mesh_bus_dispatch(in, &from) != NGX_OK) {
            ngx_log_error(NGX_LOG_ALERT, c->log, 0,
                          "mesh bus: broken message from slot %ui",
                          (ngx_uint_t) from.slot);
            ngx_mesh_bus_peer_close(peer);
            return;
        }
    }

    if (in->len == 0) {
        ngx_free(in->data);
        ngx_memzero(in, sizeof(ngx_mesh_bus_buf_t));
    }
}


/* NGX_AGAIN: a link; else c is not ours any more */
static ngx_int_t
ngx_mesh_bus_hello(ngx_mesh_peer_t *peer)
{
    ngx_connection_t          *c;
    ngx_mesh_hello_t           hello;
    ngx_mesh_pipe_handler_pt   handler;

    c = peer->c;

    if (mesh_bus_parse_hello(&hello, peer->start, MESH_BUS_HELLO) != MESH_OK
        || hello.epoch != ngx_mesh_slot->epoch)
    {
        ngx_mesh_bus_peer_close(peer);
        return NGX_ERROR;
    }

    peer->hello = hello;

    if (hello.type == NGX_MESH_PIPE_BUS) {
        return NGX_AGAIN;
    }

    handler = ngx_mesh_pipe_handlers[hello.type];

    ngx_free(peer);
    c->data = NULL;
    c->read->handler = ngx_mesh_bus_ignore;

    if (handler == NULL || handler(c, &hello) != NGX_OK) {
        ngx_close_connection(c);
    }

    return NGX_OK;
}


/* calls the handlers of the whole messages in b, keeps the rest at its front */
static ngx_int_t
ngx_mesh_bus_dispatch(ngx_mesh_bus_buf_t *b, ngx_mesh_addr_t *from)
{
    size_t                    pos;
    ngx_int_t                 rc;
    mesh_bus_msg_t            msg;
    ngx_mesh_bus_handler_pt   handler;

    for (pos = 0; /* void */ ; pos += msg.size) {

        rc = mesh_bus_parse(&msg, NGX_MESH_BUS_TYPES, b->data + pos,
                            b->len - pos);

        if (rc == MESH_ERROR) {
            return NGX_ERROR;
        }

        if (rc == MESH_AGAIN) {
            break;
        }

        handler = ngx_mesh_bus_handlers[msg.type];

        if (handler) {
            from->serial = msg.from;
            handler(from, msg.serial, (u_char *) msg.data, msg.len);
        }
    }

    if (pos) {
        ngx_memmove(b->data, b->data + pos, b->len - pos);
        b->len -= pos;
    }

    return NGX_OK;
}


static void
ngx_mesh_bus_peer_close(ngx_mesh_peer_t *peer)
{
    if (peer->in.data) {
        ngx_free(peer->in.data);
    }

    ngx_close_connection(peer->c);
    ngx_free(peer);
}


static void
ngx_mesh_bus_ignore(ngx_event_t *ev)
{
}


ngx_int_t
ngx_mesh_bus_send(const ngx_mesh_addr_t *to, uint64_t from_serial,
    ngx_mesh_bus_type_e type, const u_char *data, size_t len)
{
    u_char            head[MESH_BUS_HEAD];
    mesh_bus_msg_t    msg;
    ngx_mesh_link_t  *link;

    if (len > NGX_MESH_BUS_MAX) {
        return NGX_ERROR;
    }

    link = ngx_mesh_bus_link(to->slot, to->epoch);

    if (link == NULL) {
        return NGX_DECLINED;
    }

    if (link->out.len - link->out.pos + len > NGX_MESH_BUS_QUEUE) {
        ngx_mesh_count(NGX_MESH_C_BUS_CLOSES);
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mesh bus: slot %ui does not read, link closed",
                      link->slot);
        ngx_mesh_bus_link_close(link);
        return NGX_BUSY;
    }

    msg.len = (uint32_t) len;
    msg.type = type;
    msg.serial = to->serial;
    msg.from = from_serial;
    mesh_bus_write(head, &msg);

    if (ngx_mesh_bus_append(&link->out, head, MESH_BUS_HEAD) != NGX_OK
        || ngx_mesh_bus_append(&link->out, data, len) != NGX_OK)
    {
        /* half a message must not leave */
        ngx_mesh_bus_link_close(link);
        return NGX_BUSY;
    }

    ngx_mesh_count(NGX_MESH_C_BUS_MSGS);

    if (!link->flush.posted) {
        ngx_post_event(&link->flush, &ngx_posted_events);
    }

    return NGX_OK;
}


ngx_uint_t
ngx_mesh_bus_waits(ngx_uint_t slot)
{
    ngx_mesh_link_t  *link;

    link = ngx_mesh_links[slot];

    return link && link->out.pos < link->out.len;
}


void
ngx_mesh_bus_broadcast(ngx_mesh_bus_type_e type, const u_char *data,
    size_t len, ngx_uint_t browsers)
{
    ngx_uint_t       i;
    ngx_mesh_addr_t  to;
    ngx_mesh_slot_t  slot;

    to.serial = 0;

    for (i = 0; i < NGX_MESH_SLOTS; i++) {

        if (i == ngx_mesh_slot_n
            || ngx_mesh_slot_get(i, &slot) != NGX_OK
            || (browsers && slot.gauge[NGX_MESH_G_BROWSERS] == 0))
        {
            continue;
        }

        to.slot = i;
        to.epoch = slot.epoch;
        (void) ngx_mesh_bus_send(&to, 0, type, data, len);
    }

    to.slot = ngx_mesh_slot_n;
    to.epoch = ngx_mesh_slot->epoch;
    (void) ngx_mesh_bus_send(&to, 0, type, data, len);
}


static ngx_mesh_link_t *
ngx_mesh_bus_link(ngx_uint_t n, uint32_t epoch)
{
    ngx_mesh_link_t   *link;
    ngx_mesh_slot_t    slot;
    ngx_mesh_hello_t   hello;

    if (n >= NGX_MESH_SLOTS || ngx_mesh_slot_get(n, &slot) != NGX_OK
        || slot.epoch != epoch)
    {
        return NULL;
    }

    link = ngx_mesh_links[n];

    if (link && link->epoch == epoch) {
        return link;
    }

    if (link) {
        ngx_mesh_bus_link_close(link);
    }

    link = ngx_calloc(sizeof(ngx_mesh_link_t), ngx_cycle->log);

    if (link == NULL) {
        return NULL;
    }

    link->slot = n;
    link->epoch = epoch;
    link->flush.handler = ngx_mesh_bus_flush;
    link->flush.data = link;
    link->flush.log = ngx_cycle->log;

    if (n != ngx_mesh_slot_n) {
        ngx_memzero(&hello, sizeof(ngx_mesh_hello_t));
        hello.type = NGX_MESH_PIPE_BUS;
        hello.arg = ngx_mesh_slot->epoch;

        link->c = ngx_mesh_bus_connect(n, epoch, &hello);

        if (link->c == NULL) {
            ngx_free(link);
            return NULL;
        }

        link->c->data = link;
        link->c->read->handler = ngx_mesh_bus_broken;
        link->c->write->handler = ngx_mesh_bus_writable;
    }

    ngx_mesh_links[n] = link;

    return link;
}


static ngx_connection_t *
ngx_mesh_bus_connect(ngx_uint_t n, uint32_t epoch, ngx_mesh_hello_t *hello)
{
    int                  size;
    u_char               start[MESH_BUS_HELLO];
    ngx_socket_t         fd;
    ngx_mesh_slot_t      slot;
    ngx_connection_t    *c;
    struct sockaddr_un   sun;

    if (ngx_mesh_slot_get(n, &slot) != NGX_OK || slot.epoch != epoch) {
        return NULL;
    }

    ngx_memzero(&sun, sizeof(struct sockaddr_un));
    sun.sun_family = AF_UNIX;
    *ngx_snprintf((u_char *) sun.sun_path, sizeof(sun.sun_path) - 1,
                  "%V/w.%P", &ngx_mesh_core_conf()->ipc_path->name, slot.pid)
        = '\0';

    fd = ngx_socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd == (ngx_socket_t) -1) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_socket_errno,
                      "mesh bus: " ngx_socket_n " failed");
        return NULL;
    }

    size = NGX_MESH_PIPE_BUFFER;

    if (ngx_nonblocking(fd) == -1
        || setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(int)) == -1
        || connect(fd, (struct sockaddr *) &sun, sizeof(struct sockaddr_un))
           == -1)
    {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, ngx_socket_errno,
                      "mesh bus: cannot reach worker %P", slot.pid);
        (void) ngx_close_socket(fd);
        ngx_mesh_shm_suspect();
        return NULL;
    }

    hello->slot = ngx_mesh_slot_n;
    hello->epoch = epoch;
    mesh_bus_write_hello(start, hello);

    /* the first bytes of a new socket: it takes them at once */
    if (send(fd, start, MESH_BUS_HELLO, MSG_NOSIGNAL) != MESH_BUS_HELLO)
    {
        (void) ngx_close_socket(fd);
        return NULL;
    }

    c = ngx_mesh_bus_connection(fd);

    if (c) {
        c->read->handler = ngx_mesh_bus_ignore;
        c->write->handler = ngx_mesh_bus_ignore;
    }

    return c;
}


ngx_connection_t *
ngx_mesh_pipe_connect(const ngx_mesh_addr_t *to, ngx_uint_t type, uint32_t arg,
    const u_char *key, size_t key_len)
{
    ngx_mesh_hello_t  hello;

    ngx_memzero(&hello, sizeof(ngx_mesh_hello_t));
    hello.type = type;
    hello.arg = arg;
    hello.serial = to->serial;
    ngx_memcpy(hello.key, key, ngx_min(key_len, sizeof(hello.key)));

    return ngx_mesh_bus_connect(to->slot, to->epoch, &hello);
}


ngx_int_t
ngx_mesh_pipe_blocked(ngx_connection_t *c, ngx_uint_t blocked)
{
    if (blocked) {
        return ngx_handle_write_event(c->write, 0);
    }

    return c->write->active ? ngx_del_event(c->write, NGX_WRITE_EVENT,
                                            NGX_CLEAR_EVENT)
                            : NGX_OK;
}


void
ngx_mesh_pipe_close(ngx_connection_t *c)
{
    ngx_close_connection(c);
}


static ngx_int_t
ngx_mesh_bus_append(ngx_mesh_bus_buf_t *b, const void *data, size_t len)
{
    if (b->pos && b->pos == b->len) {
        b->pos = 0;
        b->len = 0;
    }

    if (len > b->size - b->len && ngx_mesh_bus_room(b, len) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(b->data + b->len, data, len);
    b->len += len;

    return NGX_OK;
}


/* brings what has not left to the front, of a larger buffer if need be */
static ngx_int_t
ngx_mesh_bus_room(ngx_mesh_bus_buf_t *b, size_t len)
{
    size_t   left, size;
    u_char  *p;

    left = b->len - b->pos;

    size = ngx_min(b->size * 2, NGX_MESH_BUS_BUFFER);
    size = ngx_max(size, ngx_max(left + len, 4096));

    /* below the bound a byte is moved only where another one has left */

    if (len <= b->size - left && (left <= b->pos || size <= b->size)) {
        ngx_memmove(b->data, b->data + b->pos, left);

    } else {
        p = ngx_alloc(size, ngx_cycle->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (b->data) {
            ngx_memcpy(p, b->data + b->pos, left);
            ngx_free(b->data);
        }

        b->data = p;
        b->size = size;
    }

    b->len = left;
    b->pos = 0;

    return NGX_OK;
}


static void
ngx_mesh_bus_flush(ngx_event_t *ev)
{
    ssize_t              n;
    ngx_connection_t    *c;
    ngx_mesh_addr_t      from;
    ngx_mesh_link_t     *link;
    ngx_mesh_bus_buf_t   b;

    link = ev->data;
    c = link->c;

    if (c == NULL) {
        /* to ourselves; a handler may send more, which comes next turn */
        b = link->out;
        ngx_memzero(&link->out, sizeof(ngx_mesh_bus_buf_t));

        from.slot = ngx_mesh_slot_n;
        from.epoch = ngx_mesh_slot->epoch;
        (void) ngx_mesh_bus_dispatch(&b, &from);
        ngx_free(b.data);
        return;
    }

    while (link->out.pos < link->out.len) {

        n = c->send(c, link->out.data + link->out.pos,
                    link->out.len - link->out.pos);

        if (n == NGX_AGAIN || n == 0) {

            if (ngx_mesh_pipe_blocked(c, 1) != NGX_OK) {
                ngx_mesh_bus_link_close(link);
            }

            return;
        }

        if (n < 0) {
            ngx_mesh_bus_link_close(link);
            return;
        }

        link->out.pos += n;
    }

    (void) ngx_mesh_pipe_blocked(c, 0);

    if (link->out.size > NGX_MESH_BUS_KEEP) {
        ngx_free(link->out.data);
        ngx_memzero(&link->out, sizeof(ngx_mesh_bus_buf_t));
    }

    if (ngx_mesh_bus_left_handler) {
        ngx_mesh_bus_left_handler(link->slot, 0);
    }
}


static void
ngx_mesh_bus_writable(ngx_event_t *ev)
{
    ngx_connection_t  *c;
    ngx_mesh_link_t   *link;

    c = ev->data;
    link = c->data;

    if (link->out.pos < link->out.len) {
        ngx_mesh_bus_flush(&link->flush);
    }
}


/* nothing is ever sent back on a link: only its end */
static void
ngx_mesh_bus_broken(ngx_event_t *ev)
{
    u_char             byte;
    ssize_t            n;
    ngx_connection_t  *c;

    c = ev->data;
    n = c->recv(c, &byte, 1);

    if (n == NGX_AGAIN) {
        return;
    }

    ngx_mesh_shm_suspect();
    ngx_mesh_bus_link_close(c->data);
}


static void
ngx_mesh_bus_link_close(ngx_mesh_link_t *link)
{
    if (ngx_mesh_links[link->slot] == link) {
        ngx_mesh_links[link->slot] = NULL;
    }

    if (ngx_mesh_bus_left_handler) {
        ngx_mesh_bus_left_handler(link->slot, 1);
    }

    if (link->flush.posted) {
        ngx_delete_posted_event(&link->flush);
    }

    if (link->out.data) {
        ngx_free(link->out.data);
    }

    if (link->c) {
        ngx_close_connection(link->c);
    }

    ngx_free(link);
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Connections to the web servers of devices.  nginx's proxy gets one end of a
 * pair of sockets, so that all it knows of HTTP, of TLS and of back pressure
 * holds for devices too; bytes go between the other end and the agent.
 */

#include "ngx_mesh_web_relay.h"
#include <sys/socket.h>


#define NGX_MESH_WEB_DOWN   32768     /* bytes from the device at once */
#define NGX_MESH_WEB_UP     NGX_MESH_DIAL_FRAME
#define NGX_MESH_WEB_TURNS  16        /* reads before others have a turn */


struct ngx_mesh_web_tunnel_s {
    ngx_queue_t           queue;      /* of the page */
    ngx_mesh_web_page_t  *page;
    ngx_mesh_web_req_t   *req;        /* NULL: nobody uses it */
    ngx_mesh_dial_t       dial;
    ngx_connection_t     *near;       /* the proxy's end, while unused */
    ngx_connection_t     *far;        /* the agent's end */
    ngx_event_t           later;
    time_t                since;      /* unused */
    u_char               *down, *up;  /* owned */
    size_t                down_pos, down_len;
    size_t                up_pos, up_len;
    unsigned              heard:1;    /* a byte of the device */
};


static ngx_int_t ngx_mesh_web_peer_init(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_mesh_web_peer_get(ngx_peer_connection_t *pc, void *data);
static ngx_int_t ngx_mesh_web_peer_reuse(ngx_peer_connection_t *pc,
    ngx_mesh_web_req_t *req);
static void ngx_mesh_web_peer_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state);
static ngx_uint_t ngx_mesh_web_peer_quiet(ngx_connection_t *c);
static ngx_int_t ngx_mesh_web_peer_reinit(ngx_http_request_t *r);
static ngx_int_t ngx_mesh_web_peer_header(ngx_http_request_t *r);
#if (NGX_HTTP_SSL)
static ngx_int_t ngx_mesh_web_peer_set_session(ngx_peer_connection_t *pc,
    void *data);
static void ngx_mesh_web_peer_save_session(ngx_peer_connection_t *pc,
    void *data);
#endif

static ngx_mesh_web_tunnel_t *ngx_mesh_web_tunnel_create(
    ngx_mesh_web_page_t *page, const char **why);
static ngx_connection_t *ngx_mesh_web_tunnel_socket(ngx_socket_t s);
static void ngx_mesh_web_tunnel_dialed(ngx_mesh_dial_t *d);
static void ngx_mesh_web_tunnel_handler(ngx_event_t *ev);
static void ngx_mesh_web_tunnel_later(ngx_event_t *ev);
static void ngx_mesh_web_tunnel_move(ngx_mesh_web_tunnel_t *t);
static ngx_int_t ngx_mesh_web_tunnel_down(ngx_mesh_web_tunnel_t *t);
static ngx_int_t ngx_mesh_web_tunnel_up(ngx_mesh_web_tunnel_t *t);
static void ngx_mesh_web_tunnel_unused(ngx_event_t *ev);
static void ngx_mesh_web_tunnel_empty(ngx_event_t *ev);
static void ngx_mesh_web_tunnel_end(ngx_mesh_web_tunnel_t *t);
static void ngx_mesh_web_tunnel_close(ngx_connection_t *c);


ngx_int_t
ngx_mesh_web_peer_upstream(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us)
{
    us->peer.init = ngx_mesh_web_peer_init;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_web_peer_init(ngx_http_request_t *r, ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_upstream_t  *u;
    ngx_mesh_web_req_t   *req;

    req = ngx_mesh_web_req(r);

    /* proxied from elsewhere than the server with mesh_web_relay */
    if (req == NULL || !req->ready) {
        return NGX_ERROR;
    }

    u = r->upstream;
    u->peer.data = req;
    u->peer.get = ngx_mesh_web_peer_get;
    u->peer.free = ngx_mesh_web_peer_free;
    u->peer.tries = 1;

#if (NGX_HTTP_SSL)
    u->peer.set_session = ngx_mesh_web_peer_set_session;
    u->peer.save_session = ngx_mesh_web_peer_save_session;
#endif

    req->reinit_request = u->reinit_request;
    u->reinit_request = ngx_mesh_web_peer_reinit;
    req->process_header = u->process_header;
    u->process_header = ngx_mesh_web_peer_header;

    return NGX_OK;
}


/* before another try, which the proxy begins with a parser of its own */
static ngx_int_t
ngx_mesh_web_peer_reinit(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_mesh_web_req_t  *req;

    req = ngx_mesh_web_req(r);
    rc = req->reinit_request(r);

    req->process_header = r->upstream->process_header;
    r->upstream->process_header = ngx_mesh_web_peer_header;
    req->cookies = req->sent_cookies;

    return rc;
}


static ngx_int_t
ngx_mesh_web_peer_get(ngx_peer_connection_t *pc, void *data)
{
    ngx_mesh_web_req_t *req = data;

    ngx_mesh_web_tunnel_t   *t;

    static ngx_str_t         name = ngx_string("device");
    static struct sockaddr   sockaddr = { .sa_family = AF_UNIX };

    /* shown in logs, and never connected to */
    pc->sockaddr = &sockaddr;
    pc->socklen = sizeof(struct sockaddr);
    pc->name = &name;
    pc->cached = 0;

    if (req->page == NULL || req->page->over) {
        return NGX_BUSY;
    }

    if (ngx_mesh_web_peer_reuse(pc, req) == NGX_OK) {
        return NGX_DONE;
    }

    t = ngx_mesh_web_tunnel_create(req->page, &req->why);
    if (t == NULL) {
        return NGX_BUSY;
    }

    t->req = req;
    req->tunnel = t;

    pc->connection = t->near;
    t->near->log = pc->log;
    t->near->log_error = pc->log_error;
    t->near->read->log = pc->log;
    t->near->write->log = pc->log;
    t->near = NULL;

    return NGX_DONE;
}


/* the one that was used last */
static ngx_int_t
ngx_mesh_web_peer_reuse(ngx_peer_connection_t *pc, ngx_mesh_web_req_t *req)
{
    ngx_queue_t            *q;
    ngx_connection_t       *c;
    ngx_mesh_web_tunnel_t  *t;

    for (q = ngx_queue_head(&req->page->tunnels);
         q != ngx_queue_sentinel(&req->page->tunnels);
         q = ngx_queue_next(q))
    {
        t = ngx_queue_data(q, ngx_mesh_web_tunnel_t, queue);

        if (t->near == NULL) {
            continue;
        }

        c = t->near;
        t->near = NULL;
        t->req = req;
        req->tunnel = t;

        c->idle = 0;
        c->sent = 0;
        c->data = NULL;
        c->log = pc->log;
        c->read->log = pc->log;
        c->write->log = pc->log;
        c->pool->log = pc->log;

        pc->connection = c;
        pc->cached = 1;

        return NGX_OK;
    }

    return NGX_DECLINED;
}


/* as nginx's own keepalive: what ended in good order serves another request */
static void
ngx_mesh_web_peer_free(ngx_peer_connection_t *pc, void *data, ngx_uint_t state)
{
    ngx_mesh_web_req_t *req = data;

    ngx_connection_t       *c;
    ngx_http_upstream_t    *u;
    ngx_mesh_web_tunnel_t  *t;

    if (pc->tries) {
        pc->tries--;
    }

    t = req->tunnel;
    c = pc->connection;
    u = req->r->upstream;
    req->tunnel = NULL;

    if (t == NULL) {
        return;
    }

    t->req = NULL;

    if ((state & NGX_PEER_FAILED) || c == NULL || c->read->eof
        || c->read->error || c->read->timedout || c->write->error
        || c->write->timedout || !u->keepalive || !u->request_body_sent
        || t->up_len || t->down_len || t->page->over || ngx_terminate
        || ngx_exiting || !ngx_mesh_web_peer_quiet(c))
    {
        /* the proxy closes its end, and so ours ends */
        return;
    }

    pc->connection = NULL;

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->read->delayed = 0;
    c->read->handler = ngx_mesh_web_tunnel_unused;
    c->write->handler = ngx_mesh_web_tunnel_empty;
    c->data = t;
    c->idle = 1;
    c->log = ngx_cycle->log;
    c->read->log = ngx_cycle->log;
    c->write->log = ngx_cycle->log;
    c->pool->log = ngx_cycle->log;

    t->near = c;
    t->since = ngx_time();

    ngx_queue_remove(&t->queue);
    ngx_queue_insert_head(&t->page->tunnels, &t->queue);
}


/* 1: nothing is left of the answer, and it is still open */
static ngx_uint_t
ngx_mesh_web_peer_quiet(ngx_connection_t *c)
{
    u_char  byte;

    if (c->read->ready) {

        if (recv(c->fd, &byte, 1, MSG_PEEK) != -1
            || ngx_socket_errno != NGX_EAGAIN)
        {
            return 0;
        }

        c->read->ready = 0;
    }

    return ngx_handle_read_event(c->read, 0) == NGX_OK;
}


/* in front of the proxy's own, which changes with what it has read */
static ngx_int_t
ngx_mesh_web_peer_header(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_http_upstream_t  *u;
    ngx_mesh_web_req_t   *req;

    u = r->upstream;
    req = ngx_mesh_web_req(r);

    u->process_header = req->process_header;
    rc = u->process_header(r);
    req->process_header = u->process_header;
    u->process_header = ngx_mesh_web_peer_header;

    /*
     * What has no status line nginx takes for an answer of HTTP/0.9, and
     * would pass it on as it is: a browser may see headers in it.
     */
    if (r->http_version == NGX_HTTP_VERSION_9) {
        r->http_version = NGX_HTTP_VERSION_11;
        req->why = "What answers at this port of the device does not speak "
                   "HTTP.";
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    if (rc == NGX_HTTP_UPSTREAM_INVALID_HEADER) {
        req->why = "The device answered with headers that are no HTTP.";
    }

    return rc == NGX_OK ? ngx_mesh_web_answer(req) : rc;
}


#if (NGX_HTTP_SSL)

/* one device's session of TLS is none of another's */

static ngx_int_t
ngx_mesh_web_peer_set_session(ngx_peer_connection_t *pc, void *data)
{
    return NGX_OK;
}


static void
ngx_mesh_web_peer_save_session(ngx_peer_connection_t *pc, void *data)
{
    /* void */
}

#endif


static ngx_mesh_web_tunnel_t *
ngx_mesh_web_tunnel_create(ngx_mesh_web_page_t *page, const char **why)
{
    ngx_socket_t            s[2];
    ngx_mesh_web_tunnel_t  *t;

    *why = "This page has too many connections open.";

    if (page->ntunnels >= NGX_MESH_WEB_TUNNELS) {
        return NULL;
    }

    *why = "The server has no room for another connection.";

    t = ngx_calloc(sizeof(ngx_mesh_web_tunnel_t), ngx_cycle->log);
    if (t == NULL) {
        return NULL;
    }

    t->down = ngx_alloc(NGX_MESH_WEB_DOWN + NGX_MESH_WEB_UP, ngx_cycle->log);
    if (t->down == NULL) {
        ngx_free(t);
        return NULL;
    }

    t->up = t->down + NGX_MESH_WEB_DOWN;
    t->page = page;
    t->later.handler = ngx_mesh_web_tunnel_later;
    t->later.data = t;
    t->later.log = ngx_cycle->log;

    if (socketpair(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0, s)
        == -1)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_socket_errno,
                      "mesh web relay: socketpair() failed");
        goto failed;
    }

    t->near = ngx_mesh_web_tunnel_socket(s[0]);
    t->far = ngx_mesh_web_tunnel_socket(s[1]);

    if (t->near == NULL || t->far == NULL) {
        goto failed;
    }

    t->far->data = t;
    t->far->read->handler = ngx_mesh_web_tunnel_handler;
    t->far->write->handler = ngx_mesh_web_tunnel_handler;

    t->dial.route = page->route;
    t->dial.route.runs = 0;
    t->dial.data = t;
    t->dial.handler = ngx_mesh_web_tunnel_dialed;

    if (ngx_mesh_dial(&t->dial, why) != NGX_OK) {
        goto failed;
    }

    *why = NULL;

    page->ntunnels++;
    ngx_queue_insert_tail(&page->tunnels, &t->queue);

    return t;

failed:

    if (t->near) {
        ngx_mesh_web_tunnel_close(t->near);
    }

    if (t->far) {
        ngx_mesh_web_tunnel_close(t->far);
    }

    ngx_free(t->down);
    ngx_free(t);

    return NULL;
}


/* takes s, also when it fails */
static ngx_connection_t *
ngx_mesh_web_tunnel_socket(ngx_socket_t s)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(s, ngx_cycle->log);

    if (c == NULL) {
        (void) ngx_close_socket(s);
        return NULL;
    }

    c->recv = ngx_recv;
    c->send = ngx_send;
    c->recv_chain = ngx_recv_chain;
    c->send_chain = ngx_send_chain;
    c->sendfile = 1;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;
    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->log = ngx_cycle->log;
    c->read->log = ngx_cycle->log;
    c->write->log = ngx_cycle->log;
    c->read->handler = ngx_mesh_web_tunnel_empty;
    c->write->handler = ngx_mesh_web_tunnel_empty;
    c->log_error = NGX_ERROR_INFO;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->start_time = ngx_current_msec;

    if (ngx_add_conn(c) != NGX_OK) {
        ngx_close_connection(c);
        return NULL;
    }

    c->write->ready = 1;

    return c;
}


static void
ngx_mesh_web_tunnel_dialed(ngx_mesh_dial_t *d)
{
    ngx_mesh_web_tunnel_move(d->data);
}


static void
ngx_mesh_web_tunnel_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    ngx_mesh_web_tunnel_move(c->data);
}


static void
ngx_mesh_web_tunnel_later(ngx_event_t *ev)
{
    ngx_mesh_web_tunnel_move(ev->data);
}


/* t may be gone afterwards */
static void
ngx_mesh_web_tunnel_move(ngx_mesh_web_tunnel_t *t)
{
    ngx_int_t  down, up;

    down = ngx_mesh_web_tunnel_down(t);
    up = down == NGX_ERROR ? NGX_ERROR : ngx_mesh_web_tunnel_up(t);

    if (down == NGX_ERROR || up == NGX_ERROR) {
        ngx_mesh_web_tunnel_end(t);
        return;
    }

    if (down == NGX_OK || up == NGX_OK) {
        ngx_post_event(&t->later, &ngx_posted_next_events);
    }
}


/* NGX_OK: there may be more; NGX_AGAIN: an event tells; NGX_ERROR: the end */
static ngx_int_t
ngx_mesh_web_tunnel_down(ngx_mesh_web_tunnel_t *t)
{
    ssize_t     n;
    ngx_uint_t  turns;

    for (turns = 0; turns < NGX_MESH_WEB_TURNS; turns++) {

        while (t->down_len) {
            n = t->far->send(t->far, t->down + t->down_pos, t->down_len);

            if (n == NGX_AGAIN) {
                return ngx_handle_write_event(t->far->write, 0) == NGX_OK
                       ? NGX_AGAIN : NGX_ERROR;
            }

            if (n <= 0) {
                return NGX_ERROR;
            }

            t->page->to_viewer += n;
            t->down_pos += n;
            t->down_len -= n;
        }

        n = ngx_mesh_dial_recv(&t->dial, t->down, NGX_MESH_WEB_DOWN);

        if (n == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (n <= 0) {
            if (t->req && !t->heard) {
                t->req->why = t->dial.why;
            }

            return NGX_ERROR;
        }

        t->heard = 1;
        t->down_pos = 0;
        t->down_len = n;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_web_tunnel_up(ngx_mesh_web_tunnel_t *t)
{
    ssize_t     n;
    ngx_uint_t  turns;

    for (turns = 0; turns < NGX_MESH_WEB_TURNS; turns++) {

        while (t->up_len) {
            n = ngx_mesh_dial_send(&t->dial, t->up + t->up_pos, t->up_len);

            if (n == NGX_AGAIN) {
                return NGX_AGAIN;
            }

            if (n <= 0) {
                return NGX_ERROR;
            }

            t->page->to_device += n;
            t->up_pos += n;
            t->up_len -= n;
        }

        n = t->far->recv(t->far, t->up, NGX_MESH_WEB_UP);

        if (n == NGX_AGAIN) {
            return ngx_handle_read_event(t->far->read, 0) == NGX_OK
                   ? NGX_AGAIN : NGX_ERROR;
        }

        if (n <= 0) {
            return NGX_ERROR;
        }

        t->up_pos = 0;
        t->up_len = n;
    }

    return NGX_OK;
}


/* whatever the device says now belongs to no request */
static void
ngx_mesh_web_tunnel_unused(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    ngx_mesh_web_tunnel_end(c->data);
}


static void
ngx_mesh_web_tunnel_empty(ngx_event_t *ev)
{
    /* void */
}


static void
ngx_mesh_web_tunnel_end(ngx_mesh_web_tunnel_t *t)
{
    if (t->later.posted) {
        ngx_delete_posted_event(&t->later);
    }

    if (t->req) {
        t->req->tunnel = NULL;
    }

    if (t->near) {
        ngx_mesh_web_tunnel_close(t->near);
    }

    ngx_mesh_web_tunnel_close(t->far);
    ngx_mesh_dial_close(&t->dial);

    ngx_queue_remove(&t->queue);
    t->page->ntunnels--;

    /* this worker may have no other tick */
    (void) ngx_mesh_web_page_used(t->page);

    ngx_free(t->down);
    ngx_free(t);
}


static void
ngx_mesh_web_tunnel_close(ngx_connection_t *c)
{
    ngx_pool_t  *pool;

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;
        (void) ngx_ssl_shutdown(c);
    }

#endif

    pool = c->pool;
    ngx_close_connection(c);

    if (pool) {
        ngx_destroy_pool(pool);
    }
}


void
ngx_mesh_web_tunnels_end(ngx_mesh_web_page_t *page, time_t idle)
{
    ngx_queue_t            *q, *next;
    ngx_mesh_web_tunnel_t  *t;

    for (q = ngx_queue_head(&page->tunnels);
         q != ngx_queue_sentinel(&page->tunnels);
         q = next)
    {
        next = ngx_queue_next(q);
        t = ngx_queue_data(q, ngx_mesh_web_tunnel_t, queue);

        if (idle == -1 || (t->near && t->since + idle < ngx_time())) {
            ngx_mesh_web_tunnel_end(t);
        }
    }
}

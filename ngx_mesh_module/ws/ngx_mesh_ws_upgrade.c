/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * From an HTTP request to a session: what is asked of an upgrade, the 101, and
 * the detach, after which neither request nor buffers are left.
 */

#include "../ngx_mesh.h"
#include "../core/ngx_mesh_auth.h"
#include "ngx_mesh_ws_private.h"
#include <ngx_sha1.h>


#define NGX_MESH_WS_KEY_LEN     24
#define NGX_MESH_WS_ACCEPT_LEN  28
#define NGX_MESH_WS_READ_AHEAD  32768     /* of a relay, while it reads */
#define NGX_MESH_WS_SPARE       16        /* one of so many connections */


typedef struct {
    ngx_http_request_t      *r;
    const ngx_mesh_class_t  *class;
    void                    *data;
    uint64_t                 serial;
    ngx_event_t              event;
} ngx_mesh_detach_t;

/* scheme and port: "https" and 443 where none is named */
typedef struct {
    ngx_uint_t               tls;
    ngx_str_t                host;
    in_port_t                port;
} ngx_mesh_origin_t;


static ngx_uint_t ngx_mesh_ws_full(ngx_log_t *log);
static ngx_int_t ngx_mesh_ws_check(ngx_http_request_t *r, ngx_str_t *key);
static ngx_table_elt_t *ngx_mesh_ws_header(ngx_http_request_t *r,
    const char *name);
static ngx_uint_t ngx_mesh_ws_token(ngx_str_t *value, const char *token);
static ngx_int_t ngx_mesh_ws_answer(ngx_http_request_t *r, ngx_str_t *key);
static ngx_int_t ngx_mesh_ws_add(ngx_http_request_t *r, const char *name,
    u_char *value, size_t len);
static void ngx_mesh_ws_detach(ngx_event_t *ev);
static void ngx_mesh_ws_strip(ngx_connection_t *c, ngx_http_connection_t *hc,
    ngx_uint_t cut_through);

static ngx_int_t ngx_mesh_origin_parse(ngx_str_t *text,
    ngx_mesh_origin_t *o);
static ngx_int_t ngx_mesh_origin_authority(u_char *p, u_char *last,
    ngx_mesh_origin_t *o);
static ngx_uint_t ngx_mesh_origin_equal(ngx_mesh_origin_t *a,
    ngx_mesh_origin_t *b);


ngx_int_t
ngx_mesh_ws_accept(ngx_http_request_t *r, const ngx_mesh_class_t *class,
    void *data)
{
    ngx_int_t           rc;
    ngx_str_t           key;
    ngx_mesh_detach_t  *detach;
    ngx_mesh_ctx_t     *ctx;

    rc = ngx_mesh_ws_check(r, &key);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_exiting || !ngx_mesh_bus_ready()
        || ngx_mesh_ws_full(r->connection->log))
    {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    detach = ngx_pcalloc(r->pool, sizeof(ngx_mesh_detach_t));
    ctx = ngx_mesh_ctx(r);

    if (detach == NULL || ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    detach->r = r;
    detach->class = class;
    detach->data = data;
    detach->serial = ngx_mesh_serial();
    detach->event.handler = ngx_mesh_ws_detach;
    detach->event.data = detach;
    detach->event.log = r->connection->log;

    ctx->kind = class->name;
    ctx->serial = detach->serial;

    if (ngx_mesh_ws_answer(r, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    /*
     * Posted: after this handler returns, core still looks at the request in
     * ngx_http_finalize_request().
     */
    r->main->count++;
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_post_event(&detach->event, &ngx_posted_events);

    return NGX_DONE;
}


/*
 * The last connections of a worker are not for sessions, which stay: who is
 * refused is told so, and the status answers (S-28).
 */
static ngx_uint_t
ngx_mesh_ws_full(ngx_log_t *log)
{
    static time_t  said;

    if (ngx_cycle->free_connection_n
        >= ngx_cycle->connection_n / NGX_MESH_WS_SPARE)
    {
        return 0;
    }

    ngx_mesh_count(NGX_MESH_C_LIMITED);

    if (ngx_time() - said >= 60) {
        said = ngx_time();
        ngx_log_error(NGX_LOG_CRIT, log, 0,
                      "mesh: sessions are refused, \"worker_connections\" "
                      "%ui are not enough", ngx_cycle->connection_n);
    }

    return 1;
}


static ngx_int_t
ngx_mesh_ws_check(ngx_http_request_t *r, ngx_str_t *key)
{
    ngx_int_t         rc;
    ngx_table_elt_t  *h;

    if (r->method != NGX_HTTP_GET) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (r != r->main || r->stream
        || r->http_version != NGX_HTTP_VERSION_11)
    {
        return NGX_HTTP_BAD_REQUEST;
    }

    rc = ngx_mesh_origin_check(r);

    if (rc != NGX_OK) {
        return rc;
    }

    h = ngx_mesh_ws_header(r, "upgrade");

    if (h == NULL || !ngx_mesh_ws_token(&h->value, "websocket")) {
        (void) ngx_mesh_ws_add(r, "Upgrade", (u_char *) "websocket", 9);
        return 426;
    }

    h = ngx_mesh_ws_header(r, "connection");

    if (h == NULL || !ngx_mesh_ws_token(&h->value, "upgrade")) {
        return NGX_HTTP_BAD_REQUEST;
    }

    h = ngx_mesh_ws_header(r, "sec-websocket-version");

    if (h == NULL || h->value.len != 2
        || ngx_strncmp(h->value.data, "13", 2) != 0)
    {
        (void) ngx_mesh_ws_add(r, "Sec-WebSocket-Version", (u_char *) "13", 2);
        return 426;
    }

    h = ngx_mesh_ws_header(r, "sec-websocket-key");

    /* hashed as it came: the stock agent's is not canonical base64 */
    if (h == NULL || h->value.len != NGX_MESH_WS_KEY_LEN) {
        return NGX_HTTP_BAD_REQUEST;
    }

    *key = h->value;

    return NGX_OK;
}


static ngx_table_elt_t *
ngx_mesh_ws_header(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);
    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == len
            && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
        {
            return &h[i];
        }
    }
}


/* one of the words between commas, whatever the case */
static ngx_uint_t
ngx_mesh_ws_token(ngx_str_t *value, const char *token)
{
    size_t   len;
    u_char  *p, *last, *end, *word;

    len = ngx_strlen(token);
    last = value->data + value->len;

    for (p = value->data; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        word = p;

        while (word < end && (*word == ' ' || *word == '\t')) {
            word++;
        }

        if ((size_t) (end - word) >= len
            && ngx_strncasecmp(word, (u_char *) token, len) == 0)
        {
            word += len;

            while (word < end && (*word == ' ' || *word == '\t')) {
                word++;
            }

            if (word == end) {
                return 1;
            }
        }
    }

    return 0;
}


static ngx_int_t
ngx_mesh_ws_answer(ngx_http_request_t *r, ngx_str_t *key)
{
    u_char      hash[20], *accept;
    ngx_int_t   rc;
    ngx_str_t   src, dst;
    ngx_sha1_t  sha1;

    static u_char  guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

    /* RFC 6455, 4.2.2 */
    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, key->data, key->len);
    ngx_sha1_update(&sha1, guid, sizeof(guid) - 1);
    ngx_sha1_final(hash, &sha1);

    accept = ngx_pnalloc(r->pool, NGX_MESH_WS_ACCEPT_LEN);
    if (accept == NULL) {
        return NGX_ERROR;
    }

    src.data = hash;
    src.len = sizeof(hash);
    dst.data = accept;
    ngx_encode_base64(&dst, &src);

    if (ngx_mesh_ws_add(r, "Upgrade", (u_char *) "websocket", 9) != NGX_OK
        || ngx_mesh_ws_add(r, "Sec-WebSocket-Accept", accept, dst.len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    r->keepalive = 0;
    r->lingering_close = 0;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_send_special(r, NGX_HTTP_FLUSH);

    /* some hundred bytes into a socket that was just opened */
    if (rc != NGX_OK || r->connection->buffered) {
        return NGX_ERROR;
    }

    return ngx_tcp_nodelay(r->connection);
}


static ngx_int_t
ngx_mesh_ws_add(ngx_http_request_t *r, const char *name, u_char *value,
    size_t len)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.data = value;
    h->value.len = len;

    return NGX_OK;
}


static void
ngx_mesh_ws_detach(ngx_event_t *ev)
{
    size_t                  size, n;
    u_char                 *rest, *p;
    ngx_buf_t              *b;
    ngx_connection_t       *c;
    ngx_mesh_detach_t      *detach;
    ngx_mesh_session_t     *s;
    ngx_http_request_t     *r;
    ngx_http_connection_t  *hc;

    detach = ev->data;
    r = detach->r;
    c = r->connection;
    hc = r->http_connection;

    s = ngx_pcalloc(c->pool, sizeof(ngx_mesh_session_t));

    if (s) {
        /*
         * Also where realip has set another: it allocates that from the pool
         * of the connection, and gives the first one back with the request.
         */
        s->address = c->addr_text;
    }

    /* the first frames may have come with the request */
    b = r->header_in;
    size = b->last - b->pos;
    rest = NULL;

    if (s && size) {
        /* head room for the relay */
        rest = ngx_alloc(16 + size + 1, c->log);

        if (rest == NULL) {
            s = NULL;

        } else {
            ngx_memcpy(rest + 16, b->pos, size);
        }
    }

    if (s == NULL) {
        s = ngx_calloc(sizeof(ngx_mesh_session_t), c->log);

        if (s) {
            /* the endpoint takes back what it has */
            s->c = c;
            s->data = detach->data;
            s->class = detach->class;
            s->class->close(s);
            ngx_free(s);
        }

        /* twice: for the handler's and for our own count */
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    s->c = c;
    s->class = detach->class;
    s->data = detach->data;
    s->serial = detach->serial;
    s->conf = ngx_http_get_module_loc_conf(r, ngx_http_mesh_module);
    s->srv = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);
    s->message_max = s->srv->message_control;

    /* the access log's line, the cleanups, the pool of the request */
    ngx_http_free_request(r, 0);
    c->destroyed = 0;

    ngx_mesh_ws_strip(c, hc, s->class->cut_through);

    c->data = s;
    c->idle = 0;
    c->log->action = "reading message";
    c->read->handler = ngx_mesh_ws_read_handler;
    c->write->handler = ngx_mesh_ws_write;

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    ngx_mesh_ws_begin(s);

    /* what is sent and read from here leaves with the first read turn */
    s->in_read = 1;

    if (s->class->open(s) != NGX_OK) {
        s->closed = 1;
    }

    if (rest) {

        /* as much at once as a read has: what it becomes has room for that */

        for (p = rest + 16; size && !s->closed; p += n, size -= n) {
            n = ngx_min(size, NGX_MESH_WS_READ);
            s->bytes_in += n;
            ngx_mesh_ws_parse(s, p, n);
        }

        ngx_free(rest);
    }

    s->in_read = 0;

    /* edge-triggered: there may be no other event */
    ngx_mesh_ws_read_handler(c->read);
}


/* as ngx_http_set_keepalive() does for a connection that waits */
static void
ngx_mesh_ws_strip(ngx_connection_t *c, ngx_http_connection_t *hc,
    ngx_uint_t cut_through)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *next, *chains[2];
    ngx_uint_t    i;

    b = c->buffer;

    if (b && b->start && ngx_pfree(c->pool, b->start) == NGX_OK) {
        b->start = NULL;
        b->pos = NULL;
        b->last = NULL;
        b->end = NULL;
    }

    chains[0] = hc->free;
    chains[1] = hc->busy;

    for (i = 0; i < 2; i++) {
        for (cl = chains[i]; cl; cl = next) {
            next = cl->next;
            ngx_pfree(c->pool, cl->buf->start);
            ngx_free_chain(c->pool, cl);
        }
    }

    hc->free = NULL;
    hc->busy = NULL;
    hc->nbusy = 0;

    if (c->ssl) {
        ngx_ssl_free_buffer(c);

        /* our queue repeats a refused write from another address */
        (void) SSL_set_mode(c->ssl->connection,
                            SSL_MODE_ENABLE_PARTIAL_WRITE
                            |SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);

        /* whole records of one read, not two reads for each of them */
        if (cut_through) {
            SSL_set_default_read_buffer_len(c->ssl->connection,
                                            NGX_MESH_WS_READ_AHEAD);
            SSL_set_read_ahead(c->ssl->connection, 1);
        }
    }
}


ngx_int_t
ngx_mesh_origin_check(ngx_http_request_t *r)
{
    ngx_str_t                 *name;
    ngx_uint_t                 i;
    ngx_table_elt_t           *h;
    ngx_mesh_origin_t          origin, own;
    ngx_http_mesh_loc_conf_t  *mlcf;
    ngx_http_mesh_srv_conf_t  *mscf;

    h = ngx_mesh_ws_header(r, "origin");

    /* agents and command-line clients send none */
    if (h == NULL) {
        return NGX_OK;
    }

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_mesh_module);
    mscf = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);

    if (mlcf->origin == NGX_MESH_ORIGIN_ANY) {
        return NGX_OK;
    }

    if (ngx_mesh_origin_parse(&h->value, &origin) != NGX_OK) {
        goto refused;
    }

    if (mscf->url.len
        && ngx_mesh_origin_parse(&mscf->url, &own) == NGX_OK
        && ngx_mesh_origin_equal(&origin, &own))
    {
        return NGX_OK;
    }

    if (mlcf->origin == NGX_MESH_ORIGIN_LIST) {
        name = mlcf->origins->elts;

        for (i = 0; i < mlcf->origins->nelts; i++) {

            if (ngx_mesh_origin_parse(&name[i], &own) == NGX_OK
                && ngx_mesh_origin_equal(&origin, &own))
            {
                return NGX_OK;
            }
        }

        goto refused;
    }

    if (r->headers_in.host == NULL) {
        goto refused;
    }

    /* without TLS here somebody else ends it before us */
    own.tls = r->connection->ssl ? 1 : origin.tls;

    if (ngx_mesh_origin_authority(r->headers_in.host->value.data,
                                  r->headers_in.host->value.data
                                  + r->headers_in.host->value.len, &own)
        == NGX_OK
        && ngx_mesh_origin_equal(&origin, &own))
    {
        return NGX_OK;
    }

refused:

    ngx_mesh_count(NGX_MESH_C_ORIGIN_REFUSED);
    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "mesh: foreign origin \"%V\"", &h->value);

    return NGX_HTTP_FORBIDDEN;
}


/* scheme "://" host [":" port], and of mesh_url a path; a bare name is https */
static ngx_int_t
ngx_mesh_origin_parse(ngx_str_t *text, ngx_mesh_origin_t *o)
{
    u_char  *p, *last, *end;

    p = text->data;
    last = p + text->len;
    o->tls = 1;

    if (text->len > 8 && ngx_strncasecmp(p, (u_char *) "https://", 8) == 0) {
        p += 8;

    } else if (text->len > 7
               && ngx_strncasecmp(p, (u_char *) "http://", 7) == 0)
    {
        p += 7;
        o->tls = 0;

    } else if (ngx_strlchr(p, last, '/') != NULL) {
        return NGX_DECLINED;
    }

    end = ngx_strlchr(p, last, '/');

    return ngx_mesh_origin_authority(p, end ? end : last, o);
}


static ngx_int_t
ngx_mesh_origin_authority(u_char *p, u_char *last, ngx_mesh_origin_t *o)
{
    u_char     *host, *end;
    ngx_int_t   port;

    host = p;

    if (p < last && *p == '[') {

        end = ngx_strlchr(p, last, ']');
        if (end == NULL) {
            return NGX_DECLINED;
        }

        end++;

    } else {
        end = ngx_strlchr(p, last, ':');
        if (end == NULL) {
            end = last;
        }
    }

    if (end == host) {
        return NGX_DECLINED;
    }

    o->host.data = host;
    o->host.len = end - host;
    o->port = o->tls ? 443 : 80;

    if (end == last) {
        goto check;
    }

    if (*end != ':') {
        return NGX_DECLINED;
    }

    port = ngx_atoi(end + 1, last - end - 1);

    if (port < 1 || port > 65535) {
        return NGX_DECLINED;
    }

    o->port = port;

check:

    /* what a name or an address is made of: nothing else compares equal */
    for (p = host; p < end; p++) {
        if (!((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z')
            && !(*p >= '0' && *p <= '9')
            && ngx_strchr(".-_:[]", *p) == NULL)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_mesh_origin_equal(ngx_mesh_origin_t *a, ngx_mesh_origin_t *b)
{
    return a->tls == b->tls && a->port == b->port
           && a->host.len == b->host.len
           && ngx_strncasecmp(a->host.data, b->host.data, a->host.len) == 0;
}

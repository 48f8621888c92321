/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * OpenSSL works between two memory BIOs; libuv owns the socket.  Each address
 * that is tried gets a socket of its own, which lives until libuv has closed
 * it: its data is the stream, or NULL when the stream has left it.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "../proto/mesh_http.h"
#include "mesh_agent_stream.h"


#define MESH_AGENT_STREAM_NEXT    5000            /* ms, until the next address */
#define MESH_AGENT_STREAM_LINGER  10000           /* ms, for the peer to end */
#define MESH_AGENT_STREAM_TRIES   8               /* addresses of a name */
#define MESH_AGENT_STREAM_HEAD    8192            /* bytes, answer of a proxy */
#define MESH_AGENT_STREAM_CHUNK   65536


typedef enum {
    MESH_AGENT_STREAM_RESOLVING = 0,
    MESH_AGENT_STREAM_CONNECTING,
    MESH_AGENT_STREAM_PROXY,          /* CONNECT was sent */
    MESH_AGENT_STREAM_TLS,
    MESH_AGENT_STREAM_READY,
    MESH_AGENT_STREAM_ENDING,         /* end() was called */
    MESH_AGENT_STREAM_FAILED,         /* the timer tells the owner */
    MESH_AGENT_STREAM_CLOSED
} mesh_agent_stream_state_e;


struct mesh_agent_stream_s {
    uv_loop_t                         *loop;
    uv_timer_t                         timer;
    uv_getaddrinfo_t                   dns;
    uv_tcp_t                          *tcp;
    struct addrinfo                   *list;
    struct addrinfo                   *first;     /* of list, to be tried */
    struct addrinfo                   *next;      /* NULL: all were */
    unsigned                           tries;

    const mesh_agent_stream_events_t  *events;
    void                              *data;

    char                              *host;      /* where we want to get */
    char                              *via;       /* proxy's host, or NULL */
    char                              *auth;      /* for the proxy: base64 */
    uint16_t                           port;
    uint16_t                           via_port;

    SSL                               *ssl;
    BIO                               *in;
    BIO                               *out;
    mesh_agent_peer_t                  peer;

    char                              *head;      /* answer of the proxy */
    size_t                             head_len;

    char                               from[MESH_AGENT_STREAM_IP];
    char                               ip[MESH_AGENT_STREAM_IP];
    char                               why[192];
    mesh_agent_stream_state_e          state;
    unsigned                           tls:1;
    unsigned                           public_ca:1;
    unsigned                           behind:1;
    unsigned                           resolving:1;
    unsigned                           timer_open:1;
    unsigned                           paused:1;
    unsigned                           over:1;    /* write() said AGAIN */
    unsigned                           eof:1;     /* not a fault */
};


typedef struct {
    uv_write_t                         req;
    uint8_t                            data[];
} mesh_agent_stream_out_t;


static int mesh_agent_stream_tls(mesh_agent_stream_t *st);
static SSL_CTX *mesh_agent_stream_ctx(int public_ca);
static int mesh_agent_stream_proxy(mesh_agent_stream_t *st, const char *text);
static void mesh_agent_stream_resolved(uv_getaddrinfo_t *req, int status,
    struct addrinfo *res);
static void mesh_agent_stream_first(mesh_agent_stream_t *st);
static void mesh_agent_stream_name(const struct addrinfo *ai, char *ip,
    size_t size);
static void mesh_agent_stream_try(mesh_agent_stream_t *st);
static void mesh_agent_stream_timeout(uv_timer_t *timer);
static void mesh_agent_stream_reached(uv_connect_t *req, int status);
static void mesh_agent_stream_connect(mesh_agent_stream_t *st);
static void mesh_agent_stream_alloc(uv_handle_t *handle, size_t size,
    uv_buf_t *buf);
static void mesh_agent_stream_input(uv_stream_t *tcp, ssize_t n,
    const uv_buf_t *buf);
static void mesh_agent_stream_take(mesh_agent_stream_t *st, uint8_t *p,
    size_t len);
static void mesh_agent_stream_answer(mesh_agent_stream_t *st, uint8_t *p,
    size_t len);
static void mesh_agent_stream_handshake(mesh_agent_stream_t *st);
static void mesh_agent_stream_ready(mesh_agent_stream_t *st);
static void mesh_agent_stream_pump(mesh_agent_stream_t *st);
static int mesh_agent_stream_flush(mesh_agent_stream_t *st);
static int mesh_agent_stream_out(mesh_agent_stream_t *st, const void *data,
    size_t len);
static void mesh_agent_stream_written(uv_write_t *req, int status);
static void mesh_agent_stream_ended(uv_shutdown_t *req, int status);
static void mesh_agent_stream_fail(mesh_agent_stream_t *st, const char *fmt,
    const char *what);
static void mesh_agent_stream_leave(mesh_agent_stream_t *st);
static void mesh_agent_stream_gone(uv_handle_t *handle);
static void mesh_agent_stream_stopped(uv_handle_t *handle);
static void mesh_agent_stream_release(mesh_agent_stream_t *st);


/* one loop, one thread: what is read lies here until it is used */
static uint8_t  mesh_agent_stream_raw[MESH_AGENT_STREAM_CHUNK];
static uint8_t  mesh_agent_stream_plain[MESH_AGENT_STREAM_CHUNK];


mesh_agent_stream_t *
mesh_agent_stream_open(uv_loop_t *loop, const mesh_agent_stream_opts_t *opts)
{
    char                  service[8];
    const char           *host;
    struct addrinfo       hints;
    mesh_agent_stream_t  *st;

    st = mesh_agent_alloc(sizeof(mesh_agent_stream_t));
    st->loop = loop;
    st->events = opts->events;
    st->data = opts->data;
    st->host = mesh_agent_strdup(opts->host);
    st->port = opts->port;
    st->tls = opts->tls;
    st->public_ca = opts->public_ca;
    st->behind = opts->behind;
    (void) snprintf(st->from, sizeof(st->from), "%s",
                    opts->from ? opts->from : "");

    if ((opts->proxy && mesh_agent_stream_proxy(st, opts->proxy) != MESH_OK)
        || (st->tls && mesh_agent_stream_tls(st) != MESH_OK))
    {
        mesh_agent_stream_release(st);
        return NULL;
    }

    (void) uv_timer_init(loop, &st->timer);
    st->timer.data = st;
    st->timer_open = 1;
    (void) uv_timer_start(&st->timer, mesh_agent_stream_timeout,
                          MESH_AGENT_STREAM_WAIT, 0);

    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_STREAM;
    host = st->via ? st->via : st->host;
    (void) snprintf(service, sizeof(service), "%u",
                    (unsigned) (st->via ? st->via_port : st->port));

    st->dns.data = st;

    if (uv_getaddrinfo(loop, &st->dns, mesh_agent_stream_resolved, host,
                       service, &hints)
        == 0)
    {
        st->resolving = 1;
    } else {
        mesh_agent_stream_fail(st, "\"%s\" is no name of a host", host);
    }

    return st;
}


static int
mesh_agent_stream_tls(mesh_agent_stream_t *st)
{
    SSL_CTX          *ctx;
    struct in6_addr   any;

    ctx = mesh_agent_stream_ctx(st->public_ca);
    st->ssl = ctx ? SSL_new(ctx) : NULL;

    if (st->ssl == NULL) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "no TLS: %s",
                       ERR_error_string(ERR_get_error(), NULL));
        return MESH_ERROR;
    }

    st->in = BIO_new(BIO_s_mem());
    st->out = BIO_new(BIO_s_mem());

    if (st->in == NULL || st->out == NULL) {
        BIO_free(st->in);
        BIO_free(st->out);
        return MESH_ERROR;
    }

    (void) BIO_set_mem_eof_return(st->in, -1);
    SSL_set_bio(st->ssl, st->in, st->out);
    SSL_set_connect_state(st->ssl);

    /* RFC 6066, 3: an address is no name */
    if (uv_inet_pton(AF_INET, st->host, &any) != 0
        && uv_inet_pton(AF_INET6, st->host, &any) != 0)
    {
        (void) SSL_set_tlsext_host_name(st->ssl, st->host);
    }

    if (st->public_ca) {
        SSL_set_verify(st->ssl, SSL_VERIFY_PEER, NULL);
        (void) SSL_set1_host(st->ssl, st->host);
    }

    return MESH_OK;
}


/*
 * The chain says nothing here: who the server is, the handshake over the
 * certificate's hash proves, and tunnels compare that hash.
 */
static SSL_CTX *
mesh_agent_stream_ctx(int public_ca)
{
    static SSL_CTX  *ctx;
    static int       has_ca;

    if (ctx == NULL) {
        ctx = SSL_CTX_new(TLS_client_method());

        if (ctx == NULL) {
            return NULL;
        }

        (void) SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
        (void) SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
        (void) SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
        (void) SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    }

    /* a megabyte, for who asks for it */

    if (public_ca && !has_ca) {
        (void) SSL_CTX_set_default_verify_paths(ctx);
        has_ca = 1;
    }

    return ctx;
}


static int
mesh_agent_stream_proxy(mesh_agent_stream_t *st, const char *text)
{
    mesh_http_proxy_t  proxy;

    if (mesh_http_proxy_parse(&proxy, text, strlen(text)) != MESH_OK) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "the proxy in the policy must be "
                       "written host:port");
        return MESH_ERROR;
    }

    if (proxy.auth) {
        st->auth = mesh_agent_alloc(4 * (proxy.auth_len + 2) / 3 + 4);
        (void) EVP_EncodeBlock((uint8_t *) st->auth, (uint8_t *) proxy.auth,
                               (int) proxy.auth_len);
    }

    st->via = mesh_agent_alloc(proxy.host_len + 1);
    memcpy(st->via, proxy.host, proxy.host_len);
    st->via_port = proxy.port;

    return MESH_OK;
}


static void
mesh_agent_stream_resolved(uv_getaddrinfo_t *req, int status,
    struct addrinfo *res)
{
    mesh_agent_stream_t *st = req->data;

    st->resolving = 0;
    st->list = res;
    mesh_agent_stream_first(st);

    if (st->state == MESH_AGENT_STREAM_CLOSED) {
        mesh_agent_stream_release(st);
        return;
    }

    if (st->state == MESH_AGENT_STREAM_FAILED) {
        return;
    }

    if (status != 0) {
        mesh_agent_stream_fail(st, "its name is not known: %s",
                               uv_strerror(status));
        return;
    }

    (void) snprintf(st->why, sizeof(st->why), "it has no address");
    mesh_agent_stream_try(st);
}


/* the list is a ring, which is entered where the owner wishes */
static void
mesh_agent_stream_first(mesh_agent_stream_t *st)
{
    char              ip[MESH_AGENT_STREAM_IP];
    struct addrinfo  *ai;

    st->first = st->list;

    for (ai = st->list; ai && st->from[0]; ai = ai->ai_next) {
        mesh_agent_stream_name(ai, ip, sizeof(ip));

        if (strcmp(ip, st->from) == 0) {
            st->first = st->behind ? ai->ai_next : ai;
            break;
        }
    }

    if (st->first == NULL) {
        st->first = st->list;
    }

    st->next = st->first;
}


static void
mesh_agent_stream_name(const struct addrinfo *ai, char *ip, size_t size)
{
    if (ai->ai_family == AF_INET6) {
        (void) uv_ip6_name((struct sockaddr_in6 *) ai->ai_addr, ip, size);
    } else {
        (void) uv_ip4_name((struct sockaddr_in *) ai->ai_addr, ip, size);
    }
}


/* the next address; why says what was wrong with the last one */
static void
mesh_agent_stream_try(mesh_agent_stream_t *st)
{
    int               rc;
    uv_connect_t     *req;
    struct addrinfo  *ai;

    mesh_agent_stream_leave(st);

    if (st->next == NULL || st->tries == MESH_AGENT_STREAM_TRIES) {
        mesh_agent_stream_fail(st, NULL, NULL);
        return;
    }

    ai = st->next;
    st->next = ai->ai_next ? ai->ai_next : st->list;
    st->next = st->next == st->first ? NULL : st->next;
    st->tries++;
    st->state = MESH_AGENT_STREAM_CONNECTING;

    mesh_agent_stream_name(ai, st->ip, sizeof(st->ip));

    st->tcp = mesh_agent_alloc(sizeof(uv_tcp_t));
    (void) uv_tcp_init(st->loop, st->tcp);
    st->tcp->data = st;

    (void) uv_timer_start(&st->timer, mesh_agent_stream_timeout,
                          st->next ? MESH_AGENT_STREAM_NEXT
                                   : MESH_AGENT_STREAM_WAIT, 0);

    req = mesh_agent_alloc(sizeof(uv_connect_t));
    rc = uv_tcp_connect(req, st->tcp, ai->ai_addr, mesh_agent_stream_reached);

    if (rc != 0) {
        free(req);
        (void) snprintf(st->why, sizeof(st->why), "%s: %s", st->ip,
                        uv_strerror(rc));
        mesh_agent_stream_try(st);
    }
}


static void
mesh_agent_stream_timeout(uv_timer_t *timer)
{
    mesh_agent_stream_t *st = timer->data;

    const char  *why;

    switch (st->state) {

    case MESH_AGENT_STREAM_FAILED:
        why = st->eof ? NULL : st->why;
        st->events->closed(st->data, why);
        mesh_agent_stream_close(st);
        return;

    case MESH_AGENT_STREAM_ENDING:
        st->eof = 1;
        mesh_agent_stream_fail(st, NULL, NULL);
        return;

    case MESH_AGENT_STREAM_CONNECTING:
        (void) snprintf(st->why, sizeof(st->why), "%s does not answer",
                        st->ip);
        mesh_agent_stream_try(st);
        return;

    default:
        mesh_agent_stream_fail(st, "%s", "it does not answer");
    }
}


static void
mesh_agent_stream_reached(uv_connect_t *req, int status)
{
    mesh_agent_stream_t  *st;

    st = req->handle->data;
    free(req);

    if (st == NULL) {
        return;     /* another address is tried, or nobody waits */
    }

    if (status != 0) {
        (void) snprintf(st->why, sizeof(st->why), "%s: %s", st->ip,
                        uv_strerror(status));
        mesh_agent_stream_try(st);
        return;
    }

    (void) uv_tcp_nodelay(st->tcp, 1);
    (void) uv_tcp_keepalive(st->tcp, 1, 60);
    (void) uv_timer_start(&st->timer, mesh_agent_stream_timeout,
                          MESH_AGENT_STREAM_WAIT, 0);
    (void) uv_read_start((uv_stream_t *) st->tcp, mesh_agent_stream_alloc,
                         mesh_agent_stream_input);

    if (st->via) {
        mesh_agent_stream_connect(st);

    } else if (st->tls) {
        st->state = MESH_AGENT_STREAM_TLS;
        mesh_agent_stream_handshake(st);

    } else {
        mesh_agent_stream_ready(st);
    }
}


static void
mesh_agent_stream_connect(mesh_agent_stream_t *st)
{
    int          n;
    char         text[1024];
    const char  *open, *shut;

    /* RFC 3986, 3.2.2 */
    open = strchr(st->host, ':') ? "[" : "";
    shut = open[0] ? "]" : "";

    n = snprintf(text, sizeof(text), "CONNECT %s%s%s:%u HTTP/1.1\r\n"
                 "Host: %s%s%s:%u\r\n%s%s%s\r\n",
                 open, st->host, shut, st->port,
                 open, st->host, shut, st->port,
                 st->auth ? "Proxy-Authorization: Basic " : "",
                 st->auth ? st->auth : "", st->auth ? "\r\n" : "");

    if (n >= (int) sizeof(text)) {
        mesh_agent_stream_fail(st, "%s", "the proxy's password is too long");
        return;
    }

    st->state = MESH_AGENT_STREAM_PROXY;
    st->head = mesh_agent_alloc(MESH_AGENT_STREAM_HEAD);
    (void) mesh_agent_stream_out(st, text, (size_t) n);
}


static void
mesh_agent_stream_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    (void) handle;
    (void) size;

    *buf = uv_buf_init((char *) mesh_agent_stream_raw,
                       sizeof(mesh_agent_stream_raw));
}


static void
mesh_agent_stream_input(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf)
{
    mesh_agent_stream_t *st = tcp->data;

    if (st == NULL || n == 0) {
        return;
    }

    if (n < 0) {
        st->eof = n == UV_EOF && st->state >= MESH_AGENT_STREAM_READY;
        mesh_agent_stream_fail(st, "%s", n == UV_EOF ? "it hangs up"
                                                     : uv_strerror((int) n));
        return;
    }

    mesh_agent_stream_take(st, (uint8_t *) buf->base, (size_t) n);
}


static void
mesh_agent_stream_take(mesh_agent_stream_t *st, uint8_t *p, size_t len)
{
    switch (st->state) {

    case MESH_AGENT_STREAM_PROXY:
        mesh_agent_stream_answer(st, p, len);
        return;

    case MESH_AGENT_STREAM_TLS:
    case MESH_AGENT_STREAM_READY:
    case MESH_AGENT_STREAM_ENDING:

        if (st->ssl == NULL) {
            st->events->read(st->data, p, len);
            return;
        }

        if (BIO_write(st->in, p, (int) len) != (int) len) {
            mesh_agent_stream_fail(st, "%s", "no memory");

        } else if (st->state == MESH_AGENT_STREAM_TLS) {
            mesh_agent_stream_handshake(st);

        } else {
            mesh_agent_stream_pump(st);
        }

        return;

    default:
        return;
    }
}


/* "HTTP/1.1 200 ..." and an empty line */
static void
mesh_agent_stream_answer(mesh_agent_stream_t *st, uint8_t *p, size_t len)
{
    int                 rc;
    size_t              n;
    mesh_http_answer_t  answer;

    n = MESH_AGENT_STREAM_HEAD - st->head_len;
    n = len < n ? len : n;
    memcpy(st->head + st->head_len, p, n);
    st->head_len += n;

    rc = mesh_http_answer_parse(&answer, st->head, st->head_len);

    if (rc == MESH_AGAIN && st->head_len < MESH_AGENT_STREAM_HEAD) {
        return;
    }

    if (rc != MESH_OK) {
        mesh_agent_stream_fail(st, "%s", "the proxy's answer is no HTTP");
        return;
    }

    if (answer.status != 200) {
        st->head[answer.line] = '\0';
        mesh_agent_stream_fail(st, "the proxy refuses: %.100s", st->head);
        return;
    }

    /* the other side says nothing before we do */

    free(st->head);
    st->head = NULL;

    if (st->tls) {
        st->state = MESH_AGENT_STREAM_TLS;
        mesh_agent_stream_handshake(st);
    } else {
        mesh_agent_stream_ready(st);
    }
}


static void
mesh_agent_stream_handshake(mesh_agent_stream_t *st)
{
    int              rc, len;
    X509            *x;
    uint8_t         *der;
    ASN1_BIT_STRING *key;

    ERR_clear_error();
    rc = SSL_do_handshake(st->ssl);

    if (mesh_agent_stream_flush(st) != MESH_OK) {
        return;
    }

    if (rc != 1) {
        rc = SSL_get_error(st->ssl, rc);

        if (rc != SSL_ERROR_WANT_READ) {
            mesh_agent_stream_fail(st, "TLS: %s",
                                   ERR_reason_error_string(ERR_get_error()));
            ERR_clear_error();
        }

        return;
    }

    x = SSL_get0_peer_certificate(st->ssl);
    der = NULL;
    len = x ? i2d_X509(x, &der) : 0;

    if (len <= 0) {
        mesh_agent_stream_fail(st, "%s", "it shows no certificate");
        return;
    }

    (void) SHA384(der, (size_t) len, st->peer.full);
    OPENSSL_free(der);

    key = X509_get0_pubkey_bitstr(x);
    (void) SHA384(ASN1_STRING_get0_data(key), (size_t) ASN1_STRING_length(key),
                  st->peer.key);

    if (st->events->verify
        && st->events->verify(st->data, &st->peer) != MESH_OK)
    {
        mesh_agent_stream_fail(st, "%s", "its certificate is another one");
        return;
    }

    mesh_agent_stream_ready(st);

    if (st->state >= MESH_AGENT_STREAM_READY
        && st->state < MESH_AGENT_STREAM_FAILED)
    {
        mesh_agent_stream_pump(st);
    }
}


static void
mesh_agent_stream_ready(mesh_agent_stream_t *st)
{
    (void) uv_timer_stop(&st->timer);

    if (st->list) {
        uv_freeaddrinfo(st->list);
        st->list = NULL;
        st->first = NULL;
        st->next = NULL;
    }

    st->state = MESH_AGENT_STREAM_READY;
    st->events->connected(st->data);
}


/* what TLS has for us, until it is told to wait */
static void
mesh_agent_stream_pump(mesh_agent_stream_t *st)
{
    int  n;

    while (!st->paused && (st->state == MESH_AGENT_STREAM_READY
                           || st->state == MESH_AGENT_STREAM_ENDING))
    {
        ERR_clear_error();      /* of other connections */
        n = SSL_read(st->ssl, mesh_agent_stream_plain,
                     sizeof(mesh_agent_stream_plain));

        if (n > 0) {
            st->events->read(st->data, mesh_agent_stream_plain, (size_t) n);
            continue;
        }

        n = SSL_get_error(st->ssl, n);

        if (n == SSL_ERROR_ZERO_RETURN) {
            st->eof = 1;
            mesh_agent_stream_fail(st, NULL, NULL);

        } else if (n != SSL_ERROR_WANT_READ) {
            mesh_agent_stream_fail(st, "TLS: %s",
                                   ERR_reason_error_string(ERR_get_error()));
            ERR_clear_error();
        }

        break;
    }

    if (st->state < MESH_AGENT_STREAM_FAILED) {
        (void) mesh_agent_stream_flush(st);     /* a new key, perhaps */
    }
}


int
mesh_agent_stream_write(mesh_agent_stream_t *st, const void *data, size_t len)
{
    size_t  n;

    if (st->state != MESH_AGENT_STREAM_READY
        || len > MESH_AGENT_STREAM_MAX
        || uv_stream_get_write_queue_size((uv_stream_t *) st->tcp)
           > MESH_AGENT_STREAM_MAX - len)
    {
        return MESH_ERROR;
    }

    if (st->ssl == NULL) {
        if (mesh_agent_stream_out(st, data, len) != MESH_OK) {
            return MESH_ERROR;
        }

    } else if (len) {
        ERR_clear_error();

        if (SSL_write_ex(st->ssl, data, len, &n) != 1 || n != len) {
            mesh_agent_stream_fail(st, "TLS: %s",
                                   ERR_reason_error_string(ERR_get_error()));
            ERR_clear_error();
            return MESH_ERROR;
        }

        if (mesh_agent_stream_flush(st) != MESH_OK) {
            return MESH_ERROR;
        }
    }

    if (uv_stream_get_write_queue_size((uv_stream_t *) st->tcp)
        > MESH_AGENT_STREAM_HIGH)
    {
        st->over = 1;
        return MESH_AGAIN;
    }

    return MESH_OK;
}


static int
mesh_agent_stream_flush(mesh_agent_stream_t *st)
{
    int    n;
    char  *p;

    n = (int) BIO_get_mem_data(st->out, &p);

    if (n <= 0) {
        return MESH_OK;
    }

    if (mesh_agent_stream_out(st, p, (size_t) n) != MESH_OK) {
        return MESH_ERROR;
    }

    (void) BIO_reset(st->out);

    return MESH_OK;
}


/* at once what the socket takes; a copy of the rest waits */
static int
mesh_agent_stream_out(mesh_agent_stream_t *st, const void *data, size_t len)
{
    int                       rc;
    uv_buf_t                  buf;
    mesh_agent_stream_out_t  *o;

    buf = uv_buf_init((char *) data, (unsigned) len);
    rc = uv_try_write((uv_stream_t *) st->tcp, &buf, 1);

    if (rc == UV_EAGAIN) {
        rc = 0;
    }

    if (rc < 0) {
        mesh_agent_stream_fail(st, "%s", uv_strerror(rc));
        return MESH_ERROR;
    }

    if ((size_t) rc == len) {
        return MESH_OK;
    }

    len -= (size_t) rc;
    o = malloc(sizeof(mesh_agent_stream_out_t) + len);

    if (o == NULL) {
        mesh_agent_stream_fail(st, "%s", "no memory");
        return MESH_ERROR;
    }

    memcpy(o->data, (const uint8_t *) data + rc, len);
    buf = uv_buf_init((char *) o->data, (unsigned) len);
    rc = uv_write(&o->req, (uv_stream_t *) st->tcp, &buf, 1,
                  mesh_agent_stream_written);

    if (rc != 0) {
        free(o);
        mesh_agent_stream_fail(st, "%s", uv_strerror(rc));
        return MESH_ERROR;
    }

    return MESH_OK;
}


static void
mesh_agent_stream_written(uv_write_t *req, int status)
{
    mesh_agent_stream_t  *st;

    st = req->handle->data;
    free(req);

    if (st == NULL) {
        return;
    }

    if (status != 0) {
        mesh_agent_stream_fail(st, "%s", uv_strerror(status));

    } else if (st->over && uv_stream_get_write_queue_size(
                               (uv_stream_t *) st->tcp)
                           <= MESH_AGENT_STREAM_HIGH / 4)
    {
        st->over = 0;

        if (st->state == MESH_AGENT_STREAM_READY) {
            st->events->drain(st->data);
        }
    }
}


void
mesh_agent_stream_pause(mesh_agent_stream_t *st)
{
    st->paused = 1;

    if (st->tcp && st->state >= MESH_AGENT_STREAM_READY
        && st->state < MESH_AGENT_STREAM_FAILED)
    {
        (void) uv_read_stop((uv_stream_t *) st->tcp);
    }
}


void
mesh_agent_stream_resume(mesh_agent_stream_t *st)
{
    if (!st->paused) {
        return;
    }

    st->paused = 0;

    if (st->tcp == NULL || st->state < MESH_AGENT_STREAM_READY
        || st->state >= MESH_AGENT_STREAM_FAILED)
    {
        return;
    }

    (void) uv_read_start((uv_stream_t *) st->tcp, mesh_agent_stream_alloc,
                         mesh_agent_stream_input);

    if (st->ssl && (SSL_has_pending(st->ssl) || BIO_pending(st->in))) {
        mesh_agent_stream_pump(st);
    }
}


void
mesh_agent_stream_limit(mesh_agent_stream_t *st, uint64_t ms)
{
    if (st->state != MESH_AGENT_STREAM_READY) {
        return;
    }

    if (ms) {
        (void) uv_timer_start(&st->timer, mesh_agent_stream_timeout, ms, 0);
    } else {
        (void) uv_timer_stop(&st->timer);
    }
}


void
mesh_agent_stream_end(mesh_agent_stream_t *st)
{
    uv_shutdown_t  *req;

    if (st->state < MESH_AGENT_STREAM_READY) {
        st->eof = 1;
        mesh_agent_stream_fail(st, NULL, NULL);
        return;
    }

    if (st->state != MESH_AGENT_STREAM_READY) {
        return;
    }

    if (st->ssl) {
        ERR_clear_error();
        (void) SSL_shutdown(st->ssl);
        ERR_clear_error();

        if (mesh_agent_stream_flush(st) != MESH_OK) {
            return;
        }
    }

    st->state = MESH_AGENT_STREAM_ENDING;
    (void) uv_timer_start(&st->timer, mesh_agent_stream_timeout,
                          MESH_AGENT_STREAM_LINGER, 0);

    req = mesh_agent_alloc(sizeof(uv_shutdown_t));

    if (uv_shutdown(req, (uv_stream_t *) st->tcp, mesh_agent_stream_ended)
        != 0)
    {
        free(req);
    }

    mesh_agent_stream_resume(st);       /* to see the other's end */
}


static void
mesh_agent_stream_ended(uv_shutdown_t *req, int status)
{
    (void) status;

    free(req);
}


/* from anywhere; the owner is told in the next turn of the loop */
static void
mesh_agent_stream_fail(mesh_agent_stream_t *st, const char *fmt,
    const char *what)
{
    char  why[sizeof(st->why)];

    if (st->state >= MESH_AGENT_STREAM_FAILED) {
        return;
    }

    if (fmt) {
        (void) snprintf(why, sizeof(why), fmt, what ? what : "no reason given");
        memcpy(st->why, why, sizeof(why));
    }

    st->state = MESH_AGENT_STREAM_FAILED;
    mesh_agent_stream_leave(st);
    (void) uv_timer_start(&st->timer, mesh_agent_stream_timeout, 0, 0);
}


void
mesh_agent_stream_close(mesh_agent_stream_t *st)
{
    if (st->state == MESH_AGENT_STREAM_CLOSED) {
        return;
    }

    st->state = MESH_AGENT_STREAM_CLOSED;
    mesh_agent_stream_leave(st);

    if (st->resolving) {
        (void) uv_cancel((uv_req_t *) &st->dns);
    }

    uv_close((uv_handle_t *) &st->timer, mesh_agent_stream_stopped);
}


static void
mesh_agent_stream_leave(mesh_agent_stream_t *st)
{
    if (st->tcp) {
        st->tcp->data = NULL;
        uv_close((uv_handle_t *) st->tcp, mesh_agent_stream_gone);
        st->tcp = NULL;
    }
}


static void
mesh_agent_stream_gone(uv_handle_t *handle)
{
    free(handle);
}


static void
mesh_agent_stream_stopped(uv_handle_t *handle)
{
    mesh_agent_stream_t *st = handle->data;

    st->timer_open = 0;
    mesh_agent_stream_release(st);
}


/* the last of timer and resolver */
static void
mesh_agent_stream_release(mesh_agent_stream_t *st)
{
    if (st->timer_open || st->resolving) {
        return;
    }

    if (st->list) {
        uv_freeaddrinfo(st->list);
    }

    if (st->auth) {
        OPENSSL_cleanse(st->auth, strlen(st->auth));
    }

    SSL_free(st->ssl);
    free(st->head);
    free(st->host);
    free(st->auth);
    free(st->via);
    free(st);
}


const char *
mesh_agent_stream_ip(const mesh_agent_stream_t *st)
{
    return st->ip;
}


const mesh_agent_peer_t *
mesh_agent_stream_peer(const mesh_agent_stream_t *st)
{
    return &st->peer;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The set of certificates under which clients may have seen a server.  An
 * agent names the hash that it saw; a man in the middle has one outside of the
 * set, whichever of ours he imitates.
 *
 * By default the set is read from the SSL context of the server.  Where TLS
 * ends in front of nginx, mesh_web_certificate tells it: from files, as
 * hashes, or by asking the front itself, in the thread pool, each hour and
 * when an agent has seen another one.
 */

#include "../ngx_mesh.h"
#include <ngx_http_ssl_module.h>
#include <ngx_thread_pool.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <netdb.h>


#define NGX_MESH_CERTS          16    /* of one server */
#define NGX_MESH_CERT_EVERY     3600  /* seconds between two fetches */
#define NGX_MESH_CERT_AGAIN     120   /* at least, when a hash is unknown */
#define NGX_MESH_CERT_OLD       3600  /* seconds that a replaced one is valid */
#define NGX_MESH_CERT_TIMEOUT   10    /* seconds for a fetch */


struct ngx_mesh_webcert_s {
    ngx_mesh_webcert_t  *next;
    SSL_CTX             *ctx;         /* NULL: mesh_web_certificate */
    ngx_mesh_outer_t     list[NGX_MESH_CERTS];
    time_t               until[NGX_MESH_CERTS];   /* of old ones */
    ngx_uint_t           n;
    ngx_uint_t           index;

    ngx_str_t            host;        /* to be asked, NUL-terminated */
    ngx_str_t            port;
    time_t               fetched;     /* last try */
    ngx_uint_t           busy;
};

/* what a thread of the pool works on */
typedef struct {
    ngx_mesh_webcert_t  *set;
    u_char              *der;         /* owned; NULL: failed */
    size_t               len;
    char                 error[128];
    char                 host[256];
    char                 port[8];
} ngx_mesh_cert_fetch_t;


static ngx_int_t ngx_mesh_cert_context(ngx_mesh_webcert_t *set, SSL_CTX *ctx,
    ngx_cycle_t *cycle);
static ngx_int_t ngx_mesh_cert_configured(ngx_mesh_webcert_t *set,
    ngx_array_t *conf, ngx_cycle_t *cycle);
static ngx_int_t ngx_mesh_cert_file(ngx_mesh_webcert_t *set, ngx_str_t *name,
    ngx_cycle_t *cycle);
static ngx_int_t ngx_mesh_cert_url(ngx_mesh_webcert_t *set, ngx_str_t *url,
    ngx_cycle_t *cycle);
static ngx_int_t ngx_mesh_cert_read(ngx_mesh_outer_t *outer, X509 *x509,
    ngx_pool_t *pool);
static ngx_int_t ngx_mesh_cert_match(ngx_mesh_webcert_t *set,
    const u_char *hash, u_char *full);
static ngx_mesh_outer_t *ngx_mesh_cert_first(ngx_mesh_webcert_t *set);

static void ngx_mesh_cert_tick(void);
static void ngx_mesh_cert_fetch(ngx_mesh_webcert_t *set);
static void ngx_mesh_cert_fetch_thread(void *data, ngx_log_t *log);
static void ngx_mesh_cert_fetch_tls(ngx_mesh_cert_fetch_t *f, int fd);
static void ngx_mesh_cert_fetch_done(ngx_event_t *ev);
static void ngx_mesh_cert_replace(ngx_mesh_webcert_t *set, X509 *x509);


/* of this cycle */
static ngx_mesh_webcert_t  *ngx_mesh_certs;


ngx_int_t
ngx_mesh_cert_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                   s;
    ngx_mesh_outer_t            *outer;
    ngx_mesh_webcert_t          *set;
    ngx_http_conf_ctx_t         *ctx;
    ngx_http_ssl_srv_conf_t     *sscf;
    ngx_http_core_srv_conf_t   **cscfp;
    ngx_http_core_main_conf_t   *cmcf;
    ngx_http_mesh_srv_conf_t    *mscf;

    ngx_mesh_certs = NULL;

    ctx = (ngx_http_conf_ctx_t *) ngx_get_conf(cycle->conf_ctx,
                                               ngx_http_module);
    cmcf = ctx->main_conf[ngx_http_core_module.ctx_index];
    cscfp = cmcf->servers.elts;

    for (s = 0; s < cmcf->servers.nelts; s++) {
        mscf = cscfp[s]->ctx->srv_conf[ngx_http_mesh_module.ctx_index];
        sscf = cscfp[s]->ctx->srv_conf[ngx_http_ssl_module.ctx_index];

        set = ngx_pcalloc(cycle->pool, sizeof(ngx_mesh_webcert_t));
        if (set == NULL) {
            return NGX_ERROR;
        }

        set->index = mscf->index;

        if (mscf->webcert_conf) {

            if (ngx_mesh_cert_configured(set, mscf->webcert_conf, cycle)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

        } else if (sscf && sscf->ssl.ctx) {

            if (ngx_mesh_cert_context(set, sscf->ssl.ctx, cycle) != NGX_OK) {
                return NGX_ERROR;
            }
        }

        mscf->webcert = set;
        set->next = ngx_mesh_certs;
        ngx_mesh_certs = set;

        outer = ngx_mesh_cert_first(set);

        if (outer && !ngx_test_config) {
            ngx_mesh_outer_hash_set(set->index, outer->full);
        }
    }

    return NGX_OK;
}


/* independent of how nginx keeps its list: by the interface of OpenSSL */
static ngx_int_t
ngx_mesh_cert_context(ngx_mesh_webcert_t *set, SSL_CTX *ctx,
    ngx_cycle_t *cycle)
{
    long   which;
    X509  *x509;

    set->ctx = ctx;

    for (which = SSL_CERT_SET_FIRST;
         SSL_CTX_set_current_cert(ctx, which) == 1;
         which = SSL_CERT_SET_NEXT)
    {
        x509 = SSL_CTX_get0_certificate(ctx);

        if (x509 == NULL || set->n == NGX_MESH_CERTS) {
            continue;
        }

        if (ngx_mesh_cert_read(&set->list[set->n], x509, cycle->pool)
            != NGX_OK)
        {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                          "mesh certificate: cannot read one of a server");
            return NGX_ERROR;
        }

        set->n++;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_cert_configured(ngx_mesh_webcert_t *set, ngx_array_t *conf,
    ngx_cycle_t *cycle)
{
    ngx_int_t          rc;
    ngx_str_t         *word;
    ngx_uint_t         i, k;
    ngx_mesh_outer_t  *outer;

    word = conf->elts;

    for (i = 1; i < conf->nelts; i++) {

        if (set->n == NGX_MESH_CERTS) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                          "\"mesh_web_certificate\" names more than %d "
                          "certificates", NGX_MESH_CERTS);
            return NGX_ERROR;
        }

        if (word[0].data[0] == 's') {
            outer = &set->list[set->n++];

            for (k = 0; k < NGX_MESH_ID_LEN; k++) {
                outer->full[k] = ngx_hextoi(word[i].data + 2 * k, 2);
            }

            ngx_str_set(&outer->subject, "named by its hash");
            continue;
        }

        rc = word[0].data[0] == 'f'
             ? ngx_mesh_cert_file(set, &word[i], cycle)
             : ngx_mesh_cert_url(set, &word[i], cycle);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_cert_file(ngx_mesh_webcert_t *set, ngx_str_t *name,
    ngx_cycle_t *cycle)
{
    BIO        *bio;
    X509       *x509;
    ngx_int_t   rc;

    bio = BIO_new_file((char *) name->data, "r");
    x509 = bio ? PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL) : NULL;

    rc = x509 ? ngx_mesh_cert_read(&set->list[set->n], x509, cycle->pool)
              : NGX_ERROR;

    X509_free(x509);
    BIO_free(bio);

    if (rc != NGX_OK) {
        ngx_ssl_error(NGX_LOG_EMERG, cycle->log, 0,
                      "\"mesh_web_certificate\": cannot read \"%V\"", name);
        return NGX_ERROR;
    }

    set->n++;

    return NGX_OK;
}


/* https://host[:port]: asked by the workers */
static ngx_int_t
ngx_mesh_cert_url(ngx_mesh_webcert_t *set, ngx_str_t *url, ngx_cycle_t *cycle)
{
    ngx_url_t  u;

    ngx_memzero(&u, sizeof(ngx_url_t));
    u.url = *url;
    u.default_port = 443;
    u.no_resolve = 1;
    u.uri_part = 1;

    if (url->len > 8 && ngx_strncmp(url->data, "https://", 8) == 0) {
        u.url.data += 8;
        u.url.len -= 8;
    }

    if (ngx_parse_url(cycle->pool, &u) != NGX_OK || u.host.len == 0
        || u.host.len > 255)
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "%s in \"%V\" of \"mesh_web_certificate\"",
                      u.err ? u.err : "no host", url);
        return NGX_ERROR;
    }

    set->host = u.host;
    set->port.data = ngx_pnalloc(cycle->pool, 8);
    if (set->port.data == NULL) {
        return NGX_ERROR;
    }

    set->port.len = ngx_sprintf(set->port.data, "%d", (int) u.port)
                    - set->port.data;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_cert_read(ngx_mesh_outer_t *outer, X509 *x509, ngx_pool_t *pool)
{
    int                 len;
    u_char             *der;
    struct tm           tm;
    X509_NAME          *name;
    char                text[256];
    ASN1_BIT_STRING    *bits;

    der = NULL;
    len = i2d_X509(x509, &der);

    if (len <= 0) {
        return NGX_ERROR;
    }

    ngx_mesh_sha384(der, len, outer->full);
    OPENSSL_free(der);

    der = NULL;
    len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &der);

    if (len <= 0) {
        return NGX_ERROR;
    }

    ngx_mesh_sha256(der, len, outer->spki);
    OPENSSL_free(der);

    outer->read = 1;
    outer->rsa = EVP_PKEY_base_id(X509_get0_pubkey(x509)) == EVP_PKEY_RSA;

    if (outer->rsa) {
        bits = X509_get0_pubkey_bitstr(x509);
        ngx_mesh_sha384(bits->data, bits->length, outer->key);
    }

    ngx_memzero(&tm, sizeof(struct tm));

    if (ASN1_TIME_to_tm(X509_get0_notAfter(x509), &tm) == 1) {
        outer->expires = timegm(&tm);
    }

    name = X509_get_subject_name(x509);
    text[0] = '\0';
    (void) X509_NAME_oneline(name, text, sizeof(text));

    outer->subject.len = ngx_strlen(text);
    outer->subject.data = ngx_pnalloc(pool, outer->subject.len + 1);

    if (outer->subject.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(outer->subject.data, text, outer->subject.len + 1);

    return NGX_OK;
}


ngx_int_t
ngx_mesh_cert_accept(ngx_http_mesh_srv_conf_t *srv, ngx_connection_t *c,
    const u_char *hash, u_char *full)
{
    int                  len;
    X509                *x509;
    u_char              *der, seen[NGX_MESH_ID_LEN];
    SSL_CTX             *ctx;
    ngx_mesh_webcert_t  *set;

    if (srv->webcert && ngx_mesh_cert_match(srv->webcert, hash, full)
        == NGX_OK)
    {
        return NGX_OK;
    }

    /* replaced at the last reload, within its grace period */
    if (srv->webcert
        && ngx_mesh_outer_hash_old(srv->webcert->index, hash) == NGX_OK)
    {
        ngx_memcpy(full, hash, NGX_MESH_ID_LEN);
        return NGX_OK;
    }

    if (srv->webcert && srv->webcert->host.len) {

        if (srv->webcert->busy) {
            return NGX_AGAIN;
        }

        if (ngx_time() - srv->webcert->fetched >= NGX_MESH_CERT_AGAIN) {
            ngx_mesh_cert_fetch(srv->webcert);
            return NGX_AGAIN;
        }

        return NGX_DECLINED;
    }

    if (c->ssl == NULL) {
        return NGX_DECLINED;
    }

    /* TLS chose its context by name, HTTP this server by another */
    ctx = SSL_get_SSL_CTX(c->ssl->connection);

    for (set = ngx_mesh_certs; set; set = set->next) {
        if (set->ctx && set->ctx == ctx) {
            if (ngx_mesh_cert_match(set, hash, full) == NGX_OK) {
                return NGX_OK;
            }
        }
    }

    /* "ssl_certificate $variable": known by this connection only */
    x509 = SSL_get_certificate(c->ssl->connection);
    der = NULL;
    len = x509 ? i2d_X509(x509, &der) : 0;

    if (len <= 0) {
        return NGX_DECLINED;
    }

    ngx_mesh_sha384(der, len, seen);
    OPENSSL_free(der);

    if (!ngx_mesh_equal(seen, hash, NGX_MESH_ID_LEN)) {
        return NGX_DECLINED;
    }

    ngx_memcpy(full, seen, NGX_MESH_ID_LEN);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_cert_match(ngx_mesh_webcert_t *set, const u_char *hash, u_char *full)
{
    ngx_uint_t         i;
    ngx_mesh_outer_t  *outer;

    for (i = 0; i < set->n; i++) {
        outer = &set->list[i];

        if (outer->old && set->until[i] < ngx_time()) {
            continue;
        }

        if (ngx_mesh_equal(outer->full, hash, NGX_MESH_ID_LEN)
            || (outer->rsa
                && ngx_mesh_equal(outer->key, hash, NGX_MESH_ID_LEN)))
        {
            ngx_memcpy(full, outer->full, NGX_MESH_ID_LEN);
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* the one that agents take where several are loaded: not RSA */
static ngx_mesh_outer_t *
ngx_mesh_cert_first(ngx_mesh_webcert_t *set)
{
    ngx_uint_t         i;
    ngx_mesh_outer_t  *first;

    first = NULL;

    for (i = 0; i < set->n; i++) {

        if (!set->list[i].old && (first == NULL
                                  || (first->rsa && !set->list[i].rsa)))
        {
            first = &set->list[i];
        }
    }

    return first;
}


ngx_int_t
ngx_mesh_cert_current(ngx_http_mesh_srv_conf_t *srv, u_char *full)
{
    return ngx_mesh_outer_hash_get(srv->index, full);
}


ngx_uint_t
ngx_mesh_cert_list(ngx_http_mesh_srv_conf_t *srv, ngx_mesh_outer_t *list,
    ngx_uint_t max)
{
    ngx_uint_t  n;

    if (srv->webcert == NULL) {
        return 0;
    }

    n = ngx_min(max, srv->webcert->n);
    ngx_memcpy(list, srv->webcert->list, n * sizeof(ngx_mesh_outer_t));

    return n;
}


ngx_uint_t
ngx_mesh_cert_pins(ngx_http_mesh_srv_conf_t *srv, u_char (*pins)[32],
    ngx_uint_t max)
{
    ngx_uint_t         i, n;
    ngx_mesh_outer_t  *outer;

    n = 0;

    for (i = 0; srv->webcert && i < srv->webcert->n; i++) {
        outer = &srv->webcert->list[i];

        if (outer->old) {
            continue;
        }

        if (!outer->read || n == max) {
            return 0;
        }

        ngx_memcpy(pins[n++], outer->spki, 32);
    }

    return n;
}


ngx_int_t
ngx_mesh_cert_init(ngx_cycle_t *cycle)
{
    ngx_mesh_tick_add(ngx_mesh_cert_tick);

    return NGX_OK;
}


static void
ngx_mesh_cert_tick(void)
{
    ngx_mesh_webcert_t  *set;

    for (set = ngx_mesh_certs; set; set = set->next) {

        if (set->host.len && !set->busy
            && (set->fetched == 0
                || ngx_time() - set->fetched
                   >= (set->n ? NGX_MESH_CERT_EVERY : NGX_MESH_CERT_AGAIN)))
        {
            ngx_mesh_cert_fetch(set);
        }
    }
}


static void
ngx_mesh_cert_fetch(ngx_mesh_webcert_t *set)
{
    ngx_str_t               name;
    ngx_thread_pool_t      *tp;
    ngx_thread_task_t      *task;
    ngx_mesh_cert_fetch_t  *f;

    set->fetched = ngx_time();

    ngx_str_set(&name, "default");
    tp = ngx_thread_pool_get((ngx_cycle_t *) ngx_cycle, &name);

    task = ngx_calloc(sizeof(ngx_thread_task_t)
                      + sizeof(ngx_mesh_cert_fetch_t), ngx_cycle->log);

    if (tp == NULL || task == NULL) {
        ngx_free(task);
        return;
    }

    f = (ngx_mesh_cert_fetch_t *) (task + 1);
    f->set = set;
    ngx_memcpy(f->host, set->host.data, set->host.len);
    ngx_memcpy(f->port, set->port.data, set->port.len);

    task->ctx = f;
    task->handler = ngx_mesh_cert_fetch_thread;
    task->event.handler = ngx_mesh_cert_fetch_done;
    task->event.data = task;

    if (ngx_thread_task_post(tp, task) != NGX_OK) {
        ngx_free(task);
        return;
    }

    set->busy = 1;
}


/* in a thread: may block, must not touch anything of the worker */
static void
ngx_mesh_cert_fetch_thread(void *data, ngx_log_t *log)
{
    ngx_mesh_cert_fetch_t *f = data;

    int               fd, rc;
    struct timeval    tv;
    struct addrinfo   hints, *list, *ai;

    ngx_memzero(&hints, sizeof(struct addrinfo));
    hints.ai_socktype = SOCK_STREAM;

    rc = getaddrinfo(f->host, f->port, &hints, &list);

    if (rc != 0) {
        ngx_cpystrn((u_char *) f->error, (u_char *) gai_strerror(rc),
                    sizeof(f->error));
        return;
    }

    ngx_cpystrn((u_char *) f->error, (u_char *) "no address answers",
                sizeof(f->error));

    tv.tv_sec = NGX_MESH_CERT_TIMEOUT;
    tv.tv_usec = 0;

    for (ai = list; ai && f->der == NULL; ai = ai->ai_next) {

        fd = socket(ai->ai_family, ai->ai_socktype|SOCK_CLOEXEC, 0);
        if (fd == -1) {
            continue;
        }

        (void) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
        (void) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));

        if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0) {
            ngx_mesh_cert_fetch_tls(f, fd);
        }

        (void) close(fd);
    }

    freeaddrinfo(list);
}


static void
ngx_mesh_cert_fetch_tls(ngx_mesh_cert_fetch_t *f, int fd)
{
    int       len;
    SSL      *ssl;
    X509     *x509;
    SSL_CTX  *ctx;

    ctx = SSL_CTX_new(TLS_client_method());
    ssl = ctx ? SSL_new(ctx) : NULL;

    if (ssl && SSL_set_fd(ssl, fd) == 1
        && SSL_set_tlsext_host_name(ssl, f->host) == 1
        && SSL_connect(ssl) == 1)
    {
        x509 = SSL_get1_peer_certificate(ssl);
        len = x509 ? i2d_X509(x509, &f->der) : 0;
        f->len = len > 0 ? len : 0;
        X509_free(x509);
    }

    if (f->der == NULL) {
        ngx_cpystrn((u_char *) f->error, (u_char *) "no TLS handshake",
                    sizeof(f->error));
    }

    SSL_free(ssl);
    SSL_CTX_free(ctx);
}


static void
ngx_mesh_cert_fetch_done(ngx_event_t *ev)
{
    X509                   *x509;
    const u_char           *p;
    ngx_thread_task_t      *task;
    ngx_mesh_cert_fetch_t  *f;

    task = ev->data;
    f = task->ctx;

    f->set->busy = 0;

    if (f->der == NULL) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mesh certificate: cannot ask \"%s:%s\": %s",
                      f->host, f->port, f->error);

    } else {
        p = f->der;
        x509 = d2i_X509(NULL, &p, f->len);

        if (x509) {
            ngx_mesh_cert_replace(f->set, x509);
            X509_free(x509);
        }

        OPENSSL_free(f->der);
    }

    ngx_free(task);
}


/* the one before it stays valid for an hour */
static void
ngx_mesh_cert_replace(ngx_mesh_webcert_t *set, X509 *x509)
{
    ngx_uint_t        i, slot;
    ngx_mesh_outer_t  outer;

    ngx_memzero(&outer, sizeof(ngx_mesh_outer_t));

    if (ngx_mesh_cert_read(&outer, x509, ngx_cycle->pool) != NGX_OK) {
        return;
    }

    for (i = 0; i < set->n; i++) {
        if (!set->list[i].old
            && ngx_memcmp(set->list[i].full, outer.full, NGX_MESH_ID_LEN)
               == 0)
        {
            return;
        }
    }

    slot = set->n;

    for (i = 0; i < set->n; i++) {

        if (!set->list[i].old) {
            set->list[i].old = 1;
            set->until[i] = ngx_time() + NGX_MESH_CERT_OLD;
        }

        if (set->until[i] < ngx_time()
            || ngx_memcmp(set->list[i].full, outer.full, NGX_MESH_ID_LEN)
               == 0)
        {
            slot = i;
        }
    }

    if (slot == NGX_MESH_CERTS) {
        slot = 0;
    }

    set->list[slot] = outer;
    set->n = ngx_max(set->n, slot + 1);

    ngx_mesh_outer_hash_set(set->index, outer.full);

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "mesh certificate of \"%V\" is now \"%V\"", &set->host,
                  &outer.subject);
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* DTLS 1.2 over ICE: the peer is who has the key of the offer's fingerprint. */

#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "mesh_rtc.h"


#define MESH_RTC_DTLS_RECORD  16384


static struct {
    SSL_CTX     *ctx;
    BIO_METHOD  *method;                  /* of what is sent */
    uint8_t      fingerprint[MESH_SDP_FINGERPRINT];
} mesh_rtc_dtls;


static int mesh_rtc_dtls_keys(SSL_CTX *ctx, const uint8_t *cert,
    size_t cert_len, const uint8_t *key, size_t key_len);
static int mesh_rtc_dtls_verify(X509_STORE_CTX *store, void *data);
static int mesh_rtc_dtls_write(BIO *bio, const char *data, int len);
static long mesh_rtc_dtls_ctrl(BIO *bio, int cmd, long n, void *p);
static int mesh_rtc_dtls_create(BIO *bio);
static void mesh_rtc_dtls_handshake(mesh_rtc_t *rtc);


int
mesh_rtc_dtls_start(const uint8_t *cert, size_t cert_len, const uint8_t *key,
    size_t key_len)
{
    SSL_CTX     *ctx;
    BIO_METHOD  *method;

    ctx = SSL_CTX_new(DTLS_method());
    method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "ice");

    if (ctx == NULL || method == NULL
        || SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION) != 1
        || mesh_rtc_dtls_keys(ctx, cert, cert_len, key, key_len) != MESH_OK
        || BIO_meth_set_write(method, mesh_rtc_dtls_write) != 1
        || BIO_meth_set_ctrl(method, mesh_rtc_dtls_ctrl) != 1
        || BIO_meth_set_create(method, mesh_rtc_dtls_create) != 1)
    {
        BIO_meth_free(method);
        SSL_CTX_free(ctx);
        ERR_clear_error();
        return MESH_ERROR;
    }

    (void) SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU|SSL_OP_NO_TICKET
                                    |SSL_OP_NO_RENEGOTIATION);
    (void) SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER|SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       NULL);
    SSL_CTX_set_cert_verify_callback(ctx, mesh_rtc_dtls_verify, NULL);

    mesh_rtc_dtls.ctx = ctx;
    mesh_rtc_dtls.method = method;

    return MESH_OK;
}


static int
mesh_rtc_dtls_keys(SSL_CTX *ctx, const uint8_t *cert, size_t cert_len,
    const uint8_t *key, size_t key_len)
{
    int             rc;
    X509           *x;
    EVP_PKEY       *pkey;
    const uint8_t  *p;

    p = cert;
    x = d2i_X509(NULL, &p, (long) cert_len);
    p = key;
    pkey = d2i_AutoPrivateKey(NULL, &p, (long) key_len);

    rc = x != NULL && pkey != NULL
         && X509_digest(x, EVP_sha256(), mesh_rtc_dtls.fingerprint, NULL) == 1
         && SSL_CTX_use_certificate(ctx, x) == 1
         && SSL_CTX_use_PrivateKey(ctx, pkey) == 1;

    X509_free(x);
    EVP_PKEY_free(pkey);

    return rc ? MESH_OK : MESH_ERROR;
}


const uint8_t *
mesh_rtc_dtls_fingerprint(void)
{
    return mesh_rtc_dtls.fingerprint;
}


int
mesh_rtc_dtls_open(mesh_rtc_t *rtc, int client)
{
    BIO  *out;

    rtc->ssl = SSL_new(mesh_rtc_dtls.ctx);
    rtc->in = BIO_new(BIO_s_mem());
    out = BIO_new(mesh_rtc_dtls.method);

    if (rtc->ssl == NULL || rtc->in == NULL || out == NULL) {
        BIO_free(rtc->in);
        BIO_free(out);
        rtc->in = NULL;
        return MESH_ERROR;
    }

    (void) BIO_set_mem_eof_return(rtc->in, -1);
    BIO_set_data(out, rtc);
    SSL_set_bio(rtc->ssl, rtc->in, out);
    SSL_set_app_data(rtc->ssl, rtc);
    (void) SSL_set_mtu(rtc->ssl, MESH_RTC_DTLS_MTU);

    if (client) {
        SSL_set_connect_state(rtc->ssl);
    } else {
        SSL_set_accept_state(rtc->ssl);
    }

    return MESH_OK;
}


static int
mesh_rtc_dtls_verify(X509_STORE_CTX *store, void *data)
{
    SSL         *ssl;
    X509        *cert;
    uint8_t      hash[MESH_SDP_FINGERPRINT];
    mesh_rtc_t  *rtc;

    ssl = X509_STORE_CTX_get_ex_data(store,
                                     SSL_get_ex_data_X509_STORE_CTX_idx());
    rtc = SSL_get_app_data(ssl);
    cert = X509_STORE_CTX_get0_cert(store);

    if (cert == NULL || X509_digest(cert, EVP_sha256(), hash, NULL) != 1
        || CRYPTO_memcmp(hash, rtc->fingerprint, sizeof(hash)) != 0)
    {
        X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
        return 0;
    }

    return 1;
}


static int
mesh_rtc_dtls_create(BIO *bio)
{
    BIO_set_init(bio, 1);

    return 1;
}


static int
mesh_rtc_dtls_write(BIO *bio, const char *data, int len)
{
    mesh_rtc_t  *rtc;

    rtc = BIO_get_data(bio);

    if (len > 0 && rtc->ice) {
        mesh_rtc_send(rtc, data, (size_t) len);
    }

    return len;
}


static long
mesh_rtc_dtls_ctrl(BIO *bio, int cmd, long n, void *p)
{
    return cmd == BIO_CTRL_FLUSH;
}


/* one datagram; what OpenSSL leaves of it is nothing that we want */
void
mesh_rtc_dtls_input(mesh_rtc_t *rtc, const void *data, size_t len)
{
    int      n;
    uint8_t  buf[MESH_RTC_DTLS_RECORD];

    if (len == 0 || len > MESH_RTC_DTLS_RECORD) {
        return;
    }

    (void) BIO_reset(rtc->in);
    (void) BIO_write(rtc->in, data, (int) len);

    if (!rtc->secure) {
        mesh_rtc_dtls_handshake(rtc);
    }

    while (rtc->secure && !rtc->dead) {

        ERR_clear_error();
        n = SSL_read(rtc->ssl, buf, sizeof(buf));

        if (n <= 0) {
            ERR_clear_error();
            break;
        }

        rtc->heard = g_get_monotonic_time();
        mesh_rtc_sctp_input(rtc, buf, (size_t) n);
    }

    if (!rtc->dead && rtc->secure) {

        if (SSL_get_shutdown(rtc->ssl) & SSL_RECEIVED_SHUTDOWN) {
            mesh_rtc_end(rtc, "the peer has closed it");
            return;
        }

        mesh_rtc_sctp_turn(rtc);
    }
}


static void
mesh_rtc_dtls_handshake(mesh_rtc_t *rtc)
{
    int  n, error;

    ERR_clear_error();
    n = SSL_do_handshake(rtc->ssl);

    if (n == 1) {
        rtc->secure = 1;

        if (mesh_rtc_sctp_open(rtc) != MESH_OK) {
            mesh_rtc_end(rtc, "no SCTP");
        }

        return;
    }

    error = SSL_get_error(rtc->ssl, n);

    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        ERR_clear_error();
        mesh_rtc_end(rtc, "the peer is not who made the offer");
    }
}


void
mesh_rtc_dtls_tick(mesh_rtc_t *rtc)
{
    struct timeval  left;

    if (SSL_in_before(rtc->ssl)) {
        if (!SSL_is_server(rtc->ssl)) {
            mesh_rtc_dtls_handshake(rtc);
        }

        return;
    }

    if (DTLSv1_get_timeout(rtc->ssl, &left) && left.tv_sec == 0
        && left.tv_usec == 0)
    {
        if (DTLSv1_handle_timeout(rtc->ssl) < 0) {
            ERR_clear_error();
            mesh_rtc_end(rtc, "the peer does not answer");
        }
    }
}


void
mesh_rtc_dtls_send(mesh_rtc_t *rtc, const void *data, size_t len)
{
    if (rtc->secure && len && len <= MESH_RTC_DTLS_RECORD) {
        ERR_clear_error();
        (void) SSL_write(rtc->ssl, data, (int) len);
        ERR_clear_error();
    }
}


void
mesh_rtc_dtls_close(mesh_rtc_t *rtc)
{
    if (rtc->secure) {
        ERR_clear_error();
        (void) SSL_shutdown(rtc->ssl);
        ERR_clear_error();
    }
}


void
mesh_rtc_dtls_free(mesh_rtc_t *rtc)
{
    SSL_free(rtc->ssl);     /* and both BIOs */
}

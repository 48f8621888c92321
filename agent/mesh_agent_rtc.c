/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Loads the part that WebRTC is, gives it its certificate and a place in the
 * loop.  The certificate is a second one, whose key signs nothing but DTLS:
 * P-256, as browsers have, issued by the device's own.
 */

#include <stdlib.h>
#include <string.h>

#include "mesh_agent_conf.h"
#include "mesh_agent_id.h"
#include "mesh_agent_rtc.h"
#include "mesh_agent_store.h"
#include "os/mesh_agent_host.h"
#include "os/mesh_agent_os.h"

/* behind the system's headers, some of which have names of theirs */
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>


#define MESH_AGENT_RTC_KEY      "agent:rtc-key"       /* PKCS#8, DER */
#define MESH_AGENT_RTC_CERT     "agent:rtc-cert"      /* X.509, DER */
#define MESH_AGENT_RTC_DAYS     10000


#if (MESH_AGENT_RTC)
extern const uint8_t  mesh_agent_rtc_image[];
extern const uint8_t  mesh_agent_rtc_image_end[];
#endif


struct mesh_agent_rtc_s {
    const mesh_agent_rtc_module_t  *module;
    uv_prepare_t                    prepare;
    uv_poll_t                       poll;
    uv_timer_t                      timer;
    unsigned                        conns;
    unsigned                        handles;      /* open */
    unsigned                        running:1;
};

typedef struct {
    uint8_t   *cert;
    uint8_t   *key;
    int        cert_len;
    int        key_len;
} mesh_agent_rtc_pair_t;


static const mesh_agent_rtc_module_t *mesh_agent_rtc_find(char *why);
static int mesh_agent_rtc_start(mesh_agent_t *a,
    const mesh_agent_rtc_module_t *module);
static int mesh_agent_rtc_read(mesh_agent_t *a, mesh_agent_rtc_pair_t *pair);
static int mesh_agent_rtc_verify(mesh_agent_t *a,
    const mesh_agent_rtc_pair_t *pair);
static int mesh_agent_rtc_make(mesh_agent_t *a, mesh_agent_rtc_pair_t *pair);
static int mesh_agent_rtc_certify(mesh_agent_t *a, X509 *x, EVP_PKEY *key);
static int mesh_agent_rtc_extension(X509 *x, int nid, const char *value);
static void mesh_agent_rtc_wipe(mesh_agent_rtc_pair_t *pair);
static void mesh_agent_rtc_run(mesh_agent_t *a);
static void mesh_agent_rtc_prepare(uv_prepare_t *prepare);
static void mesh_agent_rtc_poll(uv_poll_t *poll, int status, int events);
static void mesh_agent_rtc_timer(uv_timer_t *timer);
static void mesh_agent_rtc_closed(uv_handle_t *handle);


const mesh_agent_rtc_module_t *
mesh_agent_rtc_load(mesh_agent_t *a)
{
    char                            why[MESH_AGENT_RTC_WHY];
    mesh_agent_rtc_t               *rtc;
    const mesh_agent_rtc_module_t  *module;

    if (a->rtc) {
        return a->rtc->module;
    }

    why[0] = '\0';
    module = mesh_agent_rtc_find(why);
    a->rtc_missing = module == NULL;

    if (module == NULL) {
        if (MESH_AGENT_RTC) {
            mesh_agent_log(MESH_AGENT_LOG_WARN, "WebRTC cannot be loaded: %s",
                           why);
        }

        return NULL;
    }

    if (mesh_agent_rtc_start(a, module) != MESH_OK) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "WebRTC cannot be started");
        return NULL;
    }

    rtc = mesh_agent_alloc(sizeof(mesh_agent_rtc_t));
    rtc->module = module;
    rtc->prepare.data = a;
    rtc->poll.data = a;
    rtc->timer.data = a;
    rtc->handles = 3;

    (void) uv_prepare_init(a->loop, &rtc->prepare);
    (void) uv_timer_init(a->loop, &rtc->timer);
    (void) uv_poll_init(a->loop, &rtc->poll, module->fd());

    a->rtc = rtc;

    return module;
}


static const mesh_agent_rtc_module_t *
mesh_agent_rtc_find(char *why)
{
#if (MESH_AGENT_RTC)

    return mesh_agent_os_module(mesh_agent_rtc_image,
                                (size_t) (mesh_agent_rtc_image_end
                                          - mesh_agent_rtc_image),
                                MESH_AGENT_RTC_MODULE, why,
                                MESH_AGENT_RTC_WHY);
#else

    return NULL;

#endif
}


int
mesh_agent_rtc_is_there(mesh_agent_t *a)
{
    return MESH_AGENT_RTC && !a->rtc_missing;
}


int
mesh_agent_rtc_check(char *why)
{
    if (!MESH_AGENT_RTC) {
        return MESH_DECLINED;
    }

    return mesh_agent_rtc_find(why) ? MESH_OK : MESH_ERROR;
}


static int
mesh_agent_rtc_start(mesh_agent_t *a, const mesh_agent_rtc_module_t *module)
{
    int                    rc;
    mesh_agent_rtc_pair_t  pair;

    memset(&pair, 0, sizeof(pair));

    if (mesh_agent_rtc_read(a, &pair) != MESH_OK) {
        mesh_agent_rtc_wipe(&pair);

        if (mesh_agent_rtc_make(a, &pair) != MESH_OK) {
            mesh_agent_log(MESH_AGENT_LOG_ERR, "the certificate for WebRTC "
                           "cannot be made");
            mesh_agent_rtc_wipe(&pair);
            ERR_clear_error();
            return MESH_ERROR;
        }
    }

    rc = module->start(pair.cert, (size_t) pair.cert_len, pair.key,
                       (size_t) pair.key_len);
    mesh_agent_rtc_wipe(&pair);

    return rc;
}


/* MESH_DECLINED: there is none, or none of this device as it is now */
static int
mesh_agent_rtc_read(mesh_agent_t *a, mesh_agent_rtc_pair_t *pair)
{
    size_t          len;
    const uint8_t  *p;

    p = mesh_agent_store_get(a->store, MESH_AGENT_RTC_CERT, &len);

    if (p == NULL) {
        return MESH_DECLINED;
    }

    pair->cert = OPENSSL_memdup(p, len);
    pair->cert_len = (int) len;

    p = mesh_agent_store_get(a->store, MESH_AGENT_RTC_KEY, &len);

    if (p == NULL) {
        return MESH_DECLINED;
    }

    pair->key = OPENSSL_memdup(p, len);
    pair->key_len = (int) len;

    return mesh_agent_rtc_verify(a, pair);
}


static int
mesh_agent_rtc_verify(mesh_agent_t *a, const mesh_agent_rtc_pair_t *pair)
{
    int             rc;
    X509           *x, *own;
    size_t          len;
    EVP_PKEY       *key;
    const uint8_t  *p;

    p = pair->cert;
    x = p ? d2i_X509(NULL, &p, pair->cert_len) : NULL;
    p = pair->key;
    key = p ? d2i_AutoPrivateKey(NULL, &p, pair->key_len) : NULL;
    p = mesh_agent_id_cert(a->id, &len);
    own = d2i_X509(NULL, &p, (long) len);

    rc = x != NULL && key != NULL && own != NULL
         && X509_check_private_key(x, key) == 1
         && X509_verify(x, X509_get0_pubkey(own)) == 1
         && X509_cmp_current_time(X509_get0_notAfter(x)) > 0;

    X509_free(x);
    X509_free(own);
    EVP_PKEY_free(key);
    ERR_clear_error();

    return rc ? MESH_OK : MESH_DECLINED;
}


static int
mesh_agent_rtc_make(mesh_agent_t *a, mesh_agent_rtc_pair_t *pair)
{
    int        rc;
    X509      *x;
    EVP_PKEY  *key;

    x = X509_new();
    key = EVP_EC_gen("P-256");
    rc = MESH_ERROR;

    if (x && key && mesh_agent_rtc_certify(a, x, key) == MESH_OK) {
        pair->cert_len = i2d_X509(x, &pair->cert);
        pair->key_len = i2d_PrivateKey(key, &pair->key);

        if (pair->cert_len > 0 && pair->key_len > 0
            && mesh_agent_store_put(a->store, MESH_AGENT_RTC_CERT, pair->cert,
                                    (size_t) pair->cert_len)
               == MESH_OK)
        {
            rc = mesh_agent_store_put(a->store, MESH_AGENT_RTC_KEY, pair->key,
                                      (size_t) pair->key_len);
        }
    }

    X509_free(x);
    EVP_PKEY_free(key);

    return rc;
}


static int
mesh_agent_rtc_certify(mesh_agent_t *a, X509 *x, EVP_PKEY *key)
{
    int         rc;
    uint64_t    serial;
    X509_NAME  *name;

    if (RAND_bytes((uint8_t *) &serial, sizeof(serial)) != 1) {
        return MESH_ERROR;
    }

    name = X509_get_subject_name(x);
    serial &= INT64_MAX;

    rc = X509_set_version(x, X509_VERSION_3) == 1
         && ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial) == 1
         && X509_gmtime_adj(X509_getm_notBefore(x), -86400L) != NULL
         && X509_gmtime_adj(X509_getm_notAfter(x),
                            86400L * MESH_AGENT_RTC_DAYS) != NULL
         && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                (const uint8_t *) "WebRTC", -1, -1, 0) == 1
         && X509_set_pubkey(x, key) == 1
         && mesh_agent_rtc_extension(x, NID_basic_constraints,
                                     "critical,CA:FALSE")
         && mesh_agent_rtc_extension(x, NID_key_usage,
                                     "critical,digitalSignature")
         && mesh_agent_rtc_extension(x, NID_ext_key_usage,
                                     "serverAuth,clientAuth");

    return rc ? mesh_agent_id_issue(a->id, x) : MESH_ERROR;
}


static int
mesh_agent_rtc_extension(X509 *x, int nid, const char *value)
{
    int              rc;
    X509_EXTENSION  *ext;

    ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    if (ext == NULL) {
        return 0;
    }

    rc = X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);

    return rc;
}


static void
mesh_agent_rtc_wipe(mesh_agent_rtc_pair_t *pair)
{
    if (pair->key && pair->key_len > 0) {
        OPENSSL_cleanse(pair->key, (size_t) pair->key_len);
    }

    OPENSSL_free(pair->key);
    OPENSSL_free(pair->cert);
    memset(pair, 0, sizeof(mesh_agent_rtc_pair_t));
}


mesh_rtc_t *
mesh_agent_rtc_open(mesh_agent_t *a, mesh_rtc_offer_t *offer)
{
    mesh_rtc_t  *conn;

    offer->address = mesh_agent_conf_get(a->conf, "webrtcAddress");
    conn = a->rtc->module->open(offer);

    if (conn) {
        a->rtc->conns++;
        mesh_agent_rtc_run(a);
    }

    return conn;
}


void
mesh_agent_rtc_close(mesh_agent_t *a, mesh_rtc_t *conn)
{
    a->rtc->module->close(conn);
    mesh_agent_rtc_gone(a);
}


void
mesh_agent_rtc_gone(mesh_agent_t *a)
{
    a->rtc->conns--;
}


static void
mesh_agent_rtc_run(mesh_agent_t *a)
{
    mesh_agent_rtc_t  *rtc;

    rtc = a->rtc;

    if (!rtc->running) {
        rtc->running = 1;
        (void) uv_prepare_start(&rtc->prepare, mesh_agent_rtc_prepare);
        (void) uv_poll_start(&rtc->poll, UV_READABLE, mesh_agent_rtc_poll);
    }
}


/* without a connection nothing of it is left in the loop */
static void
mesh_agent_rtc_prepare(uv_prepare_t *prepare)
{
    int                timeout;
    mesh_agent_t      *a;
    mesh_agent_rtc_t  *rtc;

    a = prepare->data;
    rtc = a->rtc;
    timeout = rtc->module->prepare();

    if (rtc->conns == 0) {
        rtc->running = 0;
        (void) uv_prepare_stop(&rtc->prepare);
        (void) uv_poll_stop(&rtc->poll);
        (void) uv_timer_stop(&rtc->timer);
        return;
    }

    if (timeout < 0) {
        (void) uv_timer_stop(&rtc->timer);

    } else {
        (void) uv_timer_start(&rtc->timer, mesh_agent_rtc_timer,
                              (uint64_t) timeout, 0);
    }
}


static void
mesh_agent_rtc_poll(uv_poll_t *poll, int status, int events)
{
    mesh_agent_t  *a;

    a = poll->data;
    a->rtc->module->dispatch();
}


static void
mesh_agent_rtc_timer(uv_timer_t *timer)
{
    mesh_agent_t  *a;

    a = timer->data;
    a->rtc->module->dispatch();
}


void
mesh_agent_rtc_free(mesh_agent_t *a)
{
    mesh_agent_rtc_t  *rtc;

    rtc = a->rtc;

    if (rtc == NULL) {
        return;
    }

    (void) rtc->module->prepare();          /* frees what was closed */

    uv_close((uv_handle_t *) &rtc->prepare, mesh_agent_rtc_closed);
    uv_close((uv_handle_t *) &rtc->poll, mesh_agent_rtc_closed);
    uv_close((uv_handle_t *) &rtc->timer, mesh_agent_rtc_closed);
}


static void
mesh_agent_rtc_closed(uv_handle_t *handle)
{
    mesh_agent_t      *a;
    mesh_agent_rtc_t  *rtc;

    a = handle->data;
    rtc = a->rtc;

    if (--rtc->handles == 0) {
        a->rtc = NULL;
        free(rtc);
    }
}

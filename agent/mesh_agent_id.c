/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>
#include <string.h>

#include "../proto/mesh_agent_msg.h"
#include "../proto/mesh_cert.h"
#include "mesh_agent_id.h"
#include "mesh_agent_store.h"
#include "mesh_agent_tpm.h"

/* behind the system's headers, some of which have names of theirs */
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>


#define MESH_AGENT_ID_BITS      3072
#define MESH_AGENT_ID_DAYS      10000
#define MESH_AGENT_ID_KEY       "agent:key"       /* PKCS#8, DER */
#define MESH_AGENT_ID_TPM       "agent:key-tpm"   /* in its place, PEM */
#define MESH_AGENT_ID_CERT      "agent:cert"      /* X.509, DER */


struct mesh_agent_id_s {
    EVP_PKEY          *key;
    uint8_t           *cert;
    size_t             cert_len;
    mesh_agent_tpm_t  *tpm;               /* the key is in it, or NULL */
    uint8_t           *pem;               /* the key as the TPM gave it */
    size_t             pem_len;
    uint8_t            node[MESH_AGENT_ID_LEN];
};


static int mesh_agent_id_load(mesh_agent_id_t *id, mesh_agent_store_t *st);
static EVP_PKEY *mesh_agent_id_load_key(mesh_agent_id_t *id,
    mesh_agent_store_t *st);
static int mesh_agent_id_make(mesh_agent_id_t *id, mesh_agent_store_t *st,
    int tpm);
static int mesh_agent_id_certify(mesh_agent_id_t *id);
static int mesh_agent_id_sign_cert(mesh_agent_id_t *id, X509 *x);
static EVP_MD_CTX *mesh_agent_id_signing(mesh_agent_id_t *id);
static int mesh_agent_id_again(mesh_agent_id_t *id);
static size_t mesh_agent_id_sign_once(mesh_agent_id_t *id,
    const uint8_t *data, size_t len, uint8_t sig[MESH_AGENT_ID_SIGNATURE]);
static int mesh_agent_id_extension(X509 *x, int nid, const char *value);
static int mesh_agent_id_save(mesh_agent_id_t *id, mesh_agent_store_t *st);
static int mesh_agent_id_hash(mesh_agent_id_t *id);


mesh_agent_id_t *
mesh_agent_id_create(mesh_agent_store_t *st, int tpm)
{
    int               rc;
    mesh_agent_id_t  *id;

    id = mesh_agent_alloc(sizeof(mesh_agent_id_t));
    rc = mesh_agent_id_load(id, st);

    if (rc == MESH_DECLINED) {
        rc = mesh_agent_id_make(id, st, tpm);

    } else if (rc == MESH_OK && tpm && id->tpm == NULL) {
        mesh_agent_log(MESH_AGENT_LOG_WARN, "the key of this device is not in "
                       "the TPM: it was made before the policy said tpm=1, and "
                       "another one would be another device");
    }

    if (rc != MESH_OK) {
        mesh_agent_id_free(id);
        return NULL;
    }

    return id;
}


void
mesh_agent_id_free(mesh_agent_id_t *id)
{
    EVP_PKEY_free(id->key);
    mesh_agent_tpm_close(id->tpm);
    OPENSSL_free(id->pem);
    OPENSSL_free(id->cert);
    free(id);
}


/* MESH_DECLINED: there is none.  A bad one is never replaced by itself. */
static int
mesh_agent_id_load(mesh_agent_id_t *id, mesh_agent_store_t *st)
{
    size_t          len;
    const uint8_t  *p;

    if (mesh_agent_store_get(st, MESH_AGENT_ID_KEY, &len) == NULL
        && mesh_agent_store_get(st, MESH_AGENT_ID_TPM, &len) == NULL)
    {
        return MESH_DECLINED;
    }

    id->key = mesh_agent_id_load_key(id, st);
    p = mesh_agent_store_get(st, MESH_AGENT_ID_CERT, &len);

    if (id->key == NULL || p == NULL) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "the key of this device in the data "
                       "folder cannot be %s; without it the device would be "
                       "another one to its server",
                       id->tpm ? "used with this TPM" : "read");
        ERR_clear_error();
        return MESH_ERROR;
    }

    id->cert = OPENSSL_memdup(p, len);
    id->cert_len = len;

    return id->cert ? mesh_agent_id_hash(id) : MESH_ERROR;
}


static EVP_PKEY *
mesh_agent_id_load_key(mesh_agent_id_t *id, mesh_agent_store_t *st)
{
    size_t          len;
    const uint8_t  *p;

    p = mesh_agent_store_get(st, MESH_AGENT_ID_KEY, &len);

    if (p) {
        return d2i_AutoPrivateKey(NULL, &p, (long) len);
    }

    id->tpm = mesh_agent_tpm_open();

    if (id->tpm == NULL) {
        return NULL;
    }

    p = mesh_agent_store_get(st, MESH_AGENT_ID_TPM, &len);
    id->pem = p ? OPENSSL_memdup(p, len) : NULL;
    id->pem_len = len;

    return id->pem ? mesh_agent_tpm_load(id->tpm, id->pem, len) : NULL;
}


static int
mesh_agent_id_make(mesh_agent_id_t *id, mesh_agent_store_t *st, int tpm)
{
    mesh_agent_log(MESH_AGENT_LOG_NOTICE, "making the key of this device%s, "
                   "RSA %d: a small board needs a minute",
                   tpm ? " in the TPM" : "", MESH_AGENT_ID_BITS);

    if (tpm) {
        id->tpm = mesh_agent_tpm_open();

        if (id->tpm == NULL) {
            return MESH_ERROR;
        }

        id->key = mesh_agent_tpm_make(id->tpm);

    } else {
        id->key = EVP_RSA_gen(MESH_AGENT_ID_BITS);
    }

    if (id->key == NULL || mesh_agent_id_certify(id) != MESH_OK
        || mesh_agent_id_hash(id) != MESH_OK)
    {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "the key of this device cannot be "
                       "made: %s", ERR_error_string(ERR_get_error(), NULL));
        return MESH_ERROR;
    }

    return mesh_agent_id_save(id, st);
}


/* self-signed: the certificate is a wrapping of the key, nothing more */
static int
mesh_agent_id_certify(mesh_agent_id_t *id)
{
    int         rc;
    X509       *x;
    uint64_t    serial;
    X509_NAME  *name;

    if (RAND_bytes((uint8_t *) &serial, sizeof(serial)) != 1) {
        return MESH_ERROR;
    }

    x = X509_new();

    if (x == NULL) {
        return MESH_ERROR;
    }

    name = X509_get_subject_name(x);
    serial &= INT64_MAX;

    rc = X509_set_version(x, X509_VERSION_3) == 1
         && ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial) == 1
         && X509_gmtime_adj(X509_getm_notBefore(x), -86400L) != NULL
         && X509_gmtime_adj(X509_getm_notAfter(x),
                            86400L * MESH_AGENT_ID_DAYS) != NULL
         && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                (const uint8_t *) "MeshNodeCertificate", -1, -1, 0) == 1
         && X509_set_issuer_name(x, name) == 1
         && X509_set_pubkey(x, id->key) == 1
         && mesh_agent_id_extension(x, NID_basic_constraints,
                                    "critical,CA:TRUE")
         && mesh_agent_id_extension(x, NID_key_usage,
                                    "critical,keyCertSign,cRLSign")
         && mesh_agent_id_extension(x, NID_subject_key_identifier, "hash")
         && mesh_agent_id_sign_cert(id, x) == MESH_OK;

    if (rc) {
        rc = i2d_X509(x, &id->cert);
        id->cert_len = rc > 0 ? (size_t) rc : 0;
    }

    X509_free(x);

    return rc > 0 ? MESH_OK : MESH_ERROR;
}


static int
mesh_agent_id_extension(X509 *x, int nid, const char *value)
{
    int              rc;
    X509V3_CTX       ctx;
    X509_EXTENSION  *ext;

    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);

    if (ext == NULL) {
        return 0;
    }

    rc = X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);

    return rc;
}


/* x may be of the common library context; the key need not be */
static int
mesh_agent_id_sign_cert(mesh_agent_id_t *id, X509 *x)
{
    int          rc;
    EVP_MD_CTX  *ctx;

    ctx = mesh_agent_id_signing(id);
    rc = ctx && X509_sign_ctx(x, ctx) > 0;
    EVP_MD_CTX_free(ctx);

    if (!rc && mesh_agent_id_again(id) == MESH_OK) {
        ctx = mesh_agent_id_signing(id);
        rc = ctx && X509_sign_ctx(x, ctx) > 0;
        EVP_MD_CTX_free(ctx);
    }

    return rc ? MESH_OK : MESH_ERROR;
}


/* a TPM that was reset, as by hibernation, has forgotten what it had loaded */
static int
mesh_agent_id_again(mesh_agent_id_t *id)
{
    mesh_agent_tpm_t  *tpm;

    if (id->pem == NULL) {
        return MESH_DECLINED;
    }

    ERR_clear_error();
    tpm = mesh_agent_tpm_open();

    if (tpm == NULL) {
        return MESH_ERROR;
    }

    EVP_PKEY_free(id->key);
    mesh_agent_tpm_close(id->tpm);
    id->tpm = tpm;
    id->key = mesh_agent_tpm_load(tpm, id->pem, id->pem_len);

    return id->key ? MESH_OK : MESH_ERROR;
}


static EVP_MD_CTX *
mesh_agent_id_signing(mesh_agent_id_t *id)
{
    EVP_MD_CTX  *ctx;

    ctx = EVP_MD_CTX_new();

    if (ctx && id->key
        && EVP_DigestSignInit_ex(ctx, NULL, "SHA384",
                                 id->tpm ? mesh_agent_tpm_lib(id->tpm) : NULL,
                                 id->tpm ? MESH_AGENT_TPM_QUERY : NULL,
                                 id->key, NULL)
           == 1)
    {
        return ctx;
    }

    EVP_MD_CTX_free(ctx);

    return NULL;
}


/* the certificate first: a key alone would be half an identity */
static int
mesh_agent_id_save(mesh_agent_id_t *id, mesh_agent_store_t *st)
{
    int       rc, len;
    uint8_t  *der;

    der = NULL;
    len = id->tpm ? (int) mesh_agent_tpm_save(id->key, &der)
                  : i2d_PrivateKey(id->key, &der);

    if (len <= 0) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "the key of this device cannot be "
                       "kept: %s", ERR_error_string(ERR_get_error(), NULL));
        return MESH_ERROR;
    }

    rc = mesh_agent_store_put(st, MESH_AGENT_ID_CERT, id->cert, id->cert_len);

    if (rc == MESH_OK) {
        rc = mesh_agent_store_put(st, id->tpm ? MESH_AGENT_ID_TPM
                                              : MESH_AGENT_ID_KEY,
                                  der, (size_t) len);
    }

    if (id->tpm) {
        id->pem = der;
        id->pem_len = (size_t) len;
        return rc;
    }

    OPENSSL_cleanse(der, (size_t) len);
    OPENSSL_free(der);

    return rc;
}


static int
mesh_agent_id_hash(mesh_agent_id_t *id)
{
    mesh_cert_rsa_t  cert;

    if (mesh_cert_rsa(id->cert, id->cert_len, &cert) != MESH_OK) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "the certificate of this device in "
                       "the data folder cannot be read");
        return MESH_ERROR;
    }

    (void) SHA384(cert.key, cert.key_len, id->node);

    return MESH_OK;
}


const uint8_t *
mesh_agent_id_node(const mesh_agent_id_t *id)
{
    return id->node;
}


const uint8_t *
mesh_agent_id_cert(const mesh_agent_id_t *id, size_t *len)
{
    *len = id->cert_len;

    return id->cert;
}


size_t
mesh_agent_id_sign(mesh_agent_id_t *id, const uint8_t *data, size_t len,
    uint8_t sig[MESH_AGENT_ID_SIGNATURE])
{
    size_t  n;

    n = mesh_agent_id_sign_once(id, data, len, sig);

    if (n == 0 && mesh_agent_id_again(id) == MESH_OK) {
        n = mesh_agent_id_sign_once(id, data, len, sig);
    }

    if (n == 0) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "the key of this device cannot "
                       "sign: %s", ERR_error_string(ERR_get_error(), NULL));
    }

    return n;
}


static size_t
mesh_agent_id_sign_once(mesh_agent_id_t *id, const uint8_t *data, size_t len,
    uint8_t sig[MESH_AGENT_ID_SIGNATURE])
{
    size_t       n;
    EVP_MD_CTX  *ctx;

    n = MESH_AGENT_ID_SIGNATURE;
    ctx = mesh_agent_id_signing(id);

    if (ctx == NULL || EVP_DigestSign(ctx, sig, &n, data, len) != 1) {
        n = 0;
    }

    EVP_MD_CTX_free(ctx);

    return n;
}


int
mesh_agent_id_issue(mesh_agent_id_t *id, X509 *x)
{
    int             rc;
    X509           *own;
    const uint8_t  *p;

    p = id->cert;
    own = d2i_X509(NULL, &p, (long) id->cert_len);

    rc = own != NULL
         && X509_set_issuer_name(x, X509_get_subject_name(own)) == 1
         && mesh_agent_id_sign_cert(id, x) == MESH_OK;

    X509_free(own);

    return rc ? MESH_OK : MESH_ERROR;
}


int
mesh_agent_id_verify(const uint8_t *cert, size_t cert_len, const uint8_t *sig,
    size_t sig_len, const uint8_t *id, size_t id_len, const uint8_t *input)
{
    int              rc;
    X509            *x;
    uint8_t          hash[MESH_AGENT_ID_LEN];
    EVP_MD_CTX      *ctx;
    const uint8_t   *p;
    mesh_cert_rsa_t  rsa;

    if (mesh_cert_rsa(cert, cert_len, &rsa) != MESH_OK) {
        return MESH_ERROR;
    }

    if (id_len == SHA256_DIGEST_LENGTH) {
        (void) SHA256(rsa.key, rsa.key_len, hash);
    } else {
        (void) SHA384(rsa.key, rsa.key_len, hash);
    }

    if (CRYPTO_memcmp(hash, id, id_len) != 0) {
        return MESH_DECLINED;
    }

    p = cert;
    x = d2i_X509(NULL, &p, (long) cert_len);
    ctx = EVP_MD_CTX_new();

    rc = x != NULL && ctx != NULL
         && EVP_DigestVerifyInit(ctx, NULL, EVP_sha384(), NULL,
                                 X509_get0_pubkey(x)) == 1
         && EVP_DigestVerify(ctx, sig, sig_len, input, MESH_AGENT_SIGN_LEN)
            == 1;

    EVP_MD_CTX_free(ctx);
    X509_free(x);
    ERR_clear_error();

    return rc ? MESH_OK : MESH_ERROR;
}

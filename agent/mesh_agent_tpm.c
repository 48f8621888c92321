/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include "mesh_agent_tpm.h"


#define MESH_AGENT_TPM_BITS  3072
#define MESH_AGENT_TPM_LESS  2048


struct mesh_agent_tpm_s {
    OSSL_LIB_CTX   *lib;
    OSSL_PROVIDER  *base;                 /* hashes, encodings */
    OSSL_PROVIDER  *chip;
};


static EVP_PKEY *mesh_agent_tpm_rsa(mesh_agent_tpm_t *tpm, unsigned bits);


mesh_agent_tpm_t *
mesh_agent_tpm_open(void)
{
    mesh_agent_tpm_t  *tpm;

    tpm = mesh_agent_alloc(sizeof(mesh_agent_tpm_t));
    tpm->lib = OSSL_LIB_CTX_new();

    if (tpm->lib) {
        tpm->base = OSSL_PROVIDER_load(tpm->lib, "default");
        tpm->chip = OSSL_PROVIDER_load(tpm->lib, "tpm2");
    }

    if (tpm->base && tpm->chip) {
        return tpm;
    }

    mesh_agent_log(MESH_AGENT_LOG_ERR, "the TPM of this machine cannot be "
                   "used: is there one, and the package tpm2-openssl, and may "
                   "this user use it?");
    ERR_clear_error();
    mesh_agent_tpm_close(tpm);

    return NULL;
}


void
mesh_agent_tpm_close(mesh_agent_tpm_t *tpm)
{
    if (tpm == NULL) {
        return;
    }

    if (tpm->chip) {
        (void) OSSL_PROVIDER_unload(tpm->chip);
    }

    if (tpm->base) {
        (void) OSSL_PROVIDER_unload(tpm->base);
    }

    OSSL_LIB_CTX_free(tpm->lib);
    free(tpm);
}


OSSL_LIB_CTX *
mesh_agent_tpm_lib(mesh_agent_tpm_t *tpm)
{
    return tpm->lib;
}


EVP_PKEY *
mesh_agent_tpm_make(mesh_agent_tpm_t *tpm)
{
    EVP_PKEY  *key;

    key = mesh_agent_tpm_rsa(tpm, MESH_AGENT_TPM_BITS);

    if (key == NULL) {
        mesh_agent_log(MESH_AGENT_LOG_NOTICE, "the TPM makes no RSA key of %d "
                       "bits; taking %d", MESH_AGENT_TPM_BITS,
                       MESH_AGENT_TPM_LESS);
        ERR_clear_error();
        key = mesh_agent_tpm_rsa(tpm, MESH_AGENT_TPM_LESS);
    }

    return key;
}


static EVP_PKEY *
mesh_agent_tpm_rsa(mesh_agent_tpm_t *tpm, unsigned bits)
{
    EVP_PKEY      *key;
    EVP_PKEY_CTX  *ctx;

    /* of this provider or of none: never one of ordinary memory */
    key = NULL;
    ctx = EVP_PKEY_CTX_new_from_name(tpm->lib, "RSA", "provider=tpm2");

    if (ctx == NULL || EVP_PKEY_keygen_init(ctx) != 1
        || EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int) bits) != 1
        || EVP_PKEY_generate(ctx, &key) != 1)
    {
        EVP_PKEY_free(key);
        key = NULL;
    }

    EVP_PKEY_CTX_free(ctx);

    return key;
}


EVP_PKEY *
mesh_agent_tpm_load(mesh_agent_tpm_t *tpm, const uint8_t *pem, size_t len)
{
    BIO       *bio;
    EVP_PKEY  *key;

    bio = BIO_new_mem_buf(pem, (int) len);

    if (bio == NULL) {
        return NULL;
    }

    key = PEM_read_bio_PrivateKey_ex(bio, NULL, NULL, NULL, tpm->lib,
                                     MESH_AGENT_TPM_QUERY);
    BIO_free(bio);

    return key;
}


size_t
mesh_agent_tpm_save(EVP_PKEY *key, uint8_t **pem)
{
    BIO     *bio;
    char    *data;
    long     len;
    size_t   n;

    n = 0;
    bio = BIO_new(BIO_s_mem());

    if (bio
        && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1)
    {
        len = BIO_get_mem_data(bio, &data);
        *pem = len > 0 ? OPENSSL_memdup(data, (size_t) len) : NULL;
        n = *pem ? (size_t) len : 0;
    }

    BIO_free(bio);

    return n;
}

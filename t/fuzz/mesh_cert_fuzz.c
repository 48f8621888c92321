/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * A certificate: what is found lies inside of it and is the key that OpenSSL
 * reads there.
 */

#include <stdlib.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "../../proto/mesh_cert.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
number(EVP_PKEY *key, const char *name, const uint8_t *p, size_t len)
{
    BIGNUM  *want, *got;

    want = NULL;
    got = BN_bin2bn(p, (int) len, NULL);

    if (EVP_PKEY_get_bn_param(key, name, &want) != 1 || got == NULL
        || BN_cmp(got, want) != 0
        || (int) mesh_cert_bits(p, len) != BN_num_bits(got))
    {
        abort();
    }

    BN_free(want);
    BN_free(got);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    EVP_PKEY         *key;
    const uint8_t    *p;
    mesh_cert_rsa_t   c;

    if (mesh_cert_rsa(data, size, &c) != MESH_OK) {
        return 0;
    }

    if (c.key < data || c.key_len > size
        || c.key + c.key_len > data + size)
    {
        abort();
    }

    p = c.key;
    key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long) c.key_len);

    /* OpenSSL has its own idea of what is too large */
    if (key) {
        number(key, OSSL_PKEY_PARAM_RSA_N, c.n, c.n_len);
        number(key, OSSL_PKEY_PARAM_RSA_E, c.e, c.e_len);
        EVP_PKEY_free(key);
    }

    return 0;
}

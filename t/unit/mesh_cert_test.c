/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* The key found in a certificate is the one that OpenSSL finds in it. */

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "../../proto/mesh_cert.h"
#include "tap.h"


static uint8_t *
make(EVP_PKEY *key, int version, int *len)
{
    X509     *x509;
    uint8_t  *der;

    x509 = X509_new();
    der = NULL;

    if (key == NULL || x509 == NULL
        || X509_set_version(x509, version) != 1
        || ASN1_INTEGER_set(X509_get_serialNumber(x509), 77) != 1
        || X509_gmtime_adj(X509_getm_notBefore(x509), 0) == NULL
        || X509_gmtime_adj(X509_getm_notAfter(x509), 86400) == NULL
        || X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN",
                                      MBSTRING_ASC,
                                      (const uint8_t *) "MeshNodeCertificate",
                                      -1, -1, 0)
           != 1
        || X509_set_issuer_name(x509, X509_get_subject_name(x509)) != 1
        || X509_set_pubkey(x509, key) != 1
        || X509_sign(x509, key, EVP_sha384()) == 0)
    {
        abort();
    }

    *len = i2d_X509(x509, &der);

    if (*len < 0) {
        abort();
    }

    X509_free(x509);

    return der;
}


static int
same(const uint8_t *p, size_t len, EVP_PKEY *key, const char *name)
{
    int      good;
    BIGNUM  *want, *got;

    want = NULL;
    got = BN_bin2bn(p, (int) len, NULL);

    good = EVP_PKEY_get_bn_param(key, name, &want) == 1
           && got && BN_cmp(got, want) == 0
           && (int) mesh_cert_bits(p, len) == BN_num_bits(want);

    BN_free(want);
    BN_free(got);

    return good;
}


static int
inside(const mesh_cert_rsa_t *c, const uint8_t *der, size_t len)
{
    return c->key > der && c->key + c->key_len <= der + len
           && c->n > c->key && c->n_len && c->n + c->n_len < c->e
           && c->e_len && c->e + c->e_len == c->key + c->key_len;
}


static void
test_rsa(unsigned bits, int version)
{
    int              len, good, i, bit, found;
    uint8_t         *der, *copy, *hash;
    EVP_PKEY        *key;
    mesh_cert_rsa_t  c;

    key = EVP_RSA_gen(bits);
    der = make(key, version, &len);
    copy = tap_copy(der, (size_t) len);

    ok(mesh_cert_rsa(copy, (size_t) len, &c) == MESH_OK
       && inside(&c, copy, (size_t) len)
       && same(c.n, c.n_len, key, OSSL_PKEY_PARAM_RSA_N)
       && same(c.e, c.e_len, key, OSSL_PKEY_PARAM_RSA_E),
       "RSA %u, version %d: modulus and exponent", bits, version + 1);

    hash = NULL;
    i = i2d_PublicKey(key, &hash);
    is_bytes(c.key, c.key_len, hash, (size_t) i, "what a node id hashes");
    OPENSSL_free(hash);
    free(copy);

    good = 1;

    for (i = 0; i < len; i++) {
        copy = tap_copy(der, (size_t) i);
        good &= mesh_cert_rsa(copy, (size_t) i, &c) == MESH_ERROR;
        free(copy);
    }

    ok(good, "cut at every byte it is no certificate");

    copy = malloc((size_t) len + 1);

    if (copy == NULL) {
        abort();
    }

    memcpy(copy, der, (size_t) len);
    copy[len] = 0;
    ok(mesh_cert_rsa(copy, (size_t) len + 1, &c) == MESH_ERROR,
       "nor is one with a byte behind it");
    free(copy);

    good = 1;
    found = 0;

    for (i = 0; i < len; i++) {
        for (bit = 0; bit < 8; bit++) {
            copy = tap_copy(der, (size_t) len);
            copy[i] = (uint8_t) (copy[i] ^ 1 << bit);

            if (mesh_cert_rsa(copy, (size_t) len, &c) == MESH_OK) {
                good &= inside(&c, copy, (size_t) len);
                found++;
            }

            free(copy);
        }
    }

    ok(good && found, "with each bit turned the key lies inside of it");

    EVP_PKEY_free(key);
    OPENSSL_free(der);
}


static void
test_others(void)
{
    int              len;
    uint8_t         *der;
    EVP_PKEY        *key;
    mesh_cert_rsa_t  c;

    /* RSAPublicKey, with a modulus of zero */
    static const uint8_t  tail[] = {
        0x30, 0x06, 0x02, 0x01, 0x00, 0x02, 0x01, 0x03
    };

    key = EVP_EC_gen("P-256");
    der = make(key, 2, &len);
    is(mesh_cert_rsa(der, (size_t) len, &c), MESH_DECLINED,
       "a P-256 key is declined");
    OPENSSL_free(der);
    EVP_PKEY_free(key);

    is(mesh_cert_rsa(tail, sizeof(tail), &c), MESH_ERROR,
       "a bare key is no certificate");
    is(mesh_cert_rsa(tail, 0, &c), MESH_ERROR, "nor is nothing");

    is(mesh_cert_bits(tail, 0), 0, "nothing has no bits");
    is(mesh_cert_bits((const uint8_t *) "\x01\x00\x01", 3), 17,
       "65537 has 17");
}


int
main(void)
{
    test_rsa(2048, 2);
    test_rsa(3072, 0);
    test_others();

    return tap_done();
}

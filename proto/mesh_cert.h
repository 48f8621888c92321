/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The RSA key of an X.509 certificate in DER.  An agent's certificate carries
 * its key and says nothing else that counts, so that nothing else of it is
 * decoded: that would cost more than the handshake it comes in.
 */

#ifndef MESH_CERT_H_INCLUDED
#define MESH_CERT_H_INCLUDED


#include "mesh.h"


/* all of it in the caller's buffer */

typedef struct {
    const uint8_t  *key;        /* RSAPublicKey; a node id is its SHA-384 */
    size_t          key_len;
    const uint8_t  *n;          /* modulus, big-endian, no leading zeros */
    size_t          n_len;
    const uint8_t  *e;          /* exponent, in the same way */
    size_t          e_len;
} mesh_cert_rsa_t;


/*
 *   MESH_OK
 *   MESH_DECLINED  a certificate, but its key is not RSA
 *   MESH_ERROR     not one certificate in DER, or its RSA key is none
 *
 * Source: RFC 5280, 4.1; RFC 3279, 2.3.1; X.690, 8 and 10.1.
 */
int mesh_cert_rsa(const uint8_t *der, size_t len, mesh_cert_rsa_t *c);

/* bits of a number without leading zeros */
unsigned mesh_cert_bits(const uint8_t *n, size_t len);


#endif /* MESH_CERT_H_INCLUDED */

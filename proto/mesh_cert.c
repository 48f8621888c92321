/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "mesh_cert.h"


#define MESH_DER_INTEGER   0x02
#define MESH_DER_BITS      0x03
#define MESH_DER_SEQUENCE  0x30
#define MESH_DER_VERSION   0xa0


/* what is left of a value */

typedef struct {
    const uint8_t  *p;
    const uint8_t  *last;
} mesh_der_t;


static int mesh_der_read(mesh_der_t *from, uint8_t tag, mesh_der_t *value);
static int mesh_der_number(mesh_der_t *from, const uint8_t **p, size_t *len);


/* 1.2.840.113549.1.1.1, rsaEncryption */
static const uint8_t  mesh_cert_rsa_oid[] = {
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01
};


int
mesh_cert_rsa(const uint8_t *der, size_t len, mesh_cert_rsa_t *c)
{
    size_t      i;
    mesh_der_t  all, cert, tbs, spki, v;

    /* behind the version: serial number to subject */
    static const uint8_t  tags[] = {
        MESH_DER_INTEGER, MESH_DER_SEQUENCE, MESH_DER_SEQUENCE,
        MESH_DER_SEQUENCE, MESH_DER_SEQUENCE
    };

    all.p = der;
    all.last = der + len;

    if (mesh_der_read(&all, MESH_DER_SEQUENCE, &cert) != MESH_OK
        || all.p != all.last
        || mesh_der_read(&cert, MESH_DER_SEQUENCE, &tbs) != MESH_OK
        || mesh_der_read(&cert, MESH_DER_SEQUENCE, &v) != MESH_OK
        || mesh_der_read(&cert, MESH_DER_BITS, &v) != MESH_OK
        || cert.p != cert.last)
    {
        return MESH_ERROR;
    }

    /* absent in version 1 */
    if (tbs.p != tbs.last && *tbs.p == MESH_DER_VERSION
        && mesh_der_read(&tbs, MESH_DER_VERSION, &v) != MESH_OK)
    {
        return MESH_ERROR;
    }

    for (i = 0; i < sizeof(tags); i++) {
        if (mesh_der_read(&tbs, tags[i], &v) != MESH_OK) {
            return MESH_ERROR;
        }
    }

    if (mesh_der_read(&tbs, MESH_DER_SEQUENCE, &spki) != MESH_OK
        || mesh_der_read(&spki, MESH_DER_SEQUENCE, &v) != MESH_OK)
    {
        return MESH_ERROR;
    }

    if ((size_t) (v.last - v.p) < sizeof(mesh_cert_rsa_oid)
        || memcmp(v.p, mesh_cert_rsa_oid, sizeof(mesh_cert_rsa_oid)) != 0)
    {
        return MESH_DECLINED;
    }

    /* a whole number of bytes */
    if (mesh_der_read(&spki, MESH_DER_BITS, &v) != MESH_OK
        || spki.p != spki.last || v.p == v.last || *v.p != 0)
    {
        return MESH_ERROR;
    }

    c->key = v.p + 1;
    c->key_len = (size_t) (v.last - c->key);

    all.p = c->key;
    all.last = v.last;

    if (mesh_der_read(&all, MESH_DER_SEQUENCE, &v) != MESH_OK
        || all.p != all.last
        || mesh_der_number(&v, &c->n, &c->n_len) != MESH_OK
        || mesh_der_number(&v, &c->e, &c->e_len) != MESH_OK
        || v.p != v.last)
    {
        return MESH_ERROR;
    }

    return MESH_OK;
}


/* the next value of from, which must have this tag */

static int
mesh_der_read(mesh_der_t *from, uint8_t tag, mesh_der_t *value)
{
    size_t          n, len;
    const uint8_t  *p;

    p = from->p;

    if (from->last - p < 2 || p[0] != tag) {
        return MESH_ERROR;
    }

    len = p[1];
    p += 2;

    if (len & 0x80) {
        n = len & 0x7f;

        /* the shortest form, and no length that is not told */
        if (n == 0 || n > 3 || (size_t) (from->last - p) < n || p[0] == 0) {
            return MESH_ERROR;
        }

        for (len = 0; n; n--) {
            len = len << 8 | *p++;
        }

        if (len < 0x80) {
            return MESH_ERROR;
        }
    }

    if ((size_t) (from->last - p) < len) {
        return MESH_ERROR;
    }

    value->p = p;
    value->last = p + len;
    from->p = value->last;

    return MESH_OK;
}


/* an INTEGER above zero */

static int
mesh_der_number(mesh_der_t *from, const uint8_t **p, size_t *len)
{
    mesh_der_t  v;

    if (mesh_der_read(from, MESH_DER_INTEGER, &v) != MESH_OK
        || v.p == v.last || *v.p & 0x80)
    {
        return MESH_ERROR;
    }

    /* the zero of the sign, where the next bit needs it */
    if (*v.p == 0) {
        v.p++;

        if (v.p == v.last || !(*v.p & 0x80)) {
            return MESH_ERROR;
        }
    }

    *p = v.p;
    *len = (size_t) (v.last - v.p);

    return MESH_OK;
}


unsigned
mesh_cert_bits(const uint8_t *n, size_t len)
{
    unsigned  bits;
    uint8_t   top;

    if (len == 0) {
        return 0;
    }

    bits = (unsigned) (len - 1) * 8;

    for (top = n[0]; top; top >>= 1) {
        bits++;
    }

    return bits;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Digests, checksums and deflate. */

#include <openssl/evp.h>
#include <string.h>
#include <zlib.h>
#include "mesh_agent_js.h"


#define MESH_AGENT_JS_CTX    DUK_HIDDEN_SYMBOL("ctx")
#define MESH_AGENT_JS_CRC_C  0x82f63b78u          /* Castagnoli, reflected */


static duk_ret_t mesh_agent_js_hash_create(duk_context *duk);
static duk_ret_t mesh_agent_js_hash_update(duk_context *duk);
static duk_ret_t mesh_agent_js_hash_digest(duk_context *duk);
static duk_ret_t mesh_agent_js_hash_free(duk_context *duk);
static EVP_MD_CTX *mesh_agent_js_hash_ctx(duk_context *duk, duk_idx_t idx);
static duk_ret_t mesh_agent_js_hash_crc32(duk_context *duk);
static duk_ret_t mesh_agent_js_hash_crc32c(duk_context *duk);
static duk_ret_t mesh_agent_js_hash_inflate(duk_context *duk);
static int mesh_agent_js_hash_inflate_to(uint8_t *out, size_t *size,
    const uint8_t *data, size_t len);
static duk_ret_t mesh_agent_js_hash_deflate(duk_context *duk);


static const duk_function_list_entry  mesh_agent_js_hash_methods[] = {
    { "update", mesh_agent_js_hash_update, 1 },
    { "digest", mesh_agent_js_hash_digest, 0 },
    { NULL, NULL, 0 }
};

static const duk_function_list_entry  mesh_agent_js_hash_functions[] = {
    { "hash", mesh_agent_js_hash_create, 1 },
    { "crc32", mesh_agent_js_hash_crc32, 2 },
    { "crc32c", mesh_agent_js_hash_crc32c, 2 },
    { "inflate", mesh_agent_js_hash_inflate, 1 },
    { "deflate", mesh_agent_js_hash_deflate, 1 },
    { NULL, NULL, 0 }
};


void
mesh_agent_js_init_hash(duk_context *duk)
{
    duk_put_function_list(duk, -1, mesh_agent_js_hash_functions);
}


/* hash("SHA384") -> object */
static duk_ret_t
mesh_agent_js_hash_create(duk_context *duk)
{
    EVP_MD_CTX    *ctx;
    const EVP_MD  *md;

    md = EVP_get_digestbyname(duk_require_string(duk, 0));
    if (md == NULL) {
        return duk_error(duk, DUK_ERR_TYPE_ERROR, "unknown digest");
    }

    mesh_agent_js_push_object(duk, "hash", mesh_agent_js_hash_methods);

    duk_push_pointer(duk, NULL);
    duk_put_prop_string(duk, -2, MESH_AGENT_JS_CTX);
    duk_push_c_function(duk, mesh_agent_js_hash_free, 2);
    duk_set_finalizer(duk, -2);

    ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        return duk_error(duk, DUK_ERR_ERROR, "no memory");
    }

    /* the property is there: this does not throw */
    duk_push_pointer(duk, ctx);
    duk_put_prop_string(duk, -2, MESH_AGENT_JS_CTX);

    if (EVP_DigestInit_ex(ctx, md, NULL) != 1) {
        return duk_error(duk, DUK_ERR_ERROR, "digest is not available");
    }

    return 1;
}


/* update(bytes) */
static duk_ret_t
mesh_agent_js_hash_update(duk_context *duk)
{
    size_t          len;
    EVP_MD_CTX     *ctx;
    const uint8_t  *data;

    data = mesh_agent_js_bytes(duk, 0, &len);
    duk_push_this(duk);
    ctx = mesh_agent_js_hash_ctx(duk, -1);

    if (EVP_DigestUpdate(ctx, data, len) != 1) {
        return duk_error(duk, DUK_ERR_ERROR, "digest failed");
    }

    return 0;
}


/* digest() -> Buffer; nothing can be added afterwards */
static duk_ret_t
mesh_agent_js_hash_digest(duk_context *duk)
{
    uint8_t      md[EVP_MAX_MD_SIZE];
    unsigned     len;
    EVP_MD_CTX  *ctx;

    duk_push_this(duk);
    ctx = mesh_agent_js_hash_ctx(duk, -1);

    if (EVP_DigestFinal_ex(ctx, md, &len) != 1) {
        return duk_error(duk, DUK_ERR_ERROR, "digest failed");
    }

    EVP_MD_CTX_free(ctx);

    duk_push_pointer(duk, NULL);
    duk_put_prop_string(duk, -2, MESH_AGENT_JS_CTX);

    mesh_agent_js_push_buffer(duk, md, len);

    return 1;
}


/* the finalizer */
static duk_ret_t
mesh_agent_js_hash_free(duk_context *duk)
{
    duk_get_prop_string(duk, 0, MESH_AGENT_JS_CTX);
    EVP_MD_CTX_free(duk_get_pointer(duk, -1));

    /* it may be called once more */
    duk_push_pointer(duk, NULL);
    duk_put_prop_string(duk, 0, MESH_AGENT_JS_CTX);

    return 0;
}


static EVP_MD_CTX *
mesh_agent_js_hash_ctx(duk_context *duk, duk_idx_t idx)
{
    EVP_MD_CTX  *ctx;

    duk_get_prop_string(duk, idx, MESH_AGENT_JS_CTX);
    ctx = duk_get_pointer(duk, -1);
    duk_pop(duk);

    if (ctx == NULL) {
        (void) duk_error(duk, DUK_ERR_ERROR, "the digest is done");
    }

    return ctx;
}


/* crc32(bytes, initial) -> number */
static duk_ret_t
mesh_agent_js_hash_crc32(duk_context *duk)
{
    size_t          len;
    const uint8_t  *data;

    data = mesh_agent_js_bytes(duk, 0, &len);

    duk_push_uint(duk, (duk_uint_t) crc32_z(duk_get_uint_default(duk, 1, 0),
                                            data, len));

    return 1;
}


/* crc32c(bytes, initial) -> number */
static duk_ret_t
mesh_agent_js_hash_crc32c(duk_context *duk)
{
    int             k;
    size_t          len, i;
    uint32_t        crc;
    const uint8_t  *data;

    data = mesh_agent_js_bytes(duk, 0, &len);
    crc = ~(uint32_t) duk_get_uint_default(duk, 1, 0);

    for (i = 0; i < len; i++) {
        crc ^= data[i];

        for (k = 0; k < 8; k++) {
            crc = crc >> 1 ^ (crc & 1 ? MESH_AGENT_JS_CRC_C : 0);
        }
    }

    duk_push_uint(duk, ~crc);

    return 1;
}


/* inflate(bytes) -> Buffer; with the header of zlib, or none */
static duk_ret_t
mesh_agent_js_hash_inflate(duk_context *duk)
{
    void           *out;
    size_t          len, size;
    const uint8_t  *data;

    data = mesh_agent_js_bytes(duk, 0, &len);

    /*
     * Twice: the first time for the size.  A push can throw, and must not do
     * so while zlib holds memory.
     */
    if (mesh_agent_js_hash_inflate_to(NULL, &size, data, len) != MESH_OK) {
        return duk_error(duk, DUK_ERR_ERROR, "no deflated data");
    }

    out = duk_push_fixed_buffer(duk, size);

    if (mesh_agent_js_hash_inflate_to(out, &size, data, len) != MESH_OK) {
        return duk_error(duk, DUK_ERR_ERROR, "no deflated data");
    }

    duk_push_buffer_object(duk, -1, 0, size, DUK_BUFOBJ_NODEJS_BUFFER);

    return 1;
}


/* out may be NULL; else it holds the *size bytes of the first time */
static int
mesh_agent_js_hash_inflate_to(uint8_t *out, size_t *size, const uint8_t *data,
    size_t len)
{
    int       rc, bits;
    size_t    n;
    uint8_t   chunk[16384];
    z_stream  z;

    if (len < 2 || len > MESH_AGENT_JS_MEMORY) {
        return MESH_ERROR;
    }

    /* RFC 1950, 2.2 */
    bits = (data[0] & 0x0f) == 8
           && ((unsigned) data[0] << 8 | data[1]) % 31 == 0 ? 15 : -15;

    memset(&z, 0, sizeof(z_stream));

    if (inflateInit2(&z, bits) != Z_OK) {
        return MESH_ERROR;
    }

    z.next_in = (uint8_t *) data;
    z.avail_in = (unsigned) len;
    n = 0;

    do {
        z.next_out = out != NULL ? out + n : chunk;
        z.avail_out = out != NULL ? (unsigned) (*size - n) : sizeof(chunk);

        rc = inflate(&z, Z_NO_FLUSH);

        n = z.total_out;

    } while (rc == Z_OK && n <= MESH_AGENT_JS_MEMORY
             && (out == NULL || n < *size));

    inflateEnd(&z);

    if (rc != Z_STREAM_END && !(out != NULL && n == *size)) {
        return MESH_ERROR;
    }

    *size = n;

    return MESH_OK;
}


/* deflate(bytes) -> Buffer, without a header */
static duk_ret_t
mesh_agent_js_hash_deflate(duk_context *duk)
{
    int             rc;
    void           *out;
    size_t          len;
    z_stream        z;
    const uint8_t  *data;

    data = mesh_agent_js_bytes(duk, 0, &len);

    if (len > MESH_AGENT_JS_MEMORY) {
        return duk_error(duk, DUK_ERR_RANGE_ERROR, "too long");
    }

    /* more than the bound of zlib without its header */
    out = duk_push_fixed_buffer(duk, compressBound(len) + 64);

    memset(&z, 0, sizeof(z_stream));

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8,
                     Z_DEFAULT_STRATEGY)
        != Z_OK)
    {
        return duk_error(duk, DUK_ERR_ERROR, "no memory");
    }

    z.next_in = (uint8_t *) data;
    z.avail_in = (unsigned) len;
    z.next_out = out;
    z.avail_out = (unsigned) compressBound(len) + 64;

    rc = deflate(&z, Z_FINISH);
    len = z.total_out;
    deflateEnd(&z);

    if (rc != Z_STREAM_END) {
        return duk_error(duk, DUK_ERR_ERROR, "deflate failed");
    }

    mesh_agent_js_push_buffer(duk, out, len);

    return 1;
}

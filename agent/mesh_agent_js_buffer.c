/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Bytes and text.  The engine keeps strings as CESU-8: a character past U+FFFF
 * is two encoded surrogates, which is no UTF-8.  What comes in from outside
 * and what goes out is converted here; and no byte from outside may make a
 * string that the engine takes for one of its own symbols.
 */

#include <openssl/rand.h>
#include <string.h>
#include "mesh_agent_js.h"


#define MESH_AGENT_JS_BAD  0xfffd


enum {
    MESH_AGENT_JS_UTF8 = 0,
    MESH_AGENT_JS_HEX,
    MESH_AGENT_JS_BASE64,
    MESH_AGENT_JS_BINARY
};


static duk_ret_t mesh_agent_js_buffer_encode(duk_context *duk);
static duk_ret_t mesh_agent_js_buffer_decode(duk_context *duk);
static void mesh_agent_js_buffer_hex(duk_context *duk, const uint8_t *data,
    size_t len);
static void mesh_agent_js_buffer_unhex(duk_context *duk, const uint8_t *data,
    size_t len);
static void mesh_agent_js_buffer_binary(duk_context *duk, const uint8_t *data,
    size_t len);
static void mesh_agent_js_buffer_unbase64(duk_context *duk,
    const uint8_t *data, size_t len);
static duk_ret_t mesh_agent_js_buffer_concat(duk_context *duk);
static duk_ret_t mesh_agent_js_buffer_random(duk_context *duk);
static int mesh_agent_js_encoding(duk_context *duk, duk_idx_t idx);
static void mesh_agent_js_new_buffer(duk_context *duk);
static int32_t mesh_agent_js_char(const uint8_t **p, const uint8_t *last);
static uint8_t *mesh_agent_js_put_char(uint8_t *p, uint32_t c);
static size_t mesh_agent_js_cesu(uint8_t *out, const uint8_t *data,
    size_t len);
static size_t mesh_agent_js_utf8(uint8_t *out, const uint8_t *data,
    size_t len);


static const duk_function_list_entry  mesh_agent_js_buffer_functions[] = {
    { "encode", mesh_agent_js_buffer_encode, 2 },
    { "decode", mesh_agent_js_buffer_decode, 2 },
    { "concat", mesh_agent_js_buffer_concat, 1 },
    { "random", mesh_agent_js_buffer_random, 1 },
    { NULL, NULL, 0 }
};


void
mesh_agent_js_init_buffer(duk_context *duk)
{
    duk_put_function_list(duk, -1, mesh_agent_js_buffer_functions);
}


/* encode(bytes, "utf8" | "hex" | "base64" | "binary") -> string */
static duk_ret_t
mesh_agent_js_buffer_encode(duk_context *duk)
{
    size_t          len;
    const uint8_t  *data;

    data = mesh_agent_js_bytes(duk, 0, &len);

    switch (mesh_agent_js_encoding(duk, 1)) {

    case MESH_AGENT_JS_HEX:
        mesh_agent_js_buffer_hex(duk, data, len);
        break;

    case MESH_AGENT_JS_BASE64:
        duk_dup(duk, 0);
        duk_base64_encode(duk, -1);
        break;

    case MESH_AGENT_JS_BINARY:
        mesh_agent_js_buffer_binary(duk, data, len);
        break;

    default:
        mesh_agent_js_push_text(duk, data, len);
        break;
    }

    return 1;
}


/* decode(string, encoding) -> Buffer */
static duk_ret_t
mesh_agent_js_buffer_decode(duk_context *duk)
{
    size_t          len;
    uint8_t        *p;
    const uint8_t  *data, *last;

    duk_require_string(duk, 0);
    data = mesh_agent_js_bytes(duk, 0, &len);

    switch (mesh_agent_js_encoding(duk, 1)) {

    case MESH_AGENT_JS_HEX:
        mesh_agent_js_buffer_unhex(duk, data, len);
        break;

    case MESH_AGENT_JS_BASE64:
        mesh_agent_js_buffer_unbase64(duk, data, len);
        break;

    case MESH_AGENT_JS_BINARY:
        p = duk_push_dynamic_buffer(duk, len);
        last = data + len;

        for (len = 0; data < last; len++) {
            p[len] = (uint8_t) mesh_agent_js_char(&data, last);
        }

        duk_resize_buffer(duk, -1, len);
        mesh_agent_js_new_buffer(duk);
        break;

    default:
        mesh_agent_js_push_buffer(duk, data, len);
        break;
    }

    return 1;
}


static void
mesh_agent_js_buffer_hex(duk_context *duk, const uint8_t *data, size_t len)
{
    char              *p;
    size_t             i;
    static const char  hex[] = "0123456789ABCDEF";

    p = duk_push_fixed_buffer(duk, len * 2);

    for (i = 0; i < len; i++) {
        *p++ = hex[data[i] >> 4];
        *p++ = hex[data[i] & 0xf];
    }

    duk_buffer_to_string(duk, -1);
}


/* up to the first pair that is none */
static void
mesh_agent_js_buffer_unhex(duk_context *duk, const uint8_t *data, size_t len)
{
    int       digit, k;
    size_t    i;
    uint8_t  *p, c, value;

    p = duk_push_dynamic_buffer(duk, len / 2);

    for (i = 0; i < len / 2; i++) {
        value = 0;
        digit = 0;

        for (k = 0; k < 2; k++) {
            c = data[i * 2 + k];

            if (c >= '0' && c <= '9') {
                digit = c - '0';
            } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
                digit = (c | 0x20) - 'a' + 10;
            } else {
                digit = -1;
                break;
            }

            value = (uint8_t) (value << 4 | digit);
        }

        if (digit == -1) {
            break;
        }

        p[i] = value;
    }

    duk_resize_buffer(duk, -1, i);
    mesh_agent_js_new_buffer(duk);
}


static void
mesh_agent_js_buffer_binary(duk_context *duk, const uint8_t *data, size_t len)
{
    size_t    i, n;
    uint8_t  *p;

    n = len;
    for (i = 0; i < len; i++) {
        n += data[i] >> 7;
    }

    p = duk_push_fixed_buffer(duk, n);

    for (i = 0; i < len; i++) {
        p = mesh_agent_js_put_char(p, data[i]);
    }

    duk_buffer_to_string(duk, -1);
}


/* with or without padding, either alphabet, blanks skipped */
static void
mesh_agent_js_buffer_unbase64(duk_context *duk, const uint8_t *data,
    size_t len)
{
    int        value;
    size_t     i, n;
    uint8_t   *p, c;
    uint32_t   bits;
    unsigned   have;

    p = duk_push_dynamic_buffer(duk, len / 4 * 3 + 3);
    bits = 0;
    have = 0;
    n = 0;

    for (i = 0; i < len; i++) {
        c = data[i];

        if (c >= 'A' && c <= 'Z') {
            value = c - 'A';
        } else if (c >= 'a' && c <= 'z') {
            value = c - 'a' + 26;
        } else if (c >= '0' && c <= '9') {
            value = c - '0' + 52;
        } else if (c == '+' || c == '-') {
            value = 62;
        } else if (c == '/' || c == '_') {
            value = 63;
        } else if (c == '=') {
            break;
        } else {
            continue;
        }

        bits = bits << 6 | (uint32_t) value;
        have += 6;

        if (have >= 8) {
            have -= 8;
            p[n++] = (uint8_t) (bits >> have);
        }
    }

    duk_resize_buffer(duk, -1, n);
    mesh_agent_js_new_buffer(duk);
}


/* concat(list of bytes) -> Buffer */
static duk_ret_t
mesh_agent_js_buffer_concat(duk_context *duk)
{
    size_t          len, total, at;
    uint8_t        *p;
    duk_size_t      i, n;
    const uint8_t  *data;

    n = duk_get_length(duk, 0);
    total = 0;

    for (i = 0; i < n; i++) {
        duk_get_prop_index(duk, 0, (duk_uarridx_t) i);
        (void) mesh_agent_js_bytes(duk, -1, &len);
        total += len;
        duk_pop(duk);
    }

    p = duk_push_fixed_buffer(duk, total);
    at = 0;

    for (i = 0; i < n; i++) {
        duk_get_prop_index(duk, 0, (duk_uarridx_t) i);
        data = mesh_agent_js_bytes(duk, -1, &len);

        /* a getter may have given something else this time */
        if (len > total - at) {
            len = total - at;
        }

        if (len > 0) {
            memcpy(p + at, data, len);
            at += len;
        }

        duk_pop(duk);
    }

    duk_push_buffer_object(duk, -1, 0, total, DUK_BUFOBJ_NODEJS_BUFFER);

    return 1;
}


/* random(buffer): fills it */
static duk_ret_t
mesh_agent_js_buffer_random(duk_context *duk)
{
    void        *data;
    duk_size_t   len;

    data = duk_require_buffer_data(duk, 0, &len);

    if (len > INT32_MAX || (len > 0 && RAND_bytes(data, (int) len) != 1)) {
        return duk_error(duk, DUK_ERR_ERROR, "no random bytes");
    }

    return 0;
}


static int
mesh_agent_js_encoding(duk_context *duk, duk_idx_t idx)
{
    const char  *name;

    name = duk_get_string_default(duk, idx, "utf8");

    if (strcmp(name, "hex") == 0) {
        return MESH_AGENT_JS_HEX;
    }

    if (strcmp(name, "base64") == 0) {
        return MESH_AGENT_JS_BASE64;
    }

    if (strcmp(name, "binary") == 0 || strcmp(name, "latin1") == 0
        || strcmp(name, "ascii") == 0)
    {
        return MESH_AGENT_JS_BINARY;
    }

    return MESH_AGENT_JS_UTF8;
}


/* the plain buffer on top becomes a Buffer; a dynamic one is copied */
static void
mesh_agent_js_new_buffer(duk_context *duk)
{
    duk_size_t   len;

    (void) duk_to_fixed_buffer(duk, -1, &len);
    duk_push_buffer_object(duk, -1, 0, len, DUK_BUFOBJ_NODEJS_BUFFER);
    duk_remove(duk, -2);
}


void
mesh_agent_js_push_buffer(duk_context *duk, const void *data, size_t len)
{
    void  *p;

    p = duk_push_fixed_buffer(duk, len);
    if (len > 0) {
        memcpy(p, data, len);
    }

    duk_push_buffer_object(duk, -1, 0, len, DUK_BUFOBJ_NODEJS_BUFFER);
    duk_remove(duk, -2);
}


void
mesh_agent_js_push_text(duk_context *duk, const void *data, size_t len)
{
    size_t          n;
    uint8_t        *p;
    const uint8_t  *s = data;

    for (n = 0; n < len && s[n] < 0x80; n++) { /* void */ }

    if (n == len) {
        duk_push_lstring(duk, data, len);
        return;
    }

    n = mesh_agent_js_cesu(NULL, s, len);
    p = duk_push_fixed_buffer(duk, n);
    (void) mesh_agent_js_cesu(p, s, len);
    duk_buffer_to_string(duk, -1);
}


const uint8_t *
mesh_agent_js_bytes(duk_context *duk, duk_idx_t idx, size_t *len)
{
    size_t       n;
    uint8_t     *p;
    duk_size_t   size;
    const char  *s;

    idx = duk_require_normalize_index(duk, idx);

    if (duk_is_buffer_data(duk, idx)) {
        p = duk_get_buffer_data(duk, idx, &size);
        *len = size;

        /* memcpy() and its like want an address even for no bytes */
        return p != NULL ? p : (const uint8_t *) "";
    }

    if (!duk_is_string(duk, idx) || duk_is_symbol(duk, idx)) {
        (void) duk_error(duk, DUK_ERR_TYPE_ERROR, "no string and no Buffer");
    }

    s = duk_get_lstring(duk, idx, &size);

    for (n = 0; n < size && (uint8_t) s[n] < 0xed; n++) { /* void */ }

    if (n == size) {
        *len = size;
        return (const uint8_t *) s;
    }

    *len = mesh_agent_js_utf8(NULL, (const uint8_t *) s, size);
    p = duk_push_fixed_buffer(duk, *len);
    (void) mesh_agent_js_utf8(p, (const uint8_t *) s, size);
    duk_replace(duk, idx);

    return p;
}


const char *
mesh_agent_js_text(duk_context *duk, duk_idx_t idx)
{
    char           *p;
    size_t          len;
    const uint8_t  *data;

    idx = duk_require_normalize_index(duk, idx);
    duk_require_string(duk, idx);
    data = mesh_agent_js_bytes(duk, idx, &len);

    if (memchr(data, 0, len) != NULL) {
        (void) duk_error(duk, DUK_ERR_TYPE_ERROR, "NUL in a text");
    }

    if (duk_is_string(duk, idx)) {
        return (const char *) data;
    }

    p = duk_push_fixed_buffer(duk, len + 1);      /* zeroed */
    memcpy(p, data, len);
    duk_replace(duk, idx);

    return p;
}


/*
 * Reads a character; surrogates pass.  -1: no UTF-8, one byte is skipped.
 */
static int32_t
mesh_agent_js_char(const uint8_t **p, const uint8_t *last)
{
    int             n, i;
    int32_t         c, min;
    const uint8_t  *s = *p;

    *p = s + 1;

    if (s[0] < 0x80) {
        return s[0];
    }

    if (s[0] >= 0xc2 && s[0] <= 0xdf) {
        n = 1;
        c = s[0] & 0x1f;
        min = 0x80;

    } else if (s[0] >= 0xe0 && s[0] <= 0xef) {
        n = 2;
        c = s[0] & 0x0f;
        min = 0x800;

    } else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        n = 3;
        c = s[0] & 0x07;
        min = 0x10000;

    } else {
        return -1;
    }

    if (last - s <= n) {
        return -1;
    }

    for (i = 1; i <= n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return -1;
        }
        c = c << 6 | (s[i] & 0x3f);
    }

    if (c < min || c > 0x10ffff) {
        return -1;
    }

    *p = s + n + 1;

    return c;
}


static uint8_t *
mesh_agent_js_put_char(uint8_t *p, uint32_t c)
{
    if (c < 0x80) {
        *p++ = (uint8_t) c;

    } else if (c < 0x800) {
        *p++ = (uint8_t) (0xc0 | c >> 6);
        *p++ = (uint8_t) (0x80 | (c & 0x3f));

    } else if (c < 0x10000) {
        *p++ = (uint8_t) (0xe0 | c >> 12);
        *p++ = (uint8_t) (0x80 | (c >> 6 & 0x3f));
        *p++ = (uint8_t) (0x80 | (c & 0x3f));

    } else {
        *p++ = (uint8_t) (0xf0 | c >> 18);
        *p++ = (uint8_t) (0x80 | (c >> 12 & 0x3f));
        *p++ = (uint8_t) (0x80 | (c >> 6 & 0x3f));
        *p++ = (uint8_t) (0x80 | (c & 0x3f));
    }

    return p;
}


/* UTF-8 to CESU-8; returns the size of the result; out may be NULL */
static size_t
mesh_agent_js_cesu(uint8_t *out, const uint8_t *data, size_t len)
{
    size_t          n;
    int32_t         c;
    uint8_t         buf[8], *p;
    const uint8_t  *last;

    n = 0;
    last = data + len;

    while (data < last) {
        c = mesh_agent_js_char(&data, last);

        if (c == -1 || (c >= 0xd800 && c <= 0xdfff)) {
            c = MESH_AGENT_JS_BAD;
        }

        p = buf;

        if (c > 0xffff) {
            c -= 0x10000;
            p = mesh_agent_js_put_char(p, 0xd800 | (uint32_t) c >> 10);
            c = 0xdc00 | (c & 0x3ff);
        }

        p = mesh_agent_js_put_char(p, (uint32_t) c);

        if (out != NULL) {
            memcpy(out + n, buf, (size_t) (p - buf));
        }

        n += (size_t) (p - buf);
    }

    return n;
}


/* and back */
static size_t
mesh_agent_js_utf8(uint8_t *out, const uint8_t *data, size_t len)
{
    size_t          n;
    int32_t         c, low;
    uint8_t         buf[4], *p;
    const uint8_t  *last, *next;

    n = 0;
    last = data + len;

    while (data < last) {
        c = mesh_agent_js_char(&data, last);

        if (c >= 0xd800 && c <= 0xdbff && data < last) {
            next = data;
            low = mesh_agent_js_char(&next, last);

            if (low >= 0xdc00 && low <= 0xdfff) {
                c = 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
                data = next;
            }
        }

        if (c == -1 || (c >= 0xd800 && c <= 0xdfff)) {
            c = MESH_AGENT_JS_BAD;
        }

        p = mesh_agent_js_put_char(buf, (uint32_t) c);

        if (out != NULL) {
            memcpy(out + n, buf, (size_t) (p - buf));
        }

        n += (size_t) (p - buf);
    }

    return n;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "mesh_agent_msg.h"


typedef int (*mesh_agent_read_pt)(mesh_agent_msg_t *msg, const uint8_t *buf,
    size_t len);

typedef struct {
    uint16_t            cmd;
    size_t              min;    /* bytes of the whole message */
    size_t              max;
    mesh_agent_read_pt  read;
} mesh_agent_row_t;


static int mesh_agent_read_request(mesh_agent_msg_t *msg, const uint8_t *buf,
    size_t len);
static int mesh_agent_read_verify(mesh_agent_msg_t *msg, const uint8_t *buf,
    size_t len);
static int mesh_agent_read_info(mesh_agent_msg_t *msg, const uint8_t *buf,
    size_t len);
static int mesh_agent_read_confirm(mesh_agent_msg_t *msg, const uint8_t *buf,
    size_t len);
static int mesh_agent_read_server_id(mesh_agent_msg_t *msg,
    const uint8_t *buf, size_t len);
static int mesh_agent_read_hash(mesh_agent_msg_t *msg, const uint8_t *buf,
    size_t len);
static int mesh_agent_read_ack(mesh_agent_msg_t *msg, const uint8_t *buf,
    size_t len);
static int mesh_agent_read_text(mesh_agent_msg_t *msg, const uint8_t *buf,
    size_t len);
static int mesh_agent_same(const uint8_t *p, size_t len, uint8_t ch);
static int mesh_b64x_value(char ch);
static int mesh_hex_value(char ch);


static const mesh_agent_row_t  mesh_agent_rows[] = {

    /* command, bytes at least and at most, read */

    { MESH_AGENT_AUTH_REQUEST, 98, 98,
      mesh_agent_read_request },
    { MESH_AGENT_AUTH_VERIFY, 6, MESH_AGENT_MAX_AUTH,
      mesh_agent_read_verify },
    { MESH_AGENT_AUTH_INFO, 70, MESH_AGENT_MAX_AUTH,
      mesh_agent_read_info },
    { MESH_AGENT_AUTH_CONFIRM, 2, 2,
      mesh_agent_read_confirm },
    { MESH_AGENT_SERVER_ID, 50, 50,
      mesh_agent_read_server_id },
    { MESH_AGENT_CORE_HASH, 4, 52,
      mesh_agent_read_hash },
    { MESH_AGENT_HASH, 52, 52,
      mesh_agent_read_hash },
    { MESH_AGENT_UPDATE_BLOCK, 4, 4,
      mesh_agent_read_ack },
    { MESH_AGENT_TAG, 2, 2 + MESH_AGENT_MAX_TAG,
      mesh_agent_read_text },
    { MESH_AGENT_COMMIT_DATE, 2, MESH_AGENT_MAX_AUTH,
      mesh_agent_read_text },
    { MESH_AGENT_HOST_INFO, 2, MESH_AGENT_MAX_AUTH,
      mesh_agent_read_text },
    { 0, 0, 0, NULL }
};


int
mesh_agent_msg_parse(mesh_agent_msg_t *msg, const uint8_t *buf, size_t len)
{
    const mesh_agent_row_t  *row;

    memset(msg, 0, sizeof(mesh_agent_msg_t));

    if (len < 2) {
        return MESH_ERROR;
    }

    msg->cmd = mesh_get16(buf);

    for (row = mesh_agent_rows; row->read; row++) {

        if (row->cmd != msg->cmd) {
            continue;
        }

        if (len < row->min || len > row->max) {
            return MESH_ERROR;
        }

        return row->read(msg, buf, len);
    }

    return MESH_DECLINED;
}


static int
mesh_agent_read_request(mesh_agent_msg_t *msg, const uint8_t *buf, size_t len)
{
    (void) len;

    msg->u.request.web_hash = buf + 2;
    msg->u.request.nonce = buf + 50;

    return MESH_OK;
}


static int
mesh_agent_read_verify(mesh_agent_msg_t *msg, const uint8_t *buf, size_t len)
{
    size_t  n;

    n = mesh_get16(buf + 2);

    /* one byte of each at least */

    if (n == 0 || n >= len - 4) {
        return MESH_ERROR;
    }

    msg->u.verify.cert = buf + 4;
    msg->u.verify.cert_len = n;
    msg->u.verify.sig = buf + 4 + n;
    msg->u.verify.sig_len = len - 4 - n;

    return MESH_OK;
}


static int
mesh_agent_read_info(mesh_agent_msg_t *msg, const uint8_t *buf, size_t len)
{
    size_t  n;

    /* 70 bytes: old agents without a name */

    if (len > MESH_AGENT_INFO_MIN) {

        if (len < MESH_AGENT_INFO_MIN + 2) {
            return MESH_ERROR;
        }

        n = mesh_get16(buf + 70);

        if (n != len - 72) {
            return MESH_ERROR;
        }

        msg->u.info.name = buf + 72;
        msg->u.info.name_len = n;
    }

    msg->u.info.version = mesh_get32(buf + 2);
    msg->u.info.agent_id = mesh_get32(buf + 6);
    msg->u.info.agent_version = mesh_get32(buf + 10);
    msg->u.info.platform = mesh_get32(buf + 14);
    msg->u.info.mesh = buf + 18;
    msg->u.info.mesh_len = MESH_HASH_LEN;
    msg->u.info.caps = mesh_get32(buf + 66);

    if (mesh_agent_same(buf + 50, 16, 0)) {
        msg->u.info.mesh_len = 32;
    }

    if (msg->u.info.platform < MESH_AGENT_DESKTOP
        || msg->u.info.platform > MESH_AGENT_VIRTUAL)
    {
        msg->u.info.platform = MESH_AGENT_DESKTOP;
    }

    return MESH_OK;
}


static int
mesh_agent_read_confirm(mesh_agent_msg_t *msg, const uint8_t *buf, size_t len)
{
    (void) msg;
    (void) buf;
    (void) len;

    return MESH_OK;
}


static int
mesh_agent_read_server_id(mesh_agent_msg_t *msg, const uint8_t *buf,
    size_t len)
{
    (void) len;

    msg->u.hash.hash = buf + 2;
    msg->u.hash.zero = mesh_agent_same(buf + 2, MESH_HASH_LEN, 0) & 1;
    msg->u.hash.legacy = mesh_agent_same(buf + 34, 16, 0) & 1;

    return MESH_OK;
}


static int
mesh_agent_read_hash(mesh_agent_msg_t *msg, const uint8_t *buf, size_t len)
{
    /* the row gives both sizes, but nothing is between them */

    if (len != MESH_AGENT_REQUEST_LEN && len != MESH_AGENT_HASHED_LEN) {
        return MESH_ERROR;
    }

    msg->id = mesh_get16(buf + 2);

    if (len == MESH_AGENT_HASHED_LEN) {
        msg->u.hash.hash = buf + 4;
        msg->u.hash.zero = mesh_agent_same(buf + 4, MESH_HASH_LEN, 0) & 1;
        msg->u.hash.ones = mesh_agent_same(buf + 4, MESH_HASH_LEN, 0xff) & 1;
    }

    return MESH_OK;
}


static int
mesh_agent_read_ack(mesh_agent_msg_t *msg, const uint8_t *buf, size_t len)
{
    (void) len;

    msg->id = mesh_get16(buf + 2);

    return MESH_OK;
}


static int
mesh_agent_read_text(mesh_agent_msg_t *msg, const uint8_t *buf, size_t len)
{
    /* the stock agent's commit date ends with NUL, its tag may */

    while (len > 2 && buf[len - 1] == '\0') {
        len--;
    }

    msg->u.text.data = buf + 2;
    msg->u.text.len = len - 2;

    return MESH_OK;
}


static int
mesh_agent_same(const uint8_t *p, size_t len, uint8_t ch)
{
    size_t  i;

    for (i = 0; i < len; i++) {

        if (p[i] != ch) {
            return 0;
        }
    }

    return 1;
}


size_t
mesh_agent_write_request(uint8_t *p, uint16_t cmd, uint16_t id)
{
    mesh_put16(mesh_put16(p, cmd), id);

    return MESH_AGENT_REQUEST_LEN;
}


size_t
mesh_agent_write_hashed(uint8_t *p, uint16_t cmd, uint16_t id,
    const uint8_t *hash)
{
    p = mesh_put16(mesh_put16(p, cmd), id);

    memcpy(p, hash, MESH_HASH_LEN);

    return MESH_AGENT_HASHED_LEN;
}


size_t
mesh_agent_write_block(uint8_t *p)
{
    /* the stock agent's ack is believed only with this id */

    return mesh_agent_write_request(p, MESH_AGENT_UPDATE_BLOCK, 1);
}


size_t
mesh_agent_write_auth_request(uint8_t *p, const uint8_t *web_hash,
    const uint8_t *nonce)
{
    p = mesh_put16(p, MESH_AGENT_AUTH_REQUEST);

    memcpy(p, web_hash, MESH_HASH_LEN);
    memcpy(p + MESH_HASH_LEN, nonce, MESH_HASH_LEN);

    return MESH_AGENT_AUTH_REQUEST_LEN;
}


size_t
mesh_agent_write_auth_verify(uint8_t *p, size_t size, const uint8_t *cert,
    size_t cert_len, const uint8_t *sig, size_t sig_len)
{
    if (cert_len > UINT16_MAX || size < 4 || cert_len > size - 4
        || sig_len > size - 4 - cert_len)
    {
        return 0;
    }

    p = mesh_put16(p, MESH_AGENT_AUTH_VERIFY);
    p = mesh_put16(p, (uint16_t) cert_len);

    memcpy(p, cert, cert_len);
    memcpy(p + cert_len, sig, sig_len);

    return 4 + cert_len + sig_len;
}


size_t
mesh_agent_write_auth_confirm(uint8_t *p)
{
    mesh_put16(p, MESH_AGENT_AUTH_CONFIRM);

    return 2;
}


void
mesh_agent_sign_input(uint8_t out[MESH_AGENT_SIGN_LEN],
    mesh_agent_signer_e who, const uint8_t *web_hash,
    const uint8_t *agent_nonce, const uint8_t *server_nonce)
{
    const uint8_t  *first, *second;

    /* the other side's nonce comes first */

    first = who == MESH_AGENT_SIGN_SERVER ? agent_nonce : server_nonce;
    second = who == MESH_AGENT_SIGN_SERVER ? server_nonce : agent_nonce;

    memcpy(out, web_hash, MESH_HASH_LEN);
    memcpy(out + MESH_HASH_LEN, first, MESH_HASH_LEN);
    memcpy(out + 2 * MESH_HASH_LEN, second, MESH_HASH_LEN);
}


size_t
mesh_b64x_encode(char *dst, const uint8_t *src, size_t len)
{
    size_t             i, n;
    uint32_t           bits;
    static const char  digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@$";

    n = 0;

    for (i = 0; i < len; i += 3) {

        bits = (uint32_t) src[i] << 16;

        if (len - i > 1) {
            bits |= (uint32_t) src[i + 1] << 8;
        }

        if (len - i > 2) {
            bits |= src[i + 2];
        }

        dst[n++] = digits[bits >> 18];
        dst[n++] = digits[bits >> 12 & 0x3f];

        if (len - i > 1) {
            dst[n++] = digits[bits >> 6 & 0x3f];
        }

        if (len - i > 2) {
            dst[n++] = digits[bits & 0x3f];
        }
    }

    return n;
}


int
mesh_b64x_decode(uint8_t *dst, size_t size, const char *src, size_t len)
{
    int       value;
    size_t    i, n;
    unsigned  have;
    uint32_t  bits;

    if (len % 4 == 1 || len > INT32_MAX) {
        return MESH_ERROR;
    }

    n = 0;
    bits = 0;
    have = 0;

    for (i = 0; i < len; i++) {

        value = mesh_b64x_value(src[i]);

        if (value < 0) {
            return MESH_ERROR;
        }

        bits = bits << 6 | (uint32_t) value;
        have += 6;

        if (have >= 8) {
            have -= 8;

            if (n == size) {
                return MESH_ERROR;
            }

            dst[n++] = (uint8_t) (bits >> have);
            bits &= (1U << have) - 1;
        }
    }

    /* two texts must not stand for one id */

    return bits ? MESH_ERROR : (int) n;
}


static int
mesh_b64x_value(char ch)
{
    if (ch >= 'A' && ch <= 'Z') {
        return ch - 'A';
    }

    if (ch >= 'a' && ch <= 'z') {
        return ch - 'a' + 26;
    }

    if (ch >= '0' && ch <= '9') {
        return ch - '0' + 52;
    }

    if (ch == '@') {
        return 62;
    }

    return ch == '$' ? 63 : -1;
}


void
mesh_hex_encode(char *dst, const uint8_t *src, size_t len, int upper)
{
    size_t       i;
    const char  *digits;

    digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";

    for (i = 0; i < len; i++) {
        dst[2 * i] = digits[src[i] >> 4];
        dst[2 * i + 1] = digits[src[i] & 0x0f];
    }
}


int
mesh_hex_decode(uint8_t *dst, size_t size, const char *src, size_t len)
{
    int     high, low;
    size_t  i;

    if (len % 2 || len / 2 > size || len > INT32_MAX) {
        return MESH_ERROR;
    }

    for (i = 0; i < len / 2; i++) {
        high = mesh_hex_value(src[2 * i]);
        low = mesh_hex_value(src[2 * i + 1]);

        if (high < 0 || low < 0) {
            return MESH_ERROR;
        }

        dst[i] = (uint8_t) (high << 4 | low);
    }

    return (int) (len / 2);
}


static int
mesh_hex_value(char ch)
{
    if (ch >= '0' && ch <= '9') {
        return ch - '0';
    }

    if (ch >= 'a' && ch <= 'f') {
        return ch - 'a' + 10;
    }

    if (ch >= 'A' && ch <= 'F') {
        return ch - 'A' + 10;
    }

    return -1;
}

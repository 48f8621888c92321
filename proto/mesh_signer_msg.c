/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "mesh_signer_msg.h"


static int mesh_signer_parse(mesh_signer_msg_t *msg, const uint8_t *buf,
    size_t len, size_t max);
static size_t mesh_signer_write_head(uint8_t *p, uint32_t id, uint8_t code,
    uint8_t key, uint16_t len);


int
mesh_signer_parse_request(mesh_signer_msg_t *msg, const uint8_t *buf,
    size_t len)
{
    return mesh_signer_parse(msg, buf, len, MESH_SIGNER_MAX_REQUEST);
}


int
mesh_signer_parse_reply(mesh_signer_msg_t *msg, const uint8_t *buf,
    size_t len)
{
    if (len < MESH_SIGNER_HEAD) {
        return MESH_AGAIN;
    }

    if (buf[4] > MESH_SIGNER_FAILED || buf[5] != 0) {
        return MESH_ERROR;
    }

    if (buf[4] != MESH_SIGNER_OK && mesh_get16(buf + 6) != 0) {
        return MESH_ERROR;
    }

    return mesh_signer_parse(msg, buf, len, MESH_SIGNER_MAX_REPLY);
}


static int
mesh_signer_parse(mesh_signer_msg_t *msg, const uint8_t *buf, size_t len,
    size_t max)
{
    size_t  n;

    if (len < MESH_SIGNER_HEAD) {
        return MESH_AGAIN;
    }

    n = mesh_get16(buf + 6);

    if (n > max) {
        return MESH_ERROR;
    }

    if (len - MESH_SIGNER_HEAD < n) {
        return MESH_AGAIN;
    }

    msg->id = mesh_get32(buf);
    msg->code = buf[4];
    msg->key = buf[5];
    msg->len = (uint16_t) n;
    msg->data = buf + MESH_SIGNER_HEAD;
    msg->size = MESH_SIGNER_HEAD + n;

    return MESH_OK;
}


size_t
mesh_signer_write_request(uint8_t *p, uint32_t id, uint8_t op, uint8_t key,
    uint16_t len)
{
    return mesh_signer_write_head(p, id, op, key, len);
}


size_t
mesh_signer_write_reply(uint8_t *p, uint32_t id, uint8_t status, uint16_t len)
{
    return mesh_signer_write_head(p, id, status, 0, len);
}


static size_t
mesh_signer_write_head(uint8_t *p, uint32_t id, uint8_t code, uint8_t key,
    uint16_t len)
{
    p = mesh_put32(p, id);

    p[0] = code;
    p[1] = key;

    mesh_put16(p + 2, len);

    return MESH_SIGNER_HEAD;
}


size_t
mesh_signer_write_sign(uint8_t *p, uint32_t id, uint8_t key,
    const uint8_t *web_hash, const uint8_t *agent_nonce,
    const uint8_t *server_nonce)
{
    p += mesh_signer_write_head(p, id, MESH_SIGNER_SIGN_AGENT, key,
                                MESH_SIGNER_SIGN_LEN);

    memcpy(p, web_hash, MESH_HASH_LEN);
    memcpy(p + MESH_HASH_LEN, agent_nonce, MESH_HASH_LEN);
    memcpy(p + 2 * MESH_HASH_LEN, server_nonce, MESH_HASH_LEN);

    return MESH_SIGNER_HEAD + MESH_SIGNER_SIGN_LEN;
}


int
mesh_signer_read_cert(const mesh_signer_msg_t *msg, const uint8_t **cert,
    size_t *cert_len, const uint8_t **key_hash)
{
    if (msg->len <= MESH_HASH_LEN) {
        return MESH_ERROR;
    }

    *cert = msg->data;
    *cert_len = (size_t) msg->len - MESH_HASH_LEN;
    *key_hash = msg->data + *cert_len;

    return MESH_OK;
}

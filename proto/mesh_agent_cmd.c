/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "mesh_agent_cmd.h"


typedef int (*mesh_agent_cmd_pt)(mesh_agent_cmd_t *cmd, const uint8_t *buf,
    size_t len);

typedef struct {
    uint16_t           cmd;
    size_t             min;             /* bytes of the whole message */
    size_t             max;             /* 0: no bound of its own */
    mesh_agent_cmd_pt  read;            /* NULL: there is nothing in it */
} mesh_agent_cmd_row_t;


static int mesh_agent_cmd_request(mesh_agent_cmd_t *cmd, const uint8_t *buf,
    size_t len);
static int mesh_agent_cmd_verify(mesh_agent_cmd_t *cmd, const uint8_t *buf,
    size_t len);
static int mesh_agent_cmd_core(mesh_agent_cmd_t *cmd, const uint8_t *buf,
    size_t len);
static int mesh_agent_cmd_update(mesh_agent_cmd_t *cmd, const uint8_t *buf,
    size_t len);
static int mesh_agent_cmd_block(mesh_agent_cmd_t *cmd, const uint8_t *buf,
    size_t len);


static const mesh_agent_cmd_row_t  mesh_agent_cmd_rows[] = {
    { MESH_AGENT_AUTH_REQUEST,  MESH_AGENT_AUTH_REQUEST_LEN,
      MESH_AGENT_AUTH_REQUEST_LEN, mesh_agent_cmd_request },
    { MESH_AGENT_AUTH_VERIFY,   6, MESH_AGENT_MAX_AUTH, mesh_agent_cmd_verify },
    { MESH_AGENT_AUTH_CONFIRM,  2, 2, NULL },
    { MESH_AGENT_CORE,          MESH_AGENT_REQUEST_LEN, 0, mesh_agent_cmd_core },
    { MESH_AGENT_CORE_HASH,     MESH_AGENT_REQUEST_LEN,
      MESH_AGENT_REQUEST_LEN, NULL },
    { MESH_AGENT_HASH,          MESH_AGENT_REQUEST_LEN,
      MESH_AGENT_REQUEST_LEN, NULL },
    { MESH_AGENT_UPDATE,        MESH_AGENT_REQUEST_LEN, MESH_AGENT_HASHED_LEN,
      mesh_agent_cmd_update },
    { MESH_AGENT_UPDATE_BLOCK,  MESH_AGENT_REQUEST_LEN + 1,
      MESH_AGENT_REQUEST_LEN + MESH_AGENT_MAX_BLOCK, mesh_agent_cmd_block },
    { MESH_AGENT_CORE_OK,       MESH_AGENT_REQUEST_LEN,
      MESH_AGENT_REQUEST_LEN, NULL },
    { MESH_AGENT_CORE_DEFLATED, MESH_AGENT_HASHED_LEN + 1, 0,
      mesh_agent_cmd_core },
    { 0, 0, 0, NULL }
};


int
mesh_agent_cmd_parse(mesh_agent_cmd_t *cmd, const uint8_t *buf, size_t len)
{
    const mesh_agent_cmd_row_t  *row;

    memset(cmd, 0, sizeof(mesh_agent_cmd_t));

    if (len < 2) {
        return MESH_ERROR;
    }

    cmd->cmd = mesh_get16(buf);

    if (cmd->cmd >= MESH_AGENT_FIRST_REQUEST) {
        if (len < MESH_AGENT_REQUEST_LEN) {
            return MESH_ERROR;
        }

        cmd->id = mesh_get16(buf + 2);
    }

    for (row = mesh_agent_cmd_rows; row->cmd; row++) {
        if (row->cmd != cmd->cmd) {
            continue;
        }

        if (len < row->min || (row->max && len > row->max)) {
            return MESH_ERROR;
        }

        return row->read ? row->read(cmd, buf, len) : MESH_OK;
    }

    return MESH_DECLINED;
}


static int
mesh_agent_cmd_request(mesh_agent_cmd_t *cmd, const uint8_t *buf, size_t len)
{
    (void) len;

    cmd->u.request.web_hash = buf + 2;
    cmd->u.request.nonce = buf + 2 + MESH_HASH_LEN;

    return MESH_OK;
}


static int
mesh_agent_cmd_verify(mesh_agent_cmd_t *cmd, const uint8_t *buf, size_t len)
{
    size_t  n;

    n = mesh_get16(buf + 2);

    if (n == 0 || n >= len - 4) {
        return MESH_ERROR;
    }

    cmd->u.verify.cert = buf + 4;
    cmd->u.verify.cert_len = n;
    cmd->u.verify.sig = buf + 4 + n;
    cmd->u.verify.sig_len = len - 4 - n;

    return MESH_OK;
}


/* 4 bytes: clear; a hash with nothing behind it is neither */
static int
mesh_agent_cmd_core(mesh_agent_cmd_t *cmd, const uint8_t *buf, size_t len)
{
    if (len == MESH_AGENT_REQUEST_LEN) {
        return MESH_OK;
    }

    if (len <= MESH_AGENT_HASHED_LEN) {
        return MESH_ERROR;
    }

    cmd->u.core.hash = buf + MESH_AGENT_REQUEST_LEN;
    cmd->u.core.data = buf + MESH_AGENT_HASHED_LEN;
    cmd->u.core.len = len - MESH_AGENT_HASHED_LEN;

    return MESH_OK;
}


/* 4 bytes: start; 52: the end, with the hash of it all */
static int
mesh_agent_cmd_update(mesh_agent_cmd_t *cmd, const uint8_t *buf, size_t len)
{
    if (len == MESH_AGENT_REQUEST_LEN) {
        return MESH_OK;
    }

    if (len != MESH_AGENT_HASHED_LEN) {
        return MESH_ERROR;
    }

    cmd->u.core.hash = buf + MESH_AGENT_REQUEST_LEN;

    return MESH_OK;
}


static int
mesh_agent_cmd_block(mesh_agent_cmd_t *cmd, const uint8_t *buf, size_t len)
{
    cmd->u.block.data = buf + MESH_AGENT_REQUEST_LEN;
    cmd->u.block.len = len - MESH_AGENT_REQUEST_LEN;

    return MESH_OK;
}


size_t
mesh_agent_write_server_id(uint8_t *p, const uint8_t *id, size_t len)
{
    mesh_put16(p, MESH_AGENT_SERVER_ID);
    memset(p + 2, 0, MESH_HASH_LEN);
    memcpy(p + 2, id, len < MESH_HASH_LEN ? len : MESH_HASH_LEN);

    return MESH_AGENT_SERVER_ID_LEN;
}


size_t
mesh_agent_write_text(uint8_t *p, uint16_t cmd, const char *text, size_t len)
{
    mesh_put16(p, cmd);
    memcpy(p + 2, text, len);

    return 2 + len;
}


size_t
mesh_agent_write_info(uint8_t *p, const mesh_agent_about_t *about)
{
    uint8_t  *q;

    q = mesh_put16(p, MESH_AGENT_AUTH_INFO);
    q = mesh_put32(q, 1);
    q = mesh_put32(q, about->agent_id);
    q = mesh_put32(q, about->version);
    q = mesh_put32(q, about->platform);

    memset(q, 0, MESH_HASH_LEN);
    memcpy(q, about->mesh,
           about->mesh_len < MESH_HASH_LEN ? about->mesh_len : MESH_HASH_LEN);
    q += MESH_HASH_LEN;

    q = mesh_put32(q, about->caps);
    q = mesh_put16(q, (uint16_t) about->name_len);
    memcpy(q, about->name, about->name_len);

    return (size_t) (q - p) + about->name_len;
}

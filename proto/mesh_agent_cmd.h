/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The agent's side of its control channel: what a server sends, and the
 * messages that only an agent writes.  The rest is in mesh_agent_msg.h.
 */

#ifndef MESH_AGENT_CMD_H_INCLUDED
#define MESH_AGENT_CMD_H_INCLUDED


#include "mesh_agent_msg.h"


/* everything pointed at is borrowed from the bytes that were parsed */

typedef struct {
    uint16_t                cmd;
    uint16_t                id;         /* request id, to be echoed */

    union {
        struct {                        /* 1 */
            const uint8_t  *web_hash;   /* 48 */
            const uint8_t  *nonce;      /* 48 */
        } request;

        struct {                        /* 2; both at least 1 byte */
            const uint8_t  *cert;       /* DER */
            size_t          cert_len;
            const uint8_t  *sig;
            size_t          sig_len;
        } verify;

        struct {                        /* 10, 13, 20 */
            const uint8_t  *hash;       /* 48; NULL: clear, or start */
            const uint8_t  *data;       /* 10, 20: the core */
            size_t          len;
        } core;

        struct {                        /* 14 */
            const uint8_t  *data;
            size_t          len;        /* 1 to MESH_AGENT_MAX_BLOCK */
        } block;
    } u;
} mesh_agent_cmd_t;


/*
 * Reads one whole binary message from a server (S>A).
 *
 *   MESH_OK        *cmd is set
 *   MESH_DECLINED  cmd->cmd is set: a number that an agent does not know; from
 *                  1000 on it is the script's
 *   MESH_ERROR     shorter than 2 bytes, or wrong in length for its command
 *
 * Source: protocol/agent.md 2 and 4.
 */
int mesh_agent_cmd_parse(mesh_agent_cmd_t *cmd, const uint8_t *buf,
    size_t len);


/* A>S; each returns the bytes written */

/* 50 bytes of 5; an id of 32 bytes (SHA-256) is filled with zeros */
size_t mesh_agent_write_server_id(uint8_t *p, const uint8_t *id, size_t len);

/* 2 + len bytes of 15, 30 or 31 */
size_t mesh_agent_write_text(uint8_t *p, uint16_t cmd, const char *text,
    size_t len);

typedef struct {
    uint32_t        agent_id;           /* architecture, agent.md 2.8 */
    uint32_t        version;
    uint32_t        platform;           /* 1 to 8 */
    uint32_t        caps;
    const uint8_t  *mesh;               /* device group */
    size_t          mesh_len;           /* 48 or 32 */
    const char     *name;
    size_t          name_len;           /* at most MESH_AGENT_MAX_NAME */
} mesh_agent_about_t;

/* 72 + name_len bytes of 3 */
size_t mesh_agent_write_info(uint8_t *p, const mesh_agent_about_t *about);


#endif /* MESH_AGENT_CMD_H_INCLUDED */

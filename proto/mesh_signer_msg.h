/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Worker <-> mesh-signer: frames on a unix stream, many in flight, answered in
 * any order.
 *
 *   request   u32 id | u8 op     | u8 key | u16 len | payload
 *   reply     u32 id | u8 status | u8 0   | u16 len | payload
 *
 *   SIGN_AGENT  web hash 48, agent nonce 48, server nonce 48
 *                   ->  RSA signature over SHA-384 of these 144 bytes
 *   CERT        -   ->  certificate, DER; key hash 48
 *   PING        -   ->  -
 */

#ifndef MESH_SIGNER_MSG_H_INCLUDED
#define MESH_SIGNER_MSG_H_INCLUDED


#include "mesh.h"


#define MESH_SIGNER_SIGN_AGENT   1
#define MESH_SIGNER_CERT         2
#define MESH_SIGNER_PING         3

/* status of a reply; all but OK have no payload */
#define MESH_SIGNER_OK           0
#define MESH_SIGNER_BAD          1      /* no such op, or not its length */
#define MESH_SIGNER_NO_KEY       2      /* no such identity */
#define MESH_SIGNER_FAILED       3      /* the signer's log says why */

/* key: which identity of the server; 0 is the agent server key */
#define MESH_SIGNER_KEY_DEFAULT  0
#define MESH_SIGNER_MAX_KEYS     16

#define MESH_SIGNER_HEAD         8
#define MESH_SIGNER_SIGN_LEN     144
#define MESH_SIGNER_MAX_REQUEST  144    /* payload */
#define MESH_SIGNER_MAX_SIG      512    /* RSA 4096 */
#define MESH_SIGNER_MAX_CERT     4096
#define MESH_SIGNER_MAX_REPLY    (MESH_SIGNER_MAX_CERT + MESH_HASH_LEN)

#define MESH_SIGNER_MAX_REQUEST_FRAME                                         \
    (MESH_SIGNER_HEAD + MESH_SIGNER_MAX_REQUEST)
#define MESH_SIGNER_MAX_REPLY_FRAME                                           \
    (MESH_SIGNER_HEAD + MESH_SIGNER_MAX_REPLY)

/* what one connection may have unanswered; beyond, the signer stops reading */
#define MESH_SIGNER_MAX_INFLIGHT 1024


typedef struct {
    uint32_t        id;         /* chosen by the worker, echoed */
    uint8_t         code;       /* op of a request, status of a reply */
    uint8_t         key;        /* 0 in a reply */
    uint16_t        len;        /* payload */
    const uint8_t  *data;       /* borrowed from buf */
    size_t          size;       /* of the whole frame */
} mesh_signer_msg_t;


/*
 * Read one frame from the front of buf.  Keep nothing between calls: call again
 * with the same bytes and more of them.
 *
 *   MESH_OK     *msg is set; drop msg->size bytes from the front
 *   MESH_AGAIN  buf holds the start of a frame; *msg is untouched
 *   MESH_ERROR  length past the maximum, or a reply with a status or a zero
 *               byte that cannot be, or an error with payload; close
 *
 * A request's op and the length that belongs to it are not judged here: the
 * signer answers MESH_SIGNER_BAD.
 */
int mesh_signer_parse_request(mesh_signer_msg_t *msg, const uint8_t *buf,
    size_t len);
int mesh_signer_parse_reply(mesh_signer_msg_t *msg, const uint8_t *buf,
    size_t len);

/*
 * Write the 8 bytes of header; len bytes of payload are to follow.  Return
 * MESH_SIGNER_HEAD.
 */
size_t mesh_signer_write_request(uint8_t *p, uint32_t id, uint8_t op,
    uint8_t key, uint16_t len);
size_t mesh_signer_write_reply(uint8_t *p, uint32_t id, uint8_t status,
    uint16_t len);

/* a whole request of 152 bytes; returns its size */
size_t mesh_signer_write_sign(uint8_t *p, uint32_t id, uint8_t key,
    const uint8_t *web_hash, const uint8_t *agent_nonce,
    const uint8_t *server_nonce);

/*
 * Takes the payload of a CERT reply apart: *cert and *key_hash (48 bytes) are
 * borrowed from msg.  MESH_ERROR if it is too short to hold both.
 */
int mesh_signer_read_cert(const mesh_signer_msg_t *msg, const uint8_t **cert,
    size_t *cert_len, const uint8_t **key_hash);


#endif /* MESH_SIGNER_MSG_H_INCLUDED */

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Binary messages of the agent's control channel, what is signed in its
 * handshake, and the text forms of ids.  Nothing here computes a hash.
 */

#ifndef MESH_AGENT_MSG_H_INCLUDED
#define MESH_AGENT_MSG_H_INCLUDED


#include "mesh.h"


#define MESH_AGENT_AUTH_REQUEST     1
#define MESH_AGENT_AUTH_VERIFY      2
#define MESH_AGENT_AUTH_INFO        3   /* A>S */
#define MESH_AGENT_AUTH_CONFIRM     4   /* A>S: skip; S>A: registered */
#define MESH_AGENT_SERVER_ID        5   /* A>S */
#define MESH_AGENT_CORE             10  /* S>A */
#define MESH_AGENT_CORE_HASH        11
#define MESH_AGENT_HASH             12
#define MESH_AGENT_UPDATE           13  /* S>A */
#define MESH_AGENT_UPDATE_BLOCK     14  /* S>A; A>S: ack */
#define MESH_AGENT_TAG              15  /* A>S */
#define MESH_AGENT_CORE_OK          16  /* S>A */
#define MESH_AGENT_CORE_DEFLATED    20  /* S>A */
#define MESH_AGENT_COMMIT_DATE      30  /* A>S */
#define MESH_AGENT_HOST_INFO        31  /* A>S */

/* commands below belong to the handshake and have no request id */
#define MESH_AGENT_FIRST_REQUEST    10

/* bytes of whole messages */
#define MESH_AGENT_REQUEST_LEN      4   /* 10 clear, 11, 12, 13 start, 16 */
#define MESH_AGENT_HASHED_LEN       52  /* 10, 11, 12, 13 end, 20: header */
#define MESH_AGENT_AUTH_REQUEST_LEN 98
#define MESH_AGENT_SERVER_ID_LEN    50
#define MESH_AGENT_INFO_MIN         70

#define MESH_AGENT_MAX_AUTH         4096    /* any message before command 4 */
#define MESH_AGENT_MAX_TAG          8192    /* text of command 15 */
#define MESH_AGENT_MAX_NAME         (MESH_AGENT_MAX_AUTH - 72)
#define MESH_AGENT_MIN_BLOCK        1024    /* data of command 14 */
#define MESH_AGENT_MAX_BLOCK        65531

#define MESH_AGENT_SIGN_LEN         144     /* 3 * 48 */

/* command 3, capability flags */
#define MESH_AGENT_CAP_DESKTOP      0x001
#define MESH_AGENT_CAP_TERMINAL     0x002
#define MESH_AGENT_CAP_FILES        0x004
#define MESH_AGENT_CAP_CONSOLE      0x008
#define MESH_AGENT_CAP_JAVASCRIPT   0x010
#define MESH_AGENT_CAP_TEMPORARY    0x020
#define MESH_AGENT_CAP_RECOVERY     0x040
#define MESH_AGENT_CAP_RESERVED     0x080
#define MESH_AGENT_CAP_COMPRESSED   0x100

/* command 3, platform type */
#define MESH_AGENT_DESKTOP          1
#define MESH_AGENT_LAPTOP           2
#define MESH_AGENT_MOBILE           3
#define MESH_AGENT_SERVER           4
#define MESH_AGENT_DISK             5
#define MESH_AGENT_ROUTER           6
#define MESH_AGENT_EMBEDDED         7
#define MESH_AGENT_VIRTUAL          8


/* everything pointed at is borrowed from the bytes that were parsed */

typedef struct {
    uint16_t                cmd;
    uint16_t                id;         /* request id of 11, 12 and 14 */

    union {
        struct {                        /* 1 */
            const uint8_t  *web_hash;   /* 48 */
            const uint8_t  *nonce;      /* 48 */
        } request;

        struct {                        /* 2; both at least 1 byte */
            const uint8_t  *cert;       /* DER */
            size_t          cert_len;
            const uint8_t  *sig;        /* raw RSA, or CMS SignedData */
            size_t          sig_len;
        } verify;

        struct {                        /* 3 */
            uint32_t        version;    /* of this message: 1 */
            uint32_t        agent_id;   /* architecture, agent.md 2.8 */
            uint32_t        agent_version;
            uint32_t        platform;   /* 1..8; all else is read as 1 */
            const uint8_t  *mesh;
            size_t          mesh_len;   /* 48; 32: a legacy id */
            uint32_t        caps;
            const uint8_t  *name;       /* UTF-8 is not checked */
            size_t          name_len;   /* 0: none */
        } info;

        struct {                        /* 5, 11, 12 */
            const uint8_t  *hash;       /* 48; NULL in 11: no core */
            unsigned        zero:1;     /* 11: pinned; 12: updates disabled */
            unsigned        ones:1;     /* 12: update is forced */
            unsigned        legacy:1;   /* 5: SHA-256, 32 bytes and zeros */
        } hash;

        struct {                        /* 15, 30, 31 */
            const uint8_t  *data;       /* UTF-8 is not checked */
            size_t          len;        /* without NULs at the end */
        } text;
    } u;
} mesh_agent_msg_t;


/*
 * Reads one whole binary message from an agent (A>S).  Which of them are
 * allowed when is the caller's to know.
 *
 *   MESH_OK        *msg is set
 *   MESH_DECLINED  msg->cmd is set: a number that a server does not know
 *   MESH_ERROR     shorter than 2 bytes, or wrong in length for its command
 *
 * Source: protocol/agent.md 2 and 4.
 */
int mesh_agent_msg_parse(mesh_agent_msg_t *msg, const uint8_t *buf,
    size_t len);


/* S>A.  Each returns the bytes written; hashes and nonces are 48 bytes. */

/* 4 bytes: 10 (clear the core), 11, 12, 13 (start), 16; also 11 and 14 A>S */
size_t mesh_agent_write_request(uint8_t *p, uint16_t cmd, uint16_t id);

/* 52 bytes: 10 and 20 (the core follows), 13 (end); also 11 and 12 A>S */
size_t mesh_agent_write_hashed(uint8_t *p, uint16_t cmd, uint16_t id,
    const uint8_t *hash);

/* 4 bytes of 14; 1 to MESH_AGENT_MAX_BLOCK bytes of data follow */
size_t mesh_agent_write_block(uint8_t *p);

/* 98 bytes of 1; either direction */
size_t mesh_agent_write_auth_request(uint8_t *p, const uint8_t *web_hash,
    const uint8_t *nonce);

/*
 * 2, either direction: 4 + cert_len + sig_len bytes.  Returns 0 if that is more
 * than size or cert_len more than 65535.
 */
size_t mesh_agent_write_auth_verify(uint8_t *p, size_t size,
    const uint8_t *cert, size_t cert_len, const uint8_t *sig, size_t sig_len);

/* 2 bytes of 4 */
size_t mesh_agent_write_auth_confirm(uint8_t *p);


/*
 * Fills the 144 bytes that command 2 signs with SHA-384.  The nonces keep their
 * owners' names; who signs decides their order.
 */
typedef enum {
    MESH_AGENT_SIGN_SERVER = 0,     /* web hash, agent nonce, server nonce */
    MESH_AGENT_SIGN_AGENT           /* web hash, server nonce, agent nonce */
} mesh_agent_signer_e;

void mesh_agent_sign_input(uint8_t out[MESH_AGENT_SIGN_LEN],
    mesh_agent_signer_e who, const uint8_t *web_hash,
    const uint8_t *agent_nonce, const uint8_t *server_nonce);


/*
 * b64x: base64 with '@' for '+' and '$' for '/', never padded.  48 bytes make
 * 64 characters.  Text is not terminated.
 */
#define mesh_b64x_len(len)  (((len) * 4 + 2) / 3)

/* returns the characters written: mesh_b64x_len(len) */
size_t mesh_b64x_encode(char *dst, const uint8_t *src, size_t len);

/*
 * Returns the bytes written, or MESH_ERROR: other characters, a length that
 * cannot be, bits left over, more than size bytes.
 */
int mesh_b64x_decode(uint8_t *dst, size_t size, const char *src, size_t len);

/* writes 2 * len characters, upper or lower case, not terminated */
void mesh_hex_encode(char *dst, const uint8_t *src, size_t len, int upper);

/* either case; returns the bytes written, or MESH_ERROR as above */
int mesh_hex_decode(uint8_t *dst, size_t size, const char *src, size_t len);


#endif /* MESH_AGENT_MSG_H_INCLUDED */

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What a peer says of itself before a data channel: an SDP offer with one
 * section, of SCTP over DTLS, and the answer to it.
 *
 * Sources: protocol/session.md 6.3; RFC 8839 (ICE), 8841 (SCTP), 8122
 * (fingerprint).
 */

#ifndef MESH_SDP_H_INCLUDED
#define MESH_SDP_H_INCLUDED


#include "mesh.h"


#define MESH_SDP_MAX            65536     /* bytes of an offer */
#define MESH_SDP_ANSWER_MAX     4096      /* bytes of an answer, with NUL */
#define MESH_SDP_CANDIDATES     16        /* further ones are not looked at */
#define MESH_SDP_UFRAG          257       /* each with NUL, RFC 8839, 5.4 */
#define MESH_SDP_PWD            257
#define MESH_SDP_FOUNDATION     33
#define MESH_SDP_ADDRESS        46
#define MESH_SDP_MID            33
#define MESH_SDP_FINGERPRINT    32        /* SHA-256 */

#define MESH_SDP_MESSAGE        65536     /* what a peer takes unless it says */

typedef enum {
    MESH_SDP_HOST = 0,
    MESH_SDP_SRFLX,
    MESH_SDP_PRFLX,
    MESH_SDP_RELAY
} mesh_sdp_type_e;

typedef enum {
    MESH_SDP_ACTPASS = 0,
    MESH_SDP_ACTIVE,
    MESH_SDP_PASSIVE
} mesh_sdp_setup_e;

/* component 1, UDP, an address and no name */
typedef struct {
    char                  foundation[MESH_SDP_FOUNDATION];
    char                  address[MESH_SDP_ADDRESS];  /* IPv6: not checked */
    uint32_t              priority;
    uint16_t              port;         /* at least 1 */
    uint8_t               type;         /* mesh_sdp_type_e */
} mesh_sdp_candidate_t;

typedef struct {
    char                  ufrag[MESH_SDP_UFRAG];
    char                  pwd[MESH_SDP_PWD];
    char                  mid[MESH_SDP_MID];          /* "": none */
    uint8_t               fingerprint[MESH_SDP_FINGERPRINT];
    uint32_t              message_max;  /* bytes; 0: no bound */
    uint16_t              sctp_port;
    uint8_t               setup;        /* mesh_sdp_setup_e */
    unsigned              modern:1;     /* "UDP/DTLS/SCTP", RFC 8841 */
    unsigned              bundle:1;
    unsigned              ncandidates;
    mesh_sdp_candidate_t  candidates[MESH_SDP_CANDIDATES];
} mesh_sdp_t;


/*
 * Reads a whole offer; lines end in CR, LF or both, and unknown ones are
 * skipped.
 *
 *   MESH_OK     *sdp is set; it may have no candidates
 *   MESH_ERROR  longer than MESH_SDP_MAX, not one section of SCTP, or without
 *               a good ufrag, password or fingerprint
 */
int mesh_sdp_parse(mesh_sdp_t *sdp, const char *text, size_t len);


typedef struct {
    const char           *ufrag;
    const char           *pwd;
    const uint8_t        *fingerprint;  /* MESH_SDP_FINGERPRINT bytes */
    uint32_t              id;           /* of this session, random */
    uint32_t              message_max;
    const mesh_sdp_candidate_t  *candidates;
    unsigned              ncandidates;
} mesh_sdp_local_t;

/*
 * Writes the answer with a NUL into MESH_SDP_ANSWER_MAX bytes; candidates for
 * which there is no room are left out.  Returns its length, 0: no room.
 */
size_t mesh_sdp_answer(char *buf, const mesh_sdp_t *offer,
    const mesh_sdp_local_t *local);


#endif /* MESH_SDP_H_INCLUDED */

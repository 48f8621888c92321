/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * How a data channel is opened inside SCTP, RFC 8832, and the numbers that say
 * what a message is, RFC 8831, 8.
 */

#ifndef MESH_DCEP_H_INCLUDED
#define MESH_DCEP_H_INCLUDED


#include "mesh.h"


#define MESH_DCEP_PPID           50
#define MESH_DCEP_STRING         51
#define MESH_DCEP_BINARY         53
#define MESH_DCEP_STRING_EMPTY   56       /* one byte, which means nothing */
#define MESH_DCEP_BINARY_EMPTY   57

#define MESH_DCEP_ACK            2
#define MESH_DCEP_OPEN           3

#define MESH_DCEP_LABEL_MAX      255      /* bytes */


/* borrowed from the bytes that were parsed */
typedef struct {
    uint8_t         type;                 /* of reliability; 0x80: unordered */
    uint16_t        priority;
    uint32_t        reliability;
    const uint8_t  *label;
    size_t          label_len;
} mesh_dcep_open_t;


/*
 * Reads one whole message of MESH_DCEP_PPID.
 *
 *   MESH_OK        *open is set
 *   MESH_DECLINED  an acknowledgement, or a kind that we do not know
 *   MESH_ERROR     wrong in length, or a label that is too long
 */
int mesh_dcep_parse(mesh_dcep_open_t *open, const uint8_t *buf, size_t len);


#endif /* MESH_DCEP_H_INCLUDED */

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Session recordings: a file of blocks, each a header of 16 bytes and its
 * data.  The first holds JSON about the session, then one for each message,
 * and one that says that the file is whole.
 *
 * Source: session.md 8.1.
 */

#ifndef MESH_MCREC_H_INCLUDED
#define MESH_MCREC_H_INCLUDED


#include <stddef.h>
#include <stdint.h>

#include "mesh.h"


#define MESH_MCREC_HEAD      16

#define MESH_MCREC_META      1        /* types */
#define MESH_MCREC_DATA      2
#define MESH_MCREC_END       3
#define MESH_MCREC_INDEX     4

#define MESH_MCREC_BINARY    1        /* flags: else text */
#define MESH_MCREC_USER      2        /* else from the device */

#define MESH_MCREC_TRAILER   "MeshCentralMCREC"   /* data of END, */
#define MESH_MCREC_INDEXED   "MeshCentralMCNDX"   /* behind an INDEX */


typedef struct {
    uint16_t    type;
    uint16_t    flags;
    uint32_t    size;                 /* of the data behind the header */
    uint64_t    time;                 /* ms since 1970 UTC */
} mesh_mcrec_block_t;


/* 16 bytes; returns the byte behind */
uint8_t *mesh_mcrec_head(uint8_t *p, const mesh_mcrec_block_t *b);

/*
 * One header.  MESH_OK; MESH_AGAIN: fewer than 16 bytes; MESH_ERROR: no
 * recording goes on like this.  That size bytes follow is for the caller to
 * see: the last block of a recording that was cut may lack some.
 */
int mesh_mcrec_parse(const uint8_t *p, size_t len, mesh_mcrec_block_t *b);

/*
 * The last 32 bytes of a file: 1 if they end it, with the time of its end and
 * 0, or 0 and the place of its index, whose block has that time.
 */
int mesh_mcrec_ended(const uint8_t *p, uint64_t *time, uint64_t *index);


#endif /* MESH_MCREC_H_INCLUDED */

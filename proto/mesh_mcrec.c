/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "mesh_mcrec.h"


uint8_t *
mesh_mcrec_head(uint8_t *p, const mesh_mcrec_block_t *b)
{
    p = mesh_put16(p, b->type);
    p = mesh_put16(p, b->flags);
    p = mesh_put32(p, b->size);

    return mesh_put64(p, b->time);
}


int
mesh_mcrec_parse(const uint8_t *p, size_t len, mesh_mcrec_block_t *b)
{
    if (len < MESH_MCREC_HEAD) {
        return MESH_AGAIN;
    }

    b->type = mesh_get16(p);
    b->flags = mesh_get16(p + 2);
    b->size = mesh_get32(p + 4);
    b->time = mesh_get64(p + 8);

    /* sizes and times have a sign elsewhere; a time is 48 bits */
    if (b->type < MESH_MCREC_META || b->type > MESH_MCREC_INDEX
        || b->flags > (MESH_MCREC_BINARY|MESH_MCREC_USER)
        || b->size > INT32_MAX || b->time >> 48)
    {
        return MESH_ERROR;
    }

    return MESH_OK;
}


int
mesh_mcrec_ended(const uint8_t *p, uint64_t *time, uint64_t *index)
{
    mesh_mcrec_block_t  b;

    if (mesh_mcrec_parse(p, MESH_MCREC_HEAD, &b) != MESH_OK
        || b.type != MESH_MCREC_END || b.size != MESH_MCREC_HEAD)
    {
        return 0;
    }

    p += MESH_MCREC_HEAD;

    if (memcmp(p, MESH_MCREC_TRAILER, MESH_MCREC_HEAD) == 0) {
        *time = b.time;
        *index = 0;
        return 1;
    }

    if (memcmp(p, MESH_MCREC_INDEXED, MESH_MCREC_HEAD) == 0) {
        *time = 0;
        *index = b.time;
        return 1;
    }

    return 0;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The index of a recorded desktop: for each ten seconds from where to read on,
 * and the messages whose pictures are to be seen then.  One that grows too
 * large has every second place only, and the interval is twice as long.
 *
 * Source: session.md 8.6.
 */

#ifndef MESH_MCREC_INDEX_H_INCLUDED
#define MESH_MCREC_INDEX_H_INCLUDED


#include "mesh_kvm_cache.h"
#include "mesh_mcrec.h"


#define MESH_MCREC_INDEX_MS       10000
#define MESH_MCREC_INDEX_HEAD     2048    /* bytes of a message that count */
#define MESH_MCREC_INDEX_TILES    16384   /* on one screen, at most */
#define MESH_MCREC_INDEX_NUMBERS  262144  /* in all, at most */


typedef struct {
    mesh_kvm_tile_t         tile;       /* first: the cache has its address */
    uint64_t                at;         /* of the block, in the file */
} mesh_mcrec_tile_t;

/* 5 MB, all zero at the start; pages that are not needed stay untouched */
typedef struct {
    mesh_kvm_cache_t        cache;
    mesh_kvm_tile_t        *grid[MESH_KVM_CACHE_CELLS];
    mesh_mcrec_tile_t       tiles[MESH_MCREC_INDEX_TILES];
    size_t                  used;       /* of tiles, those that ever were */
    mesh_kvm_tile_t        *spare;      /* of these, free again */

    uint64_t                first;      /* block of a message, in the file */
    uint64_t                start;      /* ms, its time */
    uint64_t                interval;   /* ms */
    size_t                  places;
    size_t                  n;
    uint64_t                numbers[MESH_MCREC_INDEX_NUMBERS];
                                        /* of each place: how many follow;
                                           offset, width, height, tiles */
    unsigned                begun:1;
    unsigned                cut:1;      /* the last message was no packet */
    unsigned                none:1;     /* an index cannot say what was seen */
} mesh_mcrec_index_t;


/*
 * The next block of the file, which begins at at; head has the first len bytes
 * of its data, all of it or at least MESH_MCREC_INDEX_HEAD.
 */
void mesh_mcrec_index_block(mesh_mcrec_index_t *ix, uint64_t at,
    const mesh_mcrec_block_t *b, const uint8_t *head, size_t len);

/*
 * The index as JSON: as much of it as size bytes hold.  Returns the bytes that
 * all of it has, or 0: this recording gets none.
 */
size_t mesh_mcrec_index_write(const mesh_mcrec_index_t *ix, char *buf,
    size_t size);


#endif /* MESH_MCREC_INDEX_H_INCLUDED */

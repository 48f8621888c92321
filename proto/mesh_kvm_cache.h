/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The picture of a desktop for several viewers: its tiles in the order in
 * which they came, without those that newer ones have covered.  Memory is the
 * caller's: tiles and grid come from it and are given back to it.
 *
 * Source: protocol/session.md 9.
 */

#ifndef MESH_KVM_CACHE_H_INCLUDED
#define MESH_KVM_CACHE_H_INCLUDED


#include "mesh_kvm_packet.h"


#define MESH_KVM_CELL        16         /* pixels, or more: CACHE_CELLS */
#define MESH_KVM_CACHE_CELLS 262144     /* of a grid, at most */
#define MESH_KVM_CACHE_LOOSE 64         /* tiles beside the grid, at most */


typedef struct mesh_kvm_tile_s  mesh_kvm_tile_t;
typedef struct mesh_kvm_view_s  mesh_kvm_view_t;

struct mesh_kvm_tile_s {
    mesh_kvm_tile_t   *prev;            /* older */
    mesh_kvm_tile_t   *next;            /* newer; in a list of dropped ones
                                           the next one of it */
    uint8_t           *packet;          /* whole, set by the caller */
    size_t             size;            /* bytes of packet */
    uint64_t           number;          /* by age, from 1 */
    uint32_t           left, top;       /* pixels, clipped to the screen */
    uint32_t           right, bottom;   /* the first ones behind it */
    uint32_t           cells;           /* where it is the newest */
    uint32_t           refs;            /* the caller's */
    unsigned           loose:1;         /* ends within a cell */
    unsigned           shown:1;         /* in the cache */
};

/* where a viewer is */
struct mesh_kvm_view_s {
    mesh_kvm_view_t   *prev;
    mesh_kvm_view_t   *next;
    mesh_kvm_tile_t   *tile;            /* the next one for it; NULL: none */
    unsigned           screen:1;        /* before that the size is to be said */
};

/* all zero at the start */
typedef struct {
    uint16_t           width, height;   /* 0: not known yet */
    uint32_t           cell;            /* pixels of one, both ways */
    uint32_t           cols, rows;
    mesh_kvm_tile_t  **grid;            /* the newest tile of each cell */
    mesh_kvm_tile_t   *oldest, *newest;
    mesh_kvm_tile_t   *loose[MESH_KVM_CACHE_LOOSE];
    mesh_kvm_tile_t   *dropped;         /* the caller takes and frees them */
    mesh_kvm_view_t   *views;
    size_t             nloose;
    size_t             bytes;           /* of all tiles that are shown */
    uint64_t           number;          /* of the newest */
    uint64_t           work;            /* cells that were looked at */
    unsigned           holes:1;         /* tiles had to go: a part of the
                                           picture is not here */
    unsigned           missed:1;        /* and a viewer had not seen it; both
                                           are the caller's to clear */
} mesh_kvm_cache_t;


/*
 * Width and height of a JPEG, PNG or WebP by its head, each at least 1.
 *
 *   MESH_OK     they are set
 *   MESH_ERROR  none of these, or cut before its size
 */
int mesh_kvm_image_size(const uint8_t *image, size_t len, uint32_t *width,
    uint32_t *height);

/* pointers that the grid of a screen has; 0: there is no such screen */
size_t mesh_kvm_cache_cells(uint16_t width, uint16_t height);

/*
 * Another screen: no tile is left, all views begin again.  grid has the
 * pointers that cells() says, all NULL; the caller frees the former one.
 */
void mesh_kvm_cache_screen(mesh_kvm_cache_t *cache, uint16_t width,
    uint16_t height, mesh_kvm_tile_t **grid);

/*
 * Takes a tile, whose packet and size are set and all else is zero.  Those
 * that it covers are in cache->dropped afterwards.
 *
 *   MESH_OK     it is the newest
 *   MESH_ERROR  no tile, no image, or beside the screen: it stays the caller's
 */
int mesh_kvm_cache_add(mesh_kvm_cache_t *cache, mesh_kvm_tile_t *tile);

/* drops the oldest ones until bytes are at most max; sets holes and missed */
void mesh_kvm_cache_shrink(mesh_kvm_cache_t *cache, size_t max);

/* a viewer: from the start, all zero before; once more; gone */
void mesh_kvm_view_join(mesh_kvm_cache_t *cache, mesh_kvm_view_t *view);
void mesh_kvm_view_rewind(mesh_kvm_cache_t *cache, mesh_kvm_view_t *view);
void mesh_kvm_view_leave(mesh_kvm_cache_t *cache, mesh_kvm_view_t *view);

/* the next tile of view, which is then at the one behind it; or NULL */
mesh_kvm_tile_t *mesh_kvm_view_next(mesh_kvm_view_t *view);


#endif /* MESH_KVM_CACHE_H_INCLUDED */

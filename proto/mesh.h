/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What every wire format in proto/ shares: return codes with nginx's values
 * and integers in network order.  proto/ is C99, does no I/O, allocates
 * nothing, logs nothing and keeps no global state.
 */

#ifndef MESH_H_INCLUDED
#define MESH_H_INCLUDED


#include <stddef.h>
#include <stdint.h>


#define MESH_OK          0
#define MESH_ERROR      -1
#define MESH_AGAIN      -2
#define MESH_DECLINED   -5

#define MESH_HASH_LEN   48      /* SHA-384, node ids, server ids, nonces */


static inline uint16_t
mesh_get16(const uint8_t *p)
{
    return (uint16_t) ((unsigned) p[0] << 8 | p[1]);
}


static inline uint32_t
mesh_get32(const uint8_t *p)
{
    return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16
           | (uint32_t) p[2] << 8 | p[3];
}


static inline uint64_t
mesh_get64(const uint8_t *p)
{
    return (uint64_t) mesh_get32(p) << 32 | mesh_get32(p + 4);
}


/* each returns the byte behind what it wrote */

static inline uint8_t *
mesh_put16(uint8_t *p, uint16_t n)
{
    p[0] = (uint8_t) (n >> 8);
    p[1] = (uint8_t) n;

    return p + 2;
}


static inline uint8_t *
mesh_put32(uint8_t *p, uint32_t n)
{
    p[0] = (uint8_t) (n >> 24);
    p[1] = (uint8_t) (n >> 16);
    p[2] = (uint8_t) (n >> 8);
    p[3] = (uint8_t) n;

    return p + 4;
}


static inline uint8_t *
mesh_put64(uint8_t *p, uint64_t n)
{
    p = mesh_put32(p, (uint32_t) (n >> 32));

    return mesh_put32(p, (uint32_t) n);
}


#endif /* MESH_H_INCLUDED */

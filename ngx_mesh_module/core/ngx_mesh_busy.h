/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Who works on which device: the relays that run, counted as control.md writes
 * them: { "kvm": { "user/D/name": n }, ... }.
 */

#ifndef _NGX_MESH_BUSY_H_INCLUDED_
#define _NGX_MESH_BUSY_H_INCLUDED_


#include "ngx_mesh_shm.h"
#include "ngx_mesh_json.h"


typedef struct {
    u_char        node[NGX_MESH_ID_LEN];
    int64_t       account_id;
    ngx_uint_t    kind;
    ngx_uint_t    n;
} ngx_mesh_one_busy_t;

typedef struct {
    ngx_array_t   list;               /* of ngx_mesh_one_busy_t, sorted */
    const u_char *node;               /* the one that is asked for, or NULL */
} ngx_mesh_busy_t;


/* in pool; of one device, or with node NULL of all of the domain */
ngx_int_t ngx_mesh_busy_init(ngx_mesh_busy_t *busy, ngx_pool_t *pool,
    int64_t domain_id, const u_char *node);

/* the members for node into the object that is open in w */
void ngx_mesh_busy_write(ngx_mesh_busy_t *busy, ngx_mesh_jw_t *w,
    const u_char *node);

/* 1: there is a member for node */
ngx_uint_t ngx_mesh_busy_has(ngx_mesh_busy_t *busy, const u_char *node);


#endif /* _NGX_MESH_BUSY_H_INCLUDED_ */

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* A token bucket: how many messages a second a session is heard with. */

#ifndef _NGX_MESH_BUCKET_H_INCLUDED_
#define _NGX_MESH_BUCKET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    ngx_int_t     tokens;             /* thousandths of a message; below 0:
                                         what was read at once and too much */
    ngx_uint_t    rate;               /* messages a second, and at once */
    ngx_msec_t    filled;
} ngx_mesh_bucket_t;


/* full */
void ngx_mesh_bucket_init(ngx_mesh_bucket_t *b, ngx_uint_t rate);
/* for a message that has been read */
void ngx_mesh_bucket_take(ngx_mesh_bucket_t *b);
/* ms until the next one may be read; 0: now */
ngx_msec_t ngx_mesh_bucket_wait(ngx_mesh_bucket_t *b);


#endif /* _NGX_MESH_BUCKET_H_INCLUDED_ */

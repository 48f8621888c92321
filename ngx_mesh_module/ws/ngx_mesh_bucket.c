/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "ngx_mesh_bucket.h"


static void ngx_mesh_bucket_fill(ngx_mesh_bucket_t *b);


void
ngx_mesh_bucket_init(ngx_mesh_bucket_t *b, ngx_uint_t rate)
{
    b->rate = rate;
    b->tokens = rate * 1000;
    b->filled = ngx_current_msec;
}


void
ngx_mesh_bucket_take(ngx_mesh_bucket_t *b)
{
    ngx_mesh_bucket_fill(b);

    b->tokens -= 1000;
}


ngx_msec_t
ngx_mesh_bucket_wait(ngx_mesh_bucket_t *b)
{
    ngx_mesh_bucket_fill(b);

    if (b->tokens >= 1000) {
        return 0;
    }

    return (ngx_msec_t) (1000 - b->tokens) / b->rate + 1;
}


static void
ngx_mesh_bucket_fill(ngx_mesh_bucket_t *b)
{
    ngx_int_t   full;
    ngx_msec_t  passed;

    passed = ngx_current_msec - b->filled;
    b->filled = ngx_current_msec;

    /* a message is a thousand, and so is a second a thousand times the rate */

    full = b->rate * 1000;

    if (passed >= (ngx_msec_t) (full - b->tokens) / b->rate + 1) {
        b->tokens = full;
        return;
    }

    b->tokens = ngx_min(b->tokens + (ngx_int_t) (passed * b->rate), full);
}

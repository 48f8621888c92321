/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Housekeeping of the database, by one worker.
 */

#include "ngx_mesh_model_in.h"
#include <ngx_event.h>


#define NGX_MESH_KEEP_FIRST     10000 /* ms after the start */
#define NGX_MESH_KEEP_EVERY     600000
#define NGX_MESH_KEEP_HOUR      6     /* times that */
#define NGX_MESH_KEEP_IDLE      86400000      /* of a web session, ms */


static void ngx_mesh_keep(ngx_event_t *ev);
static void ngx_mesh_keep_one(ngx_uint_t stmt, int64_t a, int64_t b,
    ngx_uint_t n);


static ngx_event_t  ngx_mesh_keep_timer;
static int64_t      ngx_mesh_keep_bound[NGX_MESH_KEEP_HOUR];
static ngx_uint_t   ngx_mesh_keep_n;


void
ngx_mesh_keep_init(ngx_cycle_t *cycle)
{
    if (ngx_worker != 0) {
        return;
    }

    ngx_mesh_keep_timer.handler = ngx_mesh_keep;
    ngx_mesh_keep_timer.log = cycle->log;
    ngx_mesh_keep_timer.cancelable = 1;

    ngx_add_timer(&ngx_mesh_keep_timer, NGX_MESH_KEEP_FIRST);
}


static void
ngx_mesh_keep(ngx_event_t *ev)
{
    int64_t      now, floor;
    ngx_uint_t   i;

    ngx_add_timer(ev, ngx_mesh_db_up() ? NGX_MESH_KEEP_EVERY
                                       : NGX_MESH_KEEP_FIRST);

    if (!ngx_mesh_db_up() || ngx_mesh_model_bound < 0) {
        /* bounds of another connection say nothing */
        ngx_mesh_keep_n = 0;
        return;
    }

    now = ngx_mesh_now_ms();

    ngx_mesh_keep_one(MESH_SQL_KEEP_PARTITIONS, now, 0, 1);
    ngx_mesh_keep_one(MESH_SQL_KEEP_WEB_SESSIONS, now,
                      now - NGX_MESH_KEEP_IDLE, 2);

    /* rows that lay below the bound of an hour ago, not those of an hour ago:
       by age one would delete what the bound still hides */

    i = ngx_mesh_keep_n++ % NGX_MESH_KEEP_HOUR;
    floor = ngx_mesh_keep_bound[i];
    ngx_mesh_keep_bound[i] = ngx_mesh_model_bound;

    if (ngx_mesh_keep_n > NGX_MESH_KEEP_HOUR
        && floor <= ngx_mesh_model_bound)
    {
        ngx_mesh_keep_one(MESH_SQL_KEEP_FLOOR, floor, 0, 1);
        ngx_mesh_keep_one(MESH_SQL_KEEP_CHANGES, floor, 0, 1);
    }
}


static void
ngx_mesh_keep_one(ngx_uint_t stmt, int64_t a, int64_t b, ngx_uint_t n)
{
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_db_create(NULL, NULL);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, stmt);
    ngx_mesh_db_int(q, a);

    if (n == 2) {
        ngx_mesh_db_int(q, b);
    }

    (void) ngx_mesh_db_send(q);
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Housekeeping of the database, by one worker.
 */

#include "ngx_mesh_conf.h"
#include "ngx_mesh_model_in.h"
#include "ngx_mesh_shm.h"
#include "ngx_mesh_json.h"
#include <ngx_event.h>


#define NGX_MESH_KEEP_FIRST     10000 /* ms after the start */
#define NGX_MESH_KEEP_SOON      1000
#define NGX_MESH_KEEP_EVERY     600000
#define NGX_MESH_KEEP_HOUR      6     /* times that */
#define NGX_MESH_KEEP_IDLE      86400000      /* of a web session, ms */
#define NGX_MESH_KEEP_DEVICES   100   /* KEEP_GROUP */
#define NGX_MESH_KEEP_HELD      10000 /* ms */
#define NGX_MESH_KEEP_HELD_MAX  30000 /* ms that a transaction may be open */


static void ngx_mesh_keep(ngx_event_t *ev);
static void ngx_mesh_keep_one(ngx_uint_t stmt, int64_t a, int64_t b,
    ngx_uint_t n);
static void ngx_mesh_keep_group(ngx_event_t *ev);
static void ngx_mesh_keep_group_left(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_keep_group_gone(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_keep_held(ngx_event_t *ev);
static void ngx_mesh_keep_held_got(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_keep_held_end(ngx_str_t *row);
static void ngx_mesh_keep_held_gauge(int64_t ms);


/* columns of KEEP_HELD */
enum {
    NGX_MESH_HELD_XID = 0, NGX_MESH_HELD_PID, NGX_MESH_HELD_ROLE,
    NGX_MESH_HELD_PROGRAM, NGX_MESH_HELD_MS, NGX_MESH_HELD_OURS
};


typedef struct {
    int64_t      group_id;
    ngx_uint_t   all;                 /* nothing of it is left */
    ngx_uint_t   n;
    int64_t      device[NGX_MESH_KEEP_DEVICES];
} ngx_mesh_keep_group_t;


static ngx_event_t  ngx_mesh_keep_timer;
static ngx_event_t  ngx_mesh_keep_held_timer;
static int64_t      ngx_mesh_keep_held_xid;   /* the last one; 0: none */
static int64_t      ngx_mesh_keep_held_since;
static ngx_uint_t   ngx_mesh_keep_held_told;
static ngx_uint_t   ngx_mesh_keep_held_shown; /* in the gauge */
static ngx_event_t  ngx_mesh_keep_group_timer;
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

    ngx_mesh_keep_group_timer.handler = ngx_mesh_keep_group;
    ngx_mesh_keep_group_timer.log = cycle->log;
    ngx_mesh_keep_group_timer.cancelable = 1;

    ngx_add_timer(&ngx_mesh_keep_timer, NGX_MESH_KEEP_FIRST);

    if (ngx_mesh_core_conf()->db_type == NGX_MESH_DB_POSTGRES) {
        ngx_mesh_keep_held_timer.handler = ngx_mesh_keep_held;
        ngx_mesh_keep_held_timer.log = cycle->log;
        ngx_mesh_keep_held_timer.cancelable = 1;

        ngx_add_timer(&ngx_mesh_keep_held_timer, NGX_MESH_KEEP_HELD);
    }
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

    if (!ngx_mesh_keep_group_timer.timer_set) {
        ngx_mesh_keep_group(&ngx_mesh_keep_group_timer);
    }

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


/* a deletion of a group that was cut goes on, a hundred devices at a time */
static void
ngx_mesh_keep_group(ngx_event_t *ev)
{
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_db_create(ngx_mesh_keep_group_left, NULL);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_KEEP_GROUP);

    (void) ngx_mesh_db_send(q);
}


static void
ngx_mesh_keep_group_left(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t               json, *row;
    ngx_uint_t              i, n;
    ngx_mesh_jw_t           w;
    ngx_mesh_db_req_t      *act;
    ngx_mesh_keep_group_t  *keep;

    n = rc == NGX_OK ? ngx_mesh_db_rows(q, 0) : 0;

    if (n == 0 || n > NGX_MESH_KEEP_DEVICES) {
        return;
    }

    act = ngx_mesh_db_create(ngx_mesh_keep_group_gone, NULL);
    if (act == NULL) {
        return;
    }

    keep = ngx_pcalloc(act->pool, sizeof(ngx_mesh_keep_group_t));

    if (keep == NULL || ngx_mesh_jw_init(&w, act->pool, 24 * n + 16)
                        != NGX_OK)
    {
        ngx_destroy_pool(act->pool);
        return;
    }

    act->data = keep;

    ngx_mesh_jw_open(&w, NULL, '[');

    for (i = 0; i < n; i++) {
        row = ngx_mesh_db_row(q, 0, i);
        keep->group_id = ngx_mesh_db_num(&row[0]);

        if (row[1].data) {
            keep->device[keep->n] = ngx_mesh_db_num(&row[1]);
            ngx_mesh_jw_int(&w, NULL, keep->device[keep->n++]);
        }
    }

    ngx_mesh_jw_shut(&w, ']');

    if (ngx_mesh_jw_done(&w, &json) != NGX_OK) {
        ngx_destroy_pool(act->pool);
        return;
    }

    if (keep->n) {
        ngx_mesh_db_stmt(act, MESH_SQL_CTL_DEVICES_DELETE);
        ngx_mesh_db_int(act, keep->group_id);
        ngx_mesh_db_str(act, &json);
        ngx_mesh_db_stmt(act, MESH_SQL_CTL_CHANGES_ADD);
        ngx_mesh_db_int(act, NGX_MESH_CHANGE_DEVICE);
        ngx_mesh_db_str(act, &json);
    }

    if (keep->n < NGX_MESH_KEEP_DEVICES) {
        keep->all = 1;
        ngx_mesh_db_stmt(act, MESH_SQL_CTL_ACCESS_GROUP_END);
        ngx_mesh_db_int(act, keep->group_id);
        ngx_mesh_model_change(act, NGX_MESH_CHANGE_GROUP, keep->group_id);
    }

    (void) ngx_mesh_db_send(act);
}


static void
ngx_mesh_keep_group_gone(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_uint_t              i;
    ngx_mesh_keep_group_t  *keep;

    if (rc != NGX_OK) {
        return;
    }

    keep = q->data;

    for (i = 0; i < keep->n; i++) {
        ngx_mesh_model_changed(NGX_MESH_CHANGE_DEVICE, keep->device[i]);
    }

    if (keep->all) {
        ngx_mesh_model_changed(NGX_MESH_CHANGE_GROUP, keep->group_id);
    }

    /* of this group or another one */
    ngx_add_timer(&ngx_mesh_keep_group_timer, NGX_MESH_KEEP_SOON);
}


/*
 * One transaction that stays open hides every change that comes after it, and
 * no timeout of PostgreSQL ends each kind of it (nginx.md 5.3).  Ours is ended;
 * of another's the operator is told.
 */
static void
ngx_mesh_keep_held(ngx_event_t *ev)
{
    ngx_mesh_db_req_t  *q;

    /* the workers of the new configuration look */
    if (ngx_exiting) {
        ngx_mesh_keep_held_gauge(0);
        return;
    }

    ngx_add_timer(ev, NGX_MESH_KEEP_HELD);

    if (!ngx_mesh_db_up()) {
        return;
    }

    q = ngx_mesh_db_create(ngx_mesh_keep_held_got, NULL);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_KEEP_HELD);

    (void) ngx_mesh_db_send(q);
}


static void
ngx_mesh_keep_held_got(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    int64_t      now, xid, ms;
    ngx_str_t   *row;
    ngx_uint_t   ours, level;

    if (rc != NGX_OK) {
        return;
    }

    row = ngx_mesh_db_row(q, 0, 0);
    xid = row ? ngx_mesh_db_num(&row[NGX_MESH_HELD_XID]) : 0;
    now = ngx_mesh_now_ms();

    if (xid != ngx_mesh_keep_held_xid) {

        if (ngx_mesh_keep_held_told) {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "mesh db: the transaction that hid changes is over");
        }

        ngx_mesh_keep_held_xid = xid;
        ngx_mesh_keep_held_since = now;
        ngx_mesh_keep_held_told = 0;
    }

    /* of another role one sees no more than that it is there */

    ms = row ? ngx_max(ngx_mesh_db_num(&row[NGX_MESH_HELD_MS]),
                       now - ngx_mesh_keep_held_since)
             : 0;

    if (ms < NGX_MESH_KEEP_HELD_MAX) {
        ngx_mesh_keep_held_gauge(0);
        return;
    }

    ngx_mesh_keep_held_gauge(ms);

    ours = ngx_mesh_db_num(&row[NGX_MESH_HELD_OURS]) != 0;

    if (ours) {
        ngx_mesh_keep_held_end(row);
    }

    if (!ngx_mesh_keep_held_told) {
        ngx_mesh_keep_held_told = 1;

        level = ours ? NGX_LOG_WARN : NGX_LOG_CRIT;

        ngx_log_error(level, ngx_cycle->log, 0,
                      "mesh db: pid %V, role \"%V\", program \"%V\", has hidden "
                      "all changes for %L s by an open transaction; %s",
                      &row[NGX_MESH_HELD_PID], &row[NGX_MESH_HELD_ROLE],
                      &row[NGX_MESH_HELD_PROGRAM], ms / 1000,
                      ours ? "it is ended" : "end it");
    }
}


static void
ngx_mesh_keep_held_end(ngx_str_t *row)
{
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_db_create(NULL, NULL);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_KEEP_HELD_END);
    ngx_mesh_db_str(q, &row[NGX_MESH_HELD_XID]);
    ngx_mesh_db_int(q, ngx_mesh_db_num(&row[NGX_MESH_HELD_PID]));

    (void) ngx_mesh_db_send(q);
}


static void
ngx_mesh_keep_held_gauge(int64_t ms)
{
    ngx_uint_t  s;

    s = (ngx_uint_t) (ms / 1000);

    ngx_mesh_gauge(NGX_MESH_G_DB_HELD,
                   (ngx_int_t) s - (ngx_int_t) ngx_mesh_keep_held_shown);

    ngx_mesh_keep_held_shown = s;
}

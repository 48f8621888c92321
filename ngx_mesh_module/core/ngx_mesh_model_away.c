/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Devices that do not come back, control.md 9.8: removed after the days that
 * their group says, or, in a group of devices that live as long as they are
 * connected, after mesh_device_grace.  By one worker, a hundred at a time.
 *
 * Nobody is removed for what the server did: not before it has been up for the
 * grace, in which all can come back, and where it saw no end of a contact the
 * contact ends when that is found.
 */

#include "ngx_mesh_model_in.h"
#include "ngx_mesh_conf.h"
#include "ngx_mesh_event.h"
#include "ngx_mesh_shm.h"
#include <ngx_event.h>


#define NGX_MESH_AWAY_EVERY  60000    /* ms; or the grace, if that is less */
#define NGX_MESH_AWAY_SOON   1000     /* between two steps */
#define NGX_MESH_AWAY_STEP   100      /* KEEP_AWAY */
#define NGX_MESH_AWAY_DAYS   2000


/* columns of KEEP_AWAY */
enum {
    NGX_MESH_AWAY_DEVICE = 0, NGX_MESH_AWAY_DOMAIN, NGX_MESH_AWAY_GROUP,
    NGX_MESH_AWAY_WIRE, NGX_MESH_AWAY_NAME, NGX_MESH_AWAY_CAUSE
};

typedef struct {
    ngx_mesh_scope_t    scope;
    ngx_str_t           json;         /* the event */
} ngx_mesh_away_t;

typedef struct {
    ngx_uint_t          n;
    ngx_mesh_away_t     device[NGX_MESH_AWAY_STEP];
} ngx_mesh_away_step_t;


static void ngx_mesh_away(ngx_event_t *ev);
static ngx_uint_t ngx_mesh_away_groups(ngx_mesh_jw_t *w);
static int64_t ngx_mesh_away_before(ngx_mesh_group_t *group, int64_t now);
static void ngx_mesh_away_found(ngx_mesh_db_req_t *q, ngx_int_t rc);
static ngx_uint_t ngx_mesh_away_is(ngx_str_t *row);
static ngx_int_t ngx_mesh_away_event(ngx_pool_t *pool, ngx_mesh_away_t *away,
    ngx_str_t *row);
static void ngx_mesh_away_next(ngx_uint_t found);
static void ngx_mesh_away_gone(ngx_mesh_db_req_t *q, ngx_int_t rc);


static ngx_event_t  ngx_mesh_away_timer;
static ngx_msec_t   ngx_mesh_away_grace;
static int64_t      ngx_mesh_away_last;       /* device that was looked at */


void
ngx_mesh_away_init(ngx_cycle_t *cycle)
{
    if (ngx_worker != 0) {
        return;
    }

    ngx_mesh_away_grace = ngx_max(ngx_mesh_core_conf()->device_grace,
                                  NGX_MESH_AWAY_SOON);

    ngx_mesh_away_timer.handler = ngx_mesh_away;
    ngx_mesh_away_timer.log = cycle->log;
    ngx_mesh_away_timer.cancelable = 1;

    ngx_add_timer(&ngx_mesh_away_timer, ngx_mesh_away_grace);
}


static void
ngx_mesh_away(ngx_event_t *ev)
{
    ngx_str_t           groups;
    ngx_mesh_jw_t       w;
    ngx_mesh_db_req_t  *q;

    /* a worker of the new configuration does it */
    if (ngx_exiting) {
        return;
    }

    ngx_add_timer(ev, ngx_min(ngx_mesh_away_grace, NGX_MESH_AWAY_EVERY));

    if (!ngx_mesh_db_up() || !ngx_mesh_model_ready()) {
        return;
    }

    q = ngx_mesh_db_create(ngx_mesh_away_found, NULL);
    if (q == NULL) {
        return;
    }

    if (ngx_mesh_jw_init(&w, q->pool, 1024) != NGX_OK
        || ngx_mesh_away_groups(&w) == 0
        || ngx_mesh_jw_done(&w, &groups) != NGX_OK)
    {
        ngx_destroy_pool(q->pool);
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_KEEP_AWAY);
    ngx_mesh_db_str(q, &groups);
    ngx_mesh_db_int(q, ngx_mesh_away_last);

    (void) ngx_mesh_db_send(q);
}


/* those that let devices go, and until when one must have been there */
static ngx_uint_t
ngx_mesh_away_groups(ngx_mesh_jw_t *w)
{
    int64_t             now, before;
    ngx_uint_t          n;
    ngx_rbtree_t       *tree;
    ngx_mesh_group_t   *group;
    ngx_rbtree_node_t  *node;

    tree = &ngx_mesh_model->group.tree;
    now = ngx_mesh_now_ms();
    n = 0;

    ngx_mesh_jw_open(w, NULL, '[');

    for (node = tree->root == tree->sentinel
                ? NULL : ngx_rbtree_min(tree->root, tree->sentinel);
         node;
         node = ngx_rbtree_next(tree, node))
    {
        group = &((ngx_mesh_group_node_t *) node)->g;
        before = ngx_mesh_away_before(group, now);

        if (before) {
            ngx_mesh_jw_open(w, NULL, '[');
            ngx_mesh_jw_int(w, NULL, group->group_id);
            ngx_mesh_jw_int(w, NULL, before);
            ngx_mesh_jw_shut(w, ']');
            n++;
        }
    }

    ngx_mesh_jw_shut(w, ']');

    return n;
}


/* 0: its devices stay.  Only agents come and go by themselves */
static int64_t
ngx_mesh_away_before(ngx_mesh_group_t *group, int64_t now)
{
    int64_t           days;
    ngx_mesh_json_t  *doc;

    if (group->deleted_at || group->kind != 2) {
        return 0;
    }

    if (group->flags & NGX_MESH_GF_AUTOREMOVE) {
        return now - (int64_t) ngx_mesh_away_grace;
    }

    if (ngx_strnstr(group->doc.data, "expireDevs", group->doc.len) == NULL) {
        return 0;
    }

    doc = ngx_mesh_json_parse(group->doc.data, group->doc.len);
    if (doc == NULL) {
        return 0;
    }

    if (ngx_mesh_json_int(doc, "expireDevs", &days, 1, NGX_MESH_AWAY_DAYS)
        != NGX_OK)
    {
        days = 0;
    }

    ngx_mesh_json_free(doc);

    return days ? now - days * 86400000 : 0;
}


static void
ngx_mesh_away_found(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t              json, *row;
    ngx_uint_t             i, n;
    ngx_mesh_jw_t          w;
    ngx_mesh_away_t       *away;
    ngx_mesh_db_req_t     *act;
    ngx_mesh_away_step_t  *step;

    if (rc != NGX_OK) {
        return;
    }

    n = ngx_mesh_db_rows(q, 0);
    act = n ? ngx_mesh_db_create(ngx_mesh_away_gone, NULL) : NULL;

    if (act == NULL) {
        ngx_mesh_away_next(n);
        return;
    }

    step = ngx_pcalloc(act->pool, sizeof(ngx_mesh_away_step_t));

    if (step == NULL || ngx_mesh_jw_init(&w, act->pool, 24 * n + 16) != NGX_OK)
    {
        ngx_destroy_pool(act->pool);
        return;
    }

    act->data = step;

    ngx_mesh_jw_open(&w, NULL, '[');

    for (i = 0; i < n && i < NGX_MESH_AWAY_STEP; i++) {
        row = ngx_mesh_db_row(q, 0, i);
        away = &step->device[step->n];

        ngx_mesh_away_last = ngx_mesh_db_num(&row[NGX_MESH_AWAY_DEVICE]);

        if (ngx_mesh_away_is(row)
            && ngx_mesh_away_event(act->pool, away, row) == NGX_OK)
        {
            ngx_mesh_jw_int(&w, NULL, away->scope.device_id);
            step->n++;
        }
    }

    ngx_mesh_jw_shut(&w, ']');
    ngx_mesh_away_next(n);

    if (step->n == 0 || ngx_mesh_jw_done(&w, &json) != NGX_OK) {
        ngx_destroy_pool(act->pool);
        return;
    }

    ngx_mesh_db_stmt(act, MESH_SQL_KEEP_AWAY_EVENTS);
    ngx_mesh_db_int(act, ngx_mesh_now_ms());
    ngx_mesh_db_str(act, &json);
    ngx_mesh_db_stmt(act, MESH_SQL_KEEP_AWAY_DELETE);
    ngx_mesh_db_str(act, &json);
    ngx_mesh_db_stmt(act, MESH_SQL_CTL_CHANGES_ADD);
    ngx_mesh_db_int(act, NGX_MESH_CHANGE_GONE);
    ngx_mesh_db_str(act, &json);

    (void) ngx_mesh_db_send(act);
}


/* the next hundred soon, all from the beginning later */
static void
ngx_mesh_away_next(ngx_uint_t found)
{
    if (found < NGX_MESH_AWAY_STEP) {
        ngx_mesh_away_last = 0;
        return;
    }

    ngx_add_timer(&ngx_mesh_away_timer, NGX_MESH_AWAY_SOON);
}


static ngx_uint_t
ngx_mesh_away_is(ngx_str_t *row)
{
    int64_t               domain_id;
    u_char                raw[NGX_MESH_ID_LEN];
    ngx_mesh_db_req_t    *q;
    ngx_mesh_presence_t   p;

    domain_id = ngx_mesh_db_num(&row[NGX_MESH_AWAY_DOMAIN]);

    if (ngx_mesh_node_parse(domain_id, &row[NGX_MESH_AWAY_WIRE], raw)
        != NGX_OK
        || ngx_mesh_presence_lookup(NGX_MESH_AGENT, domain_id, raw, &p)
           == NGX_OK)
    {
        return 0;
    }

    if (ngx_mesh_db_num(&row[NGX_MESH_AWAY_CAUSE]) == 0) {
        return 1;
    }

    q = ngx_mesh_db_create(NULL, NULL);

    if (q) {
        ngx_mesh_db_stmt(q, MESH_SQL_DEVICE_SEEN);
        ngx_mesh_db_int(q, ngx_mesh_db_num(&row[NGX_MESH_AWAY_DEVICE]));
        ngx_mesh_db_int(q, ngx_mesh_now_ms());
        ngx_mesh_db_int(q, 0);
        ngx_mesh_db_int(q, 1);
        ngx_mesh_db_text(q, "");
        ngx_mesh_db_late(q, "seen",
                         ngx_mesh_db_num(&row[NGX_MESH_AWAY_DEVICE]));
    }

    return 0;
}


/* what pages are told when it is gone */
static ngx_int_t
ngx_mesh_away_event(ngx_pool_t *pool, ngx_mesh_away_t *away, ngx_str_t *row)
{
    u_char            *p;
    ngx_str_t          text;
    ngx_mesh_jw_t      w;
    ngx_mesh_group_t  *group;

    away->scope.device_id = ngx_mesh_db_num(&row[NGX_MESH_AWAY_DEVICE]);
    away->scope.domain_id = ngx_mesh_db_num(&row[NGX_MESH_AWAY_DOMAIN]);
    away->scope.group_id = ngx_mesh_db_num(&row[NGX_MESH_AWAY_GROUP]);

    group = ngx_mesh_group(away->scope.group_id);

    /* it may have been told since that its devices stay */
    if (group == NULL || ngx_mesh_away_before(group, ngx_mesh_now_ms()) == 0
        || ngx_mesh_jw_init(&w, pool, 512) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    text.len = row[NGX_MESH_AWAY_NAME].len + group->name.len + 96;
    text.data = ngx_pnalloc(pool, text.len);

    if (text.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_snprintf(text.data, text.len, "Removed device %V from device group "
                     "%V, which it had not come back to",
                     &row[NGX_MESH_AWAY_NAME], &group->name);
    text.len = p - text.data;

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_cstr(&w, "etype", "node");
    ngx_mesh_jw_cstr(&w, "action", "removenode");
    ngx_mesh_jw_str(&w, "nodeid", &row[NGX_MESH_AWAY_WIRE]);
    ngx_mesh_jw_str(&w, "meshid", &group->wire);
    ngx_mesh_jw_str(&w, "domain", &group->domain);
    ngx_mesh_jw_str(&w, "msg", &text);
    ngx_mesh_jw_int(&w, "msgid", 87);
    ngx_mesh_jw_open(&w, "msgArgs", '[');
    ngx_mesh_jw_str(&w, NULL, &row[NGX_MESH_AWAY_NAME]);
    ngx_mesh_jw_str(&w, NULL, &group->name);
    ngx_mesh_jw_shut(&w, ']');
    ngx_mesh_jw_shut(&w, '}');

    return ngx_mesh_jw_done(&w, &away->json);
}


static void
ngx_mesh_away_gone(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_uint_t             i;
    ngx_mesh_away_step_t  *step;

    if (rc != NGX_OK) {
        return;
    }

    step = q->data;

    /* told while those who were granted one alone still see it */

    for (i = 0; i < step->n; i++) {
        ngx_mesh_event_publish(&step->device[i].scope, &step->device[i].json);
        ngx_mesh_model_changed(NGX_MESH_CHANGE_GONE,
                               step->device[i].scope.device_id);
    }
}

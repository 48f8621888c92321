/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "ngx_mesh_event.h"
#include "ngx_mesh_bus.h"
#include "ngx_mesh_shm.h"
#include "../../proto/mesh.h"


/*
 * Between workers: u8 version, six ids of 8 bytes, u32 site rights, u32 flags,
 * then the JSON.  Old and new workers of a reload speak it to each other.
 */
#define NGX_MESH_EVENT_VERSION  1
#define NGX_MESH_EVENT_HEAD     (1 + 6 * 8 + 2 * 4)


static void ngx_mesh_event_receive(const ngx_mesh_addr_t *from,
    uint64_t serial, u_char *data, size_t len);
static void ngx_mesh_event_row_of(ngx_mesh_db_req_t *q,
    const ngx_mesh_event_t *e, int64_t group_id);
static void ngx_mesh_event_id(ngx_mesh_db_req_t *q, int64_t id);
static void ngx_mesh_event_text(ngx_mesh_db_req_t *q, const ngx_str_t *s);
static void ngx_mesh_event_changed(ngx_uint_t kind, int64_t id);
static void ngx_mesh_event_stored(ngx_mesh_db_req_t *q, ngx_int_t rc);


/* columns of EVENT_STORED */
enum {
    NGX_MESH_EV_DOMAIN = 0, NGX_MESH_EV_GROUP, NGX_MESH_EV_DEVICE,
    NGX_MESH_EV_ACCOUNT, NGX_MESH_EV_SUBJECT, NGX_MESH_EV_AT,
    NGX_MESH_EV_KIND, NGX_MESH_EV_ACTION, NGX_MESH_EV_MSGID,
    NGX_MESH_EV_TEXT, NGX_MESH_EV_ARGS, NGX_MESH_EV_DOC
};


static ngx_mesh_event_sink_pt  ngx_mesh_event_to;


void
ngx_mesh_event_publish(const ngx_mesh_scope_t *scope, const ngx_str_t *json)
{
    u_char  *buf, *p;
    size_t   len;

    len = NGX_MESH_EVENT_HEAD + json->len;

    if (len > NGX_MESH_BUS_MAX) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mesh event: %uz bytes are too many to send", len);
        return;
    }

    buf = ngx_alloc(len, ngx_cycle->log);
    if (buf == NULL) {
        return;
    }

    p = buf;
    *p++ = NGX_MESH_EVENT_VERSION;
    p = mesh_put64(p, (uint64_t) scope->domain_id);
    p = mesh_put64(p, (uint64_t) scope->group_id);
    p = mesh_put64(p, (uint64_t) scope->device_id);
    p = mesh_put64(p, (uint64_t) scope->account_id);
    p = mesh_put64(p, (uint64_t) scope->subject_id);
    p = mesh_put64(p, (uint64_t) scope->group2_id);
    p = mesh_put32(p, scope->site_rights);
    p = mesh_put32(p, scope->flags);
    ngx_memcpy(p, json->data, json->len);

    /* this worker too, by the same road */

    ngx_mesh_bus_broadcast(NGX_MESH_BUS_EVENT, buf, len, 1);

    ngx_free(buf);
}


static void
ngx_mesh_event_receive(const ngx_mesh_addr_t *from, uint64_t serial,
    u_char *data, size_t len)
{
    ngx_mesh_scope_t  scope;

    if (len < NGX_MESH_EVENT_HEAD || data[0] != NGX_MESH_EVENT_VERSION) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mesh event: a record of %uz bytes is none", len);
        return;
    }

    scope.domain_id = (int64_t) mesh_get64(data + 1);
    scope.group_id = (int64_t) mesh_get64(data + 9);
    scope.device_id = (int64_t) mesh_get64(data + 17);
    scope.account_id = (int64_t) mesh_get64(data + 25);
    scope.subject_id = (int64_t) mesh_get64(data + 33);
    scope.group2_id = (int64_t) mesh_get64(data + 41);
    scope.site_rights = mesh_get32(data + 49);
    scope.flags = mesh_get32(data + 53);

    if (ngx_mesh_event_to) {
        ngx_mesh_event_to(&scope, data + NGX_MESH_EVENT_HEAD,
                          len - NGX_MESH_EVENT_HEAD);
    }
}


void
ngx_mesh_event_row(ngx_mesh_db_req_t *q, const ngx_mesh_event_t *e)
{
    ngx_mesh_event_row_of(q, e, e->scope.group_id);

    /* a move: readers of either group find it under their own */

    if (e->scope.group2_id && e->scope.group2_id != e->scope.group_id) {
        ngx_mesh_event_row_of(q, e, e->scope.group2_id);
    }
}


static void
ngx_mesh_event_row_of(ngx_mesh_db_req_t *q, const ngx_mesh_event_t *e,
    int64_t group_id)
{
    ngx_mesh_db_stmt(q, MESH_SQL_EVENT_ADD);
    ngx_mesh_db_int(q, e->scope.domain_id);
    ngx_mesh_db_int(q, ngx_mesh_now_ms());
    ngx_mesh_db_text(q, e->kind);
    ngx_mesh_db_text(q, e->action);
    ngx_mesh_event_id(q, (int64_t) e->msgid);
    ngx_mesh_db_str(q, &e->text);
    ngx_mesh_event_text(q, &e->args);
    ngx_mesh_event_id(q, e->scope.account_id);
    ngx_mesh_event_text(q, &e->address);
    ngx_mesh_event_id(q, e->scope.subject_id);
    ngx_mesh_event_id(q, e->scope.device_id);
    ngx_mesh_event_id(q, group_id);
    ngx_mesh_event_text(q, &e->session);
    ngx_mesh_event_text(q, &e->doc);
}


static void
ngx_mesh_event_id(ngx_mesh_db_req_t *q, int64_t id)
{
    if (id) {
        ngx_mesh_db_int(q, id);

    } else {
        ngx_mesh_db_null(q);
    }
}


static void
ngx_mesh_event_text(ngx_mesh_db_req_t *q, const ngx_str_t *s)
{
    if (s->len) {
        ngx_mesh_db_str(q, s);

    } else {
        ngx_mesh_db_null(q);
    }
}


void
ngx_mesh_event_log(const ngx_mesh_event_t *e)
{
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_db_create(NULL, NULL);

    if (q) {
        ngx_mesh_event_row(q, e);
        (void) ngx_mesh_db_send(q);
    }
}


/* mesh-admin has no bus: each worker tells its own browsers */
static void
ngx_mesh_event_changed(ngx_uint_t kind, int64_t id)
{
    ngx_mesh_db_req_t  *q;

    if (kind != NGX_MESH_CHANGE_EVENT || ngx_mesh_event_to == NULL
        || ngx_mesh_slot->gauge[NGX_MESH_G_BROWSERS] == 0)
    {
        return;
    }

    q = ngx_mesh_db_create(ngx_mesh_event_stored, NULL);

    if (q) {
        ngx_mesh_db_stmt(q, MESH_SQL_EVENT_STORED);
        ngx_mesh_db_int(q, id);
        (void) ngx_mesh_db_send(q);
    }
}


static void
ngx_mesh_event_stored(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    u_char            *p, time[24];
    ngx_tm_t           tm;
    int64_t            at;
    ngx_str_t         *row, *domain, head, json, t;
    ngx_mesh_jw_t      w;
    ngx_mesh_scope_t   scope;

    row = rc == NGX_OK ? ngx_mesh_db_row(q, 0, 0) : NULL;
    domain = row ? ngx_mesh_domain_name(
                       ngx_mesh_db_num(&row[NGX_MESH_EV_DOMAIN]))
                 : NULL;

    if (domain == NULL || ngx_mesh_jw_init(&w, q->pool, 512) != NGX_OK) {
        return;
    }

    ngx_memzero(&scope, sizeof(ngx_mesh_scope_t));
    scope.domain_id = ngx_mesh_db_num(&row[NGX_MESH_EV_DOMAIN]);
    scope.group_id = ngx_mesh_db_num(&row[NGX_MESH_EV_GROUP]);
    scope.device_id = ngx_mesh_db_num(&row[NGX_MESH_EV_DEVICE]);
    scope.account_id = ngx_mesh_db_num(&row[NGX_MESH_EV_ACCOUNT]);
    scope.subject_id = ngx_mesh_db_num(&row[NGX_MESH_EV_SUBJECT]);

    at = ngx_mesh_db_num(&row[NGX_MESH_EV_AT]);
    ngx_gmtime((time_t) (at / 1000), &tm);
    t.data = time;
    t.len = ngx_sprintf(time, "%4d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                        tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                        tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec,
                        (int) (at % 1000))
            - time;

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_str(&w, "etype", &row[NGX_MESH_EV_KIND]);
    ngx_mesh_jw_str(&w, "action", &row[NGX_MESH_EV_ACTION]);
    ngx_mesh_jw_str(&w, "domain", domain);
    ngx_mesh_jw_str(&w, "msg", &row[NGX_MESH_EV_TEXT]);

    if (row[NGX_MESH_EV_MSGID].len) {
        ngx_mesh_jw_raw(&w, "msgid", &row[NGX_MESH_EV_MSGID]);
    }

    if (row[NGX_MESH_EV_ARGS].len) {
        ngx_mesh_jw_raw(&w, "msgArgs", &row[NGX_MESH_EV_ARGS]);
    }

    ngx_mesh_jw_str(&w, "time", &t);
    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &head) != NGX_OK) {
        return;
    }

    json = head;

    if (row[NGX_MESH_EV_DOC].len > 2) {

        /* the members of the stored part behind the others */

        json.len = head.len + row[NGX_MESH_EV_DOC].len - 1;
        json.data = ngx_pnalloc(q->pool, json.len);
        if (json.data == NULL) {
            return;
        }

        p = ngx_cpymem(json.data, head.data, head.len - 1);
        *p++ = ',';
        ngx_memcpy(p, row[NGX_MESH_EV_DOC].data + 1,
                   row[NGX_MESH_EV_DOC].len - 1);
    }

    ngx_mesh_event_to(&scope, json.data, json.len);
}


void
ngx_mesh_event_sink(ngx_mesh_event_sink_pt sink)
{
    ngx_mesh_event_to = sink;
}


ngx_int_t
ngx_mesh_event_init(ngx_cycle_t *cycle)
{
    ngx_mesh_bus_handler(NGX_MESH_BUS_EVENT, ngx_mesh_event_receive);
    ngx_mesh_model_on_change(ngx_mesh_event_changed);

    return NGX_OK;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "ngx_mesh_event.h"
#include "ngx_mesh_bus.h"
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


void
ngx_mesh_event_sink(ngx_mesh_event_sink_pt sink)
{
    ngx_mesh_event_to = sink;
}


ngx_int_t
ngx_mesh_event_init(ngx_cycle_t *cycle)
{
    ngx_mesh_bus_handler(NGX_MESH_BUS_EVENT, ngx_mesh_event_receive);

    return NGX_OK;
}

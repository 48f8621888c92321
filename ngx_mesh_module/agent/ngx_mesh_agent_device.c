/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* From a proved key to the device's row: found, or made in its group. */

#include "ngx_mesh_agent.h"


/* columns of DEVICE_CONNECT */
enum {
    NGX_MESH_DEV_ID = 0, NGX_MESH_DEV_GROUP, NGX_MESH_DEV_KIND,
    NGX_MESH_DEV_ICON, NGX_MESH_DEV_NAME, NGX_MESH_DEV_REPORTED,
    NGX_MESH_DEV_DESC, NGX_MESH_DEV_SYSTEM, NGX_MESH_DEV_AGENT,
    NGX_MESH_DEV_CAPS, NGX_MESH_DEV_VERSION, NGX_MESH_DEV_HOST,
    NGX_MESH_DEV_CONSENT, NGX_MESH_DEV_FIRST, NGX_MESH_DEV_APPROVED,
    NGX_MESH_DEV_REVISION, NGX_MESH_DEV_HARDWARE
};


/* of a new name, until it is stored */
typedef struct {
    ngx_mesh_scope_t  scope;
    ngx_str_t         json;           /* the event */
} ngx_mesh_agent_naming_t;


static void ngx_mesh_agent_found(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_agent_row(ngx_mesh_known_t *known, ngx_str_t *row);
static void ngx_mesh_agent_known(ngx_mesh_agent_t *a,
    ngx_mesh_known_t *known);
static void ngx_mesh_agent_create(ngx_mesh_agent_t *a);
static void ngx_mesh_agent_group(ngx_mesh_agent_t *a);
static void ngx_mesh_agent_grouped(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_agent_created(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_agent_reread_done(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_agent_reported(ngx_mesh_agent_t *a,
    ngx_mesh_known_t *known);
static void ngx_mesh_agent_name_stored(ngx_mesh_db_req_t *q, ngx_int_t rc);
static ngx_mesh_db_req_t *ngx_mesh_agent_select(ngx_mesh_agent_t *a,
    ngx_mesh_db_done_pt done);
static void ngx_mesh_agent_added(ngx_mesh_agent_t *a, ngx_str_t *name);


/* also from the tick, until database and model are there */
void
ngx_mesh_agent_device(ngx_mesh_agent_t *a)
{
    ngx_mesh_known_t  known;

    if (a->domain_id == 0) {
        a->domain_id = ngx_mesh_domain_id(&a->s->srv->domain);
    }

    if (!ngx_mesh_model_ready() || a->domain_id == 0) {
        return;
    }

    if (ngx_mesh_db_up()
        && ngx_mesh_known_lookup(a->domain_id, a->id, &known) == NGX_OK)
    {
        ngx_mesh_count(NGX_MESH_C_KNOWN);
        ngx_mesh_agent_known(a, &known);
        return;
    }

    a->mark = ngx_mesh_known_mark();
    a->db = ngx_mesh_agent_select(a, ngx_mesh_agent_found);
}


static ngx_mesh_db_req_t *
ngx_mesh_agent_select(ngx_mesh_agent_t *a, ngx_mesh_db_done_pt done)
{
    u_char              node[8 + 64 + NGX_MESH_ID_TEXT], *p;
    ngx_str_t           wire;
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_db_create(done, a);
    if (q == NULL) {
        return NULL;
    }

    p = ngx_snprintf(node, sizeof(node), "node/%V/", &a->s->srv->domain);
    wire.data = node;
    wire.len = ngx_mesh_id_write(p, a->id) - node;

    ngx_mesh_db_stmt(q, MESH_SQL_DEVICE_CONNECT);
    ngx_mesh_db_int(q, a->domain_id);
    ngx_mesh_db_str(q, &wire);

    /* a full queue: the tick asks again */
    return ngx_mesh_db_send(q) == NGX_OK ? q : NULL;
}


static void
ngx_mesh_agent_found(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_uint_t           corked;
    ngx_mesh_agent_t    *a;
    ngx_mesh_known_t     known;
    ngx_mesh_session_t  *s;

    a = q->data;
    a->db = NULL;

    if (rc != NGX_OK) {
        return;     /* the tick asks again */
    }

    s = a->s;
    corked = ngx_mesh_ws_cork(s);

    if (ngx_mesh_db_rows(q, 0)) {
        ngx_mesh_agent_row(&known, ngx_mesh_db_row(q, 0, 0));
        ngx_mesh_known_insert(a->domain_id, a->id, &known, a->mark);
        ngx_mesh_agent_known(a, &known);

    } else {
        ngx_mesh_agent_create(a);
    }

    (void) ngx_mesh_ws_uncork(s, corked);
}


static void
ngx_mesh_agent_row(ngx_mesh_known_t *known, ngx_str_t *row)
{
    ngx_str_t  *hash;

    known->device_id = ngx_mesh_db_num(&row[NGX_MESH_DEV_ID]);
    known->group_id = ngx_mesh_db_num(&row[NGX_MESH_DEV_GROUP]);
    known->agent_id = (uint32_t) ngx_mesh_db_num(&row[NGX_MESH_DEV_AGENT]);
    known->version = (uint32_t) ngx_mesh_db_num(&row[NGX_MESH_DEV_VERSION]);
    known->caps = (uint32_t) ngx_mesh_db_num(&row[NGX_MESH_DEV_CAPS]);
    known->consent = (uint32_t) ngx_mesh_db_num(&row[NGX_MESH_DEV_CONSENT]);
    known->reported = ngx_crc32_long(row[NGX_MESH_DEV_REPORTED].data,
                                     row[NGX_MESH_DEV_REPORTED].len);
    known->hardware_len = 0;

    hash = &row[NGX_MESH_DEV_HARDWARE];

    if (hash->len <= NGX_MESH_KNOWN_HASH) {
        known->hardware_len = (uint32_t) hash->len;
        ngx_memcpy(known->hardware, hash->data, hash->len);
    }
}


/* the group in the database wins over the one that the agent names */
static void
ngx_mesh_agent_known(ngx_mesh_agent_t *a, ngx_mesh_known_t *known)
{
    ngx_mesh_group_t      *group;
    ngx_mesh_db_req_t     *q;
    ngx_mesh_handshake_t  *hs;

    hs = a->hs;
    a->device_id = known->device_id;
    a->group_id = known->group_id;
    a->consent = known->consent & 0xff;
    a->agent_id = hs->agent_id;
    a->version = hs->version;
    a->stock = hs->version == 0;
    a->caps = hs->caps
              | (known->caps & (MESH_AGENT_CAP_DESKTOP|MESH_AGENT_CAP_TERMINAL
                                |MESH_AGENT_CAP_FILES));

    group = ngx_mesh_group(a->group_id);

    if (group == NULL || group->deleted_at || group->kind != 2
        || group->domain_id != a->domain_id)
    {
        ngx_mesh_agent_hold(a, NGX_MESH_REFUSED_GROUP);
        return;
    }

    ngx_mesh_agent_reported(a, known);

    if (known->agent_id != hs->agent_id || known->version != hs->version
        || known->caps != a->caps)
    {
        q = ngx_mesh_db_create(NULL, NULL);

        if (q) {
            ngx_mesh_db_stmt(q, MESH_SQL_DEVICE_AGENT);
            ngx_mesh_db_int(q, a->device_id);
            ngx_mesh_db_int(q, hs->agent_id);
            ngx_mesh_db_int(q, a->caps);
            ngx_mesh_db_int(q, hs->version);
            ngx_mesh_db_late(q, "agent", a->device_id);
        }

        ngx_mesh_agent_said(a);
    }

    ngx_mesh_agent_push_know(a, known->hardware, known->hardware_len);
    ngx_mesh_agent_admit(a);
}


void
ngx_mesh_agent_said(ngx_mesh_agent_t *a)
{
    ngx_mesh_known_t  known;

    known.agent_id = a->agent_id;
    known.version = a->version;
    known.caps = a->caps;
    known.reported = a->reported;

    ngx_mesh_known_update(a->domain_id, a->id, &known, NULL);
}


/* what its system is called now */
static void
ngx_mesh_agent_reported(ngx_mesh_agent_t *a, ngx_mesh_known_t *known)
{
    ngx_str_t           name;
    ngx_mesh_db_req_t  *q;

    name.data = a->hs->name;
    name.len = a->hs->name_len;

    ngx_mesh_text_clean(&name);

    a->reported = ngx_crc32_long(name.data, name.len);

    if (a->reported != known->reported) {
        q = ngx_mesh_db_create(NULL, NULL);

        if (q) {
            ngx_mesh_db_stmt(q, MESH_SQL_DEVICE_REPORTED);
            ngx_mesh_db_int(q, a->device_id);
            ngx_mesh_db_str(q, &name);
            ngx_mesh_db_late(q, "reported", a->device_id);
        }

        ngx_mesh_agent_said(a);
        (void) ngx_mesh_agent_name(a, &name);
    }
}


ngx_int_t
ngx_mesh_agent_name(ngx_mesh_agent_t *a, const ngx_str_t *name)
{
    u_char                    text[NGX_MESH_AGENT_NAME];
    u_char                    fold[NGX_MESH_AGENT_NAME * 4];
    ngx_str_t                 clean, folded, id;
    ngx_mesh_jw_t             w, args;
    ngx_mesh_event_t          e;
    ngx_mesh_group_t         *group;
    ngx_mesh_db_req_t        *q;
    ngx_mesh_agent_naming_t  *naming;

    group = ngx_mesh_group(a->group_id);

    if (group == NULL || !(group->flags & NGX_MESH_GF_SYNCNAME)
        || name->len == 0 || name->len > NGX_MESH_AGENT_NAME)
    {
        return NGX_DECLINED;
    }

    id.data = a->id;
    id.len = NGX_MESH_ID_LEN;

    if (ngx_mesh_rate(NGX_MESH_RATE_NAME, &id, 1, 60) > 4) {
        ngx_mesh_count(NGX_MESH_C_DROPPED);
        return NGX_DECLINED;
    }

    ngx_memcpy(text, name->data, name->len);
    clean.data = text;
    clean.len = name->len;
    ngx_mesh_text_clean(&clean);

    folded.data = fold;
    folded.len = ngx_mesh_fold(fold, sizeof(fold), clean.data, clean.len);

    q = ngx_mesh_db_create(ngx_mesh_agent_name_stored, NULL);
    if (q == NULL) {
        return NGX_DECLINED;
    }

    naming = ngx_pcalloc(q->pool, sizeof(ngx_mesh_agent_naming_t));

    ngx_memzero(&e, sizeof(ngx_mesh_event_t));

    if (naming == NULL || ngx_mesh_jw_init(&w, q->pool, 1024) != NGX_OK
        || ngx_mesh_jw_init(&args, q->pool, 512) != NGX_OK)
    {
        goto failed;
    }

    q->data = naming;

    ngx_mesh_agent_scope(a, &e.scope);
    naming->scope = e.scope;

    e.text.data = ngx_pnalloc(q->pool, clean.len + group->name.len + 96);

    if (e.text.data == NULL) {
        goto failed;
    }

    e.text.len = ngx_sprintf(e.text.data, "Changed device %V from group %V: "
                             "name, to the one that it gives itself", &clean,
                             &group->name)
                 - e.text.data;

    ngx_mesh_jw_open(&args, NULL, '[');
    ngx_mesh_jw_str(&args, NULL, &clean);
    ngx_mesh_jw_str(&args, NULL, &group->name);
    ngx_mesh_jw_cstr(&args, NULL, "name, to the one that it gives itself");
    ngx_mesh_jw_shut(&args, ']');

    if (ngx_mesh_jw_done(&args, &e.args) != NGX_OK) {
        goto failed;
    }

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_cstr(&w, "etype", "node");
    ngx_mesh_jw_cstr(&w, "action", "changenode");
    ngx_mesh_agent_node(a, &w);
    ngx_mesh_jw_str(&w, "msg", &e.text);
    ngx_mesh_jw_int(&w, "msgid", 140);
    ngx_mesh_jw_raw(&w, "msgArgs", &e.args);
    ngx_mesh_jw_open(&w, "node", '{');
    ngx_mesh_jw_str(&w, "meshid", &group->wire);
    ngx_mesh_jw_str(&w, "name", &clean);
    ngx_mesh_jw_shut(&w, '}');
    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &naming->json) != NGX_OK) {
        goto failed;
    }

    /* it has that name: nothing of the act is done */

    ngx_mesh_db_stmt(q, MESH_SQL_DEVICE_NAME);
    ngx_mesh_db_int(q, a->device_id);
    ngx_mesh_db_str(q, &clean);
    ngx_mesh_db_str(q, folded.len ? &folded : &clean);

    e.kind = "node";
    e.action = "changenode";
    e.msgid = 140;
    e.address = a->s->address;
    ngx_mesh_event_row(q, &e);
    ngx_mesh_model_change(q, NGX_MESH_CHANGE_DEVICE, a->device_id);

    return ngx_mesh_db_send(q);

failed:

    ngx_destroy_pool(q->pool);

    return NGX_DECLINED;
}


static void
ngx_mesh_agent_name_stored(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_mesh_agent_naming_t  *naming;

    if (rc != NGX_OK) {
        return;
    }

    naming = q->data;

    ngx_mesh_model_changed(NGX_MESH_CHANGE_DEVICE, naming->scope.device_id);
    ngx_mesh_event_publish(&naming->scope, &naming->json);
}


static void
ngx_mesh_agent_create(ngx_mesh_agent_t *a)
{
    u_char                 node[8 + 64 + NGX_MESH_ID_TEXT], *p;
    u_char                 fold[NGX_MESH_AGENT_NAME * 4];
    int64_t                key;
    ngx_str_t              wire, name, reported, folded, address;
    ngx_mesh_event_t       e;
    ngx_mesh_group_t      *group;
    ngx_mesh_db_req_t     *q;
    ngx_mesh_handshake_t  *hs;

    hs = a->hs;
    group = ngx_mesh_group_raw(a->domain_id, hs->mesh);

    if (group == NULL) {
        ngx_mesh_agent_group(a);
        return;
    }

    if (group->deleted_at || group->kind != 2) {
        ngx_mesh_agent_hold(a, NGX_MESH_REFUSED_GROUP);
        return;
    }

    key = ngx_mesh_db_key();

    if (key == 0) {
        return;     /* the tick asks again */
    }

    a->device_id = key;
    a->group_id = group->group_id;
    a->agent_id = hs->agent_id;
    a->version = hs->version;
    a->stock = hs->version == 0;
    a->caps = hs->caps;

    reported.data = hs->name;
    reported.len = hs->name_len;
    name = reported;

    if (hs->agent_name_len) {
        name.data = hs->agent_name;
        name.len = hs->agent_name_len;
    }

    if (name.len == 0) {
        ngx_str_set(&name, "unnamed");
    }

    /* names are what a device says: not UTF-8, not short, not nice */
    ngx_mesh_text_clean(&name);
    ngx_mesh_text_clean(&reported);
    a->reported = ngx_crc32_long(reported.data, reported.len);

    folded.data = fold;
    folded.len = ngx_mesh_fold(fold, sizeof(fold), name.data, name.len);

    p = ngx_snprintf(node, sizeof(node), "node/%V/", &a->s->srv->domain);
    wire.data = node;
    wire.len = ngx_mesh_id_write(p, a->id) - node;
    ngx_str_set(&address, "");

    q = ngx_mesh_db_create(ngx_mesh_agent_created, a);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_DEVICE_ADD);
    ngx_mesh_db_int(q, key);
    ngx_mesh_db_int(q, a->domain_id);
    ngx_mesh_db_str(q, &wire);
    ngx_mesh_db_int(q, a->group_id);
    ngx_mesh_db_int(q, 2);
    ngx_mesh_db_int(q, hs->platform);
    ngx_mesh_db_str(q, &name);
    ngx_mesh_db_str(q, folded.len ? &folded : &name);
    ngx_mesh_db_str(q, &reported);
    ngx_mesh_db_int(q, hs->agent_id);
    ngx_mesh_db_int(q, hs->caps);
    ngx_mesh_db_int(q, hs->version);
    ngx_mesh_db_str(q, &address);
    ngx_mesh_db_int(q, ngx_mesh_now_ms());
    ngx_mesh_db_int(q, ngx_mesh_now_ms());

    ngx_memzero(&e, sizeof(ngx_mesh_event_t));
    ngx_mesh_agent_scope(a, &e.scope);
    e.kind = "node";
    e.action = "addnode";
    e.msgid = 57;
    e.address = a->s->address;
    ngx_str_set(&e.text, "The device joined the group by its agent");
    ngx_mesh_event_row(q, &e);
    ngx_mesh_model_change(q, NGX_MESH_CHANGE_DEVICE, key);

    if (ngx_mesh_db_send(q) == NGX_OK) {
        a->db = q;
    }
}


/* mesh-admin can tell no worker of a group: the first to need it tells all */
static void
ngx_mesh_agent_group(ngx_mesh_agent_t *a)
{
    u_char              group[8 + 64 + NGX_MESH_ID_TEXT], *p;
    ngx_str_t           wire;
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_db_create(ngx_mesh_agent_grouped, a);
    if (q == NULL) {
        return;
    }

    p = ngx_snprintf(group, sizeof(group), "mesh/%V/", &a->s->srv->domain);
    wire.data = group;
    wire.len = ngx_mesh_id_write(p, a->hs->mesh) - group;

    ngx_mesh_db_stmt(q, MESH_SQL_AGENT_GROUP);
    ngx_mesh_db_int(q, a->domain_id);
    ngx_mesh_db_str(q, &wire);

    if (ngx_mesh_db_send(q) == NGX_OK) {
        a->db = q;
    }
}


static void
ngx_mesh_agent_grouped(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t         *row;
    ngx_mesh_agent_t  *a;

    a = q->data;
    a->db = NULL;

    if (rc != NGX_OK) {
        return;     /* the tick asks again */
    }

    row = ngx_mesh_db_row(q, 0, 0);

    if (row == NULL) {
        ngx_mesh_agent_hold(a, NGX_MESH_REFUSED_GROUP);
        return;
    }

    /* the tick looks again, when it is read */
    ngx_mesh_model_changed(NGX_MESH_CHANGE_GROUP, ngx_mesh_db_num(&row[0]));
}


static void
ngx_mesh_agent_created(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t          name;
    ngx_mesh_agent_t  *a;

    a = q->data;
    a->db = NULL;

    /* another connection of it was faster: the tick reads the row */
    if (rc != NGX_OK) {
        a->device_id = 0;
        return;
    }

    ngx_mesh_model_changed(NGX_MESH_CHANGE_DEVICE, a->device_id);

    name = q->st[0].arg[6];
    ngx_mesh_agent_added(a, &name);
    ngx_mesh_agent_admit(a);
}


/* browsers light up a new row */
static void
ngx_mesh_agent_added(ngx_mesh_agent_t *a, ngx_str_t *name)
{
    u_char             node[8 + 64 + NGX_MESH_ID_TEXT], *p;
    ngx_str_t          text, wire;
    ngx_pool_t        *pool;
    ngx_mesh_jw_t      w;
    ngx_mesh_group_t  *group;
    ngx_mesh_scope_t   scope;

    group = ngx_mesh_group(a->group_id);
    pool = ngx_create_pool(2048, a->s->c->log);

    if (group == NULL || pool == NULL) {
        return;
    }

    p = ngx_snprintf(node, sizeof(node), "node/%V/", &group->domain);
    wire.data = node;
    wire.len = ngx_mesh_id_write(p, a->id) - node;

    if (ngx_mesh_jw_init(&w, pool, 1024) == NGX_OK) {
        ngx_mesh_jw_open(&w, NULL, '{');
        ngx_mesh_jw_cstr(&w, "etype", "node");
        ngx_mesh_jw_cstr(&w, "action", "addnode");
        ngx_mesh_jw_str(&w, "domain", &group->domain);
        ngx_mesh_jw_str(&w, "meshid", &group->wire);
        ngx_mesh_jw_int(&w, "msgid", 57);
        ngx_mesh_jw_open(&w, "node", '{');
        ngx_mesh_jw_cstr(&w, "type", "node");
        ngx_mesh_jw_str(&w, "_id", &wire);
        ngx_mesh_jw_str(&w, "meshid", &group->wire);
        ngx_mesh_jw_str(&w, "domain", &group->domain);
        ngx_mesh_jw_str(&w, "name", name);
        ngx_mesh_jw_int(&w, "mtype", 2);
        ngx_mesh_jw_int(&w, "icon", a->hs->platform);
        ngx_mesh_jw_null(&w, "host");
        ngx_mesh_jw_open(&w, "agent", '{');
        ngx_mesh_jw_int(&w, "ver", a->hs->version);
        ngx_mesh_jw_int(&w, "id", a->agent_id);
        ngx_mesh_jw_int(&w, "caps", a->caps);
        ngx_mesh_jw_shut(&w, '}');
        ngx_mesh_jw_shut(&w, '}');
        ngx_mesh_jw_shut(&w, '}');

        if (ngx_mesh_jw_done(&w, &text) == NGX_OK) {
            ngx_mesh_agent_scope(a, &scope);
            ngx_mesh_event_publish(&scope, &text);
        }
    }

    ngx_destroy_pool(pool);
}


/* somebody changed the row: another group, another name, or it is gone */
void
ngx_mesh_agent_reread(ngx_mesh_agent_t *a)
{
    a->stale = 1;
    ngx_mesh_agent_idle(a);
}


void
ngx_mesh_agent_idle(ngx_mesh_agent_t *a)
{
    if (!a->stale || a->db || a->state != NGX_MESH_AGENT_ONLINE) {
        return;
    }

    a->db = ngx_mesh_agent_select(a, ngx_mesh_agent_reread_done);
    a->stale = a->db == NULL;
}


static void
ngx_mesh_agent_reread_done(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t         *row;
    ngx_mesh_agent_t  *a;

    a = q->data;
    a->db = NULL;

    if (rc != NGX_OK || a->state != NGX_MESH_AGENT_ONLINE) {
        return;
    }

    /* it comes back at once, as a new device of the group that it names */
    if (ngx_mesh_db_rows(q, 0) == 0) {
        ngx_mesh_ws_close(a->s, MESH_WS_CODE_AWAY);
        return;
    }

    row = ngx_mesh_db_row(q, 0, 0);
    a->group_id = ngx_mesh_db_num(&row[NGX_MESH_DEV_GROUP]);
    a->consent = ngx_mesh_db_num(&row[NGX_MESH_DEV_CONSENT]) & 0xff;

    (void) ngx_mesh_presence_move(NGX_MESH_AGENT, a->domain_id, a->id,
                                  a->group_id, a->consent);
    ngx_mesh_agent_idle(a);
}

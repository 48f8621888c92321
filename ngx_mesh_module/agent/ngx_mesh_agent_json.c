/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What a device's core says, agent.md 5.1.  It speaks about itself alone: node,
 * group and domain come from its session, a reply goes to whom has asked, and
 * every text is data.
 */

#include "ngx_mesh_agent.h"


#define NGX_MESH_AGENT_TEXT   1024    /* bytes of one text */
#define NGX_MESH_AGENT_USERS  256
#define NGX_MESH_AGENT_DOC    65536   /* bytes of a stored part */
#define NGX_MESH_AGENT_DEEP   8


typedef void (*ngx_mesh_agent_json_pt)(ngx_mesh_agent_t *a,
    ngx_mesh_json_t *j, ngx_pool_t *pool);

typedef struct {
    const char              *action;
    ngx_mesh_agent_json_pt   handler;
} ngx_mesh_agent_json_row_t;

/* types of "msg" that a reply may have */
typedef struct {
    const char              *type;
} ngx_mesh_agent_msg_row_t;


static void ngx_mesh_agent_coreinfo(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool);
static void ngx_mesh_agent_netinfo(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool);
static void ngx_mesh_agent_sysinfo(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool);
static void ngx_mesh_agent_sysinfocheck(ngx_mesh_agent_t *a,
    ngx_mesh_json_t *j, ngx_pool_t *pool);
static void ngx_mesh_agent_msg(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool);
static void ngx_mesh_agent_open_url(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool);
static void ngx_mesh_agent_answer(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool, const char *action);
static void ngx_mesh_agent_log(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool);
static void ngx_mesh_agent_user_image(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool);
static ngx_int_t ngx_mesh_agent_image_member(const char *name,
    ngx_mesh_json_t *value, void *data);
static void ngx_mesh_agent_ping(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool);
static void ngx_mesh_agent_quiet(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool);

static ngx_int_t ngx_mesh_agent_keys(ngx_mesh_json_t *j, ngx_uint_t depth);
static ngx_int_t ngx_mesh_agent_key(const char *name, ngx_mesh_json_t *value,
    void *data);
static void ngx_mesh_agent_names(ngx_mesh_jw_t *w, ngx_mesh_json_t *j,
    const char *name);
static void ngx_mesh_agent_hint(ngx_mesh_agent_t *a, const char *action,
    ngx_pool_t *pool);
static void ngx_mesh_agent_asked_what(ngx_mesh_asker_t *asker,
    const u_char *json, size_t len);
static void ngx_mesh_agent_waits(ngx_mesh_asker_t *asker,
    ngx_mesh_json_t *j, const ngx_str_t *type);
static ngx_uint_t ngx_mesh_agent_is_reply(const ngx_str_t *type);
static void ngx_mesh_agent_too_large(ngx_mesh_agent_t *a,
    ngx_mesh_asker_t *asker, ngx_pool_t *pool);
static ngx_mesh_asker_t *ngx_mesh_agent_asker(ngx_mesh_agent_t *a,
    const ngx_str_t *id);
static ngx_int_t ngx_mesh_agent_member(const char *name,
    ngx_mesh_json_t *value, void *data);


static const ngx_mesh_agent_json_row_t  ngx_mesh_agent_json_rows[] = {
    { "coreinfo",         ngx_mesh_agent_coreinfo },
    { "netinfo",          ngx_mesh_agent_netinfo },
    { "sysinfo",          ngx_mesh_agent_sysinfo },
    { "sysinfocheck",     ngx_mesh_agent_sysinfocheck },
    { "battery",          ngx_mesh_agent_battery },
    { "msg",              ngx_mesh_agent_msg },
    { "openUrl",          ngx_mesh_agent_open_url },
    { "log",              ngx_mesh_agent_log },
    { "agentupdate",      ngx_mesh_agent_update_asked },
    { "getUserImage",     ngx_mesh_agent_user_image },
    { "ping",             ngx_mesh_agent_ping },
    { "pong",             ngx_mesh_agent_quiet },
    { "sessions",         ngx_mesh_agent_sessions },
    /* ours are counted here */
    { "tunnelCloseStats", ngx_mesh_agent_quiet },
    { "agentName",        ngx_mesh_agent_quiet },
    { "lmsinfo",          ngx_mesh_agent_quiet },
    { "agentupdatedownloaded", ngx_mesh_agent_quiet },
    { NULL, NULL }
};

static const ngx_mesh_agent_msg_row_t  ngx_mesh_agent_msg_rows[] = {
    { "console" }, { "ps" }, { "psinfo" }, { "services" }, { "service" },
    { "runcommands" }, { "openUrl" }, { "getclip" }, { "setclip" },
    { "userSessions" }, { "cpuinfo" }, { NULL }
};


void
ngx_mesh_agent_json(ngx_mesh_agent_t *a, u_char *data, size_t len)
{
    ngx_str_t                         action;
    ngx_pool_t                       *pool;
    ngx_mesh_json_t                  *j;
    const ngx_mesh_agent_json_row_t  *row;

    j = ngx_mesh_json_parse(data, len);

    if (j == NULL) {
        ngx_mesh_count(NGX_MESH_C_BAD_JSON);
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, a->s->c->log, 0,
                       "mesh agent: %uz bytes that are no JSON", len);
        return;
    }

    if (ngx_mesh_json_str(j, "action", &action) == NGX_OK) {

        for (row = ngx_mesh_agent_json_rows; row->action; row++) {

            if (action.len == ngx_strlen(row->action)
                && ngx_memcmp(action.data, row->action, action.len) == 0)
            {
                pool = ngx_create_pool(4096, a->s->c->log);

                if (pool) {
                    row->handler(a, j, pool);
                    ngx_destroy_pool(pool);
                }

                ngx_mesh_json_free(j);
                return;
            }
        }
    }

    ngx_mesh_count(NGX_MESH_C_UNKNOWN_MSG);
    ngx_mesh_json_free(j);
}


static void
ngx_mesh_agent_quiet(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool)
{
}


static void
ngx_mesh_agent_ping(ngx_mesh_agent_t *a, ngx_mesh_json_t *j, ngx_pool_t *pool)
{
    static u_char  pong[] = "{\"action\":\"pong\"}";

    (void) ngx_mesh_agent_send(a, pong, sizeof(pong) - 1);
}


/* a text of at most 1 KB, or nothing */
static ngx_int_t
ngx_mesh_agent_text(ngx_mesh_json_t *j, const char *name, ngx_str_t *s)
{
    if (ngx_mesh_json_str(j, name, s) != NGX_OK
        || s->len > NGX_MESH_AGENT_TEXT)
    {
        ngx_str_null(s);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static void
ngx_mesh_agent_coreinfo(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool)
{
    int64_t             caps, boot;
    uint32_t            shown, named;
    ngx_str_t           value, os, doc, text;
    ngx_uint_t          root;
    ngx_mesh_jw_t       w, ev;
    ngx_mesh_json_t    *child;
    ngx_mesh_scope_t    scope;
    ngx_mesh_group_t   *group;
    ngx_mesh_db_req_t  *q;

    if (ngx_mesh_jw_init(&w, pool, 1024) != NGX_OK
        || ngx_mesh_jw_init(&ev, pool, 2048) != NGX_OK)
    {
        return;
    }

    ngx_mesh_jw_open(&w, NULL, '{');

    if (ngx_mesh_agent_text(j, "value", &value) == NGX_OK) {
        ngx_mesh_jw_str(&w, "core", &value);
    }

    if (ngx_mesh_json_bool(j, "root", &root) == NGX_OK) {
        ngx_mesh_jw_bool(&w, "root", root);
    }

    if (ngx_mesh_json_int(j, "lastbootuptime", &boot, 0, 9007199254740991)
        == NGX_OK)
    {
        ngx_mesh_jw_int(&w, "lastbootuptime", boot);
    }

    ngx_mesh_agent_names(&w, j, "users");
    ngx_mesh_agent_names(&w, j, "lusers");

    child = ngx_mesh_json_array(j, "av");

    if (child && ngx_mesh_agent_keys(child, 0) == NGX_OK) {
        ngx_mesh_jw_json(&w, "av", child);
    }

    child = ngx_mesh_json_object(j, "wsc");

    if (child && ngx_mesh_agent_keys(child, 0) == NGX_OK) {
        ngx_mesh_jw_json(&w, "wsc", child);
    }

    child = ngx_mesh_json_object(j, "defender");

    if (child && ngx_mesh_agent_keys(child, 0) == NGX_OK) {
        ngx_mesh_jw_json(&w, "defender", child);
    }

    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &doc) != NGX_OK
        || doc.len > NGX_MESH_AGENT_DOC)
    {
        return;
    }

    ngx_str_set(&text, "");
    ngx_mesh_agent_part(a, "status", &text, &doc);

    if (ngx_mesh_json_int(j, "caps", &caps, 0, 0xffff) == NGX_OK) {

        /* two bits are those of command 3 */
        caps = (caps & ~(MESH_AGENT_CAP_CONSOLE|MESH_AGENT_CAP_JAVASCRIPT))
               | (a->caps & (MESH_AGENT_CAP_CONSOLE|MESH_AGENT_CAP_JAVASCRIPT
                             |MESH_AGENT_CAP_COMPRESSED
                             |MESH_AGENT_CAP_TEMPORARY
                             |MESH_AGENT_CAP_RECOVERY));

        if ((uint32_t) caps != a->caps) {
            a->caps = caps;
            ngx_mesh_agent_said(a);
            q = ngx_mesh_db_create(NULL, NULL);

            if (q) {
                ngx_mesh_db_stmt(q, MESH_SQL_DEVICE_CAPS);
                ngx_mesh_db_int(q, a->device_id);
                ngx_mesh_db_int(q, caps);
                ngx_mesh_db_late(q, "caps", a->device_id);
            }
        }
    }

    /* said again with whatever else is new */

    if (ngx_mesh_agent_text(j, "name", &value) == NGX_OK) {
        named = ngx_crc32_long(value.data, value.len);

        if (named != a->named && ngx_mesh_agent_name(a, &value) == NGX_OK) {
            a->named = named;
        }
    }

    os.len = 0;

    if (ngx_mesh_agent_text(j, "osdesc", &os) == NGX_OK) {
        q = ngx_mesh_db_create(NULL, NULL);

        if (q) {
            ngx_mesh_db_stmt(q, MESH_SQL_DEVICE_SYSTEM);
            ngx_mesh_db_int(q, a->device_id);
            ngx_mesh_db_str(q, &os);
            ngx_mesh_db_late(q, "system", a->device_id);
        }
    }

    group = ngx_mesh_group(a->group_id);

    if (group == NULL) {
        return;
    }

    ngx_mesh_jw_open(&ev, NULL, '{');
    ngx_mesh_jw_cstr(&ev, "etype", "node");
    ngx_mesh_jw_cstr(&ev, "action", "changenode");
    ngx_mesh_agent_node(a, &ev);
    ngx_mesh_jw_int(&ev, "nolog", 1);
    ngx_mesh_jw_open(&ev, "node", '{');
    ngx_mesh_jw_str(&ev, "meshid", &group->wire);

    if (os.len) {
        ngx_mesh_jw_str(&ev, "osdesc", &os);
    }

    ngx_mesh_agent_names(&ev, j, "users");
    ngx_mesh_agent_names(&ev, j, "lusers");
    ngx_mesh_jw_shut(&ev, '}');
    ngx_mesh_jw_shut(&ev, '}');

    if (ngx_mesh_jw_done(&ev, &text) != NGX_OK) {
        return;
    }

    ngx_crc32_init(shown);
    ngx_crc32_update(&shown, doc.data, doc.len);
    ngx_crc32_update(&shown, text.data, text.len);
    ngx_crc32_final(shown);

    if (shown != a->shown) {
        a->shown = shown;
        ngx_mesh_agent_scope(a, &scope);
        ngx_mesh_event_publish(&scope, &text);
    }
}


/* an array of texts; what else is in it is left out */
static void
ngx_mesh_agent_names(ngx_mesh_jw_t *w, ngx_mesh_json_t *j, const char *name)
{
    ngx_str_t         s;
    ngx_uint_t        i, n;
    ngx_mesh_json_t  *array;

    array = ngx_mesh_json_array(j, name);

    if (array == NULL) {
        return;
    }

    n = ngx_min(ngx_mesh_json_count(array), NGX_MESH_AGENT_USERS);
    ngx_mesh_jw_open(w, name, '[');

    for (i = 0; i < n; i++) {
        if (ngx_mesh_json_text(ngx_mesh_json_at(array, i), &s) == NGX_OK
            && s.len <= NGX_MESH_AGENT_TEXT)
        {
            ngx_mesh_jw_str(w, NULL, &s);
        }
    }

    ngx_mesh_jw_shut(w, ']');
}


static void
ngx_mesh_agent_netinfo(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool)
{
    ngx_str_t         doc, none;
    ngx_mesh_jw_t     w;
    ngx_mesh_json_t  *netif;

    netif = ngx_mesh_json_object(j, "netif2");

    if (netif == NULL || ngx_mesh_jw_init(&w, pool, 4096) != NGX_OK) {
        return;
    }

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_json(&w, "netif2", netif);
    ngx_mesh_jw_int(&w, "updateTime", ngx_mesh_now_ms());
    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &doc) != NGX_OK
        || doc.len > NGX_MESH_AGENT_DOC)
    {
        return;
    }

    ngx_str_set(&none, "");
    ngx_mesh_agent_part(a, "network", &none, &doc);
    ngx_mesh_agent_hint(a, "ifchange", pool);
}


static void
ngx_mesh_agent_sysinfo(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool)
{
    ngx_str_t         doc, hash;
    ngx_mesh_jw_t     w;
    ngx_mesh_json_t  *data;

    data = ngx_mesh_json_object(j, "data");

    /* names and lengths as agent.md 5.1, or the whole of it is dropped */
    if (data == NULL
        || ngx_mesh_json_str(data, "hash", &hash) != NGX_OK
        || hash.len > 128
        || ngx_mesh_agent_keys(data, 0) != NGX_OK
        || ngx_mesh_jw_init(&w, pool, 8192) != NGX_OK)
    {
        ngx_mesh_count(NGX_MESH_C_BAD_JSON);
        return;
    }

    ngx_mesh_jw_json(&w, NULL, data);

    if (ngx_mesh_jw_done(&w, &doc) != NGX_OK
        || doc.len > NGX_MESH_AGENT_DOC)
    {
        return;
    }

    ngx_mesh_agent_part(a, "hardware", &hash, &doc);
    ngx_mesh_known_update(a->domain_id, a->id, NULL, &hash);
    ngx_mesh_agent_hint(a, "sysinfohash", pool);
}


/* agent.md 5.1: once a minute */
static void
ngx_mesh_agent_sysinfocheck(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool)
{
    ngx_str_t  name;

    name.data = a->id;
    name.len = NGX_MESH_ID_LEN;

    if (ngx_mesh_rate(NGX_MESH_RATE_CHECK, &name, 1, 60) > 1) {
        ngx_mesh_count(NGX_MESH_C_DROPPED);
        return;
    }

    ngx_mesh_agent_push_check(a);
}


typedef struct {
    ngx_uint_t  depth;
} ngx_mesh_agent_keys_t;


static ngx_int_t
ngx_mesh_agent_keys(ngx_mesh_json_t *j, ngx_uint_t depth)
{
    ngx_int_t              rc;
    ngx_str_t              s;
    ngx_mesh_agent_keys_t  k;

    if (depth > NGX_MESH_AGENT_DEEP) {
        return NGX_ERROR;
    }

    if (ngx_mesh_json_text(j, &s) == NGX_OK) {
        return s.len <= NGX_MESH_AGENT_TEXT ? NGX_OK : NGX_ERROR;
    }

    k.depth = depth + 1;

    rc = ngx_mesh_json_members(j, ngx_mesh_agent_key, &k);

    /* numbers and arrays have no names */
    return rc == NGX_DECLINED ? NGX_OK : rc;
}


static ngx_int_t
ngx_mesh_agent_key(const char *name, ngx_mesh_json_t *value, void *data)
{
    size_t                  i;
    ngx_mesh_agent_keys_t  *k;

    k = data;

    for (i = 0; name[i]; i++) {
        if (i == 100
            || (!(name[i] >= '0' && name[i] <= '9')
                && !((name[i] | 0x20) >= 'a' && (name[i] | 0x20) <= 'z')
                && name[i] != '_'))
        {
            return NGX_ERROR;
        }
    }

    return value ? ngx_mesh_agent_keys(value, k->depth) : NGX_OK;
}


/* late: of many in a short time the newest is written */
void
ngx_mesh_agent_part(ngx_mesh_agent_t *a, const char *part,
    const ngx_str_t *hash, const ngx_str_t *doc)
{
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_db_create(NULL, NULL);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_DEVICE_PART_SET);
    ngx_mesh_db_int(q, a->device_id);
    ngx_mesh_db_text(q, part);
    ngx_mesh_db_str(q, hash);
    ngx_mesh_db_int(q, ngx_mesh_now_ms());
    ngx_mesh_db_str(q, doc);
    ngx_mesh_db_late(q, part, a->device_id);
}


void
ngx_mesh_agent_node(ngx_mesh_agent_t *a, ngx_mesh_jw_t *w)
{
    u_char             node[8 + 64 + NGX_MESH_ID_TEXT], *p;
    ngx_str_t          wire;

    p = ngx_snprintf(node, sizeof(node), "node/%V/", &a->s->srv->domain);
    wire.data = node;
    wire.len = ngx_mesh_id_write(p, a->id) - node;

    ngx_mesh_jw_str(w, "nodeid", &wire);
    ngx_mesh_jw_str(w, "domain", &a->s->srv->domain);
}


/* something about it is new: pages that show it ask again */
static void
ngx_mesh_agent_hint(ngx_mesh_agent_t *a, const char *action, ngx_pool_t *pool)
{
    ngx_str_t         text;
    ngx_mesh_jw_t     w;
    ngx_mesh_scope_t  scope;

    if (ngx_mesh_jw_init(&w, pool, 512) != NGX_OK) {
        return;
    }

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_cstr(&w, "etype", "node");
    ngx_mesh_jw_cstr(&w, "action", action);
    ngx_mesh_agent_node(a, &w);
    ngx_mesh_jw_int(&w, "nolog", 1);
    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &text) == NGX_OK) {
        ngx_mesh_agent_scope(a, &scope);
        ngx_mesh_event_publish(&scope, &text);
    }
}


/* remembers who may get a reply: the newest first, 64 at most */
void
ngx_mesh_agent_asked(ngx_mesh_agent_t *a, const ngx_mesh_addr_t *from,
    const ngx_mesh_requester_t *who, const u_char *json, size_t len)
{
    ngx_str_t           id;
    ngx_mesh_asker_t   *asker, **p;

    id.data = (u_char *) who->id;
    id.len = who->len;

    for (p = &a->askers; *p; p = &(*p)->next) {
        asker = *p;

        if (asker->len == id.len
            && ngx_memcmp(asker->id, id.data, id.len) == 0)
        {
            *p = asker->next;
            asker->next = a->askers;
            asker->addr = *from;
            asker->at = ngx_time();
            a->askers = asker;
            ngx_mesh_agent_asked_what(asker, json, len);
            return;
        }

        if (asker->next == NULL && a->nasked == NGX_MESH_AGENT_ASKERS) {
            ngx_free(asker);
            *p = NULL;
            a->nasked--;
            break;
        }
    }

    asker = ngx_alloc(offsetof(ngx_mesh_asker_t, id) + id.len,
                      a->s->c->log);
    if (asker == NULL) {
        return;
    }

    asker->addr = *from;
    asker->account_id = who->account_id;
    asker->at = ngx_time();
    asker->len = id.len;
    ngx_memcpy(asker->id, id.data, id.len);

    asker->next = a->askers;
    a->askers = asker;
    a->nasked++;

    ngx_mesh_agent_asked_what(asker, json, len);
}


/* what an answer to it would have: should there be none */
static void
ngx_mesh_agent_asked_what(ngx_mesh_asker_t *asker, const u_char *json,
    size_t len)
{
    ngx_str_t         action, type;
    ngx_mesh_json_t  *j;

    j = ngx_mesh_json_parse(json, len);

    if (j == NULL) {
        return;
    }

    if (ngx_mesh_json_str(j, "action", &action) == NGX_OK) {

        if (action.len != 3 || ngx_memcmp(action.data, "msg", 3) != 0
            || ngx_mesh_json_str(j, "type", &type) != NGX_OK)
        {
            type = action;
        }

        if (ngx_mesh_agent_is_reply(&type)) {
            ngx_mesh_agent_waits(asker, j, &type);
        }
    }

    ngx_mesh_json_free(j);
}


/* a responseid that is long, or a number, is left out */
static void
ngx_mesh_agent_waits(ngx_mesh_asker_t *asker, ngx_mesh_json_t *j,
    const ngx_str_t *type)
{
    ngx_str_t  response;

    asker->waits = 1;

    asker->ntype = ngx_min(type->len, NGX_MESH_AGENT_TYPE);
    ngx_memcpy(asker->type, type->data, asker->ntype);

    asker->nresponse = 0;

    if (ngx_mesh_json_str(j, "responseid", &response) == NGX_OK
        && response.len <= NGX_MESH_AGENT_RESPONSE)
    {
        asker->nresponse = response.len;
        ngx_memcpy(asker->response, response.data, response.len);
    }
}


void
ngx_mesh_agent_no_answer(ngx_mesh_agent_t *a)
{
    ngx_pool_t        *pool;
    ngx_mesh_asker_t  *asker;

    for (asker = a->askers; asker; asker = asker->next) {

        if (!asker->waits) {
            continue;
        }

        pool = ngx_create_pool(1024, a->s->c->log);

        if (pool) {
            ngx_mesh_agent_too_large(a, asker, pool);
            ngx_destroy_pool(pool);
        }

        return;
    }
}


static void
ngx_mesh_agent_too_large(ngx_mesh_agent_t *a, ngx_mesh_asker_t *asker,
    ngx_pool_t *pool)
{
    ngx_str_t      s, text;
    ngx_mesh_jw_t  w;

    asker->waits = 0;

    if (ngx_mesh_jw_init(&w, pool, 512) != NGX_OK) {
        return;
    }

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_cstr(&w, "action", "msg");
    ngx_mesh_agent_node(a, &w);

    s.data = asker->type;
    s.len = asker->ntype;
    ngx_mesh_jw_str(&w, "type", &s);

    if (asker->nresponse) {
        s.data = asker->response;
        s.len = asker->nresponse;
        ngx_mesh_jw_str(&w, "responseid", &s);
    }

    /* as a console and as a command say what they have to say */
    ngx_mesh_jw_cstr(&w, asker->ntype == 7
                         && ngx_memcmp(asker->type, "console", 7) == 0
                         ? "value" : "result",
                     "The device's answer was too large and has been thrown "
                     "away.");
    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &text) == NGX_OK) {
        (void) ngx_mesh_reply(&asker->addr, text.data, text.len);
    }
}


void
ngx_mesh_agent_askers_free(ngx_mesh_agent_t *a)
{
    ngx_mesh_asker_t  *asker;

    while (a->askers) {
        asker = a->askers;
        a->askers = asker->next;
        ngx_free(asker);
    }

    a->nasked = 0;
}


static ngx_mesh_asker_t *
ngx_mesh_agent_asker(ngx_mesh_agent_t *a, const ngx_str_t *id)
{
    ngx_mesh_asker_t  *asker;

    for (asker = a->askers; asker; asker = asker->next) {

        if (asker->len == id->len
            && ngx_memcmp(asker->id, id->data, id->len) == 0)
        {
            return ngx_time() - asker->at <= NGX_MESH_AGENT_ASKED ? asker
                                                                  : NULL;
        }
    }

    return NULL;
}


/* a reply: to the session that asked, which must have asked this device */
static void
ngx_mesh_agent_msg(ngx_mesh_agent_t *a, ngx_mesh_json_t *j, ngx_pool_t *pool)
{
    ngx_str_t  type;

    if (ngx_mesh_json_str(j, "type", &type) != NGX_OK
        || !ngx_mesh_agent_is_reply(&type))
    {
        ngx_mesh_count(NGX_MESH_C_UNKNOWN_MSG);
        return;
    }

    ngx_mesh_agent_answer(a, j, pool, "msg");
}


static ngx_uint_t
ngx_mesh_agent_is_reply(const ngx_str_t *type)
{
    const ngx_mesh_agent_msg_row_t  *row;

    for (row = ngx_mesh_agent_msg_rows; row->type; row++) {
        if (type->len == ngx_strlen(row->type)
            && ngx_memcmp(type->data, row->type, type->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* did the page of an invitation open? */
static void
ngx_mesh_agent_open_url(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool)
{
    ngx_mesh_agent_answer(a, j, pool, "openUrl");
}


/* to the session that asked, and to no other */
static void
ngx_mesh_agent_answer(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool, const char *action)
{
    ngx_int_t          rc;
    ngx_str_t          id, text, type;
    ngx_mesh_jw_t      w;
    ngx_mesh_asker_t  *asker;

    asker = ngx_mesh_json_str(j, "sessionid", &id) == NGX_OK
            ? ngx_mesh_agent_asker(a, &id) : NULL;

    if (asker == NULL || ngx_mesh_jw_init(&w, pool, 4096) != NGX_OK) {
        ngx_mesh_count(NGX_MESH_C_UNKNOWN_MSG);
        return;
    }

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_cstr(&w, "action", action);
    ngx_mesh_agent_node(a, &w);
    (void) ngx_mesh_json_members(j, ngx_mesh_agent_member, &w);
    ngx_mesh_jw_shut(&w, '}');

    rc = ngx_mesh_jw_done(&w, &text);

    if (rc == NGX_OK) {
        asker->waits = 0;
        rc = ngx_mesh_reply(&asker->addr, text.data, text.len);
    }

    if ((rc == NGX_ERROR || rc == NGX_BUSY)
        && ngx_mesh_json_str(j, "type", &type) == NGX_OK)
    {
        ngx_mesh_agent_waits(asker, j, &type);
        ngx_mesh_agent_too_large(a, asker, pool);
    }
}


/* what we write ourselves is not taken from the device */
static ngx_int_t
ngx_mesh_agent_member(const char *name, ngx_mesh_json_t *value, void *data)
{
    ngx_uint_t  i;

    static const char  *own[] = { "action", "nodeid", "domain", "sessionid",
                                  "userid", "xuserid", NULL };

    for (i = 0; own[i]; i++) {
        if (ngx_strcmp(name, own[i]) == 0) {
            return NGX_OK;
        }
    }

    ngx_mesh_jw_json(data, name, value);

    return NGX_OK;
}


/* a line for the device's log, in its own words and marked as such */
static void
ngx_mesh_agent_log(ngx_mesh_agent_t *a, ngx_mesh_json_t *j, ngx_pool_t *pool)
{
    int64_t            msgid;
    ngx_str_t          msg, id, name;
    ngx_mesh_jw_t      w;
    ngx_mesh_event_t   e;
    ngx_mesh_json_t   *args;
    ngx_mesh_asker_t  *asker;

    if (ngx_mesh_json_str(j, "msg", &msg) != NGX_OK || msg.len == 0
        || msg.len > 4096)
    {
        return;
    }

    /* a device writes a line a second, and no more */
    name.data = a->id;
    name.len = NGX_MESH_ID_LEN;

    if (ngx_mesh_rate(NGX_MESH_RATE_LOG, &name, 1, 60) > 60) {
        ngx_mesh_count(NGX_MESH_C_DROPPED);
        return;
    }

    ngx_memzero(&e, sizeof(ngx_mesh_event_t));
    ngx_mesh_agent_scope(a, &e.scope);
    e.kind = "node";
    e.action = "agentlog";
    e.text = msg;
    e.address = a->s->address;

    if (ngx_mesh_json_int(j, "msgid", &msgid, 0, 100000) == NGX_OK) {
        e.msgid = msgid;
    }

    args = ngx_mesh_json_array(j, "msgArgs");

    if (args && ngx_mesh_jw_init(&w, pool, 512) == NGX_OK) {
        ngx_mesh_jw_json(&w, NULL, args);

        if (ngx_mesh_jw_done(&w, &e.args) != NGX_OK || e.args.len > 8192) {
            e.args.len = 0;
        }
    }

    /* who did it: only somebody who has asked this device */
    if (ngx_mesh_json_str(j, "sessionid", &id) == NGX_OK) {
        asker = ngx_mesh_agent_asker(a, &id);

        if (asker) {
            e.scope.account_id = asker->account_id;
        }
    }

    ngx_mesh_event_log(&e);
}


/* who asks a person at the device for leave shows for whom; once a minute */
static void
ngx_mesh_agent_user_image(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool)
{
    ngx_str_t            id, name, text;
    ngx_uint_t           visible;
    ngx_mesh_jw_t        w;
    ngx_mesh_account_t  *account;

    name.data = a->id;
    name.len = NGX_MESH_ID_LEN;

    account = ngx_mesh_json_str(j, "userid", &id) == NGX_OK
              ? ngx_mesh_account_find(a->domain_id, &id) : NULL;

    if (account == NULL) {
        return;
    }

    /* one without rights on it is as one that is not there */

    (void) ngx_mesh_rights(account->account_id, a->group_id, a->device_id,
                           &visible);

    if (!visible || ngx_mesh_rate(NGX_MESH_RATE_IMAGE, &name, 1, 60) > 1
        || ngx_mesh_jw_init(&w, pool, 512) != NGX_OK)
    {
        return;
    }

    ngx_mesh_jw_open(&w, NULL, '{');
    (void) ngx_mesh_json_members(j, ngx_mesh_agent_image_member, &w);
    ngx_mesh_jw_str(&w, "name", &account->name);
    ngx_mesh_jw_str(&w, "realname", &account->real_name);
    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &text) == NGX_OK
        && text.len <= NGX_MESH_AGENT_DOC)
    {
        (void) ngx_mesh_agent_send(a, text.data, text.len);
    }
}


/* by the other members its script finds what waits for the answer */
static ngx_int_t
ngx_mesh_agent_image_member(const char *name, ngx_mesh_json_t *value,
    void *data)
{
    if (ngx_strcmp(name, "name") != 0 && ngx_strcmp(name, "realname") != 0
        && ngx_strcmp(name, "image") != 0)
    {
        ngx_mesh_jw_json(data, name, value);
    }

    return NGX_OK;
}

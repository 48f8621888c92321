/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * agent.ashx: the session of one agent from its upgrade to its end.
 *
 * Refusing is not closing: an agent that has sent command 3 comes back at once
 * when it is closed, 16 times a second and for ever.  It is held: nothing is
 * answered but pings, and it is closed when mesh_refuse_hold has passed.
 */

#include "ngx_mesh_agent.h"


#define NGX_MESH_AGENT_DELAY     15000    /* ms that an upgrade may wait */
#define NGX_MESH_AGENT_RETRY     500      /* ms between two looks */
#define NGX_MESH_AGENT_DUPLICATE 10       /* seconds until it is an event */
#define NGX_MESH_RATE_REFUSED    19


/* an upgrade that waits for others to finish their handshake */
typedef struct {
    ngx_http_request_t  *r;
    ngx_event_t          timer;
    ngx_msec_t           until;
} ngx_mesh_agent_wait_t;


static ngx_int_t ngx_mesh_agent_accept(ngx_http_request_t *r);
static void ngx_mesh_agent_wait(ngx_event_t *ev);
static void ngx_mesh_agent_wait_cleanup(void *data);
static ngx_uint_t ngx_mesh_agent_full(void);

static ngx_int_t ngx_mesh_agent_open(ngx_mesh_session_t *s);
static ngx_int_t ngx_mesh_agent_message(ngx_mesh_session_t *s,
    ngx_uint_t opcode, u_char *data, size_t len);
static void ngx_mesh_agent_later(ngx_event_t *ev);
static ngx_int_t ngx_mesh_agent_command_in(ngx_mesh_agent_t *a, u_char *data,
    size_t len);
static void ngx_mesh_agent_over(ngx_mesh_session_t *s);
static void ngx_mesh_agent_deliver(ngx_mesh_session_t *s,
    const ngx_mesh_addr_t *from, u_char *data, size_t len);
static void ngx_mesh_agent_mute(ngx_mesh_session_t *s);
static void ngx_mesh_agent_deadline(ngx_mesh_session_t *s);
static void ngx_mesh_agent_close(ngx_mesh_session_t *s);
static void ngx_mesh_agent_uncount(ngx_mesh_agent_t *a);
static void ngx_mesh_agent_refused_event(ngx_mesh_agent_t *a);
static void ngx_mesh_agent_row_changed(ngx_uint_t kind, int64_t id);


static ngx_rbtree_t       ngx_mesh_agent_tree;      /* online, by device */
static ngx_rbtree_node_t  ngx_mesh_agent_sentinel;


const ngx_mesh_class_t  ngx_mesh_agent_class = {
    .name = "agent",
    .gauge = NGX_MESH_GAUGES,         /* they are counted by what they are */
    .agent_text = 1,
    .drain = 1,
    .open = ngx_mesh_agent_open,
    .message = ngx_mesh_agent_message,
    .over = ngx_mesh_agent_over,
    .deliver = ngx_mesh_agent_deliver,
    .mute = ngx_mesh_agent_mute,
    .deadline = ngx_mesh_agent_deadline,
    .close = ngx_mesh_agent_close
};


ngx_int_t
ngx_mesh_agent_init(ngx_cycle_t *cycle)
{
    ngx_rbtree_init(&ngx_mesh_agent_tree, &ngx_mesh_agent_sentinel,
                    ngx_rbtree_insert_value);
    ngx_mesh_model_on_change(ngx_mesh_agent_row_changed);
    ngx_mesh_agent_update_init();

    return ngx_mesh_agent_push_init(cycle);
}


/* an agent waits 20 s for the 101 and is none the worse for it */
ngx_int_t
ngx_http_mesh_agent_handler(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t     *cln;
    ngx_mesh_agent_wait_t  *wait;

    if (!ngx_mesh_agent_full()) {
        return ngx_mesh_agent_accept(r);
    }

    wait = ngx_pcalloc(r->pool, sizeof(ngx_mesh_agent_wait_t));
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (wait == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    wait->r = r;
    wait->until = ngx_current_msec + NGX_MESH_AGENT_DELAY;
    wait->timer.handler = ngx_mesh_agent_wait;
    wait->timer.data = wait;
    wait->timer.log = r->connection->log;
    wait->timer.cancelable = 1;

    cln->handler = ngx_mesh_agent_wait_cleanup;
    cln->data = wait;

    r->main->count++;
    r->read_event_handler = ngx_http_test_reading;
    ngx_add_timer(&wait->timer, NGX_MESH_AGENT_RETRY);

    return NGX_DONE;
}


/* who has sent message 3 is held and never put out: no more are let in then */
static ngx_uint_t
ngx_mesh_agent_full(void)
{
    ngx_atomic_uint_t  max;

    max = (ngx_atomic_uint_t) ngx_mesh_core_conf()->handshakes;

    return ngx_mesh_slot->gauge[NGX_MESH_G_PENDING] >= max
           || ngx_mesh_slot->gauge[NGX_MESH_G_HELD] >= max
           || (ngx_mesh_signer_up()
               && ngx_mesh_signer_wait() > NGX_MESH_AGENT_DELAY);
}


static void
ngx_mesh_agent_wait(ngx_event_t *ev)
{
    ngx_connection_t       *c;
    ngx_mesh_agent_wait_t  *wait;

    wait = ev->data;
    c = wait->r->connection;

    if (ngx_mesh_agent_full()
        && (ngx_msec_int_t) (wait->until - ngx_current_msec) > 0)
    {
        ngx_add_timer(&wait->timer, NGX_MESH_AGENT_RETRY);
        return;
    }

    if (ngx_mesh_agent_full()) {
        ngx_mesh_count(NGX_MESH_C_LIMITED);
        ngx_http_finalize_request(wait->r, NGX_HTTP_SERVICE_UNAVAILABLE);

    } else {
        ngx_http_finalize_request(wait->r, ngx_mesh_agent_accept(wait->r));
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_mesh_agent_wait_cleanup(void *data)
{
    ngx_mesh_agent_wait_t *wait = data;

    if (wait->timer.timer_set) {
        ngx_del_timer(&wait->timer);
    }
}


static ngx_int_t
ngx_mesh_agent_accept(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_str_t                 *address;
    ngx_mesh_agent_t          *a;
    ngx_http_mesh_srv_conf_t  *mscf;

    mscf = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);
    address = &r->connection->addr_text;

    if (ngx_mesh_limit_enter(NGX_MESH_LIMIT_AGENT, address,
                             mscf->limit_address[NGX_MESH_LIMIT_AGENT])
        != NGX_OK)
    {
        ngx_mesh_count(NGX_MESH_C_LIMITED);
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    a = ngx_calloc(sizeof(ngx_mesh_agent_t), r->connection->log);

    if (a) {
        a->hs = ngx_calloc(sizeof(ngx_mesh_handshake_t), r->connection->log);
    }

    if (a == NULL || a->hs == NULL) {
        ngx_free(a);
        ngx_mesh_limit_leave(NGX_MESH_LIMIT_AGENT, address);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    a->counted = 1;

    rc = ngx_mesh_ws_accept(r, &ngx_mesh_agent_class, a);

    if (rc != NGX_DONE) {
        ngx_mesh_limit_leave(NGX_MESH_LIMIT_AGENT, address);
        ngx_mesh_agent_auth_free(a);
        ngx_free(a);
        return rc;
    }

    ngx_mesh_gauge(NGX_MESH_G_PENDING, 1);
    ngx_mesh_count(NGX_MESH_C_HANDSHAKES);

    return NGX_DONE;
}


static ngx_int_t
ngx_mesh_agent_open(ngx_mesh_session_t *s)
{
    ngx_mesh_agent_t  *a;

    a = s->data;
    a->s = s;
    a->domain_id = ngx_mesh_domain_id(&s->srv->domain);
    a->hs->deadline = ngx_time() + s->srv->auth_timeout / 1000;

    ngx_mesh_bucket_init(&a->bucket, NGX_MESH_AGENT_RATE);
    a->later.handler = ngx_mesh_agent_later;
    a->later.data = a;
    a->later.log = s->c->log;
    a->later.cancelable = 1;

    s->message_max = MESH_AGENT_MAX_AUTH;
    ngx_mesh_ws_deadline(s, 1);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_agent_message(ngx_mesh_session_t *s, ngx_uint_t opcode, u_char *data,
    size_t len)
{
    ngx_mesh_agent_t  *a;

    a = s->data;

    switch (a->state) {

    case NGX_MESH_AGENT_AUTH:
        return ngx_mesh_agent_auth(a, data, len);

    case NGX_MESH_AGENT_ONLINE:

        if (len && data[0] == '{') {
            ngx_mesh_bucket_take(&a->bucket);
            ngx_mesh_agent_json(a, data, len);
            ngx_mesh_agent_later(&a->later);
            return NGX_OK;
        }

        return ngx_mesh_agent_command_in(a, data, len);

    default:
        /* it is being looked up, held or muted: nothing it says counts */
        return NGX_OK;
    }
}


/* too many are not refused, they are read later; blocks are not counted */
static void
ngx_mesh_agent_later(ngx_event_t *ev)
{
    ngx_msec_t         wait;
    ngx_mesh_agent_t  *a;

    a = ev->data;

    if (a->later.timer_set) {
        return;
    }

    wait = ngx_mesh_bucket_wait(&a->bucket);

    if (wait) {
        ngx_mesh_ws_pause(a->s);
        ngx_add_timer(&a->later, wait);
        return;
    }

    ngx_mesh_ws_resume(a->s);
}


static ngx_int_t
ngx_mesh_agent_command_in(ngx_mesh_agent_t *a, u_char *data, size_t len)
{
    mesh_agent_msg_t  m;

    if (mesh_agent_msg_parse(&m, data, len) != MESH_OK) {
        ngx_mesh_count(NGX_MESH_C_UNKNOWN_MSG);
        return NGX_OK;
    }

    switch (m.cmd) {

    case MESH_AGENT_CORE_HASH:
        ngx_mesh_agent_push_hash(a, &m);
        break;

    case MESH_AGENT_HASH:
        ngx_mesh_agent_update_hash(a, &m);
        break;

    case MESH_AGENT_UPDATE_BLOCK:
        ngx_mesh_agent_update_next(a, &m);
        break;

    case MESH_AGENT_TAG:
        /* nothing here is sorted by it */
        break;

    default:
        ngx_mesh_count(NGX_MESH_C_UNKNOWN_MSG);
        break;
    }

    return NGX_OK;
}


/* a message of more than mesh_message_max was read and thrown away */
static void
ngx_mesh_agent_over(ngx_mesh_session_t *s)
{
    ngx_mesh_agent_t  *a;

    a = s->data;

    ngx_log_error(NGX_LOG_INFO, s->c->log, 0,
                  "mesh agent: message over %uz bytes thrown away",
                  s->message_max);

    if (a->state == NGX_MESH_AGENT_ONLINE) {
        ngx_mesh_agent_no_answer(a);
    }
}


ngx_int_t
ngx_mesh_agent_send(ngx_mesh_agent_t *a, const u_char *data, size_t len)
{
    return ngx_mesh_ws_send(a->s, NGX_MESH_WS_BINARY, data, len);
}


/* 4 bytes: clear, 11, 12, 13, 16 */
void
ngx_mesh_agent_request_send(ngx_mesh_agent_t *a, ngx_uint_t cmd)
{
    size_t  n;
    u_char  msg[MESH_AGENT_REQUEST_LEN];

    n = mesh_agent_write_request(msg, cmd, 0);
    (void) ngx_mesh_agent_send(a, msg, n);
}


void
ngx_mesh_agent_scope(ngx_mesh_agent_t *a, ngx_mesh_scope_t *scope)
{
    ngx_memzero(scope, sizeof(ngx_mesh_scope_t));

    scope->domain_id = a->domain_id;
    scope->group_id = a->group_id;
    scope->device_id = a->device_id;
}


/* it is who it says, its row is there: let it in */
void
ngx_mesh_agent_admit(ngx_mesh_agent_t *a)
{
    u_char               msg[2];
    size_t               n;
    ngx_mesh_addr_t      loser;
    ngx_mesh_presence_t  p;

    ngx_memzero(&p, sizeof(ngx_mesh_presence_t));
    ngx_memcpy(p.id, a->id, NGX_MESH_ID_LEN);
    ngx_mesh_session_addr(a->s, &p.owner);
    p.device_id = a->device_id;
    p.group_id = a->group_id;
    p.domain_id = a->domain_id;
    p.since = ngx_time();
    p.kind = NGX_MESH_AGENT;
    p.caps = a->caps & 0xff;
    p.consent = a->consent;

    /* the last step: nobody can address one that is half in */
    if (ngx_mesh_presence_insert(&p, &loser) != NGX_OK) {
        ngx_mesh_agent_hold(a, NGX_MESH_REFUSED_ZONE);
        return;
    }

    a->state = NGX_MESH_AGENT_ONLINE;
    a->node.key = (ngx_rbtree_key_t) a->device_id;
    ngx_rbtree_insert(&ngx_mesh_agent_tree, &a->node);

    ngx_mesh_agent_uncount(a);
    ngx_mesh_agent_auth_free(a);

    ngx_mesh_gauge(NGX_MESH_G_PENDING, -1);
    ngx_mesh_gauge(NGX_MESH_G_AGENTS, 1);
    ngx_mesh_count(NGX_MESH_C_AGENTS_TOTAL);

    a->s->message_max = a->s->srv->message_agent;
    ngx_mesh_ws_deadline(a->s, 0);

    if (loser.serial) {
        (void) ngx_mesh_mute(&loser);
    }

    n = mesh_agent_write_auth_confirm(msg);

    if (ngx_mesh_agent_send(a, msg, n) != NGX_OK) {
        return;     /* the session ends by itself */
    }

    ngx_mesh_agent_push_start(a);

    /* some may have outlived its last connection */
    if (ngx_mesh_running_any()) {
        ngx_mesh_agent_sessions_changed(a);
    }

    ngx_mesh_agent_online(a->domain_id, a->id, a->device_id, a->group_id,
                          &a->s->address, 1);
}


/* what everybody should know when a device comes or goes */
void
ngx_mesh_agent_online(int64_t domain_id, const u_char *id, int64_t device_id,
    int64_t group_id, const ngx_str_t *address, ngx_uint_t online)
{
    u_char              node[8 + 64 + NGX_MESH_ID_TEXT], *p;
    ngx_str_t           text, name;
    ngx_pool_t         *pool;
    ngx_mesh_jw_t       w;
    ngx_mesh_group_t   *group;
    ngx_mesh_scope_t    scope;
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_db_create(NULL, NULL);

    if (q) {
        ngx_mesh_db_stmt(q, MESH_SQL_DEVICE_SEEN);
        ngx_mesh_db_int(q, device_id);
        ngx_mesh_db_int(q, ngx_mesh_now_ms());
        ngx_mesh_db_int(q, online);
        ngx_mesh_db_int(q, 1);
        ngx_mesh_db_str(q, address);
        ngx_mesh_db_late(q, "seen", device_id);
    }

    q = ngx_mesh_db_create(NULL, NULL);

    if (q) {
        ngx_mesh_db_stmt(q, MESH_SQL_POWER_ADD);
        ngx_mesh_db_int(q, device_id);
        ngx_mesh_db_int(q, ngx_mesh_now_ms());
        ngx_mesh_db_int(q, online);
        ngx_mesh_db_late(q, "power", device_id);
    }

    if (ngx_mesh_gauge_sum(NGX_MESH_G_BROWSERS) == 0) {
        return;
    }

    group = ngx_mesh_group(group_id);
    pool = ngx_create_pool(1024, ngx_cycle->log);

    if (group == NULL || pool == NULL) {
        return;
    }

    p = ngx_snprintf(node, sizeof(node), "node/%V/", &group->domain);
    name.data = node;
    name.len = ngx_mesh_id_write(p, id) - node;

    if (ngx_mesh_jw_init(&w, pool, 512) == NGX_OK) {
        ngx_mesh_jw_open(&w, NULL, '{');
        ngx_mesh_jw_cstr(&w, "etype", "node");
        ngx_mesh_jw_cstr(&w, "action", "nodeconnect");
        ngx_mesh_jw_str(&w, "nodeid", &name);
        ngx_mesh_jw_str(&w, "meshid", &group->wire);
        ngx_mesh_jw_str(&w, "domain", &group->domain);
        ngx_mesh_jw_int(&w, "conn", online);
        ngx_mesh_jw_int(&w, "pwr", online);

        if (online) {
            ngx_mesh_jw_int(&w, "ct", ngx_mesh_now_ms());
        }

        ngx_mesh_jw_int(&w, "nolog", 1);
        ngx_mesh_jw_shut(&w, '}');

        if (ngx_mesh_jw_done(&w, &text) == NGX_OK) {
            ngx_memzero(&scope, sizeof(ngx_mesh_scope_t));
            scope.domain_id = domain_id;
            scope.group_id = group_id;
            scope.device_id = device_id;
            ngx_mesh_event_publish(&scope, &text);
        }
    }

    ngx_destroy_pool(pool);
}


/* by shm, for each device of a worker that died */
void
ngx_mesh_presence_lost(const ngx_mesh_presence_t *p)
{
    ngx_str_t  address;

    if (p->kind == NGX_MESH_AGENT) {
        ngx_str_set(&address, "");
        ngx_mesh_agent_online(p->domain_id, p->id, p->device_id, p->group_id,
                              &address, 0);
    }
}


void
ngx_mesh_agent_hold(ngx_mesh_agent_t *a, ngx_uint_t reason)
{
    ngx_mesh_refused_t   r;
    ngx_mesh_session_t  *s;

    s = a->s;

    if (a->state == NGX_MESH_AGENT_HELD || a->state == NGX_MESH_AGENT_MUTED) {
        return;
    }

    ngx_log_error(NGX_LOG_INFO, s->c->log, 0,
                  "mesh agent: held, %s", ngx_mesh_refused_text(reason));

    ngx_memzero(&r, sizeof(ngx_mesh_refused_t));
    ngx_memcpy(r.id, a->id, NGX_MESH_ID_LEN);
    ngx_cpystrn(r.address, s->address.data,
                ngx_min(s->address.len + 1, sizeof(r.address)));
    r.domain_id = a->domain_id;
    r.reason = reason;

    if (a->hs) {
        ngx_memcpy(r.group, a->hs->mesh, NGX_MESH_ID_LEN);
        ngx_memcpy(r.hash, a->hs->web, NGX_MESH_ID_LEN);
        ngx_cpystrn(r.name, a->hs->name,
                    ngx_min(a->hs->name_len + 1, sizeof(r.name)));
    }

    ngx_mesh_refused_add(&r);

    a->state = NGX_MESH_AGENT_HELD;
    a->reason = reason;

    if (a->db) {
        ngx_mesh_db_forget(a->db);
        a->db = NULL;
    }

    ngx_mesh_agent_uncount(a);
    ngx_mesh_agent_auth_free(a);

    ngx_mesh_gauge(NGX_MESH_G_PENDING, -1);
    ngx_mesh_gauge(NGX_MESH_G_HELD, 1);
    ngx_mesh_count(NGX_MESH_C_HELD);

    ngx_mesh_agent_refused_event(a);

    /* over the bound those go that come back slowly */
    if (!a->sent_info
        && ngx_mesh_slot->gauge[NGX_MESH_G_HELD]
           > (ngx_atomic_uint_t) ngx_mesh_core_conf()->handshakes)
    {
        ngx_mesh_ws_close(s, MESH_WS_CODE_POLICY);
        return;
    }

    ngx_mesh_ws_deadline(s, ngx_max(s->srv->refuse_hold / 1000, 1));
}


/* one an hour for each device and reason */
static void
ngx_mesh_agent_refused_event(ngx_mesh_agent_t *a)
{
    u_char            key[NGX_MESH_ID_LEN + 1], text[192];
    ngx_str_t         name;
    ngx_mesh_event_t  e;

    ngx_memcpy(key, a->id, NGX_MESH_ID_LEN);
    key[NGX_MESH_ID_LEN] = a->reason;
    name.data = key;
    name.len = sizeof(key);

    if (a->domain_id == 0
        || ngx_mesh_rate(NGX_MESH_RATE_REFUSED, &name, 1, 3600) != 1)
    {
        return;
    }

    ngx_memzero(&e, sizeof(ngx_mesh_event_t));
    ngx_mesh_agent_scope(a, &e.scope);
    e.scope.site_rights = NGX_MESH_S_UPDATE;
    e.kind = "server";
    e.action = "agentrefused";
    e.address = a->s->address;
    e.text.data = text;
    e.text.len = ngx_snprintf(text, sizeof(text),
                              "An agent at %V is held: %s", &a->s->address,
                              ngx_mesh_refused_text(a->reason))
                 - text;

    ngx_mesh_event_log(&e);
}


static void
ngx_mesh_agent_deliver(ngx_mesh_session_t *s, const ngx_mesh_addr_t *from,
    u_char *data, size_t len)
{
    uint16_t               code;
    ngx_mesh_agent_t      *a;
    ngx_mesh_requester_t   who;

    a = s->data;

    if (a->state != NGX_MESH_AGENT_ONLINE || len == 0) {
        return;
    }

    switch (data[0]) {

    case NGX_MESH_DELIVER_JSON:

        if (len < 1 + sizeof(ngx_mesh_requester_t)) {
            return;
        }

        ngx_memcpy(&who, data + 1, sizeof(ngx_mesh_requester_t));
        data += 1 + sizeof(ngx_mesh_requester_t);
        len -= 1 + sizeof(ngx_mesh_requester_t);

        if (from && who.len && who.len <= NGX_MESH_REQUESTER_ID) {
            ngx_mesh_agent_asked(a, from, &who, data, len);
        }

        /* JSON goes to agents in binary frames */
        (void) ngx_mesh_agent_send(a, data, len);
        return;

    case NGX_MESH_DELIVER_OPENED:
        a->tunnels++;
        ngx_mesh_agent_sessions_changed(a);
        return;

    case NGX_MESH_DELIVER_ENDED:

        if (a->tunnels) {
            a->tunnels--;
        }

        ngx_mesh_agent_push_tunnels(a);
        ngx_mesh_agent_sessions_changed(a);
        return;

    case NGX_MESH_DELIVER_LISTED:
        ngx_mesh_agent_sessions_changed(a);
        return;

    case NGX_MESH_DELIVER_END:

        code = MESH_WS_CODE_AWAY;

        if (len == 1 + sizeof(uint16_t)) {
            ngx_memcpy(&code, data + 1, sizeof(uint16_t));
        }

        ngx_mesh_ws_close(s, code);
        return;

    case NGX_MESH_DELIVER_DEVICE:
        ngx_mesh_agent_reread(a);
        return;

    case NGX_MESH_DELIVER_CORE:

        if (len == 2) {
            ngx_mesh_agent_push_action(a, data[1]);
        }

        return;
    }
}


/* also by another process: mesh-admin, a worker of another server */
static void
ngx_mesh_agent_row_changed(ngx_uint_t kind, int64_t id)
{
    ngx_mesh_agent_t   *a;
    ngx_rbtree_key_t    key;
    ngx_rbtree_node_t  *node, *first;

    if (kind != NGX_MESH_CHANGE_DEVICE) {
        return;
    }

    key = (ngx_rbtree_key_t) id;
    first = NULL;
    node = ngx_mesh_agent_tree.root;

    while (node != &ngx_mesh_agent_sentinel) {

        if (node->key == key) {
            first = node;
        }

        node = key <= node->key ? node->left : node->right;
    }

    /* two for as long as the one is not muted yet */

    while (first && first->key == key) {
        a = ngx_rbtree_data(first, ngx_mesh_agent_t, node);
        first = ngx_rbtree_next(&ngx_mesh_agent_tree, first);
        ngx_mesh_agent_reread(a);
    }
}


/* last one wins; closing the loser would be a war of two clones */
static void
ngx_mesh_agent_mute(ngx_mesh_session_t *s)
{
    ngx_mesh_agent_t  *a;

    a = s->data;

    if (a->state != NGX_MESH_AGENT_ONLINE) {
        return;
    }

    a->state = NGX_MESH_AGENT_MUTED;
    ngx_rbtree_delete(&ngx_mesh_agent_tree, &a->node);
    ngx_mesh_agent_askers_free(a);
    ngx_mesh_agent_update_free(a);

    ngx_mesh_gauge(NGX_MESH_G_AGENTS, -1);
    ngx_mesh_gauge(NGX_MESH_G_HELD, 1);
    ngx_mesh_count(NGX_MESH_C_MUTED);

    ngx_mesh_ws_deadline(s, NGX_MESH_AGENT_DUPLICATE);
}


static void
ngx_mesh_agent_deadline(ngx_mesh_session_t *s)
{
    ngx_mesh_event_t      e;
    ngx_mesh_agent_t     *a;
    ngx_mesh_refused_t    r;
    ngx_mesh_presence_t   p;

    a = s->data;

    switch (a->state) {

    case NGX_MESH_AGENT_AUTH:
    case NGX_MESH_AGENT_DEVICE:
        ngx_mesh_agent_auth_tick(a);
        return;

    case NGX_MESH_AGENT_HELD:
        ngx_mesh_ws_close(s, MESH_WS_CODE_POLICY);
        return;

    case NGX_MESH_AGENT_ONLINE:
        ngx_mesh_agent_sessions_tick(a);
        return;

    case NGX_MESH_AGENT_MUTED:
        break;

    default:
        return;
    }

    /* the winner has ended: this one may come back */
    if (ngx_mesh_presence_lookup(NGX_MESH_AGENT, a->domain_id, a->id, &p)
        != NGX_OK)
    {
        ngx_mesh_ws_close(s, MESH_WS_CODE_AWAY);
        return;
    }

    if (!a->told) {
        a->told = 1;
        a->reason = NGX_MESH_REFUSED_DUPLICATE;

        ngx_memzero(&r, sizeof(ngx_mesh_refused_t));
        ngx_memcpy(r.id, a->id, NGX_MESH_ID_LEN);
        ngx_cpystrn(r.address, s->address.data,
                    ngx_min(s->address.len + 1, sizeof(r.address)));
        r.domain_id = a->domain_id;
        r.reason = a->reason;
        ngx_mesh_refused_add(&r);

        ngx_memzero(&e, sizeof(ngx_mesh_event_t));
        ngx_mesh_agent_scope(a, &e.scope);
        e.kind = "node";
        e.action = "duplicate";
        e.address = s->address;
        ngx_str_set(&e.text, "Two machines share one identity: a disk was "
                             "cloned after the agent had been installed");
        ngx_mesh_event_log(&e);
    }

    ngx_mesh_ws_deadline(s, 5);
}


static void
ngx_mesh_agent_uncount(ngx_mesh_agent_t *a)
{
    if (a->counted) {
        a->counted = 0;
        ngx_mesh_limit_leave(NGX_MESH_LIMIT_AGENT, &a->s->address);
    }
}


static void
ngx_mesh_agent_close(ngx_mesh_session_t *s)
{
    u_char             address[64];
    ngx_mesh_agent_t  *a;

    a = s->data;

    if (a->s == NULL) {
        /* the connection ended before it was detached */
        if (a->counted) {
            ngx_mesh_limit_leave(NGX_MESH_LIMIT_AGENT, &s->c->addr_text);
        }

        ngx_mesh_gauge(NGX_MESH_G_PENDING, -1);
        ngx_mesh_agent_auth_free(a);
        ngx_free(a);
        return;
    }

    if (a->db) {
        ngx_mesh_db_forget(a->db);
    }

    switch (a->state) {

    case NGX_MESH_AGENT_ONLINE:
        ngx_rbtree_delete(&ngx_mesh_agent_tree, &a->node);
        ngx_mesh_gauge(NGX_MESH_G_AGENTS, -1);

        if (ngx_mesh_presence_delete(NGX_MESH_AGENT, a->domain_id, a->id,
                                     s->serial)
            == NGX_OK)
        {
            ngx_mesh_agent_online(a->domain_id, a->id, a->device_id,
                                  a->group_id, &s->address, 0);
        }

        break;

    case NGX_MESH_AGENT_HELD:
    case NGX_MESH_AGENT_MUTED:
        ngx_mesh_gauge(NGX_MESH_G_HELD, -1);
        ngx_cpystrn(address, s->address.data,
                    ngx_min(s->address.len + 1, sizeof(address)));
        ngx_mesh_refused_left(a->id, address, a->reason);
        break;

    default:
        ngx_mesh_gauge(NGX_MESH_G_PENDING, -1);
        break;
    }

    ngx_mesh_agent_uncount(a);
    ngx_mesh_agent_askers_free(a);
    ngx_mesh_agent_auth_free(a);

    ngx_mesh_agent_update_free(a);
    ngx_mesh_agent_sessions_free(a);

    if (a->later.timer_set) {
        ngx_del_timer(&a->later);
    }

    if (a->hardware) {
        ngx_free(a->hardware);
    }

    ngx_free(a);
}

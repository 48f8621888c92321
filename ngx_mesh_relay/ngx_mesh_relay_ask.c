/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Who may take which half of a session: session.md 1.15.
 */

#include "ngx_mesh_relay_in.h"


#define NGX_MESH_RELAY_ID_MAX   64
#define NGX_MESH_RELAY_CHAT     200       /* p of a messenger */
#define NGX_MESH_RELAY_CHAT_MAX 640       /* bytes of its id */


/* what a handler keeps while the account is looked up */
typedef struct {
    ngx_http_request_t      *r;
    ngx_mesh_relay_t        *half;
    ngx_mesh_ticket_t        route;   /* of getcookie; kind 0: none */
} ngx_mesh_relay_ctx_t;


static ngx_int_t ngx_mesh_relay_args(ngx_http_request_t *r,
    ngx_mesh_relay_t *half, ngx_str_t *id);
static ngx_int_t ngx_mesh_relay_arg(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);
static ngx_int_t ngx_mesh_relay_device(ngx_http_request_t *r,
    ngx_mesh_relay_t *half, ngx_str_t *id, ngx_str_t *rauth);
static void ngx_mesh_relay_viewer(void *data, ngx_mesh_auth_t *who,
    const char *cause, const char *msg);
static ngx_int_t ngx_mesh_relay_target(ngx_http_request_t *r,
    ngx_mesh_relay_t *half, ngx_mesh_ticket_t *ticket);
static ngx_mesh_route_t *ngx_mesh_relay_route(ngx_mesh_relay_t *half,
    ngx_http_mesh_srv_conf_t *srv);
static void ngx_mesh_relay_key(ngx_mesh_relay_t *half, ngx_str_t *id);
static ngx_uint_t ngx_mesh_relay_is_chat(const ngx_str_t *id);
static ngx_int_t ngx_mesh_relay_chat(ngx_mesh_relay_t *half,
    const ngx_str_t *id);
static ngx_int_t ngx_mesh_relay_chat_allowed(ngx_mesh_relay_t *half);


/* kinds of sessions, control.md 5.5 and session.md 1.7 */

static const ngx_mesh_relay_kind_t  ngx_mesh_relay_kinds[] = {
    { 1, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOTERMINAL, "terminal", 14, 10 },
    { 6, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOTERMINAL, "terminal", 14, 10 },
    { 8, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOTERMINAL, "terminal", 14, 10 },
    { 9, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOTERMINAL, "terminal", 14, 10 },
    { NGX_MESH_RELAY_DESKTOP,
      NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_REMOTEVIEWONLY,
      NGX_MESH_D_NODESKTOP, "desktop", 15, 11 },
    { 5, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOFILES, "files", 16, 12 },
    { 10, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOFILES, "files", 16, 12 },
    { NGX_MESH_P_FETCH, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOFILES, "files",
      16, 12 },
    { NGX_MESH_RELAY_CHAT, NGX_MESH_D_CHATNOTIFY, 0, "chat", 162, 112 },
    /* what is not named carries what the device's core allows */
    { 0, NGX_MESH_D_REMOTECONTROL, 0, "relay", 13, 9 }
};

/* of a target; what it needs beyond that is a matter of its route */
static const ngx_mesh_relay_kind_t  ngx_mesh_relay_targets[] = {
    { 10, NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_RELAY, 0, "RDP", 13, 9 },
    { 11, NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_RELAY, 0, "SSH", 13, 9 },
    { 12, NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_RELAY, 0, "VNC", 13, 9 },
    { 13, NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_RELAY, 0, "SFTP", 13, 9 },
    { 14, NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_RELAY, 0, "web", 13, 9 },
    { 0, NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_RELAY, 0, "TCP", 13, 9 }
};

static const ngx_mesh_relay_kind_t  ngx_mesh_relay_udp =
    { 0, NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_RELAY, 0, "UDP", 13, 9 };


const ngx_mesh_relay_kind_t *
ngx_mesh_relay_kind(uint32_t p)
{
    const ngx_mesh_relay_kind_t  *kind;

    if (p & NGX_MESH_P_UDP) {
        return &ngx_mesh_relay_udp;
    }

    kind = (p & NGX_MESH_P_TCP) ? ngx_mesh_relay_targets
                                : ngx_mesh_relay_kinds;

    for ( /* void */ ; kind->p; kind++) {
        if (kind->p == (p & ~NGX_MESH_P_FLAGS)) {
            break;
        }
    }

    return kind;
}


/*
 * GET meshrelay.ashx.  A valid rauth makes the device's half; all others must
 * be somebody with an account.
 */
ngx_int_t
ngx_http_mesh_relay_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_str_t              id, rauth;
    ngx_mesh_relay_t      *half;
    ngx_mesh_relay_ctx_t  *ctx;

    if (!ngx_mesh_model_ready()) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    half = ngx_calloc(sizeof(ngx_mesh_relay_t), r->connection->log);
    if (half == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    half->between = 1;

    if (ngx_mesh_relay_args(r, half, &id) != NGX_OK) {
        ngx_mesh_relay_free(half);
        return NGX_HTTP_BAD_REQUEST;
    }

    if (ngx_mesh_relay_arg(r, "rauth", &rauth) == NGX_OK) {
        rc = ngx_mesh_relay_device(r, half, &id, &rauth);

        if (rc == NGX_OK) {
            rc = ngx_mesh_relay_accept(r, half);
        }

        if (rc != NGX_DONE) {
            ngx_mesh_relay_free(half);
        }

        return rc;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_mesh_relay_ctx_t));
    if (ctx == NULL) {
        ngx_mesh_relay_free(half);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->r = r;
    ctx->half = half;

    rc = ngx_mesh_auth_route(r, &ctx->route, ngx_mesh_relay_viewer, ctx);

    if (rc != NGX_DONE) {
        ngx_mesh_relay_free(half);
    }

    return rc;
}


static ngx_int_t
ngx_mesh_relay_args(ngx_http_request_t *r, ngx_mesh_relay_t *half,
    ngx_str_t *id)
{
    size_t     i;
    u_char     ch;
    ngx_int_t  p;
    ngx_str_t  value;

    if (ngx_mesh_relay_arg(r, "id", id) != NGX_OK) {

        /* who names a target, or has a ticket for one, gets an id of ours */

        if (ngx_mesh_relay_arg(r, "tcpport", &value) != NGX_OK
            && ngx_mesh_relay_arg(r, "udpport", &value) != NGX_OK
            && ngx_mesh_relay_arg(r, "auth", &value) != NGX_OK)
        {
            return NGX_ERROR;
        }

        half->invites = 1;

    } else if (ngx_mesh_relay_is_chat(id)) {

        /* it says all; what else the URL has is not looked at */
        return id->len <= NGX_MESH_RELAY_CHAT_MAX ? NGX_OK : NGX_ERROR;

    } else if (id->len == 0 || id->len > NGX_MESH_RELAY_ID_MAX) {
        return NGX_ERROR;
    }

    if (half->invites) {
        ngx_str_null(id);
    }

    for (i = 0; i < id->len; i++) {
        ch = id->data[i];

        if (!(ch >= '0' && ch <= '9') && !(ch >= 'A' && ch <= 'Z')
            && !(ch >= 'a' && ch <= 'z')
            && ch != '@' && ch != '$' && ch != '_' && ch != '-')
        {
            return NGX_ERROR;
        }
    }

    if (ngx_mesh_relay_arg(r, "p", &value) == NGX_OK) {
        p = ngx_atoi(value.data, value.len);

        if (p == NGX_ERROR || p > 255 || p == NGX_MESH_RELAY_CHAT) {
            return NGX_ERROR;
        }

        half->p = p;
    }

    return NGX_OK;
}


/* an argument of the request, unescaped; some clients glue "?key=" behind */
static ngx_int_t
ngx_mesh_relay_arg(ngx_http_request_t *r, const char *name, ngx_str_t *value)
{
    u_char     *p, *src, *dst;
    ngx_str_t   raw;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &raw) != NGX_OK) {
        return NGX_DECLINED;
    }

    p = ngx_strlchr(raw.data, raw.data + raw.len, '?');
    if (p) {
        raw.len = p - raw.data;
    }

    value->data = ngx_pnalloc(r->pool, raw.len + 1);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    src = raw.data;
    dst = value->data;
    ngx_unescape_uri(&dst, &src, raw.len, 0);
    value->len = dst - value->data;

    return NGX_OK;
}


/* the device's half: all that it may is in the ticket, nothing in the URL */
static ngx_int_t
ngx_mesh_relay_device(ngx_http_request_t *r, ngx_mesh_relay_t *half,
    ngx_str_t *id, ngx_str_t *rauth)
{
    const char          *why;
    ngx_uint_t           chat;
    ngx_mesh_ticket_t    ticket;
    ngx_mesh_presence_t  presence;

    chat = ngx_mesh_relay_is_chat(id);

    if (half->invites
        || ngx_mesh_ticket_read(&ticket, chat ? NGX_MESH_TICKET_CHAT
                                              : NGX_MESH_TICKET_RELAY,
                                rauth, r->pool)
           != NGX_OK
        || (!chat
            && (ticket.id.len != id->len
                || ngx_memcmp(ticket.id.data, id->data, id->len) != 0)))
    {
        ngx_mesh_count(NGX_MESH_C_RELAY_REFUSED);
        return NGX_HTTP_FORBIDDEN;
    }

    half->role = NGX_MESH_DEVICE;
    half->p = ticket.p;
    half->domain_id = ticket.domain_id;
    half->account_id = ticket.account_id;
    half->device_id = ticket.device_id;
    half->password_at = ticket.password_at;
    ngx_memcpy(half->node, ticket.node, NGX_MESH_ID_LEN);

    /* who sits at a device, in a browser: the agent has no part in it */
    if (chat) {

        if (ngx_mesh_relay_chat(half, id) != NGX_OK
            || ngx_mesh_relay_allowed(half) != NGX_OK)
        {
            ngx_mesh_count(NGX_MESH_C_RELAY_REFUSED);
            return NGX_HTTP_FORBIDDEN;
        }

        return NGX_OK;
    }

    if (ngx_mesh_presence_lookup(NGX_MESH_AGENT, half->domain_id, half->node,
                                 &presence)
        == NGX_OK)
    {
        half->agent = presence.owner;
    }

    if (ticket.port) {
        half->route = ngx_mesh_relay_route(half,
                          ngx_http_get_module_srv_conf(r,
                                                      ngx_http_mesh_module));

        if (half->route == NULL
            || ngx_mesh_route_target(half->route, &ticket.addr, ticket.port,
                                     &why)
               != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ngx_mesh_relay_key(half, id);

    if (ngx_mesh_relay_allowed(half) != NGX_OK) {
        ngx_mesh_count(NGX_MESH_C_RELAY_REFUSED);
        return NGX_HTTP_FORBIDDEN;
    }

    return NGX_OK;
}


/* the viewer's half: who is known, or is told why not and closed */
static void
ngx_mesh_relay_viewer(void *data, ngx_mesh_auth_t *who, const char *cause,
    const char *msg)
{
    ngx_mesh_relay_ctx_t *ctx = data;

    ngx_int_t            rc;
    ngx_str_t            id, nodeid;
    ngx_mesh_relay_t    *half;
    ngx_http_request_t  *r;

    r = ctx->r;
    half = ctx->half;

    if (who == NULL) {
        ngx_mesh_count(NGX_MESH_C_RELAY_REFUSED);
        ngx_mesh_relay_free(half);
        ngx_http_finalize_request(r, ngx_mesh_auth_refuse(r, cause, msg));
        return;
    }

    half->role = NGX_MESH_VIEWER;
    half->domain_id = who->domain_id;
    half->account_id = who->account_id;
    half->password_at = who->password_at;
    ngx_memcpy(half->session, who->session, 32);
    half->expires_at = who->expires_at;
    half->heard = who->heard;

    rc = NGX_OK;

    if (half->invites) {

        if (ngx_mesh_relay_arg(r, "nodeid", &nodeid) == NGX_OK) {
            rc = ngx_mesh_node_parse(half->domain_id, &nodeid, half->node);
        }

        if (rc == NGX_OK) {
            rc = ngx_mesh_relay_target(r, half, &ctx->route);
        }

    } else {
        rc = ctx->route.kind ? NGX_DECLINED
                             : ngx_mesh_relay_arg(r, "id", &id);

        if (rc == NGX_OK && ngx_mesh_relay_is_chat(&id)) {
            rc = ngx_mesh_relay_chat(half, &id);

        } else if (rc == NGX_OK) {

            if (ngx_mesh_relay_arg(r, "nodeid", &nodeid) == NGX_OK) {
                rc = ngx_mesh_node_parse(half->domain_id, &nodeid,
                                         half->node);
            }

            ngx_mesh_relay_key(half, &id);
        }

        if (rc == NGX_OK) {
            rc = ngx_mesh_relay_allowed(half);
        }
    }

    if (rc != NGX_OK) {
        ngx_mesh_count(NGX_MESH_C_RELAY_REFUSED);
        ngx_mesh_relay_free(half);
        ngx_http_finalize_request(r, NGX_HTTP_FORBIDDEN);
        return;
    }

    rc = ngx_mesh_relay_accept(r, half);

    if (rc != NGX_DONE) {
        ngx_mesh_relay_free(half);
    }

    ngx_http_finalize_request(r, rc);
}


/*
 * A viewer whose agent we command: which target, from its ticket or its URL.
 * What is wrong is told to it as a viewer, whose client shows no statuses.
 */
static ngx_int_t
ngx_mesh_relay_target(ngx_http_request_t *r, ngx_mesh_relay_t *half,
    ngx_mesh_ticket_t *ticket)
{
    ngx_int_t         n;
    ngx_str_t         addr, port;
    ngx_uint_t        udp;
    ngx_mesh_route_t  *route;

    static u_char  zeros[NGX_MESH_ID_LEN];

    ngx_str_null(&addr);
    udp = 0;

    if (ngx_mesh_relay_arg(r, "tcpport", &port) == NGX_OK) {
        (void) ngx_mesh_relay_arg(r, "tcpaddr", &addr);

    } else if (ngx_mesh_relay_arg(r, "udpport", &port) == NGX_OK) {
        (void) ngx_mesh_relay_arg(r, "udpaddr", &addr);
        udp = 1;

    } else {
        ngx_str_null(&port);
    }

    if (ticket->kind) {

        /* it stands for one target of one device; the URL names no other */

        if (port.len
            || (ngx_memcmp(half->node, zeros, NGX_MESH_ID_LEN) != 0
                && ngx_memcmp(half->node, ticket->node, NGX_MESH_ID_LEN) != 0))
        {
            half->refusal = "The cookie is for another connection.";
            return NGX_OK;
        }

        ngx_memcpy(half->node, ticket->node, NGX_MESH_ID_LEN);
        half->p = ticket->p;
        addr = ticket->addr;
        n = ticket->port;

    } else if (port.len == 0) {
        half->refusal = "The cookie of this connection is not valid any more.";
        return NGX_OK;

    } else {
        n = ngx_atoi(port.data, port.len);
        half->p |= udp ? NGX_MESH_P_UDP : NGX_MESH_P_TCP;
    }

    route = ngx_mesh_relay_route(half,
                ngx_http_get_module_srv_conf(r, ngx_http_mesh_module));
    if (route == NULL) {
        return NGX_ERROR;
    }

    half->route = route;
    ngx_memcpy(route->address, r->connection->addr_text.data,
               ngx_min(r->connection->addr_text.len,
                       sizeof(route->address) - 1));

    if (ngx_mesh_route_target(route, &addr, n == NGX_ERROR ? 0 : n,
                              &half->refusal)
        != NGX_OK
        || ngx_mesh_route_check(route, &half->refusal) != NGX_OK)
    {
        return NGX_OK;
    }

    half->refusal = NULL;

    return ngx_mesh_route_id(route, half->id, half->key);
}


/* what the half knows of itself */
static ngx_mesh_route_t *
ngx_mesh_relay_route(ngx_mesh_relay_t *half, ngx_http_mesh_srv_conf_t *srv)
{
    ngx_mesh_route_t  *route;

    route = ngx_calloc(sizeof(ngx_mesh_route_t), ngx_cycle->log);
    if (route == NULL) {
        return NULL;
    }

    route->srv = srv;
    route->who.domain_id = half->domain_id;
    route->who.account_id = half->account_id;
    route->who.password_at = half->password_at;
    ngx_memcpy(route->who.session, half->session, 32);
    ngx_memcpy(route->node, half->node, NGX_MESH_ID_LEN);
    route->p = half->p;

    return route;
}


/*
 * The id is a name, not a secret: the key holds whose it is, so that two
 * users with one id neither meet nor block each other.
 */
static void
ngx_mesh_relay_key(ngx_mesh_relay_t *half, ngx_str_t *id)
{
    u_char  *p, buf[16 + NGX_MESH_RELAY_ID_MAX];

    p = mesh_put64(buf, (uint64_t) half->domain_id);
    p = mesh_put64(p, (uint64_t) half->account_id);
    p = ngx_cpymem(p, id->data, id->len);

    ngx_mesh_sha256(buf, p - buf, half->key);
}


static ngx_uint_t
ngx_mesh_relay_is_chat(const ngx_str_t *id)
{
    return id->len > sizeof("meshmessenger/") - 1
           && ngx_strncmp(id->data, "meshmessenger/",
                          sizeof("meshmessenger/") - 1) == 0;
}


/*
 * meshmessenger/A/B: B, a user, invited A, a user or a device.  The half is of
 * one of them; of a device it has a ticket that says so.  The key is of both,
 * and of no session that is no messenger, as account 0 has none.
 */
static ngx_int_t
ngx_mesh_relay_chat(ngx_mesh_relay_t *half, const ngx_str_t *id)
{
    u_char              *p, *last, *slash[5];
    u_char               node[NGX_MESH_ID_LEN], buf[24 + NGX_MESH_ID_LEN + 8];
    ngx_str_t            a, b;
    ngx_uint_t           n;
    ngx_mesh_account_t  *caller, *called;

    n = 0;
    last = id->data + id->len;

    /* exactly seven parts */
    for (p = id->data + sizeof("meshmessenger/") - 1; p < last; p++) {
        if (*p == '/') {
            if (n == 5) {
                return NGX_DECLINED;
            }

            slash[n++] = p;
        }
    }

    if (n != 5) {
        return NGX_DECLINED;
    }

    a.data = id->data + sizeof("meshmessenger/") - 1;
    a.len = slash[2] - a.data;
    b.data = slash[2] + 1;
    b.len = last - b.data;

    /* the long form of each; the names of the finder may be short */
    if (slash[3] - b.data != 4 || ngx_strncmp(b.data, "user", 4) != 0) {
        return NGX_DECLINED;
    }

    caller = ngx_mesh_account_find(half->domain_id, &b);

    if (caller == NULL) {
        return NGX_DECLINED;
    }

    called = NULL;
    ngx_memzero(node, NGX_MESH_ID_LEN);

    if (slash[0] - a.data == 4 && ngx_strncmp(a.data, "user", 4) == 0) {
        called = ngx_mesh_account_find(half->domain_id, &a);

        if (called == NULL || called == caller) {
            return NGX_DECLINED;
        }

    } else if (ngx_mesh_node_parse(half->domain_id, &a, node) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (half->role == NGX_MESH_DEVICE) {

        /* the ticket is of the one who invited, for one device */
        if (called || caller->account_id != half->account_id
            || ngx_memcmp(node, half->node, NGX_MESH_ID_LEN) != 0)
        {
            return NGX_DECLINED;
        }

    } else if (called && called->account_id == half->account_id) {
        half->role = NGX_MESH_DEVICE;

    } else if (caller->account_id != half->account_id) {
        return NGX_DECLINED;
    }

    half->p = NGX_MESH_RELAY_CHAT;
    half->caller_id = caller->account_id;
    half->called_id = called ? called->account_id : 0;
    ngx_memcpy(half->node, node, NGX_MESH_ID_LEN);

    p = mesh_put64(buf, (uint64_t) half->domain_id);
    p = mesh_put64(p, 0);
    p = mesh_put64(p, (uint64_t) half->called_id);
    p = ngx_cpymem(p, node, NGX_MESH_ID_LEN);
    p = mesh_put64(p, (uint64_t) half->caller_id);

    ngx_mesh_sha256(buf, p - buf, half->key);

    return NGX_OK;
}


/* between two users: who invited may see users, and neither is locked */
static ngx_int_t
ngx_mesh_relay_chat_allowed(ngx_mesh_relay_t *half)
{
    ngx_mesh_account_t  *caller, *called;

    caller = ngx_mesh_account(half->caller_id);
    called = ngx_mesh_account(half->called_id);

    if (caller == NULL || called == NULL
        || caller->domain_id != half->domain_id
        || called->domain_id != half->domain_id
        || ngx_mesh_account_locked(caller) || ngx_mesh_account_locked(called)
        || !ngx_mesh_right(caller->site_rights, NGX_MESH_S_MANAGEUSERS))
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/*
 * May the account use this session now?  Asked when a half comes, when two
 * pair, and when anything about the account or its grants has changed.
 */
ngx_int_t
ngx_mesh_relay_allowed(ngx_mesh_relay_t *half)
{
    uint32_t                      rights;
    ngx_uint_t                    visible;
    ngx_mesh_account_t           *account;
    ngx_mesh_presence_t           presence;
    const ngx_mesh_relay_kind_t  *kind;

    static u_char  zeros[NGX_MESH_ID_LEN];

    if (half->route) {
        half->route->runs = half->state == NGX_MESH_RELAY_JOINED;

        if (ngx_mesh_route_check(half->route, &half->refusal) != NGX_OK) {
            return NGX_DECLINED;
        }

        half->refusal = NULL;
        half->device_id = half->route->device.device_id;
        return NGX_OK;
    }

    account = ngx_mesh_account(half->account_id);

    if (account == NULL || ngx_mesh_account_locked(account)
        || account->domain_id != half->domain_id
        || account->password_at != half->password_at)
    {
        return NGX_DECLINED;
    }

    if (half->called_id) {
        return ngx_mesh_relay_chat_allowed(half);
    }

    if (ngx_memcmp(half->node, zeros, NGX_MESH_ID_LEN) == 0) {
        /* the device's half names it */
        return NGX_OK;
    }

    /* a device that is not here cannot take the other half either */
    if (ngx_mesh_presence_lookup(NGX_MESH_AGENT, half->domain_id, half->node,
                                 &presence)
        != NGX_OK)
    {
        if (half->state != NGX_MESH_RELAY_JOINED || half->group_id == 0) {
            return NGX_DECLINED;
        }

        /* what runs outlives the loss of the control channel, not its rights */
        presence.group_id = half->group_id;
        presence.device_id = half->device_id;

    } else if (half->device_id && presence.device_id != half->device_id) {
        /* removed, and another one since */
        return NGX_DECLINED;
    }

    half->group_id = presence.group_id;
    half->device_id = presence.device_id;

    rights = ngx_mesh_rights(half->account_id, presence.group_id,
                             presence.device_id, &visible);
    kind = ngx_mesh_relay_kind(half->p);

    if (!visible || !ngx_mesh_right(rights, kind->need)
        || ngx_mesh_restricted(rights, kind->deny))
    {
        return NGX_DECLINED;
    }

    if (!ngx_mesh_right(rights, NGX_MESH_D_REMOTECONTROL)
        || ngx_mesh_restricted(rights, NGX_MESH_D_REMOTEVIEWONLY))
    {
        half->level = MESH_KVM_VIEW;

    } else if (ngx_mesh_restricted(rights, NGX_MESH_D_DESKLIMITEDINPUT)) {
        half->level = MESH_KVM_LIMITED;

    } else {
        half->level = MESH_KVM_FULL;
    }

    return NGX_OK;
}

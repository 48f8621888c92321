/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "../ngx_mesh.h"
#include "ngx_mesh_dial.h"


static ngx_int_t ngx_mesh_route_ticket(ngx_mesh_route_t *route,
    const ngx_str_t *id, time_t seconds, ngx_pool_t *pool, ngx_str_t *cookie);
static ngx_int_t ngx_mesh_route_command(ngx_mesh_route_t *route,
    const ngx_str_t *id, const ngx_str_t *cookie, ngx_pool_t *pool,
    ngx_str_t *json);

static ngx_int_t ngx_mesh_dial_enter(ngx_mesh_dial_t *d);
static void ngx_mesh_dial_leave(ngx_mesh_dial_t *d);
static ngx_int_t ngx_mesh_dial_meet(ngx_mesh_dial_t *d);
static ngx_mesh_dial_t *ngx_mesh_dial_find(uint64_t serial);
static ngx_int_t ngx_mesh_dial_accepted(ngx_connection_t *c,
    const ngx_mesh_hello_t *hello);
static void ngx_mesh_dial_read_handler(ngx_event_t *ev);
static void ngx_mesh_dial_write_handler(ngx_event_t *ev);
static void ngx_mesh_dial_event(ngx_event_t *ev);
static void ngx_mesh_dial_late(ngx_event_t *ev);
static void ngx_mesh_dial_end(ngx_mesh_dial_t *d, const char *why);
static ngx_int_t ngx_mesh_dial_payload(ngx_mesh_dial_t *d, u_char *buf,
    size_t size, size_t *left);
static void ngx_mesh_dial_said(ngx_mesh_dial_t *d);
static ngx_int_t ngx_mesh_dial_flush(ngx_mesh_dial_t *d);
static void ngx_mesh_dial_changed(ngx_uint_t kind, int64_t id);


static ngx_queue_t  ngx_mesh_dials;


ngx_int_t
ngx_mesh_route_target(ngx_mesh_route_t *route, const ngx_str_t *addr,
    ngx_uint_t port, const char **why)
{
    if (!(route->p & NGX_MESH_P_TARGET)) {
        route->p |= NGX_MESH_P_TCP;
    }

    return ngx_mesh_target_parse(&route->target, addr, port, why);
}


ngx_int_t
ngx_mesh_route_check(ngx_mesh_route_t *route, const char **why)
{
    ngx_uint_t           visible;
    ngx_mesh_presence_t  device;

    *why = "This device is not connected, or you may not use it.";

    if (!ngx_mesh_auth_holds(&route->who)) {
        return NGX_DECLINED;
    }

    if (ngx_mesh_presence_lookup(NGX_MESH_AGENT, route->who.domain_id,
                                 route->node, &device)
        != NGX_OK)
    {
        if (!route->runs) {
            return NGX_DECLINED;
        }

        /* what runs outlives the loss of the control channel, not its rights */
        device = route->device;

    } else if (route->device.device_id
               && device.device_id != route->device.device_id)
    {
        /* removed, and another one since */
        return NGX_DECLINED;
    }

    route->device = device;
    route->rights = ngx_mesh_rights(route->who.account_id, device.group_id,
                                    device.device_id, &visible);

    if (!visible) {
        return NGX_DECLINED;
    }

    if (ngx_mesh_target_rights(route->rights,
                               route->p & ~NGX_MESH_P_FLAGS,
                               route->target.port, why)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_mesh_target_allowed(&route->target, device.group_id, why);
}


ngx_uint_t
ngx_mesh_route_gone(ngx_mesh_route_t *route, ngx_uint_t kind, int64_t id,
    const char **why)
{
    *why = "This device is not there any more.";

    return kind == NGX_MESH_CHANGE_GONE && route->device.device_id == id;
}


/* session.md 1.15, 2 and 9 */
ngx_int_t
ngx_mesh_route_id(ngx_mesh_route_t *route, u_char *id, u_char *key)
{
    u_char  raw[NGX_MESH_DIAL_ID / 2], buf[16 + NGX_MESH_DIAL_ID], *p;

    if (ngx_mesh_random(raw, sizeof(raw)) != NGX_OK) {
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(id, raw, sizeof(raw));

    p = mesh_put64(buf, (uint64_t) route->who.domain_id);
    p = mesh_put64(p, (uint64_t) route->who.account_id);
    p = ngx_cpymem(p, id, NGX_MESH_DIAL_ID);
    ngx_mesh_sha256(buf, p - buf, key);

    return NGX_OK;
}


ngx_int_t
ngx_mesh_route_invite(ngx_mesh_route_t *route, const ngx_str_t *id,
    time_t seconds, const char **why)
{
    ngx_int_t              rc;
    ngx_str_t              cookie, json;
    ngx_pool_t            *pool;
    ngx_mesh_requester_t   who;

    if (ngx_mesh_route_check(route, why) != NGX_OK) {
        return NGX_DECLINED;
    }

    *why = "The server cannot ask the device now.";

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_mesh_route_ticket(route, id, seconds, pool, &cookie);

    if (rc == NGX_OK) {
        rc = ngx_mesh_route_command(route, id, &cookie, pool, &json);
    }

    if (rc == NGX_OK) {
        ngx_memzero(&who, sizeof(ngx_mesh_requester_t));
        who.account_id = route->who.account_id;
        who.rights = route->rights;
        ngx_memcpy(who.address, route->address, sizeof(who.address));

        rc = ngx_mesh_agent_command(&route->device, NULL, &who, &json);
    }

    ngx_destroy_pool(pool);

    return rc == NGX_OK ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_mesh_route_ticket(ngx_mesh_route_t *route, const ngx_str_t *id,
    time_t seconds, ngx_pool_t *pool, ngx_str_t *cookie)
{
    ngx_mesh_ticket_t  ticket;

    ngx_mesh_ticket_begin(&ticket, NGX_MESH_TICKET_RELAY, &route->who,
                          seconds + 1);
    ticket.device_id = route->device.device_id;
    ticket.group_id = route->device.group_id;
    ngx_memcpy(ticket.node, route->node, NGX_MESH_ID_LEN);
    ticket.id = *id;
    ticket.p = route->p;
    ticket.rights = route->rights;
    ticket.addr.data = (u_char *) route->target.text;
    ticket.addr.len = route->target.len;
    ticket.port = route->target.port;

    return ngx_mesh_ticket_write(&ticket, pool, cookie);
}


static ngx_int_t
ngx_mesh_route_command(ngx_mesh_route_t *route, const ngx_str_t *id,
    const ngx_str_t *cookie, ngx_pool_t *pool, ngx_str_t *json)
{
    u_char               hash[NGX_MESH_ID_LEN], hex[2 * NGX_MESH_ID_LEN];
    u_char              *p;
    ngx_str_t            s, path;
    ngx_uint_t           udp;
    ngx_mesh_jw_t        w;
    ngx_mesh_account_t  *account;

    account = ngx_mesh_account(route->who.account_id);
    udp = (route->p & NGX_MESH_P_UDP) ? 1 : 0;

    /* without the hash the agent would trust any certificate (agent.md 6) */

    if (account == NULL || ngx_mesh_cert_current(route->srv, hash) != NGX_OK
        || ngx_mesh_jw_init(&w, pool, 2048) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_mesh_url_path(route->srv, &path);

    s.data = ngx_pnalloc(pool, path.len + id->len + cookie->len
                               + NGX_MESH_ID_TEXT + account->domain.len + 96);
    if (s.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(s.data, "*/%V%smeshrelay.ashx?p=%uD&nodeid=node/%V/",
                    &path, path.len ? "/" : "",
                    route->p & ~NGX_MESH_P_FLAGS, &account->domain);
    p = ngx_mesh_id_write(p, route->node);
    p = ngx_sprintf(p, "&id=%V&rauth=%V", id, cookie);
    s.len = p - s.data;

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_cstr(&w, "action", "msg");
    ngx_mesh_jw_cstr(&w, "type", "tunnel");
    ngx_mesh_jw_str(&w, "value", &s);
    ngx_mesh_jw_int(&w, "usage", route->p & ~NGX_MESH_P_FLAGS);

    s.data = hex;
    s.len = ngx_hex_dump(hex, hash, sizeof(hash)) - hex;
    ngx_mesh_jw_str(&w, "servertlshash", &s);

    ngx_mesh_jw_int(&w, "rights", route->rights);
    ngx_mesh_jw_int(&w, "consent",
                    ngx_mesh_consent(route->who.account_id,
                                     route->device.group_id, 0));
    ngx_mesh_jw_str(&w, "username", &account->name);

    if (account->real_name.len) {
        ngx_mesh_jw_str(&w, "realname", &account->real_name);
    }

    s.data = ngx_pnalloc(pool, account->domain.len + account->login.len + 8);
    if (s.data == NULL) {
        return NGX_ERROR;
    }

    s.len = ngx_sprintf(s.data, "user/%V/%V", &account->domain,
                        &account->login) - s.data;
    ngx_mesh_jw_str(&w, "userid", &s);
    ngx_mesh_jw_cstr(&w, "remoteaddr", (char *) route->address);

    /* the protocols of a tunnel do not exist in this one */
    ngx_mesh_jw_open(&w, "soptions", '{');
    ngx_mesh_jw_shut(&w, '}');

    ngx_mesh_jw_int(&w, udp ? "udpport" : "tcpport", route->target.port);
    ngx_mesh_jw_cstr(&w, udp ? "udpaddr" : "tcpaddr", route->target.text);
    ngx_mesh_jw_shut(&w, '}');

    return ngx_mesh_jw_done(&w, json);
}


ngx_int_t
ngx_mesh_dial(ngx_mesh_dial_t *d, const char **why)
{
    u_char     text[NGX_MESH_DIAL_ID];
    ngx_str_t  id;

    d->route.p |= NGX_MESH_P_DIAL;

    if (ngx_mesh_route_check(&d->route, why) != NGX_OK) {
        return NGX_DECLINED;
    }

    *why = "Too many sessions are open.";

    if (ngx_mesh_dial_enter(d) != NGX_OK) {
        ngx_mesh_count(NGX_MESH_C_LIMITED);
        return NGX_DECLINED;
    }

    *why = "The server has no room for another session.";

    id.data = text;
    id.len = sizeof(text);

    if (ngx_mesh_route_id(&d->route, text, d->key) != NGX_OK
        || ngx_mesh_dial_meet(d) != NGX_OK)
    {
        ngx_mesh_dial_leave(d);
        return NGX_DECLINED;
    }

    if (ngx_mesh_route_invite(&d->route, &id, NGX_MESH_DIAL_WAIT, why)
        != NGX_OK)
    {
        ngx_mesh_meet_cancel(d->key, d->serial);
        d->met = 0;
        ngx_mesh_dial_leave(d);
        return NGX_DECLINED;
    }

    ngx_queue_insert_tail(&ngx_mesh_dials, &d->queue);

    d->event.handler = ngx_mesh_dial_event;
    d->event.data = d;
    d->event.log = ngx_cycle->log;

    d->wait.handler = ngx_mesh_dial_late;
    d->wait.data = d;
    d->wait.log = ngx_cycle->log;
    d->wait.cancelable = 1;
    ngx_add_timer(&d->wait, NGX_MESH_DIAL_WAIT * 1000);

    return NGX_OK;
}


/* it counts like a relay */
static ngx_int_t
ngx_mesh_dial_enter(ngx_mesh_dial_t *d)
{
    ngx_str_t  address;

    address.data = d->route.address;
    address.len = ngx_strlen(address.data);

    if (ngx_mesh_limit_relay(d->route.srv, d->route.who.account_id, &address)
        != NGX_OK)
    {
        return NGX_BUSY;
    }

    d->counted = 1;

    return NGX_OK;
}


static void
ngx_mesh_dial_leave(ngx_mesh_dial_t *d)
{
    ngx_str_t  address;

    if (!d->counted) {
        return;
    }

    d->counted = 0;

    address.data = d->route.address;
    address.len = ngx_strlen(address.data);
    ngx_mesh_limit_relay_leave(d->route.who.account_id, &address);
}


static ngx_int_t
ngx_mesh_dial_meet(ngx_mesh_dial_t *d)
{
    ngx_mesh_meet_t  m, first;

    d->serial = ngx_mesh_serial();

    ngx_memzero(&m, sizeof(ngx_mesh_meet_t));
    ngx_memcpy(m.key, d->key, sizeof(m.key));
    ngx_memcpy(m.device, d->route.node, NGX_MESH_ID_LEN);
    m.owner.slot = ngx_mesh_slot_n;
    m.owner.epoch = ngx_mesh_slot->epoch;
    m.owner.serial = d->serial;
    m.p = d->route.p;
    m.role = NGX_MESH_VIEWER;
    m.expires = ngx_time() + NGX_MESH_DIAL_WAIT + 1;

    if (ngx_mesh_meet(&m, &first) != NGX_AGAIN) {
        return NGX_ERROR;
    }

    d->met = 1;

    return NGX_OK;
}


static ngx_mesh_dial_t *
ngx_mesh_dial_find(uint64_t serial)
{
    ngx_queue_t      *q;
    ngx_mesh_dial_t  *d;

    for (q = ngx_queue_head(&ngx_mesh_dials);
         q != ngx_queue_sentinel(&ngx_mesh_dials);
         q = ngx_queue_next(q))
    {
        d = ngx_queue_data(q, ngx_mesh_dial_t, queue);

        if (d->serial == serial) {
            return d;
        }
    }

    return NULL;
}


/* the device's half is there */
static ngx_int_t
ngx_mesh_dial_accepted(ngx_connection_t *c, const ngx_mesh_hello_t *hello)
{
    const char       *why;
    ngx_mesh_dial_t  *d;

    d = ngx_mesh_dial_find(hello->serial);

    if (d == NULL || !d->met || d->ended) {
        return NGX_ERROR;
    }

    d->met = 0;

    if (d->wait.timer_set) {
        ngx_del_timer(&d->wait);
    }

    if (ngx_mesh_route_check(&d->route, &why) != NGX_OK) {
        ngx_mesh_count(NGX_MESH_C_RELAY_REFUSED);
        ngx_mesh_dial_end(d, why);
        return NGX_ERROR;
    }

    d->c = c;
    d->opened = 1;
    d->route.runs = 1;

    c->data = d;
    c->read->handler = ngx_mesh_dial_read_handler;
    c->write->handler = ngx_mesh_dial_write_handler;

    ngx_post_event(&d->event, &ngx_posted_events);

    return NGX_OK;
}


static void
ngx_mesh_dial_read_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c;
    ngx_mesh_dial_t   *d;

    c = ev->data;
    d = c->data;

    d->handler(d);
}


static void
ngx_mesh_dial_write_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c;
    ngx_mesh_dial_t   *d;

    c = ev->data;
    d = c->data;

    if (!d->blocked || ngx_mesh_dial_flush(d) == NGX_AGAIN) {
        return;
    }

    d->handler(d);
}


static void
ngx_mesh_dial_event(ngx_event_t *ev)
{
    ngx_mesh_dial_t  *d;

    d = ev->data;

    d->handler(d);
}


static void
ngx_mesh_dial_late(ngx_event_t *ev)
{
    ngx_mesh_dial_t  *d;

    d = ev->data;

    ngx_mesh_count(NGX_MESH_C_RELAY_EXPIRED);
    ngx_mesh_dial_end(d, "The device did not answer in time.");
}


/* the owner is told by its handler, and closes */
static void
ngx_mesh_dial_end(ngx_mesh_dial_t *d, const char *why)
{
    if (d->ended) {
        return;
    }

    d->ended = 1;
    d->why = why;

    ngx_post_event(&d->event, &ngx_posted_events);
}


ssize_t
ngx_mesh_dial_recv(ngx_mesh_dial_t *d, u_char *buf, size_t size)
{
    size_t     left;
    ssize_t    n;
    ngx_int_t  rc;

    if (d->ended) {
        return NGX_ERROR;
    }

    if (d->c == NULL) {
        return NGX_AGAIN;
    }

    for ( ;; ) {
        n = d->c->recv(d->c, buf, size);

        if (n == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (n <= 0) {
            return d->why ? NGX_ERROR : 0;
        }

        rc = ngx_mesh_dial_payload(d, buf, (size_t) n, &left);

        if (rc != NGX_OK) {
            d->why = "A worker of the server sent what is no frame.";
            return NGX_ERROR;
        }

        if (left) {
            return (ssize_t) left;
        }
    }
}


/* packs the payload of binary messages at the front of buf */
static ngx_int_t
ngx_mesh_dial_payload(ngx_mesh_dial_t *d, u_char *buf, size_t size,
    size_t *left)
{
    u_char            *pos, *out;
    ngx_int_t          rc;
    mesh_ws_event_t    ev;
    mesh_ws_limits_t   limits;

    ngx_memzero(&limits, sizeof(mesh_ws_limits_t));

    pos = buf;
    out = buf;

    for ( ;; ) {
        rc = mesh_ws_parse(&d->parse, &limits, &pos, buf + size, &ev);

        if (rc == MESH_AGAIN) {
            *left = out - buf;
            return NGX_OK;
        }

        if (rc == MESH_ERROR) {
            ngx_log_error(NGX_LOG_ALERT, d->c->log, 0,
                          "mesh dial: broken frame from a worker");
            return NGX_ERROR;
        }

        switch (ev.what) {

        case MESH_WS_HEAD:

            if (ev.first) {
                d->is_text = (ev.opcode == MESH_WS_TEXT);
                d->ntext = 0;
            }

            break;

        case MESH_WS_DATA:

            if (!d->is_text) {
                ngx_memmove(out, ev.data, ev.size);
                out += ev.size;

            } else if (ev.size <= sizeof(d->text) - d->ntext) {
                ngx_memcpy(d->text + d->ntext, ev.data, ev.size);
                d->ntext += ev.size;

            } else {
                d->ntext = 0;
                d->is_text = 0;
                return NGX_ERROR;
            }

            break;

        case MESH_WS_END:

            if (d->is_text) {
                ngx_mesh_dial_said(d);
            }

            break;

        default:
            break;
        }
    }
}


/*
 * Of texts, which are never payload, one matters: our core says why it closes.
 * What it is about, not its words, which are an agent's.
 */
static void
ngx_mesh_dial_said(ngx_mesh_dial_t *d)
{
    ngx_str_t         s;
    ngx_uint_t        i;
    ngx_mesh_json_t  *j;

    static const struct {
        const char  *code, *why;
    } said[] = {
        { "ECONNREFUSED", "Nothing listens on this port there." },
        { "ETIMEDOUT", "The address does not answer." },
        { "EHOSTUNREACH", "The device cannot reach this address." },
        { "ENETUNREACH", "The device cannot reach this address." },
        { "ENOTFOUND", "The device does not know this name." },
        { "ECONNRESET", "The other side broke the connection." },
        { NULL, NULL }
    };

    j = ngx_mesh_json_parse(d->text, d->ntext);

    if (j == NULL) {
        return;
    }

    if (ngx_mesh_json_str(j, "code", &s) == NGX_OK) {

        for (i = 0; said[i].code; i++) {
            if (s.len == ngx_strlen(said[i].code)
                && ngx_memcmp(s.data, said[i].code, s.len) == 0)
            {
                d->why = said[i].why;
                break;
            }
        }
    }

    ngx_mesh_json_free(j);
}


ssize_t
ngx_mesh_dial_send(ngx_mesh_dial_t *d, const u_char *data, size_t len)
{
    size_t   n, size;
    ssize_t  sent;

    if (d->ended) {
        return NGX_ERROR;
    }

    if (d->c == NULL || d->blocked || len == 0) {
        return NGX_AGAIN;
    }

    if (d->out == NULL) {
        d->out = ngx_alloc(MESH_WS_MAX_HEAD + NGX_MESH_DIAL_FRAME,
                           d->c->log);
        if (d->out == NULL) {
            return NGX_ERROR;
        }
    }

    len = ngx_min(len, NGX_MESH_DIAL_FRAME);

    n = mesh_ws_head(d->out, MESH_WS_BINARY, 1, len);
    ngx_memcpy(d->out + n, data, len);
    size = n + len;

    sent = d->c->send(d->c, d->out, size);

    if (sent == NGX_ERROR) {
        /* what it said last is still to be read */
        return NGX_AGAIN;
    }

    d->out_pos = sent > 0 ? (size_t) sent : 0;
    d->out_len = size;

    if (d->out_pos < size) {
        d->blocked = 1;

        if (ngx_mesh_pipe_blocked(d->c, 1) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return (ssize_t) len;
}


static ngx_int_t
ngx_mesh_dial_flush(ngx_mesh_dial_t *d)
{
    ssize_t  n;

    while (d->out_pos < d->out_len) {
        n = d->c->send(d->c, d->out + d->out_pos, d->out_len - d->out_pos);

        if (n == NGX_AGAIN || n == 0) {
            return ngx_mesh_pipe_blocked(d->c, 1) == NGX_OK ? NGX_AGAIN
                                                            : NGX_ERROR;
        }

        if (n < 0) {
            return NGX_ERROR;
        }

        d->out_pos += (size_t) n;
    }

    d->blocked = 0;

    return ngx_mesh_pipe_blocked(d->c, 0);
}


void
ngx_mesh_dial_close(ngx_mesh_dial_t *d)
{
    if (d->queue.next) {
        ngx_queue_remove(&d->queue);
        d->queue.next = NULL;
    }

    if (d->wait.timer_set) {
        ngx_del_timer(&d->wait);
    }

    if (d->event.posted) {
        ngx_delete_posted_event(&d->event);
    }

    if (d->met) {
        d->met = 0;
        ngx_mesh_meet_cancel(d->key, d->serial);
    }

    /* the other end of the pipe ends the agent's tunnel */
    if (d->c) {
        ngx_mesh_pipe_close(d->c);
        d->c = NULL;
    }

    if (d->out) {
        ngx_free(d->out);
        d->out = NULL;
    }

    ngx_mesh_dial_leave(d);
}


/* S-07: what was allowed may not be so any more */
static void
ngx_mesh_dial_changed(ngx_uint_t kind, int64_t id)
{
    const char       *why;
    ngx_queue_t      *q;
    ngx_mesh_dial_t  *d;

    for (q = ngx_queue_head(&ngx_mesh_dials);
         q != ngx_queue_sentinel(&ngx_mesh_dials);
         q = ngx_queue_next(q))
    {
        d = ngx_queue_data(q, ngx_mesh_dial_t, queue);

        if (d->ended) {
            continue;
        }

        if (ngx_mesh_route_gone(&d->route, kind, id, &why)
            || ngx_mesh_route_check(&d->route, &why) != NGX_OK)
        {
            ngx_mesh_dial_end(d, why);
        }
    }
}


ngx_int_t
ngx_mesh_dial_init(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_mesh_dials);
    ngx_mesh_pipe_handler(NGX_MESH_PIPE_DIAL, ngx_mesh_dial_accepted);
    ngx_mesh_model_on_change(ngx_mesh_dial_changed);

    return NGX_OK;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Sessions of the control channel: who comes in, what is read, who must go. */

#include "ngx_mesh_control.h"


static void ngx_mesh_control_who(void *data, ngx_mesh_auth_t *who,
    const char *cause, const char *msg);
static ngx_int_t ngx_mesh_control_enter(ngx_http_request_t *r,
    ngx_mesh_browser_t *b);
static void ngx_mesh_control_leave(ngx_mesh_browser_t *b, ngx_uint_t n);
static ngx_mesh_browser_t *ngx_mesh_control_create(ngx_http_request_t *r,
    ngx_mesh_auth_t *who);
static ngx_int_t ngx_mesh_control_open(ngx_mesh_session_t *s);
static ngx_int_t ngx_mesh_control_message(ngx_mesh_session_t *s,
    ngx_uint_t opcode, u_char *data, size_t len);
static void ngx_mesh_control_later(ngx_event_t *ev);
static void ngx_mesh_control_deliver(ngx_mesh_session_t *s,
    const ngx_mesh_addr_t *from, u_char *data, size_t len);
static void ngx_mesh_control_bounce(ngx_mesh_session_t *s,
    const ngx_mesh_addr_t *from, u_char *data, size_t len);
static void ngx_mesh_control_drained(ngx_mesh_session_t *s);
static void ngx_mesh_control_close(ngx_mesh_session_t *s);

static void ngx_mesh_control_changed(ngx_uint_t kind, int64_t id);
static void ngx_mesh_control_account(ngx_mesh_session_t *s, void *data);
static void ngx_mesh_control_web(ngx_mesh_session_t *s, void *data);
static void ngx_mesh_control_web_asked(uint64_t serial, ngx_uint_t lives);
static void ngx_mesh_control_tick(void);
static void ngx_mesh_control_expired(ngx_mesh_session_t *s, void *data);
static void ngx_mesh_control_end(ngx_mesh_browser_t *b);


const ngx_mesh_class_t  ngx_mesh_control_class = {
    .name = "control",
    .gauge = NGX_MESH_G_BROWSERS,
    .open = ngx_mesh_control_open,
    .message = ngx_mesh_control_message,
    .deliver = ngx_mesh_control_deliver,
    .bounce = ngx_mesh_control_bounce,
    .drained = ngx_mesh_control_drained,
    .close = ngx_mesh_control_close
};


ngx_int_t
ngx_http_mesh_control_handler(ngx_http_request_t *r)
{
    if (!ngx_mesh_model_ready()) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    return ngx_mesh_auth(r, ngx_mesh_control_who, r);
}


static void
ngx_mesh_control_who(void *data, ngx_mesh_auth_t *who, const char *cause,
    const char *msg)
{
    ngx_http_request_t *r = data;

    ngx_int_t            rc;
    ngx_mesh_browser_t  *b;

    if (who == NULL) {
        ngx_http_finalize_request(r, ngx_mesh_auth_refuse(r, cause, msg));
        return;
    }

    b = ngx_mesh_control_create(r, who);

    if (b == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    rc = ngx_mesh_control_enter(r, b);

    if (rc == NGX_OK) {
        rc = ngx_mesh_ws_accept(r, &ngx_mesh_control_class, b);

        if (rc != NGX_DONE) {
            ngx_mesh_control_leave(b, 3);
        }

    } else {
        ngx_mesh_count(NGX_MESH_C_LIMITED);
    }

    if (rc != NGX_DONE) {
        ngx_free(b);
    }

    ngx_http_finalize_request(r, rc);
}


/* one allocation: the texts are behind */
static ngx_mesh_browser_t *
ngx_mesh_control_create(ngx_http_request_t *r, ngx_mesh_auth_t *who)
{
    u_char              *p, raw[20];
    size_t               size, host;
    ngx_str_t           *address;
    ngx_mesh_browser_t  *b;
    ngx_mesh_account_t  *account;

    account = ngx_mesh_account(who->account_id);

    if (account == NULL || ngx_mesh_random(raw, sizeof(raw)) != NGX_OK) {
        return NULL;
    }

    address = ngx_mesh_address(r);
    host = r->headers_in.host ? ngx_min(r->headers_in.host->value.len, 255)
                              : 0;

    size = sizeof(ngx_mesh_browser_t) + sizeof("user///") - 1
           + account->domain.len + account->login.len + 2 * sizeof(raw)
           + address->len + host;

    b = ngx_calloc(size, r->connection->log);
    if (b == NULL) {
        return NULL;
    }

    ngx_queue_init(&b->commands);

    b->who = *who;
    ngx_mesh_bucket_init(&b->bucket, NGX_MESH_CTL_RATE);

    b->id.data = (u_char *) b + sizeof(ngx_mesh_browser_t);
    p = ngx_sprintf(b->id.data, "user/%V/%V/", &account->domain,
                    &account->login);
    p = ngx_hex_dump(p, raw, sizeof(raw));
    b->id.len = p - b->id.data;

    b->address.data = p;
    b->address.len = address->len;
    p = ngx_cpymem(p, address->data, address->len);

    b->host.data = p;
    b->host.len = host;

    if (host) {
        ngx_memcpy(p, r->headers_in.host->value.data, host);
    }

    return b;
}


static ngx_int_t
ngx_mesh_control_enter(ngx_http_request_t *r, ngx_mesh_browser_t *b)
{
    u_char                     buf[NGX_INT64_LEN + 5];
    ngx_str_t                  name;
    ngx_http_mesh_srv_conf_t  *srv;

    srv = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);

    name = b->address;
    name.len = ngx_min(name.len, 64);

    if (ngx_mesh_limit_enter(NGX_MESH_LIMIT_CONTROL, &name,
                             srv->limit_address[NGX_MESH_LIMIT_CONTROL])
        != NGX_OK)
    {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    name.data = buf;
    name.len = ngx_sprintf(buf, "user:%L", b->who.account_id) - buf;

    if (ngx_mesh_limit_enter(NGX_MESH_LIMIT_CONTROL, &name,
                             srv->limit_user[NGX_MESH_LIMIT_CONTROL])
        != NGX_OK)
    {
        ngx_mesh_control_leave(b, 1);
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    ngx_str_set(&name, "total");

    if (srv->limit_total[NGX_MESH_LIMIT_CONTROL]
        && ngx_mesh_limit_enter(NGX_MESH_LIMIT_CONTROL, &name,
                                srv->limit_total[NGX_MESH_LIMIT_CONTROL])
           != NGX_OK)
    {
        ngx_mesh_control_leave(b, 2);
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    b->total = (srv->limit_total[NGX_MESH_LIMIT_CONTROL] != 0);

    return NGX_OK;
}


/* gives back the first n of address, user, total */
static void
ngx_mesh_control_leave(ngx_mesh_browser_t *b, ngx_uint_t n)
{
    u_char     buf[NGX_INT64_LEN + 5];
    ngx_str_t  name;

    name = b->address;
    name.len = ngx_min(name.len, 64);

    ngx_mesh_limit_leave(NGX_MESH_LIMIT_CONTROL, &name);

    if (n > 1) {
        name.data = buf;
        name.len = ngx_sprintf(buf, "user:%L", b->who.account_id) - buf;
        ngx_mesh_limit_leave(NGX_MESH_LIMIT_CONTROL, &name);
    }

    if (n > 2 && b->total) {
        ngx_str_set(&name, "total");
        ngx_mesh_limit_leave(NGX_MESH_LIMIT_CONTROL, &name);
    }
}


static ngx_int_t
ngx_mesh_control_open(ngx_mesh_session_t *s)
{
    ngx_mesh_browser_t  *b;

    b = s->data;
    b->s = s;

    b->later.handler = ngx_mesh_control_later;
    b->later.data = b;
    b->later.log = s->c->log;
    b->later.cancelable = 1;

    ngx_mesh_count(NGX_MESH_C_CONTROL_TOTAL);

    /* between the check and now the account may have been locked */

    if (!ngx_mesh_auth_holds(&b->who)) {
        ngx_mesh_control_end(b);
        return NGX_OK;
    }

    ngx_mesh_ctl_greet(b);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_control_message(ngx_mesh_session_t *s, ngx_uint_t opcode,
    u_char *data, size_t len)
{
    ngx_msec_t           wait;
    ngx_mesh_browser_t  *b;

    b = s->data;

    if (b->ended) {
        return NGX_OK;
    }

    if (opcode != NGX_MESH_WS_TEXT) {
        ngx_mesh_count(NGX_MESH_C_UNKNOWN_MSG);
        return NGX_OK;
    }

    ngx_mesh_bucket_take(&b->bucket);

    ngx_mesh_ctl_dispatch(b, data, len);

    if (s->closed || b->ended) {
        return NGX_OK;
    }

    /* too many are not refused, they are read later */

    wait = ngx_mesh_bucket_wait(&b->bucket);

    if (wait && !b->paused) {
        b->paused = 1;
        ngx_mesh_ws_pause(s);
        ngx_add_timer(&b->later, wait);

    } else if (b->open >= NGX_MESH_CTL_OPEN && !b->paused) {
        b->paused = 1;
        ngx_mesh_ws_pause(s);
    }

    return NGX_OK;
}


static void
ngx_mesh_control_later(ngx_event_t *ev)
{
    ngx_mesh_control_resume(ev->data);
}


/* after a timer, and when a command ended */
void
ngx_mesh_control_resume(ngx_mesh_browser_t *b)
{
    ngx_msec_t  wait;

    if (!b->paused || b->ended || b->later.timer_set
        || b->open >= NGX_MESH_CTL_OPEN)
    {
        return;
    }

    wait = ngx_mesh_bucket_wait(&b->bucket);

    if (wait) {
        ngx_add_timer(&b->later, wait);
        return;
    }

    b->paused = 0;
    ngx_mesh_ws_resume(b->s);
}


/* nothing is delivered but replies, which ws writes itself */
static void
ngx_mesh_control_deliver(ngx_mesh_session_t *s, const ngx_mesh_addr_t *from,
    u_char *data, size_t len)
{
    ngx_mesh_count(NGX_MESH_C_UNKNOWN_MSG);
}


/* the agent went while a command was on its way */
static void
ngx_mesh_control_bounce(ngx_mesh_session_t *s, const ngx_mesh_addr_t *from,
    u_char *data, size_t len)
{
    size_t  head;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, s->c->log, 0,
                   "mesh control: session %uL is gone", from->serial);

    head = 1 + sizeof(ngx_mesh_requester_t);

    if (len > head && data[0] == NGX_MESH_DELIVER_JSON) {
        ngx_mesh_ctl_undelivered(s, data + head, len - head);
    }
}


static void
ngx_mesh_control_drained(ngx_mesh_session_t *s)
{
    ngx_mesh_ctl_event_drained(s->data);
}


static void
ngx_mesh_control_close(ngx_mesh_session_t *s)
{
    ngx_queue_t         *q;
    ngx_mesh_ctl_t      *ctl;
    ngx_mesh_browser_t  *b;

    b = s->data;
    s->data = NULL;

    /* what is in the database goes on, its answer has no reader */

    while (!ngx_queue_empty(&b->commands)) {
        q = ngx_queue_head(&b->commands);
        ctl = ngx_queue_data(q, ngx_mesh_ctl_t, queue);
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
        ngx_queue_remove(q);
        ctl->b = NULL;
    }

    if (b->later.timer_set) {
        ngx_del_timer(&b->later);
    }

    ngx_mesh_control_leave(b, 3);
    ngx_free(b);
}


ngx_int_t
ngx_mesh_control_init(ngx_cycle_t *cycle)
{
    ngx_mesh_model_on_change(ngx_mesh_control_changed);
    ngx_mesh_tick_add(ngx_mesh_control_tick);
    ngx_mesh_ctl_event_init();

    return NGX_OK;
}


/* S-07: who may not go on is closed at once, in every worker */
static void
ngx_mesh_control_changed(ngx_uint_t kind, int64_t id)
{
    if (kind == NGX_MESH_CHANGE_ACCOUNT) {
        ngx_mesh_session_each(&ngx_mesh_control_class,
                              ngx_mesh_control_account, &id);

    } else if (kind == NGX_MESH_CHANGE_SESSION) {
        ngx_mesh_session_each(&ngx_mesh_control_class,
                              ngx_mesh_control_web, &id);
    }
}


static void
ngx_mesh_control_account(ngx_mesh_session_t *s, void *data)
{
    ngx_mesh_browser_t  *b;

    b = s->data;

    /* id 0: everything was loaded again */

    if (b && (*(int64_t *) data == b->who.account_id
              || *(int64_t *) data == 0)
        && !ngx_mesh_auth_holds(&b->who))
    {
        ngx_mesh_control_end(b);
    }
}


/* some web session of the account ended: was it this one's? */
static void
ngx_mesh_control_web(ngx_mesh_session_t *s, void *data)
{
    ngx_mesh_browser_t  *b;

    b = s->data;

    if (b == NULL || b->ended || *(int64_t *) data != b->who.account_id) {
        return;
    }

    /* cannot be asked: the page comes back and is asked then */
    if (ngx_mesh_auth_ask(b->who.session, s->serial,
                          ngx_mesh_control_web_asked)
        == NGX_ERROR)
    {
        ngx_mesh_control_end(b);
    }
}


static void
ngx_mesh_control_web_asked(uint64_t serial, ngx_uint_t lives)
{
    ngx_mesh_session_t  *s;

    s = ngx_mesh_session_find(serial);

    if (s && s->class == &ngx_mesh_control_class && s->data && !lives) {
        ngx_mesh_control_end(s->data);
    }
}


static void
ngx_mesh_control_tick(void)
{
    int64_t  now;

    now = ngx_mesh_now_ms();

    ngx_mesh_session_each(&ngx_mesh_control_class, ngx_mesh_control_expired,
                          &now);
}


static void
ngx_mesh_control_expired(ngx_mesh_session_t *s, void *data)
{
    ngx_mesh_browser_t  *b;

    b = s->data;

    if (b && b->who.expires_at && b->who.expires_at <= *(int64_t *) data) {
        ngx_mesh_control_end(b);
    }
}


static void
ngx_mesh_control_end(ngx_mesh_browser_t *b)
{
    ngx_mesh_session_t  *s;

    static const char  text[] =
        "{\"action\":\"close\",\"cause\":\"expired\",\"msg\":\"expired-1\"}";

    if (b->ended) {
        return;
    }

    b->ended = 1;
    s = b->s;

    if (ngx_mesh_ws_send(s, NGX_MESH_WS_TEXT, (u_char *) text,
                         sizeof(text) - 1)
        == NGX_OK)
    {
        ngx_mesh_ws_close(s, MESH_WS_CODE_POLICY);

    } else {
        ngx_mesh_ws_abort(s);
    }
}

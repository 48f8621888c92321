/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "ngx_mesh_auth.h"


/* failures within the window before a user or an address is locked out */
#define NGX_MESH_LOGIN_WINDOW   600   /* seconds */
#define NGX_MESH_LOGIN_USER     10
#define NGX_MESH_LOGIN_ADDRESS  30

/* logins computed or waiting in a worker: what an address can have at once
   before its failures are known */
#define NGX_MESH_LOGIN_OPEN     32

/* a browser session's use is written this often, ms */
#define NGX_MESH_SESSION_TOUCH  60000


typedef struct {
    ngx_http_request_t   *r;
    ngx_mesh_auth_pt      done;
    void                 *data;
    ngx_mesh_auth_t       who;
    ngx_mesh_login_t      login;
    ngx_mesh_ticket_t    *route;      /* of ngx_mesh_auth_route(), or NULL */
    unsigned              cookie:1;   /* may fall back to the session cookie */
    unsigned              header:1;   /* may use x-meshauth */
} ngx_mesh_auth_ctx_t;

typedef struct {
    uint64_t              serial;
    void                (*done)(uint64_t serial, ngx_uint_t lives);
} ngx_mesh_auth_ask_t;


static ngx_mesh_auth_ctx_t *ngx_mesh_auth_ctx(ngx_http_request_t *r,
    ngx_mesh_auth_pt done, void *data);
static ngx_int_t ngx_mesh_auth_ticket(ngx_mesh_auth_ctx_t *ctx,
    const char *name);
static void ngx_mesh_auth_next(ngx_mesh_auth_ctx_t *ctx);
static ngx_int_t ngx_mesh_auth_header(ngx_mesh_auth_ctx_t *ctx,
    ngx_table_elt_t *h);
static void ngx_mesh_auth_header_done(ngx_mesh_login_t *login);
static ngx_int_t ngx_mesh_auth_cookie(ngx_mesh_auth_ctx_t *ctx);
static ngx_int_t ngx_mesh_auth_lookup(ngx_mesh_auth_ctx_t *ctx);
static void ngx_mesh_auth_found(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_auth_asked(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_auth_end(ngx_mesh_auth_ctx_t *ctx, ngx_mesh_auth_t *who,
    const char *cause, const char *msg);
static ngx_int_t ngx_mesh_auth_refuse_open(ngx_mesh_session_t *s);
static ngx_int_t ngx_mesh_auth_refuse_message(ngx_mesh_session_t *s,
    ngx_uint_t opcode, u_char *data, size_t len);
static void ngx_mesh_auth_refuse_close(ngx_mesh_session_t *s);
static void ngx_mesh_login_counter(ngx_str_t *counter, u_char *buf,
    int64_t domain_id, const ngx_str_t *login);
static void ngx_mesh_login_locked(ngx_mesh_login_t *login, const char *who);
static void ngx_mesh_login_post(ngx_mesh_login_t *login, ngx_int_t rc);
static void ngx_mesh_login_posted(ngx_event_t *ev);
static void ngx_mesh_login_secret(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_login_verified(void *data);
static void ngx_mesh_login_known(void *data);
static void ngx_mesh_login_rehashed(void *data);
static void ngx_mesh_login_end(ngx_mesh_login_t *login, ngx_int_t rc);


static const ngx_mesh_class_t  ngx_mesh_auth_refuse_class = {
    .name = "refused",
    .gauge = NGX_MESH_GAUGES,
    .open = ngx_mesh_auth_refuse_open,
    .message = ngx_mesh_auth_refuse_message,
    .close = ngx_mesh_auth_refuse_close
};

static u_char      ngx_mesh_auth_zeros[32];
static ngx_uint_t  ngx_mesh_login_count;


ngx_int_t
ngx_mesh_auth(ngx_http_request_t *r, ngx_mesh_auth_pt done, void *data)
{
    return ngx_mesh_auth_route(r, NULL, done, data);
}


ngx_int_t
ngx_mesh_auth_route(ngx_http_request_t *r, ngx_mesh_ticket_t *route,
    ngx_mesh_auth_pt done, void *data)
{
    ngx_int_t             rc;
    ngx_mesh_auth_ctx_t  *ctx;

    rc = ngx_mesh_origin_check(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_mesh_auth_ctx(r, done, data);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->route = route;

    if (route) {
        ngx_memzero(route, sizeof(ngx_mesh_ticket_t));
    }

    /* what a page brings without its visitor's will counts only from ours */
    ctx->cookie = (ngx_mesh_header(r, "origin") != NULL);
    ctx->header = 1;

    rc = ngx_mesh_auth_ticket(ctx, "auth");

    if (rc == NGX_DECLINED) {
        ngx_mesh_auth_next(ctx);
    }

    return NGX_DONE;
}


ngx_int_t
ngx_mesh_auth_session(ngx_http_request_t *r, ngx_mesh_auth_pt done,
    void *data)
{
    ngx_mesh_auth_ctx_t  *ctx;

    ctx = ngx_mesh_auth_ctx(r, done, data);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->cookie = 1;

    ngx_mesh_auth_next(ctx);

    return NGX_DONE;
}


ngx_int_t
ngx_mesh_auth_link(ngx_http_request_t *r, ngx_mesh_auth_pt done, void *data)
{
    ngx_mesh_auth_ctx_t  *ctx;

    ctx = ngx_mesh_auth_ctx(r, done, data);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->cookie = 1;

    if (ngx_mesh_auth_ticket(ctx, "c") == NGX_DECLINED) {
        ngx_mesh_auth_next(ctx);
    }

    return NGX_DONE;
}


static ngx_mesh_auth_ctx_t *
ngx_mesh_auth_ctx(ngx_http_request_t *r, ngx_mesh_auth_pt done, void *data)
{
    ngx_mesh_auth_ctx_t       *ctx;
    ngx_http_mesh_srv_conf_t  *srv;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_mesh_auth_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    srv = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);

    ctx->r = r;
    ctx->done = done;
    ctx->data = data;
    ctx->who.domain_id = ngx_mesh_domain_id(&srv->domain);

    /* blocked: neither a timeout nor the peer frees r while we wait */
    r->main->count++;
    r->main->blocked++;

    return ctx;
}


static ngx_int_t
ngx_mesh_auth_ticket(ngx_mesh_auth_ctx_t *ctx, const char *name)
{
    ngx_int_t             rc;
    ngx_str_t             text;
    ngx_mesh_ticket_t     ticket;
    ngx_mesh_account_t   *account;

    if (ngx_mesh_arg(ctx->r, name, &text) != NGX_OK) {
        return NGX_DECLINED;
    }

    rc = ngx_mesh_ticket_read(&ticket, NGX_MESH_TICKET_AUTH, &text,
                              ctx->r->pool);

    if (rc != NGX_OK && ctx->route) {
        rc = ngx_mesh_ticket_read(&ticket, NGX_MESH_TICKET_ROUTE, &text,
                                  ctx->r->pool);
    }

    if (rc != NGX_OK || ticket.domain_id != ctx->who.domain_id) {
        return NGX_DECLINED;
    }

    account = ngx_mesh_account(ticket.account_id);

    if (account == NULL || account->domain_id != ticket.domain_id
        || account->password_at != ticket.password_at
        || ngx_mesh_account_locked(account))
    {
        return NGX_DECLINED;
    }

    ctx->who.account_id = ticket.account_id;
    ctx->who.password_at = ticket.password_at;
    ctx->who.how = NGX_MESH_AUTH_TICKET;

    if (ctx->route && ticket.kind == NGX_MESH_TICKET_ROUTE) {
        *ctx->route = ticket;
    }

    if (ngx_memcmp(ticket.session, ngx_mesh_auth_zeros, 32) == 0) {
        ngx_mesh_auth_end(ctx, &ctx->who, NULL, NULL);
        return NGX_OK;
    }

    /* made in a browser's session: it ends with that */
    ngx_memcpy(ctx->who.session, ticket.session, 32);

    if (ngx_mesh_auth_lookup(ctx) != NGX_OK) {
        ngx_mesh_auth_end(ctx, NULL, NULL, NULL);
    }

    return NGX_OK;
}


/* what comes behind a ticket */
static void
ngx_mesh_auth_next(ngx_mesh_auth_ctx_t *ctx)
{
    ngx_int_t         rc;
    ngx_table_elt_t  *h;

    ngx_memzero(ctx->who.session, 32);
    ctx->who.account_id = 0;

    if (ctx->route) {
        ngx_memzero(ctx->route, sizeof(ngx_mesh_ticket_t));
    }

    h = ctx->header ? ngx_mesh_header(ctx->r, "x-meshauth") : NULL;

    if (h) {
        rc = ngx_mesh_auth_header(ctx, h);

        if (rc == NGX_DECLINED) {
            ngx_mesh_auth_end(ctx, NULL, "noauth", "noauth-2c");

        } else if (rc == NGX_ERROR) {
            ngx_mesh_auth_end(ctx, NULL, NULL, NULL);
        }

        return;
    }

    rc = ctx->cookie ? ngx_mesh_auth_cookie(ctx) : NGX_DECLINED;

    if (rc == NGX_DECLINED) {
        ngx_mesh_auth_end(ctx, NULL, "noauth", "noauth");

    } else if (rc == NGX_ERROR) {
        ngx_mesh_auth_end(ctx, NULL, NULL, NULL);
    }
}


/* b64(user),b64(password)[,b64(token)]; a token that nobody asked for is not
   looked at */
static ngx_int_t
ngx_mesh_auth_header(ngx_mesh_auth_ctx_t *ctx, ngx_table_elt_t *h)
{
    u_char      *p, *end, *comma;
    ngx_str_t    part, text[3];
    ngx_uint_t   n;

    if (h->value.len > 4096) {
        return NGX_DECLINED;
    }

    p = h->value.data;
    end = p + h->value.len;

    for (n = 0; /* void */ ; n++) {
        if (n == 3) {
            return NGX_DECLINED;
        }

        comma = ngx_strlchr(p, end, ',');
        part.data = p;
        part.len = (comma ? comma : end) - p;

        text[n].data = ngx_pnalloc(ctx->r->pool,
                                   ngx_base64_decoded_length(part.len) + 1);
        if (text[n].data == NULL) {
            return NGX_ERROR;
        }

        if (ngx_decode_base64(&text[n], &part) != NGX_OK) {
            return NGX_DECLINED;
        }

        if (comma == NULL) {
            break;
        }

        p = comma + 1;
    }

    if (n < 1) {
        return NGX_DECLINED;
    }

    ctx->login.r = ctx->r;
    ctx->login.domain_id = ctx->who.domain_id;
    ctx->login.user = text[0];
    ctx->login.password = text[1];
    ctx->login.done = ngx_mesh_auth_header_done;
    ctx->login.data = ctx;

    ngx_mesh_login(&ctx->login);

    return NGX_OK;
}


static void
ngx_mesh_auth_header_done(ngx_mesh_login_t *login)
{
    ngx_mesh_account_t   *account;
    ngx_mesh_auth_ctx_t  *ctx;

    ctx = login->data;

    if (login->rc == NGX_ABORT) {
        ngx_mesh_auth_end(ctx, NULL, NULL, NULL);
        return;
    }

    /* locked out gets the words of a wrong password: nothing is learned */
    if (login->rc != NGX_OK) {
        if (login->rc == NGX_DECLINED) {
            ngx_mesh_login_event(ctx->r, login->domain_id, login->account_id,
                                 0);
        }

        ngx_mesh_auth_end(ctx, NULL, "noauth", "noauth-2d");
        return;
    }

    account = ngx_mesh_account(login->account_id);

    if (account == NULL) {
        ngx_mesh_auth_end(ctx, NULL, "noauth", "noauth-2d");
        return;
    }

    if (account->site_rights != NGX_MESH_FULL
        && (account->site_rights & NGX_MESH_S_NOTOOLS))
    {
        ngx_mesh_auth_end(ctx, NULL, "notools", "notools");
        return;
    }

    ctx->who.account_id = account->account_id;
    ctx->who.password_at = account->password_at;
    ctx->who.how = NGX_MESH_AUTH_HEADER;

    ngx_mesh_login_event(ctx->r, account->domain_id, account->account_id, 1);
    ngx_mesh_auth_end(ctx, &ctx->who, NULL, NULL);
}


static ngx_int_t
ngx_mesh_auth_cookie(ngx_mesh_auth_ctx_t *ctx)
{
    ngx_str_t  value;

    if (ngx_mesh_cookie_value(ctx->r, NGX_MESH_COOKIE_SESSION, &value)
        != NGX_OK
        || value.len != 43)           /* 32 bytes of base64url */
    {
        return NGX_DECLINED;
    }

    ngx_mesh_sha256(value.data, value.len, ctx->who.session);
    ctx->who.how = NGX_MESH_AUTH_SESSION;

    return ngx_mesh_auth_lookup(ctx);
}


static ngx_int_t
ngx_mesh_auth_lookup(ngx_mesh_auth_ctx_t *ctx)
{
    u_char              hex[64];
    ngx_str_t           hash;
    ngx_mesh_db_req_t  *q;

    if (!ngx_mesh_db_up() || !ngx_mesh_model_ready()) {
        return NGX_ERROR;
    }

    ctx->who.heard = ngx_mesh_model_ended();

    hash.data = hex;
    hash.len = ngx_hex_dump(hex, ctx->who.session, 32) - hex;

    q = ngx_mesh_db_create(ngx_mesh_auth_found, ctx);
    if (q == NULL) {
        return NGX_ERROR;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_WEB_SESSION_GET);
    ngx_mesh_db_str(q, &hash);

    return ngx_mesh_db_send(q) == NGX_OK ? NGX_OK : NGX_ERROR;
}


static void
ngx_mesh_auth_found(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    u_char                hex[64];
    int64_t               now, used, expires, account_id;
    ngx_str_t            *row, hash;
    ngx_connection_t     *c;
    ngx_mesh_db_req_t    *late;
    ngx_mesh_account_t   *account;
    ngx_mesh_auth_ctx_t  *ctx;

    ctx = q->data;
    c = ctx->r->connection;

    if (rc != NGX_OK || !ngx_mesh_model_ready()) {
        ngx_mesh_auth_end(ctx, NULL, NULL, NULL);
        goto posted;
    }

    row = ngx_mesh_db_row(q, 0, 0);
    now = ngx_mesh_now_ms();
    account = NULL;
    used = 0;
    expires = 0;

    if (row) {
        account_id = ngx_mesh_db_num(&row[0]);
        used = ngx_mesh_db_num(&row[1]);
        expires = ngx_mesh_db_num(&row[2]);

        if (expires > now && used + NGX_MESH_SESSION_IDLE > now
            && (ctx->who.account_id == 0 || ctx->who.account_id == account_id))
        {
            account = ngx_mesh_account(account_id);
        }
    }

    if (account == NULL || account->domain_id != ctx->who.domain_id
        || ngx_mesh_account_locked(account))
    {
        if (ctx->who.how == NGX_MESH_AUTH_TICKET) {
            /* not fatal: control.md 2.3, 5 */
            ngx_mesh_auth_next(ctx);

        } else {
            ngx_mesh_auth_end(ctx, NULL, "noauth", "noauth");
        }

        goto posted;
    }

    if (used + NGX_MESH_SESSION_TOUCH < now) {
        hash.data = hex;
        hash.len = ngx_hex_dump(hex, ctx->who.session, 32) - hex;

        late = ngx_mesh_db_create(NULL, NULL);

        if (late) {
            ngx_mesh_db_stmt(late, MESH_SQL_WEB_SESSION_TOUCH);
            ngx_mesh_db_str(late, &hash);
            ngx_mesh_db_int(late, now);
            ngx_mesh_db_late(late, "session",
                             (int64_t) (mesh_get64(ctx->who.session) >> 1));
        }
    }

    ctx->who.account_id = account->account_id;
    ctx->who.password_at = account->password_at;
    ctx->who.expires_at = expires;

    ngx_mesh_auth_end(ctx, &ctx->who, NULL, NULL);

posted:

    ngx_http_run_posted_requests(c);
}


static void
ngx_mesh_auth_end(ngx_mesh_auth_ctx_t *ctx, ngx_mesh_auth_t *who,
    const char *cause, const char *msg)
{
    ctx->r->main->blocked--;

    if (who) {
        ngx_mesh_ctx_who(ctx->r, who->account_id, NULL);
    }

    ctx->done(ctx->data, who, cause, msg);
}


ngx_mesh_ctx_t *
ngx_mesh_ctx(ngx_http_request_t *r)
{
    ngx_mesh_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mesh_module);

    if (ctx == NULL) {
        ctx = ngx_pcalloc(r->pool, sizeof(ngx_mesh_ctx_t));

        if (ctx) {
            ngx_http_set_ctx(r, ctx, ngx_http_mesh_module);
        }
    }

    return ctx;
}


void
ngx_mesh_ctx_who(ngx_http_request_t *r, int64_t account_id,
    const u_char *node)
{
    ngx_mesh_ctx_t  *ctx;

    ctx = ngx_mesh_ctx(r);

    if (ctx == NULL) {
        return;
    }

    ctx->account_id = account_id;

    if (node) {
        ngx_memcpy(ctx->node, node, sizeof(ctx->node));
    }
}


ngx_uint_t
ngx_mesh_auth_holds(const ngx_mesh_auth_t *who)
{
    ngx_mesh_account_t  *account;

    account = ngx_mesh_account(who->account_id);

    return account != NULL && account->domain_id == who->domain_id
           && account->password_at == who->password_at
           && !ngx_mesh_account_locked(account);
}


ngx_int_t
ngx_mesh_auth_ask(const u_char *session, uint64_t serial,
    void (*done)(uint64_t serial, ngx_uint_t lives))
{
    u_char                hex[64];
    ngx_str_t             hash;
    ngx_mesh_db_req_t    *q;
    ngx_mesh_auth_ask_t  *ask;

    if (ngx_memcmp(session, ngx_mesh_auth_zeros, 32) == 0) {
        return NGX_OK;
    }

    q = ngx_mesh_db_create(ngx_mesh_auth_asked, NULL);

    ask = q ? ngx_palloc(q->pool, sizeof(ngx_mesh_auth_ask_t)) : NULL;
    if (ask == NULL) {
        return NGX_ERROR;
    }

    ask->serial = serial;
    ask->done = done;
    q->data = ask;

    hash.data = hex;
    hash.len = ngx_hex_dump(hex, (u_char *) session, 32) - hex;

    ngx_mesh_db_stmt(q, MESH_SQL_WEB_SESSION_GET);
    ngx_mesh_db_str(q, &hash);

    return ngx_mesh_db_send(q) == NGX_OK ? NGX_AGAIN : NGX_ERROR;
}


static void
ngx_mesh_auth_asked(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_mesh_auth_ask_t  *ask;

    ask = q->data;
    ask->done(ask->serial, rc == NGX_OK && ngx_mesh_db_rows(q, 0));
}


ngx_int_t
ngx_mesh_auth_refuse(ngx_http_request_t *r, const char *cause,
    const char *msg)
{
    u_char     *text, *p;
    size_t      size;
    ngx_int_t   rc;

    if (cause == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    size = sizeof("{\"action\":\"close\",\"cause\":\"\",\"msg\":\"\"}")
           + ngx_strlen(cause) + ngx_strlen(msg);

    text = ngx_alloc(size, r->connection->log);
    if (text == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_sprintf(text, "{\"action\":\"close\",\"cause\":\"%s\","
                    "\"msg\":\"%s\"}", cause, msg);
    *p = '\0';

    rc = ngx_mesh_ws_accept(r, &ngx_mesh_auth_refuse_class, text);

    if (rc != NGX_DONE) {
        ngx_free(text);
    }

    return rc;
}


static ngx_int_t
ngx_mesh_auth_refuse_open(ngx_mesh_session_t *s)
{
    if (ngx_mesh_ws_send(s, NGX_MESH_WS_TEXT, s->data, ngx_strlen(s->data))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_mesh_ws_close(s, MESH_WS_CODE_POLICY);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_auth_refuse_message(ngx_mesh_session_t *s, ngx_uint_t opcode,
    u_char *data, size_t len)
{
    return NGX_OK;
}


static void
ngx_mesh_auth_refuse_close(ngx_mesh_session_t *s)
{
    ngx_free(s->data);
    s->data = NULL;
}


/* counters are named by a hash: user names are longer than their keys */
static void
ngx_mesh_login_counter(ngx_str_t *counter, u_char *buf, int64_t domain_id,
    const ngx_str_t *login)
{
    u_char  hash[32];

    ngx_mesh_sha256(login->data, login->len, hash);
    counter->data = buf;
    counter->len = ngx_hex_dump(ngx_sprintf(buf, "%L:", domain_id), hash, 16)
                   - buf;
}


void
ngx_mesh_login_unlock(int64_t account_id)
{
    u_char               buf[NGX_INT64_LEN + 1 + 32];
    ngx_str_t            counter;
    ngx_mesh_account_t  *account;

    account = ngx_mesh_account(account_id);

    if (account) {
        ngx_mesh_login_counter(&counter, buf, account->domain_id,
                               &account->login);
        ngx_mesh_rate_clear(NGX_MESH_RATE_LOGIN_USER, &counter);
    }
}


void
ngx_mesh_login(ngx_mesh_login_t *login)
{
    size_t               len;
    u_char               folded[128];
    ngx_str_t            name;
    ngx_mesh_db_req_t   *q;
    ngx_connection_t    *c;

    c = login->r->connection;
    login->account_id = 0;
    login->retry = 0;

    if (!ngx_mesh_db_up() || !ngx_mesh_model_ready()) {
        ngx_mesh_login_post(login, NGX_ABORT);
        return;
    }

    len = ngx_mesh_fold(folded, sizeof(folded), login->user.data,
                        login->user.len);
    name.data = folded;
    name.len = len;

    ngx_mesh_login_counter(&login->name, login->buf, login->domain_id, &name);

    ngx_mesh_login_address(c, login->buf + 96, &login->address);

    /* who is locked out is not heard: he could lock out others */
    if (ngx_mesh_rate(NGX_MESH_RATE_LOGIN_ADDRESS, &login->address, 0,
                      NGX_MESH_LOGIN_WINDOW)
        >= NGX_MESH_LOGIN_ADDRESS)
    {
        ngx_mesh_login_locked(login, "an address");
        return;
    }

    /*
     * A user is counted before the password is known to be wrong, so that
     * many at once do not slip through, and cleared when it is right.  An
     * address is not cleared: with an account of one's own others could be
     * guessed at for ever.
     */
    if (ngx_mesh_rate(NGX_MESH_RATE_LOGIN_USER, &login->name, 1,
                      NGX_MESH_LOGIN_WINDOW)
        > NGX_MESH_LOGIN_USER)
    {
        ngx_mesh_login_locked(login, "a user");
        return;
    }

    if (ngx_mesh_login_count >= NGX_MESH_LOGIN_OPEN) {
        ngx_mesh_login_post(login, NGX_ABORT);
        return;
    }

    /* an unknown user takes the same road with an account that is not there */

    q = ngx_mesh_db_create(ngx_mesh_login_secret, login);

    if (q == NULL) {
        ngx_mesh_login_post(login, NGX_ABORT);
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_WEB_LOGIN);
    ngx_mesh_db_int(q, login->domain_id);
    ngx_mesh_db_str(q, &name);

    if (ngx_mesh_db_send(q) != NGX_OK) {
        ngx_mesh_login_post(login, NGX_ABORT);
        return;
    }

    login->counted = 1;
    ngx_mesh_login_count++;
}


void
ngx_mesh_login_address(ngx_connection_t *c, u_char *buf, ngx_str_t *address)
{
    address->data = buf;

#if (NGX_HAVE_INET6)
    if (c->sockaddr->sa_family == AF_INET6) {
        /* one customer has a whole /64 */
        address->len =
            ngx_hex_dump(buf, ((struct sockaddr_in6 *) c->sockaddr)
                                  ->sin6_addr.s6_addr, 8)
            - buf;
        return;
    }
#endif

    address->len = ngx_min(c->addr_text.len, NGX_MESH_LOGIN_ADDRESS_LEN);
    ngx_memcpy(buf, c->addr_text.data, address->len);
}


static void
ngx_mesh_login_locked(ngx_mesh_login_t *login, const char *who)
{
    ngx_mesh_count(NGX_MESH_C_LOGIN_FAILURES);
    ngx_log_error(NGX_LOG_INFO, login->r->connection->log, 0,
                  "mesh login: too many failures of %s", who);

    login->retry = NGX_MESH_LOGIN_WINDOW;
    ngx_mesh_login_post(login, NGX_BUSY);
}


static void
ngx_mesh_login_post(ngx_mesh_login_t *login, ngx_int_t rc)
{
    login->rc = rc;
    login->event.handler = ngx_mesh_login_posted;
    login->event.data = login;
    login->event.log = login->r->connection->log;

    ngx_post_event(&login->event, &ngx_posted_events);
}


static void
ngx_mesh_login_posted(ngx_event_t *ev)
{
    ngx_mesh_login_t *login = ev->data;

    ngx_mesh_login_end(login, login->rc);
}


static void
ngx_mesh_login_secret(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t         *row;
    ngx_mesh_login_t  *login;

    login = q->data;

    if (rc != NGX_OK) {
        ngx_mesh_login_end(login, NGX_ABORT);
        return;
    }

    ngx_memzero(&login->hash, sizeof(ngx_mesh_password_t));

    row = ngx_mesh_db_row(q, 0, 0);

    if (row && row[1].len) {
        login->account_id = ngx_mesh_db_num(&row[0]);

        login->hash.stored.data = ngx_pstrdup(login->r->pool, &row[1]);
        if (login->hash.stored.data == NULL) {
            ngx_mesh_login_end(login, NGX_ABORT);
            return;
        }

        login->hash.stored.len = row[1].len;
    }

    login->hash.password = login->password;
    login->hash.pool = login->r->pool;
    login->hash.done = ngx_mesh_login_verified;
    login->hash.data = login;

    if (ngx_mesh_password_verify(&login->hash) != NGX_OK) {
        ngx_mesh_login_end(login, NGX_ABORT);
    }
}


static void
ngx_mesh_login_verified(void *data)
{
    ngx_mesh_login_t *login = data;

    /* mesh-admin can tell no worker: the first to notice tells them all */

    if (login->hash.ok && ngx_mesh_account(login->account_id) == NULL) {
        ngx_mesh_model_changed(NGX_MESH_CHANGE_ACCOUNT, login->account_id);

        login->wait.done = ngx_mesh_login_known;
        login->wait.data = login;
        ngx_mesh_model_wait(&login->wait);
        return;
    }

    ngx_mesh_login_known(login);
}


static void
ngx_mesh_login_known(void *data)
{
    ngx_mesh_login_t *login = data;

    ngx_mesh_account_t  *account;

    account = ngx_mesh_account(login->account_id);

    if (login->hash.ok && account == NULL) {
        ngx_mesh_login_end(login, NGX_ABORT);      /* not read in time */
        return;
    }

    if (!login->hash.ok || ngx_mesh_account_locked(account)) {
        ngx_mesh_count(NGX_MESH_C_LOGIN_FAILURES);
        (void) ngx_mesh_rate(NGX_MESH_RATE_LOGIN_ADDRESS, &login->address, 1,
                             NGX_MESH_LOGIN_WINDOW);
        ngx_mesh_login_end(login, NGX_DECLINED);
        return;
    }

    ngx_mesh_count(NGX_MESH_C_LOGINS);
    ngx_mesh_rate_clear(NGX_MESH_RATE_LOGIN_USER, &login->name);

    if (login->hash.rehash) {
        login->old = login->hash.stored;
        login->hash.done = ngx_mesh_login_rehashed;

        if (ngx_mesh_password_hash(&login->hash) == NGX_OK) {
            return;
        }
    }

    ngx_mesh_login_end(login, NGX_OK);
}


/* an imported hash becomes one of our cost; the password stays as old */
static void
ngx_mesh_login_rehashed(void *data)
{
    ngx_mesh_login_t *login = data;

    ngx_mesh_db_req_t  *q;

    q = login->hash.made.len ? ngx_mesh_db_create(NULL, NULL) : NULL;

    if (q) {
        ngx_mesh_db_stmt(q, MESH_SQL_WEB_PASSWORD_REHASH);
        ngx_mesh_db_int(q, login->account_id);
        ngx_mesh_db_str(q, &login->hash.made);
        ngx_mesh_db_str(q, &login->old);
        (void) ngx_mesh_db_send(q);
    }

    ngx_mesh_login_end(login, NGX_OK);
}


static void
ngx_mesh_login_end(ngx_mesh_login_t *login, ngx_int_t rc)
{
    ngx_connection_t  *c;

    c = login->r->connection;
    login->rc = rc;

    if (login->counted) {
        login->counted = 0;
        ngx_mesh_login_count--;
    }

    ngx_explicit_memzero(login->password.data, login->password.len);

    login->done(login);

    ngx_http_run_posted_requests(c);
}


void
ngx_mesh_login_event(ngx_http_request_t *r, int64_t domain_id,
    int64_t account_id, ngx_uint_t in)
{
    ngx_str_t            text, id, json, *address;
    ngx_table_elt_t     *agent;
    ngx_mesh_jw_t        w, args;
    ngx_mesh_event_t     e;
    ngx_mesh_db_req_t   *q;
    ngx_mesh_account_t  *account;

    account = ngx_mesh_account(account_id);

    if (account == NULL) {
        /* nobody whose list it could stand in */
        return;
    }

    if (in) {
        ngx_mesh_ctx_who(r, account_id, NULL);
    }

    address = ngx_mesh_address(r);
    agent = ngx_mesh_header(r, "user-agent");

    ngx_memzero(&e, sizeof(ngx_mesh_event_t));

    e.scope.domain_id = domain_id;
    e.scope.account_id = account_id;
    e.scope.subject_id = account_id;
    e.scope.site_rights = NGX_MESH_S_MANAGEUSERS;
    e.kind = "user";
    e.action = in ? "login" : "authfail";
    e.msgid = in ? 107 : 110;
    e.address = *address;

    text.data = ngx_pnalloc(r->pool, address->len + 64);
    id.data = ngx_pnalloc(r->pool, account->domain.len + account->login.len
                                   + 8);

    if (text.data == NULL || id.data == NULL) {
        return;
    }

    text.len = ngx_sprintf(text.data, in ? "Account login from %V"
                                         : "Failed login from %V", address)
               - text.data;
    id.len = ngx_sprintf(id.data, "user/%V/%V", &account->domain,
                         &account->login)
             - id.data;

    if (ngx_mesh_jw_init(&args, r->pool, 64) != NGX_OK
        || ngx_mesh_jw_init(&w, r->pool, 512) != NGX_OK)
    {
        return;
    }

    ngx_mesh_jw_open(&args, NULL, '[');
    ngx_mesh_jw_str(&args, NULL, address);
    ngx_mesh_jw_shut(&args, ']');

    if (ngx_mesh_jw_done(&args, &e.args) != NGX_OK) {
        return;
    }

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_str(&w, "userid", &id);
    ngx_mesh_jw_str(&w, "username", &account->name);

    if (agent && agent->value.len <= 512) {
        ngx_mesh_jw_str(&w, "userAgent", &agent->value);
    }

    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &e.doc) != NGX_OK) {
        return;
    }

    e.text = text;

    ngx_mesh_event_log(&e);

    if (ngx_mesh_jw_init(&w, r->pool, 512) == NGX_OK) {
        ngx_mesh_jw_open(&w, NULL, '{');
        ngx_mesh_jw_cstr(&w, "etype", "user");
        ngx_mesh_jw_cstr(&w, "action", e.action);
        ngx_mesh_jw_str(&w, "userid", &id);
        ngx_mesh_jw_str(&w, "username", &account->name);
        ngx_mesh_jw_str(&w, "domain", &account->domain);
        ngx_mesh_jw_int(&w, "msgid", e.msgid);
        ngx_mesh_jw_raw(&w, "msgArgs", &e.args);
        ngx_mesh_jw_str(&w, "msg", &text);
        ngx_mesh_jw_shut(&w, '}');

        if (ngx_mesh_jw_done(&w, &json) == NGX_OK) {
            ngx_mesh_event_publish(&e.scope, &json);
        }
    }

    if (in) {
        q = ngx_mesh_db_create(NULL, NULL);

        if (q) {
            ngx_mesh_db_stmt(q, MESH_SQL_WEB_ACCOUNT_SEEN);
            ngx_mesh_db_int(q, account_id);
            ngx_mesh_db_int(q, ngx_mesh_now_ms());
            ngx_mesh_db_late(q, "login", account_id);
        }
    }
}


ngx_int_t
ngx_mesh_arg(ngx_http_request_t *r, const char *name, ngx_str_t *value)
{
    size_t      len;
    u_char     *p, *last, *amp, *eq, *dst, *out;
    u_char      hi, lo;
    ngx_int_t   rc;

    len = ngx_strlen(name);
    rc = NGX_DECLINED;

    p = r->args.data;
    last = p + r->args.len;

    /* some clients glue the query of another URL behind (control.md 5.3) */
    out = ngx_strlchr(p, last, '?');
    if (out) {
        last = out;
    }

    for ( /* void */ ; p < last; p = amp + 1) {
        amp = ngx_strlchr(p, last, '&');
        if (amp == NULL) {
            amp = last;
        }

        eq = ngx_strlchr(p, amp, '=');

        if ((size_t) ((eq ? eq : amp) - p) != len
            || ngx_strncmp(p, name, len) != 0)
        {
            continue;
        }

        if (rc == NGX_OK) {
            return NGX_ERROR;
        }

        p = eq ? eq + 1 : amp;

        value->data = ngx_pnalloc(r->pool, amp - p + 1);
        if (value->data == NULL) {
            return NGX_ERROR;
        }

        for (dst = value->data; p < amp; p++) {
            if (*p != '%') {
                *dst++ = *p;
                continue;
            }

            if (amp - p < 3) {
                return NGX_ERROR;
            }

            hi = p[1] | 0x20;
            lo = p[2] | 0x20;

            if (!((p[1] >= '0' && p[1] <= '9') || (hi >= 'a' && hi <= 'f'))
                || !((p[2] >= '0' && p[2] <= '9') || (lo >= 'a' && lo <= 'f')))
            {
                return NGX_ERROR;
            }

            *dst = (u_char) ngx_hextoi(p + 1, 2);

            if (*dst++ == '\0') {
                return NGX_ERROR;
            }

            p += 2;
        }

        *dst = '\0';
        value->len = dst - value->data;
        rc = NGX_OK;
    }

    return rc;
}


ngx_table_elt_t *
ngx_mesh_header(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);
    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {
        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            h = part->elts;
            i = 0;

            if (part->nelts == 0) {
                return NULL;
            }
        }

        if (h[i].key.len == len
            && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
        {
            return &h[i];
        }
    }
}


ngx_int_t
ngx_mesh_cookie_value(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    size_t            len;
    u_char           *p, *end, *semi;
    ngx_int_t         rc;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);
    rc = NGX_DECLINED;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len != 6
                || ngx_strncasecmp(h[i].key.data, (u_char *) "cookie", 6) != 0)
            {
                continue;
            }

            p = h[i].value.data;
            end = p + h[i].value.len;

            for ( /* void */ ; p < end; p = semi + 1) {
                semi = ngx_strlchr(p, end, ';');
                if (semi == NULL) {
                    semi = end;
                }

                while (p < semi && *p == ' ') {
                    p++;
                }

                if ((size_t) (semi - p) > len && p[len] == '='
                    && ngx_strncmp(p, name, len) == 0)
                {
                    if (rc == NGX_OK) {
                        return NGX_DECLINED;
                    }

                    value->data = p + len + 1;
                    value->len = semi - value->data;
                    rc = NGX_OK;
                }
            }
        }
    }

    return rc;
}


ngx_str_t *
ngx_mesh_address(ngx_http_request_t *r)
{
    return &r->connection->addr_text;
}


u_char *
ngx_mesh_id_write(u_char *dst, const u_char *raw)
{
    ngx_uint_t  i;
    uint32_t    n;

    static const u_char  alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@$";

    for (i = 0; i < NGX_MESH_ID_LEN; i += 3) {
        n = (uint32_t) raw[i] << 16 | (uint32_t) raw[i + 1] << 8 | raw[i + 2];

        *dst++ = alphabet[n >> 18];
        *dst++ = alphabet[(n >> 12) & 63];
        *dst++ = alphabet[(n >> 6) & 63];
        *dst++ = alphabet[n & 63];
    }

    return dst;
}


ngx_int_t
ngx_mesh_id_parse(const u_char *text, size_t len, u_char *raw)
{
    u_char      ch;
    uint32_t    v, n;
    ngx_uint_t  i;

    if (len != NGX_MESH_ID_TEXT) {
        return NGX_DECLINED;
    }

    n = 0;

    for (i = 0; i < NGX_MESH_ID_TEXT; i++) {
        ch = text[i];

        if (ch >= 'A' && ch <= 'Z') {
            v = ch - 'A';

        } else if (ch >= 'a' && ch <= 'z') {
            v = ch - 'a' + 26;

        } else if (ch >= '0' && ch <= '9') {
            v = ch - '0' + 52;

        } else if (ch == '@') {
            v = 62;

        } else if (ch == '$') {
            v = 63;

        } else {
            return NGX_DECLINED;
        }

        n = n << 6 | v;

        if ((i & 3) == 3) {
            *raw++ = (u_char) (n >> 16);
            *raw++ = (u_char) (n >> 8);
            *raw++ = (u_char) n;
            n = 0;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_wire_parse(const char *kind, int64_t domain_id, const ngx_str_t *id,
    u_char *raw)
{
    size_t     len;
    u_char    *slash;
    ngx_str_t  domain;

    if (id->len == NGX_MESH_ID_TEXT) {
        return ngx_mesh_id_parse(id->data, id->len, raw);
    }

    len = ngx_strlen(kind);           /* "node/" */

    if (id->len < len + 1 + NGX_MESH_ID_TEXT
        || ngx_strncmp(id->data, kind, len) != 0)
    {
        return NGX_DECLINED;
    }

    slash = id->data + id->len - NGX_MESH_ID_TEXT - 1;

    domain.data = id->data + len;
    domain.len = slash - domain.data;

    if (*slash != '/' || ngx_mesh_domain_id(&domain) != domain_id) {
        return NGX_DECLINED;
    }

    return ngx_mesh_id_parse(slash + 1, NGX_MESH_ID_TEXT, raw);
}


ngx_int_t
ngx_mesh_node_parse(int64_t domain_id, const ngx_str_t *id, u_char *raw)
{
    return ngx_mesh_wire_parse("node/", domain_id, id, raw);
}


ngx_int_t
ngx_mesh_mesh_parse(int64_t domain_id, const ngx_str_t *id, u_char *raw)
{
    return ngx_mesh_wire_parse("mesh/", domain_id, id, raw);
}


u_char *
ngx_mesh_hex_upper(u_char *dst, const u_char *src, size_t len)
{
    static const u_char  hex[] = "0123456789ABCDEF";

    while (len--) {
        *dst++ = hex[*src >> 4];
        *dst++ = hex[*src++ & 0xf];
    }

    return dst;
}


void
ngx_mesh_url_path(ngx_http_mesh_srv_conf_t *srv, ngx_str_t *path)
{
    u_char  *start, *last, *slash;

    ngx_str_null(path);

    if (srv->url.len <= sizeof("https://") - 1) {
        return;
    }

    start = srv->url.data + sizeof("https://") - 1;
    last = srv->url.data + srv->url.len;
    slash = ngx_strlchr(start, last, '/');

    if (slash) {
        path->data = slash + 1;
        path->len = last - path->data;

        if (path->len && last[-1] == '/') {
            path->len--;
        }
    }
}


ngx_int_t
ngx_mesh_limit_relay(ngx_http_mesh_srv_conf_t *srv, int64_t account_id,
    const ngx_str_t *address)
{
    u_char      buf[NGX_INT64_LEN + 5];
    ngx_str_t   user;
    ngx_uint_t  i;

    i = NGX_MESH_LIMIT_RELAY;
    user.data = buf;
    user.len = ngx_sprintf(buf, "user:%L", account_id) - buf;

    if (ngx_mesh_limit_enter(i, address, srv->limit_address[i]) != NGX_OK) {
        return NGX_BUSY;
    }

    if (ngx_mesh_limit_enter(i, &user, srv->limit_user[i]) != NGX_OK) {
        ngx_mesh_limit_leave(i, address);
        return NGX_BUSY;
    }

    return NGX_OK;
}


void
ngx_mesh_limit_relay_leave(int64_t account_id, const ngx_str_t *address)
{
    u_char     buf[NGX_INT64_LEN + 5];
    ngx_str_t  user;

    user.data = buf;
    user.len = ngx_sprintf(buf, "user:%L", account_id) - buf;

    ngx_mesh_limit_leave(NGX_MESH_LIMIT_RELAY, &user);
    ngx_mesh_limit_leave(NGX_MESH_LIMIT_RELAY, address);
}


void
ngx_mesh_ticket_begin(ngx_mesh_ticket_t *ticket, u_char kind,
    const ngx_mesh_auth_t *who, time_t seconds)
{
    ngx_memzero(ticket, sizeof(ngx_mesh_ticket_t));

    ticket->kind = kind;
    ticket->domain_id = who->domain_id;
    ticket->account_id = who->account_id;
    ticket->password_at = who->password_at;
    ngx_memcpy(ticket->session, who->session, 32);
    ticket->expires = ngx_time() + seconds;
}

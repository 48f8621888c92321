/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* session.ashx, login.ashx, logout.ashx, setup.ashx */

#include "ngx_mesh_web.h"


#define NGX_MESH_WEB_TOKEN      43    /* 32 bytes of base64url */
#define NGX_MESH_WEB_PASSWORD   10    /* characters at least */
#define NGX_MESH_WEB_PINS       8


typedef struct ngx_mesh_web_post_s  ngx_mesh_web_post_t;

struct ngx_mesh_web_post_s {
    ngx_http_request_t   *r;
    ngx_mesh_json_t      *json;       /* the body, freed with r */
    ngx_mesh_login_t      login;
    ngx_mesh_password_t   hash;
    ngx_str_t             user, password, real, email;
    int64_t               account_id;
    u_char                hex[64];    /* of a token's hash */
    u_char                token[NGX_MESH_WEB_TOKEN];
    u_char                agent[256];
};


typedef void (*ngx_mesh_web_post_pt)(ngx_mesh_web_post_t *post);


static void ngx_mesh_web_session_who(void *data, ngx_mesh_auth_t *who,
    const char *cause, const char *msg);
static void ngx_mesh_web_session_setup(ngx_mesh_db_req_t *q, ngx_int_t rc);
static ngx_int_t ngx_mesh_web_session_send(ngx_http_request_t *r,
    int64_t account_id, ngx_uint_t setup);

static ngx_int_t ngx_mesh_web_post(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler);
static ngx_mesh_web_post_t *ngx_mesh_web_post_read(ngx_http_request_t *r);
static void ngx_mesh_web_post_free(void *data);
static ngx_int_t ngx_mesh_web_body(ngx_http_request_t *r, ngx_str_t *body);
static ngx_int_t ngx_mesh_web_csrf(ngx_http_request_t *r, u_char *token,
    const ngx_str_t *cookie);
static ngx_int_t ngx_mesh_web_token(ngx_str_t *text, ngx_pool_t *pool);
static ngx_int_t ngx_mesh_web_set_cookie(ngx_http_request_t *r,
    const char *name, const ngx_str_t *value, const char *rest);

static void ngx_mesh_web_login(ngx_http_request_t *r);
static void ngx_mesh_web_login_done(ngx_mesh_login_t *login);
static ngx_int_t ngx_mesh_web_open(ngx_mesh_web_post_t *post);
static void ngx_mesh_web_opened(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_web_logout(ngx_http_request_t *r);
static void ngx_mesh_web_logout_who(void *data, ngx_mesh_auth_t *who,
    const char *cause, const char *msg);
static void ngx_mesh_web_logged_out(ngx_mesh_db_req_t *q, ngx_int_t rc);
static ngx_int_t ngx_mesh_web_logout_send(ngx_http_request_t *r);
static void ngx_mesh_web_setup(ngx_http_request_t *r);
static void ngx_mesh_web_setup_link(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_web_setup_hashed(void *data);
static void ngx_mesh_web_setup_made(ngx_mesh_db_req_t *q, ngx_int_t rc);
static ngx_int_t ngx_mesh_web_setup_closed(ngx_http_request_t *r);
static ngx_int_t ngx_mesh_web_unstored(ngx_http_request_t *r, ngx_int_t rc);
static ngx_int_t ngx_mesh_web_unavailable(ngx_http_request_t *r);


ngx_int_t
ngx_http_mesh_web_session_handler(ngx_http_request_t *r)
{
    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        return NGX_HTTP_BAD_REQUEST;
    }

    return ngx_mesh_auth_session(r, ngx_mesh_web_session_who, r);
}


static void
ngx_mesh_web_session_who(void *data, ngx_mesh_auth_t *who, const char *cause,
    const char *msg)
{
    ngx_http_request_t *r = data;

    ngx_mesh_db_req_t  *q;

    if (who == NULL && cause == NULL) {
        ngx_http_finalize_request(r, ngx_mesh_web_unavailable(r));
        return;
    }

    if (who) {
        /* somebody is here: whether a set-up link is open is not shown */
        ngx_http_finalize_request(r,
            ngx_mesh_web_session_send(r, who->account_id, 0));
        return;
    }

    q = ngx_mesh_db_up() ? ngx_mesh_db_create(ngx_mesh_web_session_setup, r)
                         : NULL;

    if (q == NULL) {
        ngx_http_finalize_request(r, ngx_mesh_web_unavailable(r));
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_WEB_META_GET);
    ngx_mesh_db_text(q, "setup");

    r->main->blocked++;               /* the count is the one of auth */

    if (ngx_mesh_db_send(q) != NGX_OK) {
        r->main->blocked--;
        ngx_http_finalize_request(r, ngx_mesh_web_unavailable(r));
    }
}


static void
ngx_mesh_web_session_setup(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t           *row;
    ngx_http_request_t  *r;

    r = q->data;

    if (rc != NGX_OK) {
        ngx_mesh_web_release(r, ngx_mesh_web_unavailable(r));
        return;
    }

    row = ngx_mesh_db_row(q, 0, 0);

    ngx_mesh_web_release(r, ngx_mesh_web_session_send(r, 0,
                                                      row && row[0].len));
}


static ngx_int_t
ngx_mesh_web_session_send(ngx_http_request_t *r, int64_t account_id,
    ngx_uint_t setup)
{
    u_char                     token[64], pins[NGX_MESH_WEB_PINS][32];
    u_char                     base64[ngx_base64_encoded_length(32)];
    ngx_str_t                  cookie, text, csrf, id, name, pin, key;
    ngx_uint_t                 i, n;
    ngx_mesh_jw_t              w;
    ngx_mesh_account_t        *account;
    ngx_http_mesh_srv_conf_t  *srv;

    if (ngx_mesh_cookie_value(r, NGX_MESH_COOKIE_CSRF, &cookie) != NGX_OK
        || cookie.len != NGX_MESH_WEB_TOKEN)
    {
        if (ngx_mesh_web_token(&cookie, r->pool) != NGX_OK
            || ngx_mesh_web_set_cookie(r, NGX_MESH_COOKIE_CSRF, &cookie,
                                       "SameSite=Strict")
               != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (ngx_mesh_web_csrf(r, token, &cookie) != NGX_OK) {
        return ngx_mesh_web_unavailable(r);
    }

    csrf.data = token;
    csrf.len = sizeof(token);

    if (ngx_mesh_jw_init(&w, r->pool, 512) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_str(&w, "csrf", &csrf);
    ngx_mesh_jw_bool(&w, "setup", setup);

    account = account_id ? ngx_mesh_account(account_id) : NULL;

    if (account) {
        id.data = ngx_pnalloc(r->pool, account->domain.len
                                       + account->login.len + 8);
        if (id.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        id.len = ngx_sprintf(id.data, "user/%V/%V", &account->domain,
                             &account->login)
                 - id.data;

        ngx_mesh_jw_open(&w, "user", '{');
        ngx_mesh_jw_str(&w, "_id", &id);
        ngx_mesh_jw_str(&w, "name", &account->name);

        if (account->real_name.len) {
            ngx_mesh_jw_str(&w, "realname", &account->real_name);
        }

        ngx_mesh_jw_shut(&w, '}');

    } else {
        ngx_mesh_jw_null(&w, "user");
    }

    srv = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);

    if (srv->url.len) {
        name = srv->url;

    } else {
        name = r->headers_in.server;
    }

    ngx_mesh_jw_str(&w, "name", &name);
    ngx_mesh_jw_cstr(&w, "version", NGX_MESH_VERSION);

    /* by which a command line knows that it has reached us */

    n = ngx_mesh_cert_pins(srv, pins, NGX_MESH_WEB_PINS);
    ngx_mesh_jw_open(&w, "pins", '[');

    for (i = 0; i < n; i++) {
        key.data = pins[i];
        key.len = 32;
        pin.data = base64;
        ngx_encode_base64(&pin, &key);
        ngx_mesh_jw_str(&w, NULL, &pin);
    }

    ngx_mesh_jw_shut(&w, ']');
    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &text) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_mesh_web_send(r, NGX_HTTP_OK, "application/json", &text);
}


ngx_int_t
ngx_http_mesh_web_login_handler(ngx_http_request_t *r)
{
    return ngx_mesh_web_post(r, ngx_mesh_web_login);
}


ngx_int_t
ngx_http_mesh_web_logout_handler(ngx_http_request_t *r)
{
    return ngx_mesh_web_post(r, ngx_mesh_web_logout);
}


ngx_int_t
ngx_http_mesh_web_setup_handler(ngx_http_request_t *r)
{
    return ngx_mesh_web_post(r, ngx_mesh_web_setup);
}


/* what holds for each POST, before its body is read */
static ngx_int_t
ngx_mesh_web_post(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler)
{
    size_t            len;
    ngx_int_t         rc;
    ngx_str_t         cookie;
    u_char            token[64];
    ngx_table_elt_t  *h;

    if (r->method != NGX_HTTP_POST) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (r->headers_in.content_length_n > NGX_MESH_WEB_BODY) {
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    rc = ngx_mesh_origin_check(r);
    if (rc != NGX_OK) {
        return rc;
    }

    h = r->headers_in.content_type;
    len = sizeof("application/json") - 1;

    if (h == NULL || h->value.len < len
        || ngx_strncasecmp(h->value.data, (u_char *) "application/json", len)
           != 0
        || (h->value.len > len && h->value.data[len] != ';'
            && h->value.data[len] != ' '))
    {
        return NGX_HTTP_UNSUPPORTED_MEDIA_TYPE;
    }

    h = ngx_mesh_header(r, "x-mesh-csrf");

    if (h == NULL || h->value.len != sizeof(token)
        || ngx_mesh_cookie_value(r, NGX_MESH_COOKIE_CSRF, &cookie) != NGX_OK
        || cookie.len != NGX_MESH_WEB_TOKEN)
    {
        (void) ngx_http_discard_request_body(r);
        return ngx_mesh_web_error(r, NGX_HTTP_FORBIDDEN, "csrf",
                                  "The page is too old. Load it again.", 0);
    }

    if (ngx_mesh_web_csrf(r, token, &cookie) != NGX_OK) {
        (void) ngx_http_discard_request_body(r);
        return ngx_mesh_web_unavailable(r);
    }

    if (!ngx_mesh_equal(token, h->value.data, sizeof(token))) {
        (void) ngx_http_discard_request_body(r);
        return ngx_mesh_web_error(r, NGX_HTTP_FORBIDDEN, "csrf",
                                  "The page is too old. Load it again.", 0);
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


/* NULL: r is finalized already */
static ngx_mesh_web_post_t *
ngx_mesh_web_post_read(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_str_t             body;
    ngx_pool_cleanup_t   *cln;
    ngx_mesh_web_post_t  *post;

    rc = ngx_mesh_web_body(r, &body);

    if (rc != NGX_OK) {
        ngx_http_finalize_request(r, rc);
        return NULL;
    }

    post = ngx_pcalloc(r->pool, sizeof(ngx_mesh_web_post_t));
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (post == NULL || cln == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return NULL;
    }

    post->r = r;
    post->json = ngx_mesh_json_parse(body.data, body.len);

    ngx_explicit_memzero(body.data, body.len);

    if (post->json == NULL) {
        ngx_http_finalize_request(r, ngx_mesh_web_error(r,
            NGX_HTTP_BAD_REQUEST, "json", "The request is not understood.",
            0));
        return NULL;
    }

    cln->handler = ngx_mesh_web_post_free;
    cln->data = post;

    return post;
}


static void
ngx_mesh_web_post_free(void *data)
{
    ngx_mesh_web_post_t *post = data;

    ngx_mesh_json_free(post->json);
}


static ngx_int_t
ngx_mesh_web_body(ngx_http_request_t *r, ngx_str_t *body)
{
    off_t         size;
    ssize_t       n;
    u_char       *p;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (r->request_body == NULL) {
        return NGX_HTTP_BAD_REQUEST;
    }

    size = 0;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    if (size > NGX_MESH_WEB_BODY) {
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    p = ngx_pnalloc(r->pool, (size_t) size + 1);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body->data = p;
    body->len = (size_t) size;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (b->in_file) {
            n = ngx_read_file(b->file, p, (size_t) (b->file_last
                                                    - b->file_pos),
                              b->file_pos);
            if (n != (ssize_t) (b->file_last - b->file_pos)) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            p += n;

        } else {
            n = b->last - b->pos;
            p = ngx_cpymem(p, b->pos, n);

            /* passwords do not stay in nginx's buffers */
            if (b->temporary) {
                ngx_explicit_memzero(b->pos, n);
            }
        }
    }

    *p = '\0';

    return NGX_OK;
}


/* hex of the HMAC over the CSRF cookie and the session's token */
static ngx_int_t
ngx_mesh_web_csrf(ngx_http_request_t *r, u_char *token,
    const ngx_str_t *cookie)
{
    u_char      buf[2 * NGX_MESH_WEB_TOKEN], mac[32];
    size_t      len;
    ngx_str_t  *key, session;

    key = ngx_mesh_server_key("csrf");
    if (key == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(buf, cookie->data, NGX_MESH_WEB_TOKEN);
    len = NGX_MESH_WEB_TOKEN;

    if (ngx_mesh_cookie_value(r, NGX_MESH_COOKIE_SESSION, &session) == NGX_OK
        && session.len == NGX_MESH_WEB_TOKEN)
    {
        ngx_memcpy(buf + len, session.data, NGX_MESH_WEB_TOKEN);
        len += NGX_MESH_WEB_TOKEN;
    }

    ngx_mesh_hmac_sha256(key, buf, len, mac);
    (void) ngx_hex_dump(token, mac, sizeof(mac));

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_web_token(ngx_str_t *text, ngx_pool_t *pool)
{
    u_char     *p, raw[32], buf[64];
    ngx_str_t   src, dst;

    if (ngx_mesh_random(raw, sizeof(raw)) != NGX_OK) {
        return NGX_ERROR;
    }

    src.data = raw;
    src.len = sizeof(raw);
    dst.data = buf;

    ngx_encode_base64url(&dst, &src);

    p = ngx_pnalloc(pool, NGX_MESH_WEB_TOKEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, buf, NGX_MESH_WEB_TOKEN);

    text->data = p;
    text->len = NGX_MESH_WEB_TOKEN;

    ngx_explicit_memzero(raw, sizeof(raw));

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_web_set_cookie(ngx_http_request_t *r, const char *name,
    const ngx_str_t *value, const char *rest)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, ngx_strlen(name) + value->len
                             + sizeof("=; Path=/; Secure; HttpOnly; ")
                             + ngx_strlen(rest));
    if (p == NULL) {
        return NGX_ERROR;
    }

    *ngx_sprintf(p, "%s=%V; Path=/; Secure; HttpOnly; %s", name, value, rest)
        = '\0';

    return ngx_mesh_web_header(r, "Set-Cookie", (char *) p);
}


static void
ngx_mesh_web_login(ngx_http_request_t *r)
{
    ngx_mesh_web_post_t       *post;
    ngx_http_mesh_srv_conf_t  *srv;

    post = ngx_mesh_web_post_read(r);
    if (post == NULL) {
        return;
    }

    if (ngx_mesh_json_str(post->json, "username", &post->login.user) != NGX_OK
        || ngx_mesh_json_str(post->json, "password", &post->login.password)
           != NGX_OK
        || post->login.user.len > 1024 || post->login.password.len > 4096)
    {
        ngx_http_finalize_request(r, ngx_mesh_web_error(r,
            NGX_HTTP_BAD_REQUEST, "json",
            "User name and password are needed.", 0));
        return;
    }

    srv = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);

    post->login.r = r;
    post->login.domain_id = ngx_mesh_domain_id(&srv->domain);
    post->login.done = ngx_mesh_web_login_done;
    post->login.data = post;

    ngx_mesh_web_hold(r);
    ngx_http_finalize_request(r, NGX_DONE);     /* the count of the body */

    ngx_mesh_login(&post->login);
}


static void
ngx_mesh_web_login_done(ngx_mesh_login_t *login)
{
    ngx_int_t             rc;
    ngx_http_request_t   *r;
    ngx_mesh_web_post_t  *post;

    post = login->data;
    r = post->r;

    switch (login->rc) {

    case NGX_OK:
        post->account_id = login->account_id;

        if (ngx_mesh_web_open(post) == NGX_OK) {
            return;
        }

        rc = ngx_mesh_web_unavailable(r);
        break;

    case NGX_DECLINED:
        ngx_mesh_login_event(r, login->domain_id, login->account_id, 0);

        rc = ngx_mesh_web_error(r, NGX_HTTP_UNAUTHORIZED, "credentials",
                                "Wrong user name or password.", 0);
        break;

    case NGX_BUSY:
        rc = ngx_mesh_web_error(r, NGX_HTTP_TOO_MANY_REQUESTS, "locked",
                                "Too many failed logins. Try again later.",
                                login->retry);
        break;

    default:
        rc = ngx_mesh_web_unavailable(r);
        break;
    }

    ngx_mesh_web_release(r, rc);
}


/* a new web session of post->account_id; its answer is sent when stored */
static ngx_int_t
ngx_mesh_web_open(ngx_mesh_web_post_t *post)
{
    size_t              i;
    int64_t             now;
    u_char              hash[32];
    ngx_str_t           token, hex, agent, *address;
    ngx_table_elt_t    *h;
    ngx_mesh_db_req_t  *q;

    if (ngx_mesh_web_token(&token, post->r->pool) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(post->token, token.data, NGX_MESH_WEB_TOKEN);

    ngx_mesh_sha256(token.data, token.len, hash);
    hex.data = post->hex;
    hex.len = ngx_hex_dump(post->hex, hash, 32) - post->hex;

    agent.data = post->agent;
    agent.len = 0;

    h = ngx_mesh_header(post->r, "user-agent");

    /* a header may hold any bytes, the database takes text only */

    for (i = 0; h && i < h->value.len && i < sizeof(post->agent); i++) {
        agent.data[agent.len++] = (h->value.data[i] >= ' '
                                   && h->value.data[i] < 0x7f)
                                  ? h->value.data[i] : '?';
    }

    address = ngx_mesh_address(post->r);
    now = ngx_mesh_now_ms();

    q = ngx_mesh_db_create(ngx_mesh_web_opened, post);
    if (q == NULL) {
        return NGX_ERROR;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_WEB_SESSION_ADD);
    ngx_mesh_db_str(q, &hex);
    ngx_mesh_db_int(q, post->account_id);
    ngx_mesh_db_int(q, now);
    ngx_mesh_db_int(q, now + NGX_MESH_SESSION_MAX);
    ngx_mesh_db_str(q, address);
    ngx_mesh_db_str(q, &agent);

    return ngx_mesh_db_send(q) == NGX_OK ? NGX_OK : NGX_ERROR;
}


static void
ngx_mesh_web_opened(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t             token, text;
    ngx_http_request_t   *r;
    ngx_mesh_account_t   *account;
    ngx_mesh_web_post_t  *post;

    post = q->data;
    r = post->r;

    if (rc != NGX_OK) {
        ngx_mesh_web_release(r, ngx_mesh_web_unstored(r, rc));
        return;
    }

    account = ngx_mesh_account(post->account_id);

    if (account) {
        ngx_mesh_login_event(r, account->domain_id, account->account_id, 1);
    }

    token.data = post->token;
    token.len = NGX_MESH_WEB_TOKEN;

    if (ngx_mesh_web_set_cookie(r, NGX_MESH_COOKIE_SESSION, &token,
                                "SameSite=Lax")
        != NGX_OK)
    {
        ngx_mesh_web_release(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_str_set(&text, "{\"ok\":true}");

    ngx_mesh_web_release(r, ngx_mesh_web_send(r, NGX_HTTP_OK,
                                              "application/json", &text));
}


static void
ngx_mesh_web_logout(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_mesh_auth_session(r, ngx_mesh_web_logout_who, r);

    /* the count of the body; auth has its own */
    ngx_http_finalize_request(r, rc);
}


static void
ngx_mesh_web_logout_who(void *data, ngx_mesh_auth_t *who, const char *cause,
    const char *msg)
{
    ngx_http_request_t *r = data;

    u_char                hex[64];
    ngx_str_t             hash;
    ngx_mesh_db_req_t    *q;
    ngx_mesh_web_post_t  *post;

    if (who == NULL) {
        ngx_http_finalize_request(r, cause ? ngx_mesh_web_logout_send(r)
                                           : ngx_mesh_web_unavailable(r));
        return;
    }

    post = ngx_pcalloc(r->pool, sizeof(ngx_mesh_web_post_t));
    if (post == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    post->r = r;
    post->account_id = who->account_id;

    hash.data = hex;
    hash.len = ngx_hex_dump(hex, who->session, 32) - hex;

    q = ngx_mesh_db_create(ngx_mesh_web_logged_out, post);
    if (q == NULL) {
        ngx_http_finalize_request(r, ngx_mesh_web_unavailable(r));
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_WEB_SESSION_DELETE);
    ngx_mesh_db_str(q, &hash);
    ngx_mesh_db_int(q, who->account_id);
    ngx_mesh_model_change(q, NGX_MESH_CHANGE_SESSION, who->account_id);

    r->main->blocked++;

    if (ngx_mesh_db_send(q) != NGX_OK) {
        r->main->blocked--;
        ngx_http_finalize_request(r, ngx_mesh_web_unavailable(r));
    }
}


static void
ngx_mesh_web_logged_out(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_mesh_web_post_t  *post;

    post = q->data;

    if (rc == NGX_OK) {
        ngx_mesh_model_changed(NGX_MESH_CHANGE_SESSION, post->account_id);
    }

    ngx_mesh_web_release(post->r, rc == NGX_OK
                                  ? ngx_mesh_web_logout_send(post->r)
                                  : ngx_mesh_web_unstored(post->r, rc));
}


static ngx_int_t
ngx_mesh_web_logout_send(ngx_http_request_t *r)
{
    ngx_str_t  text, none;

    ngx_str_set(&none, "");

    if (ngx_mesh_web_set_cookie(r, NGX_MESH_COOKIE_SESSION, &none,
                                "SameSite=Lax; Max-Age=0")
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_set(&text, "{\"ok\":true}");

    return ngx_mesh_web_send(r, NGX_HTTP_OK, "application/json", &text);
}


static void
ngx_mesh_web_setup(ngx_http_request_t *r)
{
    u_char                hash[32], folded[128];
    u_char                counter[NGX_MESH_LOGIN_ADDRESS_LEN];
    size_t                i;
    ngx_int_t             rc;
    ngx_str_t             token, address;
    ngx_mesh_db_req_t    *q;
    ngx_mesh_web_post_t  *post;

    post = ngx_mesh_web_post_read(r);
    if (post == NULL) {
        return;
    }

    if (ngx_mesh_json_str(post->json, "token", &token) != NGX_OK
        || ngx_mesh_json_str(post->json, "username", &post->user) != NGX_OK
        || ngx_mesh_json_str(post->json, "password", &post->password)
           != NGX_OK
        || post->password.len > 4096)
    {
        rc = ngx_mesh_web_error(r, NGX_HTTP_BAD_REQUEST, "json",
                                "Token, user name and password are needed.",
                                0);
        goto done;
    }

    rc = ngx_mesh_json_str(post->json, "email", &post->email);

    if (rc == NGX_DECLINED) {
        ngx_str_set(&post->email, "");

    } else if (rc == NGX_ERROR || post->email.len > 254) {
        rc = ngx_mesh_web_error(r, NGX_HTTP_BAD_REQUEST, "email",
                                "This is not an e-mail address.", 0);
        goto done;
    }

    /* guesses at the link are counted as guesses at a password */

    ngx_mesh_login_address(r->connection, counter, &address);

    if (ngx_mesh_rate(NGX_MESH_RATE_LOGIN_ADDRESS, &address, 1, 600) > 30) {
        rc = ngx_mesh_web_error(r, NGX_HTTP_TOO_MANY_REQUESTS, "locked",
                                "Too many tries. Try again later.", 600);
        goto done;
    }

    if (token.len != NGX_MESH_WEB_TOKEN) {
        rc = ngx_mesh_web_setup_closed(r);
        goto done;
    }

    if (post->user.len == 0 || ngx_utf8_length(post->user.data, post->user.len)
                               > 64
        || ngx_mesh_fold(folded, sizeof(folded), post->user.data,
                         post->user.len)
           == 0)
    {
        rc = ngx_mesh_web_error(r, NGX_HTTP_BAD_REQUEST, "username",
                                "A user name has 1 to 64 characters.", 0);
        goto done;
    }

    for (i = 0; i < post->user.len; i++) {
        if (post->user.data[i] <= ' ' || post->user.data[i] == 0x7f
            || ngx_strchr("/\",~", post->user.data[i]))
        {
            rc = ngx_mesh_web_error(r, NGX_HTTP_BAD_REQUEST, "username",
                     "A user name has no spaces and none of / \" , ~ in it.",
                     0);
            goto done;
        }
    }

    if (ngx_utf8_length(post->password.data, post->password.len)
        < NGX_MESH_WEB_PASSWORD)
    {
        rc = ngx_mesh_web_error(r, NGX_HTTP_BAD_REQUEST, "password",
                                "A password has at least 10 characters.", 0);
        goto done;
    }

    if (post->password.len == post->user.len
        && ngx_strncasecmp(post->password.data, post->user.data,
                           post->user.len)
           == 0)
    {
        rc = ngx_mesh_web_error(r, NGX_HTTP_BAD_REQUEST, "password",
                                "The password must not be the user name.", 0);
        goto done;
    }

    ngx_mesh_sha256(token.data, token.len, hash);
    (void) ngx_hex_dump(post->hex, hash, 32);

    q = ngx_mesh_db_up() && ngx_mesh_model_ready()
        ? ngx_mesh_db_create(ngx_mesh_web_setup_link, post) : NULL;

    if (q == NULL) {
        rc = ngx_mesh_web_unavailable(r);
        goto done;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_WEB_META_GET);
    ngx_mesh_db_text(q, "setup");

    r->main->blocked++;               /* the count is the one of the body */

    if (ngx_mesh_db_send(q) == NGX_OK) {
        return;
    }

    r->main->blocked--;
    rc = ngx_mesh_web_unavailable(r);

done:

    ngx_http_finalize_request(r, rc);
}


/* looked at before any work is done for a stranger; decided by the UPDATE */
static void
ngx_mesh_web_setup_link(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t            *row;
    ngx_http_request_t   *r;
    ngx_mesh_web_post_t  *post;

    post = q->data;
    r = post->r;

    if (rc != NGX_OK) {
        ngx_mesh_web_release(r, ngx_mesh_web_unavailable(r));
        return;
    }

    row = ngx_mesh_db_row(q, 0, 0);

    if (row == NULL || row[0].len != sizeof(post->hex)
        || !ngx_mesh_equal(row[0].data, post->hex, sizeof(post->hex)))
    {
        ngx_mesh_web_release(r, ngx_mesh_web_setup_closed(r));
        return;
    }

    post->hash.password = post->password;
    post->hash.pool = r->pool;
    post->hash.done = ngx_mesh_web_setup_hashed;
    post->hash.data = post;

    if (ngx_mesh_password_hash(&post->hash) != NGX_OK) {
        ngx_mesh_web_release(r, ngx_mesh_web_unavailable(r));
    }
}


static void
ngx_mesh_web_setup_hashed(void *data)
{
    ngx_mesh_web_post_t *post = data;

    int64_t                    now, credential_id;
    u_char                     folded[128];
    ngx_str_t                  hex, login;
    ngx_mesh_event_t           e;
    ngx_mesh_db_req_t         *q;
    ngx_http_request_t        *r;
    ngx_http_mesh_srv_conf_t  *srv;

    r = post->r;
    srv = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);

    ngx_explicit_memzero(post->password.data, post->password.len);

    post->account_id = ngx_mesh_db_key();
    credential_id = ngx_mesh_db_key();
    q = post->hash.made.len && post->account_id && credential_id
        ? ngx_mesh_db_create(ngx_mesh_web_setup_made, post) : NULL;

    if (q == NULL) {
        ngx_mesh_web_release(r, ngx_mesh_web_unavailable(r));
        return;
    }

    now = ngx_mesh_now_ms();

    hex.data = post->hex;
    hex.len = sizeof(post->hex);

    login.data = folded;
    login.len = ngx_mesh_fold(folded, sizeof(folded), post->user.data,
                              post->user.len);

    /* only one of many that race changes the row, and for ever */
    ngx_mesh_db_stmt(q, MESH_SQL_WEB_SETUP_CLOSE);
    ngx_mesh_db_str(q, &hex);

    ngx_mesh_db_stmt(q, MESH_SQL_WEB_ACCOUNT_ADD);
    ngx_mesh_db_int(q, post->account_id);
    ngx_mesh_db_int(q, ngx_mesh_domain_id(&srv->domain));
    ngx_mesh_db_str(q, &login);
    ngx_mesh_db_str(q, &post->user);
    ngx_mesh_db_str(q, &post->email);
    ngx_mesh_db_int(q, NGX_MESH_FULL);
    ngx_mesh_db_int(q, NGX_MESH_A_ALL_GROUPS);
    ngx_mesh_db_int(q, now);

    ngx_mesh_db_stmt(q, MESH_SQL_WEB_PASSWORD_ADD);
    ngx_mesh_db_int(q, credential_id);
    ngx_mesh_db_int(q, post->account_id);
    ngx_mesh_db_str(q, &post->hash.made);
    ngx_mesh_db_int(q, now);

    ngx_memzero(&e, sizeof(ngx_mesh_event_t));

    e.scope.domain_id = ngx_mesh_domain_id(&srv->domain);
    e.scope.subject_id = post->account_id;
    e.kind = "user";
    e.action = "accountcreate";
    e.msgid = 64;
    e.address = *ngx_mesh_address(r);
    ngx_str_set(&e.text, "Account created through the set-up link");

    ngx_mesh_event_row(q, &e);
    ngx_mesh_model_change(q, NGX_MESH_CHANGE_ACCOUNT, post->account_id);

    if (ngx_mesh_db_send(q) != NGX_OK) {
        ngx_mesh_web_release(r, ngx_mesh_web_unavailable(r));
    }
}


static void
ngx_mesh_web_setup_made(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_http_request_t   *r;
    ngx_mesh_web_post_t  *post;

    post = q->data;
    r = post->r;

    switch (rc) {

    case NGX_OK:
        ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                      "mesh setup: the link was used and is closed");

        ngx_mesh_model_changed(NGX_MESH_CHANGE_ACCOUNT, post->account_id);

        if (ngx_mesh_web_open(post) == NGX_OK) {
            return;
        }

        rc = ngx_mesh_web_unavailable(r);
        break;

    case NGX_DECLINED:
        rc = ngx_mesh_web_setup_closed(r);
        break;

    case NGX_BUSY:
        rc = ngx_mesh_web_error(r, NGX_HTTP_BAD_REQUEST, "username",
                                "This user name is taken.", 0);
        break;

    default:
        rc = ngx_mesh_web_unstored(r, rc);
        break;
    }

    ngx_mesh_web_release(r, rc);
}


static ngx_int_t
ngx_mesh_web_setup_closed(ngx_http_request_t *r)
{
    return ngx_mesh_web_error(r, NGX_HTTP_FORBIDDEN, "closed",
                              "This set-up link is not valid any more.", 0);
}


static ngx_int_t
ngx_mesh_web_unstored(ngx_http_request_t *r, ngx_int_t rc)
{
    if (rc == NGX_MESH_DB_FULL) {
        return ngx_mesh_web_error(r, NGX_HTTP_INSUFFICIENT_STORAGE, "full",
                                  NGX_MESH_DB_FULL_TEXT ".", 0);
    }

    return ngx_mesh_web_unavailable(r);
}


static ngx_int_t
ngx_mesh_web_unavailable(ngx_http_request_t *r)
{
    return ngx_mesh_web_error(r, NGX_HTTP_SERVICE_UNAVAILABLE, "unavailable",
                              "The server's database is away. Try again soon.",
                              0);
}

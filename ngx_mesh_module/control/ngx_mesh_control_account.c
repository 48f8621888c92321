/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Actions: the session itself, one's own account, the list of users. */

#include "ngx_mesh_control.h"


#define NGX_MESH_CTL_TICKET   3600    /* seconds, control.md 2.4 */
#define NGX_MESH_CTL_PASSWORD 10      /* characters at least */
#define NGX_MESH_CTL_WRONG    10      /* old passwords in ten minutes */


static void ngx_mesh_ctl_user_info(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_user_info_send(ngx_mesh_ctl_t *ctl,
    ngx_mesh_db_req_t *q);
static void ngx_mesh_ctl_web_state_got(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_web_state_set(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_password_old(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_password_checked(void *data);
static void ngx_mesh_ctl_password_hashed(void *data);
static void ngx_mesh_ctl_password_stored(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_password_say(ngx_mesh_ctl_t *ctl, ngx_uint_t msgid,
    const char *text, ngx_uint_t done);
static void ngx_mesh_ctl_logins(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_web_sessions_got(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_ctl_web_session_ended(ngx_mesh_db_req_t *q,
    ngx_int_t rc);
static void ngx_mesh_ctl_users_got(ngx_mesh_db_req_t *q, ngx_int_t rc);


static u_char  ngx_mesh_ctl_zeros[32];


void
ngx_mesh_ctl_greet(ngx_mesh_browser_t *b)
{
    size_t               i;
    uint64_t             serial;
    ngx_mesh_session_t  *s;

    static ngx_str_t  first[] = {
        ngx_string("{\"action\":\"serverinfo\"}"),
        ngx_string("{\"action\":\"userinfo\"}")
    };

    serial = b->s->serial;

    for (i = 0; i < 2; i++) {
        s = ngx_mesh_session_find(serial);

        if (s == NULL || s->data != b) {
            return;
        }

        ngx_mesh_ctl_dispatch(b, first[i].data, first[i].len);
    }
}


void
ngx_mesh_ctl_do_ping(ngx_mesh_ctl_t *ctl)
{
    ngx_str_set(&ctl->action, "pong");
    ngx_mesh_ctl_reply(ctl, ngx_mesh_ctl_open(ctl));
}


void
ngx_mesh_ctl_do_pong(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_ctl_end(ctl);
}


void
ngx_mesh_ctl_do_close(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_session_t  *s;

    s = ctl->b ? ctl->b->s : NULL;

    ngx_mesh_ctl_end(ctl);

    if (s) {
        ngx_mesh_ws_close(s, MESH_WS_CODE_NORMAL);
    }
}


/* control.md 2.7 */
void
ngx_mesh_ctl_do_serverinfo(ngx_mesh_ctl_t *ctl)
{
    u_char                    *p, *colon, hash[NGX_MESH_ID_LEN];
    u_char                     text[2 * NGX_MESH_ID_LEN];
    ngx_int_t                  port;
    ngx_str_t                  host, s, der;
    ngx_mesh_jw_t             *w;
    ngx_http_mesh_srv_conf_t  *srv;

    if (ctl->b == NULL) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    srv = ctl->b->s->srv;
    host = ctl->b->host;

    if (srv->url.len > sizeof("https://") - 1) {
        host = srv->url;
        host.data += sizeof("https://") - 1;
        host.len -= sizeof("https://") - 1;

        p = ngx_strlchr(host.data, host.data + host.len, '/');

        if (p) {
            host.len = p - host.data;
        }
    }

    /* the last colon, which is none within an IPv6 address */

    port = 443;
    colon = NULL;

    for (p = host.data; p < host.data + host.len; p++) {
        if (*p == ':') {
            colon = p;

        } else if (*p == ']') {
            colon = NULL;
        }
    }

    if (colon) {
        port = ngx_atoi(colon + 1, host.data + host.len - colon - 1);

        if (port == NGX_ERROR || port > 65535) {
            port = 443;
        }

        host.len = colon - host.data;
    }

    w = ngx_mesh_ctl_open(ctl);

    ngx_mesh_jw_open(w, "serverinfo", '{');
    ngx_mesh_jw_str(w, "domain", &ctl->domain);
    ngx_mesh_jw_str(w, "name", &host);
    ngx_mesh_jw_int(w, "port", port);
    ngx_mesh_jw_bool(w, "emailcheck", 0);
    ngx_mesh_jw_bool(w, "domainauth", 0);
    ngx_mesh_jw_int(w, "serverTime", ngx_mesh_now_ms());

    /* WAN only, no server files, no CIRA; no one-time passwords yet */
    ngx_mesh_jw_int(w, "features", 1|8|0x400
                                   |(ctl->b->s->conf->webrtc ? 0x80 : 0));
    ngx_mesh_jw_int(w, "features2", 0x10|0x20000|0x40000);

    ngx_mesh_jw_open(w, "languages", '[');
    ngx_mesh_jw_cstr(w, NULL, "en");
    ngx_mesh_jw_shut(w, ']');

    s.data = text;

    if (ngx_mesh_cert_current(srv, hash) == NGX_OK) {
        s.len = ngx_mesh_hex_upper(text, hash, NGX_MESH_ID_LEN) - text;
        ngx_mesh_jw_str(w, "tlshash", &s);
    }

    if (ngx_mesh_signer_identity(0, &der, hash) == NGX_OK) {
        s.len = ngx_mesh_id_write(text, hash) - text;
        ngx_mesh_jw_str(w, "agentCertHash", &s);
    }

    /* ours: pages of devices can be opened */
    ngx_mesh_jw_bool(w, "webrelay", srv->web_pages.len != 0);

    ngx_mesh_jw_bool(w, "https", 1);
    ngx_mesh_jw_int(w, "redirport", 80);
    ngx_mesh_jw_cstr(w, "domainsuffix", "");
    ngx_mesh_jw_bool(w, "logoutonidlesessiontimeout", 1);
    ngx_mesh_jw_cstr(w, "version", NGX_MESH_VERSION);
    ngx_mesh_jw_shut(w, '}');

    ngx_mesh_ctl_reply(ctl, w);
}


typedef struct {
    ngx_mesh_jw_t  *w;
    ngx_uint_t      n;
} ngx_mesh_ctl_grants_t;


static ngx_int_t
ngx_mesh_ctl_grant_device(ngx_mesh_access_t *access, void *data)
{
    ngx_mesh_ctl_grants_t *grants = data;

    if (access->device_id) {
        ngx_mesh_jw_int(grants->w, NULL, access->device_id);
        grants->n++;
    }

    return NGX_OK;
}


/* devices that are granted one by one have their names in the database only */
void
ngx_mesh_ctl_do_userinfo(ngx_mesh_ctl_t *ctl)
{
    ngx_str_t               ids;
    ngx_mesh_jw_t           w;
    ngx_mesh_db_req_t      *q;
    ngx_mesh_ctl_grants_t   grants;

    if (ngx_mesh_jw_init(&w, ctl->pool, 256) != NGX_OK) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    grants.w = &w;
    grants.n = 0;

    ngx_mesh_jw_open(&w, NULL, '[');
    (void) ngx_mesh_access_of(ctl->who.account_id, ngx_mesh_ctl_grant_device,
                              &grants);
    ngx_mesh_jw_shut(&w, ']');

    if (ngx_mesh_jw_done(&w, &ids) == NGX_OK && ngx_mesh_db_up()) {

        q = ngx_mesh_db_create(ngx_mesh_ctl_user_info, ctl);

        if (q) {
            ngx_mesh_db_stmt(q, MESH_SQL_CTL_ACCOUNT_SEEN);
            ngx_mesh_db_int(q, ctl->who.account_id);
            ngx_mesh_db_stmt(q, MESH_SQL_CTL_DEVICE_WIRES);
            ngx_mesh_db_int(q, ctl->who.domain_id);
            ngx_mesh_db_str(q, &ids);

            if (ngx_mesh_db_send(q) == NGX_OK) {
                return;
            }
        }
    }

    /* without the database: all but these */
    ngx_mesh_ctl_user_info_send(ctl, NULL);
}


static void
ngx_mesh_ctl_user_info(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_mesh_ctl_user_info_send(q->data, rc == NGX_OK ? q : NULL);
}


static void
ngx_mesh_ctl_user_info_send(ngx_mesh_ctl_t *ctl, ngx_mesh_db_req_t *q)
{
    ngx_str_t           *row;
    ngx_mesh_jw_t       *w;
    ngx_mesh_account_t  *account;

    account = ngx_mesh_ctl_account(ctl);

    if (account == NULL) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    w = ngx_mesh_ctl_open(ctl);
    ngx_mesh_jw_open(w, "userinfo", '{');
    ngx_mesh_ctl_write_account(w, account, q, 1);

    row = q ? ngx_mesh_db_row(q, 0, 0) : NULL;

    if (row) {
        ngx_mesh_jw_int(w, "login", ngx_mesh_db_num(&row[0]) / 1000);
        ngx_mesh_jw_int(w, "access", ngx_mesh_db_num(&row[2]) / 1000);

        if (row[1].data) {
            ngx_mesh_jw_int(w, "pastlogin", ngx_mesh_db_num(&row[1]) / 1000);
        }
    }

    ngx_mesh_jw_shut(w, '}');
    ngx_mesh_ctl_reply(ctl, w);
}


void
ngx_mesh_ctl_userid(ngx_pool_t *pool, ngx_mesh_account_t *account,
    ngx_str_t *id)
{
    id->data = ngx_pnalloc(pool, account->domain.len + account->login.len
                                 + sizeof("user//"));
    if (id->data == NULL) {
        id->len = 0;
        return;
    }

    id->len = ngx_sprintf(id->data, "user/%V/%V", &account->domain,
                          &account->login)
              - id->data;
}


typedef struct {
    ngx_mesh_jw_t      *w;
    ngx_mesh_db_req_t  *q;
    ngx_uint_t          stmt;
} ngx_mesh_ctl_links_t;


static ngx_int_t
ngx_mesh_ctl_link(ngx_mesh_access_t *access, void *data)
{
    ngx_mesh_ctl_links_t *links = data;

    ngx_str_t         *name, *row;
    ngx_uint_t         i, n;
    ngx_mesh_group_t  *group;

    name = NULL;

    if (access->group_id) {
        group = ngx_mesh_group(access->group_id);

        if (group && !group->deleted_at) {
            name = &group->wire;
        }

    } else if (links->q) {
        n = ngx_mesh_db_rows(links->q, links->stmt);

        for (i = 0; i < n; i++) {
            row = ngx_mesh_db_row(links->q, links->stmt, i);

            if (ngx_mesh_db_num(&row[0]) == access->device_id) {
                name = &row[1];
                break;
            }
        }
    }

    if (name) {
        ngx_mesh_jw_name(links->w, name);
        ngx_mesh_jw_open(links->w, NULL, '{');
        ngx_mesh_jw_int(links->w, "rights", access->rights);
        ngx_mesh_jw_shut(links->w, '}');
    }

    return NGX_OK;
}


/* the members of control.md 4.3 that are no secrets */
void
ngx_mesh_ctl_write_account(ngx_mesh_jw_t *w, ngx_mesh_account_t *account,
    ngx_mesh_db_req_t *q, ngx_uint_t stmt)
{
    ngx_str_t             id;
    ngx_mesh_ctl_links_t  links;

    ngx_mesh_ctl_userid(w->pool, account, &id);

    ngx_mesh_jw_str(w, "_id", &id);
    ngx_mesh_jw_str(w, "name", &account->name);

    if (account->real_name.len) {
        ngx_mesh_jw_str(w, "realname", &account->real_name);
    }

    if (account->email.len) {
        ngx_mesh_jw_str(w, "email", &account->email);
        ngx_mesh_jw_bool(w, "emailVerified",
                         account->flags & NGX_MESH_A_EMAIL_VERIFIED);
    }

    ngx_mesh_jw_int(w, "creation", account->created_at / 1000);
    ngx_mesh_jw_int(w, "passchange", account->password_at / 1000);

    if (account->site_rights) {
        ngx_mesh_jw_int(w, "siteadmin", account->site_rights);
    }

    if (account->removed_rights) {
        ngx_mesh_jw_int(w, "removeRights", account->removed_rights);
    }

    if (account->consent) {
        ngx_mesh_jw_int(w, "consent", account->consent);
    }

    if (account->flags & (NGX_MESH_A_PICTURE|NGX_MESH_A_RECORD)) {
        ngx_mesh_jw_int(w, "flags", account->flags & (NGX_MESH_A_PICTURE
                                                      |NGX_MESH_A_RECORD));
    }

    links.w = w;
    links.q = q;
    links.stmt = stmt;

    ngx_mesh_jw_open(w, "links", '{');
    (void) ngx_mesh_access_of(account->account_id, ngx_mesh_ctl_link, &links);
    ngx_mesh_jw_shut(w, '}');
}


void
ngx_mesh_ctl_do_authcookie(ngx_mesh_ctl_t *ctl)
{
    ngx_str_t            cookie, rcookie;
    ngx_mesh_jw_t       *w;
    ngx_mesh_ticket_t    ticket;

    ngx_mesh_ticket_begin(&ticket, NGX_MESH_TICKET_AUTH, &ctl->who,
                          NGX_MESH_CTL_TICKET);

    if (ngx_mesh_ticket_write(&ticket, ctl->pool, &cookie) != NGX_OK) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(NGX_ABORT));
        return;
    }

    /* clients paste it into the command, where it is thrown away */

    ticket.kind = NGX_MESH_TICKET_RCOOKIE;
    ticket.account_id = 0;
    ticket.password_at = 0;
    ngx_memzero(ticket.session, 32);

    if (ngx_mesh_ticket_write(&ticket, ctl->pool, &rcookie) != NGX_OK) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(NGX_ABORT));
        return;
    }

    w = ngx_mesh_ctl_open(ctl);
    ngx_mesh_jw_str(w, "cookie", &cookie);
    ngx_mesh_jw_str(w, "rcookie", &rcookie);
    ngx_mesh_ctl_reply(ctl, w);
}


void
ngx_mesh_ctl_do_web_state(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_db_req_t     *q;
    ngx_mesh_ctl_value_t  *state;

    state = ngx_mesh_ctl_value(ctl, "state");

    q = ngx_mesh_ctl_db(ctl, state->set ? ngx_mesh_ctl_web_state_set
                                        : ngx_mesh_ctl_web_state_got);
    if (q == NULL) {
        return;
    }

    if (state->set) {
        ngx_mesh_db_stmt(q, MESH_SQL_CTL_ACCOUNT_PART_SET);
        ngx_mesh_db_int(q, ctl->who.account_id);
        ngx_mesh_db_text(q, "ws");
        ngx_mesh_db_str(q, &state->s);

    } else {
        ngx_mesh_db_stmt(q, MESH_SQL_CTL_ACCOUNT_PART_GET);
        ngx_mesh_db_int(q, ctl->who.account_id);
        ngx_mesh_db_text(q, "ws");
    }

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


static void
ngx_mesh_ctl_web_state_got(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t       *row;
    ngx_mesh_jw_t   *w;
    ngx_mesh_ctl_t  *ctl;

    ctl = q->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    row = ngx_mesh_db_row(q, 0, 0);

    w = ngx_mesh_ctl_open(ctl);

    if (row) {
        ngx_mesh_jw_str(w, "state", &row[0]);

    } else {
        ngx_mesh_jw_cstr(w, "state", "{}");
    }

    ngx_mesh_ctl_reply(ctl, w);
}


/* the other sessions of the account follow */
static void
ngx_mesh_ctl_web_state_set(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t         json;
    ngx_mesh_ctl_t   *ctl;
    ngx_mesh_jw_t     w;
    ngx_mesh_scope_t  scope;

    ctl = q->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    if (ngx_mesh_jw_init(&w, ctl->pool, 512) == NGX_OK) {
        ngx_mesh_jw_open(&w, NULL, '{');
        ngx_mesh_jw_cstr(&w, "etype", "user");
        ngx_mesh_jw_cstr(&w, "action", "userWebState");
        ngx_mesh_jw_str(&w, "userid", &ctl->user);
        ngx_mesh_jw_str(&w, "domain", &ctl->domain);
        ngx_mesh_jw_int(&w, "nolog", 1);
        ngx_mesh_jw_str(&w, "state", &ngx_mesh_ctl_value(ctl, "state")->s);
        ngx_mesh_jw_shut(&w, '}');

        if (ngx_mesh_jw_done(&w, &json) == NGX_OK) {
            ngx_memzero(&scope, sizeof(ngx_mesh_scope_t));
            scope.domain_id = ctl->who.domain_id;
            scope.subject_id = ctl->who.account_id;
            scope.flags = NGX_MESH_EVENT_OWN;
            ngx_mesh_event_publish(&scope, &json);
        }
    }

    ngx_mesh_ctl_result(ctl, "ok");
}


typedef struct {
    ngx_mesh_password_t  hash;
    ngx_str_t            name;        /* of the counter */
    ngx_str_t            stored;
    ngx_str_t            json;        /* of the event */
    int64_t              now;
} ngx_mesh_ctl_password_t;


void
ngx_mesh_ctl_do_change_password(ngx_mesh_ctl_t *ctl)
{
    ngx_str_t                 new, old;
    ngx_mesh_db_req_t        *q;
    ngx_mesh_ctl_password_t  *pw;

    old = ngx_mesh_ctl_value(ctl, "oldpass")->s;
    new = ngx_mesh_ctl_value(ctl, "newpass")->s;

    if (ngx_utf8_length(new.data, new.len) < NGX_MESH_CTL_PASSWORD) {
        ngx_mesh_ctl_password_say(ctl, 19,
                                  "A password has at least 10 characters.", 1);
        return;
    }

    if ((new.len == ctl->username.len
         && ngx_strncasecmp(new.data, ctl->username.data, new.len) == 0))
    {
        ngx_mesh_ctl_password_say(ctl, 18,
                                  "The password must not be the user name.",
                                  1);
        return;
    }

    if (new.len == old.len && ngx_memcmp(new.data, old.data, new.len) == 0) {
        ngx_mesh_ctl_password_say(ctl, 17,
                                  "The new password is the old one.", 1);
        return;
    }

    pw = ngx_pcalloc(ctl->pool, sizeof(ngx_mesh_ctl_password_t));
    if (pw == NULL) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    ctl->data = pw;

    /* an open session must not become a place to guess at its password */

    ngx_mesh_ctl_sprintf(ctl, &pw->name, 48, "own:%L", ctl->who.account_id);

    if (ngx_mesh_rate(NGX_MESH_RATE_LOGIN_USER, &pw->name, 1, 600)
        > NGX_MESH_CTL_WRONG)
    {
        ngx_mesh_ctl_password_say(ctl, 19,
                                  "Too many tries. Try again later.", 1);
        return;
    }

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_password_old);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_WEB_PASSWORD_GET);
    ngx_mesh_db_int(q, ctl->who.account_id);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


static void
ngx_mesh_ctl_password_old(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t                *row;
    ngx_mesh_ctl_t           *ctl;
    ngx_mesh_ctl_password_t  *pw;

    ctl = q->data;
    pw = ctl->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_password_say(ctl, 19, ngx_mesh_ctl_db_text(rc), 1);
        return;
    }

    row = ngx_mesh_db_row(q, 0, 0);

    if (row && row[0].len) {
        pw->stored.data = ngx_pstrdup(ctl->pool, &row[0]);
        pw->stored.len = pw->stored.data ? row[0].len : 0;
    }

    pw->hash.stored = pw->stored;
    pw->hash.password = ngx_mesh_ctl_value(ctl, "oldpass")->s;
    pw->hash.pool = ctl->pool;
    pw->hash.done = ngx_mesh_ctl_password_checked;
    pw->hash.data = ctl;

    if (ngx_mesh_password_verify(&pw->hash) != NGX_OK) {
        ngx_mesh_ctl_password_say(ctl, 19, "The server failed", 1);
    }
}


static void
ngx_mesh_ctl_password_checked(void *data)
{
    ngx_mesh_ctl_t *ctl = data;

    ngx_mesh_ctl_password_t  *pw;

    pw = ctl->data;

    if (!pw->hash.ok) {
        ngx_mesh_ctl_password_say(ctl, 21, "The old password is wrong.", 1);
        return;
    }

    ngx_mesh_rate_clear(NGX_MESH_RATE_LOGIN_USER, &pw->name);

    pw->hash.password = ngx_mesh_ctl_value(ctl, "newpass")->s;
    pw->hash.done = ngx_mesh_ctl_password_hashed;

    if (ngx_mesh_password_hash(&pw->hash) != NGX_OK) {
        ngx_mesh_ctl_password_say(ctl, 19, "The server failed", 1);
    }
}


static void
ngx_mesh_ctl_password_hashed(void *data)
{
    ngx_mesh_ctl_t *ctl = data;

    u_char                    hex[64];
    ngx_str_t                 text, keep;
    ngx_mesh_db_req_t        *q;
    ngx_mesh_ctl_event_t      ev;
    ngx_mesh_ctl_password_t  *pw;

    pw = ctl->data;

    if (pw->hash.made.len == 0) {
        ngx_mesh_ctl_password_say(ctl, 19, "The server failed", 1);
        return;
    }

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_password_stored);
    if (q == NULL) {
        return;
    }

    pw->now = ngx_mesh_now_ms();

    ngx_mesh_db_stmt(q, MESH_SQL_CTL_PASSWORD_SET);
    ngx_mesh_db_int(q, ctl->who.account_id);
    ngx_mesh_db_str(q, &pw->hash.made);
    ngx_mesh_db_int(q, pw->now);
    ngx_mesh_db_str(q, &pw->stored);

    /* all browsers are signed out but this one */

    keep.data = hex;
    keep.len = ngx_memcmp(ctl->who.session, ngx_mesh_ctl_zeros, 32) == 0
               ? 0 : ngx_hex_dump(hex, ctl->who.session, 32) - hex;

    ngx_mesh_db_stmt(q, MESH_SQL_CTL_WEB_SESSIONS_END);
    ngx_mesh_db_int(q, ctl->who.account_id);
    ngx_mesh_db_str(q, &keep);

    ngx_mesh_ctl_sprintf(ctl, &text, ctl->username.len + 64,
                         "Changed own password: %V", &ctl->username);

    ngx_mesh_ctl_event(ctl, &ev, "user", "accountchange", 74, &text);
    ngx_mesh_ctl_event_arg(ctl, &ev, &ctl->username);
    ev.row.scope.subject_id = ctl->who.account_id;
    ev.row.scope.site_rights = NGX_MESH_S_MANAGEUSERS;
    ngx_mesh_ctl_event_store(ctl, &ev, q, &pw->json);

    ngx_mesh_model_change(q, NGX_MESH_CHANGE_ACCOUNT, ctl->who.account_id);
    ngx_mesh_model_change(q, NGX_MESH_CHANGE_SESSION, ctl->who.account_id);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


static void
ngx_mesh_ctl_password_stored(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    int64_t                   account_id;
    ngx_mesh_ctl_t           *ctl;
    ngx_mesh_scope_t          scope;
    ngx_mesh_ctl_password_t  *pw;

    ctl = q->data;
    pw = ctl->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_password_say(ctl, 19, ngx_mesh_ctl_db_text(rc), 1);
        return;
    }

    account_id = ctl->who.account_id;

    /* this session knows the new one, so that it goes on */

    ctl->who.password_at = pw->now;

    if (ctl->b) {
        ctl->b->who.password_at = pw->now;
    }

    ngx_memzero(&scope, sizeof(ngx_mesh_scope_t));
    scope.domain_id = ctl->who.domain_id;
    scope.account_id = account_id;
    scope.subject_id = account_id;
    scope.site_rights = NGX_MESH_S_MANAGEUSERS;

    if (pw->json.len) {
        ngx_mesh_event_publish(&scope, &pw->json);
    }

    ngx_mesh_ctl_password_say(ctl, 20, "ok", 0);

    ngx_mesh_model_changed(NGX_MESH_CHANGE_ACCOUNT, account_id);
    ngx_mesh_model_changed(NGX_MESH_CHANGE_SESSION, account_id);

    ngx_mesh_ctl_end(ctl);
}


/* a result where one was asked for, else the stock server's notice */
static void
ngx_mesh_ctl_password_say(ngx_mesh_ctl_t *ctl, ngx_uint_t msgid,
    const char *text, ngx_uint_t done)
{
    ngx_mesh_jw_t  *w;

    if (ctl->responseid == NULL) {
        ngx_str_set(&ctl->action, "msg");
    }

    w = ngx_mesh_ctl_open(ctl);

    if (ctl->responseid == NULL) {
        ngx_mesh_jw_cstr(w, "type", "notify");
        ngx_mesh_jw_cstr(w, "title", "Account settings");
        ngx_mesh_jw_cstr(w, "value", msgid == 20 ? "Password changed." : text);
        ngx_mesh_jw_int(w, "msgid", msgid);
        ngx_mesh_jw_str(w, "userid", &ctl->user);
        ngx_mesh_jw_str(w, "username", &ctl->username);

    } else {
        ngx_mesh_jw_cstr(w, "result", text);
    }

    if (done) {
        ngx_mesh_ctl_reply(ctl, w);

    } else {
        ngx_mesh_ctl_send(ctl, w);
    }
}


void
ngx_mesh_ctl_do_previous_logins(ngx_mesh_ctl_t *ctl)
{
    int64_t                account_id;
    ngx_mesh_db_req_t     *q;
    ngx_mesh_account_t    *account, *other;
    ngx_mesh_ctl_value_t  *id;

    account_id = ctl->who.account_id;
    id = ngx_mesh_ctl_value(ctl, "userid");

    if (id->set) {
        account = ngx_mesh_ctl_account(ctl);
        other = ngx_mesh_ctl_find(ctl->who.domain_id, &id->s);

        if (account == NULL || other == NULL
            || (other->account_id != account_id
                && !ngx_mesh_right(account->site_rights,
                                   NGX_MESH_S_MANAGEUSERS)))
        {
            ngx_mesh_ctl_result(ctl, "Access denied");
            return;
        }

        account_id = other->account_id;
    }

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_logins);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_CTL_LOGINS);
    ngx_mesh_db_int(q, account_id);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


static void
ngx_mesh_ctl_logins(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t             *row;
    ngx_uint_t             i, n;
    ngx_mesh_jw_t         *w;
    ngx_mesh_ctl_t        *ctl;
    ngx_mesh_ctl_value_t  *id;

    ctl = q->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    w = ngx_mesh_ctl_open(ctl);
    id = ngx_mesh_ctl_value(ctl, "userid");

    if (id->set) {
        ngx_mesh_jw_str(w, "userid", &id->s);
    }

    ngx_mesh_jw_open(w, "events", '[');

    n = ngx_mesh_db_rows(q, 0);

    for (i = 0; i < n; i++) {
        row = ngx_mesh_db_row(q, 0, i);

        ngx_mesh_jw_open(w, NULL, '{');
        ngx_mesh_jw_int(w, "t", ngx_mesh_db_num(&row[0]));
        ngx_mesh_jw_int(w, "m", ngx_mesh_db_num(&row[1]));

        if (row[2].len) {
            ngx_mesh_jw_raw(w, "a", &row[2]);
        }

        ngx_mesh_jw_shut(w, '}');
    }

    ngx_mesh_jw_shut(w, ']');
    ngx_mesh_ctl_reply(ctl, w);
}


/*
 * A session of the browser is named by the first half of its token's hash:
 * enough to find it, and nothing that opens it.
 */
void
ngx_mesh_ctl_do_web_sessions(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_web_sessions_got);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_CTL_WEB_SESSIONS);
    ngx_mesh_db_int(q, ctl->who.account_id);
    ngx_mesh_db_int(q, ngx_mesh_now_ms());

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


static void
ngx_mesh_ctl_web_sessions_got(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    int64_t                now;
    u_char                 hex[64];
    ngx_str_t             *row, id;
    ngx_uint_t             i, n;
    ngx_mesh_jw_t         *w;
    ngx_mesh_ctl_t        *ctl;
    ngx_mesh_db_req_t     *del;
    ngx_mesh_ctl_value_t  *remove;

    ctl = q->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    (void) ngx_hex_dump(hex, ctl->who.session, 32);

    now = ngx_mesh_now_ms();
    n = ngx_mesh_db_rows(q, 0);
    remove = ngx_mesh_ctl_value(ctl, "remove");

    if (remove->set) {

        for (i = 0; i < n; i++) {
            row = ngx_mesh_db_row(q, 0, i);

            if (row[0].len != 64 || remove->s.len != 32
                || ngx_memcmp(row[0].data, remove->s.data, 32) != 0)
            {
                continue;
            }

            del = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_web_session_ended);
            if (del == NULL) {
                return;
            }

            ngx_mesh_db_stmt(del, MESH_SQL_CTL_WEB_SESSION_DELETE);
            ngx_mesh_db_str(del, &row[0]);
            ngx_mesh_db_int(del, ctl->who.account_id);
            ngx_mesh_model_change(del, NGX_MESH_CHANGE_SESSION,
                                  ctl->who.account_id);

            (void) ngx_mesh_ctl_db_send(ctl, del);
            return;
        }

        ngx_mesh_ctl_result(ctl, "Invalid session");
        return;
    }

    w = ngx_mesh_ctl_open(ctl);
    ngx_mesh_jw_open(w, "sessions", '[');

    for (i = 0; i < n; i++) {
        row = ngx_mesh_db_row(q, 0, i);

        if (row[0].len != 64
            || ngx_mesh_db_num(&row[2]) + NGX_MESH_SESSION_IDLE < now)
        {
            continue;
        }

        id = row[0];
        id.len = 32;

        ngx_mesh_jw_open(w, NULL, '{');
        ngx_mesh_jw_str(w, "id", &id);
        ngx_mesh_jw_int(w, "created", ngx_mesh_db_num(&row[1]));
        ngx_mesh_jw_int(w, "used", ngx_mesh_db_num(&row[2]));
        ngx_mesh_jw_str(w, "address", &row[3]);
        ngx_mesh_jw_str(w, "agent", &row[4]);
        ngx_mesh_jw_bool(w, "current", ngx_memcmp(hex, row[0].data, 64) == 0);
        ngx_mesh_jw_shut(w, '}');
    }

    ngx_mesh_jw_shut(w, ']');
    ngx_mesh_ctl_reply(ctl, w);
}


static void
ngx_mesh_ctl_web_session_ended(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    int64_t          account_id;
    ngx_mesh_ctl_t  *ctl;

    ctl = q->data;
    account_id = ctl->who.account_id;

    /* gone already is as good */

    ngx_mesh_ctl_result(ctl, rc == NGX_OK || rc == NGX_DECLINED
                             ? "ok" : ngx_mesh_ctl_db_text(rc));

    if (rc == NGX_OK) {
        ngx_mesh_model_changed(NGX_MESH_CHANGE_SESSION, account_id);
    }
}


void
ngx_mesh_ctl_do_users(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_users_got);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_CTL_ACCOUNTS_SEEN);
    ngx_mesh_db_int(q, ctl->who.domain_id);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


typedef struct {
    ngx_mesh_jw_t      *w;
    ngx_mesh_db_req_t  *q;
} ngx_mesh_ctl_users_t;


static ngx_int_t
ngx_mesh_ctl_user(ngx_mesh_account_t *account, void *data)
{
    ngx_mesh_ctl_users_t *users = data;

    ngx_str_t   *row;
    ngx_uint_t   i, n;

    ngx_mesh_jw_open(users->w, NULL, '{');
    ngx_mesh_ctl_write_account(users->w, account, NULL, 0);

    n = ngx_mesh_db_rows(users->q, 0);

    for (i = 0; i < n; i++) {
        row = ngx_mesh_db_row(users->q, 0, i);

        if (ngx_mesh_db_num(&row[0]) == account->account_id) {
            ngx_mesh_jw_int(users->w, "login",
                            ngx_mesh_db_num(&row[1]) / 1000);
            ngx_mesh_jw_int(users->w, "access",
                            ngx_mesh_db_num(&row[3]) / 1000);
            break;
        }
    }

    ngx_mesh_jw_shut(users->w, '}');

    return NGX_OK;
}


static void
ngx_mesh_ctl_users_got(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_mesh_ctl_t        *ctl;
    ngx_mesh_account_t    *account;
    ngx_mesh_ctl_users_t   users;

    ctl = q->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    account = ngx_mesh_ctl_account(ctl);

    if (account == NULL
        || !ngx_mesh_right(account->site_rights, NGX_MESH_S_MANAGEUSERS))
    {
        ngx_mesh_ctl_result(ctl, ctl->row->denied);
        return;
    }

    users.q = q;
    users.w = ngx_mesh_ctl_open(ctl);

    ngx_mesh_jw_open(users.w, "users", '[');
    (void) ngx_mesh_account_each(ctl->who.domain_id, ngx_mesh_ctl_user,
                                 &users);
    ngx_mesh_jw_shut(users.w, ']');

    ngx_mesh_ctl_reply(ctl, users.w);
}


ngx_mesh_account_t *
ngx_mesh_ctl_find(int64_t domain_id, const ngx_str_t *id)
{
    return ngx_mesh_account_find(domain_id, id);
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Invitations to a conversation, session.md 7: a person hears of it in every
 * open page, a device opens a page of ours in the browser of who sits there.
 * Both halves then meet in the relay, which asks for the same rights.
 */

#include "ngx_mesh_control.h"


#define NGX_MESH_CTL_INVITE       600   /* seconds to answer at a device */
#define NGX_MESH_CTL_INVITES      30    /* of one account in a minute */
#define NGX_MESH_CTL_INVITE_URL   2048  /* what our core takes */


static void ngx_mesh_ctl_invite_device(ngx_mesh_ctl_t *ctl);
static void ngx_mesh_ctl_invite_user(ngx_mesh_ctl_t *ctl);
static ngx_int_t ngx_mesh_ctl_invite_rate(ngx_mesh_ctl_t *ctl);
static ngx_int_t ngx_mesh_ctl_invite_base(ngx_mesh_ctl_t *ctl,
    ngx_str_t *base);
static ngx_uint_t ngx_mesh_ctl_online(ngx_mesh_account_t *account);
static ngx_int_t ngx_mesh_ctl_escape(ngx_mesh_ctl_t *ctl, ngx_str_t *out,
    const ngx_str_t *s);
static ngx_int_t ngx_mesh_ctl_count_sessions(ngx_mesh_account_t *account,
    void *data);


void
ngx_mesh_ctl_do_messenger(ngx_mesh_ctl_t *ctl)
{
    /* the dispatcher has made the device of a nodeid */

    if (ctl->device) {
        ngx_mesh_ctl_invite_device(ctl);
        return;
    }

    ngx_mesh_ctl_invite_user(ctl);
}


static void
ngx_mesh_ctl_invite_device(ngx_mesh_ctl_t *ctl)
{
    ngx_str_t           base, node, user, cookie, url;
    ngx_mesh_jw_t      *w;
    ngx_mesh_ticket_t   ticket;
    ngx_mesh_device_t  *device;

    device = ctl->device;

    if (!device->online || ctl->b == NULL
        || ngx_mesh_ctl_invite_base(ctl, &base) != NGX_OK)
    {
        ngx_mesh_ctl_result(ctl, "Unable to route");
        return;
    }

    if (ngx_mesh_ctl_invite_rate(ctl) != NGX_OK) {
        return;
    }

    ngx_mesh_ticket_begin(&ticket, NGX_MESH_TICKET_CHAT, &ctl->who,
                          NGX_MESH_CTL_INVITE);
    ticket.device_id = device->device_id;
    ticket.group_id = device->group_id;
    ngx_memcpy(ticket.node, device->raw, NGX_MESH_ID_LEN);

    if (ngx_mesh_ctl_escape(ctl, &node, &device->id) != NGX_OK
        || ngx_mesh_ctl_escape(ctl, &user, &ctl->user) != NGX_OK
        || ngx_mesh_ticket_write(&ticket, ctl->pool, &cookie) != NGX_OK)
    {
        ngx_mesh_ctl_result(ctl, "Unable to route");
        return;
    }

    /* behind "#": no server and no log sees the ticket */

    ngx_mesh_ctl_sprintf(ctl, &url, NGX_MESH_CTL_INVITE_URL + 1,
                         "%V/#/messenger/%V/%V?auth=%V", &base, &node, &user,
                         &cookie);

    if (url.len == 0 || url.len > NGX_MESH_CTL_INVITE_URL) {
        ngx_mesh_ctl_result(ctl, "Unable to route");
        return;
    }

    w = ngx_mesh_ctl_compose(ctl, device, "openUrl");
    ngx_mesh_jw_str(w, "url", &url);

    ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_command(ctl, device, w) == NGX_OK
                             ? "ok" : "Unable to route");
}


static void
ngx_mesh_ctl_invite_user(ngx_mesh_ctl_t *ctl)
{
    u_char                 raw[10], hex[20];
    ngx_str_t              called, caller, tag, s, json;
    ngx_mesh_jw_t          w;
    ngx_mesh_scope_t       scope;
    ngx_mesh_account_t    *account;
    ngx_mesh_ctl_value_t  *id;

    id = ngx_mesh_ctl_value(ctl, "userid");
    account = id->set ? ngx_mesh_ctl_find(ctl->who.domain_id, &id->s) : NULL;

    if (account == NULL || ngx_mesh_account_locked(account)
        || account->account_id == ctl->who.account_id)
    {
        ngx_mesh_ctl_result(ctl, "Invalid userid");
        return;
    }

    if (!ngx_mesh_ctl_online(account)) {
        ngx_mesh_ctl_result(ctl, "User is not connected");
        return;
    }

    if (ngx_mesh_ctl_invite_rate(ctl) != NGX_OK) {
        return;
    }

    ngx_mesh_ctl_userid(ctl->pool, account, &s);

    if (ngx_mesh_ctl_escape(ctl, &called, &s) != NGX_OK
        || ngx_mesh_ctl_escape(ctl, &caller, &ctl->user) != NGX_OK
        || ngx_mesh_random(raw, sizeof(raw)) != NGX_OK
        || ngx_mesh_jw_init(&w, ctl->pool, 512) != NGX_OK)
    {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    ngx_mesh_ctl_sprintf(ctl, &tag, called.len + caller.len + 32,
                         "meshmessenger/%V/%V", &called, &caller);

    s.data = hex;
    s.len = ngx_hex_dump(hex, raw, sizeof(raw)) - hex;

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_cstr(&w, "action", "msg");
    ngx_mesh_jw_cstr(&w, "type", "notify");
    ngx_mesh_jw_str(&w, "id", &s);
    ngx_mesh_jw_cstr(&w, "value", "Chat Request, Click here to accept.");
    ngx_mesh_jw_str(&w, "title", ctl->realname.len ? &ctl->realname
                                                   : &ctl->username);
    ngx_mesh_jw_str(&w, "userid", &ctl->user);
    ngx_mesh_jw_str(&w, "username", &ctl->username);
    ngx_mesh_jw_str(&w, "tag", &tag);
    ngx_mesh_jw_int(&w, "msgid", 11);
    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &json) != NGX_OK) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    ngx_memzero(&scope, sizeof(ngx_mesh_scope_t));

    scope.domain_id = ctl->who.domain_id;
    scope.subject_id = account->account_id;
    scope.flags = NGX_MESH_EVENT_OWN|NGX_MESH_EVENT_BARE;

    ngx_mesh_event_publish(&scope, &json);

    ngx_mesh_ctl_result(ctl, "ok");
}


/* each one is something on the screen of somebody else */
static ngx_int_t
ngx_mesh_ctl_invite_rate(ngx_mesh_ctl_t *ctl)
{
    u_char     buf[NGX_INT64_LEN];
    ngx_str_t  name;

    name.data = buf;
    name.len = ngx_sprintf(buf, "%L", ctl->who.account_id) - buf;

    if (ngx_mesh_rate(NGX_MESH_RATE_INVITE, &name, 1, 60)
        > NGX_MESH_CTL_INVITES)
    {
        ngx_mesh_count(NGX_MESH_C_LIMITED);
        ngx_mesh_ctl_result(ctl, "Too many invitations");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* https, host and path of the page, without a last slash */
static ngx_int_t
ngx_mesh_ctl_invite_base(ngx_mesh_ctl_t *ctl, ngx_str_t *base)
{
    u_char     c;
    size_t     i;
    ngx_str_t  host;

    *base = ctl->b->s->srv->url;

    if (base->len > sizeof("https://") - 1) {

        if (base->data[base->len - 1] == '/') {
            base->len--;
        }

        return NGX_OK;
    }

    /* as the page was called that asks */
    host = ctl->b->host;

    if (host.len == 0) {
        return NGX_DECLINED;
    }

    for (i = 0; i < host.len; i++) {
        c = host.data[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z')
            && !(c >= 'a' && c <= 'z')
            && c != '.' && c != '-' && c != ':' && c != '[' && c != ']')
        {
            return NGX_DECLINED;
        }
    }

    ngx_mesh_ctl_sprintf(ctl, base, host.len + sizeof("https://"),
                         "https://%V", &host);

    return base->len ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_mesh_ctl_escape(ngx_mesh_ctl_t *ctl, ngx_str_t *out, const ngx_str_t *s)
{
    size_t  more;

    more = 2 * ngx_escape_uri(NULL, s->data, s->len,
                              NGX_ESCAPE_URI_COMPONENT);

    out->len = s->len + more;
    out->data = ngx_pnalloc(ctl->pool, out->len + 1);

    if (out->data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_escape_uri(out->data, s->data, s->len,
                          NGX_ESCAPE_URI_COMPONENT);

    return NGX_OK;
}


static ngx_uint_t
ngx_mesh_ctl_online(ngx_mesh_account_t *account)
{
    u_char     buf[NGX_INT64_LEN + 5];
    ngx_str_t  name;

    name.data = buf;
    name.len = ngx_sprintf(buf, "user:%L", account->account_id) - buf;

    return ngx_mesh_limit_count(NGX_MESH_LIMIT_CONTROL, &name);
}


/* who is connected, and how often; nobody without the right to see users */
void
ngx_mesh_ctl_do_session_count(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_jw_t       *w;
    ngx_mesh_account_t  *account;

    account = ngx_mesh_ctl_account(ctl);

    w = ngx_mesh_ctl_open(ctl);
    ngx_mesh_jw_open(w, "wssessions", '{');

    if (account
        && ngx_mesh_right(account->site_rights, NGX_MESH_S_MANAGEUSERS))
    {
        (void) ngx_mesh_account_each(ctl->who.domain_id,
                                     ngx_mesh_ctl_count_sessions, w);
    }

    ngx_mesh_jw_shut(w, '}');

    ngx_mesh_ctl_reply(ctl, w);
}


static ngx_int_t
ngx_mesh_ctl_count_sessions(ngx_mesh_account_t *account, void *data)
{
    ngx_mesh_jw_t *w = data;

    u_char      text[512];
    ngx_str_t   id;
    ngx_uint_t  n;

    n = ngx_mesh_ctl_online(account);

    if (n == 0) {
        return NGX_OK;
    }

    id.data = text;
    id.len = ngx_snprintf(text, sizeof(text), "user/%V/%V", &account->domain,
                          &account->login)
             - text;

    ngx_mesh_jw_name(w, &id);
    ngx_mesh_jw_int(w, NULL, n);

    return NGX_OK;
}

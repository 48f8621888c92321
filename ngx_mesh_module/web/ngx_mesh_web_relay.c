/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Pages of devices in a browser (session.md 1.12).  control-redirect.ashx
 * takes a ticket of the control channel, once, and makes of it a cookie that
 * names one port of one device; each request with it is checked, its headers
 * are cleaned, and nginx's proxy carries it to the device.
 *
 * S-54: a browser sends cookies by host, whatever the port, so those of a
 * device have names of ours there, and no other ones reach it.
 */

#include "ngx_mesh_web_relay.h"
#include "../../proto/mesh_web.h"


#define NGX_MESH_WEB_COOKIE   "__Host-mesh-web"
#define NGX_MESH_WEB_ENTRY    "/control-redirect.ashx"
#define NGX_MESH_WEB_RENEW    240     /* seconds that are left */
#define NGX_MESH_WEB_PAGES    1000    /* of one domain */
#define NGX_MESH_WEB_OWN      64      /* of one account */
#define NGX_MESH_WEB_ENDS     16      /* told in one second by a worker */
#define NGX_MESH_WEB_COOKIES  4096    /* bytes of those of a device */
#define NGX_MESH_WEB_LEADS    512     /* shown of an address elsewhere */


static ngx_uint_t ngx_mesh_web_foreign(ngx_http_request_t *r);
static ngx_int_t ngx_mesh_web_entry(ngx_http_request_t *r);
static ngx_int_t ngx_mesh_web_entered(ngx_http_request_t *r,
    ngx_mesh_ticket_t *ticket, ngx_mesh_route_t *route);
static ngx_int_t ngx_mesh_web_list(ngx_http_request_t *r,
    ngx_mesh_ticket_t *ticket, ngx_mesh_route_t *route);
static uint64_t ngx_mesh_web_serial(const u_char *id, u_char *key);
static void ngx_mesh_web_log(const ngx_mesh_running_t *r, const char *target,
    ngx_uint_t end);
static void ngx_mesh_web_ended(ngx_uint_t stop);
static ngx_int_t ngx_mesh_web_old_cookies(ngx_http_request_t *r,
    const u_char *tag);
static ngx_int_t ngx_mesh_web_ticket(ngx_http_request_t *r, ngx_str_t *text,
    u_char kind, ngx_mesh_ticket_t *ticket, ngx_mesh_route_t *route);
static ngx_int_t ngx_mesh_web_cookie(ngx_http_request_t *r,
    ngx_mesh_ticket_t *ticket);
static void ngx_mesh_web_tag(ngx_mesh_route_t *route, ngx_uint_t tls,
    u_char *tag);
static ngx_int_t ngx_mesh_web_say(ngx_http_request_t *r, ngx_uint_t status,
    const char *text);
static ngx_int_t ngx_mesh_web_html(ngx_pool_t *pool, const char *head,
    const char *text, ngx_str_t *quoted, ngx_str_t *html);

static ngx_mesh_web_page_t *ngx_mesh_web_page(ngx_mesh_ticket_t *ticket,
    ngx_mesh_route_t *route);
static ngx_int_t ngx_mesh_web_page_ask(ngx_mesh_web_page_t *page);
static void ngx_mesh_web_page_found(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_web_page_over(ngx_mesh_web_page_t *page,
    ngx_uint_t end);
static void ngx_mesh_web_page_changed(ngx_uint_t kind, int64_t id);
static void ngx_mesh_web_page_tick(void);

static void ngx_mesh_web_req_resume(ngx_mesh_web_req_t *req);
static void ngx_mesh_web_req_cleanup(void *data);
static ngx_int_t ngx_mesh_web_request(ngx_mesh_web_req_t *req);
static ngx_uint_t ngx_mesh_web_password(ngx_table_elt_t *h);
static ngx_uint_t ngx_mesh_web_dropped(ngx_table_elt_t *h,
    const ngx_str_t *names);
static ngx_int_t ngx_mesh_web_request_cookie(ngx_mesh_web_req_t *req,
    ngx_list_part_t *old);
static ngx_int_t ngx_mesh_web_request_origin(ngx_mesh_web_req_t *req,
    ngx_table_elt_t *h);
static ngx_int_t ngx_mesh_web_answer_cookie(ngx_mesh_web_req_t *req,
    ngx_table_elt_t *h);
static ngx_int_t ngx_mesh_web_answer_location(ngx_mesh_web_req_t *req,
    ngx_table_elt_t *h);
static ngx_int_t ngx_mesh_web_answer_realm(ngx_mesh_web_req_t *req,
    ngx_table_elt_t *h);
static ngx_int_t ngx_mesh_web_add(ngx_list_t *list, ngx_pool_t *pool,
    const char *name, ngx_str_t *value);
static ngx_int_t ngx_mesh_web_name(ngx_mesh_web_page_t *page,
    mesh_web_cookie_t *c);


/* in lower case; "x*" stands for all that begins so */

static const ngx_str_t  ngx_mesh_web_request_drop[] = {
    ngx_string("connection"), ngx_string("cookie"), ngx_string("dnt"),
    ngx_string("forwarded"), ngx_string("host"), ngx_string("keep-alive"),
    ngx_string("proxy-*"), ngx_string("sec-ch-ua*"), ngx_string("sec-fetch-*"),
    ngx_string("upgrade"), ngx_string("upgrade-insecure-requests"),
    ngx_string("x-forwarded-*"), ngx_string("x-meshauth"),
    ngx_null_string
};

/*
 * Beside those of session.md 1.12: what a browser would keep for all ports of
 * the host, and what nginx would obey.
 */
static const ngx_str_t  ngx_mesh_web_answer_drop[] = {
    ngx_string("alt-svc"), ngx_string("cache-control"),
    ngx_string("clear-site-data"), ngx_string("content-security-policy*"),
    ngx_string("expect-ct"), ngx_string("expires"), ngx_string("keep-alive"),
    ngx_string("last-modified"), ngx_string("nel"), ngx_string("pragma"),
    ngx_string("proxy-*"), ngx_string("public-key-pins*"),
    ngx_string("referrer-policy"),
    ngx_string("report-to"), ngx_string("reporting-endpoints"),
    ngx_string("set-cookie2"), ngx_string("strict-transport-security"),
    ngx_string("upgrade"), ngx_string("x-accel-*"),
    ngx_null_string
};


/* by NGX_MESH_PAGE_*, in the words of relays */
static const struct {
    const char  *reason;
    const char  *text;
} ngx_mesh_web_ends[] = {
    { "idle", ", as nothing moved in it for long" },
    { "ended", ", as " },             /* name and "ended it" follow */
    { "rights", ", as the right to it was gone" },
    { "session", ", as its web session was over" },
    { "worker", ", as a process of the server ended" }
};


static ngx_queue_t  ngx_mesh_web_pages;


/* before the phase of access: a "satisfy any" does not open it */
ngx_int_t
ngx_mesh_web_handler(ngx_http_request_t *r)
{
    const char                *why;
    ngx_int_t                  rc;
    ngx_str_t                  value;
    ngx_mesh_route_t           route;
    ngx_mesh_ticket_t          ticket;
    ngx_mesh_web_req_t        *req;
    ngx_pool_cleanup_t        *cln;
    ngx_http_mesh_srv_conf_t  *srv;

    srv = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);

    if (srv->web_relay.len == 0) {
        return NGX_DECLINED;
    }

    req = ngx_mesh_web_req(r);

    if (req) {
        return req->ready ? NGX_DECLINED : NGX_AGAIN;
    }

    if (!ngx_mesh_model_ready()) {
        return ngx_mesh_web_say(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "The database of the server is away.");
    }

    if (r->uri.len == sizeof(NGX_MESH_WEB_ENTRY) - 1
        && ngx_memcmp(r->uri.data, NGX_MESH_WEB_ENTRY, r->uri.len) == 0)
    {
        return ngx_mesh_web_entry(r);
    }

    if (ngx_mesh_web_foreign(r)) {
        return ngx_mesh_web_say(r, NGX_HTTP_FORBIDDEN,
                                "Another site asked for this.");
    }

    if (ngx_mesh_cookie_value(r, NGX_MESH_WEB_COOKIE, &value) != NGX_OK
        || ngx_mesh_web_ticket(r, &value, NGX_MESH_TICKET_WEB_PAGE, &ticket,
                               &route)
           != NGX_OK)
    {
        return ngx_mesh_web_say(r, NGX_HTTP_FORBIDDEN,
                                "No page of a device is open here, or it has "
                                "ended. Open it again from its device.");
    }

    if (ngx_mesh_route_check(&route, &why) != NGX_OK) {
        return ngx_mesh_web_say(r, NGX_HTTP_FORBIDDEN, why);
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_mesh_web_req_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    req = cln->data;
    ngx_memzero(req, sizeof(ngx_mesh_web_req_t));
    req->r = r;
    req->page = ngx_mesh_web_page(&ticket, &route);

    if (req->page == NULL) {
        return ngx_mesh_web_say(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "The server has no room for this page.");
    }

    cln->handler = ngx_mesh_web_req_cleanup;
    ngx_queue_insert_tail(&req->page->requests, &req->queue);

    if (req->page->over || ngx_mesh_web_page_used(req->page) != NGX_OK) {
        return ngx_mesh_web_say(r, NGX_HTTP_FORBIDDEN,
                                "This page has ended. Open it again from its "
                                "device.");
    }

    /* its time runs from the last request */
    if (ticket.expires - ngx_time() < NGX_MESH_WEB_RENEW) {
        rc = ngx_mesh_web_cookie(r, &ticket);

        if (rc != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    rc = ngx_mesh_web_request(req);

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (req->page->known) {
        req->ready = 1;
        return NGX_DECLINED;
    }

    if (ngx_mesh_web_page_ask(req->page) != NGX_OK) {
        return ngx_mesh_web_say(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "The database of the server is away.");
    }

    req->waits = 1;
    r->main->blocked++;

    return NGX_AGAIN;
}


/* S-01, S-03: the cookie comes along from other ports and names of the host */
static ngx_uint_t
ngx_mesh_web_foreign(ngx_http_request_t *r)
{
    ngx_str_t        *origin, *host;
    ngx_table_elt_t  *h;

    h = ngx_mesh_header(r, "origin");

    if (h == NULL) {
        return 0;
    }

    origin = &h->value;

    if (r->headers_in.host == NULL) {
        return 1;
    }

    host = &r->headers_in.host->value;

    return origin->len != sizeof("https://") - 1 + host->len
           || ngx_strncasecmp(origin->data, (u_char *) "https://", 8) != 0
           || ngx_strncasecmp(origin->data + 8, host->data, host->len) != 0;
}


/*
 * control-redirect.ashx?c=: what else stands in the address is for people; the
 * ticket says it all.
 */
static ngx_int_t
ngx_mesh_web_entry(ngx_http_request_t *r)
{
    u_char              hash[32], hex[64];
    const char         *why;
    ngx_str_t           text, name;
    ngx_mesh_route_t    route;
    ngx_mesh_ticket_t   ticket;

    if (r->method != NGX_HTTP_GET) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        return NGX_HTTP_BAD_REQUEST;
    }

    if (ngx_mesh_arg(r, "c", &text) != NGX_OK
        || ngx_mesh_web_ticket(r, &text, NGX_MESH_TICKET_WEB, &ticket, &route)
           != NGX_OK)
    {
        return ngx_mesh_web_say(r, NGX_HTTP_FORBIDDEN,
                                "This link has ended. Open the page again "
                                "from its device.");
    }

    ngx_mesh_sha256(text.data, text.len, hash);
    name.data = hex;
    name.len = ngx_hex_dump(hex, hash, sizeof(hash)) - hex;

    if (ngx_mesh_rate(NGX_MESH_RATE_WEB, &name, 1,
                      NGX_MESH_TICKET_WEB_LIFE + 60)
        != 1)
    {
        return ngx_mesh_web_say(r, NGX_HTTP_FORBIDDEN,
                                "This link was used already. Open the page "
                                "again from its device.");
    }

    if (ngx_mesh_route_check(&route, &why) != NGX_OK) {
        return ngx_mesh_web_say(r, NGX_HTTP_FORBIDDEN, why);
    }

    return ngx_mesh_web_entered(r, &ticket, &route);
}


/* no redirect: the cookie is not sent where another site began the journey */
static ngx_int_t
ngx_mesh_web_entered(ngx_http_request_t *r, ngx_mesh_ticket_t *ticket,
    ngx_mesh_route_t *route)
{
    u_char     raw[NGX_MESH_WEB_PAGE_ID / 2], tag[NGX_MESH_WEB_PAGE_TAG];
    ngx_str_t  html;
    ngx_int_t  rc;

    ticket->id.len = NGX_MESH_WEB_PAGE_ID;
    ticket->id.data = ngx_pnalloc(r->pool, NGX_MESH_WEB_PAGE_ID);

    if (ticket->id.data == NULL || ngx_mesh_random(raw, sizeof(raw)) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) ngx_hex_dump(ticket->id.data, raw, sizeof(raw));
    ngx_mesh_web_tag(route, ticket->p == NGX_MESH_WEB_HTTPS, tag);

    if (ngx_mesh_web_list(r, ticket, route) != NGX_OK) {
        return ngx_mesh_web_say(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "Too many pages of devices are open.");
    }

    if (ngx_mesh_web_cookie(r, ticket) != NGX_OK
        || ngx_mesh_web_old_cookies(r, tag) != NGX_OK
        /* what the page of another device has left, its workers too */
        || ngx_mesh_web_header(r, "Clear-Site-Data", "\"storage\"") != NGX_OK
        || ngx_mesh_web_html(r->pool,
                             "<meta http-equiv=refresh content=\"0;url=/\">",
                             "<a href=\"/\">Open the page of the device</a>",
                             NULL, &html)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_mesh_web_send(r, NGX_HTTP_OK, "text/html; charset=utf-8", &html);
    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


/* its session begins: this worker watches it, with all that serve it */
static ngx_int_t
ngx_mesh_web_list(ngx_http_request_t *r, ngx_mesh_ticket_t *ticket,
    ngx_mesh_route_t *route)
{
    u_char                     key[32];
    ngx_str_t                 *address;
    ngx_mesh_running_t         run;
    ngx_http_mesh_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_mesh_module);
    ngx_memzero(&run, sizeof(ngx_mesh_running_t));

    run.owner.serial = ngx_mesh_web_serial(ticket->id.data, key);
    run.domain_id = route->who.domain_id;
    run.account_id = route->who.account_id;
    run.device_id = route->device.device_id;
    run.group_id = route->device.group_id;
    ngx_memcpy(run.node, route->node, NGX_MESH_ID_LEN);
    ngx_memcpy(run.key, key, sizeof(run.key));
    run.since = ngx_time();
    run.p = NGX_MESH_WEB_P|NGX_MESH_P_TCP;
    run.port = route->target.port;
    ngx_memcpy(run.target, route->target.text,
               ngx_min(route->target.len, sizeof(run.target) - 1));

    address = ngx_mesh_address(r);
    ngx_memcpy(run.address, address->data,
               ngx_min(address->len, sizeof(run.address) - 1));

    run.used = run.since;
    run.idle = NGX_MESH_WEB_IDLE;

    if (conf->relay_idle) {
        run.idle = ngx_min(run.idle, conf->relay_idle / 1000);
        run.idle = ngx_max(run.idle, 1);
    }

    if (ngx_mesh_page_insert(&run, NGX_MESH_WEB_OWN, NGX_MESH_WEB_PAGES)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    ngx_mesh_web_log(&run, route->target.text, 0);
    (void) ngx_mesh_agent_listed(&route->device);
    (void) ngx_mesh_web_page(ticket, route);

    return NGX_OK;
}


/* beside those of other sessions, and still a number that is not negative */
static uint64_t
ngx_mesh_web_serial(const u_char *id, u_char *key)
{
    ngx_mesh_sha256(id, NGX_MESH_WEB_PAGE_ID, key);

    return mesh_get64(key) >> 2 | (uint64_t) 1 << 62;
}


/* session.md 1.7: its beginning, or end */
static void
ngx_mesh_web_log(const ngx_mesh_running_t *r, const char *target,
    ngx_uint_t end)
{
    u_char               *p, id[16], args[160], text[640], doc[512];
    time_t                seconds;
    ngx_mesh_event_t      e;
    ngx_mesh_presence_t   device;

    ngx_memzero(&e, sizeof(ngx_mesh_event_t));

    e.scope.domain_id = r->domain_id;
    e.scope.account_id = r->account_id;
    e.scope.device_id = r->device_id;
    e.scope.group_id = r->group_id;

    if (ngx_mesh_presence_lookup(NGX_MESH_AGENT, r->domain_id, r->node,
                                 &device)
        == NGX_OK)
    {
        e.scope.group_id = device.group_id;
    }

    e.kind = "relay";
    e.action = "relaylog";
    e.msgid = end ? 9 : 13;
    e.address.data = (u_char *) r->address;
    e.address.len = ngx_strlen(r->address);

    seconds = r->over - r->since;
    (void) ngx_hex_dump(id, (u_char *) r->key, sizeof(r->key));

    p = ngx_sprintf(args, "[\"%*s\",\"%V\",\"\"", sizeof(id), id,
                    &e.address);

    if (end) {
        p = ngx_sprintf(p, ",%T", seconds);
    }

    *p++ = ']';
    e.args.data = args;
    e.args.len = p - args;

    p = ngx_mesh_account_say(text, text + sizeof(text), r->account_id);

    if (end) {
        p = ngx_slprintf(p, text + sizeof(text), " ended a web session to %s "
                         "port %d of %T seconds from %V%s", target,
                         (int) r->port, seconds, &e.address,
                         ngx_mesh_web_ends[r->end].text);

    } else {
        p = ngx_slprintf(p, text + sizeof(text), " opened the web page at %s "
                         "port %d from %V", target, (int) r->port, &e.address);
    }

    if (end && r->end == NGX_MESH_PAGE_PERSON) {
        p = ngx_mesh_account_say(p, text + sizeof(text), r->ended_by);
        p = ngx_slprintf(p, text + sizeof(text), " ended it");
    }

    e.text.data = text;
    e.text.len = p - text;

    p = ngx_sprintf(doc, "{\"protocol\":%d,\"tcpaddr\":\"%s\","
                    "\"tcpport\":%d", NGX_MESH_WEB_P, target, (int) r->port);

    if (end) {
        p = ngx_sprintf(p, ",\"bytesin\":%uL,\"bytesout\":%uL,"
                        "\"reason\":\"%s\"", r->to_viewer, r->to_device,
                        ngx_mesh_web_ends[r->end].reason);
    }

    *p++ = '}';

    e.doc.data = doc;
    e.doc.len = p - doc;

    ngx_mesh_event_log(&e);
}


/* whoever comes first writes it */
static void
ngx_mesh_web_ended(ngx_uint_t stop)
{
    ngx_uint_t           n;
    ngx_mesh_running_t   r;
    ngx_mesh_presence_t  device;

    for (n = 0; stop || n < NGX_MESH_WEB_ENDS; n++) {

        if (!ngx_mesh_model_ready() || !ngx_mesh_db_up()
            || ngx_mesh_page_take(&r, stop) != NGX_OK)
        {
            return;
        }

        ngx_mesh_web_log(&r, (const char *) r.target, 1);

        if (!stop
            && ngx_mesh_presence_lookup(NGX_MESH_AGENT, r.domain_id, r.node,
                                        &device)
               == NGX_OK)
        {
            (void) ngx_mesh_agent_listed(&device);
        }
    }
}


/* of other devices: the browser must not pile them up */
static ngx_int_t
ngx_mesh_web_old_cookies(ngx_http_request_t *r, const u_char *tag)
{
    u_char             *p;
    size_t              n;
    ngx_uint_t          i;
    const uint8_t      *pos, *last;
    ngx_list_part_t    *part;
    ngx_table_elt_t    *h;
    mesh_web_cookie_t   c;

    n = sizeof(NGX_MESH_WEB_COOKIE "-") - 1;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len != 6
                || ngx_strncasecmp(h[i].key.data, (u_char *) "cookie", 6) != 0)
            {
                continue;
            }

            pos = h[i].value.data;
            last = pos + h[i].value.len;

            while (mesh_web_cookie_next(&c, &pos, last) == MESH_OK) {

                if (c.name_len <= n
                    || ngx_memcmp(c.name, NGX_MESH_WEB_COOKIE "-", n) != 0
                    || (c.name_len > n + NGX_MESH_WEB_PAGE_TAG
                        && ngx_memcmp(c.name + n, tag, NGX_MESH_WEB_PAGE_TAG)
                           == 0))
                {
                    continue;
                }

                p = ngx_pnalloc(r->pool, c.name_len + 64);
                if (p == NULL) {
                    return NGX_ERROR;
                }

                *ngx_sprintf(p, "%*s=; Path=/; Secure; HttpOnly; Max-Age=0",
                             c.name_len, c.name)
                    = '\0';

                if (ngx_mesh_web_header(r, "Set-Cookie", (char *) p)
                    != NGX_OK)
                {
                    return NGX_ERROR;
                }
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_web_ticket(ngx_http_request_t *r, ngx_str_t *text, u_char kind,
    ngx_mesh_ticket_t *ticket, ngx_mesh_route_t *route)
{
    const char                *why;
    ngx_str_t                 *address;
    ngx_http_mesh_srv_conf_t  *srv;

    srv = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);

    if (ngx_mesh_ticket_read(ticket, kind, text, r->pool) != NGX_OK
        || ticket->domain_id != ngx_mesh_domain_id(&srv->domain)
        || (ticket->p != NGX_MESH_WEB_HTTP && ticket->p != NGX_MESH_WEB_HTTPS)
        || (kind == NGX_MESH_TICKET_WEB_PAGE
            && ticket->id.len != NGX_MESH_WEB_PAGE_ID))
    {
        return NGX_DECLINED;
    }

    ngx_memzero(route, sizeof(ngx_mesh_route_t));

    /* agents call the server of the application */
    route->srv = srv->web_app;
    route->p = NGX_MESH_WEB_P;
    route->who.domain_id = ticket->domain_id;
    route->who.account_id = ticket->account_id;
    route->who.password_at = ticket->password_at;
    ngx_memcpy(route->who.session, ticket->session, 32);
    ngx_memcpy(route->node, ticket->node, NGX_MESH_ID_LEN);
    ngx_mesh_ctx_who(r, ticket->account_id, ticket->node);

    address = ngx_mesh_address(r);
    (void) ngx_cpystrn(route->address, address->data,
                       ngx_min(address->len + 1, sizeof(route->address)));

    return ngx_mesh_route_target(route, &ticket->addr, ticket->port, &why);
}


static ngx_int_t
ngx_mesh_web_cookie(ngx_http_request_t *r, ngx_mesh_ticket_t *ticket)
{
    u_char     *p;
    ngx_str_t   text;

    ticket->kind = NGX_MESH_TICKET_WEB_PAGE;
    ticket->expires = ngx_time() + NGX_MESH_WEB_IDLE;

    if (ngx_mesh_ticket_write(ticket, r->pool, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, text.len + 96);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *ngx_sprintf(p, NGX_MESH_WEB_COOKIE "=%V; Path=/; Secure; HttpOnly; "
                 "SameSite=Strict", &text)
        = '\0';

    return ngx_mesh_web_header(r, "Set-Cookie", (char *) p);
}


/* the same for the same page, so that one need not sign in there each time */
static void
ngx_mesh_web_tag(ngx_mesh_route_t *route, ngx_uint_t tls, u_char *tag)
{
    u_char  *p, hash[32];
    u_char   buf[8 + NGX_MESH_ID_LEN + 3 + MESH_TARGET_TEXT];

    p = mesh_put64(buf, (uint64_t) route->who.account_id);
    p = ngx_cpymem(p, route->node, NGX_MESH_ID_LEN);
    *p++ = tls ? 1 : 0;
    p = mesh_put16(p, route->target.port);
    p = ngx_cpymem(p, route->target.text, route->target.len);
    ngx_mesh_sha256(buf, p - buf, hash);

    (void) ngx_hex_dump(tag, hash, NGX_MESH_WEB_PAGE_TAG / 2);
}


static ngx_int_t
ngx_mesh_web_say(ngx_http_request_t *r, ngx_uint_t status, const char *text)
{
    ngx_str_t  html;

    if (ngx_http_discard_request_body(r) != NGX_OK
        || ngx_mesh_web_html(r->pool, "", text, NULL, &html) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_finalize_request(r, ngx_mesh_web_send(r, status,
                                    "text/html; charset=utf-8", &html));

    return NGX_DONE;
}


/* a page of one sentence; quoted is of a peer */
static ngx_int_t
ngx_mesh_web_html(ngx_pool_t *pool, const char *head, const char *text,
    ngx_str_t *quoted, ngx_str_t *html)
{
    u_char  *p;
    size_t   n;

    static const char  start[] = "<!doctype html><html lang=en><meta "
        "charset=utf-8><meta name=viewport content=\"width=device-width\">"
        "<title>Page of a device</title>";

    n = quoted ? quoted->len + ngx_escape_html(NULL, quoted->data, quoted->len)
               : 0;

    html->data = ngx_pnalloc(pool, sizeof(start) + ngx_strlen(head)
                                   + ngx_strlen(text) + n + 32);
    if (html->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(html->data, "%s%s<p>%s", start, head, text);

    if (quoted) {
        p = ngx_cpymem(p, " <q>", 4);
        p = (u_char *) ngx_escape_html(p, quoted->data, quoted->len);
        p = ngx_cpymem(p, "</q>", 4);
    }

    p = ngx_cpymem(p, "</p>\n", 5);
    html->len = p - html->data;

    return NGX_OK;
}


/* found, or made */
static ngx_mesh_web_page_t *
ngx_mesh_web_page(ngx_mesh_ticket_t *ticket, ngx_mesh_route_t *route)
{
    u_char                key[32];
    ngx_queue_t          *q;
    ngx_mesh_web_page_t  *page;

    static u_char  zeros[32];

    for (q = ngx_queue_head(&ngx_mesh_web_pages);
         q != ngx_queue_sentinel(&ngx_mesh_web_pages);
         q = ngx_queue_next(q))
    {
        page = ngx_queue_data(q, ngx_mesh_web_page_t, queue);

        if (ngx_memcmp(page->id, ticket->id.data, NGX_MESH_WEB_PAGE_ID) == 0) {
            return page;
        }
    }

    page = ngx_calloc(sizeof(ngx_mesh_web_page_t), ngx_cycle->log);
    if (page == NULL) {
        return NULL;
    }

    page->route = *route;
    page->route.runs = 1;
    page->serial = ngx_mesh_web_serial(ticket->id.data, key);
    page->tls = ticket->p == NGX_MESH_WEB_HTTPS;
    page->known = ngx_memcmp(route->who.session, zeros, 32) == 0;
    ngx_memcpy(page->id, ticket->id.data, NGX_MESH_WEB_PAGE_ID);
    ngx_mesh_web_tag(route, page->tls, page->tag);

    ngx_queue_init(&page->requests);
    ngx_queue_init(&page->tunnels);
    ngx_queue_insert_head(&ngx_mesh_web_pages, &page->queue);

    return page;
}


/* is who opened it still signed in? */
static ngx_int_t
ngx_mesh_web_page_ask(ngx_mesh_web_page_t *page)
{
    u_char     hex[64];
    ngx_str_t  hash;

    if (page->q) {
        return NGX_OK;
    }

    if (!ngx_mesh_db_up()) {
        return NGX_ERROR;
    }

    page->q = ngx_mesh_db_create(ngx_mesh_web_page_found, page);
    if (page->q == NULL) {
        return NGX_ERROR;
    }

    hash.data = hex;
    hash.len = ngx_hex_dump(hex, page->route.who.session, 32) - hex;

    ngx_mesh_db_stmt(page->q, MESH_SQL_WEB_SESSION_GET);
    ngx_mesh_db_str(page->q, &hash);

    if (ngx_mesh_db_send(page->q) != NGX_OK) {
        page->q = NULL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_mesh_web_page_found(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    int64_t               now;
    ngx_str_t            *row;
    ngx_queue_t          *e, *next;
    ngx_mesh_web_req_t   *req;
    ngx_mesh_web_page_t  *page;

    page = q->data;
    page->q = NULL;
    row = rc == NGX_OK ? ngx_mesh_db_row(q, 0, 0) : NULL;
    now = ngx_mesh_now_ms();

    /* somebody signed out while this was on its way: it may be older */
    if (page->again) {
        page->again = 0;

        if (ngx_mesh_web_page_ask(page) == NGX_OK) {
            return;
        }

        row = NULL;
    }

    if (row && ngx_mesh_db_num(&row[0]) == page->route.who.account_id
        && ngx_mesh_db_num(&row[1]) + NGX_MESH_SESSION_IDLE > now
        && ngx_mesh_db_num(&row[2]) > now)
    {
        page->known = 1;
        page->expires_at = ngx_mesh_db_num(&row[2]);

    } else {
        ngx_mesh_web_page_over(page, NGX_MESH_PAGE_SESSION);
    }

    for (e = ngx_queue_head(&page->requests);
         e != ngx_queue_sentinel(&page->requests);
         e = next)
    {
        next = ngx_queue_next(e);
        req = ngx_queue_data(e, ngx_mesh_web_req_t, queue);

        if (req->waits) {
            /* more of them may go with it */
            ngx_mesh_web_req_resume(req);
            next = ngx_queue_head(&page->requests);
        }
    }
}


ngx_int_t
ngx_mesh_web_page_used(ngx_mesh_web_page_t *page)
{
    ngx_int_t  rc;

    rc = ngx_mesh_page_used(page->serial, page->to_viewer, page->to_device,
                            !ngx_queue_empty(&page->requests));
    page->to_viewer = 0;
    page->to_device = 0;

    return rc;
}


/* for all workers, which see it within a second */
static void
ngx_mesh_web_page_over(ngx_mesh_web_page_t *page, ngx_uint_t end)
{
    page->over = 1;

    ngx_mesh_page_end(page->serial, end, 0);
    ngx_mesh_web_tunnels_end(page, -1);
}


/* S-07: in each worker */
static void
ngx_mesh_web_page_changed(ngx_uint_t kind, int64_t id)
{
    const char           *why;
    ngx_queue_t          *q;
    ngx_mesh_web_page_t  *page;

    static u_char  zeros[32];

    for (q = ngx_queue_head(&ngx_mesh_web_pages);
         q != ngx_queue_sentinel(&ngx_mesh_web_pages);
         q = ngx_queue_next(q))
    {
        page = ngx_queue_data(q, ngx_mesh_web_page_t, queue);

        if (page->over) {
            continue;
        }

        if (ngx_mesh_route_gone(&page->route, kind, id, &why)
            || ngx_mesh_route_check(&page->route, &why) != NGX_OK)
        {
            ngx_mesh_web_page_over(page, NGX_MESH_PAGE_RIGHTS);
            continue;
        }

        if (kind == NGX_MESH_CHANGE_SESSION
            && id == page->route.who.account_id
            && ngx_memcmp(page->route.who.session, zeros, 32) != 0)
        {
            page->known = 0;

            if (page->q) {
                page->again = 1;

            } else if (ngx_mesh_web_page_ask(page) != NGX_OK) {
                ngx_mesh_web_page_over(page, NGX_MESH_PAGE_SESSION);
            }
        }
    }
}


static void
ngx_mesh_web_page_tick(void)
{
    int64_t               now;
    ngx_int_t             rc;
    ngx_queue_t          *q, *next;
    ngx_mesh_web_page_t  *page;

    ngx_mesh_web_ended(0);

    now = ngx_mesh_now_ms();

    for (q = ngx_queue_head(&ngx_mesh_web_pages);
         q != ngx_queue_sentinel(&ngx_mesh_web_pages);
         q = next)
    {
        next = ngx_queue_next(q);
        page = ngx_queue_data(q, ngx_mesh_web_page_t, queue);

        if (page->expires_at && page->expires_at <= now && !page->over) {
            ngx_mesh_web_page_over(page, NGX_MESH_PAGE_SESSION);
        }

        rc = ngx_mesh_web_page_used(page);

        if (rc != NGX_OK && !page->over) {
            page->over = 1;
            ngx_mesh_web_tunnels_end(page, -1);
        }

        ngx_mesh_web_tunnels_end(page, ngx_exiting ? 0 : NGX_MESH_WEB_IDLE);

        if (rc == NGX_OK || page->ntunnels || page->q
            || !ngx_queue_empty(&page->requests))
        {
            continue;
        }

        ngx_queue_remove(&page->queue);
        ngx_free(page);
    }
}


ngx_mesh_web_req_t *
ngx_mesh_web_req(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    /* contexts of modules do not live through an internal redirect */

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_mesh_web_req_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


static void
ngx_mesh_web_req_resume(ngx_mesh_web_req_t *req)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = req->r;
    c = r->connection;

    req->waits = 0;
    req->ready = 1;
    r->main->blocked--;

    if (req->page->over) {
        (void) ngx_mesh_web_say(r, NGX_HTTP_FORBIDDEN,
                                "This page has ended. Open it again from its "
                                "device.");
    } else {
        /* the phases, or its end where it was terminated meanwhile */
        r->write_event_handler(r);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_mesh_web_req_cleanup(void *data)
{
    ngx_mesh_web_req_t *req = data;

    ngx_queue_remove(&req->queue);
}


/* what the device is to hear of the browser */
static ngx_int_t
ngx_mesh_web_request(ngx_mesh_web_req_t *req)
{
    u_char               *p;
    ngx_int_t             rc;
    ngx_uint_t            i;
    mesh_target_t        *target;
    ngx_list_part_t      *part, old;
    ngx_table_elt_t      *h, *copy;
    ngx_http_request_t   *r;

    r = req->r;
    target = &req->page->route.target;

    req->host.data = ngx_pnalloc(r->pool, target->len + 16);
    if (req->host.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(req->host.data,
                    target->kind == MESH_TARGET_V6 ? "[%s]" : "%s",
                    target->text);

    if (target->port != (req->page->tls ? 443 : 80)) {
        p = ngx_sprintf(p, ":%d", (int) target->port);
    }

    req->host.len = p - req->host.data;

    req->upgrade = r->http_version == NGX_HTTP_VERSION_11
                   && r->headers_in.upgrade
                   && r->headers_in.upgrade->value.len == 9
                   && ngx_strncasecmp(r->headers_in.upgrade->value.data,
                                      (u_char *) "websocket", 9) == 0;

    if (!req->upgrade) {
        r->headers_in.upgrade = NULL;
    }

    old = r->headers_in.headers.part;

    if (ngx_list_init(&r->headers_in.headers, r->pool, 20,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (part = &old; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_mesh_web_dropped(&h[i], ngx_mesh_web_request_drop)
                || ngx_mesh_web_password(&h[i]))
            {
                continue;
            }

            copy = ngx_list_push(&r->headers_in.headers);
            if (copy == NULL) {
                return NGX_ERROR;
            }

            *copy = h[i];

            rc = ngx_mesh_web_request_origin(req, copy);

            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    return ngx_mesh_web_request_cookie(req, &old);
}


/* for another device, perhaps: see ngx_mesh_web_answer_realm() */
static ngx_uint_t
ngx_mesh_web_password(ngx_table_elt_t *h)
{
    return h->key.len == 13
           && ngx_strncasecmp(h->key.data, (u_char *) "authorization", 13) == 0
           && (h->value.len < 7
               || ngx_strncasecmp(h->value.data, (u_char *) "digest ", 7)
                  != 0);
}


static ngx_uint_t
ngx_mesh_web_dropped(ngx_table_elt_t *h, const ngx_str_t *names)
{
    size_t  n;

    for ( /* void */ ; names->len; names++) {
        n = names->len;

        if (names->data[n - 1] == '*' ? h->key.len >= --n : h->key.len == n) {
            if (ngx_strncasecmp(h->key.data, names->data, n) == 0) {
                return 1;
            }
        }
    }

    return 0;
}


/* those that the page of this device has set, under its names for them */
static ngx_int_t
ngx_mesh_web_request_cookie(ngx_mesh_web_req_t *req, ngx_list_part_t *old)
{
    u_char              *p, *start;
    size_t               size;
    ngx_str_t            value;
    ngx_uint_t           i;
    const uint8_t       *pos, *last;
    ngx_list_part_t     *part;
    ngx_table_elt_t     *h;
    mesh_web_cookie_t    c;

    size = 0;

    for (part = old; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            size += h[i].value.len + 2;
        }
    }

    start = ngx_pnalloc(req->r->pool, size + 1);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = start;

    for (part = old; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len != 6
                || ngx_strncasecmp(h[i].key.data, (u_char *) "cookie", 6) != 0)
            {
                continue;
            }

            pos = h[i].value.data;
            last = pos + h[i].value.len;

            while (mesh_web_cookie_next(&c, &pos, last) == MESH_OK) {

                if (ngx_mesh_web_name(req->page, &c) != NGX_OK) {
                    continue;
                }

                if (p != start) {
                    *p++ = ';';
                    *p++ = ' ';
                }

                p = ngx_cpymem(p, c.name, c.name_len);
                *p++ = '=';
                p = ngx_cpymem(p, c.value, c.value_len);
            }
        }
    }

    if (p == start) {
        return NGX_OK;
    }

    value.data = start;
    value.len = p - start;
    req->cookies = value.len;
    req->sent_cookies = value.len;
    *p = '\0';

    return ngx_mesh_web_add(&req->r->headers_in.headers, req->r->pool,
                            "Cookie", &value);
}


/* our name for it becomes the device's; NGX_DECLINED: it is none of its own */
static ngx_int_t
ngx_mesh_web_name(ngx_mesh_web_page_t *page, mesh_web_cookie_t *c)
{
    size_t  n;

    n = sizeof(NGX_MESH_WEB_COOKIE "-") - 1;

    if (c->name_len <= n + NGX_MESH_WEB_PAGE_TAG + 1
        || ngx_memcmp(c->name, NGX_MESH_WEB_COOKIE "-", n) != 0
        || ngx_memcmp(c->name + n, page->tag, NGX_MESH_WEB_PAGE_TAG) != 0
        || c->name[n + NGX_MESH_WEB_PAGE_TAG] != '-')
    {
        return NGX_DECLINED;
    }

    n += NGX_MESH_WEB_PAGE_TAG + 1;
    c->name += n;
    c->name_len -= n;

    return NGX_OK;
}


/*
 * Origin and Referer name the device where they named us: it compares them
 * with its own address against pages of others, whose names are left.
 */
static ngx_int_t
ngx_mesh_web_request_origin(ngx_mesh_web_req_t *req, ngx_table_elt_t *h)
{
    u_char      *p, *rest;
    size_t       len;
    ngx_str_t   *host;

    if (!(h->key.len == 6
          && ngx_strncasecmp(h->key.data, (u_char *) "origin", 6) == 0)
        && !(h->key.len == 7
             && ngx_strncasecmp(h->key.data, (u_char *) "referer", 7) == 0))
    {
        return NGX_OK;
    }

    if (req->r->headers_in.host == NULL) {
        return NGX_OK;
    }

    host = &req->r->headers_in.host->value;
    len = sizeof("https://") - 1 + host->len;

    if (h->value.len < len
        || ngx_strncasecmp(h->value.data, (u_char *) "https://", 8) != 0
        || ngx_strncasecmp(h->value.data + 8, host->data, host->len) != 0
        || (h->value.len > len && h->value.data[len] != '/'))
    {
        return NGX_OK;
    }

    rest = h->value.data + len;
    len = h->value.len - len;

    p = ngx_pnalloc(req->r->pool, 8 + req->host.len + len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    h->value.data = p;
    p = ngx_sprintf(p, "http%s://%V%*s", req->page->tls ? "s" : "",
                    &req->host, len, rest);
    h->value.len = p - h->value.data;
    *p = '\0';

    return NGX_OK;
}


ngx_int_t
ngx_mesh_web_answer(ngx_mesh_web_req_t *req)
{
    ngx_int_t             rc;
    ngx_str_t             value;
    ngx_uint_t            i, status, digest;
    ngx_list_part_t      *part, old;
    ngx_table_elt_t      *h, *copy;
    ngx_http_upstream_t  *u;

    u = req->r->upstream;
    status = u->headers_in.status_n;
    digest = 0;

    /* an answer before the answer would make the rest one of its own */
    if (status < 200
        && !(status == NGX_HTTP_SWITCHING_PROTOCOLS && req->upgrade))
    {
        req->why = "The device gave an answer that was not asked for.";
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    /* for nginx alone, and not from a device */
    u->headers_in.x_accel_redirect = NULL;
    u->buffering = u->conf->buffering;

    old = u->headers_in.headers.part;

    if (ngx_list_init(&u->headers_in.headers, req->r->pool, 16,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (part = &old; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_mesh_web_dropped(&h[i], ngx_mesh_web_answer_drop)) {

                /* a WebSocket is what it is asked to be */
                if (status != NGX_HTTP_SWITCHING_PROTOCOLS
                    || h[i].key.len != 7)
                {
                    continue;
                }
            }

            copy = ngx_list_push(&u->headers_in.headers);
            if (copy == NULL) {
                return NGX_ERROR;
            }

            *copy = h[i];
            rc = NGX_OK;

            if (copy->key.len == 10
                && ngx_strncasecmp(copy->key.data, (u_char *) "set-cookie",
                                   10)
                   == 0)
            {
                rc = ngx_mesh_web_answer_cookie(req, copy);

            } else if (copy->key.len == 8
                       && ngx_strncasecmp(copy->key.data,
                                          (u_char *) "location", 8)
                          == 0)
            {
                rc = ngx_mesh_web_answer_location(req, copy);

            } else if (copy->key.len == 16
                       && ngx_strncasecmp(copy->key.data,
                                          (u_char *) "www-authenticate", 16)
                          == 0)
            {
                rc = ngx_mesh_web_answer_realm(req, copy);
                digest |= (rc == NGX_OK);
            }

            if (rc == NGX_DECLINED) {
                /* the last one of its part */
                u->headers_in.headers.last->nelts--;

            } else if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    /* no way to sign in was left */
    if (status == NGX_HTTP_UNAUTHORIZED && req->why && !digest) {
        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    req->why = NULL;

    ngx_str_set(&value, "no-store");

    if (ngx_mesh_web_add(&u->headers_in.headers, req->r->pool,
                         "Cache-Control", &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_str_set(&value, "same-origin");

    return ngx_mesh_web_add(&u->headers_in.headers, req->r->pool,
                            "Referrer-Policy", &value);
}


/*
 * Under a name of ours, for this host alone and until the browser is closed;
 * never for scripts, which would look for another name.  The browser sends
 * all of them to the application too, so they are few.
 */
static ngx_int_t
ngx_mesh_web_answer_cookie(ngx_mesh_web_req_t *req, ngx_table_elt_t *h)
{
    u_char             *p;
    time_t              expires;
    mesh_web_cookie_t   c;

    if (mesh_web_cookie_parse(&c, h->value.data, h->value.len) != MESH_OK) {
        return NGX_DECLINED;
    }

    if (c.expires) {
        expires = ngx_parse_http_time((u_char *) c.expires, c.expires_len);
        c.gone = expires != NGX_ERROR && expires <= ngx_time();
    }

    if (!c.gone) {
        req->cookies += c.name_len + c.value_len + 3;

        if (req->cookies > NGX_MESH_WEB_COOKIES) {
            ngx_log_error(NGX_LOG_INFO, req->r->connection->log, 0,
                          "mesh web relay: cookies of a device over %d bytes",
                          NGX_MESH_WEB_COOKIES);
            return NGX_DECLINED;
        }
    }

    p = ngx_pnalloc(req->r->pool, c.name_len + c.value_len
                                  + NGX_MESH_WEB_PAGE_TAG + 96);
    if (p == NULL) {
        return NGX_ERROR;
    }

    h->value.data = p;
    p = ngx_sprintf(p, NGX_MESH_WEB_COOKIE "-%*s-%*s=%*s; Path=/; Secure; "
                    "HttpOnly; SameSite=Strict%s",
                    (size_t) NGX_MESH_WEB_PAGE_TAG, req->page->tag,
                    c.name_len, c.name, c.value_len, c.value,
                    c.gone ? "; Max-Age=0" : "");
    h->value.len = p - h->value.data;
    *p = '\0';

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_web_answer_location(ngx_mesh_web_req_t *req, ngx_table_elt_t *h)
{
    size_t          len;
    ngx_int_t       rc;
    mesh_target_t  *target;
    const uint8_t  *path;

    target = &req->page->route.target;

    rc = mesh_web_location(&path, &len, h->value.data, h->value.len,
                           (int) req->page->tls, target->text, target->port);

    if (rc == MESH_OK) {
        h->value.data = (u_char *) path;
        h->value.len = len;

        if (len == 0) {
            ngx_str_set(&h->value, "/");
        }

        return NGX_OK;
    }

    req->why = "The page of the device leads elsewhere. If that is another "
               "port or address that the device reaches, open it from the "
               "device:";
    req->elsewhere = h->value;
    req->elsewhere.len = ngx_min(h->value.len, NGX_MESH_WEB_LEADS);

    return NGX_HTTP_UPSTREAM_INVALID_HEADER;
}


/*
 * A browser gives a Basic password unasked to the next page of the same origin,
 * which may be another device's: none is carried.  Digest, which puts realm and
 * nonce into its hash, gives none away; what signs in by itself is not for
 * devices.
 */
static ngx_int_t
ngx_mesh_web_answer_realm(ngx_mesh_web_req_t *req, ngx_table_elt_t *h)
{
    u_char  *last;

    last = h->value.data + h->value.len;

    if (h->value.len > 7
        && ngx_strncasecmp(h->value.data, (u_char *) "digest ", 7) == 0
        && !ngx_strlcasestrn(h->value.data, last, (u_char *) "basic", 4)
        && !ngx_strlcasestrn(h->value.data, last, (u_char *) "ntlm", 3)
        && !ngx_strlcasestrn(h->value.data, last, (u_char *) "negotiate", 8))
    {
        return NGX_OK;
    }

    req->why = "The page wants a password in a way that would give it to the "
               "pages of other devices too. Its server can be reached through "
               "the TCP relay.";

    return NGX_DECLINED;
}


static ngx_int_t
ngx_mesh_web_add(ngx_list_t *list, ngx_pool_t *pool, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(list);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;

    h->lowcase_key = ngx_pnalloc(pool, h->key.len);
    if (h->lowcase_key == NULL) {
        return NGX_ERROR;
    }

    h->hash = ngx_hash_strlow(h->lowcase_key, h->key.data, h->key.len);

    return NGX_OK;
}


ngx_int_t
ngx_mesh_web_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t            value;
    ngx_mesh_web_req_t  *req;

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    req = ngx_mesh_web_req(r);

    if (req == NULL || !req->ready) {
        v->not_found = 1;
        return NGX_OK;
    }

    switch (data) {

    case NGX_MESH_WEB_VAR_PASS:

        if (req->page->tls) {
            ngx_str_set(&value, "https://" NGX_MESH_WEB_UPSTREAM);

        } else {
            ngx_str_set(&value, "http://" NGX_MESH_WEB_UPSTREAM);
        }

        break;

    case NGX_MESH_WEB_VAR_HOST:
        value = req->host;
        break;

    case NGX_MESH_WEB_VAR_UPGRADE:
        ngx_str_set(&value, "websocket");
        value.len = req->upgrade ? value.len : 0;
        break;

    case NGX_MESH_WEB_VAR_CONNECTION:
        ngx_str_set(&value, "upgrade");
        value.len = req->upgrade ? value.len : 0;
        break;

    default: /* NGX_MESH_WEB_VAR_WHY */

        if (req->why == NULL) {
            req->why = "Nothing answers at this port of the device, or not "
                       "with HTTP.";
        }

        if (ngx_mesh_web_html(r->pool, "", req->why,
                              req->elsewhere.len ? &req->elsewhere : NULL,
                              &value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    v->len = value.len;
    v->data = value.data;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_web_relay_init(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_mesh_web_pages);
    ngx_mesh_model_on_change(ngx_mesh_web_page_changed);
    ngx_mesh_tick_add(ngx_mesh_web_page_tick);

    return NGX_OK;
}


/* with the last worker all of them end */
void
ngx_mesh_web_relay_exit(void)
{
    ngx_queue_t          *q;
    ngx_mesh_web_page_t  *page;

    for (q = ngx_mesh_web_pages.next;
         q && q != ngx_queue_sentinel(&ngx_mesh_web_pages);
         q = ngx_queue_next(q))
    {
        page = ngx_queue_data(q, ngx_mesh_web_page_t, queue);
        (void) ngx_mesh_web_page_used(page);
    }

    ngx_mesh_web_ended(1);
}

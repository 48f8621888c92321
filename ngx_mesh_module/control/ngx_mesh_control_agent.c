/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Actions that reach an agent.  Nothing of what a client wrote goes to it as
 * it came: each message is built here, from members that were checked.
 */

#include "ngx_mesh_control.h"
#include "../core/ngx_mesh_recording.h"
#include "../ws/ngx_mesh_dial.h"


#define NGX_MESH_CTL_RELAY      60    /* seconds a device has to come */
#define NGX_MESH_CTL_ROUTE      3600  /* seconds that a cookie is good for */
#define NGX_MESH_CTL_TICKET     1536  /* bytes of a cookie in a link */
#define NGX_MESH_CTL_WEB        14    /* session.md 0 */
#define NGX_MESH_CTL_RELAY_ID   64
#define NGX_MESH_CTL_MACS       64    /* of one device */
#define NGX_MESH_CTL_WAKERS     16    /* agents that wake one device */


/* what a msg type may carry, and who may send it */

#define NGX_MESH_CTL_M_VALUE    1
#define NGX_MESH_CTL_M_PID      2
#define NGX_MESH_CTL_M_SERVICE  4
#define NGX_MESH_CTL_M_TEXT     8     /* title, msg, timeout */
#define NGX_MESH_CTL_M_URL      16
#define NGX_MESH_CTL_M_END      32    /* xuserid, protocol */
#define NGX_MESH_CTL_M_DESKTOP  64    /* who may give input to the desktop */
#define NGX_MESH_CTL_M_DATA     128   /* data; and all kinds of input */

typedef struct {
    const char  *type;
    uint32_t     any;                 /* one of these */
    uint32_t     all;                 /* and all of these */
    ngx_uint_t   members;
} ngx_mesh_ctl_msg_t;

static const ngx_mesh_ctl_msg_t  ngx_mesh_ctl_msgs[] = {

    { "console", NGX_MESH_D_REMOTECONTROL,
      NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_AGENTCONSOLE,
      NGX_MESH_CTL_M_VALUE },

    { "messagebox", NGX_MESH_D_REMOTECONTROL, 0, NGX_MESH_CTL_M_TEXT },
    { "alertbox", NGX_MESH_D_REMOTECONTROL, 0, NGX_MESH_CTL_M_TEXT },
    { "openUrl", NGX_MESH_D_REMOTECONTROL, 0, NGX_MESH_CTL_M_URL },
    { "ps", NGX_MESH_D_REMOTECONTROL, 0, 0 },
    { "psinfo", NGX_MESH_D_REMOTECONTROL, 0, NGX_MESH_CTL_M_PID },
    { "pskill", NGX_MESH_D_REMOTECONTROL, 0, NGX_MESH_CTL_M_VALUE },
    { "services", NGX_MESH_D_REMOTECONTROL, 0, 0 },
    { "service", NGX_MESH_D_REMOTECONTROL, 0, NGX_MESH_CTL_M_SERVICE },
    { "serviceStart", NGX_MESH_D_REMOTECONTROL, 0, NGX_MESH_CTL_M_SERVICE },
    { "serviceStop", NGX_MESH_D_REMOTECONTROL, 0, NGX_MESH_CTL_M_SERVICE },
    { "serviceRestart", NGX_MESH_D_REMOTECONTROL, 0, NGX_MESH_CTL_M_SERVICE },
    { "cpuinfo", NGX_MESH_D_REMOTECONTROL, 0, 0 },
    { "userSessions", NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_REMOTEVIEWONLY, 0,
      0 },
    { "getclip", NGX_MESH_D_REMOTECONTROL, 0, NGX_MESH_CTL_M_DESKTOP },
    { "setclip", NGX_MESH_D_REMOTECONTROL, 0,
      NGX_MESH_CTL_M_DESKTOP|NGX_MESH_CTL_M_DATA },
    { "endtunnel", NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_REMOTEVIEWONLY, 0,
      NGX_MESH_CTL_M_END },
    { NULL, 0, 0, 0 }
};


/* protocols of a tunnel, control.md 5.5 and session.md 1.15 */

typedef struct {
    ngx_uint_t   p;
    uint32_t     any, none;
    const char  *usages;
} ngx_mesh_ctl_proto_t;

static const ngx_mesh_ctl_proto_t  ngx_mesh_ctl_protos[] = {
    { 1, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOTERMINAL, "[1,6,8,9]" },
    { 6, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOTERMINAL, "[1,6,8,9]" },
    { 8, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOTERMINAL, "[1,6,8,9]" },
    { 9, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOTERMINAL, "[1,6,8,9]" },
    { 2, NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_REMOTEVIEWONLY,
      NGX_MESH_D_NODESKTOP, "[2]" },
    { 5, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOFILES, "[5]" },
    { 10, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOFILES, "[10]" },
    { 0, 0, 0, NULL }
};


/* a group of the command, and who wakes its devices */

typedef struct ngx_mesh_ctl_wake_s  ngx_mesh_ctl_wake_t;

struct ngx_mesh_ctl_wake_s {
    int64_t               group_id;
    ngx_mesh_ctl_wake_t  *next;
    ngx_uint_t            n;
    ngx_mesh_presence_t   by[NGX_MESH_CTL_WAKERS];
};


static void ngx_mesh_ctl_tunnel(ngx_mesh_ctl_t *ctl);
static ngx_uint_t ngx_mesh_ctl_tunnel_shared(ngx_mesh_ctl_t *ctl,
    ngx_uint_t p);
static ngx_uint_t ngx_mesh_ctl_tunnel_direct(ngx_mesh_ctl_t *ctl,
    ngx_uint_t p);
static ngx_int_t ngx_mesh_ctl_tunnel_args(ngx_mesh_ctl_t *ctl,
    const ngx_str_t *value, ngx_uint_t *p, ngx_str_t *id);
static ngx_int_t ngx_mesh_ctl_url_arg(ngx_mesh_ctl_t *ctl,
    const ngx_str_t *url, const char *name, ngx_str_t *value);
static void ngx_mesh_ctl_route(ngx_mesh_ctl_t *ctl, ngx_mesh_route_t *route);
static ngx_uint_t ngx_mesh_ctl_tag(ngx_mesh_ctl_t *ctl, const char *tag);
static ngx_uint_t ngx_mesh_ctl_http_url(const ngx_str_t *url);
static ngx_uint_t ngx_mesh_ctl_windows(ngx_mesh_device_t *device);
static void ngx_mesh_ctl_woken(ngx_mesh_db_req_t *q, ngx_int_t rc);
static ngx_uint_t ngx_mesh_ctl_macs(ngx_mesh_ctl_t *ctl, ngx_mesh_json_t *doc,
    ngx_str_t *macs);
static ngx_int_t ngx_mesh_ctl_macs_interface(const char *name,
    ngx_mesh_json_t *value, void *data);
static void ngx_mesh_ctl_mac(ngx_mesh_json_t *entry, void *data);
static ngx_mesh_ctl_wake_t *ngx_mesh_ctl_wake(ngx_mesh_ctl_t *ctl,
    int64_t group_id);
static ngx_int_t ngx_mesh_ctl_waker(const ngx_mesh_presence_t *p,
    void *data);


void
ngx_mesh_ctl_do_msg(ngx_mesh_ctl_t *ctl)
{
    ngx_str_t                  type;
    ngx_mesh_jw_t             *w;
    ngx_mesh_device_t         *device;
    ngx_mesh_ctl_value_t      *value;
    const ngx_mesh_ctl_msg_t  *msg;

    device = ctl->device;
    type = ngx_mesh_ctl_value(ctl, "type")->s;

    if (type.len == 6 && ngx_memcmp(type.data, "tunnel", 6) == 0) {
        ngx_mesh_ctl_tunnel(ctl);
        return;
    }

    for (msg = ngx_mesh_ctl_msgs; msg->type; msg++) {
        if (ngx_strlen(msg->type) == type.len
            && ngx_memcmp(msg->type, type.data, type.len) == 0)
        {
            break;
        }
    }

    if (msg->type == NULL) {
        ngx_mesh_count(NGX_MESH_C_UNKNOWN_MSG);
        ngx_mesh_ctl_result(ctl, "Unsupported type");
        return;
    }

    if (!ngx_mesh_right(device->rights, msg->any)
        || (msg->all && device->rights != NGX_MESH_FULL
            && (device->rights & msg->all) != msg->all)
        || ((msg->members & NGX_MESH_CTL_M_DESKTOP)
            && ngx_mesh_restricted(device->rights,
                   NGX_MESH_D_NODESKTOP|NGX_MESH_D_REMOTEVIEWONLY))
        || ((msg->members & NGX_MESH_CTL_M_DATA)
            && ngx_mesh_restricted(device->rights,
                                   NGX_MESH_D_DESKLIMITEDINPUT))
        || !device->online)
    {
        ngx_mesh_ctl_result(ctl, "Unable to route");
        return;
    }

    w = ngx_mesh_ctl_compose(ctl, device, "msg");
    ngx_mesh_jw_cstr(w, "type", msg->type);

    if (msg->members & NGX_MESH_CTL_M_VALUE) {
        value = ngx_mesh_ctl_value(ctl, "value");

        if (!value->set) {
            ngx_mesh_ctl_result(ctl, "Invalid value");
            return;
        }

        ngx_mesh_jw_str(w, "value", &value->s);
    }

    if (msg->members & NGX_MESH_CTL_M_DATA) {
        value = ngx_mesh_ctl_value(ctl, "data");

        if (!value->set) {
            ngx_mesh_ctl_result(ctl, "Invalid data");
            return;
        }

        ngx_mesh_jw_str(w, "data", &value->s);
    }

    if (msg->members & NGX_MESH_CTL_M_DESKTOP) {
        value = ngx_mesh_ctl_value(ctl, "offset");

        if (value->set) {
            ngx_mesh_jw_int(w, "offset", value->n);
            ngx_mesh_jw_int(w, "size", ngx_mesh_ctl_value(ctl, "size")->n);
        }
    }

    if (msg->members & NGX_MESH_CTL_M_PID) {
        ngx_mesh_jw_int(w, "pid", ngx_mesh_ctl_value(ctl, "pid")->n);
    }

    if (msg->members & NGX_MESH_CTL_M_SERVICE) {
        value = ngx_mesh_ctl_value(ctl, "serviceName");

        if (!value->set) {
            ngx_mesh_ctl_result(ctl, "Invalid serviceName");
            return;
        }

        ngx_mesh_jw_str(w, "serviceName", &value->s);
    }

    if (msg->members & NGX_MESH_CTL_M_TEXT) {
        value = ngx_mesh_ctl_value(ctl, "msg");

        if (!value->set) {
            ngx_mesh_ctl_result(ctl, "Invalid msg");
            return;
        }

        ngx_mesh_jw_str(w, "title", &ngx_mesh_ctl_value(ctl, "title")->s);
        ngx_mesh_jw_str(w, "msg", &value->s);

        value = ngx_mesh_ctl_value(ctl, "timeout");
        ngx_mesh_jw_int(w, "timeout", value->set ? value->n : 120000);
    }

    if (msg->members & NGX_MESH_CTL_M_URL) {
        value = ngx_mesh_ctl_value(ctl, "url");

        if (!value->set || !ngx_mesh_ctl_http_url(&value->s)) {
            ngx_mesh_ctl_result(ctl, "Invalid url");
            return;
        }

        ngx_mesh_jw_str(w, "url", &value->s);
    }

    if (msg->members & NGX_MESH_CTL_M_END) {
        value = ngx_mesh_ctl_value(ctl, "xuserid");

        /* one's own sessions, or all of them with full rights */

        if (!value->set
            || (device->rights != NGX_MESH_FULL
                && (value->s.len != ctl->user.len
                    || ngx_memcmp(value->s.data, ctl->user.data,
                                  ctl->user.len)
                       != 0)))
        {
            ngx_mesh_ctl_result(ctl, "Unable to route");
            return;
        }

        ngx_mesh_jw_str(w, "xuserid", &value->s);
        ngx_mesh_jw_str(w, "protocol",
                        &ngx_mesh_ctl_value(ctl, "protocol")->s);
    }

    ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_command(ctl, device, w) == NGX_OK
                             ? "OK" : "Unable to route");
}


/*
 * The invitation of session.md 1.15: protocol and id are taken from what the
 * client sent, all else is ours.
 */
static void
ngx_mesh_ctl_tunnel(ngx_mesh_ctl_t *ctl)
{
    u_char                       hash[NGX_MESH_ID_LEN];
    u_char                       hex[2 * NGX_MESH_ID_LEN];
    uint32_t                     any, none, rights;
    ngx_str_t                    id, cookie, url, s, path, node;
    ngx_uint_t                   p, tcp, udp;
    ngx_mesh_jw_t               *w;
    const char                  *why;
    ngx_mesh_route_t             route;
    ngx_mesh_ticket_t            ticket;
    ngx_mesh_device_t           *device;
    ngx_mesh_account_t          *account;
    ngx_mesh_ctl_value_t        *value;
    ngx_http_mesh_srv_conf_t    *srv;
    const ngx_mesh_ctl_proto_t  *proto;

    device = ctl->device;
    value = ngx_mesh_ctl_value(ctl, "value");
    account = ngx_mesh_ctl_account(ctl);

    if (!value->set || account == NULL || ctl->b == NULL || !device->online
        || ngx_mesh_ctl_tunnel_args(ctl, &value->s, &p, &id) != NGX_OK)
    {
        goto refuse;
    }

    tcp = ngx_mesh_ctl_value(ctl, "tcpport")->set;
    udp = ngx_mesh_ctl_value(ctl, "udpport")->set;

    for (proto = ngx_mesh_ctl_protos; proto->p; proto++) {
        if (proto->p == p) {
            break;
        }
    }

    if (tcp || udp) {
        any = NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_RELAY;
        none = 0;

        /* the device itself; its network is a matter of the group (S-50) */

        ngx_mesh_ctl_route(ctl, &route);
        route.p = p | (tcp ? NGX_MESH_P_TCP : NGX_MESH_P_UDP);

        if ((tcp && udp)
            || ngx_mesh_route_target(&route,
                   &ngx_mesh_ctl_value(ctl, tcp ? "tcpaddr" : "udpaddr")->s,
                   ngx_mesh_ctl_value(ctl, tcp ? "tcpport" : "udpport")->n,
                   &why)
               != NGX_OK
            || ngx_mesh_route_check(&route, &why) != NGX_OK)
        {
            goto refuse;
        }

    } else if (proto->p) {
        any = proto->any;
        none = proto->none;

    } else {
        goto refuse;
    }

    if (!ngx_mesh_right(device->rights, any)
        || ngx_mesh_restricted(device->rights, none))
    {
        goto refuse;
    }

    srv = ctl->b->s->srv;

    /* without it the agent would trust any certificate (agent.md 6) */

    if (ngx_mesh_cert_current(srv, hash) != NGX_OK) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mesh control: no outer certificate to name in a "
                      "tunnel command");
        goto refuse;
    }

    ngx_mesh_ticket_begin(&ticket, NGX_MESH_TICKET_RELAY, &ctl->who,
                          NGX_MESH_CTL_RELAY);
    ticket.device_id = device->device_id;
    ticket.group_id = device->group_id;
    ngx_memcpy(ticket.node, device->raw, NGX_MESH_ID_LEN);
    ticket.id = id;
    ticket.p = p;
    ticket.rights = device->rights;

    if (tcp || udp) {
        ticket.p = route.p;
        ticket.port = route.target.port;
        ticket.addr.data = (u_char *) route.target.text;
        ticket.addr.len = route.target.len;
    }

    if (ngx_mesh_ticket_write(&ticket, ctl->pool, &cookie) != NGX_OK) {
        goto refuse;
    }

    ngx_mesh_url_path(srv, &path);

    node = device->row[NGX_MESH_DEV_WIRE];

    ngx_mesh_ctl_sprintf(ctl, &url, path.len + node.len + id.len + cookie.len
                                    + 96,
                         "*/%V%smeshrelay.ashx?p=%ui&nodeid=%V&id=%V&rauth=%V",
                         &path, path.len ? "/" : "", p, &node, &id, &cookie);

    rights = device->rights;

    if (!tcp && !udp && ngx_mesh_ctl_tunnel_shared(ctl, p)) {
        device->rights = rights == NGX_MESH_FULL ? rights
                         : (rights | NGX_MESH_D_REMOTECONTROL)
                           & ~(NGX_MESH_D_REMOTEVIEWONLY
                               |NGX_MESH_D_DESKLIMITEDINPUT);
    }

    w = ngx_mesh_ctl_compose(ctl, device, "msg");
    device->rights = rights;

    ngx_mesh_jw_cstr(w, "type", "tunnel");
    ngx_mesh_jw_str(w, "value", &url);
    ngx_mesh_jw_int(w, "usage", p);

    s.data = hex;
    s.len = ngx_hex_dump(hex, hash, sizeof(hash)) - hex;
    ngx_mesh_jw_str(w, "servertlshash", &s);

    ngx_mesh_jw_open(w, "soptions", '{');

    if (!tcp && !udp) {
        s.data = (u_char *) proto->usages;
        s.len = ngx_strlen(proto->usages);
        ngx_mesh_jw_raw(w, "usages", &s);
        ngx_mesh_jw_bool(w, "webrtc", ngx_mesh_ctl_tunnel_direct(ctl, p));
    }

    ngx_mesh_jw_shut(w, '}');

    if (tcp) {
        ngx_mesh_jw_int(w, "tcpport", ngx_mesh_ctl_value(ctl, "tcpport")->n);
        ngx_mesh_jw_cstr(w, "tcpaddr", route.target.text);

    } else if (udp) {
        ngx_mesh_jw_int(w, "udpport", ngx_mesh_ctl_value(ctl, "udpport")->n);
        ngx_mesh_jw_cstr(w, "udpaddr", route.target.text);
    }

    ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_command(ctl, device, w) == NGX_OK
                             ? "OK" : "Unable to route");
    return;

refuse:

    ngx_mesh_ctl_result(ctl, "Unable to route");
}


/*
 * One stream for all who watch: what each may send, the relay sees to, and the
 * device takes all of it.  Where a person is asked or told it is none.
 */
static ngx_uint_t
ngx_mesh_ctl_tunnel_shared(ngx_mesh_ctl_t *ctl, ngx_uint_t p)
{
    uint32_t            consent;
    ngx_mesh_device_t  *device;

    device = ctl->device;
    consent = ngx_mesh_consent(ctl->who.account_id, device->group_id,
        (uint32_t) ngx_mesh_db_num(&device->row[NGX_MESH_DEV_CONSENT]));

    return p == 2 && ctl->b->s->conf->desktop_share
           && !(consent & NGX_MESH_CONSENT_DESKTOP);
}


/*
 * A ticket for one target, which a viewer's URL holds instead of a user's:
 * session.md 1.8.
 */
void
ngx_mesh_ctl_do_get_cookie(ngx_mesh_ctl_t *ctl)
{
    ngx_str_t              cookie;
    ngx_uint_t             i;
    const char            *why;
    ngx_mesh_jw_t         *w;
    ngx_mesh_route_t       route;
    ngx_mesh_ticket_t      ticket;
    ngx_mesh_ctl_value_t  *value;

    static const char  *texts[] = { "nodeid", "tcpaddr", "name", "ip", NULL };
    static const char  *numbers[] = { "tcpport", "localport", "protocol",
                                      NULL };

    static const struct {
        const char  *tag;
        uint32_t     p;
    } tags[] = {
        { "mstsc", 10 }, { "ssh", 11 }, { "novnc", 12 }, { NULL, 0 }
    };

    ngx_mesh_ctl_route(ctl, &route);

    for (i = 0; tags[i].tag; i++) {
        if (ngx_mesh_ctl_tag(ctl, tags[i].tag)) {
            route.p = tags[i].p;
        }
    }

    if (ngx_mesh_route_target(&route, &ngx_mesh_ctl_value(ctl, "tcpaddr")->s,
                              ngx_mesh_ctl_value(ctl, "tcpport")->n, &why)
        != NGX_OK
        || ngx_mesh_route_check(&route, &why) != NGX_OK)
    {
        ngx_mesh_ctl_result(ctl, why);
        return;
    }

    ngx_mesh_ticket_begin(&ticket, NGX_MESH_TICKET_ROUTE, &ctl->who,
                          NGX_MESH_CTL_ROUTE);
    ngx_memcpy(ticket.node, route.node, NGX_MESH_ID_LEN);
    ticket.p = route.p;
    ticket.port = route.target.port;
    ticket.addr.data = (u_char *) route.target.text;
    ticket.addr.len = route.target.len;

    if (ngx_mesh_ticket_write(&ticket, ctl->pool, &cookie) != NGX_OK) {
        ngx_mesh_ctl_result(ctl, "The server cannot make a cookie now.");
        return;
    }

    /* what was asked for comes back */

    w = ngx_mesh_ctl_open(ctl);

    for (i = 0; texts[i]; i++) {
        value = ngx_mesh_ctl_value(ctl, texts[i]);

        if (value->set) {
            ngx_mesh_jw_str(w, texts[i], &value->s);
        }
    }

    for (i = 0; numbers[i]; i++) {
        value = ngx_mesh_ctl_value(ctl, numbers[i]);

        if (value->set) {
            ngx_mesh_jw_int(w, numbers[i], value->n);
        }
    }

    ngx_mesh_jw_str(w, "cookie", &cookie);
    ngx_mesh_jw_bool(w, "trustedCert", 0);

    ngx_mesh_ctl_reply(ctl, w);
}


/* session.md 1.12: a link that opens a page of the device, once */
void
ngx_mesh_ctl_do_webrelay(ngx_mesh_ctl_t *ctl)
{
    u_char                    *p;
    ngx_str_t                  host, url, cookie, *pages;
    const char                *why;
    ngx_mesh_jw_t             *w;
    ngx_mesh_route_t           route;
    ngx_mesh_ticket_t          ticket;
    ngx_mesh_ctl_value_t      *port, *appid, *addr;

    if (ctl->b == NULL) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    pages = &ctl->b->s->srv->web_pages;

    if (pages->len == 0) {
        ngx_mesh_ctl_result(ctl, "WebRelay Disabled");
        return;
    }

    port = ngx_mesh_ctl_value(ctl, "port");
    appid = ngx_mesh_ctl_value(ctl, "appid");
    addr = ngx_mesh_ctl_value(ctl, "addr");

    ngx_mesh_ctl_route(ctl, &route);
    route.p = NGX_MESH_CTL_WEB;

    if (ngx_mesh_route_target(&route, &addr->s, port->n, &why) != NGX_OK
        || ngx_mesh_route_check(&route, &why) != NGX_OK)
    {
        ngx_mesh_ctl_result(ctl, why);
        return;
    }

    ngx_mesh_ticket_begin(&ticket, NGX_MESH_TICKET_WEB, &ctl->who,
                          NGX_MESH_TICKET_WEB_LIFE);
    ngx_memcpy(ticket.node, route.node, NGX_MESH_ID_LEN);
    ticket.p = appid->n;
    ticket.port = route.target.port;
    ticket.addr.data = (u_char *) route.target.text;
    ticket.addr.len = route.target.len;

    /* ":port" is beside the name by which this client called */

    host = *pages;

    if (host.data[0] == ':') {
        host = ctl->b->host;

        for (p = host.data + host.len; p > host.data; p--) {
            if (p[-1] == ':') {
                host.len = p - host.data - 1;
                break;
            }

            if (p[-1] == ']') {
                break;
            }
        }
    }

    url.data = ngx_pnalloc(ctl->pool, host.len + pages->len + MESH_TARGET_TEXT
                                      + NGX_MESH_ID_TEXT
                                      + 128 + NGX_MESH_CTL_TICKET);

    if (url.data == NULL
        || ngx_mesh_ticket_write(&ticket, ctl->pool, &cookie) != NGX_OK
        || cookie.len > NGX_MESH_CTL_TICKET)
    {
        ngx_mesh_ctl_result(ctl, "The server cannot make a link now.");
        return;
    }

    p = ngx_sprintf(url.data, pages->data[0] == ':' ? "https://%V%V" : "%V",
                    &host, pages);
    p = ngx_sprintf(p, "/control-redirect.ashx?n=");
    p = ngx_mesh_id_write(p, route.node);
    p = ngx_sprintf(p, "&p=%d&appid=%d&c=%V", (int) port->n, (int) appid->n,
                    &cookie);

    if (addr->s.len) {
        p = ngx_sprintf(p, "&addr=%s", route.target.text);
    }

    url.len = p - url.data;

    w = ngx_mesh_ctl_open(ctl);

    ngx_mesh_jw_str(w, "nodeid", &ctl->device->id);
    ngx_mesh_jw_int(w, "port", port->n);
    ngx_mesh_jw_int(w, "appid", appid->n);

    if (addr->s.len) {
        ngx_mesh_jw_str(w, "addr", &addr->s);
    }

    ngx_mesh_jw_str(w, "url", &url);
    ngx_mesh_jw_cstr(w, "result", "OK");

    ngx_mesh_ctl_reply(ctl, w);
}


/* from the command's account through its device */
static void
ngx_mesh_ctl_route(ngx_mesh_ctl_t *ctl, ngx_mesh_route_t *route)
{
    ngx_memzero(route, sizeof(ngx_mesh_route_t));

    route->who = ctl->who;
    ngx_memcpy(route->node, ctl->device->raw, NGX_MESH_ID_LEN);
    ngx_memcpy(route->address, ctl->address.data,
               ngx_min(ctl->address.len, sizeof(route->address) - 1));
}


static ngx_uint_t
ngx_mesh_ctl_tag(ngx_mesh_ctl_t *ctl, const char *tag)
{
    ngx_str_t  s;

    return ctl->tag && ngx_mesh_json_text(ctl->tag, &s) == NGX_OK
           && s.len == ngx_strlen(tag)
           && ngx_memcmp(s.data, tag, s.len) == 0;
}


/*
 * May its data go beside the server?  What is to be limited or recorded may
 * not, session.md 2.2.  Our core answers no offer without this.
 */
static ngx_uint_t
ngx_mesh_ctl_tunnel_direct(ngx_mesh_ctl_t *ctl, ngx_uint_t p)
{
    ngx_mesh_account_t  *account;

    account = ngx_mesh_ctl_account(ctl);

    return ctl->b->s->conf->webrtc
           && account
           && !ngx_mesh_recording_due(&ctl->b->s->srv->record, p,
                                      account->flags, ctl->device->group_id)
           && (p == 5
               || (p == 2 && !ngx_mesh_ctl_tunnel_shared(ctl, p)
                   && !ngx_mesh_restricted(ctl->device->rights,
                                           NGX_MESH_D_REMOTEVIEWONLY
                                           |NGX_MESH_D_DESKLIMITEDINPUT)));
}


static ngx_int_t
ngx_mesh_ctl_tunnel_args(ngx_mesh_ctl_t *ctl, const ngx_str_t *value,
    ngx_uint_t *p, ngx_str_t *id)
{
    size_t     i;
    u_char     ch, raw[NGX_MESH_ID_LEN];
    ngx_int_t  n, rc;
    ngx_str_t  s;

    *p = 0;

    rc = ngx_mesh_ctl_url_arg(ctl, value, "p", &s);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {
        n = s.len <= 3 ? ngx_atoi(s.data, s.len) : NGX_ERROR;

        if (n == NGX_ERROR || n > 255) {
            return NGX_ERROR;
        }

        *p = n;
    }

    if (ngx_mesh_ctl_url_arg(ctl, value, "id", id) != NGX_OK
        || id->len == 0 || id->len > NGX_MESH_CTL_RELAY_ID)
    {
        return NGX_ERROR;
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

    /* a URL that names another device than the command */

    rc = ngx_mesh_ctl_url_arg(ctl, value, "nodeid", &s);

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    if (rc == NGX_ERROR
        || ngx_mesh_node_parse(ctl->who.domain_id, &s, raw) != NGX_OK
        || ngx_memcmp(raw, ctl->device->raw, NGX_MESH_ID_LEN) != 0)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_ctl_url_arg(ngx_mesh_ctl_t *ctl, const ngx_str_t *url,
    const char *name, ngx_str_t *value)
{
    size_t   len;
    u_char  *p, *last, *amp, *src, *dst;

    len = ngx_strlen(name);
    last = url->data + url->len;

    p = ngx_strlchr(url->data, last, '?');

    if (p == NULL) {
        return NGX_DECLINED;
    }

    for (p++; p < last; p = amp + 1) {

        amp = ngx_strlchr(p, last, '&');

        if (amp == NULL) {
            amp = last;
        }

        if ((size_t) (amp - p) <= len || p[len] != '='
            || ngx_strncmp(p, name, len) != 0)
        {
            continue;
        }

        src = p + len + 1;
        len = amp - src;

        value->data = ngx_pnalloc(ctl->pool, len + 1);

        if (value->data == NULL) {
            return NGX_ERROR;
        }

        dst = value->data;
        ngx_unescape_uri(&dst, &src, len, 0);
        value->len = dst - value->data;

        return NGX_OK;
    }

    return NGX_DECLINED;
}


/* http and https only, nothing that could end the word */
static ngx_uint_t
ngx_mesh_ctl_http_url(const ngx_str_t *url)
{
    size_t  i;

    if (!(url->len > 7
          && ngx_strncasecmp(url->data, (u_char *) "http://", 7) == 0)
        && !(url->len > 8
             && ngx_strncasecmp(url->data, (u_char *) "https://", 8) == 0))
    {
        return 0;
    }

    for (i = 0; i < url->len; i++) {
        if (url->data[i] <= ' ' || url->data[i] == 0x7f
            || url->data[i] == '"' || url->data[i] == '\\')
        {
            return 0;
        }
    }

    return 1;
}


ngx_mesh_jw_t *
ngx_mesh_ctl_compose(ngx_mesh_ctl_t *ctl, ngx_mesh_device_t *device,
    const char *action)
{
    ngx_str_t       s;
    ngx_mesh_jw_t  *w;

    s = ctl->action;
    ctl->action.data = (u_char *) action;
    ctl->action.len = ngx_strlen(action);

    w = ngx_mesh_ctl_open(ctl);

    ctl->action = s;

    ngx_mesh_jw_str(w, "sessionid", &ctl->session);
    ngx_mesh_jw_int(w, "rights", device->rights);
    ngx_mesh_jw_int(w, "consent",
        ngx_mesh_consent(ctl->who.account_id, device->group_id,
            (uint32_t) ngx_mesh_db_num(&device->row[NGX_MESH_DEV_CONSENT])));
    ngx_mesh_jw_str(w, "username", &ctl->username);

    if (ctl->realname.len) {
        ngx_mesh_jw_str(w, "realname", &ctl->realname);
    }

    ngx_mesh_jw_str(w, "userid", &ctl->user);
    ngx_mesh_jw_str(w, "remoteaddr", &ctl->address);

    /* for ngx_mesh_ctl_undelivered() */
    ngx_mesh_jw_str(w, "nodeid", &device->id);

    /* the agent gives them back */

    if (ctl->responseid) {
        ngx_mesh_jw_json(w, "responseid", ctl->responseid);
    }

    if (ctl->tag) {
        ngx_mesh_jw_json(w, "tag", ctl->tag);
    }

    return w;
}


ngx_int_t
ngx_mesh_ctl_command(ngx_mesh_ctl_t *ctl, ngx_mesh_device_t *device,
    ngx_mesh_jw_t *w)
{
    ngx_str_t             json;
    ngx_mesh_requester_t  who;

    ngx_mesh_jw_shut(w, '}');

    if (ngx_mesh_jw_done(w, &json) != NGX_OK
        || ctl->session.len > NGX_MESH_REQUESTER_ID)
    {
        return NGX_ERROR;
    }

    ngx_memzero(&who, sizeof(ngx_mesh_requester_t));

    who.account_id = ctl->who.account_id;
    who.rights = device->rights;
    who.len = (uint16_t) ctl->session.len;
    ngx_memcpy(who.id, ctl->session.data, ctl->session.len);
    ngx_memcpy(who.address, ctl->address.data,
               ngx_min(ctl->address.len, sizeof(who.address) - 1));

    return ngx_mesh_agent_command(&device->presence,
                                  ctl->b ? ctl->b->s : NULL, &who, &json);
}


/*
 * What was composed found no agent, after it was answered as sent: the session
 * is told as if it had been known before.
 */
void
ngx_mesh_ctl_undelivered(ngx_mesh_session_t *s, u_char *data, size_t len)
{
    ngx_str_t         action, type, node, answer;
    ngx_pool_t       *pool;
    ngx_uint_t        run;
    ngx_mesh_jw_t     w;
    ngx_mesh_json_t  *j, *member;

    j = ngx_mesh_json_parse(data, len);
    if (j == NULL) {
        return;
    }

    pool = ngx_create_pool(1024, s->c->log);

    if (pool == NULL
        || ngx_mesh_json_str(j, "action", &action) != NGX_OK
        || ngx_mesh_json_str(j, "nodeid", &node) != NGX_OK
        || ngx_mesh_jw_init(&w, pool, 512) != NGX_OK)
    {
        goto done;
    }

    if (ngx_mesh_json_str(j, "type", &type) != NGX_OK) {
        ngx_str_null(&type);
    }

    run = (action.len == 11
           && ngx_memcmp(action.data, "runcommands", 11) == 0);

    if (run) {
        type = action;
        ngx_str_set(&action, "msg");

    } else if (action.len == 9 && ngx_memcmp(action.data, "wakeonlan", 9) == 0)
    {
        /* one of those who wake the device, not the device */
        goto done;
    }

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_str(&w, "action", &action);

    if (type.len) {
        ngx_mesh_jw_str(&w, "type", &type);
    }

    ngx_mesh_jw_str(&w, "nodeid", &node);
    ngx_mesh_jw_cstr(&w, "result", !run && type.len ? "Unable to route"
                                                    : "Agent not connected");

    if (type.len == 7 && ngx_memcmp(type.data, "console", 7) == 0) {
        ngx_mesh_jw_cstr(&w, "value", "Agent not connected");
    }

    member = ngx_mesh_json_get(j, "responseid");

    if (member) {
        ngx_mesh_jw_json(&w, "responseid", member);
    }

    member = ngx_mesh_json_get(j, "tag");

    if (member) {
        ngx_mesh_jw_json(&w, "tag", member);
    }

    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &answer) == NGX_OK) {
        (void) ngx_mesh_ws_send(s, NGX_MESH_WS_TEXT, answer.data, answer.len);
    }

done:

    if (pool) {
        ngx_destroy_pool(pool);
    }

    ngx_mesh_json_free(j);
}


static ngx_uint_t
ngx_mesh_ctl_windows(ngx_mesh_device_t *device)
{
    switch (ngx_mesh_db_num(&device->row[NGX_MESH_DEV_AGENT])) {
    case 1: case 2: case 3: case 4: case 21: case 22: case 34: case 42:
    case 43: case 10003: case 10004: case 10006:
        return 1;
    default:
        return 0;
    }
}


void
ngx_mesh_ctl_do_run_commands(ngx_mesh_ctl_t *ctl)
{
    int64_t                type, resolved;
    ngx_str_t              cmds, text, json;
    ngx_uint_t             i, sent, reply;
    const char            *no, *first;
    ngx_mesh_jw_t         *w;
    ngx_mesh_device_t     *device;
    ngx_mesh_ctl_event_t   ev;

    type = ngx_mesh_ctl_value(ctl, "type")->n;
    cmds = ngx_mesh_ctl_value(ctl, "cmds")->s;
    reply = ngx_mesh_ctl_value(ctl, "reply")->n;

    sent = 0;
    first = NULL;

    for (i = 0; i < ctl->ndevices; i++) {
        device = &ctl->device[i];
        resolved = type;
        no = NULL;

        if (!device->visible) {
            no = ctl->row->unknown;

        } else if (!device->allowed
                   || (type == 4 && device->rights != NGX_MESH_FULL
                       && (device->rights & (NGX_MESH_D_REMOTECONTROL
                                             |NGX_MESH_D_AGENTCONSOLE))
                          != (NGX_MESH_D_REMOTECONTROL
                              |NGX_MESH_D_AGENTCONSOLE)))
        {
            no = ctl->row->denied;

        } else if (!device->online) {
            no = "Agent not connected";

        } else if (type == 0) {
            resolved = ngx_mesh_ctl_windows(device) ? 1 : 3;

        } else if (type != 4
                   && ngx_mesh_ctl_windows(device) != (type != 3))
        {
            no = "Invalid command type";
        }

        if (no == NULL) {

            if (type == 4) {
                w = ngx_mesh_ctl_compose(ctl, device, "msg");
                ngx_mesh_jw_cstr(w, "type", "console");
                ngx_mesh_jw_str(w, "value", &cmds);

            } else {
                w = ngx_mesh_ctl_compose(ctl, device, "runcommands");
                ngx_mesh_jw_int(w, "type", resolved);
                ngx_mesh_jw_str(w, "cmds", &cmds);
                ngx_mesh_jw_int(w, "runAsUser",
                                ngx_mesh_ctl_value(ctl, "runAsUser")->n);
                ngx_mesh_jw_bool(w, "reply", reply);
            }

            if (ngx_mesh_ctl_command(ctl, device, w) != NGX_OK) {
                no = "Agent not connected";
            }
        }

        if (no) {
            if (first == NULL) {
                first = no;
            }

            /* when others do answer, this one is not passed over in silence */

            if (reply && ctl->ndevices > 1) {
                ngx_str_set(&text, "msg");
                json = ctl->action;
                ctl->action = text;
                w = ngx_mesh_ctl_open(ctl);
                ctl->action = json;
                ngx_mesh_jw_cstr(w, "type", "runcommands");
                ngx_mesh_jw_str(w, "nodeid", &device->id);
                ngx_mesh_jw_cstr(w, "result", no);
                ngx_mesh_ctl_send(ctl, w);
            }

            continue;
        }

        sent++;

        ngx_str_set(&text, "Running commands");
        ngx_mesh_ctl_event(ctl, &ev, "node", "runcommands", 24, &text);
        ngx_mesh_ctl_event_device(&ev, device);
        ngx_mesh_jw_str(&ev.w, "cmds", &cmds);
        ngx_mesh_jw_int(&ev.w, "cmdType", resolved);
        ngx_mesh_jw_int(&ev.w, "runAsUser",
                        ngx_mesh_ctl_value(ctl, "runAsUser")->n);
        ngx_mesh_ctl_event_alone(ctl, &ev);
    }

    if (sent == 0) {
        ngx_mesh_ctl_result(ctl, first ? first : ctl->row->unknown);

    } else if (!reply || ngx_mesh_ctl_value(ctl, "ack")->n) {
        ngx_mesh_ctl_result(ctl, "OK");

    } else {
        ngx_mesh_ctl_end(ctl);
    }
}


void
ngx_mesh_ctl_do_power_action(ngx_mesh_ctl_t *ctl)
{
    ngx_uint_t          i;
    const char         *no;
    ngx_mesh_jw_t      *w;
    ngx_mesh_device_t  *device;

    for (i = 0; i < ctl->ndevices; i++) {
        device = &ctl->device[i];

        if (!device->visible) {
            no = ctl->row->unknown;

        } else if (!device->allowed) {
            no = ctl->row->denied;

        } else if (!device->online) {
            no = "Agent not connected";

        } else {
            w = ngx_mesh_ctl_compose(ctl, device, "poweraction");
            ngx_mesh_jw_int(w, "actiontype",
                            ngx_mesh_ctl_value(ctl, "actiontype")->n);

            no = ngx_mesh_ctl_command(ctl, device, w) == NGX_OK
                 ? "ok" : "Agent not connected";
        }

        ngx_mesh_ctl_partial(ctl, device, no);
    }

    ngx_mesh_ctl_end(ctl);
}


void
ngx_mesh_ctl_do_toast(ngx_mesh_ctl_t *ctl)
{
    ngx_uint_t             i, sent;
    ngx_mesh_jw_t         *w;
    ngx_mesh_device_t     *device;
    ngx_mesh_ctl_value_t  *title;

    sent = 0;
    title = ngx_mesh_ctl_value(ctl, "title");

    for (i = 0; i < ctl->ndevices; i++) {
        device = &ctl->device[i];

        if (!device->allowed || !device->online) {
            continue;
        }

        w = ngx_mesh_ctl_compose(ctl, device, "toast");

        if (title->s.len) {
            ngx_mesh_jw_str(w, "title", &title->s);

        } else {
            ngx_mesh_jw_str(w, "title", &ctl->username);
        }

        ngx_mesh_jw_str(w, "msg", &ngx_mesh_ctl_value(ctl, "msg")->s);

        if (ngx_mesh_ctl_command(ctl, device, w) == NGX_OK) {
            sent++;
        }
    }

    ngx_mesh_ctl_result(ctl, sent ? "ok" : ctl->row->unknown);
}


void
ngx_mesh_ctl_do_core_restart(ngx_mesh_ctl_t *ctl)
{
    ngx_uint_t          i;
    const char         *no;
    ngx_mesh_device_t  *device;

    for (i = 0; i < ctl->ndevices; i++) {
        device = &ctl->device[i];

        if (!device->visible) {
            no = ctl->row->unknown;

        } else if (!device->allowed) {
            no = ctl->row->denied;

        } else if (!device->online
                   || ngx_mesh_agent_core(&device->presence,
                                          NGX_MESH_CORE_RESTART)
                      != NGX_OK)
        {
            no = "Agent not connected";

        } else {
            no = "ok";
        }

        ngx_mesh_ctl_partial(ctl, device, no);
    }

    ngx_mesh_ctl_end(ctl);
}


void
ngx_mesh_ctl_do_wake_devices(ngx_mesh_ctl_t *ctl)
{
    ngx_str_t           ids;
    ngx_uint_t          i;
    ngx_mesh_jw_t       w;
    ngx_mesh_db_req_t  *q;

    if (ngx_mesh_jw_init(&w, ctl->pool, 24 * ctl->ndevices + 16) != NGX_OK) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    ngx_mesh_jw_open(&w, NULL, '[');

    for (i = 0; i < ctl->ndevices; i++) {
        if (ctl->device[i].allowed) {
            ngx_mesh_jw_int(&w, NULL, ctl->device[i].device_id);
        }
    }

    ngx_mesh_jw_shut(&w, ']');

    if (ngx_mesh_jw_done(&w, &ids) != NGX_OK) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    q = ngx_mesh_ctl_db(ctl, ngx_mesh_ctl_woken);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_CTL_NETWORKS);
    ngx_mesh_db_str(q, &ids);

    (void) ngx_mesh_ctl_db_send(ctl, q);
}


static void
ngx_mesh_ctl_woken(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t            *row, macs, text;
    ngx_uint_t            i, j, n, used;
    ngx_mesh_jw_t        *w;
    ngx_mesh_ctl_t       *ctl;
    ngx_mesh_json_t      *doc;
    ngx_mesh_device_t    *device, by;
    ngx_mesh_ctl_wake_t  *wake;

    ctl = q->data;

    if (rc != NGX_OK) {
        ngx_mesh_ctl_result(ctl, ngx_mesh_ctl_db_text(rc));
        return;
    }

    /* one walk through the agents for all devices */

    for (i = 0; i < ctl->ndevices; i++) {
        device = &ctl->device[i];

        if (!device->allowed || ngx_mesh_ctl_wake(ctl, device->group_id)) {
            continue;
        }

        wake = ngx_palloc(ctl->pool, sizeof(ngx_mesh_ctl_wake_t));
        if (wake == NULL) {
            ngx_mesh_ctl_end(ctl);
            return;
        }

        wake->group_id = device->group_id;
        wake->next = ctl->data;
        wake->n = 0;
        ctl->data = wake;
    }

    (void) ngx_mesh_presence_each(ctl->who.domain_id, ngx_mesh_ctl_waker,
                                  ctl);

    n = ngx_mesh_db_rows(q, 0);

    for (i = 0; i < ctl->ndevices; i++) {
        device = &ctl->device[i];

        if (!device->allowed) {
            ngx_mesh_ctl_partial(ctl, device, ctl->row->unknown);
            continue;
        }

        doc = NULL;

        for (j = 0; j < n; j++) {
            row = ngx_mesh_db_row(q, 0, j);

            if (ngx_mesh_db_num(&row[0]) == device->device_id) {
                doc = ngx_mesh_json_parse(row[1].data, row[1].len);
                break;
            }
        }

        if (doc == NULL) {
            ngx_mesh_ctl_partial(ctl, device,
                                 "No network information for this device");
            continue;
        }

        used = ngx_mesh_ctl_macs(ctl, doc, &macs);
        ngx_mesh_json_free(doc);

        if (used == 0) {
            ngx_mesh_ctl_partial(ctl, device,
                                 "No known MAC addresses for this device");
            continue;
        }

        used = 0;
        wake = ngx_mesh_ctl_wake(ctl, device->group_id);

        for (j = 0; j < wake->n; j++) {
            by = *device;
            by.presence = wake->by[j];

            w = ngx_mesh_ctl_compose(ctl, &by, "wakeonlan");
            ngx_mesh_jw_raw(w, "macs", &macs);

            if (ngx_mesh_ctl_command(ctl, &by, w) == NGX_OK) {
                used++;
            }
        }

        if (ctl->ndevices > 1) {
            ngx_mesh_ctl_partial(ctl, device, "ok");
            continue;
        }

        ngx_mesh_ctl_sprintf(ctl, &text, 80,
                             "Used %ui device(s) to send wake packets", used);
        ngx_mesh_ctl_partial(ctl, device, (char *) text.data);
    }

    ngx_mesh_ctl_end(ctl);
}


static ngx_mesh_ctl_wake_t *
ngx_mesh_ctl_wake(ngx_mesh_ctl_t *ctl, int64_t group_id)
{
    ngx_mesh_ctl_wake_t  *wake;

    for (wake = ctl->data; wake; wake = wake->next) {
        if (wake->group_id == group_id) {
            return wake;
        }
    }

    return NULL;
}


/* agents of the same group, which are likely to be near */
static ngx_int_t
ngx_mesh_ctl_waker(const ngx_mesh_presence_t *p, void *data)
{
    ngx_mesh_ctl_t *ctl = data;

    ngx_uint_t            visible;
    ngx_mesh_ctl_wake_t  *wake;

    wake = p->kind == NGX_MESH_AGENT ? ngx_mesh_ctl_wake(ctl, p->group_id)
                                     : NULL;

    if (wake == NULL || wake->n == NGX_MESH_CTL_WAKERS) {
        return NGX_OK;
    }

    (void) ngx_mesh_rights(ctl->who.account_id, p->group_id, p->device_id,
                           &visible);

    if (visible) {
        wake->by[wake->n++] = *p;
    }

    return NGX_OK;
}


typedef struct {
    ngx_mesh_jw_t  w;
    ngx_uint_t     n;
} ngx_mesh_ctl_macs_t;


/* a JSON array of the addresses; returns how many */
static ngx_uint_t
ngx_mesh_ctl_macs(ngx_mesh_ctl_t *ctl, ngx_mesh_json_t *doc, ngx_str_t *macs)
{
    ngx_uint_t            i, n;
    ngx_mesh_json_t      *netif;
    ngx_mesh_ctl_macs_t   list;

    list.n = 0;

    if (ngx_mesh_jw_init(&list.w, ctl->pool, 256) != NGX_OK) {
        return 0;
    }

    ngx_mesh_jw_open(&list.w, NULL, '[');

    netif = ngx_mesh_json_object(doc, "netif2");

    if (netif) {
        (void) ngx_mesh_json_members(netif, ngx_mesh_ctl_macs_interface,
                                     &list);

    } else {
        netif = ngx_mesh_json_array(doc, "netif");
        n = netif ? ngx_mesh_json_count(netif) : 0;

        for (i = 0; i < n; i++) {
            ngx_mesh_ctl_mac(ngx_mesh_json_at(netif, i), &list);
        }
    }

    ngx_mesh_jw_shut(&list.w, ']');

    return ngx_mesh_jw_done(&list.w, macs) == NGX_OK ? list.n : 0;
}


static ngx_int_t
ngx_mesh_ctl_macs_interface(const char *name, ngx_mesh_json_t *value,
    void *data)
{
    ngx_uint_t  i, n;

    n = ngx_mesh_json_count(value);

    for (i = 0; i < n; i++) {
        ngx_mesh_ctl_mac(ngx_mesh_json_at(value, i), data);
    }

    return NGX_OK;
}


static void
ngx_mesh_ctl_mac(ngx_mesh_json_t *entry, void *data)
{
    ngx_mesh_ctl_macs_t *list = data;

    u_char      text[17], ch;
    size_t      i, n;
    ngx_str_t   mac;
    ngx_uint_t  some;

    if (entry == NULL || list->n >= NGX_MESH_CTL_MACS
        || ngx_mesh_json_str(entry, "mac", &mac) != NGX_OK)
    {
        return;
    }

    some = 0;

    for (i = 0, n = 0; i < mac.len; i++) {
        ch = mac.data[i];

        if (ch == ':' || ch == '-') {
            continue;
        }

        if (ch >= 'a' && ch <= 'f') {
            ch -= 'a' - 'A';
        }

        if (!(ch >= '0' && ch <= '9') && !(ch >= 'A' && ch <= 'F')) {
            return;
        }

        if (n == 17) {
            return;
        }

        if (n % 3 == 2) {
            text[n++] = ':';
        }

        if (n == 17) {
            return;
        }

        text[n++] = ch;
        some |= (ch != '0');
    }

    if (n == 17 && some) {
        mac.data = text;
        mac.len = 17;
        ngx_mesh_jw_str(&list->w, NULL, &mac);
        list->n++;
    }
}

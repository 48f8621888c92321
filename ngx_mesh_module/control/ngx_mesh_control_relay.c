/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Sessions that run on devices: the list of them, and the end of one.  A
 * session is named by its serial, which opens nothing.
 */

#include "ngx_mesh_control.h"


#define NGX_MESH_CTL_RELAYS  1000     /* in one answer */


typedef struct {
    ngx_mesh_ctl_t  *ctl;
    ngx_mesh_jw_t   *w;
    ngx_uint_t       n;
} ngx_mesh_ctl_relays_t;


/*
 * The caller's rights on the device of a session.  Of somebody else's session
 * knows who sees the device, and what others do there.  NGX_DECLINED: nothing
 * to see, or a conversation of two users, of which nobody else knows.
 */
static ngx_int_t
ngx_mesh_ctl_relay_rights(ngx_mesh_ctl_t *ctl, const ngx_mesh_running_t *r,
    uint32_t *rights)
{
    ngx_uint_t           visible;
    ngx_mesh_presence_t  p;

    *rights = 0;
    visible = 0;

    if (r->called_id) {
        return NGX_DECLINED;
    }

    /* a session outlives the loss of the device's control channel */
    if (ngx_mesh_presence_lookup(NGX_MESH_AGENT, r->domain_id, r->node, &p)
        == NGX_OK)
    {
        *rights = ngx_mesh_rights(ctl->who.account_id, p.group_id,
                                  p.device_id, &visible);
    }

    if (r->account_id == ctl->who.account_id) {
        return NGX_OK;
    }

    return visible && !ngx_mesh_restricted(*rights, NGX_MESH_D_LIMITEVENTS)
           ? NGX_OK : NGX_DECLINED;
}


/* one's own, or of a device that one manages */
static ngx_uint_t
ngx_mesh_ctl_relay_endable(ngx_mesh_ctl_t *ctl, const ngx_mesh_running_t *r,
    uint32_t rights)
{
    return r->account_id == ctl->who.account_id
           || ngx_mesh_right(rights, NGX_MESH_D_MANAGECOMPUTERS);
}


static ngx_int_t
ngx_mesh_ctl_relay(const ngx_mesh_running_t *r, void *data)
{
    ngx_mesh_ctl_relays_t *relays = data;

    u_char               hex[17], node[256];
    uint32_t             rights;
    ngx_str_t            text;
    ngx_uint_t           udp;
    ngx_mesh_jw_t       *w;
    ngx_mesh_ctl_t      *ctl;
    ngx_mesh_account_t  *account;

    ctl = relays->ctl;
    w = relays->w;

    if (ngx_mesh_ctl_relay_rights(ctl, r, &rights) != NGX_OK) {
        return NGX_OK;
    }

    account = ngx_mesh_account(r->account_id);
    if (account == NULL) {
        return NGX_OK;
    }

    if (relays->n++ == NGX_MESH_CTL_RELAYS) {
        return NGX_DONE;
    }

    ngx_mesh_jw_open(w, NULL, '{');

    text.data = hex;
    text.len = ngx_sprintf(hex, "%016xL", r->owner.serial) - hex;
    ngx_mesh_jw_str(w, "id", &text);

    text.data = node;
    text.len = ngx_mesh_id_write(ngx_snprintf(node, sizeof(node)
                                              - NGX_MESH_ID_TEXT, "node/%V/",
                                              &ctl->domain), r->node) - node;
    ngx_mesh_jw_str(w, "nodeid", &text);

    ngx_mesh_ctl_userid(ctl->pool, account, &text);
    ngx_mesh_jw_str(w, "userid", &text);
    ngx_mesh_jw_str(w, "username", &account->name);

    ngx_mesh_jw_cstr(w, "address", (const char *) r->address);
    ngx_mesh_jw_int(w, "protocol", r->p & ~NGX_MESH_P_FLAGS);

    if (r->p & NGX_MESH_P_TARGET) {
        udp = (r->p & NGX_MESH_P_UDP) ? 1 : 0;

        ngx_mesh_jw_int(w, udp ? "udpport" : "tcpport", r->port);
        ngx_mesh_jw_cstr(w, udp ? "udpaddr" : "tcpaddr",
                         (const char *) r->target);
    }

    ngx_mesh_jw_int(w, "since", (int64_t) r->since * 1000);
    ngx_mesh_jw_int(w, "bytesin", (int64_t) r->to_viewer);
    ngx_mesh_jw_int(w, "bytesout", (int64_t) r->to_device);
    ngx_mesh_jw_bool(w, "endable", ngx_mesh_ctl_relay_endable(ctl, r, rights));

    ngx_mesh_jw_shut(w, '}');

    return NGX_OK;
}


void
ngx_mesh_ctl_do_relays(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_ctl_relays_t  relays;

    relays.ctl = ctl;
    relays.w = ngx_mesh_ctl_open(ctl);
    relays.n = 0;

    ngx_mesh_jw_int(relays.w, "now", ngx_mesh_now_ms());
    ngx_mesh_jw_open(relays.w, "relays", '[');
    (void) ngx_mesh_running_each(ctl->who.domain_id, ngx_mesh_ctl_relay,
                                 &relays);
    ngx_mesh_jw_shut(relays.w, ']');

    ngx_mesh_jw_bool(relays.w, "more", relays.n > NGX_MESH_CTL_RELAYS);

    ngx_mesh_ctl_reply(ctl, relays.w);
}


void
ngx_mesh_ctl_do_relay_end(ngx_mesh_ctl_t *ctl)
{
    uint32_t               rights;
    uint64_t               serial;
    ngx_mesh_running_t     r;
    ngx_mesh_ctl_value_t  *id;

    id = ngx_mesh_ctl_value(ctl, "id");
    serial = (uint64_t) ngx_hextoi(id->s.data, id->s.len);

    if (ngx_mesh_running_lookup(serial, &r) != NGX_OK
        || r.domain_id != ctl->who.domain_id
        || ngx_mesh_ctl_relay_rights(ctl, &r, &rights) != NGX_OK)
    {
        ngx_mesh_ctl_result(ctl, "Invalid session");
        return;
    }

    if (!ngx_mesh_ctl_relay_endable(ctl, &r, rights)) {
        ngx_mesh_ctl_result(ctl, "Permission denied");
        return;
    }

    /* one that ends by itself just now is as good */

    if (r.idle) {
        ngx_mesh_page_end(serial, NGX_MESH_PAGE_PERSON, ctl->who.account_id);

    } else {
        (void) ngx_mesh_deliver(&r.owner, NULL,
                                (u_char *) &ctl->who.account_id,
                                sizeof(int64_t));
    }

    ngx_mesh_ctl_result(ctl, "ok");
}

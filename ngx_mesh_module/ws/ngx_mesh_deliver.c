/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "../ngx_mesh.h"
#include "ngx_mesh_deliver.h"


#define NGX_MESH_DELIVER_MAX  1000000


static ngx_int_t ngx_mesh_deliver_small(const ngx_mesh_presence_t *p,
    u_char kind, const void *data, size_t len);


ngx_int_t
ngx_mesh_agent_command(const ngx_mesh_presence_t *p, ngx_mesh_session_t *from,
    const ngx_mesh_requester_t *who, const ngx_str_t *json)
{
    u_char                *buf, *last;
    ngx_int_t              rc;
    ngx_mesh_requester_t   server;

    if (json->len > NGX_MESH_DELIVER_MAX) {
        return NGX_ERROR;
    }

    if (who == NULL) {
        ngx_memzero(&server, sizeof(ngx_mesh_requester_t));
        who = &server;
    }

    buf = ngx_alloc(1 + sizeof(ngx_mesh_requester_t) + json->len,
                    ngx_cycle->log);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    buf[0] = NGX_MESH_DELIVER_JSON;
    last = ngx_cpymem(buf + 1, who, sizeof(ngx_mesh_requester_t));
    last = ngx_cpymem(last, json->data, json->len);

    rc = ngx_mesh_deliver(&p->owner, from, buf, last - buf);

    ngx_free(buf);

    return rc;
}


ngx_int_t
ngx_mesh_agent_tunnel(const ngx_mesh_presence_t *p, int64_t account_id,
    uint32_t protocol, ngx_uint_t opened)
{
    ngx_mesh_tunnel_t  t;

    ngx_memzero(&t, sizeof(ngx_mesh_tunnel_t));

    t.account_id = account_id;
    t.p = protocol;

    return ngx_mesh_deliver_small(p, opened ? NGX_MESH_DELIVER_OPENED
                                            : NGX_MESH_DELIVER_ENDED,
                                  &t, sizeof(ngx_mesh_tunnel_t));
}


ngx_int_t
ngx_mesh_agent_listed(const ngx_mesh_presence_t *p)
{
    return ngx_mesh_deliver_small(p, NGX_MESH_DELIVER_LISTED, NULL, 0);
}


ngx_int_t
ngx_mesh_agent_disconnect(const ngx_mesh_presence_t *p, ngx_uint_t code)
{
    uint16_t  n;

    n = (uint16_t) code;

    return ngx_mesh_deliver_small(p, NGX_MESH_DELIVER_END, &n, sizeof(n));
}


ngx_int_t
ngx_mesh_agent_changed(const ngx_mesh_presence_t *p)
{
    return ngx_mesh_deliver_small(p, NGX_MESH_DELIVER_DEVICE, NULL, 0);
}


ngx_int_t
ngx_mesh_agent_core(const ngx_mesh_presence_t *p, ngx_uint_t what)
{
    u_char  n;

    n = (u_char) what;

    return ngx_mesh_deliver_small(p, NGX_MESH_DELIVER_CORE, &n, 1);
}


static ngx_int_t
ngx_mesh_deliver_small(const ngx_mesh_presence_t *p, u_char kind,
    const void *data, size_t len)
{
    u_char  buf[1 + sizeof(ngx_mesh_tunnel_t)];

    buf[0] = kind;

    if (len) {
        ngx_memcpy(buf + 1, data, len);
    }

    return ngx_mesh_deliver(&p->owner, NULL, buf, 1 + len);
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "ngx_mesh_target.h"


/* what a connection is, by its protocol or its well-known port */

typedef struct {
    ngx_uint_t   p;                   /* or */
    ngx_uint_t   from, to;            /* ports */
    uint32_t     deny;                /* none of these */
} ngx_mesh_target_kind_t;

#define NGX_MESH_TARGET_DESKTOP  (NGX_MESH_D_NODESKTOP                        \
                                  |NGX_MESH_D_REMOTEVIEWONLY                  \
                                  |NGX_MESH_D_DESKLIMITEDINPUT)

static const ngx_mesh_target_kind_t  ngx_mesh_target_kinds[] = {
    { 10, 3389, 3389, NGX_MESH_TARGET_DESKTOP },      /* RDP */
    { 12, 5900, 5999, NGX_MESH_TARGET_DESKTOP },      /* VNC */
    { 11, 0, 0, NGX_MESH_D_NOTERMINAL },              /* SSH */
    { 13, 0, 0, NGX_MESH_D_NOFILES },                 /* SFTP */
    { 0, 22, 22, NGX_MESH_D_NOTERMINAL },
    { 0, 16992, 16995, NGX_MESH_TARGET_DESKTOP|NGX_MESH_D_NOTERMINAL
                       |NGX_MESH_D_NOAMT },           /* Intel AMT */
    { 0, 0, 0, 0 }
};


ngx_int_t
ngx_mesh_target_parse(mesh_target_t *t, const ngx_str_t *addr,
    ngx_uint_t port, const char **why)
{
    return mesh_target_parse(t, (const char *) addr->data, addr->len,
                             (uint32_t) ngx_min(port, 65536), why)
           == MESH_OK
           ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_mesh_target_allowed(const mesh_target_t *t, int64_t group_id,
    const char **why)
{
    ngx_int_t          rc;
    ngx_str_t          s;
    ngx_uint_t         i, n;
    ngx_mesh_json_t   *doc, *list;
    ngx_mesh_group_t  *group;

    if (t->self) {
        return NGX_OK;
    }

    *why = "The group of this device does not allow connections to this "
           "address and port through it.";

    group = ngx_mesh_group(group_id);

    if (group == NULL || group->doc.len == 0) {
        return NGX_DECLINED;
    }

    doc = ngx_mesh_json_parse(group->doc.data, group->doc.len);

    if (doc == NULL) {
        return NGX_DECLINED;
    }

    rc = NGX_DECLINED;
    list = ngx_mesh_json_array(doc, "targets");
    n = list ? ngx_min(ngx_mesh_json_count(list), NGX_MESH_TARGETS) : 0;

    for (i = 0; i < n; i++) {
        if (ngx_mesh_json_text(ngx_mesh_json_at(list, i), &s) == NGX_OK
            && mesh_target_match(t, (const char *) s.data, s.len) == MESH_OK)
        {
            rc = NGX_OK;
            break;
        }
    }

    ngx_mesh_json_free(doc);

    return rc;
}


ngx_int_t
ngx_mesh_target_rights(uint32_t rights, uint32_t p, ngx_uint_t port,
    const char **why)
{
    const ngx_mesh_target_kind_t  *kind;

    *why = "You have no right to connect through this device.";

    if (!ngx_mesh_right(rights, NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_RELAY)) {
        return NGX_DECLINED;
    }

    for (kind = ngx_mesh_target_kinds; kind->deny; kind++) {

        if (((kind->p && p == kind->p)
             || (port >= kind->from && port <= kind->to))
            && ngx_mesh_restricted(rights, kind->deny))
        {
            *why = "What listens there needs more rights on this device than "
                   "you have.";
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_target_list(ngx_mesh_json_t *list, ngx_str_t *bad, const char **why)
{
    ngx_uint_t  i, n;

    ngx_str_null(bad);

    n = ngx_mesh_json_count(list);

    if (n > NGX_MESH_TARGETS) {
        *why = "A group has at most 64 entries.";
        return NGX_DECLINED;
    }

    for (i = 0; i < n; i++) {

        if (ngx_mesh_json_text(ngx_mesh_json_at(list, i), bad) != NGX_OK) {
            *why = "An entry is a text.";
            return NGX_DECLINED;
        }

        if (mesh_target_entry((const char *) bad->data, bad->len, why)
            != MESH_OK)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}

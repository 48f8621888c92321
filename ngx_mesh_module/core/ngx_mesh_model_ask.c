/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What the caches say of accounts, groups and grants.
 */

#include "ngx_mesh_model_in.h"
#include "../../conf/sql/mesh_fold.h"


static ngx_mesh_account_t *ngx_mesh_account_login(int64_t domain_id,
    const ngx_str_t *login);


ngx_uint_t
ngx_mesh_model_ready(void)
{
    return ngx_mesh_model != NULL;
}


int64_t
ngx_mesh_domain_id(const ngx_str_t *name)
{
    ngx_uint_t          i;
    ngx_mesh_domain_t  *d;

    for (i = 0; ngx_mesh_model && i < ngx_mesh_model->ndomain; i++) {
        d = &ngx_mesh_model->domain[i];

        if (d->name.len == name->len
            && ngx_memcmp(d->name.data, name->data, name->len) == 0)
        {
            return d->domain_id;
        }
    }

    return 0;
}


ngx_str_t *
ngx_mesh_domain_name(int64_t domain_id)
{
    ngx_mesh_domain_t  *d;

    d = ngx_mesh_model ? ngx_mesh_model_domain(ngx_mesh_model, domain_id)
                       : NULL;

    return d ? &d->name : NULL;
}


ngx_mesh_account_t *
ngx_mesh_account(int64_t account_id)
{
    ngx_rbtree_node_t  *node;

    if (ngx_mesh_model == NULL) {
        return NULL;
    }

    node = ngx_mesh_tree_find(&ngx_mesh_model->account, account_id);

    return node ? &((ngx_mesh_account_node_t *) node)->a : NULL;
}


u_char *
ngx_mesh_account_say(u_char *p, u_char *last, int64_t account_id)
{
    u_char               c;
    ngx_uint_t           i;
    ngx_mesh_account_t  *account;

    account = ngx_mesh_account(account_id);
    if (account == NULL) {
        return ngx_slprintf(p, last, "somebody");
    }

    for (i = 0; i < account->name.len && i < 128 && p < last; i++) {
        c = account->name.data[i];
        *p++ = c < 0x20 ? '?' : c;
    }

    return p;
}


static ngx_mesh_account_t *
ngx_mesh_account_login(int64_t domain_id, const ngx_str_t *login)
{
    u_char           buf[8 + 256];
    ngx_str_t        key;
    ngx_str_node_t  *sn;

    if (ngx_mesh_model == NULL || login->len > 256) {
        return NULL;
    }

    key.data = buf;
    key.len = ngx_cpymem(mesh_put64(buf, (uint64_t) domain_id), login->data,
                         login->len)
              - buf;

    sn = ngx_str_rbtree_lookup(&ngx_mesh_model->login.tree, &key,
                               ngx_crc32_long(key.data, key.len));

    return sn ? &((ngx_mesh_account_node_t *)
                      ((u_char *) sn
                       - offsetof(ngx_mesh_account_node_t, login)))->a
              : NULL;
}


ngx_mesh_account_t *
ngx_mesh_account_find(int64_t domain_id, const ngx_str_t *id)
{
    size_t      len;
    u_char      folded[128], *slash;
    ngx_str_t   name, domain;

    name = *id;

    if (name.len > 5 && ngx_strncmp(name.data, "user/", 5) == 0) {
        slash = ngx_strlchr(name.data + 5, name.data + name.len, '/');

        if (slash == NULL) {
            return NULL;
        }

        domain.data = name.data + 5;
        domain.len = slash - domain.data;

        if (ngx_mesh_domain_id(&domain) != domain_id) {
            return NULL;
        }

        name.len -= slash + 1 - name.data;
        name.data = slash + 1;
    }

    len = ngx_mesh_fold(folded, sizeof(folded), name.data, name.len);

    if (len == 0) {
        return NULL;
    }

    name.data = folded;
    name.len = len;

    return ngx_mesh_account_login(domain_id, &name);
}


ngx_mesh_group_t *
ngx_mesh_group(int64_t group_id)
{
    ngx_rbtree_node_t  *node;

    if (ngx_mesh_model == NULL) {
        return NULL;
    }

    node = ngx_mesh_tree_find(&ngx_mesh_model->group, group_id);

    return node ? &((ngx_mesh_group_node_t *) node)->g : NULL;
}


ngx_mesh_group_t *
ngx_mesh_group_raw(int64_t domain_id, const u_char *raw)
{
    u_char           buf[8 + 48];
    ngx_str_t        key;
    ngx_str_node_t  *sn;

    if (ngx_mesh_model == NULL) {
        return NULL;
    }

    ngx_memcpy(mesh_put64(buf, (uint64_t) domain_id), raw, 48);
    key.data = buf;
    key.len = sizeof(buf);

    sn = ngx_str_rbtree_lookup(&ngx_mesh_model->raw.tree, &key,
                               ngx_crc32_long(key.data, key.len));

    return sn ? &((ngx_mesh_group_node_t *)
                      ((u_char *) sn
                       - offsetof(ngx_mesh_group_node_t, raw)))->g
              : NULL;
}


ngx_int_t
ngx_mesh_account_each(int64_t domain_id,
    ngx_int_t (*fn)(ngx_mesh_account_t *a, void *data), void *data)
{
    ngx_int_t            rc;
    ngx_rbtree_t        *tree;
    ngx_rbtree_node_t   *node;
    ngx_mesh_account_t  *a;

    if (ngx_mesh_model == NULL) {
        return NGX_OK;
    }

    tree = &ngx_mesh_model->account.tree;

    if (tree->root == tree->sentinel) {
        return NGX_OK;
    }

    for (node = ngx_rbtree_min(tree->root, tree->sentinel);
         node;
         node = ngx_rbtree_next(tree, node))
    {
        a = &((ngx_mesh_account_node_t *) node)->a;

        if (a->domain_id == domain_id) {
            rc = fn(a, data);

            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_group_each(int64_t domain_id,
    ngx_int_t (*fn)(ngx_mesh_group_t *g, void *data), void *data)
{
    ngx_int_t           rc;
    ngx_rbtree_t       *tree;
    ngx_mesh_group_t   *g;
    ngx_rbtree_node_t  *node;

    if (ngx_mesh_model == NULL) {
        return NGX_OK;
    }

    tree = &ngx_mesh_model->group.tree;

    if (tree->root == tree->sentinel) {
        return NGX_OK;
    }

    for (node = ngx_rbtree_min(tree->root, tree->sentinel);
         node;
         node = ngx_rbtree_next(tree, node))
    {
        g = &((ngx_mesh_group_node_t *) node)->g;

        if (g->domain_id == domain_id) {
            rc = fn(g, data);

            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    return NGX_OK;
}


/* link: which of its two lists p belongs to */
ngx_mesh_access_t *
ngx_mesh_access_at(ngx_queue_t *p, size_t link)
{
    return &((ngx_mesh_access_node_t *) ((u_char *) p - link))->a;
}


static ngx_int_t
ngx_mesh_access_walk(ngx_mesh_list_t *list, size_t link,
    ngx_int_t (*fn)(ngx_mesh_access_t *a, void *data), void *data)
{
    ngx_int_t     rc;
    ngx_queue_t  *p;

    if (list == NULL) {
        return NGX_OK;
    }

    for (p = ngx_queue_head(&list->list);
         p != ngx_queue_sentinel(&list->list);
         p = ngx_queue_next(p))
    {
        rc = fn(ngx_mesh_access_at(p, link), data);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_access_each(int64_t group_id, int64_t device_id,
    ngx_int_t (*fn)(ngx_mesh_access_t *a, void *data), void *data)
{
    ngx_mesh_list_t  *list;

    if (ngx_mesh_model == NULL) {
        return NGX_OK;
    }

    list = group_id ? ngx_mesh_list(&ngx_mesh_model->on_group, group_id, 0)
                    : ngx_mesh_list(&ngx_mesh_model->on_device, device_id, 0);

    return ngx_mesh_access_walk(list, offsetof(ngx_mesh_access_node_t, object),
                                fn, data);
}


ngx_int_t
ngx_mesh_access_of(int64_t account_id,
    ngx_int_t (*fn)(ngx_mesh_access_t *a, void *data), void *data)
{
    if (ngx_mesh_model == NULL) {
        return NGX_OK;
    }

    return ngx_mesh_access_walk(ngx_mesh_list(&ngx_mesh_model->of_account,
                                              account_id, 0),
                                offsetof(ngx_mesh_access_node_t, subject),
                                fn, data);
}


size_t
ngx_mesh_fold(u_char *dst, size_t size, const u_char *src, size_t len)
{
    return mesh_fold(dst, size, src, len);
}


ngx_uint_t
ngx_mesh_account_locked(const ngx_mesh_account_t *a)
{
    return ngx_mesh_restricted(a->site_rights, NGX_MESH_S_LOCKED);
}

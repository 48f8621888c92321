/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Rights are not worked out when a row changes, but when somebody asks: then
 * the grants of that account are gathered into one table, good until anything
 * changes or the first of them ends.
 */

#include "ngx_mesh_model_in.h"


#define NGX_MESH_MODEL_DEPTH    8     /* groups above a device */

/* what removed_rights takes and what it adds; what full then stands for */
#define NGX_MESH_MODEL_TAKES                                                  \
    (NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_AGENTCONSOLE|NGX_MESH_D_UNINSTALL    \
     |NGX_MESH_D_REMOTECOMMAND|NGX_MESH_D_WAKEDEVICE|NGX_MESH_D_RESETOFF)

#define NGX_MESH_MODEL_ADDS                                                   \
    (NGX_MESH_D_NODESKTOP|NGX_MESH_D_REMOTEVIEWONLY|NGX_MESH_D_NOTERMINAL     \
     |NGX_MESH_D_NOFILES)

#define NGX_MESH_MODEL_ALL                                                    \
    (NGX_MESH_D_EDITMESH|NGX_MESH_D_MANAGEUSERS|NGX_MESH_D_MANAGECOMPUTERS    \
     |NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_SERVERFILES|NGX_MESH_D_WAKEDEVICE   \
     |NGX_MESH_D_SETNOTES|NGX_MESH_D_CHATNOTIFY|NGX_MESH_D_UNINSTALL          \
     |NGX_MESH_D_REMOTECOMMAND|NGX_MESH_D_RESETOFF|NGX_MESH_D_GUESTSHARING    \
     |NGX_MESH_D_DEVICEDETAILS)


static ngx_uint_t ngx_mesh_rights_or(ngx_mesh_rights_t *r, int64_t key,
    uint32_t *rights);
static ngx_mesh_right_t *ngx_mesh_rights_slot(ngx_mesh_rights_t *r,
    int64_t key);
static ngx_mesh_rights_t *ngx_mesh_rights_of(int64_t account_id);
static ngx_int_t ngx_mesh_rights_build(ngx_mesh_rights_t *r,
    int64_t account_id);
static void ngx_mesh_rights_add(ngx_mesh_rights_t *r, ngx_queue_t *list,
    ngx_uint_t *n, int64_t now);
static ngx_uint_t ngx_mesh_member_of(ngx_mesh_list_t *members,
    int64_t user_group_id);


uint32_t
ngx_mesh_rights(int64_t account_id, int64_t group_id, int64_t device_id,
    ngx_uint_t *visible)
{
    uint32_t             rights;
    ngx_uint_t           seen, n;
    ngx_mesh_group_t    *g;
    ngx_mesh_rights_t   *r;
    ngx_mesh_account_t  *a;

    if (visible) {
        *visible = 0;
    }

    a = ngx_mesh_account(account_id);
    g = ngx_mesh_group(group_id);

    if (a == NULL || g == NULL || g->deleted_at
        || g->domain_id != a->domain_id || ngx_mesh_account_locked(a))
    {
        return 0;
    }

    rights = 0;
    seen = 0;

    if (a->site_rights == NGX_MESH_FULL && (a->flags & NGX_MESH_A_ALL_GROUPS))
    {
        rights = NGX_MESH_FULL;
        seen = 1;

    } else {
        r = ngx_mesh_rights_of(account_id);

        if (r == NULL) {
            return 0;
        }

        if (device_id) {
            seen = ngx_mesh_rights_or(r, -device_id, &rights);
        }

        for (n = 0; g && n <= NGX_MESH_MODEL_DEPTH; n++) {
            seen |= ngx_mesh_rights_or(r, g->group_id, &rights);
            g = g->parent_id ? ngx_mesh_group(g->parent_id) : NULL;
        }
    }

    if (!seen) {
        return 0;
    }

    if (visible) {
        *visible = 1;
    }

    if (a->removed_rights) {
        if (rights == NGX_MESH_FULL) {
            rights = NGX_MESH_MODEL_ALL;
        }

        rights &= ~(a->removed_rights & NGX_MESH_MODEL_TAKES);
        rights |= a->removed_rights & NGX_MESH_MODEL_ADDS;
    }

    return rights;
}


static ngx_uint_t
ngx_mesh_rights_or(ngx_mesh_rights_t *r, int64_t key, uint32_t *rights)
{
    ngx_mesh_right_t  *slot;

    slot = ngx_mesh_rights_slot(r, key);

    if (slot->key == 0) {
        return 0;
    }

    *rights |= slot->rights;

    return 1;
}


/* where key is or would be; the table is never full */
static ngx_mesh_right_t *
ngx_mesh_rights_slot(ngx_mesh_rights_t *r, int64_t key)
{
    uint64_t  n;

    n = (uint64_t) key * 0x9e3779b97f4a7c15u;
    n ^= n >> 32;

    while (r->table[n & r->mask].key != 0 && r->table[n & r->mask].key != key)
    {
        n++;
    }

    return &r->table[n & r->mask];
}


static ngx_mesh_rights_t *
ngx_mesh_rights_of(int64_t account_id)
{
    ngx_mesh_rights_t  *r;

    r = (ngx_mesh_rights_t *) ngx_mesh_tree_find(&ngx_mesh_model->rights,
                                                 account_id);

    if (r == NULL) {
        r = ngx_calloc(sizeof(ngx_mesh_rights_t), ngx_cycle->log);
        if (r == NULL) {
            return NULL;
        }

        r->node.key = (ngx_rbtree_key_t) account_id;
        ngx_rbtree_insert(&ngx_mesh_model->rights.tree, &r->node);
    }

    if (r->table && r->generation == ngx_mesh_model_generation
        && (r->expires_at == 0 || r->expires_at > ngx_mesh_now_ms()))
    {
        return r;
    }

    return ngx_mesh_rights_build(r, account_id) == NGX_OK ? r : NULL;
}


static ngx_int_t
ngx_mesh_rights_build(ngx_mesh_rights_t *r, int64_t account_id)
{
    int64_t             now;
    ngx_uint_t          n, size, fill;
    ngx_queue_t        *p;
    ngx_mesh_list_t    *own, *members, *list;
    ngx_mesh_member_t  *member;

    now = ngx_mesh_now_ms();

    own = ngx_mesh_list(&ngx_mesh_model->of_account, account_id, 0);
    members = ngx_mesh_list(&ngx_mesh_model->members, account_id, 0);

    /* first how many, then what: the table never grows */

    for (fill = 0; fill < 2; fill++) {
        n = 0;

        if (own) {
            ngx_mesh_rights_add(fill ? r : NULL, &own->list, &n, now);
        }

        for (p = members ? ngx_queue_head(&members->list) : NULL;
             p && p != ngx_queue_sentinel(&members->list);
             p = ngx_queue_next(p))
        {
            member = ngx_queue_data(p, ngx_mesh_member_t, queue);
            list = ngx_mesh_list(&ngx_mesh_model->of_user_group,
                                 member->user_group_id, 0);

            if (list) {
                ngx_mesh_rights_add(fill ? r : NULL, &list->list, &n, now);
            }
        }

        if (fill) {
            break;
        }

        size = 8;

        while (size < n * 2) {
            size *= 2;
        }

        if (r->table) {
            ngx_free(r->table);
        }

        r->expires_at = 0;
        r->mask = size - 1;
        r->table = ngx_calloc(size * sizeof(ngx_mesh_right_t),
                              ngx_cycle->log);

        if (r->table == NULL) {
            return NGX_ERROR;
        }
    }

    r->generation = ngx_mesh_model_generation;

    return NGX_OK;
}


/* a list of grants into the table; r NULL: only counts */
static void
ngx_mesh_rights_add(ngx_mesh_rights_t *r, ngx_queue_t *list, ngx_uint_t *n,
    int64_t now)
{
    ngx_queue_t        *p;
    ngx_mesh_right_t   *slot;
    ngx_mesh_access_t  *a;

    for (p = ngx_queue_head(list);
         p != ngx_queue_sentinel(list);
         p = ngx_queue_next(p))
    {
        (*n)++;

        if (r == NULL) {
            continue;
        }

        a = ngx_mesh_access_at(p, offsetof(ngx_mesh_access_node_t, subject));

        if (a->expires_at) {
            if (a->expires_at <= now) {
                continue;
            }

            if (r->expires_at == 0 || a->expires_at < r->expires_at) {
                r->expires_at = a->expires_at;
            }
        }

        slot = ngx_mesh_rights_slot(r, a->group_id ? a->group_id
                                                   : -a->device_id);
        slot->key = a->group_id ? a->group_id : -a->device_id;
        slot->rights |= a->rights;
    }
}


uint32_t
ngx_mesh_consent(int64_t account_id, int64_t group_id,
    uint32_t device_consent)
{
    int64_t                  now;
    uint32_t                 consent, through;
    ngx_uint_t               n, own;
    ngx_queue_t             *p;
    ngx_mesh_list_t         *list, *members;
    ngx_mesh_group_t        *g;
    ngx_mesh_domain_t       *d;
    ngx_mesh_account_t      *a;
    ngx_mesh_access_t       *access;
    ngx_mesh_user_group_t   *ug;

    consent = device_consent;
    now = ngx_mesh_now_ms();
    a = ngx_mesh_account(account_id);
    g = ngx_mesh_group(group_id);

    if (a) {
        consent |= a->consent;

        d = ngx_mesh_model_domain(ngx_mesh_model, a->domain_id);
        consent |= d ? d->consent : 0;
    }

    for (n = 0; g && n <= NGX_MESH_MODEL_DEPTH; n++) {
        consent |= g->consent;

        /* of user groups only where the account has no grant of its own */

        own = 0;
        through = 0;
        list = ngx_mesh_list(&ngx_mesh_model->on_group, g->group_id, 0);
        members = ngx_mesh_list(&ngx_mesh_model->members, account_id, 0);

        for (p = list ? ngx_queue_head(&list->list) : NULL;
             p && p != ngx_queue_sentinel(&list->list);
             p = ngx_queue_next(p))
        {
            access = ngx_mesh_access_at(p, offsetof(ngx_mesh_access_node_t,
                                                    object));

            if (access->expires_at && access->expires_at <= now) {
                continue;
            }

            own |= (access->account_id == account_id);

            if (access->user_group_id
                && ngx_mesh_member_of(members, access->user_group_id))
            {
                ug = (ngx_mesh_user_group_t *)
                         ngx_mesh_tree_find(&ngx_mesh_model->user_group,
                                            access->user_group_id);
                through |= ug ? ug->consent : 0;
            }
        }

        if (!own) {
            consent |= through;
        }

        g = g->parent_id ? ngx_mesh_group(g->parent_id) : NULL;
    }

    return consent;
}


static ngx_uint_t
ngx_mesh_member_of(ngx_mesh_list_t *members, int64_t user_group_id)
{
    ngx_queue_t        *p;
    ngx_mesh_member_t  *member;

    for (p = members ? ngx_queue_head(&members->list) : NULL;
         p && p != ngx_queue_sentinel(&members->list);
         p = ngx_queue_next(p))
    {
        member = ngx_queue_data(p, ngx_mesh_member_t, queue);

        if (member->user_group_id == user_group_id) {
            return 1;
        }
    }

    return 0;
}

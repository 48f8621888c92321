/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The caches.  Each object is one block of memory with its texts behind it,
 * replaced when its row changed.  A grant hangs in two lists, its subject's and
 * its object's, which exist apart from these: rows may come in any order.
 *
 * Rights are not worked out when a row changes, but when somebody asks: then
 * the grants of that account are gathered into one table, good until anything
 * changes or the first of them ends.
 */

#include "ngx_mesh_model.h"
#include "ngx_mesh_bus.h"
#include "ngx_mesh_cookie.h"
#include "ngx_mesh_id.h"
#include "ngx_mesh_json.h"
#include "../../proto/mesh.h"
#include "../../conf/sql/mesh_fold.h"


#define NGX_MESH_MODEL_HOOKS    16
#define NGX_MESH_MODEL_DEPTH    8     /* groups above a device */
#define NGX_MESH_MODEL_POLL     5000  /* ms */
#define NGX_MESH_MODEL_TICK     1000  /* ms */
#define NGX_MESH_MODEL_WAIT     5     /* seconds, for what was told */
#define NGX_MESH_LATE           64    /* events that wait for rows */

/* between workers: u8 version, u8 kind, u64 id */
#define NGX_MESH_CHANGED_VERSION  1
#define NGX_MESH_CHANGED_LEN      10

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

/* housekeeping, by one worker */
#define NGX_MESH_KEEP_FIRST     10000 /* ms after the start */
#define NGX_MESH_KEEP_EVERY     600000
#define NGX_MESH_KEEP_HOUR      6     /* times that */
#define NGX_MESH_KEEP_IDLE      86400000      /* of a web session, ms */


typedef struct {
    int64_t             domain_id;
    ngx_str_t           name;
    uint32_t            consent;
} ngx_mesh_domain_t;


typedef struct {
    ngx_rbtree_node_t   node;         /* by account_id */
    ngx_str_node_t      login;        /* domain_id, folded login */
    ngx_mesh_account_t  a;
    u_char              text[];
} ngx_mesh_account_node_t;


typedef struct {
    ngx_rbtree_node_t   node;         /* by group_id */
    ngx_str_node_t      raw;          /* domain_id, raw id */
    u_char              key[8 + 48];
    ngx_mesh_group_t    g;
    u_char              text[];
} ngx_mesh_group_node_t;


typedef struct {
    ngx_rbtree_node_t   node;         /* by user_group_id */
    int64_t             domain_id;
    uint32_t            consent;
} ngx_mesh_user_group_t;


typedef struct {
    ngx_rbtree_node_t   node;         /* by access_id */
    ngx_queue_t         subject;
    ngx_queue_t         object;
    ngx_mesh_access_t   a;
} ngx_mesh_access_node_t;


typedef struct {
    ngx_queue_t         queue;        /* of the account */
    int64_t             user_group_id;
} ngx_mesh_member_t;


/* a list for an id, whether or not that exists (yet) */
typedef struct {
    ngx_rbtree_node_t   node;
    ngx_queue_t         list;
} ngx_mesh_list_t;


typedef struct {
    int64_t             key;          /* group, or minus the device; 0: free */
    uint32_t            rights;
} ngx_mesh_right_t;


/* all grants of an account, by object */
typedef struct {
    ngx_rbtree_node_t   node;         /* by account_id */
    ngx_uint_t          generation;
    int64_t             expires_at;   /* 0: never */
    ngx_uint_t          mask;
    ngx_mesh_right_t   *table;
} ngx_mesh_rights_t;


typedef struct {
    ngx_rbtree_t        tree;
    ngx_rbtree_node_t   sentinel;
} ngx_mesh_tree_t;


typedef struct {
    ngx_mesh_domain_t  *domain;
    ngx_uint_t          ndomain;

    ngx_mesh_tree_t     account;
    ngx_mesh_tree_t     login;
    ngx_mesh_tree_t     user_group;
    ngx_mesh_tree_t     group;
    ngx_mesh_tree_t     raw;
    ngx_mesh_tree_t     access;

    ngx_mesh_tree_t     members;      /* lists by account */
    ngx_mesh_tree_t     of_account;   /* lists of grants */
    ngx_mesh_tree_t     of_user_group;
    ngx_mesh_tree_t     on_group;
    ngx_mesh_tree_t     on_device;

    ngx_mesh_tree_t     rights;       /* by account, when asked for */
} ngx_mesh_model_t;


typedef struct {
    ngx_uint_t          kind;
    int64_t             id;
    uint64_t            seq;          /* of this worker's own, or 0 */
    ngx_queue_t         queue;        /* then, in ngx_mesh_model_reading */
} ngx_mesh_change_t;


static void ngx_mesh_tree_init(ngx_mesh_tree_t *t, ngx_rbtree_insert_pt fn);
static ngx_rbtree_node_t *ngx_mesh_tree_find(ngx_mesh_tree_t *t, int64_t id);
static ngx_mesh_list_t *ngx_mesh_list(ngx_mesh_tree_t *t, int64_t id,
    ngx_uint_t create);

static ngx_mesh_model_t *ngx_mesh_model_create(void);
static void ngx_mesh_model_destroy(ngx_mesh_model_t *m);
static void ngx_mesh_model_free(ngx_mesh_tree_t *t);
static ngx_int_t ngx_mesh_model_domains(ngx_mesh_model_t *m,
    ngx_mesh_db_req_t *q, ngx_uint_t i);
static ngx_mesh_domain_t *ngx_mesh_model_domain(ngx_mesh_model_t *m,
    int64_t domain_id);

static ngx_int_t ngx_mesh_account_set(ngx_mesh_model_t *m, ngx_str_t *row);
static ngx_mesh_account_t *ngx_mesh_account_login(int64_t domain_id,
    const ngx_str_t *login);          /* folded by the caller */
static void ngx_mesh_account_drop(ngx_mesh_model_t *m, int64_t id);
static ngx_int_t ngx_mesh_user_group_set(ngx_mesh_model_t *m, ngx_str_t *row);
static void ngx_mesh_user_group_drop(ngx_mesh_model_t *m, int64_t id);
static ngx_int_t ngx_mesh_group_set(ngx_mesh_model_t *m, ngx_str_t *row);
static void ngx_mesh_group_drop(ngx_mesh_model_t *m, int64_t id);
static ngx_int_t ngx_mesh_access_set(ngx_mesh_model_t *m, ngx_str_t *row);
static void ngx_mesh_access_drop(ngx_mesh_model_t *m, int64_t id);
static ngx_mesh_access_t *ngx_mesh_access_at(ngx_queue_t *p, size_t link);
static ngx_mesh_tree_t *ngx_mesh_access_subject(ngx_mesh_model_t *m,
    ngx_mesh_access_t *a, int64_t *id);
static ngx_mesh_tree_t *ngx_mesh_access_object(ngx_mesh_model_t *m,
    ngx_mesh_access_t *a, int64_t *id);
static void ngx_mesh_access_drop_all(ngx_mesh_model_t *m, ngx_mesh_tree_t *t,
    int64_t id, size_t link);
static ngx_int_t ngx_mesh_member_set(ngx_mesh_model_t *m, ngx_str_t *row);
static void ngx_mesh_member_drop(ngx_mesh_model_t *m, int64_t account_id);

static ngx_mesh_rights_t *ngx_mesh_rights_of(int64_t account_id);
static ngx_int_t ngx_mesh_rights_build(ngx_mesh_rights_t *r,
    int64_t account_id);
static void ngx_mesh_rights_add(ngx_mesh_rights_t *r, ngx_queue_t *list,
    ngx_uint_t *n, int64_t now);
static ngx_mesh_right_t *ngx_mesh_rights_slot(ngx_mesh_rights_t *r,
    int64_t key);
static ngx_uint_t ngx_mesh_rights_or(ngx_mesh_rights_t *r, int64_t key,
    uint32_t *rights);
static ngx_uint_t ngx_mesh_member_of(ngx_mesh_list_t *members,
    int64_t user_group_id);

static void ngx_mesh_model_load(void);
static void ngx_mesh_model_loaded(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_model_poll(void);
static void ngx_mesh_model_polled(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_model_receive(const ngx_mesh_addr_t *from,
    uint64_t serial, u_char *data, size_t len);
static void ngx_mesh_model_settle(void);
static void ngx_mesh_model_apply(ngx_uint_t kind, int64_t id, uint64_t seq);
static void ngx_mesh_model_applied(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_model_event(int64_t id);
static void ngx_mesh_model_late(void);
static void ngx_mesh_model_read(ngx_mesh_db_req_t *q, ngx_mesh_change_t *ch,
    ngx_int_t rc);
static ngx_int_t ngx_mesh_model_update(ngx_mesh_db_req_t *q,
    ngx_mesh_change_t *ch);
static void ngx_mesh_model_hooks(ngx_uint_t kind, int64_t id);
static void ngx_mesh_model_expire(void);
static void ngx_mesh_model_tick(ngx_event_t *ev);

static void ngx_mesh_keep(ngx_event_t *ev);
static void ngx_mesh_keep_one(ngx_uint_t stmt, int64_t a, int64_t b,
    ngx_uint_t n);


static ngx_mesh_model_t   *ngx_mesh_model;
static ngx_uint_t          ngx_mesh_model_generation = 1;
static int64_t             ngx_mesh_model_ends;     /* first grant to end */

static void              (*ngx_mesh_model_hook[NGX_MESH_MODEL_HOOKS])
                              (ngx_uint_t kind, int64_t id);
static ngx_uint_t          ngx_mesh_model_nhook;
static ngx_uint_t          ngx_mesh_model_ended_n;

static ngx_event_t         ngx_mesh_model_timer;
static ngx_msec_t          ngx_mesh_model_polled_at;
static int64_t             ngx_mesh_model_bound;
static ngx_uint_t          ngx_mesh_model_dirty;     /* load it again */
static ngx_uint_t          ngx_mesh_model_loading;
static ngx_uint_t          ngx_mesh_model_noticed;  /* while loading */
static ngx_uint_t          ngx_mesh_model_polling;

/* what this worker told all, itself too, and is not in its model yet */
static uint64_t            ngx_mesh_model_told;
static uint64_t            ngx_mesh_model_heard;
static ngx_uint_t          ngx_mesh_model_unread;   /* reads on their way */
static int64_t             ngx_mesh_model_latter[NGX_MESH_LATE];  /* events */
static ngx_uint_t          ngx_mesh_model_nlate;
static ngx_queue_t         ngx_mesh_model_reading;  /* in the order of telling */
static ngx_queue_t         ngx_mesh_model_waiting;

static ngx_event_t         ngx_mesh_keep_timer;
static int64_t             ngx_mesh_keep_bound[NGX_MESH_KEEP_HOUR];
static ngx_uint_t          ngx_mesh_keep_n;


/* --- asking */

ngx_uint_t
ngx_mesh_model_ended(void)
{
    return ngx_mesh_model_ended_n;
}


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
static ngx_mesh_access_t *
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


/* --- rights */

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


/* --- trees and rows */

static void
ngx_mesh_tree_init(ngx_mesh_tree_t *t, ngx_rbtree_insert_pt fn)
{
    ngx_rbtree_init(&t->tree, &t->sentinel, fn);
}


static ngx_rbtree_node_t *
ngx_mesh_tree_find(ngx_mesh_tree_t *t, int64_t id)
{
    ngx_rbtree_key_t    key;
    ngx_rbtree_node_t  *node;

    key = (ngx_rbtree_key_t) id;
    node = t->tree.root;

    while (node != &t->sentinel) {
        if (key == node->key) {
            return node;
        }

        node = key < node->key ? node->left : node->right;
    }

    return NULL;
}


static ngx_mesh_list_t *
ngx_mesh_list(ngx_mesh_tree_t *t, int64_t id, ngx_uint_t create)
{
    ngx_mesh_list_t  *list;

    list = (ngx_mesh_list_t *) ngx_mesh_tree_find(t, id);

    if (list == NULL && create) {
        list = ngx_alloc(sizeof(ngx_mesh_list_t), ngx_cycle->log);
        if (list == NULL) {
            return NULL;
        }

        ngx_queue_init(&list->list);
        list->node.key = (ngx_rbtree_key_t) id;
        ngx_rbtree_insert(&t->tree, &list->node);
    }

    return list;
}


static ngx_mesh_model_t *
ngx_mesh_model_create(void)
{
    ngx_mesh_model_t  *m;

    m = ngx_calloc(sizeof(ngx_mesh_model_t), ngx_cycle->log);
    if (m == NULL) {
        return NULL;
    }

    ngx_mesh_tree_init(&m->account, ngx_rbtree_insert_value);
    ngx_mesh_tree_init(&m->login, ngx_str_rbtree_insert_value);
    ngx_mesh_tree_init(&m->user_group, ngx_rbtree_insert_value);
    ngx_mesh_tree_init(&m->group, ngx_rbtree_insert_value);
    ngx_mesh_tree_init(&m->raw, ngx_str_rbtree_insert_value);
    ngx_mesh_tree_init(&m->access, ngx_rbtree_insert_value);
    ngx_mesh_tree_init(&m->members, ngx_rbtree_insert_value);
    ngx_mesh_tree_init(&m->of_account, ngx_rbtree_insert_value);
    ngx_mesh_tree_init(&m->of_user_group, ngx_rbtree_insert_value);
    ngx_mesh_tree_init(&m->on_group, ngx_rbtree_insert_value);
    ngx_mesh_tree_init(&m->on_device, ngx_rbtree_insert_value);
    ngx_mesh_tree_init(&m->rights, ngx_rbtree_insert_value);

    return m;
}


static void
ngx_mesh_model_destroy(ngx_mesh_model_t *m)
{
    ngx_uint_t          i;
    ngx_queue_t        *head;
    ngx_mesh_list_t    *list;
    ngx_rbtree_node_t  *node;

    while (m->members.tree.root != &m->members.sentinel) {
        node = m->members.tree.root;
        list = (ngx_mesh_list_t *) node;

        while (!ngx_queue_empty(&list->list)) {
            head = ngx_queue_head(&list->list);
            /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the head is another */
            ngx_queue_remove(head);
            ngx_free(ngx_queue_data(head, ngx_mesh_member_t, queue));
        }

        ngx_rbtree_delete(&m->members.tree, node);
        ngx_free(list);
    }

    while (m->rights.tree.root != &m->rights.sentinel) {
        node = m->rights.tree.root;
        ngx_rbtree_delete(&m->rights.tree, node);

        if (((ngx_mesh_rights_t *) node)->table) {
            ngx_free(((ngx_mesh_rights_t *) node)->table);
        }

        ngx_free(node);
    }

    /* "login" and "raw" are in the same blocks */

    ngx_mesh_model_free(&m->account);
    ngx_mesh_model_free(&m->group);
    ngx_mesh_model_free(&m->user_group);
    ngx_mesh_model_free(&m->access);
    ngx_mesh_model_free(&m->of_account);
    ngx_mesh_model_free(&m->of_user_group);
    ngx_mesh_model_free(&m->on_group);
    ngx_mesh_model_free(&m->on_device);

    for (i = 0; i < m->ndomain; i++) {
        ngx_free(m->domain[i].name.data);
    }

    if (m->domain) {
        ngx_free(m->domain);
    }

    ngx_free(m);
}


static void
ngx_mesh_model_free(ngx_mesh_tree_t *t)
{
    ngx_rbtree_node_t  *node;

    while (t->tree.root != &t->sentinel) {
        node = t->tree.root;
        ngx_rbtree_delete(&t->tree, node);
        ngx_free(node);               /* the first member of each */
    }
}


static ngx_int_t
ngx_mesh_model_domains(ngx_mesh_model_t *m, ngx_mesh_db_req_t *q,
    ngx_uint_t i)
{
    int64_t             consent;
    ngx_str_t          *row;
    ngx_uint_t          n;
    ngx_mesh_json_t    *j;
    ngx_mesh_domain_t  *d;

    n = ngx_mesh_db_rows(q, i);

    m->domain = ngx_calloc((n + 1) * sizeof(ngx_mesh_domain_t),
                           ngx_cycle->log);
    if (m->domain == NULL) {
        return NGX_ERROR;
    }

    while (m->ndomain < n) {
        row = ngx_mesh_db_row(q, i, m->ndomain);
        d = &m->domain[m->ndomain];

        d->domain_id = ngx_mesh_db_num(&row[0]);
        d->name.len = row[1].len;
        d->name.data = ngx_alloc(row[1].len + 1, ngx_cycle->log);

        if (d->name.data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(d->name.data, row[1].data, row[1].len);

        j = ngx_mesh_json_parse(row[2].data, row[2].len);

        if (j) {
            if (ngx_mesh_json_int(j, "consent", &consent, 0, 127) == NGX_OK) {
                d->consent = (uint32_t) consent;
            }

            ngx_mesh_json_free(j);
        }

        m->ndomain++;
    }

    return NGX_OK;
}


static ngx_mesh_domain_t *
ngx_mesh_model_domain(ngx_mesh_model_t *m, int64_t domain_id)
{
    ngx_uint_t  i;

    for (i = 0; i < m->ndomain; i++) {
        if (m->domain[i].domain_id == domain_id) {
            return &m->domain[i];
        }
    }

    return NULL;
}


/* a text of a row into the block of its object */
static u_char *
ngx_mesh_model_text(u_char *p, ngx_str_t *dst, const ngx_str_t *src)
{
    dst->data = p;
    dst->len = src->len;

    return ngx_cpymem(p, src->data, src->len);
}


static ngx_int_t
ngx_mesh_account_set(ngx_mesh_model_t *m, ngx_str_t *row)
{
    u_char                   *p;
    size_t                    size;
    ngx_uint_t                i;
    ngx_mesh_domain_t        *d;
    ngx_mesh_account_t       *a;
    ngx_mesh_account_node_t  *node;

    /* columns of MODEL_ACCOUNTS; texts: 2 to 5 and 11 */

    size = sizeof(ngx_mesh_account_node_t) + 8 + row[2].len + row[11].len;

    for (i = 2; i <= 5; i++) {
        size += row[i].len;
    }

    node = ngx_calloc(size, ngx_cycle->log);
    if (node == NULL) {
        return NGX_ERROR;
    }

    a = &node->a;

    a->account_id = ngx_mesh_db_num(&row[0]);
    a->domain_id = ngx_mesh_db_num(&row[1]);

    p = ngx_mesh_model_text(node->text, &a->login, &row[2]);
    p = ngx_mesh_model_text(p, &a->name, &row[3]);
    p = ngx_mesh_model_text(p, &a->real_name, &row[4]);
    p = ngx_mesh_model_text(p, &a->email, &row[5]);

    a->site_rights = (uint32_t) ngx_mesh_db_num(&row[6]);
    a->removed_rights = (uint32_t) ngx_mesh_db_num(&row[7]);
    a->consent = (uint32_t) ngx_mesh_db_num(&row[8]);
    a->flags = (uint32_t) ngx_mesh_db_num(&row[9]);
    a->created_at = ngx_mesh_db_num(&row[10]);

    p = ngx_mesh_model_text(p, &a->doc, &row[11]);

    a->revision = ngx_mesh_db_num(&row[12]);
    a->password_at = ngx_mesh_db_num(&row[13]);

    node->login.str.data = p;
    p = mesh_put64(p, (uint64_t) a->domain_id);
    p = ngx_cpymem(p, row[2].data, row[2].len);
    node->login.str.len = p - node->login.str.data;

    d = ngx_mesh_model_domain(m, a->domain_id);

    if (d) {
        a->domain = d->name;
    }

    ngx_mesh_account_drop(m, a->account_id);

    node->node.key = (ngx_rbtree_key_t) a->account_id;
    ngx_rbtree_insert(&m->account.tree, &node->node);

    node->login.node.key = ngx_crc32_long(node->login.str.data,
                                          node->login.str.len);
    ngx_rbtree_insert(&m->login.tree, &node->login.node);

    return NGX_OK;
}


/* the row alone: grants and memberships have their own */
static void
ngx_mesh_account_drop(ngx_mesh_model_t *m, int64_t id)
{
    ngx_mesh_account_node_t  *node;

    node = (ngx_mesh_account_node_t *) ngx_mesh_tree_find(&m->account, id);

    if (node) {
        ngx_rbtree_delete(&m->account.tree, &node->node);
        ngx_rbtree_delete(&m->login.tree, &node->login.node);
        ngx_free(node);
    }
}


static ngx_int_t
ngx_mesh_user_group_set(ngx_mesh_model_t *m, ngx_str_t *row)
{
    ngx_mesh_user_group_t  *node;

    node = ngx_calloc(sizeof(ngx_mesh_user_group_t), ngx_cycle->log);
    if (node == NULL) {
        return NGX_ERROR;
    }

    /* columns of MODEL_USER_GROUPS */

    node->node.key = (ngx_rbtree_key_t) ngx_mesh_db_num(&row[0]);
    node->domain_id = ngx_mesh_db_num(&row[1]);
    node->consent = (uint32_t) ngx_mesh_db_num(&row[4]);

    ngx_mesh_user_group_drop(m, ngx_mesh_db_num(&row[0]));
    ngx_rbtree_insert(&m->user_group.tree, &node->node);

    return NGX_OK;
}


static void
ngx_mesh_user_group_drop(ngx_mesh_model_t *m, int64_t id)
{
    ngx_rbtree_node_t  *node;

    node = ngx_mesh_tree_find(&m->user_group, id);

    if (node) {
        ngx_rbtree_delete(&m->user_group.tree, node);
        ngx_free(node);
    }
}


static ngx_int_t
ngx_mesh_group_set(ngx_mesh_model_t *m, ngx_str_t *row)
{
    u_char                 *p;
    ngx_mesh_group_t       *g;
    ngx_mesh_domain_t      *d;
    ngx_mesh_group_node_t  *node;

    /* columns of MODEL_GROUPS; texts: 3, 4 and 11 */

    node = ngx_calloc(sizeof(ngx_mesh_group_node_t) + row[3].len + row[4].len
                      + row[11].len, ngx_cycle->log);
    if (node == NULL) {
        return NGX_ERROR;
    }

    g = &node->g;

    g->group_id = ngx_mesh_db_num(&row[0]);
    g->domain_id = ngx_mesh_db_num(&row[1]);
    g->parent_id = ngx_mesh_db_num(&row[2]);

    p = ngx_mesh_model_text(node->text, &g->wire, &row[3]);
    p = ngx_mesh_model_text(p, &g->name, &row[4]);

    g->kind = (uint32_t) ngx_mesh_db_num(&row[5]);
    g->consent = (uint32_t) ngx_mesh_db_num(&row[6]);
    g->flags = (uint32_t) ngx_mesh_db_num(&row[7]);
    g->created_at = ngx_mesh_db_num(&row[8]);
    g->created_by = ngx_mesh_db_num(&row[9]);
    g->deleted_at = ngx_mesh_db_num(&row[10]);

    (void) ngx_mesh_model_text(p, &g->doc, &row[11]);

    g->revision = ngx_mesh_db_num(&row[12]);

    if (g->wire.len < NGX_MESH_ID_TEXT
        || ngx_mesh_id_parse(g->wire.data + g->wire.len - NGX_MESH_ID_TEXT,
                             NGX_MESH_ID_TEXT, g->raw)
           != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mesh model: \"%V\" is not the id of a group", &g->wire);
        ngx_free(node);
        return NGX_OK;
    }

    d = ngx_mesh_model_domain(m, g->domain_id);

    if (d) {
        g->domain = d->name;
    }

    ngx_mesh_group_drop(m, g->group_id);

    node->node.key = (ngx_rbtree_key_t) g->group_id;
    ngx_rbtree_insert(&m->group.tree, &node->node);

    ngx_memcpy(mesh_put64(node->key, (uint64_t) g->domain_id), g->raw, 48);
    node->raw.str.data = node->key;
    node->raw.str.len = sizeof(node->key);
    node->raw.node.key = ngx_crc32_long(node->key, sizeof(node->key));
    ngx_rbtree_insert(&m->raw.tree, &node->raw.node);

    return NGX_OK;
}


static void
ngx_mesh_group_drop(ngx_mesh_model_t *m, int64_t id)
{
    ngx_mesh_group_node_t  *node;

    node = (ngx_mesh_group_node_t *) ngx_mesh_tree_find(&m->group, id);

    if (node) {
        ngx_rbtree_delete(&m->group.tree, &node->node);
        ngx_rbtree_delete(&m->raw.tree, &node->raw.node);
        ngx_free(node);
    }
}


static ngx_int_t
ngx_mesh_access_set(ngx_mesh_model_t *m, ngx_str_t *row)
{
    int64_t                  subject_id, object_id;
    ngx_mesh_list_t         *subject, *object;
    ngx_mesh_tree_t         *tree;
    ngx_mesh_access_t       *a;
    ngx_mesh_access_node_t  *node;

    node = ngx_calloc(sizeof(ngx_mesh_access_node_t), ngx_cycle->log);
    if (node == NULL) {
        return NGX_ERROR;
    }

    /* columns of MODEL_ACCESSES */

    a = &node->a;

    a->access_id = ngx_mesh_db_num(&row[0]);
    a->account_id = ngx_mesh_db_num(&row[1]);
    a->user_group_id = ngx_mesh_db_num(&row[2]);
    a->group_id = ngx_mesh_db_num(&row[3]);
    a->device_id = ngx_mesh_db_num(&row[4]);
    a->rights = (uint32_t) ngx_mesh_db_num(&row[5]);
    a->expires_at = ngx_mesh_db_num(&row[6]);

    /* before the lists are looked up: it may take the last of one with it */
    ngx_mesh_access_drop(m, a->access_id);

    tree = ngx_mesh_access_subject(m, a, &subject_id);
    subject = ngx_mesh_list(tree, subject_id, 1);

    tree = ngx_mesh_access_object(m, a, &object_id);
    object = ngx_mesh_list(tree, object_id, 1);

    if (subject == NULL || object == NULL) {
        ngx_free(node);
        return NGX_ERROR;
    }

    node->node.key = (ngx_rbtree_key_t) a->access_id;
    ngx_rbtree_insert(&m->access.tree, &node->node);
    ngx_queue_insert_tail(&subject->list, &node->subject);
    ngx_queue_insert_tail(&object->list, &node->object);

    if (a->expires_at && (ngx_mesh_model_ends == 0
                          || a->expires_at < ngx_mesh_model_ends))
    {
        ngx_mesh_model_ends = a->expires_at;
    }

    return NGX_OK;
}


static ngx_mesh_tree_t *
ngx_mesh_access_subject(ngx_mesh_model_t *m, ngx_mesh_access_t *a,
    int64_t *id)
{
    *id = a->account_id ? a->account_id : a->user_group_id;

    return a->account_id ? &m->of_account : &m->of_user_group;
}


static ngx_mesh_tree_t *
ngx_mesh_access_object(ngx_mesh_model_t *m, ngx_mesh_access_t *a, int64_t *id)
{
    *id = a->group_id ? a->group_id : a->device_id;

    return a->group_id ? &m->on_group : &m->on_device;
}


static void
ngx_mesh_access_drop(ngx_mesh_model_t *m, int64_t id)
{
    int64_t                  of;
    ngx_mesh_list_t         *list;
    ngx_mesh_tree_t         *tree;
    ngx_mesh_access_node_t  *node;

    node = (ngx_mesh_access_node_t *) ngx_mesh_tree_find(&m->access, id);

    if (node == NULL) {
        return;
    }

    ngx_rbtree_delete(&m->access.tree, &node->node);
    ngx_queue_remove(&node->subject);
    ngx_queue_remove(&node->object);

    /* devices come and go: their lists must not stay for ever */

    tree = ngx_mesh_access_object(m, &node->a, &of);
    list = ngx_mesh_list(tree, of, 0);

    if (list && ngx_queue_empty(&list->list)) {
        ngx_rbtree_delete(&tree->tree, &list->node);
        ngx_free(list);
    }

    ngx_free(node);
}


/* link: which of its two lists the tree holds */
static void
ngx_mesh_access_drop_all(ngx_mesh_model_t *m, ngx_mesh_tree_t *t, int64_t id,
    size_t link)
{
    ngx_mesh_list_t    *list;
    ngx_mesh_access_t  *a;

    while ((list = ngx_mesh_list(t, id, 0)) != NULL
           && !ngx_queue_empty(&list->list))
    {
        a = ngx_mesh_access_at(ngx_queue_head(&list->list), link);
        ngx_mesh_access_drop(m, a->access_id);
    }
}


static ngx_int_t
ngx_mesh_member_set(ngx_mesh_model_t *m, ngx_str_t *row)
{
    ngx_mesh_list_t    *list;
    ngx_mesh_member_t  *member;

    list = ngx_mesh_list(&m->members, ngx_mesh_db_num(&row[0]), 1);
    member = ngx_alloc(sizeof(ngx_mesh_member_t), ngx_cycle->log);

    if (list == NULL || member == NULL) {
        if (member) {
            ngx_free(member);
        }

        return NGX_ERROR;
    }

    member->user_group_id = ngx_mesh_db_num(&row[1]);
    ngx_queue_insert_tail(&list->list, &member->queue);

    return NGX_OK;
}


static void
ngx_mesh_member_drop(ngx_mesh_model_t *m, int64_t account_id)
{
    ngx_queue_t      *head;
    ngx_mesh_list_t  *list;

    list = ngx_mesh_list(&m->members, account_id, 0);

    while (list && !ngx_queue_empty(&list->list)) {
        head = ngx_queue_head(&list->list);
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the head is another */
        ngx_queue_remove(head);
        ngx_free(ngx_queue_data(head, ngx_mesh_member_t, queue));
    }
}


/* --- loading */

static void
ngx_mesh_model_load(void)
{
    ngx_mesh_db_req_t  *q;

    /* what was read over the last connection may have been of another server */
    ngx_mesh_model_bound = -1;

    ngx_mesh_server_keys_load();

    q = ngx_mesh_db_create(ngx_mesh_model_loaded, NULL);

    if (q == NULL) {
        ngx_mesh_model_dirty = 1;
        return;
    }

    /* the bound first: what changes behind it is read again */

    ngx_mesh_db_stmt(q, MESH_SQL_CHANGES);
    ngx_mesh_db_int(q, -1);
    ngx_mesh_db_stmt(q, MESH_SQL_MODEL_DOMAINS);
    ngx_mesh_db_stmt(q, MESH_SQL_MODEL_ACCOUNTS);
    ngx_mesh_db_stmt(q, MESH_SQL_MODEL_USER_GROUPS);
    ngx_mesh_db_stmt(q, MESH_SQL_MODEL_MEMBERS);
    ngx_mesh_db_stmt(q, MESH_SQL_MODEL_GROUPS);
    ngx_mesh_db_stmt(q, MESH_SQL_MODEL_ACCESSES);

    if (ngx_mesh_db_send(q) != NGX_OK) {
        ngx_mesh_model_dirty = 1;
        return;
    }

    ngx_mesh_model_dirty = 0;
    ngx_mesh_model_loading = 1;
    ngx_mesh_model_noticed = 0;
}


static void
ngx_mesh_model_loaded(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t         *row;
    ngx_uint_t         i, n;
    ngx_mesh_model_t  *m, *old;

    static ngx_int_t (*const  set[])(ngx_mesh_model_t *m, ngx_str_t *row) = {
        ngx_mesh_account_set, ngx_mesh_user_group_set, ngx_mesh_member_set,
        ngx_mesh_group_set, ngx_mesh_access_set
    };

    ngx_mesh_model_loading = 0;

    if (rc != NGX_OK) {
        /* away: loaded when it is back; else with the next tick */
        ngx_mesh_model_dirty = (rc != NGX_ABORT);
        return;
    }

    m = ngx_mesh_model_create();

    if (m == NULL) {
        ngx_mesh_model_dirty = 1;
        return;
    }

    ngx_mesh_model_ends = 0;

    if (ngx_mesh_model_domains(m, q, 1) != NGX_OK) {
        goto failed;
    }

    for (i = 0; i < sizeof(set) / sizeof(set[0]); i++) {
        for (n = 0; n < ngx_mesh_db_rows(q, i + 2); n++) {
            if (set[i](m, ngx_mesh_db_row(q, i + 2, n)) != NGX_OK) {
                goto failed;
            }
        }
    }

    row = ngx_mesh_db_row(q, 0, 0);
    ngx_mesh_model_bound = row ? ngx_mesh_db_num(&row[0]) : -1;

    old = ngx_mesh_model;
    ngx_mesh_model = m;
    ngx_mesh_model_generation++;

    if (old) {
        ngx_mesh_model_destroy(old);
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "mesh model: %ui accounts, %ui groups, %ui grants",
                  ngx_mesh_db_rows(q, 2), ngx_mesh_db_rows(q, 5),
                  ngx_mesh_db_rows(q, 6));

    if (ngx_mesh_model_noticed) {
        ngx_mesh_model_poll();
    }

    ngx_mesh_model_hooks(NGX_MESH_CHANGE_DOMAIN, 0);

    return;

failed:

    ngx_mesh_model_destroy(m);
    ngx_mesh_model_dirty = 1;
}


/* --- changing */

void
ngx_mesh_model_change(ngx_mesh_db_req_t *q, ngx_uint_t kind, int64_t id)
{
    ngx_mesh_db_stmt(q, MESH_SQL_CHANGE_ADD);
    ngx_mesh_db_int(q, (int64_t) kind);
    ngx_mesh_db_int(q, id);
}


void
ngx_mesh_model_changed(ngx_uint_t kind, int64_t id)
{
    u_char  buf[NGX_MESH_CHANGED_LEN];

    buf[0] = NGX_MESH_CHANGED_VERSION;
    buf[1] = (u_char) kind;
    mesh_put64(buf + 2, (uint64_t) id);

    ngx_mesh_model_told++;

    /* this worker too, by the same road */

    ngx_mesh_bus_broadcast(NGX_MESH_BUS_CHANGED, buf, sizeof(buf), 0);
}


static void
ngx_mesh_model_receive(const ngx_mesh_addr_t *from, uint64_t serial,
    u_char *data, size_t len)
{
    uint64_t  seq;

    seq = 0;

    if (len != NGX_MESH_CHANGED_LEN || data[0] != NGX_MESH_CHANGED_VERSION) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mesh model: a record of %uz bytes is none", len);
        return;
    }

    if (from->slot == ngx_mesh_slot_n) {
        seq = ++ngx_mesh_model_heard;
    }

    ngx_mesh_model_apply(data[1], (int64_t) mesh_get64(data + 2), seq);
    ngx_mesh_model_settle();
}


void
ngx_mesh_model_wait(ngx_mesh_model_wait_t *w)
{
    w->upto = ngx_mesh_model_told;
    w->until = ngx_time() + NGX_MESH_MODEL_WAIT;

    ngx_queue_insert_tail(&ngx_mesh_model_waiting, &w->queue);
    ngx_mesh_model_settle();
}


static void
ngx_mesh_model_settle(void)
{
    uint64_t                done;
    ngx_queue_t            *q;
    ngx_mesh_change_t      *ch;
    ngx_mesh_model_wait_t  *w;

    while (!ngx_queue_empty(&ngx_mesh_model_waiting)) {
        done = ngx_mesh_model_heard;

        if (!ngx_queue_empty(&ngx_mesh_model_reading)) {
            q = ngx_queue_head(&ngx_mesh_model_reading);
            ch = ngx_queue_data(q, ngx_mesh_change_t, queue);
            done = ch->seq - 1;
        }

        q = ngx_queue_head(&ngx_mesh_model_waiting);
        w = ngx_queue_data(q, ngx_mesh_model_wait_t, queue);

        if (w->upto > done && w->until > ngx_time()) {
            return;
        }

        ngx_queue_remove(q);
        w->done(w->data);
    }
}


/* reads the row anew; twice is harmless */
static void
ngx_mesh_model_apply(ngx_uint_t kind, int64_t id, uint64_t seq)
{
    ngx_uint_t          stmt;
    ngx_queue_t        *p;
    ngx_mesh_list_t    *list;
    ngx_mesh_access_t  *a;
    ngx_mesh_db_req_t  *q;
    ngx_mesh_change_t  *ch;

    ngx_mesh_model_noticed = 1;

    switch (kind) {

    case NGX_MESH_CHANGE_ACCOUNT:
        stmt = MESH_SQL_MODEL_ACCOUNT;
        break;

    case NGX_MESH_CHANGE_USER_GROUP:
        stmt = MESH_SQL_MODEL_USER_GROUP;
        break;

    case NGX_MESH_CHANGE_GROUP:
        stmt = MESH_SQL_MODEL_GROUP;
        break;

    case NGX_MESH_CHANGE_ACCESS:
        stmt = MESH_SQL_MODEL_ACCESS;
        break;

    case NGX_MESH_CHANGE_MEMBER:
        stmt = MESH_SQL_MODEL_MEMBER;
        break;

    case NGX_MESH_CHANGE_DOMAIN:
        ngx_mesh_model_dirty = 1;
        return;

    case NGX_MESH_CHANGE_KEY:
        ngx_mesh_server_keys_load();
        ngx_mesh_model_hooks(kind, id);
        return;

    case NGX_MESH_CHANGE_DEVICE:
        /* its row is not here; were it gone, so are the grants on it */

        list = ngx_mesh_model ? ngx_mesh_list(&ngx_mesh_model->on_device, id, 0)
                              : NULL;

        for (p = list ? ngx_queue_head(&list->list) : NULL;
             p && p != ngx_queue_sentinel(&list->list);
             p = ngx_queue_next(p))
        {
            a = ngx_mesh_access_at(p, offsetof(ngx_mesh_access_node_t,
                                               object));
            ngx_mesh_model_apply(NGX_MESH_CHANGE_ACCESS, a->access_id, seq);
        }

        ngx_mesh_model_hooks(kind, id);
        return;

    case NGX_MESH_CHANGE_SESSION:
        ngx_mesh_model_ended_n++;
        ngx_mesh_model_hooks(kind, id);
        return;

    case NGX_MESH_CHANGE_EVENT:
        ngx_mesh_model_event(id);
        return;

    default:
        return;                       /* of a newer version */
    }

    q = ngx_mesh_db_create(ngx_mesh_model_applied, NULL);

    ch = q ? ngx_palloc(q->pool, sizeof(ngx_mesh_change_t)) : NULL;

    if (ch == NULL) {
        ngx_mesh_model_dirty = 1;
        return;
    }

    ch->kind = kind;
    ch->id = id;
    ch->seq = seq;
    q->data = ch;

    ngx_mesh_db_stmt(q, stmt);
    ngx_mesh_db_int(q, id);

    if (ngx_mesh_db_send(q) != NGX_OK) {
        ngx_mesh_model_dirty = 1;
        return;
    }

    ngx_mesh_model_unread++;

    if (seq) {
        ngx_queue_insert_tail(&ngx_mesh_model_reading, &ch->queue);
    }
}


static void
ngx_mesh_model_applied(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_mesh_change_t *ch = q->data;

    ngx_mesh_model_read(q, ch, rc);

    if (ch->seq) {
        ngx_queue_remove(&ch->queue);
        ngx_mesh_model_settle();
    }

    if (--ngx_mesh_model_unread == 0) {
        ngx_mesh_model_late();
    }
}


/* who may see it can stand in the rows that came with it: these are read first */
static void
ngx_mesh_model_event(int64_t id)
{
    if (ngx_mesh_model_unread == 0 || ngx_mesh_model_nlate == NGX_MESH_LATE) {
        ngx_mesh_model_hooks(NGX_MESH_CHANGE_EVENT, id);
        return;
    }

    ngx_mesh_model_latter[ngx_mesh_model_nlate++] = id;
}


static void
ngx_mesh_model_late(void)
{
    ngx_uint_t  i, n;

    n = ngx_mesh_model_nlate;
    ngx_mesh_model_nlate = 0;

    for (i = 0; i < n; i++) {
        ngx_mesh_model_hooks(NGX_MESH_CHANGE_EVENT, ngx_mesh_model_latter[i]);
    }
}


static void
ngx_mesh_model_read(ngx_mesh_db_req_t *q, ngx_mesh_change_t *ch, ngx_int_t rc)
{
    if (rc == NGX_ABORT || ngx_mesh_model == NULL) {
        return;                       /* all is loaded when it is back */
    }

    if (rc != NGX_OK || ngx_mesh_model_update(q, ch) != NGX_OK) {
        ngx_mesh_model_dirty = 1;
        return;
    }

    ngx_mesh_model_generation++;

    ngx_mesh_model_hooks(ch->kind, ch->id);
}


static ngx_int_t
ngx_mesh_model_update(ngx_mesh_db_req_t *q, ngx_mesh_change_t *ch)
{
    ngx_str_t         *row;
    ngx_uint_t         i;
    ngx_mesh_model_t  *m;

    m = ngx_mesh_model;
    row = ngx_mesh_db_row(q, 0, 0);

    switch (ch->kind) {

    case NGX_MESH_CHANGE_ACCOUNT:
        if (row) {
            return ngx_mesh_account_set(m, row);
        }

        ngx_mesh_account_drop(m, ch->id);
        ngx_mesh_member_drop(m, ch->id);
        ngx_mesh_access_drop_all(m, &m->of_account, ch->id,
                                 offsetof(ngx_mesh_access_node_t, subject));
        return NGX_OK;

    case NGX_MESH_CHANGE_USER_GROUP:
        if (row) {
            return ngx_mesh_user_group_set(m, row);
        }

        ngx_mesh_user_group_drop(m, ch->id);
        ngx_mesh_access_drop_all(m, &m->of_user_group, ch->id,
                                 offsetof(ngx_mesh_access_node_t, subject));
        return NGX_OK;

    case NGX_MESH_CHANGE_GROUP:
        if (row) {
            return ngx_mesh_group_set(m, row);
        }

        ngx_mesh_group_drop(m, ch->id);
        ngx_mesh_access_drop_all(m, &m->on_group, ch->id,
                                 offsetof(ngx_mesh_access_node_t, object));
        return NGX_OK;

    case NGX_MESH_CHANGE_ACCESS:
        if (row) {
            return ngx_mesh_access_set(m, row);
        }

        ngx_mesh_access_drop(m, ch->id);
        return NGX_OK;

    default: /* NGX_MESH_CHANGE_MEMBER */
        ngx_mesh_member_drop(m, ch->id);

        for (i = 0; i < ngx_mesh_db_rows(q, 0); i++) {
            if (ngx_mesh_member_set(m, ngx_mesh_db_row(q, 0, i)) != NGX_OK) {
                return NGX_ERROR;
            }
        }

        return NGX_OK;
    }
}


void
ngx_mesh_model_on_change(void (*fn)(ngx_uint_t kind, int64_t id))
{
    if (ngx_mesh_model_nhook == NGX_MESH_MODEL_HOOKS) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "mesh model: too many want to know of changes");
        return;
    }

    ngx_mesh_model_hook[ngx_mesh_model_nhook++] = fn;
}


static void
ngx_mesh_model_hooks(ngx_uint_t kind, int64_t id)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_mesh_model_nhook; i++) {
        ngx_mesh_model_hook[i](kind, id);
    }
}


/* --- notices may be lost; the table may not */

static void
ngx_mesh_model_poll(void)
{
    ngx_mesh_db_req_t  *q;

    if (ngx_mesh_model_polling || ngx_mesh_model_bound < 0) {
        return;
    }

    q = ngx_mesh_db_create(ngx_mesh_model_polled, NULL);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_CHANGES);
    ngx_mesh_db_int(q, ngx_mesh_model_bound);

    if (ngx_mesh_db_send(q) == NGX_OK) {
        ngx_mesh_model_polling = 1;
        ngx_mesh_model_polled_at = ngx_current_msec;
    }
}


static void
ngx_mesh_model_polled(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    int64_t      bound;
    ngx_str_t   *row, *last;
    ngx_uint_t   i;

    ngx_mesh_model_polling = 0;

    /* a load that began meanwhile has the newer bound, or will have one */

    if (rc != NGX_OK || ngx_mesh_model_loading || ngx_mesh_model_bound < 0) {
        return;
    }

    row = ngx_mesh_db_row(q, 0, 0);

    if (row == NULL) {
        return;
    }

    bound = ngx_mesh_db_num(&row[0]);

    if (ngx_mesh_db_num(&row[1]) > ngx_mesh_model_bound
        || bound < ngx_mesh_model_bound)
    {
        /* what lay between is deleted, or it is another database */
        ngx_mesh_model_dirty = 1;
        return;
    }

    ngx_mesh_model_bound = bound;
    last = NULL;

    /* events after all rows that came with them */

    ngx_mesh_model_unread++;

    for (i = 0; i < ngx_mesh_db_rows(q, 0); i++) {
        row = ngx_mesh_db_row(q, 0, i);

        if (row[2].data == NULL) {
            continue;                 /* nothing but the bound */
        }

        /* the same row many times over, as when many devices are moved */

        if (last && ngx_mesh_db_num(&last[2]) == ngx_mesh_db_num(&row[2])
            && ngx_mesh_db_num(&last[3]) == ngx_mesh_db_num(&row[3]))
        {
            continue;
        }

        last = row;

        ngx_mesh_model_apply((ngx_uint_t) ngx_mesh_db_num(&row[2]),
                             ngx_mesh_db_num(&row[3]), 0);
    }

    if (--ngx_mesh_model_unread == 0) {
        ngx_mesh_model_late();
    }
}


/* grants that end while sessions live on them */
static void
ngx_mesh_model_expire(void)
{
    int64_t                  now, next;
    ngx_uint_t               n, i;
    ngx_rbtree_t            *tree;
    ngx_rbtree_node_t       *node;
    ngx_mesh_access_node_t  *access;
    int64_t                  ended[64];

    now = ngx_mesh_now_ms();

    if (ngx_mesh_model == NULL || ngx_mesh_model_ends == 0
        || ngx_mesh_model_ends > now)
    {
        return;
    }

    next = 0;
    n = 0;
    tree = &ngx_mesh_model->access.tree;

    for (node = tree->root == tree->sentinel
                ? NULL : ngx_rbtree_min(tree->root, tree->sentinel);
         node;
         node = ngx_rbtree_next(tree, node))
    {
        access = (ngx_mesh_access_node_t *) node;

        if (access->a.expires_at == 0) {
            continue;
        }

        if (access->a.expires_at > now) {
            if (next == 0 || access->a.expires_at < next) {
                next = access->a.expires_at;
            }

        } else if (access->a.expires_at >= ngx_mesh_model_ends) {
            if (n < 64) {
                ended[n] = access->a.access_id;
            }

            n++;
        }
    }

    ngx_mesh_model_ends = next;
    ngx_mesh_model_generation++;

    if (n > 64) {
        ngx_mesh_model_hooks(NGX_MESH_CHANGE_DOMAIN, 0);
        return;
    }

    for (i = 0; i < n; i++) {
        ngx_mesh_model_hooks(NGX_MESH_CHANGE_ACCESS, ended[i]);
    }
}


static void
ngx_mesh_model_tick(ngx_event_t *ev)
{
    ngx_add_timer(ev, NGX_MESH_MODEL_TICK);

    ngx_mesh_model_expire();
    ngx_mesh_model_settle();

    if (!ngx_mesh_db_up() || ngx_mesh_model_loading) {
        return;
    }

    if (ngx_mesh_model_dirty) {
        ngx_mesh_model_load();
        return;
    }

    if (ngx_current_msec - ngx_mesh_model_polled_at >= NGX_MESH_MODEL_POLL) {
        ngx_mesh_model_poll();
    }
}


/* --- housekeeping */

static void
ngx_mesh_keep(ngx_event_t *ev)
{
    int64_t      now, floor;
    ngx_uint_t   i;

    ngx_add_timer(ev, ngx_mesh_db_up() ? NGX_MESH_KEEP_EVERY
                                       : NGX_MESH_KEEP_FIRST);

    if (!ngx_mesh_db_up() || ngx_mesh_model_bound < 0) {
        /* bounds of another connection say nothing */
        ngx_mesh_keep_n = 0;
        return;
    }

    now = ngx_mesh_now_ms();

    ngx_mesh_keep_one(MESH_SQL_KEEP_PARTITIONS, now, 0, 1);
    ngx_mesh_keep_one(MESH_SQL_KEEP_WEB_SESSIONS, now,
                      now - NGX_MESH_KEEP_IDLE, 2);

    /* rows that lay below the bound of an hour ago, not those of an hour ago:
       by age one would delete what the bound still hides */

    i = ngx_mesh_keep_n++ % NGX_MESH_KEEP_HOUR;
    floor = ngx_mesh_keep_bound[i];
    ngx_mesh_keep_bound[i] = ngx_mesh_model_bound;

    if (ngx_mesh_keep_n > NGX_MESH_KEEP_HOUR
        && floor <= ngx_mesh_model_bound)
    {
        ngx_mesh_keep_one(MESH_SQL_KEEP_FLOOR, floor, 0, 1);
        ngx_mesh_keep_one(MESH_SQL_KEEP_CHANGES, floor, 0, 1);
    }
}


static void
ngx_mesh_keep_one(ngx_uint_t stmt, int64_t a, int64_t b, ngx_uint_t n)
{
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_db_create(NULL, NULL);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, stmt);
    ngx_mesh_db_int(q, a);

    if (n == 2) {
        ngx_mesh_db_int(q, b);
    }

    (void) ngx_mesh_db_send(q);
}


ngx_int_t
ngx_mesh_model_init(ngx_cycle_t *cycle)
{
    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    ngx_mesh_model_bound = -1;

    ngx_queue_init(&ngx_mesh_model_reading);
    ngx_queue_init(&ngx_mesh_model_waiting);

    ngx_mesh_bus_handler(NGX_MESH_BUS_CHANGED, ngx_mesh_model_receive);
    ngx_mesh_db_on_up(ngx_mesh_model_load);

    ngx_mesh_model_timer.handler = ngx_mesh_model_tick;
    ngx_mesh_model_timer.log = cycle->log;
    ngx_mesh_model_timer.cancelable = 1;

    /* workers not in step */
    ngx_mesh_model_polled_at = ngx_current_msec
                               - ngx_random() % NGX_MESH_MODEL_POLL;

    ngx_add_timer(&ngx_mesh_model_timer, NGX_MESH_MODEL_TICK);

    if (ngx_worker == 0) {
        ngx_mesh_keep_timer.handler = ngx_mesh_keep;
        ngx_mesh_keep_timer.log = cycle->log;
        ngx_mesh_keep_timer.cancelable = 1;

        ngx_add_timer(&ngx_mesh_keep_timer, NGX_MESH_KEEP_FIRST);
    }

    return NGX_OK;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Each object is one block of memory with its texts behind it, replaced when
 * its row changed.  A grant hangs in two lists, its subject's and its object's,
 * which exist apart from these: rows may come in any order.
 */

#include "ngx_mesh_model_in.h"
#include "ngx_mesh_json.h"
#include "../../conf/sql/mesh_fold.h"


static void ngx_mesh_tree_init(ngx_mesh_tree_t *t, ngx_rbtree_insert_pt fn);
static void ngx_mesh_model_free(ngx_mesh_tree_t *t);
static ngx_mesh_tree_t *ngx_mesh_access_subject(ngx_mesh_model_t *m,
    ngx_mesh_access_t *a, int64_t *id);
static ngx_mesh_tree_t *ngx_mesh_access_object(ngx_mesh_model_t *m,
    ngx_mesh_access_t *a, int64_t *id);


static void
ngx_mesh_tree_init(ngx_mesh_tree_t *t, ngx_rbtree_insert_pt fn)
{
    ngx_rbtree_init(&t->tree, &t->sentinel, fn);
}


ngx_rbtree_node_t *
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


ngx_mesh_list_t *
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


ngx_mesh_model_t *
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


void
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


ngx_int_t
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


ngx_mesh_domain_t *
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


ngx_int_t
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
void
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


ngx_int_t
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


void
ngx_mesh_user_group_drop(ngx_mesh_model_t *m, int64_t id)
{
    ngx_rbtree_node_t  *node;

    node = ngx_mesh_tree_find(&m->user_group, id);

    if (node) {
        ngx_rbtree_delete(&m->user_group.tree, node);
        ngx_free(node);
    }
}


ngx_int_t
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


void
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


ngx_int_t
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


void
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
void
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


ngx_int_t
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


void
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

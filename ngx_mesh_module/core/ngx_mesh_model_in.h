/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Inside the model: what the files of ngx_mesh_model*.c share.
 */

#ifndef NGX_MESH_MODEL_IN_H
#define NGX_MESH_MODEL_IN_H

#include "ngx_mesh_model.h"
#include "ngx_mesh_id.h"
#include "../../proto/mesh.h"


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


/* ngx_mesh_model.c; NULL before it is loaded */
extern ngx_mesh_model_t  *ngx_mesh_model;
extern ngx_uint_t         ngx_mesh_model_generation;
extern int64_t            ngx_mesh_model_ends;    /* first grant to end */
extern int64_t            ngx_mesh_model_bound;   /* of changes; -1: none */

/* ngx_mesh_model_ask.c */
ngx_mesh_access_t *ngx_mesh_access_at(ngx_queue_t *p, size_t link);

/* ngx_mesh_model_rows.c */
ngx_rbtree_node_t *ngx_mesh_tree_find(ngx_mesh_tree_t *t, int64_t id);
ngx_mesh_list_t *ngx_mesh_list(ngx_mesh_tree_t *t, int64_t id,
    ngx_uint_t create);
ngx_mesh_model_t *ngx_mesh_model_create(void);
void ngx_mesh_model_destroy(ngx_mesh_model_t *m);
ngx_int_t ngx_mesh_model_domains(ngx_mesh_model_t *m, ngx_mesh_db_req_t *q,
    ngx_uint_t i);
ngx_mesh_domain_t *ngx_mesh_model_domain(ngx_mesh_model_t *m,
    int64_t domain_id);
ngx_int_t ngx_mesh_account_set(ngx_mesh_model_t *m, ngx_str_t *row);
void ngx_mesh_account_drop(ngx_mesh_model_t *m, int64_t id);
ngx_int_t ngx_mesh_user_group_set(ngx_mesh_model_t *m, ngx_str_t *row);
void ngx_mesh_user_group_drop(ngx_mesh_model_t *m, int64_t id);
ngx_int_t ngx_mesh_group_set(ngx_mesh_model_t *m, ngx_str_t *row);
void ngx_mesh_group_drop(ngx_mesh_model_t *m, int64_t id);
ngx_int_t ngx_mesh_access_set(ngx_mesh_model_t *m, ngx_str_t *row);
void ngx_mesh_access_drop(ngx_mesh_model_t *m, int64_t id);
void ngx_mesh_access_drop_all(ngx_mesh_model_t *m, ngx_mesh_tree_t *t,
    int64_t id, size_t link);
ngx_int_t ngx_mesh_member_set(ngx_mesh_model_t *m, ngx_str_t *row);
void ngx_mesh_member_drop(ngx_mesh_model_t *m, int64_t account_id);

/* ngx_mesh_model_keep.c */
void ngx_mesh_keep_init(ngx_cycle_t *cycle);


#endif

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "ngx_mesh_busy.h"
#include "ngx_mesh_model.h"


#define NGX_MESH_BUSY_MAX   10000     /* relays in one picture */
#define NGX_MESH_BUSY_NONE  100       /* a kind that no list shows */


static ngx_int_t ngx_mesh_busy_add(const ngx_mesh_running_t *r, void *data);
static ngx_uint_t ngx_mesh_busy_kind(uint32_t p);
static int ngx_libc_cdecl ngx_mesh_busy_cmp(const void *one,
    const void *two);
static ngx_mesh_one_busy_t *ngx_mesh_busy_first(ngx_mesh_busy_t *busy,
    const u_char *node);


/* in the order of ngx_mesh_busy_kind() */
static const char  *ngx_mesh_busy_kinds[] = {
    "kvm", "terminal", "files", "tcp", "udp"
};


ngx_int_t
ngx_mesh_busy_init(ngx_mesh_busy_t *busy, ngx_pool_t *pool, int64_t domain_id,
    const u_char *node)
{
    ngx_uint_t            i, n;
    ngx_mesh_one_busy_t  *one;

    busy->node = node;

    if (ngx_array_init(&busy->list, pool, 4, sizeof(ngx_mesh_one_busy_t))
        != NGX_OK
        || ngx_mesh_running_each(domain_id, ngx_mesh_busy_add, busy)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    one = busy->list.elts;

    if (busy->list.nelts == 0) {
        return NGX_OK;
    }

    ngx_qsort(one, busy->list.nelts, sizeof(ngx_mesh_one_busy_t),
              ngx_mesh_busy_cmp);

    for (i = 1, n = 0; i < busy->list.nelts; i++) {

        if (ngx_mesh_busy_cmp(&one[n], &one[i]) == 0) {
            one[n].n++;

        } else {
            one[++n] = one[i];
        }
    }

    busy->list.nelts = n + 1;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_busy_add(const ngx_mesh_running_t *r, void *data)
{
    ngx_mesh_busy_t *busy = data;

    ngx_uint_t            kind;
    ngx_mesh_one_busy_t  *one;

    kind = ngx_mesh_busy_kind(r->p);

    if (kind == NGX_MESH_BUSY_NONE || r->called_id
        || (busy->node
            && ngx_memcmp(busy->node, r->node, NGX_MESH_ID_LEN) != 0))
    {
        return NGX_OK;
    }

    if (busy->list.nelts == NGX_MESH_BUSY_MAX) {
        return NGX_OK;
    }

    one = ngx_array_push(&busy->list);
    if (one == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(one->node, r->node, NGX_MESH_ID_LEN);
    one->account_id = r->account_id;
    one->kind = kind;
    one->n = 1;

    return NGX_OK;
}


/* session.md, the table of usages */
static ngx_uint_t
ngx_mesh_busy_kind(uint32_t p)
{
    if (p & NGX_MESH_P_UDP) {
        return 4;
    }

    if (p & NGX_MESH_P_TCP) {
        return 3;
    }

    switch (p & ~NGX_MESH_P_FLAGS) {

    case 2:
        return 0;

    case 1:
    case 6:
    case 8:
    case 9:
        return 1;

    case 4:
    case 5:
    case 10:
    case NGX_MESH_P_FETCH:
        return 2;

    case 11:
    case 12:
    case 13:
    case 14:
        return 3;

    default:
        return NGX_MESH_BUSY_NONE;
    }
}


static int ngx_libc_cdecl
ngx_mesh_busy_cmp(const void *one, const void *two)
{
    ngx_int_t                   rc;
    const ngx_mesh_one_busy_t  *a, *b;

    a = one;
    b = two;

    rc = ngx_memcmp(a->node, b->node, NGX_MESH_ID_LEN);

    if (rc) {
        return rc < 0 ? -1 : 1;
    }

    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }

    if (a->account_id != b->account_id) {
        return a->account_id < b->account_id ? -1 : 1;
    }

    return 0;
}


/* the end of the list, if there is none */
static ngx_mesh_one_busy_t *
ngx_mesh_busy_first(ngx_mesh_busy_t *busy, const u_char *node)
{
    ngx_uint_t            low, high, middle;
    ngx_mesh_one_busy_t  *one;

    one = busy->list.elts;
    low = 0;
    high = busy->list.nelts;

    while (low < high) {
        middle = (low + high) / 2;

        if (ngx_memcmp(one[middle].node, node, NGX_MESH_ID_LEN) < 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return one + low;
}


ngx_uint_t
ngx_mesh_busy_has(ngx_mesh_busy_t *busy, const u_char *node)
{
    ngx_mesh_one_busy_t  *one, *last;

    one = ngx_mesh_busy_first(busy, node);
    last = (ngx_mesh_one_busy_t *) busy->list.elts + busy->list.nelts;

    return one < last && ngx_memcmp(one->node, node, NGX_MESH_ID_LEN) == 0;
}


void
ngx_mesh_busy_write(ngx_mesh_busy_t *busy, ngx_mesh_jw_t *w,
    const u_char *node)
{
    u_char                id[8 + 2 * 256];
    ngx_str_t             user;
    ngx_uint_t            open;
    ngx_mesh_account_t   *account;
    ngx_mesh_one_busy_t  *one, *last;

    one = ngx_mesh_busy_first(busy, node);
    last = (ngx_mesh_one_busy_t *) busy->list.elts + busy->list.nelts;
    open = 0;

    while (one < last && ngx_memcmp(one->node, node, NGX_MESH_ID_LEN) == 0) {

        if (!open) {
            open = 1;
            ngx_mesh_jw_open(w, ngx_mesh_busy_kinds[one->kind], '{');
        }

        account = ngx_mesh_account(one->account_id);

        if (account) {
            user.data = id;
            user.len = ngx_snprintf(id, sizeof(id), "user/%V/%V",
                                    &account->domain, &account->login)
                       - id;

            ngx_mesh_jw_name(w, &user);
            ngx_mesh_jw_int(w, NULL, one->n);
        }

        one++;

        if (one == last || one->kind != one[-1].kind
            || ngx_memcmp(one->node, node, NGX_MESH_ID_LEN) != 0)
        {
            open = 0;
            ngx_mesh_jw_shut(w, '}');
        }
    }
}

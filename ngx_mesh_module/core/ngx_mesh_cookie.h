/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Tickets ("cookies" of control.md 2.4): AES-256-GCM over a JSON object, and
 * small crypto that several endpoints need.
 */

#ifndef _NGX_MESH_COOKIE_H_INCLUDED_
#define _NGX_MESH_COOKIE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_db.h"
#include "ngx_mesh_json.h"


/* one kind never serves as another: the kind is the AAD */
#define NGX_MESH_TICKET_AUTH    'A'   /* control and relay, 60 min */
#define NGX_MESH_TICKET_RELAY   'R'   /* agent half, 60 s */
#define NGX_MESH_TICKET_RCOOKIE 'C'   /* means nothing, clients paste it */
#define NGX_MESH_TICKET_UPDATE  'U'
#define NGX_MESH_TICKET_WEB     'W'   /* opens a page of a device, once */
#define NGX_MESH_TICKET_WEB_PAGE  'w' /* the cookie of one that is open */

#define NGX_MESH_TICKET_WEB_LIFE  300 /* seconds: some links are pasted */
#define NGX_MESH_TICKET_ROUTE   'T'   /* getcookie: one target, 60 min */
#define NGX_MESH_TICKET_CHAT    'M'   /* who is at a device, messenger */

typedef struct {
    u_char        kind;
    int64_t       domain_id;
    int64_t       account_id;
    int64_t       device_id;
    int64_t       group_id;
    int64_t       password_at;        /* of the account when made */
    u_char        node[48];
    ngx_str_t     id;                 /* relay id, at most 64 */
    ngx_str_t     addr;               /* of a target, as it was checked */
    uint32_t      port;
    uint32_t      p;
    uint32_t      rights;
    time_t        expires;
    u_char        session[32];        /* web session hash, or zeros */
} ngx_mesh_ticket_t;

/*
 * Text in the alphabet of control.md 2.4, without "$$"; out in pool.
 * NGX_ERROR: no key yet (database away) or no memory.
 */
ngx_int_t ngx_mesh_ticket_write(const ngx_mesh_ticket_t *t, ngx_pool_t *pool,
    ngx_str_t *out);
/* checks kind, age, MAC, form; NGX_DECLINED: not valid.  id and addr are in
   pool */
ngx_int_t ngx_mesh_ticket_read(ngx_mesh_ticket_t *t, u_char kind,
    const ngx_str_t *text, ngx_pool_t *pool);

/* PBKDF2-SHA384, in the thread pool, two at a time per worker */
typedef struct {
    ngx_str_t     password;           /* wiped by the owner after done */
    ngx_str_t     stored;             /* credential.secret, or empty */
    ngx_str_t     made;               /* result of hashing */
    ngx_uint_t    ok;                 /* result of verifying */
    ngx_uint_t    rehash;             /* stored one is weaker than ours */
    void        (*done)(void *data);
    void         *data;
    ngx_pool_t   *pool;               /* lives until done */
} ngx_mesh_password_t;

/*
 * done() comes from the event loop.  NGX_BUSY: too many wait already,
 * NGX_ERROR: no thread; done() does not come then.
 *
 * stored empty: a dummy of the same cost is computed and ok is 0 (S-44)
 */
ngx_int_t ngx_mesh_password_verify(ngx_mesh_password_t *p);
ngx_int_t ngx_mesh_password_hash(ngx_mesh_password_t *p);

ngx_int_t ngx_mesh_random(u_char *p, size_t n);
/* 1 if equal; takes as long if not */
ngx_uint_t ngx_mesh_equal(const void *a, const void *b, size_t n);
void ngx_mesh_sha256(const void *data, size_t len, u_char *hash);
void ngx_mesh_sha384(const void *data, size_t len, u_char *hash);
void ngx_mesh_hmac_sha256(const ngx_str_t *key, const void *data, size_t len,
    u_char *mac);

/* server_key "login" etc., loaded at start; NULL: not yet */
ngx_str_t *ngx_mesh_server_key(const char *name);

/*
 * Tickets are written under "ticket"; what was written under "ticket-old" is
 * read for this long after "ticket" was made.
 */
#define NGX_MESH_TICKET_OVERLAP  86400000     /* ms */

/* reads the keys (again): the model's, at start and when one changed */
void ngx_mesh_server_keys_load(void);


#endif /* _NGX_MESH_COOKIE_H_INCLUDED_ */

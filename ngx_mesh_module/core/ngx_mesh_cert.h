/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* The outer certificate: hashes under which agents may have seen us. */

#ifndef _NGX_MESH_CERT_H_INCLUDED_
#define _NGX_MESH_CERT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_mesh_conf.h"


typedef struct {
    u_char      full[48];             /* SHA-384 of the DER */
    u_char      key[48];              /* KeyHash, RSA only, or zeros */
    u_char      spki[32];             /* SHA-256 of SubjectPublicKeyInfo */
    ngx_str_t   subject;
    time_t      expires;
    unsigned    rsa:1;
    unsigned    old:1;                /* replaced, in its grace period */
    unsigned    read:1;               /* 0: named by its hash, no spki */
} ngx_mesh_outer_t;

/*
 * Is hash (48 bytes, what the agent saw) one of ours on this connection?
 * full is set to the FullHash to be signed over.
 *   NGX_OK, NGX_DECLINED: no; NGX_AGAIN: being fetched again, hold and ask
 *   later
 */
ngx_int_t ngx_mesh_cert_accept(ngx_http_mesh_srv_conf_t *srv,
    ngx_connection_t *c, const u_char *hash, u_char *full);

/* the current hash an agent will see (ECDSA before RSA), from the zone */
ngx_int_t ngx_mesh_cert_current(ngx_http_mesh_srv_conf_t *srv, u_char *full);

/* for the status page and the log of a mismatch */
ngx_uint_t ngx_mesh_cert_list(ngx_http_mesh_srv_conf_t *srv,
    ngx_mesh_outer_t *list, ngx_uint_t max);

/*
 * The spki of those that a client may be shown now, for curl --pinnedpubkey;
 * none where one of them is not known
 */
ngx_uint_t ngx_mesh_cert_pins(ngx_http_mesh_srv_conf_t *srv,
    u_char (*pins)[32], ngx_uint_t max);

/* init_module: walks the SSL contexts; NGX_ERROR refuses the start */
ngx_int_t ngx_mesh_cert_init_module(ngx_cycle_t *cycle);
ngx_int_t ngx_mesh_cert_init(ngx_cycle_t *cycle);


#endif /* _NGX_MESH_CERT_H_INCLUDED_ */

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* The worker's link to mesh-signer. */

#ifndef _NGX_MESH_SIGNER_H_INCLUDED_
#define _NGX_MESH_SIGNER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    u_char      input[144];           /* web hash, agent nonce, server nonce */
    ngx_uint_t  key;                  /* identity, 0: the agent server key */
    u_char      signature[512];
    size_t      len;
    void      (*done)(void *data, ngx_int_t rc);   /* NGX_OK or NGX_ERROR */
    void       *data;
    ngx_queue_t queue;
    uint32_t    id;
    ngx_msec_t  asked;
    unsigned    busy:1;
} ngx_mesh_sign_t;                    /* owned by the caller until done */

/* queued even while the signer is away: it is sent when it is back */
void ngx_mesh_sign(ngx_mesh_sign_t *sign);
void ngx_mesh_sign_cancel(ngx_mesh_sign_t *sign);

/* DER certificate and KeyHash of identity n; NGX_DECLINED: not known yet */
ngx_int_t ngx_mesh_signer_identity(ngx_uint_t n, ngx_str_t *der,
    u_char *keyhash);
ngx_uint_t ngx_mesh_signer_up(void);
/* expected wait for a signature, in ms */
ngx_msec_t ngx_mesh_signer_wait(void);

ngx_int_t ngx_mesh_signer_init(ngx_cycle_t *cycle);
void ngx_mesh_signer_exit(ngx_cycle_t *cycle);


#endif /* _NGX_MESH_SIGNER_H_INCLUDED_ */

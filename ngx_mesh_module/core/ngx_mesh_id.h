/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Wire ids (control.md 4.1): 48 bytes as 64 characters of base64 with '@' and
 * '$' for '+' and '/'; long form "node/D/<64>", "mesh/D/<64>".
 */

#ifndef _NGX_MESH_ID_H_INCLUDED_
#define _NGX_MESH_ID_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_shm.h"


#define NGX_MESH_ID_TEXT  64          /* characters of a short id */


/* writes 64 characters; returns the byte behind */
u_char *ngx_mesh_id_write(u_char *dst, const u_char *raw);

/* exactly 64 characters of the alphabet; NGX_DECLINED: not that */
ngx_int_t ngx_mesh_id_parse(const u_char *text, size_t len, u_char *raw);

/*
 * Short or long id of a device or a device group of this domain.
 * NGX_DECLINED: malformed, another kind, or of another domain.
 */
ngx_int_t ngx_mesh_node_parse(int64_t domain_id, const ngx_str_t *id,
    u_char *raw);
ngx_int_t ngx_mesh_mesh_parse(int64_t domain_id, const ngx_str_t *id,
    u_char *raw);

/* upper-case hex, as the server shows hashes; returns the byte behind */
u_char *ngx_mesh_hex_upper(u_char *dst, const u_char *src, size_t len);


#endif /* _NGX_MESH_ID_H_INCLUDED_ */

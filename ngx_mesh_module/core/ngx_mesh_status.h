/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* The state of the server, for mesh_status, health.ashx and the page. */

#ifndef _NGX_MESH_STATUS_H_INCLUDED_
#define _NGX_MESH_STATUS_H_INCLUDED_


#include "../ngx_mesh.h"


/* members of an open object; full: refused agents and certificates too */
void ngx_mesh_status_json(ngx_mesh_jw_t *w, ngx_http_mesh_srv_conf_t *srv,
    ngx_uint_t full);

/* text format 0.0.4; in pool */
ngx_int_t ngx_mesh_status_prometheus(ngx_pool_t *pool, ngx_str_t *text);

/* "ok", or a line for each thing that is down; returns 1 when all is well */
ngx_uint_t ngx_mesh_status_health(ngx_str_t *text);


#endif /* _NGX_MESH_STATUS_H_INCLUDED_ */

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_MESH_CONTROL_H_INCLUDED_
#define _NGX_MESH_CONTROL_H_INCLUDED_


#include "../ngx_mesh.h"
#include "../core/ngx_mesh_auth.h"


/* control.ashx */
ngx_int_t ngx_http_mesh_control_handler(ngx_http_request_t *r);

/* init_process: the receiving side of events and changes */
ngx_int_t ngx_mesh_control_init(ngx_cycle_t *cycle);


#endif /* _NGX_MESH_CONTROL_H_INCLUDED_ */

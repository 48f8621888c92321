/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Between the files of ws/. */

#ifndef _NGX_MESH_WS_PRIVATE_H_INCLUDED_
#define _NGX_MESH_WS_PRIVATE_H_INCLUDED_


#include "ngx_mesh_ws.h"


#define NGX_MESH_WS_READ  65536       /* bytes parsed at once, at most */


typedef struct ngx_mesh_out_s  ngx_mesh_out_t;


void ngx_mesh_ws_begin(ngx_mesh_session_t *s);
void ngx_mesh_ws_parse(ngx_mesh_session_t *s, u_char *pos, size_t size);
void ngx_mesh_ws_read_handler(ngx_event_t *rev);
void ngx_mesh_ws_write(ngx_event_t *wev);
void ngx_mesh_ws_fail(ngx_mesh_session_t *s);
void ngx_mesh_ws_insert_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
void ngx_mesh_ws_bus_init(void);


#endif /* _NGX_MESH_WS_PRIVATE_H_INCLUDED_ */

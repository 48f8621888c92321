/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* What the module calls of its parts: handlers of paths, and their start. */

#ifndef _NGX_MESH_ENDPOINTS_H_INCLUDED_
#define _NGX_MESH_ENDPOINTS_H_INCLUDED_


#include "ngx_mesh.h"
#include "ws/ngx_mesh_ws_private.h"
#include "ws/ngx_mesh_dial.h"


ngx_int_t ngx_http_mesh_agent_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_mesh_control_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_mesh_relay_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_mesh_echo_handler(ngx_http_request_t *r);

ngx_int_t ngx_http_mesh_web_session_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_mesh_web_login_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_mesh_web_logout_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_mesh_web_setup_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_mesh_web_health_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_mesh_web_settings_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_mesh_web_agents_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_mesh_web_root_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_mesh_web_recording_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_mesh_web_fetch_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_mesh_status_handler(ngx_http_request_t *r);

ngx_int_t ngx_mesh_agent_init(ngx_cycle_t *cycle);
ngx_int_t ngx_mesh_control_init(ngx_cycle_t *cycle);
ngx_int_t ngx_mesh_relay_init(ngx_cycle_t *cycle);
void ngx_mesh_relay_exit(void);
ngx_int_t ngx_mesh_web_fetch_init(ngx_cycle_t *cycle);

char *ngx_http_mesh_web_relay(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_mesh_web_relay_variables(ngx_conf_t *cf);
ngx_int_t ngx_mesh_web_relay_conf(ngx_conf_t *cf);
ngx_int_t ngx_mesh_web_relay_init(ngx_cycle_t *cycle);
void ngx_mesh_web_relay_exit(void);


#endif /* _NGX_MESH_ENDPOINTS_H_INCLUDED_ */

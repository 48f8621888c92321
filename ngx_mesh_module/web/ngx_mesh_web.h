/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* What is answered by plain HTTP: sessions, set-up, downloads, status. */

#ifndef _NGX_MESH_WEB_H_INCLUDED_
#define _NGX_MESH_WEB_H_INCLUDED_


#include "../ngx_mesh.h"
#include "../core/ngx_mesh_auth.h"


#define NGX_MESH_WEB_BODY  16384      /* bytes of a POST */


/* content handlers, by the last part of the path */
ngx_int_t ngx_http_mesh_web_session_handler(ngx_http_request_t *r);
                                      /* session.ashx */
ngx_int_t ngx_http_mesh_web_login_handler(ngx_http_request_t *r);
                                      /* login.ashx */
ngx_int_t ngx_http_mesh_web_logout_handler(ngx_http_request_t *r);
                                      /* logout.ashx */
ngx_int_t ngx_http_mesh_web_setup_handler(ngx_http_request_t *r);
                                      /* setup.ashx */
ngx_int_t ngx_http_mesh_web_health_handler(ngx_http_request_t *r);
                                      /* health.ashx */
ngx_int_t ngx_http_mesh_web_settings_handler(ngx_http_request_t *r);
                                      /* meshsettings */
ngx_int_t ngx_http_mesh_web_agents_handler(ngx_http_request_t *r);
                                      /* meshagents */
ngx_int_t ngx_http_mesh_web_root_handler(ngx_http_request_t *r);
                                      /* MeshServerRootCert.cer */
ngx_int_t ngx_http_mesh_web_recording_handler(ngx_http_request_t *r);
                                      /* recordings.ashx */
ngx_int_t ngx_http_mesh_web_fetch_handler(ngx_http_request_t *r);
                                      /* devicefile.ashx */
ngx_int_t ngx_mesh_web_fetch_init(ngx_cycle_t *cycle);

/* mesh_web_relay: the directive, variables, checks, start */
char *ngx_http_mesh_web_relay(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_mesh_web_relay_variables(ngx_conf_t *cf);
ngx_int_t ngx_mesh_web_relay_conf(ngx_conf_t *cf);
ngx_int_t ngx_mesh_web_relay_init(ngx_cycle_t *cycle);
void ngx_mesh_web_relay_exit(void);

/* the content handler of a location with mesh_status */
ngx_int_t ngx_http_mesh_status_handler(ngx_http_request_t *r);


/* Shared by the files of web/. */

/* a header of the answer; value is borrowed; NGX_ERROR: no memory */
ngx_int_t ngx_mesh_web_header(ngx_http_request_t *r, const char *name,
    const char *value);

/*
 * Sends a whole answer with the headers of safety and no-store; text is
 * borrowed until the request ends.  Returns what to finalize r with.
 */
ngx_int_t ngx_mesh_web_send(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, const ngx_str_t *text);

/* {"error":…,"code":…} and a retry time, if it is not 0 */
ngx_int_t ngx_mesh_web_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *error, ngx_uint_t retry);

/* the headers of safety, on downloads too */
ngx_int_t ngx_mesh_web_safe(ngx_http_request_t *r);

/* r lives until the release, whatever its connection does */
void ngx_mesh_web_hold(ngx_http_request_t *r);
void ngx_mesh_web_release(ngx_http_request_t *r, ngx_int_t rc);

/*
 * scheme://host[:port]/prefix/ under which this request came, or mesh_url;
 * scheme is "https" or "wss".  NGX_DECLINED: Host or path hold what does not
 * belong there.
 */
ngx_int_t ngx_mesh_web_base(ngx_http_request_t *r, const char *scheme,
    ngx_str_t *base);


#endif /* _NGX_MESH_WEB_H_INCLUDED_ */

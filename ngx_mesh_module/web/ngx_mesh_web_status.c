/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* health.ashx and mesh_status */

#include "ngx_mesh_web.h"
#include "../core/ngx_mesh_status.h"


ngx_int_t
ngx_http_mesh_web_health_handler(ngx_http_request_t *r)
{
    ngx_str_t   text;
    ngx_uint_t  well;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        return NGX_HTTP_BAD_REQUEST;
    }

    well = ngx_mesh_status_health(&text);

    return ngx_mesh_web_send(r, well ? NGX_HTTP_OK
                                     : NGX_HTTP_SERVICE_UNAVAILABLE,
                             "text/plain", &text);
}


ngx_int_t
ngx_http_mesh_status_handler(ngx_http_request_t *r)
{
    ngx_str_t                  text;
    ngx_mesh_jw_t              w;
    ngx_http_mesh_loc_conf_t  *mlcf;
    ngx_http_mesh_srv_conf_t  *srv;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_mesh_module);
    srv = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);

    if (mlcf->status == NGX_MESH_STATUS_HEALTH) {
        return ngx_http_mesh_web_health_handler(r);
    }

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        return NGX_HTTP_BAD_REQUEST;
    }

    if (mlcf->status == NGX_MESH_STATUS_PROMETHEUS) {

        if (ngx_mesh_status_prometheus(r->pool, &text) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_mesh_web_send(r, NGX_HTTP_OK,
                                 "text/plain; version=0.0.4", &text);
    }

    if (ngx_mesh_jw_init(&w, r->pool, 8192) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_status_json(&w, srv, 0);
    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &text) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_mesh_web_send(r, NGX_HTTP_OK, "application/json", &text);
}

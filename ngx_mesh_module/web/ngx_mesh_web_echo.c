/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* echo.ashx: what is sent comes back; the text "close" ends it. */

#include "../ngx_mesh.h"
#include "../core/ngx_mesh_auth.h"


#define NGX_MESH_ECHO_MAX  65536


typedef struct {
    ngx_str_t  address;
    u_char     data[64];
} ngx_mesh_echo_t;


static ngx_int_t ngx_mesh_echo_open(ngx_mesh_session_t *s);
static ngx_int_t ngx_mesh_echo_message(ngx_mesh_session_t *s,
    ngx_uint_t opcode, u_char *data, size_t len);
static void ngx_mesh_echo_close(ngx_mesh_session_t *s);


static const ngx_mesh_class_t  ngx_mesh_echo_class = {
    .name = "echo",
    .gauge = NGX_MESH_GAUGES,
    .open = ngx_mesh_echo_open,
    .message = ngx_mesh_echo_message,
    .close = ngx_mesh_echo_close
};


/* anybody may use it: it counts like a control channel of that address */
ngx_int_t
ngx_http_mesh_echo_handler(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_str_t                 *address;
    ngx_mesh_echo_t           *echo;
    ngx_http_mesh_srv_conf_t  *mscf;

    echo = ngx_calloc(sizeof(ngx_mesh_echo_t), r->connection->log);
    if (echo == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    address = ngx_mesh_address(r);
    echo->address.len = ngx_min(address->len, sizeof(echo->data));
    echo->address.data = echo->data;
    ngx_memcpy(echo->data, address->data, echo->address.len);

    mscf = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);

    if (ngx_mesh_limit_enter(NGX_MESH_LIMIT_CONTROL, &echo->address,
                             mscf->limit_address[NGX_MESH_LIMIT_CONTROL])
        != NGX_OK)
    {
        ngx_mesh_count(NGX_MESH_C_LIMITED);
        ngx_free(echo);
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    rc = ngx_mesh_ws_accept(r, &ngx_mesh_echo_class, echo);

    if (rc != NGX_DONE) {
        ngx_mesh_limit_leave(NGX_MESH_LIMIT_CONTROL, &echo->address);
        ngx_free(echo);
    }

    return rc;
}


static ngx_int_t
ngx_mesh_echo_open(ngx_mesh_session_t *s)
{
    s->message_max = NGX_MESH_ECHO_MAX;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_echo_message(ngx_mesh_session_t *s, ngx_uint_t opcode, u_char *data,
    size_t len)
{
    if (opcode == NGX_MESH_WS_TEXT && len == 5
        && ngx_memcmp(data, "close", 5) == 0)
    {
        ngx_mesh_ws_close(s, MESH_WS_CODE_NORMAL);
        return NGX_OK;
    }

    /* who does not read loses what is over the mark */
    (void) ngx_mesh_ws_send(s, opcode, data, len);

    return NGX_OK;
}


static void
ngx_mesh_echo_close(ngx_mesh_session_t *s)
{
    ngx_mesh_echo_t  *echo;

    echo = s->data;
    ngx_mesh_limit_leave(NGX_MESH_LIMIT_CONTROL, &echo->address);
    ngx_free(echo);
}

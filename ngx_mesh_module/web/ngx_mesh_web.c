/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "ngx_mesh_web.h"


static const struct {
    const char  *name, *value;
} ngx_mesh_web_headers[] = {
    { "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"
                                 "; base-uri 'none'; form-action 'none'" },
    { "X-Content-Type-Options", "nosniff" },
    { "X-Frame-Options", "DENY" },
    { "Referrer-Policy", "no-referrer" },
    { "Cross-Origin-Resource-Policy", "same-origin" },
    { NULL, NULL }
};


ngx_int_t
ngx_mesh_web_header(ngx_http_request_t *r, const char *name,
    const char *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.data = (u_char *) value;
    h->value.len = ngx_strlen(value);

    return NGX_OK;
}


ngx_int_t
ngx_mesh_web_safe(ngx_http_request_t *r)
{
    ngx_uint_t  i;

    for (i = 0; ngx_mesh_web_headers[i].name; i++) {
        if (ngx_mesh_web_header(r, ngx_mesh_web_headers[i].name,
                                ngx_mesh_web_headers[i].value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_web_send(ngx_http_request_t *r, ngx_uint_t status, const char *type,
    const ngx_str_t *text)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    if (ngx_mesh_web_safe(r) != NGX_OK
        || ngx_mesh_web_header(r, "Cache-Control", "no-store") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = text->len;
    r->headers_out.content_type.data = (u_char *) type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    if (text->len == 0) {
        r->header_only = 1;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = text->data;
    b->last = text->data + text->len;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_mesh_web_error(ngx_http_request_t *r, ngx_uint_t status, const char *code,
    const char *error, ngx_uint_t retry)
{
    u_char         *seconds;
    ngx_str_t       text;
    ngx_mesh_jw_t   w;

    if (ngx_mesh_jw_init(&w, r->pool, 256) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_cstr(&w, "error", error);
    ngx_mesh_jw_cstr(&w, "code", code);

    if (retry) {
        ngx_mesh_jw_int(&w, "retry", retry);
    }

    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &text) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (retry) {
        seconds = ngx_pnalloc(r->pool, NGX_INT_T_LEN + 1);
        if (seconds == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        *ngx_sprintf(seconds, "%ui", retry) = '\0';

        if (ngx_mesh_web_header(r, "Retry-After", (char *) seconds)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_mesh_web_send(r, status, "application/json", &text);
}


void
ngx_mesh_web_hold(ngx_http_request_t *r)
{
    r->main->count++;
    r->main->blocked++;
}


void
ngx_mesh_web_release(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_connection_t  *c;

    c = r->connection;

    r->main->blocked--;

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


ngx_int_t
ngx_mesh_web_base(ngx_http_request_t *r, const char *scheme, ngx_str_t *base)
{
    size_t                     len;
    u_char                    *p, *last, *slash;
    ngx_str_t                  host, path;
    ngx_http_mesh_srv_conf_t  *srv;

    srv = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);

    if (srv->url.len > sizeof("https://") - 1) {

        /* from the configuration; its scheme is https */

        host = srv->url;
        host.data += sizeof("https://") - 1;
        host.len -= sizeof("https://") - 1;

        ngx_str_set(&path, "/");

        if (host.data[host.len - 1] == '/') {
            host.len--;
        }

    } else {

        if (r->headers_in.host == NULL) {
            return NGX_DECLINED;
        }

        host = r->headers_in.host->value;

        if (host.len == 0 || host.len > 255) {
            return NGX_DECLINED;
        }

        for (p = host.data; p < host.data + host.len; p++) {
            if (!(*p >= '0' && *p <= '9') && !(*p >= 'a' && *p <= 'z')
                && !(*p >= 'A' && *p <= 'Z') && *p != '.' && *p != '-'
                && *p != ':' && *p != '[' && *p != ']' && *p != '_')
            {
                return NGX_DECLINED;
            }
        }

        path = r->uri;

        for (p = path.data; p < path.data + path.len; p++) {
            if (!(*p >= '0' && *p <= '9') && !(*p >= 'a' && *p <= 'z')
                && !(*p >= 'A' && *p <= 'Z') && *p != '.' && *p != '-'
                && *p != '/' && *p != '_' && *p != '~')
            {
                return NGX_DECLINED;
            }
        }

        last = path.data + path.len;
        slash = last;

        while (slash > path.data && slash[-1] != '/') {
            slash--;
        }

        path.len = slash - path.data;
    }

    len = ngx_strlen(scheme) + 3 + host.len + 1 + path.len + 5;

    base->data = ngx_pnalloc(r->pool, len);
    if (base->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(base->data, "%s://%V", scheme, &host);

    /* agents want the port in any case */

    last = (u_char *) ngx_strlchr(base->data + ngx_strlen(scheme) + 3, p, '/');

    if (last == NULL) {
        slash = p;

        while (slash > base->data && *slash != ':' && *slash != ']') {
            slash--;
        }

        if (*slash != ':' || slash[1] == '/') {
            p = ngx_sprintf(p, ":443");
        }
    }

    p = ngx_cpymem(p, path.data, path.len);
    base->len = p - base->data;

    return NGX_OK;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* recordings.ashx?file=NAME: one recording, or a range of it (session.md 8.7) */

#include "ngx_mesh_web.h"
#include "../core/ngx_mesh_recording.h"


static void ngx_mesh_web_recording_who(void *data, ngx_mesh_auth_t *who,
    const char *cause, const char *msg);
static void ngx_mesh_web_recording_got(ngx_mesh_recording_req_t *req);
static ngx_int_t ngx_mesh_web_recording_send(ngx_http_request_t *r,
    ngx_mesh_recording_req_t *req);


ngx_int_t
ngx_http_mesh_web_recording_handler(ngx_http_request_t *r)
{
    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        return NGX_HTTP_BAD_REQUEST;
    }

    return ngx_mesh_auth_session(r, ngx_mesh_web_recording_who, r);
}


static void
ngx_mesh_web_recording_who(void *data, ngx_mesh_auth_t *who,
    const char *cause, const char *msg)
{
    ngx_http_request_t *r = data;

    ngx_str_t                  file;
    ngx_mesh_account_t        *account;
    ngx_http_mesh_srv_conf_t  *srv;

    if (who == NULL && cause == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_SERVICE_UNAVAILABLE);
        return;
    }

    srv = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);
    account = who ? ngx_mesh_account(who->account_id) : NULL;

    if (account == NULL
        || !ngx_mesh_right(account->site_rights, NGX_MESH_S_RECORDINGS)
        || srv->record.path == NULL
        || ngx_mesh_arg(r, "file", &file) != NGX_OK
        || !ngx_mesh_recording_valid(&file))
    {
        ngx_http_finalize_request(r, NGX_HTTP_UNAUTHORIZED);
        return;
    }

    /* the count is the one of auth */
    r->main->blocked++;

    if (ngx_mesh_recording_open(&srv->record, &file,
                                ngx_mesh_web_recording_got, r)
        != NGX_OK)
    {
        r->main->blocked--;
        ngx_http_finalize_request(r, NGX_HTTP_SERVICE_UNAVAILABLE);
    }
}


static void
ngx_mesh_web_recording_got(ngx_mesh_recording_req_t *req)
{
    ngx_http_request_t        *r;
    ngx_http_mesh_srv_conf_t  *srv;

    r = req->data;
    srv = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);

    if (req->err || !ngx_mesh_recording_of(&req->list[0], &srv->domain)) {

        if (req->fd != NGX_INVALID_FILE) {
            (void) ngx_close_file(req->fd);
        }

        ngx_mesh_web_release(r, NGX_HTTP_NOT_FOUND);
        return;
    }

    ngx_mesh_web_release(r, ngx_mesh_web_recording_send(r, req));
}


static ngx_int_t
ngx_mesh_web_recording_send(ngx_http_request_t *r,
    ngx_mesh_recording_req_t *req)
{
    size_t                     len;
    u_char                    *name, *p;
    ngx_buf_t                 *b;
    ngx_int_t                  rc;
    ngx_chain_t                out;
    ngx_pool_cleanup_t        *cln;
    ngx_mesh_recording_t      *rec;
    ngx_pool_cleanup_file_t   *clnf;

    rec = &req->list[0];
    len = ngx_strlen(rec->name);

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_pool_cleanup_file_t));

    if (cln == NULL) {
        (void) ngx_close_file(req->fd);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    name = ngx_pnalloc(r->pool, 2 * len + sizeof("attachment; filename=\"\"")
                                + 1);
    b = ngx_calloc_buf(r->pool);

    cln->handler = ngx_pool_cleanup_file;
    clnf = cln->data;
    clnf->fd = req->fd;
    clnf->name = name;
    clnf->log = r->pool->log;

    if (name == NULL || b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->file = ngx_pcalloc(r->pool, sizeof(ngx_file_t));
    if (b->file == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* its characters need no quoting: ngx_mesh_recording_valid() */
    ngx_memcpy(name, rec->name, len + 1);
    p = ngx_sprintf(name + len + 1, "attachment; filename=\"%s\"", rec->name);
    *p = '\0';

    if (ngx_mesh_web_safe(r) != NGX_OK
        || ngx_mesh_web_header(r, "Content-Disposition",
                               (char *) name + len + 1)
           != NGX_OK
        || ngx_mesh_web_header(r, "Cache-Control", "no-store") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->root_tested = 1;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = rec->size;
    ngx_str_set(&r->headers_out.content_type, "application/octet-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->allow_ranges = 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->file_last = rec->size;
    b->in_file = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    b->file->fd = req->fd;
    b->file->name.data = name;
    b->file->name.len = len;
    b->file->log = r->connection->log;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}

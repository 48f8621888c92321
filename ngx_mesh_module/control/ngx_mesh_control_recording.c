/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Recordings of the caller's domain: the list, and the end of one. */

#include "ngx_mesh_control.h"
#include "../core/ngx_mesh_recording.h"


static void ngx_mesh_ctl_recordings_got(ngx_mesh_recording_req_t *req);
static void ngx_mesh_ctl_recording_write(ngx_mesh_ctl_t *ctl,
    ngx_mesh_jw_t *w, ngx_mesh_recording_t *r);
static void ngx_mesh_ctl_recording_found(ngx_mesh_recording_req_t *req);
static void ngx_mesh_ctl_recording_deleted(ngx_mesh_recording_req_t *req);


/* the folder, or NULL: none, or the session is gone; ctl has its answer */
static ngx_mesh_record_conf_t *
ngx_mesh_ctl_recording_conf(ngx_mesh_ctl_t *ctl)
{
    if (ctl->b == NULL) {
        ngx_mesh_ctl_end(ctl);
        return NULL;
    }

    if (ctl->b->s->srv->record.path == NULL) {
        ngx_mesh_ctl_result(ctl, "This server does not record sessions");
        return NULL;
    }

    return &ctl->b->s->srv->record;
}


void
ngx_mesh_ctl_do_recordings(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_ctl_value_t    *limit;
    ngx_mesh_record_conf_t  *conf;

    conf = ngx_mesh_ctl_recording_conf(ctl);
    if (conf == NULL) {
        return;
    }

    limit = ngx_mesh_ctl_value(ctl, "limit");

    if (ngx_mesh_recording_list(conf, &ctl->domain,
                                limit->set ? limit->n : 200,
                                ngx_mesh_ctl_recordings_got, ctl)
        != NGX_OK)
    {
        ngx_mesh_ctl_result(ctl, "The server is busy, try again");
    }
}


static void
ngx_mesh_ctl_recordings_got(ngx_mesh_recording_req_t *req)
{
    ngx_uint_t       i;
    ngx_mesh_jw_t   *w;
    ngx_mesh_ctl_t  *ctl;

    ctl = req->data;

    if (req->err) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, req->err,
                      "mesh control: the recordings cannot be read");
        ngx_mesh_ctl_result(ctl, "The recordings cannot be read");
        return;
    }

    w = ngx_mesh_ctl_open(ctl);
    ngx_mesh_jw_open(w, "events", '[');

    for (i = 0; i < req->n; i++) {
        ngx_mesh_ctl_recording_write(ctl, w, &req->list[i]);
    }

    ngx_mesh_jw_shut(w, ']');
    ngx_mesh_jw_bool(w, "more", req->more);
    ngx_mesh_ctl_reply(ctl, w);
}


/* an event of action recording, as stock pages read it, and "whole" */
static void
ngx_mesh_ctl_recording_write(ngx_mesh_ctl_t *ctl, ngx_mesh_jw_t *w,
    ngx_mesh_recording_t *r)
{
    int64_t           n;
    ngx_str_t         text;
    ngx_uint_t        i;
    ngx_mesh_json_t  *meta;

    static const char  *same[] = { "nodeid", "username" };

    /* it parsed a moment ago; memory may be short now */
    meta = ngx_mesh_json_parse(r->meta.data, r->meta.len);
    if (meta == NULL) {
        return;
    }

    ngx_mesh_jw_open(w, NULL, '{');
    ngx_mesh_jw_cstr(w, "etype", "relay");
    ngx_mesh_jw_cstr(w, "action", "recording");
    ngx_mesh_jw_cstr(w, "filename", (const char *) r->name);
    ngx_mesh_jw_int(w, "size", r->size);
    ngx_mesh_jw_int(w, "startTime", r->began);
    ngx_mesh_jw_int(w, "lengthTime",
                    r->ended > r->began ? (r->ended - r->began) / 1000 : 0);

    if (ngx_mesh_json_int(meta, "protocol", &n, 0, 1000) == NGX_OK) {
        ngx_mesh_jw_int(w, "protocol", n);
    }

    for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        if (ngx_mesh_json_str(meta, same[i], &text) == NGX_OK) {
            ngx_mesh_text_clean(&text);
            ngx_mesh_jw_str(w, same[i], &text);
        }
    }

    ngx_mesh_jw_open(w, "userids", '[');

    if (ngx_mesh_json_str(meta, "userid", &text) == NGX_OK) {
        ngx_mesh_text_clean(&text);
        ngx_mesh_jw_str(w, NULL, &text);
    }

    ngx_mesh_jw_shut(w, ']');
    ngx_mesh_jw_int(w, "present", 1);
    ngx_mesh_jw_bool(w, "whole", r->whole);
    ngx_mesh_jw_shut(w, '}');

    ngx_mesh_json_free(meta);
}


/* whose it is stands in the file: it is read before it is removed */
void
ngx_mesh_ctl_do_recording_delete(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_ctl_value_t    *file;
    ngx_mesh_record_conf_t  *conf;

    conf = ngx_mesh_ctl_recording_conf(ctl);
    if (conf == NULL) {
        return;
    }

    file = ngx_mesh_ctl_value(ctl, "file");

    if (ngx_mesh_recording_open(conf, &file->s, ngx_mesh_ctl_recording_found,
                                ctl)
        != NGX_OK)
    {
        ngx_mesh_ctl_result(ctl, "Invalid file");
    }
}


static void
ngx_mesh_ctl_recording_found(ngx_mesh_recording_req_t *req)
{
    ngx_mesh_ctl_t          *ctl;
    ngx_mesh_record_conf_t  *conf;

    ctl = req->data;

    if (req->fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(req->fd);
    }

    if (req->err || !ngx_mesh_recording_of(&req->list[0], &ctl->domain)) {
        ngx_mesh_ctl_result(ctl, "Invalid file");
        return;
    }

    conf = ngx_mesh_ctl_recording_conf(ctl);
    if (conf == NULL) {
        return;
    }

    if (ngx_mesh_recording_delete(conf, &ngx_mesh_ctl_value(ctl, "file")->s,
                                  ngx_mesh_ctl_recording_deleted, ctl)
        != NGX_OK)
    {
        ngx_mesh_ctl_result(ctl, "The server is busy, try again");
    }
}


static void
ngx_mesh_ctl_recording_deleted(ngx_mesh_recording_req_t *req)
{
    ngx_str_t              text;
    ngx_mesh_ctl_t        *ctl;
    ngx_mesh_ctl_value_t  *file;
    ngx_mesh_ctl_event_t   ev;

    ctl = req->data;

    if (req->err) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, req->err,
                      "mesh control: a recording cannot be deleted");
        ngx_mesh_ctl_result(ctl, "The recording cannot be deleted");
        return;
    }

    file = ngx_mesh_ctl_value(ctl, "file");
    ngx_mesh_ctl_sprintf(ctl, &text, 320, "Deleted the recording %V",
                         &file->s);

    ngx_mesh_ctl_event(ctl, &ev, "server", "deleterecording", 0, &text);
    ev.row.scope.site_rights = NGX_MESH_S_RECORDINGS;
    ngx_mesh_ctl_event_alone(ctl, &ev);

    ngx_mesh_ctl_result(ctl, "ok");
}

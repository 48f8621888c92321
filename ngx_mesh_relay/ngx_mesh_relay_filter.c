/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What a viewer of a desktop says that may not give all input.
 */

#include "ngx_mesh_relay_in.h"


static ngx_uint_t ngx_mesh_relay_filter_text(u_char *text, size_t len);
static void ngx_mesh_relay_filter_out(ngx_mesh_relay_t *half,
    ngx_uint_t opcode, const u_char *data, size_t len);


/*
 * What is left of one read: the smallest packet, of 4 bytes, gets a head of 2;
 * a text or a packet may have begun in an earlier read.
 */
static u_char  ngx_mesh_relay_passed[NGX_MESH_RELAY_READ / 2 * 3
                                     + NGX_MESH_RELAY_TEXT + 256];


/*
 * Filters a viewer that needs it, from now on.  NGX_DECLINED: something that
 * was not looked at is on its way already.
 */
ngx_int_t
ngx_mesh_relay_filter(ngx_mesh_relay_t *half)
{
    if (half->role != NGX_MESH_VIEWER || half->filter
        || half->p != NGX_MESH_RELAY_DESKTOP || half->level == MESH_KVM_FULL)
    {
        return NGX_OK;
    }

    if (half->early.len || !half->between) {
        return NGX_DECLINED;
    }

    half->filter = ngx_calloc(sizeof(ngx_mesh_relay_filter_t),
                              half->s->c->log);

    return half->filter ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_mesh_relay_filter_frame(ngx_mesh_relay_t *half, mesh_ws_event_t *ev)
{
    size_t                    size;
    ngx_int_t                 rc;
    const uint8_t            *pos, *last, *packet;
    ngx_mesh_relay_filter_t  *f;

    f = half->filter;

    switch (ev->what) {

    case MESH_WS_HEAD:

        if (ev->first) {
            f->len = 0;
            f->over = 0;
        }

        break;

    case MESH_WS_DATA:

        (void) mesh_ws_unmask(ev->data, ev->data, ev->size, ev->mask,
                              ev->phase);

        if (ev->opcode == MESH_WS_TEXT) {

            if (f->over || ev->size > sizeof(f->text) - f->len) {
                f->over = 1;
                break;
            }

            ngx_memcpy(f->text + f->len, ev->data, ev->size);
            f->len += ev->size;
            break;
        }

        pos = ev->data;
        last = ev->data + ev->size;

        for ( ;; ) {
            rc = mesh_kvm_input(&f->input, half->level, &pos, last, &packet,
                                &size);

            if (rc != MESH_OK) {
                break;
            }

            /* which screen all see is not for one who only looks */
            if (half->shared && half->level == MESH_KVM_VIEW
                && mesh_get16(packet) == MESH_KVM_DISPLAY)
            {
                continue;
            }

            ngx_mesh_relay_filter_out(half, MESH_WS_BINARY, packet, size);
        }

        if (rc == MESH_ERROR) {
            ngx_log_error(NGX_LOG_INFO, half->s->c->log, 0,
                          "mesh relay: input of a viewer is no packet");
            half->out = NULL;
            ngx_mesh_ws_close(half->s, MESH_WS_CODE_POLICY);
        }

        break;

    case MESH_WS_END:

        if (ev->opcode == MESH_WS_TEXT && !f->over
            && ngx_mesh_relay_filter_text(f->text, f->len))
        {
            ngx_mesh_relay_filter_out(half, MESH_WS_TEXT, f->text, f->len);
        }

        break;

    default:    /* MESH_WS_FRAME_END: messages are new ones */
        break;
    }

    return NGX_OK;
}


/* 1: the number of a protocol, or a control message that gives no input */
static ngx_uint_t
ngx_mesh_relay_filter_text(u_char *text, size_t len)
{
    ngx_str_t         type;
    ngx_uint_t        i, good;
    ngx_mesh_json_t  *j;

    /* neither lock nor autolock; no offer, which would lead past this filter */
    static const char  *types[] = { "options", "ping", "pong", "rtt", "close",
                                    NULL };

    if (len == 0) {
        return 0;
    }

    if (text[0] != '{') {
        return len == 1 && text[0] == '2';
    }

    j = ngx_mesh_json_parse(text, len);

    if (j == NULL) {
        return 0;
    }

    good = 0;

    if (ngx_mesh_json_str(j, "type", &type) == NGX_OK) {

        for (i = 0; types[i]; i++) {
            if (type.len == ngx_strlen(types[i])
                && ngx_memcmp(type.data, types[i], type.len) == 0)
            {
                good = 1;
                break;
            }
        }
    }

    if (ngx_mesh_json_get(j, "autolock")) {
        good = 0;
    }

    ngx_mesh_json_free(j);

    return good;
}


static void
ngx_mesh_relay_filter_out(ngx_mesh_relay_t *half, ngx_uint_t opcode,
    const u_char *data, size_t len)
{
    u_char           *frame;
    mesh_ws_parse_t   parse;

    if (half->out == NULL) {
        half->out = ngx_mesh_relay_passed;
        half->out_last = ngx_mesh_relay_passed;
    }

    if (len + MESH_WS_MAX_HEAD
        > (size_t) (ngx_mesh_relay_passed + sizeof(ngx_mesh_relay_passed)
                    - half->out_last))
    {
        ngx_log_error(NGX_LOG_ALERT, half->s->c->log, 0,
                      "mesh relay: more is left of a read than came");
        return;
    }

    frame = half->out_last;
    half->out_last += mesh_ws_head(half->out_last, opcode, 1, len);
    half->out_last = ngx_cpymem(half->out_last, data, len);

    if (half->record) {
        ngx_memzero(&parse, sizeof(mesh_ws_parse_t));
        ngx_mesh_relay_record_frames(half->record, NGX_MESH_RECORD_USER,
                                     &parse, frame, half->out_last - frame);
    }
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Events that commands make, and all events on their way to sessions. */

#include "ngx_mesh_control.h"


typedef struct {
    const ngx_mesh_scope_t  *scope;
    ngx_mesh_frame_t        *frame;
    const u_char            *json;
    size_t                   len;
} ngx_mesh_ctl_sink_t;


static void ngx_mesh_ctl_sink(const ngx_mesh_scope_t *scope,
    const u_char *json, size_t len);
static void ngx_mesh_ctl_sink_session(ngx_mesh_session_t *s, void *data);
static ngx_uint_t ngx_mesh_ctl_sees(ngx_mesh_account_t *account,
    const ngx_mesh_scope_t *scope);
static ngx_uint_t ngx_mesh_ctl_sees_group(ngx_mesh_account_t *account,
    const ngx_mesh_scope_t *scope, int64_t group_id);


void
ngx_mesh_ctl_event(ngx_mesh_ctl_t *ctl, ngx_mesh_ctl_event_t *ev,
    const char *kind, const char *action, ngx_uint_t msgid,
    const ngx_str_t *text)
{
    ngx_memzero(ev, sizeof(ngx_mesh_ctl_event_t));

    ev->row.scope.domain_id = ctl->who.domain_id;
    ev->row.scope.account_id = ctl->who.account_id;
    ev->row.kind = kind;
    ev->row.action = action;
    ev->row.msgid = msgid;
    ev->row.text = *text;
    ev->row.address = ctl->address;
    ev->row.session = ctl->session;

    if (ngx_mesh_jw_init(&ev->w, ctl->pool, 512) != NGX_OK) {
        ev->w.failed = 1;
    }

    ngx_mesh_jw_open(&ev->w, NULL, '{');
    ngx_mesh_jw_str(&ev->w, "userid", &ctl->user);
    ngx_mesh_jw_str(&ev->w, "username", &ctl->username);
}


void
ngx_mesh_ctl_event_arg(ngx_mesh_ctl_t *ctl, ngx_mesh_ctl_event_t *ev,
    const ngx_str_t *arg)
{
    if (!ev->has_args) {
        ev->has_args = 1;

        if (ngx_mesh_jw_init(&ev->args, ctl->pool, 256) != NGX_OK) {
            ev->args.failed = 1;
        }

        ngx_mesh_jw_open(&ev->args, NULL, '[');
    }

    ngx_mesh_jw_str(&ev->args, NULL, arg);
}


void
ngx_mesh_ctl_event_device(ngx_mesh_ctl_event_t *ev,
    ngx_mesh_device_t *device)
{
    ngx_mesh_group_t  *group;

    ev->row.scope.device_id = device->device_id;
    ev->row.scope.group_id = device->group_id;

    ngx_mesh_jw_str(&ev->w, "nodeid", &device->id);

    group = ngx_mesh_group(device->group_id);

    if (group) {
        ngx_mesh_jw_str(&ev->w, "meshid", &group->wire);
    }
}


void
ngx_mesh_ctl_event_group(ngx_mesh_ctl_event_t *ev, ngx_mesh_group_t *group)
{
    ev->row.scope.group_id = group->group_id;

    ngx_mesh_jw_str(&ev->w, "meshid", &group->wire);
}


void
ngx_mesh_ctl_event_push(ngx_mesh_ctl_event_t *ev, const char *name,
    const ngx_str_t *json)
{
    ngx_uint_t  i;

    i = ev->push_name[0] ? 1 : 0;

    ev->push_name[i] = name;
    ev->push[i] = *json;
}


void
ngx_mesh_ctl_event_store(ngx_mesh_ctl_t *ctl, ngx_mesh_ctl_event_t *ev,
    ngx_mesh_db_req_t *q, ngx_str_t *json)
{
    u_char         *p, time[24];
    size_t          size;
    ngx_str_t       head, t;
    ngx_uint_t      i;
    ngx_mesh_jw_t   w;

    ngx_str_null(json);

    ngx_mesh_jw_shut(&ev->w, '}');

    if (ngx_mesh_jw_done(&ev->w, &ev->row.doc) != NGX_OK) {
        ngx_str_set(&ev->row.doc, "{}");
    }

    if (ev->has_args) {
        ngx_mesh_jw_shut(&ev->args, ']');

        if (ngx_mesh_jw_done(&ev->args, &ev->row.args) != NGX_OK) {
            ngx_str_null(&ev->row.args);
        }
    }

    if (q) {
        ngx_mesh_event_row(q, &ev->row);
    }

    if (ngx_mesh_jw_init(&w, ctl->pool, 512) != NGX_OK) {
        return;
    }

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_cstr(&w, "etype", ev->row.kind);
    ngx_mesh_jw_cstr(&w, "action", ev->row.action);
    ngx_mesh_jw_str(&w, "domain", &ctl->domain);

    if (ev->row.text.len) {
        ngx_mesh_jw_str(&w, "msg", &ev->row.text);
    }

    if (ev->row.msgid) {
        ngx_mesh_jw_int(&w, "msgid", ev->row.msgid);
    }

    if (ev->row.args.len) {
        ngx_mesh_jw_raw(&w, "msgArgs", &ev->row.args);
    }

    if (q) {
        t.data = time;
        t.len = ngx_mesh_ctl_time(time, ngx_mesh_now_ms()) - time;
        ngx_mesh_jw_str(&w, "time", &t);

    } else {
        ngx_mesh_jw_int(&w, "nolog", 1);
    }

    for (i = 0; i < 2 && ev->push_name[i]; i++) {
        ngx_mesh_jw_raw(&w, ev->push_name[i], &ev->push[i]);
    }

    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &head) != NGX_OK) {
        return;
    }

    if (ev->row.doc.len <= 2) {
        *json = head;
        return;
    }

    /* the members of the stored part behind the others */

    size = head.len + ev->row.doc.len;

    json->data = ngx_pnalloc(ctl->pool, size);
    if (json->data == NULL) {
        return;
    }

    p = ngx_cpymem(json->data, head.data, head.len - 1);
    *p++ = ',';
    p = ngx_cpymem(p, ev->row.doc.data + 1, ev->row.doc.len - 1);

    json->len = p - json->data;
}


void
ngx_mesh_ctl_event_alone(ngx_mesh_ctl_t *ctl, ngx_mesh_ctl_event_t *ev)
{
    ngx_str_t           json;
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_db_create(NULL, NULL);

    ngx_mesh_ctl_event_store(ctl, ev, q, &json);

    if (q && ngx_mesh_db_send(q) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mesh control: event \"%s\" of %V is lost",
                      ev->row.action, &ctl->user);
    }

    if (json.len) {
        ngx_mesh_event_publish(&ev->row.scope, &json);
    }
}


u_char *
ngx_mesh_ctl_time(u_char *p, int64_t ms)
{
    ngx_tm_t  tm;

    ngx_gmtime((time_t) (ms / 1000), &tm);

    return ngx_sprintf(p, "%4d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                       tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                       tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec,
                       (int) (ms % 1000));
}


void
ngx_mesh_ctl_event_init(void)
{
    ngx_mesh_event_sink(ngx_mesh_ctl_sink);
}


/* an event of this or another worker: to each session that may see it */
static void
ngx_mesh_ctl_sink(const ngx_mesh_scope_t *scope, const u_char *json,
    size_t len)
{
    ngx_mesh_ctl_sink_t  sink;

    if (!ngx_mesh_model_ready()) {
        return;
    }

    sink.scope = scope;
    sink.frame = NULL;
    sink.json = json;
    sink.len = len;

    ngx_mesh_session_each(&ngx_mesh_control_class, ngx_mesh_ctl_sink_session,
                          &sink);

    if (sink.frame) {
        ngx_mesh_frame_release(sink.frame);
    }
}


static void
ngx_mesh_ctl_sink_session(ngx_mesh_session_t *s, void *data)
{
    ngx_mesh_ctl_sink_t *sink = data;

    u_char              *p;
    size_t               size;
    ngx_mesh_browser_t  *b;
    ngx_mesh_account_t  *account;

    static const char  head[] = "{\"action\":\"event\",\"event\":";

    b = s->data;

    if (b == NULL || b->ended || b->s == NULL
        || b->who.domain_id != sink->scope->domain_id)
    {
        return;
    }

    account = ngx_mesh_auth_holds(&b->who)
              ? ngx_mesh_account(b->who.account_id) : NULL;

    if (account == NULL || !ngx_mesh_ctl_sees(account, sink->scope)) {
        return;
    }

    if (s->over_high || b->refresh) {
        /* it does not keep up: told once that it missed something */
        b->refresh = 1;
        ngx_mesh_count(NGX_MESH_C_DROPPED);
        return;
    }

    if (sink->frame == NULL) {

        size = sink->len;

        if (!(sink->scope->flags & NGX_MESH_EVENT_BARE)) {
            size += sizeof(head) - 1 + 1;
        }

        sink->frame = ngx_mesh_frame_create(NGX_MESH_WS_TEXT, size);

        if (sink->frame == NULL) {
            return;
        }

        p = sink->frame->data;

        if (sink->scope->flags & NGX_MESH_EVENT_BARE) {
            ngx_memcpy(p, sink->json, sink->len);

        } else {
            p = ngx_cpymem(p, head, sizeof(head) - 1);
            p = ngx_cpymem(p, sink->json, sink->len);
            *p = '}';
        }
    }

    (void) ngx_mesh_ws_send_frame(s, sink->frame);
}


static ngx_uint_t
ngx_mesh_ctl_sees(ngx_mesh_account_t *account, const ngx_mesh_scope_t *scope)
{
    if (scope->flags & NGX_MESH_EVENT_ALL_USERS) {
        return 1;
    }

    if (scope->flags & NGX_MESH_EVENT_OWN) {
        return scope->subject_id == account->account_id;
    }

    if (scope->account_id == account->account_id
        || scope->subject_id == account->account_id)
    {
        return 1;
    }

    if (account->site_rights == NGX_MESH_FULL) {

        /* an administrator is no member of every group: control.md 3.4 */
        if (scope->group_id == 0) {
            return 1;
        }

    } else if (account->site_rights & (NGX_MESH_S_ALLEVENTS
                                       |scope->site_rights))
    {
        return 1;
    }

    if (scope->group_id
        && ngx_mesh_ctl_sees_group(account, scope, scope->group_id))
    {
        return 1;
    }

    return scope->group2_id
           && ngx_mesh_ctl_sees_group(account, scope, scope->group2_id);
}


static ngx_uint_t
ngx_mesh_ctl_sees_group(ngx_mesh_account_t *account,
    const ngx_mesh_scope_t *scope, int64_t group_id)
{
    uint32_t    rights;
    ngx_uint_t  visible;

    rights = ngx_mesh_rights(account->account_id, group_id, scope->device_id,
                             &visible);
    if (!visible) {
        return 0;
    }

    /* LIMITEVENTS: what others did is not shown, what nobody did is */

    return !ngx_mesh_restricted(rights, NGX_MESH_D_LIMITEVENTS)
           || (scope->account_id == 0 && scope->subject_id == 0
               && !(scope->flags & NGX_MESH_EVENT_OTHERS));
}


void
ngx_mesh_ctl_event_drained(ngx_mesh_browser_t *b)
{
    static const char  text[] =
        "{\"action\":\"event\",\"event\":{\"action\":\"refresh\"}}";

    if (!b->refresh || b->ended) {
        return;
    }

    b->refresh = 0;

    (void) ngx_mesh_ws_send(b->s, NGX_MESH_WS_TEXT, (u_char *) text,
                            sizeof(text) - 1);
}

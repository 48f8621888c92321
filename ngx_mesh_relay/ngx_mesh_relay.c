/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The relay: pairs the two halves of a session, in any two workers, and cuts
 * frames through.  Who may take which half: session.md 1.15.
 *
 * A half packs what it reads into frames ready for the other client and hands
 * them to its peer: a session of this worker, or a pipe to another worker.
 * Bytes for a peer that is not there yet, or a pipe that is full, are kept in
 * one bounded buffer, and reading stops until it is empty.
 *
 * A viewer of a desktop that may not give all input is filtered: its packets
 * are read one by one, and those that it may send go on in new frames.
 *
 * Where desktops are shared, both halves of one meet at its desk
 * (ngx_mesh_relay_desk.h) instead, each by a pipe.
 *
 * A messenger's id names who is at each end (session.md 7.1): who invited has
 * the viewer's half, who was invited, a person or somebody at a device, the
 * device's.
 */

#include "ngx_mesh_relay_in.h"


#define NGX_MESH_RELAY_LOST  32       /* ends of others told in a second */


static ngx_int_t ngx_mesh_relay_enter(ngx_http_request_t *r,
    ngx_mesh_relay_t *half);
static ngx_int_t ngx_mesh_relay_open(ngx_mesh_session_t *s);
static void ngx_mesh_relay_refuse(ngx_mesh_relay_t *half, const char *why);
static ngx_int_t ngx_mesh_relay_meet(ngx_mesh_relay_t *half,
    ngx_mesh_meet_t *first);
static ngx_int_t ngx_mesh_relay_pair(ngx_mesh_relay_t *half,
    ngx_mesh_meet_t *first);
static ngx_int_t ngx_mesh_relay_connect(ngx_mesh_relay_t *half,
    ngx_mesh_meet_t *first);
static ngx_int_t ngx_mesh_relay_accepted(ngx_connection_t *c,
    const ngx_mesh_hello_t *hello);
static ngx_uint_t ngx_mesh_relay_shares(ngx_mesh_relay_t *half);
static ngx_int_t ngx_mesh_relay_share(ngx_mesh_relay_t *half);
static void ngx_mesh_relay_joined(ngx_mesh_relay_t *half);
static void ngx_mesh_relay_record(ngx_mesh_relay_t *half);
static ngx_uint_t ngx_mesh_relay_recorded(ngx_mesh_relay_t *half);
static void ngx_mesh_relay_record_ready(void *data);
static void ngx_mesh_relay_record_failed(void *data);
static ngx_mesh_route_t *ngx_mesh_relay_goal(ngx_mesh_relay_t *half);
static void ngx_mesh_relay_running(ngx_mesh_relay_t *half,
    ngx_mesh_running_t *r);
static void ngx_mesh_relay_list(ngx_mesh_relay_t *half);
static void ngx_mesh_relay_tick(void);
static void ngx_mesh_relay_deliver(ngx_mesh_session_t *s,
    const ngx_mesh_addr_t *from, u_char *data, size_t len);
static void ngx_mesh_relay_release(ngx_mesh_relay_t *half);
static void ngx_mesh_relay_log(ngx_mesh_relay_t *half, ngx_uint_t end);
static void ngx_mesh_relay_write(const ngx_mesh_running_t *r,
    ngx_mesh_relay_t *half, const ngx_mesh_relay_end_t *end);
static void ngx_mesh_relay_deadline(ngx_mesh_session_t *s);
static void ngx_mesh_relay_timer(ngx_mesh_relay_t *half);
static void ngx_mesh_relay_close(ngx_mesh_session_t *s);
static void ngx_mesh_relay_changed(ngx_uint_t kind, int64_t id);
static void ngx_mesh_relay_recheck(ngx_mesh_session_t *s, void *data);
static void ngx_mesh_relay_gone(ngx_mesh_session_t *s, void *data);
static void ngx_mesh_relay_web(ngx_mesh_session_t *s, void *data);
static void ngx_mesh_relay_web_asked(uint64_t serial, ngx_uint_t lives);


static const ngx_mesh_class_t  ngx_mesh_relay_class = {
    .name = "relay",
    .gauge = NGX_MESH_G_RELAYS,
    .cut_through = 1,
    .open = ngx_mesh_relay_open,
    .frame = ngx_mesh_relay_frame,
    .flush = ngx_mesh_relay_flush,
    .deliver = ngx_mesh_relay_deliver,
    .deadline = ngx_mesh_relay_deadline,
    .drained = ngx_mesh_relay_drained,
    .close = ngx_mesh_relay_close
};


const ngx_mesh_relay_end_t  ngx_mesh_relay_end_viewer =
    { "closed", "" };
const ngx_mesh_relay_end_t  ngx_mesh_relay_end_lost =
    { "lost", ", as its connection broke" };
const ngx_mesh_relay_end_t  ngx_mesh_relay_end_device =
    { "device", ", as the device closed it or went away" };
static const ngx_mesh_relay_end_t  ngx_mesh_relay_end_other =
    { "device", ", as the other side closed it or went away" };
static const ngx_mesh_relay_end_t  ngx_mesh_relay_end_worker =
    { "worker", ", as a process of the server ended" };
const ngx_mesh_relay_end_t  ngx_mesh_relay_end_rights =
    { "rights", ", as the right to it was gone" };
const ngx_mesh_relay_end_t  ngx_mesh_relay_end_session =
    { "session", ", as its web session was over" };
const ngx_mesh_relay_end_t  ngx_mesh_relay_end_idle =
    { "idle", ", as nothing moved in it for long" };
const ngx_mesh_relay_end_t  ngx_mesh_relay_end_record =
    { "record", ", as it could not be recorded" };
const ngx_mesh_relay_end_t  ngx_mesh_relay_end_person =
    { "ended", ", as " };             /* name and "ended it" follow */


static ngx_queue_t  ngx_mesh_relays_timed;


ngx_int_t
ngx_mesh_relay_accept(ngx_http_request_t *r, ngx_mesh_relay_t *half)
{
    ngx_int_t  rc;

    half->address.len = ngx_min(r->connection->addr_text.len,
                                sizeof(half->data));
    half->address.data = half->data;
    ngx_memcpy(half->data, r->connection->addr_text.data, half->address.len);

    rc = ngx_mesh_relay_enter(r, half);

    if (rc != NGX_OK) {
        ngx_mesh_count(NGX_MESH_C_LIMITED);
        return rc;
    }

    ngx_mesh_ctx_who(r, half->account_id, half->node);

    return ngx_mesh_ws_accept(r, &ngx_mesh_relay_class, half);
}


/* a relay counts once, by its viewer's half */
static ngx_int_t
ngx_mesh_relay_enter(ngx_http_request_t *r, ngx_mesh_relay_t *half)
{
    if (half->role != NGX_MESH_VIEWER && half->called_id == 0) {
        return NGX_OK;
    }

    if (ngx_mesh_limit_relay(ngx_http_get_module_srv_conf(r,
                                                       ngx_http_mesh_module),
                             half->account_id, &half->address)
        != NGX_OK)
    {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    half->counted = 1;

    return NGX_OK;
}


/* takes everything back but the session, which ws owns */
void
ngx_mesh_relay_free(ngx_mesh_relay_t *half)
{
    if (half->counted) {
        ngx_mesh_limit_relay_leave(half->account_id, &half->address);
    }

    if (half->early.data) {
        ngx_free(half->early.data);
    }

    if (half->filter) {
        ngx_free(half->filter);
    }

    if (half->watch) {
        ngx_free(half->watch);
    }

    if (half->route) {
        ngx_free(half->route);
    }

    ngx_free(half);
}


static ngx_int_t
ngx_mesh_relay_open(ngx_mesh_session_t *s)
{
    ngx_int_t          rc;
    ngx_uint_t         shares;
    ngx_str_t          id;
    const char        *why;
    ngx_mesh_meet_t    first;
    ngx_mesh_relay_t  *half;

    half = s->data;
    half->s = s;

    if (half->refusal) {
        ngx_mesh_relay_refuse(half, half->refusal);
        return NGX_OK;
    }

    /* rights may have gone since the upgrade began, and so may who it is */
    rc = ngx_mesh_relay_allowed(half);
    shares = ngx_mesh_relay_shares(half);

    if (rc == NGX_OK && half->heard != ngx_mesh_model_ended()) {
        ngx_mesh_relay_web(s, &half->account_id);
    }

    if (rc == NGX_OK && shares && half->role == NGX_MESH_VIEWER) {
        return ngx_mesh_relay_share(half);
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_relay_meet(half, &first);
    }

    /* nobody waits for it who did not say that it is a desktop */
    if (rc == NGX_AGAIN && shares) {
        ngx_mesh_pair_delete(half->key, s->serial);
        ngx_mesh_meet_cancel(half->key, s->serial);
        half->owns_key = 0;
        return ngx_mesh_relay_share(half);
    }

    if (rc == NGX_OK) {
        return ngx_mesh_relay_pair(half, &first);
    }

    /* what it sends while it waits is kept, and passed on later */
    if (rc == NGX_AGAIN && ngx_mesh_relay_filter(half) != NGX_OK) {
        ngx_mesh_pair_delete(half->key, s->serial);
        ngx_mesh_meet_cancel(half->key, s->serial);
        half->owns_key = 0;
        return NGX_ERROR;
    }

    if (rc != NGX_AGAIN) {
        ngx_mesh_relay_refuse(half, half->refusal);
        return NGX_OK;
    }

    half->state = NGX_MESH_RELAY_WAITING;
    ngx_mesh_ws_deadline(s, (s->conf->relay_wait + 999) / 1000);

    if (half->invites) {
        id.data = half->id;
        id.len = NGX_MESH_DIAL_ID;

        if (ngx_mesh_route_invite(half->route, &id,
                                  s->conf->relay_wait / 1000 + 1, &why)
            != NGX_OK)
        {
            ngx_mesh_relay_refuse(half, why);
        }
    }

    return NGX_OK;
}


/* why NULL: nothing that is told; session.md 1.8 */
static void
ngx_mesh_relay_refuse(ngx_mesh_relay_t *half, const char *why)
{
    u_char  text[256], *p;

    ngx_mesh_count(NGX_MESH_C_RELAY_REFUSED);

    if (why && half->role == NGX_MESH_VIEWER) {
        p = ngx_snprintf(text, sizeof(text), "error: %s", why);
        (void) ngx_mesh_ws_send(half->s, NGX_MESH_WS_TEXT, text, p - text);
    }

    ngx_mesh_ws_close(half->s, MESH_WS_CODE_POLICY);
}


/*
 * The first half holds the key among the pairs until it ends, so a third one,
 * which finds nobody waiting, is seen here.
 */
static ngx_int_t
ngx_mesh_relay_meet(ngx_mesh_relay_t *half, ngx_mesh_meet_t *first)
{
    ngx_int_t        rc;
    ngx_mesh_meet_t  m;

    ngx_memzero(&m, sizeof(ngx_mesh_meet_t));
    ngx_memcpy(m.key, half->key, sizeof(m.key));
    ngx_memcpy(m.device, half->node, NGX_MESH_ID_LEN);
    ngx_mesh_session_addr(half->s, &m.owner);
    m.p = half->p;
    m.role = half->role;
    m.expires = ngx_time() + half->s->conf->relay_wait / 1000 + 1;

    rc = ngx_mesh_meet(&m, first);

    if (rc != NGX_AGAIN) {
        return rc;
    }

    if (ngx_mesh_pair_insert(half->key, half->s->serial) != NGX_OK) {
        ngx_mesh_meet_cancel(half->key, half->s->serial);
        return NGX_BUSY;
    }

    half->owns_key = 1;

    return NGX_AGAIN;
}


static ngx_int_t
ngx_mesh_relay_pair(ngx_mesh_relay_t *half, ngx_mesh_meet_t *first)
{
    ngx_mesh_relay_t    *other;
    ngx_mesh_session_t  *s;

    if (half->role == NGX_MESH_VIEWER) {
        ngx_memcpy(half->node, first->device, NGX_MESH_ID_LEN);

        /* what the command was for counts, not what the viewer says it is */
        if (first->p) {
            half->p = first->p;
        }

        if (ngx_mesh_relay_allowed(half) != NGX_OK) {
            /* the one who waited is told by EOF; its client asks again */
            ngx_mesh_count(NGX_MESH_C_RELAY_REFUSED);
            ngx_mesh_ws_close(half->s, MESH_WS_CODE_POLICY);
            (void) ngx_mesh_close_session(&first->owner, MESH_WS_CODE_POLICY);
            return NGX_OK;
        }
    }

    /* a request is no session: it is met by a pipe in its own worker too */
    if (first->owner.slot != ngx_mesh_slot_n || half->p == NGX_MESH_P_FETCH
        || (half->p & NGX_MESH_P_DIAL))
    {
        return ngx_mesh_relay_connect(half, first);
    }

    s = ngx_mesh_session_find(first->owner.serial);

    if (s == NULL || s->class != &ngx_mesh_relay_class) {
        ngx_mesh_ws_close(half->s, MESH_WS_CODE_NORMAL);
        return NGX_OK;
    }

    other = s->data;

    if (other->state != NGX_MESH_RELAY_WAITING) {
        ngx_mesh_ws_close(half->s, MESH_WS_CODE_NORMAL);
        return NGX_OK;
    }

    half->peer = other;
    other->peer = half;

    if (other->role == NGX_MESH_VIEWER) {
        ngx_memcpy(other->node, half->node, NGX_MESH_ID_LEN);
        other->device_id = half->device_id;
        other->group_id = half->group_id;
        other->p = half->p;
    }

    ngx_mesh_count(NGX_MESH_C_RELAYS_TOTAL);
    ngx_mesh_count(NGX_MESH_C_RELAYS_LOCAL);

    /* the later one first; either may end in here, and take both along */
    half->state = NGX_MESH_RELAY_JOINED;
    other->state = NGX_MESH_RELAY_JOINED;

    ngx_mesh_relay_joined(half);

    if (other->peer == half) {
        ngx_mesh_relay_joined(other);
    }

    return NGX_OK;
}


/* the first half waits in another worker */
static ngx_int_t
ngx_mesh_relay_connect(ngx_mesh_relay_t *half, ngx_mesh_meet_t *first)
{
    ngx_uint_t         type;
    ngx_connection_t  *c;

    type = half->p == NGX_MESH_P_FETCH ? NGX_MESH_PIPE_FETCH
           : (half->p & NGX_MESH_P_DIAL) ? NGX_MESH_PIPE_DIAL
                                         : NGX_MESH_PIPE_RELAY;

    c = ngx_mesh_pipe_connect(&first->owner, type, half->p, half->node,
                              NGX_MESH_ID_LEN);

    if (c == NULL) {
        ngx_mesh_ws_close(half->s, MESH_WS_CODE_AWAY);
        return NGX_OK;
    }

    half->pipe = ngx_mesh_relay_pipe_create(half, c);

    if (half->pipe == NULL) {
        ngx_mesh_pipe_close(c);
        return NGX_ERROR;
    }

    ngx_mesh_count(NGX_MESH_C_RELAYS_TOTAL);
    ngx_mesh_count(NGX_MESH_C_RELAYS_CROSS);

    half->state = NGX_MESH_RELAY_JOINED;
    ngx_mesh_relay_joined(half);

    return NGX_OK;
}


/* a worker brings the second half of a relay whose first waits here */
static ngx_int_t
ngx_mesh_relay_accepted(ngx_connection_t *c, const ngx_mesh_hello_t *hello)
{
    ngx_mesh_relay_t    *half;
    ngx_mesh_session_t  *s;

    s = ngx_mesh_session_find(hello->serial);

    if (s == NULL || s->class != &ngx_mesh_relay_class) {
        return NGX_ERROR;
    }

    half = s->data;

    if (half->state != NGX_MESH_RELAY_WAITING) {
        return NGX_ERROR;
    }

    if (half->role == NGX_MESH_VIEWER) {
        ngx_memcpy(half->node, hello->key, NGX_MESH_ID_LEN);
        half->p = hello->arg;
    }

    if (ngx_mesh_relay_allowed(half) != NGX_OK) {
        ngx_mesh_count(NGX_MESH_C_RELAY_REFUSED);
        ngx_mesh_ws_close(s, MESH_WS_CODE_POLICY);
        return NGX_ERROR;
    }

    half->pipe = ngx_mesh_relay_pipe_create(half, c);

    if (half->pipe == NULL) {
        return NGX_ERROR;
    }

    half->state = NGX_MESH_RELAY_JOINED;
    ngx_mesh_relay_joined(half);

    return NGX_OK;
}


/* whoever is asked or told at the device is so for each viewer: not shared */
static ngx_uint_t
ngx_mesh_relay_shares(ngx_mesh_relay_t *half)
{
    ngx_mesh_presence_t  presence;

    return half->s->conf->desktop_share && half->p == NGX_MESH_RELAY_DESKTOP
           && !half->invites
           && ngx_mesh_presence_lookup(NGX_MESH_AGENT, half->domain_id,
                                       half->node, &presence)
              == NGX_OK
           && !(ngx_mesh_consent(half->account_id, presence.group_id,
                                 presence.consent)
                & NGX_MESH_CONSENT_DESKTOP);
}


static ngx_int_t
ngx_mesh_relay_share(ngx_mesh_relay_t *half)
{
    half->shared = 1;

    if (ngx_mesh_relay_filter(half) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_mesh_relay_desk(half) != NGX_OK) {
        ngx_mesh_ws_close(half->s, MESH_WS_CODE_AWAY);
        return NGX_OK;
    }

    half->state = NGX_MESH_RELAY_JOINED;
    half->joined_at = ngx_time();

    ngx_mesh_relay_timer(half);
    ngx_mesh_relay_hurry(half);

    if (half->role == NGX_MESH_VIEWER) {
        ngx_mesh_count(NGX_MESH_C_RELAYS_TOTAL);
        ngx_mesh_relay_list(half);
        ngx_mesh_relay_log(half, 0);
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_relay_desk(ngx_mesh_relay_t *half)
{
    ngx_connection_t     *c;
    ngx_mesh_desk_who_t   who;

    who.role = half->role;
    who.domain_id = half->domain_id;
    who.account_id = half->account_id;
    who.device_id = half->device_id;
    who.agent = half->agent.serial;
    who.serial = half->s->serial;
    who.address = half->address;

    c = ngx_mesh_desk_connect(half->s, half->node, &who);

    if (c == NULL) {
        return NGX_ERROR;
    }

    half->pipe = ngx_mesh_relay_pipe_create(half, c);

    if (half->pipe == NULL) {
        ngx_mesh_pipe_close(c);
        return NGX_ERROR;
    }

    ngx_post_event(c->read, &ngx_posted_events);

    return NGX_OK;
}


/* both sides are here: tell the client, then let bytes flow */
static void
ngx_mesh_relay_joined(ngx_mesh_relay_t *half)
{
    mesh_ws_parse_t      parse;
    ngx_mesh_record_t   *record;
    ngx_mesh_session_t  *s;

    s = half->s;
    half->joined_at = ngx_time();

    /* the other half may have named what this session is */
    if (half->role == NGX_MESH_VIEWER
        && (ngx_mesh_relay_allowed(half) != NGX_OK
            || ngx_mesh_relay_filter(half) != NGX_OK))
    {
        ngx_mesh_count(NGX_MESH_C_RELAY_REFUSED);
        ngx_mesh_relay_end(half, &ngx_mesh_relay_end_rights,
                           MESH_WS_CODE_POLICY);
        return;
    }

    ngx_mesh_relay_timer(half);

    if (half->p == NGX_MESH_RELAY_DESKTOP) {
        ngx_mesh_relay_hurry(half);
    }

    /* before a byte of either side has gone on */
    if (half->role == NGX_MESH_VIEWER) {
        ngx_mesh_relay_record(half);

    } else if (half->peer) {
        ngx_mesh_relay_record(half->peer);
    }

    /* the time of a web session may be up, at either end of a conversation */
    if (half->role == NGX_MESH_VIEWER || half->called_id) {
        ngx_queue_insert_tail(&ngx_mesh_relays_timed, &half->queue);
    }

    if (half->role == NGX_MESH_VIEWER) {
        ngx_mesh_relay_list(half);
        ngx_mesh_relay_log(half, 0);

    } else {
        ngx_mesh_relay_tell_agent(half, 1);
    }

    if (ngx_mesh_relay_recorded(half) && ngx_mesh_relay_watch(half) != NGX_OK) {
        ngx_mesh_ws_abort(s);
        return;
    }

    record = ngx_mesh_relay_recorder(half);

    if (ngx_mesh_ws_send(s, NGX_MESH_WS_TEXT, (u_char *) "cr", record ? 2 : 1)
        != NGX_OK)
    {
        ngx_mesh_ws_abort(s);
        return;
    }

    if (half->pipe) {
        ngx_post_event(half->pipe->c->read, &ngx_posted_events);
    }

    if (half->early.len && half->watch) {

        if (ngx_mesh_relay_watch_early(half) != NGX_OK) {
            return;
        }

        half->early.len = 0;

    } else if (half->early.len) {

        if (record) {
            ngx_memzero(&parse, sizeof(mesh_ws_parse_t));
            ngx_mesh_relay_record_frames(record, ngx_mesh_relay_side(half),
                                         &parse, half->early.data,
                                         half->early.len);
        }

        if (ngx_mesh_relay_forward(half, half->early.data, half->early.len)
            == NGX_ERROR)
        {
            return;
        }

        half->early.len = 0;
    }

    if (half->early.data) {
        ngx_free(half->early.data);
        ngx_memzero(&half->early, sizeof(ngx_mesh_relay_buf_t));
    }

    ngx_mesh_ws_resume(s);
}


/* the viewer's half begins a recording, if this session is one to record */
static void
ngx_mesh_relay_record(ngx_mesh_relay_t *half)
{
    ngx_mesh_record_about_t  about;

    /* of a device or not at all, session.md 8.4 */
    if (half->record || half->end || half->called_id) {
        return;
    }

    ngx_memzero(&about, sizeof(ngx_mesh_record_about_t));
    about.scope.domain_id = half->domain_id;
    about.scope.group_id = half->group_id;
    about.scope.account_id = half->account_id;
    about.scope.device_id = half->device_id;
    about.node = half->node;
    about.address = half->address;
    about.protocol = half->p;
    about.serial = half->s->serial;

    if (ngx_mesh_record_begin(&half->record, half->s->srv, &about,
                              ngx_mesh_relay_record_ready,
                              ngx_mesh_relay_record_failed, half)
        == NGX_ERROR)
    {
        ngx_mesh_relay_record_failed(half);
    }
}


/* the recorder of a device's half may be in another worker */
static ngx_uint_t
ngx_mesh_relay_recorded(ngx_mesh_relay_t *half)
{
    ngx_mesh_account_t  *account;

    if (half->role == NGX_MESH_VIEWER || half->peer) {
        return ngx_mesh_relay_recorder(half) != NULL;
    }

    account = ngx_mesh_account(half->account_id);

    return account && half->called_id == 0
           && ngx_mesh_recording_due(&half->s->srv->record, half->p,
                                     account->flags, half->group_id);
}


/* of the session that this half is one of, in this worker, or NULL */
ngx_mesh_record_t *
ngx_mesh_relay_recorder(ngx_mesh_relay_t *half)
{
    if (half->role == NGX_MESH_VIEWER) {
        return half->record;
    }

    return half->peer ? half->peer->record : NULL;
}


ngx_uint_t
ngx_mesh_relay_record_full(ngx_mesh_relay_t *half)
{
    ngx_mesh_record_t  *record;

    record = ngx_mesh_relay_recorder(half);

    return record && ngx_mesh_record_full(record, ngx_mesh_relay_side(half));
}


/* frames that were packed, or come from another worker */
void
ngx_mesh_relay_record_frames(ngx_mesh_record_t *record, ngx_uint_t direction,
    mesh_ws_parse_t *parse, u_char *data, size_t len)
{
    u_char            *pos;
    ngx_int_t          rc;
    mesh_ws_event_t    ev;
    mesh_ws_limits_t   limits;

    ngx_memzero(&limits, sizeof(mesh_ws_limits_t));
    pos = data;

    while ((rc = mesh_ws_parse(parse, &limits, &pos, data + len, &ev))
           != MESH_AGAIN && rc != MESH_ERROR)
    {
        ngx_mesh_record_event(record, direction, &ev, ev.data, ev.size);
    }
}


/* the buffer of the recording has room */
static void
ngx_mesh_relay_record_ready(void *data)
{
    ngx_mesh_relay_go_on(data);
}


static void
ngx_mesh_relay_record_failed(void *data)
{
    ngx_mesh_relay_end(data, &ngx_mesh_relay_end_record,
                       MESH_WS_CODE_INTERNAL);
}


/* where it goes, as one of its halves knows, or NULL */
static ngx_mesh_route_t *
ngx_mesh_relay_goal(ngx_mesh_relay_t *half)
{
    if (half->route) {
        return half->route;
    }

    return half->peer ? half->peer->route : NULL;
}


static void
ngx_mesh_relay_running(ngx_mesh_relay_t *half, ngx_mesh_running_t *r)
{
    ngx_mesh_route_t  *route;

    ngx_memzero(r, sizeof(ngx_mesh_running_t));

    ngx_mesh_session_addr(half->s, &r->owner);
    r->domain_id = half->domain_id;
    r->account_id = half->account_id;
    r->called_id = half->called_id;
    r->device_id = half->device_id;
    r->group_id = half->group_id;
    ngx_memcpy(r->node, half->node, NGX_MESH_ID_LEN);
    ngx_memcpy(r->key, half->key, sizeof(r->key));
    r->since = half->joined_at;
    r->p = half->p;
    r->to_viewer = half->to_viewer;
    r->to_device = half->to_device;
    ngx_memcpy(r->address, half->address.data,
               ngx_min(half->address.len, sizeof(r->address) - 1));

    route = ngx_mesh_relay_goal(half);

    if (route) {
        r->port = route->target.port;
        ngx_memcpy(r->target, route->target.text,
                   ngx_min(route->target.len, sizeof(r->target) - 1));
    }
}


/* lists show it from now on; where the zone is full they do not */
static void
ngx_mesh_relay_list(ngx_mesh_relay_t *half)
{
    ngx_mesh_running_t  r;

    ngx_mesh_relay_running(half, &r);
    (void) ngx_mesh_running_insert(&r);
}


/* each second: bytes of those in which something moved, and whose time is up */
static void
ngx_mesh_relay_tick(void)
{
    int64_t              now;
    ngx_uint_t           n;
    ngx_queue_t         *q, *next;
    ngx_mesh_relay_t    *half;
    ngx_mesh_running_t   lost;

    now = ngx_mesh_now_ms();

    /* few at once: there may be thousands, and each is a write */
    for (n = 0; n < NGX_MESH_RELAY_LOST; n++) {

        if (!ngx_mesh_model_ready() || !ngx_mesh_db_up()
            || ngx_mesh_running_lost(&lost) != NGX_OK)
        {
            break;
        }

        ngx_mesh_relay_write(&lost, NULL, &ngx_mesh_relay_end_worker);
    }

    for (q = ngx_queue_head(&ngx_mesh_relays_timed);
         q != ngx_queue_sentinel(&ngx_mesh_relays_timed);
         q = next)
    {
        next = ngx_queue_next(q);
        half = ngx_queue_data(q, ngx_mesh_relay_t, queue);

        if (half->end == NULL && half->expires_at && half->expires_at <= now) {
            ngx_mesh_relay_end(half, &ngx_mesh_relay_end_session,
                               MESH_WS_CODE_POLICY);

            /* both ends of a conversation may be here */
            next = ngx_queue_head(&ngx_mesh_relays_timed);
            continue;
        }

        if (half->listed != half->to_viewer + half->to_device) {
            half->listed = half->to_viewer + half->to_device;
            ngx_mesh_running_bytes(half->s->serial, half->to_viewer,
                                   half->to_device);
        }
    }
}


/* somebody who may ends it: the 8 bytes are the account */
static void
ngx_mesh_relay_deliver(ngx_mesh_session_t *s, const ngx_mesh_addr_t *from,
    u_char *data, size_t len)
{
    ngx_mesh_relay_t  *half;

    half = s->data;

    if (len != sizeof(int64_t)) {
        return;
    }

    if (half->end == NULL) {
        ngx_memcpy(&half->ended_by, data, sizeof(int64_t));
    }

    ngx_mesh_relay_end(half, &ngx_mesh_relay_end_person, MESH_WS_CODE_POLICY);
}


/* the first reason is the one that counts */
void
ngx_mesh_relay_end(ngx_mesh_relay_t *half, const ngx_mesh_relay_end_t *end,
    ngx_uint_t code)
{
    if (half->end == NULL) {
        half->end = end;
    }

    ngx_mesh_relay_release(half);
    ngx_mesh_ws_close(half->s, code);
}


/*
 * Others may meet under this key: a messenger's is the same each time, and a
 * client may take its time to close.
 */
static void
ngx_mesh_relay_release(ngx_mesh_relay_t *half)
{
    if (half->state == NGX_MESH_RELAY_WAITING) {
        ngx_mesh_meet_cancel(half->key, half->s->serial);
    }

    if (half->owns_key) {
        half->owns_key = 0;
        ngx_mesh_pair_delete(half->key, half->s->serial);
    }
}


/* the viewer's half writes it, where the person and the device are known */
static void
ngx_mesh_relay_log(ngx_mesh_relay_t *half, ngx_uint_t end)
{
    ngx_mesh_running_t           r;
    const ngx_mesh_relay_end_t  *why;

    ngx_mesh_relay_running(half, &r);

    why = end ? half->end : NULL;

    if (why == &ngx_mesh_relay_end_device && half->caller_id) {
        why = &ngx_mesh_relay_end_other;
    }

    ngx_mesh_relay_write(&r, half, why);
}


/* end NULL: it has begun; half NULL: it was another worker's */
static void
ngx_mesh_relay_write(const ngx_mesh_running_t *r, ngx_mesh_relay_t *half,
    const ngx_mesh_relay_end_t *end)
{
    u_char                       *p, args[160], text[640], doc[512];
    u_char                        id[17], to[MESH_TARGET_TEXT + 32];
    time_t                        seconds;
    const char                   *name, *target;
    ngx_mesh_event_t              e;
    ngx_mesh_route_t             *route;
    ngx_mesh_presence_t           presence;
    const ngx_mesh_relay_kind_t  *kind;

    kind = ngx_mesh_relay_kind(r->p);
    seconds = ngx_time() - r->since;

    ngx_memzero(&e, sizeof(ngx_mesh_event_t));

    e.scope.domain_id = r->domain_id;
    e.scope.account_id = r->account_id;
    e.scope.subject_id = r->called_id;
    e.scope.device_id = r->device_id;
    e.scope.group_id = r->group_id;

    if (ngx_mesh_presence_lookup(NGX_MESH_AGENT, r->domain_id, r->node,
                                 &presence)
        == NGX_OK)
    {
        e.scope.group_id = presence.group_id;
    }

    e.kind = "relay";
    e.action = "relaylog";
    e.msgid = end ? kind->ended : kind->started;
    e.address.data = (u_char *) r->address;
    e.address.len = ngx_strlen(r->address);

    /* relay ids are hashed wherever they are kept */
    id[16] = '\0';
    ngx_hex_dump(id, (u_char *) r->key, sizeof(r->key));

    p = ngx_sprintf(args, "[\"%s\",\"%V\",\"\"", id, &e.address);

    if (end) {
        p = ngx_sprintf(p, ",%T", seconds);
    }

    *p++ = ']';
    e.args.data = args;
    e.args.len = p - args;

    /* the list's is cut */
    route = half ? ngx_mesh_relay_goal(half) : NULL;
    target = route ? route->target.text : (const char *) r->target;
    to[0] = '\0';

    if (r->port) {
        *ngx_snprintf(to, sizeof(to) - 1, " to %s port %ui", target,
                      (ngx_uint_t) r->port)
            = '\0';
    }

    p = ngx_mesh_account_say(text, text + sizeof(text), r->account_id);
    p = ngx_slprintf(p, text + sizeof(text), " %s a %s session%s",
                     end ? "ended" : "started", kind->name, to);

    if (r->called_id) {
        p = ngx_slprintf(p, text + sizeof(text), " with ");
        p = ngx_mesh_account_say(p, text + sizeof(text), r->called_id);
    }

    if (end) {
        p = ngx_slprintf(p, text + sizeof(text), " of %T seconds", seconds);
    }

    p = ngx_slprintf(p, text + sizeof(text), " from %V%s", &e.address,
                     end ? end->text : "");

    if (half && half->ended_by) {
        p = ngx_mesh_account_say(p, text + sizeof(text), half->ended_by);
        p = ngx_slprintf(p, text + sizeof(text), " ended it");
    }

    e.text.data = text;
    e.text.len = p - text;

    p = ngx_sprintf(doc, "{\"protocol\":%uD", r->p & ~NGX_MESH_P_FLAGS);

    /* an address holds nothing that JSON would escape */
    if (r->port) {
        name = (r->p & NGX_MESH_P_UDP) ? "udp" : "tcp";
        p = ngx_sprintf(p, ",\"%sport\":%ui,\"%saddr\":\"%s\"", name,
                        (ngx_uint_t) r->port, name, target);
    }

    if (end) {
        p = ngx_sprintf(p, ",\"bytesin\":%uL,\"bytesout\":%uL,"
                        "\"reason\":\"%s\"", r->to_viewer, r->to_device,
                        end->reason);
    }

    *p++ = '}';

    e.doc.data = doc;
    e.doc.len = p - doc;

    ngx_mesh_event_log(&e);
}


/*
 * A device with open tunnels gets no new core: its control session counts
 * them.
 */
void
ngx_mesh_relay_tell_agent(ngx_mesh_relay_t *half, ngx_uint_t opened)
{
    ngx_mesh_presence_t  presence;

    /* a messenger is the browser's */
    if (half->caller_id) {
        return;
    }

    /* it may have come back meanwhile, in another worker */
    if (ngx_mesh_presence_lookup(NGX_MESH_AGENT, half->domain_id, half->node,
                                 &presence)
        == NGX_OK)
    {
        (void) ngx_mesh_agent_tunnel(&presence, half->account_id, half->p,
                                     opened);
    }
}


static void
ngx_mesh_relay_deadline(ngx_mesh_session_t *s)
{
    ngx_mesh_relay_t  *half;

    half = s->data;

    if (half->state == NGX_MESH_RELAY_WAITING) {
        ngx_mesh_count(NGX_MESH_C_RELAY_EXPIRED);

        if (half->invites) {
            ngx_mesh_relay_refuse(half, "The device did not answer in time.");

        } else {
            ngx_mesh_relay_release(half);
            ngx_mesh_ws_close(s, MESH_WS_CODE_NORMAL);
        }

        return;
    }

    if (half->slowed) {
        half->slowed = 0;
        ngx_mesh_relay_timer(half);
        ngx_mesh_relay_go_on(half);
        return;
    }

    if (s->conf->relay_idle
        && ngx_time() - s->seen >= (time_t) (s->conf->relay_idle / 1000))
    {
        ngx_mesh_relay_end(half, &ngx_mesh_relay_end_idle,
                           MESH_WS_CODE_NORMAL);
        return;
    }

    ngx_mesh_relay_timer(half);
}


static void
ngx_mesh_relay_timer(ngx_mesh_relay_t *half)
{
    ngx_mesh_ws_deadline(half->s, half->s->conf->relay_idle / 1000);
}


static void
ngx_mesh_relay_close(ngx_mesh_session_t *s)
{
    ngx_mesh_relay_t       *half, *peer;
    ngx_mesh_relay_pipe_t  *pipe;

    half = s->data;

    ngx_mesh_relay_release(half);

    if (half->queue.next) {
        ngx_queue_remove(&half->queue);
    }

    if (half->state == NGX_MESH_RELAY_JOINED) {

        if (half->role == NGX_MESH_VIEWER) {

            if (half->end == NULL) {
                half->end = s->got_close ? &ngx_mesh_relay_end_viewer
                                         : &ngx_mesh_relay_end_lost;
            }

            if (half->record) {
                ngx_mesh_record_end(half->record);
                half->record = NULL;
            }

            ngx_mesh_running_delete(s->serial);
            ngx_mesh_relay_log(half, 1);

        } else if (!half->shared || half->seated) {
            ngx_mesh_relay_tell_agent(half, 0);
        }
    }

    half->state = NGX_MESH_RELAY_CLOSED;

    pipe = half->pipe;
    half->pipe = NULL;

    if (pipe) {
        ngx_mesh_relay_pipe_end(pipe);
    }

    peer = half->peer;
    half->peer = NULL;

    if (peer) {
        peer->peer = NULL;
        ngx_mesh_relay_end(peer, half->end ? half->end
                                           : &ngx_mesh_relay_end_device,
                           MESH_WS_CODE_NORMAL);
    }

    ngx_mesh_relay_free(half);
}


/* an account, a grant, the tree or a device is not what it was */
static void
ngx_mesh_relay_changed(ngx_uint_t kind, int64_t id)
{
    if (kind == NGX_MESH_CHANGE_SESSION) {
        ngx_mesh_session_each(&ngx_mesh_relay_class, ngx_mesh_relay_web, &id);
        return;
    }

    if (kind == NGX_MESH_CHANGE_GONE) {
        ngx_mesh_session_each(&ngx_mesh_relay_class, ngx_mesh_relay_gone, &id);
        return;
    }

    ngx_mesh_session_each(&ngx_mesh_relay_class, ngx_mesh_relay_recheck, NULL);
}


static void
ngx_mesh_relay_recheck(ngx_mesh_session_t *s, void *data)
{
    ngx_mesh_relay_t  *half;
    mesh_kvm_level_e   level;

    half = s->data;
    level = half->level;

    /* it is there for all who watch, and ends with the last of them */
    if (half->shared && half->role == NGX_MESH_DEVICE) {
        return;
    }

    /* a filter that is there obeys the new level; one that is not is late */
    if (ngx_mesh_relay_allowed(half) != NGX_OK
        || (half->role == NGX_MESH_VIEWER
            && half->p == NGX_MESH_RELAY_DESKTOP && half->level < level))
    {
        ngx_mesh_relay_end(half, &ngx_mesh_relay_end_rights,
                           MESH_WS_CODE_POLICY);
    }
}


static void
ngx_mesh_relay_gone(ngx_mesh_session_t *s, void *data)
{
    ngx_mesh_relay_t  *half;

    half = s->data;

    if (half->device_id == *(int64_t *) data
        && !(half->shared && half->role == NGX_MESH_DEVICE))
    {
        ngx_mesh_relay_end(half, &ngx_mesh_relay_end_rights,
                           MESH_WS_CODE_POLICY);
    }
}


/* S-07: some web session of the account ended; was it this one's? */
static void
ngx_mesh_relay_web(ngx_mesh_session_t *s, void *data)
{
    ngx_mesh_relay_t  *half;

    half = s->data;

    /* an agent's half has none: it ends with the other */
    if (*(int64_t *) data != half->account_id) {
        return;
    }

    if (ngx_mesh_auth_ask(half->session, s->serial, ngx_mesh_relay_web_asked)
        == NGX_ERROR)
    {
        ngx_mesh_relay_end(half, &ngx_mesh_relay_end_session,
                           MESH_WS_CODE_POLICY);
    }
}


static void
ngx_mesh_relay_web_asked(uint64_t serial, ngx_uint_t lives)
{
    ngx_mesh_session_t  *s;

    s = ngx_mesh_session_find(serial);

    if (s && s->class == &ngx_mesh_relay_class && !lives) {
        ngx_mesh_relay_end(s->data, &ngx_mesh_relay_end_session,
                           MESH_WS_CODE_POLICY);
    }
}


ngx_int_t
ngx_mesh_relay_init(ngx_cycle_t *cycle)
{
    ngx_mesh_pipe_handler(NGX_MESH_PIPE_RELAY, ngx_mesh_relay_accepted);
    ngx_mesh_desk_init();
    ngx_mesh_model_on_change(ngx_mesh_relay_changed);
    ngx_queue_init(&ngx_mesh_relays_timed);
    ngx_mesh_tick_add(ngx_mesh_relay_tick);
    ngx_mesh_record_init();

    return NGX_OK;
}


/* before the sessions of the worker end */
void
ngx_mesh_relay_exit(void)
{
    ngx_mesh_desk_exit();
    ngx_mesh_record_exit();
}

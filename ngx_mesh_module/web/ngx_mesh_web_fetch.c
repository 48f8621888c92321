/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * devicefile.ashx: a file of a device as a download (session.md 1.10).  The
 * request waits under an id of its own like the viewer's half of a relay; the
 * agent's half, in whichever worker, connects to it by a pipe, which brings
 * the frames.  What is not taken by the browser is not read from there.  Lists
 * show it, and it is recorded, like a relay of files.
 */

#include "ngx_mesh_web.h"
#include "../ws/ngx_mesh_deliver.h"
#include "../core/ngx_mesh_record.h"


#define NGX_MESH_FETCH_PATH    4096       /* bytes of a path */
#define NGX_MESH_FETCH_NAME    255
#define NGX_MESH_FETCH_TEXT    512        /* of what the agent says first */
#define NGX_MESH_FETCH_BUFFER  65536
#define NGX_MESH_FETCH_TURNS   16         /* reads before others have a turn */
#define NGX_MESH_FETCH_ARRIVE  30000      /* ms for the agent to come */
#define NGX_MESH_FETCH_ANSWER  180000     /* a person there may be asked */
#define NGX_MESH_FETCH_STALL   600000     /* for a browser that takes nothing */
#define NGX_MESH_FETCH_CONSENT 12         /* column of DEVICE_CONNECT */


/* why it ended: member and words of its last event, as of a relay */
typedef struct {
    const char          *reason;
    const char          *text;
} ngx_mesh_fetch_end_t;

typedef struct {
    ngx_http_request_t  *r;
    ngx_queue_t          queue;       /* all of this worker */
    ngx_mesh_db_req_t   *q;           /* the device's row is asked for */
    uint64_t             serial;
    u_char               key[32];

    ngx_mesh_auth_t      who;
    ngx_mesh_presence_t  device;
    uint32_t             rights;
    ngx_str_t            path;
    ngx_str_t            id;

    ngx_connection_t    *pipe;
    mesh_ws_parse_t      parse;
    ngx_event_t          wait;        /* for the agent, then for its answer */
    off_t                left;        /* bytes to come; -1: no answer yet */
    uint64_t             sent;
    time_t               began;
    size_t               ntext;
    uint64_t             listed;      /* bytes, as listed */
    ngx_mesh_record_t   *record;      /* owns, or NULL */
    int64_t              ended_by;    /* account, 0: nobody */
    const ngx_mesh_fetch_end_t  *end; /* NULL: the browser gave it up */

    unsigned             counted:1;   /* in mesh_limit */
    unsigned             met:1;       /* waits in the zone */
    unsigned             told:1;      /* the beginning is in the log */
    unsigned             is_text:1;   /* the open message */
    unsigned             waits:1;     /* for the browser */
    unsigned             unrecorded:1;    /* it must be, and cannot be */

    u_char               text[NGX_MESH_FETCH_TEXT];
    u_char              *buffer;
    ngx_buf_t            buf;         /* what of it is on its way */
} ngx_mesh_fetch_t;


static ngx_int_t ngx_mesh_fetch_args(ngx_http_request_t *r,
    ngx_mesh_fetch_t *f);
static void ngx_mesh_fetch_known(void *data, ngx_mesh_auth_t *who,
    const char *cause, const char *msg);
static ngx_int_t ngx_mesh_fetch_begin(ngx_mesh_fetch_t *f);
static ngx_int_t ngx_mesh_fetch_enter(ngx_mesh_fetch_t *f);
static ngx_int_t ngx_mesh_fetch_allowed(ngx_mesh_fetch_t *f);
static void ngx_mesh_fetch_found(ngx_mesh_db_req_t *q, ngx_int_t rc);
static ngx_int_t ngx_mesh_fetch_invite(ngx_mesh_fetch_t *f, uint32_t consent);
static ngx_int_t ngx_mesh_fetch_meet(ngx_mesh_fetch_t *f, ngx_str_t *cookie);
static ngx_int_t ngx_mesh_fetch_command(ngx_mesh_fetch_t *f,
    ngx_str_t *cookie, uint32_t consent, ngx_str_t *json);

static ngx_mesh_fetch_t *ngx_mesh_fetch_find(ngx_http_request_t *r,
    uint64_t serial);
static ngx_int_t ngx_mesh_fetch_accepted(ngx_connection_t *c,
    const ngx_mesh_hello_t *hello);
static ngx_int_t ngx_mesh_fetch_ask(ngx_mesh_fetch_t *f);
static ngx_int_t ngx_mesh_fetch_record(ngx_mesh_fetch_t *f, u_char *asked,
    size_t len);
static void ngx_mesh_fetch_record_ready(void *data);
static void ngx_mesh_fetch_record_failed(void *data);
static void ngx_mesh_fetch_list(ngx_mesh_fetch_t *f);
static void ngx_mesh_fetch_tick(void);
static ngx_int_t ngx_mesh_fetch_deliver(uint64_t serial, u_char *data,
    size_t len);
static void ngx_mesh_fetch_pipe_handler(ngx_event_t *ev);
static void ngx_mesh_fetch_empty_handler(ngx_event_t *ev);
static void ngx_mesh_fetch_read(ngx_mesh_fetch_t *f);
static ngx_int_t ngx_mesh_fetch_frames(ngx_mesh_fetch_t *f, u_char *last,
    size_t *size);
static ngx_int_t ngx_mesh_fetch_answer(ngx_mesh_fetch_t *f);
static ngx_int_t ngx_mesh_fetch_header(ngx_mesh_fetch_t *f);
static ngx_int_t ngx_mesh_fetch_disposition(ngx_mesh_fetch_t *f);
static ngx_int_t ngx_mesh_fetch_send(ngx_mesh_fetch_t *f, size_t size);
static void ngx_mesh_fetch_write_handler(ngx_http_request_t *r);
static ngx_int_t ngx_mesh_fetch_taken(ngx_mesh_fetch_t *f);

static void ngx_mesh_fetch_late(ngx_event_t *ev);
static void ngx_mesh_fetch_end(ngx_mesh_fetch_t *f,
    const ngx_mesh_fetch_end_t *end, ngx_int_t rc);
static void ngx_mesh_fetch_stop(ngx_mesh_fetch_t *f,
    const ngx_mesh_fetch_end_t *end);
static void ngx_mesh_fetch_cleanup(void *data);
static void ngx_mesh_fetch_log(ngx_mesh_fetch_t *f, ngx_uint_t end);
static void ngx_mesh_fetch_changed(ngx_uint_t kind, int64_t id);
static void ngx_mesh_fetch_web(ngx_mesh_fetch_t *f);
static void ngx_mesh_fetch_web_asked(uint64_t serial, ngx_uint_t lives);
static ngx_int_t ngx_mesh_fetch_no(ngx_http_request_t *r);


static ngx_queue_t  ngx_mesh_fetches;

static const ngx_mesh_fetch_end_t  ngx_mesh_fetch_end_done =
    { "done", "" };
static const ngx_mesh_fetch_end_t  ngx_mesh_fetch_end_closed =
    { "closed", ", as the browser gave it up" };
static const ngx_mesh_fetch_end_t  ngx_mesh_fetch_end_idle =
    { "idle", ", as nothing moved in it for long" };
static const ngx_mesh_fetch_end_t  ngx_mesh_fetch_end_device =
    { "device", ", as the device closed it or went away" };
static const ngx_mesh_fetch_end_t  ngx_mesh_fetch_end_refused =
    { "refused", ", as the device did not give the file" };
static const ngx_mesh_fetch_end_t  ngx_mesh_fetch_end_failed =
    { "failed", ", as what the device sent was wrong" };
static const ngx_mesh_fetch_end_t  ngx_mesh_fetch_end_rights =
    { "rights", ", as the right to it was gone" };
static const ngx_mesh_fetch_end_t  ngx_mesh_fetch_end_session =
    { "session", ", as its web session was over" };
static const ngx_mesh_fetch_end_t  ngx_mesh_fetch_end_record =
    { "record", ", as it could not be recorded" };
static const ngx_mesh_fetch_end_t  ngx_mesh_fetch_end_person =
    { "ended", ", as " };             /* name and "ended it" follow */


ngx_int_t
ngx_http_mesh_web_fetch_handler(ngx_http_request_t *r)
{
    u_char              *args;
    ngx_int_t            rc;
    ngx_mesh_fetch_t    *f;
    ngx_pool_cleanup_t  *cln;

    /* S-14: logs show this line, and it has a path and a ticket */
    args = ngx_strlchr(r->request_line.data,
                       r->request_line.data + r->request_line.len, '?');

    if (args) {
        r->request_line.len = args - r->request_line.data;
    }

    /* HEAD would make the device read the file for nothing */
    if (r->method != NGX_HTTP_GET) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        return NGX_HTTP_BAD_REQUEST;
    }

    if (!ngx_mesh_model_ready()) {
        return ngx_mesh_web_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                  "unavailable", "The database is away.", 5);
    }

    f = ngx_pcalloc(r->pool, sizeof(ngx_mesh_fetch_t));
    if (f == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    f->r = r;
    f->left = -1;
    ngx_queue_init(&f->queue);

    rc = ngx_mesh_fetch_args(r, f);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? ngx_mesh_fetch_no(r) : rc;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_mesh_fetch_cleanup;
    cln->data = f;

    /* no other origin can read what comes, and Strict keeps the cookie from
       the links of others */
    return ngx_mesh_auth_link(r, ngx_mesh_fetch_known, f);
}


/* n: the device, f: its file */
static ngx_int_t
ngx_mesh_fetch_args(ngx_http_request_t *r, ngx_mesh_fetch_t *f)
{
    ngx_str_t                  node;
    mesh_utf8_t                utf8;
    ngx_http_mesh_srv_conf_t  *srv;

    ngx_memzero(&utf8, sizeof(mesh_utf8_t));
    srv = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);

    if (ngx_mesh_arg(r, "n", &node) != NGX_OK
        || ngx_mesh_arg(r, "f", &f->path) != NGX_OK
        || f->path.len == 0 || f->path.len > NGX_MESH_FETCH_PATH
        || mesh_utf8_check(&utf8, f->path.data, f->path.len, 1) != MESH_OK
        || ngx_mesh_node_parse(ngx_mesh_domain_id(&srv->domain), &node,
                               f->device.id)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* r is ours from here: it is finalized once, by ngx_mesh_fetch_end() */
static void
ngx_mesh_fetch_known(void *data, ngx_mesh_auth_t *who, const char *cause,
    const char *msg)
{
    ngx_mesh_fetch_t *f = data;

    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = f->r;

    if (who == NULL) {
        ngx_http_finalize_request(r, cause ? ngx_mesh_fetch_no(r)
                                  : ngx_mesh_web_error(r,
                                        NGX_HTTP_SERVICE_UNAVAILABLE,
                                        "unavailable",
                                        "The database is away.", 5));
        return;
    }

    f->who = *who;
    f->device.domain_id = who->domain_id;

    rc = ngx_mesh_fetch_begin(f);

    if (rc != NGX_OK) {
        ngx_http_finalize_request(r, rc == NGX_DECLINED
                                     ? ngx_mesh_fetch_no(r) : rc);
        return;
    }

    ngx_mesh_ctx_who(r, who->account_id, f->device.id);

    /* a browser that gives up ends it all */
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
}


static ngx_int_t
ngx_mesh_fetch_begin(ngx_mesh_fetch_t *f)
{
    u_char               wire[5 + 64 + 1 + NGX_MESH_ID_TEXT], *p;
    ngx_int_t            rc;
    ngx_str_t            s;
    ngx_mesh_account_t  *account;

    rc = ngx_mesh_fetch_allowed(f);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_mesh_fetch_enter(f);

    if (rc != NGX_OK) {
        ngx_mesh_count(NGX_MESH_C_LIMITED);
        return rc;
    }

    account = ngx_mesh_account(f->who.account_id);

    if (account->domain.len > 64) {
        return NGX_DECLINED;
    }

    f->q = ngx_mesh_db_create(ngx_mesh_fetch_found, f);
    if (f->q == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_sprintf(wire, "node/%V/", &account->domain);
    s.data = wire;
    s.len = ngx_mesh_id_write(p, f->device.id) - wire;

    ngx_mesh_db_stmt(f->q, MESH_SQL_DEVICE_CONNECT);
    ngx_mesh_db_int(f->q, f->who.domain_id);
    ngx_mesh_db_str(f->q, &s);

    if (ngx_mesh_db_send(f->q) != NGX_OK) {
        f->q = NULL;
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    f->serial = ngx_mesh_serial();
    ngx_queue_insert_tail(&ngx_mesh_fetches, &f->queue);

    /* who it is may have gone since it was asked */
    if (f->who.heard != ngx_mesh_model_ended()) {
        ngx_mesh_fetch_web(f);
    }

    f->wait.handler = ngx_mesh_fetch_late;
    f->wait.data = f;
    f->wait.log = f->r->connection->log;
    ngx_add_timer(&f->wait, NGX_MESH_FETCH_ARRIVE);

    return NGX_OK;
}


/* it counts like a relay */
static ngx_int_t
ngx_mesh_fetch_enter(ngx_mesh_fetch_t *f)
{
    ngx_str_t  address;

    address = *ngx_mesh_address(f->r);
    address.len = ngx_min(address.len, 64);

    if (ngx_mesh_limit_relay(ngx_http_get_module_srv_conf(f->r,
                                                       ngx_http_mesh_module),
                             f->who.account_id, &address)
        != NGX_OK)
    {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    f->counted = 1;

    return NGX_OK;
}


/* asked at the beginning, when the agent comes, and after every change */
static ngx_int_t
ngx_mesh_fetch_allowed(ngx_mesh_fetch_t *f)
{
    ngx_uint_t           visible;
    ngx_mesh_presence_t  presence;

    if (!ngx_mesh_auth_holds(&f->who)) {
        return NGX_DECLINED;
    }

    if (ngx_mesh_presence_lookup(NGX_MESH_AGENT, f->who.domain_id,
                                 f->device.id, &presence)
        != NGX_OK)
    {
        if (f->pipe == NULL) {
            return NGX_DECLINED;
        }

        /* what runs outlives the loss of the control channel, not its rights */
        presence = f->device;

    } else if (f->device.device_id
               && presence.device_id != f->device.device_id)
    {
        /* removed, and another one since */
        return NGX_DECLINED;
    }

    f->device = presence;
    f->rights = ngx_mesh_rights(f->who.account_id, presence.group_id,
                                presence.device_id, &visible);

    if (!visible || !ngx_mesh_right(f->rights, NGX_MESH_D_REMOTECONTROL)
        || ngx_mesh_restricted(f->rights, NGX_MESH_D_NOFILES))
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static void
ngx_mesh_fetch_found(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t         *row;
    ngx_mesh_fetch_t  *f;

    f = q->data;
    f->q = NULL;

    if (rc == NGX_OK && ngx_mesh_db_rows(q, 0)
        && ngx_mesh_fetch_allowed(f) == NGX_OK)
    {
        row = ngx_mesh_db_row(q, 0, 0);

        rc = ngx_mesh_fetch_invite(f, (uint32_t)
                             ngx_mesh_db_num(&row[NGX_MESH_FETCH_CONSENT]));

        if (rc == NGX_OK) {
            return;
        }
    }

    ngx_mesh_fetch_end(f, NULL, ngx_mesh_fetch_no(f->r));
}


/* session.md 1.15, 9: the id is ours, of 128 random bits */
static ngx_int_t
ngx_mesh_fetch_invite(ngx_mesh_fetch_t *f, uint32_t consent)
{
    u_char                raw[16];
    ngx_str_t             cookie, json;
    ngx_mesh_requester_t  who;

    f->id.len = 32;
    f->id.data = ngx_pnalloc(f->r->pool, f->id.len);

    if (f->id.data == NULL || ngx_mesh_random(raw, sizeof(raw)) != NGX_OK) {
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(f->id.data, raw, sizeof(raw));

    if (ngx_mesh_fetch_meet(f, &cookie) != NGX_OK
        || ngx_mesh_fetch_command(f, &cookie, consent, &json) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(&who, sizeof(ngx_mesh_requester_t));
    who.account_id = f->who.account_id;
    who.rights = f->rights;

    return ngx_mesh_agent_command(&f->device, NULL, &who, &json);
}


static ngx_int_t
ngx_mesh_fetch_meet(ngx_mesh_fetch_t *f, ngx_str_t *cookie)
{
    u_char             buf[16 + 64], *p;
    ngx_mesh_meet_t    m, first;
    ngx_mesh_ticket_t  ticket;

    p = mesh_put64(buf, (uint64_t) f->who.domain_id);
    p = mesh_put64(p, (uint64_t) f->who.account_id);
    p = ngx_cpymem(p, f->id.data, f->id.len);
    ngx_mesh_sha256(buf, p - buf, f->key);

    ngx_memzero(&m, sizeof(ngx_mesh_meet_t));
    ngx_memcpy(m.key, f->key, sizeof(m.key));
    ngx_memcpy(m.device, f->device.id, NGX_MESH_ID_LEN);
    m.owner.slot = ngx_mesh_slot_n;
    m.owner.epoch = ngx_mesh_slot->epoch;
    m.owner.serial = f->serial;
    m.p = NGX_MESH_P_FETCH;
    m.role = NGX_MESH_VIEWER;
    m.expires = ngx_time() + NGX_MESH_FETCH_ARRIVE / 1000 + 1;

    if (ngx_mesh_meet(&m, &first) != NGX_AGAIN) {
        return NGX_ERROR;
    }

    f->met = 1;

    ngx_mesh_ticket_begin(&ticket, NGX_MESH_TICKET_RELAY, &f->who,
                          NGX_MESH_FETCH_ARRIVE / 1000 + 1);
    ticket.device_id = f->device.device_id;
    ticket.group_id = f->device.group_id;
    ngx_memcpy(ticket.node, f->device.id, NGX_MESH_ID_LEN);
    ticket.id = f->id;
    ticket.p = NGX_MESH_P_FETCH;
    ticket.rights = f->rights;

    return ngx_mesh_ticket_write(&ticket, f->r->pool, cookie);
}


static ngx_int_t
ngx_mesh_fetch_command(ngx_mesh_fetch_t *f, ngx_str_t *cookie,
    uint32_t consent, ngx_str_t *json)
{
    u_char                    *p, hash[NGX_MESH_ID_LEN];
    u_char                     hex[2 * NGX_MESH_ID_LEN];
    ngx_str_t                  s, path, usages = ngx_string("[10]");
    ngx_mesh_jw_t              w;
    ngx_mesh_account_t        *account;
    ngx_http_request_t        *r;
    ngx_http_mesh_srv_conf_t  *srv;

    r = f->r;
    srv = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);
    account = ngx_mesh_account(f->who.account_id);

    if (account == NULL || ngx_mesh_cert_current(srv, hash) != NGX_OK
        || ngx_mesh_jw_init(&w, r->pool, 2048) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_mesh_url_path(srv, &path);

    s.data = ngx_pnalloc(r->pool, path.len + f->id.len + cookie->len + 64);
    if (s.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(s.data, "*/%V%smeshrelay.ashx?p=10&id=%V&rauth=%V", &path,
                    path.len ? "/" : "", &f->id, cookie);
    s.len = p - s.data;

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_cstr(&w, "action", "msg");
    ngx_mesh_jw_cstr(&w, "type", "tunnel");
    ngx_mesh_jw_str(&w, "value", &s);
    ngx_mesh_jw_int(&w, "usage", 10);

    s.data = hex;
    s.len = ngx_hex_dump(hex, hash, sizeof(hash)) - hex;
    ngx_mesh_jw_str(&w, "servertlshash", &s);

    ngx_mesh_jw_int(&w, "rights", f->rights);
    ngx_mesh_jw_int(&w, "consent",
                    ngx_mesh_consent(f->who.account_id, f->device.group_id,
                                     consent));
    ngx_mesh_jw_str(&w, "username", &account->name);

    if (account->real_name.len) {
        ngx_mesh_jw_str(&w, "realname", &account->real_name);
    }

    s.data = ngx_pnalloc(r->pool, account->domain.len + account->login.len
                                  + 8);
    if (s.data == NULL) {
        return NGX_ERROR;
    }

    s.len = ngx_sprintf(s.data, "user/%V/%V", &account->domain,
                        &account->login) - s.data;
    ngx_mesh_jw_str(&w, "userid", &s);
    ngx_mesh_jw_str(&w, "remoteaddr", ngx_mesh_address(r));

    ngx_mesh_jw_open(&w, "soptions", '{');
    ngx_mesh_jw_raw(&w, "usages", &usages);
    ngx_mesh_jw_shut(&w, '}');
    ngx_mesh_jw_shut(&w, '}');

    return ngx_mesh_jw_done(&w, json);
}


/* by its request, or by its serial */
static ngx_mesh_fetch_t *
ngx_mesh_fetch_find(ngx_http_request_t *r, uint64_t serial)
{
    ngx_queue_t       *q;
    ngx_mesh_fetch_t  *f;

    for (q = ngx_queue_head(&ngx_mesh_fetches);
         q != ngx_queue_sentinel(&ngx_mesh_fetches);
         q = ngx_queue_next(q))
    {
        f = ngx_queue_data(q, ngx_mesh_fetch_t, queue);

        if (r ? f->r == r : f->serial == serial) {
            return f;
        }
    }

    return NULL;
}


/* the device's half is there */
static ngx_int_t
ngx_mesh_fetch_accepted(ngx_connection_t *c, const ngx_mesh_hello_t *hello)
{
    ngx_mesh_fetch_t  *f;

    f = ngx_mesh_fetch_find(NULL, hello->serial);

    if (f == NULL || !f->met) {
        return NGX_ERROR;
    }

    f->met = 0;

    if (ngx_mesh_fetch_allowed(f) != NGX_OK) {
        ngx_mesh_fetch_end(f, NULL, ngx_mesh_fetch_no(f->r));
        return NGX_ERROR;
    }

    f->pipe = c;
    f->began = ngx_time();
    c->data = f;
    c->read->handler = ngx_mesh_fetch_pipe_handler;
    c->write->handler = ngx_mesh_fetch_empty_handler;

    ngx_add_timer(&f->wait, NGX_MESH_FETCH_ANSWER);

    if (ngx_mesh_fetch_ask(f) != NGX_OK) {
        /* the caller closes c */
        f->pipe = NULL;
        ngx_mesh_fetch_end(f, NULL, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return NGX_ERROR;
    }

    ngx_mesh_fetch_list(f);
    ngx_mesh_fetch_log(f, 0);
    ngx_post_event(c->read, &ngx_posted_events);

    return NGX_OK;
}


/* which file, then the protocol: they fit into the buffer of a new socket */
static ngx_int_t
ngx_mesh_fetch_ask(ngx_mesh_fetch_t *f)
{
    u_char         *buf, *p;
    ssize_t         n;
    ngx_str_t       json;
    ngx_mesh_jw_t   w;

    if (ngx_mesh_jw_init(&w, f->r->pool, 512) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_cstr(&w, "type", "options");
    ngx_mesh_jw_str(&w, "file", &f->path);
    ngx_mesh_jw_shut(&w, '}');

    f->buffer = ngx_palloc(f->r->pool, NGX_MESH_FETCH_BUFFER);

    if (f->buffer == NULL || ngx_mesh_jw_done(&w, &json) != NGX_OK
        || json.len > NGX_MESH_FETCH_BUFFER - 2 * MESH_WS_MAX_HEAD - 2)
    {
        return NGX_ERROR;
    }

    buf = f->buffer;
    p = buf + mesh_ws_head(buf, MESH_WS_TEXT, 1, json.len);
    p = ngx_cpymem(p, json.data, json.len);
    p += mesh_ws_head(p, MESH_WS_TEXT, 1, 2);
    p = ngx_cpymem(p, "10", 2);

    /* before a byte of either side has gone on */
    if (ngx_mesh_fetch_record(f, buf, p - buf) != NGX_OK) {
        return NGX_ERROR;
    }

    n = f->pipe->send(f->pipe, buf, p - buf);

    return n == p - buf ? NGX_OK : NGX_ERROR;
}


/* begins with what the device is asked, if it is to be recorded */
static ngx_int_t
ngx_mesh_fetch_record(ngx_mesh_fetch_t *f, u_char *asked, size_t len)
{
    u_char                   *pos;
    ngx_int_t                 rc;
    mesh_ws_event_t           ev;
    mesh_ws_parse_t           parse;
    mesh_ws_limits_t          limits;
    ngx_mesh_record_about_t   about;

    ngx_memzero(&about, sizeof(ngx_mesh_record_about_t));
    about.scope.domain_id = f->who.domain_id;
    about.scope.account_id = f->who.account_id;
    about.scope.device_id = f->device.device_id;
    about.scope.group_id = f->device.group_id;
    about.node = f->device.id;
    about.address = *ngx_mesh_address(f->r);
    about.address.len = ngx_min(about.address.len, 64);
    about.protocol = 10;
    about.serial = f->serial;

    rc = ngx_mesh_record_begin(&f->record,
                               ngx_http_get_module_srv_conf(f->r,
                                                       ngx_http_mesh_module),
                               &about, ngx_mesh_fetch_record_ready,
                               ngx_mesh_fetch_record_failed, f);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : NGX_ERROR;
    }

    ngx_memzero(&parse, sizeof(mesh_ws_parse_t));
    ngx_memzero(&limits, sizeof(mesh_ws_limits_t));
    pos = asked;

    while ((rc = mesh_ws_parse(&parse, &limits, &pos, asked + len, &ev))
           != MESH_AGAIN && rc != MESH_ERROR)
    {
        ngx_mesh_record_event(f->record, NGX_MESH_RECORD_USER, &ev, ev.data,
                              ev.size);
    }

    return f->unrecorded ? NGX_ERROR : NGX_OK;
}


/* the buffer of the recording has room */
static void
ngx_mesh_fetch_record_ready(void *data)
{
    ngx_mesh_fetch_t *f = data;

    if (f->pipe) {
        ngx_post_event(f->pipe->read, &ngx_posted_events);
    }
}


/* maybe from inside of a read: it ends there, or behind it */
static void
ngx_mesh_fetch_record_failed(void *data)
{
    ngx_mesh_fetch_t *f = data;

    f->unrecorded = 1;

    if (f->pipe) {
        ngx_post_event(f->pipe->read, &ngx_posted_events);
    }
}


/* lists show it from now on; where the zone is full they do not */
static void
ngx_mesh_fetch_list(ngx_mesh_fetch_t *f)
{
    ngx_str_t           *address;
    ngx_mesh_running_t   r;

    ngx_memzero(&r, sizeof(ngx_mesh_running_t));

    r.owner.slot = ngx_mesh_slot_n;
    r.owner.epoch = ngx_mesh_slot->epoch;
    r.owner.serial = f->serial;
    r.domain_id = f->who.domain_id;
    r.account_id = f->who.account_id;
    r.device_id = f->device.device_id;
    r.group_id = f->device.group_id;
    ngx_memcpy(r.node, f->device.id, NGX_MESH_ID_LEN);
    ngx_memcpy(r.key, f->key, sizeof(r.key));
    r.since = f->began;
    r.p = 10;

    address = ngx_mesh_address(f->r);
    ngx_memcpy(r.address, address->data,
               ngx_min(address->len, sizeof(r.address) - 1));

    (void) ngx_mesh_running_insert(&r);
}


/* each second: bytes of those in which something moved, and whose time is up */
static void
ngx_mesh_fetch_tick(void)
{
    int64_t            now;
    ngx_queue_t       *q;
    ngx_mesh_fetch_t  *f;

    now = ngx_mesh_now_ms();
    q = ngx_queue_head(&ngx_mesh_fetches);

    while (q != ngx_queue_sentinel(&ngx_mesh_fetches)) {
        f = ngx_queue_data(q, ngx_mesh_fetch_t, queue);

        if (f->who.expires_at && f->who.expires_at <= now) {
            ngx_mesh_fetch_stop(f, &ngx_mesh_fetch_end_session);

            /* the next one may have gone with it */
            q = ngx_queue_head(&ngx_mesh_fetches);
            continue;
        }

        if (f->listed != f->sent) {
            f->listed = f->sent;
            ngx_mesh_running_bytes(f->serial, f->sent, 0);
        }

        q = ngx_queue_next(q);
    }
}


/* somebody who may ends it: the 8 bytes are the account */
static ngx_int_t
ngx_mesh_fetch_deliver(uint64_t serial, u_char *data, size_t len)
{
    ngx_mesh_fetch_t  *f;

    f = ngx_mesh_fetch_find(NULL, serial);

    if (f == NULL || len != sizeof(int64_t)) {
        return NGX_DECLINED;
    }

    ngx_memcpy(&f->ended_by, data, sizeof(int64_t));
    ngx_mesh_fetch_stop(f, &ngx_mesh_fetch_end_person);

    return NGX_OK;
}


static void
ngx_mesh_fetch_pipe_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c;
    ngx_mesh_fetch_t  *f;

    c = ev->data;
    f = c->data;

    if (!f->waits || f->unrecorded) {
        ngx_mesh_fetch_read(f);
    }
}


static void
ngx_mesh_fetch_empty_handler(ngx_event_t *ev)
{
    /* void */
}


/* f may be gone afterwards */
static void
ngx_mesh_fetch_read(ngx_mesh_fetch_t *f)
{
    size_t             size;
    ssize_t            n;
    ngx_int_t          rc;
    ngx_uint_t         turns;
    ngx_connection_t  *c;

    c = f->pipe;

    for (turns = 0; turns < NGX_MESH_FETCH_TURNS; turns++) {

        if (f->unrecorded) {
            ngx_mesh_fetch_stop(f, &ngx_mesh_fetch_end_record);
            return;
        }

        if (f->record
            && ngx_mesh_record_full(f->record, NGX_MESH_RECORD_DEVICE))
        {
            return;
        }

        n = c->recv(c, f->buffer, NGX_MESH_FETCH_BUFFER);

        if (n == NGX_AGAIN) {
            return;
        }

        if (n <= 0) {
            /* before its end: the browser must see that it is not whole */
            ngx_log_error(NGX_LOG_INFO, f->r->connection->log, 0,
                          "mesh devicefile: the device went away");
            ngx_mesh_fetch_stop(f, &ngx_mesh_fetch_end_device);
            return;
        }

        rc = ngx_mesh_fetch_frames(f, f->buffer + n, &size);

        if (rc == NGX_OK) {
            rc = ngx_mesh_fetch_send(f, size);
        }

        if (rc == NGX_DECLINED) {
            ngx_mesh_fetch_end(f, &ngx_mesh_fetch_end_refused,
                               ngx_mesh_web_error(f->r,
                                      NGX_HTTP_UNAUTHORIZED, "refused",
                                      "The device cannot read this file.",
                                      0));
            return;
        }

        if (rc != NGX_OK) {
            if (rc == NGX_DONE) {
                ngx_mesh_fetch_end(f, &ngx_mesh_fetch_end_done, NGX_OK);

            } else if (rc != NGX_AGAIN) {
                ngx_mesh_fetch_end(f, f->unrecorded
                                      ? &ngx_mesh_fetch_end_record
                                      : &ngx_mesh_fetch_end_failed, rc);
            }

            return;
        }
    }

    ngx_post_event(c->read, &ngx_posted_next_events);
}


/* packs the payload of the file at the front of the buffer */
static ngx_int_t
ngx_mesh_fetch_frames(ngx_mesh_fetch_t *f, u_char *last, size_t *size)
{
    u_char            *pos, *out;
    ngx_int_t          rc;
    mesh_ws_event_t    ev;
    mesh_ws_limits_t   limits;

    ngx_memzero(&limits, sizeof(mesh_ws_limits_t));

    pos = f->buffer;
    out = f->buffer;

    for ( ;; ) {
        rc = mesh_ws_parse(&f->parse, &limits, &pos, last, &ev);

        if (rc == MESH_AGAIN) {
            break;
        }

        if (rc == MESH_ERROR) {
            ngx_log_error(NGX_LOG_ALERT, f->r->connection->log, 0,
                          "mesh devicefile: broken frame from a worker");
            return NGX_ERROR;
        }

        if (f->record) {
            ngx_mesh_record_event(f->record, NGX_MESH_RECORD_DEVICE, &ev,
                                  ev.data, ev.size);

            if (f->unrecorded) {
                return NGX_ERROR;
            }
        }

        switch (ev.what) {

        case MESH_WS_HEAD:

            if (ev.first) {
                f->is_text = (ev.opcode == MESH_WS_TEXT);
                f->ntext = 0;
            }

            break;

        case MESH_WS_DATA:

            if (f->is_text) {
                if (ev.size > sizeof(f->text) - f->ntext) {
                    return f->left == -1 ? NGX_HTTP_BAD_GATEWAY : NGX_ERROR;
                }

                ngx_memcpy(f->text + f->ntext, ev.data, ev.size);
                f->ntext += ev.size;
                break;
            }

            /* more than it said, or before it said so */
            if (f->left == -1 || (off_t) ev.size > f->left - (out - f->buffer))
            {
                return f->left == -1 ? NGX_HTTP_BAD_GATEWAY : NGX_ERROR;
            }

            ngx_memmove(out, ev.data, ev.size);
            out += ev.size;
            break;

        case MESH_WS_END:

            if (f->is_text && f->left == -1) {
                rc = ngx_mesh_fetch_answer(f);

                if (rc != NGX_OK) {
                    return rc;
                }
            }

            break;

        default:
            break;
        }
    }

    *size = out - f->buffer;

    return NGX_OK;
}


/* {"op":"ok","size":n}, or a no; what a person there is asked comes before */
static ngx_int_t
ngx_mesh_fetch_answer(ngx_mesh_fetch_t *f)
{
    int64_t           size;
    ngx_int_t         rc;
    ngx_str_t         op;
    ngx_mesh_json_t  *j;

    j = ngx_mesh_json_parse(f->text, f->ntext);

    if (j == NULL) {
        return NGX_OK;
    }

    rc = ngx_mesh_json_str(j, "op", &op);

    if (rc != NGX_OK) {
        ngx_mesh_json_free(j);
        return NGX_OK;
    }

    if (op.len == 2 && ngx_strncmp(op.data, "ok", 2) == 0
        && ngx_mesh_json_int(j, "size", &size, 0, NGX_MAX_OFF_T_VALUE)
           == NGX_OK)
    {
        ngx_mesh_json_free(j);
        f->left = (off_t) size;
        ngx_del_timer(&f->wait);
        return ngx_mesh_fetch_header(f);
    }

    ngx_mesh_json_free(j);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_mesh_fetch_header(ngx_mesh_fetch_t *f)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = f->r;

    /* an agent sends a file from its first byte only */

    if (ngx_mesh_web_header(r, "X-Content-Type-Options", "nosniff") != NGX_OK
        || ngx_mesh_web_header(r, "Content-Security-Policy",
                               "sandbox; default-src 'none'; "
                               "frame-ancestors 'none'")
           != NGX_OK
        || ngx_mesh_web_header(r, "Cross-Origin-Resource-Policy",
                               "same-origin")
           != NGX_OK
        || ngx_mesh_web_header(r, "Cache-Control", "no-store") != NGX_OK
        || ngx_mesh_web_header(r, "Accept-Ranges", "none") != NGX_OK
        || ngx_mesh_fetch_disposition(f) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = f->left;
    ngx_str_set(&r->headers_out.content_type, "application/octet-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    return rc == NGX_OK || rc == NGX_AGAIN ? NGX_OK : NGX_ERROR;
}


/* RFC 6266: a name in ASCII without anything odd, and the real one */
static ngx_int_t
ngx_mesh_fetch_disposition(ngx_mesh_fetch_t *f)
{
    u_char       *p, *name, *last, ch;
    u_char       *text;
    ngx_uint_t    plain, utf8;
    mesh_utf8_t   u;

    static u_char  hex[] = "0123456789ABCDEF";

    last = f->path.data + f->path.len;

    for (name = last; name > f->path.data; name--) {
        if (name[-1] == '/' || name[-1] == '\\') {
            break;
        }
    }

    if (last - name > NGX_MESH_FETCH_NAME) {
        name = last - NGX_MESH_FETCH_NAME;
    }

    text = ngx_pnalloc(f->r->pool, sizeof("attachment; filename=\"\"; "
                                          "filename*=UTF-8''")
                                   + 4 * (last - name) + sizeof("file"));
    if (text == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&u, sizeof(mesh_utf8_t));
    utf8 = mesh_utf8_check(&u, name, last - name, 1) == MESH_OK;

    p = ngx_cpymem(text, "attachment; filename=\"",
                   sizeof("attachment; filename=\"") - 1);

    if (name == last) {
        p = ngx_cpymem(p, "file", 4);
    }

    for (f->ntext = 0; name + f->ntext < last; f->ntext++) {
        ch = name[f->ntext];
        plain = (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
                || (ch >= 'a' && ch <= 'z') || ch == '-' || ch == '_'
                || ch == ' ' || ch == '(' || ch == ')' || ch == '+'
                || (ch == '.' && f->ntext);
        *p++ = plain ? ch : '_';
    }

    *p++ = '"';

    if (utf8 && name < last) {
        p = ngx_cpymem(p, "; filename*=UTF-8''",
                       sizeof("; filename*=UTF-8''") - 1);

        for ( /* void */ ; name < last; name++) {
            ch = *name;

            if ((ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
                || (ch >= 'a' && ch <= 'z') || ch == '-' || ch == '_'
                || ch == '.')
            {
                *p++ = ch;

            } else {
                *p++ = '%';
                *p++ = hex[ch >> 4];
                *p++ = hex[ch & 15];
            }
        }
    }

    *p = '\0';

    return ngx_mesh_web_header(f->r, "Content-Disposition", (char *) text);
}


/* NGX_OK: taken; NGX_AGAIN: read on when it is; NGX_DONE: that was the end */
static ngx_int_t
ngx_mesh_fetch_send(ngx_mesh_fetch_t *f, size_t size)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    if (f->left == -1 || (size == 0 && f->left)) {
        return NGX_OK;
    }

    /* one for all of the file: it is free again when all was taken */
    b = &f->buf;
    ngx_memzero(b, sizeof(ngx_buf_t));

    f->left -= (off_t) size;
    f->sent += size;

    b->pos = f->buffer;
    b->last = f->buffer + size;
    b->temporary = size ? 1 : 0;
    b->flush = 1;
    b->last_buf = f->left == 0;
    b->last_in_chain = b->last_buf;

    out.buf = b;
    out.next = NULL;

    if (ngx_http_output_filter(f->r, &out) == NGX_ERROR) {
        return NGX_ERROR;
    }

    /* nginx sends the rest of the last one by itself */
    if (f->left == 0) {
        return NGX_DONE;
    }

    return ngx_mesh_fetch_taken(f);
}


static ngx_int_t
ngx_mesh_fetch_taken(ngx_mesh_fetch_t *f)
{
    ngx_event_t         *wev;
    ngx_http_request_t  *r;

    r = f->r;
    wev = r->connection->write;

    if (!r->buffered && !r->postponed && !r->connection->buffered) {
        f->waits = 0;
        r->write_event_handler = ngx_http_request_empty_handler;

        if (wev->timer_set) {
            ngx_del_timer(wev);
        }

        return NGX_OK;
    }

    f->waits = 1;
    r->write_event_handler = ngx_mesh_fetch_write_handler;

    if (!wev->delayed) {
        ngx_add_timer(wev, NGX_MESH_FETCH_STALL);
    }

    return ngx_handle_write_event(wev, 0) == NGX_OK ? NGX_AGAIN : NGX_ERROR;
}


static void
ngx_mesh_fetch_write_handler(ngx_http_request_t *r)
{
    ngx_int_t          rc;
    ngx_event_t       *wev;
    ngx_mesh_fetch_t  *f;

    f = ngx_mesh_fetch_find(r, 0);
    wev = r->connection->write;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "mesh devicefile: the browser takes nothing");
        r->connection->timedout = 1;
        ngx_mesh_fetch_end(f, &ngx_mesh_fetch_end_idle, NGX_ERROR);
        return;
    }

    rc = ngx_http_output_filter(r, NULL);

    if (rc != NGX_ERROR) {
        rc = ngx_mesh_fetch_taken(f);
    }

    if (rc == NGX_ERROR) {
        ngx_mesh_fetch_end(f, NULL, NGX_ERROR);

    } else if (rc == NGX_OK) {
        ngx_mesh_fetch_read(f);
    }
}


/* the agent did not come, or nobody there has answered */
static void
ngx_mesh_fetch_late(ngx_event_t *ev)
{
    ngx_mesh_fetch_t  *f;

    f = ev->data;

    ngx_mesh_count(NGX_MESH_C_RELAY_EXPIRED);
    ngx_mesh_fetch_end(f, &ngx_mesh_fetch_end_refused,
                       ngx_mesh_fetch_no(f->r));
}


/* it must not go on: nothing is there for who asked, or it is cut */
static void
ngx_mesh_fetch_stop(ngx_mesh_fetch_t *f, const ngx_mesh_fetch_end_t *end)
{
    ngx_mesh_fetch_end(f, end, f->left == -1 ? ngx_mesh_fetch_no(f->r)
                                             : NGX_ERROR);
}


/* f is gone afterwards; an error cuts what has begun */
static void
ngx_mesh_fetch_end(ngx_mesh_fetch_t *f, const ngx_mesh_fetch_end_t *end,
    ngx_int_t rc)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = f->r;
    c = r->connection;
    f->end = end;

    ngx_mesh_fetch_cleanup(f);
    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


/* takes back all that is not of the request's pool; any number of times */
static void
ngx_mesh_fetch_cleanup(void *data)
{
    ngx_mesh_fetch_t *f = data;

    ngx_str_t  address;

    if (f->q) {
        ngx_mesh_db_forget(f->q);
        f->q = NULL;
    }

    if (f->wait.timer_set) {
        ngx_del_timer(&f->wait);
    }

    ngx_queue_remove(&f->queue);
    ngx_queue_init(&f->queue);

    if (f->met) {
        f->met = 0;
        ngx_mesh_meet_cancel(f->key, f->serial);
    }

    /* the other end of the pipe ends the agent's tunnel */
    if (f->pipe) {
        ngx_mesh_pipe_close(f->pipe);
        f->pipe = NULL;
    }

    if (f->record) {
        ngx_mesh_record_end(f->record);
        f->record = NULL;
    }

    if (f->told) {
        f->told = 0;
        ngx_mesh_running_delete(f->serial);
        ngx_mesh_fetch_log(f, 1);
    }

    if (f->counted) {
        f->counted = 0;

        address = *ngx_mesh_address(f->r);
        address.len = ngx_min(address.len, 64);
        ngx_mesh_limit_relay_leave(f->who.account_id, &address);
    }
}


/* session.md 1.7: 16 at the beginning, 12 at the end */
static void
ngx_mesh_fetch_log(ngx_mesh_fetch_t *f, ngx_uint_t end)
{
    u_char                      *p, args[160], text[512], doc[128];
    u_char                       id[16];
    time_t                       seconds;
    ngx_mesh_event_t             e;
    const ngx_mesh_fetch_end_t  *why;

    why = f->end ? f->end : &ngx_mesh_fetch_end_closed;
    seconds = ngx_time() - f->began;

    ngx_memzero(&e, sizeof(ngx_mesh_event_t));

    e.scope.domain_id = f->who.domain_id;
    e.scope.account_id = f->who.account_id;
    e.scope.device_id = f->device.device_id;
    e.scope.group_id = f->device.group_id;
    e.kind = "relay";
    e.action = "relaylog";
    e.msgid = end ? 12 : 16;
    e.address = *ngx_mesh_address(f->r);
    e.address.len = ngx_min(e.address.len, 64);

    (void) ngx_hex_dump(id, f->key, 8);

    p = ngx_sprintf(args, "[\"%*s\",\"%V\",\"\"", (size_t) 16, id,
                    &e.address);

    if (end) {
        p = ngx_sprintf(p, ",%T", seconds);
    }

    *p++ = ']';
    e.args.data = args;
    e.args.len = p - args;

    p = ngx_mesh_account_say(text, text + sizeof(text), f->who.account_id);

    if (end) {
        p = ngx_slprintf(p, text + sizeof(text), " ended a files session of "
                         "%T seconds from %V%s", seconds, &e.address,
                         why->text);

        if (f->ended_by) {
            p = ngx_mesh_account_say(p, text + sizeof(text), f->ended_by);
            p = ngx_slprintf(p, text + sizeof(text), " ended it");
        }

        e.doc.len = ngx_sprintf(doc, "{\"protocol\":10,\"bytesin\":%uL,"
                                "\"bytesout\":0,\"reason\":\"%s\"}", f->sent,
                                why->reason) - doc;
    } else {
        p = ngx_slprintf(p, text + sizeof(text), " started a files session "
                         "from %V", &e.address);
        e.doc.len = ngx_sprintf(doc, "{\"protocol\":10}") - doc;
        f->told = 1;
    }

    e.text.data = text;
    e.text.len = p - text;
    e.doc.data = doc;

    ngx_mesh_event_log(&e);
}


/* S-07, S-31: what was allowed may not be so any more */
static void
ngx_mesh_fetch_changed(ngx_uint_t kind, int64_t id)
{
    ngx_queue_t       *q;
    ngx_mesh_fetch_t  *f;

    if (kind == NGX_MESH_CHANGE_SESSION) {

        for (q = ngx_queue_head(&ngx_mesh_fetches);
             q != ngx_queue_sentinel(&ngx_mesh_fetches);
             q = ngx_queue_next(q))
        {
            f = ngx_queue_data(q, ngx_mesh_fetch_t, queue);

            if (f->who.account_id == id) {
                ngx_mesh_fetch_web(f);
            }
        }

        return;
    }

    q = ngx_queue_head(&ngx_mesh_fetches);

    while (q != ngx_queue_sentinel(&ngx_mesh_fetches)) {
        f = ngx_queue_data(q, ngx_mesh_fetch_t, queue);

        if (!(kind == NGX_MESH_CHANGE_GONE && f->device.device_id == id)
            && ngx_mesh_fetch_allowed(f) == NGX_OK)
        {
            q = ngx_queue_next(q);
            continue;
        }

        ngx_mesh_fetch_stop(f, &ngx_mesh_fetch_end_rights);

        /* the next one may have gone with it */
        q = ngx_queue_head(&ngx_mesh_fetches);
    }
}


/* some web session of the account ended: was it this one's? */
static void
ngx_mesh_fetch_web(ngx_mesh_fetch_t *f)
{
    if (ngx_mesh_auth_ask(f->who.session, f->serial, ngx_mesh_fetch_web_asked)
        == NGX_ERROR)
    {
        /* it cannot be asked: the tick ends it */
        f->who.expires_at = 1;
    }
}


static void
ngx_mesh_fetch_web_asked(uint64_t serial, ngx_uint_t lives)
{
    ngx_mesh_fetch_t  *f;

    f = ngx_mesh_fetch_find(NULL, serial);

    if (f && !lives) {
        ngx_mesh_fetch_stop(f, &ngx_mesh_fetch_end_session);
    }
}


/* one answer for all that one may not see, or is not there (S-33) */
static ngx_int_t
ngx_mesh_fetch_no(ngx_http_request_t *r)
{
    return ngx_mesh_web_error(r, NGX_HTTP_NOT_FOUND, "notfound",
                              "There is no such device, it cannot be reached "
                              "now, or it may not be used for this.", 0);
}


ngx_int_t
ngx_mesh_web_fetch_init(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_mesh_fetches);
    ngx_mesh_pipe_handler(NGX_MESH_PIPE_FETCH, ngx_mesh_fetch_accepted);
    ngx_mesh_model_on_change(ngx_mesh_fetch_changed);
    ngx_mesh_deliver_others(ngx_mesh_fetch_deliver);
    ngx_mesh_tick_add(ngx_mesh_fetch_tick);

    return NGX_OK;
}

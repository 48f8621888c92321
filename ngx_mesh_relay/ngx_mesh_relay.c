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

#include "../ngx_mesh_module/ngx_mesh.h"
#include "../ngx_mesh_module/core/ngx_mesh_auth.h"
#include "../ngx_mesh_module/ws/ngx_mesh_dial.h"
#include "../proto/mesh_kvm.h"
#include "../ngx_mesh_module/core/ngx_mesh_record.h"
#include "ngx_mesh_relay_desk.h"


#define NGX_MESH_RELAY_ID_MAX   64
#define NGX_MESH_RELAY_READ     65536     /* bytes read from a pipe at once */
#define NGX_MESH_RELAY_TURNS    16        /* reads before others have a turn */
#define NGX_MESH_RELAY_DESKTOP  2         /* p of a desktop */
#define NGX_MESH_RELAY_TEXT     8192      /* bytes of a filtered text */
#define NGX_MESH_RELAY_DESKS    3         /* tries to come to one */
#define NGX_MESH_RELAY_CHAT     200       /* p of a messenger */
#define NGX_MESH_RELAY_CHAT_MAX 640       /* bytes of its id */

/*
 * On a slow line a picture must not be old: 2 s of 256 kbit/s are 64 KB, in
 * all buffers together.
 */
#define NGX_MESH_RELAY_PICTURE  16384     /* bytes that wait for a viewer */
#define NGX_MESH_RELAY_RCVBUF   262144    /* bytes of a device, unread; and */
#define NGX_MESH_RELAY_SLOW     16384     /* of one whose viewer was slow: */
#define NGX_MESH_RELAY_STOPPED  250       /* ms it stood still at once */


/* direction of what a half sends, for the recorder */
#define ngx_mesh_relay_side(half)                                             \
    ((half)->role == NGX_MESH_VIEWER ? NGX_MESH_RECORD_USER                   \
                                     : NGX_MESH_RECORD_DEVICE)


typedef enum {
    NGX_MESH_RELAY_OPENING = 0,       /* not yet detached */
    NGX_MESH_RELAY_WAITING,           /* the first half, in the zone */
    NGX_MESH_RELAY_JOINED,
    NGX_MESH_RELAY_CLOSED
} ngx_mesh_relay_state_e;


typedef struct ngx_mesh_relay_s      ngx_mesh_relay_t;
typedef struct ngx_mesh_relay_end_s  ngx_mesh_relay_end_t;

/* bytes toward a pipe, or from a half that waits; owns data */
typedef struct {
    u_char                  *data;
    size_t                   pos, len, size;
} ngx_mesh_relay_buf_t;

/* a socket to the worker of the other half */
typedef struct {
    ngx_connection_t        *c;
    ngx_mesh_relay_t        *half;    /* NULL: only pend is left to write */
    mesh_ws_parse_t          parse;   /* of what it brings: frame borders */
    ngx_mesh_relay_buf_t     pend;
    unsigned                 stopped:1;   /* the client's queue is full */
} ngx_mesh_relay_pipe_t;

/* of a viewer that may not give all input */
typedef struct {
    mesh_kvm_input_t         input;
    size_t                   len;
    unsigned                 over:1;      /* the open text is too long */
    u_char                   text[NGX_MESH_RELAY_TEXT];
} ngx_mesh_relay_filter_t;

struct ngx_mesh_relay_s {
    ngx_mesh_session_t      *s;
    ngx_queue_t              queue;   /* of those whose time may be up */
    ngx_mesh_relay_state_e   state;

    u_char                   key[32]; /* SHA-256 of domain, account, id */
    u_char                   node[NGX_MESH_ID_LEN];   /* zeros: not named */
    uint32_t                 p;       /* 0: not named */
    uint8_t                  role;
    int64_t                  domain_id;
    int64_t                  account_id;
    int64_t                  device_id;
    int64_t                  group_id;      /* of the device, when last seen */
    int64_t                  caller_id;     /* of a messenger, 0: it is none */
    int64_t                  called_id;     /* 0: a device */
    int64_t                  password_at;
    u_char                   session[32];   /* the viewer's web session, */
    int64_t                  expires_at;    /* as in ngx_mesh_auth_t */
    ngx_uint_t               heard;

    ngx_mesh_route_t        *route;   /* owned; NULL: no target is known */
    const char              *refusal; /* a sentence for the viewer, or NULL */
    ngx_mesh_relay_t        *peer;    /* in this worker, or */
    ngx_mesh_relay_pipe_t   *pipe;    /* in another one */
    ngx_mesh_addr_t          agent;   /* control session of the device */
    ngx_mesh_record_t       *record;  /* the viewer's half has it, or NULL */
    mesh_kvm_level_e         level;   /* input of a desktop's viewer */
    ngx_mesh_relay_filter_t *filter;  /* owned; NULL: nothing is filtered */

    u_char                  *out;     /* packed frames of this read turn */
    u_char                  *out_last;
    mesh_utf8_t              utf8;
    ngx_mesh_relay_buf_t     early;   /* read before the peer came */

    uint64_t                 to_viewer;     /* bytes, counted by the viewer */
    uint64_t                 to_device;
    size_t                   turn_bytes;    /* in this second, mesh_relay_rate */
    time_t                   turn;
    time_t                   joined_at;
    ngx_msec_t               stopped_at;     /* a picture waits; 0: none */
    ngx_str_t                address;       /* limits and log; in data[] */
    const ngx_mesh_relay_end_t  *end;       /* why it ends, NULL: runs */
    int64_t                  ended_by;      /* account, 0: nobody */
    uint64_t                 listed;        /* bytes, both ways, as listed */

    unsigned                 between:1;     /* output is between two frames */
    unsigned                 text:1;        /* the open message is text */
    unsigned                 counted:1;     /* in mesh_limit */
    unsigned                 owns_key:1;    /* in the table of pairs */
    unsigned                 slowed:1;      /* mesh_relay_rate */
    unsigned                 narrow:1;      /* NGX_MESH_RELAY_SLOW */
    unsigned                 shared:1;      /* it is at a desk, */
    unsigned                 seated:1;      /* which has let it in */
    unsigned                 tries:2;
    unsigned                 invites:1;     /* the id is ours: id[] */

    u_char                   id[NGX_MESH_DIAL_ID];

    u_char                   data[64];
};


/* why a session ended: member and words of its last event */
struct ngx_mesh_relay_end_s {
    const char   *reason;
    const char   *text;
};

static const ngx_mesh_relay_end_t  ngx_mesh_relay_end_viewer =
    { "closed", "" };
static const ngx_mesh_relay_end_t  ngx_mesh_relay_end_lost =
    { "lost", ", as its connection broke" };
static const ngx_mesh_relay_end_t  ngx_mesh_relay_end_device =
    { "device", ", as the device closed it or went away" };
static const ngx_mesh_relay_end_t  ngx_mesh_relay_end_rights =
    { "rights", ", as the right to it was gone" };
static const ngx_mesh_relay_end_t  ngx_mesh_relay_end_session =
    { "session", ", as its web session was over" };
static const ngx_mesh_relay_end_t  ngx_mesh_relay_end_idle =
    { "idle", ", as nothing moved in it for long" };
static const ngx_mesh_relay_end_t  ngx_mesh_relay_end_record =
    { "record", ", as it could not be recorded" };
static const ngx_mesh_relay_end_t  ngx_mesh_relay_end_person =
    { "ended", ", as " };             /* name and "ended it" follow */


/* what a handler keeps while the account is looked up */
typedef struct {
    ngx_http_request_t      *r;
    ngx_mesh_relay_t        *half;
    ngx_mesh_ticket_t        route;   /* of getcookie; kind 0: none */
} ngx_mesh_relay_ctx_t;


static ngx_int_t ngx_mesh_relay_args(ngx_http_request_t *r,
    ngx_mesh_relay_t *half, ngx_str_t *id);
static ngx_int_t ngx_mesh_relay_arg(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);
static ngx_int_t ngx_mesh_relay_device(ngx_http_request_t *r,
    ngx_mesh_relay_t *half, ngx_str_t *id, ngx_str_t *rauth);
static void ngx_mesh_relay_viewer(void *data, ngx_mesh_auth_t *who,
    const char *cause, const char *msg);
static ngx_int_t ngx_mesh_relay_target(ngx_http_request_t *r,
    ngx_mesh_relay_t *half, ngx_mesh_ticket_t *ticket);
static ngx_mesh_route_t *ngx_mesh_relay_route(ngx_mesh_relay_t *half,
    ngx_http_mesh_srv_conf_t *srv);
static void ngx_mesh_relay_key(ngx_mesh_relay_t *half, ngx_str_t *id);
static ngx_uint_t ngx_mesh_relay_is_chat(const ngx_str_t *id);
static ngx_int_t ngx_mesh_relay_chat(ngx_mesh_relay_t *half,
    const ngx_str_t *id);
static ngx_int_t ngx_mesh_relay_chat_allowed(ngx_mesh_relay_t *half);
static ngx_int_t ngx_mesh_relay_allowed(ngx_mesh_relay_t *half);
static ngx_int_t ngx_mesh_relay_accept(ngx_http_request_t *r,
    ngx_mesh_relay_t *half);
static ngx_int_t ngx_mesh_relay_enter(ngx_http_request_t *r,
    ngx_mesh_relay_t *half);
static void ngx_mesh_relay_free(ngx_mesh_relay_t *half);

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
static ngx_int_t ngx_mesh_relay_desk(ngx_mesh_relay_t *half);
static void ngx_mesh_relay_joined(ngx_mesh_relay_t *half);
static void ngx_mesh_relay_hurry(ngx_mesh_relay_t *half);
static void ngx_mesh_relay_resume(ngx_mesh_relay_t *half);
static void ngx_mesh_relay_option(ngx_connection_t *c, int level, int name,
    int value);
static void ngx_mesh_relay_record(ngx_mesh_relay_t *half);
static ngx_mesh_record_t *ngx_mesh_relay_recorder(ngx_mesh_relay_t *half);
static ngx_uint_t ngx_mesh_relay_record_full(ngx_mesh_relay_t *half);
static void ngx_mesh_relay_record_frames(ngx_mesh_record_t *record,
    ngx_uint_t direction, mesh_ws_parse_t *parse, u_char *data, size_t len);
static void ngx_mesh_relay_record_ready(void *data);
static void ngx_mesh_relay_record_failed(void *data);
static ngx_mesh_route_t *ngx_mesh_relay_goal(ngx_mesh_relay_t *half);
static void ngx_mesh_relay_list(ngx_mesh_relay_t *half);
static void ngx_mesh_relay_tick(void);
static void ngx_mesh_relay_deliver(ngx_mesh_session_t *s,
    const ngx_mesh_addr_t *from, u_char *data, size_t len);
static void ngx_mesh_relay_end(ngx_mesh_relay_t *half,
    const ngx_mesh_relay_end_t *end, ngx_uint_t code);
static void ngx_mesh_relay_release(ngx_mesh_relay_t *half);
static void ngx_mesh_relay_log(ngx_mesh_relay_t *half, ngx_uint_t end);
static void ngx_mesh_relay_tell_agent(ngx_mesh_relay_t *half,
    ngx_uint_t opened);

static ngx_int_t ngx_mesh_relay_frame(ngx_mesh_session_t *s,
    mesh_ws_event_t *ev);
static ngx_int_t ngx_mesh_relay_filter(ngx_mesh_relay_t *half);
static ngx_int_t ngx_mesh_relay_filter_frame(ngx_mesh_relay_t *half,
    mesh_ws_event_t *ev);
static ngx_uint_t ngx_mesh_relay_filter_text(u_char *text, size_t len);
static void ngx_mesh_relay_filter_out(ngx_mesh_relay_t *half,
    ngx_uint_t opcode, const u_char *data, size_t len);
static ngx_int_t ngx_mesh_relay_flush(ngx_mesh_session_t *s);
static ngx_int_t ngx_mesh_relay_forward(ngx_mesh_relay_t *half, u_char *data,
    size_t len);
static ngx_int_t ngx_mesh_relay_keep(ngx_mesh_relay_buf_t *b, u_char *data,
    size_t len, ngx_log_t *log);
static ngx_int_t ngx_mesh_relay_rate(ngx_mesh_relay_t *half, size_t len);

static ngx_mesh_relay_pipe_t *ngx_mesh_relay_pipe_create(
    ngx_mesh_relay_t *half, ngx_connection_t *c);
static void ngx_mesh_relay_pipe_read(ngx_event_t *ev);
static void ngx_mesh_relay_pipe_write(ngx_event_t *ev);
static ngx_int_t ngx_mesh_relay_pipe_send(ngx_mesh_relay_pipe_t *pipe,
    u_char *data, size_t len);
static ngx_int_t ngx_mesh_relay_pipe_flush(ngx_mesh_relay_pipe_t *pipe);
static void ngx_mesh_relay_pipe_end(ngx_mesh_relay_pipe_t *pipe);
static void ngx_mesh_relay_pipe_free(ngx_mesh_relay_pipe_t *pipe);

static void ngx_mesh_relay_drained(ngx_mesh_session_t *s);
static void ngx_mesh_relay_deadline(ngx_mesh_session_t *s);
static void ngx_mesh_relay_timer(ngx_mesh_relay_t *half);
static void ngx_mesh_relay_close(ngx_mesh_session_t *s);

static void ngx_mesh_relay_changed(ngx_uint_t kind, int64_t id);
static void ngx_mesh_relay_recheck(ngx_mesh_session_t *s, void *data);
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


/* kinds of sessions, control.md 5.5 and session.md 1.7 */

typedef struct {
    uint32_t      p;
    uint32_t      need;               /* any of these */
    uint32_t      deny;               /* none of these */
    const char   *name;
    ngx_uint_t    started, ended;     /* msgid */
} ngx_mesh_relay_kind_t;

static const ngx_mesh_relay_kind_t  ngx_mesh_relay_kinds[] = {
    { 1, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOTERMINAL, "terminal", 14, 10 },
    { 6, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOTERMINAL, "terminal", 14, 10 },
    { 8, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOTERMINAL, "terminal", 14, 10 },
    { 9, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOTERMINAL, "terminal", 14, 10 },
    { NGX_MESH_RELAY_DESKTOP,
      NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_REMOTEVIEWONLY,
      NGX_MESH_D_NODESKTOP, "desktop", 15, 11 },
    { 5, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOFILES, "files", 16, 12 },
    { 10, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOFILES, "files", 16, 12 },
    { NGX_MESH_P_FETCH, NGX_MESH_D_REMOTECONTROL, NGX_MESH_D_NOFILES, "files",
      16, 12 },
    { NGX_MESH_RELAY_CHAT, NGX_MESH_D_CHATNOTIFY, 0, "chat", 162, 112 },
    /* what is not named carries what the device's core allows */
    { 0, NGX_MESH_D_REMOTECONTROL, 0, "relay", 13, 9 }
};

/* of a target; what it needs beyond that is a matter of its route */
static const ngx_mesh_relay_kind_t  ngx_mesh_relay_targets[] = {
    { 10, NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_RELAY, 0, "RDP", 13, 9 },
    { 11, NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_RELAY, 0, "SSH", 13, 9 },
    { 12, NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_RELAY, 0, "VNC", 13, 9 },
    { 13, NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_RELAY, 0, "SFTP", 13, 9 },
    { 14, NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_RELAY, 0, "web", 13, 9 },
    { 0, NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_RELAY, 0, "TCP", 13, 9 }
};

static const ngx_mesh_relay_kind_t  ngx_mesh_relay_udp =
    { 0, NGX_MESH_D_REMOTECONTROL|NGX_MESH_D_RELAY, 0, "UDP", 13, 9 };


static u_char       ngx_mesh_relay_scratch[16 + NGX_MESH_RELAY_READ];
static ngx_queue_t  ngx_mesh_relays_timed;

/*
 * What is left of one read: the smallest packet, of 4 bytes, gets a head of 2;
 * a text or a packet may have begun in an earlier read.
 */
static u_char  ngx_mesh_relay_passed[NGX_MESH_RELAY_READ / 2 * 3
                                     + NGX_MESH_RELAY_TEXT + 256];


static const ngx_mesh_relay_kind_t *
ngx_mesh_relay_kind(uint32_t p)
{
    const ngx_mesh_relay_kind_t  *kind;

    if (p & NGX_MESH_P_UDP) {
        return &ngx_mesh_relay_udp;
    }

    kind = (p & NGX_MESH_P_TCP) ? ngx_mesh_relay_targets
                                : ngx_mesh_relay_kinds;

    for ( /* void */ ; kind->p; kind++) {
        if (kind->p == (p & ~NGX_MESH_P_FLAGS)) {
            break;
        }
    }

    return kind;
}


/*
 * GET meshrelay.ashx.  A valid rauth makes the device's half; all others must
 * be somebody with an account.
 */
ngx_int_t
ngx_http_mesh_relay_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_str_t              id, rauth;
    ngx_mesh_relay_t      *half;
    ngx_mesh_relay_ctx_t  *ctx;

    if (!ngx_mesh_model_ready()) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    half = ngx_calloc(sizeof(ngx_mesh_relay_t), r->connection->log);
    if (half == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    half->between = 1;

    if (ngx_mesh_relay_args(r, half, &id) != NGX_OK) {
        ngx_mesh_relay_free(half);
        return NGX_HTTP_BAD_REQUEST;
    }

    if (ngx_mesh_relay_arg(r, "rauth", &rauth) == NGX_OK) {
        rc = ngx_mesh_relay_device(r, half, &id, &rauth);

        if (rc == NGX_OK) {
            rc = ngx_mesh_relay_accept(r, half);
        }

        if (rc != NGX_DONE) {
            ngx_mesh_relay_free(half);
        }

        return rc;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_mesh_relay_ctx_t));
    if (ctx == NULL) {
        ngx_mesh_relay_free(half);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->r = r;
    ctx->half = half;

    rc = ngx_mesh_auth_route(r, &ctx->route, ngx_mesh_relay_viewer, ctx);

    if (rc != NGX_DONE) {
        ngx_mesh_relay_free(half);
    }

    return rc;
}


static ngx_int_t
ngx_mesh_relay_args(ngx_http_request_t *r, ngx_mesh_relay_t *half,
    ngx_str_t *id)
{
    size_t     i;
    u_char     ch;
    ngx_int_t  p;
    ngx_str_t  value;

    if (ngx_mesh_relay_arg(r, "id", id) != NGX_OK) {

        /* who names a target, or has a ticket for one, gets an id of ours */

        if (ngx_mesh_relay_arg(r, "tcpport", &value) != NGX_OK
            && ngx_mesh_relay_arg(r, "udpport", &value) != NGX_OK
            && ngx_mesh_relay_arg(r, "auth", &value) != NGX_OK)
        {
            return NGX_ERROR;
        }

        half->invites = 1;

    } else if (ngx_mesh_relay_is_chat(id)) {

        /* it says all; what else the URL has is not looked at */
        return id->len <= NGX_MESH_RELAY_CHAT_MAX ? NGX_OK : NGX_ERROR;

    } else if (id->len == 0 || id->len > NGX_MESH_RELAY_ID_MAX) {
        return NGX_ERROR;
    }

    if (half->invites) {
        ngx_str_null(id);
    }

    for (i = 0; i < id->len; i++) {
        ch = id->data[i];

        if (!(ch >= '0' && ch <= '9') && !(ch >= 'A' && ch <= 'Z')
            && !(ch >= 'a' && ch <= 'z')
            && ch != '@' && ch != '$' && ch != '_' && ch != '-')
        {
            return NGX_ERROR;
        }
    }

    if (ngx_mesh_relay_arg(r, "p", &value) == NGX_OK) {
        p = ngx_atoi(value.data, value.len);

        if (p == NGX_ERROR || p > 255 || p == NGX_MESH_RELAY_CHAT) {
            return NGX_ERROR;
        }

        half->p = p;
    }

    return NGX_OK;
}


/* an argument of the request, unescaped; some clients glue "?key=" behind */
static ngx_int_t
ngx_mesh_relay_arg(ngx_http_request_t *r, const char *name, ngx_str_t *value)
{
    u_char     *p, *src, *dst;
    ngx_str_t   raw;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &raw) != NGX_OK) {
        return NGX_DECLINED;
    }

    p = ngx_strlchr(raw.data, raw.data + raw.len, '?');
    if (p) {
        raw.len = p - raw.data;
    }

    value->data = ngx_pnalloc(r->pool, raw.len + 1);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    src = raw.data;
    dst = value->data;
    ngx_unescape_uri(&dst, &src, raw.len, 0);
    value->len = dst - value->data;

    return NGX_OK;
}


/* the device's half: all that it may is in the ticket, nothing in the URL */
static ngx_int_t
ngx_mesh_relay_device(ngx_http_request_t *r, ngx_mesh_relay_t *half,
    ngx_str_t *id, ngx_str_t *rauth)
{
    const char          *why;
    ngx_uint_t           chat;
    ngx_mesh_ticket_t    ticket;
    ngx_mesh_presence_t  presence;

    chat = ngx_mesh_relay_is_chat(id);

    if (half->invites
        || ngx_mesh_ticket_read(&ticket, chat ? NGX_MESH_TICKET_CHAT
                                              : NGX_MESH_TICKET_RELAY,
                                rauth, r->pool)
           != NGX_OK
        || (!chat
            && (ticket.id.len != id->len
                || ngx_memcmp(ticket.id.data, id->data, id->len) != 0)))
    {
        ngx_mesh_count(NGX_MESH_C_RELAY_REFUSED);
        return NGX_HTTP_FORBIDDEN;
    }

    half->role = NGX_MESH_DEVICE;
    half->p = ticket.p;
    half->domain_id = ticket.domain_id;
    half->account_id = ticket.account_id;
    half->device_id = ticket.device_id;
    half->password_at = ticket.password_at;
    ngx_memcpy(half->node, ticket.node, NGX_MESH_ID_LEN);

    /* who sits at a device, in a browser: the agent has no part in it */
    if (chat) {

        if (ngx_mesh_relay_chat(half, id) != NGX_OK
            || ngx_mesh_relay_allowed(half) != NGX_OK)
        {
            ngx_mesh_count(NGX_MESH_C_RELAY_REFUSED);
            return NGX_HTTP_FORBIDDEN;
        }

        return NGX_OK;
    }

    if (ngx_mesh_presence_lookup(NGX_MESH_AGENT, half->domain_id, half->node,
                                 &presence)
        == NGX_OK)
    {
        half->agent = presence.owner;
    }

    if (ticket.port) {
        half->route = ngx_mesh_relay_route(half,
                          ngx_http_get_module_srv_conf(r,
                                                      ngx_http_mesh_module));

        if (half->route == NULL
            || ngx_mesh_route_target(half->route, &ticket.addr, ticket.port,
                                     &why)
               != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ngx_mesh_relay_key(half, id);

    if (ngx_mesh_relay_allowed(half) != NGX_OK) {
        ngx_mesh_count(NGX_MESH_C_RELAY_REFUSED);
        return NGX_HTTP_FORBIDDEN;
    }

    return NGX_OK;
}


/* the viewer's half: who is known, or is told why not and closed */
static void
ngx_mesh_relay_viewer(void *data, ngx_mesh_auth_t *who, const char *cause,
    const char *msg)
{
    ngx_mesh_relay_ctx_t *ctx = data;

    ngx_int_t            rc;
    ngx_str_t            id, nodeid;
    ngx_mesh_relay_t    *half;
    ngx_http_request_t  *r;

    r = ctx->r;
    half = ctx->half;

    if (who == NULL) {
        ngx_mesh_count(NGX_MESH_C_RELAY_REFUSED);
        ngx_mesh_relay_free(half);
        ngx_http_finalize_request(r, ngx_mesh_auth_refuse(r, cause, msg));
        return;
    }

    half->role = NGX_MESH_VIEWER;
    half->domain_id = who->domain_id;
    half->account_id = who->account_id;
    half->password_at = who->password_at;
    ngx_memcpy(half->session, who->session, 32);
    half->expires_at = who->expires_at;
    half->heard = who->heard;

    rc = NGX_OK;

    if (half->invites) {

        if (ngx_mesh_relay_arg(r, "nodeid", &nodeid) == NGX_OK) {
            rc = ngx_mesh_node_parse(half->domain_id, &nodeid, half->node);
        }

        if (rc == NGX_OK) {
            rc = ngx_mesh_relay_target(r, half, &ctx->route);
        }

    } else {
        rc = ctx->route.kind ? NGX_DECLINED
                             : ngx_mesh_relay_arg(r, "id", &id);

        if (rc == NGX_OK && ngx_mesh_relay_is_chat(&id)) {
            rc = ngx_mesh_relay_chat(half, &id);

        } else if (rc == NGX_OK) {

            if (ngx_mesh_relay_arg(r, "nodeid", &nodeid) == NGX_OK) {
                rc = ngx_mesh_node_parse(half->domain_id, &nodeid,
                                         half->node);
            }

            ngx_mesh_relay_key(half, &id);
        }

        if (rc == NGX_OK) {
            rc = ngx_mesh_relay_allowed(half);
        }
    }

    if (rc != NGX_OK) {
        ngx_mesh_count(NGX_MESH_C_RELAY_REFUSED);
        ngx_mesh_relay_free(half);
        ngx_http_finalize_request(r, NGX_HTTP_FORBIDDEN);
        return;
    }

    rc = ngx_mesh_relay_accept(r, half);

    if (rc != NGX_DONE) {
        ngx_mesh_relay_free(half);
    }

    ngx_http_finalize_request(r, rc);
}


/*
 * A viewer whose agent we command: which target, from its ticket or its URL.
 * What is wrong is told to it as a viewer, whose client shows no statuses.
 */
static ngx_int_t
ngx_mesh_relay_target(ngx_http_request_t *r, ngx_mesh_relay_t *half,
    ngx_mesh_ticket_t *ticket)
{
    ngx_int_t         n;
    ngx_str_t         addr, port;
    ngx_uint_t        udp;
    ngx_mesh_route_t  *route;

    static u_char  zeros[NGX_MESH_ID_LEN];

    ngx_str_null(&addr);
    udp = 0;

    if (ngx_mesh_relay_arg(r, "tcpport", &port) == NGX_OK) {
        (void) ngx_mesh_relay_arg(r, "tcpaddr", &addr);

    } else if (ngx_mesh_relay_arg(r, "udpport", &port) == NGX_OK) {
        (void) ngx_mesh_relay_arg(r, "udpaddr", &addr);
        udp = 1;

    } else {
        ngx_str_null(&port);
    }

    if (ticket->kind) {

        /* it stands for one target of one device; the URL names no other */

        if (port.len
            || (ngx_memcmp(half->node, zeros, NGX_MESH_ID_LEN) != 0
                && ngx_memcmp(half->node, ticket->node, NGX_MESH_ID_LEN) != 0))
        {
            half->refusal = "The cookie is for another connection.";
            return NGX_OK;
        }

        ngx_memcpy(half->node, ticket->node, NGX_MESH_ID_LEN);
        half->p = ticket->p;
        addr = ticket->addr;
        n = ticket->port;

    } else if (port.len == 0) {
        half->refusal = "The cookie of this connection is not valid any more.";
        return NGX_OK;

    } else {
        n = ngx_atoi(port.data, port.len);
        half->p |= udp ? NGX_MESH_P_UDP : NGX_MESH_P_TCP;
    }

    route = ngx_mesh_relay_route(half,
                ngx_http_get_module_srv_conf(r, ngx_http_mesh_module));
    if (route == NULL) {
        return NGX_ERROR;
    }

    half->route = route;
    ngx_memcpy(route->address, r->connection->addr_text.data,
               ngx_min(r->connection->addr_text.len,
                       sizeof(route->address) - 1));

    if (ngx_mesh_route_target(route, &addr, n == NGX_ERROR ? 0 : n,
                              &half->refusal)
        != NGX_OK
        || ngx_mesh_route_check(route, &half->refusal) != NGX_OK)
    {
        return NGX_OK;
    }

    half->refusal = NULL;

    return ngx_mesh_route_id(route, half->id, half->key);
}


/* what the half knows of itself */
static ngx_mesh_route_t *
ngx_mesh_relay_route(ngx_mesh_relay_t *half, ngx_http_mesh_srv_conf_t *srv)
{
    ngx_mesh_route_t  *route;

    route = ngx_calloc(sizeof(ngx_mesh_route_t), ngx_cycle->log);
    if (route == NULL) {
        return NULL;
    }

    route->srv = srv;
    route->who.domain_id = half->domain_id;
    route->who.account_id = half->account_id;
    route->who.password_at = half->password_at;
    ngx_memcpy(route->who.session, half->session, 32);
    ngx_memcpy(route->node, half->node, NGX_MESH_ID_LEN);
    route->p = half->p;

    return route;
}


/*
 * The id is a name, not a secret: the key holds whose it is, so that two
 * users with one id neither meet nor block each other.
 */
static void
ngx_mesh_relay_key(ngx_mesh_relay_t *half, ngx_str_t *id)
{
    u_char  *p, buf[16 + NGX_MESH_RELAY_ID_MAX];

    p = mesh_put64(buf, (uint64_t) half->domain_id);
    p = mesh_put64(p, (uint64_t) half->account_id);
    p = ngx_cpymem(p, id->data, id->len);

    ngx_mesh_sha256(buf, p - buf, half->key);
}


static ngx_uint_t
ngx_mesh_relay_is_chat(const ngx_str_t *id)
{
    return id->len > sizeof("meshmessenger/") - 1
           && ngx_strncmp(id->data, "meshmessenger/",
                          sizeof("meshmessenger/") - 1) == 0;
}


/*
 * meshmessenger/A/B: B, a user, invited A, a user or a device.  The half is of
 * one of them; of a device it has a ticket that says so.  The key is of both,
 * and of no session that is no messenger, as account 0 has none.
 */
static ngx_int_t
ngx_mesh_relay_chat(ngx_mesh_relay_t *half, const ngx_str_t *id)
{
    u_char              *p, *last, *slash[5];
    u_char               node[NGX_MESH_ID_LEN], buf[24 + NGX_MESH_ID_LEN + 8];
    ngx_str_t            a, b;
    ngx_uint_t           n;
    ngx_mesh_account_t  *caller, *called;

    n = 0;
    last = id->data + id->len;

    /* exactly seven parts */
    for (p = id->data + sizeof("meshmessenger/") - 1; p < last; p++) {
        if (*p == '/') {
            if (n == 5) {
                return NGX_DECLINED;
            }

            slash[n++] = p;
        }
    }

    if (n != 5) {
        return NGX_DECLINED;
    }

    a.data = id->data + sizeof("meshmessenger/") - 1;
    a.len = slash[2] - a.data;
    b.data = slash[2] + 1;
    b.len = last - b.data;

    /* the long form of each; the names of the finder may be short */
    if (slash[3] - b.data != 4 || ngx_strncmp(b.data, "user", 4) != 0) {
        return NGX_DECLINED;
    }

    caller = ngx_mesh_account_find(half->domain_id, &b);

    if (caller == NULL) {
        return NGX_DECLINED;
    }

    called = NULL;
    ngx_memzero(node, NGX_MESH_ID_LEN);

    if (slash[0] - a.data == 4 && ngx_strncmp(a.data, "user", 4) == 0) {
        called = ngx_mesh_account_find(half->domain_id, &a);

        if (called == NULL || called == caller) {
            return NGX_DECLINED;
        }

    } else if (ngx_mesh_node_parse(half->domain_id, &a, node) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (half->role == NGX_MESH_DEVICE) {

        /* the ticket is of the one who invited, for one device */
        if (called || caller->account_id != half->account_id
            || ngx_memcmp(node, half->node, NGX_MESH_ID_LEN) != 0)
        {
            return NGX_DECLINED;
        }

    } else if (called && called->account_id == half->account_id) {
        half->role = NGX_MESH_DEVICE;

    } else if (caller->account_id != half->account_id) {
        return NGX_DECLINED;
    }

    half->p = NGX_MESH_RELAY_CHAT;
    half->caller_id = caller->account_id;
    half->called_id = called ? called->account_id : 0;
    ngx_memcpy(half->node, node, NGX_MESH_ID_LEN);

    p = mesh_put64(buf, (uint64_t) half->domain_id);
    p = mesh_put64(p, 0);
    p = mesh_put64(p, (uint64_t) half->called_id);
    p = ngx_cpymem(p, node, NGX_MESH_ID_LEN);
    p = mesh_put64(p, (uint64_t) half->caller_id);

    ngx_mesh_sha256(buf, p - buf, half->key);

    return NGX_OK;
}


/* between two users: who invited may see users, and neither is locked */
static ngx_int_t
ngx_mesh_relay_chat_allowed(ngx_mesh_relay_t *half)
{
    ngx_mesh_account_t  *caller, *called;

    caller = ngx_mesh_account(half->caller_id);
    called = ngx_mesh_account(half->called_id);

    if (caller == NULL || called == NULL
        || caller->domain_id != half->domain_id
        || called->domain_id != half->domain_id
        || ngx_mesh_account_locked(caller) || ngx_mesh_account_locked(called)
        || !ngx_mesh_right(caller->site_rights, NGX_MESH_S_MANAGEUSERS))
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/*
 * May the account use this session now?  Asked when a half comes, when two
 * pair, and when anything about the account or its grants has changed.
 */
static ngx_int_t
ngx_mesh_relay_allowed(ngx_mesh_relay_t *half)
{
    uint32_t                      rights;
    ngx_uint_t                    visible;
    ngx_mesh_account_t           *account;
    ngx_mesh_presence_t           presence;
    const ngx_mesh_relay_kind_t  *kind;

    static u_char  zeros[NGX_MESH_ID_LEN];

    if (half->route) {
        half->route->runs = half->state == NGX_MESH_RELAY_JOINED;

        if (ngx_mesh_route_check(half->route, &half->refusal) != NGX_OK) {
            return NGX_DECLINED;
        }

        half->refusal = NULL;
        half->device_id = half->route->device.device_id;
        return NGX_OK;
    }

    account = ngx_mesh_account(half->account_id);

    if (account == NULL || ngx_mesh_account_locked(account)
        || account->domain_id != half->domain_id
        || account->password_at != half->password_at)
    {
        return NGX_DECLINED;
    }

    if (half->called_id) {
        return ngx_mesh_relay_chat_allowed(half);
    }

    if (ngx_memcmp(half->node, zeros, NGX_MESH_ID_LEN) == 0) {
        /* the device's half names it */
        return NGX_OK;
    }

    /* a device that is not here cannot take the other half either */
    if (ngx_mesh_presence_lookup(NGX_MESH_AGENT, half->domain_id, half->node,
                                 &presence)
        != NGX_OK)
    {
        if (half->state != NGX_MESH_RELAY_JOINED || half->group_id == 0) {
            return NGX_DECLINED;
        }

        /* what runs outlives the loss of the control channel, not its rights */
        presence.group_id = half->group_id;
        presence.device_id = half->device_id;
    }

    half->group_id = presence.group_id;
    half->device_id = presence.device_id;

    rights = ngx_mesh_rights(half->account_id, presence.group_id,
                             presence.device_id, &visible);
    kind = ngx_mesh_relay_kind(half->p);

    if (!visible || !ngx_mesh_right(rights, kind->need)
        || ngx_mesh_restricted(rights, kind->deny))
    {
        return NGX_DECLINED;
    }

    if (!ngx_mesh_right(rights, NGX_MESH_D_REMOTECONTROL)
        || ngx_mesh_restricted(rights, NGX_MESH_D_REMOTEVIEWONLY))
    {
        half->level = MESH_KVM_VIEW;

    } else if (ngx_mesh_restricted(rights, NGX_MESH_D_DESKLIMITEDINPUT)) {
        half->level = MESH_KVM_LIMITED;

    } else {
        half->level = MESH_KVM_FULL;
    }

    return NGX_OK;
}


static ngx_int_t
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
static void
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


static ngx_int_t
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

        /* lists are of sessions on devices */
        if (half->called_id == 0) {
            ngx_mesh_relay_list(half);
        }

        ngx_mesh_relay_log(half, 0);

    } else {
        ngx_mesh_relay_tell_agent(half, 1);
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

    if (half->early.len) {

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


/* of the session that this half is one of, in this worker, or NULL */
static ngx_mesh_record_t *
ngx_mesh_relay_recorder(ngx_mesh_relay_t *half)
{
    if (half->role == NGX_MESH_VIEWER) {
        return half->record;
    }

    return half->peer ? half->peer->record : NULL;
}


static ngx_uint_t
ngx_mesh_relay_record_full(ngx_mesh_relay_t *half)
{
    ngx_mesh_record_t  *record;

    record = ngx_mesh_relay_recorder(half);

    return record && ngx_mesh_record_full(record, ngx_mesh_relay_side(half));
}


/* frames that were packed, or come from another worker */
static void
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


/* the buffer of the recording has room: both sides are read on */
static void
ngx_mesh_relay_record_ready(void *data)
{
    ngx_mesh_relay_t *half = data;

    if (!half->slowed) {
        ngx_mesh_ws_resume(half->s);
    }

    ngx_mesh_relay_drained(half->s);
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


/* lists show it from now on; where the zone is full they do not */
static void
ngx_mesh_relay_list(ngx_mesh_relay_t *half)
{
    ngx_mesh_route_t   *route;
    ngx_mesh_running_t  r;

    ngx_memzero(&r, sizeof(ngx_mesh_running_t));

    ngx_mesh_session_addr(half->s, &r.owner);
    r.domain_id = half->domain_id;
    r.account_id = half->account_id;
    ngx_memcpy(r.node, half->node, NGX_MESH_ID_LEN);
    r.since = half->joined_at;
    r.p = half->p;
    ngx_memcpy(r.address, half->address.data,
               ngx_min(half->address.len, sizeof(r.address) - 1));

    route = ngx_mesh_relay_goal(half);

    if (route) {
        r.port = route->target.port;
        ngx_memcpy(r.target, route->target.text,
                   ngx_min(route->target.len, sizeof(r.target) - 1));
    }

    (void) ngx_mesh_running_insert(&r);
}


/* each second: bytes of those in which something moved, and whose time is up */
static void
ngx_mesh_relay_tick(void)
{
    int64_t            now;
    ngx_queue_t       *q, *next;
    ngx_mesh_relay_t  *half;

    now = ngx_mesh_now_ms();

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
static void
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


static u_char *
ngx_mesh_relay_with(u_char *p, u_char *last, ngx_mesh_relay_t *half)
{
    if (half->called_id == 0) {
        return p;
    }

    p = ngx_slprintf(p, last, " with ");

    return ngx_mesh_account_say(p, last, half->called_id);
}


/* little waits on the way of a picture; what cannot be set is as it was */
static void
ngx_mesh_relay_hurry(ngx_mesh_relay_t *half)
{
    ngx_connection_t  *c;

    c = half->s->c;

    if (half->role == NGX_MESH_DEVICE) {
        ngx_mesh_relay_option(c, SOL_SOCKET, SO_RCVBUF,
                              NGX_MESH_RELAY_RCVBUF);

        if (half->pipe) {
            ngx_mesh_relay_option(half->pipe->c, SOL_SOCKET, SO_SNDBUF,
                                  NGX_MESH_RELAY_PICTURE);
        }

        return;
    }

    half->s->relay_mark = NGX_MESH_RELAY_PICTURE;
    ngx_mesh_relay_option(c, IPPROTO_TCP, TCP_NOTSENT_LOWAT,
                          NGX_MESH_RELAY_PICTURE);
}


/* the other side has taken what it was given: read on */
static void
ngx_mesh_relay_resume(ngx_mesh_relay_t *half)
{
    if (half->stopped_at
        && half->role == NGX_MESH_DEVICE && !half->narrow
        && half->p == NGX_MESH_RELAY_DESKTOP
        && ngx_current_msec - half->stopped_at >= NGX_MESH_RELAY_STOPPED)
    {
        half->narrow = 1;
        ngx_mesh_relay_option(half->s->c, SOL_SOCKET, SO_RCVBUF,
                              NGX_MESH_RELAY_SLOW);
    }

    half->stopped_at = 0;
    ngx_mesh_ws_resume(half->s);
}


static void
ngx_mesh_relay_option(ngx_connection_t *c, int level, int name, int value)
{
    if (setsockopt(c->fd, level, name, &value, sizeof(int)) == -1) {
        ngx_log_error(NGX_LOG_INFO, c->log, ngx_socket_errno,
                      "mesh relay: setsockopt(%d) failed", name);
    }
}


/* the viewer's half writes it, where the person and the device are known */
static void
ngx_mesh_relay_log(ngx_mesh_relay_t *half, ngx_uint_t end)
{
    u_char                       *p, args[160], text[640], doc[512];
    u_char                        id[17], to[MESH_TARGET_TEXT + 32];
    time_t                        seconds;
    const char                   *name;
    ngx_mesh_event_t              e;
    ngx_mesh_route_t             *route;
    ngx_mesh_presence_t           presence;
    const ngx_mesh_relay_kind_t  *kind;

    kind = ngx_mesh_relay_kind(half->p);
    seconds = ngx_time() - half->joined_at;

    ngx_memzero(&e, sizeof(ngx_mesh_event_t));

    e.scope.domain_id = half->domain_id;
    e.scope.account_id = half->account_id;
    e.scope.subject_id = half->called_id;
    e.scope.device_id = half->device_id;

    if (ngx_mesh_presence_lookup(NGX_MESH_AGENT, half->domain_id, half->node,
                                 &presence)
        == NGX_OK)
    {
        e.scope.group_id = presence.group_id;
    }

    e.kind = "relay";
    e.action = "relaylog";
    e.msgid = end ? kind->ended : kind->started;
    e.address = half->address;

    /* relay ids are hashed wherever they are kept */
    id[16] = '\0';
    ngx_hex_dump(id, half->key, 8);

    p = ngx_sprintf(args, "[\"%s\",\"%V\",\"\"", id, &half->address);

    if (end) {
        p = ngx_sprintf(p, ",%T", seconds);
    }

    *p++ = ']';
    e.args.data = args;
    e.args.len = p - args;

    to[0] = '\0';
    route = ngx_mesh_relay_goal(half);

    if (route) {
        *ngx_snprintf(to, sizeof(to) - 1, " to %s port %ui",
                      route->target.text, (ngx_uint_t) route->target.port)
            = '\0';
    }

    p = ngx_mesh_account_say(text, text + sizeof(text), half->account_id);

    if (end) {
        p = ngx_slprintf(p, text + sizeof(text), " ended a %s session%s",
                         kind->name, to);
        p = ngx_mesh_relay_with(p, text + sizeof(text), half);
        p = ngx_slprintf(p, text + sizeof(text), " of %T seconds from %V%s",
                         seconds, &half->address,
                         half->caller_id
                         && half->end == &ngx_mesh_relay_end_device
                         ? ", as the other side closed it or went away"
                         : half->end->text);

        if (half->ended_by) {
            p = ngx_mesh_account_say(p, text + sizeof(text), half->ended_by);
            p = ngx_slprintf(p, text + sizeof(text), " ended it");
        }

    } else {
        p = ngx_slprintf(p, text + sizeof(text), " started a %s session%s",
                         kind->name, to);
        p = ngx_mesh_relay_with(p, text + sizeof(text), half);
        p = ngx_slprintf(p, text + sizeof(text), " from %V", &half->address);
    }

    e.text.data = text;
    e.text.len = p - text;

    p = ngx_sprintf(doc, "{\"protocol\":%uD", half->p & ~NGX_MESH_P_FLAGS);

    /* an address holds nothing that JSON would escape */
    if (route) {
        name = (half->p & NGX_MESH_P_UDP) ? "udp" : "tcp";
        p = ngx_sprintf(p, ",\"%sport\":%ui,\"%saddr\":\"%s\"", name,
                        (ngx_uint_t) route->target.port, name,
                        route->target.text);
    }

    if (end) {
        p = ngx_sprintf(p, ",\"bytesin\":%uL,\"bytesout\":%uL,"
                        "\"reason\":\"%s\"", half->to_viewer,
                        half->to_device, half->end->reason);
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
static void
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


/* packs the other client's frames over what was read, see the comment above */
static ngx_int_t
ngx_mesh_relay_frame(ngx_mesh_session_t *s, mesh_ws_event_t *ev)
{
    size_t              n;
    u_char              head[MESH_WS_MAX_HEAD];
    ngx_mesh_relay_t   *half;
    ngx_mesh_record_t  *record;

    half = s->data;

    if (half->filter) {
        return ngx_mesh_relay_filter_frame(half, ev);
    }

    record = ngx_mesh_relay_recorder(half);

    if (record && ev->what != MESH_WS_DATA) {
        ngx_mesh_record_event(record, ngx_mesh_relay_side(half), ev, NULL, 0);
    }

    switch (ev->what) {

    case MESH_WS_HEAD:

        if (ev->first) {
            half->text = (ev->opcode == MESH_WS_TEXT);
        }

        n = mesh_ws_head(head, ev->first ? ev->opcode : MESH_WS_CONT,
                         ev->fin, ev->len);

        if (half->out == NULL) {
            /* 16 bytes of room where the header began in an earlier read */
            half->out = ev->data - n;
            half->out_last = half->out;
        }

        half->out_last = ngx_cpymem(half->out_last, head, n);
        half->between = 0;
        break;

    case MESH_WS_DATA:

        if (half->out == NULL) {
            half->out = ev->data;
            half->out_last = ev->data;
        }

        (void) mesh_ws_unmask(half->out_last, ev->data, ev->size, ev->mask,
                              ev->phase);

        /* a device's text need not be UTF-8; a browser would close for it */
        if (half->text && half->role == NGX_MESH_DEVICE) {
            mesh_utf8_repair(&half->utf8, half->out_last, ev->size, ev->len);
        }

        if (record) {
            ngx_mesh_record_event(record, ngx_mesh_relay_side(half), ev,
                                  half->out_last, ev->size);
        }

        half->out_last += ev->size;
        break;

    case MESH_WS_FRAME_END:

        half->between = 1;
        break;

    default:    /* MESH_WS_END: the border was the frame's */
        break;
    }

    return NGX_OK;
}


/*
 * Filters a viewer that needs it, from now on.  NGX_DECLINED: something that
 * was not looked at is on its way already.
 */
static ngx_int_t
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


static ngx_int_t
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


static ngx_int_t
ngx_mesh_relay_flush(ngx_mesh_session_t *s)
{
    size_t             n;
    u_char            *out;
    ngx_int_t          rc;
    ngx_mesh_relay_t  *half;

    half = s->data;
    out = half->out;

    if (out == NULL) {
        return NGX_OK;
    }

    n = half->out_last - out;
    half->out = NULL;

    if (half->role == NGX_MESH_DEVICE) {
        half->to_viewer += n;
    } else {
        half->to_device += n;
    }

    if (half->state == NGX_MESH_RELAY_WAITING
        || half->state == NGX_MESH_RELAY_OPENING)
    {
        /* what comes before the peer is delivered right behind its "c" */
        if (ngx_mesh_relay_keep(&half->early, out, n, s->c->log) != NGX_OK) {
            return NGX_ERROR;
        }

        return half->early.len >= s->conf->relay_buffer ? NGX_AGAIN : NGX_OK;
    }

    rc = ngx_mesh_relay_forward(half, out, n);

    if (rc == NGX_AGAIN) {
        half->stopped_at = ngx_current_msec;
    }

    if (rc == NGX_OK && s->conf->relay_rate) {
        rc = ngx_mesh_relay_rate(half, n);
    }

    if (rc == NGX_OK && ngx_mesh_relay_record_full(half)) {
        rc = NGX_AGAIN;
    }

    return rc;
}


/* NGX_AGAIN: taken, but read no more until the peer has room */
static ngx_int_t
ngx_mesh_relay_forward(ngx_mesh_relay_t *half, u_char *data, size_t len)
{
    ngx_int_t            rc;
    ngx_mesh_session_t  *s;

    if (half->pipe) {
        return ngx_mesh_relay_pipe_send(half->pipe, data, len);
    }

    if (half->peer == NULL) {
        return NGX_OK;      /* it is closing: the bytes have no reader */
    }

    s = half->peer->s;

    ngx_mesh_ws_raw_boundary(s, half->between);

    rc = ngx_mesh_ws_send_raw(s, data, len);

    if (half->role == NGX_MESH_DEVICE) {
        half->peer->to_viewer += len;
    } else {
        half->peer->to_device += len;
    }

    if (rc == NGX_ERROR) {
        ngx_mesh_ws_abort(s);
    }

    return rc;
}


static ngx_int_t
ngx_mesh_relay_keep(ngx_mesh_relay_buf_t *b, u_char *data, size_t len,
    ngx_log_t *log)
{
    size_t   size;
    u_char  *p;

    if (len > b->size - b->len) {
        size = b->len + len;

        p = ngx_alloc(size, log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (b->data) {
            ngx_memcpy(p, b->data, b->len);
            ngx_free(b->data);
        }

        b->data = p;
        b->size = size;
    }

    ngx_memcpy(b->data + b->len, data, len);
    b->len += len;

    return NGX_OK;
}


/* over mesh_relay_rate in this second: read on in the next one */
static ngx_int_t
ngx_mesh_relay_rate(ngx_mesh_relay_t *half, size_t len)
{
    if (half->turn != ngx_time()) {
        half->turn = ngx_time();
        half->turn_bytes = 0;
    }

    half->turn_bytes += len;

    if (half->turn_bytes < half->s->conf->relay_rate) {
        return NGX_OK;
    }

    half->slowed = 1;
    ngx_mesh_ws_deadline(half->s, 1);

    return NGX_AGAIN;
}


static ngx_mesh_relay_pipe_t *
ngx_mesh_relay_pipe_create(ngx_mesh_relay_t *half, ngx_connection_t *c)
{
    ngx_mesh_relay_pipe_t  *pipe;

    pipe = ngx_calloc(sizeof(ngx_mesh_relay_pipe_t), c->log);
    if (pipe == NULL) {
        return NULL;
    }

    pipe->c = c;
    pipe->half = half;

    c->data = pipe;
    c->read->handler = ngx_mesh_relay_pipe_read;
    c->write->handler = ngx_mesh_relay_pipe_write;

    return pipe;
}


static void
ngx_mesh_relay_pipe_read(ngx_event_t *ev)
{
    u_char                 *buf, *pos, *last;
    ssize_t                 n;
    ngx_int_t               rc, turns;
    mesh_ws_event_t         found;
    mesh_ws_limits_t        limits;
    ngx_connection_t       *c;
    ngx_mesh_relay_t       *half;
    ngx_mesh_session_t     *s;
    ngx_mesh_relay_pipe_t  *pipe;

    c = ev->data;
    pipe = c->data;
    half = pipe->half;
    buf = ngx_mesh_relay_scratch + 16;

    if (half == NULL) {
        /* only written to: what still comes has no reader */
        while ((n = c->recv(c, buf, NGX_MESH_RELAY_READ)) > 0) { /* void */ }

        if (n != NGX_AGAIN) {
            ngx_mesh_relay_pipe_free(pipe);
        }

        return;
    }

    s = half->s;
    ngx_memzero(&limits, sizeof(mesh_ws_limits_t));

    for (turns = 0; !pipe->stopped; turns++) {

        if (turns == NGX_MESH_RELAY_TURNS) {
            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        n = c->recv(c, buf, NGX_MESH_RELAY_READ);

        if (n == NGX_AGAIN) {
            return;
        }

        if (n <= 0) {
            /* the other half is gone; what it sent has been passed on */
            half->pipe = NULL;
            ngx_mesh_relay_pipe_free(pipe);

            /* the desk was about to end when it came */
            if (half->shared && !half->seated
                && half->role == NGX_MESH_VIEWER
                && half->tries++ < NGX_MESH_RELAY_DESKS
                && ngx_mesh_relay_desk(half) == NGX_OK)
            {
                return;
            }

            ngx_mesh_relay_end(half, &ngx_mesh_relay_end_device,
                               MESH_WS_CODE_NORMAL);
            return;
        }

        if (half->shared && !half->seated) {
            half->seated = 1;

            if (half->role == NGX_MESH_DEVICE) {
                ngx_mesh_relay_tell_agent(half, 1);
            }
        }

        /* our own control frames fit between two frames only */
        pos = buf;
        last = buf + n;

        do {
            rc = mesh_ws_parse(&pipe->parse, &limits, &pos, last, &found);

            if (half->record && rc != MESH_AGAIN && rc != MESH_ERROR) {
                ngx_mesh_record_event(half->record, NGX_MESH_RECORD_DEVICE,
                                      &found, found.data, found.size);
            }
        } while (rc != MESH_AGAIN && rc != MESH_ERROR);

        if (rc == MESH_ERROR) {
            ngx_log_error(NGX_LOG_ALERT, c->log, 0,
                          "mesh relay: broken frame from another worker");
            ngx_mesh_ws_abort(s);
            return;
        }

        ngx_mesh_ws_raw_boundary(s, !pipe->parse.payload
                                    && pipe->parse.nhead == 0);

        if (half->role == NGX_MESH_VIEWER) {
            half->to_viewer += n;
        }

        rc = ngx_mesh_ws_send_raw(s, buf, n);

        if (rc == NGX_ERROR) {
            ngx_mesh_ws_abort(s);
            return;
        }

        if (rc == NGX_AGAIN
            || (half->record
                && ngx_mesh_record_full(half->record, NGX_MESH_RECORD_DEVICE)))
        {
            pipe->stopped = 1;      /* until drained() */
        }
    }
}


static void
ngx_mesh_relay_pipe_write(ngx_event_t *ev)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_mesh_relay_pipe_t  *pipe;

    c = ev->data;
    pipe = c->data;

    rc = ngx_mesh_relay_pipe_flush(pipe);

    if (pipe->half == NULL) {
        if (rc != NGX_AGAIN) {
            ngx_mesh_relay_pipe_free(pipe);
        }

        return;
    }

    if (rc == NGX_ERROR) {
        ngx_mesh_relay_end(pipe->half, &ngx_mesh_relay_end_device,
                           MESH_WS_CODE_AWAY);
        return;
    }

    if (rc == NGX_OK && !pipe->half->slowed) {
        ngx_mesh_relay_resume(pipe->half);
    }
}


static ngx_int_t
ngx_mesh_relay_pipe_send(ngx_mesh_relay_pipe_t *pipe, u_char *data, size_t len)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = pipe->c;

    if (pipe->pend.len == pipe->pend.pos) {

        while (len) {
            n = c->send(c, data, len);

            if (n == NGX_AGAIN || n == 0) {
                break;
            }

            if (n < 0) {
                return NGX_ERROR;
            }

            data += n;
            len -= n;
        }

        if (len == 0) {
            return NGX_OK;
        }

        pipe->pend.pos = 0;
        pipe->pend.len = 0;
    }

    if (ngx_mesh_relay_keep(&pipe->pend, data, len, c->log) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_mesh_pipe_blocked(c, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_mesh_relay_pipe_flush(ngx_mesh_relay_pipe_t *pipe)
{
    ssize_t                n;
    ngx_connection_t      *c;
    ngx_mesh_relay_buf_t  *b;

    c = pipe->c;
    b = &pipe->pend;

    while (b->pos < b->len) {
        n = c->send(c, b->data + b->pos, b->len - b->pos);

        if (n == NGX_AGAIN || n == 0) {
            return ngx_mesh_pipe_blocked(c, 1) == NGX_OK ? NGX_AGAIN
                                                         : NGX_ERROR;
        }

        if (n < 0) {
            return NGX_ERROR;
        }

        b->pos += n;
    }

    /* an idle relay keeps no buffer */
    if (b->data) {
        ngx_free(b->data);
        ngx_memzero(b, sizeof(ngx_mesh_relay_buf_t));
    }

    return ngx_mesh_pipe_blocked(c, 0);
}


/* the half is gone: what it sent last still has to arrive */
static void
ngx_mesh_relay_pipe_end(ngx_mesh_relay_pipe_t *pipe)
{
    pipe->half = NULL;

    if (pipe->pend.pos == pipe->pend.len) {
        ngx_mesh_relay_pipe_free(pipe);
    }
}


static void
ngx_mesh_relay_pipe_free(ngx_mesh_relay_pipe_t *pipe)
{
    if (pipe->pend.data) {
        ngx_free(pipe->pend.data);
    }

    ngx_mesh_pipe_close(pipe->c);
    ngx_free(pipe);
}


/* the client has taken what was queued: feed it again */
static void
ngx_mesh_relay_drained(ngx_mesh_session_t *s)
{
    ngx_mesh_relay_t  *half;

    half = s->data;

    if (half->pipe && half->pipe->stopped) {
        half->pipe->stopped = 0;
        ngx_post_event(half->pipe->c->read, &ngx_posted_events);
    }

    if (half->peer && !half->peer->slowed) {
        ngx_mesh_relay_resume(half->peer);
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
        ngx_mesh_ws_resume(s);
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

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Inside the relay: what the files of ngx_mesh_relay*.c share.
 */

#ifndef NGX_MESH_RELAY_IN_H
#define NGX_MESH_RELAY_IN_H

#include "../ngx_mesh_module/ngx_mesh.h"
#include "../ngx_mesh_module/core/ngx_mesh_auth.h"
#include "../ngx_mesh_module/core/ngx_mesh_record.h"
#include "../ngx_mesh_module/ws/ngx_mesh_dial.h"
#include "../proto/mesh_kvm.h"
#include "../proto/mesh_rtc.h"
#include "ngx_mesh_relay_desk.h"


#define NGX_MESH_RELAY_READ     65536     /* bytes read from a pipe at once */
#define NGX_MESH_RELAY_DESKTOP  2         /* p of a desktop */
#define NGX_MESH_RELAY_TEXT     8192      /* bytes of a filtered text */
#define NGX_MESH_RELAY_KEPT     16384     /* and of a watched one */


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

/* of a half of a recorded session */
typedef struct {
    mesh_rtc_t               rtc;         /* of the open text */
    size_t                   len;
    unsigned                 keeps:1;     /* it is kept until it is whole */
    unsigned                 fin:1;       /* of the open frame */
    u_char                   text[NGX_MESH_RELAY_KEPT];
} ngx_mesh_relay_watch_t;

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
    ngx_mesh_relay_watch_t  *watch;   /* owned; NULL: nothing is watched */

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
    unsigned                 narrow:1;      /* what it reads ahead is little */
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

extern const ngx_mesh_relay_end_t  ngx_mesh_relay_end_viewer;
extern const ngx_mesh_relay_end_t  ngx_mesh_relay_end_lost;
extern const ngx_mesh_relay_end_t  ngx_mesh_relay_end_device;
extern const ngx_mesh_relay_end_t  ngx_mesh_relay_end_rights;
extern const ngx_mesh_relay_end_t  ngx_mesh_relay_end_session;
extern const ngx_mesh_relay_end_t  ngx_mesh_relay_end_idle;
extern const ngx_mesh_relay_end_t  ngx_mesh_relay_end_record;
extern const ngx_mesh_relay_end_t  ngx_mesh_relay_end_person;


/* a kind of sessions, control.md 5.5 and session.md 1.7 */
typedef struct {
    uint32_t      p;
    uint32_t      need;               /* any of these */
    uint32_t      deny;               /* none of these */
    const char   *name;
    ngx_uint_t    started, ended;     /* msgid */
} ngx_mesh_relay_kind_t;


/* ngx_mesh_relay.c */
ngx_int_t ngx_mesh_relay_accept(ngx_http_request_t *r, ngx_mesh_relay_t *half);
void ngx_mesh_relay_free(ngx_mesh_relay_t *half);
ngx_int_t ngx_mesh_relay_desk(ngx_mesh_relay_t *half);
ngx_mesh_record_t *ngx_mesh_relay_recorder(ngx_mesh_relay_t *half);
ngx_uint_t ngx_mesh_relay_record_full(ngx_mesh_relay_t *half);
void ngx_mesh_relay_record_frames(ngx_mesh_record_t *record,
    ngx_uint_t direction, mesh_ws_parse_t *parse, u_char *data, size_t len);
void ngx_mesh_relay_end(ngx_mesh_relay_t *half,
    const ngx_mesh_relay_end_t *end, ngx_uint_t code);
void ngx_mesh_relay_tell_agent(ngx_mesh_relay_t *half, ngx_uint_t opened);

/* ngx_mesh_relay_ask.c */
const ngx_mesh_relay_kind_t *ngx_mesh_relay_kind(uint32_t p);
ngx_int_t ngx_mesh_relay_allowed(ngx_mesh_relay_t *half);

/* ngx_mesh_relay_data.c */
void ngx_mesh_relay_hurry(ngx_mesh_relay_t *half);
ngx_int_t ngx_mesh_relay_frame(ngx_mesh_session_t *s, mesh_ws_event_t *ev);
ngx_int_t ngx_mesh_relay_flush(ngx_mesh_session_t *s);
ngx_int_t ngx_mesh_relay_forward(ngx_mesh_relay_t *half, u_char *data,
    size_t len);
ngx_mesh_relay_pipe_t *ngx_mesh_relay_pipe_create( ngx_mesh_relay_t *half,
    ngx_connection_t *c);
void ngx_mesh_relay_pipe_end(ngx_mesh_relay_pipe_t *pipe);
void ngx_mesh_relay_drained(ngx_mesh_session_t *s);
void ngx_mesh_relay_go_on(ngx_mesh_relay_t *half);

/* ngx_mesh_relay_filter.c */
ngx_int_t ngx_mesh_relay_filter(ngx_mesh_relay_t *half);
ngx_int_t ngx_mesh_relay_filter_frame(ngx_mesh_relay_t *half,
    mesh_ws_event_t *ev);

/* ngx_mesh_relay_watch.c */
ngx_int_t ngx_mesh_relay_watch(ngx_mesh_relay_t *half);
ngx_int_t ngx_mesh_relay_watch_early(ngx_mesh_relay_t *half);
ngx_int_t ngx_mesh_relay_watch_frame(ngx_mesh_relay_t *half,
    mesh_ws_event_t *ev);

#endif

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Inside a shared desktop: what the files of ngx_mesh_relay_desk*.c share.
 */

#ifndef NGX_MESH_RELAY_DESK_IN_H
#define NGX_MESH_RELAY_DESK_IN_H

#include "ngx_mesh_relay_desk.h"
#include "../ngx_mesh_module/core/ngx_mesh_id.h"
#include "../ngx_mesh_module/core/ngx_mesh_record.h"
#include "../proto/mesh_kvm_cache.h"


#define NGX_MESH_DESK_WORK      1000000   /* cells of the grid before others
                                             have a turn */
#define NGX_MESH_DESK_TEXT      8192      /* bytes of a text, or in a slot */
#define NGX_MESH_DESK_ECHO      256
#define NGX_MESH_DESK_INPUT     65536     /* bytes that wait for the device */


/* in the order in which one who comes gets them */
typedef enum {
    NGX_MESH_DESK_START = 0,
    NGX_MESH_DESK_DISPLAYS,
    NGX_MESH_DESK_GEOMETRY,
    NGX_MESH_DESK_CONSOLE,
    NGX_MESH_DESK_LEDS,
    NGX_MESH_DESK_METADATA,
    NGX_MESH_DESK_CURSOR,
    NGX_MESH_DESK_DISPLAY,
    NGX_MESH_DESK_LOCK,
    NGX_MESH_DESK_TOUCH_INIT,
    NGX_MESH_DESK_TOUCH,
    NGX_MESH_DESK_MESSAGE,
    NGX_MESH_DESK_ALERT,
    NGX_MESH_DESK_SLOTS
} ngx_mesh_desk_slot_e;


/* owns data */
typedef struct {
    u_char                  *data;
    size_t                   pos, len, size;
} ngx_mesh_desk_buf_t;

typedef struct {
    ngx_mesh_desk_buf_t      buf;
    ngx_uint_t               opcode;
    ngx_uint_t               kept;
} ngx_mesh_desk_said_t;

/* how a picture is wanted; quality 0: not said */
typedef struct {
    uint8_t                  type;
    uint8_t                  quality;
    uint16_t                 scaling;
    uint16_t                 interval;
} ngx_mesh_desk_wish_t;

typedef struct ngx_mesh_desk_s  ngx_mesh_desk_t;

/* a half that is here by a pipe */
typedef struct {
    ngx_queue_t              queue;
    ngx_mesh_desk_t         *desk;
    ngx_connection_t        *c;
    uint8_t                  role;    /* 0: it has not said yet */
    int64_t                  account_id;
    uint64_t                 agent;

    mesh_ws_parse_t          parse;
    u_char                  *text;    /* of NGX_MESH_DESK_TEXT bytes, or NULL */
    size_t                   text_len;
    mesh_kvm_input_t         input;
    u_char                   keys[32];        /* that it holds down, */
    u_char                   extended[32];    /* and how it said so */
    uint8_t                  buttons;
    u_char                   place[4];        /* of its mouse */

    ngx_mesh_desk_buf_t      out;
    mesh_kvm_tile_t         *tile;    /* behind out; counted in its refs */
    size_t                   tile_pos;
    mesh_kvm_view_t          view;
    uint64_t                 echo_after;      /* number of a tile */
    size_t                   echo_len;
    u_char                   echo[NGX_MESH_DESK_ECHO];
    uint32_t                 due;     /* slots, a bit each */
    ngx_mesh_desk_wish_t     wish;

    unsigned                 over:1;      /* the open text is too long */
    unsigned                 started:1;   /* it has sent the protocol */
    unsigned                 paused:1;
    unsigned                 blocked:1;   /* the pipe takes no more */
    unsigned                 stopped:1;   /* it is not read */
    unsigned                 pong:1;
    unsigned                 dead:1;
} ngx_mesh_desk_seat_t;

struct ngx_mesh_desk_s {
    ngx_queue_t              queue;
    ngx_queue_t              seats;
    ngx_uint_t               nseats;
    ngx_mesh_desk_seat_t    *agent;   /* the device's half, or NULL */

    uint64_t                 serial;
    u_char                   key[32];
    u_char                   node[NGX_MESH_ID_LEN];
    int64_t                  domain_id;
    ngx_http_mesh_srv_conf_t  *srv;
    size_t                   max;     /* bytes of the picture */

    mesh_kvm_cache_t         cache;
    size_t                   held;    /* of tiles that only a viewer has */
    ngx_mesh_desk_buf_t      packet;  /* of the device, begun */
    ngx_mesh_desk_said_t     said[NGX_MESH_DESK_SLOTS];
    ngx_mesh_desk_buf_t      options; /* of the first viewer that had any */
    ngx_mesh_desk_wish_t     wish;    /* of all, as the device knows it */

    ngx_mesh_record_t       *record;
    time_t                   deadline;    /* for the other side to come */
    time_t                   refreshed;
    ngx_msec_t               refused; /* until then the viewer may come whose
                                         half of the device was let go; 0 */
    int64_t                  since;       /* ms; 0: the device is not here */
    ngx_event_t              tick;
    ngx_event_t              reap;

    unsigned                 watched:1;   /* a viewer was here */
    unsigned                 begun:1;     /* the device was told to start */
    unsigned                 paused:1;    /* and to stop */
    unsigned                 rewished:1;  /* the picture is of another wish */
    unsigned                 refresh:1;   /* all of it is to be asked for */
    unsigned                 recording:1; /* from the message's start on */
    unsigned                 skip:1;      /* the open message */
    unsigned                 ended:1;
};


#define ngx_mesh_desk_first(desk)  ngx_queue_head(&(desk)->seats)
#define ngx_mesh_desk_seat(q)                                                 \
    (ngx_queue_data(q, ngx_mesh_desk_seat_t, queue))


/* ngx_mesh_relay_desk.c */
void ngx_mesh_desk_seated(ngx_mesh_desk_seat_t *seat, u_char *p, size_t len);
void ngx_mesh_desk_begin(ngx_mesh_desk_t *desk);
void ngx_mesh_desk_kill(ngx_mesh_desk_seat_t *seat);

/* ngx_mesh_relay_desk_viewer.c */
void ngx_mesh_desk_viewer_event(ngx_mesh_desk_seat_t *seat,
    mesh_ws_event_t *ev);
void ngx_mesh_desk_let_go(ngx_mesh_desk_seat_t *seat);

/* ngx_mesh_relay_desk_device.c */
void ngx_mesh_desk_wishes(ngx_mesh_desk_t *desk);
void ngx_mesh_desk_pauses(ngx_mesh_desk_t *desk);
void ngx_mesh_desk_refresh(ngx_mesh_desk_t *desk);
void ngx_mesh_desk_device_event(ngx_mesh_desk_t *desk, mesh_ws_event_t *ev);
void ngx_mesh_desk_say(ngx_mesh_desk_t *desk, ngx_uint_t slot,
    ngx_uint_t opcode, ngx_uint_t kept, const u_char *p, size_t len);

/* ngx_mesh_relay_desk_out.c */
void ngx_mesh_desk_release(ngx_mesh_desk_seat_t *seat);
void ngx_mesh_desk_write(ngx_event_t *ev);
void ngx_mesh_desk_eased(ngx_mesh_desk_seat_t *seat);
ngx_uint_t ngx_mesh_desk_behind(ngx_mesh_desk_t *desk);
void ngx_mesh_desk_show(ngx_mesh_desk_t *desk);
void ngx_mesh_desk_flush(ngx_mesh_desk_seat_t *seat);
void ngx_mesh_desk_put(ngx_mesh_desk_seat_t *seat, ngx_uint_t opcode,
    const u_char *p, size_t len);
ngx_int_t ngx_mesh_desk_append(ngx_mesh_desk_buf_t *b, const u_char *p,
    size_t len);
ngx_int_t ngx_mesh_desk_reserve(ngx_mesh_desk_buf_t *b, size_t len);
void ngx_mesh_desk_clear(ngx_mesh_desk_buf_t *b);
ngx_uint_t ngx_mesh_desk_full(ngx_mesh_desk_t *desk);
void ngx_mesh_desk_resume(ngx_mesh_desk_t *desk);

#endif

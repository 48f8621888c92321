/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* WebSocket sessions: upgrade, detach, read, queue, close, timing wheel. */

#ifndef _NGX_MESH_WS_H_INCLUDED_
#define _NGX_MESH_WS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>
#include "../../proto/mesh_ws.h"
#include "../core/ngx_mesh_conf.h"
#include "../core/ngx_mesh_shm.h"


#define NGX_MESH_WS_TEXT    1
#define NGX_MESH_WS_BINARY  2


typedef struct ngx_mesh_session_s  ngx_mesh_session_t;


/* what an endpoint does with its sessions; static, one per endpoint */
typedef struct {
    const char  *name;                /* "agent": log and $mesh_kind */
    ngx_uint_t   gauge;               /* NGX_MESH_G_*, or NGX_MESH_GAUGES */
    unsigned     cut_through:1;       /* frame() instead of message() */
    unsigned     agent_text:1;        /* repair JSON text, discard what is
                                         over the limit, close for nothing */
    unsigned     drain:1;             /* spread over mesh_drain at reload */

    /* the session is detached and may send; data is set by accept() */
    ngx_int_t  (*open)(ngx_mesh_session_t *s);

    /*
     * One whole message; data is NUL-terminated beyond len, writable, and
     * gone after the call.  NGX_ERROR: the session is closed by the caller.
     */
    ngx_int_t  (*message)(ngx_mesh_session_t *s, ngx_uint_t opcode,
                          u_char *data, size_t len);

    /* a message over the limit was thrown away (agent_text) */
    void       (*over)(ngx_mesh_session_t *s);

    /*
     * Cut-through: HEAD, DATA, FRAME_END, END events with payload still
     * masked (keep_mask); 16 bytes before data are writable.  NGX_AGAIN: stop
     * reading after this piece until ngx_mesh_ws_resume().
     */
    ngx_int_t  (*frame)(ngx_mesh_session_t *s, mesh_ws_event_t *ev);

    /*
     * Cut-through: all events of what one turn of the read loop brought have
     * been given to frame(), and the next read will overwrite the bytes.  The
     * relay packs its output frames in place and sends them here as one.
     * NGX_AGAIN as above; not called when the session was closed meanwhile.
     */
    ngx_int_t  (*flush)(ngx_mesh_session_t *s);

    /* DELIVER from session "from" (or serial 0); bytes as given to deliver() */
    void       (*deliver)(ngx_mesh_session_t *s, const ngx_mesh_addr_t *from,
                          u_char *data, size_t len);
    /* what s had delivered to "from" found nobody there */
    void       (*bounce)(ngx_mesh_session_t *s, const ngx_mesh_addr_t *from,
                         u_char *data, size_t len);
    void       (*mute)(ngx_mesh_session_t *s);

    /* the deadline set by ngx_mesh_ws_deadline() passed */
    void       (*deadline)(ngx_mesh_session_t *s);

    /* the queue fell under its low mark */
    void       (*drained)(ngx_mesh_session_t *s);

    /* the session ends; called once, after which s must not be used */
    void       (*close)(ngx_mesh_session_t *s);
} ngx_mesh_class_t;


/* refcounted frame: serialised once, queued to many */
typedef struct {
    uint32_t     refs;
    uint32_t     nhead;               /* bytes used at the end of head */
    size_t       len;
    u_char       head[16];
    u_char       data[1];
} ngx_mesh_frame_t;


struct ngx_mesh_session_s {
    ngx_connection_t          *c;
    const ngx_mesh_class_t    *class;
    void                      *data;  /* the endpoint's */
    ngx_http_mesh_loc_conf_t  *conf;
    ngx_http_mesh_srv_conf_t  *srv;

    uint64_t                   serial;
    ngx_str_t                  address;   /* text without port */
    time_t                     opened;
    time_t                     seen;      /* bytes read or taken */

    size_t                     message_max;
    size_t                     relay_mark;    /* 0: mesh_relay_buffer */
    ngx_rbtree_node_t          node;      /* by serial, in this worker */
    ngx_queue_t                wheel;
    ngx_queue_t                all;       /* every session of the worker */
    time_t                     deadline_at;
    time_t                     drain_at;
    time_t                     close_at;

    mesh_ws_parse_t            parse;
    u_char                    *msg;       /* growing message, or NULL */
    size_t                     msg_len, msg_size;

    struct ngx_mesh_out_s     *out, *out_last;   /* queue, see .c */
    size_t                     queued;    /* bytes */
    size_t                     sent;      /* of the first in the queue */
    time_t                     taken;     /* last time a byte was taken */

    uint64_t                   bytes_in, bytes_out;
    uint16_t                   close_code;

    unsigned                   paused:1;      /* by the endpoint */
    unsigned                   closing:1;     /* Close sent */
    unsigned                   closed:1;
    unsigned                   ping_sent:1;
    unsigned                   no_idle:1;     /* the ping clock stands */
    unsigned                   muted:1;
    unsigned                   over_high:1;
    unsigned                   in_read:1;
    unsigned                   raw_open:1;    /* raw stream is in a frame */
    unsigned                   pong_due:1;    /* at its next border */
    unsigned                   close_due:1;
    unsigned                   got_close:1;
    unsigned                   in_scratch:1;  /* msg is part of a read */
    unsigned                   listed:1;      /* found by serial */
};


/*
 * Accepts the upgrade of r: checks method, version, key and Origin, answers
 * 101, detaches in a posted event and calls class->open().  Returns what the
 * content handler must return (NGX_DONE, or an HTTP status).  data must live
 * outside of r->pool.  On refusal class->close() is NOT called: the caller
 * frees data when the result is not NGX_DONE.  If the connection dies before
 * the detach, class->close() is called with s->c set.
 */
ngx_int_t ngx_mesh_ws_accept(ngx_http_request_t *r,
    const ngx_mesh_class_t *class, void *data);

/* the Origin rule alone, for POSTs: NGX_OK or NGX_HTTP_FORBIDDEN */
ngx_int_t ngx_mesh_origin_check(ngx_http_request_t *r);

/* copies; NGX_ERROR: closed or over the hard limit */
ngx_int_t ngx_mesh_ws_send(ngx_mesh_session_t *s, ngx_uint_t opcode,
    const u_char *data, size_t len);

/* one message in several frames: first, last say which; browsers only */
ngx_int_t ngx_mesh_ws_send_part(ngx_mesh_session_t *s, ngx_uint_t opcode,
    const u_char *data, size_t len, ngx_uint_t first, ngx_uint_t last);

/* shared frame: create, fill data (len bytes), send to many, release */
ngx_mesh_frame_t *ngx_mesh_frame_create(ngx_uint_t opcode, size_t len);
ngx_int_t ngx_mesh_ws_send_frame(ngx_mesh_session_t *s, ngx_mesh_frame_t *f);
void ngx_mesh_frame_release(ngx_mesh_frame_t *f);

/*
 * What is sent between the two leaves in one write, and s is not freed there:
 * for who is not called by the session itself.  cork() returns what uncork()
 * is given, which returns NGX_OK, or NGX_DONE: s is gone.
 */
ngx_uint_t ngx_mesh_ws_cork(ngx_mesh_session_t *s);
ngx_int_t ngx_mesh_ws_uncork(ngx_mesh_session_t *s, ngx_uint_t corked);

/*
 * Raw bytes that are frames already (relay, pipes): sends directly what the
 * socket takes, queues a copy of the rest.  NGX_OK, NGX_AGAIN: over the high
 * mark, stop feeding until drained(); NGX_ERROR.
 */
ngx_int_t ngx_mesh_ws_send_raw(ngx_mesh_session_t *s, const u_char *data,
    size_t len);
/* 1 between frames of the raw stream: own control frames may go in */
void ngx_mesh_ws_raw_boundary(ngx_mesh_session_t *s, ngx_uint_t at);

/* sends Close, waits for the peer's or 2 s, then frees; any time, any state */
void ngx_mesh_ws_close(ngx_mesh_session_t *s, ngx_uint_t code);
/* frees at once, without a close frame */
void ngx_mesh_ws_abort(ngx_mesh_session_t *s);

void ngx_mesh_ws_pause(ngx_mesh_session_t *s);
void ngx_mesh_ws_resume(ngx_mesh_session_t *s);

/* in seconds from now, 0: none; one per session, on the wheel */
void ngx_mesh_ws_deadline(ngx_mesh_session_t *s, time_t seconds);

/* session of this worker, or NULL */
ngx_mesh_session_t *ngx_mesh_session_find(uint64_t serial);
/* calls fn for every session of a class in this worker (fn may close it) */
void ngx_mesh_session_each(const ngx_mesh_class_t *class,
    void (*fn)(ngx_mesh_session_t *s, void *data), void *data);
void ngx_mesh_session_addr(ngx_mesh_session_t *s, ngx_mesh_addr_t *a);

/*
 * To a session anywhere: class->deliver() is called there.  from may be NULL.
 * NGX_DECLINED: not there (local), or no such worker; a remote miss comes
 * back later as from's class->bounce().
 */
ngx_int_t ngx_mesh_deliver(const ngx_mesh_addr_t *to,
    ngx_mesh_session_t *from, const u_char *data, size_t len);

/*
 * What is delivered to a serial of this worker that is no session's: one for
 * all.  NGX_DECLINED: it is not the handler's either.
 */
typedef ngx_int_t (*ngx_mesh_deliver_pt)(uint64_t serial, u_char *data,
    size_t len);
void ngx_mesh_deliver_others(ngx_mesh_deliver_pt handler);

/*
 * A text message straight to the client of a session anywhere.  What is long
 * leaves for another worker piece by piece, as that one reads.
 *
 *   NGX_OK        sent, or on its way
 *   NGX_DECLINED  no such session here, or no such worker
 *   NGX_BUSY      too much waits to leave; nothing of it was sent
 *   NGX_ERROR     over 16 MB, or no memory; nothing of it was sent
 */
ngx_int_t ngx_mesh_reply(const ngx_mesh_addr_t *to, const u_char *data,
    size_t len);
ngx_int_t ngx_mesh_mute(const ngx_mesh_addr_t *to);
ngx_int_t ngx_mesh_close_session(const ngx_mesh_addr_t *to, ngx_uint_t code);

/* init_process; the one tick of the worker, each second */
ngx_int_t ngx_mesh_ws_init(ngx_cycle_t *cycle);
void ngx_mesh_ws_exit(void);          /* ends every session of the worker */
/* others hang what they do each second here */
void ngx_mesh_tick_add(void (*fn)(void));


#endif /* _NGX_MESH_WS_H_INCLUDED_ */

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * TCP and UDP connections that the agent of a device makes for us (session.md
 * 1.8): who may have which (S-50, S-31), the invitation of the agent, and, for
 * who has no WebSocket of a viewer, the connection itself as a stream of bytes.
 *
 * A connection from the server to a device, in short:
 *
 *   ngx_memzero(&d, sizeof(d));  d.route.srv, who, node, p, address set;
 *   ngx_mesh_route_target(&d.route, &addr, port, &why)   the words of a person
 *   d.handler = mine;  d.data = me;
 *   ngx_mesh_dial(&d, &why)            rights and list are checked here
 *   mine(): recv until NGX_AGAIN, send until NGX_AGAIN; 0 or NGX_ERROR: the
 *   end, say d->why if there is one, ngx_mesh_dial_close(d)
 *
 * Rights are looked up again with every change: the end comes within a second
 * of it.  TLS, where the target speaks it, is the caller's.
 */

#ifndef _NGX_MESH_DIAL_H_INCLUDED_
#define _NGX_MESH_DIAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "../core/ngx_mesh_auth.h"
#include "../core/ngx_mesh_target.h"
#include "ngx_mesh_deliver.h"


#define NGX_MESH_DIAL_WAIT    30      /* seconds for the agent to come */
#define NGX_MESH_DIAL_ID      32      /* characters: 128 random bits */
#define NGX_MESH_DIAL_FRAME   16384   /* bytes sent as one */
#define NGX_MESH_DIAL_TEXT    512     /* of what an agent says */


/* who connects where, through which device */
typedef struct {
    ngx_http_mesh_srv_conf_t  *srv;
    ngx_mesh_auth_t            who;
    u_char                     node[NGX_MESH_ID_LEN];
    uint32_t                   p;         /* session.md 0 (11, 12, 13, 14, or
                                             0), with NGX_MESH_P_TCP or _UDP */
    mesh_target_t              target;
    u_char                     address[64];   /* of the person's browser,
                                                 NUL-terminated */

    ngx_mesh_presence_t        device;    /* as of the last check, */
    uint32_t                   rights;
    unsigned                   runs:1;    /* outlives the control channel */
} ngx_mesh_route_t;


/* sets target, and P_TCP where no kind is set; NGX_DECLINED: a sentence */
ngx_int_t ngx_mesh_route_target(ngx_mesh_route_t *route,
    const ngx_str_t *addr, ngx_uint_t port, const char **why);

/*
 * May it be now?  One answer for a device that is not there, is away or is not
 * to be seen (S-33).  NGX_DECLINED: *why is a sentence.
 */
ngx_int_t ngx_mesh_route_check(ngx_mesh_route_t *route, const char **why);

/* 1: by this change its device is gone; *why as above */
ngx_uint_t ngx_mesh_route_gone(ngx_mesh_route_t *route, ngx_uint_t kind,
    int64_t id, const char **why);

/* a new id, of NGX_MESH_DIAL_ID characters, and its key in the zone */
ngx_int_t ngx_mesh_route_id(ngx_mesh_route_t *route, u_char *id,
    u_char *key);

/*
 * Commands the agent to come under id; who waits there waits already.  Checks
 * again.  NGX_DECLINED: *why.
 */
ngx_int_t ngx_mesh_route_invite(ngx_mesh_route_t *route,
    const ngx_str_t *id, time_t seconds, const char **why);


typedef struct ngx_mesh_dial_s  ngx_mesh_dial_t;

struct ngx_mesh_dial_s {
    ngx_mesh_route_t      route;      /* the caller's */
    void                 *data;

    /*
     * There is something to read, room to write, or it is opened, or over.
     * From the event loop, never from within a call of the caller.
     */
    void                (*handler)(ngx_mesh_dial_t *d);

    const char           *why;        /* of an end, or NULL */
    unsigned              opened:1;   /* the agent is there; its target may
                                         still refuse */

    u_char                key[32];    /* private from here */
    ngx_queue_t           queue;
    uint64_t              serial;
    ngx_connection_t     *c;
    mesh_ws_parse_t       parse;
    ngx_event_t           event;      /* posted: calls handler */
    ngx_event_t           wait;
    u_char               *out;        /* owned; what the socket did not take */
    size_t                out_pos, out_len;
    size_t                ntext;
    u_char                text[NGX_MESH_DIAL_TEXT];
    unsigned              met:1;
    unsigned              counted:1;  /* in mesh_limit */
    unsigned              is_text:1;
    unsigned              ended:1;
    unsigned              blocked:1;  /* out has bytes */
};

/*
 * Begins.  d lives until ngx_mesh_dial_close(), which the caller calls once,
 * also in its handler; not after anything but NGX_OK here.
 *   NGX_OK        handler() will be called: opened, or over
 *   NGX_DECLINED  *why is a sentence
 */
ngx_int_t ngx_mesh_dial(ngx_mesh_dial_t *d, const char **why);

/* bytes of the target; NGX_AGAIN; 0: it ended; NGX_ERROR: d->why */
ssize_t ngx_mesh_dial_recv(ngx_mesh_dial_t *d, u_char *buf, size_t size);

/*
 * Bytes taken, at most NGX_MESH_DIAL_FRAME; NGX_AGAIN: handler() will tell when
 * there is room, or that it is over.  What was taken last may not have left
 * when d is closed: d->blocked says so.
 */
ssize_t ngx_mesh_dial_send(ngx_mesh_dial_t *d, const u_char *data,
    size_t len);

void ngx_mesh_dial_close(ngx_mesh_dial_t *d);

ngx_int_t ngx_mesh_dial_init(ngx_cycle_t *cycle);


#endif /* _NGX_MESH_DIAL_H_INCLUDED_ */

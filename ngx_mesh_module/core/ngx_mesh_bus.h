/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Between workers: messages (bus) and pipes (one socket per cross-worker
 * relay).  Every worker listens on <mesh_ipc_path>/w.<pid>.
 */

#ifndef _NGX_MESH_BUS_H_INCLUDED_
#define _NGX_MESH_BUS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_mesh_shm.h"
#include "../../proto/mesh_bus.h"


#define NGX_MESH_BUS_MAX  MESH_BUS_MAX


typedef enum {
    NGX_MESH_BUS_DELIVER = 1,         /* to session: from, bytes */
    NGX_MESH_BUS_BOUNCE,              /* a DELIVER found nobody */
    NGX_MESH_BUS_REPLY,               /* to session: bytes for its client */
    NGX_MESH_BUS_MUTE,
    NGX_MESH_BUS_CLOSE,
    NGX_MESH_BUS_EVENT,
    NGX_MESH_BUS_CHANGED,
    NGX_MESH_BUS_RIGHTS,              /* re-check sessions of an account */
    NGX_MESH_BUS_TYPES
} ngx_mesh_bus_type_e;


/* where a message came from, and to which session (serial 0: the worker) */
typedef void (*ngx_mesh_bus_handler_pt)(const ngx_mesh_addr_t *from,
    uint64_t serial, u_char *data, size_t len);

/* EVENT, CHANGED, RIGHTS: whoever owns the type registers at init_process */
void ngx_mesh_bus_handler(ngx_mesh_bus_type_e type,
    ngx_mesh_bus_handler_pt handler);

/*
 * Sends to the worker to->slot (this one too: then from a posted event).
 * Gathered and flushed once per event-loop turn.  from_serial: the session
 * that a BOUNCE is told to, or 0.
 *   NGX_OK        queued
 *   NGX_DECLINED  no such worker (slot free or of another epoch)
 *   NGX_BUSY      its link is over 8 MB; counted
 */
ngx_int_t ngx_mesh_bus_send(const ngx_mesh_addr_t *to, uint64_t from_serial,
    ngx_mesh_bus_type_e type, const u_char *data, size_t len);

/* 1: something that was sent to slot waits for it to read */
ngx_uint_t ngx_mesh_bus_waits(ngx_uint_t slot);

/*
 * All that was sent to slot has left; lost: its link was closed instead, with
 * what was in it.  One handler for all; it may send.
 */
typedef void (*ngx_mesh_bus_left_pt)(ngx_uint_t slot, ngx_uint_t lost);
void ngx_mesh_bus_left(ngx_mesh_bus_left_pt handler);

/* to every live worker, this one last; browsers: only those that have any */
void ngx_mesh_bus_broadcast(ngx_mesh_bus_type_e type, const u_char *data,
    size_t len, ngx_uint_t browsers);


/* Pipes. */

#define NGX_MESH_PIPE_BUS    MESH_BUS_LINK
#define NGX_MESH_PIPE_RELAY  MESH_BUS_RELAY
#define NGX_MESH_PIPE_AMT    MESH_BUS_AMT
#define NGX_MESH_PIPE_FETCH  MESH_BUS_FETCH   /* to a devicefile.ashx */
#define NGX_MESH_PIPE_DESK   MESH_BUS_DESK    /* to a desktop that is shared */
#define NGX_MESH_PIPE_DIAL   MESH_BUS_DIAL    /* to a ngx_mesh_dial_t */

typedef mesh_bus_hello_t  ngx_mesh_hello_t;

/*
 * A pipe was accepted: takes c (blocking off, nodelay irrelevant); c->data
 * and the handlers are the owner's to set.  NGX_ERROR: the bus closes c.
 */
typedef ngx_int_t (*ngx_mesh_pipe_handler_pt)(ngx_connection_t *c,
    const ngx_mesh_hello_t *hello);

void ngx_mesh_pipe_handler(ngx_uint_t type, ngx_mesh_pipe_handler_pt handler);

/*
 * Connects to the worker of to and queues the hello (which is written before
 * any byte of the caller's: the socket takes it at once).  NULL: no such
 * worker.  The caller owns the connection and sets data and handlers;
 * ngx_mesh_pipe_close() ends it.
 */
ngx_connection_t *ngx_mesh_pipe_connect(const ngx_mesh_addr_t *to,
    ngx_uint_t type, uint32_t arg, const u_char *key, size_t key_len);
void ngx_mesh_pipe_close(ngx_connection_t *c);

/*
 * To be called with 1 when the socket takes no more, and with 0 when all has
 * left.  In between c's write handler tells that there is room again; outside
 * of that each read of the other worker would wake this one for nothing.
 */
ngx_int_t ngx_mesh_pipe_blocked(ngx_connection_t *c, ngx_uint_t blocked);


/* init_process, exit_process and the tick */
ngx_int_t ngx_mesh_bus_init(ngx_cycle_t *cycle);
void ngx_mesh_bus_exit(ngx_cycle_t *cycle);
void ngx_mesh_bus_tick(void);         /* retries a listener that failed */
ngx_int_t ngx_mesh_bus_ready(void);   /* 1: listening */


#endif /* _NGX_MESH_BUS_H_INCLUDED_ */

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The recorder of a session: messages of both directions into one file, in the
 * thread pool, with a bounded buffer.  It outlives its session until the file is
 * whole.  session.md 8.
 */

#ifndef _NGX_MESH_RECORD_H_INCLUDED_
#define _NGX_MESH_RECORD_H_INCLUDED_


#include "../ngx_mesh.h"
#include "ngx_mesh_recording.h"


#define NGX_MESH_RECORD_DEVICE  0     /* directions: who sent it */
#define NGX_MESH_RECORD_USER    1


typedef struct ngx_mesh_record_s  ngx_mesh_record_t;

/* what is known of a session; texts are copied */
typedef struct {
    ngx_mesh_scope_t   scope;         /* of the event at its end */
    const u_char      *node;          /* raw id of the device */
    ngx_str_t          address;       /* of the viewer */
    uint32_t           protocol;
    uint64_t           serial;

    ngx_str_t          domain;        /* private from here */
    ngx_str_t          user_id;       /* user/D/name */
    ngx_str_t          user;          /* name */
    ngx_str_t          node_id;       /* node/D/... */
} ngx_mesh_record_about_t;


/*
 * Begins a recording, if this session is one to record.  ready(data) is called
 * when a full buffer has room again, failed(data) once when the file cannot be
 * written; neither after ngx_mesh_record_end().
 *   NGX_OK        *rec is set
 *   NGX_DECLINED  it is none to record
 *   NGX_ERROR     it is, and cannot be: it must end
 */
ngx_int_t ngx_mesh_record_begin(ngx_mesh_record_t **rec,
    ngx_http_mesh_srv_conf_t *srv, const ngx_mesh_record_about_t *about,
    void (*ready)(void *data), void (*failed)(void *data), void *data);

/*
 * An event of the parser (mesh_ws.h): HEAD, DATA with len bytes of payload at
 * data, unmasked, FRAME_END or END.
 */
void ngx_mesh_record_event(ngx_mesh_record_t *rec, ngx_uint_t direction,
    const mesh_ws_event_t *ev, const u_char *data, size_t len);

/* 1: read no more of this side before ready() */
ngx_uint_t ngx_mesh_record_full(ngx_mesh_record_t *rec, ngx_uint_t direction);

/* the session is over; rec belongs to itself from here on */
void ngx_mesh_record_end(ngx_mesh_record_t *rec);

/*
 * In a thread: puts the index of a desktop into a whole recording of size
 * bytes, open for both; as it was where it gets none.  Returns its size.
 */
off_t ngx_mesh_record_index(int fd, off_t size);

void ngx_mesh_record_init(void);
/* the worker ends, and its threads have: what follows is written at once */
void ngx_mesh_record_exit(void);


#endif /* _NGX_MESH_RECORD_H_INCLUDED_ */

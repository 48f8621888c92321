/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The folder of recordings: names, list, one of them, what is kept.  The files
 * are the facts: each begins with what it is about, so that one that a crash
 * cut short, or that came from another server, is there like all others.
 * Everything here runs in the thread pool.
 */

#ifndef _NGX_MESH_RECORDING_H_INCLUDED_
#define _NGX_MESH_RECORDING_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_conf.h"


#define NGX_MESH_RECORDING_META  4096 /* bytes of the first block, at most */


typedef struct {
    u_char      name[256];            /* NUL-terminated */
    off_t       size;
    int64_t     began, ended;         /* ms; ended: of the last write where
                                         the file is not whole */
    ngx_uint_t  whole;                /* it says itself that it ended */
    ngx_str_t   meta;                 /* JSON as the file has it: data */
} ngx_mesh_recording_t;

typedef struct ngx_mesh_recording_req_s  ngx_mesh_recording_req_t;

struct ngx_mesh_recording_req_s {
    ngx_mesh_recording_t  *list;      /* newest first */
    ngx_uint_t             n;
    ngx_uint_t             more;      /* than were asked for */
    ngx_fd_t               fd;        /* of open: the caller's to close */
    ngx_err_t              err;       /* 0: done */
    void                  *data;      /* the caller's */
    void                 (*done)(ngx_mesh_recording_req_t *req);
};


/*
 * relaysession-[domain-]YYYY-MM-DD-HH-MM-SS-user-serial.mcrec, in UTC, of
 * characters that a name may have everywhere
 */
void ngx_mesh_recording_name(u_char *buf, size_t size,
    const ngx_str_t *domain, const ngx_str_t *user, int64_t ms,
    uint64_t serial);

/* 1: a name that may be one of a recording, and of nothing else */
ngx_uint_t ngx_mesh_recording_valid(const ngx_str_t *name);

/* 1: a session of this protocol, account (flags) and group is to be recorded */
ngx_uint_t ngx_mesh_recording_due(ngx_mesh_record_conf_t *conf, uint32_t p,
    uint32_t flags, int64_t group_id);

/*
 * Each calls req->done() later, with its results until it returns; data is the
 * caller's.  NGX_ERROR: no memory, or the pool is full: done() is not called.
 */
/* those of the domain alone */
ngx_int_t ngx_mesh_recording_list(ngx_mesh_record_conf_t *conf,
    const ngx_str_t *domain, ngx_uint_t limit,
    void (*done)(ngx_mesh_recording_req_t *req), void *data);
/* list has the one, fd is open for reading */
ngx_int_t ngx_mesh_recording_open(ngx_mesh_record_conf_t *conf,
    const ngx_str_t *name, void (*done)(ngx_mesh_recording_req_t *req),
    void *data);
ngx_int_t ngx_mesh_recording_delete(ngx_mesh_record_conf_t *conf,
    const ngx_str_t *name, void (*done)(ngx_mesh_recording_req_t *req),
    void *data);

/* 1: what the file says it is about belongs to this domain; any thread */
ngx_uint_t ngx_mesh_recording_of(const ngx_mesh_recording_t *r,
    const ngx_str_t *domain);

/* removes what is over mesh_relay_record_keep, where that is set */
void ngx_mesh_recording_sweep(ngx_mesh_record_conf_t *conf);
/* of each server */
void ngx_mesh_recording_sweep_all(void);


#endif /* _NGX_MESH_RECORDING_H_INCLUDED_ */

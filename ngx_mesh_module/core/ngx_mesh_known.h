/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What the database last said of a device that connected, for all workers: a
 * device that comes back is let in without asking again.  A bounded cache in
 * shared memory; whatever is missing there is read.
 *
 * The table "change" keeps it right.  A worker that applies a change of a
 * device makes its entry void, and then asks for the row of an agent that it
 * let in before it knew (ngx_mesh_agent.c).  Only the columns below that no
 * person edits (kind, version, caps, hardware, the name it gives itself) may be
 * older than the row, on another server's account: they are compared with what
 * the agent says.
 */

#ifndef _NGX_MESH_KNOWN_H_INCLUDED_
#define _NGX_MESH_KNOWN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_conf.h"


#define NGX_MESH_KNOWN_HASH  128      /* text */


typedef struct {
    int64_t    device_id;
    int64_t    group_id;
    uint32_t   agent_id;
    uint32_t   version;
    uint32_t   caps;
    uint32_t   consent;               /* of the device itself */
    uint32_t   reported;              /* CRC-32 of the name it gives itself */
    uint32_t   hardware_len;          /* 0: none is stored */
    u_char     hardware[NGX_MESH_KNOWN_HASH];
} ngx_mesh_known_t;


/* NGX_OK: *known is a copy; NGX_DECLINED: read the row */
ngx_int_t ngx_mesh_known_lookup(int64_t domain_id, const u_char *id,
    ngx_mesh_known_t *known);

/* to be taken before the row is asked for, and given with what it said */
uint64_t ngx_mesh_known_mark(void);

/* does nothing when a device was changed since the mark */
void ngx_mesh_known_insert(int64_t domain_id, const u_char *id,
    const ngx_mesh_known_t *known, uint64_t mark);

/*
 * What the agent says, and what is written late, into its entry, if there is
 * one: kind, version, caps and reported name of known, hash of the hardware;
 * NULL: it stays.
 */
void ngx_mesh_known_update(int64_t domain_id, const u_char *id,
    const ngx_mesh_known_t *known, const ngx_str_t *hardware);

ngx_int_t ngx_mesh_known_zone(ngx_conf_t *cf, void *tag);
ngx_int_t ngx_mesh_known_init(ngx_cycle_t *cycle);


#endif /* _NGX_MESH_KNOWN_H_INCLUDED_ */

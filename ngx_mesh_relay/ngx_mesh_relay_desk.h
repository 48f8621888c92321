/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * A desktop that several watch: one stream of its device, one picture, and a
 * place at it for each viewer.  The worker of whoever came first has it; all
 * halves, also of this worker, reach it by a pipe, on which they say first who
 * they are and which then carries frames, as between two halves.
 * session.md 9 and 1.15, rule 11.
 */

#ifndef _NGX_MESH_RELAY_DESK_H_INCLUDED_
#define _NGX_MESH_RELAY_DESK_H_INCLUDED_


#include "../ngx_mesh_module/ngx_mesh.h"


/* a half; rights are its own worker's matter */
typedef struct {
    uint8_t      role;                /* NGX_MESH_VIEWER, NGX_MESH_DEVICE */
    int64_t      domain_id;
    int64_t      account_id;
    int64_t      device_id;
    uint64_t     agent;               /* control session of a device's half */
    uint64_t     serial;              /* of the half */
    ngx_str_t    address;             /* at most 64 bytes */
} ngx_mesh_desk_who_t;


/*
 * A pipe to the desktop of the device, which is begun here if it is nowhere.
 * What comes on it first is "c" or "cr"; its end without that: the desktop was
 * about to end, a viewer tries again.  NULL: no memory, or no such worker.
 */
ngx_connection_t *ngx_mesh_desk_connect(ngx_mesh_session_t *s,
    const u_char *node, const ngx_mesh_desk_who_t *who);

void ngx_mesh_desk_init(void);
/* before the recordings of the worker end */
void ngx_mesh_desk_exit(void);


#endif /* _NGX_MESH_RELAY_DESK_H_INCLUDED_ */

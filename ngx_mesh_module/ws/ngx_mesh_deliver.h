/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * How control and relay reach the session of an agent, in whichever worker it
 * is: what agent's class->deliver() understands, and functions that send it.
 */

#ifndef _NGX_MESH_DELIVER_H_INCLUDED_
#define _NGX_MESH_DELIVER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "../core/ngx_mesh_shm.h"
#include "ngx_mesh_ws.h"


/* first byte of what is delivered */
#define NGX_MESH_DELIVER_JSON    'J'  /* requester, then the text */
#define NGX_MESH_DELIVER_OPENED  'T'  /* a tunnel of the device opened, */
#define NGX_MESH_DELIVER_ENDED   't'  /* ended: ngx_mesh_tunnel_t */
#define NGX_MESH_DELIVER_LISTED  'L'  /* who works on it changed otherwise */
#define NGX_MESH_DELIVER_END     'D'  /* disconnect: u16 close code */
#define NGX_MESH_DELIVER_DEVICE  'R'  /* the row of the device changed */
#define NGX_MESH_DELIVER_CORE    'C'  /* one of NGX_MESH_CORE_* */


#define NGX_MESH_REQUESTER_ID    256

/* who asks a device for something; zeros: the server itself */
typedef struct {
    int64_t          account_id;
    uint32_t         rights;          /* on the device */
    uint16_t         len;             /* of id */
    u_char           id[NGX_MESH_REQUESTER_ID];
                                      /* user/D/name/<40 hex>, which the agent
                                         gives back as "sessionid" */
    u_char           address[64];     /* of the browser, NUL-terminated */
} ngx_mesh_requester_t;


/*
 * Sends JSON to the agent as one message.  The caller wrote it, with "action"
 * a string, and with "sessionid" equal to who->id where a reply is wanted.  The
 * agent's replies then go to from as text: {"action":"msg","type":...,
 * "nodeid":...} without "sessionid".  who NULL: the server asks; from may be
 * NULL.  At most 1,000,000 bytes.
 *
 *   NGX_OK        on its way; if the session is gone in another worker, from's
 *                 class->bounce() tells
 *   NGX_DECLINED  not connected any more
 *   NGX_BUSY      the link to its worker is full
 *   NGX_ERROR     no memory, or too long
 */
ngx_int_t ngx_mesh_agent_command(const ngx_mesh_presence_t *p,
    ngx_mesh_session_t *from, const ngx_mesh_requester_t *who,
    const ngx_str_t *json);


typedef struct {
    int64_t          account_id;      /* of the viewer */
    uint32_t         p;               /* protocol of the relay */
} ngx_mesh_tunnel_t;

/* a tunnel of the device opened, or ended; counted by its session */
ngx_int_t ngx_mesh_agent_tunnel(const ngx_mesh_presence_t *p,
    int64_t account_id, uint32_t protocol, ngx_uint_t opened);

/* a session that is no tunnel of its own began or ended: lists are told */
ngx_int_t ngx_mesh_agent_listed(const ngx_mesh_presence_t *p);

/* closes its connection with code: it comes back at once */
ngx_int_t ngx_mesh_agent_disconnect(const ngx_mesh_presence_t *p,
    ngx_uint_t code);

/*
 * The row of the device was changed: its session reads it again.  A device that
 * is not there any more is disconnected, and so makes a new row.
 */
ngx_int_t ngx_mesh_agent_changed(const ngx_mesh_presence_t *p);


#define NGX_MESH_CORE_RESTART    1    /* clear, then push it again */
#define NGX_MESH_CORE_RECOVERY   2    /* the recovery core, until DEFAULT */
#define NGX_MESH_CORE_DEFAULT    3
#define NGX_MESH_CORE_CLEAR      4    /* no core until DEFAULT */

ngx_int_t ngx_mesh_agent_core(const ngx_mesh_presence_t *p, ngx_uint_t what);


#endif /* _NGX_MESH_DELIVER_H_INCLUDED_ */

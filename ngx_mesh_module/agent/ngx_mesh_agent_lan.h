/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_MESH_AGENT_LAN_H_INCLUDED_
#define _NGX_MESH_AGENT_LAN_H_INCLUDED_


#include "../ngx_mesh.h"


/*
 * In init_process: answers agents of the local network that look for this
 * server, with the port and the path of url, mesh_url.  Does so in one worker;
 * what cannot be opened is tried again by the tick.
 */
void ngx_mesh_agent_lan_init(const ngx_str_t *url);


#endif /* _NGX_MESH_AGENT_LAN_H_INCLUDED_ */

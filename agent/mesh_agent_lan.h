/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Finds servers on the local network, agent.md 1.5: MeshServer=local.  Anybody
 * there can answer: what the answers are worth, the handshake says, so all of
 * them are tried.
 */

#ifndef MESH_AGENT_LAN_H_INCLUDED
#define MESH_AGENT_LAN_H_INCLUDED


#include "mesh_agent.h"


typedef struct mesh_agent_lan_s  mesh_agent_lan_t;

/* from the loop: next() has what was found, perhaps nothing */
typedef void (*mesh_agent_lan_pt)(void *data);


mesh_agent_lan_t *mesh_agent_lan_create(uv_loop_t *loop,
    mesh_agent_lan_pt found, void *data);
void mesh_agent_lan_free(mesh_agent_lan_t *lan);

/* asks on every interface; forgets what was found before */
void mesh_agent_lan_ask(mesh_agent_lan_t *lan, const uint8_t *server_id);
/* found() is not called any more */
void mesh_agent_lan_stop(mesh_agent_lan_t *lan);

/* next() has nothing */
void mesh_agent_lan_forget(mesh_agent_lan_t *lan);
/* the next URL, which the caller frees, or NULL: that was all */
char *mesh_agent_lan_next(mesh_agent_lan_t *lan);


#endif /* MESH_AGENT_LAN_H_INCLUDED */

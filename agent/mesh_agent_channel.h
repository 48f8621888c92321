/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The control channel: one WebSocket to one server at a time, agent.md 2 and 3
 * as the client.  What the rest of the agent may do with it is in
 * mesh_agent.h.
 */

#ifndef MESH_AGENT_CHANNEL_H_INCLUDED
#define MESH_AGENT_CHANNEL_H_INCLUDED


#include "mesh_agent.h"


mesh_agent_channel_t *mesh_agent_channel_create(mesh_agent_t *a);
/* says goodbye and does not come back */
void mesh_agent_channel_quit(mesh_agent_channel_t *ch);
void mesh_agent_channel_free(mesh_agent_channel_t *ch);


#endif /* MESH_AGENT_CHANNEL_H_INCLUDED */

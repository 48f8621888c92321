/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * <data>/state, for `mesh-agent status` and whoever started the agent: lines
 * of key=value (node, server, connected, since, pid).
 */

#ifndef MESH_AGENT_STATE_H_INCLUDED
#define MESH_AGENT_STATE_H_INCLUDED


#include "mesh_agent.h"


void mesh_agent_state(mesh_agent_t *a, const char *server, int connected);
/* the agent ends: nobody is connected */
void mesh_agent_state_remove(mesh_agent_t *a);


#endif /* MESH_AGENT_STATE_H_INCLUDED */

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The core: the script that the server pushes, kept in the store, run when the
 * server says so (agent.md 4).  A new one does not end what the old one has
 * open: that is retired and lives until its sessions have ended.
 *
 * A script that hung, or whose agent did not live a minute three times, is not
 * started any more, until the server pushes one.
 */

#ifndef MESH_AGENT_CORE_H_INCLUDED
#define MESH_AGENT_CORE_H_INCLUDED


#include "../proto/mesh_agent_cmd.h"
#include "mesh_agent.h"


/* in the data folder: a script hung, and the agent was ended for it */
#define MESH_AGENT_CORE_HUNG  "/hung"

mesh_agent_core_t *mesh_agent_core_create(mesh_agent_t *a);
void mesh_agent_core_free(mesh_agent_core_t *core);

/* 10, 11, 16 or 20 of the server; answers it */
void mesh_agent_core_command(mesh_agent_core_t *core,
    const mesh_agent_cmd_t *cmd);
/* a JSON message, or a binary one for the script */
void mesh_agent_core_message(mesh_agent_core_t *core, const uint8_t *data,
    size_t len, int json);
void mesh_agent_core_connected(mesh_agent_core_t *core, int connected);


#endif /* MESH_AGENT_CORE_H_INCLUDED */

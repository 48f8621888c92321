/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * A new program from our own server, agent.md 4.5: only where the policy says
 * selfUpdate=1, which our server alone writes.  The old program stays beside
 * the new one until that has reached the server, and comes back when it does
 * not.
 */

#ifndef MESH_AGENT_UPDATE_H_INCLUDED
#define MESH_AGENT_UPDATE_H_INCLUDED


#include "../proto/mesh_agent_cmd.h"
#include "mesh_agent.h"


/*
 * Before anything that can fail: counts the starts of a program on trial, and
 * takes it back after too many.  MESH_DECLINED: at exe is the old one again,
 * which is to be started.
 */
int mesh_agent_update_start(const char *exe);

/* another program was put at exe: no trial goes on beside it */
void mesh_agent_update_forget(const char *exe);

mesh_agent_update_t *mesh_agent_update_create(mesh_agent_t *a);
void mesh_agent_update_free(mesh_agent_update_t *u);

/* 12, 13 or 14 of the server; answers it */
void mesh_agent_update_command(mesh_agent_update_t *u,
    const mesh_agent_cmd_t *cmd);
/* the server has let us in: this program is good */
void mesh_agent_update_proved(mesh_agent_update_t *u);


#endif /* MESH_AGENT_UPDATE_H_INCLUDED */

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What the clock of a script does not see: a loop inside of the engine, as
 * [].indexOf() over two thousand million elements that are not there.  A
 * thread looks on, and ends the process; what started it starts it again.
 */

#ifndef MESH_AGENT_WATCH_H_INCLUDED
#define MESH_AGENT_WATCH_H_INCLUDED


#include "mesh_agent.h"


/*
 * One call of a script may take so many seconds.  What takes longer leaves a
 * file of this name behind.  NULL: no thread, which is logged.
 */
mesh_agent_watch_t *mesh_agent_watch_create(const char *path,
    unsigned seconds);
void mesh_agent_watch_free(mesh_agent_watch_t *w);


#endif /* MESH_AGENT_WATCH_H_INCLUDED */

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#ifndef MESH_AGENT_VERSION_H_INCLUDED
#define MESH_AGENT_VERSION_H_INCLUDED


/* release number, command 3: the stock agent sends 0 */
#define MESH_AGENT_VERSION       1
#define MESH_AGENT_VERSION_TEXT  "1"
/* of the release, command 30; not of the build, which can be repeated */
#define MESH_AGENT_VERSION_DATE  "2026-Nov-29 00:00:00+0000"


#endif /* MESH_AGENT_VERSION_H_INCLUDED */

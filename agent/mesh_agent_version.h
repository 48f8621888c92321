/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#ifndef MESH_AGENT_VERSION_H_INCLUDED
#define MESH_AGENT_VERSION_H_INCLUDED


/* release number, command 3: the stock agent sends 0 */
#define MESH_AGENT_VERSION       1
#define MESH_AGENT_VERSION_TEXT  "1"


#endif /* MESH_AGENT_VERSION_H_INCLUDED */

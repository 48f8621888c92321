/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "mesh_agent_windows.h"
#include <stdio.h>
#include "../mesh_agent_install.h"

int mesh_agent_install(int argc, char **argv) { return 1; }
int mesh_agent_uninstall(int argc, char **argv) { return 1; }
int mesh_agent_status(int argc, char **argv) { return 1; }

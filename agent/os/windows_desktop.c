/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* There is no capture of this system's screen: sessions are told so. */

#include <stddef.h>
#include <stdio.h>

#include "mesh_agent_desktop.h"
#include "mesh_agent_host.h"


int
mesh_agent_os_has_desktop(void)
{
    return 0;
}


const char *
mesh_agent_os_self(void)
{
    static char  *path;

    if (path == NULL) {
        path = mesh_agent_os_exe();
    }

    return path ? path : "mesh-agent.exe";
}


int
mesh_agent_os_desktop(int argc, char **argv)
{
    (void) argc;
    (void) argv;

    fprintf(stderr, "mesh-agent: this agent cannot show a screen of Windows\n");

    return 1;
}

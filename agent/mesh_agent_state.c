/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../proto/mesh_agent_msg.h"
#include "mesh_agent_conf.h"
#include "mesh_agent_id.h"
#include "mesh_agent_state.h"


/* whole or not at all: it is read while it is written */
void
mesh_agent_state(mesh_agent_t *a, const char *server, int connected)
{
    char     node[MESH_AGENT_TEXT_ID + 1];
    char    *path, *tmp;
    FILE    *f;
    int      rc;
    uv_fs_t  req;

    (void) mesh_b64x_encode(node, mesh_agent_id_node(a->id),
                            MESH_AGENT_ID_LEN);
    node[MESH_AGENT_TEXT_ID] = '\0';

    path = mesh_agent_join(a->conf->data, "/state");
    tmp = mesh_agent_join(a->conf->data, "/state.new");
    f = fopen(tmp, "w");

    if (f) {
        rc = fprintf(f, "node=%s\nserver=%s\nconnected=%d\nsince=%lld\n"
                     "pid=%d\n", node, server, connected,
                     (long long) time(NULL), (int) uv_os_getpid()) > 0;
        rc = fclose(f) == 0 && rc;

        if (rc) {
            (void) uv_fs_rename(NULL, &req, tmp, path, NULL);
            uv_fs_req_cleanup(&req);
        }
    }

    free(path);
    free(tmp);
}


void
mesh_agent_state_remove(mesh_agent_t *a)
{
    char     *path;
    uv_fs_t   req;

    path = mesh_agent_join(a->conf->data, "/state");
    (void) uv_fs_unlink(NULL, &req, path, NULL);
    uv_fs_req_cleanup(&req);
    free(path);
}

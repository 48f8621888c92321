/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* What a file of the agent wants of mesh_agent.c, for one that is alone. */

#ifndef MESH_AGENT_BASE_H_INCLUDED
#define MESH_AGENT_BASE_H_INCLUDED


#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../agent/mesh_agent.h"
#include "../../agent/os/mesh_agent_os.h"


int  mesh_agent_log_level;


void
mesh_agent_log(int level, const char *fmt, ...)
{
}


void *
mesh_agent_alloc(size_t size)
{
    void  *p;

    p = calloc(1, size);

    if (p == NULL) {
        abort();
    }

    return p;
}


void *
mesh_agent_realloc(void *p, size_t size)
{
    p = realloc(p, size);

    if (p == NULL) {
        abort();
    }

    return p;
}


char *
mesh_agent_strdup(const char *s)
{
    char  *p;

    p = mesh_agent_alloc(strlen(s) + 1);

    return strcpy(p, s);
}


char *
mesh_agent_join(const char *a, const char *b)
{
    char  *p;

    p = mesh_agent_alloc(strlen(a) + strlen(b) + 1);

    return strcat(strcpy(p, a), b);
}


const char *
mesh_agent_os_arch(void)
{
    return "";
}


/* a folder of its own, in memory where that is possible */
static inline const char *
mesh_agent_base_folder(void)
{
    static char  folder[64];

    if (folder[0] == '\0') {
        (void) snprintf(folder, sizeof(folder), "%s/mesh_agent.XXXXXX",
                        access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");

        if (mkdtemp(folder) == NULL) {
            abort();
        }
    }

    return folder;
}


static inline void
mesh_agent_base_write(const char *path, const void *p, size_t len)
{
    int  fd;

    fd = open(path, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, p, len) != (ssize_t) len || close(fd) != 0) {
        abort();
    }
}


#endif /* MESH_AGENT_BASE_H_INCLUDED */

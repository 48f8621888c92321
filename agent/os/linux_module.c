/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Parts of the agent in files of their own. */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "mesh_agent_os.h"


/* What is looked at is what is loaded: a file may change its name meanwhile. */
void *
mesh_agent_os_module(const char *path, const char *symbol)
{
    int          fd;
    char         name[32];
    void        *lib, *found;
    struct stat  st;

    if (path[0] != '/') {
        return NULL;
    }

    fd = open(path, O_RDONLY|O_CLOEXEC|O_NOFOLLOW);

    if (fd < 0) {
        return NULL;
    }

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)
        || (st.st_uid != 0 && st.st_uid != geteuid())
        || (st.st_mode & (S_IWGRP|S_IWOTH)))
    {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "\"%s\" is not loaded: others than "
                       "root may write to it", path);
        (void) close(fd);
        return NULL;
    }

    (void) snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    lib = dlopen(name, RTLD_NOW|RTLD_LOCAL|RTLD_NODELETE);

    if (lib == NULL) {
        mesh_agent_log(MESH_AGENT_LOG_WARN, "\"%s\" cannot be loaded: %s",
                       path, dlerror());
    }

    (void) close(fd);
    found = lib ? dlsym(lib, symbol) : NULL;

    if (lib && found == NULL) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "\"%s\" is no part of the agent",
                       path);
    }

    return found;
}

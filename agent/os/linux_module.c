/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Parts of the agent that it has in itself. */

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "mesh_agent_os.h"


#ifndef MFD_EXEC
#define MFD_EXEC  0x0010U                 /* Linux 6.3 */
#endif


static int mesh_agent_os_module_file(const uint8_t *image, size_t len);


/* No file of a disk, which somebody could have changed. */
void *
mesh_agent_os_module(const uint8_t *image, size_t len, const char *symbol,
    char *why, size_t size)
{
    int          fd;
    char         name[32];
    void        *lib, *found;
    const char  *error;

    fd = mesh_agent_os_module_file(image, len);

    if (fd < 0) {
        (void) snprintf(why, size, "%s", strerror(errno));
        return NULL;
    }

    (void) snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    lib = dlopen(name, RTLD_NOW|RTLD_LOCAL|RTLD_NODELETE);
    found = lib ? dlsym(lib, symbol) : NULL;

    if (found == NULL) {
        error = dlerror();
        (void) snprintf(why, size, "%s", error ? error : "it is empty");
    }

    (void) close(fd);

    return found;
}


static int
mesh_agent_os_module_file(const uint8_t *image, size_t len)
{
    int      fd;
    ssize_t  n;

    fd = memfd_create("mesh_agent_part", MFD_CLOEXEC|MFD_EXEC);

    if (fd < 0 && errno == EINVAL) {
        fd = memfd_create("mesh_agent_part", MFD_CLOEXEC);
    }

    while (fd >= 0 && len > 0) {
        n = write(fd, image, len);

        if (n <= 0) {
            (void) close(fd);
            return -1;
        }

        image += n;
        len -= (size_t) n;
    }

    return fd;
}

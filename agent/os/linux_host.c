/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../proto/mesh_agent_msg.h"
#include "mesh_agent_host.h"
#include "mesh_agent_os.h"


static char *mesh_agent_os_place(const char *exe);
static int mesh_agent_os_make(const char *path);
static int mesh_agent_os_line(const char *path, const char *key, char *buf,
    size_t size);
static int mesh_agent_os_trim_program(struct dl_phdr_info *info, size_t size,
    void *data);
static int mesh_agent_os_battery(void);


void
mesh_agent_os_start(void)
{
    (void) signal(SIGPIPE, SIG_IGN);
}


int
mesh_agent_os_run(int (*run)(int argc, char **argv), int argc, char **argv)
{
    return run(argc, argv);
}


/* a service is stopped by a signal */
void
mesh_agent_os_on_stop(void (*stop)(void *data), void *data)
{
}


char *
mesh_agent_os_exe(void)
{
    char     path[PATH_MAX];
    ssize_t  n;

    n = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (n <= 0) {
        return NULL;
    }

    path[n] = '\0';

    return mesh_agent_strdup(path);
}


char *
mesh_agent_os_stem(const char *exe)
{
    return mesh_agent_strdup(exe);
}


int
mesh_agent_os_readable(const char *path)
{
    return access(path, R_OK) == 0;
}


char *
mesh_agent_os_folder(const char *given, const char *exe)
{
    char  *path, *full;

    path = given ? mesh_agent_strdup(given) : mesh_agent_os_place(exe);
    full = NULL;

    if (mesh_agent_os_make(path) == MESH_OK && access(path, R_OK|W_OK|X_OK) == 0)
    {
        full = realpath(path, NULL);
    }

    free(path);

    return full;
}


static char *
mesh_agent_os_place(const char *exe)
{
    char         path[PATH_MAX];
    char        *slash;
    const char  *home;

    (void) snprintf(path, sizeof(path), "%s", exe);
    slash = strrchr(path, '/');

    if (slash && slash != path) {
        *slash = '\0';

        /* not into /usr/bin, where root may write as well */
        if (access(path, W_OK) == 0 && strncmp(path, "/usr", 4) != 0
            && strncmp(path, "/bin", 4) != 0)
        {
            return mesh_agent_strdup(path);
        }
    }

    home = getenv("HOME");

    if (geteuid() == 0 || home == NULL || *home != '/') {
        return mesh_agent_strdup("/var/lib/mesh-agent");
    }

    (void) snprintf(path, sizeof(path), "%s/.local/share/mesh-agent", home);

    return mesh_agent_strdup(path);
}


static int
mesh_agent_os_make(const char *path)
{
    char         part[PATH_MAX];
    size_t       n;
    const char  *p;
    struct stat  sb;

    if (stat(path, &sb) == 0) {
        return S_ISDIR(sb.st_mode) ? MESH_OK : MESH_ERROR;
    }

    for (p = path + 1; ; p++) {
        if (*p != '/' && *p != '\0') {
            continue;
        }

        n = (size_t) (p - path);

        if (n >= sizeof(part)) {
            return MESH_ERROR;
        }

        memcpy(part, path, n);
        part[n] = '\0';

        if (mkdir(part, *p ? 0755 : 0700) != 0 && stat(part, &sb) != 0) {
            return MESH_ERROR;
        }

        if (*p == '\0') {
            return MESH_OK;
        }
    }
}


int
mesh_agent_os_lock(uv_file fd)
{
    return flock(fd, LOCK_EX|LOCK_NB) == 0 ? MESH_OK : MESH_ERROR;
}


int64_t
mesh_agent_os_private(uv_file fd)
{
    struct stat  sb;

    if (fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode)
        || (sb.st_uid != geteuid() && geteuid() != 0)
        || fchmod(fd, 0600) != 0)
    {
        return -1;
    }

    return sb.st_size;
}


int
mesh_agent_os_replace(const char *from, const char *to)
{
    return rename(from, to) == 0 ? 0 : -errno;
}


/* at each step one of the two is there under the program's name */
int
mesh_agent_os_swap(const char *from, const char *exe, const char *old)
{
    int  rc;

    (void) unlink(old);

    if (link(exe, old) != 0) {
        return -errno;
    }

    if (rename(from, exe) != 0) {
        rc = -errno;
        (void) unlink(old);
        return rc;
    }

    /* where both were one file, which a crash of a swap leaves, it is there */
    (void) unlink(from);

    mesh_agent_os_sync_folder(exe);

    return 0;
}


void
mesh_agent_os_sync_folder(const char *path)
{
    int    fd;
    char  *folder, *slash;

    folder = mesh_agent_strdup(path);
    slash = strrchr(folder, '/');

    if (slash) {
        slash[1] = '\0';
        fd = open(folder, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

        if (fd >= 0) {
            (void) fsync(fd);
            (void) close(fd);
        }
    }

    free(folder);
}


void
mesh_agent_os_again(const char *exe, int argc, char **argv)
{
    int    i;
    char **args;

    args = mesh_agent_alloc(((size_t) argc + 3) * sizeof(char *));
    args[0] = (char *) exe;
    args[1] = (char *) "run";

    for (i = 0; i < argc; i++) {
        args[2 + i] = argv[i];
    }

    (void) execv(exe, args);

    mesh_agent_log(MESH_AGENT_LOG_ERR, "\"%s\" cannot be started", exe);
    free(args);
}


/* and the pages of the program that only its start has needed */
void
mesh_agent_os_trim(void)
{
#ifdef __GLIBC__    /* other libraries do it by themselves, or cannot */
    (void) malloc_trim(0);
#endif
    (void) dl_iterate_phdr(mesh_agent_os_trim_program, NULL);
}


/* of the program itself, which comes first */
static int
mesh_agent_os_trim_program(struct dl_phdr_info *info, size_t size, void *data)
{
    int                i;
    size_t             page;
    uintptr_t          start, end;
    const ElfW(Phdr)  *ph;

    (void) size;
    (void) data;

    page = (size_t) sysconf(_SC_PAGESIZE);

    for (i = 0; i < info->dlpi_phnum; i++) {
        ph = &info->dlpi_phdr[i];

        /* what can be written is not in the file */
        if (ph->p_type != PT_LOAD || ph->p_flags & PF_W) {
            continue;
        }

        start = (info->dlpi_addr + ph->p_vaddr + page - 1) & ~(page - 1);
        end = (info->dlpi_addr + ph->p_vaddr + ph->p_memsz) & ~(page - 1);

        if (start < end) {
            (void) madvise((void *) start, end - start, MADV_DONTNEED);
        }
    }

    return 1;
}


void
mesh_agent_os_name(char *buf, size_t size)
{
    char  name[128];

    if (mesh_agent_os_line("/etc/os-release", "PRETTY_NAME=", name,
                           sizeof(name))
        != MESH_OK)
    {
        (void) snprintf(name, sizeof(name), "Linux");
    }

    (void) snprintf(buf, size, "%s - %s", name, mesh_agent_os_arch());
}


/* the value of key in a file of lines, without quotes */
static int
mesh_agent_os_line(const char *path, const char *key, char *buf, size_t size)
{
    char    line[4096], *p;
    FILE   *f;
    int     rc;

    f = fopen(path, "re");

    if (f == NULL) {
        return MESH_ERROR;
    }

    rc = MESH_DECLINED;

    while (fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            p = line + strlen(key);
            p += *p == '"';
            p[strcspn(p, "\"\r\n")] = '\0';
            (void) snprintf(buf, size, "%s", p);
            rc = MESH_OK;
            break;
        }
    }

    (void) fclose(f);

    return rc;
}


uint32_t
mesh_agent_os_kind(void)
{
    char  flags[4096];

    /* the processor says when it is not a real one */
    if (mesh_agent_os_line("/proc/cpuinfo", "flags", flags, sizeof(flags))
        == MESH_OK && strstr(flags, " hypervisor"))
    {
        return MESH_AGENT_VIRTUAL;
    }

    return mesh_agent_os_battery() ? MESH_AGENT_LAPTOP : MESH_AGENT_DESKTOP;
}


static int
mesh_agent_os_battery(void)
{
    int             found;
    DIR            *dir;
    struct dirent  *e;

    dir = opendir("/sys/class/power_supply");

    if (dir == NULL) {
        return 0;
    }

    found = 0;

    for (e = readdir(dir); e; e = readdir(dir)) {
        if (strncmp(e->d_name, "BAT", 3) == 0) {
            found = 1;
        }
    }

    (void) closedir(dir);

    return found;
}

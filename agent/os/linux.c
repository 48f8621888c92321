/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Linux. */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include "mesh_agent_os.h"


#define MESH_AGENT_OS_GROUPS  256
#define MESH_AGENT_OS_PATH    64          /* of a terminal */

extern char  **environ;


typedef struct {
    int           std[3];                 /* of the child */
    int           tty;
    int           change;                 /* uid, gid and groups */
    uid_t         uid;
    gid_t         gid;
    int           ngroups;
    gid_t         groups[MESH_AGENT_OS_GROUPS];
    sigset_t      mask;
} mesh_agent_os_fork_t;


static void mesh_agent_os_exit_handler(uv_signal_t *signal, int signum);
static int mesh_agent_os_account(const mesh_agent_os_spawn_t *spawn,
    mesh_agent_os_fork_t *f);
static int mesh_agent_os_pipes(mesh_agent_os_fork_t *f,
    mesh_agent_os_child_t *child);
static int mesh_agent_os_terminal(const mesh_agent_os_spawn_t *spawn,
    mesh_agent_os_fork_t *f, mesh_agent_os_child_t *child);
static void mesh_agent_os_exec(const mesh_agent_os_spawn_t *spawn,
    const mesh_agent_os_fork_t *f);
static void mesh_agent_os_close_all(void);
static void mesh_agent_os_close(int *fd);


size_t
mesh_agent_os_alloc_size(void *p)
{
    return malloc_usable_size(p);
}


const char *
mesh_agent_os_platform(void)
{
    return "linux";
}


const char *
mesh_agent_os_arch(void)
{
#if defined(__x86_64__)
    return "x64";
#elif defined(__i386__)
    return "x86";
#elif defined(__aarch64__)
    return "arm64";
#elif defined(__arm__)
    return "arm";
#elif defined(__riscv)
    return "riscv64";
#else
    return "unknown";
#endif
}


int
mesh_agent_os_arch_id(void)
{
#if defined(__x86_64__) && !defined(__GLIBC__)
    return 36;      /* the one that needs no library, by which it is updated */
#elif defined(__x86_64__)
    return 6;
#elif defined(__i386__)
    return 5;
#elif defined(__aarch64__)
    return 32;
#elif defined(__arm__)
    return 25;
#elif defined(__riscv)
    return 45;
#else
    return 0;
#endif
}


int
mesh_agent_os_is_service(void)
{
    /*
     * systemd.exec(5); the terminals of a desktop inherit the variable, but
     * the parent of what they start is a shell
     */
    return getenv("INVOCATION_ID") != NULL && getppid() == 1;
}


int
mesh_agent_os_streams(int type)
{
    return type == MESH_AGENT_OS_TERM ? 1 : 3;
}


int
mesh_agent_os_exit_init(uv_loop_t *loop, mesh_agent_os_exit_t *e)
{
    int  rc;

    rc = uv_signal_init(loop, &e->handle.signal);
    e->handle.any.data = e;

    return rc == 0 ? uv_signal_start(&e->handle.signal,
                                     mesh_agent_os_exit_handler, SIGCHLD)
                   : rc;
}


static void
mesh_agent_os_exit_handler(uv_signal_t *signal, int signum)
{
    mesh_agent_os_exit_t  *e = signal->data;

    e->fn(e->data);
}


int
mesh_agent_os_spawn(const mesh_agent_os_spawn_t *spawn,
    mesh_agent_os_child_t *child, mesh_agent_os_exit_t *e)
{
    int                    rc, i;
    pid_t                  pid;
    sigset_t               all;
    mesh_agent_os_fork_t   f;

    memset(&f, 0, sizeof(mesh_agent_os_fork_t));
    f.std[0] = f.std[1] = f.std[2] = -1;
    child->in = child->out = child->err = -1;

    rc = mesh_agent_os_account(spawn, &f);

    if (rc == 0) {
        rc = spawn->type == MESH_AGENT_OS_TERM
             ? mesh_agent_os_terminal(spawn, &f, child)
             : mesh_agent_os_pipes(&f, child);
    }

    if (rc != 0) {
        goto failed;
    }

    /* a handler of the agent must not run in the child */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &f.mask);

    pid = fork();

    if (pid == 0) {
        mesh_agent_os_exec(spawn, &f);
        _exit(127);
    }

    rc = pid == -1 ? -errno : 0;

    pthread_sigmask(SIG_SETMASK, &f.mask, NULL);

    if (rc != 0) {
        goto failed;
    }

    child->pid = pid;

    mesh_agent_os_close(&f.std[0]);
    if (!f.tty) {
        mesh_agent_os_close(&f.std[1]);
        mesh_agent_os_close(&f.std[2]);
    }

    return 0;

failed:

    if (child->out == child->in) {
        child->out = -1;
    }

    mesh_agent_os_close(&child->in);
    mesh_agent_os_close(&child->out);
    mesh_agent_os_close(&child->err);

    for (i = 0; i < (f.tty ? 1 : 3); i++) {
        mesh_agent_os_close(&f.std[i]);
    }

    return rc;
}


/* what reads files is done before the fork */
static int
mesh_agent_os_account(const mesh_agent_os_spawn_t *spawn,
    mesh_agent_os_fork_t *f)
{
    char            buf[4096];
    struct passwd   pw, *found;

    if (spawn->uid < 0 || (uid_t) spawn->uid == geteuid()) {
        return 0;
    }

    found = NULL;
    if (getpwuid_r((uid_t) spawn->uid, &pw, buf, sizeof(buf), &found) != 0
        || found == NULL)
    {
        return -ENOENT;
    }

    f->change = 1;
    f->uid = pw.pw_uid;
    f->gid = pw.pw_gid;
    f->ngroups = MESH_AGENT_OS_GROUPS;

    if (getgrouplist(pw.pw_name, pw.pw_gid, f->groups, &f->ngroups) == -1) {
        return -E2BIG;
    }

    return 0;
}


static int
mesh_agent_os_pipes(mesh_agent_os_fork_t *f, mesh_agent_os_child_t *child)
{
    int  i, fds[2], *ours[3];

    ours[0] = &child->in;
    ours[1] = &child->out;
    ours[2] = &child->err;

    for (i = 0; i < 3; i++) {
        if (pipe2(fds, O_CLOEXEC) == -1) {
            return -errno;
        }

        /* the program reads its input, and we read what it prints */
        f->std[i] = i == 0 ? fds[0] : fds[1];
        *ours[i] = i == 0 ? fds[1] : fds[0];

        if (fcntl(*ours[i], F_SETFL, O_NONBLOCK) == -1) {
            return -errno;
        }
    }

    return 0;
}


static int
mesh_agent_os_terminal(const mesh_agent_os_spawn_t *spawn,
    mesh_agent_os_fork_t *f, mesh_agent_os_child_t *child)
{
    int   master, slave;
    char  path[MESH_AGENT_OS_PATH];

    f->tty = 1;

    master = posix_openpt(O_RDWR|O_NOCTTY|O_CLOEXEC|O_NONBLOCK);
    if (master == -1) {
        return -errno;
    }

    child->in = child->out = master;

    if (grantpt(master) == -1 || unlockpt(master) == -1) {
        return -errno;
    }

    if (ptsname_r(master, path, sizeof(path)) != 0) {
        return -ENOTTY;
    }

    slave = open(path, O_RDWR|O_NOCTTY|O_CLOEXEC);
    if (slave == -1) {
        return -errno;
    }

    f->std[0] = f->std[1] = f->std[2] = slave;

    if (f->change) {
        (void) !fchown(slave, f->uid, (gid_t) -1);
    }

    (void) mesh_agent_os_tty_size(0, slave, spawn->rows > 0 ? spawn->rows : 25,
                                  spawn->cols > 0 ? spawn->cols : 80);

    return 0;
}


/*
 * In the child.  Other threads of the agent may have held any lock when it
 * forked: only system calls from here on.
 */
static void
mesh_agent_os_exec(const mesh_agent_os_spawn_t *spawn,
    const mesh_agent_os_fork_t *f)
{
    int               i, fd[3];
    struct sigaction  sa;

    memset(&sa, 0, sizeof(struct sigaction));
    sa.sa_handler = SIG_DFL;

    for (i = 1; i < NSIG; i++) {
        (void) sigaction(i, &sa, NULL);
    }

    if (f->tty || spawn->type == MESH_AGENT_OS_DETACHED) {
        (void) setsid();
    }

    /* an agent that was started without them has pipes in their place */
    for (i = 0; i < 3; i++) {
        fd[i] = fcntl(f->std[i], F_DUPFD, 3);
        if (fd[i] == -1) {
            return;
        }
    }

    for (i = 0; i < 3; i++) {
        if (dup2(fd[i], i) == -1) {
            return;
        }
    }

    if (f->tty && ioctl(0, TIOCSCTTY, 0) == -1) {
        return;
    }

    mesh_agent_os_close_all();

    if (f->change
        && (setgroups((size_t) f->ngroups, f->groups) == -1
            || setgid(f->gid) == -1 || setuid(f->uid) == -1))
    {
        return;
    }

    (void) umask(022);
    sigemptyset(&sa.sa_mask);
    (void) sigprocmask(SIG_SETMASK, &sa.sa_mask, NULL);

    (void) execve(spawn->path, spawn->argv,
                  spawn->env != NULL ? spawn->env : environ);
}


/* the data file with the key of the device is among them */
static void
mesh_agent_os_close_all(void)
{
    int  fd;

#ifdef SYS_close_range
    if (syscall(SYS_close_range, 3U, ~0U, 0U) == 0) {
        return;
    }
#endif

    /* before Linux 5.9; all of ours have the flag as well */
    for (fd = 3; fd < 4096; fd++) {
        (void) close(fd);
    }
}


static void
mesh_agent_os_close(int *fd)
{
    if (*fd != -1) {
        (void) close(*fd);
        *fd = -1;
    }
}


int
mesh_agent_os_reap(int pid, int *code, int *sig)
{
    int    status;
    pid_t  rc;

    *code = 0;
    *sig = 0;

    do {
        rc = waitpid(pid, &status, WNOHANG);
    } while (rc == -1 && errno == EINTR);

    if (rc == 0) {
        return MESH_AGAIN;
    }

    if (rc == -1) {
        return MESH_ERROR;
    }

    if (WIFEXITED(status)) {
        *code = WEXITSTATUS(status);

    } else if (WIFSIGNALED(status)) {
        *sig = WTERMSIG(status);

    } else {
        return MESH_AGAIN;
    }

    return MESH_OK;
}


int
mesh_agent_os_kill(int pid, int sig)
{
    return kill(pid, sig) == -1 ? -errno : 0;
}


int
mesh_agent_os_tty_size(int pid, int fd, int rows, int cols)
{
    struct winsize  ws;

    memset(&ws, 0, sizeof(struct winsize));
    ws.ws_row = (unsigned short) rows;
    ws.ws_col = (unsigned short) cols;

    return ioctl(fd, TIOCSWINSZ, &ws) == -1 ? -errno : 0;
}


void
mesh_agent_os_wait(const int *fds, int n, int timeout_ms)
{
    int            i;
    struct pollfd  list[8];

    for (i = 0; i < n && i < 8; i++) {
        list[i].fd = fds[i];              /* poll() skips those below 0 */
        list[i].events = POLLIN;
        list[i].revents = 0;
    }

    (void) poll(list, (nfds_t) i, timeout_ms);
}


long
mesh_agent_os_read(int fd, void *buf, size_t len)
{
    ssize_t  n;

    do {
        n = read(fd, buf, len);
    } while (n == -1 && errno == EINTR);

    if (n >= 0) {
        return (long) n;
    }

    /* of a terminal whose last program has gone */
    return errno == EIO ? 0 : -errno;
}


int
mesh_agent_os_power(int state, int force)
{
    int          fd, rc;
    const char  *word;

    switch (state) {

    case 2:
        sync();
        return reboot(RB_POWER_OFF) == 0;

    case 3:
        sync();
        return reboot(RB_AUTOBOOT) == 0;

    case 4:
    case 5:
        word = state == 4 ? "mem" : "disk";

        fd = open("/sys/power/state", O_WRONLY|O_CLOEXEC);
        if (fd == -1) {
            return 0;
        }

        rc = write(fd, word, strlen(word)) == (ssize_t) strlen(word);
        (void) close(fd);

        return rc;

    default:
        return 0;
    }
}


char *
mesh_agent_os_query(const char *name, const char *argument)
{
    return NULL;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Whose screen.  A session is found by its programs: the environment of one
 * says which display it is on and where the key to it lies.  Where nobody is
 * logged in there may be the X server of a login screen.
 *
 * All of /proc is written by others: a name of a display is taken only as
 * ":N" of a server on this machine, and the key of a user is opened as he.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "linux_desktop.h"


#define MESH_AGENT_DESK_ENVIRON  65536    /* bytes of it that are looked at */
#define MESH_AGENT_DESK_SOCKETS  "/tmp/.X11-unix"


/* of one program */
typedef struct {
    uid_t        uid;
    const char  *display;
    const char  *xauthority;
    int          wayland;
} mesh_agent_desk_program_t;

typedef struct {
    mesh_agent_desk_session_t  *session;
    const char                 *display;  /* asked for */
    long                        uid;      /* asked for */
    uid_t                       seat;     /* who is at the screen */
    int                         score;    /* of what is in session */
    int                         wayland;  /* of it */
} mesh_agent_desk_search_t;


static void mesh_agent_desk_find_programs(mesh_agent_desk_search_t *f);
static int mesh_agent_desk_read(int dir, const char *pid, const char *name,
    char *buf, size_t size, uid_t *uid);
static void mesh_agent_desk_environ(mesh_agent_desk_program_t *p, char *buf,
    size_t len);
static void mesh_agent_desk_consider(mesh_agent_desk_search_t *f,
    const mesh_agent_desk_program_t *p);
static int mesh_agent_desk_local(const char *display, char *name,
    size_t size);
static uid_t mesh_agent_desk_seat(void);
static void mesh_agent_desk_find_server(mesh_agent_desk_search_t *f);
static void mesh_agent_desk_server_key(mesh_agent_desk_session_t *s);


int
mesh_agent_desk_find(mesh_agent_desk_session_t *s, const char *display,
    long uid, char *why)
{
    mesh_agent_desk_search_t  f;

    memset(s, 0, sizeof(mesh_agent_desk_session_t));
    memset(&f, 0, sizeof(mesh_agent_desk_search_t));
    f.session = s;
    f.display = display;
    f.uid = uid;
    f.seat = mesh_agent_desk_seat();

    mesh_agent_desk_find_programs(&f);

    if (f.wayland) {
        (void) snprintf(why, MESH_AGENT_DESK_SENTENCE,
                        "The session at the screen runs on Wayland, which "
                        "this agent cannot capture yet. Log in with an X11 "
                        "(Xorg) session instead.");
        return MESH_ERROR;
    }

    if (f.score == 0 && uid < 0) {
        mesh_agent_desk_find_server(&f);
    }

    if (f.score == 0) {
        (void) snprintf(why, MESH_AGENT_DESK_SENTENCE,
                        uid < 0 ? "No X server runs on this device, so there "
                                  "is no screen to show."
                                : "This user has no X11 session, so there is "
                                  "no screen to show.");
        return MESH_ERROR;
    }

    return MESH_OK;
}


static void
mesh_agent_desk_find_programs(mesh_agent_desk_search_t *f)
{
    int                         n;
    DIR                        *dir;
    struct dirent              *e;
    mesh_agent_desk_program_t   p;
    static char                 buf[MESH_AGENT_DESK_ENVIRON];

    dir = opendir("/proc");

    if (dir == NULL) {
        return;
    }

    for (e = readdir(dir); e != NULL; e = readdir(dir)) {

        if (e->d_name[0] < '1' || e->d_name[0] > '9') {
            continue;
        }

        memset(&p, 0, sizeof(mesh_agent_desk_program_t));
        n = mesh_agent_desk_read(dirfd(dir), e->d_name, "environ", buf,
                                 sizeof(buf), &p.uid);

        if (n > 0) {
            mesh_agent_desk_environ(&p, buf, (size_t) n);
            mesh_agent_desk_consider(f, &p);
        }
    }

    (void) closedir(dir);
}


/* bytes, of which the last is a NUL, or -1 */
static int
mesh_agent_desk_read(int dir, const char *pid, const char *name, char *buf,
    size_t size, uid_t *uid)
{
    int          fd;
    char         path[300];
    ssize_t      n;
    struct stat  st;

    (void) snprintf(path, sizeof(path), "%s/%s", pid, name);
    fd = openat(dir, path, O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        return -1;
    }

    n = read(fd, buf, size - 1);
    (void) close(fd);

    /* the files may be root's where the folder is the user's */
    if (n <= 0 || fstatat(dir, pid, &st, 0) == -1) {
        return -1;
    }

    *uid = st.st_uid;
    buf[n] = '\0';

    return (int) n + 1;
}


static void
mesh_agent_desk_environ(mesh_agent_desk_program_t *p, char *buf, size_t len)
{
    char  *end;

    for (end = buf + len; buf < end; buf += strlen(buf) + 1) {

        if (strncmp(buf, "DISPLAY=", 8) == 0) {
            p->display = buf + 8;

        } else if (strncmp(buf, "XAUTHORITY=", 11) == 0) {
            p->xauthority = buf + 11;

        } else if (strncmp(buf, "WAYLAND_DISPLAY=", 16) == 0
                   || strcmp(buf, "XDG_SESSION_TYPE=wayland") == 0)
        {
            p->wayland = 1;
        }
    }
}


/* the best one stays: whoever is at the seat, then users, then services */
static void
mesh_agent_desk_consider(mesh_agent_desk_search_t *f,
    const mesh_agent_desk_program_t *p)
{
    int                         score;
    char                        name[sizeof(f->session->display)];
    mesh_agent_desk_session_t  *s = f->session;

    if (f->uid >= 0 && p->uid != (uid_t) f->uid) {
        return;
    }

    name[0] = '\0';

    if (p->display == NULL
        || mesh_agent_desk_local(p->display, name, sizeof(name)) != MESH_OK)
    {
        if (!p->wayland) {
            return;
        }
    }

    if (f->display != NULL && strcmp(f->display, name) != 0) {
        return;
    }

    score = 2 + (p->uid == f->seat ? 8 : 0) + (p->uid >= 1000 ? 4 : 0)
            + (p->xauthority != NULL ? 1 : 0);

    if (score <= f->score) {
        return;
    }

    if (p->xauthority != NULL && strlen(p->xauthority) >= PATH_MAX) {
        return;
    }

    f->score = score;
    f->wayland = p->wayland;
    s->uid = p->uid;
    (void) snprintf(s->display, sizeof(s->display), "%s", name);
    (void) snprintf(s->xauthority, sizeof(s->xauthority), "%s",
                    p->xauthority != NULL ? p->xauthority : "");
}


/* ":N" of ":N" or ":N.S", when there is such a server on this machine */
static int
mesh_agent_desk_local(const char *display, char *name, size_t size)
{
    char         path[64];
    size_t       n;
    struct stat  st;

    if (display[0] != ':') {
        return MESH_ERROR;
    }

    n = strspn(display + 1, "0123456789");

    if (n == 0 || n > 5 || (display[1 + n] != '\0' && display[1 + n] != '.')) {
        return MESH_ERROR;
    }

    (void) snprintf(name, size, ":%.*s", (int) n, display + 1);
    (void) snprintf(path, sizeof(path), MESH_AGENT_DESK_SOCKETS "/X%s",
                    name + 1);

    return stat(path, &st) == 0 && S_ISSOCK(st.st_mode) ? MESH_OK
                                                        : MESH_ERROR;
}


/* of whom systemd-logind says that he is at the screen, or (uid_t) -1 */
static uid_t
mesh_agent_desk_seat(void)
{
    DIR            *dir;
    char            buf[4096], *p;
    uid_t           uid, owner;
    struct dirent  *e;

    uid = (uid_t) -1;
    dir = opendir("/run/systemd/sessions");

    if (dir == NULL) {
        return uid;
    }

    for (e = readdir(dir); e != NULL; e = readdir(dir)) {

        if (e->d_name[0] == '.' || strchr(e->d_name, '.') != NULL
            || mesh_agent_desk_read(dirfd(dir), ".", e->d_name, buf,
                                    sizeof(buf), &owner) <= 0)
        {
            continue;
        }

        p = strstr(buf, "\nUID=");

        if (p != NULL && strstr(buf, "\nACTIVE=1\n") != NULL
            && strstr(buf, "\nSEAT=") != NULL)
        {
            uid = (uid_t) strtoul(p + 5, NULL, 10);

            if (strstr(buf, "\nCLASS=greeter") == NULL) {
                break;
            }
        }
    }

    (void) closedir(dir);

    return uid;
}


/* a server without a session: a login screen, or one that was asked for */
static void
mesh_agent_desk_find_server(mesh_agent_desk_search_t *f)
{
    DIR                        *dir;
    char                        name[sizeof(f->session->display)], text[300];
    char                        path[sizeof(MESH_AGENT_DESK_SOCKETS) + 300];
    struct stat                 st;
    struct dirent              *e;
    mesh_agent_desk_session_t  *s = f->session;

    dir = opendir(MESH_AGENT_DESK_SOCKETS);

    if (dir == NULL) {
        return;
    }

    for (e = readdir(dir); e != NULL && f->score == 0; e = readdir(dir)) {

        if (e->d_name[0] != 'X') {
            continue;
        }

        (void) snprintf(text, sizeof(text), ":%s", e->d_name + 1);
        (void) snprintf(path, sizeof(path), MESH_AGENT_DESK_SOCKETS "/%s",
                        e->d_name);

        if (mesh_agent_desk_local(text, name, sizeof(name)) != MESH_OK
            || (f->display != NULL && strcmp(f->display, name) != 0)
            || stat(path, &st) == -1)
        {
            continue;
        }

        f->score = 1;
        s->uid = st.st_uid;
        s->nobody = 1;
        (void) snprintf(s->display, sizeof(s->display), "%s", name);
        mesh_agent_desk_server_key(s);
    }

    (void) closedir(dir);
}


/* the file behind "-auth" of the server that has this display */
static void
mesh_agent_desk_server_key(mesh_agent_desk_session_t *s)
{
    int             n;
    DIR            *dir;
    char           *p, *end, *key;
    uid_t           uid;
    struct dirent  *e;
    static char     buf[MESH_AGENT_DESK_ENVIRON];

    dir = opendir("/proc");

    if (dir == NULL) {
        return;
    }

    for (e = readdir(dir); e != NULL; e = readdir(dir)) {

        if (e->d_name[0] < '1' || e->d_name[0] > '9') {
            continue;
        }

        n = mesh_agent_desk_read(dirfd(dir), e->d_name, "cmdline", buf,
                                 sizeof(buf), &uid);

        /* another user's program may call itself anything */
        if (n <= 0 || uid != s->uid) {
            continue;
        }

        key = NULL;
        end = buf + n;

        for (p = buf; p < end; p += strlen(p) + 1) {
            if (strcmp(p, "-auth") == 0 && p + 6 < end) {
                key = p + 6;
            }
        }

        for (p = buf; key != NULL && p < end; p += strlen(p) + 1) {
            if (strcmp(p, s->display) == 0 && strlen(key) < PATH_MAX) {
                (void) snprintf(s->xauthority, sizeof(s->xauthority), "%s",
                                key);
                (void) closedir(dir);
                return;
            }
        }
    }

    (void) closedir(dir);
}


int
mesh_agent_desk_become(const mesh_agent_desk_session_t *s, char *why)
{
    char            buf[4096];
    uid_t           uid;
    struct passwd   pw, *found;

    uid = s->uid;
    found = NULL;

    if (getpwuid_r(uid, &pw, buf, sizeof(buf), &found) != 0 || found == NULL) {
        (void) snprintf(why, MESH_AGENT_DESK_SENTENCE,
                        "The user of the screen has no account here.");
        return MESH_ERROR;
    }

    if (uid != geteuid()
        && (initgroups(pw.pw_name, pw.pw_gid) == -1 || setgid(pw.pw_gid) == -1
            || setuid(uid) == -1))
    {
        (void) snprintf(why, MESH_AGENT_DESK_SENTENCE,
                        "The screen belongs to another user, and the agent "
                        "may not act for him.");
        return MESH_ERROR;
    }

    (void) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void) setenv("HOME", pw.pw_dir, 1);
    (void) setenv("DISPLAY", s->display, 1);

    if (s->xauthority[0] != '\0') {
        (void) setenv("XAUTHORITY", s->xauthority, 1);
    } else {
        (void) unsetenv("XAUTHORITY");
    }

    return MESH_OK;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../mesh_agent_install.h"
#include "../mesh_agent_rtc.h"
#include "../mesh_agent_update.h"


#define MESH_AGENT_DIR       "/usr/lib/mesh-agent"
#define MESH_AGENT_PROGRAM   MESH_AGENT_DIR "/mesh-agent"
#define MESH_AGENT_POLICY    MESH_AGENT_DIR "/mesh-agent.msh"
#define MESH_AGENT_SERVICE   "mesh-agent.service"
#define MESH_AGENT_UNIT      "/etc/systemd/system/" MESH_AGENT_SERVICE
#define MESH_AGENT_PACKAGED  "/lib/systemd/system/" MESH_AGENT_SERVICE
#define MESH_AGENT_WANTED    "/etc/systemd/system/multi-user.target.wants/"  \
                             MESH_AGENT_SERVICE

#define MESH_AGENT_PROGRAM_MAX  (256 * 1024 * 1024)    /* bytes */
#define MESH_AGENT_POLICY_MAX   (1024 * 1024)
#define MESH_AGENT_STATE_MAX    4096
#define MESH_AGENT_VALUE        1024  /* bytes of a value that is shown */

#define MESH_AGENT_WAIT         10    /* seconds, to come online or to end */
#define MESH_AGENT_LOOK         50    /* milliseconds between two looks */


typedef struct {
    const char  *root;                /* "": the machine itself */
    const char  *policy;              /* NULL: beside the program */
    const char  *data;                /* NULL: where there is one */
} mesh_agent_options_t;

typedef struct {
    char    node[MESH_AGENT_VALUE];
    char    server[MESH_AGENT_VALUE];
    time_t  since;
    pid_t   pid;                      /* 0: not told */
    time_t  written;                  /* the file */
    int     connected;
} mesh_agent_state_t;


static int mesh_agent_options(mesh_agent_options_t *o, const char *command,
    int argc, char **argv, const char *allowed);
static int mesh_agent_packaged(const mesh_agent_options_t *o);
static int mesh_agent_policy_read(const mesh_agent_options_t *o,
    const char *exe, char **text, size_t *len, char *server);
static int mesh_agent_policy_check(const char *path, const char *text,
    size_t len, char *server);
static int mesh_agent_is_hex(const char *s);
static int mesh_agent_service_start(const char *server);
static int mesh_agent_online(const char *data, time_t since);
static int mesh_agent_state_read(const char *data, mesh_agent_state_t *st);
static int mesh_agent_state_alive(const mesh_agent_state_t *st);
static const char *mesh_agent_state_find(const mesh_agent_options_t *o,
    char *data, mesh_agent_state_t *st);
static int mesh_agent_value(const char *text, size_t len, const char *key,
    char *value, size_t size);

static int mesh_agent_programs_stop(const char *program);
static int mesh_agent_programs_signal(const char *program, const char *ns,
    int signo);
static int mesh_agent_proc_link(const char *pid, const char *name, char *to);

static int mesh_agent_systemd(void);
static int mesh_agent_systemctl(int quiet, const char *verb,
    const char *option, const char *unit);

static int mesh_agent_path(char *path, const char *root, const char *rest);
static int mesh_agent_exe(char *path);
static int mesh_agent_same(const char *one, const char *two);
static char *mesh_agent_file_read(const char *path, size_t max, size_t *len);
static int mesh_agent_file_write(const char *path, const void *data,
    size_t len, mode_t mode);
static int mesh_agent_dirs(const char *path, mode_t mode);
static int mesh_agent_remove(const char *path);
static int mesh_agent_remove_each(const char *path, const struct stat *st,
    int type, struct FTW *ftw);
static void mesh_agent_sleep(void);
static int mesh_agent_fail(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));


/*
 * Nearly nothing of what systemd can forbid is forbidden: a terminal inherits
 * it all, and is there for whoever administers the machine as root.
 */
static const char  mesh_agent_unit[] =
    "# Made by mesh-agent install, which makes it anew: changes belong into\n"
    "# a drop-in (systemctl edit mesh-agent).\n"
    "\n"
    "[Unit]\n"
    "Description=Remote management of this machine (mesh-agent)\n"
    "Wants=network-online.target\n"
    "After=network-online.target\n"
    "# it is never given up: it may be the only way to this machine\n"
    "StartLimitIntervalSec=0\n"
    "\n"
    "[Service]\n"
    "Type=exec\n"
    "ExecStart=" MESH_AGENT_PROGRAM " run --data=" MESH_AGENT_INSTALL_DATA
    "\n"
    "Restart=always\n"
    "RestartSec=5\n"
    "StateDirectory=mesh-agent\n"
    "StateDirectoryMode=0700\n"
    "# its terminals inherit what is forbidden here, so this is all of it\n"
    "KeyringMode=private\n"
    "NotifyAccess=none\n"
    "# an upgrade that runs in a terminal survives the restart of the agent,\n"
    "# and the agent a program in a terminal that takes all memory\n"
    "KillMode=process\n"
    "OOMPolicy=continue\n"
    "\n"
    "[Install]\n"
    "WantedBy=multi-user.target\n";


int
mesh_agent_install(int argc, char **argv)
{
    int                   rc, upgrade, systemd, has_policy, packaged;
    char                  exe[PATH_MAX], program[PATH_MAX], policy[PATH_MAX];
    char                  path[PATH_MAX], server[MESH_AGENT_VALUE];
    char                  why[MESH_AGENT_RTC_WHY];
    char                 *text, *image;
    size_t                text_len, image_len;
    mesh_agent_options_t  o;

    if (mesh_agent_options(&o, "install", argc, argv, "policy root") != 0) {
        return MESH_AGENT_EXIT_USAGE;
    }

    if (o.root[0] == '\0' && geteuid() != 0) {
        return mesh_agent_fail("only root can install the agent: try again "
                               "with sudo");
    }

    if (mesh_agent_exe(exe) != 0
        || mesh_agent_path(program, o.root, MESH_AGENT_PROGRAM) != 0
        || mesh_agent_path(policy, o.root, MESH_AGENT_POLICY) != 0)
    {
        return MESH_AGENT_EXIT_FAILED;
    }

    upgrade = access(program, F_OK) == 0;
    has_policy = access(policy, F_OK) == 0;
    systemd = o.root[0] == '\0' && mesh_agent_systemd();
    packaged = mesh_agent_packaged(&o);

    /* all is read before anything is written */

    text = NULL;
    image = NULL;
    rc = MESH_AGENT_EXIT_FAILED;
    server[0] = '\0';

    if (mesh_agent_policy_read(&o, exe, &text, &text_len, server) != 0) {
        goto done;
    }

    if (text == NULL) {

        if (!has_policy) {
            mesh_agent_fail("there is no policy \"%s.msh\", which tells the "
                            "agent its server: download it from the server's "
                            "page and name it so, or say --policy=FILE", exe);
            goto done;
        }

        text = mesh_agent_file_read(policy, MESH_AGENT_POLICY_MAX, &text_len);

        if (text == NULL
            || mesh_agent_policy_check(policy, text, text_len, server) != 0)
        {
            goto done;
        }
    }

    if (!packaged && !mesh_agent_same(exe, program)) {
        image = mesh_agent_file_read(exe, MESH_AGENT_PROGRAM_MAX, &image_len);
        if (image == NULL) {
            goto done;
        }
    }

    if (mesh_agent_path(path, o.root, MESH_AGENT_DIR) != 0
        || mesh_agent_dirs(path, 0755) != 0
        || mesh_agent_file_write(policy, text, text_len, 0600) != 0
        || (image
            && mesh_agent_file_write(program, image, image_len, 0755) != 0))
    {
        goto done;
    }

    if (image) {
        mesh_agent_update_forget(program);
    }

    if (systemd || o.root[0]) {

        if (!packaged
            && (mesh_agent_path(path, o.root, "/etc/systemd/system") != 0
                || mesh_agent_dirs(path, 0755) != 0
                || mesh_agent_path(path, o.root, MESH_AGENT_UNIT) != 0
                || mesh_agent_file_write(path, mesh_agent_unit,
                                         sizeof(mesh_agent_unit) - 1, 0644)
                   != 0))
        {
            goto done;
        }

    } else if (mesh_agent_dirs(MESH_AGENT_INSTALL_DATA, 0700) != 0) {
        goto done;
    }

    if (packaged) {
        printf("The policy is installed: %s\n"
               "The program is that of the package mesh-agent, which apt "
               "upgrades and removes.\n", policy);

    } else {
        printf("The agent is %s: %s\n", upgrade ? "upgraded" : "installed",
               program);
    }

    if (o.root[0]) {
        printf("Nothing was started, as --root was given.\n");
        rc = MESH_AGENT_EXIT_OK;
        goto done;
    }

    if (systemd) {
        rc = mesh_agent_service_start(server);

    } else {
        printf("There is no systemd here, so nothing starts it.  Start it by "
               "hand, and whenever\nthis machine starts, as root%s:\n"
               "  %s run --data=%s\n",
               upgrade ? "; what runs of it is the old one" : "",
               MESH_AGENT_PROGRAM, MESH_AGENT_INSTALL_DATA);
        rc = MESH_AGENT_EXIT_OK;
    }

    if (rc == MESH_AGENT_EXIT_OK && mesh_agent_rtc_check(why) == MESH_ERROR) {
        printf("Sessions go through the server always, as WebRTC cannot be "
               "loaded: %s.\n", why);
    }

    if (rc == MESH_AGENT_EXIT_OK && !packaged) {
        printf("To remove it: sudo %s uninstall\n", MESH_AGENT_PROGRAM);
    }

done:

    free(text);
    free(image);

    return rc;
}


int
mesh_agent_uninstall(int argc, char **argv)
{
    int                   i, systemd, found, failed;
    char                  path[PATH_MAX];
    mesh_agent_options_t  o;

    static const char  *paths[] = {
        MESH_AGENT_WANTED, MESH_AGENT_UNIT, MESH_AGENT_DIR,
        MESH_AGENT_INSTALL_DATA, NULL
    };

    if (mesh_agent_options(&o, "uninstall", argc, argv, "root") != 0) {
        return MESH_AGENT_EXIT_USAGE;
    }

    if (o.root[0] == '\0' && geteuid() != 0) {
        return mesh_agent_fail("only root can remove the agent: try again "
                               "with sudo");
    }

    if (mesh_agent_packaged(&o)) {
        return mesh_agent_fail("it is that of the package mesh-agent: sudo "
                               "apt purge mesh-agent removes it, its key and "
                               "its data, and apt remove keeps those");
    }

    /* it may be run in a terminal of the agent that it stops */
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);

    found = 0;
    failed = 0;
    systemd = o.root[0] == '\0' && mesh_agent_systemd();

    if (systemd && access(MESH_AGENT_UNIT, F_OK) == 0
        && mesh_agent_systemctl(1, "disable", "--now", MESH_AGENT_SERVICE)
           != 0)
    {
        mesh_agent_fail("systemctl disable --now %s failed; the agent is "
                        "ended without it", MESH_AGENT_SERVICE);
    }

    if (mesh_agent_path(path, o.root, MESH_AGENT_PROGRAM) != 0) {
        return MESH_AGENT_EXIT_FAILED;
    }

    if (mesh_agent_programs_stop(path) != 0) {
        return MESH_AGENT_EXIT_FAILED;
    }

    for (i = 0; paths[i]; i++) {

        if (mesh_agent_path(path, o.root, paths[i]) != 0) {
            return MESH_AGENT_EXIT_FAILED;
        }

        switch (mesh_agent_remove(path)) {
        case 0:
            printf("removed %s\n", path);
            found = 1;
            break;
        case 1:
            break;
        default:
            failed = 1;
            break;
        }
    }

    if (systemd && found) {
        (void) mesh_agent_systemctl(1, "daemon-reload", NULL, NULL);
        (void) mesh_agent_systemctl(1, "reset-failed", NULL,
                                    MESH_AGENT_SERVICE);
    }

    if (failed) {
        return MESH_AGENT_EXIT_FAILED;
    }

    if (!found) {
        printf("There is no agent installed here.\n");
        return MESH_AGENT_EXIT_OK;
    }

    printf("The agent is removed, and its identity with it.  The server still "
           "shows the device\nas offline, until it is removed there.\n");

    return MESH_AGENT_EXIT_OK;
}


int
mesh_agent_status(int argc, char **argv)
{
    int                   installed, alive;
    char                  program[PATH_MAX], data[PATH_MAX], when[32];
    struct tm            *tm;
    const char           *found;
    mesh_agent_state_t    st;
    mesh_agent_options_t  o;

    if (mesh_agent_options(&o, "status", argc, argv, "data root") != 0) {
        return MESH_AGENT_EXIT_USAGE;
    }

    if (mesh_agent_path(program, o.root, MESH_AGENT_PROGRAM) != 0) {
        return MESH_AGENT_EXIT_FAILED;
    }

    installed = access(program, F_OK) == 0;
    printf("installed  %s\n", installed ? program : "no");

    errno = 0;
    found = mesh_agent_state_find(&o, data, &st);

    if (found == NULL) {

        if (errno == EACCES) {
            return mesh_agent_fail("only root may read \"%s/state\": try again "
                                   "with sudo", data);
        }

        printf("running    no\n");

        if (!installed) {
            return MESH_AGENT_EXIT_ABSENT;
        }

        mesh_agent_fail("the agent does not run: there is no \"%s/state\", "
                        "which it keeps while it does", data);
        return MESH_AGENT_EXIT_FAILED;
    }

    alive = mesh_agent_state_alive(&st);

    if (alive && st.pid) {
        printf("running    yes, pid %ld\n", (long) st.pid);
    } else {
        printf("running    %s\n", alive ? "yes" : "no");
    }

    printf("data       %s\n", found);
    printf("server     %s\n", st.server[0] ? st.server : "not known");
    printf("node       %s\n", st.node[0] ? st.node : "not known");

    when[0] = '\0';
    tm = alive && st.since ? localtime(&st.since) : NULL;

    if (tm) {
        strftime(when, sizeof(when), ", since %Y-%m-%d %H:%M:%S", tm);
    }

    printf("online     %s%s\n", alive && st.connected ? "yes" : "no", when);

    return alive && st.connected ? MESH_AGENT_EXIT_OK
                                 : MESH_AGENT_EXIT_FAILED;
}


/* allowed: names of options, with spaces between them */
static int
mesh_agent_options(mesh_agent_options_t *o, const char *command, int argc,
    char **argv, const char *allowed)
{
    int          i;
    size_t       n;
    const char  *eq;

    memset(o, 0, sizeof(mesh_agent_options_t));
    o->root = "";

    for (i = 0; i < argc; i++) {
        eq = strncmp(argv[i], "--", 2) == 0 ? strchr(argv[i], '=') : NULL;
        n = eq ? (size_t) (eq - argv[i]) - 2 : 0;

        if (eq == NULL || eq[1] == '\0') {
            goto failed;
        }

        if (n == 4 && strncmp(argv[i] + 2, "root", 4) == 0
            && strstr(allowed, "root"))
        {
            o->root = eq + 1;

            if (o->root[0] != '/') {
                mesh_agent_fail("--root=%s is not a path from \"/\" on",
                                o->root);
                return -1;
            }

        } else if (n == 6 && strncmp(argv[i] + 2, "policy", 6) == 0
                   && strstr(allowed, "policy"))
        {
            o->policy = eq + 1;

        } else if (n == 4 && strncmp(argv[i] + 2, "data", 4) == 0
                   && strstr(allowed, "data"))
        {
            o->data = eq + 1;

        } else {
            goto failed;
        }
    }

    return 0;

failed:

    fprintf(stderr, "mesh-agent: \"%s\" does not take \"%s\"; it takes",
            command, argv[i]);

    for (eq = allowed; *eq; eq += n) {
        n = strcspn(eq, " ");
        fprintf(stderr, " --%.*s=%s", (int) n, eq,
                *eq == 'p' ? "FILE" : "DIR");
        n += strspn(eq + n, " ");
    }

    fputc('\n', stderr);

    return -1;
}


/* is the program one of a Debian package?  Then only apt may change it. */
static int
mesh_agent_packaged(const mesh_agent_options_t *o)
{
    char  path[PATH_MAX];

    return mesh_agent_path(path, o->root, MESH_AGENT_PACKAGED) == 0
           && access(path, F_OK) == 0;
}


/* 0 with *text NULL: none was named, and there is none beside the program */
static int
mesh_agent_policy_read(const mesh_agent_options_t *o, const char *exe,
    char **text, size_t *len, char *server)
{
    char         beside[PATH_MAX];
    const char  *path;

    path = o->policy;

    if (path == NULL) {

        if (mesh_agent_path(beside, exe, ".msh") != 0) {
            return -1;
        }

        if (access(beside, F_OK) != 0 && errno == ENOENT) {
            return 0;
        }

        path = beside;
    }

    *text = mesh_agent_file_read(path, MESH_AGENT_POLICY_MAX, len);

    if (*text == NULL) {
        return -1;
    }

    return mesh_agent_policy_check(path, *text, *len, server);
}


/* what a browser saved under that name may be anything; agent.md 1.1 */
static int
mesh_agent_policy_check(const char *path, const char *text, size_t len,
    char *server)
{
    char  value[MESH_AGENT_VALUE];

    if (mesh_agent_value(text, len, "MeshServer", server, MESH_AGENT_VALUE)
        == 0
        && mesh_agent_value(text, len, "MeshID", value, sizeof(value)) == 0
        && strncmp(value, "0x", 2) == 0 && mesh_agent_is_hex(value + 2)
        && mesh_agent_value(text, len, "ServerID", value, sizeof(value)) == 0
        && mesh_agent_is_hex(value))
    {
        return 0;
    }

    mesh_agent_fail("\"%s\" is not a policy: it lacks MeshID, ServerID or "
                    "MeshServer; download it again from the server's page",
                    path);
    return -1;
}


/* or several, with commas between them */
static int
mesh_agent_is_hex(const char *s)
{
    size_t  n;

    for (n = 0; s[n]; n++) {
        if (!isxdigit((unsigned char) s[n]) && s[n] != ',') {
            return 0;
        }
    }

    return n >= 64;
}


static int
mesh_agent_service_start(const char *server)
{
    time_t  now;

    now = time(NULL);

    if (mesh_agent_systemctl(0, "daemon-reload", NULL, NULL) != 0
        || mesh_agent_systemctl(1, "enable", NULL, MESH_AGENT_SERVICE) != 0
        || mesh_agent_systemctl(0, "restart", NULL, MESH_AGENT_SERVICE) != 0)
    {
        return mesh_agent_fail("the files are in place, but systemd did not "
                               "start the service: systemctl status %s tells "
                               "why", MESH_AGENT_SERVICE);
    }

    printf("It runs as the service %s, and calls %s.\n", MESH_AGENT_SERVICE,
           server);
    fflush(stdout);

    if (mesh_agent_online(MESH_AGENT_INSTALL_DATA, now)) {
        printf("It is online.\n");

    } else {
        printf("It is not online yet: journalctl -u %s tells why.\n",
               MESH_AGENT_SERVICE);
    }

    return MESH_AGENT_EXIT_OK;
}


/* soon? since: what was written before is of another run */
static int
mesh_agent_online(const char *data, time_t since)
{
    int                 i;
    mesh_agent_state_t  st;

    for (i = 0; i < MESH_AGENT_WAIT * 1000 / MESH_AGENT_LOOK; i++) {

        if (mesh_agent_state_read(data, &st) == 0 && st.connected
            && st.written >= since)
        {
            return 1;
        }

        mesh_agent_sleep();
    }

    return 0;
}


/* -1: there is none, or not for us; errno tells */
static int
mesh_agent_state_read(const char *data, mesh_agent_state_t *st)
{
    int          fd;
    char         path[PATH_MAX], text[MESH_AGENT_STATE_MAX];
    char         value[MESH_AGENT_VALUE];
    ssize_t      n;
    struct stat  sb;

    memset(st, 0, sizeof(mesh_agent_state_t));

    if (mesh_agent_path(path, data, "/state") != 0) {
        errno = ENAMETOOLONG;
        return -1;
    }

    fd = open(path, O_RDONLY|O_CLOEXEC|O_NONBLOCK);
    if (fd == -1) {
        return -1;
    }

    n = read(fd, text, sizeof(text));

    if (n == -1 || fstat(fd, &sb) == -1) {
        (void) close(fd);
        return -1;
    }

    (void) close(fd);

    st->written = sb.st_mtime;
    (void) mesh_agent_value(text, n, "node", st->node, sizeof(st->node));
    (void) mesh_agent_value(text, n, "server", st->server,
                            sizeof(st->server));

    if (mesh_agent_value(text, n, "connected", value, sizeof(value)) == 0) {
        st->connected = strcmp(value, "1") == 0;
    }

    if (mesh_agent_value(text, n, "since", value, sizeof(value)) == 0) {
        st->since = (time_t) strtoll(value, NULL, 10);
    }

    if (mesh_agent_value(text, n, "pid", value, sizeof(value)) == 0) {
        st->pid = (pid_t) strtol(value, NULL, 10);
    }

    return 0;
}


/* an agent that was killed, or lost its power, could not say so */
static int
mesh_agent_state_alive(const mesh_agent_state_t *st)
{
    char       *text;
    size_t      len;
    const char *p;

    if (st->pid <= 0) {
        return 1;
    }

    if (kill(st->pid, 0) == -1 && errno == ESRCH) {
        return 0;
    }

    /* the number may have been given anew, since the machine started */

    text = mesh_agent_file_read("/proc/stat", 16 * 1024 * 1024, &len);
    p = text ? strstr(text, "\nbtime ") : NULL;

    if (p && st->written < (time_t) strtoll(p + 7, NULL, 10)) {
        free(text);
        return 0;
    }

    free(text);

    return 1;
}


/*
 * Where --data says, or the first folder with a state: the service's, the
 * program's own, the user's.  Returns data; NULL: none, errno tells.
 */
static const char *
mesh_agent_state_find(const mesh_agent_options_t *o, char *data,
    mesh_agent_state_t *st)
{
    int          error;
    char         path[PATH_MAX];
    const char  *home;

    if (mesh_agent_path(data, o->data ? "" : o->root,
                        o->data ? o->data : MESH_AGENT_INSTALL_DATA) != 0)
    {
        errno = ENAMETOOLONG;
        return NULL;
    }

    if (mesh_agent_state_read(data, st) == 0) {
        return data;
    }

    if (o->data || o->root[0]) {
        return NULL;
    }

    error = errno;

    if (mesh_agent_exe(path) == 0) {
        *strrchr(path, '/') = '\0';

        if (mesh_agent_state_read(path, st) == 0) {
            (void) mesh_agent_path(data, path, "");
            return data;
        }
    }

    home = getenv("HOME");

    if (home
        && mesh_agent_path(path, home, "/.local/share/mesh-agent") == 0
        && mesh_agent_state_read(path, st) == 0)
    {
        (void) mesh_agent_path(data, path, "");
        return data;
    }

    errno = error;

    return NULL;
}


/*
 * The value of the first line "key=value", without spaces around it.  -1:
 * there is none, it is empty, or has more than size - 1 bytes.
 */
static int
mesh_agent_value(const char *text, size_t len, const char *key, char *value,
    size_t size)
{
    size_t       n;
    const char  *p, *end, *last;

    last = text + len;
    n = strlen(key);

    for (p = text; p < last; p = end + 1) {

        end = memchr(p, '\n', last - p);
        if (end == NULL) {
            end = last;
        }

        while (p < end && *p == ' ') {
            p++;
        }

        if ((size_t) (end - p) <= n || memcmp(p, key, n) != 0 || p[n] != '=') {
            continue;
        }

        p += n + 1;
        n = end - p;

        while (n && (p[n - 1] == ' ' || p[n - 1] == '\r')) {
            n--;
        }

        if (n == 0 || n >= size || memchr(p, '\0', n)) {
            return -1;
        }

        memcpy(value, p, n);
        value[n] = '\0';

        return 0;
    }

    return -1;
}


/* those that run the program, started by whomever; not this process */
static int
mesh_agent_programs_stop(const char *program)
{
    int   i;
    char  ns[PATH_MAX];

    if (mesh_agent_proc_link("self", "ns/mnt", ns) != 0) {
        ns[0] = '\0';
    }

    for (i = 0; i < MESH_AGENT_WAIT * 1000 / MESH_AGENT_LOOK; i++) {

        if (mesh_agent_programs_signal(program, ns, i ? 0 : SIGTERM) == 0) {
            return 0;
        }

        mesh_agent_sleep();
    }

    if (mesh_agent_programs_signal(program, ns, SIGKILL) != 0) {
        mesh_agent_sleep();

        if (mesh_agent_programs_signal(program, ns, 0) != 0) {
            mesh_agent_fail("the agent that runs cannot be ended; nothing "
                            "was removed");
            return -1;
        }
    }

    return 0;
}


/* how many there are; ns: a container's agent has the same path, is not it */
static int
mesh_agent_programs_signal(const char *program, const char *ns, int signo)
{
    int             n, fd;
    DIR            *proc;
    char            path[PATH_MAX], link[PATH_MAX], line[PATH_MAX + 8];
    size_t          len;
    ssize_t         got;
    struct dirent  *de;

    proc = opendir("/proc");
    if (proc == NULL) {
        return 0;
    }

    n = 0;

    while ((de = readdir(proc)) != NULL) {

        if (!isdigit((unsigned char) de->d_name[0])
            || strtol(de->d_name, NULL, 10) == (long) getpid()
            || mesh_agent_proc_link(de->d_name, "exe", link) != 0)
        {
            continue;
        }

        /* one that was upgraded since */
        len = strlen(program);

        if (strncmp(link, program, len) != 0
            || (link[len] && strcmp(link + len, " (deleted)") != 0))
        {
            continue;
        }

        if (mesh_agent_proc_link(de->d_name, "ns/mnt", link) != 0
            || strcmp(link, ns) != 0)
        {
            continue;
        }

        snprintf(path, sizeof(path), "/proc/%.32s/cmdline", de->d_name);
        fd = open(path, O_RDONLY|O_CLOEXEC);

        if (fd == -1) {
            continue;
        }

        got = read(fd, line, sizeof(line) - 1);
        (void) close(fd);

        if (got <= 0) {
            continue;
        }

        line[got] = '\0';
        len = strlen(line) + 1;

        /* another command of it is no agent */
        if (len >= (size_t) got || strcmp(line + len, "run") == 0
            || strncmp(line + len, "--", 2) == 0)
        {
            n++;

            if (signo) {
                (void) kill((pid_t) strtol(de->d_name, NULL, 10), signo);
            }
        }
    }

    (void) closedir(proc);

    return n;
}


static int
mesh_agent_proc_link(const char *pid, const char *name, char *to)
{
    char     path[PATH_MAX];
    ssize_t  n;

    snprintf(path, sizeof(path), "/proc/%.32s/%s", pid, name);
    n = readlink(path, to, PATH_MAX - 1);

    if (n == -1) {
        return -1;
    }

    to[n] = '\0';

    return 0;
}


/* is it what runs this machine? */
static int
mesh_agent_systemd(void)
{
    return access("/run/systemd/system", F_OK) == 0
           && mesh_agent_systemctl(1, "--version", NULL, NULL) == 0;
}


/* its exit status, or -1; option and unit may be NULL */
static int
mesh_agent_systemctl(int quiet, const char *verb, const char *option,
    const char *unit)
{
    int          fd, n, status;
    pid_t        pid;
    const char  *argv[6];

    n = 0;
    argv[n++] = "systemctl";
    argv[n++] = verb;

    if (option) {
        argv[n++] = option;
    }

    if (unit) {
        argv[n++] = unit;
    }

    argv[n] = NULL;

    fflush(NULL);
    pid = fork();

    if (pid == -1) {
        return -1;
    }

    if (pid == 0) {
        fd = quiet ? open("/dev/null", O_RDWR) : -1;

        if (fd != -1) {
            (void) dup2(fd, STDOUT_FILENO);
            (void) dup2(fd, STDERR_FILENO);
        }

        execvp(argv[0], (char **) argv);
        _exit(127);
    }

    while (waitpid(pid, &status, 0) == -1) {
        if (errno != EINTR) {
            return -1;
        }
    }

    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}


static int
mesh_agent_path(char *path, const char *root, const char *rest)
{
    if ((size_t) snprintf(path, PATH_MAX, "%s%s", root, rest) >= PATH_MAX) {
        mesh_agent_fail("the path \"%s%s\" is too long", root, rest);
        return -1;
    }

    return 0;
}


static int
mesh_agent_exe(char *path)
{
    if (mesh_agent_proc_link("self", "exe", path) != 0) {
        mesh_agent_fail("cannot find this program in /proc: %s",
                        strerror(errno));
        return -1;
    }

    return 0;
}


static int
mesh_agent_same(const char *one, const char *two)
{
    struct stat  a, b;

    return stat(one, &a) == 0 && stat(two, &b) == 0
           && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}


/* the caller frees it; a zero byte follows; NULL: not possible, as was said */
static char *
mesh_agent_file_read(const char *path, size_t max, size_t *len)
{
    int      fd;
    char    *buf, *p;
    size_t   size, n;
    ssize_t  got;

    fd = open(path, O_RDONLY|O_CLOEXEC|O_NOCTTY);
    if (fd == -1) {
        mesh_agent_fail("cannot open \"%s\": %s", path, strerror(errno));
        return NULL;
    }

    buf = NULL;
    size = 0;
    n = 0;

    for ( ;; ) {

        if (size - n < 2) {
            size = size ? size * 2 : 65536;
            p = realloc(buf, size);

            if (p == NULL) {
                mesh_agent_fail("there is no memory for \"%s\"", path);
                goto failed;
            }

            buf = p;
        }

        got = read(fd, buf + n, size - n - 1);

        if (got == 0) {
            break;
        }

        if (got == -1) {
            mesh_agent_fail("cannot read \"%s\": %s", path, strerror(errno));
            goto failed;
        }

        n += got;

        if (n > max) {
            mesh_agent_fail("\"%s\" has more than %lu bytes, and is not what "
                            "it should be", path, (unsigned long) max);
            goto failed;
        }
    }

    (void) close(fd);
    buf[n] = '\0';
    *len = n;

    return buf;

failed:

    (void) close(fd);
    free(buf);

    return NULL;
}


/* a new file takes the place of the old one, which may be running */
static int
mesh_agent_file_write(const char *path, const void *data, size_t len,
    mode_t mode)
{
    int          fd;
    char         temp[PATH_MAX];
    ssize_t      n;
    const char  *p;

    if (mesh_agent_path(temp, path, ".new") != 0) {
        return -1;
    }

    (void) unlink(temp);
    fd = open(temp, O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0600);

    if (fd == -1) {
        mesh_agent_fail("cannot make \"%s\": %s", temp, strerror(errno));
        return -1;
    }

    for (p = data; len; p += n, len -= n) {
        n = write(fd, p, len);

        if (n == -1) {
            goto failed;
        }
    }

    if (fchmod(fd, mode) == -1 || fsync(fd) == -1) {
        goto failed;
    }

    if (close(fd) == -1) {
        fd = -1;
        goto failed;
    }

    fd = -1;

    if (rename(temp, path) == 0) {
        return 0;
    }

failed:

    mesh_agent_fail("cannot write \"%s\": %s", path, strerror(errno));

    if (fd != -1) {
        (void) close(fd);
    }

    (void) unlink(temp);

    return -1;
}


/* with those above it; mode is the last one's */
static int
mesh_agent_dirs(const char *path, mode_t mode)
{
    char  part[PATH_MAX], *p;

    snprintf(part, sizeof(part), "%s", path);

    for (p = strchr(part + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';

        if (mkdir(part, 0755) == -1 && errno != EEXIST) {
            goto failed;
        }

        *p = '/';
    }

    if (mkdir(part, mode) == 0) {
        /* whatever the umask is */
        return chmod(part, mode);
    }

    if (errno == EEXIST) {
        return 0;
    }

failed:

    mesh_agent_fail("cannot make the folder \"%s\": %s", part,
                    strerror(errno));
    return -1;
}


/* 0: gone; 1: there was nothing; -1: not possible, as was said */
static int
mesh_agent_remove(const char *path)
{
    struct stat  st;

    if (lstat(path, &st) == -1 && errno == ENOENT) {
        return 1;
    }

    if (nftw(path, mesh_agent_remove_each, 16, FTW_DEPTH|FTW_PHYS) == 0) {
        return 0;
    }

    mesh_agent_fail("cannot remove \"%s\": %s", path, strerror(errno));

    return -1;
}


static int
mesh_agent_remove_each(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
    (void) st;
    (void) type;
    (void) ftw;

    return remove(path);
}


static void
mesh_agent_sleep(void)
{
    struct timespec  ts;

    ts.tv_sec = 0;
    ts.tv_nsec = MESH_AGENT_LOOK * 1000000L;

    (void) nanosleep(&ts, NULL);
}


static int
mesh_agent_fail(const char *fmt, ...)
{
    va_list  args;

    fflush(stdout);
    fputs("mesh-agent: ", stderr);

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);

    fputc('\n', stderr);

    return MESH_AGENT_EXIT_FAILED;
}

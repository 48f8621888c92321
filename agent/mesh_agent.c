/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* mesh-agent: its commands, and the life of `run`. */

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mesh_agent.h"
#include "mesh_agent_channel.h"
#include "mesh_agent_conf.h"
#include "mesh_agent_core.h"
#include "mesh_agent_id.h"
#include "mesh_agent_install.h"
#include "mesh_agent_rtc.h"
#include "mesh_agent_js.h"
#include "mesh_agent_state.h"
#include "mesh_agent_store.h"
#include "mesh_agent_update.h"
#include "mesh_agent_version.h"
#include "os/mesh_agent_desktop.h"
#include "mesh_agent_watch.h"
#include "os/mesh_agent_host.h"


#define MESH_AGENT_GOODBYE  2000          /* ms, for the server's close */
#define MESH_AGENT_GRACE    20            /* s, after a script's own time */


typedef struct {
    const char  *name;
    int        (*run)(int argc, char **argv);
    const char  *text;                    /* NULL: not for people */
} mesh_agent_command_t;


static int mesh_agent_run(int argc, char **argv);
static int mesh_agent_start(mesh_agent_t *a);
static void mesh_agent_signal(uv_signal_t *sig, int signum);
static void mesh_agent_stop(void *data);
static void mesh_agent_stop_handler(uv_async_t *stop);
static void mesh_agent_quit(uv_timer_t *timer);
static void mesh_agent_goodbye(uv_timer_t *timer);
static int mesh_agent_version(int argc, char **argv);
static int mesh_agent_help(int argc, char **argv);


static const mesh_agent_command_t  mesh_agent_commands[] = {
    { "run",       mesh_agent_run,       "in the foreground: [--policy=FILE] "
                                         "[--data=DIR] [--log=LEVEL] "
                                         "[--KEY=VALUE]..." },
    { "install",   mesh_agent_install,   "as a service: [--policy=FILE]" },
    { "uninstall", mesh_agent_uninstall, "the service, its key and its data" },
    { "status",    mesh_agent_status,    "is it there, and connected?" },
    { "desktop",   mesh_agent_os_desktop, NULL },
    { "version",   mesh_agent_version,   "" },
    { "help",      mesh_agent_help,      "" },
    { NULL, NULL, NULL }
};

static const char *const  mesh_agent_levels[] = {
    "emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", NULL
};

int  mesh_agent_log_level = MESH_AGENT_LOG_NOTICE;


int
main(int argc, char **argv)
{
    const mesh_agent_command_t  *c;

    mesh_agent_os_start();

    if (argc < 2 || strncmp(argv[1], "--", 2) == 0) {
        return mesh_agent_os_run(mesh_agent_run, argc - 1, argv + 1);
    }

    for (c = mesh_agent_commands; c->name; c++) {
        if (strcmp(c->name, argv[1]) == 0) {
            return c->run == mesh_agent_run
                   ? mesh_agent_os_run(c->run, argc - 2, argv + 2)
                   : c->run(argc - 2, argv + 2);
        }
    }

    (void) fprintf(stderr, "mesh-agent: there is no command \"%s\"\n\n",
                   argv[1]);
    (void) mesh_agent_help(0, NULL);

    return 2;
}


static int
mesh_agent_help(int argc, char **argv)
{
    const mesh_agent_command_t  *c;

    for (c = mesh_agent_commands; c->name; c++) {
        if (c->text != NULL) {
            (void) fprintf(stderr, "  mesh-agent %-10s %s\n", c->name,
                           c->text);
        }
    }

    return 0;
}


static int
mesh_agent_version(int argc, char **argv)
{
    (void) printf("mesh-agent %s\n", MESH_AGENT_VERSION_TEXT);

    return 0;
}


static int
mesh_agent_run(int argc, char **argv)
{
    int            i, rc;
    char          *exe;
    const char    *level;
    uv_loop_t      loop;
    uv_timer_t     timer;
    uv_async_t     stop;
    uv_signal_t    sig[2];
    mesh_agent_t   a;

    exe = mesh_agent_os_exe();
    rc = exe ? mesh_agent_update_start(exe) : MESH_OK;

    if (rc != MESH_OK) {
        mesh_agent_os_again(exe, argc, argv);
    }

    free(exe);

    if (rc != MESH_OK) {
        return 1;
    }

    memset(&a, 0, sizeof(a));
    a.conf = mesh_agent_conf_load(argc, argv);

    if (a.conf == NULL) {
        return 1;
    }

    level = mesh_agent_conf_get(a.conf, "log");

    for (i = 0; level && mesh_agent_levels[i]; i++) {
        if (strcmp(mesh_agent_levels[i], level) == 0) {
            mesh_agent_log_level = i;
        }
    }

    (void) uv_loop_init(&loop);
    a.loop = &loop;

    rc = mesh_agent_start(&a);

    if (rc == MESH_OK) {
        (void) uv_timer_init(&loop, &timer);
        timer.data = &a;
        (void) uv_async_init(&loop, &stop, mesh_agent_stop_handler);
        stop.data = &timer;
        a.stop = &stop;
        mesh_agent_os_on_stop(mesh_agent_stop, &stop);

        for (i = 0; i < 2; i++) {
            (void) uv_signal_init(&loop, &sig[i]);
            sig[i].data = &timer;
            (void) uv_signal_start(&sig[i], mesh_agent_signal,
                                   i ? SIGINT : SIGTERM);
        }

        (void) uv_run(&loop, UV_RUN_DEFAULT);       /* until goodbye() */

        for (i = 0; i < 2; i++) {
            uv_close((uv_handle_t *) &sig[i], NULL);
        }

        mesh_agent_os_on_stop(NULL, NULL);
        uv_close((uv_handle_t *) &stop, NULL);
        uv_close((uv_handle_t *) &timer, NULL);
        mesh_agent_core_free(a.core);
        mesh_agent_rtc_free(&a);

        if (a.watch) {
            mesh_agent_watch_free(a.watch);
        }

        mesh_agent_channel_free(a.channel);
        mesh_agent_update_free(a.update);
        mesh_agent_state_remove(&a);
        (void) uv_run(&loop, UV_RUN_DEFAULT);       /* closes what is open */
    }

    (void) uv_loop_close(&loop);

    if (a.id) {
        mesh_agent_id_free(a.id);
    }

    if (a.store) {
        mesh_agent_store_close(a.store);
    }

    if (a.restarting) {
        mesh_agent_os_again(a.conf->exe, argc, argv);
        rc = MESH_ERROR;
    }

    mesh_agent_conf_free(a.conf);

    return rc == MESH_OK ? 0 : 1;
}


static int
mesh_agent_start(mesh_agent_t *a)
{
    long   seconds;
    char  *path;

    path = mesh_agent_join(a->conf->data, "/agent.db");
    a->store = mesh_agent_store_open(path);
    free(path);

    if (a->store == NULL) {
        return MESH_ERROR;
    }

    a->id = mesh_agent_id_create(a->store, (int) mesh_agent_conf_number(a->conf,
                                               "tpm", 0, 1, 0));

    if (a->id == NULL) {
        return MESH_ERROR;
    }

    a->update = mesh_agent_update_create(a);
    a->core = mesh_agent_core_create(a);

    seconds = mesh_agent_conf_number(a->conf, "scriptTimeout", 1, 600,
                                     MESH_AGENT_JS_SECONDS)
              + mesh_agent_conf_number(a->conf, "scriptGrace", 1, 600,
                                       MESH_AGENT_GRACE);
    path = mesh_agent_join(a->conf->data, MESH_AGENT_CORE_HUNG);
    a->watch = mesh_agent_watch_create(path, (unsigned) seconds);
    free(path);

    a->channel = mesh_agent_channel_create(a);

    return MESH_OK;
}


static void
mesh_agent_signal(uv_signal_t *sig, int signum)
{
    mesh_agent_quit(sig->data);
}


/* from any thread */
static void
mesh_agent_stop(void *data)
{
    (void) uv_async_send(data);
}


static void
mesh_agent_stop_handler(uv_async_t *stop)
{
    mesh_agent_quit(stop->data);
}


/* the second time it does not wait */
static void
mesh_agent_quit(uv_timer_t *timer)
{
    mesh_agent_t  *a;

    a = timer->data;

    if (a->quitting) {
        uv_stop(a->loop);
        return;
    }

    a->quitting = 1;
    mesh_agent_channel_quit(a->channel);
    (void) uv_timer_start(timer, mesh_agent_goodbye,
                          mesh_agent_channel_connected(a->channel)
                          ? MESH_AGENT_GOODBYE : 0, 0);
}


void
mesh_agent_restart(mesh_agent_t *a)
{
    a->restarting = 1;
    mesh_agent_stop(a->stop);
}


static void
mesh_agent_goodbye(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}


void
mesh_agent_log(int level, const char *fmt, ...)
{
    char       line[1024], when[32];
    time_t     now;
    va_list    args;
    struct tm  tm;

    if (level > mesh_agent_log_level) {
        return;
    }

    va_start(args, fmt);
    (void) vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);

    now = time(NULL);
    (void) localtime_r(&now, &tm);
    (void) strftime(when, sizeof(when), "%Y/%m/%d %H:%M:%S", &tm);

    (void) fprintf(stderr, "%s [%s] %s\n", when, mesh_agent_levels[level],
                   line);
}


void *
mesh_agent_alloc(size_t size)
{
    void  *p;

    p = calloc(1, size);

    if (p == NULL) {
        (void) fprintf(stderr, "mesh-agent: no memory\n");
        abort();
    }

    return p;
}


void *
mesh_agent_realloc(void *p, size_t size)
{
    p = realloc(p, size);

    if (p == NULL) {
        (void) fprintf(stderr, "mesh-agent: no memory\n");
        abort();
    }

    return p;
}


char *
mesh_agent_strdup(const char *s)
{
    char    *copy;
    size_t   len;

    len = strlen(s) + 1;
    copy = mesh_agent_alloc(len);
    memcpy(copy, s, len);

    return copy;
}


char *
mesh_agent_join(const char *a, const char *b)
{
    char    *joined;
    size_t   len;

    len = strlen(a) + strlen(b) + 1;
    joined = mesh_agent_alloc(len);
    (void) snprintf(joined, len, "%s%s", a, b);

    return joined;
}

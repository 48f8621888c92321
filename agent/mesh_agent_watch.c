/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mesh_agent_js.h"
#include "mesh_agent_watch.h"


#define MESH_AGENT_WATCH_SECONDS  2       /* between two looks */
#define MESH_AGENT_WATCH_BUSY     200     /* ms of the processor in between */
#define MESH_AGENT_WATCH_STACK    65536


struct mesh_agent_watch_s {
    uv_thread_t  thread;
    uv_mutex_t   mutex;
    uv_cond_t    cond;                    /* ending */
    char        *path;
    unsigned     seconds;
    int          ending;
};


static void mesh_agent_watch_thread(void *data);
static uint64_t mesh_agent_watch_used(void);
static void mesh_agent_watch_expired(mesh_agent_watch_t *w);


mesh_agent_watch_t *
mesh_agent_watch_create(const char *path, unsigned seconds)
{
    uv_thread_options_t  options;
    mesh_agent_watch_t  *w;

    w = mesh_agent_alloc(sizeof(mesh_agent_watch_t));
    w->path = mesh_agent_strdup(path);
    w->seconds = seconds;

    options.flags = UV_THREAD_HAS_STACK_SIZE;
    options.stack_size = MESH_AGENT_WATCH_STACK;

    if (uv_mutex_init(&w->mutex) != 0 || uv_cond_init(&w->cond) != 0
        || uv_thread_create_ex(&w->thread, &options, mesh_agent_watch_thread,
                               w)
           != 0)
    {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "no thread that watches scripts");
        free(w->path);
        free(w);
        return NULL;
    }

    return w;
}


void
mesh_agent_watch_free(mesh_agent_watch_t *w)
{
    uv_mutex_lock(&w->mutex);
    w->ending = 1;
    uv_cond_signal(&w->cond);
    uv_mutex_unlock(&w->mutex);

    (void) uv_thread_join(&w->thread);
    uv_cond_destroy(&w->cond);
    uv_mutex_destroy(&w->mutex);
    free(w->path);
    free(w);
}


/*
 * Its own looks are what it counts, and not the time: a process that was
 * stopped, or a machine that slept, is not a script that hangs.  Nor is one
 * that waits for a disk: the processor has nothing to do then.
 */
static void
mesh_agent_watch_thread(void *data)
{
    mesh_agent_watch_t *w = data;

    unsigned  now, last, looks;
    uint64_t  used, before;

    last = 0;
    looks = 0;
    before = UINT64_MAX;

    uv_mutex_lock(&w->mutex);

    while (!w->ending) {
        (void) uv_cond_timedwait(&w->cond, &w->mutex,
                                 MESH_AGENT_WATCH_SECONDS * 1000000000ull);

        now = __atomic_load_n(&mesh_agent_js_calls, __ATOMIC_RELAXED);

        if (now % 2 == 0 || now != last) {
            last = now;
            looks = 0;
            before = UINT64_MAX;
            continue;
        }

        used = mesh_agent_watch_used();

        if (before != UINT64_MAX && used - before >= MESH_AGENT_WATCH_BUSY
            && ++looks * MESH_AGENT_WATCH_SECONDS > w->seconds && !w->ending)
        {
            mesh_agent_watch_expired(w);
        }

        before = used;
    }

    uv_mutex_unlock(&w->mutex);
}


/* ms that the program itself has computed */
static uint64_t
mesh_agent_watch_used(void)
{
    uv_rusage_t  usage;

    if (uv_getrusage(&usage) != 0) {
        return 0;
    }

    return (uint64_t) usage.ru_utime.tv_sec * 1000
           + (uint64_t) usage.ru_utime.tv_usec / 1000;
}


/* nothing here waits for what the other thread may hold */
static void
mesh_agent_watch_expired(mesh_agent_watch_t *w)
{
    uv_fs_t  req;
    uv_file  fd;

    static const char  text[] = "mesh-agent: a script hangs inside of the "
                                "engine, the agent ends\n";

    fd = uv_fs_open(NULL, &req, w->path, UV_FS_O_CREAT|UV_FS_O_WRONLY, 0600,
                    NULL);
    uv_fs_req_cleanup(&req);

    if (fd >= 0) {
        (void) uv_fs_close(NULL, &req, fd, NULL);
        uv_fs_req_cleanup(&req);
    }

    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
        /* it ends all the same */
    }

    _exit(1);
}

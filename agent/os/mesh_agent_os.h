/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What the agent wants of a platform beyond libuv.  One .c file for each; no
 * other file asks which it is.
 */

#ifndef MESH_AGENT_OS_H_INCLUDED
#define MESH_AGENT_OS_H_INCLUDED


#include <stddef.h>
#include "../mesh_agent.h"


/* types of a child: agent.md 7.6 */
#define MESH_AGENT_OS_DEFAULT   0
#define MESH_AGENT_OS_USER      1
#define MESH_AGENT_OS_TERM      3
#define MESH_AGENT_OS_DETACHED  4


typedef struct {
    const char   *path;
    char        **argv;                   /* NULL at the end */
    char        **env;                    /* the same; NULL: our own */
    long          uid;                    /* -1: our own */
    int           type;
    int           rows;                   /* of a terminal; 0: 25 by 80 */
    int           cols;
} mesh_agent_os_spawn_t;

/*
 * Descriptors that do not block and are not inherited; -1: none.  A terminal
 * has no err; where it has one pipe, out is in.
 */
typedef struct {
    int           pid;
    int           in;
    int           out;
    int           err;
} mesh_agent_os_child_t;

/* a handle of the loop; fn is called when a child may have ended */
typedef struct {
    union {
        uv_handle_t    any;
        uv_signal_t    signal;
        uv_async_t     async;
    } handle;
    void             (*fn)(void *data);
    void              *data;
} mesh_agent_os_exit_t;


/* bytes that malloc() has given for p */
size_t mesh_agent_os_alloc_size(void *p);

/* "x64"; the number is the agent id of agent.md 2 */
const char *mesh_agent_os_arch(void);
int mesh_agent_os_arch_id(void);
const char *mesh_agent_os_platform(void);

/* did the system's service manager start us? */
int mesh_agent_os_is_service(void);

/* how many pipes a child of that type has: in, out, err */
int mesh_agent_os_streams(int type);

/*
 * Sets up the handle, beside fn and data, which the caller has set; it closes
 * the handle when the child has been reaped.  Returns 0, or an error of libuv.
 */
int mesh_agent_os_exit_init(uv_loop_t *loop, mesh_agent_os_exit_t *e);
/*
 * Starts a program.  Where programs are started by fork() a path that cannot
 * be run is a child that ends with 127.  Returns 0, or an error of libuv.
 */
int mesh_agent_os_spawn(const mesh_agent_os_spawn_t *spawn,
    mesh_agent_os_child_t *child, mesh_agent_os_exit_t *e);
/*
 *   MESH_OK     it has ended, *code or *sig is set, the other is 0
 *   MESH_AGAIN  it runs
 *   MESH_ERROR  no child of ours
 */
int mesh_agent_os_reap(int pid, int *code, int *sig);
/* Return 0, or an error of libuv. */
int mesh_agent_os_kill(int pid, int sig);
int mesh_agent_os_tty_size(int pid, int fd, int rows, int cols);
/*
 * What uv_fileno() gives for a pipe, as a number.  Waits until one of n can be
 * read; those that are -1 are skipped.
 */
void mesh_agent_os_wait(const int *fds, int n, int timeout_ms);
/*
 * Returns bytes, 0 at the end, or an error of libuv; the end of a terminal is
 * one too.
 */
long mesh_agent_os_read(int fd, void *buf, size_t len);

/*
 * Power states of agent.md 7.3: 2 off, 3 reset, 4 sleep, 5 hibernate.
 * Returns 1, or 0 when the system does not do it.
 */
int mesh_agent_os_power(int state, int force);

/*
 * A symbol of a part of the agent, the image of a library, which is loaded for
 * ever.  NULL: it cannot be, most often as a library that it needs is not here;
 * why is a text then.
 */
void *mesh_agent_os_module(const uint8_t *image, size_t len,
    const char *symbol, char *why, size_t size);

/*
 * Facts that only calls of the platform give: JSON, which the caller frees,
 * or NULL: none of that name.  For the scripts of this platform, which know
 * the names; where files have the facts there are none.
 */
char *mesh_agent_os_query(const char *name, const char *argument);


#endif /* MESH_AGENT_OS_H_INCLUDED */

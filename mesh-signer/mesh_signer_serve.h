/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What the files of the daemon share.  The main thread owns sockets and
 * connections (mesh_signer_conn.c), the others only sign
 * (mesh_signer_thread.c).  Between them, under one mutex: each connection's queue, the ring of
 * connections that have one, and the list of finished jobs.
 *
 * A job is in exactly one place: the free list, a connection's queue, a thread,
 * the finished list, a connection's out list.  All jobs are there from the
 * start; who has none left stops reading.
 */

#ifndef MESH_SIGNER_SERVE_H_INCLUDED
#define MESH_SIGNER_SERVE_H_INCLUDED


#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "mesh_signer.h"


#define MESH_SIGNER_CONNECTIONS  256
#define MESH_SIGNER_JOBS         4096   /* of all connections together */
#define MESH_SIGNER_READ_SIZE    (64 * MESH_SIGNER_MAX_REQUEST_FRAME)


typedef struct mesh_signer_job_s   mesh_signer_job_t;
typedef struct mesh_signer_conn_s  mesh_signer_conn_t;

struct mesh_signer_job_s {
    mesh_signer_job_t   *next;
    mesh_signer_conn_t  *conn;
    uint32_t             id;
    uint8_t              key;
    uint8_t              status;
    uint8_t              input[MESH_SIGNER_SIGN_LEN];
    uint8_t              head[MESH_SIGNER_HEAD];
    uint8_t              sig[MESH_SIGNER_MAX_SIG];
    const uint8_t       *data;          /* payload of the reply */
    size_t               len;
};

typedef struct {
    mesh_signer_job_t   *first;
    mesh_signer_job_t  **last;
} mesh_signer_list_t;

typedef enum {
    MESH_SIGNER_FREE = 0,       /* the slot is not in use */
    MESH_SIGNER_READY,          /* requests are read and answered */
    MESH_SIGNER_STOPPED,        /* not read: too much is unanswered */
    MESH_SIGNER_CLOSED          /* a thread still has a job of it */
} mesh_signer_state_e;

struct mesh_signer_conn_s {
    int                  fd;
    mesh_signer_state_e  state;
    uint32_t             events;        /* as epoll knows them */
    pid_t                pid;

    size_t               inflight;      /* jobs, wherever they are */
    size_t               sent;          /* bytes of the first job of out */
    mesh_signer_list_t   out;

    /* under the mutex */
    mesh_signer_list_t   queue;
    mesh_signer_conn_t  *next;          /* in the ring */

    size_t               nread;
    uint8_t              read[MESH_SIGNER_READ_SIZE];
};

typedef struct {
    time_t               last;
    unsigned             count;
} mesh_signer_limit_t;

typedef struct {
    const mesh_signer_conf_t  *conf;

    mesh_signer_identity_t  identity[MESH_SIGNER_MAX_KEYS];
    int                     nidentity;

    int                     listen[MESH_SIGNER_MAX_LISTEN];
    int                     nlisten;
    int                     epoll;
    int                     wakeup;     /* eventfd: jobs are done, signal */

    pthread_t               thread[MESH_SIGNER_MAX_THREADS];
    int                     nthread;

    mesh_signer_conn_t     *conns;
    mesh_signer_job_t      *jobs;
    mesh_signer_job_t      *free;

    size_t                  turn;       /* whom collect() starts with */

    mesh_signer_limit_t     refused;
    mesh_signer_limit_t     broken;
    mesh_signer_limit_t     full;

    pthread_mutex_t         mutex;
    pthread_cond_t          work;       /* the ring is not empty, or stop */
    pthread_cond_t          started;    /* a thread has signed, or failed */
    mesh_signer_conn_t     *ring;       /* first with a queue */
    mesh_signer_conn_t     *ring_last;
    size_t                  queued;
    mesh_signer_list_t      done;
    int                     nready;
    int                     nfailed;
    int                     stop;
} mesh_signer_t;


/* reads when its first event comes; data tells the loop what it is */
int mesh_signer_watch(mesh_signer_t *s, int fd, void *data);

/* until a signal; returns the exit code */
int mesh_signer_loop(mesh_signer_t *s);

/* returns when each thread has made its first signature */
int mesh_signer_start_threads(mesh_signer_t *s);

/* set by a signal, which also wakes the loop */
extern volatile sig_atomic_t  mesh_signer_signo;


static inline void
mesh_signer_list_init(mesh_signer_list_t *list)
{
    list->first = NULL;
    list->last = NULL;
}


static inline void
mesh_signer_list_add(mesh_signer_list_t *list, mesh_signer_job_t *job)
{
    job->next = NULL;

    if (list->first == NULL) {
        list->first = job;

    } else {
        *list->last = job;
    }

    list->last = &job->next;
}


static inline mesh_signer_job_t *
mesh_signer_list_take(mesh_signer_list_t *list)
{
    mesh_signer_job_t  *job;

    job = list->first;
    list->first = job->next;

    return job;
}


#endif /* MESH_SIGNER_SERVE_H_INCLUDED */

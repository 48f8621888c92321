/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* The workers' connections: requests in, answers out. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "mesh_signer_serve.h"


#define MESH_SIGNER_EVENTS       64
#define MESH_SIGNER_IOVS         128
#define MESH_SIGNER_LOG_TIME     60     /* seconds between equal lines */


typedef struct {
    uint8_t   op;
    size_t    len;              /* of the payload */
    void    (*answer)(mesh_signer_t *s, mesh_signer_job_t *job,
                      const mesh_signer_msg_t *msg);
} mesh_signer_request_t;


static void mesh_signer_accept(mesh_signer_t *s, int fd);
static int mesh_signer_allowed(mesh_signer_t *s, int fd, pid_t *pid);
static void mesh_signer_read_handler(mesh_signer_t *s, mesh_signer_conn_t *c);
static int mesh_signer_process(mesh_signer_t *s, mesh_signer_conn_t *c);
static void mesh_signer_sign(mesh_signer_t *s, mesh_signer_job_t *job,
    const mesh_signer_msg_t *msg);
static void mesh_signer_cert(mesh_signer_t *s, mesh_signer_job_t *job,
    const mesh_signer_msg_t *msg);
static void mesh_signer_ping(mesh_signer_t *s, mesh_signer_job_t *job,
    const mesh_signer_msg_t *msg);
static void mesh_signer_reply(mesh_signer_job_t *job, uint8_t status,
    const uint8_t *data, size_t len);
static void mesh_signer_collect(mesh_signer_t *s);
static void mesh_signer_write_handler(mesh_signer_t *s, mesh_signer_conn_t *c);
static void mesh_signer_set_events(mesh_signer_t *s, mesh_signer_conn_t *c);
static void mesh_signer_close(mesh_signer_t *s, mesh_signer_conn_t *c);
static void mesh_signer_release(mesh_signer_t *s, mesh_signer_job_t *job);
static int mesh_signer_may_log(mesh_signer_limit_t *limit, unsigned *count);


static const mesh_signer_request_t  mesh_signer_requests[] = {
    { MESH_SIGNER_SIGN_AGENT, MESH_SIGNER_SIGN_LEN, mesh_signer_sign },
    { MESH_SIGNER_CERT,       0,                    mesh_signer_cert },
    { MESH_SIGNER_PING,       0,                    mesh_signer_ping },
    { 0, 0, NULL }
};


int
mesh_signer_watch(mesh_signer_t *s, int fd, void *data)
{
    struct epoll_event  ee;

    memset(&ee, 0, sizeof(struct epoll_event));
    ee.events = EPOLLIN;
    ee.data.ptr = data;

    if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ee) == -1) {
        mesh_signer_log("emerg", "epoll_ctl(): %s", strerror(errno));
        return MESH_ERROR;
    }

    return MESH_OK;
}


int
mesh_signer_loop(mesh_signer_t *s)
{
    int                  i, n;
    void                *data;
    ssize_t              got;
    uint64_t             count;
    mesh_signer_conn_t  *c;
    struct epoll_event   ev[MESH_SIGNER_EVENTS];

    for ( ;; ) {

        n = epoll_wait(s->epoll, ev, MESH_SIGNER_EVENTS, -1);

        if (n == -1 && errno != EINTR) {
            mesh_signer_log("emerg", "epoll_wait(): %s", strerror(errno));
            return EXIT_FAILURE;
        }

        if (mesh_signer_signo) {
            mesh_signer_log("notice", "signal %d, exit",
                            (int) mesh_signer_signo);
            return EXIT_SUCCESS;
        }

        for (i = 0; i < n; i++) {

            data = ev[i].data.ptr;

            if (data == &s->wakeup) {

                /* the count says nothing that the list does not */

                got = read(s->wakeup, &count, sizeof(count));
                (void) got;

                continue;
            }

            if ((int *) data >= s->listen
                && (int *) data < s->listen + MESH_SIGNER_MAX_LISTEN)
            {
                mesh_signer_accept(s, *(int *) data);
                continue;
            }

            c = data;

            /* closed by an earlier event of this turn; slots are reused
               below only */

            if (c->state != MESH_SIGNER_READY
                && c->state != MESH_SIGNER_STOPPED)
            {
                continue;
            }

            if (ev[i].events & (EPOLLERR|EPOLLHUP)) {
                mesh_signer_close(s, c);
                continue;
            }

            if (ev[i].events & EPOLLIN) {
                mesh_signer_read_handler(s, c);
            }
        }

        mesh_signer_collect(s);
    }
}


static void
mesh_signer_accept(mesh_signer_t *s, int fd)
{
    int                  peer;
    pid_t                pid;
    unsigned             count;
    mesh_signer_conn_t  *c, *last;

    for ( ;; ) {

        peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK|SOCK_CLOEXEC);

        if (peer == -1) {

            if (errno == EINTR || errno == ECONNABORTED) {
                continue;
            }

            if (errno != EAGAIN && mesh_signer_may_log(&s->full, &count)) {
                mesh_signer_log("crit", "accept4(): %s", strerror(errno));
            }

            return;
        }

        if (!mesh_signer_allowed(s, peer, &pid)) {
            close(peer);
            continue;
        }

        last = s->conns + MESH_SIGNER_CONNECTIONS;

        for (c = s->conns; c < last && c->state != MESH_SIGNER_FREE; c++) {
            /* void */
        }

        if (c == last) {

            if (mesh_signer_may_log(&s->full, &count)) {
                mesh_signer_log("warn", "more than %d connections, %u refused",
                                MESH_SIGNER_CONNECTIONS, count);
            }

            close(peer);
            continue;
        }

        c->fd = peer;
        c->pid = pid;
        c->inflight = 0;
        c->sent = 0;
        c->nread = 0;
        c->next = NULL;
        c->events = EPOLLIN;

        mesh_signer_list_init(&c->out);
        mesh_signer_list_init(&c->queue);

        if (mesh_signer_watch(s, peer, c) != MESH_OK) {
            close(peer);
            continue;
        }

        c->state = MESH_SIGNER_READY;
    }
}


static int
mesh_signer_allowed(mesh_signer_t *s, int fd, pid_t *pid)
{
    int           i;
    unsigned      count;
    socklen_t     len;
    struct ucred  cred;

    len = sizeof(struct ucred);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1) {
        return 0;
    }

    *pid = cred.pid;

    /* root could read the keys themselves: mesh-admin check */

    if (cred.uid == 0) {
        return 1;
    }

    for (i = 0; i < s->conf->npeers; i++) {

        if (cred.uid == s->conf->peers[i]) {
            return 1;
        }
    }

    if (mesh_signer_may_log(&s->refused, &count)) {
        mesh_signer_log("info", "user %u, process %d is not a worker, "
                        "%u refused", (unsigned) cred.uid, (int) cred.pid,
                        count);
    }

    return 0;
}


static void
mesh_signer_read_handler(mesh_signer_t *s, mesh_signer_conn_t *c)
{
    ssize_t  n;

    /* process() leaves less than a frame, or stops the connection */

    if (c->state != MESH_SIGNER_READY) {
        return;
    }

    n = read(c->fd, c->read + c->nread, sizeof(c->read) - c->nread);

    if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }

    if (n <= 0) {
        mesh_signer_close(s, c);
        return;
    }

    c->nread += (size_t) n;

    if (mesh_signer_process(s, c) != MESH_OK) {
        mesh_signer_close(s, c);
    }
}


/* takes requests out of the buffer until it is empty or the limit is reached */

static int
mesh_signer_process(mesh_signer_t *s, mesh_signer_conn_t *c)
{
    int                           rc;
    size_t                        used;
    unsigned                      count;
    mesh_signer_job_t            *job;
    mesh_signer_msg_t             msg;
    const mesh_signer_request_t  *row;

    used = 0;
    c->state = MESH_SIGNER_READY;

    for ( ;; ) {

        rc = mesh_signer_parse_request(&msg, c->read + used,
                                       c->nread - used);

        if (rc == MESH_AGAIN) {
            break;
        }

        if (rc != MESH_OK) {

            if (mesh_signer_may_log(&s->broken, &count)) {
                mesh_signer_log("info", "process %d sent a bad length",
                                (int) c->pid);
            }

            return MESH_ERROR;
        }

        if (s->free == NULL || c->inflight >= MESH_SIGNER_MAX_INFLIGHT) {
            c->state = MESH_SIGNER_STOPPED;
            break;
        }

        job = s->free;
        s->free = job->next;

        job->conn = c;
        job->id = msg.id;
        job->key = msg.key;
        c->inflight++;

        for (row = mesh_signer_requests; row->answer; row++) {

            if (row->op == msg.code) {
                break;
            }
        }

        if (row->answer == NULL || msg.len != row->len) {
            mesh_signer_reply(job, MESH_SIGNER_BAD, NULL, 0);

        } else if (row->op != MESH_SIGNER_PING
                   && msg.key >= s->nidentity)
        {
            mesh_signer_reply(job, MESH_SIGNER_NO_KEY, NULL, 0);

        } else {
            row->answer(s, job, &msg);
        }

        used += msg.size;
    }

    c->nread -= used;
    memmove(c->read, c->read + used, c->nread);

    return MESH_OK;
}


static void
mesh_signer_sign(mesh_signer_t *s, mesh_signer_job_t *job,
    const mesh_signer_msg_t *msg)
{
    mesh_signer_conn_t  *c;

    c = job->conn;

    memcpy(job->input, msg->data, MESH_SIGNER_SIGN_LEN);

    pthread_mutex_lock(&s->mutex);

    if (c->queue.first == NULL) {

        c->next = NULL;

        if (s->ring == NULL) {
            s->ring = c;

        } else {
            s->ring_last->next = c;
        }

        s->ring_last = c;
    }

    mesh_signer_list_add(&c->queue, job);
    s->queued++;

    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->mutex);
}


static void
mesh_signer_cert(mesh_signer_t *s, mesh_signer_job_t *job,
    const mesh_signer_msg_t *msg)
{
    mesh_signer_identity_t  *id;

    id = &s->identity[msg->key];

    mesh_signer_reply(job, MESH_SIGNER_OK, id->reply, id->len);
}


static void
mesh_signer_ping(mesh_signer_t *s, mesh_signer_job_t *job,
    const mesh_signer_msg_t *msg)
{
    (void) s;
    (void) msg;

    mesh_signer_reply(job, MESH_SIGNER_OK, NULL, 0);
}


/* data is borrowed until the job is released */

static void
mesh_signer_reply(mesh_signer_job_t *job, uint8_t status, const uint8_t *data,
    size_t len)
{
    mesh_signer_write_reply(job->head, job->id, status, (uint16_t) len);

    job->data = data;
    job->len = len;

    mesh_signer_list_add(&job->conn->out, job);
}


/* the end of a turn: answers go out, who was stopped goes on */

static void
mesh_signer_collect(mesh_signer_t *s)
{
    size_t               i;
    mesh_signer_job_t   *job;
    mesh_signer_list_t   done;
    mesh_signer_conn_t  *c;

    pthread_mutex_lock(&s->mutex);

    done = s->done;
    mesh_signer_list_init(&s->done);

    pthread_mutex_unlock(&s->mutex);

    while (done.first) {

        job = done.first;
        done.first = job->next;

        if (job->conn->state == MESH_SIGNER_CLOSED) {
            mesh_signer_release(s, job);

        } else if (job->status == MESH_SIGNER_OK) {
            mesh_signer_reply(job, MESH_SIGNER_OK, job->sig, job->len);

        } else {
            mesh_signer_reply(job, job->status, NULL, 0);
        }
    }

    /* with few jobs left the first one asked gets them: not always the same */

    s->turn++;

    for (i = 0; i < MESH_SIGNER_CONNECTIONS; i++) {

        c = &s->conns[(s->turn + i) % MESH_SIGNER_CONNECTIONS];

        if (c->state == MESH_SIGNER_CLOSED && c->inflight == 0) {
            c->state = MESH_SIGNER_FREE;
            continue;
        }

        if (c->state != MESH_SIGNER_READY && c->state != MESH_SIGNER_STOPPED) {
            continue;
        }

        if (c->out.first) {
            mesh_signer_write_handler(s, c);
        }

        /* half, so that it does not stop and go for each job */

        if (c->state == MESH_SIGNER_STOPPED && s->free
            && c->inflight <= MESH_SIGNER_MAX_INFLIGHT / 2)
        {
            if (mesh_signer_process(s, c) != MESH_OK) {
                mesh_signer_close(s, c);
            }

            /* PING and the like were answered at once */

            if (c->state == MESH_SIGNER_READY && c->out.first) {
                mesh_signer_write_handler(s, c);
            }
        }

        mesh_signer_set_events(s, c);
    }
}


static void
mesh_signer_write_handler(mesh_signer_t *s, mesh_signer_conn_t *c)
{
    int                 niov;
    size_t              skip, size, done;
    ssize_t             n;
    struct iovec        iov[MESH_SIGNER_IOVS];
    mesh_signer_job_t  *job;

    while (c->out.first) {

        niov = 0;
        skip = c->sent;

        for (job = c->out.first;
             job && niov + 2 <= MESH_SIGNER_IOVS;
             job = job->next)
        {
            if (skip < MESH_SIGNER_HEAD) {
                iov[niov].iov_base = job->head + skip;
                iov[niov++].iov_len = MESH_SIGNER_HEAD - skip;
                skip = 0;

            } else {
                skip -= MESH_SIGNER_HEAD;
            }

            if (job->len) {
                iov[niov].iov_base = (void *) (uintptr_t) (job->data + skip);
                iov[niov++].iov_len = job->len - skip;
            }

            skip = 0;
        }

        n = writev(c->fd, iov, niov);

        if (n == -1) {

            if (errno == EINTR) {
                continue;
            }

            if (errno != EAGAIN) {
                mesh_signer_close(s, c);
            }

            return;
        }

        done = c->sent + (size_t) n;

        while (c->out.first) {

            job = c->out.first;
            size = MESH_SIGNER_HEAD + job->len;

            if (done < size) {
                break;
            }

            done -= size;
            mesh_signer_release(s, mesh_signer_list_take(&c->out));
        }

        c->sent = done;
    }
}


static void
mesh_signer_set_events(mesh_signer_t *s, mesh_signer_conn_t *c)
{
    uint32_t            events;
    struct epoll_event  ee;

    if (c->state != MESH_SIGNER_READY && c->state != MESH_SIGNER_STOPPED) {
        return;
    }

    events = (c->state == MESH_SIGNER_READY ? EPOLLIN : 0)
             | (c->out.first ? EPOLLOUT : 0);

    if (events == c->events) {
        return;
    }

    memset(&ee, 0, sizeof(struct epoll_event));
    ee.events = events;
    ee.data.ptr = c;

    if (epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &ee) == -1) {
        mesh_signer_log("alert", "epoll_ctl(): %s", strerror(errno));
        mesh_signer_close(s, c);
        return;
    }

    c->events = events;
}


/*
 * The worker asks again after it has reconnected: what was not begun is
 * dropped; what a thread has comes back through the finished list.
 */

static void
mesh_signer_close(mesh_signer_t *s, mesh_signer_conn_t *c)
{
    mesh_signer_job_t    *job;
    mesh_signer_list_t    queue;
    mesh_signer_conn_t  **p, *prev;

    close(c->fd);

    c->fd = -1;
    c->state = MESH_SIGNER_CLOSED;

    pthread_mutex_lock(&s->mutex);

    if (c->queue.first) {

        prev = NULL;

        for (p = &s->ring; *p != c; p = &(*p)->next) {
            prev = *p;
        }

        *p = c->next;

        if (s->ring_last == c) {
            s->ring_last = prev;
        }
    }

    queue = c->queue;
    mesh_signer_list_init(&c->queue);

    for (job = queue.first; job; job = job->next) {
        s->queued--;
    }

    pthread_mutex_unlock(&s->mutex);

    while (queue.first) {
        job = queue.first;
        queue.first = job->next;
        mesh_signer_release(s, job);
    }

    while (c->out.first) {
        mesh_signer_release(s, mesh_signer_list_take(&c->out));
    }
}


static void
mesh_signer_release(mesh_signer_t *s, mesh_signer_job_t *job)
{
    job->conn->inflight--;

    job->conn = NULL;
    job->data = NULL;
    job->len = 0;
    job->next = s->free;
    s->free = job;
}


/* counts; 1 once a minute, with how many there were */

static int
mesh_signer_may_log(mesh_signer_limit_t *limit, unsigned *count)
{
    struct timespec  now;

    limit->count++;

    if (clock_gettime(CLOCK_MONOTONIC, &now) == -1
        || (limit->last && now.tv_sec - limit->last < MESH_SIGNER_LOG_TIME))
    {
        return 0;
    }

    *count = limit->count;

    limit->last = now.tv_sec ? now.tv_sec : 1;
    limit->count = 0;

    return 1;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The daemon.  The main thread owns sockets and connections; the others only
 * sign.  What they share, under one mutex: each connection's queue, the ring
 * of connections that have one, and the list of finished jobs.
 *
 * A job is in exactly one place: the free list, a connection's queue, a thread,
 * the finished list, a connection's out list.  All jobs are there from the
 * start; who has none left stops reading.
 */

#include <errno.h>
#include <grp.h>
#include <malloc.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "mesh_signer.h"


#define MESH_SIGNER_CONNECTIONS  256
#define MESH_SIGNER_JOBS         4096   /* of all connections together */
#define MESH_SIGNER_BATCH        8      /* jobs a thread takes at most */
#define MESH_SIGNER_STACK        (256 * 1024)
#define MESH_SIGNER_EVENTS       64
#define MESH_SIGNER_IOVS         128
#define MESH_SIGNER_LISTEN_FD    3      /* sd_listen_fds(3) */
#define MESH_SIGNER_LOG_TIME     60     /* seconds between equal lines */

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

typedef struct {
    uint8_t   op;
    size_t    len;              /* of the payload */
    void    (*answer)(mesh_signer_t *s, mesh_signer_job_t *job,
                      const mesh_signer_msg_t *msg);
} mesh_signer_request_t;


static int mesh_signer_load_keys(mesh_signer_t *s);
static int mesh_signer_load_key(mesh_signer_t *s, int n);
static int mesh_signer_open_listen(mesh_signer_t *s);
static int mesh_signer_inherit(mesh_signer_t *s);
static int mesh_signer_bind(mesh_signer_t *s);
static int mesh_signer_start_threads(mesh_signer_t *s);
static int mesh_signer_drop(const mesh_signer_conf_t *conf);
static int mesh_signer_watch(mesh_signer_t *s, int fd, void *data);
static int mesh_signer_loop(mesh_signer_t *s);
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
static void mesh_signer_write_handler(mesh_signer_t *s,
    mesh_signer_conn_t *c);
static void mesh_signer_set_events(mesh_signer_t *s, mesh_signer_conn_t *c);
static void mesh_signer_close(mesh_signer_t *s, mesh_signer_conn_t *c);
static void mesh_signer_release(mesh_signer_t *s, mesh_signer_job_t *job);
static void *mesh_signer_thread(void *data);
static int mesh_signer_take_locked(mesh_signer_t *s,
    mesh_signer_job_t **batch);
static EVP_PKEY_CTX *mesh_signer_context(EVP_PKEY *key);
static int mesh_signer_make_signature(EVP_PKEY_CTX *ctx,
    mesh_signer_job_t *job);
static void mesh_signer_list_init(mesh_signer_list_t *list);
static void mesh_signer_list_add(mesh_signer_list_t *list,
    mesh_signer_job_t *job);
static mesh_signer_job_t *mesh_signer_list_take(mesh_signer_list_t *list);
static int mesh_signer_may_log(mesh_signer_limit_t *limit, unsigned *count);
static void mesh_signer_signal_handler(int signo);
static void mesh_signer_free(mesh_signer_t *s);


static const mesh_signer_request_t  mesh_signer_requests[] = {
    { MESH_SIGNER_SIGN_AGENT, MESH_SIGNER_SIGN_LEN, mesh_signer_sign },
    { MESH_SIGNER_CERT,       0,                    mesh_signer_cert },
    { MESH_SIGNER_PING,       0,                    mesh_signer_ping },
    { 0, 0, NULL }
};

static volatile sig_atomic_t  mesh_signer_signo;
static int                    mesh_signer_wakeup_fd = -1;


/* the order is that of nginx.md, 6.2: each step needs what the next loses */

int
mesh_signer_serve(const mesh_signer_conf_t *conf)
{
    int               rc;
    size_t            i;
    mesh_signer_t    *s;
    struct rlimit     none;
    struct sigaction  sa;

    /* an arena for each thread would be 64 MB to lock */

    (void) mallopt(M_ARENA_MAX, 1);

    none.rlim_cur = 0;
    none.rlim_max = 0;
    (void) setrlimit(RLIMIT_CORE, &none);

    s = calloc(1, sizeof(mesh_signer_t));

    if (s == NULL) {
        mesh_signer_log("emerg", "no memory");
        return EXIT_FAILURE;
    }

    rc = EXIT_FAILURE;

    s->conf = conf;
    s->epoll = -1;
    s->wakeup = -1;

    mesh_signer_list_init(&s->done);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->started, NULL);

    if (mesh_signer_load_keys(s) != MESH_OK
        || mesh_signer_open_listen(s) != MESH_OK)
    {
        goto done;
    }

    s->conns = calloc(MESH_SIGNER_CONNECTIONS, sizeof(mesh_signer_conn_t));
    s->jobs = calloc(MESH_SIGNER_JOBS, sizeof(mesh_signer_job_t));

    if (s->conns == NULL || s->jobs == NULL) {
        mesh_signer_log("emerg", "no memory");
        goto done;
    }

    for (i = 0; i < MESH_SIGNER_JOBS; i++) {
        s->jobs[i].next = s->free;
        s->free = &s->jobs[i];
    }

    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->wakeup = eventfd(0, EFD_CLOEXEC|EFD_NONBLOCK);

    if (s->epoll == -1 || s->wakeup == -1) {
        mesh_signer_log("emerg", "cannot make event descriptors: %s",
                        strerror(errno));
        goto done;
    }

    if (mesh_signer_watch(s, s->wakeup, &s->wakeup) != MESH_OK) {
        goto done;
    }

    for (i = 0; i < (size_t) s->nlisten; i++) {

        if (mesh_signer_watch(s, s->listen[i], &s->listen[i]) != MESH_OK) {
            goto done;
        }
    }

    mesh_signer_wakeup_fd = s->wakeup;

    memset(&sa, 0, sizeof(struct sigaction));
    sa.sa_handler = SIG_IGN;
    (void) sigaction(SIGPIPE, &sa, NULL);

    sa.sa_handler = mesh_signer_signal_handler;
    (void) sigaction(SIGTERM, &sa, NULL);
    (void) sigaction(SIGINT, &sa, NULL);
    (void) sigaction(SIGQUIT, &sa, NULL);

    if (mesh_signer_start_threads(s) != MESH_OK) {
        goto done;
    }

    if (mlockall(MCL_CURRENT) == -1) {
        mesh_signer_log("warn", "keys may be written to swap: mlockall(): %s",
                        strerror(errno));
    }

    if (mesh_signer_drop(conf) != MESH_OK) {
        goto done;
    }

    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1) {
        mesh_signer_log("emerg", "prctl(PR_SET_DUMPABLE): %s",
                        strerror(errno));
        goto done;
    }

    if (mesh_signer_confine() != MESH_OK) {
        goto done;
    }

    mesh_signer_log("notice", "ready: %d identit%s, %d thread%s",
                    s->nidentity, s->nidentity == 1 ? "y" : "ies",
                    s->nthread, s->nthread == 1 ? "" : "s");

    rc = mesh_signer_loop(s);

done:

    mesh_signer_free(s);

    return rc;
}


/* agentserver is identity 0; further ones are agentserver-1 and so on */

static int
mesh_signer_load_keys(mesh_signer_t *s)
{
    int  n;

    for (n = 0; n < MESH_SIGNER_MAX_KEYS; n++) {

        switch (mesh_signer_load_key(s, n)) {

        case MESH_OK:
            s->nidentity = n + 1;
            break;

        case MESH_DECLINED:
            return MESH_OK;

        default:
            return MESH_ERROR;
        }
    }

    return MESH_OK;
}


static int
mesh_signer_load_key(mesh_signer_t *s, int n)
{
    int                      rc, len, bits;
    char                     name[32], file[40];
    X509                    *cert;
    uint8_t                 *p;
    mesh_signer_identity_t  *id;

    id = &s->identity[n];

    snprintf(name, sizeof(name), n ? "agentserver-%d" : "agentserver", n);
    snprintf(file, sizeof(file), "%s.pem", name);

    cert = mesh_signer_read_cert_file(s->conf->keydir, file, n == 0);

    if (cert == NULL) {
        return n ? MESH_DECLINED : MESH_ERROR;
    }

    rc = MESH_ERROR;

    snprintf(file, sizeof(file), "%s.key", name);

    id->key = mesh_signer_read_key_file(s->conf->keydir, file,
                                        s->conf->credentials);

    if (id->key == NULL) {
        goto done;
    }

    bits = EVP_PKEY_get_bits(id->key);

    if (EVP_PKEY_get_base_id(id->key) != EVP_PKEY_RSA
        || bits < MESH_SIGNER_MIN_BITS || bits > MESH_SIGNER_MAX_BITS)
    {
        mesh_signer_log("emerg", "\"%s\" is not an RSA key of %d to %d bits",
                        file, MESH_SIGNER_MIN_BITS, MESH_SIGNER_MAX_BITS);
        goto done;
    }

    if (X509_check_private_key(cert, id->key) != 1) {
        mesh_signer_log("emerg", "\"%s\" is not the key of \"%s.pem\"", file,
                        name);
        goto done;
    }

    len = i2d_X509(cert, NULL);

    if (len <= 0 || len > MESH_SIGNER_MAX_CERT) {
        mesh_signer_log("emerg", "\"%s.pem\" is longer than %d bytes", name,
                        MESH_SIGNER_MAX_CERT);
        goto done;
    }

    id->len = (size_t) len + MESH_HASH_LEN;
    id->reply = malloc(id->len);

    if (id->reply == NULL) {
        mesh_signer_log("emerg", "no memory");
        goto done;
    }

    p = id->reply;

    if (i2d_X509(cert, &p) != len
        || mesh_signer_key_hash(cert, id->reply + len) != MESH_OK)
    {
        mesh_signer_log_ssl("emerg", "cannot read \"%s.pem\"", name);
        goto done;
    }

    rc = MESH_OK;

done:

    X509_free(cert);

    return rc;
}


static int
mesh_signer_open_listen(mesh_signer_t *s)
{
    if (s->conf->path) {
        return mesh_signer_bind(s);
    }

    return mesh_signer_inherit(s);
}


/* sd_listen_fds(3) */

static int
mesh_signer_inherit(mesh_signer_t *s)
{
    int          i, fd, on, domain, flags;
    long         n;
    const char  *pid, *fds;
    socklen_t    len;

    pid = getenv("LISTEN_PID");
    fds = getenv("LISTEN_FDS");

    if (pid == NULL || fds == NULL || strtol(pid, NULL, 10) != getpid()) {
        mesh_signer_log("emerg", "no socket: give -s, or start it by a socket "
                        "unit");
        return MESH_ERROR;
    }

    n = strtol(fds, NULL, 10);

    if (n < 1 || n > MESH_SIGNER_MAX_LISTEN) {
        mesh_signer_log("emerg", "LISTEN_FDS is \"%s\": must be 1 to %d", fds,
                        MESH_SIGNER_MAX_LISTEN);
        return MESH_ERROR;
    }

    for (i = 0; i < n; i++) {

        fd = MESH_SIGNER_LISTEN_FD + i;

        len = sizeof(int);
        on = 0;

        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == -1
            || on == 0
            || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == -1
            || domain != AF_UNIX)
        {
            mesh_signer_log("emerg", "descriptor %d of LISTEN_FDS is not a "
                            "listening unix socket", fd);
            return MESH_ERROR;
        }

        flags = fcntl(fd, F_GETFL);

        if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1
            || fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
        {
            mesh_signer_log("emerg", "fcntl(): %s", strerror(errno));
            return MESH_ERROR;
        }

        s->listen[s->nlisten++] = fd;
    }

    return MESH_OK;
}


static int
mesh_signer_bind(mesh_signer_t *s)
{
    int                  fd;
    size_t               len;
    mode_t               mask;
    const char          *path;
    struct stat          st;
    struct sockaddr_un   sun;

    path = s->conf->path;
    len = strlen(path);

    memset(&sun, 0, sizeof(struct sockaddr_un));
    sun.sun_family = AF_UNIX;

    if (len >= sizeof(sun.sun_path)) {
        mesh_signer_log("emerg", "-s \"%s\": longer than %zu bytes", path,
                        sizeof(sun.sun_path) - 1);
        return MESH_ERROR;
    }

    memcpy(sun.sun_path, path, len);

    fd = socket(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);

    if (fd == -1) {
        mesh_signer_log("emerg", "socket(): %s", strerror(errno));
        return MESH_ERROR;
    }

    /* what a killed signer left behind, and nothing else, is removed */

    if (lstat(path, &st) == 0) {

        if (!S_ISSOCK(st.st_mode)) {
            mesh_signer_log("emerg", "-s \"%s\" is there and is not a socket",
                            path);
            goto failed;
        }

        if (connect(fd, (struct sockaddr *) &sun, sizeof(sun)) == 0
            || errno == EAGAIN)
        {
            mesh_signer_log("emerg", "-s \"%s\": another one listens there",
                            path);
            goto failed;
        }

        if (errno != ECONNREFUSED || unlink(path) == -1) {
            mesh_signer_log("emerg", "-s \"%s\": cannot take it over: %s",
                            path, strerror(errno));
            goto failed;
        }
    }

    mask = umask(0177);

    if (bind(fd, (struct sockaddr *) &sun, sizeof(sun)) == -1) {
        umask(mask);
        mesh_signer_log("emerg", "-s \"%s\": bind(): %s", path,
                        strerror(errno));
        goto failed;
    }

    umask(mask);

    /* one peer owns the socket; of several each is asked who it is (accept) */

    if (s->conf->npeers > 1) {

        if (chmod(path, 0666) == -1) {
            mesh_signer_log("emerg", "-s \"%s\": chmod(): %s", path,
                            strerror(errno));
            goto failed;
        }

    } else if (s->conf->peers[0] != geteuid()
               && chown(path, s->conf->peers[0], (gid_t) -1) == -1)
    {
        mesh_signer_log("emerg", "-s \"%s\": chown(): %s", path,
                        strerror(errno));
        goto failed;
    }

    if (listen(fd, SOMAXCONN) == -1) {
        mesh_signer_log("emerg", "-s \"%s\": listen(): %s", path,
                        strerror(errno));
        goto failed;
    }

    s->listen[s->nlisten++] = fd;

    return MESH_OK;

failed:

    close(fd);

    return MESH_ERROR;
}


/* returns when each thread has made its first signature */

static int
mesh_signer_start_threads(mesh_signer_t *s)
{
    int             rc;
    pthread_attr_t  attr;

    rc = pthread_attr_init(&attr);

    if (rc == 0) {
        rc = pthread_attr_setstacksize(&attr, MESH_SIGNER_STACK);
    }

    while (rc == 0 && s->nthread < s->conf->threads) {
        rc = pthread_create(&s->thread[s->nthread], &attr,
                            mesh_signer_thread, s);

        if (rc == 0) {
            s->nthread++;
        }
    }

    pthread_attr_destroy(&attr);

    if (rc) {
        mesh_signer_log("emerg", "cannot start thread %d: %s", s->nthread + 1,
                        strerror(rc));
        return MESH_ERROR;
    }

    pthread_mutex_lock(&s->mutex);

    while (s->nready + s->nfailed < s->nthread) {
        pthread_cond_wait(&s->started, &s->mutex);
    }

    rc = s->nfailed;

    pthread_mutex_unlock(&s->mutex);

    return rc ? MESH_ERROR : MESH_OK;
}


static int
mesh_signer_drop(const mesh_signer_conf_t *conf)
{
    struct passwd  *pw;

    if (conf->user == NULL || geteuid() != 0) {
        return MESH_OK;
    }

    errno = 0;
    pw = getpwnam(conf->user);

    if (pw == NULL) {
        mesh_signer_log("emerg", "-u \"%s\": %s", conf->user,
                        errno ? strerror(errno) : "no such user");
        return MESH_ERROR;
    }

    if (pw->pw_uid == 0) {
        mesh_signer_log("emerg", "-u \"%s\" is root", conf->user);
        return MESH_ERROR;
    }

    if (setgroups(0, NULL) == -1
        || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) == -1
        || setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) == -1)
    {
        mesh_signer_log("emerg", "-u \"%s\": %s", conf->user,
                        strerror(errno));
        return MESH_ERROR;
    }

    if (setuid(0) == 0) {
        mesh_signer_log("emerg", "-u \"%s\": root came back", conf->user);
        return MESH_ERROR;
    }

    return MESH_OK;
}


static int
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


static int
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


static void *
mesh_signer_thread(void *data)
{
    mesh_signer_t  *s = data;

    int                 i, n, ok;
    ssize_t             written;
    uint64_t            one;
    EVP_PKEY           *key[MESH_SIGNER_MAX_KEYS];
    EVP_PKEY_CTX       *ctx[MESH_SIGNER_MAX_KEYS];
    mesh_signer_job_t  *batch[MESH_SIGNER_BATCH], *first, probe;

    ok = 1;
    one = 1;

    memset(key, 0, sizeof(key));
    memset(ctx, 0, sizeof(ctx));
    memset(&probe, 0, sizeof(mesh_signer_job_t));

    /*
     * A key of its own: the blinding of RSA is under a lock of the key.  The
     * first signature loads all that OpenSSL loads late, before the filter.
     */

    for (i = 0; i < s->nidentity && ok; i++) {

        key[i] = EVP_PKEY_dup(s->identity[i].key);
        ctx[i] = key[i] ? mesh_signer_context(key[i]) : NULL;

        if (ctx[i] == NULL
            || mesh_signer_make_signature(ctx[i], &probe) != MESH_OK)
        {
            mesh_signer_log_ssl("emerg", "identity %d cannot sign", i);
            ok = 0;
        }
    }

    pthread_mutex_lock(&s->mutex);

    if (ok) {
        s->nready++;

    } else {
        s->nfailed++;
    }

    pthread_cond_signal(&s->started);

    while (ok) {

        while (s->ring == NULL && !s->stop) {
            pthread_cond_wait(&s->work, &s->mutex);
        }

        if (s->stop) {
            break;
        }

        n = mesh_signer_take_locked(s, batch);

        pthread_mutex_unlock(&s->mutex);

        for (i = 0; i < n; i++) {

            if (mesh_signer_make_signature(ctx[batch[i]->key], batch[i])
                == MESH_OK)
            {
                batch[i]->status = MESH_SIGNER_OK;

            } else {
                batch[i]->status = MESH_SIGNER_FAILED;
                mesh_signer_log_ssl("err", "cannot sign");
            }

            /* each at once: the others of the batch take milliseconds */

            pthread_mutex_lock(&s->mutex);

            first = s->done.first;
            mesh_signer_list_add(&s->done, batch[i]);

            pthread_mutex_unlock(&s->mutex);

            if (first == NULL) {
                written = write(s->wakeup, &one, sizeof(one));
                (void) written;
            }
        }

        pthread_mutex_lock(&s->mutex);
    }

    pthread_mutex_unlock(&s->mutex);

    for (i = 0; i < s->nidentity; i++) {
        EVP_PKEY_CTX_free(ctx[i]);
        EVP_PKEY_free(key[i]);
    }

    return NULL;
}


/* one job of each connection in turn; a share only, or other threads idle */

static int
mesh_signer_take_locked(mesh_signer_t *s, mesh_signer_job_t **batch)
{
    int                  n;
    size_t               share;
    mesh_signer_conn_t  *c;

    share = s->queued / (size_t) s->nthread;

    if (share > MESH_SIGNER_BATCH) {
        share = MESH_SIGNER_BATCH;

    } else if (share == 0) {
        share = 1;
    }

    n = 0;

    while (s->ring && (size_t) n < share) {

        c = s->ring;
        s->ring = c->next;
        c->next = NULL;

        if (s->ring == NULL) {
            s->ring_last = NULL;
        }

        batch[n++] = mesh_signer_list_take(&c->queue);
        s->queued--;

        if (c->queue.first) {

            if (s->ring == NULL) {
                s->ring = c;

            } else {
                s->ring_last->next = c;
            }

            s->ring_last = c;
        }
    }

    return n;
}


static EVP_PKEY_CTX *
mesh_signer_context(EVP_PKEY *key)
{
    EVP_PKEY_CTX  *ctx;

    ctx = EVP_PKEY_CTX_new(key, NULL);

    if (ctx == NULL
        || EVP_PKEY_sign_init(ctx) <= 0
        || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) <= 0
        || EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha384()) <= 0)
    {
        EVP_PKEY_CTX_free(ctx);
        return NULL;
    }

    return ctx;
}


/* hashes here: a digest that comes from outside is never signed */

static int
mesh_signer_make_signature(EVP_PKEY_CTX *ctx, mesh_signer_job_t *job)
{
    uint8_t   hash[MESH_HASH_LEN];
    unsigned  len;

    job->len = sizeof(job->sig);

    if (EVP_Digest(job->input, MESH_SIGNER_SIGN_LEN, hash, &len, EVP_sha384(),
                   NULL) != 1
        || EVP_PKEY_sign(ctx, job->sig, &job->len, hash, sizeof(hash)) <= 0)
    {
        job->len = 0;
        return MESH_ERROR;
    }

    return MESH_OK;
}


static void
mesh_signer_list_init(mesh_signer_list_t *list)
{
    list->first = NULL;
    list->last = NULL;
}


static void
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


static mesh_signer_job_t *
mesh_signer_list_take(mesh_signer_list_t *list)
{
    mesh_signer_job_t  *job;

    job = list->first;
    list->first = job->next;

    return job;
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


static void
mesh_signer_signal_handler(int signo)
{
    int       saved;
    ssize_t   written;
    uint64_t  one;

    saved = errno;
    one = 1;

    mesh_signer_signo = signo;

    written = write(mesh_signer_wakeup_fd, &one, sizeof(one));
    (void) written;

    errno = saved;
}


static void
mesh_signer_free(mesh_signer_t *s)
{
    int     i;
    size_t  n;

    pthread_mutex_lock(&s->mutex);
    s->stop = 1;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->mutex);

    for (i = 0; i < s->nthread; i++) {
        pthread_join(s->thread[i], NULL);
    }

    for (n = 0; s->conns && n < MESH_SIGNER_CONNECTIONS; n++) {

        if (s->conns[n].state == MESH_SIGNER_READY
            || s->conns[n].state == MESH_SIGNER_STOPPED)
        {
            close(s->conns[n].fd);
        }
    }

    for (i = 0; i < s->nlisten; i++) {
        close(s->listen[i]);
    }

    for (i = 0; i < MESH_SIGNER_MAX_KEYS; i++) {
        EVP_PKEY_free(s->identity[i].key);
        free(s->identity[i].reply);
    }

    if (s->wakeup != -1) {
        close(s->wakeup);
    }

    if (s->epoll != -1) {
        close(s->epoll);
    }

    pthread_cond_destroy(&s->started);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->mutex);

    free(s->conns);
    free(s->jobs);
    free(s);
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* The daemon: its start, in the order that its hardening needs, and its end. */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <pwd.h>
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
#include <sys/un.h>
#include <unistd.h>

#include "mesh_signer_serve.h"


#define MESH_SIGNER_LISTEN_FD    3      /* sd_listen_fds(3) */


static int mesh_signer_load_keys(mesh_signer_t *s);
static int mesh_signer_load_key(mesh_signer_t *s, int n);
static int mesh_signer_open_listen(mesh_signer_t *s);
static int mesh_signer_inherit(mesh_signer_t *s);
static int mesh_signer_bind(mesh_signer_t *s);
static int mesh_signer_drop(const mesh_signer_conf_t *conf);
static void mesh_signer_signal_handler(int signo);
static void mesh_signer_free(mesh_signer_t *s);


volatile sig_atomic_t  mesh_signer_signo;

static int  mesh_signer_wakeup_fd = -1;


/*
 * The order matters: keys are read as root, threads need their stacks before
 * memory is locked, locking needs root, and the filter ends all of it.
 */

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

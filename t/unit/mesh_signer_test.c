/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The real mesh-signer: keys are made, the daemon is started in each of its
 * ways, and everything it signs is verified.  MESH_SIGNER_BIN names the binary.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "../../proto/mesh_signer_msg.h"
#include "tap.h"


#define DEADLINE   120          /* seconds for all of it */
#define ROUNDS     1000
#define WORKERS    4
#define STRANGER   54321        /* a uid that nobody has */


static const char   *bin;
static char          dir[128], keys[160], path[160], logname[160];
static pid_t         daemon_pid;
static EVP_PKEY     *key;
static const char   *user;


static void
die(const char *what)
{
    printf("Bail out! %s: %s\n", what, strerror(errno));

    if (daemon_pid > 0) {
        kill(daemon_pid, SIGKILL);
    }

    exit(1);
}


/* runs argv with output to the log; the exit code, or -signal */

static pid_t
start(char *const *argv)
{
    int    fd;
    pid_t  pid;

    fflush(stdout);
    pid = fork();

    if (pid == -1) {
        die("fork");
    }

    if (pid == 0) {
        fd = open(logname, O_WRONLY|O_CREAT|O_APPEND, 0600);

        if (fd != -1) {
            dup2(fd, 1);
            dup2(fd, 2);
        }

        execv(argv[0], argv);
        _exit(127);
    }

    return pid;
}


static int
reap(pid_t pid)
{
    int  status;

    if (waitpid(pid, &status, 0) != pid) {
        die("waitpid");
    }

    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}


static int
logged(const char *text)
{
    int             found;
    FILE           *f;
    static char     line[2048];

    f = fopen(logname, "r");

    if (f == NULL) {
        return 0;
    }

    found = 0;

    while (fgets(line, sizeof(line), f)) {
        found |= strstr(line, text) != NULL;
    }

    fclose(f);

    return found;
}


static int
dial(void)
{
    int                 fd;
    struct timeval      tv = { 30, 0 };
    struct sockaddr_un  sun;

    memset(&sun, 0, sizeof(struct sockaddr_un));
    sun.sun_family = AF_UNIX;
    snprintf(sun.sun_path, sizeof(sun.sun_path), "%.100s", path);

    fd = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0);

    if (fd == -1) {
        die("socket");
    }

    if (connect(fd, (struct sockaddr *) &sun, sizeof(sun)) == -1) {
        close(fd);
        return -1;
    }

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));

    return fd;
}


static int
send_all(int fd, const uint8_t *p, size_t n)
{
    ssize_t  rc;

    while (n) {
        rc = send(fd, p, n, MSG_NOSIGNAL);

        if (rc <= 0) {
            return 0;
        }

        p += rc;
        n -= (size_t) rc;
    }

    return 1;
}


typedef struct {
    size_t   len;
    uint8_t  buf[64 * 1024];
} reader_t;


/* the next reply; 0 at the end of the stream or after 30 s */

static int
next(int fd, reader_t *r, mesh_signer_msg_t *msg)
{
    int                  rc;
    ssize_t              n;
    static uint8_t       copy[MESH_SIGNER_MAX_REPLY_FRAME];

    for ( ;; ) {

        rc = mesh_signer_parse_reply(msg, r->buf, r->len);

        if (rc == MESH_ERROR) {
            return 0;
        }

        if (rc == MESH_OK) {
            memcpy(copy, r->buf, msg->size);
            msg->data = copy + MESH_SIGNER_HEAD;
            r->len -= msg->size;
            memmove(r->buf, r->buf + msg->size, r->len);
            return 1;
        }

        errno = 0;
        n = recv(fd, r->buf + r->len, sizeof(r->buf) - r->len, 0);

        if (n <= 0) {
            return 0;
        }

        r->len += (size_t) n;
    }
}


/* a request whose payload follows from its id */

static size_t
request(uint8_t *p, uint32_t id, uint8_t which)
{
    uint8_t  input[144];
    size_t   i;

    for (i = 0; i < sizeof(input); i++) {
        input[i] = (uint8_t) (id * 31 + i * 7 + (id >> 8));
    }

    return mesh_signer_write_sign(p, id, which, input, input + 48,
                                  input + 96);
}


static int
verify(EVP_PKEY *pub, uint32_t id, const uint8_t *sig, size_t len)
{
    int          rc;
    uint8_t      frame[MESH_SIGNER_MAX_REQUEST_FRAME];
    EVP_MD_CTX  *md;

    request(frame, id, 0);

    md = EVP_MD_CTX_new();
    rc = EVP_DigestVerifyInit(md, NULL, EVP_sha384(), NULL, pub) == 1
         && EVP_DigestVerify(md, sig, len, frame + MESH_SIGNER_HEAD, 144)
            == 1;
    EVP_MD_CTX_free(md);

    return rc;
}


static int
sign_once(EVP_PKEY *pub, uint32_t id, uint8_t which)
{
    int                fd, rc;
    uint8_t            frame[MESH_SIGNER_MAX_REQUEST_FRAME];
    static reader_t    r;
    mesh_signer_msg_t  msg;

    fd = dial();

    if (fd == -1) {
        return 0;
    }

    r.len = 0;

    rc = send_all(fd, frame, request(frame, id, which))
         && next(fd, &r, &msg) && msg.id == id
         && msg.code == MESH_SIGNER_OK
         && verify(pub, id, msg.data, msg.len);

    close(fd);

    return rc;
}


static EVP_PKEY *
public_key(const char *name)
{
    char       file[256];
    FILE      *f;
    X509      *cert;
    EVP_PKEY  *pub;

    snprintf(file, sizeof(file), "%s/%s", keys, name);

    f = fopen(file, "r");
    cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

    if (cert == NULL) {
        die(file);
    }

    pub = X509_get_pubkey(cert);

    X509_free(cert);
    fclose(f);

    return pub;
}


/* waits until it answers: connect alone says only that it listens */

static int
start_daemon(const char *peer)
{
    int                i, n, fd, good;
    char              *argv[16];
    uint8_t            ping[MESH_SIGNER_HEAD];
    static reader_t    r;
    mesh_signer_msg_t  msg;

    n = 0;
    argv[n++] = (char *) (uintptr_t) bin;
    argv[n++] = (char *) "-s";
    argv[n++] = path;
    argv[n++] = (char *) "-k";
    argv[n++] = keys;
    argv[n++] = (char *) "-n";
    argv[n++] = (char *) "2";

    if (user) {
        argv[n++] = (char *) "-u";
        argv[n++] = (char *) (uintptr_t) user;
    }

    if (peer) {
        argv[n++] = (char *) "-w";
        argv[n++] = (char *) (uintptr_t) peer;
    }

    argv[n] = NULL;

    daemon_pid = start(argv);

    mesh_signer_write_request(ping, 1, MESH_SIGNER_PING, 0, 0);

    for (i = 0; i < 1000; i++) {

        fd = dial();

        if (fd != -1) {
            r.len = 0;
            good = send_all(fd, ping, sizeof(ping)) && next(fd, &r, &msg);
            close(fd);
            return good;
        }

        if (waitpid(daemon_pid, NULL, WNOHANG) == daemon_pid) {
            daemon_pid = 0;
            return 0;
        }

        usleep(10 * 1000);
    }

    return 0;
}


static int
stop_daemon(int signo)
{
    int  rc;

    kill(daemon_pid, signo);
    rc = reap(daemon_pid);
    daemon_pid = 0;

    return rc;
}


/* the value behind name in the status of each thread equals want */

static int
threads_have(const char *name, const char *want)
{
    int             good, seen;
    DIR            *d;
    char            file[512], line[256];
    FILE           *f;
    struct dirent  *de;

    snprintf(file, sizeof(file), "/proc/%d/task", (int) daemon_pid);
    d = opendir(file);

    if (d == NULL) {
        return 0;
    }

    good = 1;
    seen = 0;

    while ((de = readdir(d)) != NULL) {

        if (de->d_name[0] == '.') {
            continue;
        }

        snprintf(file, sizeof(file), "/proc/%d/task/%.20s/status",
                 (int) daemon_pid, de->d_name);
        f = fopen(file, "r");

        while (f && fgets(line, sizeof(line), f)) {

            if (strncmp(line, name, strlen(name)) == 0) {
                seen++;
                good &= strstr(line, want) != NULL;
            }
        }

        if (f) {
            fclose(f);
        }
    }

    closedir(d);

    return good && seen >= 3;
}


static void
test_confined(void)
{
    char         text[64];
    struct stat  st;

    /* a sanitizer's reports need more than the filter lets through */

    if (!logged("built with a sanitizer")) {
        ok(threads_have("Seccomp:", "\t2"),
           "every thread is under a filter of system calls");
    }

    ok(threads_have("NoNewPrivs:", "\t1") || logged("with a sanitizer"),
       "no thread can gain privileges");
    ok(threads_have("CapEff:", "\t0000000000000000"),
       "no thread has a capability");

    if (user) {
        ok(!threads_have("Uid:", "\t0"), "root is gone");
        ok(threads_have("Groups:", "\t \n"), "with its groups");
    }

    /* what is not dumpable belongs to root in /proc */

    snprintf(text, sizeof(text), "/proc/%d/mem", (int) daemon_pid);
    ok(stat(text, &st) == 0 && st.st_uid == 0,
       "its memory cannot be read by its own user");
}


static void
test_ops(void)
{
    int                 fd, len;
    size_t              i, n, cert_len;
    uint8_t             buf[1024], *der, hash[48];
    const uint8_t      *cert, *key_hash;
    static reader_t     r;
    mesh_signer_msg_t   msg;
    X509               *x;

    fd = dial();
    r.len = 0;
    cert = NULL;
    cert_len = 0;
    key_hash = NULL;

    n = mesh_signer_write_request(buf, 5, MESH_SIGNER_CERT, 0, 0);
    send_all(fd, buf, n);

    if (!ok(next(fd, &r, &msg) && msg.id == 5 && msg.code == MESH_SIGNER_OK
            && mesh_signer_read_cert(&msg, &cert, &cert_len, &key_hash)
               == MESH_OK,
            "CERT is answered"))
    {
        close(fd);
        return;
    }

    x = d2i_X509(NULL, &cert, (long) cert_len);
    ok(x && EVP_PKEY_eq(X509_get0_pubkey(x), key) == 1,
       "with the certificate of the agent server");

    /* the key hash once more: over RSAPublicKey, as agents take it */

    der = NULL;
    len = x ? i2d_PublicKey(X509_get0_pubkey(x), &der) : 0;
    EVP_Digest(der, (size_t) len, hash, NULL, EVP_sha384(), NULL);
    OPENSSL_free(der);
    X509_free(x);

    is_bytes(key_hash, 48, hash, 48, "and its key hash");

    /* byte by byte, and two requests in one piece */

    n = request(buf, 77, 0);

    for (i = 0; i < n; i++) {
        send_all(fd, buf + i, 1);
    }

    ok(next(fd, &r, &msg) && msg.id == 77
       && verify(key, 77, msg.data, msg.len), "a request that came in bytes");

    n = mesh_signer_write_request(buf, 6, MESH_SIGNER_PING, 0, 0);
    n += mesh_signer_write_request(buf + n, 7, MESH_SIGNER_PING, 255, 0);
    send_all(fd, buf, n);
    ok(next(fd, &r, &msg) && msg.id == 6 && next(fd, &r, &msg)
       && msg.id == 7 && msg.code == MESH_SIGNER_OK, "two in one piece");

    /* each is answered with its error, and the connection goes on */

    static const struct {
        uint8_t      op;
        uint8_t      key;
        uint16_t     len;
        uint8_t      status;
        const char  *name;
    } bad[] = {
        { 0, 0, 0, MESH_SIGNER_BAD, "op 0" },
        { 4, 0, 0, MESH_SIGNER_BAD, "op 4" },
        { 255, 0, 144, MESH_SIGNER_BAD, "op 255" },
        { MESH_SIGNER_SIGN_AGENT, 0, 0, MESH_SIGNER_BAD, "sign nothing" },
        { MESH_SIGNER_SIGN_AGENT, 0, 48, MESH_SIGNER_BAD, "sign a digest" },
        { MESH_SIGNER_SIGN_AGENT, 0, 143, MESH_SIGNER_BAD, "sign 143 bytes" },
        { MESH_SIGNER_CERT, 0, 1, MESH_SIGNER_BAD, "CERT with payload" },
        { MESH_SIGNER_PING, 0, 144, MESH_SIGNER_BAD, "PING with payload" },
        { MESH_SIGNER_SIGN_AGENT, 2, 144, MESH_SIGNER_NO_KEY, "key 2" },
        { MESH_SIGNER_SIGN_AGENT, 255, 144, MESH_SIGNER_NO_KEY, "key 255" },
        { MESH_SIGNER_CERT, 2, 0, MESH_SIGNER_NO_KEY, "CERT of key 2" }
    };

    memset(buf, 0, sizeof(buf));

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        mesh_signer_write_request(buf, (uint32_t) i, bad[i].op, bad[i].key,
                                  bad[i].len);
        send_all(fd, buf, MESH_SIGNER_HEAD + (size_t) bad[i].len);

        ok(next(fd, &r, &msg) && msg.id == i && msg.code == bad[i].status
           && msg.len == 0, "refused: %s", bad[i].name);
    }

    mesh_signer_write_request(buf, 9, MESH_SIGNER_SIGN_AGENT, 0, 145);
    send_all(fd, buf, MESH_SIGNER_HEAD);
    ok(!next(fd, &r, &msg) && errno != EAGAIN,
       "a length past the maximum closes the connection");

    close(fd);
}


/* many in flight on several connections, in any order */

static void
test_rounds(void)
{
    int                 i, fd[WORKERS], good, seen;
    uint8_t             frame[MESH_SIGNER_MAX_REQUEST_FRAME];
    uint32_t            id;
    static char         done[ROUNDS];
    static reader_t     r[WORKERS];
    mesh_signer_msg_t   msg;

    for (i = 0; i < WORKERS; i++) {
        fd[i] = dial();
        r[i].len = 0;
    }

    for (id = 0; id < ROUNDS; id++) {
        send_all(fd[id % WORKERS], frame, request(frame, id, 0));
    }

    good = 1;
    seen = 0;

    for (id = 0; id < ROUNDS; id++) {

        i = (int) (id % WORKERS);

        if (!next(fd[i], &r[i], &msg)) {
            break;
        }

        good &= msg.code == MESH_SIGNER_OK && msg.id < ROUNDS
                && msg.id % WORKERS == (uint32_t) i && !done[msg.id]
                && verify(key, msg.id, msg.data, msg.len);

        if (msg.id < ROUNDS) {
            done[msg.id] = 1;
        }

        seen++;
    }

    is(seen, ROUNDS, "all %d requests are answered", ROUNDS);
    ok(good, "each once, on its connection, with a good signature");

    for (i = 0; i < WORKERS; i++) {
        close(fd[i]);
    }
}


static void
test_fair(void)
{
    int                 a, b, n;
    uint8_t             frame[MESH_SIGNER_MAX_REQUEST_FRAME];
    uint32_t            id;
    static reader_t     ra, rb;
    mesh_signer_msg_t   msg;

    a = dial();
    b = dial();

    for (id = 0; id < 1000; id++) {
        send_all(a, frame, request(frame, id, 0));
    }

    send_all(b, frame, request(frame, 5000, 0));

    ok(next(b, &rb, &msg) && verify(key, 5000, msg.data, msg.len),
       "a worker is answered while another has 1,000 requests");

    /* what the other has got by now is in its socket */

    for (n = 0; ; n++) {

        if (mesh_signer_parse_reply(&msg, ra.buf, ra.len) != MESH_OK) {

            ssize_t  got = recv(a, ra.buf + ra.len, sizeof(ra.buf) - ra.len,
                                MSG_DONTWAIT);

            if (got <= 0) {
                break;
            }

            ra.len += (size_t) got;
            n--;
            continue;
        }

        ra.len -= msg.size;
        memmove(ra.buf, ra.buf + msg.size, ra.len);
    }

    ok(n < 900, "and not after all of them (%d were)", n);

    /* a worker that dies with much in flight takes nobody with it */

    close(a);
    close(b);

    ok(sign_once(key, 6000, 0), "a worker that went away is forgotten");
}


/* 3,000 requests of a worker that does not read */

static void
test_pressure(void)
{
    int                 fd, n, good;
    size_t              len;
    uint8_t             frame[MESH_SIGNER_HEAD];
    ssize_t             rc;
    uint32_t            id;
    static reader_t     r;
    mesh_signer_msg_t   msg;

    fd = dial();
    r.len = 0;
    len = 0;
    id = 0;

    /* until the sockets are full or all are sent: then it has stopped */

    while (id < 3000) {

        mesh_signer_write_request(frame, id, MESH_SIGNER_CERT, 0, 0);
        rc = send(fd, frame + len, sizeof(frame) - len,
                  MSG_DONTWAIT|MSG_NOSIGNAL);

        if (rc <= 0) {
            break;
        }

        len += (size_t) rc;

        if (len == sizeof(frame)) {
            len = 0;
            id++;
        }
    }

    ok(sign_once(key, 1, 0), "others are served while one does not read");

    good = 1;
    n = 0;

    for ( ;; ) {

        /* the rest, as room comes */

        if (id < 3000) {
            mesh_signer_write_request(frame, id, MESH_SIGNER_CERT, 0, 0);
            rc = send(fd, frame + len, sizeof(frame) - len,
                      MSG_DONTWAIT|MSG_NOSIGNAL);

            if (rc > 0) {
                len += (size_t) rc;

                if (len == sizeof(frame)) {
                    len = 0;
                    id++;
                }

                continue;
            }
        }

        if (n == 3000 || !next(fd, &r, &msg)) {
            break;
        }

        good &= msg.id == (uint32_t) n && msg.code == MESH_SIGNER_OK;
        n++;
    }

    is(n, 3000, "and it gets all its answers when it reads");
    ok(good, "in order");

    close(fd);
}


/* deterministic: a request that is sent again gets the same signature */

static void
test_restart(void)
{
    int                 fd, i, good, rounds;
    uint8_t             frame[MESH_SIGNER_MAX_REQUEST_FRAME], sig[512];
    uint32_t            id;
    static reader_t     r;
    mesh_signer_msg_t   msg;

    fd = dial();
    r.len = 0;
    send_all(fd, frame, request(frame, 42, 0));
    ok(next(fd, &r, &msg), "a signature before");
    memcpy(sig, msg.data, msg.len);
    close(fd);

    good = 1;
    rounds = 0;

    for (i = 0; i < 3; i++) {

        fd = dial();
        r.len = 0;

        for (id = 0; id < 200; id++) {
            send_all(fd, frame, request(frame, id, 0));
        }

        good &= next(fd, &r, &msg);

        is(stop_daemon(SIGKILL), -SIGKILL, "killed with 200 in flight");

        while (next(fd, &r, &msg)) {
            good &= verify(key, msg.id, msg.data, msg.len);
        }

        close(fd);

        rounds += start_daemon(NULL);

        fd = dial();
        r.len = 0;
        send_all(fd, frame, request(frame, 42, 0));
        good &= next(fd, &r, &msg) && msg.len && msg.id == 42
                && memcmp(msg.data, sig, msg.len) == 0;
        close(fd);
    }

    is(rounds, 3, "it takes over the socket that was left behind");
    ok(good, "and gives the same signature again");
}


/* a child of another user; 1 if it was answered */

static int
asked_by(uid_t uid)
{
    int                fd, status;
    pid_t              pid;
    uint8_t            ping[MESH_SIGNER_HEAD];
    static reader_t    r;
    mesh_signer_msg_t  msg;

    fflush(stdout);
    pid = fork();

    if (pid == 0) {

        if (setresuid(uid, uid, uid) == -1) {
            _exit(2);
        }

        fd = dial();

        if (fd == -1) {
            _exit(0);
        }

        r.len = 0;
        mesh_signer_write_request(ping, 1, MESH_SIGNER_PING, 0, 0);
        send_all(fd, ping, sizeof(ping));

        _exit(next(fd, &r, &msg) ? 1 : 0);
    }

    if (pid == -1 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
        die("child");
    }

    return WEXITSTATUS(status);
}


static void
test_peers(void)
{
    /* two names: the socket's mode lets everybody in, credentials decide */

    char   uid[16];
    char  *argv[] = { (char *) (uintptr_t) bin, (char *) "-s", path,
                      (char *) "-k", keys, (char *) "-u",
                      (char *) (uintptr_t) user, (char *) "-w", uid,
                      (char *) "-w", (char *) "root", NULL };
    int    i;

    snprintf(uid, sizeof(uid), "%d", STRANGER);

    ok(start_daemon(uid), "started for one worker user");
    is(asked_by(STRANGER), 1, "that user is answered");
    is(asked_by(STRANGER + 1), 0, "another one is not");
    is(stop_daemon(SIGTERM), 0, "stopped");

    daemon_pid = start(argv);

    for (i = 0; i < 1000 && !sign_once(key, 3, 0); i++) {
        usleep(10 * 1000);
    }

    is(asked_by(STRANGER), 1, "with two, the first is answered");
    is(asked_by(0), 1, "and the second");
    is(asked_by(STRANGER + 1), 0, "a third one connects and is closed");
    ok(logged("is not a worker"), "and logged");
    is(stop_daemon(SIGTERM), 0, "stopped");
}


/* as systemd does it */

static void
test_activation(void)
{
    int                 fd, i, n;
    char                text[16], *argv[16];
    pid_t               pid;
    struct sockaddr_un  sun;

    unlink(path);

    memset(&sun, 0, sizeof(struct sockaddr_un));
    sun.sun_family = AF_UNIX;
    snprintf(sun.sun_path, sizeof(sun.sun_path), "%.100s", path);

    fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd == -1 || bind(fd, (struct sockaddr *) &sun, sizeof(sun)) == -1
        || listen(fd, 16) == -1)
    {
        die("listen");
    }

    n = 0;
    argv[n++] = (char *) (uintptr_t) bin;
    argv[n++] = (char *) "-k";
    argv[n++] = keys;

    if (user) {
        argv[n++] = (char *) "-u";
        argv[n++] = (char *) (uintptr_t) user;
    }

    argv[n] = NULL;

    for (i = 0; i < 2; i++) {

        fflush(stdout);
        pid = fork();

        if (pid == 0) {

            n = open(logname, O_WRONLY|O_CREAT|O_APPEND, 0600);
            dup2(n, 2);
            dup2(fd, 3);

            if (fd != 3) {
                close(fd);
            }

            snprintf(text, sizeof(text), "%d", (int) getpid() + (i == 0));
            setenv("LISTEN_PID", text, 1);
            setenv("LISTEN_FDS", "1", 1);

            execv(argv[0], argv);
            _exit(127);
        }

        if (i == 0) {
            is(reap(pid), 1, "the socket of another process is not taken");
        }
    }

    daemon_pid = pid;
    close(fd);

    ok(sign_once(key, 8, 0), "it signs on an inherited socket");
    is(stop_daemon(SIGTERM), 0, "and stops");

    unlink(path);
}


static int
run(const char *a, const char *b, const char *c, const char *d, const char *e,
    const char *f)
{
    char  *argv[8];

    argv[0] = (char *) (uintptr_t) bin;
    argv[1] = (char *) (uintptr_t) a;
    argv[2] = (char *) (uintptr_t) b;
    argv[3] = (char *) (uintptr_t) c;
    argv[4] = (char *) (uintptr_t) d;
    argv[5] = (char *) (uintptr_t) e;
    argv[6] = (char *) (uintptr_t) f;
    argv[7] = NULL;

    return reap(start(argv));
}


static void
copy_file(const char *from, const char *to, mode_t mode)
{
    int      in, out;
    char     a[256], b[256], buf[16384];
    ssize_t  n;

    snprintf(a, sizeof(a), "%s/%s", keys, from);
    snprintf(b, sizeof(b), "%s/%s", keys, to);

    unlink(b);

    in = open(a, O_RDONLY);
    out = open(b, O_WRONLY|O_CREAT|O_EXCL, 0600);
    n = in == -1 ? -1 : read(in, buf, sizeof(buf));

    if (n <= 0 || out == -1 || write(out, buf, (size_t) n) != n
        || fchmod(out, mode) == -1)
    {
        die(b);
    }

    close(in);
    close(out);
}


static void
test_refusals(void)
{
    const char  *u;
    char         file[256], name[200];

    u = user ? "-u" : NULL;

    snprintf(file, sizeof(file), "%s/agentserver.key", keys);

    chmod(file, 0640);
    is(run("-s", path, "-k", keys, u, user), 1,
       "a key that others may read is refused");
    ok(logged("has mode 0640 and must have 0600"), "and the reason logged");
    chmod(file, 0600);

    copy_file("agentserver.key", "saved.key", 0600);
    copy_file("mps.key", "agentserver.key", 0600);
    is(run("-s", path, "-k", keys, u, user), 1,
       "a key that is not the certificate's is refused");
    ok(logged("is not the key of"), "and the reason logged");

    copy_file("web-ecdsa.key", "agentserver.key", 0600);
    is(run("-s", path, "-k", keys, u, user), 1,
       "a key that is not RSA is refused");

    unlink(file);
    is(run("-s", path, "-k", keys, u, user), 1, "no key is an error");
    copy_file("saved.key", "agentserver.key", 0600);

    is(run("-s", path, "-k", dir, u, user), 1,
       "a folder without keys is an error");
    is(run("-n", "9", "-k", keys, u, user), 2, "9 threads are too many");
    is(run("-n", "0", "-k", keys, u, user), 2, "none is too few");
    is(run("-w", "no-such-user", "-k", keys, u, user), 2,
       "a worker user that does not exist");
    is(run("-k", keys, u, user, NULL, NULL), 1, "no socket at all");
    is(run("nonsense", NULL, NULL, NULL, NULL, NULL), 2,
       "a command that does not exist");

    if (user) {
        is(run("-s", path, "-k", keys, NULL, NULL), 2,
           "root without -u is refused");
        is(run("-s", path, "-k", keys, "-u", "root"), 1, "-u root, too");
        is(run("-s", path, "-k", keys, "-u", "no-such-user"), 1,
           "and a user that does not exist");
    }

    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    is(run("-s", name, "-k", keys, u, user), 1, "a path that is too long");

    is(run("-s", logname, "-k", keys, u, user), 1,
       "a file in the place of the socket is not removed");
    ok(access(logname, F_OK) == 0, "it is still there");
}


int
main(void)
{
    EVP_PKEY  *second;
    char       command[256];

    bin = getenv("MESH_SIGNER_BIN");
    bin = bin ? bin : "build/mesh-signer";

    if (access(bin, X_OK) == -1) {
        die(bin);
    }

    alarm(DEADLINE);
    signal(SIGPIPE, SIG_IGN);

    snprintf(dir, sizeof(dir), "/tmp/mesh-signer-test.XXXXXX");

    if (mkdtemp(dir) == NULL || chmod(dir, 0755) == -1) {
        die("mkdtemp");
    }

    snprintf(keys, sizeof(keys), "%s/keys", dir);
    snprintf(path, sizeof(path), "%s/s", dir);
    snprintf(logname, sizeof(logname), "%s/log", dir);

    user = geteuid() == 0 ? "nobody" : NULL;

    is(run("create", "--fastcert", keys, NULL, NULL, NULL), 0,
       "keys are made");

    key = public_key("agentserver.pem");

    /* a second identity: any RSA certificate will do */

    copy_file("mps.pem", "agentserver-1.pem", 0644);
    copy_file("mps.key", "agentserver-1.key", 0600);
    second = public_key("mps.pem");

    ok(start_daemon(NULL), "the daemon is ready");

    test_confined();
    test_ops();

    ok(sign_once(second, 9, 1), "key 1 is another identity");
    ok(!sign_once(key, 9, 1), "and not the first one");

    test_rounds();
    test_fair();
    test_pressure();

    is(run("-s", path, "-k", keys, user ? "-u" : NULL, user), 1,
       "a second daemon on the same socket is refused");
    ok(logged("another one listens there"), "and the reason logged");

    test_restart();

    is(stop_daemon(SIGTERM), 0, "SIGTERM ends it well");

    if (user) {
        test_peers();
    }

    test_activation();
    test_refusals();

    EVP_PKEY_free(key);
    EVP_PKEY_free(second);

    if (tap_failed) {
        snprintf(command, sizeof(command), "sed 's/^/# /' %s", logname);
        fflush(stdout);
        if (system(command) != 0) {
            printf("# no log\n");
        }
    }

    snprintf(command, sizeof(command), "rm -r %s", dir);

    ok(system(command) == 0, "nothing is left");

    return tap_done();
}

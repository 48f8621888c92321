/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * <program>.update   what comes in, block by block; runs once, as "version"
 * <program>.old      the one before, while the new one is on trial
 * <program>.trial    how often the new one was started, a digit; "-": it was
 *                    bad, which the old one keeps in the store
 *
 * The count is no key of the store: a program that ends before it has opened
 * that is taken back, too.  Who is counted holds its file: another start of
 * the program meanwhile, which the store will refuse, is none of the trial.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "mesh_agent_conf.h"
#include "mesh_agent_store.h"
#include "mesh_agent_update.h"
#include "os/mesh_agent_host.h"


#define MESH_AGENT_UPDATE_MAX     (64 * 1024 * 1024)      /* bytes */
#define MESH_AGENT_UPDATE_TEST    20000                   /* ms, of "version" */
#define MESH_AGENT_UPDATE_TRIAL   600                     /* s, to get in */
#define MESH_AGENT_UPDATE_STARTS  3                       /* of a trial */
#define MESH_AGENT_UPDATE_PAUSE   86400                   /* s, after a bad one */
#define MESH_AGENT_UPDATE_BAD     "agent:update-bad"      /* time, text */

/* of <program>.trial, beside the starts */
#define MESH_AGENT_UPDATE_NONE    -1
#define MESH_AGENT_UPDATE_WAS_BAD -2


struct mesh_agent_update_s {
    mesh_agent_t  *a;
    uv_timer_t     timer;                 /* of the trial, or of the test */
    uv_process_t  *test;                  /* the new program as "version" */
    char          *path;                  /* <program>.update */
    char          *old;                   /* <program>.old */
    char          *count;                 /* <program>.trial */
    uv_file        fd;                    /* -1: nothing comes in */
    int64_t        size;
    EVP_MD_CTX    *md;
    uint8_t        hash[MESH_AGENT_ID_LEN];       /* of this program */
    unsigned       enabled:1;
    unsigned       hashed:1;
    unsigned       trial:1;
};


static int mesh_agent_update_hold(const char *path);
static void mesh_agent_update_over(const char *path);
static int mesh_agent_update_there(const char *path);
static int mesh_agent_update_count(const char *path);
static int mesh_agent_update_write(const char *path, int count);
static void mesh_agent_update_trial(mesh_agent_update_t *u);
static void mesh_agent_update_failed(uv_timer_t *timer);
static void mesh_agent_update_back(mesh_agent_update_t *u);
static void mesh_agent_update_bad(mesh_agent_update_t *u);
static int mesh_agent_update_paused(mesh_agent_update_t *u);
static void mesh_agent_update_hash(mesh_agent_update_t *u, unsigned id);
static int mesh_agent_update_own(mesh_agent_update_t *u);
static void mesh_agent_update_begin(mesh_agent_update_t *u);
static void mesh_agent_update_block(mesh_agent_update_t *u,
    const mesh_agent_cmd_t *cmd);
static void mesh_agent_update_end(mesh_agent_update_t *u,
    const uint8_t *hash);
static int mesh_agent_update_run(mesh_agent_update_t *u);
static void mesh_agent_update_slow(uv_timer_t *timer);
static void mesh_agent_update_tested(uv_process_t *p, int64_t status,
    int sig);
static void mesh_agent_update_replace(mesh_agent_update_t *u);
static void mesh_agent_update_drop(mesh_agent_update_t *u, const char *why);
static int mesh_agent_update_remove(const char *path);
static void mesh_agent_update_test_gone(uv_handle_t *handle);
static void mesh_agent_update_gone(uv_handle_t *handle);


/* <program>.trial, held by this process; -1: it is not */
static uv_file  mesh_agent_update_held = -1;


int
mesh_agent_update_start(const char *exe)
{
    int    rc, starts;
    char  *path, *old, *count;

    count = mesh_agent_join(exe, ".trial");
    starts = mesh_agent_update_count(count);
    rc = MESH_OK;

    if (starts != MESH_AGENT_UPDATE_NONE
        && mesh_agent_update_hold(count) != MESH_OK)
    {
        free(count);
        return MESH_OK;
    }

    if (starts >= 0 && starts < MESH_AGENT_UPDATE_STARTS) {
        (void) mesh_agent_update_write(count, starts + 1);

    } else if (starts != MESH_AGENT_UPDATE_NONE) {
        path = mesh_agent_join(exe, ".update");
        old = mesh_agent_join(exe, ".old");
        (void) mesh_agent_update_write(count, MESH_AGENT_UPDATE_WAS_BAD);

        /* without another program this is the old one */
        if (mesh_agent_update_there(old)
            && mesh_agent_os_swap(old, exe, path) == 0)
        {
            (void) mesh_agent_update_remove(path);
            mesh_agent_log(MESH_AGENT_LOG_WARN, "the new program ends again "
                           "and again: the old one comes back");
            rc = MESH_DECLINED;
        }

        free(path);
        free(old);
    }

    free(count);

    return rc;
}


/* MESH_ERROR: a process that is on trial has it */
static int
mesh_agent_update_hold(const char *path)
{
    uv_fs_t  req;
    uv_file  fd;

    fd = uv_fs_open(NULL, &req, path, UV_FS_O_RDWR|UV_FS_O_NOFOLLOW, 0, NULL);
    uv_fs_req_cleanup(&req);

    if (fd < 0) {
        return MESH_OK;
    }

    if (mesh_agent_os_lock(fd) != MESH_OK) {
        (void) uv_fs_close(NULL, &req, fd, NULL);
        uv_fs_req_cleanup(&req);
        return MESH_ERROR;
    }

    mesh_agent_update_held = fd;

    return MESH_OK;
}


/* the trial; a system may not remove what is open */
static void
mesh_agent_update_over(const char *path)
{
    uv_fs_t  req;

    if (mesh_agent_update_held >= 0) {
        (void) uv_fs_close(NULL, &req, mesh_agent_update_held, NULL);
        uv_fs_req_cleanup(&req);
        mesh_agent_update_held = -1;
    }

    (void) mesh_agent_update_remove(path);
}


static int
mesh_agent_update_there(const char *path)
{
    int      rc;
    uv_fs_t  req;

    rc = uv_fs_access(NULL, &req, path, 0, NULL);
    uv_fs_req_cleanup(&req);

    return rc == 0;
}


void
mesh_agent_update_forget(const char *exe)
{
    size_t  i;
    char   *path;

    static const char *const  names[] = { ".trial", ".old", ".update" };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        path = mesh_agent_join(exe, names[i]);
        (void) mesh_agent_update_remove(path);
        free(path);
    }
}


static int
mesh_agent_update_count(const char *path)
{
    int       rc;
    char      text[1];
    uv_fs_t   req;
    uv_buf_t  buf;
    uv_file   fd;

    fd = uv_fs_open(NULL, &req, path, UV_FS_O_RDONLY|UV_FS_O_NOFOLLOW, 0, NULL);
    uv_fs_req_cleanup(&req);

    if (fd < 0) {
        return MESH_AGENT_UPDATE_NONE;
    }

    buf = uv_buf_init(text, sizeof(text));
    rc = uv_fs_read(NULL, &req, fd, &buf, 1, 0, NULL);
    uv_fs_req_cleanup(&req);

    (void) uv_fs_close(NULL, &req, fd, NULL);
    uv_fs_req_cleanup(&req);

    if (rc == 1 && text[0] == '-') {
        return MESH_AGENT_UPDATE_WAS_BAD;
    }

    /* a crash may have left it empty: the last start that is allowed */
    return rc == 1 && text[0] >= '0' && text[0] <= '9'
           ? text[0] - '0' : MESH_AGENT_UPDATE_STARTS - 1;
}


static int
mesh_agent_update_write(const char *path, int count)
{
    int       rc;
    char      text[1];
    uv_fs_t   req;
    uv_buf_t  buf;
    uv_file   fd;

    fd = uv_fs_open(NULL, &req, path, UV_FS_O_WRONLY|UV_FS_O_CREAT
                    |UV_FS_O_NOFOLLOW, 0600, NULL);
    uv_fs_req_cleanup(&req);

    if (fd < 0) {
        return fd;
    }

    text[0] = (char) (count < 0 ? '-' : '0' + count);
    buf = uv_buf_init(text, sizeof(text));
    rc = uv_fs_write(NULL, &req, fd, &buf, 1, 0, NULL);
    uv_fs_req_cleanup(&req);

    if (rc == 1) {
        rc = uv_fs_fsync(NULL, &req, fd, NULL);
        uv_fs_req_cleanup(&req);
    }

    (void) uv_fs_close(NULL, &req, fd, NULL);
    uv_fs_req_cleanup(&req);

    return rc;
}


mesh_agent_update_t *
mesh_agent_update_create(mesh_agent_t *a)
{
    const char           *value;
    mesh_agent_update_t  *u;

    u = mesh_agent_alloc(sizeof(mesh_agent_update_t));
    u->a = a;
    u->fd = -1;
    u->path = mesh_agent_join(a->conf->exe, ".update");
    u->old = mesh_agent_join(a->conf->exe, ".old");
    u->count = mesh_agent_join(a->conf->exe, ".trial");

    value = mesh_agent_conf_get(a->conf, "selfUpdate");
    u->enabled = value && strcmp(value, "1") == 0;

    /* Windows keeps the file of a program that runs */
    if (u->enabled) {
        (void) mesh_agent_update_remove(u->path);
    }

    (void) uv_timer_init(a->loop, &u->timer);
    u->timer.data = u;

    mesh_agent_update_trial(u);

    return u;
}


void
mesh_agent_update_free(mesh_agent_update_t *u)
{
    if (u->fd >= 0) {
        mesh_agent_update_drop(u, NULL);
    }

    if (u->test) {
        (void) uv_process_kill(u->test, SIGKILL);
        u->test->data = NULL;
        uv_close((uv_handle_t *) u->test, mesh_agent_update_test_gone);
    }

    uv_close((uv_handle_t *) &u->timer, mesh_agent_update_gone);
}


static void
mesh_agent_update_gone(uv_handle_t *handle)
{
    mesh_agent_update_t *u = handle->data;

    free(u->path);
    free(u->old);
    free(u->count);
    free(u);
}


/* has this program still to show that it reaches the server? */
static void
mesh_agent_update_trial(mesh_agent_update_t *u)
{
    int   starts;
    long  seconds;

    starts = mesh_agent_update_count(u->count);

    if (starts == MESH_AGENT_UPDATE_WAS_BAD) {
        mesh_agent_update_bad(u);
    }

    if (starts < 0) {
        return;
    }

    u->trial = 1;
    seconds = mesh_agent_conf_number(u->a->conf, "updateTrial", 1, 86400,
                                     MESH_AGENT_UPDATE_TRIAL);
    (void) uv_timer_start(&u->timer, mesh_agent_update_failed,
                          (uint64_t) seconds * 1000, 0);
}


static void
mesh_agent_update_failed(uv_timer_t *timer)
{
    mesh_agent_update_back(timer->data);
}


static void
mesh_agent_update_back(mesh_agent_update_t *u)
{
    int  rc;

    u->trial = 0;

    /* a crash between the two leaves a trial that is over */
    (void) mesh_agent_update_write(u->count, MESH_AGENT_UPDATE_WAS_BAD);

    rc = mesh_agent_os_swap(u->old, u->a->conf->exe, u->path);
    (void) mesh_agent_update_remove(u->path);

    if (rc != 0) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "the new program does not reach the "
                       "server, and the old one does not come back: %s",
                       uv_strerror(rc));
        return;
    }

    mesh_agent_update_bad(u);
    mesh_agent_log(MESH_AGENT_LOG_WARN, "the new program does not reach the "
                   "server: the old one comes back");
    mesh_agent_restart(u->a);
}


static void
mesh_agent_update_bad(mesh_agent_update_t *u)
{
    char  now[32];

    (void) snprintf(now, sizeof(now), "%lld", (long long) time(NULL));
    (void) mesh_agent_store_put(u->a->store, MESH_AGENT_UPDATE_BAD, now,
                                strlen(now));
    mesh_agent_update_over(u->count);
}


void
mesh_agent_update_proved(mesh_agent_update_t *u)
{
    if (u->trial) {
        u->trial = 0;
        (void) uv_timer_stop(&u->timer);
        (void) mesh_agent_update_remove(u->old);    /* while it is on trial */
        mesh_agent_update_over(u->count);
        mesh_agent_log(MESH_AGENT_LOG_NOTICE, "the new program is in use");
    }
}


void
mesh_agent_update_command(mesh_agent_update_t *u, const mesh_agent_cmd_t *cmd)
{
    if (cmd->cmd == MESH_AGENT_HASH) {
        mesh_agent_update_hash(u, cmd->id);

    } else if (!u->enabled || u->trial || u->test
               || mesh_agent_update_paused(u))
    {
        mesh_agent_log(MESH_AGENT_LOG_INFO, "a program that nobody asked for");

    } else if (cmd->cmd == MESH_AGENT_UPDATE_BLOCK) {
        mesh_agent_update_block(u, cmd);

    } else if (cmd->u.core.hash == NULL) {
        mesh_agent_update_begin(u);

    } else {
        mesh_agent_update_end(u, cmd->u.core.hash);
    }
}


/* a bad program is not taken again at once */
static int
mesh_agent_update_paused(mesh_agent_update_t *u)
{
    char            text[32];
    size_t          len;
    long long       at, now;
    const uint8_t  *p;

    p = mesh_agent_store_get(u->a->store, MESH_AGENT_UPDATE_BAD, &len);

    if (p == NULL || len >= sizeof(text)) {
        return 0;
    }

    memcpy(text, p, len);
    text[len] = '\0';
    at = strtoll(text, NULL, 10);
    now = time(NULL);

    return now >= at && now - at < MESH_AGENT_UPDATE_PAUSE;
}


/* zeros: this program is not the server's to replace */
static void
mesh_agent_update_hash(mesh_agent_update_t *u, unsigned id)
{
    size_t          n;
    uint8_t         msg[MESH_AGENT_HASHED_LEN];
    const uint8_t  *hash;

    static const uint8_t  none[MESH_AGENT_ID_LEN];

    hash = none;

    if (u->enabled && !u->trial && !mesh_agent_update_paused(u)
        && mesh_agent_update_own(u) == MESH_OK)
    {
        hash = u->hash;
    }

    n = mesh_agent_write_hashed(msg, MESH_AGENT_HASH, (uint16_t) id, hash);
    (void) mesh_agent_channel_send(u->a->channel, msg, n, 0);
}


static int
mesh_agent_update_own(mesh_agent_update_t *u)
{
    FILE        *f;
    size_t       n;
    uint8_t      buf[16384];
    EVP_MD_CTX  *md;

    if (u->hashed) {
        return MESH_OK;
    }

    f = fopen(u->a->conf->exe, "rb");
    md = EVP_MD_CTX_new();

    if (f && md && EVP_DigestInit_ex(md, EVP_sha384(), NULL) == 1) {
        do {
            n = fread(buf, 1, sizeof(buf), f);
        } while (n > 0 && EVP_DigestUpdate(md, buf, n) == 1);

        u->hashed = n == 0 && !ferror(f)
                    && EVP_DigestFinal_ex(md, u->hash, NULL) == 1;
    }

    EVP_MD_CTX_free(md);

    if (f) {
        (void) fclose(f);
    }

    return u->hashed ? MESH_OK : MESH_ERROR;
}


static void
mesh_agent_update_begin(mesh_agent_update_t *u)
{
    uv_fs_t  req;

    if (u->fd >= 0) {
        mesh_agent_update_drop(u, NULL);
    }

    (void) mesh_agent_update_remove(u->path);

    u->fd = uv_fs_open(NULL, &req, u->path,
                       UV_FS_O_WRONLY|UV_FS_O_CREAT|UV_FS_O_EXCL
                       |UV_FS_O_NOFOLLOW, 0700, NULL);
    uv_fs_req_cleanup(&req);

    if (u->fd < 0) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "\"%s\" cannot be written: %s",
                       u->path, uv_strerror(u->fd));
        u->fd = -1;
        return;
    }

    u->md = EVP_MD_CTX_new();
    u->size = 0;

    if (u->md == NULL || EVP_DigestInit_ex(u->md, EVP_sha384(), NULL) != 1) {
        mesh_agent_update_drop(u, "no memory");
    }
}


/* the next one comes when this one was acknowledged: an error is silence */
static void
mesh_agent_update_block(mesh_agent_update_t *u, const mesh_agent_cmd_t *cmd)
{
    int       rc;
    size_t    n;
    uv_fs_t   req;
    uint8_t   msg[MESH_AGENT_REQUEST_LEN];
    uv_buf_t  buf;

    if (u->fd < 0) {
        return;
    }

    if (u->size + (int64_t) cmd->u.block.len > MESH_AGENT_UPDATE_MAX) {
        mesh_agent_update_drop(u, "it is too long");
        return;
    }

    buf = uv_buf_init((char *) cmd->u.block.data, (unsigned) cmd->u.block.len);
    rc = uv_fs_write(NULL, &req, u->fd, &buf, 1, u->size, NULL);
    uv_fs_req_cleanup(&req);

    if (rc != (int) cmd->u.block.len
        || EVP_DigestUpdate(u->md, cmd->u.block.data, cmd->u.block.len) != 1)
    {
        mesh_agent_update_drop(u, rc < 0 ? uv_strerror(rc)
                                         : "no space is left");
        return;
    }

    u->size += rc;

    n = mesh_agent_write_request(msg, MESH_AGENT_UPDATE_BLOCK, cmd->id);
    (void) mesh_agent_channel_send(u->a->channel, msg, n, 0);
}


static void
mesh_agent_update_end(mesh_agent_update_t *u, const uint8_t *hash)
{
    int      rc;
    uint8_t  sum[EVP_MAX_MD_SIZE];
    uv_fs_t  req;

    if (u->fd < 0) {
        return;
    }

    if (EVP_DigestFinal_ex(u->md, sum, NULL) != 1
        || memcmp(sum, hash, MESH_AGENT_ID_LEN) != 0)
    {
        mesh_agent_update_drop(u, "it came damaged");
        return;
    }

    rc = uv_fs_fsync(NULL, &req, u->fd, NULL);
    uv_fs_req_cleanup(&req);

    (void) uv_fs_close(NULL, &req, u->fd, NULL);
    uv_fs_req_cleanup(&req);
    u->fd = -1;

    EVP_MD_CTX_free(u->md);
    u->md = NULL;

    if (rc == 0) {
        rc = uv_fs_chmod(NULL, &req, u->path, 0755, NULL);
        uv_fs_req_cleanup(&req);
    }

    if (rc == 0) {
        rc = mesh_agent_update_run(u);
    }

    if (rc != 0) {
        mesh_agent_update_drop(u, uv_strerror(rc));
    }
}


/* a program that cannot even say its version is not put in place */
static int
mesh_agent_update_run(mesh_agent_update_t *u)
{
    int                   rc;
    char                 *argv[3], word[] = "version";
    uv_process_options_t  opts;

    argv[0] = u->path;
    argv[1] = word;
    argv[2] = NULL;

    memset(&opts, 0, sizeof(opts));
    opts.file = u->path;
    opts.args = argv;
    opts.exit_cb = mesh_agent_update_tested;
    opts.flags = UV_PROCESS_WINDOWS_HIDE;

    u->test = mesh_agent_alloc(sizeof(uv_process_t));
    rc = uv_spawn(u->a->loop, u->test, &opts);
    u->test->data = u;

    if (rc != 0) {
        u->test->data = NULL;
        uv_close((uv_handle_t *) u->test, mesh_agent_update_test_gone);
        u->test = NULL;
        return rc;
    }

    (void) uv_timer_start(&u->timer, mesh_agent_update_slow,
                          MESH_AGENT_UPDATE_TEST, 0);
    return 0;
}


static void
mesh_agent_update_slow(uv_timer_t *timer)
{
    mesh_agent_update_t *u = timer->data;

    (void) uv_process_kill(u->test, SIGKILL);
}


static void
mesh_agent_update_tested(uv_process_t *p, int64_t status, int sig)
{
    mesh_agent_update_t *u = p->data;

    uv_close((uv_handle_t *) p, mesh_agent_update_test_gone);

    if (u == NULL) {
        return;
    }

    u->test = NULL;
    (void) uv_timer_stop(&u->timer);

    if (status != 0 || sig != 0) {
        mesh_agent_update_drop(u, "it does not run on this machine");
        return;
    }

    mesh_agent_update_replace(u);
}


static void
mesh_agent_update_test_gone(uv_handle_t *handle)
{
    free(handle);
}


/* a trial without another program is none, and ends when that is let in */
static void
mesh_agent_update_replace(mesh_agent_update_t *u)
{
    int  rc;

    rc = mesh_agent_update_write(u->count, 0);

    if (rc == 0) {
        rc = mesh_agent_os_swap(u->path, u->a->conf->exe, u->old);
    }

    if (rc != 0) {
        mesh_agent_update_over(u->count);
        mesh_agent_update_drop(u, uv_strerror(rc));
        return;
    }

    mesh_agent_log(MESH_AGENT_LOG_NOTICE, "a new program is in place, starting "
                   "again");
    mesh_agent_restart(u->a);
}


/* why: NULL, or what is wrong with it */
static void
mesh_agent_update_drop(mesh_agent_update_t *u, const char *why)
{
    uv_fs_t  req;

    if (why) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "the server's program is not "
                       "taken: %s", why);
    }

    if (u->fd >= 0) {
        (void) uv_fs_close(NULL, &req, u->fd, NULL);
        uv_fs_req_cleanup(&req);
        u->fd = -1;
    }

    EVP_MD_CTX_free(u->md);
    u->md = NULL;

    (void) mesh_agent_update_remove(u->path);
}


static int
mesh_agent_update_remove(const char *path)
{
    int      rc;
    uv_fs_t  req;

    rc = uv_fs_unlink(NULL, &req, path, NULL);
    uv_fs_req_cleanup(&req);

    return rc;
}

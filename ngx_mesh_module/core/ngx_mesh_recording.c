/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "../ngx_mesh.h"
#include "../../proto/mesh_mcrec.h"
#include <sys/file.h>
#include "ngx_mesh_recording.h"


#define NGX_MESH_RECORDING_FILES  100000   /* of a folder */

#define ngx_mesh_recording_named(conf, p)                                     \
    (((conf)->protocols[(p) / 8] & 1 << (p) % 8) != 0)


typedef enum {
    NGX_MESH_RECORDING_LIST = 0,
    NGX_MESH_RECORDING_OPEN,
    NGX_MESH_RECORDING_DELETE,
    NGX_MESH_RECORDING_SWEEP
} ngx_mesh_recording_e;

/* the task's; the thread has it until its event */
typedef struct {
    ngx_mesh_recording_req_t  req;
    ngx_mesh_recording_e      what;
    u_char                   *dir;
    u_char                    name[256];
    u_char                    domain_name[64];
    ngx_str_t                 domain;       /* of the list */
    ngx_uint_t                limit;
    ngx_uint_t                count, days;      /* kept, 0: any */
    off_t                     size;
    ngx_uint_t                removed;
    ngx_mesh_record_conf_t   *conf;   /* not the thread's */
} ngx_mesh_recording_ctx_t;

typedef struct {
    char      name[256];
} ngx_mesh_recording_file_t;


static ngx_int_t ngx_mesh_recording_post(ngx_mesh_record_conf_t *conf,
    ngx_mesh_recording_e what, const ngx_str_t *name, ngx_uint_t limit,
    const ngx_str_t *domain, void (*done)(ngx_mesh_recording_req_t *req),
    void *data);
static void ngx_mesh_recording_run(void *data, ngx_log_t *log);
static void ngx_mesh_recording_ran(ngx_event_t *ev);
static void ngx_mesh_recording_scan(ngx_mesh_recording_ctx_t *ctx, int dir);
static ngx_mesh_recording_file_t *ngx_mesh_recording_files(int dir,
    ngx_uint_t *n);
static int ngx_mesh_recording_newer(const void *one, const void *two);
static int ngx_mesh_recording_read(int dir, const char *name,
    ngx_mesh_recording_t *r);
static void ngx_mesh_recording_remove(ngx_mesh_recording_ctx_t *ctx, int dir);
static ngx_uint_t ngx_mesh_recording_written(int dir, const char *name);
static const char *ngx_mesh_recording_when(const char *name);


void
ngx_mesh_recording_name(u_char *buf, size_t size, const ngx_str_t *domain,
    const ngx_str_t *user, int64_t ms, uint64_t serial)
{
    u_char      ch, *p, *last;
    ngx_tm_t    tm;
    ngx_uint_t  i;

    last = buf + size - 1;
    ngx_gmtime((time_t) (ms / 1000), &tm);

    p = ngx_slprintf(buf, last, "relaysession-%V%s%4d-%02d-%02d-%02d-%02d-%02d-",
                     domain, domain->len ? "-" : "", tm.ngx_tm_year,
                     tm.ngx_tm_mon, tm.ngx_tm_mday, tm.ngx_tm_hour,
                     tm.ngx_tm_min, tm.ngx_tm_sec);

    for (i = 0; i < user->len && i < 64 && p < last; i++) {
        ch = user->data[i];

        *p++ = (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
               || (ch >= 'a' && ch <= 'z') ? ch : '_';
    }

    p = ngx_slprintf(p, last, "-%016xL.mcrec", serial);
    *p = '\0';
}


ngx_uint_t
ngx_mesh_recording_valid(const ngx_str_t *name)
{
    u_char      ch;
    ngx_uint_t  i;

    if (name->len < 7 || name->len > 255 || name->data[0] == '.'
        || ngx_memcmp(name->data + name->len - 6, ".mcrec", 6) != 0)
    {
        return 0;
    }

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if (!(ch >= '0' && ch <= '9') && !(ch >= 'A' && ch <= 'Z')
            && !(ch >= 'a' && ch <= 'z') && ch != '-' && ch != '_'
            && ch != '.' && ch != '@')
        {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_mesh_recording_due(ngx_mesh_record_conf_t *conf, uint32_t p,
    uint32_t flags, int64_t group_id)
{
    ngx_uint_t         i, kind, named;
    ngx_mesh_group_t  *group;

    /* of one kind: the viewer chooses among them when the session is open */
    static const struct {
        uint8_t  p, kind;
    } same[] = {
        { 1, 1 }, { 6, 1 }, { 8, 1 }, { 9, 1 }, { 5, 5 }, { 10, 5 }
    };

    if (conf->path == NULL || p > 255) {
        return 0;
    }

    named = ngx_mesh_recording_named(conf, p);
    kind = 0;

    for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        if (same[i].p == p) {
            kind = same[i].kind;
        }
    }

    for (i = 0; kind && i < sizeof(same) / sizeof(same[0]); i++) {
        named |= same[i].kind == kind
                 && ngx_mesh_recording_named(conf, same[i].p);
    }

    if (!named) {
        return 0;
    }

    group = ngx_mesh_group(group_id);

    return !conf->flagged || (flags & NGX_MESH_A_RECORD)
           || (group && (group->flags & NGX_MESH_GF_RECORD));
}


ngx_int_t
ngx_mesh_recording_list(ngx_mesh_record_conf_t *conf, const ngx_str_t *domain,
    ngx_uint_t limit, void (*done)(ngx_mesh_recording_req_t *req), void *data)
{
    return ngx_mesh_recording_post(conf, NGX_MESH_RECORDING_LIST, NULL, limit,
                                   domain, done, data);
}


ngx_int_t
ngx_mesh_recording_open(ngx_mesh_record_conf_t *conf, const ngx_str_t *name,
    void (*done)(ngx_mesh_recording_req_t *req), void *data)
{
    return ngx_mesh_recording_post(conf, NGX_MESH_RECORDING_OPEN, name, 0,
                                   NULL, done, data);
}


ngx_int_t
ngx_mesh_recording_delete(ngx_mesh_record_conf_t *conf, const ngx_str_t *name,
    void (*done)(ngx_mesh_recording_req_t *req), void *data)
{
    return ngx_mesh_recording_post(conf, NGX_MESH_RECORDING_DELETE, name, 0,
                                   NULL, done, data);
}


ngx_uint_t
ngx_mesh_recording_of(const ngx_mesh_recording_t *r, const ngx_str_t *domain)
{
    u_char            prefix[80];
    size_t            len;
    ngx_str_t         node;
    ngx_uint_t        good;
    ngx_mesh_json_t  *meta;

    meta = ngx_mesh_json_parse_thread(r->meta.data, r->meta.len);
    if (meta == NULL) {
        return 0;
    }

    len = ngx_snprintf(prefix, sizeof(prefix), "node/%V/", domain) - prefix;

    good = ngx_mesh_json_str(meta, "nodeid", &node) == NGX_OK
           && node.len > len && ngx_memcmp(node.data, prefix, len) == 0;

    ngx_mesh_json_free(meta);

    return good;
}


void
ngx_mesh_recording_sweep(ngx_mesh_record_conf_t *conf)
{
    if (conf->path == NULL || conf->sweeping
        || (conf->days == 0 && conf->size == 0 && conf->count == 0))
    {
        return;
    }

    if (ngx_mesh_recording_post(conf, NGX_MESH_RECORDING_SWEEP, NULL, 0, NULL,
                                NULL, NULL)
        == NGX_OK)
    {
        conf->sweeping = 1;
    }
}


void
ngx_mesh_recording_sweep_all(void)
{
    ngx_uint_t                   i;
    ngx_http_conf_ctx_t         *ctx;
    ngx_http_mesh_srv_conf_t    *srv;
    ngx_http_core_srv_conf_t   **cscfp;
    ngx_http_core_main_conf_t   *cmcf;

    ctx = (ngx_http_conf_ctx_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                               ngx_http_module);
    cmcf = ctx->main_conf[ngx_http_core_module.ctx_index];
    cscfp = cmcf->servers.elts;

    for (i = 0; i < cmcf->servers.nelts; i++) {
        srv = cscfp[i]->ctx->srv_conf[ngx_http_mesh_module.ctx_index];
        ngx_mesh_recording_sweep(&srv->record);
    }
}


static ngx_int_t
ngx_mesh_recording_post(ngx_mesh_record_conf_t *conf,
    ngx_mesh_recording_e what, const ngx_str_t *name, ngx_uint_t limit,
    const ngx_str_t *domain, void (*done)(ngx_mesh_recording_req_t *req),
    void *data)
{
    ngx_str_t                  pool;
    ngx_thread_pool_t         *tp;
    ngx_thread_task_t         *task;
    ngx_mesh_recording_ctx_t  *ctx;

    if (name && !ngx_mesh_recording_valid(name)) {
        return NGX_ERROR;
    }

    ngx_str_set(&pool, "default");
    tp = ngx_thread_pool_get((ngx_cycle_t *) ngx_cycle, &pool);

    task = ngx_calloc(sizeof(ngx_thread_task_t)
                      + sizeof(ngx_mesh_recording_ctx_t), ngx_cycle->log);

    if (tp == NULL || task == NULL) {
        ngx_free(task);
        return NGX_ERROR;
    }

    ctx = (ngx_mesh_recording_ctx_t *) (task + 1);

    ctx->what = what;
    ctx->conf = conf;
    ctx->dir = conf->path->name.data;
    ctx->limit = limit;
    ctx->count = conf->count;
    ctx->days = conf->days;
    ctx->size = conf->size;
    ctx->req.fd = NGX_INVALID_FILE;
    ctx->req.done = done;
    ctx->req.data = data;

    if (name) {
        ngx_memcpy(ctx->name, name->data, name->len);
    }

    if (domain) {
        ctx->domain.data = ctx->domain_name;
        ctx->domain.len = ngx_min(domain->len, sizeof(ctx->domain_name));
        ngx_memcpy(ctx->domain_name, domain->data, ctx->domain.len);
    }

    task->ctx = ctx;
    task->handler = ngx_mesh_recording_run;
    task->event.handler = ngx_mesh_recording_ran;
    task->event.data = task;

    if (ngx_thread_task_post(tp, task) != NGX_OK) {
        ngx_free(task);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_mesh_recording_run(void *data, ngx_log_t *log)
{
    ngx_mesh_recording_ctx_t *ctx = data;

    int                        dir;
    ngx_mesh_recording_req_t  *req;

    req = &ctx->req;
    dir = open((char *) ctx->dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (dir == -1) {
        req->err = ngx_errno;
        return;
    }

    switch (ctx->what) {

    case NGX_MESH_RECORDING_LIST:
        ngx_mesh_recording_scan(ctx, dir);
        break;

    case NGX_MESH_RECORDING_OPEN:
        req->list = calloc(1, sizeof(ngx_mesh_recording_t));

        if (req->list == NULL) {
            req->err = NGX_ENOMEM;
            break;
        }

        req->fd = ngx_mesh_recording_read(dir, (char *) ctx->name, req->list);

        if (req->fd == -1) {
            req->err = NGX_ENOENT;
            break;
        }

        req->n = 1;
        break;

    case NGX_MESH_RECORDING_DELETE:

        if (unlinkat(dir, (char *) ctx->name, 0) == -1) {
            req->err = ngx_errno;
        }

        break;

    default:    /* NGX_MESH_RECORDING_SWEEP */
        ngx_mesh_recording_remove(ctx, dir);
        break;
    }

    (void) close(dir);
}


static void
ngx_mesh_recording_ran(ngx_event_t *ev)
{
    ngx_uint_t                 i;
    ngx_thread_task_t         *task;
    ngx_mesh_recording_ctx_t  *ctx;

    task = ev->data;
    ctx = task->ctx;

    if (ctx->what == NGX_MESH_RECORDING_SWEEP) {
        ctx->conf->sweeping = 0;

        if (ctx->removed) {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "mesh relay: %ui old recordings in \"%s\" are gone, "
                          "as mesh_relay_record_keep says", ctx->removed,
                          ctx->dir);
        }

    } else {
        ctx->req.done(&ctx->req);
    }

    for (i = 0; i < ctx->req.n; i++) {
        free(ctx->req.list[i].meta.data);
    }

    free(ctx->req.list);
    ngx_free(task);
}


/* the newest of the domain; others are not even counted */
static void
ngx_mesh_recording_scan(ngx_mesh_recording_ctx_t *ctx, int dir)
{
    int                         fd;
    ngx_uint_t                  i, n;
    ngx_mesh_recording_t        r;
    ngx_mesh_recording_req_t   *req;
    ngx_mesh_recording_file_t  *files;

    req = &ctx->req;
    files = ngx_mesh_recording_files(dir, &n);
    req->list = calloc(ctx->limit, sizeof(ngx_mesh_recording_t));

    if (files == NULL || req->list == NULL) {
        req->err = NGX_ENOMEM;
        free(files);
        return;
    }

    for (i = 0; i < n && !req->more; i++) {
        ngx_memzero(&r, sizeof(ngx_mesh_recording_t));

        fd = ngx_mesh_recording_read(dir, files[i].name, &r);
        if (fd == -1) {
            continue;
        }

        (void) close(fd);

        if (ngx_mesh_recording_of(&r, &ctx->domain)) {

            if (req->n < ctx->limit) {
                req->list[req->n++] = r;
                continue;
            }

            req->more = 1;
        }

        free(r.meta.data);
    }

    free(files);
}


/* names of the folder, newest first; NULL: no memory */
static ngx_mesh_recording_file_t *
ngx_mesh_recording_files(int dir, ngx_uint_t *n)
{
    int                         fd;
    DIR                        *d;
    ngx_str_t                   name;
    ngx_uint_t                  size;
    struct dirent              *e;
    ngx_mesh_recording_file_t  *files, *more;

    *n = 0;
    size = 64;
    files = malloc(size * sizeof(ngx_mesh_recording_file_t));
    fd = dup(dir);
    d = fd == -1 ? NULL : fdopendir(fd);

    if (files == NULL || d == NULL) {
        free(files);

        if (d) {
            (void) closedir(d);

        } else if (fd != -1) {
            (void) close(fd);
        }

        return NULL;
    }

    while (*n < NGX_MESH_RECORDING_FILES && (e = readdir(d)) != NULL) {
        name.data = (u_char *) e->d_name;
        name.len = ngx_strlen(e->d_name);

        if (!ngx_mesh_recording_valid(&name)) {
            continue;
        }

        if (*n == size) {
            size *= 2;
            more = realloc(files, size * sizeof(ngx_mesh_recording_file_t));

            if (more == NULL) {
                break;
            }

            files = more;
        }

        ngx_memcpy(files[*n].name, e->d_name, name.len + 1);
        (*n)++;
    }

    (void) closedir(d);

    qsort(files, *n, sizeof(ngx_mesh_recording_file_t),
          ngx_mesh_recording_newer);

    return files;
}


static int
ngx_mesh_recording_newer(const void *one, const void *two)
{
    return strcmp(ngx_mesh_recording_when(two), ngx_mesh_recording_when(one));
}


/* where in a name the date begins; names without one come last */
static const char *
ngx_mesh_recording_when(const char *name)
{
    const char  *p;
    ngx_uint_t   i;

    static const char  date[] = "dddd-dd-dd-dd-dd-dd";

    for (p = name; *p; p++) {

        for (i = 0; date[i]; i++) {
            if (date[i] == 'd' ? p[i] < '0' || p[i] > '9' : p[i] != '-') {
                break;
            }
        }

        if (date[i] == '\0') {
            return p;
        }
    }

    return p;
}


/* the descriptor of a recording, and what it says of itself; -1: it is none */
static int
ngx_mesh_recording_read(int dir, const char *name, ngx_mesh_recording_t *r)
{
    int                  fd;
    u_char               buf[MESH_MCREC_HEAD + NGX_MESH_RECORDING_META];
    ssize_t              n;
    uint64_t             ended, index;
    struct stat          st;
    mesh_mcrec_block_t   meta;

    fd = openat(dir, name, O_RDONLY|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC);
    if (fd == -1) {
        return -1;
    }

    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
        goto none;
    }

    n = pread(fd, buf, sizeof(buf), 0);

    if (n < MESH_MCREC_HEAD
        || mesh_mcrec_parse(buf, n, &meta) != MESH_OK
        || meta.type != MESH_MCREC_META
        || meta.size > (size_t) n - MESH_MCREC_HEAD)
    {
        goto none;
    }

    r->meta.data = malloc(meta.size + 1);
    if (r->meta.data == NULL) {
        goto none;
    }

    ngx_memcpy(r->meta.data, buf + MESH_MCREC_HEAD, meta.size);
    r->meta.len = meta.size;

    ngx_memcpy(r->name, name, ngx_strlen(name) + 1);
    r->size = st.st_size;
    r->began = (int64_t) meta.time;
    r->ended = (int64_t) st.st_mtime * 1000;

    n = st.st_size < 32 ? 0 : pread(fd, buf, 32, st.st_size - 32);

    if (n == 32 && mesh_mcrec_ended(buf, &ended, &index)) {
        r->whole = 1;

        if (index && pread(fd, buf, MESH_MCREC_HEAD, (off_t) index)
                     == MESH_MCREC_HEAD
            && mesh_mcrec_parse(buf, MESH_MCREC_HEAD, &meta) == MESH_OK
            && meta.type == MESH_MCREC_INDEX)
        {
            ended = meta.time;
        }

        if (ended) {
            r->ended = (int64_t) ended;
        }
    }

    return fd;

none:

    (void) close(fd);

    return -1;
}


/* the oldest, as long as there are too many, too large or too old ones */
static void
ngx_mesh_recording_remove(ngx_mesh_recording_ctx_t *ctx, int dir)
{
    off_t                       size;
    time_t                      now;
    ngx_uint_t                  i, n;
    struct stat                 st;
    ngx_mesh_recording_file_t  *files;

    files = ngx_mesh_recording_files(dir, &n);
    if (files == NULL) {
        return;
    }

    size = 0;
    now = time(NULL);

    for (i = 0; i < n; i++) {

        if (fstatat(dir, files[i].name, &st, AT_SYMLINK_NOFOLLOW) == -1
            || !S_ISREG(st.st_mode))
        {
            continue;
        }

        size += st.st_size;

        if ((ctx->count && i >= ctx->count)
            || (ctx->size && size > ctx->size)
            || (ctx->days
                && now - st.st_mtime > (time_t) ctx->days * 86400))
        {
            if (!ngx_mesh_recording_written(dir, files[i].name)
                && unlinkat(dir, files[i].name, 0) == 0)
            {
                ctx->removed++;
            }
        }
    }

    free(files);
}


/* 1: its recorder, of any worker, has it open still */
static ngx_uint_t
ngx_mesh_recording_written(int dir, const char *name)
{
    int         fd;
    ngx_uint_t  held;

    fd = openat(dir, name, O_RDONLY|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC);
    if (fd == -1) {
        return 0;
    }

    held = flock(fd, LOCK_EX|LOCK_NB) == -1 && ngx_errno == NGX_EAGAIN;

    (void) close(fd);

    return held;
}

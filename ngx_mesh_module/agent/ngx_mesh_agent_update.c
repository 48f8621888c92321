/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Native self-update, agent.md 4.5, where mesh_agents or mesh_own_agents says
 * "update": an agent is asked for the hash of its program, and where the folder
 * of its product has another one under its number that is sent, each block when
 * the one before it has been acknowledged.  A thread reads and hashes a file
 * once, until it changes.
 */

#include "ngx_mesh_agent.h"
#include "../core/ngx_mesh_auth.h"


#define NGX_MESH_UPDATE_FILES  64     /* programs that a worker knows */
#define NGX_MESH_UPDATE_SIZE   (64 * 1024 * 1024)
#define NGX_MESH_UPDATE_LOOK   10     /* seconds between looks at a file */
#define NGX_MESH_UPDATE_RUNS   8      /* at once in a worker */
#define NGX_MESH_UPDATE_TRIES  2      /* of one device in an hour */
#define NGX_MESH_UPDATE_WAIT   120    /* seconds for a block or the restart */


/* a file of the folder; lives as long as the worker */
typedef struct {
    ngx_str_t         folder;         /* of the configuration */
    ngx_uint_t        stock;
    ngx_uint_t        id;
    u_char            hash[NGX_MESH_ID_LEN];
    off_t             size;
    time_t            mtime;          /* 0: there is none, or not read yet */
    time_t            looked;
    unsigned          known:1;        /* hash is that of size and mtime */
} ngx_mesh_program_t;

typedef struct {
    off_t                size;
    time_t               mtime;
    ngx_uint_t           stock;
    u_char               hash[NGX_MESH_ID_LEN];
    const char          *error;
    u_char               path[NGX_MAX_PATH + 16];
} ngx_mesh_hashing_t;

/* an agent's, while it gets its program */
struct ngx_mesh_update_s {
    ngx_queue_t          queue;
    ngx_mesh_agent_t    *a;
    ngx_fd_t             fd;
    off_t                size, sent;
    time_t               until;
    u_char               hash[NGX_MESH_ID_LEN];
};


static ngx_mesh_program_t *ngx_mesh_update_program(ngx_mesh_agent_t *a);
static void ngx_mesh_update_look(ngx_mesh_program_t *program);
static void ngx_mesh_update_hash(void *data, ngx_log_t *log);
static void ngx_mesh_update_hashed(ngx_event_t *ev);
static void ngx_mesh_update_each(ngx_mesh_session_t *s, void *data);
static void ngx_mesh_update_due(ngx_mesh_session_t *s, void *data);
static void ngx_mesh_update_begin(ngx_mesh_agent_t *a,
    ngx_mesh_program_t *program);
static void ngx_mesh_update_send(ngx_mesh_update_t *u);
static void ngx_mesh_update_path(u_char *path, ngx_mesh_program_t *program);
static void ngx_mesh_update_tick(void);


static ngx_mesh_program_t  ngx_mesh_programs[NGX_MESH_UPDATE_FILES];
static ngx_uint_t          ngx_mesh_nprograms;
static ngx_mesh_program_t *ngx_mesh_program_read;   /* by a thread, or NULL */
static ngx_queue_t         ngx_mesh_updates;
static ngx_uint_t          ngx_mesh_nupdates;
static ngx_uint_t          ngx_mesh_update_waits;   /* somebody is due */


void
ngx_mesh_agent_update_init(void)
{
    ngx_queue_init(&ngx_mesh_updates);
    ngx_mesh_tick_add(ngx_mesh_update_tick);
}


/* its core runs */
void
ngx_mesh_agent_update_start(ngx_mesh_agent_t *a)
{
    ngx_mesh_program_t        *program;
    ngx_http_mesh_srv_conf_t  *srv;

    srv = a->s->srv;

    if (!(a->stock ? srv->agents_update : srv->own_agents_update)
        || (a->caps & (MESH_AGENT_CAP_TEMPORARY|MESH_AGENT_CAP_RECOVERY)))
    {
        return;
    }

    program = ngx_mesh_update_program(a);

    /* one that is not known yet is asked for when it is */
    if (program && program->known && !a->update) {
        a->asked_hash = 1;
        ngx_mesh_agent_request_send(a, MESH_AGENT_HASH);
    }
}


/*
 * agent.md 4.6, once a minute; without "update" too: it does not ask by itself.
 * A program that nobody has read yet is hashed now, and offered to who asks
 * again.
 */
void
ngx_mesh_agent_update_asked(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool)
{
    u_char               hex[2 * NGX_MESH_ID_LEN], outer[NGX_MESH_ID_LEN];
    u_char               url[NGX_MAX_PATH];
    ngx_str_t            s, name, path, text;
    ngx_mesh_jw_t        w;
    ngx_mesh_program_t  *program;

    program = ngx_mesh_update_program(a);

    if (program == NULL || !program->known
        || ngx_mesh_cert_current(a->s->srv, outer) != NGX_OK)
    {
        return;
    }

    name.data = a->id;
    name.len = NGX_MESH_ID_LEN;

    if (ngx_mesh_rate(NGX_MESH_RATE_ASKED, &name, 1, 60) > 1
        || ngx_mesh_jw_init(&w, pool, 512) != NGX_OK)
    {
        return;
    }

    ngx_mesh_url_path(a->s->srv, &path);

    ngx_mesh_jw_open(&w, NULL, '{');
    ngx_mesh_jw_cstr(&w, "action", "agentupdate");

    s.data = url;
    s.len = ngx_snprintf(url, sizeof(url), "*/%V%smeshagents?id=%ui&product=%s",
                         &path, path.len ? "/" : "", program->id,
                         a->stock ? "stock" : "own")
            - url;
    ngx_mesh_jw_str(&w, "url", &s);

    s.data = hex;
    s.len = ngx_hex_dump(hex, program->hash, NGX_MESH_ID_LEN) - hex;
    ngx_mesh_jw_str(&w, "hash", &s);

    s.len = ngx_hex_dump(hex, outer, NGX_MESH_ID_LEN) - hex;
    ngx_mesh_jw_str(&w, "servertlshash", &s);

    if (ngx_mesh_json_str(j, "sessionid", &s) == NGX_OK && s.len <= 512) {
        ngx_mesh_jw_str(&w, "sessionid", &s);
    }

    ngx_mesh_jw_shut(&w, '}');

    if (ngx_mesh_jw_done(&w, &text) == NGX_OK) {
        (void) ngx_mesh_agent_send(a, text.data, text.len);
    }
}


static ngx_mesh_program_t *
ngx_mesh_update_program(ngx_mesh_agent_t *a)
{
    ngx_str_t           *folder;
    ngx_uint_t           i;
    ngx_mesh_program_t  *program, *spare;

    folder = a->stock ? &a->s->srv->agents : &a->s->srv->own_agents;
    spare = NULL;

    for (i = 0; i < ngx_mesh_nprograms; i++) {
        program = &ngx_mesh_programs[i];

        if (program->id == a->agent_id && program->stock == a->stock
            && program->folder.len == folder->len
            && ngx_memcmp(program->folder.data, folder->data, folder->len)
               == 0)
        {
            return program;
        }

        /* an agent may say any number: what has no file makes room */
        if (program->mtime == 0 && program != ngx_mesh_program_read) {
            spare = program;
        }
    }

    if (folder->len == 0 || folder->len > NGX_MAX_PATH) {
        return NULL;
    }

    if (ngx_mesh_nprograms < NGX_MESH_UPDATE_FILES) {
        spare = &ngx_mesh_programs[ngx_mesh_nprograms++];
    }

    if (spare == NULL) {
        return NULL;
    }

    ngx_memzero(spare, sizeof(ngx_mesh_program_t));
    spare->folder = *folder;
    spare->stock = a->stock;
    spare->id = a->agent_id;

    ngx_mesh_update_look(spare);

    return spare;
}


static void
ngx_mesh_update_path(u_char *path, ngx_mesh_program_t *program)
{
    *ngx_sprintf(path, "%V/%ui", &program->folder, program->id) = '\0';
}


/* is the file another one than it was? */
static void
ngx_mesh_update_look(ngx_mesh_program_t *program)
{
    u_char               path[NGX_MAX_PATH + 16];
    ngx_str_t            name;
    ngx_file_info_t      fi;
    ngx_thread_pool_t   *tp;
    ngx_thread_task_t   *task;
    ngx_mesh_hashing_t  *h;

    /* one at a time, so that SQLite finds a thread; the tick looks again */
    if (ngx_mesh_program_read) {
        return;
    }

    program->looked = ngx_time();
    ngx_mesh_update_path(path, program);

    if (ngx_file_info(path, &fi) == NGX_FILE_ERROR || !ngx_is_file(&fi)) {
        program->known = 0;
        program->mtime = 0;
        return;
    }

    if (program->size == ngx_file_size(&fi)
        && program->mtime == ngx_file_mtime(&fi))
    {
        return;         /* known, or found to be of no use */
    }

    ngx_str_set(&name, "default");
    tp = ngx_thread_pool_get((ngx_cycle_t *) ngx_cycle, &name);

    task = ngx_calloc(sizeof(ngx_thread_task_t) + sizeof(ngx_mesh_hashing_t),
                      ngx_cycle->log);

    if (tp == NULL || task == NULL) {
        ngx_free(task);
        return;
    }

    /* what cannot be read is not tried again until it changes */
    h = (ngx_mesh_hashing_t *) (task + 1);
    h->size = ngx_file_size(&fi);
    h->mtime = ngx_file_mtime(&fi);
    h->stock = program->stock;
    ngx_memcpy(h->path, path, sizeof(path));

    task->ctx = h;
    task->handler = ngx_mesh_update_hash;
    task->event.handler = ngx_mesh_update_hashed;
    task->event.data = task;

    if (ngx_thread_task_post(tp, task) != NGX_OK) {
        ngx_free(task);
        return;
    }

    ngx_mesh_program_read = program;
    program->known = 0;
}


/* in a thread: may block, must not touch anything of the worker */
static void
ngx_mesh_update_hash(void *data, ngx_log_t *log)
{
    ngx_mesh_hashing_t *h = data;

    int           fd;
    off_t         left;
    u_char       *buf;
    ssize_t       n;
    EVP_MD_CTX   *ctx;
    struct stat   st;

    fd = open((char *) h->path, O_RDONLY|O_CLOEXEC);
    buf = malloc(65536);
    ctx = EVP_MD_CTX_new();
    h->error = "cannot be read";

    if (fd == -1 || buf == NULL || ctx == NULL || fstat(fd, &st) == -1
        || EVP_DigestInit_ex(ctx, EVP_sha384(), NULL) != 1)
    {
        goto done;
    }

    h->size = st.st_size;
    h->mtime = st.st_mtime;
    left = h->size;

    if (st.st_size < 4 || st.st_size > NGX_MESH_UPDATE_SIZE) {
        h->error = "is empty or over 64 MB";
        goto done;
    }

    while ((n = read(fd, buf, 65536)) > 0) {

        /* their hash leaves out what a signature adds */
        if (h->stock && left == h->size && buf[0] == 'M' && buf[1] == 'Z') {
            h->error = "is for Windows, which is not updated in this way";
            goto done;
        }

        left -= n;
        (void) EVP_DigestUpdate(ctx, buf, n);
    }

    if (n == 0 && left == 0
        && EVP_DigestFinal_ex(ctx, h->hash, NULL) == 1)
    {
        h->error = NULL;
    }

done:

    if (fd != -1) {
        (void) close(fd);
    }

    EVP_MD_CTX_free(ctx);
    free(buf);
}


static void
ngx_mesh_update_hashed(ngx_event_t *ev)
{
    ngx_thread_task_t   *task;
    ngx_mesh_hashing_t  *h;
    ngx_mesh_program_t  *program;

    task = ev->data;
    h = task->ctx;
    program = ngx_mesh_program_read;

    ngx_mesh_program_read = NULL;
    program->size = h->size;
    program->mtime = h->mtime;

    if (h->error) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "mesh agents: \"%s\" %s", h->path, h->error);

    } else {
        ngx_memcpy(program->hash, h->hash, NGX_MESH_ID_LEN);
        program->known = 1;
        ngx_mesh_session_each(&ngx_mesh_agent_class, ngx_mesh_update_each,
                              program);
    }

    ngx_free(task);
}


static void
ngx_mesh_update_each(ngx_mesh_session_t *s, void *data)
{
    ngx_mesh_agent_t *a = s->data;

    if (a->state == NGX_MESH_AGENT_ONLINE && a->ready
        && a->agent_id == ((ngx_mesh_program_t *) data)->id)
    {
        ngx_mesh_agent_update_start(a);
    }
}


/* 12: the hash of its program */
void
ngx_mesh_agent_update_hash(ngx_mesh_agent_t *a, mesh_agent_msg_t *m)
{
    ngx_mesh_program_t  *program;

    if (!a->asked_hash) {
        return;
    }

    a->asked_hash = 0;
    program = ngx_mesh_update_program(a);

    /* zeros: it wants none */
    if (program && program->known && !m->u.hash.zero
        && ngx_memcmp(m->u.hash.hash, program->hash, NGX_MESH_ID_LEN) != 0)
    {
        a->update_due = 1;
        ngx_mesh_update_due(a->s, NULL);
    }
}


/* not into open tunnels, and not all at once: the tick tries again */
static void
ngx_mesh_update_due(ngx_mesh_session_t *s, void *data)
{
    ngx_mesh_agent_t *a = s->data;

    ngx_str_t            name;
    ngx_mesh_program_t  *program;

    if (!a->update_due || a->update || a->state != NGX_MESH_AGENT_ONLINE) {
        return;
    }

    if (a->tunnels || ngx_mesh_nupdates >= NGX_MESH_UPDATE_RUNS) {
        ngx_mesh_update_waits = 1;
        return;
    }

    a->update_due = 0;
    program = ngx_mesh_update_program(a);
    name.data = a->id;
    name.len = NGX_MESH_ID_LEN;

    if (program == NULL || !program->known) {
        return;
    }

    if (ngx_mesh_rate(NGX_MESH_RATE_UPDATE, &name, 1, 3600)
        > NGX_MESH_UPDATE_TRIES)
    {
        ngx_log_error(NGX_LOG_NOTICE, s->c->log, 0,
                      "mesh agent: has another program after %d updates",
                      NGX_MESH_UPDATE_TRIES);
        return;
    }

    ngx_mesh_update_begin(a, program);
}


static void
ngx_mesh_update_begin(ngx_mesh_agent_t *a, ngx_mesh_program_t *program)
{
    u_char              path[NGX_MAX_PATH + 16];
    ngx_fd_t            fd;
    ngx_file_info_t     fi;
    ngx_mesh_update_t  *u;

    ngx_mesh_update_path(path, program);

    fd = ngx_open_file(path, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    /* a file that was changed in place is hashed anew first */
    if (fd == NGX_INVALID_FILE || ngx_fd_info(fd, &fi) == NGX_FILE_ERROR
        || ngx_file_size(&fi) != program->size
        || ngx_file_mtime(&fi) != program->mtime)
    {
        if (fd != NGX_INVALID_FILE) {
            (void) ngx_close_file(fd);
        }

        ngx_mesh_update_look(program);
        return;
    }

    u = ngx_calloc(sizeof(ngx_mesh_update_t), a->s->c->log);

    if (u == NULL) {
        (void) ngx_close_file(fd);
        return;
    }

    u->a = a;
    u->fd = fd;
    u->size = program->size;
    u->until = ngx_time() + NGX_MESH_UPDATE_WAIT;
    ngx_memcpy(u->hash, program->hash, NGX_MESH_ID_LEN);

    a->update = u;
    ngx_queue_insert_tail(&ngx_mesh_updates, &u->queue);
    ngx_mesh_nupdates++;

    ngx_log_error(NGX_LOG_NOTICE, a->s->c->log, 0,
                  "mesh agent: gets another program, \"%s\"", path);
    ngx_mesh_count(NGX_MESH_C_UPDATES);

    /* the core goes first: it may be what the new one does not understand */
    ngx_mesh_agent_request_send(a, MESH_AGENT_CORE);
    ngx_mesh_agent_request_send(a, MESH_AGENT_UPDATE);
    ngx_mesh_update_send(u);
}


/* 14: it has the block */
void
ngx_mesh_agent_update_next(ngx_mesh_agent_t *a, mesh_agent_msg_t *m)
{
    if (a->update && a->update->sent < a->update->size && m->id == 1) {
        ngx_mesh_update_send(a->update);
    }
}


static void
ngx_mesh_update_send(ngx_mesh_update_t *u)
{
    size_t             size, n;
    u_char             msg[MESH_AGENT_HASHED_LEN];
    ngx_mesh_frame_t  *f;

    size = (size_t) ngx_min(u->size - u->sent, MESH_AGENT_MAX_BLOCK);
    f = ngx_mesh_frame_create(NGX_MESH_WS_BINARY, 4 + size);

    if (f == NULL) {
        return;         /* the tick ends it */
    }

    n = mesh_agent_write_block(f->data);

    if (pread(u->fd, f->data + n, size, u->sent) != (ssize_t) size) {
        ngx_log_error(NGX_LOG_ERR, u->a->s->c->log, ngx_errno,
                      "mesh agent: cannot read on in its new program");
        ngx_mesh_frame_release(f);
        return;
    }

    (void) ngx_mesh_ws_send_frame(u->a->s, f);
    ngx_mesh_frame_release(f);

    u->sent += size;
    u->until = ngx_time() + NGX_MESH_UPDATE_WAIT;

    /* without an acknowledgement of the last one */
    if (u->sent == u->size) {
        n = mesh_agent_write_hashed(msg, MESH_AGENT_UPDATE, 0, u->hash);
        (void) ngx_mesh_agent_send(u->a, msg, n);
    }
}


void
ngx_mesh_agent_update_free(ngx_mesh_agent_t *a)
{
    ngx_mesh_update_t  *u;

    u = a->update;

    if (u == NULL) {
        return;
    }

    a->update = NULL;
    ngx_queue_remove(&u->queue);
    ngx_mesh_nupdates--;

    (void) ngx_close_file(u->fd);
    ngx_free(u);
}


static void
ngx_mesh_update_tick(void)
{
    ngx_uint_t           i;
    ngx_queue_t         *q, *next;
    ngx_mesh_agent_t    *a;
    ngx_mesh_update_t   *u;
    ngx_mesh_program_t  *program;

    /* it neither goes on nor restarts: let it have its core again */

    for (q = ngx_queue_head(&ngx_mesh_updates);
         q != ngx_queue_sentinel(&ngx_mesh_updates);
         q = next)
    {
        next = ngx_queue_next(q);
        u = ngx_queue_data(q, ngx_mesh_update_t, queue);

        if (u->until <= ngx_time()) {
            a = u->a;
            ngx_log_error(NGX_LOG_NOTICE, a->s->c->log, 0,
                          "mesh agent: does not take its new program");
            ngx_mesh_agent_update_free(a);
            a->pushes = 0;
            ngx_mesh_agent_request_send(a, MESH_AGENT_CORE_HASH);
        }
    }

    for (i = 0; i < ngx_mesh_nprograms; i++) {
        program = &ngx_mesh_programs[i];

        if (ngx_time() - program->looked >= NGX_MESH_UPDATE_LOOK) {
            ngx_mesh_update_look(program);
        }
    }

    if (ngx_mesh_update_waits) {
        ngx_mesh_update_waits = 0;
        ngx_mesh_session_each(&ngx_mesh_agent_class, ngx_mesh_update_due,
                              NULL);
    }
}

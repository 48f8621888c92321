/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Blocks go into the file in the order in which their messages began, whole.
 * While a message of one side is being written, what the other side says is
 * held; the size in a block's header is written when its message has ended.
 * A thread writes one buffer while another one fills; what a worker that is
 * killed had not written yet, at most a second, is lost, and the rest plays.
 */

#include "ngx_mesh_record.h"
#include "ngx_mesh_id.h"
#include "../../proto/mesh_mcrec.h"
#include <sys/file.h>


#define NGX_MESH_RECORD_POST   65536      /* bytes that are worth a task */
#define NGX_MESH_RECORD_HIGH   524288     /* read no more */
#define NGX_MESH_RECORD_BLOCK  0x40000000 /* a longer message is divided */
#define NGX_MESH_RECORD_NAME   256
#define NGX_MESH_RECORD_SWEEP  3600       /* seconds; and at the start */


typedef struct {
    u_char   *data;
    size_t    len, size;
} ngx_mesh_record_buf_t;

/* what the thread does; nobody else touches it meanwhile */
typedef struct {
    ngx_mesh_record_buf_t  buf;
    off_t                  offset;
    off_t                  patch;     /* where a size is written, 0: nowhere */
    u_char                 size[4];
    int                    fd;        /* -1: to be made */
    int                    err;
    const char            *what;      /* failed */
    off_t                  end;       /* of the file, when it is closed */
    unsigned               last:1;    /* close it */
    unsigned               indexed:1; /* before that */
    u_char                *dir;
    u_char                *name;
} ngx_mesh_record_write_t;

struct ngx_mesh_record_s {
    ngx_thread_task_t        *task;   /* its ctx is w */
    ngx_mesh_record_write_t   w;
    ngx_queue_t               queue;

    ngx_mesh_record_buf_t     fill;
    off_t                     offset; /* of fill in the file */
    ngx_mesh_record_buf_t     held;   /* blocks of the other side */

    ngx_int_t                 open;   /* direction of the message, or -1 */
    off_t                     head;   /* of its block, in the file */
    uint32_t                  size;
    uint16_t                  flags[2];   /* of the last message */
    size_t                    held_head;
    uint32_t                  held_size;
    off_t                     patch;  /* of the next write, as in w */
    u_char                    patch_size[4];

    int64_t                   began, ended;   /* ms */
    void                    (*ready)(void *data);
    void                    (*failed)(void *data);
    void                     *data;
    ngx_http_mesh_srv_conf_t *srv;
    ngx_mesh_record_about_t   about;  /* texts follow, in one block */

    unsigned                  held_open:1;
    unsigned                  begun:2;    /* directions in a message */
    unsigned                  busy:1;     /* the thread has w */
    unsigned                  stopped:1;  /* somebody waits for ready() */
    unsigned                  over:1;     /* ngx_mesh_record_end() */
    unsigned                  broken:1;

    u_char                    name[NGX_MESH_RECORD_NAME];
};


static ngx_mesh_record_t *ngx_mesh_record_create(
    ngx_http_mesh_srv_conf_t *srv, const ngx_mesh_record_about_t *about,
    void (*ready)(void *data), void (*failed)(void *data), void *data);
static ngx_int_t ngx_mesh_record_add(ngx_mesh_record_buf_t *b,
    const void *data, size_t len);
static void ngx_mesh_record_block(ngx_mesh_record_t *rec,
    ngx_mesh_record_buf_t *b, ngx_uint_t type, ngx_uint_t flags, size_t size,
    int64_t at);
static void ngx_mesh_record_message(ngx_mesh_record_t *rec,
    ngx_uint_t direction);
static void ngx_mesh_record_bytes(ngx_mesh_record_t *rec,
    ngx_uint_t direction, const u_char *data, size_t len);
static void ngx_mesh_record_whole(ngx_mesh_record_t *rec,
    ngx_uint_t direction);
static ngx_int_t ngx_mesh_record_meta(ngx_mesh_record_t *rec);
static void ngx_mesh_record_post(ngx_mesh_record_t *rec);
static void ngx_mesh_record_write(void *data, ngx_log_t *log);
static void ngx_mesh_record_written(ngx_event_t *ev);
static void ngx_mesh_record_fail(ngx_mesh_record_t *rec, const char *what,
    int err);
static void ngx_mesh_record_log(ngx_mesh_record_t *rec);
static void ngx_mesh_record_free(ngx_mesh_record_t *rec);


static ngx_queue_t  ngx_mesh_records;
static ngx_uint_t   ngx_mesh_record_exiting;


ngx_int_t
ngx_mesh_record_begin(ngx_mesh_record_t **rec, ngx_http_mesh_srv_conf_t *srv,
    const ngx_mesh_record_about_t *what, void (*ready)(void *data),
    void (*failed)(void *data), void *data)
{
    u_char                    user[512], node[256];
    ngx_mesh_account_t       *account;
    ngx_mesh_record_about_t   about;

    *rec = NULL;
    about = *what;
    account = ngx_mesh_account(about.scope.account_id);

    if (account == NULL
        || !ngx_mesh_recording_due(&srv->record, about.protocol,
                                   account->flags, about.scope.group_id))
    {
        return NGX_DECLINED;
    }

    about.domain = account->domain;
    about.user = account->name;

    about.user_id.data = user;
    about.user_id.len = ngx_snprintf(user, sizeof(user), "user/%V/%V",
                                     &account->domain, &account->login)
                        - user;
    about.node_id.data = node;
    about.node_id.len = ngx_mesh_id_write(ngx_snprintf(node, 128, "node/%V/",
                                                       &account->domain),
                                          about.node)
                        - node;

    *rec = ngx_mesh_record_create(srv, &about, ready, failed, data);

    return *rec ? NGX_OK : NGX_ERROR;
}


static ngx_mesh_record_t *
ngx_mesh_record_create(ngx_http_mesh_srv_conf_t *srv,
    const ngx_mesh_record_about_t *about, void (*ready)(void *data),
    void (*failed)(void *data), void *data)
{
    u_char             *p;
    size_t              len;
    ngx_str_t          *s;
    ngx_uint_t          i;
    ngx_mesh_record_t  *rec;

    static const size_t  texts[] = {
        offsetof(ngx_mesh_record_about_t, domain),
        offsetof(ngx_mesh_record_about_t, user_id),
        offsetof(ngx_mesh_record_about_t, user),
        offsetof(ngx_mesh_record_about_t, node_id),
        offsetof(ngx_mesh_record_about_t, address)
    };

    len = sizeof(ngx_mesh_record_t) + sizeof(ngx_thread_task_t);

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        len += ((ngx_str_t *) ((u_char *) about + texts[i]))->len;
    }

    rec = ngx_calloc(len, ngx_cycle->log);
    if (rec == NULL) {
        return NULL;
    }

    rec->task = (ngx_thread_task_t *) (rec + 1);
    rec->srv = srv;
    rec->about = *about;
    rec->open = -1;
    rec->began = ngx_mesh_now_ms();
    rec->ready = ready;
    rec->failed = failed;
    rec->data = data;

    p = (u_char *) (rec->task + 1);

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        s = (ngx_str_t *) ((u_char *) &rec->about + texts[i]);
        p = ngx_cpymem(p, s->data, s->len);
        s->data = p - s->len;
    }

    rec->w.fd = -1;
    rec->w.dir = srv->record.path->name.data;
    rec->w.name = rec->name;

    rec->task->ctx = &rec->w;
    rec->task->handler = ngx_mesh_record_write;
    rec->task->event.handler = ngx_mesh_record_written;
    rec->task->event.data = rec;

    ngx_mesh_recording_name(rec->name, sizeof(rec->name), &rec->about.domain,
                            &rec->about.user, rec->began, rec->about.serial);

    if (ngx_mesh_record_meta(rec) != NGX_OK) {
        ngx_mesh_record_free(rec);
        return NULL;
    }

    ngx_queue_insert_tail(&ngx_mesh_records, &rec->queue);
    ngx_mesh_record_post(rec);

    return rec;
}


void
ngx_mesh_record_event(ngx_mesh_record_t *rec, ngx_uint_t direction,
    const mesh_ws_event_t *ev, const u_char *data, size_t len)
{
    if (rec->broken) {
        return;
    }

    switch (ev->what) {

    case MESH_WS_HEAD:

        if (ev->first) {
            rec->flags[direction] = (ev->opcode == MESH_WS_BINARY
                                     ? MESH_MCREC_BINARY : 0)
                                    | (direction == NGX_MESH_RECORD_USER
                                       ? MESH_MCREC_USER : 0);
            rec->begun |= 1 << direction;
            ngx_mesh_record_message(rec, direction);
        }

        break;

    case MESH_WS_DATA:

        if (rec->begun & 1 << direction) {
            ngx_mesh_record_bytes(rec, direction, data, len);
        }

        break;

    case MESH_WS_END:

        if (rec->begun & 1 << direction) {
            rec->begun &= ~(1 << direction);
            ngx_mesh_record_whole(rec, direction);
        }

        break;

    default:    /* MESH_WS_FRAME_END: messages are what is recorded */
        break;
    }

    if (!rec->busy && rec->fill.len >= NGX_MESH_RECORD_POST) {
        ngx_mesh_record_post(rec);
    }
}


ngx_uint_t
ngx_mesh_record_full(ngx_mesh_record_t *rec, ngx_uint_t direction)
{
    /* who must end a message before the others' can be written goes on */

    if (!rec->broken
        && (rec->fill.len >= NGX_MESH_RECORD_HIGH
            || (rec->held.len >= NGX_MESH_RECORD_HIGH
                && rec->open != (ngx_int_t) direction)))
    {
        rec->stopped = 1;
        return 1;
    }

    return 0;
}


void
ngx_mesh_record_end(ngx_mesh_record_t *rec)
{
    uint8_t  direction;

    rec->over = 1;
    rec->ended = ngx_mesh_now_ms();

    if (rec->broken) {
        if (!rec->busy) {
            ngx_mesh_record_free(rec);
        }

        return;
    }

    /* what was cut is a message all the same */
    for (direction = 0; direction < 2; direction++) {
        if (rec->open >= 0) {
            ngx_mesh_record_whole(rec, rec->open);
        }
    }

    ngx_mesh_record_block(rec, &rec->fill, MESH_MCREC_END, 0, 16, rec->ended);

    (void) ngx_mesh_record_add(&rec->fill, MESH_MCREC_TRAILER, 16);

    ngx_mesh_record_post(rec);
}


static ngx_int_t
ngx_mesh_record_add(ngx_mesh_record_buf_t *b, const void *data, size_t len)
{
    size_t   size;
    u_char  *p;

    if (len > b->size - b->len) {
        size = ngx_max(b->size * 2, b->len + len);
        size = ngx_max(size, 4096);

        p = ngx_alloc(size, ngx_cycle->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (b->data) {
            ngx_memcpy(p, b->data, b->len);
            ngx_free(b->data);
        }

        b->data = p;
        b->size = size;
    }

    ngx_memcpy(b->data + b->len, data, len);
    b->len += len;

    return NGX_OK;
}


static void
ngx_mesh_record_block(ngx_mesh_record_t *rec, ngx_mesh_record_buf_t *b,
    ngx_uint_t type, ngx_uint_t flags, size_t size, int64_t at)
{
    u_char              head[MESH_MCREC_HEAD];
    mesh_mcrec_block_t  block;

    block.type = type;
    block.flags = flags;
    block.size = size;
    block.time = at;

    (void) mesh_mcrec_head(head, &block);

    if (ngx_mesh_record_add(b, head, sizeof(head)) != NGX_OK) {
        ngx_mesh_record_fail(rec, "there is no memory", NGX_ENOMEM);
    }
}


/* a message begins: its block is written now, or held */
static void
ngx_mesh_record_message(ngx_mesh_record_t *rec, ngx_uint_t direction)
{
    int64_t  now;

    now = ngx_mesh_now_ms();

    if (rec->open == -1) {
        rec->open = direction;
        rec->head = rec->offset + rec->fill.len;
        rec->size = 0;
        ngx_mesh_record_block(rec, &rec->fill, MESH_MCREC_DATA,
                              rec->flags[direction], 0, now);
        return;
    }

    rec->held_open = 1;
    rec->held_head = rec->held.len;
    rec->held_size = 0;
    ngx_mesh_record_block(rec, &rec->held, MESH_MCREC_DATA,
                          rec->flags[direction], 0, now);
}


static void
ngx_mesh_record_bytes(ngx_mesh_record_t *rec, ngx_uint_t direction,
    const u_char *data, size_t len)
{
    ngx_int_t               rc;

    if (rec->open == (ngx_int_t) direction) {
        rc = ngx_mesh_record_add(&rec->fill, data, len);
        rec->size += len;

    } else {
        rc = ngx_mesh_record_add(&rec->held, data, len);
        rec->held_size += len;
    }

    if (rc != NGX_OK) {
        ngx_mesh_record_fail(rec, "there is no memory", NGX_ENOMEM);
        return;
    }

    if (rec->open == (ngx_int_t) direction
        && rec->size >= NGX_MESH_RECORD_BLOCK)
    {
        ngx_mesh_record_whole(rec, direction);
        ngx_mesh_record_message(rec, direction);
    }
}


/* a message ends: its size is known, and the other side's turn comes */
static void
ngx_mesh_record_whole(ngx_mesh_record_t *rec, ngx_uint_t direction)
{
    if (rec->open != (ngx_int_t) direction) {
        (void) mesh_put32(rec->held.data + rec->held_head + 4, rec->held_size);
        rec->held_open = 0;
        return;
    }

    if (rec->head >= rec->offset) {
        (void) mesh_put32(rec->fill.data + (rec->head - rec->offset) + 4,
                          rec->size);

    } else {
        /* one at most: the next block begins in what is not written yet */
        rec->patch = rec->head + 4;
        (void) mesh_put32(rec->patch_size, rec->size);
    }

    rec->open = -1;

    if (rec->held.len == 0) {
        return;
    }

    if (rec->held_open) {
        rec->open = !direction;
        rec->head = rec->offset + rec->fill.len + rec->held_head;
        rec->size = rec->held_size;
        rec->held_open = 0;
    }

    if (ngx_mesh_record_add(&rec->fill, rec->held.data, rec->held.len)
        != NGX_OK)
    {
        ngx_mesh_record_fail(rec, "there is no memory", NGX_ENOMEM);
        return;
    }

    rec->held.len = 0;

    if (rec->stopped && !rec->over && rec->fill.len < NGX_MESH_RECORD_HIGH) {
        rec->stopped = 0;
        rec->ready(rec->data);
    }
}


static ngx_int_t
ngx_mesh_record_meta(ngx_mesh_record_t *rec)
{
    u_char          buf[NGX_INT64_LEN + 1];
    ngx_int_t       rc;
    ngx_str_t       text;
    ngx_pool_t     *pool;
    ngx_mesh_jw_t   w;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_mesh_jw_init(&w, pool, 512);

    if (rc == NGX_OK) {
        ngx_mesh_jw_open(&w, NULL, '{');
        ngx_mesh_jw_cstr(&w, "magic", "MeshCentralRelaySession");
        ngx_mesh_jw_int(&w, "ver", 1);
        ngx_mesh_jw_str(&w, "userid", &rec->about.user_id);
        ngx_mesh_jw_str(&w, "username", &rec->about.user);
        text.data = buf;
        text.len = ngx_sprintf(buf, "%uL", rec->about.serial) - buf;
        ngx_mesh_jw_str(&w, "sessionid", &text);
        ngx_mesh_jw_str(&w, "ipaddr1", &rec->about.address);
        ngx_mesh_jw_int(&w, "protocol", rec->about.protocol);
        ngx_mesh_jw_str(&w, "nodeid", &rec->about.node_id);
        ngx_mesh_jw_shut(&w, '}');

        rc = ngx_mesh_jw_done(&w, &text);
    }

    if (rc == NGX_OK) {
        ngx_mesh_record_block(rec, &rec->fill, MESH_MCREC_META, 0, text.len,
                              rec->began);
        rc = ngx_mesh_record_add(&rec->fill, text.data, text.len);
    }

    ngx_destroy_pool(pool);

    return rc;
}


/* gives what there is to a thread, unless one is at it */
static void
ngx_mesh_record_post(ngx_mesh_record_t *rec)
{
    ngx_str_t                 name;
    ngx_thread_pool_t        *tp;
    ngx_mesh_record_buf_t     empty;
    ngx_mesh_record_write_t  *w;

    if (ngx_mesh_record_exiting) {
        /* its thread has ended, and no event says so any more */
        rec->busy = 0;
    }

    if (rec->busy || rec->broken
        || (rec->fill.len == 0 && rec->patch == 0 && !rec->over))
    {
        return;
    }

    w = &rec->w;

    empty = w->buf;
    w->buf = rec->fill;
    w->offset = rec->offset;
    w->patch = rec->patch;
    ngx_memcpy(w->size, rec->patch_size, sizeof(w->size));
    w->last = rec->over;
    /* a worker that ends does not wait for it */
    w->indexed = rec->about.protocol == 2 && !ngx_mesh_record_exiting;

    rec->fill = empty;
    rec->fill.len = 0;
    rec->offset += w->buf.len;
    rec->patch = 0;
    rec->busy = 1;

    if (ngx_mesh_record_exiting) {
        ngx_mesh_record_write(w, ngx_cycle->log);
        ngx_mesh_record_written(&rec->task->event);
        return;
    }

    ngx_str_set(&name, "default");
    tp = ngx_thread_pool_get((ngx_cycle_t *) ngx_cycle, &name);

    if (tp == NULL || ngx_thread_task_post(tp, rec->task) != NGX_OK) {
        rec->busy = 0;
        ngx_mesh_record_fail(rec, "no thread takes it", 0);
    }
}


/* in a thread */
static void
ngx_mesh_record_write(void *data, ngx_log_t *log)
{
    ngx_mesh_record_write_t *w = data;

    int       dir;
    u_char   *p, *last;
    off_t     offset;
    ssize_t   n;

    if (w->fd == -1) {
        w->what = "cannot be made";
        dir = open((char *) w->dir, O_PATH|O_DIRECTORY|O_CLOEXEC);

        if (dir != -1) {
            w->fd = openat(dir, (char *) w->name, O_RDWR|O_CREAT|O_EXCL
                           |O_NOFOLLOW|O_CLOEXEC, 0600);
        }

        w->err = ngx_errno;

        if (dir != -1) {
            (void) close(dir);
        }

        if (w->fd == -1) {
            return;
        }

        /* as long as it is open the sweep leaves it */
        (void) flock(w->fd, LOCK_SH|LOCK_NB);
    }

    w->err = 0;
    w->what = "cannot be written";
    p = w->buf.data;
    last = p + w->buf.len;
    offset = w->offset;

    while (p < last) {
        n = pwrite(w->fd, p, last - p, offset);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }

        if (n <= 0) {
            w->err = n ? ngx_errno : ENOSPC;
            return;
        }

        p += n;
        offset += n;
    }

    if (w->patch && pwrite(w->fd, w->size, 4, w->patch) != 4) {
        w->err = ngx_errno;
        return;
    }

    if (w->last) {
        w->end = w->indexed ? ngx_mesh_record_index(w->fd, offset) : offset;
        (void) close(w->fd);
        w->fd = -1;
    }
}


static void
ngx_mesh_record_written(ngx_event_t *ev)
{
    ngx_uint_t          last;
    ngx_mesh_record_t  *rec;

    rec = ev->data;
    rec->busy = 0;
    last = rec->w.last;

    if (rec->w.err) {
        ngx_mesh_record_fail(rec, rec->w.what, rec->w.err);
    }

    if (rec->broken && rec->over) {
        ngx_mesh_record_free(rec);
        return;
    }

    if (last) {
        ngx_mesh_record_log(rec);

        if (!ngx_mesh_record_exiting) {
            ngx_mesh_recording_sweep(&rec->srv->record);
        }

        ngx_mesh_record_free(rec);
        return;
    }

    if (rec->over || rec->fill.len >= NGX_MESH_RECORD_POST) {
        ngx_mesh_record_post(rec);
        return;
    }

    if (rec->stopped) {
        rec->stopped = 0;
        rec->ready(rec->data);
    }
}


/* said once; the session that must be recorded ends with it */
static void
ngx_mesh_record_fail(ngx_mesh_record_t *rec, const char *what, int err)
{
    if (rec->broken) {
        return;
    }

    rec->broken = 1;

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                  "mesh relay: recording \"%s/%s\" %s, the session ends",
                  rec->w.dir, rec->name, what);

    if (!rec->over) {
        rec->failed(rec->data);
    }
}


/* control.md 6.2, recording */
static void
ngx_mesh_record_log(ngx_mesh_record_t *rec)
{
    u_char             text[NGX_MESH_RECORD_NAME + 128];
    ngx_pool_t        *pool;
    ngx_str_t          name;
    ngx_mesh_jw_t      w;
    ngx_mesh_event_t   e;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    ngx_memzero(&e, sizeof(ngx_mesh_event_t));

    e.scope = rec->about.scope;
    e.kind = "relay";
    e.action = "recording";
    e.address = rec->about.address;

    name.data = rec->name;
    name.len = ngx_strlen(rec->name);

    e.text.data = text;
    e.text.len = ngx_snprintf(text, sizeof(text),
                              "Recorded a session of %V, %T seconds",
                              &rec->about.user,
                              (time_t) ((rec->ended - rec->began) / 1000))
                 - text;

    if (ngx_mesh_jw_init(&w, pool, 512) == NGX_OK) {
        ngx_mesh_jw_open(&w, NULL, '{');
        ngx_mesh_jw_str(&w, "filename", &name);
        ngx_mesh_jw_int(&w, "size", rec->w.end);
        ngx_mesh_jw_int(&w, "protocol", rec->about.protocol);
        ngx_mesh_jw_int(&w, "startTime", rec->began);
        ngx_mesh_jw_int(&w, "lengthTime", (rec->ended - rec->began) / 1000);
        ngx_mesh_jw_open(&w, "userids", '[');
        ngx_mesh_jw_str(&w, NULL, &rec->about.user_id);
        ngx_mesh_jw_shut(&w, ']');
        ngx_mesh_jw_shut(&w, '}');

        if (ngx_mesh_jw_done(&w, &e.doc) == NGX_OK) {
            ngx_mesh_event_log(&e);
        }
    }

    ngx_destroy_pool(pool);
}


static void
ngx_mesh_record_free(ngx_mesh_record_t *rec)
{
    if (rec->queue.next) {
        ngx_queue_remove(&rec->queue);
    }

    if (rec->w.fd != -1) {
        (void) close(rec->w.fd);
    }

    ngx_free(rec->w.buf.data);
    ngx_free(rec->fill.data);
    ngx_free(rec->held.data);
    ngx_free(rec);
}


/* each second: what waits is written, an idle one keeps no buffer */
static void
ngx_mesh_record_tick(void)
{
    ngx_queue_t        *q;
    ngx_mesh_record_t  *rec;

    static time_t  sweep;

    if (ngx_worker == 0 && ngx_time() >= sweep) {
        sweep = ngx_time() + NGX_MESH_RECORD_SWEEP;
        ngx_mesh_recording_sweep_all();
    }

    for (q = ngx_queue_head(&ngx_mesh_records);
         q != ngx_queue_sentinel(&ngx_mesh_records);
         q = ngx_queue_next(q))
    {
        rec = ngx_queue_data(q, ngx_mesh_record_t, queue);

        if (rec->busy) {
            continue;
        }

        if (rec->fill.len || rec->patch) {
            ngx_mesh_record_post(rec);
            continue;
        }

        ngx_free(rec->fill.data);
        ngx_memzero(&rec->fill, sizeof(ngx_mesh_record_buf_t));
        ngx_free(rec->w.buf.data);
        ngx_memzero(&rec->w.buf, sizeof(ngx_mesh_record_buf_t));
    }
}


void
ngx_mesh_record_init(void)
{
    ngx_queue_init(&ngx_mesh_records);
    ngx_mesh_tick_add(ngx_mesh_record_tick);
}


void
ngx_mesh_record_exit(void)
{
    ngx_mesh_record_exiting = 1;
}

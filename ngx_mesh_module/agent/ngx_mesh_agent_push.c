/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The script that an agent runs, agent.md 4: its hash is asked for, and where
 * it is another one ours is pushed.  A push destroys the agent's engine and
 * every terminal in it, so it waits until the last tunnel has ended.
 */

#include "ngx_mesh_agent.h"
#include <zlib.h>


#define NGX_MESH_CORE_MAX       (8 * 1024 * 1024)


/* ready to be sent: header, four zeros, text; shared by all agents */
typedef struct {
    ngx_mesh_frame_t  *frame;
    ngx_mesh_frame_t  *deflated;      /* zeros and text, or NULL */
    u_char             hash[NGX_MESH_ID_LEN];
} ngx_mesh_core_t;


static ngx_int_t ngx_mesh_core_load(ngx_mesh_core_t *core, ngx_str_t *file,
    ngx_log_t *log);
static ngx_mesh_frame_t *ngx_mesh_core_deflate(const u_char *hash,
    u_char *text, size_t len, ngx_log_t *log);
static ngx_mesh_core_t *ngx_mesh_agent_core_of(ngx_mesh_agent_t *a);
static void ngx_mesh_agent_ready(ngx_mesh_agent_t *a);
static void ngx_mesh_agent_hardware_send(ngx_mesh_agent_t *a,
    const ngx_str_t *hash);
static void ngx_mesh_agent_hardware(ngx_mesh_db_req_t *q, ngx_int_t rc);


static ngx_mesh_core_t  ngx_mesh_core_default;
static ngx_mesh_core_t  ngx_mesh_core_recovery;


ngx_int_t
ngx_mesh_agent_push_init(ngx_cycle_t *cycle)
{
    ngx_mesh_core_conf_t  *mcf;

    mcf = ngx_mesh_core_conf();

    if (ngx_mesh_core_load(&ngx_mesh_core_default, &mcf->core, cycle->log)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mesh_core_load(&ngx_mesh_core_recovery, &mcf->recovery,
                              cycle->log);
}


static ngx_int_t
ngx_mesh_core_load(ngx_mesh_core_t *core, ngx_str_t *name, ngx_log_t *log)
{
    off_t             size;
    u_char           *p;
    ssize_t           n;
    ngx_fd_t          fd;
    ngx_file_info_t   fi;

    if (name->len == 0) {
        return NGX_OK;
    }

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_CRIT, log, ngx_errno,
                      "mesh core: cannot open \"%V\"", name);
        return NGX_ERROR;
    }

    size = -1;

    if (ngx_fd_info(fd, &fi) != NGX_FILE_ERROR) {
        size = ngx_file_size(&fi);
    }

    if (size <= 0 || size > NGX_MESH_CORE_MAX) {
        ngx_log_error(NGX_LOG_CRIT, log, 0,
                      "mesh core: \"%V\" is empty or over 8 MB", name);
        (void) ngx_close_file(fd);
        return NGX_ERROR;
    }

    core->frame = ngx_mesh_frame_create(NGX_MESH_WS_BINARY,
                                        MESH_AGENT_HASHED_LEN + 4 + size);
    if (core->frame == NULL) {
        (void) ngx_close_file(fd);
        return NGX_ERROR;
    }

    p = core->frame->data + MESH_AGENT_HASHED_LEN;
    ngx_memzero(p, 4);
    n = ngx_read_fd(fd, p + 4, size);
    (void) ngx_close_file(fd);

    if (n != size) {
        ngx_log_error(NGX_LOG_CRIT, log, ngx_errno,
                      "mesh core: cannot read \"%V\"", name);
        ngx_mesh_frame_release(core->frame);
        core->frame = NULL;
        return NGX_ERROR;
    }

    ngx_mesh_sha384(p, 4 + size, core->hash);
    (void) mesh_agent_write_hashed(core->frame->data, MESH_AGENT_CORE, 0,
                                   core->hash);

    core->deflated = ngx_mesh_core_deflate(core->hash, p, 4 + size, log);

    return NGX_OK;
}


/* agent.md 4.2: without a header of zlib's, which agents take for damage */
static ngx_mesh_frame_t *
ngx_mesh_core_deflate(const u_char *hash, u_char *text, size_t len,
    ngx_log_t *log)
{
    size_t             size;
    u_char            *buf;
    z_stream           z;
    ngx_mesh_frame_t  *f;

    ngx_memzero(&z, sizeof(z_stream));

    if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, -MAX_WBITS,
                     MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY)
        != Z_OK)
    {
        return NULL;
    }

    size = deflateBound(&z, len);
    buf = ngx_alloc(size, log);
    f = NULL;

    if (buf) {
        z.next_in = text;
        z.avail_in = len;
        z.next_out = buf;
        z.avail_out = size;

        if (deflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out < len) {
            f = ngx_mesh_frame_create(NGX_MESH_WS_BINARY,
                                      MESH_AGENT_HASHED_LEN + z.total_out);
        }
    }

    if (f) {
        (void) mesh_agent_write_hashed(f->data, MESH_AGENT_CORE_DEFLATED, 0,
                                       hash);
        ngx_memcpy(f->data + MESH_AGENT_HASHED_LEN, buf, z.total_out);
    }

    (void) deflateEnd(&z);

    if (buf) {
        ngx_free(buf);
    }

    return f;
}


static ngx_mesh_core_t *
ngx_mesh_agent_core_of(ngx_mesh_agent_t *a)
{
    ngx_mesh_core_t  *core;

    if (a->core_mode == NGX_MESH_CORE_MODE_NONE) {
        return NULL;
    }

    core = (a->core_mode == NGX_MESH_CORE_MODE_RECOVERY
            || (a->caps & MESH_AGENT_CAP_RECOVERY))
           ? &ngx_mesh_core_recovery : &ngx_mesh_core_default;

    return core->frame ? core : NULL;
}


/* command 4 has been sent */
void
ngx_mesh_agent_push_start(ngx_mesh_agent_t *a)
{
    if (!(a->caps & MESH_AGENT_CAP_JAVASCRIPT)) {
        ngx_mesh_agent_ready(a);
        return;
    }

    ngx_mesh_agent_request_send(a, MESH_AGENT_CORE_HASH);
}


/* 11: what it runs.  It must be answered with 10 or 16. */
void
ngx_mesh_agent_push_hash(ngx_mesh_agent_t *a, mesh_agent_msg_t *m)
{
    ngx_mesh_core_t  *core;

    /* it says that its core is gone: it gets another program */
    if (a->update) {
        return;
    }

    core = ngx_mesh_agent_core_of(a);

    /* pinned by its owner, or a custom state that we asked for */
    if (m->u.hash.hash && m->u.hash.zero) {
        ngx_mesh_agent_request_send(a, MESH_AGENT_CORE_OK);
        ngx_mesh_agent_ready(a);
        return;
    }

    if (core == NULL) {

        /* cleared it is already, or will say so */
        if (m->u.hash.hash) {
            ngx_mesh_agent_request_send(a, MESH_AGENT_CORE);

        } else {
            ngx_mesh_agent_request_send(a, MESH_AGENT_CORE_OK);
        }

        return;
    }

    if (m->u.hash.hash
        && ngx_memcmp(m->u.hash.hash, core->hash, NGX_MESH_ID_LEN) == 0)
    {
        a->pushes = 0;
        a->core_wanted = 0;
        ngx_mesh_agent_request_send(a, MESH_AGENT_CORE_OK);
        ngx_mesh_agent_ready(a);
        return;
    }

    if (a->tunnels && m->u.hash.hash) {
        a->core_wanted = 1;
        ngx_mesh_agent_request_send(a, MESH_AGENT_CORE_OK);
        ngx_mesh_agent_ready(a);
        return;
    }

    if (a->pushes == NGX_MESH_AGENT_TRIES) {
        ngx_log_error(NGX_LOG_INFO, a->s->c->log, 0,
                      "mesh agent: does not keep its core after %d pushes",
                      NGX_MESH_AGENT_TRIES);
        return;
    }

    a->pushes++;
    a->core_wanted = 0;
    ngx_mesh_count(NGX_MESH_C_CORES_PUSHED);
    (void) ngx_mesh_ws_send_frame(a->s,
                                  core->deflated
                                  && (a->caps & MESH_AGENT_CAP_COMPRESSED)
                                  ? core->deflated : core->frame);
}


/* a tunnel has ended: what had to wait is done now */
void
ngx_mesh_agent_push_tunnels(ngx_mesh_agent_t *a)
{
    if (a->tunnels == 0 && a->core_wanted) {
        a->core_wanted = 0;
        ngx_mesh_agent_request_send(a, MESH_AGENT_CORE_HASH);
    }
}


void
ngx_mesh_agent_push_action(ngx_mesh_agent_t *a, ngx_uint_t what)
{
    switch (what) {

    case NGX_MESH_CORE_RESTART:
        /* it answers 11 without a hash, and gets it again */
        a->pushes = 0;
        ngx_mesh_agent_request_send(a, MESH_AGENT_CORE);
        return;

    case NGX_MESH_CORE_CLEAR:
        a->core_mode = NGX_MESH_CORE_MODE_NONE;
        ngx_mesh_agent_request_send(a, MESH_AGENT_CORE);
        return;

    case NGX_MESH_CORE_RECOVERY:
        a->core_mode = NGX_MESH_CORE_MODE_RECOVERY;
        break;

    case NGX_MESH_CORE_DEFAULT:
        a->core_mode = NGX_MESH_CORE_MODE_DEFAULT;
        break;

    default:
        return;
    }

    a->pushes = 0;
    ngx_mesh_agent_request_send(a, MESH_AGENT_CORE_HASH);
}


void
ngx_mesh_agent_push_know(ngx_mesh_agent_t *a, const u_char *hash, size_t len)
{
    if (a->hardware || len == 0) {
        return;
    }

    a->hardware = ngx_alloc(len + 1, a->s->c->log);

    if (a->hardware) {
        (void) ngx_cpystrn(a->hardware, (u_char *) hash, len + 1);
    }
}


/* its core runs: what it is told first */
static void
ngx_mesh_agent_ready(ngx_mesh_agent_t *a)
{
    ngx_str_t  hash;

    static u_char  info[] = "{\"action\":\"serverInfo\"}";

    if (a->ready) {
        return;
    }

    a->ready = 1;
    (void) ngx_mesh_agent_send(a, info, sizeof(info) - 1);

    hash.data = a->hardware;
    hash.len = a->hardware ? ngx_strlen(a->hardware) : 0;
    ngx_mesh_agent_hardware_send(a, &hash);

    if (a->hardware) {
        ngx_free(a->hardware);
        a->hardware = NULL;
    }

    ngx_mesh_agent_update_start(a);
}


/* the hardware is sent again only where it is not what is stored */
static void
ngx_mesh_agent_hardware_send(ngx_mesh_agent_t *a, const ngx_str_t *hash)
{
    ngx_str_t      text;
    ngx_pool_t    *pool;
    ngx_mesh_jw_t  w;

    pool = ngx_create_pool(1024, a->s->c->log);
    if (pool == NULL) {
        return;
    }

    if (ngx_mesh_jw_init(&w, pool, 256) == NGX_OK) {
        ngx_mesh_jw_open(&w, NULL, '{');
        ngx_mesh_jw_cstr(&w, "action", "sysinfo");

        if (hash->data) {
            ngx_mesh_jw_str(&w, "hash", hash);
        }

        ngx_mesh_jw_shut(&w, '}');

        if (ngx_mesh_jw_done(&w, &text) == NGX_OK) {
            (void) ngx_mesh_agent_send(a, text.data, text.len);
        }
    }

    ngx_destroy_pool(pool);
}


/* it asks what we have */
void
ngx_mesh_agent_push_check(ngx_mesh_agent_t *a)
{
    ngx_mesh_db_req_t  *q;

    if (a->db) {
        return;
    }

    q = ngx_mesh_db_create(ngx_mesh_agent_hardware, a);

    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_DEVICE_PART_GET);
    ngx_mesh_db_int(q, a->device_id);
    ngx_mesh_db_text(q, "hardware");

    if (ngx_mesh_db_send(q) == NGX_OK) {
        a->db = q;
    }
}


static void
ngx_mesh_agent_hardware(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t          none;
    ngx_mesh_agent_t  *a;

    a = q->data;
    a->db = NULL;
    ngx_str_null(&none);

    if (rc == NGX_OK) {
        ngx_mesh_agent_hardware_send(a, ngx_mesh_db_rows(q, 0)
                                        ? &ngx_mesh_db_row(q, 0, 0)[1]
                                        : &none);
    }

    ngx_mesh_agent_idle(a);
}

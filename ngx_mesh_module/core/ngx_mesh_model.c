/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The caches: how they are loaded, and how they follow the database.
 */

#include "ngx_mesh_model_in.h"
#include "ngx_mesh_auth.h"
#include "ngx_mesh_bus.h"
#include "ngx_mesh_cookie.h"


#define NGX_MESH_MODEL_HOOKS    16
#define NGX_MESH_MODEL_POLL     5000  /* ms */
#define NGX_MESH_MODEL_TICK     1000  /* ms */
#define NGX_MESH_MODEL_WAIT     5     /* seconds, for what was told */
#define NGX_MESH_LATE           64    /* events that wait for rows */
#define NGX_MESH_MODEL_NOTED    1024  /* a power of two */

/* between workers: u8 version, u8 kind, u64 id */
#define NGX_MESH_CHANGED_VERSION  1
#define NGX_MESH_CHANGED_LEN      10


typedef struct {
    ngx_uint_t          kind;
    int64_t             id;
    uint64_t            seq;          /* of this worker's own, or 0 */
    ngx_queue_t         queue;        /* then, in ngx_mesh_model_reading */
} ngx_mesh_change_t;


static void ngx_mesh_model_load(void);
static void ngx_mesh_model_loaded(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_model_receive(const ngx_mesh_addr_t *from,
    uint64_t serial, u_char *data, size_t len);
static void ngx_mesh_model_settle(void);
static void ngx_mesh_model_apply(ngx_uint_t kind, int64_t id, uint64_t seq);
static void ngx_mesh_model_applied(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_model_event(int64_t id);
static void ngx_mesh_model_late(void);
static void ngx_mesh_model_read(ngx_mesh_db_req_t *q, ngx_mesh_change_t *ch,
    ngx_int_t rc);
static ngx_int_t ngx_mesh_model_update(ngx_mesh_db_req_t *q,
    ngx_mesh_change_t *ch);
static void ngx_mesh_model_hooks(ngx_uint_t kind, int64_t id);
static uint64_t *ngx_mesh_model_notice(ngx_uint_t kind, int64_t id,
    uint64_t *key);
static void ngx_mesh_model_poll(void);
static void ngx_mesh_model_polled(ngx_mesh_db_req_t *q, ngx_int_t rc);
static void ngx_mesh_model_expire(void);
static void ngx_mesh_model_tick(ngx_event_t *ev);


ngx_mesh_model_t          *ngx_mesh_model;
ngx_uint_t                 ngx_mesh_model_generation = 1;
int64_t                    ngx_mesh_model_ends;
int64_t                    ngx_mesh_model_bound;

static void              (*ngx_mesh_model_hook[NGX_MESH_MODEL_HOOKS])
                              (ngx_uint_t kind, int64_t id);
static ngx_uint_t          ngx_mesh_model_nhook;
static ngx_uint_t          ngx_mesh_model_ended_n;

static ngx_event_t         ngx_mesh_model_timer;
static ngx_msec_t          ngx_mesh_model_polled_at;
static ngx_uint_t          ngx_mesh_model_dirty;     /* load it again */
static ngx_uint_t          ngx_mesh_model_loading;
static ngx_uint_t          ngx_mesh_model_noticed;  /* while loading */
static ngx_uint_t          ngx_mesh_model_polling;
static ngx_uint_t          ngx_mesh_model_asked;    /* CHANGE_READ came */
static ngx_uint_t          ngx_mesh_model_tell;     /* by itself: tell others */

/* what this worker was told and has not read in the table; a later one may
   take the place */
static uint64_t            ngx_mesh_model_noted[NGX_MESH_MODEL_NOTED];

/* what this worker told all, itself too, and is not in its model yet */
static uint64_t            ngx_mesh_model_told;
static uint64_t            ngx_mesh_model_heard;
static ngx_uint_t          ngx_mesh_model_unread;   /* reads on their way */
static int64_t             ngx_mesh_model_latter[NGX_MESH_LATE];  /* events */
static ngx_uint_t          ngx_mesh_model_nlate;
static ngx_queue_t         ngx_mesh_model_reading;  /* in the order of telling */
static ngx_queue_t         ngx_mesh_model_waiting;


ngx_uint_t
ngx_mesh_model_ended(void)
{
    return ngx_mesh_model_ended_n;
}


/* --- loading */

static void
ngx_mesh_model_load(void)
{
    ngx_mesh_db_req_t  *q;

    /* what was read over the last connection may have been of another server */
    ngx_mesh_model_bound = -1;

    ngx_mesh_server_keys_load();

    q = ngx_mesh_db_create(ngx_mesh_model_loaded, NULL);

    if (q == NULL) {
        ngx_mesh_model_dirty = 1;
        return;
    }

    /* the bound first: what changes behind it is read again */

    ngx_mesh_db_stmt(q, MESH_SQL_CHANGES);
    ngx_mesh_db_int(q, -1);
    ngx_mesh_db_stmt(q, MESH_SQL_MODEL_DOMAINS);
    ngx_mesh_db_stmt(q, MESH_SQL_MODEL_ACCOUNTS);
    ngx_mesh_db_stmt(q, MESH_SQL_MODEL_USER_GROUPS);
    ngx_mesh_db_stmt(q, MESH_SQL_MODEL_MEMBERS);
    ngx_mesh_db_stmt(q, MESH_SQL_MODEL_GROUPS);
    ngx_mesh_db_stmt(q, MESH_SQL_MODEL_ACCESSES);

    if (ngx_mesh_db_send(q) != NGX_OK) {
        ngx_mesh_model_dirty = 1;
        return;
    }

    ngx_mesh_model_dirty = 0;
    ngx_mesh_model_loading = 1;
    ngx_mesh_model_noticed = 0;
}


static void
ngx_mesh_model_loaded(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t         *row;
    ngx_uint_t         i, n;
    ngx_mesh_model_t  *m, *old;

    static ngx_int_t (*const  set[])(ngx_mesh_model_t *m, ngx_str_t *row) = {
        ngx_mesh_account_set, ngx_mesh_user_group_set, ngx_mesh_member_set,
        ngx_mesh_group_set, ngx_mesh_access_set
    };

    ngx_mesh_model_loading = 0;

    if (rc != NGX_OK) {
        /* away: loaded when it is back; else with the next tick */
        ngx_mesh_model_dirty = (rc != NGX_ABORT);
        return;
    }

    m = ngx_mesh_model_create();

    if (m == NULL) {
        ngx_mesh_model_dirty = 1;
        return;
    }

    ngx_mesh_model_ends = 0;

    if (ngx_mesh_model_domains(m, q, 1) != NGX_OK) {
        goto failed;
    }

    for (i = 0; i < sizeof(set) / sizeof(set[0]); i++) {
        for (n = 0; n < ngx_mesh_db_rows(q, i + 2); n++) {
            if (set[i](m, ngx_mesh_db_row(q, i + 2, n)) != NGX_OK) {
                goto failed;
            }
        }
    }

    row = ngx_mesh_db_row(q, 0, 0);
    ngx_mesh_model_bound = row ? ngx_mesh_db_num(&row[0]) : -1;

    old = ngx_mesh_model;
    ngx_mesh_model = m;
    ngx_mesh_model_generation++;

    if (old) {
        ngx_mesh_model_destroy(old);
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "mesh model: %ui accounts, %ui groups, %ui grants",
                  ngx_mesh_db_rows(q, 2), ngx_mesh_db_rows(q, 5),
                  ngx_mesh_db_rows(q, 6));

    if (ngx_mesh_model_noticed) {
        ngx_mesh_model_poll();
    }

    ngx_mesh_model_hooks(NGX_MESH_CHANGE_DOMAIN, 0);

    return;

failed:

    ngx_mesh_model_destroy(m);
    ngx_mesh_model_dirty = 1;
}


/* --- changing */

void
ngx_mesh_model_change(ngx_mesh_db_req_t *q, ngx_uint_t kind, int64_t id)
{
    ngx_mesh_db_stmt(q, MESH_SQL_CHANGE_ADD);
    ngx_mesh_db_int(q, (int64_t) kind);
    ngx_mesh_db_int(q, id);
}


void
ngx_mesh_model_changed(ngx_uint_t kind, int64_t id)
{
    u_char  buf[NGX_MESH_CHANGED_LEN];

    buf[0] = NGX_MESH_CHANGED_VERSION;
    buf[1] = (u_char) kind;
    mesh_put64(buf + 2, (uint64_t) id);

    ngx_mesh_model_told++;

    /* this worker too, by the same road */

    ngx_mesh_bus_broadcast(NGX_MESH_BUS_CHANGED, buf, sizeof(buf), 0);
}


static void
ngx_mesh_model_receive(const ngx_mesh_addr_t *from, uint64_t serial,
    u_char *data, size_t len)
{
    int64_t   id;
    uint64_t  seq, key, *noted;

    seq = 0;

    if (len != NGX_MESH_CHANGED_LEN || data[0] != NGX_MESH_CHANGED_VERSION) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mesh model: a record of %uz bytes is none", len);
        return;
    }

    if (from->slot == ngx_mesh_slot_n) {
        seq = ++ngx_mesh_model_heard;
    }

    if (data[1] == NGX_MESH_CHANGE_READ) {
        if (seq == 0) {
            ngx_mesh_model_asked = 1;
            ngx_mesh_model_poll();
        }

    } else {
        id = (int64_t) mesh_get64(data + 2);

        noted = ngx_mesh_model_notice(data[1], id, &key);
        *noted = key;

        ngx_mesh_model_apply(data[1], id, seq);
    }

    ngx_mesh_model_settle();
}


/* where a change is kept, and as what: one row stands for DEVICE and GONE */
static uint64_t *
ngx_mesh_model_notice(ngx_uint_t kind, int64_t id, uint64_t *key)
{
    if (kind == NGX_MESH_CHANGE_GONE) {
        kind = NGX_MESH_CHANGE_DEVICE;
    }

    *key = ((uint64_t) id << 4) | kind;

    return &ngx_mesh_model_noted[((*key * 0x9e3779b97f4a7c15u) >> 32)
                                 & (NGX_MESH_MODEL_NOTED - 1)];
}


void
ngx_mesh_model_wait(ngx_mesh_model_wait_t *w)
{
    w->upto = ngx_mesh_model_told;
    w->until = ngx_time() + NGX_MESH_MODEL_WAIT;

    ngx_queue_insert_tail(&ngx_mesh_model_waiting, &w->queue);
    ngx_mesh_model_settle();
}


static void
ngx_mesh_model_settle(void)
{
    uint64_t                done;
    ngx_queue_t            *q;
    ngx_mesh_change_t      *ch;
    ngx_mesh_model_wait_t  *w;

    while (!ngx_queue_empty(&ngx_mesh_model_waiting)) {
        done = ngx_mesh_model_heard;

        if (!ngx_queue_empty(&ngx_mesh_model_reading)) {
            q = ngx_queue_head(&ngx_mesh_model_reading);
            ch = ngx_queue_data(q, ngx_mesh_change_t, queue);
            done = ch->seq - 1;
        }

        q = ngx_queue_head(&ngx_mesh_model_waiting);
        w = ngx_queue_data(q, ngx_mesh_model_wait_t, queue);

        if (w->upto > done && w->until > ngx_time()) {
            return;
        }

        ngx_queue_remove(q);
        w->done(w->data);
    }
}


/* reads the row anew; twice is harmless */
static void
ngx_mesh_model_apply(ngx_uint_t kind, int64_t id, uint64_t seq)
{
    ngx_uint_t          stmt;
    ngx_queue_t        *p;
    ngx_mesh_list_t    *list;
    ngx_mesh_access_t  *a;
    ngx_mesh_db_req_t  *q;
    ngx_mesh_change_t  *ch;

    ngx_mesh_model_noticed = 1;

    switch (kind) {

    case NGX_MESH_CHANGE_ACCOUNT:
        stmt = MESH_SQL_MODEL_ACCOUNT;
        break;

    case NGX_MESH_CHANGE_USER_GROUP:
        stmt = MESH_SQL_MODEL_USER_GROUP;
        break;

    case NGX_MESH_CHANGE_GROUP:
        stmt = MESH_SQL_MODEL_GROUP;
        break;

    case NGX_MESH_CHANGE_ACCESS:
        stmt = MESH_SQL_MODEL_ACCESS;
        break;

    case NGX_MESH_CHANGE_MEMBER:
        stmt = MESH_SQL_MODEL_MEMBER;
        break;

    case NGX_MESH_CHANGE_DOMAIN:
        ngx_mesh_model_dirty = 1;
        return;

    case NGX_MESH_CHANGE_KEY:
        ngx_mesh_server_keys_load();
        ngx_mesh_model_hooks(kind, id);
        return;

    case NGX_MESH_CHANGE_GONE:
        ngx_mesh_model_hooks(kind, id);
        kind = NGX_MESH_CHANGE_DEVICE;

        /* fall through */

    case NGX_MESH_CHANGE_DEVICE:
        /* its row is not here; were it gone, so are the grants on it */

        list = ngx_mesh_model ? ngx_mesh_list(&ngx_mesh_model->on_device, id, 0)
                              : NULL;

        for (p = list ? ngx_queue_head(&list->list) : NULL;
             p && p != ngx_queue_sentinel(&list->list);
             p = ngx_queue_next(p))
        {
            a = ngx_mesh_access_at(p, offsetof(ngx_mesh_access_node_t,
                                               object));
            ngx_mesh_model_apply(NGX_MESH_CHANGE_ACCESS, a->access_id, seq);
        }

        ngx_mesh_model_hooks(kind, id);
        return;

    case NGX_MESH_CHANGE_SESSION:
        ngx_mesh_model_ended_n++;
        ngx_mesh_model_hooks(kind, id);
        return;

    case NGX_MESH_CHANGE_UNLOCK:
        ngx_mesh_login_unlock(id);
        return;

    case NGX_MESH_CHANGE_EVENT:
        ngx_mesh_model_event(id);
        return;

    default:
        return;                       /* of a newer version */
    }

    q = ngx_mesh_db_create(ngx_mesh_model_applied, NULL);

    ch = q ? ngx_palloc(q->pool, sizeof(ngx_mesh_change_t)) : NULL;

    if (ch == NULL) {
        ngx_mesh_model_dirty = 1;
        return;
    }

    ch->kind = kind;
    ch->id = id;
    ch->seq = seq;
    q->data = ch;

    ngx_mesh_db_stmt(q, stmt);
    ngx_mesh_db_int(q, id);

    if (ngx_mesh_db_send(q) != NGX_OK) {
        ngx_mesh_model_dirty = 1;
        return;
    }

    ngx_mesh_model_unread++;

    if (seq) {
        ngx_queue_insert_tail(&ngx_mesh_model_reading, &ch->queue);
    }
}


static void
ngx_mesh_model_applied(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_mesh_change_t *ch = q->data;

    ngx_mesh_model_read(q, ch, rc);

    if (ch->seq) {
        ngx_queue_remove(&ch->queue);
        ngx_mesh_model_settle();
    }

    if (--ngx_mesh_model_unread == 0) {
        ngx_mesh_model_late();
    }
}


/* who may see it can stand in the rows that came with it: these are read first */
static void
ngx_mesh_model_event(int64_t id)
{
    if (ngx_mesh_model_unread == 0 || ngx_mesh_model_nlate == NGX_MESH_LATE) {
        ngx_mesh_model_hooks(NGX_MESH_CHANGE_EVENT, id);
        return;
    }

    ngx_mesh_model_latter[ngx_mesh_model_nlate++] = id;
}


static void
ngx_mesh_model_late(void)
{
    ngx_uint_t  i, n;

    n = ngx_mesh_model_nlate;
    ngx_mesh_model_nlate = 0;

    for (i = 0; i < n; i++) {
        ngx_mesh_model_hooks(NGX_MESH_CHANGE_EVENT, ngx_mesh_model_latter[i]);
    }
}


static void
ngx_mesh_model_read(ngx_mesh_db_req_t *q, ngx_mesh_change_t *ch, ngx_int_t rc)
{
    if (rc == NGX_ABORT || ngx_mesh_model == NULL) {
        return;                       /* all is loaded when it is back */
    }

    if (rc != NGX_OK || ngx_mesh_model_update(q, ch) != NGX_OK) {
        ngx_mesh_model_dirty = 1;
        return;
    }

    ngx_mesh_model_generation++;

    ngx_mesh_model_hooks(ch->kind, ch->id);
}


static ngx_int_t
ngx_mesh_model_update(ngx_mesh_db_req_t *q, ngx_mesh_change_t *ch)
{
    ngx_str_t         *row;
    ngx_uint_t         i;
    ngx_mesh_model_t  *m;

    m = ngx_mesh_model;
    row = ngx_mesh_db_row(q, 0, 0);

    switch (ch->kind) {

    case NGX_MESH_CHANGE_ACCOUNT:
        if (row) {
            return ngx_mesh_account_set(m, row);
        }

        ngx_mesh_account_drop(m, ch->id);
        ngx_mesh_member_drop(m, ch->id);
        ngx_mesh_access_drop_all(m, &m->of_account, ch->id,
                                 offsetof(ngx_mesh_access_node_t, subject));
        return NGX_OK;

    case NGX_MESH_CHANGE_USER_GROUP:
        if (row) {
            return ngx_mesh_user_group_set(m, row);
        }

        ngx_mesh_user_group_drop(m, ch->id);
        ngx_mesh_access_drop_all(m, &m->of_user_group, ch->id,
                                 offsetof(ngx_mesh_access_node_t, subject));
        return NGX_OK;

    case NGX_MESH_CHANGE_GROUP:
        if (row) {
            return ngx_mesh_group_set(m, row);
        }

        ngx_mesh_group_drop(m, ch->id);
        ngx_mesh_access_drop_all(m, &m->on_group, ch->id,
                                 offsetof(ngx_mesh_access_node_t, object));
        return NGX_OK;

    case NGX_MESH_CHANGE_ACCESS:
        if (row) {
            return ngx_mesh_access_set(m, row);
        }

        ngx_mesh_access_drop(m, ch->id);
        return NGX_OK;

    default: /* NGX_MESH_CHANGE_MEMBER */
        ngx_mesh_member_drop(m, ch->id);

        for (i = 0; i < ngx_mesh_db_rows(q, 0); i++) {
            if (ngx_mesh_member_set(m, ngx_mesh_db_row(q, 0, i)) != NGX_OK) {
                return NGX_ERROR;
            }
        }

        return NGX_OK;
    }
}


void
ngx_mesh_model_on_change(void (*fn)(ngx_uint_t kind, int64_t id))
{
    if (ngx_mesh_model_nhook == NGX_MESH_MODEL_HOOKS) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "mesh model: too many want to know of changes");
        return;
    }

    ngx_mesh_model_hook[ngx_mesh_model_nhook++] = fn;
}


static void
ngx_mesh_model_hooks(ngx_uint_t kind, int64_t id)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_mesh_model_nhook; i++) {
        ngx_mesh_model_hook[i](kind, id);
    }
}


/* --- notices may be lost; the table may not */

static void
ngx_mesh_model_poll(void)
{
    ngx_mesh_db_req_t  *q;

    if (ngx_mesh_model_polling || ngx_mesh_model_bound < 0) {
        return;
    }

    q = ngx_mesh_db_create(ngx_mesh_model_polled, NULL);
    if (q == NULL) {
        return;
    }

    ngx_mesh_db_stmt(q, MESH_SQL_CHANGES);
    ngx_mesh_db_int(q, ngx_mesh_model_bound);

    if (ngx_mesh_db_send(q) == NGX_OK) {
        ngx_mesh_model_polling = 1;
        ngx_mesh_model_tell = !ngx_mesh_model_asked;
        ngx_mesh_model_asked = 0;
        ngx_mesh_model_polled_at = ngx_current_msec;
    }
}


static void
ngx_mesh_model_polled(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    int64_t      bound, id;
    uint64_t     key, *noted;
    ngx_str_t   *row, *last;
    ngx_uint_t   i, kind, news;

    ngx_mesh_model_polling = 0;

    /* a load that began meanwhile has the newer bound, or will have one */

    if (rc != NGX_OK || ngx_mesh_model_loading || ngx_mesh_model_bound < 0) {
        return;
    }

    row = ngx_mesh_db_row(q, 0, 0);

    if (row == NULL) {
        return;
    }

    bound = ngx_mesh_db_num(&row[0]);

    if (ngx_mesh_db_num(&row[1]) > ngx_mesh_model_bound
        || bound < ngx_mesh_model_bound)
    {
        /* what lay between is deleted, or it is another database */
        ngx_mesh_model_dirty = 1;
        return;
    }

    ngx_mesh_model_bound = bound;
    last = NULL;
    news = 0;

    /* events after all rows that came with them */

    ngx_mesh_model_unread++;

    for (i = 0; i < ngx_mesh_db_rows(q, 0); i++) {
        row = ngx_mesh_db_row(q, 0, i);

        if (row[2].data == NULL) {
            continue;                 /* nothing but the bound */
        }

        /* the same row many times over, as when many devices are moved */

        if (last && ngx_mesh_db_num(&last[2]) == ngx_mesh_db_num(&row[2])
            && ngx_mesh_db_num(&last[3]) == ngx_mesh_db_num(&row[3]))
        {
            continue;
        }

        last = row;

        kind = (ngx_uint_t) ngx_mesh_db_num(&row[2]);
        id = ngx_mesh_db_num(&row[3]);

        noted = ngx_mesh_model_notice(kind, id, &key);

        if (*noted == key) {
            *noted = 0;

        } else {
            news = 1;
        }

        ngx_mesh_model_apply(kind, id, 0);
    }

    /*
     * Written by mesh-admin, which can tell no worker.  The first to see it
     * tells the others, or one would let somebody in whom the next does not
     * know for another five seconds.
     */

    if (news && ngx_mesh_model_tell) {
        ngx_mesh_model_changed(NGX_MESH_CHANGE_READ, 0);
    }

    if (--ngx_mesh_model_unread == 0) {
        ngx_mesh_model_late();
    }

    if (ngx_mesh_model_asked) {
        ngx_mesh_model_poll();        /* while this one was on its way */
    }
}


/* grants that end while sessions live on them */
static void
ngx_mesh_model_expire(void)
{
    int64_t                  now, next;
    ngx_uint_t               n, i;
    ngx_rbtree_t            *tree;
    ngx_rbtree_node_t       *node;
    ngx_mesh_access_node_t  *access;
    int64_t                  ended[64];

    now = ngx_mesh_now_ms();

    if (ngx_mesh_model == NULL || ngx_mesh_model_ends == 0
        || ngx_mesh_model_ends > now)
    {
        return;
    }

    next = 0;
    n = 0;
    tree = &ngx_mesh_model->access.tree;

    for (node = tree->root == tree->sentinel
                ? NULL : ngx_rbtree_min(tree->root, tree->sentinel);
         node;
         node = ngx_rbtree_next(tree, node))
    {
        access = (ngx_mesh_access_node_t *) node;

        if (access->a.expires_at == 0) {
            continue;
        }

        if (access->a.expires_at > now) {
            if (next == 0 || access->a.expires_at < next) {
                next = access->a.expires_at;
            }

        } else if (access->a.expires_at >= ngx_mesh_model_ends) {
            if (n < 64) {
                ended[n] = access->a.access_id;
            }

            n++;
        }
    }

    ngx_mesh_model_ends = next;
    ngx_mesh_model_generation++;

    if (n > 64) {
        ngx_mesh_model_hooks(NGX_MESH_CHANGE_DOMAIN, 0);
        return;
    }

    for (i = 0; i < n; i++) {
        ngx_mesh_model_hooks(NGX_MESH_CHANGE_ACCESS, ended[i]);
    }
}


static void
ngx_mesh_model_tick(ngx_event_t *ev)
{
    ngx_add_timer(ev, NGX_MESH_MODEL_TICK);

    ngx_mesh_model_expire();
    ngx_mesh_model_settle();

    if (!ngx_mesh_db_up() || ngx_mesh_model_loading) {
        return;
    }

    if (ngx_mesh_model_dirty) {
        ngx_mesh_model_load();
        return;
    }

    if (ngx_mesh_model_asked
        || ngx_current_msec - ngx_mesh_model_polled_at >= NGX_MESH_MODEL_POLL)
    {
        ngx_mesh_model_poll();
    }
}


ngx_int_t
ngx_mesh_model_init(ngx_cycle_t *cycle)
{
    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    ngx_mesh_model_bound = -1;

    ngx_queue_init(&ngx_mesh_model_reading);
    ngx_queue_init(&ngx_mesh_model_waiting);

    ngx_mesh_bus_handler(NGX_MESH_BUS_CHANGED, ngx_mesh_model_receive);
    ngx_mesh_db_on_up(ngx_mesh_model_load);

    ngx_mesh_model_timer.handler = ngx_mesh_model_tick;
    ngx_mesh_model_timer.log = cycle->log;
    ngx_mesh_model_timer.cancelable = 1;

    /* workers not in step */
    ngx_mesh_model_polled_at = ngx_current_msec
                               - ngx_random() % NGX_MESH_MODEL_POLL;

    ngx_add_timer(&ngx_mesh_model_timer, NGX_MESH_MODEL_TICK);

    ngx_mesh_keep_init(cycle);

    return NGX_OK;
}

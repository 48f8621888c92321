/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * One zone, one mutex: shpool->mutex, which the master unlocks by force when a
 * worker dies.  Every record that belongs to a worker hangs in the queue of
 * its slot, by which it is found when the worker is gone.
 */

#include "../ngx_mesh.h"


#define NGX_MESH_ZONE_MAGIC    0x6d657368
#define NGX_MESH_ZONE_VERSION  7
#define NGX_MESH_PURGE_BATCH   256
#define NGX_MESH_EACH_BATCH    128
#define NGX_MESH_KEY_LEN       32     /* SHA-256 */
#define NGX_MESH_NAME_MAX      64     /* of what is counted */
#define NGX_MESH_REFUSED_MAX   128
#define NGX_MESH_SERVERS_MAX   256
#define NGX_MESH_PURGE_EVERY   10     /* seconds */
#define NGX_MESH_OUTER_OLD     3600   /* seconds of grace */
#define NGX_MESH_PAGE_LATE     2      /* seconds in which workers tell */


typedef enum {
    NGX_MESH_REC_PRESENCE = 0,
    NGX_MESH_REC_MEET,
    NGX_MESH_REC_PAIR,
    NGX_MESH_REC_RUNNING,
    NGX_MESH_REC_DESK,
    NGX_MESH_REC_LIMIT,               /* of all workers */
    NGX_MESH_REC_RATE,                /* of nobody */
    NGX_MESH_REC_TYPES,
    NGX_MESH_REC_SHARE                /* of a limit: one worker's part */
} ngx_mesh_rec_e;


/* what hangs in the queue of a slot */
typedef struct {
    ngx_queue_t         queue;
    uint16_t            slot;
    uint8_t             type;
} ngx_mesh_mine_t;

/*
 * The front of everything that is found by a key.  Keys are hashes, whatever
 * they name: with them most records are 128 bytes of the zone and not 256.
 */
typedef struct {
    ngx_rbtree_node_t   node;         /* key: the first bytes of the one below */
    ngx_mesh_mine_t     mine;
    u_char              key[NGX_MESH_KEY_LEN];
} ngx_mesh_rec_t;

typedef struct {
    ngx_mesh_rec_t       rec;
    ngx_mesh_presence_t  p;
} ngx_mesh_rec_presence_t;

typedef struct {
    ngx_mesh_rec_t      rec;
    ngx_mesh_meet_t     m;
} ngx_mesh_rec_meet_t;

typedef struct {
    ngx_mesh_rec_t      rec;
    uint64_t            serial;
} ngx_mesh_rec_pair_t;

typedef struct {
    ngx_mesh_rec_t      rec;
    ngx_mesh_running_t  r;
} ngx_mesh_rec_running_t;

typedef struct {
    ngx_mesh_rec_t      rec;
    ngx_mesh_addr_t     owner;
} ngx_mesh_rec_desk_t;

typedef struct {
    ngx_mesh_rec_t      rec;
    ngx_queue_t         shares;
    ngx_uint_t          total;
} ngx_mesh_rec_limit_t;

typedef struct {
    ngx_mesh_mine_t        mine;
    ngx_queue_t            queue;     /* in the limit */
    ngx_mesh_rec_limit_t  *limit;
    ngx_uint_t             n;
} ngx_mesh_share_t;

/* nobody's: mine.queue is that of all rates, oldest first */
typedef struct {
    ngx_mesh_rec_t      rec;
    time_t              since;        /* of this window */
    time_t              until;
    ngx_uint_t          n;
} ngx_mesh_rec_rate_t;

typedef struct {
    uint32_t            magic;
    uint32_t            version;
    uint32_t            generation;
    ngx_atomic_t        serial;
    ngx_mesh_slot_t     slot[NGX_MESH_SLOTS];
    ngx_queue_t         mine[NGX_MESH_SLOTS];
    ngx_atomic_t        departed[NGX_MESH_COUNTERS];
    ngx_rbtree_t        tree[NGX_MESH_REC_TYPES];
    ngx_rbtree_node_t   sentinel[NGX_MESH_REC_TYPES];
    ngx_queue_t         rates;
    ngx_uint_t          rates_n;
    ngx_uint_t          rates_max;    /* a quarter of the zone */
    ngx_queue_t         lost;         /* of running: in no tree any more */
    ngx_queue_t         pages;        /* of running: nobody's */
    ngx_uint_t          refused_next;
    ngx_mesh_refused_t  refused[NGX_MESH_REFUSED_MAX];
    u_char              outer[NGX_MESH_SERVERS_MAX][NGX_MESH_ID_LEN];
    uint8_t             outer_set[NGX_MESH_SERVERS_MAX];
    u_char              outer_old[NGX_MESH_SERVERS_MAX][NGX_MESH_ID_LEN];
    time_t              outer_until[NGX_MESH_SERVERS_MAX];
} ngx_mesh_zone_t;


typedef struct {
    const char  *name;
    const char  *help;
} ngx_mesh_named_t;


static void ngx_mesh_shm_set(ngx_shm_zone_t *zone);
static void ngx_mesh_rec_insert_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_int_t ngx_mesh_rec_compare(ngx_mesh_rec_t *a, ngx_mesh_rec_t *b);
static void ngx_mesh_rec_key(ngx_mesh_rec_t *rec, ngx_uint_t type,
    const void *a, size_t alen, const void *b, size_t blen);
static ngx_mesh_rec_t *ngx_mesh_rec_find_locked(ngx_mesh_rec_t *key);
static void *ngx_mesh_rec_create_locked(ngx_mesh_rec_t *key, size_t size);
static void ngx_mesh_zone_full(void);
static void ngx_mesh_rec_delete_locked(ngx_mesh_rec_t *rec);
static void ngx_mesh_mine_delete_locked(ngx_mesh_mine_t *mine);
static void ngx_mesh_presence_key(ngx_mesh_rec_t *rec, ngx_uint_t kind,
    int64_t domain_id, const u_char *id);
static ngx_mesh_rec_t *ngx_mesh_rec_next_locked(ngx_mesh_rec_t *after);
static void ngx_mesh_rate_expire_locked(ngx_uint_t n, ngx_uint_t all);
static void ngx_mesh_slot_purge(ngx_uint_t n, ngx_pid_t pid, ngx_uint_t died);


ngx_mesh_slot_t  *ngx_mesh_slot;
ngx_uint_t        ngx_mesh_slot_n;

/* counts before a slot is claimed go nowhere */
static ngx_mesh_slot_t   ngx_mesh_no_slot;

static ngx_mesh_zone_t  *ngx_mesh_zone;
static ngx_slab_pool_t  *ngx_mesh_shpool;
static time_t            ngx_mesh_purge_at;
static ngx_str_t         ngx_mesh_ipc;


static const ngx_mesh_named_t  ngx_mesh_counters[NGX_MESH_COUNTERS] = {
    { "agents", "agents that were let in" },
    { "handshakes", "agents that began to authenticate" },
    { "handshakes_skipped", "handshakes without a signature of ours" },
    { "agents_known", "agents let in without asking the database" },
    { "agents_held", "agents that were refused and held" },
    { "agents_muted", "agents whose place a newer connection took" },
    { "logins", "people and tools that logged in" },
    { "login_failures", "wrong names or passwords" },
    { "controls", "control channels opened" },
    { "relays", "relays paired" },
    { "relays_local", "relays with both halves in one worker" },
    { "relays_cross", "relays between two workers" },
    { "relays_expired", "halves that waited in vain" },
    { "relays_refused", "halves that were refused" },
    { "messages_in", "messages received" },
    { "messages_out", "messages sent" },
    { "bytes_in", "bytes received" },
    { "bytes_out", "bytes sent" },
    { "messages_unknown", "unknown, obsolete or repeated messages" },
    { "json_bad", "JSON that did not parse" },
    { "dropped", "messages dropped at a full queue" },
    { "closed_slow", "sessions closed because they took no byte" },
    { "origins_refused", "requests with a foreign Origin" },
    { "limited", "connections refused by a limit" },
    { "bus_messages", "messages between workers" },
    { "bus_bounces", "messages between workers that found nobody" },
    { "bus_closes", "links between workers closed" },
    { "db_requests", "requests to the database" },
    { "db_errors", "requests to the database that failed" },
    { "db_latency_us", "time that requests to the database took" },
    { "sign_requests", "signatures asked for" },
    { "sign_latency_us", "time that signatures took" },
    { "workers_died", "workers that ended without saying so" },
    { "cores_pushed", "cores pushed to agents" },
    { "updates", "programs sent to agents" }
};

static const ngx_mesh_named_t  ngx_mesh_gauges[NGX_MESH_GAUGES] = {
    { "agents", "agents connected" },
    { "agents_pending", "agents that authenticate" },
    { "agents_held", "agents refused and held" },
    { "browsers", "control channels open" },
    { "relays", "halves of relays open" },
    { "amt", "Intel AMT tunnels open" },
    { "db_queue", "requests that wait for the database" },
    { "db_down", "workers without a database" },
    { "signer_down", "workers without mesh-signer" },
    { "sign_queue", "signatures that are waited for" },
    { "db_held", "seconds for which a transaction has hidden all changes" }
};

static const char  *ngx_mesh_refusals[] = {
    "refused",
    "the certificate that it saw is none of this server's",
    "its signature does not fit its certificate",
    "its device group is unknown or deleted",
    "the limit of devices is reached",
    "it came back too often",
    "it did not finish the handshake in time",
    "it broke the rules of the handshake",
    "its key is too weak or too large",
    "the shared memory of the server is full",
    "a newer connection of the same device took its place"
};


ngx_int_t
ngx_mesh_shm_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_uint_t        i;
    ngx_slab_pool_t  *shpool;
    ngx_mesh_zone_t  *z;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data || zone->shm.exists) {
        z = shpool->data;

        if (z == NULL || z->magic != NGX_MESH_ZONE_MAGIC
            || z->version != NGX_MESH_ZONE_VERSION)
        {
            ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                          "mesh zone is of another version");
            return NGX_ERROR;
        }

        z->generation++;
        ngx_mesh_shm_set(zone);

        return NGX_OK;
    }

    z = ngx_slab_calloc(shpool, sizeof(ngx_mesh_zone_t));
    if (z == NULL) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "mesh zone is too small");
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_MESH_REC_TYPES; i++) {
        ngx_rbtree_init(&z->tree[i], &z->sentinel[i],
                        ngx_mesh_rec_insert_value);
    }

    for (i = 0; i < NGX_MESH_SLOTS; i++) {
        ngx_queue_init(&z->mine[i]);
    }

    ngx_queue_init(&z->rates);
    z->rates_max = zone->shm.size / 4 / sizeof(ngx_mesh_rec_rate_t);
    ngx_queue_init(&z->lost);
    ngx_queue_init(&z->pages);

    z->magic = NGX_MESH_ZONE_MAGIC;
    z->version = NGX_MESH_ZONE_VERSION;
    z->generation = 1;

    shpool->data = z;
    shpool->log_nomem = 0;

    ngx_mesh_shm_set(zone);

    return NGX_OK;
}


static void
ngx_mesh_shm_set(ngx_shm_zone_t *zone)
{
    ngx_mesh_shpool = (ngx_slab_pool_t *) zone->shm.addr;
    ngx_mesh_zone = ngx_mesh_shpool->data;

    if (ngx_mesh_slot == NULL) {
        ngx_mesh_slot = &ngx_mesh_no_slot;
    }
}


static void
ngx_mesh_rec_insert_value(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    ngx_int_t            rc;
    ngx_rbtree_node_t  **p;

    for ( ;; ) {

        rc = ngx_mesh_rec_compare((ngx_mesh_rec_t *) node,
                                  (ngx_mesh_rec_t *) temp);

        p = (rc < 0) ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


static ngx_int_t
ngx_mesh_rec_compare(ngx_mesh_rec_t *a, ngx_mesh_rec_t *b)
{
    if (a->node.key != b->node.key) {
        return a->node.key < b->node.key ? -1 : 1;
    }

    return ngx_memcmp(a->key, b->key, NGX_MESH_KEY_LEN);
}


static void
ngx_mesh_rec_key(ngx_mesh_rec_t *rec, ngx_uint_t type, const void *a,
    size_t alen, const void *b, size_t blen)
{
    u_char  text[NGX_MESH_NAME_MAX + 16];

    alen = ngx_min(alen, sizeof(text));
    blen = ngx_min(blen, sizeof(text) - alen);

    ngx_memcpy(text, a, alen);
    ngx_memcpy(text + alen, b, blen);

    ngx_mesh_sha256(text, alen + blen, rec->key);

    rec->mine.type = type;
    ngx_memcpy(&rec->node.key, rec->key, sizeof(ngx_rbtree_key_t));
}


static ngx_mesh_rec_t *
ngx_mesh_rec_find_locked(ngx_mesh_rec_t *key)
{
    ngx_int_t           rc;
    ngx_rbtree_t       *tree;
    ngx_rbtree_node_t  *node;

    tree = &ngx_mesh_zone->tree[key->mine.type];
    node = tree->root;

    while (node != tree->sentinel) {

        rc = ngx_mesh_rec_compare(key, (ngx_mesh_rec_t *) node);

        if (rc == 0) {
            return (ngx_mesh_rec_t *) node;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


/* linked to nothing yet; counters whose time is over make room */
static void *
ngx_mesh_rec_create_locked(ngx_mesh_rec_t *key, size_t size)
{
    ngx_mesh_rec_t  *rec;

    rec = ngx_slab_calloc_locked(ngx_mesh_shpool, size);

    if (rec == NULL) {
        ngx_mesh_rate_expire_locked(16, 0);
        rec = ngx_slab_calloc_locked(ngx_mesh_shpool, size);
    }

    if (rec == NULL) {
        ngx_mesh_zone_full();
        return NULL;
    }

    rec->node.key = key->node.key;
    rec->mine.type = key->mine.type;
    rec->mine.slot = ngx_mesh_slot_n;
    ngx_memcpy(rec->key, key->key, NGX_MESH_KEY_LEN);
    ngx_queue_init(&rec->mine.queue);

    return rec;
}


/* nobody outside fills the log */
static void
ngx_mesh_zone_full(void)
{
    static time_t  said;

    if (ngx_time() - said >= 60) {
        said = ngx_time();
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0,
                      "mesh: there is no room in \"mesh_zone\"");
    }
}


static void
ngx_mesh_rec_link_locked(ngx_mesh_rec_t *rec)
{
    ngx_queue_insert_tail(&ngx_mesh_zone->mine[rec->mine.slot],
                          &rec->mine.queue);
    ngx_rbtree_insert(&ngx_mesh_zone->tree[rec->mine.type], &rec->node);
}


static void
ngx_mesh_rec_delete_locked(ngx_mesh_rec_t *rec)
{
    if (rec->mine.type == NGX_MESH_REC_RATE) {
        ngx_mesh_zone->rates_n--;
    }

    ngx_rbtree_delete(&ngx_mesh_zone->tree[rec->mine.type], &rec->node);
    ngx_queue_remove(&rec->mine.queue);
    ngx_slab_free_locked(ngx_mesh_shpool, rec);
}


static void
ngx_mesh_share_delete_locked(ngx_mesh_share_t *share)
{
    ngx_mesh_rec_limit_t  *limit;

    limit = share->limit;
    limit->total -= share->n;

    ngx_queue_remove(&share->queue);
    ngx_queue_remove(&share->mine.queue);
    ngx_slab_free_locked(ngx_mesh_shpool, share);

    if (ngx_queue_empty(&limit->shares)) {
        ngx_mesh_rec_delete_locked(&limit->rec);
    }
}


static void
ngx_mesh_mine_delete_locked(ngx_mesh_mine_t *mine)
{
    ngx_mesh_rec_t  *rec;

    if (mine->type == NGX_MESH_REC_SHARE) {
        ngx_mesh_share_delete_locked((ngx_mesh_share_t *) mine);
        return;
    }

    rec = (ngx_mesh_rec_t *) ((u_char *) mine - offsetof(ngx_mesh_rec_t, mine));

    /* a session that nobody has ended: its end is still to be told */
    if (mine->type == NGX_MESH_REC_RUNNING) {
        ngx_rbtree_delete(&ngx_mesh_zone->tree[NGX_MESH_REC_RUNNING],
                          &rec->node);
        ngx_queue_remove(&mine->queue);
        ngx_queue_insert_tail(&ngx_mesh_zone->lost, &mine->queue);
        return;
    }

    ngx_mesh_rec_delete_locked(rec);
}


uint64_t
ngx_mesh_serial(void)
{
    return (uint64_t) ngx_atomic_fetch_add(&ngx_mesh_zone->serial, 1) + 1;
}


ngx_int_t
ngx_mesh_slot_get(ngx_uint_t n, ngx_mesh_slot_t *slot)
{
    if (n >= NGX_MESH_SLOTS || ngx_mesh_zone->slot[n].pid == 0) {
        return NGX_DECLINED;
    }

    *slot = ngx_mesh_zone->slot[n];

    return slot->pid ? NGX_OK : NGX_DECLINED;
}


ngx_atomic_uint_t
ngx_mesh_counter_sum(ngx_mesh_counter_e c)
{
    ngx_uint_t         i;
    ngx_atomic_uint_t  n;

    n = ngx_mesh_zone->departed[c];

    for (i = 0; i < NGX_MESH_SLOTS; i++) {
        if (ngx_mesh_zone->slot[i].pid) {
            n += ngx_mesh_zone->slot[i].counter[c];
        }
    }

    return n;
}


ngx_atomic_uint_t
ngx_mesh_gauge_sum(ngx_mesh_gauge_e g)
{
    ngx_uint_t         i;
    ngx_atomic_uint_t  n;

    n = 0;

    for (i = 0; i < NGX_MESH_SLOTS; i++) {
        if (ngx_mesh_zone->slot[i].pid) {
            n += ngx_mesh_zone->slot[i].gauge[g];
        }
    }

    return n;
}


const char *
ngx_mesh_counter_name(ngx_mesh_counter_e c)
{
    return ngx_mesh_counters[c].name;
}


const char *
ngx_mesh_counter_help(ngx_mesh_counter_e c)
{
    return ngx_mesh_counters[c].help;
}


const char *
ngx_mesh_gauge_name(ngx_mesh_gauge_e g)
{
    return ngx_mesh_gauges[g].name;
}


const char *
ngx_mesh_gauge_help(ngx_mesh_gauge_e g)
{
    return ngx_mesh_gauges[g].help;
}


ngx_uint_t
ngx_mesh_zone_free_pages(void)
{
    return ngx_mesh_shpool->pfree;
}


static void
ngx_mesh_presence_key(ngx_mesh_rec_t *rec, ngx_uint_t kind, int64_t domain_id,
    const u_char *id)
{
    u_char  head[9];

    head[0] = kind;
    ngx_memcpy(head + 1, &domain_id, 8);

    ngx_mesh_rec_key(rec, NGX_MESH_REC_PRESENCE, head, 9, id,
                     NGX_MESH_ID_LEN);
}


ngx_int_t
ngx_mesh_presence_insert(const ngx_mesh_presence_t *p, ngx_mesh_addr_t *loser)
{
    ngx_mesh_rec_t            key;
    ngx_mesh_rec_presence_t  *rec;

    ngx_memzero(loser, sizeof(ngx_mesh_addr_t));
    ngx_mesh_presence_key(&key, p->kind, p->domain_id, p->id);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rec = (ngx_mesh_rec_presence_t *) ngx_mesh_rec_find_locked(&key);

    if (rec) {
        *loser = rec->p.owner;
        rec->p = *p;

        ngx_queue_remove(&rec->rec.mine.queue);
        rec->rec.mine.slot = ngx_mesh_slot_n;
        ngx_queue_insert_tail(&ngx_mesh_zone->mine[ngx_mesh_slot_n],
                              &rec->rec.mine.queue);

    } else {
        rec = ngx_mesh_rec_create_locked(&key,
                                         sizeof(ngx_mesh_rec_presence_t));
        if (rec) {
            rec->p = *p;
            ngx_mesh_rec_link_locked(&rec->rec);
        }
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return rec ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_mesh_presence_delete(ngx_uint_t kind, int64_t domain_id, const u_char *id,
    uint64_t serial)
{
    ngx_int_t                 rc;
    ngx_mesh_rec_t            key;
    ngx_mesh_rec_presence_t  *rec;

    ngx_mesh_presence_key(&key, kind, domain_id, id);
    rc = NGX_DECLINED;

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rec = (ngx_mesh_rec_presence_t *) ngx_mesh_rec_find_locked(&key);

    if (rec && rec->p.owner.serial == serial) {
        ngx_mesh_rec_delete_locked(&rec->rec);
        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return rc;
}


ngx_int_t
ngx_mesh_presence_move(ngx_uint_t kind, int64_t domain_id, const u_char *id,
    int64_t group_id, uint8_t consent)
{
    ngx_mesh_rec_t            key;
    ngx_mesh_rec_presence_t  *rec;

    ngx_mesh_presence_key(&key, kind, domain_id, id);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rec = (ngx_mesh_rec_presence_t *) ngx_mesh_rec_find_locked(&key);

    if (rec) {
        rec->p.group_id = group_id;
        rec->p.consent = consent;
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return rec ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_mesh_presence_lookup(ngx_uint_t kind, int64_t domain_id, const u_char *id,
    ngx_mesh_presence_t *p)
{
    ngx_mesh_rec_t            key;
    ngx_mesh_rec_presence_t  *rec;

    ngx_mesh_presence_key(&key, kind, domain_id, id);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rec = (ngx_mesh_rec_presence_t *) ngx_mesh_rec_find_locked(&key);

    if (rec) {
        *p = rec->p;
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return rec ? NGX_OK : NGX_DECLINED;
}


/* the first record behind after, which need not be there any more */
static ngx_mesh_rec_t *
ngx_mesh_rec_next_locked(ngx_mesh_rec_t *after)
{
    ngx_rbtree_t       *tree;
    ngx_rbtree_node_t  *node, *found;

    tree = &ngx_mesh_zone->tree[after->mine.type];
    node = tree->root;
    found = NULL;

    while (node != tree->sentinel) {

        if (ngx_mesh_rec_compare((ngx_mesh_rec_t *) node, after) > 0) {
            found = node;
            node = node->left;

        } else {
            node = node->right;
        }
    }

    return (ngx_mesh_rec_t *) found;
}


/*
 * Copies the next records of a domain, at most NGX_MESH_EACH_BATCH: size bytes
 * behind the front of each, with the domain at an offset among them.
 * NGX_AGAIN: there may be more.
 */
static ngx_int_t
ngx_mesh_rec_batch(ngx_mesh_rec_t *cursor, void *batch, size_t size,
    size_t offset, int64_t domain_id, ngx_uint_t *n)
{
    u_char          *copy;
    int64_t          id;
    ngx_uint_t       i;
    ngx_mesh_rec_t  *rec;

    *n = 0;
    rec = NULL;
    copy = batch;

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    for (i = 0; i < NGX_MESH_EACH_BATCH * 2 && *n < NGX_MESH_EACH_BATCH; i++) {

        rec = ngx_mesh_rec_next_locked(cursor);
        if (rec == NULL) {
            break;
        }

        cursor->node.key = rec->node.key;
        ngx_memcpy(cursor->key, rec->key, NGX_MESH_KEY_LEN);

        ngx_memcpy(&id, (u_char *) (rec + 1) + offset, sizeof(int64_t));

        if (id == domain_id) {
            copy = ngx_cpymem(copy, rec + 1, size);
            (*n)++;
        }
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return rec ? NGX_AGAIN : NGX_OK;
}


ngx_int_t
ngx_mesh_presence_each(int64_t domain_id,
    ngx_int_t (*fn)(const ngx_mesh_presence_t *p, void *data), void *data)
{
    ngx_int_t            rc;
    ngx_uint_t           i, n;
    ngx_mesh_rec_t       cursor;
    ngx_mesh_presence_t  batch[NGX_MESH_EACH_BATCH];

    ngx_memzero(&cursor, sizeof(ngx_mesh_rec_t));
    cursor.mine.type = NGX_MESH_REC_PRESENCE;

    do {
        rc = ngx_mesh_rec_batch(&cursor, batch, sizeof(ngx_mesh_presence_t),
                                offsetof(ngx_mesh_presence_t, domain_id),
                                domain_id, &n);

        for (i = 0; i < n; i++) {
            if (fn(&batch[i], data) != NGX_OK) {
                return NGX_ERROR;
            }
        }

    } while (rc == NGX_AGAIN);

    return NGX_OK;
}


ngx_uint_t
ngx_mesh_running_any(void)
{
    ngx_rbtree_t  *tree;

    tree = &ngx_mesh_zone->tree[NGX_MESH_REC_RUNNING];

    return tree->root != tree->sentinel;
}


ngx_int_t
ngx_mesh_running_each(int64_t domain_id,
    ngx_int_t (*fn)(const ngx_mesh_running_t *r, void *data), void *data)
{
    ngx_int_t           rc;
    ngx_uint_t          i, n;
    ngx_mesh_rec_t      cursor;
    ngx_mesh_running_t  batch[NGX_MESH_EACH_BATCH];

    ngx_memzero(&cursor, sizeof(ngx_mesh_rec_t));
    cursor.mine.type = NGX_MESH_REC_RUNNING;

    do {
        rc = ngx_mesh_rec_batch(&cursor, batch, sizeof(ngx_mesh_running_t),
                                offsetof(ngx_mesh_running_t, domain_id),
                                domain_id, &n);

        for (i = 0; i < n; i++) {
            if (batch[i].over == 0 && fn(&batch[i], data) != NGX_OK) {
                return NGX_ERROR;
            }
        }

    } while (rc == NGX_AGAIN);

    return NGX_OK;
}


/* a viewer that named its target in a command does not name it again */
static ngx_uint_t
ngx_mesh_meet_differ(uint32_t a, uint32_t b)
{
    if ((a & NGX_MESH_P_DIAL) != (b & NGX_MESH_P_DIAL)) {
        return 1;
    }

    a &= ~NGX_MESH_P_FLAGS;
    b &= ~NGX_MESH_P_FLAGS;

    return a && b && a != b;
}


ngx_int_t
ngx_mesh_meet(const ngx_mesh_meet_t *m, ngx_mesh_meet_t *first)
{
    ngx_int_t             rc;
    ngx_mesh_rec_t        key;
    ngx_mesh_rec_meet_t  *rec;

    static u_char  zeros[NGX_MESH_ID_LEN];

    ngx_mesh_rec_key(&key, NGX_MESH_REC_MEET, m->key, 32, "", 0);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rec = (ngx_mesh_rec_meet_t *) ngx_mesh_rec_find_locked(&key);

    if (rec && rec->m.expires < ngx_time()) {
        /* its worker is about to close it */
        ngx_mesh_rec_delete_locked(&rec->rec);
        rec = NULL;
    }

    if (rec == NULL) {
        rec = ngx_mesh_rec_create_locked(&key, sizeof(ngx_mesh_rec_meet_t));

        if (rec) {
            rec->m = *m;
            ngx_mesh_rec_link_locked(&rec->rec);
        }

        rc = rec ? NGX_AGAIN : NGX_ERROR;

    } else if (rec->m.role == m->role
               || ngx_mesh_meet_differ(rec->m.p, m->p)
               || (ngx_memcmp(rec->m.device, zeros, NGX_MESH_ID_LEN) != 0
                   && ngx_memcmp(m->device, zeros, NGX_MESH_ID_LEN) != 0
                   && ngx_memcmp(rec->m.device, m->device, NGX_MESH_ID_LEN)
                      != 0))
    {
        rc = NGX_BUSY;

    } else {
        *first = rec->m;
        ngx_mesh_rec_delete_locked(&rec->rec);
        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return rc;
}


void
ngx_mesh_meet_cancel(const u_char *key, uint64_t serial)
{
    ngx_mesh_rec_t        k;
    ngx_mesh_rec_meet_t  *rec;

    ngx_mesh_rec_key(&k, NGX_MESH_REC_MEET, key, 32, "", 0);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rec = (ngx_mesh_rec_meet_t *) ngx_mesh_rec_find_locked(&k);

    if (rec && rec->m.owner.serial == serial) {
        ngx_mesh_rec_delete_locked(&rec->rec);
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);
}


ngx_int_t
ngx_mesh_pair_insert(const u_char *key, uint64_t serial)
{
    ngx_int_t             rc;
    ngx_mesh_rec_t        k;
    ngx_mesh_rec_pair_t  *rec;

    ngx_mesh_rec_key(&k, NGX_MESH_REC_PAIR, key, 32, "", 0);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rc = NGX_BUSY;

    if (ngx_mesh_rec_find_locked(&k) == NULL) {
        rec = ngx_mesh_rec_create_locked(&k, sizeof(ngx_mesh_rec_pair_t));

        if (rec) {
            rec->serial = serial;
            ngx_mesh_rec_link_locked(&rec->rec);
        }

        rc = rec ? NGX_OK : NGX_ERROR;
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return rc;
}


void
ngx_mesh_pair_delete(const u_char *key, uint64_t serial)
{
    ngx_mesh_rec_t        k;
    ngx_mesh_rec_pair_t  *rec;

    ngx_mesh_rec_key(&k, NGX_MESH_REC_PAIR, key, 32, "", 0);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rec = (ngx_mesh_rec_pair_t *) ngx_mesh_rec_find_locked(&k);

    if (rec && rec->serial == serial) {
        ngx_mesh_rec_delete_locked(&rec->rec);
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);
}


ngx_int_t
ngx_mesh_desk_insert(const u_char *key, ngx_mesh_addr_t *owner)
{
    ngx_int_t             rc;
    ngx_mesh_rec_t        k;
    ngx_mesh_rec_desk_t  *rec;

    ngx_mesh_rec_key(&k, NGX_MESH_REC_DESK, key, 32, "", 0);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rec = (ngx_mesh_rec_desk_t *) ngx_mesh_rec_find_locked(&k);

    if (rec) {
        *owner = rec->owner;
        rc = NGX_BUSY;

    } else {
        rec = ngx_mesh_rec_create_locked(&k, sizeof(ngx_mesh_rec_desk_t));

        if (rec) {
            rec->owner = *owner;
            ngx_mesh_rec_link_locked(&rec->rec);
        }

        rc = rec ? NGX_OK : NGX_ERROR;
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return rc;
}


void
ngx_mesh_desk_delete(const u_char *key, uint64_t serial)
{
    ngx_mesh_rec_t        k;
    ngx_mesh_rec_desk_t  *rec;

    ngx_mesh_rec_key(&k, NGX_MESH_REC_DESK, key, 32, "", 0);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rec = (ngx_mesh_rec_desk_t *) ngx_mesh_rec_find_locked(&k);

    if (rec && rec->owner.serial == serial) {
        ngx_mesh_rec_delete_locked(&rec->rec);
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);
}


static void
ngx_mesh_running_key(ngx_mesh_rec_t *rec, uint64_t serial)
{
    ngx_mesh_rec_key(rec, NGX_MESH_REC_RUNNING, &serial, sizeof(uint64_t),
                     "", 0);
}


ngx_int_t
ngx_mesh_running_insert(const ngx_mesh_running_t *r)
{
    ngx_mesh_rec_t           key;
    ngx_mesh_rec_running_t  *rec;

    ngx_mesh_running_key(&key, r->owner.serial);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rec = ngx_mesh_rec_create_locked(&key, sizeof(ngx_mesh_rec_running_t));

    if (rec) {
        rec->r = *r;
        ngx_mesh_rec_link_locked(&rec->rec);
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return rec ? NGX_OK : NGX_ERROR;
}


void
ngx_mesh_running_bytes(uint64_t serial, uint64_t to_viewer, uint64_t to_device)
{
    ngx_mesh_rec_t           key;
    ngx_mesh_rec_running_t  *rec;

    ngx_mesh_running_key(&key, serial);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rec = (ngx_mesh_rec_running_t *) ngx_mesh_rec_find_locked(&key);

    if (rec) {
        rec->r.to_viewer = to_viewer;
        rec->r.to_device = to_device;
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);
}


void
ngx_mesh_running_delete(uint64_t serial)
{
    ngx_mesh_rec_t   key, *rec;

    ngx_mesh_running_key(&key, serial);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rec = ngx_mesh_rec_find_locked(&key);

    if (rec) {
        ngx_mesh_rec_delete_locked(rec);
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);
}


ngx_int_t
ngx_mesh_running_lookup(uint64_t serial, ngx_mesh_running_t *r)
{
    ngx_mesh_rec_t           key;
    ngx_mesh_rec_running_t  *rec;

    ngx_mesh_running_key(&key, serial);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rec = (ngx_mesh_rec_running_t *) ngx_mesh_rec_find_locked(&key);

    if (rec && rec->r.over) {
        rec = NULL;
    }

    if (rec) {
        *r = rec->r;
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return rec ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_mesh_running_lost(ngx_mesh_running_t *r)
{
    ngx_queue_t             *q;
    ngx_mesh_rec_running_t  *rec;

    q = NULL;

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    if (!ngx_queue_empty(&ngx_mesh_zone->lost)) {
        q = ngx_queue_head(&ngx_mesh_zone->lost);
        rec = ngx_queue_data(q, ngx_mesh_rec_running_t, rec.mine.queue);
        *r = rec->r;
        ngx_queue_remove(q);
        ngx_slab_free_locked(ngx_mesh_shpool, rec);
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return q ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_mesh_page_insert(const ngx_mesh_running_t *r, ngx_uint_t own,
    ngx_uint_t max)
{
    ngx_int_t                rc;
    ngx_uint_t               all, mine;
    ngx_queue_t             *q, *pages;
    ngx_mesh_rec_t           key;
    ngx_mesh_rec_running_t  *rec;

    all = 0;
    mine = 0;
    pages = &ngx_mesh_zone->pages;
    ngx_mesh_running_key(&key, r->owner.serial);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    for (q = ngx_queue_head(pages);
         q != ngx_queue_sentinel(pages);
         q = ngx_queue_next(q))
    {
        rec = ngx_queue_data(q, ngx_mesh_rec_running_t, rec.mine.queue);
        mine += rec->r.account_id == r->account_id;
        all += rec->r.domain_id == r->domain_id;
    }

    rc = NGX_BUSY;

    if (mine < own && all < max) {
        rec = ngx_mesh_rec_create_locked(&key, sizeof(ngx_mesh_rec_running_t));

        if (rec) {
            rec->r = *r;
            ngx_queue_insert_tail(pages, &rec->rec.mine.queue);
            ngx_rbtree_insert(&ngx_mesh_zone->tree[NGX_MESH_REC_RUNNING],
                              &rec->rec.node);
        }

        rc = rec ? NGX_OK : NGX_ERROR;
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return rc;
}


ngx_int_t
ngx_mesh_page_used(uint64_t serial, uint64_t to_viewer, uint64_t to_device,
    ngx_uint_t used)
{
    ngx_int_t                rc;
    ngx_mesh_rec_t           key;
    ngx_mesh_rec_running_t  *rec;

    ngx_mesh_running_key(&key, serial);
    rc = NGX_DECLINED;

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rec = (ngx_mesh_rec_running_t *) ngx_mesh_rec_find_locked(&key);

    if (rec) {
        rec->r.to_viewer += to_viewer;
        rec->r.to_device += to_device;

        if (rec->r.over == 0) {
            rc = NGX_OK;

            if (used) {
                rec->r.used = ngx_time();
            }
        }
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return rc;
}


void
ngx_mesh_page_end(uint64_t serial, ngx_uint_t end, int64_t account_id)
{
    ngx_mesh_rec_t           key;
    ngx_mesh_rec_running_t  *rec;

    ngx_mesh_running_key(&key, serial);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rec = (ngx_mesh_rec_running_t *) ngx_mesh_rec_find_locked(&key);

    if (rec && rec->r.over == 0) {
        rec->r.over = ngx_time();
        rec->r.end = (uint16_t) end;
        rec->r.ended_by = account_id;
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);
}


ngx_int_t
ngx_mesh_page_take(ngx_mesh_running_t *r, ngx_uint_t stop)
{
    time_t                   now;
    ngx_int_t                rc;
    ngx_uint_t               i;
    ngx_queue_t             *q, *pages;
    ngx_mesh_slot_t         *slot;
    ngx_mesh_rec_running_t  *rec;

    now = ngx_time();
    rc = NGX_DECLINED;
    pages = &ngx_mesh_zone->pages;

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    if (stop) {
        ngx_mesh_slot->flags |= NGX_MESH_SLOT_DRAINING;

        /* a reload: workers of the new configuration may have no slot yet */
        if (ngx_mesh_slot->generation != ngx_mesh_zone->generation
            && !ngx_terminate)
        {
            goto done;
        }

        for (i = 0; i < NGX_MESH_SLOTS; i++) {
            slot = &ngx_mesh_zone->slot[i];

            if (slot->pid && !(slot->flags & NGX_MESH_SLOT_DRAINING)) {
                goto done;
            }
        }
    }

    for (q = ngx_queue_head(pages);
         q != ngx_queue_sentinel(pages);
         q = ngx_queue_next(q))
    {
        rec = ngx_queue_data(q, ngx_mesh_rec_running_t, rec.mine.queue);

        if (rec->r.over == 0 && (stop || rec->r.used + rec->r.idle
                                          + NGX_MESH_PAGE_LATE < now))
        {
            rec->r.over = now;
            rec->r.end = stop ? NGX_MESH_PAGE_WORKER : NGX_MESH_PAGE_IDLE;
        }

        if (rec->r.over && (stop || rec->r.over + NGX_MESH_PAGE_LATE < now)) {
            *r = rec->r;
            ngx_mesh_rec_delete_locked(&rec->rec);
            rc = NGX_OK;
            break;
        }
    }

done:

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return rc;
}


static ngx_mesh_share_t *
ngx_mesh_share_find_locked(ngx_mesh_rec_limit_t *limit)
{
    ngx_queue_t       *q;
    ngx_mesh_share_t  *share;

    for (q = ngx_queue_head(&limit->shares);
         q != ngx_queue_sentinel(&limit->shares);
         q = ngx_queue_next(q))
    {
        share = ngx_queue_data(q, ngx_mesh_share_t, queue);

        if (share->mine.slot == ngx_mesh_slot_n) {
            return share;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_mesh_limit_enter_locked(ngx_mesh_rec_t *key, ngx_uint_t n)
{
    ngx_mesh_share_t      *share;
    ngx_mesh_rec_limit_t  *limit;

    limit = (ngx_mesh_rec_limit_t *) ngx_mesh_rec_find_locked(key);

    if (limit && limit->total >= n) {
        return NGX_BUSY;
    }

    share = limit ? ngx_mesh_share_find_locked(limit) : NULL;

    if (share == NULL) {

        share = ngx_slab_calloc_locked(ngx_mesh_shpool,
                                       sizeof(ngx_mesh_share_t));
        if (share == NULL) {
            ngx_mesh_zone_full();
            return NGX_BUSY;
        }

        if (limit == NULL) {
            limit = ngx_mesh_rec_create_locked(key,
                                               sizeof(ngx_mesh_rec_limit_t));
            if (limit == NULL) {
                ngx_slab_free_locked(ngx_mesh_shpool, share);
                return NGX_BUSY;
            }

            /* it is nobody's: it ends with its last share */
            ngx_queue_init(&limit->shares);
            ngx_rbtree_insert(&ngx_mesh_zone->tree[NGX_MESH_REC_LIMIT],
                              &limit->rec.node);
        }

        share->mine.type = NGX_MESH_REC_SHARE;
        share->mine.slot = ngx_mesh_slot_n;
        share->limit = limit;

        ngx_queue_insert_tail(&limit->shares, &share->queue);
        ngx_queue_insert_tail(&ngx_mesh_zone->mine[ngx_mesh_slot_n],
                              &share->mine.queue);
    }

    share->n++;
    limit->total++;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_limit_enter(ngx_uint_t what, const ngx_str_t *name, ngx_uint_t n)
{
    u_char          w;
    ngx_int_t       rc;
    ngx_mesh_rec_t  key;

    w = what;
    ngx_mesh_rec_key(&key, NGX_MESH_REC_LIMIT, &w, 1, name->data, name->len);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);
    rc = ngx_mesh_limit_enter_locked(&key, n);
    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return rc;
}


void
ngx_mesh_limit_leave(ngx_uint_t what, const ngx_str_t *name)
{
    u_char                 w;
    ngx_mesh_rec_t         key;
    ngx_mesh_share_t      *share;
    ngx_mesh_rec_limit_t  *limit;

    w = what;
    ngx_mesh_rec_key(&key, NGX_MESH_REC_LIMIT, &w, 1, name->data, name->len);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    limit = (ngx_mesh_rec_limit_t *) ngx_mesh_rec_find_locked(&key);
    share = limit ? ngx_mesh_share_find_locked(limit) : NULL;

    if (share) {
        if (share->n > 1) {
            share->n--;
            limit->total--;

        } else {
            ngx_mesh_share_delete_locked(share);
        }
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);
}


ngx_uint_t
ngx_mesh_limit_count(ngx_uint_t what, const ngx_str_t *name)
{
    u_char                 w;
    ngx_uint_t             n;
    ngx_mesh_rec_t         key;
    ngx_mesh_rec_limit_t  *limit;

    w = what;
    ngx_mesh_rec_key(&key, NGX_MESH_REC_LIMIT, &w, 1, name->data, name->len);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    limit = (ngx_mesh_rec_limit_t *) ngx_mesh_rec_find_locked(&key);
    n = limit ? limit->total : 0;

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return n;
}


ngx_uint_t
ngx_mesh_rate(ngx_uint_t what, const ngx_str_t *name, ngx_uint_t n,
    ngx_uint_t window)
{
    u_char                w;
    ngx_uint_t            count;
    ngx_mesh_rec_t        key;
    ngx_mesh_rec_rate_t  *rec;

    w = what;
    count = n ? NGX_MESH_RATE_UNKNOWN : 0;
    ngx_mesh_rec_key(&key, NGX_MESH_REC_RATE, &w, 1, name->data, name->len);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    ngx_mesh_rate_expire_locked(2, 0);

    rec = (ngx_mesh_rec_rate_t *) ngx_mesh_rec_find_locked(&key);

    if (rec && rec->until <= ngx_time()) {
        ngx_mesh_rec_delete_locked(&rec->rec);
        rec = NULL;
    }

    if (rec == NULL && n) {

        /* whoever comes under many names takes room from his like alone */
        if (ngx_mesh_zone->rates_n >= ngx_mesh_zone->rates_max) {
            ngx_mesh_rate_expire_locked(1, 1);
        }

        rec = ngx_mesh_rec_create_locked(&key, sizeof(ngx_mesh_rec_rate_t));

        if (rec) {
            ngx_mesh_zone->rates_n++;
            rec->since = ngx_time();
            rec->until = rec->since + window;
            ngx_queue_insert_tail(&ngx_mesh_zone->rates,
                                  &rec->rec.mine.queue);
            ngx_rbtree_insert(&ngx_mesh_zone->tree[NGX_MESH_REC_RATE],
                              &rec->rec.node);
        }
    }

    if (rec) {
        rec->n += n;
        count = rec->n;
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return count;
}


void
ngx_mesh_rate_clear(ngx_uint_t what, const ngx_str_t *name)
{
    u_char                w;
    ngx_mesh_rec_t        key;
    ngx_mesh_rec_rate_t  *rec;

    w = what;
    ngx_mesh_rec_key(&key, NGX_MESH_REC_RATE, &w, 1, name->data, name->len);

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rec = (ngx_mesh_rec_rate_t *) ngx_mesh_rec_find_locked(&key);

    if (rec) {
        ngx_mesh_rec_delete_locked(&rec->rec);
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);
}


/* of the n oldest those whose window has passed; all: in any case */
static void
ngx_mesh_rate_expire_locked(ngx_uint_t n, ngx_uint_t all)
{
    ngx_queue_t          *q;
    ngx_mesh_rec_rate_t  *rec;

    while (n-- && !ngx_queue_empty(&ngx_mesh_zone->rates)) {
        q = ngx_queue_head(&ngx_mesh_zone->rates);
        rec = ngx_queue_data(q, ngx_mesh_rec_rate_t, rec.mine.queue);

        if (!all && rec->until > ngx_time()) {
            return;
        }

        ngx_mesh_rec_delete_locked(&rec->rec);
    }
}


const char *
ngx_mesh_refused_text(ngx_uint_t reason)
{
    if (reason >= sizeof(ngx_mesh_refusals) / sizeof(ngx_mesh_refusals[0])) {
        reason = 0;
    }

    return ngx_mesh_refusals[reason];
}


/* the entry of this device, or of this address where none is known */
static ngx_mesh_refused_t *
ngx_mesh_refused_find_locked(const u_char *id, const u_char *address,
    ngx_uint_t reason)
{
    ngx_uint_t           i, known;
    ngx_mesh_refused_t  *r;

    static u_char  zeros[NGX_MESH_ID_LEN];

    known = ngx_memcmp(id, zeros, NGX_MESH_ID_LEN) != 0;

    for (i = 0; i < NGX_MESH_REFUSED_MAX; i++) {
        r = &ngx_mesh_zone->refused[i];

        if (!r->used || r->reason != reason
            || ngx_memcmp(r->id, id, NGX_MESH_ID_LEN) != 0)
        {
            continue;
        }

        if (known || ngx_strcmp(r->address, address) == 0) {
            return r;
        }
    }

    return NULL;
}


void
ngx_mesh_refused_add(const ngx_mesh_refused_t *r)
{
    time_t               first;
    uint32_t             count;
    ngx_mesh_refused_t  *e;

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    e = ngx_mesh_refused_find_locked(r->id, r->address, r->reason);

    first = ngx_time();
    count = 0;

    if (e) {
        first = e->first;
        count = e->count;

    } else {
        e = &ngx_mesh_zone->refused[ngx_mesh_zone->refused_next++
                                    % NGX_MESH_REFUSED_MAX];
    }

    *e = *r;
    e->first = first;
    e->last = ngx_time();
    e->count = count + 1;
    e->held = 1;
    e->used = 1;

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);
}


void
ngx_mesh_refused_left(const u_char *id, const u_char *address,
    ngx_uint_t reason)
{
    ngx_mesh_refused_t  *e;

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    e = ngx_mesh_refused_find_locked(id, address, reason);

    if (e) {
        e->held = 0;
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);
}


ngx_uint_t
ngx_mesh_refused_list(ngx_mesh_refused_t *list, ngx_uint_t max)
{
    ngx_uint_t           i, n;
    ngx_mesh_refused_t  *e;

    n = 0;

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    /* newest entry first */
    for (i = 1; i <= NGX_MESH_REFUSED_MAX && n < max; i++) {
        e = &ngx_mesh_zone->refused[(ngx_mesh_zone->refused_next
                                     + NGX_MESH_REFUSED_MAX - i)
                                    % NGX_MESH_REFUSED_MAX];

        if (e->used) {
            list[n++] = *e;
        }
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return n;
}


void
ngx_mesh_outer_hash_set(ngx_uint_t server, const u_char *hash)
{
    if (server >= NGX_MESH_SERVERS_MAX) {
        return;
    }

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    if (ngx_mesh_zone->outer_set[server]
        && ngx_memcmp(ngx_mesh_zone->outer[server], hash, NGX_MESH_ID_LEN)
           != 0)
    {
        ngx_memcpy(ngx_mesh_zone->outer_old[server],
                   ngx_mesh_zone->outer[server], NGX_MESH_ID_LEN);
        ngx_mesh_zone->outer_until[server] = ngx_time() + NGX_MESH_OUTER_OLD;
    }

    ngx_memcpy(ngx_mesh_zone->outer[server], hash, NGX_MESH_ID_LEN);
    ngx_mesh_zone->outer_set[server] = 1;

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);
}


ngx_int_t
ngx_mesh_outer_hash_get(ngx_uint_t server, u_char *hash)
{
    ngx_int_t  rc;

    if (server >= NGX_MESH_SERVERS_MAX) {
        return NGX_DECLINED;
    }

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rc = ngx_mesh_zone->outer_set[server] ? NGX_OK : NGX_DECLINED;
    ngx_memcpy(hash, ngx_mesh_zone->outer[server], NGX_MESH_ID_LEN);

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return rc;
}


ngx_int_t
ngx_mesh_outer_hash_old(ngx_uint_t server, const u_char *hash)
{
    ngx_int_t  rc;

    if (server >= NGX_MESH_SERVERS_MAX) {
        return NGX_DECLINED;
    }

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    rc = ngx_mesh_zone->outer_until[server] > ngx_time()
         && ngx_memcmp(ngx_mesh_zone->outer_old[server], hash,
                       NGX_MESH_ID_LEN) == 0
         ? NGX_OK : NGX_DECLINED;

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    return rc;
}


ngx_int_t
ngx_mesh_slot_claim(ngx_cycle_t *cycle)
{
    ngx_uint_t        i;
    ngx_mesh_slot_t  *slot;

    ngx_mesh_ipc = ngx_mesh_core_conf()->ipc_path->name;

    ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

    for (i = 0; i < NGX_MESH_SLOTS; i++) {

        if (ngx_mesh_zone->slot[i].pid == 0) {
            break;
        }
    }

    if (i < NGX_MESH_SLOTS) {
        slot = &ngx_mesh_zone->slot[i];

        ngx_memzero((void *) slot->gauge, sizeof(slot->gauge));
        ngx_memzero((void *) slot->counter, sizeof(slot->counter));
        slot->epoch++;
        slot->flags = NGX_MESH_SLOT_LIVE;
        slot->generation = ngx_mesh_zone->generation;
        slot->started = ngx_time();
        slot->pid = ngx_pid;

        ngx_mesh_slot = slot;
        ngx_mesh_slot_n = i;
    }

    ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

    if (i == NGX_MESH_SLOTS) {
        ngx_log_error(NGX_LOG_CRIT, cycle->log, 0,
                      "mesh zone has no free slot for this worker");
        return NGX_ERROR;
    }

    /* what a worker has left that died while none looked */
    ngx_mesh_purge_at = 0;

    return NGX_OK;
}


void
ngx_mesh_slot_release(void)
{
    if (ngx_mesh_slot == NULL || ngx_mesh_slot == &ngx_mesh_no_slot) {
        return;
    }

    ngx_mesh_slot_purge(ngx_mesh_slot_n, ngx_pid, 0);
    ngx_mesh_slot = &ngx_mesh_no_slot;
}


/*
 * Takes back what a worker has left, in small steps under the mutex, and
 * frees its slot.  Several may do that at once.
 */
static void
ngx_mesh_slot_purge(ngx_uint_t n, ngx_pid_t pid, ngx_uint_t died)
{
    u_char                    path[NGX_MAX_PATH];
    ngx_uint_t                i, lost, done;
    ngx_queue_t              *q, *mine;
    ngx_mesh_mine_t          *m;
    ngx_mesh_slot_t          *slot;
    ngx_mesh_presence_t       gone[32];
    ngx_mesh_rec_presence_t  *rec;

    slot = &ngx_mesh_zone->slot[n];
    mine = &ngx_mesh_zone->mine[n];

    do {
        lost = 0;
        done = 0;

        ngx_shmtx_lock(&ngx_mesh_shpool->mutex);

        if (slot->pid != pid) {
            ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);
            return;
        }

        for (i = 0; i < NGX_MESH_PURGE_BATCH && lost < 32; i++) {

            if (ngx_queue_empty(mine)) {
                done = 1;
                break;
            }

            q = ngx_queue_head(mine);
            m = ngx_queue_data(q, ngx_mesh_mine_t, queue);

            if (m->type == NGX_MESH_REC_PRESENCE) {
                rec = (ngx_mesh_rec_presence_t *)
                          ((u_char *) m - offsetof(ngx_mesh_rec_t, mine));
                gone[lost++] = rec->p;
            }

            ngx_mesh_mine_delete_locked(m);
        }

        if (done) {
            for (i = 0; i < NGX_MESH_COUNTERS; i++) {
                ngx_mesh_zone->departed[i] += slot->counter[i];
            }

            if (died) {
                ngx_mesh_zone->departed[NGX_MESH_C_WORKERS_DIED]++;
            }

            slot->flags = 0;
            slot->pid = 0;
        }

        ngx_shmtx_unlock(&ngx_mesh_shpool->mutex);

        for (i = 0; i < lost; i++) {
            ngx_mesh_presence_lost(&gone[i]);
        }

    } while (!done);

    *ngx_snprintf(path, NGX_MAX_PATH - 1, "%V/w.%P", &ngx_mesh_ipc, pid)
        = '\0';
    (void) ngx_delete_file(path);

    if (died) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "mesh worker %P is gone, its place is free again", pid);
    }
}


void
ngx_mesh_shm_tick(void)
{
    ngx_uint_t  i;
    ngx_pid_t   pid;

    if (ngx_time() < ngx_mesh_purge_at) {
        return;
    }

    ngx_mesh_purge_at = ngx_time() + NGX_MESH_PURGE_EVERY;

    for (i = 0; i < NGX_MESH_SLOTS; i++) {
        pid = ngx_mesh_zone->slot[i].pid;

        if (pid == 0 || pid == ngx_pid) {
            continue;
        }

        /* EPERM: another user's process has this pid now */
        if (kill(pid, 0) == -1) {
            ngx_mesh_slot_purge(i, pid, 1);
        }
    }
}


/* somebody saw the end of a link: look at once */
void
ngx_mesh_shm_suspect(void)
{
    ngx_mesh_purge_at = 0;
}

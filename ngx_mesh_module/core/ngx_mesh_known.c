/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Sets of four entries, found by the device's own hash.  An entry is void when
 * the version of its device's number has moved on since: numbers are counted
 * by their remainder, so that a change needs no search.
 */

#include "../ngx_mesh.h"


#define NGX_MESH_KNOWN_VERSION   2    /* of this layout */
#define NGX_MESH_KNOWN_SETS      4096
#define NGX_MESH_KNOWN_WAYS      4
#define NGX_MESH_KNOWN_COUNTS    8192
#define NGX_MESH_KNOWN_ZONE      (4 * 1024 * 1024)


typedef struct {
    int64_t                 domain_id;    /* 0: free */
    u_char                  id[NGX_MESH_ID_LEN];
    uint32_t                count;        /* of the device, when it was read */
    uint32_t                epoch;
    ngx_mesh_known_t        known;
} ngx_mesh_known_entry_t;

typedef struct {
    uint32_t                version;
    uint32_t                epoch;        /* void with the one before: all */
    uint64_t                changes;
    uint32_t                next;         /* way to be given up */
    uint32_t                count[NGX_MESH_KNOWN_COUNTS];
    ngx_pid_t               follows[NGX_MESH_SLOTS];  /* their models */
    ngx_mesh_known_entry_t  entry[NGX_MESH_KNOWN_SETS][NGX_MESH_KNOWN_WAYS];
} ngx_mesh_known_zone_t;


static ngx_int_t ngx_mesh_known_init_zone(ngx_shm_zone_t *zone, void *data);
static ngx_mesh_known_entry_t *ngx_mesh_known_set(const u_char *id);
static ngx_mesh_known_entry_t *ngx_mesh_known_find_locked(int64_t domain_id,
    const u_char *id);
static uint32_t *ngx_mesh_known_count(int64_t device_id);
static void ngx_mesh_known_changed(ngx_uint_t kind, int64_t id);
static void ngx_mesh_known_loaded(void);


static ngx_slab_pool_t        *ngx_mesh_known_pool;
static ngx_mesh_known_zone_t  *ngx_mesh_known;


ngx_int_t
ngx_mesh_known_lookup(int64_t domain_id, const u_char *id,
    ngx_mesh_known_t *known)
{
    ngx_mesh_known_entry_t  *e;

    ngx_shmtx_lock(&ngx_mesh_known_pool->mutex);

    e = ngx_mesh_known_find_locked(domain_id, id);

    if (e) {
        *known = e->known;
    }

    ngx_shmtx_unlock(&ngx_mesh_known_pool->mutex);

    return e ? NGX_OK : NGX_DECLINED;
}


uint64_t
ngx_mesh_known_mark(void)
{
    uint64_t  mark;

    ngx_shmtx_lock(&ngx_mesh_known_pool->mutex);
    mark = ngx_mesh_known->changes;
    ngx_shmtx_unlock(&ngx_mesh_known_pool->mutex);

    return mark;
}


void
ngx_mesh_known_insert(int64_t domain_id, const u_char *id,
    const ngx_mesh_known_t *known, uint64_t mark)
{
    ngx_uint_t               i;
    ngx_mesh_known_entry_t  *e, *set;

    set = ngx_mesh_known_set(id);

    ngx_shmtx_lock(&ngx_mesh_known_pool->mutex);

    if (ngx_mesh_known->changes == mark) {
        e = &set[ngx_mesh_known->next++ % NGX_MESH_KNOWN_WAYS];

        for (i = 0; i < NGX_MESH_KNOWN_WAYS; i++) {

            if (set[i].domain_id == domain_id
                && ngx_memcmp(set[i].id, id, NGX_MESH_ID_LEN) == 0)
            {
                e = &set[i];
                break;
            }

            if (set[i].domain_id == 0) {
                e = &set[i];
            }
        }

        /* a worker that dies in between leaves a free one */

        e->domain_id = 0;
        ngx_memory_barrier();

        ngx_memcpy(e->id, id, NGX_MESH_ID_LEN);
        e->count = *ngx_mesh_known_count(known->device_id);
        e->epoch = ngx_mesh_known->epoch;
        e->known = *known;

        ngx_memory_barrier();
        e->domain_id = domain_id;
    }

    ngx_shmtx_unlock(&ngx_mesh_known_pool->mutex);
}


void
ngx_mesh_known_update(int64_t domain_id, const u_char *id,
    const ngx_mesh_known_t *known, const ngx_str_t *hardware)
{
    ngx_mesh_known_entry_t  *e;

    ngx_shmtx_lock(&ngx_mesh_known_pool->mutex);

    e = ngx_mesh_known_find_locked(domain_id, id);

    if (e && known) {
        e->known.agent_id = known->agent_id;
        e->known.version = known->version;
        e->known.caps = known->caps;
        e->known.reported = known->reported;
    }

    if (e && hardware) {
        e->known.hardware_len = 0;

        if (hardware->len <= NGX_MESH_KNOWN_HASH) {
            e->known.hardware_len = (uint32_t) hardware->len;
            ngx_memcpy(e->known.hardware, hardware->data, hardware->len);
        }
    }

    ngx_shmtx_unlock(&ngx_mesh_known_pool->mutex);
}


/* ids are hashes of keys: any part of one spreads them */
static ngx_mesh_known_entry_t *
ngx_mesh_known_set(const u_char *id)
{
    return ngx_mesh_known->entry[mesh_get32(id) % NGX_MESH_KNOWN_SETS];
}


static ngx_mesh_known_entry_t *
ngx_mesh_known_find_locked(int64_t domain_id, const u_char *id)
{
    ngx_uint_t               i;
    ngx_mesh_known_entry_t  *e;

    e = ngx_mesh_known_set(id);

    for (i = 0; i < NGX_MESH_KNOWN_WAYS; i++, e++) {
        if (e->domain_id == domain_id
            && ngx_memcmp(e->id, id, NGX_MESH_ID_LEN) == 0)
        {
            return e->epoch == ngx_mesh_known->epoch
                   && e->count == *ngx_mesh_known_count(e->known.device_id)
                   ? e : NULL;
        }
    }

    return NULL;
}


static uint32_t *
ngx_mesh_known_count(int64_t device_id)
{
    return &ngx_mesh_known->count[(uint64_t) device_id
                                  % NGX_MESH_KNOWN_COUNTS];
}


static void
ngx_mesh_known_changed(ngx_uint_t kind, int64_t id)
{
    if (kind == NGX_MESH_CHANGE_DEVICE) {
        ngx_shmtx_lock(&ngx_mesh_known_pool->mutex);
        ngx_mesh_known->changes++;
        (*ngx_mesh_known_count(id))++;
        ngx_shmtx_unlock(&ngx_mesh_known_pool->mutex);

    } else if (kind == NGX_MESH_CHANGE_DOMAIN && id == 0) {
        ngx_mesh_known_loaded();
    }
}


/*
 * The model was loaded: what changed before is not heard of any more.  For the
 * first load of a new worker another one that follows may have heard it.
 */
static void
ngx_mesh_known_loaded(void)
{
    ngx_uint_t  i, heard;
    ngx_pid_t   pid;

    heard = 0;

    if (ngx_mesh_known->follows[ngx_mesh_slot_n] != ngx_pid) {

        for (i = 0; i < NGX_MESH_SLOTS && !heard; i++) {
            pid = ngx_mesh_known->follows[i];
            heard = pid && kill(pid, 0) == 0;
        }
    }

    ngx_shmtx_lock(&ngx_mesh_known_pool->mutex);

    if (!heard) {
        ngx_mesh_known->changes++;
        ngx_mesh_known->epoch++;
    }

    ngx_mesh_known->follows[ngx_mesh_slot_n] = ngx_pid;

    ngx_shmtx_unlock(&ngx_mesh_known_pool->mutex);
}


ngx_int_t
ngx_mesh_known_zone(ngx_conf_t *cf, void *tag)
{
    ngx_str_t        name = ngx_string("mesh_known");
    ngx_shm_zone_t  *zone;

    zone = ngx_shared_memory_add(cf, &name, NGX_MESH_KNOWN_ZONE, tag);

    if (zone == NULL) {
        return NGX_ERROR;
    }

    zone->init = ngx_mesh_known_init_zone;
    zone->data = tag;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_known_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t  *pool;

    pool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data || zone->shm.exists) {
        ngx_mesh_known = pool->data;

        if (ngx_mesh_known == NULL
            || ngx_mesh_known->version != NGX_MESH_KNOWN_VERSION)
        {
            ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                          "mesh zone is of another version");
            return NGX_ERROR;
        }

    } else {
        ngx_mesh_known = ngx_slab_calloc(pool, sizeof(ngx_mesh_known_zone_t));

        if (ngx_mesh_known == NULL) {
            return NGX_ERROR;
        }

        ngx_mesh_known->version = NGX_MESH_KNOWN_VERSION;
        pool->data = ngx_mesh_known;
    }

    ngx_mesh_known_pool = pool;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_known_init(ngx_cycle_t *cycle)
{
    ngx_mesh_model_on_change(ngx_mesh_known_changed);

    return NGX_OK;
}

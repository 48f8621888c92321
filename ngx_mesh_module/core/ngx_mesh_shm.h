/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Shared memory: who.  Slots of workers, presence, waiting relay halves,
 * per-address counters, refused agents.  Nothing here holds a pointer to the
 * heap of a process; who looks up gets a copy.
 */

#ifndef _NGX_MESH_SHM_H_INCLUDED_
#define _NGX_MESH_SHM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MESH_SLOTS      256
#define NGX_MESH_ID_LEN     48

#define NGX_MESH_AGENT      1         /* kinds of presence */
#define NGX_MESH_AMT        2


/* names a session anywhere: the worker's slot, its epoch, the session */
typedef struct {
    uint64_t          serial;
    uint32_t          epoch;
    uint16_t          slot;
} ngx_mesh_addr_t;


/* counters of a slot; names, help and units are one table in ngx_mesh_shm.c */
typedef enum {
    NGX_MESH_C_AGENTS_TOTAL = 0,      /* agents that reached command 4 */
    NGX_MESH_C_HANDSHAKES,            /* agent upgrades */
    NGX_MESH_C_SKIPPED,               /* handshakes without a signature */
    NGX_MESH_C_KNOWN,                 /* let in without asking the database */
    NGX_MESH_C_HELD,                  /* agents refused, that is held */
    NGX_MESH_C_MUTED,
    NGX_MESH_C_LOGINS,
    NGX_MESH_C_LOGIN_FAILURES,
    NGX_MESH_C_CONTROL_TOTAL,
    NGX_MESH_C_RELAYS_TOTAL,          /* pairs */
    NGX_MESH_C_RELAYS_LOCAL,          /* both halves in one worker */
    NGX_MESH_C_RELAYS_CROSS,
    NGX_MESH_C_RELAY_EXPIRED,
    NGX_MESH_C_RELAY_REFUSED,
    NGX_MESH_C_MSG_IN,
    NGX_MESH_C_MSG_OUT,
    NGX_MESH_C_BYTES_IN,
    NGX_MESH_C_BYTES_OUT,
    NGX_MESH_C_UNKNOWN_MSG,           /* unknown, obsolete, repeated */
    NGX_MESH_C_BAD_JSON,
    NGX_MESH_C_DROPPED,               /* over a queue mark */
    NGX_MESH_C_CLOSED_SLOW,
    NGX_MESH_C_ORIGIN_REFUSED,
    NGX_MESH_C_LIMITED,
    NGX_MESH_C_BUS_MSGS,
    NGX_MESH_C_BUS_BOUNCES,
    NGX_MESH_C_BUS_CLOSES,
    NGX_MESH_C_DB_REQS,
    NGX_MESH_C_DB_ERRORS,
    NGX_MESH_C_DB_LATENCY_US,         /* sum */
    NGX_MESH_C_SIGN_REQS,
    NGX_MESH_C_SIGN_LATENCY_US,       /* sum */
    NGX_MESH_C_WORKERS_DIED,
    NGX_MESH_C_CORES_PUSHED,
    NGX_MESH_C_UPDATES,
    NGX_MESH_COUNTERS
} ngx_mesh_counter_e;

/* gauges of a slot */
typedef enum {
    NGX_MESH_G_AGENTS = 0,            /* authenticated, not muted */
    NGX_MESH_G_PENDING,               /* agents in the handshake */
    NGX_MESH_G_HELD,
    NGX_MESH_G_BROWSERS,
    NGX_MESH_G_RELAYS,                /* halves */
    NGX_MESH_G_AMT,
    NGX_MESH_G_DB_QUEUE,
    NGX_MESH_G_DB_DOWN,               /* 1: database away */
    NGX_MESH_G_SIGNER_DOWN,
    NGX_MESH_G_SIGN_QUEUE,
    NGX_MESH_G_DB_HELD,               /* seconds, by one worker */
    NGX_MESH_GAUGES
} ngx_mesh_gauge_e;


#define NGX_MESH_SLOT_LIVE      1
#define NGX_MESH_SLOT_DRAINING  2


typedef struct {
    ngx_pid_t         pid;            /* 0: free */
    uint32_t          epoch;
    uint32_t          flags;
    uint32_t          generation;
    time_t            started;
    ngx_atomic_t      gauge[NGX_MESH_GAUGES];
    ngx_atomic_t      counter[NGX_MESH_COUNTERS];
} ngx_mesh_slot_t;


extern ngx_mesh_slot_t  *ngx_mesh_slot;         /* of this worker */
extern ngx_uint_t        ngx_mesh_slot_n;

#define ngx_mesh_count(c)        (void) ngx_atomic_fetch_add(                 \
                                     &ngx_mesh_slot->counter[c], 1)
#define ngx_mesh_count_n(c, n)   (void) ngx_atomic_fetch_add(                 \
                                     &ngx_mesh_slot->counter[c], n)
#define ngx_mesh_gauge(g, n)     (void) ngx_atomic_fetch_add(                 \
                                     &ngx_mesh_slot->gauge[g], n)


/* a number unique to one session for ever (of this zone) */
uint64_t ngx_mesh_serial(void);

/* copies slot n; NGX_DECLINED if free */
ngx_int_t ngx_mesh_slot_get(ngx_uint_t n, ngx_mesh_slot_t *slot);

/* sums over all slots and the row of departed workers */
ngx_atomic_uint_t ngx_mesh_counter_sum(ngx_mesh_counter_e c);
ngx_atomic_uint_t ngx_mesh_gauge_sum(ngx_mesh_gauge_e g);
const char *ngx_mesh_counter_name(ngx_mesh_counter_e c);   /* snake case */
const char *ngx_mesh_counter_help(ngx_mesh_counter_e c);
const char *ngx_mesh_gauge_name(ngx_mesh_gauge_e g);
const char *ngx_mesh_gauge_help(ngx_mesh_gauge_e g);
ngx_uint_t ngx_mesh_zone_free_pages(void);


/* Presence. */

typedef struct {
    u_char            id[NGX_MESH_ID_LEN];      /* node id, raw */
    ngx_mesh_addr_t   owner;
    int64_t           device_id;
    int64_t           group_id;
    int64_t           domain_id;
    time_t            since;
    uint8_t           kind;
    uint8_t           caps;
    uint8_t           consent;                  /* of the device itself */
} ngx_mesh_presence_t;

/*
 * Makes this worker's session the owner of p->id.  If another session had it,
 * *loser is its address (serial 0: none); the caller mutes it by the bus.
 *   NGX_OK, NGX_ERROR: the zone is full
 */
ngx_int_t ngx_mesh_presence_insert(const ngx_mesh_presence_t *p,
    ngx_mesh_addr_t *loser);
/* NGX_OK: was mine and is gone; NGX_DECLINED: another session has it */
ngx_int_t ngx_mesh_presence_delete(ngx_uint_t kind, int64_t domain_id,
    const u_char *id, uint64_t serial);
/* the device moved to another group, or others are to be asked */
ngx_int_t ngx_mesh_presence_move(ngx_uint_t kind, int64_t domain_id,
    const u_char *id, int64_t group_id, uint8_t consent);
ngx_int_t ngx_mesh_presence_lookup(ngx_uint_t kind, int64_t domain_id,
    const u_char *id, ngx_mesh_presence_t *p);
/*
 * Calls fn with a copy of every entry of a domain, outside of the mutex
 * (in batches); fn returns NGX_OK to go on.
 */
ngx_int_t ngx_mesh_presence_each(int64_t domain_id,
    ngx_int_t (*fn)(const ngx_mesh_presence_t *p, void *data), void *data);


/* The first half of a relay, waiting. */

typedef struct {
    u_char            key[32];        /* SHA-256 of domain, user, relay id */
    u_char            device[NGX_MESH_ID_LEN];  /* or zeros */
    ngx_mesh_addr_t   owner;
    uint32_t          p;              /* 0: not named */
    uint8_t           role;           /* NGX_MESH_VIEWER, NGX_MESH_DEVICE */
    time_t            expires;
} ngx_mesh_meet_t;

#define NGX_MESH_VIEWER  1
#define NGX_MESH_DEVICE  2

/* p of a relay whose viewer is a request for devicefile.ashx: protocol 10 in
   the tunnel; above all that a URL can name */
#define NGX_MESH_P_FETCH  266

/* added to p: what the agent connects to, and a worker in place of a viewer */
#define NGX_MESH_P_TCP    0x200
#define NGX_MESH_P_UDP    0x400
#define NGX_MESH_P_DIAL   0x800

#define NGX_MESH_P_TARGET  (NGX_MESH_P_TCP|NGX_MESH_P_UDP)
#define NGX_MESH_P_FLAGS   (NGX_MESH_P_TARGET|NGX_MESH_P_DIAL)

/*
 * Under one lock: finds who waits under m->key.  Nobody: inserts m.
 *   NGX_AGAIN     m waits
 *   NGX_OK        *first was waiting, fits (other role, same device and p
 *                 where both name them, P_TARGET aside) and is removed
 *   NGX_BUSY      does not fit, or has the same role: m is the newcomer to
 *                 be closed, the waiting half stays
 *   NGX_ERROR     the zone is full
 */
ngx_int_t ngx_mesh_meet(const ngx_mesh_meet_t *m, ngx_mesh_meet_t *first);
/* removes it if serial still waits there */
void ngx_mesh_meet_cancel(const u_char *key, uint64_t serial);

/*
 * Keys of relays in use, so that a third half is refused: taken by the pair
 * when it forms, released when it ends.  NGX_BUSY: taken.
 */
ngx_int_t ngx_mesh_pair_insert(const u_char *key, uint64_t serial);
void ngx_mesh_pair_delete(const u_char *key, uint64_t serial);

/*
 * Desktops that several watch: the worker that has the picture, under a hash
 * of domain and device.
 *   NGX_OK     nobody had it: now *owner has
 *   NGX_BUSY   *owner is who has it
 *   NGX_ERROR  the zone is full
 */
ngx_int_t ngx_mesh_desk_insert(const u_char *key, ngx_mesh_addr_t *owner);
void ngx_mesh_desk_delete(const u_char *key, uint64_t serial);


/* Relays that run, as lists show them: each is its viewer's half's. */

typedef struct {
    ngx_mesh_addr_t   owner;
    int64_t           domain_id;
    int64_t           account_id;
    int64_t           called_id;      /* of a conversation of two users, or 0 */
    int64_t           device_id;
    int64_t           group_id;       /* of the device, when last seen */
    u_char            node[NGX_MESH_ID_LEN];
    u_char            key[8];         /* of its relay id: first of its hash */
    time_t            since;
    uint32_t          p;
    uint16_t          idle;           /* of a page: seconds; 0: no page */
    uint16_t          end;            /* of a page: NGX_MESH_PAGE_* */
    uint64_t          to_viewer, to_device;     /* bytes, some seconds old */
    u_char            address[46];    /* of the viewer, NUL-terminated */
    uint16_t          port;           /* of a target, 0: none known */
    u_char            target[64];     /* its address, NUL-terminated, cut */

    /* of a page alone */
    time_t            used;           /* last */
    time_t            over;           /* since then: not shown; 0: it runs */
    int64_t           ended_by;       /* an account, or 0 */
} ngx_mesh_running_t;

/* NGX_ERROR: the zone is full; the relay runs all the same */
ngx_int_t ngx_mesh_running_insert(const ngx_mesh_running_t *r);
void ngx_mesh_running_bytes(uint64_t serial, uint64_t to_viewer,
    uint64_t to_device);
void ngx_mesh_running_delete(uint64_t serial);
ngx_int_t ngx_mesh_running_lookup(uint64_t serial, ngx_mesh_running_t *r);
/* takes one whose worker is gone, and did not delete it; or NGX_DECLINED */
ngx_int_t ngx_mesh_running_lost(ngx_mesh_running_t *r);
/* is there one?  A guess, as no lock is taken */
ngx_uint_t ngx_mesh_running_any(void);
/* as ngx_mesh_presence_each() */
ngx_int_t ngx_mesh_running_each(int64_t domain_id,
    ngx_int_t (*fn)(const ngx_mesh_running_t *r, void *data), void *data);

/*
 * Pages of devices are among them, and no worker's own: each that serves one
 * adds what went, and they outlive it.  Of owner the serial alone is set, which
 * follows from the page's id and is none of ngx_mesh_serial().
 */

#define NGX_MESH_PAGE_IDLE     0      /* why it ended */
#define NGX_MESH_PAGE_PERSON   1
#define NGX_MESH_PAGE_RIGHTS   2
#define NGX_MESH_PAGE_SESSION  3
#define NGX_MESH_PAGE_WORKER   4      /* the server stops */

/*
 * NGX_BUSY: the account has own of them, or its domain max; NGX_ERROR: the zone
 * is full
 */
ngx_int_t ngx_mesh_page_insert(const ngx_mesh_running_t *r, ngx_uint_t own,
    ngx_uint_t max);
/* adds bytes; used: and now it is in use.  NGX_DECLINED: it has ended */
ngx_int_t ngx_mesh_page_used(uint64_t serial, uint64_t to_viewer,
    uint64_t to_device, ngx_uint_t used);
/* the first reason is the one that counts */
void ngx_mesh_page_end(uint64_t serial, ngx_uint_t end, int64_t account_id);
/*
 * Takes one that ended, when each worker has told its bytes; or NGX_DECLINED.
 * With stop any, if no other worker goes on: this one ends.
 */
ngx_int_t ngx_mesh_page_take(ngx_mesh_running_t *r, ngx_uint_t stop);


/* Counting by address or user (a string of at most 64 bytes). */

/* counts one in; NGX_BUSY: n or more are in already and nothing changed */
ngx_int_t ngx_mesh_limit_enter(ngx_uint_t what, const ngx_str_t *name,
    ngx_uint_t n);
void ngx_mesh_limit_leave(ngx_uint_t what, const ngx_str_t *name);
/* how many are in */
ngx_uint_t ngx_mesh_limit_count(ngx_uint_t what, const ngx_str_t *name);

/*
 * Failures with forgetting: adds n to the count of name within window
 * seconds and returns the count; n 0 only reads.  Used for lockout of
 * logins and for logins per node.  Without room to count it in it is
 * NGX_MESH_RATE_UNKNOWN, which is over any bound.
 */
#define NGX_MESH_RATE_UNKNOWN  ((ngx_uint_t) -1)

ngx_uint_t ngx_mesh_rate(ngx_uint_t what, const ngx_str_t *name,
    ngx_uint_t n, ngx_uint_t window);
void ngx_mesh_rate_clear(ngx_uint_t what, const ngx_str_t *name);

#define NGX_MESH_RATE_LOGIN_USER     16
#define NGX_MESH_RATE_LOGIN_ADDRESS  17
#define NGX_MESH_RATE_NODE           18
#define NGX_MESH_RATE_LOG            20
#define NGX_MESH_RATE_CHECK          21
#define NGX_MESH_RATE_UPDATE         22
#define NGX_MESH_RATE_WEB            23     /* tickets that were used */
#define NGX_MESH_RATE_ASKED          24     /* agents for their program */
#define NGX_MESH_RATE_IMAGE          25     /* and for a person's name */
#define NGX_MESH_RATE_NAME           26     /* and to be called so */
#define NGX_MESH_RATE_INVITE         32


/* Refused agents, as the Server page shows them: a ring of the last 128. */

typedef struct {
    u_char            id[NGX_MESH_ID_LEN];      /* node, zeros: unknown */
    u_char            group[NGX_MESH_ID_LEN];   /* asked for, or zeros */
    u_char            hash[NGX_MESH_ID_LEN];    /* outer hash it saw */
    u_char            address[64];    /* text, NUL-terminated */
    u_char            name[64];       /* host name, NUL-terminated, or "" */
    int64_t           domain_id;
    time_t            first, last;
    uint32_t          count;
    uint32_t          reason;         /* NGX_MESH_REFUSED_* */
    uint8_t           held;           /* still connected */
    uint8_t           used;
} ngx_mesh_refused_t;

#define NGX_MESH_REFUSED_HASH       1  /* not a certificate of ours */
#define NGX_MESH_REFUSED_SIGNATURE  2
#define NGX_MESH_REFUSED_GROUP      3  /* unknown, deleted, other kind */
#define NGX_MESH_REFUSED_LIMIT      4
#define NGX_MESH_REFUSED_OFTEN      5  /* more than 6 logins in 2 minutes */
#define NGX_MESH_REFUSED_TIMEOUT    6
#define NGX_MESH_REFUSED_PROTOCOL   7
#define NGX_MESH_REFUSED_KEY        8  /* weak or oversized */
#define NGX_MESH_REFUSED_ZONE       9  /* presence: zone full */
#define NGX_MESH_REFUSED_DUPLICATE  10 /* muted: another session is newer */

const char *ngx_mesh_refused_text(ngx_uint_t reason);   /* a sentence */

/* merges with the entry of the same node (or address) and reason */
void ngx_mesh_refused_add(const ngx_mesh_refused_t *r);
void ngx_mesh_refused_left(const u_char *id, const u_char *address,
    ngx_uint_t reason);
ngx_uint_t ngx_mesh_refused_list(ngx_mesh_refused_t *list, ngx_uint_t max);


/*
 * Outer hashes of the current generation, in the zone so that old workers
 * name the right one (servertlshash): per server index, the FullHash of the
 * certificate that an agent will choose.
 */
void ngx_mesh_outer_hash_set(ngx_uint_t server, const u_char *hash);
ngx_int_t ngx_mesh_outer_hash_get(ngx_uint_t server, u_char *hash);
/* NGX_OK: hash was the server's until less than an hour ago */
ngx_int_t ngx_mesh_outer_hash_old(ngx_uint_t server, const u_char *hash);


/* Set-up and life (called by the modules only). */
ngx_int_t ngx_mesh_shm_init_zone(ngx_shm_zone_t *zone, void *data);
ngx_int_t ngx_mesh_slot_claim(ngx_cycle_t *cycle);
void ngx_mesh_slot_release(void);
void ngx_mesh_shm_tick(void);         /* purge of dead workers, expiry */
void ngx_mesh_shm_suspect(void);      /* a link ended: purge with this tick */

/*
 * Not of shm, which calls it for each device of a worker that died: the agent
 * part writes that it is offline.
 */
void ngx_mesh_presence_lost(const ngx_mesh_presence_t *p);


#endif /* _NGX_MESH_SHM_H_INCLUDED_ */

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Accounts, user groups, device groups and grants, held whole in each worker
 * (data.md 3, 5); devices are not cached.  Kept right by CHANGED messages and
 * by reading the table "change" every 5 s.
 */

#ifndef _NGX_MESH_MODEL_H_INCLUDED_
#define _NGX_MESH_MODEL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_db.h"


#define NGX_MESH_FULL                 0xffffffffu

/* rights on groups and devices, control.md 3.2 */
#define NGX_MESH_D_EDITMESH           0x00000001u
#define NGX_MESH_D_MANAGEUSERS        0x00000002u
#define NGX_MESH_D_MANAGECOMPUTERS    0x00000004u
#define NGX_MESH_D_REMOTECONTROL      0x00000008u
#define NGX_MESH_D_AGENTCONSOLE       0x00000010u
#define NGX_MESH_D_SERVERFILES        0x00000020u
#define NGX_MESH_D_WAKEDEVICE         0x00000040u
#define NGX_MESH_D_SETNOTES           0x00000080u
#define NGX_MESH_D_REMOTEVIEWONLY     0x00000100u
#define NGX_MESH_D_NOTERMINAL         0x00000200u
#define NGX_MESH_D_NOFILES            0x00000400u
#define NGX_MESH_D_NOAMT              0x00000800u
#define NGX_MESH_D_DESKLIMITEDINPUT   0x00001000u
#define NGX_MESH_D_LIMITEVENTS        0x00002000u
#define NGX_MESH_D_CHATNOTIFY         0x00004000u
#define NGX_MESH_D_UNINSTALL          0x00008000u
#define NGX_MESH_D_NODESKTOP          0x00010000u
#define NGX_MESH_D_REMOTECOMMAND      0x00020000u
#define NGX_MESH_D_RESETOFF           0x00040000u
#define NGX_MESH_D_GUESTSHARING       0x00080000u
#define NGX_MESH_D_DEVICEDETAILS      0x00100000u
#define NGX_MESH_D_RELAY              0x00200000u

/* site rights, control.md 3.1 */
#define NGX_MESH_S_BACKUP             1
#define NGX_MESH_S_MANAGEUSERS        2
#define NGX_MESH_S_RESTORE            4
#define NGX_MESH_S_FILES              8
#define NGX_MESH_S_UPDATE             16
#define NGX_MESH_S_LOCKED             32
#define NGX_MESH_S_NONEWGROUPS        64
#define NGX_MESH_S_NOTOOLS            128
#define NGX_MESH_S_USERGROUPS         256
#define NGX_MESH_S_RECORDINGS         512
#define NGX_MESH_S_LOCKSETTINGS       1024
#define NGX_MESH_S_ALLEVENTS          2048
#define NGX_MESH_S_NONEWDEVICES       4096

/* account.flags */
#define NGX_MESH_A_PICTURE            1
#define NGX_MESH_A_RECORD             2
#define NGX_MESH_A_EMAIL_VERIFIED     256
#define NGX_MESH_A_ALL_GROUPS         512   /* all groups of its domain */

/* device_group.flags */
#define NGX_MESH_GF_AUTOREMOVE         1
#define NGX_MESH_GF_SYNCNAME           2
#define NGX_MESH_GF_RECORD             4


/* kinds of change, stored in change.kind and sent in CHANGED */
#define NGX_MESH_CHANGE_ACCOUNT       1
#define NGX_MESH_CHANGE_USER_GROUP    2
#define NGX_MESH_CHANGE_GROUP         3
#define NGX_MESH_CHANGE_ACCESS        4     /* id: access_id */
#define NGX_MESH_CHANGE_MEMBER        5     /* id: account_id */
#define NGX_MESH_CHANGE_DEVICE        6
#define NGX_MESH_CHANGE_KEY           7     /* server_key */
#define NGX_MESH_CHANGE_SESSION       8     /* web sessions of account ended */
#define NGX_MESH_CHANGE_DOMAIN        9     /* id 0: all was loaded anew */
#define NGX_MESH_CHANGE_EVENT         10    /* event_id: written by a process
                                               that could tell nobody */
#define NGX_MESH_CHANGE_GONE          11    /* a device: removed, or moved
                                               while its agent was away */
#define NGX_MESH_CHANGE_UNLOCK        12    /* wrong passwords are forgotten */
#define NGX_MESH_CHANGE_READ          13    /* never a row: read the table */


/*
 * Pointers are valid until the next return to the event loop: keep ids.
 */
typedef struct {
    int64_t       account_id;
    int64_t       domain_id;
    ngx_str_t     domain;             /* name, "" for the default one */
    ngx_str_t     login;              /* folded; wire id user/D/login */
    ngx_str_t     name;
    ngx_str_t     real_name;
    ngx_str_t     email;
    uint32_t      site_rights;
    uint32_t      removed_rights;
    uint32_t      consent;
    uint32_t      flags;
    int64_t       created_at;
    int64_t       password_at;        /* ms; tickets made before are void */
    ngx_str_t     doc;                /* JSON */
    int64_t       revision;
} ngx_mesh_account_t;


typedef struct {
    int64_t       group_id;
    int64_t       domain_id;
    int64_t       parent_id;          /* 0: top */
    ngx_str_t     domain;
    u_char        raw[48];            /* of the wire id */
    ngx_str_t     wire;               /* mesh/D/<64 chars> */
    ngx_str_t     name;
    uint32_t      kind;               /* mtype: 1 amt, 2 agent, 3 local, 4 */
    uint32_t      consent;
    uint32_t      flags;
    int64_t       created_at;
    int64_t       created_by;
    int64_t       deleted_at;         /* 0: lives */
    ngx_str_t     doc;                /* JSON: desc, expireDevs, ... */
    int64_t       revision;
} ngx_mesh_group_t;


typedef struct {
    int64_t       access_id;
    int64_t       account_id;         /* or 0 */
    int64_t       user_group_id;      /* or 0 */
    int64_t       group_id;           /* or 0 */
    int64_t       device_id;          /* or 0 */
    uint32_t      rights;
    int64_t       expires_at;         /* 0: never */
} ngx_mesh_access_t;


/* the model is loaded (false before the first load: answer 503 / wait) */
ngx_uint_t ngx_mesh_model_ready(void);

int64_t ngx_mesh_domain_id(const ngx_str_t *name);      /* 0: unknown */
ngx_str_t *ngx_mesh_domain_name(int64_t domain_id);     /* NULL: unknown */

ngx_mesh_account_t *ngx_mesh_account(int64_t account_id);

/* its name as text in an English sentence, control-free; "somebody" is no more */
u_char *ngx_mesh_account_say(u_char *p, u_char *last, int64_t account_id);
/* user/D/name or a short name; NULL: nobody of this domain */
ngx_mesh_account_t *ngx_mesh_account_find(int64_t domain_id,
    const ngx_str_t *id);
ngx_mesh_group_t *ngx_mesh_group(int64_t group_id);
ngx_mesh_group_t *ngx_mesh_group_raw(int64_t domain_id, const u_char *raw);
ngx_int_t ngx_mesh_account_each(int64_t domain_id,
    ngx_int_t (*fn)(ngx_mesh_account_t *a, void *data), void *data);
ngx_int_t ngx_mesh_group_each(int64_t domain_id,
    ngx_int_t (*fn)(ngx_mesh_group_t *g, void *data), void *data);
/* grants on a group (group_id) or a device (device_id); the other is 0 */
ngx_int_t ngx_mesh_access_each(int64_t group_id, int64_t device_id,
    ngx_int_t (*fn)(ngx_mesh_access_t *a, void *data), void *data);
/* grants of an account, direct ones only */
ngx_int_t ngx_mesh_access_of(int64_t account_id,
    ngx_int_t (*fn)(ngx_mesh_access_t *a, void *data), void *data);

/*
 * A login or the key of a device's name, folded as stored; returns bytes, as
 * many as src has.  0: empty, longer than size, not UTF-8, control characters
 */
size_t ngx_mesh_fold(u_char *dst, size_t size, const u_char *src, size_t len);

ngx_uint_t ngx_mesh_account_locked(const ngx_mesh_account_t *a);

/*
 * Effective rights (data.md 3): now, from the cache.  *visible (may be NULL) is
 * 0 when no grant reaches it; nobody sees a deleted group.  device_id 0: on the
 * group alone.
 */
uint32_t ngx_mesh_rights(int64_t account_id, int64_t group_id,
    int64_t device_id, ngx_uint_t *visible);
/* 1 if right is in rights, the restricting bits respected, full has all */
#define ngx_mesh_right(rights, bit)                                           \
    ((rights) == NGX_MESH_FULL || ((rights) & (bit)) != 0)
#define ngx_mesh_restricted(rights, bit)                                      \
    ((rights) != NGX_MESH_FULL && ((rights) & (bit)) != 0)

/* consent along the path for a session (control.md 3.5), device's own given */
#define NGX_MESH_CONSENT_DESKTOP  (1|8|64)    /* told, asked, a bar */

uint32_t ngx_mesh_consent(int64_t account_id, int64_t group_id,
    uint32_t device_consent);

/*
 * Appends to an act the row in "change" (statement), and remembers it: when
 * the act's done() runs with NGX_OK, call ngx_mesh_model_changed() with the
 * same ids: it applies it here and tells the other workers.
 */
void ngx_mesh_model_change(ngx_mesh_db_req_t *q, ngx_uint_t kind, int64_t id);
void ngx_mesh_model_changed(ngx_uint_t kind, int64_t id);
/* how often web sessions ended, as this worker has heard */
ngx_uint_t ngx_mesh_model_ended(void);

/*
 * Calls done() when the model of this worker has all that was told before, so
 * that who made a change and asks again sees it; without the database after
 * some seconds.  The caller owns w until then.
 */
typedef struct {
    ngx_queue_t   queue;
    uint64_t      upto;
    time_t        until;
    void        (*done)(void *data);
    void         *data;
} ngx_mesh_model_wait_t;

void ngx_mesh_model_wait(ngx_mesh_model_wait_t *w);

/*
 * Called in every worker after a change was applied (rights may differ now);
 * several may register: control (sessions), relay (open pairs), agent (its
 * device's name and group).
 */
void ngx_mesh_model_on_change(void (*fn)(ngx_uint_t kind, int64_t id));

ngx_int_t ngx_mesh_model_init(ngx_cycle_t *cycle);


#endif /* _NGX_MESH_MODEL_H_INCLUDED_ */

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Between the files of agent/. */

#ifndef _NGX_MESH_AGENT_H_INCLUDED_
#define _NGX_MESH_AGENT_H_INCLUDED_


#include "../ngx_mesh.h"
#include "../ws/ngx_mesh_bucket.h"
#include "../ws/ngx_mesh_deliver.h"
#include "../core/ngx_mesh_id.h"
#include "../../proto/mesh_agent_msg.h"


#define NGX_MESH_AGENT_NAME      255  /* bytes of a host name kept */
#define NGX_MESH_AGENT_CERT      4096
#define NGX_MESH_AGENT_MESSAGES  16   /* before command 4 */
#define NGX_MESH_AGENT_BYTES     16384
#define NGX_MESH_AGENT_ASKERS    64   /* who may get a reply */
#define NGX_MESH_AGENT_ASKED     900  /* seconds for that */
#define NGX_MESH_AGENT_TYPE      16   /* bytes of the type of a reply */
#define NGX_MESH_AGENT_RESPONSE  64   /* bytes of a responseid */
#define NGX_MESH_AGENT_RATE      50   /* JSON messages a second */
#define NGX_MESH_AGENT_TRIES     5    /* pushes of a core per connection */


/* what an agent session goes through; moves stand in ngx_mesh_agent.c */
typedef enum {
    NGX_MESH_AGENT_AUTH = 0,          /* exchanging 1, 2, 3 */
    NGX_MESH_AGENT_DEVICE,            /* proved; its row is looked up */
    NGX_MESH_AGENT_ONLINE,            /* command 4 sent, presence inserted */
    NGX_MESH_AGENT_HELD,              /* refused: kept, not answered */
    NGX_MESH_AGENT_MUTED              /* another connection has its place */
} ngx_mesh_agent_state_e;

typedef enum {
    NGX_MESH_CORE_MODE_DEFAULT = 0,
    NGX_MESH_CORE_MODE_RECOVERY,
    NGX_MESH_CORE_MODE_NONE
} ngx_mesh_agent_core_e;


/* a browser session that asked this device for something; owned, a list */
typedef struct ngx_mesh_asker_s  ngx_mesh_asker_t;

struct ngx_mesh_asker_s {
    ngx_mesh_asker_t        *next;
    ngx_mesh_addr_t          addr;
    int64_t                  account_id;
    time_t                   at;
    unsigned                 waits:1;     /* for the answer to */
    size_t                   ntype, nresponse;
    u_char                   type[NGX_MESH_AGENT_TYPE];
    u_char                   response[NGX_MESH_AGENT_RESPONSE];
    size_t                   len;
    u_char                   id[1];   /* user/D/name/<hex> */
};


typedef struct ngx_mesh_update_s  ngx_mesh_update_t;
typedef struct ngx_mesh_said_s  ngx_mesh_said_t;


/* only until the agent is in, or held; owned by the session */
typedef struct {
    u_char                   web[NGX_MESH_ID_LEN];    /* the hash it saw */
    u_char                   full[NGX_MESH_ID_LEN];   /* what is signed over */
    u_char                   agent_nonce[NGX_MESH_ID_LEN];
    u_char                   nonce[NGX_MESH_ID_LEN];
    u_char                   mesh[NGX_MESH_ID_LEN];
    ngx_uint_t               identity;
    uint32_t                 agent_id;
    uint32_t                 version;
    uint32_t                 platform;
    uint32_t                 caps;
    u_char                   name[NGX_MESH_AGENT_NAME];
    size_t                   name_len;
    u_char                   agent_name[NGX_MESH_AGENT_NAME];
    size_t                   agent_name_len;

    u_char                  *verify;  /* a 2 that came before its 1; owned */
    size_t                   verify_len;

    ngx_uint_t               messages;
    size_t                   bytes;
    time_t                   deadline;
    ngx_mesh_sign_t          sign;

    unsigned                 skip:1;          /* 4 came: no signature wanted */
    unsigned                 requested:1;     /* 1 came */
    unsigned                 answered:1;      /* our 1 went */
    unsigned                 waiting_cert:1;
    unsigned                 verified:1;
    unsigned                 informed:1;      /* 3 came */
} ngx_mesh_handshake_t;


typedef struct {
    ngx_rbtree_node_t        node;    /* by device_id, while it is online */
    ngx_mesh_session_t      *s;
    ngx_mesh_handshake_t    *hs;
    ngx_mesh_db_req_t       *db;      /* that is waited for, or NULL */
    ngx_mesh_asker_t        *askers;
    ngx_mesh_update_t       *update;  /* that runs, or NULL */
    ngx_mesh_said_t         *said;    /* of its own state; owned, or NULL */
    u_char                  *hardware;    /* hash of what is stored; owned,
                                             until its core runs, or NULL */

    ngx_mesh_bucket_t        bucket;  /* of JSON messages */
    ngx_event_t              later;   /* reads on when tokens are back */

    uint64_t                 mark;    /* ngx_mesh_known_mark() */
    int64_t                  domain_id;
    int64_t                  device_id;
    int64_t                  group_id;
    u_char                   id[NGX_MESH_ID_LEN];
    u_char                   core_hash[NGX_MESH_ID_LEN];

    uint8_t                  state;   /* ngx_mesh_agent_state_e */
    uint8_t                  reason;  /* why it is held */
    uint8_t                  core_mode;
    uint8_t                  pushes;
    uint16_t                 tunnels;
    uint8_t                  consent;     /* of the device itself */
    uint16_t                 nasked;
    uint32_t                 agent_id;
    uint32_t                 version;
    uint32_t                 caps;
    uint32_t                 shown;   /* CRC of the coreinfo published last */
    uint32_t                 busy;    /* CRC of the sessions, 0: none */
    uint32_t                 reported;    /* of the name it gives itself, */
    uint32_t                 named;   /* of the last one its core gave */

    unsigned                 sent_info:1;     /* 3 came: never to be closed */
    unsigned                 counted:1;       /* in mesh_limit agent */
    unsigned                 look_again:1;    /* at who works on it */
    unsigned                 core_wanted:1;   /* push when tunnels have ended */
    unsigned                 ready:1;         /* its core runs */
    unsigned                 told:1;          /* duplicate: event written */
    unsigned                 stock:1;         /* agent version 0 */
    unsigned                 asked_hash:1;    /* of its program */
    unsigned                 update_due:1;    /* it has another program */
    unsigned                 stale:1;         /* its row is to be read again */
} ngx_mesh_agent_t;


/* ngx_mesh_agent.c */
void ngx_mesh_agent_hold(ngx_mesh_agent_t *a, ngx_uint_t reason);
void ngx_mesh_agent_admit(ngx_mesh_agent_t *a);
ngx_int_t ngx_mesh_agent_send(ngx_mesh_agent_t *a, const u_char *data,
    size_t len);
void ngx_mesh_agent_request_send(ngx_mesh_agent_t *a, ngx_uint_t cmd);
void ngx_mesh_agent_scope(ngx_mesh_agent_t *a, ngx_mesh_scope_t *scope);
void ngx_mesh_agent_online(int64_t domain_id, const u_char *id,
    int64_t device_id, int64_t group_id, const ngx_str_t *address,
    ngx_uint_t online);

/* ngx_mesh_agent_auth.c: commands 1 to 5 */
ngx_int_t ngx_mesh_agent_auth(ngx_mesh_agent_t *a, u_char *data, size_t len);
void ngx_mesh_agent_auth_tick(ngx_mesh_agent_t *a);
void ngx_mesh_agent_auth_free(ngx_mesh_agent_t *a);

/* ngx_mesh_agent_device.c: the row */
void ngx_mesh_agent_device(ngx_mesh_agent_t *a);
void ngx_mesh_agent_reread(ngx_mesh_agent_t *a);
/* its kind, version or caps are others than they were */
void ngx_mesh_agent_said(ngx_mesh_agent_t *a);
/* it says what it is called, at most 255 bytes: where its group wants so, that
   is what everybody calls it */
ngx_int_t ngx_mesh_agent_name(ngx_mesh_agent_t *a, const ngx_str_t *name);
/* a statement of one that is online was answered */
void ngx_mesh_agent_idle(ngx_mesh_agent_t *a);

extern const ngx_mesh_class_t  ngx_mesh_agent_class;

/* ngx_mesh_agent_update.c: program */
void ngx_mesh_agent_update_init(void);
void ngx_mesh_agent_update_start(ngx_mesh_agent_t *a);
void ngx_mesh_agent_update_hash(ngx_mesh_agent_t *a, mesh_agent_msg_t *m);
void ngx_mesh_agent_update_next(ngx_mesh_agent_t *a, mesh_agent_msg_t *m);
void ngx_mesh_agent_update_free(ngx_mesh_agent_t *a);
/* its script asks for it, and fetches it itself */
void ngx_mesh_agent_update_asked(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool);

/* ngx_mesh_agent_push.c: core */
ngx_int_t ngx_mesh_agent_push_init(ngx_cycle_t *cycle);
/* the hash of the inventory that is stored; empty: none */
void ngx_mesh_agent_push_know(ngx_mesh_agent_t *a, const u_char *hash,
    size_t len);
void ngx_mesh_agent_push_check(ngx_mesh_agent_t *a);
void ngx_mesh_agent_push_start(ngx_mesh_agent_t *a);
void ngx_mesh_agent_push_hash(ngx_mesh_agent_t *a, mesh_agent_msg_t *m);
void ngx_mesh_agent_push_action(ngx_mesh_agent_t *a, ngx_uint_t what);
void ngx_mesh_agent_push_tunnels(ngx_mesh_agent_t *a);

/* ngx_mesh_agent_json.c: what its core says */
void ngx_mesh_agent_part(ngx_mesh_agent_t *a, const char *part,
    const ngx_str_t *hash, const ngx_str_t *doc);
void ngx_mesh_agent_json(ngx_mesh_agent_t *a, u_char *data, size_t len);
void ngx_mesh_agent_asked(ngx_mesh_agent_t *a, const ngx_mesh_addr_t *from,
    const ngx_mesh_requester_t *who, const u_char *json, size_t len);
/* who asked last, and has no answer, is told that there is none */
void ngx_mesh_agent_no_answer(ngx_mesh_agent_t *a);
void ngx_mesh_agent_askers_free(ngx_mesh_agent_t *a);
/* the members that each message about it begins with */
void ngx_mesh_agent_node(ngx_mesh_agent_t *a, ngx_mesh_jw_t *w);

/* ngx_mesh_agent_sessions.c: who works on it, and what it says beside that */
void ngx_mesh_agent_sessions(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool);
void ngx_mesh_agent_battery(ngx_mesh_agent_t *a, ngx_mesh_json_t *j,
    ngx_pool_t *pool);
/* they are others: pages are told within a second */
void ngx_mesh_agent_sessions_changed(ngx_mesh_agent_t *a);
void ngx_mesh_agent_sessions_tick(ngx_mesh_agent_t *a);
void ngx_mesh_agent_sessions_free(ngx_mesh_agent_t *a);


#endif /* _NGX_MESH_AGENT_H_INCLUDED_ */

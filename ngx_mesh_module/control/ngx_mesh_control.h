/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The control channel: one dispatch table (ngx_mesh_control_table.h), one
 * dispatcher that resolves what a command names and checks what it needs, and
 * one file of handlers per family.  A handler never looks at an id.
 */

#ifndef _NGX_MESH_CONTROL_H_INCLUDED_
#define _NGX_MESH_CONTROL_H_INCLUDED_


#include "../ngx_mesh.h"
#include "../core/ngx_mesh_auth.h"
#include "../ws/ngx_mesh_bucket.h"
#include "../ws/ngx_mesh_deliver.h"


#define NGX_MESH_CTL_IDS       1000   /* ids in one command */
#define NGX_MESH_CTL_RATE      50     /* commands a second and session */
#define NGX_MESH_CTL_OPEN      64     /* commands at once and session */
#define NGX_MESH_CTL_PART      65536  /* bytes of a fragment */
#define NGX_MESH_CTL_SESSION   300    /* bytes of a session id at most */


typedef struct ngx_mesh_ctl_s  ngx_mesh_ctl_t;


/* Arguments: a table per action, ended by a name of NULL. */

typedef enum {
    NGX_MESH_CTL_STR = 1,             /* text of min..max bytes */
    NGX_MESH_CTL_TEXT,                /* the same, line ends allowed */
    NGX_MESH_CTL_INT,                 /* min..max */
    NGX_MESH_CTL_BOOL,                /* true, false, 0, 1 */
    NGX_MESH_CTL_LIST,                /* of min..max texts */
    NGX_MESH_CTL_OBJ,
    NGX_MESH_CTL_ANY
} ngx_mesh_ctl_type_e;

#define NGX_MESH_CTL_NEEDED  1        /* must be there */
#define NGX_MESH_CTL_LOOSE   2        /* of another type: as if absent */

typedef struct {
    const char   *name;
    uint8_t       type;
    uint8_t       flags;
    int64_t       min, max;
    const char   *error;              /* the result when it is wrong */
} ngx_mesh_ctl_arg_t;

#define NGX_MESH_CTL_ARGS  20

typedef struct {
    ngx_uint_t        set;
    int64_t           n;              /* INT, BOOL */
    ngx_str_t         s;              /* STR, TEXT */
    ngx_mesh_json_t  *json;           /* LIST, OBJ, ANY */
} ngx_mesh_ctl_value_t;


/* What a command is about, and so what is resolved before its handler. */

typedef enum {
    NGX_MESH_CTL_NONE = 0,
    NGX_MESH_CTL_GROUP,               /* meshid, or meshname / meshidname */
    NGX_MESH_CTL_DEVICE,              /* nodeid */
    NGX_MESH_CTL_DEVICES,             /* nodeids: each has its answer */
    NGX_MESH_CTL_MOVE,                /* nodeids into meshid or meshname */
    NGX_MESH_CTL_NOTE,                /* id of a device, a group, oneself */
    NGX_MESH_CTL_EVENTS,              /* nodeid, if it is there */
    NGX_MESH_CTL_PEER                 /* nodeid; without: a person, for which
                                         the site right is needed */
} ngx_mesh_ctl_object_e;

typedef struct {
    const char                *action;
    const ngx_mesh_ctl_arg_t  *args;
    void                     (*handler)(ngx_mesh_ctl_t *ctl);
    const char                *unknown;   /* result: not there or not seen */
    const char                *denied;    /* result: seen, right lacking */
    ngx_mesh_ctl_object_e      object;
    uint32_t                   right;     /* any of these on it; 0: visible */
    uint32_t                   site;      /* any of these; 0: none needed */
    uint32_t                   flags;
} ngx_mesh_ctl_action_t;

#define NGX_MESH_CTL_NOINFO   1       /* refusals name nodeid and noinfo */
#define NGX_MESH_CTL_OWN      2       /* not when settings are locked (1024) */
#define NGX_MESH_CTL_DB       4       /* needs the database */
#define NGX_MESH_CTL_EXACT    8       /* full rights on the object, no less */


typedef struct {
    int64_t               device_id;
    int64_t               group_id;
    u_char                raw[NGX_MESH_ID_LEN];
    ngx_str_t             id;         /* node/D/… as asked for when unseen */
    ngx_str_t            *row;        /* columns of CTL_DEVICES, or NULL */
    uint32_t              rights;
    unsigned              visible:1;
    unsigned              allowed:1;  /* has the right of the action */
    unsigned              online:1;
    ngx_mesh_presence_t   presence;
} ngx_mesh_device_t;

/* columns of CTL_DEVICES and CTL_NODES */
enum {
    NGX_MESH_DEV_ID = 0, NGX_MESH_DEV_GROUP, NGX_MESH_DEV_WIRE,
    NGX_MESH_DEV_KIND, NGX_MESH_DEV_ICON, NGX_MESH_DEV_NAME,
    NGX_MESH_DEV_REPORTED, NGX_MESH_DEV_DESC, NGX_MESH_DEV_SYSTEM,
    NGX_MESH_DEV_AGENT, NGX_MESH_DEV_CAPS, NGX_MESH_DEV_VERSION,
    NGX_MESH_DEV_HOST, NGX_MESH_DEV_CONSENT, NGX_MESH_DEV_FIRST,
    NGX_MESH_DEV_DOC, NGX_MESH_DEV_SEEN, NGX_MESH_DEV_CAUSE,
    NGX_MESH_DEV_ADDRESS, NGX_MESH_DEV_TAGS, NGX_MESH_DEV_STATUS,
    NGX_MESH_DEV_COLS
};


/* A session. */

typedef struct {
    ngx_mesh_session_t   *s;
    ngx_mesh_auth_t       who;
    ngx_queue_t           commands;   /* ngx_mesh_ctl_t.queue */
    ngx_uint_t            open;       /* commands in the queue */
    ngx_mesh_bucket_t     bucket;     /* of commands */
    ngx_event_t           later;      /* reads on when tokens are back */
    ngx_str_t             id;         /* user/D/name/<40 hex> */
    ngx_str_t             host;       /* as the client called us */
    ngx_str_t             address;
    unsigned              total:1;    /* counted in the limit of all */
    unsigned              refresh:1;  /* events were dropped */
    unsigned              ended:1;    /* told to go */
    unsigned              paused:1;   /* reads later */
} ngx_mesh_browser_t;


/* A command; lives in its own pool until its last reply. */

struct ngx_mesh_ctl_s {
    ngx_pool_t                   *pool;
    ngx_mesh_browser_t           *b;  /* NULL: the session is gone */
    ngx_queue_t                   queue;
    const ngx_mesh_ctl_action_t  *row;
    ngx_mesh_json_t              *json;
    ngx_mesh_json_t              *responseid;     /* of json, or NULL */
    ngx_mesh_json_t              *tag;
    ngx_str_t                     action;
    ngx_str_t                     asked;      /* the id as it was given */
    ngx_mesh_ctl_value_t          value[NGX_MESH_CTL_ARGS];

    ngx_mesh_auth_t               who;    /* copies: outlive the session */
    ngx_str_t                     session;
    ngx_str_t                     address;
    ngx_str_t                     user;       /* user/D/login */
    ngx_str_t                     username;
    ngx_str_t                     realname;
    ngx_str_t                     domain;

    ngx_mesh_device_t            *device;
    ngx_uint_t                    ndevices;
    int64_t                       group_id;   /* of GROUP and MOVE */
    uint32_t                      rights;     /* on the group or device */

    void                         *data;       /* the handler's */
    ngx_uint_t                    waiting;    /* of several acts */
    ngx_mesh_jw_t                *answer;     /* that waits for the model */
    ngx_mesh_model_wait_t         wait;
    unsigned                      self:1;     /* NOTE: the account itself */
    unsigned                      changed:1;  /* it told of a change */
};


/* Sessions (ngx_mesh_control.c). */

extern const ngx_mesh_class_t  ngx_mesh_control_class;

/* reads on if nothing speaks against it */
void ngx_mesh_control_resume(ngx_mesh_browser_t *b);


/* The dispatcher (ngx_mesh_control_dispatch.c). */

/* one message; b may be closed by it, but is not freed */
void ngx_mesh_ctl_dispatch(ngx_mesh_browser_t *b, u_char *data, size_t len);

/* arguments by name, as the table of the action has them */
ngx_mesh_ctl_value_t *ngx_mesh_ctl_value(ngx_mesh_ctl_t *ctl,
    const char *name);

/* account and group of the command now, or NULL: gone meanwhile */
ngx_mesh_account_t *ngx_mesh_ctl_account(ngx_mesh_ctl_t *ctl);
ngx_mesh_group_t *ngx_mesh_ctl_group(ngx_mesh_ctl_t *ctl);

/* as ngx_mesh_model_changed() */
void ngx_mesh_ctl_changed(ngx_mesh_ctl_t *ctl, ngx_uint_t kind, int64_t id);

/* {"action":…; the writer, in ctl's pool, stands inside of the object; what
   fails shows when it is sent */
ngx_mesh_jw_t *ngx_mesh_ctl_open(ngx_mesh_ctl_t *ctl);
/* adds responseid and tag, closes, sends */
void ngx_mesh_ctl_send(ngx_mesh_ctl_t *ctl, ngx_mesh_jw_t *w);
/*
 * The same and the command ends: ctl is gone, or waits until what it changed
 * is in this worker's model, so that the client's next question sees it.
 */
void ngx_mesh_ctl_reply(ngx_mesh_ctl_t *ctl, ngx_mesh_jw_t *w);
/* {action, responseid, tag, result}; ctl is gone */
void ngx_mesh_ctl_result(ngx_mesh_ctl_t *ctl, const char *result);
/* a result for one device of several; ctl goes on */
void ngx_mesh_ctl_partial(ngx_mesh_ctl_t *ctl, ngx_mesh_device_t *device,
    const char *result);
/* the result, and nodeid and noinfo where queries have them; ctl is gone */
void ngx_mesh_ctl_noinfo(ngx_mesh_ctl_t *ctl, const char *result);
/* ends without another word */
void ngx_mesh_ctl_end(ngx_mesh_ctl_t *ctl);

/* a request of the database on behalf of ctl; NULL: replied, ctl is gone */
ngx_mesh_db_req_t *ngx_mesh_ctl_db(ngx_mesh_ctl_t *ctl,
    ngx_mesh_db_done_pt done);
/* sends it; NGX_ERROR: replied, ctl is gone */
ngx_int_t ngx_mesh_ctl_db_send(ngx_mesh_ctl_t *ctl, ngx_mesh_db_req_t *q);
/* the result text for an rc of the database that is not NGX_OK */
const char *ngx_mesh_ctl_db_text(ngx_int_t rc);

/* text of at most size bytes into ctl's pool, NUL-terminated; "" without
   memory */
void ngx_mesh_ctl_sprintf(ngx_mesh_ctl_t *ctl, ngx_str_t *out, size_t size,
    const char *fmt, ...);

/* visible groups and singly granted devices of the account, JSON arrays */
ngx_int_t ngx_mesh_ctl_scope(ngx_mesh_ctl_t *ctl, ngx_str_t *groups,
    ngx_str_t *devices);

/*
 * Groups of this name that the caller sees; group is set when it is one.  The
 * caller checks rights.
 */
ngx_uint_t ngx_mesh_ctl_group_name(ngx_mesh_ctl_t *ctl,
    const ngx_str_t *name, ngx_mesh_group_t **group);

/* rights and presence of a fetched row */
void ngx_mesh_ctl_device(ngx_mesh_ctl_t *ctl, ngx_mesh_device_t *device,
    ngx_str_t *row);


/* What goes to an agent (ngx_mesh_control_agent.c). */

/*
 * Begins it: "action", which only the server writes, and who asks for it, with
 * which rights.
 */
ngx_mesh_jw_t *ngx_mesh_ctl_compose(ngx_mesh_ctl_t *ctl,
    ngx_mesh_device_t *device, const char *action);
/* closes and sends it */
ngx_int_t ngx_mesh_ctl_command(ngx_mesh_ctl_t *ctl,
    ngx_mesh_device_t *device, ngx_mesh_jw_t *w);
/* one of s came to nobody */
void ngx_mesh_ctl_undelivered(ngx_mesh_session_t *s, u_char *data, size_t len);


/* Events (ngx_mesh_control_event.c). */

typedef struct {
    ngx_mesh_event_t   row;
    ngx_mesh_jw_t      w;             /* members that are stored and pushed */
    ngx_mesh_jw_t      args;          /* msgArgs */
    const char        *push_name[2];  /* members that are only pushed */
    ngx_str_t          push[2];       /* JSON */
    unsigned           has_args:1;
} ngx_mesh_ctl_event_t;

/*
 * Begins an event of the command's account; the caller adds scope, arguments
 * and members to ev->w, stores it in an act, and publishes the JSON when that
 * is done.
 */
void ngx_mesh_ctl_event(ngx_mesh_ctl_t *ctl, ngx_mesh_ctl_event_t *ev,
    const char *kind, const char *action, ngx_uint_t msgid,
    const ngx_str_t *text);
void ngx_mesh_ctl_event_arg(ngx_mesh_ctl_t *ctl, ngx_mesh_ctl_event_t *ev,
    const ngx_str_t *arg);
/* scope and members of a device or a group */
void ngx_mesh_ctl_event_device(ngx_mesh_ctl_event_t *ev,
    ngx_mesh_device_t *device);
void ngx_mesh_ctl_event_group(ngx_mesh_ctl_event_t *ev,
    ngx_mesh_group_t *group);
/* a member that is pushed, not stored; JSON */
void ngx_mesh_ctl_event_push(ngx_mesh_ctl_event_t *ev, const char *name,
    const ngx_str_t *json);
/*
 * Appends the row to the act, closes the writers and makes the JSON to publish
 * (empty without memory).  q NULL: it is not stored.
 */
void ngx_mesh_ctl_event_store(ngx_mesh_ctl_t *ctl, ngx_mesh_ctl_event_t *ev,
    ngx_mesh_db_req_t *q, ngx_str_t *json);

/* stores it in an act of its own, and publishes it */
void ngx_mesh_ctl_event_alone(ngx_mesh_ctl_t *ctl, ngx_mesh_ctl_event_t *ev);

/* 2026-11-25T05:33:00.123Z, 24 characters */
u_char *ngx_mesh_ctl_time(u_char *p, int64_t ms);

void ngx_mesh_ctl_event_init(void);
/* the queue of a session fell: tells what was dropped */
void ngx_mesh_ctl_event_drained(ngx_mesh_browser_t *b);


/* Writers that several families need. */

/* the account as others may see it: control.md 4.3, without secrets */
void ngx_mesh_ctl_write_account(ngx_mesh_jw_t *w,
    ngx_mesh_account_t *account, ngx_mesh_db_req_t *q, ngx_uint_t stmt);
                                      /* rows of CTL_DEVICE_WIRES, or NULL */
/* each writes members into an object that is open */
void ngx_mesh_ctl_write_group(ngx_mesh_jw_t *w, ngx_mesh_group_t *group);
void ngx_mesh_ctl_write_links(ngx_mesh_jw_t *w, int64_t group_id,
    int64_t device_id);
/* a device in stock form; group: whether meshid is among its members */
void ngx_mesh_ctl_write_node(ngx_mesh_ctl_t *ctl, ngx_mesh_jw_t *w,
    ngx_mesh_device_t *device, ngx_uint_t group);
void ngx_mesh_ctl_userid(ngx_pool_t *pool, ngx_mesh_account_t *account,
    ngx_str_t *id);

/* first messages of a session; serverinfo and userinfo again on demand */
void ngx_mesh_ctl_greet(ngx_mesh_browser_t *b);

/* user/D/name or a short name; NULL: nobody of this domain */
ngx_mesh_account_t *ngx_mesh_ctl_find(int64_t domain_id,
    const ngx_str_t *id);

/* valid UTF-8 without control characters (lines: \t \n \r allowed) */
ngx_uint_t ngx_mesh_ctl_clean(const ngx_str_t *s, ngx_uint_t lines);


/* Endpoint. */

ngx_int_t ngx_http_mesh_control_handler(ngx_http_request_t *r);

/* init_process: the receiving side of events and changes */
ngx_int_t ngx_mesh_control_init(ngx_cycle_t *cycle);



#endif /* _NGX_MESH_CONTROL_H_INCLUDED_ */

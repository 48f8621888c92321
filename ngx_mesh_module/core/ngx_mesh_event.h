/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Events: a row in the database, and a push to browsers that may see it. */

#ifndef _NGX_MESH_EVENT_H_INCLUDED_
#define _NGX_MESH_EVENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_db.h"
#include "ngx_mesh_model.h"
#include "ngx_mesh_json.h"


/* who may see an event; ids 0 where it does not concern one */
typedef struct {
    int64_t     domain_id;
    int64_t     group_id;
    int64_t     device_id;
    int64_t     account_id;           /* who did it */
    int64_t     subject_id;           /* the account it concerns */
    int64_t     group2_id;            /* the other group of a move */
    uint32_t    site_rights;          /* also seen with one of these, e.g. 2 */
    uint32_t    flags;
} ngx_mesh_scope_t;

#define NGX_MESH_EVENT_ALL_USERS  1   /* every session of the domain */
#define NGX_MESH_EVENT_OWN        4   /* sessions of subject_id only */
#define NGX_MESH_EVENT_BARE       2   /* json is sent as it is, not in
                                         {action:"event",event:...} */
#define NGX_MESH_EVENT_OTHERS     8   /* tells what several people do: not to
                                         who is to see only what is his */

/*
 * Sends json (the value of "event") to every session, in every worker, that
 * may see it.  Nothing is stored.
 */
void ngx_mesh_event_publish(const ngx_mesh_scope_t *scope,
    const ngx_str_t *json);

/*
 * Appends the event's row to an act.  kind: "node", "mesh", "user", "relay",
 * "server"; action as control.md 6.2; text is the English sentence; args and
 * doc are JSON or empty; device name and who are put in doc by the caller.
 */
typedef struct {
    ngx_mesh_scope_t  scope;
    const char       *kind;
    const char       *action;
    ngx_uint_t        msgid;          /* 0: none */
    ngx_str_t         text;
    ngx_str_t         args;
    ngx_str_t         address;
    ngx_str_t         session;
    ngx_str_t         doc;
} ngx_mesh_event_t;

void ngx_mesh_event_row(ngx_mesh_db_req_t *q, const ngx_mesh_event_t *e);
/* an event alone: stored in its own act and, when stored, nothing else */
void ngx_mesh_event_log(const ngx_mesh_event_t *e);

/* the receiving side, set by control: called for each event in each worker */
typedef void (*ngx_mesh_event_sink_pt)(const ngx_mesh_scope_t *scope,
    const u_char *json, size_t len);
void ngx_mesh_event_sink(ngx_mesh_event_sink_pt sink);

ngx_int_t ngx_mesh_event_init(ngx_cycle_t *cycle);


#endif /* _NGX_MESH_EVENT_H_INCLUDED_ */

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The web relay: pages of devices, on an origin of their own (session.md 1.12).
 *
 *   ngx_mesh_web_relay.c  who may have which page; the headers of both sides
 *   ngx_mesh_web_conf.c   where it is served
 *   ngx_mesh_web_peer.c   the connections to devices, as nginx's proxy sees them
 */

#ifndef _NGX_MESH_WEB_RELAY_H_INCLUDED_
#define _NGX_MESH_WEB_RELAY_H_INCLUDED_


#include "ngx_mesh_web.h"
#include "../ws/ngx_mesh_dial.h"


#define NGX_MESH_WEB_P         14     /* session.md 0 */
#define NGX_MESH_WEB_HTTP      1      /* appid: p of a ticket */
#define NGX_MESH_WEB_HTTPS     2

#define NGX_MESH_WEB_UPSTREAM  "mesh_web_relay"

#define NGX_MESH_WEB_PAGE_ID   32     /* characters */
#define NGX_MESH_WEB_PAGE_TAG  16
#define NGX_MESH_WEB_IDLE      300    /* seconds, at most */
#define NGX_MESH_WEB_TUNNELS   64     /* of a page in one worker */


/*
 * One port of one device for one person.  That it runs stands in shared memory
 * (ngx_mesh_page_insert()); each worker that serves it has this.
 */
typedef struct {
    ngx_queue_t        queue;         /* all of this worker */
    uint64_t           serial;        /* of its session */
    uint64_t           to_viewer, to_device;    /* bytes not told yet */
    ngx_mesh_route_t   route;
    ngx_uint_t         tls;           /* HTTPS to the device */
    u_char             id[NGX_MESH_WEB_PAGE_ID];
    u_char             tag[NGX_MESH_WEB_PAGE_TAG];   /* in names of cookies */

    ngx_queue_t        requests;
    ngx_queue_t        tunnels;
    ngx_uint_t         ntunnels;
    ngx_mesh_db_req_t *q;             /* the web session is asked for */
    int64_t            expires_at;    /* of the web session, ms; 0: none */
    unsigned           known:1;       /* and was there */
    unsigned           again:1;       /* what is asked for may be older */
    unsigned           over:1;        /* no request any more */
} ngx_mesh_web_page_t;


typedef struct ngx_mesh_web_tunnel_s  ngx_mesh_web_tunnel_t;

/* a request for a page */
typedef struct {
    ngx_queue_t             queue;    /* of the page */
    ngx_http_request_t     *r;
    ngx_mesh_web_page_t    *page;     /* NULL: gone */
    ngx_mesh_web_tunnel_t  *tunnel;
    ngx_str_t               host;     /* as the device is to be called */
    const char             *why;      /* of an end, or NULL */
    ngx_str_t               elsewhere;    /* where the page leads to */
    size_t                  cookies;  /* bytes of those of the device, */
    size_t                  sent_cookies;   /* before its answer */
    ngx_int_t             (*process_header)(ngx_http_request_t *r);
    ngx_int_t             (*reinit_request)(ngx_http_request_t *r);
    unsigned                waits:1;  /* for the web session */
    unsigned                ready:1;
    unsigned                upgrade:1;    /* it asks for a WebSocket */
} ngx_mesh_web_req_t;


/* of servers with mesh_web_relay: each request, before the phase of access */
ngx_int_t ngx_mesh_web_handler(ngx_http_request_t *r);

/* $mesh_web_pass and so on: what data is */
#define NGX_MESH_WEB_VAR_PASS        0
#define NGX_MESH_WEB_VAR_HOST        1
#define NGX_MESH_WEB_VAR_UPGRADE     2
#define NGX_MESH_WEB_VAR_CONNECTION  3
#define NGX_MESH_WEB_VAR_WHY         4

ngx_int_t ngx_mesh_web_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

/* of the request, or NULL */
ngx_mesh_web_req_t *ngx_mesh_web_req(ngx_http_request_t *r);

/* the headers of the device's answer, when they are whole */
ngx_int_t ngx_mesh_web_answer(ngx_mesh_web_req_t *req);

/* the upstream that "proxy_pass $mesh_web_pass" leads to */
ngx_int_t ngx_mesh_web_peer_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us);

/* tells lists what went; NGX_DECLINED: the session has ended */
ngx_int_t ngx_mesh_web_page_used(ngx_mesh_web_page_t *page);

/* ends those that nobody uses and are older than idle seconds; -1: all */
void ngx_mesh_web_tunnels_end(ngx_mesh_web_page_t *page, time_t idle);


#endif /* _NGX_MESH_WEB_RELAY_H_INCLUDED_ */

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Configuration: the process (main context) and what is served (http). */

#ifndef _NGX_MESH_CONF_H_INCLUDED_
#define _NGX_MESH_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#define NGX_MESH_DB_SQLITE    1
#define NGX_MESH_DB_POSTGRES  2


typedef struct {
    ngx_shm_zone_t  *zone;
    size_t           zone_size;       /* bytes */
    ngx_path_t      *ipc_path;

    ngx_uint_t       db_type;
    ngx_str_t        db;              /* full file name or conninfo */
    ngx_msec_t       db_flush;
    ngx_uint_t       db_rows;
    ngx_uint_t       db_queue;

    ngx_str_t        signer;          /* socket path, empty: none */
    ngx_uint_t       signer_queue;
    ngx_msec_t       signer_timeout;

    ngx_msec_t       drain;
    ngx_str_t        node;
    ngx_uint_t       handshakes;
    ngx_str_t        core;            /* files of mesh_core, or empty */
    ngx_str_t        recovery;
    ngx_uint_t       nservers;        /* servers with "mesh on" */
} ngx_mesh_core_conf_t;


typedef struct ngx_mesh_webcert_s  ngx_mesh_webcert_t;   /* ngx_mesh_cert.h */


/* mesh_relay_record and mesh_relay_record_keep */
typedef struct {
    ngx_path_t          *path;        /* NULL: nothing is recorded */
    u_char               protocols[32];   /* a bit for each number */
    ngx_uint_t           flagged;     /* only of flagged users and groups */
    ngx_uint_t           days;        /* kept; 0: for ever */
    ngx_uint_t           count;
    off_t                size;
    ngx_uint_t           sweeping;    /* a thread is at it */
} ngx_mesh_record_conf_t;


typedef struct ngx_http_mesh_srv_conf_s  ngx_http_mesh_srv_conf_t;

/* one per server: facts of the address under which clients reach us */
struct ngx_http_mesh_srv_conf_s {
    ngx_str_t            domain;      /* mesh_domain, "" by default */
    ngx_str_t            agents;      /* mesh_agents folder, or empty */
    ngx_flag_t           agents_update;
    ngx_str_t            own_agents;  /* mesh_own_agents folder, or empty */
    ngx_flag_t           own_agents_update;
    ngx_str_t            url;         /* mesh_url, or empty: from Host */
    ngx_flag_t           lan;         /* mesh_lan */
    ngx_msec_t           auth_timeout;
    ngx_msec_t           refuse_hold;
    size_t               message_agent;      /* bytes */
    size_t               message_control;
    ngx_uint_t           limit_address[3];   /* agent, control, relay */
    ngx_uint_t           limit_user[3];
    ngx_uint_t           limit_total[3];
    ngx_open_file_t     *session_log;
    ngx_mesh_record_conf_t  record;
    ngx_array_t         *webcert_conf;       /* of ngx_str_t: the directive */
    ngx_mesh_webcert_t  *webcert;            /* made in init_module */
    ngx_uint_t           index;       /* of the server, same after reload */
    ngx_uint_t           mesh;        /* "mesh on" in it */
    ngx_str_t            web_relay;   /* mesh_web_relay of this server, or */
    ngx_str_t            web_pages;   /* that of its domain; or empty */
    ngx_http_mesh_srv_conf_t  *web_app;     /* whose agents a relay uses */
};


/* mesh_status */
#define NGX_MESH_STATUS_JSON        1
#define NGX_MESH_STATUS_PROMETHEUS  2
#define NGX_MESH_STATUS_HEALTH      3


#define NGX_MESH_ORIGIN_SAME  1
#define NGX_MESH_ORIGIN_ANY   2
#define NGX_MESH_ORIGIN_LIST  3


typedef struct {
    ngx_flag_t    mesh;
    ngx_flag_t    relay;              /* mesh_relay */
    ngx_uint_t    origin;             /* NGX_MESH_ORIGIN_* */
    ngx_array_t  *origins;            /* of ngx_str_t */
    ngx_msec_t    ping;
    ngx_msec_t    ping_timeout;
    size_t        frame_max;
    size_t        buffer_high;
    size_t        buffer_hard;
    size_t        relay_buffer;
    ngx_msec_t    relay_wait;
    ngx_msec_t    relay_idle;
    size_t        relay_rate;
    ngx_flag_t    webrtc;             /* mesh_webrtc */
    ngx_flag_t    desktop_share;
    size_t        desktop_cache;
    ngx_uint_t    status;             /* mesh_status: 0 off, or a format */
} ngx_http_mesh_loc_conf_t;


#define NGX_MESH_LIMIT_AGENT    0
#define NGX_MESH_LIMIT_CONTROL  1
#define NGX_MESH_LIMIT_RELAY    2


/*
 * While the configuration is read: what "mesh on" needs of the process.
 * NGX_CONF_OK, NGX_CONF_ERROR, or what is missing, as a sentence.
 */
char *ngx_mesh_core_enable(ngx_conf_t *cf);

/* of the running cycle */
ngx_mesh_core_conf_t *ngx_mesh_core_conf(void);

extern ngx_module_t  ngx_mesh_core_module;
extern ngx_module_t  ngx_http_mesh_module;


#endif /* _NGX_MESH_CONF_H_INCLUDED_ */

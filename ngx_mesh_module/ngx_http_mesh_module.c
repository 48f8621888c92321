/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The HTTP side: what is served where, the table of endpoints, and the life of
 * a worker.
 */

#include "ngx_mesh.h"
#include "ngx_mesh_endpoints.h"
#include "core/ngx_mesh_auth.h"
#include "core/ngx_mesh_id.h"
#include "agent/ngx_mesh_agent_lan.h"


typedef ngx_int_t (*ngx_http_mesh_handler_pt)(ngx_http_request_t *r);

typedef struct {
    ngx_str_t                 name;   /* last component of the path */
    ngx_http_mesh_handler_pt  handler;
    unsigned                  relay:1;      /* only with mesh_relay */
    unsigned                  ws:1;         /* a WebSocket: Origin counts */
} ngx_http_mesh_endpoint_t;

typedef struct {
    ngx_hash_t                endpoints;
    ngx_uint_t                enabled;
    ngx_uint_t                nservers;
    ngx_http_mesh_srv_conf_t *lan;    /* of the server with mesh_lan, or NULL */
} ngx_http_mesh_main_conf_t;


static ngx_int_t ngx_http_mesh_handler(ngx_http_request_t *r);

static void *ngx_http_mesh_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_mesh_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_mesh_create_srv_conf(ngx_conf_t *cf);
static char *ngx_http_mesh_merge_srv_conf(ngx_conf_t *cf, void *parent,
    void *child);
static void *ngx_http_mesh_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_mesh_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_mesh_on(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_mesh_url(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mesh_lan(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mesh_domain(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mesh_agents(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mesh_origin(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mesh_ping(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mesh_sizes(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mesh_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mesh_session_log(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mesh_record(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mesh_record_keep(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mesh_certificate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_mesh_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_mesh_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_mesh_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_mesh_variable_user(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_mesh_variable_node(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_mesh_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_mesh_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_mesh_init_process(ngx_cycle_t *cycle);
static void ngx_http_mesh_exit_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_mesh_commands[] = {

    /* mesh on | off; */
    { ngx_string("mesh"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_mesh_on,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mesh_loc_conf_t, mesh),
      NULL },

    /* mesh_relay on | off; */
    { ngx_string("mesh_relay"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mesh_loc_conf_t, relay),
      NULL },

    /* mesh_domain name; */
    { ngx_string("mesh_domain"),
      NGX_HTTP_SRV_CONF|NGX_CONF_TAKE1,
      ngx_http_mesh_domain,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_mesh_srv_conf_t, domain),
      NULL },

    /* mesh_url https://name[:port][/path];  the address from outside */
    { ngx_string("mesh_url"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_TAKE1,
      ngx_http_mesh_url,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_mesh_srv_conf_t, url),
      NULL },

    /* mesh_lan on | off;  agents of the local network find this server */
    { ngx_string("mesh_lan"),
      NGX_HTTP_SRV_CONF|NGX_CONF_FLAG,
      ngx_http_mesh_lan,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_mesh_srv_conf_t, lan),
      NULL },

    /* mesh_web_certificate auto | file path | url u | sha384 hex ...; */
    { ngx_string("mesh_web_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_1MORE,
      ngx_http_mesh_certificate,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    /* mesh_agents dir [update];  stock binaries to be offered */
    { ngx_string("mesh_agents"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_TAKE12,
      ngx_http_mesh_agents,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_mesh_srv_conf_t, agents),
      NULL },

    /* mesh_own_agents dir [update];  of this project, offered before those */
    { ngx_string("mesh_own_agents"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_TAKE12,
      ngx_http_mesh_agents,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_mesh_srv_conf_t, own_agents),
      NULL },

    /* mesh_origin same | any | name ...; */
    { ngx_string("mesh_origin"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_mesh_origin,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    /* mesh_auth_timeout time;  for an agent to prove who it is */
    { ngx_string("mesh_auth_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_mesh_srv_conf_t, auth_timeout),
      NULL },

    /* mesh_refuse_hold time;  how long a refused agent is held */
    { ngx_string("mesh_refuse_hold"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_mesh_srv_conf_t, refuse_hold),
      NULL },

    /* mesh_ping time [timeout=t]; */
    { ngx_string("mesh_ping"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_mesh_ping,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    /* mesh_frame_max size;  of the relay; 0: none */
    { ngx_string("mesh_frame_max"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mesh_loc_conf_t, frame_max),
      NULL },

    /* mesh_message_max agent=size control=size; */
    { ngx_string("mesh_message_max"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_TAKE12,
      ngx_http_mesh_sizes,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    /* mesh_buffer high=size hard=size;  of one session */
    { ngx_string("mesh_buffer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_mesh_sizes,
      NGX_HTTP_LOC_CONF_OFFSET,
      1,
      NULL },

    /* mesh_relay_buffer size;  of one half */
    { ngx_string("mesh_relay_buffer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mesh_loc_conf_t, relay_buffer),
      NULL },

    /* mesh_relay_wait time;  how long one side waits for the other */
    { ngx_string("mesh_relay_wait"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mesh_loc_conf_t, relay_wait),
      NULL },

    /*
     * mesh_relay_idle time;  0: none.  In a server with mesh_web_relay for its
     * pages, which end after five minutes in any case
     */
    { ngx_string("mesh_relay_idle"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mesh_loc_conf_t, relay_idle),
      NULL },

    /* mesh_relay_rate size;  bytes of a half in a second; 0: none */
    { ngx_string("mesh_relay_rate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mesh_loc_conf_t, relay_rate),
      NULL },

    /* mesh_webrtc on|off;  desktop and files may go beside the server */
    { ngx_string("mesh_webrtc"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mesh_loc_conf_t, webrtc),
      NULL },

    /*
     * mesh_desktop_share on|off;  all who watch a desktop share one stream of
     * its device.  It never goes beside the server, so where mesh_webrtc is on
     * this is off unless it is said.  Whose people are asked or told is not
     * shared either: each viewer is asked for.
     */
    { ngx_string("mesh_desktop_share"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mesh_loc_conf_t, desktop_share),
      NULL },

    /* mesh_desktop_cache size;  of one picture that is shared */
    { ngx_string("mesh_desktop_cache"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mesh_loc_conf_t, desktop_cache),
      NULL },

    /* mesh_web_relay https://name[:port] | :port;  pages of devices are served
       here; the address from outside, ":port" with the application's name */
    { ngx_string("mesh_web_relay"),
      NGX_HTTP_SRV_CONF|NGX_CONF_TAKE1,
      ngx_http_mesh_web_relay,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_mesh_srv_conf_t, web_relay),
      NULL },

    /* mesh_limit agent|control|relay per=address|user|total n; */
    { ngx_string("mesh_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_TAKE3,
      ngx_http_mesh_limit,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    /* mesh_session_log file | off;  a line each, written every second */
    { ngx_string("mesh_session_log"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_TAKE1,
      ngx_http_mesh_session_log,
      NGX_HTTP_SRV_CONF_OFFSET,
      offsetof(ngx_http_mesh_srv_conf_t, session_log),
      NULL },

    /* mesh_relay_record dir [flagged] [protocols=n,n...];  sessions as files */
    { ngx_string("mesh_relay_record"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_TAKE123,
      ngx_http_mesh_record,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    /* mesh_relay_record_keep [days=n] [count=n] [size=size];  or they stay */
    { ngx_string("mesh_relay_record_keep"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_TAKE123,
      ngx_http_mesh_record_keep,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    /* mesh_status [json | prometheus | health]; */
    { ngx_string("mesh_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_mesh_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_mesh_module_ctx = {
    ngx_http_mesh_variables,               /* preconfiguration */
    ngx_http_mesh_init,                    /* postconfiguration */

    ngx_http_mesh_create_main_conf,        /* create main configuration */
    ngx_http_mesh_init_main_conf,          /* init main configuration */

    ngx_http_mesh_create_srv_conf,         /* create server configuration */
    ngx_http_mesh_merge_srv_conf,          /* merge server configuration */

    ngx_http_mesh_create_loc_conf,         /* create location configuration */
    ngx_http_mesh_merge_loc_conf           /* merge location configuration */
};


ngx_module_t  ngx_http_mesh_module = {
    NGX_MODULE_V1,
    &ngx_http_mesh_module_ctx,             /* module context */
    ngx_http_mesh_commands,                /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_mesh_init_module,             /* init module */
    ngx_http_mesh_init_process,            /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_mesh_exit_process,            /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* every path that this module answers; those of t/origin.t are the same */
static ngx_http_mesh_endpoint_t  ngx_http_mesh_endpoints[] = {
    { ngx_string("agent.ashx"), ngx_http_mesh_agent_handler, 0, 1 },
    { ngx_string("control.ashx"), ngx_http_mesh_control_handler, 0, 1 },
    { ngx_string("meshrelay.ashx"), ngx_http_mesh_relay_handler, 1, 1 },
    { ngx_string("echo.ashx"), ngx_http_mesh_echo_handler, 0, 1 },
    { ngx_string("session.ashx"), ngx_http_mesh_web_session_handler, 0, 0 },
    { ngx_string("login.ashx"), ngx_http_mesh_web_login_handler, 0, 0 },
    { ngx_string("logout.ashx"), ngx_http_mesh_web_logout_handler, 0, 0 },
    { ngx_string("setup.ashx"), ngx_http_mesh_web_setup_handler, 0, 0 },
    { ngx_string("health.ashx"), ngx_http_mesh_web_health_handler, 0, 0 },
    { ngx_string("meshsettings"), ngx_http_mesh_web_settings_handler, 0, 0 },
    { ngx_string("meshagents"), ngx_http_mesh_web_agents_handler, 0, 0 },
    { ngx_string("meshserverrootcert.cer"), ngx_http_mesh_web_root_handler,
      0, 0 },
    { ngx_string("recordings.ashx"), ngx_http_mesh_web_recording_handler,
      0, 0 },
    { ngx_string("devicefile.ashx"), ngx_http_mesh_web_fetch_handler, 0, 0 },
    { ngx_null_string, NULL, 0, 0 }
};


static ngx_http_variable_t  ngx_http_mesh_vars[] = {
    { ngx_string("mesh_kind"), NULL, ngx_http_mesh_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },
    { ngx_string("mesh_session"), NULL, ngx_http_mesh_variable, 1,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },
    { ngx_string("mesh_domain"), NULL, ngx_http_mesh_variable, 2,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },
    { ngx_string("mesh_user"), NULL, ngx_http_mesh_variable_user, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },
    { ngx_string("mesh_node"), NULL, ngx_http_mesh_variable_node, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },
      ngx_http_null_variable
};


static const char  *ngx_http_mesh_limits[] = { "agent", "control", "relay" };


/* in the list of the content phase: it declines what is not ours */
static ngx_int_t
ngx_http_mesh_handler(ngx_http_request_t *r)
{
    u_char                     *p, *last, low[32];
    size_t                      n;
    ngx_str_t                   name;
    ngx_uint_t                  key;
    ngx_http_mesh_endpoint_t   *e;
    ngx_http_mesh_loc_conf_t   *mlcf;
    ngx_http_mesh_main_conf_t  *mmcf;

    static ngx_str_t  suffix = ngx_string("/.websocket");

    mlcf = ngx_http_get_module_loc_conf(r, ngx_http_mesh_module);

    if (mlcf->status) {
        return ngx_http_mesh_status_handler(r);
    }

    if (!mlcf->mesh) {
        return NGX_DECLINED;
    }

    name = r->uri;

    if (name.len > suffix.len
        && ngx_memcmp(name.data + name.len - suffix.len, suffix.data,
                      suffix.len) == 0)
    {
        name.len -= suffix.len;
    }

    last = name.data + name.len;

    for (p = last; p > name.data && p[-1] != '/'; p--) { /* void */ }

    n = last - p;

    if (n == 0 || n > sizeof(low)) {
        return NGX_DECLINED;
    }

    mmcf = ngx_http_get_module_main_conf(r, ngx_http_mesh_module);
    key = ngx_hash_strlow(low, p, n);
    e = ngx_hash_find(&mmcf->endpoints, key, low, n);

    if (e == NULL || (e->relay && !mlcf->relay)) {
        return NGX_DECLINED;
    }

    /* before anything that could answer otherwise */
    if (e->ws && ngx_mesh_origin_check(r) != NGX_OK) {
        return NGX_HTTP_FORBIDDEN;
    }

    return e->handler(r);
}


static void *
ngx_http_mesh_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_mesh_main_conf_t));
}


static char *
ngx_http_mesh_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_mesh_main_conf_t *mmcf = conf;

    ngx_array_t                keys;
    ngx_hash_key_t            *hk;
    ngx_hash_init_t            hash;
    ngx_http_mesh_endpoint_t  *e;

    if (ngx_array_init(&keys, cf->temp_pool, 16, sizeof(ngx_hash_key_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (e = ngx_http_mesh_endpoints; e->name.len; e++) {
        hk = ngx_array_push(&keys);
        if (hk == NULL) {
            return NGX_CONF_ERROR;
        }

        hk->key = e->name;
        hk->key_hash = ngx_hash_key_lc(e->name.data, e->name.len);
        hk->value = e;
    }

    hash.hash = &mmcf->endpoints;
    hash.key = ngx_hash_key_lc;
    hash.max_size = 512;
    hash.bucket_size = ngx_align(64, ngx_cacheline_size);
    hash.name = "mesh_endpoints";
    hash.pool = cf->pool;
    hash.temp_pool = NULL;

    if (ngx_hash_init(&hash, keys.elts, keys.nelts) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_mesh_create_srv_conf(ngx_conf_t *cf)
{
    ngx_uint_t                 i;
    ngx_http_mesh_srv_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_mesh_srv_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->lan = NGX_CONF_UNSET;
    conf->agents_update = NGX_CONF_UNSET;
    conf->own_agents_update = NGX_CONF_UNSET;
    conf->record.path = NGX_CONF_UNSET_PTR;
    conf->record.days = NGX_CONF_UNSET_UINT;
    conf->auth_timeout = NGX_CONF_UNSET_MSEC;
    conf->refuse_hold = NGX_CONF_UNSET_MSEC;
    conf->message_agent = NGX_CONF_UNSET_SIZE;
    conf->message_control = NGX_CONF_UNSET_SIZE;
    conf->session_log = NGX_CONF_UNSET_PTR;
    conf->webcert_conf = NGX_CONF_UNSET_PTR;

    for (i = 0; i < 3; i++) {
        conf->limit_address[i] = NGX_CONF_UNSET_UINT;
        conf->limit_user[i] = NGX_CONF_UNSET_UINT;
        conf->limit_total[i] = NGX_CONF_UNSET_UINT;
    }

    return conf;
}


static void
ngx_http_mesh_merge_record(ngx_mesh_record_conf_t *conf,
    ngx_mesh_record_conf_t *prev)
{
    if (conf->path == NGX_CONF_UNSET_PTR) {
        conf->path = prev->path == NGX_CONF_UNSET_PTR ? NULL : prev->path;
        conf->flagged = prev->flagged;
        ngx_memcpy(conf->protocols, prev->protocols, sizeof(conf->protocols));
    }

    if (conf->days == NGX_CONF_UNSET_UINT) {
        conf->days = prev->days == NGX_CONF_UNSET_UINT ? 0 : prev->days;
        conf->count = prev->count;
        conf->size = prev->size;
    }
}


static char *
ngx_http_mesh_merge_srv_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_mesh_srv_conf_t *prev = parent;
    ngx_http_mesh_srv_conf_t *conf = child;

    ngx_uint_t                  i;
    ngx_http_mesh_main_conf_t  *mmcf;

    static const ngx_uint_t  user[] = { 0, 100, 100 };

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mesh_module);
    conf->index = mmcf->nservers++;

    ngx_conf_merge_str_value(conf->agents, prev->agents, "");
    ngx_conf_merge_value(conf->agents_update, prev->agents_update, 0);
    ngx_conf_merge_str_value(conf->own_agents, prev->own_agents, "");
    ngx_conf_merge_value(conf->own_agents_update, prev->own_agents_update, 0);
    ngx_http_mesh_merge_record(&conf->record, &prev->record);
    ngx_conf_merge_str_value(conf->url, prev->url, "");
    ngx_conf_merge_value(conf->lan, prev->lan, 0);
    ngx_conf_merge_msec_value(conf->auth_timeout, prev->auth_timeout, 30000);
    ngx_conf_merge_msec_value(conf->refuse_hold, prev->refuse_hold, 300000);
    ngx_conf_merge_size_value(conf->message_agent, prev->message_agent,
                              16 * 1024 * 1024);
    ngx_conf_merge_size_value(conf->message_control, prev->message_control,
                              4 * 1024 * 1024);
    ngx_conf_merge_ptr_value(conf->session_log, prev->session_log, NULL);
    ngx_conf_merge_ptr_value(conf->webcert_conf, prev->webcert_conf, NULL);

    if (conf->lan && conf->url.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"mesh_lan\" needs \"mesh_url\": agents call its "
                           "port and path");
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < 3; i++) {
        ngx_conf_merge_uint_value(conf->limit_address[i],
                                  prev->limit_address[i], 1000);
        ngx_conf_merge_uint_value(conf->limit_user[i], prev->limit_user[i],
                                  user[i]);
        ngx_conf_merge_uint_value(conf->limit_total[i], prev->limit_total[i],
                                  0);
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_mesh_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_mesh_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_mesh_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->mesh = NGX_CONF_UNSET;
    conf->relay = NGX_CONF_UNSET;
    conf->origin = NGX_CONF_UNSET_UINT;
    conf->ping = NGX_CONF_UNSET_MSEC;
    conf->ping_timeout = NGX_CONF_UNSET_MSEC;
    conf->frame_max = NGX_CONF_UNSET_SIZE;
    conf->buffer_high = NGX_CONF_UNSET_SIZE;
    conf->buffer_hard = NGX_CONF_UNSET_SIZE;
    conf->relay_buffer = NGX_CONF_UNSET_SIZE;
    conf->relay_wait = NGX_CONF_UNSET_MSEC;
    conf->relay_idle = NGX_CONF_UNSET_MSEC;
    conf->relay_rate = NGX_CONF_UNSET_SIZE;
    conf->webrtc = NGX_CONF_UNSET;
    conf->desktop_share = NGX_CONF_UNSET;
    conf->desktop_cache = NGX_CONF_UNSET_SIZE;

    return conf;
}


static char *
ngx_http_mesh_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_mesh_loc_conf_t *prev = parent;
    ngx_http_mesh_loc_conf_t *conf = child;

    ngx_http_mesh_srv_conf_t  *mscf;

    ngx_conf_merge_value(conf->mesh, prev->mesh, 0);
    ngx_conf_merge_value(conf->relay, prev->relay, 0);

    if (conf->origin == NGX_CONF_UNSET_UINT) {
        conf->origins = prev->origins;
    }

    ngx_conf_merge_uint_value(conf->origin, prev->origin,
                              NGX_MESH_ORIGIN_SAME);

    ngx_conf_merge_msec_value(conf->ping, prev->ping, 60000);
    ngx_conf_merge_msec_value(conf->ping_timeout, prev->ping_timeout, 90000);
    ngx_conf_merge_size_value(conf->frame_max, prev->frame_max, 0);
    ngx_conf_merge_size_value(conf->buffer_high, prev->buffer_high,
                              256 * 1024);
    ngx_conf_merge_size_value(conf->buffer_hard, prev->buffer_hard,
                              8 * 1024 * 1024);
    ngx_conf_merge_size_value(conf->relay_buffer, prev->relay_buffer,
                              64 * 1024);
    ngx_conf_merge_msec_value(conf->relay_wait, prev->relay_wait, 30000);
    ngx_conf_merge_msec_value(conf->relay_idle, prev->relay_idle, 0);
    ngx_conf_merge_size_value(conf->relay_rate, prev->relay_rate, 0);
    ngx_conf_merge_value(conf->webrtc, prev->webrtc, 0);
    ngx_conf_merge_value(conf->desktop_share, prev->desktop_share,
                         !conf->webrtc);
    ngx_conf_merge_size_value(conf->desktop_cache, prev->desktop_cache,
                              64 * 1024 * 1024);

    if (conf->mesh) {
        mscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_mesh_module);
        mscf->mesh = 1;
    }

    if (conf->buffer_hard < conf->buffer_high) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"mesh_buffer\": \"hard\" must not be less than "
                           "\"high\"");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_mesh_on(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mesh_loc_conf_t *mlcf = conf;

    char                       *rv;
    ngx_http_mesh_main_conf_t  *mmcf;

    rv = ngx_conf_set_flag_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK || mlcf->mesh == 0) {
        return rv;
    }

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mesh_module);
    mmcf->enabled = 1;

    return ngx_mesh_core_enable(cf);
}


static char *
ngx_http_mesh_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char       *rv;
    ngx_str_t  *url;

    rv = ngx_conf_set_str_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    url = (ngx_str_t *) ((char *) conf + cmd->offset);

    if (url->len < 9 || ngx_strncmp(url->data, "https://", 8) != 0
        || ngx_strlchr(url->data, url->data + url->len, '?')
        || ngx_strlchr(url->data, url->data + url->len, '"')
        || ngx_strlchr(url->data, url->data + url->len, ' '))
    {
        return "needs an address like \"https://mesh.example.org:443\"";
    }

    while (url->data[url->len - 1] == '/') {
        url->len--;
    }

    return NGX_CONF_OK;
}


/* one identity is one server */
static char *
ngx_http_mesh_lan(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mesh_srv_conf_t *mscf = conf;

    char                       *rv;
    ngx_http_mesh_main_conf_t  *mmcf;

    rv = ngx_conf_set_flag_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK || mscf->lan == 0) {
        return rv;
    }

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mesh_module);

    if (mmcf->lan) {
        return "is on in another server already";
    }

    mmcf->lan = mscf;

    return NGX_CONF_OK;
}


/* a domain's name is a part of ids and paths */
static char *
ngx_http_mesh_domain(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char        *rv;
    size_t       i;
    ngx_str_t   *name;

    rv = ngx_conf_set_str_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    name = (ngx_str_t *) ((char *) conf + cmd->offset);

    if (name->len > 64) {
        return "is longer than 64 characters";
    }

    for (i = 0; i < name->len; i++) {
        if (!(name->data[i] >= 'a' && name->data[i] <= 'z')
            && !(name->data[i] >= '0' && name->data[i] <= '9')
            && name->data[i] != '-')
        {
            return "may hold only a-z, 0-9 and \"-\"";
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_mesh_agents(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mesh_srv_conf_t *mscf = conf;

    ngx_str_t   *value, *folder;
    ngx_flag_t  *update;

    folder = (ngx_str_t *) ((char *) conf + cmd->offset);
    update = folder == &mscf->agents ? &mscf->agents_update
                                     : &mscf->own_agents_update;

    if (folder->data) {
        return "is duplicate";
    }

    value = cf->args->elts;
    *folder = value[1];
    *update = 0;

    if (cf->args->nelts == 3) {

        if (ngx_strcmp(value[2].data, "update") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[2]);
            return NGX_CONF_ERROR;
        }

        *update = 1;
    }

    return ngx_conf_full_name(cf->cycle, folder, 0) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_mesh_record(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mesh_srv_conf_t *mscf = conf;

    u_char                  *p, *end, *comma;
    ngx_int_t                n;
    ngx_str_t               *value;
    ngx_uint_t               i;
    ngx_mesh_record_conf_t  *record;

    record = &mscf->record;

    if (record->path != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        record->path = NULL;
        return NGX_CONF_OK;
    }

    record->path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    if (record->path == NULL) {
        return NGX_CONF_ERROR;
    }

    record->path->name = value[1];
    record->path->conf_file = cf->conf_file->file.name.data;
    record->path->line = cf->conf_file->line;

    if (record->path->name.data[record->path->name.len - 1] == '/') {
        record->path->name.len--;
    }

    if (ngx_conf_full_name(cf->cycle, &record->path->name, 0) != NGX_OK
        || ngx_add_path(cf, &record->path) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_memset(record->protocols, 0xff, sizeof(record->protocols));

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "flagged") == 0) {
            record->flagged = 1;
            continue;
        }

        if (ngx_strncmp(value[i].data, "protocols=", 10) != 0) {
            goto invalid;
        }

        ngx_memzero(record->protocols, sizeof(record->protocols));
        end = value[i].data + value[i].len;

        for (p = value[i].data + 10; p <= end; p = comma + 1) {
            comma = ngx_strlchr(p, end, ',');
            comma = comma ? comma : end;
            n = ngx_atoi(p, comma - p);

            if (n == NGX_ERROR || n > 255) {
                goto invalid;
            }

            record->protocols[n / 8] |= 1 << n % 8;
        }
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                       &value[i]);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_mesh_record_keep(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mesh_srv_conf_t *mscf = conf;

    off_t                    n;
    ngx_str_t               *value, s;
    ngx_uint_t               i;
    ngx_mesh_record_conf_t  *record;

    record = &mscf->record;

    if (record->days != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    record->days = 0;
    record->count = 0;
    record->size = 0;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        s.data = (u_char *) ngx_strchr(value[i].data, '=');
        if (s.data == NULL) {
            goto invalid;
        }

        s.len = value[i].data + value[i].len - ++s.data;
        n = ngx_strncmp(value[i].data, "size=", 5) == 0
            ? ngx_parse_offset(&s) : ngx_atoi(s.data, s.len);

        if (n <= 0) {
            goto invalid;
        }

        if (ngx_strncmp(value[i].data, "size=", 5) == 0) {
            record->size = n;

        } else if (ngx_strncmp(value[i].data, "days=", 5) == 0
                   && n <= 36500)
        {
            record->days = n;

        } else if (ngx_strncmp(value[i].data, "count=", 6) == 0) {
            record->count = n;

        } else {
            goto invalid;
        }
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                       &value[i]);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_mesh_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mesh_loc_conf_t *mlcf = conf;

    ngx_str_t   *value, *name;
    ngx_uint_t   i;

    if (mlcf->origin != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "same") == 0) {
        mlcf->origin = NGX_MESH_ORIGIN_SAME;
        return NGX_CONF_OK;
    }

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "any") == 0) {
        mlcf->origin = NGX_MESH_ORIGIN_ANY;
        return NGX_CONF_OK;
    }

    mlcf->origin = NGX_MESH_ORIGIN_LIST;
    mlcf->origins = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));

    if (mlcf->origins == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (value[i].len == 0 || ngx_strcmp(value[i].data, "same") == 0
            || ngx_strcmp(value[i].data, "any") == 0
            || strpbrk((char *) value[i].data, "*/@ ") != NULL)
        {
            return "needs \"same\", \"any\", or names of hosts without \"*\"";
        }

        name = ngx_array_push(mlcf->origins);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = value[i];
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_mesh_ping(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mesh_loc_conf_t *mlcf = conf;

    ngx_str_t  *value, s;

    if (mlcf->ping != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mlcf->ping = ngx_parse_time(&value[1], 0);

    if (mlcf->ping == (ngx_msec_t) NGX_ERROR || mlcf->ping < 1000) {
        return "needs a time of at least 1s";
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "timeout=", 8) != 0) {
        return "knows only \"timeout=\" behind the time";
    }

    s.data = value[2].data + 8;
    s.len = value[2].len - 8;
    mlcf->ping_timeout = ngx_parse_time(&s, 0);

    if (mlcf->ping_timeout == (ngx_msec_t) NGX_ERROR
        || mlcf->ping_timeout < 1000)
    {
        return "needs a \"timeout=\" of at least 1s";
    }

    return NGX_CONF_OK;
}


/* "mesh_message_max" and "mesh_buffer": two sizes by name */
static char *
ngx_http_mesh_sizes(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    size_t                    *size[2];
    ssize_t                    n;
    ngx_str_t                 *value, s;
    ngx_uint_t                 i, k;
    ngx_http_mesh_loc_conf_t  *mlcf;
    ngx_http_mesh_srv_conf_t  *mscf;

    static const char  *names[2][2] = { { "agent=", "control=" },
                                        { "high=", "hard=" } };

    if (cmd->offset) {
        mlcf = conf;
        size[0] = &mlcf->buffer_high;
        size[1] = &mlcf->buffer_hard;

    } else {
        mscf = conf;
        size[0] = &mscf->message_agent;
        size[1] = &mscf->message_control;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        for (k = 0; k < 2; k++) {
            s.len = ngx_strlen(names[cmd->offset][k]);

            if (value[i].len > s.len
                && ngx_strncmp(value[i].data, names[cmd->offset][k], s.len)
                   == 0)
            {
                break;
            }
        }

        if (k == 2) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\"", &value[i],
                               &cmd->name);
            return NGX_CONF_ERROR;
        }

        if (*size[k] != NGX_CONF_UNSET_SIZE) {
            return "is duplicate";
        }

        s.data = value[i].data + s.len;
        s.len = value[i].len - s.len;
        n = ngx_parse_size(&s);

        if (n < 4096) {
            return "needs sizes of at least 4k";
        }

        *size[k] = n;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_mesh_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mesh_srv_conf_t *mscf = conf;

    ngx_int_t    n;
    ngx_str_t   *value;
    ngx_uint_t   what, *limit;

    value = cf->args->elts;

    for (what = 0; what < 3; what++) {
        if (ngx_strcmp(value[1].data, ngx_http_mesh_limits[what]) == 0) {
            break;
        }
    }

    if (what == 3) {
        return "limits \"agent\", \"control\" or \"relay\"";
    }

    if (ngx_strcmp(value[2].data, "per=address") == 0) {
        limit = mscf->limit_address;

    } else if (ngx_strcmp(value[2].data, "per=user") == 0) {
        limit = mscf->limit_user;

    } else if (ngx_strcmp(value[2].data, "per=total") == 0) {
        limit = mscf->limit_total;

    } else {
        return "counts \"per=address\", \"per=user\" or \"per=total\"";
    }

    if (limit == mscf->limit_user && what == NGX_MESH_LIMIT_AGENT) {
        return "counts no agents per user, who have none";
    }

    if (limit == mscf->limit_total && what != NGX_MESH_LIMIT_CONTROL) {
        return "counts only \"control\" in total";
    }

    n = ngx_atoi(value[3].data, value[3].len);

    if (n == NGX_ERROR || n == 0) {
        return "needs a number above zero";
    }

    if (limit[what] != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    limit[what] = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_mesh_session_log(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mesh_srv_conf_t *mscf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_strncmp(value[1].data, "syslog:", 7) == 0) {
        return "takes a file, not syslog";
    }

    if (mscf->session_log != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    if (ngx_strcmp(value[1].data, "off") == 0) {
        mscf->session_log = NULL;
        return NGX_CONF_OK;
    }

    mscf->session_log = ngx_conf_open_file(cf->cycle, &value[1]);

    return mscf->session_log ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_mesh_certificate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mesh_srv_conf_t *mscf = conf;

    ngx_str_t   *value, *word;
    ngx_uint_t   i, k;

    if (mscf->webcert_conf != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "auto") == 0) {
        mscf->webcert_conf = NULL;
        return cf->args->nelts == 2 ? NGX_CONF_OK
                                    : "takes nothing behind \"auto\"";
    }

    if (cf->args->nelts < 3
        || (ngx_strcmp(value[1].data, "file") != 0
            && ngx_strcmp(value[1].data, "url") != 0
            && ngx_strcmp(value[1].data, "sha384") != 0))
    {
        return "needs \"auto\", \"file\" path, \"url\" u, or \"sha384\" hex";
    }

    mscf->webcert_conf = ngx_array_create(cf->pool, cf->args->nelts,
                                          sizeof(ngx_str_t));
    if (mscf->webcert_conf == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        word = ngx_array_push(mscf->webcert_conf);
        if (word == NULL) {
            return NGX_CONF_ERROR;
        }

        *word = value[i];

        if (i == 1) {
            continue;
        }

        if (value[1].data[0] == 'f') {

            if (ngx_conf_full_name(cf->cycle, word, 1) != NGX_OK) {
                return NGX_CONF_ERROR;
            }

            /* what is in it is read when all of the configuration is */

            if (access((char *) word->data, R_OK) == -1) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                                   "\"mesh_web_certificate\": \"%V\"", word);
                return NGX_CONF_ERROR;
            }
        }

        if (value[1].data[0] == 's') {

            for (k = 0; k < word->len; k++) {
                if (ngx_hextoi(word->data + k, 1) == NGX_ERROR) {
                    break;
                }
            }

            if (word->len != 96 || k != 96) {
                return "needs hashes of 96 hex digits";
            }
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_mesh_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mesh_loc_conf_t *mlcf = conf;

    ngx_str_t                  *value;
    ngx_http_mesh_main_conf_t  *mmcf;

    if (mlcf->status) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 1 || ngx_strcmp(value[1].data, "json") == 0) {
        mlcf->status = NGX_MESH_STATUS_JSON;

    } else if (ngx_strcmp(value[1].data, "prometheus") == 0) {
        mlcf->status = NGX_MESH_STATUS_PROMETHEUS;

    } else if (ngx_strcmp(value[1].data, "health") == 0) {
        mlcf->status = NGX_MESH_STATUS_HEALTH;

    } else {
        return "needs \"json\", \"prometheus\" or \"health\"";
    }

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mesh_module);
    mmcf->enabled = 1;

    return ngx_mesh_core_enable(cf);
}


static ngx_int_t
ngx_http_mesh_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *v, *var;

    for (v = ngx_http_mesh_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return ngx_mesh_web_relay_variables(cf);
}


static ngx_int_t
ngx_http_mesh_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char                    *p;
    ngx_mesh_ctx_t            *ctx;
    ngx_http_mesh_srv_conf_t  *mscf;

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    if (data == 2) {
        mscf = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);
        v->data = mscf->domain.data;
        v->len = mscf->domain.len;
        return NGX_OK;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_mesh_module);

    if (ctx == NULL || ctx->serial == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    if (data == 0) {
        v->data = (u_char *) ctx->kind;
        v->len = ngx_strlen(ctx->kind);
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = ngx_sprintf(p, "%uL", ctx->serial) - p;

    return NGX_OK;
}


/* user/D/name: whose cookie, ticket or password it was */
static ngx_int_t
ngx_http_mesh_variable_user(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_mesh_ctx_t      *ctx;
    ngx_mesh_account_t  *account;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mesh_module);
    account = ctx && ctx->account_id ? ngx_mesh_account(ctx->account_id)
                                     : NULL;
    if (account == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ngx_pnalloc(r->pool, account->domain.len + account->login.len
                                   + sizeof("user//") - 1);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    v->len = ngx_sprintf(v->data, "user/%V/%V", &account->domain,
                         &account->login)
             - v->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* node/D/id: the device of a session, a download or a page.  An agent proves
   only later which one it is */
static ngx_int_t
ngx_http_mesh_variable_node(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                    *p;
    ngx_mesh_ctx_t            *ctx;
    ngx_http_mesh_srv_conf_t  *mscf;

    static u_char  zeros[NGX_MESH_ID_LEN];

    ctx = ngx_http_get_module_ctx(r, ngx_http_mesh_module);

    if (ctx == NULL || ngx_memcmp(ctx->node, zeros, NGX_MESH_ID_LEN) == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    mscf = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);

    v->data = ngx_pnalloc(r->pool, mscf->domain.len + NGX_MESH_ID_TEXT
                                   + sizeof("node//") - 1);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(v->data, "node/%V/", &mscf->domain);
    v->len = ngx_mesh_id_write(p, ctx->node) - v->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_mesh_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;
    ngx_http_mesh_main_conf_t  *mmcf;

    mmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mesh_module);

    if (ngx_mesh_web_relay_conf(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!mmcf->enabled) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_CONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_mesh_handler;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_mesh_enabled(ngx_cycle_t *cycle)
{
    ngx_http_conf_ctx_t        *ctx;
    ngx_http_mesh_main_conf_t  *mmcf;

    ctx = (ngx_http_conf_ctx_t *) ngx_get_conf(cycle->conf_ctx,
                                               ngx_http_module);
    if (ctx == NULL) {
        return 0;
    }

    mmcf = ctx->main_conf[ngx_http_mesh_module.ctx_index];

    return mmcf && mmcf->enabled;
}


static ngx_int_t
ngx_http_mesh_init_module(ngx_cycle_t *cycle)
{
    if (!ngx_http_mesh_enabled(cycle)) {
        return NGX_OK;
    }

    return ngx_mesh_cert_init_module(cycle);
}


/*
 * An error from here is for ever: the worker would never be made again.  What
 * is away now is tried again by the tick.
 */
static ngx_int_t
ngx_http_mesh_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_http_conf_ctx_t        *ctx;
    ngx_http_mesh_main_conf_t  *mmcf;

    static ngx_int_t (*const inits[])(ngx_cycle_t *) = {
        ngx_mesh_ws_init,
        ngx_mesh_bus_init,
        ngx_mesh_cert_init,
        ngx_mesh_signer_init,
        ngx_mesh_event_init,
        ngx_mesh_model_init,
        ngx_mesh_known_init,
        ngx_mesh_control_init,
        ngx_mesh_agent_init,
        ngx_mesh_dial_init,
        ngx_mesh_relay_init,
        ngx_mesh_web_fetch_init,
        ngx_mesh_web_relay_init,
        ngx_mesh_db_init
    };

    /* helpers that read no network have nothing of this */
    if ((ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
        || !ngx_http_mesh_enabled(cycle))
    {
        return NGX_OK;
    }

    if (ngx_mesh_slot_claim(cycle) != NGX_OK) {
        return NGX_OK;
    }

#ifdef M_ARENA_MAX
    /* the threads share one: an arena for each of them is never full */
    (void) mallopt(M_ARENA_MAX, 2);
#endif

    for (i = 0; i < sizeof(inits) / sizeof(inits[0]); i++) {
        if (inits[i](cycle) != NGX_OK) {
            ngx_log_error(NGX_LOG_CRIT, cycle->log, 0,
                          "mesh worker is not complete, it tries again");
        }
    }

    ctx = (ngx_http_conf_ctx_t *) ngx_get_conf(cycle->conf_ctx,
                                               ngx_http_module);
    mmcf = ctx->main_conf[ngx_http_mesh_module.ctx_index];

    if (mmcf->lan) {
        ngx_mesh_agent_lan_init(&mmcf->lan->url);
    }

    ngx_mesh_tick_add(ngx_mesh_bus_tick);
    ngx_mesh_tick_add(ngx_mesh_shm_tick);

    return NGX_OK;
}


static void
ngx_http_mesh_exit_process(ngx_cycle_t *cycle)
{
    if ((ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
        || !ngx_http_mesh_enabled(cycle))
    {
        return;
    }

    ngx_mesh_relay_exit();
    ngx_mesh_web_relay_exit();
    ngx_mesh_ws_exit();
    ngx_mesh_signer_exit(cycle);
    ngx_mesh_db_exit(cycle);
    ngx_mesh_bus_exit(cycle);
    ngx_mesh_slot_release();
}

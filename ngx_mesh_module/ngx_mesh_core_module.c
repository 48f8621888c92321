/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Directives of the process, and the shared zone.  Work begins elsewhere. */

#include "ngx_mesh.h"
#include <ngx_thread_pool.h>


#define NGX_MESH_IPC_MAX   90         /* a socket path holds 107 bytes */
#define NGX_MESH_ZONE_MIN  (1024 * 1024)


static void *ngx_mesh_core_create_conf(ngx_cycle_t *cycle);
static char *ngx_mesh_core_init_conf(ngx_cycle_t *cycle, void *conf);
static char *ngx_mesh_core_db(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_mesh_core_flush(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_mesh_core_signer(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_mesh_core_files(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_mesh_core_ipc(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_mesh_core_zone(ngx_conf_t *cf,
    ngx_mesh_core_conf_t *mcf);


static ngx_conf_num_bounds_t  ngx_mesh_core_positive = {
    ngx_conf_check_num_bounds, 1, 10000000
};


static ngx_command_t  ngx_mesh_core_commands[] = {

    /* mesh_zone size; */
    { ngx_string("mesh_zone"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      0,
      offsetof(ngx_mesh_core_conf_t, zone_size),
      NULL },

    /* mesh_ipc_path dir;  at most 90 bytes */
    { ngx_string("mesh_ipc_path"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_mesh_core_ipc,
      0,
      offsetof(ngx_mesh_core_conf_t, ipc_path),
      NULL },

    /* mesh_db sqlite file | postgres "conninfo"; */
    { ngx_string("mesh_db"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE2,
      ngx_mesh_core_db,
      0,
      0,
      NULL },

    /* mesh_db_flush time [rows=n];  how long late writes are collected */
    { ngx_string("mesh_db_flush"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE12,
      ngx_mesh_core_flush,
      0,
      0,
      NULL },

    /* mesh_db_queue number; */
    { ngx_string("mesh_db_queue"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      0,
      offsetof(ngx_mesh_core_conf_t, db_queue),
      &ngx_mesh_core_positive },

    /* mesh_signer unix:path [queue=n] [timeout=t]; */
    { ngx_string("mesh_signer"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE123,
      ngx_mesh_core_signer,
      0,
      0,
      NULL },

    /* mesh_core file [recovery=file];  what is pushed to agents */
    { ngx_string("mesh_core"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE12,
      ngx_mesh_core_files,
      0,
      0,
      NULL },

    /* mesh_drain time;  over which a reload spreads its agents */
    { ngx_string("mesh_drain"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      0,
      offsetof(ngx_mesh_core_conf_t, drain),
      NULL },

    /* mesh_node name; */
    { ngx_string("mesh_node"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      0,
      offsetof(ngx_mesh_core_conf_t, node),
      NULL },

    /* mesh_handshakes n;  unauthenticated agents per worker */
    { ngx_string("mesh_handshakes"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      0,
      offsetof(ngx_mesh_core_conf_t, handshakes),
      &ngx_mesh_core_positive },

      ngx_null_command
};


static ngx_core_module_t  ngx_mesh_core_module_ctx = {
    ngx_string("mesh_core"),
    ngx_mesh_core_create_conf,
    ngx_mesh_core_init_conf
};


ngx_module_t  ngx_mesh_core_module = {
    NGX_MODULE_V1,
    &ngx_mesh_core_module_ctx,             /* module context */
    ngx_mesh_core_commands,                /* module directives */
    NGX_CORE_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_str_t  ngx_mesh_zone_name = ngx_string("ngx_mesh");


ngx_mesh_core_conf_t *
ngx_mesh_core_conf(void)
{
    return (ngx_mesh_core_conf_t *)
               ngx_get_conf(ngx_cycle->conf_ctx, ngx_mesh_core_module);
}


static void *
ngx_mesh_core_create_conf(ngx_cycle_t *cycle)
{
    ngx_mesh_core_conf_t  *mcf;

    mcf = ngx_pcalloc(cycle->pool, sizeof(ngx_mesh_core_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    mcf->zone_size = NGX_CONF_UNSET_SIZE;
    mcf->db_flush = NGX_CONF_UNSET_MSEC;
    mcf->db_rows = NGX_CONF_UNSET_UINT;
    mcf->db_queue = NGX_CONF_UNSET_UINT;
    mcf->signer_queue = NGX_CONF_UNSET_UINT;
    mcf->signer_timeout = NGX_CONF_UNSET_MSEC;
    mcf->drain = NGX_CONF_UNSET_MSEC;
    mcf->handshakes = NGX_CONF_UNSET_UINT;

    return mcf;
}


static char *
ngx_mesh_core_init_conf(ngx_cycle_t *cycle, void *conf)
{
    ngx_mesh_core_conf_t *mcf = conf;

    ngx_conf_init_size_value(mcf->zone_size, 32 * 1024 * 1024);
    ngx_conf_init_msec_value(mcf->db_flush, 500);
    ngx_conf_init_uint_value(mcf->db_rows, 500);
    ngx_conf_init_uint_value(mcf->db_queue, 20000);
    ngx_conf_init_uint_value(mcf->signer_queue, 256);
    ngx_conf_init_msec_value(mcf->signer_timeout, 15000);
    ngx_conf_init_msec_value(mcf->drain, 300000);
    ngx_conf_init_uint_value(mcf->handshakes, 2000);

    if (mcf->node.len == 0) {
        mcf->node = cycle->hostname;
    }

    return NGX_CONF_OK;
}


/*
 * The rest of what "mesh on" needs, so that an nginx without it has neither
 * zone nor folder.  Called by the http module while the configuration is read.
 */
char *
ngx_mesh_core_enable(ngx_conf_t *cf)
{
    ngx_mesh_core_conf_t  *mcf;

    mcf = (ngx_mesh_core_conf_t *)
              ngx_get_conf(cf->cycle->conf_ctx, ngx_mesh_core_module);

    if (mcf->zone) {
        return NGX_CONF_OK;
    }

    if (mcf->signer.len == 0) {
        return "needs \"mesh_signer\" above the http block: nothing could be "
               "proved to agents";
    }

    /* SQLite and password hashing are at work there */
    if (ngx_thread_pool_add(cf, NULL) == NULL) {
        return NGX_CONF_ERROR;
    }

    if (mcf->db.len == 0) {
        mcf->db_type = NGX_MESH_DB_SQLITE;
        ngx_str_set(&mcf->db, "mesh.db");

        if (ngx_conf_full_name(cf->cycle, &mcf->db, 0) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (mcf->ipc_path == NULL) {
        mcf->ipc_path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
        if (mcf->ipc_path == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_str_set(&mcf->ipc_path->name, "mesh_ipc");

        if (ngx_conf_full_name(cf->cycle, &mcf->ipc_path->name, 0) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        if (ngx_add_path(cf, &mcf->ipc_path) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (mcf->ipc_path->name.len > NGX_MESH_IPC_MAX) {
        return "needs a shorter \"mesh_ipc_path\": at most 90 bytes";
    }

    return ngx_mesh_core_zone(cf, mcf) == NGX_OK ? NGX_CONF_OK
                                                        : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_mesh_core_zone(ngx_conf_t *cf, ngx_mesh_core_conf_t *mcf)
{
    size_t  size;

    size = mcf->zone_size;
    if (size == NGX_CONF_UNSET_SIZE) {
        size = 32 * 1024 * 1024;
    }

    if (size < NGX_MESH_ZONE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"mesh_zone\" of %uz bytes is too small, "
                           "at least 1m is needed", size);
        return NGX_ERROR;
    }

    mcf->zone = ngx_shared_memory_add(cf, &ngx_mesh_zone_name, size,
                                      &ngx_mesh_core_module);
    if (mcf->zone == NULL) {
        return NGX_ERROR;
    }

    mcf->zone->init = ngx_mesh_shm_init_zone;
    mcf->zone->data = mcf;

    return ngx_mesh_known_zone(cf, &ngx_mesh_core_module);
}


static char *
ngx_mesh_core_db(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_core_conf_t *mcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (mcf->db.len) {
        return "is duplicate";
    }

    if (value[2].len == 0) {
        return "has an empty argument";
    }

    mcf->db = value[2];

    if (ngx_strcmp(value[1].data, "sqlite") == 0) {
        mcf->db_type = NGX_MESH_DB_SQLITE;

        return ngx_conf_full_name(cf->cycle, &mcf->db, 0) == NGX_OK
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    if (ngx_strcmp(value[1].data, "postgres") == 0) {
        mcf->db_type = NGX_MESH_DB_POSTGRES;
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown database \"%V\" in \"mesh_db\", it must be "
                       "\"sqlite\" or \"postgres\"", &value[1]);

    return NGX_CONF_ERROR;
}


static char *
ngx_mesh_core_flush(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_core_conf_t *mcf = conf;

    ngx_int_t   n;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (mcf->db_flush != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    mcf->db_flush = ngx_parse_time(&value[1], 0);

    if (mcf->db_flush == (ngx_msec_t) NGX_ERROR || mcf->db_flush == 0
        || mcf->db_flush > 10000)
    {
        return "needs a time between 1ms and 10s";
    }

    if (cf->args->nelts == 3) {

        if (ngx_strncmp(value[2].data, "rows=", 5) != 0) {
            return "knows only \"rows=\" behind the time";
        }

        n = ngx_atoi(value[2].data + 5, value[2].len - 5);

        if (n == NGX_ERROR || n == 0 || n > 500) {
            return "needs \"rows=\" between 1 and 500";
        }

        mcf->db_rows = n;
    }

    return NGX_CONF_OK;
}


static char *
ngx_mesh_core_signer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_core_conf_t *mcf = conf;

    ngx_int_t    n;
    ngx_str_t   *value, s;
    ngx_uint_t   i;

    value = cf->args->elts;

    if (mcf->signer.len) {
        return "is duplicate";
    }

    if (ngx_strncmp(value[1].data, "unix:", 5) != 0 || value[1].len == 5) {
        return "needs \"unix:\" and the path of a socket";
    }

    mcf->signer.data = value[1].data + 5;
    mcf->signer.len = value[1].len - 5;

    if (ngx_conf_full_name(cf->cycle, &mcf->signer, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (mcf->signer.len > 107) {
        return "has a path of more than 107 bytes";
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "queue=", 6) == 0) {
            n = ngx_atoi(value[i].data + 6, value[i].len - 6);

            if (n == NGX_ERROR || n == 0 || n > 1024) {
                return "needs \"queue=\" between 1 and 1024";
            }

            mcf->signer_queue = n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "timeout=", 8) == 0) {
            s.data = value[i].data + 8;
            s.len = value[i].len - 8;

            mcf->signer_timeout = ngx_parse_time(&s, 0);

            if (mcf->signer_timeout == (ngx_msec_t) NGX_ERROR
                || mcf->signer_timeout == 0)
            {
                return "needs a time in \"timeout=\"";
            }

            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"mesh_signer\"",
                           &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_mesh_core_files(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_core_conf_t *mcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (mcf->core.len) {
        return "is duplicate";
    }

    mcf->core = value[1];

    if (ngx_conf_full_name(cf->cycle, &mcf->core, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "recovery=", 9) != 0 || value[2].len == 9) {
        return "knows only \"recovery=\" behind the file";
    }

    mcf->recovery.data = value[2].data + 9;
    mcf->recovery.len = value[2].len - 9;

    return ngx_conf_full_name(cf->cycle, &mcf->recovery, 0) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_mesh_core_ipc(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char        *rv;
    ngx_path_t **path;

    rv = ngx_conf_set_path_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    path = (ngx_path_t **) ((char *) conf + cmd->offset);

    return (*path)->name.len > NGX_MESH_IPC_MAX
           ? "is longer than 90 bytes" : NGX_CONF_OK;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Where pages of devices are served: a server of its own, whose location is
 * proxied to $mesh_web_pass (conf/mesh-web.conf).  S-54: never on the origin of
 * the application.
 */

#include "ngx_mesh_web_relay.h"


static ngx_int_t ngx_mesh_web_conf_link(ngx_conf_t *cf,
    ngx_http_mesh_srv_conf_t *relay);
static ngx_int_t ngx_mesh_web_conf_shared(ngx_conf_t *cf,
    ngx_http_mesh_srv_conf_t *relay);
static ngx_uint_t ngx_mesh_web_conf_named(ngx_http_core_srv_conf_t *cscf,
    ngx_str_t *host);
static ngx_int_t ngx_mesh_web_conf_address(ngx_str_t *url, ngx_str_t *host);


static ngx_http_variable_t  ngx_mesh_web_vars[] = {
    { ngx_string("mesh_web_pass"), NULL, ngx_mesh_web_variable,
      NGX_MESH_WEB_VAR_PASS, NGX_HTTP_VAR_NOCACHEABLE, 0 },
    { ngx_string("mesh_web_host"), NULL, ngx_mesh_web_variable,
      NGX_MESH_WEB_VAR_HOST, NGX_HTTP_VAR_NOCACHEABLE, 0 },
    { ngx_string("mesh_web_upgrade"), NULL, ngx_mesh_web_variable,
      NGX_MESH_WEB_VAR_UPGRADE, NGX_HTTP_VAR_NOCACHEABLE, 0 },
    { ngx_string("mesh_web_connection"), NULL, ngx_mesh_web_variable,
      NGX_MESH_WEB_VAR_CONNECTION, NGX_HTTP_VAR_NOCACHEABLE, 0 },
    { ngx_string("mesh_web_why"), NULL, ngx_mesh_web_variable,
      NGX_MESH_WEB_VAR_WHY, NGX_HTTP_VAR_NOCACHEABLE, 0 },
      ngx_http_null_variable
};


ngx_int_t
ngx_mesh_web_relay_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *v, *var;

    for (v = ngx_mesh_web_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


char *
ngx_http_mesh_web_relay(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mesh_srv_conf_t *mscf = conf;

    ngx_str_t                     *value, host;
    ngx_url_t                      u;
    ngx_http_upstream_srv_conf_t  *us;

    if (mscf->web_relay.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_mesh_web_conf_address(&value[1], &host) == NGX_ERROR) {
        return "needs an address like \"https://pages.example.org:443\", or "
               "\":8443\"";
    }

    mscf->web_relay = value[1];

    /* found again, from the second server on */

    ngx_memzero(&u, sizeof(ngx_url_t));
    ngx_str_set(&u.url, NGX_MESH_WEB_UPSTREAM);
    u.no_resolve = 1;

    us = ngx_http_upstream_add(cf, &u, 0);

    if (us == NULL) {
        return NGX_CONF_ERROR;
    }

    us->peer.init_upstream = ngx_mesh_web_peer_upstream;

    return NGX_CONF_OK;
}


/*
 * "https://host[:port]" or ":port": the port, and host, of no bytes in the
 * second form; NGX_ERROR: neither.
 */
static ngx_int_t
ngx_mesh_web_conf_address(ngx_str_t *url, ngx_str_t *host)
{
    u_char     *p, *last, *colon;
    ngx_int_t   port;

    ngx_str_null(host);
    p = url->data;
    last = p + url->len;

    if (url->len > 8 && ngx_strncmp(p, "https://", 8) == 0) {
        p += 8;

    } else if (*p != ':') {
        return NGX_ERROR;
    }

    host->data = p;
    colon = NULL;

    for ( /* void */ ; p < last; p++) {

        if (*p == ':') {
            colon = p;

        } else if (*p == ']') {
            colon = NULL;

        } else if (!(*p >= '0' && *p <= '9') && !(*p >= 'a' && *p <= 'z')
                   && !(*p >= 'A' && *p <= 'Z') && *p != '.' && *p != '-'
                   && *p != '[')
        {
            return NGX_ERROR;
        }
    }

    host->len = (colon ? colon : last) - host->data;
    port = colon ? ngx_atoi(colon + 1, last - colon - 1) : 443;

    return port > 0 && port < 65536 ? port : NGX_ERROR;
}


/* when all servers are known */
ngx_int_t
ngx_mesh_web_relay_conf(ngx_conf_t *cf)
{
    ngx_uint_t                   i, n;
    ngx_http_handler_pt         *h;
    ngx_http_core_srv_conf_t   **cscfp;
    ngx_http_mesh_srv_conf_t    *mscf;
    ngx_http_core_main_conf_t   *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    cscfp = cmcf->servers.elts;
    n = 0;

    for (i = 0; i < cmcf->servers.nelts; i++) {
        mscf = cscfp[i]->ctx->srv_conf[ngx_http_mesh_module.ctx_index];

        if (mscf->web_relay.len) {
            n++;

            if (ngx_mesh_web_conf_link(cf, mscf) != NGX_OK
                || ngx_mesh_web_conf_shared(cf, mscf) != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    if (n == 0) {
        return NGX_OK;
    }

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_mesh_web_handler;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_web_conf_link(ngx_conf_t *cf, ngx_http_mesh_srv_conf_t *relay)
{
    ngx_uint_t                   i;
    ngx_http_core_srv_conf_t   **cscfp;
    ngx_http_mesh_srv_conf_t    *mscf;
    ngx_http_core_main_conf_t   *cmcf;

    if (relay->mesh) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"mesh_web_relay\" and \"mesh on\" are in one "
                           "server: pages of devices need an origin of their "
                           "own, or they could act as the application");
        return NGX_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    cscfp = cmcf->servers.elts;

    for (i = 0; i < cmcf->servers.nelts; i++) {
        mscf = cscfp[i]->ctx->srv_conf[ngx_http_mesh_module.ctx_index];

        if (!mscf->mesh || mscf->domain.len != relay->domain.len
            || ngx_strncmp(mscf->domain.data, relay->domain.data,
                           relay->domain.len)
               != 0)
        {
            continue;
        }

        if (mscf->web_pages.len) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "two servers of one domain have "
                               "\"mesh_web_relay\": \"%V\" and \"%V\"",
                               &mscf->web_pages, &relay->web_relay);
            return NGX_ERROR;
        }

        mscf->web_pages = relay->web_relay;

        if (relay->web_app == NULL) {
            relay->web_app = mscf;
        }
    }

    if (relay->web_app == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"mesh_web_relay\" needs a server with \"mesh "
                           "on\" of the same \"mesh_domain\"");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* host and port are an origin; a server without its name has all names */
static ngx_int_t
ngx_mesh_web_conf_shared(ngx_conf_t *cf, ngx_http_mesh_srv_conf_t *relay)
{
    u_char                      *slash;
    ngx_int_t                    n, app;
    ngx_str_t                    host, name, url;
    ngx_uint_t                   i, j, k;
    ngx_http_conf_port_t        *port;
    ngx_http_conf_addr_t        *addr;
    ngx_http_core_srv_conf_t   **cscfp;
    ngx_http_mesh_srv_conf_t    *mscf;
    ngx_http_core_main_conf_t   *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    n = ngx_mesh_web_conf_address(&relay->web_relay, &host);
    cscfp = cmcf->servers.elts;

    for (i = 0; i < cmcf->servers.nelts; i++) {
        mscf = cscfp[i]->ctx->srv_conf[ngx_http_mesh_module.ctx_index];

        if (!mscf->mesh || mscf->url.len == 0) {
            continue;
        }

        /* without its path */
        url = mscf->url;
        slash = ngx_strlchr(url.data + 8, url.data + url.len, '/');
        url.len = slash ? (size_t) (slash - url.data) : url.len;

        app = ngx_mesh_web_conf_address(&url, &name);

        if (app == n && (host.len == 0
                         || (name.len == host.len
                             && ngx_strncasecmp(name.data, host.data, host.len)
                                == 0)))
        {
            goto shared;
        }
    }

    port = cmcf->ports ? cmcf->ports->elts : NULL;

    for (i = 0; port && i < cmcf->ports->nelts; i++) {

        if (port[i].port != n) {
            continue;
        }

        addr = port[i].addrs.elts;

        for (j = 0; j < port[i].addrs.nelts; j++) {
            cscfp = addr[j].servers.elts;

            for (k = 0; k < addr[j].servers.nelts; k++) {
                mscf = cscfp[k]->ctx->srv_conf[ngx_http_mesh_module.ctx_index];

                if (mscf->mesh && (host.len == 0
                                   || ngx_mesh_web_conf_named(cscfp[k], &host)))
                {
                    goto shared;
                }
            }
        }
    }

    return NGX_OK;

shared:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"mesh_web_relay %V\" is the address of the "
                       "application: pages of devices need an origin of their "
                       "own, or they could act as the application",
                       &relay->web_relay);

    return NGX_ERROR;
}


static ngx_uint_t
ngx_mesh_web_conf_named(ngx_http_core_srv_conf_t *cscf, ngx_str_t *host)
{
    ngx_uint_t               i;
    ngx_http_server_name_t  *name;

    name = cscf->server_names.elts;

    for (i = 0; i < cscf->server_names.nelts; i++) {
        if (name[i].name.len == host->len
            && ngx_strncasecmp(name[i].name.data, host->data, host->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "ngx_mesh_status.h"
#include "ngx_mesh_id.h"


#define NGX_MESH_STATUS_REFUSED  128
#define NGX_MESH_STATUS_CERTS    32


static void ngx_mesh_status_workers(ngx_mesh_jw_t *w);
static void ngx_mesh_status_certs(ngx_mesh_jw_t *w,
    ngx_http_mesh_srv_conf_t *srv);
static void ngx_mesh_status_refused(ngx_mesh_jw_t *w,
    ngx_http_mesh_srv_conf_t *srv);
static void ngx_mesh_status_id(ngx_mesh_jw_t *w, const char *name,
    const u_char *raw);


void
ngx_mesh_status_json(ngx_mesh_jw_t *w, ngx_http_mesh_srv_conf_t *srv,
    ngx_uint_t full)
{
    ngx_uint_t             i;
    ngx_atomic_uint_t      reqs;
    ngx_mesh_core_conf_t  *mcf;

    mcf = ngx_mesh_core_conf();

    ngx_mesh_jw_cstr(w, "version", NGX_MESH_VERSION);
    ngx_mesh_jw_cstr(w, "nginx", NGINX_VERSION);
    ngx_mesh_jw_str(w, "node", &mcf->node);
    ngx_mesh_jw_int(w, "now", ngx_mesh_now_ms());

    ngx_mesh_status_workers(w);

    ngx_mesh_jw_open(w, "counters", '{');

    for (i = 0; i < NGX_MESH_COUNTERS; i++) {
        ngx_mesh_jw_int(w, ngx_mesh_counter_name(i),
                        (int64_t) ngx_mesh_counter_sum(i));
    }

    ngx_mesh_jw_shut(w, '}');

    ngx_mesh_jw_open(w, "gauges", '{');

    for (i = 0; i < NGX_MESH_GAUGES; i++) {
        ngx_mesh_jw_int(w, ngx_mesh_gauge_name(i),
                        (int64_t) ngx_mesh_gauge_sum(i));
    }

    ngx_mesh_jw_shut(w, '}');

    ngx_mesh_jw_open(w, "help", '{');

    for (i = 0; i < NGX_MESH_COUNTERS; i++) {
        ngx_mesh_jw_cstr(w, ngx_mesh_counter_name(i),
                         ngx_mesh_counter_help(i));
    }

    for (i = 0; i < NGX_MESH_GAUGES; i++) {
        ngx_mesh_jw_cstr(w, ngx_mesh_gauge_name(i), ngx_mesh_gauge_help(i));
    }

    ngx_mesh_jw_shut(w, '}');

    ngx_mesh_jw_open(w, "zone", '{');
    ngx_mesh_jw_int(w, "size", (int64_t) mcf->zone_size);
    ngx_mesh_jw_int(w, "freepages", ngx_mesh_zone_free_pages());
    ngx_mesh_jw_shut(w, '}');

    reqs = ngx_mesh_counter_sum(NGX_MESH_C_DB_REQS);

    ngx_mesh_jw_open(w, "db", '{');
    ngx_mesh_jw_cstr(w, "type", mcf->db_type == NGX_MESH_DB_POSTGRES
                                ? "postgres" : "sqlite");
    ngx_mesh_jw_bool(w, "up", ngx_mesh_db_up());
    ngx_mesh_jw_int(w, "queue",
                    (int64_t) ngx_mesh_gauge_sum(NGX_MESH_G_DB_QUEUE));
    ngx_mesh_jw_int(w, "held",
                    (int64_t) ngx_mesh_gauge_sum(NGX_MESH_G_DB_HELD));
    ngx_mesh_jw_int(w, "latency_us", reqs
        ? (int64_t) (ngx_mesh_counter_sum(NGX_MESH_C_DB_LATENCY_US) / reqs)
        : 0);
    ngx_mesh_jw_shut(w, '}');

    reqs = ngx_mesh_counter_sum(NGX_MESH_C_SIGN_REQS);

    ngx_mesh_jw_open(w, "signer", '{');
    ngx_mesh_jw_bool(w, "up", ngx_mesh_signer_up());
    ngx_mesh_jw_int(w, "queue",
                    (int64_t) ngx_mesh_gauge_sum(NGX_MESH_G_SIGN_QUEUE));
    ngx_mesh_jw_int(w, "latency_us", reqs
        ? (int64_t) (ngx_mesh_counter_sum(NGX_MESH_C_SIGN_LATENCY_US) / reqs)
        : 0);
    ngx_mesh_jw_shut(w, '}');

    if (full) {
        ngx_mesh_status_certs(w, srv);
        ngx_mesh_status_refused(w, srv);
    }
}


static void
ngx_mesh_status_workers(ngx_mesh_jw_t *w)
{
    time_t           started;
    ngx_uint_t       i, n;
    ngx_mesh_slot_t  slot;

    started = 0;

    ngx_mesh_jw_open(w, "workers", '[');

    for (i = 0; i < NGX_MESH_SLOTS; i++) {
        if (ngx_mesh_slot_get(i, &slot) != NGX_OK) {
            continue;
        }

        if (started == 0 || slot.started < started) {
            started = slot.started;
        }

        ngx_mesh_jw_open(w, NULL, '{');
        ngx_mesh_jw_int(w, "pid", slot.pid);
        ngx_mesh_jw_int(w, "generation", slot.generation);
        ngx_mesh_jw_bool(w, "draining", slot.flags & NGX_MESH_SLOT_DRAINING);
        ngx_mesh_jw_int(w, "started", (int64_t) slot.started * 1000);
        ngx_mesh_jw_open(w, "gauges", '{');

        for (n = 0; n < NGX_MESH_GAUGES; n++) {
            ngx_mesh_jw_int(w, ngx_mesh_gauge_name(n),
                            (int64_t) slot.gauge[n]);
        }

        ngx_mesh_jw_shut(w, '}');
        ngx_mesh_jw_shut(w, '}');
    }

    ngx_mesh_jw_shut(w, ']');

    ngx_mesh_jw_int(w, "started", (int64_t) started * 1000);
}


static void
ngx_mesh_status_certs(ngx_mesh_jw_t *w, ngx_http_mesh_srv_conf_t *srv)
{
    u_char             hex[2 * NGX_MESH_ID_LEN];
    ngx_str_t          hash;
    ngx_uint_t         i, n;
    ngx_mesh_outer_t  *list;

    ngx_mesh_jw_open(w, "certificates", '[');

    list = ngx_palloc(w->pool, NGX_MESH_STATUS_CERTS
                               * sizeof(ngx_mesh_outer_t));
    n = list ? ngx_mesh_cert_list(srv, list, NGX_MESH_STATUS_CERTS) : 0;

    for (i = 0; i < n; i++) {
        hash.data = hex;
        hash.len = ngx_hex_dump(hex, list[i].full, NGX_MESH_ID_LEN) - hex;

        ngx_mesh_jw_open(w, NULL, '{');
        ngx_mesh_jw_str(w, "subject", &list[i].subject);
        ngx_mesh_jw_str(w, "hash", &hash);
        ngx_mesh_jw_int(w, "expires", (int64_t) list[i].expires * 1000);
        ngx_mesh_jw_bool(w, "rsa", list[i].rsa);
        ngx_mesh_jw_bool(w, "old", list[i].old);
        ngx_mesh_jw_shut(w, '}');
    }

    ngx_mesh_jw_shut(w, ']');
}


static void
ngx_mesh_status_refused(ngx_mesh_jw_t *w, ngx_http_mesh_srv_conf_t *srv)
{
    int64_t              domain_id;
    u_char               hex[2 * NGX_MESH_ID_LEN];
    ngx_str_t            hash;
    ngx_uint_t           i, n;
    ngx_mesh_refused_t  *list;

    static u_char  zeros[NGX_MESH_ID_LEN];

    domain_id = ngx_mesh_domain_id(&srv->domain);

    ngx_mesh_jw_open(w, "refused", '[');

    list = ngx_palloc(w->pool, NGX_MESH_STATUS_REFUSED
                               * sizeof(ngx_mesh_refused_t));
    n = list ? ngx_mesh_refused_list(list, NGX_MESH_STATUS_REFUSED) : 0;

    for (i = 0; i < n; i++) {
        if (list[i].domain_id != domain_id) {
            continue;
        }

        ngx_mesh_jw_open(w, NULL, '{');
        ngx_mesh_jw_cstr(w, "address", (char *) list[i].address);
        ngx_mesh_status_id(w, "nodeid", list[i].id);
        ngx_mesh_jw_cstr(w, "name", (char *) list[i].name);
        ngx_mesh_status_id(w, "group", list[i].group);
        ngx_mesh_jw_cstr(w, "reason", ngx_mesh_refused_text(list[i].reason));
        ngx_mesh_jw_int(w, "code", list[i].reason);
        ngx_mesh_jw_int(w, "first", (int64_t) list[i].first * 1000);
        ngx_mesh_jw_int(w, "last", (int64_t) list[i].last * 1000);
        ngx_mesh_jw_int(w, "count", list[i].count);
        ngx_mesh_jw_bool(w, "held", list[i].held);

        if (ngx_memcmp(list[i].hash, zeros, NGX_MESH_ID_LEN) != 0) {
            hash.data = hex;
            hash.len = ngx_hex_dump(hex, list[i].hash, NGX_MESH_ID_LEN) - hex;
            ngx_mesh_jw_str(w, "hash", &hash);
        }

        ngx_mesh_jw_shut(w, '}');
    }

    ngx_mesh_jw_shut(w, ']');
}


static void
ngx_mesh_status_id(ngx_mesh_jw_t *w, const char *name, const u_char *raw)
{
    u_char     text[NGX_MESH_ID_TEXT];
    ngx_str_t  id;

    static u_char  zeros[NGX_MESH_ID_LEN];

    if (ngx_memcmp(raw, zeros, NGX_MESH_ID_LEN) == 0) {
        return;
    }

    id.data = text;
    id.len = ngx_mesh_id_write(text, raw) - text;

    ngx_mesh_jw_str(w, name, &id);
}


ngx_int_t
ngx_mesh_status_prometheus(ngx_pool_t *pool, ngx_str_t *text)
{
    u_char           *p, *last;
    size_t            size;
    ngx_uint_t        i, n;
    ngx_mesh_slot_t   slot;

    size = (NGX_MESH_COUNTERS + NGX_MESH_GAUGES) * 512
           + NGX_MESH_SLOTS * 64 + 1024;

    text->data = ngx_pnalloc(pool, size);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    p = text->data;
    last = p + size;

    p = ngx_slprintf(p, last,
            "# HELP mesh_info the version that answers\n"
            "# TYPE mesh_info gauge\n"
            "mesh_info{version=\"%s\",nginx=\"%s\"} 1\n",
            NGX_MESH_VERSION, NGINX_VERSION);

    for (i = 0; i < NGX_MESH_COUNTERS; i++) {
        p = ngx_slprintf(p, last, "# HELP mesh_%s_total %s\n"
                         "# TYPE mesh_%s_total counter\n"
                         "mesh_%s_total %uA\n",
                         ngx_mesh_counter_name(i), ngx_mesh_counter_help(i),
                         ngx_mesh_counter_name(i), ngx_mesh_counter_name(i),
                         ngx_mesh_counter_sum(i));
    }

    for (i = 0; i < NGX_MESH_GAUGES; i++) {
        p = ngx_slprintf(p, last, "# HELP mesh_%s %s\n"
                         "# TYPE mesh_%s gauge\n"
                         "mesh_%s %uA\n",
                         ngx_mesh_gauge_name(i), ngx_mesh_gauge_help(i),
                         ngx_mesh_gauge_name(i), ngx_mesh_gauge_name(i),
                         ngx_mesh_gauge_sum(i));
    }

    p = ngx_slprintf(p, last,
            "# HELP mesh_zone_free_pages free pages of the shared zone\n"
            "# TYPE mesh_zone_free_pages gauge\n"
            "mesh_zone_free_pages %ui\n"
            "# HELP mesh_database_up this worker has its database\n"
            "# TYPE mesh_database_up gauge\n"
            "mesh_database_up %ui\n"
            "# HELP mesh_signer_up this worker has mesh-signer\n"
            "# TYPE mesh_signer_up gauge\n"
            "mesh_signer_up %ui\n"
            "# HELP mesh_workers workers by generation\n"
            "# TYPE mesh_workers gauge\n",
            ngx_mesh_zone_free_pages(), (ngx_uint_t) (ngx_mesh_db_up() != 0),
            (ngx_uint_t) (ngx_mesh_signer_up() != 0));

    for (i = 0, n = 0; i < NGX_MESH_SLOTS; i++) {
        if (ngx_mesh_slot_get(i, &slot) != NGX_OK) {
            continue;
        }

        p = ngx_slprintf(p, last, "mesh_workers{pid=\"%P\",generation=\"%uD\""
                         ",draining=\"%ui\"} 1\n", slot.pid, slot.generation,
                         (ngx_uint_t) ((slot.flags & NGX_MESH_SLOT_DRAINING)
                                       != 0));
        if (++n == NGX_MESH_SLOTS) {
            break;
        }
    }

    text->len = p - text->data;

    return NGX_OK;
}


ngx_uint_t
ngx_mesh_status_health(ngx_str_t *text)
{
    ngx_uint_t             down;
    ngx_mesh_core_conf_t  *mcf;

    static ngx_str_t  texts[] = {
        ngx_string("ok"),
        ngx_string("database: away\n"),
        ngx_string("mesh-signer: away\n"),
        ngx_string("database: away\nmesh-signer: away\n")
    };

    mcf = ngx_mesh_core_conf();
    down = 0;

    if (!ngx_mesh_db_up() || !ngx_mesh_model_ready()) {
        down |= 1;
    }

    if (mcf->signer.len && !ngx_mesh_signer_up()) {
        down |= 2;
    }

    *text = texts[down];

    return down == 0;
}

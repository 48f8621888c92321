/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* meshsettings, meshagents, MeshServerRootCert.cer */

#include "ngx_mesh_web.h"


#define NGX_MESH_WEB_AGENTS  128      /* files offered at most */


typedef struct {
    ngx_uint_t   id;
    const char  *name;
} ngx_mesh_web_arch_t;

typedef struct {
    ngx_uint_t        id;
    ngx_uint_t        own;            /* 1: of mesh_own_agents */
    const ngx_str_t  *folder;
    ngx_str_t         file;
    off_t             size;
} ngx_mesh_web_binary_t;


static ngx_int_t ngx_mesh_web_group(ngx_http_request_t *r, const char *arg,
    ngx_mesh_group_t **group);
static ngx_int_t ngx_mesh_web_msh(ngx_http_request_t *r,
    ngx_mesh_group_t *group, ngx_str_t *text);
static u_char *ngx_mesh_web_line(u_char *p, const ngx_str_t *s);
static ngx_int_t ngx_mesh_web_product(ngx_http_request_t *r,
    ngx_uint_t *own, ngx_uint_t *stock);
static ngx_int_t ngx_mesh_web_binaries(ngx_http_request_t *r,
    const ngx_str_t *where, ngx_uint_t own, ngx_array_t *list);
static int ngx_libc_cdecl ngx_mesh_web_binary_cmp(const void *one,
    const void *two);
static ngx_int_t ngx_mesh_web_list(ngx_http_request_t *r, ngx_array_t *list);
static ngx_int_t ngx_mesh_web_file(ngx_http_request_t *r,
    ngx_mesh_web_binary_t *bin);
static ngx_int_t ngx_mesh_web_text(ngx_http_request_t *r, const char *text,
    ngx_uint_t status);


/* agent.md 2.8 */
static const ngx_mesh_web_arch_t  ngx_mesh_web_archs[] = {
    { 1, "Windows x86 console" },
    { 2, "Windows x86-64 console" },
    { 3, "Windows x86" },
    { 4, "Windows x86-64" },
    { 5, "Linux x86" },
    { 6, "Linux x86-64" },
    { 7, "Linux MIPS" },
    { 8, "XEN x86-64" },
    { 9, "Linux ARM5" },
    { 10, "Linux ARM PlugPC" },
    { 11, "macOS x86" },
    { 12, "Android x86" },
    { 13, "Linux ARM PogoPlug" },
    { 14, "Android (APK)" },
    { 15, "Poky x86" },
    { 16, "macOS x86-64" },
    { 17, "ChromeOS" },
    { 18, "Poky x86-64" },
    { 19, "Linux x86 without desktop" },
    { 20, "Linux x86-64 without desktop" },
    { 24, "Linux ARM Linaro" },
    { 25, "Linux ARM hard-float" },
    { 26, "Linux ARM64 (glibc 2.24)" },
    { 27, "Linux ARM hard-float, old Raspbian" },
    { 28, "OpenWRT MIPS24KC" },
    { 29, "macOS ARM64" },
    { 30, "FreeBSD x86-64" },
    { 32, "Linux ARM64" },
    { 33, "OpenWRT x86-64, old" },
    { 34, "Assistant (Windows)" },
    { 35, "Linux Armada370" },
    { 36, "Linux x86-64 without libraries (OpenWRT)" },
    { 37, "OpenBSD x86-64" },
    { 40, "OpenWRT MIPSEL24KC" },
    { 41, "OpenWRT Armada Cortex-A53" },
    { 42, "Windows ARM64 console" },
    { 43, "Windows ARM64" },
    { 45, "Linux RISC-V 64" },
    { 10003, "Windows x86, unsigned" },
    { 10004, "Windows x86-64, unsigned" },
    { 10005, "macOS universal" },
    { 10006, "Assistant download" },
    { 0, NULL }
};


ngx_int_t
ngx_http_mesh_web_settings_handler(ngx_http_request_t *r)
{
    ngx_int_t          rc;
    ngx_str_t          text;
    ngx_mesh_group_t  *group;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        return NGX_HTTP_BAD_REQUEST;
    }

    if (!ngx_mesh_model_ready()) {
        return ngx_mesh_web_text(r, "The database is away.\n",
                                 NGX_HTTP_SERVICE_UNAVAILABLE);
    }

    rc = ngx_mesh_web_group(r, "id", &group);

    if (rc != NGX_OK) {
        return ngx_mesh_web_text(r, "There is no such device group.\n",
                                 NGX_HTTP_UNAUTHORIZED);
    }

    rc = ngx_mesh_web_msh(r, group, &text);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_mesh_web_header(r, "Content-Disposition",
                            "attachment; filename=\"meshagent.msh\"")
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_mesh_web_send(r, NGX_HTTP_OK, "application/octet-stream",
                             &text);
}


/* NGX_DECLINED: none, unknown, deleted, of another kind, of another domain */
static ngx_int_t
ngx_mesh_web_group(ngx_http_request_t *r, const char *arg,
    ngx_mesh_group_t **group)
{
    int64_t                    domain_id;
    u_char                     raw[NGX_MESH_ID_LEN];
    ngx_str_t                  id;
    ngx_http_mesh_srv_conf_t  *srv;

    srv = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);
    domain_id = ngx_mesh_domain_id(&srv->domain);

    if (ngx_mesh_arg(r, arg, &id) != NGX_OK
        || ngx_mesh_mesh_parse(domain_id, &id, raw) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    *group = ngx_mesh_group_raw(domain_id, raw);

    if (*group == NULL || (*group)->deleted_at || (*group)->kind != 2) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* agent.md 1.1: CRLF, an empty line first, each value on its line only */
static ngx_int_t
ngx_mesh_web_msh(ngx_http_request_t *r, ngx_mesh_group_t *group,
    ngx_str_t *text)
{
    size_t      i;
    u_char     *p, keyhash[NGX_MESH_ID_LEN];
    ngx_int_t   rc;
    ngx_str_t   der, base, flags, tag, server;
    ngx_uint_t  lan;

    ngx_http_mesh_srv_conf_t  *srv;

    srv = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);

    if (ngx_mesh_signer_identity(0, &der, keyhash) != NGX_OK) {
        return ngx_mesh_web_text(r, "The key daemon is away.\n",
                                 NGX_HTTP_SERVICE_UNAVAILABLE);
    }

    rc = ngx_mesh_web_base(r, "wss", &base);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_HTTP_BAD_REQUEST
                                  : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_mesh_arg(r, "installflags", &flags);

    if (rc == NGX_DECLINED) {
        ngx_str_set(&flags, "0");
    }

    if (rc == NGX_ERROR || flags.len != 1
        || flags.data[0] < '0' || flags.data[0] > '2')
    {
        return NGX_HTTP_BAD_REQUEST;
    }

    rc = ngx_mesh_arg(r, "tag", &tag);

    if (rc == NGX_DECLINED) {
        tag.len = 0;
    }

    if (rc == NGX_ERROR || tag.len > 64) {
        return NGX_HTTP_BAD_REQUEST;
    }

    for (i = 0; i < tag.len; i++) {
        if (!(tag.data[i] >= '0' && tag.data[i] <= '9')
            && !((tag.data[i] | 0x20) >= 'a' && (tag.data[i] | 0x20) <= 'z'))
        {
            return NGX_HTTP_BAD_REQUEST;
        }
    }

    /* ours: a policy for the local network, server=local */
    rc = ngx_mesh_arg(r, "server", &server);
    lan = rc == NGX_OK;

    if (rc == NGX_ERROR
        || (lan && (!srv->lan || server.len != 5
                    || ngx_strncmp(server.data, "local", 5) != 0)))
    {
        return NGX_HTTP_BAD_REQUEST;
    }

    text->data = ngx_pnalloc(r->pool, group->name.len + base.len + tag.len
                                      + 4 * NGX_MESH_ID_LEN + 256);
    if (text->data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_sprintf(text->data, CRLF "MeshName=");
    p = ngx_mesh_web_line(p, &group->name);
    p = ngx_sprintf(p, CRLF "MeshType=%uD" CRLF "MeshID=0x", group->kind);
    p = ngx_mesh_hex_upper(p, group->raw, NGX_MESH_ID_LEN);
    p = ngx_sprintf(p, CRLF "ServerID=");
    p = ngx_mesh_hex_upper(p, keyhash, NGX_MESH_ID_LEN);

    if (lan) {
        p = ngx_sprintf(p, CRLF "MeshServer=local" CRLF);
    } else {
        p = ngx_sprintf(p, CRLF "MeshServer=%Vagent.ashx" CRLF, &base);
    }

    if (tag.len) {
        p = ngx_sprintf(p, "Tag=%V" CRLF, &tag);
    }

    if (flags.data[0] != '0') {
        p = ngx_sprintf(p, "InstallFlags=%V" CRLF, &flags);
    }

    /* our own agent takes a program of nobody else */
    if (srv->own_agents_update) {
        p = ngx_sprintf(p, "selfUpdate=1" CRLF);
    }

    text->len = p - text->data;

    return NGX_OK;
}


/* a name cannot begin another line, nor turn its own into hex */
static u_char *
ngx_mesh_web_line(u_char *p, const ngx_str_t *s)
{
    size_t   i;
    u_char  *start;

    start = p;

    for (i = 0; i < s->len; i++) {
        if (s->data[i] < ' ' || s->data[i] == 0x7f) {
            continue;
        }

        *p++ = s->data[i];
    }

    if (p - start > 2 && start[0] == '0' && start[1] == 'x') {
        start[1] = 'X';
    }

    return p;
}


ngx_int_t
ngx_http_mesh_web_agents_handler(ngx_http_request_t *r)
{
    ngx_int_t                  id;
    ngx_str_t                  value;
    ngx_uint_t                 i, j, n, own, stock;
    ngx_array_t                list;
    ngx_mesh_group_t          *group;
    ngx_mesh_web_binary_t     *bin;
    ngx_http_mesh_srv_conf_t  *srv;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        return NGX_HTTP_BAD_REQUEST;
    }

    if (ngx_mesh_web_product(r, &own, &stock) != NGX_OK) {
        return ngx_mesh_web_text(r, "A product is \"own\" or \"stock\".\n",
                                 NGX_HTTP_BAD_REQUEST);
    }

    srv = ngx_http_get_module_srv_conf(r, ngx_http_mesh_module);

    if (ngx_array_init(&list, r->pool, 16, sizeof(ngx_mesh_web_binary_t))
        != NGX_OK
        || (own && ngx_mesh_web_binaries(r, &srv->own_agents, 1, &list)
                   != NGX_OK)
        || (stock && ngx_mesh_web_binaries(r, &srv->agents, 0, &list)
                     != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_qsort(list.elts, list.nelts, sizeof(ngx_mesh_web_binary_t),
              ngx_mesh_web_binary_cmp);

    /* one file an id and product */

    bin = list.elts;

    for (j = 0, n = 0; j < list.nelts; j++) {
        if (n == 0 || bin[n - 1].id != bin[j].id
            || bin[n - 1].own != bin[j].own)
        {
            bin[n++] = bin[j];
        }
    }

    list.nelts = n;

    if (ngx_mesh_arg(r, "list", &value) == NGX_OK) {
        return ngx_mesh_web_list(r, &list);
    }

    if (ngx_mesh_arg(r, "meshid", &value) != NGX_DECLINED) {

        if (!ngx_mesh_model_ready()) {
            return ngx_mesh_web_text(r, "The database is away.\n",
                                     NGX_HTTP_SERVICE_UNAVAILABLE);
        }

        if (ngx_mesh_web_group(r, "meshid", &group) != NGX_OK) {
            return ngx_mesh_web_text(r, "There is no such device group.\n",
                                     NGX_HTTP_UNAUTHORIZED);
        }
    }

    if (ngx_mesh_arg(r, "id", &value) == NGX_OK && value.len <= 5) {
        id = ngx_atoi(value.data, value.len);

        for (i = 0; i < list.nelts; i++) {
            if (bin[i].id == (ngx_uint_t) id) {
                return ngx_mesh_web_file(r, &bin[i]);
            }
        }
    }

    return ngx_mesh_web_text(r, "There is no agent of this kind.\n",
                             NGX_HTTP_NOT_FOUND);
}


/* "own" or "stock", or both: our own is the one where there are two */
static ngx_int_t
ngx_mesh_web_product(ngx_http_request_t *r, ngx_uint_t *own, ngx_uint_t *stock)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    *own = 1;
    *stock = 1;

    rc = ngx_mesh_arg(r, "product", &value);

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (value.len == 3 && ngx_memcmp(value.data, "own", 3) == 0) {
        *stock = 0;
        return NGX_OK;
    }

    if (value.len == 5 && ngx_memcmp(value.data, "stock", 5) == 0) {
        *own = 0;
        return NGX_OK;
    }

    return NGX_ERROR;
}


/*
 * Files of the folder whose name is "<id>" or "<id>-anything"; of several
 * with one id the first by name counts.  No path is made from what a peer
 * sends.
 */
static ngx_int_t
ngx_mesh_web_binaries(ngx_http_request_t *r, const ngx_str_t *where,
    ngx_uint_t own, ngx_array_t *list)
{
    size_t                      i, len;
    u_char                     *name, path[NGX_MAX_PATH + 1];
    ngx_dir_t                   dir;
    ngx_int_t                   id;
    ngx_str_t                   folder;
    ngx_uint_t                  n;
    ngx_file_info_t             fi;
    ngx_mesh_web_binary_t      *bin;
    const ngx_mesh_web_arch_t  *arch;

    folder = *where;

    if (folder.len == 0 || folder.len > NGX_MAX_PATH - 260) {
        return NGX_OK;
    }

    *ngx_cpymem(path, folder.data, folder.len) = '\0';
    folder.data = path;

    if (ngx_open_dir(&folder, &dir) == NGX_ERROR) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, ngx_errno,
                      "mesh agents: " ngx_open_dir_n " \"%s\" failed", path);
        return NGX_OK;
    }

    for (n = 0; n < NGX_MESH_WEB_AGENTS && ngx_read_dir(&dir) == NGX_OK; ) {
        name = ngx_de_name(&dir);
        len = ngx_de_namelen(&dir);

        for (i = 0; i < len && name[i] >= '0' && name[i] <= '9'; i++) {
            /* void */
        }

        if (i == 0 || i > 5 || len > 255 || (i < len && name[i] != '-')) {
            continue;
        }

        id = ngx_atoi(name, i);

        for (arch = ngx_mesh_web_archs; arch->name; arch++) {
            if (arch->id == (ngx_uint_t) id) {
                break;
            }
        }

        if (arch->name == NULL) {
            continue;
        }

        path[folder.len] = '/';
        *ngx_cpymem(path + folder.len + 1, name, len) = '\0';

        if (ngx_file_info(path, &fi) == NGX_FILE_ERROR
            || !ngx_is_file(&fi))
        {
            continue;
        }

        bin = ngx_array_push(list);
        if (bin == NULL) {
            break;
        }

        n++;

        bin->id = id;
        bin->own = own;
        bin->folder = where;
        bin->size = ngx_file_size(&fi);
        bin->file.len = len;
        bin->file.data = ngx_pnalloc(r->pool, len);

        if (bin->file.data == NULL) {
            (void) ngx_close_dir(&dir);
            return NGX_ERROR;
        }

        ngx_memcpy(bin->file.data, name, len);
    }

    (void) ngx_close_dir(&dir);

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_mesh_web_binary_cmp(const void *one, const void *two)
{
    const ngx_mesh_web_binary_t  *a, *b;

    a = one;
    b = two;

    if (a->id != b->id) {
        return a->id < b->id ? -1 : 1;
    }

    if (a->own != b->own) {
        return a->own ? -1 : 1;
    }

    return (int) ngx_memn2cmp(a->file.data, b->file.data, a->file.len,
                              b->file.len);
}


static ngx_int_t
ngx_mesh_web_list(ngx_http_request_t *r, ngx_array_t *list)
{
    ngx_str_t                   text;
    ngx_uint_t                  i;
    ngx_mesh_jw_t               w;
    ngx_mesh_web_binary_t      *bin;
    const ngx_mesh_web_arch_t  *arch;

    if (ngx_mesh_jw_init(&w, r->pool, 1024) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    bin = list->elts;

    ngx_mesh_jw_open(&w, NULL, '[');

    for (i = 0; i < list->nelts; i++) {
        for (arch = ngx_mesh_web_archs; arch->id != bin[i].id; arch++) {
            /* void */
        }

        ngx_mesh_jw_open(&w, NULL, '{');
        ngx_mesh_jw_int(&w, "id", bin[i].id);
        ngx_mesh_jw_cstr(&w, "name", arch->name);
        ngx_mesh_jw_cstr(&w, "product", bin[i].own ? "own" : "stock");
        ngx_mesh_jw_str(&w, "file", &bin[i].file);
        ngx_mesh_jw_int(&w, "size", bin[i].size);
        ngx_mesh_jw_shut(&w, '}');
    }

    ngx_mesh_jw_shut(&w, ']');

    if (ngx_mesh_jw_done(&w, &text) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_mesh_web_send(r, NGX_HTTP_OK, "application/json", &text);
}


static ngx_int_t
ngx_mesh_web_file(ngx_http_request_t *r, ngx_mesh_web_binary_t *bin)
{
    u_char                    *p;
    ngx_int_t                  rc;
    ngx_buf_t                 *b;
    ngx_str_t                  path;
    const char                *name;
    ngx_chain_t                out;
    ngx_open_file_info_t       of;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    path.data = ngx_pnalloc(r->pool, bin->folder->len + bin->file.len + 2);
    if (path.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_sprintf(path.data, "%V/%V", bin->folder, &bin->file);
    *p = '\0';
    path.len = p - path.data;

    ngx_memzero(&of, sizeof(ngx_open_file_info_t));

    of.read_ahead = clcf->read_ahead;
    of.directio = clcf->directio;
    of.valid = clcf->open_file_cache_valid;
    of.min_uses = clcf->open_file_cache_min_uses;
    of.errors = clcf->open_file_cache_errors;
    of.events = clcf->open_file_cache_events;

    if (ngx_open_cached_file(clcf->open_file_cache, &path, &of, r->pool)
        != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, of.err,
                      "mesh agents: %s \"%V\" failed",
                      of.failed ? of.failed : "open()", &path);
        return NGX_HTTP_NOT_FOUND;
    }

    if (!of.is_file) {
        return NGX_HTTP_NOT_FOUND;
    }

    /* clients name their file so: fixed names, whatever the group's is */

    switch (bin->id) {
    case 1:
    case 3:
    case 10003:
        name = "attachment; filename=\"meshagent32.exe\"";
        break;
    case 2:
    case 4:
    case 10004:
        name = "attachment; filename=\"meshagent64.exe\"";
        break;
    case 42:
    case 43:
        name = "attachment; filename=\"meshagentarm64.exe\"";
        break;
    case 14:
        name = "attachment; filename=\"meshagent.apk\"";
        break;
    default:
        name = bin->own ? "attachment; filename=\"mesh-agent\""
                        : "attachment; filename=\"meshagent\"";
        break;
    }

    if (ngx_mesh_web_safe(r) != NGX_OK
        || ngx_mesh_web_header(r, "Content-Disposition", name) != NGX_OK
        || ngx_mesh_web_header(r, "Cache-Control", "no-cache") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->root_tested = 1;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = of.size;
    r->headers_out.last_modified_time = of.mtime;
    ngx_str_set(&r->headers_out.content_type, "application/octet-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->allow_ranges = 1;

    if (ngx_http_set_etag(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->file = ngx_pcalloc(r->pool, sizeof(ngx_file_t));
    if (b->file == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->file_pos = 0;
    b->file_last = of.size;
    b->in_file = b->file_last ? 1 : 0;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;
    b->sync = (b->last_buf || b->in_file) ? 0 : 1;

    b->file->fd = of.fd;
    b->file->name = path;
    b->file->log = r->connection->log;
    b->file->directio = of.is_directio;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


/* the self-signed certificate at the end of the chain that TLS clients get */
ngx_int_t
ngx_http_mesh_web_root_handler(ngx_http_request_t *r)
{
#if (NGX_HTTP_SSL)
    int              i, len;
    X509            *cert;
    u_char          *p;
    ngx_str_t        der;
    STACK_OF(X509)  *chain;
#endif

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        return NGX_HTTP_BAD_REQUEST;
    }

#if (NGX_HTTP_SSL)

    chain = NULL;

    if (r->connection->ssl) {
        (void) SSL_get0_chain_certs(r->connection->ssl->connection, &chain);

        if (chain == NULL) {
            (void) SSL_CTX_get0_chain_certs(
                SSL_get_SSL_CTX(r->connection->ssl->connection), &chain);
        }
    }

    for (i = chain ? sk_X509_num(chain) - 1 : -1; i >= 0; i--) {
        cert = sk_X509_value(chain, i);

        if (X509_NAME_cmp(X509_get_subject_name(cert),
                          X509_get_issuer_name(cert))
            != 0)
        {
            continue;
        }

        len = i2d_X509(cert, NULL);

        if (len <= 0) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        der.data = ngx_pnalloc(r->pool, len);
        if (der.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        p = der.data;
        der.len = i2d_X509(cert, &p);

        if (ngx_mesh_web_header(r, "Content-Disposition",
                "attachment; filename=\"MeshServerRootCert.cer\"")
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_mesh_web_send(r, NGX_HTTP_OK, "application/octet-stream",
                                 &der);
    }

#endif

    return ngx_mesh_web_text(r, "There is no root certificate to give.\n",
                             NGX_HTTP_NOT_FOUND);
}


static ngx_int_t
ngx_mesh_web_text(ngx_http_request_t *r, const char *text, ngx_uint_t status)
{
    ngx_str_t  s;

    s.data = (u_char *) text;
    s.len = ngx_strlen(text);

    return ngx_mesh_web_send(r, status, "text/plain", &s);
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The same bytes as the header of an answer, as a URL and as a proxy.  What was
 * taken lies within them, and says again what it said.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_http.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static const char *const  names[] = {
    "retry-after", "sec-websocket-accept", "a", ""
};


static void
inside(const char *p, size_t len, const char *text, size_t size)
{
    if (p < text || p > text + size || len > (size_t) (text + size - p)) {
        abort();
    }
}


static void
answer(const char *text, size_t size)
{
    int                 rc;
    long                n;
    size_t              i, len;
    const char         *value;
    mesh_http_answer_t  a, again;

    rc = mesh_http_answer_parse(&a, text, size);

    if (rc != MESH_OK) {
        return;
    }

    if (a.size > size || a.line + 4 > a.size || a.status < 100
        || a.status > 999 || memcmp(text + a.size - 4, "\r\n\r\n", 4) != 0
        || mesh_http_answer_parse(&again, text, a.size - 1) != MESH_AGAIN
        || mesh_http_answer_parse(&again, text, a.size) != MESH_OK
        || again.size != a.size || again.status != a.status)
    {
        abort();
    }

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        value = mesh_http_line(&a, names[i], &len);

        if (value == NULL) {
            continue;
        }

        inside(value, len, text + a.line, a.size - a.line - 4);
        n = mesh_http_number(value, len, 65536);

        if (n < -1 || n > 65536) {
            abort();
        }
    }
}


static void
url(const char *text, size_t size)
{
    int               n;
    char             *own;
    mesh_http_url_t   u, again;

    if (mesh_http_url_parse(&u, text, size) != MESH_OK) {
        return;
    }

    inside(u.host, u.host_len, text, size);
    inside(u.path, u.path_len, text, size);

    if (u.host_len == 0 || u.host_len > MESH_HTTP_HOST_MAX || u.port == 0
        || (u.path_len && u.path[0] != '/' && u.path[0] != '?'))
    {
        abort();
    }

    own = malloc(size + 32);

    if (own == NULL) {
        abort();
    }

    n = sprintf(own, "%s://[%.*s]:%u%.*s", u.tls ? "wss" : "ws",
                (int) u.host_len, u.host, u.port, (int) u.path_len, u.path);

    /* a bracket within the host would end it */
    if (memchr(u.host, ']', u.host_len) == NULL
        && (mesh_http_url_parse(&again, own, (size_t) n) != MESH_OK
            || again.tls != u.tls || again.port != u.port
            || again.explicit_port != u.explicit_port
            || again.host_len != u.host_len
            || memcmp(again.host, u.host, u.host_len) != 0
            || again.path_len != u.path_len
            || memcmp(again.path, u.path, u.path_len) != 0))
    {
        abort();
    }

    free(own);
}


static void
proxy(const char *text, size_t size)
{
    mesh_http_proxy_t  p;

    if (mesh_http_proxy_parse(&p, text, size) != MESH_OK) {
        return;
    }

    inside(p.host, p.host_len, text, size);

    if (p.auth) {
        inside(p.auth, p.auth_len, text, size);
    }

    if (p.host_len == 0 || p.host_len > MESH_HTTP_HOST_MAX || p.port == 0
        || memchr(p.host, '@', p.host_len) != NULL)
    {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    answer((const char *) data, size);
    url((const char *) data, size);
    proxy((const char *) data, size);

    return 0;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "mesh_http.h"


#define MESH_HTTP_VERSION  "HTTP/1."
#define MESH_HTTP_LINE     (sizeof(MESH_HTTP_VERSION) - 1 + 5)  /* "1 200" */


typedef struct {
    const char  *name;
    uint16_t     port;
    unsigned     tls;
} mesh_http_scheme_t;


static int mesh_http_host(const char **host, size_t *host_len,
    const char **port, size_t *port_len, const char *text, size_t len);
static int mesh_http_lower(int ch);
static int mesh_http_digit(int ch);


static const mesh_http_scheme_t  mesh_http_schemes[] = {
    { "wss://",   443, 1 },
    { "ws://",    80,  0 },
    { "https://", 443, 1 },
    { "http://",  80,  0 },
    { NULL, 0, 0 }
};


int
mesh_http_answer_parse(mesh_http_answer_t *answer, const char *buf, size_t len)
{
    size_t       i, line, size;
    const char  *p;

    line = 0;
    size = 0;

    for (i = 0; i < len && size == 0; i++) {

        if (buf[i] == '\n' && i >= 1 && buf[i - 1] == '\r') {
            line = line ? line : i - 1;

            if (i >= 3 && buf[i - 2] == '\n' && buf[i - 3] == '\r') {
                size = i + 1;
            }

        } else if (buf[i] == '\r' && (i + 1 == len || buf[i + 1] == '\n')) {
            continue;

        } else if (((unsigned char) buf[i] < ' ' && buf[i] != '\t')
                   || buf[i] == 0x7f)
        {
            return MESH_ERROR;      /* it may come into a log */
        }
    }

    if (size == 0) {
        return MESH_AGAIN;
    }

    if (line < MESH_HTTP_LINE
        || memcmp(buf, MESH_HTTP_VERSION, sizeof(MESH_HTTP_VERSION) - 1) != 0)
    {
        return MESH_ERROR;
    }

    p = buf + sizeof(MESH_HTTP_VERSION) - 1;

    if (!mesh_http_digit(p[0]) || p[1] != ' ' || p[2] == '0'
        || !mesh_http_digit(p[2]) || !mesh_http_digit(p[3])
        || !mesh_http_digit(p[4])
        || (line > MESH_HTTP_LINE && p[5] != ' '))
    {
        return MESH_ERROR;
    }

    answer->head = buf;
    answer->size = size;
    answer->line = line;
    answer->status = (unsigned) mesh_http_number(p + 2, 3, 999);

    return MESH_OK;
}


const char *
mesh_http_line(const mesh_http_answer_t *answer, const char *name, size_t *len)
{
    size_t       n;
    const char  *p, *eol, *last;

    last = answer->head + answer->size - 2;     /* the empty line */

    for (p = answer->head + answer->line + 2; p < last; p = eol + 2) {

        /* a CR alone, or an LF, is no end */
        for (eol = p; eol[0] != '\r' || eol[1] != '\n'; eol++) { /* void */ }

        for (n = 0; name[n] && p + n < eol; n++) {
            if (mesh_http_lower(p[n]) != name[n]) {
                break;
            }
        }

        if (name[n] != '\0' || p + n == eol || p[n] != ':') {
            continue;
        }

        p += n + 1;

        while (p < eol && (*p == ' ' || *p == '\t')) {
            p++;
        }

        n = (size_t) (eol - p);

        while (n && (p[n - 1] == ' ' || p[n - 1] == '\t')) {
            n--;
        }

        *len = n;

        return p;
    }

    return NULL;
}


static int
mesh_http_lower(int ch)
{
    return ch >= 'A' && ch <= 'Z' ? ch + 'a' - 'A' : ch;
}


static int
mesh_http_digit(int ch)
{
    return ch >= '0' && ch <= '9';
}


long
mesh_http_number(const char *text, size_t len, long max)
{
    int     digit;
    long    n;
    size_t  i;

    if (len == 0) {
        return -1;
    }

    for (n = 0, i = 0; i < len; i++) {

        if (!mesh_http_digit(text[i])) {
            return -1;
        }

        digit = text[i] - '0';
        n = n > max / 10 || n * 10 > max - digit ? max : n * 10 + digit;
    }

    return n;
}


int
mesh_http_url_parse(mesh_http_url_t *url, const char *text, size_t len)
{
    long                       port;
    size_t                     i, n, port_len;
    const char                *text_port;
    const mesh_http_scheme_t  *s;

    memset(url, 0, sizeof(mesh_http_url_t));

    for (i = 0; i < len; i++) {
        if ((unsigned char) text[i] <= ' ' || text[i] == 0x7f) {
            return MESH_ERROR;
        }
    }

    for (s = mesh_http_schemes; s->name; s++) {
        n = strlen(s->name);

        if (len >= n && memcmp(text, s->name, n) == 0) {
            text += n;
            len -= n;
            break;
        }
    }

    if (s->name == NULL) {
        return MESH_ERROR;
    }

    url->tls = s->tls != 0;
    url->port = s->port;

    for (n = 0; n < len && text[n] != '/' && text[n] != '?' && text[n] != '#';
         n++)
    {
        /* void */
    }

    if (mesh_http_host(&url->host, &url->host_len, &text_port, &port_len,
                       text, n)
            != MESH_OK
        || memchr(url->host, '@', url->host_len) != NULL)
    {
        return MESH_ERROR;
    }

    if (text_port) {
        port = mesh_http_number(text_port, port_len, 65536);

        if (port <= 0 || port > 65535) {
            return MESH_ERROR;
        }

        url->explicit_port = port != url->port;
        url->port = (uint16_t) port;
    }

    for (i = n; i < len && text[i] != '#'; i++) { /* void */ }

    url->path = text + n;
    url->path_len = i - n;

    return MESH_OK;
}


/* host, [host], host:port or [host]:port; port: NULL, or what is behind it */
static int
mesh_http_host(const char **host, size_t *host_len, const char **port,
    size_t *port_len, const char *text, size_t len)
{
    size_t       n;
    const char  *end;

    *port = NULL;

    if (len && text[0] == '[') {
        end = memchr(text, ']', len);

        if (end == NULL) {
            return MESH_ERROR;
        }

        *host = text + 1;
        *host_len = (size_t) (end - text) - 1;
        n = *host_len + 2;

        if (n < len && text[n] != ':') {
            return MESH_ERROR;
        }

    } else {
        end = len ? memchr(text, ':', len) : NULL;
        *host = text;
        *host_len = end ? (size_t) (end - text) : len;
        n = *host_len;
    }

    if (n < len) {
        *port = text + n + 1;
        *port_len = len - n - 1;
    }

    return *host_len && *host_len <= MESH_HTTP_HOST_MAX ? MESH_OK : MESH_ERROR;
}


int
mesh_http_proxy_parse(mesh_http_proxy_t *proxy, const char *text, size_t len)
{
    long         port;
    size_t       i, n, port_len;
    const char  *text_port;

    memset(proxy, 0, sizeof(mesh_http_proxy_t));
    n = sizeof("http://") - 1;

    if (len >= n && memcmp(text, "http://", n) == 0) {
        text += n;
        len -= n;
    }

    /* a password may hold one */

    for (i = len; i > 0; i--) {
        if (text[i - 1] == '@') {
            proxy->auth = text;
            proxy->auth_len = i - 1;
            text += i;
            len -= i;
            break;
        }
    }

    for (n = 0; n < len && text[n] != '/'; n++) {

        if ((unsigned char) text[n] <= ' ' || text[n] == 0x7f) {
            return MESH_ERROR;
        }
    }

    if (mesh_http_host(&proxy->host, &proxy->host_len, &text_port, &port_len,
                       text, n)
            != MESH_OK
        || text_port == NULL)
    {
        return MESH_ERROR;
    }

    port = mesh_http_number(text_port, port_len, 65536);

    if (port <= 0 || port > 65535) {
        return MESH_ERROR;
    }

    proxy->port = (uint16_t) port;

    return MESH_OK;
}

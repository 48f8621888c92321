/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "mesh_web.h"


static int mesh_web_equal(const uint8_t *p, size_t len, const char *text);
static void mesh_web_trim(const uint8_t **p, const uint8_t **last);
static int mesh_web_host(const uint8_t *p, size_t len, int https,
    const char *host, uint16_t port);


/* without regard to case; text is in lower case */
static int
mesh_web_equal(const uint8_t *p, size_t len, const char *text)
{
    size_t  i;
    int     ch;

    if (len != strlen(text)) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        ch = p[i];

        if (ch >= 'A' && ch <= 'Z') {
            ch |= 0x20;
        }

        if (ch != (uint8_t) text[i]) {
            return 0;
        }
    }

    return 1;
}


static void
mesh_web_trim(const uint8_t **p, const uint8_t **last)
{
    while (*p < *last && (**p == ' ' || **p == '\t')) {
        (*p)++;
    }

    while (*p < *last && ((*last)[-1] == ' ' || (*last)[-1] == '\t')) {
        (*last)--;
    }
}


int
mesh_web_cookie_parse(mesh_web_cookie_t *c, const uint8_t *p, size_t len)
{
    size_t          i;
    const uint8_t  *last, *end, *eq, *name_end, *value, *value_end;

    memset(c, 0, sizeof(mesh_web_cookie_t));

    for (i = 0; i < len; i++) {
        if ((p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f) {
            return MESH_ERROR;
        }
    }

    last = p + len;

    if (mesh_web_cookie_next(c, &p, last) != MESH_OK
        || c->name_len + c->value_len > MESH_WEB_COOKIE)
    {
        return MESH_ERROR;
    }

    /* Max-Age counts for more than Expires, and the last of each */

    for (i = 0; p < last; p = end + 1) {
        end = memchr(p, ';', (size_t) (last - p));
        end = end ? end : last;
        eq = memchr(p, '=', (size_t) (end - p));

        if (eq == NULL) {
            continue;
        }

        name_end = eq;
        value = eq + 1;
        value_end = end;
        mesh_web_trim(&p, &name_end);
        mesh_web_trim(&value, &value_end);

        if (mesh_web_equal(p, (size_t) (name_end - p), "max-age")
            && value < value_end)
        {
            i = 1;
            c->gone = *value == '-' || *value == '0';

        } else if (mesh_web_equal(p, (size_t) (name_end - p), "expires")) {
            c->expires = value;
            c->expires_len = (size_t) (value_end - value);
        }
    }

    if (i) {
        c->expires = NULL;
        c->expires_len = 0;
    }

    return MESH_OK;
}


int
mesh_web_cookie_next(mesh_web_cookie_t *c, const uint8_t **pos,
    const uint8_t *last)
{
    const uint8_t  *p, *end, *eq, *name_end, *value, *value_end;

    while (*pos < last) {
        p = *pos;
        end = memchr(p, ';', (size_t) (last - p));
        end = end ? end : last;
        eq = memchr(p, '=', (size_t) (end - p));
        *pos = end < last ? end + 1 : last;

        if (eq == NULL) {
            continue;
        }

        name_end = eq;
        value = eq + 1;
        value_end = end;
        mesh_web_trim(&p, &name_end);
        mesh_web_trim(&value, &value_end);

        if (p == name_end) {
            continue;
        }

        c->name = p;
        c->name_len = (size_t) (name_end - p);
        c->value = value;
        c->value_len = (size_t) (value_end - value);

        return MESH_OK;
    }

    return MESH_DECLINED;
}


int
mesh_web_location(const uint8_t **path, size_t *path_len, const uint8_t *p,
    size_t len, int https, const char *host, uint16_t port)
{
    size_t          i, n, scheme;
    const uint8_t  *last;

    scheme = 0;
    last = p + len;

    for (i = 0; i < len; i++) {

        /* a browser takes "\" for "/", and skips tabs */

        if (p[i] <= 0x20 || p[i] == 0x7f || p[i] == '\\') {
            return MESH_ERROR;
        }
    }

    *path = p;
    *path_len = len;

    for (i = 0; i < len; i++) {

        if (p[i] == '/' || p[i] == '?' || p[i] == '#') {
            break;
        }

        if (p[i] == ':') {
            scheme = i + 1;
            break;
        }
    }

    if (scheme) {

        if (!mesh_web_equal(p, scheme, https ? "https:" : "http:")) {
            return MESH_DECLINED;
        }

        p += scheme;

        /* "http:x" is of the page itself for some and not for others */
        if (last - p < 2 || p[0] != '/' || p[1] != '/') {
            return MESH_ERROR;
        }

    } else if (len < 2 || p[0] != '/' || p[1] != '/') {
        return MESH_OK;
    }

    p += 2;

    for (n = 0; p + n < last; n++) {
        if (p[n] == '/' || p[n] == '?' || p[n] == '#') {
            break;
        }
    }

    if (!mesh_web_host(p, n, https, host, port)) {
        return MESH_DECLINED;
    }

    p += n;

    /* "https://host//else" must not become "//else" */
    while (last - p > 1 && p[0] == '/' && p[1] == '/') {
        p++;
    }

    *path = p;
    *path_len = (size_t) (last - p);

    /* "?x" without "/" would be of the page that led there */
    return p < last && *p != '/' ? MESH_ERROR : MESH_OK;
}


/* host or host:port, of which the port may be left out where it is usual */
static int
mesh_web_host(const uint8_t *p, size_t len, int https, const char *host,
    uint16_t port)
{
    size_t    n, open;
    unsigned  number;

    n = strlen(host);
    open = memchr(host, ':', n) ? 1 : 0;      /* an IPv6 address has brackets */

    if (len < n + 2 * open
        || !mesh_web_equal(p + open, n, host)
        || (open && (p[0] != '[' || p[n + 1] != ']')))
    {
        return 0;
    }

    p += n + 2 * open;
    len -= n + 2 * open;

    if (len == 0) {
        return port == (https ? 443 : 80);
    }

    if (*p++ != ':' || --len == 0 || len > 5) {
        return 0;
    }

    for (number = 0; len; len--, p++) {
        if (*p < '0' || *p > '9') {
            return 0;
        }

        number = number * 10 + (unsigned) (*p - '0');
    }

    return number == port;
}

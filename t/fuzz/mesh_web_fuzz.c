/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Headers of a device's page: what is found lies within its line, a cookie has
 * a name and nothing that ends a header, and what is within the page's own
 * origin begins no other.
 */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_web.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
within(const uint8_t *p, size_t len, const uint8_t *data, size_t size)
{
    if (p < data || len > size || p + len > data + size) {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t             len;
    const uint8_t     *pos, *path;
    mesh_web_cookie_t  c;

    if (mesh_web_cookie_parse(&c, data, size) == MESH_OK) {
        within(c.name, c.name_len, data, size);
        within(c.value, c.value_len, data, size);

        if (c.expires) {
            within(c.expires, c.expires_len, data, size);
        }

        if (c.name_len == 0 || memchr(c.name, '\n', c.name_len)
            || memchr(c.name, ';', c.name_len)
            || memchr(c.name, '=', c.name_len)
            || memchr(c.value, ';', c.value_len)
            || memchr(c.value, '\r', c.value_len)
            || memchr(c.value, '\n', c.value_len))
        {
            abort();
        }
    }

    pos = data;

    while (mesh_web_cookie_next(&c, &pos, data + size) == MESH_OK) {
        within(c.name, c.name_len, data, size);
        within(c.value, c.value_len, data, size);
        within(pos, 0, data, size);
    }

    if (mesh_web_location(&path, &len, data, size, 0, "127.0.0.1", 80)
        == MESH_OK)
    {
        within(path, len, data, size);

        if ((len > 1 && path[0] == '/' && path[1] == '/')
            || memchr(path, '\\', len) || memchr(path, '\t', len))
        {
            abort();
        }
    }

    return 0;
}

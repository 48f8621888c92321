/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "mesh_msh.h"


int
mesh_msh_parse(mesh_msh_pair_t *pair, const char **p, const char *last)
{
    const char  *line, *end, *eq;

    line = *p;

    if (line == last) {
        return MESH_AGAIN;
    }

    end = memchr(line, '\n', (size_t) (last - line));
    *p = end ? end + 1 : last;
    end = end ? end : last;

    while (line < end && *line == ' ') {
        line++;
    }

    while (end > line && (end[-1] == ' ' || end[-1] == '\r')) {
        end--;
    }

    if (line == end || *line == '#'
        || memchr(line, '\0', (size_t) (end - line)) != NULL)
    {
        return MESH_DECLINED;
    }

    eq = memchr(line, '=', (size_t) (end - line));

    if (eq == NULL || eq == line || eq + 1 == end) {
        return MESH_DECLINED;
    }

    pair->key = line;
    pair->key_len = (size_t) (eq - line);
    pair->value = eq + 1;
    pair->value_len = (size_t) (end - eq) - 1;

    return MESH_OK;
}

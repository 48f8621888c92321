/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* A policy: each line moves on, and a pair alone is that pair again. */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_msh.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int               rc;
    const char       *p, *line, *last, *q;
    mesh_msh_pair_t   pair, again;

    p = (const char *) data;
    last = p + size;

    for (;;) {
        line = p;
        rc = mesh_msh_parse(&pair, &p, last);

        if (rc == MESH_AGAIN) {
            break;
        }

        if (p <= line || p > last) {
            abort();
        }

        if (rc == MESH_DECLINED) {
            continue;
        }

        if (pair.key < line || pair.key_len == 0 || pair.value_len == 0
            || pair.value != pair.key + pair.key_len + 1
            || pair.value + pair.value_len > p
            || memchr(pair.key, '=', pair.key_len) != NULL)
        {
            abort();
        }

        q = pair.key;

        if (mesh_msh_parse(&again, &q, pair.value + pair.value_len) != MESH_OK
            || again.key != pair.key || again.key_len != pair.key_len
            || again.value_len != pair.value_len
            || q != pair.value + pair.value_len)
        {
            abort();
        }
    }

    if (p != last) {
        abort();
    }

    return 0;
}

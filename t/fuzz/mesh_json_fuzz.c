/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * An agent's JSON: the repaired text is good UTF-8, within its bound, is not
 * repaired again, and holds no control character that a string must not.
 */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_ws.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t        len, half, i;
    uint8_t      *once, *again;
    mesh_utf8_t   u;

    len = mesh_json_repair(NULL, 0, data, size);

    if (len > MESH_JSON_REPAIR_MAX * size) {
        abort();
    }

    once = malloc(len ? len : 1);
    again = malloc(len ? len : 1);

    if (once == NULL || again == NULL) {
        abort();
    }

    /* with half the room the first half of the same */

    half = len / 2;

    if (mesh_json_repair(again, half, data, size) != len
        || mesh_json_repair(once, len, data, size) != len
        || memcmp(once, again, half) != 0)
    {
        abort();
    }

    memset(&u, 0, sizeof(mesh_utf8_t));

    if (mesh_utf8_check(&u, once, len, 1) != MESH_OK
        || !mesh_json_clean(once, len)
        || mesh_json_repair(again, len, once, len) != len
        || memcmp(once, again, len) != 0)
    {
        abort();
    }

    for (i = 0; i < len; i++) {

        if (once[i] == 0) {
            abort();
        }
    }

    if (mesh_json_clean(data, size)
        && (len != size || memcmp(data, once, size) != 0))
    {
        abort();
    }

    free(once);
    free(again);

    return 0;
}

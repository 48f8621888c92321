/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* A recording: a header that is taken is written as it was, and indexed. */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_mcrec_index.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                 text[64];
    size_t               len;
    uint8_t              buf[MESH_MCREC_HEAD];
    uint64_t             at, time, index;
    mesh_mcrec_block_t   b;
    mesh_mcrec_index_t  *ix;

    if (size >= 32 && mesh_mcrec_ended(data + size - 32, &time, &index)
        && (time >> 48 || index >> 48 || (time && index)))
    {
        abort();
    }

    ix = calloc(1, sizeof(mesh_mcrec_index_t));
    if (ix == NULL) {
        abort();
    }

    at = 0;

    while (mesh_mcrec_parse(data, size, &b) == MESH_OK) {

        if (mesh_mcrec_head(buf, &b) != buf + sizeof(buf)
            || memcmp(buf, data, sizeof(buf)) != 0)
        {
            abort();
        }

        data += MESH_MCREC_HEAD;
        size -= MESH_MCREC_HEAD;
        len = b.size < size ? b.size : size;

        mesh_mcrec_index_block(ix, at, &b, data, len);

        if (b.size > size) {
            break;
        }

        data += b.size;
        size -= b.size;
        at += MESH_MCREC_HEAD + b.size;
    }

    len = mesh_mcrec_index_write(ix, text, sizeof(text));

    if (len && len < sizeof("{\"indexInterval\":10,\"indexes\":[]}")) {
        abort();
    }

    free(ix);

    return 0;
}

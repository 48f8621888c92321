/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* A recording: a header that is taken is written as it was. */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_mcrec.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t             buf[MESH_MCREC_HEAD];
    uint64_t            time;
    mesh_mcrec_block_t  b;

    if (size >= 32 && mesh_mcrec_ended(data + size - 32, &time)
        && time >> 48)
    {
        abort();
    }

    while (mesh_mcrec_parse(data, size, &b) == MESH_OK) {

        if (mesh_mcrec_head(buf, &b) != buf + sizeof(buf)
            || memcmp(buf, data, sizeof(buf)) != 0)
        {
            abort();
        }

        data += MESH_MCREC_HEAD;
        size -= MESH_MCREC_HEAD;

        if (b.size > size) {
            break;
        }

        data += b.size;
        size -= b.size;
    }

    return 0;
}

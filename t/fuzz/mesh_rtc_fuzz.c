/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * A byte that says where to cut, and a text: what it is does not depend on the
 * cut, and what has been found stays found.
 */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_rtc.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int         first, rc;
    size_t      cut;
    mesh_rtc_t  whole, parts;

    if (size == 0) {
        return 0;
    }

    cut = data[0] % size;
    data++;
    size--;

    memset(&whole, 0, sizeof(whole));
    memset(&parts, 0, sizeof(parts));

    first = mesh_rtc_find(&parts, data, cut);
    rc = mesh_rtc_find(&parts, data + cut, size - cut);

    if (rc != mesh_rtc_find(&whole, data, size)
        || (first != MESH_AGAIN && rc != first))
    {
        abort();
    }

    return 0;
}

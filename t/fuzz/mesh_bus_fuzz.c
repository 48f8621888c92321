/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * A hello, and a stream of messages: what is taken is written again as it was,
 * and each front of it is not enough.
 */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_bus.h"


#define TYPES  9


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
hello(const uint8_t *data, size_t size)
{
    int               rc;
    uint8_t           again[MESH_BUS_HELLO];
    mesh_bus_hello_t  h;

    rc = mesh_bus_parse_hello(&h, data, size);

    if ((rc == MESH_AGAIN) != (size < MESH_BUS_HELLO)) {
        abort();
    }

    if (rc == MESH_OK) {
        mesh_bus_write_hello(again, &h);

        if (memcmp(again, data, MESH_BUS_HELLO) != 0
            || h.slot >= MESH_BUS_SLOTS)
        {
            abort();
        }
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          n;
    uint8_t         head[MESH_BUS_HEAD];
    mesh_bus_msg_t  msg, part;

    hello(data, size);

    while (mesh_bus_parse(&msg, TYPES, data, size) == MESH_OK) {

        if (msg.size > size || msg.size != MESH_BUS_HEAD + (size_t) msg.len
            || msg.data != data + MESH_BUS_HEAD || msg.type == 0
            || msg.type >= TYPES)
        {
            abort();
        }

        for (n = 0; n < msg.size; n++) {
            if (mesh_bus_parse(&part, TYPES, data, n) != MESH_AGAIN) {
                abort();
            }
        }

        mesh_bus_write(head, &msg);

        if (memcmp(head, data, MESH_BUS_HEAD) != 0) {
            abort();
        }

        data += msg.size;
        size -= msg.size;
    }

    return 0;
}

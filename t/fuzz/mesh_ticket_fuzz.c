/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* The text of a ticket: what is taken has no other text. */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_ticket.h"


#define ROOM  1024


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int      n;
    char     text[mesh_ticket_len(ROOM)];
    size_t   len;
    uint8_t  bytes[ROOM];

    n = mesh_ticket_decode(bytes, sizeof(bytes), (const char *) data, size);

    if (n == MESH_ERROR) {
        return 0;
    }

    if (n <= MESH_TICKET_HEAD || n > ROOM
        || mesh_ticket_len((size_t) n) != size)
    {
        abort();
    }

    len = mesh_ticket_encode(text, bytes, (size_t) n);

    if (len && (len != size || memcmp(text, data, size) != 0)) {
        abort();
    }

    return 0;
}

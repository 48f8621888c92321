/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Datagrams of the discovery: a path lies within its answer, and what was
 * taken can be written again and is the same.
 */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_lan.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t             n;
    uint8_t            id[MESH_HASH_LEN], buf[MESH_LAN_ANSWER_MAX];
    mesh_lan_answer_t  answer, again;

    if (mesh_lan_query_parse(id, data, size) == MESH_OK
        && size != MESH_LAN_QUERY_LEN)
    {
        abort();
    }

    /* the id that is in it, or any */
    if (size < 13 + MESH_LAN_QUERY_LEN
        || mesh_lan_query_parse(id, data + 13, MESH_LAN_QUERY_LEN) != MESH_OK)
    {
        memset(id, 0, sizeof(id));
    }

    if (mesh_lan_answer_parse(&answer, id, data, size) != MESH_OK) {
        return 0;
    }

    if (answer.path < data || answer.path_len == 0
        || answer.path + answer.path_len != data + size)
    {
        abort();
    }

    n = mesh_lan_write_answer(buf, sizeof(buf), id,
                              data[13 + MESH_LAN_QUERY_LEN + 7] == '[',
                              &answer);

    if (n && (mesh_lan_answer_parse(&again, id, buf, n) != MESH_OK
              || again.port != answer.port
              || again.path_len != answer.path_len
              || memcmp(again.path, answer.path, answer.path_len) != 0))
    {
        abort();
    }

    return 0;
}

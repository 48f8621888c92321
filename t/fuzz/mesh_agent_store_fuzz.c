/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The rest of the bytes as the agent's data file, with good sums where byte 0
 * is odd.  What can be opened can be read, written, and opened again with all
 * that was in it.
 */

#include <zlib.h>

#include "../../agent/mesh_agent_store.h"
#include "../unit/mesh_agent_base.h"


#define MAGIC     "mesh-agent store 1\n"
#define HEAD      12
#define DELETED   0xffffffffu


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


typedef struct {
    mesh_agent_store_t  *st;
    size_t               n;
    uint32_t             crc;             /* of all keys and values */
} seen_t;


static char  path[96];


static void
end(void)
{
    (void) unlink(path);
    (void) rmdir(mesh_agent_base_folder());
}


/* sums that no fuzzer finds */
static void
mend(uint8_t *p, size_t size)
{
    size_t    at, n, len;
    uint32_t  crc;

    at = sizeof(MAGIC) - 1;

    while (size > at && size - at >= HEAD) {
        n = mesh_get32(p + at);
        len = mesh_get32(p + at + 4);
        len = len == DELETED ? 0 : len;

        if (n > size || len > size || n + len > size - at - HEAD) {
            return;
        }

        crc = (uint32_t) crc32(0, p + at, 8);
        crc = (uint32_t) crc32(crc, p + at + HEAD, (uInt) (n + len));
        mesh_put32(p + at + 8, crc);
        at += HEAD + n + len;
    }
}


static void
see(const char *key, void *data)
{
    seen_t *seen = data;

    size_t          len;
    const uint8_t  *p;

    p = mesh_agent_store_get(seen->st, key, &len);

    if (p == NULL || len > MESH_AGENT_STORE_VALUE
        || strlen(key) > MESH_AGENT_STORE_KEY)
    {
        abort();
    }

    if (strcmp(key, "new") != 0) {
        seen->n++;
        seen->crc += (uint32_t) crc32(crc32(0, (uint8_t *) key,
                                            (uInt) strlen(key)),
                                      p, (uInt) len);
    }
}


static void
look(seen_t *seen, mesh_agent_store_t *st)
{
    memset(seen, 0, sizeof(seen_t));
    seen->st = st;
    mesh_agent_store_each(st, "", see, seen);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t               len;
    seen_t               before, after;
    uint8_t             *copy;
    const uint8_t       *p;
    mesh_agent_store_t  *st;

    if (size == 0) {
        return 0;
    }

    if (path[0] == '\0') {
        (void) snprintf(path, sizeof(path), "%s/agent.db",
                        mesh_agent_base_folder());
        (void) atexit(end);
    }

    copy = mesh_agent_alloc(size);
    memcpy(copy, data + 1, size - 1);

    if (data[0] & 1) {
        mend(copy, size - 1);
    }

    mesh_agent_base_write(path, copy, size - 1);
    free(copy);

    st = mesh_agent_store_open(path);

    if (st == NULL) {
        return 0;
    }

    look(&before, st);

    if (mesh_agent_store_put(st, "new", "value", 5) != MESH_OK) {
        abort();
    }

    look(&after, st);
    mesh_agent_store_close(st);

    if (after.n != before.n || after.crc != before.crc) {
        abort();
    }

    st = mesh_agent_store_open(path);

    if (st == NULL) {
        abort();
    }

    look(&after, st);
    p = mesh_agent_store_get(st, "new", &len);

    if (p == NULL || len != 5 || memcmp(p, "value", 5) != 0
        || after.n != before.n || after.crc != before.crc)
    {
        abort();
    }

    mesh_agent_store_close(st);

    return 0;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * An address and an entry, a line end between them.  What is an address has one
 * spelling, which is itself an address; an entry of that and its port allows it.
 */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_target.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char            own[MESH_TARGET_TEXT + 8];
    size_t          len, n;
    const char     *text, *entry, *why;
    mesh_target_t   t, again;

    text = (const char *) data;
    entry = memchr(data, '\n', size);
    len = entry ? (size_t) (entry - text) : size;

    if (entry) {
        entry++;
        n = size - len - 1;
        why = NULL;

        if (mesh_target_entry(entry, n, &why) != MESH_OK && why == NULL) {
            abort();
        }
    }

    if (mesh_target_parse(&t, text, len, 7, &why) != MESH_OK) {
        return 0;
    }

    if (t.len == 0 || t.len > MESH_TARGET_TEXT || strlen(t.text) != t.len
        || mesh_target_parse(&again, t.text, t.len, 7, &why) != MESH_OK
        || again.len != t.len || memcmp(again.text, t.text, t.len) != 0
        || again.kind != t.kind || again.self != t.self
        || memcmp(again.ip, t.ip, 16) != 0)
    {
        abort();
    }

    n = 0;

    if (t.kind == MESH_TARGET_V6) {
        own[n++] = '[';
    }

    memcpy(own + n, t.text, t.len);
    n += t.len;

    if (t.kind == MESH_TARGET_V6) {
        own[n++] = ']';
    }

    memcpy(own + n, ":7", 2);
    n += 2;

    if (mesh_target_match(&t, own, n) != MESH_OK) {
        abort();
    }

    if (entry) {
        (void) mesh_target_match(&t, entry, size - len - 1);
    }

    return 0;
}

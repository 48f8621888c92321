/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Text in random pieces: the check does not depend on them, a repaired frame
 * is always good, and good text is not changed.
 *
 *   bytes 0-1  seed of the pieces
 *   rest       a frame's text
 */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_ws.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int           whole, pieces;
    size_t        n, done;
    uint8_t      *text, *piece;
    uint32_t      seed;
    mesh_utf8_t   u, fix, check;

    if (size < 2) {
        return 0;
    }

    seed = mesh_get16(data);
    data += 2;
    size -= 2;

    memset(&u, 0, sizeof(mesh_utf8_t));
    whole = mesh_utf8_check(&u, data, size, 1);

    memset(&fix, 0, sizeof(mesh_utf8_t));
    memset(&check, 0, sizeof(mesh_utf8_t));

    text = malloc(size + 1);

    if (text == NULL) {
        abort();
    }

    pieces = MESH_OK;

    for (done = 0; done < size; done += n) {

        seed = seed * 1664525 + 1013904223;
        n = (seed >> 16) % (seed & 0x100 ? 3 : 40);
        n = n < size - done ? n : size - done;

        piece = malloc(n ? n : 1);

        if (piece == NULL) {
            abort();
        }

        memcpy(piece, data + done, n);

        if (pieces == MESH_OK) {
            pieces = mesh_utf8_check(&check, piece, n, done + n == size);
        }

        mesh_utf8_repair(&fix, piece, n, size - done - n);

        memcpy(text + done, piece, n);
        free(piece);
    }

    memset(&u, 0, sizeof(mesh_utf8_t));

    if (whole != pieces || fix.need || fix.fill
        || mesh_utf8_check(&u, text, size, 1) != MESH_OK
        || (whole == MESH_OK && memcmp(text, data, size) != 0))
    {
        abort();
    }

    free(text);

    return 0;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The same bytes whole, byte by byte and in random pieces, unmasked by the
 * parser and by its caller, must be the same frames.
 *
 *   byte 0     1 need_mask, 2 discard_over, 4 frame_max, 8 message_max
 *   byte 1     frame_max
 *   byte 2     message_max
 *   bytes 3-6  seed of the pieces
 *   rest       what came from the network
 */

#include "../unit/mesh_ws_log.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
parse(mesh_ws_log_t *log, const mesh_ws_limits_t *lim, const uint8_t *data,
    size_t size, uint32_t seed)
{
    size_t    n;
    uint8_t  *piece;

    memset(log, 0, sizeof(mesh_ws_log_t));
    log->lim = *lim;
    mesh_ws_log_put(log, "", 0);

    while (size) {
        n = size;

        if (seed == 1) {
            n = 1;

        } else if (seed) {
            seed = seed * 1664525 + 1013904223;
            n = (seed >> 16) % (seed & 0x100 ? 4 : 64);
            n = n < size ? n : size;
        }

        piece = malloc(n ? n : 1);

        if (piece == NULL) {
            abort();
        }

        memcpy(piece, data, n);
        mesh_ws_log_feed(log, piece, n);
        free(piece);

        data += n;
        size -= n;
    }

    mesh_ws_log_end(log);

    if (log->wrong) {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int               i;
    uint32_t          seeds[2];
    mesh_ws_log_t     whole, pieces;
    mesh_ws_limits_t  lim;

    if (size < 7) {
        return 0;
    }

    memset(&lim, 0, sizeof(mesh_ws_limits_t));
    lim.need_mask = data[0] & 1;
    lim.discard_over = data[0] >> 1 & 1;
    lim.frame_max = data[0] & 4 ? data[1] : 0;
    lim.message_max = data[0] & 8 ? data[2] : 0;

    seeds[0] = 1;
    seeds[1] = mesh_get32(data + 3) | 2;

    parse(&whole, &lim, data + 7, size - 7, 0);

    for (i = 0; i < 2; i++) {
        lim.keep_mask = i & 1;
        parse(&pieces, &lim, data + 7, size - 7, seeds[i]);

        if (whole.len != pieces.len
            || memcmp(whole.text, pieces.text, whole.len) != 0)
        {
            abort();
        }

        free(pieces.text);
    }

    free(whole.text);

    return 0;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Blocks of recordings are read as they were written, and nothing else is. */

#include <string.h>

#include "../../proto/mesh_mcrec.h"
#include "tap.h"


/* a block of the user's text "2", as in session.md 8.1 */
static const uint8_t  seen[] = { 0, 2, 0, 2, 0, 0, 0, 1,
                                 0, 0, 0x01, 0x9a, 0xb1, 0x02, 0x03, 0x04 };


int
main(void)
{
    int                 i, bad;
    uint8_t             buf[MESH_MCREC_HEAD + 16], odd[MESH_MCREC_HEAD];
    uint64_t            time, index;
    mesh_mcrec_block_t  b, c;

    ok(mesh_mcrec_parse(seen, sizeof(seen), &b) == MESH_OK
       && b.type == MESH_MCREC_DATA && b.flags == MESH_MCREC_USER
       && b.size == 1 && b.time == 0x019ab1020304ULL,
       "a header is read");

    ok(mesh_mcrec_head(buf, &b) == buf + MESH_MCREC_HEAD
       && memcmp(buf, seen, sizeof(seen)) == 0,
       "and written as it was read");

    bad = 0;

    for (i = 0; i < MESH_MCREC_HEAD; i++) {
        bad |= mesh_mcrec_parse(seen, (size_t) i, &c) != MESH_AGAIN;
    }

    ok(!bad, "cut at any byte it is not there yet");

    bad = 0;

    for (i = 0; i < 65536; i++) {
        memcpy(odd, seen, sizeof(odd));
        mesh_put16(odd, (uint16_t) i);
        bad |= (mesh_mcrec_parse(odd, sizeof(odd), &c) == MESH_OK)
               != (i >= 1 && i <= 4);
        memcpy(odd, seen, sizeof(odd));
        mesh_put16(odd + 2, (uint16_t) i);
        bad |= (mesh_mcrec_parse(odd, sizeof(odd), &c) == MESH_OK) != (i <= 3);
    }

    ok(!bad, "types are 1 to 4, flags two bits");

    memcpy(odd, seen, sizeof(odd));
    mesh_put32(odd + 4, 0x80000000U);
    ok(mesh_mcrec_parse(odd, sizeof(odd), &c) == MESH_ERROR,
       "a negative size is none");

    memcpy(odd, seen, sizeof(odd));
    odd[8] = 1;
    ok(mesh_mcrec_parse(odd, sizeof(odd), &c) == MESH_ERROR,
       "a time has 48 bits");

    b.type = MESH_MCREC_END;
    b.flags = 0;
    b.size = 16;
    memcpy(mesh_mcrec_head(buf, &b), MESH_MCREC_TRAILER, 16);
    time = 0;
    ok(mesh_mcrec_ended(buf, &time, &index) && time == b.time
       && index == 0,
       "the last block says that the file is whole, and when it ended");

    bad = 0;

    for (i = 0; i < 8; i++) {
        buf[i] ^= 0x10;
        bad |= mesh_mcrec_ended(buf, &time, &index);
        buf[i] ^= 0x10;
        buf[16 + i] ^= 1;
        bad |= mesh_mcrec_ended(buf, &time, &index);
        buf[16 + i] ^= 1;
    }

    ok(!bad, "with a bit of it turned it does not");

    memcpy(buf + MESH_MCREC_HEAD, MESH_MCREC_INDEXED, 16);
    ok(mesh_mcrec_ended(buf, &time, &index) && time == 0
       && index == b.time,
       "that of one with an index says so too, and where that is");

    return tap_done();
}

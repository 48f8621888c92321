/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* The index of a desktop says what is to be seen at each of its places. */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_mcrec_index.h"
#include "tap.h"


#define START  1764000000000ULL
#define FIRST  128                      /* of a message, in the file */


static uint64_t             at;
static uint8_t              packet[MESH_MCREC_INDEX_HEAD];
static mesh_mcrec_index_t  *ix;


static void
start(void)
{
    free(ix);
    ix = calloc(1, sizeof(mesh_mcrec_index_t));
    at = FIRST;

    if (ix == NULL) {
        exit(1);
    }
}


/* one message of size bytes, of which len are looked at; its place */
static uint64_t
message(uint64_t seconds, int flags, const uint8_t *data, uint32_t size,
    size_t len)
{
    uint64_t            place;
    mesh_mcrec_block_t  b;

    b.type = MESH_MCREC_DATA;
    b.flags = (uint16_t) flags;
    b.size = size;
    b.time = START + seconds * 1000;

    place = at - FIRST;
    mesh_mcrec_index_block(ix, at, &b, data, len);
    at += MESH_MCREC_HEAD + size;

    return place;
}


static uint64_t
screen(uint64_t seconds, uint16_t w, uint16_t h)
{
    (void) mesh_kvm_write_size(packet, w, h);

    return message(seconds, MESH_MCREC_BINARY, packet, 8, 8);
}


/* a tile of 40000 bytes, or of 70000 in a jumbo */
static uint64_t
tile(uint64_t seconds, uint16_t x, uint16_t y, uint16_t w, uint16_t h,
    int jumbo)
{
    size_t    n;
    uint32_t  size;

    static const uint8_t  jpeg[] = { 0xff, 0xd8, 0xff, 0xc0, 0, 11, 8 };

    size = jumbo ? 70000 : 40000;

    memset(packet, 0, sizeof(packet));
    n = mesh_kvm_write_tile(packet, x, y, size);
    memcpy(packet + n, jpeg, sizeof(jpeg));
    (void) mesh_put16(mesh_put16(packet + n + sizeof(jpeg), h), w);

    return message(seconds, MESH_MCREC_BINARY, packet, (uint32_t) n + size,
                   sizeof(packet));
}


static void
says(const char *name, const char *want)
{
    char    *text;
    size_t   len, cut;
    int      good;

    len = mesh_mcrec_index_write(ix, NULL, 0);
    text = calloc(1, len + 2);

    if (text == NULL) {
        exit(1);
    }

    good = len == strlen(want)
           && mesh_mcrec_index_write(ix, text, len) == len
           && strcmp(text, want) == 0;

    if (!good) {
        printf("# %s\n", text);
    }

    /* as much as there is room for, and not a byte more */
    for (cut = 0; cut < len; cut++) {
        memset(text, '#', len + 1);
        good &= mesh_mcrec_index_write(ix, text, cut) == len
                && text[cut] == '#' && memcmp(text, want, cut) == 0;
    }

    ok(good, name);

    free(text);
}


int
main(void)
{
    int       i, bad;
    char      want[512];
    uint8_t  *head;
    uint64_t  left, right, small, late, size, n;

    start();
    says("without a message there is none", "");

    (void) message(0, MESH_MCREC_USER, (const uint8_t *) "2", 1, 1);
    says("before the first place it is empty",
         "{\"indexInterval\":10,\"indexStartTime\":1764000000000,"
         "\"indexes\":[]}");

    (void) screen(0, 64, 64);
    (void) tile(1, 0, 0, 64, 64, 0);
    left = tile(2, 0, 0, 32, 64, 1);
    small = tile(3, 8, 8, 8, 8, 0);
    right = tile(4, 32, 0, 32, 64, 0);
    (void) screen(5, 64, 64);
    (void) tile(6, 64, 0, 32, 32, 0);
    (void) tile(6, 32, 0, 96, 32, 0);
    late = tile(31, 0, 0, 32, 64, 0);
    size = screen(40, 32, 32);
    (void) message(60, MESH_MCREC_USER, (const uint8_t *) "x", 1, 1);

    (void) snprintf(want, sizeof(want),
        "{\"indexInterval\":10,\"indexStartTime\":1764000000000,\"indexes\":["
        "[%u,64,64,%u,%u,%u],[%u,64,64,%u,%u,%u],[%u,64,64,%u,%u,%u],"
        "[%u,64,64,%u,%u],[%u,32,32],[%u,32,32]]}",
        (unsigned) late, (unsigned) left, (unsigned) small, (unsigned) right,
        (unsigned) late, (unsigned) left, (unsigned) small, (unsigned) right,
        (unsigned) late, (unsigned) left, (unsigned) small, (unsigned) right,
        (unsigned) size, (unsigned) right, (unsigned) late,
        (unsigned) (at - FIRST - 17), (unsigned) (at - FIRST - 17));

    says("each place has the newest tiles that are to be seen", want);

    start();
    (void) screen(0, 1920, 1080);

    /* 8160 cells, again and again for a day */
    for (n = 0; n < 8640; n++) {
        for (i = 0; i < 40; i++) {
            (void) tile(n * 10, (uint16_t) (i * 48), 0, 48, 1080, 0);
        }
    }

    ok(ix->n <= MESH_MCREC_INDEX_NUMBERS && ix->places > 2000
       && ix->interval == 20000 && ix->numbers[0] == 43
       && ix->used <= 41,
       "one that grows has every second place only, and stays bounded");

    (void) message(1ULL << 37, MESH_MCREC_USER, (const uint8_t *) "x", 1, 1);
    ok(!ix->none && ix->n <= MESH_MCREC_INDEX_NUMBERS
       && mesh_mcrec_index_write(ix, NULL, 0) > 0,
       "a clock that jumps by thousands of years does no harm");

    start();
    (void) screen(0, 64, 64);
    (void) message(1, MESH_MCREC_BINARY, packet, 7, 7);
    ok(mesh_mcrec_index_write(ix, NULL, 0) > 0,
       "a last message that was cut is left out");
    (void) screen(2, 64, 64);
    ok(mesh_mcrec_index_write(ix, NULL, 0) == 0,
       "where messages are no packets there is none");

    start();
    (void) screen(0, 64, 64);
    (void) message(0, MESH_MCREC_BINARY,
                   (const uint8_t *) "\0\4\0\20\0\0\0\0\0\0\0\0\0\1\0\1", 16,
                   16);
    ok(mesh_mcrec_index_write(ix, NULL, 0) == 0,
       "nor where parts of the screen were moved");

    start();
    (void) screen(0, 64, 64);
    (void) mesh_kvm_write_tile(packet, 0, 0, 40000);
    memset(packet + 8, 0, 100);
    (void) message(0, MESH_MCREC_BINARY, packet, 40008, sizeof(packet));
    ok(mesh_mcrec_index_write(ix, NULL, 0) == 0,
       "nor where the size of a picture is not in its head");

    bad = 0;

    for (i = 0; i < 32; i++) {
        start();
        (void) screen(0, 64, 64);
        memset(packet, 0, sizeof(packet));
        (void) mesh_kvm_write_tile(packet, 0, 0, 70000);
        head = malloc((size_t) i + 1);

        if (head == NULL) {
            return 1;
        }

        memcpy(head, packet, (size_t) i);
        (void) message(0, MESH_MCREC_BINARY, head, 70016, (size_t) i);
        free(head);

        (void) tile(0, 0, 0, 64, 64, 0);
        (void) screen(10, 64, 64);
        bad |= !ix->none && ix->numbers[0] != 4;
    }

    ok(!bad, "cut at any byte a message is no tile of it");

    start();
    (void) screen(0, 65535, 65535);
    for (i = 0; i < 20000 && !ix->none; i++) {
        (void) tile(0, (uint16_t) (i % 200 * 256),
                    (uint16_t) (i / 200 * 256), 256, 256, 0);
    }

    ok(ix->none && i > 16000, "nor where there are more tiles than are kept");

    free(ix);

    return tap_done();
}

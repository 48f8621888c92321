/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "../../proto/mesh_kvm.h"
#include "tap.h"


/* one of each, and after it what no viewer may send */

static const uint8_t  all[] = {
    0x00, 0x01, 0x00, 0x06, 0x00, 0x41,                 /* key A */
    0x00, 0x01, 0x00, 0x06, 0x00, 0x11,                 /* key Ctrl */
    0x00, 0x02, 0x00, 0x0a, 0x00, 0x02, 0x01, 0x2c, 0x00, 0xc8,
    0x00, 0x02, 0x00, 0x0c, 0x00, 0x00, 0x01, 0x2c, 0x00, 0xc8, 0xff, 0x88,
    0x00, 0x05, 0x00, 0x0a, 0x01, 0x28, 0x04, 0x00, 0x00, 0x32,
    0x00, 0x06, 0x00, 0x04,
    0x00, 0x08, 0x00, 0x05, 0x01,
    0x00, 0x0a, 0x00, 0x04,                             /* Ctrl-Alt-Del */
    0x00, 0x0b, 0x00, 0x04,
    0x00, 0x0c, 0x00, 0x06, 0xff, 0xff,
    0x00, 0x0d, 0x00, 0x06, 0x00, 0x64,
    0x00, 0x0e, 0x00, 0x04,                             /* touch */
    0x00, 0x0f, 0x00, 0x0e, 0x01, 0x01, 0x00, 0x01, 0x00, 0x06, 0x01, 0x2c,
    0x00, 0xc8,
    0x00, 0x55, 0x00, 0x07, 0x00, 0x00, 0xe9,           /* a character */
    0x00, 0x57, 0x00, 0x05, 0x01,                       /* input lock */
    0x00, 0x11, 0x00, 0x06, 0x41, 0x42,                 /* message */
    0x00, 0x02, 0x00, 0x09, 0x00, 0x02, 0x01, 0x2c, 0x00,   /* too short */
    0x00, 0x06, 0x00, 0x04
};

static const uint8_t  view[] = { 5, 6, 8, 11, 12, 13, 6 };
static const uint8_t  limited[] = { 1, 2, 2, 5, 6, 8, 11, 12, 13, 85, 6 };
static const uint8_t  full[] = { 1, 1, 2, 2, 5, 6, 8, 10, 11, 12, 13, 14, 15,
                                 85, 87, 6 };


/*
 * The numbers of what passes, from pieces of size bytes, the first of them
 * shorter; -1: the stream is broken.
 */
static int
passes(uint8_t *numbers, mesh_kvm_level_e level, const uint8_t *buf,
    size_t len, size_t first, size_t size)
{
    int                rc, n;
    size_t             piece, bytes;
    uint8_t           *copy;
    const uint8_t     *pos, *packet;
    mesh_kvm_input_t   st;

    memset(&st, 0, sizeof(st));
    n = 0;

    for (piece = first; len; piece = size) {

        piece = piece < len ? piece : len;
        copy = tap_copy(buf, piece);
        pos = copy;

        for ( ;; ) {
            rc = mesh_kvm_input(&st, level, &pos, copy + piece, &packet,
                                &bytes);

            if (rc != MESH_OK) {
                break;
            }

            if (bytes != mesh_get16(packet + 2)) {
                n = -1000;
            }

            numbers[n++] = packet[1];
        }

        free(copy);

        if (rc == MESH_ERROR) {
            return -1;
        }

        buf += piece;
        len -= piece;
    }

    return n;
}


static void
test_level(mesh_kvm_level_e level, const uint8_t *want, size_t nwant,
    const char *name)
{
    int      n, bad;
    size_t   i;
    uint8_t  got[64];

    n = passes(got, level, all, sizeof(all), sizeof(all), sizeof(all));

    if (n < 0) {
        ok(0, "%s: the stream is followed", name);
        return;
    }

    is_bytes(got, (size_t) n, want, nwant, name);

    for (i = 1, bad = 0; i < sizeof(all); i++) {
        n = passes(got, level, all, sizeof(all), i, sizeof(all));
        bad += (size_t) n != nwant || memcmp(got, want, nwant) != 0;

        n = passes(got, level, all, sizeof(all), i, i);
        bad += (size_t) n != nwant || memcmp(got, want, nwant) != 0;
    }

    is(bad, 0, "%s: the same however it is cut", name);
}


static void
test_keys(void)
{
    int      i, n;
    uint8_t  got[4], key[6] = { 0, 1, 0, 6, 4, 0 };

    static const char  *plain = "\x08\x09\x0d\x10\x21\x22\x23\x24\x25\x26"
                                "\x27\x28\x2e\xa0\xa1";

    for (i = 0, n = 0; i < 256; i++) {
        key[5] = (uint8_t) i;

        n += passes(got, MESH_KVM_LIMITED, key, 6, 6, 6)
             != ((i != 0 && strchr(plain, i) != NULL)
                 || (i >= '0' && i <= '9') || (i >= 'A' && i <= 'Z'));
    }

    is(n, 0, "limited input has letters, digits and the keys that move");
}


static void
test_sizes(void)
{
    uint8_t            got[64], head[300];
    size_t             i, bytes;
    const uint8_t     *pos, *packet;
    mesh_kvm_input_t   st;

    memset(head, 0, sizeof(head));
    head[1] = MESH_KVM_REFRESH;

    for (i = 0; i < 4; i++) {
        head[3] = (uint8_t) i;
        is(passes(got, MESH_KVM_FULL, head, 8, 8, 8), -1,
           "a packet of %u bytes ends it", (unsigned) i);
    }

    head[1] = MESH_KVM_TOUCH;
    head[3] = MESH_KVM_MAX_INPUT;
    is(passes(got, MESH_KVM_FULL, head, MESH_KVM_MAX_INPUT, 1, 1), 1,
       "16 contacts are one packet");

    head[3] = MESH_KVM_MAX_INPUT + 1;
    is(passes(got, MESH_KVM_FULL, head, MESH_KVM_MAX_INPUT + 1, 1, 1), 0,
       "a longer one is skipped");

    /* 65535 bytes of something long, then a refresh */
    memset(&st, 0, sizeof(st));
    head[1] = 200;
    head[2] = head[3] = 0xff;
    pos = head;
    is(mesh_kvm_input(&st, MESH_KVM_FULL, &pos, head + 4, &packet, &bytes),
       MESH_AGAIN, "an unknown packet is skipped");
    is(st.skip, 65531, "to its end");
}


int
main(void)
{
    test_level(MESH_KVM_VIEW, view, sizeof(view),
               "S-31: who may only look sends no input");
    test_level(MESH_KVM_LIMITED, limited, sizeof(limited),
               "S-31: limited input has no keys that command");
    test_level(MESH_KVM_FULL, full, sizeof(full), "all input passes");
    test_keys();
    test_sizes();

    return tap_done();
}

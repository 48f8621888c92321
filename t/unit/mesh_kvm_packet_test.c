/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "../../proto/mesh_kvm_packet.h"
#include "tap.h"


#define MAX  100000


static int
parse(mesh_kvm_packet_t *pkt, const void *buf, size_t len, size_t max)
{
    int       rc;
    uint8_t  *copy;

    copy = tap_copy(buf, len);
    rc = mesh_kvm_parse(pkt, copy, len, max);

    /* data is borrowed from the copy */
    if (rc == MESH_OK) {
        pkt->data = (const uint8_t *) buf + (pkt->data - copy);
    }

    free(copy);

    return rc;
}


/* AGAIN for each shorter one, pkt untouched, and what it needs is more */

static void
cut(const uint8_t *buf, size_t len, const char *name)
{
    int                good;
    size_t             n, need;
    mesh_kvm_packet_t  pkt, before;

    good = 1;
    memset(&pkt, 0x5a, sizeof(pkt));
    before = pkt;

    for (n = 0; n < len; n++) {
        need = mesh_kvm_need(buf, n);
        good &= parse(&pkt, buf, n, MAX) == MESH_AGAIN
                && pkt.cmd == before.cmd && pkt.len == before.len
                && pkt.data == before.data && pkt.size == before.size
                && need > n && need <= len;
    }

    ok(good, "%s: cut at every byte", name);
    ok(parse(&pkt, buf, len, MAX) == MESH_OK && pkt.size == len,
       "%s: whole", name);
}


static int
input(mesh_kvm_event_t *in, const void *buf, size_t len)
{
    mesh_kvm_packet_t  pkt;

    memset(in, 0, sizeof(mesh_kvm_event_t));

    if (mesh_kvm_parse(&pkt, buf, len, MESH_KVM_MAX_INPUT) != MESH_OK) {
        return -100;
    }

    return mesh_kvm_read_input(in, &pkt);
}


static void
test_parse(void)
{
    size_t             n;
    mesh_kvm_packet_t  pkt;
    static uint8_t     buf[80000];

    cut((const uint8_t *) "\0\6\0\4", 4, "a refresh");
    cut((const uint8_t *) "\0\7\0\10\7\200\4\70", 8, "a size");

    memset(buf, 0xee, sizeof(buf));
    n = mesh_kvm_write_tile(buf, 64, 32, 1000);
    is_bytes(buf, n, "\0\3\3\360\0\100\0\40", 8, "the head of a tile");
    cut(buf, n + 1000, "a tile");

    n = mesh_kvm_write_tile(buf, 64, 32, 70000);
    is_bytes(buf, n, "\0\33\0\10\0\1\21\170\0\3\0\0\0\100\0\40", 16,
             "the head of a large one");
    cut(buf, n + 70000, "a large tile");
    is(parse(&pkt, buf, n + 70000, MAX), MESH_OK, "it is read");
    ok(pkt.cmd == MESH_KVM_TILE && pkt.len == 4 + 70000
       && pkt.data == buf + 12 && pkt.size == 16 + 70000,
       "as the tile that it is");

    is((long long) mesh_kvm_write_tile(buf, 0, 0, 65500), 8,
       "65500 bytes are no large one");
    is((long long) mesh_kvm_write_tile(buf, 0, 0, 65501), 16, "65501 are");

    is(parse(&pkt, "\0\6\0\3", 4, MAX), MESH_ERROR, "shorter than its head");
    is(parse(&pkt, "\0\6\0\0", 4, MAX), MESH_ERROR, "no size");
    is(parse(&pkt, "\0\6\0\144", 4, 99), MESH_ERROR,
       "over the bound: at once");
    is(parse(&pkt, "\0\6\0\143", 4, 99), MESH_AGAIN, "at the bound");

    is(parse(&pkt, "\0\33\0\7", 4, MAX), MESH_ERROR, "a jumbo of 7");
    is(parse(&pkt, "\0\33\0\11", 4, MAX), MESH_ERROR, "a jumbo of 9");
    is(parse(&pkt, "\0\33\0\10\377\377\377\377\0\3\0\0", 12, MAX),
       MESH_ERROR, "a jumbo of 4 GB");
    is(parse(&pkt, "\0\33\0\10\377\377\377\370\0\3\0\0", 12, SIZE_MAX),
       MESH_AGAIN, "which no sum wraps");
    is(parse(&pkt, "\0\33\0\10\0\0\0\3\0\3\0\0", 12, MAX), MESH_ERROR,
       "a jumbo shorter than a head");
    is(parse(&pkt, "\0\33\0\10\0\0\0\4\0\3\0\0", 12, MAX), MESH_OK,
       "an empty one");
    ok(pkt.len == 0 && pkt.size == 12, "is empty");
    is(parse(&pkt, "\0\33\0\10\0\0\0\135\0\3\0\0", 12, 100), MESH_ERROR,
       "a jumbo over the bound");
    is(parse(&pkt, "\0\33\0\10\0\0\0\134\0\3\0\0", 12, 100), MESH_AGAIN,
       "and at it");
    is(parse(&pkt, "\0\33\0\10\0\0\0\4\0\3\0\0", 12, 4), MESH_ERROR,
       "with a bound below its head");
}


static void
test_input(void)
{
    int               good;
    unsigned          i, n;
    uint8_t           buf[MESH_KVM_MAX_INPUT];
    mesh_kvm_event_t  in;

    is(input(&in, "\0\1\0\6\0\101", 6), MESH_OK, "a key");
    ok(in.cmd == 1 && in.u.key.action == MESH_KVM_KEY_DOWN
       && in.u.key.vk == 0x41, "down, A");
    is(input(&in, "\0\125\0\7\0\0\351", 7), MESH_OK, "a character");
    ok(in.u.unicode.action == 0 && in.u.unicode.code == 0xe9, "U+00E9");

    is(input(&in, "\0\2\0\12\0\2\1\54\0\310", 10), MESH_OK, "a button");
    ok(in.u.mouse.buttons == MESH_KVM_LEFT && in.u.mouse.x == 300
       && in.u.mouse.y == 200 && in.u.mouse.wheel == 0, "left, 300, 200");
    is(input(&in, "\0\2\0\14\0\0\1\54\0\310\0\170", 12), MESH_OK, "a wheel");
    is(in.u.mouse.wheel, 120, "away");
    is(input(&in, "\0\2\0\14\0\0\1\54\0\310\377\207", 12), MESH_OK,
       "one's complement");
    is(in.u.mouse.wheel, -121, "back");

    is(input(&in, "\0\5\0\12\1\50\4\0\0\62", 10), MESH_OK, "compression");
    ok(in.u.compression.quality == 40 && in.u.compression.scaling == 1024
       && in.u.compression.interval == 50, "40, 100 %%, 50 ms");
    is(input(&in, "\0\5\0\12\1\0\0\77\0\23", 10), MESH_OK, "out of range");
    ok(in.u.compression.quality == 0 && in.u.compression.scaling == 0
       && in.u.compression.interval == 0, "each below is left out");
    is(input(&in, "\0\5\0\12\1\145\20\1\23\211", 10), MESH_OK, "too much");
    ok(in.u.compression.quality == 0 && in.u.compression.scaling == 0
       && in.u.compression.interval == 0, "each above is left out");
    is(input(&in, "\0\5\0\6\1\50", 6), MESH_OK, "the short form");
    ok(in.u.compression.quality == 40 && in.u.compression.scaling == 0,
       "has a quality");
    is(input(&in, "\0\5\0\10\1\50\2\0", 8), MESH_OK, "the middle one");
    ok(in.u.compression.scaling == 512 && in.u.compression.interval == 0,
       "a scaling, too");

    is(input(&in, "\0\10\0\5\1", 5), MESH_OK, "pause");
    is(in.u.pause, 1, "on");
    is(input(&in, "\0\14\0\6\377\377", 6), MESH_OK, "a display");
    is(in.u.display, MESH_KVM_ALL, "all");
    is(input(&in, "\0\15\0\6\0\144", 6), MESH_OK, "an interval");
    is(in.u.interval, 100, "of 100 ms");

    /* every number with every length: nothing is read behind its end */

    for (good = 1, i = 0; i < 512; i++) {
        for (n = 4; n < 40; n++) {
            int       rc;
            uint8_t  *copy;

            memset(buf, 0xff, sizeof(buf));
            mesh_kvm_write_head(buf, (uint16_t) i, n - 4);
            copy = tap_copy(buf, n);
            rc = i == MESH_KVM_JUMBO ? MESH_ERROR : input(&in, copy, n);
            free(copy);

            good &= rc == MESH_OK || rc == MESH_ERROR || rc == MESH_DECLINED;
            good &= rc != MESH_OK || in.cmd == i;
        }
    }

    ok(good, "every number with every length");

    is(input(&in, "\0\1\0\5\0", 5), MESH_ERROR, "a key without a code");
    is(input(&in, "\0\0\0\4", 4), MESH_DECLINED, "a NOP is skipped");
    is(input(&in, "\0\127\0\5\2", 5), MESH_DECLINED, "and a lock of input");
}


static int
output(const uint8_t *buf, size_t len)
{
    mesh_kvm_packet_t  pkt;

    if (mesh_kvm_parse(&pkt, buf, len, MAX) != MESH_OK || pkt.size != len) {
        return -100;
    }

    return mesh_kvm_check_output(&pkt);
}


static void
test_output(void)
{
    size_t              i, n;
    uint8_t             buf[4096];
    static const char   text[2000];
    mesh_kvm_display_t  d[MESH_KVM_MAX_DISPLAYS];

    memset(d, 0, sizeof(d));

    for (i = 0; i < MESH_KVM_MAX_DISPLAYS; i++) {
        d[i].id = (uint16_t) (i + 1);
    }

    d[1].x = -1280;
    d[1].w = 1280;
    d[1].h = 1024;

    n = mesh_kvm_write_size(buf, 1920, 1080);
    is_bytes(buf, n, "\0\7\0\10\7\200\4\70", 8, "1920 by 1080");
    is(output(buf, n), MESH_OK, "may be said");

    n = mesh_kvm_write_byte(buf, MESH_KVM_CURSOR, 3);
    is_bytes(buf, n, "\0\130\0\5\3", 5, "a hand");
    is(output(buf, n), MESH_OK, "may be said");

    n = mesh_kvm_write_word(buf, MESH_KVM_DISPLAY, 2);
    is_bytes(buf, n, "\0\14\0\6\0\2", 6, "display 2");
    is(output(buf, n), MESH_OK, "may be said");

    n = mesh_kvm_write_displays(buf, d, 2, MESH_KVM_ALL);
    is_bytes(buf, n, "\0\13\0\16\0\3\377\377\0\1\0\2\377\377", 14,
             "two displays and all");
    is(output(buf, n), MESH_OK, "may be said");
    buf[5] = 4;
    is(output(buf, n), MESH_ERROR, "not with another count");

    n = mesh_kvm_write_displays(buf, d, MESH_KVM_MAX_DISPLAYS, 1);
    is(output(buf, n), MESH_OK, "as many as there may be");

    n = mesh_kvm_write_geometry(buf, d, 2);
    is_bytes(buf, n, "\0\122\0\30\0\1\0\0\0\0\0\0\0\0\0\2\373\0\0\0\5\0\4\0",
             24, "their places");
    is(output(buf, n), MESH_OK, "may be said");
    mesh_kvm_write_head(buf, MESH_KVM_GEOMETRY, 19);
    is(output(buf, 23), MESH_ERROR, "not with a part of one");

    n = mesh_kvm_write_geometry(buf, d, MESH_KVM_MAX_DISPLAYS);
    is(output(buf, n), MESH_OK, "as many as there may be");

    n = mesh_kvm_write_text(buf, MESH_KVM_ALERT, "no", 2);
    is_bytes(buf, n, "\0\101\0\6no", 6, "an alert");
    is((long long) mesh_kvm_write_text(buf, MESH_KVM_ALERT, text, 2000),
       4 + MESH_KVM_MAX_TEXT, "a long one is cut");
    is(output(buf, 4 + MESH_KVM_MAX_TEXT), MESH_OK, "and may be said");

    mesh_kvm_write_head(buf, MESH_KVM_ALERT, MESH_KVM_MAX_TEXT + 1);
    is(output(buf, 4 + MESH_KVM_MAX_TEXT + 1), MESH_ERROR, "no longer one");

    n = mesh_kvm_write_tile(buf, 0, 0, 0);
    is(output(buf, n), MESH_ERROR, "a tile without a picture");
    is(output((const uint8_t *) "\0\1\0\6\0\101", 6), MESH_ERROR,
       "a program that captures types nothing");
    is(output((const uint8_t *) "\1\0\0\4", 4), MESH_ERROR,
       "nor does it say what only the agent says");
}


int
main(void)
{
    test_parse();
    test_input();
    test_output();

    return tap_done();
}

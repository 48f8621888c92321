/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* mesh_utf8_check(), mesh_utf8_repair(), mesh_json_repair() */

#include "../../proto/mesh_ws.h"
#include "tap.h"


static int
valid(const uint8_t *p, size_t len)
{
    mesh_utf8_t  u;

    memset(&u, 0, sizeof(mesh_utf8_t));

    return mesh_utf8_check(&u, p, len, 1) == MESH_OK;
}


/* by the definition of RFC 3629, 3, and of CESU-8 for surrogates */

static size_t
encode(uint8_t *p, uint32_t code)
{
    if (code < 0x80) {
        p[0] = (uint8_t) code;
        return 1;
    }

    if (code < 0x800) {
        p[0] = (uint8_t) (0xc0 | code >> 6);
        p[1] = (uint8_t) (0x80 | (code & 0x3f));
        return 2;
    }

    if (code < 0x10000) {
        p[0] = (uint8_t) (0xe0 | code >> 12);
        p[1] = (uint8_t) (0x80 | (code >> 6 & 0x3f));
        p[2] = (uint8_t) (0x80 | (code & 0x3f));
        return 3;
    }

    p[0] = (uint8_t) (0xf0 | code >> 18);
    p[1] = (uint8_t) (0x80 | (code >> 12 & 0x3f));
    p[2] = (uint8_t) (0x80 | (code >> 6 & 0x3f));
    p[3] = (uint8_t) (0x80 | (code & 0x3f));

    return 4;
}


static void
test_check(void)
{
    int           good, cut;
    size_t        n, i;
    uint8_t       p[4];
    uint32_t      code, count, a, b, c;
    mesh_utf8_t   u;

    good = 1;
    cut = 1;

    for (code = 0; code <= 0x10ffff; code++) {

        n = encode(p, code);

        good &= valid(p, n) == (code < 0xd800 || code > 0xdfff);

        if (code >= 0xd800 && code <= 0xdfff) {
            continue;
        }

        for (i = 1; i < n; i++) {
            memset(&u, 0, sizeof(mesh_utf8_t));

            cut &= mesh_utf8_check(&u, p, i, 0) == MESH_OK
                   && !valid(p, i)
                   && mesh_utf8_check(&u, p + i, n - i, 1) == MESH_OK;
        }
    }

    ok(good, "every character is good, every surrogate is bad");
    ok(cut, "every character may be cut between pieces, not at the end");

    for (count = 0, a = 0; a < 256; a++) {
        p[0] = (uint8_t) a;
        count += (uint32_t) valid(p, 1);
    }

    is(count, 128, "so many texts of one byte are good");

    for (count = 0, a = 0; a < 65536; a++) {
        mesh_put16(p, (uint16_t) a);
        count += (uint32_t) valid(p, 2);
    }

    is(count, 128 * 128 + 1920, "of two bytes");

    for (count = 0, a = 0; a < 1U << 24; a++) {
        mesh_put32(p, a << 8);
        count += (uint32_t) valid(p, 3);
    }

    is(count, 128 * 128 * 128 + 2 * 128 * 1920 + 0xf800 - 0x800,
       "of three bytes");

    good = 1;

    for (a = 0xf0; a < 0x100; a++) {
        for (b = 0; b < 256; b++) {
            for (c = 0; c < 65536; c += c % 64 == 63 ? 1 : 63) {

                p[0] = (uint8_t) a;
                p[1] = (uint8_t) b;
                mesh_put16(p + 2, (uint16_t) c);

                code = (a & 7) << 18 | (b & 0x3f) << 12
                       | (p[2] & 0x3fU) << 6 | (p[3] & 0x3fU);

                good &= valid(p, 4)
                        == (a < 0xf8 && (b & 0xc0) == 0x80
                            && (p[2] & 0xc0) == 0x80
                            && (p[3] & 0xc0) == 0x80
                            && code >= 0x10000 && code <= 0x10ffff);
            }
        }
    }

    ok(good, "of four bytes: none below U+10000, none above U+10FFFF");
}


/* the same rules as mesh_utf8_repair() for one piece, written the slow way */

static void
reference(uint8_t *p, size_t len)
{
    size_t  i, n;

    for (i = 0; i < len; ) {

        for (n = 4; n && (n > len - i || !valid(p + i, n)
                          || (n > 1 && p[i] < 0x80)); n--)
        {
            /* the one character at i, or none */
        }

        if (n) {
            i += n;

        } else if (len - i >= 3 && p[i] == 0xed && (p[i + 1] & 0xe0) == 0xa0
                   && (p[i + 2] & 0xc0) == 0x80)
        {
            memcpy(p + i, "\xef\xbf\xbd", 3);
            i += 3;

        } else {
            p[i++] = '?';
        }
    }
}


static void
test_repair(void)
{
    int           whole, cut_ok, untouched, clean;
    size_t        i, len, a, b;
    uint8_t       src[6], want[6], *piece, got[6];
    uint32_t      n, k, total;
    mesh_utf8_t   u;

    static const uint8_t  bytes[] = {
        'A', 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc2, 0xe0, 0xed, 0xef,
        0xf0, 0xf4, 0xff
    };

    whole = 1;
    cut_ok = 1;
    untouched = 1;
    clean = 1;

    for (len = 1; len <= 5; len++) {

        for (total = 1, i = 0; i < len; i++) {
            total *= sizeof(bytes);
        }

        for (n = 0; n < total; n++) {

            for (k = n, i = 0; i < len; i++) {
                src[i] = bytes[k % sizeof(bytes)];
                k /= sizeof(bytes);
            }

            memcpy(want, src, len);
            reference(want, len);

            memcpy(got, src, len);
            memset(&u, 0, sizeof(mesh_utf8_t));
            mesh_utf8_repair(&u, got, len, 0);

            whole &= memcmp(got, want, len) == 0 && valid(got, len);
            clean &= u.need == 0 && u.fill == 0;

            if (len > 4) {
                continue;
            }

            /* three pieces, the middle one may be empty */

            for (a = 0; a <= len; a++) {
                for (b = a; b <= len; b++) {

                    memset(&u, 0, sizeof(mesh_utf8_t));

                    piece = tap_copy(src, a);
                    mesh_utf8_repair(&u, piece, a, len - a);
                    memcpy(got, piece, a);
                    free(piece);

                    piece = tap_copy(src + a, b - a);
                    mesh_utf8_repair(&u, piece, b - a, len - b);
                    memcpy(got + a, piece, b - a);
                    free(piece);

                    piece = tap_copy(src + b, len - b);
                    mesh_utf8_repair(&u, piece, len - b, 0);
                    memcpy(got + b, piece, len - b);
                    free(piece);

                    cut_ok &= valid(got, len);
                    clean &= u.need == 0 && u.fill == 0;

                    if (valid(src, len)) {
                        untouched &= memcmp(got, src, len) == 0;
                    }
                }
            }
        }
    }

    ok(whole, "repaired in one piece it is good and as the rules say");
    ok(cut_ok, "repaired in three pieces it is good");
    ok(untouched, "good text is not changed, however it is cut");
    ok(clean, "nothing is left over at the end of a frame");

    /* what straddles the two pieces of a long text */

    memcpy(got, "\xed\xa0" "x", 3);
    memset(&u, 0, sizeof(mesh_utf8_t));
    mesh_utf8_repair(&u, got, 2, 4);
    mesh_utf8_repair(&u, got + 2, 1, 0);
    is_bytes(got, 3, "\xef\xbf\xbd", 3, "a cut surrogate becomes U+FFFD");

    memcpy(got, "\xed\xa0\xbd" "xy", 5);
    memset(&u, 0, sizeof(mesh_utf8_t));
    mesh_utf8_repair(&u, got, 2, 3);
    mesh_utf8_repair(&u, got + 2, 3, 0);
    is_bytes(got, 5, "\xef\xbf\xbd" "xy", 5,
             "and costs nothing of what follows");

    memcpy(got, "a\xe2", 2);
    memset(&u, 0, sizeof(mesh_utf8_t));
    mesh_utf8_repair(&u, got, 2, 1);
    is_bytes(got, 2, "a?", 2,
             "no character is begun that the frame has no room for");
}


static void
test_json(void)
{
    int       good, twice, clean;
    char      name[64];
    size_t    i, k, n, len, room;
    uint8_t  *src, *dst, again[512];

    static const struct {
        const char  *src;
        size_t       src_len;
        const char  *want;
        size_t       want_len;
    } cases[] = {

#define CASE(src, want)  { src, sizeof(src) - 1, want, sizeof(want) - 1 }

        CASE("", ""),
        CASE("{\"a\":\"b\"}", "{\"a\":\"b\"}"),
        CASE("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"}",
             "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"}"),
        CASE("\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"",
             "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\""),

        /* surrogates, encoded */
        CASE("\"\xed\xa0\xbd\xed\xb8\x80\"", "\"\xf0\x9f\x98\x80\""),
        CASE("\"\xed\xa0\x80\xed\xb0\x80\"", "\"\xf0\x90\x80\x80\""),
        CASE("\"\xed\xaf\xbf\xed\xbf\xbf\"", "\"\xf4\x8f\xbf\xbf\""),
        CASE("\"\xed\xa0\xbd\"", "\"\xef\xbf\xbd\""),
        CASE("\"\xed\xb8\x80\xed\xa0\xbd\"",
             "\"\xef\xbf\xbd\xef\xbf\xbd\""),
        CASE("\"\xed\xa0\xbd\xed\xa0\xbd\xed\xb8\x80\"",
             "\"\xef\xbf\xbd\xf0\x9f\x98\x80\""),
        CASE("\"\xed\xa0\xbd\xed\xb8", "\"\xef\xbf\xbd??"),

        /* surrogates, as escapes */
        CASE("\"\\ud83d\\ude00\"", "\"\\ud83d\\ude00\""),
        CASE("\"\\uD83D\"", "\"\\ufffd\""),
        CASE("\"\\ude00\\ud83d\"", "\"\\ufffd\\ufffd\""),
        CASE("\"\\ud83d\\ud83d\\ude00\"", "\"\\ufffd\\ud83d\\ude00\""),
        CASE("\"\\ude00\\ude00\"", "\"\\ufffd\\ufffd\""),
        CASE("\"\\ud83d\\u0041\"", "\"\\ufffd\\u0041\""),
        CASE("\"\\ud83d\\ude0", "\"\\ufffd\\\\ude0"),

        /* bytes that are no UTF-8 */
        CASE("\"a\xff" "b\"", "\"a?b\""),
        CASE("\"\xe2\x82\"", "\"??\""),
        CASE("\"\xc0\x80\"", "\"??\""),
        CASE("\"\xf4\x90\x80\x80\"", "\"????\""),
        CASE("{\xff}", "{?}"),
        CASE("\"\xe2", "\"?"),

        /* control characters */
        CASE("\"a\0b\"", "\"a\\u0000b\""),
        CASE("\"\x01\x1f\x7f\"", "\"\\u0001\\u001f\x7f\""),
        CASE("\"\n\r\t\b\f\"", "\"\\n\\r\\t\\u0008\\u000c\""),
        CASE("{\n\t\"a\":\r1}", "{\n\t\"a\":\r1}"),
        CASE("{\"a\":1}\0", "{\"a\":1} "),
        CASE("\"a\\\"\n\"\n", "\"a\\\"\\n\"\n"),

        /* escapes that are none */
        CASE("\"C:\\Windows\\x\"", "\"C:\\\\Windows\\\\x\""),
        CASE("\"\\\n\"", "\"\\\\\\n\""),
        CASE("\"\\\0\"", "\"\\\\\\u0000\""),
        CASE("\"\\u12\"", "\"\\\\u12\""),
        CASE("\"\\u00g0\"", "\"\\\\u00g0\""),
        CASE("\"\\", "\"\\\\"),
        CASE("\"\\\xff\"", "\"\\\\?\""),
        CASE("\\\"a\n\"", "\\\"a\\n\""),

        /* cut off, or no JSON at all: text is mended, not syntax */
        CASE("{\"a\":\"b", "{\"a\":\"b"),
        CASE("[1,2", "[1,2")

#undef CASE
    };

    good = 1;
    twice = 1;
    clean = 1;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        src = tap_copy(cases[i].src, cases[i].src_len);
        len = mesh_json_repair(NULL, 0, src, cases[i].src_len);

        dst = malloc(len + 1);

        if (dst == NULL) {
            abort();
        }

        snprintf(name, sizeof(name), "JSON repair %zu", i + 1);
        n = mesh_json_repair(dst, len, src, cases[i].src_len);

        is_bytes(dst, n, cases[i].want, cases[i].want_len, name);

        good &= n == len && len <= MESH_JSON_REPAIR_MAX * cases[i].src_len
                && valid(dst, n);

        /* too little room: the front of the same, and its whole size */

        for (room = 0; room < len; room++) {
            memset(dst, 0xa5, len + 1);

            good &= mesh_json_repair(dst, room, src, cases[i].src_len) == len
                    && memcmp(dst, cases[i].want, room) == 0
                    && dst[room] == 0xa5;
        }

        (void) mesh_json_repair(dst, len, src, cases[i].src_len);

        n = mesh_json_repair(again, sizeof(again), dst, len);
        twice &= n == len && memcmp(again, dst, len) == 0
                 && mesh_json_clean(dst, len);

        clean &= mesh_json_clean(src, cases[i].src_len)
                 == (cases[i].src_len == cases[i].want_len
                     && memcmp(src, cases[i].want, len) == 0);

        /* and whatever has been cut */

        for (k = 0; k < cases[i].src_len; k++) {
            n = mesh_json_repair(again, sizeof(again), src, k);

            good &= n <= MESH_JSON_REPAIR_MAX * k && valid(again, n);
        }

        free(dst);
        free(src);
    }

    ok(good, "the result is good UTF-8, within its bound and within the room");
    ok(twice, "what was repaired is not repaired again");
    ok(clean, "mesh_json_clean() tells what would be changed");

    src = malloc(1000);

    if (src == NULL) {
        abort();
    }

    memset(src, 1, 1000);
    src[0] = '"';

    is((long long) mesh_json_repair(NULL, 0, src, 1000), 1 + 999 * 6,
       "the largest result");

    free(src);
}


int
main(void)
{
    test_check();
    test_repair();
    test_json();

    return tap_done();
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "mesh_ws_log.h"
#include "tap.h"


#define SERVER  { 0, 0, 1, 0, 0 }


static const uint8_t  mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

static uint8_t  stream[512 * 1024];
static size_t   stream_len;


static void
add(int fin, uint8_t opcode, const void *data, size_t len)
{
    uint8_t  *p;

    p = stream + stream_len;
    p += mesh_ws_head_masked(p, opcode, fin, len, mask);

    if (data) {
        memcpy(p, data, len);

    } else {
        memset(p, 'z', len);
    }

    (void) mesh_ws_unmask(p, p, len, mask, 0);

    stream_len = (size_t) (p - stream) + len;
}


/* feeds the stream cut at a and b, each piece in memory of its own */

static char *
run(mesh_ws_limits_t lim, size_t a, size_t b)
{
    size_t          i, at[4];
    uint8_t        *piece;
    mesh_ws_log_t   log;

    memset(&log, 0, sizeof(mesh_ws_log_t));
    log.lim = lim;
    mesh_ws_log_put(&log, "", 0);

    at[0] = 0;
    at[1] = a;
    at[2] = b;
    at[3] = stream_len;

    for (i = 0; i < 3; i++) {
        piece = tap_copy(stream + at[i], at[i + 1] - at[i]);
        mesh_ws_log_feed(&log, piece, at[i + 1] - at[i]);
        free(piece);
    }

    mesh_ws_log_end(&log);

    if (log.wrong) {
        mesh_ws_log_put(&log, "WRONG", 5);
    }

    return log.text;
}


static char *
run_bytes(mesh_ws_limits_t lim)
{
    size_t          i;
    uint8_t        *piece;
    mesh_ws_log_t   log;

    memset(&log, 0, sizeof(mesh_ws_log_t));
    log.lim = lim;
    mesh_ws_log_put(&log, "", 0);

    for (i = 0; i < stream_len; i++) {
        piece = tap_copy(stream + i, 1);
        mesh_ws_log_feed(&log, piece, 1);
        free(piece);
    }

    mesh_ws_log_end(&log);

    return log.text;
}


/* the stream gives want whole, cut at every byte, and byte by byte */

static void
expect(mesh_ws_limits_t lim, const char *want, const char *name)
{
    int      good;
    char    *text;
    size_t   i;

    text = run(lim, 0, stream_len);

    if (!is_bytes(text, strlen(text), want, strlen(want), name)) {
        free(text);
        return;
    }

    free(text);

    good = 1;

    for (i = 0; i <= stream_len && good; i++) {
        text = run(lim, i, i);
        good = strcmp(text, want) == 0;

        if (!good) {
            printf("# cut at %zu: %s\n", i, text);
        }

        free(text);
    }

    ok(good, "%s: cut at every byte", name);

    text = run_bytes(lim);
    ok(strcmp(text, want) == 0, "%s: byte by byte", name);
    free(text);

    stream_len = 0;
}


static void
raw(const char *bytes, size_t len)
{
    memcpy(stream, bytes, len);
    stream_len = len;
}


static void
test_good(void)
{
    char              big[256];
    mesh_ws_limits_t  lim = SERVER;

    add(1, MESH_WS_TEXT, "hello", 5);
    add(0, MESH_WS_BINARY, "abc", 3);
    add(1, MESH_WS_PING, "now?", 4);
    add(0, MESH_WS_CONT, "", 0);
    add(1, MESH_WS_PONG, "", 0);
    add(1, MESH_WS_CONT, "de", 2);
    add(1, MESH_WS_BINARY, "", 0);
    add(0, MESH_WS_TEXT, "", 0);
    add(1, MESH_WS_CONT, "", 0);
    add(1, MESH_WS_CLOSE, "\x03\xe8" "bye", 5);

    expect(lim, "H1.3.5[hello]F E5 H2.2.3[abc]F C9.0[now?] H2.0.0F "
           "C10.0[] H2.1.2[de]F E5 H2.3.0F E0 H1.2.0F H1.1.0F E0 "
           "C8.1000[\x03\xe8" "bye] ",
           "every kind of frame");

    add(1, MESH_WS_CLOSE, "", 0);
    expect(lim, "C8.1005[] ", "a close without a code");

    add(1, MESH_WS_PING, "\x03\xe8", 2);
    add(1, MESH_WS_CLOSE, "\x03", 1);
    expect(lim, "C9.0[\x03\xe8] X1002",
           "half a code is not made whole by an earlier ping");

    memset(big, 'z', sizeof(big));
    add(1, MESH_WS_PING, NULL, 125);
    expect(lim, "C9.0[zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
           "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
           "zzzzzz] ", "a ping of 125 bytes");
}


static void
test_client(void)
{
    mesh_ws_limits_t  lim = { 0, 0, 0, 0, 0 };

    raw("\x81\x05hello\x82\x00\x89\x01!", 12);
    expect(lim, "H1.3.5[hello]F E5 H2.3.0F E0 C9.0[!] ",
           "a client takes frames without a mask");

    raw("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    expect(lim, "X1002", "a client refuses a mask");
}


static void
test_bad(void)
{
    size_t            i;
    mesh_ws_limits_t  lim = SERVER;

    static const struct {
        const char  *name;
        const char  *bytes;
        size_t       len;
        const char  *want;
    } bad[] = {
        { "no mask", "\x81\x05hello", 7, "X1002" },
        { "RSV1", "\xc1\x80\0\0\0\0", 6, "X1002" },
        { "RSV2", "\xa1\x80\0\0\0\0", 6, "X1002" },
        { "RSV3", "\x91\x80\0\0\0\0", 6, "X1002" },
        { "RSV1 of a ping", "\xc9\x80\0\0\0\0", 6, "X1002" },
        { "opcode 3", "\x83\x80\0\0\0\0", 6, "X1002" },
        { "opcode 7", "\x87\x80\0\0\0\0", 6, "X1002" },
        { "opcode 11", "\x8b\x80\0\0\0\0", 6, "X1002" },
        { "opcode 15", "\x8f\x80\0\0\0\0", 6, "X1002" },
        { "a ping in fragments", "\x09\x80\0\0\0\0", 6, "X1002" },
        { "a close in fragments", "\x08\x80\0\0\0\0", 6, "X1002" },
        { "a ping of 126 bytes", "\x89\xfe\0\x7e\0\0\0\0", 8, "X1002" },
        { "a ping of 127", "\x89\xff\0\0\0\0\0\1\0\0\0\0\0\0", 14, "X1002" },
        { "continuation without start", "\x80\x80\0\0\0\0", 6, "X1002" },
        { "a start within a message", "\x01\x80\0\0\0\0\x81\x80\0\0\0\0", 12,
          "H1.2.0F X1002" },
        { "a continuation after the end",
          "\x81\x80\0\0\0\0\x80\x80\0\0\0\0", 12, "H1.3.0F E0 X1002" },
        { "125 in the long form", "\x81\xfe\0\x7d\0\0\0\0", 8, "X1002" },
        { "0 in the long form", "\x81\xfe\0\0\0\0\0\0", 8, "X1002" },
        { "65535 in the longest form",
          "\x82\xff\0\0\0\0\0\0\xff\xff\0\0\0\0", 14, "X1002" },
        { "a length of 2^63", "\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 14,
          "X1002" },
        { "a length of -1",
          "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14, "X1002" },
        { "a close of one byte", "\x88\x81\0\0\0\0\x03", 7, "X1002" },
        { "close code 999", "\x88\x82\0\0\0\0\x03\xe7", 8, "X1002" },
        { "close code 1005", "\x88\x82\0\0\0\0\x03\xed", 8, "X1002" },
        { "close code 5000", "\x88\x82\0\0\0\0\x13\x88", 8, "X1002" },
        { "a close that is not UTF-8", "\x88\x83\0\0\0\0\x03\xe8\xff", 9,
          "X1007" },
        { "a close cut in a character", "\x88\x83\0\0\0\0\x03\xe8\xc3", 9,
          "X1007" }
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        raw(bad[i].bytes, bad[i].len);
        expect(lim, bad[i].want, bad[i].name);
    }

    raw("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0x", 15);
    expect(lim, "H2.3.9223372036854775807[x]",
           "without a maximum 2^63 - 1 is a length");

    raw("\x02\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14);
    lim.message_max = UINT64_MAX;
    expect(lim, "H2.2.9223372036854775807",
           "the largest frame is below the largest maximum");
}


static void
test_limits(void)
{
    size_t            n;
    char              want[64], name[64];
    mesh_ws_limits_t  lim = SERVER;

    lim.frame_max = 10;

    for (n = 0; n <= 12; n++) {

        if (n > 1 && n < 9) {
            continue;
        }

        add(1, MESH_WS_BINARY, NULL, n);

        snprintf(name, sizeof(name), "%zu bytes with frame_max 10", n);
        snprintf(want, sizeof(want), n > 10 ? "X1009" : n
                 ? "H2.3.%zu[%.*s]F E%zu " : "H2.3.%zu%.*sF E%zu ", n, (int) n,
                 "zzzzzzzzzzzz", n);
        expect(lim, want, name);
    }

    lim.frame_max = 0;
    lim.message_max = 10;

    for (n = 0; n <= 12; n++) {

        if (n > 1 && n < 9) {
            continue;
        }

        add(1, MESH_WS_BINARY, NULL, n);

        snprintf(name, sizeof(name), "%zu bytes with message_max 10", n);
        snprintf(want, sizeof(want), n > 10 ? "X1009" : n
                 ? "H2.3.%zu[%.*s]F E%zu " : "H2.3.%zu%.*sF E%zu ", n, (int) n,
                 "zzzzzzzzzzzz", n);
        expect(lim, want, name);
    }

    add(0, MESH_WS_TEXT, "12345", 5);
    add(0, MESH_WS_CONT, "1234", 4);
    add(1, MESH_WS_CONT, "1", 1);
    add(1, MESH_WS_TEXT, "1234567890", 10);
    expect(lim, "H1.2.5[12345]F H1.0.4[1234]F H1.1.1[1]F E10 "
           "H1.3.10[1234567890]F E10 ",
           "fragments add up to the maximum, the next message starts at 0");

    add(0, MESH_WS_TEXT, "12345", 5);
    add(0, MESH_WS_CONT, "12345", 5);
    add(1, MESH_WS_CONT, "1", 1);
    expect(lim, "H1.2.5[12345]F H1.0.5[12345]F X1009",
           "a fragment past the maximum");

    /* the header alone: nothing of 2^63 - 1 bytes is waited for */
    raw("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14);
    expect(lim, "X1009", "the header alone is past the maximum");

    add(0, MESH_WS_BINARY, "1", 1);
    memcpy(stream + stream_len,
           "\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14);
    stream_len += 14;
    expect(lim, "H2.2.1[1]F X1009", "the sum does not wrap");
}


static void
test_discard(void)
{
    mesh_ws_limits_t  lim = { 0, 10, 1, 1, 0 };

    add(1, MESH_WS_TEXT, NULL, 11);
    add(1, MESH_WS_TEXT, "next", 4);
    expect(lim, "O11 D11 H1.3.4[next]F E4 ",
           "a message past the maximum is skipped");

    add(0, MESH_WS_BINARY, "12345", 5);
    add(0, MESH_WS_CONT, "123456", 6);
    add(1, MESH_WS_PING, "p", 1);
    add(0, MESH_WS_CONT, "", 0);
    add(0, MESH_WS_CONT, NULL, 20);
    add(1, MESH_WS_CONT, "", 0);
    add(1, MESH_WS_BINARY, "ok", 2);
    expect(lim, "H2.2.5[12345]F O6 D6 C9.0[p] D20 H2.3.2[ok]F E2 ",
           "the rest of its fragments, too, but not a ping between them");

    lim.message_max = 0;
    lim.frame_max = 4;
    add(0, MESH_WS_BINARY, "1234", 4);
    add(1, MESH_WS_CONT, "12345", 5);
    add(1, MESH_WS_BINARY, "1234", 4);
    expect(lim, "H2.2.4[1234]F O5 D5 H2.3.4[1234]F E4 ",
           "a frame past the maximum takes its message with it");

    add(0, MESH_WS_BINARY, "12345", 5);
    add(1, MESH_WS_BINARY, "1", 1);
    expect(lim, "O5 D5 X1002", "a discarded message has to end");
}


/* the caller discards after every single event of a message */

static void
test_discard_by_caller(void)
{
    int               rc, after, events, seen_end, good, next;
    uint8_t          *pos, *copy;
    mesh_ws_event_t   ev;
    mesh_ws_parse_t   st;
    mesh_ws_limits_t  lim = SERVER;

    stream_len = 0;
    add(0, MESH_WS_TEXT, "abc", 3);
    add(0, MESH_WS_CONT, "", 0);
    add(1, MESH_WS_CONT, "def", 3);
    add(1, MESH_WS_TEXT, "next", 4);

    good = 1;

    /* H [abc] F H F H [def] F, then E and the next one */

    for (after = 1; after <= 8; after++) {

        copy = tap_copy(stream, stream_len);
        memset(&st, 0, sizeof(mesh_ws_parse_t));

        pos = copy;
        events = 0;
        seen_end = 0;
        next = 0;

        while ((rc = mesh_ws_parse(&st, &lim, &pos, copy + stream_len, &ev))
               > 0)
        {
            if (++events == after) {
                mesh_ws_discard(&st);
                continue;
            }

            if (events > after && rc != MESH_WS_DISCARD) {
                next |= rc == MESH_WS_DATA && ev.size == 4
                        && memcmp(ev.data, "next", 4) == 0;
                seen_end += rc == MESH_WS_END;
            }
        }

        if (rc != MESH_AGAIN || !next || seen_end != 1) {
            printf("# after event %d: rc %d, next %d, ends %d\n", after, rc,
                   next, seen_end);
            good = 0;
        }

        free(copy);
    }

    stream_len = 0;

    ok(good, "mesh_ws_discard() drops this message and not the next");
}


static void
test_head(void)
{
    int                i, good;
    size_t             n;
    uint8_t            buf[MESH_WS_MAX_HEAD_MASKED], *pos;
    mesh_ws_event_t    ev;
    mesh_ws_parse_t    st;
    mesh_ws_limits_t   server = SERVER, client = { 0, 0, 0, 0, 0 };

    static const struct {
        uint64_t  len;
        size_t    size;
    } heads[] = {
        { 0, 2 }, { 1, 2 }, { 124, 2 }, { 125, 2 }, { 126, 4 }, { 127, 4 },
        { 65534, 4 }, { 65535, 4 }, { 65536, 10 }, { 65537, 10 },
        { UINT64_C(1) << 40, 10 }, { INT64_MAX, 10 }
    };

    good = 1;

    for (i = 0; i < (int) (sizeof(heads) / sizeof(heads[0])); i++) {

        n = mesh_ws_head(buf, MESH_WS_BINARY, 1, heads[i].len);
        pos = buf;
        memset(&st, 0, sizeof(mesh_ws_parse_t));

        good &= n == heads[i].size
                && mesh_ws_parse(&st, &client, &pos, buf + n, &ev)
                   == MESH_WS_HEAD
                && ev.len == heads[i].len && ev.fin && ev.first
                && ev.opcode == MESH_WS_BINARY && pos == buf + n;

        n = mesh_ws_head_masked(buf, MESH_WS_TEXT, 0, heads[i].len, mask);
        pos = buf;
        memset(&st, 0, sizeof(mesh_ws_parse_t));

        good &= n == heads[i].size + 4
                && mesh_ws_parse(&st, &server, &pos, buf + n, &ev)
                   == MESH_WS_HEAD
                && ev.len == heads[i].len && !ev.fin && ev.first
                && ev.opcode == MESH_WS_TEXT && pos == buf + n;
    }

    ok(good, "headers are as short as they can be and are read back");
}


/*
 * What the relay does: the outgoing header in front of the payload, in the
 * buffer the frame came in, cut anywhere.
 */

static void
test_rewrite(void)
{
    int               rc, good;
    size_t            cut, i, n, want_len, got_len, left;
    uint8_t          *buf, *pos, *last, head[MESH_WS_MAX_HEAD];
    static uint8_t    want[8192], got[8192];
    mesh_ws_event_t   ev;
    mesh_ws_parse_t   st;
    mesh_ws_limits_t  lim = SERVER;

    static const size_t  sizes[] = { 0, 1, 125, 126, 127, 1000, 3, 0, 200 };

    stream_len = 0;
    want_len = 0;

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        add(1, MESH_WS_BINARY, NULL, sizes[i]);
        want_len += mesh_ws_head(want + want_len, MESH_WS_BINARY, 1,
                                 sizes[i]);
        memset(want + want_len, 'z', sizes[i]);
        want_len += sizes[i];
    }

    good = 1;

    for (cut = 0; cut <= stream_len && good; cut++) {

        memset(&st, 0, sizeof(mesh_ws_parse_t));
        got_len = 0;

        for (i = 0; i < 2; i++) {

            left = i ? stream_len - cut : cut;
            buf = malloc(MESH_WS_MAX_HEAD + left);

            if (buf == NULL) {
                abort();
            }

            pos = buf + MESH_WS_MAX_HEAD;
            last = pos + left;
            memcpy(pos, stream + (i ? cut : 0), left);

            while ((rc = mesh_ws_parse(&st, &lim, &pos, last, &ev)) > 0) {

                if (rc == MESH_WS_HEAD) {
                    n = mesh_ws_head(head, ev.opcode, ev.fin, ev.len);

                    good &= pos - n >= buf;
                    memcpy(pos - n, head, n);
                    memcpy(got + got_len, pos - n, n);
                    got_len += n;

                } else if (rc == MESH_WS_DATA) {
                    memcpy(got + got_len, ev.data, ev.size);
                    got_len += ev.size;
                }
            }

            good &= rc == MESH_AGAIN;

            free(buf);
        }

        good &= got_len == want_len && memcmp(got, want, want_len) == 0;
    }

    stream_len = 0;

    ok(good, "a frame is rewritten in place, cut at every byte");
}


static void
test_large(void)
{
    char              *text, *whole;
    size_t             i;
    mesh_ws_limits_t   lim = SERVER;

    static const size_t  cuts[] = {
        1, 2, 3, 7, 8, 9, 4096, 65542, 65543, 65544, 65551, 65552, 65553,
        65556, 65557, 65558, 131093, 131094
    };

    add(0, MESH_WS_BINARY, NULL, 65535);
    add(1, MESH_WS_CONT, NULL, 65536);
    add(1, MESH_WS_TEXT, "end", 3);

    whole = run(lim, 0, stream_len);

    ok(strlen(whole) > 131071
       && strncmp(whole, "H2.2.65535[zzz", 14) == 0
       && strstr(whole, "z]F H2.1.65536[z")
       && strstr(whole, "z]F E131071 H1.3.3[end]F E3 "),
       "frames of 65535 and 65536 bytes");

    for (i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        text = run(lim, cuts[i], cuts[i] + 1);
        ok(strcmp(text, whole) == 0, "the same cut at %zu", cuts[i]);
        free(text);
    }

    free(whole);
    stream_len = 0;
}


static void
test_unmask(void)
{
    int       good;
    size_t    off, len, back, i;
    uint8_t   buf[128], plain[128], want[128];
    unsigned  phase;

    for (i = 0; i < sizeof(plain); i++) {
        plain[i] = (uint8_t) (i * 7 + 1);
    }

    good = 1;

    for (phase = 0; phase < 4; phase++) {
        for (off = 0; off < 16; off++) {
            for (back = 0; back <= off; back++) {
                for (len = 0; len + off < sizeof(buf); len++) {

                    memcpy(buf, plain, sizeof(buf));
                    memcpy(want, plain, sizeof(want));

                    for (i = 0; i < len; i++) {
                        want[off - back + i] = plain[off + i]
                                               ^ mask[(i + phase) % 4];
                    }

                    good &= mesh_ws_unmask(buf + off - back, buf + off, len,
                                           mask, phase)
                            == (phase + len) % 4;
                    good &= memcmp(buf, want, sizeof(buf)) == 0;
                }
            }
        }
    }

    ok(good, "unmasking at every offset, length and phase, moved back or not");
}


/* with keep_mask its caller unmasks: the same text, however it is cut */

static void
test_keep_mask(void)
{
    int               good;
    char             *whole, *text;
    size_t            cut;
    mesh_ws_limits_t  lim;

    stream_len = 0;
    add(0, MESH_WS_BINARY, "what a relay packs while it unmasks", 35);
    add(1, MESH_WS_CONT, "the rest", 8);

    memset(&lim, 0, sizeof(mesh_ws_limits_t));
    lim.need_mask = 1;
    whole = run(lim, 0, 0);

    lim.keep_mask = 1;
    good = 1;

    for (cut = 0; cut <= stream_len; cut++) {
        text = run(lim, cut, cut);
        good &= strcmp(text, whole) == 0;
        free(text);
    }

    ok(good, "what stays masked comes with the mask for each piece");
    free(whole);
    stream_len = 0;
}


static void
test_codes(void)
{
    int       want, good;
    unsigned  code;

    good = 1;

    for (code = 0; code < 65536; code++) {
        want = (code >= 1000 && code <= 1014 && code != 1004 && code != 1005
                && code != 1006)
               || (code >= 3000 && code <= 4999);

        good &= mesh_ws_code_valid((uint16_t) code) == want;
    }

    ok(good, "close codes that may be sent");
}


int
main(void)
{
    test_good();
    test_client();
    test_bad();
    test_limits();
    test_discard();
    test_discard_by_caller();
    test_head();
    test_rewrite();
    test_large();
    test_unmask();
    test_keep_mask();
    test_codes();

    return tap_done();
}

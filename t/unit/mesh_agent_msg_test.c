/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "../../proto/mesh_agent_msg.h"
#include "tap.h"


static uint8_t  hash_a[48], hash_b[48], hash_c[48];


static int
parse(mesh_agent_msg_t *msg, const uint8_t *buf, size_t len)
{
    int       rc;
    uint8_t  *copy;

    copy = tap_copy(buf, len);
    rc = mesh_agent_msg_parse(msg, copy, len);
    free(copy);

    return rc;
}


/* which of the lengths 0 .. last are taken; each in memory of its own */

static void
lengths(const uint8_t *buf, size_t last, const size_t *good, size_t ngood,
    const char *name)
{
    int               rc, right;
    size_t            n, i, want;
    mesh_agent_msg_t  msg;

    right = 1;

    for (n = 0; n <= last; n++) {

        rc = parse(&msg, buf, n);

        for (want = 0, i = 0; i < ngood; i++) {
            want |= good[i] == n;
        }

        if ((rc == MESH_OK) != want || (!want && rc != MESH_ERROR)) {
            printf("# %s: %d for %zu bytes\n", name, rc, n);
            right = 0;
        }
    }

    ok(right, "%s: the right lengths only, cut at every byte", name);
}


static void
test_numbers(void)
{
    uint8_t  p[8];

    is(mesh_put16(p, 0xfedc) - p, 2, "two bytes");
    is(mesh_get16(p), 0xfedc, "16 bits");
    is_bytes(p, 2, "\xfe\xdc", 2, "16 bits, in network order");

    is(mesh_put32(p, 0xfedcba98) - p, 4, "four bytes");
    is(mesh_get32(p), 0xfedcba98LL, "32 bits");
    is_bytes(p, 4, "\xfe\xdc\xba\x98", 4, "32 bits, in network order");

    is(mesh_put64(p, UINT64_C(0xfedcba9876543210)) - p, 8, "eight bytes");
    ok(mesh_get64(p) == UINT64_C(0xfedcba9876543210), "64 bits");
    is_bytes(p, 8, "\xfe\xdc\xba\x98\x76\x54\x32\x10", 8,
             "64 bits, in network order");
}


static void
test_auth_request(void)
{
    size_t            n;
    uint8_t           buf[128];
    mesh_agent_msg_t  msg;

    static const size_t  good[] = { 98 };

    memset(buf, 0, sizeof(buf));

    n = mesh_agent_write_auth_request(buf, hash_a, hash_b);

    is((long long) n, 98, "AuthRequest is written");
    is(mesh_agent_msg_parse(&msg, buf, n), MESH_OK, "and read");
    is(msg.cmd, 1, "its number");
    is_bytes(msg.u.request.web_hash, 48, hash_a, 48, "web hash");
    is_bytes(msg.u.request.nonce, 48, hash_b, 48, "nonce");

    lengths(buf, 100, good, 1, "AuthRequest");
}


static void
test_auth_verify(void)
{
    int               good;
    size_t            n, i;
    uint8_t          *buf;
    mesh_agent_msg_t  msg;

    static uint8_t    big[5000];

    buf = calloc(1, 70000);

    if (buf == NULL) {
        abort();
    }

    memset(big, 'c', sizeof(big));

    n = mesh_agent_write_auth_verify(buf, 70000, big, 1000, hash_a, 48);

    is((long long) n, 1052, "AuthVerify is written");
    is(mesh_agent_msg_parse(&msg, buf, n), MESH_OK, "and read");
    is_bytes(msg.u.verify.cert, msg.u.verify.cert_len, big, 1000,
             "certificate");
    is_bytes(msg.u.verify.sig, msg.u.verify.sig_len, hash_a, 48, "signature");

    /* the signature takes what is left: only 1 byte of it has to be there */

    good = 1;

    for (i = 0; i <= n; i++) {
        good &= parse(&msg, buf, i) == (i < 1005 ? MESH_ERROR : MESH_OK);
    }

    ok(good, "AuthVerify: cut at every byte");

    mesh_put16(buf + 2, 0);
    is(parse(&msg, buf, 100), MESH_ERROR, "no certificate");

    mesh_put16(buf + 2, 1);
    is(parse(&msg, buf, 6), MESH_OK, "one byte of each");
    is(parse(&msg, buf, 5), MESH_ERROR, "no signature");

    mesh_put16(buf + 2, 95);
    is(parse(&msg, buf, 100), MESH_OK, "the certificate up to the last byte");
    mesh_put16(buf + 2, 96);
    is(parse(&msg, buf, 100), MESH_ERROR, "the certificate up to the end");
    mesh_put16(buf + 2, 97);
    is(parse(&msg, buf, 100), MESH_ERROR, "and past it");
    mesh_put16(buf + 2, 0xffff);
    is(parse(&msg, buf, 100), MESH_ERROR, "65535 bytes of it");

    mesh_put16(buf + 2, 1000);
    is(parse(&msg, buf, 4095), MESH_OK, "4095 bytes in all");
    is(parse(&msg, buf, 4096), MESH_OK, "4096 bytes in all");
    is(parse(&msg, buf, 4097), MESH_ERROR, "4097 bytes in all");

    is((long long) mesh_agent_write_auth_verify(buf, 1052, big, 1000, hash_a,
                                                48),
       1052, "written where it just fits");
    is((long long) mesh_agent_write_auth_verify(buf, 1051, big, 1000, hash_a,
                                                48),
       0, "not written where it does not");
    is((long long) mesh_agent_write_auth_verify(buf, 3, big, 0, hash_a, 0),
       0, "nor where there is nearly no room");
    is((long long) mesh_agent_write_auth_verify(buf, 70000, big, 65536,
                                                hash_a, 48),
       0, "nor a certificate of 65536 bytes");
    is((long long) mesh_agent_write_auth_verify(buf, 70000, big, 10, hash_a,
                                                SIZE_MAX),
       0, "sizes do not wrap");
    is((long long) mesh_agent_write_auth_verify(buf, 10, big, 100, hash_a,
                                                1),
       0, "nor where the certificate alone has no room");

    free(buf);
}


static void
test_auth_info(void)
{
    int               good;
    size_t            n, i;
    uint8_t          *buf, *p;
    mesh_agent_msg_t  msg;

    buf = calloc(1, 70000);

    if (buf == NULL) {
        abort();
    }

    p = mesh_put16(buf, MESH_AGENT_AUTH_INFO);
    p = mesh_put32(p, 1);
    p = mesh_put32(p, 6);
    p = mesh_put32(p, 0x01020304);
    p = mesh_put32(p, MESH_AGENT_VIRTUAL);
    memcpy(p, hash_a, 48);
    p = mesh_put32(p + 48, MESH_AGENT_CAP_CONSOLE|MESH_AGENT_CAP_JAVASCRIPT
                           |MESH_AGENT_CAP_COMPRESSED);
    p = mesh_put16(p, 5);
    memcpy(p, "h\xc3\xb6st", 5);
    n = (size_t) (p + 5 - buf);

    is((long long) n, 77, "AuthInfo");
    is(mesh_agent_msg_parse(&msg, buf, n), MESH_OK, "is read");
    is(msg.u.info.version, 1, "version");
    is(msg.u.info.agent_id, 6, "agent id");
    is(msg.u.info.agent_version, 0x01020304, "agent version");
    is(msg.u.info.platform, MESH_AGENT_VIRTUAL, "platform");
    is(msg.u.info.caps, 0x118, "capabilities");
    is_bytes(msg.u.info.mesh, msg.u.info.mesh_len, hash_a, 48, "group");
    is_bytes(msg.u.info.name, msg.u.info.name_len, "h\xc3\xb6st", 5, "name");

    good = 1;

    for (i = 0; i < n; i++) {
        good &= parse(&msg, buf, i) == (i == 70 ? MESH_OK : MESH_ERROR);
    }

    ok(good, "AuthInfo: cut at every byte, 70 are the old form");

    is(mesh_agent_msg_parse(&msg, buf, 70), MESH_OK, "the old form");
    ok(msg.u.info.name == NULL && msg.u.info.name_len == 0, "has no name");

    memset(buf + 18 + 32, 0, 16);
    is(mesh_agent_msg_parse(&msg, buf, n), MESH_OK, "a group of 32 bytes");
    is((long long) msg.u.info.mesh_len, 32, "is told apart");

    for (good = 1, i = 0; i < 12; i++) {
        mesh_put32(buf + 14, (uint32_t) i);
        good &= mesh_agent_msg_parse(&msg, buf, n) == MESH_OK
                && msg.u.info.platform == (i >= 1 && i <= 8 ? i : 1);
    }

    mesh_put32(buf + 14, 0xffffffff);
    good &= mesh_agent_msg_parse(&msg, buf, n) == MESH_OK
            && msg.u.info.platform == 1;

    ok(good, "a platform outside 1..8 is 1");

    mesh_put16(buf + 70, 0);
    is(parse(&msg, buf, 72), MESH_OK, "a name of 0 bytes");
    mesh_put16(buf + 70, 1);
    is(parse(&msg, buf, 73), MESH_OK, "of 1 byte");
    mesh_put16(buf + 70, 4);
    is(parse(&msg, buf, 77), MESH_ERROR, "one byte more than its length");
    mesh_put16(buf + 70, 6);
    is(parse(&msg, buf, 77), MESH_ERROR, "one byte less than its length");
    mesh_put16(buf + 70, 0xffff);
    is(parse(&msg, buf, 77), MESH_ERROR, "a length of 65535");

    mesh_put16(buf + 70, MESH_AGENT_MAX_NAME - 1);
    is(parse(&msg, buf, 4095), MESH_OK, "the longest name but one");
    mesh_put16(buf + 70, MESH_AGENT_MAX_NAME);
    is(parse(&msg, buf, 4096), MESH_OK, "the longest name");
    mesh_put16(buf + 70, MESH_AGENT_MAX_NAME + 1);
    is(parse(&msg, buf, 4097), MESH_ERROR, "one byte longer");

    free(buf);
}


static void
test_short(void)
{
    size_t            n;
    uint8_t           buf[128];
    mesh_agent_msg_t  msg;

    static const size_t  two[] = { 2 }, four[] = { 4 }, fifty[] = { 50 };
    static const size_t  hashed[] = { 52 }, both[] = { 4, 52 };

    memset(buf, 0, sizeof(buf));

    n = mesh_agent_write_auth_confirm(buf);
    is((long long) n, 2, "AuthConfirm is written");
    is(mesh_agent_msg_parse(&msg, buf, n), MESH_OK, "and read");
    is(msg.cmd, MESH_AGENT_AUTH_CONFIRM, "its number");
    lengths(buf, 10, two, 1, "AuthConfirm");

    mesh_put16(buf, MESH_AGENT_SERVER_ID);
    memcpy(buf + 2, hash_c, 48);
    is(mesh_agent_msg_parse(&msg, buf, 50), MESH_OK, "ServerId");
    is_bytes(msg.u.hash.hash, 48, hash_c, 48, "its hash");
    ok(!msg.u.hash.zero && !msg.u.hash.legacy, "is a SHA-384");
    lengths(buf, 60, fifty, 1, "ServerId");

    memset(buf + 34, 0, 16);
    is(mesh_agent_msg_parse(&msg, buf, 50), MESH_OK, "ServerId");
    ok(!msg.u.hash.zero && msg.u.hash.legacy, "of 32 bytes");

    memset(buf, 0, sizeof(buf));
    n = mesh_agent_write_request(buf, MESH_AGENT_CORE_HASH, 0x1234);
    is_bytes(buf, n, "\x00\x0b\x12\x34", 4, "a request for the core hash");
    is(mesh_agent_msg_parse(&msg, buf, n), MESH_OK, "no core");
    ok(msg.u.hash.hash == NULL && msg.id == 0x1234, "has no hash");
    lengths(buf, 60, both, 2, "CoreModuleHash");

    is(mesh_agent_msg_parse(&msg, buf, 52), MESH_OK, "a pinned core");
    ok(msg.u.hash.hash && msg.u.hash.zero && !msg.u.hash.ones,
       "has a hash of zeros");

    n = mesh_agent_write_hashed(buf, MESH_AGENT_CORE_HASH, 7, hash_a);
    is((long long) n, 52, "a core hash");
    is(mesh_agent_msg_parse(&msg, buf, n), MESH_OK, "is read");
    is_bytes(msg.u.hash.hash, 48, hash_a, 48, "its hash");
    ok(!msg.u.hash.zero && !msg.u.hash.ones && msg.id == 7, "and its id");

    n = mesh_agent_write_hashed(buf, MESH_AGENT_HASH, 0, hash_b);
    lengths(buf, 60, hashed, 1, "AgentHash");

    memset(buf + 4, 0xff, 48);
    is(mesh_agent_msg_parse(&msg, buf, n), MESH_OK, "AgentHash of all ones");
    ok(msg.u.hash.ones && !msg.u.hash.zero, "is a forced update");

    n = mesh_agent_write_block(buf);
    is_bytes(buf, n, "\x00\x0e\x00\x01", 4, "a block's header, also its ack");
    is(mesh_agent_msg_parse(&msg, buf, n), MESH_OK, "is read");
    is(msg.id, 1, "with its id");
    lengths(buf, 10, four, 1, "AgentUpdateBlock ack");
}


static void
test_text(void)
{
    int               good;
    size_t            n, i;
    uint8_t          *buf;
    mesh_agent_msg_t  msg;

    static const struct {
        uint16_t     cmd;
        size_t       max;
        const char  *name;
    } texts[] = {
        { MESH_AGENT_TAG, 2 + 8192, "AgentTag" },
        { MESH_AGENT_COMMIT_DATE, 4096, "AgentCommitDate" },
        { MESH_AGENT_HOST_INFO, 4096, "HostInfo" }
    };

    buf = malloc(70000);

    if (buf == NULL) {
        abort();
    }

    for (i = 0; i < 3; i++) {

        memset(buf, 'x', 70000);
        mesh_put16(buf, texts[i].cmd);

        for (good = 1, n = 0; n < 64; n++) {
            good &= parse(&msg, buf, n) == (n < 2 ? MESH_ERROR : MESH_OK);
            good &= n < 2 || msg.u.text.len == n - 2;
        }

        ok(good, "%s: cut at every byte", texts[i].name);

        is(parse(&msg, buf, texts[i].max - 1), MESH_OK, "one below the most");
        is(parse(&msg, buf, texts[i].max), MESH_OK, "the most");
        is(parse(&msg, buf, texts[i].max + 1), MESH_ERROR, "one above");
        is(parse(&msg, buf, 70000), MESH_ERROR, "70,000 bytes");

        memcpy(buf + 2, "ab\0c\0\0", 6);
        is(mesh_agent_msg_parse(&msg, buf, 8), MESH_OK, "NULs at the end");
        is_bytes(msg.u.text.data, msg.u.text.len, "ab\0c", 4,
                 "are not text, those within are");

        memset(buf + 2, 0, 6);
        is(mesh_agent_msg_parse(&msg, buf, 8), MESH_OK, "NULs only");
        is((long long) msg.u.text.len, 0, "are no text");
    }

    free(buf);
}


static void
test_unknown(void)
{
    int               good;
    uint32_t          cmd;
    static uint8_t    buf[4096];
    mesh_agent_msg_t  msg;

    /* every number, at a length that none of the known ones takes but text */

    good = 1;

    for (cmd = 0; cmd < 65536; cmd++) {

        mesh_put16(buf, (uint16_t) cmd);

        switch (cmd) {

        case 1: case 2: case 3: case 4: case 5: case 11: case 12: case 14:
            good &= mesh_agent_msg_parse(&msg, buf, 3) == MESH_ERROR;
            break;

        case 15: case 30: case 31:
            good &= mesh_agent_msg_parse(&msg, buf, 3) == MESH_OK;
            break;

        default:
            good &= mesh_agent_msg_parse(&msg, buf, 2) == MESH_DECLINED;
            good &= mesh_agent_msg_parse(&msg, buf, 4096) == MESH_DECLINED
                    && msg.cmd == cmd;
        }
    }

    ok(good, "what a server does not know is declined, whatever its length");
    is(parse(&msg, buf, 0), MESH_ERROR, "nothing is no message");
    is(parse(&msg, buf, 1), MESH_ERROR, "nor is one byte");
}


static void
test_sign_input(void)
{
    uint8_t  out[MESH_AGENT_SIGN_LEN];

    mesh_agent_sign_input(out, MESH_AGENT_SIGN_SERVER, hash_a, hash_b,
                          hash_c);

    is_bytes(out, 48, hash_a, 48, "the server signs the web hash,");
    is_bytes(out + 48, 48, hash_b, 48, "the agent's nonce,");
    is_bytes(out + 96, 48, hash_c, 48, "and its own");

    mesh_agent_sign_input(out, MESH_AGENT_SIGN_AGENT, hash_a, hash_b, hash_c);

    is_bytes(out, 48, hash_a, 48, "the agent signs the web hash,");
    is_bytes(out + 48, 48, hash_c, 48, "the server's nonce,");
    is_bytes(out + 96, 48, hash_b, 48, "and its own");
}


static void
test_b64x(void)
{
    int      good, one;
    char     text[128];
    size_t   n, i;
    uint8_t  bytes[64], back[64];

    /* RFC 4648, 10, without padding */

    static const struct {
        const char  *plain;
        const char  *text;
    } vectors[] = {
        { "", "" }, { "f", "Zg" }, { "fo", "Zm8" }, { "foo", "Zm9v" },
        { "foob", "Zm9vYg" }, { "fooba", "Zm9vYmE" },
        { "foobar", "Zm9vYmFy" }, { "\xfb\xef\xbe", "@@@@" },
        { "\xff\xff\xff", "$$$$" }
    };

    for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        n = mesh_b64x_encode(text, (const uint8_t *) vectors[i].plain,
                             strlen(vectors[i].plain));
        is_bytes(text, n, vectors[i].text, strlen(vectors[i].text),
                 "b64x as in RFC 4648");
    }

    good = 1;

    for (n = 0; n <= sizeof(bytes); n++) {

        for (i = 0; i < n; i++) {
            bytes[i] = (uint8_t) (i * 37 + n * 11);
        }

        i = mesh_b64x_encode(text, bytes, n);

        good &= i == mesh_b64x_len(n)
                && mesh_b64x_decode(back, n, text, i) == (int) n
                && memcmp(back, bytes, n) == 0;

        if (n) {
            good &= mesh_b64x_decode(back, n - 1, text, i) == MESH_ERROR;
        }
    }

    ok(good, "b64x there and back, and never past its room");
    is(mesh_b64x_len(48), 64, "48 bytes are 64 characters");

    is(mesh_b64x_decode(back, 64, "A", 1), MESH_ERROR, "one character");
    is(mesh_b64x_decode(back, 64, "Zm9vY", 5), MESH_ERROR, "five");
    is(mesh_b64x_decode(back, 64, "Zh", 2), MESH_ERROR, "bits left over");
    is(mesh_b64x_decode(back, 64, "Zm9", 3), MESH_ERROR, "bits left over");
    is(mesh_b64x_decode(back, 64, "Zg==", 4), MESH_ERROR, "padding");
    is(mesh_b64x_decode(back, 64, "++++", 4), MESH_ERROR, "'+'");
    is(mesh_b64x_decode(back, 64, "////", 4), MESH_ERROR, "'/'");

    for (one = 1, i = 0; i < 256; i++) {
        memset(text, (int) i, 4);
        one &= (mesh_b64x_decode(back, 64, text, 4) == 3)
               == ((i >= 'A' && i <= 'Z') || (i >= 'a' && i <= 'z')
                   || (i >= '0' && i <= '9') || i == '@' || i == '$');
    }

    ok(one, "no other characters");
}


static void
test_hex(void)
{
    int      good;
    char     text[16];
    size_t   i;
    uint8_t  back[8];

    mesh_hex_encode(text, (const uint8_t *) "\x00\x9a\xbc\xff", 4, 0);
    is_bytes(text, 8, "009abcff", 8, "hex, lower case");

    mesh_hex_encode(text, (const uint8_t *) "\x00\x9a\xbc\xff", 4, 1);
    is_bytes(text, 8, "009ABCFF", 8, "hex, upper case");

    is(mesh_hex_decode(back, 4, "009aBCfF", 8), 4, "hex is read");
    is_bytes(back, 4, "\x00\x9a\xbc\xff", 4, "in either case");

    is(mesh_hex_decode(back, 3, "009aBCfF", 8), MESH_ERROR, "too little room");
    is(mesh_hex_decode(back, 8, "009aB", 5), MESH_ERROR, "half a byte");
    is(mesh_hex_decode(back, 8, "", 0), 0, "nothing");

    for (good = 1, i = 0; i < 256; i++) {
        text[0] = '0';
        text[1] = (char) i;
        good &= (mesh_hex_decode(back, 8, text, 2) == 1)
                == ((i >= 'A' && i <= 'F') || (i >= 'a' && i <= 'f')
                    || (i >= '0' && i <= '9'));
    }

    ok(good, "no other characters");
}


int
main(void)
{
    size_t  i;

    for (i = 0; i < 48; i++) {
        hash_a[i] = (uint8_t) (i + 1);
        hash_b[i] = (uint8_t) (i + 65);
        hash_c[i] = (uint8_t) (i + 129);
    }

    test_numbers();
    test_auth_request();
    test_auth_verify();
    test_auth_info();
    test_short();
    test_text();
    test_unknown();
    test_sign_input();
    test_b64x();
    test_hex();

    return tap_done();
}

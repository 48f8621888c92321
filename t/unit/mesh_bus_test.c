/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "../../proto/mesh_bus.h"
#include "tap.h"


#define TYPES  9


static int
parse(mesh_bus_msg_t *msg, const uint8_t *buf, size_t len)
{
    int       rc;
    uint8_t  *copy;

    copy = tap_copy(buf, len);
    rc = mesh_bus_parse(msg, TYPES, copy, len);
    free(copy);

    return rc;
}


static int
parse_hello(mesh_bus_hello_t *hello, const uint8_t *buf, size_t len)
{
    int       rc;
    uint8_t  *copy;

    copy = tap_copy(buf, len);
    rc = mesh_bus_parse_hello(hello, copy, len);
    free(copy);

    return rc;
}


static void
test_hello(void)
{
    int               good;
    size_t            n;
    uint8_t           buf[MESH_BUS_HELLO], bad[MESH_BUS_HELLO];
    mesh_bus_hello_t  hello, back;

    memset(&hello, 0, sizeof(mesh_bus_hello_t));
    hello.type = MESH_BUS_RELAY;
    hello.slot = 255;
    hello.epoch = 0x01020304;
    hello.arg = 0xfffffffe;
    hello.serial = 0x0102030405060708ULL;
    memset(hello.key, 0xa5, sizeof(hello.key));
    mesh_bus_write_hello(buf, &hello);

    good = 1;

    for (n = 0; n < MESH_BUS_HELLO; n++) {
        good &= parse_hello(&back, buf, n) == MESH_AGAIN;
    }

    ok(good, "S-20: a hello of the bus, cut at every byte, is not enough");

    memset(&back, 0, sizeof(mesh_bus_hello_t));
    is(parse_hello(&back, buf, MESH_BUS_HELLO), MESH_OK, "a hello");
    ok(back.type == hello.type && back.slot == hello.slot
       && back.epoch == hello.epoch && back.arg == hello.arg
       && back.serial == hello.serial
       && memcmp(back.key, hello.key, sizeof(hello.key)) == 0,
       "comes as it went");

    for (n = 0; n < 4; n++) {
        memcpy(bad, buf, sizeof(bad));
        bad[n] ^= 1;
        is(parse_hello(&back, bad, sizeof(bad)), MESH_ERROR,
           "byte %zu of the magic wrong", n);
    }

    memcpy(bad, buf, sizeof(bad));
    bad[5] = 0;
    is(parse_hello(&back, bad, sizeof(bad)), MESH_ERROR, "type 0");
    bad[5] = MESH_BUS_PIPES;
    is(parse_hello(&back, bad, sizeof(bad)), MESH_ERROR, "a type too high");

    memcpy(bad, buf, sizeof(bad));
    bad[6] = 1;
    bad[7] = 0;
    is(parse_hello(&back, bad, sizeof(bad)), MESH_ERROR, "slot 256");
}


static void
test_message(void)
{
    int              good;
    size_t           n, i;
    uint8_t          buf[MESH_BUS_HEAD + 300], head[MESH_BUS_HEAD];
    mesh_bus_msg_t   msg, want;

    static const uint32_t  lengths[] = {
        0, 1, 255, MESH_BUS_MAX - 1, MESH_BUS_MAX
    };
    static const uint32_t  wrong[] = {
        MESH_BUS_MAX + 1, 0x7fffffff, 0x80000000, 0xffffffe8, 0xffffffff
    };

    memset(&want, 0, sizeof(mesh_bus_msg_t));
    memset(buf, 0x5a, sizeof(buf));
    want.len = 300;
    want.type = TYPES - 1;
    want.serial = 0x1122334455667788ULL;
    want.from = 0x8877665544332211ULL;
    mesh_bus_write(buf, &want);

    good = 1;

    for (n = 0; n < sizeof(buf); n++) {
        good &= parse(&msg, buf, n) == MESH_AGAIN
                && msg.size == (n < MESH_BUS_HEAD ? MESH_BUS_HEAD
                                                  : sizeof(buf));
    }

    ok(good, "S-20: a message of the bus, cut at every byte, is not enough,"
       " and says how much is");

    is(mesh_bus_parse(&msg, TYPES, buf, sizeof(buf)), MESH_OK, "a message");
    ok(msg.len == 300 && msg.type == TYPES - 1 && msg.serial == want.serial
       && msg.from == want.from && msg.data == buf + MESH_BUS_HEAD
       && msg.size == sizeof(buf), "comes as it went");

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        want.len = lengths[i];
        mesh_bus_write(head, &want);
        is(parse(&msg, head, sizeof(head)), want.len ? MESH_AGAIN : MESH_OK,
           "a body of %u bytes", want.len);
        is((long long) msg.size, MESH_BUS_HEAD + (long long) want.len,
           "is as long as it says");
    }

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        want.len = wrong[i];
        mesh_bus_write(head, &want);
        is(parse(&msg, head, sizeof(head)), MESH_ERROR,
           "S-22: a body of %u bytes is refused", want.len);
    }

    want.len = 0;
    want.type = 0;
    mesh_bus_write(head, &want);
    is(parse(&msg, head, sizeof(head)), MESH_ERROR, "type 0");
    want.type = TYPES;
    mesh_bus_write(head, &want);
    is(parse(&msg, head, sizeof(head)), MESH_ERROR, "a type too high");
    want.type = 1;
    mesh_bus_write(head, &want);
    head[6] = 1;
    is(parse(&msg, head, sizeof(head)), MESH_ERROR, "what must be zero");
}


int
main(void)
{
    test_hello();
    test_message();

    return tap_done();
}

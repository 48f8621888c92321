/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "../../proto/mesh_signer_msg.h"
#include "tap.h"


typedef int (*parse_pt)(mesh_signer_msg_t *msg, const uint8_t *buf,
    size_t len);


static int
parse(parse_pt read, mesh_signer_msg_t *msg, const uint8_t *buf, size_t len)
{
    int       rc;
    uint8_t  *copy;

    copy = tap_copy(buf, len);
    rc = read(msg, copy, len);
    free(copy);

    return rc;
}


/* AGAIN for each shorter one, msg untouched; OK for more than one frame */

static void
cut(parse_pt read, const uint8_t *frame, size_t len, const char *name)
{
    int                good;
    size_t             n;
    uint8_t           *two;
    mesh_signer_msg_t  msg, before;

    good = 1;

    memset(&msg, 0x5a, sizeof(mesh_signer_msg_t));
    before = msg;

    for (n = 0; n < len; n++) {
        good &= parse(read, &msg, frame, n) == MESH_AGAIN
                && memcmp(&msg, &before, sizeof(mesh_signer_msg_t)) == 0;
    }

    ok(good, "%s: cut at every byte", name);

    two = malloc(2 * len + 1);

    if (two == NULL) {
        abort();
    }

    memcpy(two, frame, len);
    memcpy(two + len, frame, len);

    good = 1;

    for (n = len; n <= 2 * len; n++) {
        good &= parse(read, &msg, two, n) == MESH_OK && msg.size == len;
    }

    ok(good, "%s: with a part of the next one behind it", name);

    free(two);
}


static void
test_request(void)
{
    size_t             n;
    uint8_t            buf[256], web[48], agent[48], server[48];
    mesh_signer_msg_t  msg;

    memset(web, 'w', 48);
    memset(agent, 'a', 48);
    memset(server, 's', 48);

    n = mesh_signer_write_sign(buf, 0xfedcba98, 3, web, agent, server);

    is((long long) n, MESH_SIGNER_MAX_REQUEST_FRAME, "a request to sign");
    is(mesh_signer_parse_request(&msg, buf, n), MESH_OK, "is read");
    ok(msg.id == 0xfedcba98 && msg.code == MESH_SIGNER_SIGN_AGENT
       && msg.key == 3 && msg.len == 144 && msg.size == n, "its header");
    ok(memcmp(msg.data, web, 48) == 0 && memcmp(msg.data + 48, agent, 48) == 0
       && memcmp(msg.data + 96, server, 48) == 0, "its payload");

    cut(mesh_signer_parse_request, buf, n, "sign");

    n = mesh_signer_write_request(buf, 1, MESH_SIGNER_PING, 0, 0);
    is((long long) n, MESH_SIGNER_HEAD, "a ping");
    is_bytes(buf, n, "\0\0\0\1\3\0\0\0", 8, "is 8 bytes");
    cut(mesh_signer_parse_request, buf, n, "ping");

    memset(buf, 0, sizeof(buf));
    mesh_signer_write_request(buf, 1, 99, 0, 1);
    is(parse(mesh_signer_parse_request, &msg, buf, 9), MESH_OK,
       "an op that is not known is left to the signer");

    mesh_put16(buf + 6, 143);
    is(parse(mesh_signer_parse_request, &msg, buf, 151), MESH_OK, "143 bytes");
    mesh_put16(buf + 6, 144);
    is(parse(mesh_signer_parse_request, &msg, buf, 152), MESH_OK, "144 bytes");
    mesh_put16(buf + 6, 145);
    is(parse(mesh_signer_parse_request, &msg, buf, 8), MESH_ERROR,
       "145 bytes are refused at the header");
    mesh_put16(buf + 6, 0xffff);
    is(parse(mesh_signer_parse_request, &msg, buf, 8), MESH_ERROR,
       "65535 bytes, too");
}


static void
test_reply(void)
{
    int                good;
    size_t             n, cert_len;
    unsigned           status;
    static uint8_t     buf[8192];
    const uint8_t     *cert, *hash;
    mesh_signer_msg_t  msg;

    memset(buf, 'x', sizeof(buf));

    n = mesh_signer_write_reply(buf, 0x01020304, MESH_SIGNER_OK, 384) + 384;

    is(mesh_signer_parse_reply(&msg, buf, n), MESH_OK, "a signature is read");
    ok(msg.id == 0x01020304 && msg.code == MESH_SIGNER_OK && msg.key == 0
       && msg.len == 384 && msg.size == n && msg.data == buf + 8,
       "its header");

    cut(mesh_signer_parse_reply, buf, n, "signature");

    for (good = 1, status = 0; status < 256; status++) {

        mesh_signer_write_reply(buf, 1, (uint8_t) status, 0);
        good &= parse(mesh_signer_parse_reply, &msg, buf, 8)
                == (status <= MESH_SIGNER_FAILED ? MESH_OK : MESH_ERROR);

        if (status) {
            mesh_signer_write_reply(buf, 1, (uint8_t) status, 1);
            good &= parse(mesh_signer_parse_reply, &msg, buf, 9)
                    == MESH_ERROR;
        }
    }

    ok(good, "every status; an error has no payload");

    mesh_signer_write_reply(buf, 1, MESH_SIGNER_OK, 0);
    buf[5] = 1;
    is(parse(mesh_signer_parse_reply, &msg, buf, 8), MESH_ERROR,
       "the byte that is 0");

    for (n = MESH_SIGNER_MAX_REPLY - 1; n <= MESH_SIGNER_MAX_REPLY + 1; n++) {
        mesh_signer_write_reply(buf, 1, MESH_SIGNER_OK, (uint16_t) n);
        is(parse(mesh_signer_parse_reply, &msg, buf, 8 + n),
           n > MESH_SIGNER_MAX_REPLY ? MESH_ERROR : MESH_OK, "%zu bytes", n);
    }

    mesh_signer_write_reply(buf, 1, MESH_SIGNER_OK, 0xffff);
    is(parse(mesh_signer_parse_reply, &msg, buf, 8), MESH_ERROR, "65535");

    for (n = 0; n <= 50; n++) {

        if (n > 1 && n < 47) {
            continue;
        }

        mesh_signer_write_reply(buf, 1, MESH_SIGNER_OK, (uint16_t) n);

        is(mesh_signer_parse_reply(&msg, buf, 8 + n), MESH_OK,
           "a certificate and its hash in %zu bytes", n);
        is(mesh_signer_read_cert(&msg, &cert, &cert_len, &hash),
           n < 49 ? MESH_ERROR : MESH_OK, "are both there from 49 on");

        if (n >= 49) {
            ok(cert == buf + 8 && cert_len == n - 48
               && hash == buf + 8 + cert_len, "and are where they are");
        }
    }
}


int
main(void)
{
    test_request();
    test_reply();

    return tap_done();
}

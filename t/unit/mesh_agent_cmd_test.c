/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "../../proto/mesh_agent_cmd.h"
#include "tap.h"


static uint8_t  hash_a[48], hash_b[48], core[600];


static int
parse(mesh_agent_cmd_t *cmd, const uint8_t *buf, size_t len)
{
    int       rc;
    uint8_t  *copy;

    copy = tap_copy(buf, len);
    rc = mesh_agent_cmd_parse(cmd, copy, len);
    free(copy);

    return rc;
}


/* each length from 0 to last, in memory of its own: min to max are taken */

static void
lengths(const uint8_t *buf, size_t last, size_t min, size_t max, size_t also,
    const char *name)
{
    int               rc, want, right;
    size_t            n;
    mesh_agent_cmd_t  cmd;

    right = 1;

    for (n = 0; n <= last; n++) {
        rc = parse(&cmd, buf, n);
        want = (n >= min && n <= max) || (also && n == also);

        if ((rc == MESH_OK) != want || (!want && rc != MESH_ERROR)) {
            printf("# %s: %d for %zu bytes\n", name, rc, n);
            right = 0;
        }
    }

    ok(right, "%s: the right lengths only, cut at every byte", name);
}


static void
test_request(void)
{
    size_t            n;
    uint8_t           buf[128];
    mesh_agent_cmd_t  cmd;

    memset(buf, 0, sizeof(buf));
    n = mesh_agent_write_auth_request(buf, hash_a, hash_b);

    is(mesh_agent_cmd_parse(&cmd, buf, n), MESH_OK, "AuthRequest is read");
    is_bytes(cmd.u.request.web_hash, 48, hash_a, 48, "its web hash");
    is_bytes(cmd.u.request.nonce, 48, hash_b, 48, "its nonce");
    lengths(buf, 120, 98, 98, 0, "AuthRequest");

    n = mesh_agent_write_auth_confirm(buf);
    is(mesh_agent_cmd_parse(&cmd, buf, n), MESH_OK, "AuthConfirm is read");
    lengths(buf, 10, 2, 2, 0, "AuthConfirm");
}


static void
test_verify(void)
{
    int               right;
    size_t            n, i;
    uint8_t           buf[5000];
    mesh_agent_cmd_t  cmd;

    memset(buf, 0, sizeof(buf));
    n = mesh_agent_write_auth_verify(buf, sizeof(buf), core, 500, hash_a, 48);

    is(mesh_agent_cmd_parse(&cmd, buf, n), MESH_OK, "AuthVerify is read");
    is_bytes(cmd.u.verify.cert, cmd.u.verify.cert_len, core, 500,
             "its certificate");
    is_bytes(cmd.u.verify.sig, cmd.u.verify.sig_len, hash_a, 48,
             "its signature");

    lengths(buf, n + 40, 505, n + 40, 0, "AuthVerify");
    is(parse(&cmd, buf, 4096), MESH_OK, "AuthVerify of 4096 bytes is read");
    is(parse(&cmd, buf, 4097), MESH_ERROR, "a longer one is refused");

    for (right = 1, i = 0; i < 0x10000; i++) {
        mesh_put16(buf + 2, (uint16_t) i);
        right &= (parse(&cmd, buf, 600) == MESH_OK) == (i > 0 && i < 596);
    }

    ok(right, "no length of a certificate but one that leaves a signature");
}


static void
test_core(void)
{
    size_t            n;
    uint8_t           buf[700];
    mesh_agent_cmd_t  cmd;

    memset(buf, 0, sizeof(buf));
    n = mesh_agent_write_hashed(buf, MESH_AGENT_CORE, 7, hash_b);
    memcpy(buf + n, core, sizeof(core));

    is(mesh_agent_cmd_parse(&cmd, buf, n + sizeof(core)), MESH_OK,
       "a core is read");
    is(cmd.id, 7, "its request id");
    is_bytes(cmd.u.core.hash, 48, hash_b, 48, "its hash");
    is_bytes(cmd.u.core.data, cmd.u.core.len, core, sizeof(core), "its text");
    lengths(buf, 100, 53, 100, 4, "CoreModule");

    is(mesh_agent_cmd_parse(&cmd, buf, 4), MESH_OK, "4 bytes: no core");
    ok(cmd.u.core.hash == NULL, "which has no hash");

    mesh_put16(buf, MESH_AGENT_CORE_DEFLATED);
    lengths(buf, 100, 53, 100, 0, "CompressedCoreModule");
}


static void
test_update(void)
{
    uint8_t          *buf;
    mesh_agent_cmd_t  cmd;

    buf = calloc(1, 70000);

    if (buf == NULL) {
        abort();
    }

    (void) mesh_agent_write_hashed(buf, MESH_AGENT_UPDATE, 3, hash_a);
    lengths(buf, 100, 52, 52, 4, "AgentUpdate");
    is(mesh_agent_cmd_parse(&cmd, buf, 52), MESH_OK, "its end is read");
    is_bytes(cmd.u.core.hash, 48, hash_a, 48, "with the hash of it all");

    (void) mesh_agent_write_block(buf);
    memcpy(buf + 4, core, sizeof(core));
    lengths(buf, 100, 5, 100, 0, "AgentUpdateBlock");
    is(mesh_agent_cmd_parse(&cmd, buf, 604), MESH_OK, "a block is read");
    is_bytes(cmd.u.block.data, cmd.u.block.len, core, 600, "its bytes");
    is(parse(&cmd, buf, 65535), MESH_OK, "the longest block is read");
    is(parse(&cmd, buf, 65536), MESH_ERROR, "a longer one is refused");

    free(buf);
}


static void
test_plain(void)
{
    size_t            i;
    uint8_t           buf[100];
    mesh_agent_cmd_t  cmd;

    static const uint16_t  plain[] = {
        MESH_AGENT_CORE_HASH, MESH_AGENT_HASH, MESH_AGENT_CORE_OK
    };

    memset(buf, 0, sizeof(buf));

    for (i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        (void) mesh_agent_write_request(buf, plain[i], 9);
        lengths(buf, 60, 4, 4, 0, "a request");
        is(mesh_agent_cmd_parse(&cmd, buf, 4), MESH_OK, "%d is read", plain[i]);
        is(cmd.id, 9, "with its request id");
    }
}


static void
test_unknown(void)
{
    int               right;
    uint32_t          n;
    uint8_t           buf[100];
    mesh_agent_cmd_t  cmd;

    static const uint8_t  known[] = { 1, 2, 4, 10, 11, 12, 13, 14, 16, 20 };

    memset(buf, 0, sizeof(buf));

    for (right = 1, n = 0; n < 0x10000; n++) {
        mesh_put16(buf, (uint16_t) n);

        if (n < 256 && memchr(known, (int) n, sizeof(known))) {
            continue;
        }

        right &= parse(&cmd, buf, 60) == MESH_DECLINED && cmd.cmd == n;
    }

    ok(right, "every other number is declined, and named");
}


static void
test_write(void)
{
    size_t              n;
    uint8_t             buf[200];
    mesh_agent_msg_t    msg;
    mesh_agent_about_t  about;

    n = mesh_agent_write_server_id(buf, hash_a, 48);
    is((long long) n, 50, "a server id is written");
    is(mesh_agent_msg_parse(&msg, buf, n), MESH_OK, "a server reads it");
    is_bytes(msg.u.hash.hash, 48, hash_a, 48, "as it was");

    n = mesh_agent_write_server_id(buf, hash_a, 32);
    is(mesh_agent_msg_parse(&msg, buf, n), MESH_OK, "a short one too");
    is(msg.u.hash.legacy, 1, "which is an old one");

    n = mesh_agent_write_text(buf, MESH_AGENT_HOST_INFO, "a host", 6);
    is(mesh_agent_msg_parse(&msg, buf, n), MESH_OK, "a text is read");
    is_bytes(msg.u.text.data, msg.u.text.len, "a host", 6, "as it was");

    memset(&about, 0, sizeof(about));
    about.agent_id = 6;
    about.version = 41;
    about.platform = MESH_AGENT_VIRTUAL;
    about.caps = 0x118;
    about.mesh = hash_b;
    about.mesh_len = 48;
    about.name = "b\xc3\xbcro";
    about.name_len = 5;

    n = mesh_agent_write_info(buf, &about);
    is((long long) n, 77, "AuthInfo is written");
    is(mesh_agent_msg_parse(&msg, buf, n), MESH_OK, "a server reads it");
    is(msg.u.info.agent_id, 6, "its processor");
    is(msg.u.info.agent_version, 41, "its version");
    is(msg.u.info.platform, 8, "its kind");
    is(msg.u.info.caps, 0x118, "what it can");
    is_bytes(msg.u.info.mesh, msg.u.info.mesh_len, hash_b, 48, "its group");
    is_bytes(msg.u.info.name, msg.u.info.name_len, "b\xc3\xbcro", 5,
             "its name");

    about.mesh_len = 32;
    n = mesh_agent_write_info(buf, &about);
    is(mesh_agent_msg_parse(&msg, buf, n), MESH_OK, "with an old group id");
    is((long long) msg.u.info.mesh_len, 32, "which is seen to be one");
}


int
main(void)
{
    size_t  i;

    for (i = 0; i < 48; i++) {
        hash_a[i] = (uint8_t) (i + 1);
        hash_b[i] = (uint8_t) (i + 65);
    }

    for (i = 0; i < sizeof(core); i++) {
        core[i] = (uint8_t) (i * 7 + 1);
    }

    test_request();
    test_verify();
    test_core();
    test_update();
    test_plain();
    test_unknown();
    test_write();

    return tap_done();
}

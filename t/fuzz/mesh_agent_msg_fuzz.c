/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * A binary message of an agent: everything that is pointed at lies within it,
 * and what can be written again is the same.  The same bytes as b64x and hex.
 */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_agent_msg.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static volatile uint8_t  sink;


static void
touch(const uint8_t *p, size_t len, const uint8_t *data, size_t size)
{
    size_t  i;

    if (p == NULL) {

        if (len) {
            abort();
        }

        return;
    }

    if (p < data || p > data + size || len > (size_t) (data + size - p)) {
        abort();
    }

    for (i = 0; i < len; i++) {
        sink = p[i];
    }
}


static void
same(const uint8_t *p, size_t len, const uint8_t *data, size_t size)
{
    if (len != size || memcmp(p, data, size) != 0) {
        abort();
    }
}


static void
message(const uint8_t *data, size_t size)
{
    uint8_t           out[MESH_AGENT_MAX_AUTH];
    mesh_agent_msg_t  msg;

    if (mesh_agent_msg_parse(&msg, data, size) != MESH_OK) {
        return;
    }

    switch (msg.cmd) {

    case MESH_AGENT_AUTH_REQUEST:
        same(out, mesh_agent_write_auth_request(out, msg.u.request.web_hash,
                                                msg.u.request.nonce),
             data, size);
        break;

    case MESH_AGENT_AUTH_VERIFY:

        if (msg.u.verify.cert_len == 0 || msg.u.verify.sig_len == 0) {
            abort();
        }

        same(out, mesh_agent_write_auth_verify(out, sizeof(out),
                           msg.u.verify.cert, msg.u.verify.cert_len,
                           msg.u.verify.sig, msg.u.verify.sig_len),
             data, size);
        break;

    case MESH_AGENT_AUTH_INFO:
        touch(msg.u.info.mesh, msg.u.info.mesh_len, data, size);
        touch(msg.u.info.name, msg.u.info.name_len, data, size);

        if (msg.u.info.platform < MESH_AGENT_DESKTOP
            || msg.u.info.platform > MESH_AGENT_VIRTUAL
            || msg.u.info.name_len > MESH_AGENT_MAX_NAME
            || (msg.u.info.mesh_len != 32 && msg.u.info.mesh_len != 48))
        {
            abort();
        }

        break;

    case MESH_AGENT_AUTH_CONFIRM:
        same(out, mesh_agent_write_auth_confirm(out), data, size);
        break;

    case MESH_AGENT_SERVER_ID:
        touch(msg.u.hash.hash, MESH_HASH_LEN, data, size);
        break;

    case MESH_AGENT_CORE_HASH:
    case MESH_AGENT_HASH:

        if (msg.u.hash.hash) {
            same(out, mesh_agent_write_hashed(out, msg.cmd, msg.id,
                                              msg.u.hash.hash),
                 data, size);

        } else {
            same(out, mesh_agent_write_request(out, msg.cmd, msg.id), data,
                 size);
        }

        break;

    case MESH_AGENT_UPDATE_BLOCK:
        same(out, mesh_agent_write_request(out, msg.cmd, msg.id), data, size);
        break;

    case MESH_AGENT_TAG:
    case MESH_AGENT_COMMIT_DATE:
    case MESH_AGENT_HOST_INFO:
        touch(msg.u.text.data, msg.u.text.len, data, size);

        if (msg.u.text.len > MESH_AGENT_MAX_TAG) {
            abort();
        }

        break;

    default:
        abort();
    }
}


/* what is decoded is written again as it was */

static void
text(const uint8_t *data, size_t size)
{
    int       n;
    char     *out;
    size_t    i;
    uint8_t  *raw;

    raw = malloc(size + 1);
    out = malloc(2 * size + 4);

    if (raw == NULL || out == NULL) {
        abort();
    }

    n = mesh_b64x_decode(raw, size, (const char *) data, size);

    if (n >= 0
        && (mesh_b64x_encode(out, raw, (size_t) n) != size
            || memcmp(out, data, size) != 0))
    {
        abort();
    }

    n = mesh_hex_decode(raw, size, (const char *) data, size);

    if (n >= 0) {
        mesh_hex_encode(out, raw, (size_t) n, 0);

        for (i = 0; i < size; i++) {

            if ((uint8_t) out[i] != data[i]
                && (uint8_t) out[i] != (data[i] | 0x20))
            {
                abort();
            }
        }
    }

    i = mesh_b64x_encode(out, data, size);

    if (i != mesh_b64x_len(size)
        || mesh_b64x_decode(raw, size, out, i) != (int) size
        || (size && memcmp(raw, data, size) != 0))
    {
        abort();
    }

    free(raw);
    free(out);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    message(data, size);

    if (size < 4096) {
        text(data, size);
    }

    return 0;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * A binary message of a server: everything that is pointed at lies within it,
 * and what can be written again is the same.
 */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_agent_cmd.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static volatile uint8_t  sink;


static void
touch(const uint8_t *p, size_t len, const uint8_t *data, size_t size)
{
    size_t  i;

    if (p == NULL || p < data || p > data + size
        || len > (size_t) (data + size - p))
    {
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


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t           out[MESH_AGENT_MAX_AUTH];
    mesh_agent_cmd_t  cmd;

    if (mesh_agent_cmd_parse(&cmd, data, size) != MESH_OK) {
        return 0;
    }

    switch (cmd.cmd) {

    case MESH_AGENT_AUTH_REQUEST:
        same(out, mesh_agent_write_auth_request(out, cmd.u.request.web_hash,
                                                cmd.u.request.nonce),
             data, size);
        break;

    case MESH_AGENT_AUTH_VERIFY:

        if (cmd.u.verify.cert_len == 0 || cmd.u.verify.sig_len == 0) {
            abort();
        }

        same(out, mesh_agent_write_auth_verify(out, sizeof(out),
                           cmd.u.verify.cert, cmd.u.verify.cert_len,
                           cmd.u.verify.sig, cmd.u.verify.sig_len),
             data, size);
        break;

    case MESH_AGENT_AUTH_CONFIRM:
        same(out, mesh_agent_write_auth_confirm(out), data, size);
        break;

    case MESH_AGENT_CORE:
    case MESH_AGENT_CORE_DEFLATED:
    case MESH_AGENT_UPDATE:

        if (cmd.u.core.hash == NULL) {
            same(out, mesh_agent_write_request(out, cmd.cmd, cmd.id), data,
                 size);
            break;
        }

        touch(cmd.u.core.hash, MESH_HASH_LEN, data, size);

        if (cmd.cmd != MESH_AGENT_UPDATE) {

            if (cmd.u.core.len == 0) {
                abort();
            }

            touch(cmd.u.core.data, cmd.u.core.len, data, size);
        }

        break;

    case MESH_AGENT_UPDATE_BLOCK:

        if (cmd.u.block.len == 0 || cmd.u.block.len > MESH_AGENT_MAX_BLOCK) {
            abort();
        }

        touch(cmd.u.block.data, cmd.u.block.len, data, size);
        break;

    case MESH_AGENT_CORE_HASH:
    case MESH_AGENT_HASH:
    case MESH_AGENT_CORE_OK:
        same(out, mesh_agent_write_request(out, cmd.cmd, cmd.id), data, size);
        break;

    default:
        abort();
    }

    return 0;
}

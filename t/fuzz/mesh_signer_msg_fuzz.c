/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * A stream of requests and one of replies: each frame is written again as it
 * was, and each front of it is not enough.
 */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_signer_msg.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


typedef int (*parse_pt)(mesh_signer_msg_t *msg, const uint8_t *buf,
    size_t len);


static void
stream(parse_pt parse, int reply, const uint8_t *data, size_t size)
{
    int                rc;
    size_t             n, cert_len;
    uint8_t            head[MESH_SIGNER_HEAD];
    const uint8_t     *cert, *hash;
    mesh_signer_msg_t  msg, part;

    for ( ;; ) {

        rc = parse(&msg, data, size);

        if (rc != MESH_OK) {

            if (rc != MESH_AGAIN && rc != MESH_ERROR) {
                abort();
            }

            return;
        }

        if (msg.size > size || msg.size != MESH_SIGNER_HEAD + (size_t) msg.len
            || msg.data != data + MESH_SIGNER_HEAD)
        {
            abort();
        }

        for (n = 0; n < msg.size; n++) {

            if (parse(&part, data, n) != MESH_AGAIN) {
                abort();
            }
        }

        if (reply) {
            mesh_signer_write_reply(head, msg.id, msg.code, msg.len);

            if (mesh_signer_read_cert(&msg, &cert, &cert_len, &hash)
                == MESH_OK
                && (cert != msg.data || cert_len == 0
                    || hash != cert + cert_len
                    || cert_len + MESH_HASH_LEN != msg.len))
            {
                abort();
            }

        } else {
            mesh_signer_write_request(head, msg.id, msg.code, msg.key,
                                      msg.len);
        }

        if (memcmp(head, data, MESH_SIGNER_HEAD) != 0) {
            abort();
        }

        data += msg.size;
        size -= msg.size;
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    stream(mesh_signer_parse_request, 0, data, size);
    stream(mesh_signer_parse_reply, 1, data, size);

    return 0;
}

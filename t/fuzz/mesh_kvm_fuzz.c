/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Input of a desktop's viewer: the first byte says the level, the second how
 * the rest is cut.  What passes is the same in one piece, is allowed, and is
 * no more than came.
 */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_kvm.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static size_t
run(uint8_t *out, mesh_kvm_level_e level, const uint8_t *data, size_t size,
    size_t cut)
{
    int                rc;
    size_t             n, len, used;
    const uint8_t     *pos, *packet;
    mesh_kvm_input_t   st;

    memset(&st, 0, sizeof(st));
    used = 0;

    while (size) {
        n = cut < size ? cut : size;
        pos = data;

        for ( ;; ) {
            rc = mesh_kvm_input(&st, level, &pos, data + n, &packet, &len);

            if (rc != MESH_OK) {
                break;
            }

            if (len < 4 || len > MESH_KVM_MAX_INPUT
                || len != mesh_get16(packet + 2)
                || (level != MESH_KVM_FULL && packet[1] == MESH_KVM_TOUCH)
                || (level == MESH_KVM_VIEW
                    && (packet[1] == MESH_KVM_KEY
                        || packet[1] == MESH_KVM_MOUSE
                        || packet[1] == MESH_KVM_UNICODE)))
            {
                abort();
            }

            memcpy(out + used, packet, len);
            used += len;
        }

        if (rc == MESH_ERROR) {
            break;
        }

        if (pos != data + n) {
            abort();
        }

        data += n;
        size -= n;
    }

    return used;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t             a, b;
    mesh_kvm_level_e   level;

    static uint8_t  whole[65536], cut[65536];

    if (size < 3 || size > sizeof(whole)) {
        return 0;
    }

    level = (mesh_kvm_level_e) (data[0] % 3);
    a = run(whole, level, data + 2, size - 2, size);
    b = run(cut, level, data + 2, size - 2, (size_t) data[1] + 1);

    if (a != b || memcmp(whole, cut, a) != 0) {
        abort();
    }

    return 0;
}

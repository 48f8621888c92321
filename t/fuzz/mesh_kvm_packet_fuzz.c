/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * A stream of desktop packets: each front of one is not enough and says that
 * it needs more; both readings of it stay within it.
 */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_kvm_packet.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
packet(const mesh_kvm_packet_t *pkt, const uint8_t *data)
{
    int               rc;
    mesh_kvm_event_t  in;
    uint8_t           head[MESH_KVM_TILE_HEAD];

    if (pkt->data < data || pkt->data + pkt->len != data + pkt->size) {
        abort();
    }

    rc = mesh_kvm_read_input(&in, pkt);

    if (rc == MESH_OK && in.cmd != pkt->cmd) {
        abort();
    }

    if (rc != MESH_OK && rc != MESH_ERROR && rc != MESH_DECLINED) {
        abort();
    }

    rc = mesh_kvm_check_output(pkt);

    /* what may be said of a tile is written as it was */
    if (rc == MESH_OK && pkt->cmd == MESH_KVM_TILE
        && (mesh_get16(data) == MESH_KVM_JUMBO)
           == (pkt->len - 4 > MESH_KVM_JUMBO_FROM))
    {
        rc = (int) mesh_kvm_write_tile(head, mesh_get16(pkt->data),
                                       mesh_get16(pkt->data + 2),
                                       pkt->len - 4);

        if (rc == 8 && memcmp(head, data, 8) != 0) {
            abort();
        }
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                rc;
    size_t             n;
    mesh_kvm_packet_t  pkt, part;
    static const size_t  max[] = { MESH_KVM_MAX_INPUT, MESH_KVM_MAX_OUTPUT };

    (void) mesh_kvm_parse(&pkt, data, size, max[0]);

    for ( ;; ) {
        rc = mesh_kvm_parse(&pkt, data, size, max[1]);

        if (rc == MESH_AGAIN && mesh_kvm_need(data, size) <= size) {
            abort();
        }

        if (rc != MESH_OK) {
            return 0;
        }

        if (pkt.size > size || pkt.size > max[1]) {
            abort();
        }

        for (n = 0; n < pkt.size && n < 4096; n++) {
            if (mesh_kvm_parse(&part, data, n, max[1]) != MESH_AGAIN
                || mesh_kvm_need(data, n) > pkt.size)
            {
                abort();
            }
        }

        packet(&pkt, data);
        data += pkt.size;
        size -= pkt.size;
    }
}

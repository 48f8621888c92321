/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "mesh_kvm.h"


typedef struct {
    uint16_t            number;
    uint8_t             min, max;       /* bytes of the whole */
    mesh_kvm_level_e    level;
} mesh_kvm_row_t;

static const mesh_kvm_row_t  mesh_kvm_rows[] = {
    { MESH_KVM_KEY,          6,  6,   MESH_KVM_LIMITED },   /* some of them */
    { MESH_KVM_MOUSE,        10, 12,  MESH_KVM_LIMITED },
    { MESH_KVM_COMPRESSION,  6,  10,  MESH_KVM_VIEW },
    { MESH_KVM_REFRESH,      4,  4,   MESH_KVM_VIEW },
    { MESH_KVM_PAUSE,        5,  5,   MESH_KVM_VIEW },
    { MESH_KVM_CTRL_ALT_DEL, 4,  4,   MESH_KVM_FULL },
    { MESH_KVM_DISPLAYS,     4,  4,   MESH_KVM_VIEW },
    { MESH_KVM_DISPLAY,      5,  6,   MESH_KVM_VIEW },
    { MESH_KVM_INTERVAL,     6,  6,   MESH_KVM_VIEW },
    { MESH_KVM_TOUCH_INIT,   4,  4,   MESH_KVM_FULL },
    { MESH_KVM_TOUCH,        4,  MESH_KVM_MAX_INPUT, MESH_KVM_FULL },
    { MESH_KVM_UNICODE,      7,  7,   MESH_KVM_LIMITED },
    { MESH_KVM_INPUT_LOCK,   5,  5,   MESH_KVM_FULL },
    { 0, 0, 0, MESH_KVM_FULL }
};


static const mesh_kvm_row_t *
mesh_kvm_row(const uint8_t *head)
{
    uint16_t               number, size;
    const mesh_kvm_row_t  *row;

    number = mesh_get16(head);
    size = mesh_get16(head + 2);

    for (row = mesh_kvm_rows; row->number; row++) {
        if (row->number == number) {
            return size >= row->min && size <= row->max ? row : NULL;
        }
    }

    return NULL;
}


/* keys that write and move, none that commands; Windows virtual key codes */
static int
mesh_kvm_plain_key(uint8_t key)
{
    return (key >= 0x30 && key <= 0x39)         /* digits */
           || (key >= 0x41 && key <= 0x5a)      /* letters */
           || (key >= 0x21 && key <= 0x28)      /* pages, End, Home, arrows */
           || key == 0x08 || key == 0x09        /* Backspace, Tab */
           || key == 0x0d || key == 0x2e        /* Enter, Delete */
           || key == 0x10                       /* Shift, also by its side */
           || key == 0xa0 || key == 0xa1;
}


static int
mesh_kvm_allowed(const mesh_kvm_row_t *row, mesh_kvm_level_e level,
    const uint8_t *packet)
{
    if (level < row->level) {
        return 0;
    }

    return row->number != MESH_KVM_KEY || level == MESH_KVM_FULL
           || mesh_kvm_plain_key(packet[5]);
}


int
mesh_kvm_input(mesh_kvm_input_t *st, mesh_kvm_level_e level,
    const uint8_t **pos, const uint8_t *last, const uint8_t **packet,
    size_t *size)
{
    size_t                 n, want;
    const mesh_kvm_row_t  *row;

    while (*pos < last) {

        if (st->skip) {
            n = (size_t) (last - *pos);
            n = n < st->skip ? n : st->skip;
            *pos += n;
            st->skip -= (uint32_t) n;
            continue;
        }

        if (st->have < 4) {
            st->packet[st->have++] = *(*pos)++;

            if (st->have < 4) {
                continue;
            }
        }

        want = mesh_get16(st->packet + 2);

        if (want < 4) {
            return MESH_ERROR;
        }

        row = mesh_kvm_row(st->packet);

        if (row == NULL) {
            st->skip = (uint32_t) want - 4;
            st->have = 0;
            continue;
        }

        /* the row has seen that want fits into packet[] */
        n = (size_t) (last - *pos);
        n = n < want - st->have ? n : want - st->have;
        memcpy(st->packet + st->have, *pos, n);
        *pos += n;
        st->have = (uint8_t) (st->have + n);

        if (st->have < want) {
            break;
        }

        st->have = 0;

        if (mesh_kvm_allowed(row, level, st->packet)) {
            *packet = st->packet;
            *size = want;
            return MESH_OK;
        }
    }

    return MESH_AGAIN;
}

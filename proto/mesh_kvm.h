/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Desktop packets of a viewer: number and size of the whole, two bytes each,
 * then a body.  They come as a stream that may be cut anywhere.
 */

#ifndef MESH_KVM_H_INCLUDED
#define MESH_KVM_H_INCLUDED


#include "mesh.h"


#define MESH_KVM_KEY             1
#define MESH_KVM_MOUSE           2
#define MESH_KVM_COMPRESSION     5
#define MESH_KVM_REFRESH         6
#define MESH_KVM_PAUSE           8
#define MESH_KVM_CTRL_ALT_DEL    10
#define MESH_KVM_DISPLAYS        11
#define MESH_KVM_DISPLAY         12
#define MESH_KVM_INTERVAL        13
#define MESH_KVM_TOUCH_INIT      14
#define MESH_KVM_TOUCH           15
#define MESH_KVM_UNICODE         85
#define MESH_KVM_INPUT_LOCK      87

#define MESH_KVM_MAX_INPUT       149    /* 16 contacts of a touch */


/* what a viewer may send, session.md 2.2 */

typedef enum {
    MESH_KVM_VIEW = 0,          /* how and what it wants to see */
    MESH_KVM_LIMITED,           /* and the mouse, characters, some keys */
    MESH_KVM_FULL
} mesh_kvm_level_e;


/* all zero at the start of a session */

typedef struct {
    uint32_t    skip;           /* bytes of a packet that is thrown away */
    uint8_t     have;           /* bytes in packet[] */
    uint8_t     packet[MESH_KVM_MAX_INPUT];
} mesh_kvm_input_t;


/*
 * Takes bytes from *pos, moves *pos, and returns at the first packet that a
 * viewer of that level may send; packets that it may not send, that are not
 * known or too long for their number are skipped.
 *
 *   MESH_OK     *packet is set to *size bytes, in *st, until the next call
 *   MESH_AGAIN  all input is consumed
 *   MESH_ERROR  a size below 4: the stream cannot be followed any more
 *
 * Source: protocol/session.md 5.1, 5.5 and 2.2.
 */
int mesh_kvm_input(mesh_kvm_input_t *st, mesh_kvm_level_e level,
    const uint8_t **pos, const uint8_t *last, const uint8_t **packet,
    size_t *size);


#endif /* MESH_KVM_H_INCLUDED */

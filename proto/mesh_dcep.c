/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "mesh_dcep.h"


#define MESH_DCEP_HEAD  12


int
mesh_dcep_parse(mesh_dcep_open_t *open, const uint8_t *buf, size_t len)
{
    size_t  label, protocol;

    if (len == 0) {
        return MESH_ERROR;
    }

    if (buf[0] != MESH_DCEP_OPEN) {
        return MESH_DECLINED;
    }

    if (len < MESH_DCEP_HEAD) {
        return MESH_ERROR;
    }

    label = mesh_get16(buf + 8);
    protocol = mesh_get16(buf + 10);

    if (label > MESH_DCEP_LABEL_MAX
        || len - MESH_DCEP_HEAD != label + protocol)
    {
        return MESH_ERROR;
    }

    open->type = buf[1];
    open->priority = mesh_get16(buf + 2);
    open->reliability = mesh_get32(buf + 4);
    open->label = buf + MESH_DCEP_HEAD;
    open->label_len = label;

    return MESH_OK;
}

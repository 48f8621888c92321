/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "mesh_bus.h"


#define MESH_BUS_MAGIC  0x6d625502u     /* the last byte: layout */


int
mesh_bus_parse_hello(mesh_bus_hello_t *hello, const uint8_t *buf, size_t len)
{
    uint16_t  type, slot;

    if (len < MESH_BUS_HELLO) {
        return MESH_AGAIN;
    }

    type = mesh_get16(buf + 4);
    slot = mesh_get16(buf + 6);

    if (mesh_get32(buf) != MESH_BUS_MAGIC || type < MESH_BUS_LINK
        || type >= MESH_BUS_PIPES || slot >= MESH_BUS_SLOTS)
    {
        return MESH_ERROR;
    }

    hello->type = type;
    hello->slot = slot;
    hello->epoch = mesh_get32(buf + 8);
    hello->arg = mesh_get32(buf + 12);
    hello->serial = mesh_get64(buf + 16);
    memcpy(hello->key, buf + 24, sizeof(hello->key));

    return MESH_OK;
}


void
mesh_bus_write_hello(uint8_t buf[MESH_BUS_HELLO],
    const mesh_bus_hello_t *hello)
{
    uint8_t  *p;

    p = mesh_put32(buf, MESH_BUS_MAGIC);
    p = mesh_put16(p, hello->type);
    p = mesh_put16(p, hello->slot);
    p = mesh_put32(p, hello->epoch);
    p = mesh_put32(p, hello->arg);
    p = mesh_put64(p, hello->serial);
    memcpy(p, hello->key, sizeof(hello->key));
}


int
mesh_bus_parse(mesh_bus_msg_t *msg, unsigned types, const uint8_t *buf,
    size_t len)
{
    uint16_t  type;
    uint32_t  body;

    msg->size = MESH_BUS_HEAD;

    if (len < MESH_BUS_HEAD) {
        return MESH_AGAIN;
    }

    body = mesh_get32(buf);
    type = mesh_get16(buf + 4);

    /* before the sum: a length of 0xffffffff must not wrap it */

    if (body > MESH_BUS_MAX || type == 0 || type >= types
        || mesh_get16(buf + 6) != 0)
    {
        return MESH_ERROR;
    }

    msg->size = MESH_BUS_HEAD + (size_t) body;

    if (len < msg->size) {
        return MESH_AGAIN;
    }

    msg->len = body;
    msg->type = type;
    msg->serial = mesh_get64(buf + 8);
    msg->from = mesh_get64(buf + 16);
    msg->data = buf + MESH_BUS_HEAD;

    return MESH_OK;
}


void
mesh_bus_write(uint8_t buf[MESH_BUS_HEAD], const mesh_bus_msg_t *msg)
{
    uint8_t  *p;

    p = mesh_put32(buf, msg->len);
    p = mesh_put16(p, msg->type);
    p = mesh_put16(p, 0);
    p = mesh_put64(p, msg->serial);
    (void) mesh_put64(p, msg->from);
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What workers say to each other over a unix socket: one hello, then, on a
 * link, messages.  Integers in network order.
 *
 *   hello    u32 magic, u16 type, u16 slot, u32 epoch, u32 arg, u64 serial,
 *            48 bytes of key
 *   message  u32 length of the body, u16 type, u16 zero, u64 serial, u64 from,
 *            body
 */

#ifndef MESH_BUS_H_INCLUDED
#define MESH_BUS_H_INCLUDED


#include "mesh.h"


#define MESH_BUS_HELLO  72      /* bytes */
#define MESH_BUS_HEAD   24
#define MESH_BUS_MAX    1048576 /* of one body */
#define MESH_BUS_SLOTS  256


typedef enum {
    MESH_BUS_LINK = 1,
    MESH_BUS_RELAY,
    MESH_BUS_AMT,
    MESH_BUS_FETCH,
    MESH_BUS_DIAL,
    MESH_BUS_PIPES
} mesh_bus_pipe_e;

/* the first bytes of a socket */
typedef struct {
    uint16_t        type;       /* mesh_bus_pipe_e */
    uint16_t        slot;       /* of the sender */
    uint32_t        epoch;      /* of the receiver, must match */
    uint32_t        arg;
    uint64_t        serial;     /* session wanted, must match */
    uint8_t         key[48];
} mesh_bus_hello_t;

/* data points into the buffer that was parsed */
typedef struct {
    uint32_t        len;        /* of data */
    uint16_t        type;       /* from 1 */
    uint64_t        serial;     /* of the session meant, or 0 */
    uint64_t        from;       /* of the session that sends, or 0 */
    const uint8_t  *data;
    size_t          size;       /* of all of it */
} mesh_bus_msg_t;


/*
 *   MESH_OK     *hello is set
 *   MESH_AGAIN  less than MESH_BUS_HELLO bytes
 *   MESH_ERROR  not a worker of this layout, or no such type or slot
 */
int mesh_bus_parse_hello(mesh_bus_hello_t *hello, const uint8_t *buf,
    size_t len);
void mesh_bus_write_hello(uint8_t buf[MESH_BUS_HELLO],
    const mesh_bus_hello_t *hello);

/*
 * One message from the front of buf, whose type is below types.
 *
 *   MESH_OK     *msg is set; drop msg->size bytes
 *   MESH_AGAIN  the start of one; msg->size: bytes of all of it, as far as
 *               they are known
 *   MESH_ERROR  not a message; close
 */
int mesh_bus_parse(mesh_bus_msg_t *msg, unsigned types, const uint8_t *buf,
    size_t len);

/* len of at most MESH_BUS_MAX, type, serial and from of msg count */
void mesh_bus_write(uint8_t buf[MESH_BUS_HEAD], const mesh_bus_msg_t *msg);


#endif /* MESH_BUS_H_INCLUDED */

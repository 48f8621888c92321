/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * How an agent finds its server on the local network: one datagram each way,
 * agent.md 1.5.  The answer names a port and a path, and never a host: that is
 * whoever sent it.
 */

#ifndef MESH_LAN_H_INCLUDED
#define MESH_LAN_H_INCLUDED


#include <stddef.h>
#include <stdint.h>
#include "mesh.h"


#define MESH_LAN_GROUP        "239.255.255.235"
#define MESH_LAN_GROUP6       "ff02::fe"
#define MESH_LAN_PORT         16989       /* of servers */

#define MESH_LAN_QUERY_LEN    (2 * MESH_HASH_LEN)
#define MESH_LAN_ANSWER_MAX   512         /* bytes; peers ignore 1024 */


typedef struct {
    const uint8_t  *path;                 /* "/agent.ashx", borrowed */
    size_t          path_len;
    uint16_t        port;
} mesh_lan_answer_t;


/* writes MESH_LAN_QUERY_LEN bytes: which server is looked for */
void mesh_lan_write_query(uint8_t *buf, const uint8_t *server_id);

/* MESH_OK, or MESH_DECLINED: something else */
int mesh_lan_query_parse(uint8_t *server_id, const uint8_t *buf, size_t len);

/*
 * v6: the address that goes into the URL is one of IPv6.  Returns bytes
 * written, or 0: they are more than size.
 */
size_t mesh_lan_write_answer(uint8_t *buf, size_t size,
    const uint8_t *server_id, int v6, const mesh_lan_answer_t *answer);

/*
 * MESH_OK: a whole answer of the server that has this id; MESH_DECLINED: of
 * another one, or none that we take.
 */
int mesh_lan_answer_parse(mesh_lan_answer_t *answer, const uint8_t *server_id,
    const uint8_t *buf, size_t len);

/*
 * Is it an address of a local network, or of this machine?  Nobody else asks
 * or answers.  len: 4 or 16 bytes.
 */
int mesh_lan_is_local(const uint8_t *address, size_t len);


#endif /* MESH_LAN_H_INCLUDED */

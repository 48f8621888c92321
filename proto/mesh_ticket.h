/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The text of a ticket ("cookie" of control.md 2.4): what was sealed, in base64
 * with '@' for '+' and '$' for '/', padded.  One text for one ticket: unused
 * bits are zero and the padding is all there.
 */

#ifndef MESH_TICKET_H_INCLUDED
#define MESH_TICKET_H_INCLUDED


#include "mesh.h"


#define MESH_TICKET_IV    12
#define MESH_TICKET_TAG   16
#define MESH_TICKET_HEAD  (MESH_TICKET_IV + MESH_TICKET_TAG)

#define mesh_ticket_len(len)  (((len) + 2) / 3 * 4)


/*
 * iv, tag and at least one byte of what is sealed, at most size bytes, to dst.
 * Returns the bytes, or MESH_ERROR: not a ticket.
 */
int mesh_ticket_decode(uint8_t *dst, size_t size, const char *text,
    size_t len);

/*
 * Returns the characters written, mesh_ticket_len(len); 0: there is "$$" in
 * it, which some clients expand, and it has to be sealed anew.
 */
size_t mesh_ticket_encode(char *dst, const uint8_t *src, size_t len);


#endif /* MESH_TICKET_H_INCLUDED */

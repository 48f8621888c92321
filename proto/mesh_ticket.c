/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "mesh_ticket.h"
#include "mesh_agent_msg.h"


int
mesh_ticket_decode(uint8_t *dst, size_t size, const char *text, size_t len)
{
    int     n;
    size_t  pad;

    if (len == 0 || len % 4 != 0) {
        return MESH_ERROR;
    }

    for (pad = 0; pad < 2 && text[len - 1 - pad] == '='; pad++) {
        /* void */
    }

    n = mesh_b64x_decode(dst, size, text, len - pad);

    return n > MESH_TICKET_HEAD ? n : MESH_ERROR;
}


size_t
mesh_ticket_encode(char *dst, const uint8_t *src, size_t len)
{
    size_t  i, n;

    n = mesh_b64x_encode(dst, src, len);

    for (i = 1; i < n; i++) {
        if (dst[i] == '$' && dst[i - 1] == '$') {
            return 0;
        }
    }

    while (n % 4) {
        dst[n++] = '=';
    }

    return n;
}

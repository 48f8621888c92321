/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>
#include "mesh_agent_msg.h"
#include "mesh_lan.h"


#define MESH_LAN_PREFIX      "MeshCentral2|"
#define MESH_LAN_PREFIX_LEN  (sizeof(MESH_LAN_PREFIX) - 1)
#define MESH_LAN_HEAD_LEN    (MESH_LAN_PREFIX_LEN + MESH_LAN_QUERY_LEN + 1)
#define MESH_LAN_DIGITS      5            /* of a port */


static const uint8_t *mesh_lan_skip(const uint8_t *p, const uint8_t *last,
    const char *text);


void
mesh_lan_write_query(uint8_t *buf, const uint8_t *server_id)
{
    mesh_hex_encode((char *) buf, server_id, MESH_HASH_LEN, 1);
}


int
mesh_lan_query_parse(uint8_t *server_id, const uint8_t *buf, size_t len)
{
    if (len != MESH_LAN_QUERY_LEN
        || mesh_hex_decode(server_id, MESH_HASH_LEN, (const char *) buf, len)
           != MESH_HASH_LEN)
    {
        return MESH_DECLINED;
    }

    return MESH_OK;
}


size_t
mesh_lan_write_answer(uint8_t *buf, size_t size, const uint8_t *server_id,
    int v6, const mesh_lan_answer_t *answer)
{
    size_t       n;
    uint8_t     *p;
    uint16_t     port;
    const char  *host;
    uint8_t      digits[MESH_LAN_DIGITS];

    host = v6 ? "wss://[%s]:" : "wss://%s:";

    if (size < MESH_LAN_HEAD_LEN + strlen(host) + MESH_LAN_DIGITS
        || answer->path_len
           > size - MESH_LAN_HEAD_LEN - strlen(host) - MESH_LAN_DIGITS)
    {
        return 0;
    }

    memcpy(buf, MESH_LAN_PREFIX, MESH_LAN_PREFIX_LEN);
    p = buf + MESH_LAN_PREFIX_LEN;
    mesh_lan_write_query(p, server_id);
    p += MESH_LAN_QUERY_LEN;
    *p++ = '|';

    memcpy(p, host, strlen(host));
    p += strlen(host);

    n = 0;
    port = answer->port;

    do {
        digits[n++] = (uint8_t) ('0' + port % 10);
        port = (uint16_t) (port / 10);
    } while (port);

    while (n) {
        *p++ = digits[--n];
    }

    memcpy(p, answer->path, answer->path_len);

    return (size_t) (p - buf) + answer->path_len;
}


int
mesh_lan_answer_parse(mesh_lan_answer_t *answer, const uint8_t *server_id,
    const uint8_t *buf, size_t len)
{
    unsigned        port;
    uint8_t         id[MESH_HASH_LEN];
    const uint8_t  *p, *last, *start;

    last = buf + len;

    if (len <= MESH_LAN_HEAD_LEN || len > MESH_LAN_ANSWER_MAX
        || mesh_lan_skip(buf, last, MESH_LAN_PREFIX) == NULL
        || mesh_lan_query_parse(id, buf + MESH_LAN_PREFIX_LEN,
                                MESH_LAN_QUERY_LEN)
           != MESH_OK
        || memcmp(id, server_id, MESH_HASH_LEN) != 0
        || buf[MESH_LAN_HEAD_LEN - 1] != '|')
    {
        return MESH_DECLINED;
    }

    start = buf + MESH_LAN_HEAD_LEN;
    p = mesh_lan_skip(start, last, "wss://%s:");

    if (p == NULL) {
        p = mesh_lan_skip(start, last, "wss://[%s]:");
    }

    if (p == NULL) {
        return MESH_DECLINED;
    }

    port = 0;

    for (start = p; p < last && *p >= '0' && *p <= '9'; p++) {
        port = port * 10 + (unsigned) (*p - '0');

        if (p - start >= MESH_LAN_DIGITS || port > 65535) {
            return MESH_DECLINED;
        }
    }

    if (port == 0 || p == last || *p != '/') {
        return MESH_DECLINED;
    }

    /* it goes into a request line */

    for (start = p; p < last; p++) {
        if (*p <= ' ' || *p >= 0x7f || *p == '|') {
            return MESH_DECLINED;
        }
    }

    answer->port = (uint16_t) port;
    answer->path = start;
    answer->path_len = (size_t) (last - start);

    return MESH_OK;
}


int
mesh_lan_is_local(const uint8_t *address, size_t len)
{
    static const uint8_t  loopback[16] = { [15] = 1 };

    if (len == 4) {
        return address[0] == 10 || address[0] == 127
               || (address[0] == 172 && (address[1] & 0xf0) == 16)
               || (address[0] == 192 && address[1] == 168)
               || (address[0] == 169 && address[1] == 254);
    }

    return len == 16
           && ((address[0] == 0xfe && (address[1] & 0xc0) == 0x80)
               || (address[0] & 0xfe) == 0xfc     /* fe80::/10, fc00::/7 */
               || memcmp(address, loopback, sizeof(loopback)) == 0);
}


/* behind text, or NULL: that is not there */
static const uint8_t *
mesh_lan_skip(const uint8_t *p, const uint8_t *last, const char *text)
{
    size_t  n;

    n = strlen(text);

    return (size_t) (last - p) >= n && memcmp(p, text, n) == 0 ? p + n : NULL;
}

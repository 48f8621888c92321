/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_lan.h"
#include "tap.h"


static uint8_t  id[MESH_HASH_LEN];


/* of a copy that ends where the datagram does: a byte more is seen by ASan */
static int
parse(mesh_lan_answer_t *answer, const char *data, size_t len)
{
    int       rc;
    uint8_t  *copy;

    copy = malloc(len ? len : 1);
    memcpy(copy, data, len);
    rc = mesh_lan_answer_parse(answer, id, copy, len);
    free(copy);

    return rc;
}


static int
parse_url(const char *url)
{
    char               data[1024];
    size_t             n;
    mesh_lan_answer_t  answer;

    memcpy(data, "MeshCentral2|", 13);
    mesh_lan_write_query((uint8_t *) data + 13, id);
    data[13 + MESH_LAN_QUERY_LEN] = '|';
    n = 13 + MESH_LAN_QUERY_LEN + 1;
    memcpy(data + n, url, strlen(url));

    return parse(&answer, data, n + strlen(url));
}


int
main(void)
{
    int                v6, good;
    char               text[MESH_LAN_ANSWER_MAX];
    size_t             i, n;
    uint8_t            buf[MESH_LAN_ANSWER_MAX + 1], other[MESH_HASH_LEN];
    mesh_lan_answer_t  in, out;

    static const struct {
        uint8_t  bytes[16];
        size_t   len;
        int      local;
    } addresses[] = {
        { { 10, 0, 0, 1 }, 4, 1 }, { { 11, 0, 0, 1 }, 4, 0 },
        { { 172, 16, 0, 1 }, 4, 1 }, { { 172, 31, 255, 1 }, 4, 1 },
        { { 172, 15, 0, 1 }, 4, 0 }, { { 172, 32, 0, 1 }, 4, 0 },
        { { 192, 168, 9, 1 }, 4, 1 }, { { 192, 169, 0, 1 }, 4, 0 },
        { { 169, 254, 1, 1 }, 4, 1 }, { { 127, 0, 0, 1 }, 4, 1 },
        { { 8, 8, 8, 8 }, 4, 0 }, { { 0, 0, 0, 0 }, 4, 0 },
        { { 224, 0, 0, 1 }, 4, 0 }, { { 255, 255, 255, 255 }, 4, 0 },
        { { 0xfe, 0x80 }, 16, 1 }, { { 0xfe, 0xbf }, 16, 1 },
        { { 0xfe, 0xc0 }, 16, 0 }, { { 0xfc }, 16, 1 }, { { 0xfd }, 16, 1 },
        { { 0x20, 0x01 }, 16, 0 }, { { 0xff, 0x02 }, 16, 0 },
        { { [15] = 1 }, 16, 1 }, { { [10] = 0xff, 0xff, 127, 0, 0, 1 }, 16, 0 },
        { { 10, 0, 0, 1 }, 3, 0 }, { { 0 }, 0, 0 }
    };

    static const char *const  urls[] = {
        "", "wss://", "wss://%s", "wss://%s:", "wss://%s:443", "wss://%s:0/a",
        "wss://%s:65536/a", "wss://%s:0000443/a", "wss://%s:-1/a",
        "wss://%s:443a", "wss://%s:443/a b", "wss://%s:443/a\r\nX: y",
        "wss://%s:443/\x80", "wss://%s:443/a|name|info", "ws://%s:443/a",
        "wss://evil.example:443/a", "wss://%s.evil.example:443/a",
        "wss://%s:443@evil.example/a", "wss://[%s:443/a", "wss://%n:443/a",
        NULL
    };

    for (i = 0; i < sizeof(id); i++) {
        id[i] = (uint8_t) (0xa0 + i);
    }

    mesh_lan_write_query(buf, id);
    ok(mesh_lan_query_parse(other, buf, MESH_LAN_QUERY_LEN) == MESH_OK
       && memcmp(other, id, sizeof(id)) == 0, "a query names its server");
    ok(memcmp(buf, "A0A1A2", 6) == 0,
       "in upper case, for servers that compare the text");

    for (i = 0, good = 1; i < MESH_LAN_QUERY_LEN; i++) {
        good = good && mesh_lan_query_parse(other, buf, i) == MESH_DECLINED;
    }

    buf[MESH_LAN_QUERY_LEN] = '0';
    ok(good && mesh_lan_query_parse(other, buf, MESH_LAN_QUERY_LEN + 1)
               == MESH_DECLINED, "S-22: shorter and longer it is none");
    buf[7] = 'g';
    ok(mesh_lan_query_parse(other, buf, MESH_LAN_QUERY_LEN) == MESH_DECLINED,
       "nor with another character");
    ok(mesh_lan_query_parse(other, (const uint8_t *) "MeshServerScan", 14)
       == MESH_DECLINED, "what asks for any server gets no answer");

    out.path = (const uint8_t *) "/x/agent.ashx";
    out.path_len = 13;
    out.port = 8443;

    for (v6 = 0; v6 < 2; v6++) {
        n = mesh_lan_write_answer(buf, sizeof(buf), id, v6, &out);
        memcpy(text, buf, n);
        ok(n == (v6 ? 138 : 136) && parse(&in, text, n) == MESH_OK
           && in.port == 8443 && in.path_len == 13,
           "an answer is read as it was written");
        ok(n < 2 * MESH_LAN_QUERY_LEN,
           "and is not twice as long as what asked for it");

        for (i = 0, good = 1; i < n; i++) {

            /* the last cuts leave a path that is shorter, and good */
            good = good && (parse(&in, text, i) == MESH_DECLINED
                            || (i >= n - 12 && in.path_len == 13 - (n - i)));
        }

        ok(good, "cut at every byte it is none, or has a shorter path");

        for (i = 0, good = 1; i < n; i++) {
            good = good && mesh_lan_write_answer(buf, i, id, v6, &out) == 0;
        }

        ok(good, "S-22: what does not fit is not written");
    }

    id[47] ^= 1;
    ok(parse(&in, text, n) == MESH_DECLINED, "that of another server is not "
       "taken");
    id[47] ^= 1;

    for (i = 0; urls[i]; i++) {
        ok(parse_url(urls[i]) == MESH_DECLINED, "an answer with \"%s\" is not "
           "taken", strpbrk(urls[i], "\r\x80") ? "..." : urls[i]);
    }

    ok(parse_url("wss://%s:65535/a") == MESH_OK
       && parse_url("wss://[%s]:1/") == MESH_OK, "the outermost ports are");

    for (i = 0, good = 1; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        good = good && mesh_lan_is_local(addresses[i].bytes, addresses[i].len)
                       == addresses[i].local;
    }

    ok(good, "S-50: only addresses of a local network are local");

    memset(text, 'a', sizeof(text));
    memcpy(text, "wss://%s:1/", 11);
    text[MESH_LAN_ANSWER_MAX - 110] = '\0';
    ok(parse_url(text) == MESH_OK, "S-22: a datagram of the longest is taken");
    text[MESH_LAN_ANSWER_MAX - 110] = 'a';
    text[MESH_LAN_ANSWER_MAX - 109] = '\0';
    ok(parse_url(text) == MESH_DECLINED, "and of one more is not");

    return tap_done();
}

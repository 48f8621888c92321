/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "../../proto/mesh_ticket.h"
#include "tap.h"


static int
decode(uint8_t *dst, size_t size, const char *text, size_t len)
{
    int       rc;
    uint8_t  *copy;

    copy = tap_copy((const uint8_t *) text, len);
    rc = mesh_ticket_decode(dst, size, (char *) copy, len);
    free(copy);

    return rc;
}


int
main(void)
{
    int      good;
    char     text[256], bad[256], ch;
    size_t   n, i, len;
    uint8_t  bytes[128], back[128];

    for (i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t) (i * 37 + 11);
    }

    good = 1;

    for (n = MESH_TICKET_HEAD + 1; n <= sizeof(bytes); n++) {
        len = mesh_ticket_encode(text, bytes, n);
        good &= len == mesh_ticket_len(n)
                && decode(back, n, text, len) == (int) n
                && memcmp(back, bytes, n) == 0
                && decode(back, n - 1, text, len) == MESH_ERROR;
    }

    ok(good, "a ticket there and back, and never past its room");

    len = mesh_ticket_encode(text, bytes, 100);
    good = 1;

    /* a shorter one may be a text, but of other bytes, which the seal shows */

    for (n = 0; n < len; n++) {
        i = (size_t) decode(back, sizeof(back), text, n);
        good &= (int) i == MESH_ERROR || (n % 4 == 0 && i == n / 4 * 3);
    }

    ok(good, "S-20: a ticket cut at every byte is none, or a shorter one");
    n = mesh_ticket_encode(bad, bytes, MESH_TICKET_HEAD);
    is(decode(back, sizeof(back), bad, n), MESH_ERROR,
       "nothing but a seal is none");
    is(decode(back, sizeof(back), "", 0), MESH_ERROR, "nothing is none");
    is(decode(back, sizeof(back), "====", 4), MESH_ERROR,
       "padding alone is none");

    good = 1;

    for (i = 0; i < len; i++) {
        for (n = 0; n < 256; n++) {

            ch = (char) n;
            memcpy(bad, text, len);

            if (bad[i] == ch) {
                continue;
            }

            bad[i] = ch;

            /* refused, or it stands for other bytes */

            if (decode(back, sizeof(back), bad, len) == 100) {
                good &= memcmp(back, bytes, 100) != 0;
            }
        }
    }

    ok(good, "S-20: no two texts stand for one ticket");

    memcpy(bad, text, len);
    bad[0] = '+';
    is(decode(back, sizeof(back), bad, len), MESH_ERROR,
       "the other base64 is none");

    memset(bytes, 0xff, sizeof(bytes));
    is((long long) mesh_ticket_encode(text, bytes, 60), 0,
       "a text with \"$$\" is made again");

    return tap_done();
}

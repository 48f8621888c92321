/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "../../proto/mesh_rtc.h"
#include "tap.h"


static const struct {
    int          rc;
    const char  *text;
} texts[] = {
    { MESH_OK, "{\"type\":\"offer\",\"sdp\":\"v=0\"}" },
    { MESH_OK, "{\"sdp\":\"\",\"ctrlChannel\":102938,\"type\":\"answer\"}" },
    { MESH_OK, "{\"type\":\"webrtc0\"}" },
    { MESH_OK, "{\"type\":\"webrtc1\"}" },
    { MESH_OK, "{\"type\":\"webrtc2\"}" },
    { MESH_OK, "{\"action\":\"webRtcSdp\",\"id\":0}" },
    { MESH_OK, "{\"id\":0,\"action\":\"webRtcIce\"}" },
    { MESH_OK, "{\"action\":\"rtcSwitch\",\"v\":1}" },
    { MESH_OK, "{\"\\u0074\\u0059pe\":1,"
               "\"t\\u0079pe\":\"o\\u0066fe\\u0072\"}" },
    { MESH_OK, "{\"t\\u0079p\\u0065\":\"\\u006F\\u0066\\u0066\\u0065r\"}" },
    { MESH_OK, " \t\r\n{ \"type\" :\n\"offer\" }" },
    { MESH_OK, "{\"a\":{\"type\":[\"}]\",{}]},\"type\":\"offer\"}" },
    { MESH_OK, "{\"a\":\"\\\\\",\"b\":\"\\\"\",\"type\":\"offer\"}" },
    { MESH_OK, "{\"type\":\"rtt\",\"type\":\"offer\"}" },
    { MESH_OK, "{\"type\":\"offer\",\"type\":\"rtt\"}" },
    { MESH_OK, "{\"a\":-1.5e3,\"b\":null,\"c\":[true],\"type\":\"offer\"}" },

    { MESH_AGAIN, "" },
    { MESH_AGAIN, "{" },
    { MESH_AGAIN, "{\"type\":\"rtt\",\"time\":1}" },
    { MESH_AGAIN, "{\"type\":\"offers\"}" },
    { MESH_AGAIN, "{\"type\":\"offer\\u0000\"}" },
    { MESH_AGAIN, "{\"type\":\"offe\\r\"}" },
    { MESH_AGAIN, "{\"type\":\"Offer\"}" },
    { MESH_AGAIN, "{\"type\":[\"offer\"]}" },
    { MESH_AGAIN, "{\"type\":1,\"offer\":\"type\"}" },
    { MESH_AGAIN, "{\"typ\\u0165\":\"offer\"}" },
    { MESH_AGAIN, "{\"action\":\"offer\",\"type\":\"rtcSwitch\"}" },
    { MESH_AGAIN, "{\"a\":{\"type\":\"offer\"},\"b\":[\"type\",\"offer\"]}" },
    { MESH_AGAIN, "{\"msg\":\"\\\"type\\\":\\\"offer\\\"\"}" },
    { MESH_AGAIN, "{\"a\":\"a string of many letters\",\"type\":\"a string "
                  "of many letters\"}" },

    { MESH_DECLINED, "5" },
    { MESH_DECLINED, "[{\"type\":\"offer\"}]" },
    { MESH_DECLINED, "\"type\":\"offer\"" },
    { MESH_DECLINED, "say {\"type\":\"offer\"}" },
    { MESH_DECLINED, "}{\"type\":\"offer\"}" }
};


int
main(void)
{
    int          rc, good;
    size_t       i, cut, len;
    uint8_t     *a, *b;
    char        *c, name[128];
    mesh_rtc_t   st;
    const char  *text;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        text = texts[i].text;
        len = strlen(text);
        good = 1;

        for (cut = 0; cut <= len; cut++) {
            memset(&st, 0, sizeof(st));
            a = tap_copy(text, cut);
            b = tap_copy(text + cut, len - cut);

            (void) mesh_rtc_find(&st, a, cut);
            rc = mesh_rtc_find(&st, b, len - cut);

            free(a);
            free(b);

            if (rc != texts[i].rc) {
                printf("#   cut at %zu: %d\n", cut, rc);
                good = 0;
            }
        }

        snprintf(name, sizeof(name), "%s", text);

        for (c = name; *c; c++) {
            *c = *c < ' ' ? ' ' : *c;
        }

        ok(good, "%s, cut anywhere: %s", name,
           texts[i].rc == MESH_OK ? "leads beside the server"
           : texts[i].rc == MESH_AGAIN ? "does not" : "is no object");
    }

    return tap_done();
}

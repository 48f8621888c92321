/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* How long the agent waits for a server that it did not reach, or has lost. */

#include "../../agent/mesh_agent_retry.h"
#include "tap.h"


#define LAST  240000


int
main(void)
{
    int       bad;
    uint64_t  low, high, any, last, delay;
    unsigned  n;

    is(mesh_agent_retry(0, 0, 0), 500, "the first time it waits half a second");
    is(mesh_agent_retry(0, 0, UINT32_MAX), 1500, "or three times that");
    is(mesh_agent_retry(3, 0, 0), 4000, "it doubles each time");
    is(mesh_agent_retry(7, 0, UINT32_MAX / 2), 128000 - 1,
       "in the middle, too");
    is(mesh_agent_retry(8, 0, 0), LAST / 2, "until it is long");
    is(mesh_agent_retry(8, 0, UINT32_MAX), LAST + LAST / 2, "at the most");

    bad = 0;
    low = 0;

    for (n = 0; n < 100; n++) {
        delay = mesh_agent_retry(n, 0, 0);
        high = mesh_agent_retry(n, 0, UINT32_MAX);
        bad += delay < low || high != 3 * delay || delay > LAST / 2;
        low = delay;
    }

    is(bad, 0, "it grows with each failure and is never longer");
    is(mesh_agent_retry(UINT32_MAX, 0, 0), LAST / 2,
       "after four thousand millions of them as well");

    bad = 0;

    for (n = 0; n < 20; n++) {
        last = 0;

        for (any = 0; any <= UINT32_MAX; any += UINT32_MAX / 100) {
            delay = mesh_agent_retry(n, 0, (uint32_t) any);
            bad += any > 0 && delay < last + 9;
            last = delay;
        }
    }

    is(bad, 0, "two agents do not wait the same, not even the first time");

    is(mesh_agent_retry(0, 30, 0), 30000, "a server may ask for more");
    is(mesh_agent_retry(0, 30, UINT32_MAX), 90000, "which varies as well");
    is(mesh_agent_retry(8, 1, 0), LAST / 2, "but not for less");
    is(mesh_agent_retry(0, 3600, 0), 3600000, "an hour");
    is(mesh_agent_retry(0, UINT32_MAX, UINT32_MAX), 3 * 3600000,
       "is the longest that it can ask for");

    return tap_done();
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "mesh_agent_retry.h"


#define MESH_AGENT_RETRY_FIRST  1000      /* ms, the first delay */
#define MESH_AGENT_RETRY_LAST   240000    /* ms, the longest */
#define MESH_AGENT_RETRY_STEPS  16        /* a shift by more is none */
#define MESH_AGENT_RETRY_AFTER  3600      /* seconds, of Retry-After */


uint64_t
mesh_agent_retry(unsigned failures, unsigned retry_after, uint32_t any)
{
    uint64_t  delay;

    delay = MESH_AGENT_RETRY_LAST;

    if (failures < MESH_AGENT_RETRY_STEPS
        && (uint64_t) MESH_AGENT_RETRY_FIRST << failures < delay)
    {
        delay = (uint64_t) MESH_AGENT_RETRY_FIRST << failures;
    }

    if (retry_after > MESH_AGENT_RETRY_AFTER) {
        retry_after = MESH_AGENT_RETRY_AFTER;
    }

    if (delay < (uint64_t) retry_after * 2000) {
        delay = (uint64_t) retry_after * 2000;    /* half of it at least */
    }

    return delay / 2 + (uint64_t) any * delay / UINT32_MAX;
}

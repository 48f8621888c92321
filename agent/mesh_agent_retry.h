/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#ifndef MESH_AGENT_RETRY_H_INCLUDED
#define MESH_AGENT_RETRY_H_INCLUDED


#include <stdint.h>


/*
 * Milliseconds until the next try, after so many failures before this one:
 * doubles with each, up to four minutes, and varies by half each way from the
 * first one on, as thousands lose a server in the same moment.  any: a random
 * number.  retry_after: seconds that the server asks for, at least; no more
 * than an hour counts.
 */
uint64_t mesh_agent_retry(unsigned failures, unsigned retry_after,
    uint32_t any);


#endif /* MESH_AGENT_RETRY_H_INCLUDED */

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * An offer and the opening of a channel: what is read is text that ends, and
 * the answer to a good offer is one that can be read.
 */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_dcep.h"
#include "../../proto/mesh_sdp.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
ends(const char *text, size_t size)
{
    if (memchr(text, '\0', size) == NULL || strpbrk(text, "\r\n ")) {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char              answer[MESH_SDP_ANSWER_MAX];
    size_t            n;
    unsigned          i;
    mesh_sdp_t        sdp, back;
    mesh_sdp_local_t  local;
    mesh_dcep_open_t  open;

    if (mesh_dcep_parse(&open, data, size) == MESH_OK
        && (open.label < data || open.label + open.label_len > data + size))
    {
        abort();
    }

    if (mesh_sdp_parse(&sdp, (const char *) data, size) != MESH_OK) {
        return 0;
    }

    ends(sdp.ufrag, sizeof(sdp.ufrag));
    ends(sdp.pwd, sizeof(sdp.pwd));
    ends(sdp.mid, sizeof(sdp.mid));

    if (sdp.ncandidates > MESH_SDP_CANDIDATES) {
        abort();
    }

    for (i = 0; i < sdp.ncandidates; i++) {
        ends(sdp.candidates[i].foundation, MESH_SDP_FOUNDATION);
        ends(sdp.candidates[i].address, MESH_SDP_ADDRESS);
    }

    memset(&local, 0, sizeof(local));
    local.ufrag = sdp.ufrag;
    local.pwd = sdp.pwd;
    local.fingerprint = sdp.fingerprint;
    local.message_max = 1;
    local.candidates = sdp.candidates;
    local.ncandidates = sdp.ncandidates;

    n = mesh_sdp_answer(answer, &sdp, &local);

    if (n == 0 || n >= sizeof(answer) || answer[n] != '\0'
        || mesh_sdp_parse(&back, answer, n) != MESH_OK
        || strcmp(back.ufrag, sdp.ufrag) != 0
        || back.modern != sdp.modern
        || memcmp(back.fingerprint, sdp.fingerprint, MESH_SDP_FINGERPRINT) != 0)
    {
        abort();
    }

    return 0;
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Scripts ask for it where they start: an offer is refused, the relay stays. */

function refuse() {
    throw new Error('this agent has no WebRTC');
}


module.exports = {
    createConnection: refuse,
    createNewFactory: refuse
};

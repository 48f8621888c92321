/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* function -> NodeID, upper-case hex */

module.exports = function () {
    return native.nodeId().toString('hex');
};

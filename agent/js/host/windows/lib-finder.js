/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Where a program is.  The folders of Unix are none here: any account may
 * make them in the root of a drive.
 */

module.exports = {
    findBinary: function () {
        return null;
    },
    hasBinary: function () {
        return false;
    }
};

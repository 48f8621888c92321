/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Where a program is: function of lib-finder, and for the host's modules. */

var fs = require('fs');
var FOLDERS = ['/usr/bin/', '/bin/', '/usr/sbin/', '/sbin/',
               '/usr/local/bin/'];


function findBinary(name) {
    var folder = FOLDERS.find(function (each) {
        return fs.existsSync(each + name);
    });

    return folder === undefined ? null : folder + name;
}


module.exports = {
    findBinary: findBinary,
    hasBinary: function (name) {
        return findBinary(name) !== null;
    }
};

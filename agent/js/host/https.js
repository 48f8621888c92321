/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* http, with another protocol where none is given */

var http = require('http');


function secure(options) {
    var copy = {};

    if (typeof options === 'string') {
        return http.parseUri(options);
    }

    Object.keys(options).forEach(function (key) {
        copy[key] = options[key];
    });

    copy.protocol = copy.protocol || 'https:';

    return copy;
}


module.exports = {
    parseUri: http.parseUri,
    globalAgent: http.globalAgent,
    request: function (options, callback) {
        return http.request(secure(options), callback);
    },
    get: function (options, callback) {
        return http.get(secure(options), callback);
    }
};

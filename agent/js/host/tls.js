/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* net, under TLS */

var net = require('net');


function connect(options, callback) {
    var copy = {};

    Object.keys(options).forEach(function (key) {
        copy[key] = options[key];
    });

    copy.tls = true;

    return net.createConnection(copy, callback);
}


module.exports = { connect: connect };

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* net.createConnection(): TCP from here to somewhere */

var stream = require('stream');


function createConnection(options, callback) {
    var handle, socket;

    if (options.path !== undefined) {
        throw new Error('connections to a path are not supported');
    }

    handle = native.stream({ host: options.host || '127.0.0.1',
                             port: options.port });
    socket = stream.fromHandle(handle);
    socket.remotePort = options.port;

    handle.onconnect = function () {
        socket.remoteAddress = handle.ip();

        if (typeof callback === 'function') {
            callback.call(socket, socket);
        }

        socket.emit('connect', socket);
    };

    native.define(socket, 'destroy', function () {
        handle.close();
    });

    return socket;
}


module.exports = {
    createConnection: createConnection,
    connect: createConnection
};

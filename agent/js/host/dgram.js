/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

var EventEmitter = require('events').EventEmitter;


function createSocket(options) {
    var type = typeof options === 'string' ? options : options.type;
    var handle = native.dgram(type);
    var socket = EventEmitter.call({}, true);
    var reuse = options.reuseAddr === true;

    handle.onmessage = function (data, address, port) {
        socket.emit('message', data, {
            address: address, port: port, size: data.length,
            family: type === 'udp6' ? 'IPv6' : 'IPv4'
        });
    };

    native.define(socket, 'bind', function (to, callback) {
        handle.bind(to.port || 0, to.address,
                    reuse || to.exclusive === false);

        if (typeof callback === 'function') {
            native.later(callback);
        }
    });

    native.define(socket, 'send', function (data, port, address, callback) {
        var sent = handle.send(data, port, address);

        if (typeof callback === 'function') {
            native.later(callback);
        }

        return sent;
    });

    native.define(socket, 'setBroadcast', function (on) {
        handle.setBroadcast(on);
    });

    ['setTTL', 'setMulticastTTL'].forEach(function (name) {
        native.define(socket, name, function (n) {
            handle.setTTL(n);
        });
    });

    native.define(socket, 'address', function () {
        return { port: handle.port() };
    });

    native.define(socket, 'close', function () {
        handle.close();
        native.later(function () {
            socket.emit('close');
        });
    });

    return socket;
}


module.exports = { createSocket: createSocket };

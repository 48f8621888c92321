/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* TCP from here to somewhere, and what waits for others here */

var EventEmitter = require('events').EventEmitter;
var stream = require('stream');

var SERVERS = 16;               /* that wait at once */
var CONNECTIONS = 64;           /* of one server, where it says nothing else */

var listening = 0;


/* tls: with a certificate that stream.verifier() takes */
function createConnection(options, callback) {
    var failure = null;
    var handle, socket, error;

    if (options.path !== undefined) {
        throw new Error('connections to a path are not supported');
    }

    handle = native.stream({ host: options.host || '127.0.0.1',
                             port: options.port, tls: options.tls === true,
                             proxy: stream.proxyOf(options) });
    socket = stream.fromHandle(handle);
    socket.remotePort = options.port;
    error = handle.onerror;

    handle.onverify = stream.verifier(options, function (e) {
        failure = e;
    });

    handle.onerror = function (text) {
        error.call(handle, failure === null ? text
                           : failure.message || String(failure));
    };

    handle.onconnect = function () {
        socket.remoteAddress = handle.ip();

        if (typeof callback === 'function') {
            callback.call(socket, socket);
        }

        socket.emit('connect', socket);

        if (options.tls === true) {
            socket.emit('secureConnect', socket);
        }
    };

    native.define(socket, 'destroy', function () {
        handle.close();
    });

    return socket;
}


/* end: what was written goes out before the connection is closed */
function accepted(handle, address, port) {
    var socket = stream.fromHandle(handle);
    var idle = null;

    socket.remoteAddress = address;
    socket.remotePort = port;

    native.define(socket, 'destroy', function () {
        handle.close();
    });

    native.define(socket, 'setTimeout', function (ms, fn) {
        clearTimeout(idle);

        if (typeof fn === 'function') {
            socket.on('timeout', fn);
        }

        idle = ms > 0 ? setTimeout(function () {
            socket.emit('timeout');
        }, ms) : null;
    });

    socket.on('close', function () {
        clearTimeout(idle);
    });

    return socket;
}


/* halfOpen: the owner ends a connection whose other side has */
function createServer(options, callback, halfOpen) {
    var server = EventEmitter.call({}, true);
    var handle = null;
    var open = 0;
    var most = CONNECTIONS;

    callback = typeof options === 'function' ? options : callback;

    ['connection', 'listening', 'error', 'close'].forEach(function (name) {
        server.createEvent(name);
    });

    function connection(one, address, port) {
        var socket;

        if (open >= most) {
            one.close();
            return;
        }

        open++;
        socket = accepted(one, address, port);
        socket.on('close', function () {
            open--;
        });

        if (!halfOpen) {
            socket.on('end', function () {
                socket.end();
            });
        }

        server.emit('connection', socket);
    }

    function close() {
        if (handle !== null) {
            handle.close();
            handle = null;
            listening--;
            native.later(function () {
                server.emit('close');
            });
        }
    }

    server.addMethod('close', close);

    native.define(server, 'listen', function (to, host, fn) {
        to = typeof to === 'object' ? to : { port: to, host: host };
        fn = typeof host === 'function' ? host : fn;

        if (handle !== null) {
            throw new Error('the server listens already');
        }

        if (listening >= SERVERS) {
            throw new Error('too many servers');
        }

        if (to.maxConnections > 0) {
            most = Math.min(to.maxConnections, 4 * CONNECTIONS);
        }

        handle = native.listen(typeof to.host === 'string'
                               ? to.host.replace('localhost', '127.0.0.1')
                               : undefined,
                               to.port || 0, to.path, to.writableAll);
        handle.onconnection = connection;
        listening++;

        native.later(function () {
            if (typeof fn === 'function') {
                fn.call(server);
            }
            server.emit('listening');
        });

        return server;
    });

    native.define(server, 'address', function () {
        return handle === null ? null : { port: handle.port() };
    });

    if (typeof callback === 'function') {
        server.on('connection', callback);
    }

    return server;
}


module.exports = {
    createServer: createServer,
    createConnection: createConnection,
    connect: createConnection
};

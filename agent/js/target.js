/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * TCP and UDP relays: what a viewer sends in BINARY goes to an address, and
 * what comes from there goes back.  Which address it may be, the server has
 * decided.  There is no protocol to choose, and TEXT is never payload.
 */

var MAX_DATAGRAM = 65507;
var TARGET_TIMEOUT = 20000;

/* what hosts say of a failure, and what the server and pages know it as */
var TARGET_ERRORS = [
    [/refused/i, 'ECONNREFUSED', 'Nothing listens on this port there.'],
    [/timed out|does not answer/i, 'ETIMEDOUT',
        'The address does not answer.'],
    [/unreachable|no route/i, 'EHOSTUNREACH',
        'The device cannot reach this address.'],
    [/is not known|no address/i, 'ENOTFOUND',
        'The device does not know this name.'],
    [/reset/i, 'ECONNRESET', 'The other side broke the connection.']
];

openTarget = targetOpen;        /* of tunnel.js */


function targetOpen(tunnel) {
    var request = tunnel.request;
    var udp = request.udpport !== undefined;
    var port = targetPort(udp ? request.udpport : request.tcpport);
    var host = udp ? request.udpaddr : request.tcpaddr;

    if (host === undefined || host === null || host === '') {
        host = '127.0.0.1';
    }

    if (!hasRights(request, 8) && !hasRights(request, 0x200000)) {
        tunnel.refuse('There is no right to relays.');
        return;
    }

    if (port === 0 || !isText(host, 253)
        || !/^[0-9A-Za-z_][0-9A-Za-z._-]*$|^[0-9A-Fa-f:.]+$/.test(host))
    {
        tunnel.refuse('This is no target of a relay.');
        return;
    }

    cancel(tunnel.timer);
    tunnel.state = TUNNEL_OPEN;
    tunnel.kind = udp ? 'udp' : 'tcp';
    countSession(tunnel.kind, tunnel.user(), 1);
    tunnel.onClose(function () {
        countSession(tunnel.kind, tunnel.user(), -1);
    });

    if (udp) {
        targetUdp(tunnel, host, port);
    } else {
        targetTcp(tunnel, host, port);
    }
}


/* a number or its digits; 0: none */
function targetPort(port) {
    if (isText(port, 5) && /^[0-9]+$/.test(port)) {
        port = parseInt(port, 10);
    }

    return isInt(port, 1, 65535) ? port : 0;
}


/* Whichever side takes nothing, the other one is not read. */
function targetTcp(tunnel, host, port) {
    var connected = false;
    var socket = null;

    function fail(error) {
        targetRefuse(tunnel, String(error && error.message || error));
    }

    /* what the viewer sends before that waits in its socket */
    tunnel.socket.pause();
    tunnel.timer = after(TARGET_TIMEOUT, function () {
        fail('it does not answer');
    });

    tunnel.onClose(function () {
        if (socket === null) {
            return;
        }

        attempt(function () {
            socket.end();
        }, null);

        /* one that reads no more would keep it for ever */
        after(5000, function () {
            attempt(function () {
                socket.destroy();
            }, null);
        });
    });

    socket = require('net').createConnection({ host: host, port: port },
                                             function () {
        guarded(function () {
            if (connected || tunnel.state === TUNNEL_CLOSED) {
                return;
            }

            connected = true;
            cancel(tunnel.timer);
            socket.pipe(tunnel.socket, { end: false });
            tunnel.take(function (data) {
                if (typeof data !== 'string'
                    && socket.write(copyBytes(data)) === false)
                {
                    tunnel.socket.pause();
                }
            });
            tunnel.socket.resume();
        });
    });

    socket.on('drain', function () {
        if (tunnel.state === TUNNEL_OPEN) {
            tunnel.socket.resume();
        }
    });
    socket.on('error', fail);
    socket.on('end', tunnel.close);
    socket.on('close', tunnel.close);
}


/* One message is one datagram; what a viewer is too slow for is lost. */
function targetUdp(tunnel, host, port) {
    var Readable = require('stream').Readable;
    var socket, out;
    var full = true;

    if (!/^[0-9.]+$|:/.test(host)) {
        tunnel.refuse('A relay of datagrams needs an address.');
        return;
    }

    out = new Readable({ read: function () {
        full = false;
    } });

    socket = require('dgram').createSocket({
        type: host.indexOf(':') < 0 ? 'udp4' : 'udp6'
    });

    tunnel.onClose(function () {
        attempt(function () {
            socket.close();
        }, null);
    });

    socket.on('message', function (data, from) {
        guarded(function () {
            if (full || tunnel.state !== TUNNEL_OPEN || from.port !== port
                || String(from.address).replace(/^::ffff:/i, '') !== host)
            {
                return;
            }

            full = out.push(copyBytes(data)) === false;
        });
    });

    socket.bind({ port: 0 });
    out.pipe(tunnel.socket, { end: false });

    tunnel.take(function (data) {
        if (typeof data !== 'string' && data.length <= MAX_DATAGRAM) {
            attempt(function () {
                socket.send(copyBytes(data), port, host);
            }, null);
        }
    });
}


/* Tells the viewer in words, and who reads no words by a code. */
function targetRefuse(tunnel, text) {
    var found = TARGET_ERRORS.filter(function (row) {
        return row[0].test(text);
    })[0] || [null, 'EIO', 'The connection broke.'];

    tunnel.control('console', { msg: found[2], msgid: 0, code: found[1] });
    tunnel.close();
}

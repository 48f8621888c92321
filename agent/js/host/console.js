/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Destinations of text: agent.md 7.1. */

var STDOUT = 1;
var CONSOLE = 2;
var destination = STDOUT;
var session;


function format(args) {
    return Array.prototype.map.call(args, function (value) {
        if (typeof value === 'string') {
            return value;
        }

        if (value instanceof Error) {
            return String(value.stack || value);
        }

        try {
            return typeof value === 'object' && value !== null
                   ? JSON.stringify(value) : String(value);

        } catch (e) {
            return String(value);
        }
    }).join(' ');
}


function print(args, level) {
    var text = format(args);
    var message;

    if (destination & CONSOLE) {
        message = { action: 'msg', type: 'console', value: text };

        if (session !== undefined) {
            message.sessionid = session;
        }

        require('MeshAgent').SendCommand(message);
    }

    if (destination & ~CONSOLE) {
        native.log(text, level);
    }
}


function writer(level) {
    return function () {
        print(arguments, level);
    };
}


native.define(globalThis, 'console', {
    log: writer(6),
    warn: writer(4),
    error: writer(3),
    info1: writer(7),
    info2: writer(7),
    info3: writer(7),
    rawLog: writer(6),
    setInfoLevel: function () {},
    setInfoMask: function () {},
    setDestination: function (value, id) {
        var before = destination;

        destination = Number(value) || 0;
        session = id;

        return before;
    },
    Destinations: { DISABLED: 0, STDOUT: 1, SERVERCONSOLE: 2, WEBLOG: 4,
                    LOGFILE: 8 }
});

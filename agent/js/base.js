/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What every part of a core stands on.  The host forgets an object with
 * pending work as soon as nobody refers to it, so everything that waits is
 * held in `keep` until it is done.
 */

var agent = require('MeshAgent');
var fs = require('fs');

var FULL_RIGHTS = 4294967295;
var RIGHT_REMOTE = 8;
var RIGHT_CONSOLE = 16;
var RIGHT_VIEW_ONLY = 256;
var RIGHT_NO_TERMINAL = 512;
var RIGHT_NO_FILES = 1024;
var RIGHT_LIMITED_INPUT = 4096;
var RIGHT_NO_DESKTOP = 65536;
var RIGHT_RUN = 131072;
var RIGHT_POWER = 262144;

var MAX_CONTROL = 65536;        /* characters in a control message */

var keep = {
    timers: {},
    objects: {},
    serial: 0
};


/* Holds object until the returned function is called. */
function hold(object) {
    var id = ++keep.serial;

    keep.objects[id] = object;

    return function () {
        delete keep.objects[id];
    };
}


/* Runs fn once; returns what cancel() takes. */
function after(ms, fn) {
    var id = ++keep.serial;

    keep.timers[id] = setTimeout(function () {
        delete keep.timers[id];
        guarded(fn);
    }, ms);

    return id;
}


function every(ms, fn) {
    var id = ++keep.serial;

    keep.timers[id] = setInterval(function () {
        guarded(fn);
    }, ms);

    return id;
}


function cancel(id) {
    var timer = keep.timers[id];

    if (timer === undefined) {
        return;
    }

    delete keep.timers[id];
    clearTimeout(timer);
    clearInterval(timer);
}


/* A fault in one handler must not end what else runs in the same turn. */
function guarded(fn) {
    try {
        return fn();

    } catch (e) {
        fault(e);
        return undefined;
    }
}


function fault(e) {
    state.faults++;
    state.lastFault = String((e && e.stack) || e).slice(0, 1000);
}


function attempt(fn, otherwise) {
    try {
        return fn();

    } catch (ignored) {
        return otherwise;
    }
}


/* A module of the host, or null where it has none. */
function module_(name) {
    return attempt(function () {
        return require(name);
    }, null);
}


/* Bytes to text; what is no UTF-8 becomes U+FFFD, never a broken string. */
function decode(bytes) {
    if (typeof TextDecoder === 'undefined') {
        return bytes.toString();
    }

    return new TextDecoder().decode(bytes);
}


/*
 * The engine keeps characters past U+FFFF as two encoded surrogates, which
 * is no UTF-8 on the wire: such text goes out as escapes.
 */
function asciiJson(object) {
    return JSON.stringify(object).replace(/[\u007f-\uffff]/g, function (c) {
        return '\\u' + ('000' + c.charCodeAt(0).toString(16)).slice(-4);
    });
}


/* true: the message is on its way; false: no control channel, or no JSON */
function send(object) {
    return attempt(function () {
        var bytes;

        if (!agent.isControlChannelConnected) {
            return false;
        }

        if (typeof TextEncoder === 'undefined') {
            bytes = Buffer.from(asciiJson(object));

        } else {
            bytes = Buffer.concat(
                [new TextEncoder().encode(JSON.stringify(object))]);
        }

        /* a Buffer that starts with { leaves as text, and is not counted
           against the host's limit for console messages */
        return agent.SendCommand(bytes) >= 0;
    }, false);
}


/* Answers a message of a user: the answer goes to that session only. */
function answer(request, type, members) {
    var reply = { action: 'msg', type: type };

    Object.keys(members).forEach(function (key) {
        reply[key] = members[key];
    });

    return sendAnswer(request, reply);
}


function sendAnswer(request, reply) {
    ['sessionid', 'tag', 'responseid'].forEach(function (key) {
        if (isText(request[key], 512)) {
            reply[key] = request[key];
        }
    });

    return send(reply);
}


/* An entry of the device's event log; text must say it all in English. */
function log(request, msgid, text, args) {
    var entry = {
        action: 'log',
        msgid: msgid,
        msg: clip(text, 4000),
        msgArgs: args || []
    };

    ['userid', 'username', 'sessionid', 'remoteaddr', 'guestname',
        'xuserid'].forEach(function (key)
    {
        if (isText(request[key], 499)) {
            entry[key] = request[key];
        }
    });

    return send(entry);
}


/* Checks of what the server says */

function isText(value, max) {
    return typeof value === 'string' && value.length > 0
           && value.length <= max;
}


function isInt(value, min, max) {
    return typeof value === 'number' && value >= min && value <= max
           && Math.floor(value) === value;
}


function isObject(value) {
    return typeof value === 'object' && value !== null;
}


function isHash(value) {
    return typeof value === 'string' && /^[0-9a-fA-F]{96}$/.test(value);
}


/* rights missing, a string or a fraction count as none */
function hasRights(message, bits, without) {
    var rights = message.rights;

    if (!isInt(rights, 0, FULL_RIGHTS)) {
        return false;
    }

    if (rights === FULL_RIGHTS) {
        return true;
    }

    return (rights & bits) === bits && (rights & (without || 0)) === 0;
}


function isFull(message) {
    return message.rights === FULL_RIGHTS;
}


function clip(text, max) {
    return text.length <= max ? text : text.slice(0, max - 3) + '...';
}


/* Text that is shown or logged: no control characters but a line's end. */
function plain(text, max) {
    return clip(text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, ' '),
                max);
}


function parseJson(text) {
    return attempt(function () {
        return JSON.parse(text);
    }, null);
}


function has(object, key) {
    return Object.prototype.hasOwnProperty.call(object, key);
}


/* Own copy of bytes that the host may reuse after the handler. */
function copyBytes(bytes) {
    return Buffer.concat([bytes]);
}


function sha384(data) {
    return require('SHA384Stream').create().syncHash(data).toString('hex')
           .toLowerCase();
}


var state = {
    started: Date.now(),
    faults: 0,
    lastFault: '',
    logins: 0
};

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * http.createServer(): one request a connection.  A request with "Upgrade" is
 * an "upgrade", which hands the connection to the script.
 */

var EventEmitter = require('events').EventEmitter;
var net = require('net');
var stream = require('stream');

var HEAD_MAX = 16384;           /* bytes of a request's header */
var HEAD_WAIT = 20000;          /* ms until it is here */
var LINE_MAX = 256;             /* bytes of the line before a chunk */
var TOKEN = /^[!#$%&'*+.^_\x60|~0-9A-Za-z-]+$/;

var WORDS = {
    200: 'OK', 204: 'No Content', 301: 'Moved Permanently', 302: 'Found',
    304: 'Not Modified', 400: 'Bad Request', 401: 'Unauthorized',
    403: 'Forbidden', 404: 'Not Found', 405: 'Method Not Allowed',
    408: 'Request Timeout', 411: 'Length Required',
    413: 'Payload Too Large', 431: 'Request Header Fields Too Large',
    500: 'Internal Server Error', 501: 'Not Implemented',
    503: 'Service Unavailable'
};


function find(headers, name) {
    var keys = Object.keys(headers).filter(function (key) {
        return key.toLowerCase() === name;
    });

    return keys.length === 0 ? undefined : headers[keys[0]];
}


/* { method, url, httpVersion, headers }, or null */
function parseHead(text) {
    var lines = text.split('\r\n');
    var first = /^([A-Z]{1,20}) ([!-~]+) HTTP\/(1\.[01])$/.exec(lines[0]);
    var headers = {};
    var good;

    if (first === null) {
        return null;
    }

    good = lines.slice(1).every(function (line) {
        var colon = line.indexOf(':');
        var name = line.slice(0, colon);

        if (colon < 1 || !TOKEN.test(name)
            || find(headers, name.toLowerCase()) !== undefined
               && /^(content-length|transfer-encoding|host)$/i.test(name))
        {
            return false;
        }

        headers[name] = line.slice(colon + 1).trim();
        return true;
    });

    return good ? { method: first[1], url: first[2], httpVersion: first[3],
                    headers: headers } : null;
}


/*
 * A body's bytes to the request: by length, or in chunks.  take() is false
 * where it is no body; over() where all of it was there.
 */
function bodyReader(request, length, chunked) {
    var left = chunked ? 0 : length;
    var line = '';
    var ended = !chunked && length === 0;
    var reader = {};

    function finish() {
        ended = true;
        request.push(null);
    }

    /* "1f4;ext\r\n", the line's end of the chunk before it first */
    function size(byte) {
        var m;

        line += String.fromCharCode(byte);

        if (line === '\r\n') {
            line = '';
            return true;
        }

        if (line.slice(-2) !== '\r\n') {
            return line.length <= LINE_MAX;
        }

        m = /^([0-9a-fA-F]{1,8})(?:[ ;].*)?\r\n$/.exec(line);
        line = '';

        if (m === null) {
            return false;
        }

        left = parseInt(m[1], 16);

        if (left === 0) {
            finish();
        }

        return true;
    }

    reader.take = function (bytes) {
        var at = 0;
        var n;

        while (at < bytes.length && !ended) {
            if (left === 0) {
                if (!size(bytes[at])) {
                    return false;
                }

                at++;
                continue;
            }

            n = Math.min(left, bytes.length - at);
            request.push(bytes.slice(at, at + n));
            at += n;
            left -= n;

            if (left === 0 && !chunked) {
                finish();
            }
        }

        return true;
    };

    reader.over = function () {
        return ended;
    };

    if (ended) {
        request.push(null);
    }

    return reader;
}


function ServerResponse(socket, request) {
    EventEmitter.call(this, true);

    native.define(this, '_q', {
        socket: socket,
        request: request,
        own: {},                /* headers */
        body: false,            /* the peer gets one */
        chunked: false
    });

    this.statusCode = 200;
    this.statusMessage = undefined;
    this.headersSent = false;
    this.finished = false;
}

Object.setPrototypeOf(ServerResponse.prototype, EventEmitter.prototype);


function method(name, fn) {
    native.define(ServerResponse.prototype, name, fn);
}


/* Throws on what would end a line of the answer. */
function clean(text, what) {
    text = String(text);

    if (/[\u0000-\u001f\u007f]/.test(text)) {
        throw new TypeError(what + ' is not clean');
    }

    return text;
}


method('setHeader', function (name, value) {
    if (!TOKEN.test(name)) {
        throw new TypeError('"' + name + '" is no name of a header');
    }

    this.removeHeader(name);
    this._q.own[name] = clean(value, name);
});

method('getHeader', function (name) {
    return find(this._q.own, String(name).toLowerCase());
});

method('removeHeader', function (name) {
    Object.keys(this._q.own).forEach(function (key) {
        if (key.toLowerCase() === String(name).toLowerCase()) {
            delete this._q.own[key];
        }
    }, this);
});

/* writeHead(status[, text][, headers]) */
method('writeHead', function (status, text, headers) {
    if (typeof text === 'object' && text !== null) {
        headers = text;
        text = undefined;
    }

    if (this.headersSent) {
        throw new Error('the header was sent');
    }

    Object.keys(headers || {}).forEach(function (name) {
        this.setHeader(name, headers[name]);
    }, this);

    this.statusCode = status;
    this.statusMessage = text;
    sendHead(this);

    return this;
});

function sendHead(response) {
    var status = parseInt(response.statusCode, 10);
    var text = clean(response.statusMessage || WORDS[status] || 'Status',
                     'statusMessage');

    if (!(status >= 100 && status <= 999)) {
        throw new RangeError('no such status: ' + response.statusCode);
    }

    response.headersSent = true;
    response._q.body = response._q.request.method !== 'HEAD' && status >= 200
                    && status !== 204 && status !== 304;

    if (response._q.body && response.getHeader('content-length') === undefined
        && response.getHeader('transfer-encoding') === undefined
        && response._q.request.httpVersion === '1.1')
    {
        response._q.chunked = true;
        response._q.own['Transfer-Encoding'] = 'chunked';
    }

    response._q.own.Connection = 'close';

    response._q.socket.write('HTTP/1.1 ' + status + ' ' + text + '\r\n'
        + Object.keys(response._q.own).map(function (name) {
            return name + ': ' + response._q.own[name] + '\r\n';
        }).join('') + '\r\n');
}

/* false: wait for "drain" */
method('write', function (chunk) {
    var more = true;

    if (this.finished) {
        return false;
    }

    if (!this.headersSent) {
        sendHead(this);
    }

    chunk = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;

    if (!this._q.body || chunk.length === 0) {
        return true;
    }

    if (this._q.chunked) {
        this._q.socket.write(chunk.length.toString(16) + '\r\n');
    }

    more = this._q.socket.write(chunk);

    return this._q.chunked ? this._q.socket.write('\r\n') : more;
});

method('end', function (chunk) {
    var self = this;

    if (this.finished) {
        return;
    }

    if (chunk !== undefined && chunk !== null) {
        chunk = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;

        if (!this.headersSent) {
            this.setHeader('Content-Length', chunk.length);
        }

        this.write(chunk);

    } else if (!this.headersSent) {
        this.setHeader('Content-Length', 0);
        sendHead(this);
    }

    if (this._q.chunked) {
        this._q.socket.write('0\r\n\r\n');
    }

    this.finished = true;
    this._q.socket.end();

    native.later(function () {
        self.emit('finish');
    });
});


function refuse(socket, status) {
    socket.end('HTTP/1.1 ' + status + ' ' + WORDS[status] + '\r\n'
               + 'Content-Length: 0\r\nConnection: close\r\n\r\n');
}


function serve(server, socket) {
    var held = Buffer.alloc(0);
    var request = null;
    var response = null;
    var reader = null;

    /* what comes late is too late: a peer cannot hold its place for ever */
    var timer = setTimeout(function () {
        refuse(socket, 408);
        socket.destroy();
    }, HEAD_WAIT);

    function stop() {
        clearTimeout(timer);
        socket.removeListener('data', data);
        socket.removeListener('end', end);
    }

    function data(chunk) {
        var at;

        if (reader !== null) {
            if (!reader.take(chunk)) {
                socket.destroy();
            }
            return;
        }

        held = Buffer.concat([held, chunk]);
        at = held.toString('binary').indexOf('\r\n\r\n');

        if (at >= 0 && at <= HEAD_MAX) {
            begin(held.slice(0, at).toString('binary'), held.slice(at + 4));

        } else if (held.length > HEAD_MAX) {
            stop();
            refuse(socket, 431);
        }
    }

    function begin(text, rest) {
        var head = parseHead(text);
        var length, coding;

        clearTimeout(timer);
        held = Buffer.alloc(0);

        if (head === null) {
            stop();
            refuse(socket, 400);
            return;
        }

        length = find(head.headers, 'content-length');
        coding = find(head.headers, 'transfer-encoding');

        if (length !== undefined && !/^[0-9]{1,15}$/.test(length)
            || coding !== undefined
               && (length !== undefined || !/^chunked$/i.test(coding)))
        {
            stop();
            refuse(socket, 400);
            return;
        }

        /* a body that nobody reads waits in the kernel */
        request = new stream.Readable({ handle: {
            resume: function () {
                socket.resume();
            },
            pause: function () {
                socket.pause();
            }
        } });
        request.method = head.method;
        request.url = head.url;
        request.httpVersion = head.httpVersion;
        request.headers = head.headers;
        request.socket = socket;

        if (find(head.headers, 'upgrade') !== undefined) {
            stop();
            upgrade(rest);
            return;
        }

        response = new ServerResponse(socket, request);
        socket.on('drain', function () {
            response.emit('drain');
        });
        socket.on('close', function () {
            response.finished = true;
            response.emit('close');
        });

        reader = bodyReader(request, parseInt(length || '0', 10),
                            coding !== undefined);

        if (!reader.over()) {
            socket.pause();
        }

        if (/^100-continue$/i.test(find(head.headers, 'expect') || '')) {
            if (server.emit('checkContinue', request, response)) {
                take(rest);
                return;
            }

            socket.write('HTTP/1.1 100 Continue\r\n\r\n');
        }

        if (!server.emit('request', request, response)) {
            refuse(socket, 501);
            return;
        }

        take(rest);
    }

    function take(rest) {
        if (rest.length > 0 && !reader.take(rest)) {
            socket.destroy();
        }
    }

    function upgrade(rest) {
        if (server.listenerCount('upgrade') === 0) {
            refuse(socket, 501);
            return;
        }

        server.emit('upgrade', request, socket, rest);
    }

    /* half a request, or an answer that may still be written */
    function end() {
        clearTimeout(timer);

        if (reader === null || !reader.over()) {
            socket.destroy();
        }
    }

    socket.on('end', end);
    socket.on('close', function () {
        clearTimeout(timer);
    });
    socket.on('data', data);
}


function createServer(callback) {
    var server = net.createServer({}, undefined, true);

    ['request', 'upgrade', 'checkContinue'].forEach(function (name) {
        server.createEvent(name);
    });

    server.on('connection', function (socket) {
        serve(server, socket);
    });

    if (typeof callback === 'function') {
        server.on('request', callback);
    }

    return server;
}


module.exports = { createServer: createServer };

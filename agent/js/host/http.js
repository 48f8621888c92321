/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * http.request(): one request, one connection.  ws: and wss: open a
 * WebSocket, which is handed out as "upgrade"; what else the server answers
 * is a "response".
 */

var EventEmitter = require('events').EventEmitter;
var stream = require('stream');

var PORTS = { 'http:': 80, 'ws:': 80, 'https:': 443, 'wss:': 443 };
/* scheme, user, host, port, path */
var URI = new RegExp('^([a-z]+:)//(?:([^@/?#]*)@)?(\\[[^\\]]*\\]|[^:/?#]*)'
                     + '(?::([0-9]+))?([^#]*)');
var HEAD_MAX = 16384;           /* bytes of an answer's header */
var BODY_MAX = 1048576;         /* bytes of a request, held until end() */


function parseUri(text) {
    var m = URI.exec(String(text));
    var uri, user;

    if (m === null || PORTS[m[1]] === undefined || m[3] === '') {
        throw new Error('no such URI: ' + text);
    }

    uri = {
        protocol: m[1],
        host: m[3].replace(/^\[|\]$/g, ''),
        port: m[4] === undefined ? PORTS[m[1]] : parseInt(m[4], 10),
        path: m[5].charAt(0) === '/' ? m[5] : '/' + m[5],
        method: 'GET'
    };

    if (m[2] !== undefined) {
        user = m[2].split(':');
        uri.username = decodeURIComponent(user[0]);
        uri.password = decodeURIComponent(user.slice(1).join(':'));
    }

    return uri;
}


function isTls(options) {
    return options.protocol === 'https:' || options.protocol === 'wss:';
}


/* Throws on what would end a line of the request. */
function clean(text, what) {
    text = String(text);

    if (/[\u0000-\u001f\u007f]/.test(text)) {
        throw new TypeError(what + ' is not clean');
    }

    return text;
}


/* "Name: value" lines, each with its end */
function headerLines(headers) {
    return Object.keys(headers).map(function (name) {
        if (!/^[!#$%&'*+.^_\x60|~0-9A-Za-z-]+$/.test(name)) {
            throw new TypeError('"' + name + '" is no name of a header');
        }

        return name + ': ' + clean(headers[name], name) + '\r\n';
    }).join('');
}


function hasHeader(headers, name) {
    return Object.keys(headers).some(function (key) {
        return key.toLowerCase() === name;
    });
}


function verifier(request) {
    return stream.verifier(request._q.options, function (e) {
        request._q.failure = e;
    });
}


function ClientRequest(options, callback) {
    EventEmitter.call(this, true);

    /* of one name: scripts keep what they like in a request */
    native.define(this, '_q', {
        options: options,
        headers: {},
        body: [],
        size: 0,
        handle: null,
        failure: null,
        state: 'new',           /* new, sent, answered, over */
        timer: null
    });

    Object.keys(options.headers || {}).forEach(function (name) {
        this._q.headers[name] = options.headers[name];
    }, this);

    if (typeof callback === 'function') {
        this.on('response', callback);
    }
}

Object.setPrototypeOf(ClientRequest.prototype, EventEmitter.prototype);

['response', 'upgrade', 'error', 'timeout'].forEach(function (name) {
    Object.defineProperty(ClientRequest.prototype, name, {
        set: function (fn) {
            this.on(name, fn);
        },
        get: function () {
            return undefined;
        },
        configurable: true
    });
});


function method(name, fn) {
    native.define(ClientRequest.prototype, name, fn);
}


method('setHeader', function (name, value) {
    this._q.headers[name] = value;
});

method('removeHeader', function (name) {
    delete this._q.headers[name];
});

method('setTimeout', function (ms, fn) {
    var self = this;

    clearTimeout(this._q.timer);

    if (typeof fn === 'function') {
        this.on('timeout', fn);
    }

    this._q.timer = ms > 0 ? setTimeout(function () {
        self.emit('timeout');
    }, ms) : null;
});

method('write', function (chunk) {
    chunk = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;

    if (this._q.size + chunk.length > BODY_MAX) {
        throw new RangeError('the request is too long');
    }

    this._q.size += chunk.length;
    this._q.body.push(chunk);

    return true;
});

method('end', function (chunk) {
    if (this._q.state !== 'new') {
        return;
    }

    if (chunk !== undefined && chunk !== null) {
        this.write(chunk);
    }

    this._q.state = 'sent';

    if (/^wss?:$/.test(this._q.options.protocol)) {
        openSocket(this);
    } else {
        openPlain(this);
    }
});

method('abort', function () {
    var was = this._q.state;

    this._q.state = 'over';
    clearTimeout(this._q.timer);

    if (this._q.handle !== null) {
        this._q.handle.close();
        this._q.handle = null;
    }

    if (was === 'sent') {
        this.emit('abort');
    }
});


function fail(request, text) {
    if (request._q.state === 'sent') {
        request._q.state = 'over';
        clearTimeout(request._q.timer);
        request.emit('error', request._q.failure || new Error(text));
    }
}


/* WebSocket */

function openSocket(request) {
    var options = request._q.options;
    var handle, socket;

    handle = native.webSocket({
        host: clean(options.host, 'host'), port: options.port,
        path: clean(options.path, 'path'), tls: isTls(options),
        header: headerLines(request._q.headers), proxy: stream.proxyOf(options)
    });
    request._q.handle = handle;

    handle.onverify = verifier(request);

    handle.onclose = function (why, status) {
        request._q.handle = null;

        if (request._q.state === 'sent' && status > 0) {
            request._q.state = 'over';
            clearTimeout(request._q.timer);
            request.emit('response', answerOf(status, '', {}));

        } else {
            fail(request, why || 'the connection was closed');
        }
    };

    handle.onopen = function () {
        request._q.state = 'answered';
        clearTimeout(request._q.timer);
        socket = webSocket(handle, options);
        request.emit('upgrade', answerOf(101, 'Switching Protocols', {}),
                     socket, Buffer.alloc(0));
    };
}


function webSocket(handle, options) {
    var socket = stream.fromHandle(handle);
    var idle = null;

    socket.remoteAddress = options.host;
    socket.remotePort = options.port;

    native.define(socket, 'ping', function () {
        handle.ping();
    });

    /* the host answers pings itself */
    native.define(socket, 'pong', function () {});

    native.define(socket, 'setTimeout', function (ms, fn) {
        clearTimeout(idle);

        if (typeof fn === 'function') {
            socket.on('timeout', fn);
        }

        idle = ms > 0 ? setTimeout(function () {
            socket.emit('timeout');
        }, ms) : null;
    });

    handle.onping = function () {
        socket.emit('ping');
    };

    handle.onpong = function () {
        socket.emit('pong');
    };

    return socket;
}


/* HTTP */

function openPlain(request) {
    var options = request._q.options;
    var head, handle, parser;
    var tls = isTls(options);

    if (request._q.size > 0 && !hasHeader(request._q.headers, 'content-length')) {
        request._q.headers['Content-Length'] = request._q.size;
    }

    head = clean(options.method || 'GET', 'method') + ' '
           + clean(options.path, 'path') + ' HTTP/1.1\r\n';

    if (/ .* .* /.test(head)) {
        throw new TypeError('path is not clean');
    }

    if (!hasHeader(request._q.headers, 'host')) {
        head += 'Host: ' + clean(options.host, 'host')
                + (options.port === PORTS[options.protocol] ? ''
                   : ':' + options.port) + '\r\n';
    }

    head += headerLines(request._q.headers) + 'Connection: close\r\n\r\n';

    handle = native.stream({ host: options.host, port: options.port, tls: tls,
                             proxy: stream.proxyOf(options) });
    request._q.handle = handle;
    handle.onverify = verifier(request);
    parser = responseParser(request, handle);

    handle.onconnect = function () {
        handle.write(head);
        request._q.body.forEach(function (chunk) {
            handle.write(chunk);
        });
        request._q.body = [];
        handle.resume();
    };

    handle.ondata = parser.take;
    handle.onend = parser.end;

    handle.onerror = function (text) {
        parser.broken(text);
        fail(request, text);
    };
}


/* header, then the body: by length, in chunks, or to the end */
function responseParser(request, handle) {
    var held = Buffer.alloc(0);
    var response = null;
    var left = -1;              /* bytes of the body or chunk; -1: to the end */
    var chunked = false;
    var line = '';              /* of a chunk's size, being collected */
    var parser = {};

    function finish() {
        var last = response;

        if (request._q.state === 'over') {
            return;
        }

        request._q.state = 'over';
        clearTimeout(request._q.timer);

        if (request._q.handle !== null) {
            request._q.handle = null;
            handle.close();
        }

        last.push(null);
    }

    function refuse(text) {
        request._q.handle = null;
        handle.close();

        if (response === null) {
            fail(request, text);

        } else if (request._q.state !== 'over') {
            request._q.state = 'over';
            response.emit('error', new Error(text));
        }
    }

    function header() {
        var text = held.toString('binary');
        var at = text.indexOf('\r\n\r\n');
        var lines, status, headers, length;

        if (at < 0) {
            if (held.length > HEAD_MAX) {
                refuse('the header is too long');
            }
            return;
        }

        lines = text.slice(0, at).split('\r\n');
        status = /^HTTP\/1\.[01] ([0-9]{3})(?: (.*))?$/.exec(lines[0]);

        if (status === null) {
            refuse('the answer is no HTTP');
            return;
        }

        headers = {};
        lines.slice(1).forEach(function (one) {
            var colon = one.indexOf(':');

            if (colon > 0) {
                headers[one.slice(0, colon)] = one.slice(colon + 1).trim();
            }
        });

        held = held.slice(at + 4);

        if (status[1] === '100') {
            request.emit('continue');
            header();
            return;
        }

        Object.keys(headers).forEach(function (name) {
            if (name.toLowerCase() === 'content-length') {
                length = headers[name];
            } else if (name.toLowerCase() === 'transfer-encoding') {
                chunked = /\bchunked$/i.test(headers[name]);
            }
        });

        if (chunked) {
            left = 0;
        } else if (length !== undefined) {
            left = /^[0-9]{1,15}$/.test(length) ? parseInt(length, 10) : 0;
        }

        if (request._q.options.method === 'HEAD' || status[1] === '204'
            || status[1] === '304')
        {
            chunked = false;
            left = 0;
        }

        response = answerOf(parseInt(status[1], 10), status[2] || '', headers,
                            handle);
        request._q.state = 'answered';
        request.emit('response', response);
        at = held;
        held = Buffer.alloc(0);

        if (request._q.handle !== null) {
            body(at);
        }
    }

    function body(bytes) {
        var n;

        if (!chunked && left === 0) {
            finish();
            return;
        }

        while (bytes.length > 0 && request._q.state === 'answered') {
            if (chunked && left === 0) {
                bytes = size(bytes);
                continue;
            }

            n = left < 0 ? bytes.length : Math.min(left, bytes.length);
            response.push(bytes.slice(0, n));
            bytes = bytes.slice(n);

            if (left > 0) {
                left -= n;

                if (left === 0 && !chunked) {
                    finish();
                }
            }
        }
    }

    /* "1f4;ext\r\n", the line's end of the chunk before it first */
    function size(bytes) {
        var i, m;

        for (i = 0; i < bytes.length; i++) {
            line += String.fromCharCode(bytes[i]);

            if (line === '\r\n') {
                line = '';

            } else if (/\r\n$/.test(line)) {
                m = /^([0-9a-fA-F]{1,8})(?:[ ;].*)?\r\n$/.exec(line);
                line = '';

                if (m === null) {
                    refuse('a chunk has no length');
                    return bytes.slice(bytes.length);
                }

                left = parseInt(m[1], 16);

                if (left === 0) {
                    finish();
                }

                return bytes.slice(i + 1);

            } else if (line.length > 256) {
                refuse('a chunk has no length');
                return bytes.slice(bytes.length);
            }
        }

        return bytes.slice(bytes.length);
    }

    parser.take = function (bytes) {
        if (response === null) {
            held = Buffer.concat([held, bytes]);
            header();
        } else {
            body(bytes);
        }
    };

    parser.end = function () {
        request._q.handle = null;

        if (response === null) {
            fail(request, 'the connection was closed');

        } else if (left < 0 && !chunked) {
            finish();

        } else {
            parser.broken('the answer was cut short');
        }
    };

    parser.broken = function (text) {
        if (response !== null && request._q.state === 'answered') {
            request._q.state = 'over';
            clearTimeout(request._q.timer);

            if (response.listenerCount('error') > 0) {
                response.emit('error', new Error(text));
            } else {
                request.emit('error', new Error(text));
            }
        }
    };

    return parser;
}


function answerOf(status, text, headers, handle) {
    var response = new stream.Readable(handle ? { handle: handle } : {});

    response.statusCode = status;
    response.statusMessage = text;
    response.headers = headers;

    if (!handle) {
        response.push(null);
    }

    return response;
}


function request(options, callback) {
    var copy = {};

    if (typeof options === 'string') {
        options = parseUri(options);
    }

    Object.keys(options).forEach(function (key) {
        copy[key] = options[key];
    });

    copy.protocol = copy.protocol || module.exports.protocol || 'http:';
    copy.host = copy.host || '127.0.0.1';
    copy.path = copy.path || '/';

    if (PORTS[copy.protocol] === undefined) {
        throw new Error('no such protocol: ' + copy.protocol);
    }

    copy.port = copy.port || PORTS[copy.protocol];

    return new ClientRequest(copy, callback);
}


module.exports = {
    parseUri: parseUri,
    request: request,
    get: function (options, callback) {
        var r = request(options, callback);

        r.end();

        return r;
    },
    globalAgent: {},
    createServer: function (callback) {
        return require('http-server').createServer(callback);
    }
};

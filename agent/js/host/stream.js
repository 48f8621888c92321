/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Streams.  What a Readable gets its data from is its source:
 *
 *   source.resume()    push(chunk) may be called from now on, push(null) at
 *                      the end; chunk is a Buffer, or a string that came as
 *                      text
 *   source.pause()     a consumer is slow; what comes all the same is kept
 *   source.close()
 *
 * and a Writable gives it to its sink:
 *
 *   sink.write(chunk)  false: wait for drained()
 *   sink.end()         all that was written goes out before the end
 *
 * A native handle is both: fromHandle() joins it to a stream by the functions
 * that it calls: ondata(chunk), onend(), ondrain(), onerror(text), onclose().
 */

var EventEmitter = require('events').EventEmitter;


function define(object, name, fn) {
    native.define(object, name, fn);
}


/* prototypes' events: one accessor for all objects of the class */
function event(prototype, name, method) {
    Object.defineProperty(prototype, name, {
        get: function () {
            return method;
        },
        set: function (fn) {
            if (typeof fn === 'function') {
                this.on(name, fn);
            }
        },
        configurable: true,
        enumerable: false
    });
}


/* Readable */

function setupReadable(stream, source) {
    define(stream, '_r', {
        source: source,
        queue: [],
        pipes: [],
        flowing: false,         /* somebody wants it */
        held: false,            /* pause() was called */
        waiting: 0,             /* pipes that are full */
        running: false,         /* source.resume() was called */
        ended: false,           /* push(null) was called */
        told: false,            /* "end" was emitted */
        over: null              /* called when nobody wants it any more */
    });

    native.onAdded(stream, function (name) {
        if (name === 'data' && !stream._r.flowing) {
            start(stream);
        }
    });
}


function start(stream) {
    var r = stream._r;

    r.flowing = true;

    /* handlers that are added next in the same turn miss nothing */
    native.later(function () {
        flow(stream);
    });
}


function open(r) {
    return r.flowing && !r.held && r.waiting === 0;
}


function flow(stream) {
    var r = stream._r;

    while (open(r) && r.queue.length > 0) {
        deliver(stream, r.queue.shift());
    }

    if (open(r)) {
        if (!r.running && !r.ended) {
            r.running = true;
            r.source.resume();
        }

    } else if (r.running) {
        r.running = false;
        r.source.pause();
    }

    if (r.ended && r.queue.length === 0 && !r.told
        && (open(r) || !r.flowing))
    {
        finish(stream);
    }

    if (r.over !== null && !r.flowing && !r.held) {
        r.over();
    }
}


function finish(stream) {
    var r = stream._r;
    var pipes = r.pipes;

    r.told = true;
    r.pipes = [];
    stream.emit('end');

    pipes.forEach(function (pipe) {
        unhook(stream, pipe);
        if (pipe.options.end !== false) {
            pipe.to.end();
        }
    });

    /* a handle tells itself when it is closed */
    if (!r.source.handle) {
        closed(stream);
    }
}


function closed(stream) {
    if (!stream._closed) {
        native.define(stream, '_closed', true);
        stream.emit('close');
    }
}


function deliver(stream, chunk) {
    var r = stream._r;
    var taken = false;

    r.pipes.slice().forEach(function (pipe) {
        var more;

        if (pipe.options.dataTypeSkip === 1 && typeof chunk === 'string') {
            return;
        }

        taken = taken || pipe.options.dataTypeSkip === 1;

        native.guard(function () {
            more = pipe.to.write(chunk);
        });

        if (more === false && !pipe.full) {
            pipe.full = true;
            r.waiting++;
        }
    });

    if (!taken) {
        stream.emit('data', chunk);
    }
}


/* true: go on */
function push(stream, chunk) {
    var r = stream._r;

    if (r.ended) {
        return false;
    }

    if (chunk === null || chunk === undefined) {
        r.ended = true;

    } else if (chunk.length > 0 || typeof chunk === 'string') {
        r.queue.push(chunk);
    }

    flow(stream);

    return open(r);
}


function unhook(stream, pipe) {
    pipe.to.removeListener('drain', pipe.drain);
    pipe.to.removeListener('close', pipe.close);
    pipe.to.emit('unpipe', stream);

    if (pipe.full) {
        pipe.full = false;
        stream._r.waiting--;
    }
}


function pipeTo(to, options) {
    var stream = this;
    var r = stream._r;
    var pipe = { to: to, options: options || {}, full: false };

    pipe.drain = function () {
        if (pipe.full) {
            pipe.full = false;
            r.waiting--;
            flow(stream);
        }
    };

    /* nobody will ever drain it */
    pipe.close = function () {
        stream.unpipe(to);
    };

    to.on('drain', pipe.drain);
    to.on('close', pipe.close);
    r.pipes.push(pipe);
    to.emit('pipe', stream);
    r.held = false;
    start(stream);

    return to;
}


function unpipe(to) {
    var stream = this;
    var r = stream._r;

    r.pipes = r.pipes.filter(function (pipe) {
        if (to !== undefined && pipe.to !== to) {
            return true;
        }

        unhook(stream, pipe);
        return false;
    });

    if (r.pipes.length === 0 && stream.listenerCount('data') === 0) {
        r.flowing = false;
    }

    flow(stream);

    return stream;
}


function readable(prototype, isDuplex) {
    define(prototype, 'push', function (chunk) {
        return push(this, chunk);
    });

    define(prototype, 'unshift', function (chunk) {
        this._r.queue.unshift(chunk);
    });

    define(prototype, 'pause', function () {
        this._r.held = true;
        flow(this);
        return this;
    });

    define(prototype, 'resume', function () {
        this._r.held = false;
        start(this);
        return this;
    });

    define(prototype, 'isPaused', function () {
        return this._r.held;
    });

    define(prototype, 'pipe', pipeTo);
    define(prototype, 'unpipe', unpipe);

    event(prototype, 'data');
    event(prototype, 'close');
    event(prototype, 'error');

    if (!isDuplex) {
        event(prototype, 'end');
    }
}


/* Writable */

function setupWritable(stream, sink) {
    define(stream, '_w', {
        sink: sink,
        queue: [],              /* of what a script's write() has not flushed */
        size: 0,
        busy: false,
        full: false,
        ending: false,
        ended: false
    });
}


var MAX_QUEUE = 8 * 1024 * 1024;


function write(chunk, fn) {
    var stream = this;
    var w = stream._w;

    if (w.ending) {
        return false;
    }

    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) {
        chunk = JSON.stringify(chunk);
    }

    if (w.busy && w.sink.serial) {
        if (w.size + chunk.length > MAX_QUEUE) {
            throw new RangeError('too much is waiting');
        }

        w.queue.push([chunk, fn]);
        w.size += chunk.length;
        w.full = true;
        return false;
    }

    return put(stream, chunk, fn);
}


function put(stream, chunk, fn) {
    var w = stream._w;

    w.busy = true;

    if (w.sink.write(chunk, stream) === false) {
        w.full = true;
    } else {
        w.busy = false;
    }

    if (typeof fn === 'function') {
        native.later(fn);
    }

    return !w.full;
}


/* the sink can take more */
function drained(stream) {
    var w = stream._w;
    var next;

    w.busy = false;

    while (!w.busy && w.queue.length > 0) {
        next = w.queue.shift();
        w.size -= next[0].length;
        put(stream, next[0], next[1]);
    }

    if (w.busy) {
        return;
    }

    if (w.ending) {
        complete(stream);
        return;
    }

    if (w.full) {
        w.full = false;
        stream.emit('drain');
    }
}


function complete(stream) {
    var w = stream._w;

    if (w.ended) {
        return;
    }

    w.ended = true;
    w.sink.end(stream);
}


function end(chunk) {
    var w = this._w;

    if (w.ending) {
        return;
    }

    if (chunk !== undefined && chunk !== null) {
        this.write(chunk);
    }

    w.ending = true;

    if (!w.busy || !w.sink.serial) {
        complete(this);
    }
}


function writable(prototype) {
    define(prototype, 'write', write);
    event(prototype, 'end', end);
    event(prototype, 'drain');
    event(prototype, 'finish');
    event(prototype, 'error');
    event(prototype, 'close');
}


/* of options.write and options.final: each is told by flush() */
function scriptSink(stream, options) {
    return {
        serial: true,
        write: function (chunk) {
            var flushed = false;
            var returned = false;
            var more;

            more = options.write.call(stream, chunk, function () {
                if (flushed) {
                    return;
                }
                flushed = true;
                if (returned) {
                    drained(stream);
                }
            });

            returned = true;

            return flushed || more !== false;
        },
        end: function () {
            var done = false;

            function flush() {
                if (!done) {
                    done = true;
                    stream.emit('finish');
                }
            }

            if (typeof options.final === 'function') {
                options.final.call(stream, flush);
            } else {
                flush();
            }
        }
    };
}


function scriptSource(stream, options) {
    return {
        resume: function () {
            if (typeof options.read === 'function') {
                options.read.call(stream);
            }
        },
        pause: function () {}
    };
}


function handleSource(handle) {
    return {
        handle: handle,
        resume: function () {
            handle.resume();
        },
        pause: function () {
            handle.pause();
        }
    };
}


function handleSink(handle) {
    return {
        write: function (chunk) {
            return handle.write(chunk);
        },
        end: function (stream) {
            handle.end();
            native.later(function () {
                stream.emit('finish');
            });
        }
    };
}


/*
 * What a handle calls goes to the streams: both may be the same Duplex, and
 * either may be missing.
 */
function bind(handle, input, output) {
    handle.ondata = function (chunk) {
        if (input) {
            push(input, chunk);
        }
    };

    handle.onend = function () {
        if (input) {
            push(input, null);
        }
    };

    handle.ondrain = function () {
        if (output) {
            drained(output);
        }
    };

    handle.onerror = function (text) {
        var to = output || input;

        if (to.listenerCount('error') > 0) {
            to.emit('error', new Error(text));
        }
    };

    /* even of a stream that is paused */
    handle.onclose = function () {
        if (output) {
            output._w.ending = output._w.ended = true;
        }

        if (input) {
            push(input, null);
            closed(input);
        }

        if (output) {
            closed(output);
        }
    };
}


/*
 * onverify of a handle: is the certificate of the other side taken?  There is
 * no store of authorities: the script says so, and what it throws is refused(e).
 */
function verifier(options, refused) {
    return function (leaf) {
        if (typeof options.checkServerIdentity === 'function') {
            try {
                options.checkServerIdentity([leaf]);

            } catch (e) {
                refused(e);
                return false;
            }

            return true;
        }

        return options.rejectUnauthorized === 0
               || options.rejectUnauthorized === false;
    };
}


/* {host, port, username, password}, or as the policy writes it */
function proxyOf(options) {
    var proxy = options.proxy;

    if (!proxy) {
        return undefined;
    }

    if (typeof proxy === 'string') {
        return proxy;
    }

    return (proxy.username ? proxy.username + ':' + proxy.password + '@' : '')
           + proxy.host + ':' + proxy.port;
}


function Readable(options) {
    EventEmitter.call(this, true);
    options = options || {};
    setupReadable(this, options.handle ? handleSource(options.handle)
                                       : scriptSource(this, options));
}

function Writable(options) {
    EventEmitter.call(this, true);
    options = options || {};
    setupWritable(this, options.handle ? handleSink(options.handle)
                                       : scriptSink(this, options));
}

function Duplex(options) {
    EventEmitter.call(this, true);
    options = options || {};
    setupReadable(this, options.handle ? handleSource(options.handle)
                                       : scriptSource(this, options));
    setupWritable(this, options.handle ? handleSink(options.handle)
                                       : scriptSink(this, options));
}

[Readable, Writable, Duplex].forEach(function (Class) {
    Object.setPrototypeOf(Class.prototype, EventEmitter.prototype);
});

readable(Readable.prototype, false);
writable(Writable.prototype);
readable(Duplex.prototype, true);
writable(Duplex.prototype);


/* a Duplex over a native handle */
function fromHandle(handle) {
    var stream = new Duplex({ handle: handle });

    bind(handle, stream, stream);

    return stream;
}


module.exports = {
    Readable: Readable,
    Writable: Writable,
    Duplex: Duplex,
    fromHandle: fromHandle,
    bind: bind,
    verifier: verifier,
    proxyOf: proxyOf
};

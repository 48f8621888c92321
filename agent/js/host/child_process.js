/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Programs: agent.md 7.6. */

var EventEmitter = require('events').EventEmitter;
var stream = require('stream');

var TYPES = { DEFAULT: 0, USER: 1, WINLOGON: 2, TERM: 3, DETACHED: 4 };
var KILL = 9;
var WAIT_STEP = 50;             /* ms */
var WAIT_MAX = 8000;            /* the loop stands still meanwhile */


/* execFile(path, argv with its name first[, options][, callback]) */
function execFile(path, argv, options, callback) {
    var child = {};
    var how = {};
    var env, key, handle;

    if (typeof options === 'function') {
        callback = options;
        options = undefined;
    }

    options = options || {};

    how.type = options.detached ? TYPES.DETACHED : Number(options.type) || 0;
    how.uid = typeof options.uid === 'number' ? options.uid : -1;

    if (options.env) {
        env = {};
        for (key in options.env) {
            env[key] = options.env[key];
        }

        if (how.type === TYPES.TERM) {
            env.TERM = 'xterm-256color';
            how.rows = Number(env.LINES) || 0;
            how.cols = Number(env.COLUMNS) || 0;
        }

        how.env = env;
    }

    handle = native.spawn(String(path), argv || [path], how);

    EventEmitter.call(child, true).createEvent('exit');

    child.pid = handle.pid;
    native.define(child, '_handle', handle);
    join(child, handle);

    if (typeof callback === 'function') {
        child.on('exit', callback);
    }

    handle.onexit = function (code, signal) {
        last(child.stdout);
        last(child.stderr);

        if (handle.out) {
            handle['in'].close();
        }

        child.exited = true;
        child.emit('exit', code, signal);
    };

    child.kill = function (signal) {
        return handle.kill(native.signal(signal, KILL));
    };

    child.waitExit = function (ms) {
        waitExit(child, handle, ms);
    };

    if (how.type === TYPES.TERM) {
        child.pty = handle['in'].fd();
        child.tcsetsize = function (rows, cols) {
            return handle.size(handle['in'].fd(), rows, cols);
        };
    }

    return child;
}


/* a terminal has no other output, and on Unix one descriptor for both ways */
function join(child, handle) {
    var input = handle['in'];
    var output = handle.out || input;
    var error = handle.err;

    child.stdin = new stream.Writable({ handle: input });
    child.stdout = new stream.Readable({ handle: output });

    if (output === input) {
        stream.bind(input, child.stdout, child.stdin);

        /* its end is a character: the descriptor is that of its output */
        child.stdin._w.sink.end = function () {
            input.write('\u0004');
        };

        child.stderr = new stream.Readable();

    } else {
        stream.bind(input, null, child.stdin);
        stream.bind(output, child.stdout, null);

        if (error) {
            child.stderr = new stream.Readable({ handle: error });
            stream.bind(error, child.stderr, null);
        } else {
            child.stderr = new stream.Readable();
        }
    }

    native.define(child.stdout, '_handle', output);
    native.define(child.stderr, '_handle', error);
}


/*
 * What a program has printed comes before the news that it has ended.  Output
 * that nobody asks for goes with it: the pipe would stay open for ever.
 */
function last(output) {
    if (output._handle === undefined) {
        return;
    }

    if (output._r.running) {
        output._handle.drain();
    }

    native.later(function () {
        output._r.over = function () {
            output._handle.close();
        };

        if (!output._r.flowing && !output._r.held) {
            output._handle.close();
        }
    });
}


function waitExit(child, handle, ms) {
    var until = native.now() + Math.min(ms > 0 ? ms : WAIT_MAX, WAIT_MAX);
    var outputs = [child.stdout, child.stderr];

    outputs.forEach(function (output) {
        if (output._handle && output._r.flowing && !output._r.running) {
            output.resume();
            output._r.running = true;
            output._handle.resume();
        }
    });

    while (!child.exited && !handle.check() && native.now() < until) {
        native.wait(outputs.map(function (output) {
            return output._handle && output._r.running ? output._handle.fd()
                                                       : -1;
        }), WAIT_STEP);

        outputs.forEach(function (output) {
            if (output._handle && output._r.running) {
                output._handle.drain();
            }
        });
    }

    if (!child.exited) {
        throw new Error('waitExit: the program still runs');
    }
}


module.exports = {
    SpawnTypes: TYPES,
    execFile: execFile,
    _execve: function () {
        throw new Error('_execve: not here');
    }
};

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

var EventEmitter = require('events').EventEmitter;
var facts = native.facts();

var DATE = /^(\d+)-(\w+)-(\d+) ([\d:]+)/.exec(facts.date);
var MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec';

var process = {
    pid: facts.pid,
    platform: facts.platform,
    arch: facts.arch,
    execPath: facts.execPath,
    argv: [],
    env: native.getenv(),
    versions: {
        openssl: facts.openssl,
        duktape: 'v' + Math.floor(Duktape.version / 10000) + '.'
                 + Math.floor(Duktape.version / 100) % 100 + '.'
                 + Duktape.version % 100,
        uv: facts.uv,
        commitDate: new Date(Date.UTC(DATE[1], MONTHS.indexOf(DATE[2]) / 3,
                                      DATE[3])),
        commitHash: facts.version,
        compileTime: DATE[4] + ', ' + DATE[2] + ' ' + DATE[3] + ' ' + DATE[1]
    },
    coreDumpLocation: null
};

EventEmitter.call(process, true)
    .createEvent('exit')
    .createEvent('uncaughtException');

/* always with a separator behind it */
process.cwd = function () {
    return facts.platform === 'win32' ? native.cwd().replace(/\\?$/, '\\')
                                      : native.cwd().replace(/\/?$/, '/');
};

process.chdir = native.chdir;

process.setenv = function (name, value) {
    native.setenv(String(name), value === undefined || value === null
                                ? undefined : String(value));
    process.env = native.getenv();
};

process.exit = function (code) {
    process.emit('exit', code || 0);
    native.exit(code || 0);
};

process._exit = function (code) {
    native.exit(code || 0);
};

var SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGKILL: 9, SIGUSR1: 10,
                SIGUSR2: 12, SIGTERM: 15, SIGCONT: 18, SIGSTOP: 19 };

native.signal = function (value, otherwise) {
    if (value === undefined || value === null) {
        return otherwise;
    }

    if (typeof value === 'string' && SIGNALS[value] !== undefined) {
        return SIGNALS[value];
    }

    value = Number(value);

    if (!(value >= 0 && value <= 64)) {
        throw new RangeError('no such signal');
    }

    return value;
};

process.kill = function (pid, signal) {
    native.kill(Number(pid), native.signal(signal, 15));
};

function output(fd) {
    return {
        write: function (data) {
            native.print(fd, data);
            return true;
        }
    };
}

process.stdout = output(1);
process.stderr = output(2);

native.process = process;
native.define(globalThis, 'process', process);

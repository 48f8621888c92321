/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Files: agent.md 7.7. */

var stream = require('stream');
var EventEmitter = require('events').EventEmitter;

var CHUNK = 65536;
var S_IFMT = 61440;
var S_IFDIR = 16384;
var S_IFREG = 32768;

var windows = native.facts().platform === 'win32';

var files = {};                 /* by descriptor, of openSync() */


function file(fd) {
    if (files[fd] === undefined) {
        throw new Error('EBADF: bad file descriptor');
    }

    return files[fd];
}


function openSync(path, flags, mode) {
    var opened = native.open(String(path), typeof flags === 'number'
                             ? flags : flags || 'r', mode);

    files[opened.fd] = opened;

    return opened.fd;
}


function closeSync(fd) {
    var opened = file(fd);

    delete files[fd];
    opened.close();
}


function readFileSync(path) {
    var opened = native.open(String(path), 'r');

    try {
        return opened.all();

    } finally {
        opened.close();
    }
}


function writeFileSync(path, data, options) {
    var opened = native.open(String(path), (options && options.flags) || 'w');
    var at = 0;

    if (typeof data === 'string') {
        data = Buffer.from(data);
    }

    try {
        while (at < data.length) {
            at += opened.write(data, at, data.length - at, null);
        }

    } finally {
        opened.close();
    }
}


function Stats(raw) {
    this.size = raw.size;
    this.mode = raw.mode;
    this.uid = raw.uid;
    this.gid = raw.gid;
    this.atime = new Date(raw.atime).toISOString();
    this.mtime = new Date(raw.mtime).toISOString();
    this.ctime = new Date(raw.ctime).toISOString();
}

Stats.prototype.isDirectory = function () {
    return (this.mode & S_IFMT) === S_IFDIR;
};

Stats.prototype.isFile = function () {
    return (this.mode & S_IFMT) === S_IFREG;
};


function statSync(path) {
    return new Stats(native.stat(String(path), false));
}


function existsSync(path) {
    try {
        native.stat(String(path), false);
        return true;

    } catch (e) {
        return false;
    }
}


function mkdirSync(path, options) {
    var mode = options && options.mode;
    var at;

    path = windows ? String(path).replace(/\\/g, '/') : String(path);

    if (options && options.recursive) {
        for (at = path.indexOf('/', 1); at > 0; at = path.indexOf('/', at + 1))
        {
            if (!existsSync(path.slice(0, at))) {
                native.mkdir(path.slice(0, at), mode);
            }
        }

        if (existsSync(path)) {
            return;
        }
    }

    native.mkdir(path, mode);
}


/* empty folders too */
function unlinkSync(path) {
    var raw = native.stat(String(path), true);

    if ((raw.mode & S_IFMT) === S_IFDIR) {
        native.rmdir(String(path));
    } else {
        native.unlink(String(path));
    }
}


/* One piece is on its way at a time, and none while the consumer is slow. */
function createReadStream(path, options) {
    var opened, at, end, busy, wanted, result;

    options = options || {};
    opened = native.open(String(path), options.flags || 'r');
    at = typeof options.start === 'number' ? options.start : null;
    end = typeof options.end === 'number' ? options.end : Infinity;
    busy = false;
    wanted = false;

    function next() {
        var size = at === null ? CHUNK : Math.min(CHUNK, end - at + 1);

        if (busy || !wanted || opened === null) {
            return;
        }

        if (size <= 0) {
            finish();
            return;
        }

        busy = true;
        opened.pull(size, at);
    }

    function finish() {
        if (opened !== null) {
            opened.close();
            opened = null;
            result.push(null);
        }
    }

    if (at === null && end !== Infinity) {
        at = 0;
    }

    result = new stream.Readable({ read: function () {
        wanted = true;
        next();
    } });

    result._r.source.pause = function () {
        wanted = false;
    };

    opened.ondata = function (error, data) {
        busy = false;

        if (error) {
            result.emit('error', new Error(error));
        }

        if (error || data.length === 0) {
            finish();
            return;
        }

        if (at !== null) {
            at += data.length;
        }

        result.push(data);
        next();
    };

    native.define(result, 'close', finish);

    return result;
}


function createWriteStream(path, options) {
    var opened = native.open(String(path), (options && options.flags) || 'w');
    var result, done, rest;

    function step() {
        opened.push(rest, null);
    }

    result = new stream.Writable({
        write: function (chunk, flush) {
            if (opened === null) {
                flush();
                return true;
            }

            rest = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
            done = flush;

            if (rest.length === 0) {
                flush();
                return true;
            }

            step();
            return false;
        },
        final: function (flush) {
            if (opened !== null) {
                opened.close();
                opened = null;
            }
            flush();
            result.emit('close');
        }
    });

    opened.onwritten = function (error, size) {
        if (error) {
            opened.close();
            opened = null;
            result.emit('error', new Error(error));
            done();
            return;
        }

        if (size < rest.length) {
            rest = rest.slice(size);
            step();
            return;
        }

        done();
    };

    return result;
}


/* read(fd, buffer, offset, length, position, callback(error, bytes)) */
function read(fd, buffer, offset, length, position, callback) {
    var opened = file(fd);

    opened.ondata = function (error, data) {
        if (!error) {
            data.copy(buffer, offset);
        }
        callback(error ? new Error(error) : null, error ? 0 : data.length,
                 buffer);
    };

    opened.pull(Math.min(length, CHUNK), position);
}


function write(fd, buffer, offset, length, position, callback) {
    var opened = file(fd);

    opened.onwritten = function (error, size) {
        callback(error ? new Error(error) : null, error ? 0 : size, buffer);
    };

    opened.push(buffer.slice(offset, offset + length), position);
}


function watch(path, callback) {
    var watcher = {};
    var handle = native.watch(String(path));

    EventEmitter.call(watcher, true).createEvent('change');

    handle.onchange = function (event, name) {
        watcher.emit('change', event, name);
    };

    watcher.close = function () {
        handle.close();
    };

    if (typeof callback === 'function') {
        watcher.on('change', callback);
    }

    return watcher;
}


module.exports = {
    maxPosition: 9007199254740991,      /* the stock host's is of 31 bits */
    openSync: openSync,
    closeSync: closeSync,
    readSync: function (fd, buffer, offset, length, position) {
        return file(fd).read(buffer, offset, length, position);
    },
    writeSync: function (fd, buffer, offset, length, position) {
        return file(fd).write(buffer, offset, length, position);
    },
    read: read,
    write: write,
    close: function (fd, callback) {
        closeSync(fd);
        if (callback) {
            native.later(callback);
        }
    },
    readFileSync: readFileSync,
    writeFileSync: writeFileSync,
    existsSync: existsSync,
    statSync: statSync,
    lstatSync: function (path) {
        return new Stats(native.stat(String(path), true));
    },
    /* max: ours alone */
    readdirSync: function (path, max) {
        return native.readdir(String(path).replace(/\*$/, ''), max);
    },
    mkdirSync: mkdirSync,
    rmdirSync: native.rmdir,
    unlinkSync: unlinkSync,
    renameSync: native.rename,
    copyFileSync: native.copy,
    chmodSync: native.chmod,
    chownSync: native.chown,
    readlinkSync: native.readlink,
    readDrivesSync: function () {
        return native.query('drives') || [];
    },
    createReadStream: createReadStream,
    createWriteStream: createWriteStream,
    watch: watch,
    constants: native.openFlags(),
    CHMOD_MODES: { S_IRUSR: 256, S_IWUSR: 128, S_IXUSR: 64, S_IRGRP: 32,
                   S_IWGRP: 16, S_IXGRP: 8, S_IROTH: 4, S_IWOTH: 2,
                   S_IXOTH: 1 }
};

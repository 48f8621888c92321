/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * File sessions: protocol 5, in which a viewer lists and changes the
 * device's files, and protocol 10, which sends one of them.  Commands are
 * JSON in either kind of message; BINARY that does not begin with { belongs
 * to an upload (transfer.js).
 *
 * Work that may take longer goes in slices, or in a program of its own, and
 * one piece after the other: a listing that is asked for behind a deletion
 * shows what is left.
 */

var CONSENT_NOTIFY_FILES = 4;
var CONSENT_PROMPT_FILES = 32;

var MAX_PATH = 4095;            /* bytes */
var MAX_NAMES = 10000;          /* in one command */
var MAX_FILE_JOBS = 256;        /* that wait */
var MAX_HELD = 10000;           /* messages, while the way changes */
var MAX_SEARCHES = 4;
var MAX_FOUND = 10000;
var MAX_ENTRIES = 200000;       /* of a listing */
var MAX_FOLDER = 16777216;      /* bytes of a folder's own, of a million */
var TOO_MANY = 'The folder has more entries than can be listed.';
/* ms of one turn: the stock host takes as much again between two */
var SLICE_TIME = 50;
var SLICE_PAUSE = 1;
var WORK_TIMEOUT = 24 * 3600 * 1000;
var SEARCH_TIMEOUT = 600000;

var FILE_TIME = /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)(\.\d+)?Z$/;

var S_IFMT = 61440;
var S_IFREG = 32768;

var FILE_COMMANDS = {
    ls: filesLs,
    mkdir: filesMkdir,
    rm: filesRm,
    rename: filesRename,
    copy: filesCopy,
    move: filesCopy,
    open: filesOpenOnDesktop,
    findfile: filesFind,
    cancelfindfile: filesCancelFind,
    zip: filesZip,
    unzip: filesUnzip,
    cancel: filesCancelZip,
    upload: uploadStart,
    uploaddone: uploadDone,
    uploadcancel: uploadCancel,
    uploadhash: uploadHash,
    download: downloadCommand
};

PROTOCOLS[5].open = filesOpen;
PROTOCOLS[10].open = filesOpen;


/* Called once the viewer has chosen; tunnel is of tunnel.js. */
function filesOpen(tunnel, protocol) {
    var request = tunnel.request;
    var consent = tunnel.consent();

    if (!hasRights(request, RIGHT_REMOTE, RIGHT_NO_FILES)) {
        tunnel.refuse('You have no right to the files of this device.');
        return;
    }

    tunnel.commands = true;

    if ((consent & CONSENT_PROMPT_FILES) === 0) {
        filesStart(tunnel, protocol, consent);
        return;
    }

    /* what comes meanwhile waits in the tunnel */
    tunnel.state = TUNNEL_ASKING;
    tunnel.console('Waiting for user to grant access...', 1);

    tunnel.onClose(askConsent(request, tunnel.soptions, 'Files',
        function (granted, reason) {
            if (tunnel.state !== TUNNEL_ASKING) {
                return;
            }

            if (!granted) {
                log(request, 41, 'Local user rejected remote file access', []);
                tunnel.refuse(reason, 2);
                return;
            }

            log(request, 40, 'Local user accepted remote file access', []);
            tunnel.console(null, 0);
            filesStart(tunnel, protocol, consent);
        }));
}


function filesStart(tunnel, protocol, consent) {
    var user = tunnel.user();
    var address = isText(tunnel.request.remoteaddr, 256)
                  ? tunnel.request.remoteaddr : '';
    var session;

    tunnel.state = TUNNEL_OPEN;
    countSession('files', user, 1);
    tunnel.onClose(function () {
        countSession('files', user, -1);
    });

    if (consent & CONSENT_NOTIFY_FILES) {
        notifySession(tunnel.request, tunnel.soptions, 'Files');
        log(tunnel.request, 42, 'Started remote files with a notice to the '
            + 'user (' + address + ')', [address]);
    } else {
        log(tunnel.request, 43, 'Started remote files without a notice to '
            + 'the user (' + address + ')', [address]);
    }

    session = filesSession(tunnel);

    if (protocol === 10) {
        sendWholeFile(session);
        return;
    }

    tunnel.take(function (data) {
        guarded(function () {
            filesInput(session, data);
        });
    });
    tunnel.carry({
        hold: function (done) {
            filesHold(session, done);
        },
        start: function (stream, max) {
            session.max = max;
            filesOutput(session, stream);
        }
    });
}


function filesSession(tunnel) {
    var session = {
        tunnel: tunnel,
        closed: false,
        out: null,              /* stream of BINARY to the viewer */
        full: true,             /* it takes no more: data waits in queue */
        max: Infinity,          /* bytes of a message in it */
        paused: null,           /* for that, this is not read either */
        queue: [],
        waiting: [],            /* called when it takes more */
        jobs: [],
        busy: false,
        upload: null,
        download: null,
        searches: {},           /* by reqid */
        zip: null
    };

    tunnel.onClose(function () {
        session.closed = true;
        session.jobs = [];
        session.queue = [];
        session.waiting = [];
        uploadClose(session);
        downloadClose(session);
        Object.keys(session.searches).forEach(function (id) {
            session.searches[id].stop();
        });
        filesCancelZip(session);
    });

    filesOutput(session, tunnel.socket);

    return session;
}


function filesInput(session, data) {
    var message;

    if (data.length === 0 || session.closed) {
        return;
    }

    if (typeof data !== 'string' && data[0] !== 0x7b) {
        uploadData(session, data);
        return;
    }

    if (data.length > MAX_COMMAND) {
        filesFail(session, 'The command is too long.');
        return;
    }

    message = parseJson(decode(typeof data === 'string' ? Buffer.from(data)
                                                        : data));

    if (isObject(message) && isText(message.action, 32)
        && has(FILE_COMMANDS, message.action))
    {
        FILE_COMMANDS[message.action](session, message);
    }
}


/*
 * Output.  A viewer that does not read is not listened to either.  The stock
 * host tells a script nothing when a WebSocket has room again; a stream that
 * is piped into one it asks for more.
 */

function filesOutput(session, stream) {
    var Readable = require('stream').Readable;
    var out = new Readable({ read: function () {
        guarded(function () {
            if (session.out === out) {
                filesDrained(session);
            }
        });
    } });

    session.out = out;
    out.pipe(stream, { end: false });
}


/* Sends no more until there is another stream, see webrtc.js. */
function filesHold(session, done) {
    whenRead(session, function () {
        var out = session.out;

        session.full = true;
        session.out = null;
        out.unpipe(session.tunnel.socket);
        filesListen(session);
        done();
    });
}


function filesSend(session, data) {
    var source;

    if (session.closed) {
        return;
    }

    /* a stream that keeps two messages would make them one */
    if (session.full) {
        session.queue.push(data);

        /* the socket cannot be paused now: the end of the hold is in it */
        if (session.out === null && session.queue.length > MAX_HELD) {
            session.tunnel.close();
        }

        return;
    }

    if (typeof data === 'string' || data.length > session.max) {
        session.tunnel.socket.write(data);

    } else if (session.out.push(data) === false) {
        session.full = true;
        source = session.tunnel.source();

        if (session.paused === null) {
            session.paused = source;
            source.pause();
        }
    }
}


function filesDrained(session) {
    var queue = session.queue;
    var waiting = session.waiting;

    session.full = false;
    session.queue = [];
    session.waiting = [];

    queue.forEach(function (data) {
        filesSend(session, data);
    });

    waiting.forEach(function (fn) {
        whenRead(session, function () {
            guarded(fn);
        });
    });

    if (!session.full) {
        filesListen(session);
    }
}


function filesListen(session) {
    var paused = session.paused;

    if (paused !== null && !session.closed) {
        session.paused = null;
        paused.resume();
    }
}


/* fn runs at once, or when the viewer has read on */
function whenRead(session, fn) {
    if (session.closed) {
        return;
    }

    if (session.full) {
        session.waiting.push(fn);
    } else {
        fn();
    }
}


/* JSON in a BINARY message */
function filesReply(session, object) {
    filesSend(session, Buffer.from(asciiJson(object)));
}


/* The protocol has no answer for what failed: it becomes a line of status. */
function filesFail(session, text) {
    session.tunnel.console(clip(text, 1024), 0);
}


/* an id of the viewer, as it may be sent back */
function echo(value) {
    return isText(value, 512) || typeof value === 'number' ? value : undefined;
}


/* Work, one after the other: job(done). */

function filesJob(session, job) {
    if (session.jobs.length >= MAX_FILE_JOBS) {
        filesFail(session, 'Too many file operations are waiting.');
        return;
    }

    session.jobs.push(job);
    filesNext(session);
}


function filesNext(session) {
    while (!session.busy && !session.closed && session.jobs.length > 0) {
        session.busy = true;
        startJob(session, session.jobs.shift());
    }
}


function startJob(session, job) {
    var over = false;

    function done() {
        if (!over) {
            over = true;
            session.busy = false;
            filesNext(session);
        }
    }

    try {
        job(done);

    } catch (e) {
        fault(e);
        done();
    }
}


/* Calls step() now and in further turns, until it returns false. */
function inSlices(step) {
    if (step() !== false) {
        after(SLICE_PAUSE, function () {
            inSlices(step);
        });
    }
}


/* Names */

/* A path of the viewer, or null: too long, or with a NUL in it. */
function filePath(value) {
    if (typeof value !== 'string' || value.length > MAX_PATH
        || value.indexOf('\u0000') >= 0)
    {
        return null;
    }

    if (process.platform === 'win32') {
        /* of a drive: no device, no stream, and no other machine, to which
           the system would show who it is */
        if (!/^[A-Za-z]:(?:[\/\\][^:]*)?$/.test(value)) {
            return null;
        }

        value = value.length === 2 ? value + '\\' : value;

    } else if (value.charAt(0) !== '/') {
        value = '/' + value;
    }

    return Buffer.from(hostName(value)).length <= MAX_PATH ? value : null;
}


/* name is one of folder's, never a way out of it */
function childPath(folder, name) {
    var windows = process.platform === 'win32';

    if (folder === null || !isText(name, MAX_PATH) || name === '.'
        || name === '..' || name.indexOf('/') >= 0
        || (windows && /[\\:]/.test(name)))
    {
        return null;
    }

    return filePath(/[\/\\]$/.test(folder) ? folder + name
                    : folder + (windows ? '\\' : '/') + name);
}


function childPaths(folder, names) {
    if (!Array.isArray(names) || names.length > MAX_NAMES) {
        return [];
    }

    return names.map(function (name) {
        return childPath(folder, name);
    }).filter(function (path) {
        return path !== null;
    });
}


function baseName(path) {
    return path.slice(Math.max(path.lastIndexOf('/'),
                               path.lastIndexOf('\\')) + 1);
}


/*
 * A name as the host takes it.  The stock host gives the engine's own bytes
 * to the system, where a character past U+FFFF would be two surrogates.
 */
function hostName(text) {
    return /[\ud800-\udfff]/.test(text) && typeof TextEncoder !== 'undefined'
           ? Buffer.concat([new TextEncoder().encode(text)]).toString()
           : text;
}


/*
 * These two run for each entry of a listing: no closure is made in them, as
 * each would be left to the collector, which walks over all names.
 */

var ODD_NAME = /[^\u0020-\u007e]/;


/* A name of the host as text; one that is no UTF-8 gets U+FFFD. */
function shownName(name) {
    try {
        if (!ODD_NAME.test(name)) {
            return name;
        }

    } catch (ignored) {
        void ignored;           /* the engine cannot read it as text */
    }

    return decode(Buffer.from(name));
}


/* path is the host's */
function statOf(path) {
    try {
        return fs.statSync(path);

    } catch (ignored) {
        return null;
    }
}


function fileStat(path) {
    return statOf(hostName(path));
}


/* A pipe or a terminal would stop the host. */
function isRegular(stat) {
    return stat !== null && (stat.mode & S_IFMT) === S_IFREG;
}


/*
 * Seconds and a Z, in UTC.  The stock host of a Unix gives local time with a
 * Z, and no fraction, which ours gives.
 */
function fileTime(text) {
    var part = FILE_TIME.exec(text);

    if (part === null) {
        return '1970-01-01T00:00:00Z';
    }

    if (part[7] === undefined && process.platform !== 'win32') {
        text = new Date(+part[1], part[2] - 1, +part[3], +part[4], +part[5],
                        +part[6]).toISOString();
    }

    return text.slice(0, 19) + 'Z';
}


/* Listing */

function filesLs(session, message) {
    var path = message.path === '' && process.platform === 'win32'
               ? '' : filePath(message.path);

    filesJob(session, function (done) {
        var names;

        if (path === '') {
            listReply(session, message, path, listDrives());
            done();
            return;
        }

        names = folderNames(session, path);

        if (names === null || names.length === 0) {
            listReply(session, message, path, names);
            done();
            return;
        }

        listEntries(session, message, path, names, done);
    });
}


function listReply(session, message, path, entries) {
    filesReply(session, { path: path === null ? '' : path,
                          reqid: echo(message.reqid), dir: entries });
}


function listDrives() {
    return attempt(function () {
        return fs.readDrivesSync().map(function (drive) {
            return { n: drive.name, t: 1, dt: drive.type, s: drive.size,
                     f: drive.free };
        });
    }, null);
}


/* null: it cannot be read; a file has no names */
function folderNames(session, path) {
    var stat = path === null ? null : fileStat(path);
    var names;

    if (stat === null) {
        return null;
    }

    if (!stat.isDirectory()) {
        return [];
    }

    names = stat.size > MAX_FOLDER ? null : attempt(function () {
        return fs.readdirSync(hostName(path), MAX_ENTRIES + 1);
    }, undefined);

    if (names === undefined) {
        return null;
    }

    if (names === null || names.length > MAX_ENTRIES) {
        filesFail(session, TOO_MANY);
        return null;
    }

    return names;
}


/*
 * The answer has to be one message, so it grows in one buffer while the
 * names go: it is never there twice.  If even that is more than the heap has,
 * the listing is refused.
 */
function listEntries(session, message, path, names, done) {
    var folder = hostName(path.replace(/\/*$/, '/'));
    var size = 4096 + path.length * 6;
    var at = 0;
    var used = 0;
    var first = true;
    var bytes, i;

    for (i = 0; i < names.length; i++) {
        size += names[i].length + 72;
    }

    bytes = attempt(function () {
        return Buffer.alloc(size);
    }, null);

    function refuse() {
        bytes = null;
        names = [];
        filesFail(session, TOO_MANY);
        listReply(session, message, path, null);
        done();
    }

    function add(text) {
        var part = Buffer.from(text);
        var larger;

        if (used + part.length > bytes.length) {
            larger = Buffer.alloc(Math.ceil((used + part.length) * 1.25));
            bytes.slice(0, used).copy(larger, 0);
            bytes = larger;
        }

        part.copy(bytes, used);
        used += part.length;
    }

    function slice() {
        var until = Date.now() + SLICE_TIME;
        var list = [];
        var entry;

        if (session.closed) {
            done();
            return false;
        }

        while (at < names.length) {
            entry = fileEntry(folder, names[at]);
            names[at++] = null;

            if (entry !== null) {
                list.push(asciiJson(entry));
            }

            if (at % 32 === 0 && Date.now() >= until) {
                break;
            }
        }

        if (list.length > 0) {
            add((first ? '' : ',') + list.join(','));
            first = false;
        }

        if (at < names.length) {
            return true;
        }

        add(']}');
        filesSend(session, bytes.slice(0, used));
        bytes = null;
        whenRead(session, done);

        return false;
    }

    if (bytes === null) {
        refuse();
        return;
    }

    add(asciiJson({ path: path, reqid: echo(message.reqid), dir: [] })
        .slice(0, -2));

    inSlices(function () {
        var more = attempt(slice, null);

        if (more === null) {
            refuse();
            return false;
        }

        return more;
    });
}


/* both are the host's; null: there is nothing to say of it */
function fileEntry(folder, name) {
    var stat;

    if (name === '.' || name === '..') {
        return null;
    }

    /* as it came, even if it is no text */
    stat = statOf(folder + name);

    if (stat === null) {
        /* a host that gives names as text cannot ask for one that is none */
        name = shownName(name);

        return name.indexOf('\ufffd') < 0 ? null
               : { n: name, t: 3, s: 0, d: '1970-01-01T00:00:00Z' };
    }

    return stat.isDirectory()
           ? { n: shownName(name), t: 2, d: fileTime(stat.mtime) }
           : { n: shownName(name), t: 3, s: stat.size,
               d: fileTime(stat.mtime) };
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Starting programs.  A child of the stock agent inherits every descriptor
 * of it, the database with the device's key and the server's sockets among
 * them: LAUNCH closes them before it becomes the program.  dash knows
 * one-digit descriptors only, hence the trial in a subshell.  No redirection
 * may stand around the loop: a shell keeps what it restores in a descriptor
 * that the loop would close.
 */

var LAUNCH = 'if (eval "exec 11>&-") 2>/dev/null; then '
    + 'for f in /proc/self/fd/*; do n=${f##*/}; '
    + 'case $n in 0|1|2|*[!0-9]*) ;; *) eval "exec $n>&-" ;; esac; done; '
    + 'fi; ';

var SPAWN_DEFAULT = 0;
var SPAWN_TERM = 3;

var MAX_OUTPUT = 4 * 1024 * 1024;


function findProgram(names) {
    var dirs = ['/usr/bin/', '/bin/', '/usr/sbin/', '/sbin/',
                '/usr/local/bin/'];
    var i, k;

    /* where anybody may make such a folder */
    if (isWindows) {
        return null;
    }

    for (i = 0; i < names.length; i++) {
        for (k = 0; k < dirs.length; k++) {
            if (fs.existsSync(dirs[k] + names[i])) {
                return dirs[k] + names[i];
            }
        }
    }

    return null;
}


function shellPath() {
    return fs.existsSync('/bin/bash') ? '/bin/bash' : '/bin/sh';
}


/* the environment of a child: little, and nothing of the agent's service */
function childEnv(extra) {
    var env;

    if (isWindows) {
        return windowsEnv(extra);
    }

    env = {
        PATH: process.env.PATH
              || '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        LANG: process.env.LANG || 'C.UTF-8',
        HOME: process.env.HOME || '/root'
    };

    if (!process.env.HOME && !isRoot()) {
        env.HOME = '/';
    }

    Object.keys(extra || {}).forEach(function (key) {
        env[key] = extra[key];
    });

    return env;
}


/*
 * Runs argv[0] without a shell of the caller's text and collects what it
 * prints.  options: env, max (bytes kept, default 4 MB), timeout (ms, default
 * 30 s), input (text for its standard input).
 *
 *   done({ code, output, cut, timeout })   called once
 *
 * Returns {stop}.  A child of the program that holds the pipe open delays
 * nothing: the end is marked in the output itself.
 */
function run(argv, options, done) {
    var marker = 'mesh-end-' + randomText();
    var pattern = new RegExp('\\n?' + marker + ' ([0-9]+)\\n');
    var max = options.max || MAX_OUTPUT;
    var chunks = [];
    var size = 0;
    var tail = '';
    var cut = false;
    var finished = false;
    var timer = null;
    var child, release, shell;

    var script = LAUNCH
        + 'marker=$1; shift; "$@" 2>&1 </dev/null; '
        + 'printf "\\n%s %d\\n" "$marker" "$?"';

    function finish(code, timeout) {
        var output, match;

        if (finished) {
            return;
        }

        finished = true;
        cancel(timer);

        output = decode(Buffer.concat(chunks));
        match = pattern.exec(output.slice(-200));

        if (match !== null) {
            output = output.slice(0, Math.max(0, output.length - 200)
                                     + match.index);
        }

        chunks = [];

        guarded(function () {
            done({ code: code, output: output, cut: cut,
                   timeout: timeout === true });
        });
    }

    function collect(data) {
        var match, part, room;

        if (finished) {
            return;
        }

        part = copyBytes(data);
        tail = (tail + decode(part.length > 200 ? part.slice(part.length - 200)
                                                : part)).slice(-200);

        /* the end marker is not counted: it must fit whatever max is */
        room = max - size;

        if (part.length > room && pattern.exec(tail) === null) {
            cut = true;
        }

        if (room > 0) {
            part = part.length > room ? part.slice(0, room) : part;
            chunks.push(part);
            size += part.length;
        }

        match = pattern.exec(tail);
        if (match !== null) {
            finish(parseInt(match[1], 10));
        }
    }

    if (isWindows) {
        child = require('child_process').execFile(argv[0], argv,
            { type: SPAWN_DEFAULT, env: childEnv(options.env) });
        child.stdin.end();

    } else {
        shell = shellPath();
        child = require('child_process').execFile(shell,
            ['sh', '-c', script, 'sh', marker].concat(argv),
            { type: SPAWN_DEFAULT, env: childEnv(options.env) });
    }

    release = hold(child);

    child.stdout.on('data', collect);

    if (child.stderr) {
        child.stderr.on('data', collect);
    }

    child.on('exit', function (code) {
        release();
        finish(isInt(code, 0, isWindows ? FULL_RIGHTS : 255) ? code : -1);
    });

    function kill() {
        if (isWindows) {
            child.kill();       /* our host ends with it what it started */
        } else {
            killTree(child.pid);
        }
    }

    timer = after(options.timeout || 30000, function () {
        kill();
        finish(-1, true);
    });

    return {
        pid: child.pid,
        stop: function () {
            kill();
            finish(-1);
        }
    };
}


function randomText() {
    return sha384(String(Date.now()) + Math.random() + (++keep.serial))
           .slice(0, 24);
}


/* Kills pid and what descends from it, never this process. */
function killTree(pid) {
    var list = [];
    var children = {};

    if (!isInt(pid, 2, 4194304) || pid === process.pid) {
        return;
    }

    listPids().forEach(function (id) {
        var stat = processStat(id);

        if (stat !== null) {
            if (!has(children, stat.ppid)) {
                children[stat.ppid] = [];
            }
            children[stat.ppid].push(id);
        }
    });

    function walk(id, depth) {
        list.push(id);
        if (depth < 64) {
            (children[id] || []).forEach(function (child) {
                walk(child, depth + 1);
            });
        }
    }

    walk(pid, 0);

    list.forEach(function (id) {
        signal(id, 9);
    });
}


function signal(pid, number) {
    return attempt(function () {
        process.kill(pid, number);
        return true;
    }, false);
}


/*
 * argv as another account, with its groups: the host's own option sets the
 * user id and leaves the agent's groups.  null: this cannot be done here.
 */
function asAccount(account, argv) {
    var runuser;

    if (processUid() === account.uid) {
        return argv;
    }

    runuser = findProgram(['runuser']);

    if (processUid() !== 0 || runuser === null
        || !/^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?$/.test(account.name))
    {
        return null;
    }

    return [runuser, '-u', account.name, '--'].concat(argv);
}


function processUid() {
    var uid = isWindows ? undefined : (processStatus('self').Uid || '').split(/\s+/)[1];

    return uid === undefined ? -1 : parseInt(uid, 10);
}

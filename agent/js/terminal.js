/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Terminal sessions: protocols 1 and 6 run a shell as the agent's account, 8
 * and 9 as the person at the console.  The shell's output goes to the viewer
 * as it comes; BINARY from the viewer is typed, TEXT never is.
 */

var DEFAULT_COLS = 80;
var DEFAULT_ROWS = 25;

/* above the first the tunnel is not read on, below the second it is again */
var INPUT_HIGH = 1024 * 1024;
var INPUT_LOW = 65536;
var INPUT_CHUNK = 256;

var CONSENT_NOTIFY_TERMINAL = 2;
var CONSENT_PROMPT_TERMINAL = 16;

/* what the server has us type into a new shell, of its serverInfo */
var launchCommand = '';


function terminalAllowed(request) {
    return hasRights(request, RIGHT_REMOTE, RIGHT_NO_TERMINAL);
}


/* Called once the viewer has chosen; tunnel is of tunnel.js. */
function terminalOpen(tunnel, protocol) {
    var request = tunnel.request;
    var consent = tunnel.consent();

    if (!terminalAllowed(request)) {
        tunnel.refuse('You have no right to open a terminal on this device.');
        return;
    }

    if ((consent & CONSENT_PROMPT_TERMINAL) === 0) {
        terminalStart(tunnel, protocol, consent);
        return;
    }

    tunnel.state = TUNNEL_ASKING;
    tunnel.console('Waiting for user to grant access...', 1);

    tunnel.onClose(askConsent(request, tunnel.soptions, 'Terminal',
        function (granted, reason) {
            if (tunnel.state !== TUNNEL_ASKING) {
                return;
            }

            if (!granted) {
                log(request, 28, 'Local user rejected remote terminal request',
                    []);
                tunnel.refuse(reason, 2);
                return;
            }

            log(request, 27, 'Local user accepted remote terminal request',
                []);
            tunnel.console(null, 0);
            terminalStart(tunnel, protocol, consent);
        }));
}


function terminalStart(tunnel, protocol, consent) {
    tunnel.state = TUNNEL_OPEN;

    if (consent & CONSENT_NOTIFY_TERMINAL) {
        notifySession(tunnel.request, tunnel.soptions, 'Terminal');
    }

    if (isWindows) {
        windowsTerminal(tunnel, protocol);
        return;
    }

    if (!isLinux) {
        terminalFailed(tunnel, 'this system is not supported by this core');
        return;
    }

    if (protocol === 1 || protocol === 6) {
        terminalSpawn(tunnel, null);
        return;
    }

    terminalAccount(tunnel, function (account) {
        if (tunnel.state !== TUNNEL_OPEN) {
            return;
        }

        if (account === null) {
            terminalFailed(tunnel, 'nobody is logged in at the console');
            return;
        }

        terminalSpawn(tunnel, account);
    });
}


/* The account that tsid names, else who is at the console. */
function terminalAccount(tunnel, done) {
    var tsid = tunnel.options.tsid;
    var list;

    if (isInt(tsid, 0, FULL_RIGHTS)) {
        list = accounts();
        done(has(list, tsid) ? list[tsid] : null);
        return;
    }

    listLogins(function (logins) {
        done(consoleAccount(logins));
    });
}


function terminalFailed(tunnel, reason) {
    tunnel.refuse('Failed to start remote terminal session, ' + reason, 2);
}


/*
 * LINES and COLUMNS tell the host the first size; a program that found them
 * would believe them for ever, so they are gone before the shell starts.
 */
function terminalSpawn(tunnel, account) {
    var size = terminalSize(tunnel.options);
    var script = LAUNCH + 'unset LINES COLUMNS; '
                 + 'cd "$HOME" 2>/dev/null || cd /; ';
    var env, argv, child, login;

    env = childEnv({
        HISTCONTROL: 'ignoreboth',
        TERM: 'xterm-256color',
        LINES: String(size.rows),
        COLUMNS: String(size.cols)
    });

    if (tunnel.options.requireLogin === true) {
        login = findProgram(['login']);
        argv = login === null ? null : [login];

    } else if (account === null || account.uid === processUid()) {
        argv = [shellPath()];
        env.SHELL = argv[0];

    } else {
        login = findProgram(['runuser', 'su']);
        argv = login === null || processUid() !== 0
               || asAccount(account, []) === null
               ? null : [login, '-l', account.name];

        /* programs such as tmux open their terminal again by its name */
        script += 'chown -- ' + account.uid + ' "$(tty)" 2>/dev/null; ';
    }

    if (argv === null) {
        terminalFailed(tunnel, login !== null && processUid() !== 0
                       ? 'this agent does not run as root, who alone opens one '
                         + 'for others'
                       : 'no login program was found');
        return;
    }

    script += 'exec "$@"';

    try {
        child = require('child_process').execFile(shellPath(),
            ['sh', '-c', script, 'sh'].concat(argv),
            { type: SPAWN_TERM, env: env });

    } catch (e) {
        terminalFailed(tunnel, plain(String(e), 256));
        return;
    }

    terminalAttach(tunnel, child);
}


/* cmd or PowerShell as the agent's account */
function windowsTerminal(tunnel, protocol) {
    var program = protocol === 1 ? commandShell()
                  : protocol === 6 ? powerShell() : null;
    var size = terminalSize(tunnel.options);
    var child;

    if (protocol !== 1 && protocol !== 6) {
        terminalFailed(tunnel, 'on Windows a terminal is the agent\'s own '
                               + 'account');
        return;
    }

    if (program === null) {
        terminalFailed(tunnel, protocol === 6 ? 'there is no PowerShell'
                                              : 'there is no command shell');
        return;
    }

    try {
        child = require('child_process').execFile(program, [program],
            { type: SPAWN_TERM,
              env: childEnv({ LINES: String(size.rows),
                              COLUMNS: String(size.cols) }) });

    } catch (e) {
        terminalFailed(tunnel, plain(String(e), 256));
        return;
    }

    if (typeof child.tcsetsize !== 'function') {
        child.kill();
        terminalFailed(tunnel, 'this agent has no terminal');
        return;
    }

    terminalAttach(tunnel, child);
}


function terminalSize(options) {
    return {
        cols: isInt(options.cols, 1, 4096) ? options.cols : DEFAULT_COLS,
        rows: isInt(options.rows, 1, 4096) ? options.rows : DEFAULT_ROWS
    };
}


function terminalAttach(tunnel, child) {
    var user = tunnel.user();
    var release = hold(child);
    var exited = false;
    var input = terminalInput(tunnel, child);

    countSession('terminal', user, 1);

    /* the host's own pipe holds the program back when the viewer is slow */
    child.stdout.pipe(tunnel.socket, { end: false });

    child.on('exit', function () {
        exited = true;
        input.close();
        release();
        tunnel.close();
    });

    tunnel.onSize = function (cols, rows) {
        child.tcsetsize(rows, cols);
    };

    tunnel.onClose(function () {
        input.close();
        countSession('terminal', user, -1);

        if (!exited && isWindows) {
            /* the console takes along what still runs in it */
            guarded(function () {
                child.kill();
            });

        } else if (!exited) {
            /* a shell passes the hang-up on to its jobs */
            signal(child.pid, 1);
            after(1000, function () {
                if (!exited) {
                    guarded(function () {
                        child.kill();
                    });
                }
            });
        }
    });

    if (launchCommand !== '') {
        input.add(Buffer.from(launchCommand + (isWindows ? '\r' : '\n')));
    }

    tunnel.take(input.add);
}


/*
 * What is typed waits here until the terminal takes it.  On the stock host a
 * write that the terminal takes in part only is never finished, and nothing
 * tells how much was taken.  So there each write waits for the descriptor to
 * be writable, and is no longer than what Linux then takes whole: it gives a
 * terminal's buffer out in blocks, the next one as long as the limit is not
 * passed yet (drivers/tty/tty_buffer.c).
 */
function terminalInput(tunnel, child) {
    var events = typeof child.pty === 'number' ? module_('DescriptorEvents')
                                               : null;
    var queue = [];
    var size = 0;
    var paused = false;
    var closed = false;
    var busy = false;               /* waiting for the terminal */
    var chunk = null;               /* what is being written, held */
    var release = null;

    function add(data) {
        if (closed || data.length === 0) {
            return;
        }

        queue.push(copyBytes(data));
        size += data.length;

        if (size > INPUT_HIGH && !paused) {
            paused = true;
            tunnel.socket.pause();
        }

        next();
    }

    function take() {
        var chunk = queue[0];

        if (chunk.length > INPUT_CHUNK) {
            queue[0] = chunk.slice(INPUT_CHUNK);
            chunk = chunk.slice(0, INPUT_CHUNK);

        } else {
            queue.shift();
        }

        size -= chunk.length;

        if (paused && size < INPUT_LOW) {
            paused = false;
            tunnel.socket.resume();
        }

        return chunk;
    }

    function next() {
        if (events !== null) {
            watch();
            return;
        }

        while (!busy && !closed && queue.length > 0) {
            if (child.stdin.write(take()) === false) {
                busy = true;
                child.stdin.once('drain', drained);
            }
        }
    }

    function drained() {
        busy = false;
        next();
    }

    function watch() {
        var descriptor;

        if (busy || closed || queue.length === 0) {
            return;
        }

        busy = true;
        descriptor = events.addDescriptor(child.pty,
            { writeset: true, metadata: 'terminal input' });
        descriptor.on('writeset', function () {
            guarded(writable);
        });
        release = hold(descriptor);
    }

    function writable() {
        if (closed || queue.length === 0) {
            unwatch();
            return;
        }

        chunk = take();
        fs.write(child.pty, chunk, 0, chunk.length, function (error) {
            if (error) {
                close();
            }
        });
    }

    function unwatch() {
        if (events !== null && busy) {
            busy = false;
            events.removeDescriptor(child.pty);
            release();
        }
    }

    function close() {
        if (!closed) {
            closed = true;
            queue = [];
            size = 0;
            unwatch();
        }
    }

    return { add: add, close: close };
}

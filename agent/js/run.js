/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * runcommands: the caller's text is the argument of a shell, one run at a
 * time, a few waiting.  Its standard input is empty.
 */

var RUN_SHELL_AUTO = 0;
var RUN_SHELL_CMD = 1;
var RUN_SHELL_POWER = 2;
var RUN_SHELL_POSIX = 3;

var RUN_AS_AGENT = 0;
var RUN_AS_USER_OR_AGENT = 1;
var RUN_AS_USER = 2;

var MAX_COMMANDS = 65535;
var MAX_RUNS = 16;                      /* waiting */
var RUN_TIMEOUT = 60 * 60 * 1000;

var runs = {
    queue: [],
    current: null                       /* {message, child, started} */
};


function runCommands(message) {
    if (!isText(message.cmds, MAX_COMMANDS)
        || message.cmds.indexOf('\u0000') >= 0)
    {
        runReply(message, 'There is no command, or it is too long.', -1);
        return;
    }

    if (!runKnows(message.type)) {
        runReply(message, 'This device has no such command interpreter.', -1);
        return;
    }

    if (runs.queue.length >= MAX_RUNS) {
        runReply(message, 'Too many commands are waiting on this device.',
                 -1);
        return;
    }

    runs.queue.push(message);
    runNext();
}


function runKnows(type) {
    if (isWindows) {
        return type === RUN_SHELL_AUTO || type === RUN_SHELL_CMD
               || (type === RUN_SHELL_POWER && powerShell() !== null);
    }

    return isLinux && (type === RUN_SHELL_AUTO || type === RUN_SHELL_POSIX);
}


function runNext() {
    var message;

    if (runs.current !== null || runs.queue.length === 0) {
        return;
    }

    message = runs.queue.shift();
    runs.current = { message: message, child: null, started: Date.now() };

    if (message.runAsUser !== RUN_AS_USER
        && message.runAsUser !== RUN_AS_USER_OR_AGENT)
    {
        runStart(message, null);
        return;
    }

    /* a session of Windows wants more than a name */
    if (isWindows) {
        if (message.runAsUser === RUN_AS_USER) {
            runEnd(message, 'On Windows this agent runs commands as itself '
                            + 'only.', -1);
        } else {
            runStart(message, null);
        }
        return;
    }

    listLogins(function (logins) {
        var account = consoleAccount(logins);

        if (account === null && message.runAsUser === RUN_AS_USER) {
            runEnd(message, 'Nobody is logged in on this device.', -1);
            return;
        }

        runStart(message, account);
    });
}


function runStart(message, account) {
    var argv = ['/bin/sh', '-c', message.cmds];
    var script = null;

    if (isWindows) {
        script = windowsScript(message.cmds, message.type === RUN_SHELL_POWER);

        if (script === null) {
            runEnd(message, 'The command could not be started.', -1);
            return;
        }

        argv = script.argv;
    }

    if (account !== null) {
        argv = asAccount(account, argv);

        if (argv === null) {
            runEnd(message, 'The device cannot run commands as '
                            + account.name + '.', -1);
            return;
        }
    }

    try {
        runs.current.child = run(argv, {
            timeout: RUN_TIMEOUT,
            env: account === null ? {}
                 : { HOME: account.home, USER: account.name,
                     LOGNAME: account.name }
        }, function (result) {
            var text = result.output;

            if (script !== null) {
                script.remove();
            }

            if (result.cut) {
                text += '\n[the output was longer than 4 MB; the rest is left '
                        + 'out]\n';
            }

            if (result.timeout) {
                text += '\n[stopped after an hour]\n';
            }

            runEnd(message, text, result.code);
        });

    } catch (e) {
        fault(e);

        if (script !== null) {
            script.remove();
        }

        runEnd(message, 'The command could not be started.', -1);
    }
}


function runEnd(message, text, code) {
    runs.current = null;
    runReply(message, text, code);
    runNext();
}


function runReply(message, text, code) {
    if (message.reply === true) {
        answer(message, 'runcommands', { result: text, exitcode: code });
        return;
    }

    if (isText(message.sessionid, 512)) {
        answer(message, 'console', { value: clip(text, 65536) });
    }
}


/* Stops the run and forgets those that wait; returns how many there were. */
function stopRuns() {
    var waiting = runs.queue;
    var current = runs.current;

    runs.queue = [];

    waiting.forEach(function (message) {
        runReply(message, 'The command was stopped before it began.', -1);
    });

    if (current !== null && current.child !== null) {
        current.child.stop();
    }

    return waiting.length + (current === null ? 0 : 1);
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The core: one table of what the server can ask, and the start.  A message
 * that stands in no row is ignored, and so is one whose members are not what
 * its function wants.
 */

var ACTIONS = {
    msg: dispatchMsg,
    ping: answerPing,
    serverInfo: takeServerInfo,
    sysinfo: answerSysInfo,
    runcommands: runCommands,
    poweraction: powerAction,
    wakeonlan: wakeOnLan,
    toast: showToast,
    openUrl: answerOpenUrl,
    agentupdate: updateAgent
};

/* right: what the message must carry, beside the server's own check */
var MSG_TYPES = {
    tunnel: { run: openTunnel },
    endtunnel: { run: endTunnels },
    console: { run: consoleCommand },
    messagebox: { run: function (message) {
        showBox(message, 18, 'Displaying message box');
    } },
    alertbox: { run: function (message) {
        showBox(message, 158, 'Displaying alert box');
    } },
    openUrl: { right: RIGHT_REMOTE, run: msgOpenUrl },
    ps: { right: RIGHT_REMOTE, run: answerPs },
    psinfo: { right: RIGHT_REMOTE, run: answerPsInfo },
    pskill: { right: RIGHT_REMOTE, run: doPsKill },
    services: { right: RIGHT_REMOTE, run: answerServices },
    service: { right: RIGHT_REMOTE, run: answerService },
    serviceStart: { right: RIGHT_REMOTE, run: serviceVerb('start') },
    serviceStop: { right: RIGHT_REMOTE, run: serviceVerb('stop') },
    serviceRestart: { right: RIGHT_REMOTE, run: serviceVerb('restart') },
    cpuinfo: { right: RIGHT_REMOTE, run: answerCpuInfo },
    userSessions: { right: RIGHT_REMOTE, run: answerUserSessions },
    getclip: { run: getClipboard },
    setclip: { run: setClipboard },
    corerestart: { right: RIGHT_CONSOLE, run: restartCore }
};


/* The host gives an object, text that is no JSON, or a binary command. */
function onCommand(message) {
    guarded(function () {
        if (isObject(message) && isText(message.action, 64)
            && has(ACTIONS, message.action))
        {
            ACTIONS[message.action](message);
        }
    });
}


function dispatchMsg(message) {
    var row = isText(message.type, 64) && has(MSG_TYPES, message.type)
              ? MSG_TYPES[message.type] : null;

    if (row !== null
        && (row.right === undefined || hasRights(message, row.right)))
    {
        row.run(message);
    }
}


function answerPing() {
    send({ action: 'pong' });
}


function takeServerInfo(message) {
    var commands = message.termlaunchcommand;
    var command = isObject(commands) ? commands[process.platform] : undefined;

    launchCommand = isText(command, 1024) ? plain(command, 1024) : '';
}


function answerOpenUrl(message) {
    openUrl(message, function (success) {
        sendAnswer(message, { action: 'openUrl', url: urlText(message),
                              success: success });
    });
}


function msgOpenUrl(message) {
    openUrl(message, function (success) {
        answer(message, 'openUrl', { url: urlText(message),
                                     success: success });
    });
}


/* what stands behind "#" may be a ticket */
function urlText(message) {
    return isText(message.url, 2048) ? message.url.split('#')[0] : '';
}


function answerPs(message) {
    listProcesses(function (list) {
        answer(message, 'ps', { value: JSON.stringify(list) });
    });
}


function answerPsInfo(message) {
    var status;

    if (!isInt(message.pid, 1, 4194304)) {
        return;
    }

    status = processStatus(message.pid);
    answer(message, 'psinfo', {
        pid: message.pid,
        value: Object.keys(status).length === 0 ? {} : tidyStatus(status)
    });
}


function tidyStatus(status) {
    var value = {};

    ['Name', 'State', 'Pid', 'PPid', 'Uid', 'Gid', 'Threads', 'VmPeak',
        'VmSize', 'VmRSS', 'VmSwap', 'FDSize'].forEach(function (key)
    {
        if (has(status, key)) {
            value[key] = plain(status[key], 256);
        }
    });

    return value;
}


/* value is a number, "pid" or "pid|name" */
function doPsKill(message) {
    var value = typeof message.value === 'number' ? String(message.value)
                                                  : message.value;
    var match = isText(value, 300)
                ? /^([0-9]{1,7})(?:\|([^]{0,256}))?$/.exec(value) : null;

    if (match !== null) {
        killProcess(message, parseInt(match[1], 10),
                    plain(match[2] || '', 256), 9);
    }
}


function answerServices(message) {
    listServices(function (list) {
        answer(message, 'services', { value: JSON.stringify(list) });
    });
}


function answerService(message) {
    if (!isServiceName(message.serviceName)) {
        answer(message, 'service', { error: 'No such service.' });
        return;
    }

    readService(message.serviceName, function (service) {
        answer(message, 'service',
               service === null ? { error: 'No such service.' }
                                : { value: JSON.stringify(service) });
    });
}


function readService(name, done) {
    var program = systemctl();

    if (isWindows) {
        done(windowsService(name));
        return;
    }

    if (program === null) {
        done(null);
        return;
    }

    run([program, 'show', '--no-pager', '-p',
         'Id,LoadState,SubState,UnitFileState,User,Description', '--', name],
        { env: { LC_ALL: 'C' }, max: 65536, timeout: 10000 },
        function (result) {
            var pairs = {};

            result.output.split('\n').forEach(function (line) {
                var at = line.indexOf('=');

                if (at > 0) {
                    pairs[line.slice(0, at)] = plain(line.slice(at + 1), 256);
                }
            });

            done(pairs.LoadState !== 'loaded' ? null : {
                name: (pairs.Id || name).replace(/\.service$/, ''),
                displayName: pairs.Description || '',
                status: pairs.SubState || '',
                startType: pairs.UnitFileState || '',
                user: pairs.User || 'root'
            });
        });
}


function serviceVerb(verb) {
    return function (message) {
        if (!isServiceName(message.serviceName)) {
            answer(message, 'service', { error: 'No such service.' });
            return;
        }

        serviceAction(verb, message.serviceName, function () {
            answerService(message);
        }, message);
    };
}


function answerCpuInfo(message) {
    measureLoad(function (load) {
        answer(message, 'cpuinfo', load);
    });
}


function answerUserSessions(message) {
    listLogins(function (logins) {
        var data = {};
        var names = accounts();

        logins.forEach(function (login) {
            var entry = { Username: login.user, StationName: login.tty,
                          State: 'Active' };

            Object.keys(names).forEach(function (uid) {
                if (names[uid].name === login.user) {
                    entry.uid = names[uid].uid;
                    entry.SessionId = names[uid].uid;
                }
            });

            data[login.tty] = entry;
        });

        answer(message, 'userSessions', { data: data });
    });
}


/* Sessions end in order, so that viewers know; then the host starts anew. */
function restartCore() {
    closeTunnels();
    stopRuns();
    after(500, function () {
        agent.restartCore();
    });
}


agent.AddCommandHandler(onCommand);

guarded(startReports);

/* the host calls this at once when the channel is open already */
agent.AddConnectHandler(function (connected) {
    if (connected) {
        guarded(reportConnected);
    }
});

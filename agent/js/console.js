/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The console: a line of text from a user with the rights for it, an answer
 * in text to that session alone.  Each command is a row: what it takes, what
 * it does, the right it needs beyond those of the console, and the function,
 * which gives its answer to reply() at once or later.
 */

var MAX_LINE = 4096;
var MAX_ARGS = 64;
var MAX_REPLY = 262144;

var CONSOLE_COMMANDS = {
    help: { args: '[command]', text: 'lists the commands', run: cmdHelp },
    info: { args: '', text: 'core, agent and connection', run: cmdInfo },
    versions: { args: '', text: 'versions of the agent', run: cmdVersions },
    osinfo: { args: '', text: 'operating system', run: cmdOsInfo },
    uptime: { args: '', text: 'time since the last boot', run: cmdUptime },
    coreinfo: { args: '', text: 'what the server was told', run: cmdCoreInfo },
    netinfo: { args: '', text: 'network adapters', run: cmdNetInfo },
    sysinfo: { args: '', text: 'hardware inventory', run: cmdSysInfo },
    agentstats: { args: '', text: 'counters of this core', run: cmdStats },
    sessions: { args: '', text: 'open sessions', run: cmdSessions },
    users: { args: '', text: 'who is logged in', run: cmdUsers },
    ps: { args: '[text]', text: 'processes, those that contain text',
          run: cmdPs },
    kill: { args: 'pid [signal]', text: 'ends a process', run: cmdKill },
    ls: { args: '[folder]', text: 'lists a folder', without: RIGHT_NO_FILES,
          run: cmdLs },
    df: { args: '', text: 'disks and their free space', run: cmdDf },
    cpuinfo: { args: '', text: 'load, memory, temperature', run: cmdCpuInfo },
    services: { args: '[text]', text: 'services', run: cmdServices },
    service: { args: 'status|start|stop|restart name',
               text: 'one service', run: cmdService },
    toast: { args: 'text', text: 'shows a message', run: cmdToast },
    msgbox: { args: 'title text', text: 'shows a message box',
              run: cmdMsgBox },
    openurl: { args: 'url', text: 'opens a page at the device',
               run: cmdOpenUrl },
    wakeonlan: { args: 'mac ...', text: 'wakes other machines',
                 run: cmdWake },
    power: { args: 'off|reset|sleep|hibernate', text: 'power action',
             right: RIGHT_POWER, run: cmdPower },
    runs: { args: '[stop]', text: 'commands that run or wait',
            right: RIGHT_RUN, run: cmdRuns },
    endsessions: { args: '', text: 'closes all sessions', full: true,
                   run: cmdEndSessions },
    agentupdate: { args: '', text: 'asks the server for a new agent',
                   full: true, run: cmdUpdate },
    msh: { args: '', text: 'the policy of the agent', full: true,
           run: cmdMsh },
    corerestart: { args: '', text: 'starts this core again', full: true,
                   run: cmdCoreRestart },
    eval: { args: 'script', text: 'runs JavaScript in this core', full: true,
            run: cmdEval }
};


/* {action:'msg', type:'console', value, rights, sessionid} */
function consoleCommand(message) {
    var words, name, row;
    var replied = false;

    function reply(text) {
        if (!replied) {
            replied = true;
            answer(message, 'console',
                   { value: clip(String(text), MAX_REPLY) });
        }
    }

    if (!hasRights(message, RIGHT_REMOTE | RIGHT_CONSOLE)
        || !isText(message.value, MAX_LINE))
    {
        return;
    }

    words = splitLine(message.value);

    if (words.length === 0) {
        return;
    }

    log(message, 17, 'Processing console command: '
                     + plain(message.value, 1024),
        [plain(message.value, 1024)]);

    name = words[0].toLowerCase();
    row = has(CONSOLE_COMMANDS, name) ? CONSOLE_COMMANDS[name] : null;

    if (row === null) {
        reply('Unknown command "' + plain(words[0], 64)
              + '", type "help" for the list.');
        return;
    }

    if (row.full === true && !isFull(message)) {
        reply('This command needs full rights on the device.');
        return;
    }

    if (!hasRights(message, row.right || 0, row.without || 0)) {
        reply('You have no right to use this command.');
        return;
    }

    try {
        row.run(words.slice(1), reply, message);

    } catch (e) {
        fault(e);
        reply('Error: ' + plain(String(e), 1024));
    }
}


/* Words; "quotes keep blanks", and \" and \\ inside them. */
function splitLine(line) {
    var words = [];
    var pattern = /"((?:[^"\\]|\\[^])*)"|(\S+)/g;
    var match;

    for (;;) {
        match = pattern.exec(line);

        if (match === null || words.length >= MAX_ARGS) {
            return words;
        }

        words.push(match[1] === undefined ? match[2]
                                 : match[1].replace(/\\(["\\])/g, '$1'));
    }
}


function usage(name, reply) {
    reply('Usage: ' + name + ' ' + CONSOLE_COMMANDS[name].args);
}


function pretty(value) {
    return JSON.stringify(value, null, 2);
}


function cmdHelp(args, reply) {
    var names = Object.keys(CONSOLE_COMMANDS);

    if (args.length > 0 && has(CONSOLE_COMMANDS, args[0])) {
        names = [args[0]];
    }

    reply(names.sort().map(function (name) {
        var row = CONSOLE_COMMANDS[name];

        return pad((name + ' ' + row.args).trim(), 42) + row.text;
    }).join('\n'));
}


function pad(text, width) {
    while (text.length < width) {
        text += ' ';
    }

    return text;
}


function cmdInfo(args, reply) {
    var info = agent.ServerInfo || {};

    reply([
        coreName(),
        'Core hash: ' + String(agent.coreHash).toLowerCase(),
        'Agent: id ' + agent.ARCHID + ', service '
            + (agent.isService ? agent.serviceName || 'yes' : 'no')
            + ', process ' + process.pid,
        'System: ' + osDescription() + ' (' + process.platform + ')',
        'Root: ' + isRoot(),
        'WebRTC: ' + (agent.hasWebRTC === undefined ? 'as the agent has it'
                      : agent.hasWebRTC ? 'yes' : 'no'),
        'Server: ' + agent.ServerUrl,
        'Server id: ' + info.ServerID,
        'Group id: ' + info.MeshID,
        'Program: ' + process.execPath
    ].join('\n'));
}


function cmdVersions(args, reply) {
    reply(pretty(process.versions));
}


function cmdOsInfo(args, reply) {
    reply([
        osDescription(),
        'Kernel: ' + (readText('/proc/version') || 'unknown'),
        'Machine: ' + attempt(function () {
            return require('os').arch();
        }, 'unknown'),
        'Host name: ' + (readText('/proc/sys/kernel/hostname') || 'unknown')
    ].join('\n'));
}


function cmdUptime(args, reply) {
    var seconds = uptimeSeconds();

    reply(seconds === null ? 'Unknown.'
          : Math.floor(seconds / 86400) + ' days, '
            + Math.floor(seconds / 3600) % 24 + ' h, '
            + Math.floor(seconds / 60) % 60 + ' min, '
            + seconds % 60 + ' s');
}


function cmdCoreInfo(args, reply) {
    reply(pretty(coreInfo()));
}


function cmdNetInfo(args, reply) {
    reply(pretty(netInfo()));
}


function cmdSysInfo(args, reply) {
    readInventory(function (data) {
        reply(pretty(data));
    });
}


function cmdStats(args, reply) {
    reply([
        'Core running for: ' + Math.floor((Date.now() - state.started) / 1000)
            + ' s',
        'Logins: ' + state.logins,
        'Sessions: ' + tunnelList().length,
        'Timers: ' + Object.keys(keep.timers).length,
        'Objects held: ' + Object.keys(keep.objects).length,
        'Commands running: ' + (runs.current === null ? 0 : 1)
            + ', waiting: ' + runs.queue.length,
        'Faults: ' + state.faults + (state.lastFault ? ', last: '
                                                       + state.lastFault : '')
    ].join('\n'));
}


function cmdSessions(args, reply) {
    var lines = tunnelList().map(function (tunnel) {
        return tunnel.id + ': ' + tunnel.kind + ', '
               + plain(tunnel.user(), 256) + ', '
               + Math.floor((Date.now() - tunnel.opened) / 1000) + ' s, '
               + tunnel.received + ' bytes from the viewer';
    });

    reply(lines.length > 0 ? lines.join('\n') : 'No sessions.');
}


function cmdUsers(args, reply) {
    refreshLogins(function (logins) {
        reply(logins.length === 0 ? 'Nobody is logged in.'
              : logins.map(function (login) {
                  return pad(login.user, 20) + pad(login.tty, 12)
                         + login.from;
              }).join('\n'));
    });
}


function cmdPs(args, reply) {
    listProcesses(function (list) {
        var lines = [];

        Object.keys(list).forEach(function (pid) {
            var line = pad(String(list[pid].pid), 8)
                       + pad(String(list[pid].user || ''), 14)
                       + list[pid].cmd;

            if (args.length === 0 || line.indexOf(args[0]) >= 0) {
                lines.push(line);
            }
        });

        reply(lines.length > 0 ? lines.join('\n') : 'No such process.');
    });
}


function cmdKill(args, reply, message) {
    var pid = /^[0-9]{1,7}$/.test(args[0] || '') ? parseInt(args[0], 10) : 0;
    var number = args.length < 2 ? 15
                 : /^[0-9]{1,2}$/.test(args[1]) ? parseInt(args[1], 10) : 0;

    if (!isInt(pid, 2, 4194304) || !isInt(number, 1, 64)) {
        usage('kill', reply);
        return;
    }

    reply(killProcess(message, pid, '', number) ? 'Sent.'
          : 'No such process, or it cannot be ended.');
}


/* number is the signal; name is for the log */
function killProcess(message, pid, name, number) {
    if (!isInt(pid, 2, 4194304) || pid === process.pid
        || (isLinux && processStat(pid) === null))
    {
        return false;
    }

    log(message, 19, 'Killing process ' + pid
        + (name === '' ? '' : ' ' + name), [pid]);

    return signal(pid, number);
}


function cmdLs(args, reply) {
    var path = args.length > 0 ? args[0] : isWindows ? 'C:\\' : '/';
    /* the host answers an empty list for what is no folder */
    var names = attempt(function () {
        return filePath(path) === path && fs.statSync(path).isDirectory()
               ? fs.readdirSync(path) : null;
    }, null);

    if (names === null) {
        reply('There is no folder ' + plain(path, 256)
              + ', or it cannot be read.');
        return;
    }

    names.sort();

    reply(names.slice(0, 2000).map(function (name) {
        var stat = attempt(function () {
            return fs.statSync(path.replace(/\/*$/, '/') + name);
        }, null);

        return stat === null ? pad('?', 14) + plain(name, 256)
               : pad(stat.isDirectory() ? 'folder' : String(stat.size), 14)
                 + plain(name, 256);
    }).join('\n') + (names.length > 2000 ? '\n(' + (names.length - 2000)
                                           + ' more)' : ''));
}


function cmdDf(args, reply) {
    listVolumes(function (volumes) {
        reply(volumes.length === 0 ? 'Nothing known.'
              : [{ mount_point: 'mounted at', type: 'type', size: 'size/KB',
                   used: 'used', available: 'free' }].concat(volumes)
                .map(function (volume) {
                    return pad(volume.size, 14) + pad(volume.used, 14)
                           + pad(volume.available, 14) + pad(volume.type, 10)
                           + volume.mount_point;
                }).join('\n'));
    });
}


function cmdCpuInfo(args, reply) {
    measureLoad(function (load) {
        reply(pretty(load));
    });
}


function cmdServices(args, reply) {
    listServices(function (list) {
        var lines = list.map(function (service) {
            return pad(service.status, 12) + pad(service.name, 42)
                   + service.displayName;
        }).filter(function (line) {
            return args.length === 0 || line.indexOf(args[0]) >= 0;
        });

        reply(lines.length > 0 ? lines.join('\n') : 'No services known.');
    });
}


function cmdService(args, reply, message) {
    if (args.length !== 2 || !isServiceName(args[1])
        || ['status', 'start', 'stop', 'restart'].indexOf(args[0]) < 0)
    {
        usage('service', reply);
        return;
    }

    serviceAction(args[0], args[1], reply, message);
}


/* done(text) */
function serviceAction(verb, name, done, message) {
    var program = systemctl();

    if (program === null && !isWindows) {
        done('This device has no service manager that the core knows.');
        return;
    }

    if (verb !== 'status') {
        log(message, 17, 'Service ' + verb + ': ' + name, [verb, name]);
    }

    if (isWindows) {
        done(verb === 'status' ? (windowsService(name) || {}).status
                                 || 'No such service.'
                               : windowsServiceAction(verb, name));
        return;
    }

    run([program, verb, '--no-pager', '--lines=0', '--', name],
        { env: { LC_ALL: 'C' }, max: 65536, timeout: 60000 },
        function (result) {
            done(result.output.trim() || (result.code === 0 ? 'Done.'
                                          : 'Failed.'));
        });
}


function cmdToast(args, reply, message) {
    if (args.length === 0) {
        usage('toast', reply);
        return;
    }

    showToast(withText(message, 'Message', args.join(' ')));
    reply('Shown, if there is somebody to see it.');
}


function cmdMsgBox(args, reply, message) {
    if (args.length < 2) {
        usage('msgbox', reply);
        return;
    }

    showBox(withText(message, args[0], args.slice(1).join(' ')), 18,
            'Displaying message box');
    reply('Shown, if there is somebody to see it.');
}


function withText(message, title, text) {
    return {
        title: title, msg: text, userid: message.userid,
        username: message.username, sessionid: message.sessionid,
        remoteaddr: message.remoteaddr
    };
}


function cmdOpenUrl(args, reply, message) {
    if (args.length !== 1) {
        usage('openurl', reply);
        return;
    }

    message.url = args[0];
    openUrl(message, function (success) {
        reply(success ? 'Opened.' : 'Could not be opened: the address is not '
                                    + 'valid, or nobody is at a screen.');
    });
}


function cmdWake(args, reply) {
    if (args.length === 0) {
        usage('wakeonlan', reply);
        return;
    }

    reply('Waking ' + wakeOnLan({ macs: args }) + ' machine(s).');
}


function cmdPower(args, reply, message) {
    var types = { off: 2, reset: 3, sleep: 4, hibernate: 5 };

    if (args.length !== 1 || !has(types, args[0])) {
        usage('power', reply);
        return;
    }

    message.actiontype = types[args[0]];
    powerAction(message);
    reply('Asked the system for it.');
}


function cmdRuns(args, reply) {
    if (args[0] === 'stop') {
        reply('Stopped ' + stopRuns() + ' command(s).');
        return;
    }

    reply(runs.current === null ? 'No command runs.'
          : 'Running for ' + Math.floor((Date.now() - runs.current.started)
                                        / 1000)
            + ' s: ' + plain(runs.current.message.cmds, 200) + '\n'
            + runs.queue.length + ' waiting.');
}


function cmdEndSessions(args, reply) {
    var count = tunnelList().length;

    closeTunnels();
    reply('Closed ' + count + ' session(s).');
}


function cmdUpdate(args, reply, message) {
    send({ action: 'agentupdate', sessionid: message.sessionid });
    reply('Asked the server for an update.');
}


function cmdMsh(args, reply) {
    var policy = attempt(_MSH, {});
    var shown = {};

    Object.keys(policy).forEach(function (key) {
        /* a proxy's address can hold a password */
        shown[key] = /proxy/i.test(key) ? '(not shown)'
                     : clip(String(policy[key]), 256);
    });

    reply(pretty(shown));
}


function cmdCoreRestart(args, reply) {
    reply('Starting again.');
    restartCore();
}


function cmdEval(args, reply, message) {
    /* the line as it came: splitting has eaten its quotes */
    var script = message.value.replace(/^\s*\S+\s*/, '');
    var value, text;

    try {
        value = (0, eval)(script);

    } catch (e) {
        reply('Error: ' + plain(String(e), 1024));      /* the user's, not ours */
        return;
    }

    text = isObject(value) ? attempt(function () {
        return pretty(value);
    }, null) : null;

    reply(typeof text === 'string' ? text : attempt(function () {
        return String(value);
    }, 'a value that has no text'));
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The recovery core: little enough to work when the other one does not.  A
 * console with a few commands, a terminal, and the agent's update.
 */

var RECOVERY_CAPABILITIES = 10;         /* terminal 2, console 8 */

var RECOVERY_COMMANDS = {
    help: function (reply) {
        reply(Object.keys(RECOVERY_COMMANDS).sort().join(', '));
    },
    info: function (reply) {
        reply(recoveryName() + '\n' + osDescription() + '\n'
              + 'Server: ' + agent.ServerUrl + '\n'
              + 'Program: ' + process.execPath + '\n'
              + 'Faults: ' + state.faults + ' ' + state.lastFault);
    },
    versions: function (reply) {
        reply(JSON.stringify(process.versions, null, 2));
    },
    uptime: function (reply) {
        reply(uptimeSeconds() + ' s');
    },
    agentupdate: function (reply, message) {
        if (!isFull(message)) {
            reply('This command needs full rights on the device.');
            return;
        }
        send({ action: 'agentupdate', sessionid: message.sessionid });
        reply('Asked the server for an update.');
    }
};

var RECOVERY_MSG = {
    console: recoveryConsole,
    tunnel: openTunnel,
    endtunnel: endTunnels,
    corerestart: recoveryRestart
};


function recoveryName() {
    var hash = attempt(function () {
        return agent.coreHash;
    }, null);

    return 'ngx_mesh recovery core '
           + (isText(hash, 200) ? hash.slice(0, 8).toLowerCase() : 'unknown');
}


function recoveryConsole(message) {
    var name;

    if (!hasRights(message, RIGHT_REMOTE | RIGHT_CONSOLE)
        || !isText(message.value, 4096))
    {
        return;
    }

    function reply(text) {
        answer(message, 'console', { value: text });
    }

    name = message.value.trim().split(/\s+/)[0].toLowerCase();
    log(message, 17, 'Processing console command: ' + plain(name, 64),
        [plain(name, 64)]);

    if (!has(RECOVERY_COMMANDS, name)) {
        reply('Unknown command, type "help" for the list.');
        return;
    }

    RECOVERY_COMMANDS[name](reply, message);
}


function recoveryRestart(message) {
    if (!hasRights(message, RIGHT_CONSOLE)) {
        return;
    }

    closeTunnels();
    after(500, function () {
        agent.restartCore();
    });
}


function recoveryCommand(message) {
    guarded(function () {
        if (!isObject(message)) {
            return;
        }

        if (message.action === 'msg' && isText(message.type, 64)
            && has(RECOVERY_MSG, message.type))
        {
            RECOVERY_MSG[message.type](message);

        } else if (message.action === 'agentupdate') {
            updateAgent(message);

        } else if (message.action === 'ping') {
            send({ action: 'pong' });
        }
    });
}


agent.AddCommandHandler(recoveryCommand);

agent.AddConnectHandler(function (connected) {
    if (connected) {
        guarded(function () {
            state.logins++;
            resendSessions();
            send({
                action: 'coreinfo',
                caps: RECOVERY_CAPABILITIES,
                osdesc: osDescription(),
                root: isRoot(),
                value: recoveryName()
            });
        });
    }
});

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* The agent: agent.md 7.3. */

var EventEmitter = require('events').EventEmitter;

var FAILED = -4;
var CONSOLE_RATE = 10;          /* console messages in a second, and one */

var agent = {};
var rate = { start: 0, count: 0 };


EventEmitter.call(agent, true);

['Ready', 'Connected', 'Command', 'DesktopSessionChanged', 'DBError',
    'kvmConnected', 'idleTimeoutModeChanged'].forEach(function (name) {
    agent.createEvent(name);
});


function getter(name, fn) {
    Object.defineProperty(agent, name, { get: fn, enumerable: true,
                                         configurable: true });
}


function colons(buffer) {
    return buffer.toString('hex').replace(/(..)(?=.)/g, '$1:');
}


/* false: one too many */
function countConsole() {
    var now = native.now();

    if (now - rate.start >= 1000) {
        rate.start = now;
        rate.count = 0;
    }

    return rate.count++ <= CONSOLE_RATE;
}


agent.SendCommand = function (value) {
    if (typeof value === 'string') {
        return native.send(value, true);
    }

    if (value instanceof Uint8Array) {
        return value.length === 0 ? FAILED
               : native.send(value, value[0] === 0x7b);
    }

    if (value === null || typeof value !== 'object') {
        return FAILED;
    }

    if (value.action === 'msg' && value.type === 'console' && !countConsole())
    {
        return 1;
    }

    value = JSON.stringify(value);

    return value === undefined ? FAILED : native.send(value, true);
};

agent.AddCommandHandler = function (fn) {
    agent.on('Command', fn);
};

agent.AddConnectHandler = function (fn) {
    agent.on('Connected', fn);
};

/* one that comes late is told at once */
native.onAdded(agent, function (name, fn) {
    if (name === 'Connected' && native.connected()) {
        native.guard(function () {
            fn.call(agent, 1);
        });
    }
});

native.hooks.command = function (message) {
    agent.emit('Command', message);
};

native.hooks.connected = function (connected) {
    agent.emit('Connected', connected);
};

getter('isControlChannelConnected', native.connected);
getter('ServerUrl', native.serverUrl);
getter('ServerIP', native.serverIp);

/* ours: the proxy of the channel, as an option of http.request() */
getter('ServerProxy', native.serverProxy);

getter('ConnectedServer', function () {
    return native.connected() ? native.serverUrl() : null;
});

getter('ServerInfo', function () {
    var cert = native.serverCert();

    return {
        MeshID: native.meshId().toString('hex'),
        ServerID: String(native.conf('ServerID') || '').toUpperCase(),
        ServerUri: native.serverUrl(),
        ServerIP: native.serverIp(),
        ControlChannelCertificate: {
            fingerprint: colons(cert.key),
            digest: colons(cert.full)
        }
    };
});

getter('coreHash', function () {
    var hash = native.coreHash();

    return hash === undefined ? undefined : hash.toString('hex');
});

getter('ARCHID', native.archId);

getter('isService', function () {
    return native.isService();
});

getter('serviceName', function () {
    return native.isService() ? native.conf('meshServiceName') || 'mesh-agent'
                              : undefined;
});

getter('displayName', function () {
    return native.conf('displayName') || 'Mesh Agent';
});

getter('NetInfo', function () {
    var all = require('os').networkInterfaces();
    var netif = [];

    Object.keys(all).forEach(function (name) {
        all[name].forEach(function (item) {
            if (item.family === 'IPv4') {
                netif.push({
                    name: name, v4addr: item.address, v4mask: item.netmask,
                    v4gateway: item.gateway || '', type: item.type,
                    mac: item.mac.replace(/:/g, ''), gatewaymac: ''
                });
            }
        });
    });

    return { netif: netif };
});

agent.hasKVM = native.hasDesktop() || native.conf('display') ? 1 : 0;

/* ours: does it have data channels?  Does not load them. */
getter('hasWebRTC', function () {
    return native.rtcThere !== undefined && native.rtcThere();
});
agent.maxKvmTileSize = 0;
agent.agentMode = 0;
agent.updatesEnabled = true;
agent.activeMicroLMS = 0;
agent.maxLogSize = 0;
agent.ConsoleTextMaxRate = CONSOLE_RATE;
agent.controlChannelDebug = false;
agent.idleTimeout = 120;
agent.idleTimeoutDataMode = false;

/* null: nothing of a screen is installed here */
agent.getRemoteDesktopStream = function (tsid) {
    return agent.hasKVM ? require('desktop').stream(tsid) : null;
};

agent.kvmRefresh = function () {
    if (agent.hasKVM) {
        require('desktop').refresh();
    }
};

agent.getStartupOptions = native.options;

agent.ExecPowerState = function (state, force) {
    return native.power(Number(state), force ? 1 : 0);
};

agent.hostname = native.hostname;

agent.log = function (text) {
    native.log(String(text), 5);
};

agent.eval = function (script) {
    return (0, eval)(script);
};

agent.forceExit = function (code) {
    native.exit(code || 0);
};

agent.disconnect = native.disconnect;
agent.restartCore = native.restartCore;

/* resolved by the next pong */
agent.DataPing = function () {
    var Promise_ = require('promise');

    return new Promise_(function (res, rej) {
        function pong(message) {
            if (message && message.action === 'pong') {
                agent.removeListener('Command', pong);
                res();
            }
        }

        agent.on('Command', pong);
        if (agent.SendCommand({ action: 'ping' }) < 0) {
            agent.removeListener('Command', pong);
            rej('not connected');
        }
    });
};

module.exports = agent;

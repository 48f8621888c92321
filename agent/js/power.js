/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Power actions and wake-on-LAN. */

var POWER_PAUSE = 10000;                /* ms between two actions */

var POWER_ACTIONS = {
    2: { text: 'Shutdown', systemctl: 'poweroff', shutdown: '-h' },
    3: { text: 'Restart', systemctl: 'reboot', shutdown: '-r' },
    4: { text: 'Sleep', systemctl: 'suspend', shutdown: null },
    5: { text: 'Hibernate', systemctl: 'hibernate', shutdown: null }
};

var MAX_WAKE = 256;
var WAKE_ROUNDS = 3;
var WAKE_GAP = 10;                      /* ms between two packets */

var lastPower = 0;


/*
 * A clean shutdown where the system has a way to it: the host's own restart
 * is the system call, which stops no service.  The host is asked when the
 * command fails, or where there is none.
 */
function powerAction(message) {
    var type = message.actiontype;
    var action = has(POWER_ACTIONS, type) ? POWER_ACTIONS[type] : null;
    var forced = message.forced === true || message.forced === 1;
    var now = Date.now();
    var argv;

    if (!isInt(type, 1, 99)) {
        return;
    }

    /* a second click, or a server that repeats itself */
    if (now - lastPower < POWER_PAUSE && now >= lastPower) {
        return;
    }

    lastPower = now;

    log(message, 25, 'Performing power action='
        + (action === null ? type : action.text) + ', forced=' + forced,
        [type, forced ? 1 : 0]);

    argv = action === null || !isLinux ? null : powerCommand(action);

    if (argv === null) {
        powerByHost(type, forced);
        return;
    }

    run(argv, { max: 4096, timeout: 20000 }, function (result) {
        if (result.code !== 0 && !result.timeout) {
            powerByHost(type, forced);
        }
    });
}


function powerCommand(action) {
    var program = systemctl();

    if (program !== null) {
        return [program, action.systemctl];
    }

    program = action.shutdown === null ? null : findProgram(['shutdown']);

    return program === null ? null : [program, action.shutdown, 'now'];
}


function powerByHost(type, forced) {
    attempt(function () {
        agent.ExecPowerState(type, forced ? 1 : 0);
    }, null);
}


/* {action:'wakeonlan', macs:['AA:BB:..']} */
function wakeOnLan(message) {
    var macs = [];
    var sockets, jobs;

    if (!Array.isArray(message.macs)) {
        return 0;
    }

    message.macs.slice(0, MAX_WAKE).forEach(function (mac) {
        var hex = isText(mac, 32) ? mac.replace(/[:-]/g, '') : '';

        if (/^[0-9A-Fa-f]{12}$/.test(hex) && !/^0+$/.test(hex)) {
            macs.push(hex);
        }
    });

    sockets = macs.length > 0 ? wakeSockets() : [];
    jobs = [];

    for (var round = 0; round < WAKE_ROUNDS; round++) {
        macs.forEach(function (hex) {
            jobs.push(hex);
        });
    }

    function next() {
        var packet = jobs.length > 0 ? wakePacket(jobs.shift()) : null;

        if (packet === null) {
            sockets.forEach(function (socket) {
                attempt(function () {
                    socket.close();
                }, null);
            });
            return;
        }

        sockets.forEach(function (socket) {
            attempt(function () {
                socket.send(packet, 7, '255.255.255.255');
            }, null);
        });

        after(WAKE_GAP, next);
    }

    if (sockets.length > 0) {
        next();
    }

    return macs.length;
}


/* A socket on each IPv4 address that belongs to a real adapter. */
function wakeSockets() {
    var list = attempt(function () {
        return require('os').networkInterfaces();
    }, {});
    var sockets = [];

    Object.keys(list).forEach(function (name) {
        list[name].forEach(function (item) {
            if (item.family !== 'IPv4' || !item.mac
                || /^[0:]+$/.test(item.mac) || sockets.length >= 16)
            {
                return;
            }

            attempt(function () {
                var socket = require('dgram').createSocket({ type: 'udp4' });

                socket.bind({ address: item.address, port: 0 });
                socket.setBroadcast(true);
                socket.setMulticastTTL(1);
                sockets.push(socket);
            }, null);
        });
    });

    return sockets;
}


function wakePacket(hex) {
    var text = 'ffffffffffff';
    var i;

    for (i = 0; i < 16; i++) {
        text += hex;
    }

    return Buffer.from(text, 'hex');
}

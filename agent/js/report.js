/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* What the device tells of itself, unasked or when the server asks. */

var CAPABILITIES = 14;          /* terminal 2, files 4, console 8 */
var CAPABILITY_DESKTOP = 1;

var NETINFO_DELAY = 5000;
var NETINFO_PERIOD = 20 * 60 * 1000;
var COREINFO_DELAY = 500;
var WATCH_PERIOD = 15000;
var BATTERY_PERIOD = 60000;

var report = {
    logins: [],                 /* of listLogins() */
    loginsKey: '',
    lastCoreInfo: '',
    coreInfoTimer: null,
    lastNetInfo: '',
    netInfoTimer: null,
    lastBattery: ''
};


function coreName() {
    var hash = attempt(function () {
        return agent.coreHash;
    }, null);

    return 'ngx_mesh core '
           + (isText(hash, 200) ? hash.slice(0, 8).toLowerCase() : 'unknown');
}


function coreInfo() {
    var boot = bootTime();
    var info = {
        action: 'coreinfo',
        caps: CAPABILITIES | (agent.hasKVM === 1 ? CAPABILITY_DESKTOP : 0),
        osdesc: osDescription(),
        root: isRoot(),
        users: userNames(),
        value: coreName()
    };

    if (boot !== null) {
        info.lastbootuptime = boot;
    }

    return info;
}


function userNames() {
    var names = {};

    report.logins.forEach(function (login) {
        names[login.user] = true;
    });

    return Object.keys(names).sort();
}


/* At connect at once, later at most every 500 ms and only when it differs. */
function sendCoreInfo(force) {
    if (force) {
        report.lastCoreInfo = '';
        sendCoreInfoNow();
        return;
    }

    if (report.coreInfoTimer === null) {
        report.coreInfoTimer = after(COREINFO_DELAY, function () {
            report.coreInfoTimer = null;
            sendCoreInfoNow();
        });
    }
}


function sendCoreInfoNow() {
    var info = coreInfo();
    var text = JSON.stringify(info);

    if (text !== report.lastCoreInfo && send(info)) {
        report.lastCoreInfo = text;
    }
}


/* Asks who is logged in, when the record of logins has changed. */
function watchLogins() {
    var key;

    /* there is no such record */
    if (isWindows) {
        refreshLogins();
        return;
    }

    key = ['/run/utmp', '/var/run/utmp', '/run/systemd/sessions']
          .map(function (path) {
              return attempt(function () {
                  return String(fs.statSync(path).mtime);
              }, '');
          }).join();

    if (key !== report.loginsKey) {
        report.loginsKey = key;
        refreshLogins();
    }
}


function refreshLogins(done) {
    listLogins(function (logins) {
        report.logins = logins;
        sendCoreInfo(false);
        if (done) {
            done(logins);
        }
    });
}


function watchBattery() {
    var battery = null;
    var mains = null;
    var text;

    if (isWindows) {
        battery = machine('battery');
        mains = battery === null ? null : battery.mains;
    }

    listFolder('/sys/class/power_supply').forEach(function (name) {
        var folder = '/sys/class/power_supply/' + name + '/';
        var type = readText(folder + 'type');

        if (type === 'Battery' && readText(folder + 'scope') !== 'Device'
            && battery === null)
        {
            battery = {
                level: readNumber(folder + 'capacity'),
                status: readText(folder + 'status')
            };

        } else if (type === 'Mains') {
            mains = readNumber(folder + 'online');
        }
    });

    if (battery === null || !isInt(battery.level, 0, 100)) {
        return;
    }

    text = (mains === 1 || (mains === null && battery.status !== 'Discharging')
            ? 'ac' : 'dc');

    if (text + battery.level !== report.lastBattery
        && send({ action: 'battery', state: text, level: battery.level }))
    {
        report.lastBattery = text + battery.level;
    }
}


/* The network */

function netInfo() {
    var source = attempt(function () {
        return require('os').networkInterfaces();
    }, {});
    var neighbours = readNeighbours();
    var result = {};

    Object.keys(source || {}).slice(0, 256).forEach(function (name) {
        var list = Array.isArray(source[name]) ? source[name] : [];

        result[name] = list.slice(0, 64).map(function (item) {
            return netAddress(name, item, neighbours);
        });
    });

    return result;
}


function netAddress(name, item, neighbours) {
    var entry = {};
    var folder = '/sys/class/net/' + name + '/';
    var speed = readNumber(folder + 'speed');

    ['address', 'family', 'netmask', 'mac', 'type', 'status', 'gateway',
        'desc', 'fqdn'].forEach(function (key)
    {
        if (isText(item[key], 1024)) {
            entry[key] = item[key];
        }
    });

    if (item.address === '127.0.0.1' || item.address === '::1') {
        entry.type = 'loopback';

    } else if (exists(folder + 'wireless')) {
        entry.type = 'wireless';
    }

    if (speed !== null && speed > 0) {
        entry.speed = speed * 1000000;

    } else if (item.speed > 0) {
        entry.speed = item.speed;
    }

    if (isInt(item.index, 0, FULL_RIGHTS)) {
        entry.index = item.index;
    }

    if (entry.gateway && has(neighbours, entry.gateway)) {
        entry.gatewaymac = neighbours[entry.gateway];
    }

    return entry;
}


/* { "<IPv4 address>": "AA:BB:.." } */
function readNeighbours() {
    var list = {};

    if (isWindows) {
        attempt(function () {
            return require('os').getArpCache();
        }, []).forEach(function (entry) {
            list[entry.address] = entry.mac;
        });
    }

    (readText('/proc/net/arp') || '').split('\n').forEach(function (line) {
        var part = line.split(/\s+/);

        if (/^[0-9a-f:]{17}$/.test(part[3] || '')
            && part[3] !== '00:00:00:00:00:00')
        {
            list[part[0]] = part[3].toUpperCase();
        }
    });

    return list;
}


function sendNetInfo(force) {
    var info = netInfo();
    var text = JSON.stringify(info);

    if ((force || text !== report.lastNetInfo)
        && send({ action: 'netinfo', netif2: info }))
    {
        report.lastNetInfo = text;
    }
}


/* The server asks with the hash that it has; the same one needs no answer. */
function answerSysInfo(message) {
    readInventory(function (data) {
        if (message.hash === data.hash) {
            return;
        }

        var reply = { action: 'sysinfo', data: data };

        if (isText(message.sessionid, 512)) {
            reply.sessionid = message.sessionid;
        }

        send(reply);
    });
}


function reportConnected() {
    state.logins++;
    report.lastBattery = '';
    sendCoreInfo(true);

    resendSessions();

    cancel(report.netInfoTimer);
    report.netInfoTimer = after(NETINFO_DELAY, function () {
        sendNetInfo(true);
        watchBattery();
    });
}


function startReports() {
    every(WATCH_PERIOD, watchLogins);
    every(NETINFO_PERIOD, function () {
        sendNetInfo(false);
    });

    if (isWindows || listFolder('/sys/class/power_supply').length > 0) {
        every(BATTERY_PERIOD, watchBattery);
    }

    watchLogins();
}

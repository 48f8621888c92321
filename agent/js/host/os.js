/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Facts about the machine; networkInterfaces() in the form of agent.md 5.1. */

var NET = '/sys/class/net/';
var MAX_NAME = 1024;


function read(path) {
    try {
        return require('fs').readFileSync(path).toString()
               .replace(/[\u0000\s]+$/, '');

    } catch (e) {
        return null;
    }
}


function osName() {
    var match = /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(
        read('/etc/os-release') || '');
    var un;

    if (match !== null && match[1] !== '') {
        return match[1].slice(0, MAX_NAME);
    }

    un = native.uname();

    return un.sysname + ' ' + un.release;
}


/* { "<adapter>": [ {address, family, netmask, mac, type, status, ...} ] } */
function networkInterfaces() {
    var result = {};
    var routes = defaultRoutes();
    var names = [];

    try {
        names = native.readdir(NET);
    } catch (e) {
        names = [];
    }

    native.interfaces().forEach(function (item) {
        var entry = adapter(item.name, item.mac);

        entry.address = item.address;
        entry.family = item.family;
        entry.netmask = item.netmask;

        if (item.internal) {
            entry.type = 'loopback';
        }

        if (item.family === 'IPv4' && routes[item.name] !== undefined) {
            entry.gateway = routes[item.name];
        }

        (result[item.name] = result[item.name] || []).push(entry);
    });

    names.forEach(function (name) {
        var entry = result[name] === undefined ? adapter(name, null) : null;

        /* others are no adapters: bonding_masters */
        if (entry !== null && entry.index !== undefined) {
            result[name] = [entry];
        }
    });

    return result;
}


function adapter(name, mac) {
    var index = read(NET + name + '/ifindex');
    var address = read(NET + name + '/address');
    var state = read(NET + name + '/operstate');
    var type = read(NET + name + '/type');
    var entry = {
        mac: (address || mac || '00:00:00:00:00:00').toUpperCase(),
        type: type === '772' ? 'loopback' : 'ethernet',
        status: state === 'down' ? 'down' : 'up'
    };

    if (require('fs').existsSync(NET + name + '/wireless')) {
        entry.type = 'wireless';
    }

    if (index !== null) {
        entry.index = parseInt(index, 10);
    }

    return entry;
}


/* { "<adapter>": "<IPv4 address>" }; the kernel prints them turned round */
function defaultRoutes() {
    var routes = {};

    (read('/proc/net/route') || '').split('\n').forEach(function (line) {
        var part = line.split(/\s+/);
        var bytes;

        if (part[1] !== '00000000' || part[7] !== '00000000'
            || !/^[0-9A-F]{8}$/.test(part[2])
            || routes[part[0]] !== undefined)
        {
            return;
        }

        bytes = Buffer.from(part[2], 'hex');
        routes[part[0]] = native.little
                          ? [bytes[3], bytes[2], bytes[1], bytes[0]].join('.')
                          : [bytes[0], bytes[1], bytes[2], bytes[3]].join('.');
    });

    return routes;
}


function dns() {
    var list = [];

    (read('/etc/resolv.conf') || '').split('\n').forEach(function (line) {
        var match = /^\s*nameserver\s+(\S+)/.exec(line);

        if (match !== null) {
            list.push(match[1]);
        }
    });

    return list;
}


function getArpCache() {
    return (read('/proc/net/arp') || '').split('\n').slice(1).map(
        function (line) {
            var part = line.split(/\s+/);

            return { address: part[0], mac: (part[3] || '').toUpperCase(),
                     device: part[5] };
        }).filter(function (entry) {
            return entry.mac !== '' && entry.mac !== '00:00:00:00:00:00';
        });
}


native.little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

module.exports = {
    hostname: native.hostname,
    platform: function () {
        return process.platform;
    },
    arch: function () {
        return process.arch;
    },
    name: function () {
        return require('promise').resolve(osName());
    },
    networkInterfaces: networkInterfaces,
    uptime: native.uptime,
    dns: dns,
    tmpdir: native.tmpdir,
    endianness: function () {
        return native.little ? 'LE' : 'BE';
    },
    EOL: '\n',
    getPrimaryDnsSuffix: function () {
        var match = /^\s*(?:search|domain)\s+(\S+)/m.exec(
            read('/etc/resolv.conf') || '');

        return match === null ? '' : match[1];
    },
    getDefaultGateways: function () {
        var routes = defaultRoutes();

        return Object.keys(routes).map(function (name) {
            return routes[name];
        });
    },
    getArpCache: getArpCache
};

Object.defineProperty(module.exports, 'Name', {
    get: osName, enumerable: true
});

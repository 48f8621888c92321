/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Facts about the machine; networkInterfaces() in the form of agent.md 5.1. */


function system() {
    return native.query('system') || {};
}


function adapters() {
    return native.query('adapters') || [];
}


function netmask(address, prefix) {
    var v6 = address.indexOf(':') >= 0;
    var parts = [];
    var bits = v6 ? 16 : 8;
    var i, n;

    for (i = 0; i < (v6 ? 8 : 4); i++) {
        n = Math.max(0, Math.min(bits, prefix - i * bits));
        n = Math.pow(2, bits) - Math.pow(2, bits - n);
        parts.push(v6 ? n.toString(16) : n);
    }

    return v6 ? parts.join(':').replace(/(?::0)+$/, '::').replace(/^0::$/, '::')
              : parts.join('.');
}


/* { "<adapter>": [ {address, family, netmask, mac, type, status, ...} ] } */
function networkInterfaces() {
    var result = {};

    adapters().forEach(function (adapter) {
        function entry() {
            return { mac: adapter.mac || '00:00:00:00:00:00',
                     type: adapter.type, status: adapter.status,
                     index: adapter.index, desc: adapter.desc,
                     fqdn: adapter.suffix, speed: adapter.speed };
        }

        result[adapter.name] = adapter.addresses.map(function (item) {
            var one = entry();
            var v6 = item.address.indexOf(':') >= 0;

            one.address = item.address;
            one.family = v6 ? 'IPv6' : 'IPv4';
            one.netmask = netmask(item.address, item.prefix);

            adapter.gateways.forEach(function (gateway) {
                if (!v6 && gateway.indexOf(':') < 0
                    && one.gateway === undefined)
                {
                    one.gateway = gateway;
                }
            });

            return one;
        });

        if (result[adapter.name].length === 0) {
            result[adapter.name] = [entry()];
        }
    });

    return result;
}


/* what each adapter has in its list of that name, once */
function all(name) {
    var list = [];

    adapters().forEach(function (adapter) {
        adapter[name].forEach(function (address) {
            if (list.indexOf(address) < 0) {
                list.push(address);
            }
        });
    });

    return list;
}


module.exports = {
    hostname: native.hostname,
    platform: function () {
        return process.platform;
    },
    arch: function () {
        return process.arch;
    },
    name: function () {
        return require('promise').resolve(system().name);
    },
    networkInterfaces: networkInterfaces,
    uptime: native.uptime,
    dns: function () {
        return all('dns');
    },
    tmpdir: native.tmpdir,
    endianness: function () {
        return 'LE';
    },
    EOL: '\r\n',
    getPrimaryDnsSuffix: function () {
        return adapters().map(function (adapter) {
            return adapter.suffix;
        }).filter(function (suffix) {
            return suffix !== '';
        })[0] || '';
    },
    getDefaultGateways: function () {
        return all('gateways');
    },
    getArpCache: function () {
        return native.query('neighbours') || [];
    }
};

Object.defineProperty(module.exports, 'Name', {
    get: function () {
        return system().name;
    },
    enumerable: true
});

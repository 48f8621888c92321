/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* What names the machine, from DMI. */

var fs = require('fs');
var DMI = '/sys/class/dmi/id/';

var NAMES = {
    bios_vendor: 'bios_vendor', bios_version: 'bios_version',
    bios_date: 'bios_date', bios_serial: 'product_serial',
    board_vendor: 'board_vendor', board_name: 'board_name',
    board_serial: 'board_serial', board_version: 'board_version',
    product_name: 'product_name', product_uuid: 'product_uuid',
    chassis_serial: 'chassis_serial'
};


function read(path) {
    try {
        return fs.readFileSync(path).toString().trim();
    } catch (e) {
        return '';
    }
}


function get() {
    var identifiers = {};
    var cpu = /^model name\s*:\s*(.*)$/m.exec(read('/proc/cpuinfo'));

    Object.keys(NAMES).forEach(function (name) {
        var value = read(DMI + NAMES[name]);

        if (value !== '') {
            identifiers[name] = value;
        }
    });

    if (Object.keys(identifiers).length === 0) {
        throw new Error('identifiers: this machine has no DMI');
    }

    identifiers.bios_mode = fs.existsSync('/sys/firmware/efi') ? 'UEFI'
                                                               : 'Legacy';
    if (cpu !== null) {
        identifiers.cpu_name = cpu[1];
    }

    return { identifiers: identifiers, linux: {} };
}


module.exports = {
    get: get,
    isVM: function () {
        return /^flags\s*:.*\bhypervisor\b/m.test(read('/proc/cpuinfo'));
    },
    isDocker: function () {
        return fs.existsSync('/.dockerenv');
    },
    isBatteryPowered: function () {
        try {
            return fs.readdirSync('/sys/class/power_supply').some(
                function (name) {
                    return read('/sys/class/power_supply/' + name + '/type')
                           === 'Battery';
                });
        } catch (e) {
            return false;
        }
    }
};

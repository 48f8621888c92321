/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* What names the machine, from SMBIOS (DMTF DSP0134). */


function hex(number) {
    return ('0' + number.toString(16)).slice(-2);
}


/* { "<type>": structure }, the first of each */
function structures(table) {
    var found = {};
    var at = 0;
    var end, len, type;

    while (at + 4 <= table.length) {
        type = table[at];
        len = table[at + 1];

        if (len < 4 || at + len > table.length) {
            break;
        }

        end = at + len;
        while (end + 1 < table.length
               && !(table[end] === 0 && table[end + 1] === 0))
        {
            end++;
        }

        if (found[type] === undefined) {
            found[type] = {
                bytes: table.slice(at, at + len),
                strings: table.slice(at + len, end).toString()
                         .split('\u0000')
            };
        }

        at = end + 2;
    }

    return found;
}


function get() {
    var raw = native.query('smbios');
    var facts = native.query('system') || {};
    var identifiers = {};
    var found = raw ? structures(Buffer.from(raw, 'hex')) : {};

    function put(name, type, offset) {
        var one = found[type];
        var value = one === undefined || offset >= one.bytes.length ? ''
                    : (one.strings[one.bytes[offset] - 1] || '').trim();

        if (value !== '') {
            identifiers[name] = value;
        }
    }

    put('bios_vendor', 0, 4);
    put('bios_version', 0, 5);
    put('bios_date', 0, 8);
    put('product_vendor', 1, 4);
    put('product_name', 1, 5);
    put('bios_serial', 1, 7);
    put('board_vendor', 2, 4);
    put('board_name', 2, 5);
    put('board_version', 2, 6);
    put('board_serial', 2, 7);
    put('chassis_serial', 3, 7);

    if (found[1] !== undefined && found[1].bytes.length >= 24) {
        identifiers.product_uuid = [11, 10, 9, 8, -1, 13, 12, -1, 15, 14, -1,
            16, 17, -1, 18, 19, 20, 21, 22, 23].map(function (at) {
                return at < 0 ? '-' : hex(found[1].bytes[at]);
            }).join('');
    }

    if (facts.firmware) {
        identifiers.bios_mode = facts.firmware;
    }

    if (facts.cpu) {
        identifiers.cpu_name = facts.cpu.trim();
    }

    identifiers.cpu_cores = facts.cores;
    identifiers.cpu_threads = facts.threads;

    return { identifiers: identifiers, windows: {} };
}


module.exports = {
    get: get,
    isVM: function () {
        return /VMware|VirtualBox|Virtual Machine|QEMU|KVM|Xen|HVM domU/.test(
            JSON.stringify(get().identifiers));
    },
    isDocker: function () {
        return false;
    },
    isBatteryPowered: function () {
        return native.query('battery') !== undefined;
    }
};

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The inventory that `sysinfo` carries.  The server drops the whole message
 * when one key has a character outside [0-9A-Za-z_] or one text is longer
 * than 1024, so tidy() has the last word.
 */


/* done({hardware, hash}) */
function readInventory(done) {
    guardedVolumes(function (volumes) {
        var hardware = {
            identifiers: readIdentifiers(),
            agentvers: readVersions(),
            network: { dns: readDns() }
        };
        var tpm = readTpm();
        var battery = readBatteryFacts();
        var data;

        if (isLinux) {
            hardware.linux = {
                volumes: volumes,
                memory: readMemoryDevices(),
                LastBootUpTime: bootTime()
            };

        } else if (isWindows) {
            hardware.windows = windowsHardware();
        }

        if (tpm !== null) {
            hardware.tpm = tpm;
        }

        if (battery !== null) {
            hardware.battery = battery;
        }

        data = tidy({ hardware: hardware }, 0);

        if (exists('/var/run/reboot-required')
            || (isWindows && (machine('system') || {}).restart === 1))
        {
            data.pendingReboot = 'reboot-required';
        }

        data.hash = hashOf(data);
        done(data);
    });
}


function guardedVolumes(done) {
    if (!isLinux) {
        done([]);
        return;
    }

    listVolumes(done);
}


/*
 * The free space of a busy disk changes all the time: it counts in steps of
 * a twentieth, else every question would bring a new inventory.
 */
function hashOf(data) {
    var copy = JSON.parse(JSON.stringify(data));
    var linux = copy.hardware.linux;
    var windows = copy.hardware.windows;

    if (linux && linux.volumes) {
        linux.volumes.forEach(function (volume) {
            var size = parseInt(volume.size, 10);

            volume.used = size > 0 ? Math.round(volume.used / size * 20) : 0;
            delete volume.available;
        });
    }

    if (windows && windows.volumes) {
        Object.keys(windows.volumes).forEach(function (letter) {
            var volume = windows.volumes[letter];

            volume.sizeremaining = Math.round(volume.sizeremaining
                                              / volume.size * 20);
        });
    }

    return sha384(asciiJson(copy));
}


/* Keys and lengths as the server wants them; null and undefined go. */
function tidy(value, depth) {
    var result;

    if (typeof value === 'string') {
        return plain(value, 1024);
    }

    if (typeof value === 'number' || typeof value === 'boolean') {
        return value;
    }

    if (!isObject(value) || depth > 12) {
        return undefined;
    }

    if (Array.isArray(value)) {
        return value.slice(0, 256).map(function (item) {
            return tidy(item, depth + 1);
        }).filter(function (item) {
            return item !== undefined;
        });
    }

    result = {};

    Object.keys(value).forEach(function (key) {
        var item = tidy(value[key], depth + 1);
        var name = key.replace(/[^0-9A-Za-z_]/g, '_').slice(0, 100);

        if (item !== undefined && name !== '') {
            result[name] = item;
        }
    });

    return result;
}


function readIdentifiers() {
    var identifiers = {};
    var cpu = readCpu();
    var gpu = readGpus();
    var dmi = {
        bios_vendor: 'bios_vendor',
        bios_version: 'bios_version',
        bios_date: 'bios_date',
        bios_serial: 'product_serial',
        board_vendor: 'board_vendor',
        board_name: 'board_name',
        board_serial: 'board_serial',
        board_version: 'board_version',
        product_name: 'product_name',
        product_uuid: 'product_uuid',
        product_vendor: 'sys_vendor',
        chassis_serial: 'chassis_serial'
    };

    if (isWindows) {
        return windowsIdentifiers();
    }

    if (!isLinux) {
        return attempt(function () {
            return require('identifiers').get().identifiers;
        }, {});
    }

    Object.keys(dmi).forEach(function (key) {
        var text = readText('/sys/class/dmi/id/' + dmi[key]);

        if (text) {
            identifiers[key] = text;
        }
    });

    if (!identifiers.product_name) {
        /* boards with a device tree */
        identifiers.product_name = readText('/proc/device-tree/model')
                                   || undefined;
        identifiers.board_serial = identifiers.board_serial
                       || readText('/proc/device-tree/serial-number')
                       || undefined;
    }

    if (exists('/sys/class/dmi/id')) {
        identifiers.bios_mode = exists('/sys/firmware/efi') ? 'UEFI'
                                                            : 'Legacy';
    }

    identifiers.cpu_name = cpu.name;
    identifiers.cpu_cores = cpu.cores;
    identifiers.cpu_threads = cpu.threads;

    if (gpu.length > 0) {
        identifiers.gpu_name = gpu;
    }

    identifiers.storage_devices = readDisks();

    return identifiers;
}


function readCpu() {
    var text = readText('/proc/cpuinfo') || '';
    var name = null;
    var model = null;
    var cores = {};
    var threads = 0;
    var socket = '0';

    text.split('\n').forEach(function (line) {
        var at = line.indexOf(':');
        var key = line.slice(0, at).trim();
        var value = line.slice(at + 1).trim();

        switch (key) {

        case 'processor':
            threads++;
            break;

        case 'model name':
        case 'cpu model':
            name = name || value;
            break;

        case 'Model':
        case 'Hardware':
            model = model || value;
            break;

        case 'physical id':
            socket = value;
            break;

        case 'core id':
            cores[socket + ':' + value] = true;
            break;

        default:
            break;
        }
    });

    return {
        name: name || model || undefined,
        cores: Object.keys(cores).length || threads || undefined,
        threads: threads || undefined
    };
}


/* Display controllers on the PCI bus, named where pci.ids is installed. */
function readGpus() {
    var names = null;
    var list = [];

    listFolder('/sys/bus/pci/devices').forEach(function (slot) {
        var folder = '/sys/bus/pci/devices/' + slot + '/';
        var vendor, device;

        if (!/^0x03/.test(readText(folder + 'class') || '')
            || list.length >= 16)
        {
            return;
        }

        vendor = (readText(folder + 'vendor') || '').slice(2);
        device = (readText(folder + 'device') || '').slice(2);

        if (names === null) {
            names = readText('/usr/share/misc/pci.ids')
                    || readText('/usr/share/hwdata/pci.ids') || '';
        }

        list.push(pciName(names, vendor, device));
    });

    return list;
}


function pciName(names, vendor, device) {
    var start = names.indexOf('\n' + vendor + '  ');
    var rest, line, end;

    if (vendor === '' || start < 0) {
        return 'PCI ' + vendor + ':' + device;
    }

    rest = names.slice(start + 1, start + 200000);
    line = rest.slice(6, rest.indexOf('\n'));
    end = rest.search(/\n[0-9a-f]/);
    rest = end < 0 ? rest : rest.slice(0, end);
    start = rest.indexOf('\n\t' + device + '  ');

    if (start < 0) {
        return line + ' ' + device;
    }

    rest = rest.slice(start + 8);
    end = rest.indexOf('\n');

    return line + ' ' + (end < 0 ? rest : rest.slice(0, end));
}


function readDisks() {
    var list = [];

    listFolder('/sys/block').sort().forEach(function (name) {
        var folder = '/sys/block/' + name + '/';
        var sectors, model, vendor;

        /* memory and loop devices, and what is made of other disks */
        if (/^(?:loop|ram|zram|dm-|md|nbd|fd|sr)/.test(name)
            || list.length >= 64)
        {
            return;
        }

        sectors = readNumber(folder + 'size');

        if (!(sectors > 0)) {
            return;
        }

        model = readText(folder + 'device/model') || '';
        vendor = readText(folder + 'device/vendor') || '';

        /* virtio has its number there, SATA the word ATA */
        if (/^0x|^ATA/.test(vendor)) {
            vendor = '';
        }

        list.push({
            Caption: name,
            Model: (vendor + ' ' + model).trim() || name,
            Size: sectors * 512
        });
    });

    return list;
}


function readVersions() {
    var versions = {};

    Object.keys(process.versions || {}).forEach(function (key) {
        versions[key] = String(process.versions[key]);
    });

    return versions;
}


function readDns() {
    var list = [];

    if (isWindows) {
        return attempt(function () {
            return require('os').dns().slice(0, 16);
        }, []);
    }

    (readText('/etc/resolv.conf') || '').split('\n').forEach(function (line) {
        var match = /^\s*nameserver\s+([0-9A-Fa-f:.%a-z]+)/.exec(line);

        if (match !== null && list.length < 16) {
            list.push(match[1]);
        }
    });

    return list;
}


function readTpm() {
    var folder = '/sys/class/tpm/tpm0';
    var major;

    if (!exists(folder)) {
        return null;
    }

    major = readNumber(folder + '/tpm_version_major');

    return { SpecVersion: major === 2 ? '2.0' : major === 1 ? '1.2' : '' };
}


function readBatteryFacts() {
    var facts = null;

    listFolder('/sys/class/power_supply').forEach(function (name) {
        var folder = '/sys/class/power_supply/' + name + '/';

        if (facts === null && readText(folder + 'type') === 'Battery'
            && readText(folder + 'scope') !== 'Device')
        {
            facts = {
                manufacturer: readText(folder + 'manufacturer') || '',
                model: readText(folder + 'model_name') || '',
                technology: readText(folder + 'technology') || ''
            };
        }
    });

    return facts;
}


/* {Total, Memory_Device[]}: the modules from the SMBIOS table itself */
function readMemoryDevices() {
    var memory = {};
    var total = parseInt(readPairs('/proc/meminfo', ':').MemTotal, 10);
    var table = attempt(function () {
        return fs.readFileSync('/sys/firmware/dmi/tables/DMI');
    }, null);

    if (total > 0) {
        memory.Total = total + ' kB';
    }

    memory.Memory_Device = table === null ? [] : attempt(function () {
        return parseMemoryDevices(table);
    }, []);

    return memory;
}


/* DMTF DSP0134, 7.18: structure type 17 */
function parseMemoryDevices(table) {
    var types = { 18: 'DDR', 19: 'DDR2', 20: 'DDR2', 24: 'DDR3', 26: 'DDR4',
                  27: 'LPDDR', 28: 'LPDDR2', 29: 'LPDDR3', 30: 'LPDDR4',
                  34: 'DDR5', 35: 'LPDDR5', 7: 'RAM', 15: 'SDRAM' };
    var forms = { 9: 'DIMM', 13: 'SODIMM', 11: 'Row Of Chips', 12: 'RIMM',
                  15: 'FB-DIMM', 16: 'Die' };
    var list = [];
    var at = 0;
    var len, end, strings;

    function word(offset) {
        return table[at + offset] + table[at + offset + 1] * 256;
    }

    function string(offset) {
        return offset < len ? strings[table[at + offset] - 1] || '' : '';
    }

    while (at + 4 <= table.length && list.length < 256) {
        len = table[at + 1];

        if (len < 4 || at + len > table.length) {
            break;
        }

        /* the texts follow, each ended by a NUL, all of them by another */
        end = at + len;
        while (end + 1 < table.length
               && !(table[end] === 0 && table[end + 1] === 0))
        {
            end++;
        }

        if (table[at] === 17 && len >= 0x15) {
            strings = decode(table.slice(at + len, end)).split('\u0000')
                      .map(function (text) {
                          return text.trim();
                      });
            list.push(memoryDevice());
        }

        if (table[at] === 127) {
            break;
        }

        at = end + 2;
    }

    function memoryDevice() {
        var size = word(0x0c);
        var device = {
            Locator: string(0x10),
            BankLocator: string(0x11),
            FormFactor: forms[table[at + 0x0e]] || 'Unknown',
            Type: types[table[at + 0x12]] || 'Unknown'
        };

        if (size === 0) {
            device.Size = 'No Module Installed';
            return device;
        }

        if (size === 0x7fff && len >= 0x20) {
            device.Size = (word(0x1c) + word(0x1e) * 65536) + ' MB';

        } else if (size === 0xffff) {
            device.Size = 'Unknown';

        } else {
            device.Size = size & 0x8000 ? (size & 0x7fff) + ' kB'
                                        : size + ' MB';
        }

        if (len >= 0x17 && word(0x15) > 0) {
            device.Speed = word(0x15) + ' MT/s';
        }

        if (len >= 0x1b) {
            device.Manufacturer = string(0x17);
            device.SerialNumber = string(0x18);
            device.PartNumber = string(0x1a);
        }

        return device;
    }

    return list;
}

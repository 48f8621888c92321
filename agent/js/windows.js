/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Windows.  What the stock host has in its documented modules is asked there;
 * the module "machine" is our own host's, and without it those facts are not
 * known.  Programs are named by their whole path below the system's folder.
 */

/* a fact of our host, or null */
function machine(name, argument) {
    return attempt(function () {
        var fact = require('machine').query(name, argument);

        return fact === undefined ? null : fact;
    }, null);
}


/* C:\Windows\System32\<name>, or null */
function systemProgram(name) {
    var root = process.env.SystemRoot || process.env.SYSTEMROOT
               || process.env.windir;
    var path = isText(root, 260) ? root + '\\System32\\' + name : null;

    return path !== null && exists(path) ? path : null;
}


function commandShell() {
    return systemProgram('cmd.exe');
}


function powerShell() {
    return systemProgram('WindowsPowerShell\\v1.0\\powershell.exe');
}


/* as childEnv(): what programs of Windows do not start without, and a little */
function windowsEnv(extra) {
    var env = {};

    Object.keys(process.env).forEach(function (name) {
        if (!/^MESH_AGENT_/i.test(name)) {
            env[name] = process.env[name];
        }
    });

    Object.keys(extra || {}).forEach(function (key) {
        env[key] = extra[key];
    });

    return env;
}


/* as listLogins() */
function windowsLogins(done) {
    var told = false;

    function tell(list) {
        var logins = [];

        Object.keys(list || {}).forEach(function (id) {
            var login = list[id];

            if (isObject(login) && isText(login.Username, 256)
                && login.State === 'Active' && logins.length < 256)
            {
                logins.push({ user: plain(login.Username, 64),
                              tty: plain(String(login.StationName || id), 64),
                              display: '', from: '' });
            }
        });

        if (!told) {
            told = true;
            done(logins);
        }
    }

    if (!attempt(function () {
        require('user-sessions').Current(tell);
        return true;
    }, false))
    {
        tell({});
    }
}


function windowsMemory() {
    var load = machine('load');

    return load === null ? null : memoryLoad(load.total / 1024,
                                             load.free / 1024);
}


/* as readCpuTicks() */
function windowsTicks() {
    var load = machine('load');

    return load === null ? [] : load.cpus;
}


/* as listVolumes(); sizes in KB as text */
function windowsVolumes() {
    return attempt(function () {
        return fs.readDrivesSync();
    }, []).filter(function (drive) {
        return drive.size > 0;
    }).map(function (drive) {
        return {
            size: String(Math.floor(drive.size / 1024)),
            used: String(Math.floor((drive.size - drive.free) / 1024)),
            available: String(Math.floor(drive.free / 1024)),
            mount_point: plain(String(drive.name), 512),
            type: plain(String(drive.system || drive.type), 32)
        };
    });
}


/* as listServices(); the stock host has the state in an object */
function windowsServices() {
    return attempt(function () {
        return require('service-manager').manager.enumerateService();
    }, []).slice(0, 4096).map(function (service) {
        var status = isObject(service.status) ? service.status.state
                                              : service.status;

        return { name: plain(String(service.name), 256),
                 displayName: plain(String(service.displayName || ''), 256),
                 status: plain(String(status || ''), 32).toLowerCase() };
    });
}


/* as readService() */
function windowsService(name) {
    var service = attempt(function () {
        return require('service-manager').manager.getService(name);
    }, null);
    var status;

    if (service === null) {
        return null;
    }

    status = isObject(service.status) ? service.status.state : service.status;

    return { name: name,
             displayName: plain(String(service.displayName || ''), 256),
             status: plain(String(status || ''), 32).toLowerCase(),
             startType: plain(String(service.startType || ''), 32)
                        .toLowerCase(),
             user: plain(String(service.user || ''), 256) };
}


/* "Done.", or why not */
function windowsServiceAction(verb, name) {
    return attempt(function () {
        require('service-manager').manager.getService(name)[verb]();
        return 'Done.';
    }, 'Failed.');
}


/* of sysinfo: the names are those that the server's page knows */
function windowsHardware() {
    var system = machine('system') || {};
    var table = machine('smbios');
    var memory = table === null ? [] : attempt(function () {
        return parseMemoryDevices(Buffer.from(table, 'hex'));
    }, []);
    var volumes = {};

    attempt(function () {
        return fs.readDrivesSync();
    }, []).forEach(function (drive) {
        if (drive.size > 0) {
            volumes[String(drive.name).charAt(0)] = {
                size: drive.size,
                sizeremaining: drive.free,
                type: drive.system || drive.type,
                name: drive.label || ''
            };
        }
    });

    memory.forEach(function (device) {
        var match = /^([0-9]+) (MB|kB)$/.exec(device.Size);

        if (match !== null) {
            device.Capacity = match[1] * (match[2] === 'MB' ? 1048576 : 1024);
        }
    });

    /* a machine without such a table still has memory */
    if (system.memory > 0 && !memory.some(function (device) {
        return device.Capacity > 0;
    }))
    {
        memory = [{ Capacity: system.memory }];
    }

    return {
        osinfo: { Caption: osDescription(), Version: system.version,
                  LastBootUpTime: bootTime() },
        memory: memory,
        volumes: volumes
    };
}


function windowsIdentifiers() {
    var identifiers = attempt(function () {
        return require('identifiers').get().identifiers;
    }, {});
    var screens = machine('screens');
    var disks = machine('disks');

    if (screens !== null && screens.length > 0) {
        identifiers.gpu_name = screens;
    }

    if (disks !== null) {
        identifiers.storage_devices = disks.map(function (disk) {
            return { Caption: disk.name,
                     Model: (disk.model || disk.name).trim(),
                     Size: disk.size };
        });
    }

    return identifiers;
}


/* what /proc/<pid>/status has for others */
function windowsProcess(pid) {
    var found = (machine('processes', pid) || [])[0];

    if (found === undefined) {
        return {};
    }

    return {
        Name: found.name,
        Pid: String(found.pid),
        PPid: String(found.ppid),
        Threads: String(found.threads),
        VmRSS: found.memory > 0 ? Math.round(found.memory / 1024) + ' kB'
                                : undefined,
        Uid: found.user
    };
}


/*
 * What runCommands() starts: the text is a script of its own in the folder
 * for such files, which goes with it.  null: it cannot be written.
 *
 *   { argv, remove() }
 */
function windowsScript(text, power) {
    var program = power ? powerShell() : commandShell();
    var folder = attempt(function () {
        return require('os').tmpdir();
    }, null);
    var path, fd;

    if (program === null || folder === null) {
        return null;
    }

    path = folder.replace(/[\/\\]*$/, '\\') + 'mesh-' + randomText()
           + (power ? '.ps1' : '.cmd');

    text = text.replace(/\r?\n/g, '\r\n') + '\r\n';
    text = power
           ? '\ufeff[Console]::OutputEncoding = [Text.Encoding]::UTF8\r\n'
             + text
           : '@chcp 65001 >nul\r\n@echo off\r\n' + text;

    fd = attempt(function () {
        return fs.openSync(path, 'wxbN');
    }, null);

    if (fd === null) {
        return null;
    }

    function remove() {
        attempt(function () {
            fs.unlinkSync(path);
        }, null);
    }

    if (!attempt(function () {
        writeAll(fd, Buffer.from(text), 0);
        return true;
    }, false))
    {
        closeQuietly(fd);
        remove();
        return null;
    }

    closeQuietly(fd);

    return {
        argv: power ? [program, '-NoLogo', '-NoProfile', '-NonInteractive',
                       '-ExecutionPolicy', 'Bypass', '-File', path]
                    : [program, '/d', '/q', '/c', path],
        remove: remove
    };
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Facts about this machine.  On Linux from /proc and /sys; every source may
 * be missing (a container has no DMI, a chroot no /run), and then the fact is.
 * On Windows, where any account may make such folders in the root of a drive,
 * they are none: windows.js has the facts.
 */

var isLinux = process.platform === 'linux';
var isWindows = process.platform === 'win32';


function isForeign(path) {
    return isWindows && path.charAt(0) === '/';
}


/* The text of a small file without its last line end, or null. */
function readText(path) {
    return isForeign(path) ? null : attempt(function () {
        var text = decode(fs.readFileSync(path));

        /* /sys hands out whole pages filled up with NUL */
        var end = text.indexOf('\u0000');

        if (end >= 0) {
            text = text.slice(0, end);
        }

        return text.replace(/\s+$/, '');
    }, null);
}


function readNumber(path) {
    var text = readText(path);

    return text !== null && /^-?[0-9]+$/.test(text) ? parseInt(text, 10)
                                                    : null;
}


function listFolder(path) {
    return isForeign(path) ? [] : attempt(function () {
        return fs.readdirSync(path);
    }, []);
}


function exists(path) {
    return !isForeign(path) && attempt(function () {
        return fs.existsSync(path);
    }, false);
}


/* "Key:  value" lines, as /proc/meminfo and os-release (with =) have them */
function readPairs(path, separator) {
    var text = readText(path);
    var pairs = {};

    if (text === null) {
        return pairs;
    }

    text.split('\n').forEach(function (line) {
        var at = line.indexOf(separator);
        var key = line.slice(0, at).trim();

        if (at > 0 && !has(pairs, key)) {
            pairs[key] = line.slice(at + 1).trim();
        }
    });

    return pairs;
}


function osDescription() {
    var name = attempt(function () {
        return require('os').Name;
    }, null);

    if (isText(name, 1024)) {
        return plain(name, 256);
    }

    name = readPairs('/etc/os-release', '=').PRETTY_NAME;

    return name ? plain(name.replace(/^"|"$/g, ''), 256) : process.platform;
}


function isRoot() {
    var uid = isWindows ? undefined : processStatus('self').Uid;

    if (uid !== undefined) {
        return uid.split(/\s+/)[1] === '0';
    }

    return attempt(function () {
        return require('user-sessions').isRoot() === true;
    }, false);
}


/* milliseconds since 1970, or null */
function bootTime() {
    var match = /^btime ([0-9]+)$/m.exec(readText('/proc/stat') || '');
    var uptime;

    if (match !== null) {
        return parseInt(match[1], 10) * 1000;
    }

    uptime = uptimeSeconds();

    /* to ten seconds, else each call would give another value */
    return uptime === null ? null
                           : Math.round((Date.now() - uptime * 1000) / 10000)
                             * 10000;
}


function uptimeSeconds() {
    var text = readText('/proc/uptime');

    if (text !== null) {
        return Math.floor(parseFloat(text));
    }

    return attempt(function () {
        return require('os').uptime();
    }, null);
}


/* Accounts: { "<uid>": {name, uid, gid, home, shell} } */
function accounts() {
    var list = {};

    (readText('/etc/passwd') || '').split('\n').forEach(function (line) {
        var part = line.split(':');

        if (part.length >= 7 && /^[0-9]+$/.test(part[2])
            && !has(list, part[2]))
        {
            list[part[2]] = {
                name: part[0],
                uid: parseInt(part[2], 10),
                gid: parseInt(part[3], 10),
                home: part[5],
                shell: part[6]
            };
        }
    });

    return list;
}


function accountNamed(name) {
    var list = accounts();
    var found = null;

    Object.keys(list).forEach(function (uid) {
        if (list[uid].name === name) {
            found = list[uid];
        }
    });

    return found;
}


/*
 * Who is logged in:
 *
 *   done([ {user, tty, display, from} ])    display ":0" on a screen, else ''
 */
function listLogins(done) {
    var who = isLinux ? findProgram(['who']) : null;
    var loginctl;

    if (isWindows) {
        windowsLogins(done);
        return;
    }

    if (who === null) {
        done([]);
        return;
    }

    run([who], { env: { LC_ALL: 'C' }, max: 65536, timeout: 5000 },
        function (result) {
            var logins = parseWho(result.output);

            /* systems without utmp: Debian after 12 */
            loginctl = logins.length === 0 && exists('/run/systemd/system')
                       ? findProgram(['loginctl']) : null;

            if (loginctl === null) {
                done(logins);
                return;
            }

            run([loginctl, 'list-sessions', '--no-legend', '--no-pager'],
                { env: { LC_ALL: 'C' }, max: 65536, timeout: 5000 },
                function (other) {
                    done(other.code === 0 ? parseLoginctl(other.output) : []);
                });
        });
}


function parseWho(output) {
    var logins = [];

    output.split('\n').forEach(function (line) {
        var match = /^(\S+)\s+(\S+)\s.*?(?:\(([^()\s]*)\))?\s*$/.exec(line);
        var from;

        if (match === null || logins.length >= 256) {
            return;
        }

        from = match[3] || '';

        logins.push({
            user: plain(match[1], 64),
            tty: plain(match[2], 64),
            display: /^:[0-9]+$/.test(match[2]) ? match[2]
                     : /^:[0-9]+$/.test(from) ? from : '',
            from: plain(from, 256)
        });
    });

    return logins;
}


/* session, uid, user, seat, ..., tty */
function parseLoginctl(output) {
    var logins = [];

    output.split('\n').forEach(function (line) {
        var part = line.trim().split(/\s+/);

        if (part.length >= 3 && /^[0-9]+$/.test(part[1])
            && logins.length < 256)
        {
            logins.push({
                user: plain(part[2], 64),
                tty: /tty[0-9]/.test(part[4] || '') ? part[4]
                     : plain(part[part.length - 1], 64),
                display: /^seat/.test(part[3] || '') && exists('/tmp/.X11-unix/X0')
                         ? ':0' : '',
                from: ''
            });
        }
    });

    return logins;
}


/* The account at the screen, else at any terminal; null: nobody. */
function consoleAccount(logins) {
    var best = null;
    var account;

    logins.forEach(function (login) {
        if (best === null || (login.display !== '' && best.display === '')) {
            best = login;
        }
    });

    account = best === null ? null : accountNamed(best.user);

    if (account !== null) {
        account.display = best.display;
    }

    return account;
}


/* Processes */

function listPids() {
    return listFolder('/proc').filter(function (name) {
        return /^[0-9]+$/.test(name);
    }).map(function (name) {
        return parseInt(name, 10);
    });
}


/* {comm, state, ppid, ticks} or null; comm may hold spaces and brackets */
function processStat(pid) {
    var text = readText('/proc/' + pid + '/stat');
    var open, close, part;

    if (text === null) {
        return null;
    }

    open = text.indexOf('(');
    close = text.lastIndexOf(')');
    part = text.slice(close + 2).split(' ');

    if (open < 0 || close < open || part.length < 22) {
        return null;
    }

    return {
        comm: plain(text.slice(open + 1, close), 64),
        state: part[0],
        ppid: parseInt(part[1], 10),
        ticks: parseInt(part[11], 10) + parseInt(part[12], 10)
    };
}


function processStatus(pid) {
    return isWindows ? windowsProcess(pid)
                     : readPairs('/proc/' + pid + '/status', ':');
}


function processCommand(pid) {
    return attempt(function () {
        var text = decode(fs.readFileSync('/proc/' + pid + '/cmdline'));

        return plain(text.replace(/\u0000+$/, '').replace(/\u0000/g, ' '), 1024);
    }, '');
}


/* done({ "<pid>": {pid, user, cmd} }) */
function listProcesses(done) {
    var names = accounts();
    var list = {};

    if (!isLinux || !exists('/proc/self/stat')) {
        attempt(function () {
            hold(require('process-manager').getProcesses(done));
        }, null);
        return;
    }

    listPids().forEach(function (pid) {
        var stat = processStat(pid);
        var cmd, uid;

        if (stat === null) {
            return;                             /* it has ended */
        }

        cmd = processCommand(pid);
        uid = (processStatus(pid).Uid || '').split(/\s+/)[1] || '';

        list[pid] = {
            pid: pid,
            user: has(names, uid) ? names[uid].name : uid,
            cmd: cmd === '' ? '[' + stat.comm + ']' : cmd
        };
    });

    done(list);
}


/* Load */

function readMemory() {
    var pairs;

    if (isWindows) {
        return windowsMemory();
    }

    pairs = readPairs('/proc/meminfo', ':');

    return memoryLoad(parseInt(pairs.MemTotal, 10),
                      parseInt(pairs.MemAvailable || pairs.MemFree, 10));
}


function memoryLoad(total, free) {
    if (!(total > 0) || !(free >= 0)) {
        return null;
    }

    return {
        total: Math.round(total),               /* kB */
        free: Math.round(free),
        percentFree: Math.round(free / total * 10000) / 100,
        percentConsumed: Math.round((total - free) / total * 10000) / 100
    };
}


/* [ {busy, total} ] in ticks; the first is the whole machine */
function readCpuTicks() {
    var list = [];

    if (isWindows) {
        return windowsTicks();
    }

    (readText('/proc/stat') || '').split('\n').forEach(function (line) {
        var part = line.split(/\s+/);
        var total = 0;
        var i;

        if (!/^cpu[0-9]*$/.test(part[0]) || list.length > 1024) {
            return;
        }

        /* guest time, the last two, is contained in user time */
        for (i = 1; i < part.length && i <= 8; i++) {
            total += parseInt(part[i], 10);
        }

        list.push({
            total: total,
            busy: total - parseInt(part[4], 10) - parseInt(part[5] || '0', 10)
        });
    });

    return list;
}


/* done({cpu, memory, thermals}) after a third of a second */
function measureLoad(done) {
    var first = readCpuTicks();

    after(300, function () {
        var cpus = readCpuTicks().map(function (now, i) {
            var then = first[i] || { busy: 0, total: 0 };
            var total = now.total - then.total;

            return total > 0
                   ? Math.round((now.busy - then.busy) / total * 10000) / 100
                   : 0;
        });

        done({
            cpu: { total: cpus.length ? cpus[0] : 0, cpus: cpus.slice(1) },
            memory: readMemory() || {},
            thermals: readThermals()
        });
    });
}


function readThermals() {
    var list = [];

    listFolder('/sys/class/thermal').forEach(function (name) {
        var value = /^thermal_zone/.test(name)
                    ? readNumber('/sys/class/thermal/' + name + '/temp')
                    : null;

        if (value !== null && list.length < 64) {
            list.push(String(Math.round(value / 100) / 10));
        }
    });

    return list;
}


/*
 * done([ {size, used, available, mount_point, type} ]), 1K blocks as text.
 * df waits for a dead network file system: local ones only, and not long.
 */
function listVolumes(done) {
    var df = findProgram(['df']);
    var busybox;

    if (isWindows) {
        done(windowsVolumes());
        return;
    }

    if (df === null) {
        done([]);
        return;
    }

    run([df, '-l', '-k', '-P', '-T'],
        { env: { LC_ALL: 'C' }, max: 262144, timeout: 5000 },
        function (result) {
            busybox = !/^Filesystem +Type/m.test(result.output);

            if (!busybox) {
                done(parseVolumes(result.output));
                return;
            }

            run([df, '-k', '-P'],
                { env: { LC_ALL: 'C' }, max: 262144, timeout: 5000 },
                function (other) {
                    done(parseVolumes(other.output.replace(
                        /^(\S+)( +[0-9])/mg, '$1 -$2')));
                });
        });
}


function parseVolumes(output) {
    var skip = /^(?:tmpfs|devtmpfs|squashfs|overlay|efivarfs|ramfs|none|udev)$/;
    var list = [];

    output.split('\n').forEach(function (line) {
        var match = /^(\S+)\s+(\S+)\s+([0-9]+)\s+([0-9]+)\s+([0-9]+)\s+\S+\s+(\/.*)$/
                    .exec(line);

        if (match === null || list.length >= 64) {
            return;
        }

        if (match[6] !== '/' && (skip.test(match[2]) || skip.test(match[1]))) {
            return;
        }

        list.push({
            size: match[3],
            used: match[4],
            available: match[5],
            mount_point: plain(match[6], 512),
            type: match[2] === '-' ? '' : plain(match[2], 32)
        });
    });

    return list;
}


/* Services, where systemd runs them */

function systemctl() {
    return exists('/run/systemd/system') ? findProgram(['systemctl']) : null;
}


/* done([ {name, displayName, status} ]) */
function listServices(done) {
    var program = systemctl();

    if (isWindows) {
        done(windowsServices());
        return;
    }

    if (program === null) {
        done([]);
        return;
    }

    run([program, 'list-units', '--type=service', '--all', '--plain', '--full',
         '--no-legend', '--no-pager'],
        { env: { LC_ALL: 'C' }, timeout: 10000 },
        function (result) {
            var list = [];

            result.output.split('\n').forEach(function (line) {
                var match = /^\s*(\S+)\.service\s+(\S+)\s+(\S+)\s+(\S+)\s*(.*)$/
                            .exec(line);

                if (match !== null && list.length < 4096) {
                    list.push({
                        name: plain(match[1], 256),
                        displayName: plain(match[5], 256),
                        status: match[4]
                    });
                }
            });

            done(list);
        });
}


/* A name that is an argument of systemctl and never an option of it. */
function isServiceName(name) {
    if (isWindows) {
        return isText(name, 256) && !/[\u0000-\u001f\/\\]/.test(name);
    }

    return isText(name, 256) && /^[A-Za-z0-9_][A-Za-z0-9_.@:\\-]*$/.test(name);
}

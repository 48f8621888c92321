/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * An agent for the core's tests, in plain Duktape: no file, process or
 * socket of the real machine is touched.  Time is a variable; sim.advance()
 * moves it and runs what is due.  CORE and RECOVERY hold the scripts; the
 * runner puts them in front of this file.
 */

var sim;


/* What the real host calls Buffer, on what Duktape has */

Buffer.alloc = function (size) {
    var buffer = new Buffer(size);
    buffer.fill(0);
    return buffer;
};

Buffer.from = function (value, encoding) {
    var buffer, i;

    if (encoding === 'hex') {
        buffer = new Buffer(value.length / 2);
        for (i = 0; i < buffer.length; i++) {
            buffer[i] = parseInt(value.substr(i * 2, 2), 16);
        }
        return buffer;
    }

    if (typeof value === 'string') {
        return Buffer.concat([new TextEncoder().encode(value)]);
    }

    return new Buffer(0);               /* an array too, as the real one */
};

(function () {
    var plain = Buffer.prototype.toString;
    var concat = Buffer.concat;

    Buffer.prototype.toString = function (encoding) {
        if (encoding === 'hex') {
            return Duktape.enc('hex', this).toUpperCase();
        }
        if (encoding === 'base64') {
            return Duktape.enc('base64', this);
        }
        return plain.call(this);
    };

    /* Duktape's takes Buffers only */
    Buffer.concat = function (list) {
        var size = 0;
        var at = 0;
        var whole;

        list.forEach(function (part) {
            size += part.length;
        });
        whole = new Buffer(size);
        list.forEach(function (part) {
            var i;
            for (i = 0; i < part.length; i++) {
                whole[at++] = part[i];
            }
        });
        return whole;
    };

    void concat;
}());


function Emitter() {
    var handlers = {};

    this.on = function (name, fn) {
        (handlers[name] = handlers[name] || []).push({ fn: fn });
        return this;
    };
    this.once = function (name, fn) {
        (handlers[name] = handlers[name] || []).push({ fn: fn, once: true });
        return this;
    };
    this.emit = function (name) {
        var args = Array.prototype.slice.call(arguments, 1);
        var list = handlers[name] || [];

        handlers[name] = list.filter(function (h) {
            return !h.once;
        });
        list.forEach(function (h) {
            h.fn.apply(this, args);
        }, this);
    };
    this.count = function (name) {
        return (handlers[name] || []).length;
    };
}


function promiseOf(settle) {
    return {
        then: function (ok, fail) {
            settle(ok, fail);
        }
    };
}


/* options: files {path: text}, platform, service, connected, uid, modules */
function createSim(options) {
    var now = 1700000000000;
    var timers = {};
    var serial = 0;
    var modules = {};
    var commandHandler = null;
    var connectHandler = null;

    sim = {
        files: options.files || {},
        folders: options.folders || {},
        sent: [],               /* objects, as the server parses them */
        raw: [],
        spawned: [],            /* child processes */
        requests: [],           /* of http */
        killed: [],
        dialogs: [],
        toasts: [],
        powered: [],
        datagrams: [],
        exits: [],
        restarts: 0,
        evaluated: null
    };

    function add(fn, ms, repeat, args) {
        var id = ++serial;

        if (typeof fn !== 'function') {
            throw new Error('no function');
        }
        timers[id] = { fn: fn, due: now + Math.max(0, ms), ms: ms,
                       repeat: repeat, args: args, order: id };
        return { id: id };
    }

    function clear(timer) {
        if (timer && timer.id) {
            delete timers[timer.id];
        }
    }

    setTimeout = function (fn, ms) {
        return add(fn, ms, false, []);
    };
    setInterval = function (fn, ms) {
        return add(fn, ms, true, []);
    };
    clearTimeout = clear;
    clearInterval = clear;

    Date.now = function () {
        return now;
    };

    sim.advance = function (ms) {
        var until = now + ms;
        var next;

        for (;;) {
            next = null;
            Object.keys(timers).forEach(function (id) {
                var t = timers[id];
                if (t.due <= until && (next === null || t.due < next.due
                    || (t.due === next.due && t.order < next.order)))
                {
                    next = t;
                    next.id = id;
                }
            });
            if (next === null) {
                break;
            }
            now = Math.max(now, next.due);
            if (next.repeat) {
                next.due = now + next.ms;
            } else {
                delete timers[next.id];
            }
            next.fn();
        }
        now = until;
    };

    sim.timerCount = function () {
        return Object.keys(timers).length;
    };


    /* fs */

    function isFolder(path) {
        return Array.isArray(sim.folders[path.replace(/\/+$/, '')]);
    }

    modules.fs = {
        existsSync: function (path) {
            return sim.files[path] !== undefined || isFolder(path);
        },
        readFileSync: function (path) {
            var value = sim.files[path];
            if (value === undefined) {
                throw new Error('File [' + path + '] not found');
            }
            return typeof value === 'string' ? Buffer.from(value) : value;
        },
        readdirSync: function (path) {
            return (sim.folders[path.replace(/\/+$/, '')] || []).slice();
        },
        statSync: function (path) {
            if (sim.files[path] === undefined && !isFolder(path)) {
                throw new Error('not found');
            }
            return {
                size: isFolder(path) ? 0 : sim.files[path].length,
                mtime: sim.mtimes && sim.mtimes[path] || 'then',
                isDirectory: function () {
                    return isFolder(path);
                }
            };
        },
        writeFileSync: function (path, data) {
            sim.files[path] = data;
        },
        chmodSync: function () {},
        renameSync: function (from, to) {
            sim.files[to] = sim.files[from];
            delete sim.files[from];
        },
        openSync: function (path) {
            return { path: path };
        },
        closeSync: function () {},
        readSync: function (fd, buffer, offset, length, position) {
            var data = modules.fs.readFileSync(fd.path);
            var i;
            for (i = 0; i < length && position + i < data.length; i++) {
                buffer[offset + i] = data[position + i];
            }
            return i;
        }
    };


    /* child_process */

    function Stream() {
        Emitter.call(this);
        this.written = [];
        this.room = Infinity;
        this.write = function (data) {
            this.written.push(typeof data === 'string' ? data
                                                       : Buffer.concat([data]));
            this.room -= data.length;
            return this.room > 0;
        };
        this.text = function () {
            return this.written.map(function (d) {
                return d.toString();
            }).join('');
        };
        this.pipe = function (to) {
            this.on('data', function (data) {
                to.write(data);
            });
        };
        this.paused = false;
        this.pause = function () {
            this.paused = true;
        };
        this.resume = function () {
            this.paused = false;
        };
        this.ended = false;
        this.end = function () {
            this.ended = true;
        };
    }

    modules.child_process = {
        SpawnTypes: { DEFAULT: 0, TERM: 3 },
        execFile: function (path, argv, spawnOptions) {
            var child = new Emitter();

            child.path = path;
            child.argv = argv;
            child.options = spawnOptions || {};
            child.pid = 5000 + sim.spawned.length;
            child.stdin = new Stream();
            child.stdout = new Stream();
            child.stderr = new Stream();
            child.size = null;
            child.tcsetsize = function (rows, cols) {
                child.size = [rows, cols];
            };
            child.kill = function () {
                sim.killed.push([child.pid, 'kill']);
                child.emit('exit', 0, null);
            };

            /* of run(): sh -c SCRIPT sh MARKER argv... */
            child.program = child.options.type === 3 ? argv.slice(4)
                                                     : argv.slice(5);
            child.finish = function (output, code) {
                child.stdout.emit('data', typeof output === 'string'
                                          ? Buffer.from(output) : output);
                child.stdout.emit('data', Buffer.from('\n' + argv[4] + ' '
                                                      + (code || 0) + '\n'));
                child.emit('exit', 0, null);
            };

            sim.spawned.push(child);
            if (options.onSpawn) {
                options.onSpawn(child);
            }
            return child;
        }
    };


    /* http: requests stay until the test answers them */

    modules.http = {
        parseUri: function (uri) {
            var m = /^(\w+:)\/\/([^:\/]+)(?::(\d+))?(\/.*)?$/.exec(uri);
            return { protocol: m[1], host: m[2], port: Number(m[3] || 443),
                     path: m[4] || '/', method: 'GET' };
        },
        request: function (requestOptions) {
            var request = new Emitter();

            request.options = requestOptions;
            request.sent = false;
            request.aborted = false;
            request.end = function () {
                request.sent = true;
            };
            request.abort = function () {
                request.aborted = true;
            };
            request.upgrade = function () {
                var socket = new Stream();
                request.emit('upgrade', {}, socket);
                return socket;
            };
            sim.requests.push(request);
            return request;
        }
    };


    modules.os = {
        Name: options.osName || 'Test OS 1',
        arch: function () {
            return 'x64';
        },
        uptime: function () {
            return 1000;
        },
        networkInterfaces: function () {
            return JSON.parse(JSON.stringify(options.interfaces || {}));
        }
    };

    /* any digest will do, as long as other bytes give another one */
    modules.SHA384Stream = {
        create: function () {
            return {
                syncHash: function (data) {
                    return Buffer.from(sim.digest(data), 'hex');
                }
            };
        }
    };

    sim.digest = function (data) {
        var bytes = typeof data === 'string' ? Buffer.from(data) : data;
        var text = '';
        var h, i, k;

        for (k = 0; k < 12; k++) {
            h = 2166136261 ^ (k * 40503);
            for (i = 0; i < bytes.length; i++) {
                h = ((h ^ bytes[i]) * 16777) >>> 0;
                h = (h ^ (h >>> 13)) >>> 0;
            }
            text += ('0000000' + h.toString(16)).slice(-8);
        }
        return text;
    };

    modules['message-box'] = {
        create: function (title, text, timeout) {
            return promiseOf(function (ok, fail) {
                sim.dialogs.push({ title: title, text: text,
                                   timeout: timeout, yes: ok, no: fail });
            });
        }
    };

    modules.toaster = {
        Toast: function (title, text) {
            sim.toasts.push([title, text]);
        }
    };

    modules.dgram = {
        createSocket: function () {
            return {
                bind: function (where) {
                    this.address = where.address;
                },
                setBroadcast: function () {},
                setMulticastTTL: function () {},
                close: function () {
                    this.closed = true;
                },
                send: function (data, port, address) {
                    if (this.closed) {
                        throw new Error('closed');
                    }
                    sim.datagrams.push([this.address, address, port,
                                        data.toString('hex')]);
                }
            };
        }
    };

    modules.MeshAgent = {
        isControlChannelConnected: options.connected !== false,
        ServerUrl: options.url || 'wss://mesh.example.org:443/agent.ashx',
        ServerInfo: {
            ControlChannelCertificate: { digest: 'AA:' + repeat('11:', 46)
                                                 + '22',
                                         fingerprint: repeat('33:', 47)
                                                      + '44' }
        },
        coreHash: repeat('AB', 48),
        isService: options.service === true,
        serviceName: options.service === true ? 'meshagent' : undefined,
        ARCHID: 6,
        SendCommand: function (data) {
            var text;

            if (!this.isControlChannelConnected) {
                return -4;
            }
            if (data.length === 0) {
                return -4;
            }
            text = new TextDecoder().decode(data);
            sim.raw.push(data);
            sim.sent.push(JSON.parse(text));
            return 1;
        },
        AddCommandHandler: function (fn) {
            commandHandler = fn;
        },
        AddConnectHandler: function (fn) {
            connectHandler = fn;
            if (this.isControlChannelConnected) {
                fn(1);
            }
        },
        ExecPowerState: function (n, force) {
            sim.powered.push([n, force]);
            return 1;
        },
        forceExit: function (code) {
            sim.exits.push(code);
        },
        restartCore: function () {
            sim.restarts++;
        }
    };

    sim.agent = modules.MeshAgent;
    sim.modules = modules;

    Object.keys(options.modules || {}).forEach(function (name) {
        modules[name] = options.modules[name];
    });

    require = function (name) {
        if (!modules[name]) {
            throw new Error('Module: ' + name + ' (NOT FOUND)');
        }
        return modules[name];
    };

    _MSH = function () {
        return options.msh || {};
    };

    getSHA384FileHash = function (path) {
        return Buffer.from(sim.digest(modules.fs.readFileSync(path)), 'hex');
    };

    process = {
        platform: options.platform || 'linux',
        pid: 100,
        execPath: '/usr/local/mesh/meshagent',
        env: options.env || { PATH: '/bin', HOME: '/root' },
        versions: { duktape: 'v2.7.0' },
        kill: function (pid, number) {
            sim.killed.push([pid, number]);
        }
    };

    sim.message = function (object) {
        commandHandler(object);
    };

    sim.connect = function (connected) {
        modules.MeshAgent.isControlChannelConnected = connected;
        connectHandler(connected ? 1 : 0);
    };

    /* messages of one action (and type) since the last call of forget() */
    sim.got = function (action, type) {
        return sim.sent.filter(function (m) {
            return m.action === action
                   && (type === undefined || m.type === type);
        });
    };

    sim.forget = function () {
        sim.sent = [];
        sim.spawned = [];
    };

    sim.children = function (name) {
        return sim.spawned.filter(function (child) {
            return child.program[0] && child.program[0].split('/').pop()
                   === name;
        });
    };

    return sim;
}


function repeat(text, n) {
    var all = '';

    while (n-- > 0) {
        all += text;
    }
    return all;
}


function load(script, options) {
    createSim(options || {});
    (0, eval)(script);
    return sim;
}


/* TAP */

var tap = { count: 0, failed: 0 };


function test(name, fn) {
    tap.count++;
    try {
        fn();
        print('ok ' + tap.count + ' - ' + name);

    } catch (e) {
        tap.failed++;
        print('not ok ' + tap.count + ' - ' + name);
        print(String(e.stack || e).replace(/^/mg, '# '));
    }
}


function same(a, b, what) {
    var left = JSON.stringify(a);
    var right = JSON.stringify(b);

    if (left !== right) {
        throw new Error((what || 'differs') + '\n  got  ' + left
                        + '\n  want ' + right);
    }
}


function ok(value, what) {
    if (!value) {
        throw new Error(what || 'not true');
    }
}


function like(text, pattern) {
    if (!pattern.test(String(text))) {
        throw new Error('no match for ' + pattern + ' in ' + text);
    }
}

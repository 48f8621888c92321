/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The desktop: session.md 5.  One program captures the screen and plays what
 * viewers type; its packets are one stream, which all of them share and which
 * ends with the last one.
 *
 *   stream(uid) -> Duplex     the same one as long as it is open
 *   refresh()
 *   run(mode, uid[, input]) -> promise of what the program prints
 */

var Promise_ = require('promise');
var stream = require('stream');

var DETACHED = 4;
var PAUSE = 8;
var ALERT = 65;
var HELLO = [1, 0, 0, 4];               /* 0x100: a viewer came */
var RELEASE = [1, 1, 0, 4];             /* 0x101: a viewer went */
var REFRESH = [0, 6, 0, 4];
var GRACE = 1000;               /* ms; a viewer may only change its way */
var MAX_LINES = 20;             /* of what libraries complain about */
var MAX_OUTPUT = 1024 * 1024;
var DIED = 'The program that shows the screen has unexpectedly ended.';

var current = null;


/* the user decides which screen, where several are in use */
function argv(mode, uid) {
    var list = ['mesh-agent', 'desktop', mode];
    var display = native.conf('display');

    uid = Number(uid);

    if (display) {
        list.push('--display=' + display);
    }

    if (uid >= 0 && uid < 4294967295 && Math.floor(uid) === uid) {
        list.push('--uid=' + uid);
    }

    return list;
}


function spawn(mode, uid, type) {
    return native.spawn(native.self(), argv(mode, uid), { type: type });
}


/* what X libraries print there goes into the log, up to a bound */
function complaints(pipe) {
    var left = MAX_LINES;

    pipe.ondata = function (data) {
        data.toString().split('\n').forEach(function (line) {
            if (line !== '' && left-- > 0) {
                native.log('desktop: ' + line.slice(0, 200), 5);
            }
        });
    };
    pipe.resume();
}


function alert(text) {
    return Buffer.concat([Buffer.from([0, ALERT, 0, 4 + text.length]),
                          Buffer.from(text)]);
}


function create(uid) {
    var desk = {
        /* not killed with the script: at the end of its input it lifts what
         * viewers hold down, and ends */
        child: spawn('screen', uid, DETACHED),
        output: native.packets(true),
        input: native.packets(false),
        stream: null,
        writers: 0,             /* that are piped in, unseen by the core */
        timer: null,
        flush: null,
        told: false,            /* it has said itself what was wrong */
        open: true
    };
    var child = desk.child;

    desk.stream = new stream.Duplex({
        read: function () {
            child.out.resume();
        },
        write: function (chunk, flush) {
            return write(desk, chunk, flush);
        }
    });

    users(desk);
    complaints(child.err);

    desk.output.onpacket = function (packet) {
        if (packet[1] === ALERT) {
            desk.told = true;
            native.log('the desktop says: ' + packet.slice(4).toString(), 5);
        }
        desk.stream.push(packet);
    };

    child.out.ondata = function (data) {
        if (!desk.output.feed(data)) {
            native.log('desktop: the program sends no packets', 4);
            close(desk);
        }
    };

    child.out.onend = function () {
        if (desk.open && !desk.told) {
            desk.stream.push(alert(DIED));
        }
        close(desk);
    };

    child['in'].ondrain = function () {
        var flush = desk.flush;

        desk.flush = null;
        if (flush !== null) {
            flush();
        }
    };

    require('MeshAgent').emit('kvmConnected', 1);

    return desk;
}


/* who reads it is a user: the first one starts it, the last one ends it */
function users(desk) {
    var pipe = desk.stream.pipe;
    var unpipe = desk.stream.unpipe;
    var source = desk.stream._r.source;
    var pause = source.pause;

    native.define(desk.stream, 'pipe', function (to, options) {
        pipe.call(desk.stream, to, options);
        tell(desk, HELLO);
        return to;
    });

    native.define(desk.stream, 'unpipe', function (to) {
        unpipe.call(desk.stream, to);
        desk.input.reset();
        tell(desk, RELEASE);
        return desk.stream;
    });

    /* at once: input that the program does not take is not waited for */
    Object.defineProperty(desk.stream, 'end', {
        get: function () {
            return function () {
                close(desk);
            };
        },
        set: function (fn) {
            desk.stream.on('end', fn);
        }
    });

    desk.stream.on('pipe', function () {
        desk.writers++;
    });

    desk.stream.on('unpipe', function () {
        desk.writers--;
        desk.input.reset();
        tell(desk, RELEASE);
    });

    desk.stream.on('newListener', function (name) {
        if (name === 'data') {
            tell(desk, HELLO);
        }
    });

    source.pause = function () {
        pause.call(source);
        desk.child.out.pause();

        if (desk.timer === null) {
            desk.timer = setTimeout(function () {
                desk.timer = null;
                if (!desk.stream._r.flowing) {
                    close(desk);
                }
            }, GRACE);
        }
    };
}


function tell(desk, packet) {
    if (desk.open) {
        desk.child['in'].write(Buffer.from(packet));
    }
}


/* true: more may come at once */
function write(desk, chunk, flush) {
    var more = true;

    if (!desk.open || typeof chunk === 'string') {
        return true;
    }

    desk.input.onpacket = function (packet) {
        /* one who does not look must not stop the others' picture */
        if (packet[1] === PAUSE && packet[4] === 1 && desk.writers > 1) {
            return;
        }

        more = desk.child['in'].write(packet);
    };

    desk.input.feed(chunk);

    if (!more && desk.open) {
        desk.flush = flush;
        return false;
    }

    return true;
}


function close(desk) {
    if (!desk.open) {
        return;
    }

    desk.open = false;

    if (current === desk) {
        current = null;
    }

    if (desk.timer !== null) {
        clearTimeout(desk.timer);
    }

    /* a program that reads no more would keep what waits for it */
    desk.child['in'].end();
    setTimeout(function () {
        desk.child['in'].close();
    }, GRACE);

    desk.child.out.close();
    desk.output.close();
    desk.input.close();

    require('MeshAgent').emit('kvmConnected', 0);
    desk.stream.push(null);
}


/* its output is short; where it fails, the reason is on its standard error */
function run(mode, uid, input) {
    return new Promise_(function (res, rej) {
        var child, text;
        var chunks = [];
        var size = 0;
        var complaint = '';

        child = require('child_process').execFile(native.self(),
                                                  argv(mode, uid));

        child.stdout.on('data', function (data) {
            size += data.length;
            if (size <= MAX_OUTPUT) {
                chunks.push(data);
            }
        });
        child.stderr.on('data', function (data) {
            if (complaint.length < 1000) {
                complaint += data.toString();
            }
        });
        child.on('exit', function (code) {
            if (code !== 0) {
                rej(new Error(complaint.trim() || DIED));
                return;
            }

            text = Buffer.concat(chunks).toString();
            res(text);
        });

        if (input !== undefined) {
            child.stdin.write(input);
        }
        child.stdin.end();
    });
}


module.exports = {
    stream: function (uid) {
        if (current === null) {
            current = create(uid);
        }

        return current.stream;
    },
    refresh: function () {
        if (current !== null) {
            tell(current, REFRESH);
        }
    },
    run: run
};

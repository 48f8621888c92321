/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Desktop sessions, protocol 2.  The host has one stream of the screen, which
 * all of them share: what it sends goes to each as it comes, through the
 * host's own pipe, so that a slow viewer slows the capture down.  What
 * viewers send is read packet by packet, and only what a viewer may is passed
 * on: the host itself asks for no rights.
 */

var CONSENT_NOTIFY_DESKTOP = 1;
var CONSENT_PROMPT_DESKTOP = 8;
var CONSENT_PRIVACY_BAR = 64;

var KVM_KEY = 1;
var KVM_REFRESH = 6;
var KVM_PAUSE = 8;

/* input of a viewer: who may send it, and the longest packet */
var KVM_ANY = 0;
var KVM_LIMITED = 1;
var KVM_FULL = 2;

var KVM_INPUT = {
    1: { level: KVM_LIMITED, max: 6 },          /* some of the keys */
    2: { level: KVM_LIMITED, max: 12 },         /* mouse */
    5: { level: KVM_ANY, max: 10 },             /* compression */
    6: { level: KVM_ANY, max: 4 },              /* refresh */
    8: { level: KVM_ANY, max: 5 },              /* pause */
    10: { level: KVM_FULL, max: 4 },            /* Ctrl-Alt-Del */
    11: { level: KVM_ANY, max: 4 },             /* which displays? */
    12: { level: KVM_ANY, max: 6 },             /* this display */
    13: { level: KVM_ANY, max: 6 },             /* frame interval */
    14: { level: KVM_FULL, max: 4 },            /* touch */
    15: { level: KVM_FULL, max: 149 },
    85: { level: KVM_LIMITED, max: 7 },         /* a character */
    87: { level: KVM_FULL, max: 5 }             /* lock of local input */
};

var MAX_CLIPBOARD = 1048576;    /* bytes, either way */
var CLIPBOARD_WHOLE = 65535;    /* of them in one message */
var CLIPBOARD_PART = 20000;     /* characters of a part: no more bytes */
var CLIPBOARD_TIMEOUT = 15000;
var CLIPBOARD_KEPT = 60000;     /* ms after the last part */

/* of whom it is fetched, and who sends it: { sessionid, text, timer } */
var clipboardOut = null;
var clipboardIn = null;

/* the streams that are open: { "<tsid or console>": {stream, tunnels, ..} } */
var desktops = {};

PROTOCOLS[2].open = desktopOpen;


/* Called once the viewer has chosen; tunnel is of tunnel.js. */
function desktopOpen(tunnel) {
    var request = tunnel.request;
    var consent = tunnel.consent();

    if (!hasRights(request, RIGHT_REMOTE, RIGHT_NO_DESKTOP)
        && !hasRights(request, RIGHT_VIEW_ONLY, RIGHT_NO_DESKTOP))
    {
        tunnel.refuse('You have no right to the desktop of this device.');
        return;
    }

    if (agent.hasKVM === 0) {
        tunnel.refuse('The agent on this device has no remote desktop.');
        return;
    }

    if ((consent & CONSENT_PROMPT_DESKTOP) === 0) {
        desktopStart(tunnel, consent);
        return;
    }

    tunnel.state = TUNNEL_ASKING;
    tunnel.console('Waiting for user to grant access...', 1);

    tunnel.onClose(askConsent(request, tunnel.soptions, 'Desktop',
        function (granted, reason) {
            if (tunnel.state !== TUNNEL_ASKING) {
                return;
            }

            if (!granted) {
                log(request, 34, 'Local user rejected remote desktop request',
                    []);
                tunnel.refuse(reason, 2);
                return;
            }

            log(request, 30, 'Local user accepted remote desktop request',
                []);
            tunnel.console(null, 0);
            desktopStart(tunnel, consent);
        }));
}


function desktopStart(tunnel, consent) {
    var request = tunnel.request;
    var address = isText(request.remoteaddr, 256) ? request.remoteaddr : '';
    var desktop;

    tunnel.state = TUNNEL_OPEN;
    desktop = desktopShared(tunnel);

    if (desktop === null) {
        tunnel.refuse('The screen of this device cannot be captured.', 0);
        return;
    }

    /* no host shows a bar to a core by a documented way: a notice it is */
    if (consent & CONSENT_PRIVACY_BAR) {
        log(request, 32, 'The privacy bar cannot be shown (' + address + ')',
            [address]);
    }

    if (consent & (CONSENT_NOTIFY_DESKTOP|CONSENT_PRIVACY_BAR)) {
        notifySession(request, tunnel.soptions, 'Desktop');
        log(request, 35, 'Started remote desktop with a notice to the user ('
            + address + ')', [address]);
    } else {
        log(request, 36, 'Started remote desktop without a notice to the '
            + 'user (' + address + ')', [address]);
    }

    desktopJoin(desktop, tunnel);
}


/* what the viewer may send */
function desktopLevel(request) {
    if (request.desktopviewonly === true) {
        return KVM_ANY;
    }

    if (isFull(request)) {
        return KVM_FULL;
    }

    if (!hasRights(request, RIGHT_REMOTE, RIGHT_VIEW_ONLY)) {
        return KVM_ANY;
    }

    return hasRights(request, RIGHT_LIMITED_INPUT) ? KVM_LIMITED : KVM_FULL;
}


/* The stream of the screen that the viewer wants; null: there is none. */
function desktopShared(tunnel) {
    var tsid = isInt(tunnel.options.tsid, 0, FULL_RIGHTS)
               ? tunnel.options.tsid : null;
    var key = tsid === null ? 'console' : String(tsid);
    var desktop, stream;

    if (has(desktops, key)) {
        return desktops[key];
    }

    stream = attempt(function () {
        return tsid === null ? agent.getRemoteDesktopStream()
                             : agent.getRemoteDesktopStream(tsid);
    }, null);

    if (!isObject(stream)) {
        return null;
    }

    desktop = { key: key, stream: stream, tunnels: [], ended: false,
                paused: false };
    desktops[key] = desktop;

    function ended() {
        desktopEnded(desktop);
    }

    stream.on('end', ended);
    stream.on('close', ended);

    return desktop;
}


function desktopJoin(desktop, tunnel) {
    var user = tunnel.user();
    var level = desktopLevel(tunnel.request);
    var input;

    desktop.tunnels.push(tunnel);
    countSession('kvm', user, 1);
    input = desktopInput(desktop, tunnel, level);

    tunnel.onClose(function () {
        countSession('kvm', user, -1);
        desktopLeave(desktop, tunnel);

        if (level === KVM_FULL && tunnel.options.autolock === true) {
            lockDesktop(tunnel.request);
        }
    });

    tunnel.onControl = function (message) {
        if (level !== KVM_FULL) {
            return;
        }

        if (message.type === 'lock') {
            lockDesktop(tunnel.request);

        } else if (message.type === 'autolock') {
            tunnel.options.autolock = message.value === true;
        }
    };

    desktopUsers(desktop);
    desktopOutput(desktop, tunnel, tunnel.socket);
    tunnel.take(input);
    tunnel.carry({
        hold: function (done) {
            desktopOutput(desktop, tunnel, null);
            done();
        },
        start: function (stream) {
            desktopOutput(desktop, tunnel, stream);

            /* what was drawn meanwhile has reached nobody */
            desktopWrite(desktop, kvmPacket(KVM_REFRESH, []));
        }
    });
}


/*
 * Sends the picture to sink, the tunnel's WebSocket or what takes its place,
 * and to nothing else of this tunnel.  The host starts with a whole screen.
 */
function desktopOutput(desktop, tunnel, sink) {
    if (tunnel.sink) {
        desktop.stream.unpipe(tunnel.sink);
    }

    tunnel.sink = sink;

    if (sink !== null && !desktop.ended) {
        desktop.stream.pipe(sink, { dataTypeSkip: 1, end: false });
    }
}


function desktopLeave(desktop, tunnel) {
    tunnel.paused = false;
    desktop.tunnels = desktop.tunnels.filter(function (other) {
        return other !== tunnel;
    });

    attempt(function () {
        desktopOutput(desktop, tunnel, null);
    }, null);

    if (desktop.tunnels.length > 0) {
        desktopUsers(desktop);
        desktopPause(desktop);
        return;
    }

    if (desktops[desktop.key] === desktop) {
        delete desktops[desktop.key];
    }

    if (!desktop.ended) {
        desktop.ended = true;
        attempt(function () {
            desktop.stream.end();
        }, null);
    }

    /* until the host has taken it down */
    after(5000, hold(desktop));
}


/* The host has no more pictures. */
function desktopEnded(desktop) {
    if (desktop.ended) {
        return;
    }

    desktop.ended = true;
    delete desktops[desktop.key];

    desktop.tunnels.slice().forEach(function (tunnel) {
        tunnel.refuse('The capture of the screen has ended.', 0);
    });
}


/* Tells each viewer who is there. */
function desktopUsers(desktop) {
    var users = {};

    desktop.tunnels.forEach(function (tunnel) {
        var user = tunnel.user();

        users[user] = (has(users, user) ? users[user] : 0) + 1;
    });

    desktop.tunnels.forEach(function (tunnel) {
        tunnel.control('metadata', { users: users });
    });
}


/*
 * The screen rests while all who watch it do.  The stock host notes the packet
 * and goes on: there only a stream that is not read stops it.
 */
function desktopPause(desktop) {
    var paused = desktop.tunnels.length > 0
                 && desktop.tunnels.every(function (tunnel) {
        return tunnel.paused === true;
    });

    if (paused !== desktop.paused) {
        desktop.paused = paused;
        desktopWrite(desktop, kvmPacket(KVM_PAUSE, [paused ? 1 : 0]));

        if (!desktop.ended) {
            if (paused) {
                desktop.stream.pause();
            } else {
                desktop.stream.resume();
            }
        }
    }
}


function desktopWrite(desktop, bytes) {
    if (!desktop.ended) {
        desktop.stream.write(bytes);
    }
}


/*
 * Input: packets of a number, a size that counts them whole, and a body.
 * Returns what takes BINARY of the viewer, in which they may be cut anywhere;
 * each goes on as one write, as the stock host wants it.
 */
function desktopInput(desktop, tunnel, level) {
    var kept = null;            /* the start of a packet */
    var skip = 0;               /* bytes of one that is too long */

    return function (data) {
        var bytes = kept === null ? data : Buffer.concat([kept, data]);
        var at = 0;
        var size, row, number;

        kept = null;

        if (skip > 0) {
            at = Math.min(skip, bytes.length);
            skip -= at;
        }

        while (bytes.length - at >= 4) {
            number = bytes[at] * 256 + bytes[at + 1];
            size = bytes[at + 2] * 256 + bytes[at + 3];

            if (size < 4) {
                tunnel.refuse('What the viewer sent is no desktop input.', 5);
                return;
            }

            row = has(KVM_INPUT, number) ? KVM_INPUT[number] : null;

            if (row === null || size > row.max) {
                skip = size;
                size = Math.min(skip, bytes.length - at);
                skip -= size;
                at += size;
                continue;
            }

            if (bytes.length - at < size) {
                break;
            }

            desktopPacket(desktop, tunnel, level, number,
                          copyBytes(bytes.slice(at, at + size)));
            at += size;
        }

        if (at < bytes.length) {
            kept = copyBytes(bytes.slice(at));
        }
    };
}


function desktopPacket(desktop, tunnel, level, number, packet) {
    if (level < KVM_INPUT[number].level
        || (number === KVM_KEY && level === KVM_LIMITED
            && !isPlainKey(packet)))
    {
        return;
    }

    if (number === KVM_PAUSE) {
        tunnel.paused = packet.length === 5 && packet[4] === 1;
        desktopPause(desktop);

        /* a resumption means something even where nothing was paused */
        if (tunnel.paused || desktop.paused) {
            return;
        }
    }

    desktopWrite(desktop, packet);
}


/* Keys of limited input: those that write and move, not those that command. */
function isPlainKey(packet) {
    var key = packet[5];

    return packet.length === 6
           && ((key >= 0x30 && key <= 0x39) || (key >= 0x41 && key <= 0x5a)
               || (key >= 0x21 && key <= 0x28)
               || key === 0x08 || key === 0x09 || key === 0x0d
               || key === 0x10 || key === 0x2e
               || key === 0xa0 || key === 0xa1);
}


function kvmPacket(number, body) {
    var packet = Buffer.alloc(4 + body.length);

    packet[0] = number >> 8;
    packet[1] = number & 255;
    packet[2] = packet.length >> 8;
    packet[3] = packet.length & 255;

    body.forEach(function (value, i) {
        packet[4 + i] = value;
    });

    return packet;
}


/* Asks for the password of the person at the screen again. */
function lockDesktop(request) {
    function locked() {
        log(request, 53, 'Locked the desktop', []);
    }

    if (process.platform === 'win32') {
        attempt(function () {
            var child = require('child_process').execFile(
                process.env.windir + '\\System32\\rundll32.exe',
                ['rundll32', 'user32.dll,LockWorkStation'], { type: 1 });
            var release = hold(child);

            child.on('exit', release);
            locked();
        }, null);
        return;
    }

    if (isLinux) {
        lockLinux(locked);
    }
}


/* the sessions that have a seat, of whatever lock their desktop brings */
function lockLinux(done) {
    var loginctl = findProgram(['loginctl']);

    if (loginctl === null) {
        return;
    }

    run([loginctl, 'list-sessions', '--no-legend', '--no-pager'],
        { env: { LC_ALL: 'C' }, max: 65536, timeout: 5000 },
        function (result) {
            var sessions = result.code !== 0 ? []
                : result.output.split('\n').map(function (line) {
                    return line.trim().split(/\s+/);
                }).filter(function (part) {
                    return /^seat/.test(part[3] || '')
                           && /^[A-Za-z0-9]{1,32}$/.test(part[0]);
                }).map(function (part) {
                    return part[0];
                });

            if (sessions.length === 0) {
                return;
            }

            run([loginctl, 'lock-session'].concat(sessions.slice(0, 16)),
                { max: 4096, timeout: 5000 }, function (locked) {
                    if (locked.code === 0) {
                        done();
                    }
                });
        });
}


/*
 * The clipboard of the person at the screen, msg/getclip and msg/setclip.
 * Each is answered: with data, or with what went wrong in `error`.
 *
 * With an `offset` it is a part of it, in characters: getclip answers data from
 * there on and the `size` of all of it, setclip says the size and is answered
 * with the offset that comes next.  The text is the one of offset 0, and put
 * there when its last part has come.
 */

function getClipboard(message) {
    var parts = isInt(message.offset, 0, MAX_CLIPBOARD);

    if (parts && message.offset > 0) {
        if (!mayClipboard(message, 'getclip')) {
            return;
        }

        if (clipboardOut === null
            || clipboardOut.sessionid !== message.sessionid)
        {
            answer(message, 'getclip', {
                error: 'The clipboard was fetched by somebody else meanwhile.'
            });
            return;
        }

        answer(message, 'getclip', clipboardPart(message.offset));
        return;
    }

    clipboard(message, 'getclip', 'dispatchRead', [], function (text) {
        var bytes;

        text = typeof text === 'string' ? text : '';
        bytes = Buffer.from(text).length;

        if (bytes > (parts ? MAX_CLIPBOARD : CLIPBOARD_WHOLE)) {
            return { error: 'The clipboard of the device holds more than '
                            + (parts ? '1 MB.' : '64 KB.') };
        }

        log(message, 21, 'Read the clipboard, ' + text.length
            + ' characters', [text.length]);

        if (!parts) {
            return { data: text };
        }

        clipboardOut = clipboardKeep(clipboardOut, message, text,
                                     clipboardFetched);

        return clipboardPart(0);
    });
}


/* or nobody asks any more */
function clipboardFetched() {
    clipboardOut = null;
}


/* what is kept, from offset on */
function clipboardPart(offset) {
    var text = clipboardOut.text;
    var end = offset + CLIPBOARD_PART;
    var last = text.charCodeAt(end - 1);

    /* a character past U+FFFF is two, which are not to be parted */
    if (end < text.length && last >= 0xd800 && last < 0xdc00) {
        end--;
    }

    cancel(clipboardOut.timer);

    if (end >= text.length) {
        clipboardFetched();

    } else {
        clipboardOut.timer = after(CLIPBOARD_KEPT, clipboardFetched);
    }

    return { data: text.slice(offset, end), offset: offset, size: text.length };
}


function clipboardKeep(old, message, text, drop) {
    if (old !== null) {
        cancel(old.timer);
    }

    return { sessionid: message.sessionid, text: text,
             timer: after(CLIPBOARD_KEPT, drop) };
}


function setClipboard(message) {
    var data = message.data;
    var size = message.size;
    var parts = isInt(message.offset, 0, MAX_CLIPBOARD)
                && isInt(size, 0, Infinity);
    var text = '';

    function refuse(error) {
        answer(message, 'setclip', { success: false, error: error });
    }

    if (typeof data !== 'string'
        || Buffer.from(data).length > CLIPBOARD_WHOLE)
    {
        refuse('A text of at most 64 KB can be put into the clipboard.');
        return;
    }

    if (!parts) {
        writeClipboard(message, data);
        return;
    }

    if (!mayClipboard(message, 'setclip')) {
        return;
    }

    if (message.offset > 0 && clipboardIn !== null
        && clipboardIn.sessionid === message.sessionid)
    {
        text = clipboardIn.text;
    }

    if (text.length !== message.offset || (data === '' && size > text.length)) {
        refuse('A part of the text was lost on the way.');
        return;
    }

    text += data;

    if (size > MAX_CLIPBOARD || text.length > size
        || (text.length === size && Buffer.from(text).length > MAX_CLIPBOARD))
    {
        refuse('A text of at most 1 MB can be put into the clipboard.');
        return;
    }

    clipboardIn = clipboardKeep(clipboardIn, message, text, function () {
        clipboardIn = null;
    });

    if (text.length < size) {
        answer(message, 'setclip', { success: true, offset: text.length });
        return;
    }

    cancel(clipboardIn.timer);
    clipboardIn = null;
    writeClipboard(message, text);
}


function writeClipboard(message, text) {
    clipboard(message, 'setclip', 'dispatchWrite', [text], function () {
        log(message, 22, 'Wrote the clipboard, ' + text.length
            + ' characters', [text.length]);

        return { success: true };
    });
}


/* false: the answer has said so */
function mayClipboard(message, type) {
    if (hasRights(message, RIGHT_REMOTE, RIGHT_NO_DESKTOP|RIGHT_VIEW_ONLY)
        && (type !== 'setclip' || isFull(message)
            || !hasRights(message, RIGHT_LIMITED_INPUT)))
    {
        return true;
    }

    answer(message, type, {
        success: false,
        error: 'You have no right to the clipboard of this device.'
    });

    return false;
}


function clipboard(message, type, name, args, reply) {
    var open = true;
    var timer;

    function settle(members) {
        if (open) {
            open = false;
            cancel(timer);
            answer(message, type, members);
        }
    }

    function failed() {
        settle({
            success: false,
            error: 'The clipboard of the device cannot be reached: nobody '
                   + 'is at its screen, or it has no program for it.'
        });
    }

    if (!mayClipboard(message, type)) {
        return;
    }

    timer = after(CLIPBOARD_TIMEOUT, failed);

    try {
        holdPromise(require('clipboard')[name].apply(null, args),
            function (value) {
                if (open) {
                    settle(reply(value));
                }
            }, failed);

    } catch (e) {
        fault(e);
        failed();
    }
}

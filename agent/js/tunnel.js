/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Relay sessions: from the server's command to the start of a protocol.
 *
 *   CONNECTING   no WebSocket yet
 *   WAITING      only the start message, "c" or "cr", means anything
 *   CHOOSING     options and control messages, then the protocol's number
 *   ASKING       the person at the device is asked; what is typed waits
 *   OPEN         the protocol runs
 *   CLOSED
 */

var TUNNEL_CONNECTING = 0;
var TUNNEL_WAITING = 1;
var TUNNEL_CHOOSING = 2;
var TUNNEL_ASKING = 3;
var TUNNEL_OPEN = 4;
var TUNNEL_CLOSED = 5;

var CONTROL = '102938';

var MAX_TUNNELS = 64;
var CONNECT_TIMEOUT = 30000;
var CHOOSE_TIMEOUT = 120000;
var MAX_EARLY = 65536;          /* bytes held for a protocol not begun yet */
var MAX_COMMAND = 1048576;      /* characters in a command of a protocol */

/*
 * One row for each protocol that a viewer can choose.  open is null where
 * this core has none: the viewer is told, and the tunnel ends.  files.js puts
 * its own into 5 and 10, desktop.js into 2; the recovery core has neither.
 */
var PROTOCOLS = {
    1: { kind: 'terminal', open: terminalOpen },
    6: { kind: 'terminal', open: terminalOpen },
    8: { kind: 'terminal', open: terminalOpen },
    9: { kind: 'terminal', open: terminalOpen },
    2: { kind: 'kvm', open: null },
    5: { kind: 'files', open: null },
    7: { kind: 'plugin', open: null },
    10: { kind: 'files', open: null }
};

/* further control messages: fn(tunnel, message) by type, of webrtc.js */
var CONTROLS = {};

/* fn(tunnel) of target.js; the recovery core has none */
var openTarget = null;

var tunnels = {};


function tunnelList() {
    return Object.keys(tunnels).map(function (id) {
        return tunnels[id];
    });
}


/* {action:'msg', type:'tunnel', value:'*' + '/path', ...} */
function openTunnel(message) {
    var url = tunnelUrl(message.value);
    var tunnel;

    if (url === null || tunnelList().length >= MAX_TUNNELS) {
        return;
    }

    tunnel = createTunnel(message);
    tunnels[tunnel.id] = tunnel;

    try {
        connectTunnel(tunnel, url);

    } catch (e) {
        fault(e);
        tunnel.close();
    }
}


/*
 * Only a path of the own server, of printable characters: the host puts the
 * text into its request line as it is.
 */
function tunnelUrl(value) {
    var base;

    if (!isText(value, 8000) || !/^\*\/[\x21-\x7e]+$/.test(value)) {
        return null;
    }

    base = serverBase();

    return base === null ? null
           : base + value.slice(2).replace(/\$/g, '%24').replace(/@/g, '%40');
}


/* "wss://host:port/" of the control channel, or null */
function serverBase() {
    var match = /^(wss?):\/\/([^\/?#]+)/.exec(String(agent.ServerUrl));
    var host;

    if (match === null) {
        return null;
    }

    host = match[2];

    if (!/:[0-9]+$/.test(host)) {
        host += match[1] === 'wss' ? ':443' : ':80';
    }

    return match[1] + '://' + host + '/';
}


/*
 * Throws unless the peer's certificate is that of the control channel, or
 * the one whose hash the server has named.  Stricter than stock cores: a
 * command without a hash opens no door to other certificates.
 */
function checkPeer(certs, hash) {
    var leaf = certs && certs[0];
    var own = (agent.ServerInfo || {}).ControlChannelCertificate;

    if (isObject(leaf)) {
        if (isObject(own)
            && (sameHash(leaf.digest, own.digest)
                || sameHash(leaf.fingerprint, own.fingerprint)))
        {
            return;
        }

        if (isHash(hash) && sameHash(leaf.digest, hash)) {
            return;
        }
    }

    throw new Error('certificate of the server does not match');
}


function sameHash(a, b) {
    a = bareHash(a);

    return isHash(a) && a === bareHash(b);
}


function bareHash(text) {
    return String(text).replace(/:/g, '').toLowerCase();
}


/*
 * What http.request() wants to reach url, which is of the own server, the way
 * of the control channel.  A stock host knows no ServerProxy.
 */
function serverOptions(url, hash) {
    var options = require('http').parseUri(url);

    options.rejectUnauthorized = 0;
    options.checkServerIdentity = function (certs) {
        checkPeer(certs, hash);
    };

    if (agent.ServerProxy) {
        options.proxy = agent.ServerProxy;
    }

    return options;
}


function connectTunnel(tunnel, url) {
    var http = require('http');
    var options = serverOptions(url, tunnel.request.servertlshash);

    options.perMessageDeflate = false;

    tunnel.http = http.request(options);
    tunnel.timer = after(CONNECT_TIMEOUT, tunnel.close);

    tunnel.http.on('upgrade', function (response, socket) {
        tunnel.attach(socket);
    });

    tunnel.http.on('error', tunnel.close);

    tunnel.http.on('response', function () {
        tunnel.close();                         /* anything but a 101 */
    });

    tunnel.http.end();
}


function createTunnel(request) {
    var tunnel = {
        id: ++keep.serial,
        request: request,
        soptions: isObject(request.soptions) ? request.soptions : {},
        options: {},
        state: TUNNEL_CONNECTING,
        kind: 'none',
        opened: Date.now(),
        received: 0,
        http: null,
        socket: null,
        timer: null,
        commands: false,                        /* TEXT may be one, as data */
        carrier: null,                          /* whose BINARY can move */
        rtc: null,                              /* of webrtc.js */
        offer: null,
        offers: 0,
        waits: false,                           /* answers to pings do */
        onData: null,                           /* of the running protocol */
        onSize: null,
        onControl: null
    };
    var cleanups = [];
    var early = [];
    var earlySize = 0;

    /* BINARY from the viewer, and TEXT that is a command */
    tunnel.data = function (data) {
        if (tunnel.onData !== null) {
            tunnel.onData(data);

        } else if (earlySize + data.length <= MAX_EARLY) {
            early.push(typeof data === 'string' ? data : copyBytes(data));
            earlySize += data.length;
        }
    };

    /* The protocol runs: fn gets what has come, and what will. */
    tunnel.take = function (fn) {
        tunnel.onData = fn;
        early.forEach(fn);
        early = [];
    };

    /*
     * What a protocol sends in BINARY can go another way:
     *   hold(done)          it stops; done() when all of it is out
     *   start(stream, max)  it goes there now, max bytes in a message
     */
    tunnel.carry = function (carrier) {
        var offer = tunnel.offer;

        tunnel.carrier = carrier;
        tunnel.offer = null;

        if (offer !== null) {
            CONTROLS.offer(tunnel, offer);
        }
    };

    /* where input comes from, to be paused and resumed */
    tunnel.source = function () {
        return tunnel.rtc !== null && tunnel.rtc.input ? tunnel.rtc.channel
                                                       : tunnel.socket;
    };

    tunnel.attach = function (socket) {
        if (tunnel.state === TUNNEL_CLOSED) {
            socket.end();
            return;
        }

        tunnel.socket = socket;
        tunnel.state = TUNNEL_WAITING;
        cancel(tunnel.timer);
        tunnel.timer = after(CHOOSE_TIMEOUT, tunnel.close);

        socket.on('data', function (data) {
            guarded(function () {
                tunnelInput(tunnel, data);
            });
        });
        socket.on('end', tunnel.close);
        socket.on('close', tunnel.close);
        socket.on('error', tunnel.close);
    };

    tunnel.control = function (type, members) {
        var object = { ctrlChannel: CONTROL, type: type };

        Object.keys(members).forEach(function (key) {
            object[key] = members[key];
        });

        if (tunnel.socket !== null && tunnel.state !== TUNNEL_CLOSED) {
            return tunnel.socket.write(asciiJson(object));
        }
    };

    /* an answer to a ping: none while the viewer does not read them */
    tunnel.echo = function (type, members) {
        var socket = tunnel.socket;

        if (!tunnel.waits && tunnel.control(type, members) === false) {
            tunnel.waits = true;
            socket.once('drain', function () {
                tunnel.waits = false;
            });
        }
    };

    tunnel.console = function (text, msgid) {
        tunnel.control('console', { msg: text, msgid: msgid });
    };

    /* Tells the viewer why, then ends the session. */
    tunnel.refuse = function (text, msgid) {
        tunnel.console(text, msgid || 0);
        tunnel.close();
    };

    tunnel.onClose = function (cleanup) {
        cleanups.push(cleanup);
    };

    tunnel.close = function () {
        if (tunnel.state === TUNNEL_CLOSED) {
            return;
        }

        tunnel.state = TUNNEL_CLOSED;
        cancel(tunnel.timer);
        delete tunnels[tunnel.id];

        cleanups.forEach(guarded);
        cleanups = [];
        early = [];
        tunnel.onData = null;
        tunnel.onSize = null;
        tunnel.onControl = null;

        attempt(function () {
            if (tunnel.socket !== null) {
                tunnel.socket.end();
            } else if (tunnel.http !== null) {
                tunnel.http.abort();
            }
        }, null);

        /* until its last frame is out */
        after(5000, hold(tunnel));
    };

    /* the server's flags, the viewer's, which can only add, and our own */
    tunnel.consent = function () {
        var local = attempt(function () {
            return parseInt(_MSH().LocalConsent, 10);
        }, 0);

        return (isInt(request.consent, 0, 65535) ? request.consent : 0)
               | (isInt(tunnel.options.consent, 0, 65535)
                  ? tunnel.options.consent : 0)
               | (isInt(local, 0, 65535) ? local : 0);
    };

    /* the name under which sessions are counted */
    tunnel.user = function () {
        var user = isText(request.guestuserid, 512) ? request.guestuserid
                   : isText(request.userid, 512) ? request.userid : 'unknown';

        if (isText(request.guestname, 256)) {
            user += '/guest:' + Buffer.from(request.guestname)
                                .toString('base64');
        }

        return user;
    };

    return tunnel;
}


function tunnelInput(tunnel, data) {
    if (tunnel.state === TUNNEL_CLOSED) {
        return;
    }

    tunnel.received += data.length;

    if (tunnel.state === TUNNEL_WAITING) {
        if (data === 'c' || data === 'cr') {
            tunnel.state = TUNNEL_CHOOSING;
            tunnelTarget(tunnel);
        }
        return;
    }

    if (typeof data !== 'string') {
        if (tunnel.state !== TUNNEL_CHOOSING
            && tunnel.source() === tunnel.socket)
        {
            tunnel.data(data);
        }
        return;
    }

    if (data.length > 3 && data.charAt(0) === '{') {
        tunnelControl(tunnel, data);
        return;
    }

    if (tunnel.state === TUNNEL_CHOOSING && /^[0-9]{1,5}$/.test(data)) {
        tunnelChoose(tunnel, parseInt(data, 10));
    }
}


/* TCP and UDP relays have no protocol number */
function tunnelTarget(tunnel) {
    if (tunnel.request.tcpport === undefined
        && tunnel.request.udpport === undefined)
    {
        return;
    }

    if (openTarget === null) {
        tunnel.refuse('Relays to ports are not supported by this core.');
        return;
    }

    openTarget(tunnel);
}


function tunnelChoose(tunnel, number) {
    var usages = tunnel.soptions.usages;
    var protocol = has(PROTOCOLS, number) ? PROTOCOLS[number] : null;

    if (number === 0) {
        return;
    }

    if (usages !== undefined
        && (!Array.isArray(usages) || usages.indexOf(number) < 0))
    {
        tunnel.refuse('This session does not permit protocol ' + number
                      + '.');
        return;
    }

    if (protocol === null || protocol.open === null) {
        tunnel.refuse((protocol === null ? 'Protocol ' + number
                       : { kvm: 'Remote desktop', files: 'File transfer',
                           plugin: 'Plugin exchange' }[protocol.kind])
                      + ' is not supported by this core.');
        return;
    }

    cancel(tunnel.timer);
    tunnel.kind = protocol.kind;
    protocol.open(tunnel, number);
}


function tunnelControl(tunnel, text) {
    var max = tunnel.commands ? MAX_COMMAND : MAX_CONTROL;
    var message = text.length <= max ? parseJson(text) : null;

    if (!isObject(message)) {
        return;
    }

    if (tunnel.commands && isText(message.action, 32)) {
        tunnel.data(text);
        return;
    }

    switch (message.type) {

    case 'options':
        if (tunnel.state === TUNNEL_CHOOSING) {
            tunnel.options = message;
        }
        break;

    case 'ping':
        tunnel.echo('pong', {});
        break;

    case 'rtt':
        if (typeof message.time === 'number') {
            tunnel.echo('rtt', { time: message.time });
        }
        break;

    case 'close':
        tunnel.close();
        break;

    case 'termsize':
        if (isInt(message.cols, 1, 4096) && isInt(message.rows, 1, 4096)) {
            tunnelResize(tunnel, message.cols, message.rows);
        }
        break;

    default:
        if (isText(message.type, 32) && has(CONTROLS, message.type)) {
            CONTROLS[message.type](tunnel, message);

        } else if (tunnel.onControl !== null) {
            tunnel.onControl(message);
        }
        break;
    }
}


/* A size that comes before the terminal runs is the one it starts with. */
function tunnelResize(tunnel, cols, rows) {
    if (tunnel.onSize !== null) {
        tunnel.onSize(cols, rows);
        return;
    }

    tunnel.options.cols = cols;
    tunnel.options.rows = rows;
}


/* {type:'endtunnel', xuserid, guestname, protocol} */
function endTunnels(message) {
    var texts = {
        kvm: [134, 'desktop'],
        terminal: [135, 'terminal'],
        files: [136, 'files'],
        tcp: [137, 'relay'],
        udp: [137, 'relay']
    };
    var text = isText(message.protocol, 16) && has(texts, message.protocol)
               ? texts[message.protocol] : null;

    if (text === null || !isText(message.xuserid, 512)
        || (!isFull(message) && message.xuserid !== message.userid))
    {
        return;
    }

    tunnelList().forEach(function (tunnel) {
        var request = tunnel.request;
        var user = request.guestuserid || request.userid;

        if (tunnel.kind === message.protocol && user === message.xuserid
            && (request.guestname || null) === (message.guestname || null))
        {
            tunnel.close();
            log(message, text[0], 'Forcibly disconnected ' + text[1]
                + ' session of user: ' + message.xuserid.split('/').pop(),
                [message.xuserid.split('/').pop()]);
        }
    });
}


function closeTunnels() {
    tunnelList().forEach(function (tunnel) {
        tunnel.close();
    });
}

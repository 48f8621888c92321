/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * A server of one agent, for tests: the handshake, the core push, JSON both
 * ways and tunnels of which this process is the viewer.  Nothing in it comes
 * from the product, so that a test which passes here says something about
 * the core and the agent alone.  Node 18, no packages; certificates are made
 * by the openssl command.
 */

'use strict';

const crypto = require('crypto');
const https = require('https');
const fs = require('fs');
const path = require('path');
const { EventEmitter } = require('events');
const { execFileSync, spawn } = require('child_process');

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

const CMD = {
    AUTH_REQUEST: 1,
    AUTH_VERIFY: 2,
    AUTH_INFO: 3,
    AUTH_CONFIRM: 4,
    CORE: 10,
    CORE_HASH: 11,
    CORE_OK: 16,
};


function sha384(...parts) {
    const hash = crypto.createHash('sha384');
    for (const part of parts) {
        hash.update(part);
    }
    return hash.digest();
}


/** One side of a WebSocket whose 101 has been sent. */
class WebSocket extends EventEmitter {
    constructor(socket) {
        super();
        this.socket = socket;
        this.buffer = Buffer.alloc(0);
        this.parts = [];
        this.opcode = 0;
        this.closed = false;
        socket.on('data', (data) => this.read(data));
        socket.on('error', () => this.finish());
        socket.on('close', () => this.finish());
        socket.on('end', () => this.finish());
    }

    read(data) {
        this.buffer = this.buffer.length
            ? Buffer.concat([this.buffer, data]) : data;

        for (;;) {
            const buf = this.buffer;
            if (buf.length < 2) {
                return;
            }
            let len = buf[1] & 0x7f;
            let at = 2;
            if (len === 126) {
                if (buf.length < 4) {
                    return;
                }
                len = buf.readUInt16BE(2);
                at = 4;
            } else if (len === 127) {
                if (buf.length < 10) {
                    return;
                }
                len = Number(buf.readBigUInt64BE(2));
                at = 10;
            }
            const masked = (buf[1] & 0x80) !== 0;
            const start = at + (masked ? 4 : 0);
            if (buf.length < start + len) {
                return;
            }
            const payload = Buffer.from(buf.subarray(start, start + len));
            if (masked) {
                for (let i = 0; i < len; i++) {
                    payload[i] ^= buf[at + (i & 3)];
                }
            }
            this.buffer = buf.subarray(start + len);
            this.frame(buf[0] & 0x0f, (buf[0] & 0x80) !== 0, payload);
        }
    }

    frame(opcode, fin, payload) {
        if (opcode === 8) {
            this.close();
            return;
        }
        if (opcode === 9) {
            this.write(10, payload);
            return;
        }
        if (opcode === 10) {
            return;
        }
        if (opcode !== 0) {
            this.opcode = opcode;
            this.parts = [];
        }
        this.parts.push(payload);
        if (fin) {
            const whole = Buffer.concat(this.parts);
            this.parts = [];
            this.emit('message', this.opcode === 1 ? whole.toString() : whole);
        }
    }

    write(opcode, payload) {
        if (this.closed) {
            return;
        }
        let head;
        if (payload.length < 126) {
            head = Buffer.from([0x80 | opcode, payload.length]);
        } else if (payload.length < 65536) {
            head = Buffer.from([0x80 | opcode, 126, 0, 0]);
            head.writeUInt16BE(payload.length, 2);
        } else {
            head = Buffer.alloc(10);
            head[0] = 0x80 | opcode;
            head[1] = 127;
            head.writeBigUInt64BE(BigInt(payload.length), 2);
        }
        this.socket.write(Buffer.concat([head, payload]));
    }

    /** A string goes out as TEXT, a Buffer as BINARY. */
    send(data) {
        if (typeof data === 'string') {
            this.write(1, Buffer.from(data));
        } else {
            this.write(2, data);
        }
    }

    close() {
        this.socket.destroy();
        this.finish();
    }

    finish() {
        if (!this.closed) {
            this.closed = true;
            this.emit('close');
        }
    }
}


/** The viewer's end of a tunnel; the agent's end is the socket. */
class Tunnel extends EventEmitter {
    constructor(ws) {
        super();
        this.ws = ws;
        this.texts = [];
        this.chunks = [];
        this.received = 0;          /* bytes of output, dropped ones too */
        ws.on('message', (data) => {
            if (typeof data === 'string') {
                this.texts.push(data);
            } else {
                this.chunks.push(data);
                this.received += data.length;
            }
            this.emit('change');
        });
        ws.on('close', () => this.emit('change'));
    }

    get closed() {
        return this.ws.closed;
    }

    /** All output that was not dropped. */
    get output() {
        if (this.chunks.length > 1) {
            this.chunks = [Buffer.concat(this.chunks)];
        }
        return this.chunks[0] || Buffer.alloc(0);
    }

    text() {
        return this.output.toString();
    }

    drop() {
        this.chunks = [];
    }

    send(data) {
        this.ws.send(data);
    }

    control(object) {
        this.ws.send(JSON.stringify(Object.assign(
            { ctrlChannel: '102938' }, object)));
    }

    /** The control messages of one type that have come so far. */
    controls(type) {
        return this.texts.map((text) => {
            try {
                return JSON.parse(text);
            } catch (e) {
                return {};
            }
        }).filter((m) => m.type === type);
    }

    wait(what, check, ms) {
        return waitFor(this, what, check, ms);
    }

    close() {
        this.ws.close();
    }
}


/** Resolves with the first true value of check(), which runs on 'change'. */
function waitFor(emitter, what, check, ms = 10000) {
    return new Promise((resolve, reject) => {
        let timer;
        const look = () => {
            const value = check();
            if (value) {
                clearTimeout(timer);
                emitter.removeListener('change', look);
                resolve(value);
            }
        };
        timer = setTimeout(() => {
            emitter.removeListener('change', look);
            reject(new Error(`no ${what} within ${ms} ms`));
        }, ms);
        emitter.on('change', look);
        look();
    });
}


class MeshServer extends EventEmitter {
    /**
     * @param options {dir, core: Buffer with its four-byte prefix,
     *     port: 0 takes a free one}
     */
    constructor(options) {
        super();
        this.dir = options.dir;
        this.port = options.port;
        this.core = options.core;
        this.meshid = crypto.randomBytes(48);
        this.messages = [];
        this.tunnels = new Map();
        this.files = new Map();
        this.logins = 0;
        this.agent = null;
        this.ready = false;
        this.setMaxListeners(0);
    }

    async start() {
        fs.mkdirSync(this.dir, { recursive: true });
        this.makeCertificate('web', 'localhost');
        this.makeCertificate('agentserver', 'MeshAgentServer');

        const web = new crypto.X509Certificate(this.read('web.crt'));
        const own = new crypto.X509Certificate(this.read('agentserver.crt'));
        this.webHash = sha384(web.raw);
        this.cert = own.raw;
        this.serverId = sha384(own.publicKey.export(
            { type: 'pkcs1', format: 'der' }));

        this.https = https.createServer({
            key: this.read('web.key'),
            cert: this.read('web.crt'),
        }, (req, res) => this.download(req, res));
        this.https.on('upgrade', (req, socket) => this.upgrade(req, socket));
        await new Promise((resolve, reject) => {
            this.https.on('error', reject);
            this.https.listen(this.port, '127.0.0.1', resolve);
        });
        this.port = this.https.address().port;
    }

    read(name) {
        return fs.readFileSync(path.join(this.dir, name));
    }

    makeCertificate(name, cn) {
        const file = path.join(this.dir, name);
        execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048',
            '-nodes', '-sha384', '-days', '30', '-subj', `/CN=${cn}`,
            '-keyout', `${file}.key`, '-out', `${file}.crt`],
        { stdio: 'ignore' });
    }

    /** The policy file of an agent that is to come here. */
    policy() {
        const hex = (b) => b.toString('hex').toUpperCase();
        return ['', 'MeshName=Test', 'MeshType=2',
            `MeshID=0x${hex(this.meshid)}`,
            `ServerID=${hex(this.serverId)}`,
            `MeshServer=wss://127.0.0.1:${this.port}/agent.ashx`,
            ''].join('\r\n');
    }

    download(req, res) {
        const data = this.files.get(req.url);
        res.writeHead(data ? 200 : 404,
            { 'Content-Length': data ? data.length : 0 });
        res.end(data);
    }

    upgrade(req, socket) {
        const key = req.headers['sec-websocket-key'];
        const accept = crypto.createHash('sha1').update(key + GUID)
            .digest('base64');
        socket.write('HTTP/1.1 101 Switching Protocols\r\n'
            + 'Upgrade: websocket\r\nConnection: Upgrade\r\n'
            + `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
        const ws = new WebSocket(socket);
        if (req.url.startsWith('/agent.ashx')) {
            this.accept(ws);
            return;
        }
        const id = new URL(req.url, 'https://localhost').searchParams
            .get('id');
        const tunnel = new Tunnel(ws);
        tunnel.url = req.url;
        this.tunnels.set(id, tunnel);
        this.emit('change');
    }

    accept(ws) {
        const nonce = crypto.randomBytes(48);
        const state = { info: false, verified: false, request: null };

        this.agent = ws;
        this.ready = false;
        this.logins++;

        ws.on('message', (data) => {
            const buf = Buffer.isBuffer(data) ? data : Buffer.from(data);
            if (buf[0] === 0x7b) {
                this.json(buf);
            } else {
                this.command(ws, state, nonce, buf);
            }
            this.emit('change');
        });
        ws.on('close', () => {
            if (this.agent === ws) {
                this.agent = null;
                this.ready = false;
            }
            this.emit('change');
        });
    }

    json(buf) {
        let object;
        try {
            object = JSON.parse(buf.toString());
        } catch (e) {
            object = { action: 'unparsable', text: buf.toString() };
        }
        this.messages.push(object);
    }

    command(ws, state, nonce, buf) {
        switch (buf.readUInt16BE(0)) {

        case CMD.AUTH_REQUEST: {
            state.request = buf;
            const hash = buf.subarray(2, 50);
            ws.send(Buffer.concat([Buffer.from([0, 1]), hash, nonce]));
            const signature = crypto.sign('sha384',
                Buffer.concat([hash, buf.subarray(50), nonce]),
                this.read('agentserver.key'));
            const head = Buffer.from([0, 2, 0, 0]);
            head.writeUInt16BE(this.cert.length, 2);
            ws.send(Buffer.concat([head, this.cert, signature]));
            break;
        }

        case CMD.AUTH_VERIFY: {
            const len = buf.readUInt16BE(2);
            const cert = new crypto.X509Certificate(
                buf.subarray(4, 4 + len));
            this.agentCert = cert;
            const hash = state.request.subarray(2, 50);
            const agentNonce = state.request.subarray(50);
            state.verified = crypto.verify('sha384',
                Buffer.concat([hash, nonce, agentNonce]),
                cert.publicKey, buf.subarray(4 + len));
            this.admit(ws, state);
            break;
        }

        case CMD.AUTH_INFO:
            state.info = true;
            this.admit(ws, state);
            break;

        case CMD.CORE_HASH: {
            const want = sha384(this.core);
            const have = buf.subarray(4);
            if (have.length === 48 && have.equals(want)) {
                ws.send(Buffer.from([0, CMD.CORE_OK, 0, 0]));
                this.ready = true;
                this.send({ action: 'serverInfo' });
                break;
            }
            ws.send(Buffer.concat([Buffer.from([0, CMD.CORE, 0, 0]), want,
                this.core]));
            break;
        }

        default:
            break;
        }
    }

    admit(ws, state) {
        if (state.info && state.verified && !state.admitted) {
            state.admitted = true;
            ws.send(Buffer.from([0, CMD.AUTH_CONFIRM]));
            ws.send(Buffer.from([0, CMD.CORE_HASH, 0, 0]));
        }
    }

    /** Replaces the running core. */
    push(core) {
        this.core = core;
        this.agent.send(Buffer.from([0, CMD.CORE_HASH, 0, 0]));
    }

    send(object) {
        this.agent.send(Buffer.from(JSON.stringify(object)));
    }

    wait(what, check, ms) {
        return waitFor(this, what, check, ms);
    }

    /** The first message after position `from` for which match is true. */
    message(what, match, ms, from = 0) {
        return this.wait(what, () => this.messages.slice(from).find(match),
            ms);
    }

    /** Sends, then waits for a message that comes after it. */
    ask(object, what, match, ms) {
        const from = this.messages.length;
        this.send(object);
        return this.message(what, match, ms, from);
    }

    /** Asks the agent for a tunnel and waits until it is there. */
    async tunnel(options = {}) {
        const id = crypto.randomBytes(12).toString('hex');
        this.send(Object.assign({
            action: 'msg', type: 'tunnel', usage: 1,
            value: `*/meshrelay.ashx?p=1&nodeid=node//a@b$c&id=${id}`
                + '&rauth=x',
            servertlshash: this.webHash.toString('hex'),
            soptions: {},
            userid: 'user//tester', username: 'tester', realname: 'Tester',
            sessionid: 'user//tester/0011', rights: 4294967295, consent: 0,
            remoteaddr: '127.0.0.1',
        }, options));
        const tunnel = await this.wait('tunnel',
            () => this.tunnels.get(id), 5000);
        tunnel.id = id;
        return tunnel;
    }

    stop() {
        for (const tunnel of this.tunnels.values()) {
            tunnel.close();
        }
        if (this.agent) {
            this.agent.close();
        }
        this.https.close();
        this.https.closeAllConnections();
    }
}


/** Copies the agent into dir beside its policy and runs it. */
function startAgent(binary, dir, policy) {
    fs.mkdirSync(dir, { recursive: true });
    const exe = path.join(dir, 'meshagent');
    fs.copyFileSync(binary, exe);
    fs.chmodSync(exe, 0o755);
    fs.writeFileSync(`${exe}.msh`, policy);
    return runAgent(dir);
}


/** Runs the agent that startAgent() has put into dir, again. */
function runAgent(dir) {
    const out = fs.openSync(path.join(dir, 'agent.out'), 'a');
    const child = spawn(path.join(dir, 'meshagent'), [],
        { cwd: dir, stdio: ['ignore', out, out] });
    fs.closeSync(out);
    return child;
}


module.exports = { MeshServer, startAgent, runAgent, sha384 };

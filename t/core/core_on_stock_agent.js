#!/usr/bin/env node
/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Runs build/core.js and build/recovery.js on the stock Linux agent, against
 * the small server of mesh_server.js, and prints TAP.
 *
 *     node t/core/core_on_stock_agent.js
 *
 *   MESH_STOCK_AGENT   the agent's program; default
 *                      t/node_modules/meshcentral/agents/meshagent_x86-64
 *   MESH_TEST_DIR      where to work; default a new folder in /tmp
 *   MESH_TEST_PORT     port of the server; default a free one
 *   MESH_TEST_ONLY     runs the tests whose name contains this text
 *
 * Exits 0 when all is well, 1 when something failed; without an agent the
 * plan is "skip", unless MESH_STOCK_AGENT names it.
 */

'use strict';

const crypto = require('crypto');
const fs = require('fs');
const os = require('os');
const path = require('path');
const assert = require('assert');
const { execFileSync } = require('child_process');
const { MeshServer, startAgent, runAgent, sha384 }
    = require('./mesh_server.js');

const ROOT = path.join(__dirname, '..', '..');
const AGENT = process.env.MESH_STOCK_AGENT || path.join(ROOT, 't',
    'node_modules', 'meshcentral', 'agents', 'meshagent_x86-64');
const BUILD = process.env.MESH_BUILD || path.join(ROOT, 'build');
const PORT = Number(process.env.MESH_TEST_PORT || 0);
const DIR = process.env.MESH_TEST_DIR
    || fs.mkdtempSync(path.join(os.tmpdir(), 'mesh-core-'));

const SESSION = 'user//tester/0011';
const tests = [];
let server;
let agent;
let number = 0;
let failed = 0;


function test(name, fn) {
    tests.push({ name, fn });
}


function core(name) {
    return Buffer.concat([Buffer.alloc(4),
        fs.readFileSync(path.join(BUILD, name))]);
}


function sleep(ms) {
    return new Promise((resolve) => setTimeout(resolve, ms));
}


function shell(command) {
    return execFileSync('/bin/sh', ['-c', command],
        { maxBuffer: 1 << 28 }).toString();
}


/** Children of the agent whose command line contains text. */
function childrenWith(text) {
    return fs.readdirSync('/proc').filter((name) => {
        try {
            return /^\d+$/.test(name) && Number(name) !== process.pid
                && fs.readFileSync(`/proc/${name}/cmdline`, 'latin1')
                    .includes(text);
        } catch (e) {
            return false;
        }
    });
}


async function terminal(protocol = 1, options = null, command = {}) {
    const tunnel = await server.tunnel(command);
    tunnel.send('c');
    if (options) {
        tunnel.send(JSON.stringify(Object.assign({ type: 'options' },
            options)));
    }
    tunnel.send(String(protocol));
    return tunnel;
}


/** Types a line and waits for the text that only its output contains. */
async function type(tunnel, line, want, ms) {
    const from = tunnel.text().length;
    tunnel.send(Buffer.from(`${line}\n`));
    return tunnel.wait(`output of ${line.slice(0, 60)}`, () => {
        /* an interactive shell turns bracketed paste on and off */
        const text = tunnel.text().slice(from)
            .replace(/\x1b\[\?2004[hl]\r?/g, '');
        return want instanceof RegExp ? want.exec(text)
            : text.includes(want) && [want];
    }, ms);
}


async function ended(tunnel, ms) {
    await tunnel.wait('end of the tunnel', () => tunnel.closed, ms);
}


async function consoleAsk(line, rights = 4294967295) {
    const reply = await server.ask({
        action: 'msg', type: 'console', value: line, rights,
        sessionid: SESSION, userid: 'user//tester', username: 'tester',
    }, `answer to "${line}"`, (m) => m.type === 'console');
    assert.strictEqual(reply.sessionid, SESSION);
    return reply.value;
}


let responses = 0;

function runAsk(cmds, members = {}, ms = 20000) {
    const responseid = `r${++responses}`;
    return server.ask(Object.assign({
        action: 'runcommands', type: 3, cmds, runAsUser: 0, reply: true,
        responseid, sessionid: SESSION,
    }, members), `result of ${cmds.slice(0, 60)}`,
    (m) => m.type === 'runcommands' && m.responseid === responseid, ms);
}


test('coreinfo comes at connect', async () => {
    const info = await server.message('coreinfo',
        (m) => m.action === 'coreinfo', 15000);
    assert.strictEqual(info.caps, 15);
    assert.strictEqual(info.root, process.getuid() === 0);
    assert.match(info.osdesc, /\S/);
    assert.ok(Array.isArray(info.users));
    const hash = sha384(server.core).toString('hex');
    assert.strictEqual(info.value, `ngx_mesh core ${hash.slice(0, 8)}`);
    const boot = Date.now() - os.uptime() * 1000;
    assert.ok(Math.abs(info.lastbootuptime - boot) < 30000);
});

test('the core is accepted and the agent is ready', async () => {
    await server.wait('CoreOk', () => server.ready, 10000);
    assert.strictEqual(server.logins, 1);
});

test('ping is answered', async () => {
    await server.ask({ action: 'ping' }, 'pong',
        (m) => m.action === 'pong', 5000);
});

test('sysinfo comes, and not again for the same hash', async () => {
    const reply = await server.ask({ action: 'sysinfo' }, 'sysinfo',
        (m) => m.action === 'sysinfo', 15000);
    const data = reply.data;
    assert.match(data.hash, /^[0-9a-f]{96}$/);
    const hw = data.hardware;
    assert.match(hw.agentvers.duktape, /^v2\.[67]\.0$/);
    assert.ok(hw.identifiers.cpu_name.length > 3);
    assert.strictEqual(hw.identifiers.cpu_threads,
        Number(shell('grep -c ^processor /proc/cpuinfo')));
    const root = hw.linux.volumes.find((v) => v.mount_point === '/');
    assert.strictEqual(root.size,
        shell('df -kP / | tail -n 1').split(/\s+/)[1]);
    const total = /MemTotal:\s+(\d+)/.exec(
        fs.readFileSync('/proc/meminfo', 'utf8'))[1];
    assert.strictEqual(hw.linux.memory.Total, `${total} kB`);

    const walk = (value) => {
        if (typeof value === 'string') {
            assert.ok(value.length <= 1024);
        } else if (value && typeof value === 'object') {
            for (const key of Object.keys(value)) {
                assert.match(key, /^[0-9A-Za-z_]{1,100}$/);
                walk(value[key]);
            }
        }
    };
    walk(data);

    const from = server.messages.length;
    server.send({ action: 'sysinfo', hash: data.hash });
    await sleep(1500);
    assert.ok(!server.messages.slice(from).some(
        (m) => m.action === 'sysinfo'));
});

test('netinfo comes five seconds after connecting', async () => {
    const info = await server.message('netinfo',
        (m) => m.action === 'netinfo', 12000);
    const mine = os.networkInterfaces();
    const name = Object.keys(mine).find((n) => !mine[n][0].internal);
    if (name) {
        const address = mine[name].find((a) => a.family === 'IPv4');
        const there = info.netif2[name].find(
            (a) => a.address === address.address);
        assert.strictEqual(there.family, 'IPv4');
        assert.strictEqual(there.netmask, address.netmask);
        assert.strictEqual(there.mac, address.mac.toUpperCase());
    }
    assert.ok(info.netif2.lo.every((a) => !a.address
        || a.type === 'loopback'));
});

test('terminal: echo, size, resize', async () => {
    const from = server.messages.length;
    const t = await terminal(1, { cols: 101, rows: 33 });
    await type(t, 'echo $((6*7))-ok', '42-ok');
    await type(t, 'stty size', /\r\n33 101\r\n/);
    t.control({ type: 'termsize', cols: 132, rows: 43 });
    await type(t, 'stty size', /\r\n43 132\r\n/);
    t.control({ type: 'termsize', cols: '10', rows: '10' });
    t.control({ type: 'termsize', cols: -1, rows: 0 });
    await type(t, 'stty size', /\r\n43 132\r\n/);
    await type(t, 'env | grep -c -e ^LINES= -e ^COLUMNS=', /\r\n0\r\n/);
    await type(t, 'echo $TERM:$HISTCONTROL', 'xterm-256color:ignoreboth');
    const sessions = await server.message('sessions',
        (m) => m.action === 'sessions', 3000, from);
    assert.deepStrictEqual(sessions.value, { 'user//tester': 1 });
    const end = server.messages.length;
    t.close();
    const gone = await server.message('end of the session',
        (m) => m.action === 'sessions', 5000, end);
    assert.strictEqual(gone.type, 'terminal');
    assert.deepStrictEqual(gone.value, {});
});

test('terminal: default size', async () => {
    const t = await terminal();
    await type(t, 'stty size', /\r\n25 80\r\n/);
    t.close();
});

test('terminal: UTF-8 in both directions', async () => {
    const t = await terminal();
    const word = 'h\u00e9\u00df\u4f60\u597d\u{1f600}';
    await type(t, `printf '%s|%d\\n' '${word}' 7`, `${word}|7`);
    const bytes = Buffer.byteLength(word);
    await type(t, `printf '%s' '${word}' | wc -c`,
        new RegExp(`\\r\\n${bytes}\\r\\n`));
    t.close();
});

test('terminal: no descriptor of the agent is inherited', async () => {
    const t = await terminal();
    /* by way of a file: during a pipeline the shell has a pipe of its own */
    const list = path.join(DIR, 'descriptors');
    await type(t, `ls -l /proc/$$/fd >${list}; echo do\'\'ne`, 'done');
    const text = fs.readFileSync(list, 'utf8');
    assert.match(text, /\/dev\/pts\//);
    assert.doesNotMatch(text, /socket:|pipe:|meshagent/);
    t.close();
});

test('terminal: ls -R /usr | md5sum equals the machine\'s own', async () => {
    const want = shell('LC_ALL=C ls -R /usr 2>/dev/null | md5sum')
        .slice(0, 32);
    const t = await terminal();
    await type(t, 'LC_ALL=C ls -R /usr 2>/dev/null | md5sum', want, 60000);
    t.close();
});

test('terminal: every byte of a long output arrives', async () => {
    const command = 'stty -opost; echo BEG\'\'IN; '
        + 'LC_ALL=C ls -R /usr/lib 2>/dev/null | cat; echo EN\'\'D';
    const want = crypto.createHash('md5').update(execFileSync('/bin/sh',
        ['-c', 'LC_ALL=C ls -R /usr/lib 2>/dev/null'],
        { maxBuffer: 1 << 28 })).digest('hex');
    const t = await terminal();
    await type(t, command, 'END\n', 60000);
    const begin = t.output.indexOf('BEGIN\n') + 6;
    const end = t.output.lastIndexOf('END\n');
    const got = crypto.createHash('md5')
        .update(t.output.subarray(begin, end)).digest('hex');
    assert.strictEqual(got, want);
    t.close();
});

test('terminal: the shell is interactive, Ctrl-C ends its child',
    async () => {
        const t = await terminal();
        const m = await type(t, 'echo flags:$-:', /flags:([A-Za-z]+):/);
        assert.match(m[1], /i/);
        assert.match(m[1], /m/);
        t.send(Buffer.from('sleep 300\n'));
        await sleep(500);
        t.send(Buffer.from([3]));
        await type(t, 'echo k-$((1+2))', 'k-3', 5000);
        await type(t, 'echo err-$((1+3)) >&2', 'err-4', 5000);
        await type(t, 'cat </dev/tty', '', 1000);
        t.send(Buffer.from('through-tty\n'));
        await t.wait('the echo of cat',
            () => t.text().split('through-tty').length >= 3, 5000);
        t.close();
    });

test('terminal: Ctrl-C works while output floods', async () => {
    const t = await terminal();
    t.send(Buffer.from('yes flood\n'));
    await t.wait('the flood', () => t.received > 200000, 10000);
    t.ws.socket.pause();
    await sleep(1500);
    t.ws.socket.resume();
    const flood = t.received + 1000000;
    await t.wait('more of it', () => t.received > flood, 10000);
    t.send(Buffer.from([3]));
    let quiet = 0;
    for (let i = 0; i < 100 && quiet < 3; i++) {
        const before = t.received;
        t.drop();
        await sleep(100);
        quiet = t.received === before ? quiet + 1 : 0;
    }
    assert.strictEqual(quiet, 3);
    await type(t, 'echo calm-$((1+1))', 'calm-2', 5000);
    t.close();
});

test('terminal: input waits while the program does not read', async () => {
    const t = await terminal();
    const size = 200000;
    const data = Buffer.alloc(size);
    for (let i = 0; i < size; i++) {
        data[i] = 97 + i % 26;
    }
    await type(t, `stty raw -echo; echo rea\'\'dy; sleep 2; head -c ${size} `
        + '| md5sum; stty sane; echo fi\'\'n', 'ready');
    await sleep(300);
    t.send(data);
    t.control({ type: 'rtt', time: 77 });
    await t.wait('rtt while input waits',
        () => t.controls('rtt').some((m) => m.time === 77), 1500);
    const want = crypto.createHash('md5').update(data).digest('hex');
    await t.wait('sum of what was typed', () => t.text().includes(want),
        20000);
    await type(t, 'echo still-$((3+4))', 'still-7');
    t.close();
});

test('terminal: the shell ends while input waits', async () => {
    const t = await terminal();
    await type(t, 'echo o\'\'n', 'on');
    t.send(Buffer.from('exec sleep 1\n'));
    await sleep(300);
    t.send(Buffer.alloc(100000, 'x'));
    await ended(t, 10000);
    await server.ask({ action: 'ping' }, 'pong',
        (m) => m.action === 'pong', 5000);
});

test('terminal: the end of the shell ends the tunnel', async () => {
    const t = await terminal();
    await type(t, 'echo o\'\'n', 'on');
    const from = Date.now();
    t.send(Buffer.from('echo last-$((2+3)); exit\n'));
    await ended(t, 5000);
    assert.ok(t.text().includes('last-5'));
    assert.ok(Date.now() - from < 3000);
});

test('terminal: the end of the tunnel ends shell and child', async () => {
    const t = await terminal();
    const mark = 7100000 + process.pid;
    await type(t, 'echo o\'\'n', 'on');
    t.send(Buffer.from(`sleep ${mark}\n`));
    for (let i = 0; i < 50 && childrenWith(`sleep\0${mark}`).length < 1; i++) {
        await sleep(100);
    }
    assert.strictEqual(childrenWith(`sleep\0${mark}`).length, 1);
    t.close();
    for (let i = 0; i < 50 && childrenWith(`sleep\0${mark}`).length; i++) {
        await sleep(100);
    }
    assert.strictEqual(childrenWith(`sleep\0${mark}`).length, 0);
});

test('tunnel: nothing counts before the start message', async () => {
    const t = await server.tunnel();
    t.send('1');
    t.control({ type: 'rtt', time: 5 });
    await sleep(700);
    assert.strictEqual(t.texts.length, 0);
    assert.strictEqual(t.output.length, 0);
    t.send('cr');
    t.send('1');
    await type(t, 'echo go-$((1+2))', 'go-3');
    t.close();
});

test('tunnel: rtt, ping and close', async () => {
    const t = await server.tunnel();
    t.send('c');
    t.send('{"ctrlChannel":102938,"type":"rtt","time":1234}');
    t.control({ type: 'ping' });
    await t.wait('rtt', () => t.controls('rtt').length, 3000);
    assert.deepStrictEqual(t.controls('rtt')[0],
        { ctrlChannel: '102938', type: 'rtt', time: 1234 });
    await t.wait('pong', () => t.controls('pong').length, 3000);
    t.send('{broken');
    t.send('x'.repeat(100000));
    t.control({ type: 'close' });
    await ended(t, 3000);
});

test('tunnel: text is never typed', async () => {
    const t = await terminal();
    await type(t, 'echo o\'\'n', 'on');
    t.send('echo typed\n');
    await sleep(500);
    assert.ok(!t.text().includes('typed'));
    t.close();
});

test('tunnel: the URL is escaped', async () => {
    const t = await server.tunnel();
    assert.match(t.url, /nodeid=node\/\/a%40b%24c&/);
    t.close();
});

test('tunnel: rights are told and obeyed', async () => {
    for (const rights of [0, 8 | 512, 16, '8', undefined, 256]) {
        const t = await terminal(1, null, { rights });
        await ended(t, 5000);
        assert.match(t.controls('console')[0].msg, /no right/);
        assert.strictEqual(t.output.length, 0);
    }
    const t = await terminal(1, null, { rights: 8 });
    await type(t, 'echo r-$((1+2))', 'r-3');
    t.close();
});

test('tunnel: usages are obeyed', async () => {
    const t = await terminal(1, null, { soptions: { usages: [5] } });
    await ended(t, 5000);
    assert.match(t.controls('console')[0].msg, /not permit/);
    const u = await terminal(6, null, { soptions: { usages: [1, 6, 8, 9] } });
    await type(u, 'echo u-$((1+2))', 'u-3');
    u.close();
});

test('tunnel: what this core has not is told', async () => {
    for (const number of [2, 7, 99]) {
        const t = await terminal(number);
        await ended(t, 5000);
        assert.match(t.controls('console')[0].msg, /not supported/);
    }
    const t = await server.tunnel({ tcpport: 22 });
    t.send('c');
    await ended(t, 5000);
    assert.match(t.controls('console')[0].msg, /not supported/);
});

test('tunnel: only paths of the own server', async () => {
    const before = server.tunnels.size;
    for (const value of [
        `wss://127.0.0.1:${server.port}/meshrelay.ashx?id=evil1`,
        '*/meshrelay.ashx?id=evil2 HTTP/1.1\r\nX: y',
        '*/a b', '*/', 7, null, {},
    ]) {
        server.send({ action: 'msg', type: 'tunnel', value,
            rights: 4294967295,
            servertlshash: server.webHash.toString('hex') });
    }
    await server.ask({ action: 'ping' }, 'pong',
        (m) => m.action === 'pong', 5000);
    await sleep(500);
    assert.strictEqual(server.tunnels.size, before);
});

test('tunnel: consent is refused where nobody can be asked', async () => {
    const users = shell('who').trim();
    const from = server.messages.length;
    const t = await terminal(1, null, { consent: 16 });
    if (users === '') {
        await ended(t, 5000);
        const list = t.controls('console');
        assert.strictEqual(list[0].msgid, 1);
        assert.strictEqual(list[1].msgid, 2);
        assert.match(list[1].msg, /Nobody is logged in/);
        await server.message('log of the refusal',
            (m) => m.action === 'log' && m.msgid === 28, 3000, from);
        const u = await terminal(1, null, {
            consent: 16, soptions: { consentAutoAcceptIfNoUser: true } });
        await type(u, 'echo a-$((1+2))', 'a-3');
        u.close();
    }
    assert.strictEqual(t.output.length, 0);
    t.close();
    const v = await terminal(1, { consent: 16 });
    await v.wait('the question', () => v.controls('console').length, 5000);
    v.close();
});

test('tunnel: endtunnel by its user and by full rights only', async () => {
    const t = await terminal();
    await type(t, 'echo o\'\'n', 'on');
    const end = { action: 'msg', type: 'endtunnel', protocol: 'terminal',
        xuserid: 'user//tester' };
    server.send(Object.assign({ rights: 8, userid: 'user//other' }, end));
    await sleep(500);
    assert.ok(!t.closed);
    const from = server.messages.length;
    server.send(Object.assign({ rights: 4294967295, userid: 'user//x' },
        end));
    await ended(t, 3000);
    await server.message('log', (m) => m.action === 'log'
        && m.msgid === 135, 3000, from);
});

test('tunnel: twenty at once', async () => {
    const list = await Promise.all(Array.from({ length: 20 },
        () => terminal()));
    await Promise.all(list.map((t, i) => type(t, `echo n-$((${i}+1000))`,
        `n-${i + 1000}`, 20000)));
    list.forEach((t) => t.close());
});

test('terminal as a user: groups, home, own terminal', async () => {
    if (process.getuid() !== 0) {
        return;
    }
    const none = await terminal(8, { tsid: 4000000000 });
    await ended(none, 5000);
    assert.match(none.controls('console')[0].msg,
        /^Failed to start remote terminal session/);
    const account = fs.readFileSync('/etc/passwd', 'utf8').split('\n')
        .map((line) => line.split(':'))
        .find((f) => Number(f[2]) > 0 && /\/(?:ba|da)?sh$/.test(f[6])
            && fs.existsSync(f[5]));
    if (account) {
        const t = await terminal(8, { tsid: Number(account[2]) });
        await type(t, 'echo "[$(id -un) $(id -Gn) $HOME $(id -u)]"',
            `[${account[0]} ${shell(`id -Gn ${account[0]}`).trim()} `
            + `${account[5]} ${account[2]}]`);
        await type(t, 'echo o-$((1+2)) >$(tty)', 'o-3');
        const list = path.join(os.tmpdir(), `mesh-fd-${process.pid}`);
        await type(t, `ls -l /proc/$$/fd >${list}; echo do\'\'ne`, 'done');
        assert.doesNotMatch(fs.readFileSync(list, 'utf8'),
            /socket:|pipe:|meshagent/);
        fs.rmSync(list);
        t.send(Buffer.from('exit\n'));
        await ended(t, 5000);
    }
    const daemon = await terminal(8, { tsid: Number(shell('id -u daemon')) });
    /* no login shell there: it says so, and the session ends */
    await ended(daemon, 8000);
    assert.match(daemon.text(), /not available|nologin/);
});

/** A file session; say() sends a command, json() has what came in BINARY. */
async function fileSession(command = {}) {
    const t = await terminal(5, null, command);
    t.say = (object) => t.send(Buffer.from(JSON.stringify(object)));
    t.json = () => t.chunks.filter((c) => c[0] === 0x7b)
        .map((c) => JSON.parse(c.toString()));
    t.answer = (what, match) => t.wait(what, () => t.json().find(match),
        20000);
    return t;
}


test('files: a listing, asked for in either kind of message', async () => {
    const dir = path.join(DIR, 'files');
    fs.mkdirSync(dir);
    fs.writeFileSync(path.join(dir, 'a\u{1f600}'), 'xyz');
    const t = await fileSession();
    t.say({ action: 'ls', path: dir, reqid: 1 });
    const list = await t.answer('list', (m) => m.reqid === 1);
    assert.deepStrictEqual(list.dir.map((e) => [e.n, e.t, e.s]),
        [['a\u{1f600}', 3, 3]]);
    assert.ok(Math.abs(Date.parse(list.dir[0].d) - Date.now()) < 60000);
    t.send(JSON.stringify({ action: 'ls', path: dir, reqid: 'two' }));
    await t.answer('list', (m) => m.reqid === 'two');
    t.say({ action: 'ls', path: `${dir}/none`, reqid: 3 });
    const none = await t.answer('list', (m) => m.reqid === 3);
    assert.strictEqual(none.dir, null);
    t.close();
});

test('files: nothing is shown before consent, nor without rights',
    async () => {
        const t = await fileSession({ consent: 32 });
        t.say({ action: 'ls', path: '/', reqid: 1 });
        await ended(t, 10000);
        assert.deepStrictEqual(t.json(), []);
        const u = await fileSession({ rights: 8 | 1024 });
        await ended(u, 5000);
        assert.match(u.controls('console')[0].msg, /no right/);
    });

test('files: a viewer that does not read holds a download back',
    async () => {
        const file = path.join(DIR, 'big');
        fs.writeFileSync(file, Buffer.alloc(20000000, 7));
        const t = await fileSession();
        t.say({ action: 'download', sub: 'start', id: 1, path: file });
        await t.wait('start', () => t.texts.some(
            (text) => JSON.parse(text).sub === 'start'), 5000);
        t.ws.socket.pause();
        t.say({ action: 'download', sub: 'startack', id: 1 });
        for (let i = 0; i < 1300; i++) {
            t.say({ action: 'download', sub: 'ack', id: 1 });
        }
        await sleep(1000);
        t.ws.socket.resume();
        await t.wait('all of it', () => t.received
            === 20000000 + 4 * (Math.floor(20000000 / 16380) + 1), 20000);
        t.say({ action: 'ls', path: '/', reqid: 2 });
        await t.answer('list', (m) => m.reqid === 2);
        t.close();
    });

test('files: protocol 10 sends a file to its end', async () => {
    const t = await terminal(10, { file: path.join(DIR, 'big') });
    await ended(t, 20000);
    assert.deepStrictEqual(JSON.parse(t.texts[0]),
        { op: 'ok', size: 20000000 });
    assert.strictEqual(t.received, 20000000);
    const u = await terminal(10, { file: path.join(DIR, 'none') });
    await ended(u, 5000);
    assert.deepStrictEqual(JSON.parse(u.texts[0]), { op: 'cancel' });
});

test('run: output, both streams, exit status', async () => {
    const reply = await runAsk('echo out; echo err >&2; exit 3');
    assert.strictEqual(reply.result, 'out\nerr\n');
    assert.strictEqual(reply.exitcode, 3);
    assert.strictEqual(reply.sessionid, SESSION);
});

test('run: type 0, UTF-8, and bytes that are none', async () => {
    const reply = await runAsk(
        'printf "\\303\\251 \\360\\237\\230\\200 a\\377\\000\\001b"',
        { type: 0 });
    assert.strictEqual(reply.result, '\u00e9 \u{1f600} a\ufffd\0\u0001b');
});

test('run: a background child delays nothing', async () => {
    const from = Date.now();
    const reply = await runAsk('sleep 6 & echo started');
    assert.strictEqual(reply.result, 'started\n');
    assert.ok(Date.now() - from < 4000);
});

test('run: input is empty, other interpreters are refused', async () => {
    assert.strictEqual((await runAsk('cat; echo end')).result, 'end\n');
    assert.match((await runAsk('dir', { type: 1 })).result, /no such/);
    assert.match((await runAsk('', {})).result, /no command/);
    assert.match((await runAsk('id', { runAsUser: 2 })).result,
        /Nobody is logged in|uid=/);
});

test('run: more than 4 MB is cut with a notice', async () => {
    const reply = await runAsk('head -c 6000000 /dev/zero | tr "\\0" x', {},
        60000);
    assert.ok(reply.result.length < 4200000);
    assert.match(reply.result, /x\n\[the output was longer than 4 MB/);
    assert.strictEqual(reply.exitcode, 0);
});

test('run: one after another, a bounded queue', async () => {
    const from = server.messages.length;
    for (let i = 0; i < 30; i++) {
        server.send({ action: 'runcommands', type: 3,
            cmds: `sleep 0.05; echo ${i}`, reply: true,
            responseid: `q${i}`, sessionid: SESSION });
    }
    await server.wait('all answers', () => server.messages.slice(from)
        .filter((m) => m.type === 'runcommands').length === 30, 30000);
    const replies = server.messages.slice(from)
        .filter((m) => m.type === 'runcommands');
    const refused = replies.filter((m) => /Too many/.test(m.result));
    assert.strictEqual(refused.length, 30 - 17);
    const order = replies.filter((m) => m.exitcode === 0)
        .map((m) => Number(m.result));
    assert.deepStrictEqual(order, order.slice().sort((a, b) => a - b));
});

test('run: no descriptor of the agent is inherited', async () => {
    const reply = await runAsk('ls -l /proc/$$/fd | grep -c -e socket: '
        + '-e meshagent.db');
    assert.strictEqual(reply.result, '0\n');
});

test('console: commands', async () => {
    assert.match(await consoleAsk('help'), /agentstats[^]*wakeonlan/);
    assert.match(await consoleAsk('info'), /ngx_mesh core [0-9a-f]{8}/);
    assert.match(await consoleAsk('versions'), /"duktape": "v2\.[67]\.0"/);
    assert.match(await consoleAsk('osinfo'), /Kernel: Linux/);
    assert.match(await consoleAsk('uptime'), /\d+ days/);
    assert.match(await consoleAsk('netinfo'), /"127.0.0.1"/);
    assert.match(await consoleAsk('sysinfo'), /"hash"/);
    assert.match(await consoleAsk('coreinfo'), /"caps": 15/);
    assert.match(await consoleAsk('ps meshagent'), /meshagent/);
    assert.match(await consoleAsk('ls /etc'), /passwd/);
    assert.match(await consoleAsk('ls "/no such"'), /no folder/);
    assert.match(await consoleAsk('df'), /mounted at[^]* \//);
    assert.match(await consoleAsk('cpuinfo'), /percentFree/);
    assert.match(await consoleAsk('users'), /\S/);
    assert.match(await consoleAsk('services'), /\S/);
    assert.match(await consoleAsk('sessions'), /\S/);
    assert.match(await consoleAsk('kill 1'), /Usage/);
    assert.match(await consoleAsk('nonsense'), /Unknown command/);
    assert.match(await consoleAsk('toString'), /Unknown command/);
    assert.match(await consoleAsk('runs'), /No command runs/);
    assert.match(await consoleAsk('msh'), /"MeshName": "Test"/);
    assert.strictEqual(await consoleAsk('eval 6 * 7'), '42');
    assert.match(await consoleAsk('eval nothing.at.all'), /^Error: /);
    assert.match(await consoleAsk('agentstats'), /Faults: \d/);
});

test('console: rights', async () => {
    const from = server.messages.length;
    for (const rights of [8, 16, 0, undefined, '4294967295']) {
        server.send({ action: 'msg', type: 'console', value: 'info', rights,
            sessionid: SESSION });
    }
    await server.ask({ action: 'ping' }, 'pong',
        (m) => m.action === 'pong', 5000);
    assert.ok(!server.messages.slice(from).some(
        (m) => m.type === 'console' || m.action === 'log'));
    assert.match(await consoleAsk('eval 1', 24), /full rights/);
    assert.match(await consoleAsk('ls /', 24 | 1024), /no right/);
    assert.match(await consoleAsk('power off', 24), /no right/);
    assert.match(await consoleAsk('info', 24), /ngx_mesh core/);
});

test('console: each command is logged', async () => {
    const from = server.messages.length;
    await consoleAsk('uptime');
    const entry = await server.message('log entry',
        (m) => m.action === 'log' && m.msgid === 17, 3000, from);
    assert.deepStrictEqual(entry.msgArgs, ['uptime']);
    assert.strictEqual(entry.userid, 'user//tester');
    assert.match(entry.msg, /uptime/);
});

test('ps, psinfo, pskill, cpuinfo, services, userSessions', async () => {
    const ask = (type, members) => server.ask(Object.assign({
        action: 'msg', type, rights: 8, sessionid: SESSION, tag: 't1',
    }, members), type, (m) => m.type === type, 10000);

    const list = JSON.parse((await ask('ps')).value);
    assert.strictEqual(list[process.pid].pid, process.pid);
    assert.match(list[process.pid].cmd, /core_on_stock_agent/);
    const info = await ask('psinfo', { pid: process.pid });
    assert.strictEqual(info.value.Pid, String(process.pid));
    const cpu = await ask('cpuinfo');
    assert.strictEqual(cpu.tag, 't1');
    assert.ok(cpu.cpu.total >= 0 && cpu.cpu.total <= 100);
    assert.strictEqual(cpu.cpu.cpus.length, os.cpus().length);
    assert.ok(Array.isArray(JSON.parse((await ask('services')).value)));
    assert.strictEqual(typeof (await ask('userSessions')).data, 'object');

    const child = require('child_process').spawn('sleep', ['500']);
    const gone = new Promise((resolve) => child.on('exit', resolve));
    server.send({ action: 'msg', type: 'pskill', rights: 0,
        value: child.pid });
    await server.ask({ action: 'ping' }, 'pong',
        (m) => m.action === 'pong', 5000);
    assert.strictEqual(child.exitCode, null);
    const from = server.messages.length;
    server.send({ action: 'msg', type: 'pskill', rights: 8,
        value: `${child.pid}|sleep` });
    await gone;
    await server.message('log entry',
        (m) => m.action === 'log' && m.msgid === 19, 3000, from);
});

test('toast and boxes are logged, bad addresses refused', async () => {
    const from = server.messages.length;
    server.send({ action: 'toast', title: 'T', msg: 'hello' });
    server.send({ action: 'msg', type: 'messagebox', title: 'T',
        msg: 'hello' });
    server.send({ action: 'msg', type: 'alertbox', title: 'T',
        msg: 'hello' });
    for (const id of [26, 18, 158]) {
        await server.message(`log ${id}`, (m) => m.action === 'log'
            && m.msgid === id, 5000, from);
    }
    for (const url of ['file:///etc/passwd', 'http://a/$(id)`x`', 'x', 3,
        'http://a b']) {
        const reply = await server.ask({ action: 'msg', type: 'openUrl', url,
            rights: 8, sessionid: SESSION }, 'openUrl',
        (m) => m.type === 'openUrl', 5000);
        assert.strictEqual(reply.success, false);
    }
});

test('malformed messages harm nothing', async () => {
    const values = [null, 1, -1, 1e308, true, '', 'x', [], {}, [[]],
        'x'.repeat(100000), { toString: 1 }];
    const actions = ['serverInfo', 'sysinfo', 'runcommands', 'wakeonlan',
        'toast', 'openUrl', 'agentupdate', 'unknown', 'constructor',
        '__proto__', 'toString'];
    const types = ['tunnel', 'endtunnel', 'console', 'messagebox',
        'alertbox', 'openUrl', 'psinfo', 'pskill', 'service',
        'serviceStart', 'constructor', 'nothing'];
    for (const value of values) {
        const members = {};
        for (const key of ['value', 'msg', 'title', 'url', 'hash', 'macs',
            'cmds', 'type', 'pid', 'serviceName', 'sessionid', 'userid',
            'rights', 'soptions', 'termlaunchcommand', 'timeout',
            'xuserid', 'protocol', 'runAsUser', 'responseid']) {
            members[key] = value;
        }
        for (const action of actions) {
            server.send(Object.assign({}, members, { action }));
        }
        for (const type of types) {
            server.send(Object.assign({}, members,
                { action: 'msg', type, rights: 4294967295 }));
            server.send(Object.assign({}, members,
                { action: 'msg', type }));
        }
    }
    await server.ask({ action: 'ping' }, 'pong',
        (m) => m.action === 'pong', 20000);
    assert.match(await consoleAsk('agentstats'), /Faults: 0\b/);
    const t = await terminal();
    await type(t, 'echo w-$((1+2))', 'w-3');
    t.close();
});

test('agentupdate: refused without a service, hash or own address',
    async () => {
        const ask = (url, hash) => server.ask({ action: 'agentupdate', url,
            hash, sessionid: SESSION }, 'answer',
        (m) => m.type === 'console', 5000);
        assert.match((await ask('*/meshagents?id=6', 'a'.repeat(96))).value,
            /service/);
        assert.match((await ask('https://elsewhere/x', 'a'.repeat(96)))
            .value, /no address/);
        assert.match((await ask('*/x', 'short')).value, /no address/);
    });

test('a lost channel: terminal goes on, coreinfo and sessions again',
    async () => {
        const t = await terminal();
        await type(t, 'echo o\'\'n', 'on');
        const from = server.messages.length;
        server.agent.close();
        await server.message('coreinfo', (m) => m.action === 'coreinfo',
            20000, from);
        await server.message('sessions', (m) => m.action === 'sessions'
            && m.value['user//tester'] === 1, 5000, from);
        await server.wait('CoreOk', () => server.ready, 10000);
        await type(t, 'echo b-$((1+2))', 'b-3');
        t.close();
    });

test('corerestart: sessions end, the core starts anew', async () => {
    const t = await terminal();
    await type(t, 'echo o\'\'n', 'on');
    const from = server.messages.length;
    server.send({ action: 'msg', type: 'corerestart', rights: 8 });
    await sleep(800);
    assert.ok(!t.closed);
    server.send({ action: 'msg', type: 'corerestart', rights: 24 });
    await ended(t, 3000);
    await server.message('coreinfo', (m) => m.action === 'coreinfo', 10000,
        from);
    const u = await terminal();
    await type(u, 'echo c-$((1+2))', 'c-3');
    u.close();
});

test('the agent comes back with the core it keeps', async () => {
    agent.kill('SIGKILL');
    await server.wait('the agent gone', () => server.agent === null, 5000);
    const from = server.messages.length;
    agent = runAgent(path.join(DIR, 'agent'));
    await server.message('coreinfo', (m) => m.action === 'coreinfo', 20000,
        from);
    await server.wait('CoreOk', () => server.ready, 10000);
    const t = await terminal();
    await type(t, 'echo d-$((1+2))', 'd-3');
    t.close();
});

test('recovery core: coreinfo, console, terminal', async () => {
    const from = server.messages.length;
    server.push(core('recovery.js'));
    const info = await server.message('coreinfo',
        (m) => m.action === 'coreinfo', 15000, from);
    assert.strictEqual(info.caps, 10);
    assert.match(info.value, /^ngx_mesh recovery core [0-9a-f]{8}$/);
    await server.wait('CoreOk', () => server.ready, 10000);
    assert.match(await consoleAsk('help'), /agentupdate/);
    assert.match(await consoleAsk('info'), /recovery/);
    assert.match(await consoleAsk('hasOwnProperty'), /Unknown/);
    const t = await terminal();
    await type(t, 'echo e-$((1+2))', 'e-3');
    const u = await terminal(5);
    await ended(u, 5000);
    t.close();
});


async function main() {
    if (!fs.existsSync(AGENT)) {
        if (process.env.MESH_STOCK_AGENT) {
            process.stdout.write(`Bail out! no agent at ${AGENT}\n`);
            return 1;
        }
        process.stdout.write('1..0 # SKIP no stock agent\n');
        return 0;
    }

    server = new MeshServer({ dir: DIR, port: PORT, core: core('core.js') });
    await server.start();
    agent = startAgent(AGENT, path.join(DIR, 'agent'), server.policy());

    const only = process.env.MESH_TEST_ONLY;
    for (const { name, fn } of tests) {
        if (only && !name.includes(only)) {
            continue;
        }
        if (only && !server.ready) {
            await server.wait('the agent', () => server.ready, 20000);
        }
        number++;
        const started = Date.now();
        try {
            await fn();
            process.stdout.write(`ok ${number} - ${name} # `
                + `${Date.now() - started} ms\n`);
        } catch (e) {
            failed++;
            process.stdout.write(`not ok ${number} - ${name}\n`
                + `${String(e.stack).replace(/^/gm, '# ')}\n`);
        }
    }
    process.stdout.write(`1..${number}\n`);
    return failed ? 1 : 0;
}


function clean() {
    if (agent) {
        agent.kill('SIGKILL');
    }
    if (server) {
        server.stop();
    }
    if (!process.env.MESH_TEST_DIR && !failed) {
        fs.rmSync(DIR, { recursive: true, force: true });
    }
}


process.on('SIGINT', () => {
    clean();
    process.exit(130);
});
process.on('SIGTERM', () => {
    clean();
    process.exit(143);
});

main().then((code) => {
    clean();
    process.exit(code);
}, (e) => {
    process.stdout.write(`Bail out! ${e.message}\n`);
    clean();
    process.exit(1);
});

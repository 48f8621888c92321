// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// A session that leaves the server: our core on a real agent, the stock one or ours
// (MESH_AGENT), and the page's own half of WebRTC in a real Chromium.

import assert from 'node:assert/strict';
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const { MeshServer, startAgent } = createRequire(import.meta.url)('../core/mesh_server.js');
const own = process.env.MESH_AGENT === 'own';
const binary = own ? process.env.MESH_AGENT_BIN ?? join(root, 'build/mesh-agent')
    : process.env.MESH_STOCK_AGENT ?? join(root, 't/node_modules/meshcentral/agents/meshagent_x86-64');
const SIZE = 20 * 1024 * 1024;
const LONG = 20_000;

// A screen for our core: packets with a number each, some of them of 3 MB, and what
// it was told.  It counts on while nobody looks.
const SCREEN = `(function () {
    var agent = require('MeshAgent');
    var Duplex = require('stream').Duplex;
    Object.defineProperty(agent, 'hasKVM', { value: 1, configurable: true });
    agent.getRemoteDesktopStream = function () {
        var n = 0;
        var refreshed = 0;
        var timer;
        var stream = new Duplex({
            write: function (packet, flush) {
                if (packet[1] === 6) {
                    refreshed++;
                }
                flush();
                return true;
            },
            final: function (flush) {
                clearInterval(timer);
                flush();
            },
            read: function () {}
        });
        timer = setInterval(function () {
            var size = refreshed > 0 && n % 20 === 0 ? 3000000 : 12;
            var packet = Buffer.alloc(8 + size);
            packet[1] = 27;
            packet[3] = 8;
            packet.writeUInt32BE(size, 4);
            packet[9] = 3;
            packet.writeUInt32BE(n++, 12);
            packet.writeUInt32BE(refreshed, 16);
            stream.push(packet);
        }, 20);
        return stream;
    };
}());
`;

let dir, server, agent, browser, page, data, idle;
let tunnel;         // the agent's half of the one that the page looks at

before(async () => {
    dir = mkdtempSync('/var/tmp/mesh-rtc.');
    server = new MeshServer({
        dir: join(dir, 'server'), port: 0,
        core: Buffer.concat([Buffer.alloc(4), Buffer.from(own ? SCREEN : ''), readFileSync(join(root, 'build/core.js'))]),
    });
    await server.start();
    mkdirSync(join(dir, 'agent'));
    // an address that every machine has; stock agents do not know the key
    agent = startAgent(binary, join(dir, 'agent'), `${server.policy()}webrtcAddress=127.0.0.1\r\n`);
    await server.message('coreinfo', (m) => m.action === 'coreinfo', 60_000);

    mkdirSync(join(dir, 'files'));
    data = randomBytes(SIZE);
    writeFileSync(join(dir, 'files/large'), data);

    const script = execFileSync(join(root, 'html/node_modules/.bin/esbuild'),
        [join(root, 'html/src/wire/webrtc.ts'), '--bundle', '--format=iife', '--global-name=wire'], { encoding: 'utf8' });
    browser = await chromium.launch({
        executablePath: '/usr/bin/chromium',
        args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-features=WebRtcHideLocalIpsWithMdns', '--allow-loopback-in-peer-connection'],
    });
    page = await browser.newPage();
    await page.route('https://localhost/', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }));
    await page.goto('https://localhost/');
    await page.exposeFunction('toAgent', ({ text, bytes, end }) => {
        if (end) {
            tunnel.close();
        } else {
            tunnel.send(text ?? Buffer.from(bytes, 'base64'));
        }
    });
    await page.addScriptTag({ content: script });
    await page.addScriptTag({ path: join(root, 't/interop/page/webrtc.js') });
});

after(async () => {
    if (process.env.V) { console.error(readFileSync(join(dir, 'agent/agent.out'), 'utf8')); }
    await browser?.close();
    agent?.kill('SIGKILL');
    server?.stop();
    rmSync(dir, { recursive: true, force: true });
});

/** A tunnel, of which the page is the viewer from here on. */
async function open(p, soptions = {}, options = {}) {
    const opened = await server.tunnel({ usage: p, soptions: { usages: [p], webrtc: true, ...soptions }, ...options });
    tunnel = opened;
    await page.evaluate(() => globalThis.viewer.start());
    opened.ws.on('message', (message) => {
        page.evaluate((m) => globalThis.viewer.fromAgent(m), typeof message === 'string'
            ? { text: message } : { bytes: message.toString('base64') }).catch(() => {});
    });
    opened.ws.on('close', () => page.evaluate(() => globalThis.viewer.gone()).catch(() => {}));
    opened.send('c');
    return opened;
}

function within(ms, what, promise) {
    let timer;
    return Promise.race([promise, new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`waited in vain: ${what}; ${JSON.stringify(tunnel.texts.map((x) => x.slice(0, 1000)))}`)), ms);
    })]).finally(() => clearTimeout(timer));
}

const viewer = (name, ...args) => page.evaluate(([n, a]) => globalThis.viewer[n](...a), [name, args]);
const direct = () => within(LONG, 'the way beside the server', viewer('direct'));
const ls = (path) => within(LONG, 'a listing', viewer('ls', path));
const answered = (opened) => opened.wait('an answer', () => opened.controls('answer')[0]);
const ended = (opened) => opened.wait('the end of the tunnel', () => opened.closed, LONG);
const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Sockets and the like that the agent has open. */
const descriptors = () => readdirSync(`/proc/${agent.pid}/fd`).length;

/** The files session works, and does so through the server. */
async function stays(opened) {
    const before = opened.received;
    assert.deepEqual((await ls(join(dir, 'files'))).dir.map((e) => e.n).sort(), ['large']);
    assert.ok(opened.received > before, 'the listing has come through the server');
    assert.equal(await viewer('isDirect'), false);
    await viewer('close');
    await ended(opened);
}

test('a browser of today refuses the certificate of a stock agent: the session stays, and works', { skip: own }, async () => {
    const opened = await open(5);
    await viewer('begin', '5');
    await answered(opened);
    await within(2 * LONG, 'the end of the attempt', viewer('over'));
    await stays(opened);
});

test('a files session goes beside the server, and brings the same bytes', { skip: !own }, async (t) => {
    idle = descriptors();
    const opened = await open(5);
    await viewer('begin', '5');
    const started = Date.now();
    await direct();
    t.diagnostic(`seconds until the session is direct: ${(Date.now() - started) / 1000}`);

    const certificate = new X509Certificate(Buffer.from(await viewer('certificate'), 'base64'));
    assert.equal(certificate.publicKey.asymmetricKeyDetails.namedCurve, 'prime256v1');
    assert.ok(certificate.checkIssued(server.agentCert) && certificate.verify(server.agentCert.publicKey),
        'its certificate is of the device\'s own');
    assert.ok(!certificate.ca);

    const before = opened.received;
    assert.deepEqual((await ls(join(dir, 'files'))).dir.map((e) => e.n), ['large']);
    const copied = Date.now();
    const got = await within(60_000, 'the download', viewer('download', join(dir, 'files/large')));
    t.diagnostic(`seconds for 20 MB: ${(Date.now() - copied) / 1000}`);
    assert.equal(got, hash(data), 'a download has the same hash');
    assert.equal(await within(60_000, 'the upload', viewer('upload', join(dir, 'files'), 'up', 4 * 1024 * 1024)),
        hash(readFileSync(join(dir, 'files/up'))), 'and an upload');
    unlinkSync(join(dir, 'files/up'));
    assert.equal(opened.received, before, 'nothing of it has crossed the server');

    await viewer('close');
    await ended(opened);
});

test('what is longer than a message comes through the server all the same', { skip: !own }, async () => {
    mkdirSync(join(dir, 'many'));
    for (let i = 0; i < 1200; i++) {
        writeFileSync(join(dir, 'many', `${'x'.repeat(220)}${i}`), '');
    }
    const opened = await open(5);
    await viewer('begin', '5');
    await direct();
    assert.equal((await ls(join(dir, 'many'))).dir.length, 1200);
    await viewer('close');
    await ended(opened);
});

test('a desktop session goes beside the server without a packet out of order, and asks for the screen anew', { skip: !own }, async () => {
    const opened = await open(2);
    await viewer('begin', '2');
    await direct();
    const before = opened.received;
    const seen = await within(LONG, 'a picture of 3 MB and what is behind it', viewer('pictures'));
    await within(LONG, 'the echo of a probe', viewer('probe', 4711));
    assert.equal(opened.received, before, 'no picture has crossed the server since, and no probe');
    assert.deepEqual(seen.faults, []);
    assert.ok(seen.relayed > 0 && seen.direct > 0, JSON.stringify(seen));
    assert.equal(seen.refreshed, 1);
    await viewer('close');
    await ended(opened);
});

test('without a word of the server no offer is answered', { skip: !own }, async () => {
    for (const webrtc of [undefined, false, 'true', 1]) {
        const opened = await open(5, { webrtc });
        await viewer('begin', '5');
        await within(LONG, 'the offer', viewer('offered'));
        await stays(opened);
        assert.deepEqual(opened.controls('answer'), []);
    }
});

test('where neither side can reach the other the session stays on the relay', { skip: !own }, async () => {
    const opened = await open(5);
    await viewer('without', 'a=candidate');
    await viewer('begin', '5');
    await answered(opened);
    await stays(opened);
});

test('an offer of somebody else\'s key opens no channel', { skip: !own }, async () => {
    const opened = await open(5);
    await viewer('otherKey');
    await viewer('begin', '5');
    await answered(opened);
    await within(LONG, 'the end of the attempt', viewer('over'));
    assert.deepEqual(opened.controls('webrtc0'), []);
    await stays(opened);
});

test('the end of the channel is the end of the session, whoever makes it', { skip: !own }, async () => {
    const first = await open(5);
    await viewer('begin', '5');
    await direct();
    await viewer('closeChannel');
    await ended(first);

    const second = await open(5);
    await viewer('begin', '5');
    await direct();
    second.close();
    await within(LONG, 'the end at the viewer', viewer('over'));
});

test('nothing of ten sessions is left open in the agent', { skip: !own }, async () => {
    // one for what GLib waits for stays
    for (let i = 0; i < 200 && descriptors() > idle + 2; i++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.ok(descriptors() <= idle + 2, `${descriptors()} descriptors, ${idle} before`);
    assert.equal(agent.exitCode, null);
});

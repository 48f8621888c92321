// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// A session that leaves the server: our core on a real agent, the stock one or ours
// (MESH_AGENT), and the page's own half of WebRTC in a real Chromium.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

let dir, server, agent, browser, page, data;
let tunnel;         // the agent's half of the one that the page looks at

before(async () => {
    dir = mkdtempSync('/var/tmp/mesh-rtc.');
    server = new MeshServer({
        dir: join(dir, 'server'), port: 0,
        core: Buffer.concat([Buffer.alloc(4), readFileSync(join(root, 'build/core.js'))]),
    });
    await server.start();
    mkdirSync(join(dir, 'agent'));
    if (own) {
        copyFileSync(join(dirname(binary), 'mesh_agent_rtc.so'), join(dir, 'agent/mesh_agent_rtc.so'));
    }
    agent = startAgent(binary, join(dir, 'agent'), server.policy());
    await server.message('coreinfo', (m) => m.action === 'coreinfo', 60_000);

    mkdirSync(join(dir, 'files'));
    data = randomBytes(SIZE);
    writeFileSync(join(dir, 'files/large'), data);

    const script = execFileSync(join(root, 'html/node_modules/.bin/esbuild'),
        [join(root, 'html/src/wire/webrtc.ts'), '--bundle', '--format=iife', '--global-name=wire'], { encoding: 'utf8' });
    browser = await chromium.launch({
        executablePath: '/usr/bin/chromium',
        args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-features=WebRtcHideLocalIpsWithMdns'],
    });
    page = await browser.newPage();
    await page.route('https://localhost/', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }));
    await page.goto('https://localhost/');
    await page.exposeFunction('toAgent', (message) => tunnel.send(
        message.text ?? Buffer.from(message.bytes, 'base64')));
    await page.addScriptTag({ content: script });
    await page.addScriptTag({ path: join(root, 't/interop/webrtc_page.js') });
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
    opened.relayed = () => opened.received;
    opened.send('c');
    return opened;
}

function within(ms, what, promise) {
    let timer;
    return Promise.race([promise, new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${what}: ${JSON.stringify(tunnel.texts.map((x) => x.slice(0, 2000)))}`)), ms);
    })]).finally(() => clearTimeout(timer));
}

const begin = (p, mode) => page.evaluate(([n, m]) => globalThis.viewer.begin(n, m), [String(p), mode]);
const direct = () => within(15_000, 'the session stays on the relay', page.evaluate(() => globalThis.viewer.direct()));
const ls = (path) => page.evaluate((p) => globalThis.viewer.ls(p), path);

test('a files session goes beside the server, and brings the same bytes', async (t) => {
    const opened = await open(5);
    await begin(5);
    const started = Date.now();
    await direct();
    t.diagnostic(`seconds until the session is direct: ${(Date.now() - started) / 1000}`);

    const before = opened.relayed();
    assert.deepEqual((await ls(join(dir, 'files'))).dir.map((e) => e.n), ['large']);
    const copied = Date.now();
    const hash = await page.evaluate((p) => globalThis.viewer.download(p), join(dir, 'files/large'));
    t.diagnostic(`seconds for 20 MB: ${(Date.now() - copied) / 1000}`);
    assert.equal(hash, createHash('sha256').update(data).digest('hex'));
    assert.equal(opened.relayed(), before, 'nothing of it has crossed the server');
    await page.evaluate(() => globalThis.viewer.close());
    await opened.wait('the end of the tunnel', () => opened.closed);
});

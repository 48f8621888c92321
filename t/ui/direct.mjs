// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// Sessions that leave the server: files and the desktop of our agent go straight between
// a real browser and the device, through a relay of datagrams that the test can cut.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { browse, findings, Line, Mesh, picture, root, Screen, until } from './mesh.mjs';

const NAME = 'ines';
const PASSWORD = 'korrekt-Pferd-42';
const SIZE = 20 * 1024 * 1024;
const BUILD = process.env.MESH_BUILD || join(root, 'build');
const ARGS = ['--disable-features=WebRtcHideLocalIpsWithMdns', '--allow-loopback-in-peer-connection'];

let mesh, line, screen, context, page, faults, state, id, dir, data;
const wires = [];

const hash = (where) => page.evaluate((h) => {
    location.hash = h;
}, where);
const device = (part) => `#/device/${encodeURIComponent(id)}/${part}`;
const row = (name) => page.locator('.frow:not(.heads)', { has: page.locator(`bdi[title="${name}"]`) });
const button = (name) => page.getByRole('button', { name, exact: true });
const sha = (bytes) => createHash('sha256').update(bytes).digest('hex');
const path = (where, words) => page.locator(`${where} .path`, { hasText: `Path: ${words}` });
const DIRECT = 'Straight to the device, beside the server';
const RELAY = 'Through the server';
const BROKEN = 'Through the server, as the direct path broke';

/** Between the browser and the port of an agent: counts, and lets nothing through when it is told so. */
class Wire {
    static cut = false;
    static limit = Infinity;

    static open(port) {
        const wire = new Wire();
        wire.bytes = wire.lost = 0;
        wire.socket = createSocket('udp4');
        wire.socket.on('message', (message, from) => {
            if (Wire.cut || wire.bytes > Wire.limit) {
                wire.lost++;
                return;
            }
            wire.bytes += message.length;
            if (from.port !== port) {
                wire.browser = from.port;
            }
            if (wire.browser) {
                wire.socket.send(message, from.port === port ? wire.browser : port, '127.0.0.1');
            }
        });
        wires.push(wire);
        return new Promise((resolve) => {
            wire.socket.bind(0, '127.0.0.1', () => resolve(wire.socket.address().port));
        });
    }
}

const carried = () => wires.reduce((sum, wire) => sum + wire.bytes, 0);

before(async () => {
    screen = await Screen.start(640, 480);
    mesh = await Mesh.start('mesh_webrtc on;\n');
    line = await Line.start(mesh.base);
    dir = join(mesh.dir, 'there');
    mkdirSync(dir);
    data = randomBytes(SIZE);
    writeFileSync(join(dir, 'large'), data);

    ({ context, page, faults } = await browse(mesh, { args: ARGS }));
    await context.exposeFunction('wired', (port) => Wire.open(port));
    await context.addInitScript(() => {
        globalThis.showSaveFilePicker = undefined;
        // neither finds the other but by the wire
        globalThis.RTCPeerConnection = class extends RTCPeerConnection {
            get localDescription() {
                const { type, sdp } = super.localDescription;
                return { type, sdp: sdp.replace(/^(a=candidate:\S+ 1 udp \d+ \S+) \d+/gmi, '$1 9') };
            }

            async setRemoteDescription({ type, sdp }) {
                const [, port] = /^a=candidate:\S+ 1 udp \d+ \S+ (\d+)/mi.exec(sdp);
                const to = await globalThis.wired(Number(port));
                await super.setRemoteDescription({ type, sdp: sdp.replace(/^(a=candidate:\S+ 1 udp \d+ \S+) \d+/gmi, `$1 ${to}`) });
            }
        };
    });
    await page.goto(mesh.setup);
    await page.getByLabel('User name').fill(NAME);
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Continue' }).click();
    const command = await page.locator('.command code').innerText();
    const [binary, settings] = [...command.matchAll(/https:[^"'\s;]+/g)].map((m) => m[0]);
    // what goes through the server is slow, so that the other way is there before the end
    line.rate(3_000_000);
    await mesh.agent(binary, settings, 'agent', { DISPLAY: screen.display, MESH_LINE: new URL(line.base).host }, {
        policy: 'webrtcAddress=127.0.0.1\r\n',
        files: [join(dirname(process.env.MESH_AGENT_BIN ?? join(BUILD, 'mesh-agent')), 'mesh_agent_rtc.so')],
    });
    await page.locator('.dev.is-online').waitFor();
    id = await page.locator('.dev').getAttribute('data-key');
    state = await context.storageState();
});

after(async () => {
    await mesh?.stop();
    await line?.stop();
    await screen?.stop();
    wires.forEach((wire) => wire.socket.close());
});

async function download() {
    await row('large').click();
    const [download] = await Promise.all([page.waitForEvent('download', { timeout: 90_000 }), page.locator('.f-down').click()]);
    return sha(readFileSync(await download.path()));
}

test('a folder is read over the direct path, and the page says so', async () => {
    await hash(device(`files/${encodeURIComponent(dir)}`));
    await row('large').waitFor();
    await path('.fbar', DIRECT).waitFor();
    const before = carried();
    writeFileSync(join(dir, 'new'), '');
    await page.getByRole('button', { name: 'More for this folder' }).click();
    await page.locator('wa-dropdown-item', { hasText: 'Read again' }).click();
    await row('new').waitFor();
    assert.ok(carried() > before, 'the listing has come by the wire');
    assert.deepEqual(await findings(page), []);
    await picture(page, 'direct-files');
});

test('20 MB come over the direct path with the same hash, from the middle of it on', async () => {
    const before = carried();
    const [, sum] = await Promise.all([path('.dock', DIRECT).waitFor(), download()]);
    assert.equal(sum, sha(data));
    assert.ok(carried() - before > SIZE / 4, `${carried() - before} bytes by the wire`);
});

test('20 MB go over the direct path with the same hash', async () => {
    const before = carried();
    const mine = join(mesh.dir, 'up');
    writeFileSync(mine, data);
    const [chooser] = await Promise.all([page.waitForEvent('filechooser'), button('Upload').click()]);
    await chooser.setFiles(mine);
    await path('.dock', DIRECT).waitFor();
    await page.locator('.tr.is-done', { hasText: 'up' }).waitFor();
    assert.equal(sha(readFileSync(join(dir, 'up'))), sha(data));
    assert.ok(carried() - before > SIZE / 4, `${carried() - before} bytes by the wire`);
});

test('the desktop goes straight to the device, and is the same picture', async () => {
    await hash(device('desktop'));
    await path('.sbar', DIRECT).waitFor();
    const before = carried();
    await screen.pattern(3);
    await until('a new picture by the wire', () => carried() - before > 4096);
    await page.waitForFunction(() => document.querySelector('canvas.picture')?.width === 640);
    assert.deepEqual(await findings(page), []);
    await picture(page, 'direct-desktop');
});

test('where the direct path breaks, the desktop is opened again and a transfer goes on through the server', async (t) => {
    await hash(device(`files/${encodeURIComponent(dir)}`));
    await row('large').waitFor();
    Wire.limit = 6 * 1024 * 1024;
    const fetched = download();
    await until('the wire is cut in the middle', () => wires.at(-1).lost > 0);
    const cut = Date.now();
    Wire.cut = true;
    await path('.dock', BROKEN).waitFor();
    t.diagnostic(`seconds until it goes on: ${(Date.now() - cut) / 1000}`);
    await picture(page, 'direct-broken');
    line.rate(0);
    assert.equal(await fetched, sha(data));

    await hash(device('desktop'));
    await path('.sbar', BROKEN).waitFor();
    await page.waitForFunction(() => document.querySelector('canvas.picture')?.width === 640);
    await screen.pattern(5);
});

test('where the direct path does not come about, everything goes through the server', async () => {
    const second = await browse(mesh, { args: ARGS, state, phone: true, dark: true });
    ({ page, context } = second);
    await context.exposeFunction('wired', (port) => Wire.open(port));
    await context.addInitScript(() => {
        globalThis.showSaveFilePicker = undefined;
    });
    await page.goto(new URL(device(`files/${encodeURIComponent(dir)}`), mesh.base).href);
    await row('large').waitFor();
    await path('.fbar', RELAY).waitFor();
    await picture(page, 'direct-phone');
    assert.deepEqual(second.faults, []);
});

test('no script of the page failed, and nothing of another host was asked for', () => {
    assert.deepEqual(faults, []);
});

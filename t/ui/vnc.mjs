// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// VNC in the page: a real VNC server on the device's loopback, whose screen
// this test paints and reads, through the relay.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { browse, compare, findings, freePort, looks, Mesh, picture, Screen, stockOf, until } from './mesh.mjs';

const NAME = 'ines';
const PASSWORD = 'korrekt-Pferd-42';
/* "password", as VNC servers keep it */
const KEPT = Buffer.from('dbd83cfd727a1458', 'hex');

let mesh, screen, context, page, faults, id, port;

const hash = (where) => page.evaluate((h) => {
    location.hash = h;
}, where);
const vnc = () => `#/device/${encodeURIComponent(id)}/vnc`;

const difference = (n) => compare(page, '.vnc-view canvas', n);

async function connect(to, password) {
    await page.getByLabel('Port').fill(String(to));
    await page.getByRole('button', { name: 'Connect', exact: true }).click();
    if (password !== undefined) {
        await page.locator('dialog, wa-dialog').getByLabel('Password').fill(password);
        await page.locator('dialog, wa-dialog').getByRole('button', { name: 'Connect' }).click();
    }
}

before(async () => {
    mesh = await Mesh.start();
    port = await freePort();
    writeFileSync(join(mesh.dir, 'vnc'), KEPT);
    screen = await Screen.start(640, 384, ['Xtigervnc', '-geometry', '640x384', '-depth', '24', '-rfbport', String(port), '-localhost',
        '-SecurityTypes', 'VncAuth', '-PasswordFile', join(mesh.dir, 'vnc')]);
    ({ context, page, faults } = await browse(mesh));
    await page.goto(mesh.setup);
    await page.getByLabel('User name').fill(NAME);
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Continue' }).click();
    const command = await page.locator('.command code').innerText();
    const [binary, settings] = [...command.matchAll(/https:[^"'\s;]+/g)].map((m) => m[0]);
    await mesh.agent(stockOf(binary), settings);
    await page.locator('.dev.is-online').waitFor({ timeout: 60_000 });
    id = await page.locator('.dev').getAttribute('data-key');
    await screen.pattern(1);
    await hash(`#/device/${encodeURIComponent(id)}`);
    await page.getByRole('link', { name: 'VNC' }).click();
});

after(async () => {
    await screen?.stop();
    await mesh?.stop();
});

test('a port where nobody listens is said in words', async () => {
    await connect(await freePort());
    await page.getByText('Is a VNC server running').waitFor();
});

test('an address that the group does not allow is refused in words', async () => {
    await page.getByLabel('Address').fill('192.168.77.5');
    await connect(port);
    await page.getByText('The group of this device does not allow connections').waitFor();
    await picture(page, 'vnc-form');
    assert.deepEqual(await findings(page), []);
    await page.getByLabel('Address').fill('');
});

test('a wrong password is refused by the server, and said', async () => {
    await connect(port, 'wrong');
    await page.getByRole('alert').getByText(/refused/).waitFor();
});

test('with the right one the screen is there, pixel by pixel', async () => {
    await connect(port, 'password');
    await until('the pattern', async () => (await difference(1)).worst <= 8);
    const { width, height } = await difference(1);
    assert.deepEqual([width, height], [640, 384]);
    await screen.pattern(2);
    await until('the next pattern', async () => (await difference(2)).worst <= 8);
    await picture(page, 'vnc');
    assert.deepEqual(await findings(page), []);
});

test('a key and a click arrive there', async () => {
    const box = await page.locator('.vnc-view canvas').boundingBox();
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    await page.keyboard.type('aB');
    await until('both letters', () => screen.events.includes('key down 61') && screen.events.includes('key down 42'));
});

test('who only looks types nothing', async () => {
    await page.getByRole('button', { name: 'View only' }).click();
    await page.locator('.vnc-view canvas').click();
    await page.keyboard.type('z');
    await page.getByRole('button', { name: 'View only' }).click();
    await page.locator('.vnc-view canvas').click();
    await page.keyboard.type('y');
    await until('the letter after it', () => screen.events.includes('key down 79'));
    assert.ok(!screen.events.includes('key down 7a'), 'nothing of what was typed before');
});

test('it is in the list of sessions with where it goes, and lives on meanwhile', async () => {
    await hash('#/sessions');
    await page.getByText(`127.0.0.1:${port}`).waitFor();
    await hash(vnc());
    await screen.pattern(3);
    await until('the pattern', async () => (await difference(3)).worst <= 8);
});

test('it ends and begins again in place', async () => {
    await page.getByRole('button', { name: 'Disconnect' }).click();
    await page.getByText('Disconnected.').waitFor();
    await page.getByRole('button', { name: 'Connect again' }).click();
    await page.locator('dialog, wa-dialog').getByLabel('Password').fill('password');
    await page.locator('dialog, wa-dialog').getByRole('button', { name: 'Connect' }).click();
    await screen.pattern(4);
    await until('the pattern', async () => (await difference(4)).worst <= 8);
});

// light and wide is above
for (const { kind, ...look } of looks.slice(1)) {
    test(`axe-core finds nothing serious around a screen, ${kind}`, async () => {
        const mine = page;
        const other = await browse(mesh, { ...look, state: await context.storageState() });

        page = other.page;
        await page.goto(mesh.base + vnc());
        await page.getByLabel('Port').waitFor();
        await picture(page, `vnc-form-${kind}`);
        assert.deepEqual(await findings(page), []);
        await connect(port);
        await page.locator('dialog, wa-dialog').getByLabel('Password').waitFor();
        await picture(page, `vnc-password-${kind}`);
        assert.deepEqual(await findings(page), []);
        await page.locator('dialog, wa-dialog').getByLabel('Password').fill('password');
        await page.locator('dialog, wa-dialog').getByRole('button', { name: 'Connect' }).click();
        await until('the pattern', async () => (await difference(4)).worst <= 8);
        await picture(page, `vnc-${kind}`);
        assert.deepEqual(await findings(page), []);
        assert.deepEqual(other.faults, []);
        await other.browser.close();
        page = mine;
    });
}

test('a server that goes away is said', async () => {
    await screen.stop();
    await page.getByText('The connection was closed by the other side.').waitFor();
});

test('what a group allows is edited with it, and a wrong line is said', async () => {
    await hash('#/groups');
    const field = page.getByLabel('Also reachable');
    await field.fill('192.168.77.0/24:5900\nprinter');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('printer: An entry is an address and its ports').waitFor();
    await field.fill('192.168.77.0/24:5900');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('button', { name: 'Discard' }).waitFor({ state: 'detached' });
    await picture(page, 'group-targets');
    assert.deepEqual(await findings(page), []);
    await hash(vnc());
    await page.getByRole('button', { name: 'Another address' }).click();
    await page.getByText('192.168.77.0/24:5900').waitFor();
});

test('nothing is said by the console, and no other host is asked', () => {
    assert.deepEqual(faults, []);
});

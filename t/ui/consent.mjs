// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// A group whose devices ask: the question on a real screen, and what the page says while
// it is open, when it is agreed to, refused, or left; and sessions whose right goes.

import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { browse, findings, Mesh, picture, root, Screen, until } from './mesh.mjs';

const NAME = 'ines';
const PASSWORD = 'korrekt-Pferd-42';
const BUILD = process.env.MESH_BUILD || join(root, 'build');
const NOBODY = 65534;
/** A question is open for 30 seconds. */
const OPEN = 45_000;

// who is at the screen is asked of the system: this one has a /run of its own
const may = process.getuid() === 0 && spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/run']).status === 0;
const skip = may ? false : 'needs root and mounts';
const UNDER = `mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/sessions; cp "$0/utmp" /run/utmp
    cp "$0/session" /run/systemd/sessions/1; exec "$@"`;

let mesh, screen, person, context, page, faults, id, dir, left;

const hash = (where) => page.evaluate((h) => {
    location.hash = h;
}, where);
const device = (part) => hash(`#/device/${encodeURIComponent(id)}/${part}`);
const button = (name) => page.getByRole('button', { name, exact: true });
const says = (text) => page.locator('.term-says, .fwait, .ftable .nothing').getByText(text).first().waitFor({ timeout: OPEN });
const WAITS = 'Waiting for the person at the device to allow it.';
const ENDED = 'It was ended by the server: somebody ended it, or the right to it is gone.';
const REFUSED = 'The person at the device has refused it.';

const xdotool = (...args) => spawnSync('xdotool', args, { env: { ...process.env, DISPLAY: screen.display }, encoding: 'utf8' }).stdout.trim();

/** The windows of questions that are open on the screen. */
const questions = () => xdotool('search', '--onlyvisible', '--name', '^Remote session$').split('\n').filter(Boolean);

/** The question that is not left alone, answered by its button: 0 is yes. */
async function answer(n) {
    const window = await until('a question on the screen', () => questions().find((w) => w !== left));
    const geometry = xdotool('getwindowgeometry', '--shell', window);
    const [x, y, , height] = ['X', 'Y', 'WIDTH', 'HEIGHT'].map((key) => Number(new RegExp(`^${key}=(\\d+)`, 'm').exec(geometry)[1]));
    xdotool('mousemove', String(x + 22 + 26 * n), String(y + height - 15), 'click', '1');
    await until('the question to go', () => !questions().includes(window));
}

before(async () => {
    if (skip) {
        return;
    }
    screen = await Screen.start(800, 600);
    mesh = await Mesh.start();
    dir = join(mesh.dir, 'there');
    mkdirSync(dir);
    writeFileSync(join(dir, 'plain.txt'), 'one\n');

    // the person: logged in at this screen, with a program on it
    const utmp = Buffer.alloc(384);
    utmp.writeInt16LE(7, 0);
    utmp.writeInt32LE(screen.server.pid, 4);
    utmp.write(screen.display, 8);
    utmp.write('nobody', 44);
    utmp.write(screen.display, 76);
    writeFileSync(join(mesh.dir, 'utmp'), utmp);
    writeFileSync(join(mesh.dir, 'session'), `UID=${NOBODY}\nUSER=nobody\nACTIVE=1\nSTATE=active\nSEAT=seat0\nCLASS=user\nTYPE=x11\nDISPLAY=${screen.display}\n`);
    person = spawn('sleep', ['600'], { uid: NOBODY, gid: NOBODY, env: { DISPLAY: screen.display }, stdio: 'ignore' });

    ({ context, page, faults } = await browse(mesh));
    await page.goto(mesh.setup);
    await page.getByLabel('User name').fill(NAME);
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Continue' }).click();
    const command = await page.locator('.command code').innerText();
    const [binary, settings] = [...command.matchAll(/https:[^"'\s;]+/g)].map((m) => m[0]);
    await mesh.agent(binary, settings, 'agent', {}, { under: ['unshare', '-m', 'sh', '-euc', UNDER, mesh.dir] });
    await page.locator('.dev.is-online').waitFor();
    id = await page.locator('.dev').getAttribute('data-key');
});

after(async () => {
    person?.kill();
    await mesh?.stop();
    await screen?.stop();
});

test('a group is told to ask before a session opens', { skip }, async () => {
    await hash('#/groups');
    for (const name of ['Ask who is logged in before the screen is shown', 'Ask who is logged in before a terminal opens', 'Ask who is logged in before files are opened']) {
        await page.getByLabel(name).check();
    }
    await button('Save').click();
    await until('it is saved', async () => await button('Save').getAttribute('aria-disabled') === 'true');
    assert.deepEqual(await findings(page), []);
    await picture(page, 'consent-group');
});

test('a terminal waits for the person at the device, and opens when that agrees', { skip }, async () => {
    // its question stays open meanwhile
    await device('desktop');
    await says(WAITS);
    left = await until('a question', () => questions()[0]);

    await device('terminal');
    await says(WAITS);
    assert.deepEqual(await findings(page), []);
    await picture(page, 'consent-waits');
    await answer(0);
    await until('a prompt', async () => /[#$] *$/m.test(await page.locator('.term .xterm-rows').innerText()));
});

test('one that is refused says so, and can be asked for again', { skip }, async () => {
    await button('Disconnect').click();
    await button('Connect').click();
    await says(WAITS);
    await answer(1);
    await says(REFUSED);
    await picture(page, 'consent-refused');
});

test('files are refused, asked for again, and there when the person agrees', { skip }, async () => {
    await device(`files/${encodeURIComponent(dir)}`);
    await says(WAITS);
    await answer(1);
    await says(REFUSED);
    assert.equal(await page.getByText('plain.txt').count(), 0, 'nothing of the device is shown before');
    await button('Try again').click();
    await says(WAITS);
    await picture(page, 'consent-files');
    await answer(0);
    await page.locator('.frow bdi[title="plain.txt"]').waitFor();
});

test('a question that nobody answers is over in half a minute, and the page says why', { skip }, async () => {
    await device('desktop');
    await says('Nobody at the device has answered in time.');
    await until('the question to go', () => !questions().includes(left));
    // another window may get its number
    left = undefined;
    await button('Connect again').click();
    await says(WAITS);
    await answer(0);
    await page.getByText('The person at the device allowed this').waitFor();
    await page.waitForFunction(() => document.querySelector('canvas.picture')?.width === 800);
});

test('what is refused and agreed to is in the events of the device', { skip }, async () => {
    await device('events');
    await page.getByText('Local user rejected remote terminal request').first().waitFor();
    await page.getByText('Local user accepted remote file access').first().waitFor();
});

/** A command to the server, of the account that the page belongs to. */
const command = (message) => page.evaluate((m) => new Promise((resolve, reject) => {
    const socket = new WebSocket(`wss://${location.host}/control.ashx`);
    socket.onopen = () => socket.send(JSON.stringify({ ...m, responseid: 'test' }));
    socket.onclose = () => reject(new Error('closed'));
    socket.onmessage = ({ data }) => {
        const reply = JSON.parse(data);
        if (reply.responseid === 'test') {
            socket.onclose = null;
            socket.close();
            resolve(reply);
        }
    };
}), message);

test('sessions whose right is taken away say that it was the server', { skip }, async () => {
    const [{ _id: meshid }] = (await command({ action: 'meshes' })).meshes;
    // an account of another process is known a moment later
    const grant = (meshadmin) => until('the grant', async () => (await command({ action: 'addmeshuser', meshid, usernames: ['mei'], meshadmin })).result.includes('mei'));
    await command({ action: 'editmesh', meshid, consent: 0 });
    execFileSync(join(BUILD, 'mesh-admin'), ['-c', join(mesh.data, 'nginx.conf'), 'user', 'add', 'mei'], { input: `${PASSWORD}\n` });
    await grant(8);

    const second = await browse(mesh, { phone: true, dark: true });
    const mei = second.page;
    const go = (part) => mei.evaluate((h) => {
        location.hash = h;
    }, `#/device/${encodeURIComponent(id)}/${part}`);
    await mei.goto(mesh.base);
    await mei.getByLabel('User name').fill('mei');
    await mei.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await mei.getByRole('button', { name: 'Sign in' }).click();
    await mei.locator('.dev.is-online').waitFor();
    await go('files');
    await mei.locator('.frow bdi[title="etc"]').waitFor();
    await go('desktop');
    await mei.waitForFunction(() => document.querySelector('canvas.picture')?.width === 800);
    await grant(256);
    await mei.locator('.term-says').getByText(ENDED).waitFor();
    await picture(mei, 'consent-ended');
    await grant(8);
    await go('files');
    await mei.locator('.frow bdi[title="etc"]').waitFor();
    assert.deepEqual(second.faults, []);
});

test('no script of the page failed, and nothing of another host was asked for', { skip }, () => {
    assert.deepEqual(faults, []);
});

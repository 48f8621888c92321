// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// The messenger in the page: two people in two browsers, and somebody at a device
// who has no account.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { browse, findings, Mesh, picture, until } from './mesh.mjs';

const PASSWORD = 'korrekt-Pferd-42';
const SCRIPT = '<script>document.title = "taken"</script><img src=x onerror="alert(1)"> \u202ereversed';
// two browsers of one machine, with a camera that is none and somebody who allows it
const CAMERA = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--disable-features=WebRtcHideLocalIpsWithMdns', '--allow-loopback-in-peer-connection'];
const SIZE = 5 * 1024 * 1024;

let mesh, ines, mei, group, agent;

const go = (who, where) => who.page.evaluate((h) => {
    location.hash = h;
}, where);
const log = (who) => who.page.getByRole('log');
const text = async (who) => (await log(who).innerText()).replaceAll(/\s+/g, ' ');
const write = async (who, words) => {
    await who.page.getByLabel('Message', { exact: true }).fill(words);
    await who.page.getByLabel('Message', { exact: true }).press('Enter');
};
const state = (who, word) => who.page.locator('.chat-state').getByText(word, { exact: true }).waitFor();
const button = (who, name) => who.page.getByRole('button', { name, exact: true });

async function signIn(name, options = {}) {
    const who = await browse(mesh, { args: CAMERA, ...options });
    // a dialog of the system cannot be answered here: the page keeps the file itself
    await who.context.addInitScript(() => {
        globalThis.showSaveFilePicker = undefined;
        globalThis.sockets = [];
        globalThis.WebSocket = class extends WebSocket {
            constructor(url) {
                super(url);
                globalThis.sockets.push(this);
            }
        };
    });
    await who.page.goto(mesh.base);
    await who.page.getByLabel('User name').fill(name);
    await who.page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await who.page.getByRole('button', { name: 'Sign in' }).click();
    await who.page.getByText('Live', { exact: true }).waitFor();
    return who;
}

/** ines invites mei, who answers. */
async function invite(answer) {
    await go(ines, '#/messenger');
    await button(ines, 'Invite mei').click();
    await mei.page.locator('.invitation').getByRole('button', { name: answer }).click();
}

/** The sum of a small picture of a video, 0 before there is one. */
const sum = (who, selector) => who.page.evaluate((s) => {
    const video = document.querySelector(s);
    if (!video?.videoWidth) {
        return 0;
    }
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [64, 48];
    const to = canvas.getContext('2d');
    to.drawImage(video, 0, 0, 64, 48);
    return to.getImageData(0, 0, 64, 48).data.reduce((a, b, i) => (a + b * (i % 97 + 1)) % 1_000_003, 0);
}, selector);

/** Waits until a video shows what it did not show before. */
async function moves(who, selector) {
    const first = await until(`a picture in ${selector}`, () => sum(who, selector));
    await until(`another picture in ${selector}`, async () => (await sum(who, selector)) !== first);
}

before(async () => {
    mesh = await Mesh.start('mesh_relay_record recordings;\n');
    mesh.admin(['user', 'add', 'ines', '--site-admin'], `${PASSWORD}\n`);
    mesh.admin(['user', 'add', 'mei'], `${PASSWORD}\n`);
    group = mesh.admin(['group', 'add', 'Lab', '--owner', 'ines']).trim();
    ines = await signIn('ines');
    mei = await signIn('mei');
    agent = await mesh.wireAgent(730, 'reception', group);
});

after(async () => {
    await mesh?.stop();
});

test('an invitation that is refused is said to be', async () => {
    await go(ines, '#/messenger');
    await ines.page.getByText('Connected now').waitFor();
    assert.deepEqual(await findings(ines.page), []);
    await picture(ines.page, 'messenger-list');
    await invite('Refuse');
    await state(ines, 'Refused');
    await ines.page.getByText('mei refused.').waitFor();
    assert.equal(await mei.page.locator('.invitation').count(), 0);
    assert.equal(await button(ines, 'Send').getAttribute('aria-disabled'), 'true');
});

test('one that is accepted opens it on both sides', async () => {
    await invite('Accept');
    await Promise.all([state(ines, 'Connected'), state(mei, 'Connected')]);
    assert.match(await text(mei), /ines is here/);
});

test('text is text, whatever stands in it, with who said it and when', async () => {
    await write(ines, SCRIPT);
    await write(mei, 'two\nlines https://example.com/');
    await until('the text at mei', async () => (await text(mei)).includes('onerror'));
    await until('the text at ines', async () => (await text(ines)).includes('example.com'));
    const said = await mei.page.locator('.theirs .said').innerText();
    assert.equal(said, SCRIPT.replace('\u202e', ''));
    assert.match(await mei.page.locator('.theirs .by').innerText(), /^ines\s*\d\d:\d\d$/);
    assert.equal(await mei.page.locator('.said *').count(), 0, 'S-11: no element comes out of a text');
    assert.equal(await ines.page.locator('.theirs .said').innerText(), 'two\nlines https://example.com/');
    assert.match(await mei.page.title(), /^Chat/);
    await until('that mei writes', async () => {
        await mei.page.getByLabel('Message', { exact: true }).pressSequentially('h');
        return ines.page.getByText('is writing…').isVisible();
    });
    await mei.page.getByLabel('Message', { exact: true }).fill('');
    assert.deepEqual(await findings(mei.page), []);
});

test('a file goes over whole, when it is wanted', async () => {
    const data = randomBytes(SIZE);
    const file = join(mesh.dir, 'large ½.bin');
    writeFileSync(file, data);
    const [chooser] = await Promise.all([ines.page.waitForEvent('filechooser'), button(ines, 'Offer a file').click()]);
    await chooser.setFiles(file);
    await ines.page.getByText('Waiting to be accepted').waitFor();
    const [download] = await Promise.all([mei.page.waitForEvent('download'), button(mei, 'Save large ½.bin').click()]);
    await Promise.all([ines.page.locator('.parcel[data-state=done]').waitFor(), mei.page.locator('.parcel[data-state=done]').waitFor()]);
    assert.equal(download.suggestedFilename(), 'large ½.bin');
    const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');
    assert.equal(hash(readFileSync(await download.path())), hash(data));
});

test('one that is not wanted is refused, and both sides say so', async () => {
    const [chooser] = await Promise.all([mei.page.waitForEvent('filechooser'), button(mei, 'Offer a file').click()]);
    await chooser.setFiles({ name: 'no.txt', mimeType: 'text/plain', buffer: Buffer.from('no') });
    await button(ines, 'Refuse no.txt').click();
    await mei.page.getByText('Refused by the other side').waitFor();
    assert.equal(await ines.page.locator('.parcel[data-state=refused]').count(), 1);
});

test('a call shows each side the moving picture of the other, and can be muted', async () => {
    await button(ines, 'Call with camera').click();
    await mei.page.getByRole('alertdialog').getByText('calls with camera').waitFor();
    assert.deepEqual(await findings(mei.page), []);
    await picture(mei.page, 'messenger-asked');
    await button(mei, 'Answer with camera').click();
    await Promise.all([moves(mei, 'video.theirs'), moves(ines, 'video.theirs')]);
    await Promise.all([picture(ines.page, 'messenger-call'), picture(mei.page, 'messenger-call-other')]);
    assert.deepEqual(await findings(ines.page), []);
    await button(ines, 'Turn the microphone off').click();
    await mei.page.getByRole('img', { name: 'The microphone is off' }).waitFor();
    await button(ines, 'Turn the camera off').click();
    await mei.page.locator('.no-picture').waitFor();
    await button(ines, 'Turn the camera on').click();
    await mei.page.locator('.no-picture').waitFor({ state: 'detached' });
});

test('it goes on, and is heard, while one looks elsewhere', async () => {
    await go(mei, '#/devices');
    const toast = mei.page.locator('.toast').filter({ hasText: 'Call with ines' });
    await toast.waitFor();
    await until('that it is heard', () => mei.page.evaluate(() => {
        const audio = document.querySelector('.toast audio');
        return audio.srcObject?.getAudioTracks().length === 1 && !audio.paused && audio.currentTime > 0;
    }));
    assert.deepEqual(await findings(mei.page), []);
    await toast.getByRole('button', { name: 'Open' }).click();
    await moves(mei, 'video.theirs');
});

test('hanging up ends it on both sides, and lets the camera go', async () => {
    const tracks = await ines.page.evaluate(() => {
        globalThis.kept = document.querySelector('video.ours').srcObject.getTracks();
        return globalThis.kept.length;
    });
    assert.equal(tracks, 2);
    await button(mei, 'Hang up').click();
    await ines.page.getByText('The other side ended the call.').waitFor();
    assert.equal(await mei.page.locator('video').count(), 0);
    assert.deepEqual(await ines.page.evaluate(() => globalThis.kept.map((track) => track.readyState)), ['ended', 'ended']);
});

test('a call that is declined is said to be', async () => {
    await button(mei, 'Call').click();
    await button(ines, 'Decline').click();
    await mei.page.getByText('The other side declined the call.').waitFor();
    await write(mei, 'later then');
    await until('the text at ines', async () => (await text(ines)).includes('later then'));
});

test('a conversation goes on while one looks elsewhere, and says what is new', async () => {
    await go(mei, '#/devices');
    await mei.page.locator('.devices').waitFor();
    await write(ines, 'are you there?');
    await mei.page.locator('.rail .count').getByText('1').waitFor();
    await mei.page.getByRole('link', { name: /Chat/ }).first().click();
    await mei.page.locator('.chat-list a').click();
    await until('the text', async () => (await text(mei)).includes('are you there?'));
    assert.equal(await mei.page.locator('.rail .count').count(), 0);
});

test('who comes back after a break finds the other side', async () => {
    await mei.page.evaluate(() => {
        globalThis.sockets.filter((socket) => socket.url.includes('meshrelay')).forEach((socket) => socket.close());
    });
    await Promise.all([ines, mei].map((who) => until('that it broke and came back', async () => {
        const words = await text(who);
        return words.indexOf('is here', words.indexOf('The connection broke') + 1) > 0;
    })));
    await write(ines, 'still here');
    await until('the text at mei', async () => (await text(mei)).includes('still here'));
});

test('who leaves is said to have left', async () => {
    await button(mei, 'Leave').click();
    await state(ines, 'Ended');
    assert.match(await text(ines), /mei has left/);
    await picture(ines.page, 'messenger-ended');
});

test('somebody at a device is invited from its page, and answers without an account', async () => {
    const id = agent.node.split('/')[2];
    await go(ines, `#/device/${encodeURIComponent(id)}`);
    await button(ines, 'More actions').click();
    await ines.page.getByText('Chat…', { exact: true }).click();
    await ines.page.locator('wa-button', { hasText: 'Invite' }).click();
    await state(ines, 'Waiting for an answer');
    const { url } = await until('the page at the device', () => agent.messages().find((m) => m.action === 'openUrl'));
    const visitor = await browse(mesh, { args: CAMERA, phone: true, dark: true });
    await visitor.page.goto(url);
    await visitor.page.getByText('asks for a conversation').waitFor();
    assert.deepEqual(await findings(visitor.page), []);
    await picture(visitor.page, 'messenger-visitor');
    await button(visitor, 'Accept').click();
    await Promise.all([state(ines, 'Connected'), state(visitor, 'Connected')]);
    await write(visitor, 'The printer does not print.');
    await write(ines, 'Let me see what it says. Which one is it, the one at the window or the other one?');
    await until('the text at the device', async () => (await text(visitor)).includes('at the window'));
    await until('the text at ines', async () => (await text(ines)).includes('printer'));
    assert.match(await ines.page.locator('.chat-head h1').innerText(), /reception/);
    await picture(visitor.page, 'messenger-phone-dark');
    await picture(ines.page, 'messenger');
    assert.deepEqual(await findings(visitor.page), []);
    // its own right is the ticket alone: no word of it is a way in
    await visitor.page.goto(mesh.base);
    await visitor.page.getByLabel('User name').waitFor();
    await state(ines, 'Ended');

    await button(ines, 'Invite').click();
    const again = await until('the second page', () => agent.messages().filter((m) => m.action === 'openUrl')[1]);
    await visitor.page.goto(again.url);
    await button(visitor, 'Refuse').click();
    await state(ines, 'Refused');
    await visitor.page.getByText('This page can be closed.').waitFor();
    assert.deepEqual(visitor.faults, []);
});

test('a device that cannot open the page says so', async () => {
    await button(ines, 'Invite').click();
    await state(ines, 'Waiting for an answer');
    const asked = await until('the third question', () => agent.messages().filter((m) => m.action === 'openUrl')[2]);
    agent.send({ action: 'openUrl', sessionid: asked.sessionid, success: false });
    await ines.page.getByText('nobody is logged in on its screen').waitFor();
});

test('neither side saw a fault', () => {
    assert.deepEqual([...ines.faults, ...mei.faults], []);
});

test('what was said to a device plays, though the workers were killed while it was', async () => {
    const asked = agent.messages().filter((m) => m.action === 'openUrl').length;
    await button(ines, 'Invite').click();
    const { url } = await until('the page at the device', () => agent.messages().filter((m) => m.action === 'openUrl')[asked]);
    const visitor = await browse(mesh, { args: CAMERA });
    await visitor.page.goto(url);
    await button(visitor, 'Accept').click();
    await Promise.all([state(ines, 'Connected'), state(visitor, 'Connected')]);
    await write(visitor, 'It is on fire.');
    await write(ines, 'Is it the one at the window?');
    const file = await until('both on the disk', () => mesh.recorded(['on fire', 'at the window?']));
    mesh.killWorkers();
    await go(ines, `#/recordings/${encodeURIComponent(file)}`);
    await until('what was said', async () => {
        const said = ines.page.locator('.rec-lines');
        if (await said.count()) {
            return /The device: It is on fire\.\s+ines: Is it the one at the window\?/.test(await said.innerText());
        }
        // the worker that was asked was not there yet
        await go(ines, '#/recordings');
        await go(ines, `#/recordings/${encodeURIComponent(file)}`);
        return false;
    });
    assert.deepEqual(await findings(ines.page), []);
    await picture(ines.page, 'recording-chat');
});

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// Recordings in the page: a terminal and a desktop are used, then played, with
// their places and their end.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browse, compare, findings, Mesh, picture, Screen, until } from './mesh.mjs';

const NAME = 'ines';
const PASSWORD = 'korrekt-Pferd-42';
/** how a picture begins in a file */
const JPEG = Buffer.from([0xff, 0xd8, 0xff]);

let mesh, screen, context, page, faults, state, id;

const hash = (where) => page.evaluate((h) => {
    location.hash = h;
}, where);
const device = (tab) => `#/device/${encodeURIComponent(id)}/${tab}`;
const rows = () => page.getByRole('region', { name: 'Recordings' }).getByRole('row');
const played = () => page.locator('.rec-term .xterm-rows').innerText();
const seek = (share) => page.getByLabel('Place in the recording').evaluate((range, part) => {
    range.value = String(Number(range.max) * part);
    range.dispatchEvent(new Event('input', { bubbles: true }));
}, share);

/** The worst channel of any pixel of the canvas against pattern n. */
const difference = async (n) => {
    const { width, worst } = await compare(page, 'canvas.rec-desk', n);
    return width < 2 ? 255 : worst;     // before the first picture
};

before(async () => {
    screen = await Screen.start(640, 448);
    mesh = await Mesh.start('mesh_relay_record recordings;\n');
    ({ context, page, faults } = await browse(mesh));
    await page.goto(mesh.setup);
    await page.getByLabel('User name').fill(NAME);
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Continue' }).click();
    const command = await page.locator('.command code').innerText();
    const [binary, settings] = [...command.matchAll(/https:[^"'\s;]+/g)].map((m) => m[0]);
    await mesh.agent(binary.replace('product=own', 'product=stock'), settings, 'agent', { DISPLAY: screen.display });
    await page.locator('.dev.is-online').waitFor({ timeout: 60_000 });
    id = await page.locator('.dev').getAttribute('data-key');
    state = await context.storageState();
});

after(async () => {
    await mesh?.stop();
    await screen?.stop();
});

test('with nothing recorded the page says when something will be', async () => {
    await hash('#/sessions');
    await page.getByRole('link', { name: 'Recordings', exact: true }).click();
    await page.getByText('None yet.').waitFor();
});

test('a terminal is recorded, and the list says whose and how long', async () => {
    await hash(device('overview'));
    await page.getByRole('button', { name: 'Terminal' }).click();
    await page.locator('.term .xterm-rows').waitFor();
    await until('a prompt', async () => /[#$] *$/m.test(await page.locator('.term .xterm-rows').innerText()));
    await page.keyboard.type('clear; echo first-$((2+3))\r');
    await until('the echo', async () => (await page.locator('.term .xterm-rows').innerText()).includes('first-5'));
    await page.keyboard.type('clear; echo second-$((3+4)); sleep 1; exit\r');
    await page.locator('.term-says').getByText('has ended').waitFor();
    await hash('#/recordings');
    await until('the row', async () => {
        await hash('#/sessions');
        await hash('#/recordings');
        return /Terminal.*ines.*Download/s.test(await page.locator('main').innerText());
    });
    assert.equal(await rows().count(), 2);
});

test('it plays, from any place and to its end', async () => {
    await rows().nth(1).getByRole('link').first().click();
    await until('the last screen', async () => (await played()).includes('second-7'));
    await page.getByRole('button', { name: 'Play' }).waitFor();
    await seek(0);
    await until('the first screen', async () => !(await played()).includes('second-7'));
    await page.getByRole('button', { name: 'Play' }).click();
    await until('the last screen again', async () => (await played()).includes('second-7'));
    await page.getByRole('button', { name: 'Play' }).waitFor();
    await page.locator('.rec-stage').focus();
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press(' ');
    await until('the last screen by keys', async () => (await played()).includes('second-7'));
    assert.deepEqual(await findings(page), []);
    await picture(page, 'recording-terminal');
});

test('a desktop is recorded, and its picture is right at any place', async () => {
    await screen.pattern(1);
    await hash(device('overview'));
    await page.getByRole('button', { name: 'Desktop', exact: true }).click();
    await until('the picture', () => page.evaluate(() => (document.querySelector('canvas.picture')?.width ?? 0) > 100));
    // tiles of the second pattern are in the file when the page has them
    await screen.pattern(2);
    await until('the second picture', () => page.evaluate(() => {
        const canvas = document.querySelector('canvas.picture');
        const { data } = canvas.getContext('2d').getImageData(0, 0, 1, 1);
        return Math.abs(data[0] - 58) < 12 && Math.abs(data[1] - 26) < 12;
    }));
    await hash('#/sessions');
    await page.getByRole('row', { name: /Desktop/ }).getByRole('button', { name: 'Disconnect' }).click();
    await until('the row', async () => {
        await hash('#/sessions');
        await hash('#/recordings');
        return /Desktop.*Terminal/s.test(await page.locator('main').innerText());
    });
    await rows().nth(1).getByRole('link').first().click();
    await page.getByRole('button', { name: 'Play' }).waitFor();
    // the picture of a session is not of quality 100: each channel within 24
    await until('the second pattern', async () => (await difference(2)) <= 24);
    await seek(0);
    await until('not the second any more', async () => (await difference(2)) > 24);
    await seek(1);
    await until('the second pattern, from its tiles alone', async () => (await difference(2)) <= 24);
    assert.deepEqual(await findings(page), []);
    await picture(page, 'recording-desktop');
});

test('recordings are found by words, fetched and deleted', async () => {
    await hash('#/recordings');
    await page.getByLabel('Search recordings').fill('ines desktop');
    await until('one row', async () => (await rows().count()) === 2);
    const [download] = await Promise.all([page.waitForEvent('download'), rows().nth(1).getByRole('link', { name: 'Download' }).click()]);
    assert.match(download.suggestedFilename(), /^relaysession-.*\.mcrec$/);
    await page.getByLabel('Search recordings').fill('nobody');
    await page.getByText('None of them has these words.').waitFor();
    await page.getByLabel('Search recordings').fill('');
    await rows().nth(1).getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('button', { name: 'Delete the recording' }).click();
    await until('one row less', async () => (await rows().count()) === 2);
    assert.deepEqual(await findings(page), []);
    await picture(page, 'recordings');
});

test('what killed workers were recording plays: a terminal, files and a desktop', async () => {
    const known = mesh.recordings();
    await hash(device('terminal'));
    await page.getByRole('button', { name: 'Connect', exact: true }).click();
    await until('a prompt', async () => /[#$] *$/m.test(await page.locator('.term .xterm-rows').innerText()));
    await page.locator('.term .xterm-helper-textarea').focus();
    await page.keyboard.type('clear; echo cut-$((4+5))\r');
    await hash(device('files'));
    await page.locator('.frow bdi[title="etc"]').waitFor();
    await hash(device('desktop'));
    await page.getByRole('button', { name: 'Connect again' }).click();
    const files = await until('all three on the disk', () => {
        const found = [['cut-9'], ['"dir":', '"etc"'], ['"protocol":2', JPEG]].map((words) => mesh.recorded(words, known));
        return found.every(Boolean) && found;
    });

    mesh.killWorkers();
    await until('the three in the list', async () => {
        await hash('#/sessions');
        await hash('#/recordings');
        return /Desktop.*Files.*Terminal.*Terminal/s.test(await page.locator('main').innerText());
    });
    const open = (i) => hash(`#/recordings/${encodeURIComponent(files[i])}`);
    await open(0);
    await until('the screen', async () => (await played()).includes('cut-9'));
    await open(1);
    await page.locator('.rec-lines').getByText('ines opens /', { exact: true }).first().waitFor();
    await page.locator('.rec-lines').getByText(/The device shows \/: \d+ entries/).first().waitFor();
    assert.deepEqual(await findings(page), []);
    await picture(page, 'recording-files');
    await open(2);
    await until('the picture', async () => (await difference(2)) <= 24);
});

test('S-12: nothing of this broke the content policy, called another host, or threw', () => {
    assert.deepEqual(faults, []);
});

for (const [name, look] of Object.entries({ 'phone-light': { phone: true }, 'phone-dark': { phone: true, dark: true }, 'wide-dark': { dark: true } })) {
    test(`axe-core finds nothing serious, ${name}`, async () => {
        const other = await browse(mesh, { ...look, state });
        await other.page.goto(`${mesh.base}#/recordings`);
        await other.page.getByRole('region', { name: 'Recordings' }).waitFor();
        assert.deepEqual(await findings(other.page), []);
        await picture(other.page, `recordings-${name}`);
        await other.page.getByRole('region', { name: 'Recordings' }).getByRole('link').first().click();
        await other.page.getByRole('button', { name: /Play|Pause/ }).waitFor();
        assert.deepEqual(await findings(other.page), []);
        await picture(other.page, `recording-${name}`);
        await other.browser.close();
    });
}

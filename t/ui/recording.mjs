// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// Recordings in the page: a terminal and a desktop are used, then played, with
// their places and their end.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { browse, compare, findings, inSight, Mesh, picture, Screen, stockOf, until } from './mesh.mjs';

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

/** A picture of 64 by 64 pixels in one colour, as PNG, of about 8 KB. */
function png([red, green, blue]) {
    const chunk = (type, data) => {
        const all = Buffer.concat([Buffer.alloc(4), Buffer.from(type), data, Buffer.alloc(4)]);
        let crc = ~0;
        for (const byte of all.subarray(4, -4)) {
            crc ^= byte;
            for (let i = 0; i < 8; i++) {
                crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
            }
        }
        all.writeUInt32BE(data.length);
        all.writeUInt32BE(~crc >>> 0, all.length - 4);
        return all;
    };
    const head = Buffer.from([0, 0, 0, 64, 0, 0, 0, 64, 8, 2, 0, 0, 0]);
    const row = Buffer.from([0, ...Array.from({ length: 64 }, () => [red, green, blue]).flat()]);
    return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', head), chunk('IDAT', deflateSync(Buffer.concat(Array(64).fill(row)))),
        chunk('tEXt', Buffer.alloc(8000, 'x')), chunk('IEND', Buffer.alloc(0))]);
}

/**
 * A desktop of five minutes and 24 MB, with an index: each second one row of cells is
 * drawn anew, of pattern 1, and of pattern 2 in the last ten.
 */
function longDesktop(node) {
    const start = 1_764_000_000_000;
    const block = (type, flags, second, data) => {
        const head = Buffer.alloc(16);
        head.writeUInt16BE(type);
        head.writeUInt16BE(flags, 2);
        head.writeUInt32BE(data.length, 4);
        head.writeBigUInt64BE(BigInt(second), 8);
        return Buffer.concat([head, data]);
    };
    const seconds = 300;
    const meta = block(1, 0, start, Buffer.from(JSON.stringify({ magic: 'MeshCentralRelaySession', ver: 1, username: 'ines', protocol: 2, nodeid: node })));
    const pictures = [1, 2].map((n) => Array.from({ length: 70 }, (_, i) => {
        const [x, y] = [i % 10, Math.floor(i / 10)];
        return png([(x * 53 + n * 29) & 255, (y * 71 + n * 13) & 255, ((x + y) * 37 + n * 7) & 255]);
    }));
    const parts = [block(2, 1, start, Buffer.from([0, 7, 0, 8, 2, 128, 1, 192]))];
    const indexes = [];
    const rows = [];        // where the tiles of each are
    let at = parts[0].length;
    for (let second = 0; second < seconds; second++) {
        if (second && second % 10 === 0) {
            indexes.push([at, 640, 448, ...rows.flat().sort((a, b) => a - b)]);
        }
        const y = second % 7;
        rows[y] = [];
        for (let x = 0; x < 10; x++) {
            const image = pictures[second < seconds - 10 ? 0 : 1][y * 10 + x];
            const head = Buffer.alloc(8);
            [3, image.length + 8, x * 64, y * 64].forEach((n, i) => head.writeUInt16BE(n, i * 2));
            const part = block(2, 1, start + second * 1000, Buffer.concat([head, image]));
            rows[y].push(at);
            parts.push(part);
            at += part.length;
        }
    }
    return Buffer.concat([meta, ...parts, block(4, 0, start + seconds * 1000, Buffer.from(JSON.stringify({ indexInterval: 10, indexStartTime: start, indexes }))),
        block(3, 0, meta.length + at, Buffer.from('MeshCentralMCNDX'))]);
}

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
    await mesh.agent(stockOf(binary), settings, 'agent', { DISPLAY: screen.display });
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

test('a large recording plays at once, and a place far ahead is fetched from there', async () => {
    const name = 'relaysession-2025-11-24-16-00-00-ines-1.mcrec';
    const bytes = longDesktop(`node//${id}`);
    writeFileSync(join(mesh.data, 'recordings', name), bytes, { mode: 0o644 });
    let fetched = 0;
    const count = (request) => {
        const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers()['range'] ?? '') ?? [];
        fetched += to - from + 1 || 0;
    };
    page.on('request', count);
    await hash(`#/recordings/${encodeURIComponent(name)}`);
    await until('the first pattern', async () => (await difference(1)) === 0);
    assert.match(await page.locator('.rec-bar output').innerText(), /\/ 5:00$/);
    await page.getByRole('button', { name: 'Pause' }).click();
    await seek(1);
    await until('the second pattern', async () => (await difference(2)) === 0);
    await seek(0.5);
    await until('the first pattern again', async () => (await difference(1)) === 0);
    assert.ok(fetched > 100_000 && fetched < bytes.length / 2, `${fetched} of ${bytes.length} bytes were fetched`);
    page.off('request', count);
});

test('while a place is fetched the player says so, and no longer', async () => {
    let go;
    const gate = new Promise((resolve) => {
        go = resolve;
    });
    await seek(1);
    await until('the second pattern', async () => (await difference(2)) === 0);
    await page.route(/recordings\.ashx/, async (route) => {
        await gate;
        await route.continue();
    });
    await seek(0.25);
    await page.getByText('Fetching', { exact: true }).waitFor();
    go();
    await page.getByText('Fetching', { exact: true }).waitFor({ state: 'hidden' });
    await page.unroute(/recordings\.ashx/);
    await until('the first pattern', async () => (await difference(1)) === 0);
});

test('where the server cannot be reached the player says so, and goes on from there', async () => {
    await seek(1);
    await until('the second pattern', async () => (await difference(2)) === 0);
    await page.route(/recordings\.ashx/, (route) => route.abort());
    await seek(0.75);
    await page.getByRole('alert').getByText('The server does not answer.').waitFor();
    assert.deepEqual(await findings(page), []);
    await page.unroute(/recordings\.ashx/);
    await page.getByRole('button', { name: 'Play' }).click();
    await until('the time goes on', async () => /^3:4[6-9]|^3:5|^[4-9]:/.test(await page.locator('.rec-bar output').innerText()));
    assert.equal(await page.getByRole('alert').count(), 0);
    await page.getByRole('button', { name: 'Pause' }).click();
    await until('the first pattern', async () => (await difference(1)) === 0);
});

test('S-12: nothing of this broke the content policy, called another host, or threw', () => {
    assert.deepEqual(faults, []);
});

for (const [name, look] of Object.entries({ 'phone-light': { phone: true }, 'phone-dark': { phone: true, dark: true }, 'wide-dark': { dark: true } })) {
    test(`axe-core finds nothing serious, ${name}`, async () => {
        const other = await browse(mesh, { ...look, state });
        await other.page.goto(`${mesh.base}#/recordings`);
        await other.page.getByRole('region', { name: 'Recordings' }).waitFor();
        await other.page.locator('.rail [aria-current]', { hasText: 'Sessions' }).waitFor();
        assert.deepEqual(await findings(other.page), []);
        await picture(other.page, `recordings-${name}`);
        for (const [role, word] of [['link', 'Download'], ['button', 'Delete']]) {
            await until(`${word} is in sight`, () => inSight(other.page.getByRole(role, { name: word }).first()));
        }
        await other.page.getByRole('region', { name: 'Recordings' }).getByRole('link').first().click();
        await other.page.getByRole('button', { name: /Play|Pause/ }).waitFor();
        assert.deepEqual(await findings(other.page), []);
        await picture(other.page, `recording-${name}`);
        await other.browser.close();
    });
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// The desktop of a device in the page: the stock agent before a virtual screen
// that this test paints and reads.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browse, findings, Mesh, picture, Screen, until } from './mesh.mjs';

const NAME = 'ines';
const PASSWORD = 'korrekt-Pferd-42';
const CELL = 64;

let mesh, screen, context, page, faults, state, id;

const hash = (where) => page.evaluate((h) => {
    location.hash = h;
}, where);
const desktop = () => `#/device/${encodeURIComponent(id)}/desktop`;

/** The colour of a cell; t/screen/mesh_screen.c paints by the same sum. */
function cellColour(x, y, n) {
    return [(x * 53 + n * 29) & 255, (y * 71 + n * 13) & 255, ((x + y) * 37 + n * 7) & 255];
}

/** By how much the canvas differs from pattern n: the worst channel of any pixel. */
function difference(n) {
    return page.evaluate(([number, cell]) => {
        const canvas = document.querySelector('canvas.picture');
        const { width, height } = canvas ?? {};
        if (!width) {
            return { width: 0, height: 0, worst: 255 };
        }
        const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
        let worst = 0;
        for (let y = 0; y < height; y++) {
            for (let x = 0; x < width; x++) {
                const [cx, cy] = [Math.floor(x / cell), Math.floor(y / cell)];
                const want = [(cx * 53 + number * 29) & 255, (cy * 71 + number * 13) & 255, ((cx + cy) * 37 + number * 7) & 255];
                const at = (y * width + x) * 4;
                for (let c = 0; c < 3; c++) {
                    worst = Math.max(worst, Math.abs(data[at + c] - want[c]));
                }
            }
        }
        return { width, height, worst };
    }, [n, CELL]);
}

before(async () => {
    screen = await Screen.start(1280, 720);
    mesh = await Mesh.start();
    ({ context, page, faults } = await browse(mesh));
    await page.goto(mesh.setup);
    await page.getByLabel('User name').fill(NAME);
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Continue' }).click();
    const command = await page.locator('.command code').innerText();
    const [binary, settings] = [...command.matchAll(/https:[^"'\s;]+/g)].map((m) => m[0]);
    await mesh.agent(binary.replace('product=own', 'product=stock'), settings, 'agent', { DISPLAY: screen.display });
    await page.locator('.dev.is-online').waitFor();
    id = await page.locator('.dev').getAttribute('data-key');
    state = await context.storageState();
});

after(async () => {
    await mesh?.stop();
    await screen?.stop();
});

test('the desktop opens from the device and shows the screen', async (t) => {
    await screen.pattern(1);
    await hash(`#/device/${encodeURIComponent(id)}`);
    await page.getByRole('button', { name: 'Desktop' }).click();
    const clicked = Date.now();
    await until('a picture', async () => (await difference(1)).width === 1280);
    t.diagnostic(`seconds until a picture: ${(Date.now() - clicked) / 1000}`);
});

test('at the highest quality each pixel is within 4 of what is on the screen', async () => {
    await page.getByRole('button', { name: /^Quality/ }).click();
    await page.locator('wa-dropdown-item[value=q100]').click();
    await page.getByRole('button', { name: /^Quality/ }).click();
    await page.locator('wa-dropdown-item[value=auto]').click();
    await until('the pattern', async () => (await difference(1)).worst <= 4);
    const { width, height } = await difference(1);
    assert.deepEqual([width, height], [1280, 720]);
});

test('what changes on the screen changes in the page', async () => {
    for (const n of [2, 3, 4]) {
        await screen.pattern(n);
        await until(`pattern ${n}`, async () => (await difference(n)).worst <= 4);
    }
});

/** The text that the screen's keys made, by their keysyms. */
function typed() {
    return screen.events.map((line) => /^key down ([0-9a-f]+)$/.exec(line)?.[1]).filter(Boolean).map((hex) => parseInt(hex, 16))
        .map((sym) => (sym < 0x100 ? sym : sym === 0x20ac ? 0x20ac : sym >= 0x1000000 ? sym - 0x1000000 : 0)).filter(Boolean)
        .map((code) => String.fromCodePoint(code)).join('');
}

test('text is typed as it is meant, with Shift and beyond ASCII', async () => {
    const text = 'Grüße, O\'Neil: 50% @home {1+1=2} ~';
    screen.lines.length = 0;
    await page.locator('.desk-keys').focus();
    await page.keyboard.type(text);
    await until('the text', () => typed().length >= text.length);
    assert.equal(typed(), text);
    screen.lines.length = 0;
    await page.keyboard.insertText('日本 €');
    await until('the characters', () => typed().length >= 4);
    assert.equal(typed(), '日本 €');
});

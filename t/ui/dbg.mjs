// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// The desktop of a device in the page: the stock agent before a virtual screen
// that this test paints and reads.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browse, findings, Line, Mesh, picture, Screen, until } from './mesh.mjs';

const NAME = 'ines';
const PASSWORD = 'korrekt-Pferd-42';
const CELL = 64;

let mesh, near, screen, context, page, faults, state, id;

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
    // the agent's own, fast, with the small segments that a network has
    near = await Line.start(mesh.base);
    ({ context, page, faults } = await browse(mesh));
    await page.goto(mesh.setup);
    await page.getByLabel('User name').fill(NAME);
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Continue' }).click();
    const command = await page.locator('.command code').innerText();
    const [binary, settings] = [...command.matchAll(/https:[^"'\s;]+/g)].map((m) => m[0]);
    await mesh.agent(binary.replace('product=own', 'product=stock'), settings, 'agent',
        { DISPLAY: screen.display, MESH_LINE: new URL(near.base).host });
    await page.locator('.dev.is-online').waitFor({ timeout: 60_000 });
    id = await page.locator('.dev').getAttribute('data-key');
    state = await context.storageState();
});

after(async () => {
    await mesh?.stop();
    await near?.stop();
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

test('on a line of 256 kbit/s the picture is at most two seconds old', async (t) => {
    await page.getByRole('button', { name: 'Disconnect' }).click();
    const line = await Line.start(mesh.base);
    const slow = await browse({ base: line.base }, { state });

    await slow.page.goto(`${line.base}${desktop()}`);
    await until('a picture', () => slow.page.evaluate(() => (document.querySelector('canvas.picture')?.width ?? 0) > 0));
    line.rate(32_000);
    screen.lines.length = 0;
    screen.say('count 250');

    /** The oldest pattern of which there is a cell in the page. */
    const shown = () => slow.page.evaluate(([newest]) => {
        const canvas = document.querySelector('canvas.picture');
        const context = canvas.getContext('2d');
        const oldest = [];
        for (const [x, y] of [[0, 0], [10, 2], [5, 5], [18, 9], [2, 10]]) {
            const scale = canvas.width / 1280;
            const [r, g, b] = context.getImageData((x * 64 + 32) * scale, (y * 64 + 32) * scale, 1, 1).data;
            let best = [Infinity, 0];
            for (let n = Math.max(0, newest - 60); n <= newest; n++) {
                const off = Math.abs(((x * 53 + n * 29) & 255) - r) + Math.abs(((y * 71 + n * 13) & 255) - g)
                    + Math.abs((((x + y) * 37 + n * 7) & 255) - b);
                best = off < best[0] ? [off, n] : best;
            }
            oldest.push(best[1]);
        }
        return Math.min(...oldest);
    }, [Number(screen.lines.findLast((l) => l.startsWith('painted'))?.split(' ')[1] ?? 0)]);
    const ages = [];
    const look = async () => {
        const n = await shown();
        const next = screen.paintedAt(n + 1);
        if (process.env.DBG) console.log(n, screen.lines.filter((l)=>l.startsWith('painted')).at(-1), next, Date.now());
        return next ? Date.now() - next : 0;
    };

    // until it has found what the line carries
    await until('fewer bytes', async () => slow.page.evaluate(() => /Quality [1-3]?\d,/.test(
        document.querySelector('.stat[title^=Quality]')?.title ?? '')));
    await until('the first fresh picture', async () => await look() < 2000);
    while (ages.length < 40) {
        ages.push(await look());
        await new Promise((resolve) => setTimeout(resolve, 150));
    }
    const ps = await import('node:child_process');
    console.log(ps.execSync("ps -eo pid,ppid,stat,wchan:20,args | grep '[.]/meshagent'").toString());
    console.log(ps.execSync("ss -tnpmio | grep -A1 meshagent | cut -c1-400").toString());
    await slow.page.getByRole('button', { name: /^Quality/ }).click();
    await slow.page.locator('wa-dropdown-item[value=q50]').click();
    await new Promise((resolve) => setTimeout(resolve, 2500)); await look();
    await new Promise((resolve) => setTimeout(resolve, 2500)); await look();
    await picture(slow.page, 'dbg');
    screen.say('stop');
    t.diagnostic(`ages in ms, sorted: ${[...ages].sort((a, b) => a - b).join(' ')}`);
    t.diagnostic(await slow.page.locator('.stat[title^=Quality]').getAttribute('title'));
    assert.ok(Math.max(...ages) <= 2000, `the oldest was ${Math.max(...ages)} ms old`);
    assert.deepEqual(slow.faults, []);
    await slow.browser.close();
    await line.stop();
});

test('S-12: nothing of this broke the content policy, called another host, or threw', () => {
    assert.deepEqual(faults, []);
});

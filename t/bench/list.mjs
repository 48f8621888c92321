// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// The list of 10,000 devices in a real Chromium: seconds until it is there, and
// how long a frame takes while one scrolls through it.  Prints one JSON line.

import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { browse, Mesh, root } from '../ui/mesh.mjs';

const DEVICES = Number(process.env.AGENTS ?? 10_000);
const mesh = await Mesh.start();

try {
    const admin = (input, ...args) => execFileSync(join(root, 'build/mesh-admin'), ['-c', `${mesh.data}/nginx.conf`, ...args], { input });
    admin('korrekt-Pferd-42\n', 'user', 'add', 'ines', '--site-admin');
    admin('', 'group', 'add', 'Fleet', '--owner', 'ines');
    await mesh.stopServer();
    const done = spawnSync('perl', [join(root, 't/bench/devices'), `${mesh.data}/db/mesh.db`, String(DEVICES)], { stdio: ['ignore', 2, 2] });
    if (done.status !== 0) {
        throw new Error('t/bench/devices failed');
    }
    await mesh.run();

    const { page, browser } = await browse(mesh);
    await page.goto(mesh.base);
    await page.getByLabel(/User|E-mail|Name/).first().fill('ines');
    await page.getByLabel('Password', { exact: true }).fill('korrekt-Pferd-42');
    const start = Date.now();
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.locator('.dev').first().waitFor();
    const shown = (Date.now() - start) / 1000;

    await page.locator('.dev').first().hover();
    await page.evaluate(() => {
        globalThis.frames = [];
        let last = performance.now();
        const frame = (now) => {
            globalThis.frames.push(now - last);
            last = now;
            globalThis.going = requestAnimationFrame(frame);
        };
        globalThis.going = requestAnimationFrame(frame);
    });
    const first = await page.locator('.dev').first().getAttribute('data-key');
    for (let i = 0; i < 200; i++) {
        await page.mouse.wheel(0, 400);
    }
    const moved = await page.locator('.dev').first().getAttribute('data-key') !== first;
    const frames = (await page.evaluate(() => {
        cancelAnimationFrame(globalThis.going);
        return globalThis.frames.slice(1);
    })).sort((a, b) => a - b);
    const rows = await page.locator('.dev').count();
    await browser.close();

    process.stdout.write(`${JSON.stringify({
        devices: DEVICES, shown, moved, rows, frames: frames.length,
        p50: frames[Math.floor(frames.length * 0.5)], p95: frames[Math.floor(frames.length * 0.95)], max: frames.at(-1),
    })}\n`);
} finally {
    await mesh.stop();
}

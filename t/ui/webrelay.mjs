// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// A page of the device, from its own page into a new tab.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { browse, findings, looks, Mesh, picture, stockOf } from './mesh.mjs';

let mesh, server, port, context, page, faults, device;

before(async () => {
    server = createServer((request, reply) => {
        reply.setHeader('Content-Type', 'text/html');
        reply.end(request.url === '/' ? '<!doctype html><title>Printer</title><p id="p"></p><script src="/x.js"></script>'
            : 'document.getElementById("p").textContent = `${location.pathname} ${document.cookie || "no cookie"}`;');
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = server.address().port;
    mesh = await Mesh.start();
    ({ context, page, faults } = await browse(mesh));
    await page.goto(mesh.setup);
    await page.getByLabel('User name').fill('ines');
    await page.getByLabel('Password', { exact: true }).fill('korrekt-Pferd-42');
    await page.getByRole('button', { name: 'Continue' }).click();
    const command = await page.locator('.command code').innerText();
    const [binary, settings] = [...command.matchAll(/https:[^"'\s;]+/g)].map((m) => m[0]);
    await mesh.agent(stockOf(binary), settings);
    await page.locator('.dev.is-online').waitFor({ timeout: 60_000 });
    const id = await page.locator('.dev').getAttribute('data-key');
    device = `#/device/${encodeURIComponent(id)}`;
    await page.evaluate((h) => {
        location.hash = h;
    }, device);
});

after(async () => {
    await mesh?.stop();
    server?.close();
});

test('a page of the device opens in a tab of its own, and reads no cookie of ours', async () => {
    await page.getByRole('button', { name: 'More actions' }).click();
    await page.locator('wa-dropdown-item', { hasText: 'Open web page' }).click();
    await page.getByLabel('HTTPS', { exact: true }).check();
    assert.equal(await page.getByLabel('Port').inputValue(), '443');
    await page.getByLabel('HTTP', { exact: true }).check();
    assert.equal(await page.getByLabel('Port').inputValue(), '80');
    assert.deepEqual(await findings(page), []);
    await picture(page, 'webrelay');

    await page.getByLabel('Port').fill('70000');
    await page.getByLabel('Port').press('Enter');
    await page.getByText('A port is a number from 1 to 65535.').waitFor();

    await page.getByLabel('Port').fill(String(port));
    const opened = context.waitForEvent('page');
    await page.keyboard.press('Enter');
    const tab = await opened;
    await tab.getByText('/ no cookie').waitFor({ timeout: 60_000 });
    assert.equal(await tab.title(), 'Printer');
    assert.notEqual(new URL(tab.url()).origin, new URL(mesh.base).origin);
    await tab.close();
    assert.deepEqual(faults, []);
});

// light and wide is above
for (const { kind, ...look } of looks.slice(1)) {
    test(`axe-core finds nothing serious where a page is asked for, ${kind}`, async () => {
        const other = await browse(mesh, { ...look, state: await context.storageState() });

        await other.page.goto(mesh.base + device);
        await other.page.getByRole('button', { name: 'More actions' }).click();
        await other.page.locator('wa-dropdown-item', { hasText: 'Open web page' }).click();
        await other.page.getByLabel('Port').waitFor();
        await picture(other.page, `webrelay-${kind}`);
        assert.deepEqual(await findings(other.page), []);
        assert.deepEqual(other.faults, []);
        await other.browser.close();
    });
}

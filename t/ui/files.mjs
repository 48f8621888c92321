// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// The files of a device, at the stock agent: looked at, changed, sent and
// fetched, over connections that break.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { browse, findings, Mesh, picture, until } from './mesh.mjs';

const NAME = 'ines';
const PASSWORD = 'korrekt-Pferd-42';

let mesh, context, page, faults, state, id, dir;

const hash = (where) => page.evaluate((h) => {
    location.hash = h;
}, where);
const files = (path = '') => `#/device/${encodeURIComponent(id)}/files${path && `/${encodeURIComponent(path)}`}`;
const row = (name) => page.locator('.frow:not(.heads)', { has: page.locator(`bdi[title="${name}"]`) });
const to = async (path, name) => {
    await hash(files(path));
    await row(name).waitFor();
};
const button = (name) => page.getByRole('button', { name, exact: true });

before(async () => {
    mesh = await Mesh.start();
    dir = join(mesh.dir, 'there');
    mkdirSync(join(dir, 'logs'), { recursive: true });
    mkdirSync(join(dir, 'empty'));
    writeFileSync(join(dir, 'logs/access.log'), 'x'.repeat(98_000));
    writeFileSync(join(dir, 'plain.txt'), 'one\ntwo\n');
    writeFileSync(join(dir, 'größe ½ 日本.txt'), 'ü');
    writeFileSync(join(dir, '.hidden'), '');
    utimesSync(join(dir, 'plain.txt'), 1_600_000_000, 1_600_000_000);

    ({ context, page, faults } = await browse(mesh));
    await page.goto(mesh.setup);
    await page.getByLabel('User name').fill(NAME);
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Continue' }).click();
    const command = await page.locator('.command code').innerText();
    const [binary, settings] = [...command.matchAll(/https:[^"'\s;]+/g)].map((m) => m[0]);
    await mesh.agent(binary, settings);
    await page.locator('.dev.is-online').waitFor();
    id = await page.locator('.dev').getAttribute('data-key');
    state = await context.storageState();
});

after(async () => {
    await mesh?.stop();
});

test('the files of a device open with what is at its root', async () => {
    await hash(`#/device/${encodeURIComponent(id)}`);
    await page.getByRole('link', { name: 'Files' }).click();
    await row('etc').waitFor();
    await row('etc').dblclick();
    await row('passwd').waitFor();
    await page.goBack();
    await row('etc').waitFor();
});

test('a folder shows names, sizes and times as they are there, without what is hidden', async () => {
    await to(dir, 'plain.txt');
    assert.match(await row('plain.txt').innerText(), /8\sB\s+13 Sept? 2020/);
    assert.equal(await row('größe ½ 日本.txt').count(), 1);
    assert.equal(await row('.hidden').count(), 0);
    assert.match(await page.locator('.fbar .quiet').innerText(), /5 items.* 1 hidden/);
    assert.deepEqual(await findings(page), []);
    await picture(page, 'files-first');
});

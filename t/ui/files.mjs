// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// The files of a device, at the stock agent: looked at, changed, sent and
// fetched, over connections that break.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { closeSync, createReadStream, existsSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { browse, findings, inSight, Mesh, picture, stockOf, until } from './mesh.mjs';

const NAME = 'ines';
const PASSWORD = 'korrekt-Pferd-42';

let mesh, context, page, faults, state, id, dir, mine;

const hash = (where) => page.evaluate((h) => {
    location.hash = h;
}, where);
const files = (path = '') => `#/device/${encodeURIComponent(id)}/files${path && `/${encodeURIComponent(path)}`}`;
const row = (name) => page.locator('.frow:not(.heads)', { has: page.locator(`bdi[title="${name}"]`) });
const to = async (path, name) => {
    await hash(files(path));
    await row(name).waitFor();
};
const chosen = async (click, what) => {
    const [chooser] = await Promise.all([page.waitForEvent('filechooser'), click()]);
    await chooser.setFiles(what);
};
/** MB; MESH_LARGE: the same with other sizes, by hand (t/bench/files). */
const UP = Number(process.env.MESH_LARGE ?? 200);
const DOWN = Number(process.env.MESH_LARGE ?? 80);

const saved = async (click) => {
    const failed = page.locator('.tr.is-failed').waitFor({ timeout: 0 }).then(async () => {
        throw new Error(await page.locator('.tr.is-failed').innerText());
    });
    failed.catch(() => {});
    const [download] = await Promise.all([Promise.race([page.waitForEvent('download', { timeout: 90_000 + DOWN * 200 }), failed]), click()]);
    const file = await download.path();
    return { name: download.suggestedFilename(), file };
};
const menu = async (name, item) => {
    await button(name).click();
    await page.locator('wa-dropdown-item', { hasText: item }).click();
};
const sha = (file) => new Promise((resolve, reject) => {
    const sum = createHash('sha384');
    createReadStream(file).on('data', (d) => sum.update(d)).on('end', () => resolve(sum.digest('hex'))).on('error', reject);
});
/** Over 4 GB it is sparse: every hundredth megabyte has something in it. */
const large = (file, megabytes) => {
    const fd = openSync(file, 'w');
    const block = Buffer.alloc(1 << 20);
    ftruncateSync(fd, megabytes * block.length);
    for (let i = 0; i < megabytes; i += megabytes > 4000 ? 100 : 1) {
        for (let at = 0; at < block.length; at += 4) {
            block.writeUInt32LE((Math.imul(at + i, 2654435761) ^ i) >>> 0, at);
        }
        writeSync(fd, block, 0, block.length, i * block.length);
    }
    closeSync(fd);
};
const settled = (name, what) => page.locator(`.tr.is-${what}`, { hasText: name }).waitFor();
const button = (name) => page.getByRole('button', { name, exact: true });

before(async () => {
    mesh = await Mesh.start();
    dir = join(mesh.dir, 'there');
    mkdirSync(join(dir, 'logs'), { recursive: true });
    mine = join(mesh.dir, 'mine');
    mkdirSync(join(mine, 'tree/deep'), { recursive: true });
    mkdirSync(join(dir, 'empty'));
    writeFileSync(join(dir, 'logs/access.log'), 'x'.repeat(98_000));
    writeFileSync(join(dir, 'plain.txt'), 'one\ntwo\n');
    writeFileSync(join(dir, 'größe ½ 日本.txt'), 'ü');
    writeFileSync(join(dir, '.hidden'), '');
    utimesSync(join(dir, 'plain.txt'), 1_600_000_000, 1_600_000_000);

    ({ context, page, faults } = await browse(mesh));
    // a dialog of the system cannot be answered here: the page keeps the file itself
    await context.addInitScript(() => {
        globalThis.showSaveFilePicker = undefined;
        globalThis.RTCPeerConnection = class extends RTCPeerConnection {
            constructor(...args) {
                super(...args);
                globalThis.offered = true;
            }
        };
    });
    await page.goto(mesh.setup);
    await page.getByLabel('User name').fill(NAME);
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Continue' }).click();
    const command = await page.locator('.command code').innerText();
    const [binary, settings] = [...command.matchAll(/https:[^"'\s;]+/g)].map((m) => m[0]);
    await mesh.agent(stockOf(binary), settings);
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
    await row('apt').waitFor();
    await page.goBack();
    await row('etc').waitFor();
});

test('a folder shows names, sizes and times as they are there, without what is hidden', async () => {
    await to(dir, 'plain.txt');
    assert.match(await row('plain.txt').innerText(), /8\sB\s+13 Sept? 2020/);
    assert.equal(await row('größe ½ 日本.txt').count(), 1);
    assert.equal(await row('.hidden').count(), 0);
    assert.match(await page.locator('.fbar .quiet').innerText(), /5 items.* 1 hidden/);
    assert.match(await page.locator('.fbar .path').innerText(), /Path: Through the server$/);
    assert.equal(await page.evaluate(() => globalThis.offered), undefined, 'no direct path was looked for, as mesh_webrtc is off');
    assert.deepEqual(await findings(page), []);
    await picture(page, 'files-first');
});

test('a name is typed, and a folder that is not there is said, with a way out', async () => {
    await page.getByRole('button', { name: 'Type a folder' }).click();
    await page.getByLabel('Folder to open').fill(join(dir, 'no/such'));
    await page.getByLabel('Folder to open').press('Enter');
    await page.getByText('This folder cannot be read').waitFor();
    await button('To the folder above').last().click();
    await page.getByText('This folder cannot be read').waitFor();
    await page.goBack();
    await page.goBack();
    await row('plain.txt').waitFor();
});

test('the keyboard does all of it: arrows, Enter, Backspace, F2, Delete, Ctrl-A', async () => {
    writeFileSync(join(dir, 'key.bin'), 'k');
    await to(dir, 'plain.txt');
    await menu('More for this folder', 'Read again');
    await row('key.bin').waitFor();
    await page.locator('.ftable').focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('Enter');
    await page.getByText('This folder is empty.').waitFor();
    assert.deepEqual(await findings(page), []);
    await page.locator('.ftable').focus();
    await page.keyboard.press('Backspace');
    await row('plain.txt').waitFor();
    await until('where one came from', async () => /empty/.test(await page.locator('.frow.cursor').innerText()));
    await page.keyboard.press('k');
    await page.keyboard.press('F2');
    await page.getByLabel('New name').fill('renamed.bin');
    await page.getByLabel('New name').press('Enter');
    await row('renamed.bin').waitFor();
    assert.ok(existsSync(join(dir, 'renamed.bin')));
    await until('no dialog', async () => await page.locator('wa-dialog').count() === 0);
    await page.locator('.ftable').focus();
    await page.keyboard.press('Delete');
    await page.getByRole('heading', { name: 'Delete renamed.bin?' }).waitFor();
    await until('the focus on the safe answer', () => page.evaluate(() => document.activeElement?.textContent?.includes('Keep')));
    await page.locator('wa-button', { hasText: 'Delete' }).click();
    await until('it is gone', () => !existsSync(join(dir, 'renamed.bin')));
    await row('renamed.bin').waitFor({ state: 'detached' });
    await until('no dialog', async () => await page.locator('wa-dialog').count() === 0);
    await page.locator('.ftable').focus();
    await page.keyboard.press('Control+a');
    await page.getByText('4 selected').waitFor();
    await page.keyboard.press('Escape');
});

test('a new folder is made, and a name that is taken is refused beside the field', async () => {
    await button('New folder').click();
    await page.getByLabel('Name', { exact: true }).fill('logs');
    await page.getByLabel('Name', { exact: true }).press('Enter');
    await page.getByText('something of this name already').waitFor();
    await page.getByLabel('Name', { exact: true }).fill('new one');
    await page.getByLabel('Name', { exact: true }).press('Enter');
    await row('new one').waitFor();
    assert.ok(statSync(join(dir, 'new one')).isDirectory());
    await until('no dialog', async () => await page.locator('wa-dialog').count() === 0);
});

test('S-11: a name that is markup or odd stays a name', async () => {
    writeFileSync(join(dir, 'new one', '<img src=x onerror=alert(1)>'), '');
    writeFileSync(join(dir, 'new one', 'a\\b\nc"d'), '');
    await hash(files(join(dir, 'new one')));
    await page.locator('.frow bdi', { hasText: '<img src=x' }).waitFor();
    assert.equal(await page.locator('.frow img').count(), 0);
    assert.match(await page.locator('.fbar .quiet').innerText(), /2 items/);
});

test('what is copied in one folder is put into another, folders too', async () => {
    await to(dir, 'logs');
    await row('logs').click();
    await page.keyboard.press('Control+c');
    await hash(files(join(dir, 'empty')));
    await page.getByText('This folder is empty.').waitFor();
    await menu('More for this folder', 'Put 1 item here');
    await row('logs').waitFor();
    assert.equal(statSync(join(dir, 'empty/logs/access.log')).size, 98_000);
    await row('logs').click();
    await page.keyboard.press('Control+x');
    await hash(files(join(dir, 'new one')));
    await page.locator('.frow bdi', { hasText: '<img' }).waitFor();
    await page.locator('.ftable').focus();
    await page.keyboard.press('Control+v');
    await row('logs').waitFor();
    assert.ok(existsSync(join(dir, 'new one/logs/access.log')) && !existsSync(join(dir, 'empty/logs')));
});

test('files are sent; one that is there already is a question in the dock', async () => {
    writeFileSync(join(mine, 'small.txt'), 'first');
    writeFileSync(join(mine, 'empty.dat'), '');
    writeFileSync(join(mine, 'zero.dat'), Buffer.concat([Buffer.from([0, 0, 0x7b]), Buffer.alloc(200_000, 0x7b)]));
    await hash(files(join(dir, 'empty')));
    await page.getByText('This folder is empty.').waitFor();
    await chosen(() => button('Upload files').click(), ['small.txt', 'empty.dat', 'zero.dat'].map((name) => join(mine, name)));
    await row('zero.dat').waitFor();
    await settled('small.txt', 'done');
    assert.deepEqual(readFileSync(join(dir, 'empty/zero.dat')), readFileSync(join(mine, 'zero.dat')));
    assert.equal(readFileSync(join(dir, 'empty/small.txt'), 'utf8'), 'first');
    assert.equal(statSync(join(dir, 'empty/empty.dat')).size, 0);

    writeFileSync(join(mine, 'small.txt'), 'second');
    await chosen(() => button('Upload').click(), join(mine, 'small.txt'));
    await page.getByText('small.txt is already in').waitFor();
    assert.deepEqual(await findings(page), []);
    await picture(page, 'files-asks');
    await button('Keep both').click();
    await row('small (2).txt').waitFor();
    assert.equal(readFileSync(join(dir, 'empty/small (2).txt'), 'utf8'), 'second');
    assert.equal(readFileSync(join(dir, 'empty/small.txt'), 'utf8'), 'first');
});

test('a folder is sent with all that is in it', async () => {
    writeFileSync(join(mine, 'tree/top.txt'), 'top');
    writeFileSync(join(mine, 'tree/deep/größe.txt'), 'deep');
    for (let i = 0; i < 40; i++) {
        writeFileSync(join(mine, `tree/deep/n${i}`), String(i));
    }
    await chosen(() => menu('More for this folder', 'Upload a folder'), join(mine, 'tree'));
    await row('tree').waitFor();
    await until('all of it', () => existsSync(join(dir, 'empty/tree/deep')) && readdirSync(join(dir, 'empty/tree/deep')).length === 41);
    await until('no more of it', async () => await page.locator('.tr.is-running, .tr.is-queued').count() === 0);
    execFileSync('diff', ['-r', join(mine, 'tree'), join(dir, 'empty/tree')]);
    await button('Clear').click();
});

test('one file comes as a download of the browser', async () => {
    await to(join(dir, 'empty'), 'zero.dat');
    await row('zero.dat').click();
    const { name, file } = await saved(() => button('Download').last().click());
    assert.equal(name, 'zero.dat');
    assert.equal(await sha(file), await sha(join(mine, 'zero.dat')));
});

test('many come as one archive, made while they arrive', async () => {
    await page.locator('.ftable').focus();
    await page.keyboard.press('Control+a');
    const { name, file } = await saved(() => button('Download').last().click());
    assert.equal(name, 'empty.zip');
    const out = join(mesh.dir, 'unzipped');
    execFileSync('unzip', ['-q', file, '-d', out]);
    execFileSync('diff', ['-r', join(dir, 'empty'), out]);
});

test('the device packs and unpacks', async () => {
    await row('tree').click();
    await menu('More for what is selected', /^\s*Pack here/);
    await page.locator('wa-button', { hasText: 'Pack' }).click();
    await row('tree.zip').waitFor();
    await until('no dialog', async () => await page.locator('wa-dialog').count() === 0);
    rmSync(join(dir, 'empty/tree'), { recursive: true });
    await row('tree.zip').click();
    await menu('More for what is selected', 'Unpack here');
    await until('it is unpacked', async () => existsSync(join(dir, 'empty/tree/deep/n39')) && await page.locator('.working').count() === 0);
    execFileSync('diff', ['-r', join(mine, 'tree'), join(dir, 'empty/tree')]);
});

test('a text is edited in place', async () => {
    writeFileSync(join(dir, 'edit.sh'), '#!/bin/sh\r\necho one # ½\r\n', { mode: 0o750 });
    await to(dir, 'plain.txt');
    await menu('More for this folder', 'Read again');
    await row('edit.sh').dblclick();
    await page.locator('.cm-content').waitFor();
    await until('colours', async () => await page.locator('.cm-content .ed-com').count() > 0);
    await page.keyboard.press('Control+End');
    await page.keyboard.type('echo two');
    assert.deepEqual(await findings(page), []);
    await picture(page, 'files-editor');
    await page.keyboard.press('Control+s');
    await page.getByText('Saved', { exact: true }).waitFor();
    assert.equal(readFileSync(join(dir, 'edit.sh'), 'utf8'), '#!/bin/sh\r\necho one # ½\r\necho two');
    assert.equal(statSync(join(dir, 'edit.sh')).mode & 0o777, 0o750);
    const style = await page.evaluate(() => {
        const line = document.querySelector('.ed-place').shadowRoot.querySelector('.cm-line');
        return [getComputedStyle(line).fontFamily, getComputedStyle(line.closest('.cm-scroller')).display];
    });
    assert.match(style[0], /JetBrains/);
    assert.equal(style[1], 'flex');
    await button('Close').click();
    await row('edit.sh').waitFor();
});

test('a search finds names below the folder', async () => {
    await page.keyboard.press('/');
    await page.keyboard.type('größe');
    await page.locator('.frow bdi', { hasText: '½ 日本' }).waitFor();
    await page.keyboard.press('Enter');
    await page.locator('.results li', { hasText: 'empty/tree/deep/größe.txt' }).waitFor();
    await page.locator('.results a', { hasText: 'deep/größe.txt' }).first().click();
    await row('größe.txt').waitFor();
});

test('a hundred thousand names scroll', async (t) => {
    const many = mkdtempSync('/dev/shm/mesh-ui.');
    execFileSync('sh', ['-c', 'seq -f many%.0f 0 99999 | xargs touch'], { cwd: many });
    const began = Date.now();
    await to(many, 'many0');
    t.diagnostic(`seconds until the first: ${(Date.now() - began) / 1000}`);
    assert.match(await page.locator('.fbar .quiet').innerText(), /100.000 items/);
    await page.locator('.ftable').focus();
    await page.keyboard.press('End');
    await row('many99999').waitFor();
    assert.ok(await page.locator('.frow').count() < 120, 'only what is in sight is drawn');
    const slowest = await page.evaluate(async () => {
        const grid = document.querySelector('.ftable');
        let worst = 0;
        let before = performance.now();
        for (let i = 0; i < 40; i++) {
            grid.scrollTop = i * 50_000;
            await new Promise((resolve) => requestAnimationFrame(resolve));
            worst = Math.max(worst, performance.now() - before);
            before = performance.now();
        }
        return worst;
    });
    t.diagnostic(`slowest frame, ms: ${Math.round(slowest)}`);
    rmSync(many, { recursive: true });
});

/**
 * A way to the server that can be cut: what goes over it is counted, and each time
 * that a mark is passed, every connection is reset.
 */
async function brittle() {
    const way = { bytes: 0, marks: [], cuts: 0 };
    const open = new Set();
    const count = (data) => {
        way.bytes += data.length;
        if (way.marks.length && way.bytes > way.marks[0]) {
            way.marks.shift();
            way.cuts++;
            for (const socket of open) {
                socket.resetAndDestroy();
            }
            open.clear();
        }
    };
    const server = createServer((near) => {
        const far = connect(Number(new URL(mesh.base).port), '127.0.0.1');
        for (const [a, b] of [[near, far], [far, near]]) {
            open.add(a);
            a.on('data', count);
            a.on('error', () => {});
            a.on('close', () => {
                open.delete(a);
                b.destroy();
            });
            a.pipe(b);
        }
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    way.base = `https://127.0.0.1:${server.address().port}/`;
    way.mark = (...megabytes) => {
        way.cuts = 0;
        way.marks = megabytes.map((m) => way.bytes + m * 1e6);
    };
    way.end = () => {
        open.forEach((socket) => socket.destroy());
        server.close();
    };
    return way;
}

test(`${UP} MB go there, and ${DOWN} come back, over a connection that is cut three times each, and nothing goes twice`, async (t) => {
    const way = await brittle();
    const other = await browse({ base: way.base }, { state, profile: join(mine, 'profile') });
    const straight = page;
    const file = join(mine, 'large.bin');
    try {
        large(file, UP);
        const sum = await sha(file);
        await other.context.addInitScript(() => {
            globalThis.showSaveFilePicker = undefined;
        });
        page = other.page;
        await page.goto(`${way.base}${files(join(dir, 'logs'))}`);
        await row('access.log').waitFor();

        way.mark(UP * 0.2, UP * 0.45, UP * 0.75);
        let began = Date.now();
        let before = way.bytes;
        await chosen(() => button('Upload').click(), file);
        await until('it is there', async () => await page.locator('.tr.is-done').count() === 1 || await page.locator('.tr.is-failed').count() === 1, 90_000 + UP * 200);
        t.diagnostic(`up: ${(Date.now() - began) / 1000} s, ${Math.round((way.bytes - before) / 1e6)} MB went`);
        assert.equal(way.cuts, 3);
        assert.match(await page.locator('.tr .what small').innerText(), /resumed \d times, nothing sent again/);
        assert.equal(await sha(join(dir, 'logs/large.bin')), sum);
        assert.ok(way.bytes - before < UP * 1.2e6, 'not much more than the file went over the wire');
        await button('Clear').click();
        rmSync(join(dir, 'logs/large.bin'));
        rmSync(file);

        large(join(dir, 'logs/back.bin'), DOWN);
        const theirs = await sha(join(dir, 'logs/back.bin'));
        await menu('More for this folder', 'Read again');
        way.mark(DOWN * 0.2, DOWN * 0.45, DOWN * 0.75);
        began = Date.now();
        before = way.bytes;
        await row('back.bin').click();
        const { file: here } = await saved(() => menu('More for what is selected', 'with resume'));
        t.diagnostic(`down: ${(Date.now() - began) / 1000} s, ${Math.round((way.bytes - before) / 1e6)} MB went`);
        assert.equal(way.cuts, 3);
        assert.equal(await sha(here), theirs);
        assert.ok(way.bytes - before < DOWN * 1.25e6, 'not much more than the file went over the wire');
        assert.deepEqual(other.faults, []);
    } finally {
        page = straight;
        await other.browser.close();
        way.end();
        rmSync(join(dir, 'logs/large.bin'), { force: true });
    }
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

test('who may have files but no terminal sees them', async () => {
    const [{ _id: meshid }] = (await command({ action: 'meshes' })).meshes;
    mesh.admin(['user', 'add', 'mei'], `${PASSWORD}\n`);
    // an account of another process is known a moment later
    await until('the grant', async () => (await command({ action: 'addmeshuser', meshid, usernames: ['mei'], meshadmin: 8 | 512 })).result.includes('mei'));

    const other = await browse(mesh);
    const mei = other.page;
    await mei.goto(mesh.base);
    await mei.getByLabel('User name').fill('mei');
    await mei.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await mei.getByRole('button', { name: 'Sign in' }).click();
    await mei.locator('.dev.is-online').waitFor();
    await mei.evaluate((h) => {
        location.hash = h;
    }, `#/device/${encodeURIComponent(id)}`);
    await mei.getByRole('link', { name: 'Files' }).click();
    await mei.locator('.frow bdi[title="etc"]').waitFor();
    assert.equal(await mei.getByRole('link', { name: 'Terminal' }).count(), 0);
    assert.deepEqual(other.faults, []);
    await other.browser.close();
});

test('S-12: nothing of this broke the content policy, called another host, or threw', () => {
    assert.deepEqual(faults, []);
});

for (const phone of [false, true]) {
    for (const dark of [false, true]) {
        const kind = `${phone ? 'phone' : 'wide'}-${dark ? 'dark' : 'light'}`;

        test(`axe-core finds nothing serious among the files, ${kind}`, async () => {
            const other = await browse(mesh, { phone, dark, state });
            const slow = join(mine, 'image-2026.11-amd64.iso');
            const straight = page;
            try {
                page = other.page;
                large(slow, 8);
                await page.goto(`${mesh.base}${files(dir)}`);
                await row('plain.txt').waitFor();
                await row('plain.txt').locator('input').click();
                await row('edit.sh').locator('input').click();
                writeFileSync(join(mine, 'plain.txt'), 'another one');
                await chosen(() => button('Upload').click(), [join(mine, 'plain.txt'), slow]);
                await page.getByText('plain.txt is already in').waitFor();
                await settled('image-2026', 'done');
                await until('the folder is in sight', () => inSight(page.locator('.crumb [aria-current]')));
                assert.deepEqual(await findings(page), []);
                await picture(page, `files-${kind}`);
                await button('Skip').click();
                assert.deepEqual(other.faults, []);
            } finally {
                page = straight;
                await other.browser.close();
                rmSync(join(dir, 'image-2026.11-amd64.iso'), { force: true });
            }
        });
    }
}

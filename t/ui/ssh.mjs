// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// SSH from the page to an sshd beside the agent: in, out, and what must be said on
// the way.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, readFileSync, rmSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { browse, findings, Mesh, picture, Sshd, stockOf, until } from './mesh.mjs';

const NAME = 'ines';
const PASSWORD = 'korrekt-Pferd-42';
const USER = 'tester';
const SECRET = 'Batterie-Heftklammer-7';

let mesh, sshd, context, page, faults, state, id;

const hash = (where) => page.evaluate((h) => {
    location.hash = h;
}, where);
const terminal = () => `#/device/${encodeURIComponent(id)}/terminal`;
const screen = () => page.locator('.term .xterm-rows').innerText();
const keygen = (...args) => execFileSync('ssh-keygen', args, { encoding: 'utf8' });
const print = (type) => /SHA256:\S+/.exec(keygen('-lf', `${sshd.dir}/hostkey_${type}.pub`))[0];
const says = (text) => page.locator('.term-says').getByText(text).waitFor();
const button = (name) => page.getByRole('button', { name, exact: true });

/** As whom, and where; from the + of the terminals. */
async function ask(user, port) {
    await page.getByRole('button', { name: 'New terminal' }).click();
    await page.locator('wa-dropdown-item', { hasText: 'By SSH' }).click();
    await page.getByLabel('User on the device').fill(user);
    await page.getByLabel('Port').fill(String(port));
    await page.getByLabel('Port').press('Enter');
}

before(async () => {
    sshd = await Sshd.start(USER, SECRET);
    mesh = await Mesh.start();
    ({ context, page, faults } = await browse(mesh));
    await page.goto(mesh.setup);
    await page.getByLabel('User name').fill(NAME);
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Continue' }).click();
    const command = await page.locator('.command code').innerText();
    const [binary, settings] = [...command.matchAll(/https:[^"'\s;]+/g)].map((m) => m[0]);
    await mesh.agent(stockOf(binary), settings);
    await page.locator('.dev.is-online').waitFor({ timeout: 60_000 });
    id = await page.locator('.dev').getAttribute('data-key');
    await hash(terminal());
    await page.locator('.term .xterm-rows').waitFor();
});

after(async () => {
    await mesh?.stop();
    await sshd?.stop();
});

test('the first time, the fingerprint is that of sshd, and no is an answer', async () => {
    await ask(USER, sshd.port);
    await page.locator('.prints').getByText(print('ed25519')).waitFor();
    assert.deepEqual(await findings(page), []);
    await picture(page, 'ssh-host');
    await button('No').click();
    await says('was not accepted');
});

test('a wrong password is said, and the right one opens a shell of that user', async () => {
    await page.getByRole('button', { name: 'Connect again' }).click();
    await button('Yes, connect').click();
    await page.getByLabel('Password', { exact: true }).fill('wrong');
    await page.getByLabel('Password', { exact: true }).press('Enter');
    await page.getByText('did not accept this').waitFor();
    await picture(page, 'ssh-wrong');
    assert.equal(await page.getByLabel('Password', { exact: true }).inputValue(), '');
    await page.getByLabel('Password', { exact: true }).fill(SECRET);
    await page.getByLabel('Password', { exact: true }).press('Enter');
    await until('a prompt', async () => /[#$] *$/m.test(await screen()));
    await page.keyboard.type('echo $USER-$((20+22)); stty size\r');
    await until('the output', async () => /tester-42\s+\d+ \d+/.test(await screen()));
    const [, rows, cols] = /tester-42\s+(\d+) (\d+)/.exec(await screen());
    assert.equal((await page.locator('.stat', { hasText: '×' }).innerText()).replace(/\s/g, ''), `${cols}×${rows}`);
    await picture(page, 'ssh-open');
    state = await context.storageState();
});

test('a smaller window is a smaller terminal there', async () => {
    await page.setViewportSize({ width: 1000, height: 700 });
    await page.keyboard.type('clear; stty size\r');
    await until('the new size', async () => {
        const found = /^(\d+) (\d+)/m.exec(await screen());
        return found && Number(found[2]) < 125;
    });
    await page.setViewportSize({ width: 1440, height: 900 });
});

test('the end of the shell is said with its status', async () => {
    await page.keyboard.type('exit 3\r');
    await says('ended with status 3');
});

test('a private key with a passphrase opens a shell, and a wrong passphrase is said', async () => {
    const file = `${sshd.dir}/mine`;
    keygen('-q', '-t', 'ed25519', '-N', 'sesam', '-f', file);
    appendFileSync(`${sshd.dir}/authorized_keys`, readFileSync(`${file}.pub`));
    // known by now: no question about the host
    await page.getByRole('button', { name: 'Connect again' }).click();
    await button('Private key').click();
    await page.getByLabel('Private key').fill(readFileSync(file, 'utf8'));
    await page.getByLabel('Passphrase').fill('wrong');
    await picture(page, 'ssh-key');
    await button('Log in').click();
    await page.getByText('does not open this key').waitFor();
    await page.getByLabel('Private key').fill(readFileSync(file, 'utf8'));
    await page.getByLabel('Passphrase').fill('sesam');
    await button('Log in').click();
    await until('a prompt', async () => /[#$] *$/m.test(await screen()));
});

test('Disconnect ends it, and the page keeps neither password nor key', async () => {
    await button('Disconnect').click();
    await says('Disconnected');
    const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
    assert.ok(kept.includes(print('ed25519')));
    assert.ok(!kept.includes(SECRET) && !kept.includes('PRIVATE KEY') && !kept.includes('sesam'));
});

test('a changed host key is refused with both fingerprints, and taken only on purpose', async () => {
    const before = print('ed25519');
    rmSync(`${sshd.dir}/hostkey_ed25519`);
    keygen('-q', '-t', 'ed25519', '-N', '', '-f', `${sshd.dir}/hostkey_ed25519`);
    await page.getByRole('button', { name: 'Connect again' }).click();
    await page.getByRole('heading', { name: 'not the key' }).waitFor();
    const shown = await page.locator('.prints').innerText();
    assert.ok(shown.includes(before) && shown.includes(print('ed25519')));
    assert.notEqual(before, print('ed25519'));
    assert.deepEqual(await findings(page), []);
    await picture(page, 'ssh-changed');
    await until('the focus on the safe answer', () => page.evaluate(() => document.activeElement?.textContent?.includes('Do not connect')));
    await page.keyboard.press('Enter');
    await says('was not accepted');
    await page.getByRole('button', { name: 'Connect again' }).click();
    await button('Accept the new key and connect').click();
    await page.getByLabel('Password', { exact: true }).fill(SECRET);
    await page.getByLabel('Password', { exact: true }).press('Enter');
    await until('a prompt', async () => /[#$] *$/m.test(await screen()));
    await button('Disconnect').click();
});

test('a port where nothing listens is said', async () => {
    await ask(USER, 1);
    await says('Nothing answers on port 1');
});

test('no algorithm in common is said with those of the device', async () => {
    appendFileSync(`${sshd.dir}/lines`, 'KexAlgorithms diffie-hellman-group14-sha256\n');
    await ask(USER, sshd.port);
    await says('diffie-hellman-group14-sha256');
    rmSync(`${sshd.dir}/lines`);
});

test('S-12: nothing of this broke the content policy, called another host, or threw', () => {
    assert.deepEqual(faults, []);
});

// light and wide is above
for (const [phone, dark] of [[true, false], [false, true]]) {
    const kind = `${phone ? 'phone' : 'wide'}-${dark ? 'dark' : 'light'}`;

    test(`axe-core finds nothing serious on the way to a shell, ${kind}`, async () => {
        const other = await browse(mesh, { phone, dark, state });
        const { page: p } = other;

        await p.goto(mesh.base + terminal());
        await p.getByRole('button', { name: 'New terminal' }).click();
        await p.locator('wa-dropdown-item', { hasText: 'By SSH' }).click();
        await p.getByLabel('User on the device').waitFor();
        assert.deepEqual(await findings(p), []);
        await picture(p, `ssh-who-${kind}`);
        await p.getByLabel('User on the device').fill(USER);
        await p.getByLabel('Port').fill(sshd.port);
        await p.getByRole('button', { name: 'Connect', exact: true }).click();
        // the state is of before the change
        await p.getByRole('heading', { name: 'not the key' }).waitFor();
        assert.deepEqual(await findings(p), []);
        await picture(p, `ssh-changed-${kind}`);
        await p.getByRole('button', { name: 'Accept the new key and connect' }).click();
        await p.getByRole('button', { name: 'Private key' }).click();
        assert.deepEqual(await findings(p), []);
        await picture(p, `ssh-login-${kind}`);
        assert.deepEqual(other.faults, []);
        await other.browser.close();
    });
}

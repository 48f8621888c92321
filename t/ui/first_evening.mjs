// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// From the printed link to a live terminal, as an owner does it on the first
// evening; then every page, wide and phone-sized, light and dark.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { connect } from 'node:tls';
import { after, before, test } from 'node:test';
import { browse, findings, inSight, looks, Mesh, picture, until } from './mesh.mjs';

const NAME = 'ines';
const PASSWORD = 'korrekt-Pferd-42';

let mesh, context, page, faults, agent, state, id;

const hash = (where) => page.evaluate((h) => {
    location.hash = h;
}, where);
const device = (tab = '') => `#/device/${encodeURIComponent(id)}${tab && `/${tab}`}`;
// of the certificate that a client is shown
const shownKey = ({ hostname, port }) => new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
        resolve(createHash('sha256').update(socket.getPeerX509Certificate().publicKey.export({ type: 'spki', format: 'der' })).digest('base64'));
        socket.destroy();
    });
    socket.on('error', reject);
});
/** A page by itself, wide and phone-sized, light and dark: nothing serious in it, and a picture of each. */
async function inEachLook(name, where, there) {
    for (const { kind, ...look } of looks) {
        const other = await browse(mesh, { ...look, state });
        await other.page.goto(where);
        await there(other.page);
        assert.deepEqual(await findings(other.page), [], kind);
        assert.deepEqual(other.faults, []);
        await picture(other.page, `${name}-${kind}`);
        await other.browser.close();
    }
}
const screen = () => page.locator('.term .xterm-rows').innerText();

before(async () => {
    mesh = await Mesh.start();
    ({ context, page, faults } = await browse(mesh));
});

after(async () => {
    await mesh?.stop();
});

test('a page of its own tells who has no link that nobody has an account yet', async () => {
    await page.goto(mesh.base);
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await page.getByText('Open the set-up link').waitFor();
});

test('the set-up link refuses a password that is too short, in words beside the field', async () => {
    await page.goto(mesh.setup);
    await page.getByLabel('User name').fill(NAME);
    await page.getByLabel('Password', { exact: true }).fill('short');
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByText('At least 10 characters.').waitFor();
    // the server sends no mail
    assert.equal(await page.locator('#email-h').innerText(), 'Kept with the account; may stay empty');
    assert.deepEqual(await findings(page), []);
    await inEachLook('setup', mesh.setup, (on) => on.getByLabel('E-mail').waitFor());
});

test('the set-up link makes the first account and goes on to the first device', async () => {
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('heading', { name: 'Add the first device' }).waitFor();
    state = await context.storageState();
    await inEachLook('empty', mesh.base, (on) => on.locator('.command').waitFor());
});

test('the link is closed for ever afterwards', async () => {
    const other = await browse(mesh);
    await other.page.goto(mesh.setup);
    await other.page.getByRole('heading', { name: /closed|Sign in/ }).waitFor();
    assert.equal(await other.page.getByLabel('E-mail').count(), 0);
    await other.browser.close();
});

test('the command to copy fetches agent and settings from here, and the device shows up by itself', async (t) => {
    const command = await page.locator('.command code').innerText();
    const [found, settings] = [...command.matchAll(/https:[^"'\s;]+/g)].map((m) => m[0]);
    // where agents of several kinds are offered, sh chooses
    const binary = found.replace(/&id=$/, '&id=6');
    assert.match(binary, /meshagents\?product=\w+&id=6$/);

    // who is in between cannot hand out another program
    const fetches = command.split('curl ').slice(1);
    const key = await shownKey(new URL(binary));
    assert.equal(fetches.length, 2);
    for (const fetch of fetches) {
        assert.ok(/^-fsSk --pinnedpubkey "([^"]*)"/.exec(fetch)?.[1].split(';').includes(`sha256//${key}`), fetch);
    }
    assert.match(settings, /meshsettings\?id=/);
    agent = await mesh.agent(binary, settings);
    const started = Date.now();
    await page.locator('.dev.is-online').waitFor();
    t.diagnostic(`seconds until online: ${(Date.now() - started) / 1000}`);
    id = await page.locator('.dev').getAttribute('data-key');
    await page.getByText(/Debian/).first().waitFor();
});

test('the terminal of the device opens, echoes and takes the size of the window', async (t) => {
    await hash(device());
    await page.getByRole('button', { name: 'Terminal' }).click();
    const clicked = Date.now();
    await page.locator('.term .xterm-rows').waitFor();
    await until('a prompt', async () => /[#$] *$/m.test(await screen()));
    t.diagnostic(`seconds until a prompt: ${(Date.now() - clicked) / 1000}`);
    await page.keyboard.type('echo mesh-$((20+22)); stty size\r');
    await until('the output', async () => /mesh-42\s+\d+ \d+/.test(await screen()));
    const [, rows, cols] = /mesh-42\s+(\d+) (\d+)/.exec(await screen());
    const stat = await page.locator('.stat', { hasText: '×' }).innerText();
    assert.equal(stat.replace(/\s/g, ''), `${cols}×${rows}`);
    assert.ok(Number(cols) > 100);
});

test('axe-core finds nothing serious in an open terminal', async () => {
    await inEachLook('terminal-open', `${mesh.base}${device('terminal')}`, async (on) => {
        await until('a prompt', async () => /[#$] *$/m.test(await on.locator('.term .xterm-rows').innerText()));
        await until('the way out is in sight', () => inSight(on.getByRole('button', { name: 'Disconnect' })));
    });
});

test('a smaller window is a smaller terminal, on both sides', async () => {
    await page.setViewportSize({ width: 1000, height: 700 });
    await page.keyboard.type('clear; stty size\r');
    await until('the new size', async () => {
        const found = /^(\d+) (\d+)/m.exec(await screen());
        return found && Number(found[2]) < 125;
    });
    await page.setViewportSize({ width: 1440, height: 900 });
});

test('text beyond ASCII is typed and shown', async () => {
    await page.keyboard.insertText('printf %s "日本語 ½ ü" | wc -c');
    await page.keyboard.press('Enter');
    await until('fifteen bytes', async () => /^15\b/m.test(await screen()));
});

test('the terminal lives on while one looks elsewhere', async () => {
    await page.keyboard.type('clear; for i in 1 2 3 4 5 6; do echo tick-$i; sleep .2; done\r');
    await hash('#/sessions');
    await page.getByRole('cell', { name: 'Open', exact: true }).first().waitFor();
    await hash(device('terminal'));
    await until('all of it', async () => (await screen()).includes('tick-6'));
});

test('it goes on over a reload of nginx', async () => {
    const pid = Number((await import('node:fs')).readFileSync(`${mesh.data}/run/nginx.pid`, 'utf8'));
    process.kill(pid, 'SIGHUP');
    await until('the new workers', async () => (await mesh.get('/health.ashx')).status === 200);
    await page.keyboard.type('clear; echo after-$((2+3))\r');
    await until('the echo', async () => (await screen()).includes('after-5'));
});

test('a session is ended from the list, and says so where it ran', async () => {
    await hash('#/sessions');
    const all = page.getByRole('region', { name: 'On all devices' });
    await all.getByRole('row', { name: /Terminal .*\(you\)/ }).getByRole('button', { name: 'End' }).click();
    await page.getByRole('button', { name: 'End the session' }).click();
    await page.getByText('Nobody works on a device that you see.').waitFor();
    await hash(device('terminal'));
    await page.locator('.term-says').getByText('ended by the server').waitFor();
    await page.getByRole('button', { name: 'Connect again' }).click();
    // until it is open, the screen shows the old prompt
    await page.locator('.term-says').waitFor({ state: 'detached' });
    await until('a prompt', async () => /[#$] *$/m.test(await screen()));
});

test('the end of the shell is said, and it can be connected again in place', async () => {
    await page.keyboard.type('exit\r');
    await page.locator('.term-says').getByText('has ended').waitFor();
    await page.getByRole('button', { name: 'Connect again' }).click();
    await until('a prompt', async () => /[#$] *$/m.test(await screen()));
});

test('a command runs, and its output comes', async () => {
    await hash(device('run'));
    await page.getByLabel('Command').fill('echo run-$((6*7)); echo "<b>no markup</b>"');
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await page.getByText('run-42').waitFor();
    assert.match(await page.locator('.out pre').innerText(), /<b>no markup<\/b>/);
});

test('the console answers', async () => {
    await hash(device('console'));
    await page.getByLabel('Command for the agent').fill('help');
    await page.getByLabel('Command for the agent').press('Enter');
    await page.locator('.con-out').getByText('coreinfo').waitFor();
    assert.equal(await page.getByLabel('Command for the agent').inputValue(), '');
});

test('S-11: a name that is markup is shown as it is, in the list and in the title', async () => {
    await hash(device('settings'));
    await page.getByLabel('Name', { exact: true }).fill('<img src=x onerror=alert(1)>');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saved').waitFor();
    await hash('#/devices');
    await page.locator('.dev .name', { hasText: '<img src=x' }).waitFor();
    await hash(device('settings'));
    await page.getByLabel('Name', { exact: true }).fill('edge-01');
    await page.getByRole('button', { name: 'Save' }).click();
    await until('the title', async () => (await page.title()).startsWith('edge-01'));
});

test('inventory, figures and the note of a device are on its first page', async () => {
    await hash(device());
    await page.locator('.inv summary', { hasText: 'Processor' }).waitFor();
    await page.locator('.meterrow', { hasText: 'Memory' }).waitFor();
    await page.getByRole('button', { name: 'write one' }).click();
    await page.locator('#note').fill('Ask Mei before a restart.');
    await page.locator('wa-button', { hasText: 'Save' }).click();
    await page.locator('.memo', { hasText: 'Ask Mei' }).waitFor();
});

test('what happened is in the log, with who and where', async () => {
    await hash('#/events');
    const line = page.locator('.erow', { hasText: 'started a terminal session' }).first();
    await line.waitFor();
    assert.match(await line.innerText(), /ines/);
    assert.match(await line.innerText(), /edge-01/);
});

test('rights are changed in words before they are saved', async () => {
    await hash('#/groups');
    await page.getByRole('button', { name: 'Operate' }).click();
    await page.locator('.says ins', { hasText: 'No longer' }).waitFor();
    await page.getByText('1 change, not saved').waitFor();
    await page.getByRole('button', { name: 'Discard' }).click();
    assert.equal(await page.locator('.save').count(), 0);
});

test('the list is worked from the keyboard: filter, choose, open, back', async () => {
    await hash('#/devices');
    await page.locator('.dev').waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('edge online');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press(' ');
    await page.getByText('1 selected').waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'edge-01' }).waitFor();
    await page.goBack();
    await page.locator('.dev').waitFor();
});

test('the palette opens a device with two keys and a name', async () => {
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox').fill('edge');
    await page.getByRole('combobox').press('Enter');
    await page.getByRole('heading', { name: 'edge-01' }).waitFor();
});

test('a dead agent goes offline in sight, and comes back', async () => {
    await hash('#/devices');
    await mesh.stopAgent(agent);
    await page.locator('.dev.is-offline').waitFor();
    assert.equal(await page.locator('.chip', { hasText: 'offline' }).count(), 1);
});

test('a server that went away is said with the time, and the page comes back by itself', async () => {
    await mesh.stopServer();
    await page.getByText(/Reconnecting/).waitFor();
    assert.equal(await page.locator('.dev .name').innerText(), 'edge-01');
    await mesh.run();
    await page.locator('.live', { hasText: 'Live' }).waitFor();
});

test('removing a device asks first, with the focus on the safe answer', async () => {
    await hash(device());
    await page.getByRole('button', { name: 'More actions' }).click();
    await page.locator('wa-dropdown-item', { hasText: 'Remove' }).click();
    await page.getByRole('heading', { name: 'Remove edge-01?' }).waitFor();
    await until('the focus', () => page.evaluate(() => document.activeElement?.textContent?.includes('Keep it')));
    await page.keyboard.press('Escape');
    await until('it is closed', async () => await page.locator('wa-dialog').count() === 0);
    assert.equal(await page.getByRole('heading', { name: 'edge-01' }).count(), 1);
});

test('S-12: nothing of this broke the content policy, called another host, or threw', () => {
    assert.deepEqual(faults, []);
});

for (const { kind, ...look } of looks) {
    test(`axe-core finds nothing serious on any page, ${kind}`, async () => {
        const other = await browse(mesh, { ...look, state });
        const found = {};
        const looked = async (name) => {
            const list = await findings(other.page);
            if (list.length) {
                found[name] = list;
            }
            await picture(other.page, `${name}-${kind}`);
        };

        await other.page.goto(mesh.base);
        await other.page.locator('.dev').waitFor();
        const pages = {
            devices: ['#/devices', '.dev'], overview: [device(), '.inv summary'], run: [device('run'), '.run'], device_events: [device('events'), '.erow:not(.heads)'],
            console: [device('console'), '.con'], settings: [device('settings'), '.settings'], terminal: [device('terminal'), '.term-page'], desktop: [device('desktop'), '.desk-page'],
            files_off: [device('files'), '.ftable'],
            sessions: ['#/sessions', '.sessions'], events: ['#/events', '.erow:not(.heads)'], server: ['#/server', '.charts'], groups: ['#/groups', '.plist li'],
            account: ['#/account', '.account td'],
        };
        const more = {
            overview: async (on) => assert.ok(await on.locator('.acts-main .b > span').evaluateAll((labels) => labels.every((label) => {
                const [inner, outer] = [label, label.parentElement].map((element) => element.getBoundingClientRect());
                return !inner.width || Math.min(inner.left - outer.left, outer.right - inner.right) >= 8;
            })), 'no label is at the edge of its button'),
            terminal: async (on) => {
                await on.getByText('A terminal can be opened here when it is back.').waitFor();
                await until('the device can be woken', () => inSight(on.getByRole('button', { name: 'Wake', exact: true })));
            },
            desktop: (on) => on.getByText('The desktop can be opened here when it is back.').waitFor(),
            files_off: (on) => on.getByText('Its files can be opened here when it is back.').waitFor(),
            groups: async (on) => {
                await until('a group can be made', () => inSight(on.getByRole('button', { name: 'New', exact: true })));
                const [link, heading] = await Promise.all([on.getByText('Back to the devices'), on.getByRole('heading', { name: 'Groups' })].map(
                    (what) => what.evaluate((element) => element.getBoundingClientRect().left + parseFloat(getComputedStyle(element).paddingLeft))));
                assert.equal(link, heading, 'the way back begins where the heading does');
            },
        };
        for (const [name, [where, there]] of Object.entries(pages)) {
            await other.page.evaluate((h) => {
                location.hash = h;
            }, where);
            await other.page.locator(there).first().waitFor();
            if (where.startsWith('#/device/')) {
                await until(`the tab of ${name} is in sight`, () => inSight(other.page.locator('.tabs [aria-current]')));
            }
            await more[name]?.(other.page);
            await looked(name);
        }
        await other.page.evaluate(() => {
            location.hash = '#/devices';
        });
        await other.page.locator('.dev').waitFor();
        await other.page.getByRole('button', { name: 'Add device' }).click();
        await other.page.locator('wa-dialog .command').waitFor();
        const [copy, box] = await Promise.all(['wa-dialog .command button', 'wa-dialog .adding'].map(
            (what) => other.page.locator(what).first().boundingBox()));
        assert.ok(copy && box && copy.x + copy.width <= box.x + box.width, 'the command\'s button is within its dialog');
        await until('the command\'s button is in sight', () => inSight(other.page.getByRole('button', { name: 'Copy' })));
        await looked('add');
        await other.page.keyboard.press('Escape');
        await until('it is closed', async () => await other.page.locator('wa-dialog').count() === 0);
        await other.page.keyboard.press('Control+k');
        await other.page.locator('.palette').waitFor();
        await looked('palette');
        assert.deepEqual(found, {});
        assert.deepEqual(other.faults, []);
        await other.browser.close();
    });
}

test('signing out shuts the page, and the old cookie is worth nothing', async () => {
    await page.getByRole('button', { name: /your account/ }).click();
    await page.locator('wa-dropdown-item', { hasText: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await inEachLook('login', mesh.base, (on) => on.getByRole('heading', { name: 'Sign in' }).waitFor());
});

test('a wrong password is refused in words, the right one opens the page that was asked for', async () => {
    await page.getByLabel('User name').fill(NAME);
    await page.getByLabel('Password', { exact: true }).fill('wrong wrong wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('Name or password is wrong.').waitFor();
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.locator('.dev').waitFor();
});

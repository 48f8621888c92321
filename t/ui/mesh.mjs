// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/*
 * For the tests of the pages: the whole server as make run starts it, in a
 * folder of its own, the stock agent, and a real browser.  Everything that a
 * test starts ends with it.
 */

import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const stock = process.env.MESH_STOCK_AGENT
    || join(root, 't/node_modules/meshcentral/agents/meshagent_x86-64');

export const LONG = 40_000;
const children = [];
const browsers = [];

export function freePort() {
    return new Promise((resolve, reject) => {
        const server = createServer();
        server.on('error', reject);
        server.listen(0, '127.0.0.1', () => {
            const { port } = server.address();
            server.close(() => resolve(port));
        });
    });
}

/** Starts a program; it gets a process group, so that all of it ends. */
function start(command, args, options = {}) {
    const child = spawn(command, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'], ...options });
    child.text = '';
    child.ended = new Promise((resolve) => child.on('exit', resolve));
    for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (data) => {
            child.text += data;
        });
    }
    children.push(child);
    return child;
}

async function stop(child, signal) {
    if (child.exitCode === null && child.signalCode === null) {
        try {
            process.kill(-child.pid, signal);
        } catch {
            /* it is gone already */
        }
        await child.ended;
    }
}

/** Waits for something to become true; fails with words. */
export async function until(what, test, ms = LONG) {
    const end = Date.now() + ms;
    for (;;) {
        const value = await test();
        if (value) {
            return value;
        }
        if (Date.now() > end) {
            throw new Error(`waited in vain: ${what}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}

export class Mesh {
    /** conf: directives of the test, for local.conf */
    static async start(conf = '') {
        const mesh = new Mesh();
        mesh.dir = mkdtempSync('/var/tmp/mesh-ui.');
        chmodSync(mesh.dir, 0o755);
        mesh.data = join(mesh.dir, 'data');
        const [https, http, relay] = [await freePort(), await freePort(), await freePort()];
        mesh.base = `https://127.0.0.1:${https}/`;
        mesh.env = {
            ...process.env, MESH_DATA: mesh.data, HTTPS_PORT: String(https), HTTP_PORT: String(http), RELAY_PORT: String(relay),
            AGENT: 'no',
            ...(process.env.MESH_NGINX ? { NGINX: process.env.MESH_NGINX } : {}),
            ...(process.env.MESH_MODULES !== undefined ? { MODULES: process.env.MESH_MODULES } : {}),
        };
        delete mesh.env.URL;
        delete mesh.env.DB;
        if (conf) {
            mkdirSync(mesh.data);
            writeFileSync(join(mesh.data, 'local.conf'), conf);
        }
        await mesh.run();
        copyFileSync(stock, join(mesh.data, 'agents/6'));
        mesh.setup = new URL(/#\/setup\/[\w-]+/.exec(mesh.server.text)?.[0] ?? '', mesh.base).href;
        return mesh;
    }

    async run() {
        this.server = start('perl', [join(root, 'conf/run.pl')], { env: this.env });
        await until('make run is ready', () => {
            if (this.server.exitCode !== null) {
                throw new Error(`make run ended:\n${this.server.text}`);
            }
            return this.server.text.includes('press Ctrl-C');
        }, 60_000);
    }

    /** Every worker ends without a word; nginx starts others. */
    killWorkers() {
        const master = readFileSync(join(this.data, 'run/nginx.pid'), 'utf8').trim();
        execFileSync('pkill', ['-KILL', '-P', master]);
    }

    recordings() {
        return readdirSync(join(this.data, 'recordings'));
    }

    /** The recording, none of those that are known, that has all these bytes on the disk. */
    recorded(words, known = []) {
        return this.recordings().find((name) => {
            const bytes = readFileSync(join(this.data, 'recordings', name));
            return !known.includes(name) && words.every((word) => bytes.includes(word));
        });
    }

    async stopServer() {
        await stop(this.server, 'SIGINT');
    }

    get(path) {
        return new Promise((resolve, reject) => {
            request(new URL(path, this.base), { rejectUnauthorized: false }, (reply) => {
                const parts = [];
                reply.on('data', (part) => parts.push(part));
                reply.on('end', () => resolve({ status: reply.statusCode, headers: reply.headers, body: Buffer.concat(parts) }));
            }).on('error', reject).end();
        });
    }

    /** The agent and its settings from two addresses, in a folder of its own; more: lines for the settings, files beside it, a command that runs it. */
    async agent(binary, settings, name = 'agent', env = {}, more = {}) {
        const dir = join(this.dir, name);
        const own = binary.includes('product=own');
        const file = own ? 'mesh-agent' : 'meshagent';
        mkdirSync(dir);
        writeFileSync(join(dir, file), (await this.get(binary)).body);
        // by another way than the server's own address, as a line of the test
        const policy = (await this.get(settings)).body.toString() + (more.policy ?? '');
        (more.files ?? []).forEach((path) => copyFileSync(path, join(dir, basename(path))));
        writeFileSync(join(dir, `${file}.msh`), env.MESH_LINE ? policy.replace(/^(MeshServer=wss:\/\/)[^/]+/m, `$1${env.MESH_LINE}`) : policy);
        chmodSync(join(dir, file), 0o755);
        const [command, ...args] = [...more.under ?? [], `./${file}`, ...own ? ['run', `--data=${dir}`] : []];
        return start(command, args, { cwd: dir, env: { ...process.env, ...env } });
    }

    /** mesh-admin, with what it reads. */
    admin(args, input = '') {
        const program = process.env.MESH_ADMIN_BIN || join(root, 'build/mesh-admin');
        return execFileSync(program, ['-c', join(this.data, 'nginx.conf'), ...args], { input, encoding: 'utf8' });
    }

    /** An agent of the wire that does nothing but say what it is told: `messages`, `send`. */
    async wireAgent(n, name, group) {
        const child = start('perl', [join(root, 't/lib/agent.pl'), new URL(this.base).port, String(n), name, group], { stdio: ['pipe', 'pipe', 'pipe'] });
        await until('the agent is online', () => {
            if (child.exitCode !== null) {
                throw new Error(`the agent ended: ${child.text}`);
            }
            return child.text.includes('online ');
        });
        child.node = /online (\S+)/.exec(child.text)[1];
        child.messages = () => child.text.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
        child.send = (message) => child.stdin.write(`${JSON.stringify(message)}\n`);
        return child;
    }

    stopAgent(child) {
        return stop(child, 'SIGKILL');
    }

    async stop() {
        await Promise.all(browsers.splice(0).map((browser) => browser.close()));
        for (const child of children.splice(0).reverse()) {
            await stop(child, child === this.server ? 'SIGINT' : 'SIGKILL');
        }
        rmSync(this.dir, { recursive: true, force: true });
    }
}

/** A line to the server that can be made slow: t/lib/slow.pl. */
export class Line {
    static async start(base) {
        const line = new Line();
        const url = new URL(base);
        line.child = spawn('perl', [join(root, 't/lib/slow.pl'), url.port], { stdio: ['pipe', 'pipe', 'inherit'] });
        url.port = await new Promise((resolve, reject) => {
            line.child.stdout.once('data', (data) => resolve(String(data).trim()));
            line.child.once('exit', () => reject(new Error('slow.pl ended')));
        });
        line.base = url.href;
        return line;
    }

    /** Bytes a second; 0: no limit. */
    rate(n) {
        this.child.stdin.write(`rate ${n}\n`);
    }

    async stop() {
        const ended = new Promise((resolve) => this.child.once('exit', resolve));
        this.child.stdin.end();
        await ended;
    }
}

/** An sshd with one account of its own: t/lib/sshd.pl. */
export class Sshd {
    static async start(user, password) {
        const sshd = new Sshd();
        sshd.child = spawn('perl', [join(root, 't/lib/sshd.pl'), user, password], { stdio: ['pipe', 'pipe', 'ignore'] });
        const said = await new Promise((resolve, reject) => {
            sshd.child.stdout.once('data', (data) => resolve(String(data)));
            sshd.child.once('exit', () => reject(new Error('sshd.pl ended')));
        });
        [sshd.port, sshd.dir] = said.trim().split(' ');
        return sshd;
    }

    async stop() {
        const ended = new Promise((resolve) => this.child.once('exit', resolve));
        this.child.stdin.end();
        await ended;
    }
}

/**
 * By how much a canvas of a page differs from pattern n of t/screen/mesh_screen.c: its
 * size, and the worst channel of any pixel.
 */
export const compare = (page, selector, n) => page.evaluate(([where, number, cell]) => {
    const canvas = document.querySelector(where);
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
}, [selector, n, 64]);

/** A virtual screen, painted and read by build/mesh_screen; command: another X server than Xvfb. */
export class Screen {
    static async start(width, height, command = ['Xvfb', '-screen', '0', `${width}x${height}x24`]) {
        const screen = new Screen();
        const server = spawn(command[0], [...command.slice(1), '-displayfd', '3', '-nolisten', 'tcp', '-noreset'],
            { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
        const said = await new Promise((resolve, reject) => {
            server.stdio[3].once('data', (data) => resolve(String(data)));
            server.once('exit', () => reject(new Error(`${command[0]} ended`)));
            server.once('error', reject);
        });
        screen.server = server;
        screen.display = `:${said.trim()}`;
        screen.lines = [];
        screen.client = spawn(join(process.env.MESH_BUILD || join(root, 'build'), 'mesh_screen'),
            { env: { ...process.env, DISPLAY: screen.display }, stdio: ['pipe', 'pipe', 'inherit'] });
        let rest = '';
        screen.client.stdout.on('data', (data) => {
            const lines = (rest + data).split('\n');
            rest = lines.pop();
            screen.lines.push(...lines);
        });
        await until('the screen is painted', () => screen.lines.some((line) => line.startsWith('painted')));
        return screen;
    }

    /** Lines of what happened, without the painting. */
    get events() {
        return this.lines.filter((line) => !line.startsWith('painted'));
    }

    say(line) {
        this.client.stdin.write(`${line}\n`);
    }

    async pattern(n) {
        this.say(`pattern ${n}`);
        await until('the pattern', () => this.lines.some((line) => line.startsWith(`painted ${n} `)));
    }

    /** When that pattern was painted, by the clock of this machine. */
    paintedAt(n) {
        return Number(this.lines.findLast((line) => line.startsWith(`painted ${n} `))?.split(' ')[2]);
    }

    async stop() {
        for (const child of [this.client, this.server]) {
            if (child.exitCode === null && child.signalCode === null) {
                const ended = new Promise((resolve) => child.once('exit', resolve));
                child.kill('SIGKILL');
                await ended;
            }
        }
    }
}

/** The stock agent for this machine, from the address in the page's command, which may leave the kind to a shell. */
export const stockOf = (binary) => binary.replace('product=own', 'product=stock').replace(/&id=$/, '&id=6');

/** How each page is looked at: wide and phone-sized, light and dark. */
export const looks = [false, true].flatMap((phone) => [false, true].map((dark) => ({ phone, dark, kind: `${phone ? 'phone' : 'wide'}-${dark ? 'dark' : 'light'}` })));

/**
 * A page in a real Chromium.  `faults` collects what must not be: errors of
 * scripts, what the content policy refused, and requests to other hosts.  What a
 * page stores is in memory, unless there is a folder for it, `profile`.
 */
export async function browse(mesh, { dark = false, phone = false, state, args = [], profile } = {}) {
    const program = { executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage', ...args] };
    const look = {
        ignoreHTTPSErrors: true, reducedMotion: 'reduce', colorScheme: dark ? 'dark' : 'light',
        viewport: phone ? { width: 390, height: 844 } : { width: 1440, height: 900 }, hasTouch: phone, isMobile: phone,
    };
    let browser, context;
    if (profile) {
        browser = context = await chromium.launchPersistentContext(profile, { ...program, ...look });
        await context.addCookies(state.cookies);
    } else {
        browser = await chromium.launch(program);
        context = await browser.newContext({ ...look, storageState: state });
    }
    browsers.push(browser);
    const page = await context.newPage();
    const faults = [];

    page.setDefaultTimeout(LONG);
    page.on('pageerror', (error) => faults.push(`script: ${error.stack}`));
    page.on('console', (message) => {
        // an answer of 4xx is said by the page itself
        if (message.type() === 'error' && !/Failed to load resource|WebSocket connection to/.test(message.text())) {
            faults.push(`console: ${message.text()}`);
        }
    });
    page.on('request', (request) => {
        if (!request.url().startsWith(mesh.base) && !/^(?:blob|data):/.test(request.url())) {
            faults.push(`foreign request: ${request.url()}`);
        }
    });
    return { browser, context, page, faults };
}

/** Is an element in sight from one side to the other, neither cut off nor covered? */
export const inSight = (locator) => locator.evaluate((element) => {
    const { left, right, top, height } = element.getBoundingClientRect();
    return [left + 2, right - 2].every((x) => element.contains(document.elementFromPoint(x, top + height / 2)));
});

/** What axe-core finds that is serious or worse. */
export async function findings(page) {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
    return violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')
        .map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`);
}

/** A picture to look at, in build/ui. */
export async function picture(page, name) {
    mkdirSync(join(root, 'build/ui'), { recursive: true });
    await page.screenshot({ path: join(root, 'build/ui', `${name}.png`) });
}

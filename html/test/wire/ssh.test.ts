// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Bridge, PASSWORD, Sshd, USER } from './sshd.ts';

// as in a browser: the library looks for it when it is loaded
await vi.hoisted(async () => {
    const { webcrypto } = await import('node:crypto');
    const all = globalThis as unknown as Record<string, unknown>;
    all['self'] ??= globalThis;
    all['crypto'] ??= webcrypto;
});

const { Ssh, SshFault } = await import('../../src/wire/ssh.ts');
type SshOptions = import('../../src/wire/ssh.ts').SshOptions;
type LoginQuestion = import('../../src/wire/ssh.ts').LoginQuestion;
type HostKey = import('../../src/wire/ssh.ts').HostKey;

let sshd: Sshd;

beforeAll(async () => {
    sshd = await Sshd.start();
}, 60_000);

afterAll(() => sshd?.stop());

/** One person at one terminal. */
class Person {
    bridge: Bridge;
    ssh: InstanceType<typeof Ssh>;
    screen = '';
    keys: HostKey[] = [];
    questions: LoginQuestion[] = [];
    taken = true;
    /** null, or why it ended. */
    end: Promise<InstanceType<typeof SshFault> | null>;
    #look = new Set<() => void>();

    constructor(options: Partial<SshOptions> = {}, bridge = new Bridge(sshd.port)) {
        this.bridge = bridge;
        this.ssh = new Ssh({
            url: 'wss://mesh.example/', user: USER, cols: 80, rows: 24, socket: () => this.bridge.socket,
            prompts: () => Promise.reject(new Error('nobody is asked')),
            ...options,
            host: (key) => {
                this.keys.push(key);
                return options.host?.(key) ?? Promise.resolve(true);
            },
            login: (question) => {
                this.questions.push(question);
                return options.login?.(question) ?? Promise.resolve({ password: PASSWORD });
            },
        });
        this.ssh.addEventListener('data', (e) => {
            const data = (e as CustomEvent<Uint8Array>).detail;
            this.screen += Buffer.from(data).toString();
            if (this.taken) {
                this.ssh.taken(data.length);
            }
            this.#look.forEach((look) => look());
        });
        this.ssh.addEventListener('step', () => this.#look.forEach((look) => look()));
        this.end = this.ssh.run().then(() => null, (error: unknown) => error as InstanceType<typeof SshFault>);
        void this.end.then(() => this.#look.forEach((look) => look()));
    }

    /** Waits until the screen shows it. */
    see(what: RegExp): Promise<RegExpExecArray> {
        return new Promise((resolve, reject) => {
            const look = (): void => {
                const found = what.exec(this.screen);
                if (found) {
                    this.#look.delete(look);
                    resolve(found);
                }
            };
            this.#look.add(look);
            look();
            void this.end.then((fault) => reject(new Error(`it ended: ${fault?.message}; ${sshd.log.slice(-600)}`)));
        });
    }

    async close(): Promise<void> {
        this.ssh.close();
        await this.end;
    }
}

const LONG = 30_000;
const keygen = (...args: string[]): string => execFileSync('ssh-keygen', args, { encoding: 'utf8' });

test('a password opens a shell that echoes, knows the size and takes a new one', async () => {
    sshd.lines();
    const me = new Person();
    await me.see(/[#$] $/);
    expect(me.questions).toEqual([{ password: true, key: true, last: '', badKey: null }]);
    me.ssh.type('echo ssh-$((20+22)); stty size\r');
    await me.see(/ssh-42\s+24 80/);
    me.ssh.resize(101, 33);
    me.ssh.type('stty size; echo "日本語 ½" | wc -c\r');
    await me.see(/33 101\s+13\b/);
    me.ssh.type('exit 7\r');
    expect(await me.end).toBeNull();
    expect(me.ssh.exit).toBe(7);
}, LONG);

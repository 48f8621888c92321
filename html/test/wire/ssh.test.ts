// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { HostKey, LoginQuestion, SshFault, SshOptions } from '../../src/wire/ssh.ts';
import { Bridge, PASSWORD, Sshd, USER } from './sshd.ts';

// as in a browser: the library looks for it when it is loaded
vi.hoisted(() => {
    const all = globalThis as unknown as Record<string, unknown>;
    all['self'] ??= globalThis;
});

const { Ssh } = await import('../../src/wire/ssh.ts');

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
    end: Promise<SshFault | null>;
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
        this.end = this.ssh.run().then(() => null, (error: unknown) => error as SshFault);
        void this.end.then(() => this.#look.forEach((look) => look()));
    }

    /** Waits until the screen shows it. */
    see(what: RegExp): Promise<RegExpExecArray> {
        return new Promise((resolve, reject) => {
            const look = (): void => {
                const found = what.exec(this.screen.slice(-4096));
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
    expect(me.questions).toEqual([{ password: true, key: true, byKey: false, last: '', badKey: null }]);
    me.ssh.type('echo ssh-$((20+22)); stty size\r');
    await me.see(/ssh-42\s+24 80/);
    me.ssh.resize(101, 33);
    me.ssh.type('stty size; echo "日本語 ½" | wc -c\r');
    await me.see(/33 101\s+13\b/);
    me.ssh.type('exit 7\r');
    expect(await me.end).toBeNull();
    expect(me.ssh.exit).toBe(7);
}, LONG);

test('a wrong password is asked for again, in the same connection', async () => {
    sshd.lines();
    const me = new Person({ login: ({ last }) => Promise.resolve({ password: last === 'refused' ? PASSWORD : 'wrong' }) });
    await me.see(/[#$] $/);
    expect(me.questions.map(({ last }) => last)).toEqual(['', 'refused']);
    expect(me.keys.length).toBe(1);
    await me.close();
}, LONG);

test('too many wrong ones end it, and it is said why', async () => {
    sshd.lines('MaxAuthTries 2');
    const me = new Person({ login: () => Promise.resolve({ password: 'wrong' }) });
    expect((await me.end)?.code).toBe('tries');
}, LONG);

test('where only questions are asked, the password answers the first that hides it', async () => {
    sshd.lines('PasswordAuthentication no');
    const me = new Person();
    await me.see(/[#$] $/);
    expect(me.questions).toMatchObject([{ password: true, key: true, last: '' }]);
    await me.close();
}, LONG);

test('a second proof is asked for after the first', async () => {
    sshd.lines('AuthenticationMethods password,keyboard-interactive');
    const me = new Person();
    await me.see(/[#$] $/);
    expect(me.questions.map(({ last }) => last)).toEqual(['', 'more']);
    await me.close();
}, LONG);

test.each([
    ['ed25519', []], ['rsa', ['-b', '2048']], ['ecdsa', ['-b', '256']], ['ecdsa', ['-b', '384']], ['ecdsa', ['-b', '521']],
    ['ed25519', ['-Z', 'aes256-cbc']],
])('a private key of type %s %j opens a shell, locked with a passphrase', async (type, more) => {
    const file = `${sshd.dir}/user_key`;
    rmSync(file, { force: true });
    rmSync(`${file}.pub`, { force: true });
    keygen('-q', '-t', type, ...more, '-a', '4', '-N', 'sésam öffne', '-f', file);
    writeFileSync(`${sshd.dir}/authorized_keys`, readFileSync(`${file}.pub`));
    sshd.lines('PasswordAuthentication no', 'KbdInteractiveAuthentication no');
    const me = new Person({
        login: ({ badKey }) => Promise.resolve({ key: readFileSync(file, 'utf8'), passphrase: { none: '?', passphrase: 'sesam', wrong: 'sésam öffne' }[badKey?.fault as string] ?? '' }),
    });
    await me.see(/[#$] $/);
    expect(me.questions.map(({ badKey }) => badKey?.fault)).toEqual([undefined, 'passphrase', 'wrong']);
    expect(me.questions.at(-1)).toMatchObject({ password: false, key: true, byKey: true });
    await me.close();
}, LONG);

test('a key that sshd does not know is refused, and the password still goes', async () => {
    const file = `${sshd.dir}/other_key`;
    keygen('-q', '-t', 'ed25519', '-N', '', '-f', file);
    sshd.lines();
    const me = new Person({ login: ({ last }) => Promise.resolve(last ? { password: PASSWORD } : { key: readFileSync(file, 'utf8'), passphrase: '' }) });
    await me.see(/[#$] $/);
    expect(me.questions.map(({ last }) => last)).toEqual(['', 'refused']);
    await me.close();
}, LONG);

test.each([['ed25519', 'ssh-ed25519'], ['ecdsa', 'ecdsa-sha2-nistp256'], ['rsa', 'rsa-sha2-512']])('the fingerprint of a host key of type %s is what ssh-keygen says', async (type, name) => {
    sshd.lines(`HostKeyAlgorithms ${name}`);
    const me = new Person({ host: () => Promise.resolve(false) });
    expect((await me.end)?.code).toBe('host');
    expect(keygen('-lf', `${sshd.dir}/hostkey_${type}.pub`)).toContain(` ${me.keys[0]?.fingerprint} `);
}, LONG);

test.each(['curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256', 'ecdh-sha2-nistp384', 'ecdh-sha2-nistp521'])('keys are agreed upon by %s', async (kex) => {
    sshd.lines(`KexAlgorithms ${kex}`);
    const me = new Person();
    await me.see(/[#$] $/);
    await me.close();
}, LONG);

test('curve25519 holds for keys that begin with any bit', async () => {
    sshd.lines('KexAlgorithms curve25519-sha256');
    for (let i = 0; i < 12; i++) {
        const me = new Person({ host: () => Promise.resolve(false) });
        expect((await me.end)?.code).toBe('host');
    }
}, LONG);

test.each([['aes256-gcm@openssh.com', 'hmac-sha2-256'], ['aes256-ctr', 'hmac-sha2-512-etm@openssh.com'], ['aes256-ctr', 'hmac-sha2-256']])('%s with %s carries a megabyte, whole', async (cipher, mac) => {
    sshd.lines(`Ciphers ${cipher}`, `MACs ${mac}`);
    const me = new Person();
    await me.see(/[#$] $/);
    me.ssh.type('stty -echo; seq 150000 | cksum; seq 150000; echo $((1000+1))-end\r');
    await me.see(/1001-end/);
    const sum = /(\d+) (\d+)\s/.exec(me.screen.slice(me.screen.indexOf('\n')));
    const numbers = me.screen.slice(me.screen.indexOf('\n1\r\n') + 1, me.screen.indexOf('1001-end')).replaceAll('\r', '');
    expect(numbers.length).toBe(Number(sum?.[2]));
    expect(numbers).toBe(Array.from({ length: 150_000 }, (_, i) => `${i + 1}\n`).join(''));
    await me.close();
}, LONG);

test('the server may want new keys at any time', async () => {
    sshd.lines('RekeyLimit 64K');
    const me = new Person();
    await me.see(/[#$] $/);
    me.ssh.type('seq 100000; echo $((1000+1))-end\r');
    await me.see(/99999\r\n100000\r\n1001-end/);
    me.ssh.type('echo $((1000+2))-more\r');
    await me.see(/1002-more/);
    await me.close();
}, LONG);

test('what is not shown stops the device at the window', async () => {
    sshd.lines();
    const me = new Person();
    await me.see(/[#$] $/);
    me.taken = false;
    const before = me.screen.length;
    me.ssh.type('seq 300000; echo $((1000+1))-end\r');
    // to the last byte, and what came after that would end it
    await vi.waitFor(() => expect(me.screen.length).toBe(1024 * 1024), { timeout: 60_000, interval: 20 });
    me.taken = true;
    me.ssh.taken(me.screen.length - before);
    await me.see(/1001-end/);
    await me.close();
}, LONG);

test('a relay that changes one byte of the key exchange gets nothing of the person', async () => {
    sshd.lines();
    let seen = 0;
    const bridge = new Bridge(sshd.port, (data) => {
        // the first byte of the answer's signature or key: past version and KEXINIT
        const out = Buffer.from(data);
        const at = out.indexOf('ssh-ed25519');
        if (seen++ && at >= 0 && out.indexOf('curve25519') < 0) {
            out[at + 20] = (out[at + 20] as number) ^ 1;
        }
        return out;
    });
    const me = new Person({}, bridge);
    expect((await me.end)?.code).toBe('signature');
    expect(me.keys).toEqual([]);
    expect(me.questions).toEqual([]);
}, LONG);

test('a host key that is not accepted ends it before the name of the user is sent', async () => {
    sshd.lines();
    const sent: number[] = [];
    const me = new Person({ host: () => { sent.push(me.bridge.sent.length); return Promise.resolve(false); } });
    expect((await me.end)?.code).toBe('host');
    // no more than the farewell
    expect(me.bridge.sent.length - (sent[0] as number)).toBeLessThan(200);
    expect(me.questions).toEqual([]);
}, LONG);

test('a banner is shown where one logs in', async () => {
    writeFileSync(`${sshd.dir}/banner`, 'Für Befugte\n');
    sshd.lines(`Banner ${sshd.dir}/banner`);
    const me = new Person({ login: () => Promise.resolve(null) });
    expect((await me.end)?.code).toBe('given up');
    expect(me.ssh.banner).toBe('Für Befugte\n');
}, LONG);

test('no algorithm in common is said with those of the other side', async () => {
    for (const line of ['KexAlgorithms diffie-hellman-group14-sha256', 'Ciphers chacha20-poly1305@openssh.com']) {
        sshd.lines(line);
        const fault = await new Person().end;
        expect(fault?.code).toBe('algorithms');
        expect(line).toContain(fault?.detail.split(',')[0]);
    }
}, LONG);

test('only methods that are none of ours are said by name', async () => {
    sshd.lines('PasswordAuthentication no', 'KbdInteractiveAuthentication no', 'PubkeyAuthentication no', 'HostbasedAuthentication yes');
    const fault = await new Person().end;
    expect(fault).toMatchObject({ code: 'methods', detail: 'hostbased' });
}, LONG);

/** A server that says what it is told to each who connects. */
async function speaker(text: string | Buffer, end: boolean): Promise<{ port: number; stop: () => void }> {
    const server = createServer((socket) => {
        socket.on('error', () => {});
        socket.write(text);
        if (end) {
            socket.end();
        }
    });
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    return { port: (server.address() as { port: number }).port, stop: () => server.close() };
}

test('a refused port, another protocol and silence are told apart', async () => {
    const http = await speaker('HTTP/1.1 400 Bad Request\r\n\r\n', true);
    const mute = await speaker('', false);
    const closed = await speaker('', true);
    closed.stop();

    expect((await new Person({}, new Bridge(http.port)).end)?.code).toBe('protocol');
    expect((await new Person({ patience: 200 }, new Bridge(mute.port)).end)?.code).toBe('silent');
    expect((await new Person({}, new Bridge(closed.port)).end)?.code).toBe('refused');

    // what our agents say of it, in the place of bytes
    const told = async (message: object): Promise<SshFault | null> => {
        const me = new Person({}, new Bridge(mute.port));
        queueMicrotask(() => {
            me.bridge.onmessage?.({ data: JSON.stringify({ ctrlChannel: '102938', type: 'console', msgid: 0, ...message }) });
            me.bridge.close();
        });
        return me.end;
    };
    expect((await told({ msg: 'Nothing listens on this port there.', code: 'ECONNREFUSED' }))?.code).toBe('refused');
    expect(await told({ msg: 'There is no right to relays.' })).toMatchObject({ code: 'relay', detail: 'There is no right to relays.' });
    http.stop();
    mute.stop();
}, LONG);

test('garbage in place of packets ends it, whatever it is', async () => {
    for (const rest of [Buffer.alloc(4096, 0xff), Buffer.alloc(4096), Buffer.from([0, 0, 0, 12, 10, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Buffer.from([0, 0, 0, 1, 200])]) {
        const server = await speaker(Buffer.concat([Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'), rest]), true);
        const fault = await new Person({ patience: 3000 }, new Bridge(server.port)).end;
        expect(fault?.code).toBe('protocol');
        server.stop();
    }
}, LONG);

test('more than the window is not kept: who floods is cut off', async () => {
    const flood = await speaker(Buffer.alloc(8 * 1024 * 1024, 'a'), false);
    const me = new Person({ patience: 20_000 }, new Bridge(flood.port));
    expect((await me.end)?.code).toBe('protocol');
    expect(me.bridge.readyState).toBe(3);
    flood.stop();
}, LONG);

test('it can be ended while a question waits', async () => {
    sshd.lines();
    const asked: Person = new Person({ host: () => { asked.ssh.close(); return new Promise(() => {}); } });
    expect(await asked.end).toBeNull();
    expect(asked.bridge.readyState).toBe(3);
}, LONG);

test('a line that breaks is said, in a shell and before', async () => {
    sshd.lines();
    const me = new Person();
    await me.see(/[#$] $/);
    me.bridge.close();
    expect((await me.end)?.code).toBe('lost');

    const early: Person = new Person({ login: () => { early.bridge.close(); return Promise.resolve({ password: PASSWORD }); } });
    expect((await early.end)?.code).toBe('lost');
}, LONG);

test('what is no private key of ours says what it is', async () => {
    const file = `${sshd.dir}/pem`;
    keygen('-q', '-t', 'rsa', '-b', '2048', '-m', 'PEM', '-N', '', '-f', file);
    const good = readFileSync(`${sshd.dir}/hostkey_ed25519`, 'utf8');
    const { readPrivateKey } = await import('../../src/wire/ssh-key.ts');
    const fault = (text: string): Promise<string> => readPrivateKey(text, 'x').then(() => '', (error: { fault: string }) => error.fault);

    expect(await fault(good)).toBe('');
    expect(await fault('')).toBe('none');
    expect(await fault(readFileSync(`${file}.pub`, 'utf8'))).toBe('none');
    expect(await fault(readFileSync(file, 'utf8'))).toBe('format');
    // cut at every byte
    const bytes = Buffer.from(good.replace(/-----[^-]*-----/g, '').replace(/\s/g, ''), 'base64');
    for (let i = 0; i < bytes.length - 8; i++) {
        expect(await fault(`-----BEGIN OPENSSH PRIVATE KEY-----\n${bytes.subarray(0, i).toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`)).not.toBe('');
    }
}, LONG);

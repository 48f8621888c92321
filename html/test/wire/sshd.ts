// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { spawn, type ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { connect, type Socket as Tcp } from 'node:net';
import { fileURLToPath } from 'node:url';

export const USER = 'tester';
export const PASSWORD = 'korrekt-Pferd-42';

/** t/lib/sshd.pl: a real sshd with keys and an account of its own. */
export class Sshd {
    port = 0;
    dir = '';
    #child: ChildProcess | null = null;
    log = '';

    static async start(): Promise<Sshd> {
        const sshd = new Sshd();
        const child = spawn('perl', [fileURLToPath(new URL('../../../t/lib/sshd.pl', import.meta.url)), USER, PASSWORD], { stdio: ['pipe', 'pipe', 'pipe'] });

        sshd.#child = child;
        child.stderr.on('data', (data) => {
            sshd.log += String(data);
        });
        const said = await new Promise<string>((resolve, reject) => {
            child.stdout.once('data', (data) => resolve(String(data)));
            child.once('error', reject);
            child.once('exit', () => reject(new Error(`sshd.pl ended: ${sshd.log}`)));
        });
        const [port, dir] = said.trim().split(' ');
        sshd.port = Number(port);
        sshd.dir = dir ?? '';
        return sshd;
    }

    /** Lines of sshd_config for the connections from now on. */
    lines(...lines: string[]): void {
        writeFileSync(`${this.dir}/lines`, lines.map((line) => `${line}\n`).join(''));
    }

    async stop(): Promise<void> {
        const child = this.#child;
        if (child && child.exitCode === null) {
            const ended = new Promise((resolve) => child.once('exit', resolve));
            child.stdin?.end();
            await ended;
        }
    }
}

/** What the page sees of a relay: a WebSocket whose other end is a TCP connection. */
export class Bridge {
    readyState = 1;
    binaryType = '';
    bufferedAmount = 0;
    onmessage: ((event: { data: unknown }) => void) | null = null;
    onclose: ((event: { code: number }) => void) | null = null;
    onerror: (() => void) | null = null;
    /** All bytes that the page sent. */
    sent = Buffer.alloc(0);
    texts: string[] = [];
    #tcp: Tcp;

    /** change: what is done to the bytes on their way to the page. */
    constructor(port: number, change: (data: Buffer) => Buffer = (data) => data) {
        // like the stock agent, which says so before it has tried
        queueMicrotask(() => this.onmessage?.({ data: 'c' }));
        this.#tcp = connect(port, '127.0.0.1');
        this.#tcp.on('data', (data) => this.onmessage?.({ data: Uint8Array.from(change(data)).buffer }));
        this.#tcp.on('error', () => {});
        this.#tcp.on('close', () => this.close());
    }

    get socket(): WebSocket {
        return this as unknown as WebSocket;
    }

    send(data: string | Uint8Array): void {
        if (typeof data === 'string') {
            this.texts.push(data);
        } else {
            this.sent = Buffer.concat([this.sent, data]);
            this.#tcp.write(data);
        }
    }

    close(): void {
        if (this.readyState === 1) {
            this.readyState = 3;
            this.#tcp.destroy();
            queueMicrotask(() => this.onclose?.({ code: 1000 }));
        }
    }
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { Buffer } from 'buffer';
import { BaseStream } from '@microsoft/dev-tunnels-ssh/streams.js';
import { CHANNEL } from './relay.ts';

/** More than this not read yet is more than the window of a channel lets come. */
const MOST = 4 * 1024 * 1024;
/** A socket does not say when it is empty: from this on it is asked. */
const FULL = 256 * 1024;
const AGAIN = 10;
const PROBE = 10_000;

/** A TCP connection of the device, through the relay (session.md 1.8). */
export class RelayStream extends BaseStream {
    received = 0;
    sent = 0;
    delay: number | null = null;
    /** What the server or the agent said in place of bytes. */
    said = '';
    refused = false;
    began = false;
    /** The pair is there; rejected when it ends before. */
    readonly ready: Promise<void>;
    onDelay: () => void = () => {};
    readonly #socket: WebSocket;
    #waiting = 0;
    #probe: ReturnType<typeof setInterval> | undefined;
    #begin: () => void = () => {};
    #refuse: (error: Error) => void = () => {};

    constructor(socket: WebSocket) {
        super();
        this.#socket = socket;
        this.ready = new Promise((resolve, reject) => {
            this.#begin = resolve;
            this.#refuse = reject;
        });
        this.ready.catch(() => {});
        socket.binaryType = 'arraybuffer';
        socket.onmessage = (event: MessageEvent<unknown>) => {
            if (typeof event.data === 'string') {
                this.#text(event.data);
            } else if (event.data instanceof ArrayBuffer && event.data.byteLength) {
                this.#bytes(Buffer.from(event.data));
            }
        };
        socket.onerror = () => {};
        socket.onclose = () => this.#ended();
    }

    #bytes(data: Buffer): void {
        this.received += data.length;
        this.#waiting += data.length;
        if (this.#waiting > MOST) {
            this.#socket.close();
            this.#ended();
            return;
        }
        this.onData(data);
    }

    #text(text: string): void {
        if (!this.began) {
            if (text === 'c' || text === 'cr') {
                this.began = true;
                this.#begin();
                this.#control({ type: 'rtt', time: performance.now() });
                this.#probe = setInterval(() => this.#control({ type: 'rtt', time: performance.now() }), PROBE);
            } else if (text.startsWith('error:')) {
                this.said = text.slice(6, 300).trim();
            }
            return;
        }
        let value: Record<string, unknown> | null;
        try {
            value = JSON.parse(text) as Record<string, unknown> | null;
        } catch {
            return;
        }
        if (String(value?.['ctrlChannel']) !== CHANNEL) {
            return;
        }
        if (value?.['type'] === 'ping') {
            this.#control({ type: 'pong' });
        } else if (value?.['type'] === 'rtt' && typeof value['time'] === 'number') {
            this.delay = Math.max(0, Math.round(performance.now() - value['time']));
            this.onDelay();
        } else if (value?.['type'] === 'console' && typeof value['msg'] === 'string' && !this.received) {
            this.said = value['msg'].slice(0, 300);
            // the stock agent's sockets do not say why they failed
            this.refused = ['ECONNREFUSED', 'EIO'].includes(String(value['code']));
        }
    }

    #control(members: Record<string, unknown>): void {
        if (this.#socket.readyState === 1) {
            this.#socket.send(JSON.stringify({ ctrlChannel: CHANNEL, ...members }));
        }
    }

    override async read(count: number): Promise<Buffer | null> {
        const data = await super.read(count);
        this.#waiting -= data?.length ?? 0;
        return data;
    }

    async write(data: Buffer): Promise<void> {
        while (this.#socket.readyState === 1 && this.#socket.bufferedAmount > FULL) {
            await new Promise((resolve) => setTimeout(resolve, AGAIN));
        }
        if (this.#socket.readyState !== 1) {
            throw new Error('the connection has ended');
        }
        this.#socket.send(Uint8Array.from(data));
        this.sent += data.length;
    }

    close(): Promise<void> {
        this.#socket.close();
        this.#ended();
        return Promise.resolve();
    }

    override dispose(): void {
        this.#socket.close();
        this.#ended();
        super.dispose();
    }

    #ended(): void {
        if (this.#socket.onclose === null) {
            return;
        }
        this.#socket.onclose = this.#socket.onmessage = null;
        clearInterval(this.#probe);
        this.#refuse(new Error('the relay ended before it began'));
        this.onEnd();
        this.fireOnClose();
    }
}

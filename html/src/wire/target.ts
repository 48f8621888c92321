// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { CHANNEL } from './relay.ts';

/** What the agent says of a connection that failed. */
export interface TargetError {
    code: string;
    msg: string;
}

/**
 * A TCP connection through a device, with the face of a WebSocket that is open from
 * the moment on when both halves are there: its messages are the stream's bytes.
 * `onend` comes once, also before `onopen`, with the code of the close and what the
 * server or the device said.
 */
export class TargetChannel {
    binaryType = 'arraybuffer';
    readonly protocol = '';
    readyState = 0;
    onopen: ((event: Event) => void) | null = null;
    onmessage: ((event: MessageEvent<ArrayBuffer>) => void) | null = null;
    onerror: ((event: Event) => void) | null = null;
    onclose: ((event: { code: number; reason: string }) => void) | null = null;
    onend: ((code: number, said: TargetError | null) => void) | null = null;
    received = 0;
    sent = 0;
    #socket: WebSocket;
    #said: TargetError | null = null;

    constructor(url: string, socket: (url: string) => WebSocket = (u) => new WebSocket(u)) {
        this.#socket = socket(url);
        this.#socket.binaryType = 'arraybuffer';
        this.#socket.onmessage = (event: MessageEvent<unknown>) => {
            if (typeof event.data === 'string') {
                this.#text(event.data);
            } else if (event.data instanceof ArrayBuffer && this.readyState === 1) {
                this.received += event.data.byteLength;
                this.onmessage?.(event as MessageEvent<ArrayBuffer>);
            }
        };
        this.#socket.onclose = (event) => this.#ended(event.code);
        this.#socket.onerror = () => {};
    }

    send(data: ArrayBuffer | Uint8Array<ArrayBuffer>): void {
        if (this.readyState === 1) {
            this.sent += data.byteLength;
            this.#socket.send(data);
        }
    }

    close(): void {
        this.#socket.close();
        this.#ended(1000);
    }

    /** Texts are never payload. */
    #text(text: string): void {
        if (text === 'c' || text === 'cr') {
            if (this.readyState === 0) {
                this.readyState = 1;
                this.onopen?.(new Event('open'));
            }
            return;
        }
        if (text.startsWith('error:')) {
            this.#said = { code: 'error', msg: text.slice(6).trim() };
            return;
        }
        let value: Record<string, unknown>;
        try {
            value = JSON.parse(text) as Record<string, unknown>;
        } catch {
            return;
        }
        if (!value || typeof value !== 'object' || String(value['ctrlChannel']) !== CHANNEL) {
            return;
        }
        if (value['type'] === 'ping') {
            this.#socket.send(JSON.stringify({ ctrlChannel: CHANNEL, type: 'pong' }));
        } else if (value['type'] === 'console' && typeof value['msg'] === 'string') {
            this.#said = { code: typeof value['code'] === 'string' ? value['code'] : '', msg: value['msg'] };
        }
    }

    #ended(code: number): void {
        if (this.readyState === 3) {
            return;
        }
        this.readyState = 3;
        this.#socket.onclose = this.#socket.onmessage = null;
        this.onclose?.({ code, reason: '' });
        this.onend?.(code, this.#said);
    }
}

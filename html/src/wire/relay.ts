// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { pieces } from './bytes.ts';

export const CHANNEL = '102938';

/** The close code of a server that does not let it go on. */
export const POLICY = 1008;

/** What a close code says of the end; empty: nothing but that. */
export function closeWords(code: number): string {
    return code === POLICY ? 'It was ended by the server: somebody ended it, or the right to it is gone.' : '';
}

/** Terminal 1 runs as the agent's user, 8 as the person at the screen. */
export type TerminalProtocol = 1 | 8;

export interface RelayOptions {
    url: string;
    protocol: TerminalProtocol;
    cols: number;
    rows: number;
    socket?: (url: string) => WebSocket;
    now?: () => number;
}

export interface ConsoleText {
    msg: string | null;
    msgid: number;
    args: string[];
}

/** At most this much at once, and this often: a stock agent stalls for ever on more. */
const PIECE = 1024;
const PACE = 4;
const PROBE = 10_000;

/**
 * The viewer's end of a terminal tunnel.
 *
 * Events: `open` (the device is there), `data` (detail Uint8Array), `console`
 * (detail ConsoleText), `delay` (the field of that name changed), `recording`, `close`
 * (detail the close code).
 */
export class Relay extends EventTarget {
    delay: number | null = null;
    received = 0;
    sent = 0;
    #socket: WebSocket;
    #options: RelayOptions;
    #open = false;
    #queue: Uint8Array[] = [];
    #pump: ReturnType<typeof setTimeout> | undefined;
    #probe: ReturnType<typeof setInterval> | undefined;
    #now: () => number;

    constructor(options: RelayOptions) {
        super();
        this.#options = options;
        this.#now = options.now ?? (() => performance.now());
        this.#socket = (options.socket ?? ((url) => new WebSocket(url)))(options.url);
        this.#socket.binaryType = 'arraybuffer';
        this.#socket.onmessage = (event: MessageEvent<unknown>) => {
            if (typeof event.data === 'string') {
                this.#text(event.data);
            } else if (event.data instanceof ArrayBuffer) {
                this.received += event.data.byteLength;
                this.dispatchEvent(new CustomEvent('data', { detail: new Uint8Array(event.data) }));
            }
        };
        this.#socket.onclose = (event) => this.#closed(event.code);
        this.#socket.onerror = () => {};
    }

    get open(): boolean {
        return this.#open;
    }

    /** Types text; a long one goes out in small pieces with pauses. */
    type(text: string): void {
        this.#queue.push(...pieces(text, PIECE));
        if (this.#pump === undefined) {
            this.#next();
        }
    }

    /** How many bytes of a paste still wait. */
    get waiting(): number {
        return this.#queue.reduce((sum, piece) => sum + piece.length, 0);
    }

    resize(cols: number, rows: number): void {
        this.#options.cols = cols;
        this.#options.rows = rows;
        if (this.#open) {
            this.#control('termsize', { cols, rows });
        }
    }

    close(): void {
        if (this.#open) {
            this.#control('close', {});
        }
        this.#socket.close();
        this.#closed();
    }

    #next(): void {
        const piece = this.#open ? this.#queue.shift() : undefined;

        this.#pump = undefined;
        if (!piece) {
            return;
        }
        this.#socket.send(piece as Uint8Array<ArrayBuffer>);
        this.sent += piece.length;
        if (this.#queue.length) {
            this.#pump = setTimeout(() => this.#next(), PACE);
        }
    }

    #control(type: string, members: Record<string, unknown>): void {
        if (this.#socket.readyState === 1) {
            this.#socket.send(JSON.stringify({ ctrlChannel: CHANNEL, type, ...members }));
        }
    }

    #text(text: string): void {
        if (text === 'c' || text === 'cr') {
            if (!this.#open) {
                this.#begin(text === 'cr');
            }
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
        switch (value['type']) {
        case 'ping':
            this.#control('pong', {});
            break;
        case 'rtt':
            if (typeof value['time'] === 'number') {
                this.delay = Math.max(0, Math.round(this.#now() - value['time']));
                this.dispatchEvent(new Event('delay'));
            }
            break;
        case 'console':
            this.dispatchEvent(new CustomEvent<ConsoleText>('console', {
                detail: {
                    msg: typeof value['msg'] === 'string' ? value['msg'] : null,
                    msgid: typeof value['msgid'] === 'number' ? value['msgid'] : 0,
                    args: Array.isArray(value['msgargs']) ? value['msgargs'].map(String) : [],
                },
            }));
            break;
        }
    }

    #begin(recorded: boolean): void {
        const { cols, rows, protocol } = this.#options;

        this.#open = true;
        this.#control('options', { cols, rows });
        this.#socket.send(String(protocol));
        this.#control('rtt', { time: this.#now() });
        this.#probe = setInterval(() => this.#control('rtt', { time: this.#now() }), PROBE);
        this.dispatchEvent(new Event('open'));
        if (recorded) {
            this.dispatchEvent(new Event('recording'));
        }
        this.#next();
    }

    #closed(code = 1000): void {
        if (this.#socket.onclose === null) {
            return;
        }
        this.#socket.onclose = this.#socket.onmessage = null;
        this.#open = false;
        this.#queue.length = 0;
        clearTimeout(this.#pump);
        clearInterval(this.#probe);
        this.dispatchEvent(new CustomEvent('close', { detail: code }));
    }
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { encodeCompression, encodePause, encodeRefresh, KvmReader, type Compression } from './kvm.ts';
import { Pace } from './pace.ts';
import { CHANNEL, type ConsoleText } from './relay.ts';

export interface DesktopOptions {
    url: string;
    best: Compression;
    automatic: boolean;
    socket?: (url: string) => WebSocket;
    now?: () => number;
}

/** The next probe leaves so long after the last one has come back, at once where that was late. */
const PROBE = 400;
const LATE = 250;
const TICK = 100;

/**
 * The viewer's end of a desktop tunnel.
 *
 * Events: `open`, `packets` (detail Packet[]), `console` (detail ConsoleText), `users`
 * (detail: sessions by user), `device` (detail: is it there already?), `control` (detail:
 * a control message that is not known here), `delay`, `recording`, `broken` (detail: why
 * what came is no picture), `close` (detail the close code).
 */
export class DesktopRelay extends EventTarget {
    delay: number | null = null;
    received = 0;
    sent = 0;
    readonly pace: Pace;
    #socket: WebSocket;
    #reader = new KvmReader();
    #open = false;
    #paused = false;
    /** when the probe left that is under way */
    #probe: number | null = null;
    #probed = -Infinity;
    #tick: ReturnType<typeof setInterval> | undefined;
    #now: () => number;
    /** How long pictures have waited here already, ms; the screen sets it. */
    waiting = (): number => 0;

    constructor(options: DesktopOptions) {
        super();
        this.pace = new Pace(options.best);
        this.pace.automatic = options.automatic;
        this.#now = options.now ?? (() => performance.now());
        this.#socket = (options.socket ?? ((url) => new WebSocket(url)))(options.url);
        this.#socket.binaryType = 'arraybuffer';
        this.#socket.onmessage = (event: MessageEvent<unknown>) => {
            if (typeof event.data === 'string') {
                this.#text(event.data);
            } else if (event.data instanceof ArrayBuffer) {
                this.receive(new Uint8Array(event.data));
            }
        };
        this.#socket.onclose = (event) => this.#closed(event.code);
        this.#socket.onerror = () => {};
    }

    get open(): boolean {
        return this.#open;
    }

    /** A message of packets, by whatever way it came. */
    receive(bytes: Uint8Array): void {
        this.received += bytes.length;
        try {
            const packets = this.#reader.push(bytes);
            if (packets.length) {
                this.dispatchEvent(new CustomEvent('packets', { detail: packets }));
            }
        } catch (error) {
            this.dispatchEvent(new CustomEvent('broken', { detail: error instanceof Error ? error.message : String(error) }));
            this.close();
        }
    }

    /** One packet to the device. */
    send(packet: Uint8Array<ArrayBuffer>): void {
        if (this.#open && this.#socket.readyState === 1) {
            this.#socket.send(packet);
            this.sent += packet.length;
        }
    }

    control(type: string, members: Record<string, unknown>): void {
        if (this.#socket.readyState === 1) {
            this.#socket.send(JSON.stringify({ ctrlChannel: CHANNEL, type, ...members }));
        }
    }

    /** Asks for pictures as they are wanted now. */
    settle(): void {
        this.send(encodeCompression(this.pace.now));
    }

    /** After the screen has got another size: agents want all of it said again. */
    resized(): void {
        this.settle();
        this.send(encodePause(this.#paused));
    }

    refresh(): void {
        this.send(encodeRefresh());
    }

    close(): void {
        if (this.#open) {
            this.control('close', {});
        }
        this.#socket.close();
        this.#closed();
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
            this.control('pong', {});
            break;
        case 'pong':
            break;
        case 'rtt':
            this.#echoed(value['time']);
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
        case 'metadata':
            if (value['users'] && typeof value['users'] === 'object') {
                this.dispatchEvent(new CustomEvent('users', { detail: value['users'] }));
            }
            if ('startTime' in value) {
                this.dispatchEvent(new CustomEvent('device', { detail: value['startTime'] !== null }));
            }
            break;
        default:
            this.dispatchEvent(new CustomEvent('control', { detail: value }));
        }
    }

    #begin(recorded: boolean): void {
        this.#open = true;
        this.#socket.send('2');
        this.settle();
        this.#tick = setInterval(() => this.#look(), TICK);
        this.#look();
        this.dispatchEvent(new Event('open'));
        if (recorded) {
            this.dispatchEvent(new Event('recording'));
        }
    }

    #look(): void {
        const now = this.#now();

        if (this.#probe === null) {
            if (now - this.#probed >= PROBE || (this.delay ?? 0) > LATE) {
                this.#probe = now;
                this.control('rtt', { time: now });
            }
            return;
        }
        const age = now - this.#probe + this.waiting();
        this.#judge(this.#probe, age, true);
        if (!this.#paused && this.pace.pauses(age)) {
            this.#paused = true;
            this.send(encodePause(true));
        }
    }

    #echoed(time: unknown): void {
        if (typeof time !== 'number' || time !== this.#probe) {
            return;
        }
        const age = Math.max(0, this.#now() - time);

        this.#probe = null;
        this.#probed = this.#now();
        this.delay = Math.round(age);
        this.#judge(time, age + this.waiting(), false);
        if (this.#paused) {
            this.#paused = false;
            this.send(encodePause(false));
        }
        if (age > LATE) {
            this.#look();
        }
        this.dispatchEvent(new Event('delay'));
    }

    #judge(sent: number, age: number, open: boolean): void {
        if (this.pace.automatic && this.pace.probed(sent, age, this.#now(), open)) {
            this.settle();
        }
    }

    #closed(code = 1000): void {
        if (this.#socket.onclose === null) {
            return;
        }
        this.#socket.onclose = this.#socket.onmessage = null;
        this.#open = false;
        clearInterval(this.#tick);
        this.dispatchEvent(new CustomEvent('close', { detail: code }));
    }
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Control } from '../wire/control.ts';
import { randomHex } from '../wire/bytes.ts';
import { TargetChannel, type TargetError } from '../wire/target.ts';
import { Kept } from './kept.ts';
import { Store } from './store.ts';

export type VncState = 'asking' | 'waiting' | 'open' | 'ended' | 'failed';

/** The close code of a server that does not let it go on. */
const POLICY = 1008;
const CODES: Record<string, string> = {
    ECONNREFUSED: 'Nothing listens on this port there. Is a VNC server running?', ETIMEDOUT: 'This address does not answer the device.',
    EHOSTUNREACH: 'The device cannot reach this address.', ENOTFOUND: 'The device does not know this name.', ECONNRESET: 'The other side broke the connection.',
};

/** Why a connection ended: what was said, or what can be told from how it did. */
export function whyEnded(code: number, said: TargetError | null, bytes: number): string {
    if (said) {
        return CODES[said.code] ?? said.msg;
    }
    return code === POLICY ? 'It was ended by the server: somebody ended it, or the right to it is gone.'
        : bytes === 0 ? 'The connection was closed before anything came. Is a VNC server running on this port?' : '';
}

/**
 * A VNC session, which lives until it is closed, wherever the person looks.  The bytes
 * are the view's: it takes the `channel` when it is told of `connected`.
 */
export class VncSession extends Store {
    readonly key = randomHex(6);
    readonly deviceId: string;
    state: VncState = 'ended';
    /** A line that is shown over the screen; empty for none. */
    says = '';
    addr = '';
    port = 5900;
    name = '';
    began = 0;
    viewOnly = false;
    channel: TargetChannel | null = null;
    #control: Control;
    #nodeId: string;
    #base: string;
    #attempt = 0;

    constructor(control: Control, deviceId: string, nodeId: string, base: string) {
        super();
        this.#control = control;
        this.deviceId = deviceId;
        this.#nodeId = nodeId;
        this.#base = base;
    }

    get running(): boolean {
        return this.state === 'asking' || this.state === 'waiting' || this.state === 'open';
    }

    get received(): number {
        return this.channel?.received ?? 0;
    }

    get sent(): number {
        return this.channel?.sent ?? 0;
    }

    /** Opens, or opens again in place.  An empty address is the device itself. */
    async connect(addr: string, port: number): Promise<void> {
        const attempt = ++this.#attempt;

        this.#drop();
        this.addr = addr;
        this.port = port;
        this.turn('asking', '');
        try {
            const reply = await this.#control.ask('getcookie', {
                nodeid: this.#nodeId, tcpport: port, ...(addr ? { tcpaddr: addr } : {}), tag: 'novnc',
            });
            if (attempt !== this.#attempt) {
                return;
            }
            const url = new URL(`meshrelay.ashx?auth=${encodeURIComponent(String(reply['cookie'] ?? ''))}`, this.#base);
            url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';
            this.#listen(new TargetChannel(url.href), attempt);
            this.turn('waiting', '');
        } catch (error) {
            if (attempt === this.#attempt) {
                this.turn('failed', error instanceof Error ? error.message : String(error));
            }
        }
    }

    disconnect(why = 'Disconnected.'): void {
        this.#attempt++;
        this.#drop();
        if (this.running) {
            this.turn('ended', why);
        }
    }

    /** The other side did what no VNC server does, or refused the password. */
    fail(why: string): void {
        this.#attempt++;
        this.#drop();
        this.turn('failed', why);
    }

    /** The picture is there. */
    shown(): void {
        this.began = Date.now();
        this.turn('open', '');
    }

    named(name: string): void {
        this.name = name.slice(0, 80);
        this.changed();
    }

    turn(state: VncState, says: string): void {
        this.state = state;
        this.says = says;
        this.changed();
    }

    #drop(): void {
        const { channel } = this;
        if (channel) {
            channel.onend = null;
            channel.close();
        }
        this.channel = null;
    }

    #listen(channel: TargetChannel, attempt: number): void {
        this.channel = channel;
        channel.onopen = () => {
            if (attempt === this.#attempt) {
                this.dispatchEvent(new CustomEvent('connected', { detail: channel }));
            }
        };
        channel.onend = (code, said) => {
            if (attempt !== this.#attempt || !this.running) {
                return;
            }
            const why = whyEnded(code, said, channel.received);
            this.turn(why ? 'failed' : 'ended', why || 'The connection was closed by the other side.');
        };
    }
}

/** All VNC sessions of this page: one for a device. */
export class Vncs extends Kept<VncSession> {
    #control: Control;
    #base: string;

    constructor(control: Control, base: string) {
        super();
        this.#control = control;
        this.#base = base;
    }

    of(deviceId: string): VncSession | null {
        return this.first(deviceId);
    }

    open(deviceId: string, nodeId: string): VncSession {
        return this.add(new VncSession(this.#control, deviceId, nodeId, this.#base));
    }
}

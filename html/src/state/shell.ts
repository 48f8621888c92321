// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { randomHex } from '../wire/bytes.ts';
import { Store } from './store.ts';

export type SessionState = 'asking' | 'waiting' | 'open' | 'ended' | 'failed';

/**
 * What has a screen of text.  It lives until it is closed, wherever the person looks.
 *
 * Events: `change`, `data` (detail Uint8Array), `fresh` (a new shell behind the same screen).
 */
export abstract class ShellSession extends Store {
    readonly key = randomHex(6);
    readonly deviceId: string;
    state: SessionState = 'asking';
    /** A line that is shown over the screen; empty for none. */
    says = '';
    began = 0;
    recorded = false;
    title = '';
    cols = 80;
    rows = 24;

    constructor(deviceId: string) {
        super();
        this.deviceId = deviceId;
    }

    /** What it is called before the shell says so itself. */
    abstract get name(): string;
    /** The round trip in ms; null: not known */
    abstract get delay(): number | null;
    abstract get received(): number;
    abstract get sent(): number;
    /** Opens, or opens again in place. */
    abstract connect(): Promise<void>;
    abstract type(text: string): void;
    abstract resize(cols: number, rows: number): void;
    /** So many bytes of `data` are on the screen. */
    abstract taken(n: number): void;
    /** Ends the shell; the screen stays to be read. */
    abstract disconnect(): void;

    get running(): boolean {
        return this.state === 'asking' || this.state === 'waiting' || this.state === 'open';
    }

    /** What the shell calls itself. */
    retitle(title: string): void {
        this.title = title.slice(0, 80);
        this.changed();
    }

    protected turn(state: SessionState, says: string): void {
        this.state = state;
        this.says = says;
        this.changed();
    }
}

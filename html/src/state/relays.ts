// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Control, Message } from '../wire/control.ts';
import { shortId } from '../wire/bytes.ts';
import { Polled } from './polled.ts';
import { list, num, str } from './read.ts';

/** A session on a device, of anybody, as the server carries it. */
export interface Running {
    id: string;
    deviceId: string;
    userId: string;
    userName: string;
    address: string;
    protocol: number;
    /** Of one to an address and a port, as the device reaches it. */
    kind: '' | 'tcp' | 'udp';
    target: string;
    /** By the clock of this browser, ms. */
    since: number;
    received: number;
    sent: number;
    endable: boolean;
}

const EVERY = 3000;

function goal(r: Record<string, unknown>): { kind: '' | 'tcp' | 'udp'; target: string } {
    const kind = 'tcpport' in r ? 'tcp' : 'udpport' in r ? 'udp' : '';
    const addr = str(r[`${kind}addr`]);
    const port = num(r[`${kind}port`]);

    return { kind, target: !port ? '' : addr.includes(':') ? `[${addr}]:${port}` : `${addr}:${port}` };
}

export function readRelays(reply: Message, now: number): Running[] {
    const off = now - (num(reply['now']) || now);

    return list(reply['relays']).map((r) => ({
        id: str(r['id']), deviceId: shortId(str(r['nodeid'])), userId: str(r['userid']), userName: str(r['username']), address: str(r['address']),
        protocol: num(r['protocol']), ...goal(r), since: num(r['since']) + off, received: num(r['bytesin']), sent: num(r['bytesout']), endable: r['endable'] === true,
    })).sort((a, b) => b.since - a.since || a.id.localeCompare(b.id));
}

/** Who is on which device; asked for while somebody watches. */
export class Relays extends Polled {
    all: Running[] = [];
    /** There are more than the server lists. */
    more = false;
    known = false;
    error = '';
    #control: Control;

    constructor(control: Control) {
        super(EVERY);
        this.#control = control;
    }

    async load(): Promise<void> {
        try {
            const reply = await this.#control.ask('relays');
            this.all = readRelays(reply, Date.now());
            this.more = reply['more'] === true;
            this.known = true;
            this.error = '';
        } catch (error) {
            this.error = error instanceof Error ? error.message : String(error);
        }
        this.changed();
    }

    async finish(id: string): Promise<void> {
        await this.#control.ask('endrelay', { id });
        await this.load();
    }
}

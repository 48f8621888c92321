// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Control, Message } from '../wire/control.ts';
import { shortId } from '../wire/bytes.ts';
import { Polled } from './polled.ts';
import { list, num, obj, str } from './read.ts';

export interface Worker {
    pid: number;
    generation: number;
    draining: boolean;
    started: number;
    gauges: Record<string, number>;
}

export interface Refused {
    address: string;
    nodeid: string;
    name: string;
    group: string;
    reason: string;
    code: string;
    first: number;
    last: number;
    count: number;
    held: boolean;
    hash: string;
}

export interface Certificate {
    subject: string;
    hash: string;
    expires: number;
    rsa: boolean;
    old: boolean;
}

export interface Status {
    version: string;
    nginx: string;
    node: string;
    started: number;
    now: number;
    workers: Worker[];
    counters: Record<string, number>;
    gauges: Record<string, number>;
    help: Record<string, string>;
    zone: { size: number; freepages: number };
    db: { type: string; up: boolean; queue: number; latency: number };
    signer: { up: boolean; queue: number; latency: number };
    certificates: Certificate[];
    refused: Refused[];
}

/** One sample of the figures, for the lines under them. */
export interface Sample {
    at: number;
    gauges: Record<string, number>;
    counters: Record<string, number>;
    dbLatency: number;
    signerLatency: number;
    zone: number;
}

const EVERY = 5000;
const SAMPLES = 181;    // 15 minutes

const numbers = (value: unknown): Record<string, number> =>
    Object.fromEntries(Object.entries(obj(value)).filter(([, v]) => typeof v === 'number')) as Record<string, number>;
const strings = (value: unknown): Record<string, string> =>
    Object.fromEntries(Object.entries(obj(value)).filter(([, v]) => typeof v === 'string')) as Record<string, string>;

/** Times come in ms; a peer that says seconds is understood. */
const ms = (value: unknown): number => {
    const n = num(value);
    return n > 0 && n < 100_000_000_000 ? n * 1000 : n;
};

export function readStatus(reply: Message): Status {
    const zone = obj(reply['zone']);
    const db = obj(reply['db']);
    const signer = obj(reply['signer']);

    return {
        version: str(reply['version']), nginx: str(reply['nginx']), node: str(reply['node']),
        started: ms(reply['started']), now: ms(reply['now']) || Date.now(),
        workers: list(reply['workers']).map((w) => ({
            pid: num(w['pid']), generation: num(w['generation']), draining: Boolean(w['draining']), started: ms(w['started']),
            gauges: numbers(w['gauges']),
        })),
        counters: numbers(reply['counters']), gauges: numbers(reply['gauges']), help: strings(reply['help']),
        zone: { size: num(zone['size']), freepages: num(zone['freepages']) },
        db: { type: str(db['type']), up: db['up'] !== false && db['up'] !== 0, queue: num(db['queue']), latency: num(db['latency_us']) },
        signer: { up: signer['up'] !== false && signer['up'] !== 0, queue: num(signer['queue']), latency: num(signer['latency_us']) },
        certificates: list(reply['certificates']).map((c) => ({
            subject: str(c['subject']), hash: str(c['hash']), expires: ms(c['expires']), rsa: Boolean(c['rsa']), old: Boolean(c['old']),
        })),
        refused: list(reply['refused']).map((r) => ({
            address: str(r['address']), nodeid: str(r['nodeid']), name: str(r['name']), group: str(r['group']), reason: str(r['reason']),
            code: String(r['code'] ?? ''), first: ms(r['first']), last: ms(r['last']), count: num(r['count']), held: Boolean(r['held']),
            hash: str(r['hash']),
        })),
    };
}

/** What the server says of itself; asked for while somebody watches. */
export class Server extends Polled {
    status: Status | null = null;
    error = '';
    readonly samples: Sample[] = [];
    #control: Control;

    constructor(control: Control) {
        super(EVERY);
        this.#control = control;
    }

    async load(): Promise<void> {
        try {
            const status = readStatus(await this.#control.ask('serverstatus'));
            this.status = status;
            this.error = '';
            this.samples.push({
                at: status.now, gauges: status.gauges, counters: status.counters, dbLatency: status.db.latency,
                signerLatency: status.signer.latency, zone: status.zone.freepages,
            });
            if (this.samples.length > SAMPLES) {
                this.samples.shift();
            }
        } catch (error) {
            this.error = error instanceof Error ? error.message : String(error);
        }
        this.changed();
    }

    /** Which known devices are held back now, and why, by short id. */
    refusedDevices(words: (refused: Refused) => string): Map<string, string> {
        const map = new Map<string, string>();
        for (const refused of this.status?.refused ?? []) {
            if (refused.nodeid && refused.held) {
                map.set(shortId(refused.nodeid), words(refused));
            }
        }
        return map;
    }
}

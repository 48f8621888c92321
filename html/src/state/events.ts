// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Control, Message, PushEvent } from '../wire/control.ts';
import { Store } from './store.ts';

export type EventKind = 'session' | 'rights' | 'device' | 'server' | 'problem' | 'account' | 'run' | 'state';

export interface LogEvent {
    key: string;
    at: number;
    action: string;
    etype: string;
    msgid: number;
    text: string;
    who: string;
    nodeid: string;
    meshid: string;
    kind: EventKind;
    /** All other members, for the opened line. */
    more: Record<string, unknown>;
}

const str = (value: unknown): string => (typeof value === 'string' ? value : '');
const num = (value: unknown): number => (typeof value === 'number' ? value : 0);

const KINDS: Record<string, EventKind> = {
    relaylog: 'session', recording: 'session', endsession: 'session', runcommands: 'run', batchupload: 'run', turnon: 'run', turnoff: 'run',
    login: 'account', logout: 'account', passchange: 'account', authfail: 'problem', accountcreate: 'account', accountremove: 'account',
    loginTokenAdded: 'account', loginTokenChanged: 'account', accountchange: 'rights', meshchange: 'rights', createmesh: 'rights',
    deletemesh: 'rights', addnode: 'device', changenode: 'device', removenode: 'device', nodemeshchange: 'device', agentlog: 'device',
    manual: 'device', nodeconnect: 'state', diagnostic: 'device', started: 'server', stopped: 'server', agentrefused: 'problem',
    duplicate: 'problem', refused: 'problem',
};

export function kindOf(action: string, etype: string): EventKind {
    return KINDS[action] ?? (etype === 'relay' ? 'session' : etype === 'node' ? 'device' : etype === 'user' ? 'account'
        : etype === 'mesh' || etype === 'ugrp' ? 'rights' : 'server');
}

const SHOWN = new Set(['time', 'action', 'etype', 'msgid', 'msgArgs', 'msg', 'username', 'userid', 'nodeid', 'meshid', 'domain', 'ids', 'id',
    '_id', 'type', 'nolog', 'nopeers', 'noact', 'account', 'node', 'mesh', 'links']);

export function readEvent(raw: Record<string, unknown>, serial: number): LogEvent {
    const time = raw['time'];
    const action = str(raw['action']);
    const etype = str(raw['etype']);

    return {
        key: `${str(raw['_id']) || str(raw['id'])}/${String(time)}/${serial}`,
        at: typeof time === 'string' ? Date.parse(time) || 0 : num(time),
        action, etype,
        msgid: num(raw['msgid']),
        text: str(raw['msg']),
        who: str(raw['username']) || str(raw['userid']).split('/').at(-1) || '',
        nodeid: str(raw['nodeid']), meshid: str(raw['meshid']),
        kind: kindOf(action, etype),
        more: Object.fromEntries(Object.entries(raw).filter(([key, v]) => !SHOWN.has(key) && v !== null && v !== '')),
    };
}

/** The text without the name that stands before it. */
export function saidOf(event: Pick<LogEvent, 'who' | 'text'>): string {
    return event.who && event.text.startsWith(`${event.who} `) ? event.text.slice(event.who.length + 1) : event.text;
}

/** Is a pushed event one that the log holds too? */
export function logged(event: PushEvent): boolean {
    return !event['nolog'] && typeof event['msg'] === 'string' && event['msg'] !== '';
}

/** The log, newest first, of everything or of one device. */
export class Events extends Store {
    list: LogEvent[] = [];
    loaded = false;
    error = '';
    readonly nodeid: string;
    #control: Control;
    #serial = 0;
    #listen = (e: Event): void => this.#push((e as CustomEvent<PushEvent>).detail);

    constructor(control: Control, nodeid = '') {
        super();
        this.#control = control;
        this.nodeid = nodeid;
    }

    start(limit: number): void {
        this.#control.addEventListener('event', this.#listen);
        void this.load(limit);
    }

    stop(): void {
        this.#control.removeEventListener('event', this.#listen);
    }

    async load(limit: number): Promise<void> {
        try {
            this.read(await this.#control.ask('events', this.nodeid ? { nodeid: this.nodeid, limit } : { limit }));
            this.error = '';
        } catch (error) {
            this.error = error instanceof Error ? error.message : String(error);
        }
        this.loaded = true;
        this.changed();
    }

    read(reply: Message): void {
        const raw = Array.isArray(reply['events']) ? reply['events'] as Record<string, unknown>[] : [];
        this.list = raw.map((event) => readEvent(event, ++this.#serial));
        this.changed();
    }

    #push(event: PushEvent): void {
        if (!logged(event) || (this.nodeid && event.nodeid !== this.nodeid)) {
            return;
        }
        this.list = [readEvent({ time: Date.now(), ...event }, ++this.#serial), ...this.list];
        this.changed();
    }
}

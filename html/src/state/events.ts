// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Control, Message, PushEvent } from '../wire/control.ts';
import { num, str } from './read.ts';
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

/** As many as the server gives at once; more are not kept in the page either. */
const MOST = 10_000;

/** The log, newest first, of everything or of one device; read anew after a reconnect. */
export class Events extends Store {
    list: LogEvent[] = [];
    loaded = false;
    error = '';
    readonly nodeid: string;
    #control: Control;
    #serial = 0;
    #limit = 0;
    #listen = (e: Event): void => this.#push((e as CustomEvent<PushEvent>).detail);
    #state = (): void => {
        if (this.#control.state.kind === 'live') {
            void this.#load();
        }
    };

    constructor(control: Control, nodeid = '') {
        super();
        this.#control = control;
        this.nodeid = nodeid;
    }

    start(limit: number): void {
        this.#limit = limit;
        this.#control.addEventListener('event', this.#listen);
        this.#control.addEventListener('state', this.#state);
        void this.#load();
    }

    stop(): void {
        this.#control.removeEventListener('event', this.#listen);
        this.#control.removeEventListener('state', this.#state);
    }

    /** Are there older ones than those that were asked for? */
    get more(): boolean {
        return this.list.length >= this.#limit && this.#limit < MOST;
    }

    older(): void {
        this.#limit = Math.min(MOST, this.#limit * 4);
        void this.#load();
    }

    async #load(): Promise<void> {
        try {
            this.read(await this.#control.ask('events', { ...(this.nodeid ? { nodeid: this.nodeid } : {}), limit: this.#limit }));
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
        this.list = [readEvent({ time: Date.now(), ...event }, ++this.#serial), ...this.list].slice(0, MOST);
        this.changed();
    }
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { Control, type Message } from '../wire/control.ts';
import { Http, type SessionInfo } from '../wire/http.ts';
import { readTag } from '../wire/messenger.ts';
import { Account } from './account.ts';
import { Actions } from './actions.ts';
import { Chats } from './chats.ts';
import { Desktops } from './desktop.ts';
import { Devices } from './devices.ts';
import { Groups } from './groups.ts';
import { lastDay, type Hour } from './power.ts';
import { Recordings } from './recordings.ts';
import { Relays } from './relays.ts';
import { FULL, has, type R } from './rights.ts';
import { Server } from './server.ts';
import { Sessions } from './sessions.ts';
import { Store } from './store.ts';
import { Toasts } from './toasts.ts';
import { Vncs } from './vnc.ts';

export type Door = 'opening' | 'in' | 'out' | 'unreachable';

/** All that the page knows, and its one connection. */
export class Mesh extends Store {
    readonly http: Http;
    readonly control: Control;
    readonly account: Account;
    readonly groups: Groups;
    readonly devices: Devices;
    readonly server: Server;
    readonly sessions: Sessions;
    readonly relays: Relays;
    readonly recordings: Recordings;
    readonly desktops: Desktops;
    readonly vncs: Vncs;
    readonly chats: Chats;
    readonly actions: Actions;
    readonly toasts = new Toasts();
    readonly days: Days;
    door: Door = 'opening';
    info: SessionInfo | null = null;
    /** Why the door is shut, when it was open before. */
    ended = '';

    constructor(base: string) {
        super();
        const url = new URL('control.ashx', base);
        url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';

        this.http = new Http(base);
        this.control = new Control({
            url: url.href,
            signedIn: async () => (await this.http.session()).user !== null,
        });
        this.account = new Account(this.control);
        this.groups = new Groups(this.control, () => this.account.id);
        this.devices = new Devices(this.control, (id) => this.groups.name(id));
        this.server = new Server(this.control);
        this.sessions = new Sessions(this.control, base, () => this.account.id);
        this.relays = new Relays(this.control);
        this.recordings = new Recordings(this.control, this.http);
        this.desktops = new Desktops(this.control, base, () => this.account.direct);
        this.vncs = new Vncs(this.control, base);
        this.chats = new Chats(this.control, base, () => this.account.id);
        this.actions = new Actions(this.control);
        this.days = new Days(this);
        this.groups.onGone = (id) => this.devices.dropGroup(id);
        this.groups.onNamed = () => this.devices.regroup();
        this.control.addEventListener('state', () => this.#state());
        this.control.addEventListener('message', (e) => this.#notice((e as CustomEvent<Message>).detail));
    }

    /** Is somebody signed in?  Then connects. */
    async open(): Promise<void> {
        try {
            this.info = await this.http.session();
        } catch {
            this.door = 'unreachable';
            this.changed();
            setTimeout(() => void this.open(), 3000);
            return;
        }
        if (this.info.user) {
            this.#enter();
        } else {
            this.door = 'out';
            this.changed();
        }
    }

    async login(name: string, password: string): Promise<void> {
        await this.http.login(name, password);
        this.#enter();
    }

    async setup(token: string, name: string, password: string, email: string): Promise<void> {
        await this.http.setup(token, name, password, email);
        this.#enter();
    }

    async logout(): Promise<void> {
        this.sessions.closeAll();
        this.desktops.closeAll();
        this.vncs.closeAll();
        this.chats.closeAll();
        await this.http.logout();
        // a new page: nothing of the old person is left in memory
        location.hash = '#/login';
        location.reload();
    }

    rightsOn(deviceId: string): number {
        const device = this.devices.get(deviceId);
        const group = device ? this.groups.rights(device.groupId) : 0;
        const own = this.account.deviceRights.get(this.account.nodeId(deviceId)) ?? 0;
        return group === FULL || own === FULL ? FULL : (group | own) >>> 0;
    }

    may(deviceId: string, right: (typeof R)[keyof typeof R]): boolean {
        return has(this.rightsOn(deviceId), right);
    }

    #enter(): void {
        this.door = 'in';
        this.ended = '';
        this.control.start();
        this.changed();
    }

    #state(): void {
        const state = this.control.state;
        if (state.kind === 'live') {
            void this.#load();
        } else if (state.kind === 'waiting') {
            this.devices.asOf ||= state.since;
        } else if (state.kind === 'out') {
            this.ended = state.reason;
            this.changed();
        }
        this.changed();
    }

    async #load(): Promise<void> {
        try {
            await Promise.all([this.groups.load(), this.devices.load(), this.account.loadView()]);
            this.devices.regroup();
        } catch (error) {
            if (this.control.state.kind === 'live') {
                this.toasts.say('fault', error instanceof Error ? error.message : String(error), {
                    label: 'Try again', run: () => void this.#load(),
                });
            }
        }
    }

    #notice(message: Message): void {
        if (message.action === 'msg' && message['type'] === 'notify' && typeof message['value'] === 'string') {
            const own = [17, 18, 19, 20, 21];     // answers to a change of password, said beside the form
            // an invitation is answered, not read
            if (!own.includes(Number(message['msgid'])) && !readTag(message['tag'])) {
                const title = typeof message['title'] === 'string' && message['title'] ? `${message['title']}: ` : '';
                this.toasts.say('attention', title + message['value']);
            }
        }
    }
}

/** The last 24 hours of devices in sight, a few questions at a time. */
export class Days extends Store {
    #mesh: Mesh;
    #known = new Map<string, { at: number; hours: Hour[] }>();
    #wanted: string[] = [];
    #asking = 0;

    constructor(mesh: Mesh) {
        super();
        this.#mesh = mesh;
    }

    of(id: string): Hour[] | null {
        return this.#known.get(id)?.hours ?? null;
    }

    /** Only those in sight: what was wanted before and is not any more is dropped. */
    want(ids: readonly string[]): void {
        const now = Date.now();
        this.#wanted = ids.filter((id) => {
            const known = this.#known.get(id);
            const touched = this.#mesh.devices.get(id)?.touched ?? 0;
            return !known || now - known.at > 600_000 || touched > known.at;
        });
        this.#next();
    }

    #next(): void {
        while (this.#asking < 4 && this.#wanted.length) {
            const id = this.#wanted.shift();
            if (id !== undefined) {
                void this.#ask(id);
            }
        }
    }

    async #ask(id: string): Promise<void> {
        this.#asking++;
        try {
            const reply = await this.#mesh.control.request('powertimeline', { nodeid: this.#mesh.account.nodeId(id) });
            const timeline = Array.isArray(reply['timeline']) ? reply['timeline'] as unknown[] : [];
            this.#known.set(id, { at: Date.now(), hours: lastDay(timeline, Date.now()) });
            this.changed();
        } catch {
            /* no answer: the cell stays empty, the next sight asks again */
        } finally {
            this.#asking--;
            this.#next();
        }
    }
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Control, Message, PushEvent } from '../wire/control.ts';
import { FEATURE_WEBRTC } from '../wire/webrtc.ts';
import { FULL } from './rights.ts';
import { num, str } from './read.ts';
import { Store } from './store.ts';

export interface WebSession {
    id: string;
    created: number;
    used: number;
    address: string;
    agent: string;
    current: boolean;
}

/** The person signed in, what the server says of itself at connect, and chosen views. */
export class Account extends Store {
    id = '';
    name = '';
    realName = '';
    email = '';
    siteRights = 0;
    created = 0;
    passwordChanged = 0;
    domain = '';
    serverName = '';
    serverPort = 443;
    /** May sessions go beside the server? */
    direct = false;
    /** The server shows pages of devices. */
    webRelay = false;
    /** Direct rights on single devices, by full node id. */
    deviceRights = new Map<string, number>();
    #control: Control;
    #view: Record<string, unknown> = {};
    #save: ReturnType<typeof setTimeout> | undefined;

    constructor(control: Control) {
        super();
        this.#control = control;
        control.addEventListener('message', (e) => {
            const message = (e as CustomEvent<Message>).detail;
            if (message.action === 'serverinfo') {
                this.#server(message['serverinfo'] as Record<string, unknown>);
            } else if (message.action === 'userinfo') {
                this.#user(message['userinfo'] as Record<string, unknown>);
            }
        });
        control.addEventListener('event', (e) => {
            const event = (e as CustomEvent<PushEvent>).detail;
            const account = event['account'] as Record<string, unknown> | undefined;
            if (event.action === 'accountchange' && account?.['_id'] === this.id) {
                this.#user(account);
            }
        });
    }

    get isAdmin(): boolean {
        return this.siteRights === FULL;
    }

    get initials(): string {
        const words = (this.realName || this.name).trim().split(/\s+/);
        const letters = words.length > 1 ? `${[...words[0] ?? ''][0] ?? ''}${[...words.at(-1) ?? ''][0] ?? ''}`
            : [...(words[0] ?? '')].slice(0, 2).join('');
        return letters || '?';
    }

    nodeId(shortId: string): string {
        return `node/${this.domain}/${shortId}`;
    }

    groupId(shortId: string): string {
        return `mesh/${this.domain}/${shortId}`;
    }

    #server(info: Record<string, unknown> | undefined): void {
        this.domain = str(info?.['domain']);
        this.serverName = str(info?.['name']);
        this.serverPort = num(info?.['port']) || 443;
        this.direct = (num(info?.['features']) & FEATURE_WEBRTC) !== 0;
        this.webRelay = info?.['webrelay'] === true;
        this.changed();
    }

    #user(user: Record<string, unknown> | undefined): void {
        if (!user) {
            return;
        }
        this.id = str(user['_id']) || this.id;
        this.name = str(user['name']);
        this.realName = str(user['realname']);
        this.email = str(user['email']);
        this.siteRights = num(user['siteadmin']) >>> 0;
        this.created = num(user['creation']) * 1000;
        this.passwordChanged = num(user['passchange']) * 1000;
        this.deviceRights.clear();
        for (const [id, link] of Object.entries((user['links'] ?? {}) as Record<string, { rights?: unknown }>)) {
            if (id.startsWith('node/')) {
                this.deviceRights.set(id, num(link?.rights) >>> 0);
            }
        }
        this.changed();
    }

    /** Views that the server keeps for the person: columns, sorting, folds. */
    async loadView(): Promise<void> {
        const reply = await this.#control.request('userWebState').catch(() => null);
        try {
            const value: unknown = JSON.parse(str(reply?.['state']) || '{}');
            this.#view = value && typeof value === 'object' ? value as Record<string, unknown> : {};
        } catch {
            this.#view = {};
        }
        this.changed();
    }

    view<T>(key: string, otherwise: T): T {
        return (this.#view[key] as T | undefined) ?? otherwise;
    }

    setView(key: string, value: unknown): void {
        this.#view[key] = value;
        this.changed();
        clearTimeout(this.#save);
        this.#save = setTimeout(() => {
            this.#control.send({ action: 'userWebState', state: JSON.stringify(this.#view) });
        }, 600);
    }

    async sessions(): Promise<WebSession[]> {
        const reply = await this.#control.ask('webSessions');
        const list = reply['sessions'] ?? reply['webSessions'] ?? reply['list'];
        return (Array.isArray(list) ? list as Record<string, unknown>[] : []).map((s) => ({
            id: String(s['id'] ?? ''), created: num(s['created']), used: num(s['used']), address: str(s['address']),
            agent: str(s['agent']), current: s['current'] === true,
        }));
    }

    async endSession(id: string): Promise<void> {
        await this.#control.ask('webSessions', { remove: id });
    }

    /**
     * The answer is a notice with a number, not a reply.
     * @throws {Error} with the reason in words
     */
    changePassword(oldpass: string, newpass: string): Promise<void> {
        const said: Record<number, string> = {
            17: 'This password was used before.', 18: 'This password is too common.',
            19: 'The server could not change the password.', 21: 'The old password is wrong.',
        };

        return new Promise((resolve, reject) => {
            const finish = (error?: Error): void => {
                clearTimeout(timer);
                this.#control.removeEventListener('message', listen);
                if (error) {
                    reject(error);
                } else {
                    resolve();
                }
            };
            const listen = (e: Event): void => {
                const message = (e as CustomEvent<Message>).detail;
                if (message.action === 'msg' && message['type'] === 'notify') {
                    const id = num(message['msgid']);
                    if (id === 20) {
                        finish();
                    } else if (said[id]) {
                        finish(new Error(said[id]));
                    }
                }
            };
            const timer = setTimeout(() => finish(new Error('The server did not answer in time.')), 15_000);
            this.#control.addEventListener('message', listen);
            this.#control.ask('changepassword', { oldpass, newpass }).then(
                () => finish(),
                (error: Error) => finish(error),
            );
        });
    }
}

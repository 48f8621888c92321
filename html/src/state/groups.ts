// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Control, Message, PushEvent } from '../wire/control.ts';
import { shortId } from '../wire/bytes.ts';
import { FULL } from './rights.ts';
import { num, str } from './read.ts';
import { Store } from './store.ts';

export interface Link {
    name: string;
    rights: number;
}

export interface Group {
    /** Short id. */
    id: string;
    name: string;
    desc: string;
    type: number;
    consent: number;
    flags: number;
    /** What may be reached through its devices, beside themselves. */
    targets: string[];
    created: number;
    creator: string;
    links: Map<string, Link>;
}

function linksOf(value: unknown): Map<string, Link> {
    const links = new Map<string, Link>();
    if (value && typeof value === 'object') {
        for (const [id, link] of Object.entries(value as Record<string, Record<string, unknown>>)) {
            links.set(id, { name: str(link?.['name']) || shortId(id), rights: num(link?.['rights']) >>> 0 });
        }
    }
    return links;
}

export class Groups extends Store {
    readonly byId = new Map<string, Group>();
    loaded = false;
    #control: Control;
    #me: () => string;
    /** A group left the person's sight, or its name changed. */
    onGone: (id: string) => void = () => {};
    onNamed: () => void = () => {};

    constructor(control: Control, me: () => string) {
        super();
        this.#control = control;
        this.#me = me;
        control.addEventListener('event', (e) => this.#event((e as CustomEvent<PushEvent>).detail));
    }

    get(id: string): Group | undefined {
        return this.byId.get(id);
    }

    name(id: string): string {
        return this.byId.get(id)?.name ?? '';
    }

    sorted(): Group[] {
        return [...this.byId.values()].sort((a, b) => a.name.localeCompare(b.name) || (a.id < b.id ? -1 : 1));
    }

    /**
     * What the person may do in a group.  Who sees one without standing in it is
     * an administrator of all groups.
     */
    rights(id: string): number {
        const group = this.byId.get(id);
        if (!group) {
            return 0;
        }
        return group.links.get(this.#me())?.rights ?? FULL;
    }

    async load(): Promise<void> {
        this.read(await this.#control.ask('meshes'));
    }

    read(reply: Message): void {
        this.byId.clear();
        for (const mesh of Array.isArray(reply['meshes']) ? reply['meshes'] as Record<string, unknown>[] : []) {
            this.#put(mesh);
        }
        this.loaded = true;
        this.onNamed();
        this.changed();
    }

    /** What an answer to `createmesh` says; the event may come before or after it. */
    made(reply: Message, name: string): string {
        const id = shortId(str(reply['meshid']));
        if (id && !this.byId.has(id)) {
            this.#put({ _id: id, name, mtype: 2, links: reply['links'] ?? {} });
            this.changed();
        }
        return id;
    }

    #put(mesh: Record<string, unknown>): void {
        const id = shortId(str(mesh['_id']) || str(mesh['meshid']));
        if (!id) {
            return;
        }
        const old = this.byId.get(id);
        this.byId.set(id, {
            id,
            name: str(mesh['name']) || old?.name || '',
            desc: 'desc' in mesh ? str(mesh['desc']) : old?.desc ?? '',
            type: num(mesh['mtype']) || old?.type || 2,
            consent: 'consent' in mesh ? num(mesh['consent']) : old?.consent ?? 0,
            flags: 'flags' in mesh ? num(mesh['flags']) : old?.flags ?? 0,
            targets: Array.isArray(mesh['targets']) ? mesh['targets'].map(str) : mesh['type'] === 'mesh' ? [] : old?.targets ?? [],
            created: num(mesh['creation']) || old?.created || 0,
            creator: str(mesh['creatorname']) || old?.creator || '',
            links: 'links' in mesh ? linksOf(mesh['links']) : old?.links ?? new Map(),
        });
        if (old && old.name !== this.byId.get(id)?.name) {
            this.onNamed();
        }
    }

    #event(event: PushEvent): void {
        const id = event.meshid ? shortId(event.meshid) : '';

        switch (event.action) {
        case 'createmesh': {
            const mesh = event['mesh'] as Record<string, unknown> | undefined;
            this.#put(mesh ?? event);
            this.changed();
            break;
        }
        case 'meshchange': {
            const before = this.byId.get(id);
            this.#put(event);
            const now = this.byId.get(id);
            if (before?.links.has(this.#me()) && !now?.links.has(this.#me())) {
                // out of the group: an administrator of all groups still sees it, so ask
                void this.#still(id);
            }
            this.changed();
            break;
        }
        case 'deletemesh':
            if (this.byId.delete(id)) {
                this.onGone(id);
                this.changed();
            }
            break;
        }
    }

    async #still(id: string): Promise<void> {
        try {
            await this.load();
        } catch {
            return;
        }
        if (!this.byId.has(id)) {
            this.onGone(id);
        }
    }
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Control, Message, PushEvent } from '../wire/control.ts';
import { shortId } from '../wire/bytes.ts';
import { fold, type Searchable } from './search.ts';
import { num, str } from './read.ts';
import { Store } from './store.ts';

export type DeviceState =
    | 'online' | 'asleep' | 'standby' | 'offline' | 'unknown' | 'attention' | 'fault';

/** A row of the list. */
export interface Device extends Searchable {
    id: string;
    groupId: string;
    label: string;
    icon: number;
    conn: number;
    pwr: number;
    since: number;
    osdesc: string;
    people: string[];
    address: string;
    labels: string[];
    desc: string;
    agentId: number;
    agentVersion: string;
    seen: number;
    /** Sessions of others and of ourselves, by kind and user id. */
    sessions: Record<string, Record<string, number>>;
    /** Why it is refused, in words; empty when it is not. */
    refused: string;
    /** Connects of the last hour that this page saw. */
    flaps: number[];
    state: DeviceState;
    /** When this row last changed, to show that it did. */
    touched: number;
}

/** So many connects within an hour are worth a look. */
export const UNSTABLE = 6;
const HOUR = 3_600_000;

const strings = (value: unknown): string[] =>
    (Array.isArray(value) ? value.filter((v): v is string => typeof v === 'string') : []);

export function stateOf(device: Pick<Device, 'conn' | 'pwr' | 'seen' | 'refused' | 'flaps'>): DeviceState {
    if (device.refused && !(device.conn & 1)) {
        return 'fault';
    }
    if (device.conn & 1) {
        if (device.flaps.length >= UNSTABLE) {
            return 'attention';
        }
        return device.pwr >= 2 && device.pwr <= 5 ? 'asleep' : 'online';
    }
    if (device.conn) {
        return device.pwr === 1 ? 'online' : device.pwr >= 2 && device.pwr <= 5 ? 'asleep' : 'standby';
    }
    return device.seen ? 'offline' : 'unknown';
}

/**
 * All devices that the person may see, by short id; changed only by messages.
 * Events: `change`, and `row` (detail: the id) for what shows one device.
 */
export class Devices extends Store {
    readonly byId = new Map<string, Device>();
    loaded = false;
    loading = false;
    /** Grows when a device comes, goes, moves or is renamed: then the order is another. */
    structure = 0;
    /** What the list is a picture of, when the connection is gone. */
    asOf = 0;
    #control: Control;
    #groupName: (id: string) => string;

    constructor(control: Control, groupName: (id: string) => string) {
        super();
        this.#control = control;
        this.#groupName = groupName;
        control.addEventListener('event', (e) => this.#event((e as CustomEvent<PushEvent>).detail));
    }

    get(id: string): Device | undefined {
        return this.byId.get(id);
    }

    /** @throws {RefusedError | NoAnswerError} */
    async load(): Promise<void> {
        this.loading = true;
        try {
            this.read(await this.#control.ask('devicelist', {}, { timeout: 60_000 }));
        } finally {
            this.loading = false;
        }
    }

    read(reply: Message): void {
        const columns = strings(reply['columns']);
        const rows = Array.isArray(reply['rows']) ? reply['rows'] as unknown[] : [];
        const at = Object.fromEntries(columns.map((name, i) => [name, i]));
        const kept = new Set<string>();

        for (const row of rows) {
            if (!Array.isArray(row)) {
                continue;
            }
            const cell = (name: string): unknown => {
                const i = at[name];
                return i === undefined ? undefined : (row as unknown[])[i];
            };
            const id = shortId(str(cell('id')));
            if (!id) {
                continue;
            }
            kept.add(id);
            const old = this.byId.get(id);
            const device = old ?? blank(id);
            device.groupId = shortId(str(cell('group')));
            device.label = str(cell('name'));
            device.icon = num(cell('icon'));
            device.conn = num(cell('conn'));
            device.pwr = num(cell('pwr'));
            device.since = num(cell('since'));
            device.osdesc = str(cell('osdesc'));
            device.people = strings(cell('users'));
            device.address = str(cell('ip'));
            device.labels = strings(cell('tags'));
            device.desc = str(cell('desc'));
            device.agentId = num(cell('agentid'));
            device.agentVersion = String(cell('agentver') ?? '');
            device.seen = num(cell('seen'));
            device.sessions = tidySessions(cell('sessions'));
            this.#derive(device);
            this.byId.set(id, device);
        }
        for (const id of this.byId.keys()) {
            if (!kept.has(id)) {
                this.byId.delete(id);
            }
        }
        this.loaded = true;
        this.asOf = Date.now();
        this.structure++;
        this.changed();
    }

    /** After a group was renamed, the words that its devices are found by change. */
    regroup(): void {
        for (const device of this.byId.values()) {
            this.#derive(device);
        }
        this.structure++;
        this.changed();
    }

    /** Which devices are refused, from the server's list. */
    refused(reasons: ReadonlyMap<string, string>): void {
        for (const device of this.byId.values()) {
            const reason = reasons.get(device.id) ?? '';
            if (reason !== device.refused) {
                device.refused = reason;
                this.#touch(device);
            }
        }
    }

    dropGroup(groupId: string): void {
        for (const device of this.byId.values()) {
            if (device.groupId === groupId) {
                this.byId.delete(device.id);
            }
        }
        this.structure++;
        this.changed();
    }

    /** What the person changed here and sees at once; the event confirms it. */
    patch(id: string, change: Partial<Pick<Device, 'label' | 'desc' | 'labels' | 'icon'>>): void {
        const device = this.byId.get(id);
        if (device) {
            Object.assign(device, change);
            this.#touch(device);
        }
    }

    #derive(device: Device): void {
        const before = device.name + device.group;

        device.state = stateOf(device);
        device.name = fold(device.label);
        device.os = fold(device.osdesc);
        device.ip = fold(device.address);
        device.tags = device.labels.map(fold);
        device.users = device.people.map(fold);
        device.group = fold(this.#groupName(device.groupId));
        device.text = [device.name, device.os, device.ip, ...device.tags, ...device.users, fold(device.desc)].join('\n');
        if (before !== device.name + device.group) {
            this.structure++;
        }
    }

    #touch(device: Device): void {
        device.touched = Date.now();
        this.#derive(device);
        this.changed();
        this.dispatchEvent(new CustomEvent('row', { detail: device.id }));
    }

    #node(node: Record<string, unknown>, device: Device): void {
        const agent = (node['agent'] ?? {}) as Record<string, unknown>;

        if ('name' in node) { device.label = str(node['name']); }
        if ('icon' in node) { device.icon = num(node['icon']); }
        if ('osdesc' in node) { device.osdesc = str(node['osdesc']); }
        if ('users' in node) { device.people = strings(node['users']); }
        if ('ip' in node) { device.address = str(node['ip']); }
        if ('tags' in node) { device.labels = strings(node['tags']); }
        if ('desc' in node) { device.desc = str(node['desc']); }
        if ('meshid' in node) { device.groupId = shortId(str(node['meshid'])); }
        if ('id' in agent) { device.agentId = num(agent['id']); }
        if ('ver' in agent) { device.agentVersion = String(agent['ver']); }
        if ('conn' in node) { this.#connected(device, num(node['conn']), num(node['pwr']), num(node['agct'])); }
    }

    #connected(device: Device, conn: number, pwr: number, since: number): void {
        const now = Date.now();

        if (conn !== device.conn) {
            device.seen = now;
            if ((conn & 1) && !(device.conn & 1)) {
                device.flaps = [...device.flaps.filter((t) => now - t < HOUR), now];
                device.refused = '';
            }
            if (!(conn & 1)) {
                device.sessions = {};
            }
        }
        device.conn = conn;
        device.pwr = pwr;
        device.since = conn ? since || (device.since || now) : 0;
    }

    #event(event: PushEvent): void {
        const id = event.nodeid ? shortId(event.nodeid) : '';
        const node = event['node'] as Record<string, unknown> | undefined;

        switch (event.action) {
        case 'nodeconnect': {
            const device = this.byId.get(id);
            if (device) {
                this.#connected(device, num(event['conn']), num(event['pwr']), num(event['ct']));
                this.#touch(device);
            }
            break;
        }
        case 'addnode': {
            const newId = shortId(str(node?.['_id'])) || id;
            if (node && newId) {
                const device = this.byId.get(newId) ?? blank(newId);
                device.groupId = shortId(str(event.meshid)) || device.groupId;
                device.seen ||= Date.now();
                this.byId.set(newId, device);
                this.structure++;
                this.#node(node, device);
                this.#touch(device);
            }
            break;
        }
        case 'changenode': {
            const device = this.byId.get(id);
            if (device && node) {
                this.#node(node, device);
                this.#touch(device);
            }
            break;
        }
        case 'nodemeshchange': {
            const known = id || shortId(str(node?.['_id']));
            const device = this.byId.get(known) ?? blank(known);
            if (known) {
                if (node) {
                    this.#node(node, device);
                }
                device.groupId = shortId(str(event['newMeshId'])) || device.groupId;
                this.byId.set(known, device);
                this.structure++;
                this.#touch(device);
            }
            break;
        }
        case 'removenode':
            if (this.byId.delete(id)) {
                this.structure++;
                this.changed();
                this.dispatchEvent(new CustomEvent('row', { detail: id }));
            }
            break;
        case 'devicesessions': {
            const device = this.byId.get(id);
            if (device) {
                device.sessions = tidySessions(event['sessions']);
                this.#touch(device);
            }
            break;
        }
        }
    }
}

function blank(id: string): Device {
    return {
        id, groupId: '', label: '', icon: 1, conn: 0, pwr: 0, since: 0, osdesc: '', people: [], address: '', labels: [], desc: '',
        agentId: 0, agentVersion: '', seen: 0, sessions: {}, refused: '', flaps: [], state: 'unknown', touched: 0,
        name: '', os: '', ip: '', tags: [], users: [], group: '', text: '',
    };
}

function tidySessions(value: unknown): Device['sessions'] {
    const out: Device['sessions'] = {};

    if (value && typeof value === 'object') {
        for (const [kind, users] of Object.entries(value)) {
            if (users && typeof users === 'object') {
                const list = Object.entries(users as object).filter(([, n]) => typeof n === 'number' && n > 0);
                if (list.length) {
                    out[kind] = Object.fromEntries(list) as Record<string, number>;
                }
            }
        }
    }
    return out;
}

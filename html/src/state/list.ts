// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Device, DeviceState } from './devices.ts';
import type { Group } from './groups.ts';
import { matches, parseQuery } from './search.ts';

export type SortKey = 'name' | 'state' | 'user' | 'os' | 'ip' | 'tags';
export type Counts = Partial<Record<DeviceState, number>>;
export type Line =
    | { kind: 'group'; id: string; name: string; counts: Counts; total: number; open: boolean }
    | { kind: 'device'; device: Device };

export interface ListOptions {
    query: string;
    state: DeviceState | '';
    sort: SortKey;
    down: boolean;
    folded: ReadonlySet<string>;
}

export interface List {
    lines: Line[];
    /** Of all that fits the words, whatever its state. */
    counts: Counts;
    matching: number;
    /** Ids in the order shown, folded ones too. */
    shown: string[];
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });
const RANK: Record<DeviceState, number> = { attention: 0, fault: 1, online: 2, asleep: 3, standby: 4, offline: 5, unknown: 6 };

/** Addresses in the order of their numbers. */
function ipKey(ip: string): string {
    return ip.includes(':') ? `b${ip}` : `a${ip.split('.').map((part) => part.padStart(3, '0')).join('.')}`;
}

export function compare(sort: SortKey, down: boolean): (a: Device, b: Device) => number {
    const by = (a: Device, b: Device): number => {
        switch (sort) {
        case 'state': return RANK[a.state] - RANK[b.state] || (b.since || b.seen) - (a.since || a.seen);
        case 'user': return collator.compare(a.people.join(), b.people.join());
        case 'os': return collator.compare(a.osdesc, b.osdesc);
        case 'ip': {
            const x = ipKey(a.address);
            const y = ipKey(b.address);
            return x < y ? -1 : x > y ? 1 : 0;
        }
        case 'tags': return collator.compare(a.labels.join(), b.labels.join());
        default: return 0;
        }
    };
    return (a, b) => (down ? -1 : 1) * (by(a, b) || collator.compare(a.label, b.label)) || (a.id < b.id ? -1 : 1);
}

/** Devices in order; done anew only when the order can be another. */
export function ordered(devices: Iterable<Device>, sort: SortKey, down: boolean): Device[] {
    return [...devices].sort(compare(sort, down));
}

/** What is shown, from devices in order. */
export function makeList(devices: readonly Device[], groups: readonly Group[], options: ListOptions): List {
    const terms = parseQuery(options.query);
    const buckets = new Map<string, { counts: Counts; list: Device[] }>();
    const counts: Counts = {};
    const narrow = terms.length > 0 || options.state !== '';
    let matching = 0;

    for (const group of groups) {
        buckets.set(group.id, { counts: {}, list: [] });
    }
    for (const device of devices) {
        if (!matches(terms, device)) {
            continue;
        }
        matching++;
        counts[device.state] = (counts[device.state] ?? 0) + 1;
        if (options.state && device.state !== options.state) {
            continue;
        }
        let bucket = buckets.get(device.groupId);
        if (!bucket) {
            bucket = { counts: {}, list: [] };
            buckets.set(device.groupId, bucket);
        }
        bucket.counts[device.state] = (bucket.counts[device.state] ?? 0) + 1;
        bucket.list.push(device);
    }

    const lines: Line[] = [];
    const shown: string[] = [];
    const names = new Map(groups.map((group) => [group.id, group.name]));
    for (const [id, bucket] of buckets) {
        if (!bucket.list.length && narrow) {
            continue;
        }
        const open = !options.folded.has(id);
        lines.push({ kind: 'group', id, name: names.get(id) ?? '', counts: bucket.counts, total: bucket.list.length, open });
        for (const device of bucket.list) {
            shown.push(device.id);
            if (open) {
                lines.push({ kind: 'device', device });
            }
        }
    }
    return { lines, counts, matching, shown };
}

/** Where each line begins, with lines of two heights; the last is the whole height. */
export function offsets(lines: readonly Line[], groupHeight: number, deviceHeight: number): Float64Array {
    const out = new Float64Array(lines.length + 1);
    for (let i = 0; i < lines.length; i++) {
        out[i + 1] = (out[i] ?? 0) + (lines[i]?.kind === 'group' ? groupHeight : deviceHeight);
    }
    return out;
}

/** The line at a height: the last that begins at or above it. */
export function lineAt(tops: Float64Array, y: number): number {
    let low = 0;
    let high = Math.max(0, tops.length - 2);
    while (low < high) {
        const middle = (low + high + 1) >> 1;
        if ((tops[middle] ?? 0) <= y) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

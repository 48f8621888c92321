// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { Device } from '../../src/state/devices.ts';
import type { Group } from '../../src/state/groups.ts';
import { lineAt, makeList, offsets, ordered } from '../../src/state/list.ts';
import { fold, matches, parseQuery } from '../../src/state/search.ts';

function device(id: string, more: Partial<Device> = {}): Device {
    const label = more.label ?? id;
    const base = { id, label, groupId: 'g', state: 'online', since: 1, seen: 1, people: [], osdesc: '', address: '', labels: [], conn: 1, ...more };
    return {
        ...base, name: fold(label), os: fold(base.osdesc), ip: base.address, tags: base.labels.map(fold), users: base.people.map(fold), group: 'lab',
        text: [label, base.osdesc, base.address, ...base.labels, ...base.people].map(fold).join('\n'),
    } as unknown as Device;
}
const group = (id: string, name: string): Group => ({ id, name } as unknown as Group);
const find = (query: string, d: Device): boolean => matches(parseQuery(query), d);

test('a filter is what people type', () => {
    const d = device('web-12', { osdesc: 'Debian 12', labels: ['prod', 'Web'], people: ['mei'], address: '192.0.2.7' });
    const fits = ['', 'web', 'WEB-12', 'tag:prod', 'tag:web debian', '-os:windows', 'user:mei', 'ip:192.0.2', 'online', 'is:online', '"debian 12"', 'group:lab -tag:test'];
    const fitsNot = ['tag:pro', '-web', 'os:windows', 'offline', 'nothing', '"12 debian"', 'ip:2.7', '-online'];
    expect(fits.filter((query) => !find(query, d))).toEqual([]);
    expect(fitsNot.filter((query) => find(query, d))).toEqual([]);
});

test('half a query breaks nothing', () => {
    const d = device('a');
    for (const query of ['"', '-', 'tag:', ':', '::', '"a', '- -', 'x:y:z', '\\', '-"']) {
        expect(() => find(query, d)).not.toThrow();
    }
});

test('names are in the order of their numbers, addresses too', () => {
    const list = [device('web-10', { address: '10.0.0.10' }), device('web-9', { address: '10.0.0.9' }), device('Alpha', { address: '9.0.0.1' })];
    expect(ordered(list, 'name', false).map((d) => d.label)).toEqual(['Alpha', 'web-9', 'web-10']);
    expect(ordered(list, 'ip', false).map((d) => d.address)).toEqual(['9.0.0.1', '10.0.0.9', '10.0.0.10']);
    expect(ordered(list, 'name', true).map((d) => d.label)).toEqual(['web-10', 'web-9', 'Alpha']);
});

test('groups count their devices by state, also when folded', () => {
    const devices = [device('a'), device('b', { state: 'offline' }), device('c', { groupId: 'h' })];
    const options = { query: '', state: '' as const, sort: 'name' as const, down: false, folded: new Set(['g']) };
    const list = makeList(devices, [group('g', 'G'), group('h', 'H')], options);
    expect(list.lines.map((line) => (line.kind === 'group' ? line.name : line.device.id))).toEqual(['G', 'H', 'c']);
    expect(list.lines[0]).toMatchObject({ counts: { online: 1, offline: 1 }, total: 2, open: false });
    expect(list.shown).toEqual(['a', 'b', 'c']);
});

test('an empty group shows itself, unless something is looked for', () => {
    const options = { query: '', state: '' as const, sort: 'name' as const, down: false, folded: new Set<string>() };
    expect(makeList([], [group('g', 'G')], options).lines).toHaveLength(1);
    expect(makeList([], [group('g', 'G')], { ...options, query: 'x' }).lines).toHaveLength(0);
});

test('the line at a height is found among ten thousand', () => {
    const lines = makeList(Array.from({ length: 10_000 }, (_, i) => device(`d${i}`)), [group('g', 'G')],
        { query: '', state: '', sort: 'name', down: false, folded: new Set() }).lines;
    const tops = offsets(lines, 32, 28);
    expect(tops[lines.length]).toBe(32 + 10_000 * 28);
    expect([lineAt(tops, 0), lineAt(tops, 31), lineAt(tops, 32), lineAt(tops, 32 + 28 * 5000), lineAt(tops, 1e9)]).toEqual([0, 0, 1, 5001, 10_000]);
});

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { Devices, stateOf } from '../../src/state/devices.ts';
import type { Control, Message } from '../../src/wire/control.ts';

const COLUMNS = ['id', 'group', 'name', 'icon', 'conn', 'pwr', 'since', 'osdesc', 'users', 'ip', 'tags', 'desc', 'agentid', 'agentver', 'seen'];
const row = (id: string, name: string, conn = 0): unknown[] => [id, 'g', name, 1, conn, conn ? 1 : 0, conn ? 5 : 0, 'Debian 12', ['root'], '192.0.2.1', ['prod'], '', 6, 0, 4];

function make(...rows: unknown[][]): { devices: Devices; event: (event: Record<string, unknown>) => void } {
    const control = new EventTarget();
    const devices = new Devices(control as unknown as Control, (id) => (id === 'g' ? 'Lab' : ''));
    devices.read({ action: 'devicelist', columns: COLUMNS, rows } as Message);
    return { devices, event: (event) => control.dispatchEvent(new CustomEvent('event', { detail: event })) };
}

test('rows become devices; a column more, or in another place, does no harm', () => {
    const { devices } = make();
    devices.read({ action: 'devicelist', columns: ['new', 'name', 'id', 'conn'], rows: [[1, 'web-1', 'node//a', 1], 'no row', [1, 'no id']] } as Message);
    expect([...devices.byId.keys()]).toEqual(['a']);
    expect(devices.get('a')).toMatchObject({ label: 'web-1', conn: 1, osdesc: '', labels: [] });
});

test('values of a wrong type are as if they were not there', () => {
    const { devices } = make(['a', 'g', { x: 1 }, 'x', 'y', null, [], 7, 'root', 1, [1, 'ok'], false, 'q', {}, 'z']);
    expect(devices.get('a')).toMatchObject({ label: '', conn: 0, people: [], labels: ['ok'], seen: 0, state: 'unknown' });
});

test('a connect and a disconnect change state and time', () => {
    const { devices, event } = make(row('a', 'web-1'));
    expect(devices.get('a')?.state).toBe('offline');
    event({ action: 'nodeconnect', nodeid: 'node//a', conn: 1, pwr: 1, ct: 1234 });
    expect(devices.get('a')).toMatchObject({ state: 'online', since: 1234 });
    event({ action: 'nodeconnect', nodeid: 'node//a', conn: 0, pwr: 0 });
    expect(devices.get('a')).toMatchObject({ state: 'offline', since: 0 });
});

test('who connects again and again needs attention', () => {
    const { devices, event } = make(row('a', 'web-1'));
    for (let i = 0; i < 6; i++) {
        event({ action: 'nodeconnect', nodeid: 'node//a', conn: 1, pwr: 1 });
        event({ action: 'nodeconnect', nodeid: 'node//a', conn: 0, pwr: 0 });
    }
    event({ action: 'nodeconnect', nodeid: 'node//a', conn: 1, pwr: 1 });
    expect(devices.get('a')?.state).toBe('attention');
});

test('devices come, move, are renamed and go', () => {
    const { devices, event } = make();
    event({ action: 'addnode', meshid: 'mesh//g', node: { _id: 'node//n', name: 'new' } });
    expect(devices.get('n')).toMatchObject({ label: 'new', groupId: 'g', group: 'lab' });
    event({ action: 'changenode', nodeid: 'node//n', node: { name: 'newer', tags: ['x'] } });
    expect(devices.get('n')).toMatchObject({ label: 'newer', labels: ['x'], name: 'newer' });
    event({ action: 'nodemeshchange', nodeid: 'node//n', newMeshId: 'mesh//h' });
    expect(devices.get('n')?.groupId).toBe('h');
    event({ action: 'removenode', nodeid: 'node//n' });
    expect(devices.byId.size).toBe(0);
});

test('an event about a device that is not seen makes none', () => {
    const { devices, event } = make();
    event({ action: 'nodeconnect', nodeid: 'node//x', conn: 1, pwr: 1 });
    event({ action: 'changenode', nodeid: 'node//x', node: { name: 'x' } });
    expect(devices.byId.size).toBe(0);
});

test('a new list drops what is not in it and keeps what is', () => {
    const { devices } = make(row('a', 'one'), row('b', 'two'));
    const before = devices.get('b');
    devices.read({ action: 'devicelist', columns: COLUMNS, rows: [row('b', 'two')] } as Message);
    expect(devices.get('a')).toBeUndefined();
    expect(devices.get('b')).toBe(before);
});

test('a refused device says so until it is let in', () => {
    const { devices, event } = make(row('a', 'web-1'));
    devices.refused(new Map([['a', 'Certificate not known']]));
    expect(devices.get('a')?.state).toBe('fault');
    event({ action: 'nodeconnect', nodeid: 'node//a', conn: 1, pwr: 1 });
    expect(devices.get('a')?.state).toBe('online');
});

test('states from connection and power', () => {
    const of = (conn: number, pwr: number, seen = 1): string => stateOf({ conn, pwr, seen, refused: '', flaps: [] });
    expect([of(1, 1), of(1, 3), of(2, 0), of(2, 1), of(0, 0), of(0, 0, 0)]).toEqual(['online', 'asleep', 'standby', 'online', 'offline', 'unknown']);
});

test('sessions of a device are counts above zero, and nothing else', () => {
    const { devices, event } = make(row('a', 'web-1', 1));
    event({ action: 'devicesessions', nodeid: 'node//a', sessions: { terminal: { 'user//mei': 2, 'user//x': 0 }, kvm: 'x', files: {} } });
    expect(devices.get('a')?.sessions).toEqual({ terminal: { 'user//mei': 2 } });
    devices.read({ action: 'devicelist', columns: ['id', 'conn', 'sessions'], rows: [['node//a', 1, { files: { 'user//oona': 1 } }]] } as Message);
    expect(devices.get('a')?.sessions).toEqual({ files: { 'user//oona': 1 } });
});

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { Groups } from '../../src/state/groups.ts';
import { FULL } from '../../src/state/rights.ts';
import type { Control, Message } from '../../src/wire/control.ts';

function make(): { groups: Groups; event: (event: Record<string, unknown>) => void } {
    const control = new EventTarget();
    return { groups: new Groups(control as unknown as Control, () => 'user//me'), event: (event) => control.dispatchEvent(new CustomEvent('event', { detail: event })) };
}

test('a group that was made is there, whether its event or the answer comes first', () => {
    const reply = { action: 'createmesh', result: 'ok', meshid: 'mesh//g', links: { 'user//me': { name: 'me', rights: FULL } } } as Message;
    const created = { action: 'createmesh', meshid: 'mesh//g', mesh: { _id: 'mesh//g', name: 'Lab', links: { 'user//me': { name: 'me', rights: FULL } } } };
    for (const first of ['event', 'answer']) {
        const { groups, event } = make();
        if (first === 'event') {
            event(created);
        }
        expect(groups.made(reply, 'Lab')).toBe('g');
        if (first === 'answer') {
            event(created);
        }
        expect(groups.sorted().map((group) => group.name)).toEqual(['Lab']);
        expect(groups.rights('g')).toBe(FULL);
    }
});

test('members and their rights change with the event', () => {
    const { groups, event } = make();
    groups.read({ action: 'meshes', meshes: [{ _id: 'mesh//g', name: 'Lab', links: { 'user//me': { name: 'me', rights: 8 } } }] } as Message);
    expect(groups.rights('g')).toBe(8);
    event({ action: 'meshchange', meshid: 'mesh//g', name: 'Lab', links: { 'user//me': { name: 'me', rights: 64 }, 'user//mei': { name: 'mei', rights: 8 } } });
    expect(groups.rights('g')).toBe(64);
    expect(groups.get('g')?.links.get('user//mei')?.rights).toBe(8);
});

test('a group that is deleted takes its devices with it', () => {
    const { groups, event } = make();
    const gone: string[] = [];
    groups.onGone = (id) => gone.push(id);
    groups.read({ action: 'meshes', meshes: [{ _id: 'mesh//g', name: 'Lab' }] } as Message);
    event({ action: 'deletemesh', meshid: 'mesh//g' });
    expect(gone).toEqual(['g']);
    expect(groups.sorted()).toEqual([]);
});

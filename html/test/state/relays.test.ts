// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { readRelays } from '../../src/state/relays.ts';
import type { Message } from '../../src/wire/control.ts';

const row = (id: string, since: number): Record<string, unknown> => ({
    id, nodeid: 'node//abc', userid: 'user//mei', username: 'mei', address: '10.0.0.1', protocol: 1, since, bytesin: 10, bytesout: 20, endable: true,
});

test('the newest session comes first, by the clock of this browser', () => {
    const list = readRelays({ action: 'relays', now: 5000, relays: [row('a', 1000), row('b', 4000)] } as Message, 100_000);
    expect(list.map((r) => [r.id, r.since])).toEqual([['b', 99_000], ['a', 96_000]]);
    expect(list[0]).toMatchObject({ deviceId: 'abc', userName: 'mei', received: 10, sent: 20, endable: true });
});

test('members of another type are as if they were not there', () => {
    const odd = { id: 5, nodeid: null, since: 'x', bytesin: {}, endable: 'yes' };
    expect(readRelays({ action: 'relays', relays: [odd, 7] } as unknown as Message, 1)).toHaveLength(2);
    expect(readRelays({ action: 'relays', relays: [odd] } as unknown as Message, 1)[0]).toMatchObject({ id: '', deviceId: '', received: 0, endable: false });
    expect(readRelays({ action: 'relays', relays: 'none' } as unknown as Message, 1)).toEqual([]);
});

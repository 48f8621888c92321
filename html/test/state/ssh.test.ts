// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { maySsh, R } from '../../src/state/rights.ts';
import { faultWords, KnownHosts } from '../../src/state/ssh.ts';

const key = { type: 'ssh-ed25519', fingerprint: 'SHA256:abc' };

function storage(): { map: Map<string, string>; getItem: (name: string) => string | null; setItem: (name: string, value: string) => void } {
    const map = new Map<string, string>();
    return { map, getItem: (name) => map.get(name) ?? null, setItem: (name, value) => void map.set(name, value) };
}

test('a host key is known to who saw it, on that device and port alone', () => {
    const kept = storage();
    let who = 'user//ines';
    const known = new KnownHosts(() => kept, () => who);

    known.set('node//a', 22, key, 'root');
    expect(known.get('node//a', 22)).toEqual({ ...key, user: 'root' });
    expect(known.get('node//a', 2222)).toBeNull();
    expect(known.get('node//b', 22)).toBeNull();
    who = 'user//mei';
    expect(known.get('node//a', 22)).toBeNull();
});

test('a storage that is forbidden or has something else in it knows no key', () => {
    const kept = storage();
    const known = new KnownHosts(() => kept, () => 'user//ines');
    known.set('node//a', 22, key, 'root');
    for (const text of ['', '[]', '7', '{"type":7}', '{"type":"x"}', 'null', '{']) {
        kept.map.set([...kept.map.keys()][0] as string, text);
        expect(known.get('node//a', 22)).toBeNull();
    }
    const none = new KnownHosts(() => { throw new Error('forbidden'); }, () => 'user//ines');
    none.set('node//a', 22, key, 'root');
    expect(none.get('node//a', 22)).toBeNull();
});

test('each way in which it can go wrong has a sentence of its own', () => {
    const codes = ['relay', 'refused', 'silent', 'protocol', 'algorithms', 'signature', 'host', 'methods', 'tries', 'expired', 'shell', 'lost', 'given up'];
    const words = codes.map((code) => faultWords(Object.assign(new Error('x'), { code, detail: '' }), 2222));

    expect(new Set(words).size).toBe(codes.length);
    expect(words.every((text) => text.length > 8 && text !== 'x')).toBe(true);
    expect(faultWords(Object.assign(new Error('x'), { code: 'refused' }), 2222)).toContain('2222');
});

test('SSH goes with the right to the terminal or to the relay', () => {
    expect(maySsh(R.RELAY)).toBe(true);
    expect(maySsh(R.CONTROL)).toBe(true);
    expect(maySsh(R.CONTROL | R.NO_TERMINAL)).toBe(false);
    expect(maySsh(R.CONTROL | R.NO_TERMINAL | R.RELAY)).toBe(true);
    expect(maySsh(R.DETAILS)).toBe(false);
});

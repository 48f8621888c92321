// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { backoff } from '../../src/wire/backoff.ts';
import { pieces, shortId } from '../../src/wire/bytes.ts';

test('a paste is cut into pieces that together are the text, and never inside a character', () => {
    const text = 'aé€😀'.repeat(500);
    for (const size of [4, 5, 7, 64, 1024]) {
        const list = [...pieces(text, size)];
        const decoder = new TextDecoder('utf-8', { fatal: true });
        expect(list.every((piece) => piece.length <= size && piece.length > 0)).toBe(true);
        expect(list.map((piece) => decoder.decode(piece)).join('')).toBe(text);
    }
    expect([...pieces('', 10)]).toEqual([]);
});

test('a wire id is known by its last part', () => {
    expect(shortId('node//abc')).toBe('abc');
    expect(shortId('abc')).toBe('abc');
});

test('waiting doubles from half a second to half a minute, and half of it is random', () => {
    expect(backoff(0, () => 0)).toBe(250);
    expect(backoff(0, () => 1)).toBe(500);
    expect(backoff(3, () => 1)).toBe(4000);
    expect(backoff(50, () => 1)).toBe(30_000);
    expect(backoff(50, () => 0)).toBe(15_000);
});

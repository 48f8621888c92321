// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { Parts, PIECE } from '../../src/wire/source.ts';

const SIZE = 100 * 1024 * 1024 + 17;

const byte = (at: number): number => (at ^ (at >> 8) ^ (at >> 16)) & 255;

function make(size = SIZE): { open: () => Promise<Parts>; asked: [number, number][]; fail: { next: boolean } } {
    const asked: [number, number][] = [];
    const fail = { next: false };
    const open = (): Promise<Parts> => Parts.open(async (at, n) => {
        await Promise.resolve();
        asked.push([at, n]);
        if (fail.next) {
            fail.next = false;
            throw new Error('The server does not answer.');
        }
        const bytes = new Uint8Array(Math.min(n, size - at));
        for (let i = 0; i < bytes.length; i++) {
            bytes[i] = byte(at + i);
        }
        return { bytes, size };
    });
    return { open, asked, fail };
}

const right = (bytes: Uint8Array, at: number, size: number): boolean => bytes.length === size && bytes.every((b, i) => b === byte(at + i));

test('any part is the one that was asked for, up to the end of the file', async () => {
    const parts = await make(200_001).open();
    expect(parts.size).toBe(200_001);
    for (const at of [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE - 1, 200_000]) {
        for (const size of [1, 16, PIECE, PIECE + 1, 3 * PIECE]) {
            expect(right(await parts.read(at, size), at, Math.min(size, 200_001 - at)), `${at} ${size}`).toBe(true);
        }
    }
    expect(await parts.read(200_001, 5)).toHaveLength(0);
    expect(await parts.read(1e15, 5)).toHaveLength(0);
});

test('who reads on finds the next part here already, in large requests', async () => {
    const { open, asked } = make();
    const parts = await open();
    for (let at = 0; at < 160 * PIECE; at += 10_000) {
        expect(right(await parts.read(at, 16), at, 16)).toBe(true);
    }
    expect(asked.length).toBeLessThan(25);
    expect(asked.every(([at, n], i) => i === 0 || at === (asked[i - 1]?.[0] ?? 0) + (asked[i - 1]?.[1] ?? 0) && n >= PIECE)).toBe(true);
});

test('who looks somewhere else fetches that, and nothing between', async () => {
    const { open, asked } = make();
    const parts = await open();
    const there = 90 * 1024 * 1024;
    expect(right(await parts.read(there, 100), there, 100)).toBe(true);
    expect(asked.slice(1)).toEqual([[there, PIECE]]);
    await Promise.all([parts.read(there + 5, 100), parts.read(there + 5, 200)]);
    expect(asked.slice(2).every(([at]) => at > there)).toBe(true);
});

test('the same part is asked for once, by however many', async () => {
    const { open, asked } = make();
    const parts = await open();
    await Promise.all(Array.from({ length: 20 }, () => parts.read(50 * 1024 * 1024, 10)));
    expect(asked.filter(([at]) => at === 50 * 1024 * 1024)).toHaveLength(1);
});

test('of a file of any size no more than 32 MB is kept, and what was dropped is fetched again', async () => {
    const { open, asked } = make();
    const parts = await open();
    let most = 0;
    for (let at = 0; at < SIZE; at += PIECE) {
        await parts.read(at, 16);
        most = Math.max(most, parts.kept);
    }
    expect(most * PIECE).toBeLessThanOrEqual(32 * 1024 * 1024);
    const before = asked.length;
    expect(right(await parts.read(5, 100), 5, 100)).toBe(true);
    expect(asked.length).toBe(before + 1);
});

test('a message that is longer than what is kept of one comes in one request', async () => {
    const { open, asked } = make();
    const parts = await open();
    const at = 3 * 1024 * 1024 + 3;
    expect(right(await parts.read(at, 2 * 1024 * 1024), at, 2 * 1024 * 1024)).toBe(true);
    expect(asked.slice(1)).toEqual([[at, 2 * 1024 * 1024]]);
});

test('a part that did not come is asked for again', async () => {
    const { open, fail } = make();
    const parts = await open();
    const at = 20 * 1024 * 1024;
    fail.next = true;
    await expect(parts.read(at, 10)).rejects.toThrow('does not answer');
    expect(right(await parts.read(at, 10), at, 10)).toBe(true);
});

test('a part that is kept stays while the next one is fetched for the same read', async () => {
    const { open } = make();
    const parts = await open();
    const tiles = Array.from({ length: 500 }, (_, i) => ((i * 3 + 40) % 1500) * PIECE + PIECE - 100);
    for (const at of tiles) {
        expect(right(await parts.read(at, 16), at, 16)).toBe(true);
    }
    for (const at of tiles) {
        expect(right(await parts.read(at, 8000), at, 8000)).toBe(true);
    }
});

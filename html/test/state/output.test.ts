// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { Output, PENDING } from '../../src/state/output.ts';

const MB = 1024 * 1024;
const LINE = '\x18\r\nleft out\r\n';

function screen(): { output: Output; seen: (number | string)[]; writes: (() => void)[] } {
    const seen: (number | string)[] = [];
    const writes: (() => void)[] = [];
    const output = new Output((data, written) => {
        seen.push(typeof data === 'string' ? data : data.length);
        writes.push(written);
    }, () => 'left out');
    return { output, seen, writes };
}

test('output is written as it comes, and each of it is taken', () => {
    const { output, seen, writes } = screen();
    let taken = 0;
    for (let i = 0; i < 200; i++) {
        output.push(new Uint8Array(MB), () => taken++);
        writes.shift()?.();
    }
    expect([seen.length, taken, seen.includes(LINE)]).toEqual([200, 200, false]);
});

test('what a slow screen cannot hold is left out, and one line says so when it goes on', () => {
    const { output, seen, writes } = screen();
    let taken = 0;
    for (let i = 0; i < 100; i++) {
        output.push(new Uint8Array(MB), () => taken++);
    }
    const held = PENDING / MB + 1;
    expect([seen.length, taken]).toEqual([held, 100 - held]);

    for (let i = 0; i < PENDING / MB / 2; i++) {
        writes.shift()?.();
        output.push(new Uint8Array(1), () => taken++);
    }
    expect(seen.length).toBe(held);
    writes.shift()?.();
    expect(seen.slice(held)).toEqual([LINE]);
    output.push(new Uint8Array(1), () => taken++);
    while (writes.length) {
        writes.shift()?.();
    }
    expect(seen.slice(held)).toEqual([LINE, 1]);
    expect(taken).toBe(100 + PENDING / MB / 2 + 1);
});

test('one message over the bound is written', () => {
    const { output, seen, writes } = screen();
    output.push(new Uint8Array(PENDING + 1), () => {});
    output.push(new Uint8Array(1), () => {});
    writes.shift()?.();
    expect(seen).toEqual([PENDING + 1, LINE]);
});

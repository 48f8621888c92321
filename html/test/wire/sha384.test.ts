// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Sha384 } from '../../src/wire/sha384.ts';

const real = (bytes: Uint8Array): string => createHash('sha384').update(bytes).digest('hex').toUpperCase();

describe('a hash in pieces', () => {
    it('is that of the system for every length around a block', () => {
        for (let n = 0; n < 300; n++) {
            const bytes = Uint8Array.from({ length: n }, (_, i) => (i * 7 + n) & 255);
            expect(new Sha384().update(bytes).digest()).toBe(real(bytes));
        }
    });

    it('does not depend on where the pieces are cut', () => {
        const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * 31) & 255);
        for (let cut = 0; cut <= 400; cut++) {
            const sum = new Sha384().update(bytes.subarray(0, cut));
            const copy = sum.clone();
            expect(sum.digest()).toBe(real(bytes.subarray(0, cut)));
            expect(sum.update(bytes.subarray(cut)).digest()).toBe(real(bytes));
            expect(copy.length).toBe(cut);
            expect(copy.digest()).toBe(real(bytes.subarray(0, cut)));
        }
    });

    it('goes on over many blocks', () => {
        const part = new Uint8Array(1 << 20);
        const sum = new Sha384();
        const right = createHash('sha384');
        for (let i = 0; i < 2; i++) {
            sum.update(part);
            right.update(part);
        }
        expect(sum.digest()).toBe(right.digest('hex').toUpperCase());
    });
});

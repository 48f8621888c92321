// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { difference, inWords, LEVEL_WORDS, WORDS } from '../../src/state/abilities.ts';
import { ABILITIES, abilitiesOf, FULL, has, levelOf, LEVELS, mayTerminal, R, rightsOf } from '../../src/state/rights.ts';

const all = ABILITIES.flatMap(({ list }) => list.map(({ id }) => id));

test('a set of abilities becomes rights and the same set again', () => {
    for (let n = 0; n < 5000; n++) {
        const set = new Set(all.filter((_, i) => (n * 2654435761 >>> (i % 28)) & 1));
        if (!set.has('desktop')) {
            set.delete('input');
        }
        expect([...abilitiesOf(rightsOf(set))].sort()).toEqual([...set].sort());
    }
});

test('full rights are every ability, nothing is none but seeing events', () => {
    expect([...abilitiesOf(FULL)].sort()).toEqual([...all].sort());
    expect([...abilitiesOf(0)]).toEqual(['events']);
});

test('each level is known by its number, and each is more than the one before', () => {
    let before = new Set<string>();
    for (const [level, bits] of Object.entries(LEVELS)) {
        expect(levelOf(bits >>> 0)).toBe(level);
        const now = abilitiesOf(bits >>> 0);
        expect([...before].filter((id) => !now.has(id))).toEqual([]);
        before = now;
    }
    expect(levelOf(R.WAKE)).toBe('custom');
});

test('a terminal needs control and no ban, whatever else is there', () => {
    expect(mayTerminal(R.CONTROL)).toBe(true);
    expect(mayTerminal(R.CONTROL | R.NO_TERMINAL)).toBe(false);
    expect(mayTerminal(R.COMMAND | R.CONSOLE)).toBe(false);
    expect(mayTerminal(FULL)).toBe(true);
});

test('all bits are needed where several are asked for', () => {
    expect(has(R.CONTROL, R.CONTROL | R.CONSOLE)).toBe(false);
    expect(has(R.CONTROL | R.CONSOLE, R.CONTROL | R.CONSOLE)).toBe(true);
    expect(has(FULL, R.RELAY)).toBe(true);
});

test('every ability and level has words', () => {
    expect(all.filter((id) => !WORDS[id])).toEqual([]);
    expect(Object.keys(LEVELS).filter((level) => !LEVEL_WORDS[level as keyof typeof LEVEL_WORDS])).toEqual([]);
});

test('rights are said in two sentences, a change by what it gives and takes', () => {
    const { may, mayNot } = inWords(R.WAKE | R.OWN_EVENTS);
    expect(may).toBe('See which devices there are and wake.');
    expect(mayNot).toContain('use the terminal');
    expect(inWords(FULL).mayNot).toBe('');
    expect(difference(R.WAKE, R.POWER)).toEqual({ gives: ['restart and power off'], takes: ['wake'] });
});

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { HOUR_MS, hours, lastDay, spans } from '../../src/state/power.ts';

const NOW = 1_800_000_000_000 - (1_800_000_000_000 % HOUR_MS) + HOUR_MS / 2;
const H = HOUR_MS / 1000;

test('no timeline, nothing known', () => {
    expect(spans([], NOW)).toEqual([]);
    expect(lastDay([], NOW).every((hour) => hour === null)).toBe(true);
});

test('on since three hours, off before', () => {
    const start = Math.floor(NOW / HOUR_MS) * HOUR_MS - 3 * HOUR_MS;
    const day = lastDay([0, start / 1000 - 10 * H, 0, 10 * H, 1], NOW);
    expect(day.slice(-4)).toEqual([1, 1, 1, 1]);
    expect(day[19]).toBe(0);
});

test('an hour of many turns is unstable', () => {
    const start = Math.floor(NOW / HOUR_MS) * HOUR_MS - 2 * HOUR_MS;
    const timeline: number[] = [0, start / 1000, 1];
    for (let i = 0; i < 10; i++) {
        timeline.push(300, i % 2 ? 1 : 0);
    }
    expect(hours(spans(timeline, NOW), start, 1, NOW)).toEqual([3]);
});

test('what is still to come is not known', () => {
    const start = Math.floor(NOW / HOUR_MS) * HOUR_MS;
    expect(hours(spans([0, start / 1000 - 5 * H, 1], NOW), start, 3, NOW)).toEqual([1, null, null]);
});

test('things that are no numbers do no harm', () => {
    expect(() => lastDay([null, 'x', {}, 1, 2, 3], NOW)).not.toThrow();
});

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/** What an hour was, mostly: off, on, asleep, unstable, not known or not yet. */
export type Hour = 0 | 1 | 2 | 3 | null;

interface Span {
    from: number;
    to: number;
    state: number;
}

export const HOUR_MS = 3_600_000;
/** More than so many turns within an hour make it unstable. */
const RESTLESS = 4;

/**
 * `[startState, startTime s, state, delta s, state, …]`: up to the start time it was
 * the first state, from then on the third, each delta later the next one.
 */
export function spans(timeline: readonly unknown[], now: number): Span[] {
    const n = (i: number): number => (typeof timeline[i] === 'number' ? timeline[i] as number : 0);
    const out: Span[] = [];

    if (timeline.length < 2) {
        return out;
    }
    let at = n(1) * 1000;
    if (n(0) > 0) {
        out.push({ from: 0, to: at, state: n(0) });
    }
    let state = timeline.length > 2 ? n(2) : n(0);
    for (let i = 3; i + 1 < timeline.length; i += 2) {
        const next = at + n(i) * 1000;
        out.push({ from: at, to: next, state });
        state = n(i + 1);
        at = next;
    }
    if (at < now) {
        out.push({ from: at, to: now, state });
    }
    return out;
}

/** One value for each hour from `start` (ms, a full hour) on. */
export function hours(list: readonly Span[], start: number, count: number, now: number): Hour[] {
    return Array.from({ length: count }, (_, i) => {
        const from = start + i * HOUR_MS;
        const to = Math.min(from + HOUR_MS, now);
        if (from >= now) {
            return null;
        }
        let on = 0;
        let asleep = 0;
        let known = 0;
        let turns = 0;
        for (const span of list) {
            const shared = Math.min(to, span.to) - Math.max(from, span.from);
            if (shared <= 0) {
                continue;
            }
            known += shared;
            turns++;
            if (span.state === 1 || span.state === 7) {
                on += shared;
            } else if (span.state >= 2 && span.state <= 5) {
                asleep += shared;
            }
        }
        if (known === 0) {
            return null;
        }
        if (turns > RESTLESS) {
            return 3;
        }
        if (on >= (to - from) / 2) {
            return 1;
        }
        return asleep >= (to - from) / 2 ? 2 : on + asleep > 0 && on >= known / 2 ? 1 : 0;
    });
}

/** The last 24 full hours and the running one's part, ending now. */
export function lastDay(timeline: readonly unknown[], now: number): Hour[] {
    const start = Math.floor(now / HOUR_MS) * HOUR_MS - 23 * HOUR_MS;
    return hours(spans(timeline, now), start, 24, now);
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

const FIRST = 500;
const LAST = 30_000;

/**
 * How long to wait before try number `tries` (from 0), in ms: doubling from half a
 * second to half a minute, with the upper half random, so that a thousand pages do
 * not come back in the same instant.
 */
export function backoff(tries: number, random: () => number = Math.random): number {
    const full = Math.min(LAST, FIRST * 2 ** Math.min(tries, 16));
    return Math.round(full / 2 + random() * (full / 2));
}

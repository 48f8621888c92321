// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { num, t } from './index.ts';

const MIN = 60;
const HOUR = 3600;
const DAY = 86_400;

/** How long, in the one or two units that matter: `12 d 4 h`, `38 s`. */
export function duration(ms: number, units = 1): string {
    const s = Math.max(0, Math.round(ms / 1000));
    const parts: [number, string][] = s >= DAY ? [[DAY, 'd'], [HOUR, 'h']] : s >= HOUR ? [[HOUR, 'h'], [MIN, 'min']]
        : s >= MIN ? [[MIN, 'min'], [1, 's']] : [[1, 's']];
    let rest = s;

    return parts.slice(0, units).map(([size, unit]) => {
        const n = Math.floor(rest / size);
        rest -= n * size;
        return n || size === parts[0]?.[0] ? `${num(n)}\u00a0${unit}` : '';
    }).filter(Boolean).join(' ');
}

export function ago(at: number, now = Date.now()): string {
    return now - at < 2000 ? t('just now') : t('{time} ago', { time: duration(now - at) });
}

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const clockS = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const dayLong = new Intl.DateTimeFormat('en-GB', { weekday: 'long', day: 'numeric', month: 'long' });
const dayShort = new Intl.DateTimeFormat('en-GB', { weekday: 'short', day: 'numeric' });
const weekday = new Intl.DateTimeFormat('en-GB', { weekday: 'short' });
const date = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });
const full = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeStyle: 'long' });
const zone = new Intl.DateTimeFormat('en-GB', { timeZoneName: 'long' });

export const clockOf = (at: number): string => clock.format(at);
export const clockSeconds = (at: number): string => clockS.format(at);
export const dayOf = (at: number): string => dayLong.format(at);
export const dayOfWeek = (at: number): string => dayShort.format(at);
export const dateOf = (at: number): string => date.format(at);
export const exact = (at: number): string => (at ? full.format(at) : '');
export const zoneName = (): string => zone.formatToParts(0).find((p) => p.type === 'timeZoneName')?.value ?? '';

/** Time of day today, weekday this week, else the date. */
export function when(at: number, now = Date.now()): string {
    if (new Date(at).toDateString() === new Date(now).toDateString()) {
        return clockOf(at);
    }
    return now - at < 6 * DAY * 1000 ? weekday.format(at) : dateOf(at);
}

/** Bytes in the unit that reads best. */
export function size(bytes: number): string {
    const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];
    let n = bytes;
    let i = 0;

    while (n >= 1000 && i < units.length - 1) {
        n /= 1024;
        i++;
    }
    return `${n >= 100 || i === 0 ? Math.round(n) : n >= 10 ? n.toFixed(0) : n.toFixed(1)}\u00a0${units[i] ?? ''}`;
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DesktopRelay } from '../../src/wire/desktop.ts';
import { Pace } from '../../src/wire/pace.ts';
import { Socket } from './socket.ts';

const BEST = { image: 'jpeg', quality: 80, scaling: 1024, interval: 50 } as const;

class DesktopSocket extends Socket {
    /** Numbers of the packets sent since the last call. */
    packets(): number[] {
        const list = this.sent.filter((data): data is Uint8Array => typeof data !== 'string');
        this.sent = this.sent.filter((data) => typeof data === 'string');
        return list.map((p) => p[1] ?? 0);
    }

    /** The probe that is under way comes back. */
    echo(): void {
        const probe = this.sent.filter((data) => typeof data === 'string' && data.includes('"rtt"')).at(-1);
        this.say(probe);
    }
}

function make(): { relay: DesktopRelay; socket: DesktopSocket; seen: string[] } {
    const socket = new DesktopSocket();
    const seen: string[] = [];
    const relay = new DesktopRelay({ url: 'wss://x', best: BEST, automatic: true, socket: () => socket as unknown as WebSocket, now: () => Date.now() });
    for (const type of ['open', 'packets', 'console', 'users', 'device', 'control', 'recording', 'broken', 'close']) {
        relay.addEventListener(type, () => seen.push(type));
    }
    return { relay, socket, seen };
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test('the protocol, then how the picture is wanted, then a probe', () => {
    const { socket, seen } = make();
    socket.say('c');
    expect(seen).toEqual(['open']);
    expect(socket.sent[0]).toBe('2');
    expect((socket.sent[1] as Uint8Array)[1]).toBe(5);
    expect(socket.sent[2]).toContain('"rtt"');
});

test('control messages are told apart, a number or a text as their mark', () => {
    const { socket, seen } = make();
    socket.say('cr');
    socket.say('{"ctrlChannel":102938,"type":"console","msg":"x","msgid":1}');
    socket.say('{"ctrlChannel":"102938","type":"metadata","users":{"user//a":1}}');
    socket.say('{"ctrlChannel":"102938","type":"answer","sdp":""}');
    socket.say('{"type":"console"}');
    socket.say('no json');
    socket.say('null');
    expect(seen).toEqual(['open', 'recording', 'console', 'users', 'control']);
});

test('where several watch the server says whether the device is there', () => {
    const { relay, socket, seen } = make();
    const there: boolean[] = [];
    relay.addEventListener('device', (e) => there.push((e as CustomEvent<boolean>).detail));
    socket.say('c');
    socket.say('{"ctrlChannel":"102938","type":"metadata","users":{"user//a":1},"startTime":null}');
    socket.say('{"ctrlChannel":"102938","type":"metadata","users":{"user//a":2},"startTime":1700000000000}');
    expect(seen).toEqual(['open', 'users', 'device', 'users', 'device']);
    expect(there).toEqual([false, true]);
});

test('what cannot be a packet ends it, with the reason', () => {
    const { socket, seen } = make();
    socket.say('c');
    socket.say(new Uint8Array([0, 3, 0, 1, 0]).buffer);
    expect(seen).toEqual(['open', 'broken', 'close']);
    expect(socket.readyState).toBe(3);
});

test('a probe that stays away makes the picture less, and pauses it until it has come', () => {
    const { relay, socket } = make();
    socket.say('c');
    socket.packets();
    vi.advanceTimersByTime(20);
    socket.echo();
    vi.advanceTimersByTime(600);            // the next one leaves
    const before = relay.pace.now.quality;
    vi.advanceTimersByTime(1400);
    expect(relay.pace.now.quality).toBeLessThan(before);
    const sent = socket.packets();
    expect(sent).toContain(5);
    expect(sent).toContain(8);
    socket.echo();
    expect(socket.packets()).toEqual([8]);
});

test('a picture that waits in the page counts as one on the line', () => {
    const { relay, socket } = make();
    socket.say('c');
    relay.waiting = () => 900;
    const before = relay.pace.step;
    vi.advanceTimersByTime(20);
    socket.echo();
    expect(relay.pace.step).toBe(before);       // the first says what is normal
    relay.waiting = () => 2500;
    vi.advanceTimersByTime(600);
    socket.echo();
    expect(relay.pace.step).toBeGreaterThan(before);
});

test('pace: a fast line gets all in a few seconds', () => {
    const pace = new Pace(BEST);
    for (let at = 0; at < 10_000; at += 500) {
        pace.probed(at, 20, at + 20);
    }
    expect(pace.now).toEqual(BEST);
});

test('pace: a slow line goes down to what is least, and no further', () => {
    const pace = new Pace(BEST);
    pace.probed(0, 50, 50);
    for (let at = 1000; at < 60_000; at += 3000) {
        pace.probed(at, 3000, at + 3000);
    }
    expect(pace.now.quality).toBe(10);
    expect(pace.now.scaling).toBe(512);
    expect(pace.now.interval).toBeLessThanOrEqual(1000);
});

test('pace: one late probe is one step, however often it is looked at', () => {
    const pace = new Pace(BEST);
    pace.probed(0, 50, 50);
    const before = pace.step;
    for (let age = 0; age < 5000; age += 200) {
        pace.probed(1000, age, 1000 + age, true);
    }
    expect(pace.step).toBe(before + 1);
});

test('pace: what has just failed is tried again later each time', () => {
    const pace = new Pace(BEST);
    const raises: number[] = [];
    let at = 0;
    pace.probed(0, 20, 20);
    while (at < 120_000) {
        at += 500;
        // the line carries step 2 and no more
        const late = pace.step < 2;
        if (pace.probed(at, late ? 1200 : 20, at + (late ? 1200 : 20)) && !late) {
            raises.push(at);
        }
    }
    const gaps = raises.slice(1).map((when, i) => when - (raises[i] ?? 0));
    expect(gaps.length).toBeGreaterThan(1);
    expect(gaps.at(-1) ?? 0).toBeGreaterThan(gaps[0] ?? 0);
});

test('pace: what the person chose by hand is left alone', () => {
    const pace = new Pace({ ...BEST, quality: 100 });
    pace.automatic = false;
    expect(pace.now).toEqual({ ...BEST, quality: 100 });
    expect(pace.pauses(9000)).toBe(false);
});

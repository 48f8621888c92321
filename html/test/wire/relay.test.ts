// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Relay, type ConsoleText } from '../../src/wire/relay.ts';
import { Socket } from './socket.ts';

class RelaySocket extends Socket {
    get texts(): string[] {
        return this.sent.filter((data): data is string => typeof data === 'string');
    }

    get bytes(): number {
        return this.sent.reduce((sum, data) => sum + (typeof data === 'string' ? 0 : data.length), 0);
    }
}

function make(): { relay: Relay; socket: RelaySocket; seen: string[] } {
    const socket = new RelaySocket();
    const seen: string[] = [];
    const relay = new Relay({ url: 'wss://x', protocol: 1, cols: 80, rows: 24, socket: () => socket as unknown as WebSocket, now: () => Date.now() });
    for (const type of ['open', 'data', 'console', 'recording', 'delay', 'close']) {
        relay.addEventListener(type, () => seen.push(type));
    }
    return { relay, socket, seen };
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test('when the device is there, options go before the protocol', () => {
    const { socket, seen } = make();
    socket.say('c');
    expect(seen).toEqual(['open']);
    expect(JSON.parse(socket.texts[0] ?? '')).toEqual({ ctrlChannel: '102938', type: 'options', cols: 80, rows: 24 });
    expect(socket.texts[1]).toBe('1');
});

test('a recorded session says so', () => {
    const { seen, socket } = make();
    socket.say('cr');
    expect(seen).toEqual(['open', 'recording']);
});

test('a second c is not a second beginning', () => {
    const { seen, socket } = make();
    socket.say('c');
    socket.say('c');
    expect(seen).toEqual(['open']);
});

test('a paste of 100 KB goes out in pieces of 1 KB with pauses, and wholly', async () => {
    const { relay, socket } = make();
    socket.say('c');
    relay.type('x'.repeat(100 * 1024));
    expect(socket.bytes).toBe(1024);
    await vi.advanceTimersByTimeAsync(1000);
    expect(socket.bytes).toBe(100 * 1024);
    expect(socket.sent.every((data) => typeof data === 'string' || data.length <= 1024)).toBe(true);
    expect(relay.waiting).toBe(0);
});

test('what was typed before the device came is sent when it comes', async () => {
    const { relay, socket } = make();
    relay.type('early');
    expect(socket.bytes).toBe(0);
    socket.say('c');
    relay.type(' late');
    await vi.advanceTimersByTimeAsync(100);
    const bytes = socket.sent.flatMap((data) => (typeof data === 'string' ? [] : [...data]));
    expect(new TextDecoder().decode(new Uint8Array(bytes))).toBe('early late');
});

test('a ping is answered, a round trip is measured', async () => {
    const { relay, socket } = make();
    socket.say('c');
    socket.say('{"ctrlChannel":"102938","type":"ping"}');
    expect(socket.texts.at(-1)).toContain('"pong"');
    const sent = JSON.parse(socket.texts.find((text) => text.includes('"rtt"')) ?? '{}') as { time: number };
    await vi.advanceTimersByTimeAsync(30);
    socket.say(JSON.stringify({ ctrlChannel: '102938', type: 'rtt', time: sent.time }));
    expect(relay.delay).toBe(30);
});

test('text that is not of the channel is dropped', () => {
    const { socket, seen } = make();
    socket.say('c');
    for (const bad of ['', '{', 'null', '7', '{"type":"close"}', '{"ctrlChannel":"1","type":"ping"}', '{"ctrlChannel":"102938","type":"rtt","time":"x"}']) {
        socket.say(bad);
    }
    expect(seen).toEqual(['open']);
});

test('words of the device come with their number and never as markup', () => {
    const { relay, socket } = make();
    const heard: ConsoleText[] = [];
    relay.addEventListener('console', (e) => heard.push((e as CustomEvent<ConsoleText>).detail));
    socket.say('{"ctrlChannel":"102938","type":"console","msg":"<b>x</b>","msgid":2,"msgargs":[1]}');
    expect(heard).toEqual([{ msg: '<b>x</b>', msgid: 2, args: ['1'] }]);
});

test('closing says goodbye once', () => {
    const { relay, socket, seen } = make();
    socket.say('c');
    relay.close();
    relay.close();
    expect(socket.texts.filter((text) => text.includes('"close"'))).toHaveLength(1);
    expect(seen.filter((type) => type === 'close')).toHaveLength(1);
});

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Control, NoAnswerError, RefusedError, type Message } from '../../src/wire/control.ts';

class Socket {
    static last: Socket;
    readyState = 1;
    onopen: (() => void) | null = null;
    onmessage: ((event: { data: unknown }) => void) | null = null;
    onclose: ((event: { code: number; reason: string }) => void) | null = null;
    onerror: (() => void) | null = null;
    sent: Message[] = [];
    closed = false;

    constructor() {
        Socket.last = this;
    }

    send(data: string): void {
        this.sent.push(JSON.parse(data) as Message);
    }

    close(): void {
        this.closed = true;
    }

    say(message: unknown): void {
        this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) });
    }
}

let signedIn = true;
const make = (): Control => new Control({ url: 'wss://x/control.ashx', signedIn: () => Promise.resolve(signedIn), socket: () => new Socket(), random: () => 1 });
const live = (): Control => {
    const control = make();
    control.start();
    Socket.last.say({ action: 'serverinfo', serverinfo: {} });
    return control;
};

beforeEach(() => {
    signedIn = true;
    vi.useFakeTimers();
});
afterEach(() => {
    vi.useRealTimers();
});

test('the channel is live with the first message, not before', () => {
    const control = make();
    control.start();
    expect(control.state.kind).toBe('connecting');
    expect(control.send({ action: 'nodes' })).toBe(false);
    Socket.last.say({ action: 'serverinfo' });
    expect(control.state.kind).toBe('live');
});

test('an answer is matched by its number, whatever comes between', async () => {
    const control = live();
    const first = control.ask('getsysinfo', { nodeid: 'node//a' });
    const second = control.ask('getsysinfo', { nodeid: 'node//b' });
    const [one, two] = Socket.last.sent;
    Socket.last.say({ action: 'getsysinfo', nodeid: 'node//b', tag: two?.['tag'], n: 2 });
    Socket.last.say({ action: 'event', event: { action: 'nodeconnect', nodeid: 'node//a' } });
    Socket.last.say({ action: 'getsysinfo', nodeid: 'node//a', responseid: one?.['responseid'], n: 1 });
    expect((await first)['n']).toBe(1);
    expect((await second)['n']).toBe(2);
});

test('an answer without a number is matched by action and object', async () => {
    const control = live();
    const about = control.ask('getNotes', { id: 'node//a' });
    Socket.last.say({ action: 'getNotes', id: 'node//b', notes: 'other' });
    Socket.last.say({ action: 'getNotes', id: 'node//a', notes: 'mine' });
    expect((await about)['notes']).toBe('mine');
});

test('a result other than success is an error with the words of the server', async () => {
    const control = live();
    const asked = control.ask('removedevices', { nodeids: [] });
    Socket.last.say({ action: 'removedevices', result: 'Access denied', tag: Socket.last.sent[0]?.['tag'] });
    await expect(asked).rejects.toThrow(RefusedError);
    await expect(asked).rejects.toThrow('Access denied');
});

test('a request that nobody answers ends by itself', async () => {
    const control = live();
    const asked = control.ask('nodes');
    const failed = expect(asked).rejects.toThrow(NoAnswerError);
    await vi.advanceTimersByTimeAsync(15_001);
    await failed;
});

test('a lost connection ends what waits, says since when, and comes back', async () => {
    const control = live();
    const asked = control.ask('nodes');
    const failed = expect(asked).rejects.toThrow(NoAnswerError);
    const before = Socket.last;
    before.onclose?.({ code: 1006, reason: '' });
    await failed;
    expect(control.state.kind).toBe('waiting');
    await vi.advanceTimersByTimeAsync(501);
    expect(Socket.last).not.toBe(before);
    Socket.last.say({ action: 'serverinfo' });
    expect(control.state.kind).toBe('live');
});

test('without a session it does not knock for ever', async () => {
    const control = live();
    signedIn = false;
    const before = Socket.last;
    before.onclose?.({ code: 1008, reason: '' });
    await vi.advanceTimersByTimeAsync(120_000);
    expect(control.state.kind).toBe('out');
    expect(Socket.last).toBe(before);
});

test('text that is no JSON, or no message, changes nothing', () => {
    const control = live();
    for (const bad of ['', '{', 'null', '[]', '"x"', '{"a":1}', '{"action":7}', '{"action":"event","event":null}']) {
        Socket.last.say(bad);
    }
    expect(control.state.kind).toBe('live');
});

test('events reach who listens without their envelope', () => {
    const control = live();
    const heard: unknown[] = [];
    control.addEventListener('event', (e) => heard.push((e as CustomEvent).detail));
    Socket.last.say({ action: 'event', event: { action: 'addnode', nodeid: 'node//a' } });
    expect(heard).toEqual([{ action: 'addnode', nodeid: 'node//a' }]);
});

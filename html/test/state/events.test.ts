// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { Events } from '../../src/state/events.ts';
import type { Control, Message } from '../../src/wire/control.ts';

class Channel extends EventTarget {
    state = { kind: 'live' };
    asked: Record<string, unknown>[] = [];
    size = 3;

    ask(_action: string, members: Record<string, unknown>): Promise<Message> {
        this.asked.push(members);
        return Promise.resolve({ action: 'events', events: Array.from({ length: this.size }, (_, i) => ({ time: i, action: 'login', msg: `old ${i}` })) });
    }

    push(event: Record<string, unknown>): void {
        this.dispatchEvent(new CustomEvent('event', { detail: event }));
    }
}

const make = (nodeid = ''): { log: Events; channel: Channel } => {
    const channel = new Channel();
    return { log: new Events(channel as unknown as Control, nodeid), channel };
};
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

test('the log is read, and what happens is put in front of it', async () => {
    const { log, channel } = make();
    log.start(10);
    await turn();
    channel.push({ action: 'login', msg: 'new' });
    channel.push({ action: 'nodeconnect', nolog: 1 });
    expect(log.list.map((event) => event.text)).toEqual(['new', 'old 0', 'old 1', 'old 2']);
});

test('of one device it takes only what is about it', async () => {
    const { log, channel } = make('node//a');
    log.start(10);
    await turn();
    expect(channel.asked).toEqual([{ nodeid: 'node//a', limit: 10 }]);
    channel.push({ action: 'x', msg: 'of another', nodeid: 'node//b' });
    expect(log.list).toHaveLength(3);
});

test('after a reconnect it is read anew, and after its end never again', async () => {
    const { log, channel } = make();
    log.start(10);
    channel.dispatchEvent(new Event('state'));
    expect(channel.asked).toHaveLength(2);
    log.stop();
    channel.dispatchEvent(new Event('state'));
    channel.push({ action: 'login', msg: 'late' });
    await turn();
    expect(channel.asked).toHaveLength(2);
    expect(log.list.some((event) => event.text === 'late')).toBe(false);
});

test('older ones are asked for as long as there may be some', async () => {
    const { log, channel } = make();
    log.start(3);
    await turn();
    expect(log.more).toBe(true);
    log.older();
    await turn();
    expect(channel.asked.at(-1)).toEqual({ limit: 12 });
    expect(log.more).toBe(false);
});

test('a page that stays open for weeks keeps a bounded number', async () => {
    const { log, channel } = make();
    channel.size = 10_000;
    log.start(10_000);
    await turn();
    channel.push({ action: 'login', msg: 'one more' });
    expect(log.list).toHaveLength(10_000);
    expect(log.list[0]?.text).toBe('one more');
});

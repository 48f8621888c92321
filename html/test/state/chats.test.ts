// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Chat, Chats, cleanText, idName, TEXT } from '../../src/state/chats.ts';
import type { Control } from '../../src/wire/control.ts';
import { Socket } from '../wire/socket.ts';

let sockets: (Socket & { url: string; onopen?: (() => void) | null })[];

const socket = (url: string): WebSocket => {
    const s = Object.assign(new Socket(), { url });
    sockets.push(s);
    return s as unknown as WebSocket;
};
const last = (): Socket & { onopen?: (() => void) | null } => sockets.at(-1) as Socket;
const say = (action: string, members: Record<string, unknown> = {}): void => last().say(JSON.stringify({ action, ...members }));
const lose = (code = 1006): void => last().onclose?.({ code });
const turn = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

function make(answers: boolean, invite = vi.fn(() => Promise.resolve())): { chat: Chat; invite: typeof invite } {
    return { invite, chat: new Chat({ called: 'user//mei', caller: 'user//ines', base: 'https://x/', answers, ticket: () => Promise.resolve('t'), invite, socket }) };
}

async function opened(answers: boolean): Promise<Chat> {
    const { chat } = make(answers);
    if (answers) {
        chat.join();
    } else {
        void chat.invite();
    }
    await turn();
    last().onopen?.();
    last().say('c');
    if (!answers) {
        say('accept');
    }
    return chat;
}

beforeEach(() => {
    sockets = [];
    vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

test('who calls is connected when the other side says yes, and hears nothing before', async () => {
    const { chat, invite } = make(false);
    void chat.invite();
    await turn();
    expect(invite).toHaveBeenCalledOnce();
    expect(sockets.map((s) => s.url)).toEqual(['wss://x/meshrelay.ashx?id=meshmessenger/user%2F%2Fmei/user%2F%2Fines&auth=t']);
    last().onopen?.();
    last().say('c');
    say('chat', { msg: 'before' });
    say('file', { id: 1, name: 'x', size: 1 });
    expect([chat.state, chat.lines.length, chat.say('x')]).toEqual(['waiting', 0, true]);
    say('accept');
    say('chat', { msg: 'after' });
    expect(chat.state).toBe('open');
    expect(chat.lines.filter((line) => line.from === 'peer').map((line) => line.text)).toEqual(['after']);
});

test('a refusal ends it, and is not asked again', async () => {
    const { chat } = make(false);
    void chat.invite();
    await turn();
    last().say('c');
    say('refuse');
    expect(chat.state).toBe('refused');
    await turn(120_000);
    expect(sockets).toHaveLength(1);
});

test('an end that the server lets go comes again, until nobody has answered for long', async () => {
    const { chat } = make(false);
    void chat.invite();
    await turn();
    for (let i = 0; i < 25 && chat.state !== 'failed'; i++) {
        last().onopen?.();
        await turn(30_000);
        lose(1000);
        await turn(1000);
    }
    expect([chat.state, chat.says]).toEqual(['failed', 'Nobody answered.']);
    expect(sockets.length).toBeGreaterThan(15);
});

test('a connection that broke is made again, and the words stay', async () => {
    for (const answers of [true, false]) {
        const chat = await opened(answers);
        say('chat', { msg: 'one' });
        lose();
        expect(chat.state).toBe('lost');
        await turn(1000);
        last().onopen?.();
        last().say('c');
        say(answers ? 'nothing' : 'accept');
        expect(chat.state).toBe('open');
        expect(chat.lines.some((line) => line.text === 'one')).toBe(true);
    }
});

test('who does not come back is not waited for', async () => {
    const chat = await opened(true);
    lose(1000);
    for (let i = 0; i < 10; i++) {
        await turn(10_000);
        last().onopen?.();
        lose(1000);
    }
    expect([chat.state, chat.says]).toEqual(['ended', 'The other side did not come back.']);
});

test('who leaves says so, and the other side does not wait', async () => {
    const chat = await opened(true);
    say('bye');
    expect(chat.state).toBe('ended');
    await turn(120_000);
    expect(sockets).toHaveLength(1);
    const other = await opened(false);
    other.leave();
    expect(last().sent.at(-1)).toBe('{"action":"bye"}');
    expect([other.state, last().readyState]).toEqual(['ended', 3]);
});

test('the server that ends it is not asked again', async () => {
    const chat = await opened(false);
    lose(1008);
    expect([chat.state, chat.says]).toEqual(['ended', 'It was ended by the server: somebody ended it, or the right to it is gone.']);
    const again = make(true).chat;
    again.join();
    await turn();
    lose(1008);
    expect(again.state).toBe('failed');
});

test('a ticket that is over is said to be', async () => {
    const chat = new Chat({ called: 'node//x', caller: 'user//ines', base: 'https://x/', answers: true, ticket: 'a@b', socket });
    chat.join();
    await turn();
    expect(sockets[0]?.url).toContain('&rauth=a%40b');
    lose();
    expect([chat.state, chat.says]).toEqual(['failed', 'This invitation is not valid any more, or the server cannot be reached.']);
});

test('however much is said, a bounded number of lines is kept', async () => {
    const chat = await opened(true);
    say('file', { id: 1, name: 'kept.txt', size: 5 });
    for (let i = 0; i < 1500; i++) {
        say('chat', { msg: `line ${i}` });
    }
    expect(chat.lines).toHaveLength(1000);
    expect(chat.lines.at(-1)?.text).toBe('line 1499');
    expect(chat.lines.some((line) => line.parcel?.name === 'kept.txt')).toBe(true);
});

test('a text is data: short enough, and without what hides or turns it round', async () => {
    const chat = await opened(true);
    for (const msg of [7, null, {}, '', '  \n ', '\u0000\u0007']) {
        say('chat', { msg });
    }
    expect(chat.lines.filter((line) => line.from === 'peer')).toHaveLength(0);
    say('chat', { msg: `\u202e<b>${'x'.repeat(10_000)}` });
    expect(chat.lines.at(-1)?.text).toBe(`<b>${'x'.repeat(TEXT - 3)}`);
    expect(cleanText('a\r\nb\tc\u2066')).toBe('a\nb\tc');
    expect(idName(`user//${'\u202e'}mei`)).toBe('mei');
});

test('calls are not heard of in what is recorded', async () => {
    const { chat } = make(true);
    chat.join();
    await turn();
    last().say('cr');
    say('webRtcSdp', { id: 1, sdp: { type: 'offer', sdp: 'v=0' } });
    expect([chat.recorded, chat.call.state]).toEqual([true, 'none']);
});

test('a call that nobody answered goes with the conversation', async () => {
    const chat = await opened(true);
    say('webRtcSdp', { id: 1, sdp: { type: 'offer', sdp: 'v=0' }, media: 'video' });
    expect([chat.call.state, chat.call.media]).toEqual(['asked', 'video']);
    say('webRtcSdp', { id: 1, sdp: { type: 'offer', sdp: 'v=1' } });
    say('webRtcIce', { id: 1, ice: { candidate: 'x' } });
    lose();
    expect(chat.call.state).toBe('none');
});

test('what is no description is no call', async () => {
    const chat = await opened(true);
    for (const odd of [{}, { id: 1 }, { id: 1, sdp: 'v=0' }, { id: 1, sdp: { type: 'answer', sdp: 'v=0' } }, { id: 2, sdp: { type: 'offer', sdp: 'v=0' } }, { id: 1, sdp: { type: 'offer', sdp: 'x'.repeat(65_537) } }, { id: 1, sdp: { type: 'offer', sdp: 5 } }]) {
        say('webRtcSdp', odd);
    }
    say('webRtcIce', { id: 1, ice: null });
    say('videoStop', { id: 1 });
    expect(chat.call.state).toBe('none');
});

class Line extends EventTarget {
    asked: string[] = [];

    ask(action: string): Promise<Record<string, unknown>> {
        this.asked.push(action);
        return Promise.resolve({ cookie: 't' });
    }

    hear(detail: unknown): void {
        this.dispatchEvent(new CustomEvent('message', { detail }));
    }
}

test('an invitation is of who the server says, to this account, and once', () => {
    const line = new Line();
    const chats = new Chats(line as unknown as Control, 'https://x/', () => 'user//mei');
    const note = (caller: string, called = 'user//mei', userid = caller): unknown => ({
        action: 'msg', type: 'notify', title: `<b>${caller}`, userid, tag: `meshmessenger/${encodeURIComponent(called)}/${encodeURIComponent(caller)}`,
    });
    line.hear(note('user//ines'));
    line.hear(note('user//ines'));
    line.hear(note('user//boss', 'user//other'));
    line.hear(note('user//boss', 'user//mei', 'user//ines'));
    line.hear({ action: 'msg', type: 'notify', tag: 'broadcast' });
    expect(chats.invitations.map((i) => [i.caller, i.title])).toEqual([['user//ines', '<b>user//ines']]);
    for (let i = 0; i < 20; i++) {
        line.hear(note(`user//u${i}`));
    }
    expect(chats.invitations).toHaveLength(5);
    vi.advanceTimersByTime(600_000);
    expect(chats.invitations).toHaveLength(0);
});

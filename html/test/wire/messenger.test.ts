// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { BLOCK, messengerId, MessengerWire, readTag, type Block, type Said } from '../../src/wire/messenger.ts';
import { Socket } from './socket.ts';

function make(): { wire: MessengerWire; socket: Socket; said: Said[]; blocks: Block[]; ends: number[] } {
    const socket = new Socket();
    const wire = new MessengerWire('wss://x', () => socket as unknown as WebSocket);
    const said: Said[] = [];
    const blocks: Block[] = [];
    const ends: number[] = [];
    wire.addEventListener('said', (e) => said.push((e as CustomEvent<Said>).detail));
    wire.addEventListener('block', (e) => blocks.push((e as CustomEvent<Block>).detail));
    wire.addEventListener('close', (e) => ends.push((e as CustomEvent<number>).detail));
    return { wire, socket, said, blocks, ends };
}

test('an id is of both, and a tag gives them back', () => {
    expect(messengerId('node//a@$b', 'user//mei ½')).toBe('meshmessenger/node%2F%2Fa%40%24b/user%2F%2Fmei%20%C2%BD');
    expect(readTag(messengerId('user//b', 'user//a'))).toEqual({ called: 'user//b', caller: 'user//a' });
});

test('what is no tag of an invitation is none', () => {
    for (const tag of [undefined, 7, '', 'broadcast', 'meshmessenger/a', 'meshmessenger/a/b/c', 'meshmessenger/%/b', `meshmessenger/${'a'.repeat(3000)}/b`]) {
        expect(readTag(tag)).toBeNull();
    }
});

test('what comes before the start is of nobody, and nothing is said before it', () => {
    const { wire, socket, said } = make();
    socket.say('{"action":"chat","msg":"early"}');
    expect(wire.say('chat', { msg: 'early' })).toBe(false);
    expect(wire.send(1, new Uint8Array(3))).toBe(false);
    socket.say('c');
    expect(said).toEqual([]);
    expect(wire.say('chat', { msg: 'now' })).toBe(true);
    expect(socket.sent).toEqual(['{"action":"chat","msg":"now"}']);
});

test('only objects with an action are heard', () => {
    const { socket, said } = make();
    socket.say('cr');
    for (const text of ['c', '7', 'null', '[]', '[{"action":"chat"}]', '{}', '{"action":7}', '{"action":', '']) {
        socket.say(text);
    }
    expect(said).toEqual([]);
    socket.say('{"action":"chat","msg":"x"}');
    expect(said).toEqual([{ action: 'chat', msg: 'x' }]);
});

test('pieces of files carry their number', () => {
    const { wire, socket, blocks } = make();
    socket.say('c');
    wire.send(0xfedcba98, Uint8Array.of(1, 2, 3));
    const message = socket.sent.at(-1) as Uint8Array;
    socket.say(message.buffer);
    expect(blocks).toEqual([{ id: 0xfedcba98, data: Uint8Array.of(1, 2, 3) }]);
    socket.say(new ArrayBuffer(3));
    expect(blocks).toHaveLength(1);
    socket.say(new ArrayBuffer(4));
    expect(blocks[1]?.data).toHaveLength(0);
});

test('who says too much at once is left', () => {
    for (const much of ['x'.repeat(128 * 1024 + 1), new ArrayBuffer(BLOCK + 5)]) {
        const { socket, said, blocks, ends } = make();
        socket.say('c');
        socket.say(much);
        expect([said.length, blocks.length, ends, socket.readyState]).toEqual([0, 0, [1009], 3]);
    }
});

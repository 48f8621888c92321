// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { pictureAt, Recording, type Block } from '../../src/wire/mcrec.ts';
import type { Source } from '../../src/wire/source.ts';

const START = 1_764_000_000_000;

function block(type: number, flags: number, data: Uint8Array | string, time = START): Uint8Array<ArrayBuffer> {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    const all = new Uint8Array(16 + bytes.length);
    const view = new DataView(all.buffer);
    view.setUint16(0, type);
    view.setUint16(2, flags);
    view.setUint32(4, bytes.length);
    view.setUint16(10, Math.floor(time / 2 ** 32));
    view.setUint32(12, time % 2 ** 32);
    all.set(bytes, 16);
    return all;
}

const meta = (protocol = 1): Uint8Array<ArrayBuffer> => block(1, 0, JSON.stringify({
    magic: 'MeshCentralRelaySession', ver: 1, username: 'mei', nodeid: 'node//abc', ipaddr1: '10.0.0.1', protocol,
}));
const end = (time = START): Uint8Array<ArrayBuffer> => block(3, 0, 'MeshCentralMCREC', time);

function size(width: number, height: number): Uint8Array {
    return new Uint8Array([0, 7, 0, 8, width >> 8, width & 255, height >> 8, height & 255]);
}

/** A tile whose image is the head of a JPEG of this size. */
function tile(x: number, y: number, width: number, height: number, jumbo = false): Uint8Array {
    const image = [0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, height >> 8, height & 255, width >> 8, width & 255, 1, 0, 0, 0, 0xff, 0xd9];
    const packet = [0, 3, 0, 8 + image.length, x >> 8, x & 255, y >> 8, y & 255, ...image];
    return new Uint8Array(jumbo ? [0, 27, 0, 8, 0, 0, 0, packet.length, ...packet] : packet);
}

/** A file, and how much of it was read. */
class File implements Source {
    readonly size: number;
    reads: [number, number][] = [];
    #blob: Blob;

    constructor(blob: Blob) {
        this.#blob = blob;
        this.size = blob.size;
    }

    async read(at: number, size: number): Promise<Uint8Array> {
        const bytes = new Uint8Array(await this.#blob.slice(at, at + size).arrayBuffer());
        this.reads.push([at, bytes.length]);
        return bytes;
    }
}

const always = (): boolean => true;

/** All of it, read from its start. */
async function indexRecording(file: Blob): Promise<{ meta: Recording['meta']; blocks: Block[]; length: number; whole: boolean }> {
    const recording = await Recording.open(new File(file));
    const reel = await recording.from(0);
    await reel.until(Infinity, always);
    return { meta: recording.meta, blocks: reel.blocks, length: recording.length, whole: recording.whole };
}

test('messages are found with their side, kind and time', async () => {
    const file = new Blob([meta(), block(2, 2, '1', START), block(2, 1, 'hello', START + 1500), end(START + 2000)]);
    const recording = await indexRecording(file);
    expect(recording.meta).toEqual({ userName: 'mei', nodeId: 'node//abc', address: '10.0.0.1', protocol: 1 });
    expect(recording.blocks.map((b) => [b.time, b.binary, b.user, b.size])).toEqual([[0, false, true, 1], [1500, true, false, 5]]);
    expect([recording.length, recording.whole]).toEqual([2000, true]);
    const hello = recording.blocks[1];
    expect(await file.slice(hello?.at, (hello?.at ?? 0) + 5).text()).toBe('hello');
});

test('cut at any byte, what was whole still plays', async () => {
    const parts = [meta(), block(2, 2, '1'), block(2, 1, 'hello'), end()];
    const ends = parts.map((_, i) => parts.slice(0, i + 1).reduce((n, p) => n + p.length, 0));
    const whole = new Blob(parts);
    for (let at = 0; at < whole.size; at++) {
        const cut = whole.slice(0, at);
        if (at < (ends[0] ?? 0)) {
            await expect(indexRecording(cut)).rejects.toThrow('no recording');
            continue;
        }
        const recording = await indexRecording(cut);
        expect(recording.blocks.length).toBe(ends.slice(1, 3).filter((e) => at >= e).length);
    }
});

test('a size that was never written, before a tile of a desktop, is no end', async () => {
    const cut = block(2, 1, tile(0, 0, 64, 64));
    new DataView(cut.buffer).setUint32(4, 0);
    const parts = [meta(2), block(2, 1, size(64, 64)), cut];
    const recording = await indexRecording(new Blob(parts));
    expect([recording.blocks.length, recording.whole]).toEqual([1, false]);
});

test('an end has its mark, with an index before it or without', async () => {
    const said = async (...parts: Uint8Array<ArrayBuffer>[]): Promise<boolean> => (await indexRecording(new Blob([meta(2), block(2, 1, size(64, 64)), ...parts]))).whole;
    expect(await said(end())).toBe(true);
    expect(await said(block(4, 0, '{"indexes":[]}'), block(3, 0, 'MeshCentralMCNDX'))).toBe(true);
    expect(await said(block(3, 0, ''))).toBe(false);
    expect(await said(block(3, 0, 'MeshCentralOTHER'))).toBe(false);
    expect(await said(end().slice(0, 31))).toBe(false);
});

test('what is no recording is said to be none', async () => {
    for (const file of [new Blob([]), new Blob(['text '.repeat(20)]), new Blob([block(2, 1, 'x')]), new Blob([block(1, 0, '{"magic":"x"}')]), new Blob([block(1, 0, 'null')])]) {
        await expect(indexRecording(file)).rejects.toThrow('This file is no recording of a session.');
    }
});

test('what is not ours any more ends it, and what came before plays', async () => {
    const recording = await indexRecording(new Blob([meta(), block(2, 1, 'hello'), new Uint8Array(64).fill(0xee)]));
    expect([recording.blocks.length, recording.whole]).toEqual([1, false]);
});

test('the picture at a place is made of the newest tiles that are to be seen', async () => {
    const file = new Blob([meta(2), ...[
        size(64, 64),                       // 0
        tile(0, 0, 64, 64),                 // 1 hidden by 2 and 4 to 5 later
        tile(0, 0, 32, 64, true),           // 2
        tile(16, 16, 8, 8),                 // 3 on top of 2, covers no cell whole
        tile(32, 0, 32, 64),                // 4
        size(64, 64),                       // 5 said again: nothing changes
        size(32, 32),                       // 6
        tile(0, 0, 32, 32),                 // 7
    ].map((data) => block(2, 1, data)), end()]);
    const { blocks } = await indexRecording(file);
    const at = (last: number): number[] => pictureAt(blocks, last).map((b) => blocks.indexOf(b));
    expect(at(0)).toEqual([0]);
    expect(at(1)).toEqual([0, 1]);
    expect(at(3)).toEqual([0, 1, 2, 3]);
    expect(at(4)).toEqual([0, 2, 3, 4]);
    expect(at(5)).toEqual([5, 2, 3, 4]);
    expect(at(6)).toEqual([6]);
    expect(at(7)).toEqual([6, 7]);
    expect(pictureAt(blocks, -1)).toEqual([]);
});

test('one that has no end is read through, and as long as its last message says', async () => {
    const shares: number[] = [];
    const many = Array.from({ length: 1000 }, (_, i) => block(2, 1, 'x', START + i));
    const recording = await Recording.open(new File(new Blob([meta(), ...many])), (share) => shares.push(share));
    expect([recording.length, recording.whole]).toEqual([999, false]);
    expect(shares.length).toBe(3);
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
});

test('one that has an end begins without being read through', async () => {
    const many = Array.from({ length: 1000 }, (_, i) => block(2, 1, new Uint8Array(1000), START + i * 100));
    const file = new File(new Blob([meta(5), ...many, end(START + 100_000)]));
    const recording = await Recording.open(file);
    expect([recording.length, recording.whole]).toEqual([100_000, true]);
    const reel = await recording.from(250);
    expect(await reel.until(250, always)).toBe(2);
    expect(file.reads.reduce((all, [, n]) => all + n, 0)).toBeLessThan(70_000);
    // nobody waits for it any more
    expect(await reel.until(Infinity, () => reel.blocks.length < 10)).toBe(9);
});

test('a terminal has the sizes that its viewer said', async () => {
    const { blocks } = await indexRecording(new Blob([meta(), block(2, 2, '{"type":"options","cols":100,"rows":30}'), block(2, 2, '1'),
        block(2, 2, '{"type":"termsize","cols":1e9,"rows":0}'), block(2, 2, '{"type":"termsize"}'), block(2, 2, '{"type":"other","cols":1,"rows":1}'),
        block(2, 2, '{'), block(2, 1, '{"type":"termsize","cols":10,"rows":10}'), end()]));
    expect(blocks.map((b) => b.terminal)).toEqual([{ cols: 100, rows: 30 }, undefined, { cols: 500, rows: 1 }, undefined, undefined, undefined, undefined]);
});

/** A desktop of a minute: a picture in two halves each second, and the index that belongs to it. */
function desktop(change: (index: { indexInterval: unknown; indexes: unknown[] }) => unknown = (index) => index): Blob {
    const parts = [block(2, 1, size(64, 64))];
    const at = (n: number): number => parts.slice(0, n).reduce((all, part) => all + part.length, 0);
    for (let second = 0; second < 60; second++) {
        parts.push(block(2, 1, tile(0, 0, 32, 64), START + second * 1000), block(2, 1, tile(32, 0, 32, 64, true), START + second * 1000));
    }
    const indexes = [1, 2, 3, 4, 5].map((k) => [at(1 + k * 20), 64, 64, at(k * 20 - 1), at(k * 20)]);
    const head = meta(2);
    return new Blob([head, ...parts, block(4, 0, JSON.stringify(change({ indexInterval: 10, indexes })), START + 60_000),
        block(3, 0, 'MeshCentralMCNDX', head.length + at(parts.length))]);
}

test('with an index a place is read from there, and its picture is the one that reading through gives', async () => {
    const whole = new File(desktop());
    const recording = await Recording.open(whole);
    expect([recording.length, recording.whole, recording.indexed]).toEqual([60_000, true, true]);
    const through = await indexRecording(desktop((index) => ({ ...index, indexes: [] })));

    for (const time of [0, 9999, 10_000, 35_500, 50_000, 59_000, 60_000, 1e9]) {
        whole.reads = [];
        const reel = await recording.from(time);
        const last = await reel.until(time, always);
        const places = pictureAt(reel.blocks, last).filter((b) => !b.screen).map((b) => b.at);
        const want = through.blocks.filter((b) => b.time <= time).slice(-2).map((b) => b.at);
        expect(places, String(time)).toEqual(want);
        expect(pictureAt(reel.blocks, last)[0]?.rect).toEqual({ x: 0, y: 0, width: 64, height: 64 });
        // no more than from the place before to there
        expect(whole.reads.length, String(time)).toBeLessThan(2 * 11 + 8);
    }
});

test('the size of the screen that an index says is a packet as devices send it', async () => {
    const recording = await Recording.open(new File(desktop()));
    const [screen] = (await recording.from(20_000)).blocks;
    expect(screen && await recording.data(screen)).toEqual(size(64, 64));
});

test('an index that is none is as one that is not there', async () => {
    for (const indexes of [null, 'x', [null], [[1]], [['1', 2, 3]], [[-1, 2, 3]], [[1.5, 2, 3]]]) {
        const recording = await Recording.open(new File(desktop((index) => ({ ...index, indexes }))));
        expect([recording.indexed, recording.whole, recording.length]).toEqual([false, true, 60_000]);
    }
    for (const indexInterval of [0, -1, '10', null]) {
        expect((await Recording.open(new File(desktop((index) => ({ ...index, indexInterval }))))).indexed).toBe(false);
    }
    expect((await Recording.open(new File(desktop(() => null)))).indexed).toBe(false);
});

test('places of an index that are no pictures, or beyond the file, are passed over', async () => {
    const recording = await Recording.open(new File(desktop((index) => ({ ...index, indexes: [[1e15, 64, 64, 0, 7, 1e15]] }))));
    const reel = await recording.from(10_000);
    expect(reel.blocks.filter((b) => !b.screen)).toEqual([]);
    expect(await reel.until(Infinity, always)).toBe(reel.blocks.length - 1);
});

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { KvmReader, type Packet } from '../../src/wire/kvm.ts';
import { Painter } from '../../src/view/desktop/painter.ts';

/** A picture that waits to be decoded, by its number. */
interface Waiting {
    n: number;
    done: (good?: boolean) => void;
}

interface Scene {
    painter: Painter;
    canvas: { width: number; height: number };
    /** What was drawn, in its order: number of the picture and where, or "copy" and from where to where. */
    drawn: (string | number)[][];
    lost: () => number;
    failed: string[];
}

let waiting: Waiting[] = [];
let closed: number[] = [];
/** Pictures are decoded as soon as they are asked for. */
let atOnce = true;

const settle = (): Promise<void> => new Promise((resolve) => { setTimeout(resolve); });

function canvasOf(drawn: Scene['drawn']): HTMLCanvasElement {
    const canvas = {
        width: 0, height: 0,
        getContext: () => ({
            drawImage: (image: { n?: number }, ...place: number[]) => {
                if (image.n !== undefined || image === canvas) {
                    drawn.push([image.n ?? 'copy', ...place]);
                }
            },
        }),
    };
    return canvas as unknown as HTMLCanvasElement;
}

function make(): Scene {
    const drawn: Scene['drawn'] = [];
    const failed: string[] = [];
    let lost = 0;
    const canvas = canvasOf(drawn);
    const painter = new Painter(canvas, { lost: () => { lost++; }, failed: (why) => failed.push(why), drawn: () => {} });
    return { painter, canvas, drawn, lost: () => lost, failed };
}

/** The head of a JPEG of this size, with its number behind it. */
const image = (width: number, height: number, n: number, size = 32): Uint8Array<ArrayBuffer> => {
    const bytes = new Uint8Array(size);
    bytes.set([0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, height >> 8, height & 255, width >> 8, width & 255, 1, 0, 0, 0, 0xff, 0xd9, n]);
    return bytes;
};
const size = (width: number, height: number): Packet => ({ kind: 'size', width, height });
const tile = (x: number, y: number, width: number, height: number, n: number, bytes = 32): Packet => ({ kind: 'tile', x, y, image: image(width, height, n, bytes) });

beforeEach(() => {
    waiting = [];
    closed = [];
    atOnce = true;
    vi.stubGlobal('document', { createElement: () => canvasOf([]) });
    // a real one is read in a thread, at any later time
    vi.stubGlobal('Blob', class {
        readonly n: number;

        constructor([bytes]: [Uint8Array]) {
            this.n = bytes[17] ?? 0;
        }
    });
    vi.stubGlobal('createImageBitmap', ({ n }: { n: number }) => {
        return new Promise((resolve, reject) => {
            const done = (good = true): void => (good ? resolve({ n, close: () => closed.push(n) }) : reject(new Error('no picture')));
            if (atOnce) {
                done(n !== 0);
            } else {
                waiting.push({ n, done });
            }
        });
    });
});
afterEach(() => vi.unstubAllGlobals());

test('tiles beside the screen, or larger than it, are neither decoded nor drawn', async () => {
    const { painter, drawn, lost } = make();
    atOnce = false;
    painter.push([tile(0, 0, 16, 16, 1), size(100, 60)]);       // before the screen has a size
    await settle();
    for (const packet of [
        tile(100, 0, 16, 16, 2), tile(0, 60, 16, 16, 3), tile(65_535, 65_535, 16, 16, 4),
        tile(0, 0, 132, 16, 5), tile(0, 0, 16, 92, 6), tile(96, 0, 36, 16, 7), tile(0, 56, 16, 36, 8), tile(0, 0, 65_535, 65_535, 9),
        tile(0, 0, 0, 16, 10), tile(0, 0, 16, 0, 11),
        { kind: 'tile', x: 0, y: 0, image: new Uint8Array(100) }, { kind: 'tile', x: 0, y: 0, image: new Uint8Array(0) },
    ] as Packet[]) {
        painter.push([packet]);
    }
    await settle();
    expect(waiting).toEqual([]);
    expect(drawn).toEqual([]);
    expect(lost()).toBe(0);
});

test('tiles go over the right and bottom edge by up to 31 pixels', async () => {
    const { painter, drawn } = make();
    painter.push([size(100, 60), tile(96, 32, 35, 32, 1), tile(0, 56, 16, 35, 2), tile(0, 0, 131, 91, 3)]);
    await settle();
    expect(drawn).toEqual([[1, 96, 32], [2, 0, 56], [3, 0, 0]]);
});

test('a tile is measured by the screen that it follows, not by the one that is drawn', async () => {
    const { painter, drawn, canvas } = make();
    painter.push([size(50, 50), tile(60, 60, 16, 16, 1), size(100, 100), tile(60, 60, 16, 16, 2), size(50, 50), tile(60, 60, 16, 16, 3)]);
    await settle();
    expect(drawn.filter(([what]) => what !== 'copy')).toEqual([[2, 60, 60]]);
    expect([canvas.width, canvas.height]).toEqual([50, 50]);
});

test('what is decoded first waits for what came first', async () => {
    const { painter, drawn } = make();
    atOnce = false;
    painter.push([size(100, 100), ...[1, 2, 3, 4, 5, 6].map((n) => tile(n, 0, 16, 16, n))]);
    await settle();
    expect(waiting.map(({ n }) => n)).toEqual([1, 2, 3, 4]);      // a few at once
    waiting.find(({ n }) => n === 3)?.done();
    waiting.find(({ n }) => n === 2)?.done();
    await settle();
    expect(drawn).toEqual([]);
    waiting.find(({ n }) => n === 1)?.done();
    await settle();
    expect(drawn.map(([n]) => n)).toEqual([1, 2, 3]);
    for (const n of [6, 5, 4]) {
        waiting.find((w) => w.n === n)?.done();
        await settle();
    }
    expect(drawn.map(([n]) => n)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(closed).toEqual([1, 2, 3, 4, 5, 6]);
});

test('a picture that cannot be decoded is asked for anew, once for many', async () => {
    const { painter, drawn, lost } = make();
    vi.spyOn(performance, 'now').mockReturnValue(10_000);
    painter.push([size(100, 100), tile(0, 0, 16, 16, 0), tile(0, 0, 16, 16, 0), tile(1, 0, 16, 16, 1)]);
    await settle();
    vi.restoreAllMocks();
    expect(lost()).toBe(1);
    expect(drawn).toEqual([[1, 1, 0]]);
});

test('more than 64 MB that wait are dropped, and the screen is asked for anew', async () => {
    const { painter, drawn, lost, canvas } = make();
    vi.spyOn(performance, 'now').mockReturnValue(10_000);
    atOnce = false;
    painter.push([size(100, 100)]);
    for (let i = 1; i <= 9; i++) {
        painter.push([tile(0, 0, 16, 16, i, 8 * 1024 * 1024)]);
    }
    expect(lost()).toBe(1);
    painter.push([size(200, 100), tile(5, 0, 16, 16, 20)]);
    await settle();
    waiting.forEach(({ done }) => done());
    await settle();
    waiting.forEach(({ done }) => done());
    await settle();
    vi.restoreAllMocks();
    expect(drawn.filter(([what]) => what !== 'copy')).toEqual([[20, 5, 0]]);
    expect(canvas.width).toBe(200);
    expect(painter.waiting).toBe(0);
});

test('a screen that no browser can draw is said to be, and changes nothing', async () => {
    for (const [width, height] of [[16_385, 100], [100, 16_385], [16_384, 16_384], [65_535, 65_535]] as const) {
        const { painter, canvas, failed, drawn } = make();
        painter.push([size(100, 100)]);
        await settle();
        painter.push([size(width, height), tile(0, 0, 16, 16, 1)]);
        await settle();
        expect(failed).toEqual([`The screen is ${width} × ${height}, which this browser cannot draw.`]);
        expect([canvas.width, canvas.height, drawn.length]).toEqual([100, 100, 0]);
    }
});

test('parts of the screen are moved in their turn; parts without a size are not', async () => {
    const { painter, drawn } = make();
    const copy = (width: number, height: number): Packet => ({ kind: 'copy', fromX: 1, fromY: 2, x: 3, y: 4, width, height });
    painter.push([size(100, 100), tile(0, 0, 16, 16, 1), copy(5, 6), copy(0, 6), copy(5, 0), tile(0, 0, 16, 16, 2)]);
    await settle();
    expect(drawn).toEqual([[1, 0, 0], ['copy', 1, 2, 5, 6, 3, 4, 5, 6], [2, 0, 0]]);
});

test('what waited before another stream began is not drawn into it', async () => {
    const { painter, drawn } = make();
    atOnce = false;
    painter.push([size(100, 100), tile(0, 0, 16, 16, 1)]);
    await settle();
    painter.clear();
    painter.push([tile(0, 0, 16, 16, 2)]);      // it has no size yet
    painter.push([size(100, 100), tile(7, 0, 16, 16, 3)]);
    waiting.forEach(({ done }) => done());
    await settle();
    waiting.forEach(({ done }) => done());
    await settle();
    expect(drawn).toEqual([[3, 7, 0]]);
    expect(closed).toContain(1);
});

test('a stream that is cut at any byte draws the same picture', async () => {
    const packet = (x: number, n: number): number[] => [0, 3, 0, 40, 0, x, 0, 0, ...image(16, 16, n)];
    const stream = new Uint8Array([0, 7, 0, 8, 0, 100, 0, 100, ...packet(1, 1), 0, 27, 0, 8, 0, 0, 0, 40, ...packet(2, 2), ...packet(200, 3), ...packet(3, 4)]);
    for (let cut = 4; cut < stream.length; cut++) {
        const { painter, drawn } = make();
        const reader = new KvmReader();
        painter.push(reader.push(stream.subarray(0, cut)));
        painter.push(reader.push(stream.subarray(cut)));
        await settle();
        expect(drawn, `cut at ${cut}`).toEqual([[1, 1, 0], [2, 2, 0], [4, 3, 0]]);
    }
});

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { drawable, imageSize, OVERRUN } from './kvm.ts';
import type { Source } from './source.ts';

/* Session recordings (session.md 8): blocks of a header of 16 bytes and data. */

const HEAD = 16;
const META = 1;
const DATA = 2;
const END = 3;
const INDEX = 4;
/** data of the end, without and with an index before it */
const ENDS = ['MeshCentralMCREC', 'MeshCentralMCNDX'] as const;
/** of the data that is looked at: packet head, place and head of an image; or a terminal's size */
const PEEK = 2048;
const MAX_INDEX = 16 * 1024 * 1024;
/** Heads that are asked for at once. */
const ABREAST = 8;
/** cells of the screen, by which it is known what a picture covers */
const CELL = 32;

/** What the first block says; members that are not there are empty. */
export interface Meta {
    userName: string;
    nodeId: string;
    protocol: number;
    address: string;
}

/** One message: where its data is in the file. */
export interface Block {
    at: number;
    size: number;
    /** ms since the first message */
    time: number;
    binary: boolean;
    user: boolean;
    /** of a desktop: the part of the screen that it draws, or the screen's new size */
    rect?: { x: number; y: number; width: number; height: number };
    screen?: boolean;
    /** of a terminal: its new size */
    terminal?: { cols: number; rows: number };
    /** one that no message in the file says: its data */
    data?: Uint8Array;
}

interface Head {
    type: number;
    flags: number;
    size: number;
    time: number;
    /** of the data, what was asked for and is there */
    data: Uint8Array;
}

/** For each interval: from where to read on, the screen's size, and the messages whose pictures are seen. */
interface Index {
    /** ms */
    interval: number;
    places: number[][];
}

export const isTerminal = (protocol: number): boolean => [1, 6, 8, 9].includes(protocol);

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const mark = (data: Uint8Array): string => new TextDecoder().decode(data.subarray(0, 17));

/** @throws {Error} when it is no recording, with what it is that a person can read. */
function readMeta(bytes: Uint8Array): Meta {
    let meta: unknown;
    try {
        meta = JSON.parse(new TextDecoder().decode(bytes));
    } catch {
        meta = null;
    }
    const all = (meta && typeof meta === 'object' ? meta : {}) as Record<string, unknown>;
    if (text(all['magic']) !== 'MeshCentralRelaySession') {
        throw new Error('This file is no recording of a session.');
    }
    return {
        userName: text(all['username']), nodeId: text(all['nodeid']), address: text(all['ipaddr1']),
        protocol: typeof all['protocol'] === 'number' ? all['protocol'] : 0,
    };
}

/** The head of the block at `at`, with up to `peek` bytes of its data; null: there is none. */
async function headAt(source: Source, at: number, peek: number): Promise<Head | null> {
    const bytes = await source.read(at, HEAD + peek);
    if (bytes.length < HEAD) {
        return null;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const size = view.getUint32(4);
    return {
        type: view.getUint16(0), flags: view.getUint16(2), size, time: view.getUint16(10) * 2 ** 32 + view.getUint32(12),
        data: bytes.subarray(HEAD, HEAD + size),
    };
}

function readIndex(bytes: Uint8Array): Index | null {
    try {
        const said = JSON.parse(new TextDecoder().decode(bytes)) as { indexInterval?: unknown; indexes?: unknown } | null;
        const { indexInterval: interval, indexes } = said ?? {};
        if (typeof interval === 'number' && interval > 0 && Array.isArray(indexes)
            && indexes.every((place) => Array.isArray(place) && place.length >= 3 && place.every((n) => Number.isSafeInteger(n) && n >= 0))) {
            return { interval: interval * 1000, places: indexes as number[][] };
        }
    } catch {
        /* as one that is not there */
    }
    return null;
}

/** Messages one after the other, from a place on: what was read of them stays here. */
export class Reel {
    readonly blocks: Block[];
    /** It has no further ones. */
    ended = false;
    /** It reached the end of the recording. */
    whole = false;
    #recording: Recording;
    #at: number;
    #reading: Promise<boolean> | null = null;

    constructor(recording: Recording, at: number, blocks: Block[] = []) {
        this.#recording = recording;
        this.#at = at;
        this.blocks = blocks;
    }

    get at(): number {
        return this.#at;
    }

    /** Reads on: is there a further one? */
    more(): Promise<boolean> {
        return this.#reading ??= this.#more().finally(() => {
            this.#reading = null;
        });
    }

    /** The last message that is not after `time`, -1: there is none; reads as far as that, while it is `wanted`. */
    async until(time: number, wanted: () => boolean): Promise<number> {
        let i = 0;
        for (;;) {
            const block = this.blocks[i];
            if (block ? block.time > time : !wanted() || !await this.more()) {
                return i - 1;
            }
            if (block) {
                i++;
            }
        }
    }

    async #more(): Promise<boolean> {
        const { source, peek } = this.#recording;
        while (!this.ended) {
            const head = await headAt(source, this.#at, peek);
            const data = this.#at + HEAD;
            if (!head) {
                break;
            }
            if (head.type === END && head.size === 16) {
                const end = await source.read(data, 16);
                this.whole = (ENDS as readonly string[]).includes(mark(end));
            }
            // what is not ours any more: what was read plays
            if (this.whole || head.type < META || head.type > INDEX) {
                break;
            }
            this.#at = data + head.size;
            if (head.type === DATA && head.size > 0 && this.#at <= source.size) {
                this.blocks.push(this.#recording.block(head, data));
                return true;
            }
        }
        this.ended = true;
        return false;
    }
}

/** A recording, of which no more is read than is needed. */
export class Recording {
    readonly source: Source;
    readonly meta: Meta;
    /** ms */
    length = 0;
    /** It has an end; without one it was cut short. */
    whole = false;
    #index: Index | null = null;
    /** of the first message: where it is, and ms since 1970 */
    #first = 0;
    #start = 0;
    #all: Reel;

    private constructor(source: Source, meta: Meta, first: number, start: number) {
        this.source = source;
        this.meta = meta;
        this.#first = first;
        this.#start = start;
        this.#all = new Reel(this, first);
    }

    /**
     * Reads head and end; one that has no end is read as far as it goes.
     * @throws {Error} in words
     */
    static async open(source: Source, progress: (share: number) => void = () => {}): Promise<Recording> {
        const none = 'This file is no recording of a session.';
        const meta = await headAt(source, 0, 65_536);
        if (meta?.type !== META || meta.size > 65_536) {
            throw new Error(none);
        }
        let at = HEAD + meta.size;
        let head = await headAt(source, at, 0);
        while (head?.type === META) {
            at += HEAD + head.size;
            head = await headAt(source, at, 0);
        }
        const recording = new Recording(source, readMeta(meta.data), at, head?.type === DATA ? head.time : 0);
        if (!await recording.#end(head?.type === DATA)) {
            await recording.#through(progress);
        }
        return recording;
    }

    /** Of desktops and terminals, the start of a message says what it does. */
    get peek(): number {
        return this.meta.protocol === 2 || isTerminal(this.meta.protocol) ? PEEK : 0;
    }

    /** Messages are not kept for ever: it can be read from any place. */
    get indexed(): boolean {
        return this.#index !== null;
    }

    block(head: Head, at: number): Block {
        const block: Block = {
            at, size: head.size, time: Math.max(0, head.time - this.#start), binary: (head.flags & 1) !== 0, user: (head.flags & 2) !== 0,
        };
        if (this.meta.protocol === 2 && block.binary && !block.user) {
            look(block, head.data);
        } else if (block.user && !block.binary && head.size <= PEEK && isTerminal(this.meta.protocol)) {
            block.terminal = terminalSize(head.data);
        }
        return block;
    }

    async data(block: Block): Promise<Uint8Array> {
        return block.data ?? await this.source.read(block.at, block.size);
    }

    /** Messages from the last place at or before `time` from which all that is seen then can be drawn. */
    async from(time: number): Promise<Reel> {
        const index = this.#index;
        if (!index) {
            return this.#all;
        }
        const place = index.places[Math.min(Math.floor(time / index.interval), index.places.length) - 1];
        if (!place) {
            return new Reel(this, this.#first);
        }
        const [at = 0, width = 0, height = 0, ...tiles] = place;
        const blocks: Block[] = [];
        if (width && height) {
            const data = new Uint8Array([0, 7, 0, 8, width >> 8, width & 255, height >> 8, height & 255]);
            blocks.push({ at: 0, size: 8, time: 0, binary: true, user: false, screen: true, rect: { x: 0, y: 0, width, height }, data });
        }
        for (let i = 0; i < tiles.length; i += ABREAST) {
            const heads = await Promise.all(tiles.slice(i, i + ABREAST).map(async (tile) => {
                const head = await headAt(this.source, this.#first + tile, PEEK);
                return head?.type === DATA ? this.block(head, this.#first + tile + HEAD) : null;
            }));
            blocks.push(...heads.filter((block): block is Block => block?.rect !== undefined && !block.screen));
        }
        return new Reel(this, this.#first + at, blocks);
    }

    /** What the end says: is there one? */
    async #end(begun: boolean): Promise<boolean> {
        const { source } = this;
        const end = await headAt(source, Math.max(0, source.size - 32), 16);
        const kind = end?.type === END && end.size === 16 ? ENDS.indexOf(mark(end.data) as typeof ENDS[number]) : -1;
        let time = end?.time ?? 0;

        if (!end || kind < 0 || !begun) {
            return false;
        }
        if (kind === 1) {
            const head = await headAt(source, end.time, 0);
            if (head?.type !== INDEX || head.size > MAX_INDEX || end.time + HEAD + head.size + 32 !== source.size) {
                return false;
            }
            time = head.time;
            this.#index = readIndex(await source.read(end.time + HEAD, head.size));
        }
        this.whole = true;
        this.length = Math.max(0, time - this.#start);
        return true;
    }

    async #through(progress: (share: number) => void): Promise<void> {
        const all = this.#all;
        while (await all.more()) {
            if (all.blocks.length % 256 === 0) {
                progress(all.at / this.source.size);
            }
        }
        this.whole = all.whole;
        this.length = all.blocks.at(-1)?.time ?? 0;
    }
}

/** Options and termsize of the viewer. */
function terminalSize(data: Uint8Array): { cols: number; rows: number } | undefined {
    if (data[0] !== 0x7b) {
        return undefined;       // what is typed, or the number of the protocol
    }
    try {
        const said = JSON.parse(new TextDecoder().decode(data)) as { type?: unknown; cols?: unknown; rows?: unknown } | null;
        const { type, cols, rows } = said ?? {};
        if ((type === 'options' || type === 'termsize') && Number.isInteger(cols) && Number.isInteger(rows)) {
            return { cols: Math.min(500, Math.max(2, cols as number)), rows: Math.min(300, Math.max(1, rows as number)) };
        }
    } catch {
        /* as any other text */
    }
    return undefined;
}

/** What a packet of a desktop draws, by its head. */
function look(block: Block, head: Uint8Array): void {
    const u16 = (at: number): number => ((head[at] ?? 0) << 8) | (head[at + 1] ?? 0);
    const jumbo = u16(0) === 27;
    const inner = jumbo ? 8 : 0;
    const command = u16(inner);

    if (command === 7 && block.size >= inner + 8) {
        const width = u16(inner + 4);
        const height = u16(inner + 6);
        if (drawable(width, height)) {
            block.screen = true;
            block.rect = { x: 0, y: 0, width, height };
        }
    } else if (command === 3 && block.size > inner + 8) {
        const size = imageSize(head.subarray(inner + 8));
        if (size) {
            block.rect = { x: u16(inner + 4), y: u16(inner + 6), ...size };
        }
    }
}

/**
 * The messages that make the picture of a desktop as it was after block `last`: the
 * newest one over each cell, in their order, the size of the screen first.
 */
export function pictureAt(blocks: readonly Block[], last: number): Block[] {
    const wanted: Block[] = [];
    const covered = new Set<number>();
    let i = last;

    while (i >= 0 && !blocks[i]?.screen) {
        i--;
    }
    const screen = blocks[i];
    if (!screen?.rect) {
        return [];
    }
    const across = Math.ceil(screen.rect.width / CELL);
    const down = Math.ceil(screen.rect.height / CELL);
    const cells = across * down;
    // a size that is said again changes nothing: the picture goes on
    let first = i;
    for (let k = i - 1; k >= 0; k--) {
        const block = blocks[k];
        if (block?.screen) {
            if (block.rect?.width !== screen.rect.width || block.rect.height !== screen.rect.height) {
                break;
            }
            first = k;
        }
    }

    for (let k = last; k >= first && covered.size < cells; k--) {
        const block = blocks[k];
        if (!block?.rect || block.screen) {
            continue;
        }
        // it is needed where it touches a cell that nothing newer hides whole
        const { x, y, width, height } = block.rect;
        if (x + width >= screen.rect.width + OVERRUN || y + height >= screen.rect.height + OVERRUN) {
            continue;       // it is not drawn either
        }
        const right = Math.min(Math.ceil((x + width) / CELL), across);
        const bottom = Math.min(Math.ceil((y + height) / CELL), down);
        let needed = false;
        for (let row = Math.floor(y / CELL); row < bottom; row++) {
            for (let column = Math.floor(x / CELL); column < right; column++) {
                const cell = row * across + column;
                if (covered.has(cell)) {
                    continue;
                }
                needed = true;
                if (x <= column * CELL && y <= row * CELL
                    && (x + width >= (column + 1) * CELL || x + width >= screen.rect.width)
                    && (y + height >= (row + 1) * CELL || y + height >= screen.rect.height)) {
                    covered.add(cell);
                }
            }
        }
        if (needed) {
            wanted.push(block);
        }
    }
    return [screen, ...wanted.reverse()];
}


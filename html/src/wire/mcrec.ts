// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { imageSize } from './kvm.ts';

/* Session recordings (session.md 8): blocks of a header of 16 bytes and data. */

export const HEAD = 16;
const META = 1;
const DATA = 2;
const END = 3;
/** data of the end, without and with an index before it */
const ENDS = ['MeshCentralMCREC', 'MeshCentralMCNDX'];
const PIECE = 4 * 1024 * 1024;
/** of the data, that the index looks at: packet head, place and head of an image */
const PEEK = 2048;
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
}

export interface Recording {
    meta: Meta;
    blocks: Block[];
    /** ms */
    length: number;
    /** It has an end; without one it was cut short. */
    whole: boolean;
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

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

/** Reads through a file, in pieces: of a large one only the places of its messages are kept. */
export async function indexRecording(file: Blob): Promise<Recording> {
    let meta: Meta | null = null;
    let whole = false;
    let start = -1;
    let at = 0;
    const blocks: Block[] = [];

    let piece = new Uint8Array(0);
    let from = 0;
    const bytes = async (offset: number, size: number): Promise<Uint8Array> => {
        if (offset < from || offset + size > from + piece.length) {
            from = offset;
            piece = new Uint8Array(await file.slice(offset, offset + Math.max(PIECE, size)).arrayBuffer());
        }
        return piece.subarray(offset - from, Math.min(offset - from + size, piece.length));
    };

    while (at + HEAD <= file.size && !whole) {
        const head = await bytes(at, HEAD);
        const view = new DataView(head.buffer, head.byteOffset, HEAD);
        const type = view.getUint16(0);
        const flags = view.getUint16(2);
        const size = view.getUint32(4);
        const time = view.getUint16(10) * 2 ** 32 + view.getUint32(12);
        const data = at + HEAD;

        if (!meta) {
            if (type !== META || size > 65_536) {
                throw new Error('This file is no recording of a session.');
            }
            meta = readMeta(await bytes(data, size));
        } else if (type === DATA && data + size <= file.size && size > 0) {
            if (start < 0) {
                start = time;
            }
            const block: Block = { at: data, size, time: Math.max(0, time - start), binary: (flags & 1) !== 0, user: (flags & 2) !== 0 };
            if (meta.protocol === 2 && block.binary && !block.user) {
                look(block, await bytes(data, Math.min(size, PEEK)));
            }
            blocks.push(block);
        } else if (type === END && size === 16 && ENDS.includes(new TextDecoder().decode(await bytes(data, size)))) {
            whole = true;
        } else if (type !== DATA && type !== META && type !== 4) {
            break;      // not ours any more: what was read plays
        }
        at = data + size;
    }
    if (!meta) {
        throw new Error('This file is no recording of a session.');
    }
    return { meta, blocks, length: blocks.at(-1)?.time ?? 0, whole };
}

/** What a packet of a desktop draws, by its head. */
function look(block: Block, head: Uint8Array): void {
    const u16 = (at: number): number => ((head[at] ?? 0) << 8) | (head[at + 1] ?? 0);
    const jumbo = u16(0) === 27;
    const inner = jumbo ? 8 : 0;
    const command = u16(inner);

    if (command === 7 && block.size >= inner + 8) {
        block.screen = true;
        block.rect = { x: 0, y: 0, width: u16(inner + 4), height: u16(inner + 6) };
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


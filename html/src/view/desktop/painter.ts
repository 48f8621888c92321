// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { drawable, imageSize, OVERRUN, type Packet } from '../../wire/kvm.ts';

/** Pictures that wait to be drawn; with more, all are dropped and the screen is asked for anew. */
const MAX_WAITING = 64 * 1024 * 1024;
const DECODERS = 4;

interface Job {
    packet: Packet;
    at: number;
    bitmap?: Promise<ImageBitmap | null>;
}

export interface PainterOptions {
    /** A picture was lost: ask for all of it. */
    lost: () => void;
    /** The screen cannot be shown. */
    failed: (why: string) => void;
    drawn: (tiles: number) => void;
}

/**
 * Draws packets into a canvas, strictly in the order in which they came: several
 * images are decoded at once, but none is drawn before the one in front of it.
 */
export class Painter {
    readonly canvas: HTMLCanvasElement;
    #context: CanvasRenderingContext2D | null;
    #queue: Job[] = [];
    #bytes = 0;
    #running = false;
    #options: PainterOptions;
    /** of the screen, as the last packet in the queue says */
    #width = 0;
    #height = 0;
    #asked = 0;

    constructor(canvas: HTMLCanvasElement, options: PainterOptions) {
        this.canvas = canvas;
        this.#context = canvas.getContext('2d', { alpha: false });
        this.#options = options;
    }

    /** How long the oldest picture has waited here, ms. */
    get waiting(): number {
        const [first] = this.#queue;
        return first ? performance.now() - first.at : 0;
    }

    clear(): void {
        this.#queue = [];
        this.#bytes = 0;
        this.#width = this.#height = 0;
    }

    push(packets: readonly Packet[]): void {
        for (const packet of packets) {
            if (packet.kind === 'size') {
                if (!drawable(packet.width, packet.height)) {
                    this.#options.failed(`The screen is ${packet.width} × ${packet.height}, which this browser cannot draw.`);
                    return;
                }
                this.#width = packet.width;
                this.#height = packet.height;
            } else if (packet.kind === 'tile') {
                if (!this.#fits(packet)) {
                    continue;
                }
                this.#bytes += packet.image.length;
            } else if (packet.kind !== 'copy') {
                continue;
            }
            this.#queue.push({ packet, at: performance.now() });
        }
        if (this.#bytes > MAX_WAITING) {
            this.#queue = this.#queue.filter((job) => job.packet.kind === 'size');
            this.#bytes = 0;
            this.#lose();
        }
        void this.#run();
    }

    /** Inside of the screen, and no larger than it: what a device says of itself is not believed. */
    #fits(tile: Packet & { kind: 'tile' }): boolean {
        const size = imageSize(tile.image);
        return size !== null && size.width > 0 && size.height > 0
            && tile.x < this.#width && tile.y < this.#height
            && tile.x + size.width < this.#width + OVERRUN && tile.y + size.height < this.#height + OVERRUN;
    }

    async #run(): Promise<void> {
        if (this.#running) {
            return;
        }
        this.#running = true;
        for (;;) {
            for (const job of this.#queue.slice(0, DECODERS)) {
                if (job.packet.kind === 'tile') {
                    job.bitmap ??= decode(job.packet.image);
                }
            }
            const [job] = this.#queue;
            if (!job) {
                break;
            }
            const bitmap = job.bitmap ? await job.bitmap : null;
            if (this.#queue[0] !== job) {           // it was dropped meanwhile
                bitmap?.close();
                continue;
            }
            this.#queue.shift();
            this.#draw(job.packet, bitmap);
        }
        this.#running = false;
    }

    #draw(packet: Packet, bitmap: ImageBitmap | null): void {
        const context = this.#context;

        switch (packet.kind) {
        case 'size':
            this.#resize(packet.width, packet.height);
            break;
        case 'tile':
            this.#bytes -= packet.image.length;
            if (bitmap) {
                context?.drawImage(bitmap, packet.x, packet.y);
                bitmap.close();
                this.#options.drawn(1);
            } else {
                this.#lose();
            }
            break;
        case 'copy':
            if (packet.width && packet.height) {
                context?.drawImage(this.canvas, packet.fromX, packet.fromY, packet.width, packet.height, packet.x, packet.y, packet.width, packet.height);
            }
            break;
        }
    }

    /** The old picture stays, at the new size, until the new one has come. */
    #resize(width: number, height: number): void {
        const { canvas } = this;

        if (canvas.width === width && canvas.height === height) {
            return;
        }
        const old = document.createElement('canvas');
        old.width = canvas.width;
        old.height = canvas.height;
        if (old.width && old.height) {
            old.getContext('2d')?.drawImage(canvas, 0, 0);
        }
        canvas.width = width;
        canvas.height = height;
        if (old.width && old.height && width && height) {
            this.#context?.drawImage(old, 0, 0, width, height);
        }
        this.#options.drawn(0);
    }

    #lose(): void {
        const now = performance.now();
        if (now - this.#asked > 3000) {
            this.#asked = now;
            this.#options.lost();
        }
    }
}

function decode(image: Uint8Array): Promise<ImageBitmap | null> {
    return createImageBitmap(new Blob([image as Uint8Array<ArrayBuffer>]), { colorSpaceConversion: 'none' }).catch(() => null);
}

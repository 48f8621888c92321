// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/** Bytes of a file, from wherever it is. */
export interface Source {
    readonly size: number;
    /** Fewer only at the end of the file.  @throws {Error} in words */
    read(at: number, size: number): Promise<Uint8Array>;
}

/** A part of a file, and how many bytes all of it has. */
export type Fetch = (at: number, size: number) => Promise<{ bytes: Uint8Array; size: number }>;

/** What is fetched and kept as one. */
export const PIECE = 64 * 1024;
/** Pieces of one request where a file is read from front to back, and of all that are kept. */
const AHEAD = 16;
const KEPT = 512;

/**
 * A file that is fetched part by part, as it is read: who reads on finds the next
 * parts here already, and of those that were read the last 32 MB are kept.
 */
export class Parts implements Source {
    size = 0;
    #fetch: Fetch;
    /** by number, the one that was used last at the end */
    #pieces = new Map<number, Promise<Uint8Array>>();
    /** where the last read ended */
    #next = 0;

    private constructor(fetch: Fetch) {
        this.#fetch = fetch;
    }

    /** @throws {Error} in words */
    static async open(fetch: Fetch): Promise<Parts> {
        const parts = new Parts(fetch);
        const first = await fetch(0, AHEAD * PIECE);
        parts.size = first.size;
        parts.#keep(0, AHEAD, Promise.resolve(first.bytes));
        return parts;
    }

    /** Pieces that are kept, or under way. */
    get kept(): number {
        return this.#pieces.size;
    }

    async read(at: number, size: number): Promise<Uint8Array> {
        const end = Math.min(at + size, this.size);
        const onward = Math.abs(at - this.#next) < 2 * PIECE;
        const first = Math.floor(at / PIECE);
        const last = Math.floor((end - 1) / PIECE);

        if (end <= at) {
            return new Uint8Array(0);
        }
        this.#next = end;
        if (last - first >= AHEAD) {        // a long message is not kept
            return (await this.#fetch(at, end - at)).bytes;
        }
        if (onward) {
            this.#want(first, last + 1 + AHEAD / 2, AHEAD);
        } else {
            this.#want(first, last + 1, 1);
        }
        const pieces = await Promise.all(Array.from({ length: last - first + 1 }, (_, i) => this.#piece(first + i)));
        const [only] = pieces;
        if (only && pieces.length === 1) {
            return only.subarray(at - first * PIECE, end - first * PIECE);
        }
        const bytes = new Uint8Array(end - at);
        pieces.forEach((piece, i) => {
            const from = Math.max(at, (first + i) * PIECE);
            bytes.set(piece.subarray(from - (first + i) * PIECE, end - (first + i) * PIECE), from - at);
        });
        return bytes;
    }

    /** The pieces from `first` on, before `end`: those that are missing, at least `least` in one request. */
    #want(first: number, end: number, least: number): void {
        const all = Math.ceil(this.size / PIECE);

        for (let n = first; n < Math.min(end, all); n++) {
            const here = this.#pieces.get(n);
            if (here) {     // it is wanted now: others go before it
                this.#pieces.delete(n);
                this.#pieces.set(n, here);
                continue;
            }
            let count = 1;
            while (n + count < Math.min(Math.max(end, n + least), all) && count < AHEAD && !this.#pieces.has(n + count)) {
                count++;
            }
            const at = n * PIECE;
            this.#keep(n, count, this.#fetch(at, Math.min(count * PIECE, this.size - at)).then(({ bytes }) => bytes));
        }
    }

    #keep(first: number, count: number, bytes: Promise<Uint8Array>): void {
        for (let n = first; n < first + count && n * PIECE < this.size; n++) {
            // a copy: a part of the request's buffer would keep all of it
            const piece = bytes.then((all) => all.slice((n - first) * PIECE, (n - first + 1) * PIECE));
            this.#pieces.set(n, piece);
            piece.catch(() => {         // asked for again, it is fetched again
                if (this.#pieces.get(n) === piece) {
                    this.#pieces.delete(n);
                }
            });
        }
        for (const n of this.#pieces.keys()) {
            if (this.#pieces.size <= KEPT) {
                break;
            }
            this.#pieces.delete(n);
        }
    }

    #piece(n: number): Promise<Uint8Array> {
        const piece = this.#pieces.get(n);

        if (!piece) {
            return Promise.reject(new Error('This part of the file is not there.'));
        }
        this.#pieces.delete(n);
        this.#pieces.set(n, piece);
        return piece;
    }
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/** Bytes that wait for the screen; xterm.js throws at 50 MB. */
export const PENDING = 16 * 1024 * 1024;

/**
 * Output on its way to a screen.  What comes over the bound is left out, and so is all
 * behind it until half of what waits is written; then a line says so.
 */
export class Output {
    #pending = 0;
    #left = false;
    #write: (data: Uint8Array | string, written: () => void) => void;
    #line: () => string;

    constructor(write: (data: Uint8Array | string, written: () => void) => void, line: () => string) {
        this.#write = write;
        this.#line = line;
    }

    /** `taken` is called when it is on the screen, or left out. */
    push(data: Uint8Array, taken: () => void): void {
        if (this.#left || this.#pending > PENDING) {
            this.#left = true;
            taken();
            return;
        }
        this.#pending += data.length;
        this.#write(data, () => {
            this.#pending -= data.length;
            taken();
            if (this.#left && this.#pending <= PENDING / 2) {
                this.#left = false;
                // CAN: a sequence that was cut does not take the line in
                this.#write(`\x18\r\n${this.#line()}\r\n`, () => {});
            }
        });
    }
}

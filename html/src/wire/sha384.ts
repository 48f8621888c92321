// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/*
 * SHA-384 of what comes in pieces (FIPS 180-4): the browser's own takes a message
 * only as a whole, which a file of 20 GB cannot be.
 */

const BLOCK = 128;

/** First 64 bits of the fractional parts of the n-th roots of the first primes. */
function roots(count: number, root: (x: bigint) => bigint): Int32Array {
    const words = new Int32Array(count * 2);
    let at = 0;

    for (let n = 2n; at < count; n++) {
        let prime = true;
        for (let d = 2n; d * d <= n && prime; d++) {
            prime = n % d !== 0n;
        }
        if (prime) {
            const bits = root(n) & 0xffffffffffffffffn;
            words[2 * at] = Number(bits >> 32n) | 0;
            words[2 * at + 1] = Number(bits & 0xffffffffn) | 0;
            at++;
        }
    }
    return words;
}

function largest(fits: (x: bigint) => boolean): bigint {
    let x = 0n;
    for (let bit = 1n << 72n; bit; bit >>= 1n) {
        if (fits(x | bit)) {
            x |= bit;
        }
    }
    return x;
}

const K = roots(80, (n) => largest((x) => x * x * x <= n << 192n));
/** Of the ninth to the sixteenth prime. */
const START = roots(16, (n) => largest((x) => x * x <= n << 128n)).slice(16);

const W = new Int32Array(160);

export class Sha384 {
    /** Bytes so far. */
    length = 0;
    #state = START.slice();
    #rest = new Uint8Array(BLOCK);

    clone(): Sha384 {
        const copy = new Sha384();
        copy.length = this.length;
        copy.#state = this.#state.slice();
        copy.#rest = this.#rest.slice();
        return copy;
    }

    update(bytes: Uint8Array): this {
        const kept = this.length % BLOCK;
        let at = 0;

        this.length += bytes.length;
        if (kept) {
            at = Math.min(BLOCK - kept, bytes.length);
            this.#rest.set(bytes.subarray(0, at), kept);
            if (kept + at < BLOCK) {
                return this;
            }
            this.#block(this.#rest, 0);
        }
        for (; at + BLOCK <= bytes.length; at += BLOCK) {
            this.#block(bytes, at);
        }
        this.#rest.set(bytes.subarray(at));
        return this;
    }

    /** In upper-case hex, as the agent says it.  The object stays usable. */
    digest(): string {
        const end = this.clone();
        const kept = this.length % BLOCK;
        const tail = new Uint8Array(kept < 112 ? BLOCK : 2 * BLOCK);

        tail.set(this.#rest.subarray(0, kept));
        tail[kept] = 0x80;
        // a length in bits of up to 2^56, which a number holds in two parts
        const view = new DataView(tail.buffer);
        view.setUint32(tail.length - 8, Math.floor(this.length / 0x20000000));
        view.setUint32(tail.length - 4, (this.length % 0x20000000) * 8);
        for (let at = 0; at < tail.length; at += BLOCK) {
            end.#block(tail, at);
        }
        return Array.from(end.#state.subarray(0, 12), (word) => (word >>> 0).toString(16).padStart(8, '0')).join('').toUpperCase();
    }

    #block(data: Uint8Array, from: number): void {
        const w = W;
        const s = this.#state;

        for (let i = 0, p = from; i < 32; i++, p += 4) {
            w[i] = (data[p]! << 24) | (data[p + 1]! << 16) | (data[p + 2]! << 8) | data[p + 3]!;
        }
        for (let i = 32; i < 160; i += 2) {
            let h = w[i - 30]!;
            let l = w[i - 29]!;
            const s0h = ((h >>> 1) | (l << 31)) ^ ((h >>> 8) | (l << 24)) ^ (h >>> 7);
            const s0l = ((l >>> 1) | (h << 31)) ^ ((l >>> 8) | (h << 24)) ^ ((l >>> 7) | (h << 25));
            h = w[i - 4]!;
            l = w[i - 3]!;
            const s1h = ((h >>> 19) | (l << 13)) ^ ((l >>> 29) | (h << 3)) ^ (h >>> 6);
            const s1l = ((l >>> 19) | (h << 13)) ^ ((h >>> 29) | (l << 3)) ^ ((l >>> 6) | (h << 26));
            const low = (s0l >>> 0) + (s1l >>> 0) + (w[i - 13]! >>> 0) + (w[i - 31]! >>> 0);
            w[i + 1] = low | 0;
            w[i] = (s0h + s1h + w[i - 14]! + w[i - 32]! + ((low / 0x100000000) | 0)) | 0;
        }

        let ah = s[0]!, al = s[1]!, bh = s[2]!, bl = s[3]!, ch = s[4]!, cl = s[5]!, dh = s[6]!, dl = s[7]!;
        let eh = s[8]!, el = s[9]!, fh = s[10]!, fl = s[11]!, gh = s[12]!, gl = s[13]!, hh = s[14]!, hl = s[15]!;

        for (let i = 0; i < 160; i += 2) {
            const e1h = ((eh >>> 14) | (el << 18)) ^ ((eh >>> 18) | (el << 14)) ^ ((el >>> 9) | (eh << 23));
            const e1l = ((el >>> 14) | (eh << 18)) ^ ((el >>> 18) | (eh << 14)) ^ ((eh >>> 9) | (el << 23));
            const chh = (eh & fh) ^ (~eh & gh);
            const chl = (el & fl) ^ (~el & gl);
            const t1 = (hl >>> 0) + (e1l >>> 0) + (chl >>> 0) + (K[i + 1]! >>> 0) + (w[i + 1]! >>> 0);
            const t1l = t1 | 0;
            const t1h = (hh + e1h + chh + K[i]! + w[i]! + ((t1 / 0x100000000) | 0)) | 0;
            const a0h = ((ah >>> 28) | (al << 4)) ^ ((al >>> 2) | (ah << 30)) ^ ((al >>> 7) | (ah << 25));
            const a0l = ((al >>> 28) | (ah << 4)) ^ ((ah >>> 2) | (al << 30)) ^ ((ah >>> 7) | (al << 25));
            const t2 = (a0l >>> 0) + (((al & bl) ^ (al & cl) ^ (bl & cl)) >>> 0);
            const t2h = (a0h + ((ah & bh) ^ (ah & ch) ^ (bh & ch)) + ((t2 / 0x100000000) | 0)) | 0;

            hh = gh; hl = gl; gh = fh; gl = fl; fh = eh; fl = el;
            const e = (dl >>> 0) + (t1l >>> 0);
            el = e | 0;
            eh = (dh + t1h + ((e / 0x100000000) | 0)) | 0;
            dh = ch; dl = cl; ch = bh; cl = bl; bh = ah; bl = al;
            const a = (t1l >>> 0) + ((t2 | 0) >>> 0);
            al = a | 0;
            ah = (t1h + t2h + ((a / 0x100000000) | 0)) | 0;
        }

        const now = [ah, al, bh, bl, ch, cl, dh, dl, eh, el, fh, fl, gh, gl, hh, hl];
        for (let i = 0; i < 16; i += 2) {
            const low = (s[i + 1]! >>> 0) + (now[i + 1]! >>> 0);
            s[i + 1] = low | 0;
            s[i] = (s[i]! + now[i]! + ((low / 0x100000000) | 0)) | 0;
        }
    }
}

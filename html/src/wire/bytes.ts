// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

const encoder = new TextEncoder();

/** Cuts text into pieces of at most `size` bytes of UTF-8, never inside a character. */
export function* pieces(text: string, size: number): Generator<Uint8Array> {
    const bytes = encoder.encode(text);

    for (let from = 0; from < bytes.length;) {
        let to = Math.min(from + size, bytes.length);
        while (to < bytes.length && to > from + 1 && ((bytes[to] ?? 0) & 0xc0) === 0x80) {
            to--;
        }
        yield bytes.subarray(from, to);
        from = to;
    }
}

/** `length` random bytes as hex digits. */
export function randomHex(length: number): string {
    const bytes = crypto.getRandomValues(new Uint8Array(length));
    return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
}

/** The last part of a wire id: `node//abc` is `abc`; a short id stays as it is. */
export function shortId(id: string): string {
    return id.slice(id.lastIndexOf('/') + 1);
}

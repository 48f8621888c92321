// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/*
 * A zip archive as it goes (APPNOTE 6.3.9): what is stored is not compressed, sizes
 * and sums stand behind each file, and in 64 bits where they do not fit into 32.
 */

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) {
        c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    }
    return c;
});

export function crc32(bytes: Uint8Array, before = 0): number {
    let c = ~before;
    for (let i = 0; i < bytes.length; i++) {
        c = TABLE[(c ^ (bytes[i] ?? 0)) & 255]! ^ (c >>> 8);
    }
    return ~c >>> 0;
}

interface Member {
    name: Uint8Array;
    at: number;
    size: number;
    crc: number;
    time: number;
    folder: boolean;
}

const encoder = new TextEncoder();
const LIMIT = 0xffffffff;
/* a name in UTF-8, sizes behind the data */
const FLAGS = 0x0808;

/** Date and time of MS-DOS, local, as all archivers have it. */
function dos(ms: number): number {
    const d = new Date(ms);
    const year = Math.min(127, Math.max(0, d.getFullYear() - 1980));
    return ((year << 25) | ((d.getMonth() + 1) << 21) | (d.getDate() << 16) | (d.getHours() << 11) | (d.getMinutes() << 5) | (d.getSeconds() >> 1)) >>> 0;
}

class Bytes {
    #list: number[] = [];

    u16(n: number): this {
        this.#list.push(n & 255, (n >>> 8) & 255);
        return this;
    }

    u32(n: number): this {
        this.#list.push(n & 255, (n >>> 8) & 255, (n >>> 16) & 255, (n >>> 24) & 255);
        return this;
    }

    u64(n: number): this {
        return this.u32(n % 0x100000000).u32(Math.floor(n / 0x100000000));
    }

    with(...more: Uint8Array[]): Uint8Array<ArrayBuffer> {
        const out = new Uint8Array(this.#list.length + more.reduce((sum, m) => sum + m.length, 0));
        out.set(this.#list);
        let at = this.#list.length;
        for (const part of more) {
            out.set(part, at);
            at += part.length;
        }
        return out;
    }
}

/** Each call gives the bytes that come next in the archive. */
export class Zip {
    /** Bytes so far. */
    length = 0;
    #members: Member[] = [];
    #open: Member | null = null;

    #give(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
        this.length += bytes.length;
        return bytes;
    }

    /** `name` with `/` between folders; one that ends with it is a folder. */
    begin(name: string, time: number): Uint8Array<ArrayBuffer> {
        const member: Member = { name: encoder.encode(name), at: this.length, size: 0, crc: 0, time: dos(time), folder: name.endsWith('/') };
        this.#members.push(member);
        this.#open = member;
        // 45: the sizes behind the data are of 64 bits, for which an empty field in front stands
        return this.#give(new Bytes().u32(0x04034b50).u16(45).u16(FLAGS).u16(0).u32(member.time).u32(0).u32(LIMIT).u32(LIMIT)
            .u16(member.name.length).u16(20).with(member.name, new Bytes().u16(1).u16(16).u64(0).u64(0).with()));
    }

    data(bytes: Uint8Array): Uint8Array {
        const member = this.#open;
        if (member) {
            member.crc = crc32(bytes, member.crc);
            member.size += bytes.length;
            this.length += bytes.length;
        }
        return bytes;
    }

    end(): Uint8Array<ArrayBuffer> {
        const member = this.#open;
        this.#open = null;
        return member ? this.#give(new Bytes().u32(0x08074b50).u32(member.crc).u64(member.size).u64(member.size).with()) : new Uint8Array(0);
    }

    /** The list of members and the end of the archive. */
    *finish(): Generator<Uint8Array<ArrayBuffer>> {
        const from = this.length;

        for (const m of this.#members) {
            yield this.#give(new Bytes().u32(0x02014b50).u16((3 << 8) | 45).u16(45).u16(FLAGS).u16(0).u32(m.time).u32(m.crc).u32(LIMIT).u32(LIMIT)
                .u16(m.name.length).u16(28).u16(0).u16(0).u16(0).u32(m.folder ? (0o40755 << 16) | 16 : 0o100644 << 16).u32(LIMIT)
                .with(m.name, new Bytes().u16(1).u16(24).u64(m.size).u64(m.size).u64(m.at).with()));
        }
        const size = this.length - from;
        const n = this.#members.length;
        const end = this.length;

        yield this.#give(new Bytes().u32(0x06064b50).u64(44).u16((3 << 8) | 45).u16(45).u32(0).u32(0).u64(n).u64(n).u64(size).u64(from)
            .u32(0x07064b50).u32(0).u64(end).u32(1)
            .u32(0x06054b50).u16(0).u16(0).u16(Math.min(n, 0xffff)).u16(Math.min(n, 0xffff)).u32(Math.min(size, LIMIT)).u32(LIMIT).u16(0).with());
    }
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test, vi } from 'vitest';
import { BLOCK, type Said } from '../../src/wire/messenger.ts';
import { parcelName, Parcels, PARCELS, type Parcel } from '../../src/state/parcels.ts';

const WAIT = 60_000;

interface End {
    parcels: Parcels;
    seen: Parcel[];
    said: Said[];
}

class Kept {
    bytes: Uint8Array[] = [];
    ended = '';
    hold: Promise<void> | null = null;

    async write(data: Uint8Array): Promise<void> {
        await this.hold;
        this.bytes.push(data.slice());
    }

    close(): Promise<void> {
        this.ended = 'whole';
        return Promise.resolve();
    }

    abort(): Promise<void> {
        this.ended = 'thrown away';
        return Promise.resolve();
    }
}

function end(to: () => Parcels, change: (said: Said) => Said = (s) => s): End {
    const seen: Parcel[] = [];
    const said: Said[] = [];
    const parcels = new Parcels((action, members) => {
        const message = change({ action, ...members });
        said.push(message);
        queueMicrotask(() => to().said(message));
        return true;
    }, (id, data) => {
        queueMicrotask(() => to().block(id, data));
        return true;
    }, (parcel) => {
        if (!seen.includes(parcel)) {
            seen.push(parcel);
        }
    });
    return { parcels, seen, said };
}

function two(change?: (said: Said) => Said): [End, End] {
    const a: End = end(() => b.parcels, change);
    const b: End = end(() => a.parcels);
    return [a, b];
}

const data = (size: number): Uint8Array<ArrayBuffer> => new Uint8Array(size).map((_, i) => (i * 7 + (i >> 8)) & 255);

test.each([0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 20 * BLOCK + 5])('a file of %i bytes arrives as it was', async (size) => {
    const [a, b] = two();
    const bytes = data(size);
    a.parcels.offer(new Blob([bytes]), 'folder/x.bin');
    await vi.waitFor(() => expect(b.seen).toHaveLength(1), WAIT);
    const sink = new Kept();
    expect([b.seen[0]?.name, b.seen[0]?.size, b.seen[0]?.mine]).toEqual(['x.bin', size, false]);
    b.parcels.accept(b.seen[0] as Parcel, sink);
    await vi.waitFor(() => expect([a.seen[0]?.state, b.seen[0]?.state]).toEqual(['done', 'done']), WAIT);
    expect(sink.ended).toBe('whole');
    expect(Buffer.concat(sink.bytes).equals(bytes)).toBe(true);
});

test('no more is under way than the other side has asked for', async () => {
    const [a, b] = two();
    a.parcels.offer(new Blob([data(64 * BLOCK)]), 'x');
    await vi.waitFor(() => expect(b.seen).toHaveLength(1), WAIT);
    const sink = new Kept();
    const write = sink.write.bind(sink);
    let most = 0;
    sink.write = async (piece) => {
        // a disk that is slower than the line
        await new Promise((resolve) => setTimeout(resolve, 1));
        most = Math.max(most, blocks.mock.calls.length - sink.bytes.length);
        await write(piece);
    };
    const blocks = vi.spyOn(b.parcels, 'block');
    b.parcels.accept(b.seen[0] as Parcel, sink);
    await vi.waitFor(() => expect(b.seen[0]?.state).toBe('done'), WAIT);
    expect(most).toBeLessThanOrEqual(16);
    expect(most).toBeGreaterThan(1);
    expect(sink.bytes).toHaveLength(64);
});

test('a file whose hash is another one is thrown away', async () => {
    const [a, b] = two((said) => (said.action === 'fileUploadEnd' ? { ...said, hash: '0'.repeat(96) } : said));
    a.parcels.offer(new Blob([data(1000)]), 'x');
    await vi.waitFor(() => expect(b.seen).toHaveLength(1), WAIT);
    const sink = new Kept();
    b.parcels.accept(b.seen[0] as Parcel, sink);
    await vi.waitFor(() => expect(b.seen[0]?.state).toBe('failed'), WAIT);
    expect(sink.ended).toBe('thrown away');
    await vi.waitFor(() => expect(a.seen[0]?.state).toBe('cancelled'), WAIT);
});

test('more than was said, and more than was asked for, ends it', () => {
    for (const [size, pieces] of [[10, 1], [100 * BLOCK, 40]] as const) {
        const { parcels, seen } = end(() => new Parcels(() => true, () => true, () => {}));
        const sink = new Kept();
        sink.hold = new Promise(() => {});
        parcels.said({ action: 'file', id: 5, name: 'x', size });
        parcels.accept(seen[0] as Parcel, sink);
        for (let i = 0; i < pieces; i++) {
            parcels.block(5, data(BLOCK));
        }
        expect([seen[0]?.state, sink.ended]).toEqual(['failed', 'thrown away']);
        parcels.block(5, data(1));      // what was under way is nothing
    }
});

test('each side can cancel, and the other side is told', async () => {
    for (const who of [0, 1] as const) {
        const ends = two();
        ends[0].parcels.offer(new Blob([data(100 * BLOCK)]), 'x');
        await vi.waitFor(() => expect(ends[1].seen).toHaveLength(1), WAIT);
        const sink = new Kept();
        sink.hold = new Promise(() => {});
        ends[1].parcels.accept(ends[1].seen[0] as Parcel, sink);
        await vi.waitFor(() => expect(ends[0].seen[0]?.state).toBe('running'), WAIT);
        ends[who].parcels.cancel(ends[who].seen[0] as Parcel);
        await vi.waitFor(() => expect(ends.map((e) => e.seen[0]?.state)).toEqual(['cancelled', 'cancelled']), WAIT);
        expect(sink.ended).toBe('thrown away');
    }
});

test('a refusal is told', async () => {
    const [a, b] = two();
    a.parcels.offer(new Blob([data(5)]), 'x');
    await vi.waitFor(() => expect(b.seen).toHaveLength(1), WAIT);
    b.parcels.cancel(b.seen[0] as Parcel);
    await vi.waitFor(() => expect([a.seen[0]?.state, b.seen[0]?.state]).toEqual(['refused', 'refused']), WAIT);
});

test('who offers more than a few is told no, and an offer that is none is not heard', () => {
    const { parcels, seen, said } = end(() => new Parcels(() => true, () => true, () => {}));
    for (const odd of [{}, { id: 0, size: 1 }, { id: -1, size: 1 }, { id: 1.5, size: 1 }, { id: 2 ** 32, size: 1 }, { id: 'x', size: 1 }, { id: 7 }, { id: 7, size: -1 }, { id: 7, size: 1e300 }, { id: 7, size: '5' }]) {
        parcels.said({ action: 'file', name: 'x', ...odd });
    }
    expect(seen).toHaveLength(0);
    for (let id = 1; id <= PARCELS + 5; id++) {
        parcels.said({ action: 'file', id, name: 'x', size: 1 });
        parcels.said({ action: 'file', id, name: 'again', size: 1 });
    }
    expect(seen).toHaveLength(PARCELS);
    expect(said.filter((s) => s.action === 'fileUploadCancel')).toHaveLength(10);
});

test('nobody makes a file go that was not accepted, nor is told that it arrived', () => {
    const { parcels, seen } = end(() => new Parcels(() => true, () => true, () => {}));
    const parcel = parcels.offer(new Blob([data(10)]), 'x') as Parcel;
    parcels.said({ action: 'fileDone', id: 1 });
    parcels.said({ action: 'fileUploadAck', id: 1, at: 10 });
    expect(parcel.state).toBe('offered');
    parcels.said({ action: 'fileAccept', id: 1 });
    parcels.said({ action: 'fileDone', id: 1 });
    expect(parcel.state).toBe('running');
    parcels.drop();
    expect(seen.map((p) => p.state)).toEqual(['failed']);
});

test('a name is the last part, without what hides or turns it round', () => {
    expect(['/etc/passwd', 'C:\\x\\y.txt', '..', '', 'a\u0000b\n.txt', 'exe.\u202etxt', '../../x', 'é ½.pdf'].map(parcelName))
        .toEqual(['passwd', 'y.txt', 'file', 'file', 'ab.txt', 'exe.txt', 'x', 'é ½.pdf']);
    expect(parcelName('a'.repeat(1000))).toHaveLength(255);
});

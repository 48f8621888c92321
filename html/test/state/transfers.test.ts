// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test, vi } from 'vitest';
import type { FilesLink } from '../../src/state/files.ts';
import { Transfers, type Sink, type Transfer } from '../../src/state/transfers.ts';
import { FilesError, type DownloadSink, type FilesWire, type Listing, type RemoteHash } from '../../src/wire/files.ts';
import { Sha384 } from '../../src/wire/sha384.ts';

const BLOCK = 1000;
const WAITS = { timeout: 60_000 };

const data = (size: number): Uint8Array<ArrayBuffer> => new Uint8Array(size).map((_, i) => (i * 7 + (i >> 8)) & 255);
const fileOf = (bytes: Uint8Array<ArrayBuffer>): File => new Blob([bytes]) as File;

/** A device with one folder, behind a link that breaks and waits as a test says. */
class Device extends EventTarget {
    state = 'open';
    says = '';
    way = null;
    files = new Map<string, Uint8Array>();
    /** What was asked for, in its order. */
    asked: string[] = [];
    sent = 0;
    /** Bytes after which the connection goes, once. */
    breaks = Infinity;
    /** What it does with a block of an upload on the way to the disk. */
    spoils = (bytes: Uint8Array): Uint8Array => bytes;
    hashes = true;
    /** What it says of a file's size, when that is another. */
    size: number | null = null;

    use(): Promise<FilesWire> {
        return Promise.resolve(this as unknown as FilesWire);
    }

    close(): void {}

    list(path: string): Promise<Listing> {
        return Promise.resolve({ path, entries: [...this.files.keys()].map((name) => ({ name, kind: 'file', size: 1, time: 0, free: 0 })) });
    }

    change(action: string, { delfiles }: { delfiles: string[] }): Promise<boolean> {
        this.asked.push(`${action} ${delfiles.join()}`);
        delfiles.forEach((name) => this.files.delete(name));
        return Promise.resolve(true);
    }

    hash(_path: string, name: string): Promise<RemoteHash> {
        const bytes = this.files.get(name);
        this.asked.push('hash');
        return Promise.resolve(bytes && this.hashes ? { hash: new Sha384().update(bytes).digest(), size: bytes.length } : { hash: null, size: null });
    }

    async #moves(n: number, signal?: AbortSignal): Promise<void> {
        await new Promise((resolve) => setTimeout(resolve));
        if (signal?.aborted) {
            throw new FilesError('Stopped.');
        }
        this.sent += n;
        if (this.sent > this.breaks) {
            this.breaks = Infinity;
            throw new FilesError('The connection to the device was lost.', true);
        }
    }

    async upload(to: { name: string; size: number; append: boolean }, read: (at: number, n: number) => Promise<Uint8Array>, acked: (n: number) => void, signal?: AbortSignal): Promise<void> {
        this.asked.push(`upload ${to.size}`);
        if (!to.append) {
            this.files.set(to.name, new Uint8Array(0));
        }
        for (let at = 0; at < to.size; at += BLOCK) {
            const bytes = await read(at, Math.min(BLOCK, to.size - at));
            await this.#moves(bytes.length, signal);
            this.files.set(to.name, Buffer.concat([this.files.get(to.name) ?? new Uint8Array(0), this.spoils(bytes)]));
            acked(at + bytes.length);
        }
    }

    async download(path: string, offset: number, sink: DownloadSink, signal?: AbortSignal): Promise<void> {
        const bytes = this.files.get(path.slice(path.lastIndexOf('/') + 1)) ?? new Uint8Array(0);
        this.asked.push(`download ${offset}`);
        sink.begin?.(this.size ?? bytes.length);
        for (let at = offset; at < bytes.length; at += BLOCK) {
            await this.#moves(BLOCK, signal);
            await sink.block(bytes.subarray(at, at + BLOCK));
        }
    }
}

class Kept implements Sink {
    bytes: Uint8Array[] = [];
    ended = '';

    write(bytes: Uint8Array): Promise<void> {
        this.bytes.push(bytes.slice());
        return Promise.resolve();
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

function begin(): { device: Device; transfers: Transfers; settled: (state: Transfer['state']) => Promise<Transfer> } {
    const device = new Device();
    const transfers = new Transfers(device as unknown as FilesLink, () => {});
    return {
        device, transfers,
        settled: async (state) => {
            await vi.waitFor(() => expect(transfers.list[0]?.state).toBe(state), WAITS);
            return transfers.list[0] as Transfer;
        },
    };
}

function send(size: number, change: (device: Device) => void = () => {}): ReturnType<typeof begin> & { bytes: Uint8Array<ArrayBuffer> } {
    const all = begin();
    const bytes = data(size);
    change(all.device);
    all.transfers.upload('/d', [{ file: fileOf(bytes), name: 'x' }]);
    return { ...all, bytes };
}

function fetchFrom(size: number, change: (device: Device) => void = () => {}): ReturnType<typeof begin> & { bytes: Uint8Array; sink: Kept } {
    const all = begin();
    const bytes = data(size);
    const sink = new Kept();
    all.device.files.set('x', bytes);
    change(all.device);
    all.transfers.download('/d', { name: 'x', kind: 'file', size, time: 0, free: 0 }, sink);
    return { ...all, bytes, sink };
}

test.each([0, 1, 5 * BLOCK, 5 * BLOCK + 1])('an upload of %i bytes is checked, also when nothing broke', async (size) => {
    const { device, settled, bytes } = send(size);
    const t = await settled('done');
    expect([t.says, t.resumed, device.asked]).toEqual(['', 0, [`upload ${size}`, 'hash']]);
    expect(Buffer.from(device.files.get('x') ?? []).equals(bytes)).toBe(true);
});

test('an upload that is another one there has failed, and begins anew when it is tried again', async () => {
    const { device, transfers, settled, bytes } = send(3 * BLOCK, (d) => {
        d.spoils = (b) => b.map((x) => x ^ 1);
    });
    const t = await settled('failed');
    expect(t.says).toBe('What arrived is not what was sent. Try again.');
    device.spoils = (b) => b;
    transfers.resume(t);
    await settled('done');
    expect(device.asked).toEqual(['upload 3000', 'hash', 'upload 3000', 'hash']);
    expect(Buffer.from(device.files.get('x') ?? []).equals(bytes)).toBe(true);
});

test('an upload to where it cannot be read is done', async () => {
    const { settled } = send(10, (d) => {
        d.hashes = false;
    });
    expect((await settled('done')).says).toBe('');
});

test('a broken upload goes on behind what is there', async () => {
    const { device, settled, bytes } = send(10 * BLOCK, (d) => {
        d.breaks = 5 * BLOCK;
    });
    const t = await settled('done');
    expect([t.resumed, device.asked]).toEqual([1, ['upload 10000', 'hash', 'upload 5000', 'hash']]);
    expect(Buffer.from(device.files.get('x') ?? []).equals(bytes)).toBe(true);
});

test('a paused upload goes on, in its transfer and in its check', async () => {
    const { device, transfers, settled, bytes } = send(10 * BLOCK);
    const [t] = transfers.list as [Transfer];
    let blocks = 0;
    device.spoils = (b) => {
        if (++blocks === 4) {
            transfers.pause(t);
        }
        return b;
    };
    await vi.waitFor(() => expect([blocks, t.stop]).toEqual([4, null]), WAITS);
    expect([t.state, t.done]).toEqual(['paused', 4 * BLOCK]);

    const { hash } = device;
    let n = 0;
    device.hash = (path, name) => {
        if (++n === 2) {
            transfers.pause(t);
        }
        return hash.call(device, path, name);
    };
    transfers.resume(t);
    await vi.waitFor(() => expect([n, t.stop]).toEqual([2, null]), WAITS);
    expect([t.state, t.done]).toEqual(['paused', 10 * BLOCK]);
    transfers.resume(t);
    await settled('done');
    expect(device.asked).toEqual(['upload 10000', 'hash', 'upload 6000', 'hash', 'hash', 'upload 0', 'hash']);
    expect(Buffer.from(device.files.get('x') ?? []).equals(bytes)).toBe(true);
});

test('a cancelled upload is deleted there, and a cancelled download is thrown away', async () => {
    const up = send(100 * BLOCK);
    const [t] = up.transfers.list as [Transfer];
    await vi.waitFor(() => expect(t.done).toBeGreaterThan(0), WAITS);
    up.transfers.cancel(t);
    await vi.waitFor(() => expect(up.device.asked.at(-1)).toBe('rm x'), WAITS);
    expect([up.transfers.list.length, up.device.files.size]).toEqual([0, 0]);

    const down = fetchFrom(100 * BLOCK);
    await vi.waitFor(() => expect(down.sink.bytes.length).toBeGreaterThan(0), WAITS);
    down.transfers.cancel(down.transfers.list[0] as Transfer);
    expect([down.transfers.list.length, down.sink.ended]).toEqual([0, 'thrown away']);
});

test('a download that came whole is not asked about, and one that broke is', async () => {
    for (const [breaks, asked] of [[Infinity, ['download 0']], [5 * BLOCK, ['download 0', 'download 5000', 'hash']]] as const) {
        const { device, settled, bytes, sink } = fetchFrom(10 * BLOCK, (d) => {
            d.breaks = breaks;
        });
        await settled('done');
        expect(device.asked).toEqual(asked);
        expect([sink.ended, Buffer.concat(sink.bytes).equals(bytes)]).toEqual(['whole', true]);
    }
});

test('a download that is shorter than was said is whole only when the file is', async () => {
    const short = fetchFrom(10, (d) => {
        d.size = 4096;
    });
    await short.settled('done');
    expect([short.device.asked, short.sink.ended]).toEqual([['download 0', 'hash'], 'whole']);

    const other = fetchFrom(10, (d) => {
        d.size = 4096;
        d.hash = () => Promise.resolve({ hash: new Sha384().digest(), size: 0 });
    });
    expect((await other.settled('failed')).says).toBe('The file there has changed meanwhile. Fetch it again.');
    expect(other.sink.ended).toBe('');
});

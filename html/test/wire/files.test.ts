// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { BLOCK, CREDIT, FilesWire, parseLoose, readListing, safeName, WINDOW, type Entry } from '../../src/wire/files.ts';
import { Zip, crc32 } from '../../src/wire/zip.ts';
import { Socket } from './socket.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

class FilesSocket extends Socket {
    override send(data: string | Uint8Array): void {
        super.send(typeof data === 'string' ? data : data.slice());
    }

    /** The commands so far, as objects. */
    get commands(): Record<string, unknown>[] {
        return this.sent.filter((d): d is Uint8Array => typeof d !== 'string' && d[0] === 0x7b).map((d) => JSON.parse(decoder.decode(d)) as Record<string, unknown>);
    }

    last(): Record<string, unknown> {
        return this.commands.at(-1) ?? {};
    }

    json(value: unknown, binary = true): void {
        const text = JSON.stringify(value);
        this.onmessage?.({ data: binary ? encoder.encode(text).buffer : text });
    }

    bytes(...list: number[]): void {
        this.onmessage?.({ data: Uint8Array.from(list).buffer });
    }
}

function open(): { wire: FilesWire; socket: FilesSocket } {
    const socket = new FilesSocket();
    const wire = new FilesWire({ url: 'wss://x/', socket: () => socket as unknown as WebSocket });
    socket.onmessage?.({ data: 'c' });
    return { wire, socket };
}

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

describe('the beginning', () => {
    it('chooses files when the relay says so, and drops what came before', async () => {
        const socket = new FilesSocket();
        const wire = new FilesWire({ url: 'wss://x/', socket: () => socket as unknown as WebSocket });
        socket.bytes(1, 0, 0, 1, 65);
        socket.json({ path: '/', dir: [] });
        expect(wire.command('ls')).toBe(false);
        await expect(wire.list('/')).rejects.toThrow('not connected');
        socket.onmessage?.({ data: 'cr' });
        expect(socket.sent).toEqual(['5']);
    });

    it('answers a ping of the server', () => {
        const { socket } = open();
        socket.json({ ctrlChannel: 102938, type: 'ping' }, false);
        expect(socket.sent.at(-1)).toBe('{"ctrlChannel":"102938","type":"pong"}');
    });
});

describe('a listing', () => {
    it('comes to the one who asked, whatever else arrives', async () => {
        const { wire, socket } = open();
        const [a, b] = [wire.list('/a'), wire.list('/b')];
        const [ra, rb] = socket.commands.map((c) => c['reqid']);
        socket.json({ path: '/b', reqid: rb, dir: null });
        socket.json({ path: '/x', reqid: 'other', dir: [] });
        socket.json({ path: '/a', reqid: ra, dir: [{ n: 'f', t: 3, s: 5, d: '2020-09-13T12:26:40Z' }, { n: 'C:\\', t: 1, s: 9, f: 4 }] });
        expect(await a).toEqual({ path: '/a', entries: [
            { name: 'f', kind: 'file', size: 5, time: 1_600_000_000_000, free: 0 }, { name: 'C:\\', kind: 'drive', size: 9, time: 0, free: 4 },
        ] });
        expect((await b).entries).toBeNull();
    });

    it('S-52: has no name that leads elsewhere, and no value of a wrong kind', () => {
        const dir = [
            { n: '../../etc', t: 3 }, { n: '..', t: 2 }, { n: '.', t: 2 }, { n: '', t: 3 }, { n: 'a/b', t: 3 }, { n: 'a\0b', t: 3 }, { n: 5, t: 3 }, { n: 'x', t: 9 }, { n: 'x' },
            null, 'text', 7, [], { n: 'good', t: 3, s: -1, d: 'never' }, { n: 'inf', t: 3, s: Infinity, d: {} }, { n: '__proto__', t: 2, s: '12' },
        ];
        const { entries } = readListing({ path: 12, dir });
        expect(entries?.map((e) => [e.name, e.size, e.time])).toEqual([['good', 0, 0], ['inf', 0, 0], ['__proto__', 0, 0]]);
        expect(readListing({ dir: 'x' }).entries).toBeNull();
    });

    it('has each other character in a name as it is', () => {
        for (let c = 1; c < 256; c++) {
            const name = `a${String.fromCharCode(c)}b`;
            const reply = parseLoose(`{"dir":[{"n":${c < 32 || c === 34 || c === 92 ? `"a${c < 32 ? String.fromCharCode(c) : `\\${String.fromCharCode(c)}`}b"` : JSON.stringify(name)},"t":3}]}`);
            const entries: Entry[] = (reply && readListing(reply).entries) ?? [];
            expect(entries.map((e) => e.name)).toEqual(c === 47 ? [] : [name]);
            expect(safeName(name)).toBe(c !== 47);
        }
    });

    it('of two hundred thousand is read in a moment', () => {
        const text = JSON.stringify({ path: '/', dir: Array.from({ length: 200_000 }, (_, i) => ({ n: `name ${i}`, t: 3, s: i, d: '2020-09-13T12:26:40Z' })) });
        const reply = parseLoose(text);
        expect(reply && readListing(reply).entries?.length).toBe(200_000);
    });

    it('is not waited for when the connection goes', async () => {
        const { wire, socket } = open();
        const list = wire.list('/');
        socket.onclose?.({ code: 1006 });
        await expect(list).rejects.toMatchObject({ gone: true });
    });

    it('survives every cut of a reply, and every kind of nonsense', () => {
        const { socket } = open();
        const good = encoder.encode('{"path":"/","reqid":"q1","dir":[{"n":"a","t":3}]}');
        for (let n = 0; n < good.length; n++) {
            socket.onmessage?.({ data: good.slice(0, n).buffer });
        }
        for (const text of ['{}', '[]', 'null', '{"action":5}', '{"action":"download"}', '{"action":"uploadack","reqid":{}}', '{"ctrlChannel":"102938"}', '{"action":"__proto__","reqid":"constructor"}']) {
            socket.onmessage?.({ data: text });
            socket.onmessage?.({ data: encoder.encode(text).buffer });
        }
        socket.bytes(1);
        socket.bytes(1, 0, 0);
        socket.bytes(255, 0, 0, 1, 2);
    });
});

describe('a change', () => {
    it('is answered yes or no', async () => {
        const { wire, socket } = open();
        const made = wire.change('mkdir', { path: '/x' });
        expect(socket.last()).toMatchObject({ action: 'mkdir', path: '/x', answer: true });
        socket.json({ action: 'done', command: 'mkdir', reqid: socket.last()['reqid'], ok: false });
        expect(await made).toBe(false);
    });
});

describe('an upload', () => {
    it('keeps a window, and shields blocks that look like commands', async () => {
        const { wire, socket } = open();
        const size = BLOCK * (WINDOW + 3) + 5;
        const seen: number[] = [];
        const done = wire.upload({ path: '/d', name: 'f', size, append: false }, (_at, n) => Promise.resolve(new Uint8Array(n).fill(seen.length % 2 ? 0 : 0x7b)), (n) => seen.push(n));
        const { reqid } = socket.last();
        expect(socket.last()).toMatchObject({ action: 'upload', path: '/d', name: 'f', size, append: false });
        const blocks = (): Uint8Array[] => socket.sent.filter((d): d is Uint8Array => typeof d !== 'string' && d[0] === 0);
        socket.json({ action: 'uploadstart', reqid });
        await turn();
        await turn();
        expect(blocks().length).toBe(WINDOW);
        expect(blocks()[0]?.length).toBe(BLOCK + 1);
        // the most that a stock agent bears
        expect(BLOCK + 1).toBeLessThanOrEqual(65_536);
        socket.json({ action: 'uploadack', reqid: 'another' });
        await turn();
        expect(blocks().length).toBe(WINDOW);
        while (seen.length < WINDOW + 4) {
            socket.json({ action: 'uploadack', reqid });
            await turn();
        }
        expect(seen.at(-1)).toBe(size);
        expect(socket.last()).toMatchObject({ action: 'uploaddone', reqid });
        socket.json({ action: 'uploaddone', reqid });
        await done;
    });

    it('ignores more acknowledgements than there were blocks, and an early end', async () => {
        const { wire, socket } = open();
        const acked: number[] = [];
        const done = wire.upload({ path: '/d', name: 'f', size: 3, append: false }, () => Promise.resolve(Uint8Array.of(1, 2, 3)), (n) => acked.push(n));
        const { reqid } = socket.last();
        socket.json({ action: 'uploadack', reqid });
        socket.json({ action: 'uploaddone', reqid });
        socket.json({ action: 'uploadstart', reqid });
        await turn();
        socket.json({ action: 'uploadack', reqid });
        socket.json({ action: 'uploadack', reqid });
        await turn();
        socket.json({ action: 'uploaddone', reqid });
        await done;
        expect(acked).toEqual([3]);
    });

    it('ends with an error that has no number, with a connection that goes, and with a file that shrank', async () => {
        const start = (): { socket: FilesSocket; done: Promise<void> } => {
            const { wire, socket } = open();
            const done = wire.upload({ path: '/d', name: 'f', size: 9, append: true }, () => Promise.resolve(Uint8Array.of(1)), () => {});
            done.catch(() => {});
            return { socket, done };
        };
        const one = start();
        one.socket.json({ action: 'uploaderror' });
        await expect(one.done).rejects.toThrow('cannot be written');
        const two = start();
        two.socket.onclose?.({ code: 1006 });
        await expect(two.done).rejects.toMatchObject({ gone: true });
        const three = start();
        three.socket.json({ action: 'uploadstart', reqid: three.socket.last()['reqid'] });
        await expect(three.done).rejects.toThrow('has changed');
    });
});

describe('a download', () => {
    const begin = (offset: number): { socket: FilesSocket; got: number[]; done: Promise<void>; id: unknown } => {
        const { wire, socket } = open();
        const got: number[] = [];
        const done = wire.download('/f', offset, { block: (b) => void got.push(...b) });
        done.catch(() => {});
        return { socket, got, done, id: socket.last()['id'] };
    };

    it('asks for more only when what came is written', async () => {
        const { wire, socket } = open();
        let release: () => void = () => {};
        const done = wire.download('/f', 0, { block: () => new Promise<void>((resolve) => { release = resolve; }) });
        const { id } = socket.last();
        socket.json({ action: 'download', sub: 'start', id, size: 3, offset: 0 }, false);
        expect(socket.last()).toMatchObject({ sub: 'startack', id });
        socket.bytes(1, 0, 0, 0, 65);
        await turn();
        expect(socket.last()['sub']).toBe('startack');
        release();
        await turn();
        expect(socket.last()['sub']).toBe('ack');
        socket.bytes(1, 0, 0, 1);
        await done;
    });

    it('ends when more comes than was asked for and can be written', async () => {
        const { wire, socket } = open();
        let held = 0;
        const done = wire.download('/f', 0, { block: () => {
            held++;
            return new Promise<void>(() => {});
        } });
        done.catch(() => {});
        socket.json({ action: 'download', sub: 'start', id: socket.last()['id'], offset: 0 }, false);
        for (let i = 0; i < 2 * CREDIT; i++) {
            socket.bytes(1, 0, 0, 0, 65);
        }
        await turn();
        expect(wire.open).toBe(true);
        for (let i = 0; i < 5; i++) {
            socket.bytes(1, 0, 0, 0, 65);
        }
        await expect(done).rejects.toMatchObject({ message: 'The device sent more than it was asked for.', gone: false });
        expect([wire.open, socket.readyState, held]).toEqual([false, 3, 1]);
    });

    it('of any length goes on while it is written', async () => {
        const { wire, socket } = open();
        let n = 0;
        const done = wire.download('/f', 0, { block: () => void n++ });
        socket.json({ action: 'download', sub: 'start', id: socket.last()['id'], offset: 0 }, false);
        for (let i = 0; i < 5 * CREDIT; i++) {
            socket.bytes(1, 0, 0, 0, 65);
            await turn();
        }
        socket.bytes(1, 0, 0, 1);
        await done;
        expect(n).toBe(5 * CREDIT);
    });

    it('goes on in the middle, also with an agent that begins anew', async () => {
        for (const [said, want] of [[{ offset: 2 }, [65, 66, 67]], [{}, [67]]] as const) {
            const { socket, got, done, id } = begin(2);
            socket.json({ action: 'download', sub: 'start', id, ...said }, false);
            socket.bytes(1, 0, 0, 0, 65);
            socket.bytes(1, 0, 0, 1, 66, 67);
            await done;
            expect(got).toEqual(want);
        }
    });

    it('takes no block of the one before, nor one before its start', async () => {
        const { socket, got, done, id } = begin(0);
        socket.bytes(1, 0, 0, 1, 9, 9);
        socket.json({ action: 'download', sub: 'start', id: 'd99' }, false);
        socket.bytes(1, 0, 0, 1, 9, 9);
        socket.json({ action: 'download', sub: 'start', id }, false);
        socket.bytes(1, 0, 0, 1, 7);
        await done;
        expect(got).toEqual([7]);
    });

    it('is an error when there is no file, when it is too short, and when the connection goes', async () => {
        const one = begin(0);
        one.socket.json({ action: 'download', sub: 'cancel', id: one.id }, false);
        await expect(one.done).rejects.toThrow('cannot be read');
        const two = begin(5);
        two.socket.json({ action: 'download', sub: 'start', id: two.id }, false);
        two.socket.bytes(1, 0, 0, 1, 1, 2);
        await expect(two.done).rejects.toThrow('shorter');
        const three = begin(0);
        three.socket.json({ action: 'download', sub: 'start', id: three.id }, false);
        three.socket.onclose?.({ code: 1006 });
        await expect(three.done).rejects.toMatchObject({ gone: true });
    });
});

describe('an archive', () => {
    it('has the sum of each file', () => {
        expect(crc32(encoder.encode('123456789'))).toBe(0xcbf43926);
        expect(crc32(encoder.encode('6789'), crc32(encoder.encode('12345')))).toBe(0xcbf43926);
    });

    it('knows how long it is', () => {
        const zip = new Zip();
        let size = zip.begin('a/', 0).length + zip.end().length + zip.begin('a/b', Date.now()).length;
        size += zip.data(encoder.encode('data')).length + zip.end().length;
        for (const part of zip.finish()) {
            size += part.length;
        }
        expect(size).toBe(zip.length);
    });
});

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { backoff } from '../wire/backoff.ts';
import { randomHex } from '../wire/bytes.ts';
import { FilesError, type Entry, type FilesWire } from '../wire/files.ts';
import { Sha384 } from '../wire/sha384.ts';
import { Zip } from '../wire/zip.ts';
import type { FilesLink } from './files.ts';
import { another, join } from './paths.ts';
import { Store } from './store.ts';
import type { Way } from './way.ts';

export type TransferState = 'queued' | 'running' | 'waiting' | 'paused' | 'asks' | 'done' | 'skipped' | 'failed';

/** Where a download goes: a file of this computer, written in order. */
export interface Sink {
    write: (bytes: Uint8Array) => Promise<void>;
    /** The file is whole. */
    close: () => Promise<void>;
    /** It is given up. */
    abort: () => Promise<void>;
}

/** One of a tree that is fetched as an archive. */
interface Member {
    path: string;
    name: string;
    folder: boolean;
    time: number;
}

/** Lost and not back for so long: it is said, and tried again by hand. */
const GIVE_UP = 600_000;
const SPEED = 4000;
/** Bytes that are read or written of a file of this computer at once. */
export const GATHER = 1 << 20;
const KEPT = 200;

/** One file, or one archive, on its way. */
export class Transfer {
    readonly key = randomHex(6);
    state: TransferState = 'queued';
    done = 0;
    says = '';
    /** How often it went on after a broken connection. */
    resumed = 0;
    /** What is there already, while it asks. */
    there: Entry | null = null;
    stop: AbortController | null = null;
    readonly upload: boolean;
    readonly folder: string;
    readonly source: File | null;
    name: string;
    size: number | null;
    #marks: [number, number][] = [];

    constructor(upload: boolean, folder: string, name: string, size: number | null, source: File | null) {
        this.upload = upload;
        this.folder = folder;
        this.name = name;
        this.size = size;
        this.source = source;
    }

    get path(): string {
        return join(this.folder, this.name);
    }

    get over(): boolean {
        return this.state === 'done' || this.state === 'skipped' || this.state === 'failed';
    }

    /** Bytes in a second, lately. */
    get rate(): number {
        const [first] = this.#marks;
        const last = this.#marks.at(-1);
        return this.state === 'running' && first && last && last[0] > first[0] ? (last[1] - first[1]) / (last[0] - first[0]) * 1000 : 0;
    }

    /** In ms; null when it cannot be told. */
    get left(): number | null {
        const { rate } = this;
        return this.size !== null && rate > 0 ? (this.size - this.done) / rate * 1000 : null;
    }

    progress(done: number): void {
        const now = Date.now();
        this.done = done;
        if (now - (this.#marks.at(-1)?.[0] ?? 0) > 100) {
            this.#marks.push([now, done]);
            while (now - (this.#marks[0]?.[0] ?? now) > SPEED) {
                this.#marks.shift();
            }
        }
    }

    still(): void {
        this.#marks = [];
    }
}

type Answer = 'skip' | 'both' | 'replace';

/**
 * The transfers of one device: one upload and one download at a time, over a tunnel
 * of their own, which is opened again when it breaks.
 *
 * Events: `change`.
 */
export class Transfers extends Store {
    list: Transfer[] = [];
    /** How many have ended well and are not listed any more. */
    past = 0;
    #link: FilesLink;
    #refresh: () => void;
    #runs = { up: false, down: false };
    #sinks = new Map<Transfer, { sink: Sink; members: (() => Promise<Member[]>) | null }>();
    #names = new Map<string, Map<string, Entry>>();
    #answer: Answer | null = null;
    #drawn = 0;
    #late: ReturnType<typeof setTimeout> | undefined;

    constructor(link: FilesLink, refresh: () => void) {
        super();
        this.#link = link;
        this.#refresh = refresh;
        this.#link.addEventListener('change', () => this.changed());
    }

    get says(): string {
        return this.#link.state === 'open' ? '' : this.#link.says;
    }

    /** null: nothing is connected. */
    get way(): Way | null {
        return this.#link.state === 'open' ? this.#link.way : null;
    }

    get running(): boolean {
        return this.list.some((t) => t.state === 'running' || t.state === 'waiting' || t.state === 'queued');
    }

    /** Sends files into a folder; names may hold `/` for folders below it. */
    upload(folder: string, files: readonly { file: File; name: string }[]): void {
        this.#names.clear();
        if (!this.list.some((t) => t.upload && !t.over)) {
            this.#answer = null;
        }
        for (const { file, name } of files) {
            const parts = name.split('/').filter((part) => part !== '' && part !== '.' && part !== '..');
            const last = parts.pop();
            if (last !== undefined) {
                this.list.push(new Transfer(true, parts.reduce(join, folder), last, file.size, file));
            }
        }
        this.#pump();
    }

    download(folder: string, entry: Entry, sink: Sink): void {
        const transfer = new Transfer(false, folder, entry.name, entry.size, null);
        this.#sinks.set(transfer, { sink, members: null });
        this.list.push(transfer);
        this.#pump();
    }

    /** Fetches files and folders as one archive, which is made here. */
    archive(folder: string, entries: readonly Entry[], name: string, sink: Sink): void {
        const transfer = new Transfer(false, folder, name, null, null);
        this.#sinks.set(transfer, { sink, members: () => this.#tree(transfer, entries) });
        this.list.push(transfer);
        this.#pump();
    }

    pause(transfer: Transfer): void {
        if (!transfer.over && transfer.state !== 'asks') {
            transfer.state = 'paused';
            transfer.still();
            transfer.stop?.abort();
            this.changed();
        }
    }

    resume(transfer: Transfer): void {
        if (transfer.state === 'paused' || (transfer.state === 'failed' && (transfer.source || this.#sinks.has(transfer)))) {
            transfer.state = 'queued';
            transfer.says = '';
            this.#pump();
        }
    }

    pauseAll(): void {
        this.list.filter((t) => !t.over).forEach((t) => this.pause(t));
    }

    resumeAll(): void {
        this.list.filter((t) => t.state === 'paused').forEach((t) => this.resume(t));
    }

    /** Ends it; what has come there of a new file is deleted. */
    cancel(transfer: Transfer): void {
        const begun = transfer.upload && transfer.done > 0 && !transfer.over;

        transfer.state = 'skipped';
        transfer.stop?.abort();
        this.list = this.list.filter((t) => t !== transfer);
        const kept = this.#sinks.get(transfer);
        this.#sinks.delete(transfer);
        void kept?.sink.abort().catch(() => {});
        if (begun) {
            void this.#link.use().then((wire) => wire.change('rm', { path: transfer.folder, delfiles: [transfer.name], rec: false })).then(this.#refresh, () => {});
        }
        this.#pump();
    }

    /** What to do with a name that is taken, for one or for all that come. */
    answer(transfer: Transfer, what: Answer, all: boolean): void {
        if (all) {
            this.#answer = what;
        }
        for (const t of all ? this.list.filter((one) => one.state === 'asks') : [transfer]) {
            this.#settle(t, what);
        }
        this.#pump();
    }

    /** Those that have ended go from the list. */
    tidy(): void {
        this.past = 0;
        for (const t of this.list) {
            if (t.over) {
                this.#sinks.delete(t);
            }
        }
        this.list = this.list.filter((t) => !t.over);
        if (!this.list.length) {
            this.#link.close();
        }
        this.changed();
    }

    #settle(t: Transfer, what: Answer): void {
        const names = this.#names.get(t.folder);

        if (what === 'both' || (what === 'replace' && t.there?.kind !== 'file')) {
            t.name = another(t.name, (name) => names?.has(name) ?? false);
            names?.set(t.name, { name: t.name, kind: 'file', size: 0, time: 0, free: 0 });
        }
        t.state = what === 'skip' ? 'skipped' : 'queued';
        t.says = what === 'skip' ? 'Skipped.' : '';
        t.there = null;
        this.#asked.add(t);
    }

    #asked = new WeakSet<Transfer>();

    #pump(): void {
        void this.#lane('up', (t) => t.upload, (t) => this.#send(t));
        void this.#lane('down', (t) => !t.upload, (t) => this.#fetch(t));
        this.changed();
    }

    /** One after the other, until nothing waits. */
    async #lane(lane: 'up' | 'down', mine: (t: Transfer) => boolean, run: (t: Transfer) => Promise<void>): Promise<void> {
        if (this.#runs[lane]) {
            return;
        }
        this.#runs[lane] = true;
        let worked = false;
        for (;;) {
            const next = this.list.find((t) => mine(t) && t.state === 'queued');
            if (!next) {
                break;
            }
            worked ||= next.upload;
            await this.#steadily(next, run);
            this.#shorten();
            this.changed();
        }
        this.#runs[lane] = false;
        if (worked) {
            this.#refresh();
        }
        if (!this.#runs.up && !this.#runs.down && !this.list.some((t) => t.state === 'asks' || t.state === 'paused')) {
            this.#link.close();
        }
    }

    /** Of many that are done, the last ones stay in sight. */
    #shorten(): void {
        const done = this.list.filter((t) => t.state === 'done');
        if (done.length > KEPT) {
            const gone = new Set(done.slice(0, done.length - KEPT));
            this.past += gone.size;
            this.list = this.list.filter((t) => !gone.has(t));
        }
    }

    /** Runs it, again after a broken connection, until it is done, stopped or hopeless. */
    async #steadily(t: Transfer, run: (t: Transfer) => Promise<void>): Promise<void> {
        let tries = 0;
        let since = 0;
        let before = t.done;

        for (;;) {
            const stop = new AbortController();
            t.stop = stop;
            t.state = 'running';
            t.still();
            this.changed();
            try {
                await run(t);
                if (t.state === 'running') {
                    t.state = 'done';
                    t.progress(t.size ?? t.done);
                    this.#sinks.delete(t);
                }
                return;
            } catch (error) {
                t.still();
                if (stop.signal.aborted) {
                    return;
                }
                const text = error instanceof Error ? error.message : String(error);
                const gone = error instanceof FilesError && error.gone;
                if (t.done > before) {
                    tries = 0;
                    since = 0;
                }
                before = t.done;
                since ||= Date.now();
                if (!gone || Date.now() - since > GIVE_UP) {
                    t.state = 'failed';
                    t.says = text;
                    return;
                }
                t.state = 'waiting';
                t.says = text;
                t.resumed++;
                this.changed();
                await pause(backoff(tries++), stop.signal);
                if (stop.signal.aborted) {
                    return;
                }
                t.says = '';
            } finally {
                t.stop = null;
            }
        }
    }

    #moved(t: Transfer, done: number): void {
        t.progress(done);
        const now = Date.now();
        if (now - this.#drawn > 150) {
            this.#drawn = now;
            clearTimeout(this.#late);
            this.changed();
        }
    }

    /** Names in a folder there, which is made when it is not. */
    async #folder(wire: FilesWire, folder: string): Promise<Map<string, Entry>> {
        const known = this.#names.get(folder);
        if (known) {
            return known;
        }
        let { entries } = await wire.list(folder);
        if (!entries) {
            const cut = Math.max(folder.lastIndexOf('/'), folder.lastIndexOf('\\'));
            if (cut > 0) {
                await this.#folder(wire, folder.slice(0, cut));
            }
            if (!await wire.change('mkdir', { path: folder })) {
                throw new FilesError('The folder for it cannot be made there.');
            }
            entries = [];
        }
        const names = new Map(entries.map((e) => [e.name, e]));
        this.#names.set(folder, names);
        return names;
    }

    #sums = new WeakMap<Transfer, [number, Sha384][]>();

    async #send(t: Transfer): Promise<void> {
        const { source: file, stop } = t;
        if (!file) {
            return;
        }
        const wire = await this.#link.use();

        if (!this.#asked.has(t)) {
            const names = await this.#folder(wire, t.folder);
            const there = names.get(t.name);
            if (there) {
                if (this.#answer) {
                    this.#settle(t, this.#answer);
                    if ((t.state as TransferState) === 'skipped') {
                        return;
                    }
                    t.state = 'running';
                } else {
                    t.there = there;
                    t.state = 'asks';
                    return;
                }
            }
            this.#asked.add(t);
            names.set(t.name, { name: t.name, kind: 'file', size: file.size, time: Date.now(), free: 0 });
        }

        const begun = this.#sums.get(t);
        let from = 0;
        let sums: [number, Sha384][] = [[0, new Sha384()]];

        if (begun) {
            // what is there must be the front of this file, to the byte
            const { hash, size } = await wire.hash(t.folder, t.name);
            const sum = hash !== null && size !== null && size <= file.size ? await sumAt(begun, file, size) : null;

            if (sum && size !== null && sum.digest() === hash) {
                from = size;
                sums = [[size, sum]];
            }
        }
        this.#sums.set(t, sums);
        t.progress(from);

        let sum = (sums[0]?.[1] ?? new Sha384()).clone();
        const whole = file.size;
        const read = inOrder(file);
        await wire.upload({ path: t.folder, name: t.name, size: whole - from, append: from > 0 }, async (at, length) => {
            const bytes = await read(from + at, length);
            sum = sum.update(bytes);
            sums.push([from + at + length, sum.clone()]);
            return bytes;
        }, (acked) => {
            while ((sums[1]?.[0] ?? Infinity) <= from + acked) {
                sums.shift();
            }
            this.#moved(t, from + acked);
        }, stop?.signal);

        t.says = 'Checking what arrived';
        this.changed();
        const { hash } = await wire.hash(t.folder, t.name).finally(() => {
            t.says = '';
        });
        if (stop?.signal.aborted) {
            throw new FilesError('Stopped.');
        }
        // null: it cannot be read there; what went on from its front could be
        if (hash !== sum.digest() && (hash !== null || from > 0)) {
            this.#sums.delete(t);
            throw new FilesError('What arrived is not what was sent. Try again.');
        }
        this.#sums.delete(t);
    }

    #fetched = new WeakMap<Transfer, { at: number; sum: Sha384; size: number | null }>();

    async #fetch(t: Transfer): Promise<void> {
        const kept = this.#sinks.get(t);
        if (!kept) {
            return;
        }
        if (kept.members) {
            await this.#pack(t, kept.sink, kept.members);
            return;
        }
        const wire = await this.#link.use();
        const begun = this.#fetched.get(t);
        const so = begun ?? { at: 0, sum: new Sha384(), size: null };

        this.#fetched.set(t, so);
        await wire.download(t.path, so.at, {
            begin: (size) => {
                if (begun && so.size !== null && size !== so.size) {
                    throw new FilesError('The file there has changed meanwhile. Fetch it again.');
                }
                so.size = size;
                t.size = size ?? t.size;
            },
            block: async (bytes) => {
                await kept.sink.write(bytes);
                so.sum.update(bytes);
                so.at += bytes.length;
                this.#moved(t, so.at);
            },
        }, t.stop?.signal);

        if (begun || (so.size !== null && so.at < so.size)) {
            const { hash } = await wire.hash(t.folder, t.name);
            if (hash !== so.sum.digest()) {
                throw new FilesError('The file there has changed meanwhile. Fetch it again.');
            }
        }
        await kept.sink.close();
    }

    /** All that is in the chosen folders, in the order of a walk. */
    async #tree(t: Transfer, entries: readonly Entry[]): Promise<Member[]> {
        const members: Member[] = [];
        const walk = async (folder: string, list: readonly Entry[], under: string): Promise<void> => {
            for (const e of list) {
                if (t.stop?.signal.aborted) {
                    return;
                }
                const path = join(folder, e.name);
                const name = under + e.name;
                if (members.length >= 100_000) {
                    throw new FilesError('There are more than 100,000 files in it: choose fewer.');
                }
                if (e.kind === 'file') {
                    members.push({ path, name, folder: false, time: e.time });
                    t.size = (t.size ?? 0) + e.size;
                } else if (under.split('/').length < 64) {
                    members.push({ path, name: `${name}/`, folder: true, time: e.time });
                    const wire = await this.#link.use();
                    const below = (await wire.list(path)).entries;
                    await walk(path, below ?? [], `${name}/`);
                }
            }
        };

        t.says = 'Looking into the folders';
        t.size = 0;
        this.changed();
        await walk(t.folder, entries, '');
        t.says = '';
        return members;
    }

    #packs = new WeakMap<Transfer, { members: Member[]; zip: Zip; next: number; at: number; open: boolean; done: number; missing: number }>();

    async #pack(t: Transfer, sink: Sink, members: () => Promise<Member[]>): Promise<void> {
        let so = this.#packs.get(t);
        if (!so) {
            so = { members: await members(), zip: new Zip(), next: 0, at: 0, open: false, done: 0, missing: 0 };
            this.#packs.set(t, so);
        }
        const pack = so;
        const { zip } = pack;

        while (pack.next < pack.members.length) {
            const m = pack.members[pack.next] as Member;
            if (t.stop?.signal.aborted) {
                throw new FilesError('Stopped.');
            }
            if (m.folder) {
                await sink.write(zip.begin(m.name, m.time));
                await sink.write(zip.end());
                pack.next++;
                continue;
            }
            const wire = await this.#link.use();
            try {
                await wire.download(m.path, pack.at, {
                    begin: () => {},
                    block: async (bytes) => {
                        if (!pack.open) {
                            pack.open = true;
                            await sink.write(zip.begin(m.name, m.time));
                        }
                        await sink.write(zip.data(bytes));
                        pack.at += bytes.length;
                        pack.done += bytes.length;
                        this.#moved(t, pack.done);
                    },
                }, t.stop?.signal);
                if (!pack.open) {
                    await sink.write(zip.begin(m.name, m.time));
                }
            } catch (error) {
                if (t.stop?.signal.aborted || !(error instanceof FilesError) || error.gone || pack.open) {
                    throw error;
                }
                // one that may not be read is left out, and said
                pack.missing++;
                pack.next++;
                continue;
            }
            await sink.write(zip.end());
            pack.open = false;
            pack.at = 0;
            pack.next++;
        }
        for (const bytes of zip.finish()) {
            await sink.write(bytes);
        }
        await sink.close();
        t.size = pack.done;
        t.says = pack.missing ? `${pack.missing} of its files could not be read and are not in it.` : '';
        this.#packs.delete(t);
    }
}

/** The hash of the first `size` bytes, from the nearest that is kept. */
/** Blocks of a file one after the other; a megabyte is read at once. */
function inOrder(file: File): (at: number, length: number) => Promise<Uint8Array> {
    let begin = 0;
    let bytes = new Uint8Array();

    return async (at, length) => {
        if (at < begin || at + length > begin + bytes.length) {
            bytes = new Uint8Array(await file.slice(at, at + Math.max(length, GATHER)).arrayBuffer());
            begin = at;
        }
        return bytes.subarray(at - begin, at - begin + length);
    };
}

async function sumAt(kept: readonly [number, Sha384][], file: File, size: number): Promise<Sha384 | null> {
    const before = [...kept].reverse().find(([at]) => at <= size);
    const sum = before ? before[1].clone() : new Sha384();

    for (let at = before?.[0] ?? 0; at < size; at = sum.length) {
        sum.update(new Uint8Array(await file.slice(at, Math.min(size, at + GATHER)).arrayBuffer()));
    }
    return sum;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        signal.addEventListener('abort', () => {
            clearTimeout(timer);
            resolve();
        });
    });
}

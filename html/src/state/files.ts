// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Control } from '../wire/control.ts';
import { randomHex } from '../wire/bytes.ts';
import { FilesError, FilesWire, type Entry } from '../wire/files.ts';
import { closeWords, type ConsoleText } from '../wire/relay.ts';
import { consoleWords } from './sessions.ts';
import { above, join, tidy } from './paths.ts';
import { Store } from './store.ts';
import { Transfers } from './transfers.ts';
import { Way } from './way.ts';

/** No device answers after so long: say so. */
const PATIENCE = 20_000;
/** A person at the device is asked meanwhile. */
const CONSENT = 180_000;
/** Above this many names, sorting as people do would take seconds. */
const MANY = 20_000;
/** Deleted, copied or moved in one command: what is behind it can be stopped. */
const BATCH = 100;

export interface Place {
    control: Control;
    deviceId: string;
    nodeId: string;
    base: string;
    /** May its data go beside the server? */
    direct: () => boolean;
}

export type LinkState = 'idle' | 'asking' | 'waiting' | 'open' | 'failed';

/** A files tunnel that is opened when it is needed, and again when it was lost. */
export class FilesLink extends Store {
    state: LinkState = 'idle';
    /** Why it is not open, or what it waits for. */
    says = '';
    /** The last thing that the device said went wrong. */
    complaint = '';
    readonly way: Way;
    #place: Place;
    #wire: FilesWire | null = null;
    #opening: Promise<FilesWire> | null = null;
    #shut = false;

    constructor(place: Place) {
        super();
        this.#place = place;
        this.way = new Way(place.direct, () => this.changed());
    }

    /** @throws {FilesError} */
    use(): Promise<FilesWire> {
        if (this.#wire?.open) {
            return Promise.resolve(this.#wire);
        }
        this.#shut = false;
        this.#opening ??= this.#connect().finally(() => {
            this.#opening = null;
        });
        return this.#opening;
    }

    close(): void {
        this.#shut = true;
        this.#wire?.close();
        this.#wire = null;
        this.way.renew();
        this.#turn('idle', '');
    }

    #turn(state: LinkState, says: string): void {
        this.state = state;
        this.says = says;
        this.changed();
    }

    async #connect(): Promise<FilesWire> {
        const { control, nodeId, base } = this.#place;
        const id = randomHex(16);
        let wire: FilesWire | null = null;

        this.#turn('asking', '');
        try {
            const cookies = await control.ask('authcookie');
            const auth = encodeURIComponent(String(cookies['cookie'] ?? ''));
            const rauth = encodeURIComponent(String(cookies['rcookie'] ?? ''));
            const url = new URL(`meshrelay.ashx?browser=1&p=5&nodeid=${encodeURIComponent(nodeId)}&id=${id}&auth=${auth}`, base);
            url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';

            wire = new FilesWire({ url: url.href, socket: (to) => this.way.socket(to) });
            const ready = this.#ready(wire);
            ready.catch(() => {});
            await control.ask('msg', { type: 'tunnel', nodeid: nodeId, usage: 5, value: `*/meshrelay.ashx?p=5&nodeid=${nodeId}&id=${id}&rauth=${rauth}` });
            if (this.state === 'asking') {
                this.#turn('waiting', '');
            }
            await ready;
            if (this.#shut) {
                throw new FilesError('Disconnected.');
            }
            this.#wire = wire;
            this.#turn('open', '');
            return wire;
        } catch (error) {
            const text = error instanceof Error ? error.message : String(error);
            const says = text === 'Unable to route' ? 'The device cannot be reached now, or it may not be used for this.' : text;
            wire?.close();
            if (!this.#shut) {
                this.#turn('failed', says);
            }
            throw new FilesError(says, !(error instanceof FilesError) || error.gone);
        }
    }

    /** Opened by the relay, and let in by the device: it has answered something. */
    #ready(wire: FilesWire): Promise<void> {
        return new Promise<void>((resolve, reject) => {
            let said = '';
            const late = (): void => reject(new FilesError('The device did not answer in 20 seconds.', true));
            let timer = setTimeout(late, PATIENCE);

            wire.addEventListener('open', () => {
                wire.list('').then(() => resolve(), reject);
            });
            wire.addEventListener('console', (e) => {
                const text = (e as CustomEvent<ConsoleText>).detail;
                const words = consoleWords(text);

                if (this.state === 'asking' || this.state === 'waiting') {
                    clearTimeout(timer);
                    if (text.msgid === 1) {
                        timer = setTimeout(late, CONSENT);
                        this.says = words;
                        this.changed();
                    } else {
                        timer = setTimeout(late, PATIENCE);
                        said = words;
                        this.says = words;
                        this.changed();
                        if (text.msgid === 2 || /no right/.test(words)) {
                            reject(new FilesError(words));
                        }
                    }
                } else if (words) {
                    this.complaint = words;
                    this.changed();
                }
            });
            wire.addEventListener('close', (e) => {
                const ended = closeWords((e as CustomEvent<number>).detail);
                clearTimeout(timer);
                said ||= ended;
                reject(new FilesError(said || 'The server closed the connection before the device was there.', !said));
                if (this.#wire === wire) {
                    this.#wire = null;
                    if (!this.#shut) {
                        this.#turn('failed', ended || 'The connection to the device was lost.');
                    }
                }
            });
            wire.addEventListener('archive', (e) => this.dispatchEvent(new CustomEvent('archive', { detail: (e as CustomEvent<unknown>).detail })));
            wire.addEventListener('refresh', () => this.dispatchEvent(new Event('refresh')));
        });
    }
}

export type SortBy = 'name' | 'size' | 'time';

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });
const RANK = { drive: 0, folder: 1, file: 2 };

/** Folders first, then as asked; equal ones by name. */
export function sorted(entries: readonly Entry[], by: SortBy, down: boolean): Entry[] {
    const sign = down ? -1 : 1;
    const keys = entries.length > MANY ? new Map(entries.map((e) => [e, e.name.toLowerCase()])) : null;
    const names = keys
        ? (a: Entry, b: Entry): number => {
            const [x, y] = [keys.get(a) ?? '', keys.get(b) ?? ''];
            return x < y ? -1 : x > y ? 1 : 0;
        }
        : (a: Entry, b: Entry): number => collator.compare(a.name, b.name) || (a.name < b.name ? -1 : 1);

    return [...entries].sort((a, b) => RANK[a.kind] - RANK[b.kind]
        || sign * (by === 'size' ? a.size - b.size : by === 'time' ? a.time - b.time : names(a, b)) || names(a, b));
}

/** Work on many things that shows how far it is. */
export interface Work {
    title: string;
    done: number;
    of: number;
    stop: (() => void) | null;
}

/** The files of one device.  It lives until the page does, wherever the person looks. */
export class FilesSession extends Store {
    readonly deviceId: string;
    readonly link: FilesLink;
    readonly transfers: Transfers;
    path = '';
    /** null: not listed yet, or it cannot be. */
    entries: Entry[] | null = null;
    error = '';
    loading = false;
    by: SortBy = 'name';
    down = false;
    hidden = false;
    words = '';
    work: Work | null = null;
    /** What a search found, below the folder; null: no search. */
    found: { filter: string; paths: string[]; running: boolean } | null = null;
    #stopFind: (() => void) | null = null;
    #shown: Entry[] | null = null;
    #turn = 0;

    constructor(place: Place) {
        super();
        this.deviceId = place.deviceId;
        this.link = new FilesLink(place);
        this.transfers = new Transfers(new FilesLink(place), () => void this.refresh());
        this.link.addEventListener('change', () => this.changed());
        this.link.addEventListener('refresh', () => void this.refresh());
        this.link.addEventListener('archive', (e) => this.#archive((e as CustomEvent<Record<string, unknown>>).detail));
    }

    get shown(): Entry[] {
        if (!this.#shown) {
            const words = this.words.toLowerCase();
            const list = (this.entries ?? []).filter((e) => (this.hidden || !e.name.startsWith('.')) && (!words || e.name.toLowerCase().includes(words)));
            this.#shown = sorted(list, this.by, this.down);
        }
        return this.#shown;
    }

    get hiddenCount(): number {
        return this.hidden ? 0 : (this.entries ?? []).reduce((n, e) => n + (e.name.startsWith('.') ? 1 : 0), 0);
    }

    /** Draws the list anew: sorting, or what is shown, is another. */
    arrange(change: Partial<Pick<FilesSession, 'by' | 'down' | 'hidden' | 'words'>>): void {
        Object.assign(this, change);
        this.#shown = null;
        this.changed();
    }

    /** Goes to a folder. */
    async open(path: string): Promise<void> {
        const to = tidy(path);

        this.closeSearch();
        this.words = '';
        await this.#list(to);
    }

    async refresh(): Promise<void> {
        if (this.entries || this.error) {
            await this.#list(this.path);
        }
    }

    async up(): Promise<void> {
        const path = above(this.path);
        if (path !== null) {
            await this.open(path);
        }
    }

    async #list(to: string): Promise<void> {
        const turn = ++this.#turn;

        this.loading = true;
        if (!this.entries) {
            this.error = '';
        }
        this.changed();
        try {
            const wire = await this.link.use();
            const { path, entries } = await wire.list(to);
            if (turn !== this.#turn) {
                return;
            }
            this.path = tidy(path);
            this.entries = entries;
            this.error = entries ? '' : 'This folder cannot be read: it is not there, or the agent may not read it.';
        } catch (error) {
            if (turn !== this.#turn) {
                return;
            }
            this.path = to;
            this.entries = null;
            this.error = error instanceof Error ? error.message : String(error);
        }
        this.loading = false;
        this.#shown = null;
        this.changed();
    }

    /** @throws {FilesError} with what the device said */
    async #change(action: 'mkdir' | 'rm' | 'rename' | 'copy' | 'move', members: Record<string, unknown>): Promise<void> {
        const wire = await this.link.use();

        this.link.complaint = '';
        if (!await wire.change(action, members)) {
            throw new FilesError(this.link.complaint || 'The device did not do it.');
        }
    }

    async mkdir(name: string): Promise<void> {
        if (this.entries?.some((e) => e.name === name)) {
            throw new FilesError('There is something of this name already.');
        }
        await this.#change('mkdir', { path: join(this.path, name) });
        await this.refresh();
    }

    async rename(name: string, to: string): Promise<void> {
        if (name !== to && this.entries?.some((e) => e.name === to)) {
            throw new FilesError('There is something of this name already.');
        }
        await this.#change('rename', { path: this.path, oldname: name, newname: to });
        await this.refresh();
    }

    /** Many names, some at a time, with progress that can be stopped. */
    async #batches(title: string, names: readonly string[], each: (names: string[]) => Promise<void>): Promise<void> {
        const work: Work = { title, done: 0, of: names.length, stop: null };
        let failed = '';
        let stopped = false;

        work.stop = () => {
            stopped = true;
            work.stop = null;
            this.changed();
        };
        this.work = work;
        this.changed();
        try {
            for (let at = 0; at < names.length && !stopped; at += BATCH) {
                const some = names.slice(at, at + BATCH);
                try {
                    await each(some);
                } catch (error) {
                    if (!(error instanceof FilesError) || error.gone) {
                        throw error;
                    }
                    failed ||= error.message;
                }
                work.done += some.length;
                this.changed();
            }
        } finally {
            this.work = null;
            await this.refresh();
        }
        if (failed) {
            throw new FilesError(failed);
        }
    }

    async remove(names: readonly string[]): Promise<void> {
        await this.#batches('Deleting', names, (some) => this.#change('rm', { path: this.path, delfiles: some, rec: true }));
    }

    /** Puts things from another folder of this device here. */
    async paste(from: string, names: readonly string[], move: boolean): Promise<void> {
        const to = this.path;
        const taken = new Set((this.entries ?? []).map((e) => e.name));
        const clash = from === to ? undefined : names.find((name) => taken.has(name));

        if (from === to) {
            throw new FilesError('They are in this folder already.');
        }
        if (clash !== undefined) {
            throw new FilesError(`“${clash}” is in this folder already.`);
        }
        await this.#batches(move ? 'Moving' : 'Copying', names, (some) => this.#change(move ? 'move' : 'copy', {
            scpath: from, dspath: to, names: some, rec: true,
        }));
    }

    /** Makes an archive of things in this folder, on the device. */
    async zip(names: readonly string[], output: string): Promise<void> {
        const wire = await this.link.use();
        this.link.complaint = '';
        wire.command('zip', { path: this.path, files: names, output });
    }

    async unzip(name: string): Promise<void> {
        const wire = await this.link.use();
        this.link.complaint = '';
        wire.command('unzip', { input: join(this.path, name), dest: this.path });
    }

    #archive(reply: Record<string, unknown>): void {
        const { msg, error, progress } = reply;

        if (msg === 'zipping' || msg === 'unzipping' || msg === 'zippingFile') {
            this.work = {
                title: msg === 'unzipping' ? 'Unpacking' : 'Packing', done: typeof progress === 'number' ? progress : 0, of: typeof progress === 'number' ? 100 : 0,
                stop: msg === 'unzipping' ? null : () => void this.link.use().then((wire) => wire.command('cancel')),
            };
        } else {
            this.work = null;
            if (msg === 'unziperror') {
                this.link.complaint = `It could not be unpacked: ${typeof error === 'string' ? error.slice(0, 512) : ''}`;
            }
        }
        this.changed();
    }

    async search(filter: string): Promise<void> {
        this.closeSearch();
        const found = { filter, paths: [] as string[], running: true };
        const from = this.path === '' ? '/' : this.path;

        this.found = found;
        this.changed();
        try {
            const wire = await this.link.use();
            let drawn = 0;
            const { done, stop } = wire.find(from, /[*?]/.test(filter) ? filter : `*${filter}*`, (path) => {
                found.paths.push(path.replace(/^[/\\]+/, ''));
                if (Date.now() - drawn > 200) {
                    drawn = Date.now();
                    this.changed();
                }
            });
            this.#stopFind = stop;
            await done;
        } catch (error) {
            this.link.complaint = error instanceof Error ? error.message : String(error);
        }
        found.running = false;
        this.changed();
    }

    closeSearch(): void {
        this.#stopFind?.();
        this.#stopFind = null;
        if (this.found) {
            this.found = null;
            this.changed();
        }
    }

    disconnect(): void {
        this.link.close();
        this.entries = null;
        this.error = 'Disconnected.';
        this.#shown = null;
        this.changed();
    }

    /**
     * A whole file of a bounded size, for reading in the page.
     * @throws {FilesError}
     */
    async read(name: string, limit: number): Promise<Uint8Array> {
        const wire = await this.link.use();
        const parts: Uint8Array[] = [];
        let size = 0;

        await wire.download(join(this.path, name), 0, {
            block: (bytes) => {
                size += bytes.length;
                if (size > limit) {
                    throw new FilesError('The file has become too large to be edited here.');
                }
                parts.push(bytes);
            },
        });
        const whole = new Uint8Array(size);
        let at = 0;
        for (const part of parts) {
            whole.set(part, at);
            at += part.length;
        }
        return whole;
    }

    /**
     * Writes it back in place, so that owner and mode stay, and asks whether it is whole.
     * @throws {FilesError}
     */
    async write(folder: string, name: string, bytes: Uint8Array): Promise<void> {
        const wire = await this.link.use();
        await wire.upload({ path: folder, name, size: bytes.length, append: false }, (at, length) => Promise.resolve(bytes.subarray(at, at + length)), () => {});
        const { size } = await wire.hash(folder, name);
        if (size !== null && size !== bytes.length) {
            throw new FilesError('It was not written as a whole: the disk may be full.');
        }
        if (folder === this.path) {
            await this.refresh();
        }
    }

    forget(): void {
        this.link.complaint = '';
        this.changed();
    }
}

const sessions = new Map<string, FilesSession>();

/** The one of a device; made when it is asked for first. */
export function filesOf(place: Place): FilesSession {
    let session = sessions.get(place.deviceId);
    if (!session) {
        session = new FilesSession(place);
        sessions.set(place.deviceId, session);
    }
    return session;
}

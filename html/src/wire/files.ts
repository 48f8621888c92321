// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { CHANNEL, closeWords, type ConsoleText } from './relay.ts';

export type EntryKind = 'drive' | 'folder' | 'file';

export interface Entry {
    name: string;
    kind: EntryKind;
    size: number;
    /** In ms, 0 when the device does not say. */
    time: number;
    /** Bytes; drives only. */
    free: number;
}

export interface Listing {
    path: string;
    /** null: it cannot be read, or is not there. */
    entries: Entry[] | null;
}

export interface RemoteHash {
    /** Upper-case hex; null: there is no such file. */
    hash: string | null;
    /** null: an agent that does not say. */
    size: number | null;
}

/** The device, or the way to it, said no or went away. */
export class FilesError extends Error {
    /** true: the connection, so that it may be tried again. */
    readonly gone: boolean;

    constructor(text: string, gone = false) {
        super(text);
        this.name = 'FilesError';
        this.gone = gone;
    }
}

export interface FilesOptions {
    url: string;
    socket?: (url: string) => WebSocket;
}

/**
 * Bytes of one message of an upload, and of those under way in either direction.  The
 * stock agent ends itself (ILibParsers.c:2883) by messages of more than 65,536 bytes
 * in a row; one more byte shields a block.
 */
export const BLOCK = 65_535;
export const WINDOW = 24;
export const CREDIT = 48;

const HEAD = 4;
const MAX_BLOCK = 1 << 20;
const MAX_FOUND = 20_000;
const COMMAND_TIME = 120_000;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

type Reply = Record<string, unknown>;

interface Waiting {
    take: (reply: Reply) => boolean;
    fail: (error: FilesError) => void;
}

const count = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0);

// eslint-disable-next-line no-control-regex
const escaped = (text: string): string => text.replace(/[\u0000-\u001f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** JSON of an agent, who may put raw control characters into a string. */
export function parseLoose(text: string): Reply | null {
    for (const form of [text, escaped]) {
        try {
            const value: unknown = JSON.parse(typeof form === 'string' ? form : form(text));
            return value && typeof value === 'object' && !Array.isArray(value) ? value as Reply : null;
        } catch {
            /* the other form */
        }
    }
    return null;
}

/** A name of a listing is a part of a path and nothing else. */
export function safeName(name: string): boolean {
    return name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('\0');
}

/** Entries of a reply to `ls`; what makes no sense is left out. */
export function readListing(reply: Reply): Listing {
    const path = typeof reply['path'] === 'string' ? reply['path'] : '';
    const dir = reply['dir'];

    if (!Array.isArray(dir)) {
        return { path, entries: null };
    }
    const entries: Entry[] = [];
    for (const one of dir as unknown[]) {
        if (!one || typeof one !== 'object') {
            continue;
        }
        const { n, t, s, d, f } = one as Reply;
        if (typeof n !== 'string' || !safeName(n) || (t !== 1 && t !== 2 && t !== 3)) {
            continue;
        }
        const time = typeof d === 'string' ? Date.parse(d) : NaN;
        entries.push({
            name: n, kind: t === 1 ? 'drive' : t === 2 ? 'folder' : 'file', size: count(s),
            time: Number.isFinite(time) && time > 0 ? time : 0, free: count(f),
        });
    }
    return { path, entries };
}

/** One download: blocks come to `block`, which is waited for before more are asked for. */
export interface DownloadSink {
    /** What the device says of the file; size null: it does not say. */
    begin?: (size: number | null) => void;
    block: (bytes: Uint8Array) => Promise<void> | void;
}

/**
 * The viewer's end of a files tunnel: commands, one upload and one download at a
 * time.
 *
 * Events: `open`, `console` (detail ConsoleText), `refresh`, `archive` (detail Reply:
 * a `dialogmessage`), `close` (detail the close code).
 */
export class FilesWire extends EventTarget {
    received = 0;
    sent = 0;
    #socket: WebSocket;
    #open = false;
    #serial = 0;
    #waiting = new Map<string, Waiting>();
    #upload: { reqid: string; ack: () => void; take: (reply: Reply) => void; fail: (error: FilesError) => void } | null = null;
    #download: { id: string; block: (last: boolean, bytes: Uint8Array) => void; take: (reply: Reply) => void; fail: (error: FilesError) => void } | null = null;

    constructor(options: FilesOptions) {
        super();
        this.#socket = (options.socket ?? ((url) => new WebSocket(url)))(options.url);
        this.#socket.binaryType = 'arraybuffer';
        this.#socket.onmessage = (event: MessageEvent<unknown>) => {
            if (typeof event.data === 'string') {
                this.received += event.data.length;
                this.#text(event.data);
            } else if (event.data instanceof ArrayBuffer) {
                this.received += event.data.byteLength;
                this.#binary(new Uint8Array(event.data));
            }
        };
        this.#socket.onclose = (event) => this.#closed(event.code);
        this.#socket.onerror = () => {};
    }

    get open(): boolean {
        return this.#open;
    }

    close(): void {
        if (this.#open) {
            this.#control('close', {});
        }
        this.#socket.close();
        this.#closed();
    }

    /** Sends one command that has no answer; false: there is no connection. */
    command(action: string, members: Reply = {}): boolean {
        if (!this.#open) {
            return false;
        }
        this.#send(encoder.encode(JSON.stringify({ action, ...members })));
        return true;
    }

    /** @throws {FilesError} */
    async list(path: string): Promise<Listing> {
        return readListing(await this.#ask('ls', { path }, (reply) => reply['action'] === undefined && 'dir' in reply));
    }

    /**
     * One change, answered when it is done.
     * @throws {FilesError}
     */
    async change(action: 'mkdir' | 'rm' | 'rename' | 'copy' | 'move', members: Reply): Promise<boolean> {
        const reply = await this.#ask(action, { ...members, answer: true }, (r) => r['action'] === 'done', 0);
        return reply['ok'] === true;
    }

    /** @throws {FilesError} */
    async hash(path: string, name: string): Promise<RemoteHash> {
        const reply = await this.#ask('uploadhash', { path, name }, (r) => r['action'] === 'uploadhash', 0);
        return {
            hash: typeof reply['hash'] === 'string' ? reply['hash'] : null,
            size: typeof reply['size'] === 'number' ? reply['size'] : null,
        };
    }

    /**
     * Searches below a folder; `found` gets each path below it.  The end of it is
     * called to give up.
     */
    find(path: string, filter: string, found: (path: string) => void): { done: Promise<void>; stop: () => void } {
        const reqid = `f${++this.#serial}`;
        let n = 0;
        let over: () => void = () => {};

        const done = new Promise<void>((resolve, reject) => {
            over = resolve;
            this.#waiting.set(reqid, {
                take: (reply) => {
                    if (reply['action'] !== 'findfile') {
                        return false;
                    }
                    const at = reply['r'];
                    if (typeof at === 'string' && n < MAX_FOUND) {
                        n++;
                        found(at);
                        return false;
                    }
                    resolve();
                    return true;
                },
                fail: reject,
            });
            if (!this.command('findfile', { path, filter, reqid })) {
                this.#waiting.delete(reqid);
                reject(new FilesError('The device is not connected.', true));
            }
        });
        return {
            done,
            stop: () => {
                if (this.#waiting.delete(reqid)) {
                    this.command('cancelfindfile', { reqid });
                    over();
                }
            },
        };
    }

    /**
     * Sends `size` bytes behind what is there (`append`), or as a new file.  `read`
     * is asked for each block; `acked` hears how many bytes the device has written.
     * Resolves when the file is closed there.
     * @throws {FilesError}
     */
    upload(target: { path: string; name: string; size: number; append: boolean }, read: (at: number, length: number) => Promise<Uint8Array>,
        acked: (bytes: number) => void, signal?: AbortSignal): Promise<void> {
        const reqid = `u${++this.#serial}`;
        const { size } = target;

        if (this.#upload) {
            return Promise.reject(new FilesError('Another upload is under way.'));
        }
        return new Promise((resolve, reject) => {
            const flying: number[] = [];
            let at = 0;
            let done = 0;
            let pumping = false;
            let over = false;

            const finish = (error?: FilesError): void => {
                if (!over) {
                    over = true;
                    this.#upload = null;
                    signal?.removeEventListener('abort', stop);
                    if (error) {
                        reject(error);
                    } else {
                        resolve();
                    }
                }
            };
            // what is written stays, for going on later
            const stop = (): void => {
                this.command('uploaddone', { reqid });
                finish(new FilesError('Stopped.'));
            };
            const pump = async (): Promise<void> => {
                if (pumping) {
                    return;
                }
                pumping = true;
                try {
                    while (!over && at < size && flying.length < WINDOW) {
                        const want = Math.min(BLOCK, size - at);
                        const bytes = await read(at, want);
                        if (over) {
                            break;
                        }
                        if (bytes.length !== want) {
                            throw new FilesError('The file has changed while it was read.');
                        }
                        flying.push(want);
                        at += want;
                        this.#data(bytes);
                    }
                    if (!over && at >= size && flying.length === 0) {
                        this.command('uploaddone', { reqid });
                    }
                } catch (error) {
                    this.command('uploaddone', { reqid });
                    finish(error instanceof FilesError ? error : new FilesError(`The file cannot be read: ${error instanceof Error ? error.message : String(error)}`));
                } finally {
                    pumping = false;
                }
            };

            this.#upload = {
                reqid,
                ack: () => {
                    const bytes = flying.shift();
                    if (bytes !== undefined) {
                        done += bytes;
                        acked(done);
                        void pump();
                    }
                },
                take: (reply) => {
                    switch (reply['action']) {
                    case 'uploadstart': void pump(); break;
                    case 'uploaddone':
                        if (at >= size && flying.length === 0) {
                            finish();
                        }
                        break;
                    case 'uploadcancel': finish(new FilesError('Stopped.')); break;
                    default: finish(new FilesError('The file cannot be written there: the disk may be full, or it is not allowed.'));
                    }
                },
                fail: finish,
            };
            signal?.addEventListener('abort', stop);
            if (signal?.aborted) {
                stop();
            } else if (!this.command('upload', { reqid, ...target })) {
                finish(new FilesError('The device is not connected.', true));
            }
        });
    }

    /**
     * Fetches a file from `offset` on.  Resolves at its end.
     * @throws {FilesError}
     */
    download(path: string, offset: number, sink: DownloadSink, signal?: AbortSignal): Promise<void> {
        const id = `d${++this.#serial}`;

        if (this.#download) {
            return Promise.reject(new FilesError('Another download is under way.'));
        }
        return new Promise((resolve, reject) => {
            let skip = offset;
            let waiting = 0;
            let queue: Promise<void> = Promise.resolve();
            let started = false;
            let over = false;

            const finish = (error?: FilesError): void => {
                if (!over) {
                    over = true;
                    if (this.#download?.id === id) {
                        this.#download = null;
                    }
                    signal?.removeEventListener('abort', stop);
                    if (error) {
                        reject(error);
                    } else {
                        resolve();
                    }
                }
            };
            const stop = (): void => {
                this.#downloadSay(id, 'stop');
                finish(new FilesError('Stopped.'));
            };

            this.#download = {
                id,
                take: (reply) => {
                    if (reply['sub'] === 'start') {
                        const size = typeof reply['size'] === 'number' ? reply['size'] : null;
                        // an agent that cannot begin in the middle sends all of it
                        if (reply['offset'] === offset) {
                            skip = 0;
                        }
                        started = true;
                        sink.begin?.(size);
                        this.#downloadSay(id, 'startack', { ack: CREDIT });
                    } else if (reply['sub'] === 'cancel') {
                        finish(new FilesError('The file cannot be read there.'));
                    }
                },
                block: (last, bytes) => {
                    // of the one before, which was stopped
                    if (!started || over) {
                        return;
                    }
                    // asked for are CREDIT of them; as many may be left of the one before
                    if (++waiting > 2 * CREDIT) {
                        finish(new FilesError('The device sent more than it was asked for.'));
                        this.close();
                        return;
                    }
                    queue = queue.then(async () => {
                        if (over) {
                            return;
                        }
                        const cut = Math.min(skip, bytes.length);
                        skip -= cut;
                        if (bytes.length > cut) {
                            await sink.block(bytes.subarray(cut));
                        }
                        waiting--;
                        if (last) {
                            finish(skip ? new FilesError('The file is shorter there than what has come already.') : undefined);
                        } else {
                            this.#downloadSay(id, 'ack');
                        }
                    }).catch((error: unknown) => {
                        this.#downloadSay(id, 'stop');
                        finish(new FilesError(error instanceof Error ? error.message : String(error)));
                    });
                },
                // what has come before the end is still written
                fail: (error) => void queue.then(() => finish(error)),
            };
            signal?.addEventListener('abort', stop);
            if (signal?.aborted) {
                stop();
            } else if (!this.command('download', { sub: 'start', id, path, offset })) {
                finish(new FilesError('The device is not connected.', true));
            }
        });
    }

    #downloadSay(id: string, sub: string, members: Reply = {}): void {
        this.command('download', { sub, id, ...members });
    }

    #ask(action: string, members: Reply, mine: (reply: Reply) => boolean, time = COMMAND_TIME): Promise<Reply> {
        const reqid = `q${++this.#serial}`;

        return new Promise((resolve, reject) => {
            let timer: ReturnType<typeof setTimeout> | undefined;
            const end = (): void => {
                clearTimeout(timer);
                this.#waiting.delete(reqid);
            };
            if (!this.command(action, { ...members, reqid })) {
                reject(new FilesError('The device is not connected.', true));
                return;
            }
            if (time) {
                timer = setTimeout(() => {
                    end();
                    reject(new FilesError('The device did not answer in time.'));
                }, time);
            }
            this.#waiting.set(reqid, {
                take: (reply) => {
                    if (!mine(reply)) {
                        return false;
                    }
                    end();
                    resolve(reply);
                    return true;
                },
                fail: (error) => {
                    end();
                    reject(error);
                },
            });
        });
    }

    /** A block of an upload: one that looks like a command gets a zero in front. */
    #data(bytes: Uint8Array): void {
        if (bytes[0] === 0 || bytes[0] === 0x7b) {
            const longer = new Uint8Array(bytes.length + 1);
            longer.set(bytes, 1);
            this.#send(longer);
        } else {
            this.#send(bytes);
        }
    }

    #send(bytes: Uint8Array): void {
        if (this.#socket.readyState === 1) {
            this.#socket.send(bytes as Uint8Array<ArrayBuffer>);
            this.sent += bytes.length;
        }
    }

    #control(type: string, members: Reply): void {
        if (this.#socket.readyState === 1) {
            this.#socket.send(JSON.stringify({ ctrlChannel: CHANNEL, type, ...members }));
        }
    }

    #text(text: string): void {
        if (!this.#open) {
            if (text === 'c' || text === 'cr') {
                this.#open = true;
                this.#socket.send('5');
                this.dispatchEvent(new Event('open'));
            }
            return;
        }
        const reply = parseLoose(text);
        if (reply) {
            this.#reply(reply);
        }
    }

    #binary(bytes: Uint8Array): void {
        if (!this.#open || bytes.length === 0) {
            return;
        }
        if (bytes[0] === 0x7b) {
            const reply = parseLoose(decoder.decode(bytes));
            if (reply) {
                this.#reply(reply);
            }
        } else if (bytes.length >= HEAD && bytes.length <= MAX_BLOCK && bytes[0] === 1) {
            this.#download?.block(((bytes[3] ?? 0) & 1) !== 0, bytes.subarray(HEAD));
        }
    }

    #reply(reply: Reply): void {
        if (String(reply['ctrlChannel']) === CHANNEL) {
            this.#controlled(reply);
            return;
        }
        const action = reply['action'];
        const reqid = reply['reqid'];

        switch (action) {
        case 'download':
            if (this.#download && reply['id'] === this.#download.id) {
                this.#download.take(reply);
            }
            return;
        case 'uploadack':
            if (this.#upload && reqid === this.#upload.reqid) {
                this.#upload.ack();
            }
            return;
        case 'uploaderror':
            if (this.#upload && (reqid === this.#upload.reqid || reqid === undefined)) {
                this.#upload.take(reply);
            }
            return;
        case 'uploadstart':
        case 'uploaddone':
        case 'uploadcancel':
            if (this.#upload && reqid === this.#upload.reqid) {
                this.#upload.take(reply);
            }
            return;
        case 'dialogmessage':
            this.dispatchEvent(new CustomEvent('archive', { detail: reply }));
            return;
        case 'refresh':
            this.dispatchEvent(new Event('refresh'));
            return;
        }
        if (typeof reqid === 'string' && this.#waiting.get(reqid)?.take(reply)) {
            this.#waiting.delete(reqid);
        }
    }

    #controlled(reply: Reply): void {
        if (reply['type'] === 'ping') {
            this.#control('pong', {});
        } else if (reply['type'] === 'console') {
            this.dispatchEvent(new CustomEvent<ConsoleText>('console', {
                detail: {
                    msg: typeof reply['msg'] === 'string' ? reply['msg'] : null,
                    msgid: typeof reply['msgid'] === 'number' ? reply['msgid'] : 0,
                    args: Array.isArray(reply['msgargs']) ? reply['msgargs'].map(String) : [],
                },
            }));
        }
    }

    #closed(code = 1000): void {
        if (this.#socket.onclose === null) {
            return;
        }
        // what the server has ended is not begun again by itself
        const error = new FilesError(closeWords(code) || 'The connection to the device was lost.', !closeWords(code));

        this.#socket.onclose = this.#socket.onmessage = null;
        this.#open = false;
        for (const waiting of [...this.#waiting.values()]) {
            waiting.fail(error);
        }
        this.#waiting.clear();
        this.#upload?.fail(error);
        this.#download?.fail(error);
        this.dispatchEvent(new CustomEvent('close', { detail: code }));
    }
}

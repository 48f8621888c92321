// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { BLOCK, type Said } from '../wire/messenger.ts';
import { Sha384 } from '../wire/sha384.ts';
import { num, str } from './read.ts';
import type { Sink } from './transfers.ts';

export type ParcelState = 'offered' | 'running' | 'done' | 'refused' | 'cancelled' | 'failed';

/** Bytes that the other side has not written yet. */
const WINDOW = 16 * BLOCK;
/** Open at a time, of each side. */
export const PARCELS = 20;
const NAME = 255;

/** A file that is offered in a conversation, by one side or the other. */
export class Parcel {
    state: ParcelState = 'offered';
    done = 0;
    says = '';
    readonly mine: boolean;
    readonly id: number;
    readonly name: string;
    readonly size: number;
    readonly at = Date.now();

    constructor(mine: boolean, id: number, name: string, size: number) {
        this.mine = mine;
        this.id = id;
        this.name = name;
        this.size = size;
    }

    get open(): boolean {
        return this.state === 'offered' || this.state === 'running';
    }
}

/** The name alone, of characters that can be seen. */
export function parcelName(name: string): string {
    const last = name.slice(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1);
    // eslint-disable-next-line no-control-regex
    const clean = last.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '').slice(0, NAME);
    return clean === '' || clean === '.' || clean === '..' ? 'file' : clean;
}

interface Outgoing {
    parcel: Parcel;
    file: Blob;
    acked: number;
    go: (() => void) | null;
}

interface Incoming {
    parcel: Parcel;
    sink: Sink;
    hash: Sha384;
    /** Bytes that came, and writes in their order. */
    came: number;
    queue: Promise<void>;
}

/** How files go through a conversation; it knows neither socket nor page. */
export class Parcels {
    #out = new Map<number, Outgoing>();
    #offers = new Map<number, Parcel>();
    #in = new Map<number, Incoming>();
    #serial = 0;
    #say: (action: string, members: Record<string, unknown>) => boolean;
    #send: (id: number, data: Uint8Array) => boolean;
    #changed: (parcel: Parcel) => void;

    /** changed: something is new with a parcel, or it is new itself */
    constructor(say: (action: string, members: Record<string, unknown>) => boolean, send: (id: number, data: Uint8Array) => boolean, changed: (parcel: Parcel) => void) {
        this.#say = say;
        this.#send = send;
        this.#changed = changed;
    }

    /** Offers a file; null: too many are open. */
    offer(file: Blob, name: string): Parcel | null {
        if (this.#out.size >= PARCELS) {
            return null;
        }
        const parcel = new Parcel(true, ++this.#serial, parcelName(name), file.size);
        this.#out.set(parcel.id, { parcel, file, acked: 0, go: null });
        this.#say('file', { id: parcel.id, name: parcel.name, size: parcel.size, type: file.type.slice(0, 127) });
        this.#changed(parcel);
        return parcel;
    }

    /** Takes one that is offered, into a place for it. */
    accept(parcel: Parcel, sink: Sink): void {
        if (parcel.state !== 'offered' || !this.#offers.delete(parcel.id)) {
            void sink.abort();
            return;
        }
        parcel.state = 'running';
        this.#in.set(parcel.id, { parcel, sink, hash: new Sha384(), came: 0, queue: Promise.resolve() });
        this.#say('fileAccept', { id: parcel.id });
        this.#changed(parcel);
    }

    /** Refuses, or stops what runs, of either side. */
    cancel(parcel: Parcel): void {
        if (parcel.open) {
            this.#say('fileUploadCancel', { id: parcel.id, mine: parcel.mine });
            this.#end(parcel, parcel.state === 'offered' && !parcel.mine ? 'refused' : 'cancelled', '');
        }
    }

    /** The other side is gone. */
    drop(): void {
        for (const parcel of [...[...this.#out.values(), ...this.#in.values()].map((x) => x.parcel), ...this.#offers.values()]) {
            this.#end(parcel, 'failed', 'The other side went away.');
        }
    }

    /** A message of the other side; false: not about a file. */
    said(said: Said): boolean {
        const id = num(said['id']);
        const out = this.#out.get(id);

        switch (said.action) {
        case 'file': this.#offered(id, said); return true;
        case 'fileAccept':
            if (out?.parcel.state === 'offered') {
                out.parcel.state = 'running';
                this.#changed(out.parcel);
                void this.#run(out);
            }
            return true;
        case 'fileUploadAck':
            if (out?.parcel.state === 'running') {
                out.acked = Math.min(out.parcel.size, Math.max(out.acked, num(said['at'])));
                out.parcel.done = out.acked;
                out.go?.();
                this.#changed(out.parcel);
            }
            return true;
        case 'fileUploadEnd': this.#whole(id, str(said['hash'])); return true;
        case 'fileDone':
            if (out?.parcel.state === 'running' && out.acked === out.parcel.size) {
                this.#end(out.parcel, 'done', '');
            }
            return true;
        case 'fileUploadCancel': {
            const parcel = said['mine'] === true ? this.#in.get(id)?.parcel ?? this.#offers.get(id) : out?.parcel;
            if (parcel) {
                this.#end(parcel, parcel.state === 'offered' && parcel.mine ? 'refused' : 'cancelled', said['why'] === 'failed'
                    ? 'The other side could not keep it.' : '');
            }
            return true;
        }
        default: return false;
        }
    }

    /** A piece of a file that was accepted. */
    block(id: number, data: Uint8Array): void {
        const into = this.#in.get(id);
        if (!into) {
            return;     // cancelled while it was on its way
        }
        into.came += data.length;
        // none is empty, and small ones would be many
        if (data.length === 0 || into.came > into.parcel.size || into.came - into.parcel.done > 2 * WINDOW) {
            this.#give(into.parcel, 'More came than was said.');
            return;
        }
        into.hash.update(data);
        into.queue = into.queue.then(async () => {
            if (into.parcel.state === 'running') {
                await into.sink.write(data);
                into.parcel.done += data.length;
                this.#say('fileUploadAck', { id, at: into.parcel.done });
                this.#changed(into.parcel);
            }
        }).catch((error: unknown) => this.#give(into.parcel, error instanceof Error ? error.message : String(error)));
    }

    #offered(id: number, said: Said): void {
        const size = said['size'];
        if (id <= 0 || !Number.isSafeInteger(id) || id > 0xffffffff || typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0
            || this.#offers.has(id) || this.#in.has(id)) {
            return;
        }
        if (this.#offers.size + this.#in.size >= PARCELS) {
            this.#say('fileUploadCancel', { id, mine: false });
            return;
        }
        const parcel = new Parcel(false, id, parcelName(str(said['name'])), size);
        this.#offers.set(id, parcel);
        this.#changed(parcel);
    }

    async #run(out: Outgoing): Promise<void> {
        const { parcel, file } = out;
        const hash = new Sha384();
        let at = 0;

        try {
            while (at < parcel.size && parcel.state === 'running') {
                if (at - out.acked >= WINDOW) {
                    await new Promise<void>((resolve) => {
                        out.go = resolve;
                    });
                    out.go = null;
                    continue;
                }
                const data = new Uint8Array(await file.slice(at, at + BLOCK).arrayBuffer());
                if (data.length === 0) {
                    throw new Error('The file has become shorter.');
                }
                if (parcel.state !== 'running' || !this.#send(parcel.id, data)) {
                    return;
                }
                hash.update(data);
                at += data.length;
            }
            if (parcel.state === 'running') {
                this.#say('fileUploadEnd', { id: parcel.id, hash: hash.digest() });
            }
        } catch (error) {
            this.#give(parcel, error instanceof Error ? error.message : String(error));
        }
    }

    #whole(id: number, hash: string): void {
        const into = this.#in.get(id);
        if (!into) {
            return;
        }
        into.queue = into.queue.then(async () => {
            if (into.parcel.state !== 'running') {
                return;
            }
            if (into.came !== into.parcel.size || into.hash.digest() !== hash.toUpperCase()) {
                this.#give(into.parcel, 'What came is not what was sent: it was thrown away.');
                return;
            }
            await into.sink.close();
            this.#say('fileDone', { id });
            this.#end(into.parcel, 'done', '');
        }).catch((error: unknown) => this.#give(into.parcel, error instanceof Error ? error.message : String(error)));
    }

    /** It cannot go on, by a fault of this side or of what came. */
    #give(parcel: Parcel, why: string): void {
        if (parcel.open) {
            this.#say('fileUploadCancel', { id: parcel.id, mine: parcel.mine, why: 'failed' });
            this.#end(parcel, 'failed', why);
        }
    }

    #end(parcel: Parcel, state: ParcelState, says: string): void {
        parcel.state = state;
        parcel.says = says;
        if (parcel.mine) {
            const out = this.#out.get(parcel.id);
            this.#out.delete(parcel.id);
            out?.go?.();
        } else {
            const into = this.#in.get(parcel.id);
            this.#offers.delete(parcel.id);
            this.#in.delete(parcel.id);
            if (into && state !== 'done') {
                void into.sink.abort().catch(() => {});
            }
        }
        this.#changed(parcel);
    }
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { Terminal } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import { KvmReader, MAX_PACKET } from '../../wire/kvm.ts';
import { isTerminal, pictureAt, type Block, type Recording, type Reel } from '../../wire/mcrec.ts';
import { Painter } from '../desktop/painter.ts';
import { theme } from '../terminal/screen.ts';
import { sentence } from './sentences.ts';

/** Output that is written again for a place in a terminal: what came before has long left the screen. */
const REPLAY = 4 * 1024 * 1024;
/** Messages that are read at once for one picture. */
const ABREAST = 8;
/** Of a recording with an index, messages that were played and are kept. */
const PLAYED = 4096;
/** For which a person waits, ms. */
const SLOW = 300;
/** With pauses skipped, the longest that is still waited for, ms. */
const PAUSE = 1000;
/** A longer message is not taken apart, bytes; and what is shown of one that has no words. */
const PARSED = 4 * 1024 * 1024;
const SHOWN = 4096;

/** What shows a kind of session; one block after the other, or the state at one. */
interface Show {
    readonly element: HTMLElement;
    /** Of a longer message nothing is read, bytes. */
    readonly most: number;
    feed(block: Block, data: Uint8Array): void;
    /** as it was after block `last`, -1: before the first */
    at(blocks: readonly Block[], last: number, read: (block: Block) => Promise<Uint8Array>): Promise<void>;
}

class TerminalShow implements Show {
    readonly element = document.createElement('div');
    readonly most = PARSED;
    #terminal = new Terminal({ cols: 80, rows: 24, scrollback: 2000, disableStdin: true, screenReaderMode: true, fontSize: 13, lineHeight: 1.2, theme: theme(), minimumContrastRatio: 4.5,
        fontFamily: '"JetBrains Mono Variable", "Noto Sans Mono CJK JP", monospace' });

    constructor() {
        this.element.className = 'rec-term';
        this.#terminal.open(this.element);
    }

    feed(block: Block, data: Uint8Array): void {
        if (block.binary && !block.user) {
            this.#terminal.write(data);
        } else if (block.terminal) {
            this.#terminal.resize(block.terminal.cols, block.terminal.rows);
        }
    }

    async at(blocks: readonly Block[], last: number, read: (block: Block) => Promise<Uint8Array>): Promise<void> {
        const none = new Uint8Array(0);
        let bytes = 0;
        let first = last + 1;

        while (first > 0 && bytes < REPLAY) {
            first--;
            const block = blocks[first];
            bytes += block && !block.user ? block.size : 0;
        }
        this.#terminal.reset();
        for (let i = 0; i <= last; i++) {
            const block = blocks[i];
            if (block && (i >= first || block.terminal)) {
                this.feed(block, block.user ? none : await read(block));
            }
        }
    }
}

class DesktopShow implements Show {
    readonly element = document.createElement('canvas');
    readonly most = MAX_PACKET;
    #painter = new Painter(this.element, { lost: () => {}, failed: () => {}, drawn: () => {} });
    #reader = new KvmReader();

    constructor() {
        this.element.className = 'rec-desk';
        this.element.width = this.element.height = 1;
    }

    feed(block: Block, data: Uint8Array): void {
        if (block.binary && !block.user) {
            try {
                this.#painter.push(this.#reader.push(data));
            } catch {
                this.#reader = new KvmReader();     // what is no packet is not shown
            }
        }
    }

    async at(blocks: readonly Block[], last: number, read: (block: Block) => Promise<Uint8Array>): Promise<void> {
        const picture = pictureAt(blocks, last);

        this.#painter.clear();
        this.#reader = new KvmReader();
        if (!picture.length) {      // before the first one
            this.element.width = this.element.height = 1;
        }
        for (let i = 0; i < picture.length; i += ABREAST) {
            const some = picture.slice(i, i + ABREAST);
            const data = await Promise.all(some.map(read));
            some.forEach((block, k) => this.feed(block, data[k] ?? new Uint8Array(0)));
        }
    }
}

/** Everything else: what was done and said in words, other messages as lines, bytes as their number. */
class MessageShow implements Show {
    readonly element = document.createElement('ol');
    readonly most = PARSED;
    #protocol: number;
    #user: string;

    constructor({ meta }: Recording) {
        this.element.className = 'rec-lines';
        this.#protocol = meta.protocol;
        this.#user = meta.userName;
    }

    feed(block: Block, data: Uint8Array): void {
        const words = this.#words(block, data);
        if (words === null) {
            return;
        }
        const line = document.createElement('li');
        line.className = block.user ? 'user' : 'device';
        line.textContent = words;
        this.element.append(line);
        line.scrollIntoView({ block: 'nearest' });
        while (this.element.childElementCount > 500) {
            this.element.firstElementChild?.remove();
        }
    }

    #words(block: Block, data: Uint8Array): string | null {
        if (block.size > PARSED || (block.binary && data[0] !== 0x7b)) {
            return `${block.size} bytes`;
        }
        const json = new TextDecoder().decode(data);
        let said: unknown;
        try {
            said = JSON.parse(json);
        } catch {
            return json.slice(0, SHOWN);
        }
        if (typeof said === 'number') {     // of the protocol, with which a session begins
            return null;
        }
        const words = said && typeof said === 'object' ? sentence(this.#protocol, block.user ? this.#user : 'The device', said as Record<string, unknown>) : '';
        return words === '' ? json.slice(0, SHOWN) : words;
    }

    async at(blocks: readonly Block[], last: number, read: (block: Block) => Promise<Uint8Array>): Promise<void> {
        this.element.replaceChildren();
        for (const block of blocks.slice(Math.max(0, last - 199), last + 1)) {
            this.feed(block, await read(block));
        }
    }
}

function showOf(recording: Recording): Show {
    const { protocol } = recording.meta;
    return isTerminal(protocol) ? new TerminalShow() : protocol === 2 ? new DesktopShow() : new MessageShow(recording);
}

/** What is thrown out of a seek when another one has begun. */
const OVER = Symbol('over');

/**
 * Plays one recording, and reads of it what that needs.
 *
 * Events: `change` (playing, time, waiting or error changed).
 */
export class Player extends EventTarget {
    readonly show: Show;
    readonly length: number;
    speed = 1;
    skip = true;
    playing = false;
    /** For the next part of the file. */
    waiting = false;
    /** Why it stopped. */
    error = '';
    /** ms from the first message */
    time = 0;
    #recording: Recording;
    #reel: Reel | null = null;
    #next = 0;
    /** of playing, and of looking for a place: who finds another one has been overtaken */
    #turn = 0;
    #seek = 0;
    #shown: Promise<void> = Promise.resolve();

    constructor(recording: Recording) {
        super();
        this.#recording = recording;
        this.length = recording.length;
        this.show = showOf(recording);
    }

    play(): void {
        if (!this.playing) {
            this.playing = true;
            void this.#run(this.time >= this.length ? 0 : null);
        }
    }

    pause(): void {
        this.playing = false;
        this.#turn++;
        this.#changed();
    }

    /** Goes on from there, if it was playing. */
    async seek(time: number): Promise<void> {
        const turn = ++this.#turn;
        try {
            await this.#goto(Math.min(Math.max(0, time), this.length));
        } catch (error) {
            if (turn === this.#turn) {
                this.#failed(error);
            }
        }
        if (this.playing && turn === this.#turn) {
            void this.#run(null);
        }
    }

    stop(): void {
        this.playing = false;
        this.#turn++;
        this.#seek++;
    }

    async #goto(time: number): Promise<void> {
        const seek = ++this.#seek;
        const wanted = (): boolean => seek === this.#seek;
        const before = this.#shown;

        this.time = time;
        this.#reel = null;
        this.error = '';
        this.#changed();

        // one after the other: two would write into one picture
        this.#shown = this.#waits((async () => {
            await before.catch(() => {});
            if (!wanted()) {
                return;
            }
            const reel = await this.#recording.from(time);
            const last = await reel.until(time, wanted);
            if (!wanted()) {
                return;
            }
            await this.show.at(reel.blocks, last, async (block) => {
                const data = await this.#read(block);
                if (!wanted()) {
                    throw OVER;
                }
                return data;
            });
            if (wanted()) {
                this.#reel = reel;
                this.#next = last + 1;
            }
        })().catch((error: unknown) => {
            if (error !== OVER) {
                throw error;
            }
        }));
        await this.#shown;
    }

    async #run(from: number | null): Promise<void> {
        const turn = ++this.#turn;
        const mine = (): boolean => this.playing && turn === this.#turn;

        try {
            if (from === null) {
                await this.#shown.catch(() => {});
            }
            while (mine() && (from !== null || !this.#reel)) {
                await this.#goto(from ?? this.time);
                from = null;
            }
            let then = performance.now();
            while (mine() && this.#reel) {
                const reel = this.#reel;
                const now = performance.now();
                this.time = Math.min(this.length, this.time + (now - then) * this.speed);
                then = now;

                const next = await this.#waits(this.#due(reel, mine));
                if (!mine()) {
                    return;
                }
                const late = performance.now() - now;
                if (late > SLOW) {      // it stood still meanwhile
                    then += late;
                }
                if (!next) {
                    this.playing = false;
                    this.time = this.length;
                    this.#changed();
                    return;
                }
                if (this.skip && next.time - this.time > PAUSE) {
                    this.time = next.time - PAUSE;
                }
                this.#changed();
                await new Promise((resolve) => { setTimeout(resolve, 40); });
            }
        } catch (error) {
            if (turn === this.#turn) {
                this.#failed(error);
            }
        }
    }

    /** Shows all until now; the message that comes next, null: there is none. */
    async #due(reel: Reel, mine: () => boolean): Promise<Block | null> {
        for (;;) {
            if (this.#recording.indexed && this.#next > PLAYED) {
                reel.blocks.splice(0, this.#next);
                this.#next = 0;
            }
            const block = reel.blocks[this.#next];
            if (!block) {
                if (!await reel.more() || !mine()) {
                    return null;
                }
                continue;
            }
            // a clock that went back left messages behind the end
            if (block.time > this.time && this.time < this.length) {
                return block;
            }
            const data = await this.#read(block);
            if (!mine()) {
                return null;
            }
            this.#next++;
            this.show.feed(block, data);
        }
    }

    async #read(block: Block): Promise<Uint8Array> {
        return block.size > this.show.most ? new Uint8Array(0) : this.#recording.data(block);
    }

    async #waits<T>(work: Promise<T>): Promise<T> {
        const timer = setTimeout(() => {
            this.waiting = true;
            this.#changed();
        }, SLOW);
        try {
            return await work;
        } finally {
            clearTimeout(timer);
            if (this.waiting) {
                this.waiting = false;
                this.#changed();
            }
        }
    }

    #failed(error: unknown): void {
        this.playing = false;
        this.#reel = null;
        this.error = error instanceof Error ? error.message : String(error);
        this.#changed();
    }

    #changed(): void {
        this.dispatchEvent(new Event('change'));
    }
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { Terminal } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import { KvmReader } from '../../wire/kvm.ts';
import { pictureAt, type Block, type Recording } from '../../wire/mcrec.ts';
import { Painter } from '../desktop/painter.ts';
import { theme } from '../terminal/screen.ts';
import { sentence } from './sentences.ts';

/** Output that is written again for a place in a terminal: what came before has long left the screen. */
const REPLAY = 4 * 1024 * 1024;
const PIECE = 2 * 1024 * 1024;
/** With pauses skipped, the longest that is still waited for, ms. */
const PAUSE = 1000;
/** A longer message is not taken apart, bytes; and what is shown of one that has no words. */
const PARSED = 4 * 1024 * 1024;
const SHOWN = 4096;

/** What shows a kind of session; one block after the other, or the state at one. */
interface Show {
    readonly element: HTMLElement;
    feed(block: Block, data: Uint8Array): void;
    /** as it was after block `last`, -1: before the first */
    at(last: number, read: (block: Block) => Promise<Uint8Array>): Promise<void>;
}

class TerminalShow implements Show {
    readonly element = document.createElement('div');
    #terminal = new Terminal({ cols: 80, rows: 24, scrollback: 2000, disableStdin: true, screenReaderMode: true, fontSize: 13, lineHeight: 1.2, theme: theme(), minimumContrastRatio: 4.5,
        fontFamily: '"JetBrains Mono Variable", "Noto Sans Mono CJK JP", monospace' });
    #blocks: readonly Block[];

    constructor(blocks: readonly Block[]) {
        this.#blocks = blocks;
        this.element.className = 'rec-term';
        this.#terminal.open(this.element);
    }

    feed(block: Block, data: Uint8Array): void {
        if (block.binary && !block.user) {
            this.#terminal.write(data);
        } else if (block.user && !block.binary) {
            this.#size(data);
        }
    }

    /** Options and termsize of the viewer. */
    #size(data: Uint8Array): void {
        try {
            const said = JSON.parse(new TextDecoder().decode(data)) as { type?: unknown; cols?: unknown; rows?: unknown } | null;
            const { type, cols, rows } = said ?? {};
            if ((type === 'options' || type === 'termsize') && Number.isInteger(cols) && Number.isInteger(rows)) {
                this.#terminal.resize(Math.min(500, Math.max(2, cols as number)), Math.min(300, Math.max(1, rows as number)));
            }
        } catch {
            /* the protocol number, or what is no JSON */
        }
    }

    async at(last: number, read: (block: Block) => Promise<Uint8Array>): Promise<void> {
        let bytes = 0;
        let first = last + 1;

        while (first > 0 && bytes < REPLAY) {
            first--;
            const block = this.#blocks[first];
            bytes += block && !block.user ? block.size : 0;
        }
        this.#terminal.reset();
        for (let i = 0; i <= last; i++) {
            const block = this.#blocks[i];
            if (block && (i >= first || (block.user && !block.binary))) {
                this.feed(block, await read(block));
            }
        }
    }
}

class DesktopShow implements Show {
    readonly element = document.createElement('canvas');
    #painter = new Painter(this.element, { lost: () => {}, failed: () => {}, drawn: () => {} });
    #reader = new KvmReader();
    #blocks: readonly Block[];

    constructor(blocks: readonly Block[]) {
        this.#blocks = blocks;
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

    async at(last: number, read: (block: Block) => Promise<Uint8Array>): Promise<void> {
        const picture = pictureAt(this.#blocks, last);

        this.#painter.clear();
        this.#reader = new KvmReader();
        if (!picture.length) {      // before the first one
            this.element.width = this.element.height = 1;
        }
        for (const block of picture) {
            this.feed(block, await read(block));
        }
    }
}

/** Everything else: what was done and said in words, other messages as lines, bytes as their number. */
class MessageShow implements Show {
    readonly element = document.createElement('ol');
    #protocol: number;
    #user: string;
    #blocks: readonly Block[];

    constructor({ meta, blocks }: Recording) {
        this.element.className = 'rec-lines';
        this.#protocol = meta.protocol;
        this.#user = meta.userName;
        this.#blocks = blocks;
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
        if (data.length > PARSED || (block.binary && data[0] !== 0x7b)) {
            return `${data.length} bytes`;
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

    async at(last: number, read: (block: Block) => Promise<Uint8Array>): Promise<void> {
        this.element.replaceChildren();
        for (const block of this.#blocks.slice(Math.max(0, last - 199), last + 1)) {
            this.feed(block, await read(block));
        }
    }
}

function showOf(recording: Recording): Show {
    switch (recording.meta.protocol) {
    case 1: case 6: case 8: case 9: return new TerminalShow(recording.blocks);
    case 2: return new DesktopShow(recording.blocks);
    default: return new MessageShow(recording);
    }
}

/**
 * Plays one recording.
 *
 * Events: `change` (playing, time or speed changed).
 */
export class Player extends EventTarget {
    readonly show: Show;
    readonly length: number;
    speed = 1;
    skip = true;
    playing = false;
    /** ms from the first message */
    time = 0;
    #recording: Recording;
    #file: Blob;
    #next = 0;
    #turn = 0;
    #shown: Promise<void> = Promise.resolve();
    #piece = new Uint8Array(0);
    #from = 0;

    constructor(recording: Recording, file: Blob) {
        super();
        this.#recording = recording;
        this.#file = file;
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
        await this.#goto(Math.min(Math.max(0, time), this.length));
        if (this.playing && turn === this.#turn) {
            void this.#run(null);
        }
    }

    stop(): void {
        this.playing = false;
        this.#turn++;
    }

    async #goto(time: number): Promise<void> {
        const { blocks } = this.#recording;
        let last = blocks.length - 1;

        while (last >= 0 && (blocks[last]?.time ?? 0) > time) {
            last--;
        }
        this.time = time;
        this.#next = last + 1;
        this.#changed();

        // one after the other: two would write into one picture
        const before = this.#shown;
        const turn = this.#turn;
        this.#shown = (async () => {
            await before;
            if (turn === this.#turn) {
                await this.show.at(last, (block) => this.#read(block));
            }
        })();
        await this.#shown;
    }

    async #run(from: number | null): Promise<void> {
        const turn = ++this.#turn;
        const mine = (): boolean => this.playing && turn === this.#turn;

        if (from !== null) {
            await this.#goto(from);
        }
        let then = performance.now();
        while (mine()) {
            const now = performance.now();
            this.time = Math.min(this.length, this.time + (now - then) * this.speed);
            then = now;

            const { blocks } = this.#recording;
            for (let block = blocks[this.#next]; block && block.time <= this.time; block = blocks[this.#next]) {
                const data = await this.#read(block);
                if (!mine()) {
                    return;
                }
                this.#next++;
                this.show.feed(block, data);
            }
            const next = blocks[this.#next];
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
    }

    async #read(block: Block): Promise<Uint8Array> {
        if (block.at < this.#from || block.at + block.size > this.#from + this.#piece.length) {
            const from = block.at;
            const piece = new Uint8Array(await this.#file.slice(from, from + Math.max(PIECE, block.size)).arrayBuffer());
            this.#from = from;
            this.#piece = piece;
        }
        return this.#piece.slice(block.at - this.#from, block.at - this.#from + block.size);
    }

    #changed(): void {
        this.dispatchEvent(new Event('change'));
    }
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/** What the other side said: an object with an action. */
export type Said = Record<string, unknown> & { action: string };

export interface Block {
    id: number;
    data: Uint8Array;
}

/** A session description is the longest that is said. */
const TEXT = 128 * 1024;
/** Bytes of a file in one message, and of its number before them. */
export const BLOCK = 32 * 1024;
const HEAD = 4;

/** `meshmessenger/called/caller` of full ids, as it stands in addresses. */
export function messengerId(called: string, caller: string): string {
    return `meshmessenger/${encodeURIComponent(called)}/${encodeURIComponent(caller)}`;
}

/** The ids in the tag of an invitation; null: it is none. */
export function readTag(tag: unknown): { called: string; caller: string } | null {
    const parts = typeof tag === 'string' && tag.length < 2048 ? tag.split('/') : [];
    if (parts.length !== 3 || parts[0] !== 'meshmessenger') {
        return null;
    }
    try {
        return { called: decodeURIComponent(parts[1] ?? ''), caller: decodeURIComponent(parts[2] ?? '') };
    } catch {
        return null;
    }
}

/**
 * One end of a conversation.
 *
 * Events: `up` (the server took us, nobody else is there), `open` (the other side
 * is there; detail: it is recorded), `said` (detail Said), `block` (detail Block),
 * `close` (detail the close code; `wasUp`).
 */
export class MessengerWire extends EventTarget {
    wasUp = false;
    open = false;
    #socket: WebSocket;

    constructor(url: string, socket: (url: string) => WebSocket = (u) => new WebSocket(u)) {
        super();
        this.#socket = socket(url);
        this.#socket.binaryType = 'arraybuffer';
        this.#socket.onopen = () => {
            this.wasUp = true;
            this.dispatchEvent(new Event('up'));
        };
        this.#socket.onmessage = (event: MessageEvent<unknown>) => {
            if (typeof event.data === 'string') {
                this.#text(event.data);
            } else if (event.data instanceof ArrayBuffer) {
                this.#bytes(event.data);
            }
        };
        this.#socket.onclose = (event) => this.#closed(event.code);
        this.#socket.onerror = () => {};
    }

    say(action: string, members: Record<string, unknown> = {}): boolean {
        if (!this.open || this.#socket.readyState !== 1) {
            return false;
        }
        this.#socket.send(JSON.stringify({ action, ...members }));
        return true;
    }

    send(id: number, data: Uint8Array): boolean {
        if (!this.open || this.#socket.readyState !== 1) {
            return false;
        }
        const message = new Uint8Array(HEAD + data.length);
        new DataView(message.buffer).setUint32(0, id);
        message.set(data, HEAD);
        this.#socket.send(message);
        return true;
    }

    close(): void {
        this.#socket.close();
        this.#closed(1000);
    }

    #text(text: string): void {
        if (!this.open) {
            // what comes before the start is of nobody
            if (text === 'c' || text === 'cr') {
                this.open = true;
                this.dispatchEvent(new CustomEvent('open', { detail: text === 'cr' }));
            }
            return;
        }
        if (text.length > TEXT) {
            this.#tooMuch();
            return;
        }
        let value: unknown;
        try {
            value = JSON.parse(text);
        } catch {
            return;
        }
        if (value && typeof value === 'object' && !Array.isArray(value) && typeof (value as Said).action === 'string') {
            this.dispatchEvent(new CustomEvent<Said>('said', { detail: value as Said }));
        }
    }

    #bytes(bytes: ArrayBuffer): void {
        if (!this.open || bytes.byteLength < HEAD) {
            return;
        }
        if (bytes.byteLength > HEAD + BLOCK) {
            this.#tooMuch();
            return;
        }
        this.dispatchEvent(new CustomEvent<Block>('block', {
            detail: { id: new DataView(bytes).getUint32(0), data: new Uint8Array(bytes, HEAD) },
        }));
    }

    /** Nothing of ours says so much at once: it is not one to talk to. */
    #tooMuch(): void {
        this.#socket.close();
        this.#closed(1009);
    }

    #closed(code: number): void {
        if (this.#socket.onclose === null) {
            return;
        }
        this.#socket.onclose = this.#socket.onmessage = this.#socket.onopen = null;
        this.open = false;
        this.dispatchEvent(new CustomEvent<number>('close', { detail: code }));
    }
}

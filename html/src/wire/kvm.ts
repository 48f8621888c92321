// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/* Desktop packets: u16 number, u16 size of the whole, body; all big-endian. */

export const KVM = {
    KEY: 1, MOUSE: 2, TILE: 3, COPY: 4, COMPRESSION: 5, REFRESH: 6, SIZE: 7, PAUSE: 8, CTRL_ALT_DEL: 10, DISPLAYS: 11,
    DISPLAY: 12, INTERVAL: 13, TOUCH_INIT: 14, TOUCH: 15, MESSAGE: 17, LEDS: 18, JUMBO: 27, ALERT: 65, GEOMETRY: 82,
    UNICODE: 85, INPUT_LOCK: 87, CURSOR: 88,
} as const;

/** No packet is longer. */
export const MAX_PACKET = 64 * 1024 * 1024;

export const ALL_DISPLAYS = 65535;

export interface Display {
    id: number;
    x: number;
    y: number;
    width: number;
    height: number;
}

export type Packet =
    | { kind: 'size'; width: number; height: number }
    | { kind: 'tile'; x: number; y: number; image: Uint8Array }
    | { kind: 'copy'; fromX: number; fromY: number; x: number; y: number; width: number; height: number }
    | { kind: 'cursor'; shape: string }
    | { kind: 'displays'; ids: number[]; selected: number | null }
    | { kind: 'geometry'; displays: Display[] }
    | { kind: 'display'; id: number }
    | { kind: 'leds'; num: boolean; scroll: boolean; caps: boolean }
    | { kind: 'lock'; locked: boolean }
    | { kind: 'touch'; available: boolean }
    | { kind: 'touchReset' }
    | { kind: 'message'; text: string }
    | { kind: 'alert'; text: string };

/** CSS names of the cursor's shapes, by number. */
const CURSORS = [
    'default', 'progress', 'crosshair', 'pointer', 'help', 'text', 'no-drop', 'move', 'nesw-resize', 'ns-resize', 'nwse-resize',
    'ew-resize', 'alias', 'wait', 'none', 'not-allowed', 'col-resize', 'row-resize', 'copy', 'zoom-in', 'zoom-out',
] as const;

const u16 = (bytes: Uint8Array, at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
const u32 = (bytes: Uint8Array, at: number): number => u16(bytes, at) * 0x1_0000 + u16(bytes, at + 2);
const i16 = (bytes: Uint8Array, at: number): number => (u16(bytes, at) << 16) >> 16;
const latin1 = (bytes: Uint8Array): string => Array.from(bytes.subarray(0, 4096), (b) => String.fromCharCode(b)).join('');

/**
 * Length of the packet at `at`, with its jumbo head.
 * Returns 0 when more bytes are needed to say so.
 * @throws {RangeError} when it is shorter than its own head, or longer than any
 */
function lengthOf(bytes: Uint8Array, at: number): number {
    const left = bytes.length - at;
    if (left < 4) {
        return 0;
    }
    const size = u16(bytes, at + 2);
    if (u16(bytes, at) !== KVM.JUMBO) {
        if (size < 4) {
            throw new RangeError(`packet size ${size} is shorter than its own head`);
        }
        return size;
    }
    if (left < 8) {
        return 0;
    }
    const inner = u32(bytes, at + 4);
    if (inner < 4 || inner > MAX_PACKET) {
        throw new RangeError(`packet of ${inner} bytes`);
    }
    return 8 + inner;
}

/**
 * One whole packet, without its jumbo head; null for what has no meaning here or is
 * too short for it.
 */
function parse(bytes: Uint8Array): Packet | null {
    const inner = u16(bytes, 0) === KVM.JUMBO ? bytes.subarray(8) : bytes;
    const size = inner.length;

    switch (u16(inner, 0)) {
    case KVM.TILE:
        return size > 8 ? { kind: 'tile', x: u16(inner, 4), y: u16(inner, 6), image: inner.subarray(8) } : null;
    case KVM.COPY:
        return size < 16 ? null : {
            kind: 'copy', fromX: u16(inner, 4), fromY: u16(inner, 6), x: u16(inner, 8), y: u16(inner, 10),
            width: u16(inner, 12), height: u16(inner, 14),
        };
    case KVM.SIZE:
        return size < 8 ? null : { kind: 'size', width: u16(inner, 4), height: u16(inner, 6) };
    case KVM.DISPLAYS: {
        const count = u16(inner, 4);
        if (size < 6 || size < 6 + count * 2) {
            return null;
        }
        return {
            kind: 'displays', ids: Array.from({ length: count }, (_, i) => u16(inner, 6 + i * 2)),
            selected: count && size >= 8 + count * 2 ? u16(inner, 6 + count * 2) : null,
        };
    }
    case KVM.DISPLAY:
        // one byte in the agents of 2022, two in later ones
        return size < 5 ? null : { kind: 'display', id: size === 5 ? inner[4] ?? 0 : u16(inner, 4) };
    case KVM.TOUCH_INIT:
        return size < 6 ? null : { kind: 'touch', available: u16(inner, 4) === 1 };
    case KVM.TOUCH:
        return { kind: 'touchReset' };
    case KVM.MESSAGE:
        return { kind: 'message', text: latin1(inner.subarray(4)) };
    case KVM.ALERT:
        return { kind: 'alert', text: latin1(inner.subarray(4)) };
    case KVM.LEDS: {
        const bits = inner[4] ?? 0;
        return size < 5 ? null : { kind: 'leds', num: (bits & 1) !== 0, scroll: (bits & 2) !== 0, caps: (bits & 4) !== 0 };
    }
    case KVM.GEOMETRY:
        return {
            kind: 'geometry', displays: Array.from({ length: Math.floor((size - 4) / 10) }, (_, i) => ({
                id: u16(inner, 4 + i * 10), x: i16(inner, 6 + i * 10), y: i16(inner, 8 + i * 10),
                width: u16(inner, 10 + i * 10), height: u16(inner, 12 + i * 10),
            })),
        };
    case KVM.INPUT_LOCK:
        return size < 5 ? null : { kind: 'lock', locked: inner[4] === 1 };
    case KVM.CURSOR:
        return size < 5 ? null : { kind: 'cursor', shape: CURSORS[inner[4] ?? 0] ?? 'default' };
    default:
        return null;
    }
}

/**
 * Packets out of the messages of an agent: as a rule one in each, but one may also go
 * over several messages, and a message may hold several.
 */
export class KvmReader {
    #parts: Uint8Array[] = [];
    #have = 0;
    #want = 0;

    /** @throws {RangeError} for what cannot be a packet: the session is to be ended. */
    push(message: Uint8Array): Packet[] {
        const packets: Packet[] = [];

        if (this.#have === 0 && message.length < 4) {
            return packets;
        }
        this.#parts.push(message);
        this.#have += message.length;
        if (this.#have < this.#want) {
            return packets;
        }

        const bytes = this.#take();
        let at = 0;
        for (;;) {
            const length = lengthOf(bytes, at);
            if (length === 0 || bytes.length - at < length) {
                this.#want = length || 4;
                break;
            }
            const packet = parse(bytes.subarray(at, at + length));
            if (packet) {
                packets.push(packet);
            }
            at += length;
        }
        if (at < bytes.length) {
            this.#parts = [bytes.subarray(at)];
            this.#have = bytes.length - at;
        } else {
            this.#want = 0;
        }
        return packets;
    }

    #take(): Uint8Array {
        const [first] = this.#parts;
        let bytes = first ?? new Uint8Array(0);

        if (this.#parts.length > 1) {
            bytes = new Uint8Array(this.#have);
            let at = 0;
            for (const part of this.#parts) {
                bytes.set(part, at);
                at += part.length;
            }
        }
        this.#parts = [];
        this.#have = 0;
        return bytes;
    }
}

/** Cells of 32 pixels at the right and bottom edge of a screen go over it. */
export const OVERRUN = 32;
/** Of a canvas, in every browser. */
const MAX_SIDE = 16_384;
const MAX_AREA = 16_384 * 8192;

/** Can a browser draw a screen of this size? */
export function drawable(width: number, height: number): boolean {
    return width <= MAX_SIDE && height <= MAX_SIDE && width * height <= MAX_AREA;
}

/**
 * Width and height of an image by its head; null when it is none that a browser draws.
 * Asked before it is decoded: a small file can say that it is a very large picture.
 */
export function imageSize(image: Uint8Array): { width: number; height: number } | null {
    if (image[0] === 0xff && image[1] === 0xd8) {
        return jpegSize(image);
    }
    if (image.length >= 24 && u32(image, 0) === 0x8950_4e47 && u32(image, 12) === 0x4948_4452) {
        return { width: u32(image, 16), height: u32(image, 20) };
    }
    if (image.length >= 30 && u32(image, 0) === 0x5249_4646 && u32(image, 8) === 0x5745_4250) {
        return webpSize(image);
    }
    return null;
}

function jpegSize(image: Uint8Array): { width: number; height: number } | null {
    let at = 2;

    while (at + 9 <= image.length && image[at] === 0xff) {
        const marker = image[at + 1] ?? 0;
        if (marker === 0xff) {          // filling
            at++;
            continue;
        }
        // a frame's head: SOF0 to SOF15, without DHT, JPG and DAC
        if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
            return { width: u16(image, at + 7), height: u16(image, at + 5) };
        }
        if (marker === 0xda || marker === 0xd9 || u16(image, at + 2) < 2) {
            return null;
        }
        at += 2 + u16(image, at + 2);
    }
    return null;
}

function webpSize(image: Uint8Array): { width: number; height: number } | null {
    const low = (at: number, n: number): number => Array.from({ length: n }, (_, i) => (image[at + i] ?? 0) * 2 ** (8 * i)).reduce((a, b) => a + b, 0);

    switch (u32(image, 12)) {
    case 0x5650_3820: return { width: low(26, 2) & 0x3fff, height: low(28, 2) & 0x3fff };
    case 0x5650_384c: return { width: (low(21, 2) & 0x3fff) + 1, height: ((low(22, 3) >> 6) & 0x3fff) + 1 };
    case 0x5650_3858: return { width: low(24, 3) + 1, height: low(27, 3) + 1 };
    default: return null;
    }
}

/* What a viewer sends: one packet a message. */

function packet(number: number, size: number, fill?: (view: DataView<ArrayBuffer>) => void): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, number);
    view.setUint16(2, size);
    fill?.(view);
    return bytes;
}

const within = (n: number, min: number, max: number): number => Math.min(max, Math.max(min, Math.round(n)));

export type Press = 'down' | 'up';

/** `vk` is a virtual key code of Windows. */
export const encodeKey = (press: Press, vk: number, extended = false): Uint8Array<ArrayBuffer> => packet(KVM.KEY, 6, (v) => {
    v.setUint8(4, extended ? (press === 'down' ? 4 : 3) : press === 'down' ? 0 : 1);
    v.setUint8(5, vk);
});

/** A code unit of UTF-16; a character past U+FFFF is two of them. */
export const encodeUnicode = (press: Press, unit: number): Uint8Array<ArrayBuffer> => packet(KVM.UNICODE, 7, (v) => {
    v.setUint8(4, press === 'down' ? 0 : 1);
    v.setUint16(5, unit);
});

export const BUTTONS = { left: 0x02, right: 0x08, middle: 0x20 } as const;
export type Button = keyof typeof BUTTONS;
export const DOUBLE_CLICK = 0x88;

/** `buttons` is 0 for a move, one of BUTTONS for down and twice that for up. */
export const encodeMouse = (buttons: number, x: number, y: number, wheel?: number): Uint8Array<ArrayBuffer> =>
    packet(KVM.MOUSE, wheel === undefined ? 10 : 12, (v) => {
        v.setUint8(5, buttons);
        v.setUint16(6, within(x, 0, 65535));
        v.setUint16(8, within(y, 0, 65535));
        if (wheel !== undefined) {
            v.setInt16(10, within(wheel, -32768, 32767));
        }
    });

export const IMAGES = { jpeg: 1, png: 2, tiff: 3, webp: 4 } as const;

export interface Compression {
    image: keyof typeof IMAGES;
    /** 1 to 100 */
    quality: number;
    /** 1024 is full size */
    scaling: number;
    /** ms between two pictures */
    interval: number;
}

export const encodeCompression = (c: Compression): Uint8Array<ArrayBuffer> => packet(KVM.COMPRESSION, 10, (v) => {
    v.setUint8(4, IMAGES[c.image]);
    v.setUint8(5, within(c.quality, 1, 100));
    v.setUint16(6, within(c.scaling, 64, 4096));
    v.setUint16(8, within(c.interval, 20, 5000));
});

export const encodeRefresh = (): Uint8Array<ArrayBuffer> => packet(KVM.REFRESH, 4);
export const encodePause = (pause: boolean): Uint8Array<ArrayBuffer> => packet(KVM.PAUSE, 5, (v) => v.setUint8(4, pause ? 1 : 0));
export const encodeCtrlAltDel = (): Uint8Array<ArrayBuffer> => packet(KVM.CTRL_ALT_DEL, 4);
export const encodeGetDisplays = (): Uint8Array<ArrayBuffer> => packet(KVM.DISPLAYS, 4);
export const encodeSetDisplay = (id: number): Uint8Array<ArrayBuffer> => packet(KVM.DISPLAY, 6, (v) => v.setUint16(4, id));
export const encodeInterval = (ms: number): Uint8Array<ArrayBuffer> => packet(KVM.INTERVAL, 6, (v) => v.setUint16(4, within(ms, 20, 5000)));
export const encodeTouchInit = (): Uint8Array<ArrayBuffer> => packet(KVM.TOUCH_INIT, 4);

export const TOUCH = { down: 0x1_0006, update: 0x2_0006, up: 0x4_0000 } as const;

export interface Contact {
    id: number;
    flags: number;
    x: number;
    y: number;
}

/** One contact in the old form, up to 16 in the new one. */
export const encodeTouch = (version: 1 | 2, contacts: readonly Contact[]): Uint8Array<ArrayBuffer> => {
    const list = contacts.slice(0, version === 1 ? 1 : 16);
    return packet(KVM.TOUCH, 5 + list.length * 9, (v) => {
        v.setUint8(4, version);
        list.forEach((contact, i) => {
            v.setUint8(5 + i * 9, contact.id);
            v.setUint32(6 + i * 9, contact.flags);
            v.setUint16(10 + i * 9, within(contact.x, 0, 65535));
            v.setUint16(12 + i * 9, within(contact.y, 0, 65535));
        });
    });
};

export type InputLock = 'unlock' | 'lock' | 'query';

export const encodeInputLock = (what: InputLock): Uint8Array<ArrayBuffer> =>
    packet(KVM.INPUT_LOCK, 5, (v) => v.setUint8(4, { unlock: 0, lock: 1, query: 2 }[what]));

export const encodeMessage = (text: string): Uint8Array<ArrayBuffer> => {
    const bytes = new TextEncoder().encode(text).subarray(0, 65531);
    return packet(KVM.MESSAGE, 4 + bytes.length, (v) => new Uint8Array(v.buffer).set(bytes, 4));
};

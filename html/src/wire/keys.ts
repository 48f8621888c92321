// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { encodeKey, encodeUnicode, type Press } from './kvm.ts';

/* What the keys of a browser are on the other side. */

export interface Vk {
    vk: number;
    extended?: boolean;
}

/** Keys by their place, as KeyboardEvent.code names it on a US keyboard. */
const BY_CODE: Record<string, Vk> = {
    Backspace: { vk: 0x08 }, Tab: { vk: 0x09 }, Enter: { vk: 0x0d }, Pause: { vk: 0x13, extended: true }, CapsLock: { vk: 0x14 },
    Escape: { vk: 0x1b }, Space: { vk: 0x20 }, PageUp: { vk: 0x21, extended: true }, PageDown: { vk: 0x22, extended: true },
    End: { vk: 0x23, extended: true }, Home: { vk: 0x24, extended: true }, ArrowLeft: { vk: 0x25, extended: true },
    ArrowUp: { vk: 0x26, extended: true }, ArrowRight: { vk: 0x27, extended: true }, ArrowDown: { vk: 0x28, extended: true },
    PrintScreen: { vk: 0x2c }, Insert: { vk: 0x2d, extended: true }, Delete: { vk: 0x2e, extended: true },
    ShiftLeft: { vk: 0x10 }, ShiftRight: { vk: 0x10, extended: true }, ControlLeft: { vk: 0x11 },
    ControlRight: { vk: 0x11, extended: true }, AltLeft: { vk: 0x12 }, AltRight: { vk: 0x12, extended: true },
    MetaLeft: { vk: 0x5b }, MetaRight: { vk: 0x5c }, ContextMenu: { vk: 0x5d }, NumLock: { vk: 0x90, extended: true },
    ScrollLock: { vk: 0x91 }, Semicolon: { vk: 0xba }, Equal: { vk: 0xbb }, Comma: { vk: 0xbc }, Minus: { vk: 0xbd },
    Period: { vk: 0xbe }, Slash: { vk: 0xbf }, Backquote: { vk: 0xc0 }, BracketLeft: { vk: 0xdb }, Backslash: { vk: 0xdc },
    BracketRight: { vk: 0xdd }, Quote: { vk: 0xde }, IntlBackslash: { vk: 0xe2 }, NumpadMultiply: { vk: 0x6a },
    NumpadAdd: { vk: 0x6b }, NumpadSubtract: { vk: 0x6d }, NumpadDecimal: { vk: 0x6e }, NumpadDivide: { vk: 0x6f, extended: true },
    NumpadEnter: { vk: 0x0d, extended: true },
};

for (let i = 0; i < 26; i++) {
    BY_CODE[`Key${String.fromCharCode(65 + i)}`] = { vk: 0x41 + i };
}
for (let i = 0; i < 10; i++) {
    BY_CODE[`Digit${i}`] = { vk: 0x30 + i };
    BY_CODE[`Numpad${i}`] = { vk: 0x60 + i };
}
for (let i = 1; i <= 24; i++) {
    BY_CODE[`F${i}`] = { vk: 0x6f + i };
}

const MODIFIERS = ['Shift', 'Control', 'Alt', 'Meta'] as const;
type Modifier = (typeof MODIFIERS)[number];
const MODIFIER: Record<Modifier, Vk> = { Shift: { vk: 0x10 }, Control: { vk: 0x11 }, Alt: { vk: 0x12 }, Meta: { vk: 0x5b } };

/** Of KeyboardEvent what is needed here. */
export interface KeyStroke {
    key: string;
    code: string;
    shiftKey: boolean;
    ctrlKey: boolean;
    altKey: boolean;
    metaKey: boolean;
    repeat?: boolean;
    /** AltGr is held: it makes characters, and is no shortcut */
    altGraph?: boolean;
}

/** The key of a stroke; a letter or digit by its meaning, so that Ctrl-Z is Ctrl-Z on any keyboard. */
export function vkOf(stroke: Pick<KeyStroke, 'key' | 'code'>, byPlace = false): Vk | null {
    if (!byPlace && /^[a-z0-9]$/i.test(stroke.key) && !stroke.code.startsWith('Numpad')) {
        return { vk: stroke.key.toUpperCase().charCodeAt(0) };
    }
    return BY_CODE[stroke.code] ?? BY_CODE[stroke.key] ?? null;
}

/**
 * Turns strokes into packets and remembers what is down on the other side.
 *
 * Characters go as characters, whatever layout either side has: then the other
 * side's Shift must not be down, so it is pressed there only when a key needs it.
 * `byPlace` sends every key by its place instead, and the other side's layout says
 * what it means.
 */
export class Keyboard {
    byPlace = false;
    readonly #send: (packet: Uint8Array<ArrayBuffer>) => void;
    /** what is down there: by code the way to let it go */
    readonly #down = new Map<string, () => void>();
    readonly #held = new Set<Modifier>();
    #shift = false;

    constructor(send: (packet: Uint8Array<ArrayBuffer>) => void) {
        this.#send = send;
    }

    get pressed(): number {
        return this.#down.size + this.#held.size;
    }

    /** true: the stroke was taken, and is no business of the browser. */
    down(stroke: KeyStroke): boolean {
        const { key, code } = stroke;

        if (key === 'Dead' || key === 'Process' || key === 'Unidentified') {
            return false;
        }
        if (key === 'AltGraph') {
            if (this.byPlace) {
                this.#press(code, { vk: 0x12, extended: true });
            }
            return true;
        }
        if (key === 'Shift' && !this.byPlace) {
            this.#shift = true;
            return true;
        }
        const modifier = MODIFIERS.find((name) => name === key);
        if (modifier && !this.byPlace) {
            this.#hold(modifier, true);
            return true;
        }
        const makesText = [...key].length === 1 && (stroke.altGraph === true || !(stroke.ctrlKey || stroke.altKey || stroke.metaKey));
        if (makesText && !this.byPlace) {
            this.#letGoAll(stroke.altGraph ? MODIFIERS : ['Shift']);
            this.#character(code, key);
            return true;
        }
        const vk = vkOf(stroke, this.byPlace);
        if (!vk) {
            return false;
        }
        this.#syncShift();
        this.#press(code, vk);
        return true;
    }

    up(stroke: Pick<KeyStroke, 'key' | 'code'>): void {
        if (stroke.key === 'Shift') {
            this.#shift = false;
        }
        const modifier = MODIFIERS.find((name) => name === stroke.key);
        if (modifier && !this.byPlace) {
            this.#hold(modifier, false);
            return;
        }
        this.#down.get(stroke.code)?.();
        this.#down.delete(stroke.code);
    }

    /** Before the mouse acts: Shift is a part of what it does. */
    modifiers(): void {
        this.#syncShift();
    }

    /** Types text, of an input method or what a phone's keyboard offers. */
    text(text: string): void {
        this.#letGoAll(MODIFIERS);
        for (const character of text.replace(/\r\n?/g, '\n')) {
            if (character === '\n' || character === '\t') {
                this.tap({ vk: character === '\n' ? 0x0d : 0x09 });
            } else {
                this.#units(character, 'down');
                this.#units(character, 'up');
            }
        }
    }

    /** Presses keys one after the other, and lets them go backwards. */
    tap(...keys: Vk[]): void {
        for (const key of keys) {
            this.#send(encodeKey('down', key.vk, key.extended));
        }
        for (const key of [...keys].reverse()) {
            this.#send(encodeKey('up', key.vk, key.extended));
        }
    }

    /** Lets go of all that is down there: the window has lost the keyboard. */
    release(): void {
        for (const up of this.#down.values()) {
            up();
        }
        this.#down.clear();
        this.#letGoAll(MODIFIERS);
        this.#shift = false;
    }

    #syncShift(): void {
        if (!this.byPlace) {
            this.#hold('Shift', this.#shift);
        }
    }

    #hold(modifier: Modifier, down: boolean): void {
        if (this.#held.has(modifier) === down) {
            return;
        }
        if (down) {
            this.#held.add(modifier);
        } else {
            this.#held.delete(modifier);
        }
        this.#send(encodeKey(down ? 'down' : 'up', MODIFIER[modifier].vk));
    }

    #letGoAll(modifiers: readonly Modifier[]): void {
        for (const modifier of modifiers) {
            this.#hold(modifier, false);
        }
    }

    #press(code: string, key: Vk): void {
        this.#send(encodeKey('down', key.vk, key.extended));
        this.#down.set(code, () => this.#send(encodeKey('up', key.vk, key.extended)));
    }

    #character(code: string, character: string): void {
        this.#units(character, 'down');
        this.#down.set(code, () => this.#units(character, 'up'));
    }

    #units(character: string, press: Press): void {
        for (let i = 0; i < character.length; i++) {
            this.#send(encodeUnicode(press, character.charCodeAt(i)));
        }
    }
}

/** Keys that a browser or the own system would keep for itself. */
export const COMBINATIONS: readonly { name: string; keys: readonly Vk[] }[] = [
    { name: 'Windows key', keys: [{ vk: 0x5b }] },
    { name: 'Alt + Tab', keys: [{ vk: 0x12 }, { vk: 0x09 }] },
    { name: 'Alt + F4', keys: [{ vk: 0x12 }, { vk: 0x73 }] },
    { name: 'Ctrl + Esc', keys: [{ vk: 0x11 }, { vk: 0x1b }] },
    { name: 'Ctrl + Shift + Esc', keys: [{ vk: 0x11 }, { vk: 0x10 }, { vk: 0x1b }] },
    { name: 'Windows + D', keys: [{ vk: 0x5b }, { vk: 0x44 }] },
    { name: 'Windows + R', keys: [{ vk: 0x5b }, { vk: 0x52 }] },
    { name: 'Ctrl + W', keys: [{ vk: 0x11 }, { vk: 0x57 }] },
    { name: 'F11', keys: [{ vk: 0x7a }] },
    { name: 'Print screen', keys: [{ vk: 0x2c }] },
];

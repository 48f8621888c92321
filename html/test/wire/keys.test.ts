// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { Keyboard, vkOf, type KeyStroke } from '../../src/wire/keys.ts';

/** Packets as words: `+41` is a key down, `-u20ac` a character up. */
function make(): { keyboard: Keyboard; sent: string[] } {
    const sent: string[] = [];
    const keyboard = new Keyboard((p) => {
        const unicode = p[1] === 85;
        const action = p[4] ?? 0;
        const down = unicode ? action === 0 : action === 0 || action === 4;
        const code = unicode ? ((p[5] ?? 0) << 8) | (p[6] ?? 0) : p[5] ?? 0;
        sent.push(`${down ? '+' : '-'}${unicode ? 'u' : ''}${code.toString(16)}`);
    });
    return { keyboard, sent };
}

const stroke = (key: string, code: string, more: Partial<KeyStroke> = {}): KeyStroke =>
    ({ key, code, shiftKey: false, ctrlKey: false, altKey: false, metaKey: false, ...more });

test('characters go as characters, and Shift is not down for them', () => {
    const { keyboard, sent } = make();
    keyboard.down(stroke('Shift', 'ShiftLeft', { shiftKey: true }));
    keyboard.down(stroke('A', 'KeyQ', { shiftKey: true }));
    keyboard.up({ key: 'A', code: 'KeyQ' });
    keyboard.up({ key: 'Shift', code: 'ShiftLeft' });
    expect(sent).toEqual(['+u41', '-u41']);
});

test('Shift is there for a key that needs it', () => {
    const { keyboard, sent } = make();
    keyboard.down(stroke('Shift', 'ShiftLeft', { shiftKey: true }));
    keyboard.down(stroke('Tab', 'Tab', { shiftKey: true }));
    keyboard.up({ key: 'Tab', code: 'Tab' });
    keyboard.up({ key: 'Shift', code: 'ShiftLeft' });
    expect(sent).toEqual(['+10', '+9', '-9', '-10']);
});

test('a shortcut is by the letter on the key, on any layout', () => {
    const { keyboard, sent } = make();
    keyboard.down(stroke('Control', 'ControlLeft', { ctrlKey: true }));
    keyboard.down(stroke('z', 'KeyY', { ctrlKey: true }));
    keyboard.up({ key: 'z', code: 'KeyY' });
    keyboard.up({ key: 'Control', code: 'ControlLeft' });
    expect(sent).toEqual(['+11', '+5a', '-5a', '-11']);
});

test('AltGr makes a character, and no Ctrl-Alt is left down for it', () => {
    const { keyboard, sent } = make();
    keyboard.down(stroke('Control', 'ControlLeft', { ctrlKey: true }));
    keyboard.down(stroke('AltGraph', 'AltRight', { ctrlKey: true, altKey: true }));
    keyboard.down(stroke('€', 'KeyE', { ctrlKey: true, altKey: true, altGraph: true }));
    keyboard.up({ key: '€', code: 'KeyE' });
    keyboard.up({ key: 'AltGraph', code: 'AltRight' });
    keyboard.up({ key: 'Control', code: 'ControlLeft' });
    expect(sent).toEqual(['+11', '-11', '+u20ac', '-u20ac']);
});

test('a character past U+FFFF is two code units', () => {
    const { keyboard, sent } = make();
    keyboard.text('😀\n');
    expect(sent).toEqual(['+ud83d', '+ude00', '-ud83d', '-ude00', '+d', '-d']);
});

test('all that is down is let go, once', () => {
    const { keyboard, sent } = make();
    keyboard.down(stroke('Alt', 'AltLeft', { altKey: true }));
    keyboard.down(stroke('ArrowLeft', 'ArrowLeft', { altKey: true }));
    expect(keyboard.pressed).toBe(2);
    keyboard.release();
    keyboard.release();
    expect(sent).toEqual(['+12', '+25', '-25', '-12']);
    expect(keyboard.pressed).toBe(0);
});

test('by their place, keys go as they lie', () => {
    const { keyboard, sent } = make();
    keyboard.byPlace = true;
    keyboard.down(stroke('Shift', 'ShiftLeft', { shiftKey: true }));
    keyboard.down(stroke('Z', 'KeyY', { shiftKey: true }));
    keyboard.up({ key: 'Z', code: 'KeyY' });
    keyboard.up({ key: 'Shift', code: 'ShiftLeft' });
    expect(sent).toEqual(['+10', '+59', '-59', '-10']);
});

test('what an input method is at work on is left to it', () => {
    const { keyboard, sent } = make();
    for (const key of ['Process', 'Dead', 'Unidentified']) {
        expect(keyboard.down(stroke(key, 'KeyA'))).toBe(false);
    }
    expect(sent).toEqual([]);
});

test('keys have the codes of Windows, extended where they are', () => {
    expect(vkOf({ key: 'F12', code: 'F12' })).toEqual({ vk: 0x7b });
    expect(vkOf({ key: 'Delete', code: 'Delete' })).toEqual({ vk: 0x2e, extended: true });
    expect(vkOf({ key: 'Enter', code: 'NumpadEnter' })).toEqual({ vk: 0x0d, extended: true });
    expect(vkOf({ key: '5', code: 'Numpad5' })).toEqual({ vk: 0x65 });
    expect(vkOf({ key: 'ü', code: 'BracketLeft' })).toEqual({ vk: 0xdb });
    expect(vkOf({ key: 'Hyper', code: 'Hyper' })).toBeNull();
});

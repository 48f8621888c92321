// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import {
    encodeCompression, encodeCtrlAltDel, encodeGetDisplays, encodeInputLock, encodeInterval, encodeKey, encodeMessage, encodeMouse, encodePause,
    encodeRefresh, encodeSetDisplay, encodeTouch, encodeTouchInit, encodeUnicode, imageSize, KvmReader, MAX_PACKET, TOUCH, type Packet,
} from '../../src/wire/kvm.ts';

const bytes = (hex: string): Uint8Array => new Uint8Array(hex.replace(/\s/g, '').match(/../g)?.map((b) => parseInt(b, 16)) ?? []);
const hex = (b: Uint8Array): string => Array.from(b, (n) => n.toString(16).padStart(2, '0')).join('');

const IN: [string, string, Packet][] = [
    ['screen size', '0007 0008 0780 0438', { kind: 'size', width: 1920, height: 1080 }],
    ['tile', '0003 000b 0040 0020 ffd8ff', { kind: 'tile', x: 64, y: 32, image: bytes('ffd8ff') }],
    ['tile in a jumbo', '001b 0008 0000000c 0003 0000 0040 0020 ffd8ff00', { kind: 'tile', x: 64, y: 32, image: bytes('ffd8ff00') }],
    ['copy', '0004 0010 0001 0002 0003 0004 0005 0006', { kind: 'copy', fromX: 1, fromY: 2, x: 3, y: 4, width: 5, height: 6 }],
    ['cursor', '0058 0005 03', { kind: 'cursor', shape: 'pointer' }],
    ['cursor past the table', '0058 0005 63', { kind: 'cursor', shape: 'default' }],
    ['displays', '000b 000e 0003 ffff 0001 0002 ffff', { kind: 'displays', ids: [65535, 1, 2], selected: 65535 }],
    ['no displays', '000b 0008 0000 0000', { kind: 'displays', ids: [], selected: null }],
    ['geometry', '0052 000e 0002 ff80 0010 0500 02d0', { kind: 'geometry', displays: [{ id: 2, x: -128, y: 16, width: 1280, height: 720 }] }],
    ['display of an old agent', '000c 0005 01', { kind: 'display', id: 1 }],
    ['display', '000c 0006 ffff', { kind: 'display', id: 65535 }],
    ['LEDs', '0012 0005 05', { kind: 'leds', num: true, scroll: false, caps: true }],
    ['input lock', '0057 0005 01', { kind: 'lock', locked: true }],
    ['touch', '000e 0006 0002', { kind: 'touch', available: false }],
    ['touch reset', '000f 0004', { kind: 'touchReset' }],
    ['message', '0011 0007 61e962', { kind: 'message', text: 'aéb' }],
    ['alert', '0041 0006 2e61', { kind: 'alert', text: '.a' }],
];

for (const [name, text, packet] of IN) {
    test(`${name}: read, however it is cut`, () => {
        const whole = bytes(text);
        expect(new KvmReader().push(whole)).toEqual([packet]);
        // a message is 4 bytes at least: a shorter one means nothing by itself
        for (let cut = 4; cut < whole.length; cut++) {
            const reader = new KvmReader();
            expect(reader.push(whole.subarray(0, cut)), `cut at ${cut}`).toEqual([]);
            expect(reader.push(whole.subarray(cut)), `cut at ${cut}`).toEqual([packet]);
        }
    });

    test(`${name}: too short for what it is, it is passed over`, () => {
        const whole = bytes(text);
        if (whole[1] === 0x1b || whole[1] === 0x11 || whole[1] === 0x41 || whole[1] === 0x0f || whole[1] === 0x52) {
            return;         // a jumbo is by its own length; texts and lists may be empty
        }
        for (let size = 4; size < (whole[1] === 3 ? 9 : whole[1] === 11 ? 6 : whole.length); size++) {
            const short = whole.slice(0, size);
            short[3] = size;
            expect(new KvmReader().push(short).filter((p) => p.kind !== 'display')).toEqual([]);
        }
    });
}

test('a packet over many messages, then several in one, keep their order', () => {
    const reader = new KvmReader();
    const tile = new Uint8Array(70_016);
    tile.set(bytes('001b 0008 00011178 0003 0000 0000 0000 ffd8'));
    let got: Packet[] = [];
    for (let at = 0; at < tile.length; at += 1000) {
        got = got.concat(reader.push(tile.subarray(at, at + 1000)));
    }
    expect(got).toHaveLength(1);
    expect(got[0]).toMatchObject({ kind: 'tile' });
    expect((got[0] as Packet & { kind: 'tile' }).image).toHaveLength(70_000);
    expect(reader.push(bytes('0058 0005 03 0007 0008 0001 0002 0058 0005 05')).map((p) => p.kind)).toEqual(['cursor', 'size', 'cursor']);
});

test('what is not known, obsolete or a debug text is passed over', () => {
    expect(new KvmReader().push(bytes('0040 0006 6161 00c8 0004 0007 0008 0001 0002'))).toEqual([{ kind: 'size', width: 1, height: 2 }]);
    expect(new KvmReader().push(bytes('0007'))).toEqual([]);
});

test('lengths that cannot be end the session instead of waiting for ever', () => {
    expect(() => new KvmReader().push(bytes('0003 0003 00'))).toThrow(RangeError);
    expect(() => new KvmReader().push(bytes('001b 0008 00000003'))).toThrow(RangeError);
    expect(() => new KvmReader().push(bytes('001b 0008 ffffffff'))).toThrow(RangeError);
    const most = bytes('001b 0008 00000000');
    new DataView(most.buffer).setUint32(4, MAX_PACKET);
    expect(new KvmReader().push(most)).toEqual([]);
    new DataView(most.buffer).setUint32(4, MAX_PACKET + 1);
    expect(() => new KvmReader().push(most)).toThrow(RangeError);
});

test('any length in any packet is taken, waited for, or refused as a length', () => {
    for (const [name, text] of IN) {
        const whole = bytes(text);
        for (let size = 0; size < 65_536; size += size < 300 ? 1 : 251) {
            const odd = whole.slice();
            new DataView(odd.buffer).setUint16(2, size);
            if (odd[1] !== 0x1b && size < 4) {
                expect(() => new KvmReader().push(odd), `${name}, ${size}`).toThrow(RangeError);
            } else if (odd[1] !== 0x1b && size > odd.length) {
                expect(new KvmReader().push(odd), `${name}, ${size}`).toEqual([]);
            } else {
                try {
                    expect(new KvmReader().push(odd).length, `${name}, ${size}`).toBeLessThanOrEqual(whole.length / 4);
                } catch (error) {       // what follows it is no packet
                    expect(error, `${name}, ${size}`).toBeInstanceOf(RangeError);
                }
            }
        }
    }
});

test('a stream of all packets is read whatever its messages are', () => {
    const all = bytes(IN.map(([, text]) => text).join(''));
    for (const step of [4, 5, 7, 11, 64, all.length]) {
        const reader = new KvmReader();
        let got: Packet[] = [];
        for (let at = 0; at < all.length; at += step) {
            got = got.concat(reader.push(all.subarray(at, at + step)));
        }
        expect(got, `by ${step}`).toEqual(IN.map(([, , packet]) => packet));
    }
});

test('a display list is not longer than its packet', () => {
    expect(new KvmReader().push(bytes('000b 0008 ffff 0001'))).toEqual([]);
});

const OUT: [string, Uint8Array, string][] = [
    ['key down', encodeKey('down', 0x41), '000100060041'],
    ['key up', encodeKey('up', 0x41), '000100060141'],
    ['extended key down', encodeKey('down', 0x27, true), '000100060427'],
    ['extended key up', encodeKey('up', 0x27, true), '000100060327'],
    ['character', encodeUnicode('down', 0xe9), '005500070000e9'],
    ['mouse move', encodeMouse(0, 300, 200), '0002000a0000012c00c8'],
    ['left down', encodeMouse(2, 300, 200), '0002000a0002012c00c8'],
    ['wheel', encodeMouse(0, 300, 200, 120), '0002000c0000012c00c80078'],
    ['wheel toward one', encodeMouse(0, 300, 200, -120), '0002000c0000012c00c8ff88'],
    ['a place outside', encodeMouse(0, -5, 1e9), '0002000a00000000ffff'],
    ['compression', encodeCompression({ image: 'jpeg', quality: 40, scaling: 1024, interval: 50 }), '0005000a012804000032'],
    ['compression past its bounds', encodeCompression({ image: 'webp', quality: 400, scaling: 1, interval: 9000 }), '0005000a046400401388'],
    ['refresh', encodeRefresh(), '00060004'],
    ['resume', encodePause(false), '0008000500'],
    ['pause', encodePause(true), '0008000501'],
    ['Ctrl-Alt-Del', encodeCtrlAltDel(), '000a0004'],
    ['displays', encodeGetDisplays(), '000b0004'],
    ['all displays', encodeSetDisplay(65535), '000c0006ffff'],
    ['interval', encodeInterval(100), '000d00060064'],
    ['touch init', encodeTouchInit(), '000e0004'],
    ['touch 1', encodeTouch(1, [{ id: 1, flags: TOUCH.down, x: 300, y: 200 }]), '000f000e010100010006012c00c8'],
    ['touch 2', encodeTouch(2, [{ id: 1, flags: TOUCH.update, x: 1, y: 2 }, { id: 2, flags: TOUCH.up, x: 3, y: 4 }]),
        '000f001702010002000600010002020004000000030004'],
    ['lock query', encodeInputLock('query'), '0057000502'],
    ['message', encodeMessage('aé'), '0011000761c3a9'],
];

for (const [name, packet, want] of OUT) {
    test(`${name} is written as it is on the wire`, () => {
        expect(hex(packet)).toBe(want);
    });
}

test('no more than 16 contacts go into one packet', () => {
    const many = Array.from({ length: 40 }, (_, id) => ({ id, flags: TOUCH.down, x: 0, y: 0 }));
    expect(encodeTouch(2, many)).toHaveLength(149);
});

test('the size of a picture is read from its head, and of nothing else', () => {
    expect(imageSize(bytes('ffd8 ffe0 0004 0000 ffc0 000b 08 02e0 0500 0301'))).toEqual({ width: 1280, height: 736 });
    expect(imageSize(bytes('ffd8 ff ffc2 000b 08 0010 0020 0301'))).toEqual({ width: 32, height: 16 });
    expect(imageSize(bytes('89504e470d0a1a0a 0000000d 49484452 00000020 00000040'))).toEqual({ width: 32, height: 64 });
    expect(imageSize(bytes('52494646 00000000 57454250 56503858 0a000000 00000000 1f0000 3f0000'))).toEqual({ width: 32, height: 64 });
    for (const none of ['', 'ffd8', 'ffd8 ffda 0004 0000', 'ffd8 ffe0 0001', '4949 2a00 0800 0000', '89504e47']) {
        expect(imageSize(bytes(none)), none).toBeNull();
    }
});

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { DesktopSession } from '../../src/state/desktop.ts';
import type { Control, Message } from '../../src/wire/control.ts';

const FULL = 0xffffffff;

/** A device with a clipboard; `old`: it knows of no parts, as the cores of others. */
class Device {
    text = '';
    old = false;
    asked: Record<string, unknown>[] = [];
    #in = '';

    request(_action: string, members: Record<string, unknown>): Promise<Message> {
        this.asked.push(members);
        return Promise.resolve({ action: 'msg', type: members['type'], ...this.#answer(members) });
    }

    #answer({ type, data, offset, size }: Record<string, unknown>): Record<string, unknown> {
        const at = Number(offset);
        if (type === 'getclip') {
            return this.old ? { data: this.text } : { data: this.text.slice(at, at + 20_000), offset, size: this.text.length };
        }
        if (this.old || offset === undefined) {
            this.text = String(data);
            return { success: true };
        }
        this.#in = this.#in.slice(0, at) + String(data);
        if (this.#in.length < Number(size)) {
            return { success: true, offset: this.#in.length };
        }
        this.text = this.#in;
        return { success: true };
    }
}

function make(): { device: Device; session: DesktopSession } {
    const device = new Device();
    return { device, session: new DesktopSession(device as unknown as Control, 'a', 'node//a', FULL, 'https://x/', () => false) };
}

const bytes = (text: unknown): number => new TextEncoder().encode(String(text)).length;
const large = 'a😀€'.repeat(50_000);       // 200,000 units of UTF-16, 400,000 bytes

test('a large clipboard goes there in parts, of which none is too long and none cuts a character', async () => {
    const { device, session } = make();
    await session.writeClipboard(large);
    expect(device.text).toBe(large);
    expect(device.asked.length).toBeGreaterThan(5);
    for (const { data, size } of device.asked) {
        expect(bytes(data)).toBeLessThanOrEqual(65_535);
        expect(new TextDecoder().decode(new TextEncoder().encode(String(data)))).toBe(data);
        expect(size).toBe(large.length);
    }
});

test('and comes from there in parts', async () => {
    const { device, session } = make();
    device.text = 'b'.repeat(1_048_576);
    expect(await session.readClipboard()).toBe(device.text);
    expect(device.asked.map((m) => m['offset'])).toEqual(Array.from({ length: 53 }, (_, i) => i * 20_000));
    device.text = '';
    expect(await session.readClipboard()).toBe('');
});

test('a small one goes as one, which every device takes', async () => {
    const { device, session } = make();
    device.old = true;
    await session.writeClipboard('€'.repeat(21_845));
    expect(device.text).toHaveLength(21_845);
    expect(device.asked).toHaveLength(1);
    expect(device.asked[0]).not.toHaveProperty('offset');
    expect(await session.readClipboard()).toBe(device.text);
});

test('what is too large is said to be, in words, and nothing is sent', async () => {
    const { device, session } = make();
    await expect(session.writeClipboard('€'.repeat(349_526))).rejects.toThrow('more than 1 MB');
    expect(device.asked).toEqual([]);
    device.old = true;
    await expect(session.writeClipboard(large)).rejects.toThrow('no more than 64 KB');
    expect(device.asked).toHaveLength(1);
});

test('a device that never ends, or says more than it has, is not believed', async () => {
    for (const answer of [{ data: '', size: 5 }, { data: 'x', size: 2 ** 30 }, { data: 'xyz', size: 2 }]) {
        const { device, session } = make();
        device.request = () => Promise.resolve({ action: 'msg', type: 'getclip', ...answer });
        await expect(session.readClipboard()).rejects.toThrow('something else than its clipboard');
    }
});

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Control, Message } from '../wire/control.ts';
import { randomHex } from '../wire/bytes.ts';
import { DesktopRelay } from '../wire/desktop.ts';
import { Keyboard } from '../wire/keys.ts';
import {
    encodeCtrlAltDel, encodeGetDisplays, encodeInputLock, encodeMouse, encodeSetDisplay, type Compression, type Packet,
} from '../wire/kvm.ts';
import { closeWords, type ConsoleText } from '../wire/relay.ts';
import { desktopInput, type DesktopInput } from './rights.ts';
import { consoleWords, type SessionState } from './sessions.ts';
import { Kept } from './kept.ts';
import { Store } from './store.ts';
import { Way } from './way.ts';

/** No device answers after so long: say so. */
const PATIENCE = 20_000;

/** Bytes of a clipboard, either way; of one message; and characters of a part, which have no more bytes. */
const MAX_CLIPBOARD = 1_048_576;
const WHOLE_CLIPBOARD = 65_535;
const CLIPBOARD_PART = 20_000;

/**
 * One desktop.  It lives until it is closed, wherever the person looks.
 *
 * Events: `change`, `packets` (detail Packet[], in their order), `fresh` (another
 * stream behind the same screen).
 */
export class DesktopSession extends Store {
    readonly key = randomHex(6);
    readonly deviceId: string;
    readonly keyboard: Keyboard;
    state: SessionState = 'asking';
    /** A line that is shown over the screen; empty for none. */
    says = '';
    /** When the person at the device has agreed; 0: nobody was asked. */
    allowed = 0;
    began = 0;
    recorded = false;
    width = 0;
    height = 0;
    displays: number[] = [];
    display: number | null = null;
    cursor = 'default';
    caps = false;
    num = false;
    /** Is local input locked?  null: the device does not say. */
    inputLock: boolean | null = null;
    autolock = false;
    users: Record<string, number> = {};
    /** Is the device there?  The server lets viewers in before it comes. */
    arrived = true;
    frames = 0;
    best: Compression = { image: 'jpeg', quality: 80, scaling: 1024, interval: 50 };
    automatic = true;
    #viewOnly = false;
    readonly input: DesktopInput;
    readonly way: Way;
    #control: Control;
    #nodeId: string;
    #base: string;
    #relay: DesktopRelay | null = null;
    #patience: ReturnType<typeof setTimeout> | undefined;
    #attempt = 0;
    #wait: () => number = () => 0;
    #rate = { at: 0, bytes: 0, frames: 0 };
    #figures = { bits: 0, frames: 0 };

    constructor(control: Control, deviceId: string, nodeId: string, rights: number, base: string, direct: () => boolean) {
        super();
        this.#control = control;
        this.deviceId = deviceId;
        this.#nodeId = nodeId;
        this.#base = base;
        this.input = desktopInput(rights);
        // whose packets the server looks at stays with it
        this.way = new Way(() => this.input === 'full' && direct(), () => this.changed());
        this.keyboard = new Keyboard((packet) => this.send(packet));
    }

    get delay(): number | null {
        return this.#relay?.delay ?? null;
    }

    get received(): number {
        return this.#relay?.received ?? 0;
    }

    get sent(): number {
        return this.#relay?.sent ?? 0;
    }

    get running(): boolean {
        return this.state === 'asking' || this.state === 'waiting' || this.state === 'open';
    }

    /** What the line is asked for now. */
    get asked(): Compression {
        return this.#relay?.pace.now ?? this.best;
    }

    /** May this person move anything there? */
    get mayInput(): boolean {
        return this.input !== 'none';
    }

    get viewOnly(): boolean {
        return this.#viewOnly || !this.mayInput;
    }

    set viewOnly(on: boolean) {
        this.keyboard.release();
        this.#viewOnly = on;
        this.changed();
    }

    /** Bits and pictures a second, since the last call of `measure`. */
    get figures(): { bits: number; frames: number } {
        return this.#figures;
    }

    measure(now: number): void {
        const seconds = (now - this.#rate.at) / 1000;

        if (seconds > 0.5) {
            this.#figures = {
                bits: Math.max(0, this.received - this.#rate.bytes) * 8 / seconds,
                frames: (this.frames - this.#rate.frames) / seconds,
            };
            this.#rate = { at: now, bytes: this.received, frames: this.frames };
        }
    }

    /** How long pictures have waited in this page, ms. */
    onWaiting(wait: () => number): void {
        this.#wait = wait;
    }

    /** Opens, or opens again in place; `on`: without being asked to. */
    async connect(on = false): Promise<void> {
        const attempt = ++this.#attempt;
        const id = randomHex(16);

        this.#relay?.close();
        this.#relay = null;
        if (!on) {
            this.way.renew();
        }
        this.#turn('asking', '');
        try {
            const cookies = await this.#control.ask('authcookie');
            if (attempt !== this.#attempt) {
                return;
            }
            const auth = encodeURIComponent(String(cookies['cookie'] ?? ''));
            const rauth = encodeURIComponent(String(cookies['rcookie'] ?? ''));
            const node = encodeURIComponent(this.#nodeId);
            const url = new URL(`meshrelay.ashx?browser=1&p=2&nodeid=${node}&id=${id}&auth=${auth}`, this.#base);
            url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';

            this.#listen(new DesktopRelay({
                url: url.href, best: this.best, automatic: this.automatic, socket: (to) => this.way.socket(to),
            }), attempt);
            await this.#control.ask('msg', {
                type: 'tunnel', nodeid: this.#nodeId, usage: 2,
                value: `*/meshrelay.ashx?p=2&nodeid=${this.#nodeId}&id=${id}&rauth=${rauth}`,
            });
            if (attempt === this.#attempt && this.state === 'asking') {
                this.#turn('waiting', '');
                this.#wonder(attempt);
            }
        } catch (error) {
            const text = error instanceof Error ? error.message : String(error);
            this.#fail(attempt, text === 'Unable to route'
                ? 'The device cannot be reached now, or it may not be used for this.' : text);
        }
    }

    /** Ends the session; the last picture stays to be looked at. */
    disconnect(): void {
        this.keyboard.release();
        this.#attempt++;
        this.#relay?.close();
        this.#relay = null;
        clearTimeout(this.#patience);
        if (this.running) {
            this.#turn('ended', 'Disconnected.');
        }
    }

    /** Ends it because of what was found in this page. */
    end(why: string): void {
        this.#fail(this.#attempt, why);
    }

    /** Input; nothing where the person only looks. */
    send(packet: Uint8Array<ArrayBuffer>): void {
        if (this.state === 'open' && !this.viewOnly) {
            this.#relay?.send(packet);
        }
    }

    mouse(buttons: number, x: number, y: number, wheel?: number): void {
        if (buttons !== 0 || wheel !== undefined) {
            this.keyboard.modifiers();
        }
        this.send(encodeMouse(buttons, x, y, wheel));
    }

    ctrlAltDel(): void {
        this.send(encodeCtrlAltDel());
    }

    refresh(): void {
        this.#relay?.refresh();
    }

    /** Changes what is asked of the device at best. */
    choose(best: Partial<Compression>, automatic = this.automatic): void {
        this.best = { ...this.best, ...best };
        this.automatic = automatic;
        if (this.#relay) {
            this.#relay.pace.best = this.best;
            this.#relay.pace.automatic = automatic;
            this.#relay.settle();
            this.#relay.refresh();
        }
        this.changed();
    }

    chooseDisplay(id: number): void {
        if (this.displays.includes(id)) {
            this.display = id;
            this.#relay?.send(encodeSetDisplay(id));
            this.changed();
        }
    }

    lock(): void {
        if (!this.viewOnly) {
            this.#relay?.control('lock', {});
        }
    }

    lockAtEnd(on: boolean): void {
        if (!this.viewOnly) {
            this.autolock = on;
            this.#relay?.control('autolock', { value: on });
            this.changed();
        }
    }

    lockInput(on: boolean): void {
        this.send(encodeInputLock(on ? 'lock' : 'unlock'));
    }

    /** The text in the clipboard of the device, in as many parts as it needs. */
    async readClipboard(): Promise<string> {
        let text = '';
        for (;;) {
            const reply = await this.#clipboard('getclip', { offset: text.length });
            const { data, size } = reply;
            if (typeof data !== 'string') {
                throw new Error('The device has no text in its clipboard.');
            }
            text += data;
            if (typeof size !== 'number' || text.length === size) {     // others send all of it
                return text;
            }
            if (!data || size > MAX_CLIPBOARD || text.length > size) {
                throw new Error('The device sent something else than its clipboard.');
            }
        }
    }

    /** Large texts in parts, where the device takes them. */
    async writeClipboard(text: string): Promise<void> {
        const { length: bytes } = new TextEncoder().encode(text);
        if (bytes > MAX_CLIPBOARD) {
            throw new Error('The clipboard holds more than 1 MB, which is the most that is sent.');
        }
        if (bytes <= WHOLE_CLIPBOARD) {
            await this.#setClipboard({ data: text });
            return;
        }
        for (let at = 0; at < text.length;) {
            let end = Math.min(at + CLIPBOARD_PART, text.length);
            // a character past U+FFFF is two, which are not to be parted
            if (end < text.length && /[\ud800-\udbff]/.test(text.charAt(end - 1))) {
                end--;
            }
            const reply = await this.#setClipboard({ data: text.slice(at, end), offset: at, size: text.length });
            if (end < text.length && reply['offset'] !== end) {
                throw new Error('The clipboard of this device takes no more than 64 KB.');
            }
            at = end;
        }
    }

    async #setClipboard(members: Record<string, unknown>): Promise<Message> {
        const reply = await this.#clipboard('setclip', members);
        if (reply['success'] !== true) {
            throw new Error('The device did not take the text.');
        }
        return reply;
    }

    /** First the server says that it has asked, then the device answers. */
    async #clipboard(type: 'getclip' | 'setclip', members: Record<string, unknown>): Promise<Message> {
        const reply = await this.#control.request('msg', { type, nodeid: this.#nodeId, ...members }, {
            timeout: 20_000, until: (message) => message['type'] === type || message['result'] !== 'OK',
        });
        if (reply['type'] !== type) {
            throw new Error('The device cannot be reached now, or its clipboard may not be used.');
        }
        if (typeof reply['error'] === 'string') {
            throw new Error(reply['error']);
        }
        return reply;
    }

    #turn(state: SessionState, says: string): void {
        this.state = state;
        this.says = says;
        this.changed();
    }

    #fail(attempt: number, why: string): void {
        if (attempt !== this.#attempt || !this.running) {
            return;
        }
        clearTimeout(this.#patience);
        this.#attempt++;
        this.#relay?.close();
        this.#relay = null;
        this.#turn('failed', why);
    }

    #wonder(attempt: number): void {
        this.#patience = setTimeout(() => {
            this.#fail(attempt, 'The device did not answer in 20 seconds.');
        }, PATIENCE);
    }

    #packets(packets: Packet[]): void {
        for (const packet of packets) {
            switch (packet.kind) {
            case 'size':
                if (packet.width !== this.width || packet.height !== this.height) {
                    this.width = packet.width;
                    this.height = packet.height;
                    this.#relay?.resized();
                    this.send(encodeInputLock('query'));
                }
                break;
            case 'displays':
                this.displays = packet.ids.slice(0, 64);
                this.display = packet.selected ?? this.display;
                break;
            case 'cursor':
                this.cursor = packet.shape;
                break;
            case 'leds':
                this.caps = packet.caps;
                this.num = packet.num;
                break;
            case 'lock':
                this.inputLock = packet.locked;
                break;
            case 'alert':
            case 'message':
                if (!packet.text.startsWith('.')) {
                    this.says = packet.text;
                }
                break;
            default:
                continue;
            }
            this.changed();
        }
        this.dispatchEvent(new CustomEvent('packets', { detail: packets }));
    }

    #listen(relay: DesktopRelay, attempt: number): void {
        const mine = (): boolean => attempt === this.#attempt;
        let said = '';
        let asked = false;

        this.#relay = relay;
        relay.waiting = () => this.#wait();
        relay.addEventListener('open', () => {
            if (mine()) {
                clearTimeout(this.#patience);
                this.began = Date.now();
                this.recorded = false;
                this.arrived = true;
                this.allowed = 0;
                this.width = this.height = 0;
                this.#rate = { at: performance.now(), bytes: 0, frames: this.frames };
                this.dispatchEvent(new Event('fresh'));
                this.#turn('open', '');
                if (this.autolock) {
                    relay.control('autolock', { value: true });
                }
                relay.send(encodeGetDisplays());
            }
        });
        relay.addEventListener('recording', () => {
            this.recorded = true;
            this.changed();
        });
        relay.addEventListener('packets', (e) => {
            if (mine()) {
                this.#packets((e as CustomEvent<Packet[]>).detail);
            }
        });
        relay.addEventListener('console', (e) => {
            if (mine()) {
                const text = (e as CustomEvent<ConsoleText>).detail;
                asked ||= text.msgid === 1;
                if (asked && text.msg === null) {
                    this.allowed = Date.now();
                    asked = false;
                }
                said = text.msgid === 1 ? '' : consoleWords(text);
                this.says = consoleWords(text);
                this.changed();
            }
        });
        relay.addEventListener('users', (e) => {
            this.users = (e as CustomEvent<Record<string, number>>).detail;
            this.changed();
        });
        relay.addEventListener('device', (e) => {
            if (mine()) {
                clearTimeout(this.#patience);
                this.arrived = (e as CustomEvent<boolean>).detail;
                if (!this.arrived) {
                    this.#wonder(attempt);
                }
                this.changed();
            }
        });
        relay.addEventListener('broken', (e) => {
            this.#fail(attempt, `What the device sent is no picture: ${(e as CustomEvent<string>).detail}.`);
        });
        relay.addEventListener('delay', () => this.changed());
        relay.addEventListener('close', (e) => {
            said ||= closeWords((e as CustomEvent<number>).detail);
            if (!mine() || !this.running) {
                return;
            }
            clearTimeout(this.#patience);
            this.#relay = null;
            if (this.way.fell()) {
                void this.connect(true);
            } else if (this.state === 'open') {
                this.#turn(said ? 'failed' : 'ended', said || 'The device ended the session, or went away.');
            } else {
                this.#turn('failed', said || 'The server closed the connection before the device was there.');
            }
        });
    }
}

/** All desktops of this page; one a device. */
export class Desktops extends Kept<DesktopSession> {
    #control: Control;
    #base: string;
    #direct: () => boolean;

    constructor(control: Control, base: string, direct: () => boolean) {
        super();
        this.#control = control;
        this.#base = base;
        this.#direct = direct;
    }

    of(deviceId: string): DesktopSession | null {
        return this.first(deviceId);
    }

    open(deviceId: string, nodeId: string, rights: number): DesktopSession {
        return this.add(new DesktopSession(this.#control, deviceId, nodeId, rights, this.#base, this.#direct));
    }
}

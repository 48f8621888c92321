// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Control } from '../wire/control.ts';
import { randomHex } from '../wire/bytes.ts';
import { closeWords, Relay, type ConsoleText, type TerminalProtocol } from '../wire/relay.ts';
import { t } from '../i18n/index.ts';
import { ShellSession } from './shell.ts';
import { KnownHosts, SshSession, type SshTarget } from './ssh.ts';
import { Kept } from './kept.ts';

export type { SessionState } from './shell.ts';

/** No device answers after so long: say so. */
const PATIENCE = 20_000;

/** Texts of `console` messages by number. */
const CONSOLE: Record<number, string> = {
    1: 'Waiting for the person at the device to allow it.', 2: 'Refused at the device', 3: 'The terminal could not be started',
    4: 'The device waited too long for an answer.', 5: 'The device could not read what it was sent.',
};

export function consoleWords(text: ConsoleText): string {
    const known = CONSOLE[text.msgid];
    if (!known) {
        return text.msg ?? '';
    }
    if (text.msgid === 2 && text.msg) {
        return /^timeout$/i.test(text.msg) ? 'Nobody at the device has answered in time.'
            : /^denied$/i.test(text.msg) ? 'The person at the device has refused it.' : `${known}: ${text.msg}`;
    }
    return text.msgid === 3 && text.args.length ? `${known}: ${text.args.join(' ')}` : known;
}

/** One terminal of the agent. */
export class TerminalSession extends ShellSession {
    readonly protocol: TerminalProtocol;
    #control: Control;
    #nodeId: string;
    #base: string;
    #relay: Relay | null = null;
    #patience: ReturnType<typeof setTimeout> | undefined;
    #attempt = 0;

    constructor(control: Control, deviceId: string, nodeId: string, protocol: TerminalProtocol, base: string) {
        super(deviceId);
        this.#control = control;
        this.#nodeId = nodeId;
        this.protocol = protocol;
        this.#base = base;
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

    get name(): string {
        return this.protocol === 1 ? t('Agent') : t('Person');
    }

    async connect(): Promise<void> {
        const attempt = ++this.#attempt;
        const id = randomHex(16);

        this.#relay?.close();
        this.#relay = null;
        this.turn('asking', '');
        try {
            const cookies = await this.#control.ask('authcookie');
            if (attempt !== this.#attempt) {
                return;
            }
            const auth = encodeURIComponent(String(cookies['cookie'] ?? ''));
            const rauth = encodeURIComponent(String(cookies['rcookie'] ?? ''));
            const node = encodeURIComponent(this.#nodeId);
            const url = new URL(`meshrelay.ashx?browser=1&p=${this.protocol}&nodeid=${node}&id=${id}&auth=${auth}`, this.#base);
            url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';

            this.#listen(new Relay({ url: url.href, protocol: this.protocol, cols: this.cols, rows: this.rows }), attempt);
            await this.#control.ask('msg', {
                type: 'tunnel', nodeid: this.#nodeId, usage: this.protocol,
                value: `*/meshrelay.ashx?p=${this.protocol}&nodeid=${this.#nodeId}&id=${id}&rauth=${rauth}`,
            });
            if (attempt === this.#attempt && this.state === 'asking') {
                this.turn('waiting', '');
                this.#patience = setTimeout(() => {
                    this.#fail(attempt, 'The device did not answer in 20 seconds.');
                }, PATIENCE);
            }
        } catch (error) {
            const text = error instanceof Error ? error.message : String(error);
            this.#fail(attempt, text === 'Unable to route'
                ? 'The device cannot be reached now, or it may not be used for this.' : text);
        }
    }

    type(text: string): void {
        if (this.state === 'open') {
            this.#relay?.type(text);
        }
    }

    resize(cols: number, rows: number): void {
        this.cols = cols;
        this.rows = rows;
        this.#relay?.resize(cols, rows);
        this.changed();
    }

    /** An agent's tunnel has no window. */
    taken(): void {}

    disconnect(): void {
        this.#attempt++;
        this.#relay?.close();
        this.#relay = null;
        clearTimeout(this.#patience);
        if (this.running) {
            this.turn('ended', 'Disconnected.');
        }
    }

    #fail(attempt: number, why: string): void {
        if (attempt !== this.#attempt || !this.running) {
            return;
        }
        clearTimeout(this.#patience);
        this.#attempt++;
        this.#relay?.close();
        this.#relay = null;
        this.turn('failed', why);
    }

    #listen(relay: Relay, attempt: number): void {
        const mine = (): boolean => attempt === this.#attempt;
        let said = '';

        this.#relay = relay;
        relay.addEventListener('open', () => {
            if (mine()) {
                clearTimeout(this.#patience);
                this.began = Date.now();
                this.recorded = false;
                this.dispatchEvent(new Event('fresh'));
                this.turn('open', '');
            }
        });
        relay.addEventListener('recording', () => {
            this.recorded = true;
            this.changed();
        });
        relay.addEventListener('data', (e) => {
            if (mine()) {
                this.dispatchEvent(new CustomEvent('data', { detail: (e as CustomEvent<Uint8Array>).detail }));
            }
        });
        relay.addEventListener('console', (e) => {
            if (mine()) {
                const text = (e as CustomEvent<ConsoleText>).detail;
                said = text.msgid === 1 ? '' : consoleWords(text);
                this.says = consoleWords(text);
                this.changed();
            }
        });
        relay.addEventListener('delay', () => this.changed());
        relay.addEventListener('close', (e) => {
            said ||= closeWords((e as CustomEvent<number>).detail);
            if (!mine() || !this.running) {
                return;
            }
            clearTimeout(this.#patience);
            this.#relay = null;
            if (this.state === 'open') {
                this.turn(said ? 'failed' : 'ended', said || 'The shell has ended, or the device went away.');
            } else {
                this.turn('failed', said || 'The server closed the connection before the device was there.');
            }
        });
    }
}

/** All terminals of this page, by device. */
export class Sessions extends Kept<ShellSession> {
    readonly known: KnownHosts;
    #control: Control;
    #base: string;

    /** who: the id of who is signed in */
    constructor(control: Control, base: string, who: () => string) {
        super();
        this.#control = control;
        this.#base = base;
        this.known = new KnownHosts(() => localStorage, who);
    }

    of(deviceId: string): ShellSession[] {
        return this.list.filter((session) => session.deviceId === deviceId);
    }

    open(deviceId: string, nodeId: string, protocol: TerminalProtocol): TerminalSession {
        return this.add(new TerminalSession(this.#control, deviceId, nodeId, protocol, this.#base));
    }

    ssh(target: SshTarget): SshSession {
        return this.add(new SshSession(this.#control, target, this.#base, this.known));
    }
}

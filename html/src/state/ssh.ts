// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Control } from '../wire/control.ts';
import type { BadKey, HostKey, Login, LoginQuestion, Prompts, Ssh, SshFault } from '../wire/ssh.ts';
import { t } from '../i18n/index.ts';
import { ShellSession } from './shell.ts';

export type { HostKey, Login } from '../wire/ssh.ts';

/** What a shell is waiting for. */
export type SshQuestion =
    | { kind: 'host'; key: HostKey; known: HostKey | null; answer: (yes: boolean) => void }
    | { kind: 'login'; can: LoginQuestion; banner: string; answer: (login: Login | null) => void }
    | { kind: 'prompts'; ask: Prompts; answer: (answers: string[] | null) => void };

interface KnownHost extends HostKey {
    user: string;
}

/**
 * The keys that devices have shown, by who saw them: kept in this browser, as ssh keeps
 * known_hosts, so that no server can put another one there.
 */
export class KnownHosts {
    /** Throws where it is forbidden. */
    readonly #storage: () => Pick<Storage, 'getItem' | 'setItem'>;
    readonly #who: () => string;

    constructor(storage: () => Pick<Storage, 'getItem' | 'setItem'>, who: () => string) {
        this.#storage = storage;
        this.#who = who;
    }

    #name(nodeId: string, port: number): string {
        return `mesh-ssh ${this.#who()} ${nodeId} ${port}`;
    }

    get(nodeId: string, port: number): KnownHost | null {
        try {
            const value = JSON.parse(this.#storage().getItem(this.#name(nodeId, port)) ?? 'null') as Partial<KnownHost> | null;
            return typeof value?.type === 'string' && typeof value.fingerprint === 'string'
                ? { type: value.type, fingerprint: value.fingerprint, user: typeof value.user === 'string' ? value.user : '' } : null;
        } catch {
            return null;
        }
    }

    /** Without a place to keep it, the question comes again the next time. */
    set(nodeId: string, port: number, { type, fingerprint }: HostKey, user: string): void {
        try {
            this.#storage().setItem(this.#name(nodeId, port), JSON.stringify({ type, fingerprint, user }));
        } catch {
            /* full, or forbidden */
        }
    }
}

export interface SshTarget {
    deviceId: string;
    nodeId: string;
    user: string;
    port: number;
}

/** A shell of sshd on the device; the server passes on what it cannot read. */
export class SshSession extends ShellSession {
    readonly user: string;
    readonly port: number;
    question: SshQuestion | null = null;
    #nodeId: string;
    #control: Control;
    #base: string;
    #known: KnownHosts;
    #ssh: Ssh | null = null;
    #attempt = 0;

    constructor(control: Control, { deviceId, nodeId, user, port }: SshTarget, base: string, known: KnownHosts) {
        super(deviceId);
        this.user = user;
        this.port = port;
        this.#nodeId = nodeId;
        this.#control = control;
        this.#base = base;
        this.#known = known;
    }

    get name(): string {
        return `ssh ${this.user}${this.port === 22 ? '' : `:${this.port}`}`;
    }

    get delay(): number | null {
        return this.#ssh?.delay ?? null;
    }

    get received(): number {
        return this.#ssh?.received ?? 0;
    }

    get sent(): number {
        return this.#ssh?.sent ?? 0;
    }

    async connect(): Promise<void> {
        const attempt = ++this.#attempt;
        const mine = (): boolean => attempt === this.#attempt;

        this.#ssh?.close();
        this.#ssh = null;
        this.question = null;
        this.turn('asking', '');
        try {
            const [wire, cookies] = await Promise.all([import('../wire/ssh.ts'), this.#control.ask('authcookie')]);
            if (!mine()) {
                return;
            }
            const auth = encodeURIComponent(String(cookies['cookie'] ?? ''));
            const url = new URL(`meshrelay.ashx?auth=${auth}&nodeid=${encodeURIComponent(this.#nodeId)}&tcpport=${this.port}`, this.#base);
            url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';

            this.turn('waiting', '');
            await this.#run(new wire.Ssh({
                url: url.href, user: this.user, cols: this.cols, rows: this.rows,
                host: (key) => this.#host(key, mine),
                login: (can) => this.#ask<Login | null>(mine, null, (answer) => ({ kind: 'login', can, banner: this.#ssh?.banner ?? '', answer })),
                prompts: (ask) => this.#ask<string[] | null>(mine, null, (answer) => ({ kind: 'prompts', ask, answer })),
            }), mine);
        } catch (error) {
            if (mine()) {
                this.#over('failed', faultWords(error, this.port));
            }
        }
    }

    async #run(ssh: Ssh, mine: () => boolean): Promise<void> {
        this.#ssh = ssh;
        ssh.addEventListener('step', () => {
            if (mine() && ssh.step === 'shell') {
                this.began = Date.now();
                this.dispatchEvent(new Event('fresh'));
                this.turn('open', '');
                ssh.resize(this.cols, this.rows);
            }
        });
        ssh.addEventListener('data', (e) => {
            if (mine()) {
                this.dispatchEvent(new CustomEvent('data', { detail: (e as CustomEvent<Uint8Array>).detail }));
            }
        });
        ssh.addEventListener('delay', () => this.changed());
        await ssh.run();
        if (mine()) {
            this.#over('ended', typeof ssh.exit === 'string' ? t('The shell was ended by signal {name}.', { name: ssh.exit })
                : ssh.exit ? t('The shell has ended with status {n}.', { n: ssh.exit }) : t('The shell has ended.'));
        }
    }

    async #host(key: HostKey, mine: () => boolean): Promise<boolean> {
        const known = this.#known.get(this.#nodeId, this.port);

        if (known && known.type === key.type && known.fingerprint === key.fingerprint) {
            this.#known.set(this.#nodeId, this.port, key, this.user);
            return true;
        }
        const yes = await this.#ask<boolean>(mine, false, (answer) => ({ kind: 'host', key, known, answer }));
        if (yes) {
            this.#known.set(this.#nodeId, this.port, key, this.user);
        }
        return yes;
    }

    #ask<T>(mine: () => boolean, none: T, make: (answer: (value: T) => void) => SshQuestion): Promise<T> {
        if (!mine()) {
            return Promise.resolve(none);
        }
        return new Promise((resolve) => {
            const question: SshQuestion = make((value) => {
                if (this.question === question) {
                    this.question = null;
                    this.changed();
                }
                resolve(value);
            });
            this.question = question;
            this.changed();
        });
    }

    type(text: string): void {
        if (this.state === 'open') {
            this.#ssh?.type(text);
        }
    }

    resize(cols: number, rows: number): void {
        this.cols = cols;
        this.rows = rows;
        this.#ssh?.resize(cols, rows);
        this.changed();
    }

    taken(n: number): void {
        this.#ssh?.taken(n);
    }

    disconnect(): void {
        this.#attempt++;
        this.#ssh?.close();
        if (this.running) {
            this.#over('ended', t('Disconnected.'));
        }
    }

    #over(state: 'ended' | 'failed', says: string): void {
        this.#ssh = null;
        this.question = null;
        this.turn(state, says);
    }
}

/** A sentence for each way in which it can go wrong. */
export function faultWords(error: unknown, port: number): string {
    const code = (error as Partial<SshFault>).code;
    const detail = (error as Partial<SshFault>).detail ?? '';

    switch (code) {
    case 'relay': return detail ? t('Refused: {why}', { why: detail })
        : t('The server ended the connection before the device was there: it is away, or this port may not be reached.');
    case 'refused': return t('Nothing answers on port {port} of the device. Does sshd run there?', { port });
    case 'silent': return t('The device did not answer on port {port} in 20 seconds.', { port });
    case 'protocol': return t('What answers on port {port} does not speak SSH as it should: {why}', { port, why: detail });
    case 'algorithms': return t('There is no algorithm that both sides know. The device offers only: {list}', { list: detail });
    case 'signature': return t('The device could not prove that its key is its own. Somebody may be in between. Nothing was sent.');
    case 'host': return t('The key of the device was not accepted. Nothing was sent.');
    case 'methods': return t('The device takes neither a password nor a key from here, only: {list}', { list: detail || t('nothing') });
    case 'tries': return t('Too many wrong tries: the device ended the connection.');
    case 'expired': return t('The password has expired and must be changed at the device first.');
    case 'shell': return t('The device gives this user no terminal.');
    case 'lost': return t('The connection was lost: the device went away, or ended it.');
    case 'given up': return t('Not connected.');
    default: return error instanceof Error ? error.message : String(error);
    }
}

export function keyWords({ fault, detail }: BadKey): string {
    switch (fault) {
    case 'none': return t('This is not a private key. It begins with -----BEGIN OPENSSH PRIVATE KEY-----.');
    case 'format': return t('A key in the format {name} is not read here. ssh-keygen -p -f FILE writes it anew in its own.', { name: detail });
    case 'passphrase': return t('This key is locked with a passphrase.');
    case 'wrong': return t('The passphrase does not open this key.');
    case 'cipher': return t('This key is locked in a way that is not read here: {name}', { name: detail });
    case 'kind': return t('Keys of this kind are not used here: {name}', { name: detail });
    default: return t('This key is damaged.');
    }
}

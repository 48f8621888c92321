// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { Buffer } from 'buffer';
import type { KeyPair } from '@microsoft/dev-tunnels-ssh/algorithms/publicKeyAlgorithm.js';
import { SshAuthenticationType, type SshAuthenticatingEventArgs } from '@microsoft/dev-tunnels-ssh/events/sshAuthenticatingEventArgs.js';
import type { SshDataReader, SshDataWriter } from '@microsoft/dev-tunnels-ssh/io/sshData.js';
import { AuthenticationFailureMessage, AuthenticationInfoResponseMessage, AuthenticationMessage, AuthenticationRequestMessage } from '@microsoft/dev-tunnels-ssh/messages/authenticationMessages.js';
import { ChannelOpenMessage, ChannelRequestMessage } from '@microsoft/dev-tunnels-ssh/messages/connectionMessages.js';
import { KeyExchangeInitMessage } from '@microsoft/dev-tunnels-ssh/messages/kexMessages.js';
import { SshMessage } from '@microsoft/dev-tunnels-ssh/messages/sshMessage.js';
import { ServiceRequestMessage, SshDisconnectReason, UnimplementedMessage } from '@microsoft/dev-tunnels-ssh/messages/transportMessages.js';
import type { SshChannel } from '@microsoft/dev-tunnels-ssh/sshChannel.js';
import { SshClientSession } from '@microsoft/dev-tunnels-ssh/sshClientSession.js';
import { configuration } from './ssh-algorithms.ts';
import type { BadKey } from './ssh-key.ts';
import { RelayStream } from './ssh-stream.ts';

export type { BadKey, KeyFault } from './ssh-key.ts';

// two files of the library take it from there
(globalThis as { Buffer?: unknown }).Buffer ??= Buffer;

export interface HostKey {
    /** As ssh names it: ssh-ed25519, ecdsa-sha2-nistp256, ssh-rsa. */
    type: string;
    /** As `ssh-keygen -l` says it: SHA256:… */
    fingerprint: string;
}

export interface Prompts {
    name: string;
    instruction: string;
    prompts: { prompt: string; echo: boolean }[];
}

/** What the server lets one log in with, and how the last try ended. */
export interface LoginQuestion {
    password: boolean;
    key: boolean;
    /** The last try was with a key. */
    byKey: boolean;
    last: '' | 'refused' | 'more';
    /** The key that was given is none, or not for this. */
    badKey: BadKey | null;
}

export type Login = { password: string } | { key: string; passphrase: string };

export type SshFaultCode =
    | 'relay' | 'refused' | 'silent' | 'protocol' | 'algorithms' | 'signature' | 'host' | 'methods' | 'tries' | 'expired'
    | 'shell' | 'lost' | 'given up';

/** Why there is no shell, or none any more; `detail` is what the other side said. */
export class SshFault extends Error {
    readonly code: SshFaultCode;
    readonly detail: string;

    constructor(code: SshFaultCode, detail = '') {
        super(`ssh: ${code} ${detail}`);
        this.code = code;
        this.detail = detail;
    }
}

export interface SshOptions {
    url: string;
    user: string;
    cols: number;
    rows: number;
    /** Is that the device?  Nothing of the person goes to the other side before. */
    host: (key: HostKey) => Promise<boolean>;
    /** null: given up */
    login: (question: LoginQuestion) => Promise<Login | null>;
    prompts: (prompts: Prompts) => Promise<string[] | null>;
    socket?: (url: string) => WebSocket;
    /** How long the other side may take for each step before somebody is asked. */
    patience?: number;
}

/** How much may come that was not shown yet. */
const WINDOW = 1024 * 1024;
/** Texts of the other side are shown, so they have an end. */
const TEXT = 4096;
const PROMPTS = 8;
const PATIENCE = 20_000;

class BannerMessage extends SshMessage {
    text = '';

    override get messageType(): number {
        return 53;
    }

    protected override onRead(reader: SshDataReader): void {
        this.text = reader.readString('utf8').slice(0, TEXT);
    }
}

/** RFC 4256, 3.1: two more fields than the library writes, and sshd insists. */
class InteractiveRequest extends AuthenticationRequestMessage {
    protected override onWrite(writer: SshDataWriter): void {
        super.onWrite(writer);
        writer.writeString('', 'utf8');
        writer.writeString('', 'utf8');
    }
}

class PtyRequest extends ChannelRequestMessage {
    readonly #cols: number;
    readonly #rows: number;

    constructor(cols: number, rows: number) {
        super('pty-req', true);
        this.#cols = cols;
        this.#rows = rows;
    }

    protected override onWrite(writer: SshDataWriter): void {
        super.onWrite(writer);
        writer.writeString('xterm-256color', 'ascii');
        size(writer, this.#cols, this.#rows);
        writer.writeBinary(Buffer.from([0]));       // no modes but the server's own
    }
}

class WindowChange extends ChannelRequestMessage {
    readonly #cols: number;
    readonly #rows: number;

    constructor(cols: number, rows: number) {
        super('window-change', false);
        this.#cols = cols;
        this.#rows = rows;
    }

    protected override onWrite(writer: SshDataWriter): void {
        super.onWrite(writer);
        size(writer, this.#cols, this.#rows);
    }
}

function size(writer: SshDataWriter, cols: number, rows: number): void {
    for (const n of [cols, rows, 0, 0]) {
        writer.writeUInt32(n);
    }
}

/** What the library keeps to itself. */
interface Inside {
    kexService: { exchanging: boolean; startKeyExchange: (initial: boolean) => Promise<[SshMessage, SshMessage | null]> };
    protocol?: { sendMessage: (message: SshMessage) => Promise<boolean> };
    versionExchangePromise?: Promise<void>;
}

/** The library's session, and what servers do that it does not expect. */
class Session extends SshClientSession {
    methods: string[] = [];
    partial = false;
    onBanner: (text: string) => void = () => {};
    onUnknown: (type: number) => void = () => {};
    onUnsent: (error: unknown) => void = () => {};

    override async sendMessage(message: SshMessage): Promise<void> {
        let whole = message;

        if (message.constructor === AuthenticationRequestMessage && (message as AuthenticationRequestMessage).methodName === 'keyboard-interactive' as never) {
            whole = Object.assign(new InteractiveRequest(), message);
        }
        try {
            await super.sendMessage(whole);
        } catch (error) {
            // of these the library asks nobody how they ended
            if (!(message instanceof AuthenticationMessage || message instanceof ServiceRequestMessage)) {
                throw error;
            }
            this.onUnsent(error);
        }
    }

    override async handleMessage(message: SshMessage): Promise<void> {
        if (message instanceof BannerMessage) {
            this.onBanner(message.text);
            return;
        }
        if (message instanceof AuthenticationFailureMessage) {
            this.methods = message.methodNames ?? [];
            this.partial = message.partialSuccess;
        }
        if (message instanceof UnimplementedMessage && message.unimplementedMessageType !== undefined) {
            this.onUnknown(message.unimplementedMessageType);
        }
        const { kexService, protocol } = this as unknown as Inside;
        if (message instanceof KeyExchangeInitMessage && !kexService.exchanging && protocol) {
            // new keys by the server's wish: the library begins only by its own
            await protocol.sendMessage((await kexService.startKeyExchange(false))[0]);
        }
        await super.handleMessage(message);
    }
}

/**
 * A shell on the far side of a relay, end to end: what goes through the server is
 * encrypted for the device.
 *
 * Events: `step` (the field changed), `data` (detail Uint8Array; `taken` says when it
 * was shown), `delay`.
 */
export class Ssh extends EventTarget {
    step: 'relay' | 'host' | 'login' | 'shell' = 'relay';
    /** What the server says of itself before one is in. */
    banner = '';
    exit: number | string | undefined;
    readonly #options: SshOptions;
    readonly #stream: RelayStream;
    #session: Session | null = null;
    #channel: SshChannel | null = null;
    #shown = 0;
    #end: (fault: SshFault | null) => void = () => {};
    readonly #ended: Promise<SshFault | null>;
    #over = false;
    #leaving = false;
    #patience: ReturnType<typeof setTimeout> | undefined;
    #typing = Promise.resolve();

    constructor(options: SshOptions) {
        super();
        this.#options = options;
        this.#stream = new RelayStream((options.socket ?? ((url) => new WebSocket(url)))(options.url));
        this.#stream.onDelay = () => this.dispatchEvent(new Event('delay'));
        this.#ended = new Promise((resolve) => {
            this.#end = (fault) => {
                this.#over = true;
                clearTimeout(this.#patience);
                resolve(fault);
            };
        });
    }

    get delay(): number | null {
        return this.#stream.delay;
    }

    get received(): number {
        return this.#stream.received;
    }

    get sent(): number {
        return this.#stream.sent;
    }

    /** From the relay to the end of the shell. @throws {SshFault} */
    async run(): Promise<void> {
        // a question that nobody answers any more keeps it waiting for ever
        this.#work().catch((error: unknown) => this.#end(this.#faultOf(error)));

        const fault = await this.#ended;
        this.#session?.dispose();
        this.#stream.dispose();
        if (fault) {
            throw fault;
        }
    }

    /** Ends it, whatever it is at; `run` returns. */
    close(): void {
        const session = this.#session;

        this.#leaving = true;
        if (session?.isConnected && !this.#over) {
            void session.close(SshDisconnectReason.byApplication, 'disconnected by the user').finally(() => this.#end(null));
        } else {
            this.#end(null);
        }
    }

    type(text: string): void {
        const channel = this.#channel;
        if (channel && !this.#over) {
            this.#typing = this.#typing.then(() => channel.send(Buffer.from(text, 'utf8'))).catch(() => {});
        }
    }

    resize(cols: number, rows: number): void {
        this.#options.cols = cols;
        this.#options.rows = rows;
        if (this.#channel && !this.#over) {
            this.#channel.request(new WindowChange(cols, rows)).catch(() => {});
        }
    }

    /** So many bytes of `data` have been shown: as many more may come. */
    taken(n: number): void {
        this.#shown -= n;
        this.#channel?.adjustWindow(n);
    }

    async #work(): Promise<void> {
        this.#wait('silent');
        await this.#stream.ready;

        const config = await configuration();
        config.messages.set(53, BannerMessage);
        const session = this.#session = new Session(config);
        session.onBanner = (text) => {
            this.banner = (this.banner + text).slice(0, TEXT);
        };
        // a request for a new password has the number of no message that we know
        session.onUnknown = (type) => this.step === 'login' && type === 60 && this.#end(new SshFault('expired'));
        session.onAuthenticating((event) => this.#authenticating(event));
        session.onClosed((event) => this.#closed(event.reason, event.message));

        session.onUnsent = () => this.#end(new SshFault('lost'));

        const connected = session.connect(this.#stream);
        // who reads the version is not awaited when writing fails first
        (session as unknown as Inside).versionExchangePromise?.catch(() => {});
        await connected;
        clearTimeout(this.#patience);
        this.#turn('host');
        if (!await session.authenticateServer()) {
            throw new SshFault('host');
        }
        this.#turn('login');
        await this.#login(session);
        await this.#shell(session);
    }

    #turn(step: Ssh['step']): void {
        this.step = step;
        this.dispatchEvent(new Event('step'));
    }

    #wait(code: SshFaultCode): void {
        clearTimeout(this.#patience);
        this.#patience = setTimeout(() => this.#end(new SshFault(code)), this.#options.patience ?? PATIENCE);
    }

    #authenticating(event: SshAuthenticatingEventArgs): void {
        if (event.authenticationType === SshAuthenticationType.serverPublicKey && event.publicKey) {
            event.authenticationPromise = this.#known(event.publicKey);
        } else if (event.authenticationType === SshAuthenticationType.clientInteractive) {
            event.authenticationPromise = this.#answer(event);
        }
    }

    async #known(key: KeyPair): Promise<object | null> {
        const blob = await key.getPublicKeyBytes() as Uint8Array<ArrayBuffer>;
        const hash = Buffer.from(await crypto.subtle.digest('SHA-256', blob)).toString('base64').replace(/=+$/, '');
        const yes = await this.#options.host({ type: key.keyAlgorithmName, fingerprint: `SHA256:${hash}` });
        return yes ? {} : null;
    }

    /** Tries until one is in; each wrong one is asked for again. */
    async #login(session: Session): Promise<void> {
        const username = this.#options.user;
        let last: LoginQuestion['last'] = '';
        let badKey: BadKey | null = null;
        let byKey = false;

        this.#only('none');
        if (await this.#try(session, { username })) {
            return;
        }
        for (;;) {
            const can = (method: string): boolean => session.methods.includes(method);
            const question = { password: can('password') || can('keyboard-interactive'), key: can('publickey'), byKey, last, badKey };
            if (!question.password && !question.key) {
                throw new SshFault('methods', session.methods.join(', ').slice(0, TEXT));
            }
            const login = await this.#options.login(question);
            if (!login) {
                throw new SshFault('given up');
            }
            session.partial = false;
            badKey = null;
            byKey = 'key' in login;
            if ('key' in login) {
                const key = await this.#read(login.key, login.passphrase);
                if ('fault' in key) {
                    badKey = key;
                    last = '';
                    continue;
                }
                this.#only('publickey');
                if (await this.#try(session, { username, publicKeys: [key] })) {
                    return;
                }
            } else if (can('password')) {
                this.#only('password');
                if (await this.#try(session, { username, passwordProvider: () => Promise.resolve([username, login.password]) })) {
                    return;
                }
            } else {
                this.#only('keyboard-interactive');
                this.#password = login.password;
                if (await this.#try(session, { username })) {
                    return;
                }
            }
            last = session.partial ? 'more' : 'refused';
        }
    }

    async #read(text: string, passphrase: string): Promise<KeyPair | BadKey> {
        // with the hash of bcrypt, which nobody else needs
        const { BadKey, readPrivateKey } = await import('./ssh-key.ts');

        return readPrivateKey(text, passphrase).catch((error: unknown) => (error instanceof BadKey ? error : new BadKey('broken')));
    }

    /** The password answers the first question that hides what is typed. */
    #password: string | null = null;

    #only(method: string): void {
        this.#session?.config.authenticationMethods.splice(0, Infinity, method as never);
    }

    async #try(session: Session, credentials: Parameters<Session['authenticateClient']>[0]): Promise<boolean> {
        const result = await Promise.race([session.authenticateClient(credentials), this.#ended]);

        if (typeof result !== 'boolean') {
            throw result ?? new SshFault('given up');
        }
        this.#password = null;
        return result;
    }

    async #answer(event: SshAuthenticatingEventArgs): Promise<object | null> {
        const request = event.infoRequest;
        const prompts = (request?.prompts ?? []).map(({ prompt, echo }) => ({ prompt: prompt.slice(0, TEXT), echo }));
        let answers: string[] | null;

        if (prompts.length > PROMPTS) {
            this.#end(new SshFault('protocol', 'too many questions'));
            return null;
        }
        if (!prompts.length) {
            answers = [];
        } else if (prompts.length === 1 && !prompts[0]?.echo && this.#password !== null) {
            answers = [this.#password];
            this.#password = null;
        } else {
            answers = await this.#options.prompts({
                name: (request?.name ?? '').slice(0, TEXT), instruction: (request?.instruction ?? '').slice(0, TEXT), prompts,
            });
        }
        if (!answers) {
            this.#end(new SshFault('given up'));
            return null;
        }
        const response = new AuthenticationInfoResponseMessage();
        response.responses = answers;
        event.infoResponse = response;
        return null;
    }

    async #shell(session: Session): Promise<void> {
        const open = new ChannelOpenMessage();
        open.channelType = 'session';
        open.maxWindowSize = WINDOW;

        this.#wait('silent');
        const channel = await session.openChannel(open, null);
        const put = (data: Buffer): void => this.#data(channel, data);

        channel.onDataReceived(put);
        channel.onExtendedDataReceived((event) => put(event.data));
        channel.onClosed((event) => {
            this.exit = event.exitStatus ?? event.exitSignal;
            void session.close(SshDisconnectReason.byApplication, 'the shell has ended').finally(() => this.#end(null));
        });
        if (!await channel.request(new PtyRequest(this.#options.cols, this.#options.rows))
            || !await channel.request(new ChannelRequestMessage('shell', true))) {
            throw new SshFault('shell');
        }
        clearTimeout(this.#patience);
        this.#channel = channel;
        this.#turn('shell');
    }

    #data(channel: SshChannel, data: Buffer): void {
        if (this.#over) {
            return;
        }
        this.#shown += data.length;
        if (this.#shown > WINDOW) {
            this.#end(new SshFault('protocol', 'more data than the window'));
            return;
        }
        this.#channel ??= channel;
        // the library reads the next message into the same bytes
        this.dispatchEvent(new CustomEvent('data', { detail: Uint8Array.from(data) }));
    }

    #closed(reason: SshDisconnectReason, message: string): void {
        if (this.#leaving || (reason === SshDisconnectReason.byApplication && this.#channel)) {
            this.#end(null);
        } else if (reason === SshDisconnectReason.hostKeyNotVerifiable) {
            this.#end(new SshFault('host'));
        } else if (reason === SshDisconnectReason.noMoreAuthMethodsAvailable || /too many authentication failures/i.test(message)) {
            this.#end(new SshFault('tries'));
        } else {
            this.#end(new SshFault(reason === SshDisconnectReason.connectionLost ? 'lost' : 'protocol', message.slice(0, TEXT)));
        }
    }

    #faultOf(error: unknown): SshFault {
        const text = error instanceof Error ? error.message : String(error);

        if (error instanceof SshFault) {
            return error;
        }
        if (!this.#stream.began) {
            return new SshFault('relay', this.#stream.said);
        }
        const negotiation = /^Failed (\w+) negotiation: Server \(([^)]*)\)/.exec(text);
        if (negotiation) {
            return new SshFault('algorithms', (negotiation[2] ?? '').slice(0, TEXT));
        }
        if (/public key verification/.test(text)) {
            return new SshFault('signature');
        }
        if (this.step === 'relay' && !this.#stream.received) {
            return this.#stream.said && !this.#stream.refused ? new SshFault('relay', this.#stream.said) : new SshFault('refused');
        }
        return new SshFault(this.step === 'relay' ? 'protocol' : 'lost', text.slice(0, TEXT));
    }
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { backoff } from './backoff.ts';
import { shortId } from './bytes.ts';

/** One JSON message of the control channel. */
export interface Message {
    action: string;
    [member: string]: unknown;
}

/** An event pushed by the server, without its envelope. */
export interface PushEvent {
    action: string;
    nodeid?: string;
    meshid?: string;
    [member: string]: unknown;
}

export type ControlState =
    | { kind: 'idle' }
    | { kind: 'connecting' }
    | { kind: 'live' }
    | { kind: 'waiting'; until: number; since: number }
    | { kind: 'out'; reason: string };

/** The reply said no; its text is the server's, in English. */
export class RefusedError extends Error {
    readonly reply: Message;

    constructor(text: string, reply: Message) {
        super(text);
        this.name = 'RefusedError';
        this.reply = reply;
    }
}

/** The request was not answered: too late, or the connection went. */
export class NoAnswerError extends Error {
    constructor(text: string) {
        super(text);
        this.name = 'NoAnswerError';
    }
}

interface Pending {
    action: string;
    about: string;
    until: (message: Message) => boolean;
    resolve: (message: Message) => void;
    reject: (error: Error) => void;
    timer: ReturnType<typeof setTimeout>;
}

export interface RequestOptions {
    timeout?: number;
    /** Which message with our tag is the answer; the first, when left out. */
    until?: (message: Message) => boolean;
}

interface SocketLike {
    readyState: number;
    onopen: (() => void) | null;
    onmessage: ((event: { data: unknown }) => void) | null;
    onclose: ((event: { code: number; reason: string }) => void) | null;
    onerror: (() => void) | null;
    send(data: string): void;
    close(): void;
}

export interface ControlOptions {
    url: string;
    /** Is there still a session? Asked when a connection closed before it was live. */
    signedIn: () => Promise<boolean>;
    socket?: (url: string) => SocketLike;
    random?: () => number;
}

/** Texts of `result` that mean success, in the many ways of the protocol. */
const FINE = /^(?:ok$|used \d|added user|removed user|.*(?:added|removed) user )/i;

const PING = 25_000;
const ANSWER = 15_000;

/**
 * The one WebSocket of the page.  Requests carry a number in `tag` and
 * `responseid` and are matched by either; the few replies of the protocol that
 * bring back neither are matched by action and object, oldest first.
 *
 * Events: `state`, `event` (detail PushEvent), `message` (detail Message: all else
 * that nobody asked for).
 */
export class Control extends EventTarget {
    #options: ControlOptions;
    #socket: SocketLike | null = null;
    #pending = new Map<string, Pending>();
    #state: ControlState = { kind: 'idle' };
    #serial = 0;
    #tries = 0;
    #since = 0;
    #retry: ReturnType<typeof setTimeout> | undefined;
    #ping: ReturnType<typeof setInterval> | undefined;
    #heard = 0;

    constructor(options: ControlOptions) {
        super();
        this.#options = options;
    }

    get state(): ControlState {
        return this.#state;
    }

    /** Connects, and stays connected until `stop`. */
    start(): void {
        if (this.#socket || this.#state.kind === 'connecting') {
            return;
        }
        clearTimeout(this.#retry);
        this.#connect();
    }

    /** Tries at once when a wait is running: the machine woke, the network is back. */
    hurry(): void {
        if (this.#state.kind === 'waiting') {
            clearTimeout(this.#retry);
            this.#connect();
        }
    }

    stop(reason: string): void {
        clearTimeout(this.#retry);
        this.#drop('The connection was closed.');
        this.#set({ kind: 'out', reason });
    }

    /** Sends without waiting for an answer; false when there is no connection. */
    send(message: Message): boolean {
        if (!this.#socket || this.#state.kind !== 'live') {
            return false;
        }
        this.#socket.send(JSON.stringify(message));
        return true;
    }

    /** @throws {NoAnswerError} */
    request(action: string, members: Record<string, unknown> = {}, options: RequestOptions = {}): Promise<Message> {
        const id = `u${++this.#serial}`;

        return new Promise((resolve, reject) => {
            if (!this.send({ action, ...members, tag: id, responseid: id })) {
                reject(new NoAnswerError('There is no connection to the server now.'));
                return;
            }
            const timer = setTimeout(() => {
                this.#pending.delete(id);
                reject(new NoAnswerError('The server did not answer in time.'));
            }, options.timeout ?? ANSWER);

            this.#pending.set(id, {
                action,
                about: about({ action, ...members }),
                until: options.until ?? (() => true),
                resolve,
                reject,
                timer,
            });
        });
    }

    /**
     * As `request`, and a `result` other than success is an error.
     * @throws {RefusedError | NoAnswerError}
     */
    async ask(action: string, members: Record<string, unknown> = {}, options: RequestOptions = {}): Promise<Message> {
        const reply = await this.request(action, members, options);
        const result = reply['result'];

        if (typeof result === 'string' && !FINE.test(result)) {
            throw new RefusedError(result, reply);
        }
        return reply;
    }

    #set(state: ControlState): void {
        this.#state = state;
        this.dispatchEvent(new Event('state'));
    }

    #connect(): void {
        const make = this.#options.socket ?? ((url) => new WebSocket(url) as unknown as SocketLike);
        const socket = make(this.#options.url);
        let live = false;

        this.#socket = socket;
        if (this.#state.kind !== 'waiting') {
            this.#set({ kind: 'connecting' });
        }
        socket.onmessage = (event) => {
            if (this.#socket !== socket || typeof event.data !== 'string') {
                return;
            }
            this.#heard = Date.now();
            const message = parse(event.data);
            if (!message) {
                return;
            }
            if (message.action === 'close') {
                this.#ended(socket);
                return;
            }
            if (!live) {
                live = true;
                this.#tries = 0;
                this.#ping = setInterval(() => this.#keepAlive(socket), PING);
                this.#set({ kind: 'live' });
            }
            this.#receive(message);
        };
        socket.onclose = () => this.#ended(socket);
        socket.onerror = () => {};
    }

    #keepAlive(socket: SocketLike): void {
        if (Date.now() - this.#heard > 2.5 * PING) {
            this.#ended(socket);
            return;
        }
        this.send({ action: 'ping' });
    }

    #drop(why: string): void {
        const socket = this.#socket;

        this.#socket = null;
        clearInterval(this.#ping);
        if (socket) {
            socket.onmessage = socket.onclose = socket.onopen = null;
            socket.close();
        }
        for (const [id, pending] of this.#pending) {
            clearTimeout(pending.timer);
            this.#pending.delete(id);
            pending.reject(new NoAnswerError(why));
        }
    }

    #ended(socket: SocketLike): void {
        if (this.#socket !== socket) {
            return;
        }
        const wasLive = this.#state.kind === 'live';

        this.#drop('The connection to the server was lost.');
        if (wasLive || !this.#since) {
            this.#since = Date.now();
        }
        const wait = backoff(this.#tries++, this.#options.random);
        this.#set({ kind: 'waiting', until: Date.now() + wait, since: this.#since });

        // A session that ended must not knock for ever: ask by HTTP, where the
        // answer is a word and not a closed socket.
        void this.#options.signedIn().then(
            (yes) => {
                if (!yes && this.#state.kind === 'waiting') {
                    this.stop('ended');
                }
            },
            () => {},
        );
        this.#retry = setTimeout(() => {
            if (this.#state.kind === 'waiting') {
                this.#connect();
            }
        }, wait);
    }

    #receive(message: Message): void {
        if (message.action === 'ping') {
            this.send({ action: 'pong' });
            return;
        }
        if (message.action === 'pong') {
            return;
        }
        if (message.action === 'event') {
            const event = message['event'];
            if (event && typeof event === 'object' && 'action' in event) {
                this.dispatchEvent(new CustomEvent('event', { detail: event as PushEvent }));
            }
            return;
        }

        const id = this.#match(message);
        const pending = id === undefined ? undefined : this.#pending.get(id);
        if (pending && id !== undefined) {
            if (pending.until(message)) {
                clearTimeout(pending.timer);
                this.#pending.delete(id);
                pending.resolve(message);
            }
            return;
        }
        this.dispatchEvent(new CustomEvent('message', { detail: message }));
    }

    #match(message: Message): string | undefined {
        for (const key of ['responseid', 'tag']) {
            const id = message[key];
            if (typeof id === 'string' && this.#pending.has(id)) {
                return id;
            }
        }
        if (message['responseid'] !== undefined || message['tag'] !== undefined || message.action === 'msg') {
            return undefined;
        }
        const object = about(message);
        for (const [id, pending] of this.#pending) {
            if (pending.action === message.action && pending.about === object) {
                return id;
            }
        }
        return undefined;
    }
}

function parse(text: string): Message | null {
    try {
        const value: unknown = JSON.parse(text);
        if (value && typeof value === 'object' && typeof (value as Message).action === 'string') {
            return value as Message;
        }
    } catch {
        /* not JSON: nothing that this page knows */
    }
    return null;
}

/** What a message is about, for replies that bring back nothing else. */
function about(message: Message): string {
    const id = message['nodeid'] ?? message['id'];
    return typeof id === 'string' ? shortId(id) : '';
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Control, Message } from '../wire/control.ts';
import { backoff } from '../wire/backoff.ts';
import { Call } from '../wire/call.ts';
import { messengerId, MessengerWire, readTag, type Block, type Said } from '../wire/messenger.ts';
import { Parcels, type Parcel } from './parcels.ts';
import { str } from './read.ts';
import { Store } from './store.ts';
import type { Sink } from './transfers.ts';

export type ChatState = 'asking' | 'waiting' | 'open' | 'lost' | 'ended' | 'refused' | 'failed';

export interface Line {
    key: number;
    from: 'me' | 'peer' | 'note';
    text: string;
    at: number;
    parcel?: Parcel;
}

/** The most that is kept, said at once, and waited for. */
const LINES = 1000;
export const TEXT = 4000;
/** Somebody who was invited has so long to answer; one who went, to come back. */
const ANSWER = 600_000;
const RETURN = 60_000;
const JOIN = 20_000;
const TYPING = 6000;
const POLICY = 1008;
/** Conversations of this page, and invitations, at a time. */
const CHATS = 50;
const INVITATIONS = 5;
const REFUSAL = 10_000;

/** What is seen of a text: no characters that change the order or hide. */
export function cleanText(text: string): string {
    // eslint-disable-next-line no-control-regex
    return text.replace(/\r\n?/g, '\n').replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '').slice(0, TEXT);
}

/** The name in an id: `user//mei` is `mei`. */
export function idName(id: string): string {
    return cleanText(id.slice(id.lastIndexOf('/') + 1)).slice(0, 128);
}

export interface Ends {
    called: string;
    caller: string;
}

interface ChatOptions extends Ends {
    base: string;
    /** Is this page's end that of who was called? */
    answers: boolean;
    /** What lets it in: a ticket of somebody at a device, or a way to get an account's. */
    ticket: string | (() => Promise<string>);
    /** Asks the other side; only who calls has it. */
    invite?: () => Promise<void>;
    socket?: (url: string) => WebSocket;
}

/** A conversation with one other side.  Events: `change`. */
export class Chat extends Store {
    readonly called: string;
    readonly caller: string;
    readonly answers: boolean;
    readonly key: string;
    state: ChatState = 'ended';
    /** Why it is so, when the state alone does not say it. */
    says = '';
    recorded = false;
    lines: Line[] = [];
    unread = 0;
    /** Somebody looks at it. */
    shown = false;
    typing = false;
    peerName = '';
    readonly call: Call;
    #options: ChatOptions;
    #parcels: Parcels;
    #wire: MessengerWire | null = null;
    #attempt = 0;
    #tries = 0;
    #until = 0;
    #again: ReturnType<typeof setTimeout> | undefined;
    #quiet: ReturnType<typeof setTimeout> | undefined;
    #told: ReturnType<typeof setTimeout> | undefined;
    #serial = 0;

    constructor(options: ChatOptions) {
        super();
        this.#options = options;
        this.called = options.called;
        this.caller = options.caller;
        this.answers = options.answers;
        this.key = messengerId(options.called, options.caller);
        this.peerName = idName(this.peer);
        this.call = new Call({ say: (action, members) => void this.#wire?.say(action, members) });
        this.call.addEventListener('change', () => this.changed());
        this.#parcels = new Parcels(
            (action, members) => this.#wire?.say(action, members) ?? false,
            (id, data) => this.#wire?.send(id, data) ?? false,
            (parcel) => this.#parcel(parcel),
        );
    }

    /** The id of the other side. */
    get peer(): string {
        return this.answers ? this.caller : this.called;
    }

    get running(): boolean {
        return this.state === 'asking' || this.state === 'waiting' || this.state === 'open' || this.state === 'lost';
    }

    /** Invites the other side, and waits for it. */
    async invite(): Promise<void> {
        if (this.state === 'asking' || this.state === 'open') {
            return;
        }
        const attempt = this.#begin('asking', ANSWER);
        try {
            await this.#options.invite?.();
        } catch (error) {
            if (attempt === this.#attempt) {
                this.#turn('failed', error instanceof Error ? error.message : String(error));
            }
            return;
        }
        if (attempt === this.#attempt) {
            this.#turn('waiting', '');
            void this.#connect(attempt);
        }
    }

    /** Accepts: goes to where the other side waits. */
    join(): void {
        if (this.state !== 'open' && this.state !== 'asking') {
            void this.#connect(this.#begin('asking', JOIN));
        }
    }

    /** Ends it here; the other side is told. */
    leave(): void {
        this.#wire?.say('bye');
        this.#stop();
        if (this.running) {
            this.#note('left');
            this.#turn('ended', '');
        }
    }

    /** It cannot begin, or go on, for a reason that was told elsewhere. */
    fail(why: string): void {
        if (this.state === 'asking' || this.state === 'waiting') {
            this.#stop();
            this.#turn('failed', why);
        }
    }

    say(text: string): boolean {
        const clean = cleanText(text).trim();
        if (!clean || !this.#wire?.say('chat', { msg: clean })) {
            return false;
        }
        clearTimeout(this.#told);
        this.#told = undefined;
        this.#line('me', clean);
        return true;
    }

    /** The person writes: told at once, and that it stopped. */
    types(): void {
        if (this.#told === undefined) {
            this.#wire?.say('outtext', { value: true });
        }
        clearTimeout(this.#told);
        this.#told = setTimeout(() => {
            this.#told = undefined;
            this.#wire?.say('outtext', { value: false });
        }, 3000);
    }

    /** How many of them found no place. */
    offer(files: readonly { file: File; name: string }[]): number {
        return this.state === 'open' ? files.filter(({ file, name }) => !this.#parcels.offer(file, name)).length : files.length;
    }

    accept(parcel: Parcel, sink: Sink): void {
        this.#parcels.accept(parcel, sink);
    }

    cancel(parcel: Parcel): void {
        this.#parcels.cancel(parcel);
    }

    look(shown: boolean): void {
        this.shown = shown;
        if (shown && this.unread) {
            this.unread = 0;
            this.changed();
        }
    }

    #begin(state: ChatState, patience: number): number {
        this.#stop();
        this.#tries = 0;
        this.#until = Date.now() + patience;
        this.#turn(state, '');
        return this.#attempt;
    }

    #stop(): void {
        this.#attempt++;
        clearTimeout(this.#again);
        clearTimeout(this.#told);
        this.#told = undefined;
        const wire = this.#wire;
        this.#wire = null;
        wire?.close();
        this.#gone();
    }

    /** The other side is not there any more. */
    #gone(): void {
        clearTimeout(this.#quiet);
        this.typing = false;
        this.call.drop();
        this.#parcels.drop();
    }

    async #connect(attempt: number): Promise<void> {
        const { ticket, base, socket } = this.#options;
        let pass: string;

        try {
            pass = typeof ticket === 'string' ? `rauth=${encodeURIComponent(ticket)}` : `auth=${encodeURIComponent(await ticket())}`;
        } catch {
            this.#retry(attempt, 'The server cannot be reached.');
            return;
        }
        if (attempt !== this.#attempt) {
            return;
        }
        const url = new URL(`meshrelay.ashx?id=${this.key}&${pass}`, base);
        url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';
        const wire = socket ? new MessengerWire(url.href, socket) : new MessengerWire(url.href);
        const mine = (): boolean => attempt === this.#attempt && wire === this.#wire;

        this.#wire = wire;
        wire.addEventListener('up', () => {
            if (mine() && this.state === 'asking') {
                this.#turn('waiting', '');
            }
        });
        wire.addEventListener('open', (e) => {
            if (mine()) {
                this.#tries = 0;
                this.recorded = (e as CustomEvent<boolean>).detail;
                if (this.answers) {
                    wire.say('accept');
                    this.#here();
                }
            }
        });
        wire.addEventListener('said', (e) => {
            if (mine()) {
                this.#said((e as CustomEvent<Said>).detail);
            }
        });
        wire.addEventListener('block', (e) => {
            if (mine()) {
                const { id, data } = (e as CustomEvent<Block>).detail;
                this.#parcels.block(id, data);
            }
        });
        wire.addEventListener('close', (e) => {
            if (mine()) {
                this.#wire = null;
                this.#closed(attempt, (e as CustomEvent<number>).detail, wire.wasUp);
            }
        });
    }

    #closed(attempt: number, code: number, wasUp: boolean): void {
        const was = this.state;

        this.#gone();
        if (code === POLICY) {
            this.#stop();
            this.#turn(was === 'open' ? 'ended' : 'failed', was === 'open'
                ? 'It was ended by the server: somebody ended it, or the right to it is gone.'
                : 'It is open in another window, or it is not allowed any more.');
            return;
        }
        if (code === 1009) {
            this.#stop();
            this.#turn('ended', 'The other side sent what nobody can read.');
            return;
        }
        if (was === 'open') {
            this.#until = Date.now() + RETURN;
            this.#note('lost');
            this.#turn('lost', '');
        }
        if (!wasUp && typeof this.#options.ticket === 'string' && was !== 'open' && was !== 'lost') {
            this.#stop();
            this.#turn('failed', 'This invitation is not valid any more, or the server cannot be reached.');
            return;
        }
        this.#retry(attempt, wasUp ? '' : 'The server does not let this in, or it cannot be reached.');
    }

    /** The server lets a lone end go after a while: it comes again until its time is over. */
    #retry(attempt: number, why: string): void {
        if (attempt !== this.#attempt) {
            return;
        }
        const wait = why ? backoff(this.#tries++) : 500;
        if (Date.now() + wait > this.#until || (why && this.#tries > 6 && this.state !== 'lost')) {
            const { state } = this;
            this.#stop();
            this.#turn(state === 'lost' ? 'ended' : 'failed', why || (state === 'lost' ? 'The other side did not come back.'
                : this.answers ? 'The other side is not waiting any more.' : 'Nobody answered.'));
            return;
        }
        this.#again = setTimeout(() => void this.#connect(attempt), wait);
    }

    #here(): void {
        this.#note('here');
        this.#turn('open', '');
    }

    #said(said: Said): void {
        if (this.state !== 'open') {
            // nothing else counts before who was invited has said yes
            if (said.action === 'accept') {
                this.#here();
            } else if (said.action === 'refuse') {
                this.#stop();
                this.#note('refused');
                this.#turn('refused', '');
            }
            return;
        }
        switch (said.action) {
        case 'chat': {
            const text = cleanText(str(said['msg']));
            this.#isTyping(false);
            if (text.trim()) {
                this.#line('peer', text);
            }
            return;
        }
        case 'outtext': this.#isTyping(said['value'] === true); return;
        case 'bye':
            this.#stop();
            this.#note('bye');
            this.#turn('ended', '');
            return;
        }
        if (this.#parcels.said(said)) {
            return;
        }
        if (!this.recorded) {
            this.call.said(said.action, said);
        }
    }

    #isTyping(on: boolean): void {
        clearTimeout(this.#quiet);
        if (on) {
            this.#quiet = setTimeout(() => this.#isTyping(false), TYPING);
        }
        if (this.typing !== on) {
            this.typing = on;
            this.changed();
        }
    }

    #parcel(parcel: Parcel): void {
        if (!this.lines.some((line) => line.parcel === parcel)) {
            this.#line(parcel.mine ? 'me' : 'peer', '', parcel);
        }
        this.changed();
    }

    #note(what: string): void {
        this.#line('note', what);
    }

    #line(from: Line['from'], text: string, parcel?: Parcel): void {
        if (this.lines.length >= LINES) {
            // the oldest that nobody has to answer
            const at = this.lines.findIndex((line) => !line.parcel?.open);
            this.lines.splice(at < 0 ? 0 : at, 1);
        }
        this.lines.push({ key: ++this.#serial, from, text, at: Date.now(), ...(parcel ? { parcel } : {}) });
        if (from === 'peer' && !this.shown) {
            this.unread++;
        }
        this.changed();
    }

    #turn(state: ChatState, says: string): void {
        this.state = state;
        this.says = says;
        this.changed();
    }
}

/** Somebody asks for a conversation. */
export interface Invitation extends Ends {
    title: string;
    at: number;
}

export interface Person {
    id: string;
    name: string;
    realName: string;
    sessions: number;
}

/** The words of the server for who cannot be invited. */
const WHY: Record<string, string> = {
    'User is not connected': 'This person is not connected now.',
    'Invalid userid': 'There is nobody of this name here.',
    'Invalid nodeid': 'This device is not here, or it may not be used for this.',
    'Access denied': 'The right to do this is missing.',
    'Unable to route': 'The device cannot be reached now.',
    'Too many invitations': 'Too many invitations in one minute. Wait a little.',
};

/** All conversations of this page, who asks for one, and who could be asked. */
export class Chats extends Store {
    list: Chat[] = [];
    invitations: Invitation[] = [];
    people: Person[] | null = null;
    error = '';
    #control: Control;
    #base: string;
    #me: () => string;
    #refusals = new Set<MessengerWire>();

    constructor(control: Control, base: string, me: () => string) {
        super();
        this.#control = control;
        this.#base = base;
        this.#me = me;
        control.addEventListener('message', (e) => this.#message((e as CustomEvent<Message>).detail));
        globalThis.addEventListener?.('pagehide', () => this.closeAll());
    }

    get running(): number {
        return this.list.filter((chat) => chat.running).length;
    }

    get unread(): number {
        return this.list.reduce((sum, chat) => sum + chat.unread, 0);
    }

    find(called: string, caller: string): Chat | undefined {
        return this.list.find((chat) => chat.called === called && chat.caller === caller);
    }

    /** The conversation to which this account invites `called`. */
    with(called: string): Chat {
        const caller = this.#me();
        return this.find(called, caller) ?? this.#add(new Chat({
            called, caller, base: this.#base, answers: false, ticket: () => this.#ticket(),
            invite: async () => {
                try {
                    await this.#control.ask('meshmessenger', called.startsWith('user/') ? { userid: called } : { nodeid: called });
                } catch (error) {
                    const text = error instanceof Error ? error.message : String(error);
                    throw new Error(WHY[text] ?? text, { cause: error });
                }
            },
        }));
    }

    /** The one to which somebody invited this account. */
    from(caller: string): Chat {
        const called = this.#me();
        return this.find(called, caller) ?? this.#add(new Chat({
            called, caller, base: this.#base, answers: true, ticket: () => this.#ticket(),
        }));
    }

    /** The one to which somebody at a device was invited: the ticket is all that the page has. */
    visit(called: string, caller: string, ticket: string): Chat {
        return this.find(called, caller) ?? this.#add(new Chat({ called, caller, base: this.#base, answers: true, ticket }));
    }

    accept(invitation: Invitation): Chat {
        this.#drop(invitation);
        const chat = this.from(invitation.caller);
        chat.peerName = invitation.title || chat.peerName;
        chat.join();
        return chat;
    }

    refuse(invitation: Invitation): void {
        this.#drop(invitation);
        void this.#ticket().then((auth) => this.#say(invitation, `auth=${encodeURIComponent(auth)}`), () => {});
    }

    refuseVisit(called: string, caller: string, ticket: string): void {
        this.#say({ called, caller }, `rauth=${encodeURIComponent(ticket)}`);
    }

    close(chat: Chat): void {
        chat.leave();
        this.list = this.list.filter((other) => other !== chat);
        this.changed();
    }

    closeAll(): void {
        this.list.forEach((chat) => chat.leave());
    }

    /** Who is connected; for who may see users. */
    async loadPeople(): Promise<void> {
        try {
            const [users, counts] = await Promise.all([this.#control.ask('users'), this.#control.ask('wssessioncount')]);
            const sessions = (counts['wssessions'] ?? {}) as Record<string, unknown>;
            this.people = (Array.isArray(users['users']) ? users['users'] as Record<string, unknown>[] : [])
                .map((u) => ({ id: str(u?.['_id']), name: str(u?.['name']), realName: str(u?.['realname']), sessions: Number(sessions[str(u?.['_id'])] ?? 0) }))
                .filter((p) => p.id && p.sessions > 0 && p.id !== this.#me())
                .sort((a, b) => (a.realName || a.name).localeCompare(b.realName || b.name));
            this.error = '';
        } catch (error) {
            this.error = error instanceof Error ? error.message : String(error);
        }
        this.changed();
    }

    #add(chat: Chat): Chat {
        const old = this.list.length >= CHATS ? this.list.find((c) => !c.running) ?? this.list[0] : undefined;
        if (old) {
            this.close(old);
        }
        this.list = [...this.list, chat];
        chat.addEventListener('change', () => this.changed());
        this.changed();
        return chat;
    }

    async #ticket(): Promise<string> {
        return str((await this.#control.ask('authcookie'))['cookie']);
    }

    /** Meets who waits, only to say no. */
    #say({ called, caller }: Ends, pass: string): void {
        const url = new URL(`meshrelay.ashx?id=${messengerId(called, caller)}&${pass}`, this.#base);
        url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';
        if (this.#refusals.size >= INVITATIONS) {
            return;
        }
        const wire = new MessengerWire(url.href);
        const timer = setTimeout(() => wire.close(), REFUSAL);
        this.#refusals.add(wire);
        wire.addEventListener('open', () => void wire.say('refuse'));
        wire.addEventListener('close', () => {
            clearTimeout(timer);
            this.#refusals.delete(wire);
        });
    }

    #message(message: Message): void {
        if (message.action === 'openUrl' && message['success'] === false) {
            this.list.find((chat) => chat.called === message['nodeid'] && !chat.answers)
                ?.fail('The page could not be opened there: nobody is logged in on its screen, or it has no browser.');
            return;
        }
        const ends = message.action === 'msg' && message['type'] === 'notify' ? readTag(message['tag']) : null;
        if (!ends || ends.called !== this.#me() || ends.caller !== message['userid']) {
            return;
        }
        const invitation = { ...ends, title: cleanText(str(message['title'])).slice(0, 128) || idName(ends.caller), at: Date.now() };
        this.invitations = [...this.invitations.filter((i) => i.caller !== ends.caller), invitation].slice(-INVITATIONS);
        setTimeout(() => this.#drop(invitation), ANSWER);
        this.changed();
    }

    #drop(invitation: Invitation): void {
        if (this.invitations.includes(invitation)) {
            this.invitations = this.invitations.filter((i) => i !== invitation);
            this.changed();
        }
    }
}

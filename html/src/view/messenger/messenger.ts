// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import { TEXT, type Chat, type ChatState, type Line } from '../../state/chats.ts';
import type { Parcel } from '../../state/parcels.ts';
import { mayInvite } from '../../state/rights.ts';
import { href } from '../../state/route.ts';
import { count, num, t } from '../../i18n/index.ts';
import { ago, clockOf, exact, size } from '../../i18n/format.ts';
import { dropped, openSink, pick, whyNoSink, type Picked } from '../files/save.ts';
import { define, Part } from '../element.ts';
import { btn, errorText, icon, loading, mark, note, type Mark } from '../ui.ts';
import { peerName } from './name.ts';
import './call.ts';

const STATES: Record<ChatState, { word: string; mark: Mark }> = {
    asking: { word: 'Inviting', mark: 'connecting' }, waiting: { word: 'Waiting for an answer', mark: 'connecting' }, open: { word: 'Connected', mark: 'online' },
    lost: { word: 'Connection lost, waiting', mark: 'connecting' }, ended: { word: 'Ended', mark: 'offline' }, refused: { word: 'Refused', mark: 'fault' }, failed: { word: 'Not connected', mark: 'fault' },
};

const PARCELS: Record<Parcel['state'], [mine: string, theirs: string]> = {
    offered: ['Waiting to be accepted', 'Offered to you'], running: ['Sending', 'Receiving'], done: ['Sent', 'Received'],
    refused: ['Refused by the other side', 'Refused'], cancelled: ['Cancelled', 'Cancelled'], failed: ['Failed', 'Failed'],
};

/** Conversations: the list of them, or one. */
class MeshMessenger extends Part {
    static override properties = { called: { type: String }, caller: { type: String }, ticket: { type: String } };
    declare called: string;
    declare caller: string;
    /** Of somebody at a device, who has no account. */
    declare ticket: string;
    #every: ReturnType<typeof setInterval> | undefined;
    #refused = false;
    #told = '';
    #over = false;
    #looked: Chat | null = null;
    #bottom = true;
    #log: Element | null = null;
    #resized = new ResizeObserver(() => this.#stay());

    constructor() {
        super();
        this.called = this.caller = this.ticket = '';
    }

    protected override begin(): void {
        this.watch(this.mesh.chats, this.mesh.account, this.mesh.devices);
        this.#every = setInterval(() => {
            if (!this.called && !this.ticket) {
                this.#people();
            }
            this.requestUpdate();
        }, 5000);
        this.#people();
    }

    protected override end(): void {
        clearInterval(this.#every);
        this.#resized.disconnect();
        this.#log = null;
        this.#looked?.look(false);
        this.#looked = null;
    }

    #people(): void {
        if (!this.ticket && this.mesh.control.state.kind === 'live' && mayInvite(this.mesh.account.siteRights)) {
            void this.mesh.chats.loadPeople();
        }
    }

    get #chat(): Chat | undefined {
        return this.called ? this.mesh.chats.find(this.called, this.caller) : undefined;
    }

    #name(called: string, caller: string, chat?: Chat): string {
        const answers = this.ticket !== '' || called === this.mesh.account.id;
        return peerName(answers ? caller : called, chat);
    }

    protected override willUpdate(): void {
        const chat = this.#chat ?? null;
        if (chat !== this.#looked) {
            this.#looked?.look(false);
            this.#looked = chat;
            this.#bottom = true;
            this.#told = '';
        }
        chat?.look(!document.hidden);
    }

    protected override updated(): void {
        const log = this.querySelector('.chat-log');
        if (log !== this.#log) {
            // a call above makes it lower, without a word of it changing
            this.#resized.disconnect();
            this.#log = log;
            if (log) {
                this.#resized.observe(log);
            }
        }
        this.#stay();
    }

    /** Who reads what is new goes on to; who reads what is old is left there. */
    #stay(): void {
        if (this.#log && this.#bottom) {
            this.#log.scrollTop = this.#log.scrollHeight;
        }
    }

    protected override render(): TemplateResult {
        if (this.ticket) {
            return this.#visit();
        }
        if (!this.called) {
            return this.#list();
        }
        if (this.mesh.account.id === '') {
            return loading();
        }
        const me = this.mesh.account.id;
        if ((this.caller !== me && this.called !== me) || this.caller === this.called) {
            return html`<div class="gone"><h1>${t('This conversation is between others')}</h1><p><a class="b" href=${href('messenger')}>${t('Chat')}</a></p></div>`;
        }
        return this.#conversation(this.#chat, this.#name(this.called, this.caller, this.#chat));
    }

    // --- who, and with whom

    #list(): TemplateResult {
        const { list, people, error } = this.mesh.chats;
        const invites = mayInvite(this.mesh.account.siteRights);

        return html`<div class="messages">
            <div class="page-head"><h1>${t('Chat')}</h1><span class="quiet">${list.length ? count(this.mesh.chats.running, '1 conversation runs', '{n} conversations run') : ''}</span></div>
            <section><h2>${t('In this page')}</h2>${list.length ? html`<ul class="chat-list">${[...list].reverse().map((chat) => {
                const name = this.#name(chat.called, chat.caller, chat);
                const last = chat.lines.at(-1);
                return html`<li>
                    <a href=${href('messenger', chat.called, chat.caller)}>${mark(STATES[chat.state].mark, false)}<span><b><bdi>${name}</bdi></b><small>${t(STATES[chat.state].word)}${
                        last ? html` · ${this.#short(last)}` : nothing}</small></span>${chat.unread ? html`<b class="unread" aria-label=${count(chat.unread, '1 new', '{n} new')}>${num(chat.unread)}</b>` : nothing}</a>
                    ${chat.running ? btn(t('Leave'), { kind: 'small', name: t('Leave the conversation with {name}', { name }), click: () => chat.leave() })
                        : btn(t('Close'), { kind: 'small', name: t('Close the conversation with {name}', { name }), click: () => this.mesh.chats.close(chat) })}</li>`;
            })}</ul>` : html`<p class="quiet">${t('None. Somebody at a device is invited from the menu of its page.')} <a href="#/devices">${t('Devices')}</a></p>`}</section>
            ${invites ? html`<section><h2>${t('Connected now')}</h2>
                ${error ? html`<p class="quiet" role="status">${t('This list cannot be read now: {error}', { error })}</p>` : nothing}
                ${people?.length ? html`<ul class="chat-list">${people.map((p) => html`<li><span class="who"><b><bdi>${p.realName || p.name}</bdi></b>${
                    p.realName ? html`<small><bdi>${p.name}</bdi></small>` : nothing}</span>
                    ${btn(t('Invite'), { i: 'message-square', kind: 'small', name: t('Invite {name}', { name: p.realName || p.name }), click: () => this.#invite(p.id, p.realName || p.name) })}</li>`)}</ul>`
                    : people && !error ? html`<p class="quiet">${t('Nobody else is connected.')}</p>` : nothing}</section>` : nothing}
        </div>`;
    }

    #short(line: Line): string {
        return line.parcel ? line.parcel.name : line.from === 'note' ? ago(line.at) : line.text.split('\n')[0]?.slice(0, 80) ?? '';
    }

    #invite(id: string, name: string): void {
        const chat = this.mesh.chats.with(id);
        chat.peerName = name;
        void chat.invite();
        location.hash = href('messenger', chat.called, chat.caller);
    }

    // --- somebody at a device

    #visit(): TemplateResult {
        const chat = this.#chat;
        const name = this.#name(this.called, this.caller, chat);

        return html`<div class="visit">${chat ? this.#conversation(chat, name) : html`<div class="visit-ask"><h1>${this.#refused ? t('Refused') : html`<bdi>${name}</bdi> ${t('asks for a conversation')}`}</h1>
            ${this.#refused ? html`<p>${t('This page can be closed.')}</p>` : html`<p>${t('Somebody who looks after this computer would like to write with you, and may call. Nothing is shown of this computer but what you write and send.')}</p>
            <p class="go">${btn(t('Accept'), { kind: 'primary', click: () => this.mesh.chats.visit(this.called, this.caller, this.ticket).join() })}
                ${btn(t('Refuse'), { click: () => {
                    this.mesh.chats.refuseVisit(this.called, this.caller, this.ticket);
                    this.#refused = true;
                    this.requestUpdate();
                } })}</p>`}</div>`}</div>`;
    }

    // --- one conversation

    #conversation(chat: Chat | undefined, name: string): TemplateResult {
        const state = chat?.state ?? 'ended';
        const open = state === 'open';
        const calls = chat?.call.state === 'none';
        const reason = !open ? t('Nobody is connected') : chat?.recorded ? t('This conversation is recorded: a call could not be') : undefined;

        return html`<div class="chat" @dragover=${(e: DragEvent) => this.#drag(e, chat)} @dragleave=${() => this.#dragged(false)} @drop=${(e: DragEvent) => void this.#drop(e, chat)}>
            <header class="chat-head">
                ${this.ticket ? nothing : html`<a class="back-to" href=${href('messenger')} aria-label=${t('All chats')}>${icon('chevron-left')}</a>`}
                <h1><bdi>${name}</bdi></h1>
                <span class="chat-state" role="status">${mark(STATES[state].mark, false)}<span>${chat ? t(STATES[state].word) : t('Not connected')}</span></span>
                ${chat?.recorded && open ? html`<span class="rec" title=${t('The server keeps what is said')}>${icon('circle-alert')}<span>${t('Recorded')}</span></span>` : nothing}
                <span class="grow"></span>
                ${calls && chat ? html`${btn('', { i: 'phone', name: t('Call'), reason, click: () => void chat.call.start('sound') })}
                    ${btn('', { i: 'video', name: t('Call with camera'), reason, click: () => void chat.call.start('video') })}` : nothing}
                ${chat?.running ? btn(t('Leave'), { i: 'x', click: () => chat.leave() }) : nothing}
            </header>
            ${chat ? html`<mesh-call .chat=${chat} .name=${name}></mesh-call>` : nothing}
            <div class="chat-log" role="log" tabindex="0" aria-label=${t('What was said')} @scroll=${(e: Event) => {
                const box = e.target as Element;
                this.#bottom = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
            }}><ol>${chat?.lines.map((line) => this.#line(line, chat, name))}</ol>
                ${chat?.typing ? html`<p class="quiet typing"><bdi>${name}</bdi> ${t('is writing…')}</p>` : nothing}</div>
            ${open ? nothing : this.#again(chat, name)}
            ${this.#told ? html`<div class="chat-told">${note('warn', 'triangle-alert', this.#told, true)}</div>` : nothing}
            ${chat ? this.#composer(chat, open) : nothing}
            ${this.#over ? html`<div class="drop-here">${icon('upload')}<span>${t('Offer to {name}', { name })}</span></div>` : nothing}
        </div>`;
    }

    /** What is, and what can be done about it. */
    #again(chat: Chat | undefined, name: string): TemplateResult | typeof nothing {
        const mine = !this.ticket && this.caller === this.mesh.account.id;
        const words = chat?.says ? t(chat.says) : !chat ? mine ? t('{name} is not invited yet.', { name }) : t('{name} has to invite you; what was said before is gone.', { name })
            : chat.state === 'refused' ? t('{name} refused.', { name }) : chat.state === 'waiting' && mine ? t('{name} has been asked. This page may be left; the answer is waited for.', { name })
            : chat.state === 'lost' ? t('The connection to {name} broke. It is waited for a minute.', { name }) : '';
        const can = !chat?.running;

        if (!words && !can) {
            return nothing;
        }
        return html`<div class="chat-again">${words ? html`<span role="status">${words}</span>` : nothing}
            ${!can ? nothing : mine ? btn(t('Invite'), { i: 'message-square', kind: 'primary', click: () => void this.mesh.chats.with(this.called).invite() })
                : btn(t('Open again'), { kind: 'primary', click: () => (this.ticket ? chat : this.mesh.chats.from(this.caller))?.join() })}</div>`;
    }

    #line(line: Line, chat: Chat, name: string): TemplateResult {
        const when = html`<time datetime=${new Date(line.at).toISOString()} title=${exact(line.at)}>${clockOf(line.at)}</time>`;
        if (line.from === 'note') {
            const words: Record<string, string> = {
                here: t('{name} is here', { name }), bye: t('{name} has left', { name }), left: t('You have left'), lost: t('The connection broke'), refused: t('{name} refused', { name }),
            };
            return html`<li class="note-line"><span>${words[line.text] ?? ''}</span>${when}</li>`;
        }
        return html`<li class=${line.from === 'me' ? 'mine' : 'theirs'}><p class="by"><b>${line.from === 'me' ? t('You') : html`<bdi>${name}</bdi>`}</b>${when}</p>
            ${line.parcel ? this.#parcel(line.parcel, chat) : html`<p class="said" dir="auto">${line.text}</p>`}</li>`;
    }

    #parcel(parcel: Parcel, chat: Chat): TemplateResult {
        const state = t(PARCELS[parcel.state][parcel.mine ? 0 : 1]);
        const asks = parcel.state === 'offered' && !parcel.mine;

        return html`<div class="parcel" data-state=${parcel.state}>${icon('file')}<div><b><bdi>${parcel.name}</bdi></b>
            <small>${size(parcel.size)} · ${state}${parcel.says ? html`: ${t(parcel.says)}` : nothing}</small>
            ${parcel.state === 'running' ? html`<progress max=${Math.max(1, parcel.size)} .value=${parcel.done} aria-label=${t('{name}, of {size}', { name: parcel.name, size: size(parcel.size) })}></progress>` : nothing}</div>
            ${asks ? btn(t('Save'), { kind: 'small', i: 'download', name: t('Save {name}', { name: parcel.name }), reason: whyNoSink(), click: () => void this.#save(parcel, chat) }) : nothing}
            ${parcel.open ? btn(asks ? t('Refuse') : t('Cancel'), { kind: 'small', name: asks ? t('Refuse {name}', { name: parcel.name }) : t('Cancel {name}', { name: parcel.name }), click: () => chat.cancel(parcel) }) : nothing}</div>`;
    }

    async #save(parcel: Parcel, chat: Chat): Promise<void> {
        try {
            const sink = await openSink(parcel.name);
            if (sink) {
                chat.accept(parcel, sink);
            }
        } catch (error) {
            this.#say(t('The file cannot be written: {error}', { error: errorText(error) }));
        }
    }

    #composer(chat: Chat, open: boolean): TemplateResult {
        const reason = open ? undefined : t('Nobody is connected');

        return html`<form class="composer" @submit=${(e: Event) => {
            e.preventDefault();
            this.#send(chat);
        }}>
            ${btn('', { i: 'paperclip', name: t('Offer a file'), reason, click: () => void pick(false).then((files) => this.#offer(chat, files)) })}
            <textarea rows="1" maxlength=${TEXT} aria-label=${t('Message')} placeholder=${open ? t('Write; Enter sends') : ''} ?disabled=${!open} @keydown=${(e: KeyboardEvent) => {
                if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) {
                    e.preventDefault();
                    this.#send(chat);
                }
            }} @input=${() => chat.types()}></textarea>
            ${btn(t('Send'), { kind: open && chat.call.state !== 'asked' ? 'primary' : '', type: 'submit', reason })}
        </form>`;
    }

    #send(chat: Chat): void {
        const area = this.querySelector<HTMLTextAreaElement>('.composer textarea');
        if (area?.value.trim() && chat.say(area.value)) {
            area.value = '';
            this.#bottom = true;
            this.#say('');
        }
        area?.focus();
    }

    #offer(chat: Chat, files: Picked[]): void {
        const left = chat.offer(files);
        this.#say(left ? count(left, '1 file was not offered: too many are open.', '{n} files were not offered: too many are open.') : '');
    }

    #say(text: string): void {
        this.#told = text;
        this.requestUpdate();
    }

    #drag(e: DragEvent, chat: Chat | undefined): void {
        if (chat?.state === 'open' && e.dataTransfer?.types.includes('Files')) {
            e.preventDefault();
            this.#dragged(true);
        }
    }

    #dragged(over: boolean): void {
        if (this.#over !== over) {
            this.#over = over;
            this.requestUpdate();
        }
    }

    async #drop(e: DragEvent, chat: Chat | undefined): Promise<void> {
        this.#dragged(false);
        if (chat?.state === 'open' && e.dataTransfer) {
            e.preventDefault();
            this.#offer(chat, await dropped(e.dataTransfer));
        }
    }
}

define('mesh-messenger', MeshMessenger);


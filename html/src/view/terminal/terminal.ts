// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import type { ShellSession } from '../../state/shell.ts';
import { SshSession } from '../../state/ssh.ts';
import { num, t } from '../../i18n/index.ts';
import { duration } from '../../i18n/format.ts';
import { mesh } from '../app-state.ts';
import { define, Part } from '../element.ts';
import { btn, icon, mark, type Mark } from '../ui.ts';
import { notNow, whyNot } from '../verbs.ts';
import { Screen } from './screen.ts';
import './ssh.ts';

const screens = new Map<ShellSession, Screen>();

mesh.sessions.addEventListener('closed', (e) => {
    const session = (e as CustomEvent<ShellSession>).detail;
    screens.get(session)?.dispose();
    screens.delete(session);
});

function screenOf(session: ShellSession): Screen {
    let screen = screens.get(session);
    if (!screen) {
        screen = new Screen(session);
        screens.set(session, screen);
    }
    return screen;
}

const MARKS: Record<ShellSession['state'], Mark> = {
    asking: 'connecting', waiting: 'connecting', open: 'online', ended: 'offline', failed: 'fault',
};
const ARROWS: [string, 'arrow-left' | 'arrow-up' | 'arrow-down' | 'arrow-right', string][] = [
    ['Left', 'arrow-left', 'D'], ['Up', 'arrow-up', 'A'], ['Down', 'arrow-down', 'B'], ['Right', 'arrow-right', 'C'],
];

/** The terminals of one device; each lives on while one looks elsewhere. */
class MeshTerminal extends Part {
    static override properties = { deviceId: { type: String } };
    declare deviceId: string;
    #now: ShellSession | null = null;
    #placed: ShellSession | null = null;
    #of = '';
    #finding = false;
    #found = true;
    #words = '';
    /** A form in the place of a session: as whom to connect by SSH. */
    #sshAsks = false;
    #asked: SshSession | null = null;
    #minute: ReturnType<typeof setInterval> | undefined;

    protected override begin(): void {
        this.watch(this.mesh.sessions, this.mesh.devices);
        this.listen(this.mesh.control, 'state', this.again);
        this.#minute = setInterval(this.again, 10_000);
        this.#of = '';
    }

    protected override end(): void {
        clearInterval(this.#minute);
        if (this.#placed) {
            screens.get(this.#placed)?.hide();
        }
        this.#placed = null;
    }

    protected override willUpdate(): void {
        const { sessions } = this.mesh;
        const newest = (): ShellSession | null => sessions.of(this.deviceId).at(-1) ?? null;

        if (this.#of !== this.deviceId && this.isConnected) {
            this.#of = this.deviceId;
            this.#now = newest();
            this.#sshAsks = false;
            if (!this.#now && !this.#reason) {
                this.#open(1);
            }
        }
        if (this.#now && !sessions.list.includes(this.#now)) {
            this.#now = newest();
        }
    }

    get #reason(): string | undefined {
        return whyNot([this.deviceId], 'terminal');
    }

    get #sshReason(): string | undefined {
        return whyNot([this.deviceId], 'ssh');
    }

    #askSsh(on: boolean): void {
        this.#sshAsks = on;
        this.requestUpdate();
    }

    #reasonFor(session: ShellSession): string | undefined {
        return session instanceof SshSession ? this.#sshReason : this.#reason;
    }

    #open(protocol: 1 | 8): void {
        const session = this.mesh.sessions.open(this.deviceId, this.mesh.account.nodeId(this.deviceId), protocol);
        this.#show(session);
    }

    #ssh({ user, port }: { user: string; port: number }): void {
        this.#show(this.mesh.sessions.ssh({ deviceId: this.deviceId, nodeId: this.mesh.account.nodeId(this.deviceId), user, port }));
    }

    #show(session: ShellSession): void {
        this.#sshAsks = false;
        this.#now = session;
        void session.connect();
        this.requestUpdate();
    }

    protected override render(): TemplateResult {
        const list = this.mesh.sessions.of(this.deviceId);
        const session = this.#sshAsks ? null : this.#now;
        const asks = session instanceof SshSession && session.question ? session : null;

        return html`<div class="term-page">
            <div class="sbar" role="toolbar" aria-label=${t('Session')}>
                <div class="tabs-s" role="group" aria-label=${t('Terminals')}>${list.map((s) => html`<div class="tab ${s === session ? 'on' : ''}"><button type="button"
                    aria-pressed=${String(s === session)} @click=${() => this.#choose(s)}>${mark(MARKS[s.state], false)}<span class="title"><bdi>${
                    s.title || s.name}</bdi></span></button><button type="button" class="x" aria-label=${t('Close this terminal')} title=${
                    t('Close this terminal')} @click=${() => this.mesh.sessions.close(s)}>${icon('x')}</button></div>`)}</div>
                ${this.#new()}
                <span class="grow"></span>
                ${session ? this.#stats(session) : nothing}
                ${session ? html`${btn('', { i: 'search', kind: 'bare small', name: t('Search in the terminal'), pressed: this.#finding, click: () => this.#toggleFind() })}
                    ${btn('', { i: 'maximize', kind: 'bare small', name: t('Full screen'), click: () => void this.#full() })}
                    ${session.running ? btn(t('Disconnect'), { kind: 'small', click: () => session.disconnect() })
                        : btn(t('Connect'), { kind: 'small', reason: this.#reasonFor(session), click: () => void session.connect() })}` : nothing}
            </div>
            ${this.#finding && session ? this.#find(session) : nothing}
            ${session || this.#sshAsks ? nothing : html`<div class="nothing">${this.#reason ? notNow(this.deviceId, this.#reason, t('A terminal can be opened here when it is back.')) : html`<p>${t('No terminal is open.')}</p>
                <p>${btn(t('Open a terminal'), { kind: 'primary', i: 'square-terminal', click: () => this.#open(1) })}</p>`}
                ${this.#sshReason ? nothing : html`<p>${btn(t('Connect by SSH'), { i: 'key-round', click: () => this.#askSsh(true) })}</p>`}</div>`}
            ${this.#sshAsks ? html`<mesh-ssh .deviceId=${this.deviceId} .session=${null} @mesh-ssh-cancel=${() => this.#askSsh(false)}
                @mesh-ssh-open=${(e: CustomEvent<{ user: string; port: number }>) => this.#ssh(e.detail)}></mesh-ssh>` : nothing}
            ${asks ? html`<mesh-ssh .deviceId=${this.deviceId} .session=${asks}></mesh-ssh>` : nothing}
            <div class="term-box" ?hidden=${!session || asks !== null}>
                <div class="term"></div>
                ${session && session.state !== 'open' || session?.says ? this.#says(session) : nothing}
            </div>
            ${session && !asks ? this.#keys(session) : nothing}
        </div>`;
    }

    #new(): TemplateResult {
        const reason = this.#reason;
        return html`<wa-dropdown placement="bottom-start" @wa-select=${(e: CustomEvent<{ item: { value: string } }>) => {
            const what = e.detail.item.value;
            if (what === 'ssh') {
                this.#askSsh(true);
            } else {
                this.#open(what === '8' ? 8 : 1);
            }
        }}>
            <button class="b bare small" type="button" slot="trigger" aria-label=${t('New terminal')} title=${reason && this.#sshReason ? reason : t('New terminal')}>${icon('plus')}</button>
            <wa-dropdown-item value="1" ?disabled=${reason !== undefined}>${t('As the agent')}<span slot="details">${t('root, as a rule')}</span></wa-dropdown-item>
            <wa-dropdown-item value="8" ?disabled=${reason !== undefined}>${t('As who is logged in')}</wa-dropdown-item>
            <wa-dropdown-item value="ssh" ?disabled=${this.#sshReason !== undefined}>${t('By SSH…')}<span slot="details">${
                this.#sshReason ?? t('a user of the device')}</span></wa-dropdown-item>
        </wa-dropdown>`;
    }

    #stats(session: ShellSession): TemplateResult {
        return html`${session.state === 'open' ? html`<span class="stat" title=${t('Through the server')}>${t('Relay')} ${session.delay === null ? nothing
            : html`<b>${num(session.delay)} ms</b>`}</span>` : nothing}
            <span class="stat">${session.cols} × ${session.rows}</span>
            ${session.began && session.state === 'open' ? html`<span class="stat">${duration(Date.now() - session.began)}</span>` : nothing}
            ${session.recorded ? html`<span class="stat rec">${icon('scroll-text')}${t('Recorded')}</span>` : nothing}`;
    }

    #says(session: ShellSession): TemplateResult {
        const text = session.says || (session.state === 'asking' ? t('Asking the server') : session.state === 'waiting' ? t('Waiting for the device') : '');
        const over = !session.running;

        return html`<div class="term-says ${session.state}" role=${session.state === 'failed' ? 'alert' : 'status'}>${mark(MARKS[session.state], false)}<span>${text}</span>${
            over ? btn(t('Connect again'), { kind: 'small', reason: this.#reasonFor(session), click: () => { screenOf(session).terminal.focus(); void session.connect(); } }) : nothing}</div>`;
    }

    #find(session: ShellSession): TemplateResult {
        const go = (back: boolean): void => {
            this.#found = !this.#words || screenOf(session).find(this.#words, back);
            this.requestUpdate();
        };
        return html`<div class="term-find" role="search"><input type="search" aria-label=${t('Search in the terminal')} .value=${this.#words} spellcheck="false"
            @input=${(e: InputEvent) => {
                this.#words = (e.target as HTMLInputElement).value;
                go(true);
            }} @keydown=${(e: KeyboardEvent) => {
                if (e.key === 'Enter') {
                    e.preventDefault();
                    go(!e.shiftKey);
                } else if (e.key === 'Escape') {
                    this.#toggleFind();
                }
            }}><span class="quiet" role="status">${this.#found ? '' : t('Not found')}</span>
            ${btn('', { i: 'chevron-up', kind: 'bare small', name: t('The one before'), click: () => go(true) })}
            ${btn('', { i: 'chevron-down', kind: 'bare small', name: t('The next one'), click: () => go(false) })}
            ${btn('', { i: 'x', kind: 'bare small', name: t('Close the search'), click: () => this.#toggleFind() })}</div>`;
    }

    #keys(session: ShellSession): TemplateResult {
        const screen = screenOf(session);
        const key = (label: string, text: string): TemplateResult => html`<button type="button" @click=${() => screen.press(text)}>${label}</button>`;
        const modifier = (label: string, on: boolean, turn: () => void): TemplateResult => html`<button type="button" aria-pressed=${String(on)} @click=${() => {
            turn();
            screen.terminal.focus();
            this.requestUpdate();
        }}>${label}</button>`;

        return html`<div class="keys" role="toolbar" aria-label=${t('Keys')} @pointerdown=${(e: Event) => e.preventDefault()}>
            ${key('Esc', '\x1b')}${key('Tab', '\t')}
            ${modifier('Ctrl', screen.ctrl, () => { screen.ctrl = !screen.ctrl; })}${modifier('Alt', screen.alt, () => { screen.alt = !screen.alt; })}
            ${ARROWS.map(([name, i, code]) => html`<button type="button" aria-label=${t(name)} @click=${() => screen.press(
                `\x1b${screen.terminal.modes.applicationCursorKeysMode ? 'O' : '['}${code}`)}>${icon(i)}</button>`)}
            ${['/', '|', '-', '~'].map((text) => key(text, text))}</div>`;
    }

    #choose(session: ShellSession): void {
        this.#sshAsks = false;
        this.#now = session;
        this.requestUpdate();
    }

    #toggleFind(): void {
        this.#finding = !this.#finding;
        this.#found = true;
        this.requestUpdate();
        void this.updateComplete.then(() => {
            if (this.#finding) {
                this.querySelector<HTMLElement>('.term-find input')?.focus();
            } else if (this.#now) {
                screenOf(this.#now).terminal.focus();
            }
        });
    }

    async #full(): Promise<void> {
        if (document.fullscreenElement) {
            await document.exitFullscreen();
        } else {
            await this.querySelector('.term-page')?.requestFullscreen().catch(() => {});
        }
    }

    protected override updated(): void {
        const asks = this.#now instanceof SshSession && this.#now.question ? this.#now : null;
        const place = this.querySelector<HTMLElement>('.term');

        if (this.#now !== this.#placed && place) {
            if (this.#placed) {
                screens.get(this.#placed)?.hide();
            }
            this.#placed = this.#now;
            if (this.#now) {
                const screen = screenOf(this.#now);
                screen.onModifier = this.again;
                void screen.show(place);
            }
        } else if (this.#asked && !asks && this.#asked === this.#now) {
            screenOf(this.#now).terminal.focus();
        }
        this.#asked = asks;
    }
}

define('mesh-terminal', MeshTerminal);

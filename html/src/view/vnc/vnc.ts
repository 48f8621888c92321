// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import type { VncSession } from '../../state/vnc.ts';
import { count, t } from '../../i18n/index.ts';
import { duration, size } from '../../i18n/format.ts';
import { mesh } from '../app-state.ts';
import { ask, value } from '../dialogs.ts';
import { define, Part } from '../element.ts';
import { btn, field, icon, mark, type Mark } from '../ui.ts';
import { whyNot } from '../verbs.ts';
import { Screen, type Wanted } from './screen.ts';

const screens = new Map<VncSession, Screen>();

mesh.vncs.addEventListener('closed', (e) => {
    const session = (e as CustomEvent<VncSession>).detail;
    screens.get(session)?.dispose();
    screens.delete(session);
});

const MARKS: Record<VncSession['state'], Mark> = {
    asking: 'connecting', waiting: 'connecting', open: 'online', ended: 'offline', failed: 'fault',
};
const WORDS: Record<string, string> = { username: 'Name', password: 'Password', target: 'Target' };

type Selected = CustomEvent<{ item: { value: string } }>;

/** VNC to a device, or to what its group lets be reached through it. */
class MeshVnc extends Part {
    static override properties = { deviceId: { type: String } };
    declare deviceId: string;
    #session: VncSession | null = null;
    #placed: VncSession | null = null;
    #addr = '';
    #port = '5900';
    #error = '';
    #copied = '';
    #of = '';
    #second: ReturnType<typeof setInterval> | undefined;

    protected override begin(): void {
        this.watch(this.mesh.vncs, this.mesh.devices, this.mesh.groups);
        this.listen(this.mesh.control, 'state', this.again);
        this.#second = setInterval(this.again, 5000);
        this.#of = '';
    }

    protected override end(): void {
        clearInterval(this.#second);
        if (this.#placed) {
            screens.get(this.#placed)?.hide();
        }
        this.#placed = null;
    }

    protected override willUpdate(): void {
        if (this.#of !== this.deviceId && this.isConnected) {
            this.#of = this.deviceId;
            this.#session = this.mesh.vncs.of(this.deviceId);
            this.#addr = this.#session?.addr ?? '';
            this.#port = String(this.#session?.port ?? 5900);
            this.#error = '';
        }
        if (this.#session && !this.mesh.vncs.list.includes(this.#session)) {
            this.#session = null;
        }
    }

    get #reason(): string | undefined {
        return whyNot([this.deviceId], 'vnc');
    }

    #screen(session: VncSession): Screen {
        let screen = screens.get(session);
        if (!screen) {
            screen = new Screen(session);
            screens.set(session, screen);
            screen.addEventListener('wanted', (e) => void this.#asked((e as CustomEvent<Wanted>).detail));
            screen.addEventListener('clipboard', (e) => {
                this.#copied = (e as CustomEvent<string>).detail;
                this.requestUpdate();
            });
            screen.addEventListener('change', () => screen?.focus());
        }
        return screen;
    }

    #open(e: Event): void {
        e.preventDefault();
        const port = Number(this.#port);
        if (!/^[0-9]+$/.test(this.#port.trim()) || port < 1 || port > 65535) {
            this.#error = t('A port is a number from 1 to 65535.');
            this.requestUpdate();
            return;
        }
        this.#error = '';
        const session = this.#session ?? this.mesh.vncs.open(this.deviceId, this.mesh.account.nodeId(this.deviceId));
        this.#session = session;
        this.#screen(session);
        void session.connect(this.#addr.trim(), port);
        this.requestUpdate();
    }

    #again(session: VncSession): void {
        this.#screen(session);
        void session.connect(session.addr, session.port);
    }

    async #asked(wanted: Wanted): Promise<void> {
        let given = false;
        await ask({
            title: t('The VNC server asks who you are'), yes: t('Connect'), no: t('Cancel'),
            body: html`${wanted.types.map((type) => html`<div class="field"><label for="vnc-${type}">${t(WORDS[type] ?? type)}</label><span class="in"><input id="vnc-${type}" name=${type}
                type=${type === 'password' ? 'password' : 'text'} autocomplete="off" maxlength="255"></span></div>`)}
                <p class="quiet">${t('It goes to that server and is kept nowhere.')}</p>`,
            run: (form) => {
                given = true;
                wanted.answer(Object.fromEntries(wanted.types.map((type) => [type, value(form, type)])));
                return Promise.resolve();
            },
        });
        if (!given) {
            wanted.answer(null);
        }
    }

    protected override render(): TemplateResult {
        const session = this.#session;
        const shown = session && (session.running || session.began > 0);

        return html`<div class="desk-page vnc-page">
            <div class="sbar" role="toolbar" aria-label=${t('Session')}>${session && shown ? this.#tools(session) : nothing}</div>
            ${shown ? nothing : this.#form(session)}
            <div class="stage" ?hidden=${!shown}>
                <div class="desk"></div>
                ${session && shown ? this.#says(session) : nothing}
            </div>
        </div>`;
    }

    #form(session: VncSession | null): TemplateResult {
        const device = this.mesh.devices.get(this.deviceId);
        const targets = this.mesh.groups.get(device?.groupId ?? '')?.targets ?? [];
        const text = (e: InputEvent): string => (e.target as HTMLInputElement).value;

        return html`<form class="edit vnc-form" @submit=${(e: Event) => this.#open(e)}>
            <h2>${t('Connect to a VNC server')}</h2>
            <p class="quiet">${t('The agent connects to it; the device needs no open port to the outside.')}</p>
            ${field({ id: 'vncaddr', label: t('Address'), value: this.#addr, max: 253, placeholder: t('this device'),
                hint: targets.length ? t('Empty is the device itself. Its group also allows: {list}', { list: targets.join(' · ') })
                    : t('Empty is the device itself. Nothing else is allowed by its group.'),
                input: (e) => { this.#addr = text(e); } })}
            ${field({ id: 'vncport', label: t('Port'), value: this.#port, max: 5, error: this.#error || undefined, input: (e) => { this.#port = text(e); } })}
            ${session?.says ? html`<p class="says ${session.state}" role="alert">${mark(MARKS[session.state], false)}<span>${t(session.says)}</span></p>` : nothing}
            <p class="go">${btn(t('Connect'), { kind: 'primary', type: 'submit', i: 'monitor', reason: this.#reason })}</p>
            <p class="quiet">${t('RDP has no viewer in this page: the TCP relay of this server takes port 3389 of the device to a client of yours.')}</p>
        </form>`;
    }

    #tools(session: VncSession): TemplateResult {
        const screen = this.#screen(session);
        const seg = (label: string, on: boolean, click: () => void): TemplateResult => html`<button type="button" aria-pressed=${String(on)} @click=${() => {
            click();
            this.requestUpdate();
        }}>${label}</button>`;
        const closed = session.state !== 'open' ? t('There is no connection') : undefined;
        const mute = closed ?? (session.viewOnly ? t('Only looking') : undefined);

        return html`<span class="what">${icon('monitor')}<bdi>${session.name || t('VNC')}</bdi></span>
            <div class="seg s" role="group" aria-label=${t('Size')}>${seg(t('Fit'), screen.fit, () => { screen.fit = true; })}${seg('1:1', !screen.fit, () => { screen.fit = false; })}</div>
            ${btn('Ctrl + Alt + Del', { i: 'keyboard', kind: 'bare small', reason: mute, click: () => {
                screen.ctrlAltDel();
                screen.focus();
            } })}
            <wa-dropdown placement="bottom-start" @wa-select=${(e: Selected) => void this.#clip(screen, e.detail.item.value)}>
                <button class="b bare small" type="button" slot="trigger">${icon('clipboard')}<span>${t('Clipboard')}</span>${icon('chevron-down')}</button>
                <wa-dropdown-item value="from" ?disabled=${closed !== undefined || !this.#copied}>${t('Fetch the text that was copied there')}</wa-dropdown-item>
                <wa-dropdown-item value="to" ?disabled=${mute !== undefined}>${t('Put a text into it there…')}</wa-dropdown-item>
            </wa-dropdown>
            ${btn(t('View only'), { i: 'eye', kind: 'bare small', pressed: session.viewOnly, click: () => {
                screen.viewOnly = !screen.viewOnly;
                this.requestUpdate();
            } })}
            <span class="grow"></span>
            ${session.state === 'open' ? html`<span class="stat">${session.addr || t('this device')}:${session.port}</span>
                <span class="stat">${size(session.received)}</span><span class="stat">${duration(Date.now() - session.began)}</span>` : nothing}
            ${btn('', { i: 'maximize', kind: 'bare small', name: t('Full screen'), click: () => void this.#full(screen) })}
            ${session.running ? btn(t('Disconnect'), { kind: 'small', click: () => session.disconnect() })
                : btn(t('Connect'), { kind: 'small', reason: this.#reason, click: () => this.#again(session) })}
            ${session.running ? nothing : btn(t('Another address'), { kind: 'small', click: () => this.mesh.vncs.close(session) })}`;
    }

    #says(session: VncSession): TemplateResult | typeof nothing {
        const text = session.says ? t(session.says) : session.state === 'asking' ? t('Asking the server') : session.state === 'waiting' ? t('Waiting for the VNC server') : '';

        return text ? html`<div class="term-says ${session.state}" role=${session.state === 'failed' ? 'alert' : 'status'}>${mark(MARKS[session.state], false)}<span>${text}</span>${
            session.running ? nothing : btn(t('Connect again'), { kind: 'small', reason: this.#reason, click: () => this.#again(session) })}</div>` : nothing;
    }

    async #clip(screen: Screen, what: string): Promise<void> {
        if (what === 'from') {
            const text = this.#copied;
            try {
                await navigator.clipboard.writeText(text);
                this.mesh.toasts.say('online', count(text.length, '1 character is in the clipboard here', '{n} characters are in the clipboard here'));
            } catch {
                await ask({
                    title: t('Copied there'), yes: t('Done'),
                    body: html`<div class="field"><label for="clip">${t('This browser does not let the page copy it; it can be copied from here.')}</label>
                        <textarea id="clip" rows="6" readonly .value=${text}></textarea></div>`,
                });
            }
            return;
        }
        const mine = await navigator.clipboard?.readText().catch(() => '') ?? '';
        await ask({
            title: t('Put a text into the clipboard there?'), yes: t('Send it'),
            body: html`<div class="field"><label for="clip">${t('Text')}</label><textarea id="clip" name="clip" rows="6" .value=${mine}></textarea></div>`,
            run: (form) => {
                screen.paste(value(form, 'clip').replace(/\r\n/g, '\n'));
                return Promise.resolve();
            },
        });
        screen.focus();
    }

    async #full(screen: Screen): Promise<void> {
        if (document.fullscreenElement) {
            await document.exitFullscreen();
        } else {
            await this.querySelector('.vnc-page')?.requestFullscreen().catch(() => {});
        }
        screen.focus();
    }

    protected override updated(): void {
        const place = this.querySelector<HTMLElement>('.desk');

        if (this.#session !== this.#placed && place) {
            if (this.#placed) {
                screens.get(this.#placed)?.hide();
            }
            this.#placed = this.#session;
            if (this.#session) {
                this.#screen(this.#session).show(place);
            }
        }
    }
}

define('mesh-vnc', MeshVnc);

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import type { DesktopSession } from '../../state/desktop.ts';
import { ALL_DISPLAYS } from '../../wire/kvm.ts';
import { COMBINATIONS } from '../../wire/keys.ts';
import { count, num, t } from '../../i18n/index.ts';
import { clockOf } from '../../i18n/format.ts';
import { mesh } from '../app-state.ts';
import { ask, value } from '../dialogs.ts';
import { define, Part } from '../element.ts';
import { btn, errorText, icon, mark, path, type Mark } from '../ui.ts';
import { notNow, whyNot } from '../verbs.ts';
import { Screen } from './screen.ts';

const screens = new Map<DesktopSession, Screen>();

mesh.desktops.addEventListener('closed', (e) => {
    const session = (e as CustomEvent<DesktopSession>).detail;
    screens.get(session)?.dispose();
    screens.delete(session);
});

function screenOf(session: DesktopSession): Screen {
    let screen = screens.get(session);
    if (!screen) {
        screen = new Screen(session);
        screens.set(session, screen);
    }
    return screen;
}

const MARKS: Record<DesktopSession['state'], Mark> = {
    asking: 'connecting', waiting: 'connecting', open: 'online', ended: 'offline', failed: 'fault',
};
const QUALITIES: readonly [number, string][] = [[100, 'Sharpest'], [80, 'Sharp'], [50, 'Balanced'], [20, 'Light']];
const SIZES: readonly [number, string][] = [[1024, 'Full size'], [768, 'Three quarters'], [512, 'Half'], [256, 'A quarter']];
const RATES: readonly [number, string][] = [[50, 'Smooth'], [100, '10 pictures a second'], [500, '2 pictures a second'], [2000, 'Every 2 seconds']];
/** Typed text that is longer would take minutes. */
const MAX_TYPED = 4096;

type Selected = CustomEvent<{ item: { value: string } }>;

/** The desktop of one device; it lives on while one looks elsewhere. */
class MeshDesktop extends Part {
    static override properties = { deviceId: { type: String } };
    declare deviceId: string;
    #session: DesktopSession | null = null;
    #placed: DesktopSession | null = null;
    #of = '';
    #second: ReturnType<typeof setInterval> | undefined;

    protected override begin(): void {
        this.watch(this.mesh.desktops, this.mesh.devices);
        this.listen(this.mesh.control, 'state', this.again);
        this.listen(window, 'blur', () => this.#session?.keyboard.release());
        this.#second = setInterval(() => {
            this.#session?.measure(performance.now());
            this.requestUpdate();
        }, 1000);
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
            this.#session = this.mesh.desktops.of(this.deviceId);
            if (!this.#session && !this.#reason) {
                this.#open();
            }
        }
        if (this.#session && !this.mesh.desktops.list.includes(this.#session)) {
            this.#session = null;
        }
    }

    get #reason(): string | undefined {
        return whyNot([this.deviceId], 'desktop');
    }

    get #name(): string {
        return this.mesh.devices.get(this.deviceId)?.label ?? '';
    }

    #open(): void {
        const session = this.mesh.desktops.open(this.deviceId, this.mesh.account.nodeId(this.deviceId), this.mesh.rightsOn(this.deviceId));
        this.#session = session;
        screenOf(session).addEventListener('leave', () => this.querySelector<HTMLElement>('.sbar button')?.focus());
        void session.connect();
        this.requestUpdate();
    }

    protected override render(): TemplateResult {
        const session = this.#session;

        return html`<div class="desk-page">
            <div class="sbar" role="toolbar" aria-label=${t('Session')}>${session ? this.#tools(session) : nothing}</div>
            ${session ? nothing : html`<div class="nothing">${this.#reason ? notNow(this.deviceId, this.#reason, t('The desktop can be opened here when it is back.')) : html`<p>${t('The desktop is not open.')}</p>
                <p>${btn(t('Open the desktop'), { kind: 'primary', i: 'monitor', click: () => this.#open() })}</p>`}</div>`}
            <div class="stage" ?hidden=${!session}>
                <div class="desk"></div>
                ${session ? this.#says(session) : nothing}
            </div>
        </div>`;
    }

    #tools(session: DesktopSession): TemplateResult {
        const screen = screenOf(session);
        const seg = (label: string, on: boolean, click: () => void): TemplateResult => html`<button type="button" aria-pressed=${String(on)} @click=${() => {
            click();
            this.requestUpdate();
        }}>${label}</button>`;
        const several = session.displays.length > 1;

        return html`
            ${several ? html`<div class="seg s" role="group" aria-label=${t('Displays')}>${session.displays.map((id) => seg(
                id === ALL_DISPLAYS ? t('All') : String(id), id === session.display, () => session.chooseDisplay(id)))}</div>` : nothing}
            <div class="seg s" role="group" aria-label=${t('Size')}>${seg(t('Fit'), !screen.actual, () => { screen.actual = false; })}${
                seg('1:1', screen.actual, () => { screen.actual = true; })}</div>
            ${this.#keys(session)}
            ${this.#clipboard(session)}
            ${this.#quality(session)}
            ${btn(t('View only'), { i: 'eye', kind: 'bare small', pressed: session.viewOnly, click: () => { session.viewOnly = !session.viewOnly; },
                reason: session.mayInput ? undefined : t('This account may only look') })}
            <span class="grow"></span>
            ${this.#stats(session)}
            ${btn('', { i: 'keyboard', kind: 'bare small only-touch', name: t('Keyboard'), click: () => screen.focus() })}
            ${btn('', { i: 'camera', kind: 'bare small', name: t('Save the picture'), reason: screen.empty ? t('There is no picture yet') : undefined,
                click: () => void this.#save(screen) })}
            ${btn('', { i: 'square-arrow-out-up-right', kind: 'bare small', name: t('Into a window of its own'), click: () => this.#tearOff(session) })}
            ${btn('', { i: 'maximize', kind: 'bare small', name: t('Full screen'), click: () => void this.#full() })}
            ${session.running ? btn(t('Disconnect'), { kind: 'small', click: () => session.disconnect() })
                : btn(t('Connect'), { kind: 'small', reason: this.#reason, click: () => void session.connect() })}`;
    }

    /** Why this session takes no special keys now. */
    #noKeys(session: DesktopSession): string | undefined {
        return session.state !== 'open' ? t('There is no connection')
            : session.input === 'limited' ? t('This account may type, but not press these')
            : session.viewOnly ? t('Only looking') : undefined;
    }

    #keys(session: DesktopSession): TemplateResult {
        const reason = this.#noKeys(session);
        const { keyboard } = session;
        const item = (id: string, label: string): TemplateResult => html`<wa-dropdown-item value=${id} ?disabled=${reason !== undefined}>${label}</wa-dropdown-item>`;

        return html`<wa-dropdown placement="bottom-start" @wa-select=${(e: Selected) => this.#pressed(session, e.detail.item.value)}>
            <button class="b bare small" type="button" slot="trigger" title=${reason ?? nothing}>${icon('keyboard')}<span>${t('Keys')}</span>${icon('chevron-down')}</button>
            ${item('cad', 'Ctrl + Alt + Del')}
            ${COMBINATIONS.map(({ name }, i) => item(`c${i}`, t(name)))}
            ${item('lock', t('Lock the screen'))}
            <wa-dropdown-item type="checkbox" value="autolock" ?checked=${session.autolock} ?disabled=${reason !== undefined}>${t('Lock the screen at the end')}</wa-dropdown-item>
            ${session.inputLock === null ? nothing : html`<wa-dropdown-item type="checkbox" value="inputlock" ?checked=${session.inputLock}
                ?disabled=${reason !== undefined}>${t('Block mouse and keyboard there')}</wa-dropdown-item>`}
            <wa-dropdown-item type="checkbox" value="place" ?checked=${keyboard.byPlace} ?disabled=${session.viewOnly}>${t('Keys by their place')}<span slot="details">${
                t('as the layout there has it')}</span></wa-dropdown-item>
        </wa-dropdown>`;
    }

    #pressed(session: DesktopSession, what: string): void {
        const { keyboard } = session;

        switch (what) {
        case 'cad': session.ctrlAltDel(); break;
        case 'lock': session.lock(); break;
        case 'autolock': session.lockAtEnd(!session.autolock); break;
        case 'inputlock': session.lockInput(!session.inputLock); break;
        case 'place':
            keyboard.release();
            keyboard.byPlace = !keyboard.byPlace;
            break;
        default:
            keyboard.tap(...(COMBINATIONS[Number(what.slice(1))]?.keys ?? []));
        }
        this.requestUpdate();
        screenOf(session).focus();
    }

    #clipboard(session: DesktopSession): TemplateResult {
        const reason = session.state !== 'open' ? t('There is no connection') : !session.mayInput ? t('This account may only look') : undefined;
        const write = reason ?? (session.input === 'limited' ? t('This account may type, but not press these') : session.viewOnly ? t('Only looking') : undefined);
        const item = (id: string, label: string, why: string | undefined): TemplateResult => html`<wa-dropdown-item value=${id} ?disabled=${why !== undefined}>${label}</wa-dropdown-item>`;

        return html`<wa-dropdown placement="bottom-start" @wa-select=${(e: Selected) => void this.#clip(session, e.detail.item.value)}>
            <button class="b bare small" type="button" slot="trigger" title=${reason ?? nothing}>${icon('clipboard')}<span>${t('Clipboard')}</span>${icon('chevron-down')}</button>
            ${item('from', t('Fetch the text that was copied there'), reason)}
            ${item('to', t('Put a text into it there…'), write)}
            ${item('type', t('Type a text there…'), session.viewOnly ? reason ?? t('Only looking') : reason)}
        </wa-dropdown>`;
    }

    async #clip(session: DesktopSession, what: string): Promise<void> {
        if (what === 'from') {
            try {
                const text = await session.readClipboard();
                if (!text) {
                    this.mesh.toasts.say('attention', t('There is no text in the clipboard of {name}', { name: this.#name }));
                    return;
                }
                await this.#fetched(text);
            } catch (error) {
                this.mesh.toasts.say('fault', errorText(error));
            }
            return;
        }
        const mine = await navigator.clipboard?.readText().catch(() => '') ?? '';
        const types = what === 'type';
        await ask({
            title: types ? t('Type a text on {name}?', { name: this.#name }) : t('Put a text into the clipboard of {name}?', { name: this.#name }),
            yes: types ? t('Type it') : t('Send it'),
            body: html`<div class="field"><label for="clip">${t('Text')}</label><textarea id="clip" name="clip" rows="6" .value=${mine}></textarea></div>`,
            run: async (form) => {
                // a form has CR LF at its line ends
                const text = value(form, 'clip').replace(/\r\n/g, '\n');
                if (types) {
                    if (text.length > MAX_TYPED) {
                        throw new Error(t('That is too long to be typed: at most {n} characters.', { n: num(MAX_TYPED) }));
                    }
                    session.keyboard.text(text);
                } else {
                    await session.writeClipboard(text);
                }
            },
        });
        screenOf(session).focus();
    }

    /** Into the own clipboard; a browser that refuses gets it to be copied by hand. */
    async #fetched(text: string): Promise<void> {
        try {
            await navigator.clipboard.writeText(text);
            this.mesh.toasts.say('online', count(text.length, '1 character is in the clipboard here', '{n} characters are in the clipboard here'));
        } catch {
            await ask({
                title: t('Copied on {name}', { name: this.#name }), yes: t('Done'),
                body: html`<div class="field"><label for="clip">${t('This browser does not let the page copy it; it can be copied from here.')}</label>
                    <textarea id="clip" rows="6" readonly .value=${text}></textarea></div>`,
            });
        }
    }

    #quality(session: DesktopSession): TemplateResult {
        const { best, automatic } = session;
        const word = QUALITIES.find(([q]) => q === best.quality)?.[1] ?? 'Sharp';
        const group = (id: string, title: string, list: readonly [number, string][], now: number): TemplateResult => html`<h3>${title}</h3>${
            list.map(([n, label]) => html`<wa-dropdown-item type="checkbox" value="${id}${n}" ?checked=${n === now}>${t(label)}</wa-dropdown-item>`)}`;

        return html`<wa-dropdown placement="bottom-start" @wa-select=${(e: Selected) => {
            const what = e.detail.item.value;
            const n = Number(what.slice(1));
            session.choose(what[0] === 'q' ? { quality: n } : what[0] === 's' ? { scaling: n } : what[0] === 'r' ? { interval: n } : {},
                what === 'auto' ? !automatic : automatic);
        }}>
            <button class="b bare small" type="button" slot="trigger">${icon('scaling')}<span>${t('Quality: {word}', { word: t(word).toLowerCase() })}</span>${icon('chevron-down')}</button>
            <wa-dropdown-item type="checkbox" value="auto" ?checked=${automatic}>${t('Less where the line is slow')}</wa-dropdown-item>
            ${group('q', t('Picture'), QUALITIES, best.quality)}${group('s', t('Size'), SIZES, best.scaling)}${group('r', t('Speed'), RATES, best.interval)}
        </wa-dropdown>`;
    }

    #stats(session: DesktopSession): TemplateResult | typeof nothing {
        if (session.state !== 'open') {
            return nothing;
        }
        const { bits, frames } = session.figures;
        const asked = session.asked;
        const watching = Object.values(session.users).reduce((a, b) => a + b, 0);
        const names = Object.entries(session.users).map(([id, n]) => id.slice(id.lastIndexOf('/') + 1) + (n > 1 ? ` (${num(n)})` : ''));

        return html`${watching > 1 ? html`<span class="stat" title=${names.join(', ')}>${icon('eye')}${
            count(watching, '1 person watches', '{n} people watch')}</span>` : nothing}
            <span class="stat">${path(session.way)} ${session.delay === null ? nothing : html`<b>${num(session.delay)} ms</b>`}</span>
            <span class="stat" title=${t('Quality {q}, size {s} %, every {i} ms', { q: asked.quality, s: Math.round(asked.scaling / 10.24), i: asked.interval })}><b>${
                num(Math.round(frames))}</b> ${t('frames/s')}</span>
            <span class="stat"><b>${(bits / 1e6).toFixed(1)}</b> Mbit/s</span>
            ${session.recorded ? html`<span class="stat rec">${icon('scroll-text')}${t('Recorded')}</span>` : nothing}`;
    }

    #says(session: DesktopSession): TemplateResult | typeof nothing {
        const text = session.says || (session.state === 'asking' ? t('Asking the server') : session.state === 'waiting' ? t('Waiting for the device')
            : session.state === 'open' && !session.width ? session.arrived ? t('Waiting for the picture') : t('Waiting for the device') : '');

        if (text) {
            return html`<div class="term-says ${session.state}" role=${session.state === 'failed' ? 'alert' : 'status'}>${mark(MARKS[session.state], false)}<span>${text}</span>${
                session.running ? nothing : btn(t('Connect again'), { kind: 'small', reason: this.#reason, click: () => void session.connect() })}</div>`;
        }
        return session.allowed && Date.now() - session.allowed < 10_000 ? html`<div class="consent" role="status">${icon('check')}<span>${
            t('The person at the device allowed this at {time}', { time: clockOf(session.allowed) })}</span></div>` : nothing;
    }

    async #save(screen: Screen): Promise<void> {
        const blob = await screen.picture();
        if (blob) {
            const link = document.createElement('a');
            link.href = URL.createObjectURL(blob);
            link.download = `${this.#name.replace(/[^\p{L}\p{N}._-]+/gu, '-') || 'screen'} ${new Date().toISOString().slice(0, 19).replace(/:/g, '-')}.png`;
            link.click();
            setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
        }
    }

    #tearOff(session: DesktopSession): void {
        if (window.open(location.href, '_blank', 'popup,width=1280,height=800')) {
            this.mesh.desktops.close(session);
        } else {
            this.mesh.toasts.say('attention', t('The browser did not let the page open a window'));
        }
    }

    async #full(): Promise<void> {
        if (document.fullscreenElement) {
            await document.exitFullscreen();
        } else {
            await this.querySelector('.desk-page')?.requestFullscreen().catch(() => {});
        }
        if (this.#session) {
            screenOf(this.#session).focus();
        }
    }

    protected override updated(): void {
        const place = this.querySelector<HTMLElement>('.desk');

        if (this.#session !== this.#placed && place) {
            if (this.#placed) {
                screens.get(this.#placed)?.hide();
            }
            this.#placed = this.#session;
            if (this.#session) {
                const screen = screenOf(this.#session);
                screen.show(place, this.#name);
                if (!matchMedia('(pointer: coarse)').matches) {
                    screen.focus();
                }
            }
        }
    }
}

define('mesh-desktop', MeshDesktop);

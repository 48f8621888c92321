// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import type { WebSession } from '../../state/account.ts';
import { passwordFault, passwordStrength } from '../../state/password.ts';
import { t } from '../../i18n/index.ts';
import { dateOf } from '../../i18n/format.ts';
import { ask } from '../dialogs.ts';
import { define, Part } from '../element.ts';
import type { IconName } from '../icons.ts';
import { btn, errorText, field, icon, note, time } from '../ui.ts';

type Theme = 'light' | 'dark' | 'system';

const THEMES: [Theme, string, IconName][] = [['system', 'As the system', 'sun-moon'], ['light', 'Light', 'sun'], ['dark', 'Dark', 'moon']];

function chosenTheme(): Theme {
    const theme = document.documentElement.dataset['theme'];
    return theme === 'light' || theme === 'dark' ? theme : 'system';
}

function setTheme(theme: Theme): void {
    if (theme === 'system') {
        delete document.documentElement.dataset['theme'];
    } else {
        document.documentElement.dataset['theme'] = theme;
    }
    try {
        if (theme === 'system') {
            localStorage.removeItem('mesh-theme');
        } else {
            localStorage.setItem('mesh-theme', theme);
        }
    } catch {
        /* storage is blocked: it holds until the page is loaded again */
    }
}

/** `Mozilla/5.0 (X11; Linux x86_64) … Chrome/120.0 …` as people say it. */
export function browserName(agent: string): string {
    const name = /Edg\/|OPR\/|Firefox\/|Chrome\/|Safari\//.exec(agent)?.[0].slice(0, -1) ?? '';
    const known: Record<string, string> = { Edg: 'Edge', OPR: 'Opera' };
    const system = /Windows|Android|iPhone|iPad|Mac OS X|CrOS|Linux/.exec(agent)?.[0].replace('Mac OS X', 'macOS').replace('CrOS', 'ChromeOS') ?? '';
    return [known[name] ?? name, system].filter(Boolean).join(', ') || agent.slice(0, 60);
}

/** The own account: who, password, where it is signed in, how the page looks. */
class MeshAccount extends Part {
    #sessions: WebSession[] | null = null;
    #sessionsError = '';
    #old = '';
    #new = '';
    #faults: Record<string, string> = {};
    #error = '';
    #busy = false;
    #done = false;

    protected override begin(): void {
        this.watch(this.mesh.account, this.mesh.control);
        this.listen(this.mesh.control, 'state', () => void this.#load());
        void this.#load();
    }

    async #load(): Promise<void> {
        if (this.mesh.control.state.kind !== 'live') {
            return;
        }
        try {
            this.#sessions = (await this.mesh.account.sessions()).sort((a, b) => Number(b.current) - Number(a.current) || b.used - a.used);
            this.#sessionsError = '';
        } catch (error) {
            this.#sessionsError = errorText(error);
        }
        this.requestUpdate();
    }

    protected override render(): TemplateResult {
        const { account } = this.mesh;

        return html`<div class="settings account">
            <div class="page-head"><h1><bdi>${account.realName || account.name}</bdi></h1><span class="quiet">${account.isAdmin ? t('Administrator') : t('Account')}${
                account.created ? ` · ${t('since {date}', { date: dateOf(account.created) })}` : ''}</span></div>
            <section><h2>${t('About')}</h2><dl class="facts"><dt>${t('User name')}</dt><dd><bdi>${account.name}</bdi></dd><dt>${t('E-mail')}</dt><dd><bdi>${account.email || '–'}</bdi></dd>
                <dt>${t('Password changed')}</dt><dd>${account.passwordChanged ? dateOf(account.passwordChanged) : '–'}</dd></dl></section>
            <section><h2>${t('Look')}</h2><div class="seg words" role="group" aria-label=${t('Light and dark')}>${THEMES.map(([theme, name, i]) => html`<button type="button"
                aria-pressed=${String(chosenTheme() === theme)} @click=${() => {
                    setTheme(theme);
                    this.requestUpdate();
                }}>${icon(i)}<span>${t(name)}</span></button>`)}</div></section>
            ${this.#password()}
            ${this.#signedIn()}
        </div>`;
    }

    #password(): TemplateResult {
        const strength = passwordStrength(this.#new, this.mesh.account.name);
        const words = [t('At least 10 characters'), t('Weak'), t('Fair'), t('Good'), t('Strong')][strength] ?? '';

        return html`<section><h2>${t('Password')}</h2><form class="edit" novalidate @submit=${this.#change}>
            <input class="off-screen" type="text" name="username" autocomplete="username" .value=${this.mesh.account.name} tabindex="-1" aria-hidden="true" readonly>
            ${field({ id: 'old', label: t('Old password'), type: 'password', value: this.#old, auto: 'current-password', error: this.#faults['old'], input: (e) => this.#take('old', e) })}
            ${field({ id: 'new', label: t('New password'), type: 'password', value: this.#new, auto: 'new-password', error: this.#faults['new'], input: (e) => this.#take('new', e),
                hint: html`<span class="meter" role="img" aria-label=${words}>${[1, 2, 3, 4].map((n) => html`<i class=${n <= strength ? '' : 'no'}></i>`)}</span>${words}` })}
            ${this.#error ? note('fault', 'circle-alert', this.#error, true) : nothing}
            ${this.#done ? note('ok', 'check', t('The password is changed. Other browsers were signed out.')) : nothing}
            <p class="go">${btn(t('Change the password'), { kind: 'primary', type: 'submit', busy: this.#busy, reason: this.#old && this.#new ? undefined : t('Both fields are needed') })}</p>
        </form></section>`;
    }

    #take(name: 'old' | 'new', e: InputEvent): void {
        const text = (e.target as HTMLInputElement).value;
        if (name === 'old') {
            this.#old = text;
        } else {
            this.#new = text;
        }
        delete this.#faults[name];
        this.#done = false;
        this.#error = '';
        this.requestUpdate();
    }

    #change = async (e: Event): Promise<void> => {
        e.preventDefault();
        if (this.#busy || !this.#old) {
            return;
        }
        const fault = passwordFault(this.#new, this.mesh.account.name) || (this.#new === this.#old ? t('It is the old one.') : '');
        if (fault) {
            this.#faults = { new: fault };
            this.requestUpdate();
            this.querySelector<HTMLElement>('#new')?.focus();
            return;
        }
        this.#busy = true;
        this.#error = '';
        this.requestUpdate();
        try {
            await this.mesh.account.changePassword(this.#old, this.#new);
            this.#old = this.#new = '';
            this.#done = true;
            void this.#load();
        } catch (error) {
            this.#error = errorText(error);
        }
        this.#busy = false;
        this.requestUpdate();
    };

    #signedIn(): TemplateResult {
        const list = this.#sessions;
        return html`<section><h2>${t('Signed in')}</h2>
            ${this.#sessionsError ? note('fault', 'circle-alert', this.#sessionsError, true) : nothing}
            ${list ? html`<div class="wide" tabindex="0" role="region" aria-label=${t('Signed in')}><table><thead><tr>${['Browser', 'Address', 'Since', 'Last used', ''].map((h) => html`<th scope="col">${h ? t(h)
                : html`<span class="off-screen">${t('Actions')}</span>`}</th>`)}</tr></thead><tbody>${list.map((s) => html`<tr><td title=${s.agent}>${browserName(s.agent)}</td>
                <td><bdi>${s.address}</bdi></td><td>${time(s.created)}</td><td>${s.current ? t('now') : time(s.used)}</td><td>${s.current ? html`<span class="quiet">${t('this one')}</span>`
                    : btn(t('Sign out'), { kind: 'small', click: () => void this.#endOne(s) })}</td></tr>`)}</tbody></table></div>`
                : html`<p class="quiet" role="status">${this.#sessionsError ? '' : t('Loading')}</p>`}
        </section>`;
    }

    async #endOne(session: WebSession): Promise<void> {
        const yes = await ask({
            title: t('Sign out {browser}?', { browser: browserName(session.agent) }), yes: t('Sign out'),
            body: html`<p>${t('It is signed in from {address}. What runs there ends at once.', { address: session.address })}</p>`,
            run: () => this.mesh.account.endSession(session.id),
        });
        if (yes) {
            void this.#load();
        }
    }
}

define('mesh-account', MeshAccount);

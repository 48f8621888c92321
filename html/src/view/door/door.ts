// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import { HttpError } from '../../wire/http.ts';
import { passwordFault, passwordStrength, userNameFault } from '../../state/password.ts';
import { count, t } from '../../i18n/index.ts';
import { logo } from '../logo.ts';
import { define, Part } from '../element.ts';
import { btn, errorText, field, icon, note } from '../ui.ts';

/** Before anybody is in: the first evening, and every morning. */
class MeshDoor extends Part {
    static override properties = { setup: { type: Boolean }, token: { type: String } };
    declare setup: boolean;
    declare token: string;
    #name = '';
    #password = '';
    #email = '';
    #seen = false;
    #busy = false;
    #error = '';
    #faults: Record<string, string> = {};
    #wait: ReturnType<typeof setInterval> | undefined;
    #until = 0;

    protected override begin(): void {
        this.watch(this.mesh);
    }

    protected override end(): void {
        clearInterval(this.#wait);
    }

    protected override firstUpdated(): void {
        this.querySelector<HTMLElement>('input')?.focus();
    }

    protected override render(): TemplateResult {
        return this.setup ? this.#setupPage() : this.#loginPage();
    }

    #password_(label: string, auto: string, hint: TemplateResult | typeof nothing): TemplateResult {
        return field({
            id: 'password', label, type: this.#seen ? 'text' : 'password', value: this.#password, auto, hint, error: this.#faults['password'], required: true,
            input: (e) => this.#take('password', e),
            blur: () => this.#check('password'),
            end: btn('', {
                i: this.#seen ? 'eye-off' : 'eye', kind: 'bare', name: this.#seen ? t('Hide the password') : t('Show the password'),
                click: () => {
                    this.#seen = !this.#seen;
                    this.requestUpdate();
                },
            }),
        });
    }

    #take(name: string, e: InputEvent): void {
        const text = (e.target as HTMLInputElement).value;
        if (name === 'name') {
            this.#name = text;
        } else if (name === 'password') {
            this.#password = text;
        } else {
            this.#email = text;
        }
        delete this.#faults[name];
        this.requestUpdate();
    }

    #check(name: string): void {
        if (!this.setup) {
            return;
        }
        if (name === 'name' && this.#name) {
            this.#faults['name'] = userNameFault(this.#name);
        }
        if (name === 'password' && this.#password) {
            this.#faults['password'] = passwordFault(this.#password, this.#name);
        }
        this.requestUpdate();
    }

    #setupPage(): TemplateResult {
        const open = this.mesh.info?.setup !== false;
        const strength = passwordStrength(this.#password, this.#name);
        const words = [t('At least 10 characters'), t('Weak'), t('Fair'), t('Good'), t('Strong')][strength] ?? '';

        return html`<div class="door">
            <header>${logo}<b>ngx_mesh</b></header>
            <main id="page" tabindex="-1">
                <ol class="steps" aria-label=${t('Set-up')}>
                    <li class="now" aria-current="step"><i>1</i>${t('Your account')}</li>
                    <li><i>2</i>${t('First device')}</li>
                </ol>
                ${open && this.token ? html`<form novalidate @submit=${this.#sendSetup}>
                    <h1>${t('Make the first account')}</h1>
                    <p>${t('It owns this server. This page closes for good when you are done; more people are added inside.')}</p>
                    ${field({
                        id: 'name', label: t('User name'), value: this.#name, auto: 'username', error: this.#faults['name'], required: true, max: 64,
                        input: (e) => this.#take('name', e), blur: () => this.#check('name'),
                    })}
                    ${this.#password_(t('Password'), 'new-password', html`<span class="meter" role="img" aria-label=${words}>${
                        [1, 2, 3, 4].map((n) => html`<i class=${n <= strength ? '' : 'no'}></i>`)}</span>${words}`)}
                    ${field({
                        id: 'email', label: t('E-mail'), type: 'email', value: this.#email, auto: 'email',
                        hint: t('Kept with the account; may stay empty'), error: this.#faults['email'], input: (e) => this.#take('email', e),
                    })}
                    ${this.#error ? note('fault', 'circle-alert', this.#error, true) : nothing}
                    <div class="go">${btn(t('Continue'), { kind: 'primary', end: 'arrow-right', type: 'submit', busy: this.#busy })}
                        <span class="quiet">${t('1 more step, about a minute')}</span></div>
                </form>` : html`<form>
                    <h1>${t('This link is closed')}</h1>
                    <p>${t('It works once, and it has been used, or it is not complete. A new one is made on the server with:')}</p>
                    <div class="command"><code>mesh-admin setup-link</code></div>
                    <p class="small"><a href="#/login">${t('Sign in')}</a></p>
                </form>`}
            </main>
            ${this.#foot()}
        </div>`;
    }

    #loginPage(): TemplateResult {
        return html`<div class="door login">
            <header>${logo}<b>ngx_mesh</b></header>
            <main id="page" tabindex="-1">
                <form novalidate @submit=${this.#sendLogin}>
                    <h1>${t('Sign in')}</h1>
                    ${field({
                        id: 'name', label: t('User name'), value: this.#name, auto: 'username', error: this.#faults['name'], required: true,
                        input: (e) => this.#take('name', e),
                    })}
                    ${this.#password_(t('Password'), 'current-password', nothing)}
                    ${this.#error ? note('fault', 'circle-alert', this.#error, true) : nothing}
                    ${btn(t('Sign in'), { kind: 'primary wide', type: 'submit', busy: this.#busy })}
                    ${this.mesh.info?.setup ? html`<p class="small">${
                        t('Nobody has an account here yet. Open the set-up link that the server printed when it started.')}</p>` : nothing}
                </form>
            </main>
            ${this.#foot()}
        </div>`;
    }

    #foot(): TemplateResult {
        return html`<footer><span>${icon('lock')}${this.mesh.info?.name ?? location.host}</span><span>${
            this.setup ? this.mesh.info?.version ?? '' : t('Everything done here is recorded.')}</span></footer>`;
    }

    #read(): void {
        // what a password manager filled in may have come without an event
        for (const input of this.querySelectorAll<HTMLInputElement>('input')) {
            if (input.id === 'name') { this.#name = input.value; }
            if (input.id === 'password') { this.#password = input.value; }
            if (input.id === 'email') { this.#email = input.value; }
        }
    }

    #stopIfFaulty(): boolean {
        const bad = Object.entries(this.#faults).find(([, text]) => text);
        this.requestUpdate();
        if (bad) {
            void this.updateComplete.then(() => this.querySelector<HTMLElement>(`#${bad[0]}`)?.focus());
        }
        return bad !== undefined;
    }

    #sendSetup = async (e: Event): Promise<void> => {
        e.preventDefault();
        this.#read();
        this.#faults = {
            name: userNameFault(this.#name), password: passwordFault(this.#password, this.#name),
            email: this.#email && !/^[^\s@]+@[^\s@]+$/.test(this.#email) ? t('This is not an e-mail address.') : '',
        };
        if (this.#busy || this.#stopIfFaulty()) {
            return;
        }
        await this.#send(() => this.mesh.setup(this.token, this.#name.trim(), this.#password, this.#email.trim()), '#/devices');
    };

    #sendLogin = async (e: Event): Promise<void> => {
        e.preventDefault();
        this.#read();
        this.#faults = {
            name: this.#name ? '' : t('The user name is missing.'), password: this.#password ? '' : t('The password is missing.'),
        };
        if (this.#busy || this.#stopIfFaulty()) {
            return;
        }
        const to = /^(?:#\/?)?$|^#\/(?:login|setup)(?:\/|$)/.test(location.hash) ? '#/devices' : location.hash;
        await this.#send(() => this.mesh.login(this.#name.trim(), this.#password), to);
    };

    async #send(run: () => Promise<void>, to: string): Promise<void> {
        this.#busy = true;
        this.#error = '';
        this.requestUpdate();
        try {
            await run();
            this.#password = '';
            location.hash = to || '#/devices';
        } catch (error) {
            this.#fault(error);
        }
        this.#busy = false;
        this.requestUpdate();
    }

    #fault(error: unknown): void {
        if (!(error instanceof HttpError)) {
            this.#error = errorText(error);
            return;
        }
        switch (error.code) {
        case 'credentials':
            this.#error = t('Name or password is wrong.');
            this.querySelector<HTMLInputElement>('#password')?.select();
            break;
        case 'username':
            this.#faults['name'] = error.message;
            break;
        case 'password':
            this.#faults['password'] = error.message;
            break;
        case 'locked':
            this.#until = Date.now() + error.retry * 1000;
            this.#countdown();
            clearInterval(this.#wait);
            this.#wait = setInterval(() => this.#countdown(), 1000);
            break;
        case 'closed':
            this.#error = t('This link has been used, or a newer one was made. Make another on the server with: mesh-admin setup-link');
            break;
        case 'unavailable':
            this.#error = t('The database of the server is away. Try again in a moment.');
            break;
        default:
            this.#error = error.message;
        }
    }

    #countdown(): void {
        const left = Math.ceil((this.#until - Date.now()) / 1000);
        if (left <= 0) {
            clearInterval(this.#wait);
            this.#error = '';
        } else {
            this.#error = `${t('Too many wrong tries.')} ${left > 90
                ? count(Math.ceil(left / 60), 'Wait 1 minute.', 'Wait {n} minutes.') : count(left, 'Wait 1 second.', 'Wait {n} seconds.')}`;
        }
        this.requestUpdate();
    }
}

define('mesh-door', MeshDoor);

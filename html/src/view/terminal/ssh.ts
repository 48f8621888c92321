// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import { keyWords, type SshQuestion, type SshSession } from '../../state/ssh.ts';
import { t } from '../../i18n/index.ts';
import { value } from '../dialogs.ts';
import { define, Part } from '../element.ts';
import { btn, field, note, type Html } from '../ui.ts';

/** The file is made of lines, and a field of one line would join them. */
const MOST_KEY = 65_536;

const frame = (title: string, body: Html, foot: Html, send: (form: HTMLFormElement) => void): TemplateResult => html`<form class="ssh-ask" autocomplete="off"
    aria-label=${title} @submit=${(e: Event) => {
        e.preventDefault();
        send(e.target as HTMLFormElement);
    }}><h2>${title}</h2>${body}<p class="go">${foot}</p></form>`;

/**
 * Before there is a shell: as whom, whether that is the device, and by what one is let
 * in.  What is typed here lives in the fields and in the question that it answers.
 */
class MeshSsh extends Part {
    static override properties = { deviceId: { type: String }, session: { attribute: false } };
    declare deviceId: string;
    /** null: asks as whom, and fires `mesh-ssh-open` */
    declare session: SshSession | null;
    /** null: as the last time */
    #byKey: boolean | null = null;
    #faults: Record<string, string> = {};
    #focused: unknown = null;

    protected override begin(): void {
        this.#focused = null;
        if (this.session) {
            this.watch(this.session);
        }
    }

    protected override render(): TemplateResult | typeof nothing {
        const { session } = this;
        if (!session) {
            return this.#who();
        }
        const { question } = session;

        switch (question?.kind) {
        case 'host': return this.#host(question);
        case 'login': return this.#login(session, question);
        case 'prompts': return this.#prompts(session, question);
        default: return nothing;
        }
    }

    protected override updated(): void {
        const now = this.session ? this.session.question : this;

        if (now && now !== this.#focused) {
            this.#focused = now;
            void this.updateComplete.then(() => this.#first()?.focus());
        }
    }

    #first(): HTMLElement | null {
        return this.querySelector<HTMLElement>('[data-first]') ?? this.querySelector<HTMLElement>('input') ?? this.querySelector<HTMLElement>('button');
    }

    #who(): TemplateResult {
        const node = this.mesh.account.nodeId(this.deviceId);
        const known = this.mesh.sessions.known.get(node, 22);

        return frame(t('Connect by SSH'), html`
            ${field({ id: 'sshuser', label: t('User on the device'), value: known?.user ?? '', max: 64, required: true, error: this.#faults['user'] })}
            ${field({ id: 'sshport', label: t('Port'), value: '22', max: 5, error: this.#faults['port'], hint: t('Of sshd on the device itself') })}
            <p class="quiet">${t('Encrypted from this page to the device: the server passes on what it cannot read, and sees no password.')}</p>`,
        html`${btn(t('Connect'), { kind: 'primary', type: 'submit' })}${btn(t('Cancel'), { click: () => this.dispatchEvent(new Event('mesh-ssh-cancel')) })}`,
        (form) => {
            const user = value(form, 'sshuser').trim();
            const port = Number(value(form, 'sshport'));
            const wrong = !Number.isInteger(port) || port < 1 || port > 65_535;

            this.#faults = { ...(user ? {} : { user: t('Who is to log in?') }), ...(wrong ? { port: t('A port is a number from 1 to 65535.') } : {}) };
            if (user && !wrong) {
                this.dispatchEvent(new CustomEvent('mesh-ssh-open', { detail: { user, port } }));
            } else {
                this.requestUpdate();
                void this.updateComplete.then(() => this.querySelector<HTMLElement>('.bad input')?.focus());
            }
        });
    }

    #host({ key, known, answer }: Extract<SshQuestion, { kind: 'host' }>): TemplateResult {
        const name = this.mesh.devices.get(this.deviceId)?.label ?? '';
        const print = (label: string, type: string, fingerprint: string): TemplateResult => html`<dt>${label}</dt><dd><code>${fingerprint}</code><small>${type}</small></dd>`;

        if (!known) {
            return frame(t('Is that {name}?', { name }), html`
                <p>${t('This browser has not seen the key of this device yet. Compare its fingerprint with what somebody reads there; it is remembered for the next time.')}</p>
                <dl class="prints">${print(t('Fingerprint'), key.type, key.fingerprint)}</dl>
                <p class="quiet">${t('At the device:')} <code>ssh-keygen -lf /etc/ssh/ssh_host_${key.type.includes('ed25519') ? 'ed25519' : key.type.includes('ecdsa') ? 'ecdsa' : 'rsa'}_key.pub</code></p>`,
            html`${btn(t('Yes, connect'), { kind: 'primary', type: 'submit' })}${btn(t('No'), { click: () => answer(false) })}`,
            () => answer(true));
        }
        // the focus is on the safe answer, and Enter gives it
        return frame(t('This is not the key of {name} that was seen before', { name }), html`
            ${note('fault', 'triangle-alert', t('The device was set up anew, or somebody is in between who would see the password. Nothing has been sent.'), true)}
            <dl class="prints">${print(t('Seen before'), known.type, known.fingerprint)}${print(t('Now'), key.type, key.fingerprint)}</dl>`,
        html`<button type="submit" class="b primary" data-first><span>${t('Do not connect')}</span></button>${
            btn(t('Accept the new key and connect'), { kind: 'danger', click: () => answer(true) })}`,
        () => answer(false));
    }

    #login(session: SshSession, { can, banner, answer }: Extract<SshQuestion, { kind: 'login' }>): TemplateResult {
        const byKey = can.key && ((this.#byKey ?? can.byKey) || !can.password);
        const locked = can.badKey?.fault === 'passphrase' || can.badKey?.fault === 'wrong';
        const said = can.last === 'refused' ? t('The device did not accept this. Try again.')
            : can.last === 'more' ? t('That was right, and the device wants one more proof.') : '';
        const choose = (key: boolean, label: string): TemplateResult => html`<button type="button" aria-pressed=${String(byKey === key)} @click=${() => {
            this.#byKey = key;
            this.requestUpdate();
        }}>${label}</button>`;

        return frame(t('Log in as {user}', { user: session.user }), html`
            ${banner ? html`<pre class="banner">${banner}</pre>` : nothing}
            ${can.password && can.key ? html`<div class="seg words" role="group" aria-label=${t('Log in by')}>${choose(false, t('Password'))}${choose(true, t('Private key'))}</div>` : nothing}
            ${byKey ? html`<div class="field ${can.badKey && !locked ? 'bad' : ''}"><label for="sshkey">${t('Private key')}</label><textarea id="sshkey" name="sshkey" class="code" rows="6"
                    data-first maxlength=${MOST_KEY} spellcheck="false" autocapitalize="off" autocomplete="off" aria-describedby="sshkey-h"
                    aria-invalid=${can.badKey && !locked ? 'true' : nothing} placeholder="-----BEGIN OPENSSH PRIVATE KEY-----"></textarea>
                    ${can.badKey && !locked ? html`<small class="error" id="sshkey-h" role="alert">${keyWords(can.badKey)}</small>`
                        : html`<small id="sshkey-h">${t('It stays in this page, and is forgotten when one is in.')}</small>`}</div>
                ${field({ id: 'sshpass', label: t('Passphrase'), type: 'password', error: can.badKey && locked ? keyWords(can.badKey) : undefined, hint: t('When the key has one') })}`
            : field({ id: 'sshpass', label: t('Password'), type: 'password', error: said && can.last === 'refused' ? said : undefined })}
            ${said && (byKey || can.last === 'more') ? note(can.last === 'more' ? '' : 'fault', can.last === 'more' ? 'info' : 'circle-alert', said, true) : nothing}`,
        html`${btn(t('Log in'), { kind: 'primary', type: 'submit' })}${btn(t('Cancel'), { click: () => answer(null) })}`,
        (form) => answer(byKey ? { key: value(form, 'sshkey'), passphrase: value(form, 'sshpass') } : { password: value(form, 'sshpass') }));
    }

    #prompts(session: SshSession, { ask, answer }: Extract<SshQuestion, { kind: 'prompts' }>): TemplateResult {
        return frame(ask.name || t('The device asks {user}', { user: session.user }), html`
            ${ask.instruction ? html`<pre class="banner">${ask.instruction}</pre>` : nothing}
            ${ask.prompts.map(({ prompt, echo }, i) => field({ id: `sshask${i}`, label: prompt || t('Answer'), type: echo ? 'text' : 'password' }))}`,
        html`${btn(t('Answer'), { kind: 'primary', type: 'submit' })}${btn(t('Cancel'), { click: () => answer(null) })}`,
        (form) => answer(ask.prompts.map((_, i) => value(form, `sshask${i}`))));
    }
}

define('mesh-ssh', MeshSsh);

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import type { Device } from '../../state/devices.ts';
import { PLATFORMS } from '../../state/install.ts';
import { count, t } from '../../i18n/index.ts';
import { define, Part } from '../element.ts';
import { btn, copy, errorText, mark, note } from '../ui.ts';
import { devicesOf, whyNot } from '../verbs.ts';

/** Kinds of commands, as numbered in the protocol. */
const SHELLS: [number, string][] = [[3, 'Shell'], [1, 'Command prompt'], [2, 'PowerShell']];
const MOST_TEXT = 60_000;
/** Output kept for one device; the rest is counted. */
const MOST_OUTPUT = 400_000;

const isWindows = (device: Device): boolean => PLATFORMS.windows.fits(device.agentId);

/** Runs a command on one or many devices and shows what each answers. */
class MeshRun extends Part {
    static override properties = { deviceIds: { attribute: false } };
    declare deviceIds: string[];
    #text = '';
    #shell = 0;
    #asUser = 0;
    #error = '';
    #busy = false;
    #answers = new Map<string, { text: string; at: number }>();
    #asked: string[] = [];
    #stop: (() => void) | null = null;

    protected override begin(): void {
        this.watch(this.mesh.devices);
        this.listen(this.mesh.control, 'state', this.again);
    }

    protected override end(): void {
        this.#stop?.();
        this.#stop = null;
    }

    protected override willUpdate(changed: Map<string, unknown>): void {
        const before = changed.get('deviceIds') as string[] | undefined;
        if (before && before.join() !== this.deviceIds.join()) {
            this.#stop?.();
            this.#stop = null;
            this.#answers.clear();
            this.#asked = [];
            this.#error = '';
        }
    }

    #shells(): [number, string][] {
        const list = devicesOf(this.deviceIds);
        const windows = list.filter(isWindows).length;
        return windows === 0 ? SHELLS.slice(0, 1) : windows === list.length ? SHELLS.slice(1) : SHELLS;
    }

    protected override render(): TemplateResult {
        const shells = this.#shells();
        const shell = shells.some(([id]) => id === this.#shell) ? this.#shell : shells[0]?.[0] ?? 3;
        const reason = whyNot(this.deviceIds, 'run') ?? (this.#text.trim() ? undefined : t('There is no command yet'));

        return html`<div class="run">
            <form @submit=${(e: Event) => {
                e.preventDefault();
                void this.#run(shell);
            }}>
                <div class="field ${this.#error ? 'bad' : ''}"><label for="cmds">${t('Command')}</label>
                    <textarea id="cmds" class="code" rows="4" spellcheck="false" autocapitalize="off" autocomplete="off" maxlength=${MOST_TEXT} .value=${this.#text}
                        aria-describedby="cmds-h" @input=${(e: InputEvent) => {
                            this.#text = (e.target as HTMLTextAreaElement).value;
                            this.requestUpdate();
                        }} @keydown=${(e: KeyboardEvent) => {
                            if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) {
                                e.preventDefault();
                                void this.#run(shell);
                            }
                        }}></textarea>
                    <small id="cmds-h">${t('It runs without a terminal; several lines are a script. Ctrl-Enter runs it.')}</small></div>
                <div class="run-bar">
                    ${shells.length > 1 ? html`<div class="seg words" role="group" aria-label=${t('Shell')}>${shells.map(([id, name]) => html`<button type="button"
                        aria-pressed=${String(id === shell)} @click=${() => {
                            this.#shell = id;
                            this.requestUpdate();
                        }}>${t(name)}</button>`)}</div>` : nothing}
                    <div class="seg words" role="group" aria-label=${t('As')}>${[[0, t('As the agent')], [1, t('As who is logged in')]].map(([id, name]) => html`<button type="button"
                        aria-pressed=${String(id === this.#asUser)} @click=${() => {
                            this.#asUser = id as number;
                            this.requestUpdate();
                        }}>${name}</button>`)}</div>
                    <div class="grow"></div>
                    ${btn(t('Run'), { i: 'play', kind: 'primary', type: 'submit', busy: this.#busy, reason })}
                </div>
            </form>
            ${this.#error ? note('fault', 'circle-alert', this.#error, true) : nothing}
            ${this.#results()}
        </div>`;
    }

    #results(): TemplateResult | typeof nothing {
        if (!this.#asked.length) {
            return nothing;
        }
        const waiting = this.#asked.filter((id) => !this.#answers.has(id)).length;
        return html`<div class="run-out" role="region" aria-label=${t('Output')}>
            <p class="quiet" role="status">${waiting ? count(waiting, 'Waiting for 1 device', 'Waiting for {n} devices') : count(this.#asked.length, 'Answered', 'All {n} answered')}</p>
            ${devicesOf(this.#asked).map((device) => {
                const answer = this.#answers.get(device.id);
                return html`<section class="out"><h2>${mark(answer ? device.state : 'connecting', false)}<bdi>${device.label}</bdi>${
                    answer ? btn(t('Copy'), { i: 'copy', kind: 'small', click: (e) => void copy(answer.text, e) }) : nothing}</h2>
                    ${answer ? html`<pre tabindex="0" role="region" aria-label=${t('Output of {name}', { name: device.label })}>${answer.text || t('(no output)')}</pre>` : nothing}</section>`;
            })}
        </div>`;
    }

    async #run(shell: number): Promise<void> {
        if (this.#busy || !this.#text.trim() || whyNot(this.deviceIds, 'run')) {
            return;
        }
        const ids = devicesOf(this.deviceIds).filter((device) => device.conn & 1).map((device) => device.id);

        this.#stop?.();
        this.#stop = null;
        this.#busy = true;
        this.#error = '';
        this.#answers.clear();
        this.#asked = ids;
        this.requestUpdate();
        try {
            this.#stop = await this.mesh.actions.run(ids.map((id) => this.mesh.account.nodeId(id)),
                { type: shell, cmds: this.#text, runAsUser: this.#asUser }, ({ nodeid, text }) => {
                    const before = this.#answers.get(nodeid)?.text ?? '';
                    const whole = before + text;
                    this.#answers.set(nodeid, {
                        text: whole.length > MOST_OUTPUT ? `${whole.slice(0, MOST_OUTPUT)}\n${t('(cut here: more than {n} characters)', { n: MOST_OUTPUT })}` : whole,
                        at: Date.now(),
                    });
                    this.requestUpdate();
                });
            if (!this.isConnected) {
                this.#stop();
            }
        } catch (error) {
            this.#error = errorText(error);
            this.#asked = [];
        }
        this.#busy = false;
        this.requestUpdate();
    }
}

define('mesh-run', MeshRun);

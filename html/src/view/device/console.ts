// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import { live } from 'lit/directives/live.js';
import { t } from '../../i18n/index.ts';
import { define, Part } from '../element.ts';
import { btn, errorText } from '../ui.ts';
import { whyNot } from '../verbs.ts';

const MOST_LINES = 2000;

interface Line {
    mine: boolean;
    text: string;
}

/** What was said in consoles of this page, kept while one looks elsewhere. */
const kept = new Map<string, Line[]>();
const history: string[] = [];

/** Talks with the agent itself, not with the machine: `help` lists what it knows. */
class MeshConsole extends Part {
    static override properties = { deviceId: { type: String } };
    declare deviceId: string;
    #stop: (() => void) | null = null;
    #of = '';
    #at = -1;
    #text = '';

    protected override begin(): void {
        this.watch(this.mesh.devices);
        this.listen(this.mesh.control, 'state', this.again);
        this.#of = '';
    }

    protected override end(): void {
        this.#stop?.();
        this.#stop = null;
    }

    protected override willUpdate(): void {
        if (this.#of !== this.deviceId && this.isConnected) {
            const id = this.deviceId;
            this.#stop?.();
            this.#of = id;
            this.#stop = this.mesh.actions.console(this.mesh.account.nodeId(id), (text) => this.#add(id, { mine: false, text }));
        }
    }

    #add(id: string, line: Line): void {
        const list = kept.get(id) ?? [];
        list.push(line);
        list.splice(0, Math.max(0, list.length - MOST_LINES));
        kept.set(id, list);
        this.requestUpdate();
        void this.updateComplete.then(() => {
            const box = this.querySelector('.con-out');
            if (box) {
                box.scrollTop = box.scrollHeight;
            }
        });
    }

    protected override firstUpdated(): void {
        this.querySelector<HTMLElement>('input')?.focus();
        const box = this.querySelector('.con-out');
        if (box) {
            box.scrollTop = box.scrollHeight;
        }
    }

    protected override render(): TemplateResult {
        const lines = kept.get(this.deviceId) ?? [];
        const reason = this.#reason;

        return html`<div class="con">
            <div class="con-out" role="log" aria-label=${t('Console')} tabindex="0">${lines.length ? lines.map((line) => html`<pre class=${line.mine ? 'mine' : ''}>${line.text}</pre>`)
                : html`<p class="quiet">${t('Commands here are for the agent itself, not for a shell. “help” lists them.')}</p>`}</div>
            <form class="con-in" @submit=${(e: Event) => {
                e.preventDefault();
                void this.#send();
            }}>
                <span aria-hidden="true">&gt;</span>
                <input aria-label=${t('Command for the agent')} autocomplete="off" autocapitalize="off" spellcheck="false" maxlength="4096" .value=${live(this.#text)}
                    @input=${(e: InputEvent) => {
                        this.#text = (e.target as HTMLInputElement).value;
                        this.#at = -1;
                    }} @keydown=${this.#key}>
                ${btn(t('Send'), { kind: 'small', type: 'submit', reason })}
                ${lines.length ? btn(t('Clear'), { kind: 'small bare', click: () => {
                    kept.delete(this.deviceId);
                    this.requestUpdate();
                } }) : nothing}
            </form>
        </div>`;
    }

    get #reason(): string | undefined {
        const device = this.mesh.devices.get(this.deviceId);
        return device && !(device.conn & 1) ? whyNot([this.deviceId], 'terminal') : undefined;
    }

    #key = (e: KeyboardEvent): void => {
        if (e.key !== 'ArrowUp' && e.key !== 'ArrowDown') {
            return;
        }
        const next = this.#at + (e.key === 'ArrowUp' ? 1 : -1);
        if (next < -1 || next >= history.length) {
            return;
        }
        e.preventDefault();
        this.#at = next;
        this.#text = next < 0 ? '' : history[history.length - 1 - next] ?? '';
        this.requestUpdate();
    };

    async #send(): Promise<void> {
        const text = this.#text.trim();
        const id = this.deviceId;

        if (!text || this.#reason) {
            return;
        }
        history.push(text);
        history.splice(0, Math.max(0, history.length - 200));
        this.#at = -1;
        this.#text = '';
        this.#add(id, { mine: true, text: `> ${text}` });
        try {
            await this.mesh.actions.ask('msg', { type: 'console', nodeid: this.mesh.account.nodeId(id), value: text });
        } catch (error) {
            this.#add(id, { mine: false, text: errorText(error) });
        }
    }
}

define('mesh-console', MeshConsole);

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, render, type TemplateResult } from 'lit';
import { t } from '../i18n/index.ts';
import { errorText, note } from './ui.ts';

export interface Question {
    title: string;
    body?: TemplateResult | typeof nothing;
    /** The verb, with the count. */
    yes: string;
    no?: string;
    danger?: boolean;
    /** Typed before the button works: only for what nothing brings back. */
    type?: string;
    wide?: boolean;
    /** Runs on yes; an error keeps the dialog open and is shown in it. */
    run?: (form: HTMLFormElement) => Promise<void> | void;
    /** Called after the dialog is in the page. */
    ready?: (form: HTMLFormElement) => void;
}

interface DialogElement extends HTMLElement {
    open: boolean;
    updateComplete: Promise<unknown>;
}

/**
 * A question that must be answered now.  Escape and a click beside it are the safe
 * answer; the focus is on that one when the other destroys something.
 */
export function ask(question: Question): Promise<boolean> {
    const host = document.createElement('div');
    let busy = false;
    let error = '';
    let typed = '';
    let answer = false;

    document.body.append(host);
    return new Promise((resolve) => {
        const dialog = (): DialogElement | null => host.querySelector<DialogElement>('wa-dialog');
        const shut = (): void => {
            const el = dialog();
            if (el) {
                el.open = false;
            }
        };
        const send = async (event?: Event): Promise<void> => {
            event?.preventDefault();
            const form = host.querySelector('form');
            if (busy || !form || (question.type && typed !== question.type)) {
                return;
            }
            busy = true;
            error = '';
            draw();
            try {
                await question.run?.(form);
                answer = true;
                shut();
            } catch (e) {
                error = errorText(e);
            }
            busy = false;
            draw();
        };
        const draw = (): void => {
            render(html`<wa-dialog class="question ${question.wide ? 'wide' : ''}" label=${question.title}
            without-header light-dismiss
            @wa-after-hide=${(e: Event) => {
                if (e.target === dialog()) {
                    render(nothing, host);
                    host.remove();
                    resolve(answer);
                }
            }}>
            <form @submit=${send}>
                <h2>${question.title}</h2>
                ${question.body ?? nothing}
                ${question.type ? html`<div class="field"><label for="typed">${t('Type {name} to go on', { name: question.type })}</label>
                    <span class="in"><input id="typed" autocomplete="off" spellcheck="false" @input=${(e: Event) => {
                        typed = (e.target as HTMLInputElement).value;
                        draw();
                    }}></span></div>` : nothing}
                ${error ? note('fault', 'circle-alert', error, true) : nothing}
                <button type="submit" class="off-screen" tabindex="-1" aria-hidden="true"></button>
            </form>
            <wa-button slot="footer" appearance="outlined" size="s" ?autofocus=${question.danger} @click=${shut}>${
                question.no ?? t('Cancel')}</wa-button>
            <wa-button slot="footer" variant=${question.danger ? 'danger' : 'brand'} size="s" ?loading=${busy}
                ?disabled=${question.type !== undefined && typed !== question.type}
                @click=${() => void send()}>${question.yes}</wa-button>
        </wa-dialog>`, host);
        };

        draw();
        const el = dialog();
        requestAnimationFrame(() => {
            if (el) {
                el.open = true;
                const form = host.querySelector('form');
                if (form) {
                    question.ready?.(form);
                    if (!question.danger) {
                        const first = form.querySelector<HTMLElement>('input:not([type=hidden]), textarea, select');
                        setTimeout(() => first?.focus(), 60);
                    }
                }
            }
        });
    });
}

export function value(form: HTMLFormElement, name: string): string {
    const data = new FormData(form).get(name);
    return typeof data === 'string' ? data : '';
}

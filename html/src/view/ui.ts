// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, svg, type TemplateResult } from 'lit';
import type { DeviceState } from '../state/devices.ts';
import type { Hour } from '../state/power.ts';
import type { Way } from '../state/way.ts';
import { t } from '../i18n/index.ts';
import { ago, exact } from '../i18n/format.ts';
import type { IconName } from './icons.ts';

export type Mark = DeviceState | 'connecting';
export type Html = TemplateResult | typeof nothing | string;

export const icon = (name: IconName, label?: string): TemplateResult => html`<svg class="i"
    aria-hidden=${label ? 'false' : 'true'} role=${label ? 'img' : nothing}
    aria-label=${label ?? nothing}><use href="./icons.svg#${name}"></use></svg>`;

/** A state is a shape first and a colour second. */
export const STATES: Record<Mark, { word: string; tone: string }> = {
    online: { word: 'Online', tone: 'ok' },
    asleep: { word: 'Asleep', tone: 'sleep' },
    standby: { word: 'Off, can be woken', tone: 'standby' },
    offline: { word: 'Offline', tone: 'off' },
    unknown: { word: 'Never seen', tone: 'off' },
    attention: { word: 'Needs attention', tone: 'warn' },
    fault: { word: 'Refused', tone: 'fault' },
    connecting: { word: 'Connecting', tone: 'off' },
};

const SHAPES: Record<Mark, TemplateResult> = {
    online: svg`<circle cx="6" cy="6" r="4.25" fill="currentColor"/>`,
    asleep: svg`<path d="M9.9 7.6A4.4 4.4 0 1 1 5.2 1.6a3.6 3.6 0 0 0 4.7 6z" fill="currentColor"/>`,
    standby: svg`<circle cx="6" cy="6" r="4.25" fill="none" stroke="currentColor" stroke-width="1.5"/>
        <circle cx="6" cy="6" r="1.75" fill="currentColor"/>`,
    offline: svg`<circle cx="6" cy="6" r="4.25" fill="none" stroke="currentColor" stroke-width="1.5"/>`,
    unknown: svg`<circle cx="6" cy="6" r="4.25" fill="none" stroke="currentColor" stroke-width="1.5"
        stroke-dasharray="1.9 1.44"/>`,
    attention: svg`<path d="M6 1.2 11.2 10.4H.8z" fill="currentColor" stroke="currentColor"
        stroke-linejoin="round" stroke-width=".8"/>`,
    fault: svg`<path d="M2.4 2.4 9.6 9.6M9.6 2.4 2.4 9.6" stroke="currentColor" stroke-width="2.2"
        stroke-linecap="round"/>`,
    connecting: svg`<path d="M6 1.75A4.25 4.25 0 1 1 1.75 6" fill="none" stroke="currentColor"
        stroke-width="1.5" stroke-linecap="round"/>`,
};

export const mark = (state: Mark, label = true): TemplateResult => html`<svg class="mark ${state}" viewBox="0 0 12 12"
    role=${label ? 'img' : nothing} aria-label=${label ? t(STATES[state].word) : nothing}
    aria-hidden=${label ? nothing : 'true'}>${SHAPES[state]}</svg>`;

/**
 * Hours as bars from `foot` up: height says how awake, colour only what is unusual.
 * One path a kind, not one element an hour: there is a strip in every row.
 */
export const bars = (hours: readonly Hour[], kinds: readonly [string, number][], step: number, width: number, foot: number): Html[] =>
    kinds.map(([kind, h], value) => {
        const d = hours.map((x, i) => (x === value ? `M${i * step} ${foot}v-${h}h${width}v${h}z` : '')).join('');
        return d ? svg`<path class=${kind} d=${d}/>` : nothing;
    });

const KINDS: [string, number][] = [['no', 1], ['on', 8], ['sl', 4], ['fl', 8]];

export const strip = (hours: readonly Hour[], label: string): TemplateResult => html`<svg class="strip" viewBox="0 0 96 10"
    role="img" aria-label=${label}>${bars(hours, KINDS, 4, 3, 9)}</svg>`;

export const tag = (text: string): TemplateResult => html`<span class="tag"><bdi>${text}</bdi></span>`;

export interface Btn {
    i?: IconName;
    kind?: string;
    /** Why it cannot be used now; it stays focusable and says so. */
    reason?: string | undefined;
    busy?: boolean;
    end?: IconName;
    name?: string;
    click?: (event: Event) => void;
    type?: 'button' | 'submit';
    pressed?: boolean;
    title?: string;
}

export const btn = (label: string, o: Btn = {}): TemplateResult => html`<button type=${o.type ?? 'button'}
    class="b ${o.kind ?? ''}" aria-disabled=${o.reason || o.busy ? 'true' : nothing} title=${o.reason || o.title || o.name || nothing}
    aria-label=${o.name ?? nothing} aria-pressed=${o.pressed === undefined ? nothing : String(o.pressed)}
    aria-busy=${o.busy ? 'true' : nothing}
    @click=${(event: Event) => {
        if (o.reason || o.busy) {
            event.preventDefault();
            event.stopPropagation();
        } else {
            o.click?.(event);
        }
    }}>${o.busy ? html`<span class="spin" aria-hidden="true"></span>` : o.i ? icon(o.i) : nothing}${label ? html`<span>${label}</span>` : nothing}${
    o.end ? icon(o.end) : nothing}</button>`;

/** Which way a session's data goes: one word, and a sentence for who asks or listens. */
export const path = (way: Way): TemplateResult => {
    const words = way.direct ? t('Straight to the device, beside the server')
        : way.broken ? t('Through the server, as the direct path broke') : t('Through the server');

    return html`<span class="path" title=${words}>${icon(way.direct ? 'zap' : 'server')}<span aria-hidden="true">${
        way.direct ? t('Direct') : t('Relay')}</span><span class="off-screen">${t('Path: {words}', { words })}</span></span>`;
};

/** A relative time with the exact one on hover. */
export const time = (at: number): TemplateResult => html`<time datetime=${new Date(at).toISOString()} title=${exact(at)}>${ago(at)}</time>`;

export interface Field {
    id: string;
    label: string;
    type?: string;
    value?: string;
    hint?: Html;
    error?: string | undefined;
    auto?: string;
    end?: Html;
    input?: (event: InputEvent) => void;
    blur?: (event: FocusEvent) => void;
    required?: boolean;
    max?: number;
    placeholder?: string;
}

/** Label above, hint below, an error in the hint's place. */
export const field = (f: Field): TemplateResult => html`<div class="field ${f.error ? 'bad' : ''}">
    <label for=${f.id}>${f.label}</label>
    <span class="in"><input id=${f.id} name=${f.id} type=${f.type ?? 'text'} .value=${f.value ?? ''} autocomplete=${(f.auto ?? 'off') as 'off'}
        aria-describedby=${f.hint || f.error ? `${f.id}-h` : nothing} aria-invalid=${f.error ? 'true' : nothing}
        aria-required=${f.required ? 'true' : nothing} maxlength=${f.max ?? nothing} placeholder=${f.placeholder ?? nothing}
        spellcheck="false" autocapitalize="off" @input=${f.input ?? nothing} @blur=${f.blur ?? nothing}>${f.end ?? nothing}</span>
    ${f.error ? html`<small class="error" id="${f.id}-h" role="alert">${f.error}</small>`
        : f.hint ? html`<small id="${f.id}-h">${f.hint}</small>` : nothing}</div>`;

export const note = (tone: 'fault' | 'warn' | 'ok' | '', i: IconName, text: Html, alert = false): TemplateResult => html`<div
    class="note ${tone}" role=${alert ? 'alert' : nothing}>${icon(i)}<span>${text}</span></div>`;

/** Copies, and says so on the button for a moment. */
export async function copy(text: string, event: Event): Promise<void> {
    const button = event.currentTarget as HTMLElement;
    try {
        await navigator.clipboard.writeText(text);
    } catch {
        const area = document.createElement('textarea');
        area.value = text;
        area.className = 'off-screen';
        document.body.append(area);
        area.select();
        document.execCommand('copy');
        area.remove();
    }
    const label = button.querySelector('span');
    if (label) {
        button.dataset['done'] = t('Copied');
        setTimeout(() => delete button.dataset['done'], 1600);
    }
}

export const loading = (): TemplateResult => html`<div class="loading" role="status"><span class="off-screen">${t('Loading')}</span></div>`;

/** In the place of a part of the page that could not be fetched. */
export const notLoaded = (): TemplateResult => html`<div class="gone"><h1>${t('This page did not load')}</h1>
    <p>${t('A part of it could not be fetched: the server was updated, or the network is away.')}</p>
    <p>${btn(t('Load again'), { kind: 'primary', click: () => location.reload() })}</p></div>`;

export const errorText = (error: unknown): string => (error instanceof Error ? error.message : String(error));

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import type { Transfer, Transfers } from '../../state/transfers.ts';
import { num, t } from '../../i18n/index.ts';
import { duration, size } from '../../i18n/format.ts';
import { define, Part } from '../element.ts';
import { btn, icon, path } from '../ui.ts';
import { changedAt } from './rows.ts';

/** More rows than a person reads are counted, not drawn. */
const SHOWN = 60;

/** The transfers of a device: at the foot, with progress, questions and ends. */
class MeshDock extends Part {
    static override properties = { transfers: { attribute: false } };
    declare transfers: Transfers;
    #of: Transfers | null = null;
    #folded = false;
    #same = true;
    #second: ReturnType<typeof setInterval> | undefined;
    #heard = (): void => this.requestUpdate();

    protected override begin(): void {
        this.#second = setInterval(() => {
            if (this.transfers.running) {
                this.requestUpdate();
            }
        }, 1000);
    }

    protected override end(): void {
        clearInterval(this.#second);
        this.#of?.removeEventListener('change', this.#heard);
        this.#of = null;
    }

    protected override willUpdate(): void {
        if (this.#of !== this.transfers && this.isConnected) {
            this.#of?.removeEventListener('change', this.#heard);
            this.#of = this.transfers;
            this.#of.addEventListener('change', this.#heard);
        }
    }

    protected override render(): TemplateResult | typeof nothing {
        const { list } = this.transfers;
        if (!list.length) {
            return nothing;
        }
        const order = { asks: 0, running: 1, waiting: 1, failed: 2, paused: 3, queued: 4, done: 5, skipped: 6 };
        const rows = [...list].sort((a, b) => order[a.state] - order[b.state]);
        const asking = rows.filter((one) => one.state === 'asks');
        const rest = rows.filter((one) => one.state !== 'asks');
        const paused = list.some((one) => one.state === 'paused');
        const going = list.some((one) => one.state === 'running' || one.state === 'queued' || one.state === 'waiting');

        return html`<section class="dock ${this.#folded ? 'folded' : ''}" aria-label=${t('Transfers')}>
            <header><h2>${t('Transfers')}</h2><span class="quiet" role="status">${this.#summary()}</span>${this.transfers.way ? path(this.transfers.way) : nothing}<span class="grow"></span>
                ${going ? btn(t('Pause all'), { i: 'pause', kind: 'small', click: () => this.transfers.pauseAll() })
                    : paused ? btn(t('Go on with all'), { i: 'play', kind: 'small', click: () => this.transfers.resumeAll() }) : nothing}
                ${list.some((one) => one.over) ? btn(t('Clear'), { kind: 'small', title: t('Take those that have ended off the list'), click: () => this.transfers.tidy() }) : nothing}
                ${btn('', { i: this.#folded ? 'chevron-up' : 'chevron-down', kind: 'bare small', name: this.#folded ? t('Show the transfers') : t('Fold the transfers'), click: () => {
                    this.#folded = !this.#folded;
                    this.requestUpdate();
                } })}</header>
            <ul ?hidden=${this.#folded}>
                ${asking[0] ? this.#ask(asking[0], asking.length - 1) : nothing}
                ${repeat(rest.slice(0, SHOWN), (one) => one.key, (one) => this.#row(one))}
                ${rest.length > SHOWN ? html`<li class="tr more"><span></span><span class="quiet">${t('and {n} more', { n: num(rest.length - SHOWN) })}</span></li>` : nothing}
            </ul>
        </section>`;
    }

    #summary(): string {
        const { list, past } = this.transfers;
        const n = (...states: Transfer['state'][]): number => list.filter((one) => states.includes(one.state)).length;
        const rate = list.reduce((sum, one) => sum + one.rate, 0);
        const parts: [number, string][] = [
            [n('running', 'waiting'), '{n} running'], [n('asks'), '{n} ask'], [n('queued'), '{n} to come'], [n('paused'), '{n} paused'], [n('failed'), '{n} stopped'], [n('done') + past, '{n} done'],
        ];
        const words = parts.filter(([count]) => count).map(([count, text]) => t(text === '{n} ask' && count === 1 ? '{n} asks' : text, { n: num(count) })).join(', ');
        return rate ? `${words} · ${size(rate)}/s` : words;
    }

    #ask(one: Transfer, others: number): TemplateResult {
        const there = one.there;
        const yours = one.source;
        const newer = there && yours && there.time && yours.lastModified - there.time > 2000;
        const older = there && yours && there.time && there.time - yours.lastModified > 2000;
        const answer = (what: 'skip' | 'both' | 'replace') => () => this.transfers.answer(one, what, this.#same);

        return html`<li class="ask-row"><div class="askwhat">${icon('circle-alert')}<div><b><bdi>${t('{name} is already in {folder}', { name: one.name, folder: one.folder })}</bdi></b>
            <dl>${there ? html`<dt>${t('There')}</dt><dd>${there.kind === 'file' ? size(there.size) : t('a folder')}${there.time ? `, ${changedAt(there.time)}` : ''}</dd>` : nothing}
                ${yours ? html`<dt>${t('Yours')}</dt><dd>${size(yours.size)}, ${changedAt(yours.lastModified)} ${newer ? html`<span class="newer">${t('newer')}</span>` : older ? html`<span class="older">${t('older')}</span>` : nothing}</dd>` : nothing}</dl></div></div>
            <label class="all"><input type="checkbox" .checked=${this.#same} @change=${(e: Event) => {
                this.#same = (e.target as HTMLInputElement).checked;
            }}>${others ? t('Same for the {n} others', { n: num(others) }) : t('Same for what comes')}</label>
            <span class="ta">${btn(t('Skip'), { kind: 'small', click: answer('skip') })}${btn(t('Keep both'), { kind: 'small', click: answer('both') })}${
                there?.kind === 'file' ? btn(t('Replace'), { kind: 'small primary', click: answer('replace') }) : nothing}</span></li>`;
    }

    #row(one: Transfer): TemplateResult {
        const { state, left } = one;
        const part = one.size ? Math.min(100, Math.floor(one.done / one.size * 100)) : state === 'done' ? 100 : 0;
        const shown = state === 'done' ? 100 : part;
        const end = state === 'done' ? t('done') : state === 'failed' ? t('stopped') : state === 'paused' ? t('paused') : state === 'queued' ? t('to come') : state === 'skipped' ? t('skipped')
            : state === 'waiting' ? t('connecting') : left === null ? '' : t('{time} left', { time: duration(Math.max(1000, left), 2) });

        return html`<li class="tr ${state === 'failed' ? 'bad' : ''} is-${state}" data-key=${one.key}>${icon(one.upload ? 'upload' : 'download')}
            <div class="what"><bdi title=${one.upload ? one.path : one.name}>${one.name}</bdi><small>${this.#says(one)}</small></div>
            <div class="prog"><svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" role="progressbar" aria-label=${one.name} aria-valuenow=${shown} aria-valuemin="0" aria-valuemax="100">
                <rect class="bg" width="100" height="6"/><rect class="fg" width=${shown} height="6"/></svg><span>${shown} %</span></div>
            <span class="rate">${one.rate ? `${size(one.rate)}/s` : ''}</span><span class="left">${end}</span>
            <span class="ta">${this.#acts(one)}</span></li>`;
    }

    #says(one: Transfer): string {
        const whole = one.size ?? 0;
        const far = one.over || !one.done ? size(one.state === 'done' ? one.done : whole) : t('{done} of {size}', { done: size(one.done), size: size(whole) });
        const where = one.upload ? t('to {folder}', { folder: one.folder || '/' }) : t('to this computer');

        if (one.says) {
            return one.says;
        }
        const again = one.resumed ? ` · ${one.resumed === 1 ? t('resumed once, nothing sent again') : t('resumed {n} times, nothing sent again', { n: num(one.resumed) })}` : '';
        return `${far} ${where}${again}`;
    }

    #acts(one: Transfer): TemplateResult {
        const { transfers } = this;
        const cancel = btn('', { i: 'x', kind: 'bare small', name: one.over ? t('Take {name} off the list', { name: one.name }) : t('Cancel {name}', { name: one.name }), click: () => transfers.cancel(one) });

        switch (one.state) {
        case 'running': case 'waiting': case 'queued':
            return html`${btn('', { i: 'pause', kind: 'bare small', name: t('Pause {name}', { name: one.name }), click: () => transfers.pause(one) })}${cancel}`;
        case 'paused':
            return html`${btn('', { i: 'play', kind: 'bare small', name: t('Go on with {name}', { name: one.name }), click: () => transfers.resume(one) })}${cancel}`;
        case 'failed':
            return html`${btn(t('Try again'), { kind: 'small', click: () => transfers.resume(one) })}${cancel}`;
        default:
            return cancel;
        }
    }
}

define('mesh-dock', MeshDock);

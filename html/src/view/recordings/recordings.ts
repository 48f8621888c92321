// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import type { Recorded } from '../../state/recordings.ts';
import { href } from '../../state/route.ts';
import { t } from '../../i18n/index.ts';
import { clockSeconds, dateOf, duration, size, when } from '../../i18n/format.ts';
import { Recording } from '../../wire/mcrec.ts';
import { ask } from '../dialogs.ts';
import { define, Part } from '../element.ts';
import { btn, errorText, icon } from '../ui.ts';
import { kindOf } from '../sessions/kinds.ts';
import { Player } from './player.ts';

const SPEEDS = [0.5, 1, 2, 4, 8];
const STEP = 5000;

function stamp(ms: number): string {
    const s = Math.floor(ms / 1000);
    const two = (n: number): string => String(n).padStart(2, '0');
    return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

/** The recordings of the server, or one of them. */
class MeshRecordings extends Part {
    static override properties = { file: {} };

    declare file: string;
    #words = '';
    #shown = '';
    #progress = 0;
    #error = '';
    #recording: Recording | null = null;
    #player: Player | null = null;
    #fetching: AbortController | null = null;

    constructor() {
        super();
        this.file = '';
    }

    protected override begin(): void {
        this.watch(this.mesh.recordings, this.mesh.devices);
        this.listen(this.mesh.control, 'state', () => this.#load());
        this.#load();
    }

    protected override end(): void {
        this.#close();
    }

    #load(): void {
        if (this.mesh.control.state.kind === 'live') {
            void this.mesh.recordings.load();
        }
    }

    protected override willUpdate(): void {
        if (this.file !== this.#shown) {
            this.#close();
            this.#shown = this.file;
            if (this.file) {
                void this.#open(this.file);
            }
        }
    }

    #close(): void {
        this.#fetching?.abort();
        this.#player?.stop();
        this.#player = null;
        this.#recording = null;
        this.#shown = '';
        this.#error = '';
        this.#progress = 0;
    }

    async #open(file: string): Promise<void> {
        const { signal } = this.#fetching = new AbortController();
        try {
            const source = await this.mesh.recordings.open(file, signal);
            const recording = await Recording.open(source, (share) => {
                this.#progress = share;
                this.requestUpdate();
            });
            if (signal.aborted) {
                return;
            }
            this.#recording = recording;
            this.#player = new Player(recording);
            this.#player.addEventListener('change', this.again);
            this.#player.play();
        } catch (error) {
            if (!signal.aborted) {
                this.#error = error instanceof Error ? error.message : String(error);
            }
        }
        this.requestUpdate();
    }

    protected override updated(): void {
        const place = this.querySelector('.rec-stage');
        const element = this.#player?.show.element;
        if (place && element && element.parentElement !== place) {
            place.replaceChildren(element);
        }
    }

    protected override render(): TemplateResult {
        return this.file ? this.#one() : this.#list();
    }

    #list(): TemplateResult {
        const { all, more, known, error } = this.mesh.recordings;
        const rows = all.filter((r) => this.#matches(r));

        return html`<div class="sessions recordings">
            <div class="page-head"><h1>${t('Recordings')}</h1><span class="quiet">${known ? t('{n} kept on the server', { n: all.length }) : ''}</span></div>
            <section>
                ${error ? html`<p role="status">${t('This list cannot be read: {error}', { error })}</p>` : nothing}
                ${all.length ? html`<p><label class="off-screen" for="rec-search">${t('Search recordings')}</label><input id="rec-search" class="query" type="search" autocomplete="off"
                    placeholder=${t('Device, person or kind')} .value=${this.#words} @input=${(e: Event) => { this.#words = (e.target as HTMLInputElement).value; this.requestUpdate(); }}></p>` : nothing}
                ${rows.length ? html`<div class="wide" tabindex="0" role="region" aria-label=${t('Recordings')}><table><thead><tr>${['Began', 'Device', 'What', 'Who', 'For', 'Size', ''].map((h) => html`<th scope="col">${
                    h ? t(h) : html`<span class="off-screen">${t('Actions')}</span>`}</th>`)}</tr></thead><tbody>${rows.map((r) => this.#row(r))}</tbody></table></div>`
                    : known && !error ? html`<p class="quiet">${all.length ? t('None of them has these words.')
                        : t('None yet. A session that is recorded stands here as soon as it has begun.')}</p>` : nothing}
                ${more ? html`<p class="quiet">${t('These are the newest; older ones are in the folder of the server.')}</p>` : nothing}
            </section></div>`;
    }

    #matches(r: Recorded): boolean {
        const text = `${this.#device(r.deviceId)} ${r.userName} ${t(kindOf(r.protocol))}`.toLowerCase();
        return this.#words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
    }

    #device(id: string): string {
        return this.mesh.devices.get(id)?.label ?? id.slice(0, 12);
    }

    #row(r: Recorded): TemplateResult {
        return html`<tr>
            <td><a href=${href('recordings', r.file)}>${icon('play')}<time datetime=${new Date(r.began).toISOString()}>${when(r.began)}</time></a></td>
            <td><bdi>${this.#device(r.deviceId)}</bdi></td><td>${t(kindOf(r.protocol))}</td><td><bdi>${r.userName}</bdi></td>
            <td>${r.whole ? duration(r.length) : html`<span title=${t('It still runs, or it was cut short.')}>${t('no end')}</span>`}</td><td>${size(r.size)}</td>
            <td><a class="b small" href=${this.mesh.recordings.url(r.file)} download=${r.file}>${t('Download')}</a> ${btn(t('Delete'), { kind: 'small', click: () => this.#remove(r) })}</td></tr>`;
    }

    #remove(r: Recorded): void {
        void ask({
            title: t('Delete this recording?'), yes: t('Delete the recording'), danger: true,
            body: html`<p>${t('{kind} of {who} on {device}. Nothing brings it back; the event log says that you deleted it.', {
                kind: t(kindOf(r.protocol)), who: r.userName, device: this.#device(r.deviceId) })}</p>`,
            run: () => this.mesh.recordings.remove(r.file),
        });
    }

    #one(): TemplateResult {
        const recording = this.#recording;
        const row = this.mesh.recordings.all.find((r) => r.file === this.file);

        return html`<div class="sessions recordings player" @keydown=${(e: KeyboardEvent) => this.#key(e)}>
            <div class="page-head"><h1>${row ? html`${t(kindOf(row.protocol))} · <bdi>${this.#device(row.deviceId)}</bdi>` : t('Recording')}</h1>
                <span class="quiet">${row ? html`<bdi>${row.userName}</bdi>, ${dateOf(row.began)} ${clockSeconds(row.began)}` : ''}${recording && !recording.whole ? html` · ${t('cut short')}` : nothing}</span>
                <a class="b keep" href=${href('recordings')}>${t('All recordings')}</a></div>
            ${this.#error ? html`<section>${errorText(this.#error)}</section>`
                : recording ? html`<div class="rec-stage" tabindex="0" role="region" aria-label=${t('What was recorded')} aria-busy=${this.#player?.waiting ? 'true' : 'false'}></div>${this.#bar()}`
                : html`<section><p class="quiet" role="status">${t('Reading the file')}</p><progress max="1" .value=${this.#progress} aria-label=${t('Reading the file')}></progress></section>`}
        </div>`;
    }

    #bar(): TemplateResult | typeof nothing {
        const player = this.#player;
        if (!player) {
            return nothing;
        }
        const now = `${stamp(player.time)} / ${stamp(player.length)}`;

        return html`<div class="rec-bar">
            ${btn(player.playing ? t('Pause') : t('Play'), { i: player.playing ? 'pause' : 'play', click: () => (player.playing ? player.pause() : player.play()) })}
            <input type="range" min="0" max=${Math.max(1, player.length)} step="1" .value=${String(Math.round(player.time))} aria-label=${t('Place in the recording')} aria-valuetext=${now}
                @input=${(e: Event) => void player.seek(Number((e.target as HTMLInputElement).value))}>
            <output>${now}</output>${player.waiting ? html`<span class="quiet" role="status">${t('Fetching')}</span>` : nothing}${
                player.error ? html`<span role="alert">${player.error}</span>` : nothing}
            <label>${t('Speed')} <select @change=${(e: Event) => { player.speed = Number((e.target as HTMLSelectElement).value); }}>${
                SPEEDS.map((s) => html`<option value=${s} ?selected=${s === player.speed}>${s}×</option>`)}</select></label>
            <label><input type="checkbox" .checked=${player.skip} @change=${(e: Event) => { player.skip = (e.target as HTMLInputElement).checked; }}> ${t('Skip pauses')}</label>
        </div>`;
    }

    #key(e: KeyboardEvent): void {
        const player = this.#player;
        const target = e.target as HTMLElement;
        if (!player || e.ctrlKey || e.altKey || e.metaKey || /^(INPUT|SELECT|BUTTON|A)$/.test(target.tagName)) {
            return;
        }
        if (e.key === ' ') {
            if (player.playing) {
                player.pause();
            } else {
                player.play();
            }
        } else if (e.key === 'ArrowLeft' || e.key === 'ArrowRight') {
            void player.seek(player.time + (e.key === 'ArrowLeft' ? -STEP : STEP));
        } else {
            return;
        }
        e.preventDefault();
    }
}

define('mesh-recordings', MeshRecordings);

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import type { Device, DeviceState } from '../../state/devices.ts';
import { lineAt, makeList, offsets, ordered, type Counts, type Line, type List, type SortKey } from '../../state/list.ts';

import { href } from '../../state/route.ts';
import { count, num, t } from '../../i18n/index.ts';
import { define, Part } from '../element.ts';
import type { IconName } from '../icons.ts';
import { btn, icon, loading, mark, STATES, strip, tag } from '../ui.ts';
import { devicesOf, editTags, move, powerItems, powerSelected, remove, wake, whyNot } from '../verbs.ts';
import { said } from './says.ts';
import './add.ts';

const CHIPS: [DeviceState, string][] = [
    ['attention', 'need attention'], ['fault', 'refused'], ['online', 'online'], ['asleep', 'asleep'], ['standby', 'can be woken'],
    ['offline', 'offline'], ['unknown', 'never seen'],
];

interface Column {
    id: string;
    title: string;
    sort: SortKey | null;
    width: string;
}

const COLUMNS: Column[] = [
    { id: 'n', title: 'Name', sort: 'name', width: 'minmax(15rem, 2.4fr)' },
    { id: 's', title: 'State', sort: 'state', width: 'minmax(11rem, 1.6fr)' },
    { id: 'u', title: 'User', sort: 'user', width: 'minmax(4rem, .7fr)' },
    { id: 'o', title: 'System', sort: 'os', width: 'minmax(7rem, 1.1fr)' },
    { id: 'a', title: 'Address', sort: 'ip', width: 'minmax(7rem, 1fr)' },
    { id: 'h', title: 'Last 24 h', sort: null, width: '5.5rem' },
    { id: 't', title: 'Tags', sort: 'tags', width: 'minmax(6rem, 1.2fr)' },
];

const ORDER: DeviceState[] = ['online', 'asleep', 'standby', 'offline', 'unknown', 'attention', 'fault'];
const FRESH = 2000;
const AHEAD = 12;

class MeshDevices extends Part {
    static override properties = { query: { type: String } };
    declare query: string;
    #words = '';
    #state: DeviceState | '' = '';
    #selected = new Set<string>();
    #cursor = '';
    #anchor = '';
    #hot = '';
    #inside = false;
    #add = '';
    #list: List = { lines: [], counts: {}, matching: 0, shown: [] };
    #order: Device[] = [];
    #orderKey = '';
    #tops: Float64Array = new Float64Array(1);
    #heights: [number, number] = [28, 28];
    #scroll = 0;
    #height = 800;
    #frame = 0;
    #stale = true;
    #freshTimer: ReturnType<typeof setTimeout> | undefined;
    #minute: ReturnType<typeof setInterval> | undefined;
    #sizes: ResizeObserver | null = null;
    #kept = false;

    protected override begin(): void {
        this.#stale = true;
        this.listen(this.mesh.devices, 'change', () => this.#later());
        this.listen(this.mesh.groups, 'change', () => this.#later());
        this.listen(this.mesh.account, 'change', () => this.#later());
        this.watch(this.mesh.days, this.mesh.control, this.mesh);
        this.listen(window, 'keydown', (e: KeyboardEvent) => this.#pageKey(e));
        this.#minute = setInterval(() => this.requestUpdate(), 20_000);
        this.#sizes = new ResizeObserver(() => this.#measure());
    }

    protected override end(): void {
        clearInterval(this.#minute);
        clearTimeout(this.#freshTimer);
        this.#sizes?.disconnect();
        this.#kept = false;
    }

    /** A storm of changes is one drawing a frame. */
    #later(): void {
        this.#stale = true;
        if (!this.#frame) {
            this.#frame = requestAnimationFrame(() => {
                this.#frame = 0;
                this.requestUpdate();
            });
        }
    }

    get #folded(): Set<string> {
        return new Set(this.mesh.account.view<string[]>('folded', []));
    }

    get #columns(): Column[] {
        const hidden = new Set(this.mesh.account.view<string[]>('columnsOff', []));
        return COLUMNS.filter((column) => column.id === 'n' || !hidden.has(column.id));
    }

    get #sort(): { by: SortKey; down: boolean } {
        return this.mesh.account.view('sort', { by: 'name' as SortKey, down: false });
    }

    #compute(): void {
        const { by, down } = this.#sort;
        const { devices, groups } = this.mesh;
        const key = `${by}/${down}/${devices.structure}/${by === 'name' ? '' : this.#inside ? this.#orderKey.split('/')[3] ?? '' : Date.now()}`;

        // the order does not move under the pointer, except for what comes and goes
        if (key !== this.#orderKey) {
            this.#order = ordered(devices.byId.values(), by, down);
            this.#orderKey = key;
        }
        this.#list = makeList(this.#order, groups.sorted(), { query: this.#words, state: this.#state, sort: by, down, folded: this.#folded });
        this.#tops = offsets(this.#list.lines, ...this.#heights);
        for (const id of this.#selected) {
            if (!devices.byId.has(id)) {
                this.#selected.delete(id);
            }
        }
        this.#stale = false;
    }

    protected override willUpdate(changed: Map<string, unknown>): void {
        if (changed.has('query') && this.query !== this.#words) {
            this.#words = this.query;
            this.#stale = true;
        }
        if (this.#stale) {
            this.#compute();
        }
    }

    protected override render(): TemplateResult {
        const { devices, groups } = this.mesh;

        if (!devices.loaded || !groups.loaded) {
            return html`<div class="devices"><div class="page-head"><h1>${t('Devices')}</h1></div>${loading()}</div>`;
        }
        if (!devices.byId.size) {
            return html`<div class="devices"><mesh-add .first=${true}></mesh-add></div>`;
        }
        return html`<div class="devices">
            ${this.#head()}
            ${this.#table()}
            ${this.#selected.size ? this.#bar() : nothing}
            ${this.#add ? html`<mesh-add .group=${this.#add === '*' ? '' : this.#add} @close=${() => {
                this.#add = '';
                this.requestUpdate();
            }}></mesh-add>` : nothing}
        </div>`;
    }

    #head(): TemplateResult {
        const { counts, matching } = this.#list;
        const off = new Set(this.mesh.account.view<string[]>('columnsOff', []));

        return html`<div class="page-head">
            <h1>${t('Devices')}</h1>
            <div class="grow"></div>
            <a class="b" href="#/groups">${icon('folder')}<span>${t('Groups')}</span></a>
            <wa-dropdown class="columns" placement="bottom-end" @wa-select=${(e: CustomEvent<{ item: { value: string; checked: boolean } }>) => {
                e.preventDefault();
                const { value, checked } = e.detail.item;
                const now = new Set(off);
                if (checked) {
                    now.delete(value);
                } else {
                    now.add(value);
                }
                this.mesh.account.setView('columnsOff', [...now]);
            }}>
                ${html`<button class="b" type="button" slot="trigger">${icon('columns-3')}<span>${t('Columns')}</span></button>`}
                ${COLUMNS.slice(1).map((column) => html`<wa-dropdown-item type="checkbox" value=${column.id} ?checked=${!off.has(column.id)}>${
                    t(column.title)}</wa-dropdown-item>`)}
            </wa-dropdown>
            ${btn(t('Add device'), { i: 'plus', kind: 'primary', click: () => {
                this.#add = '*';
                this.requestUpdate();
            } })}
        </div>
        <div class="filters">
            <label class="query">${icon('list-filter')}
                <input class="q" type="search" aria-label=${t('Filter')} .value=${this.#words} spellcheck="false" autocapitalize="off" autocomplete="off"
                    placeholder=${t('name, address, user, tag:, os:, group:, online …')}
                    @input=${(e: InputEvent) => this.#filter((e.target as HTMLInputElement).value)}
                    @keydown=${(e: KeyboardEvent) => this.#filterKey(e)}>
                <kbd>/</kbd></label>
            <div class="states" role="group" aria-label=${t('Filter by state')}>
                ${this.#chip('', matching, 'all')}
                ${CHIPS.filter(([state]) => counts[state] || this.#state === state).map(([state, word]) => this.#chip(state, counts[state] ?? 0, word))}
            </div>
        </div>`;
    }

    #chip(state: DeviceState | '', n: number, word: string): TemplateResult {
        return html`<button type="button" class="chip" aria-pressed=${String(this.#state === state)} @click=${() => {
            this.#state = this.#state === state ? '' : state;
            this.#stale = true;
            this.#top();
        }}>${state ? mark(state, false) : nothing}${num(n)}<span> ${t(word)}</span></button>`;
    }

    #table(): TemplateResult {
        const columns = this.#columns;
        const { lines, shown } = this.#list;
        const first = Math.max(0, lineAt(this.#tops, this.#scroll) - AHEAD);
        const last = Math.min(lines.length, lineAt(this.#tops, this.#scroll + this.#height) + AHEAD + 1);
        const { by, down } = this.#sort;
        const chosen = shown.filter((id) => this.#selected.has(id)).length;
        const live = lines.slice(first, last).some((line) => (line.kind === 'group' ? `g${line.id}` : line.device.id) === this.#cursor);

        return html`<div class="table">
            <div class="scroll" role="treegrid" tabindex="0" aria-label=${t('Devices')} aria-multiselectable="true" aria-rowcount=${lines.length + 1}
                aria-colcount=${columns.length} aria-activedescendant=${live ? `row-${this.#cursor}` : nothing}
                .style=${`--columns: ${columns.map((c) => c.width).join(' ')}`}
                @scroll=${this.#scrolled} @keydown=${this.#gridKey} @pointerover=${this.#over} @pointerleave=${this.#leave}
                @focus=${this.#focused} @click=${this.#click}>
                <div role="rowgroup" class="heads-group"><div class="row heads" role="row" aria-rowindex="1">${columns.map((column) => html`<span role="columnheader"
                    class="c-${column.id}" aria-sort=${column.sort === by ? (down ? 'descending' : 'ascending') : nothing}>${column.id === 'n'
                    ? html`<input type="checkbox" tabindex="-1" .checked=${chosen > 0 && chosen === shown.length}
                        .indeterminate=${chosen > 0 && chosen < shown.length} aria-label=${t('Select all shown')} @change=${this.#selectAll}>` : nothing}
                    ${column.sort ? html`<button type="button" tabindex="-1" @click=${() => this.#sortBy(column.sort as SortKey)}>${t(column.title)}${
                        column.sort === by ? icon(down ? 'arrow-down' : 'arrow-up') : nothing}</button>` : t(column.title)}</span>`)}</div></div>
                <div class="body" role="rowgroup" .style=${`height: ${this.#tops[lines.length] ?? 0}px`}>
                    <div class="slice" role="presentation" .style=${`transform: translateY(${this.#tops[first] ?? 0}px)`}>
                    ${repeat(lines.slice(first, last), (line) => (line.kind === 'group' ? `g${line.id}` : line.device.id),
                        (line, i) => (line.kind === 'group' ? this.#groupRow(line, first + i) : this.#deviceRow(line.device, first + i, columns)))}
                    </div>
                </div>
                ${lines.length ? nothing : html`<div class="nothing" role="row"><span role="gridcell">${t('No device fits this filter.')} ${
                    btn(t('Clear the filter'), { kind: 'small', click: () => this.#clearFilter() })}</span></div>`}
            </div>
        </div>`;
    }

    #groupRow(line: Extract<Line, { kind: 'group' }>, at: number): TemplateResult {
        const cursor = this.#cursor === `g${line.id}`;
        const name = line.name || t('Without a group');

        return html`<div class="row group d0 ${cursor ? 'cursor' : ''}" role="row" id="row-g${line.id}" aria-level="1" aria-expanded=${String(line.open)}
            aria-rowindex=${at + 2} data-key="g${line.id}">
            <span role="gridcell" class="c-n" aria-colspan="1"><span class="fold" aria-hidden="true">${icon(line.open ? 'chevron-down' : 'chevron-right')}</span><bdi
                class="name">${name}</bdi><em>${num(line.total)}</em></span>
            <span role="gridcell" class="sum">${summary(line.counts)}</span>
            <span role="gridcell" class="quick"><a tabindex="-1" href=${href('groups', line.id)} title=${t('Group settings, members and rights')}
                aria-label=${t('Settings of {name}', { name })}>${icon('settings')}</a></span>
        </div>`;
    }

    #deviceRow(device: Device, at: number, columns: readonly Column[]): TemplateResult {
        const selected = this.#selected.has(device.id);
        const fresh = Date.now() - device.touched < FRESH;

        return html`<div class="row dev d1 is-${device.state} ${fresh ? 'fresh' : ''} ${this.#cursor === device.id ? 'cursor' : ''}" role="row"
            id="row-${device.id}" aria-level="2" aria-rowindex=${at + 2} aria-selected=${String(selected)} data-key=${device.id}>
            ${columns.map((column) => this.#cell(column.id, device, selected))}
            ${device.id === this.#hot ? this.#quick(device) : nothing}
        </div>`;
    }

    #cell(column: string, device: Device, selected: boolean): TemplateResult {
        switch (column) {
        case 'n': return html`<span role="gridcell" class="c-n"><input type="checkbox" tabindex="-1" aria-label=${t('Select {name}', { name: device.label })}
            .checked=${selected}>${mark(device.state)}<a class="name" tabindex="-1" href=${href('device', device.id)} title=${device.label}><bdi>${device.label || device.id.slice(0, 12)}</bdi></a></span>`;
        case 's': return html`<span role="gridcell" class="c-s">${said(device)}</span>`;
        case 'u': return html`<span role="gridcell" class="c-u"><bdi title=${device.people.join(', ')}>${device.people.join(', ')}</bdi></span>`;
        case 'o': return html`<span role="gridcell" class="c-o" data-a=${device.address} title=${device.osdesc}>${system(device.osdesc)}</span>`;
        case 'a': return html`<span role="gridcell" class="c-a">${device.address}</span>`;
        case 'h': return html`<span role="gridcell" class="c-h">${this.#day(device)}</span>`;
        default: return html`<span role="gridcell" class="c-t">${device.labels.map(tag)}</span>`;
        }
    }

    #day(device: Device): TemplateResult | typeof nothing {
        const hours = this.mesh.days.of(device.id);
        if (!hours || device.state === 'unknown' || hours.every((h) => h === null)) {
            return nothing;
        }
        return strip(hours, t('Awake {n} of the last 24 hours', { n: hours.filter((h) => h === 1 || h === 3).length }));
    }

    #quick(device: Device): TemplateResult {
        const one = (i: IconName, name: string, tab: string, reason: string | undefined): TemplateResult => html`<a tabindex="-1"
            href=${reason ? nothing : href('device', device.id, tab)} role=${reason ? 'link' : nothing} aria-disabled=${reason ? 'true' : nothing}
            title=${reason ?? name} aria-label="${name}: ${device.label}">${icon(i)}</a>`;
        const id = [device.id];
        return html`<span role="gridcell" class="quick">${one('square-terminal', t('Terminal'), 'terminal', whyNot(id, 'terminal'))}${
            one('play', t('Run'), 'run', whyNot(id, 'run'))}${one('settings', t('Settings'), 'settings', undefined)}</span>`;
    }

    #bar(): TemplateResult {
        const ids = [...this.#selected];
        const list = devicesOf(ids);
        const counts: Counts = {};
        for (const device of list) {
            counts[device.state] = (counts[device.state] ?? 0) + 1;
        }
        const words = ORDER.filter((state) => counts[state]).map((state) => `${num(counts[state] ?? 0)} ${
            state === 'standby' ? t('can be woken') : t(STATES[state].word).toLowerCase()}`).join(', ');

        return html`<div class="bar-sel" role="toolbar" aria-label=${t('Selected devices')}>
            <b>${t('{n} selected', { n: num(ids.length) })}</b><span class="quiet">${words}</span>
            <span class="sep"></span>
            ${btn(t('Terminal'), { i: 'square-terminal', reason: whyNot(ids, 'terminal'), click: () => { location.hash = href('device', ids[0] ?? '', 'terminal'); } })}
            ${btn(t('Run…'), { i: 'play', reason: whyNot(ids, 'run'), click: () => void import('../device/run-dialog.ts').then((m) => m.runOn(ids)) })}
            ${btn(t('Wake'), { i: 'zap', reason: whyNot(ids, 'wake'), click: () => void wake(ids) })}
            <wa-dropdown placement="top-start" @wa-select=${powerSelected(ids)}><button class="b" type="button" slot="trigger">${icon('power')}<span>${
                t('Power')}</span>${icon('chevron-down')}</button>${powerItems(ids)}</wa-dropdown>
            ${btn(t('Tag…'), { i: 'tag', reason: whyNot(ids, 'edit'), click: () => void editTags(ids) })}
            ${btn(t('Move…'), { i: 'folder', reason: whyNot(ids, 'move'), click: () => void move(ids) })}
            <div class="grow"></div>
            ${btn(t('Remove…'), { kind: 'danger', reason: whyNot(ids, 'remove'), click: () => void remove(ids) })}
            ${btn('', { i: 'x', kind: 'bare', name: t('Clear the selection'), click: () => {
                this.#selected.clear();
                this.requestUpdate();
                this.#grid?.focus();
            } })}
        </div>`;
    }

    get #grid(): HTMLElement | null {
        return this.querySelector<HTMLElement>('.scroll');
    }

    protected override updated(): void {
        const grid = this.#grid;
        if (!grid) {
            return;
        }
        if (!this.#kept) {
            this.#kept = true;
            this.#sizes?.disconnect();
            this.#sizes?.observe(grid);
            grid.scrollTop = kept.scroll;
            this.#measure();
        }
        this.#measureRows();

        const lines = this.#list.lines;
        const from = lineAt(this.#tops, this.#scroll);
        const to = lineAt(this.#tops, this.#scroll + this.#height);
        if (this.#columns.some((column) => column.id === 'h') && innerWidth > 1200) {
            this.mesh.days.want(lines.slice(from, to + 1).flatMap((line) => (line.kind === 'device' ? [line.device.id] : [])));
        }
        const now = Date.now();
        const youngest = lines.slice(from, to + 1).reduce((t0, line) => (line.kind === 'device' && now - line.device.touched < FRESH
            ? Math.max(t0, line.device.touched) : t0), 0);
        if (youngest) {
            clearTimeout(this.#freshTimer);
            this.#freshTimer = setTimeout(() => this.requestUpdate(), FRESH - (now - youngest) + 30);
        }
    }

    #measure(): void {
        const grid = this.#grid;
        if (grid && (grid.clientHeight !== this.#height || grid.scrollTop !== this.#scroll)) {
            this.#height = grid.clientHeight;
            this.#scroll = grid.scrollTop;
            this.requestUpdate();
        }
    }

    #measureRows(): void {
        const group = this.querySelector<HTMLElement>('.row.group')?.getBoundingClientRect().height;
        const device = this.querySelector<HTMLElement>('.row.dev')?.getBoundingClientRect().height;
        const now: [number, number] = [group ?? this.#heights[0], device ?? this.#heights[1]];
        if (Math.abs(now[0] - this.#heights[0]) > 0.1 || Math.abs(now[1] - this.#heights[1]) > 0.1) {
            this.#heights = now;
            this.#stale = true;
            this.requestUpdate();
        }
    }

    #scrolled = (): void => {
        const grid = this.#grid;
        if (grid) {
            this.#scroll = grid.scrollTop;
            kept.scroll = grid.scrollTop;
            this.requestUpdate();
        }
    };

    #top(): void {
        const grid = this.#grid;
        if (grid) {
            grid.scrollTop = 0;
            this.#scroll = 0;
        }
        this.requestUpdate();
    }

    #filter(words: string): void {
        this.#words = words;
        this.#stale = true;
        history.replaceState(null, '', words ? `#/devices?q=${encodeURIComponent(words)}` : '#/devices');
        this.#top();
    }

    #clearFilter(): void {
        this.#state = '';
        this.#filter('');
    }

    #sortBy(by: SortKey): void {
        const now = this.#sort;
        this.mesh.account.setView('sort', { by, down: now.by === by ? !now.down : false });
        this.#orderKey = '';
        this.#stale = true;
    }

    #fold(id: string, open: boolean): void {
        const folded = this.#folded;
        if (open) {
            folded.delete(id);
        } else {
            folded.add(id);
        }
        this.mesh.account.setView('folded', [...folded]);
        this.#stale = true;
    }

    #over = (e: PointerEvent): void => {
        this.#inside = true;
        if (e.pointerType !== 'mouse') {
            return;
        }
        const key = (e.target as Element).closest<HTMLElement>('.dev')?.dataset['key'] ?? '';
        if (key !== this.#hot) {
            this.#hot = key;
            this.requestUpdate();
        }
    };

    #leave = (): void => {
        this.#inside = false;
        this.#hot = '';
        this.#later();
    };

    #focused = (): void => {
        if (!this.#at(this.#cursor)) {
            const first = this.#list.lines[lineAt(this.#tops, this.#scroll)];
            this.#cursor = first ? keyOf(first) : '';
            this.requestUpdate();
        }
    };

    #at(key: string): number | undefined {
        const i = this.#list.lines.findIndex((line) => keyOf(line) === key);
        return i < 0 ? undefined : i;
    }

    #click = (e: MouseEvent): void => {
        const target = e.target as Element;
        const key = target.closest<HTMLElement>('.row')?.dataset['key'];
        if (!key) {
            return;
        }
        if (target.closest('.quick')) {
            return;
        }
        this.#cursor = key;
        if (key.startsWith('g') && target.closest('.group')) {
            const line = this.#list.lines.find((l) => keyOf(l) === key);
            if (line?.kind === 'group') {
                this.#fold(line.id, !line.open);
            }
        } else if (target instanceof HTMLInputElement) {
            this.#choose(key, e.shiftKey);
        } else if (target.closest('a.name')) {
            return;
        } else if (e.shiftKey) {
            this.#choose(key, true);
        } else if (e.ctrlKey || e.metaKey) {
            this.#choose(key, false);
        } else if (!getSelection()?.toString()) {
            location.hash = href('device', key);
        }
        this.requestUpdate();
    };

    /** Turns one round, or with `range` selects all from the last one to it. */
    #choose(id: string, range: boolean): void {
        if (range && this.#anchor) {
            const a = this.#at(this.#anchor);
            const b = this.#at(id);
            if (a !== undefined && b !== undefined) {
                for (const line of this.#list.lines.slice(Math.min(a, b), Math.max(a, b) + 1)) {
                    if (line.kind === 'device') {
                        this.#selected.add(line.device.id);
                    }
                }
                this.requestUpdate();
                return;
            }
        }
        if (!this.#selected.delete(id)) {
            this.#selected.add(id);
        }
        this.#anchor = id;
        this.requestUpdate();
    }

    #selectAll = (e: Event): void => {
        const box = e.target as HTMLInputElement;
        if (box.checked) {
            for (const id of this.#list.shown) {
                this.#selected.add(id);
            }
        } else {
            this.#selected.clear();
        }
        this.requestUpdate();
    };

    #pageKey(e: KeyboardEvent): void {
        const target = e.target as HTMLElement;
        if (e.key === '/' && !e.ctrlKey && !e.metaKey && !e.altKey && !/^(?:input|textarea|select)$/i.test(target.tagName) && !target.closest('wa-dialog, mesh-palette')) {
            e.preventDefault();
            const input = this.querySelector<HTMLInputElement>('.q');
            input?.focus();
            input?.select();
        }
    }

    #filterKey(e: KeyboardEvent): void {
        if (e.key === 'Escape') {
            e.preventDefault();
            if (this.#words) {
                this.#clearFilter();
            } else {
                this.#grid?.focus();
            }
        } else if (e.key === 'ArrowDown' || e.key === 'Enter') {
            e.preventDefault();
            const first = this.#list.lines.find((line) => line.kind === 'device') ?? this.#list.lines[0];
            this.#cursor = first ? keyOf(first) : '';
            this.#grid?.focus();
            this.requestUpdate();
        }
    }

    #gridKey = (e: KeyboardEvent): void => {
        const { lines } = this.#list;
        const at = this.#at(this.#cursor);
        const line = at === undefined ? undefined : lines[at];
        const page = Math.max(1, Math.floor(this.#height / this.#heights[1]) - 2);
        const go = (to: number): void => {
            const target = lines[Math.max(0, Math.min(lines.length - 1, to))];
            if (!target) {
                return;
            }
            if (e.shiftKey && target.kind === 'device') {
                if (!this.#anchor || !this.#selected.size) {
                    this.#anchor = this.#cursor;
                    if (line?.kind === 'device') {
                        this.#selected.add(line.device.id);
                    }
                }
                this.#selected.add(target.device.id);
            }
            this.#cursor = keyOf(target);
            this.#reveal();
        };

        if (e.target !== this.#grid || e.altKey) {
            return;
        }
        switch (e.key) {
        case 'ArrowDown': go((at ?? -1) + 1); break;
        case 'ArrowUp': go((at ?? 1) - 1); break;
        case 'PageDown': go((at ?? 0) + page); break;
        case 'PageUp': go((at ?? 0) - page); break;
        case 'Home': go(0); break;
        case 'End': go(lines.length - 1); break;
        case 'ArrowRight':
            if (line?.kind === 'group') {
                if (line.open) {
                    go((at ?? 0) + 1);
                } else {
                    this.#fold(line.id, true);
                }
            }
            break;
        case 'ArrowLeft':
            if (line?.kind === 'group') {
                this.#fold(line.id, false);
            } else if (line) {
                let up = at ?? 0;
                while (up > 0 && lines[up]?.kind !== 'group') {
                    up--;
                }
                go(up);
            }
            break;
        case ' ':
            if (line?.kind === 'device') {
                this.#choose(line.device.id, e.shiftKey);
            } else if (line) {
                const ids = this.#list.shown.filter((id) => this.mesh.devices.get(id)?.groupId === line.id);
                const all = ids.every((id) => this.#selected.has(id));
                for (const id of ids) {
                    if (all) {
                        this.#selected.delete(id);
                    } else {
                        this.#selected.add(id);
                    }
                }
            }
            break;
        case 'Enter':
            if (line?.kind === 'device') {
                location.hash = href('device', line.device.id);
            } else if (line) {
                this.#fold(line.id, !line.open);
            }
            break;
        case 'Escape':
            if (this.#selected.size) {
                this.#selected.clear();
            } else if (this.#words || this.#state) {
                this.#clearFilter();
            }
            break;
        case 'a':
            if (!e.ctrlKey && !e.metaKey) {
                return;
            }
            for (const id of this.#list.shown) {
                this.#selected.add(id);
            }
            break;
        case 'Delete':
            if (this.#selected.size && !whyNot([...this.#selected], 'remove')) {
                void remove([...this.#selected]);
            }
            break;
        default: return;
        }
        e.preventDefault();
        this.requestUpdate();
    };

    #reveal(): void {
        const grid = this.#grid;
        const at = this.#at(this.#cursor);
        if (!grid || at === undefined) {
            return;
        }
        const head = this.querySelector<HTMLElement>('.heads')?.offsetHeight ?? 0;
        const top = this.#tops[at] ?? 0;
        const bottom = this.#tops[at + 1] ?? 0;
        if (top < grid.scrollTop) {
            grid.scrollTop = top;
        } else if (bottom + head > grid.scrollTop + grid.clientHeight) {
            grid.scrollTop = bottom + head - grid.clientHeight;
        }
        this.#scroll = grid.scrollTop;
    }
}

/** Where the list was scrolled to, for coming back. */
const kept = { scroll: 0 };

const keyOf = (line: Line): string => (line.kind === 'group' ? `g${line.id}` : line.device.id);

function summary(counts: Counts): TemplateResult[] {
    return ORDER.filter((state) => counts[state]).map((state) => html`<span class="n-${STATES[state].tone}"
        title=${count(counts[state] ?? 0, `1 ${STATES[state].word.toLowerCase()}`, `{n} ${STATES[state].word.toLowerCase()}`)}>${mark(state)}${num(counts[state] ?? 0)}</span>`);
}

/** `Microsoft Windows 11 Pro - 23H2/22631` and the like, as short as people say it. */
export function system(text: string): string {
    return text.replace(/^Microsoft /, '').replace(/ GNU\/Linux\b/, '').replace(/^Windows (\S+) .* - (\w+)\/\d+$/, 'Windows $1 $2');
}

define('mesh-devices', MeshDevices);

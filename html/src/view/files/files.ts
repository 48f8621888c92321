// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import type { Entry } from '../../wire/files.ts';
import { filesOf, type FilesSession, type SortBy } from '../../state/files.ts';
import { above, badName, crumbs, join } from '../../state/paths.ts';
import { href, parseRoute } from '../../state/route.ts';
import { count, num, t } from '../../i18n/index.ts';
import { size } from '../../i18n/format.ts';
import { ask, value } from '../dialogs.ts';
import { define, Part } from '../element.ts';
import { btn, errorText, field, icon, loading, mark, note, path } from '../ui.ts';
import { notNow, whyNot } from '../verbs.ts';
import { clearOld, dropped, fetchFile, openSink, pick, whyNoSink, type Picked } from './save.ts';
import { changedAt, exactly, iconOf, isZip } from './rows.ts';
import './dock.ts';

const AHEAD = 15;
/** Edited in the page: more would be slow to send, and slower to read. */
const EDITABLE = 2 * 1024 * 1024;

interface Held {
    deviceId: string;
    from: string;
    names: string[];
    move: boolean;
}

/** What was cut or copied, for another folder of the same device. */
let held: Held | null = null;

/** The files of one device: a folder, and below it what is on its way. */
class MeshFiles extends Part {
    static override properties = { deviceId: { type: String } };
    declare deviceId: string;
    #session: FilesSession | null = null;
    #selected = new Set<string>();
    #cursor = '';
    #anchor = '';
    #folder = '';
    #scroll = 0;
    #height = 600;
    #row = 28;
    #typing = false;
    #finding = false;
    #over = 0;
    #error = '';
    #editing: Entry | null = null;
    #sizes: ResizeObserver | null = null;
    #seen: HTMLElement | null = null;
    #crumbOf: string | null = null;
    #frame = 0;
    #heard = (): void => this.#later();

    protected override begin(): void {
        this.watch(this.mesh.devices);
        this.listen(this.mesh.control, 'state', this.again);
        this.listen(window, 'hashchange', () => this.#go());
        this.listen(window, 'keydown', (e: KeyboardEvent) => this.#pageKey(e));
        this.#sizes = new ResizeObserver(() => this.#measure());
        void clearOld();
    }

    protected override end(): void {
        this.#sizes?.disconnect();
        this.#seen = null;
        this.#crumbOf = null;
        this.#session?.removeEventListener('change', this.#heard);
        this.#session = null;
    }

    /** A storm of changes is one drawing a frame. */
    #later(): void {
        if (!this.#frame) {
            this.#frame = requestAnimationFrame(() => {
                this.#frame = 0;
                this.requestUpdate();
            });
        }
    }

    protected override willUpdate(): void {
        if (this.isConnected && this.#session?.deviceId !== this.deviceId) {
            this.#session?.removeEventListener('change', this.#heard);
            this.#session = filesOf({ control: this.mesh.control, deviceId: this.deviceId, nodeId: this.mesh.account.nodeId(this.deviceId), base: this.mesh.http.url(''),
                direct: () => this.mesh.account.direct });
            this.#session.addEventListener('change', this.#heard);
            this.#go();
        }
        const session = this.#session;
        if (session && session.path !== this.#folder) {
            this.#folder = session.path;
            this.#selected.clear();
            this.#cursor = this.#anchor = '';
            this.#editing = null;
            this.#error = '';
            const grid = this.#grid;
            if (grid) {
                grid.scrollTop = this.#scroll = 0;
            }
        }
        if (session?.entries) {
            const names = new Set(session.shown.map((e) => e.name));
            for (const name of this.#selected) {
                if (!names.has(name)) {
                    this.#selected.delete(name);
                }
            }
        }
    }

    /** To the folder of the address; without one, to where one was last. */
    #go(): void {
        const { parts } = parseRoute(location.hash);
        const session = this.#session;

        if (!session || parts[0] !== 'device' || parts[1] !== this.deviceId || parts[2] !== 'files') {
            return;
        }
        const to = parts[3] ?? (session.entries ? session.path : '');
        if (!this.#reason && (to !== session.path || !session.entries)) {
            void session.open(to);
        }
    }

    #to(path: string): void {
        const next = href('device', this.deviceId, 'files', ...(path ? [path] : []));
        if (location.hash === next) {
            void this.#session?.open(path);
        } else {
            location.hash = next;
        }
    }

    get #reason(): string | undefined {
        return whyNot([this.deviceId], 'files');
    }

    get #grid(): HTMLElement | null {
        return this.querySelector<HTMLElement>('.ftable');
    }

    get #chosen(): Entry[] {
        return (this.#session?.shown ?? []).filter((e) => this.#selected.has(e.name));
    }

    protected override render(): TemplateResult {
        const session = this.#session;
        if (!session) {
            return loading();
        }
        return html`<div class="files ${this.#over ? 'over-it' : ''}" @dragenter=${this.#drag} @dragover=${this.#drag} @dragleave=${this.#dragOut} @drop=${this.#drop}>
            ${this.#bar(session)}
            ${this.#finding ? this.#find(session) : nothing}
            ${this.#messages(session)}
            ${this.#editing ? html`<mesh-editor .session=${session} .entry=${this.#editing} @close=${() => {
                this.#editing = null;
                this.requestUpdate();
                void this.updateComplete.then(() => this.#grid?.focus());
            }}></mesh-editor>` : session.found ? this.#results(session) : this.#table(session)}
            ${this.#selected.size && !this.#editing ? this.#selection(session) : nothing}
            ${this.#over ? html`<div class="drop-here" aria-hidden="true">${icon('upload')}<span>${t('Drop to send to {folder}', { folder: session.path || '/' })}</span></div>` : nothing}
            <mesh-dock .transfers=${session.transfers}></mesh-dock>
        </div>`;
    }

    #bar(session: FilesSession): TemplateResult {
        const up = above(session.path);
        const ready = session.entries !== null && !session.error;
        const no = ready ? undefined : t('No folder is open');
        const chosen = this.#chosen;
        const list = session.entries ?? [];
        const total = list.reduce((sum, e) => sum + (e.kind === 'file' ? e.size : 0), 0);

        return html`<div class="fbar" role="toolbar" aria-label=${t('Folder')}>
            ${btn('', { i: 'folder-up', kind: 'bare', name: t('To the folder above'), reason: up === null ? t('This is the top') : undefined, click: () => this.#to(up ?? '') })}
            ${this.#typing ? html`<form class="addr" @submit=${this.#typed}><input name="path" aria-label=${t('Folder to open')} .value=${session.path || '/'} spellcheck="false" autocomplete="off" autocapitalize="off"
                @keydown=${(e: KeyboardEvent) => {
                    if (e.key === 'Escape') {
                        this.#type(false);
                    }
                }} @blur=${() => this.#type(false)}></form>`
                : html`<nav class="crumb" aria-label=${t('Folder')} @dblclick=${() => this.#type(true)}>${crumbs(session.path || '/').map((c, i, all) => html`${i > 1 ? html`<i>/</i>` : nothing}${i === all.length - 1
                    ? html`<b aria-current="page"><bdi>${c.name}</bdi></b>` : html`<a href=${href('device', this.deviceId, 'files', c.path || '/')}><bdi>${c.name}</bdi></a>`}`)}</nav>
                    ${btn('', { i: 'pencil', kind: 'bare small', name: t('Type a folder'), click: () => this.#type(true) })}
                    <span class="quiet" role="status">${ready ? html`${count(list.length, '1 item', '{n} items')}${total ? `, ${size(total)}` : ''}${session.hiddenCount ? ` · ${t('{n} hidden', { n: num(session.hiddenCount) })}` : ''}` : nothing}${
                        session.loading ? ` ${t('Reading')}…` : ''}</span>
                    ${session.link.state === 'open' ? path(session.link.way) : nothing}`}
            <span class="grow"></span>
            ${btn(t('Upload'), { i: 'upload', reason: no, click: () => void this.#upload(false) })}
            ${btn(t('Download'), { i: 'download', kind: 'f-down', reason: no ?? (chosen.length ? undefined : t('Choose what to fetch first')), click: () => void this.#download(chosen) })}
            ${btn(t('New folder'), { i: 'folder-plus', kind: 'f-new', reason: no, click: () => void this.#mkdir() })}
            ${btn('', { i: 'search', kind: 'f-find', name: t('Search in this folder'), reason: no, pressed: this.#finding, click: () => this.#toggleFind() })}
            ${this.#more(session, no)}
        </div>`;
    }

    #more(session: FilesSession, no: string | undefined): TemplateResult {
        const items: [string, string, string | undefined, () => unknown][] = [
            ['folder', t('Upload a folder…'), no, () => this.#upload(true)],
            ['new', t('New folder…'), no, () => this.#mkdir()],
            ['find', t('Search…'), no, () => this.#toggleFind()],
            ['paste', held?.deviceId === this.deviceId ? t('Put {what} here', { what: count(held.names.length, '1 item', '{n} items') }) : t('Put here'),
                no ?? (held?.deviceId === this.deviceId ? undefined : t('Cut or copy something first')), () => this.#paste()],
            ['hidden', session.hidden ? t('Hide hidden files') : t('Show hidden files'), undefined, () => session.arrange({ hidden: !session.hidden })],
            ['again', t('Read again'), this.#reason, () => session.open(session.path)],
            ['close', t('Disconnect'), session.link.state === 'open' ? undefined : t('Not connected'), () => session.disconnect()],
        ];
        return html`<wa-dropdown placement="bottom-end" @wa-select=${(e: CustomEvent<{ item: { value: string } }>) => void items.find(([id]) => id === e.detail.item.value)?.[3]()}>
            <button class="b" type="button" slot="trigger" aria-label=${t('More for this folder')} title=${t('More for this folder')}>${icon('ellipsis')}</button>
            ${items.map(([id, label, reason]) => html`<wa-dropdown-item value=${id} ?disabled=${reason !== undefined}>${label}${reason ? html`<span slot="details">${reason}</span>` : nothing}</wa-dropdown-item>`)}
        </wa-dropdown>`;
    }

    #find(session: FilesSession): TemplateResult {
        return html`<form class="ffind" role="search" @submit=${(e: Event) => {
            e.preventDefault();
            if (session.words) {
                void session.search(session.words);
            }
        }}><span class="query">${icon('list-filter')}<input type="search" aria-label=${t('Words of the name')} placeholder=${t('Words of the name; * and ? stand for others')} .value=${session.words} spellcheck="false"
            @input=${(e: InputEvent) => session.arrange({ words: (e.target as HTMLInputElement).value })} @keydown=${(e: KeyboardEvent) => {
                if (e.key === 'Escape') {
                    this.#toggleFind();
                } else if (e.key === 'ArrowDown') {
                    e.preventDefault();
                    this.#grid?.focus();
                }
            }}></span>
            ${btn(t('Search the folders below'), { i: 'search', type: 'submit', reason: session.words ? undefined : t('Type a part of the name first') })}
            ${btn('', { i: 'x', kind: 'bare', name: t('Close the search'), click: () => this.#toggleFind() })}</form>`;
    }

    #messages(session: FilesSession): TemplateResult {
        const { work, link } = session;
        const says = this.#error || link.complaint;

        return html`${says ? html`<div class="fnote">${note('fault', 'circle-alert', html`<bdi>${says}</bdi>`, true)}${btn('', { i: 'x', kind: 'bare small', name: t('Dismiss'), click: () => {
            this.#error = '';
            session.forget();
        } })}</div>` : nothing}
            ${work ? html`<div class="fnote working" role="status"><span class="spin" aria-hidden="true"></span><span>${t(work.title)}${work.of ? ` · ${t('{done} of {of}', { done: num(work.done), of: num(work.of) })}` : ''}</span>${
                work.stop ? btn(t('Stop'), { kind: 'small', click: () => work.stop?.() }) : nothing}</div>` : nothing}`;
    }

    #table(session: FilesSession): TemplateResult {
        const { shown } = session;
        const reason = this.#reason;

        if (session.error || (!session.entries && (reason || !session.loading))) {
            return this.#nothing(session, reason);
        }
        if (!session.entries) {
            const waits = session.link.says || (session.link.state === 'waiting' ? t('Waiting for the device') : t('Asking the server'));
            return html`<div class="ftable"><div class="fwait" role="status">${mark('connecting', false)}<span>${waits}</span></div></div>`;
        }
        const first = Math.max(0, Math.floor(this.#scroll / this.#row) - AHEAD);
        const last = Math.min(shown.length, Math.ceil((this.#scroll + this.#height) / this.#row) + AHEAD);
        const picked = this.#selected.size;
        const at = shown.findIndex((e) => e.name === this.#cursor);
        const live = at >= first && at < last;
        const head = (by: SortBy, name: string): TemplateResult => html`<span role="columnheader" class="f-${by}" aria-sort=${session.by === by ? (session.down ? 'descending' : 'ascending') : nothing}>${by === 'name'
            ? html`<input type="checkbox" tabindex="-1" .checked=${picked > 0 && picked === shown.length} .indeterminate=${picked > 0 && picked < shown.length} aria-label=${t('Select all')} @change=${this.#selectAll}>` : nothing}
            <button type="button" tabindex="-1" @click=${() => session.arrange({ by, down: session.by === by && !session.down })}>${name}${session.by === by ? icon(session.down ? 'arrow-down' : 'arrow-up') : nothing}</button></span>`;

        return html`<div class="ftable" role="grid" tabindex="0" aria-label=${session.path || '/'} aria-multiselectable="true" aria-rowcount=${shown.length + 1} aria-busy=${String(session.loading)}
            aria-activedescendant=${live ? `file-${at}` : nothing} @scroll=${this.#scrolled} @keydown=${this.#gridKey} @click=${this.#click} @dblclick=${this.#double} @focus=${this.#focused}>
            <div role="rowgroup" class="fheads"><div role="row" class="frow heads" aria-rowindex="1">${head('name', t('Name'))}${head('size', t('Size'))}${head('time', t('Changed'))}</div></div>
            ${shown.length ? html`<div role="rowgroup" class="fbody" .style=${`height: ${shown.length * this.#row}px`}><div class="slice" role="presentation" .style=${`transform: translateY(${first * this.#row}px)`}>
                ${repeat(shown.slice(first, last), (e) => e.name, (e, i) => this.#line(e, first + i))}</div></div>`
                : html`<div role="rowgroup"><div role="row" class="nothing"><div role="gridcell">${this.#empty(session)}</div></div></div>`}
        </div>`;
    }

    #empty(session: FilesSession): TemplateResult {
        if (session.words) {
            return html`<p>${t('No name here has “{words}” in it.', { words: session.words })}</p>
                <p>${btn(t('Search the folders below'), { i: 'search', click: () => void session.search(session.words) })}</p>`;
        }
        if (session.hiddenCount) {
            return html`<p>${count(session.hiddenCount, 'There is nothing here but one hidden item.', 'There is nothing here but {n} hidden items.')}</p>
                <p>${btn(t('Show hidden files'), { i: 'eye', click: () => session.arrange({ hidden: true }) })}</p>`;
        }
        return html`<p>${t('This folder is empty. Drop files here to send them, or choose them.')}</p>
            <p>${btn(t('Upload files'), { i: 'upload', kind: 'primary', click: () => void this.#upload(false) })} ${btn(t('New folder'), { i: 'folder-plus', click: () => void this.#mkdir() })}</p>`;
    }

    #nothing(session: FilesSession, reason: string | undefined): TemplateResult {
        const up = above(session.path);

        if (reason) {
            return html`<div class="ftable"><div class="nothing" role="status">${notNow(this.deviceId, reason, t('Its files can be opened here when it is back.'))}</div></div>`;
        }
        return html`<div class="ftable"><div class="nothing" role=${session.error ? 'alert' : 'status'}>
            <p>${session.error || t('Not connected.')}</p>
            <p>${btn(t('Try again'), { kind: 'primary', click: () => void session.open(session.path) })} ${
                session.error && up !== null ? btn(t('To the folder above'), { i: 'folder-up', click: () => this.#to(up) }) : nothing}</p></div></div>`;
    }

    #line(entry: Entry, at: number): TemplateResult {
        const selected = this.#selected.has(entry.name);
        const folder = entry.kind !== 'file';
        const path = join(this.#session?.path ?? '', entry.name);

        return html`<div role="row" class="frow ${selected ? 'sel' : ''} ${this.#cursor === entry.name ? 'cursor' : ''}" id="file-${at}" aria-rowindex=${at + 2} aria-selected=${String(selected)} data-at=${at}>
            <span role="gridcell"><input type="checkbox" tabindex="-1" aria-label=${t('Select {name}', { name: entry.name })} .checked=${selected}>${icon(iconOf(entry))}${folder
                ? html`<a class="name" tabindex="-1" href=${href('device', this.deviceId, 'files', path)}><bdi title=${entry.name}>${entry.name}</bdi></a>` : html`<bdi class="name" title=${entry.name}>${entry.name}</bdi>`}</span>
            <span role="gridcell" class="size" title=${entry.kind === 'file' ? `${num(entry.size)} B` : ''}>${entry.kind === 'file' ? size(entry.size) : entry.size ? t('{free} of {size} free', { free: size(entry.free), size: size(entry.size) }) : '–'}</span>
            <span role="gridcell"><time title=${exactly(entry.time)}>${changedAt(entry.time)}</time></span></div>`;
    }

    #results(session: FilesSession): TemplateResult {
        const found = session.found ?? { filter: '', paths: [], running: false };
        const from = session.path || '/';

        return html`<div class="ftable results"><div class="fwait" role="status">${found.running ? mark('connecting', false) : nothing}<span>${found.running
            ? t('Looking for {filter} below {folder}', { filter: `“${found.filter}”`, folder: from })
            : t('{n} found for {filter} below {folder}', { n: num(found.paths.length), filter: `“${found.filter}”`, folder: from })}</span>
            ${btn(found.running ? t('Stop') : t('Back to the folder'), { kind: 'small', click: () => session.closeSearch() })}</div>
            <ul>${found.paths.slice(0, 1000).map((path) => {
                const whole = join(from, path);
                return html`<li><a href=${href('device', this.deviceId, 'files', above(whole) ?? '/')} @click=${() => {
                    this.#wanted = whole.slice(whole.lastIndexOf('/') + 1);
                }}><bdi>${path}</bdi></a></li>`;
            })}</ul>
            ${found.paths.length > 1000 ? html`<p class="quiet pad">${t('Only the first thousand are shown: say more of the name.')}</p>` : nothing}</div>`;
    }

    /** A name to go to when its folder is there. */
    #wanted = '';

    #selection(session: FilesSession): TemplateResult {
        const chosen = this.#chosen;
        const one = chosen.length === 1 ? chosen[0] : undefined;
        const files = chosen.filter((e) => e.kind === 'file');
        const total = files.reduce((sum, e) => sum + e.size, 0);
        const drive = chosen.some((e) => e.kind === 'drive') ? t('A drive cannot be changed') : undefined;
        const words = [files.length ? count(files.length, '1 file', '{n} files') : '', chosen.length > files.length ? count(chosen.length - files.length, '1 folder', '{n} folders') : '', total ? size(total) : '']
            .filter(Boolean).join(', ');
        const noEdit = !one || one.kind !== 'file' ? t('One file at a time') : one.size > EDITABLE ? t('It is larger than {size}', { size: size(EDITABLE) }) : undefined;
        const items: [string, string, string | undefined, () => unknown][] = [
            ['resume', one?.kind === 'file' ? t('Download, with resume…') : t('Download as zip…'), whyNoSink(), () => this.#keep(chosen)],
            ['zip', t('Pack here…'), drive, () => this.#zip(chosen)],
            ['unzip', t('Unpack here'), one && isZip(one) ? undefined : t('One zip archive at a time'), () => this.#run(session.unzip(one?.name ?? ''))],
        ];

        return html`<div class="bar-sel" role="toolbar" aria-label=${t('Selected files')}>
            <b>${t('{n} selected', { n: num(chosen.length) })}</b><span class="quiet">${words}</span><span class="sep"></span>
            ${btn(t('Download'), { i: 'download', click: () => void this.#download(chosen) })}
            ${btn(t('Edit'), { i: 'pencil', reason: noEdit, click: () => one && this.#edit(one) })}
            ${btn(t('Rename…'), { reason: one ? drive : t('One at a time'), click: () => one && void this.#rename(one) })}
            ${btn(t('Copy'), { i: 'copy', reason: drive, title: t('Then go to another folder and put it there'), click: () => this.#hold(chosen, false) })}
            ${btn(t('Cut'), { reason: drive, title: t('Then go to another folder and put it there'), click: () => this.#hold(chosen, true) })}
            <wa-dropdown placement="top-start" @wa-select=${(e: CustomEvent<{ item: { value: string } }>) => void items.find(([id]) => id === e.detail.item.value)?.[3]()}>
                <button class="b" type="button" slot="trigger" aria-label=${t('More for what is selected')} title=${t('More for what is selected')}>${icon('ellipsis')}</button>
                ${items.map(([id, label, reason]) => html`<wa-dropdown-item value=${id} ?disabled=${reason !== undefined}>${label}${reason ? html`<span slot="details">${reason}</span>` : nothing}</wa-dropdown-item>`)}
            </wa-dropdown>
            <div class="grow"></div>
            ${btn(t('Delete…'), { kind: 'danger', reason: drive, click: () => void this.#delete(chosen) })}
            ${btn('', { i: 'x', kind: 'bare', name: t('Clear the selection'), click: () => this.#clear() })}</div>`;
    }

    /* ---- what is done ---- */

    /** Runs it; what goes wrong is a sentence above the list. */
    async #run(work: Promise<unknown>): Promise<void> {
        this.#error = '';
        try {
            await work;
        } catch (error) {
            this.#error = errorText(error);
            this.#session?.forget();
        }
        this.requestUpdate();
    }

    #clear(): void {
        this.#selected.clear();
        this.requestUpdate();
        this.#grid?.focus();
    }

    #take(picked: readonly Picked[]): void {
        if (picked.length && this.#session) {
            this.#session.transfers.upload(this.#session.path || '/', picked);
        }
    }

    async #upload(folder: boolean): Promise<void> {
        this.#take(await pick(folder));
    }

    async #download(chosen: readonly Entry[]): Promise<void> {
        const session = this.#session;
        const one = chosen.length === 1 ? chosen[0] : undefined;

        // what the browser fetches by itself goes through the server
        if (session && one?.kind === 'file' && (!session.link.way.direct || whyNoSink())) {
            fetchFile(this.deviceId, join(session.path, one.name), one.name);
        } else if (chosen.length) {
            await this.#keep(chosen);
        }
    }

    /** Through the tunnel, where it goes on after a broken connection. */
    async #keep(chosen: readonly Entry[]): Promise<void> {
        const session = this.#session;
        const [first] = chosen;
        const none = whyNoSink();

        if (!session || !first) {
            return;
        }
        if (none) {
            this.#error = t('{why}: pack the files on the device, and fetch the archive.', { why: none });
            this.requestUpdate();
            return;
        }
        const single = chosen.length === 1 && first.kind === 'file';
        const name = single ? first.name : `${chosen.length === 1 ? first.name.replace(/[:\\]/g, '') || 'files' : crumbs(session.path || '/').at(-1)?.name.replace(/[/:\\]/g, '') || 'files'}.zip`;
        await this.#run((async () => {
            const sink = await openSink(name);
            if (sink && single) {
                session.transfers.download(session.path, first, sink);
            } else if (sink) {
                session.transfers.archive(session.path, chosen, name, sink);
            }
        })());
    }

    async #mkdir(): Promise<void> {
        const session = this.#session;
        await ask({
            title: t('New folder'), yes: t('Create'), body: field({ id: 'name', label: t('Name'), required: true, max: 255 }),
            run: async (form) => {
                const name = value(form, 'name').trim();
                const bad = badName(name);
                if (bad) {
                    throw new Error(t(bad));
                }
                await session?.mkdir(name);
                this.#choose(name);
            },
        });
    }

    async #rename(entry: Entry): Promise<void> {
        const session = this.#session;
        await ask({
            title: t('Rename {name}', { name: entry.name }), yes: t('Rename'), body: field({ id: 'name', label: t('New name'), value: entry.name, required: true, max: 255 }),
            ready: (form) => {
                const input = form.querySelector('input');
                const dot = entry.kind === 'file' ? entry.name.lastIndexOf('.') : -1;
                setTimeout(() => input?.setSelectionRange(0, dot > 0 ? dot : entry.name.length), 80);
            },
            run: async (form) => {
                const name = value(form, 'name');
                const bad = badName(name);
                if (bad) {
                    throw new Error(t(bad));
                }
                if (name !== entry.name) {
                    await session?.rename(entry.name, name);
                    this.#choose(name);
                }
            },
        });
        this.#grid?.focus();
    }

    #choose(name: string): void {
        this.#selected.clear();
        this.#selected.add(name);
        this.#cursor = this.#anchor = name;
        this.requestUpdate();
        void this.updateComplete.then(() => this.#reveal());
    }

    async #delete(chosen: readonly Entry[]): Promise<void> {
        const session = this.#session;
        if (!session || !chosen.length) {
            return;
        }
        const folders = chosen.filter((e) => e.kind !== 'file').length;
        const total = chosen.reduce((sum, e) => sum + (e.kind === 'file' ? e.size : 0), 0);
        const what = chosen.length === 1 ? chosen[0]?.name ?? '' : count(chosen.length, '1 item', '{n} items');
        const yes = await ask({
            title: t('Delete {what}?', { what }), yes: chosen.length === 1 ? t('Delete') : t('Delete {what}', { what }), no: t('Keep'), danger: true,
            body: html`<p>${folders ? t('Folders go with all that is in them.') : total ? t('{size} are deleted.', { size: size(total) }) : nothing} ${t('There is no bin on the device: nothing brings them back from here.')}</p>
                ${chosen.length > 1 ? html`<ul class="affected">${chosen.slice(0, 8).map((e) => html`<li class="file">${icon(iconOf(e))}<b><bdi>${e.name}</bdi></b><span>${e.kind === 'file' ? size(e.size) : t('folder')}</span></li>`)}
                    ${chosen.length > 8 ? html`<li><span></span><span>${t('and {n} more', { n: num(chosen.length - 8) })}</span></li>` : nothing}</ul>` : nothing}`,
        });
        if (yes) {
            this.#selected.clear();
            await this.#run(session.remove(chosen.map((e) => e.name)));
        }
        this.#grid?.focus();
    }

    #hold(chosen: readonly Entry[], move: boolean): void {
        held = { deviceId: this.deviceId, from: this.#session?.path ?? '', names: chosen.map((e) => e.name), move };
        this.mesh.toasts.say('attention', t('Go to the folder where it belongs, and put it there with Ctrl-V or from the menu.'));
        this.requestUpdate();
    }

    async #paste(): Promise<void> {
        const session = this.#session;
        if (session && held?.deviceId === this.deviceId) {
            const { from, names, move } = held;
            await this.#run(session.paste(from, names, move).then(() => {
                if (move) {
                    held = null;
                }
            }));
        }
    }

    async #zip(chosen: readonly Entry[]): Promise<void> {
        const session = this.#session;
        const name = `${chosen.length === 1 ? chosen[0]?.name ?? 'files' : 'files'}.zip`;
        await ask({
            title: t('Pack {what}', { what: count(chosen.length, '1 item', '{n} items') }), yes: t('Pack'), body: field({ id: 'name', label: t('Name of the archive'), value: name, required: true, max: 255 }),
            run: async (form) => {
                const output = value(form, 'name').trim();
                const bad = badName(output);
                if (bad) {
                    throw new Error(t(bad));
                }
                if (session?.entries?.some((e) => e.name === output)) {
                    throw new Error(t('There is something of this name already.'));
                }
                await session?.zip(chosen.map((e) => e.name), output);
            },
        });
    }

    #edit(entry: Entry): void {
        void import('./editor.ts').then(() => {
            this.#editing = entry;
            this.requestUpdate();
        }, () => {
            this.#error = t('A part of this page could not be fetched: the server was updated, or the network is away.');
            this.requestUpdate();
        });
    }

    #open(entry: Entry): void {
        if (entry.kind !== 'file') {
            this.#to(join(this.#session?.path ?? '', entry.name));
        } else if (entry.size <= EDITABLE && /file-(?:text|code)/.test(iconOf(entry))) {
            this.#edit(entry);
        } else {
            void this.#download([entry]);
        }
    }

    /* ---- typing and pointing ---- */

    #type(on: boolean): void {
        if (this.#typing !== on) {
            this.#typing = on;
            this.requestUpdate();
            void this.updateComplete.then(() => {
                const input = this.querySelector<HTMLInputElement>('.addr input');
                input?.focus();
                input?.select();
            });
        }
    }

    #typed = (e: Event): void => {
        e.preventDefault();
        const path = value(e.target as HTMLFormElement, 'path');
        this.#typing = false;
        this.#to(path.trim() || '/');
        this.#grid?.focus();
    };

    #toggleFind(): void {
        const session = this.#session;
        this.#finding = !this.#finding;
        if (!this.#finding && session) {
            session.closeSearch();
            session.arrange({ words: '' });
        }
        this.requestUpdate();
        void this.updateComplete.then(() => (this.#finding ? this.querySelector<HTMLElement>('.ffind input') : this.#grid)?.focus());
    }

    #hasFiles(e: DragEvent): boolean {
        return [...e.dataTransfer?.types ?? []].includes('Files') && this.#session?.entries !== null && !this.#session?.error;
    }

    #drag = (e: DragEvent): void => {
        if (this.#hasFiles(e)) {
            e.preventDefault();
            if (e.type === 'dragenter') {
                this.#over++;
                this.requestUpdate();
            }
        }
    };

    #dragOut = (): void => {
        this.#over = Math.max(0, this.#over - 1);
        this.requestUpdate();
    };

    #drop = (e: DragEvent): void => {
        this.#over = 0;
        this.requestUpdate();
        if (this.#hasFiles(e) && e.dataTransfer) {
            e.preventDefault();
            void this.#run(dropped(e.dataTransfer).then((list) => this.#take(list)));
        }
    };

    #at(e: Event): { entry: Entry; at: number } | null {
        const at = Number((e.target as Element).closest<HTMLElement>('[data-at]')?.dataset['at'] ?? NaN);
        const entry = this.#session?.shown[at];
        return entry ? { entry, at } : null;
    }

    #click = (e: MouseEvent): void => {
        const hit = this.#at(e);
        const target = e.target as Element;
        if (!hit) {
            return;
        }
        const { entry, at } = hit;
        const coarse = matchMedia('(pointer: coarse)').matches;

        if (target.closest('a.name') && !e.shiftKey && !e.ctrlKey && !e.metaKey) {
            this.#cursor = entry.name;
            return;
        }
        if (target.closest('a.name')) {
            e.preventDefault();
        }
        if (e.shiftKey) {
            this.#range(at);
        } else if (target instanceof HTMLInputElement || e.ctrlKey || e.metaKey || (coarse && this.#selected.size)) {
            this.#turn(entry.name);
        } else if (coarse && entry.kind !== 'file') {
            this.#open(entry);
        } else if (!getSelection()?.toString()) {
            this.#selected = new Set([entry.name]);
            this.#anchor = entry.name;
        }
        this.#cursor = entry.name;
        this.requestUpdate();
    };

    #double = (e: MouseEvent): void => {
        const hit = this.#at(e);
        if (hit && !(e.target instanceof HTMLInputElement)) {
            getSelection()?.removeAllRanges();
            this.#open(hit.entry);
        }
    };

    #turn(name: string): void {
        if (!this.#selected.delete(name)) {
            this.#selected.add(name);
        }
        this.#anchor = name;
    }

    #range(to: number): void {
        const shown = this.#session?.shown ?? [];
        const from = Math.max(0, shown.findIndex((e) => e.name === this.#anchor));
        for (const e of shown.slice(Math.min(from, to), Math.max(from, to) + 1)) {
            this.#selected.add(e.name);
        }
    }

    #selectAll = (e: Event): void => {
        this.#selected = (e.target as HTMLInputElement).checked ? new Set(this.#session?.shown.map((one) => one.name)) : new Set();
        this.requestUpdate();
    };

    #focused = (): void => {
        const shown = this.#session?.shown ?? [];
        if (!shown.some((e) => e.name === this.#cursor)) {
            this.#cursor = shown[Math.ceil(this.#scroll / this.#row)]?.name ?? '';
            this.requestUpdate();
        }
    };

    #pageKey(e: KeyboardEvent): void {
        const target = e.target as HTMLElement;
        if (e.key === '/' && !e.ctrlKey && !e.metaKey && !e.altKey && !/^(?:input|textarea|select)$/i.test(target.tagName) && !target.closest('wa-dialog, mesh-palette, mesh-editor')) {
            e.preventDefault();
            if (this.#finding) {
                this.querySelector<HTMLElement>('.ffind input')?.focus();
            } else {
                this.#toggleFind();
            }
        }
    }

    #gridKey = (e: KeyboardEvent): void => {
        const session = this.#session;
        if (!session || e.target !== this.#grid) {
            return;
        }
        const { shown } = session;
        const at = shown.findIndex((one) => one.name === this.#cursor);
        const entry = shown[at];
        const page = Math.max(1, Math.floor(this.#height / this.#row) - 2);
        const control = e.ctrlKey || e.metaKey;
        const go = (to: number): void => {
            const next = Math.max(0, Math.min(shown.length - 1, to));
            const name = shown[next]?.name ?? '';
            if (e.shiftKey) {
                this.#anchor ||= this.#cursor || name;
                this.#selected.clear();
                this.#range(next);
            } else {
                this.#anchor = name;
                this.#leaveOne();
            }
            this.#cursor = name;
            this.#reveal();
        };
        const chosen = this.#selected.size ? this.#chosen : entry ? [entry] : [];

        if (e.altKey && e.key !== 'ArrowUp') {
            return;
        }
        switch (e.key) {
        case 'ArrowDown': go(at + 1); break;
        case 'ArrowUp':
            if (e.altKey) {
                this.#up();
            } else {
                go(at < 0 ? 0 : at - 1);
            }
            break;
        case 'PageDown': go(at + page); break;
        case 'PageUp': go(at - page); break;
        case 'Home': go(0); break;
        case 'End': go(shown.length - 1); break;
        case ' ':
            if (entry) {
                this.#turn(entry.name);
            }
            break;
        case 'Enter':
            if (entry) {
                this.#open(entry);
            }
            break;
        case 'Backspace': this.#up(); break;
        case 'F2':
            if (chosen.length === 1 && chosen[0] && chosen[0].kind !== 'drive') {
                void this.#rename(chosen[0]);
            }
            break;
        case 'Delete':
            if (chosen.length && chosen.every((one) => one.kind !== 'drive')) {
                void this.#delete(chosen);
            }
            break;
        case 'Escape': this.#selected.clear(); break;
        case 'a': case 'c': case 'x': case 'v':
            if (!control) {
                return this.#jump(e, shown, at);
            }
            if (e.key === 'a') {
                this.#selected = new Set(shown.map((one) => one.name));
            } else if (e.key === 'v') {
                void this.#paste();
            } else if (chosen.length && chosen.every((one) => one.kind !== 'drive')) {
                this.#hold(chosen, e.key === 'x');
            }
            break;
        default:
            return control ? undefined : this.#jump(e, shown, at);
        }
        e.preventDefault();
        this.requestUpdate();
    };

    /** A single one that is selected goes with the cursor: F2 and Delete mean what is under it. */
    #leaveOne(): void {
        if (this.#selected.size === 1) {
            this.#selected.clear();
        }
    }

    /** A letter goes to the next name that begins with it. */
    #jump(e: KeyboardEvent, shown: readonly Entry[], at: number): void {
        if (e.key.length === 1 && e.key !== '/') {
            const letter = e.key.toLowerCase();
            const next = [...shown.slice(at + 1), ...shown.slice(0, at + 1)].find((one) => one.name.toLowerCase().startsWith(letter));
            if (next) {
                e.preventDefault();
                this.#leaveOne();
                this.#cursor = this.#anchor = next.name;
                this.#reveal();
                this.requestUpdate();
            }
        }
    }

    #up(): void {
        const path = this.#session?.path ?? '';
        const to = above(path);
        if (to !== null) {
            this.#wanted = crumbs(path).at(-1)?.name ?? '';
            this.#to(to);
        }
    }

    #reveal(): void {
        const grid = this.#grid;
        const at = this.#session?.shown.findIndex((e) => e.name === this.#cursor) ?? -1;
        if (!grid || at < 0) {
            return;
        }
        const head = this.querySelector<HTMLElement>('.frow.heads')?.offsetHeight ?? 0;
        const top = at * this.#row;
        if (top < grid.scrollTop) {
            grid.scrollTop = top;
        } else if (top + this.#row + head > grid.scrollTop + grid.clientHeight) {
            grid.scrollTop = top + this.#row + head - grid.clientHeight;
        }
        this.#scroll = grid.scrollTop;
    }

    #scrolled = (): void => {
        const grid = this.#grid;
        if (grid && Math.abs(grid.scrollTop - this.#scroll) > 1) {
            this.#scroll = grid.scrollTop;
            this.#later();
        }
    };

    #measure(): void {
        const grid = this.#grid;
        const row = this.querySelector<HTMLElement>('.frow:not(.heads)')?.getBoundingClientRect().height ?? this.#row;
        if (grid && (grid.clientHeight !== this.#height || Math.abs(row - this.#row) > 0.1)) {
            this.#height = grid.clientHeight;
            this.#row = row;
            this.requestUpdate();
        }
    }

    protected override updated(): void {
        const grid = this.#grid;
        const session = this.#session;
        const { parts } = parseRoute(location.hash);
        if (session?.entries && session.path && parts.length === 3 && parts[1] === this.deviceId && parts[2] === 'files') {
            // so that the way back leads here again
            history.replaceState(null, '', href('device', this.deviceId, 'files', session.path));
        }
        const crumb = this.querySelector('.crumb');
        if (crumb && session && session.path !== this.#crumbOf) {
            // a long way may be wider than its place: its end is what matters
            this.#crumbOf = session.path;
            crumb.scrollLeft = crumb.scrollWidth;
        }
        if (grid !== this.#seen) {
            this.#sizes?.disconnect();
            this.#seen = grid;
            if (grid) {
                this.#sizes?.observe(grid);
            }
        }
        this.#measure();
        if (this.#wanted && !this.#session?.loading && this.#session?.shown.some((e) => e.name === this.#wanted)) {
            const name = this.#wanted;
            this.#wanted = '';
            this.#cursor = this.#anchor = name;
            this.#reveal();
            this.#grid?.focus();
            this.requestUpdate();
        }
    }
}

define('mesh-files', MeshFiles);

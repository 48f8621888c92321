// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import { Events, type EventKind, type LogEvent } from '../../state/events.ts';
import { fold } from '../../state/search.ts';
import { shortId } from '../../wire/bytes.ts';
import { count, t } from '../../i18n/index.ts';
import { define, Part } from '../element.ts';
import { btn, icon, loading, note } from '../ui.ts';
import { older, rows } from './rows.ts';

const KINDS: [string, string, EventKind[]][] = [
    ['all', 'All', []], ['sessions', 'Sessions', ['session', 'run']], ['rights', 'Rights and accounts', ['rights', 'account']],
    ['devices', 'Devices', ['device', 'state']], ['server', 'Server', ['server']], ['problems', 'Problems', ['problem']],
];
const FIRST = 300;

/** Who did what: of all that this account may see. */
class MeshEvents extends Part {
    #log: Events | null = null;
    #words = '';
    #kind = 'all';
    #open = '';

    protected override begin(): void {
        this.watch(this.mesh.devices, this.mesh.groups);
        this.#log = new Events(this.mesh.control);
        this.#log.addEventListener('change', this.again);
        this.listen(window, 'keydown', (e: KeyboardEvent) => {
            if (e.key === '/' && !/^(?:input|textarea|select)$/i.test((e.target as HTMLElement).tagName) && !e.ctrlKey && !e.metaKey && !e.altKey) {
                e.preventDefault();
                this.querySelector<HTMLInputElement>('.q')?.focus();
            }
        });
        this.#log.start(FIRST);
    }

    protected override end(): void {
        this.#log?.stop();
        this.#log = null;
    }

    #matching(): LogEvent[] {
        const kinds = KINDS.find(([id]) => id === this.#kind)?.[2] ?? [];
        const words = fold(this.#words).split(/\s+/).filter(Boolean);

        return (this.#log?.list ?? []).filter((event) => {
            if (kinds.length && !kinds.includes(event.kind)) {
                return false;
            }
            const where = event.nodeid ? this.mesh.devices.get(shortId(event.nodeid))?.label ?? '' : '';
            const group = event.meshid ? this.mesh.groups.name(shortId(event.meshid)) : '';
            const text = fold([event.text, event.who, where, group, event.action].join('\n'));
            return words.every((word) => text.includes(word));
        });
    }

    #clear(): void {
        this.#words = '';
        this.#kind = 'all';
        this.requestUpdate();
    }

    protected override render(): TemplateResult {
        const log = this.#log;
        const list = this.#matching();
        const all = log?.list.length ?? 0;

        return html`<div class="events">
            <div class="page-head"><h1>${t('Events')}</h1><span class="quiet">${log?.loaded ? count(all, 'the newest one', 'the newest {n}') : ''}</span><div class="grow"></div>
                ${btn(t('Save as JSON'), { i: 'download', reason: list.length ? undefined : t('There is nothing to save'), click: () => this.#save(list) })}</div>
            <div class="filters">
                <label class="query">${icon('list-filter')}<input class="q" type="search" aria-label=${t('Filter')} .value=${this.#words} spellcheck="false" autocomplete="off"
                    placeholder=${t('who, what, device, group')} @input=${(e: InputEvent) => {
                        this.#words = (e.target as HTMLInputElement).value;
                        this.requestUpdate();
                    }}><kbd>/</kbd></label>
                <div class="states" role="group" aria-label=${t('Kind')}>${KINDS.map(([id, title]) => html`<button type="button" class="chip" aria-pressed=${String(id === this.#kind)}
                    @click=${() => {
                        this.#kind = id;
                        this.requestUpdate();
                    }}>${t(title)}</button>`)}</div>
            </div>
            ${log?.error ? html`<div class="pad">${note('fault', 'circle-alert', log.error, true)}</div>` : nothing}
            ${list.length ? rows({ events: list, open: this.#open, toggle: (key) => {
                this.#open = this.#open === key ? '' : key;
                this.requestUpdate();
            } }) : log?.loaded ? html`<div class="nothing">${all ? html`${t('No event fits this filter.')} ${btn(t('Clear the filter'), { kind: 'small', click: () => this.#clear() })}`
                : t('Nothing has happened yet. What people and devices do shows up here as it happens.')}</div>` : loading()}
            ${log ? older(log) : nothing}
        </div>`;
    }

    #save(list: readonly LogEvent[]): void {
        const data = list.map(({ at, action, who, text, nodeid, meshid, msgid, more }) => ({
            time: new Date(at).toISOString(), action, who, text, ...(nodeid ? { nodeid } : {}), ...(meshid ? { meshid } : {}), ...(msgid ? { msgid } : {}), ...more,
        }));
        const link = document.createElement('a');
        link.href = URL.createObjectURL(new Blob([JSON.stringify(data, null, 2)], { type: 'application/json' }));
        link.download = `events-${new Date().toISOString().slice(0, 10)}.json`;
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    }
}

define('mesh-events', MeshEvents);

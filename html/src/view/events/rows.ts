// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import { saidOf, type EventKind, type Events, type LogEvent } from '../../state/events.ts';
import { href } from '../../state/route.ts';
import { shortId } from '../../wire/bytes.ts';
import { t } from '../../i18n/index.ts';
import { clockOf, dayOf, exact } from '../../i18n/format.ts';
import { mesh } from '../app-state.ts';
import type { IconName } from '../icons.ts';
import { btn, icon, mark } from '../ui.ts';

const SIGNS: Record<EventKind, IconName> = {
    session: 'square-terminal', rights: 'key-round', device: 'pencil', server: 'server', problem: 'triangle-alert', account: 'circle-user',
    run: 'play', state: 'activity',
};

export interface Rows {
    events: readonly LogEvent[];
    open: string;
    toggle: (key: string) => void;
    /** Leave the place out: it is the same one in every line. */
    here?: boolean;
}

const place = (event: LogEvent): TemplateResult | typeof nothing => {
    const device = event.nodeid ? mesh.devices.get(shortId(event.nodeid)) : undefined;
    const group = event.meshid ? mesh.groups.get(shortId(event.meshid)) : undefined;

    if (device) {
        return html`<a href=${href('device', device.id)}><bdi>${device.label}</bdi></a>`;
    }
    return group ? html`<a href=${href('groups', group.id)}><bdi>${group.name}</bdi></a>` : nothing;
};

const said = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value));

/** Lines of the log, newest first, with a head for each day. */
export function rows({ events, open, toggle, here }: Rows): TemplateResult {
    let day = '';

    return html`<div class="etable ${here ? 'here' : ''}" role="table" aria-label=${t('Events')}>
        <div class="erow heads" role="row">${[t('Time'), t('Who'), t('What'), here ? '' : t('Where')].filter(Boolean).map((text) => html`<span role="columnheader">${text}</span>`)}</div>
        ${events.map((event) => {
            const name = dayOf(event.at);
            const head = name === day ? nothing : html`<div class="day" role="row"><span role="cell">${name}</span></div>`;
            day = name;
            return html`${head}${row(event, open === event.key, toggle, here === true)}`;
        })}
    </div>`;
}

function row(event: LogEvent, open: boolean, toggle: (key: string) => void, here: boolean): TemplateResult {
    const more = Object.entries(event.more);

    return html`<div class="erow k-${event.kind} ${open ? 'open' : ''}" role="row">
        <span role="cell"><time datetime=${new Date(event.at).toISOString()} title=${exact(event.at)}>${clockOf(event.at)}</time></span>
        <span role="cell" class=${event.who ? '' : 'quiet'}><bdi>${event.who || t('server')}</bdi></span>
        <span role="cell" class="w">${event.kind === 'problem' ? mark('attention') : icon(SIGNS[event.kind])}${more.length
            ? html`<button type="button" class="what" aria-expanded=${String(open)} @click=${() => toggle(event.key)}>${saidOf(event)}</button>`
            : html`<b>${saidOf(event)}</b>`}</span>
        ${here ? nothing : html`<span role="cell">${place(event)}</span>`}
        ${open ? html`<span role="cell" class="d"><div class="more"><dl class="facts">
            <dt>${t('When')}</dt><dd>${exact(event.at)}</dd>
            ${more.map(([key, value]) => html`<dt>${key}</dt><dd><bdi>${said(value)}</bdi></dd>`)}</dl></div></span>` : nothing}
    </div>`;
}

/** The way to what is not shown yet. */
export const older = (log: Events): TemplateResult | typeof nothing => (log.more
    ? html`<p class="further">${btn(t('Show older ones'), { click: () => log.older() })}</p>` : nothing);

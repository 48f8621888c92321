// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing } from 'lit';
import { t } from '../i18n/index.ts';
import { btn, field, note, type Html } from './ui.ts';

export interface EditForm {
    /** Begins the ids of its fields. */
    id: string;
    name: string;
    desc: string;
    /** What is said when the name is empty. */
    nameless: string;
    /** Further fields. */
    more: Html;
    error: string;
    busy: boolean;
    /** Is something another than it was? */
    dirty: boolean;
    /** Why it cannot be saved, besides that nothing is changed. */
    reason?: string | undefined;
    change: (what: { name?: string; desc?: string }) => void;
    save: () => void;
    discard: () => void;
    /** At the foot, behind the buttons. */
    end: Html;
}

const text = (e: InputEvent): string => (e.target as HTMLInputElement).value;

/** Name, description and what else a thing has: saved together, or as it was. */
export const editForm = (o: EditForm): Html => html`<form class="edit" @submit=${(e: Event) => {
    e.preventDefault();
    o.save();
}}>
    ${field({ id: `${o.id}name`, label: t('Name'), value: o.name, max: 128, error: o.name.trim() ? undefined : o.nameless, input: (e) => o.change({ name: text(e) }) })}
    ${field({ id: `${o.id}desc`, label: t('Description'), value: o.desc, max: 1024, input: (e) => o.change({ desc: text(e) }) })}
    ${o.more}
    ${o.error ? note('fault', 'circle-alert', o.error, true) : nothing}
    <p class="go">${btn(t('Save'), { kind: 'primary', type: 'submit', busy: o.busy, reason: o.reason ?? (o.dirty ? undefined : t('Nothing is changed')) })}${
        o.dirty ? btn(t('Discard'), { click: o.discard }) : nothing}${o.end}</p>
</form>`;

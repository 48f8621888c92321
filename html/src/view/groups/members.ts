// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import { difference, HEADS, inWords, LEVEL_WORDS, WORDS } from '../../state/abilities.ts';
import type { Group } from '../../state/groups.ts';
import { ABILITIES, abilitiesOf, FULL, has, levelOf, LEVELS, R, rightsOf, type Level } from '../../state/rights.ts';
import { count, listed, t } from '../../i18n/index.ts';
import { ask, value } from '../dialogs.ts';
import { define, Part } from '../element.ts';
import { btn, errorText, icon, note } from '../ui.ts';

const ORDER: Level[] = ['see', 'help', 'operate', 'manage', 'full'];

/** Who may do what in a group: in words first, then where it is changed. */
class MeshMembers extends Part {
    static override properties = { groupId: { type: String } };
    declare groupId: string;
    #of = '';
    /** Changes that are not saved, by user id. */
    #changed = new Map<string, number>();
    #open = '';
    #busy = false;
    #error = '';
    #names: string[] = [];

    protected override begin(): void {
        this.watch(this.mesh.groups, this.mesh.devices, this.mesh.account);
        this.#of = '';
    }

    protected override willUpdate(): void {
        if (this.#of !== this.groupId) {
            this.#of = this.groupId;
            this.#changed.clear();
            this.#open = this.#error = '';
        }
        const group = this.mesh.groups.get(this.groupId);
        for (const [id, rights] of this.#changed) {
            const link = group?.links.get(id);
            if (!link || link.rights === rights) {
                this.#changed.delete(id);
            }
        }
    }

    protected override render(): TemplateResult {
        const group = this.mesh.groups.get(this.groupId);
        if (!group) {
            return html``;
        }
        const mine = this.mesh.groups.rights(group.id);
        const may = has(mine, R.MANAGE_USERS);
        const list = [...group.links].filter(([id]) => id.startsWith('user/')).sort(([, a], [, b]) => a.name.localeCompare(b.name));
        const teams = [...group.links].filter(([id]) => id.startsWith('ugrp/'));

        return html`<section class="says"><h2>${t('Who may do what here')}</h2>
            ${list.length || teams.length ? html`<dl>${[...list, ...teams].map(([id, link]) => this.#says(id, link.name, link.rights))}</dl>`
                : html`<p class="quiet">${t('Nobody has rights here by name. Administrators of all groups see it nevertheless.')}</p>`}</section>
            <section><h2>${t('Members')}</h2>
                ${list.length ? html`<div class="grants">${list.map(([id, link]) => this.#grant(group, id, link.name, link.rights, may))}</div>` : nothing}
                ${may ? html`<p class="add-member">${btn(t('Add a person…'), { i: 'user-plus', click: () => void this.#add(group, mine) })}</p>`
                    : html`<p class="quiet">${t('This account may not change rights here.')}</p>`}
            </section>
            ${this.#changed.size ? this.#save(group) : nothing}`;
    }

    #says(id: string, name: string, rights: number): TemplateResult {
        const now = this.#changed.get(id) ?? rights;
        const { may, mayNot } = inWords(now);
        const { gives, takes } = difference(rights, now);

        return html`<dt><bdi>${name}</bdi>${id === this.mesh.account.id ? html`<small>${t('this account')}</small>` : nothing}</dt><dd>${may}${
            mayNot ? html` <span class="quiet">${t('Not:')} ${mayNot.charAt(0).toLowerCase()}${mayNot.slice(1)}</span>` : nothing}${
            gives.length ? html` <ins>${t('New:')} ${listed(gives)}.</ins>` : nothing}${takes.length ? html` <ins>${t('No longer:')} ${listed(takes)}.</ins>` : nothing}</dd>`;
    }

    #grant(group: Group, id: string, name: string, rights: number, may: boolean): TemplateResult {
        const now = this.#changed.get(id) ?? rights;
        const level = levelOf(now);
        const open = this.#open === id;
        const mine = this.mesh.groups.rights(group.id);

        return html`<div class="grant ${open ? 'open' : ''}">
            <div class="gh"><button type="button" class="twist" aria-expanded=${String(open)} aria-label=${t('Single rights of {name}', { name })} @click=${() => {
                this.#open = open ? '' : id;
                this.requestUpdate();
            }}>${icon(open ? 'chevron-down' : 'chevron-right')}</button><span><b><bdi>${name}</bdi></b></span>
                ${may ? html`<div class="seg" role="group" aria-label=${t('Level of {name}', { name })}>${ORDER.map((l) => {
                    const bits = LEVELS[l as Exclude<Level, 'custom'>] >>> 0;
                    const reason = has(mine, bits) ? undefined : t('Nobody gives rights that they do not have');
                    return html`<button type="button" title=${reason ?? t(LEVEL_WORDS[l].means)} aria-pressed=${String(level === l)} aria-disabled=${reason ? 'true' : nothing}
                        @click=${() => !reason && this.#set(id, rights, bits)}>${t(LEVEL_WORDS[l].name)}</button>`;
                })}<button type="button" aria-pressed=${String(level === 'custom')} title=${t(LEVEL_WORDS.custom.means)} @click=${() => {
                    this.#open = id;
                    this.requestUpdate();
                }}>${t('Custom')}</button></div>${btn('', { i: 'x', kind: 'bare small', name: t('Take all rights from {name}', { name }), click: () => void this.#remove(group, id, name) })}`
                    : html`<span class="lvl">${t(LEVEL_WORDS[level].name)}</span>`}</div>
            ${open ? this.#boxes(id, rights, now, may, mine) : nothing}
        </div>`;
    }

    #boxes(id: string, before: number, now: number, may: boolean, mine: number): TemplateResult {
        const old = abilitiesOf(before);
        const able = abilitiesOf(now);

        return html`<div class="boxes">${ABILITIES.map(({ id: head, list }) => html`<fieldset><legend>${t(HEADS[head] ?? head)}</legend>${list.map((ability) => {
            const dull = !may || now === FULL || (ability.needs !== undefined && !able.has(ability.needs)) || (!able.has(ability.id) && !has(mine, ability.on));
            return html`<label class=${able.has(ability.id) !== old.has(ability.id) ? 'changed' : ''}><input type="checkbox" .checked=${able.has(ability.id)} ?disabled=${dull}
                @change=${(e: Event) => {
                    const next = new Set(able);
                    if ((e.target as HTMLInputElement).checked) {
                        next.add(ability.id);
                    } else {
                        next.delete(ability.id);
                    }
                    this.#set(id, before, rightsOf(next));
                }}><span>${t(WORDS[ability.id]?.label ?? ability.id)}</span></label>`;
        })}</fieldset>`)}</div>`;
    }

    #set(id: string, before: number, rights: number): void {
        if (rights === before) {
            this.#changed.delete(id);
        } else {
            this.#changed.set(id, rights);
        }
        this.#error = '';
        this.requestUpdate();
    }

    #save(group: Group): TemplateResult {
        const names = [...this.#changed.keys()].map((id) => group.links.get(id)?.name ?? id);
        const devices = [...this.mesh.devices.byId.values()].filter((device) => device.groupId === group.id).length;
        const self = this.#changed.has(this.mesh.account.id);

        return html`<footer class="save"><div><b>${count(this.#changed.size, '1 change, not saved', '{n} changes, not saved')}</b><span>${t('{who}: {what}.', {
            who: listed(names), what: count(devices, '1 device', '{n} devices') })} ${self ? t('This account is among them.') : t('It holds at once.')}</span>
            ${this.#error ? note('fault', 'circle-alert', this.#error, true) : nothing}</div><span class="grow"></span>
            ${btn(t('Discard'), { click: () => {
                this.#changed.clear();
                this.#error = '';
                this.requestUpdate();
            } })}${btn(count(this.#changed.size, 'Save the change', 'Save {n} changes'), { kind: 'primary', busy: this.#busy, click: () => void this.#send(group) })}</footer>`;
    }

    async #send(group: Group): Promise<void> {
        this.#busy = true;
        this.#error = '';
        this.requestUpdate();
        try {
            for (const [id, rights] of [...this.#changed]) {
                await this.mesh.actions.ask('addmeshuser', { meshid: this.mesh.account.groupId(group.id), userid: id, meshadmin: rights });
                this.#changed.delete(id);
            }
        } catch (error) {
            this.#error = errorText(error);
        }
        this.#busy = false;
        this.requestUpdate();
    }

    async #remove(group: Group, id: string, name: string): Promise<void> {
        const self = id === this.mesh.account.id;
        const yes = await ask({
            title: t('Take all rights from {name}?', { name }), yes: t('Take all rights'), no: t('Leave them'), danger: true,
            body: html`<p>${self ? t('This is the own account: without rights here the group leaves its list.')
                : t('The group and its devices leave the list of {name}, and sessions there end.', { name })}</p>`,
            run: async () => {
                await this.mesh.actions.ask('removemeshuser', { meshid: this.mesh.account.groupId(group.id), userid: id });
            },
        });
        if (yes) {
            this.#changed.delete(id);
        }
    }

    async #add(group: Group, mine: number): Promise<void> {
        try {
            const reply = await this.mesh.control.request('users');
            const users = Array.isArray(reply['users']) ? reply['users'] as Record<string, unknown>[] : [];
            this.#names = users.map((user) => String(user['name'] ?? '')).filter(Boolean).sort();
        } catch {
            this.#names = [];
        }
        const levels = ORDER.filter((l) => has(mine, LEVELS[l as Exclude<Level, 'custom'>]));
        await ask({
            title: t('Add a person to {name}', { name: group.name }), yes: t('Add'),
            body: html`<div class="field"><label for="uname">${t('User name')}</label><span class="in"><input id="uname" name="uname" maxlength="64" autocomplete="off" spellcheck="false"
                autocapitalize="off" list="unames"></span><datalist id="unames">${this.#names.map((name) => html`<option value=${name}></option>`)}</datalist>
                <small>${t('Accounts are made on the server with: mesh-admin user add NAME')}</small></div>
                <fieldset class="levels"><legend>${t('Level')}</legend>${levels.map((l, i) => html`<label class="check"><input type="radio" name="level" value=${l} .checked=${
                    l === 'operate' || (i === 0 && !levels.includes('operate'))}><span>${t(LEVEL_WORDS[l].name)} <small>${t(LEVEL_WORDS[l].means)}</small></span></label>`)}</fieldset>`,
            run: async (form) => {
                const name = value(form, 'uname').trim();
                const level = value(form, 'level') as Exclude<Level, 'custom'>;
                if (!name) {
                    throw new Error(t('The user name is missing.'));
                }
                await this.mesh.actions.ask('addmeshuser', { meshid: this.mesh.account.groupId(group.id), usernames: [name], meshadmin: (LEVELS[level] ?? LEVELS.see) >>> 0 });
            },
        });
    }
}

define('mesh-members', MeshMembers);

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import type { Group } from '../../state/groups.ts';
import { has, R, S } from '../../state/rights.ts';
import { href } from '../../state/route.ts';
import { count, num, t } from '../../i18n/index.ts';
import { dateOf } from '../../i18n/format.ts';
import { ask } from '../dialogs.ts';
import { define, Part } from '../element.ts';
import { editForm } from '../edit-form.ts';
import { btn, errorText, icon } from '../ui.ts';
import { newGroup } from '../verbs.ts';
import './members.ts';

/** What a person at the device is told and asked, by the bits of the protocol. */
const CONSENT: [number, string][] = [
    [1, 'Tell who is logged in that somebody sees the screen'], [8, 'Ask who is logged in before the screen is shown'],
    [2, 'Tell who is logged in that a terminal was opened'], [16, 'Ask who is logged in before a terminal opens'],
    [4, 'Tell who is logged in that files were opened'], [32, 'Ask who is logged in before files are opened'],
];

const entries = (text: string): string[] => text.split('\n').map((line) => line.trim()).filter(Boolean);

/** The device groups: the list at the left, one of them at the right. */
class MeshGroups extends Part {
    static override properties = { groupId: { type: String } };
    declare groupId: string;
    #of = '';
    #name = '';
    #desc = '';
    #consent = 0;
    #targets = '';
    #busy = false;
    #error = '';
    #adding = false;

    protected override begin(): void {
        this.watch(this.mesh.groups, this.mesh.devices, this.mesh.account);
        this.listen(this.mesh.control, 'state', this.again);
        this.#of = '';
    }

    get #group(): Group | undefined {
        return this.mesh.groups.get(this.groupId) ?? (this.groupId ? undefined : this.mesh.groups.sorted()[0]);
    }

    protected override willUpdate(): void {
        const group = this.#group;
        if (group && group.id !== this.#of) {
            this.#of = group.id;
            this.#take(group);
        }
    }

    #take(group: Group): void {
        this.#name = group.name;
        this.#desc = group.desc;
        this.#consent = group.consent;
        this.#targets = group.targets.join('\n');
        this.#error = '';
    }

    protected override render(): TemplateResult {
        const list = this.mesh.groups.sorted();
        const group = this.#group;
        const mayAdd = !(this.mesh.account.siteRights & S.NO_GROUPS) || this.mesh.account.isAdmin;
        const counts = new Map<string, number>();

        for (const device of this.mesh.devices.byId.values()) {
            counts.set(device.groupId, (counts.get(device.groupId) ?? 0) + 1);
        }
        return html`<div class="people groups ${this.groupId ? 'one' : ''}">
            <aside class="plist">
                <div class="page-head"><h1>${t('Groups')}</h1><div class="grow"></div>${btn(t('New'), {
                    i: 'folder-plus', kind: 'keep', reason: mayAdd ? undefined : t('This account may not make groups'), click: () => void newGroup() })}</div>
                ${list.length ? html`<ul>${list.map((g) => html`<li><a href=${href('groups', g.id)} aria-current=${g.id === group?.id ? 'true' : nothing}>
                    <span class="av">${icon('folder')}</span><span><bdi>${g.name}</bdi><small>${count(counts.get(g.id) ?? 0, '1 device', '{n} devices')}</small></span></a></li>`)}</ul>`
                    : html`<p class="quiet pad">${t('There is no group yet. A device always belongs to one; rights are given on groups.')}</p>`}
                <p><a href="#/devices">${t('Back to the devices')}</a></p>
            </aside>
            ${group ? this.#one(group, counts.get(group.id) ?? 0) : html`<div class="person"><div class="gone"><h2>${this.groupId ? t('This group is not here')
                : t('No group')}</h2><p>${this.groupId ? t('It was deleted, or this account does not see it.') : t('Make the first one, then add devices to it.')}</p></div></div>`}
        </div>`;
    }

    #one(group: Group, devices: number): TemplateResult {
        const rights = this.mesh.groups.rights(group.id);

        return html`<div class="person">
            <header><div><a class="back" href="#/groups" aria-label=${t('Back to the groups')}>${icon('chevron-left')}</a><h1><bdi>${group.name}</bdi></h1><p class="quiet">${[
                group.created ? t('Made {date}', { date: dateOf(group.created) }) : '', group.creator ? t('by {name}', { name: group.creator }) : '',
                count(devices, '1 device', '{n} devices')].filter(Boolean).join(' · ')}</p></div>
                <div class="acts-main">
                    <a class="b" href="#/devices?q=${encodeURIComponent(`group:"${group.name}"`)}">${icon('monitor')}<span>${t('Devices')}</span></a>
                    ${btn(t('Add device'), { i: 'plus', reason: has(rights, R.MANAGE_DEVICES) ? undefined : t('No right to add devices here'), click: () => {
                        this.#adding = true;
                        void import('../devices/add.ts').then(this.again);
                    } })}
                </div></header>
            <mesh-members .groupId=${group.id}></mesh-members>
            ${has(rights, R.EDIT_GROUP) ? this.#settings(group, devices) : nothing}
            ${this.#adding ? html`<mesh-add .group=${group.id} @close=${() => {
                this.#adding = false;
                this.requestUpdate();
            }}></mesh-add>` : nothing}
        </div>`;
    }

    #changes(group: Group): Record<string, unknown> {
        return {
            ...(this.#name.trim() !== group.name ? { meshname: this.#name.trim() } : {}), ...(this.#desc.trim() !== group.desc ? { desc: this.#desc.trim() } : {}),
            ...(this.#consent !== group.consent ? { consent: this.#consent } : {}),
            ...(entries(this.#targets).join('\n') !== group.targets.join('\n') ? { targets: entries(this.#targets) } : {}),
        };
    }

    #settings(group: Group, devices: number): TemplateResult {
        const dirty = Object.keys(this.#changes(group)).length > 0;

        return html`<section><h2>${t('Settings')}</h2>${editForm({
            id: 'g', name: this.#name, desc: this.#desc, nameless: t('The group needs a name.'), error: this.#error, busy: this.#busy, dirty,
            save: () => void this.#save(group),
            change: ({ name, desc }) => {
                this.#name = name ?? this.#name;
                this.#desc = desc ?? this.#desc;
                this.requestUpdate();
            },
            discard: () => {
                this.#take(group);
                this.requestUpdate();
            },
            more: html`<fieldset><legend>${t('The person at the device')}</legend>${CONSENT.map(([bit, text]) => html`<label class="check"><input type="checkbox" .checked=${(this.#consent & bit) !== 0}
                @change=${(e: Event) => {
                    this.#consent = (e.target as HTMLInputElement).checked ? this.#consent | bit : this.#consent & ~bit;
                    this.requestUpdate();
                }}><span>${t(text)}</span></label>`)}</fieldset>${this.#reach()}`,
            end: html`<span class="grow"></span>${btn(t('Delete the group…'), { kind: 'danger', click: () => void this.#delete(group, devices) })}`,
        })}</section>`;
    }

    /** What connections through its devices may reach, beside the devices themselves. */
    #reach(): TemplateResult {
        return html`<fieldset><legend>${t('Connections through its devices')}</legend>
            <p class="quiet">${t('VNC, SSH, web pages and TCP relays reach each device itself, at any port. What is named here can be reached through every device of the group too, by who may connect: think of all that listens there.')}</p>
            <div class="field"><label for="gtargets">${t('Also reachable')}</label><textarea id="gtargets" rows="4" spellcheck="false" .value=${this.#targets} placeholder="192.168.1.0/24:22,80,443"
                aria-describedby="gtargets-help" @input=${(e: InputEvent) => {
                    this.#targets = (e.target as HTMLTextAreaElement).value;
                    this.requestUpdate();
                }}></textarea>
                <small id="gtargets-help">${t('One a line: an address, a network or a name, and its ports. 192.168.1.20:80 · 10.0.0.0/8:22,8000-8080 · [fd00::]/64:* · printer.example:9100. A name is looked up by the device.')}</small></div></fieldset>`;
    }

    async #save(group: Group): Promise<void> {
        const changes = this.#changes(group);
        if (this.#busy || !Object.keys(changes).length || !this.#name.trim()) {
            return;
        }
        this.#busy = true;
        this.#error = '';
        this.requestUpdate();
        try {
            await this.mesh.actions.ask('editmesh', { meshid: this.mesh.account.groupId(group.id), ...changes });
        } catch (error) {
            this.#error = errorText(error);
        }
        this.#busy = false;
        this.requestUpdate();
    }

    async #delete(group: Group, devices: number): Promise<void> {
        const yes = await ask({
            title: t('Delete the group {name}?', { name: group.name }), yes: devices ? count(devices, 'Delete it and 1 device', 'Delete it and {n} devices') : t('Delete'), no: t('Keep it'),
            danger: true, ...(devices ? { type: group.name } : {}),
            body: html`<p>${devices ? count(devices, '1 device leaves the list with it', '{n} devices leave the list with it') : t('It has no devices')}${devices
                ? `, ${t('with inventory, notes and tags. Their agents stay installed and are refused from then on.')}` : '.'}
                ${group.links.size > 1 ? t('{n} people lose the rights that they have here.', { n: num(group.links.size) }) : ''} ${t('This cannot be undone.')}</p>`,
            run: async () => {
                await this.mesh.actions.ask('deletemesh', { meshid: this.mesh.account.groupId(group.id), meshname: group.name });
            },
        });
        if (yes) {
            location.hash = '#/groups';
        }
    }
}

define('mesh-groups', MeshGroups);

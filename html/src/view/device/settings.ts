// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import type { Device } from '../../state/devices.ts';
import { has, R } from '../../state/rights.ts';
import { href } from '../../state/route.ts';
import { t } from '../../i18n/index.ts';
import { define, Part } from '../element.ts';
import type { IconName } from '../icons.ts';
import { editForm } from '../edit-form.ts';
import { btn, copy, errorText, icon } from '../ui.ts';
import { editTags, move, remove, whyNot } from '../verbs.ts';
import { restartAgentCore } from './verbs.ts';

/** Kinds of machines, as numbered in the protocol. */
const KINDS: [number, string, IconName][] = [
    [1, 'Desktop', 'monitor'], [2, 'Laptop', 'laptop'], [3, 'Phone', 'smartphone'], [4, 'Server', 'server'],
    [5, 'Disk station', 'hard-drive'], [6, 'Router', 'router'], [7, 'Board', 'microchip'], [8, 'Virtual machine', 'container'],
];

/** What may be changed of a device, and how it is taken away. */
class MeshDeviceSettings extends Part {
    static override properties = { deviceId: { type: String } };
    declare deviceId: string;
    #of = '';
    #name = '';
    #desc = '';
    #icon = 1;
    #error = '';
    #busy = false;
    #saved = false;

    protected override begin(): void {
        this.watch(this.mesh.devices, this.mesh.groups, this.mesh.account);
        this.listen(this.mesh.control, 'state', this.again);
        this.#of = '';
    }

    protected override willUpdate(): void {
        const device = this.mesh.devices.get(this.deviceId);
        if (device && this.#of !== this.deviceId) {
            this.#of = this.deviceId;
            this.#take(device);
        }
    }

    #take(device: Device): void {
        this.#name = device.label;
        this.#desc = device.desc;
        this.#icon = device.icon || 1;
        this.#error = '';
    }

    #changes(device: Device): Record<string, unknown> {
        return {
            ...(this.#name.trim() !== device.label ? { name: this.#name.trim() } : {}),
            ...(this.#desc.trim() !== device.desc ? { desc: this.#desc.trim() } : {}),
            ...(this.#icon !== (device.icon || 1) ? { icon: this.#icon } : {}),
        };
    }

    protected override render(): TemplateResult {
        const device = this.mesh.devices.get(this.deviceId);
        if (!device) {
            return html``;
        }
        const rights = this.mesh.rightsOn(device.id);
        const nodeId = this.mesh.account.nodeId(device.id);

        return html`<div class="settings">
            ${has(rights, R.MANAGE_DEVICES) ? this.#form(device) : nothing}
            <section><h2>${t('Group')}</h2>
                <p>${this.mesh.groups.get(device.groupId) ? html`<a href=${href('groups', device.groupId)}><bdi>${this.mesh.groups.name(device.groupId)}</bdi></a>` : t('A group that this account does not see')}</p>
                ${has(rights, R.EDIT_GROUP) ? html`<p>${btn(t('Move…'), { i: 'folder', reason: whyNot([device.id], 'move'), click: () => void move([device.id]) })}</p>` : nothing}
            </section>
            <section><h2>${t('Identity')}</h2>
                <dl class="facts"><dt>${t('Node')}</dt><dd><code>${nodeId}</code> ${btn(t('Copy'), { i: 'copy', kind: 'small', click: (e) => void copy(nodeId, e) })}</dd>
                    <dt>${t('Kind of agent')}</dt><dd>${device.agentId || '–'}</dd><dt>${t('Core')}</dt><dd>${device.agentVersion && device.agentVersion !== '0' ? device.agentVersion : '–'}</dd></dl>
            </section>
            ${has(rights, R.CONSOLE) ? html`<section><h2>${t('Agent')}</h2>
                <p>${t('When the agent does not answer as it should, its script can be started anew.')}</p>
                <p>${btn(t('Restart the agent…'), { i: 'refresh-cw', reason: device.conn & 1 ? undefined : t('{name} is off', { name: device.label }), click: () => void restartAgentCore(device.id) })}</p>
            </section>` : nothing}
            ${has(rights, R.UNINSTALL) ? html`<section><h2>${t('Remove')}</h2>
                <p>${t('Takes it out of the list with all that is kept of it here. To remove the agent from the machine as well, run there:')}</p>
                <div class="command"><code>sudo /usr/local/mesh_services/meshagent/meshagent -fulluninstall</code></div>
                <p>${btn(t('Remove {name}…', { name: device.label }), { kind: 'danger', reason: whyNot([device.id], 'remove'), click: async () => {
                    if (await remove([device.id])) {
                        location.hash = '#/devices';
                    }
                } })}</p></section>` : nothing}
        </div>`;
    }

    #form(device: Device): TemplateResult {
        const dirty = Object.keys(this.#changes(device)).length > 0;

        return html`<section><h2>${t('What it is called')}</h2>${editForm({
            id: 's', name: this.#name, desc: this.#desc, nameless: t('The device needs a name.'), error: this.#error, busy: this.#busy, dirty,
            reason: whyNot([device.id], 'edit'), save: () => void this.#save(device),
            change: ({ name, desc }) => {
                this.#name = name ?? this.#name;
                this.#desc = desc ?? this.#desc;
                this.requestUpdate();
            },
            discard: () => {
                this.#take(device);
                this.requestUpdate();
            },
            more: html`<fieldset class="kinds"><legend>${t('Kind of machine')}</legend>${KINDS.map(([id, name, i]) => html`<label class="kind"><input type="radio" name="icon" .checked=${
                id === this.#icon} @change=${() => {
                    this.#icon = id;
                    this.requestUpdate();
                }}>${icon(i)}<span>${t(name)}</span></label>`)}</fieldset>`,
            end: html`<span class="quiet" role="status">${this.#saved && !dirty ? t('Saved') : ''}</span><span class="grow"></span>${
                btn(t('Tags…'), { i: 'tag', reason: whyNot([device.id], 'edit'), click: () => void editTags([device.id]) })}`,
        })}</section>`;
    }

    async #save(device: Device): Promise<void> {
        const changes = this.#changes(device);
        if (this.#busy || !Object.keys(changes).length || !this.#name.trim()) {
            return;
        }
        this.#busy = true;
        this.#error = '';
        this.requestUpdate();
        try {
            await this.mesh.actions.change(this.mesh.account.nodeId(device.id), changes);
            this.mesh.devices.patch(device.id, { label: this.#name.trim(), desc: this.#desc.trim(), icon: this.#icon });
            this.#saved = true;
        } catch (error) {
            this.#error = errorText(error);
        }
        this.#busy = false;
        this.requestUpdate();
    }
}

define('mesh-device-settings', MeshDeviceSettings);

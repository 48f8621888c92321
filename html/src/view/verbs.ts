// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import { POWER } from '../state/actions.ts';
import type { Device } from '../state/devices.ts';
import { has, mayDesktop, mayFiles, maySsh, mayTerminal, mayVnc, R } from '../state/rights.ts';
import { count, listed, t } from '../i18n/index.ts';
import { mesh } from './app-state.ts';
import { ask, value } from './dialogs.ts';
import { sessionWords } from './devices/says.ts';
import { btn, mark } from './ui.ts';

/* The verbs that pages share.  Each knows why it cannot be used, and ends in a sentence. */

const nodes = (ids: readonly string[]): string[] => ids.map((id) => mesh.account.nodeId(id));

export function devicesOf(ids: readonly string[]): Device[] {
    return ids.map((id) => mesh.devices.get(id)).filter((device): device is Device => device !== undefined);
}

const online = (device: Device): boolean => (device.conn & 1) !== 0;

/** Why a verb does not go for these devices; undefined when it does. */
export function whyNot(ids: readonly string[], verb: 'terminal' | 'ssh' | 'files' | 'desktop' | 'vnc' | 'run' | 'wake' | 'power' | 'edit' | 'move' | 'remove'): string | undefined {
    const list = devicesOf(ids);
    const name = (device: Device): string => device.label;
    const lacking = (right: number): Device | undefined => list.find((device) => !has(mesh.rightsOn(device.id), right));
    const off = list.find((device) => !online(device));
    let without: Device | undefined;

    if (mesh.control.state.kind !== 'live') {
        return t('There is no connection to the server now');
    }
    switch (verb) {
    case 'terminal':
        if (list.length !== 1) { return t('One device at a time'); }
        if (off) { return t('{name} is off', { name: name(off) }); }
        without = list.find((device) => !mayTerminal(mesh.rightsOn(device.id)));
        break;
    case 'ssh':
        if (list.length !== 1) { return t('One device at a time'); }
        if (off) { return t('{name} is off', { name: name(off) }); }
        without = list.find((device) => !maySsh(mesh.rightsOn(device.id)));
        break;
    case 'files':
        if (list.length !== 1) { return t('One device at a time'); }
        if (off) { return t('{name} is off', { name: name(off) }); }
        without = list.find((device) => !mayFiles(mesh.rightsOn(device.id)));
        break;
    case 'desktop':
        if (list.length !== 1) { return t('One device at a time'); }
        if (off) { return t('{name} is off', { name: name(off) }); }
        without = list.find((device) => !mayDesktop(mesh.rightsOn(device.id)));
        break;
    case 'vnc':
        if (off) { return t('{name} is off', { name: name(off) }); }
        without = list.find((device) => !mayVnc(mesh.rightsOn(device.id)));
        break;
    case 'run':
        without = lacking(R.COMMAND);
        if (!without && list.every((device) => !online(device))) {
            return list.length === 1 ? t('{name} is off', { name: name(list[0] as Device) }) : t('None of them is online');
        }
        break;
    case 'wake':
        without = lacking(R.WAKE);
        if (!without && list.every(online)) { return list.length === 1 ? t('It is on') : t('All of them are on'); }
        break;
    case 'power':
        without = lacking(R.POWER);
        if (!without && !list.some(online)) { return list.length === 1 ? t('{name} is off', { name: name(list[0] as Device) }) : t('None of them is online'); }
        break;
    case 'edit': without = lacking(R.MANAGE_DEVICES); break;
    case 'move': without = lacking(R.EDIT_GROUP); break;
    case 'remove': without = lacking(R.UNINSTALL); break;
    }
    return without ? t('No right to this on {name}', { name: name(without) }) : undefined;
}

const these = (list: readonly Device[]): string => (list.length === 1 ? list[0]?.label ?? '' : count(list.length, '1 device', '{n} devices'));

/** Named, with what each will lose; the first eight. */
function rows(list: readonly Device[], says: (device: Device) => string): TemplateResult {
    return html`<ul class="affected">${list.slice(0, 8).map((device) => html`<li>${mark(device.state)}<b><bdi>${device.label}</bdi></b><span>${says(device)}</span></li>`)}
        ${list.length > 8 ? html`<li><span></span><span>${t('and {n} more', { n: list.length - 8 })}</span></li>` : nothing}</ul>`;
}

const loses = (device: Device): string => sessionWords(device) || (device.people.length ? t('{who} logged in', { who: listed(device.people) }) : t('nobody logged in'));

export async function power(ids: readonly string[], what: 'reset' | 'sleep' | 'off'): Promise<void> {
    const all = devicesOf(ids);
    const on = all.filter(online);
    const words = {
        reset: {
            title: t('Restart {what}?', { what: these(on) }), yes: on.length === 1 ? t('Restart') : t('Restart {what}', { what: these(on) }), no: t('Not now'),
            body: t('What is not saved there is lost. It comes back by itself when the system has started.'),
        },
        sleep: {
            title: t('Put {what} to sleep?', { what: these(on) }), yes: on.length === 1 ? t('Put to sleep') : t('Put {what} to sleep', { what: these(on) }),
            no: t('Keep awake'), body: t('A sleeping device can be woken from here when another one in its network is online.'),
        },
        off: {
            title: t('Power off {what}?', { what: these(on) }), yes: on.length === 1 ? t('Power off') : t('Power off {what}', { what: these(on) }),
            no: on.length === 1 ? t('Keep it on') : t('Keep them on'),
            body: t('What is not saved there is lost. It can be woken from here only when another device in its network is online; otherwise somebody has to press its button.'),
        },
    }[what];

    const yes = await ask({
        title: words.title, yes: words.yes, no: words.no, danger: what !== 'sleep',
        body: html`<p>${words.body}</p>${rows(all, (device) => (online(device) ? loses(device) : t('is off already')))}`,
        run: async () => {
            await mesh.actions.power(nodes(on.map((device) => device.id)), POWER[what]);
        },
    });
    if (yes) {
        mesh.toasts.say('online', what === 'reset' ? t('Restart sent to {what}', { what: these(on) })
            : what === 'sleep' ? t('Sleep sent to {what}', { what: these(on) }) : t('Power off sent to {what}', { what: these(on) }));
    }
}

export async function wake(ids: readonly string[]): Promise<void> {
    const list = devicesOf(ids).filter((device) => !online(device));
    try {
        const reply = await mesh.actions.wake(nodes(list.map((device) => device.id)));
        const result = String(reply['result'] ?? '');
        const n = /^Used (\d+)/.exec(result)?.[1];
        if (n === '0') {
            mesh.toasts.say('attention', t('{what} was not woken: no other device in the network is online to send the packet', { what: these(list) }));
        } else {
            mesh.toasts.say('online', n ? `${t('Wake packet for {what} sent', { what: these(list) })} ${count(Number(n), 'by 1 device', 'by {n} devices')}`
                : t('Wake packet for {what} sent', { what: these(list) }));
        }
    } catch (error) {
        mesh.toasts.say('fault', t('{what} was not woken: {why}', { what: these(list), why: error instanceof Error ? error.message : String(error) }));
    }
}

/** In the place of a session that cannot be opened: why, and of a device that is off what one can do. */
export function notNow(id: string, reason: string, later: string): TemplateResult {
    const off = mesh.control.state.kind === 'live' && devicesOf([id]).some((device) => !online(device));

    return html`<p>${reason}.${off ? ` ${later}` : ''}</p>${off && !whyNot([id], 'wake')
        ? html`<p>${btn(t('Wake'), { i: 'zap', click: () => void wake([id]) })}</p>` : nothing}`;
}

export async function remove(ids: readonly string[]): Promise<boolean> {
    const list = devicesOf(ids);
    const live = list.filter(online).length;

    return ask({
        title: t('Remove {what}?', { what: these(list) }), danger: true,
        yes: list.length === 1 ? t('Remove') : t('Remove {what}', { what: these(list) }), no: list.length === 1 ? t('Keep it') : t('Keep them'),
        ...(list.length > 20 ? { type: String(list.length) } : {}),
        body: html`<p>${t('Its place in the list, inventory, notes and tags are deleted here, and cannot be brought back.')} ${live
            ? t('The agent stays on the machine: one that is online comes back at once as a new device, until it is uninstalled there.') : nothing}</p>
            ${rows(list, (device) => (online(device) ? loses(device) : t('offline')))}`,
        run: async () => {
            await mesh.actions.remove(nodes(ids));
        },
    });
}

export async function move(ids: readonly string[]): Promise<boolean> {
    const list = devicesOf(ids);
    const from = new Set(list.map((device) => device.groupId));
    const to = mesh.groups.sorted().filter((group) => !(from.size === 1 && from.has(group.id)) && has(mesh.groups.rights(group.id), R.EDIT_GROUP | R.MANAGE_DEVICES));

    if (!to.length) {
        mesh.toasts.say('attention', t('There is no other group that devices may be moved to'), { label: t('Groups'), run: () => { location.hash = '#/groups'; } });
        return false;
    }
    return ask({
        title: t('Move {what}', { what: these(list) }), yes: list.length === 1 ? t('Move') : t('Move {what}', { what: these(list) }),
        body: html`<p>${t('Who has rights on the new group gets them on what is moved; who has them only on the old one loses them.')}</p>
            <div class="field"><label for="to">${t('To group')}</label><span class="in"><select id="to" name="to">${
            to.map((group) => html`<option value=${group.id}>${group.name}</option>`)}</select></span></div>`,
        run: async (form) => {
            await mesh.actions.move(nodes(ids), mesh.account.groupId(value(form, 'to')));
        },
    });
}

const split = (text: string): string[] => [...new Set(text.split(',').map((tag) => tag.trim()).filter(Boolean))].sort();

export async function editTags(ids: readonly string[]): Promise<boolean> {
    const list = devicesOf(ids);
    const common = list[0]?.labels.filter((tag) => list.every((device) => device.labels.includes(tag))) ?? [];

    return ask({
        title: t('Tags of {what}', { what: these(list) }), yes: t('Save'),
        body: html`<div class="field"><label for="tags">${t('Tags')}</label><span class="in"><input id="tags" name="tags" .value=${common.join(', ')} autocomplete="off"
            spellcheck="false" aria-describedby="tags-h"></span><small id="tags-h">${list.length === 1 ? t('Separated by commas')
            : t('Separated by commas. These are the tags that all of them have; others of theirs stay.')}</small></div>`,
        run: async (form) => {
            const now = split(value(form, 'tags'));
            if (now.some((tag) => [...tag].length > 63)) {
                throw new Error(t('A tag has at most 63 characters.'));
            }
            const gone = common.filter((tag) => !now.includes(tag));
            for (const device of list) {
                const tags = [...new Set([...device.labels.filter((tag) => !gone.includes(tag)), ...now])].sort();
                if (tags.join('\n') !== device.labels.join('\n')) {
                    await mesh.actions.change(mesh.account.nodeId(device.id), { tags });
                    mesh.devices.patch(device.id, { labels: tags });
                }
            }
        },
    });
}

/** The power menu, with reasons on what does not go. */
export function powerItems(ids: readonly string[]): TemplateResult {
    const noPower = whyNot(ids, 'power');
    const noWake = whyNot(ids, 'wake');
    const item = (value: string, label: string, reason: string | undefined, danger = false): TemplateResult => html`<wa-dropdown-item
        value=${value} ?disabled=${reason !== undefined} variant=${danger ? 'danger' : 'default'}>${label}${
        reason ? html`<span slot="details">${reason}</span>` : nothing}</wa-dropdown-item>`;

    return html`${item('reset', t('Restart…'), noPower)}${item('sleep', t('Sleep…'), noPower)}${item('wake', t('Wake'), noWake)}${
        item('off', t('Power off…'), noPower, true)}`;
}

export function powerSelected(ids: readonly string[]): (e: CustomEvent<{ item: { value: string } }>) => void {
    return (e) => {
        const what = e.detail.item.value;
        if (what === 'wake') {
            void wake(ids);
        } else if (what === 'reset' || what === 'sleep' || what === 'off') {
            void power(ids, what);
        }
    };
}

export async function newGroup(): Promise<void> {
    let made = '';
    const yes = await ask({
        title: t('New device group'), yes: t('Make the group'),
        body: html`<div class="field"><label for="gname">${t('Name')}</label><span class="in"><input id="gname" name="gname" maxlength="128" autocomplete="off"></span></div>
            <div class="field"><label for="gdesc">${t('Description')}</label><span class="in"><input id="gdesc" name="gdesc" maxlength="1024" autocomplete="off"></span>
            <small>${t('Shown to everybody who sees the group; may stay empty')}</small></div>`,
        run: async (form) => {
            const name = value(form, 'gname').trim();
            if (!name) {
                throw new Error(t('The group needs a name.'));
            }
            const desc = value(form, 'gdesc').trim();
            const reply = await mesh.actions.ask('createmesh', { meshname: name, meshtype: 2, ...(desc ? { desc } : {}) });
            made = mesh.groups.made(reply, name);
        },
    });
    if (yes && made) {
        location.hash = `#/groups/${encodeURIComponent(made)}`;
    }
}

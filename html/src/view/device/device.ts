// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import type { Device } from '../../state/devices.ts';
import { has, mayDesktop, mayFiles, mayRelay, maySsh, mayTerminal, mayVnc, R } from '../../state/rights.ts';
import { href } from '../../state/route.ts';
import { t } from '../../i18n/index.ts';
import { duration, exact } from '../../i18n/format.ts';
import { sessionWords } from '../devices/says.ts';
import { define, Part } from '../element.ts';
import { btn, icon, loading, mark, notLoaded, STATES } from '../ui.ts';
import { editTags, move, powerItems, powerSelected, remove, whyNot } from '../verbs.ts';
import { openUrl, openWebPage, rename, sendMessage, startChat } from './verbs.ts';
import './overview.ts';

interface Tab {
    id: string;
    title: string;
    /** Shown only to who may. */
    may: (rights: number) => boolean;
    load: () => Promise<unknown>;
    view: (id: string) => TemplateResult;
    /** The work itself: no scrolling page, the header is one line. */
    fill?: boolean;
}

const TABS: Tab[] = [
    { id: 'overview', title: 'Overview', may: () => true, load: () => Promise.resolve(), view: (id) => html`<mesh-overview .deviceId=${id}></mesh-overview>` },
    {
        id: 'desktop', title: 'Desktop', may: mayDesktop, fill: true, load: () => import('../desktop/desktop.ts'),
        view: (id) => html`<mesh-desktop .deviceId=${id}></mesh-desktop>`,
    },
    {
        id: 'terminal', title: 'Terminal', may: maySsh, fill: true, load: () => import('../terminal/terminal.ts'),
        view: (id) => html`<mesh-terminal .deviceId=${id}></mesh-terminal>`,
    },
    {
        id: 'files', title: 'Files', may: mayFiles, fill: true, load: () => import('../files/files.ts'),
        view: (id) => html`<mesh-files .deviceId=${id}></mesh-files>`,
    },
    {
        id: 'vnc', title: 'VNC', may: mayVnc, fill: true, load: () => import('../vnc/vnc.ts'),
        view: (id) => html`<mesh-vnc .deviceId=${id}></mesh-vnc>`,
    },
    {
        id: 'run', title: 'Run', may: (rights) => has(rights, R.COMMAND), load: () => import('./run.ts'),
        view: (id) => html`<mesh-run .deviceIds=${[id]}></mesh-run>`,
    },
    { id: 'events', title: 'Events', may: () => true, load: () => import('./events.ts'), view: (id) => html`<mesh-device-events .deviceId=${id}></mesh-device-events>` },
    {
        id: 'console', title: 'Console', may: (rights) => has(rights, R.CONSOLE) && has(rights, R.CONTROL), fill: true, load: () => import('./console.ts'),
        view: (id) => html`<mesh-console .deviceId=${id}></mesh-console>`,
    },
    {
        id: 'settings', title: 'Settings', may: (rights) => has(rights, R.MANAGE_DEVICES) || has(rights, R.UNINSTALL) || has(rights, R.CONSOLE), load: () => import('./settings.ts'),
        view: (id) => html`<mesh-device-settings .deviceId=${id}></mesh-device-settings>`,
    },
];

/** One device: who and what it is above, then its tabs. */
class MeshDevice extends Part {
    static override properties = { deviceId: { type: String }, tab: { type: String } };
    declare deviceId: string;
    declare tab: string;
    #ready = new Set(['overview']);
    #failed = '';
    #minute: ReturnType<typeof setInterval> | undefined;
    #shown: Element | null = null;

    protected override begin(): void {
        this.watch(this.mesh.devices, this.mesh.groups, this.mesh.account, this.mesh.sessions, this.mesh.desktops, this.mesh.vncs);
        this.listen(this.mesh.control, 'state', this.again);
        this.#minute = setInterval(this.again, 20_000);
    }

    protected override end(): void {
        clearInterval(this.#minute);
        this.#shown = null;
    }

    /** The tabs may be wider than the page: the one that is open is brought into sight. */
    protected override updated(): void {
        const shown = this.querySelector('.tabs [aria-current]');
        if (shown !== this.#shown) {
            this.#shown = shown;
            shown?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
        }
    }

    #load(tab: Tab): void {
        if (this.#ready.has(tab.id) || this.#failed === tab.id) {
            return;
        }
        tab.load().then(() => {
            this.#ready.add(tab.id);
            this.requestUpdate();
        }, () => {
            this.#failed = tab.id;
            this.requestUpdate();
        });
    }

    protected override render(): TemplateResult {
        const device = this.mesh.devices.get(this.deviceId);

        if (!device) {
            return this.mesh.devices.loaded ? html`<div class="gone"><h1>${t('This device is not here')}</h1>
                <p>${t('It was removed, or it is in a group that this account does not see.')}</p>
                <p><a class="b" href="#/devices">${t('All devices')}</a></p></div>` : loading();
        }
        const rights = this.mesh.rightsOn(this.deviceId);
        const tabs = TABS.filter((tab) => tab.may(rights));
        const now = tabs.find((tab) => tab.id === this.tab) ?? tabs[0] as Tab;

        this.#load(now);
        return html`<div class="device ${now.fill ? 'fill' : ''}">
            ${this.#header(device, now)}
            <nav class="tabs" aria-label=${t('Device')}>${tabs.map((tab) => html`<a href=${href('device', device.id, tab.id)}
                aria-current=${tab.id === now.id ? 'page' : nothing}>${t(tab.title)}${this.#dot(tab.id)}</a>`)}</nav>
            ${this.#failed === now.id ? notLoaded()
                : this.#ready.has(now.id) ? now.view(device.id) : loading()}
        </div>`;
    }

    #dot(tab: string): TemplateResult | typeof nothing {
        const n = tab === 'terminal' ? this.mesh.sessions.of(this.deviceId).filter((session) => session.running).length
            : tab === 'desktop' && this.mesh.desktops.of(this.deviceId)?.running ? 1
            : tab === 'vnc' && this.mesh.vncs.of(this.deviceId)?.running ? 1 : 0;
        return n ? html`<b class="dot" role="img" aria-label=${t('A session runs here')} title=${t('A session runs here')}></b>` : nothing;
    }

    #header(device: Device, tab: Tab): TemplateResult {
        const ids = [device.id];
        const full = tab.id === 'overview';
        const group = this.mesh.groups.get(device.groupId);
        const since = device.conn ? device.since : device.seen;
        const rights = this.mesh.rightsOn(device.id);
        const who = sessionWords(device);
        const state = STATES[device.state].word;

        return html`<div class=${full ? 'dev-head' : 'dev-head slim'}>
            <div class="who">
                <a class="back" href="#/devices" aria-label=${t('Back to the devices')}>${icon('chevron-left')}</a>
                <nav class="path" aria-label=${t('Group')}>${group ? html`<a href="#/devices?q=${encodeURIComponent(`group:"${group.name}"`)}"><bdi>${group.name}</bdi></a><i>/</i>` : nothing}</nav>
                <h1>${mark(device.state)}<bdi>${device.label || device.id.slice(0, 12)}</bdi></h1>
                <p><span title=${exact(since)}>${device.state === 'fault' ? device.refused
                    : device.state === 'unknown' || !since ? t(state)
                    : device.conn ? t('{state} for {time}', { state: t(state), time: duration(Date.now() - since, 2) })
                    : t('{state}, last seen {time} ago', { state: t(state), time: duration(Date.now() - since) })}</span>${
                    who ? html`<span class="with">${icon('eye')}${who}</span>` : nothing}</p>
            </div>
            <div class="acts-main">
                ${full && mayTerminal(rights) ? this.#go('terminal', t('Terminal'), 'square-terminal', whyNot(ids, 'terminal'), true) : nothing}
                ${full && mayDesktop(rights) ? this.#go('desktop', t('Desktop'), 'monitor', whyNot(ids, 'desktop')) : nothing}
                ${full && has(rights, R.COMMAND) ? this.#go('run', t('Run'), 'play', whyNot(ids, 'run')) : nothing}
                ${has(rights, R.POWER) || has(rights, R.WAKE) ? html`<wa-dropdown placement="bottom-end" @wa-select=${powerSelected(ids)}>
                    <button class="b" type="button" slot="trigger">${icon('power')}<span>${t('Power')}</span>${icon('chevron-down')}</button>${powerItems(ids)}</wa-dropdown>` : nothing}
                ${this.#more(device, rights)}
            </div>
        </div>`;
    }

    #go(tab: string, label: string, i: 'square-terminal' | 'monitor' | 'play', reason: string | undefined, primary = false): TemplateResult {
        return btn(label, { i, kind: primary ? 'primary' : '', reason, click: () => { location.hash = href('device', this.deviceId, tab); } });
    }

    #more(device: Device, rights: number): TemplateResult | typeof nothing {
        const ids = [device.id];
        const edit = has(rights, R.MANAGE_DEVICES);
        const items: [string, string, boolean, string | undefined, () => unknown][] = [
            ['rename', t('Rename…'), edit, whyNot(ids, 'edit'), () => rename(device.id)],
            ['tags', t('Tags…'), edit, whyNot(ids, 'edit'), () => editTags(ids)],
            ['move', t('Move…'), edit, whyNot(ids, 'move'), () => move(ids)],
            ['chat', t('Chat…'), has(rights, R.CHAT), device.conn & 1 ? undefined : t('It is off'), () => startChat(device.id)],
            ['say', t('Send a message…'), has(rights, R.CHAT), device.conn & 1 ? undefined : t('It is off'), () => sendMessage(device.id)],
            ['web', t('Open web page…'), this.mesh.account.webRelay && mayRelay(rights), device.conn & 1 ? undefined : t('It is off'), () => openWebPage(device.id)],
            ['url', t('Open a page there…'), has(rights, R.CONTROL), device.conn & 1 ? undefined : t('It is off'), () => openUrl(device.id)],
            ['remove', t('Remove…'), has(rights, R.UNINSTALL), whyNot(ids, 'remove'), async () => {
                if (await remove(ids)) {
                    location.hash = '#/devices';
                }
            }],
        ];
        const shown = items.filter(([,, may]) => may);

        return shown.length ? html`<wa-dropdown placement="bottom-end" @wa-select=${(e: CustomEvent<{ item: { value: string } }>) => {
            void items.find(([id]) => id === e.detail.item.value)?.[4]();
        }}>
            <button class="b" type="button" slot="trigger" aria-label=${t('More actions')} title=${t('More actions')}>${icon('ellipsis')}</button>
            ${shown.map(([id, label,, reason]) => html`<wa-dropdown-item value=${id} ?disabled=${reason !== undefined}
                variant=${id === 'remove' ? 'danger' : 'default'}>${label}${reason ? html`<span slot="details">${reason}</span>` : nothing}</wa-dropdown-item>`)}
        </wa-dropdown>` : nothing;
    }
}

define('mesh-device', MeshDevice);

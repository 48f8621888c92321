// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import type { Device } from '../../state/devices.ts';
import { href } from '../../state/route.ts';
import { mayFiles, mayTerminal, maySeeServer, R } from '../../state/rights.ts';
import { fold, matches, parseQuery } from '../../state/search.ts';
import { count, t } from '../../i18n/index.ts';
import { duration } from '../../i18n/format.ts';
import { define, Part } from '../element.ts';
import type { IconName } from '../icons.ts';
import { icon, mark, STATES } from '../ui.ts';
import { newGroup, power, wake, whyNot } from '../verbs.ts';
import { startChat } from '../device/verbs.ts';

const MOST = 12;

interface Action {
    i: IconName;
    name: string;
    reason?: string | undefined;
    run: () => unknown;
}

/** Any device and what can be done with it, two keystrokes away. */
class MeshPalette extends Part {
    #words = '';
    #at = 0;
    #acting = false;
    #action = 0;
    #before: Element | null = null;

    protected override begin(): void {
        this.watch(this.mesh.devices);
        this.#before = document.activeElement;
    }

    protected override firstUpdated(): void {
        this.querySelector<HTMLElement>('input')?.focus();
    }

    #close(): void {
        this.dispatchEvent(new Event('close'));
        if (this.#before instanceof HTMLElement) {
            this.#before.focus();
        }
    }

    #go(where: string): void {
        this.dispatchEvent(new Event('close'));
        location.hash = where;
    }

    get #onlyActions(): boolean {
        return this.#words.startsWith('>');
    }

    #devices(): { list: Device[]; more: number } {
        if (this.#onlyActions) {
            return { list: [], more: 0 };
        }
        const query = this.#words.startsWith('#') ? `tag:${this.#words.slice(1).trim()}` : this.#words;
        const terms = parseQuery(query);
        const words = fold(query.trim());
        const found = [...this.mesh.devices.byId.values()].filter((device) => matches(terms, device));
        const rank = (device: Device): number => (words && device.name === words ? 0 : words && device.name.startsWith(words) ? 1 : device.name.includes(words) ? 2 : 3);

        found.sort((a, b) => rank(a) - rank(b) || Number(Boolean(b.conn)) - Number(Boolean(a.conn)) || a.label.localeCompare(b.label, undefined, { numeric: true }));
        return { list: found.slice(0, MOST), more: Math.max(0, found.length - MOST) };
    }

    #pages(): Action[] {
        const all: Action[] = [
            { i: 'monitor', name: t('Devices'), run: () => this.#go('#/devices') },
            { i: 'square-terminal', name: t('Sessions'), run: () => this.#go('#/sessions') },
            { i: 'history', name: t('Events'), run: () => this.#go('#/events') },
            { i: 'folder', name: t('Groups'), run: () => this.#go('#/groups') },
            ...(maySeeServer(this.mesh.account.siteRights) ? [{ i: 'server' as IconName, name: t('Server'), run: () => this.#go('#/server') }] : []),
            { i: 'message-square', name: t('Chat'), run: () => this.#go('#/messenger') },
            { i: 'circle-user', name: t('Account'), run: () => this.#go('#/account') },
            { i: 'folder-plus', name: t('New device group…'), run: () => this.#then(() => newGroup()) },
            { i: 'log-out', name: t('Sign out'), run: () => this.#then(() => this.mesh.logout()) },
        ];
        const words = fold(this.#words.replace(/^>/, '').trim());
        return all.filter((action) => fold(action.name).includes(words));
    }

    #then(run: () => unknown): void {
        this.dispatchEvent(new Event('close'));
        void run();
    }

    #actions(device: Device): Action[] {
        const ids = [device.id];
        const rights = this.mesh.rightsOn(device.id);
        const tab = (name: string) => () => this.#go(href('device', device.id, name));
        return [
            { i: 'monitor', name: t('Open'), run: tab('overview') },
            ...(mayTerminal(rights) ? [{ i: 'square-terminal' as IconName, name: t('Terminal'), reason: whyNot(ids, 'terminal'), run: tab('terminal') }] : []),
            ...(mayFiles(rights) ? [{ i: 'folder' as IconName, name: t('Files'), reason: whyNot(ids, 'files'), run: tab('files') }] : []),
            ...(this.mesh.may(device.id, R.COMMAND) ? [{ i: 'play' as IconName, name: t('Run a command'), reason: whyNot(ids, 'run'), run: tab('run') }] : []),
            { i: 'history', name: t('Events'), run: tab('events') },
            ...(this.mesh.may(device.id, R.CHAT) ? [{ i: 'message-square' as IconName, name: t('Chat…'), reason: device.conn & 1 ? undefined : t('It is off'), run: () => this.#then(() => startChat(device.id)) }] : []),
            ...(this.mesh.may(device.id, R.WAKE) ? [{ i: 'zap' as IconName, name: t('Wake'), reason: whyNot(ids, 'wake'), run: () => this.#then(() => wake(ids)) }] : []),
            ...(this.mesh.may(device.id, R.POWER) ? [{ i: 'refresh-cw' as IconName, name: t('Restart…'), reason: whyNot(ids, 'power'), run: () => this.#then(() => power(ids, 'reset')) },
                { i: 'power' as IconName, name: t('Power off…'), reason: whyNot(ids, 'power'), run: () => this.#then(() => power(ids, 'off')) }] : []),
        ];
    }

    protected override render(): TemplateResult {
        const { list, more } = this.#devices();
        const pages = this.#words && !this.#onlyActions && list.length ? [] : this.#onlyActions || (this.#words && !list.length) ? this.#pages() : [];
        const total = list.length + pages.length;
        this.#at = Math.max(0, Math.min(this.#at, total - 1));
        const device = list[this.#at];
        const actions = device ? this.#actions(device) : [];
        this.#action = Math.max(0, Math.min(this.#action, actions.length - 1));

        return html`<div class="scrim" @click=${() => this.#close()}></div>
            <div class="palette" role="dialog" aria-modal="true" aria-label=${t('Search devices and actions')} @keydown=${this.#key}>
                <div class="ask">${icon('search')}<input role="combobox" aria-expanded="true" aria-controls="pal-list" aria-activedescendant=${total
                    ? this.#acting ? `pal-a${this.#action}` : `pal-${this.#at}` : nothing} aria-label=${t('Search devices and actions')} autocomplete="off" spellcheck="false" autocapitalize="off"
                    placeholder=${t('Name, address, tag, user')} .value=${this.#words} @input=${(e: InputEvent) => {
                        this.#words = (e.target as HTMLInputElement).value;
                        this.#at = this.#action = 0;
                        this.#acting = false;
                        this.requestUpdate();
                    }}></div>
                <div class=${device ? 'cols' : 'cols single'}>
                    <ul role="listbox" id="pal-list" aria-label=${t('Found')}>
                        ${list.map((d, i) => html`<li role="option" id="pal-${i}" aria-selected=${String(i === this.#at && !this.#acting)} class=${i === this.#at ? 'on' : ''}
                            @click=${() => this.#go(href('device', d.id))} @pointermove=${() => this.#point(i)}>${mark(d.state)}<bdi>${d.label}</bdi><span>${d.address}</span></li>`)}
                        ${pages.map((action, i) => html`<li role="option" id="pal-${list.length + i}" aria-selected=${String(list.length + i === this.#at)}
                            @click=${() => action.run()} @pointermove=${() => this.#point(list.length + i)}>${icon(action.i)}<bdi>${action.name}</bdi></li>`)}
                        ${more ? html`<li role="presentation" class="more"><span>${count(more, '1 more', '{n} more')}</span></li>` : nothing}
                        ${total ? nothing : html`<li role="presentation" class="more"><span>${this.mesh.devices.byId.size ? t('Nothing fits') : t('No devices yet; > lists actions')}</span></li>`}
                    </ul>
                    ${device ? html`<div class="acts"><div class="chosen">${mark(device.state)}<div><b><bdi>${device.label}</bdi></b><small>${this.#says(device)}</small></div></div>
                        <ul role="listbox" aria-label=${t('Actions on {name}', { name: device.label })}>${actions.map((action, i) => html`<li role="option" id="pal-a${i}" class=${action.reason ? 'off' : ''}
                            aria-selected=${String(this.#acting && i === this.#action)} aria-disabled=${action.reason ? 'true' : nothing} title=${action.reason ?? nothing}
                            @click=${() => !action.reason && action.run()}>${icon(action.i)}<span>${action.name}</span></li>`)}</ul></div>` : nothing}
                </div>
                <footer><kbd>↑</kbd><kbd>↓</kbd> ${t('choose')} <kbd>Tab</kbd> ${t('actions')} <kbd>Enter</kbd> ${t('do it')} <kbd>&gt;</kbd> ${t('actions')} <kbd>#</kbd> ${t('tags')}</footer>
            </div>`;
    }

    #says(device: Device): string {
        const since = device.conn ? device.since : device.seen;
        return [t(STATES[device.state].word), since ? duration(Date.now() - since) : '', this.mesh.groups.name(device.groupId)].filter(Boolean).join(' · ');
    }

    #point(i: number): void {
        if (this.#at !== i || this.#acting) {
            this.#at = i;
            this.#acting = false;
            this.requestUpdate();
        }
    }

    #key = (e: KeyboardEvent): void => {
        const { list } = this.#devices();
        const device = list[this.#at];
        const step = (by: number): void => {
            if (this.#acting) {
                this.#action += by;
            } else {
                this.#at += by;
            }
        };

        switch (e.key) {
        case 'Escape':
            if (this.#acting) {
                this.#acting = false;
            } else {
                this.#close();
            }
            break;
        case 'ArrowDown': step(1); break;
        case 'ArrowUp': step(-1); break;
        case 'Tab':
            this.#acting = !this.#acting && device !== undefined;
            this.#action = 0;
            break;
        case 'Enter': {
            if (device) {
                const action = this.#actions(device)[this.#acting ? this.#action : 0];
                if (action && !action.reason) {
                    action.run();
                }
            } else {
                this.#pages()[this.#at - list.length]?.run();
            }
            break;
        }
        default: return;
        }
        e.preventDefault();
        e.stopPropagation();
        this.requestUpdate();
    };
}

define('mesh-palette', MeshPalette);

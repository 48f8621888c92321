// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import type { Device } from '../../state/devices.ts';
import { Events, saidOf } from '../../state/events.ts';
import { bootOf, inventory, readLoad, volumesOf, type Load, type Section } from '../../state/inventory.ts';
import { HOUR_MS, hours, spans } from '../../state/power.ts';
import { has, R } from '../../state/rights.ts';
import { href } from '../../state/route.ts';
import { count, listed, t } from '../../i18n/index.ts';
import { clockOf, dayOfWeek, duration, exact, size, when, zoneName } from '../../i18n/format.ts';
import { define, Part } from '../element.ts';
import { system } from '../devices/devices.ts';
import { bars, icon, mark, tag, type Html } from '../ui.ts';
import { power, whyNot } from '../verbs.ts';
import { editNote } from './verbs.ts';

const DAY = 24 * HOUR_MS;
/** From here on a bar is amber. */
const FULL_AT = 90;
const LOAD_EVERY = 5000;
const DAYS = 7;
/** A day as wide as the page, in the kinds of the strip. */
const KINDS: [string, number][] = [['no', 1.5], ['on', 12], ['sl', 6], ['fl', 12]];

const fact = (label: string, value: Html, more: Html = nothing): TemplateResult => html`<div><dt>${label}</dt><dd>${value}${
    more === nothing || more === '' ? nothing : html`<small>${more}</small>`}</dd></div>`;

/** A bar that is grey until it is nearly full. */
const bar = (label: string, percent: number, text: string): TemplateResult => html`<div class="meterrow"><span title=${label}><bdi>${label}</bdi></span>
    <svg class="bar ${percent >= FULL_AT ? 'warn' : ''}" viewBox="0 0 100 6" preserveAspectRatio="none" role="img"
        aria-label=${t('{name} {n} %', { name: label, n: Math.round(percent) })}><rect class="bg" width="100" height="6"/><rect class="fg" width=${percent} height="6"/></svg>
    <span class="v">${text}</span></div>`;

/** What a technician asks first: is it up, since when, who is on it, what is wrong with it. */
class MeshOverview extends Part {
    static override properties = { deviceId: { type: String } };
    declare deviceId: string;
    #shown = '';
    #hardware: unknown = null;
    #hardwareAt = 0;
    #netif2: unknown = null;
    #pending = false;
    #inventoryState: 'asked' | 'there' | 'none' | 'denied' = 'asked';
    #timeline: unknown[] = [];
    #address = '';
    #load: Load | null = null;
    #loadAt = 0;
    #note: string | null = null;
    #log: Events | null = null;
    #timer: ReturnType<typeof setInterval> | undefined;

    protected override begin(): void {
        this.watch(this.mesh.devices);
        this.listen(this.mesh.control, 'state', () => {
            if (this.mesh.control.state.kind === 'live') {
                this.#ask();
            }
        });
        this.listen(this.mesh.control, 'event', (e: CustomEvent<{ action: string; nodeid?: string }>) => {
            const { action, nodeid } = e.detail;
            if (nodeid !== this.#nodeId) {
                return;
            }
            if (action === 'sysinfohash') {
                void this.#askHardware();
            } else if (action === 'ifchange') {
                void this.#askNetwork();
            } else if (action === 'nodeconnect') {
                void this.#askPower();
                void this.#askLoad();
            }
        });
        this.#timer = setInterval(() => void this.#askLoad(), LOAD_EVERY);
        this.#shown = '';
    }

    protected override end(): void {
        clearInterval(this.#timer);
        this.#log?.stop();
        this.#log = null;
    }

    get #nodeId(): string {
        return this.mesh.account.nodeId(this.deviceId);
    }

    protected override willUpdate(): void {
        if (this.deviceId !== this.#shown) {
            this.#shown = this.deviceId;
            this.#hardware = this.#netif2 = this.#load = this.#note = null;
            this.#hardwareAt = this.#loadAt = 0;
            this.#timeline = [];
            this.#address = '';
            this.#inventoryState = 'asked';
            this.#log?.stop();
            this.#log = new Events(this.mesh.control, this.#nodeId);
            this.#log.addEventListener('change', this.again);
            this.#log.start(6);
            this.#ask();
        }
    }

    #ask(): void {
        void this.#askHardware();
        void this.#askNetwork();
        void this.#askPower();
        void this.#askLoad();
        void this.#askNote();
        void this.#askSeen();
    }

    /** Asks, and takes the answer only while the same device is shown. */
    async #about(action: string, members: Record<string, unknown>, take: (reply: Record<string, unknown>) => void): Promise<boolean> {
        const id = this.deviceId;
        try {
            const reply = await this.mesh.control.request(action, members);
            if (id === this.deviceId && this.isConnected) {
                take(reply);
                this.requestUpdate();
            }
            return true;
        } catch {
            return false;       // the connection mark says so; what is shown stays
        }
    }

    #askHardware(): Promise<boolean> {
        if (!this.mesh.may(this.deviceId, R.DETAILS)) {
            this.#inventoryState = 'denied';
            return Promise.resolve(false);
        }
        return this.#about('getsysinfo', { nodeid: this.#nodeId }, (reply) => {
            const has = typeof reply['hardware'] === 'object' && reply['hardware'] !== null;
            this.#inventoryState = has ? 'there' : 'none';
            if (has) {
                this.#hardware = reply['hardware'];
                this.#hardwareAt = typeof reply['time'] === 'number' ? reply['time'] : 0;
                this.#pending = Boolean(reply['pendingReboot'] ?? (reply['hardware'] as Record<string, unknown>)['pendingReboot']);
            }
        });
    }

    #askNetwork(): Promise<boolean> {
        return this.#about('getnetworkinfo', { nodeid: this.#nodeId }, (reply) => {
            this.#netif2 = reply['netif2'];
        });
    }

    #askPower(): Promise<boolean> {
        return this.#about('powertimeline', { nodeid: this.#nodeId }, (reply) => {
            this.#timeline = Array.isArray(reply['timeline']) ? reply['timeline'] as unknown[] : [];
        });
    }

    #askSeen(): Promise<boolean> {
        return this.#about('lastconnect', { nodeid: this.#nodeId }, (reply) => {
            this.#address = typeof reply['addr'] === 'string' ? reply['addr'] : '';
        });
    }

    #askNote(): Promise<boolean> {
        return this.#about('getNotes', { id: this.#nodeId }, (reply) => {
            this.#note = typeof reply['notes'] === 'string' ? reply['notes'] : '';
        });
    }

    async #askLoad(): Promise<void> {
        const device = this.mesh.devices.get(this.deviceId);
        const id = this.deviceId;

        if (!device || !(device.conn & 1) || document.hidden || !this.mesh.may(id, R.CONTROL)) {
            return;
        }
        try {
            const reply = await this.mesh.control.request('msg', { type: 'cpuinfo', nodeid: this.#nodeId }, {
                timeout: 8000, until: (message) => message['cpu'] !== undefined || message['result'] !== 'OK',
            });
            const load = readLoad(reply);
            if (load && id === this.deviceId) {
                this.#load = load;
                this.#loadAt = Date.now();
                this.requestUpdate();
            }
        } catch {
            /* no figures: the old ones say from when they are */
        }
    }

    protected override render(): TemplateResult {
        const device = this.mesh.devices.get(this.deviceId);
        if (!device) {
            return html``;
        }
        const sections = inventory(this.#hardware, this.#netif2);

        return html`<div class="over">
            <div class="col">
                ${this.#facts(device)}
                ${this.#now(device)}
                ${this.#power()}
                ${this.#inventory(sections, device)}
            </div>
            <aside class="col side">
                ${this.#attention(device)}
                ${this.#events()}
                ${this.#memo()}
            </aside>
        </div>`;
    }

    #facts(device: Device): TemplateResult {
        const boot = bootOf(this.#hardware);
        const agent = device.agentVersion && device.agentVersion !== '0' ? device.agentVersion : device.agentId ? t('MeshAgent') : '';
        const outside = this.#address && this.#address !== device.address ? t('seen from outside as {address}', { address: this.#address }) : '';

        return html`<dl class="grid">
            ${fact(t('Logged in'), device.people.length ? html`<bdi>${listed(device.people)}</bdi>` : device.conn & 1 ? t('Nobody') : '–')}
            ${fact(t('Address'), device.address ? html`<bdi>${device.address}</bdi>` : '–', outside)}
            ${fact(t('System'), system(device.osdesc) || '–', boot && device.conn & 1 ? html`<span title=${exact(boot)}>${t('up {time}', { time: duration(Date.now() - boot, 2) })}</span>` : nothing)}
            ${fact(t('Agent'), agent || '–', device.conn & 1 ? t('connected for {time}', { time: duration(Date.now() - device.since) }) : nothing)}
            ${fact(t('Description'), device.desc ? html`<bdi>${device.desc}</bdi>` : '–')}
            ${fact(t('Tags'), device.labels.length ? html`<span class="tags">${device.labels.map(tag)}</span>` : '–')}
        </dl>`;
    }

    #now(device: Device): TemplateResult | typeof nothing {
        const volumes = volumesOf(this.#hardware);
        const load = this.#load;
        const live = load !== null && (device.conn & 1) !== 0;

        if (!live && !volumes.length) {
            return nothing;
        }
        const asOf = live ? (Date.now() - this.#loadAt < 2 * LOAD_EVERY ? t('as of now') : t('as of {time}', { time: clockOf(this.#loadAt) })) : '';
        return html`<section><h2>${live ? t('Now') : t('Storage')}<span class="sub">${asOf}</span></h2>
            ${live ? bar(t('Processor'), load.processor, load.threads ? t('{n} % of {m}', { n: Math.round(load.processor), m: count(load.threads, '1 thread', '{n} threads') })
                : `${Math.round(load.processor)} %`) : nothing}
            ${live ? bar(t('Memory'), load.memory, load.memoryTotal ? t('{used} of {size}', { used: size(load.memoryTotal * load.memory / 100), size: size(load.memoryTotal) })
                : `${Math.round(load.memory)} %`) : nothing}
            ${volumes.slice(0, 8).map((v) => bar(v.name, v.used / v.size * 100, t('{used} of {size}', { used: size(v.used), size: size(v.size) })))}
        </section>`;
    }

    #power(): TemplateResult | typeof nothing {
        const now = Date.now();
        const list = spans(this.#timeline, now);
        const today = new Date(now);
        today.setHours(0, 0, 0, 0);
        const days = Array.from({ length: DAYS }, (_, i) => {
            const start = new Date(today);
            start.setDate(today.getDate() - (DAYS - 1 - i));
            return { at: start.getTime(), hours: hours(list, start.getTime(), 24, now) };
        });

        if (!list.length) {
            return nothing;
        }
        const on = days.flatMap((d) => d.hours).filter((h) => h === 1 || h === 3).length;
        return html`<section><h2>${t('Power')}<span class="sub">${t('last seven days')}, ${zoneName()}</span></h2>
            <div class="week" role="img" aria-label=${t('Power in the last seven days: on for {n} hours', { n: on })}>
                <div class="ax">${['00:00', '06:00', '12:00', '18:00'].map((text) => html`<span>${text}</span>`)}</div>
                ${days.map((day) => html`<span>${now - day.at < DAY ? t('Today') : dayOfWeek(day.at)}</span><svg
                    viewBox="0 0 240 12" preserveAspectRatio="none" aria-hidden="true">${bars(day.hours, KINDS, 10, 9.6, 12)}</svg>`)}
            </div>
            <p class="legend"><span class="on"></span>${t('on')} <span class="sl"></span>${t('asleep')} <span class="fl"></span>${t('unstable')} <span class="no"></span>${t('off')}</p>
        </section>`;
    }

    #inventory(sections: Section[], device: Device): TemplateResult {
        const says = {
            asked: t('Asking for it'),
            there: this.#hardwareAt ? t('from {time}', { time: when(this.#hardwareAt) }) : '',
            none: device.conn & 1 ? t('The agent has not sent it yet') : t('It comes when the device connects'),
            denied: t('This account may not see it'),
        }[this.#inventoryState];

        return html`<section class="inv"><h2>${t('Inventory')}<span class="sub" title=${exact(this.#hardwareAt)}>${says}</span></h2>
            ${sections.map((section) => html`<details><summary>${icon('chevron-right')}<b>${section.title}</b><span>${section.summary}</span></summary>
                <dl class="facts">${section.facts.map(([k, v]) => html`<dt><bdi>${k}</bdi></dt><dd><bdi>${v}</bdi></dd>`)}</dl></details>`)}
        </section>`;
    }

    #attention(device: Device): TemplateResult | typeof nothing {
        const items: { state: 'attention' | 'fault'; title: string; text: Html }[] = [];

        if (device.state === 'fault') {
            items.push({ state: 'fault', title: device.refused, text: html`${t('The server holds its agent and does not let it in.')} <a href="#/server">${t('See what to do')}</a>` });
        }
        if (device.state === 'attention') {
            items.push({
                state: 'attention', title: t('Unstable connection'),
                text: t('{n} connects within an hour. Look at its network, or whether a second machine has the same identity.', { n: device.flaps.length }),
            });
        }
        for (const v of volumesOf(this.#hardware)) {
            const percent = Math.floor(v.used / v.size * 100);
            if (percent >= FULL_AT) {
                items.push({ state: 'attention', title: t('{name} is nearly full', { name: v.name }), text: t('{n} %, {left} left', { n: percent, left: size(v.size - v.used) }) });
            }
        }
        if (this.#pending) {
            items.push({
                state: 'attention', title: t('Restart to finish an update'),
                text: has(this.mesh.rightsOn(device.id), R.POWER) && !whyNot([device.id], 'power')
                    ? html`<button type="button" class="link" @click=${() => void power([device.id], 'reset')}>${t('Restart…')}</button>` : t('The system asks for it'),
            });
        }
        return items.length ? html`<section class="wrong"><h2>${t('Needs attention')}</h2><ul class="todo">${items.map((item) => html`<li>${mark(item.state)}<div>
            <b><bdi>${item.title}</bdi></b><small>${item.text}</small></div></li>`)}</ul></section>` : nothing;
    }

    #events(): TemplateResult {
        const list = this.#log?.list.slice(0, 6) ?? [];
        return html`<section><h2>${t('Last events')}<a class="sub" href=${href('device', this.deviceId, 'events')}>${t('all')}</a></h2>
            ${list.length ? html`<ol class="last">${list.map((event) => html`<li><time title=${exact(event.at)}>${when(event.at)}</time><span>${
                event.who ? html`<b><bdi>${event.who}</bdi></b> ` : nothing}${saidOf(event)}</span></li>`)}</ol>`
                : html`<p class="quiet">${this.#log?.loaded ? t('None yet') : t('One moment')}</p>`}
        </section>`;
    }

    #memo(): TemplateResult {
        const may = has(this.mesh.rightsOn(this.deviceId), R.NOTES);
        const edit = async (): Promise<void> => {
            if (await editNote(this.deviceId, this.#note ?? '')) {
                await this.#askNote();
            }
        };
        return html`<section><h2>${t('Note')}${may && this.#note !== null ? html`<button type="button" class="sub link" @click=${() => void edit()}>${
            this.#note ? t('edit') : t('write one')}</button>` : nothing}</h2>
            ${this.#note ? html`<p class="memo">${this.#note}</p>` : html`<p class="quiet">${this.#note === null ? t('One moment') : t('None')}</p>`}</section>`;
    }
}

define('mesh-overview', MeshOverview);

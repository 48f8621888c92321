// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import type { Device } from '../../state/devices.ts';
import type { DesktopSession } from '../../state/desktop.ts';
import type { TerminalSession } from '../../state/sessions.ts';
import { href } from '../../state/route.ts';
import { shortId } from '../../wire/bytes.ts';
import { count, t } from '../../i18n/index.ts';
import { duration, size } from '../../i18n/format.ts';
import { define, Part } from '../element.ts';
import { btn, icon, mark } from '../ui.ts';

const KINDS: Record<string, string> = { kvm: 'Desktop', terminal: 'Terminal', files: 'Files', tcp: 'TCP relay', udp: 'UDP relay', msg: 'Chat' };
const STATES: Record<TerminalSession['state'], string> = {
    asking: 'Opening', waiting: 'Waiting for the device', open: 'Open', ended: 'Ended', failed: 'Failed',
};

/** One's own sessions, then those of all. */
class MeshSessions extends Part {
    #timer: ReturnType<typeof setInterval> | undefined;

    protected override begin(): void {
        this.watch(this.mesh.sessions, this.mesh.desktops, this.mesh.devices);
        this.#timer = setInterval(this.again, 2000);
    }

    protected override end(): void {
        clearInterval(this.#timer);
    }

    protected override render(): TemplateResult {
        const mine = [...this.mesh.desktops.list, ...this.mesh.sessions.list];
        const running = this.mesh.sessions.running + this.mesh.desktops.running;
        const all = this.#all();

        return html`<div class="sessions">
            <div class="page-head"><h1>${t('Sessions')}</h1><span class="quiet">${mine.length ? count(running, '1 runs in this page', '{n} run in this page') : ''}</span></div>
            <section><h2>${t('In this page')}</h2>
                ${mine.length ? html`<div class="wide" tabindex="0" role="region" aria-label=${t('In this page')}><table><thead><tr>${['Device', 'What', 'State', 'For', 'Received', 'Sent', ''].map((h) => html`<th scope="col">${
                    h ? t(h) : html`<span class="off-screen">${t('Actions')}</span>`}</th>`)}</tr></thead><tbody>${mine.map((s) => this.#own(s))}</tbody></table></div>`
                    : html`<p class="quiet">${t('None. A terminal or a desktop is opened from a device; it stays open here while you look elsewhere.')} <a href="#/devices">${t('Devices')}</a></p>`}
            </section>
            <section><h2>${t('On all devices')}</h2>
                ${all.length ? html`<div class="wide" tabindex="0" role="region" aria-label=${t('On all devices')}><table><thead><tr>${['Device', 'What', 'Who', 'Open'].map((h) => html`<th scope="col">${t(h)}</th>`)}</tr></thead><tbody>${
                    all.map(({ device, kind, user, n }) => html`<tr><td><a href=${href('device', device.id)}>${mark(device.state, false)}<bdi>${device.label}</bdi></a></td>
                        <td>${t(KINDS[kind] ?? kind)}</td><td><bdi>${shortId(user)}</bdi></td><td>${n}</td></tr>`)}</tbody></table></div>`
                    : html`<p class="quiet">${t('Nobody works on a device that you see.')}</p>`}
            </section>
        </div>`;
    }

    #own(session: TerminalSession | DesktopSession): TemplateResult {
        const device = this.mesh.devices.get(session.deviceId);
        const desktop = 'keyboard' in session;
        return html`<tr>
            <td><a href=${href('device', session.deviceId, desktop ? 'desktop' : 'terminal')}>${icon(desktop ? 'monitor' : 'square-terminal')}<bdi>${device?.label ?? session.deviceId.slice(0, 12)}</bdi></a></td>
            <td>${desktop ? t('Desktop') : t('Terminal')}</td><td title=${session.says || nothing}>${t(STATES[session.state])}</td>
            <td>${session.began && session.running ? duration(Date.now() - session.began) : '–'}</td><td>${size(session.received)}</td><td>${size(session.sent)}</td>
            <td>${session.running ? btn(t('Disconnect'), { kind: 'small', click: () => session.disconnect() })
                : btn(t('Close'), { kind: 'small', click: () => (desktop ? this.mesh.desktops.close(session) : this.mesh.sessions.close(session)) })}</td></tr>`;
    }

    #all(): { device: Device; kind: string; user: string; n: number }[] {
        return [...this.mesh.devices.byId.values()].flatMap((device) => Object.entries(device.sessions).flatMap(([kind, users]) =>
            Object.entries(users).map(([user, n]) => ({ device, kind, user, n }))))
            .sort((a, b) => a.device.label.localeCompare(b.device.label) || a.user.localeCompare(b.user));
    }
}

define('mesh-sessions', MeshSessions);

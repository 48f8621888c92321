// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import type { Running } from '../../state/relays.ts';
import type { DesktopSession } from '../../state/desktop.ts';
import type { ShellSession } from '../../state/shell.ts';
import { SshSession } from '../../state/ssh.ts';
import type { VncSession } from '../../state/vnc.ts';
import { maySeeRecordings } from '../../state/rights.ts';
import { href } from '../../state/route.ts';
import { count, t } from '../../i18n/index.ts';
import { duration, exact, size } from '../../i18n/format.ts';
import { ask } from '../dialogs.ts';
import { define, Part } from '../element.ts';
import { btn, icon, mark } from '../ui.ts';
import { kindOf } from './kinds.ts';

const STATES: Record<ShellSession['state'], string> = {
    asking: 'Opening', waiting: 'Waiting for the device', open: 'Open', ended: 'Ended', failed: 'Failed',
};

/** One's own sessions, then those of all. */
class MeshSessions extends Part {
    #timer: ReturnType<typeof setInterval> | undefined;
    #unwatch = (): void => {};

    protected override begin(): void {
        this.watch(this.mesh.sessions, this.mesh.desktops, this.mesh.vncs, this.mesh.devices, this.mesh.relays);
        this.#unwatch = this.mesh.relays.watch();
        this.#timer = setInterval(this.again, 2000);
    }

    protected override end(): void {
        this.#unwatch();
        clearInterval(this.#timer);
    }

    protected override render(): TemplateResult {
        const mine = [...this.mesh.desktops.list, ...this.mesh.sessions.list, ...this.mesh.vncs.list];
        const running = this.mesh.sessions.running + this.mesh.desktops.running + this.mesh.vncs.running;
        const { all, more, known, error } = this.mesh.relays;

        return html`<div class="sessions">
            <div class="page-head"><h1>${t('Sessions')}</h1><span class="quiet">${mine.length ? count(running, '1 runs in this page', '{n} run in this page') : ''}</span>${
                maySeeRecordings(this.mesh.account.siteRights) ? html`<a class="b keep" href=${href('recordings')}>${t('Recordings')}</a>` : nothing}</div>
            <section><h2>${t('In this page')}</h2>
                ${mine.length ? html`<div class="wide" tabindex="0" role="region" aria-label=${t('In this page')}><table><thead><tr>${['Device', 'What', 'State', 'For', 'Received', 'Sent', ''].map((h) => html`<th scope="col">${
                    h ? t(h) : html`<span class="off-screen">${t('Actions')}</span>`}</th>`)}</tr></thead><tbody>${mine.map((s) => this.#own(s))}</tbody></table></div>`
                    : html`<p class="quiet">${t('None. A terminal or a desktop is opened from a device; it stays open here while you look elsewhere.')} <a href="#/devices">${t('Devices')}</a></p>`}
            </section>
            <section><h2>${t('On all devices')}</h2>
                ${error ? html`<p class="quiet" role="status">${t('This list cannot be read now: {error}', { error })}</p>` : nothing}
                ${all.length ? html`<div class="wide" tabindex="0" role="region" aria-label=${t('On all devices')}><table><thead><tr>${['Device', 'What', 'Who', 'From', 'For', 'Received', 'Sent', ''].map((h) => html`<th scope="col">${
                    h ? t(h) : html`<span class="off-screen">${t('Actions')}</span>`}</th>`)}</tr></thead><tbody>${all.map((r) => this.#running(r))}</tbody></table></div>
                    ${more ? html`<p class="quiet">${t('These are the first {n}; there are more.', { n: all.length })}</p>` : nothing}`
                    : known && !error ? html`<p class="quiet">${t('Nobody works on a device that you see.')}</p>` : nothing}
            </section>
        </div>`;
    }

    #own(session: ShellSession | DesktopSession | VncSession): TemplateResult {
        const device = this.mesh.devices.get(session.deviceId);
        const [tab, kind, i] = 'keyboard' in session ? ['desktop', t('Desktop'), 'monitor'] as const
            : 'channel' in session ? ['vnc', t('VNC'), 'monitor'] as const : ['terminal', session instanceof SshSession ? t('SSH') : t('Terminal'), 'square-terminal'] as const;
        const close = (): void => 'keyboard' in session ? this.mesh.desktops.close(session)
            : 'channel' in session ? this.mesh.vncs.close(session) : this.mesh.sessions.close(session);
        return html`<tr>
            <td><a href=${href('device', session.deviceId, tab)}>${icon(i)}<bdi>${device?.label ?? session.deviceId.slice(0, 12)}</bdi></a></td>
            <td>${kind}</td><td title=${session.says || nothing}>${t(STATES[session.state])}</td>
            <td>${session.began && session.running ? duration(Date.now() - session.began) : '–'}</td><td>${size(session.received)}</td><td>${size(session.sent)}</td>
            <td>${session.running ? btn(t('Disconnect'), { kind: 'small', click: () => session.disconnect() })
                : btn(t('Close'), { kind: 'small', click: close })}</td></tr>`;
    }

    #running(r: Running): TemplateResult {
        const device = this.mesh.devices.get(r.deviceId);
        const kind = t(kindOf(r.protocol, r.kind));

        return html`<tr>
            <td>${device ? html`<a href=${href('device', r.deviceId)}>${mark(device.state, false)}<bdi>${device.label}</bdi></a>` : r.deviceId.slice(0, 12)}</td>
            <td>${kind}${r.target ? html` <span class="quiet">${r.target}</span>` : nothing}</td><td><bdi>${r.userName}</bdi>${r.userId === this.mesh.account.id ? html` <span class="quiet">${t('(you)')}</span>` : nothing}</td>
            <td>${r.address}</td><td title=${exact(r.since)}>${duration(Math.max(0, Date.now() - r.since))}</td><td>${size(r.received)}</td><td>${size(r.sent)}</td>
            <td>${r.endable ? btn(t('End'), { kind: 'small', click: () => this.#end(r, kind, device?.label ?? '') }) : nothing}</td></tr>`;
    }

    #end(r: Running, kind: string, device: string): void {
        void ask({
            title: t('End this session?'), yes: t('End the session'), danger: true,
            body: html`<p>${t('{kind} of {who} on {device}. What runs in it is cut off; the event log says that you ended it.', { kind, who: r.userName, device })}</p>`,
            run: () => this.mesh.relays.finish(r.id),
        });
    }
}

define('mesh-sessions', MeshSessions);

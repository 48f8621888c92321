// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, type TemplateResult } from 'lit';
import { Events } from '../../state/events.ts';
import { t } from '../../i18n/index.ts';
import { define, Part } from '../element.ts';
import { rows } from '../events/rows.ts';
import { btn, note } from '../ui.ts';

const FIRST = 200;
const MOST = 10_000;

/** What happened to one device. */
class MeshDeviceEvents extends Part {
    static override properties = { deviceId: { type: String } };
    declare deviceId: string;
    #log: Events | null = null;
    #open = '';
    #limit = FIRST;

    protected override end(): void {
        this.#log?.stop();
        this.#log = null;
    }

    protected override willUpdate(): void {
        const nodeid = this.mesh.account.nodeId(this.deviceId);
        if (this.#log?.nodeid !== nodeid && this.isConnected) {
            this.#log?.stop();
            this.#log = new Events(this.mesh.control, nodeid);
            this.#log.addEventListener('change', this.again);
            this.#limit = FIRST;
            this.#log.start(this.#limit);
        }
    }

    protected override render(): TemplateResult {
        const log = this.#log;

        if (!log?.loaded) {
            return html`<div class="loading" role="status"><span class="off-screen">${t('Loading')}</span></div>`;
        }
        if (log.error) {
            return html`<div class="pad">${note('fault', 'circle-alert', log.error, true)}</div>`;
        }
        if (!log.list.length) {
            return html`<div class="nothing">${t('Nothing has happened to this device yet.')}</div>`;
        }
        return html`<div class="events">${rows({ events: log.list, open: this.#open, here: true, toggle: (key) => {
            this.#open = this.#open === key ? '' : key;
            this.requestUpdate();
        } })}${log.list.length >= this.#limit && this.#limit < MOST ? html`<p class="further">${btn(t('Show older ones'), { click: () => {
            this.#limit = Math.min(MOST, this.#limit * 4);
            void log.load(this.#limit);
        } })}</p>` : ''}</div>`;
    }
}

define('mesh-device-events', MeshDeviceEvents);

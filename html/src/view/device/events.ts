// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, type TemplateResult } from 'lit';
import { Events } from '../../state/events.ts';
import { t } from '../../i18n/index.ts';
import { define, Part } from '../element.ts';
import { older, rows } from '../events/rows.ts';
import { loading, note } from '../ui.ts';

const FIRST = 200;

/** What happened to one device. */
class MeshDeviceEvents extends Part {
    static override properties = { deviceId: { type: String } };
    declare deviceId: string;
    #log: Events | null = null;
    #open = '';

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
            this.#log.start(FIRST);
        }
    }

    protected override render(): TemplateResult {
        const log = this.#log;

        if (!log?.loaded) {
            return loading();
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
        } })}${older(log)}</div>`;
    }
}

define('mesh-device-events', MeshDeviceEvents);

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, render } from 'lit';
import { count, t } from '../../i18n/index.ts';
import { devicesOf } from '../verbs.ts';
import './run.ts';

interface DialogElement extends HTMLElement {
    open: boolean;
}

/** Runs a command on devices selected in the list; stays open for what they answer. */
export function runOn(ids: readonly string[]): void {
    const host = document.createElement('div');
    const list = devicesOf(ids);
    const off = list.filter((device) => !(device.conn & 1)).length;
    const dialog = (): DialogElement | null => host.querySelector<DialogElement>('wa-dialog');
    const title = list.length === 1 ? t('Run on {name}', { name: list[0]?.label ?? '' }) : count(list.length, 'Run on 1 device', 'Run on {n} devices');

    document.body.append(host);
    render(html`<wa-dialog class="question wide" label=${title} without-header @wa-after-hide=${(e: Event) => {
        if (e.target === dialog()) {
            render(nothing, host);
            host.remove();
        }
    }}>
        <h2>${title}</h2>
        ${off ? html`<p class="quiet">${count(off, '1 of them is off and is left out.', '{n} of them are off and are left out.')}</p>` : nothing}
        <mesh-run .deviceIds=${[...ids]}></mesh-run>
        <wa-button slot="footer" appearance="outlined" size="s" @click=${() => {
            const el = dialog();
            if (el) {
                el.open = false;
            }
        }}>${t('Close')}</wa-button>
    </wa-dialog>`, host);
    requestAnimationFrame(() => {
        const el = dialog();
        if (el) {
            el.open = true;
            setTimeout(() => el.querySelector<HTMLElement>('textarea')?.focus(), 60);
        }
    });
}

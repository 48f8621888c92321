// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import type { Device } from '../../state/devices.ts';
import { shortId } from '../../wire/bytes.ts';
import { count, listed, t } from '../../i18n/index.ts';
import { duration, exact } from '../../i18n/format.ts';
import { STATES } from '../ui.ts';

const KINDS: Record<string, string> = { kvm: 'Desktop', terminal: 'Terminal', files: 'Files', tcp: 'TCP', udp: 'UDP', msg: 'Chat' };

/** `mei in the terminal, oona at the files`; who works on a device now. */
export function sessionWords(device: Device): string {
    const places: Record<string, string> = { kvm: 'at the desktop', terminal: 'in the terminal', files: 'at the files', tcp: 'through TCP', udp: 'through UDP' };
    const said = Object.entries(device.sessions).filter(([kind]) => places[kind]).map(([kind, users]) =>
        `${listed(Object.keys(users).map(shortId))} ${t(places[kind] ?? '')}`);
    return said.join(', ');
}

/** What stands in the state column. */
export function said(device: Device, now = Date.now()): TemplateResult {
    const since = device.conn ? device.since : device.seen;
    const long = since ? duration(now - since) : '';

    if (device.state === 'attention') {
        return html`<span class="w-warn">${t('Reconnected {n} times in 1 h', { n: device.flaps.length })}</span>`;
    }
    if (device.state === 'fault') {
        return html`<span class="w-fault">${device.refused}</span>`;
    }
    if (device.state === 'online') {
        const kinds = Object.entries(device.sessions).filter(([kind]) => KINDS[kind]);
        if (kinds.length) {
            const n = kinds.reduce((sum, [, users]) => sum + Object.values(users).reduce((a, b) => a + b, 0), 0);
            const users = new Set(kinds.flatMap(([, list]) => Object.keys(list)));
            return html`<span class="busy" title=${sessionWords(device)}>${n === 1
                ? html`${t(KINDS[kinds[0]?.[0] ?? ''] ?? '')}: <bdi>${shortId([...users][0] ?? '')}</bdi>` : count(n, '1 session', '{n} sessions')}</span>`;
        }
        return html`<span class="quiet" title=${exact(since)}>${t('Online')}${long ? html`<span class="since">${long}</span>` : nothing}</span>`;
    }
    const word = device.state === 'standby' ? t('Can be woken') : t(STATES[device.state].word);
    return html`<span class="w-${STATES[device.state].tone}" title=${exact(since)}>${word}</span>${
        long && device.state !== 'unknown' ? html`<span class="since">${long}</span>` : nothing}`;
}

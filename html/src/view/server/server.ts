// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, svg, type TemplateResult } from 'lit';
import { href } from '../../state/route.ts';
import { maySeeServer } from '../../state/rights.ts';
import type { Refused, Sample, Status } from '../../state/server.ts';
import { shortId } from '../../wire/bytes.ts';
import { count, num, t } from '../../i18n/index.ts';
import { clockOf, dateOf, duration, exact, size } from '../../i18n/format.ts';
import { define, Part } from '../element.ts';
import { icon, loading, mark, note, time, type Mark } from '../ui.ts';
import { refusedCause, refusedWords } from './reasons.ts';

const DAY = 86_400_000;
/** A certificate that ends so soon is worth a look. */
const SOON = 21 * DAY;
const WIDTH = 300;
const HEIGHT = 56;

interface Chart {
    name: string;
    unit: string;
    /** One value a sample; null where it cannot be told. */
    of: (now: Sample, before: Sample | undefined) => number | null;
    show?: (value: number) => string;
}

const rate = (now: Sample, before: Sample | undefined, of: (s: Sample) => number): number | null => {
    const seconds = before ? (now.at - before.at) / 1000 : 0;
    const grown = before ? of(now) - of(before) : 0;
    return seconds > 0 && grown >= 0 ? grown / seconds : null;
};
const gauge = (name: string) => (s: Sample): number => s.gauges[name] ?? 0;
const short = (n: number): string => (n >= 100 || Number.isInteger(n) ? num(Math.round(n)) : n.toFixed(n >= 10 ? 0 : 1));

const CHARTS: Chart[] = [
    { name: 'Agents connected', unit: '', of: gauge('agents') },
    { name: 'Browsers', unit: '', of: gauge('browsers') },
    { name: 'Sessions', unit: '', of: gauge('relays') },
    { name: 'Received', unit: 'a second', of: (now, before) => rate(now, before, (s) => s.counters['bytes_in'] ?? 0), show: size },
    { name: 'Handshakes', unit: 'a second', of: (now, before) => rate(now, before, (s) => (s.counters['handshakes'] ?? 0) + (s.counters['handshakes_skipped'] ?? 0)) },
    { name: 'Database', unit: 'ms', of: (s) => s.dbLatency / 1000 },
    { name: 'Signer', unit: 'ms', of: (s) => s.signerLatency / 1000 },
    { name: 'Messages', unit: 'a second', of: (now, before) => rate(now, before, (s) => s.counters['messages_in'] ?? 0) },
];

/** How the server is: what is wrong first, then figures, then tables. */
class MeshServer extends Part {
    #stop: (() => void) | null = null;

    protected override begin(): void {
        this.watch(this.mesh.server, this.mesh.account, this.mesh.devices);
        this.#stop = maySeeServer(this.mesh.account.siteRights) ? this.mesh.server.watch() : null;
    }

    protected override end(): void {
        this.#stop?.();
        this.#stop = null;
    }

    protected override render(): TemplateResult {
        const { status, error, samples } = this.mesh.server;

        if (!maySeeServer(this.mesh.account.siteRights)) {
            return html`<div class="gone"><h1>${t('Server')}</h1><p>${t('This account may not see it.')}</p></div>`;
        }
        if (!status) {
            return html`<div class="server"><div class="page-head"><h1>${t('Server')}</h1></div>${error ? html`<div class="pad">${note('fault', 'circle-alert', error, true)}</div>`
                : loading()}</div>`;
        }
        return html`<div class="server">
            <div class="page-head"><h1>${t('Server')}</h1><span class="quiet">${[
                this.mesh.account.serverName, t('version {v}', { v: status.version }), status.nginx ? `nginx ${status.nginx}` : '',
                t('running for {time}', { time: duration(status.now - status.started, 2) }),
            ].filter(Boolean).join(' · ')}</span></div>
            ${error ? html`<div class="pad">${note('warn', 'triangle-alert', html`<b>${t('The figures are old.')}</b> ${error}`)}</div>` : nothing}
            ${this.#wrong(status).map((text) => html`<div class="note warn one">${icon('triangle-alert')}<span>${text}</span></div>`)}
            <div class="charts" role="group" aria-label=${t('The last minutes')}>${CHARTS.map((chart) => drawn(chart, samples))}</div>
            ${this.#refused(status)}
            <div class="two">
                ${this.#workers(status)}
                ${this.#counters(status)}
                ${this.#health(status)}
            </div>
        </div>`;
    }

    #wrong(status: Status): (TemplateResult | string)[] {
        const held = status.refused.filter((r) => r.held).length;
        const out: (TemplateResult | string)[] = [];

        if (!status.db.up) {
            out.push(html`<b>${t('The database is away.')}</b> ${t('What needs it fails until it is back; agents and sessions stay. Look at its log and at the one of nginx.')}`);
        }
        if (!status.signer.up) {
            out.push(html`<b>${t('mesh-signer is away.')}</b> ${t('No new agent can come in until it is back. Start it: systemctl start mesh-signer.')}`);
        }
        if (held) {
            out.push(html`<b>${count(held, '1 agent is refused.', '{n} agents are refused.')}</b> ${t('Below is who, why, and what to do.')}`);
        }
        for (const c of status.certificates.filter((cert) => !cert.old && cert.expires && cert.expires - Date.now() < SOON)) {
            out.push(html`<b><bdi>${c.subject}</bdi></b> ${c.expires < Date.now() ? t('has ended.') : t('ends in {time}.', { time: duration(c.expires - Date.now()) })}`);
        }
        return out;
    }

    #refused(status: Status): TemplateResult | typeof nothing {
        if (!status.refused.length) {
            return nothing;
        }
        return html`<section class="refused"><h2>${t('Refused agents')}<span class="sub">${t('newest first')}</span></h2><ul>${
            [...status.refused].sort((a, b) => b.last - a.last).map((r) => this.#one(r))}</ul></section>`;
    }

    #one(r: Refused): TemplateResult {
        const device = r.nodeid ? this.mesh.devices.get(shortId(r.nodeid)) : undefined;
        return html`<li>${mark(r.held ? 'fault' : 'offline', false)}<div>
            <b>${device ? html`<a href=${href('device', device.id)}><bdi>${device.label}</bdi></a>` : html`<bdi>${r.name || r.address}</bdi>`}</b>
            <span>${refusedWords(r)}</span> <span class="quiet">${r.address}${r.count > 1 ? ` · ${count(r.count, 'once', '{n} times')}` : ''} · ${time(r.last)} · ${
            r.held ? t('held') : t('gone')}</span>
            <small>${refusedCause(r)}</small>
            ${r.hash ? html`<small>${t('It saw the certificate')} <code>${r.hash.slice(0, 32)}…</code></small>` : nothing}</div></li>`;
    }

    #workers(status: Status): TemplateResult {
        const g = (w: Status['workers'][number], name: string): string => num(w.gauges[name] ?? 0);
        return html`<section tabindex="0" role="region" aria-label=${t('Workers')}><h2>${t('Workers')}</h2><table><thead><tr>${
            ['Process', 'Agents', 'Browsers', 'Sessions', 'Since', 'State'].map((h) => html`<th scope="col">${t(h)}</th>`)}</tr></thead>
            <tbody>${status.workers.map((w) => html`<tr><td>${w.pid}</td><td>${g(w, 'agents')}</td><td>${g(w, 'browsers')}</td><td>${g(w, 'relays')}</td>
                <td title=${exact(w.started)}>${duration(status.now - w.started)}</td><td>${w.draining ? t('draining') : t('working')}</td></tr>`)}</tbody></table></section>`;
    }

    #counters(status: Status): TemplateResult {
        const shown = Object.entries(status.counters).filter(([, n]) => n).sort(([a], [b]) => a.localeCompare(b));
        return html`<section class="span" tabindex="0" role="region" aria-label=${t('Counters')}><h2>${t('Counters')}<span class="sub">${t('since the start; zeros left out')}</span></h2>
            <table class="counters"><thead><tr><th scope="col">${t('Counter')}</th><th scope="col">${t('What it counts')}</th><th scope="col">${t('Value')}</th></tr></thead>
            <tbody>${shown.map(([name, n]) => html`<tr><td><code>${name}</code></td><td>${status.help[name] ?? ''}</td><td>${num(n)}</td></tr>`)}</tbody></table></section>`;
    }

    #health(status: Status): TemplateResult {
        const items: [Mark, string, string][] = [
            [status.db.up ? 'online' : 'fault', t('Database'), status.db.up ? [status.db.type, status.db.queue ? count(status.db.queue, '1 request waits', '{n} requests wait') : '',
                status.db.latency ? t('{n} ms a request', { n: short(status.db.latency / 1000) }) : ''].filter(Boolean).join(', ') : t('away')],
            [status.signer.up ? 'online' : 'fault', t('mesh-signer'), status.signer.up ? [status.signer.queue ? count(status.signer.queue, '1 request waits', '{n} requests wait') : t('nothing waits'),
                status.signer.latency ? t('{n} ms a signature', { n: short(status.signer.latency / 1000) }) : ''].filter(Boolean).join(', ') : t('away')],
            ...status.certificates.map((c): [Mark, string, string] => [c.old ? 'offline' : c.expires && c.expires - Date.now() < SOON ? 'attention' : 'online',
                `${c.rsa ? 'RSA' : 'ECDSA'} ${t('certificate')}`, `${c.subject}${c.expires ? `, ${t('to {date}', { date: dateOf(c.expires) })}` : ''}${c.old ? `, ${t('replaced, still taken')}` : ''}`]),
            [status.zone.freepages > 16 ? 'online' : 'attention', t('Shared memory'), t('{size}, {n} pages free', { size: size(status.zone.size), n: num(status.zone.freepages) })],
            ['online', t('Started'), `${dateOf(status.started)}, ${clockOf(status.started)}`],
        ];
        return html`<section><h2>${t('Health')}</h2><ul class="health">${items.map(([s, k, v]) => html`<li>${mark(s)}<b>${k}</b><span><bdi>${v}</bdi></span></li>`)}</ul></section>`;
    }
}

/** One line, the last value in large type. */
function drawn(chart: Chart, samples: readonly Sample[]): TemplateResult {
    const values = samples.map((s, i) => chart.of(s, samples[i - 1]));
    const known = values.filter((v): v is number => v !== null);
    const top = Math.max(1, ...known) * 1.1;
    const last = known.at(-1);
    const y = (v: number): number => HEIGHT - 2 - (v / top) * (HEIGHT - 4);
    const step = WIDTH / Math.max(1, samples.length - 1);
    let line = '';
    let begun = -1;

    values.forEach((v, i) => {
        if (v !== null) {
            line += `${begun < 0 ? 'M' : 'L'}${(i * step).toFixed(1)} ${y(v).toFixed(1)}`;
            begun = begun < 0 ? i : begun;
        }
    });
    const [value = '–', unit = ''] = last === undefined ? [] : chart.show ? chart.show(last).split('\u00a0') : [short(last)];
    const words = [unit, t(chart.unit)].filter(Boolean).join(' ');

    return html`<figure><figcaption>${t(chart.name)}</figcaption><p><b>${value}</b><span>${words}</span></p>
        <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${t('{name}, now {value}', { name: t(chart.name), value: `${value} ${words}` })}>
            <path class="base" d="M0 ${HEIGHT - 0.5}H${WIDTH}"/>${known.length > 1 ? svg`<path class="area" d="${line}L${(samples.length - 1) * step} ${HEIGHT}L${begun * step} ${HEIGHT}z"/><path
            class="line" d=${line}/>` : nothing}</svg>
        <small class="axis"><span>${samples[0] ? clockOf(samples[0].at) : ''}</span><span>${t('now')}</span></small></figure>`;
}

define('mesh-server', MeshServer);

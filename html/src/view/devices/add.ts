// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import type { AgentBinary } from '../../wire/http.ts';
import type { Device } from '../../state/devices.ts';
import { href } from '../../state/route.ts';
import { has, R } from '../../state/rights.ts';
import { installCommand, PLATFORMS, PRODUCTS, productsOf, type Platform, type Product } from '../../state/install.ts';
import { t } from '../../i18n/index.ts';
import { size } from '../../i18n/format.ts';
import { define, Part } from '../element.ts';
import { btn, copy, errorText, icon, mark, note } from '../ui.ts';
import { newGroup } from '../verbs.ts';

/** How a device is added: the whole page when there is none yet, else a dialog. */
class MeshAdd extends Part {
    static override properties = { first: { type: Boolean }, group: { type: String } };
    declare first: boolean;
    declare group: string;
    #platform: Platform = 'linux';
    #tool: 'curl' | 'wget' = 'curl';
    #asked: Product = 'own';
    #agents: AgentBinary[] | null = null;
    #error = '';
    #chosen = '';
    #known = new Set<string>();
    #came: Device | null = null;
    #making = false;

    protected override begin(): void {
        this.watch(this.mesh.groups, this.mesh.account);
        this.listen(this.mesh.devices, 'change', () => this.#look());
        this.#known = new Set(this.mesh.devices.byId.keys());
        void this.#load();
    }

    async #load(): Promise<void> {
        try {
            this.#agents = await this.mesh.http.agents();
        } catch (error) {
            this.#error = errorText(error);
        }
        this.requestUpdate();
        await this.#ensureGroup();
    }

    /** Nobody who adds a first device should have to know of groups. */
    async #ensureGroup(): Promise<void> {
        if (!this.first || this.mesh.groups.byId.size || this.#making) {
            return;
        }
        this.#making = true;
        try {
            const name = t('My devices');
            this.mesh.groups.made(await this.mesh.actions.ask('createmesh', { meshname: name, meshtype: 2 }), name);
        } catch (error) {
            this.#error = errorText(error);
        }
        this.#making = false;
        this.requestUpdate();
    }

    #look(): void {
        for (const [id, device] of this.mesh.devices.byId) {
            if (!this.#known.has(id)) {
                this.#known.add(id);
                this.#came = device;
            }
        }
        this.requestUpdate();
    }

    get #groups(): { id: string; name: string }[] {
        return this.mesh.groups.sorted().filter((group) => has(this.mesh.groups.rights(group.id), R.MANAGE_DEVICES));
    }

    get #groupId(): string {
        return this.#chosen || this.group || this.#groups[0]?.id || '';
    }

    /** What is offered for the chosen system. */
    get #offered(): AgentBinary[] {
        return (this.#agents ?? []).filter((agent) => PLATFORMS[this.#platform].fits(agent.id));
    }

    get #product(): Product {
        const products = productsOf(this.#offered);
        return products.includes(this.#asked) ? this.#asked : products[0] ?? 'stock';
    }

    protected override firstUpdated(): void {
        if (!this.first) {
            const dialog = this.querySelector<HTMLElement & { open: boolean }>('wa-dialog');
            requestAnimationFrame(() => {
                if (dialog) {
                    dialog.open = true;
                }
            });
        }
    }

    protected override render(): TemplateResult {
        if (this.first) {
            return html`<div class="empty"><section><h1>${t('Add the first device')}</h1>${this.#body()}</section></div>`;
        }
        return html`<wa-dialog class="question wide add" label=${t('Add a device')} without-header light-dismiss @wa-after-hide=${(e: Event) => {
            if ((e.target as Element).localName === 'wa-dialog') {
                this.dispatchEvent(new Event('close'));
            }
        }}>
            <h2>${t('Add a device')}</h2>
            <div class="adding">${this.#body()}</div>
            <wa-button slot="footer" appearance="outlined" size="s" autofocus @click=${() => {
                const dialog = this.querySelector<HTMLElement & { open: boolean }>('wa-dialog');
                if (dialog) {
                    dialog.open = false;
                }
            }}>${this.#came ? t('Done') : t('Close')}</wa-button>
        </wa-dialog>`;
    }

    #body(): TemplateResult {
        const groups = this.#groups;
        const group = this.mesh.groups.get(this.#groupId);

        if (!groups.length) {
            return this.#making || !this.mesh.groups.loaded ? html`<p class="quiet">${t('One moment.')}</p>` : html`
                ${this.#error ? note('fault', 'circle-alert', this.#error, true) : nothing}
                <p>${t('A device belongs to a group, and there is none that devices may be added to.')}</p>
                <p>${btn(t('Make a group…'), { i: 'folder-plus', kind: 'primary', click: () => void newGroup() })}</p>`;
        }
        return html`
            <p>${t('Run this on the machine that is to be reached. It goes into the group')} <b><bdi>${group?.name ?? ''}</bdi></b>.</p>
            <div class="choice">
                <div class="seg words" role="group" aria-label=${t('System')}>${Object.entries(PLATFORMS).map(([id, { name }]) => html`<button type="button"
                    aria-pressed=${String(id === this.#platform)} @click=${() => {
                        this.#platform = id as Platform;
                        this.requestUpdate();
                    }}>${name}</button>`)}</div>
                ${productsOf(this.#offered).length > 1 ? html`<div class="seg words" role="group" aria-label=${t('Agent')}>${
                    productsOf(this.#offered).map((product) => html`<button type="button" aria-pressed=${String(product === this.#product)} @click=${() => {
                        this.#asked = product;
                        this.requestUpdate();
                    }}>${PRODUCTS[product].name}</button>`)}</div>` : nothing}
                ${groups.length > 1 ? html`<label class="pick">${t('Group')}<select @change=${(e: Event) => {
                    this.#chosen = (e.target as HTMLSelectElement).value;
                    this.requestUpdate();
                }}>${groups.map((g) => html`<option value=${g.id} ?selected=${g.id === this.#groupId}>${g.name}</option>`)}</select></label>` : nothing}
            </div>
            ${this.#error ? note('fault', 'circle-alert', this.#error, true) : nothing}
            ${this.#agents && !this.#agents.length ? note('warn', 'triangle-alert', html`${
                t('This server offers no agent yet. Put agent binaries into the folder that nginx names in')} <code>mesh_agents</code>${
                t(', named by their number: 6 for Linux x86-64.')}`) : nothing}
            ${this.#platform === 'linux' ? this.#linux() : this.#downloads()}
            <div class="waiting ${this.#came ? 'came' : ''}" role="status">${this.#came
                ? html`${mark(this.#came.state, false)}<span><b><bdi>${this.#came.label}</bdi></b> ${t('is here.')}</span><a class="b small primary"
                    href=${href('device', this.#came.id)}>${t('Open it')}</a>`
                : html`${mark('connecting', false)}<span>${this.first ? t('Waiting for the first device. It will show up here by itself.')
                    : t('Waiting for the device. It will show up here by itself.')}</span>`}</div>`;
    }

    #linux(): TemplateResult {
        const base = new URL('.', document.baseURI).href;
        const product = this.#product;
        const agents = this.#offered.filter((agent) => agent.product === product);
        const command = installCommand({
            base, group: this.#groupId, tool: this.#tool, product, ids: agents.map((agent) => agent.id), pins: this.mesh.info?.pins ?? [],
        });
        const host = location.hostname;
        const agent = agents.find((a) => a.id === 6) ?? agents[0];

        return html`<div class="command"><code tabindex="0" role="region" aria-label=${t('Command')}>${command}</code>${btn(t('Copy'), {
                i: 'copy', kind: 'primary', click: (e) => void copy(command, e),
            })}</div>
            <dl class="facts">
                <dt>${t('Needs')}</dt><dd>${this.#tool === 'curl' ? html`root, and curl · <button type="button" class="link" @click=${() => {
                    this.#tool = 'wget';
                    this.requestUpdate();
                }}>${t('with wget instead')}</button>` : html`root, and wget · <button type="button" class="link" @click=${() => {
                    this.#tool = 'curl';
                    this.requestUpdate();
                }}>${t('with curl instead')}</button>`}</dd>
                <dt>${t('Installs')}</dt><dd><code>${PRODUCTS[product].program}</code> ${t('and one service')}${agent ? `; ${size(agent.size)}` : ''}</dd>
                <dt>${t('Calls')}</dt><dd>${host}, ${t('port {n}, nothing else', { n: location.port || 443 })}</dd>
                <dt>${t('Removes with')}</dt><dd><code>${PRODUCTS[product].remove}</code></dd>
            </dl>`;
    }

    #downloads(): TemplateResult {
        const product = this.#product;
        const agents = this.#offered.filter((agent) => agent.product === product);
        const group = this.#groupId;

        return html`<ol class="todo-list">
            <li>${t('Download the agent')}:
                ${agents.length ? html`<span class="downloads">${agents.map((agent) => html`<a class="b" download href=${this.mesh.http.url(`meshagents?id=${agent.id}&product=${product}${
                    this.#platform === 'windows' ? `&meshid=${encodeURIComponent(group)}` : ''}`)}>${icon('download')}<span>${agent.name}</span><small>${size(agent.size)}</small></a>`)}</span>`
                    : html`<span class="quiet">${t('There is none for this system in the folder of agents.')}</span>`}</li>
            <li>${t('Download the settings of the group')}: <span class="downloads"><a class="b" download="meshagent.msh" href=${
                this.mesh.http.url(`meshsettings?id=${encodeURIComponent(group)}`)}>${icon('download')}<span>meshagent.msh</span></a></span></li>
            <li>${product === 'own' ? html`${t('Put both into one folder, and run there as root')}: <code>chmod +x mesh-agent &amp;&amp; ./mesh-agent install --policy=meshagent.msh</code>`
                : this.#platform === 'windows' ? html`${t('Put both into one folder, name the settings as the agent is named, and run as administrator')}: <code>meshagent.exe -fullinstall</code>`
                : html`${t('Put both into one folder, name the settings as the agent is named, and run as root')}: <code>chmod +x meshagent &amp;&amp; ./meshagent -fullinstall</code>`}</li>
        </ol>`;
    }
}

define('mesh-add', MeshAdd);

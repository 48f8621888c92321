// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import { num, t } from '../i18n/index.ts';
import { clockSeconds, exact } from '../i18n/format.ts';
import { mayInvite, maySeeServer } from '../state/rights.ts';
import { href, parseRoute, type Route } from '../state/route.ts';
import { refusedWords } from './server/reasons.ts';
import { define, Part } from './element.ts';
import type { IconName } from './icons.ts';
import { logo } from './logo.ts';
import { peerName } from './messenger/name.ts';
import { btn, icon, loading, mark, notLoaded } from './ui.ts';
import './door/door.ts';
import './devices/devices.ts';

/** Pages that load when they are opened. */
const LATE: Record<string, () => Promise<unknown>> = {
    device: () => import('./device/device.ts'),
    groups: () => import('./groups/groups.ts'),
    sessions: () => import('./sessions/sessions.ts'),
    recordings: () => import('./recordings/recordings.ts'),
    events: () => import('./events/events.ts'),
    server: () => import('./server/server.ts'),
    account: () => import('./account/account.ts'),
    messenger: () => import('./messenger/messenger.ts'),
};

const TITLES: Record<string, string> = {
    devices: 'Devices', device: 'Device', groups: 'Groups', sessions: 'Sessions', recordings: 'Recordings', events: 'Events', server: 'Server', account: 'Account', messenger: 'Chat',
};

class MeshApp extends Part {
    #route: Route = parseRoute(location.hash);
    #ready = new Set<string>(['devices']);
    #palette = false;
    #tick: ReturnType<typeof setInterval> | undefined;
    #stopWatch: (() => void) | null = null;
    #failed = '';
    #shown = '';

    protected override begin(): void {
        this.watch(this.mesh, this.mesh.account, this.mesh.sessions, this.mesh.desktops, this.mesh.vncs, this.mesh.chats, this.mesh.toasts);
        this.listen(window, 'hashchange', () => this.#go());
        this.listen(window, 'keydown', (e: KeyboardEvent) => this.#key(e));
        this.listen(window, 'online', () => this.mesh.control.hurry());
        this.listen(document, 'visibilitychange', () => {
            if (!document.hidden) {
                this.mesh.control.hurry();
            }
        });
        this.listen(this.mesh.control, 'state', () => this.#state());
        this.listen(this.mesh.account, 'change', () => this.#watchServer());
        this.listen(this.mesh.server, 'change', () => {
            this.mesh.devices.refused(this.mesh.server.refusedDevices(refusedWords));
        });
        this.listen(this, 'palette', () => this.#openPalette());
        this.#go();
    }

    protected override end(): void {
        clearInterval(this.#tick);
    }

    /** Who may see the server also sees in the list which devices it refuses. */
    #watchServer(): void {
        const may = maySeeServer(this.mesh.account.siteRights) && this.mesh.control.state.kind === 'live';
        if (may && !this.#stopWatch) {
            this.#stopWatch = this.mesh.server.watch();
        } else if (!may && this.#stopWatch) {
            this.#stopWatch();
            this.#stopWatch = null;
        }
    }

    #state(): void {
        clearInterval(this.#tick);
        if (this.mesh.control.state.kind === 'waiting') {
            this.#tick = setInterval(() => this.requestUpdate(), 1000);
        }
        this.#watchServer();
    }

    #go(): void {
        this.#route = parseRoute(location.hash);
        this.#palette = false;
        const page = this.#page;
        const late = LATE[page];
        this.#failed = '';

        if (late && !this.#ready.has(page)) {
            late().then(() => {
                this.#ready.add(page);
                this.requestUpdate();
            }, () => {
                this.#failed = page;
                this.requestUpdate();
            });
        }
        this.requestUpdate();
    }

    get #page(): string {
        const page = this.#route.parts[0] ?? 'devices';
        return page in TITLES ? page : 'devices';
    }

    /** Somebody at a device, who was invited and has no account. */
    get #visits(): boolean {
        return this.#page === 'messenger' && this.#route.parts.length === 3 && this.#route.query.has('auth');
    }

    #messenger(): TemplateResult {
        const [, called = '', caller = ''] = this.#route.parts;
        return html`<mesh-messenger .called=${called} .caller=${caller} .ticket=${this.#route.query.get('auth') ?? ''}></mesh-messenger>`;
    }

    get #place(): string {
        const page = this.#page;
        return page === 'device' || page === 'groups' ? 'devices' : page === 'recordings' ? 'sessions' : page;
    }

    #openPalette(): void {
        void import('./palette/palette.ts').then(() => {
            this.#palette = true;
            this.requestUpdate();
        });
    }

    #key(e: KeyboardEvent): void {
        if ((e.ctrlKey || e.metaKey) && !e.altKey && !e.shiftKey && e.key.toLowerCase() === 'k' && this.mesh.door === 'in') {
            // a terminal has its own Ctrl-K; there the palette is on the bar
            if ((e.target as Element).closest?.('.xterm') && !e.metaKey) {
                return;
            }
            e.preventDefault();
            this.#openPalette();
        }
    }

    protected override render(): TemplateResult {
        const { door } = this.mesh;
        const setup = this.#route.parts[0] === 'setup';

        if (this.#visits) {
            return html`<main id="page" class="p-messenger" tabindex="-1">${this.#failed ? notLoaded() : this.#ready.has('messenger') ? this.#messenger() : loading()}</main>`;
        }
        if (door === 'opening') {
            return html`<div class="opening" role="status">${mark('connecting', false)}<span class="off-screen">${t('Opening')}</span></div>`;
        }
        if (door === 'unreachable') {
            return html`<div class="opening" role="status">${mark('connecting', false)}<span>${
                t('The server does not answer. Trying again every three seconds.')}</span></div>`;
        }
        if (door === 'out' || (setup && this.mesh.info?.setup && !this.mesh.info.user)) {
            return html`<mesh-door .setup=${setup} .token=${this.#route.parts[1] ?? ''}></mesh-door>`;
        }
        return html`${this.#frame()}
            ${this.#palette ? html`<mesh-palette @close=${() => {
                this.#palette = false;
                this.requestUpdate();
            }}></mesh-palette>` : nothing}
            <div class="toasts" role="region" aria-label=${t('Notices')}>${this.mesh.chats.invitations.map((invitation) => html`<div class="toast invitation"
                role="alert">${icon('message-square')}<span><bdi>${invitation.title}</bdi> ${t('asks for a conversation')}</span>${
                btn(t('Accept'), { kind: 'small', click: () => {
                    const chat = this.mesh.chats.accept(invitation);
                    location.hash = href('messenger', chat.called, chat.caller);
                } })}${btn(t('Refuse'), { kind: 'small', click: () => this.mesh.chats.refuse(invitation) })}</div>`)}${this.#calls()}${this.mesh.toasts.list.map((toast) => html`<div class="toast"
                role=${toast.tone === 'fault' ? 'alert' : 'status'}>${mark(toast.tone, false)}<span>${toast.text}</span>${
                toast.action ? btn(toast.action.label, { kind: 'small', click: () => {
                    this.mesh.toasts.dismiss(toast.id);
                    toast.action?.run();
                } }) : nothing}${btn('', { i: 'x', kind: 'bare small', name: t('Dismiss'), click: () => this.mesh.toasts.dismiss(toast.id) })}</div>`)}</div>`;
    }

    /** Calls of conversations that are not looked at: heard, and at hand. */
    #calls(): TemplateResult[] {
        const [page, called, caller] = this.#route.parts;
        const elsewhere = this.mesh.chats.list.filter((chat) => chat.call.state !== 'none' && !(page === 'messenger' && chat.called === called && chat.caller === caller));

        return elsewhere.map((chat) => {
            const { call } = chat;
            const asked = call.state === 'asked';
            const name = peerName(chat.peer, chat);
            return html`<div class="toast" role=${asked ? 'alert' : 'status'}>${icon(call.media === 'video' ? 'video' : 'phone')}<span>${
                asked ? html`<bdi>${name}</bdi> ${t('calls')}` : html`${t('Call with')} <bdi>${name}</bdi>`}</span>${btn(t('Open'), { kind: 'small', click: () => {
                location.hash = href('messenger', chat.called, chat.caller);
            } })}${btn(asked ? t('Decline') : t('Hang up'), { kind: 'small danger', click: () => call.hangUp() })}
                <audio autoplay .srcObject=${call.remote}></audio></div>`;
        });
    }

    #frame(): TemplateResult {
        const place = this.#place;
        const places: [string, string, IconName, number][] = [
            ['devices', t('Devices'), 'monitor', 0],
            ['sessions', t('Sessions'), 'square-terminal', this.mesh.sessions.running + this.mesh.desktops.running + this.mesh.vncs.running],
            ['events', t('Events'), 'history', 0],
        ];
        if (mayInvite(this.mesh.account.siteRights) || this.mesh.chats.list.length) {
            places.push(['messenger', t('Chat'), 'message-square', this.mesh.chats.unread]);
        }
        if (maySeeServer(this.mesh.account.siteRights)) {
            places.push(['server', t('Server'), 'server', 0]);
        }
        return html`
            <a class="skip" href="#page" @click=${(e: Event) => {
                e.preventDefault();
                this.querySelector<HTMLElement>('#page')?.focus();
            }}>${t('Skip to the page')}</a>
            <nav class="rail" aria-label=${t('Places')}>
                <a class="home" href="#/devices" aria-label="ngx_mesh">${logo}</a>
                ${places.map(([id, name, i, n]) => html`<a href="#/${id}" aria-current=${id === place ? 'page' : nothing}>
                    ${icon(i)}<span>${name}</span>${n ? html`<b class="count" aria-label=${id === 'messenger' ? t('{n} new', { n }) : t('{n} running', { n })}>${num(n)}</b>` : nothing}</a>`)}
            </nav>
            <header class="top">
                <button class="find" type="button" @click=${() => this.#openPalette()}>${icon('search')}<span>${
                    t('Search devices and actions')}</span><kbd>Ctrl K</kbd></button>
                ${this.#live()}
                ${this.#me()}
            </header>
            <main id="page" tabindex="-1" class="p-${this.#page}">${this.#content()}</main>`;
    }

    #live(): TemplateResult {
        const state = this.mesh.control.state;
        switch (state.kind) {
        case 'live':
            return html`<span class="live" role="status">${mark('online', false)}<span>${t('Live')}</span></span>`;
        case 'waiting': {
            const left = Math.max(0, Math.ceil((state.until - Date.now()) / 1000));
            return html`<span class="live away" role="status" title=${exact(state.since)}>${mark('connecting', false)}<span>${
                left ? t('Reconnecting in {n} s', { n: left }) : t('Reconnecting')}<span class="as-of">, ${
                t('showing {time}', { time: clockSeconds(state.since) })}</span></span></span>`;
        }
        case 'out':
            return html`<span class="live" role="status">${mark('fault', false)}<span>${t('Signed out')}</span></span>`;
        default:
            return html`<span class="live" role="status">${mark('connecting', false)}<span>${t('Connecting')}</span></span>`;
        }
    }

    #me(): TemplateResult {
        const { account } = this.mesh;
        return html`<wa-dropdown class="me-menu" placement="bottom-end" @wa-select=${(e: CustomEvent<{ item: { value: string } }>) => {
            if (e.detail.item.value === 'account') {
                location.hash = '#/account';
            } else {
                void this.mesh.logout();
            }
        }}>
            <button class="me" type="button" slot="trigger"><span aria-hidden="true">${account.initials}</span><span
                class="off-screen">${t('{name}, your account', { name: account.name })}</span></button>
            <div class="me-head"><b><bdi>${account.realName || account.name}</bdi></b><small>${this.mesh.account.serverName}</small></div>
            <wa-dropdown-item value="account">${t('Account')}</wa-dropdown-item>
            <wa-dropdown-item value="logout">${t('Sign out')}</wa-dropdown-item>
        </wa-dropdown>`;
    }

    #content(): TemplateResult {
        const page = this.#page;
        const [, id = '', tab = ''] = this.#route.parts;

        if (this.mesh.control.state.kind === 'out') {
            return html`<div class="gone">
                <h1>${t('Signed out')}</h1>
                <p>${t('This session has ended: it was too long without use, or it was ended elsewhere. What is shown may be old.')}</p>
                <p>${btn(t('Sign in again'), { kind: 'primary', click: () => location.reload() })}</p></div>`;
        }
        if (this.#failed) {
            return notLoaded();
        }
        if (!this.#ready.has(page)) {
            return loading();
        }
        switch (page) {
        case 'device': return html`<mesh-device .deviceId=${id} .tab=${tab || 'overview'}></mesh-device>`;
        case 'groups': return html`<mesh-groups .groupId=${id}></mesh-groups>`;
        case 'sessions': return html`<mesh-sessions></mesh-sessions>`;
        case 'recordings': return html`<mesh-recordings .file=${id}></mesh-recordings>`;
        case 'events': return html`<mesh-events></mesh-events>`;
        case 'server': return html`<mesh-server></mesh-server>`;
        case 'account': return html`<mesh-account></mesh-account>`;
        case 'messenger': return this.#messenger();
        default: return html`<mesh-devices .query=${this.#route.query.get('q') ?? ''}></mesh-devices>`;
        }
    }

    protected override updated(): void {
        const page = this.#page;
        const [, id = ''] = this.#route.parts;
        const name = page === 'device' ? this.mesh.devices.get(id)?.label ?? t('Device')
            : page === 'groups' && id ? this.mesh.groups.name(id) || t('Groups') : t(TITLES[page] ?? '');
        document.title = this.mesh.door === 'in' || this.#visits ? `${name} · ngx_mesh` : 'ngx_mesh';
        document.documentElement.dataset['page'] = this.#visits ? 'visit' : this.mesh.door !== 'in' ? 'door' : page === 'device' ? this.#route.parts[2] ?? 'overview' : page;

        const where = location.hash;
        if (this.#shown && this.#shown.split('?')[0] !== where.split('?')[0] && this.mesh.door === 'in') {
            // a new page: the reader of the screen, and the keyboard, begin at its top
            const main = this.querySelector<HTMLElement>('#page');
            if (main && !main.contains(document.activeElement)) {
                main.focus({ preventScroll: true });
            }
        }
        this.#shown = where;
    }
}

define('mesh-app', MeshApp);

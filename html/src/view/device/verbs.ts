// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html } from 'lit';
import { count, t } from '../../i18n/index.ts';
import { str } from '../../state/read.ts';
import { href } from '../../state/route.ts';
import { mesh } from '../app-state.ts';
import { ask, value } from '../dialogs.ts';

/* The verbs of one device that only its own page has. */

const label = (id: string): string => mesh.devices.get(id)?.label ?? id;

export async function rename(id: string): Promise<void> {
    const before = label(id);

    await ask({
        title: t('Rename {name}', { name: before }), yes: t('Rename'),
        body: html`<div class="field"><label for="dname">${t('Name')}</label><span class="in"><input id="dname" name="dname" maxlength="128"
            autocomplete="off" spellcheck="false" .value=${before}></span><small>${t('Only here; the machine keeps its own name')}</small></div>`,
        run: async (form) => {
            const name = value(form, 'dname').trim();
            if (!name) {
                throw new Error(t('The device needs a name.'));
            }
            mesh.devices.patch(id, { label: name });
            try {
                await mesh.actions.rename(mesh.account.nodeId(id), name);
            } catch (error) {
                mesh.devices.patch(id, { label: before });
                throw error;
            }
        },
        ready: (form) => form.querySelector<HTMLInputElement>('#dname')?.select(),
    });
}

export async function sendMessage(id: string): Promise<void> {
    const sent = await ask({
        title: t('Send a message to {name}', { name: label(id) }), yes: t('Send'),
        body: html`<p>${t('It is shown on the screen of who is logged in there, or in their terminals.')}</p>
            <div class="field"><label for="mtext">${t('Message')}</label><textarea id="mtext" name="mtext" rows="4" maxlength="1024"></textarea></div>`,
        run: async (form) => {
            const text = value(form, 'mtext').trim();
            if (!text) {
                throw new Error(t('There is no text.'));
            }
            await mesh.actions.toast([mesh.account.nodeId(id)], mesh.account.realName || mesh.account.name, text);
        },
    });
    if (sent) {
        mesh.toasts.say('online', t('Message sent to {name}', { name: label(id) }));
    }
}

/** A page of ours opens in the browser of who is logged in there, and asks. */
export async function startChat(id: string): Promise<void> {
    const yes = await ask({
        title: t('Invite who sits at {name}?', { name: label(id) }), yes: t('Invite'),
        body: html`<p>${t('A page opens in the browser of who is logged in there, and asks for a conversation. It is written with, files are offered, and calls are possible.')}</p>`,
    });
    if (yes) {
        const chat = mesh.chats.with(mesh.account.nodeId(id));
        void chat.invite();
        location.hash = href('messenger', chat.called, chat.caller);
    }
}

export async function openUrl(id: string): Promise<void> {
    const sent = await ask({
        title: t('Open a page on {name}', { name: label(id) }), yes: t('Open'),
        body: html`<div class="field"><label for="murl">${t('Address')}</label><span class="in"><input id="murl" name="murl" type="url" placeholder="https://"
            maxlength="4096" autocomplete="off" spellcheck="false"></span><small>${t('It opens in the browser of who is logged in there')}</small></div>`,
        run: async (form) => {
            const url = value(form, 'murl').trim();
            if (!/^https?:\/\/\S+$/i.test(url)) {
                throw new Error(t('An address begins with https:// or http://.'));
            }
            await mesh.actions.ask('msg', { type: 'openUrl', nodeid: mesh.account.nodeId(id), url });
        },
    });
    if (sent) {
        mesh.toasts.say('online', t('Page opened on {name}', { name: label(id) }));
    }
}

/** A page that the device, or what it reaches, serves: in this browser, through its agent. */
export async function openWebPage(id: string): Promise<void> {
    let url = '';
    const kinds: [number, string, string][] = [[1, 'HTTP', '80'], [2, 'HTTPS', '443']];
    const chosen = (form: HTMLFormElement): number => Number(new FormData(form).get('wkind'));

    const opened = await ask({
        title: t('Open a web page of {name}', { name: label(id) }), yes: t('Open'),
        body: html`<fieldset class="levels"><legend>${t('Protocol')}</legend>${kinds.map(([kind, name, port]) => html`<label class="check"><input type="radio"
                name="wkind" value=${kind} ?checked=${kind === 1} @change=${(e: Event) => {
                    const field = (e.target as HTMLInputElement).form?.querySelector<HTMLInputElement>('#wport');
                    if (field && kinds.some(([,, usual]) => usual === field.value)) {
                        field.value = port;
                    }
                }}><span>${name}</span></label>`)}</fieldset>
            <div class="field"><label for="wport">${t('Port')}</label><span class="in"><input id="wport" name="wport" inputmode="numeric" maxlength="5"
                autocomplete="off" value="80"></span></div>
            <div class="field"><label for="waddr">${t('Address')}</label><span class="in"><input id="waddr" name="waddr" maxlength="253"
                autocomplete="off" spellcheck="false" placeholder="127.0.0.1"></span><small>${t('Nothing here: the device itself; others as its group allows')}</small></div>`,
        run: async (form) => {
            const port = Number(value(form, 'wport'));
            const addr = value(form, 'waddr').trim();
            if (!Number.isInteger(port) || port < 1 || port > 65535) {
                throw new Error(t('A port is a number from 1 to 65535.'));
            }
            const reply = await mesh.actions.ask('webrelay', {
                nodeid: mesh.account.nodeId(id), port, appid: chosen(form), ...(addr ? { addr } : {}),
            });
            url = str(reply['url']);
        },
        ready: (form) => form.querySelector<HTMLInputElement>('#wport')?.select(),
    });
    if (opened && url.startsWith('https://')) {
        window.open(url, '_blank', 'noopener,noreferrer');
    }
}

export async function restartAgentCore(id: string): Promise<void> {
    const sessions = mesh.sessions.of(id).filter((session) => session.running).length;

    await ask({
        title: t('Restart the agent of {name}?', { name: label(id) }), yes: t('Restart the agent'), danger: true,
        body: html`<p>${t('The script that the agent runs starts anew; the machine itself goes on.')} ${sessions
            ? count(sessions, '1 terminal of this page ends.', '{n} terminals of this page end.') : ''} ${t('Sessions of others end too.')}</p>`,
        run: async () => {
            await mesh.actions.restartCore([mesh.account.nodeId(id)]);
        },
    });
}

/** The note of a device; resolves to whether it was saved. */
export async function editNote(id: string, before: string): Promise<boolean> {
    return ask({
        title: t('Note on {name}', { name: label(id) }), yes: t('Save'), wide: true,
        body: html`<div class="field"><label for="note">${t('Note')}</label><textarea id="note" name="note" rows="10" maxlength="16000" .value=${before}></textarea>
            <small>${t('Everybody who sees the device may read it')}</small></div>`,
        run: async (form) => {
            await mesh.actions.ask('setNotes', { id: mesh.account.nodeId(id), notes: value(form, 'note') });
        },
    });
}


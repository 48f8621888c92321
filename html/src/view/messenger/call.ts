// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import type { Chat } from '../../state/chats.ts';
import { t } from '../../i18n/index.ts';
import { duration } from '../../i18n/format.ts';
import { define, Part } from '../element.ts';
import { btn, icon, note } from '../ui.ts';

/** The call of a conversation: both pictures, and what ends it. */
class MeshCall extends Part {
    static override properties = { chat: { attribute: false }, name: { type: String } };
    declare chat: Chat;
    declare name: string;
    #second: ReturnType<typeof setInterval> | undefined;
    #watching: Chat | null = null;

    protected override begin(): void {
        this.#second = setInterval(() => {
            if (this.chat.call.state === 'on') {
                this.requestUpdate();
            }
        }, 1000);
    }

    protected override end(): void {
        clearInterval(this.#second);
        this.#watching?.removeEventListener('change', this.again);
        this.#watching = null;
    }

    protected override willUpdate(): void {
        if (this.#watching !== this.chat) {
            this.#watching?.removeEventListener('change', this.again);
            this.#watching = this.chat;
            this.chat.addEventListener('change', this.again);
        }
    }

    protected override updated(): void {
        const { call } = this.chat;
        for (const [selector, stream] of [['video.theirs', call.remote], ['video.ours', call.local]] as const) {
            const video = this.querySelector<HTMLVideoElement>(selector);
            if (video && video.srcObject !== stream) {
                video.srcObject = stream;
                if (stream) {
                    void video.play().catch(() => {});
                }
            }
        }
    }

    protected override render(): TemplateResult | typeof nothing {
        const { call } = this.chat;
        const name = this.name;

        if (call.state === 'none') {
            return call.says ? html`<div class="call-says">${note('warn', 'circle-alert', t(call.says), true)}${
                btn('', { i: 'x', kind: 'bare small', name: t('Dismiss'), click: () => call.forget() })}</div>` : nothing;
        }
        if (call.state === 'asked') {
            return html`<div class="call asked" role="alertdialog" aria-label=${t('{name} calls', { name })}>
                <p>${icon(call.media === 'video' ? 'video' : 'phone')}<b><bdi>${name}</bdi> ${call.media === 'video' ? t('calls with camera') : t('calls')}</b></p>
                <div class="call-acts">${btn(t('Answer'), { i: 'phone', kind: 'primary', click: () => void call.answer('sound') })}
                    ${btn(t('Answer with camera'), { i: 'video', click: () => void call.answer('video') })}
                    ${btn(t('Decline'), { i: 'phone-off', kind: 'danger', click: () => call.hangUp() })}</div></div>`;
        }
        const seen = call.remote?.getVideoTracks().length && call.theirs.video;
        return html`<div class="call">
            ${call.says ? note('warn', 'circle-alert', html`${t('Your microphone or camera is not used.')} ${t(call.says)}`, true) : nothing}
            <div class="pictures">
                <figure><video class=${seen ? 'theirs' : 'theirs none'} autoplay playsinline aria-label=${t('Picture of {name}', { name })}></video>
                    ${seen ? nothing : html`<div class="no-picture">${icon('circle-user')}</div>`}
                    <figcaption><bdi>${name}</bdi>${call.theirs.sound ? nothing : icon('mic-off', t('The microphone is off'))}</figcaption></figure>
                ${call.has('video') ? html`<figure class="own"><video class=${call.mine.video ? 'ours' : 'ours none'} autoplay playsinline .muted=${true} aria-label=${t('Your own picture')}></video>
                    <figcaption>${call.mine.video ? t('You') : t('You, camera off')}</figcaption></figure>` : nothing}
            </div>
            <div class="call-acts"><span class="quiet" role="status">${call.state === 'calling' ? t('Calling {name}', { name })
                : t('Call for {time}', { time: duration(Date.now() - call.began, 2) })}</span>
                ${call.has('sound') ? btn('', { i: call.mine.sound ? 'mic' : 'mic-off', name: call.mine.sound ? t('Turn the microphone off') : t('Turn the microphone on'), pressed: !call.mine.sound, click: () => call.mute('sound') }) : nothing}
                ${call.has('video') ? btn('', { i: call.mine.video ? 'video' : 'video-off', name: call.mine.video ? t('Turn the camera off') : t('Turn the camera on'), pressed: !call.mine.video, click: () => call.mute('video') }) : nothing}
                ${btn(t('Hang up'), { i: 'phone-off', kind: 'danger', click: () => call.hangUp() })}</div>
        </div>`;
    }
}

define('mesh-call', MeshCall);

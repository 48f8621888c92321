// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import RFB, { type Credentials } from '@novnc/novnc';
import type { VncSession } from '../../state/vnc.ts';
import type { TargetChannel } from '../../wire/target.ts';
import { t } from '../../i18n/index.ts';

/** A password, or a name too, that the server asks for. */
export interface Wanted {
    types: string[];
    answer: (credentials: Credentials | null) => void;
}

/**
 * The picture of a VNC session, drawn by noVNC into an element that outlives its place
 * in the page.
 *
 * Events: `wanted` (detail Wanted), `clipboard` (detail the text), `change`.
 */
export class Screen extends EventTarget {
    readonly element = document.createElement('div');
    #session: VncSession;
    #rfb: RFB | null = null;
    #fit = true;

    constructor(session: VncSession) {
        super();
        this.#session = session;
        this.element.className = 'vnc-view';
        session.addEventListener('connected', (e) => this.#begin((e as CustomEvent<TargetChannel>).detail));
    }

    get fit(): boolean {
        return this.#fit;
    }

    set fit(on: boolean) {
        this.#fit = on;
        if (this.#rfb) {
            this.#rfb.scaleViewport = on;
        }
    }

    get viewOnly(): boolean {
        return this.#session.viewOnly;
    }

    set viewOnly(on: boolean) {
        this.#session.viewOnly = on;
        if (this.#rfb) {
            this.#rfb.viewOnly = on;
        }
    }

    show(place: HTMLElement): void {
        place.replaceChildren(this.element);
    }

    hide(): void {
        this.#rfb?.blur();
        this.element.remove();
    }

    focus(): void {
        this.#rfb?.focus();
    }

    ctrlAltDel(): void {
        this.#rfb?.sendCtrlAltDel();
    }

    /** Into the clipboard there; typing it is the person's. */
    paste(text: string): void {
        this.#rfb?.clipboardPasteFrom(text);
    }

    dispose(): void {
        this.#rfb?.disconnect();
        this.#rfb = null;
        this.element.remove();
    }

    #begin(channel: TargetChannel): void {
        const rfb = new RFB(this.element, channel, { shared: true });
        const mine = (): boolean => this.#rfb === rfb;

        this.#rfb = rfb;
        rfb.background = '';
        rfb.scaleViewport = this.#fit;
        rfb.viewOnly = this.#session.viewOnly;
        rfb.addEventListener('connect', () => {
            if (mine()) {
                this.#session.shown();
                this.dispatchEvent(new Event('change'));
            }
        });
        rfb.addEventListener('disconnect', (e) => {
            if (mine()) {
                this.#rfb = null;
                // the session knows already where the connection went away
                if (this.#session.running && !(e as CustomEvent<{ clean: boolean }>).detail.clean && this.#session.channel?.readyState === 1) {
                    this.#session.fail(t('What answers on this port does not speak VNC as it should.'));
                }
            }
        });
        rfb.addEventListener('securityfailure', (e) => {
            const { reason } = (e as CustomEvent<{ reason?: string }>).detail;
            if (mine()) {
                this.#session.fail(reason ? t('The VNC server refused: {reason}', { reason: reason.slice(0, 200) }) : t('The VNC server refused the password.'));
            }
        });
        rfb.addEventListener('credentialsrequired', (e) => {
            const { types } = (e as CustomEvent<{ types: string[] }>).detail;
            this.dispatchEvent(new CustomEvent<Wanted>('wanted', {
                detail: {
                    types,
                    answer: (credentials) => {
                        if (mine()) {
                            if (credentials) {
                                rfb.sendCredentials(credentials);
                            } else {
                                this.#session.disconnect();
                            }
                        }
                    },
                },
            }));
        });
        // of RSA-AES: the tunnel and its two ends are known
        rfb.addEventListener('serververification', () => rfb.approveServer());
        rfb.addEventListener('clipboard', (e) => {
            this.dispatchEvent(new CustomEvent('clipboard', { detail: (e as CustomEvent<{ text: string }>).detail.text }));
        });
        rfb.addEventListener('desktopname', (e) => this.#session.named((e as CustomEvent<{ name: string }>).detail.name));
    }
}

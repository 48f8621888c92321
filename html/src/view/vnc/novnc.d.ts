// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/* What is used of noVNC 1.7, docs/API.md */
declare module '@novnc/novnc' {
    export interface Credentials {
        username?: string;
        password?: string;
        target?: string;
    }

    export default class RFB extends EventTarget {
        constructor(target: HTMLElement, channel: object, options?: { shared?: boolean; credentials?: Credentials });
        viewOnly: boolean;
        scaleViewport: boolean;
        resizeSession: boolean;
        showDotCursor: boolean;
        background: string;
        qualityLevel: number;
        disconnect(): void;
        sendCredentials(credentials: Credentials): void;
        approveServer(): void;
        sendKey(keysym: number, code: string | null, down?: boolean): void;
        sendCtrlAltDel(): void;
        clipboardPasteFrom(text: string): void;
        focus(): void;
        blur(): void;
    }
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { Store } from './store.ts';

export type Tone = 'online' | 'attention' | 'fault';

export interface Toast {
    id: number;
    tone: Tone;
    text: string;
    action?: { label: string; run: () => void };
}

const SHOWN = 6000;
const MOST = 3;

/** For what happened elsewhere; three at most. */
export class Toasts extends Store {
    list: Toast[] = [];
    #serial = 0;

    say(tone: Tone, text: string, action?: Toast['action']): void {
        const toast: Toast = { id: ++this.#serial, tone, text, ...(action ? { action } : {}) };
        this.list = [...this.list, toast].slice(-MOST);
        this.changed();
        if (!action) {
            setTimeout(() => this.dismiss(toast.id), SHOWN);
        }
    }

    dismiss(id: number): void {
        this.list = this.list.filter((toast) => toast.id !== id);
        this.changed();
    }
}

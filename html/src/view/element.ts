// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { LitElement } from 'lit';
import { mesh } from './app-state.ts';

/**
 * A part of the page: drawn into the document itself, so that one style sheet holds
 * for all, and drawn again when a store that it watches changes.
 */
export abstract class Part extends LitElement {
    protected readonly mesh = mesh;
    #watched: [EventTarget, string, EventListener][] = [];

    protected override createRenderRoot(): HTMLElement {
        return this;
    }

    /** Draws again on `change` of each store; ends with the element. */
    protected watch(...stores: EventTarget[]): void {
        for (const store of stores) {
            this.listen(store, 'change', () => this.requestUpdate());
        }
    }

    protected listen(target: EventTarget, type: string, run: (event: never) => void): void {
        target.addEventListener(type, run as EventListener);
        this.#watched.push([target, type, run as EventListener]);
    }

    /** Runs again each time that the element is put into the page. */
    protected begin(): void {}

    protected end(): void {}

    override connectedCallback(): void {
        super.connectedCallback();
        this.begin();
        this.requestUpdate();
    }

    override disconnectedCallback(): void {
        super.disconnectedCallback();
        for (const [target, type, run] of this.#watched) {
            target.removeEventListener(type, run);
        }
        this.#watched = [];
        this.end();
    }

    protected again = (): void => this.requestUpdate();
}

export function define(name: string, part: CustomElementConstructor): void {
    if (!customElements.get(name)) {
        customElements.define(name, part);
    }
}

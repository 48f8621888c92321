// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/** Something with a `change` event. */
export class Store extends EventTarget {
    /** Tells who watches; many changes in one turn are one event. */
    protected changed(): void {
        if (this.#told) {
            return;
        }
        this.#told = true;
        queueMicrotask(() => {
            this.#told = false;
            this.dispatchEvent(new Event('change'));
        });
    }

    #told = false;
}

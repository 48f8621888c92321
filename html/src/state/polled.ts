// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { Store } from './store.ts';

/** A store that asks the server again and again while somebody watches it. */
export abstract class Polled extends Store {
    #every: number;
    #watchers = 0;
    #timer: ReturnType<typeof setInterval> | undefined;

    /** every: ms between questions */
    protected constructor(every: number) {
        super();
        this.#every = every;
    }

    /** Asks; what goes wrong is kept, not thrown. */
    abstract load(): Promise<void>;

    /** Asks now and then until the function returned is called. */
    watch(): () => void {
        if (this.#watchers++ === 0) {
            void this.load();
            this.#timer = setInterval(() => void this.load(), this.#every);
        }
        let done = false;
        return () => {
            if (!done && --this.#watchers === 0) {
                clearInterval(this.#timer);
            }
            done = true;
        };
    }
}

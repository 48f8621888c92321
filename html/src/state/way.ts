// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { rtcSocket } from '../wire/webrtc.ts';

/**
 * The way of a session's data: through the server, or straight to the device where the
 * server lets it and both sides find each other.  Where that broke, what is opened next
 * goes through the server, until the person begins anew.
 */
export class Way {
    direct = false;
    broken = false;
    #fell = false;
    #allowed: () => boolean;
    #changed: () => void;
    #turn = 0;

    constructor(allowed: () => boolean, changed: () => void) {
        this.#allowed = allowed;
        this.#changed = changed;
    }

    renew(): void {
        this.broken = false;
        this.#fell = false;
    }

    /** Has the end of the straight way ended the session?  Said once. */
    fell(): boolean {
        const fell = this.#fell;
        this.#fell = false;
        return fell;
    }

    /** For the relay that is opened next. */
    socket(url: string): WebSocket {
        const turn = ++this.#turn;

        this.direct = false;
        if (this.broken || !this.#allowed()) {
            return new WebSocket(url);
        }
        return rtcSocket({
            onway: (direct) => {
                if (turn === this.#turn) {
                    this.direct = direct;
                    this.broken = this.#fell = !direct;
                    this.#changed();
                }
            },
        })(url);
    }
}

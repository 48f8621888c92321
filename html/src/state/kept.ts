// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { Store } from './store.ts';

interface Session extends EventTarget {
    readonly deviceId: string;
    readonly running: boolean;
    disconnect(): void;
}

/**
 * Sessions of one kind in this page: each is kept, also ended, until it is closed.
 *
 * Events: `change`, `closed` (detail: the session).
 */
export abstract class Kept<S extends Session> extends Store {
    readonly list: S[] = [];

    get running(): number {
        return this.list.filter((session) => session.running).length;
    }

    close(session: S): void {
        const i = this.list.indexOf(session);
        if (i >= 0) {
            session.disconnect();
            this.list.splice(i, 1);
            this.dispatchEvent(new CustomEvent('closed', { detail: session }));
            this.changed();
        }
    }

    closeAll(): void {
        for (const session of [...this.list]) {
            this.close(session);
        }
    }

    protected add<T extends S>(session: T): T {
        session.addEventListener('change', () => this.changed());
        this.list.push(session);
        this.changed();
        return session;
    }

    protected first(deviceId: string): S | null {
        return this.list.find((session) => session.deviceId === deviceId) ?? null;
    }
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

import { webcrypto } from 'node:crypto';

/* Every browser has both; of Node, those from 19 on. */
class Detailed<T> extends Event {
    readonly detail: T;

    constructor(type: string, init: { detail: T }) {
        super(type);
        this.detail = init.detail;
    }
}

globalThis.CustomEvent ??= Detailed as unknown as typeof CustomEvent;
globalThis.crypto ??= webcrypto as Crypto;

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/** A WebSocket that a test plays the other side of. */
export class Socket {
    readyState = 1;
    binaryType = '';
    onmessage: ((event: { data: unknown }) => void) | null = null;
    onclose: ((event: { code: number }) => void) | null = null;
    onerror: (() => void) | null = null;
    sent: (string | Uint8Array)[] = [];

    send(data: string | Uint8Array): void {
        this.sent.push(data);
    }

    close(): void {
        this.readyState = 3;
    }

    say(data: unknown): void {
        this.onmessage?.({ data });
    }
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/* Kinds of sessions, by the protocol of the relay. */
const KINDS: Record<number, string> = { 0: 'TCP relay', 1: 'Terminal', 2: 'Desktop', 5: 'Files', 6: 'Terminal', 8: 'Terminal', 9: 'Terminal', 10: 'Download', 200: 'Chat' };

export function kindOf(protocol: number): string {
    return KINDS[protocol] ?? 'Other';
}

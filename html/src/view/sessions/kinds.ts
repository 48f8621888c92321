// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/* Kinds of sessions, by the protocol of the relay. */
const KINDS: Record<number, string> = { 0: 'Other', 1: 'Terminal', 2: 'Desktop', 5: 'Files', 6: 'Terminal', 8: 'Terminal', 9: 'Terminal', 10: 'Download', 200: 'Chat' };

/* of those that go to an address and a port */
const TARGETS: Record<number, string> = { 10: 'RDP', 11: 'SSH', 12: 'VNC', 13: 'SFTP', 14: 'Web page' };

/** kind: what it goes to, tcp or udp, or empty */
export function kindOf(protocol: number, kind: '' | 'tcp' | 'udp' = ''): string {
    if (kind) {
        return kind === 'udp' ? 'UDP relay' : TARGETS[protocol] ?? 'TCP relay';
    }
    return KINDS[protocol] ?? 'Other';
}

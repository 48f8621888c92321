// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Chat } from '../../state/chats.ts';
import { shortId } from '../../wire/bytes.ts';
import { t } from '../../i18n/index.ts';
import { mesh } from '../app-state.ts';

/** What the other side of a conversation is called here; peer is its id. */
export function peerName(peer: string, chat?: Chat): string {
    if (peer.startsWith('node/')) {
        return mesh.devices.get(shortId(peer))?.label ?? t('a device');
    }
    const person = mesh.chats.people?.find((p) => p.id === peer);
    return person?.realName || person?.name || chat?.peerName || shortId(peer).slice(0, 128);
}

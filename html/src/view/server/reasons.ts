// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { t } from '../../i18n/index.ts';
import type { Refused } from '../../state/server.ts';

interface Words {
    /** Two or three words, for a row. */
    short: string;
    /** Cause and next step. */
    long: string;
}

/** By the server's number of the reason. */
const WORDS: Record<string, Words> = {
    1: {
        short: 'Certificate not known',
        long: 'The agent saw another certificate than this server shows. A proxy in between, or a certificate that nginx serves and mesh_web_certificate does not name.',
    },
    2: { short: 'Wrong signature', long: 'The agent could not prove that the key is its own. It is damaged or not what it says; install it anew.' },
    3: {
        short: 'Unknown group',
        long: 'The agent asks for a device group that is not here: it was deleted, or the .msh file is of another server. Install it anew from a group here.',
    },
    4: { short: 'Too many', long: 'The number of devices that mesh_limit allows is reached; the agent is let in when there is room.' },
    5: { short: 'Came too often', long: 'It connected more than six times in two minutes. Two machines with one identity, as after cloning a disk, do that; so does a network that breaks.' },
    6: { short: 'Too slow', long: 'The agent did not finish the handshake in time. Its machine or its network is overloaded.' },
    7: { short: 'Not understood', long: 'What the agent sent is not what the protocol asks for at that point.' },
    8: { short: 'Key not accepted', long: 'Its key is no RSA key of 2048 to 4096 bits. Reset the identity of the agent.' },
    9: { short: 'Server full', long: 'The shared memory of the server is full. Give mesh_zone more.' },
    10: { short: 'Connected twice', long: 'A newer connection of the same device took its place. Two machines may use one identity: remove the agent of one and install it anew.' },
};

const words = (refused: Refused): Words => WORDS[refused.code] ?? { short: refused.reason || 'Refused', long: refused.reason };

export const refusedWords = (refused: Refused): string => t(words(refused).short);
export const refusedCause = (refused: Refused): string => t(words(refused).long);

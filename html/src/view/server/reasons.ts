// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { t } from '../../i18n/index.ts';
import type { Refused } from '../../state/server.ts';

interface Words {
    /** Two or three words, for a row. */
    short: string;
    /** Cause and next step. */
    long: string;
}

const WORDS: [RegExp, Words][] = [
    [/hash|web.?cert|outer|tls/i, {
        short: 'Certificate not known',
        long: 'The agent saw another certificate than this server shows. A proxy in between, or a certificate that nginx serves and mesh_web_certificate does not name.',
    }],
    [/group/i, {
        short: 'Unknown group',
        long: 'The agent asks for a device group that is not here: it was deleted, or the .msh file is of another server. Install it anew from a group here.',
    }],
    [/sign|key|agent.?cert/i, {
        short: 'Wrong signature',
        long: 'The agent could not prove that the key is its own. It is damaged or not what it says.',
    }],
    [/version|old/i, { short: 'Agent too old', long: 'The agent speaks a form of the protocol that is no longer accepted. Install a newer one.' }],
    [/domain/i, { short: 'Unknown domain', long: 'The agent asks for a domain that is not configured here.' }],
    [/dup/i, { short: 'Same identity twice', long: 'Two machines use one identity, as when a disk was cloned. Remove the agent of one and install it anew.' }],
    [/order|malformed|proto|size|length/i, { short: 'Not understood', long: 'What the agent sent is not what the protocol asks for at that point.' }],
    [/limit|full|busy/i, { short: 'Too many', long: 'A limit of this server is reached; the agent is let in when there is room.' }],
];

function words(refused: Refused): Words {
    const found = WORDS.find(([pattern]) => pattern.test(refused.code)) ?? WORDS.find(([pattern]) => pattern.test(refused.reason));
    return found?.[1] ?? { short: refused.reason || 'Refused', long: refused.reason };
}

export const refusedWords = (refused: Refused): string => t(words(refused).short);
export const refusedCause = (refused: Refused): string => t(words(refused).long);

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { listed, t } from '../i18n/index.ts';
import { ABILITIES, abilitiesOf, FULL, type Level } from './rights.ts';

export const LEVEL_WORDS: Record<Level, { name: string; means: string }> = {
    see: { name: 'See', means: 'list, state, inventory' },
    help: { name: 'Help', means: 'desktop, chat, wake' },
    operate: { name: 'Operate', means: 'and terminal, files, commands, power' },
    manage: { name: 'Manage', means: 'and devices, settings, rights' },
    full: { name: 'Full', means: 'everything, also what is added later' },
    custom: { name: 'Custom', means: 'chosen one by one' },
};

export const HEADS: Record<string, string> = { see: 'See', sessions: 'Sessions', machine: 'Machine', around: 'Around', group: 'Group' };

/** As a label beside a box, and as a part of a sentence after "may". */
export const WORDS: Record<string, { label: string; may: string }> = {
    details: { label: 'Details and inventory', may: 'see details and inventory' },
    events: { label: 'Events of others', may: 'see what others did' },
    desktop: { label: 'Desktop', may: 'see the desktop' },
    input: { label: 'Use keyboard and mouse', may: 'use its keyboard and mouse' },
    terminal: { label: 'Terminal', may: 'use the terminal' },
    files: { label: 'Files', may: 'read and write files' },
    relay: { label: 'TCP and web relay', may: 'reach its network' },
    wake: { label: 'Wake', may: 'wake' },
    power: { label: 'Restart and power off', may: 'restart and power off' },
    command: { label: 'Run commands', may: 'run commands' },
    console: { label: 'Agent console', may: 'use the console of the agent' },
    amt: { label: 'Intel AMT', may: 'use Intel AMT' },
    uninstall: { label: 'Remove devices', may: 'remove devices' },
    chat: { label: 'Chat and notify', may: 'chat and notify' },
    notes: { label: 'Notes', may: 'write notes' },
    guests: { label: 'Invite guests', may: 'invite guests' },
    serverfiles: { label: 'Files on the server', may: 'keep files on the server' },
    edit: { label: 'Edit the group', may: 'edit the group' },
    devices: { label: 'Add and edit devices', may: 'add and edit devices' },
    users: { label: 'Give rights to others', may: 'give rights to others' },
};

const order = ABILITIES.flatMap(({ list }) => list.map(({ id }) => id));

const sentence = (parts: string[]): string => {
    const text = listed(parts);
    return text ? `${text.charAt(0).toUpperCase()}${text.slice(1)}.` : '';
};

/** What somebody may do, as two sentences: what, and what not. */
export function inWords(rights: number): { may: string; mayNot: string } {
    if (rights === FULL) {
        return { may: t('Do everything here, also what is added later.'), mayNot: '' };
    }
    const able = abilitiesOf(rights);
    const say = (ids: string[]): string[] => ids.map((id) => t(WORDS[id]?.may ?? id));

    return {
        may: sentence([t('see which devices there are'), ...say(order.filter((id) => able.has(id)))]),
        mayNot: sentence(say(order.filter((id) => !able.has(id)))),
    };
}

/** Which abilities a change gives and takes. */
export function difference(before: number, after: number): { gives: string[]; takes: string[] } {
    const old = abilitiesOf(before);
    const now = abilitiesOf(after);
    return {
        gives: order.filter((id) => now.has(id) && !old.has(id)).map((id) => t(WORDS[id]?.may ?? id)),
        takes: order.filter((id) => old.has(id) && !now.has(id)).map((id) => t(WORDS[id]?.may ?? id)),
    };
}

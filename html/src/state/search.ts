// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/** What a device offers to the filter; all folded to lower case once. */
export interface Searchable {
    text: string;
    tags: string[];
    os: string;
    group: string;
    users: string[];
    ip: string;
    name: string;
    state: string;
}

interface Term {
    not: boolean;
    field: string;
    value: string;
}

const FIELDS: Record<string, string> = {
    tag: 'tag', t: 'tag', os: 'os', system: 'os', group: 'group', g: 'group', user: 'user', u: 'user',
    ip: 'ip', address: 'ip', name: 'name', n: 'name', is: 'state', state: 'state',
};
const STATES: Record<string, string> = {
    online: 'online', offline: 'offline', asleep: 'asleep', sleeping: 'asleep', attention: 'attention',
    refused: 'fault', fault: 'fault', standby: 'standby', never: 'unknown',
};

export const fold = (text: string): string => text.normalize('NFKC').toLowerCase();

/**
 * `web tag:prod -os:windows "front desk" online`: all words must be there, a
 * leading minus turns one round, quotes keep blanks.
 */
export function parseQuery(query: string): Term[] {
    const terms: Term[] = [];
    const words = /(-?)(?:([a-z]+):)?(?:"([^"]*)"?|([^\s"]+))/giy;
    let rest = 0;

    for (;;) {
        while (/\s/.test(query[rest] ?? '')) {
            rest++;
        }
        if (rest >= query.length) {
            return terms;
        }
        words.lastIndex = rest;
        const found = words.exec(query);
        if (!found) {
            rest++;
            continue;
        }
        rest = words.lastIndex;

        const [, minus, prefix, quoted, plain] = found;
        const field = prefix ? FIELDS[prefix.toLowerCase()] : undefined;
        let value = fold(quoted ?? plain ?? '');
        if (prefix && !field) {
            value = fold(`${prefix}:`) + value;     // `c:` is no field but part of a word
        }
        if (!value) {
            continue;
        }
        if (!field && quoted === undefined && STATES[value]) {
            terms.push({ not: minus === '-', field: 'state', value: STATES[value] ?? '' });
        } else if (field === 'state') {
            terms.push({ not: minus === '-', field, value: STATES[value] ?? value });
        } else {
            terms.push({ not: minus === '-', field: field ?? '', value });
        }
    }
}

function one(term: Term, device: Searchable): boolean {
    switch (term.field) {
    case 'tag': return device.tags.includes(term.value);
    case 'os': return device.os.includes(term.value);
    case 'group': return device.group.includes(term.value);
    case 'user': return device.users.some((user) => user.includes(term.value));
    case 'ip': return device.ip.startsWith(term.value);
    case 'name': return device.name.includes(term.value);
    case 'state':
        // who types "online" means all that answer, who types "offline" all that do not
        if (term.value === 'online') {
            return device.state === 'online' || device.state === 'attention' || device.state === 'asleep';
        }
        if (term.value === 'offline') {
            return device.state === 'offline' || device.state === 'standby' || device.state === 'unknown'
                || device.state === 'fault';
        }
        return device.state === term.value;
    default: return device.text.includes(term.value);
    }
}

export function matches(terms: readonly Term[], device: Searchable): boolean {
    return terms.every((term) => one(term, device) !== term.not);
}

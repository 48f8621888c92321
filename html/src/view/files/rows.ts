// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Entry } from '../../wire/files.ts';
import { clockOf, exact } from '../../i18n/format.ts';
import type { IconName } from '../icons.ts';

const dayMonth = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });
const dayYear = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });

/** Time of day today, day and time this year, else the date. */
export function changedAt(at: number, now = Date.now()): string {
    const then = new Date(at);
    const today = new Date(now);

    if (!at) {
        return '';
    }
    if (then.toDateString() === today.toDateString()) {
        return clockOf(at);
    }
    return then.getFullYear() === today.getFullYear() ? `${dayMonth.format(at)} ${clockOf(at)}` : dayYear.format(at);
}

export const exactly = (at: number): string => (at ? exact(at) : '');

const ARCHIVES = /\.(?:zip|t?gz|tar|bz2|xz|zst|7z|rar|jar|deb|rpm|cab)$/i;
const CODE = /\.(?:sh|bash|c|h|cc|cpp|js|mjs|ts|py|pl|rb|go|rs|java|php|ps1|bat|cmd|html?|css|json|ya?ml|xml|toml|ini|conf|cfg|sql|service|mk|lua)$/i;
const TEXT = /\.(?:txt|md|log|csv|tsv|rst|adoc|env|list|out|err)$/i;

export function iconOf(entry: Entry): IconName {
    if (entry.kind !== 'file') {
        return entry.kind === 'drive' ? 'hard-drive' : 'folder';
    }
    return ARCHIVES.test(entry.name) ? 'file-archive' : CODE.test(entry.name) ? 'file-code' : TEXT.test(entry.name) ? 'file-text' : 'file';
}

export const isZip = (entry: Entry): boolean => entry.kind === 'file' && /\.zip$/i.test(entry.name);

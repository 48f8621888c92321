// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { size } from '../../i18n/format.ts';
import { cleanText } from '../../state/chats.ts';

/* What a message of files (session.md 4) or of a conversation (session.md 7) says, in words. */

type Message = Record<string, unknown>;

const text = (value: unknown): string => (typeof value === 'string' ? cleanText(value).replace(/\s+/g, ' ').slice(0, 500) : '');
const folder = (value: unknown): string => text(value) || '/';

function names(value: unknown): string {
    const all = Array.isArray(value) ? value.map(text).filter(Boolean) : [];
    return all.length > 5 ? `${all.slice(0, 5).join(', ')} and ${all.length - 5} more` : all.join(', ');
}

const FILES: Record<string, (m: Message) => string> = {
    ls: (m) => `opens ${folder(m['path'])}`,
    mkdir: (m) => `makes the folder ${text(m['path'])}`,
    rm: (m) => `deletes ${names(m['delfiles'])} in ${folder(m['path'])}`,
    rename: (m) => `renames ${text(m['oldname'])} to ${text(m['newname'])} in ${folder(m['path'])}`,
    copy: (m) => `copies ${names(m['names'])} from ${folder(m['scpath'])} to ${folder(m['dspath'])}`,
    move: (m) => `moves ${names(m['names'])} from ${folder(m['scpath'])} to ${folder(m['dspath'])}`,
    upload: (m) => `uploads ${text(m['name'])}${typeof m['size'] === 'number' ? ` (${size(m['size'])})` : ''} to ${folder(m['path'])}`,
    uploadcancel: () => 'stops the upload',
    uploaderror: () => 'cannot write the file',
    findfile: (m) => (m['r'] === undefined ? `looks for ${text(m['filter'])} in ${folder(m['path'])}` : `has found ${text(m['r']) || 'all there is'}`),
};

const SUB: Record<string, (m: Message) => string> = {
    start: (m) => (m['path'] === undefined ? 'begins to send' : `downloads ${text(m['path'])}`),
    cancel: () => 'cannot send the file',
    stop: () => 'stops the download',
};

const CHAT: Record<string, (m: Message) => string> = {
    file: (m) => `sends ${text(m['name'])}${typeof m['size'] === 'number' ? ` (${size(m['size'])})` : ''}`,
    accept: () => 'accepts',
    refuse: () => 'refuses',
    bye: () => 'leaves',
};

const of = (table: Record<string, (m: Message) => string>, name: unknown, m: Message): string =>
    (typeof name === 'string' && Object.hasOwn(table, name) && table[name]?.(m)) || '';

/** Who does what, or says what; empty: there are no words for it; null: nobody wants to read it. */
export function sentence(protocol: number, who: string, m: Message): string | null {
    const action = m['action'];
    let does = '';

    if (action === 'outtext') {     // is typing
        return null;
    }
    if (action === 'chat') {
        const said = cleanText(typeof m['msg'] === 'string' ? m['msg'] : '').trim();
        return said && `${who}: ${said}`;
    }
    if (protocol === 5) {
        if (action === 'download') {
            does = of(SUB, m['sub'], m);
        } else if (Array.isArray(m['dir'])) {
            const n = m['dir'].length;
            does = `shows ${folder(m['path'])}: ${n} ${n === 1 ? 'entry' : 'entries'}`;
        } else {
            does = of(FILES, action, m);
        }
    } else {
        does = of(CHAT, action, m);
    }
    return does && `${who} ${does}`;
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/*
 * Paths of a device: `/a/b` of a Unix, `C:\a\b` of a Windows.  The empty path is
 * where everything begins: the root, or the list of drives.
 */

export interface Crumb {
    name: string;
    path: string;
}

const windows = (path: string): boolean => /^[A-Za-z]:/.test(path) || path.startsWith('\\\\');

export function join(folder: string, name: string): string {
    if (folder === '') {
        return windows(name) ? name : `/${name}`;
    }
    if (windows(folder)) {
        return folder.endsWith('\\') ? folder + name : `${folder}\\${name}`;
    }
    return folder.endsWith('/') ? folder + name : `${folder}/${name}`;
}

/** What a person typed, or a device said, in one form. */
export function tidy(path: string): string {
    const text = path.trim();
    if (windows(text)) {
        const back = text.replaceAll('/', '\\').replace(/(?<=.)\\+/g, '\\');
        return /^[A-Za-z]:\\?$/.test(back) ? `${back.slice(0, 2).toUpperCase()}\\` : back.replace(/\\+$/, '');
    }
    const parts: string[] = [];
    for (const part of text.split('/')) {
        if (part === '..') {
            parts.pop();
        } else if (part !== '' && part !== '.') {
            parts.push(part);
        }
    }
    return text === '' ? '' : `/${parts.join('/')}`;
}

/** The folder above; null at the top. */
export function above(path: string): string | null {
    if (path === '' || path === '/') {
        return null;
    }
    if (windows(path)) {
        const cut = path.replace(/\\+$/, '').lastIndexOf('\\');
        return cut < 0 ? '' : cut === 2 ? path.slice(0, 3) : path.slice(0, cut);
    }
    return path.slice(0, path.lastIndexOf('/')) || '/';
}

/** The steps down to a path, the top first. */
export function crumbs(path: string): Crumb[] {
    const list: Crumb[] = [];
    for (let at: string | null = path; at !== null; at = above(at)) {
        list.unshift({ name: last(at), path: at });
    }
    return list;
}

/** The name of what a path leads to. */
export function last(path: string): string {
    const cut = windows(path) ? path.replace(/\\$/, '') : path;
    return cut.slice(Math.max(cut.lastIndexOf('/'), cut.lastIndexOf('\\')) + 1) || path;
}

/** `a (2).txt`, the first that is free. */
export function another(name: string, taken: (name: string) => boolean): string {
    const dot = name.lastIndexOf('.');
    const [stem, end] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ''];
    for (let n = 2; ; n++) {
        const next = `${stem} (${n})${end}`;
        if (!taken(next)) {
            return next;
        }
    }
}

/** Why a name cannot be one; empty when it can. */
export function badName(name: string): string {
    if (name === '' || name === '.' || name === '..') {
        return 'A name is needed.';
    }
    if (/[/\0]/.test(name)) {
        return 'A name has no “/” in it.';
    }
    return new TextEncoder().encode(name).length > 255 ? 'This name is too long.' : '';
}

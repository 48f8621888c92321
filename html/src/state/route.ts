// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/** A page address: `#/device/<id>/terminal?x=y`. */
export interface Route {
    parts: string[];
    query: URLSearchParams;
}

export function parseRoute(hash: string): Route {
    const [path = '', query = ''] = hash.replace(/^#\/?/, '').split(/\?(.*)/s);
    return { parts: path.split('/').filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function decode(part: string): string {
    try {
        return decodeURIComponent(part);
    } catch {
        return part;
    }
}

export function href(...parts: string[]): string {
    return `#/${parts.map((part) => encodeURIComponent(part)).join('/')}`;
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/**
 * Texts are their own keys, in English; another language is a table from these to
 * its own, registered before the first page is drawn.
 */
const table = new Map<string, string>();

export function register(texts: Readonly<Record<string, string>>): void {
    for (const [key, text] of Object.entries(texts)) {
        table.set(key, text);
    }
}

/** The text in the person's language; `{name}` is replaced from `values`. */
export function t(text: string, values: Readonly<Record<string, string | number>> = {}): string {
    return (table.get(text) ?? text).replace(/\{(\w+)\}/g, (whole, name: string) => {
        const value = values[name];
        return value === undefined ? whole : String(value);
    });
}

/** One or many: `count(3, '1 device', '{n} devices')`. */
export function count(n: number, one: string, many: string): string {
    return n === 1 ? t(one) : t(many, { n: num(n) });
}

const plain = new Intl.NumberFormat('en');

/** Thousands apart by a narrow space that does not break. */
export function num(n: number): string {
    return plain.format(n).replaceAll(',', '\u202f');
}

/** `a, b and c`. */
export function listed(words: readonly string[]): string {
    return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} ${t('and')} ${words.at(-1) ?? ''}`;
}

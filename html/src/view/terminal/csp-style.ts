// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/**
 * What the build puts in the place of xterm.js' <style> elements: the text goes into
 * a constructed style sheet, which is CSSOM and so allowed by style-src 'self'.  The
 * stand-in is an inert element at the same place; removing it removes the rules.
 */
export function cspStyle(document: Document): HTMLElement {
    const sheet = new CSSStyleSheet();
    const el = document.createElement('template');

    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
    Object.defineProperty(el, 'textContent', {
        get: () => [...sheet.cssRules].map((rule) => rule.cssText).join('\n'),
        set: (text: string) => sheet.replaceSync(text),
    });
    el.remove = () => {
        document.adoptedStyleSheets = document.adoptedStyleSheets.filter((s) => s !== sheet);
        Element.prototype.remove.call(el);
    };
    return el;
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
/* The Web Awesome elements in use, one import each, and their icons from our own
   sprite: without this every <wa-icon> asks a foreign host. */
import { registerIconLibrary } from '@awesome.me/webawesome/dist/components/icon/library.js';
import '@awesome.me/webawesome/dist/components/button/button.js';
import '@awesome.me/webawesome/dist/components/dialog/dialog.js';
import '@awesome.me/webawesome/dist/components/dropdown/dropdown.js';
import '@awesome.me/webawesome/dist/components/dropdown-item/dropdown-item.js';
import '@awesome.me/webawesome/dist/components/icon/icon.js';
import { ICONS } from './icons.ts';

/** Names that the elements use inside themselves, as ours. */
const SYSTEM: Record<string, string> = { xmark: 'x', 'circle-xmark': 'x', circle: 'minus', indeterminate: 'minus' };

for (const library of ['default', 'system']) {
    registerIconLibrary(library, {
        spriteSheet: true,
        resolver: (name: string) => {
            const id = SYSTEM[name] ?? name;
            return (ICONS as readonly string[]).includes(id) ? `./icons.svg#${id}` : '';
        },
    });
}

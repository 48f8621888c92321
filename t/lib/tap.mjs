// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// Node's tests as TAP, and what failed in words on standard error: that is seen while
// t/all.pl runs, and no reader of TAP has to make sense of it.

import { writeSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';

const words = ({ cause, message, stack }) =>
    stripVTControlCharacters(String(cause?.stack ?? cause ?? stack ?? message)).replace(/^/gm, '#   ');

export default async function* tap(source) {
    let n = 0;

    for await (const { type, data } of source) {
        if (data?.nesting > 0 || (type !== 'test:pass' && type !== 'test:fail')) {
            continue;
        }
        const directive = data.skip === undefined ? '' : ` # SKIP ${data.skip === true ? '' : data.skip}`;
        const name = data.name.replace(/[\\#]/g, '\\$&').replace(/\s+/g, ' ');

        if (type === 'test:fail') {
            writeSync(2, `# Failed: ${data.name}\n${words(data.details.error)}\n`);
        }
        yield `${type === 'test:pass' ? '' : 'not '}ok ${++n} - ${name}${directive}\n`;
    }
    yield `1..${n}\n`;
}

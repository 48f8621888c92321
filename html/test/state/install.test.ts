// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// The command that a person copies runs in a real sh, with sudo, curl and wget
// that only write down what they are asked for.

import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installCommand, type Install } from '../../src/state/install.ts';

let dir: string;

const program = (name: string, text: string): void => {
    writeFileSync(join(dir, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(dir, name), 0o755);
};

beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'mesh-install.'));
    program('sudo', 'exec "$@"');
    program('id', `touch '${dir}/ran'`);
    program('uname', 'echo x86_64');

    // the file is the argument behind -o or -O, the address the last one
    const fetch = `for a; do [ "$p" = -o ] || [ "$p" = -O ] && f=$a; p=$a; done; echo "$p" >> '${dir}/asked'; echo exit 0 > "$f"`;
    program('curl', fetch);
    program('wget', fetch);
});

afterEach(() => { rmSync(dir, { recursive: true }); });

const run = (install: Partial<Install>): string[] => {
    const command = installCommand({ base: 'https://mesh.example/', group: 'mesh//abc', tool: 'curl', ids: [6], ...install });
    const done = spawnSync('sh', ['-c', command], { env: { PATH: `${dir}:/usr/bin:/bin` }, encoding: 'utf8' });
    expect(done.stderr).toBe('');
    expect(done.status).toBe(0);
    return readFileSync(join(dir, 'asked'), 'utf8').trim().split('\n');
};

describe('the command to copy', () => {
    for (const tool of ['curl', 'wget'] as const) {
        it(`fetches agent and settings with ${tool}`, () => {
            expect(run({ tool })).toEqual([
                'https://mesh.example/meshagents?id=6',
                'https://mesh.example/meshsettings?id=mesh%2F%2Fabc',
            ]);
        });
    }

    it('asks for the agent of the machine where there are several', () => {
        expect(run({ ids: [6, 26] })[0]).toBe('https://mesh.example/meshagents?id=6');
    });

    for (const sign of ['"', "'", '`id`', '$(id)', ';id;', '\nid\n', '\\', '&id&']) {
        it(`S-53: quotes ${JSON.stringify(sign)} in each value`, () => {
            const [, settings] = run({ group: `mesh//a${sign}b` });
            expect(new URL(settings ?? '').searchParams.get('id')).toBe(`mesh//a${sign}b`);
            run({ base: `https://mesh.example/${encodeURI(sign)}/` });
            expect(existsSync(join(dir, 'ran'))).toBe(false);
        });
    }
});

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// The command that a person copies runs in a real sh, with sudo, curl and wget
// that only write down what they are asked for.

import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installCommand, productsOf, type Install, type Product } from '../../src/state/install.ts';

let dir: string;

const program = (name: string, text: string): void => {
    writeFileSync(join(dir, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(dir, name), 0o755);
};

beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'mesh-install.'));
    program('sudo', 'exec "$@"');
    program('id', `touch '${dir}/ran'`);
    program('uname', 'echo ${MACHINE:-x86_64}');
    program('getconf', 'echo ${BITS:-64}');
    program('ldconfig', 'echo "${LIBS:-libssl.so.3 => /lib/libssl.so.3}"');

    // the file is the argument behind -o or -O, the address the last one, the keys those of --pinnedpubkey
    const fetch = `for a; do [ "$p" = -o ] || [ "$p" = -O ] && f=$a; p=$a; done; echo "$@" >> '${dir}/told'; echo "$p" >> '${dir}/asked'; echo 'echo "$PWD" "$0" "$@" >> ${dir}/installed' > "$f"`;
    program('curl', fetch);
    program('wget', fetch);
});

afterEach(() => { rmSync(dir, { recursive: true }); });

const PRODUCTS: Product[] = ['own', 'stock'];

const run = (install: Partial<Install>, machine = 'x86_64', more: Record<string, string> = {}): string[] => {
    const command = installCommand({ base: 'https://mesh.example/', group: 'mesh//abc', tool: 'curl', product: 'own', ids: [6], pins: [], ...install });
    const done = spawnSync('sh', ['-c', command], { env: { PATH: `${dir}:/usr/bin:/bin`, MACHINE: machine, ...more }, encoding: 'utf8' });
    expect(done.stderr).toBe('');
    expect(done.status).toBe(0);
    return readFileSync(join(dir, 'asked'), 'utf8').trim().split('\n');
};

describe('the command to copy', () => {
    for (const product of PRODUCTS) {
        for (const tool of ['curl', 'wget'] as const) {
            it(`fetches ${product} agent and settings with ${tool}`, () => {
                expect(run({ tool, product })).toEqual([
                    `https://mesh.example/meshagents?product=${product}&id=6`,
                    'https://mesh.example/meshsettings?id=mesh%2F%2Fabc',
                ]);
            });
        }

        it(`asks for the ${product} agent of the machine where there are several`, () => {
            expect(run({ product, ids: [5, 6, 25, 26, 32, 45] })[0]).toBe(`https://mesh.example/meshagents?product=${product}&id=6`);
        });
    }

    it('knows the machines that each is made for', () => {
        expect(run({ product: 'own', ids: [6, 32] }, 'aarch64')[0]).toMatch(/product=own&id=32$/);
        rmSync(join(dir, 'asked'));
        expect(run({ product: 'stock', ids: [6, 26] }, 'aarch64')[0]).toMatch(/product=stock&id=26$/);
    });

    it('takes the one of 32 bits where the programs are so, whatever the kernel is', () => {
        const ids = [6, 25, 32, 36];
        expect(run({ ids }, 'aarch64')[0]).toMatch(/&id=32$/);
        rmSync(join(dir, 'asked'));
        expect(run({ ids }, 'aarch64', { BITS: '32' })[0]).toMatch(/&id=25$/);
        rmSync(join(dir, 'asked'));
        expect(run({ ids }, 'armv7l', { BITS: '32' })[0]).toMatch(/&id=25$/);
    });

    it('takes the one that needs no library where there is no OpenSSL 3', () => {
        expect(run({ ids: [6, 36] })[0]).toMatch(/&id=6$/);
        rmSync(join(dir, 'asked'));
        expect(run({ ids: [6, 36] }, 'x86_64', { LIBS: 'libssl.so.1.1' })[0]).toMatch(/&id=36$/);
        rmSync(join(dir, 'asked'));
        expect(run({ ids: [36] })[0]).toMatch(/&id=36$/);
    });

    for (const tool of ['curl', 'wget'] as const) {
        it(`${tool} takes a server for this one by its keys, or else by a known issuer`, () => {
            const pins = [`${'A'.repeat(42)}+=`, `${'b/'.repeat(21)}c=`];
            run({ tool, pins: [...pins, '$(id)', `${'"'.repeat(43)}=`] });
            for (const told of readFileSync(join(dir, 'told'), 'utf8').trim().split('\n')) {
                expect(told).toMatch(tool === 'curl' ? / --pinnedpubkey (\S+) / : / --pinnedpubkey=(\S+) /);
                expect(told).toContain(pins.map((pin) => `sha256//${pin}`).join(';'));
                expect(told).not.toContain('id)');
            }
            rmSync(join(dir, 'told'));
            run({ tool, pins: [] });
            expect(readFileSync(join(dir, 'told'), 'utf8')).not.toMatch(/-fsSk|--insecure|--no-check/);
            expect(existsSync(join(dir, 'ran'))).toBe(false);
        });
    }

    it('installs ours, and leaves no folder behind', () => {
        run({ product: 'own' });
        const [folder = '', ...words] = readFileSync(join(dir, 'installed'), 'utf8').trim().split(' ');
        expect(words).toEqual(['./mesh-agent', 'install']);
        expect(folder).not.toBe('');
        expect(existsSync(folder)).toBe(false);
    });

    it('installs the stock one as that is done', () => {
        run({ product: 'stock' });
        expect(readFileSync(join(dir, 'installed'), 'utf8')).toMatch(/ \.\/meshagent -fullinstall\n$/);
    });

    it('offers ours first', () => {
        expect(productsOf([{ product: 'stock' }, { product: 'own' }, { product: 'stock' }])).toEqual(['own', 'stock']);
        expect(productsOf([{ product: 'stock' }])).toEqual(['stock']);
        expect(productsOf([])).toEqual([]);
    });

    for (const product of PRODUCTS) {
        for (const sign of ['"', "'", '`id`', '$(id)', ';id;', '\nid\n', '\\', '&id&']) {
            it(`S-53: quotes ${JSON.stringify(sign)} in each value of the ${product} agent's`, () => {
                const [, settings] = run({ product, group: `mesh//a${sign}b` });
                expect(new URL(settings ?? '').searchParams.get('id')).toBe(`mesh//a${sign}b`);
                run({ product, base: `https://mesh.example/${encodeURI(sign)}/` });
                expect(existsSync(join(dir, 'ran'))).toBe(false);
            });
        }
    }
});

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';
import { ICONS } from '../src/view/icons.ts';

const require = createRequire(import.meta.url);

/** One sprite of the icons named in src/view/icons.ts, served as icons.svg. */
export function sprite(): Plugin {
    const icons = join(dirname(require.resolve('lucide-static/package.json')), 'icons');

    const build = (): string => {
        const symbols = ICONS.map((name) => {
            const svg = readFileSync(join(icons, `${name}.svg`), 'utf8');
            const inner = svg.replace(/<!--[^]*?-->/g, '')
                .replace(/^[^]*?<svg[^>]*>/, '')
                .replace(/<\/svg>\s*$/, '')
                .replace(/\s+/g, ' ');
            return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" `
                + 'stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round">'
                + `${inner}</symbol>`;
        });
        return `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join('')}</svg>`;
    };

    return {
        name: 'sprite',
        configureServer(server) {
            server.middlewares.use('/icons.svg', (_req, res) => {
                res.setHeader('Content-Type', 'image/svg+xml');
                res.end(build());
            });
        },
        generateBundle() {
            this.emitFile({ type: 'asset', fileName: 'icons.svg', source: build() });
        },
    };
}

/**
 * xterm.js makes <style> elements and one style attribute; style-src 'self'
 * blocks both.  The same through CSSOM is allowed.  A new version that does it
 * in another way fails the build here.
 */
export function xtermUnderCsp(): Plugin {
    const edits: [RegExp, string, number][] = [
        [/([\w.$]+)\.createElement\("style"\)/g, '__cspStyle($1)', 3],
        [
            /(\w+)\.setAttribute\("style",`\$\{\1\.getAttribute\("style"\)\|\|""\}\$\{(\w+)\};`\)/g,
            '$1.style.cssText+=$2+";"',
            1,
        ],
    ];

    return {
        name: 'xterm-under-csp',
        transform(code, id) {
            if (!/@xterm\/xterm\/.*\.mjs$/.test(id.split('?')[0] ?? '')) {
                return null;
            }
            for (const [pattern, to, times] of edits) {
                const found = code.match(pattern)?.length ?? 0;
                if (found !== times) {
                    this.error(`${pattern} is there ${found} times, not ${times}`);
                }
                code = code.replace(pattern, to);
            }
            const from = fileURLToPath(new URL('../src/view/terminal/csp-style.ts', import.meta.url));
            return {
                code: `import { cspStyle as __cspStyle } from ${JSON.stringify(from)};\n${code}`,
                map: null,
            };
        },
    };
}

/**
 * noVNC makes data: images of pictures and cursors; img-src blocks them, blob: is
 * allowed.  A new version that does it elsewhere too fails the build here.
 */
export function novncUnderCsp(): Plugin {
    const edits: Record<string, [string, string][]> = {
        // what it has to say, the page says
        'util/logging.js': [["let _logLevel = 'warn';", "let _logLevel = 'none';"]],
        'util/browser.js': [['url("data:image/x-icon;base64,', 'url("blob:']],
        'util/cursor.js': [[
            'let url = this._canvas.toDataURL();\n'
                + "            this._target.style.cursor = 'url(' + url + ')' + hotx + ' ' + hoty + ', default';",
            `const target = this._target;
            const shape = this._shape = {};
            this._canvas.toBlob((blob) => {
                if (blob !== null && this._shape === shape && this._target === target) {
                    URL.revokeObjectURL(this._url);
                    this._url = URL.createObjectURL(blob);
                    target.style.cursor = 'url(' + this._url + ')' + hotx + ' ' + hoty + ', default';
                }
            });`,
        ], [
            "    clear() {\n        this._target.style.cursor = 'none';",
            "    clear() {\n        this._shape = null;\n        this._target.style.cursor = 'none';",
        ]],
        'display.js': [[
            'img.src = "data: " + mime + ";base64," + Base64.encode(arr);',
            `const url = URL.createObjectURL(new Blob([arr], { type: mime }));
        img.onload = img.onerror = () => URL.revokeObjectURL(url);
        img.src = url;`,
        ]],
    };

    return {
        name: 'novnc-under-csp',
        transform(code, id) {
            const file = /@novnc\/novnc\/core\/(.*\.js)$/.exec(id.split('?')[0] ?? '')?.[1];
            if (file === undefined) {
                return null;
            }
            for (const [from, to] of edits[file] ?? []) {
                if (code.split(from).length !== 2) {
                    this.error(`${file} does not have it once: ${from}`);
                }
                code = code.replace(from, () => to);
            }
            const left = /["'\x60]data: ?[\x60"'a-z]|toDataURL\(\)|innerHTML|\beval\(/.exec(code);
            if (left) {
                this.error(`${file} has ${left[0]}, which the page may not do`);
            }
            return { code, map: null };
        },
    };
}

/**
 * Of the SSH library only what a browser has: no crypto of Node, no groups of big
 * numbers in script, and of vscode-jsonrpc its events alone.
 */
export function sshForBrowsers(): Plugin {
    const none = '\0ssh-none';
    const events = '\0ssh-events';

    return {
        name: 'ssh-for-browsers',
        apply: 'build',
        enforce: 'pre',
        resolveId(id, from) {
            if (!from || !/@microsoft\/dev-tunnels-ssh\//.test(from)) {
                return null;
            }
            return /^(?:stream|diffie-hellman)$|\/node\/node\w+$/.test(id) ? none : id === 'vscode-jsonrpc' ? events : null;
        },
        load(id) {
            return id === none ? 'export {};' : id === events
                ? "export * from 'vscode-jsonrpc/lib/events';\nexport * from 'vscode-jsonrpc/lib/cancellation';" : null;
        },
    };
}

/** A .gz beside each file that is smaller compressed, for gzip_static. */
export function gzipBeside(): Plugin {
    const worth = /\.(?:js|css|html|svg|json|webmanifest)$/;

    return {
        name: 'gzip-beside',
        apply: 'build',
        enforce: 'post',
        generateBundle: {
            order: 'post',
            handler(_options, bundle) {
                for (const [name, file] of Object.entries(bundle)) {
                    if (!worth.test(name)) {
                        continue;
                    }
                    const data = file.type === 'chunk' ? file.code : file.source;
                    const plain = typeof data === 'string' ? Buffer.from(data) : Buffer.from(data);
                    const packed = gzipSync(plain, { level: 9 });
                    if (packed.length < plain.length) {
                        this.emitFile({ type: 'asset', fileName: `${name}.gz`, source: packed });
                    }
                }
                for (const name of ['theme.js', 'icon.svg']) {
                    const plain = readFileSync(new URL(`../public/${name}`, import.meta.url));
                    this.emitFile({
                        type: 'asset', fileName: `${name}.gz`, source: gzipSync(plain, { level: 9 }),
                    });
                }
            },
        },
    };
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { defineConfig } from 'vitest/config';
import { gzipBeside, novncUnderCsp, sprite, sshForBrowsers, xtermUnderCsp } from './build/plugins.ts';

export default defineConfig({
    base: './',
    plugins: [sprite(), xtermUnderCsp(), novncUnderCsp(), sshForBrowsers(), gzipBeside()],
    optimizeDeps: { exclude: ['@xterm/xterm'] },
    build: {
        target: 'es2022',
        modulePreload: { polyfill: false },
        assetsInlineLimit: 0,
        reportCompressedSize: false,
    },
    server: {
        port: 26000,
        proxy: {
            '^/[a-z]+\\.ashx': { target: process.env['MESH_DEV'] ?? 'http://127.0.0.1:26001', ws: true },
            '^/mesh(agents|settings)': { target: process.env['MESH_DEV'] ?? 'http://127.0.0.1:26001' },
        },
    },
    test: { include: ['test/**/*.test.ts'], environment: 'node', setupFiles: ['test/setup.ts'], testTimeout: 120_000, hookTimeout: 120_000 },
});

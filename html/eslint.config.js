// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
    { ignores: ['dist/', 'node_modules/', 'public/'] },
    js.configs.recommended,
    ...tseslint.configs.recommended,
    {
        rules: {
            'eqeqeq': 'error',
            'no-eval': 'error',
            'prefer-const': 'error',
            'quotes': ['error', 'single', { avoidEscape: true }],
            'semi': ['error', 'always'],
            'indent': 'off',
            'no-restricted-properties': [
                'error',
                { property: 'innerHTML', message: 'Data reaches the page through Lit bindings.' },
                { property: 'outerHTML', message: 'Data reaches the page through Lit bindings.' },
                { property: 'insertAdjacentHTML', message: 'Data reaches the page through Lit bindings.' },
            ],
            '@typescript-eslint/consistent-type-imports': 'error',
        },
    },
    {
        // wire and state know no view, views know no socket and no fetch
        files: ['src/wire/**', 'src/state/**'],
        rules: { 'no-restricted-imports': ['error', { patterns: ['**/view/**', 'lit'] }] },
    },
    {
        files: ['src/view/**'],
        rules: { 'no-restricted-globals': ['error', 'fetch', 'WebSocket', 'XMLHttpRequest'] },
    },
);

#!/usr/bin/env node
/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Builds the scripts that the server pushes to agents:
 *
 *     node agent/js/build.js [OUTDIR]        (default: build)
 *
 * writes OUTDIR/core.js and OUTDIR/recovery.js.  Each is the sources of its
 * list below, in that order, inside one function: a file may call what
 * stands in any other, but only what stands above it while it loads.  The
 * last file starts the core.  Node 18, no packages.
 */

'use strict';

const fs = require('fs');
const path = require('path');
const vm = require('vm');

const TARGETS = {
    'core.js': [
        'base.js',          /* sending, timers, checks of what the server says */
        'process.js',       /* starting programs */
        'system.js',        /* facts about this machine, from /proc and /sys */
        'windows.js',       /* the same on Windows */
        'inventory.js',     /* sysinfo: hardware, volumes, memory */
        'sessions.js',      /* counters of open sessions */
        'report.js',        /* coreinfo, netinfo, sysinfo, battery */
        'notify.js',        /* toasts, message boxes, addresses, consent */
        'terminal.js',      /* protocols 1, 6, 8 and 9 */
        'tunnel.js',        /* relay sessions up to the protocol's start */
        'target.js',        /* those to an address and a port */
        'webrtc.js',        /* their data beside the server */
        'files.js',         /* protocols 5 and 10 */
        'fileops.js',       /* what changes them, search, archives */
        'transfer.js',      /* their uploads and downloads */
        'desktop.js',       /* protocol 2, the clipboard */
        'run.js',           /* runcommands */
        'power.js',         /* power actions and wake-on-LAN */
        'update.js',        /* agentupdate */
        'console.js',       /* the console's commands */
        'core.js',          /* dispatch and start */
    ],
    'recovery.js': [
        'base.js',
        'process.js',
        'system.js',
        'windows.js',
        'sessions.js',
        'notify.js',
        'terminal.js',
        'tunnel.js',
        'update.js',
        'recovery.js',
    ],
};

/*
 * Not in ES5, or not in plain Duktape 2.7.  A scan, no parser: t/agent
 * compiles the result with Duktape itself.
 */
const FORBIDDEN = [
    [/=>/, 'arrow function'],
    [/`/, 'template string'],
    [/\b(?:let|const)\s+[\w{[]/, 'let or const'],
    [/\bclass\s+\w+/, 'class'],
    [/\b(?:async|await|yield)\b/, 'async or generator'],
    [/\.\.\./, 'spread or rest'],
    [/\bfor\s*\([^;)]*\sof\s/, 'for-of'],
    [/\.(?:find|findIndex|includes|padStart|padEnd|flat|entries)\(/,
        'method that Duktape lacks'],
    [/\.(?:startsWith|endsWith|repeat)\(/, 'method of ES2015'],
    [/\bnew\s+(?:Promise|Map|Set|WeakMap)\b/, 'global of ES2015'],
    [/\bObject\.(?:assign|values|entries)\b/, 'method of ES2015'],
];


/** Blanks comments, strings and regular expressions, keeping line ends. */
function blank(source) {
    const tokens = new RegExp([
        '/\\*[^]*?\\*/',
        '//[^\\n]*',
        '"(?:[^"\\\\\\n]|\\\\.)*"',
        "'(?:[^'\\\\\\n]|\\\\.)*'",
        '(?<=[=(,:!&|?;]\\s*)/(?![*/])(?:[^/\\\\\\n[]|\\\\.'
            + '|\\[(?:[^\\]\\\\\\n]|\\\\.)*\\])+/[gim]*',
    ].join('|'), 'g');

    return source.replace(tokens, (m) => m.replace(/[^\n]/g, ' '));
}


function check(name, source) {
    const errors = [];

    blank(source).split('\n').forEach((line, i) => {
        for (const [pattern, what] of FORBIDDEN) {
            if (pattern.test(line)) {
                errors.push(`${name}:${i + 1}: ${what}`);
            }
        }
    });

    if (/[^\x00-\x7f]/.test(source)) {
        errors.push(`${name}: not ASCII`);
    }

    return errors;
}


function build(target, dir) {
    const errors = [];
    let body = '';

    for (const name of TARGETS[target]) {
        const source = fs.readFileSync(path.join(__dirname, name), 'utf8');
        errors.push(...check(name, source));
        body += `\n/* ${name} */\n`
            + source.replace(/^\/\* Copyright[^]*?\*\/\n+/, '');
    }

    const text = '/* Copyright the ngx_mesh authors.  '
        + 'SPDX-License-Identifier: Apache-2.0 */\n'
        + '/* made by agent/js/build.js */\n\n'
        + `(function () {\n'use strict';\n${body}\n}());\n`;

    try {
        new vm.Script(text, { filename: target });
    } catch (e) {
        errors.push(e.stack.split('\n\n')[0]);
    }

    if (errors.length) {
        throw new Error(errors.join('\n'));
    }

    fs.writeFileSync(path.join(dir, target), text);
}


function main() {
    const dir = process.argv[2]
        || path.join(__dirname, '..', '..', 'build');

    fs.mkdirSync(dir, { recursive: true });
    try {
        Object.keys(TARGETS).forEach((target) => build(target, dir));
    } catch (e) {
        process.stderr.write(`${e.message}\n`);
        process.exit(1);
    }
}


if (require.main === module) {
    main();
}

module.exports = { TARGETS, check };

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * create(title, text, seconds[, layout]) -> promise; layout 1 has no "no".
 * The box is a program of its own: what shows it waits for the answer.
 */

var Promise_ = require('promise');

var YES = 0;
var LATE = 5;


function session() {
    try {
        return ['--session=' + require('user-sessions').consoleUid()];
    } catch (e) {
        return [];
    }
}


function create(title, text, seconds, layout) {
    var limit = Math.max(1, Math.floor(seconds) || 120);
    var argv = ['mesh-agent', 'desktop', 'box', '--seconds=' + limit];

    if (layout !== 1) {
        argv.push('--ask');
    }

    title = String(title).replace(/[\r\n]+/g, ' ');
    text = String(text);

    return new Promise_(function (res, rej) {
        var child = require('child_process').execFile(native.self(),
                                                      argv.concat(session()));
        var timer = setTimeout(function () {
            child.kill();
            rej('TIMEOUT');
        }, limit * 1000 + 500);

        child.on('exit', function (code) {
            clearTimeout(timer);
            if (code === YES) {
                res();
            } else {
                rej(code === LATE ? 'TIMEOUT' : 'DENIED');
            }
        });

        child.stdin.write(title + '\n' + text);
        child.stdin.end();
    });
}


module.exports = { create: create };

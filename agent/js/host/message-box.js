/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* create(title, text, seconds[, layout]) -> promise; layout 1 has no "no" */

var Promise_ = require('promise');


function create(title, text, seconds, layout) {
    var limit = String(Math.max(1, Math.floor(seconds) || 120));
    var box;

    title = String(title);
    text = String(text);

    box = require('screen-program').first(layout === 1 ? [
        ['zenity', '--info', '--no-markup', '--title=' + title,
         '--text=' + text, '--timeout=' + limit],
        ['kdialog', '--title', title, '--msgbox', text],
        ['xmessage', '-center', '-timeout', limit, '-title', title, text]
    ] : [
        ['zenity', '--question', '--no-markup', '--title=' + title,
         '--text=' + text, '--timeout=' + limit],
        ['kdialog', '--title', title, '--yesno', text],
        ['xmessage', '-center', '-timeout', limit, '-title', title,
         '-buttons', 'Yes:0,No:1', text]
    ]);

    return new Promise_(function (res, rej) {
        /* not every one of the programs knows a limit of its own */
        var timer = setTimeout(function () {
            if (box.child) {
                box.child.kill();
            }
            rej('TIMEOUT');
        }, limit * 1000 + 500);

        box.then(function (result) {
            clearTimeout(timer);
            if (result.code === 0) {
                res();
            } else {
                rej(result.code === 5 ? 'TIMEOUT' : 'DENIED');
            }
        }, function (reason) {
            clearTimeout(timer);
            rej(reason);
        });
    });
}


module.exports = { create: create };

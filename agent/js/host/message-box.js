/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* create(title, text, seconds[, layout]) -> promise; layout 1 has no "no" */

var Promise_ = require('promise');

var XMESSAGE_YES = 101;         /* it ends with 0 when nobody has answered */


function create(title, text, seconds, layout) {
    var limit = String(Math.max(1, Math.floor(seconds) || 120));
    var yes = 0;
    var late = 5;
    var programs, box, bare;

    title = String(title);
    text = String(text);

    /* kdialog takes for HTML what looks like it, and words could be hidden */
    bare = text.replace(/&/g, '\uff06').replace(/</g, '\u2039');

    programs = layout === 1 ? [
        ['zenity', '--info', '--no-markup', '--title=' + title,
         '--text=' + text, '--timeout=' + limit],
        ['kdialog', '--title', title, '--msgbox', bare],
        ['xmessage', '-center', '-timeout', limit, '-title', title, text]
    ] : [
        ['zenity', '--question', '--no-markup', '--title=' + title,
         '--text=' + text, '--timeout=' + limit],
        ['kdialog', '--title', title, '--yesno', bare],
        ['xmessage', '-center', '-timeout', limit, '-title', title,
         '-buttons', 'Yes:' + XMESSAGE_YES + ',No:1', text]
    ];
    box = require('screen-program').first(programs);

    if (layout !== 1
        && require('screen-program').named(programs) === 'xmessage')
    {
        yes = XMESSAGE_YES;
        late = 0;
    }

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
            if (result.code === yes) {
                res();
            } else {
                rej(result.code === late ? 'TIMEOUT' : 'DENIED');
            }
        }, function (reason) {
            clearTimeout(timer);
            rej(reason);
        });
    });
}


module.exports = { create: create };

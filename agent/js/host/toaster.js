/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

module.exports = {
    Toast: function (title, text) {
        return require('screen-program').first([
            ['notify-send', '--', String(title), String(text)],
            ['zenity', '--notification', '--no-markup',
             '--text=' + title + '\n' + text],
            ['kdialog', '--title', String(title), '--passivepopup',
             String(text), '10']
        ]);
    }
};

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The clipboard of the person at the screen; the module is what writes it.
 * On X11 the agent reads and writes it itself, on Wayland by a program.
 */

var program = require('screen-program');
var desktop = require('desktop');
var finder = require('lib-finder');


function wayland(name) {
    var uid;

    if (!finder.hasBinary(name)) {
        return false;
    }

    try {
        uid = require('user-sessions').consoleUid();
    } catch (e) {
        return false;
    }

    return (program.screen(uid) || {}).WAYLAND_DISPLAY !== undefined;
}


function read(uid) {
    if (wayland('wl-paste')) {
        return program.first([['wl-paste', '--no-newline']]).then(
            function (result) {
                return result.output;
            });
    }

    return desktop.run('read', uid);
}


function write(text, uid) {
    if (wayland('wl-copy')) {
        return program.run([finder.findBinary('wl-copy')], String(text));
    }

    return desktop.run('write', uid, String(text));
}


module.exports = function (text) {
    return write(text);
};
module.exports.read = function () {
    return read();
};
module.exports.write = module.exports;
module.exports.dispatchRead = read;
module.exports.dispatchWrite = write;

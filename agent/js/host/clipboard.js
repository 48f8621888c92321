/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* The clipboard of the person at the screen; the module is what writes it. */

var program = require('screen-program');
var Promise_ = require('promise');
var finder = require('lib-finder');


function read() {
    return program.first([
        ['wl-paste', '--no-newline'],
        ['xclip', '-selection', 'clipboard', '-o'],
        ['xsel', '--clipboard', '--output']
    ]).then(function (result) {
        return result.output;
    });
}


function write(text) {
    var argv = [
        ['wl-copy'],
        ['xclip', '-selection', 'clipboard', '-i'],
        ['xsel', '--clipboard', '--input']
    ].find(function (each) {
        return finder.hasBinary(each[0]);
    });

    if (argv === undefined) {
        return Promise_.reject(new Error('no program for the clipboard'));
    }

    return program.run([finder.findBinary(argv[0])].concat(argv.slice(1)),
                       String(text));
}


module.exports = write;
module.exports.read = read;
module.exports.write = write;
module.exports.dispatchRead = read;
module.exports.dispatchWrite = write;

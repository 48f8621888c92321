/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* find(folder, pattern) -> promise of paths; it has the event "result" */

var EventEmitter = require('events').EventEmitter;
var fs = require('fs');

var MAX_RESULTS = 10000;

var separator = native.facts().platform === 'win32' ? '\\' : '/';


/* "*" and "?" stand for what they do in a shell */
function pattern(text) {
    return new RegExp('^' + String(text)
        .replace(/[.+^${}()|\[\]\\]/g, '\\$&')
        .replace(/\*/g, '.*').replace(/\?/g, '.') + '$', 'i');
}


/* a folder in each turn of the loop: nobody waits for a large disk */
function find(path, filter) {
    var Promise_ = require('promise');
    var test = pattern(filter || '*');
    var folders = [String(path)];
    var results = [];
    var promise;

    function look(folder) {
        fs.readdirSync(folder).forEach(function (name) {
            var full = folder.replace(/[\/\\]*$/, separator) + name;
            var raw;

            try {
                raw = native.stat(full, true);
            } catch (e) {
                return;
            }

            if ((raw.mode & 61440) === 16384) {
                folders.push(full);

            } else if (test.test(name) && results.length < MAX_RESULTS) {
                results.push(full);
                promise.emit('result', full);
            }
        });
    }

    promise = new Promise_(function (res) {
        function step() {
            var folder = folders.shift();

            if (folder === undefined || results.length >= MAX_RESULTS) {
                res(results);
                return;
            }

            try {
                look(folder);
            } catch (e) {
                void e;                         /* it may not be read */
            }

            native.later(step);
        }

        native.later(step);
    });

    EventEmitter.call(promise, true).createEvent('result');

    return promise;
}


module.exports = { find: find };

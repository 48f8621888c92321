/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Processes. */


function list() {
    var all = {};

    (native.query('processes', '') || []).forEach(function (item) {
        all[item.pid] = { pid: String(item.pid), user: item.user || '',
                          cmd: item.cmd || item.name, path: item.path };
    });

    return all;
}


module.exports = {
    getProcesses: function (done) {
        var more = Array.prototype.slice.call(arguments, 1);

        native.later(function () {
            done.apply(undefined, [list()].concat(more));
        });
    },
    enumerateProcesses: function () {
        return require('promise').resolve(list());
    },
    getProcessInfo: function (pid) {
        var found = (native.query('processes', String(Number(pid))) || [])[0];

        if (found === undefined) {
            throw new Error('process-manager: no such process');
        }

        return found;
    }
};

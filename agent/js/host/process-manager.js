/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Processes, from /proc. */

var fs = require('fs');


function text(path) {
    try {
        return fs.readFileSync(path).toString();
    } catch (e) {
        return '';
    }
}


function getProcessInfo(pid) {
    var info = {};

    fs.readFileSync('/proc/' + Number(pid) + '/status').toString().split('\n')
    .forEach(function (line) {
        var at = line.indexOf(':');

        if (at > 0) {
            info[line.slice(0, at)] = line.slice(at + 1).trim();
        }
    });

    return info;
}


function list() {
    var names = {};
    var all = {};

    text('/etc/passwd').split('\n').forEach(function (line) {
        var part = line.split(':');

        names[part[2]] = part[0];
    });

    fs.readdirSync('/proc').forEach(function (pid) {
        var info, cmd, uid;

        if (!/^\d+$/.test(pid)) {
            return;
        }

        try {
            info = getProcessInfo(pid);
        } catch (e) {
            return;                             /* it has ended */
        }

        uid = (info.Uid || '').split(/\s+/)[1];
        cmd = text('/proc/' + pid + '/cmdline').replace(/\u0000+$/, '')
              .replace(/\u0000/g, ' ');

        all[pid] = { pid: pid, user: names[uid] || uid || '',
                     cmd: cmd === '' ? '[' + info.Name + ']' : cmd };
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
    getProcessInfo: getProcessInfo
};

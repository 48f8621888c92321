/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Programs on the screen of the person at the device: run(argv[, input])
 * -> promise of {code, output}.  It rejects where there is no screen.
 */

var Promise_ = require('promise');
var sessions = require('user-sessions');
var finder = require('lib-finder');
var fs = require('fs');

var MAX_OUTPUT = 1024 * 1024;


/* of a process of the user's that has a screen */
function screen(uid) {
    var found;

    fs.readdirSync('/proc').some(function (pid) {
        var env, match;

        if (!/^\d+$/.test(pid)) {
            return false;
        }

        try {
            if (fs.statSync('/proc/' + pid).uid !== uid) {
                return false;
            }
            env = fs.readFileSync('/proc/' + pid + '/environ').toString();

        } catch (e) {
            return false;
        }

        match = /(?:^|\u0000)DISPLAY=([^\u0000]+)/.exec(env);

        if (match === null) {
            return false;
        }

        found = { DISPLAY: match[1] };

        ['XAUTHORITY', 'DBUS_SESSION_BUS_ADDRESS', 'WAYLAND_DISPLAY',
            'XDG_RUNTIME_DIR'].forEach(function (name) {
            var value = new RegExp('(?:^|\\u0000)' + name + '=([^\\u0000]+)')
                        .exec(env);

            if (value !== null) {
                found[name] = value[1];
            }
        });

        return true;
    });

    return found;
}


function run(argv, input) {
    return new Promise_(function (res, rej) {
        var uid, env, child;
        var chunks = [];
        var size = 0;

        uid = sessions.consoleUid();
        env = screen(uid);

        if (env === undefined) {
            throw new Error('nobody is at a screen');
        }

        env.PATH = '/usr/local/bin:/usr/bin:/bin';
        env.HOME = sessions.getHomeFolder(uid);
        env.LANG = process.env.LANG || 'C.UTF-8';

        child = require('child_process').execFile(argv[0], argv,
            { uid: uid, env: env });

        this.child = child;
        child.stdout.on('data', function (data) {
            size += data.length;
            if (size <= MAX_OUTPUT) {
                chunks.push(data);
            }
        });
        child.stderr.on('data', function () {});
        child.on('exit', function (code) {
            res({ code: code, output: Buffer.concat(chunks).toString() });
        });

        if (input !== undefined) {
            child.stdin.write(input);
        }
        child.stdin.end();
        void rej;
    });
}


function there(list) {
    return list.find(function (argv) {
        return finder.hasBinary(argv[0]);
    });
}


module.exports = {
    run: run,
    screen: screen,

    /* the name of the first of these programs that there is, or null */
    named: function (list) {
        var found = there(list);

        return found === undefined ? null : found[0];
    },

    /* run() with that one; else it rejects */
    first: function (list) {
        var found = there(list);

        if (found === undefined) {
            return Promise_.reject(new Error('no program for this'));
        }

        return run([finder.findBinary(found[0])].concat(found.slice(1)));
    }
};

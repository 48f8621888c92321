/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Accounts and who is logged in. */

var EventEmitter = require('events').EventEmitter;
var fs = require('fs');

var sessions = {};


function accounts() {
    return fs.readFileSync('/etc/passwd').toString().split('\n').map(
        function (line) {
            var part = line.split(':');

            return { name: part[0], uid: parseInt(part[2], 10),
                     gid: parseInt(part[3], 10), home: part[5] };
        }).filter(function (account) {
            return account.uid >= 0;
        });
}


function account(test) {
    var found = accounts().find(test);

    if (found === undefined) {
        throw new Error('user-sessions: no such user');
    }

    return found;
}


function ofUid(uid) {
    return account(function (each) {
        return each.uid === Number(uid);
    });
}


/* done([ {user, tty} ]) */
function who(done) {
    var text = '';
    var child;

    if (!fs.existsSync('/usr/bin/who')) {
        done([]);
        return;
    }

    child = require('child_process').execFile('/usr/bin/who', ['who']);

    child.stdout.on('data', function (data) {
        text += data.toString();
    });

    child.on('exit', function () {
        done(text.split('\n').map(function (line) {
            var part = line.split(/\s+/);

            return { user: part[0], tty: part[1] };
        }).filter(function (login) {
            return login.tty !== undefined;
        }));
    });
}


function enumerate(done) {
    who(function (logins) {
        var result = {};
        var active = [];

        logins.forEach(function (login) {
            var uid;

            try {
                uid = sessions.getUid(login.user);
            } catch (e) {
                return;
            }

            if (result[uid] === undefined) {
                result[uid] = { uid: uid, Username: login.user,
                                StationName: login.tty, State: 'Active' };
                active.push(result[uid]);
            }
        });

        native.define(result, 'Active', active);
        done(result);
    });
}


EventEmitter.call(sessions, true)
    .createEvent('changed')
    .createEvent('locked')
    .createEvent('unlocked');

sessions.Self = function () {
    var match = /^Uid:\s+\d+\s+(\d+)/m.exec(
        fs.readFileSync('/proc/self/status').toString());

    return parseInt(match[1], 10);
};

sessions.isRoot = function () {
    return sessions.Self() === 0;
};

sessions.minUid = function () {
    var match;

    try {
        match = /^UID_MIN\s+(\d+)/m.exec(
            fs.readFileSync('/etc/login.defs').toString());
    } catch (e) {
        match = null;
    }

    return match ? parseInt(match[1], 10) : 1000;
};

sessions.getUsername = function (uid) {
    return ofUid(uid).name;
};

sessions.getUid = function (name) {
    return account(function (each) {
        return each.name === name;
    }).uid;
};

sessions.getGroupID = function (uid) {
    return ofUid(uid).gid;
};

sessions.getHomeFolder = function (uid) {
    return ofUid(uid).home;
};

/* of whom the files of a login manager say that he is at a screen */
sessions.consoleUid = function () {
    var uid;

    try {
        fs.readdirSync('/run/systemd/sessions').forEach(function (name) {
            var text = /\.ref$/.test(name) ? ''
                : fs.readFileSync('/run/systemd/sessions/' + name).toString();
            var match = /^UID=(\d+)/m.exec(text);

            if (match !== null && /^SEAT=/m.test(text)
                && /^ACTIVE=1/m.test(text) && !/^CLASS=greeter/m.test(text))
            {
                uid = parseInt(match[1], 10);
            }
        });
    } catch (e) {
        uid = undefined;
    }

    if (uid === undefined) {
        throw new Error('nobody is at the console');
    }

    return uid;
};

sessions.enumerateUsers = function () {
    var Promise_ = require('promise');

    return new Promise_(function (res) {
        enumerate(res);
    });
};

sessions.Current = function (callback) {
    enumerate(callback);
};

module.exports = sessions;

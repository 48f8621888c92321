/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Accounts and who is logged in: a number is that of a session here. */

var EventEmitter = require('events').EventEmitter;

var sessions = {};


function list() {
    return (native.query('sessions') || []).filter(function (session) {
        return session.user !== undefined && session.user !== '';
    });
}


function session(id) {
    var found = list().filter(function (each) {
        return each.id === Number(id);
    })[0];

    if (found === undefined) {
        throw new Error('user-sessions: no such session');
    }

    return found;
}


function enumerate(done) {
    var result = {};
    var active = [];

    list().forEach(function (each) {
        var entry = { SessionId: each.id, StationName: each.station,
                      State: each.state, Username: each.user,
                      Domain: each.domain };

        result[each.id] = entry;

        if (each.state === 'Active') {
            active.push(entry);
        }
    });

    native.define(result, 'Active', active);
    done(result);
}


EventEmitter.call(sessions, true)
    .createEvent('changed')
    .createEvent('locked')
    .createEvent('unlocked');

sessions.Self = function () {
    return (native.query('system') || {}).session;
};

sessions.isRoot = function () {
    return (native.query('system') || {}).admin === 1;
};

sessions.minUid = function () {
    return 1;
};

sessions.getUsername = function (id) {
    return session(id).user;
};

sessions.getUid = function (name) {
    var found = list().filter(function (each) {
        return each.user === name;
    })[0];

    if (found === undefined) {
        throw new Error('user-sessions: no such user');
    }

    return found.id;
};

sessions.consoleUid = function () {
    var found = list().filter(function (each) {
        return each.state === 'Active';
    })[0];

    if (found === undefined) {
        throw new Error('nobody is at the console');
    }

    return found.id;
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

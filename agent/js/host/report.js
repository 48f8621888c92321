/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Where an exception ends that nobody has caught: with the handlers of
 * process, else in the log.  The agent goes on.
 */

native.report = function (e) {
    var events = native.process ? native.process.listeners('uncaughtException')
                                : [];

    if (events.length === 0) {
        native.log(String((e && e.stack) || e).slice(0, 2000), 4);
        return;
    }

    events.forEach(function (fn) {
        try {
            fn.call(native.process, e);

        } catch (other) {
            native.log(String((other && other.stack) || other).slice(0, 2000),
                       4);
        }
    });
};

native.hooks.uncaught = function (e) {
    native.report(e);

    return true;
};

/* runs fn(); true: it did not throw */
native.guard = function (fn) {
    try {
        fn();
        return true;

    } catch (e) {
        native.report(e);
        return false;
    }
};

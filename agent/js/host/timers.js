/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* setTimeout() and its like; the objects are kept until they have fired. */

function start(args, ms, repeat) {
    var fn = args[0];
    var more = Array.prototype.slice.call(args, 2);
    var timer;

    if (typeof fn !== 'function') {
        throw new TypeError('a timer wants a function');
    }

    timer = native.timer(Number(ms) || 0, repeat);
    timer.fire = function () {
        fn.apply(timer, more);
    };

    return timer;
}


function stop(timer) {
    if (timer !== null && typeof timer === 'object'
        && typeof timer.stop === 'function' && timer.fire)
    {
        timer.stop();
    }
}


native.define(globalThis, 'setTimeout', function (fn, ms) {
    return start(arguments, ms, false);
});

native.define(globalThis, 'setInterval', function (fn, ms) {
    return start(arguments, ms, true);
});

native.define(globalThis, 'setImmediate', function () {
    var args = Array.prototype.slice.call(arguments);

    args.splice(1, 0, 0);

    return start(args, 0, false);
});

native.define(globalThis, 'clearTimeout', stop);
native.define(globalThis, 'clearInterval', stop);
native.define(globalThis, 'clearImmediate', stop);

/* for streams and promises: in the loop's next turn */
native.later = function (fn) {
    native.timer(0, false).fire = fn;
};

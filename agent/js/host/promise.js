/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Promises whose executor runs with the promise as its this. */

function Promise_(executor) {
    var promise = this;

    native.define(this, '_p', { state: 'pending', waiting: [],
                                handled: false });

    /* as in the stock agent, whose scripts look, and write the arguments */
    native.define(this, '_internal', { promise: this, completed: false,
                                       errors: false, completedArgs: [] });

    try {
        executor.call(this, function () {
            settle(promise, Array.prototype.slice.call(arguments));
        }, function (reason) {
            reject(promise, reason);
        });

    } catch (e) {
        reject(promise, e);
    }
}


/* a promise of either kind is waited for */
function settle(promise, args) {
    var value = args[0];
    var done = false;
    var then;

    if (promise._p.state !== 'pending' || promise._p.locked) {
        return;
    }

    if (value !== null && (typeof value === 'object'
                           || typeof value === 'function'))
    {
        try {
            then = value.then;
        } catch (e) {
            reject(promise, e);
            return;
        }

        if (typeof then === 'function') {
            promise._p.locked = true;

            try {
                then.call(value, function () {
                    if (!done) {
                        done = true;
                        promise._p.locked = false;
                        settle(promise, Array.prototype.slice.call(arguments));
                    }
                }, function (reason) {
                    if (!done) {
                        done = true;
                        promise._p.locked = false;
                        reject(promise, reason);
                    }
                });

            } catch (e) {
                promise._p.locked = false;
                reject(promise, e);
            }
            return;
        }
    }

    finish(promise, 'resolved', args);
}


function reject(promise, reason) {
    if (promise._p.state !== 'pending' || promise._p.locked) {
        return;
    }

    finish(promise, 'rejected', [reason]);

    native.later(function () {
        if (!promise._p.handled) {
            native.report(reason instanceof Error ? reason
                : new Error('a promise was rejected: ' + reason));
        }
    });
}


function finish(promise, state, args) {
    var waiting = promise._p.waiting;

    promise._p.state = state;
    promise._internal.completed = true;
    promise._internal.errors = state === 'rejected';
    promise._internal.completedArgs = args;
    promise._p.waiting = [];

    waiting.forEach(function (fn) {
        native.later(fn);
    });
}


Promise_.prototype.then = function (ok, fail) {
    var promise = this;
    var p = this._p;

    p.handled = true;

    return new Promise_(function (res, rej) {
        function run() {
            var fn = p.state === 'resolved' ? ok : fail;
            var args = promise._internal.completedArgs;

            if (typeof fn !== 'function') {
                (p.state === 'resolved' ? res : rej).apply(undefined, args);
                return;
            }

            try {
                res(fn.apply(promise, args));
            } catch (e) {
                rej(e);
            }
        }

        if (p.state === 'pending') {
            p.waiting.push(run);
        } else {
            native.later(run);
        }
    });
};

Promise_.prototype['catch'] = function (fail) {
    return this.then(undefined, fail);
};

Promise_.prototype['finally'] = function (fn) {
    return this.then(function (value) {
        fn();
        return value;
    }, function (reason) {
        fn();
        throw reason;
    });
};

Promise_.resolve = function (value) {
    return new Promise_(function (res) {
        res(value);
    });
};

Promise_.reject = function (reason) {
    return new Promise_(function (res, rej) {
        rej(reason);
    });
};

Promise_.all = function (list) {
    return new Promise_(function (res, rej) {
        var values = [];
        var left = list.length;

        if (left === 0) {
            res(values);
        }

        list.forEach(function (item, i) {
            Promise_.resolve(item).then(function (value) {
                values[i] = value;
                if (--left === 0) {
                    res(values);
                }
            }, rej);
        });
    });
};

Promise_.wait = function () {
    throw new Error('promise.wait: this agent does not wait');
};

module.exports = Promise_;

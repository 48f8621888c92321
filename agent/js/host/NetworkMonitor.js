/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Looks now and then whether the adapters are the same. */

var EventEmitter = require('events').EventEmitter;

var PERIOD = 15000;             /* ms */


function state() {
    return JSON.stringify(require('os').networkInterfaces());
}


/* new NetworkMonitor(): events change, add, remove */
function NetworkMonitor() {
    var monitor = this;
    var before = state();

    EventEmitter.call(this, true)
        .createEvent('change')
        .createEvent('add')
        .createEvent('remove');

    native.define(this, '_timer', setInterval(function () {
        var now = state();

        if (now !== before) {
            before = now;
            monitor.emit('change');
        }
    }, PERIOD));
}


module.exports = NetworkMonitor;

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Screens: this agent shows none yet. */

var monitors = {};

require('events').EventEmitter.call(monitors, true)
    .createEvent('kvmSupportDetected');

monitors.kvm_x11_support = false;

monitors.getInfo = function () {
    return require('promise').resolve([]);
};

monitors.getXInfo = function () {
    return null;
};

module.exports = monitors;

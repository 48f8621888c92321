/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Screens: agent.md 7.11. */

var monitors = {};

require('events').EventEmitter.call(monitors, true)
    .createEvent('kvmSupportDetected');

monitors.kvm_x11_support = require('MeshAgent').hasKVM === 1;

/* -> promise of [ {id, x, y, width, height} ] */
monitors.getInfo = function () {
    return require('desktop').run('monitors').then(function (text) {
        return JSON.parse(text);
    });
};

/* -> {tsid, display, xauthority}, or null where the user has no screen */
monitors.getXInfo = function (uid) {
    var found = require('screen-program').screen(uid);

    return found === undefined ? null
           : { tsid: uid, display: found.DISPLAY,
               xauthority: found.XAUTHORITY };
};

module.exports = monitors;

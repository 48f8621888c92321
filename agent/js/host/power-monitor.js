/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* No source of these events is watched; a core reads /sys itself. */

var monitor = {};

require('events').EventEmitter.call(monitor, true)
    .createEvent('acdc')
    .createEvent('batteryLevel')
    .createEvent('sx')
    .createEvent('display')
    .createEvent('changed');

module.exports = monitor;

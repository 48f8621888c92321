/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

var SECONDS = 20;

module.exports = {
    Toast: function (title, text) {
        return require('message-box').create(title, text, SECONDS, 1);
    }
};

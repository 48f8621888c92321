/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

module.exports = require('hash-stream')('MD5');

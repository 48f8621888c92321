/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Functions that stand alone in the global object. */

function define(name, fn) {
    native.define(globalThis, name, fn);
}


define('_MSH', native.msh);
define('_debugGC', function () {
    Duktape.gc();
});
define('attachDebugger', function () {
    throw new Error('there is no debugger');
});

define('crc32', function (bytes, initial) {
    return native.crc32(bytes, initial || 0);
});
define('crc32c', function (bytes, initial) {
    return native.crc32c(bytes, initial || 0);
});

define('htonl', function (buffer, offset, value) {
    buffer.writeUInt32BE(value >>> 0, offset);
});
define('htons', function (buffer, offset, value) {
    buffer.writeUInt16BE(value & 0xffff, offset);
});
define('ntohl', function (buffer, offset) {
    return buffer.readUInt32BE(offset || 0);
});
define('ntohs', function (buffer, offset) {
    return buffer.readUInt16BE(offset || 0);
});

/*
 * Of a program: the whole file, without a policy at its end (agent.md 4.5):
 * policy, its length (big-endian), and the sixteen bytes that mark one.
 */
var POLICY = 'B996015880544A19B7F7E9BE44914C19';

define('getSHA384FileHash', function (path) {
    var fs = require('fs');
    var size = fs.statSync(path).size;
    var file = native.open(path, 'r');
    var hash = native.hash('SHA384');
    var part = new Buffer(65536);
    var left, n;

    try {
        if (size > 20) {
            n = file.read(part, 0, 20, size - 20);

            if (n === 20 && part.slice(4, 20).toString('hex') === POLICY
                && part.readUInt32BE(0) < size - 20)
            {
                size -= 20 + part.readUInt32BE(0);
            }
        }

        for (left = size; left > 0; left -= n) {
            n = file.read(part, 0, Math.min(left, part.length), size - left);

            if (n === 0) {
                break;
            }

            hash.update(n === part.length ? part : part.slice(0, n));
        }

    } finally {
        file.close();
    }

    return hash.digest();
});

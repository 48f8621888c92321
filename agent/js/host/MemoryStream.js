/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* A stream that keeps in "buffer" what is written. */

var stream = require('stream');

var MAX = 8 * 1024 * 1024;      /* bytes */


function MemoryStream() {
    var parts = [];
    var size = 0;

    function add(chunk) {
        chunk = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;

        if (size + chunk.length > MAX) {
            throw new RangeError('too much in memory');
        }

        parts.push(chunk.slice(0));
        size += chunk.length;
        this.emit('data', chunk);
    }

    stream.Writable.call(this, {
        write: function (chunk, flush) {
            add.call(this, chunk);
            flush();
            return true;
        }
    });

    /* one piece, however often it is asked for */
    Object.defineProperty(this, 'buffer', {
        get: function () {
            parts = [Buffer.concat(parts)];
            return parts[0];
        },
        configurable: true
    });

    [['writeUInt8', 1], ['writeUInt16BE', 2], ['writeUInt32BE', 4]].forEach(
        function (pair) {
            native.define(this, pair[0], function (value) {
                var b = Buffer.alloc(pair[1]);

                b[pair[0]](value, 0);
                this.write(b);
            });
        }, this);
}

MemoryStream.prototype = Object.create(stream.Writable.prototype);
MemoryStream.prototype.constructor = MemoryStream;

module.exports = MemoryStream;

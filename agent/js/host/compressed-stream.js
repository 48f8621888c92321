/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * deflate(bytes) and inflate(bytes) -> Buffer.  The streams give their output
 * at their end: what they are made for is small.
 */

var stream = require('stream');

var MAX_INPUT = 16 * 1024 * 1024;


function create(work) {
    var chunks = [];
    var size = 0;
    var result = new stream.Duplex({
        write: function (chunk, flush) {
            size += chunk.length;

            if (size > MAX_INPUT) {
                throw new RangeError('compressed-stream: too long');
            }

            chunks.push(Buffer.concat([chunk]));
            flush();
            return true;
        },
        final: function (flush) {
            result.push(work(Buffer.concat(chunks)));
            chunks = [];
            flush();
            result.push(null);
        },
        read: function () {}
    });

    return result;
}


module.exports = {
    deflate: native.deflate,
    inflate: native.inflate,
    createCompressor: function () {
        return create(native.deflate);
    },
    createDecompressor: function () {
        return create(native.inflate);
    }
};

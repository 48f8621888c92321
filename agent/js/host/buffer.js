/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Buffer as cores know it, on the engine's own. */

var prototype = Buffer.prototype;


native.define(Buffer, 'alloc', function (size, fill) {
    var buffer;

    size = Math.floor(Number(size));

    if (!(size >= 0 && size <= 0x7fffffff)) {
        throw new RangeError('Buffer.alloc: bad size');
    }

    buffer = new Buffer(size);
    buffer.fill(typeof fill === 'number' ? fill : 0);

    return buffer;
});

native.define(Buffer, 'allocUnsafe', Buffer.alloc);

native.define(Buffer, 'from', function (value, encoding) {
    var buffer, i;

    if (typeof value === 'string') {
        return native.decode(value, encoding);
    }

    if (value instanceof Uint8Array || value instanceof ArrayBuffer) {
        return native.concat([value]);
    }

    if (!Array.isArray(value)) {
        return new Buffer(0);
    }

    buffer = new Buffer(value.length);
    for (i = 0; i < value.length; i++) {
        buffer[i] = value[i];
    }

    return buffer;
});

native.define(Buffer, 'concat', function (list, size) {
    var all = native.concat(list);

    return typeof size === 'number' && size < all.length ? all.slice(0, size)
                                                         : all;
});

native.define(Buffer, 'byteLength', function (value, encoding) {
    return typeof value === 'string' ? native.decode(value, encoding).length
                                     : value.length;
});

native.define(Buffer, 'isEncoding', function (name) {
    return ['utf8', 'utf-8', 'hex', 'base64', 'binary', 'latin1', 'ascii']
           .indexOf(String(name).toLowerCase()) >= 0;
});

native.define(prototype, 'toString', function (encoding, start, end) {
    var bytes = start === undefined && end === undefined
                ? this : this.slice(start || 0, end);

    return native.encode(bytes, encoding === undefined ? 'utf8'
                                : String(encoding).toLowerCase());
});

native.define(prototype, 'randomFill', function (start, size) {
    native.random(start === undefined ? this
                  : this.slice(start, size === undefined ? this.length
                                                         : start + size));
    return this;
});

native.define(prototype, 'swap32', function () {
    var i, byte;

    for (i = 0; i + 3 < this.length; i += 4) {
        byte = this[i];
        this[i] = this[i + 3];
        this[i + 3] = byte;
        byte = this[i + 1];
        this[i + 1] = this[i + 2];
        this[i + 2] = byte;
    }

    return this;
});

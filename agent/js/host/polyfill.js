/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* What the stock host adds to the language. */

function add(prototype, name, fn) {
    if (!(name in prototype)) {
        native.define(prototype, name, fn);
    }
}


add(Array.prototype, 'find', function (fn, self) {
    var i;

    for (i = 0; i < this.length; i++) {
        if (fn.call(self, this[i], i, this)) {
            return this[i];
        }
    }

    return undefined;
});

add(Array.prototype, 'findIndex', function (fn, self) {
    var i;

    for (i = 0; i < this.length; i++) {
        if (fn.call(self, this[i], i, this)) {
            return i;
        }
    }

    return -1;
});

add(Array.prototype, 'includes', function (value) {
    return this.some(function (item) {
        return item === value || (item !== item && value !== value);
    });
});

/* does one of them contain the text? its place, from 1; 0: none */
add(Array.prototype, 'partialIncludes', function (text) {
    var i;

    for (i = 0; i < this.length; i++) {
        if (String(this[i]).indexOf(text) >= 0) {
            return i + 1;
        }
    }

    return 0;
});

add(Array.prototype, 'peek', function () {
    return this.length > 0 ? this[this.length - 1] : undefined;
});

add(String.prototype, 'includes', function (text, from) {
    return this.indexOf(text, from) >= 0;
});

add(String.prototype, 'repeat', function (count) {
    var text = '';
    var part = String(this);

    count = Math.floor(count) || 0;

    if (count < 0 || part.length * count > 268435455) {
        throw new RangeError('repeat: bad count');
    }

    for ( ; count > 0; count = Math.floor(count / 2)) {
        if (count % 2 === 1) {
            text += part;
        }
        part += count > 1 ? part : '';
    }

    return text;
});

function padding(text, length, fill) {
    fill = fill === undefined ? ' ' : String(fill);
    length = Math.floor(length) - text.length;

    return length > 0 && fill !== ''
           ? fill.repeat(Math.ceil(length / fill.length)).slice(0, length)
           : '';
}

add(String.prototype, 'padStart', function (length, fill) {
    return padding(String(this), length, fill) + this;
});

add(String.prototype, 'padEnd', function (length, fill) {
    return this + padding(String(this), length, fill);
});

/* split() that leaves what stands in quotes together */
add(String.prototype, 'splitEx', function (separator) {
    var parts = [];
    var text = String(this);
    var part = '';
    var quoted = false;
    var i;

    for (i = 0; i < text.length; i++) {
        if (text.charAt(i) === '"') {
            quoted = !quoted;
        }

        if (!quoted && separator !== ''
            && text.substr(i, separator.length) === separator)
        {
            parts.push(part);
            part = '';
            i += separator.length - 1;

        } else {
            part += text.charAt(i);
        }
    }

    parts.push(part);

    return parts;
});

var serial = 0;

add(Object.prototype, '_hashCode', function () {
    if (!Object.prototype.hasOwnProperty.call(this, '_mesh_code')) {
        native.define(this, '_mesh_code', ++serial);
    }

    return this._mesh_code;
});

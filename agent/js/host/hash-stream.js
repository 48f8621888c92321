/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* function (digest) -> the module of it: SHA384Stream and its like */

var stream = require('stream');


module.exports = function (name) {
    function create() {
        var hash = native.hash(name);
        var result = new stream.Writable({
            write: function (chunk, flush) {
                hash.update(chunk);
                flush();
                return true;
            },
            final: function (flush) {
                var digest = hash.digest();

                flush();
                result.emit('hash', digest);
            }
        });

        result.createEvent('hash');

        native.define(result, 'syncHash', function (data) {
            var once = native.hash(name);

            once.update(data);
            return once.digest();
        });

        return result;
    }

    return { create: create };
};

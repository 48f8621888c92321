/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* query(name[, argument]) -> a fact that no other module has, or undefined */

module.exports = {
    query: function (name, argument) {
        return native.query(String(name),
                            argument === undefined ? '' : String(argument));
    }
};

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* The agent's store, as far as scripts may see it: agent.md 7.9. */

var shared = {
    Put: function (key, value) {
        return native.storePut(String(key), value) ? 0 : 1;
    },
    PutCompressed: function (key, value) {
        return shared.Put(key, value);
    },
    Get: function (key) {
        var value = native.storeGet(String(key));

        return value === undefined ? null
               : value.toString().replace(/\u0000+$/, '');
    },
    GetBuffer: function (key) {
        var value = native.storeGet(String(key));

        return value === undefined ? null : value;
    },
    Delete: function (key) {
        return native.storeDelete(String(key)) ? 0 : 1;
    },
    Compact: function () {
        return 0;
    }
};

Object.defineProperty(shared, 'Keys', { get: native.storeKeys,
                                        enumerable: true });

module.exports = {
    Shared: function () {
        return shared;
    },
    Create: function () {
        throw new Error('SimpleDataStore.Create: only Shared() is here');
    }
};

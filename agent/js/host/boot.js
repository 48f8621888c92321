/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The first script of a heap: require() and what calls it.  A module is
 * compiled when it is asked for: a core that wants few costs little.
 */

var global = globalThis;

/* not for require(): parts of the global object */
var INTERNAL = { boot: 1, globals: 1, buffer: 1, polyfill: 1, process: 1,
                 console: 1, timers: 1, report: 1 };

var host = {};                  /* names of scripts in the program */
var added = {};                 /* of addModule() */
var cache = {};


function has(object, key) {
    return Object.prototype.hasOwnProperty.call(object, key);
}


function internal(name) {
    var inner = { exports: {} };

    native.script(name).call(undefined, inner, inner.exports, load, native);

    return inner.exports;
}


function load(name) {
    var fn, loaded;

    name = String(name);

    if (has(cache, name)) {
        return cache[name].exports;
    }

    if (has(added, name)) {
        fn = native.compile('function (module, exports, require) {'
                            + added[name].source + '\n}', name + '.js', true);

    } else if (has(host, name)) {
        fn = native.script(name);

    } else {
        throw new Error('Module: ' + name + ' (NOT FOUND)');
    }

    loaded = { id: name, exports: {} };
    cache[name] = loaded;

    try {
        if (has(added, name)) {
            fn.call(loaded.exports, loaded, loaded.exports, load);
        } else {
            fn.call(undefined, loaded, loaded.exports, load, native);
        }

    } catch (e) {
        delete cache[name];
        throw e;
    }

    return loaded.exports;
}


native.scripts().forEach(function (name) {
    if (!has(INTERNAL, name)) {
        host[name] = true;
    }
});

native.hooks = {};
native.cache = cache;

native.define = function (object, name, value) {
    Object.defineProperty(object, name, {
        value: value, writable: true, configurable: true, enumerable: false
    });
};

function define(name, value) {
    native.define(global, name, value);
}

define('global', global);
define('require', load);

define('addModule', function (name, source, time) {
    if (typeof source !== 'string') {
        throw new TypeError('addModule: no source');
    }

    added[name] = { source: source, time: time };
    delete cache[name];
});

define('addCompressedModule', function (name, bytes, time) {
    global.addModule(name, native.inflate(bytes).toString(), time);
});

define('addModuleObject', function (name, object) {
    cache[name] = { id: name, exports: object };
});

define('getJSModule', function (name) {
    if (!has(added, name)) {
        throw new Error('Module: ' + name + ' (NOT FOUND)');
    }
    return added[name].source;
});

define('getJSModuleDate', function (name) {
    return has(added, name) ? added[name].time || 0 : 0;
});

define('getModules', function () {
    var names = {};

    [host, added, cache].forEach(function (table) {
        Object.keys(table).forEach(function (name) {
            names[name] = true;
        });
    });

    return Object.keys(names);
});

internal('polyfill');
internal('buffer');
internal('report');
internal('timers');
internal('process');
internal('console');
internal('globals');

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Events.  A handler that throws does not keep the others from being called,
 * nor the one who emits from going on: agent.md 7.0, 5.
 */

var KEY = '_mesh_events';
var BUILTIN = [Object.prototype, Function.prototype, Array.prototype,
               Uint8Array.prototype, Buffer.prototype];


function state(emitter) {
    if (!Object.prototype.hasOwnProperty.call(emitter, KEY)) {
        native.define(emitter, KEY, { handlers: {}, methods: {}, known: {},
                                      added: null });
    }

    return emitter[KEY];
}


function list(emitter, name) {
    var handlers = state(emitter).handlers;

    return Object.prototype.hasOwnProperty.call(handlers, name)
           ? handlers[name] : [];
}


function add(emitter, name, fn, once, first) {
    var handlers = state(emitter).handlers;
    var entry = { fn: fn, once: once };

    if (typeof fn !== 'function') {
        throw new TypeError('a handler of ' + name + ' must be a function');
    }

    /* a copy: who walks over the list now does not see the change */
    handlers[name] = first ? [entry].concat(list(emitter, name))
                           : list(emitter, name).concat([entry]);

    if (emitter[KEY].added !== null) {
        emitter[KEY].added(name, fn);
    }

    if (name !== 'newListener' && name !== 'newListener2') {
        emitter.emit('newListener', name, fn);
        emitter.emit('newListener2', name, fn);
    }

    return emitter;
}


function drop(emitter, name, test) {
    var kept = [];
    var gone = [];

    list(emitter, name).forEach(function (entry) {
        (test(entry) ? gone : kept).push(entry);
    });

    if (gone.length === 0) {
        return;
    }

    if (kept.length > 0) {
        state(emitter).handlers[name] = kept;
    } else {
        delete state(emitter).handlers[name];
    }

    if (name !== 'removeListener') {
        gone.forEach(function (entry) {
            emitter.emit('removeListener', name, entry.fn);
        });
    }
}


/* for the host: fn(name, handler) is called when a handler is added */
native.onAdded = function (emitter, fn) {
    state(emitter).added = fn;
};


/*
 * EventEmitter.call(object, true) makes an emitter of it.  The methods come
 * in by its chain of prototypes, where there is a place for them in it.
 */
function EventEmitter() {
    var object = this;
    var parent;

    if (object instanceof EventEmitter) {
        return object;
    }

    for ( ;; ) {
        parent = Object.getPrototypeOf(object);

        if (parent === Object.prototype) {
            Object.setPrototypeOf(object, EventEmitter.prototype);
            return this;
        }

        if (parent === null || BUILTIN.indexOf(parent) >= 0) {
            break;
        }

        object = parent;
    }

    Object.getOwnPropertyNames(EventEmitter.prototype).forEach(
        function (name) {
            if (name !== 'constructor') {
                native.define(this, name, EventEmitter.prototype[name]);
            }
        }, this);

    return this;
}


function method(name, fn) {
    native.define(EventEmitter.prototype, name, fn);
}


method('on', function (name, fn) {
    return add(this, name, fn, false, false);
});

method('addListener', EventEmitter.prototype.on);

method('once', function (name, fn) {
    return add(this, name, fn, true, false);
});

method('prependListener', function (name, fn) {
    return add(this, name, fn, false, true);
});

method('prependOnceListener', function (name, fn) {
    return add(this, name, fn, true, true);
});

method('removeListener', function (name, fn) {
    drop(this, name, function (entry) {
        return entry.fn === fn;
    });

    return this;
});

method('removeAllListeners', function (name) {
    (name === undefined ? this.eventNames() : [name]).forEach(
        function (each) {
            drop(this, each, function () {
                return true;
            });
        }, this);

    return this;
});

function emit(emitter, name, args, result) {
    var entries = list(emitter, name);
    var i, value;

    for (i = 0; i < entries.length; i++) {
        if (entries[i].once) {
            if (entries[i].done) {
                continue;
            }
            entries[i].done = true;
            drop(emitter, name, function (entry) {
                return entry === entries[i];
            });
        }

        try {
            value = entries[i].fn.apply(emitter, args);
            if (value !== undefined) {
                result.value = value;
            }

        } catch (e) {
            native.report(e);
        }
    }

    return entries.length > 0;
}

method('emit', function (name) {
    return emit(this, name, Array.prototype.slice.call(arguments, 1), {});
});

/* what the last handler has returned that returned anything */
method('emit_returnValue', function (name) {
    var result = {};

    emit(this, name, Array.prototype.slice.call(arguments, 1), result);

    return result.value;
});

method('eventNames', function () {
    return Object.keys(state(this).handlers);
});

method('listeners', function (name) {
    return list(this, name).map(function (entry) {
        return entry.fn;
    });
});

method('listenerCount', function (name) {
    return list(this, name).length;
});

/* obj.name = fn adds a handler; obj.name is the method of that name */
method('createEvent', function (name) {
    var own = state(this);
    var before = this[name];

    if (own.known[name]) {
        return this;
    }

    own.known[name] = true;

    if (typeof before === 'function') {
        own.methods[name] = before;
    }

    Object.defineProperty(this, name, {
        get: function () {
            return own.methods[name];
        },
        set: function (fn) {
            if (typeof fn === 'function') {
                this.on(name, fn);
            }
        },
        configurable: true,
        enumerable: false
    });

    return this;
});

method('addMethod', function (name, fn) {
    var own = state(this);

    if (own.known[name]) {
        own.methods[name] = fn;
    } else {
        native.define(this, name, fn);
    }

    return this;
});


/* the older form: returns what has createEvent() and addMethod() */
function inherits(object) {
    return EventEmitter.call(object, true);
}


/* at most one call in ms, with the arguments of the last one */
function moderated(fn, ms) {
    var timer = null;
    var args, self;

    return function () {
        args = arguments;
        self = this;

        if (timer === null) {
            timer = setTimeout(function () {
                timer = null;
                fn.apply(self, args);
            }, ms);
        }
    };
}


module.exports = {
    EventEmitter: EventEmitter,
    inherits: inherits,
    moderated: moderated,
    setFinalizerMetadata: function () {},
    showReferences: function () {
        return '';
    },
    deleteProperty: function (object, name) {
        delete object[name];
    },
    hiddenProperties: function () {
        return [];
    }
};

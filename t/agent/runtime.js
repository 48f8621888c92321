/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* What a core finds: agent.md 7. */

var fs = require('fs');
var DIR = require('os').tmpdir() + '/agent_js_test.' + process.pid + '/';
var ok = test.ok;


function throws(fn, pattern) {
    try {
        fn();
    } catch (e) {
        return pattern === undefined || pattern.test(String(e));
    }
    return false;
}


/* Buffer and text */

ok(Buffer.from('0aFf', 'hex')[1] === 255
   && Buffer.from('0aFf', 'hex').toString('hex') === '0AFF',
   'hex is read in either case and written in upper case');
ok(Buffer.from('aGk=', 'base64').toString() === 'hi'
   && Buffer.from('hi').toString('base64') === 'aGk=', 'base64 works');
ok(Buffer.from('\u00e9', 'binary').length === 1
   && Buffer.from('\u00e9').length === 2
   && Buffer.from([233]).toString('binary') === '\u00e9',
   'Latin-1 is one byte a character');
ok(Buffer.alloc(4).toString('hex') === '00000000'
   && Buffer.concat([Buffer.from('a'), new Uint8Array([98])]).toString()
      === 'ab', 'alloc() clears, concat() takes typed arrays');
ok(Buffer.from('\ud83d\ude00').toString('hex') === 'F09F9880'
   && Buffer.from('F09F9880', 'hex').toString() === '\ud83d\ude00'
   && Buffer.from('F09F9880', 'hex').toString().length === 2,
   'a character past U+FFFF is UTF-8 outside and a pair inside');
ok(Buffer.from('\ud83d').toString('hex') === 'EFBFBD'
   && Buffer.from('EDA0BD', 'hex').toString() === '\ufffd',
   'half a pair is U+FFFD on both ways');
ok(Buffer.from('FF416180', 'hex').toString() === '\ufffdAa\ufffd'
   && Buffer.from('C080', 'hex').toString() === '\ufffd\ufffd',
   'what is no UTF-8 becomes U+FFFD');
ok((function () {
    var o = {};
    o[Buffer.from('FF6F626A', 'hex').toString()] = 1;
    return Object.keys(o).length === 1;
}()), 'bytes from outside make no symbol of the engine');
ok(Buffer.alloc(8).randomFill().toString('hex') !== '0000000000000000',
   'randomFill() fills');
ok(throws(function () { Buffer.alloc(-1); }), 'a bad size throws');

/* language */

ok([1, 2].find(function (x) { return x > 1; }) === 2
   && [1, 2].findIndex(function (x) { return x > 1; }) === 1
   && [1, NaN].includes(NaN) && 'abc'.includes('b')
   && '7'.padStart(3, '0') === '007' && [1, 9].peek() === 9
   && 'a "b c" d'.splitEx(' ').length === 3,
   'the additions to the language are there');
ok(({})._hashCode() !== ({})._hashCode() && Object.keys({}).length === 0,
   'objects have codes of their own');
ok((function () {
    var o = {}, key;
    o.x = 1;
    for (key in o) {
        if (key !== 'x') { return false; }
    }
    for (key in [7]) {
        if (key !== '0') { return false; }
    }
    return true;
}()), 'the additions are not enumerated');

/* modules */

addModule('mine', 'exports.a = 1; exports.b = require("fs") !== undefined;');
ok(require('mine').a === 1 && require('mine') === require('mine')
   && require('mine').b, 'addModule() makes a module');
addModule('mine', 'module.exports = { a: 2 };');
ok(require('mine').a === 2, 'a module can be replaced');
ok(throws(function () { require('boot'); }, /NOT FOUND/)
   && throws(function () { require('buffer'); }, /NOT FOUND/),
   'parts of the host are no modules');
addModule('bad', 'throw new Error("half");');
ok(throws(function () { require('bad'); }, /half/)
   && throws(function () { require('bad'); }, /half/),
   'a module that failed is tried anew');
ok(typeof native === 'undefined' && typeof Duktape.Thread === 'undefined'
   && typeof Duktape.fin === 'undefined',
   'what only the host may use is not there');
require('promise');
getModules().filter(function (name) {
    return ['http', 'https', 'net', 'tls', 'dgram', 'mine', 'bad',
            'ILibWebRTC']
           .indexOf(name) < 0;
}).forEach(function (name) {
    if (throws(function () { require(name); })) {
        ok(false, 'the module ' + name + ' loads');
    }
});

/* events */

(function () {
    var e = {};
    var log = [];

    require('events').EventEmitter.call(e, true)
        .createEvent('data').createEvent('end')
        .addMethod('end', function () { return 'method'; });
    e.data = function (x) { log.push('a' + x, this === e); };
    e.on('data', function () { throw new Error('of a handler'); });
    e.once('data', function (x) { log.push('c' + x); });
    e.end = function () { log.push('end'); };
    test.log();
    e.emit('data', 1);
    e.emit('data', 2);
    e.emit('end');
    ok(log.join() === 'a1,true,c1,a2,true,end',
       'handlers are added by name or assignment, and called in order');
    ok(e.end() === 'method', 'a method and an event can share a name');
    ok((test.log().match(/of a handler/g) || []).length === 2,
       'a handler that throws is reported, and the next one runs');
    ok(e.eventNames().join() === 'data,end' && e.listenerCount('data') === 2,
       'once() is once');

    function C() { require('events').EventEmitter.call(this, true); }
    ok(typeof new C().on === 'function' && new C() instanceof C
       && throws(function () { return ({}).on(); }),
       'emitters are made of other classes, and of no other object');
}());

/* files */

fs.mkdirSync(DIR + 'a/b', { recursive: true });
fs.writeFileSync(DIR + 'f', 'h\u00e9llo');
fs.writeFileSync(DIR + 'f', Buffer.from('!'), { flags: 'a' });
ok(fs.readFileSync(DIR + 'f').toString() === 'h\u00e9llo!'
   && fs.statSync(DIR + 'f').size === 7 && fs.statSync(DIR + 'f').isFile()
   && /^\d{4}-.*Z$/.test(fs.statSync(DIR + 'f').mtime)
   && fs.statSync(DIR).isDirectory(), 'files are written and read');
ok(throws(function () { fs.readFileSync(DIR + 'none'); }, /ENOENT/)
   && throws(function () { fs.statSync(DIR + 'none'); }, /ENOENT/)
   && !fs.existsSync(DIR + 'none')
   && throws(function () { fs.readFileSync(DIR + 'f\u0000x'); }),
   'a missing file throws');
(function () {
    var fd = fs.openSync(DIR + 'f', 'rbN');
    var buffer = Buffer.alloc(4);

    ok(fs.readSync(fd, buffer, 1, 3, 3) === 3
       && buffer.toString('hex') === '006C6C6F', 'readSync() reads a place');
    ok(throws(function () { fs.readSync(fd, buffer, 5, 1, 0); })
       && fs.readSync(fd, buffer, 2, 100, 0) === 2,
       'readSync() stays within the buffer');
    fs.closeSync(fd);
    ok(throws(function () { fs.closeSync(fd); }, /EBADF/)
       && throws(function () { fs.closeSync(0); }, /EBADF/),
       'only descriptors of the script can be closed');
}());
fs.renameSync(DIR + 'f', DIR + 'g');
fs.copyFileSync(DIR + 'g', DIR + 'h');
fs.chmodSync(DIR + 'h', 256);
ok(fs.readdirSync(DIR).sort().join() === 'a,g,h'
   && fs.readdirSync(DIR + '*').length === 3
   && (fs.statSync(DIR + 'h').mode & 511) === 256,
   'rename, copy and chmod do as they say');
fs.unlinkSync(DIR + 'h');
fs.unlinkSync(DIR + 'a/b');
fs.unlinkSync(DIR + 'a');
ok(fs.readdirSync(DIR).join() === 'g', 'unlinkSync() takes empty folders too');

/* digests, checksums, store */

ok(require('SHA384Stream').create().syncHash('abc').toString('hex').slice(0, 8)
   === 'CB00753F' && getSHA384FileHash(DIR + 'g').length === 48,
   'digests are right');
ok(crc32c('123456789') === 0xe3069283 && crc32('123456789') === 0xcbf43926,
   'checksums are right');
addCompressedModule('packed', Buffer.from(
    'cbcd4f29cd49d54bad28c82f2a2956b05530b70600', 'hex'));
addCompressedModule('wrapped', Buffer.from(
    '789ccbcd4f29cd49d54bad28c82f2a2956b055b0b006004a5406ba', 'hex'));
ok(require('packed') === 7 && require('wrapped') === 8
   && throws(function () {
       addCompressedModule('broken', Buffer.from('ffffff', 'hex'));
   }), 'modules can be deflated');
(function () {
    var store = require('SimpleDataStore').Shared();

    ok(store.Get('k') === null && store.Put('k', 'v') === 0
       && store.Get('k') === 'v' && store.Keys.join() === 'k'
       && store.GetBuffer('k').toString('hex') === '76'
       && store.Delete('k') === 0 && store.Get('k') === null,
       'the store keeps values');
}());

/* the agent */

(function () {
    var agent = require('MeshAgent');
    var told = [];
    var i;

    agent.AddConnectHandler(function (n) { told.push(n); });
    ok(told.join() === '1', 'a late connect handler is told at once');
    ok(agent.ServerInfo.ControlChannelCertificate.digest
       === new Array(48).join('1C:') + '1C' && agent.ARCHID > 0
       && agent.hasKVM === 1 && agent.coreHash === new Array(49).join('C0')
       && require('_agentNodeId')().slice(0, 4) === 'DEAD'
       && _MSH().MeshName === 'Tests', 'the agent tells of itself');
    test.sent();
    ok(agent.SendCommand({ a: '\ud83d\ude00' }) === 1
       && agent.SendCommand('text') === 1
       && agent.SendCommand(Buffer.from('{}')) === 1
       && agent.SendCommand(Buffer.from('0001', 'hex')) === 2
       && agent.SendCommand(Buffer.alloc(0)) === -4
       && agent.SendCommand(undefined) === -4
       && test.sent()[0] === '{"a":"\ud83d\ude00"}',
       'text goes as text, bytes as bytes');
    for (i = 0; i < 50; i++) {
        agent.SendCommand({ action: 'msg', type: 'console', value: 'x' });
    }
    ok(test.sent().length === 11, 'console messages are counted');
}());
ok(process.cwd().slice(-1) === '/' && process.pid > 1
   && typeof process.env === 'object' && process.platform === 'linux'
   && /^v2\.7\./.test(process.versions.duktape), 'process is there');
ok(require('os').hostname() !== '' && require('os').Name !== ''
   && require('os').uptime() > 0, 'os is there');


/* what takes time: each calls next() */

var steps = [
    function (next) {
        var log = [];

        setTimeout(function (a, b) {
            log.push(a + b);
        }, 10, 1, 2);
        setImmediate(function (x) {
            log.push(x);
        }, 'now');
        clearTimeout(setTimeout(function () { log.push('never'); }, 5));
        clearTimeout(undefined);
        setTimeout(function () {
            ok(log.join() === 'now,3', 'timers fire in order, with arguments');
            next();
        }, 40);
    },
    function (next) {
        var Promise_ = require('promise');
        var log = [];

        new Promise_(function (res) {
            log.push(this instanceof Promise_);
            this.res = res;
            res(1);
        }).then(function (v) {
            return Promise_.resolve(v + 1);
        }).then(function (v) {
            log.push(v);
            throw new Error('no');
        })['catch'](function (e) {
            log.push(e.message);
        })['finally'](function () {
            ok(log.join() === 'true,2,no', 'promises follow each other');
            next();
        });
    },
    function (next) {
        var stream = require('stream');
        var text = '';
        var waits = [];
        var sink = new stream.Writable({
            write: function (chunk, flush) {
                text += chunk;
                waits.push(flush);
                setTimeout(flush, 2);
                return false;
            },
            final: function (flush) {
                text += '.';
                flush();
            }
        });

        ok(sink.write('a') === false && sink.write('b') === false,
           'write() is false until it is flushed');
        sink.on('finish', function () {
            ok(text === 'abcd.', 'what was written is in order, final() last');
            next();
        });
        sink.once('drain', function () {
            ok(text === 'ab', 'drain comes when all is flushed');
            sink.write('c');
            sink.end('d');
        });
    },
    function (next) {
        var stream = require('stream');
        var read = new stream.Readable({ read: function () {} });
        var out = [];
        var texts = [];
        var sink = new stream.Writable({
            write: function (chunk, flush) {
                out.push(chunk.toString());
                setTimeout(flush, 5);
                return false;
            }
        });

        read.pipe(sink, { dataTypeSkip: 1, end: false });
        read.on('data', function (chunk) {
            texts.push(chunk);
        });
        ['one', Buffer.from('two'), 'three', Buffer.from('four')].forEach(
            function (chunk) {
                read.push(chunk);
            });
        read.push(null);
        read.on('end', function () {
            ok(out.join() === 'two,four' && texts.join() === 'one,three',
               'dataTypeSkip leaves text to the handlers of data');
            next();
        });
    },
    function (next) {
        var source = DIR + 'big';
        var part = Buffer.alloc(100000, 120);
        var out = fs.createWriteStream(source, { flags: 'wb' });
        var i;

        for (i = 0; i < 5; i++) {
            out.write(part);
        }

        out.on('finish', function () {
            var copy = fs.createWriteStream(DIR + 'copy', { flags: 'wbN' });

            fs.createReadStream(source, { flags: 'rbN' }).pipe(copy);
            copy.on('finish', function () {
                var size = 0;

                ok(fs.statSync(DIR + 'copy').size === 500000
                   && getSHA384FileHash(DIR + 'copy').toString('hex')
                      === getSHA384FileHash(source).toString('hex'),
                   'files are piped');
                fs.createReadStream(source, { start: 10, end: 19 })
                .on('data', function (data) {
                    size += data.length;
                }).on('end', function () {
                    ok(size === 10, 'a part of a file is read');
                    next();
                });
            });
        });
        out.end();
    },
    function (next) {
        var hash = require('SHA384Stream').create();

        hash.on('hash', function (digest) {
            ok(digest.toString('hex').slice(0, 8) === 'CB00753F',
               'a digest is a stream');
            next();
        });
        hash.write('ab');
        hash.write(Buffer.from('c'));
        hash.end();
    },
    function (next) {
        var watcher = fs.watch(DIR, function (change, name) {
            ok(name === 'new', 'a folder is watched');
            watcher.close();
            next();
        });

        fs.writeFileSync(DIR + 'new', 'x');
    },
    function (next) {
        require('process-manager').getProcesses(function (list) {
            ok(list[process.pid] && list[process.pid].pid
               === String(process.pid)
               && /agent_js_test/.test(list[process.pid].cmd),
               'processes are listed');
            next();
        });
    },
    function (next) {
        require('user-sessions').enumerateUsers().then(function (list) {
            ok(Array.isArray(list.Active)
               && require('user-sessions').getUsername(0) === 'root'
               && require('user-sessions').getHomeFolder(0) === '/root',
               'accounts are known');
            next();
        });
    },
    function (next) {
        var z = require('compressed-stream');
        var pack = z.createCompressor();
        var open = z.createDecompressor();
        var text = '';

        pack.pipe(open);
        open.on('data', function (data) {
            text += data.toString();
        });
        open.on('end', function () {
            ok(text === 'aaaaaaaaaa'
               && z.inflate(z.deflate(Buffer.alloc(1000))).length === 1000,
               'what is deflated can be inflated');
            next();
        });
        pack.write('aaaaa');
        pack.end('aaaaa');
    },
    function (next) {
        var seen = [];
        var search = require('file-search').find(DIR, '*OP?');

        search.on('result', function (path) {
            seen.push(path);
        });
        search.then(function (list) {
            ok(list.join() === DIR + 'copy' && seen.join() === list.join(),
               'files are found by name');
            next();
        });
    },
    function (next) {
        require('toaster').Toast('title', 'text').then(function () {
            ok(false, 'a toast without a screen is refused');
            next();
        }, function () {
            ok(true, 'a toast without a screen is refused');
            next();
        });
    }
];


function step() {
    var fn = steps.shift();

    if (fn !== undefined) {
        fn(step);
        return;
    }

    fs.readdirSync(DIR).forEach(function (name) {
        fs.unlinkSync(DIR + name);
    });
    fs.rmdirSync(DIR);
    test.done();
}


/* left open for the end of the script */
setInterval(function () {}, 1000);
fs.watch('/tmp');
fs.openSync('/etc/passwd', 'r');

step();

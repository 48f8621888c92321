/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Scripts that would take the agent with them; each has a heap of its own. */

var MB = 1024 * 1024;


function fails(source, bytes, ms, pattern, name) {
    var start = Date.now();
    var ran;

    test.log();
    ran = test.start(source, bytes, ms);

    test.ok(!ran && pattern.test(test.log())
            && Date.now() - start < 60000, name);
}


fails('for (;;);', 64 * MB, 300, /RangeError.*timeout/,
      'a loop without end is stopped');
fails('for (;;) { try { for (;;); } catch (e) {} }', 64 * MB, 300, /timeout/,
      'a script cannot catch its own end');
fails('function f() { f(); } f();', 64 * MB, 2000, /RangeError/,
      'recursion without end is stopped');
fails('/(a+)+$/.exec(new Array(40).join("a") + "b");', 64 * MB, 2000,
      /RangeError|timeout/, 'a hopeless regular expression is given up');
fails('var a = [], s = "x"; for (;;) { a.push(s + a.length); s += s; }',
      8 * MB, 50000, /alloc|memory/,
      'a script that takes all memory is stopped');
fails('var b = []; for (;;) { b.push(Buffer.alloc(100000)); }',
      8 * MB, 50000, /alloc|memory/, 'Buffers count as memory of the script');
fails('require("fs").readFileSync("/dev/zero");', 8 * MB, 50000,
      /alloc|memory/, 'a file without end does not fill the memory');
fails('syntax error', 8 * MB, 4000, /SyntaxError/,
      'a script that does not compile is reported');
fails('throw new Error("at once");', 8 * MB, 4000, /at once/,
      'an exception at the start is reported');
fails('require("no-such-module");', 8 * MB, 50000,
      /Module: no-such-module \(NOT FOUND\)/, 'an unknown module throws');

test.ok(test.start('var x = 1 + 1;', 64 * MB, 4000),
        'a script runs after all of them');


/* callbacks; each is a turn of the loop */

var STEPS = [
    ['setTimeout(function () { throw new Error("in a timer"); }, 1);'
     + 'setTimeout(function () { console.log("still here"); }, 50);',
     /in a timer[^]*still here/, 'an exception in a callback is reported, '
     + 'and the script goes on'],
    ['process.on("uncaughtException", function (e) {'
     + 'console.log("handler: " + e.message); });'
     + 'setTimeout(function () { throw new Error("caught me"); }, 1);',
     /handler: caught me/, 'uncaughtException has the error'],
    ['process.on("uncaughtException", function (e) { throw e; });'
     + 'setTimeout(function () { throw new Error("twice"); }, 1);',
     /twice/, 'a handler of errors that throws harms nobody'],
    ['setTimeout(function () { for (;;); }, 1);'
     + 'setTimeout(function () { console.log("after the loop"); }, 20);',
     /timeout[^]*after the loop/, 'a loop in a callback is stopped'],
    ['var keep = [], s = "y"; setTimeout(function () { for (;;) {'
     + 'keep.push(s + keep.length); s += s; } }, 1);'
     + 'setTimeout(function () { keep = []; console.log("freed"); }, 30);',
     /alloc[^]*freed/, 'memory that ends in a callback ends only the callback'],
    ['(function () { setTimeout(function () { _debugGC();'
     + 'console.log("fired"); }, 30); }()); _debugGC();',
     /fired/, 'a timer that nobody holds fires'],
    ['var t = setInterval(function () { console.log("tick");'
     + 'clearInterval(t); }, 1);', /^(?:(?!tick)[^])*tick(?:(?!tick)[^])*$/,
     'an interval can end itself'],
    ['require("promise").reject("nobody cares");', /nobody cares/,
     'a rejected promise without a handler is reported'],
    ['var MA = require("MeshAgent"); MA.AddCommandHandler(function (m) {'
     + 'throw new Error("in a command"); });', /in a command/,
     'an exception in a command handler is reported',
     function () { test.command('{"action":"x"}'); }],
    ['require("MeshAgent").AddCommandHandler(function (m) {'
     + 'console.log(typeof m + " " + m.length); });', /string 200000/,
     'a command nested too deep is text, as one that is no JSON',
     function () { test.command(new Array(200001).join('[')); }],
    ['require("MeshAgent").AddCommandHandler(function (m) {'
     + 'console.log(Buffer.isBuffer(m) + m.toString("hex")); });',
     /true03E90000FF/, 'a binary command is a Buffer',
     function () { test.command(Buffer.from('03e90000ff', 'hex')); }],
    ['var stop = false; var child = require("child_process").execFile('
     + '"/bin/sh", ["sh", "-c", "yes"]); var n = 0;'
     + 'child.stdout.on("data", function (d) { n += d.length; });'
     + 'setTimeout(function () { child.kill(); }, 60);'
     + 'child.on("exit", function () {'
     + 'console.log("bytes " + (n > 65536)); });',
     /bytes true/, 'a program that floods is read in pieces']
];


/* ok when what happens says so, within a minute; then once more a moment later */
function eventually(happened, name, then) {
    var until = Date.now() + 60000;

    (function look() {
        if (!happened() && Date.now() < until) {
            setTimeout(look, 10);
            return;
        }

        setTimeout(function () {
            test.ok(happened(), name);
            then();
        }, 50);
    })();
}


function step() {
    var row = STEPS.shift();
    var log = '';

    if (row === undefined) {
        retired();
        return;
    }

    test.log();
    test.start(row[0], 8 * MB, 1000);

    if (row[3]) {
        row[3]();
    }

    eventually(function () {
        log += test.log();
        return row[1].test(log);
    }, row[2], step);
}


/* a retired script lives as long as its sessions */
function retired() {
    var log = '';

    test.start('var child = require("child_process").execFile("/bin/cat",'
        + '["cat"]); child.on("exit", function () {'
        + 'console.log("session over " + require("MeshAgent").SendCommand("x")'
        + '); }); require("MeshAgent").AddCommandHandler(function () {'
        + 'console.log("command"); });'
        + 'setTimeout(function () { child.stdin.end(); }, 500);',
        8 * MB, 1000);
    test.log();
    test.retire();
    test.command('{"action":"ping"}');

    test.ok(test.gone() === 0, 'a session holds a retired script');

    eventually(function () {
        return test.gone() === 1;
    }, 'a retired script goes with its sessions', function () {
        log += test.log();
        test.ok(/session over -4/.test(log),
                'a retired script does not speak to the server');
        test.ok(!/command/.test(log), 'a retired script gets no command');
        test.done();
    });
}


step();

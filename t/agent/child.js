/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Programs: with pipes, on a terminal, killed, and with nobody to read them. */

var execFile = require('child_process').execFile;
var TERM = require('child_process').SpawnTypes.TERM;
var left = 0;


function begin() {
    left++;
}

function end() {
    if (--left === 0) {
        test.done();
    }
}

function gather(stream) {
    var all = { text: '' };

    stream.on('data', function (data) {
        all.text += data.toString();
    });

    return all;
}


begin();
(function () {
    var child = execFile('/bin/sh', ['sh', '-c',
        'read line; echo "got $line $VAR"; echo wrong >&2; exit 3'],
        { env: { VAR: 'of the environment' } });
    var out = gather(child.stdout);
    var err = gather(child.stderr);

    test.ok(child.pid > 1, 'a program has a number');
    child.stdin.write('a line\n');

    child.on('exit', function (code, signal) {
        test.ok(out.text === 'got a line of the environment\n',
                'what a program prints comes before the news of its end');
        test.ok(err.text === 'wrong\n', 'standard error is its own stream');
        test.ok(code === 3 && signal === null, 'the exit code arrives');
        end();
    });
}());


begin();
(function () {
    var child = execFile('/bin/sh', ['sh', '-c',
        'stty size; tty; read line; stty size; exit 0'],
        { type: TERM, env: { LINES: '30', COLUMNS: '100',
                             PATH: '/usr/bin:/bin' } });
    var out = gather(child.stdout);
    var resized = false;

    test.ok(typeof child.pty === 'number', 'a terminal has a descriptor');

    child.stdout.on('data', function () {
        if (!resized && /\/dev\/pts\//.test(out.text)) {
            resized = true;
            child.tcsetsize(41, 121);
            child.stdin.write('x\n');
        }
    });

    child.on('exit', function (code) {
        test.ok(/^30 100\r\n/.test(out.text),
                'a terminal starts with the size of LINES and COLUMNS');
        test.ok(/\/dev\/pts\//.test(out.text),
                'a program on a terminal has a controlling one');
        test.ok(/41 121\r\n$/.test(out.text), 'tcsetsize() sets the size');
        test.ok(code === 0, 'the end of a program on a terminal arrives');
        end();
    });
}());


begin();
(function () {
    var child = execFile('/bin/sleep', ['sleep', '100']);

    child.on('exit', function (code, signal) {
        test.ok(code === null && signal === 9, 'kill() ends a program');
        test.ok(child.kill() === false, 'a program that has gone is not hit');
        end();
    });
    child.kill();
}());


begin();
execFile('/no/such/program', ['x']).on('exit', function (code) {
    test.ok(code === 127, 'a program that is not there ends with 127');
    end();
});


begin();
(function () {
    /* two pipes full: it can end only when somebody reads */
    var child = execFile('/bin/sh', ['sh', '-c',
        'head -c 300000 /dev/zero; echo done >&2']);
    var total = 0;
    var broken = 0;
    var early = false;
    var paused = false;
    var err = gather(child.stderr);

    child.stdout.on('data', function (data) {
        total += data.length;
        broken += paused ? 1 : 0;
        early = early || (err.text !== '' && total < 200000);
        paused = true;
        child.stdout.pause();

        setTimeout(function () {
            paused = false;
            child.stdout.resume();
        }, 20);
    });

    child.stdout.on('end', function () {
        test.ok(broken === 0, 'a paused stream gives no data');
        test.ok(!early, 'a program waits while its output is paused');
        test.ok(total === 300000, 'all bytes of a paused stream arrive');
        end();
    });
}());


begin();
(function () {
    /* cat gives back what it gets: both directions at their bounds */
    var child = execFile('/bin/cat', ['cat']);
    var part = Buffer.alloc(50000, 65);
    var sent = 0;
    var got = 0;
    var waits = 0;

    function more() {
        while (sent < 40) {
            sent++;
            if (!child.stdin.write(part)) {
                waits++;
                child.stdin.once('drain', more);
                return;
            }
        }
        child.stdin.end();
    }

    child.stdout.on('data', function (data) {
        got += data.length;
    });

    child.on('exit', function (code) {
        test.ok(got === 2000000 && code === 0,
                'end() closes the input when all is written');
        test.ok(waits > 0, 'write() asks to wait for a slow reader');
        end();
    });

    more();
}());


begin();
(function () {
    var child = execFile('/bin/sh', ['sh', '-c', 'sleep 0.2; echo late']);
    var out = gather(child.stdout);
    var seen = false;

    child.on('exit', function () {
        seen = true;
    });

    child.waitExit(5000);
    test.ok(seen && out.text === 'late\n',
            'waitExit() returns after the output and the end');
    end();
}());


begin();
(function () {
    var child = execFile('/bin/sh', ['sh', '-c', 'ls /proc/self/fd']);
    var out = gather(child.stdout);

    child.on('exit', function () {
        var list = out.text.trim().split('\n');

        test.ok(list.length === 4 && list.indexOf('2') >= 0,
                'a program inherits three descriptors and no other');
        end();
    });
}());


begin();
(function () {
    /* end() of a terminal is a character, and cat reads it as the end */
    var child = execFile('/bin/cat', ['cat'], { type: TERM });
    var out = gather(child.stdout);

    child.stdin.write('words\n');
    child.stdin.end();
    child.on('exit', function (code) {
        test.ok(code === 0 && /words\r\nwords\r\n/.test(out.text),
                'end() ends the input of a program on a terminal');
        end();
    });
}());


begin();
(function () {
    var fs = require('fs');
    var count = 0;

    function descriptors() {
        return fs.readdirSync('/proc/self/fd').filter(function (fd) {
            try {
                return /pipe|ptmx/.test(fs.readlinkSync('/proc/self/fd/' + fd));
            } catch (e) {
                return false;
            }
        }).length;
    }

    function over() {
        if (++count === 20) {
            /* when all that runs beside it has ended */
            setTimeout(function () {
                var now = descriptors();

                test.ok(now < 16, 'output that nobody reads keeps no '
                                  + 'descriptor of a program that has ended');
                end();
            }, 1000);
        }
    }

    for (var i = 0; i < 10; i++) {
        execFile('/bin/echo', ['echo', 'x']).on('exit', over);
        execFile('/bin/echo', ['echo', 'x'], { type: TERM }).on('exit', over);
    }
}());


/* still running when the script ends: killed with it */
execFile('/bin/sleep', ['sleep', '1000']);
execFile('/bin/sh', ['sh', '-c', 'sleep 1000'], { type: TERM });

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Servers of a script, with perl on the other side. */

var http = require('http');
var net = require('net');
var ok = test.ok;
var DIR = require('os').tmpdir() + '/agent_js_server.' + process.pid + '/';
var CLIENT = 'use IO::Socket::INET; use IO::Socket::UNIX;'
    + '$s = $ARGV[0] =~ m{/} ? IO::Socket::UNIX->new(Peer => $ARGV[0])'
    + ' : IO::Socket::INET->new("127.0.0.1:$ARGV[0]") or die "none\n";'
    + '$ARGV[1] =~ s/\\\\r\\\\n/\\r\\n/g; print $s $ARGV[1]; $s->flush;'
    + 'shutdown $s, 1 if $ARGV[2]; local $/; print <$s>;';
var steps = [];
var running = [];


/* sends text to a port or path and gives what comes back until the end */
function client(to, text, half, fn) {
    var child = require('child_process').execFile('/usr/bin/perl',
        ['perl', '-e', CLIENT, String(to), text, half ? '1' : '']);
    var said = '';

    running.push(child);
    child.stdout.on('data', function (data) {
        said += data.toString();
    });
    child.on('exit', function () {
        fn(said);
    });
}

function next() {
    if (steps.length > 0) {
        steps.shift()();
    } else {
        test.done();
    }
}


require('fs').mkdirSync(DIR);

steps.push(function () {
    var server = net.createServer(function (socket) {
        ok(socket.remoteAddress === '127.0.0.1' && socket.remotePort > 0,
           'a server knows who calls');
        socket.on('data', function (data) {
            socket.write('<' + data.toString() + '>');
        });
    });

    server.listen({ port: 0, host: '127.0.0.1' });
    client(server.address().port, 'hello', true, function (said) {
        ok(said === '<hello>',
           'what a caller says arrives, and what it is told before its end');
        var port = server.address().port;

        server.on('close', function () {
            client(port, '', true, function (said) {
                ok(said === '' && server.address() === null,
                   'who calls a server that was closed finds none');
                next();
            });
        });
        server.close();
    });
});

steps.push(function () {
    var server = net.createServer(function (socket) {
        socket.end('bye');
    });

    server.listen({ path: DIR + 'socket' });
    client(DIR + 'socket', '', false, function (said) {
        ok(said === 'bye', 'a local socket is one too');
        server.close();
        ok(!require('fs').existsSync(DIR + 'socket'),
           'and its file goes with it');
        next();
    });
});

steps.push(function () {
    var server = net.createServer(function (socket) {
        socket.on('data', function () {});
    });
    var held = 0;

    server.listen({ port: 0, host: '127.0.0.1', maxConnections: 1 });
    server.on('connection', function (socket) {
        held++;
        client(server.address().port, 'x', false, function (said) {
            ok(said === '' && held === 1,
               'who comes when the server is full is sent away');
            socket.destroy();
            server.close();
        });
    });
    client(server.address().port, 'x', false, next);
});

steps.push(function () {
    var servers = [];
    var refused = 0;
    var i;

    for (i = 0; i < 20; i++) {
        try {
            servers.push(net.createServer().listen({ port: 0 }));
        } catch (e) {
            refused++;
        }
    }

    ok(servers.length === 16 && refused === 4,
       'a script has sixteen servers and no more');
    servers.forEach(function (server) {
        server.close();
    });
    try {
        net.createServer().listen({ port: 1, host: 'nowhere' });
        ok(false, 'a host that is no address throws');
    } catch (e) {
        ok(/nowhere/.test(e.message), 'a host that is no address throws');
    }
    next();
});

steps.push(function () {
    var seen;
    var server = http.createServer(function (request, response) {
        var body = '';

        seen = request;
        request.on('data', function (data) {
            body += data.toString();
        });
        request.on('end', function () {
            response.writeHead(201, 'Made', { 'X-Body': body.length });
            response.write('one,');
            response.end('two');
        });
    }).listen({ port: 0, host: '127.0.0.1' });
    var port = server.address().port;

    client(port, 'POST /a?b HTTP/1.1\\r\\nHost: me\\r\\n'
                 + 'Content-Length: 5\\r\\n\\r\\nhello', false,
           function (said) {
        ok(seen.method === 'POST' && seen.url === '/a?b'
           && seen.headers.Host === 'me', 'a request is taken apart');
        ok(/^HTTP\/1\.1 201 Made\r\n/.test(said)
           && /\r\nX-Body: 5\r\n/.test(said)
           && /\r\n\r\n4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n$/.test(said),
           'and answered, in chunks where the length is not known');

        client(port, 'POST / HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n'
                     + '\\r\\n3\\r\\nabc\\r\\n1;x\\r\\nd\\r\\n0\\r\\n\\r\\n', false,
               function (said) {
            ok(/\r\nX-Body: 4\r\n/.test(said), 'a body in chunks is read');
            server.close();
            next();
        });
    });
});

steps.push(function () {
    var calls = 0;
    var server = http.createServer(function (request, response) {
        calls++;
        response.end('x');
    }).listen({ port: 0, host: '127.0.0.1' });
    var bad = [
        ['GET\\r\\n\\r\\n', 400], ['GET / HTTP/2.0\\r\\n\\r\\n', 400],
        ['GET / HTTP/1.1\\r\\n folded\\r\\n\\r\\n', 400],
        ['GET / HTTP/1.1\\r\\nContent-Length: -1\\r\\n\\r\\n', 400],
        ['GET / HTTP/1.1\\r\\nContent-Length: 1\\r\\ncontent-length: 2\\r\\n\\r\\n',
         400],
        ['GET / HTTP/1.1\\r\\nContent-Length: 1\\r\\n'
         + 'Transfer-Encoding: chunked\\r\\n\\r\\n', 400],
        ['GET / HTTP/1.1\\r\\nUpgrade: x\\r\\n\\r\\n', 501],
        ['GET / HTTP/1.1\\r\\nX: ' + new Array(20000).join('x'), 431]
    ];
    var good = 0;

    function one() {
        var pair = bad.shift();

        if (pair === undefined) {
            ok(calls === 0 && good === 8,
               'what is no request, or two, is refused');
            server.close();
            next();
            return;
        }

        client(server.address().port, pair[0], false, function (said) {
            good += said.indexOf('HTTP/1.1 ' + pair[1]) === 0 ? 1 : 0;
            one();
        });
    }

    one();
});

steps.push(function () {
    var server = http.createServer().listen({ port: 0, host: '127.0.0.1' });

    server.on('upgrade', function (request, socket, head) {
        socket.end('HTTP/1.1 101 Go\r\n\r\n' + request.headers.Upgrade
                   + head.toString());
    });

    client(server.address().port, 'GET / HTTP/1.1\\r\\nUpgrade: thing\\r\\n'
                                  + '\\r\\nrest', false, function (said) {
        ok(said === 'HTTP/1.1 101 Go\r\n\r\nthingrest',
           'an upgrade hands the connection over');
        server.close();
        next();
    });
});

steps.push(function () {
    var Memory = require('MemoryStream');
    var m = new Memory();

    m.write('ab');
    m.writeUInt16BE(0x6364);
    ok(m.buffer.toString() === 'abcd', 'a MemoryStream keeps what is written');

    try {
        m.write(Buffer.alloc(9 * 1024 * 1024));
        ok(false, 'but not without bound');
    } catch (e) {
        ok(m.buffer.length === 4, 'but not without bound');
    }
    next();
});

steps.push(function () {
    var P = require('promise');

    new P(function (res) {
        res(1, 2);
    }).then(function (a, b) {
        ok(a === 1 && b === 2, 'a promise hands on all that it was given');
        next();
    });
});

next();

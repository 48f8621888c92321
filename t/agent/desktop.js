/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The stream of the desktop, with programs that do not do what they should:
 * hostile() in agent_js_test.c, which one by the number of the user.
 */

var agent = require('MeshAgent');
var kvm = [];
var left = 7;


agent.on('kvmConnected', function (value) {
    kvm.push(value);
});


function end() {
    if (--left === 0) {
        test.ok(kvm.join('') === '10101010101010',
                'kvmConnected tells each start and each end');
        test.done();
    } else {
        next();
    }
}


/* done(packets) after its end */
function watch(uid, done) {
    var stream = agent.getRemoteDesktopStream(uid);
    var packets = [];

    stream.on('data', function (packet) {
        packets.push(packet);
    });
    stream.on('end', function () {
        done(packets);
        end();
    });

    return stream;
}


var steps = [function () {
    watch(1, function (packets) {
        test.ok(packets.length === 0,
                'S-22: what is no packet ends the stream');
    });
}, function () {
    watch(2, function (packets) {
        test.ok(packets.length === 1 && packets[0][1] === 65
                && /unexpectedly/.test(packets[0].toString()),
                'half a packet is not passed on, and the end of it is told');
    });
}, function () {
    watch(3, function (packets) {
        test.ok(packets.length === 0,
                'what a program may not say ends the stream');
    });
}, function () {
    watch(4, function (packets) {
        test.ok(packets.length === 0,
                'S-22: a packet of 4 GB ends the stream');
    });
}, function () {
    var stream = watch(5, function (packets) {
        var i;

        test.ok(packets.length === 2, 'one packet at a time');
        test.ok(packets[0].length === 8 && packets[0][1] === 7,
                'of one that comes byte by byte');
        test.ok(packets[1].length === 70016 && packets[1][1] === 27,
                'of one in many parts');

        for (i = 16; i < 70016 && packets[1][i] === (i & 255); i++) {
            /* all of it */
        }
        test.ok(i === 70016, 'each byte in its place');
    });
    var n = 0;

    test.ok(agent.getRemoteDesktopStream(5) === stream
            && agent.getRemoteDesktopStream() === stream,
            'all get the same stream');

    stream.on('data', function () {
        if (++n === 2) {
            stream.end();
        }
    });
}, function () {
    watch(6, function (packets) {
        test.ok(packets.length === 1
                && packets[0].slice(4).toString() === 'why',
                'a reason is told once');
    });
}, function () {
    var mouse = Buffer.from([0, 2, 0, 10, 0, 0, 0, 1, 0, 1]);
    var all = Buffer.alloc(10000);
    var stream = watch(7, function () {
        test.ok(true, 'and it ends all the same');
    });
    var i, more;

    for (i = 0; i < all.length; i++) {
        all[i] = mouse[i % 10];
    }

    for (more = true, i = 0; more && i < 100; i++) {
        more = stream.write(all);
    }

    test.ok(!more, 'S-18: input that is not read makes its sender wait');
    test.ok(stream.write(Buffer.from([0, 1, 0, 3])) === false,
            'what is no input changes nothing');
    agent.kvmRefresh();
    stream.end();
}];


function next() {
    steps.shift()();
}


test.ok(agent.hasKVM === 1, 'there is a desktop where there is X11');
next();

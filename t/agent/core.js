/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* build/core.js, as the server pushes it. */

var fs = require('fs');
var SESSION = 'user//tester/0011';


function got(list, action, type) {
    return list.filter(function (m) {
        return m.action === action && (type === undefined || m.type === type);
    });
}

function parsed() {
    return test.sent().map(function (text) {
        return JSON.parse(text);
    });
}

function ask(message) {
    test.command(JSON.stringify(message));
}

function console_(line) {
    ask({ action: 'msg', type: 'console', value: line, rights: 4294967295,
          sessionid: SESSION });
}

/* what was sent since, when it has what ready() looks for; after 20 s anyway */
function collect(ready, fn) {
    var list = [];
    var turns = 0;
    var timer = setInterval(function () {
        list = list.concat(parsed());
        if (ready(list) || ++turns > 400) {
            clearInterval(timer);
            fn(list);
        }
    }, 50);
}


test.ok(test.start(fs.readFileSync('build/core.js')), 'the core loads');

(function () {
    var list = got(parsed(), 'coreinfo');

    test.ok(list.length === 1 && list[0].caps === 15
            && typeof list[0].osdesc === 'string' && list[0].osdesc !== ''
            && /c0c0c0c0/.test(list[0].value),
            'the core says coreinfo when it is connected');
}());

ask({ action: 'sysinfo', hash: 'none', sessionid: SESSION });
console_('ls /');
console_('ps');
console_('info');
console_('eval 1+1');
console_('eval "\\u00e9\\ud83d\\ude00".length');
console_('eval "\\u00e9\\ud83d\\ude00"');
ask({ action: 'ping' });
ask({ action: 'runcommands', type: 3, cmds: 'echo one; echo two >&2; exit 4',
      rights: 4294967295, sessionid: SESSION, responseid: 'r1', reply: true });

collect(function (list) {
    return got(list, 'sysinfo').length > 0 && got(list, 'pong').length > 0
           && got(list, 'msg', 'runcommands').length > 0
           && got(list, 'msg', 'console').length >= 6;
}, function (list) {
    var sys = got(list, 'sysinfo');
    var text = got(list, 'msg', 'console').map(function (m) {
        return m.value;
    });
    var run = got(list, 'msg', 'runcommands');

    test.ok(sys.length === 1 && sys[0].data.hardware.identifiers.cpu_name
            && Array.isArray(sys[0].data.hardware.linux.volumes)
            && /^[0-9a-f]{96}$/.test(sys[0].data.hash),
            'the core answers sysinfo');
    test.ok(text.some(function (t) { return /folder +etc\b/.test(t); }),
            'the core lists a folder');
    test.ok(text.some(function (t) { return /agent_js_test/.test(t); }),
            'the core lists processes');
    test.ok(text.some(function (t) { return /wss:\/\/mesh/.test(t); }),
            'the core tells of itself');
    test.ok(text.indexOf('2') >= 0 && text.indexOf('3') >= 0,
            'the core runs scripts');
    test.ok(text.indexOf('\u00e9\ud83d\ude00') >= 0,
            'characters past U+FFFF leave as they came');
    test.ok(got(list, 'pong').length === 1, 'the core answers a ping');
    test.ok(run.length === 1 && run[0].result === 'one\ntwo\n'
            && run[0].exitcode === 4, 'the core runs commands');

    test.connect(false);
    console_('ls /');
    test.ok(test.sent().length === 0, 'nothing is sent without a server');
    test.connect(true);
    test.ok(got(parsed(), 'coreinfo').length === 1,
            'coreinfo comes again with the next connection');

    collect(function (list) {
        return got(list, 'netinfo').length > 0;
    }, function (list) {
        var net = got(list, 'netinfo');

        test.ok(net.length === 1 && net[0].netif2.lo
                && net[0].netif2.lo[0].address === '127.0.0.1'
                && net[0].netif2.lo[0].type === 'loopback',
                'netinfo has the adapters');

        console_('corerestart');
        collect(function () {
            return test.restarts() > 0;
        }, function () {
            test.ok(test.restarts() === 1, 'the core can be started anew');

            test.ok(test.start(fs.readFileSync('build/recovery.js'))
                    && got(parsed(), 'coreinfo')[0].caps === 10,
                    'the recovery core loads');
            test.done();
        });
    });
});

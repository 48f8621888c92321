/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Services, where systemd runs them. */

var finder = require('lib-finder');
var fs = require('fs');


function systemctl(args) {
    var program = fs.existsSync('/run/systemd/system')
                  ? finder.findBinary('systemctl') : null;
    var text = '';
    var child;

    if (program === null) {
        throw new Error('service-manager: no systemd');
    }

    child = require('child_process').execFile(program,
        ['systemctl', '--no-pager'].concat(args), { env: { LC_ALL: 'C' } });
    child.stdout.on('data', function (data) {
        text += data.toString();
    });
    child.stderr.on('data', function () {});
    child.waitExit(5000);

    return text;
}


function getService(name) {
    var pairs = {};

    if (!/^[A-Za-z0-9_][A-Za-z0-9_.@:\\-]*$/.test(name)) {
        throw new Error('service-manager: no such name');
    }

    systemctl(['show', '-p', 'Id,LoadState,SubState,MainPID', '--', name])
    .split('\n').forEach(function (line) {
        var at = line.indexOf('=');

        pairs[line.slice(0, at)] = line.slice(at + 1);
    });

    if (pairs.LoadState !== 'loaded') {
        throw new Error('service-manager: ' + name + ' not found');
    }

    function verb(word) {
        return function () {
            systemctl(['--no-block', word, '--', name]);
        };
    }

    return {
        name: name,
        status: pairs.SubState,
        start: verb('start'),
        stop: verb('stop'),
        restart: verb('restart'),
        isMe: function () {
            return Number(pairs.MainPID) === process.pid;
        },
        close: function () {}
    };
}


module.exports = {
    manager: {
        getService: getService,
        getServiceType: function () {
            return fs.existsSync('/run/systemd/system') ? 'systemd'
                                                        : 'unknown';
        },
        enumerateService: function () {
            return systemctl(['list-units', '--type=service', '--all',
                              '--plain', '--full', '--no-legend'])
                .split('\n').map(function (line) {
                    return /^\s*(\S+)\.service\s+\S+\s+\S+\s+(\S+)\s*(.*)$/
                           .exec(line);
                }).filter(function (match) {
                    return match !== null;
                }).map(function (match) {
                    return { name: match[1], status: match[2],
                             displayName: match[3] };
                });
        },
        installService: function () {
            throw new Error('service-manager: installService is not here');
        },
        uninstallService: function () {
            throw new Error('service-manager: uninstallService is not here');
        }
    }
};

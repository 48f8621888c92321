/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Services. */


function getService(name) {
    var service = native.query('service', String(name));

    if (!service) {
        throw new Error('service-manager: ' + name + ' not found');
    }

    function verb(word) {
        if (native.query('service-' + word, String(name)) !== true) {
            throw new Error('service-manager: ' + word + ' failed');
        }
    }

    service.start = function () {
        verb('start');
    };

    service.stop = function () {
        verb('stop');
    };

    /* a service takes its time to stop */
    service.restart = function () {
        var tries = 120;

        function again() {
            var now = native.query('service', String(name));

            if (now && now.status === 'STOPPED') {
                native.query('service-start', String(name));

            } else if (tries-- > 0) {
                setTimeout(again, 500);
            }
        }

        verb('stop');
        again();
    };

    service.isMe = function () {
        return service.pid === process.pid;
    };

    service.close = function () {};

    return service;
}


module.exports = {
    manager: {
        getService: getService,
        getServiceType: function () {
            return 'windows';
        },
        enumerateService: function () {
            return native.query('services') || [];
        },
        installService: function () {
            throw new Error('service-manager: installService is not here');
        },
        uninstallService: function () {
            throw new Error('service-manager: uninstallService is not here');
        }
    }
};

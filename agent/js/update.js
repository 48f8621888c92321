/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Replacing the agent's program: fetched from the own server only, checked
 * by hash and against the processor of the program that runs now, put in
 * place by rename, then the service is restarted.
 */

var UPDATE_TRIES = 3;
var UPDATE_WAIT = 60000;                /* ms between two tries */
var UPDATE_LIMIT = 64 * 1024 * 1024;
var UPDATE_TIMEOUT = 10 * 60 * 1000;

var updating = false;


/* {action:'agentupdate', url, hash, servertlshash, sessionid} */
function updateAgent(message) {
    var url = updateUrl(message.url);

    if (url === null || !isHash(message.hash)) {
        updateSay(message, 'The update has no address of this server or no '
                           + 'hash.');
        return;
    }

    if (!attempt(function () { return agent.isService === true; }, false)) {
        updateSay(message, 'The agent does not run as a service and cannot '
                           + 'restart itself.');
        return;
    }

    if (updating) {
        updateSay(message, 'An update is under way.');
        return;
    }

    if (updateOwnHash() === message.hash.toLowerCase()) {
        updateSay(message, 'The agent is up to date.');
        return;
    }

    updating = true;
    updateTry(message, url, 1);
}


/* the scheme of a download is https where the channel's is wss */
function updateUrl(value) {
    var url = tunnelUrl(value);

    return url === null ? null : url.replace(/^ws/, 'http');
}


function updateOwnHash() {
    return attempt(function () {
        return getSHA384FileHash(process.execPath).toString('hex')
               .toLowerCase();
    }, '');
}


function updateSay(message, text) {
    if (isText(message.sessionid, 512)) {
        answer(message, 'console', { value: text });
    }
}


function updateTry(message, url, number) {
    updateFetch(message, url, function (failure, data) {
        var path;

        if (failure === '' && sha384(data) !== message.hash.toLowerCase()) {
            failure = 'The hash of the download is wrong.';
        }

        if (failure === '' && !updateFits(data)) {
            updating = false;
            updateSay(message, 'The update is not for this processor.');
            send({ action: 'agentupdatedownloaded' });
            return;
        }

        if (failure !== '') {
            updateSay(message, failure);

            if (number >= UPDATE_TRIES) {
                updating = false;
                send({ action: 'agentupdatedownloaded' });
                return;
            }

            after(UPDATE_WAIT, function () {
                updateTry(message, url, number + 1);
            });
            return;
        }

        send({ action: 'agentupdatedownloaded' });
        path = process.execPath + '.update';

        try {
            fs.writeFileSync(path, data);
            fs.chmodSync(path, 493);                            /* 0755 */
            fs.renameSync(path, process.execPath);

        } catch (e) {
            fault(e);
            updating = false;
            updateSay(message, 'The new program could not be written.');
            return;
        }

        updateSay(message, 'The agent is updated and starts again.');
        after(1000, updateRestart);
    });
}


/* done(failure, data); failure is '' or a sentence; called once */
function updateFetch(message, url, done) {
    var chunks = [];
    var size = 0;
    var finished = false;
    var request, release, timer, options;

    function finish(failure) {
        var data;

        if (finished) {
            return;
        }

        finished = true;
        cancel(timer);
        release();
        data = failure === '' ? Buffer.concat(chunks) : null;
        chunks = [];
        guarded(function () {
            done(failure, data);
        });
    }

    try {
        options = serverOptions(url, message.servertlshash);
        options.method = 'GET';
        options.agent = false;

        request = require('http').request(options);

    } catch (e) {
        release = function () {};
        fault(e);
        finish('The download could not be started.');
        return;
    }

    release = hold(request);
    timer = after(UPDATE_TIMEOUT, function () {
        attempt(function () {
            request.abort();
        }, null);
        finish('The download took too long.');
    });

    request.on('error', function () {
        finish('The download failed.');
    });

    request.on('response', function (response) {
        if (response.statusCode !== 200) {
            finish('The server answered ' + response.statusCode + '.');
            return;
        }

        request.response_ = response;

        response.on('data', function (data) {
            size += data.length;

            if (size > UPDATE_LIMIT) {
                finish('The download is too large.');
                return;
            }

            if (!finished) {
                chunks.push(copyBytes(data));
            }
        });

        response.on('end', function () {
            finish('');
        });
    });

    request.end();
}


/* An ELF file of the same class, byte order and machine as our own. */
function updateFits(data) {
    var own = attempt(function () {
        var fd = fs.openSync(process.execPath, 'rb');
        var head = Buffer.alloc(20);

        fs.readSync(fd, head, 0, 20, 0);
        fs.closeSync(fd);

        return head;
    }, null);
    var same = [0, 1, 2, 3, 4, 5, 18, 19];

    if (own === null || data.length < 65536) {
        return false;
    }

    return own[0] === 0x7f && same.every(function (i) {
        return own[i] === data[i];
    });
}


/* systemd does it by name; everywhere else the service starts us again. */
function updateRestart() {
    var name = agent.serviceName;
    var program = exists('/run/systemd/system') ? findProgram(['systemctl'])
                                                : null;

    after(15000, function () {
        agent.forceExit(1);
    });

    if (program !== null && isServiceName(name)) {
        run([program, '--no-block', 'restart', name],
            { max: 4096, timeout: 10000 }, function (result) {
                if (result.code !== 0) {
                    agent.forceExit(1);
                }
            });
        return;
    }

    agent.forceExit(1);
}

/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Words to the person at the device.  On a screen through the host's own
 * modules; where nobody has one, on the terminals of those logged in.  The
 * host's message box hangs for ever on a Linux without a dialog program, so
 * it is asked only where one can appear.
 */

var DIALOG_PROGRAMS = ['zenity', 'kdialog', 'xmessage'];

/* of whom a question or a notice tells */
var SESSIONS = {
    Terminal: { wants: 'open a terminal on', does: 'has opened a terminal on' },
    Files: { wants: 'open a file session on',
             does: 'has opened a file session on' },
    Desktop: { wants: 'see and use the screen of',
               does: 'sees the screen of' }
};


/* Somebody looks at a screen, as far as can be told. */
function onScreen(logins) {
    return !isLinux || logins.some(function (login) {
        return login.display !== '';
    });
}


function canAsk(logins) {
    return !isLinux
           || (onScreen(logins) && findProgram(DIALOG_PROGRAMS) !== null);
}


/* Calls show(fail) on a screen; where it fails, writes to the terminals. */
function notify(title, text, show) {
    listLogins(function (logins) {
        function fail() {
            notifyTerminals(logins, title, text);
        }

        if (!onScreen(logins)
            || !attempt(function () {
                show(fail);
                return true;
            }, false))
        {
            fail();
        }
    });
}


function notifyTerminals(logins, title, text) {
    var wall = logins.length > 0 ? findProgram(['wall']) : null;

    if (wall !== null) {
        run([wall, title + ': ' + text],
            { env: { LC_ALL: 'C.UTF-8' }, max: 4096, timeout: 5000 },
            function () {});
    }
}


function titleOf(message) {
    return isText(message.title, 512) ? plain(message.title, 256)
                                      : 'Message';
}


/* {action:'toast', title, msg} */
function showToast(message) {
    var title, text;

    if (!isText(message.msg, 4096)) {
        return;
    }

    title = titleOf(message);
    text = plain(message.msg, 4096);

    log(message, 26, 'Displaying toast message, title=' + title + ', message='
                     + text, [title, text]);

    notify(title, text, function (fail) {
        holdPromise(require('toaster').Toast(title, text), null, fail);
    });
}


/* msg/messagebox and msg/alertbox {title, msg, timeout} */
function showBox(message, msgid, what) {
    var seconds = 120;
    var title, text;

    if (!isText(message.msg, 4096)) {
        return;
    }

    if (isInt(message.timeout, 0, 24 * 3600 * 1000)) {
        /* 0 is "until it is closed"; a day is as long */
        seconds = message.timeout === 0 ? 24 * 3600
                                        : Math.ceil(message.timeout / 1000);
    }

    title = titleOf(message);
    text = plain(message.msg, 4096);

    log(message, msgid, what + ', title=' + title + ', message=' + text,
        [title, text]);

    notify(title, text, function () {
        holdPromise(require('message-box').create(title, text, seconds, 1));
    });
}


/* A promise of the host, held until it is settled. */
function holdPromise(promise, ok, fail) {
    var release;

    if (!isObject(promise) || typeof promise.then !== 'function') {
        return;
    }

    release = hold(promise);

    promise.then(function (value) {
        release();
        guarded(function () {
            if (ok) {
                ok(value);
            }
        });
    }, function (reason) {
        release();
        guarded(function () {
            if (fail) {
                fail(reason);
            }
        });
    });
}


/*
 * Asks the person at the device.
 *
 *   done(true, '')           granted, or nobody has to be asked
 *   done(false, sentence)    refused, not answered, or cannot be asked
 *
 * options are the soptions of the tunnel; kind is Terminal, Files or Desktop.
 * Returns a function that gives the question up: done is not called then.
 */
function askConsent(request, options, kind, done) {
    var timeout = isInt(options.consentTimeout, 1, 3600)
                  ? options.consentTimeout : 30;
    var open = true;
    var timer = null;

    function settle(granted, reason) {
        if (open) {
            open = false;
            cancel(timer);
            done(granted, reason);
        }
    }

    listLogins(function (logins) {
        if (!open) {
            return;
        }

        if (logins.length === 0
            && (options.consentAutoAcceptIfNoUser === true
                || options['consentAutoAcceptIf' + kind + 'NoUser'] === true))
        {
            settle(true, '');
            return;
        }

        if (!canAsk(logins)) {
            if (options.consentAutoAccept === true
                && options.oldStyle === true)
            {
                settle(true, '');
                return;
            }

            settle(false, logins.length === 0
                   ? 'Nobody is logged in at the device who could agree.'
                   : 'The device has no screen on which it could ask for '
                     + 'agreement.');
            return;
        }

        timer = after(timeout * 1000 + 2000, function () {
            settle(options.consentAutoAccept === true, 'timeout');
        });

        showQuestion(request, options, kind, timeout, settle);
    });

    return function () {
        open = false;
        cancel(timer);
    };
}


function showQuestion(request, options, kind, timeout, settle) {
    var title = isText(options.consentTitle, 256)
                ? plain(options.consentTitle, 256) : 'Remote session';
    var text = isText(options['consentMsg' + kind], 1024)
               ? options['consentMsg' + kind]
               : '{0} wants to ' + SESSIONS[kind].wants
                 + ' this device. Do you agree?';

    try {
        holdPromise(
            require('message-box').create(title,
                plain(fillNames(text, request), 1024), timeout),
            function () {
                settle(true, '');
            },
            function (reason) {
                var timedOut = /timeout/i.test(String(reason));

                settle(timedOut && options.consentAutoAccept === true,
                       timedOut ? 'timeout' : 'denied');
            });

    } catch (e) {
        settle(false, 'The device could not ask for agreement.');
    }
}


/* {0} is the real name, {1} the account, with the guest's name after it */
function fillNames(text, request) {
    var account = isText(request.username, 256) ? request.username : 'unknown';
    var real = isText(request.realname, 256) ? request.realname : account;

    if (isText(request.guestname, 256)) {
        account += ' - ' + request.guestname;
        real += ' - ' + request.guestname;
    }

    return text.split('{0}').join(real).split('{1}').join(account);
}


/* A toast at the start of a session, where the policy asks for one. */
function notifySession(request, options, kind) {
    var title = isText(options.notifyTitle, 256)
                ? plain(options.notifyTitle, 256) : 'Remote session';
    var text = isText(options['notifyMsg' + kind], 1024)
               ? options['notifyMsg' + kind]
               : '{0} ' + SESSIONS[kind].does + ' this device.';

    text = plain(fillNames(text, request), 1024);

    notify(title, text, function (fail) {
        holdPromise(require('toaster').Toast(title, text), null, fail);
    });
}


/* openUrl, as an action of its own and as a type of msg */
function openUrl(message, reply) {
    var url = message.url;

    if (!isText(url, 2048) || !/^https?:\/\/[\x21-\x7e]+$/i.test(url)
        || /["'`\\<>]/.test(url))
    {
        reply(false);
        return;
    }

    log(message, 20, 'Opening: ' + urlText(message), [urlText(message)]);

    if (!isLinux) {
        reply(false);
        return;
    }

    listLogins(function (logins) {
        var account = consoleAccount(logins);
        var opener = findProgram(['xdg-open']);
        var env = findProgram(['env']);
        var argv;

        if (account === null || !account.display || opener === null
            || env === null)
        {
            reply(false);
            return;
        }

        argv = asAccount(account, [env, 'DISPLAY=' + account.display, opener,
                                   url]);

        if (argv === null) {
            reply(false);
            return;
        }

        run(argv, { max: 4096, timeout: 15000 }, function (result) {
            reply(result.code === 0 || result.timeout);
        });
    });
}

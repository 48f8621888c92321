/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What a file session changes, finds and packs; session is of files.js.  The
 * host does what is done at once, programs of the device do the rest.
 */

var MAX_DEPTH = 256;            /* of folders */


/* Who asks for it is told how a change went: {answer: true, reqid} */
function filesAnswer(session, message, ok) {
    if (message.answer === true) {
        filesReply(session, { action: 'done', command: message.action,
                              reqid: echo(message.reqid), ok: ok });
    }
}


function filesMkdir(session, message) {
    var path = filePath(message.path);

    filesJob(session, function (done) {
        var made = path !== null && attempt(function () {
            fs.mkdirSync(hostName(path));
            return true;
        }, false);

        if (made) {
            log(session.tunnel.request, 44, 'Create folder: "' + path + '"',
                [path]);

        } else {
            filesFail(session, 'The folder cannot be created.');
        }

        filesAnswer(session, message, made);
        done();
    });
}


function filesRename(session, message) {
    var folder = filePath(message.path);
    var from = childPath(folder, message.oldname);
    var to = childPath(folder, message.newname);

    filesJob(session, function (done) {
        var renamed = from !== null && to !== null
            && !(message.answer === true && from !== to
                 && fileStat(to) !== null)
            && attempt(function () {
                fs.renameSync(hostName(from), hostName(to));
                return true;
            }, false);

        if (renamed) {
            log(session.tunnel.request, 48, 'Rename: "' + from + '" to "'
                + message.newname + '"', [from, message.newname]);

        } else {
            filesFail(session, 'The file cannot be renamed.');
        }

        filesAnswer(session, message, renamed);
        done();
    });
}


/* Calls each(path, next) for one path after the other, then done(). */
function forPaths(paths, each, done) {
    var at = 0;

    function next() {
        var until = Date.now() + SLICE_TIME;
        var path, waiting, sync;

        function go() {
            if (sync) {
                waiting = false;
            } else {
                after(SLICE_PAUSE, next);
            }
        }

        while (at < paths.length) {
            if (Date.now() > until) {
                after(SLICE_PAUSE, next);
                return;
            }

            path = paths[at++];
            waiting = true;
            sync = true;
            each(path, go);
            sync = false;

            if (waiting) {
                return;
            }
        }

        done();
    }

    next();
}


function filesRm(session, message) {
    var folder = filePath(message.path);
    var all = message.rec === true;

    filesJob(session, function (done) {
        var paths = childPaths(folder, message.delfiles);
        var removed = 0;

        forPaths(paths, function (path, next) {
            removeOne(path, all, function (gone) {
                removed += gone ? 1 : 0;
                next();
            });
        }, function () {
            var wanted = Array.isArray(message.delfiles)
                         ? message.delfiles.length : 0;
            var what = removed === 1 && paths.length === 1 ? paths[0] : folder;

            if (removed > 0) {
                log(session.tunnel.request,
                    all ? 46 : what === folder ? 47 : 45,
                    'Delete' + (all ? ' recursive' : '') + ': "' + what
                    + '", ' + removed + ' element(s) removed',
                    [what, removed]);
            }

            if (removed < wanted || wanted === 0) {
                filesFail(session, 'Not everything could be deleted.');
            }

            filesAnswer(session, message, removed === wanted && wanted > 0);
            done();
        });
    });
}


/*
 * The host removes files, links and empty folders.  A full folder is left to
 * a program that follows no link out of it; the host could not even see one.
 */
function removeOne(path, all, done) {
    var program;

    if (attempt(function () {
        fs.unlinkSync(hostName(path));
        return true;
    }, false))
    {
        done(true);
        return;
    }

    program = all ? findProgram(['rm']) : null;

    if (all && isWindows) {
        removeFolder(path, done);
        return;
    }

    if (program === null || fileStat(path) === null) {
        done(false);
        return;
    }

    run([program, '-rf', '--', hostName(path)],
        { max: 4096, timeout: WORK_TIMEOUT }, function (result) {
            done(result.code === 0);
        });
}


/*
 * What is in it first.  A link is removed as such, and never looked into: for
 * that the host must be able to tell.
 */
function removeFolder(path, done) {
    var left = [path];          /* folders, the innermost last */
    var names = [null];

    function remove(full) {
        return attempt(function () {
            fs.unlinkSync(hostName(full));
            return true;
        }, false);
    }

    inSlices(function () {
        var until = Date.now() + SLICE_TIME;
        var top, full, stat;

        while (left.length > 0 && Date.now() < until) {
            top = left.length - 1;

            if (names[top] === null) {
                stat = attempt(function () {
                    return fs.lstatSync(hostName(left[top]));
                }, null);

                if (stat === null || !stat.isDirectory()
                    || left.length > MAX_DEPTH)
                {
                    done(false);
                    return false;
                }

                names[top] = attempt(function () {
                    return fs.readdirSync(hostName(left[top]));
                }, []);
            }

            if (names[top].length === 0) {
                if (!remove(left[top])) {
                    done(false);
                    return false;
                }

                left.pop();
                names.pop();
                continue;
            }

            full = left[top].replace(/[\/\\]*$/, '\\')
                   + shownName(names[top].pop());

            if (!remove(full)) {
                left.push(full);
                names.push(null);
            }
        }

        if (left.length === 0) {
            done(true);
            return false;
        }

        return true;
    });
}


/* copy and move */
function filesCopy(session, message) {
    var move = message.action === 'move';
    var from = filePath(message.scpath);
    var to = filePath(message.dspath);

    filesJob(session, function (done) {
        var sources = from === null || to === null
                      ? [] : childPaths(from, message.names);
        var copied = 0;
        var failed = sources.length === 0;

        forPaths(sources, function (path, next) {
            copyOne(path, childPath(to, baseName(path)), move,
                message.rec === true, function (success) {
                    copied += success ? 1 : 0;
                    failed = failed || !success;
                    next();
                });
        }, function () {
            var one = copied === 1 && sources.length === 1;
            var source = one ? sources[0] : from;

            if (copied > 0) {
                log(session.tunnel.request, move ? 52 : 51,
                    (move ? 'Move' : 'Copy') + ': "' + source + '" to "' + to
                    + '"' + (one ? '' : ', ' + copied + ' element(s)'),
                    [source, to, copied]);
            }

            if (failed) {
                filesFail(session, 'Not everything could be '
                                   + (move ? 'moved.' : 'copied.'));
            }

            filesAnswer(session, message, !failed);
            done();
        });
    });
}


/* tree: folders too, where there is nothing of that name */
function copyOne(from, to, move, tree, done) {
    var target = to === null ? null : fileStat(to);
    var program = findProgram(['cp']);
    var source = fileStat(from);
    var whole = tree && source !== null && source.isDirectory()
                && target === null && program !== null && to !== null
                && to.indexOf(from + '/') !== 0;

    if (from === to) {
        done(true);
        return;
    }

    if (to === null || (!whole && (!isRegular(source)
        || (target !== null && !isRegular(target)))))
    {
        done(false);
        return;
    }

    if (move && attempt(function () {
        fs.renameSync(hostName(from), hostName(to));
        return true;
    }, false))
    {
        done(true);
        return;
    }

    function copied(success) {
        if (whole && move && success) {
            removeOne(from, true, done);
            return;
        }

        done(success && (!move || attempt(function () {
            fs.unlinkSync(hostName(from));
            return true;
        }, false)));
    }

    if (isWindows) {
        copyBySteps(from, to, copied);
        return;
    }

    if (program === null) {
        copied(attempt(function () {
            fs.copyFileSync(hostName(from), hostName(to));
            return true;
        }, false));
        return;
    }

    run([program].concat(whole ? ['-a'] : [],
                         ['--', hostName(from), hostName(to)]),
        { max: 4096, timeout: WORK_TIMEOUT }, function (result) {
            copied(result.code === 0);
        });
}


function copyBySteps(from, to, done) {
    var source = openToRead(from);
    var target = source === null ? null : attempt(function () {
        return fs.openSync(hostName(to), 'wbN');
    }, null);
    var buffer = Buffer.alloc(CHUNK_SIZE);

    function end(success) {
        if (source !== null) {
            closeQuietly(source);
        }

        if (target !== null) {
            closeQuietly(target);
        }

        done(success);
    }

    if (target === null) {
        end(false);
        return;
    }

    inSlices(function () {
        var until = Date.now() + SLICE_TIME;
        var size = CHUNK_SIZE;

        while (size === CHUNK_SIZE && Date.now() < until) {
            size = attempt(function () {
                var n = readFull(source, buffer, 0, CHUNK_SIZE, null);

                writeAll(target, n === CHUNK_SIZE ? buffer
                                                  : buffer.slice(0, n), 0);
                return n;
            }, -1);
        }

        if (size === CHUNK_SIZE) {
            return true;
        }

        end(size >= 0);
        return false;
    });
}


/* on the screen of who is at the console */
function filesOpenOnDesktop(session, message) {
    var path = filePath(message.path);
    var opener = findProgram(['xdg-open']);
    var env = findProgram(['env']);

    if (path === null || fileStat(path) === null || opener === null
        || env === null)
    {
        filesFail(session, 'The file cannot be opened on the desktop.');
        return;
    }

    listLogins(function (logins) {
        var account = consoleAccount(logins);
        var argv = account === null || !account.display ? null
                   : asAccount(account, [env, 'DISPLAY=' + account.display,
                                         opener, hostName(path)]);

        if (argv === null) {
            filesFail(session, 'Nobody has a desktop on this device.');
            return;
        }

        log(session.tunnel.request, 20, 'Opening: ' + path, [path]);
        run(argv, { max: 4096, timeout: 15000 }, function () {});
    });
}


/* Search */

function filesFind(session, message) {
    var path = filePath(message.path);
    var id = String(echo(message.reqid));
    var program = findProgram(['find']);
    var search;

    function finish(list) {
        list.forEach(function (found) {
            filesReply(session, { action: 'findfile', r: found,
                                  reqid: echo(message.reqid) });
        });
        filesReply(session, { action: 'findfile', r: null,
                              reqid: echo(message.reqid) });
    }

    filesCancelFind(session, message);

    if (path === null || (program === null && !isWindows) || !isText(message.filter, 255)
        || message.filter.indexOf('\u0000') >= 0
        || Object.keys(session.searches).length >= MAX_SEARCHES)
    {
        finish([]);
        return;
    }

    search = { stop: function () {} };
    session.searches[id] = search;

    if (isWindows) {
        findBySteps(session, path, message.filter, function () {
            return session.searches[id] === search && !session.closed;
        }, function (list) {
            delete session.searches[id];
            finish(list);
        });
        return;
    }

    search.stop = run([shellPath(), '-c', 'exec "$@" 2>/dev/null', 'sh',
        program, hostName(path), '-iname', hostName(message.filter),
        '-print0'],
        { timeout: SEARCH_TIMEOUT }, function (result) {
            var list;

            if (session.searches[id] !== search || session.closed) {
                return;
            }

            delete session.searches[id];
            list = result.output.split('\u0000');
            list.pop();         /* behind the last NUL, or cut short */
            finish(list.filter(function (found) {
                return found.length > path.length
                       && found.slice(0, path.length) === path;
            }).slice(0, MAX_FOUND).map(function (found) {
                return found.slice(path.length);
            }));
        }).stop;
}


/*
 * "*" and "?" stand for what they do in a shell.  Only the last "*" is gone
 * back to, so that no pattern takes long.
 */
function fits(name, pattern) {
    var at = 0;
    var i = 0;
    var star = -1;
    var from = 0;

    while (i < name.length) {
        if (pattern.charAt(at) === '*') {
            star = at++;
            from = i;

        } else if (at < pattern.length && (pattern.charAt(at) === '?'
                   || pattern.charAt(at) === name.charAt(i)))
        {
            at++;
            i++;

        } else if (star >= 0) {
            at = star + 1;
            i = ++from;

        } else {
            return false;
        }
    }

    return /^\**$/.test(pattern.slice(at));
}


/* links are not looked into */
function findBySteps(session, path, filter, goesOn, done) {
    var until = Date.now() + SEARCH_TIMEOUT;
    var folders = [''];         /* below path */
    var found = [];
    var root = path.replace(/[\/\\]*$/, '\\');

    filter = filter.toLowerCase();

    function look(folder) {
        attempt(function () {
            return fs.readdirSync(hostName(root + folder));
        }, []).forEach(function (name) {
            var below = folder + shownName(name);
            var stat = attempt(function () {
                return fs.lstatSync(hostName(root + below));
            }, null);

            if (found.length < MAX_FOUND
                && fits(shownName(name).toLowerCase(), filter))
            {
                found.push(root.slice(path.length) + below);
            }

            if (stat !== null && stat.isDirectory()
                && folders.length < MAX_ENTRIES)
            {
                folders.push(below + '\\');
            }
        });
    }

    inSlices(function () {
        var end = Date.now() + SLICE_TIME;

        while (goesOn() && folders.length > 0 && found.length < MAX_FOUND
               && Date.now() < end)
        {
            look(folders.pop());
        }

        if (!goesOn()) {
            return false;
        }

        if (folders.length > 0 && found.length < MAX_FOUND
            && Date.now() < until)
        {
            return true;
        }

        done(found);
        return false;
    });
}


function filesCancelFind(session, message) {
    var id = String(echo(message.reqid));
    var search = session.searches[id];

    if (has(session.searches, id)) {
        delete session.searches[id];
        search.stop();
    }
}


/* Archives, by the programs of the device */

function filesZip(session, message) {
    var folder = filePath(message.path);
    var output = childPath(folder, message.output);
    var names = childPaths(folder, message.files).map(function (path) {
        return './' + hostName(baseName(path));
    });
    var program = findProgram(['zip']);

    if (output === null || names.length === 0 || session.zip !== null) {
        filesFail(session, 'The archive cannot be made.');
        return;
    }

    if (program === null) {
        filesFail(session, 'The device has no program "zip".');
        return;
    }

    archive(session, 'zipping', output, [program, '-r', '-q',
        hostName(output)].concat(names), folder, null);
}


function filesUnzip(session, message) {
    var input = filePath(message.input);
    var folder = filePath(message.dest);
    var program = findProgram(['unzip']);
    var stat = folder === null ? null : fileStat(folder);
    var error = null;

    if (input === null || !isRegular(fileStat(input)) || stat === null
        || !stat.isDirectory() || session.zip !== null)
    {
        error = 'The archive or the folder cannot be read.';

    } else if (program === null) {
        error = 'The device has no program "unzip".';
    }

    if (error !== null) {
        filesReply(session, { action: 'dialogmessage', msg: 'unziperror',
                              error: error });
        return;
    }

    archive(session, 'unzipping', null,
            [program, '-o', '-q', hostName(input)], folder, 'unziperror');
}


/* output is deleted when it is given up; failure: the message's name for it */
function archive(session, what, output, argv, folder, failure) {
    var work = { stop: function () {}, output: output };

    session.zip = work;
    filesReply(session, { action: 'dialogmessage', msg: what });

    work.stop = run([shellPath(), '-c', 'cd -- "$1" || exit 1; shift; '
        + 'exec "$@"', 'sh', hostName(folder)].concat(argv),
        { max: 4096, timeout: WORK_TIMEOUT }, function (result) {
            if (session.zip !== work || session.closed) {
                return;
            }

            session.zip = null;

            if (result.code !== 0 && failure !== null) {
                filesReply(session, { action: 'dialogmessage', msg: failure,
                                      error: plain(result.output, 512) });
                return;
            }

            filesReply(session, { action: 'dialogmessage', msg: null });
            filesReply(session, { action: 'refresh' });

            if (result.code !== 0) {
                filesFail(session, 'The archive is not complete.');
            }
        }).stop;
}


function filesCancelZip(session) {
    var work = session.zip;

    if (work === null) {
        return;
    }

    session.zip = null;
    work.stop();

    if (work.output !== null) {
        attempt(function () {
            fs.unlinkSync(hostName(work.output));
        }, null);
    }

    filesReply(session, { action: 'dialogmessage', msg: null });
    filesReply(session, { action: 'refresh' });
}

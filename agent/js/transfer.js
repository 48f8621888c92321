/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Uploads and downloads of a file session; session is of files.js.  A tunnel
 * has one upload and one download at a time.
 */

var BLOCK_SIZE = 16380;         /* bytes of data in a block */
var BLOCK_HEAD = 4;
var DEFAULT_CREDIT = 8;
var MAX_CREDIT = 64;            /* blocks that may be under way */
var CHUNK_SIZE = 65536;

/* the stock host reads from a position of 31 bits, and no further, unsaid */
var FAR = 0x7fff0000;


/*
 * Reads until buffer is full or the file ends, from position on or, null, from
 * where it is; throws what the host throws.  Returns the end of what was read.
 */
function readFull(fd, buffer, at, length, position) {
    var start = at;
    var end = at + length;
    var n;

    while (at < end) {
        n = fs.readSync(fd, buffer, at, end - at,
                        position === null ? null : position + at - start);

        if (!(n > 0)) {
            break;
        }

        at += n;
    }

    return at;
}


function closeQuietly(fd) {
    attempt(function () {
        fs.closeSync(fd);
    }, null);
}


/* A descriptor of a regular file to read, or null. */
function openToRead(path) {
    return path !== null && isRegular(fileStat(path)) ? attempt(function () {
        return fs.openSync(hostName(path), 'rbN');
    }, null) : null;
}


/* Upload */

function uploadPath(message) {
    var folder = filePath(message.path);

    return message.name === undefined || message.name === null
           ? folder : childPath(folder, message.name);
}


function uploadReply(session, type, reqid) {
    filesReply(session, { action: type, reqid: echo(reqid) });
}


/* sessions that have one */
var uploads = [];


/*
 * Who goes on where his connection broke may be here before the end of the old
 * one: that one writes no more, and what the stock host has not written yet is
 * written now, not behind what follows.
 */
function uploadTakeOver(session, path) {
    var user = session.tunnel.user();

    uploads.filter(function (other) {
        return other !== session && other.upload.path === path
               && other.tunnel.user() === user;
    }).forEach(function (other) {
        var reqid = other.upload.reqid;

        uploadClose(other);
        uploadReply(other, 'uploaderror', reqid);
        filesFail(other, 'The upload goes on from another window.');
    });
}


/* {path, name, size, append} */
function uploadStart(session, message) {
    var path = uploadPath(message);
    var append = message.append === true;
    var size = isInt(message.size, 0, 9007199254740991) ? message.size : 0;
    var stat, fd;

    uploadClose(session);
    uploadTakeOver(session, path);

    stat = path === null ? null : fileStat(path);
    fd = path === null || (stat !== null && !isRegular(stat)) ? null
         : attempt(function () {
             return fs.openSync(hostName(path), append ? 'abN' : 'wbN');
         }, null);

    if (fd === null) {
        uploadReply(session, 'uploaderror', message.reqid);
        filesFail(session, 'The file cannot be written.');
        return;
    }

    session.upload = {
        fd: fd,
        path: path,
        reqid: message.reqid,
        size: append && stat !== null ? stat.size : 0
    };
    uploads.push(session);

    log(session.tunnel.request, 105, 'Upload: "' + path + '", Size: ' + size,
        [path, size]);
    uploadReply(session, 'uploadstart', message.reqid);
}


/* one message, which is acknowledged when it is written */
function uploadData(session, data) {
    var upload = session.upload;
    var at = data[0] === 0 ? 1 : 0;

    if (upload === null) {
        return;
    }

    try {
        writeAll(upload.fd, data, at);
        upload.size += data.length - at;

    } catch (e) {
        uploadFail(session);
        return;
    }

    uploadReply(session, 'uploadack', upload.reqid);
}


function writeAll(fd, data, at) {
    var n;

    while (at < data.length) {
        n = fs.writeSync(fd, data, at, data.length - at);

        if (!(n > 0)) {
            throw new Error('not written');
        }

        at += n;
    }
}


/* What was written stays, for another attempt that appends. */
function uploadFail(session) {
    var upload = session.upload;

    uploadClose(session);
    uploadReply(session, 'uploaderror', upload.reqid);
    filesFail(session, 'The file cannot be written: the disk may be full.');
}


function uploadClose(session) {
    var upload = session.upload;

    if (upload !== null) {
        session.upload = null;
        uploads.splice(uploads.indexOf(session), 1);
        closeQuietly(upload.fd);
    }
}


function uploadDone(session, message) {
    var upload = session.upload;
    var stat;

    if (upload === null || echo(message.reqid) !== echo(upload.reqid)) {
        return;
    }

    uploadClose(session);

    /* the stock host says nothing of what it could not write at the end */
    stat = fileStat(upload.path);

    if (stat === null || stat.size < upload.size) {
        uploadReply(session, 'uploaderror', upload.reqid);
        filesFail(session, 'The file cannot be written: the disk may be '
                           + 'full.');
        return;
    }

    uploadReply(session, 'uploaddone', upload.reqid);
}


function uploadCancel(session, message) {
    var upload = session.upload;

    if (upload !== null && echo(message.reqid) === echo(upload.reqid)) {
        uploadClose(session);
        attempt(function () {
            fs.unlinkSync(hostName(upload.path));
        }, null);
        uploadReply(session, 'uploadcancel', upload.reqid);
    }
}


/* What of the file is there already, by its hash: {path, name, tag} */
function uploadHash(session, message) {
    var path = uploadPath(message);

    function reply(hash, size) {
        filesReply(session, {
            action: 'uploadhash',
            reqid: echo(message.reqid),
            path: message.path,
            name: message.name,
            tag: message.tag,
            hash: hash,
            size: size
        });
    }

    uploadTakeOver(session, path);

    filesJob(session, function (done) {
        var fd = openToRead(path);
        var hash = null;
        var total = 0;
        var buffer, stream;

        if (fd === null) {
            reply(null, null);
            done();
            return;
        }

        buffer = Buffer.alloc(CHUNK_SIZE);
        stream = require('SHA384Stream').create();
        stream.on('hash', function (bytes) {
            hash = bytes.toString('hex').toUpperCase();
        });

        inSlices(function () {
            var until = Date.now() + SLICE_TIME;
            var size = CHUNK_SIZE;

            while (!session.closed && size === CHUNK_SIZE
                   && Date.now() < until)
            {
                size = attempt(function () {
                    return readFull(fd, buffer, 0, CHUNK_SIZE, null);
                }, -1);

                if (size > 0) {
                    total += size;
                    stream.write(size === CHUNK_SIZE ? buffer
                                                     : buffer.slice(0, size));
                }
            }

            if (!session.closed && size === CHUNK_SIZE) {
                return true;
            }

            closeQuietly(fd);

            if (!session.closed) {
                stream.end();
                reply(size < 0 ? null : hash, size < 0 ? null : total);
            }

            done();
            return false;
        });
    });
}


/* Download */

function downloadCommand(session, message) {
    var download = session.download;

    if (message.sub === 'start') {
        downloadStart(session, message);
        return;
    }

    if (download === null || message.id !== download.id) {
        return;
    }

    switch (message.sub) {

    case 'startack':
        if (!download.started) {
            download.started = true;
            download.credit = isInt(message.ack, 1, MAX_CREDIT)
                              ? message.ack : DEFAULT_CREDIT;
            downloadSeek(session);
        }
        break;

    case 'ack':
        if (download.started && !download.seeking) {
            download.credit = Math.min(download.credit + 1, MAX_CREDIT);
            downloadPump(session);
        }
        break;

    case 'stop':
    case 'cancel':
        downloadClose(session);
        break;

    default:
        break;
    }
}


function downloadSay(session, sub, id, size, offset) {
    filesSend(session, asciiJson({ action: 'download', sub: sub, id: id,
                                   size: size, offset: offset }));
}


function downloadStart(session, message) {
    var path = message.path === undefined ? null : filePath(message.path);
    var id = echo(message.id);
    var fd, size, offset;

    if (session.download !== null) {
        downloadSay(session, 'cancel', session.download.id);
        downloadClose(session);
    }

    if (id === undefined) {
        return;
    }

    fd = openToRead(path);

    if (fd === null) {
        downloadSay(session, 'cancel', id);
        return;
    }

    size = (fileStat(path) || { size: 0 }).size;
    offset = isInt(message.offset, 0, size) ? message.offset : 0;
    session.download = { id: id, fd: fd, started: false, credit: 0,
                         seeking: false, waiting: false,
                         /* where to read; null: where the last read has ended */
                         at: offset === 0 ? null : offset };
    log(session.tunnel.request, 49, 'Download: "' + path + '", Size: ' + size,
        [path, size]);
    downloadSay(session, 'start', id, size, offset);
}


/* To where the viewer goes on: what the host cannot skip is read. */
function downloadSeek(session) {
    var download = session.download;
    var left = fs.maxPosition || download.at === null ? 0 : download.at - FAR;
    var buffer;

    if (left <= 0) {
        downloadPump(session);
        return;
    }

    buffer = Buffer.alloc(CHUNK_SIZE);
    download.seeking = true;
    download.at = FAR;

    inSlices(function () {
        var until = Date.now() + SLICE_TIME;
        var good = true;
        var size;

        while (good && left > 0 && Date.now() < until
               && download === session.download)
        {
            size = Math.min(CHUNK_SIZE, left);
            good = downloadRead(download, buffer, 0, size) === size;
            left -= size;
        }

        if (download !== session.download) {
            return false;
        }

        if (good && left > 0) {
            return true;
        }

        download.seeking = false;

        if (good) {
            downloadPump(session);

        } else {
            downloadSay(session, 'cancel', download.id);
            downloadClose(session);
        }

        return false;
    });
}


/* Sends what the viewer has acknowledged room for. */
function downloadPump(session) {
    var download = session.download;
    var block, end, last;

    while (download === session.download && download.credit > 0) {
        if (session.full) {
            if (!download.waiting) {
                download.waiting = true;
                whenRead(session, function () {
                    download.waiting = false;
                    if (download === session.download) {
                        downloadPump(session);
                    }
                });
            }
            return;
        }

        block = Buffer.alloc(BLOCK_HEAD + BLOCK_SIZE);
        end = downloadRead(download, block, BLOCK_HEAD, BLOCK_SIZE);

        if (end < 0) {
            downloadSay(session, 'cancel', download.id);
            downloadClose(session);
            return;
        }

        last = end < block.length;
        block[0] = 1;
        block[3] = last ? 1 : 0;
        download.credit--;
        filesSend(session, last ? copyBytes(block.slice(0, end)) : block);

        if (last) {
            downloadClose(session);
        }
    }
}


/* the end of what was read into buffer, -1: it cannot be read */
function downloadRead(download, buffer, at, length) {
    var end = attempt(function () {
        return readFull(download.fd, buffer, at, length, download.at);
    }, -1);

    if (download.at !== null) {
        download.at = fs.maxPosition ? download.at + length : null;
    }

    return end;
}


function downloadClose(session) {
    var download = session.download;

    if (download !== null) {
        session.download = null;
        closeQuietly(download.fd);
    }
}


/* Protocol 10: the file that the options name, then the end. */
function sendWholeFile(session) {
    var tunnel = session.tunnel;
    var path = isText(tunnel.options.file, MAX_PATH)
               ? filePath(tunnel.options.file) : null;
    var fd = openToRead(path);
    var stat = fd === null ? null : fileStat(path);
    var left;

    if (stat === null) {
        filesSend(session, asciiJson({ op: 'cancel' }));
        whenRead(session, tunnel.close);
        return;
    }

    tunnel.onClose(function () {
        closeQuietly(fd);
    });

    log(tunnel.request, 106, 'Download: "' + path + '", Size: ' + stat.size,
        [path, stat.size]);
    left = stat.size;
    filesSend(session, asciiJson({ op: 'ok', size: left }));

    function nextChunk() {
        var chunk = Buffer.alloc(Math.min(CHUNK_SIZE, left));

        return readFull(fd, chunk, 0, chunk.length, null) === chunk.length
               ? chunk : null;
    }

    function step() {
        var until = Date.now() + SLICE_TIME;
        var chunk;

        while (!session.full && left > 0 && Date.now() < until) {
            chunk = attempt(nextChunk, null);

            if (chunk === null) {
                tunnel.close();         /* it has shrunk: it is not complete */
                return;
            }

            left -= chunk.length;
            filesSend(session, chunk);
        }

        if (left > 0 && !session.full) {
            after(SLICE_PAUSE, step);
            return;
        }

        whenRead(session, left > 0 ? step : tunnel.close);
    }

    step();
}

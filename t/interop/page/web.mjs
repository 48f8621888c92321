// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// A web server of the test: plain and with TLS.  Its first line is its two
// ports.  web.mjs KEY CERTIFICATE

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTls } from 'node:https';

const block = Buffer.alloc(65536, 'The quick brown fox jumps over the lazy dog. ');
const BLOCKS = 320;

function answer(request, reply) {
    const url = new URL(request.url, 'http://x');

    switch (url.pathname) {
    case '/':
        reply.setHeader('Set-Cookie', ['sid=42; Path=/; HttpOnly', 'theme=dark']);
        reply.end('<!doctype html><title>device</title>');
        break;

    case '/seen':
        reply.setHeader('Content-Type', 'application/json');
        reply.end(JSON.stringify(request.headers));
        break;

    case '/hash': {
        const hash = createHash('sha256');
        request.on('data', (part) => hash.update(part)).on('end', () => reply.end(hash.digest('hex')));
        break;
    }
    // without a length: in chunks
    case '/big': {
        const hash = createHash('sha256');
        let n = 0;
        const more = () => {
            while (n++ < BLOCKS) {
                hash.update(block);
                if (!reply.write(block)) {
                    reply.once('drain', more);
                    return;
                }
            }
            reply.end(hash.digest('hex'));
        };
        more();
        break;
    }
    case '/moved':
        reply.writeHead(302, { Location: `${request.socket.encrypted ? 'https' : 'http'}://${request.headers.host}/seen` });
        reply.end();
        break;

    default:
        reply.statusCode = 404;
        reply.end('nothing here');
    }
}

// frames of less than 126 bytes come back in upper case
function upgrade(request, socket) {
    const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    let have = Buffer.alloc(0);
    socket.on('data', (part) => {
        have = Buffer.concat([have, part]);
        while (have.length >= 6 && have.length >= 6 + (have[1] & 127)) {
            const size = have[1] & 127;
            const text = Buffer.from(have.subarray(6, 6 + size).map((byte, i) => byte ^ have[2 + i % 4])).toString().toUpperCase();
            socket.write(Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)]));
            have = have.subarray(6 + size);
        }
    }).on('error', () => socket.destroy());
}

const [key, cert] = process.argv.slice(2, 4).map((file) => readFileSync(file));
const servers = [createServer(answer), createTls({ key, cert }, answer)];

const ports = await Promise.all(servers.map((server) => new Promise((resolve) => {
    server.on('upgrade', upgrade).listen(0, '127.0.0.1', () => resolve(server.address().port));
})));
process.stdout.write(`${ports.join(' ')}\n`);
process.stdin.resume().on('end', () => process.exit());

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { Http } from '../../src/wire/http.ts';

async function served(answer: (request: IncomingMessage, response: ServerResponse) => void, use: (http: Http) => Promise<void>): Promise<void> {
    const server = createServer(answer).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
        await use(new Http(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`));
    } finally {
        server.close();
    }
}

const signal = new AbortController().signal;

test('a part of a file comes, with the size of all of it', async () => {
    await served((request, response) => {
        expect(request.headers.range).toBe('bytes=2-4');
        response.writeHead(206, { 'content-range': 'bytes 2-4/6' }).end('cde');
    }, async (http) => {
        const { bytes, size } = await http.part('x', 2, 3, signal);
        expect([new TextDecoder().decode(bytes), size]).toEqual(['cde', 6]);
    });
});

test('another part, or all of it, is not taken for the one that was asked for', async () => {
    for (const [status, range] of [[200, ''], [206, ''], [206, 'bytes 1-3/6'], [206, 'bytes 2-9/10'], [206, 'bytes 2-4/*']] as const) {
        await served((_request, response) => void response.writeHead(status, { 'content-range': range }).end('cde'), async (http) => {
            await expect(http.part('x', 2, 3, signal)).rejects.toThrow('did not give the part');
        });
    }
});

test('a part that nobody waits for any more is not fetched to its end', async () => {
    let gone: Promise<unknown> = Promise.resolve();
    const stop = new AbortController();
    await served((_request, response) => {
        gone = once(response, 'close');
        response.writeHead(206, { 'content-range': 'bytes 0-999999999/1000000000', 'content-length': 1e9 });
        response.write('abc', () => stop.abort());
    }, async (http) => {
        await expect(http.part('x', 0, 1e9, stop.signal)).rejects.toThrow(/abort/);
        await gone;
    });
});

test('a file that is not there, or may not be read, is said in words', async () => {
    for (const [status, words] of [[404, 'not on the server'], [401, 'may not read'], [500, 'answered 500']] as const) {
        await served((_request, response) => void response.writeHead(status).end(), async (http) => {
            await expect(http.part('x', 0, 1, signal)).rejects.toThrow(words);
        });
    }
    await expect(new Http('http://127.0.0.1:9/').part('x', 0, 1, signal)).rejects.toThrow('The server does not answer.');
});

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

test('a file comes whole, with its progress', async () => {
    await served((_request, response) => void response.setHeader('content-length', 6).end('abcdef'), async (http) => {
        const shares: number[] = [];
        const file = await http.download('x', (share) => shares.push(share), new AbortController().signal);
        expect([await file.text(), shares.at(-1)]).toEqual(['abcdef', 1]);
    });
});

test('a file that nobody waits for any more is not fetched to its end', async () => {
    let gone: Promise<unknown> = Promise.resolve();
    await served((_request, response) => {
        gone = once(response, 'close');
        response.setHeader('content-length', 1e9);
        response.write('abc');
    }, async (http) => {
        const stop = new AbortController();
        const file = http.download('x', () => stop.abort(), stop.signal);
        await expect(file).rejects.toThrow(/abort/);
        await gone;
    });
});

test('a file that is not there, or may not be read, is said in words', async () => {
    for (const [status, words] of [[404, 'not on the server'], [401, 'may not read'], [500, 'answered 500']] as const) {
        await served((_request, response) => void response.writeHead(status).end(), async (http) => {
            await expect(http.download('x', () => {}, new AbortController().signal)).rejects.toThrow(words);
        });
    }
});

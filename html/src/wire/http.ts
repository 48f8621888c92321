// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

export interface SessionInfo {
    csrf: string;
    setup: boolean;
    user: { _id: string; name: string; realname?: string } | null;
    name: string;
    version: string;
    /** SHA-256 of the public keys of the server's certificates, as base64. */
    pins?: string[];
}

export interface AgentBinary {
    id: number;
    name: string;
    product: 'own' | 'stock';
    file: string;
    size: number;
}

/** A POST was answered with something else than 200. */
export class HttpError extends Error {
    readonly status: number;
    readonly code: string;
    readonly retry: number;

    constructor(status: number, code: string, text: string, retry = 0) {
        super(text);
        this.name = 'HttpError';
        this.status = status;
        this.code = code;
        this.retry = retry;
    }
}

type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

/** The few HTTP answers that the page needs, with the CSRF token kept. */
export class Http {
    #fetch: Fetch;
    #base: string;
    #csrf = '';

    constructor(base: string, fetcher: Fetch = (input, init) => fetch(input, init)) {
        this.#base = base;
        this.#fetch = fetcher;
    }

    url(path: string): string {
        return new URL(path, this.#base).href;
    }

    /** A part of a file, and how large all of it is, until `signal` says stop.  @throws {HttpError} */
    async part(path: string, at: number, size: number, signal: AbortSignal): Promise<{ bytes: Uint8Array; size: number }> {
        const headers = { Range: `bytes=${at}-${at + size - 1}` };
        const response = await this.#fetch(this.url(path), { cache: 'no-store', credentials: 'same-origin', headers, signal }).catch((error: unknown) => {
            throw signal.aborted ? error : new HttpError(0, 'network', 'The server does not answer.');
        });
        const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
        const whole = Number(range?.[3]);
        const end = Math.min(at + size, whole);
        if (response.status !== 206 || Number(range?.[1]) !== at || Number(range?.[2]) !== end - 1) {
            void response.body?.cancel();
            throw new HttpError(response.status, '', response.status === 404 ? 'This file is not on the server any more.'
                : response.status === 401 ? 'Your account may not read this file.'
                : response.status === 416 ? 'There is nothing in this file.'
                : response.ok ? 'The server did not give the part of the file that was asked for.' : `The server answered ${response.status}.`);
        }
        const bytes = await response.arrayBuffer().catch((error: unknown) => {
            throw signal.aborted ? error : new HttpError(0, 'network', 'The connection to the server broke.');
        });
        if (bytes.byteLength !== end - at) {
            throw new HttpError(response.status, '', 'The server did not give the part of the file that was asked for.');
        }
        return { bytes: new Uint8Array(bytes), size: whole };
    }

    /** @throws {HttpError} */
    async session(): Promise<SessionInfo> {
        const info = await this.#json<SessionInfo>('session.ashx', { cache: 'no-store' });
        this.#csrf = info.csrf;
        return info;
    }

    /** @throws {HttpError} */
    async login(username: string, password: string): Promise<void> {
        await this.#post('login.ashx', { username, password });
        await this.session();
    }

    /** @throws {HttpError} */
    async logout(): Promise<void> {
        await this.#post('logout.ashx', {});
        this.#csrf = '';
    }

    /** @throws {HttpError} */
    async setup(token: string, username: string, password: string, email: string): Promise<void> {
        const body: Record<string, string> = { token, username, password };
        if (email) {
            body['email'] = email;
        }
        await this.#post('setup.ashx', body);
        await this.session();
    }

    /** What the server offers for download. */
    async agents(): Promise<AgentBinary[]> {
        const list = await this.#json<unknown>('meshagents?list=1', {});
        return Array.isArray(list) ? list as AgentBinary[] : [];
    }

    async #post(path: string, body: unknown): Promise<void> {
        if (!this.#csrf) {
            await this.session();
        }
        try {
            await this.#send(path, body);
        } catch (error) {
            // The token is bound to the session; after a restart of either it is another.
            if (error instanceof HttpError && error.status === 403 && error.code === 'csrf') {
                await this.session();
                await this.#send(path, body);
                return;
            }
            throw error;
        }
    }

    async #send(path: string, body: unknown): Promise<void> {
        await this.#json(path, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json', 'X-Mesh-CSRF': this.#csrf },
            body: JSON.stringify(body),
        });
    }

    async #json<T>(path: string, init: RequestInit): Promise<T> {
        let response: Response;
        try {
            response = await this.#fetch(this.url(path), { credentials: 'same-origin', ...init });
        } catch {
            throw new HttpError(0, 'network', 'The server does not answer.');
        }
        const value: unknown = await response.json().catch(() => null);
        if (response.ok) {
            return value as T;
        }
        const said = (value ?? {}) as { error?: unknown; code?: unknown; retry?: unknown };
        throw new HttpError(
            response.status,
            typeof said.code === 'string' ? said.code : String(response.status),
            typeof said.error === 'string' ? said.error : `The server answered ${response.status}.`,
            typeof said.retry === 'number' ? said.retry : 0,
        );
    }
}

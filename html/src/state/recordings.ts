// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Control, Message } from '../wire/control.ts';
import type { Http } from '../wire/http.ts';
import { Parts, type Source } from '../wire/source.ts';
import { shortId } from '../wire/bytes.ts';
import { list, num, str } from './read.ts';
import { Store } from './store.ts';

/** A recording on the server. */
export interface Recorded {
    file: string;
    deviceId: string;
    userName: string;
    protocol: number;
    /** ms */
    began: number;
    length: number;
    size: number;
    /** It has an end; without one it is still written, or was cut short. */
    whole: boolean;
}

const LIMIT = 1000;

export function readRecordings(reply: Message): Recorded[] {
    return list(reply['events']).map((r) => ({
        file: str(r['filename']), deviceId: shortId(str(r['nodeid'])), userName: str(r['username']), protocol: num(r['protocol']),
        began: num(r['startTime']), length: num(r['lengthTime']) * 1000, size: num(r['size']), whole: r['whole'] === true,
    })).filter((r) => r.file).sort((a, b) => b.began - a.began);
}

export class Recordings extends Store {
    all: Recorded[] = [];
    /** There are more than were asked for. */
    more = false;
    known = false;
    error = '';
    #control: Control;
    #http: Http;

    constructor(control: Control, http: Http) {
        super();
        this.#control = control;
        this.#http = http;
    }

    async load(): Promise<void> {
        try {
            const reply = await this.#control.ask('recordings', { limit: LIMIT });
            this.all = readRecordings(reply);
            this.more = reply['more'] === true;
            this.known = true;
            this.error = '';
        } catch (error) {
            this.error = error instanceof Error ? error.message : String(error);
        }
        this.changed();
    }

    async remove(file: string): Promise<void> {
        await this.#control.ask('deleterecording', { file });
        this.all = this.all.filter((r) => r.file !== file);
        this.changed();
    }

    url(file: string): string {
        return this.#http.url(`recordings.ashx?file=${encodeURIComponent(file)}`);
    }

    /** The file, of which parts are fetched as they are needed.  @throws {Error} in words */
    open(file: string, signal: AbortSignal): Promise<Source> {
        const path = `recordings.ashx?file=${encodeURIComponent(file)}`;
        return Parts.open((at, size) => this.#http.part(path, at, size, signal));
    }
}

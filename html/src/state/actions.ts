// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Control, Message, PushEvent, RequestOptions } from '../wire/control.ts';
import { shortId } from '../wire/bytes.ts';

/** Power actions of the protocol. */
export const POWER = { off: 2, reset: 3, sleep: 4 } as const;

export interface RunOutput {
    nodeid: string;
    text: string;
}

/** The verbs that pages send; one function each, errors as exceptions. */
export class Actions {
    #control: Control;

    constructor(control: Control) {
        this.#control = control;
    }

    ask(action: string, members: Record<string, unknown> = {}, options: RequestOptions = {}): Promise<Message> {
        return this.#control.ask(action, members, options);
    }

    rename(nodeid: string, name: string): Promise<Message> {
        return this.ask('changedevice', { nodeid, name });
    }

    change(nodeid: string, members: Record<string, unknown>): Promise<Message> {
        return this.ask('changedevice', { nodeid, ...members });
    }

    move(nodeids: string[], meshid: string): Promise<Message> {
        return this.ask('changeDeviceMesh', { nodeids, meshid });
    }

    remove(nodeids: string[]): Promise<Message> {
        return this.ask('removedevices', { nodeids });
    }

    power(nodeids: string[], actiontype: number): Promise<Message> {
        return this.ask('poweraction', { nodeids, actiontype });
    }

    wake(nodeids: string[]): Promise<Message> {
        return this.ask('wakedevices', { nodeids });
    }

    toast(nodeids: string[], title: string, msg: string): Promise<Message> {
        return this.ask('toast', { nodeids, title, msg });
    }

    restartCore(nodeids: string[]): Promise<Message> {
        return this.ask('corerestart', { nodeids });
    }

    /**
     * Runs a command; `output` gets each device's answer as it comes, until the
     * function returned is called.  Answers are `msg` of type `runcommands`.
     */
    async run(nodeids: string[], members: { type: number; cmds: string; runAsUser: number },
        output: (out: RunOutput) => void): Promise<() => void> {
        const id = `run${crypto.getRandomValues(new Uint32Array(2)).join('')}`;
        const wanted = new Set(nodeids.map(shortId));

        const listen = (e: Event): void => {
            const message = (e as CustomEvent<Message>).detail;
            const nodeid = shortId(String(message['nodeid'] ?? ''));
            if (message.action !== 'msg' || message['type'] !== 'runcommands' || !wanted.has(nodeid)) {
                return;
            }
            // an agent copies the id of the request; one that does not is believed for its device
            if (message['responseid'] !== undefined && message['responseid'] !== id) {
                return;
            }
            output({ nodeid, text: String(message['result'] ?? message['value'] ?? '') });
        };
        const stop = (): void => this.#control.removeEventListener('message', listen);

        this.#control.addEventListener('message', listen);
        const answered = new Promise<string>((resolve, reject) => {
            const timer = setTimeout(() => done(() => reject(new Error('The server did not answer in time.'))), 15_000);
            const hear = (e: Event): void => {
                const message = (e as CustomEvent<Message>).detail;
                if (message.action === 'runcommands' && message['responseid'] === id) {
                    done(() => resolve(String(message['result'] ?? 'OK')));
                }
            };
            const done = (then: () => void): void => {
                clearTimeout(timer);
                this.#control.removeEventListener('message', hear);
                then();
            };
            this.#control.addEventListener('message', hear);
            if (!this.#control.send({ action: 'runcommands', nodeids, ...members, reply: true, ack: true, responseid: id })) {
                done(() => reject(new Error('There is no connection to the server now.')));
            }
        });
        try {
            const result = await answered;
            if (!/^ok$/i.test(result)) {
                throw new Error(result);
            }
        } catch (error) {
            stop();
            throw error;
        }
        return stop;
    }

    /** Console lines of one device until the function returned is called. */
    console(nodeid: string, line: (text: string) => void): () => void {
        const listen = (e: Event): void => {
            const message = (e as CustomEvent<Message>).detail;
            if (message.action === 'msg' && message['type'] === 'console' && message['nodeid'] === nodeid) {
                line(String(message['value'] ?? ''));
            }
        };
        this.#control.addEventListener('message', listen);
        return () => this.#control.removeEventListener('message', listen);
    }

    onEvent(run: (event: PushEvent) => void): () => void {
        const listen = (e: Event): void => run((e as CustomEvent<PushEvent>).detail);
        this.#control.addEventListener('event', listen);
        return () => this.#control.removeEventListener('event', listen);
    }
}

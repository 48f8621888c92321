// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// The page of webrtc.mjs: a viewer of files, whose WebSocket is in the test.
// module.exports: this is none of the tests itself.

/* global wire, toAgent, document */

(() => {
    let socket, viewer, waiting, blocks;

    function base64(bytes) {
        let text = '';
        for (const byte of bytes) {
            text += String.fromCharCode(byte);
        }
        return btoa(text);
    }

    class Bridge {
        constructor() {
            this.readyState = 1;
            this.bufferedAmount = 0;
        }

        send(data) {
            const change = viewer.change(data);
            if (change !== null) {
                void globalThis.toAgent(typeof change === 'string' ? { text: change }
                    : { bytes: base64(new Uint8Array(change.buffer ?? change)) });
            }
        }

        close() {
            this.readyState = 3;
            this.onclose?.({});
        }
    }

    function binary(bytes) {
        if (bytes[0] === 0x7b) {
            const reply = JSON.parse(new TextDecoder().decode(bytes));
            waiting[reply.reqid]?.(reply);
            return;
        }
        blocks.push(bytes);
    }

    globalThis.viewer = viewer = {
        texts: [],

        start() {
            const bridge = new Bridge();
            viewer.bridge = bridge;
            viewer.texts = [];
            viewer.ended = false;
            viewer.change = (data) => data;
            waiting = {};
            blocks = [];
            viewer.switched = new Promise((resolve) => {
                socket = new globalThis.wire.RtcSocket('wss://test', { socket: () => bridge, onway: resolve });
            });
            socket.onmessage = ({ data }) => {
                if (typeof data === 'string') {
                    viewer.texts.push(data);
                    viewer.ontext?.(data);
                } else {
                    binary(new Uint8Array(data));
                    viewer.onblock?.();
                }
            };
            socket.onclose = () => {
                viewer.ended = true;
            };
        },

        fromAgent({ text, bytes }) {
            const data = text ?? Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0)).buffer;
            viewer.bridge.onmessage({ data: viewer.answer?.(data) ?? data });
        },

        gone() {
            viewer.bridge.onclose?.({});
        },

        begin(p) {
            socket.send(p);
        },

        direct() {
            return viewer.switched;
        },

        isDirect() {
            return socket.direct;
        },

        command(object) {
            socket.send(new TextEncoder().encode(JSON.stringify(object)));
        },

        ls(path) {
            return new Promise((resolve) => {
                const reqid = `ls${Math.random()}`;
                waiting[reqid] = resolve;
                viewer.command({ action: 'ls', path, reqid });
            });
        },

        /** The hash of all its bytes. */
        async download(path) {
            const parts = [];
            blocks = [];
            await new Promise((resolve) => {
                viewer.ontext = (text) => {
                    const reply = JSON.parse(text);
                    if (reply.sub === 'start' && reply.id === path) {
                        viewer.command({ action: 'download', sub: 'startack', id: path, ack: 32 });
                    }
                };
                viewer.onblock = () => {
                    for (const block of blocks.splice(0)) {
                        parts.push(block.subarray(4));
                        if (block[3] & 1) {
                            resolve();
                        } else {
                            viewer.command({ action: 'download', sub: 'ack', id: path });
                        }
                    }
                };
                viewer.command({ action: 'download', sub: 'start', path, id: path });
            });
            const whole = new Uint8Array(await new Blob(parts).arrayBuffer());
            const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', whole));
            return [...hash].map((b) => b.toString(16).padStart(2, '0')).join('');
        },

        close() {
            socket.close();
        },
    };
})();

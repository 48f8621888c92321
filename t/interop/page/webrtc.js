// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

// The page of webrtc.mjs: a viewer of files and pictures, whose WebSocket is in the test.

(() => {
    let socket, viewer, waiting, blocks, pictures, protocol;

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
            if (typeof data === 'string' && data.includes('"offer"')) {
                viewer.sentOffer = true;
            }
            const change = viewer.change(data);
            void globalThis.toAgent(typeof change === 'string' ? { text: change } : { bytes: base64(change) });
        }

        close() {
            this.readyState = 3;
            void globalThis.toAgent({ end: true });
            this.onclose?.({});
        }
    }

    /** Pictures: in order, each whole, on whatever way they come. */
    class Pictures {
        constructor() {
            Object.assign(this, { faults: [], relayed: 0, direct: 0, refreshed: 0, large: 0, last: -1, rest: null, missing: 0 });
        }

        push(bytes) {
            const way = socket.direct ? 'direct' : 'relayed';
            if (this.missing) {
                this.missing -= bytes.length;
                if (this.missing < 0) {
                    this.faults.push('two packets in one message');
                }
                if (this.missing === 0) {
                    this.large++;
                }
                return;
            }
            const view = new DataView(bytes.buffer);
            const n = view.getUint32(12);
            if (n <= this.last) {
                this.faults.push(`${n} behind ${this.last}`);
            }
            this.last = n;
            this.refreshed = view.getUint32(16);
            this[way]++;
            this.missing = 8 + view.getUint32(4) - bytes.length;
        }
    }

    function binary(bytes) {
        if (bytes[0] === 0x7b) {
            const reply = JSON.parse(new TextDecoder().decode(bytes));
            waiting[reply.reqid]?.(reply);
            return;
        }
        if (protocol === '2') {
            pictures.push(bytes);
            return;
        }
        blocks.push(bytes);
    }

    // what the module makes, to be looked at
    const Real = globalThis.RTCPeerConnection;
    let channel, peer;
    globalThis.RTCPeerConnection = class extends Real {
        constructor(...args) {
            super(...args);
            peer = this;
        }

        createDataChannel(...args) {
            channel = super.createDataChannel(...args);
            return channel;
        }
    };

    async function until(test) {
        while (!test()) {
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
    }

    async function sha256(bytes) {
        const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
        return [...hash].map((b) => b.toString(16).padStart(2, '0')).join('');
    }

    globalThis.viewer = viewer = {
        texts: [],

        start() {
            const bridge = new Bridge();
            viewer.bridge = bridge;
            viewer.texts = [];
            viewer.ended = false;
            viewer.sentOffer = false;
            viewer.change = viewer.answer = (data) => data;
            viewer.ontext = viewer.onblock = null;
            waiting = {};
            blocks = [];
            pictures = new Pictures();
            peer = channel = undefined;
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
            viewer.bridge.onmessage({ data: viewer.answer(data) });
        },

        gone() {
            viewer.bridge.onclose?.({});
        },

        begin(p) {
            protocol = p;
            socket.send(p);
        },

        direct() {
            return viewer.switched;
        },

        isDirect() {
            return socket.direct;
        },

        offered() {
            return until(() => viewer.sentOffer);
        },

        /** The peer connection is closed, by whom ever. */
        over() {
            return until(() => peer?.signalingState === 'closed');
        },

        /** Offer and answer go without the lines that start so. */
        without(start) {
            const drop = (data) => (typeof data === 'string' && data.includes('"sdp"')
                ? JSON.stringify(JSON.parse(data, (key, value) => (key === 'sdp'
                    ? value.split('\r\n').filter((line) => !line.startsWith(start)).join('\r\n') : value)))
                : data);
            viewer.change = viewer.answer = drop;
        },

        otherKey() {
            viewer.change = (data) => (typeof data === 'string'
                ? data.replace(/(fingerprint:sha-256 )(..)/, (_, name, byte) => name + (byte === '00' ? '01' : '00')) : data);
        },

        closeChannel() {
            channel.close();
        },

        /** Of the agent, as DTLS has brought it: DER in base64. */
        async certificate() {
            const stats = [...(await peer.getStats()).values()];
            const { remoteCertificateId } = stats.find((one) => one.type === 'transport');
            return stats.find((one) => one.id === remoteCertificateId).base64Certificate;
        },

        async pictures() {
            await until(() => pictures.large > 1 && pictures.missing === 0);
            return pictures;
        },

        /** A probe of the delay, and its echo. */
        probe(time) {
            return new Promise((resolve) => {
                viewer.ontext = (text) => {
                    if (JSON.parse(text).time === time) {
                        resolve(text);
                    }
                };
                socket.send(JSON.stringify({ ctrlChannel: '102938', type: 'rtt', time }));
            });
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
                        viewer.command({ action: 'download', sub: 'startack', id: path, ack: 64 });
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
            return sha256(await new Blob(parts).arrayBuffer());
        },

        /** The hash of size random bytes, which the agent has acknowledged. */
        async upload(path, name, size) {
            const bytes = new Uint8Array(size);
            for (let at = 0; at < size; at += 65536) {
                crypto.getRandomValues(bytes.subarray(at, at + 65536));
            }
            const reply = (action) => new Promise((resolve) => {
                waiting.up = (found) => {
                    if (found.action === action) {
                        resolve();
                    }
                };
            });
            let done = reply('uploadstart');
            viewer.command({ action: 'upload', reqid: 'up', path, name, size });
            await done;
            let acks = 0;
            done = new Promise((resolve) => {
                waiting.up = () => {
                    if (++acks === size / 65536) {
                        resolve();
                    }
                };
            });
            for (let at = 0; at < size; at += 65536) {
                const block = bytes.subarray(at, at + 65536);
                const escape = block[0] === 0 || block[0] === 0x7b;
                const message = new Uint8Array(block.length + (escape ? 1 : 0));
                message.set(block, escape ? 1 : 0);
                socket.send(message);
            }
            await done;
            done = reply('uploaddone');
            viewer.command({ action: 'uploaddone', reqid: 'up' });
            await done;
            return sha256(bytes);
        },

        close() {
            socket.close();
        },
    };
})();

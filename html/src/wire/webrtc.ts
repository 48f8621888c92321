// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { CHANNEL, POLICY } from './relay.ts';

export interface RtcOptions {
    socket?: (url: string) => WebSocket;
    peer?: (configuration?: RTCConfiguration) => RTCPeerConnection;
    configuration?: RTCConfiguration;
    /**
     * true: binary messages go beside the server from now on.  false: that way broke, and the
     * session ends with it; not called where the device or the server ended it.
     */
    onway?: (direct: boolean) => void;
}

/** Bit of `serverinfo.features`: the server lets sessions go beside it. */
export const FEATURE_WEBRTC = 0x80;

const GATHER = 3000;
/** From the offer to the open channel; then the session stays where it is. */
const CONNECT = 20_000;
const SWITCH = 15_000;
/** How long a way may be silent before the session ends, in ms. */
const SILENT = 5_000;
const MAX_SDP = 65_536;
const MAX_HELD = 16 * 1024 * 1024;
/** An upload's block and its escape; what an agent that says nothing takes. */
const MESSAGE = 66_560;

/** A probe measures the way of the pictures, so it takes that. */
const PROBE = /"type":"rtt"/;

type Phase = 'relay' | 'offered' | 'marked' | 'direct' | 'closed';
type Binary = ArrayBuffer | ArrayBufferView<ArrayBuffer>;

/**
 * The WebSocket of a desktop or files session, whose binary messages find a way beside
 * the server where there is one.  It looks like a WebSocket: who uses one need not know.
 * Until the way is there, and if it never is, everything goes through the relay.
 *
 * The offer leaves behind the protocol's number, if that is 2 or 5 and the server does not
 * record.  `webrtc1` is the last that either side says with binary messages on the relay;
 * what is sent between ours and the agent's `webrtc2` waits here.
 */
export class RtcSocket {
    onmessage: ((event: MessageEvent<unknown>) => void) | null = null;
    onopen: ((event: Event) => void) | null = null;
    onerror: ((event: Event) => void) | null = null;
    onclose: ((event: CloseEvent) => void) | null = null;
    #socket: WebSocket;
    #options: RtcOptions;
    #phase: Phase = 'relay';
    #recorded = false;
    #tried = false;
    #ready = false;
    #peer: RTCPeerConnection | null = null;
    #channel: RTCDataChannel | null = null;
    #held: Binary[] = [];
    #heldBytes = 0;
    #timer: ReturnType<typeof setTimeout> | undefined;
    #silence: ReturnType<typeof setTimeout> | undefined;

    constructor(url: string, options: RtcOptions = {}) {
        this.#options = options;
        this.#socket = (options.socket ?? ((to) => new WebSocket(to)))(url);
        this.#socket.binaryType = 'arraybuffer';
        this.#socket.onopen = (event) => this.onopen?.(event);
        this.#socket.onerror = (event) => this.onerror?.(event);
        this.#socket.onmessage = (event: MessageEvent<unknown>) => {
            if (typeof event.data !== 'string' || !this.#took(event.data)) {
                this.onmessage?.(event);
            }
        };
        this.#socket.onclose = (event) => {
            // the device may see it first
            if (event.code !== POLICY && /^(?:disconnected|failed)$/.test(this.#peer?.iceConnectionState ?? '')) {
                this.#broke();
            }
            this.#drop();
            this.#phase = 'closed';
            this.onclose?.(event);
        };
    }

    get readyState(): number {
        return this.#socket.readyState;
    }

    get binaryType(): BinaryType {
        return 'arraybuffer';
    }

    set binaryType(type: BinaryType) {
        if (type !== 'arraybuffer') {
            throw new TypeError('a channel gives its messages as ArrayBuffer');
        }
    }

    get bufferedAmount(): number {
        return this.#socket.bufferedAmount + this.#heldBytes + (this.#channel?.bufferedAmount ?? 0);
    }

    /** Is the server out of the way? */
    get direct(): boolean {
        return this.#phase === 'direct';
    }

    send(data: string | Binary): void {
        if (typeof data === 'string') {
            if (this.#phase === 'direct' && PROBE.test(data)) {
                this.#put(data);
                return;
            }
            this.#socket.send(data);
            if (data === '2' || data === '5') {
                void this.#offer();
            }
            return;
        }
        switch (this.#phase) {
        case 'marked':
            if (this.#heldBytes + data.byteLength > MAX_HELD) {
                this.close();
                return;
            }
            this.#held.push(data);
            this.#heldBytes += data.byteLength;
            break;
        case 'direct':
            this.#put(data);
            break;
        default:
            this.#socket.send(data);
        }
    }

    close(code?: number, reason?: string): void {
        this.#drop();
        this.#phase = 'closed';
        this.#socket.close(code, reason);
    }

    async #offer(): Promise<void> {
        const make = this.#options.peer
            ?? (typeof RTCPeerConnection === 'undefined' ? undefined : (config?: RTCConfiguration) => new RTCPeerConnection(config));

        if (!make || this.#tried || this.#recorded || this.#phase !== 'relay') {
            return;
        }
        this.#tried = true;
        try {
            const peer = make(this.#options.configuration);
            this.#peer = peer;
            this.#phase = 'offered';
            this.#timer = setTimeout(() => this.#giveUp(), CONNECT);
            this.#listen(peer, peer.createDataChannel('DataChannel'));
            await peer.setLocalDescription(await peer.createOffer());
            await gathered(peer);
            const sdp = peer.localDescription?.sdp;
            if (this.#peer === peer && sdp) {
                this.#say({ type: 'offer', sdp });
            }
        } catch {
            this.#giveUp();
        }
    }

    #listen(peer: RTCPeerConnection, channel: RTCDataChannel): void {
        this.#channel = channel;
        channel.binaryType = 'arraybuffer';
        channel.onopen = () => this.#mark();
        channel.onclose = () => this.#lost(false);
        channel.onmessage = (event: MessageEvent<unknown>) => {
            if (event.data instanceof ArrayBuffer || (typeof event.data === 'string' && PROBE.test(event.data))) {
                this.onmessage?.(event);
            }
        };
        peer.oniceconnectionstatechange = () => {
            clearTimeout(this.#silence);
            if (peer.iceConnectionState === 'failed') {
                this.#lost();
            } else if (peer.iceConnectionState === 'disconnected') {
                this.#silence = setTimeout(() => this.#lost(), SILENT);
            }
        };
        // DTLS too: browsers refuse the certificate of stock agents
        peer.onconnectionstatechange = () => {
            if (peer.connectionState === 'failed') {
                this.#lost();
            }
        };
    }

    /** true: the text was about the way, and nobody else's business. */
    #took(text: string): boolean {
        if (text === 'cr') {
            this.#recorded = true;
            return false;
        }
        if (this.#peer === null || text.length > MAX_SDP + 1024 || !/"(?:answer|webrtc[012])"/.test(text)) {
            return false;
        }
        let value: Record<string, unknown>;
        try {
            value = JSON.parse(text) as Record<string, unknown>;
        } catch {
            return false;
        }
        if (!value || typeof value !== 'object' || String(value['ctrlChannel']) !== CHANNEL) {
            return false;
        }
        switch (value['type']) {
        case 'answer':
            void this.#answered(this.#peer, value['sdp']);
            return true;
        case 'webrtc0':
            this.#ready = true;
            this.#mark();
            return true;
        case 'webrtc1':
            this.#control('webrtc2');
            return true;
        case 'webrtc2':
            this.#direct();
            return true;
        default:
            return false;
        }
    }

    async #answered(peer: RTCPeerConnection, sdp: unknown): Promise<void> {
        if (this.#phase !== 'offered' || peer.signalingState !== 'have-local-offer') {
            return;
        }
        try {
            if (typeof sdp !== 'string' || sdp.length > MAX_SDP) {
                throw new TypeError('no answer');
            }
            await peer.setRemoteDescription({ type: 'answer', sdp: sized(sdp) });
            if ((peer.sctp?.maxMessageSize ?? MESSAGE) < MESSAGE) {
                throw new RangeError('the device takes too little at once');
            }
        } catch {
            this.#giveUp();
        }
    }

    #mark(): void {
        if (this.#phase !== 'offered' || !this.#ready || this.#channel?.readyState !== 'open') {
            return;
        }
        this.#phase = 'marked';
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#lost(), SWITCH);
        this.#control('webrtc0');
        this.#control('webrtc1');
    }

    #direct(): void {
        if (this.#phase !== 'marked') {
            return;
        }
        const held = this.#held;

        clearTimeout(this.#timer);
        this.#phase = 'direct';
        this.#held = [];
        this.#heldBytes = 0;
        held.forEach((data) => this.#put(data));
        this.#options.onway?.(true);
    }

    /** A message that the channel does not take is a session that has come to its end. */
    #put(data: string | Binary): void {
        try {
            this.#channel?.send(data as ArrayBuffer);
        } catch {
            this.#lost();
        }
    }

    /** Before the change nothing is lost by it; afterwards something may be. */
    #lost(broken = true): void {
        if (this.#phase === 'offered') {
            this.#giveUp();
        } else if (this.#phase === 'marked' || this.#phase === 'direct') {
            if (broken) {
                this.#broke();
            }
            this.#control('close');
            this.close();
        }
    }

    #broke(): void {
        if (this.#phase === 'marked' || this.#phase === 'direct') {
            this.#options.onway?.(false);
        }
    }

    #giveUp(): void {
        if (this.#phase === 'offered') {
            this.#drop();
            this.#phase = 'relay';
        }
    }

    #drop(): void {
        const [peer, channel] = [this.#peer, this.#channel];

        clearTimeout(this.#timer);
        clearTimeout(this.#silence);
        this.#peer = this.#channel = null;
        this.#held = [];
        this.#heldBytes = 0;
        if (channel) {
            channel.onopen = channel.onclose = channel.onmessage = null;
            channel.close();
        }
        if (peer) {
            peer.oniceconnectionstatechange = peer.onconnectionstatechange = null;
            peer.close();
        }
    }

    #control(type: string): void {
        this.#say({ ctrlChannel: CHANNEL, type });
    }

    #say(message: Record<string, unknown>): void {
        if (this.#socket.readyState === 1) {
            this.#socket.send(JSON.stringify(message));
        }
    }
}

/** For the `socket` option of a relay: a way beside the server where both allow it. */
export function rtcSocket(options: RtcOptions = {}): (url: string) => WebSocket {
    return (url) => new RtcSocket(url, options) as unknown as WebSocket;
}

/** Resolves when all candidates are known, or enough time has gone by. */
function gathered(peer: RTCPeerConnection): Promise<void> {
    return new Promise((resolve) => {
        const done = (): void => {
            clearTimeout(timer);
            peer.onicegatheringstatechange = null;
            resolve();
        };
        const timer = setTimeout(done, GATHER);
        peer.onicegatheringstatechange = () => {
            if (peer.iceGatheringState === 'complete') {
                done();
            }
        };
        if (peer.iceGatheringState === 'complete') {
            done();
        }
    });
}

/** Stock agents do not say how much they take at once, which would mean 64 KB. */
function sized(sdp: string): string {
    return /^a=max-message-size:/m.test(sdp) ? sdp
        : `${sdp.replace(/[\r\n]*$/, '')}\r\na=max-message-size:${MESSAGE}\r\n`;
}

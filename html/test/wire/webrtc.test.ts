// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { RtcSocket } from '../../src/wire/webrtc.ts';

const OFFER = 'v=0\r\na=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n';
const ANSWER = 'v=0\r\na=max-message-size:262144\r\n';

class Socket {
    readyState = 1;
    bufferedAmount = 0;
    binaryType = '';
    onopen = null;
    onmessage: ((event: { data: unknown }) => void) | null = null;
    onclose: ((event: unknown) => void) | null = null;
    onerror = null;
    sent: (string | Uint8Array)[] = [];

    send(data: string | Uint8Array): void {
        this.sent.push(data);
    }

    close(code = 1000): void {
        this.readyState = 3;
        this.onclose?.({ code });
    }

    say(data: unknown): void {
        this.onmessage?.({ data });
    }

    control(type: string, members = {}): void {
        this.say(JSON.stringify({ ctrlChannel: '102938', type, ...members }));
    }

    get types(): string[] {
        return this.sent.filter((data): data is string => typeof data === 'string' && data.startsWith('{'))
            .map((data) => String((JSON.parse(data) as { type: string }).type));
    }
}

class Channel {
    readyState = 'connecting';
    bufferedAmount = 0;
    binaryType = '';
    onopen: (() => void) | null = null;
    onclose: (() => void) | null = null;
    onmessage: ((event: { data: unknown }) => void) | null = null;
    sent: (string | Uint8Array)[] = [];
    closed = false;

    send(data: string | Uint8Array): void {
        this.sent.push(data);
    }

    close(): void {
        this.closed = true;
    }
}

class Peer {
    channel = new Channel();
    label = '';
    signalingState = 'stable';
    iceGatheringState = 'new';
    iceConnectionState = 'new';
    connectionState = 'new';
    localDescription: { sdp: string } | null = null;
    sctp: { maxMessageSize: number } | null = null;
    onicegatheringstatechange: (() => void) | null = null;
    oniceconnectionstatechange: (() => void) | null = null;
    onconnectionstatechange: (() => void) | null = null;
    remote = '';
    fails = false;
    closed = false;

    createDataChannel(label: string): Channel {
        this.label = label;
        return this.channel;
    }

    async createOffer(): Promise<{ sdp: string }> {
        return Promise.resolve({ sdp: 'v=0\r\n' });
    }

    async setLocalDescription(): Promise<void> {
        this.signalingState = 'have-local-offer';
        return Promise.resolve();
    }

    async setRemoteDescription({ sdp }: { sdp: string }): Promise<void> {
        if (this.fails) {
            throw new Error('bad');
        }
        this.remote = sdp;
        this.signalingState = 'stable';
        this.sctp = { maxMessageSize: Number(/max-message-size:(\d+)/.exec(sdp)?.[1] ?? 65536) };
        return Promise.resolve();
    }

    gathered(): void {
        this.localDescription = { sdp: OFFER };
        this.iceGatheringState = 'complete';
        this.onicegatheringstatechange?.();
    }

    close(): void {
        this.closed = true;
    }
}

function make() {
    const socket = new Socket();
    const peer = new Peer();
    const seen: unknown[] = [];
    const ways: boolean[] = [];
    const rtc = new RtcSocket('wss://x', {
        socket: () => socket as unknown as WebSocket,
        peer: () => peer as unknown as RTCPeerConnection,
        onway: (direct) => ways.push(direct),
    });
    rtc.onmessage = (event) => seen.push(event.data);
    rtc.onclose = () => seen.push('closed');
    return { socket, peer, rtc, seen, ways };
}

const settle = () => vi.advanceTimersByTimeAsync(0);

async function offered() {
    const all = make();
    all.socket.say('c');
    all.rtc.send('5');
    await settle();
    all.peer.gathered();
    await settle();
    return all;
}

async function marked() {
    const all = await offered();
    all.socket.control('answer', { sdp: ANSWER });
    await settle();
    all.peer.channel.readyState = 'open';
    all.peer.channel.onopen?.();
    all.socket.control('webrtc0');
    return all;
}

async function direct() {
    const all = await marked();
    all.socket.control('webrtc1');
    all.socket.control('webrtc2');
    return all;
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test('the offer leaves behind the number of the protocol, whole and without a channel number', async () => {
    const { socket, peer } = await offered();
    expect(peer.label).toBe('DataChannel');
    expect(socket.sent[0]).toBe('5');
    expect(JSON.parse(String(socket.sent[1]))).toEqual({ type: 'offer', sdp: OFFER });
});

test('other protocols and recorded sessions stay where they are', async () => {
    const terminal = make();
    terminal.rtc.send('1');
    const recorded = make();
    recorded.socket.say('cr');
    recorded.rtc.send('2');
    await settle();
    expect(terminal.peer.label).toBe('');
    expect(recorded.peer.label).toBe('');
    expect(recorded.seen).toEqual(['cr']);
});

test('candidates that never end are not waited for', async () => {
    const { socket, peer, rtc } = make();
    rtc.send('2');
    await settle();
    peer.localDescription = { sdp: OFFER };
    await vi.advanceTimersByTimeAsync(3000);
    expect(socket.types).toEqual(['offer']);
});

test('the mark is set when the agent is ready and the channel open, in either order', async () => {
    const early = await offered();
    early.socket.control('answer', { sdp: ANSWER });
    await settle();
    early.socket.control('webrtc0');
    expect(early.socket.types).toEqual(['offer']);
    early.peer.channel.readyState = 'open';
    early.peer.channel.onopen?.();
    expect(early.socket.types).toEqual(['offer', 'webrtc0', 'webrtc1']);

    const late = await marked();
    expect(late.socket.types).toEqual(['offer', 'webrtc0', 'webrtc1']);
});

test('what is sent before the mark is relayed, behind it held, and then goes over the channel in order', async () => {
    const { socket, peer, rtc, ways } = await offered();
    rtc.send(Uint8Array.of(1));
    socket.control('answer', { sdp: ANSWER });
    await settle();
    peer.channel.readyState = 'open';
    socket.control('webrtc0');
    rtc.send(Uint8Array.of(2));
    rtc.send(Uint8Array.of(3));
    expect(peer.channel.sent).toEqual([]);
    expect(rtc.bufferedAmount).toBe(2);
    expect(ways).toEqual([]);
    socket.control('webrtc2');
    rtc.send(Uint8Array.of(4));
    expect(socket.sent.filter((data) => typeof data !== 'string')).toEqual([Uint8Array.of(1)]);
    expect(peer.channel.sent).toEqual([2, 3, 4].map((n) => Uint8Array.of(n)));
    expect(ways).toEqual([true]);
    expect(rtc.direct).toBe(true);
});

test('of text only the probes of the delay leave the WebSocket, and only behind the change', async () => {
    const { socket, peer, rtc, seen } = await direct();
    rtc.send('{"ctrlChannel":"102938","type":"ping"}');
    expect(socket.types.at(-1)).toBe('ping');
    expect(peer.channel.sent).toEqual([]);
    const probe = '{"ctrlChannel":"102938","type":"rtt","time":5}';
    rtc.send(probe);
    expect(peer.channel.sent).toEqual([probe]);
    peer.channel.onmessage?.({ data: probe });
    peer.channel.onmessage?.({ data: '{"ctrlChannel":"102938","type":"console"}' });
    expect(seen).toEqual(['c', probe]);

    const early = await marked();
    early.rtc.send(probe);
    expect(early.socket.types.at(-1)).toBe('rtt');
    expect(early.peer.channel.sent).toEqual([]);
});

test('the agent gets its acknowledgement, and messages of both ways come to the same place', async () => {
    const { socket, peer, seen } = await marked();
    const [one, two] = [new ArrayBuffer(1), new ArrayBuffer(2)];
    socket.say(one);
    socket.control('webrtc1');
    expect(socket.types.at(-1)).toBe('webrtc2');
    peer.channel.onmessage?.({ data: two });
    peer.channel.onmessage?.({ data: 'text' });
    expect(seen).toEqual(['c', one, two]);
});

test('an answer that is none, or takes too little, leaves the session on the relay', async () => {
    for (const sdp of [undefined, 7, 'x'.repeat(66_000), 'v=0\r\na=max-message-size:1000\r\n']) {
        const { socket, peer, rtc, seen } = await offered();
        socket.control('answer', { sdp });
        await settle();
        expect(peer.closed).toBe(true);
        rtc.send(Uint8Array.of(1));
        expect(socket.sent.at(-1)).toEqual(Uint8Array.of(1));
        expect(seen).toEqual(['c']);
    }
});

test('an answer without a size gets one that an upload fits in', async () => {
    const { socket, peer } = await offered();
    socket.control('answer', { sdp: 'v=0\r\na=setup:passive\r\n' });
    await settle();
    expect(peer.remote).toBe('v=0\r\na=setup:passive\r\na=max-message-size:66560\r\n');
});

test('a connection that fails, or does not come in time, is given up without a word', async () => {
    const failed = await offered();
    failed.peer.connectionState = 'failed';
    failed.peer.onconnectionstatechange?.();
    const slow = await offered();
    await vi.advanceTimersByTimeAsync(20_000);
    for (const { peer, rtc, socket, seen } of [failed, slow]) {
        expect(peer.closed).toBe(true);
        rtc.send(Uint8Array.of(1));
        expect(socket.sent.at(-1)).toEqual(Uint8Array.of(1));
        expect(seen).toEqual(['c']);
        // an agent that is late
        socket.control('webrtc0');
        expect(socket.types).toEqual(['offer']);
    }
});

test('behind the mark the end of the channel is the end of the session', async () => {
    for (const stage of [marked, direct]) {
        const { socket, peer, seen, ways } = await stage();
        peer.channel.onclose?.();
        expect(socket.types.at(-1)).toBe('close');
        expect(seen.at(-1)).toBe('closed');
        expect(peer.closed).toBe(true);
        // the device closed it: that is not a path that broke
        expect(ways).not.toContain(false);
    }
});

test('an agent that never acknowledges the mark loses the session', async () => {
    const { seen } = await marked();
    await vi.advanceTimersByTimeAsync(15_000);
    expect(seen.at(-1)).toBe('closed');
});

test('a short silence is borne, a long one is the end, and is told', async () => {
    const { peer, seen, ways } = await direct();
    const state = (value: string) => {
        peer.iceConnectionState = value;
        peer.oniceconnectionstatechange?.();
    };
    state('disconnected');
    await vi.advanceTimersByTimeAsync(4000);
    state('connected');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(seen).toEqual(['c']);
    state('disconnected');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(seen.at(-1)).toBe('closed');
    expect(ways).toEqual([true, false]);
});

test('a device that sees the silence first and closes has lost the path; a server that ends it has not', async () => {
    for (const [code, told] of [[1000, [true, false]], [1008, [true]]] as const) {
        const { socket, peer, ways } = await direct();
        peer.iceConnectionState = 'disconnected';
        peer.oniceconnectionstatechange?.();
        socket.close(code);
        expect(ways).toEqual(told);
    }
});

test('control messages of others, and what only looks like ours, are passed on', async () => {
    const { socket, seen } = await offered();
    const texts = ['{"ctrlChannel":"102938","type":"rtt","time":1}', '{"type":"webrtc0"}', '{"webrtc0":', '["webrtc1"]',
        JSON.stringify({ ctrlChannel: '102938', type: 'console', msg: '"webrtc1"' })];
    texts.forEach((text) => socket.say(text));
    expect(seen.slice(1)).toEqual(texts);
    expect(socket.types).toEqual(['offer']);
});

test('the end of the WebSocket is the end of the channel, and is told once', async () => {
    const { socket, peer, seen } = await direct();
    socket.close();
    expect(peer.closed).toBe(true);
    expect(peer.channel.closed).toBe(true);
    expect(seen.filter((what) => what === 'closed')).toHaveLength(1);
});

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/*
 * Sound and picture between two browsers (session.md 7.4): one connection for what
 * each side sends, so that nobody's offer meets the other's.  Who sends calls its
 * connection 1, the other side the same one 2.  Nothing of it passes the server but
 * the words that set it up.
 */

export type CallState = 'none' | 'calling' | 'asked' | 'on';
export type Media = 'sound' | 'video';

const OUT = 1;
const IN = 2;
const SDP = 64 * 1024;
const CANDIDATES = 64;
const UNREADABLE = 'The browsers do not understand each other.';

interface Sdp {
    type: 'offer' | 'answer';
    sdp: string;
}

function readSdp(value: unknown): Sdp | null {
    const { type, sdp } = (value ?? {}) as Record<string, unknown>;
    return (type === 'offer' || type === 'answer') && typeof sdp === 'string' && sdp.length <= SDP ? { type, sdp } : null;
}

export interface CallOptions {
    say: (action: string, members: Record<string, unknown>) => void;
    media?: (what: MediaStreamConstraints) => Promise<MediaStream>;
    connection?: () => RTCPeerConnection;
}

/** Why the browser gives no microphone or camera. */
export function mediaWords(error: unknown): string {
    switch (error instanceof Error ? error.name : '') {
    case 'NotAllowedError': case 'SecurityError':
        return 'The browser does not let this page use them. Allow it beside the address, then try again.';
    case 'NotFoundError': case 'OverconstrainedError': return 'There is none on this computer.';
    case 'NotReadableError': return 'Another program uses it.';
    default: return error instanceof Error ? error.message : String(error);
    }
}

/**
 * One call in a conversation.  Events: `change`.
 */
export class Call extends EventTarget {
    state: CallState = 'none';
    /** What the call was begun with. */
    media: Media = 'sound';
    local: MediaStream | null = null;
    remote: MediaStream | null = null;
    /** The other side has its microphone or camera off. */
    theirs = { sound: true, video: true };
    mine = { sound: true, video: true };
    /** Why there is no sound or picture of ours, or why it ended. */
    says = '';
    began = 0;
    #options: CallOptions;
    #out: RTCPeerConnection | null = null;
    #in: RTCPeerConnection | null = null;
    #offer: Sdp | null = null;
    /** Candidates that came before the description that they belong to. */
    #early: RTCIceCandidateInit[] = [];
    /** The description of the other side is there, or on its way in. */
    #hears = false;
    #heard = false;
    #attempt = 0;

    constructor(options: CallOptions) {
        super();
        this.#options = options;
    }

    /** Calls: asks the browser for what is needed, then the other side. */
    async start(media: Media): Promise<void> {
        if (this.state !== 'none') {
            return;
        }
        this.#reset();
        this.says = '';
        this.media = media;
        this.state = 'calling';
        this.#changed();
        const attempt = this.#attempt;
        const stream = await this.#ask(media);
        if (attempt !== this.#attempt) {
            stream?.getTracks().forEach((track) => track.stop());
            return;
        }
        if (!stream) {
            const why = this.says;
            this.#end(why);
            return;
        }
        await this.#send(stream);
    }

    /** Takes a call; without a microphone the other side is heard all the same. */
    async answer(media: Media): Promise<void> {
        const offer = this.#offer;
        if (this.state !== 'asked' || !offer) {
            return;
        }
        this.#offer = null;
        this.state = 'on';
        this.says = '';
        this.began = Date.now();
        this.#changed();
        const attempt = this.#attempt;
        await this.#receive(offer);
        const stream = attempt === this.#attempt ? await this.#ask(media) : null;
        if (stream && attempt === this.#attempt) {
            this.media = media;
            await this.#send(stream);
        } else {
            stream?.getTracks().forEach((track) => track.stop());
            if (attempt === this.#attempt) {
                this.mine = { sound: false, video: false };
                this.#tell();
            }
        }
        this.#changed();
    }

    /** Ends it here, and tells the other side. */
    hangUp(): void {
        if (this.state !== 'none') {
            this.#options.say('videoStop', { id: this.#out ? OUT : IN });
            this.#end('');
        }
    }

    /** What was said of the last one has been read. */
    forget(): void {
        this.says = '';
        this.#changed();
    }

    /** The conversation is over, or there is a new other side. */
    drop(): void {
        if (this.state !== 'none') {
            this.#end('');
        }
    }

    /** Sound or picture of ours on or off; the other side is told. */
    mute(kind: Media): void {
        this.mine = { ...this.mine, [kind]: !this.mine[kind] };
        for (const track of (kind === 'sound' ? this.local?.getAudioTracks() : this.local?.getVideoTracks()) ?? []) {
            track.enabled = this.mine[kind];
        }
        this.#tell();
        this.#changed();
    }

    has(kind: Media): boolean {
        return ((kind === 'sound' ? this.local?.getAudioTracks() : this.local?.getVideoTracks()) ?? []).length > 0;
    }

    /** A message of the other side; false: not about a call. */
    said(action: string, value: Record<string, unknown>): boolean {
        switch (action) {
        case 'webRtcSdp': this.#sdp(value); return true;
        case 'webRtcIce': this.#ice(value); return true;
        case 'videoStop':
            if (this.state !== 'none') {
                this.#end(this.state === 'calling' ? 'The other side declined the call.' : 'The other side ended the call.');
            }
            return true;
        case 'callState':
            this.theirs = { sound: value['sound'] !== false, video: value['video'] !== false };
            this.#changed();
            return true;
        default: return false;
        }
    }

    async #ask(media: Media): Promise<MediaStream | null> {
        const ask = this.#options.media ?? ((what) => {
            // only where the page came by https
            if (!('mediaDevices' in navigator)) {
                throw new Error('This browser gives no microphone to this page.');
            }
            return navigator.mediaDevices.getUserMedia(what);
        });
        try {
            return await ask({ audio: true, video: media === 'video' });
        } catch (error) {
            this.says = mediaWords(error);
            return null;
        }
    }

    #connection(): RTCPeerConnection {
        // no servers: the addresses of both sides, and no stranger asked for them
        const rtc = this.#options.connection?.() ?? new RTCPeerConnection({ iceServers: [] });
        rtc.onconnectionstatechange = () => {
            if (rtc.connectionState === 'failed' && (rtc === this.#out || rtc === this.#in)) {
                this.#options.say('videoStop', { id: rtc === this.#out ? OUT : IN });
                this.#end('The two browsers find no way to each other: a call does not pass the server.');
            }
        };
        return rtc;
    }

    async #send(stream: MediaStream): Promise<void> {
        const rtc = this.#connection();
        this.#out = rtc;
        this.local = stream;
        this.mine = { sound: true, video: stream.getVideoTracks().length > 0 };
        for (const track of stream.getTracks()) {
            rtc.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
        }
        rtc.onicecandidate = ({ candidate }) => {
            if (candidate && rtc === this.#out) {
                this.#options.say('webRtcIce', { id: OUT, ice: candidate.toJSON() });
            }
        };
        this.#changed();
        try {
            const offer = await rtc.createOffer();
            if (rtc === this.#out) {
                await rtc.setLocalDescription(offer);
                this.#options.say('webRtcSdp', { id: OUT, sdp: { type: 'offer', sdp: offer.sdp }, media: this.media });
                this.#tell();
            }
        } catch (error) {
            if (rtc === this.#out) {
                this.#end(error instanceof Error ? error.message : String(error));
            }
        }
    }

    async #receive(offer: Sdp): Promise<void> {
        const rtc = this.#connection();
        const stream = new MediaStream();
        this.#in?.close();
        this.#in = rtc;
        rtc.ontrack = ({ track }) => {
            if (rtc === this.#in && stream.getTracks().length < 4) {
                stream.addTrack(track);
                this.remote = stream;
                this.#changed();
            }
        };
        rtc.onicecandidate = ({ candidate }) => {
            if (candidate && rtc === this.#in) {
                this.#options.say('webRtcIce', { id: IN, ice: candidate.toJSON() });
            }
        };
        try {
            const described = rtc.setRemoteDescription(offer);
            this.#hears = true;
            await described;
            const early = this.#early;
            this.#early = [];
            for (const candidate of early) {
                await rtc.addIceCandidate(candidate).catch(() => {});
            }
            const answer = await rtc.createAnswer();
            if (rtc === this.#in) {
                await rtc.setLocalDescription(answer);
                this.#options.say('webRtcSdp', { id: IN, sdp: { type: 'answer', sdp: answer.sdp } });
            }
        } catch {
            if (rtc === this.#in) {
                this.#options.say('videoStop', { id: IN });
                this.#end(UNREADABLE);
            }
        }
    }

    #sdp(value: Record<string, unknown>): void {
        const sdp = readSdp(value['sdp']);
        if (!sdp) {
            return;
        }
        if (value['id'] === OUT && sdp.type === 'offer') {
            if (this.state === 'none') {
                this.#reset();
                this.says = '';
                this.media = value['media'] === 'video' ? 'video' : 'sound';
                this.#offer = sdp;
                this.state = 'asked';
                this.#changed();
            } else if (!this.#in && !this.#offer) {
                // who calls, or has answered, has said yes to both ways
                void this.#receive(sdp);
            }
        } else if (value['id'] === IN && sdp.type === 'answer' && this.#out?.signalingState === 'have-local-offer') {
            this.#out.setRemoteDescription(sdp).catch(() => this.#end(UNREADABLE));
            this.#heard = true;
            if (this.state === 'calling') {
                this.state = 'on';
                this.began = Date.now();
            }
            this.#changed();
        }
    }

    #ice(value: Record<string, unknown>): void {
        const { candidate, sdpMid, sdpMLineIndex, usernameFragment } = (value['ice'] ?? {}) as Record<string, unknown>;
        if (typeof candidate !== 'string' || candidate.length > 1024) {
            return;
        }
        const ice: RTCIceCandidateInit = { candidate };
        if (typeof sdpMid === 'string') {
            ice.sdpMid = sdpMid;
        }
        if (typeof sdpMLineIndex === 'number') {
            ice.sdpMLineIndex = sdpMLineIndex;
        }
        if (typeof usernameFragment === 'string') {
            ice.usernameFragment = usernameFragment;
        }
        if (value['id'] === OUT && this.#hears) {
            this.#in?.addIceCandidate(ice).catch(() => {});
        } else if (value['id'] === IN && this.#heard) {
            this.#out?.addIceCandidate(ice).catch(() => {});
        } else if (value['id'] === OUT && this.state !== 'none' && this.#early.length < CANDIDATES) {
            this.#early.push(ice);
        }
    }

    #tell(): void {
        this.#options.say('callState', { ...this.mine });
    }

    #reset(): void {
        this.#attempt++;
        for (const rtc of [this.#out, this.#in]) {
            if (rtc) {
                rtc.onicecandidate = rtc.ontrack = rtc.onconnectionstatechange = null;
                rtc.close();
            }
        }
        this.local?.getTracks().forEach((track) => track.stop());
        this.#out = this.#in = this.local = this.remote = this.#offer = null;
        this.#early = [];
        this.#hears = this.#heard = false;
        this.theirs = { sound: true, video: true };
        this.mine = { sound: true, video: true };
        this.began = 0;
    }

    #end(why: string): void {
        this.#reset();
        this.state = 'none';
        this.says = why;
        this.#changed();
    }

    #changed(): void {
        this.dispatchEvent(new Event('change'));
    }
}

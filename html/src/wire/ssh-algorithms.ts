// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { Buffer } from 'buffer';
import type { Signer, Verifier } from '@microsoft/dev-tunnels-ssh/algorithms/hmacAlgorithm.js';
import { KeyExchangeAlgorithm, type KeyExchange } from '@microsoft/dev-tunnels-ssh/algorithms/keyExchangeAlgorithm.js';
import { PublicKeyAlgorithm, type KeyPair } from '@microsoft/dev-tunnels-ssh/algorithms/publicKeyAlgorithm.js';
import { SshAlgorithms } from '@microsoft/dev-tunnels-ssh/algorithms/sshAlgorithms.js';
import { SshDataReader, SshDataWriter } from '@microsoft/dev-tunnels-ssh/io/sshData.js';
import { SshSessionConfiguration } from '@microsoft/dev-tunnels-ssh/sshSessionConfiguration.js';

/* What the library has not, and the browser's crypto has: curve25519 and ed25519. */

const NAME = 'ssh-ed25519';
const NAME_WEB = 'Ed25519';

/** Unsigned, as few bytes as RFC 4251 wants, with a zero before a high bit. */
export function mpint(bytes: Uint8Array): Buffer {
    let i = 0;
    while (i < bytes.length - 1 && bytes[i] === 0) {
        i++;
    }
    const rest = Buffer.from(bytes.subarray(i));
    return (rest[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.from([0]), rest]) : rest;
}

export class Ed25519Key implements KeyPair {
    readonly keyAlgorithmName = NAME;
    comment: string | null = null;
    publicKey: CryptoKey | null = null;
    privateKey: CryptoKey | null = null;
    #bytes: Buffer | null = null;

    get hasPublicKey(): boolean {
        return this.publicKey !== null;
    }

    get hasPrivateKey(): boolean {
        return this.privateKey !== null;
    }

    async setPublicKeyBytes(blob: Buffer): Promise<void> {
        const reader = new SshDataReader(blob);
        const name = reader.readString('ascii');
        const bytes = reader.readBinary();
        if (name !== NAME || bytes.length !== 32 || reader.available) {
            throw new Error('not an ed25519 key');
        }
        this.#bytes = Buffer.from(bytes);
        this.publicKey = await crypto.subtle.importKey('raw', this.#bytes as Uint8Array<ArrayBuffer>, NAME_WEB, true, ['verify']);
    }

    /** The seed and the public key, 32 bytes each. */
    async setPrivate(seed: Uint8Array, pub: Uint8Array): Promise<void> {
        const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replace(/=/g, '').replace(/\+/g, '-').replace(/\//g, '_');

        await this.setPublicKeyBytes(blobOf(NAME, pub));
        this.privateKey = await crypto.subtle.importKey('jwk', { kty: 'OKP', crv: NAME_WEB, d: text(seed), x: text(pub) }, NAME_WEB, false, ['sign']);
    }

    getPublicKeyBytes(): Promise<Buffer | null> {
        return Promise.resolve(this.#bytes && blobOf(NAME, this.#bytes));
    }

    generate(): Promise<void> {
        return Promise.reject(new Error('not made here'));
    }

    importParameters(): Promise<void> {
        return Promise.reject(new Error('not read here'));
    }

    exportParameters(): Promise<object> {
        return Promise.reject(new Error('not given away'));
    }

    dispose(): void {}
}

function blobOf(name: string, bytes: Uint8Array): Buffer {
    const writer = new SshDataWriter(Buffer.alloc(64));
    writer.writeString(name, 'ascii');
    writer.writeBinary(Buffer.from(bytes));
    return writer.toBuffer();
}

class Ed25519 extends PublicKeyAlgorithm {
    constructor() {
        super(NAME, NAME, 'SHA2-512');
    }

    createKeyPair(): KeyPair {
        return new Ed25519Key();
    }

    generateKeyPair(): Promise<KeyPair> {
        return Promise.reject(new Error('not made here'));
    }

    createSigner(key: KeyPair): Signer {
        return {
            digestLength: 64,
            sign: async (data) => Buffer.from(await crypto.subtle.sign(NAME_WEB, (key as Ed25519Key).privateKey as CryptoKey, data as Uint8Array<ArrayBuffer>)),
            dispose: () => {},
        };
    }

    createVerifier(key: KeyPair): Verifier {
        return {
            digestLength: 64,
            verify: (data, signature) => crypto.subtle.verify(NAME_WEB, (key as Ed25519Key).publicKey as CryptoKey,
                signature as Uint8Array<ArrayBuffer>, data as Uint8Array<ArrayBuffer>),
            dispose: () => {},
        };
    }
}

/**
 * RFC 8731.  The library writes what both sides send as numbers into the hash of the
 * exchange, and here they are strings: ours is one that looks the same as both, theirs
 * is put back.
 */
class Curve25519 extends KeyExchangeAlgorithm {
    constructor(name: string) {
        super(name, 256, 'SHA2-256', 32);
    }

    createKeyExchange(): KeyExchange {
        return new Curve25519Exchange();
    }
}

class Curve25519Exchange implements KeyExchange {
    readonly digestLength = 32;
    #pair: CryptoKeyPair | null = null;
    #theirs: Buffer | null = null;
    #secret: Buffer | null = null;

    async startKeyExchange(): Promise<Buffer> {
        for (;;) {
            const pair = await crypto.subtle.generateKey('X25519', false, ['deriveBits']) as CryptoKeyPair;
            const bytes = Buffer.from(await crypto.subtle.exportKey('raw', pair.publicKey));
            const first = bytes[0] as number;
            if (first > 0 && first < 0x80) {
                this.#pair = pair;
                return bytes;
            }
        }
    }

    async decryptKeyExchange(theirs: Buffer): Promise<Buffer> {
        if (theirs.length !== 32 || !this.#pair) {
            throw new Error('not a curve25519 key');
        }
        // refuses a secret that is zero, as RFC 7748 asks
        const key = await crypto.subtle.importKey('raw', theirs as Uint8Array<ArrayBuffer>, 'X25519', false, []);
        const secret = await crypto.subtle.deriveBits({ name: 'X25519', public: key }, this.#pair.privateKey, 256);

        this.#theirs = Buffer.from(theirs);
        this.#secret = mpint(new Uint8Array(secret));
        return this.#secret;
    }

    /** A hash, the first time that of the exchange, which ends with their key and the secret. */
    async sign(data: Buffer): Promise<Buffer> {
        let whole = data;

        if (this.#theirs && this.#secret) {
            const asNumber = mpint(this.#theirs);
            const tail = lengthAnd(this.#secret);
            const at = data.length - tail.length - 4 - asNumber.length;

            whole = Buffer.concat([data.subarray(0, at), lengthAnd(this.#theirs), tail]);
            this.#theirs = this.#secret = null;
        }
        return Buffer.from(await crypto.subtle.digest('SHA-256', whole as Uint8Array<ArrayBuffer>));
    }

    dispose(): void {}
}

function lengthAnd(bytes: Buffer): Buffer {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
}

async function has(name: string, uses: KeyUsage[]): Promise<boolean> {
    try {
        await crypto.subtle.generateKey(name, false, uses);
        return true;
    } catch {
        return false;
    }
}

/** The algorithms that we take, best first, by what this browser can. */
export async function configuration(): Promise<SshSessionConfiguration> {
    const config = new SshSessionConfiguration();
    const { keyExchange, publicKey } = SshAlgorithms;
    const there = <T>(list: (T | null | undefined)[]): T[] => list.filter((one): one is T => Boolean(one));
    const [x, ed] = await Promise.all([has('X25519', ['deriveBits']), has(NAME_WEB, ['sign', 'verify'])]);

    config.keyExchangeAlgorithms.splice(0, Infinity, ...(x ? ['curve25519-sha256', 'curve25519-sha256@libssh.org'].map((name) => new Curve25519(name)) : []),
        ...there([keyExchange.ecdhNistp256Sha256, keyExchange.ecdhNistp384Sha384, keyExchange.ecdhNistp521Sha512]));
    config.publicKeyAlgorithms.splice(0, Infinity, ...(ed ? [new Ed25519()] : []),
        ...there([publicKey.ecdsaSha2Nistp256, publicKey.ecdsaSha2Nistp384, publicKey.ecdsaSha2Nistp521, publicKey.rsaWithSha512, publicKey.rsaWithSha256]));
    config.protocolExtensions.length = 1;       // server-sig-algs; the others are of Microsoft
    return config;
}

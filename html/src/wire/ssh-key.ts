// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { Buffer } from 'buffer';
import bcrypt from 'bcrypt-pbkdf';
import type { ECParameters, KeyPair, RsaParameters } from '@microsoft/dev-tunnels-ssh/algorithms/publicKeyAlgorithm.js';
import { SshAlgorithms } from '@microsoft/dev-tunnels-ssh/algorithms/sshAlgorithms.js';
import { BigInt as Mpint } from '@microsoft/dev-tunnels-ssh/io/bigInt.js';
import { SshDataReader } from '@microsoft/dev-tunnels-ssh/io/sshData.js';
import { Ed25519Key } from './ssh-algorithms.ts';

export type KeyFault = 'none' | 'format' | 'passphrase' | 'wrong' | 'cipher' | 'kind' | 'broken';

/** Why a private key cannot be used. */
export class BadKey extends Error {
    readonly fault: KeyFault;
    readonly detail: string;

    constructor(fault: KeyFault, detail = '') {
        super(`private key: ${fault} ${detail}`);
        this.fault = fault;
        this.detail = detail;
    }
}

const MAGIC = 'openssh-key-v1\0';
const MOST = 65_536;
/** Rounds take about 8 ms each; ssh-keygen makes 16 or 24. */
const ROUNDS = 1024;

const CIPHERS: Record<string, { mode: 'AES-CTR' | 'AES-CBC'; key: number }> = {
    'aes256-ctr': { mode: 'AES-CTR', key: 32 }, 'aes128-ctr': { mode: 'AES-CTR', key: 16 },
    'aes256-cbc': { mode: 'AES-CBC', key: 32 }, 'aes128-cbc': { mode: 'AES-CBC', key: 16 },
};

/**
 * A private key as ssh-keygen writes it (PROTOCOL.key of OpenSSH): ed25519, ECDSA or RSA.
 * @throws {BadKey}
 */
export async function readPrivateKey(text: string, passphrase: string): Promise<KeyPair> {
    const found = text.length > MOST ? null : /-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----([^-]*)-----END \1-----/.exec(text);

    if (!found) {
        throw new BadKey('none');
    }
    if (found[1] !== 'OPENSSH PRIVATE KEY') {
        throw new BadKey('format', found[1]);
    }
    try {
        return await read(Buffer.from((found[2] ?? '').replace(/\s/g, ''), 'base64'), passphrase);
    } catch (error) {
        throw error instanceof BadKey ? error : new BadKey('broken');
    }
}

async function read(file: Buffer, passphrase: string): Promise<KeyPair> {
    if (file.toString('latin1', 0, MAGIC.length) !== MAGIC) {
        throw new BadKey('broken');
    }
    const reader = new SshDataReader(file.subarray(MAGIC.length) as Buffer);
    const cipher = reader.readString('ascii');
    const kdf = reader.readString('ascii');
    const options = reader.readBinary();

    if (reader.readUInt32() !== 1) {
        throw new BadKey('broken');
    }
    reader.readBinary();    // the public key, which the private part has too
    let data: Buffer = Buffer.from(reader.readBinary());

    if (cipher !== 'none') {
        if (!passphrase) {
            throw new BadKey('passphrase');
        }
        data = await open(data, cipher, kdf, options, passphrase);
    }
    const inner = new SshDataReader(data);
    if (inner.readUInt32() !== inner.readUInt32()) {
        throw new BadKey(cipher === 'none' ? 'broken' : 'wrong');
    }
    return pair(inner);
}

async function open(data: Buffer, cipher: string, kdf: string, options: Buffer, passphrase: string): Promise<Buffer> {
    const how = CIPHERS[cipher];
    if (!how || kdf !== 'bcrypt') {
        throw new BadKey('cipher', kdf === 'bcrypt' ? cipher : kdf);
    }
    const reader = new SshDataReader(options);
    const salt = reader.readBinary();
    const rounds = reader.readUInt32();
    const pass = new TextEncoder().encode(passphrase);
    const made = new Uint8Array(how.key + 16);

    if (rounds > ROUNDS || !data.length || data.length % 16
        || bcrypt.pbkdf(pass, pass.length, salt, salt.length, made, made.length, rounds) !== 0) {
        throw new BadKey('broken');
    }
    const iv = made.slice(how.key);
    const key = await crypto.subtle.importKey('raw', made.slice(0, how.key), how.mode, false, ['encrypt', 'decrypt']);
    const whole = data as Uint8Array<ArrayBuffer>;

    if (how.mode === 'AES-CTR') {
        return Buffer.from(await crypto.subtle.decrypt({ name: 'AES-CTR', counter: iv, length: 128 }, key, whole));
    }
    // the browser wants a block of padding at the end, and the file has none
    const last = whole.slice(-16);
    const padding = Buffer.from(await crypto.subtle.encrypt({ name: 'AES-CBC', iv: last }, key, new Uint8Array(0)));
    return Buffer.from(await crypto.subtle.decrypt({ name: 'AES-CBC', iv }, key, Buffer.concat([data, padding]) as Uint8Array<ArrayBuffer>));
}

async function pair(reader: SshDataReader): Promise<KeyPair> {
    const type = reader.readString('ascii');

    if (type === 'ssh-ed25519') {
        const pub = reader.readBinary();
        const key = new Ed25519Key();
        await key.setPrivate(reader.readBinary().subarray(0, 32), pub);
        return key;
    }
    if (type === 'ssh-rsa') {
        const [modulus, exponent, d, qi, p, q] = [0, 1, 2, 3, 4, 5].map(() => reader.readBigInt()) as [Mpint, Mpint, Mpint, Mpint, Mpint, Mpint];
        const key = SshAlgorithms.publicKey.rsaWithSha512?.createKeyPair() as KeyPair;
        const known: RsaParameters = { modulus, exponent, d, p, q, qi, dp: rest(d, p), dq: rest(d, q) };

        await key.importParameters(known);
        // the name in the key stays ssh-rsa, whatever signs (RFC 8332, 3)
        const bytes = key.getPublicKeyBytes.bind(key);
        key.getPublicKeyBytes = () => bytes();
        return key;
    }
    const algorithm = [SshAlgorithms.publicKey.ecdsaSha2Nistp256, SshAlgorithms.publicKey.ecdsaSha2Nistp384, SshAlgorithms.publicKey.ecdsaSha2Nistp521]
        .find((a) => a?.name === type);
    if (!algorithm) {
        throw new BadKey('kind', type.slice(0, 40));
    }
    const name = reader.readString('ascii');
    const point = reader.readBinary();
    const half = (point.length - 1) / 2;
    const key = algorithm.createKeyPair();
    const known: ECParameters = {
        curve: { name }, x: Mpint.fromBytes(point.subarray(1, 1 + half) as Buffer, { unsigned: true }),
        y: Mpint.fromBytes(point.subarray(1 + half) as Buffer, { unsigned: true }), d: reader.readBigInt(),
    };
    await key.importParameters(known);
    return key;
}

/** d mod (p - 1), which the file leaves out. */
function rest(d: Mpint, p: Mpint): Mpint {
    const big = (n: Mpint): bigint => BigInt(`0x${n.toBytes({ unsigned: true }).toString('hex')}`);
    const hex = (big(d) % (big(p) - 1n)).toString(16);
    return Mpint.fromBytes(Buffer.from(hex.padStart(hex.length + hex.length % 2, '0'), 'hex'), { unsigned: true });
}

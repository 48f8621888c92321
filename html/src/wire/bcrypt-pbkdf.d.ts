// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

declare module 'bcrypt-pbkdf' {
    /** Fills `key`; not 0 when a length or `rounds` is none. */
    export function pbkdf(pass: Uint8Array, passLength: number, salt: Uint8Array, saltLength: number, key: Uint8Array, keyLength: number, rounds: number): number;
}

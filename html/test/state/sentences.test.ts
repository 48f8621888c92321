// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { sentence } from '../../src/view/recordings/sentences.ts';

describe('what a recorded message says', () => {
    it('files: who does what', () => {
        expect(sentence(5, 'ines', { action: 'ls', path: '/etc' })).toBe('ines opens /etc');
        expect(sentence(5, 'ines', { action: 'ls', path: '' })).toBe('ines opens /');
        expect(sentence(5, 'ines', { action: 'rm', path: '/tmp', delfiles: ['a', 'b'] })).toBe('ines deletes a, b in /tmp');
        expect(sentence(5, 'The device', { path: '/etc', dir: [{ n: 'a', t: 3 }] })).toBe('The device shows /etc: 1 entry');
        expect(sentence(5, 'ines', { action: 'download', sub: 'start', id: 1, path: '/etc/hosts' })).toBe('ines downloads /etc/hosts');
        expect(sentence(5, 'ines', { action: 'copy', names: [...'abcdefg'], scpath: '/a', dspath: '/b' })).toBe('ines copies a, b, c, d, e and 2 more from /a to /b');
    });

    it('a conversation: what was said, whole', () => {
        expect(sentence(200, 'mei', { action: 'chat', msg: 'one\ntwo' })).toBe('mei: one\ntwo');
        expect(sentence(200, 'mei', { action: 'bye' })).toBe('mei leaves');
    });

    it('that somebody types is not shown', () => {
        expect(sentence(200, 'mei', { action: 'outtext', value: true })).toBeNull();
    });

    it('what has no words says nothing, and no name of a table is one', () => {
        for (const m of [{}, { action: 'ack' }, { action: 'constructor' }, { action: 5 }, { action: 'download', sub: 'toString' }, { action: 'chat', msg: 7 }, { action: 'chat', msg: ' \u202e ' }]) {
            expect(sentence(5, 'x', m)).toBe('');
        }
    });

    it('directions and controls of a name are left out', () => {
        expect(sentence(5, 'x', { action: 'mkdir', path: '/a\u202eb\u0007' })).toBe('x makes the folder /ab');
    });
});

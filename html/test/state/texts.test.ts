// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { duration, size } from '../../src/i18n/format.ts';
import { count, listed, num, t } from '../../src/i18n/index.ts';
import { kindOf, readEvent, saidOf } from '../../src/state/events.ts';
import { installCommand } from '../../src/state/install.ts';
import { passwordFault, passwordStrength, userNameFault } from '../../src/state/password.ts';
import { href, parseRoute } from '../../src/state/route.ts';

test('the install command is one line that a shell understands, whatever the group is called', () => {
    for (const ids of [[6], [6, 26], []]) {
        for (const [tool, product] of [['curl', 'own'], ['wget', 'own'], ['curl', 'stock'], ['wget', 'stock']] as const) {
            const command = installCommand({ base: 'https://mesh.example:8443/', group: "a@b$c'd", tool, product, ids, pins: [] });
            expect(command).not.toContain('\n');
            execFileSync('sh', ['-n', '-c', command]);
            // what sh would run, with every program of it replaced
            const inner = execFileSync('sh', ['-c', `sudo() { shift 2; printf %s "$1"; }; ${command}`], { encoding: 'utf8' });
            execFileSync('sh', ['-n', '-c', inner]);
            expect(inner).toContain('meshsettings?id=a%40b%24c');
        }
    }
});

test('an address and its parts are the same thing', () => {
    const parts = ['device', 'a@b$c/d', 'terminal'];
    expect(parseRoute(href(...parts)).parts).toEqual(parts);
    expect(parseRoute('#/devices?q=tag%3Aprod').query.get('q')).toBe('tag:prod');
    expect(parseRoute('#/device/%E0%A4%A').parts).toEqual(['device', '%E0%A4%A']);
    expect(parseRoute('').parts).toEqual([]);
});

test('names and passwords are refused with the reason', () => {
    expect(userNameFault('ines')).toBe('');
    expect(['', ' ', 'a b', 'a/b', 'a"b', 'a,b', 'a~b', 'x'.repeat(65)].filter((name) => !userNameFault(name))).toEqual([]);
    expect(passwordFault('korrekt-Pferd-42', 'ines')).toBe('');
    expect(passwordFault('short', 'ines')).not.toBe('');
    expect(passwordFault('ines-ines-ines', 'ines-ines-ines')).not.toBe('');
    expect(passwordStrength('aaaaaaaaaa', 'ines')).toBeLessThan(passwordStrength('korrekt-Pferd-42-Batterie', 'ines'));
});

test('times, sizes and counts read well', () => {
    expect(duration(38_000)).toBe('38\u00a0s');
    expect(duration(12 * 86_400_000 + 4 * 3_600_000, 2)).toBe('12\u00a0d 4\u00a0h');
    expect(size(1023)).toBe('1.0\u00a0KB');
    expect(size(12)).toBe('12\u00a0B');
    expect(size(3 * 1024 ** 3)).toBe('3.0\u00a0GB');
    expect(num(1716)).toBe('1\u202f716');
    expect(count(1, '1 device', '{n} devices')).toBe('1 device');
    expect(count(1200, '1 device', '{n} devices')).toBe('1\u202f200 devices');
    expect(listed(['a', 'b', 'c'])).toBe('a, b and c');
    expect(t('{a} and {b}', { a: 'x' })).toBe('x and {b}');
});

test('an event is read, and its name does not stand there twice', () => {
    const event = readEvent({ time: '2026-11-23T14:00:00.000Z', action: 'relaylog', etype: 'relay', msg: 'ines started a terminal session', username: 'ines', nodeid: 'node//a', bytesin: 7 }, 1);
    expect(event).toMatchObject({ at: Date.UTC(2026, 10, 23, 14), kind: 'session', who: 'ines', more: { bytesin: 7 } });
    expect(saidOf(event)).toBe('started a terminal session');
    expect(kindOf('never heard of', 'mesh')).toBe('rights');
    expect(() => readEvent({ time: {}, action: 7, msg: [] }, 2)).not.toThrow();
});

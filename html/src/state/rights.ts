// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

export const FULL = 0xffffffff;

/** Device and group rights, as on the wire.  NO… and …ONLY take away. */
export const R = {
    EDIT_GROUP: 1,
    MANAGE_USERS: 2,
    MANAGE_DEVICES: 4,
    CONTROL: 8,
    CONSOLE: 16,
    SERVER_FILES: 32,
    WAKE: 64,
    NOTES: 128,
    VIEW_ONLY: 256,
    NO_TERMINAL: 512,
    NO_FILES: 1024,
    NO_AMT: 2048,
    LIMITED_INPUT: 4096,
    OWN_EVENTS: 8192,
    CHAT: 16384,
    UNINSTALL: 32768,
    NO_DESKTOP: 65536,
    COMMAND: 131072,
    POWER: 262144,
    GUESTS: 524288,
    DETAILS: 1048576,
    RELAY: 2097152,
} as const;

/** Site rights. */
export const S = { BACKUP: 1, USERS: 2, RESTORE: 4, UPDATE: 16, NO_GROUPS: 64, RECORDINGS: 512, LOCK_SETTINGS: 1024, EVENTS: 2048 } as const;

const u32 = (n: number): number => n >>> 0;

export function has(rights: number, bits: number): boolean {
    return rights === FULL || u32(rights & bits) === bits;
}

export function mayTerminal(rights: number): boolean {
    return rights === FULL || (has(rights, R.CONTROL) && !(rights & R.NO_TERMINAL));
}

/** A shell of the device's own, over a relay of its port. */
export function maySsh(rights: number): boolean {
    return has(rights, R.RELAY) || mayTerminal(rights);
}

export type DesktopInput = 'full' | 'limited' | 'none';

export function mayDesktop(rights: number): boolean {
    return rights === FULL || ((rights & (R.CONTROL | R.VIEW_ONLY)) !== 0 && !(rights & R.NO_DESKTOP));
}

/** Limited: letters and the mouse, no shortcut and no special key. */
export function desktopInput(rights: number): DesktopInput {
    if (rights === FULL) {
        return 'full';
    }
    return !has(rights, R.CONTROL) || rights & R.VIEW_ONLY ? 'none' : rights & R.LIMITED_INPUT ? 'limited' : 'full';
}

export function mayFiles(rights: number): boolean {
    return rights === FULL || (has(rights, R.CONTROL) && !(rights & R.NO_FILES));
}

/** A VNC server gives its whole desktop: who has less of that has none of this. */
export function mayVnc(rights: number): boolean {
    return rights === FULL || ((rights & (R.CONTROL | R.RELAY)) !== 0 && !(rights & (R.NO_DESKTOP | R.VIEW_ONLY | R.LIMITED_INPUT)));
}

export function mayRelay(rights: number): boolean {
    return has(rights, R.CONTROL) || has(rights, R.RELAY);
}

export function maySeeRecordings(site: number): boolean {
    return site === FULL || (site & S.RECORDINGS) !== 0;
}

/** Sees who is connected, and invites them. */
export function mayInvite(site: number): boolean {
    return site === FULL || (site & S.USERS) !== 0;
}

export function maySeeServer(site: number): boolean {
    return site === FULL || (site & (S.BACKUP | S.RESTORE | S.UPDATE)) !== 0;
}

export type Level = 'see' | 'help' | 'operate' | 'manage' | 'full' | 'custom';

const SEE = R.DETAILS;
const HELP = SEE | R.CONTROL | R.NO_TERMINAL | R.NO_FILES | R.NO_AMT | R.WAKE | R.CHAT | R.NOTES;
const OPERATE = SEE | R.CONTROL | R.WAKE | R.CHAT | R.NOTES | R.CONSOLE | R.COMMAND | R.POWER | R.RELAY;
const MANAGE = OPERATE | R.EDIT_GROUP | R.MANAGE_USERS | R.MANAGE_DEVICES | R.UNINSTALL | R.GUESTS | R.SERVER_FILES;

export const LEVELS: Record<Exclude<Level, 'custom'>, number> = {
    see: SEE, help: HELP, operate: OPERATE, manage: MANAGE, full: FULL,
};

export function levelOf(rights: number): Level {
    for (const [level, bits] of Object.entries(LEVELS)) {
        if (u32(bits) === u32(rights)) {
            return level as Level;
        }
    }
    return 'custom';
}

/**
 * One thing that somebody may do: it is there when all `on` bits are set and
 * none of the `off` bits.
 */
export interface Ability {
    id: string;
    on: number;
    off: number;
    /** Abilities without which this one means nothing. */
    needs?: string;
}

/** In the order in which they are said and shown. */
export const ABILITIES: { id: string; list: Ability[] }[] = [
    {
        id: 'see', list: [
            { id: 'details', on: R.DETAILS, off: 0 },
            { id: 'events', on: 0, off: R.OWN_EVENTS },
        ],
    },
    {
        id: 'sessions', list: [
            { id: 'desktop', on: R.CONTROL, off: R.NO_DESKTOP },
            { id: 'input', on: R.CONTROL, off: R.VIEW_ONLY | R.LIMITED_INPUT, needs: 'desktop' },
            { id: 'terminal', on: R.CONTROL, off: R.NO_TERMINAL },
            { id: 'files', on: R.CONTROL, off: R.NO_FILES },
            { id: 'relay', on: R.RELAY, off: 0 },
        ],
    },
    {
        id: 'machine', list: [
            { id: 'wake', on: R.WAKE, off: 0 },
            { id: 'power', on: R.POWER, off: 0 },
            { id: 'command', on: R.COMMAND, off: 0 },
            { id: 'console', on: R.CONSOLE, off: 0 },
            { id: 'amt', on: R.CONTROL, off: R.NO_AMT },
            { id: 'uninstall', on: R.UNINSTALL, off: 0 },
        ],
    },
    {
        id: 'around', list: [
            { id: 'chat', on: R.CHAT, off: 0 },
            { id: 'notes', on: R.NOTES, off: 0 },
            { id: 'guests', on: R.GUESTS, off: 0 },
            { id: 'serverfiles', on: R.SERVER_FILES, off: 0 },
        ],
    },
    {
        id: 'group', list: [
            { id: 'edit', on: R.EDIT_GROUP, off: 0 },
            { id: 'devices', on: R.MANAGE_DEVICES, off: 0 },
            { id: 'users', on: R.MANAGE_USERS, off: 0 },
        ],
    },
];

/** Control comes with what it can be used for; nothing of that is no control. */
const BY_CONTROL = ['desktop', 'terminal', 'files', 'amt'];

export function abilitiesOf(rights: number): Set<string> {
    const set = new Set<string>();

    for (const { list } of ABILITIES) {
        for (const { id, on, off } of list) {
            if (rights === FULL || (u32(rights & on) === on && (rights & off) === 0)) {
                set.add(id);
            }
        }
    }
    if (!set.has('desktop')) {
        set.delete('input');
    }
    return set;
}

/** The number for a set of abilities; `abilitiesOf` gives the same set back. */
export function rightsOf(abilities: ReadonlySet<string>): number {
    let rights = 0;

    for (const { list } of ABILITIES) {
        for (const { id, on } of list) {
            if (abilities.has(id) && !BY_CONTROL.includes(id) && id !== 'input') {
                rights |= on;
            }
        }
    }
    if (!abilities.has('events')) {
        rights |= R.OWN_EVENTS;
    }
    if (BY_CONTROL.some((id) => abilities.has(id))) {
        rights |= R.CONTROL;
        rights |= abilities.has('desktop') ? 0 : R.NO_DESKTOP;
        rights |= abilities.has('terminal') ? 0 : R.NO_TERMINAL;
        rights |= abilities.has('files') ? 0 : R.NO_FILES;
        rights |= abilities.has('amt') ? 0 : R.NO_AMT;
        rights |= abilities.has('desktop') && !abilities.has('input') ? R.VIEW_ONLY : 0;
    }
    return u32(rights);
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { size } from '../i18n/format.ts';
import { count, t } from '../i18n/index.ts';
import { list, num as number, obj, str as text, type Any } from './read.ts';

/* What agents report of themselves, made into lines to read.  All of it is data
   from a peer: a member of another type than expected is as if it were not there. */

const str = (value: unknown): string => text(value).trim();
const num = (value: unknown): number => number(typeof value === 'string' ? Number.parseFloat(value) : value);
const words = (parts: readonly (string | false | 0)[]): string => parts.filter(Boolean).join(' · ');

export interface Section {
    title: string;
    summary: string;
    facts: [string, string][];
}

export interface Volume {
    name: string;
    size: number;
    used: number;
}

export interface Load {
    processor: number;
    threads: number;
    /** Per cent, as the processor. */
    memory: number;
    /** Bytes; 0 when the agent does not say. */
    memoryTotal: number;
}

export interface Adapter {
    name: string;
    addresses: string[];
    mac: string;
    gateway: string;
    up: boolean;
}

const facts = (pairs: [string, string][]): [string, string][] => pairs.filter(([, value]) => value !== '');

export function volumesOf(hardware: unknown): Volume[] {
    const system = obj(hardware);
    const linux = list(obj(system['linux'])['volumes']).map((v) => ({
        name: str(v['mount_point']), size: num(v['size']) * 1024, used: num(v['used']) * 1024,
    }));
    const windows = Object.entries(obj(obj(system['windows'])['volumes'])).map(([name, v]) => {
        const whole = num(obj(v)['size']);
        return { name: `${name}:`, size: whole, used: whole - num(obj(v)['sizeremaining']) };
    });
    return [...linux, ...windows].filter((v) => v.name && v.size > 0 && v.used >= 0 && v.used <= v.size);
}

export function memoryOf(hardware: unknown): number {
    const system = obj(hardware);
    const total = num(obj(obj(system['linux'])['memory'])['Total']) * 1024;
    return total || list(obj(system['windows'])['memory']).reduce((sum, m) => sum + num(m['Capacity']), 0);
}

/** When the machine was started, in ms; 0 when it does not say. */
export function bootOf(hardware: unknown): number {
    const at = obj(obj(hardware)['linux'])['LastBootUpTime'] ?? obj(obj(obj(hardware)['windows'])['osinfo'])['LastBootUpTime'];
    const time = typeof at === 'number' ? at : Date.parse(str(at));
    return Number.isFinite(time) && time > 0 ? (time < 100_000_000_000 ? time * 1000 : time) : 0;
}

export function adaptersOf(netif2: unknown): Adapter[] {
    return Object.entries(obj(netif2)).map(([name, entries]) => {
        const all = list(entries);
        const first = (key: string): string => all.map((e) => str(e[key])).find((v) => v !== '') ?? '';
        return {
            name, mac: first('mac'), gateway: first('gateway'), up: all.some((e) => e['status'] === 'up'),
            addresses: [...new Set(all.map((e) => str(e['address'])).filter(Boolean))],
        };
    }).filter((a) => a.addresses.length || a.mac);
}

const modules = (hardware: unknown): Any[] => {
    const system = obj(hardware);
    return [...list(obj(obj(system['linux'])['memory'])['Memory_Device']), ...list(obj(system['windows'])['memory'])];
};

function processor(id: Any): Section {
    const cores = num(id['cpu_cores']);
    const threads = num(id['cpu_threads']);
    const gpu = (Array.isArray(id['gpu_name']) ? id['gpu_name'] : [id['gpu_name']]).map(str).filter(Boolean);

    return {
        title: t('Processor and board'),
        summary: words([str(id['cpu_name']), cores && count(cores, '1 core', '{n} cores'), str(id['product_name']) || str(id['board_name'])]),
        facts: facts([
            [t('Processor'), str(id['cpu_name'])],
            [t('Cores'), cores ? t('{n} cores, {m} threads', { n: cores, m: threads || cores }) : ''],
            [t('Machine'), words([str(id['product_vendor']), str(id['product_name'])])],
            [t('Board'), words([str(id['board_vendor']), str(id['board_name']), str(id['board_version'])])],
            [t('Serial number'), str(id['board_serial']) || str(id['bios_serial']) || str(id['chassis_serial'])],
            [t('BIOS'), words([str(id['bios_vendor']), str(id['bios_version']), str(id['bios_date']), str(id['bios_mode'])])],
            [t('Graphics'), gpu.join(', ')],
            [t('UUID'), str(id['product_uuid'])],
        ]),
    };
}

function memory(hardware: unknown): Section {
    const total = memoryOf(hardware);
    const used = modules(hardware).filter((m) => num(m['Size']) || num(m['Capacity']) || str(m['Size']) === 'Unknown');

    return {
        title: t('Memory'),
        summary: words([total > 0 && size(total), used.length > 0 && count(used.length, '1 module', '{n} modules')]),
        facts: used.map((m, i): [string, string] => [
            str(m['Locator']) || str(m['DeviceLocator']) || t('Module {n}', { n: i + 1 }),
            words([str(m['Size']) || size(num(m['Capacity'])), str(m['Type']), str(m['Speed']), str(m['Manufacturer']), str(m['PartNumber']) || str(m['Part_Number'])]),
        ]),
    };
}

function storage(hardware: unknown, id: Any): Section {
    const volumes = volumesOf(hardware);
    const whole = volumes.reduce((sum, v) => sum + v.size, 0);
    const used = volumes.reduce((sum, v) => sum + v.used, 0);
    const disks = list(id['storage_devices']);

    return {
        title: t('Storage'),
        summary: words([
            disks.length > 0 && count(disks.length, '1 disk', '{n} disks'), volumes.length > 0 && count(volumes.length, '1 volume', '{n} volumes'),
            whole > 0 && t('{size}, {n} % used', { size: size(whole), n: Math.round(used / whole * 100) }),
        ]),
        facts: [
            ...disks.map((d): [string, string] => [str(d['Caption']), words([str(d['Model']) !== str(d['Caption']) && str(d['Model']), num(d['Size']) > 0 && size(num(d['Size']))])]),
            ...volumes.map((v): [string, string] => [v.name, t('{used} of {size}', { used: size(v.used), size: size(v.size) })]),
        ],
    };
}

function network(netif2: unknown, hardware: unknown): Section {
    const adapters = adaptersOf(netif2);
    const dns = obj(obj(hardware)['network'])['dns'];
    const real = adapters.filter((a) => a.name !== 'lo');
    const n = real.reduce((sum, a) => sum + a.addresses.length, 0);

    return {
        title: t('Network'),
        summary: words([real.map((a) => a.name).join(', '), n > 0 && count(n, '1 address', '{n} addresses')]),
        facts: [
            ...adapters.map((a): [string, string] => [a.name, words([
                a.addresses.join(', '), a.mac !== '00:00:00:00:00:00' && a.mac, a.gateway && t('gateway {address}', { address: a.gateway }), !a.up && t('down'),
            ])]),
            ...(Array.isArray(dns) && dns.length ? [[t('Name servers'), dns.map(str).filter(Boolean).join(', ')] as [string, string]] : []),
        ],
    };
}

function rest(hardware: unknown): Section {
    const tpm = obj(obj(hardware)['tpm']);
    const battery = obj(obj(hardware)['battery']);
    const pairs = facts([
        [t('TPM'), str(tpm['SpecVersion']) || str(tpm['ManufacturerVersion'])],
        [t('Battery'), words([str(battery['manufacturer']), str(battery['model']), str(battery['technology'])])],
    ]);
    return { title: t('Security and battery'), summary: pairs.map(([k, v]) => `${k} ${v}`).join(' · '), facts: pairs };
}

/** The inventory as sections; empty ones are left out. */
export function inventory(hardware: unknown, netif2: unknown): Section[] {
    const id = obj(obj(hardware)['identifiers']);
    return [processor(id), memory(hardware), storage(hardware, id), network(netif2, hardware), rest(hardware)].filter((s) => s.facts.length);
}

/** An answer to `cpuinfo`; null when it has no figures. */
export function readLoad(reply: Any): Load | null {
    const cpu = obj(reply['cpu']);
    const part = obj(reply['memory']);
    const percent = (n: number): number => Math.min(100, Math.max(0, n));

    if (typeof cpu['total'] !== 'number') {
        return null;
    }
    return {
        processor: percent(cpu['total']), threads: Array.isArray(cpu['cpus']) ? cpu['cpus'].length : 0,
        memory: percent(num(part['percentConsumed'])), memoryTotal: num(part['total']) * 1024,
    };
}

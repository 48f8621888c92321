// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { adaptersOf, bootOf, inventory, memoryOf, readLoad, volumesOf } from '../../src/state/inventory.ts';

const HARDWARE = {
    identifiers: {
        cpu_name: 'EPYC', cpu_cores: 2, cpu_threads: 4, bios_vendor: 'SeaBIOS', product_name: 'VM', gpu_name: ['Virtio'],
        storage_devices: [{ Caption: 'vda', Model: 'vda', Size: 200 * 1024 ** 3 }],
    },
    linux: {
        volumes: [{ mount_point: '/', size: '1000', used: '910', available: '90' }, { mount_point: '/bad', size: '10', used: '20' }, { mount_point: '', size: '1', used: '0' }],
        memory: { Total: '2048 kB', Memory_Device: [{ Locator: 'DIMM 0', Size: '8 GB', Type: 'DDR4' }, { Locator: 'DIMM 1', Size: 'No Module Installed' }] },
        LastBootUpTime: 1_700_000_000_000,
    },
    network: { dns: ['192.0.2.53'] },
};
const NETIF = { eth0: [{ address: '192.0.2.1', mac: 'AA:BB:CC:00:11:22', status: 'up', gateway: '192.0.2.254' }, { address: 'fe80::1', status: 'up' }], lo: [{ address: '127.0.0.1' }] };

test('volumes that make no sense are left out', () => {
    expect(volumesOf(HARDWARE)).toEqual([{ name: '/', size: 1_024_000, used: 931_840 }]);
});

test('memory, start and adapters are read', () => {
    expect(memoryOf(HARDWARE)).toBe(2048 * 1024);
    expect(bootOf(HARDWARE)).toBe(1_700_000_000_000);
    expect(adaptersOf(NETIF)[0]).toEqual({ name: 'eth0', addresses: ['192.0.2.1', 'fe80::1'], mac: 'AA:BB:CC:00:11:22', gateway: '192.0.2.254', up: true });
});

test('sections say in one line what is in them', () => {
    const all = inventory(HARDWARE, NETIF);
    expect(all.map((section) => section.title)).toEqual(['Processor and board', 'Memory', 'Storage', 'Network']);
    expect(all[0]?.summary).toBe('EPYC · 2 cores · VM');
    expect(all[1]?.facts).toEqual([['DIMM 0', '8 GB · DDR4']]);
    expect(all[3]?.facts.at(-1)).toEqual(['Name servers', '192.0.2.53']);
});

test('anything that an agent may send gives no section, and no exception', () => {
    const values: unknown[] = [null, undefined, 7, 'x', [], {}, true];
    for (const a of values) {
        for (const b of values) {
            expect(inventory(a, b)).toEqual([]);
            expect(() => inventory({ identifiers: a, linux: b, network: a, windows: b, tpm: a }, { eth0: b })).not.toThrow();
            expect(() => inventory({ linux: { volumes: a, memory: b }, windows: { volumes: a, memory: b, osinfo: a } }, b)).not.toThrow();
        }
    }
});

test('a load is read, in per cent that are ones', () => {
    expect(readLoad({ cpu: { total: 133, cpus: [1, 2] }, memory: { percentConsumed: 40, total: 1000 } })).toEqual({ processor: 100, threads: 2, memory: 40, memoryTotal: 1_024_000 });
    expect(readLoad({ result: 'OK' })).toBeNull();
    expect(readLoad({ cpu: { total: 'x' } })).toBeNull();
});

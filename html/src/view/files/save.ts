// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { GATHER, type Sink } from '../../state/transfers.ts';
import { randomHex } from '../../wire/bytes.ts';
import { mesh } from '../app-state.ts';

/* Ways to a file of this computer.  None of them holds the file in memory. */

type Picker = (options: { suggestedName: string }) => Promise<FileSystemFileHandle>;

const picker = (): Picker | undefined => (window as unknown as { showSaveFilePicker?: Picker }).showSaveFilePicker;

/** A link that saves, as a click of the person would. */
function follow(url: string, name: string): void {
    const a = document.createElement('a');
    a.href = url;
    a.download = name;
    document.body.append(a);
    a.click();
    a.remove();
}

/** The browser fetches the file by itself, and shows how far it is. */
export function fetchFile(deviceId: string, path: string, name: string): void {
    follow(mesh.http.url(`devicefile.ashx?n=${encodeURIComponent(deviceId)}&f=${encodeURIComponent(path)}`), name);
}

/** Why this browser cannot write a file piece by piece; undefined when it can. */
export function whyNoSink(): string | undefined {
    const has = picker() !== undefined || (typeof FileSystemFileHandle !== 'undefined' && 'createWritable' in FileSystemFileHandle.prototype);
    return has ? undefined : 'This browser cannot write a file while it arrives';
}

/**
 * Blocks of a device are small, and each is asked for when the one before was
 * taken: a megabyte of them is written at once, while the next one arrives.
 */
function gathered(out: FileSystemWritableFileStream): Sink {
    let room = new Uint8Array(GATHER);
    let filled = 0;
    let writes = Promise.resolve();
    const flush = async (): Promise<void> => {
        const bytes = room.subarray(0, filled);
        room = new Uint8Array(GATHER);
        filled = 0;
        await writes;
        writes = out.write(bytes);
        writes.catch(() => {}); // whoever waits for it next is told
    };
    return {
        write: async (bytes) => {
            for (let at = 0; at < bytes.length;) {
                const some = bytes.subarray(at, at + GATHER - filled);
                room.set(some, filled);
                filled += some.length;
                at += some.length;
                if (filled === GATHER) {
                    await flush();
                }
            }
        },
        close: async () => {
            await flush();
            await writes;
            await out.close();
        },
        abort: () => out.abort(),
    };
}

/** A place that the person chooses, or a file of the page's own that is saved when it is whole.  null: not chosen. */
export async function openSink(name: string): Promise<Sink | null> {
    const choose = picker();
    if (choose) {
        let handle: FileSystemFileHandle;
        try {
            handle = await choose({ suggestedName: name });
        } catch {
            return null;
        }
        return gathered(await handle.createWritable());
    }

    const root = await navigator.storage.getDirectory();
    const own = `download-${randomHex(8)}`;
    const handle = await root.getFileHandle(own, { create: true });
    const out = gathered(await handle.createWritable());
    const remove = (): Promise<void> => root.removeEntry(own).catch(() => {});
    return {
        write: out.write,
        close: async () => {
            await out.close();
            const url = URL.createObjectURL(await handle.getFile());
            follow(url, name);
            // the browser copies it from there: how long that takes is not told
            setTimeout(() => {
                URL.revokeObjectURL(url);
                void remove();
            }, 3_600_000);
        },
        abort: async () => {
            await out.abort().catch(() => {});
            await remove();
        },
    };
}

/** What an earlier page has left: it did not come to its hour. */
export async function clearOld(): Promise<void> {
    try {
        const root = await navigator.storage.getDirectory();
        const names = root as unknown as { keys: () => AsyncIterable<string> };
        const limit = Date.now() - 86_400_000;
        for await (const name of names.keys()) {
            if (name.startsWith('download-') && (await (await root.getFileHandle(name)).getFile()).lastModified < limit) {
                await root.removeEntry(name);
            }
        }
    } catch {
        /* a browser without it has nothing to clear */
    }
}

export interface Picked {
    file: File;
    /** With the folders above it that came along. */
    name: string;
}

/** Files and folders that were dropped, the folders with all that is in them. */
export async function dropped(data: DataTransfer): Promise<Picked[]> {
    const roots = [...data.items].map((item) => item.webkitGetAsEntry?.() ?? null).filter((e): e is FileSystemEntry => e !== null);
    const out: Picked[] = [];
    const walk = async (entry: FileSystemEntry, under: string): Promise<void> => {
        const name = under + entry.name;
        if (entry.isFile) {
            out.push({ file: await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)), name });
            return;
        }
        const reader = (entry as FileSystemDirectoryEntry).createReader();
        for (;;) {
            const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
            if (!some.length) {
                return;
            }
            for (const one of some) {
                await walk(one, `${name}/`);
            }
        }
    };

    if (!roots.length) {
        return [...data.files].map((file) => ({ file, name: file.name }));
    }
    for (const root of roots) {
        await walk(root, '');
    }
    return out;
}

/** Asks for files, or for a folder with all that is in it. */
export function pick(folder: boolean): Promise<Picked[]> {
    const input = document.createElement('input');
    input.type = 'file';
    input.multiple = true;
    input.webkitdirectory = folder;
    input.className = 'off-screen';
    input.setAttribute('aria-hidden', 'true');
    document.body.append(input);

    return new Promise((resolve) => {
        const end = (list: Picked[]): void => {
            input.remove();
            resolve(list);
        };
        input.addEventListener('change', () => end([...(input.files ?? [])].map((file) => ({ file, name: file.webkitRelativePath || file.name }))));
        input.addEventListener('cancel', () => end([]));
        input.click();
    });
}

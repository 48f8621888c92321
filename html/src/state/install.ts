// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/** Architectures of agents, by their number in the protocol. */
const WINDOWS = [1, 2, 3, 4, 21, 22, 34, 41, 42, 43];
const MAC = [11, 16, 29, 10005];

export type Platform = 'linux' | 'windows' | 'mac' | 'other';

export const PLATFORMS: Record<Platform, { name: string; fits: (id: number) => boolean }> = {
    linux: { name: 'Linux', fits: (id) => !WINDOWS.includes(id) && !MAC.includes(id) },
    windows: { name: 'Windows', fits: (id) => WINDOWS.includes(id) },
    mac: { name: 'macOS', fits: (id) => MAC.includes(id) },
    other: { name: 'By hand', fits: () => true },
};

/** Our own agent, and the one that other servers of this protocol hand out. */
export type Product = 'own' | 'stock';

export const PRODUCTS: Record<Product, { name: string; program: string; remove: string }> = {
    own: {
        name: 'mesh-agent', program: '/usr/lib/mesh-agent/mesh-agent', remove: 'sudo /usr/lib/mesh-agent/mesh-agent uninstall',
    },
    stock: {
        name: 'Stock MeshAgent', program: '/usr/local/mesh_services/meshagent',
        remove: 'sudo /usr/local/mesh_services/meshagent/meshagent -fulluninstall',
    },
};

/** Of what is offered, which products there are to choose from, ours first. */
export function productsOf(offered: readonly { product: Product }[]): Product[] {
    return (['own', 'stock'] as const).filter((product) => offered.some((agent) => agent.product === product));
}

/** `uname -m` of Linux machines, and the agent's number for it. */
const MACHINES: Record<Product, [string, number][]> = {
    own: [['x86_64', 6], ['aarch64', 32], ['riscv64', 45]],
    stock: [['x86_64', 6], ['aarch64', 26], ['armv7l', 25], ['armv6l', 25], ['i?86', 5], ['riscv64', 45]],
};

export interface Install {
    base: string;
    group: string;
    tool: 'curl' | 'wget';
    product: Product;
    /** Numbers of the agents of this product that the server offers; none: all are tried. */
    ids: readonly number[];
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
const doubleQuote = (text: string): string => `"${text.replace(/[\\"$`]/g, '\\$&')}"`;

/**
 * One line for sh: fetches agent and settings from this server into a folder of its
 * own, installs and starts the agent.  The server's certificate may be self-signed
 * (the agent itself checks the server by its key), so the transfer does not ask for
 * a known issuer.
 */
export function installCommand({ base, group, tool, product, ids }: Install): string {
    const get = tool === 'curl' ? 'curl -fsSk -o' : 'wget -q --no-check-certificate -O';
    const machines = MACHINES[product];
    const known = machines.filter(([, id]) => !ids.length || ids.includes(id));
    const cases = (known.length ? known : machines).map(([machine, id]) => `${machine}) a=${id};;`).join(' ');
    const url = (path: string): string => doubleQuote(new URL(path, base).href);
    const single = known.length === 1 && known[0]?.[0] === 'x86_64';
    const agent = single ? url(`meshagents?product=${product}&id=6`) : `${url(`meshagents?product=${product}&id=`)}$a`;
    const pick = single ? '' : `case $(uname -m) in ${cases} *) echo "No agent for $(uname -m)"; exit 1;; esac; `;
    const settings = url(`meshsettings?id=${encodeURIComponent(group)}`);

    return `sudo sh -c ${quote(product === 'own'
        ? `set -e; ${pick}d=$(mktemp -d); trap "rm -r $d" EXIT; cd $d; ${get} mesh-agent ${agent}; `
            + `${get} mesh-agent.msh ${settings}; chmod 755 mesh-agent; ./mesh-agent install`
        : `set -e; ${pick}d=$(mktemp -d); cd $d; ${get} meshagent ${agent}; `
            + `${get} meshagent.msh ${settings}; chmod 755 meshagent; ./meshagent -fullinstall`)}`;
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

/** Architectures of agents, by their number in the protocol. */
const WINDOWS = [1, 2, 3, 4, 21, 22, 34, 42, 43];
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

/**
 * What `uname -m` of a Linux machine and the width of its programs are, and the
 * agent's number for it: a Raspberry Pi may have programs of 32 bits on a kernel of 64.
 */
const MACHINES: Record<Product, [string, number][]> = {
    own: [['x86_64-*', 6], ['x86_64-*', 36], ['armv7l-*|aarch64-32', 25], ['aarch64-*', 32], ['riscv64-*', 45]],
    stock: [['x86_64-*', 6], ['aarch64-*', 26], ['armv7l-*', 25], ['armv6l-*', 25], ['i?86-*', 5], ['riscv64-*', 45]],
};

export interface Install {
    base: string;
    group: string;
    tool: 'curl' | 'wget';
    product: Product;
    /** Numbers of the agents of this product that the server offers; none: all are tried. */
    ids: readonly number[];
    /** SHA-256 of the server's public keys, as base64; none: its issuer must be a known one. */
    pins: readonly string[];
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
const doubleQuote = (text: string): string => `"${text.replace(/[\\"$`]/g, '\\$&')}"`;

/** Ours for x86-64 needs OpenSSL 3; there is one that needs nothing. */
const STATIC = '[ $a != 6 ] || ldconfig -p 2>/dev/null | grep -q "libssl\\.so\\.3" || a=36; ';

/**
 * One line for sh: fetches agent and settings from this server into a folder of its
 * own, installs and starts the agent.  The server's certificate may be self-signed:
 * what counts is that it has one of the keys that this page was told, so nobody in
 * between can hand out another program.
 */
export function installCommand({ base, group, tool, product, ids, pins }: Install): string {
    const keys = pins.filter((pin) => /^[A-Za-z0-9+/]{43}=$/.test(pin)).map((pin) => `sha256//${pin}`).join(';');
    const get = tool === 'curl' ? `curl -fsS${keys ? `k --pinnedpubkey "${keys}"` : ''} -o`
        : `wget -q${keys ? ` --no-check-certificate --pinnedpubkey="${keys}"` : ''} -O`;
    const machines = MACHINES[product].filter(([, id]) => id !== 36 || (ids.includes(36) && !ids.includes(6)));
    const known = machines.filter(([, id]) => !ids.length || ids.includes(id));
    const cases = (known.length ? known : machines).map(([machine, id]) => `${machine}) a=${id};;`).join(' ');
    const url = (path: string): string => doubleQuote(new URL(path, base).href);
    const either = product === 'own' && ids.includes(6) && ids.includes(36);
    const only = known.length === 1 && known[0]?.[0].startsWith('x86_64') && !either ? known[0][1] : 0;
    const agent = only ? url(`meshagents?product=${product}&id=${only}`) : `${url(`meshagents?product=${product}&id=`)}$a`;
    const pick = only ? '' : `case $(uname -m)-$(getconf LONG_BIT 2>/dev/null) in ${cases} *) echo "No agent for $(uname -m)"; exit 1;; esac; ${either ? STATIC : ''}`;
    const settings = url(`meshsettings?id=${encodeURIComponent(group)}`);

    return `sudo sh -c ${quote(product === 'own'
        ? `set -e; ${pick}d=$(mktemp -d); trap "rm -r $d" EXIT; cd $d; ${get} mesh-agent ${agent}; `
            + `${get} mesh-agent.msh ${settings}; chmod 755 mesh-agent; ./mesh-agent install`
        : `set -e; ${pick}d=$(mktemp -d); cd $d; ${get} meshagent ${agent}; `
            + `${get} meshagent.msh ${settings}; chmod 755 meshagent; ./meshagent -fullinstall`)}`;
}

// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { FitAddon } from '@xterm/addon-fit';
import { SearchAddon } from '@xterm/addon-search';
import { Unicode11Addon } from '@xterm/addon-unicode11';
import { Terminal, type ITheme } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import { Output } from '../../state/output.ts';
import type { ShellSession } from '../../state/shell.ts';
import { t } from '../../i18n/index.ts';

const LIGHT: ITheme = {
    black: '#1f2125', red: '#b3261e', green: '#1a7340', yellow: '#8a5a00', blue: '#2348b8', magenta: '#8b3a9c', cyan: '#0a6a7d', white: '#6b6e73',
    brightBlack: '#62666c', brightRed: '#b3261e', brightGreen: '#14703b', brightYellow: '#8a5a00', brightBlue: '#2348b8', brightMagenta: '#8b3a9c',
    brightCyan: '#0a667d', brightWhite: '#1f2125', selectionBackground: '#cfdcff',
};
const DARK: ITheme = {
    black: '#2b2d31', red: '#f1726e', green: '#5cc98a', yellow: '#e0b050', blue: '#8fadff', magenta: '#d39be8', cyan: '#5cc4d8', white: '#d6d6d2',
    brightBlack: '#868a91', brightRed: '#ff908b', brightGreen: '#7be0a5', brightYellow: '#f2c96f', brightBlue: '#adc3ff', brightMagenta: '#e3b8f3',
    brightCyan: '#86dcec', brightWhite: '#ffffff', selectionBackground: '#34467a',
};
const SCROLLBACK = 5000;

/** A colour property as the browser computes it: xterm.js knows no light-dark(). */
function colour(name: string): string {
    const probe = document.createElement('i');
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
}

export function theme(): ITheme {
    const chosen = document.documentElement.dataset['theme'];
    const dark = chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    return { ...(dark ? DARK : LIGHT), background: colour('--term-bg'), foreground: colour('--term-fg'), cursor: colour('--accent') };
}

/**
 * The screen of one session.  It belongs to the session and not to the page: it is
 * moved into the page while one looks at it, and keeps what came meanwhile.
 */
export class Screen {
    readonly element = document.createElement('div');
    readonly terminal: Terminal;
    readonly #fit = new FitAddon();
    readonly #search = new SearchAddon();
    readonly #sizes = new ResizeObserver(() => this.fit());
    readonly #themes = new MutationObserver(() => this.#paint());
    readonly #scheme = matchMedia('(prefers-color-scheme: dark)');
    #opened = false;
    /** Keys of the row on touch screens that change the next one. */
    ctrl = false;
    alt = false;
    onModifier: () => void = () => {};

    constructor(session: ShellSession) {
        this.element.className = 'screen';
        this.terminal = new Terminal({
            allowProposedApi: true, cursorBlink: false, cursorStyle: 'bar', fontFamily: '"JetBrains Mono Variable", "Noto Sans Mono CJK JP", monospace',
            fontSize: innerWidth < 640 ? 12 : 13, lineHeight: 1.2, minimumContrastRatio: 4.5, screenReaderMode: true, scrollback: SCROLLBACK,
            theme: theme(), cols: session.cols, rows: session.rows,
        });
        this.terminal.loadAddon(this.#fit);
        this.terminal.loadAddon(this.#search);
        this.terminal.loadAddon(new Unicode11Addon());
        this.terminal.unicode.activeVersion = '11';
        this.terminal.onData((text) => session.type(this.#modified(text)));
        this.terminal.onBinary((text) => session.type(text));
        this.terminal.onResize(({ cols, rows }) => session.resize(cols, rows));
        this.terminal.onTitleChange((title) => session.retitle(title));
        const output = new Output((data, written) => this.terminal.write(data, written), () => t('Output was left out here: it came faster than it can be shown'));
        session.addEventListener('data', (e) => {
            const { detail } = e as CustomEvent<Uint8Array>;
            output.push(detail, () => session.taken(detail.length));
        });
        session.addEventListener('fresh', () => this.terminal.reset());
        this.#themes.observe(document.documentElement, { attributeFilter: ['data-theme'] });
        this.#scheme.addEventListener('change', this.#paint);
    }

    #paint = (): void => {
        this.terminal.options.theme = theme();
    };

    /** Into the page; the font must be there first, or the cells have a wrong size. */
    async show(place: HTMLElement): Promise<void> {
        await document.fonts.load('13px "JetBrains Mono Variable"');
        if (!place.isConnected) {
            return;
        }
        place.replaceChildren(this.element);
        if (!this.#opened) {
            this.#opened = true;
            this.terminal.open(this.element);
            this.terminal.textarea?.setAttribute('autocapitalize', 'off');
            this.#inserted();
        }
        this.#sizes.observe(place);
        this.fit();
        this.terminal.focus();
    }

    /**
     * Text that comes without a key, from an emoji panel or dictation: xterm.js
     * drops it when it serves a screen reader.
     */
    #inserted(): void {
        const area = this.terminal.textarea;
        let key = false;

        area?.addEventListener('keydown', () => { key = true; }, true);
        area?.addEventListener('keyup', () => { key = false; }, true);
        area?.addEventListener('blur', () => { key = false; });
        area?.addEventListener('input', (e) => {
            const { data, inputType, isComposing } = e as InputEvent;
            if (data && inputType === 'insertText' && !isComposing && !key) {
                this.terminal.input(data, true);
            }
        });
    }

    hide(): void {
        this.#sizes.disconnect();
        this.element.remove();
    }

    fit(): void {
        if (this.element.isConnected && this.element.offsetWidth > 40) {
            this.#fit.fit();
        }
    }

    find(text: string, back: boolean): boolean {
        return back ? this.#search.findPrevious(text) : this.#search.findNext(text);
    }

    /** A key of the row: as if it had been typed. */
    press(text: string): void {
        this.terminal.input(text, true);
        this.terminal.focus();
    }

    #modified(text: string): string {
        if ((!this.ctrl && !this.alt) || text.length !== 1) {
            return text;
        }
        const code = text.toUpperCase().charCodeAt(0);
        const out = this.ctrl && code >= 64 && code < 96 ? String.fromCharCode(code & 31) : text;
        const whole = this.alt ? `\x1b${out}` : out;

        this.ctrl = this.alt = false;
        this.onModifier();
        return whole;
    }

    dispose(): void {
        this.#themes.disconnect();
        this.#scheme.removeEventListener('change', this.#paint);
        this.#sizes.disconnect();
        this.terminal.dispose();
        this.element.remove();
    }
}

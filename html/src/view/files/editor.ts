// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import { html, nothing, type TemplateResult } from 'lit';
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { bracketMatching, HighlightStyle, indentUnit, StreamLanguage, syntaxHighlighting, type StreamParser } from '@codemirror/language';
import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search';
import { Compartment, EditorState } from '@codemirror/state';
import { drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import type { Entry } from '../../wire/files.ts';
import type { FilesSession } from '../../state/files.ts';
import { join } from '../../state/paths.ts';
import { t } from '../../i18n/index.ts';
import { ask } from '../dialogs.ts';
import { define, Part } from '../element.ts';
import { btn, errorText, icon, mark, note } from '../ui.ts';

const LIMIT = 2 * 1024 * 1024;

/** Which kind of text it is, by its name; each loads when it is met. */
const LANGUAGES: [RegExp, () => Promise<StreamParser<unknown>>][] = [
    [/\.(?:sh|bash|zsh|profile|bashrc)$/i, () => import('@codemirror/legacy-modes/mode/shell').then((m) => m.shell)],
    [/\.(?:js|mjs|ts|json|jsonc)$/i, () => import('@codemirror/legacy-modes/mode/javascript').then((m) => m.typescript)],
    [/\.ya?ml$/i, () => import('@codemirror/legacy-modes/mode/yaml').then((m) => m.yaml as StreamParser<unknown>)],
    [/\.toml$/i, () => import('@codemirror/legacy-modes/mode/toml').then((m) => m.toml as StreamParser<unknown>)],
    [/(?:nginx.*\.conf|sites-(?:available|enabled).*)$/i, () => import('@codemirror/legacy-modes/mode/nginx').then((m) => m.nginx)],
    [/\.(?:ini|conf|cfg|service|timer|socket|properties|env|desktop)$/i, () => import('@codemirror/legacy-modes/mode/properties').then((m) => m.properties as StreamParser<unknown>)],
    [/\.py$/i, () => import('@codemirror/legacy-modes/mode/python').then((m) => m.python)],
    [/\.(?:pl|pm|t)$/i, () => import('@codemirror/legacy-modes/mode/perl').then((m) => m.perl)],
    [/\.ps1$/i, () => import('@codemirror/legacy-modes/mode/powershell').then((m) => m.powerShell as StreamParser<unknown>)],
    [/\.(?:html?|xml|svg)$/i, () => import('@codemirror/legacy-modes/mode/xml').then((m) => m.xml as StreamParser<unknown>)],
    [/\.css$/i, () => import('@codemirror/legacy-modes/mode/css').then((m) => m.css as StreamParser<unknown>)],
    [/\.sql$/i, () => import('@codemirror/legacy-modes/mode/sql').then((m) => m.standardSQL)],
    [/\.(?:c|h|cc|cpp|java)$/i, () => import('@codemirror/legacy-modes/mode/clike').then((m) => m.cpp)],
    [/dockerfile/i, () => import('@codemirror/legacy-modes/mode/dockerfile').then((m) => m.dockerFile as StreamParser<unknown>)],
];

const colours = HighlightStyle.define([
    { tag: [tags.keyword, tags.operatorKeyword], class: 'ed-key' },
    { tag: [tags.string, tags.special(tags.string)], class: 'ed-str' },
    { tag: [tags.comment, tags.meta], class: 'ed-com' },
    { tag: [tags.number, tags.bool, tags.atom], class: 'ed-num' },
    { tag: [tags.propertyName, tags.attributeName, tags.definition(tags.variableName), tags.tagName], class: 'ed-def' },
]);

/* One sheet for the shadow root: colours of the page reach into it as variables. */
const sheet = new CSSStyleSheet();
sheet.replaceSync(`
:host { display: block; height: 100%; min-height: 0; }
.cm-editor { height: 100%; color: var(--term-fg); background: var(--term-bg); font: 400 .8125rem/1.25rem var(--mono); }
.cm-editor.cm-focused { outline: none; }
.cm-scroller { font: inherit !important; line-height: inherit !important; overflow: auto; }
.cm-content { caret-color: var(--term-fg); padding: .5rem 0; }
.cm-gutters { background: var(--term-bg) !important; color: var(--text-3) !important; border: 0 !important; padding-left: .75rem; }
.cm-activeLine, .cm-activeLineGutter { background: color-mix(in srgb, var(--hover) 70%, transparent) !important; }
.cm-cursor { border-left-color: var(--term-fg) !important; border-left-width: 2px !important; }
.cm-selectionBackground { background: light-dark(#cfdcff, #34467a) !important; }
.cm-searchMatch { background: var(--mark) !important; } .cm-searchMatch-selected { outline: 2px solid var(--focus); }
.cm-panels { background: var(--canvas) !important; color: var(--text) !important; border-color: var(--line) !important; }
.cm-panel.cm-search { font: var(--t-13); padding: .375rem 1.25rem; display: flex; flex-wrap: wrap; gap: .375rem; align-items: center; } .cm-panel br { display: none; }
.cm-panel input.cm-textfield { font: inherit; color: inherit; background: var(--surface); border: 1px solid var(--line-field); border-radius: 5px; height: 1.5rem; padding: 0 .5rem; margin: 0; }
.cm-panel button.cm-button { font: 500 .75rem/1rem var(--sans); color: inherit; background: var(--surface); border: 1px solid var(--line-2); border-radius: 5px; height: 1.5rem; padding: 0 .5rem; margin: 0; }
.cm-panel label { font: var(--t-12) !important; display: inline-flex; gap: .25rem; align-items: center; } .cm-panel button[name=close] { position: static !important; margin-left: auto; color: inherit; font-size: 1rem; }
.ed-key { color: var(--accent-text); } .ed-str { color: var(--ok-text); } .ed-com { color: var(--text-3); } .ed-num { color: var(--warn-text); } .ed-def { color: var(--standby-text); }
`);

/** One text file, edited in place. */
class MeshEditor extends Part {
    static override properties = { session: { attribute: false }, entry: { attribute: false } };
    declare session: FilesSession;
    declare entry: Entry;
    #view: EditorView | null = null;
    #folder = '';
    #text = '';
    #crlf = false;
    #mark = false;
    #state: 'reading' | 'ready' | 'saving' | 'failed' = 'reading';
    #error = '';
    #changed = false;
    #saved = false;

    protected override begin(): void {
        this.#folder = this.session.path;
        this.listen(window, 'beforeunload', (e: BeforeUnloadEvent) => {
            if (this.#changed) {
                e.preventDefault();
            }
        });
        void this.#read();
    }

    protected override end(): void {
        this.#view?.destroy();
        this.#view = null;
    }

    async #read(): Promise<void> {
        try {
            const bytes = await this.session.read(this.entry.name, LIMIT);
            if (bytes.includes(0)) {
                throw new Error(t('This is not a text file.'));
            }
            const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
            this.#mark = text.startsWith('\ufeff');
            this.#text = this.#mark ? text.slice(1) : text;
            // one that mixes line ends would come back another
            this.#crlf = /\r\n/.test(this.#text);
            if (/\r(?!\n)/.test(this.#text) || (this.#crlf && /(?<!\r)\n/.test(this.#text))) {
                throw new Error(t('Its lines end in different ways, which would be lost here: fetch it and edit it on this computer.'));
            }
            this.#state = 'ready';
            await this.#show();
        } catch (error) {
            this.#state = 'failed';
            this.#error = error instanceof TypeError ? t('This is not UTF-8: fetch it and edit it on this computer.') : errorText(error);
        }
        this.requestUpdate();
    }

    async #show(): Promise<void> {
        this.requestUpdate();
        await this.updateComplete;
        const place = this.querySelector<HTMLElement>('.ed-place');
        if (!place || !this.isConnected) {
            return;
        }
        const root = place.shadowRoot ?? place.attachShadow({ mode: 'open' });
        const language = new Compartment();
        root.adoptedStyleSheets = [sheet];
        this.#view = new EditorView({
            root, parent: root as unknown as Element,
            state: EditorState.create({
                doc: this.#text,
                extensions: [
                    lineNumbers(), highlightActiveLine(), highlightActiveLineGutter(), highlightSpecialChars(), history(), drawSelection(), bracketMatching(), highlightSelectionMatches(),
                    search({ top: true }), syntaxHighlighting(colours), language.of([]), indentUnit.of(/^\t/m.test(this.#text) ? '\t' : '    '),
                    EditorState.lineSeparator.of(this.#crlf ? '\r\n' : '\n'), EditorView.contentAttributes.of({ 'aria-label': t('Text of {name}', { name: this.entry.name }), spellcheck: 'false' }),
                    keymap.of([{ key: 'Mod-s', run: () => {
                        void this.#save();
                        return true;
                    } }, { key: 'Escape', run: () => {
                        // Tab belongs to the text; this is the way out for the keyboard
                        this.querySelector<HTMLElement>('.ed-bar .b:not([aria-disabled])')?.focus();
                        return true;
                    } }, ...searchKeymap, ...defaultKeymap, ...historyKeymap, indentWithTab]),
                    EditorView.updateListener.of((update) => {
                        if (update.docChanged) {
                            this.#saved = false;
                            if (!this.#changed) {
                                this.#changed = true;
                                this.requestUpdate();
                            }
                        }
                    }),
                ],
            }),
        });
        this.#view.focus();
        const found = LANGUAGES.find(([pattern]) => pattern.test(join(this.#folder, this.entry.name)))?.[1] ?? (/^#!.*\b(?:sh|bash|dash)\b/.test(this.#text) ? LANGUAGES[0]?.[1] : undefined);
        if (found) {
            const parser = await found().catch(() => null);
            if (parser && this.#view) {
                this.#view.dispatch({ effects: language.reconfigure(StreamLanguage.define(parser)) });
            }
        }
    }

    async #save(): Promise<void> {
        const view = this.#view;
        if (!view || this.#state === 'saving' || !this.#changed) {
            return;
        }
        const text = view.state.sliceDoc();
        this.#state = 'saving';
        this.#error = '';
        this.requestUpdate();
        try {
            await this.session.write(this.#folder, this.entry.name, new TextEncoder().encode((this.#mark ? '\ufeff' : '') + text));
            this.#changed = view.state.sliceDoc() !== text;
            this.#saved = !this.#changed;
        } catch (error) {
            this.#error = errorText(error);
        }
        this.#state = 'ready';
        this.requestUpdate();
    }

    async #close(): Promise<void> {
        if (!this.#changed || await ask({ title: t('Close without saving?'), yes: t('Close'), no: t('Keep editing'), danger: true, body: html`<p>${t('What was changed in {name} is lost.', { name: this.entry.name })}</p>` })) {
            this.#changed = false;
            this.dispatchEvent(new Event('close'));
        }
    }

    protected override render(): TemplateResult {
        return html`<div class="ed">
            <div class="ed-bar" role="toolbar" aria-label=${t('Text')}>${icon('file-text')}<b><bdi>${this.entry.name}</bdi></b><span class="quiet" role="status">${
                this.#state === 'saving' ? t('Saving') : this.#changed ? t('Not saved') : this.#saved ? t('Saved') : ''}</span><span class="grow"></span>
                ${btn(t('Save'), { kind: 'primary', busy: this.#state === 'saving', reason: this.#state === 'ready' && !this.#changed ? t('Nothing was changed') : this.#view ? undefined : t('It is not there yet'), title: 'Ctrl-S', click: () => void this.#save() })}
                ${btn(t('Close'), { click: () => void this.#close() })}</div>
            ${this.#error ? html`<div class="fnote">${note('fault', 'circle-alert', this.#error, true)}</div>` : nothing}
            ${this.#state === 'reading' ? html`<div class="fwait" role="status">${mark('connecting', false)}<span>${t('Reading')}</span></div>` : nothing}
            <div class="ed-place" ?hidden=${this.#state === 'failed'}></div>
        </div>`;
    }
}

define('mesh-editor', MeshEditor);

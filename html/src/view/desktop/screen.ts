// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { DesktopSession } from '../../state/desktop.ts';
import { BUTTONS, DOUBLE_CLICK, type Packet } from '../../wire/kvm.ts';
import type { KeyStroke } from '../../wire/keys.ts';
import { t } from '../../i18n/index.ts';
import { Painter } from './painter.ts';

const NOTCH = 120;
const PIXELS = 100;         /* of a wheel without notches, for one */
const LINES = 3;
const LONG_PRESS = 500;
const SLIP = 9;             /* pixels that a finger may move in a tap */
const MAX_ZOOM = 8;
/** In front of the cursor, so that a phone's keyboard has something to delete. */
const FILLING = '\u00a0\u00a0';

/** Buttons by PointerEvent.button. */
const POINTER: Record<number, number> = { 0: BUTTONS.left, 1: BUTTONS.middle, 2: BUTTONS.right };

interface Finger {
    x: number;
    y: number;
    startX: number;
    startY: number;
}

/**
 * The screen of one session.  It belongs to the session and not to the page: it is
 * moved into the page while one looks at it, and keeps what came meanwhile.
 *
 * Events: `leave` (the person wants the keyboard back), `draw` (another size or zoom).
 */
export class Screen extends EventTarget {
    readonly element = document.createElement('div');
    readonly canvas = document.createElement('canvas');
    readonly keys = document.createElement('textarea');
    readonly #session: DesktopSession;
    readonly #painter: Painter;
    readonly #sizes = new ResizeObserver(() => this.#place());
    #actual = false;
    #zoom = 1;
    #panX = 0;
    #panY = 0;
    #lastDrawn = 0;
    #buttons = new Set<number>();
    #move: { x: number; y: number } | null = null;
    #moving = 0;
    #wheel = 0;
    #fingers = new Map<number, Finger>();
    #gesture: 'none' | 'tap' | 'drag' | 'two' | 'done' = 'none';
    #long: ReturnType<typeof setTimeout> | undefined;
    #spread = 0;
    #two = { x: 0, y: 0 };

    constructor(session: DesktopSession) {
        super();
        this.#session = session;
        this.#painter = new Painter(this.canvas, {
            lost: () => session.refresh(),
            failed: (why) => session.end(why),
            drawn: (tiles) => this.#drawn(tiles),
        });
        this.canvas.width = this.canvas.height = 0;
        this.canvas.className = 'picture';
        this.keys.className = 'desk-keys';
        this.keys.autocomplete = 'off';
        this.keys.spellcheck = false;
        this.keys.setAttribute('autocapitalize', 'off');
        this.keys.setAttribute('autocorrect', 'off');
        this.keys.value = FILLING;
        this.element.className = 'desk-view';
        this.element.append(this.canvas, this.keys);
        this.#mouse();
        this.#keyboard();
        session.onWaiting(() => this.#painter.waiting);
        session.addEventListener('packets', (e) => this.#painter.push((e as CustomEvent<Packet[]>).detail));
        session.addEventListener('fresh', () => this.#painter.clear());
        session.addEventListener('change', () => this.#look());
    }

    /** 1:1 instead of as large as fits. */
    get actual(): boolean {
        return this.#actual;
    }

    set actual(on: boolean) {
        this.#actual = on;
        this.#zoom = 1;
        this.#place();
    }

    get empty(): boolean {
        return this.canvas.width === 0;
    }

    show(place: HTMLElement, name: string): void {
        this.keys.setAttribute('aria-label', t('Screen of {name}. All keys go there; Ctrl, Alt and Shift together leave it.', { name }));
        this.canvas.setAttribute('role', 'img');
        this.canvas.setAttribute('aria-label', t('The screen of {name}', { name }));
        place.replaceChildren(this.element);
        this.#sizes.observe(this.element);
        this.#place();
        this.#look();
    }

    hide(): void {
        this.#session.keyboard.release();
        this.#sizes.disconnect();
        this.element.remove();
    }

    focus(): void {
        this.keys.focus({ preventScroll: true });
    }

    picture(): Promise<Blob | null> {
        return new Promise((resolve) => this.canvas.toBlob(resolve, 'image/png'));
    }

    dispose(): void {
        cancelAnimationFrame(this.#moving);
        clearTimeout(this.#long);
        this.#painter.clear();
        this.#sizes.disconnect();
        this.element.remove();
    }

    #drawn(tiles: number): void {
        const now = performance.now();

        if (tiles === 0) {
            this.#place();
            return;
        }
        // the tiles of one picture come right behind each other
        if (now - this.#lastDrawn > 12) {
            this.#session.frames++;
        }
        this.#lastDrawn = now;
    }

    #look(): void {
        const { viewOnly, cursor, state } = this.#session;
        this.canvas.style.cursor = state !== 'open' || viewOnly ? 'default' : cursor;
        this.keys.readOnly = viewOnly;
    }

    /* The picture in its place: as large as fits, times the zoom. */

    #place(): void {
        const { width, height } = this.canvas;
        const { clientWidth, clientHeight } = this.element;
        const style = this.canvas.style;

        if (!width || !clientWidth) {
            return;
        }
        const fit = this.#actual ? 1 / devicePixelRatio : Math.min(clientWidth / width, clientHeight / height);
        const [w, h] = [width * fit, height * fit];

        this.element.classList.toggle('actual', this.#actual);
        style.width = `${w}px`;
        style.height = `${h}px`;
        style.imageRendering = fit * devicePixelRatio * this.#zoom >= 2 ? 'pixelated' : 'auto';
        this.#panX = Math.min(0, Math.max(w - w * this.#zoom, this.#panX));
        this.#panY = Math.min(0, Math.max(h - h * this.#zoom, this.#panY));
        style.transform = this.#zoom === 1 ? '' : `translate(${this.#panX}px, ${this.#panY}px) scale(${this.#zoom})`;
        this.dispatchEvent(new Event('draw'));
    }

    #at(e: { clientX: number; clientY: number }): { x: number; y: number } {
        const box = this.canvas.getBoundingClientRect();
        const { width, height } = this.canvas;

        return {
            x: Math.min(width - 1, Math.max(0, Math.floor((e.clientX - box.left) * width / box.width))),
            y: Math.min(height - 1, Math.max(0, Math.floor((e.clientY - box.top) * height / box.height))),
        };
    }

    /* Mouse and pen; fingers below. */

    #mouse(): void {
        const { canvas } = this;

        canvas.addEventListener('contextmenu', (e) => e.preventDefault());
        canvas.addEventListener('pointerdown', (e) => {
            e.preventDefault();
            if (e.pointerType === 'touch') {
                this.#fingerDown(e);
                return;
            }
            this.focus();
            canvas.setPointerCapture(e.pointerId);
            this.#flushMove();
            this.#press(e.button, e);
        });
        canvas.addEventListener('pointermove', (e) => {
            if (e.pointerType === 'touch') {
                this.#fingerMove(e);
                return;
            }
            this.#moveTo(this.#at(e));
        });
        canvas.addEventListener('pointerup', (e) => {
            if (e.pointerType === 'touch') {
                this.#fingerUp(e);
                return;
            }
            this.#flushMove();
            this.#letGo(e.button, e);
        });
        canvas.addEventListener('pointercancel', (e) => {
            if (e.pointerType === 'touch') {
                this.#fingersGone();
            }
            for (const button of this.#buttons) {
                this.#letGo(button, e);
            }
        });
        canvas.addEventListener('dblclick', (e) => {
            const { x, y } = this.#at(e);
            this.#session.mouse(DOUBLE_CLICK, x, y);
        });
        canvas.addEventListener('wheel', (e) => {
            e.preventDefault();
            if (this.#session.viewOnly && this.#actual) {
                this.element.scrollBy(e.deltaX, e.deltaY);
                return;
            }
            this.#turn(e.deltaY / (e.deltaMode === 1 ? LINES : e.deltaMode === 2 ? 1 : PIXELS), this.#at(e));
        }, { passive: false });
    }

    #press(button: number, e: PointerEvent): void {
        const bits = POINTER[button];
        if (bits !== undefined) {
            const { x, y } = this.#at(e);
            this.#buttons.add(button);
            this.#session.mouse(bits, x, y);
        }
    }

    #letGo(button: number, e: PointerEvent): void {
        const bits = POINTER[button];
        if (bits !== undefined && this.#buttons.delete(button)) {
            const { x, y } = this.#at(e);
            this.#session.mouse(bits * 2, x, y);
        }
    }

    /** At most one move a frame of this page. */
    #moveTo(at: { x: number; y: number }): void {
        this.#move = at;
        this.#moving ||= requestAnimationFrame(() => this.#flushMove());
    }

    #flushMove(): void {
        cancelAnimationFrame(this.#moving);
        this.#moving = 0;
        if (this.#move) {
            this.#session.mouse(0, this.#move.x, this.#move.y);
            this.#move = null;
        }
    }

    /** Whole notches; away from the person is positive there and negative here. */
    #turn(notches: number, at: { x: number; y: number }): void {
        this.#wheel += notches;
        while (Math.abs(this.#wheel) >= 1) {
            const sign = Math.sign(this.#wheel);
            this.#wheel -= sign;
            this.#session.mouse(0, at.x, at.y, -sign * NOTCH);
        }
    }

    /*
     * Fingers: a tap clicks, a long one with the right button, one that moves drags;
     * two turn the wheel, or spread and move the view.
     */

    #fingerDown(e: PointerEvent): void {
        this.canvas.setPointerCapture(e.pointerId);
        this.#fingers.set(e.pointerId, { x: e.clientX, y: e.clientY, startX: e.clientX, startY: e.clientY });
        clearTimeout(this.#long);

        if (this.#fingers.size === 1) {
            this.#gesture = 'tap';
            this.#long = setTimeout(() => {
                if (this.#gesture === 'tap') {
                    this.#gesture = 'done';
                    navigator.vibrate?.(20);
                    this.#click(BUTTONS.right, e);
                }
            }, LONG_PRESS);
        } else if (this.#fingers.size === 2 && this.#gesture !== 'drag') {
            this.#gesture = 'two';
            this.#two = this.#middle();
            this.#spread = this.#distance();
        }
    }

    #fingerMove(e: PointerEvent): void {
        const finger = this.#fingers.get(e.pointerId);
        if (!finger) {
            return;
        }
        finger.x = e.clientX;
        finger.y = e.clientY;

        if (this.#gesture === 'tap' && Math.hypot(finger.x - finger.startX, finger.y - finger.startY) > SLIP) {
            const start = this.#at({ clientX: finger.startX, clientY: finger.startY });
            clearTimeout(this.#long);
            this.#gesture = 'drag';
            this.#session.mouse(0, start.x, start.y);
            this.#session.mouse(BUTTONS.left, start.x, start.y);
        }
        if (this.#gesture === 'drag') {
            this.#moveTo(this.#at(e));
        } else if (this.#gesture === 'two' && this.#fingers.size === 2) {
            this.#twoMoved();
        }
    }

    #twoMoved(): void {
        const middle = this.#middle();
        const distance = this.#distance();
        const by = { x: middle.x - this.#two.x, y: middle.y - this.#two.y };

        if (this.#zoom > 1 || Math.abs(distance / this.#spread - 1) > 0.12) {
            const box = this.element.getBoundingClientRect();
            const zoom = Math.min(MAX_ZOOM, Math.max(1, this.#zoom * distance / this.#spread));
            const grown = zoom / this.#zoom;
            const origin = { x: this.#two.x - box.left - this.canvas.offsetLeft, y: this.#two.y - box.top - this.canvas.offsetTop };

            // what is between the fingers stays between them
            this.#panX = origin.x - (origin.x - this.#panX) * grown + by.x;
            this.#panY = origin.y - (origin.y - this.#panY) * grown + by.y;
            this.#zoom = zoom;
            this.#spread = distance;
            this.#two = middle;
            this.#place();
        } else if (Math.abs(by.y) > 0) {
            this.#turn(-by.y / 40, this.#at({ clientX: middle.x, clientY: middle.y }));
            this.#two = middle;
        }
    }

    #fingerUp(e: PointerEvent): void {
        const finger = this.#fingers.get(e.pointerId);

        this.#fingers.delete(e.pointerId);
        clearTimeout(this.#long);
        if (finger && this.#gesture === 'tap') {
            this.#click(BUTTONS.left, e);
        } else if (finger && this.#gesture === 'drag') {
            const { x, y } = this.#at(e);
            this.#flushMove();
            this.#session.mouse(BUTTONS.left * 2, x, y);
        }
        this.#gesture = this.#fingers.size ? 'done' : 'none';
    }

    #fingersGone(): void {
        clearTimeout(this.#long);
        if (this.#gesture === 'drag') {
            const [finger] = this.#fingers.values();
            const { x, y } = this.#at({ clientX: finger?.x ?? 0, clientY: finger?.y ?? 0 });
            this.#session.mouse(BUTTONS.left * 2, x, y);
        }
        this.#fingers.clear();
        this.#gesture = 'none';
    }

    #click(button: number, e: PointerEvent): void {
        const { x, y } = this.#at(e);
        this.#session.mouse(0, x, y);
        this.#session.mouse(button, x, y);
        this.#session.mouse(button * 2, x, y);
    }

    #middle(): { x: number; y: number } {
        const [a, b] = [...this.#fingers.values()];
        return { x: ((a?.x ?? 0) + (b?.x ?? 0)) / 2, y: ((a?.y ?? 0) + (b?.y ?? 0)) / 2 };
    }

    #distance(): number {
        const [a, b] = [...this.#fingers.values()];
        return Math.max(1, Math.hypot((a?.x ?? 0) - (b?.x ?? 0), (a?.y ?? 0) - (b?.y ?? 0)));
    }

    /* Keys: of a keyboard as strokes, of a phone or an input method as text. */

    #keyboard(): void {
        const { keys } = this;
        const { keyboard } = this.#session;

        keys.addEventListener('keydown', (e) => {
            if (e.ctrlKey && e.altKey && e.shiftKey) {
                e.preventDefault();
                keyboard.release();
                keys.blur();
                this.dispatchEvent(new Event('leave'));
                return;
            }
            if (this.#session.viewOnly || this.#session.state !== 'open' || e.isComposing) {
                return;
            }
            if (keyboard.down(stroke(e))) {
                e.preventDefault();
                e.stopPropagation();
            }
        });
        keys.addEventListener('keyup', (e) => {
            keyboard.up(e);
            e.stopPropagation();
        });
        keys.addEventListener('blur', () => keyboard.release());
        keys.addEventListener('beforeinput', (e) => {
            if (e.inputType === 'insertCompositionText') {
                return;
            }
            e.preventDefault();
            this.#inserted(e);
        });
        keys.addEventListener('compositionend', (e) => {
            keyboard.text(e.data);
            keys.value = FILLING;
        });
    }

    #inserted(e: InputEvent): void {
        const { keyboard } = this.#session;

        switch (e.inputType) {
        case 'insertText':
        case 'insertReplacementText':
            keyboard.text(e.data ?? '');
            break;
        case 'insertLineBreak':
        case 'insertParagraph':
            keyboard.tap({ vk: 0x0d });
            break;
        case 'deleteContentBackward':
            keyboard.tap({ vk: 0x08 });
            break;
        case 'deleteContentForward':
            keyboard.tap({ vk: 0x2e, extended: true });
            break;
        }
    }
}

function stroke(e: KeyboardEvent): KeyStroke {
    return {
        key: e.key, code: e.code || e.key, shiftKey: e.shiftKey, ctrlKey: e.ctrlKey, altKey: e.altKey, metaKey: e.metaKey,
        repeat: e.repeat, altGraph: e.getModifierState('AltGraph'),
    };
}

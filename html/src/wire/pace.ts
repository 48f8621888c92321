// Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
import type { Compression } from './kvm.ts';

/*
 * What a line carries.  A probe comes back behind all pictures that are under way,
 * so the time that it takes is the age of the picture.  Where that grows, less is
 * asked for; where it stays small, more again.
 */

/** Each is a part of what the person has chosen, and the longest way between two pictures. */
const STEPS: readonly { quality: number; scaling: number; interval: number }[] = [
    { quality: 1, scaling: 1, interval: 50 },
    { quality: 0.8, scaling: 1, interval: 80 },
    { quality: 0.6, scaling: 1, interval: 120 },
    { quality: 0.45, scaling: 1, interval: 200 },
    { quality: 0.3, scaling: 0.75, interval: 350 },
    { quality: 0.2, scaling: 0.5, interval: 600 },
    { quality: 0.1, scaling: 0.5, interval: 1000 },
];

/** At the start nothing is known of the line. */
const FIRST = 2;

const OLD = 450;            /* ms over the line's own delay: ask for less */
const VERY_OLD = 1000;      /* by two steps, and hold until it has come */
const FRESH = 150;
const CALM = 1500;          /* ms of fresh pictures before more is asked for */
const CALM_MAX = 60_000;

export class Pace {
    /** What the person has chosen: never more than this. */
    best: Compression;
    automatic = true;
    #step = FIRST;
    #base = Infinity;
    #freshSince: number | null = null;
    #calm = CALM;
    /** a probe that left before this says nothing about the present step */
    #changedAt = -Infinity;
    #raisedAt = -Infinity;

    constructor(best: Compression) {
        this.best = best;
    }

    get step(): number {
        return this.automatic ? this.#step : 0;
    }

    get now(): Compression {
        const step = STEPS[this.step] ?? STEPS[0];
        if (!this.automatic || !step) {
            return this.best;
        }
        return {
            image: this.best.image,
            quality: Math.max(Math.min(10, this.best.quality), Math.round(this.best.quality * step.quality)),
            scaling: Math.max(128, Math.round(this.best.scaling * step.scaling)),
            interval: Math.max(this.best.interval, step.interval),
        };
    }

    /**
     * The probe that left at `sent` took `age` ms; `open` when it is still under way.
     * Returns whether `now` is another one.
     */
    probed(sent: number, age: number, at: number, open = false): boolean {
        if (!open) {
            this.#base = Math.min(this.#base, age);
        }
        const late = age - (Number.isFinite(this.#base) ? this.#base : 0);

        if (late > OLD) {
            this.#freshSince = at;
            return sent >= this.#changedAt && this.#less(late > VERY_OLD ? 2 : 1, at);
        }
        if (open) {
            return false;
        }
        if (late > FRESH) {
            this.#freshSince = at;
            return false;
        }
        this.#freshSince ??= at;
        if (at - this.#freshSince >= this.#calm && this.#step > 0) {
            this.#move(this.#step - 1, at);
            this.#raisedAt = at;
            this.#freshSince = at;
            return true;
        }
        return false;
    }

    /** Old enough that nothing more should be sent until it has come? */
    pauses(age: number): boolean {
        return this.automatic && age - (Number.isFinite(this.#base) ? this.#base : 0) > VERY_OLD;
    }

    #less(by: number, at: number): boolean {
        // what was just tried was too much: longer until the next time
        if (at - this.#raisedAt < 10_000) {
            this.#calm = Math.min(CALM_MAX, this.#calm * 2);
        }
        return this.#move(Math.min(STEPS.length - 1, this.#step + by), at);
    }

    #move(step: number, at: number): boolean {
        if (step === this.#step) {
            return false;
        }
        this.#step = step;
        this.#changedAt = at;
        return true;
    }
}

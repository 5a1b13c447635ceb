/**
 * How long a training still needs: what was measured of its parts, mended by how long those took that are
 * over.
 */
import type { TrainingPart } from '../src/session/measured_job.ts';

/** A part that is slower by more, or faster, says nothing of the others: the machine did something else. */
const mostCorrection = 4;

export class Pace {
  readonly #parts: readonly TrainingPart[];
  readonly #now: () => number;
  #at = -1;
  #began = 0;
  /** Seconds that the parts which are over took, and were thought to take. */
  #taken = 0;
  #thought = 0;

  /**
   * @param parts in their order
   * @param now seconds since a moment that stays the same
   */
  constructor(parts: readonly TrainingPart[], now: () => number) {
    this.#parts = parts;
    this.#now = now;
  }

  /** How many parts there are. */
  get count(): number {
    return this.#parts.length;
  }

  /** The place of a part, counted from 1; 0 where it is none. What begins with its name belongs to it. */
  place(name: string): number {
    return this.#parts.findIndex((part) => name === part.name || name.startsWith(`${part.name}, `)) + 1;
  }

  /**
   * Seconds until the end.
   *
   * @param name of what runs now
   * @param remaining seconds that it still needs, where that is known
   * @returns undefined where what runs is no part
   */
  left(name: string, remaining: number | undefined): number | undefined {
    const at = this.place(name) - 1;
    const part = this.#parts[at];
    if (!part) return undefined;
    if (at !== this.#at) this.#enter(at);
    const elapsed = this.#now() - this.#began;
    const exact = name === part.name ? remaining : undefined;
    const known = exact !== undefined && part.seconds > 0;
    const taken = this.#taken + (known ? elapsed + exact : 0);
    const thought = this.#thought + (known ? part.seconds : 0);
    const factor = thought > 0 ? taken / thought : 1;
    const mended = Math.min(mostCorrection, Math.max(1 / mostCorrection, factor));
    const own = exact ?? Math.max(remaining ?? 0, part.seconds * mended - elapsed);
    const later = this.#parts.slice(at + 1).reduce((sum, { seconds }) => sum + seconds, 0);
    return own + later * mended;
  }

  #enter(at: number): void {
    const before = this.#parts[this.#at];
    // What was skipped, as a resumed training skips, tells nothing.
    if (before && at === this.#at + 1) {
      this.#taken += this.#now() - this.#began;
      this.#thought += before.seconds;
    }
    this.#at = at;
    this.#began = this.#now();
  }
}

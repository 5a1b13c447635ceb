/**
 * Which epochs get a checkpoint. Its size is that of the network, 46 MB for the student of resnet18_half,
 * however few photographs an epoch has: one after each could take longer than what it keeps.
 */

/** Of a training's time, what checkpoints may take. */
const share = 0.1;

export class CheckpointPace {
  readonly #now: () => number;
  /** When the next one may be written. */
  #next = Number.NEGATIVE_INFINITY;

  /** @param now milliseconds of a clock that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Whether there is one now: at first, and when the time since the last one outweighs what it took. */
  get due(): boolean {
    return this.#now() >= this.#next;
  }

  /** Writes one, and measures it. */
  async write(work: () => Promise<void>): Promise<void> {
    const started = this.#now();
    await work();
    const ended = this.#now();
    this.#next = ended + (ended - started) * (1 / share - 1);
  }
}

/**
 * What a sink has still to deliver. Deliveries that fail are tried again, later and later; what is too old or
 * too much is given up and counted, so that a sink that is away for long does not fill the memory.
 */

export interface BacklogOptions<T> {
  /** Items of one delivery at most. */
  readonly batch: number;
  /** Items that wait at most; of more the oldest are given up. */
  readonly most: number;
  /** The first pause after a failure in milliseconds; each further failure doubles it. */
  readonly pause: number;
  readonly longestPause: number;
  /** Milliseconds after which an item is given up. */
  readonly oldest: number;
  /** @throws where the items, all of them, must be delivered again */
  readonly deliver: (items: readonly T[], signal: AbortSignal) => Promise<void>;
  /** Told of the first failure, and of the first success after it (undefined). */
  readonly onState: (failure: Error | undefined) => void;
  readonly onGivenUp: (count: number) => void;
}

interface Waiting<T> {
  readonly item: T;
  readonly since: number;
}

/** A queue with one delivery at a time. */
export class Backlog<T> {
  readonly #options: BacklogOptions<T>;
  #waiting: Waiting<T>[] = [];
  #working: Promise<void> | undefined;
  readonly #end = new AbortController();
  #wake: (() => void) | undefined;
  #closing = false;
  #failures = 0;

  constructor(options: BacklogOptions<T>) {
    this.#options = options;
  }

  /** Items that are not delivered yet. */
  get size(): number {
    return this.#waiting.length;
  }

  /** Takes an item; it is delivered as soon as those before it are. */
  add(item: T): void {
    this.#waiting.push({ item, since: performance.now() });
    this.#giveUp(this.#waiting.length - this.#options.most);
    this.#working ??= this.#work();
  }

  /**
   * Delivers what waits, without pauses for at most one more failure.
   *
   * @param grace milliseconds after which the rest is given up
   * @returns how many items that were
   */
  async close(grace: number): Promise<number> {
    this.#closing = true;
    this.#wake?.();
    const timer = setTimeout(() => this.#end.abort(), grace);
    await this.#working;
    clearTimeout(timer);
    const left = this.#waiting.length;
    this.#giveUp(left);
    return left;
  }

  #giveUp(count: number): void {
    if (count <= 0) return;
    this.#waiting.splice(0, count);
    this.#options.onGivenUp(count);
  }

  async #work(): Promise<void> {
    const { batch, oldest, deliver, onState } = this.#options;
    while (this.#waiting.length && !this.#end.signal.aborted) {
      const limit = performance.now() - oldest;
      const fresh = this.#waiting.findIndex(({ since }) => since >= limit);
      this.#giveUp(fresh < 0 ? this.#waiting.length : fresh);
      const items = this.#waiting.slice(0, batch);
      if (!items.length) break;
      try {
        await deliver(
          items.map(({ item }) => item),
          this.#end.signal,
        );
        const done = new Set(items);
        this.#waiting = this.#waiting.filter((entry) => !done.has(entry));
        if (this.#failures) onState(undefined);
        this.#failures = 0;
      } catch (error) {
        if (!this.#failures++) onState(error as Error);
        if (this.#closing) break;
        await this.#rest();
      }
    }
    this.#working = undefined;
  }

  /** A pause after a failure; closing ends it. */
  #rest(): Promise<void> {
    const { pause, longestPause } = this.#options;
    const length = Math.min(longestPause, pause * 2 ** (this.#failures - 1));
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, length);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/**
 * Places for images: how many are under way at once, whoever brought them. A sender without a place is
 * refused; a source of the server's own waits for one.
 */
import type { ServerMetrics } from './metrics.ts';

/** A counted number of places. Who waits gets one in the order of asking. */
export class Places {
  readonly capacity: number;
  readonly #metrics: ServerMetrics;
  readonly #waiting = new Set<() => void>();
  #taken = 0;

  /** @param capacity images that are read, decoded, waited for and judged at once */
  constructor(capacity: number, metrics: ServerMetrics) {
    this.capacity = capacity;
    this.#metrics = metrics;
  }

  /** Images that are under way. */
  get taken(): number {
    return this.#taken;
  }

  /** Takes a place where one is free. */
  tryTake(): boolean {
    if (this.#taken >= this.capacity) return false;
    this.#count(1);
    return true;
  }

  /**
   * Waits for a place and takes it.
   *
   * @throws the signal's reason
   */
  async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.tryTake()) return;
    await new Promise<void>((resolve, reject) => {
      const cancel = () => {
        this.#waiting.delete(begin);
        reject(signal.reason);
      };
      const begin = () => {
        signal.removeEventListener('abort', cancel);
        resolve();
      };
      this.#waiting.add(begin);
      signal.addEventListener('abort', cancel, { once: true });
    });
  }

  /** Gives a place back; who has waited longest gets it. */
  give(): void {
    const [next] = this.#waiting;
    if (next) {
      this.#waiting.delete(next);
      next();
    } else this.#count(-1);
  }

  #count(change: number): void {
    this.#taken += change;
    this.#metrics.inProgress(this.#taken);
  }
}

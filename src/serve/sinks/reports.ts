/** What sinks say of themselves: to the person who started the server, and in numbers. */
import type { ServerMetrics } from '../metrics.ts';

/** Where sinks report what went wrong. */
export class SinkReports {
  readonly #metrics: ServerMetrics;
  /** A sentence for a person. */
  readonly note: (text: string) => void;

  constructor(metrics: ServerMetrics, note: (text: string) => void) {
    this.#metrics = metrics;
    this.note = note;
  }

  /** The reports of one sink. */
  of(name: string): { onState(failure: Error | undefined): void; onGivenUp(count: number): void } {
    return {
      onState: (failure) =>
        this.note(
          failure ? `${name}: ${failure.message}; it is tried again` : `${name}: results go through again`,
        ),
      onGivenUp: (count) => {
        this.#metrics.sinkFailed(name, count);
        this.note(`${name}: ${count} result${count > 1 ? 's were' : ' was'} not delivered and given up`);
      },
    };
  }
}

/** A web address that each judgement is sent to, as JSON. */
import type { Judged, Sink } from '../hub.ts';
import type { Judgement } from '../judgement.ts';
import { Backlog } from './backlog.ts';
import type { SinkReports } from './reports.ts';

// A receiver that has not answered by then is tried again.
const answerMilliseconds = 10_000;

/** Sends judgements one after the other, and again until the receiver answers with a 2xx status. */
export class Webhook implements Sink {
  readonly name: string;
  readonly #backlog: Backlog<Judgement>;
  readonly #anomalousOnly: boolean;

  /** @param anomalousOnly good parts are not told */
  constructor(
    url: URL,
    reports: SinkReports,
    { anomalousOnly = false }: { readonly anomalousOnly?: boolean } = {},
  ) {
    // Secrets of an address are not for logs and numbers.
    this.name = `${url.origin}${url.pathname}`;
    this.#anomalousOnly = anomalousOnly;
    this.#backlog = new Backlog({
      batch: 1,
      most: 10_000,
      pause: 1000,
      longestPause: 60_000,
      oldest: 24 * 3_600_000,
      deliver: async ([judgement], signal) => {
        const response = await fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(judgement),
          redirect: 'error',
          signal: AbortSignal.any([signal, AbortSignal.timeout(answerMilliseconds)]),
        });
        await response.body?.cancel();
        if (!response.ok) throw new Error(`it answers with status ${response.status}`);
      },
      ...reports.of(this.name),
    });
  }

  take({ judgement }: Judged): void {
    if (!this.#anomalousOnly || judgement.pred_label === 'anomalous') this.#backlog.add(judgement);
  }

  async close(): Promise<void> {
    await this.#backlog.close(5000);
  }
}

/** Hands each judgement to whoever wants it: the live page, files, other servers. */
import type { Judgement } from './judgement.ts';

/** A judgement with what may be shown beside it. */
export interface Judged {
  readonly judgement: Judgement;
  /** A small picture with the heat map over the image as WebP; made when it is asked for. */
  readonly thumbnail: () => Promise<Uint8Array>;
}

/** Takes judgements. It keeps what it cannot handle at once, and tells nobody of its failures. */
export interface Sink {
  readonly name: string;
  take(judged: Judged): void;
  /** Waits until everything taken is written or given up. */
  close(): Promise<void>;
}

/** All sinks of a server. */
export class Hub {
  readonly #sinks = new Set<Sink>();

  add(sink: Sink): void {
    this.#sinks.add(sink);
  }

  remove(sink: Sink): void {
    this.#sinks.delete(sink);
  }

  publish(judged: Judged): void {
    for (const sink of this.#sinks) sink.take(judged);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sinks].map((sink) => sink.close()));
    this.#sinks.clear();
  }
}

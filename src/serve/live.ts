/** The stream of judgements that the live page reads: server-sent events. */
import type { ServerResponse } from 'node:http';
import type { Judged, Sink } from './hub.ts';

// A reader that is so far behind misses judgements instead of filling the memory.
const mostUnsentBytes = 2 ** 20;
const commentMilliseconds = 15_000;

/** Everybody who looks at the live page. */
export class LiveReaders implements Sink {
  readonly name = 'live page';
  readonly #readers = new Set<ServerResponse>();
  readonly #clock: NodeJS.Timeout;
  #id = 0;

  constructor() {
    // Proxies end connections on which nothing comes.
    this.#clock = setInterval(() => this.#send(':\n\n'), commentMilliseconds);
    this.#clock.unref();
  }

  /** Answers a request with the stream from now on. */
  add(response: ServerResponse): void {
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Proxies of nginx's kind would collect the events.
      'x-accel-buffering': 'no',
    });
    response.write('retry: 2000\n\n');
    this.#readers.add(response);
    response.once('close', () => this.#readers.delete(response));
  }

  take({ judgement, thumbnail }: Judged): void {
    if (!this.#readers.size) return;
    const id = ++this.#id;
    const send = (picture: string | null) =>
      this.#send(`id: ${id}\nevent: judgement\ndata: ${JSON.stringify({ ...judgement, picture })}\n\n`);
    thumbnail().then(
      (webp) => send(`data:image/webp;base64,${Buffer.from(webp).toString('base64')}`),
      () => send(null),
    );
  }

  #send(text: string): void {
    for (const reader of this.#readers) if (reader.writableLength < mostUnsentBytes) reader.write(text);
  }

  async close(): Promise<void> {
    clearInterval(this.#clock);
    for (const reader of this.#readers) reader.end();
  }
}

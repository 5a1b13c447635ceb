/** The use case of a prediction: photographs one after the other, as many as come. */

import { loadResized } from '#platform';
import { withBands } from '../data/image_files.ts';
import { reading, type UnreadableFiles } from '../data/unreadable.ts';
import type { Detector, Prediction } from '../detector/detector.ts';

/** Predicts one photograph; `onShare` is told how much of a large one is done. */
export type PredictOne<T> = (
  detector: Detector,
  photograph: T,
  onShare: (share: number) => void,
) => Promise<Prediction>;

/** A photograph in a file, whole or tile by tile as the model was trained. */
export const predictFile: PredictOne<{ readonly path: string }> = async (detector, { path }, onShare) => {
  if (detector.settings.tiling)
    return withBands(path, (bands) => detector.predictTiles(bands, (done, total) => onShare(done / total)));
  const image = await reading(path, () => loadResized(path, detector.settings.imageSize));
  return (await detector.predict([image]))[0] as Prediction;
};

/** A photograph of a stream with its prediction. */
export interface Predicted<T> {
  readonly photograph: T;
  /** Its place in the stream, from 0. */
  readonly index: number;
  readonly prediction: Prediction;
}

/**
 * Photographs that are predicted at once: two are with the device, and two are decoded and resized by threads
 * meanwhile. Of a model with tiles one photograph alone: its tiles follow each other in the same way.
 */
const photographsAtOnce = 4;

/** What an iterable gives, as promises that do not reject: the first error ends it. */
class Source<T> {
  readonly #iterator: AsyncIterator<T> | Iterator<T>;
  #arriving: Promise<T | undefined> | undefined;
  #failure: { readonly error: unknown } | undefined;
  ended = false;

  constructor(items: Iterable<T> | AsyncIterable<T>) {
    this.#iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  }

  /** The next one, the same until it is taken; undefined at the end. */
  next(): Promise<T | undefined> {
    this.#arriving ??= this.#advance();
    return this.#arriving;
  }

  take(): void {
    this.#arriving = undefined;
  }

  async #advance(): Promise<T | undefined> {
    try {
      const { done = false, value } = await this.#iterator.next();
      this.ended = done;
      return done ? undefined : value;
    } catch (error) {
      this.ended = true;
      this.#failure = { error };
      return undefined;
    }
  }

  /** @throws the error that ended it, if any */
  check(): void {
    if (this.#failure) throw this.#failure.error;
  }

  /** Tells the iterable that no more is wanted; does not wait for one that is still to come. */
  async close(): Promise<void> {
    if (this.ended) return;
    const closed = Promise.resolve(this.#iterator.return?.());
    closed.catch(() => {});
    if (!this.#arriving) await closed;
  }
}

interface Begun<T> {
  readonly photograph: T;
  readonly index: number;
  readonly prediction: Promise<Prediction>;
  /** Resolves when the prediction has succeeded or failed. */
  readonly settled: Promise<undefined>;
}

/**
 * Predictions in the order of the photographs, each when it is there: none waits for a photograph that is
 * still to come. Four photographs are worked on at once. Unreadable photographs are counted and left out.
 *
 * @param predict for instance {@link predictFile}
 * @throws Error where a score is not finite, or too many photographs cannot be read; AbortError where the
 *   signal is raised
 */
export async function* predictStream<T extends { readonly path: string }>(
  detector: Detector,
  photographs: Iterable<T> | AsyncIterable<T>,
  predict: PredictOne<T>,
  ports: {
    readonly unreadable: UnreadableFiles;
    readonly signal?: AbortSignal | undefined;
    /** Told after each photograph, and within large ones. */
    readonly onProgress?: ((done: number) => void) | undefined;
  },
): AsyncGenerator<Predicted<T>, void, undefined> {
  const { unreadable, signal, onProgress } = ports;
  const atOnce = detector.settings.tiling ? 1 : photographsAtOnce;
  const source = new Source(photographs);
  const begun: Begun<T>[] = [];
  let index = 0;
  const begin = (photograph: T) => {
    const place = index++;
    const onShare = (share: number) => {
      signal?.throwIfAborted();
      if (share < 1 && begun[0]?.index === place) onProgress?.(place + share);
    };
    const prediction = predict(detector, photograph, onShare);
    const settled = prediction.then(
      () => undefined,
      () => undefined,
    );
    begun.push({ photograph, index: place, prediction, settled });
  };
  try {
    for (;;) {
      signal?.throwIfAborted();
      if (!source.ended && begun.length < atOnce) {
        const arrived = await Promise.race([source.next(), ...begun.slice(0, 1).map((each) => each.settled)]);
        signal?.throwIfAborted();
        if (arrived || source.ended) {
          source.take();
          if (arrived) begin(arrived);
          continue;
        }
      }
      const first = begun[0];
      if (!first) break;
      const { photograph, index: place } = first;
      const prediction = await unreadable.skip(() => first.prediction);
      begun.shift();
      if (prediction) {
        if (!Number.isFinite(prediction.score))
          throw new Error(
            `${photograph.path}: the score is ${prediction.score}; the model's weights are unusable`,
          );
        signal?.throwIfAborted();
        yield { photograph, index: place, prediction };
      }
      onProgress?.(place + 1);
    }
    source.check();
  } finally {
    // What is under way is nobody's any more, and holds its file and its memory until it ends.
    await Promise.all(begun.map((each) => each.settled));
    await source.close();
  }
}

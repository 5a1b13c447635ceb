/** The use case of a prediction: photographs one after the other, as many as come. */

import { withBands, withImage } from '../data/image_files.ts';
import type { UnreadableFiles } from '../data/unreadable.ts';
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
  return withImage(path, async (image) => (await detector.predict([image]))[0] as Prediction);
};

/** A photograph of a stream with its prediction. */
export interface Predicted<T> {
  readonly photograph: T;
  /** Its place in the stream, from 0. */
  readonly index: number;
  readonly prediction: Prediction;
}

/**
 * Predictions in the order of the photographs, each when it is there. Unreadable photographs are counted and
 * left out.
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
  let index = 0;
  for await (const photograph of photographs) {
    signal?.throwIfAborted();
    const place = index++;
    const onShare = (share: number) => {
      signal?.throwIfAborted();
      if (share < 1) onProgress?.(place + share);
    };
    const prediction = await unreadable.skip(() => predict(detector, photograph, onShare));
    if (prediction) {
      if (!Number.isFinite(prediction.score))
        throw new Error(
          `${photograph.path}: the score is ${prediction.score}; the model's weights are unusable`,
        );
      yield { photograph, index: place, prediction };
    }
    onProgress?.(index);
  }
}

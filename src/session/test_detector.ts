/** The use case of a test: a model file on the samples of a test set, by the model's own thresholds. */

import type { Sample } from '../data/dataset.ts';
import { Detector, type DetectorOptions } from '../detector/detector.ts';
import type { DetectorFile } from '../detector/file.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import type { Evaluation, TestSet } from '../eval/evaluate.ts';
import { type ScoringOptions, scoreSamples } from './score_samples.ts';

/** What a test came to. Test set and detector are closed when its user returns. */
export interface TestOutcome {
  readonly results: TestSet;
  readonly evaluation: Evaluation;
  readonly detector: Detector;
}

/**
 * Scores samples with a model and evaluates them.
 *
 * @param name what messages call the model
 * @param use works with the outcome; its result is the use case's
 * @throws Error where no sample can be read, or the model's tensors do not fit; AbortError where the signal
 *   is raised
 */
export async function testDetector<T>(
  engine: Engine,
  file: DetectorFile,
  name: string,
  samples: readonly Sample[],
  options: Omit<ScoringOptions, 'tiling'> & DetectorOptions,
  use: (outcome: TestOutcome) => T | Promise<T>,
): Promise<T> {
  const { dtype = 'f32', marks, ...scoring } = options;
  await using detector = await Detector.fromFile(engine, file, name, { dtype, marks });
  const results = await scoreSamples(detector.runner, samples, {
    ...scoring,
    tiling: detector.settings.tiling,
  });
  try {
    return await use({ results, evaluation: await results.evaluate(), detector });
  } finally {
    await results.close();
  }
}

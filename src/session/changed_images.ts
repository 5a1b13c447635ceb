/** Samples as other light or another camera would show them: corruptions, and what a robust training sees. */

import { RandomStream } from '../base/random.ts';
import { type Augmentation, augmentations, drawChange } from '../data/augment.ts';
import type { Sample } from '../data/dataset.ts';
import type { DetectorSettings } from '../detector/settings.ts';
import type { TestedImage, TestSet } from '../eval/evaluate.ts';
import { type Change, changeImage, moveMask } from '../image/changes.ts';
import type { SampleReader } from './score_samples.ts';

/** A change, and the stream that draws its noise. */
export interface DrawnChange {
  readonly change: Change;
  readonly random: RandomStream;
}

/**
 * Changes what a reader gives; masks move with their images. Images that are cut into tiles are not changed:
 * they are refused.
 *
 * @param drawn the change of a sample's image of this side; the same one for the same sample
 */
export function changedReader(
  reader: SampleReader,
  drawn: (sample: Sample, side: number) => DrawnChange,
): SampleReader {
  return {
    async resized(sample, side) {
      const { change, random } = drawn(sample, side);
      return changeImage(await reader.resized(sample, side), change, random);
    },
    bands: ({ path }) =>
      Promise.reject(new Error(`${path}: images that are cut into tiles cannot be changed as a whole`)),
    async truth(sample, width, height) {
      const mask = await reader.truth(sample, width, height);
      return mask && moveMask(mask, { width, height }, drawn(sample, width).change.placement);
    },
  };
}

/** What a model's training drew anew in every epoch, by what its file says; undefined: nothing. */
export function robustOf({
  training: { robust },
}: Pick<DetectorSettings, 'training'>): Augmentation[] | undefined {
  if (!Array.isArray(robust)) return undefined;
  // The file may come from anybody.
  return augmentations.filter((kind) => robust.includes(kind));
}

/** Changed copies that a good image of a robust model's threshold is scored by, beside itself. */
export const changedLooks = 4;

/** What these scores are, after the words for the images. */
export const highestOf = `, each by its highest of itself and ${changedLooks} changed copies`;

/**
 * The highest score of each image: of itself, and of changed copies as a robust training draws them. So an
 * image counts once, by the worst that light and camera do to it.
 *
 * @param plain the images with their scores as they are
 * @param score scores the same samples from another reader
 */
export async function highestScores(
  plain: readonly TestedImage[],
  {
    reader,
    robust,
    seed,
  }: {
    readonly reader: SampleReader;
    readonly robust: readonly Augmentation[];
    readonly seed: number;
  },
  score: (reader: SampleReader, label: string) => Promise<TestSet>,
): Promise<number[]> {
  const highest = new Map(plain.map(({ path, score }) => [path, score]));
  const place = new Map(plain.map(({ path }, i) => [path, i]));
  for (let look = 1; look <= changedLooks; look++) {
    const changed = changedReader(reader, ({ path }, side) => {
      const random = new RandomStream(seed, 'calibration', place.get(path) ?? -1, look);
      return { change: drawChange(robust, side, random), random };
    });
    const results = await score(changed, `calibrating, changed copy ${look} of ${changedLooks}`);
    try {
      for (const { path, score } of results.images)
        highest.set(path, Math.max(score, highest.get(path) ?? score));
    } finally {
      await results.close();
    }
  }
  return plain.map(({ path }) => highest.get(path) as number);
}

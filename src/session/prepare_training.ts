/** From a listed data set to what a training takes: what can be read is read, before hours are spent. */

import { augmentTraining } from '../data/augment.ts';
import type { Dataset, Sample } from '../data/dataset.ts';
import type { ForegroundRule } from '../data/foreground.ts';
import { prepareMasks } from '../data/masks.ts';
import { loadTrainingImages, type TrainingImages } from '../data/training_images.ts';
import { trainingSetWarnings } from '../data/training_warnings.ts';
import type { Reporter } from './ports.ts';
import { checkPlan, checkReadable } from './training_checks.ts';
import { foregroundOf, type GoodSplit, type TrainingPlan } from './training_plan.ts';

export interface PreparedTraining {
  /** The data set with its masks understood, and those of its test images that can be read. */
  readonly dataset: Dataset;
  readonly heldOut: readonly Sample[];
  /** The good images to train on. */
  readonly data: TrainingImages;
  readonly foreground: ForegroundRule;
  /** What the person should know of the data set, one sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Reads every image once, understands the masks, and loads the good images.
 *
 * @param split the good images; they are split before unreadable ones are known, so that mending a file moves
 *   no other one
 * @throws Error where the plan does not fit what can be read, or too much cannot be read; AbortError where
 *   the signal is raised
 */
export async function prepareTraining(
  plan: TrainingPlan,
  listed: Dataset,
  split: GoodSplit,
  { reporter, signal }: { readonly reporter: Reporter; readonly signal: AbortSignal },
): Promise<PreparedTraining> {
  const { unreadable, tiling } = plan;
  unreadable.expect(listed.test.filter(({ maskPath }) => maskPath).length);
  const surveyed = await prepareMasks(listed, reporter.counting('reading masks'), unreadable);
  const readable = (samples: readonly Sample[], label: string) =>
    checkReadable(samples, { unreadable, reporter, signal, tiling, label });
  const dataset = { ...surveyed, test: await readable(surveyed.test, 'reading test images') };
  if (listed.test.length && !dataset.test.length)
    throw new Error(`none of the ${listed.test.length} test images can be read: ${unreadable.summary}`);
  const heldOut = await readable(split.heldOut, 'reading held-out images');
  if (split.heldOut.length && !heldOut.length)
    throw new Error(`none of the ${split.heldOut.length} held-out images can be read: ${unreadable.summary}`);
  checkPlan(plan, dataset);
  const foreground = foregroundOf(plan, dataset);
  const loading = reporter.counting('loading');
  const data = await loadTrainingImages(split.train, plan.imageSize, {
    foreground,
    tiling,
    region: plan.region,
    onProgress: (done, total) => {
      signal.throwIfAborted();
      loading(done, total);
    },
    unreadable,
  });
  const warnings = [...dataset.warnings, ...data.warnings, ...trainingSetWarnings(data.images, data.paths)];
  const trained = plan.augment ? augmentTraining(data, plan.augment, plan.seed) : data;
  return { dataset, heldOut, data: trained, foreground, warnings };
}

/** What a model file and metrics.json say of the training that made a model. */
import { describeForeground, type ForegroundRule } from '../data/foreground.ts';
import { regionWords } from '../data/region_words.ts';
import { usesAnomalies } from '../model/method.ts';
import { methodNamed } from '../model/methods.ts';
import { scoreNeighbours } from '../model/patchcore.ts';
import { defaultCoreset } from '../train/memory_bank.ts';
import type { TrainingPlan } from './training_plan.ts';

/** What of a plan is recorded. */
type RecordedPlan = Pick<
  TrainingPlan,
  | 'backbone'
  | 'mode'
  | 'teacherPath'
  | 'textures'
  | 'tiling'
  | 'region'
  | 'imageSize'
  | 'batch'
  | 'coreset'
  | 'epochs'
  | 'limit'
  | 'folds'
  | 'augment'
  | 'robust'
  | 'labels'
>;

/** The settings of a plan, as plain data. */
export function trainingRecord(
  plan: RecordedPlan,
  foreground: ForegroundRule,
  heldOut: number,
  bestEpoch?: number,
): Readonly<Record<string, unknown>> {
  return {
    backbone: plan.backbone,
    mode: plan.mode,
    weights: plan.teacherPath,
    textures: plan.textures.name,
    // Only synthetic anomalies ask where the product is.
    foreground: describeForeground(usesAnomalies(methodNamed(plan.mode)) ? foreground : { kind: 'none' }),
    tiling: plan.tiling ?? null,
    ...(plan.region && { region: regionWords(plan.region) }),
    image_size: plan.imageSize,
    batch: plan.batch,
    ...(methodNamed(plan.mode).learns === 'memory'
      ? { coreset: plan.coreset ?? defaultCoreset, neighbours: scoreNeighbours }
      : { epochs: plan.epochs }),
    limit: plan.limit ?? null,
    held_out: heldOut,
    ...(plan.folds > 0 && { left_out_parts: plan.folds }),
    ...(plan.augment && { augment: plan.augment }),
    ...(plan.robust && { robust: plan.robust }),
    labels: plan.labels,
    checkpoint:
      bestEpoch === undefined
        ? methodNamed(plan.mode).learns === 'memory'
          ? 'no epochs: a bank of features'
          : 'last epoch'
        : `epoch ${bestEpoch} of stage II, the best on the test set (test-oracle)`,
  };
}

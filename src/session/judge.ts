/** What the images of a training say of its model: the test set, and the good images of the threshold. */

import type { Range } from '../base/lists.ts';
import type { Sample } from '../data/dataset.ts';
import type { CalibrationScore } from '../detector/settings.ts';
import type { Evaluation, TestedImage, TestSet } from '../eval/evaluate.ts';
import type { CalibrationInput, ThresholdRule } from '../eval/thresholds.ts';
import { joined, type LeftOutScores, scoresOf } from './leave_out.ts';

/** Images that are judged after a training. */
export interface JudgedSamples {
  /** Those that were trained on: the threshold comes from them where none are held out or left out. */
  readonly train: readonly Sample[];
  /** Good images that were kept from the training, for the threshold. */
  readonly heldOut: readonly Sample[];
  readonly test: readonly Sample[];
  /** The test set holds defects alone: the good images of the threshold are tested with them. */
  readonly testBorrowsGood?: boolean;
}

/** What the images say of a model, and the rule and the scores that its threshold comes from. */
export interface Judgement {
  readonly shown: TestSet;
  readonly evaluation: Evaluation;
  readonly rule: ThresholdRule;
  readonly goodScores: readonly number[];
  /** What the good images of the threshold are. */
  readonly origin: Pick<CalibrationInput, 'goodSource' | 'trainedOn' | 'leftOut'>;
  readonly calibrationScores: readonly CalibrationScore[];
  /** Ranges of scores and of the values in maps. */
  readonly imageRange: Range;
  readonly pixelRange: Range;
}

/** Those that are good. */
export function goodOf(images: TestSet['images']): TestedImage[] {
  return images.filter(({ anomalous }) => !anomalous);
}

function remembered({ images }: TestSet, source: string): CalibrationScore[] {
  return images.map(({ score, anomalous, path }) => ({ score, anomalous, path, source }));
}

/** Where the scores of good images come from; where both are undefined, from the detector as they are. */
export interface GoodScores {
  /** Of a robust training: what light and camera do to good images. */
  readonly underChange?:
    | ((scored: readonly TestedImage[], good: readonly Sample[]) => Promise<number[]>)
    | undefined;
  /** Where few images are left out in turn: their scores by detectors that did not learn them. */
  readonly leftOut?: (() => Promise<LeftOutScores>) | undefined;
}

const needsGood = ({ kind }: ThresholdRule) => kind !== 'f1' && kind !== 'value';

/** Scores the test set, and the good images where the threshold needs them. */
export async function judge(
  score: (samples: readonly Sample[], label: string) => Promise<TestSet>,
  { train, heldOut, test, testBorrowsGood = false }: JudgedSamples,
  threshold: ThresholdRule | undefined,
  { underChange, leftOut }: GoodScores = {},
): Promise<Judgement> {
  const good = heldOut.length ? heldOut : train;
  const source = heldOut.length ? 'held-out' : 'train';
  const origin = {
    goodSource: heldOut.length ? 'held-out good images' : 'good training images',
    trainedOn: !heldOut.length,
  };
  const ruleOf = ({ image }: Evaluation): ThresholdRule =>
    threshold ?? (image && !underChange ? { kind: 'f1' } : { kind: 'max' });
  const goodScores = async (images: readonly TestedImage[], rule: ThresholdRule) =>
    underChange && needsGood(rule) ? underChange(images, good) : scoresOf(images);
  if (testBorrowsGood && test.length) {
    const shown = await score([...good, ...test], 'testing');
    const evaluation = await shown.evaluate();
    const rule = ruleOf(evaluation);
    return {
      shown,
      evaluation,
      rule,
      goodScores: await goodScores(goodOf(shown.images), rule),
      origin,
      calibrationScores: remembered(shown, source),
      imageRange: evaluation.imageRange,
      pixelRange: evaluation.pixelRange,
    };
  }
  const tested = test.length ? await score(test, 'testing') : undefined;
  const testing = await tested?.evaluate();
  const rule = testing ? ruleOf(testing) : (threshold ?? { kind: 'max' });
  const others = !heldOut.length && needsGood(rule) ? await leftOut?.() : undefined;
  const wanted = !testing || (!others && (heldOut.length > 0 || needsGood(rule)));
  const calibrating = wanted ? await score(good, 'calibrating') : undefined;
  const shown = tested ?? (calibrating as TestSet);
  const evaluation = testing ?? (await shown.evaluate());
  const tests = tested ? remembered(tested, 'test') : [];
  if (others)
    return {
      shown,
      evaluation,
      rule,
      goodScores: others.goodScores,
      origin: { goodSource: 'good images that were left out in turn', leftOut: true },
      calibrationScores: [...tests, ...others.scores],
      imageRange: joined(evaluation.imageRange, others.imageRange),
      pixelRange: joined(evaluation.pixelRange, others.pixelRange),
    };
  return {
    shown,
    evaluation,
    rule,
    goodScores: calibrating ? await goodScores(calibrating.images, rule) : [],
    origin,
    calibrationScores: [...tests, ...(calibrating ? remembered(calibrating, source) : [])],
    imageRange: evaluation.imageRange,
    pixelRange: evaluation.pixelRange,
  };
}

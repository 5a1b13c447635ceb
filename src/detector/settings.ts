/** The settings of a model file: what they are, and their check, for a file may come from anybody. */

import * as v from 'valibot';
import { InvalidModelError } from '../base/errors.ts';
import { checkInspects, type RegionOfInterest } from '../data/region.ts';
import { regionSchema } from '../data/region_json.ts';
import { checkTiling, type Tiling } from '../data/tiles.ts';
import { evidenceOrigins } from '../eval/false_alarms.ts';
import { type MarkRule, markRules } from '../eval/marks.ts';
import type { Calibration } from '../eval/thresholds.ts';
import { imagenetDeviation, imagenetMean } from '../image/normalize.ts';
import { backboneNamed } from '../model/backbones.ts';
import type { Mode } from '../model/methods.ts';
import { modes } from '../model/methods.ts';
import { checkImageSize } from '../model/teacher.ts';
import { isRecord, parseJson } from '../weights/json.ts';

/** The raw score of one image of the calibration. */
export interface CalibrationScore {
  readonly score: number;
  readonly anomalous: boolean;
  readonly path?: string;
  /** `test`, `held-out`, `left-out` (in turn), `train`, `calibrate` or `corrected`. */
  readonly source?: string;
}

/** What a model file says beside its tensors: how images go in, thresholds, and how it was trained. */
export interface DetectorSettings {
  readonly backbone: string;
  readonly mode: Mode;
  readonly imageSize: number;
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
  /** Null, as pixel's, for a detector without a threshold: an imported one until it is calibrated. */
  readonly image: Calibration | null;
  readonly pixel: Calibration | null;
  /** How marks are drawn; absent: by the limit of the verdict. */
  readonly marks?: MarkRule;
  /** Tiles that images are cut into; absent for whole images. */
  readonly tiling?: Tiling;
  /** Which part of every image is inspected; absent for all of it. */
  readonly region?: RegionOfInterest;
  /** Raw scores that are known, so that the threshold can be drawn anew without the images. */
  readonly calibrationScores: readonly CalibrationScore[];
  /** How it was trained: plain data. `history` holds the losses of each stage's epochs. */
  readonly training: Readonly<Record<string, unknown>>;
  readonly version: string;
}

/** Scores that a file holds at most; of more, as many are kept, spread evenly. */
export const mostScores = 200_000;

/** Settings of a new detector: what is left out gets its default. */
export function newSettings(
  values: Omit<DetectorSettings, 'mean' | 'deviation' | 'version'> & { version: string },
): DetectorSettings {
  return { ...values, mean: imagenetMean, deviation: imagenetDeviation };
}

/** Runs a check that throws on values of the right type. */
function sound<T>(check: (value: T) => unknown) {
  return v.rawCheck<T>(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    try {
      check(dataset.value);
    } catch (error) {
      addIssue({ message: (error as Error).message });
    }
  });
}

// The library takes lists for objects.
const record = v.custom<Record<string, unknown>>(isRecord, 'not an object');

const largest = 3.4e38;
const number = v.pipe(v.number(), v.minValue(-largest), v.maxValue(largest));
const text = (most: number) => v.pipe(v.string(), v.maxLength(most));

const evidence = v.pipe(
  record,
  v.object({
    good: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
    flagged: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
    from: v.picklist(evidenceOrigins),
  }),
  v.check(({ good, flagged }) => flagged <= good, 'more false alarms than good images'),
);

const calibration = v.pipe(
  record,
  v.object({
    threshold: number,
    min: number,
    max: number,
    rule: text(500),
    evidence: v.exactOptional(evidence),
  }),
  v.check(({ min, max }) => min <= max, 'min is larger than max'),
);

/** The engine normalises pixels by these values and no others. */
const fixed = (values: readonly number[]) =>
  v.pipe(
    v.array(v.number()),
    v.check((given) => `${given}` === `${values}`, `only ${values.join(', ')} are supported`),
  );

const name = v.pipe(v.string(), v.regex(/^[\p{L}\p{N}][\p{L}\p{N} _.:()-]{0,59}$/u, 'not a plain name'));
const few = <T>(most: number) =>
  v.check<Record<string, T>, string>(
    (value) => Object.keys(value).length <= most,
    `more than ${most} entries`,
  );
const losses = v.pipe(record, v.record(name, number), few(50));
const history = v.pipe(record, v.record(name, v.pipe(v.array(losses), v.maxLength(100_000))), few(10));

/** Texts, numbers, lists and objects of bounded size. */
function checkPlain(value: unknown, depth = 6, budget = { left: 20_000 }): void {
  if (--budget.left < 0) throw new InvalidModelError('it holds more than 20000 values');
  if (typeof value === 'string' && value.length > 5000)
    throw new InvalidModelError('it holds a text of more than 5000 characters');
  if (typeof value === 'number' && !Number.isFinite(value))
    throw new InvalidModelError(`it holds the number ${value}`);
  if (typeof value !== 'object' || value === null) return;
  if (depth === 0) throw new InvalidModelError('it is nested more than 6 deep');
  for (const [key, part] of Object.entries(value)) {
    if (key.length > 200) throw new InvalidModelError('it holds a name of more than 200 characters');
    checkPlain(part, depth - 1, budget);
  }
}

const schema = v.pipe(
  record,
  v.object({
    format: v.exactOptional(text(50)),
    backbone: v.pipe(
      v.string(),
      sound<string>(backboneNamed),
      v.transform((value) => value),
    ),
    mode: v.picklist(modes),
    imageSize: v.pipe(v.number(), sound<number>(checkImageSize)),
    mean: fixed(imagenetMean),
    deviation: fixed(imagenetDeviation),
    image: v.nullable(calibration),
    pixel: v.nullable(calibration),
    marks: v.exactOptional(v.picklist(markRules)),
    tiling: v.exactOptional(
      v.pipe(record, v.object({ size: v.number(), overlap: v.number() }), sound<Tiling>(checkTiling)),
    ),
    region: v.exactOptional(regionSchema),
    calibrationScores: v.pipe(
      v.array(v.unknown()),
      v.maxLength(mostScores),
      v.array(
        v.object({
          score: number,
          anomalous: v.boolean(),
          path: v.exactOptional(text(5000)),
          source: v.exactOptional(text(100)),
        }),
      ),
    ),
    training: v.pipe(
      record,
      v.looseObject({ history: v.exactOptional(history) }),
      sound<Record<string, unknown>>(({ history: _, ...rest }) => checkPlain(rest)),
    ),
    version: text(100),
  }),
  v.check(
    ({ image, pixel }) => (image === null) === (pixel === null),
    'image and pixel have a threshold, or neither',
  ),
  sound(({ region, imageSize, tiling }) => region && checkInspects(region, tiling ? undefined : imageSize)),
);

// Imports of earlier versions wrote a threshold that nobody had drawn.
const madeUp = /^not calibrated/;

/**
 * Settings from a file's JSON. Fields that this version does not know are dropped, those of `training` are
 * kept.
 *
 * @returns the settings, and the format that the file was written as, where they tell it
 * @throws Error naming the field
 */
export function parseSettings(json: string): { settings: DetectorSettings; format: string | undefined } {
  const result = v.safeParse(schema, parseJson(json, 12), { abortEarly: true });
  if (!result.success) {
    const [issue] = result.issues;
    const message = issue.message.length > 300 ? `${issue.message.slice(0, 300)}...` : issue.message;
    throw new InvalidModelError(
      `setting '${(v.getDotPath(issue) ?? 'all').slice(0, 200)}' is not valid: ${message}`,
    );
  }
  const { format, ...settings } = result.output;
  const calibrated = settings.image !== null && !madeUp.test(settings.image.rule);
  return { settings: calibrated ? settings : { ...settings, image: null, pixel: null }, format };
}

/** The JSON of a file. */
export function settingsText(settings: DetectorSettings, format: string): string {
  const { calibrationScores: all } = settings;
  const step = all.length / mostScores;
  const calibrationScores =
    step <= 1
      ? all
      : Array.from({ length: mostScores }, (_, i) => all[Math.floor(i * step)] as CalibrationScore);
  return JSON.stringify({ ...settings, format, calibrationScores });
}

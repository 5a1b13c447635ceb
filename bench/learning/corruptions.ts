/**
 * What changing light and a camera that moves cost a trained model: its test set under corruptions of known
 * strengths, judged by the model's own threshold. No changed file is written; results are kept after each
 * setting, so that a stopped run goes on.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import * as v from 'valibot';
import { readBytes } from '#platform';
import { spread } from '../../src/base/lists.ts';
import { RandomStream } from '../../src/base/random.ts';
import type { Provenance } from '../../src/bench/provenance.ts';
import {
  type Corruption,
  corruptionNames,
  corruptionOf,
  corruptions,
  type Strength,
} from '../../src/data/corruptions.ts';
import type { Sample } from '../../src/data/dataset.ts';
import { prepareMasks } from '../../src/data/masks.ts';
import { openDataset } from '../../src/data/open.ts';
import { UnreadableFiles } from '../../src/data/unreadable.ts';
import { Detector } from '../../src/detector/detector.ts';
import { type DetectorFile, readDetector } from '../../src/detector/file.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { isAnomalous } from '../../src/eval/thresholds.ts';
import type { Image } from '../../src/image/image.ts';
import { changedReader } from '../../src/session/changed_images.ts';
import { silent } from '../../src/session/ports.ts';
import { fileReader, type SampleReader, scoreSamples } from '../../src/session/score_samples.ts';
import { sha256 } from '../../src/train/run.ts';
import { type MeasuredTable, recordSchema } from '../figures/sections.ts';

const rowSchema = v.object({
  corruption: v.picklist(corruptionNames),
  strength: v.picklist([0, 1, 2, 3, 4]),
  image_AUROC: v.nullable(v.number()),
  pixel_AUROC: v.nullable(v.number()),
  /** Shares at the model's own threshold; null without good, or without defective images. */
  false_alarms: v.nullable(v.number()),
  missed: v.nullable(v.number()),
});
export type CorruptionRow = v.InferOutput<typeof rowSchema>;

const resultSchema = v.object({
  record: recordSchema,
  /** What tells this measurement from others: the model's bytes, the images, the seed. */
  key: v.string(),
  category: v.string(),
  backbone: v.string(),
  mode: v.string(),
  imageSize: v.number(),
  robust: v.boolean(),
  threshold: v.string(),
  good: v.number(),
  defective: v.number(),
  rows: v.array(rowSchema),
});
export type CorruptionResult = v.InferOutput<typeof resultSchema>;

export interface CorruptionOptions {
  readonly strengths: readonly Strength[];
  readonly seed: number;
  /** Test images, spread evenly over the sorted list; undefined: all. */
  readonly limit?: number | undefined;
  /** Where results are kept, and those of an earlier run are taken from; undefined: nowhere. */
  readonly json?: string | undefined;
  readonly onRow?: (row: CorruptionRow) => void;
}

/** @throws Error naming the file and the field */
export function readResult(path: string): CorruptionResult {
  const { success, output, issues } = v.safeParse(resultSchema, JSON.parse(readFileSync(path, 'utf8')));
  if (success) return output;
  throw new Error(`${path}: ${v.getDotPath(issues[0]) ?? 'the file'}: ${issues[0].message}`);
}

/** Decodes and resizes each image once. */
function remembering(reader: SampleReader): SampleReader {
  const images = new Map<string, Promise<Image>>();
  return {
    ...reader,
    resized(sample, side) {
      const known = images.get(sample.path) ?? reader.resized(sample, side);
      images.set(sample.path, known);
      return known;
    },
  };
}

/** Strength 0 is the same for all: it stands once, first. */
function settingsOf(strengths: readonly Strength[]): { corruption: Corruption; strength: Strength }[] {
  const [first] = corruptionNames as readonly [Corruption, ...Corruption[]];
  return [
    ...(strengths.includes(0) ? [{ corruption: first, strength: 0 as const }] : []),
    ...corruptionNames.flatMap((corruption) =>
      strengths.filter((strength) => strength > 0).map((strength) => ({ corruption, strength })),
    ),
  ];
}

async function measure(
  detector: Detector,
  samples: readonly Sample[],
  reader: SampleReader,
  { corruption, strength }: { readonly corruption: Corruption; readonly strength: Strength },
  seed: number,
): Promise<CorruptionRow> {
  const place = new Map(samples.map((sample, i) => [sample.path, i]));
  const changed = changedReader(reader, ({ path }, side) => {
    const random = new RandomStream(seed, 'corruption', place.get(path) ?? -1);
    return { change: corruptionOf(corruption, strength, side, random), random };
  });
  const results = await scoreSamples(detector.runner, samples, {
    reader: changed,
    reporter: silent,
    label: corruption,
    unreadable: new UnreadableFiles({ strict: true }),
  });
  try {
    const { metrics } = await results.evaluate();
    const share = (list: typeof results.images, flagged: boolean) => {
      const hit = list.filter(({ score }) => isAnomalous(score, detector.settings.image) === flagged);
      return list.length ? hit.length / list.length : null;
    };
    return {
      corruption,
      strength,
      image_AUROC: metrics.image_AUROC,
      pixel_AUROC: metrics.pixel_AUROC,
      false_alarms: share(
        results.images.filter(({ anomalous }) => !anomalous),
        true,
      ),
      missed: share(
        results.images.filter(({ anomalous }) => anomalous),
        false,
      ),
    };
  } finally {
    await results.close();
  }
}

async function plan(model: string, category: string, { seed, limit }: CorruptionOptions) {
  const bytes = await readBytes(model);
  const file: DetectorFile = await readDetector(bytes, model);
  const { image, tiling, training } = file.settings;
  if (tiling) throw new Error(`${model} has tiles: corruptions are of whole, resized images`);
  if (!image) throw new Error(`${model} has no threshold: calibrate it first`);
  const listed = await openDataset(category);
  if (!listed.test.length) throw new Error(`${category} has no test set`);
  const unreadable = new UnreadableFiles({ strict: true });
  const { test } = await prepareMasks(listed, () => {}, unreadable);
  const samples = limit ? spread(test, limit) : test;
  const defective = samples.filter(({ defect }) => defect !== 'good').length;
  const about = {
    key: await sha256(bytes, `\n${seed}\n`, samples.map(({ path }) => path).join('\n')),
    category: listed.name,
    backbone: file.settings.backbone,
    mode: file.settings.mode,
    imageSize: file.settings.imageSize,
    robust: training.robust !== undefined,
    threshold: image.rule,
    good: samples.length - defective,
    defective,
  };
  return { file, samples, about };
}

/**
 * Measures a model under every corruption.
 *
 * @throws Error on a model with tiles or without a threshold, a category without a test set, and results of
 *   another measurement in the file
 */
export async function measureCorruptions(
  engine: Engine,
  model: string,
  category: string,
  options: CorruptionOptions,
  record: Provenance,
): Promise<CorruptionResult> {
  const { file, samples, about } = await plan(model, category, options);
  const { json, seed, strengths } = options;
  const before = json !== undefined && existsSync(json) ? readResult(json) : undefined;
  if (before && before.key !== about.key)
    throw new Error(`${json} is of another model, other images or another seed: give another file`);
  const reader = remembering(fileReader);
  await using detector = await Detector.fromFile(engine, file, model);
  const rows: CorruptionRow[] = [];
  const result = { record, ...about, rows };
  for (const setting of settingsOf(strengths)) {
    const known = before?.rows.find(
      ({ corruption, strength }) => corruption === setting.corruption && strength === setting.strength,
    );
    const row = known ?? (await measure(detector, samples, reader, setting, seed));
    rows.push(row);
    if (!known && json !== undefined) writeFileSync(json, `${JSON.stringify(result, null, 2)}\n`);
    options.onRow?.(row);
  }
  return result;
}

/** What a strength is, in words. */
export function sizeOf({ corruption, strength }: Pick<CorruptionRow, 'corruption' | 'strength'>): string {
  if (strength === 0) return 'none';
  const { sizes, unit } = corruptions[corruption];
  return `${corruption} ${sizes[strength]} ${unit}`;
}

/** Means over what is corrupted, in words. */
function meansOf({ rows }: CorruptionResult): string {
  const corrupted = rows.filter(({ strength }) => strength > 0);
  const mean = (key: 'image_AUROC' | 'false_alarms') => {
    const values = corrupted.flatMap((row) => row[key] ?? []);
    return ((100 * values.reduce((a, b) => a + b, 0)) / values.length).toFixed(1);
  };
  return `image AUROC ${mean('image_AUROC')} and false alarms ${mean('false_alarms')}`;
}

/**
 * A plain and a robust model under the same corruptions, as a section of docs/results.md.
 *
 * @throws Error where they are of different categories or images
 */
export function corruptionSection(plain: CorruptionResult, robust: CorruptionResult): MeasuredTable {
  const { category, good, defective, backbone, mode, imageSize } = plain;
  if (plain.robust || !robust.robust)
    throw new Error('the first file has to be of a plain model, the second one of a robust one');
  if (category !== robust.category || good !== robust.good || defective !== robust.defective)
    throw new Error(`the files are of different test sets: ${category} and ${robust.category}`);
  const percent = (value: number | null) => (value === null ? null : 100 * value);
  const cells = (row: CorruptionRow | undefined) =>
    [row?.image_AUROC, row?.pixel_AUROC, row?.false_alarms, row?.missed].map((value) =>
      percent(value ?? null),
    );
  return {
    record: { ...plain.record },
    order: 45,
    title: `Changing light and a camera that moves: ${category}`,
    about: [
      `The test set (${good} good, ${defective} defective) of models of ${backbone}, ${mode}, ${imageSize} ` +
        'pixels, under corruptions of the resized images. A factor or its inverse, and the direction of a ' +
        'move, is drawn for each image; masks move with their images. The first four figures are of plain ' +
        'training, the last four of `--robust`, each in per cent: image AUROC, pixel AUROC, good images ' +
        "called anomalous, defective ones called good, at the model's own threshold.",
      `Threshold of the plain model: ${plain.threshold}; of the robust one: ${robust.threshold}. Robust ` +
        'training draws factors of brightness and contrast up to 1.25, white balance up to 1.1, blur up to ' +
        '1 pixel, noise up to 6, shifts up to 5 % and tilts up to 5 degrees. Beyond the edge the edge is ' +
        'repeated, in this training and in this test alike; a camera would show what lies there.',
      `Means over all corruptions, in per cent: plain training has ${meansOf(plain)}, \`--robust\` ` +
        `${meansOf(robust)}. More epochs for robust training, which has more to learn, were not tried.`,
    ],
    digits: 1,
    heads: [
      'corruption',
      ...['plain', 'robust'].flatMap((kind) => [`${kind}: image`, 'pixel', 'alarms', 'missed']),
    ],
    rows: plain.rows.map((row) => {
      const same = robust.rows.find(
        ({ corruption, strength }) => corruption === row.corruption && strength === row.strength,
      );
      return [sizeOf(row), ...cells(row), ...cells(same)];
    }),
    commands: [
      ...['plain', 'robust'].map(
        (kind) => `npm run learning -- corruptions ${kind}/model.safetensors ${category} --json ${kind}.json`,
      ),
      'npm run learning -- corruptions-table plain.json robust.json --out bench/results/tables/NAME.json',
    ],
  };
}

/** What a tested detector leaves behind: metrics.json, scores.csv, images/DEFECT/STEM.png. */
import { basename, dirname, resolve } from 'node:path';
import { encodePng, overview } from '#platform';
import { mapConcurrently } from '../base/concurrently.ts';
import { append } from '../base/lists.ts';
import type { Dataset, Sample } from '../data/dataset.ts';
import { loadMask } from '../data/masks.ts';
import { reading, type UnreadableFiles } from '../data/unreadable.ts';
import { largestBlob } from '../eval/blobs.ts';
import type { GroupMetrics } from '../eval/conditions.ts';
import { type CsvValue, csvTable } from '../eval/csv.ts';
import type { Metrics, SaturatedMetrics, TestedImage, TestSet } from '../eval/evaluate.ts';
import { countMarks, type MarkCounts, markedPixels, type Scale } from '../eval/marks.ts';
import { drawPanels, panelSide } from '../eval/panels.ts';
import { isAnomalous, normalizeScore } from '../eval/thresholds.ts';
import type { OutputFolder } from '../output/folder.ts';
import { resultNames } from '../output/names.ts';
import type { ProgressReporter } from './progress.ts';

const scoreColumns =
  'path,split,label,defect,raw_score,pred_score,pred_label,marked_area,largest_blob_x_y_w_h,picture,' +
  'milliseconds';

/**
 * One line per image: the verdict, the marked area (share of the image), the largest marked blob's box in map
 * pixels (these are empty without a threshold), and the picture below the results' folder.
 *
 * @param pictures of the images, in their order; empty cells where none were written
 */
export async function scoresCsv(
  results: TestSet,
  scale: Scale | null,
  { split = 'test', pictures = [] }: { readonly split?: string; readonly pictures?: readonly string[] } = {},
): Promise<string> {
  const rows: CsvValue[][] = [];
  for (const [i, tested] of results.images.entries()) {
    const { path, defect, score, anomalous, width, height, milliseconds } = tested;
    const map = await results.map(i);
    const mask = markedPixels({ score, map }, scale);
    const blob = scale && mask && largestBlob({ map, mask, width, height }, scale.map);
    const limit = scale?.score ?? null;
    const called = isAnomalous(score, limit);
    rows.push([
      path,
      split,
      anomalous ? 'anomalous' : 'good',
      defect,
      score,
      normalizeScore(score, limit),
      called === null ? null : called ? 'anomalous' : 'good',
      blob?.area ?? null,
      blob?.box?.join(' ') ?? null,
      pictures[i] ?? null,
      Number(milliseconds.toFixed(1)),
    ]);
  }
  return csvTable(scoreColumns.split(','), rows);
}

/**
 * The four panels of one result.
 *
 * @throws UnreadableError where the image or its mask is gone since it was tested
 */
export async function resultPicture(tested: TestedImage, map: Float32Array, scale: Scale | null) {
  const { path, stem, defect, score, width, height, inspected } = tested;
  const limit = scale?.score ?? null;
  const known = defect === 'good' || tested.maskPath !== undefined;
  return drawPanels({
    image: await reading(path, () => overview(path, panelSide)),
    truth: known ? await reading(tested.maskPath ?? path, () => loadMask(tested, width, height)) : undefined,
    map,
    mask: markedPixels({ score, map }, scale),
    inspected,
    width,
    height,
    score,
    normalizedScore: normalizeScore(score, limit),
    anomalous: isAnomalous(score, limit),
    scale: scale?.map ?? null,
    label: `${defect}/${stem}`,
  });
}

/** The counts in a sentence. */
export function marksText({ anomalous, anomalousUnmarked, good, goodMarked }: MarkCounts): string {
  return (
    `${anomalous} images called anomalous, ${anomalousUnmarked} of them without an outline; ` +
    `${good} called good, ${goodMarked} of them with one.`
  );
}

/** Whether verdicts and outlines agree, counted over the tested images; null without a threshold. */
export function marksOfResults(results: TestSet, scale: Scale | null): Promise<MarkCounts | null> {
  async function* scored() {
    for (const [i, { score }] of results.images.entries()) yield { score, map: await results.map(i) };
  }
  return countMarks(scored(), scale);
}

/**
 * Where the picture of every result lies in the results' folder: images/DEFECT/STEM.png, with more where
 * stems repeat.
 */
export function pictureNames(samples: readonly Sample[]): string[] {
  const images = samples.map(({ path, defect }) => ({
    folders: [defect],
    file: basename(path),
    root: basename(dirname(path)),
    identity: path,
  }));
  return resultNames(images).map((name) => `images/${name}.png`);
}

/** Writes the picture of every result whose image is still there. */
export async function writePictures(
  output: OutputFolder,
  results: TestSet,
  scale: Scale | null,
  reporter: ProgressReporter,
  unreadable: UnreadableFiles,
): Promise<void> {
  const names = pictureNames(results.images);
  await mapConcurrently(
    results.images,
    async (tested, i) => {
      const map = await results.map(i);
      const picture = await unreadable.skip(() => resultPicture(tested, map, scale));
      if (!picture) return;
      await output.write(names[i] as string, await encodePng(picture), { from: resolve(tested.path) });
    },
    reporter.counting('pictures'),
  );
  reporter.stop();
}

export const metricNames = [
  ['image_AUROC', 'I-AUROC'],
  ['pixel_AUROC', 'P-AUROC'],
  ['AUPRO', 'PRO (data set, limit 0.3)'],
  ['AUPRO_per_image', 'PRO (RD4AD, per image)'],
  ['image_AP', 'I-AP'],
  ['pixel_AP', 'P-AP'],
  ['image_F1Max', 'I-F1-max'],
  ['pixel_F1Max', 'P-F1-max'],
] as const satisfies readonly (readonly [keyof Metrics, string])[];

/** Per cent with one decimal; null stays null. */
export function percent(value: number | null | undefined): string {
  return typeof value === 'number' ? (100 * value).toFixed(1) : 'null';
}

/** Each kind of defect with the good images alone, and the mean of the kinds. */
function saturatedLines({ kinds, ...mean }: SaturatedMetrics): string[] {
  const line = (name: string, { image_AUROC, AUsPRO }: Omit<SaturatedMetrics, 'kinds'>) =>
    `    ${name.padEnd(24)} I-AUROC ${percent(image_AUROC).padStart(5)}  sPRO ${percent(AUsPRO).padStart(5)}`;
  return [
    '  by kind of defect, as MVTec LOCO AD reports them (sPRO to a false-positive rate of .05):',
    ...Object.entries(kinds).map(([name, figures]) => line(name, figures)),
    line('mean of the kinds', mean),
  ];
}

function groupLine(name: string, { good, anomalous, image_AUROC }: GroupMetrics): string {
  const auroc = percent(image_AUROC).padStart(5);
  return `    ${name.padEnd(24)} I-AUROC ${auroc}  ${good} good, ${anomalous} anomalous`;
}

/** Each lighting or view by itself. */
function conditionLines(conditions: NonNullable<Metrics['conditions']>): string[] {
  const lines = Object.entries(conditions).map(([name, metrics]) => groupLine(name, metrics));
  return ['  by lighting or view, each by itself:', ...lines];
}

/** Metrics in per cent with one decimal, both names in use, with the intervals that there are; `-`: none. */
export function metricsTable(metrics: Metrics): string {
  const missing = metricNames.some(([key]) => metrics[key] === null);
  const lines = metricNames.map(([key, paper]) => {
    const interval = metrics.intervals[key as keyof Metrics['intervals']];
    const range = interval ? `  (95 %: ${percent(interval[0])} to ${percent(interval[1])})` : '';
    const value = metrics[key] === null ? '-' : percent(metrics[key]);
    return `  ${key.padEnd(16)} ${paper.padEnd(26)} ${value.padStart(5)}${range}`;
  });
  if (metrics.saturated) append(lines, saturatedLines(metrics.saturated));
  if (metrics.conditions) append(lines, conditionLines(metrics.conditions));
  if (metrics.parts)
    lines.push('  by part, with the largest score of its images:', groupLine('parts', metrics.parts));
  // Without the reason a reader looks for a fault.
  if (missing)
    lines.push('  -: not known; metrics of pixels need masks of the defects, all need good and bad images');
  return lines.join('\n');
}

/** Images by role; `trained` where a training took place. */
export function counts(dataset: Dataset, trained?: number) {
  const bad = dataset.test.filter(({ defect }) => defect !== 'good');
  return {
    ...(trained !== undefined && { train_good: trained }),
    test_good: dataset.test.length - bad.length,
    test_anomalous: bad.length,
    test_without_mask: bad.filter(({ maskPath }) => !maskPath).length,
  };
}

/** What a tested detector leaves behind: metrics.json, scores.csv, images/DEFECT/STEM.png; and the tested images themselves. */
import { decodeImage, encodePng, readBytes, writeBytes } from '#platform';
import { type Dataset, loadImage, loadMask, mapConcurrently, type Sample } from '../data/dataset.ts';
import type { MapRunner } from '../detector/detector.ts';
import type { EvaluatedImage, Metrics } from '../eval/evaluate.ts';
import { drawPanels } from '../eval/panels.ts';
import type { Calibration } from '../eval/thresholds.ts';
import { isAnomalous, normalizeScore } from '../eval/thresholds.ts';
import type { ProgressReporter } from './progress.ts';

/** Runs the detector over samples in batches; decoding runs ahead of the device. */
export async function runSamples(
  runner: MapRunner,
  samples: readonly Sample[],
  reporter: ProgressReporter,
  signal: AbortSignal | undefined,
  label: string,
): Promise<EvaluatedImage[]> {
  const size = runner.imageSize;
  const batch = 8;
  const progress = reporter.counting(label);
  const results: EvaluatedImage[] = [];
  const load = (start: number) =>
    mapConcurrently(samples.slice(start, start + batch), async (sample) => ({
      sample,
      image: await loadImage(sample.path, size),
      truth: await loadMask(sample.maskPath, size),
    }));
  let next = load(0);
  next.catch(() => {});
  for (let start = 0; start < samples.length; start += batch) {
    signal?.throwIfAborted();
    const loaded = await next;
    next = load(start + batch);
    next.catch(() => {});
    const raw = await runner.run(loaded.map(({ image }) => image));
    loaded.forEach(({ sample, truth }, i) => {
      const { score, map } = raw[i] as { score: number; map: Float32Array };
      if (!Number.isFinite(score))
        throw new Error(`${sample.path}: the score is ${score}; the model's weights are unusable`);
      const { path, stem, defect } = sample;
      results.push({
        path,
        stem,
        defect,
        score,
        map,
        truth,
        hasTruth: defect === 'good' || sample.maskPath !== undefined,
      });
    });
    progress(results.length, samples.length);
  }
  reporter.stop();
  return results;
}

export interface Calibrations {
  readonly image: Calibration;
  readonly pixel: Calibration;
}

function csvField(value: string | number): string {
  const text = String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** One line per image. */
export function scoresCsv(results: readonly EvaluatedImage[], { image }: Calibrations): string {
  const rows = results.map(({ path, defect, score }) =>
    [
      path,
      'test',
      defect === 'good' ? 'good' : 'anomalous',
      defect,
      score,
      normalizeScore(score, image),
      isAnomalous(score, image) ? 'anomalous' : 'good',
    ]
      .map(csvField)
      .join(','),
  );
  return `${['path,split,label,defect,raw_score,pred_score,pred_label', ...rows].join('\n')}\n`;
}

/** Writes the picture of every result. */
export async function writePictures(
  out: string,
  results: readonly EvaluatedImage[],
  size: number,
  { image, pixel }: Calibrations,
  reporter: ProgressReporter,
): Promise<void> {
  await mapConcurrently(
    results,
    async ({ path, stem, defect, score, map, truth, hasTruth }) => {
      const picture = drawPanels({
        image: await decodeImage(await readBytes(path), path),
        truth: hasTruth ? truth : undefined,
        map,
        mask: Uint8Array.from(map, (value) => (isAnomalous(value, pixel) ? 1 : 0)),
        size,
        score,
        normalizedScore: normalizeScore(score, image),
        anomalous: isAnomalous(score, image),
        pixel,
        label: `${defect}/${stem}`,
      });
      await writeBytes(`${out}/images/${defect}/${stem}.png`, await encodePng(picture));
    },
    reporter.counting('pictures'),
  );
  reporter.stop();
}

/** Metrics in per cent with one decimal, both names in use. */
export function metricsTable(metrics: Metrics): string {
  const names: [keyof Metrics, string][] = [
    ['image_AUROC', 'I-AUROC'],
    ['pixel_AUROC', 'P-AUROC'],
    ['AUPRO', 'PRO (data set, limit 0.3)'],
    ['image_AP', 'I-AP'],
    ['image_F1Max', 'I-F1-max'],
    ['pixel_F1Max', 'P-F1-max'],
  ];
  return names
    .map(([key, paper]) => {
      const value = metrics[key];
      return `  ${key.padEnd(12)} ${paper.padEnd(26)} ${value === null ? 'null' : (100 * value).toFixed(1).padStart(5)}`;
    })
    .join('\n');
}

export function counts(dataset: Dataset, trained: number) {
  const bad = dataset.test.filter(({ defect }) => defect !== 'good');
  return {
    train_good: trained,
    test_good: dataset.test.length - bad.length,
    test_anomalous: bad.length,
    test_without_mask: bad.filter(({ maskPath }) => !maskPath).length,
  };
}

/**
 * `aand calibrate`: a new threshold for a model, without training: from good images, or from the scores that
 * it holds.
 */

import { basename, dirname } from 'node:path';
import type { Command } from 'commander';
import { readBytes, realPath } from '#platform';
import { rangeOf } from '../base/lists.ts';
import type { Sample } from '../data/dataset.ts';
import { stemOf } from '../data/files.ts';
import type { UnreadableFiles } from '../data/unreadable.ts';
import { type DetectorFile, detectorStore, readDetector, rewriteDetector } from '../detector/file.ts';
import { MapRunner } from '../detector/map_runner.ts';
import type { CalibrationScore, DetectorSettings } from '../detector/settings.ts';
import { rankMetrics } from '../eval/metrics.ts';
import { calibrate, isAnomalous, parseThreshold } from '../eval/thresholds.ts';
import { backboneNamed } from '../model/backbones.ts';
import { OutputFile } from '../output/file.ts';
import { OutputFolder } from '../output/folder.ts';
import { runSamples } from '../session/score_samples.ts';
import { checkReadable } from '../session/training_checks.ts';
import { interruptSignal, usage, withEngine } from './common.ts';
import { findImages, strictOption, unreadableFiles } from './find_images.ts';
import { checkedBy } from './options.ts';
import { ProgressReporter } from './progress.ts';

interface CalibrateOptions {
  readonly rule: string;
  readonly bad?: string[];
  readonly out?: string;
  readonly force?: boolean;
  readonly strict?: boolean;
}

async function samples(
  paths: readonly string[],
  defect: string,
  unreadable: UnreadableFiles,
): Promise<Sample[]> {
  if (!paths.length) return [];
  return (await findImages(paths, unreadable)).map((path) => ({ path, stem: stemOf(path), defect }));
}

/** Scores and the range of map values of images, by the model of a file. */
async function score(
  file: DetectorFile,
  model: string,
  paths: { readonly good: readonly string[]; readonly bad: readonly string[] },
  unreadable: UnreadableFiles,
) {
  const { settings } = file;
  const list = [
    ...(await samples(paths.good, 'good', unreadable)),
    ...(await samples(paths.bad, 'bad', unreadable)),
  ];
  const signal = interruptSignal();
  const { tiling } = settings;
  if (unreadable.strict)
    await checkReadable(list, {
      unreadable,
      reporter: new ProgressReporter(),
      signal,
      tiling,
      label: 'reading images',
    });
  return withEngine(async (engine) => {
    const backbone = backboneNamed(settings.backbone);
    const store = detectorStore(engine, file, model);
    const runner = new MapRunner(engine, store, backbone, settings.mode, settings.imageSize);
    const reporter = new ProgressReporter();
    const results = await runSamples(runner, list, {
      reporter,
      signal,
      label: 'calibrating',
      tiling,
      unreadable,
    });
    const { pixelRange } = await results.evaluate();
    const scores: CalibrationScore[] = results.images.map(({ score, anomalous, path }) => ({
      score,
      anomalous,
      path,
      source: 'calibrate',
    }));
    await results.close();
    await runner.destroy();
    store.destroy();
    return { scores, pixelRange };
  });
}

/** Where the calibrated model goes: the model itself, whose old form is kept as a backup, or another file. */
async function openTarget(out: string, model: string, force: boolean) {
  const command = 'aand calibrate';
  const real = await realPath(model);
  const inPlace = out === model || (await realPath(out).catch(() => undefined)) === real;
  if (!inPlace) return OutputFile.open(out, { command, force });
  const output = await OutputFolder.open(dirname(real), { command, force: true });
  return {
    write: (data: Uint8Array) => output.write(basename(real), data, { backup: true }),
    [Symbol.asyncDispose]: () => output.close(),
  };
}

export function calibrateCommand(program: Command): void {
  program
    .command('calibrate')
    .description(
      'draw the threshold anew: from these good images, or without any from the scores that the model holds',
    )
    .argument('<model>', 'model.safetensors')
    .argument('[good...]', 'good images or folders that the model was not trained on')
    .option(
      '--rule <rule>',
      'max, quantile:Q, false-alarms:RATE, value:RAW[,RAW_OF_PIXELS]; f1 with --bad',
      checkedBy(parseThreshold),
      'max',
    )
    .option('--bad <images...>', 'defective images or folders, for the rule f1')
    .option('--out <file>', 'where the model goes; default: in place, and the old one is kept as a backup')
    .option('--force', 'replace an existing --out; it is kept as a backup')
    .addOption(strictOption())
    .action(async (model: string, good: string[], options: CalibrateOptions) => {
      const rule = parseThreshold(options.rule);
      const file = await readDetector(await readBytes(model), model);
      const { settings } = file;
      const unreadable = unreadableFiles({ strict: options.strict ?? false });
      const out = options.out ?? model;
      await using target = await openTarget(out, model, options.force ?? false);
      const fresh =
        good.length > 0 || options.bad?.length
          ? await score(file, model, { good, bad: options.bad ?? [] }, unreadable)
          : undefined;
      // Held-out and test images say more about new ones than those that the model learned from.
      const kept = settings.calibrationScores.filter(({ source }) => source !== 'train');
      const scores = fresh?.scores ?? (kept.length ? kept : settings.calibrationScores);
      if (!scores.length && rule.kind !== 'value')
        throw new Error(`${model} holds no calibration scores: give good images`);
      const goodScores = scores.filter(({ anomalous }) => !anomalous).map(({ score }) => score);
      const metrics = rankMetrics(
        Float32Array.from(scores, ({ score }) => score),
        scores.map(({ anomalous }) => (anomalous ? 1 : 0)),
      );
      const values = scores.map(({ score }) => score);
      const imageRange = values.length ? rangeOf(values) : settings.image;
      const pixelRange = fresh?.pixelRange ?? settings.pixel;
      if (!imageRange || !pixelRange)
        throw new Error(
          `${model} has no threshold yet: give good images, whose scores the scale of its heat maps comes from`,
        );
      const found = usage(() =>
        calibrate({
          rule,
          image: metrics,
          pixel: null,
          good: goodScores,
          goodSource: fresh ? 'good images' : 'good images that the model remembers',
          imageRange: { min: imageRange.min, max: imageRange.max },
          pixelRange: { min: pixelRange.min, max: pixelRange.max },
        }),
      );
      const others = fresh
        ? settings.calibrationScores.filter(({ source }) => source !== 'calibrate')
        : settings.calibrationScores;
      const updated: DetectorSettings = {
        ...settings,
        ...found,
        calibrationScores: [...others, ...(fresh?.scores ?? [])],
      };
      await target.write(await rewriteDetector(file, updated));
      const { image: before } = settings;
      console.log(
        `threshold of images: ${before ? `${before.threshold.toPrecision(5)} (${before.rule})` : 'none'}`,
      );
      console.log(`             is now: ${found.image.threshold.toPrecision(5)} (${found.image.rule})`);
      const alarms = goodScores.filter((value) => isAnomalous(value, found.image)).length;
      if (goodScores.length)
        console.log(`  ${alarms} of ${goodScores.length} good images are called anomalous`);
      console.log(`written to ${out}`);
      unreadable.finish();
    });
}

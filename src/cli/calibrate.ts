/**
 * `aand calibrate`: a new threshold for a model, without training: from good images, or from the scores that
 * it holds.
 */

import { basename, dirname } from 'node:path';
import type { Command } from 'commander';
import { readBytes, realPath } from '#platform';
import type { Sample } from '../data/dataset.ts';
import { stemOf } from '../data/files.ts';
import { readRegion } from '../data/region_file.ts';
import { regionWords } from '../data/region_words.ts';
import type { UnreadableFiles } from '../data/unreadable.ts';
import { type DetectorFile, readDetector, rewriteDetector } from '../detector/file.ts';
import { compareRules, comparisonTable } from '../eval/compare_rules.ts';
import { falseAlarmText } from '../eval/false_alarms.ts';
import type { MarkRule } from '../eval/marks.ts';
import { parseThreshold } from '../eval/thresholds.ts';
import { OutputFile } from '../output/file.ts';
import { OutputFolder } from '../output/folder.ts';
import {
  drawThreshold,
  recalibrated,
  scoreForCalibration,
  thresholdInput,
  withRegion,
} from '../session/calibrate.ts';
import { fileReader } from '../session/score_samples.ts';
import { checkReadable } from '../session/training_checks.ts';
import { interruptSignal, marksOption, UsageError, usage, withEngine } from './common.ts';
import { findImages, strictOption, unreadableFiles } from './find_images.ts';
import { checkedBy } from './options.ts';
import { ProgressReporter } from './progress.ts';
import { next, quoted } from './style.ts';

interface CalibrateOptions {
  readonly rule: string;
  readonly compare?: boolean;
  readonly region?: string;
  readonly bad?: string[];
  readonly marks?: MarkRule;
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
  const reporter = new ProgressReporter();
  const scoring = { reader: fileReader, reporter, signal, label: 'calibrating', unreadable };
  return withEngine((engine) => scoreForCalibration(engine, file, model, list, scoring));
}

/** What names no region: all of the image is inspected again. */
const noRegion = 'none';

/** The model with the region of interest that is asked for; as it is where none is. */
async function withAskedRegion(file: DetectorFile, asked: string | undefined): Promise<DetectorFile> {
  if (asked === undefined) return file;
  const region = asked === noRegion ? undefined : await readRegion(asked);
  const settings = usage(() => withRegion(file.settings, region));
  return settings === file.settings ? file : { ...file, settings };
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
    .option(
      '--compare',
      'only compare rules: draw from 4 to 64 of the good images that the model remembers, judge by the rest',
    )
    .addOption(marksOption())
    .option(
      '--region <file>',
      'the region of interest from now on: an image (white = inspected), polygons as JSON, or none; it ' +
        'needs good images',
    )
    .option('--bad <images...>', 'defective images or folders, for the rule f1')
    .option('--out <file>', 'where the model goes; default: in place, and the old one is kept as a backup')
    .option('--force', 'replace an existing --out; it is kept as a backup')
    .addOption(strictOption())
    .action(async (model: string, good: string[], options: CalibrateOptions) => {
      const rule = parseThreshold(options.rule);
      const opened = await readDetector(await readBytes(model), model);
      const file = await withAskedRegion(opened, options.region);
      const { settings } = file;
      if (options.compare) {
        if (good.length || options.bad?.length || options.out || options.region)
          throw new UsageError('--compare works on what the model remembers: give the model alone');
        const known = settings.calibrationScores.filter(({ source }) => source !== 'train');
        console.log(comparisonTable(usage(() => compareRules(known))));
        return;
      }
      if (file !== opened && !good.length)
        throw new UsageError(
          'with another --region the scores that the model holds say nothing: give good images',
        );
      const unreadable = unreadableFiles({ strict: options.strict ?? false });
      const out = options.out ?? model;
      await using target = await openTarget(out, model, options.force ?? false);
      const fresh =
        good.length > 0 || options.bad?.length
          ? await score(file, model, { good, bad: options.bad ?? [] }, unreadable)
          : undefined;
      const input = thresholdInput(settings, model, { rule, fresh });
      const drawn = usage(() => drawThreshold(input));
      const { marks } = options;
      const calibrated = { ...recalibrated(settings, drawn, fresh), ...(marks && { marks }) };
      await target.write(await rewriteDetector(file, calibrated));
      const { image: before } = opened.settings;
      console.log(
        'raw score at the limit (0.5): ' +
          (before ? `${before.threshold.toPrecision(5)} (${before.rule})` : 'none'),
      );
      console.log(
        `                       is now: ${drawn.image.threshold.toPrecision(5)} (${drawn.image.rule})`,
      );
      if (file !== opened)
        console.log(
          `region of interest: ${settings.region ? regionWords(settings.region) : 'all of the image'}`,
        );
      if (drawn.good) console.log(`  ${drawn.falseAlarms} of ${drawn.good} good images are called anomalous`);
      if (drawn.image.evidence) console.log(`  ${falseAlarmText(drawn.image.evidence)}`);
      console.log(`written to ${out}`);
      unreadable.finish();
      next(`aand predict ${quoted(out)} PHOTOS   judges photographs by the new threshold`);
    });
}

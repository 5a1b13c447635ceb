/** `aand predict`: where is a new photo defective? */
import { basename, dirname, relative, resolve, sep } from 'node:path';
import type { Command } from 'commander';
import { imageFileSize, readBytes, realPath, resultFinder } from '#platform';
import { isImagePath } from '../data/files.ts';
import { reading, type UnreadableFiles } from '../data/unreadable.ts';
import { type DataType, Detector, type Prediction } from '../detector/detector.ts';
import { driftText, ScoreWatch } from '../detector/score_watch.ts';
import type { MarkRule } from '../eval/marks.ts';
import { markedPart } from '../serve/judgement.ts';
import { predictFile, predictStream } from '../session/predict_stream.ts';
import { checkReadable } from '../session/training_checks.ts';
import {
  dtypeOption,
  EndWithCode,
  interruptSignal,
  marksOption,
  matrixUnitUse,
  subgroupMatricesOptions,
  UsageError,
  withEngine,
} from './common.ts';
import { findImagesByInput, strictOption, unreadableFiles } from './find_images.ts';
import { type Photograph, PredictionPictures } from './predict_pictures.ts';
import { type PredictionRow, RowPrinter, RowTable } from './prediction_rows.ts';
import { ProgressReporter } from './progress.ts';
import { pollOption, settleOption } from './source_options.ts';
import { next, note, quoted, warn } from './style.ts';
import { noteUncalibrated } from './uncalibrated.ts';

interface PredictOptions {
  readonly out?: string;
  readonly json?: boolean;
  readonly csv?: string;
  readonly failOnAnomaly?: boolean;
  readonly watch?: string;
  /** Seconds. */
  readonly watchSettle: number;
  /** Seconds. */
  readonly watchPoll?: number;
  readonly force?: boolean;
  readonly dtype: DataType;
  readonly marks?: MarkRule;
  readonly subgroupMatrices?: boolean;
  readonly strict?: boolean;
}

/** Exit code where a photograph is anomalous and `--fail-on-anomaly` is set. */
const anomalyFound = 3;

const noImageName = 'not an image file (png, jpg, bmp, webp or tif)';

/** The photographs of the inputs, each once, with what its picture is named after. */
async function listImages(inputs: readonly string[], unreadable: UnreadableFiles): Promise<Photograph[]> {
  const found = await findImagesByInput(inputs, unreadable);
  for (const { path } of found)
    if (!isImagePath(path)) unreadable.add(path, new Error(`${path}: ${noImageName}`));
  const images = found.filter(({ path }) => !unreadable.has(path));
  if (!images.length) throw new Error(`${found[0]?.path}: ${noImageName}`);
  return images.map(({ input, path }) => {
    const identity = resolve(path);
    const below = relative(input, path);
    const root = basename(below ? resolve(input) : dirname(identity));
    const folders = below.split(sep).slice(0, -1);
    return { path, folders, file: basename(path), root, identity };
  });
}

/** The photographs of a list, then those of a watched folder until the signal is raised. */
async function* comingImages(
  images: readonly Photograph[],
  folder: string,
  { watchSettle: settle, watchPoll: poll, out }: PredictOptions,
  signal: AbortSignal,
): AsyncGenerator<Photograph, void, undefined> {
  for (const image of images) {
    if (signal.aborted) return;
    yield image;
  }
  const { completeFiles } = await import('../serve/sources/folder_watch.ts');
  const without = out === undefined ? [] : [out];
  note(`watching ${folder}; Ctrl-C ends it`);
  for await (const { path, name } of completeFiles(folder, { signal, settle, poll, without, onNote: note })) {
    // A new finder each time: results may have come since.
    if (await resultFinder().isResult(path)) continue;
    const parts = name.split('/');
    yield {
      path,
      folders: parts.slice(0, -1),
      file: parts.at(-1) as string,
      root: basename(resolve(folder)),
      identity: path,
    };
  }
}

/** What was predicted for a photograph, without its picture. */
async function describe(
  { scale }: Detector,
  path: string,
  prediction: Prediction,
): Promise<Omit<PredictionRow, 'picture' | 'drift'>> {
  const { score, normalizedScore, anomalous } = prediction;
  const { width, height } = await reading(path, () => imageFileSize(path));
  return {
    path,
    raw_score: score,
    pred_score: normalizedScore,
    pred_label: anomalous === null ? null : anomalous ? 'anomalous' : 'good',
    width,
    height,
    ...markedPart(prediction, scale, { width, height }),
  };
}

/** The work of the command. @returns how many photographs are anomalous, and of how many */
async function predict(
  model: string,
  inputs: readonly string[],
  options: PredictOptions,
): Promise<{ readonly anomalous: number; readonly rows: number }> {
  const { strict = false, force = false, json = false, out, csv, watch: watched, failOnAnomaly } = options;
  const signal = interruptSignal();
  const unreadable = unreadableFiles({ strict, separate: true, endless: watched !== undefined });
  const images = inputs.length ? await listImages(inputs, unreadable) : [];
  const bytes = await readBytes(model);
  const madeBy = await realPath(model);
  await using table =
    csv === undefined
      ? undefined
      : await RowTable.open(csv, { force, inputs: [model, ...images.map(({ path }) => path)] });
  await using pictures =
    out === undefined ? undefined : await PredictionPictures.open(out, { model: madeBy, force, images });
  const reporter = new ProgressReporter();
  const rows = new RowPrinter(!json ? 'lines' : watched === undefined ? 'array' : 'json lines');
  let anomalous = 0;
  await withEngine(async (engine) => {
    await using detector = await Detector.open(engine, bytes, model, {
      dtype: options.dtype,
      marks: options.marks,
    });
    const { settings } = detector;
    noteUncalibrated(settings, model);
    if (failOnAnomaly && !settings.image)
      throw new Error(
        `${model} has no threshold, so nothing is anomalous for --fail-on-anomaly: calibrate it`,
      );
    const watch = ScoreWatch.of(settings);
    if (strict && images.length)
      await checkReadable(images, {
        unreadable,
        reporter,
        signal,
        tiling: settings.tiling,
        label: 'reading images',
      });
    await table?.begin();
    const progress = reporter.counting('predicting');
    // Where a second Ctrl-C ends the process at once.
    process.once('exit', () => rows.end());
    const photographs = watched === undefined ? images : comingImages(images, watched, options, signal);
    try {
      const stream = predictStream(detector, photographs, predictFile, {
        unreadable,
        // A watch ends with its folder: what is under way is still printed.
        ...(watched === undefined && { signal, onProgress: (done) => progress(done, images.length) }),
      });
      for await (const { photograph, prediction } of stream) {
        const drift = watch?.add(prediction.score)?.direction ?? null;
        const row = await unreadable.skip(async (): Promise<PredictionRow> => {
          const described = await describe(detector, photograph.path, prediction);
          const picture = (await pictures?.write(photograph, prediction, detector.scale)) ?? null;
          return { ...described, picture, drift };
        });
        if (!row) continue;
        if (row.pred_label === 'anomalous') anomalous++;
        await table?.add(row);
        reporter.aside(() => rows.print(row));
      }
    } finally {
      reporter.stop();
      rows.end();
    }
    const alarm = watch?.alarm;
    if (alarm) warn(`after ${alarm.after} photographs ${driftText(alarm)}`);
  }, matrixUnitUse(options));
  unreadable.finish();
  return { anomalous, rows: rows.rows };
}

export function predictCommand(program: Command): void {
  const [useMatrices, withoutMatrices] = subgroupMatricesOptions();
  program
    .command('predict')
    .description('score new photos and show where they are defective')
    .argument('<model>', 'model.safetensors of aand train')
    .argument('[images...]', 'image files or folders')
    .option('--out <folder>', 'write a picture of each result there; without it verdicts are printed alone')
    .option('--json', 'print the predictions as JSON: one array, with --watch a line for each')
    .option('--csv <file>', 'write a table with a line for each photograph, as they are done')
    .option('--fail-on-anomaly', `end with exit code ${anomalyFound} where a photograph is anomalous`)
    .option('--watch <folder>', 'go on with the photographs of this folder and those that come, until Ctrl-C')
    .option('--watch-settle <seconds>', "how long a file's size must stay the same", settleOption, 0.5)
    .option('--watch-poll <seconds>', 'look so often, for folders of other machines', pollOption)
    .option('--force', 'replace files of others in --out, and an existing --csv; each is kept as a backup')
    .addOption(strictOption())
    .addOption(dtypeOption())
    .addOption(marksOption())
    .addOption(useMatrices)
    .addOption(withoutMatrices)
    .action(async (model: string, inputs: string[], options: PredictOptions) => {
      const { watch, watchPoll, out, json, failOnAnomaly } = options;
      if (!inputs.length && watch === undefined)
        throw new UsageError('give image files or folders to predict, or --watch FOLDER');
      if (watch === undefined && watchPoll !== undefined)
        throw new UsageError('--watch-poll belongs to --watch');
      const { anomalous, rows } = await predict(model, inputs, options);
      if (!json && out === undefined && watch === undefined)
        next(
          `aand predict ${[model, ...inputs].map(quoted).join(' ')} --out pictures   shows where they are ` +
            'defective',
        );
      if (failOnAnomaly && anomalous)
        throw new EndWithCode(anomalyFound, `${anomalous} of ${rows} photographs are anomalous`);
    });
}

/** `aand predict`: where is a new photo defective? */
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import type { Command } from 'commander';
import { encodePng, overview, readBytes, realPath } from '#platform';
import { isImagePath } from '../data/files.ts';
import { reading, type UnreadableFiles } from '../data/unreadable.ts';
import { type DataType, Detector, type Prediction } from '../detector/detector.ts';
import { driftText, ScoreWatch } from '../detector/score_watch.ts';
import type { MarkRule } from '../eval/marks.ts';
import { drawPanels, panelSide } from '../eval/panels.ts';
import { OutputFolder } from '../output/folder.ts';
import { type NamedImage, resultNames } from '../output/names.ts';
import { predictFile, predictStream } from '../session/predict_stream.ts';
import { checkReadable } from '../session/training_checks.ts';
import {
  dtypeOption,
  interruptSignal,
  marksOption,
  matrixUnitUse,
  subgroupMatricesOptions,
  withEngine,
} from './common.ts';
import { findImagesByInput, strictOption, unreadableFiles } from './find_images.ts';
import { type PredictionRow, RowPrinter } from './prediction_rows.ts';
import { ProgressReporter } from './progress.ts';
import { noteUncalibrated } from './uncalibrated.ts';

interface PredictOptions {
  readonly out: string;
  readonly json?: boolean;
  readonly force?: boolean;
  readonly dtype: DataType;
  readonly marks?: MarkRule;
  readonly subgroupMatrices?: boolean;
  readonly strict?: boolean;
}

const noImageName = 'not an image file (png, jpg, bmp, webp or tif)';

interface Photograph extends NamedImage {
  /** As the user spells it. */
  readonly path: string;
}

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

/** Names for the pictures: new ones, or those of the same photographs in an earlier run. */
async function namePictures(
  output: OutputFolder,
  images: readonly Photograph[],
  model: string,
): Promise<string[]> {
  const names = resultNames(images, '.png', (name, { identity }) => {
    const before = output.entry(`${name}.png`);
    return before?.from !== undefined && before.from !== identity;
  }).map((name) => `${name}.png`);
  await output.check(
    names,
    images.map(({ path }) => path),
  );
  const others = names.map((name) => output.entry(name)?.model).filter((other) => other && other !== model);
  if (others.length)
    console.error(
      `note: ${others.length} pictures in ${output.path} are of another model ` +
        `(${[...new Set(others)].join(', ')}); they are replaced`,
    );
  return names;
}

/** What was predicted for one photograph: its row, and its picture as a PNG. */
async function render(
  detector: Detector,
  path: string,
  prediction: Prediction,
  picture: string,
  drift: PredictionRow['drift'],
) {
  const { score, normalizedScore, anomalous } = prediction;
  const row: PredictionRow = {
    path,
    raw_score: score,
    pred_score: normalizedScore,
    pred_label: anomalous === null ? null : anomalous ? 'anomalous' : 'good',
    picture,
    drift,
  };
  const image = await reading(path, () => overview(path, panelSide));
  const scale = detector.scale?.map ?? null;
  return { row, png: await encodePng(drawPanels({ ...prediction, image, scale, label: basename(path) })) };
}

export function predictCommand(program: Command): void {
  const [useMatrices, withoutMatrices] = subgroupMatricesOptions();
  program
    .command('predict')
    .description('score new photos and show where they are defective')
    .argument('<model>', 'model.safetensors of aand train')
    .argument('<images...>', 'image files or folders')
    .requiredOption('--out <folder>', 'where the pictures go')
    .option('--json', 'print the predictions as JSON')
    .option('--force', 'replace files of others in that folder; each is kept as a backup')
    .addOption(strictOption())
    .addOption(dtypeOption())
    .addOption(marksOption())
    .addOption(useMatrices)
    .addOption(withoutMatrices)
    .action(async (model: string, inputs: string[], options: PredictOptions) => {
      const { strict = false, force = false } = options;
      const signal = interruptSignal();
      const unreadable = unreadableFiles({ strict, separate: true });
      const images = await listImages(inputs, unreadable);
      const bytes = await readBytes(model);
      const madeBy = await realPath(model);
      await using output = await OutputFolder.open(options.out, { command: 'aand predict', force });
      const names = await namePictures(output, images, madeBy);
      const reporter = new ProgressReporter();
      const rows = new RowPrinter(options.json ?? false);
      await withEngine(async (engine) => {
        await using detector = await Detector.open(engine, bytes, model, {
          dtype: options.dtype,
          marks: options.marks,
        });
        noteUncalibrated(detector.settings, model);
        const watch = ScoreWatch.of(detector.settings);
        if (strict) {
          const { tiling } = detector.settings;
          await checkReadable(images, { unreadable, reporter, signal, tiling, label: 'reading images' });
        }
        const progress = reporter.counting('predicting');
        // Where a second Ctrl-C ends the process at once.
        process.once('exit', () => rows.end());
        try {
          const stream = predictStream(detector, images, predictFile, {
            unreadable,
            signal,
            onProgress: (done) => progress(done, images.length),
          });
          for await (const { photograph, index, prediction } of stream) {
            const { path, identity } = photograph;
            const name = names[index] as string;
            const picture = join(options.out, name);
            const drift = watch?.add(prediction.score)?.direction ?? null;
            const shown = await unreadable.skip(() => render(detector, path, prediction, picture, drift));
            if (!shown) continue;
            await output.write(name, shown.png, { from: identity, model: madeBy });
            reporter.aside(() => rows.print(shown.row));
          }
        } finally {
          reporter.stop();
          rows.end();
        }
        const alarm = watch?.alarm;
        if (alarm) console.error(`warning: after ${alarm.after} photographs ${driftText(alarm)}`);
      }, matrixUnitUse(options));
      unreadable.finish();
    });
}

/** `aand predict`: where is a new photo defective? */
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import type { Command } from 'commander';
import { decodeImage, encodePng, readBytes, writeBytes } from '#platform';
import { isImagePath } from '../data/files.ts';
import { type DataType, Detector } from '../detector/detector.ts';
import { drawPanels } from '../eval/panels.ts';
import { type NamedImage, resultNames } from '../output/names.ts';
import { dtypeOption, findImages, interruptSignal, subgroupMatricesOption, withEngine } from './common.ts';
import { type PredictionRow, RowPrinter } from './prediction_rows.ts';
import { ProgressReporter } from './progress.ts';
import { noteUncalibrated } from './uncalibrated.ts';

interface PredictOptions {
  readonly out: string;
  readonly json?: boolean;
  readonly dtype: DataType;
  readonly subgroupMatrices?: boolean;
}

/** The photographs of the inputs, each once, with what its picture is named after. */
async function listImages(inputs: readonly string[]): Promise<(NamedImage & { path: string })[]> {
  const found = new Map<string, NamedImage & { path: string }>();
  for (const input of inputs) {
    const paths = await findImages(input);
    if (!paths.length) throw new Error(`${input} holds no images (png, jpg, bmp, webp or tif)`);
    for (const path of paths) {
      if (!isImagePath(path)) throw new Error(`${path}: not an image file (png, jpg, bmp, webp or tif)`);
      const identity = resolve(path);
      const below = relative(input, path);
      const root = basename(below ? resolve(input) : dirname(identity));
      const folders = below.split(sep).slice(0, -1);
      if (!found.has(identity)) found.set(identity, { path, folders, file: basename(path), root, identity });
    }
  }
  return [...found.values()];
}

/** Predicts one photograph: its row, and its picture as a PNG. */
async function predictImage(detector: Detector, path: string, picture: string) {
  const image = await decodeImage(await readBytes(path), path);
  const [prediction] = await detector.predict([image]);
  if (!prediction || !Number.isFinite(prediction.score)) throw new Error(`${path}: the score is not a number`);
  const { score, normalizedScore, anomalous } = prediction;
  const row: PredictionRow = {
    path,
    raw_score: score,
    pred_score: normalizedScore,
    pred_label: anomalous === null ? null : anomalous ? 'anomalous' : 'good',
    picture,
  };
  const { pixel } = detector.settings;
  return { row, png: await encodePng(drawPanels({ ...prediction, image, pixel, label: basename(path) })) };
}

export function predictCommand(program: Command): void {
  program
    .command('predict')
    .description('score new photos and show where they are defective')
    .argument('<model>', 'model.safetensors of aand train')
    .argument('<images...>', 'image files or folders')
    .requiredOption('--out <folder>', 'where the pictures go')
    .option('--json', 'print the predictions as JSON')
    .addOption(dtypeOption())
    .addOption(subgroupMatricesOption())
    .action(async (model: string, inputs: string[], options: PredictOptions) => {
      const images = await listImages(inputs);
      const names = resultNames(images);
      const bytes = await readBytes(model);
      const signal = interruptSignal();
      const rows = new RowPrinter(options.json ?? false);
      await withEngine(
        async (engine) => {
          await using detector = await Detector.open(engine, bytes, model, { dtype: options.dtype });
          noteUncalibrated(detector.settings, model);
          const reporter = new ProgressReporter();
          const progress = reporter.counting('predicting');
          try {
            for (const [i, { path }] of images.entries()) {
              signal.throwIfAborted();
              const picture = join(options.out, `${names[i]}.png`);
              const { row, png } = await predictImage(detector, path, picture);
              await writeBytes(picture, png);
              reporter.aside(() => rows.print(row));
              progress(i + 1, images.length);
            }
          } finally {
            reporter.stop();
            rows.end();
          }
        },
        { subgroupMatrices: options.subgroupMatrices ?? false },
      );
    });
}

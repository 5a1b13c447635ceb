/** `aand predict`: where is a new photo defective? */
import { basename } from 'node:path';
import type { Command } from 'commander';
import { decodeImage, encodePng, readBytes, writeBytes } from '#platform';
import { isImagePath, stemOf } from '../data/files.ts';
import { type DataType, Detector } from '../detector/detector.ts';
import { drawPanels } from '../eval/panels.ts';
import { dtypeOption, findImages, interruptSignal, subgroupMatricesOption, withEngine } from './common.ts';
import { ProgressReporter } from './progress.ts';

interface PredictOptions {
  readonly out: string;
  readonly json?: boolean;
  readonly dtype: DataType;
  readonly subgroupMatrices?: boolean;
}

interface PredictionRow {
  readonly path: string;
  readonly raw_score: number;
  readonly pred_score: number;
  readonly pred_label: 'good' | 'anomalous';
}

async function listImages(inputs: readonly string[]): Promise<string[]> {
  const paths: string[] = [];
  for (const input of inputs) {
    const found = await findImages(input);
    if (!found.length) throw new Error(`${input} holds no images (png, jpg, bmp, webp or tif)`);
    paths.push(...found);
  }
  for (const path of paths)
    if (!isImagePath(path)) throw new Error(`${path}: not an image file (png, jpg, bmp, webp or tif)`);
  return paths;
}

/** STEM.png, or STEM-2.png and so on where images of several folders share a name. */
function pictureName(path: string, taken: Map<string, number>): string {
  const stem = stemOf(basename(path));
  const count = (taken.get(stem) ?? 0) + 1;
  taken.set(stem, count);
  return count === 1 ? `${stem}.png` : `${stem}-${count}.png`;
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
      const paths = await listImages(inputs);
      const bytes = await readBytes(model);
      const signal = interruptSignal();
      const rows = await withEngine(
        async (engine) => {
          await using detector = await Detector.open(engine, bytes, model, { dtype: options.dtype });
          const reporter = new ProgressReporter();
          const progress = reporter.counting('predicting');
          const taken = new Map<string, number>();
          const rows: PredictionRow[] = [];
          for (const path of paths) {
            signal.throwIfAborted();
            const image = await decodeImage(await readBytes(path), path);
            const [prediction] = await detector.predict([image]);
            if (!prediction || !Number.isFinite(prediction.score))
              throw new Error(`${path}: the score is not a number`);
            const { score, map, mask, width, height, normalizedScore, anomalous } = prediction;
            rows.push({
              path,
              raw_score: score,
              pred_score: normalizedScore,
              pred_label: anomalous ? 'anomalous' : 'good',
            });
            const { pixel } = detector.settings;
            const panels = drawPanels({
              image,
              map,
              mask,
              width,
              height,
              score,
              normalizedScore,
              anomalous,
              pixel,
              label: basename(path),
            });
            await writeBytes(`${options.out}/${pictureName(path, taken)}`, await encodePng(panels));
            progress(rows.length, paths.length);
          }
          reporter.stop();
          return rows;
        },
        { subgroupMatrices: options.subgroupMatrices ?? false },
      );
      if (options.json) console.log(JSON.stringify(rows, null, 2));
      else
        for (const row of rows)
          console.log(
            `${row.pred_label.padEnd(9)} ${row.pred_score.toFixed(3)} (raw ${row.raw_score.toFixed(4)})  ${row.path}`,
          );
    });
}

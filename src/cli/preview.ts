/**
 * `aand preview`: the foregrounds and synthetic anomalies that stage I would learn from, before a training
 * takes hours on them.
 */
import type { Command } from 'commander';
import { encodePng } from '#platform';
import { spread } from '../base/lists.ts';
import { RandomStream } from '../base/random.ts';
import { describeForeground, foregroundRuleFor } from '../data/foreground.ts';
import { openDataset } from '../data/open.ts';
import { loadTrainingImages } from '../data/training_images.ts';
import { type Cell, contactSheet } from '../eval/contact_sheet.ts';
import type { Image } from '../image/image.ts';
import { denormalize, normalize } from '../image/normalize.ts';
import { OutputFolder } from '../output/folder.ts';
import { synthesizeAnomaly } from '../synthetic/anomaly.ts';
import {
  addDataOptions,
  type DataOptions,
  datasetOptions,
  foregroundFrom,
  foregroundOption,
  regionOption,
} from './data_options.ts';
import { unreadableFiles } from './find_images.ts';
import { imageSizeOption, seedOption, tileOption, tileOverlapOption } from './options.ts';
import { ProgressReporter } from './progress.ts';
import { next, quoted, warn } from './style.ts';
import { textureSource } from './textures.ts';
import { regionFrom, tilingFrom } from './training_options.ts';

const shownForegrounds = 16;
const shownAnomalies = 32;

interface PreviewOptions extends DataOptions {
  readonly out: string;
  readonly force?: boolean;
  readonly imageSize: number;
  readonly foreground: string;
  readonly region?: string;
  readonly textures?: string;
  readonly tile?: number;
  readonly tileOverlap?: number;
  readonly seed: number;
}

export function previewCommand(program: Command): void {
  const command = program
    .command('preview')
    .description('contact sheets of the foreground and of synthetic anomalies, before training')
    .argument('<category>', "a category in any layout, or a folder; with --category the data set's folder")
    .option('--out <folder>', 'where the sheets go', 'preview')
    .option('--force', 'replace files of others there; they are kept as backups')
    .option('--image-size <pixels>', 'side of the network input', imageSizeOption, 256)
    .option(...foregroundOption, 'auto')
    .option(...regionOption)
    .option('--textures <folder>', 'photographs for synthetic anomalies; default: procedural textures')
    .option('--tile <pixels>', 'cut images into squares of this side', tileOption)
    .option('--tile-overlap <pixels>', 'what neighbouring tiles share', tileOverlapOption)
    .option('--seed <number>', 'random seed', seedOption, 0);
  addDataOptions(command).action(async (category: string, options: PreviewOptions) => {
    const size = options.imageSize;
    const rule = foregroundFrom(options.foreground);
    const tiling = tilingFrom(options);
    const region = await regionFrom(options.region, tiling ? undefined : size);
    const { force = false } = options;
    await using output = await OutputFolder.open(options.out, { command: 'aand preview', force });
    await output.check(['foreground.png', 'synthetic-anomalies.png']);
    const dataset = await openDataset(category, datasetOptions(options));
    const foreground = rule ?? foregroundRuleFor(dataset.format, dataset.name);
    const reporter = new ProgressReporter();
    const unreadable = unreadableFiles();
    const chosen = spread(dataset.train, shownAnomalies);
    const data = await loadTrainingImages(chosen, size, {
      foreground,
      tiling,
      region,
      onProgress: reporter.counting('loading'),
      unreadable,
    });
    reporter.stop();
    const { samples } = data;
    for (const warning of data.warnings) warn(warning);
    const label = (i: number) => (tiling ? `tile ${i}` : (samples[i]?.stem ?? String(i)));
    const everywhere = new Uint8Array(size * size).fill(1);
    const mask = (i: number) => data.foregrounds?.[i] ?? everywhere;
    const share = (values: ArrayLike<number>) =>
      Array.from(values).reduce((sum, value) => sum + value, 0) / (size * size);

    const picked = spread([...data.images.keys()], shownForegrounds);
    const masks: Cell[] = picked.map((i) => ({
      image: data.images[i] as Image,
      label: `${label(i)} ${(100 * share(mask(i))).toFixed(0)}%`,
      mask: { values: mask(i), side: size, dim: true },
    }));
    const name = `${describeForeground(foreground)}${region ? ' in the region of interest' : ''}`;
    await output.write(
      'foreground.png',
      await encodePng(contactSheet(masks, { title: `${dataset.name}: foreground by ${name}` })),
    );

    const textures = await textureSource(options.textures, size, unreadable);
    let clean = 0;
    const anomalies: Cell[] = [];
    for (let shot = 0; shot < shownAnomalies; shot++) {
      const i = shot % data.images.length;
      const made = await synthesizeAnomaly(
        normalize(data.images[i] as Image),
        size,
        data.foregrounds?.[i],
        textures,
        new RandomStream(options.seed, 'synthetic', Math.floor(shot / data.images.length), i),
      );
      if (!made.mask.includes(1)) clean++;
      anomalies.push({
        image: denormalize(made.values, size, size),
        label: `${label(i)} ${(100 * share(made.mask)).toFixed(1)}%`,
        mask: { values: made.mask, side: size },
      });
    }
    await output.write(
      'synthetic-anomalies.png',
      await encodePng(
        contactSheet(anomalies, {
          title: `${dataset.name}: synthetic anomalies, textures: ${textures.name}`,
        }),
      ),
    );
    const shares = data.images.map((_, i) => share(mask(i))).sort((a, b) => a - b);
    const percent = (value: number | undefined) => `${(100 * (value ?? 0)).toFixed(0)} %`;
    console.log(
      `foreground by ${name}: ${percent(shares[0])} to ${percent(shares.at(-1))} of an image, median ` +
        `${percent(shares[shares.length >> 1])}`,
    );
    console.log(`${clean} of ${shownAnomalies} synthetic samples stay clean (a fifth is meant to)`);
    console.log(
      `look at ${options.out}/foreground.png (outlined, the rest dimmed) and ` +
        `${options.out}/synthetic-anomalies.png`,
    );
    unreadable.finish();
    next(`aand train ${quoted(category)} --out results   learns it`);
  });
}

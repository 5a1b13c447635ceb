/** `aand train`: both stages on a category folder, then a test where there is a test set. */
import type { Command } from 'commander';
import { decodeImage, exists, readBytes, writeBytes } from '#platform';
import { type Dataset, loadImage, mapConcurrently, openDataset, type Sample, spread } from '../data/dataset.ts';
import type { Image } from '../data/image.ts';
import { MapRunner } from '../detector/detector.ts';
import { newSettings, writeDetector } from '../detector/file.ts';
import type { Engine } from '../engine/device.ts';
import { type EvaluatedImage, evaluate } from '../eval/evaluate.ts';
import { type BackboneName, backboneNamed } from '../model/backbone.ts';
import { checkImageSize, type Mode } from '../model/detector.ts';
import type { TextureSource } from '../synthetic/anomaly.ts';
import { proceduralTextures } from '../synthetic/procedural_textures.ts';
import { trainDetector } from '../train/train_detector.ts';
import type { SafetensorsFile } from '../weights/safetensors.ts';
import {
  checkpointFile,
  findImages,
  interruptSignal,
  positiveInteger,
  readWeights,
  UsageError,
  withEngine,
} from './common.ts';
import { packagedFile, packageVersion } from './package.ts';
import { ProgressReporter } from './progress.ts';
import { counts, metricsTable, runSamples, scoresCsv, writePictures } from './results.ts';

export interface TrainOptions {
  readonly out: string;
  readonly backbone: string;
  readonly weights?: string;
  readonly textures?: string;
  readonly imageSize: string;
  readonly batch: string;
  readonly epochs: string;
  readonly limit?: string;
  readonly mode: string;
  readonly seed: string;
  readonly resume?: boolean;
}

/** Options after checks that need no data. */
export interface TrainPlan {
  readonly out: string;
  readonly backbone: BackboneName;
  readonly mode: Mode;
  readonly imageSize: number;
  readonly batch: number;
  readonly epochs: readonly [number, number];
  readonly seed: number;
  readonly limit: number | undefined;
  readonly resume: boolean;
  readonly teacherPath: string;
  readonly teacher: SafetensorsFile;
  readonly textures: TextureSource;
}

function parseEpochs(text: string): [number, number] {
  const parts = text.split(',').map((part) => Number(part));
  if (parts.length !== 2 || parts.some((value) => !Number.isInteger(value) || value < 1))
    throw new UsageError(`--epochs must be two positive whole numbers such as 100,120, not '${text}'`);
  return parts as [number, number];
}

/** Turns errors about options into usage errors. */
function usage<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

async function textureFolder(folder: string): Promise<TextureSource> {
  const paths = await findImages(folder);
  if (!paths.length) throw new Error(`${folder} holds no images to use as textures`);
  const images = await mapConcurrently(paths, async (path) => decodeImage(await readBytes(path), path));
  return { name: `${paths.length} images`, count: images.length, texture: (index) => images[index] as Image };
}

export async function planTraining(options: TrainOptions): Promise<TrainPlan> {
  const backbone = usage(() => backboneNamed(options.backbone)).name as BackboneName;
  if (options.mode !== 'aand' && options.mode !== 'rd')
    throw new UsageError(`--mode is 'aand' or 'rd', not '${options.mode}'`);
  const imageSize = positiveInteger(options.imageSize, '--image-size');
  usage(() => checkImageSize(imageSize));
  const seed = Number(options.seed);
  if (!Number.isInteger(seed)) throw new UsageError(`--seed must be a whole number, not '${options.seed}'`);
  const batch = positiveInteger(options.batch, '--batch');
  const epochs = parseEpochs(options.epochs);
  const limit = options.limit === undefined ? undefined : positiveInteger(options.limit, '--limit');
  if (!options.weights && backbone !== 'resnet18')
    throw new UsageError(`--weights is needed for ${backbone}: the teacher that comes with this package is a resnet18`);
  const teacherPath = options.weights ?? packagedFile('weights/teacher_resnet18.safetensors');
  return {
    out: options.out,
    backbone,
    mode: options.mode,
    imageSize,
    batch,
    epochs,
    seed,
    limit,
    resume: options.resume ?? false,
    teacherPath,
    teacher: await readWeights(teacherPath),
    textures: options.textures ? await textureFolder(options.textures) : proceduralTextures(),
  };
}

/** Trains, tests where there is a test set, and writes everything into the output folder. */
export async function trainAndTest(
  engine: Engine,
  plan: TrainPlan,
  dataset: Dataset,
  signal: AbortSignal,
): Promise<{ metrics: Record<string, unknown>; results: EvaluatedImage[] }> {
  const started = performance.now();
  const reporter = new ProgressReporter();
  for (const warning of dataset.warnings) console.error(`warning: ${warning}`);
  const chosen = plan.limit ? spread(dataset.train, plan.limit) : [...dataset.train];
  const images = await mapConcurrently(
    chosen,
    ({ path }) => loadImage(path, plan.imageSize),
    reporter.counting('loading'),
  );
  const checkpoint = {
    stage1: checkpointFile(`${plan.out}/stage1.checkpoint`),
    stage2: checkpointFile(`${plan.out}/stage2.checkpoint`),
  };
  if (
    !plan.resume &&
    ((await exists(`${plan.out}/stage1.checkpoint`)) || (await exists(`${plan.out}/stage2.checkpoint`)))
  )
    console.error(
      `note: ${plan.out} holds checkpoints of an earlier run; they are replaced (--resume would continue it)`,
    );
  const backbone = backboneNamed(plan.backbone);
  const { store, history } = await trainDetector({
    engine,
    backbone,
    mode: plan.mode,
    teacher: plan.teacher,
    teacherName: plan.teacherPath,
    images,
    textures: plan.textures,
    imageSize: plan.imageSize,
    batch: plan.batch,
    epochs: plan.epochs,
    seed: plan.seed,
    checkpoint,
    resume: plan.resume,
    signal,
    onProgress: reporter.training,
  });
  reporter.stop();
  const trainSeconds = (performance.now() - started) / 1000;

  const runner = new MapRunner(engine, store, backbone, plan.mode, plan.imageSize);
  try {
    const testing = dataset.test.length > 0;
    const samples: readonly Sample[] = testing ? dataset.test : chosen;
    const results = await runSamples(runner, samples, reporter, signal, testing ? 'testing' : 'calibrating');
    const { metrics, image, pixel } = evaluate(results, plan.imageSize);
    const settings = {
      backbone: plan.backbone,
      mode: plan.mode,
      weights: plan.teacherPath,
      textures: plan.textures.name,
      image_size: plan.imageSize,
      batch: plan.batch,
      epochs: plan.epochs,
      limit: plan.limit ?? null,
      checkpoint: 'last epoch',
    };
    const version = await packageVersion();
    const model = await writeDetector(
      store,
      newSettings({
        backbone: plan.backbone,
        mode: plan.mode,
        imageSize: plan.imageSize,
        image,
        pixel,
        calibrationScores: results.map(({ score, defect }) => ({ score, anomalous: defect !== 'good' })),
        training: { ...settings, seed: plan.seed, category: dataset.name, history },
        version,
      }),
    );
    await writeBytes(`${plan.out}/model.safetensors`, model);
    const report = {
      ...metrics,
      category: dataset.name,
      counts: counts(dataset, chosen.length),
      image_threshold: image,
      pixel_threshold: pixel,
      settings,
      seed: plan.seed,
      adapter: engine.adapter.description || engine.target.name,
      version,
      seconds: { train: trainSeconds, total: (performance.now() - started) / 1000 },
      history,
    };
    await writeBytes(`${plan.out}/metrics.json`, `${JSON.stringify(report, null, 2)}\n`);
    await writeBytes(`${plan.out}/scores.csv`, scoresCsv(results, { image, pixel }));
    if (testing) await writePictures(plan.out, results, plan.imageSize, { image, pixel }, reporter);
    console.log(
      `${dataset.name}: ${chosen.length} good images, ${plan.mode}, ${plan.backbone}, ${plan.imageSize} pixels`,
    );
    console.log(
      testing
        ? metricsTable(metrics)
        : '  no test set: no metrics; the threshold is the largest score of the good images',
    );
    console.log(`written to ${plan.out}: model.safetensors, metrics.json, scores.csv${testing ? ', images/' : ''}`);
    return { metrics: report, results };
  } finally {
    await runner.destroy();
    store.destroy();
  }
}

export function trainCommand(program: Command): void {
  program
    .command('train')
    .description('learn a product from photos of good parts; test where there is a test set')
    .argument('<category>', "folder in MVTec AD's layout; train/good is enough")
    .requiredOption('--out <folder>', 'where the results go')
    .option('--backbone <name>', 'resnet18, resnet34, resnet50 or wide_resnet50_2', 'resnet18')
    .option('--weights <file>', 'teacher weights (safetensors, torchvision names); default: the packaged teacher')
    .option('--textures <folder>', 'photographs for synthetic anomalies; default: procedural textures')
    .option('--image-size <pixels>', 'side of the network input, a multiple of 32', '256')
    .option('--batch <count>', 'images per step', '16')
    .option('--epochs <stage1,stage2>', 'epochs of the two stages', '100,120')
    .option('--limit <count>', 'use this many training images, spread evenly over the sorted list')
    .option('--mode <aand|rd>', 'aand, or the RD4AD baseline', 'aand')
    .option('--seed <number>', 'random seed', '0')
    .option('--resume', 'continue from the checkpoints in the output folder')
    .action(async (category: string, options: TrainOptions) => {
      const plan = await planTraining(options);
      const dataset = await openDataset(category);
      const signal = interruptSignal();
      await withEngine((engine) => trainAndTest(engine, plan, dataset, signal));
    });
}

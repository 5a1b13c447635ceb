/** The options of a training, shared by train, benchmark and demo, and the plan that they come to. */
import { type Command, Option } from 'commander';
import { type Augmentation, augmentations, augmentedCount, robustChanges } from '../data/augment.ts';
import type { Dataset } from '../data/dataset.ts';
import { checkInspects, type RegionOfInterest } from '../data/region.ts';
import { readRegion } from '../data/region_file.ts';
import { checkTiling, type Tiling } from '../data/tiles.ts';
import type { Labels } from '../eval/evaluate.ts';
import { parseThreshold, type ThresholdRule, thresholdHelp } from '../eval/thresholds.ts';
import { type Mode, methodNamed } from '../model/methods.ts';
import { fewImages, holdOutLeast, paperSchedule, trainingDefaults } from '../session/training_defaults.ts';
import { type AskedPlan, adaptedTo, type TrainingPlan } from '../session/training_plan.ts';
import { defaultCoreset } from '../train/memory_bank.ts';
import { packagedBackbones, packagedTeacherFile } from '../weights/packaged.ts';
import { readWeights, UsageError, usage } from './common.ts';
import { foregroundFrom, foregroundOption } from './data_options.ts';
import { strictOption, unreadableFiles } from './find_images.ts';
import {
  backboneNames,
  backboneOption,
  batchOption,
  checkedBy,
  countOption,
  epochsOption,
  imageSizeOption,
  listOf,
  oneOf,
  shareOption,
  shareOrNoneOption,
  stageEpochsOption,
  tileOption,
  tileOverlapOption,
} from './options.ts';
import { packagedFile } from './package.ts';
import { textureSource } from './textures.ts';
/** Options of training, shared by `train` and `benchmark`. */
export interface TrainingOptions {
  readonly backbone: string;
  readonly weights?: string;
  readonly textures?: string;
  readonly imageSize: number;
  readonly batch: number;
  readonly epochs?: readonly [number, number];
  readonly coreset?: number;
  readonly limit?: number;
  readonly foreground?: string;
  readonly tile?: number;
  readonly tileOverlap?: number;
  readonly threshold?: string;
  readonly holdOut?: number;
  readonly labels?: Labels;
  readonly select?: 'last' | 'test-oracle';
  readonly augment?: Augmentation[];
  readonly robust?: boolean;
  readonly curve?: number;
  readonly dropSuspects?: number;
  readonly strict?: boolean;
}

export interface TrainCommandOptions extends TrainingOptions {
  readonly out: string;
  readonly mode: Mode;
  readonly seed: number;
  readonly resume?: boolean;
  readonly force?: boolean;
  readonly leaveOut?: string;
  readonly region?: string;
}

interface Place {
  /** The run's folder. */
  readonly out: string;
  /** Continue from the checkpoints in the folder. */
  readonly resume: boolean;
}

/** A training as the command line is asked for it: options after checks that need no data. */
export type AskedTrainPlan = AskedPlan & Place;

/** A training as the command line plans it on a data set. */
export type TrainPlan = TrainingPlan & Place;

/** What the options leave open is decided by the data set. */
export function planOn(asked: AskedTrainPlan, dataset: Dataset): TrainPlan {
  return { ...asked, ...usage(() => adaptedTo(asked, dataset)) };
}

/** --tile and --tile-overlap (a quarter of a tile where it is not given). */
export function tilingFrom(o: { readonly tile?: number; readonly tileOverlap?: number }): Tiling | undefined {
  if (o.tile === undefined) {
    if (o.tileOverlap !== undefined) throw new UsageError('--tile-overlap needs --tile');
    return undefined;
  }
  const size = o.tile;
  const overlap = o.tileOverlap ?? Math.floor(size / 4);
  usage(() => checkTiling({ size, overlap }));
  return { size, overlap };
}

export function thresholdFrom(text: string | undefined): ThresholdRule | undefined {
  return text === undefined ? undefined : usage(() => parseThreshold(text));
}

/**
 * The region of interest in a file; undefined where none is named.
 *
 * @param side of the images that the model sees; undefined for tiles
 */
export async function regionFrom(
  path: string | undefined,
  side: number | undefined,
): Promise<RegionOfInterest | undefined> {
  if (path === undefined) return undefined;
  const region = await readRegion(path);
  usage(() => checkInspects(region, side));
  return region;
}

function checkRobust(mode: Mode, { tile }: TrainingOptions): void {
  const kinds = robustChanges.join(',');
  if (methodNamed(mode).learns === 'memory')
    throw new UsageError(
      `--robust changes images from epoch to epoch, and ${mode} has none: its bank learns changed copies ` +
        `with --augment ${kinds}`,
    );
  if (tile !== undefined)
    throw new UsageError(
      '--robust works on whole images: the threshold of a model with --tile would not know the changes',
    );
}

/** The file of the teacher: the one that was named, else the packaged one of the backbone. */
export function teacherPathFor({ backbone, weights }: Pick<TrainingOptions, 'backbone' | 'weights'>): string {
  if (!weights && !packagedBackbones.includes(backbone))
    throw new UsageError(
      `--weights is needed for ${backbone}: the teachers that come with this package are for ` +
        packagedBackbones.join(' and '),
    );
  return weights ?? packagedFile(`weights/${packagedTeacherFile(backbone)}`);
}

export async function planTraining(options: TrainCommandOptions): Promise<AskedTrainPlan> {
  const { backbone, mode, imageSize, batch, epochs, seed, limit, holdOut } = options;
  const tiling = tilingFrom(options);
  const region = await regionFrom(options.region, tiling ? undefined : imageSize);
  const teacherPath = teacherPathFor(options);
  if (options.robust) checkRobust(mode, options);
  const unreadable = unreadableFiles({ strict: options.strict ?? false });
  return {
    out: options.out,
    backbone,
    mode,
    imageSize,
    batch,
    epochs,
    seed,
    coreset: options.coreset,
    limit,
    resume: options.resume ?? false,
    foreground: foregroundFrom(options.foreground),
    tiling,
    region,
    threshold: thresholdFrom(options.threshold),
    holdOut,
    labels: options.labels ?? 'folder',
    select: options.select ?? 'last',
    augment: options.augment,
    robust: options.robust ? robustChanges : undefined,
    curve: options.curve,
    dropSuspects: options.dropSuspects,
    teacherPath,
    teacher: await readWeights(teacherPath),
    textures: await textureSource(options.textures, imageSize, unreadable),
    unreadable,
  };
}

/** Options that `train` and `benchmark` share. */
export function addTrainingOptions(command: Command): Command {
  return command
    .option(
      '--backbone <name>',
      `one of ${backboneNames.join(', ')}`,
      backboneOption,
      trainingDefaults.backbone,
    )
    .option(
      '--weights <file>',
      'teacher weights (.safetensors or .pth, torchvision names); default: the packaged teacher of ' +
        packagedBackbones.join(' or '),
    )
    .option('--textures <folder>', 'photographs for synthetic anomalies; default: procedural textures')
    .option(
      '--image-size <pixels>',
      'side of the network input, a multiple of 32',
      imageSizeOption,
      trainingDefaults.imageSize,
    )
    .option('--batch <count>', 'images per step', batchOption, trainingDefaults.batch)
    .option(
      '--coreset <share>',
      `share of the patches that patchcore keeps (default ${defaultCoreset}); it has no epochs`,
      shareOption,
    )
    .option(
      '--epochs <stage1,stage2>',
      `epochs of the two stages; default: ${paperSchedule.epochs}, and for fewer than ${fewImages} images ` +
        'as many more as give the same number of steps',
      stageEpochsOption,
    )
    .option(
      '--limit <count>',
      'use this many training images, spread evenly over the sorted list',
      countOption,
    )
    .option(...foregroundOption, 'auto')
    .option(
      '--tile <pixels>',
      'cut images into squares of this side instead of resizing them whole',
      tileOption,
    )
    .option(
      '--tile-overlap <pixels>',
      'what neighbouring tiles share; default: a quarter of a tile',
      tileOverlapOption,
    )
    .option(
      '--threshold <rule>',
      `${thresholdHelp}; default: f1 with a test set, else (and with --robust) max of held-out good images`,
      checkedBy(parseThreshold),
    )
    .option(
      '--hold-out <share>',
      'good images kept from training for the threshold; default without a test set and with --robust: .1, ' +
        `and fewer than ${holdOutLeast} are left out in turn, which trains as long again`,
      shareOrNoneOption,
    )
    .addOption(
      new Option('--labels <by>', "an image is defective by its folder's name, or by its mask")
        .choices(['folder', 'mask'])
        .default('folder'),
    )
    .addOption(
      new Option(
        '--select <epoch>',
        'the last epoch, or the one best on the test set (for comparison with papers only)',
      )
        .choices(['last', 'test-oracle'])
        .default('last'),
    )
    .option(
      '--augment <list>',
      `of few images also learn changed copies, as many as make ${augmentedCount} images; what may change ` +
        `without a defect: ${augmentations.join(', ')}`,
      listOf(oneOf(augmentations)),
    )
    .option(
      '--robust',
      'draw every image anew in each epoch under other light and a camera that moved a little ' +
        `(${robustChanges.join(', ')}); the threshold comes from held-out good images, changed likewise`,
    )
    .option(
      '--curve <epochs>',
      'test every so many epochs and draw the curve; for the report, never used for choosing',
      epochsOption,
    )
    .option(
      '--drop-suspects <share>',
      'leave out this share of the good images: those that look least like the others (see aand data ' +
        '--suspects); 2.5 times the share that may be defective, .25 at most, is a good one',
      shareOption,
    )
    .addOption(strictOption());
}

/** What the training of the library is asked for: its options, and the plan that they make. */
import { packagedWeights } from '#platform';
import { InvalidArgumentError } from '../base/errors.ts';
import { type Augmentation, robustChanges } from '../data/augment.ts';
import { type ForegroundRule, parseForeground } from '../data/foreground.ts';
import { checkInspects, type RegionOfInterest } from '../data/region.ts';
import { type FileSource, fileBytes, type ImageSource, nameOfSource } from '../data/sources.ts';
import { checkTiling, type Tiling } from '../data/tiles.ts';
import { parseThreshold, type ThresholdRule } from '../eval/thresholds.ts';
import { backboneNamed } from '../model/backbones.ts';
import { needStudent, usesAnomalies } from '../model/method.ts';
import { type Mode, methodNamed } from '../model/methods.ts';
import { checkImageSize } from '../model/teacher.ts';
import type { TextureSource } from '../synthetic/anomaly.ts';
import { proceduralTextures } from '../synthetic/procedural_textures.ts';
import type { TrainDetectorOptions } from '../train/check_options.ts';
import { packagedBackbones, packagedTeacherFile } from '../weights/packaged.ts';
import { readWeightsFile } from '../weights/read_weights.ts';
import type { SafetensorsFile } from '../weights/safetensors.ts';
import { holdOutLeast, holdOutShare, trainingDefaults } from './training_defaults.ts';
import type { AskedPlan } from './training_plan.ts';
import type { TrainingProgress } from './training_progress.ts';

/** What a detector is trained from, and how. All but `good` has the command line's defaults. */
export interface TrainOptions {
  /** Photographs of good parts: what is learned. Some dozens are usual. */
  readonly good: readonly ImageSource[];
  /**
   * Photographs of bad parts, where there are some. They are not learned: the limit is drawn between them and
   * good ones, and the result says how many are found.
   */
  readonly bad?: readonly ImageSource[] | undefined;
  /** What the product is called; the model file keeps it. */
  readonly name?: string | undefined;
  /** `resnet18` (the default), `resnet18_half` (a quarter of the model file), or another with its teacher. */
  readonly backbone?: string | undefined;
  /**
   * The teacher's weights (.safetensors, or .pth of torchvision): bytes, a Blob, a path or URL. By default
   * those that come with this package; in browsers they are fetched from beside the library.
   */
  readonly teacher?: FileSource | undefined;
  /** `aand` by default; others are for comparison. */
  readonly mode?: Mode | undefined;
  /** Side of the network's input in pixels, a multiple of 32; default 256. */
  readonly imageSize?: number | undefined;
  /** Images per step; default 16. */
  readonly batch?: number | undefined;
  /** Epochs of both stages; default 100 and 120, and more of fewer than 64 images, for as many steps. */
  readonly epochs?: readonly [number, number] | undefined;
  /** Of the random numbers; default 0. The same seed and images give the same model on the same device. */
  readonly seed?: number | undefined;
  /** Share of the patches that the mode `patchcore` keeps; default .01, and at least 2500 patches. */
  readonly coreset?: number | undefined;
  /**
   * Where on a photograph the product is: `none` (everywhere, the default), `otsu-bright`, `otsu-dark`,
   * `threshold:T`, `threshold-dark:T`, `disc`, `rectangle`.
   */
  readonly foreground?: string | undefined;
  /**
   * Which part of every image is inspected: polygons and a mask in shares of the image (`parseRegion`,
   * `regionFromImage`). What lies outside is not learned as a defect, and counts in no score. Default: all.
   */
  readonly roi?: RegionOfInterest | undefined;
  /** Cut images into squares of their own pixels instead of resizing them whole. */
  readonly tiling?: Tiling | undefined;
  /**
   * Where the limit is drawn: a rule, or its text (`f1`, `max`, `quantile:Q`, `false-alarms:RATE`,
   * `value:RAW`). Default: the best F1 where there are bad images and good ones that were held out, else the
   * largest score of good images.
   */
  readonly threshold?: ThresholdRule | string | undefined;
  /**
   * Share of the good images that is kept from the training for the limit, 0 to below 1. Default: .1 of 32
   * and more; fewer are left out in turn, which trains as long again.
   */
  readonly holdOut?: number | undefined;
  /** Of few images also learn changed copies: what may change without a defect. */
  readonly augment?: readonly Augmentation[] | undefined;
  /** Learn every image under other light and a moved camera, drawn anew in each epoch. */
  readonly robust?: boolean | undefined;
  /** Textures of the synthetic anomalies; default: procedural ones. */
  readonly textures?: TextureSource | undefined;
  /** Where finished epochs are kept. */
  readonly checkpoint?: TrainDetectorOptions['checkpoint'];
  /** Continue from the checkpoints that are there. */
  readonly resume?: boolean | undefined;
  /** Stops the training; the call rejects with Interrupted, whose `cause` is the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Told after every batch how far the whole training is. What it throws ends the training. */
  readonly onProgress?: ((progress: TrainingProgress) => void) | undefined;
}

function ruleOf(threshold: TrainOptions['threshold'], bad: number): ThresholdRule | undefined {
  const rule = typeof threshold === 'string' ? parseThreshold(threshold) : threshold;
  if (rule?.kind === 'f1' && !bad)
    throw new InvalidArgumentError(
      'the threshold rule f1 needs bad images: give some as `bad`, or use max, quantile:Q or ' +
        'false-alarms:RATE',
    );
  return rule;
}

function foregroundOf({ foreground = 'none' }: Pick<TrainOptions, 'foreground'>, mode: Mode): ForegroundRule {
  const rule = parseForeground(foreground) ?? { kind: 'none' };
  if (rule.kind === 'folder')
    throw new InvalidArgumentError(
      `the foreground '${foreground}' names a folder of masks, which the command line reads: use one of ` +
        'the rules that need no files',
    );
  return usesAnomalies(methodNamed(mode)) ? rule : { kind: 'none' };
}

/** Which teacher, before anything is read. */
function teacherOf({ teacher }: Pick<TrainOptions, 'teacher'>, backbone: string) {
  if (teacher === undefined && !packagedBackbones.includes(backbone))
    throw new InvalidArgumentError(
      `a teacher is needed for ${backbone}: those that come with this package are for ` +
        packagedBackbones.join(' and '),
    );
  const name = teacher === undefined ? packagedTeacherFile(backbone) : (nameOfSource(teacher) ?? 'teacher');
  const read = async (signal: AbortSignal | undefined): Promise<SafetensorsFile> =>
    readWeightsFile(
      teacher === undefined ? await packagedWeights(name) : await fileBytes(teacher, 'the teacher', signal),
      name,
    );
  return { name, read };
}

/**
 * What is asked for, checked as far as that needs no image.
 *
 * @param bad images
 * @param good images
 * @throws InvalidArgumentError naming the option
 */
export function planFromOptions(o: Omit<TrainOptions, 'good' | 'bad'>, bad: number, good: number) {
  const { mode = trainingDefaults.mode, imageSize = trainingDefaults.imageSize, tiling, holdOut } = o;
  const { backbone = trainingDefaults.backbone } = o;
  backboneNamed(backbone);
  const method = methodNamed(mode);
  checkImageSize(imageSize);
  if (tiling) checkTiling(tiling);
  if (o.roi) checkInspects(o.roi, tiling ? undefined : imageSize);
  if (holdOut !== undefined && !(holdOut >= 0 && holdOut < 1))
    throw new InvalidArgumentError(`holdOut is ${holdOut}, expected a share from 0 to below 1`);
  if (o.robust) needStudent(method, 'images cannot change from epoch to epoch');
  if (o.robust && tiling)
    throw new InvalidArgumentError('robust works on whole images: leave `tiling` or `robust` out');
  const teacher = teacherOf(o, backbone);
  const asked: Omit<AskedPlan, 'teacher' | 'unreadable'> = {
    backbone,
    mode,
    imageSize,
    batch: o.batch ?? trainingDefaults.batch,
    epochs: o.epochs,
    seed: o.seed ?? trainingDefaults.seed,
    coreset: o.coreset,
    limit: undefined,
    teacherPath: teacher.name,
    textures: o.textures ?? proceduralTextures(),
    foreground: foregroundOf(o, mode),
    tiling,
    region: o.roi,
    threshold: ruleOf(o.threshold, bad),
    // With bad images alone to test, good ones that were not learned are needed beside them.
    holdOut: holdOut ?? (bad && good >= holdOutLeast ? holdOutShare : undefined),
    labels: 'folder',
    select: 'last',
    augment: o.augment?.length ? o.augment : undefined,
    robust: o.robust ? robustChanges : undefined,
  };
  return { asked, teacher, method };
}

/** What a training will need on this device, and what would need less. */
import { decodeImage } from '#platform';
import { robustChanges } from '../src/data/augment.ts';
import type { MapRunner } from '../src/detector/map_runner.ts';
import type { Engine } from '../src/engine/runtime/engine.ts';
import { measurePeaks } from '../src/engine/runtime/peak.ts';
import type { Image } from '../src/image/image.ts';
import { resizeBicubic } from '../src/image/resize.ts';
import { backboneNamed } from '../src/model/backbones.ts';
import { methodNamed } from '../src/model/methods.ts';
import { measureTraining } from '../src/session/measure_training.ts';
import type { TrainingPart } from '../src/session/measured_job.ts';
import { holdOutShare, withCopies } from '../src/session/training_defaults.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';
import { forecastTraining } from '../src/train/forecast_training.ts';
import { withTriedCheckpoints } from './kept.ts';
import { readTeacher } from './teachers.ts';
import { minutes } from './time.ts';
import {
  type ForecastFacts,
  type ForecastImages,
  packagedSource,
  packagedTeachers,
  type TrainingJob,
} from './types.ts';

// Browsers do not tell how much memory the GPU has. Above this much many laptops become slow.
const comfortableBytes = 2 * 2 ** 30;
const longSeconds = 3600;
/** From here on it is worth saying what is ready sooner. */
const hurrySeconds = 300;
const smallestImage = 64;
/** Of fewer good images none is held out. */
export const holdOutLeast = 10;

/** How many good images of a job are held out for the threshold. */
export function heldOutOf({ folds = 0 }: TrainingJob, good: number): number {
  return !folds && good >= holdOutLeast ? Math.round(holdOutShare * good) : 0;
}

/** How many images of a job are learned, copies included. */
function learnedOf(job: TrainingJob, good: number): number {
  const learned = good - heldOutOf(job, good);
  return job.augment?.length ? withCopies(learned) : learned;
}

/** The shapes of a job that need less, from the smallest loss to the largest. */
function smaller(job: TrainingJob): TrainingJob[] {
  const list: TrainingJob[] = [];
  for (let batch = job.batch >> 1; batch >= 1; batch >>= 1) list.push({ ...job, batch });
  for (let imageSize = job.imageSize >> 1; imageSize >= smallestImage; imageSize >>= 1)
    list.push({ ...job, imageSize: Math.ceil(imageSize / 32) * 32 });
  // Those whose teachers come with the page, the larger one first.
  const own = packagedTeachers.map(({ backbone }) => backbone);
  for (const backbone of own.slice(own.indexOf(job.backbone) + 1))
    list.push({ ...job, backbone, teacher: packagedSource });
  return list;
}

/** What differs, in words. */
function difference(from: TrainingJob, to: TrainingJob): string {
  if (from.batch !== to.batch) return `a batch of ${to.batch}`;
  return from.imageSize === to.imageSize ? to.backbone : `an image size of ${to.imageSize}`;
}

interface Need {
  readonly bytes: number;
  /** By the arithmetic of its kernels alone: good for comparing, not for waiting. */
  readonly seconds: number;
}

/** What the parts of a job take, in all. */
export const secondsOf = (parts: readonly TrainingPart[]) =>
  parts.reduce((sum, { seconds }) => sum + seconds, 0);

/** Told how far a try is, from 0 to 1. */
type OnTried = (share: number) => void;

/** Seconds that an image takes to be decoded and resized. */
async function readingSeconds(job: TrainingJob, { some }: ForecastImages): Promise<number> {
  if (!some.length) return 0;
  const started = performance.now();
  for (const { name, bytes } of some)
    resizeBicubic(await decodeImage(new Uint8Array(bytes), name), job.imageSize, job.imageSize);
  return (performance.now() - started) / 1000 / some.length;
}

/**
 * Tries the job's training for a few steps.
 *
 * @param show what the training shows after each epoch
 * @throws Interrupted where the signal is raised
 */
export async function measureJob(
  engine: Engine,
  job: TrainingJob,
  images: ForecastImages,
  o: {
    readonly signal: AbortSignal;
    readonly onTried: OnTried;
    readonly show: (runner: MapRunner, images: readonly Image[]) => Promise<void>;
  },
): Promise<TrainingPart[]> {
  const { folds = 0 } = job;
  const { good, bad } = images;
  const heldOut = heldOutOf(job, good);
  const reading = (await readingSeconds(job, images)) * (good + bad);
  const parts = await withTriedCheckpoints(async (checkpoint) =>
    measureTraining(
      {
        engine,
        backbone: backboneNamed(job.backbone),
        mode: job.mode,
        teacher: await readTeacher({ backbone: job.backbone, source: job.teacher }),
        teacherName: job.teacher,
        textures: proceduralTextures(),
        robust: job.robust ? robustChanges : undefined,
        imageSize: job.imageSize,
        batch: job.batch,
        epochs: job.epochs,
        seed: job.seed,
        images: learnedOf(job, good),
        folds,
        photographs: good,
        scored: bad + (heldOut || good),
      },
      { checkpoint, signal: o.signal, onProgress: o.onTried, afterEpoch: o.show },
    ),
  );
  // Read once when they are stored, and once when they are learned.
  return [{ name: 'storing', seconds: reading }, { name: 'reading', seconds: reading }, ...parts];
}

/**
 * Memory by the plan of the job's programs; time as it is measured, where the job fits the device.
 *
 * @throws Error where the device cannot bind a tensor of the job, and no smaller one helps
 */
export async function forecastJob(
  engine: Engine,
  job: TrainingJob,
  images: number,
  measure: () => Promise<readonly TrainingPart[]>,
): Promise<ForecastFacts> {
  const peaks = await measurePeaks(engine);
  const { folds = 0 } = job;
  const learned = learnedOf(job, images);
  // Each part is judged by a detector that learned the others.
  const others = Math.max(1, Math.round(learned * (1 - 1 / folds)));
  const needOf = (shape: TrainingJob): Need => {
    const backbone = backboneNamed(shape.backbone);
    const all = forecastTraining(engine, peaks, backbone, shape, learned);
    if (!folds) return all;
    const some = forecastTraining(engine, peaks, backbone, shape, others);
    return { bytes: all.bytes, seconds: all.seconds + folds * some.seconds };
  };
  /** The first shape that fits, with what it needs. A shape that the device cannot bind does not fit. */
  const first = (shapes: readonly TrainingJob[], enough: (need: Need) => boolean) => {
    for (const shape of shapes) {
      try {
        const need = needOf(shape);
        if (enough(need)) return { shape, need };
      } catch {}
    }
    return undefined;
  };
  const comfortable = ({ bytes }: Need) => bytes <= comfortableBytes;
  const lessMemory = () => {
    const other = first(smaller(job), comfortable);
    const better =
      other && `${difference(job, other.shape)} (${(other.need.bytes / 2 ** 20).toFixed(0)} MiB)`;
    const advice = better ? `Better: ${better}.` : 'A smaller backbone, image size or batch needs less.';
    return `That is much memory for a browser. ${advice}`;
  };
  let need: Need;
  try {
    need = needOf(job);
  } catch (error) {
    if (!first(smaller(job), comfortable)) throw error;
    return { bytes: Number.POSITIVE_INFINITY, seconds: undefined, advice: lessMemory() };
  }
  // Trying out what may take the memory of the whole machine helps nobody.
  if (!comfortable(need)) return { bytes: need.bytes, seconds: undefined, advice: lessMemory() };
  const seconds = secondsOf(await measure());
  const { bytes } = need;
  const sooner =
    seconds > hurrySeconds && methodNamed(job.mode).learns === 'student'
      ? ' In a hurry: PatchCore (settings for experts, Method) is ready much sooner.'
      : '';
  if (seconds <= longSeconds) return { bytes, seconds, advice: `This device should manage that.${sooner}` };
  const sameBatch = smaller(job).filter(({ batch }) => batch === job.batch);
  const faster = first(sameBatch, (other) => other.seconds < need.seconds / 2);
  const expected = faster && (faster.need.seconds / need.seconds) * seconds;
  const advice = faster
    ? `Faster: ${difference(job, faster.shape)} (about ${minutes(expected as number)}), or fewer epochs.`
    : 'Fewer epochs are faster.';
  return { bytes, seconds, advice: `That is long. ${advice} It can be paused and resumed.${sooner}` };
}

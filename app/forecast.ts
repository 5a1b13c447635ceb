/** What a training will need on this device, and what would need less. */
import type { Engine } from '../src/engine/runtime/engine.ts';
import { measurePeaks } from '../src/engine/runtime/peak.ts';
import { backboneNamed } from '../src/model/backbones.ts';
import { withCopies } from '../src/session/training_defaults.ts';
import { forecastTraining } from '../src/train/forecast_training.ts';
import { minutes } from './time.ts';
import type { ForecastFacts, TrainingJob } from './types.ts';

// Browsers do not tell how much memory the GPU has. Above this much many laptops become slow.
const comfortableBytes = 2 * 2 ** 30;
const longSeconds = 3600;
const smallestImage = 64;

/** The shapes of a job that need less, from the smallest loss to the largest. */
function smaller(job: TrainingJob): TrainingJob[] {
  const list: TrainingJob[] = [];
  for (let batch = job.batch >> 1; batch >= 1; batch >>= 1) list.push({ ...job, batch });
  for (let imageSize = job.imageSize >> 1; imageSize >= smallestImage; imageSize >>= 1)
    list.push({ ...job, imageSize: Math.ceil(imageSize / 32) * 32 });
  if (job.backbone !== 'resnet18') list.push({ ...job, backbone: 'resnet18' });
  return list;
}

/** What differs, in words. */
function difference(from: TrainingJob, to: TrainingJob): string {
  if (from.batch !== to.batch) return `a batch of ${to.batch}`;
  return from.imageSize === to.imageSize ? to.backbone : `an image size of ${to.imageSize}`;
}

interface Need {
  readonly bytes: number;
  readonly seconds: number;
}

/** @throws Error where the device cannot bind a tensor of the job, and no smaller one helps */
export async function forecastJob(engine: Engine, job: TrainingJob, images: number): Promise<ForecastFacts> {
  const peaks = await measurePeaks(engine);
  const { leaveOut = 0 } = job;
  const learned = job.augment?.length ? withCopies(images) : images;
  // Each part is judged by a detector that learned the others.
  const others = Math.max(1, Math.round(learned * (1 - 1 / leaveOut)));
  const needOf = (shape: TrainingJob): Need => {
    const backbone = backboneNamed(shape.backbone);
    const all = forecastTraining(engine, peaks, backbone, shape, learned);
    if (!leaveOut) return all;
    const some = forecastTraining(engine, peaks, backbone, shape, others);
    return { bytes: all.bytes, seconds: all.seconds + leaveOut * some.seconds };
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
  const advise = (need: Need): string => {
    if (!comfortable(need)) {
      const other = first(smaller(job), comfortable);
      const better =
        other && `${difference(job, other.shape)} (${(other.need.bytes / 2 ** 20).toFixed(0)} MiB)`;
      const advice = better ? `Better: ${better}.` : 'A smaller backbone, image size or batch needs less.';
      return `That is much memory for a browser. ${advice}`;
    }
    if (need.seconds <= longSeconds) return 'This device should manage that.';
    const sameBatch = smaller(job).filter(({ batch }) => batch === job.batch);
    const faster = first(sameBatch, ({ seconds }) => seconds < need.seconds / 2);
    const other =
      faster && `${difference(job, faster.shape)} (${minutes(faster.need.seconds)}), or fewer epochs`;
    const advice = other ? `Faster: ${other}.` : 'Fewer epochs are faster.';
    return `That is long. ${advice} It can be paused and resumed.`;
  };
  try {
    const need = needOf(job);
    return { ...need, advice: advise(need) };
  } catch (error) {
    const need = { bytes: Number.POSITIVE_INFINITY, seconds: 0 };
    if (!first(smaller(job), comfortable)) throw error;
    return { ...need, advice: advise(need) };
  }
}

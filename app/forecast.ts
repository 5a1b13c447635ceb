/** What a training will need on this device, and what would need less. */
import type { Engine } from '../src/engine/device.ts';
import { measurePeaks } from '../src/engine/peak.ts';
import { backboneNamed } from '../src/model/backbone.ts';
import { forecastTraining } from '../src/train/forecast_training.ts';
import { minutes } from './time.ts';
import type { ForecastFacts, TrainingJob } from './types.ts';

// Browsers do not tell the GPU's memory. Above this much a laptop's begins to struggle.
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

/** @throws Error where the device cannot bind a tensor of the job, and no smaller one helps */
export async function forecastJob(engine: Engine, job: TrainingJob, images: number): Promise<ForecastFacts> {
  const peaks = await measurePeaks(engine);
  const need = (shape: TrainingJob) => {
    try {
      return forecastTraining(engine, peaks, backboneNamed(shape.backbone), shape, images);
    } catch (error) {
      return error as Error;
    }
  };
  const fits = (found: ReturnType<typeof need>) => !(found instanceof Error) && found.bytes <= comfortableBytes;
  const own = need(job);
  if (!fits(own)) {
    const found = smaller(job).find((shape) => fits(need(shape)));
    const other = found && (need(found) as { bytes: number });
    if (own instanceof Error && !other) throw own;
    const advice = other
      ? `Better: ${difference(job, found)} (${(other.bytes / 2 ** 20).toFixed(0)} MiB).`
      : 'A smaller backbone, image size or batch needs less.';
    const { bytes, seconds } = own instanceof Error ? { bytes: Number.POSITIVE_INFINITY, seconds: 0 } : own;
    return { bytes, seconds, advice: `That is much memory for a browser. ${advice}` };
  }
  const { bytes, seconds } = own as { bytes: number; seconds: number };
  if (seconds <= longSeconds) return { bytes, seconds, advice: 'This device should manage that.' };
  const faster = smaller(job)
    .filter(({ batch }) => batch === job.batch)
    .map((shape) => ({ shape, found: need(shape) }))
    .find(({ found }) => !(found instanceof Error) && found.seconds < seconds / 2);
  const advice = faster
    ? `Faster: ${difference(job, faster.shape)} (${minutes((faster.found as { seconds: number }).seconds)}), or fewer epochs.`
    : 'Fewer epochs are faster.';
  return { bytes, seconds, advice: `That is long. ${advice} It can be paused and resumed.` };
}

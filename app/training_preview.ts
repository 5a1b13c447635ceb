/** A preview of a training: foregrounds and synthetic anomalies of a few of its images. */
import { decodeImage } from '#platform';
import { RandomStream } from '../src/base/random.ts';
import { denormalize, normalize } from '../src/image/normalize.ts';
import { resizeBicubic } from '../src/image/resize.ts';
import { usesAnomalies } from '../src/model/method.ts';
import { methodNamed } from '../src/model/methods.ts';
import { synthesizeAnomaly } from '../src/synthetic/anomaly.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';
import { foregroundOf } from './training_images.ts';
import type { Preview, TrainingJob } from './types.ts';

const previewSide = 96;
const previewCount = 8;

/** What will be seen of a few good images. */
export async function previewOf(
  job: TrainingJob,
  files: readonly { name: string; bytes: ArrayBuffer }[],
): Promise<Preview> {
  const foregrounds: Uint8Array[] = [];
  const anomalies: Uint8Array[] = [];
  const textures = proceduralTextures();
  let covered = 0;
  for (const [i, { name, bytes }] of files.slice(0, previewCount).entries()) {
    const native = await decodeImage(new Uint8Array(bytes), name);
    const image = resizeBicubic(native, previewSide, previewSide);
    const mask = foregroundOf(native, job.foreground, job.region, previewSide);
    covered += mask.reduce((sum, value) => sum + value, 0) / mask.length;
    foregrounds.push(image.data.map((value, p) => (mask[Math.floor(p / 3)] ? value : value >> 2)));
    if (!usesAnomalies(methodNamed(job.mode))) continue;
    // A stream whose sample is not a clean one: every fifth is.
    for (let attempt = 0; attempt < 20; attempt++) {
      const random = new RandomStream(job.seed, 'preview', i, attempt);
      const made = await synthesizeAnomaly(
        normalize(image),
        previewSide,
        Float32Array.from(mask),
        textures,
        random,
      );
      if (!made.mask.includes(1) && attempt < 19) continue;
      anomalies.push(denormalize(made.values, previewSide, previewSide).data);
      break;
    }
  }
  return { side: previewSide, foregrounds, anomalies, share: covered / Math.max(foregrounds.length, 1) };
}

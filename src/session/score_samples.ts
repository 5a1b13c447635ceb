/** Runs a detector over samples: their scores and maps, as a test set. */

import { loadResized } from '#platform';
import { mapAhead } from '../base/concurrently.ts';
import type { ProgressReporter } from '../cli/progress.ts';
import type { Sample } from '../data/dataset.ts';
import { withBands } from '../data/image_files.ts';
import { loadMask } from '../data/masks.ts';
import type { Tiling } from '../data/tiles.ts';
import { reading, type UnreadableFiles } from '../data/unreadable.ts';
import type { MapRunner, RawPrediction } from '../detector/map_runner.ts';
import { type Labels, TestSet } from '../eval/evaluate.ts';
import type { Image } from '../image/image.ts';

/** Images with so many tiles show their own progress. */
const manyTiles = 100;
/** Images per run of the device. */
const batchSize = 8;
/** Images that are decoded ahead of the device. */
const loadAhead = 2 * batchSize;

interface Loaded {
  readonly sample: Sample;
  readonly image: Image;
}

export interface RunOptions {
  readonly reporter: ProgressReporter;
  readonly signal?: AbortSignal | undefined;
  readonly label: string;
  readonly tiling?: Tiling | undefined;
  readonly labels?: Labels;
  /** Is told files that cannot be read. */
  readonly unreadable: UnreadableFiles;
}

/**
 * Runs the detector over samples in batches; decoding runs ahead of the device. Images that cannot be read
 * are left out; one whose mask cannot be read stays, without its mask. The caller closes the result.
 *
 * @throws Error where no image can be read, or too many cannot
 */
export async function runSamples(
  runner: MapRunner,
  samples: readonly Sample[],
  options: RunOptions,
): Promise<TestSet> {
  const { reporter, signal, tiling, unreadable } = options;
  const progress = reporter.counting(options.label);
  const results = new TestSet(options.labels);
  let done = 0;
  const add = async (sample: Sample, raw: RawPrediction, milliseconds: number) => {
    const { maskPath, ...unmasked } = sample;
    const known = sample.defect === 'good' || maskPath !== undefined;
    const truth = known
      ? await unreadable.skip(() =>
          reading(maskPath ?? sample.path, () => loadMask(sample, raw.width, raw.height)),
        )
      : undefined;
    await results.add(truth ? sample : unmasked, { ...raw, milliseconds }, truth);
  };
  try {
    if (tiling) {
      for (const sample of samples) {
        signal?.throwIfAborted();
        const started = performance.now();
        const onTiles = (tiles: number, total: number) => {
          signal?.throwIfAborted();
          if (total > manyTiles) progress(done + tiles / total, samples.length);
        };
        const raw = await unreadable.skip(() =>
          withBands(sample.path, (bands) => runner.predictTiles(bands, tiling, onTiles)),
        );
        if (raw) await add(sample, raw, performance.now() - started);
        progress(++done, samples.length);
      }
    } else {
      const load = async (sample: Sample): Promise<Loaded | undefined> => {
        const image = await unreadable.skip(() =>
          reading(sample.path, () => loadResized(sample.path, runner.imageSize)),
        );
        return image && { sample, image };
      };
      let batch: Loaded[] = [];
      const runBatch = async () => {
        if (!batch.length) return;
        const started = performance.now();
        const raw = await runner.run(batch.map(({ image }) => image));
        const milliseconds = (performance.now() - started) / batch.length;
        for (const [i, { sample }] of batch.entries())
          await add(sample, raw[i] as RawPrediction, milliseconds);
        batch = [];
      };
      for await (const loaded of mapAhead(samples, load, loadAhead)) {
        signal?.throwIfAborted();
        done++;
        if (loaded) batch.push(loaded);
        if (batch.length < batchSize && done < samples.length) continue;
        await runBatch();
        progress(done, samples.length);
      }
    }
    if (!results.images.length)
      throw new Error(`none of the ${samples.length} images can be read: ${unreadable.summary}`);
  } catch (error) {
    await results.close();
    throw error;
  }
  reporter.stop();
  return results;
}

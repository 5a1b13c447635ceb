/** Runs a detector over samples: their scores and maps, as a test set. */

import { loadResized } from '#platform';
import { mapAhead } from '../base/concurrently.ts';
import type { Sample } from '../data/dataset.ts';
import { type DefectArea, loadDefectAreas } from '../data/defect_areas.ts';
import { withBands } from '../data/image_files.ts';
import { loadMask } from '../data/masks.ts';
import type { Tiling } from '../data/tiles.ts';
import { reading, type UnreadableFiles } from '../data/unreadable.ts';
import type { MapRunner, RawPrediction } from '../detector/map_runner.ts';
import { type Labels, TestSet } from '../eval/evaluate.ts';
import type { ImageBands } from '../image/bands.ts';
import type { Image } from '../image/image.ts';
import { type Clock, type Reporter, systemClock } from './ports.ts';

/** Where the images of samples come from. What cannot be read is an UnreadableError. */
export interface SampleReader {
  /** The image, resized to side x side. */
  resized(sample: Sample, side: number): Promise<Image>;
  /** Works with the image band by band, for tiles. */
  bands<T>(sample: Sample, work: (bands: ImageBands) => Promise<T>): Promise<T>;
  /** What is defective, 0/1 [height, width]; undefined where nobody knows. */
  truth(sample: Sample, width: number, height: number): Promise<Uint8Array | undefined>;
  /** The defects one by one, where the data set says from which area on each is found. */
  areas?(sample: Sample, width: number, height: number): Promise<readonly DefectArea[] | undefined>;
}

/** Samples that are image files with masks. */
export const fileReader: SampleReader = {
  resized: ({ path }, side) => reading(path, () => loadResized(path, side)),
  bands: ({ path }, work) => withBands(path, work),
  async truth(sample, width, height) {
    const { path, defect, maskPath } = sample;
    if (defect !== 'good' && maskPath === undefined) return undefined;
    return reading(maskPath ?? path, () => loadMask(sample, width, height));
  },
  areas: (sample, width, height) =>
    reading(sample.maskPath ?? sample.path, () => loadDefectAreas(sample, width, height)),
};

/**
 * Samples whose images are in memory, resized already; their defects have no masks.
 *
 * @param images by the samples that are scored
 */
export function memoryReader(images: ReadonlyMap<Sample, Image>): SampleReader {
  return {
    async resized(sample, side) {
      const image = images.get(sample);
      if (!image) throw new Error(`${sample.path}: its image is not in memory`);
      if (image.width !== side || image.height !== side)
        throw new Error(
          `${sample.path} has ${image.width} x ${image.height} pixels, expected ${side} x ${side}`,
        );
      return image;
    },
    bands: ({ path }) => Promise.reject(new Error(`${path}: images in memory are not cut into tiles`)),
    truth: async () => undefined,
  };
}

/** Images with so many tiles show their own progress. */
const manyTiles = 100;
const usualImagesPerRun = 8;

interface Loaded {
  readonly sample: Sample;
  readonly image: Image;
}

/** Where scored images come from, and who is told. */
export interface ScoringOptions {
  readonly reader: SampleReader;
  readonly reporter: Reporter;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly label: string;
  /** Images per run of the device. */
  readonly imagesPerRun?: number | undefined;
  readonly tiling?: Tiling | undefined;
  readonly labels?: Labels | undefined;
  /** Is told files that cannot be read. */
  readonly unreadable: UnreadableFiles;
}

/**
 * Runs the detector over samples in batches; decoding runs ahead of the device. Images that cannot be read
 * are left out; one whose mask cannot be read stays, without its mask. The caller closes the result.
 *
 * @throws Error where no image can be read, or too many cannot
 */
export async function scoreSamples(
  runner: MapRunner,
  samples: readonly Sample[],
  options: ScoringOptions,
): Promise<TestSet> {
  const { reader, reporter, clock = systemClock, signal, tiling, unreadable } = options;
  const { imagesPerRun = usualImagesPerRun } = options;
  const progress = reporter.counting(options.label);
  const results = new TestSet(options.labels);
  let done = 0;
  const add = async (sample: Sample, raw: RawPrediction, milliseconds: number) => {
    const truth = await unreadable.skip(() => reader.truth(sample, raw.width, raw.height));
    const areas = truth && (await unreadable.skip(async () => reader.areas?.(sample, raw.width, raw.height)));
    const { maskPath: _, moreMasks: __, ...unmasked } = sample;
    await results.add(truth ? sample : unmasked, { ...raw, milliseconds }, truth, areas);
  };
  try {
    if (tiling) {
      for (const sample of samples) {
        signal?.throwIfAborted();
        const started = clock.now();
        const onTiles = (tiles: number, total: number) => {
          signal?.throwIfAborted();
          if (total > manyTiles) progress(done + tiles / total, samples.length);
        };
        const raw = await unreadable.skip(() =>
          reader.bands(sample, (bands) => runner.predictTiles(bands, tiling, onTiles)),
        );
        if (raw) await add(sample, raw, clock.now() - started);
        progress(++done, samples.length);
      }
    } else {
      const load = async (sample: Sample): Promise<Loaded | undefined> => {
        const image = await unreadable.skip(() => reader.resized(sample, runner.imageSize));
        return image && { sample, image };
      };
      let batch: Loaded[] = [];
      const runBatch = async () => {
        if (!batch.length) return;
        const started = clock.now();
        const raw = await runner.run(batch.map(({ image }) => image));
        const milliseconds = (clock.now() - started) / batch.length;
        for (const [i, { sample }] of batch.entries())
          await add(sample, raw[i] as RawPrediction, milliseconds);
        batch = [];
      };
      for await (const loaded of mapAhead(samples, load, 2 * imagesPerRun)) {
        signal?.throwIfAborted();
        done++;
        if (loaded) batch.push(loaded);
        if (batch.length < imagesPerRun && done < samples.length) continue;
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

/** Photographs of the library's callers as a training takes them: samples, resized images, foregrounds. */
import { mapConcurrently } from '../base/concurrently.ts';
import { InvalidDatasetError } from '../base/errors.ts';
import type { Sample } from '../data/dataset.ts';
import { type ForegroundRule, foreground } from '../data/foreground.ts';
import { type RegionOfInterest, rasterizeRegion, regionPixels } from '../data/region.ts';
import type { TakenImage } from '../data/sources.ts';
import { readTiles, type Tiling } from '../data/tiles.ts';
import { both, emptyForegrounds, type TrainingImages } from '../data/training_images.ts';
import type { ImageBands } from '../image/bands.ts';
import type { Image } from '../image/image.ts';
import { resizeBicubic } from '../image/resize.ts';
import type { SampleReader } from './score_samples.ts';

/** An image of the caller with its place in the training. */
export interface SourceSample {
  readonly sample: Sample;
  readonly taken: TakenImage;
}

function stemOf(name: string): string {
  return name.replace(/^.*[\\/]/, '').replace(/\.[^.]*$/, '');
}

/**
 * Samples of a list of images. Each has a name of its own: that of its file, or its number.
 *
 * @param defect `good`, or what is wrong with them
 */
export function samplesOf(images: readonly TakenImage[], defect: string): SourceSample[] {
  const seen = new Map<string, number>();
  return images.map((taken, i) => {
    const name = taken.name ?? `${defect} ${i + 1}`;
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    const path = times === 1 ? name : `${name} (${times})`;
    return { sample: { path, stem: stemOf(path), defect }, taken };
  });
}

/** How the images of a training are read. */
export interface ReadOptions {
  readonly imageSize: number;
  readonly foreground: ForegroundRule;
  readonly tiling?: Tiling | undefined;
  readonly region?: RegionOfInterest | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An image, or a tile of one, and where its anomalies may lie. */
interface Learned {
  readonly image: Image;
  readonly mask: Uint8Array | undefined;
}

/**
 * The caller's images as a training reads them; what is resized is decoded once. Their defects have no masks.
 */
export class SourceImages implements SampleReader {
  readonly #taken: ReadonlyMap<Sample, TakenImage>;
  readonly #options: ReadOptions;
  readonly #resized = new Map<Sample, Promise<Image>>();

  constructor(sources: readonly SourceSample[], options: ReadOptions) {
    this.#taken = new Map(sources.map(({ sample, taken }) => [sample, taken]));
    this.#options = options;
  }

  #of(sample: Sample): TakenImage {
    const taken = this.#taken.get(sample);
    if (!taken) throw new Error(`${sample.path} is none of the images of this training`);
    return taken;
  }

  resized(sample: Sample, side: number): Promise<Image> {
    let image = this.#resized.get(sample);
    if (!image) {
      image = this.#of(sample).resized(side, this.#options.signal);
      this.#resized.set(sample, image);
    }
    return image;
  }

  bands<T>(sample: Sample, work: (bands: ImageBands) => Promise<T>): Promise<T> {
    return this.#of(sample).bands(work, this.#options.signal);
  }

  async truth(): Promise<undefined> {
    return undefined;
  }

  /**
   * Reads good images as they are learned; tiles without a pixel in the region of interest are left out.
   *
   * @throws InvalidDatasetError where nothing is left, or most foregrounds are empty
   */
  async learned(
    samples: readonly Sample[],
    onProgress: (done: number, total: number) => void,
  ): Promise<TrainingImages> {
    const learned = await mapConcurrently(samples, (sample) => this.#learned(sample), onProgress);
    const { foreground: rule, region } = this.#options;
    const images = learned.flatMap((parts) => parts.map(({ image }) => image));
    const paths = samples.flatMap(({ path }, i) => (learned[i] ?? []).map(() => path));
    if (!images.length)
      throw new InvalidDatasetError('no tile of the good images lies in the region of interest');
    if (rule.kind === 'none' && !region)
      return { samples, images, paths, foregrounds: undefined, warnings: [] };
    const foregrounds = learned.flatMap((parts) => parts.map(({ mask }) => mask as Uint8Array));
    const warnings = emptyForegrounds(paths, foregrounds, region).map(
      (path) => `${path}: the foreground is empty`,
    );
    return { samples, images, paths, foregrounds, warnings };
  }

  async #learned(sample: Sample): Promise<readonly Learned[]> {
    const { imageSize: side, foreground: rule, tiling, region, signal } = this.#options;
    const see = (image: Image, inspected: Uint8Array | undefined): Learned => ({
      image: resizeBicubic(image, side, side),
      mask: both(foreground(image, rule, side), inspected),
    });
    if (tiling)
      return this.bands(sample, async (bands) => {
        const tiles: Learned[] = [];
        const { width, height } = bands;
        for await (const { tile, image } of readTiles(bands, tiling)) {
          const inspected = region && rasterizeRegion(region, side, side, { ...tile, of: { width, height } });
          if (inspected?.includes(1) !== false) tiles.push(see(image, inspected));
        }
        return tiles;
      });
    const inspected = region && regionPixels(region, side, side);
    if (rule.kind === 'none') return [{ image: await this.resized(sample, side), mask: inspected }];
    const seen = see(await this.#of(sample).whole(signal), inspected);
    this.#resized.set(sample, Promise.resolve(seen.image));
    return [seen];
  }
}

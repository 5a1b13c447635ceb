/**
 * Features of images by a method that keeps features: whole, or projected to few channels by a random matrix.
 */

import { imageInput, pixelWords } from '../data/image_input.ts';
import { ParameterSet } from '../engine/graph/parameter_set.ts';
import { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { conv2d } from '../engine/ops/conv2d.ts';
import { initialize } from '../engine/runtime/initialize.ts';
import { Program } from '../engine/runtime/program.ts';
import { ProgramCache } from '../engine/runtime/program_cache.ts';
import { ParameterStore } from '../engine/runtime/store.ts';
import { groups } from '../model/groups.ts';
import type { MemoryMethod } from '../model/method.ts';
import { teacherFile } from '../weights/import.ts';
import { loadParameters } from '../weights/parameters.ts';
import type { CheckedOptions } from './check_options.ts';

/** Channels of the random projection where nobody asks for others. */
export const projectedChannels = 128;
const projection = 'projection';
export const imagesPerRun = 8;

/** Whose features, and by which teacher; the seed is that of the projection. */
export type FeatureOptions = Pick<
  CheckedOptions,
  'engine' | 'images' | 'imageSize' | 'backbone' | 'teacher' | 'teacherName' | 'seed'
>;

/** Runs one output of images' features, eight images at a time. */
export class FeatureReader {
  readonly #options: FeatureOptions;
  readonly #method: MemoryMethod;
  readonly #most: number;
  readonly #set = new ParameterSet();
  readonly #store: ParameterStore;
  readonly #programs = new ProgramCache<string>();
  /** Positions of an image, channels of a position, and channels of its projection. */
  readonly rows: number;
  readonly channels: number;
  readonly projected: number;

  /**
   * @param most channels of a projection; features of fewer are their own projection
   * @throws Error on an unusable teacher file
   */
  constructor(o: FeatureOptions, method: MemoryMethod, most = projectedChannels) {
    this.#options = o;
    this.#method = method;
    this.#most = most;
    const { features, projection: reduced } = this.#record(1).tensors;
    this.channels = features.shape[3] as number;
    this.projected = reduced.shape[3] as number;
    this.rows = (features.shape[1] as number) * (features.shape[2] as number);
    this.#store = new ParameterStore(o.engine, this.#set);
    try {
      loadParameters(
        this.#store,
        [groups.teacher],
        teacherFile(o.teacher, o.teacherName),
        o.teacherName,
        'teacher.',
      );
      initialize(this.#store, [projection], o.seed);
    } catch (error) {
      this.#store.destroy();
      throw error;
    }
  }

  #record(batch: number): { tape: Tape; tensors: { features: Tensor; projection: Tensor } } {
    const { imageSize, backbone } = this.#options;
    const tape = new Tape(this.#set);
    const features = this.#method.features(tape, imageInput(tape, batch, imageSize), backbone);
    const channels = features.shape[3] as number;
    if (channels <= this.#most) return { tape, tensors: { features, projection: features } };
    const matrix = tape.parameter('projection.weight', [1, 1, channels, this.#most], 'filter', projection, {
      kind: 'normal',
      deviation: this.#most ** -0.5,
    });
    return { tape, tensors: { features, projection: conv2d(tape, features, matrix) } };
  }

  /** Features of some images one after the other, [images, rows, channels]. */
  async read(items: readonly number[], what: 'features' | 'projection'): Promise<Float32Array> {
    const { engine, images } = this.#options;
    const batch = items.length;
    const program = await this.#programs.get(`${what} ${batch}`, () => {
      const { tape, tensors } = this.#record(batch);
      return Program.compile(engine, tape, { outputs: { [what]: tensors[what] }, store: this.#store });
    });
    const pixels = pixelWords(items.map((item) => images[item] as (typeof images)[number]));
    return (await program.run({ pixels }))[what] as Float32Array;
  }

  async destroy(): Promise<void> {
    await this.#programs.close();
    this.#store.destroy();
  }
}

/** Items in the runs that {@link FeatureReader.read} takes. */
export function inRuns(items: readonly number[]): number[][] {
  const runs: number[][] = [];
  for (let start = 0; start < items.length; start += imagesPerRun)
    runs.push(items.slice(start, start + imagesPerRun));
  return runs;
}

/** The batches of a training: what each step of a stage takes, drawn from the good images. */

import { OutOfMemoryError } from '../base/errors.ts';
import { RandomStream } from '../base/random.ts';
import { augment } from '../data/augment.ts';
import { imageInput, pixelWords } from '../data/image_input.ts';
import { Tape } from '../engine/graph/tape.ts';
import { elements } from '../engine/graph/tensor.ts';
import type { Range } from '../engine/runtime/memory.ts';
import { type KeptOutputs, Program, type RunInputs } from '../engine/runtime/program.ts';
import { ProgramCache } from '../engine/runtime/program_cache.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import type { Image } from '../image/image.ts';
import { normalizationTable, stack } from '../image/normalize.ts';
import type { Stage, StudentMethod } from '../model/method.ts';
import { featureShapes } from '../model/teacher.ts';
import { drawAnomaly } from '../synthetic/anomaly.ts';
import { amplificationInputs } from './amplification_inputs.ts';
import type { CheckedOptions } from './check_options.ts';
import { stepInput } from './schedule.ts';
import { changedPixels } from './stage_images.ts';

/** Gives what the steps of a stage take. */
export interface Batches {
  /** Whether the targets come from a cache: the step is recorded for them. */
  readonly cached: boolean;
  /**
   * @param items places in the list of images
   * @param epoch counted from 0
   * @param step counted from 1 over the whole stage
   */
  inputs(items: Uint32Array, epoch: number, step: number, learningRate: number): Promise<RunInputs>;
  destroy(): Promise<void>;
}

/** A good image as a step sees it, and where synthetic anomalies may fall on it. */
interface Seen {
  readonly image: Image;
  readonly mask: Uint8Array | undefined;
}

/** Images of a step; of a robust training each changed, drawn by stage, epoch and image alone. */
function seenImages(o: CheckedOptions, stage: Stage, items: Uint32Array, epoch: number): Seen[] {
  const { robust, seed } = o;
  return [...items].map((item) => {
    const [image, mask] = [o.images[item] as Image, o.foregrounds?.[item]];
    if (!robust) return { image, mask };
    return augment(image, mask, robust, new RandomStream(seed, 'changes', stage.number, epoch, item));
  });
}

/** Good images with a synthetic anomaly each, drawn anew in every epoch (method, 3.10). */
function anomalyBatches(stage: Stage, o: CheckedOptions): Batches {
  const table = normalizationTable();
  return {
    cached: false,
    async inputs(items, epoch, step, learningRate) {
      const seen = seenImages(o, stage, items, epoch);
      const images = seen.map(({ image }) => image);
      const anomalies = await Promise.all(
        seen.map(({ image: { data }, mask }, i) => {
          const item = items[i] as number;
          return drawAnomaly(
            (place) => table[(data[place] as number) * 3 + (place % 3)] as number,
            o.imageSize,
            mask,
            o.textures,
            new RandomStream(o.seed, 'synthetic', epoch, item),
          );
        }),
      );
      return amplificationInputs({
        teacher: o.backbone,
        images: { pixels: pixelWords(images), ...changedPixels(anomalies) },
        masks: stack(anomalies.map(({ mask }) => mask)),
        foregrounds: o.foregrounds && stack(seen.map(({ mask }) => Float32Array.from(mask ?? []))),
        batch: items.length,
        size: o.imageSize,
        step,
        learningRate,
        random: new RandomStream(o.seed, 'rows', step),
      });
    },
    destroy: async () => {},
  };
}

function imagesOf(o: CheckedOptions, items: Uint32Array): Image[] {
  return [...items].map((item) => o.images[item] as Image);
}

/** Memory for cached targets where the options say nothing, in bytes. */
const defaultCacheBytes = 2 ** 31;
/** What of it may lie on the device: more would leave a small card without room for the training. */
const defaultDeviceCacheBytes = 2 ** 30;

/** Good images, or their targets where those of all images fit into memory and stay the same. */
function goodBatches(stage: Stage, method: StudentMethod, o: CheckedOptions, store: ParameterStore): Batches {
  const perImage = featureShapes(o.backbone, o.imageSize).reduce(
    (sum, shape) => sum + 4 * elements(shape),
    0,
  );
  const cached = !o.robust && perImage * o.images.length <= (o.cacheBytes ?? defaultCacheBytes);
  const cache = cached ? new TargetCache(method, o, store) : undefined;
  return {
    cached,
    async inputs(items, epoch, step, learningRate) {
      const features = cache
        ? await cache.batch(items)
        : { pixels: pixelWords(seenImages(o, stage, items, epoch).map(({ image }) => image)) };
      return { ...features, ...stepInput(step, learningRate) };
    },
    destroy: async () => cache?.destroy(),
  };
}

/** The batches of a stage; the caller destroys them. */
export function batchesOf(
  stage: Stage,
  method: StudentMethod,
  o: CheckedOptions,
  store: ParameterStore,
): Batches {
  return stage.samples === 'synthetic anomalies'
    ? anomalyBatches(stage, o)
    : goodBatches(stage, method, o, store);
}

/** What is kept of one image: on the device, or here where that has no more memory. */
type Targets = KeptOutputs | { readonly values: readonly Float32Array[] };

/**
 * Targets of good images, computed once per image: stage II has no augmentation (method, 4.5). They stay on
 * the device, so that a step copies them there instead of uploading megabytes, and beyond a limit or the
 * device's memory on the host.
 */
class TargetCache {
  readonly #method: StudentMethod;
  readonly #options: CheckedOptions;
  readonly #store: ParameterStore;
  readonly #targets = new Map<number, Targets>();
  readonly #programs = new ProgramCache();
  readonly #names: readonly string[];
  #room: number;

  constructor(method: StudentMethod, options: CheckedOptions, store: ParameterStore) {
    this.#method = method;
    this.#options = options;
    this.#store = store;
    this.#room = options.deviceCacheBytes ?? defaultDeviceCacheBytes;
    this.#names = options.backbone.levels.map((_, level) => `target${level}`);
  }

  #program(batch: number): Promise<Program> {
    return this.#programs.get(batch, () => {
      const { backbone: teacher, imageSize, engine } = this.#options;
      const tape = new Tape(this.#store.set);
      const { amplified } = this.#method.targets(tape, imageInput(tape, batch, imageSize), teacher);
      const outputs = Object.fromEntries(amplified.map((tensor, level) => [`target${level}`, tensor]));
      return Program.compile(engine, tape, { outputs, store: this.#store });
    });
  }

  async batch(items: Uint32Array): Promise<RunInputs> {
    const missing = items.filter((item) => !this.#targets.has(item));
    if (missing.length) {
      const computed = await this.#compute(missing);
      missing.forEach((item, i) => {
        this.#targets.set(item, computed[i] as Targets);
      });
    }
    const targets = [...items].map((item) => this.#targets.get(item) as Targets);
    return Object.fromEntries(
      this.#names.map((name, level) => [
        name,
        targets.map((each) =>
          'ranges' in each ? (each.ranges[name] as Range) : (each.values[level] as Float32Array),
        ),
      ]),
    );
  }

  async #compute(items: Uint32Array): Promise<Targets[]> {
    const program = await this.#program(items.length);
    const pixels = pixelWords(imagesOf(this.#options, items));
    if (this.#room > 0) {
      await program.run({ pixels }, []);
      try {
        const kept = await program.keep(this.#names, items.length);
        this.#room -= kept.reduce((sum, { bytes }) => sum + bytes, 0);
        return kept;
      } catch (error) {
        if (!(error instanceof OutOfMemoryError)) throw error;
        this.#room = 0;
      }
    }
    const result = await program.run({ pixels });
    return [...items].map((_, i) => ({
      values: this.#names.map((name) => {
        const all = result[name] as Float32Array;
        const size = all.length / items.length;
        return all.slice(i * size, (i + 1) * size);
      }),
    }));
  }

  async destroy(): Promise<void> {
    await this.#programs.close();
    for (const targets of this.#targets.values()) if ('ranges' in targets) targets.destroy();
    this.#targets.clear();
  }
}

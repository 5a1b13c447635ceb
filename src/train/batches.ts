/** The batches of a training: what each step of a stage takes, drawn from the good images. */

import { RandomStream } from '../base/random.ts';
import { Tape } from '../engine/graph/tape.ts';
import { elements } from '../engine/graph/tensor.ts';
import { Program, type RunInputs } from '../engine/runtime/program.ts';
import { ProgramCache } from '../engine/runtime/program_cache.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import type { Image } from '../image/image.ts';
import { normalize, stack } from '../image/normalize.ts';
import type { Stage } from '../model/method.ts';
import { methodNamed } from '../model/methods.ts';
import { featureShapes } from '../model/teacher.ts';
import { synthesizeAnomaly } from '../synthetic/anomaly.ts';
import { amplificationInputs } from './amplification_inputs.ts';
import type { CheckedOptions } from './check_options.ts';
import { stepInput } from './schedule.ts';

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

/** Good images with a synthetic anomaly each, drawn anew in every epoch (method, 3.10). */
function anomalyBatches(o: CheckedOptions): Batches {
  return {
    cached: false,
    async inputs(items, epoch, step, learningRate) {
      const samples = await Promise.all(
        [...items].map((item) =>
          synthesizeAnomaly(
            normalize(o.images[item] as Image),
            o.imageSize,
            o.foregrounds?.[item],
            o.textures,
            new RandomStream(o.seed, 'synthetic', epoch, item),
          ),
        ),
      );
      return amplificationInputs({
        teacher: o.backbone,
        images: stack(samples.map((sample) => sample.values)),
        masks: stack(samples.map((sample) => sample.mask)),
        foregrounds:
          o.foregrounds && stack([...items].map((item) => Float32Array.from(o.foregrounds?.[item] ?? []))),
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

/** Memory for cached targets where the options say nothing, in bytes. */
const defaultCacheBytes = 2 ** 31;

/** Good images as they are, or their targets where those of all images fit into memory. */
function goodBatches(o: CheckedOptions, store: ParameterStore): Batches {
  const perImage = featureShapes(o.backbone, o.imageSize).reduce(
    (sum, shape) => sum + 4 * elements(shape),
    0,
  );
  const cached = perImage * o.images.length <= (o.cacheBytes ?? defaultCacheBytes);
  const cache = cached ? new TargetCache(o, store) : undefined;
  return {
    cached,
    async inputs(items, _, step, learningRate) {
      const features = cache
        ? await cache.batch(items)
        : { images: stack([...items].map((item) => normalize(o.images[item] as Image))) };
      return { ...features, ...stepInput(step, learningRate) };
    },
    destroy: async () => cache?.destroy(),
  };
}

/** The batches of a stage; the caller destroys them. */
export function batchesOf(stage: Stage, o: CheckedOptions, store: ParameterStore): Batches {
  return stage.samples === 'synthetic anomalies' ? anomalyBatches(o) : goodBatches(o, store);
}

/** Targets of good images, computed once per image: stage II has no augmentation (method, 4.5). */
class TargetCache {
  readonly #options: CheckedOptions;
  readonly #store: ParameterStore;
  readonly #targets = new Map<number, Float32Array[]>();
  readonly #programs = new ProgramCache();
  readonly #levels: readonly number[];

  constructor(options: CheckedOptions, store: ParameterStore) {
    this.#options = options;
    this.#store = store;
    this.#levels = [...options.backbone.levels.keys()];
  }

  #program(batch: number): Promise<Program> {
    return this.#programs.get(batch, () => {
      const { backbone: teacher, imageSize, mode, engine } = this.#options;
      const tape = new Tape(this.#store.set);
      const images = tape.input('images', [batch, imageSize, imageSize, 3], 'channels');
      const { amplified } = methodNamed(mode).targets(tape, images, teacher);
      const outputs = Object.fromEntries(amplified.map((tensor, level) => [`target${level}`, tensor]));
      return Program.compile(engine, tape, { outputs, store: this.#store });
    });
  }

  async batch(items: Uint32Array): Promise<Record<string, Float32Array>> {
    const missing = [...items].filter((item) => !this.#targets.has(item));
    if (missing.length) {
      const images = stack(missing.map((item) => normalize(this.#options.images[item] as Image)));
      const result = await (await this.#program(missing.length)).run({ images });
      missing.forEach((item, i) => {
        const parts = this.#levels.map((level) => {
          const all = result[`target${level}`] as Float32Array;
          const size = all.length / missing.length;
          return all.slice(i * size, (i + 1) * size);
        });
        this.#targets.set(item, parts);
      });
    }
    const inputs: Record<string, Float32Array> = {};
    for (const level of this.#levels)
      inputs[`target${level}`] = stack(
        [...items].map((item) => (this.#targets.get(item) as Float32Array[])[level] as Float32Array),
      );
    return inputs;
  }

  destroy(): Promise<void> {
    return this.#programs.close();
  }
}
